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

/// A member that the sink wants the value of, with the index of its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Id(u8),
    Name(u8),
}

/// The receiver of a scanner's events.
///
/// `depth` is the number of containers around a member, its own object included. `at` is a byte offset from
/// the start of the body.
pub trait Sink {
    /// Returns the member with this name, if its value is wanted. `raw` is the name between its quotes.
    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<Member>;

    /// Receives a wanted member, after its name.
    fn member_start(&mut self, member: Member, depth: usize);

    /// Receives the start of a wanted value.
    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>);

    /// True if a value that ends in the container at `depth` is a wanted one.
    fn is_value_awaited(&self, depth: usize) -> bool;

    /// Receives the end of a wanted value.
    fn value_end(&mut self, at: u64, value: MemberValue<'_>);

    /// Receives a wanted member whose whole value, at the offsets `at`, is a scalar.
    fn whole_member(
        &mut self,
        member: Member,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        self.member_start(member, depth);
        self.value_start(at.start, white_space);
        self.value_end(at.end, value);
    }

    /// Receives the end of a container, which may be an object with a wanted member.
    fn object_end(&mut self, at: u64, depth: usize);

    /// Receives the end of a container, which may also be a wanted value.
    #[inline(always)]
    fn container_end(&mut self, at: u64, depth: usize) {
        self.object_end(at, depth);
        if self.is_value_awaited(depth - 1) {
            self.value_end(at, MemberValue::Other);
        }
    }
}
