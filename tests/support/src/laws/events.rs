//! The law of the usage meter and of its splitter of server-sent events.

mod naive;

use std::collections::BTreeMap;

use tower_api_key_name::names::Provider;

use self::naive::naive_counts;
use crate::unstructured::{Unstructured, smallest_chunks, split_at_offsets};

/// The counts of a body by their names, and its model.
pub type MeteredBody = (Option<BTreeMap<&'static str, u64>>, Option<String>);

/// Meters a body in chunks. If the second argument is true, the body is a stream of events.
pub type MeterBody = fn(Provider, bool, &[&[u8]]) -> MeteredBody;

/// Checks that the counts of a body equal those of a naive parser, in any chunks, and that a text of the client never
/// counts.
pub fn check(input: &[u8], meter: MeterBody) {
    let mut source = Unstructured::new(input);
    let provider = source.choose(&[Provider::OpenAi, Provider::Anthropic]);
    let is_stream = !source.boolean();
    let offsets = source.offsets(6);
    let body = match source.byte() % 8 {
        7 => source.take_rest().to_vec(),
        _ if is_stream => stream(&mut source),
        _ => document(&mut source).into_bytes(),
    };
    let whole = meter(provider, is_stream, &[&body]);
    let text = String::from_utf8_lossy(&body);
    for chunks in [split_at_offsets(&body, &offsets), smallest_chunks(&body)] {
        assert_eq!(meter(provider, is_stream, &chunks), whole, "{text:?} in {chunks:?}");
    }
    if let Some(expected) = naive_counts(provider, is_stream, &body) {
        assert_eq!(whole, expected, "{provider:?}, {text:?}");
    }
    let mut echo = String::new();
    write_object(&mut source, &mut echo, 1, ROOT_NAMES);
    check_echo(&echo, provider, meter);
}

/// Checks that a text at the places where a response repeats those of its request changes no count.
fn check_echo(echo: &str, provider: Provider, meter: MeterBody) {
    let body = |echo: &str| {
        let tools = format!("[{{\"parameters\":{echo}}},{echo}]");
        let usage = "{\"input_tokens\":3,\"output_tokens\":2}";
        let inner =
            format!("\"metadata\":{echo},\"tools\":{tools},\"usage\":{usage},\"text\":{{\"schema\":{echo}}}");
        let message = format!("{{\"content\":{echo},\"message\":{echo},\"response\":{echo}}}");
        format!(
            "{{{inner},\"choices\":[{{\"message\":{message}}}],\"response\":{{{inner}}},\"message\":{{{inner}}},\"x\":{echo}}}"
        )
    };
    let expected = meter(provider, false, &[body("null").as_bytes()]);
    assert!(expected.0.is_some());
    assert_eq!(meter(provider, false, &[body(echo).as_bytes()]), expected, "{echo}");
    let event = format!("data: {}\n\n", body(&echo.replace('\n', " ")));
    assert_eq!(meter(provider, true, &[event.as_bytes()]), expected, "{echo}");
}

/// The names of members around a usage object.
const ROOT_NAMES: &[&str] = &[
    "usage",
    "response",
    "message",
    "model",
    "us\\u0061ge",
    "\\u006dodel",
    "metadata",
    "choices",
    "tool_usage",
];

/// The names of members in a usage object.
const USAGE_NAMES: &[&str] = &[
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",
    "completion_tokens_details",
    "output_tokens_details",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "server_tool_use",
    "iterations",
    "seconds",
    "usage",
    "model",
];

/// The names of members in an object of a usage object.
const DETAIL_NAMES: &[&str] = &[
    "cached_tokens",
    "cache_write_tokens",
    "audio_tokens",
    "reasoning_tokens",
    "thinking_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "web_search_requests",
    "num_requests",
    "input_tokens",
    "output_tokens",
    "output_tokens_details",
    "image_tokens",
    "usage",
];

/// The names of members in the usage of hosted tools.
const TOOL_NAMES: &[&str] = &["image_gen", "web_search", "usage"];

const COUNTS: &[&str] = &["7", "0", "1", "12345", "18446744073709551615"];

const SCALARS: &[&str] = &[
    "null",
    "0",
    "7",
    "12345",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "-0",
    "1.5",
    "1e3",
    "true",
    "\"\"",
    "\"gpt-5\"",
    "\"compaction\"",
    "\"\\u0067\\\"\"",
    "\"é\"",
];

const SPACES: &[&str] = &["", "", "", " ", "\n"];

/// Returns a document whose root is mostly an object.
fn document(source: &mut Unstructured<'_>) -> String {
    let mut out = String::new();
    if source.byte() % 8 == 7 {
        write_value(source, &mut out, 1);
    } else {
        write_object(source, &mut out, 1, ROOT_NAMES);
    }
    // A document that is cut or continued is not JSON.
    match source.byte() {
        224..=239 => out.push_str(source.choose(&["}", "x", ",", " "])),
        240.. => {
            let len = source.number() % (out.len() + 1);
            out = String::from_utf8_lossy(&out.as_bytes()[..len]).into_owned();
        }
        _ => {}
    }
    out
}

/// Writes an object with some of these members. Most values have the type of their member.
fn write_object(source: &mut Unstructured<'_>, out: &mut String, depth: usize, names: &[&'static str]) {
    out.push('{');
    let max_count = if depth == 1 { 3 } else { 6 };
    let member_count = source.byte() % (max_count + 1);
    for nth in 0..member_count {
        if nth > 0 {
            out.push(',');
        }
        out.push_str(source.choose(SPACES));
        let name = source.choose(names);
        out.push_str(&format!("\"{name}\":"));
        if source.byte() % 16 == 15 {
            write_value(source, out, depth + 1);
        } else {
            write_member_value(source, out, depth + 1, name);
        }
    }
    out.push('}');
}

