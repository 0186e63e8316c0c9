//! Costs and usage. Each number is a function of time, key and model: a request always has the same response, and sums
//! do not depend on the grouping.
use std::collections::BTreeMap;

use http::StatusCode;

use super::endpoints::{COSTS, DemoReport, USAGE};
use super::organization::{KEYS, OpenaiKey, PROJECTS};
use super::params::{QueryParams, format_cursor, invalid_parameter, parse_cursor};
use super::response::{DAY, DemoResponse, DemoResult, error_response, now, scramble};

/// A supported width of buckets, with the default and the largest number of buckets in a page.
struct BucketWidth {
    name: &'static str,
    seconds: u64,
    default_limit: u64,
    max_limit: u64,
}

const COSTS_WIDTHS: [BucketWidth; 1] =
    [BucketWidth { name: "1d", seconds: DAY, default_limit: 7, max_limit: 180 }];

const USAGE_WIDTHS: [BucketWidth; 3] = [
    BucketWidth { name: "1d", seconds: DAY, default_limit: 7, max_limit: 31 },
    BucketWidth { name: "1h", seconds: 3_600, default_limit: 24, max_limit: 168 },
    BucketWidth { name: "1m", seconds: 60, default_limit: 60, max_limit: 1_440 },
];

/// The query of a report. Times are in Unix seconds.
struct ReportQuery<'a> {
    /// The width of a bucket in seconds.
    width: u64,
    /// The maximum number of buckets in a page.
    limit: usize,
    /// The start of the first bucket.
    start: u64,
    end: u64,
    groups: Vec<&'a str>,
}

/// Usage of one model by one key, or by the playground, which has no key.
struct UsageRecord {
    key: Option<&'static OpenaiKey>,
    model: &'static str,
    line_item: &'static str,
    seed: u64,
}

/// The rows of a bucket: from the values of the grouping members to the sums of the numbers.
type Rows = BTreeMap<Vec<Option<String>>, Vec<u128>>;

pub(super) fn costs(params: &QueryParams) -> DemoResult {
    report_page(&COSTS, params, &COSTS_WIDTHS)
}

pub(super) fn usage(kind: &str, params: &QueryParams) -> DemoResult {
    let Some(report) = USAGE.iter().find(|report| report.path == kind) else {
        return Err(error_response(StatusCode::NOT_FOUND, "No such kind of usage.", None, "unknown_url"));
    };
    report_page(report, params, &USAGE_WIDTHS)
}

/// Returns one page of a report: the buckets from the query's start, up to its limit or end. An error is the response to
/// an invalid query.
fn report_page(report: &DemoReport, params: &QueryParams, widths: &[BucketWidth]) -> DemoResult {
    let query = ReportQuery::parse(report, params, widths)?;
    let mut records = list_records(report);
    records.retain(|record| record.matches(params));

    let mut buckets = Vec::new();
    let mut time = query.start;
    while buckets.len() < query.limit && time < query.end {
        let rows = sum_rows(report, &records, &query, time);
        buckets.push(format_bucket(report, &rows, time, time + query.width));
        time += query.width;
    }
    let has_more = time < query.end;
    let next_page = if has_more { format!("\"{}\"", format_cursor(time)) } else { "null".into() };
    let body = format!(
        r#"{{"object":"page","data":[{}],"has_more":{has_more},"next_page":{next_page}}}"#,
        buckets.join(",")
    );
    Ok(DemoResponse(StatusCode::OK, body))
}

impl<'a> ReportQuery<'a> {
    /// Parses the query of a report. Returns the response to the first invalid parameter as an error.
    fn parse(
        report: &DemoReport,
        params: &'a QueryParams,
        widths: &[BucketWidth],
    ) -> Result<Self, DemoResponse> {
        let width_name = params.first("bucket_width").unwrap_or("1d");
        let Some(width) = widths.iter().find(|width| width.name == width_name) else {
            return Err(invalid_parameter("bucket_width", width_name, "a supported width"));
        };
        let limit = params.limit(width.default_limit, width.max_limit)?;
        let Some(start_time) = params.number("start_time")? else {
            let message = "Missing required parameter: 'start_time'.";
            let code = "missing_required_parameter";
            return Err(error_response(StatusCode::BAD_REQUEST, message, Some("start_time"), code));
        };
        let end = params.number("end_time")?.unwrap_or_else(now);
        let groups = params.list("group_by");
        if let Some(unsupported) = groups.iter().find(|group| !report.groups.contains(group)) {
            let expected = format!("one of {}", report.groups.join(", "));
            return Err(invalid_parameter("group_by", unsupported, &expected));
        }
        let start = match params.first("page") {
            None => start_time - start_time % width.seconds,
            Some(cursor) => parse_cursor(cursor)
                .ok_or_else(|| invalid_parameter("page", cursor, "the next_page of a response"))?,
        };
        Ok(Self { width: width.seconds, limit, start, end, groups })
    }
}

