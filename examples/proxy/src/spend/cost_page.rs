//! The sums of one page of costs, and the rows that are added to them.
use std::mem;

use jiff::Timestamp;
use jiff::civil::Date;

use super::cost_api::CostApi;
use super::cost_api::anthropic::AnthropicRow;
use super::cost_api::openai::OpenAiRow;
use super::input::{PageInput, ValueError};
use super::json_object::JsonObject;
use super::periods::{DayRange, day_of};
use super::query::SpendQuery;
use super::row::{CostRow, GroupValue, RowError};
use super::sums::{DaySums, PageSums, Texts};

/// The sums of a page, and the cursor of the next one.
#[derive(Debug, Default)]
pub struct CostPage {
    pub sums: PageSums,
    /// `None` on the last page.
    pub next_cursor: Option<String>,
    /// The days of the rows or buckets, in their order, without repetitions in a row.
    pub days: Vec<Date>,
    /// The number of rows that lack a member by which the request groups.
    pub incomplete_rows: u64,
    /// The number of rows of days that were not requested.
    pub unrequested_rows: u64,
    /// The number of all rows, including those of days that were not requested.
    pub row_count: u64,
}

/// The reason why a response is not a page of costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PageError {
    #[error("the response ended early")]
    Truncated,
    #[error("the response is not valid JSON")]
    InvalidJson,
    #[error("the response is not a page of costs; check the base URL")]
    NotCosts,
    #[error("the response contains a value of more than 1 MiB")]
    ValueTooLong,
    #[error("the member {0:?} occurs twice")]
    DuplicateMember(&'static str),
    #[error("the member {0:?} is absent")]
    MissingMember(&'static str),
    #[error("the costs are those of more than one day")]
    NotDaily,
    #[error("the response has no cursor, but there are more pages")]
    NoCursor,
    #[error("row {row}: {error}")]
    Row { row: u64, error: RowError },
}

/// Parses the rows of one page, and adds their amounts.
pub struct PageAccumulator<'q> {
    api: &'static CostApi,
    /// The organization of the credential.
    organization: Option<String>,
    query: &'q SpendQuery,
    /// The requested days. Rows of other days are not added.
    days: DayRange,
    page: CostPage,
    /// The bucket that is being parsed. Its day may not be known yet.
    bucket: OpenBucket,
}

/// The sums of a bucket that is being parsed.
#[derive(Debug, Default)]
struct OpenBucket {
    sums: DaySums,
    row_count: u64,
    rows_without_amount: u64,
    incomplete_rows: u64,
}

impl<'q> PageAccumulator<'q> {
    /// Creates an empty page.
    pub fn new(
        api: &'static CostApi,
        organization: Option<String>,
        query: &'q SpendQuery,
        days: DayRange,
    ) -> Self {
        let page = CostPage::default();
        let bucket = OpenBucket::default();
        Self { api, organization, query, days, page, bucket }
    }

    /// True if the rows of the page are in buckets.
    pub fn has_buckets(&self) -> bool {
        self.api.has_buckets
    }

    /// Returns the number of rows parsed so far.
    pub fn row_count(&self) -> u64 {
        self.page.row_count
    }

    /// Parses a row and adds its amount. Returns false if the row is incomplete.
    pub fn parse_row(&mut self, input: &mut PageInput, texts: &mut Texts) -> Result<bool, PageError> {
        let row = self.page.row_count + 1;
        let result = if self.api.has_buckets {
            self.parse_openai_row(input, texts)
        } else {
            self.parse_anthropic_row(input, texts)
        };
        match result {
            Ok(true) => {
                self.page.row_count = row;
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(ParseRowError::Row(error)) => Err(PageError::Row { row, error }),
            Err(ParseRowError::Value(ValueError::UnexpectedType)) => {
                Err(PageError::Row { row, error: RowError::UnexpectedType })
            }
            Err(ParseRowError::Value(error)) => Err(error.into()),
        }
    }

    /// Parses a row of the open bucket. Returns false if the row is incomplete.
    fn parse_openai_row(&mut self, input: &mut PageInput, texts: &mut Texts) -> Result<bool, ParseRowError> {
        let Some(JsonObject(row)) = input.parse_value::<JsonObject<OpenAiRow<'_>>>()? else {
            return Ok(false);
        };
        let cost_row = row.into_cost_row(self.api, self.organization.as_deref())?;
        self.bucket.add_row(cost_row, self.query, texts);
        Ok(true)
    }

    /// Parses a row with a day of its own, which is added like a bucket. Returns false if the row is incomplete.
    fn parse_anthropic_row(
        &mut self,
        input: &mut PageInput,
        texts: &mut Texts,
    ) -> Result<bool, ParseRowError> {
        let Some(JsonObject(row)) = input.parse_value::<JsonObject<AnthropicRow<'_>>>()? else {
            return Ok(false);
        };
        let day = row.day()?;
        let cost_row = row.into_cost_row(self.organization.as_deref())?;
        self.bucket.add_row(cost_row, self.query, texts);
        self.close_bucket(day);
        Ok(true)
    }

    /// Ends the open bucket, which begins at a Unix time. An error means that the time is out of range.
    pub fn end_bucket(&mut self, start_time: i64) -> Result<(), PageError> {
        let time = Timestamp::from_second(start_time).map_err(|_| PageError::NotCosts)?;
        self.close_bucket(day_of(time));
        Ok(())
    }

    /// Adds the sums of the open bucket to its day. If the day is not requested, counts the rows instead.
    fn close_bucket(&mut self, day: Date) {
        let bucket = mem::take(&mut self.bucket);
        if self.page.days.last() != Some(&day) {
            self.page.days.push(day);
        }
        if !self.days.contains(day) {
            self.page.unrequested_rows += bucket.row_count;
            return;
        }
        self.page.sums.days.entry(day).or_default().add_sums(bucket.sums);
        self.page.sums.rows_without_amount += bucket.rows_without_amount;
        self.page.incomplete_rows += bucket.incomplete_rows;
    }

    /// Returns the page after its last row.
    pub fn finish(self, next_cursor: Option<String>) -> CostPage {
        CostPage { next_cursor, ..self.page }
    }
}

/// The reason why a row cannot be parsed or added.
enum ParseRowError {
    Value(ValueError),
    Row(RowError),
}

impl OpenBucket {
    /// Adds the amount of a row, and counts the row if it lacks a member. `None` is a row without an amount.
    fn add_row(&mut self, row: Option<CostRow<'_>>, query: &SpendQuery, texts: &mut Texts) {
        self.row_count += 1;
        let Some(row) = row else {
            self.rows_without_amount += 1;
            return;
        };
        if query.dimensions.iter().any(|dimension| row.value(*dimension) == GroupValue::Absent) {
            self.incomplete_rows += 1;
        }
        self.sums.add_row(&row, &query.dimensions, texts);
    }
}

impl From<ValueError> for ParseRowError {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

impl From<RowError> for ParseRowError {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<ValueError> for PageError {
    fn from(error: ValueError) -> Self {
        match error {
            ValueError::InvalidJson => Self::InvalidJson,
            ValueError::UnexpectedType => Self::NotCosts,
            ValueError::TooLong => Self::ValueTooLong,
        }
    }
}
