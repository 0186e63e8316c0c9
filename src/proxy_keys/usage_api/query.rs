//! The query of a request: its buckets, filters and dimensions.

use std::ops::Range;

use jiff::Timestamp;

use super::bucket::BucketUnit;
use super::endpoint::UsageEndpoint;
use super::grouping::Grouping;
use super::page_cursor::PageCursor;
use super::parameters::{UsageParameters, refuse_value};
use super::row_filter::RowFilter;
use crate::proxy_keys::gate::Refusal;
use crate::proxy_keys::visibility::VisibleUsage;

/// A checked query. Its page has at least one bucket.
pub(super) struct UsageQuery {
    pub(super) endpoint: UsageEndpoint,
    pub(super) unit: BucketUnit,
    pub(super) filter: RowFilter,
    pub(super) grouping: Grouping,
    /// The start of the first bucket of the page, in seconds since 1970.
    pub(super) page_start: i64,
    /// The end of the last bucket of the page.
    pub(super) page_end: i64,
    /// The end of the last bucket of all pages.
    range_end: i64,
}

impl UsageQuery {
    /// Parses the query of a request by a caller who may see these rows. Returns a refusal for the first parameter that is not
    /// accepted.
    pub(super) fn parse(
        endpoint: UsageEndpoint,
        query: &str,
        visible: VisibleUsage,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let parameters = UsageParameters::parse(endpoint, query)?;
        let unit = parse_unit(endpoint, &parameters)?;
        let range = parse_range(unit, &parameters, now)?;
        let limit = parameters.limit(unit.default_limit(), unit.max_limit(endpoint))?;
        Ok(Self {
            endpoint,
            unit,
            filter: RowFilter::parse(endpoint, &parameters, visible)?,
            grouping: Grouping::parse(endpoint, &parameters)?,
            page_start: range.start,
            page_end: range.end.min(range.start + limit * unit.seconds()),
            range_end: range.end,
        })
    }

    /// Returns the cursor of the next page, or `None` if this page is the last one.
    pub(super) fn next_page(&self) -> Option<PageCursor> {
        if self.page_end == self.range_end {
            return None;
        }
        Some(PageCursor { unit: self.unit, start: self.page_end, end: self.range_end })
    }
}

/// Returns the width of the buckets. Returns a refusal if the endpoint does not have it.
fn parse_unit(endpoint: UsageEndpoint, parameters: &UsageParameters<'_>) -> Result<BucketUnit, Refusal> {
    let Some(text) = parameters.text("bucket_width")? else { return Ok(BucketUnit::Day) };
    match (BucketUnit::parse(&text), endpoint) {
        (Some(BucketUnit::Day), _) => Ok(BucketUnit::Day),
        (_, UsageEndpoint::Costs) => Err(refuse_value("bucket_width", "must be 1d")),
        (Some(unit), _) => Ok(unit),
        (None, _) => Err(refuse_value("bucket_width", "must be 1m, 1h or 1d")),
    }
}

/// Returns the seconds from the start of the page to the end of the last page. They are whole buckets, at least one.
///
/// Without `end_time`, the last bucket contains `now`. A cursor in `page` contains the end of the range, so all pages of a
/// query end at the same instant.
fn parse_range(
    unit: BucketUnit,
    parameters: &UsageParameters<'_>,
    now: Timestamp,
) -> Result<Range<i64>, Refusal> {
    let Some(start_time) = parameters.second("start_time")? else {
        return Err(refuse_value("start_time", "is required: the Unix time in seconds of the first bucket"));
    };
    let start = unit.round_down(start_time);
    let end_time = parameters.second("end_time")?;
    let end = match end_time {
        Some(end_time) if end_time <= start_time => {
            return Err(refuse_value("end_time", "must be after start_time"));
        }
        Some(end_time) => unit.round_up(end_time),
        None => unit.round_down(now.as_second()).max(start) + unit.seconds(),
    };
    let Some(page) = parameters.text("page")? else { return Ok(start..end) };
    let rule = "must be the next_page of a response to the same query";
    let Some(cursor) = PageCursor::parse(&page) else { return Err(refuse_value("page", rule)) };
    let is_of_other_end = end_time.is_some() && cursor.end != end;
    if cursor.unit != unit || cursor.start <= start || is_of_other_end {
        return Err(refuse_value("page", rule));
    }
    Ok(cursor.start..cursor.end)
}
