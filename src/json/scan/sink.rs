//! Who listens to a scanner, and what is told.

use std::ops::Range;

/// The value of a wanted member, at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The raw text between a string's quotes, and whether it has escapes.
    Text(&'a [u8], bool),
    /// A string longer than [`MAX_RAW_TEXT`](crate::json::text::MAX_RAW_TEXT).
    LongText,
    /// Not a string.
    Other,
}

/// The white space in a member: before its name, before its colon, before its value. All three are empty
/// where one is longer than [`MAX_GAP`](super::MAX_GAP).
pub type Gaps<'a> = [&'a [u8]; 3];

/// A member whose value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    Id,
    Name,
}

/// Who listens to a scanner. `depth` counts the containers around a member, its own object included.
pub trait Sink {
    /// A byte that all wanted names have in the same place, and how far that is behind the quote before them.
    fn hint(&self) -> (u32, u8);
    /// Of which depth the next container's end is to be told, where any has to be: of an object in which a wanted member
    /// was found, or of a wanted value.
    fn watched(&self) -> Option<usize>;
    /// Which member it is that is named `raw` (the bytes between the quotes), if it is wanted.
    fn wants(&mut self, raw: &[u8], escaped: bool) -> Option<Member>;
    /// A wanted member was found.
    fn found(&mut self, member: Member, depth: usize);
    /// A wanted value begins at `at`.
    fn begin(&mut self, at: u64, gaps: Gaps<'_>);
    /// Whether the value that ends in the container at `depth` is one that was wanted.
    fn awaits(&self, depth: usize) -> bool;
    /// The wanted value ended before `at`.
    fn end(&mut self, at: u64, value: Value<'_>);
    /// A wanted member was found, and its value seen as a whole, from here to there.
    fn whole(&mut self, member: Member, depth: usize, at: Range<u64>, gaps: Gaps<'_>, value: Value<'_>) {
        self.found(member, depth);
        self.begin(at.start, gaps);
        self.end(at.end, value);
    }
    /// The container at `depth` was closed, which may hold a wanted member; `at` is the offset after its bracket.
    fn close(&mut self, at: u64, depth: usize);
    /// The same, and the wanted value ended that this container is, if it is one.
    #[inline(always)]
    fn leave(&mut self, at: u64, depth: usize) {
        self.close(at, depth);
        if self.awaits(depth - 1) {
            self.end(at, Value::Other);
        }
    }
}
