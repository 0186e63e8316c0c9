//! Decisions read from bytes that a fuzzer mutates and a property test shrinks.

/// The remaining decisions. After the last byte every decision is the first alternative.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Below 65,536.
    pub fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    pub fn yes(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// Returns up to `count` of the remaining bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(count.min(self.0.len()));
        self.0 = left;
        taken
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// Returns up to `most` offsets at which to cut a text of any length.
    pub fn cuts(&mut self, most: u8) -> Vec<usize> {
        (0..self.byte() % (most + 1)).map(|_| self.number()).collect()
    }
}

/// Cuts a text at these offsets. Two equal offsets produce an empty chunk.
pub fn cut<'t>(text: &'t [u8], places: &[usize]) -> Vec<&'t [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

/// Cuts a text into single bytes, and a long text into at most 600 chunks.
pub fn crumbs(text: &[u8]) -> Vec<&[u8]> {
    text.chunks(1 + text.len() / 600).collect()
}
