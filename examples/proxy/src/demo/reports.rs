//! Costs and usage. Each number is a function of time, key and model: a request always has the same response, and sums
//! do not depend on the grouping.
use std::collections::BTreeMap;
use std::fmt::Write;

use http::StatusCode;

use super::organization::{KEYS, OpenaiKey, PROJECTS};
use super::params::{MAX_TIME, QueryParams, invalid};
use super::response::{DAY, DemoResponse, error, now};

/// One endpoint: the numbers in its rows, and the members for grouping.
struct DemoReport {
    path: &'static str,
    object: &'static str,
    numbers: &'static [&'static str],
    groups: &'static [&'static str],
    /// Pairs of model and line item.
    models: &'static [(&'static str, &'static str)],
}

const COSTS: DemoReport = DemoReport {
    path: "costs",
    object: "organization.costs.result",
    numbers: &["amount"],
    groups: &["project_id", "line_item", "api_key_id"],
    models: &[
        ("gpt-5-2025-08-07", "gpt-5-2025-08-07, input"),
        ("gpt-5-2025-08-07", "gpt-5-2025-08-07, output"),
        ("text-embedding-3-large", "text-embedding-3-large, input"),
    ],
};

const BY_MODEL: &[&str] = &["project_id", "user_id", "api_key_id", "model"];

const USAGE: [DemoReport; 10] = [
    DemoReport {
        path: "completions",
        object: "organization.usage.completions.result",
        numbers: &[
            "input_tokens",
            "output_tokens",
            "input_cached_tokens",
            "input_audio_tokens",
            "output_audio_tokens",
            "num_model_requests",
        ],
        groups: &["project_id", "user_id", "api_key_id", "model", "batch", "service_tier"],
        models: &[("gpt-5-2025-08-07", ""), ("gpt-5-mini-2025-08-07", "")],
    },
    DemoReport {
        path: "embeddings",
        object: "organization.usage.embeddings.result",
        numbers: &["input_tokens", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("text-embedding-3-large", ""), ("text-embedding-3-small", "")],
    },
    DemoReport {
        path: "moderations",
        object: "organization.usage.moderations.result",
        numbers: &["input_tokens", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("omni-moderation-latest", "")],
    },
    DemoReport {
        path: "images",
        object: "organization.usage.images.result",
        numbers: &["images", "num_model_requests"],
        groups: &["project_id", "user_id", "api_key_id", "model", "size", "source"],
        models: &[("gpt-image-1", "")],
    },
    DemoReport {
        path: "audio_speeches",
        object: "organization.usage.audio_speeches.result",
        numbers: &["characters", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("gpt-4o-mini-tts", "")],
    },
    DemoReport {
        path: "audio_transcriptions",
        object: "organization.usage.audio_transcriptions.result",
        numbers: &["seconds", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("gpt-4o-transcribe", "")],
    },
    DemoReport {
        path: "vector_stores",
        object: "organization.usage.vector_stores.result",
        numbers: &["usage_bytes"],
        groups: &["project_id"],
        models: &[("", "")],
    },
    DemoReport {
        path: "code_interpreter_sessions",
        object: "organization.usage.code_interpreter_sessions.result",
        numbers: &["num_sessions"],
        groups: &["project_id"],
        models: &[("", "")],
    },
    DemoReport {
        path: "file_search_calls",
        object: "organization.usage.file_searches.result",
        numbers: &["num_requests"],
        groups: &["project_id", "user_id", "api_key_id", "vector_store_id"],
        models: &[("", "")],
    },
    DemoReport {
        path: "web_search_calls",
        object: "organization.usage.web_searches.result",
        numbers: &["num_model_requests", "num_requests"],
        groups: &["project_id", "user_id", "api_key_id", "model", "context_level"],
        models: &[("gpt-5-2025-08-07", "")],
    },
];

/// Usage of one model by one key, or by the playground, which has no key.
struct UsageRecord {
    key: Option<&'static OpenaiKey>,
    model: &'static str,
    line_item: &'static str,
    seed: u64,
}

impl UsageRecord {
    /// Returns the value of a member as JSON, or `None` for null.
    fn member(&self, name: &str) -> Option<String> {
        let text = match name {
            "project_id" => self.key.map_or(PROJECTS[2].id, |k| k.project),
            "user_id" => self.key.map_or("user-dara", |k| k.user),
            "api_key_id" => self.key?.id,
            "model" => self.model,
            "line_item" => self.line_item,
            "batch" => return Some((self.seed.is_multiple_of(7)).to_string()),
            "service_tier" => "default",
            "size" => "1024x1024",
            "source" => "image.generation",
            "context_level" => "medium",
            "vector_store_id" => "vs_demo",
            _ => return None,
        };
        Some(format!("\"{text}\""))
    }

    fn matches(&self, params: &QueryParams) -> bool {
        [
            ("project_ids", "project_id"),
            ("user_ids", "user_id"),
            ("api_key_ids", "api_key_id"),
            ("models", "model"),
        ]
        .iter()
        .all(|(filter, name)| {
            let values = params.list(filter);
            let member = self.member(name).unwrap_or_default();
            values.is_empty() || values.contains(&member.trim_matches('"'))
        })
    }
}

pub(super) fn costs(params: &QueryParams) -> Result<DemoResponse, DemoResponse> {
    page(&COSTS, params, &[("1d", DAY, 7, 180)])
}

