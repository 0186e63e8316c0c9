//! An incremental scanner of JSON (RFC 8259): chunks in, positions out.
//!
//! It accepts exactly the RFC's grammar in UTF-8, to a nesting depth of [`MAX_DEPTH`]; it recurses into
//! nothing and allocates nothing for a token. Where a chunk ends makes no difference to what it says: not
//! to the verdict, not to the offset of a fault, not to what its [`Sink`] hears.
//!
//! `step` takes a byte, or a run of bytes of one kind, from any state to the next: it is the whole scanner. Two ways
//! are faster, and leave to it what is not as usual: `run` goes over members that come in the order of those before,
//! `sweep` over what comes in no order.
//!
//! The scanner knows no member by name. It asks its sink of each name whether the value is wanted, and
//! tells where a wanted value begins and ends; all offsets are bytes from the start of the body.

mod cursor;
mod joint;
mod joints;
mod nest;
mod run;
mod sink;
mod token;
mod value;
mod way;

use std::ops::Range;

use self::cursor::{Cursor, join};
use self::joints::Joints;
pub use self::joints::TemplateCache;
use self::nest::Nest;
pub use self::sink::{Member, MemberValue, Sink, WhiteSpace};
use self::token::{Number, is_short_escape, is_white, utf8_follows};
use self::way::Way;
use super::text::{MAX_RAW_NAME, MAX_RAW_TEXT};
use super::wide::{self, BASE};
#[cfg(any(test, feature = "_internal"))]
use super::wide::{Task, Wide};

/// How deep arrays and objects may nest. Answers of the APIs nest 4 deep; most parsers stop at 128.
pub const MAX_DEPTH: usize = 1024;

/// The longest run of white space that is repeated around an inserted member. A longer one is not
/// formatting, and to repeat it would let a body ask for memory.
pub const MAX_WHITE_SPACE: usize = 256;

/// What the end of a member may need to look back on: three gaps, its name, its text and six tokens.
const LOOK_BACK: usize = 3 * MAX_WHITE_SPACE + MAX_RAW_NAME + MAX_RAW_TEXT + 6;

/// Why a scan ended before its document. `offset` is that of the first byte that no valid document could
/// have there, or the length of a document that lacks its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    NotJson { offset: u64 },
    TooDeep { offset: u64 },
}

impl ScanError {
    pub fn offset(self) -> u64 {
        match self {
            ScanError::NotJson { offset } | ScanError::TooDeep { offset } => offset,
        }
    }
}

/// Where in the grammar the scanner stands: what the next byte may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value (RFC 8259 §3).
    Value,
    /// A value or `]`: just after `[`.
    FirstValue,
    /// A name: after a comma in an object.
    Name,
    /// A name or `}`: just after `{`.
    FirstName,
    /// The colon after a name.
    Colon,
    /// A comma or the end of the container; at depth 0 the end of the document.
    After,
    /// Within a string (§7).
    Text,
    /// Within a string, after a backslash.
    Escape,
    /// Within a string, where so many hexadecimal digits of a `\u` are missing.
    Hex(u8),
    /// Within a string, inside a UTF-8 sequence (§8.1, RFC 3629 §4): so many bytes are missing, the
    /// next of which must lie within these bounds.
    Utf8(u8, u8, u8),
    /// Within a number (§6).
    Number(Number),
    /// Within a literal: what is missing of it.
    Literal(&'static [u8]),
}

/// See the module's own words.
#[derive(Clone, Debug)]
pub struct Scanner {
    state: State,
    nest: Nest,
    /// Bytes scanned.
    scanned: u64,
    /// The string that is being read is a name.
    naming: bool,
    /// The string that is being read has an escape.
    escaped: bool,
    /// The sink wants the value that comes next.
    wanted: bool,
    /// Where the text of the last string begins.
    text: u64,
    /// Of the last member: where the white space before its name begins, its name, its colon.
    gap: u64,
    name: Range<u64>,
    colon: u64,
    /// The last bytes of earlier chunks, for what began there and ends in this one.
    tail: Vec<u8>,
    /// Where what stands on both sides of a seam is joined.
    joined: Vec<u8>,
    /// What stood between values so far.
    joints: Joints,
}

impl Scanner {
    pub fn new() -> Self {
        Self {
            state: State::Value,
            nest: Nest::default(),
            scanned: 0,
            naming: false,
            escaped: false,
            wanted: false,
            text: 0,
            gap: 0,
            name: 0..0,
            colon: 0,
            tail: Vec::new(),
            joined: Vec::new(),
            joints: Joints::default(),
        }
    }

    /// Begins with what an earlier body taught.
    pub fn take_templates(&mut self, learnt: &TemplateCache) {
        learnt.trade(&mut self.joints);
    }

    /// Leaves to the next body what this one taught.
    pub fn store_templates(&mut self, learnt: &TemplateCache) {
        self.joints.refresh();
        learnt.trade(&mut self.joints);
    }