/// Returns the usage of each model by each key and by the playground.
fn list_records(report: &DemoReport) -> Vec<UsageRecord> {
    let keys = KEYS.iter().map(Some).chain([None]);
    let mut records = Vec::new();
    for (key_index, key) in keys.enumerate() {
        for (model_index, &(model, line_item)) in report.models.iter().enumerate() {
            // No report has 31 models, so the index is unique.
            let index = (key_index * 31 + model_index) as u64;
            let seed = scramble(index ^ (report.object.len() as u64) << 32);
            records.push(UsageRecord { key, model, line_item, seed });
        }
    }
    records
}

impl UsageRecord {
    /// Returns the value of a member as JSON, or `None` for null.
    fn member(&self, name: &str) -> Option<String> {
        let text = match name {
            "project_id" => self.key.map_or(PROJECTS[2].id, |key| key.project),
            "user_id" => self.key.map_or("user-dara", |key| key.user),
            "api_key_id" => self.key?.id,
            "model" => self.model,
            "line_item" => self.line_item,
            "batch" => return Some(self.seed.is_multiple_of(7).to_string()),
            "service_tier" => "default",
            "size" => "1024x1024",
            "source" => "image.generation",
            "context_level" => "medium",
            "vector_store_id" => "vs_demo",
            _ => return None,
        };
        Some(format!("\"{text}\""))
    }

    /// True if each filter of the query is absent, or contains the record's value.
    fn matches(&self, params: &QueryParams) -> bool {
        const FILTERS: [(&str, &str); 4] = [
            ("project_ids", "project_id"),
            ("user_ids", "user_id"),
            ("api_key_ids", "api_key_id"),
            ("models", "model"),
        ];
        FILTERS.iter().all(|(filter, name)| {
            let allowed = params.list(filter);
            let value = self.member(name).unwrap_or_default();
            allowed.is_empty() || allowed.contains(&value.trim_matches('"'))
        })
    }

    /// Returns the record's part of the number at `index` in a bucket. `used` is pseudorandom.
    fn amount(&self, report: &DemoReport, index: usize, used: u64, width: u64) -> u128 {
        let weight = self.key.map_or(3, |key| key.weight);
        let random = scramble(used.wrapping_add(index as u64)) % 10_000;
        // The numbers of a row become smaller from the first to the last.
        let amount = u128::from(random * weight * width / 3_600 / (1 + 40 * index as u64));
        if report.path == "costs" {
            // 28 decimals, which an f64 cannot represent: a proxy that parses and prints would change them.
            amount * 10_u128.pow(22) + u128::from(used)
        } else {
            amount
        }
    }
}

/// Returns the rows of the bucket that begins at `time`.
///
/// Records with equal values of the members in `group_by` share a row. All other members of a row are null.
fn sum_rows(report: &DemoReport, records: &[UsageRecord], query: &ReportQuery<'_>, time: u64) -> Rows {
    let mut rows = Rows::new();
    for record in records {
        let used = scramble(record.seed ^ time);
        // In short buckets a third of the keys is idle.
        if query.width < DAY && used.is_multiple_of(3) {
            continue;
        }
        let mut row = Vec::new();
        for name in report.groups {
            row.push(if query.groups.contains(name) { record.member(name) } else { None });
        }
        let sums = rows.entry(row).or_insert_with(|| vec![0; report.numbers.len()]);
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum += record.amount(report, index, used, query.width);
        }
    }
    rows
}

/// Returns the JSON of a bucket. A cost is a decimal with 28 places, and other numbers are integers.
fn format_bucket(report: &DemoReport, rows: &Rows, start: u64, end: u64) -> String {
    const ONE: u128 = 10_u128.pow(28);
    let mut results = Vec::new();
    for (row, sums) in rows {
        let mut result = format!(r#"{{"object":"{}""#, report.object);
        for (name, sum) in report.numbers.iter().zip(sums) {
            result += &match *name {
                "amount" => {
                    format!(r#","amount":{{"value":{}.{:028},"currency":"usd"}}"#, sum / ONE, sum % ONE)
                }
                _ => format!(r#","{name}":{sum}"#),
            };
        }
        for (name, value) in report.groups.iter().zip(row) {
            result += &format!(r#","{name}":{}"#, value.as_deref().unwrap_or("null"));
        }
        results.push(result + "}");
    }
    let results = results.join(",");
    format!(r#"{{"object":"bucket","start_time":{start},"end_time":{end},"results":[{results}]}}"#)
}
