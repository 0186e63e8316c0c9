//! An incremental scanner of JSON (RFC 8259): it receives chunks and reports offsets.
//!
//! It accepts exactly the grammar of the RFC in UTF-8, with at most [`MAX_DEPTH`] nested containers. It does not
//! recurse, and it builds no tree. The ends of chunks change nothing in the result: not the verdict, not the offset of an
//! error, not the events.
//!
//! The path of a chunk: [`Scanner::feed`] wraps it in a `cursor`. The `templates` skip the members that repeat those of
//! earlier rows; the `plain` scanner reads all others with the functions of `token`, and keeps the stack of open
//! `containers`. Both report the members that the [`Sink`] wants. All offsets count bytes from the start of the body.

mod containers;
mod cursor;
mod plain;
mod sink;
mod templates;
mod token;

#[cfg(any(test, feature = "_internal"))]
pub use self::containers::MAX_DEPTH;
use self::cursor::Cursor;
use self::plain::PlainScanner;
pub use self::sink::{MemberValue, Sink, WhiteSpace};
pub use self::templates::TemplateCache;
use self::templates::Templates;
use super::text::{MAX_RAW_NAME, MAX_RAW_TEXT};

/// The longest run of white space that is repeated around an inserted member.
///
/// A longer run is not formatting, and a body must not be able to make its copy large.
pub const MAX_WHITE_SPACE: usize = 256;

/// The bytes that the end of a member can refer to: its white space, its name, its text and six punctuation marks.
const MAX_TAIL: usize = 3 * MAX_WHITE_SPACE + MAX_RAW_NAME + MAX_RAW_TEXT + 6;

/// The reason why a scan stopped.
///
/// `offset` is that of the first byte that no valid document has there, or the length of a truncated document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// The document violates the grammar, or it is not UTF-8.
    NotJson { offset: u64 },
    /// The container at `offset` is nested deeper than [`MAX_DEPTH`].
    TooDeep { offset: u64 },
}

impl ScanError {
    /// Returns the offset of the error in the body.
    pub fn offset(self) -> u64 {
        match self {
            ScanError::NotJson { offset } | ScanError::TooDeep { offset } => offset,
        }
    }
}

/// A scan of one document for a sink with members of the type `M`.
#[derive(Clone, Debug)]
pub struct Scanner<M> {
    plain: PlainScanner<M>,
    templates: Templates<M>,
    /// The number of bytes in the chunks so far.
    scanned: u64,
    /// The last bytes of the chunks so far, for a member that continues in the next one.
    tail: Vec<u8>,
}

impl<M: Copy> Default for Scanner<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Copy> Scanner<M> {
    pub fn new() -> Self {
        Self { plain: PlainScanner::new(), templates: Templates::new(), scanned: 0, tail: Vec::new() }
    }

    /// Creates a scanner that reads all members with the plain scanner.
    #[cfg(feature = "proxy-keys")]
    pub fn without_templates() -> Self {
        Self { templates: Templates::disabled(), ..Self::new() }
    }

    /// Starts the next document. Keeps the templates and the memory.
    #[cfg(feature = "proxy-keys")]
    pub fn restart(&mut self) {
        self.plain = PlainScanner::new();
        self.scanned = 0;
        self.tail.clear();
    }

    /// Starts with the templates of an earlier body.
    pub fn take_templates(&mut self, cache: &TemplateCache<M>) {
        self.templates = cache.take();
    }

    /// Leaves the templates to the next body.
    pub fn store_templates(&mut self, cache: &TemplateCache<M>) {
        cache.store(&mut self.templates);
    }

    /// Returns the number of bytes scanned so far.
    pub fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Scans the next chunk, and reports its members to the sink. Returns an error at the first byte that is not JSON.
    /// After an error the scanner must not be used.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink<Member = M>) -> Result<(), ScanError> {
        let mut cursor = Cursor::new(&self.tail, chunk, self.scanned);
        self.plain.resume_token(&mut cursor, sink)?;
        // The two scanners alternate: the templates skip predicted members, and the plain scanner reads one that is not.
        while !cursor.rest.is_empty() {
            self.templates.scan(&mut self.plain, &mut cursor, sink);
            let templates_can_resume =
                |plain: &PlainScanner<M>, cursor: &Cursor<'_>| self.templates.is_ready(plain, cursor);
            self.plain.scan_until(templates_can_resume, &mut cursor, sink)?;
        }
        self.keep_tail(chunk);
        self.scanned += chunk.len() as u64;
        Ok(())
    }

    /// Ends the document. Returns an error if it is truncated.
    pub fn finish(&self) -> Result<(), ScanError> {
        if self.plain.may_end() { Ok(()) } else { Err(ScanError::NotJson { offset: self.scanned }) }
    }

    /// Keeps the bytes from the start of the last member to the end of the chunk, which is not counted in `scanned` yet.
    ///
    /// Of a long member at least the last [`MAX_TAIL`] bytes are kept.
    fn keep_tail(&mut self, chunk: &[u8]) {
        let chunk_start = self.scanned;
        let chunk_end = chunk_start + chunk.len() as u64;
        let tail_start = self.plain.member_start().max(chunk_end.saturating_sub(MAX_TAIL as u64));
        if tail_start >= chunk_start {
            self.tail.clear();
            self.tail.extend_from_slice(&chunk[(tail_start - chunk_start) as usize..]);
            return;
        }
        // The tail is shortened only when it is twice too long, so that small chunks do not move its bytes each time.
        if self.tail.len() > 2 * MAX_TAIL {
            self.tail.drain(..self.tail.len() - MAX_TAIL);
        }
        self.tail.extend_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests;