    /// Bytes scanned so far.
    pub fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Scans the next chunk. After a fault the scanner takes no more.
    pub fn feed(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        self.scan(chunk, sink, |way| wide::widest(way))
    }

    /// The same, with bytes judged by this `Wide`.
    #[cfg(any(test, feature = "_internal"))]
    pub fn feed_by(&mut self, wide: impl Wide, chunk: &[u8], sink: &mut impl Sink) -> Result<(), ScanError> {
        self.scan(chunk, sink, |way| way.run(wide))
    }

    #[inline(always)]
    fn scan<S: Sink>(
        &mut self,
        chunk: &[u8],
        sink: &mut S,
        by: impl FnOnce(Way<'_, '_, S>) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let mut cursor = Cursor { chunk, at: 0, base: self.scanned };
        // What this chunk begins with, and the one before ended with, is read step by step.
        if self.scanned == 0 {
            self.joints.begin()
        } else {
            self.joints.lose()
        }
        by(Way { scanner: self, cursor: &mut cursor, sink })?;
        self.keep_tail(&cursor);
        self.scanned += chunk.len() as u64;
        Ok(())
    }

    /// Says that no chunk follows.
    pub fn finish(&mut self) -> Result<(), ScanError> {
        match self.state {
            // Only a number has no end of its own.
            State::Number(number) if number.may_end() && self.nest.depth == 0 => Ok(()),
            State::After if self.nest.depth == 0 => Ok(()),
            _ => Err(ScanError::NotJson { offset: self.scanned }),
        }
    }

    /// Takes at least one byte, or changes the state to one that does.
    #[inline(always)]
    fn step(&mut self, byte: u8, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), ScanError> {
        match self.state {
            State::Text => return self.read_text(cursor, sink),
            State::Escape => {
                self.state = match byte {
                    byte if is_short_escape(byte) => State::Text,
                    b'u' => State::Hex(4),
                    _ => return cursor.fault(),
                }
            }
            State::Hex(left) if byte.is_ascii_hexdigit() => {
                self.state = if left == 1 { State::Text } else { State::Hex(left - 1) }
            }
            State::Utf8(left, low, high) if (low..=high).contains(&byte) => {
                self.state = if left == 1 { State::Text } else { State::Utf8(left - 1, 0x80, 0xBF) }
            }
            State::Hex(_) | State::Utf8(..) => return cursor.fault(),
            State::Number(number) => return self.read_number(number, cursor, sink),
            State::Literal(rest) => match rest.split_first() {
                Some((expected, rest)) if *expected == byte => {
                    if rest.is_empty() {
                        cursor.at += 1;
                        self.end_value(MemberValue::Other, cursor.offset(), sink);
                        return Ok(());
                    }
                    self.state = State::Literal(rest);
                }
                _ => return cursor.fault(),
            },
            // Between tokens there may be white space (§2).
            _ if is_white(byte) => {
                cursor.skip_white_space();
                return Ok(());
            }
            State::Value | State::FirstValue => return self.begin_value(byte, cursor, sink),
            State::Name | State::FirstName => match byte {
                b'"' => self.begin_text(true, cursor),
                b'}' if self.state == State::FirstName => return self.close(cursor, sink),
                _ => return cursor.fault(),
            },
            State::Colon => match byte {
                b':' => {
                    self.colon = cursor.offset();
                    self.state = State::Value;
                }
                _ => return cursor.fault(),
            },
            State::After => match (byte, self.nest.in_object()) {
                (b',', Some(true)) => {
                    self.gap = cursor.offset() + 1;
                    self.state = State::Name;
                }
                (b',', Some(false)) => self.state = State::Value,
                (b'}', Some(true)) | (b']', Some(false)) => return self.close(cursor, sink),
                _ => return cursor.fault(),
            },
        }
        cursor.at += 1;
        Ok(())
    }

