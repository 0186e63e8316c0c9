//! The open arrays and objects.

/// The deepest nesting of arrays and objects.
///
/// Responses of the APIs nest 4 deep; most parsers stop at 128.
pub const MAX_DEPTH: usize = 1024;

/// A stack with one bit per open container: 1 for an object, 0 for an array.
#[derive(Clone, Debug)]
pub(super) struct Containers {
    kinds: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Containers {
    pub(super) fn new() -> Self {
        Self { kinds: [0; MAX_DEPTH / 64], depth: 0 }
    }

    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Opens a container. Returns false if [`MAX_DEPTH`] containers are open.
    #[inline(always)]
    pub(super) fn push(&mut self, is_object: bool) -> bool {
        let Some(word) = self.kinds.get_mut(self.depth / 64) else { return false };
        let bit = self.depth % 64;
        *word = *word & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
        true
    }

    /// Closes the innermost container. At least one is open.
    #[inline(always)]
    pub(super) fn pop(&mut self) {
        self.depth -= 1;
    }

    /// True if the innermost container is an object; `None` outside of all containers.
    #[inline(always)]
    pub(super) fn is_in_object(&self) -> Option<bool> {
        self.is_object(self.depth)
    }

    /// True if the container at this depth is an object; `None` at depth 0.
    #[inline(always)]
    pub(super) fn is_object(&self, depth: usize) -> Option<bool> {
        let index = depth.checked_sub(1)?;
        // The second remainder replaces a bounds check.
        let word = self.kinds[index / 64 % (MAX_DEPTH / 64)];
        Some(word >> (index % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Containers, MAX_DEPTH};

    #[test]
    fn push_beyond_the_deepest_level_is_rejected() {
        let mut containers = Containers::new();
        assert!((0..MAX_DEPTH).all(|depth| containers.push(depth % 3 == 0)));
        assert!(!containers.push(true));
        for depth in (1..=MAX_DEPTH).rev() {
            assert_eq!(containers.is_in_object(), Some((depth - 1) % 3 == 0));
            containers.pop();
        }
        assert_eq!(containers.is_in_object(), None);
    }
}
