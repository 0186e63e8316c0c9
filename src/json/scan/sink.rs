//! The interface between the scanner and the receiver of its events.

use std::ops::Range;

/// The value of a wanted member, at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberValue<'a> {
    /// The bytes between the quotes of a string.
    String { raw: &'a [u8], has_escapes: bool },
    /// A string longer than `MAX_RAW_TEXT`.
    LongString,
    /// A number, a literal, an array or an object.
    Other,
}

/// The white space of a member: before its name, before its colon, and before its value.
///
/// All three are empty if one is longer than [`MAX_WHITE_SPACE`](super::MAX_WHITE_SPACE).
pub type WhiteSpace<'a> = [&'a [u8]; 3];

/// The receiver of a scanner's events.
///
/// The events come in the order of the body. For each wanted member they are `member_start`, `value_start` and
/// `value_end`, or `whole_member` in their place. If the value is a container, the events of its members come before
/// `value_end`. For `{"id":{"id":1}}`, of which the member `id` is wanted, the order is:
///
/// ```text
/// member_start (depth 1), value_start, whole_member (depth 2), object_end (depth 2), value_end, object_end (depth 1)
/// ```
///
/// The sink keeps the stack of the wanted members whose values are open. So the scanner needs none: at the end of each
/// value it calls [`is_value_awaited`](Self::is_value_awaited) to find out if the value is one of them.
///
/// `depth` is the number of containers around a member, its own object included. `at` is a byte offset from
/// the start of the body.
pub trait Sink {
    /// The name of a wanted member. The scanner stores it until the value of the member.
    type Member: Copy;

    /// Returns the member with this name, if its value is wanted. `raw` is the name between its quotes. A name may be
    /// matched more than once.
    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<Self::Member>;

    /// Receives a name that is longer than any name that can be matched. Only the plain scanner calls this.
    #[inline(always)]
    fn long_name(&mut self) {}

    /// Receives the offset and the first byte of each value, wanted or not, before its other events. The values are the
    /// document itself, those of members and the elements of arrays. Only the plain scanner calls this.
    #[inline(always)]
    fn any_value_start(&mut self, _at: u64, _first_byte: u8) {}

    /// Receives a wanted member, after its name.
    fn member_start(&mut self, member: Self::Member, depth: usize);

    /// Receives the start of a wanted value.
    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>);

    /// True if the value that ends now, in the container at `depth`, is that of a wanted member. The scanner calls this at
    /// the end of each value, and then [`value_end`](Self::value_end) if the result is true.
    fn is_value_awaited(&self, depth: usize) -> bool;

    /// Receives the end of a wanted value.
    fn value_end(&mut self, at: u64, value: MemberValue<'_>);

    /// Receives a wanted member whose value is a scalar that was read completely. `at` is the range of the value.
    ///
    /// The default calls `member_start` and `value_start`, and then `value_end` if [the value is
    /// awaited](Self::is_value_awaited). A sink may do their work in one step instead.
    fn whole_member(
        &mut self,
        member: Self::Member,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        self.member_start(member, depth);
        self.value_start(at.start, white_space);
        if self.is_value_awaited(depth) {
            self.value_end(at.end, value);
        }
    }

    /// Receives the end of a container, which may be an object with a wanted member. Ends of other containers may be left
    /// out. The plain scanner reports the end of each container.
    fn object_end(&mut self, at: u64, depth: usize);

    /// Receives the end of the container at `depth`. The container may be an object with wanted members, and also the
    /// value of a wanted member of the container around it, at `depth - 1`.
    #[inline(always)]
    fn container_end(&mut self, at: u64, depth: usize) {
        self.object_end(at, depth);
        if self.is_value_awaited(depth - 1) {
            self.value_end(at, MemberValue::Other);
        }
    }
}
