//! Arrays and objects around a place.

use super::MAX_DEPTH;

/// Up to here several containers can be asked for, or replaced, at once: their bits are in the first word.
pub(super) const SHALLOW: usize = 48;

/// Which containers are open, a bit each: set for an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Nest {
    objects: [u64; MAX_DEPTH / 64],
    pub(super) depth: usize,
}

impl Nest {
    pub(super) fn push(&mut self, object: bool) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        true
    }

    pub(super) fn pop(&mut self) {
        self.depth -= 1;
    }

    /// Whether the innermost containers are of these kinds: a bit for each, the outermost first, set for an object.
    /// Only up to [`SHALLOW`].
    #[inline(always)]
    pub(super) fn ends_with(&self, many: usize, objects: u8) -> bool {
        let Some(outer) = self.depth.checked_sub(many) else { return false };
        (self.objects[0] >> (outer % 64)) & !(u64::MAX << (many % 64)) == u64::from(objects)
    }

    /// Ends some containers and begins others, the outermost first. Only up to [`SHALLOW`].
    #[inline(always)]
    pub(super) fn replace(&mut self, closed: usize, opened: usize, objects: u8) {
        let outer = self.depth - closed;
        let mask = !(u64::MAX << (opened % 64)) << (outer % 64);
        self.objects[0] = self.objects[0] & !mask | u64::from(objects) << (outer % 64);
        self.depth = outer + opened;
    }

    /// Whether the innermost container is an object; `None` outside of any.
    #[inline(always)]
    pub(super) fn in_object(&self) -> Option<bool> {
        self.is_object(self.depth)
    }

    /// Whether the container at this depth is an object.
    #[inline(always)]
    pub(super) fn is_object(&self, depth: usize) -> Option<bool> {
        let at = depth.checked_sub(1)?;
        Some(self.objects[at / 64 % (MAX_DEPTH / 64)] >> (at % 64) & 1 == 1)
    }
}
