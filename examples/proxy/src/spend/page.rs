//! An incremental parser for a page of costs.
//!
//! The members of the page and of its buckets may have any order. Rows are parsed one by one, and added to the sums of the
//! page, so that memory grows with the sums and not with the page.
use std::mem;

use serde::de::IgnoredAny;

use super::cost_page::{CostPage, PageAccumulator, PageError};
use super::input::PageInput;
use super::sums::Texts;

/// The length of a bucket.
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// The parser of one page.
pub struct PageParser<'q> {
    accumulator: PageAccumulator<'q>,
    input: PageInput,
    container: Container,
    expected: ExpectedPart,
    page: PageMembers,
    bucket: BucketMembers,
}

/// The object or array that contains the next byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Container {
    /// None yet.
    BeforePage,
    Page,
    /// The array of buckets (OpenAI) or rows (Anthropic).
    Data,
    Bucket,
    /// The array of rows of a bucket.
    Results,
    /// None any more.
    AfterPage,
}

/// The next part of an object or array. An item is a member, a bucket or a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ExpectedPart {
    ItemOrEnd,
    CommaOrEnd,
    Item,
}

/// The parsed members of the page. The outer option is `None` until the member is parsed, the inner one if it is null.
#[derive(Debug, Default)]
struct PageMembers {
    has_data: bool,
    has_more: Option<Option<bool>>,
    next_page: Option<Option<String>>,
}

/// The parsed members of the bucket that is being parsed.
#[derive(Debug, Default)]
struct BucketMembers {
    /// `None` until it is parsed.
    start_time: Option<i64>,
    /// `None` until it is parsed. The member may be absent or null.
    end_time: Option<Option<i64>>,
    has_results: bool,
}

impl<'q> PageParser<'q> {
    /// Creates a parser that adds rows to `accumulator`.
    pub fn new(accumulator: PageAccumulator<'q>) -> Self {
        Self {
            accumulator,
            input: PageInput::default(),
            container: Container::BeforePage,
            expected: ExpectedPart::Item,
            page: PageMembers::default(),
            bucket: BucketMembers::default(),
        }
    }

    /// Returns the number of rows parsed so far.
    pub fn row_count(&self) -> u64 {
        self.accumulator.row_count()
    }

    /// Parses a chunk of the response. The texts of its rows are added to `texts`.
    pub fn push(&mut self, chunk: &[u8], texts: &mut Texts) -> Result<(), PageError> {
        self.input.push(chunk);
        if self.input.is_ready() { self.parse(texts) } else { Ok(()) }
    }

    /// Returns the page, after its last chunk.
    pub fn finish(mut self, texts: &mut Texts) -> Result<CostPage, PageError> {
        self.parse(texts)?;
        if self.container != Container::AfterPage {
            return Err(PageError::Truncated);
        }
        if !self.page.has_data {
            return Err(PageError::MissingMember("data"));
        }
        let next_cursor = self.page.next_cursor()?;
        Ok(self.accumulator.finish(next_cursor))
    }

    /// Parses all complete values.
    fn parse(&mut self, texts: &mut Texts) -> Result<(), PageError> {
        loop {
            let start = self.input.offset();
            let is_complete = self.parse_next(texts)?;
            if !is_complete {
                self.input.rewind(start);
                return Ok(());
            }
        }
    }

    /// Parses the next brace, bracket, comma, member or row. Returns false if it is incomplete.
    fn parse_next(&mut self, texts: &mut Texts) -> Result<bool, PageError> {
        let Some(byte) = self.input.peek() else { return Ok(false) };
        let closing_byte = match self.container {
            Container::BeforePage => return self.open(b'{', Container::Page),
            Container::AfterPage => return Err(PageError::InvalidJson),
            Container::Page | Container::Bucket => b'}',
            Container::Data | Container::Results => b']',
        };
        if self.parse_separator(byte, closing_byte)? {
            return Ok(true);
        }
        match self.container {
            Container::Page | Container::Bucket => self.parse_member(),
            Container::Data if self.accumulator.has_buckets() => self.open(b'{', Container::Bucket),
            _ => self.parse_row(texts),
        }
    }

    /// Parses a comma, or the end of an object or array. Returns false if the next byte begins an item.
    fn parse_separator(&mut self, byte: u8, closing_byte: u8) -> Result<bool, PageError> {
        match self.expected {
            ExpectedPart::CommaOrEnd if byte == b',' => {
                self.input.skip_byte();
                self.expected = ExpectedPart::Item;
                Ok(true)
            }
            ExpectedPart::CommaOrEnd | ExpectedPart::ItemOrEnd if byte == closing_byte => {
                self.input.skip_byte();
                self.close()?;
                Ok(true)
            }
            ExpectedPart::CommaOrEnd => Err(PageError::InvalidJson),
            ExpectedPart::ItemOrEnd | ExpectedPart::Item => Ok(false),
        }
    }