pub(super) fn usage(kind: &str, params: &QueryParams) -> Result<DemoResponse, DemoResponse> {
    let report = USAGE
        .iter()
        .find(|report| report.path == kind)
        .ok_or_else(|| error(StatusCode::NOT_FOUND, "No such kind of usage.", None, "unknown_url"))?;
    let widths = [("1d", DAY, 7, 31), ("1h", 3_600, 24, 168), ("1m", 60, 60, 1_440)];
    page(report, params, &widths)
}

/// Returns one page of a report. A width is a name, its seconds, and the default and the largest page size.
fn page(
    report: &DemoReport,
    params: &QueryParams,
    widths: &[(&str, u64, u64, u64)],
) -> Result<DemoResponse, DemoResponse> {
    let width = params.first("bucket_width").unwrap_or("1d");
    let &(_, width, default, max) = widths
        .iter()
        .find(|(name, ..)| *name == width)
        .ok_or_else(|| invalid("bucket_width", width, "a supported width"))?;
    let limit = params.limit(default, max)?;
    let Some(start) = params.number("start_time")? else {
        return Err(error(
            StatusCode::BAD_REQUEST,
            "Missing required parameter: 'start_time'.",
            Some("start_time"),
            "missing_required_parameter",
        ));
    };
    let end = params.number("end_time")?.unwrap_or_else(now);
    let groups = params.list("group_by");
    if let Some(other) = groups.iter().find(|group| !report.groups.contains(group)) {
        let expected = format!("one of {}", report.groups.join(", "));
        return Err(invalid("group_by", other, &expected));
    }
    let first = match params.first("page") {
        None => start / width * width,
        Some(cursor) => {
            parse_cursor(cursor).ok_or_else(|| invalid("page", cursor, "the next_page of a response"))?
        }
    };

    let records: Vec<UsageRecord> = records(report).filter(|record| record.matches(params)).collect();
    let mut body = String::from(r#"{"object":"page","data":["#);
    let mut time = first;
    for nth in 0..limit {
        if time >= end {
            break;
        }
        if nth > 0 {
            body.push(',');
        }
        write_bucket(&mut body, report, &records, &groups, time, width);
        time += width;
    }
    let more = time < end;
    let _ = write!(body, r#"],"has_more":{more},"next_page":"#);
    let _ = match more {
        true => write!(body, "\"{}\"}}", cursor(time)),
        false => write!(body, "null}}"),
    };
    Ok(DemoResponse(StatusCode::OK, body))
}

fn records(report: &DemoReport) -> impl Iterator<Item = UsageRecord> {
    let users = KEYS.iter().map(Some).chain([None]);
    users.enumerate().flat_map(move |(nth, key)| {
        report.models.iter().enumerate().map(move |(m, &(model, line_item))| UsageRecord {
            key,
            model,
            line_item,
            seed: scramble((nth * 31 + m) as u64 ^ (report.object.len() as u64) << 32),
        })
    })
}

fn write_bucket(
    body: &mut String,
    report: &DemoReport,
    records: &[UsageRecord],
    groups: &[&str],
    time: u64,
    width: u64,
) {
    let _ =
        write!(body, r#"{{"object":"bucket","start_time":{time},"end_time":{},"results":["#, time + width);
    // Records with equal values of the grouping members are added up in one row.
    let mut rows: BTreeMap<Vec<Option<String>>, Vec<u128>> = BTreeMap::new();
    for record in records {
        let used = scramble(record.seed ^ time);
        // In short buckets a third of the keys is idle.
        if width < DAY && used.is_multiple_of(3) {
            continue;
        }
        let row = report
            .groups
            .iter()
            .map(|name| groups.contains(name).then(|| record.member(name)).flatten())
            .collect();
        let sums = rows.entry(row).or_insert_with(|| vec![0; report.numbers.len()]);
        let weight = record.key.map_or(3, |k| k.weight);
        for (n, sum) in sums.iter_mut().enumerate() {
            let part = scramble(used.wrapping_add(n as u64)) % 10_000;
            let part = u128::from(part * weight * width / 3_600 / (1 + 40 * n as u64));
            *sum += match report.path {
                // 28 decimals, which an f64 cannot represent: a proxy that parses and prints would change them.
                "costs" => part * 10_u128.pow(22) + u128::from(used),
                _ => part,
            };
        }
    }
    for (nth, (row, sums)) in rows.iter().enumerate() {
        if nth > 0 {
            body.push(',');
        }
        let _ = write!(body, r#"{{"object":"{}""#, report.object);
        for (name, sum) in report.numbers.iter().zip(sums) {
            let _ = match *name {
                "amount" => write!(
                    body,
                    r#","amount":{{"value":{}.{:028},"currency":"usd"}}"#,
                    sum / 10_u128.pow(28),
                    sum % 10_u128.pow(28)
                ),
                _ => write!(body, r#","{name}":{sum}"#),
            };
        }
        for (name, value) in report.groups.iter().zip(row) {
            let _ = write!(body, r#","{name}":{}"#, value.as_deref().unwrap_or("null"));
        }
        body.push('}');
    }
    body.push_str("]}");
}

/// Returns a cursor that clients have to escape: `=` comes back as `%3D`.
fn cursor(time: u64) -> String {
    format!("page_{time:016x}=")
}

fn parse_cursor(cursor: &str) -> Option<u64> {
    let hex = cursor.strip_prefix("page_")?.strip_suffix('=')?;
    u64::from_str_radix(hex, 16).ok().filter(|time| *time < MAX_TIME)
}

/// The output function of SplitMix64, which maps neighbours to distant numbers.
pub(super) fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
