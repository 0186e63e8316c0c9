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

    /// The containers, where they are no more than [`Around::MOST`].
    pub(super) fn around(&self) -> Around {
        Around::of(self.objects[0], self.depth)
    }

    pub(super) fn set(&mut self, around: Around) {
        (self.objects[0], self.depth) = (around.objects(), around.depth());
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

/// The containers around a place: a bit for each, the innermost lowest, set for an object; and above all a bit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around(u64);

impl Around {
    /// So many can be told of.
    pub(super) const MOST: usize = 62;

    /// Given a bit for each, the outermost lowest.
    pub(super) fn of(objects: u64, depth: usize) -> Self {
        Self(1 << depth | (objects.reverse_bits() >> 1) >> (63 - depth))
    }

    pub(super) fn objects(self) -> u64 {
        (self.0 ^ 1 << self.depth()).reverse_bits() >> 1 >> (63 - self.depth())
    }

    pub(super) fn depth(self) -> usize {
        self.0.ilog2() as usize
    }

    /// A bit: set in an object.
    #[inline(always)]
    pub(super) fn in_object(self) -> u64 {
        self.0 & 1
    }

    /// Begins or ends a container, given a bit for one that begins, and one for an object. Says whether that may be:
    /// neither of the outermost, nor of one too many, nor of another kind; if not, this means nothing any more.
    #[inline(always)]
    pub(super) fn pass(&mut self, [begins, object]: [u64; 2]) -> bool {
        let may_begin = self.0 >> Self::MOST == 0;
        let may_end = (self.0 & 1 == object) & (self.0 > 0b11);
        self.0 = if begins == 1 { self.0 << 1 | object } else { self.0 >> 1 };
        if begins == 1 { may_begin } else { may_end }
    }
}