    /// Parses the opening brace or bracket of an object or array. Returns false if it has not arrived.
    fn open(&mut self, opening_byte: u8, container: Container) -> Result<bool, PageError> {
        let Some(byte) = self.input.peek() else { return Ok(false) };
        if byte != opening_byte {
            return Err(PageError::NotCosts);
        }
        self.input.skip_byte();
        self.container = container;
        self.expected = ExpectedPart::ItemOrEnd;
        Ok(true)
    }

    /// Returns to the object or array around the one that has ended.
    fn close(&mut self) -> Result<(), PageError> {
        self.container = match self.container {
            Container::Results => Container::Bucket,
            Container::Bucket => {
                let start_time = mem::take(&mut self.bucket).start_time()?;
                self.accumulator.end_bucket(start_time)?;
                Container::Data
            }
            Container::Data => Container::Page,
            // `parse_next` handles the bytes before and after the page.
            Container::Page | Container::BeforePage | Container::AfterPage => Container::AfterPage,
        };
        self.expected = ExpectedPart::CommaOrEnd;
        Ok(())
    }

    /// Parses a member of the page or of a bucket. Returns false if the member is incomplete.
    ///
    /// For `data` and `results`, parses only the opening bracket.
    fn parse_member(&mut self) -> Result<bool, PageError> {
        let Some(name) = self.input.parse_value::<String>()? else { return Ok(false) };
        if !self.parse_colon()? {
            return Ok(false);
        }
        let is_complete = match (self.container, name.as_str()) {
            (Container::Page, "data") => return self.open_once(Container::Data),
            // An older specification calls the array `result`.
            (Container::Bucket, "results" | "result") => return self.open_once(Container::Results),
            (Container::Page, "has_more") => {
                set_once(&mut self.page.has_more, self.input.parse_value()?, "has_more")?
            }
            (Container::Page, "next_page") => {
                set_once(&mut self.page.next_page, self.input.parse_value()?, "next_page")?
            }
            (Container::Bucket, "start_time") => {
                set_once(&mut self.bucket.start_time, self.input.parse_value()?, "start_time")?
            }
            (Container::Bucket, "end_time") => {
                set_once(&mut self.bucket.end_time, self.input.parse_value()?, "end_time")?
            }
            _ => self.input.parse_value::<IgnoredAny>()?.is_some(),
        };
        if is_complete {
            self.expected = ExpectedPart::CommaOrEnd;
        }
        Ok(is_complete)
    }

    /// Parses the colon after the name of a member. Returns false if it has not arrived.
    fn parse_colon(&mut self) -> Result<bool, PageError> {
        match self.input.peek() {
            None => Ok(false),
            Some(b':') => {
                self.input.skip_byte();
                Ok(true)
            }
            Some(_) => Err(PageError::InvalidJson),
        }
    }

    /// Parses the bracket of an array that must occur once. Returns false if it has not arrived.
    fn open_once(&mut self, array: Container) -> Result<bool, PageError> {
        if !self.open(b'[', array)? {
            return Ok(false);
        }
        let (is_present, name) = match array {
            Container::Data => (&mut self.page.has_data, "data"),
            _ => (&mut self.bucket.has_results, "results"),
        };
        if *is_present {
            return Err(PageError::DuplicateMember(name));
        }
        *is_present = true;
        Ok(true)
    }

    /// Parses a row. Returns false if it is incomplete.
    fn parse_row(&mut self, texts: &mut Texts) -> Result<bool, PageError> {
        let is_complete = self.accumulator.parse_row(&mut self.input, texts)?;
        if is_complete {
            self.expected = ExpectedPart::CommaOrEnd;
        }
        Ok(is_complete)
    }
}

impl PageMembers {
    /// Returns the cursor of the next page, or `None` on the last page. Anthropic's pages may have only the cursor.
    fn next_cursor(self) -> Result<Option<String>, PageError> {
        let has_more = self.has_more.flatten();
        let cursor = self.next_page.flatten().unwrap_or_default();
        match has_more {
            Some(false) => Ok(None),
            _ if !cursor.is_empty() => Ok(Some(cursor)),
            Some(true) => Err(PageError::NoCursor),
            None => Ok(None),
        }
    }
}

impl BucketMembers {
    /// Returns the start of a bucket that has ended. An error means that a member is absent, or that the bucket is longer
    /// than a day.
    fn start_time(self) -> Result<i64, PageError> {
        if !self.has_results {
            return Err(PageError::MissingMember("results"));
        }
        let start_time = self.start_time.ok_or(PageError::MissingMember("start_time"))?;
        match self.end_time.flatten() {
            Some(end_time) if end_time.saturating_sub(start_time) > SECONDS_PER_DAY => {
                Err(PageError::NotDaily)
            }
            _ => Ok(start_time),
        }
    }
}

/// Sets a member that must occur once. Returns false if `value` is `None`, because the value is incomplete.
fn set_once<T>(member: &mut Option<T>, value: Option<T>, name: &'static str) -> Result<bool, PageError> {
    let Some(value) = value else { return Ok(false) };
    if member.is_some() {
        return Err(PageError::DuplicateMember(name));
    }
    *member = Some(value);
    Ok(true)
}

#[cfg(test)]
mod tests;