/// Writes a value of the type that the member has in a response.
fn write_member_value(source: &mut Unstructured<'_>, out: &mut String, depth: usize, name: &str) {
    match name {
        _ if depth > 5 => out.push_str(source.choose(SCALARS)),
        "usage" | "us\\u0061ge" => write_object(source, out, depth, USAGE_NAMES),
        "response" | "message" | "metadata" | "choices" => write_object(source, out, depth, ROOT_NAMES),
        "model" | "\\u006dodel" => {
            out.push_str(source.choose(&["\"gpt-5\"", "\"o3\"", "\"\\u0067\"", "\"\""]))
        }
        "tool_usage" => write_object(source, out, depth, TOOL_NAMES),
        "image_gen" | "web_search" => write_object(source, out, depth, DETAIL_NAMES),
        "cache_creation" | "server_tool_use" => write_object(source, out, depth, DETAIL_NAMES),
        "iterations" => {
            out.push_str("[{\"type\":\"compaction\",\"output_tokens\":");
            out.push_str(source.choose(SCALARS));
            out.push_str(",\"input_tokens\":5},{\"type\":\"message\",\"output_tokens\":9},");
            write_object(source, out, depth, USAGE_NAMES);
            out.push(']');
        }
        details if details.ends_with("_details") => write_object(source, out, depth, DETAIL_NAMES),
        _ => out.push_str(source.choose(COUNTS)),
    }
}

fn write_value(source: &mut Unstructured<'_>, out: &mut String, depth: usize) {
    out.push_str(source.choose(SPACES));
    match source.byte() % 8 {
        5 | 6 if depth < 6 => write_object(source, out, depth, ROOT_NAMES),
        7 if depth < 6 => {
            out.push('[');
            write_object(source, out, depth + 1, ROOT_NAMES);
            out.push_str(",0]");
        }
        // JSON that serde_json does not accept.
        4 if source.byte() > 250 => out.push_str(source.choose(&["1e400", "\"\\ud800\""])),
        _ => out.push_str(source.choose(SCALARS)),
    }
}

/// Returns a stream of events, some of which are cut or have other fields.
fn stream(source: &mut Unstructured<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if source.byte() == 255 {
        out.extend_from_slice("\u{feff}".as_bytes());
    }
    for _ in 0..1 + source.byte() % 4 {
        let line_end = source.choose(&["\n", "\r\n", "\r"]);
        let field = source.choose(&["data: ", "data:", "data:  "]);
        let other =
            source.choose(&["", "", ": comment", "event: message_delta", "dat: 1", "data", "\u{feff}"]);
        if !other.is_empty() {
            out.extend_from_slice(format!("{other}{line_end}").as_bytes());
        }
        let data = match source.byte() {
            253 => "[DONE]".to_owned(),
            254 => "[DONE]]".to_owned(),
            255 => String::new(),
            _ => document(source),
        };
        let lines = format!("{field}{}", data.replace('\n', &format!("{line_end}{field}")));
        out.extend_from_slice(lines.as_bytes());
        let end_count = source.choose(&[2, 2, 2, 3, 1, 0]);
        out.extend_from_slice(line_end.repeat(end_count).as_bytes());
    }
    // Some other bytes.
    if source.byte() % 8 == 7 {
        let at = source.number() % (out.len() + 1);
        let inserted = source.bytes(3);
        out.splice(at..at, inserted.iter().copied());
    }
    out
}
