//! Reproducible random numbers, from the seed and a position in the run.

/// The generator SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Makes a generator that is independent of those at other places.
    pub(crate) fn new(seed: u64, place: u64) -> Self {
        let mut place = Self(place);
        Self(seed ^ place.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Returns an element with a probability in proportion to its weight.
    pub(crate) fn pick_weighted<'a, T>(&mut self, all: &'a [T], weight: impl Fn(&T) -> usize) -> &'a T {
        let mut at = self.below(all.iter().map(&weight).sum());
        for it in all {
            match at.checked_sub(weight(it)) {
                Some(rest) => at = rest,
                None => return it,
            }
        }
        unreachable!("below the sum of all")
    }
}
