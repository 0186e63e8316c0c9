//! A meter for whole bodies, which keeps every document in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tower_api_key_name::names::Provider;

use super::MeteredBody;
use crate::cases::naive::is_json;

type Counts = BTreeMap<&'static str, u64>;

/// The field of a count, and the paths of its members in a usage object of OpenAI, in the order of preference.
const OPENAI_PATHS: &[(&str, &[&str])] = &[
    ("input_tokens", &["/prompt_tokens", "/input_tokens"]),
    (
        "cached_input_tokens",
        &[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/input_token_details/cached_tokens",
        ],
    ),
    (
        "cache_write_input_tokens",
        &[
            "/prompt_tokens_details/cache_write_tokens",
            "/input_tokens_details/cache_write_tokens",
            "/input_token_details/cache_write_tokens",
        ],
    ),
    (
        "audio_input_tokens",
        &[
            "/prompt_tokens_details/audio_tokens",
            "/input_tokens_details/audio_tokens",
            "/input_token_details/audio_tokens",
        ],
    ),
    (
        "image_input_tokens",
        &[
            "/prompt_tokens_details/image_tokens",
            "/input_tokens_details/image_tokens",
            "/input_token_details/image_tokens",
        ],
    ),
    (
        "image_output_tokens",
        &[
            "/completion_tokens_details/image_tokens",
            "/output_tokens_details/image_tokens",
            "/output_token_details/image_tokens",
        ],
    ),
    ("output_tokens", &["/completion_tokens", "/output_tokens"]),
    (
        "reasoning_output_tokens",
        &["/completion_tokens_details/reasoning_tokens", "/output_tokens_details/reasoning_tokens"],
    ),
    (
        "audio_output_tokens",
        &["/completion_tokens_details/audio_tokens", "/output_tokens_details/audio_tokens"],
    ),
];

/// The same for Anthropic.
const ANTHROPIC_PATHS: &[(&str, &[&str])] = &[
    ("input_tokens", &["/input_tokens"]),
    ("cached_input_tokens", &["/cache_read_input_tokens"]),
    ("cache_write_input_tokens", &["/cache_creation_input_tokens"]),
    ("cache_write_5m_input_tokens", &["/cache_creation/ephemeral_5m_input_tokens"]),
    ("cache_write_1h_input_tokens", &["/cache_creation/ephemeral_1h_input_tokens"]),
    ("output_tokens", &["/output_tokens"]),
    ("reasoning_output_tokens", &["/output_tokens_details/thinking_tokens"]),
    ("web_search_requests", &["/server_tool_use/web_search_requests"]),
];

/// Returns the counts of a body and its model. Returns `None` if serde_json cannot read one of its documents although the
/// document is JSON, as with a number that no `f64` can hold.
pub(super) fn naive_counts(provider: Provider, is_stream: bool, body: &[u8]) -> Option<MeteredBody> {
    let documents = if is_stream { events(body) } else { vec![body.to_vec()] };
    let mut usage = None::<Counts>;
    let mut compactions = Counts::new();
    let mut model = None;
    for document in documents {
        if !is_json(&document) {
            continue;
        }
        let document = serde_json::from_slice::<Value>(&document).ok()?;
        let envelope = &document[if provider == Provider::OpenAi { "response" } else { "message" }];
        for place in [envelope, &document] {
            if let Some(name) = place["model"].as_str()
                && !name.is_empty()
                && !name.contains(char::is_control)
            {
                model = Some(name.to_owned());
            }
            if place["usage"].is_object() {
                add(provider, &place["usage"], usage.get_or_insert_default());
                if provider == Provider::OpenAi {
                    add_tools(&place["tool_usage"], usage.get_or_insert_default());
                }
                if let Some(iterations) = place["usage"]["iterations"].as_array() {
                    compactions = sum_of_compactions(iterations);
                }
            }
        }
    }
    if provider == Provider::Anthropic
        && let Some(counts) = &mut usage
    {
        add_cache_to_input(counts);
        add_counts(counts, compactions);
    }
    Some((usage, model))
}

/// Adds a usage object to the counts: of OpenAI it replaces them all, of Anthropic those that it contains.
fn add(provider: Provider, object: &Value, counts: &mut Counts) {
    let paths = if provider == Provider::OpenAi { OPENAI_PATHS } else { ANTHROPIC_PATHS };
    if provider == Provider::OpenAi {
        counts.clear();
        let seconds = object["seconds"].as_f64();
        if let Some(Ok(duration)) = seconds.map(Duration::try_from_secs_f64) {
            counts.extend(u64::try_from(duration.as_nanos()).ok().map(|count| ("audio_duration", count)));
        }
    }
    for (field, members) in paths {
        let values = members.iter().filter_map(|path| object.pointer(path)?.as_u64());
        counts.extend(values.take(1).map(|count| (*field, count)));
    }
}

/// Adds the tokens and the searches of the hosted tools of OpenAI.
fn add_tools(tools: &Value, counts: &mut Counts) {
    if tools["image_gen"].is_object() {
        let mut images = Counts::new();
        add(Provider::OpenAi, &tools["image_gen"], &mut images);
        let all_output = images.get("output_tokens").copied();
        let image_output = images.get("image_output_tokens").copied().or(all_output);
        images.extend(image_output.map(|count| ("image_output_tokens", count)));
        images.retain(|field, _| field.ends_with("put_tokens") && !PARTS.contains(field));
        add_counts(counts, images);
    }
    if let Some(count) = tools["web_search"]["num_requests"].as_u64() {
        counts.insert("web_search_requests", count);
    }
}

/// The counts of a tool that are not added to those of the call.
const PARTS: &[&str] = &[
    "cached_input_tokens",
    "cache_write_input_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "reasoning_output_tokens",
];

fn sum_of_compactions(iterations: &[Value]) -> Counts {
    let mut sum = Counts::new();
    for iteration in iterations.iter().filter(|iteration| iteration["type"] == "compaction") {
        let mut counts = Counts::new();
        add(Provider::Anthropic, iteration, &mut counts);
        add_cache_to_input(&mut counts);
        add_counts(&mut sum, counts);
    }
    sum
}

fn add_counts(counts: &mut Counts, added: Counts) {
    for (field, count) in added {
        if !field.starts_with("web_") {
            let sum = counts.entry(field).or_default();
            *sum = sum.saturating_add(count);
        }
    }
}

/// Replaces the input tokens by their sum with those of the cache.
fn add_cache_to_input(counts: &mut Counts) {
    let count = |field| u128::from(counts.get(field).copied().unwrap_or(0));
    let sum = count("input_tokens") + count("cached_input_tokens") + count("cache_write_input_tokens");
    if let Some(input) = counts.get_mut("input_tokens") {
        *input = u64::try_from(sum).unwrap_or(u64::MAX);
    }
}

/// Returns the data of the whole events before `[DONE]`.
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut last = 0;
    for byte in stream {
        match byte {
            b'\n' if last == b'\r' => {}
            b'\n' | b'\r' => lines.push(Vec::new()),
            _ => lines.last_mut().unwrap().push(*byte),
        }
        last = *byte;
    }
    // The last line has no end.
    lines.pop();

    let mut events = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    for line in lines {
        if line.is_empty() {
            let Some(event) = data.take() else { continue };
            if event.starts_with(b"[DONE]") {
                break;
            }
            events.push(event);
            continue;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if name == b"data" {
            data = Some(match data {
                None => value.to_vec(),
                Some(before) => [&before, &b"\n"[..], value].concat(),
            });
        }
    }
    events
}
