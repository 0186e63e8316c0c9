//! Costs and usage, for whatever window is asked: every number follows from the time, the key and the model,
//! so the same question has the same answer, and sums agree however they are grouped.
use std::collections::BTreeMap;
use std::fmt::Write;

use http::StatusCode;

use super::organization::{KEYS, Key, PROJECTS};
use super::query::{Query, invalid};
use super::{Answer, error, now};

/// One kind of answer: what its rows count, and what they can be grouped by.
struct Kind {
    path: &'static str,
    object: &'static str,
    numbers: &'static [&'static str],
    groups: &'static [&'static str],
    /// (model, line item)
    models: &'static [(&'static str, &'static str)],
}

const COSTS: Kind = Kind {
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

const USAGE: [Kind; 10] = [
    Kind {
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
    Kind {
        path: "embeddings",
        object: "organization.usage.embeddings.result",
        numbers: &["input_tokens", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("text-embedding-3-large", ""), ("text-embedding-3-small", "")],
    },
    Kind {
        path: "moderations",
        object: "organization.usage.moderations.result",
        numbers: &["input_tokens", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("omni-moderation-latest", "")],
    },
    Kind {
        path: "images",
        object: "organization.usage.images.result",
        numbers: &["images", "num_model_requests"],
        groups: &["project_id", "user_id", "api_key_id", "model", "size", "source"],
        models: &[("gpt-image-1", "")],
    },
    Kind {
        path: "audio_speeches",
        object: "organization.usage.audio_speeches.result",
        numbers: &["characters", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("gpt-4o-mini-tts", "")],
    },
    Kind {
        path: "audio_transcriptions",
        object: "organization.usage.audio_transcriptions.result",
        numbers: &["seconds", "num_model_requests"],
        groups: BY_MODEL,
        models: &[("gpt-4o-transcribe", "")],
    },
    Kind {
        path: "vector_stores",
        object: "organization.usage.vector_stores.result",
        numbers: &["usage_bytes"],
        groups: &["project_id"],
        models: &[("", "")],
    },
    Kind {
        path: "code_interpreter_sessions",
        object: "organization.usage.code_interpreter_sessions.result",
        numbers: &["num_sessions"],
        groups: &["project_id"],
        models: &[("", "")],
    },
    Kind {
        path: "file_search_calls",
        object: "organization.usage.file_searches.result",
        numbers: &["num_requests"],
        groups: &["project_id", "user_id", "api_key_id", "vector_store_id"],
        models: &[("", "")],
    },
    Kind {
        path: "web_search_calls",
        object: "organization.usage.web_searches.result",
        numbers: &["num_model_requests", "num_requests"],
        groups: &["project_id", "user_id", "api_key_id", "model", "context_level"],
        models: &[("gpt-5-2025-08-07", "")],
    },
];

/// Who used what: a key, or a person in the playground, which has none.
struct Fact {
    key: Option<&'static Key>,
    model: &'static str,
    line_item: &'static str,
    seed: u64,
}

impl Fact {
    /// As JSON. `None`: grouped by, and still null in this row.
    fn group(&self, name: &str) -> Option<String> {
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

    fn matches(&self, query: &Query) -> bool {
        [
            ("project_ids", "project_id"),
            ("user_ids", "user_id"),
            ("api_key_ids", "api_key_id"),
            ("models", "model"),
        ]
        .iter()
        .all(|(filter, name)| {
            let wanted = query.list(filter);
            let group = self.group(name).unwrap_or_default();
            wanted.is_empty() || wanted.contains(&group.trim_matches('"'))
        })
    }
}

pub(super) fn costs(query: &Query) -> Result<Answer, Answer> {
    page(&COSTS, query, &[("1d", 86_400, 7, 180)])
}

pub(super) fn usage(kind: &str, query: &Query) -> Result<Answer, Answer> {
    let kind = USAGE
        .iter()
        .find(|k| k.path == kind)
        .ok_or_else(|| error(StatusCode::NOT_FOUND, "No such kind of usage.", None, "unknown_url"))?;
    let widths = [("1d", 86_400, 7, 31), ("1h", 3_600, 24, 168), ("1m", 60, 60, 1_440)];
    page(kind, query, &widths)
}

/// `widths`: name, seconds, buckets a page if nothing is asked, and at most.
fn page(kind: &Kind, query: &Query, widths: &[(&str, u64, u64, u64)]) -> Result<Answer, Answer> {
    let width = query.one("bucket_width").unwrap_or("1d");
    let &(_, width, default, most) = widths
        .iter()
        .find(|(name, ..)| *name == width)
        .ok_or_else(|| invalid("bucket_width", width, "a supported width"))?;
    let limit = query.limit(default, most)?;
    let Some(start) = query.number("start_time")? else {
        return Err(error(
            StatusCode::BAD_REQUEST,
            "Missing required parameter: 'start_time'.",
            Some("start_time"),
            "missing_required_parameter",
        ));
    };
    let end = query.number("end_time")?.unwrap_or_else(now);
    let groups = query.list("group_by");
    if let Some(other) = groups.iter().find(|group| !kind.groups.contains(group)) {
        let expected = format!("one of {}", kind.groups.join(", "));
        return Err(invalid("group_by", other, &expected));
    }
    let first = match query.one("page") {
        None => start / width * width,
        Some(cursor) => at(cursor).ok_or_else(|| invalid("page", cursor, "the next_page of an answer"))?,
    };

    let facts: Vec<Fact> = facts(kind).filter(|fact| fact.matches(query)).collect();
    let mut body = String::from(r#"{"object":"page","data":["#);
    let mut time = first;
    for nth in 0..limit {
        if time >= end {
            break;
        }
        if nth > 0 {
            body.push(',');
        }
        bucket(&mut body, kind, &facts, &groups, time, width);
        time += width;
    }
    let more = time < end;
    let _ = write!(body, r#"],"has_more":{more},"next_page":"#);
    let _ = match more {
        true => write!(body, "\"{}\"}}", cursor(time)),
        false => write!(body, "null}}"),
    };
    Ok(Answer(StatusCode::OK, body))
}

fn facts(kind: &Kind) -> impl Iterator<Item = Fact> {
    let users = KEYS.iter().map(Some).chain([None]);
    users.enumerate().flat_map(move |(nth, key)| {
        kind.models.iter().enumerate().map(move |(m, &(model, line_item))| Fact {
            key,
            model,
            line_item,
            seed: scramble((nth * 31 + m) as u64 ^ (kind.object.len() as u64) << 32),
        })
    })
}

fn bucket(body: &mut String, kind: &Kind, facts: &[Fact], groups: &[&str], time: u64, width: u64) {
    let _ =
        write!(body, r#"{{"object":"bucket","start_time":{time},"end_time":{},"results":["#, time + width);
    // Rows that agree in what they are grouped by are one row.
    let mut rows: BTreeMap<Vec<Option<String>>, Vec<u128>> = BTreeMap::new();
    for fact in facts {
        let used = scramble(fact.seed ^ time);
        // Not everybody works every minute.
        if width < 86_400 && used.is_multiple_of(3) {
            continue;
        }
        let row = kind
            .groups
            .iter()
            .map(|name| groups.contains(name).then(|| fact.group(name)).flatten())
            .collect();
        let sums = rows.entry(row).or_insert_with(|| vec![0; kind.numbers.len()]);
        let weight = fact.key.map_or(3, |k| k.weight);
        for (n, sum) in sums.iter_mut().enumerate() {
            let part = scramble(used.wrapping_add(n as u64)) % 10_000;
            let part = u128::from(part * weight * width / 3_600 / (1 + 40 * n as u64));
            *sum += match kind.path {
                // 28 decimals, and no f64 holds them: what a parse-and-print proxy would change.
                "costs" => part * 10_u128.pow(22) + u128::from(used),
                _ => part,
            };
        }
    }
    for (nth, (row, sums)) in rows.iter().enumerate() {
        if nth > 0 {
            body.push(',');
        }
        let _ = write!(body, r#"{{"object":"{}""#, kind.object);
        for (name, sum) in kind.numbers.iter().zip(sums) {
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
        for (name, value) in kind.groups.iter().zip(row) {
            let _ = write!(body, r#","{name}":{}"#, value.as_deref().unwrap_or("null"));
        }
        body.push('}');
    }
    body.push_str("]}");
}

/// Opaque to whoever gets it, and it ends in `=`, which comes back as `%3D`.
fn cursor(time: u64) -> String {
    format!("page_{time:016x}=")
}

fn at(cursor: &str) -> Option<u64> {
    let hex = cursor.strip_prefix("page_")?.strip_suffix('=')?;
    u64::from_str_radix(hex, 16).ok().filter(|t| *t < 253_402_300_800)
}

/// splitmix64's last steps: the neighbours of a number are far apart.
pub(super) fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
