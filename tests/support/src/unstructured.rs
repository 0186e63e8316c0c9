//! Values from the bytes of a fuzzer or of a property test.

/// The remaining bytes of an input. After the last byte, every value is 0, false or the first choice.
///
/// It is a smaller `arbitrary::Unstructured`: each value takes a fixed number of bytes, so a changed byte changes one
/// value and a removed byte shrinks the case.
pub struct Unstructured<'a>(&'a [u8]);

impl<'a> Unstructured<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// Returns a number below 65,536.
    pub fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    pub fn boolean(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Returns up to `count` of the remaining bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn take_rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    /// Returns up to `max_count` offsets for [`split_at_offsets`].
    pub fn offsets(&mut self, max_count: u8) -> Vec<usize> {
        let count = self.byte() % (max_count + 1);
        (0..count).map(|_| self.number()).collect()
    }
}

/// Splits a text at these offsets, which may exceed its length. Two equal offsets produce an empty chunk.
pub fn split_at_offsets<'t>(text: &'t [u8], offsets: &[usize]) -> Vec<&'t [u8]> {
    let mut ends: Vec<_> = offsets.iter().map(|offset| offset % (text.len() + 1)).collect();
    ends.extend([0, text.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// Splits a text into single bytes, and a long text into at most 600 chunks.
pub fn smallest_chunks(text: &[u8]) -> Vec<&[u8]> {
    text.chunks(1 + text.len() / 600).collect()
}
