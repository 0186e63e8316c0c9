//! Arrays and objects around a place.

use super::MAX_DEPTH;

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
