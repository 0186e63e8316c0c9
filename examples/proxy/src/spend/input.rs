//! The received bytes of a page, from which each value is parsed as soon as it is complete.
use serde::Deserialize;
use serde_json::Deserializer;

/// The length of the longest value that is parsed: a row, or a skipped member.
pub const MAX_VALUE_LEN: usize = 1 << 20;

/// An incomplete value of this length or more is parsed again only when its length has doubled.
const LONG_VALUE_LEN: usize = 4096;

/// The bytes of a page that are not parsed yet.
#[derive(Debug, Default)]
pub struct PageInput {
    bytes: Vec<u8>,
    /// The offset of the first byte that is not parsed.
    offset: usize,
    /// The end of the bytes that can be parsed. The bytes after it may be a number that continues in the next chunk.
    parsable_end: usize,
    /// The number of bytes from which an incomplete value is parsed again.
    retry_len: usize,
}

/// The reason why a value cannot be parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValueError {
    InvalidJson,
    /// The value is valid JSON of another type.
    UnexpectedType,
    TooLong,
}

impl PageInput {
    /// Adds a chunk, and discards the parsed bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.offset);
        self.offset = 0;
        self.bytes.extend_from_slice(chunk);
        let last_other_byte = self.bytes.iter().rposition(|byte| !is_in_number(*byte));
        self.parsable_end = match last_other_byte {
            Some(offset) => offset + 1,
            None => 0,
        };
    }

    /// False if the bytes end in a long value that is probably still incomplete.
    pub fn is_ready(&self) -> bool {
        self.bytes.len() >= self.retry_len
    }

    /// Returns the offset of the first byte that is not parsed.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Returns to an offset, because the value there is incomplete.
    pub fn rewind(&mut self, offset: usize) {
        self.offset = offset;
        let len = self.bytes.len() - offset;
        // Without this, a long value in short chunks would be parsed once for each chunk.
        self.retry_len = if len < LONG_VALUE_LEN { 0 } else { 2 * len };
    }

    /// Skips white space, and returns the next byte. Returns `None` if all bytes are parsed.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes[..self.parsable_end].get(self.offset) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.offset += 1;
        }
        None
    }

    /// Skips the byte that [`peek`](Self::peek) has returned.
    pub fn skip_byte(&mut self) {
        self.offset += 1;
    }

    /// Parses the next value, which may borrow from the input. Returns `None` if the value is incomplete.
    pub fn parse_value<'a, T: Deserialize<'a>>(&'a mut self) -> Result<Option<T>, ValueError> {
        let unparsed_len = self.bytes.len() - self.offset;
        let parsable_bytes = self.bytes.get(self.offset..self.parsable_end).unwrap_or_default();
        let mut values = Deserializer::from_slice(parsable_bytes).into_iter::<T>();
        let result = values.next();
        let value_len = values.byte_offset();
        match result {
            Some(Ok(_)) if value_len > MAX_VALUE_LEN => Err(ValueError::TooLong),
            Some(Ok(value)) => {
                self.offset += value_len;
                Ok(Some(value))
            }
            Some(Err(error)) if error.is_data() => Err(ValueError::UnexpectedType),
            Some(Err(error)) if !error.is_eof() => Err(ValueError::InvalidJson),
            // The value is incomplete.
            Some(Err(_)) | None if unparsed_len > MAX_VALUE_LEN => Err(ValueError::TooLong),
            Some(Err(_)) | None => Ok(None),
        }
    }
}

/// True if a number can contain the byte (RFC 8259 §6).
fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}