    fn begin_value(
        &mut self,
        byte: u8,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), ScanError> {
        if byte == b']' && self.state == State::FirstValue {
            return self.close(cursor, sink);
        }
        let next = match byte {
            b'"' => State::Text,
            b'{' => State::FirstName,
            b'[' => State::FirstValue,
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Int),
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            _ => return cursor.fault(),
        };
        if self.wanted {
            self.wanted = false;
            self.tell_begin(cursor, sink);
        }
        match next {
            State::Text => self.begin_text(false, cursor),
            State::FirstName | State::FirstValue => {
                if !self.nest.push(next == State::FirstName) {
                    return Err(ScanError::TooDeep { offset: cursor.offset() });
                }
                self.gap = cursor.offset() + 1;
                self.state = next;
            }
            _ => self.state = next,
        }
        cursor.at += 1;
        Ok(())
    }

    fn begin_text(&mut self, naming: bool, cursor: &Cursor<'_>) {
        self.naming = naming;
        self.escaped = false;
        self.text = cursor.offset() + 1;
        self.state = State::Text;
    }

    /// From within a string to its end, to a byte that needs care, or to the chunk's end.
    #[inline(always)]
    fn read_text(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), ScanError> {
        cursor.at += wide::plain(BASE, &cursor.chunk[cursor.at..]);
        let Some(&byte) = cursor.chunk.get(cursor.at) else { return Ok(()) };
        self.state = match byte {
            b'"' => {
                let text = self.text..cursor.offset();
                cursor.at += 1;
                if self.naming {
                    self.end_name(text, cursor, sink);
                } else {
                    self.end_text(text, cursor, sink);
                }
                return Ok(());
            }
            b'\\' => {
                self.escaped = true;
                State::Escape
            }
            lead => match utf8_follows(lead) {
                Some((left, low, high)) => State::Utf8(left, low, high),
                None => return cursor.fault(),
            },
        };
        cursor.at += 1;
        Ok(())
    }

    #[inline(always)]
    fn end_name(&mut self, text: Range<u64>, cursor: &Cursor<'_>, sink: &mut impl Sink) {
        self.state = State::Colon;
        self.name = text.clone();
        if text.end - text.start <= MAX_RAW_NAME as u64 {
            let raw = match cursor.slice(&text) {
                Some(raw) => raw,
                None => join(&mut self.joined, &self.tail, cursor, &text),
            };
            if let Some(member) = sink.match_member(raw, self.escaped) {
                self.wanted = true;
                sink.member_start(member, self.nest.depth);
            }
        }
    }

    #[inline(always)]
    fn end_text(&mut self, text: Range<u64>, cursor: &Cursor<'_>, sink: &mut impl Sink) {
        self.state = State::After;
        if !sink.is_value_awaited(self.nest.depth) {
            return;
        }
        let value = if text.end - text.start > MAX_RAW_TEXT as u64 {
            MemberValue::LongString
        } else {
            let raw = match cursor.slice(&text) {
                Some(raw) => raw,
                None => join(&mut self.joined, &self.tail, cursor, &text),
            };
            MemberValue::String { raw, has_escapes: self.escaped }
        };
        sink.value_end(cursor.offset(), value);
    }

    fn read_number(
        &mut self,
        mut number: Number,
        cursor: &mut Cursor<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), ScanError> {
        while let Some(&byte) = cursor.chunk.get(cursor.at) {
            match number.then(byte) {
                Some(next) => number = next,
                None if number.may_end() => {
                    self.end_value(MemberValue::Other, cursor.offset(), sink);
                    return Ok(());
                }
                None => return cursor.fault(),
            }
            cursor.at += 1;
        }
        self.state = State::Number(number);
        Ok(())
    }

    fn close(&mut self, cursor: &mut Cursor<'_>, sink: &mut impl Sink) -> Result<(), ScanError> {
        cursor.at += 1;
        sink.container_end(cursor.offset(), self.nest.depth);
        self.nest.pop();
        self.state = State::After;
        Ok(())
    }

    #[inline(always)]
    fn end_value(&mut self, value: MemberValue<'_>, at: u64, sink: &mut impl Sink) {
        self.state = State::After;
        if sink.is_value_awaited(self.nest.depth) {
            sink.value_end(at, value);
        }
    }

    /// Tells of a wanted value that begins at the cursor, with the white space of its member.
    fn tell_begin(&mut self, cursor: &Cursor<'_>, sink: &mut impl Sink) {
        let ranges =
            [self.gap..self.name.start - 1, self.name.end + 1..self.colon, self.colon + 1..cursor.offset()];
        let mut gaps: WhiteSpace<'_> = [&[]; 3];
        if ranges.iter().all(|r| r.end - r.start <= MAX_WHITE_SPACE as u64) {
            let whole = ranges[0].start..ranges[2].end;
            let member = match cursor.slice(&whole) {
                Some(member) => member,
                None => join(&mut self.joined, &self.tail, cursor, &whole),
            };
            let from = |offset: u64| (offset - whole.start) as usize;
            gaps = ranges.map(|r| &member[from(r.start)..from(r.end)]);
        }
        sink.value_start(cursor.offset(), gaps);
    }

    /// Keeps what the next chunk may need of this one: the open member, so far as it may be looked back on.
    fn keep_tail(&mut self, cursor: &Cursor<'_>) {
        let end = cursor.base + cursor.chunk.len() as u64;
        let from = self.gap.max(end.saturating_sub(LOOK_BACK as u64));
        match from.checked_sub(cursor.base) {
            Some(from) => {
                self.tail.clear();
                self.tail.extend_from_slice(&cursor.chunk[from as usize..]);
            }
            None => {
                // Cut rarely, so that tiny chunks do not move the whole tail each time.
                if self.tail.len() > 2 * LOOK_BACK {
                    self.tail.drain(..self.tail.len() - LOOK_BACK);
                }
                self.tail.extend_from_slice(cursor.chunk);
            }
        }
    }
}
