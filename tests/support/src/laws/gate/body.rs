//! Bodies that are mostly permitted, with single mutations.

use super::naive::{EXEMPT, REFERENCES, TABLE};
use crate::unstructured::Unstructured;

/// Writes the body of a request to the endpoint with this path.
pub(super) fn write_body(source: &mut Unstructured<'_>, path: &str) -> Vec<u8> {
    let endpoints = TABLE["endpoints"].as_array().expect("a list");
    let endpoint =
        endpoints.iter().find(|endpoint| endpoint["path"] == path).expect("an endpoint of the table");
    let accepted: Vec<&str> =
        endpoint["accepted"].as_array().into_iter().flatten().filter_map(|it| it.as_str()).collect();
    let mut members = Vec::new();
    if source.byte() < 250 {
        members.push(member(
            source,
            "model",
            &["\"gpt-5\"", "\"gpt-5-mini\"", "\"claude-1\"", "\"gpt\\u002d5\""],
        ));
    }
    if source.byte() > 240 {
        members.push(member(source, "model", &["\"gpt-4\"", "null", "[]", "\"gpt-5\"", "\"gpt-5,o3\""]));
    }
    let streams = source.boolean() && accepted.contains(&"stream_options");
    if streams {
        members.push("\"stream\": true".to_owned());
    }
    for _ in 0..source.byte() % 4 {
        let name = match source.byte() {
            0..=159 if accepted.len() > 10 => source.choose(CHECKED_NAMES),
            160..=249 if !accepted.is_empty() => source.choose(&accepted),
            _ => source.choose(OTHER_NAMES),
        };
        // Most bodies have no member twice, and no member of another endpoint.
        let is_repeated = members.iter().any(|member| member.starts_with(&format!("\"{name}\"")));
        let is_unusual = is_repeated || name == "model" || !accepted.contains(&name);
        if is_unusual && source.byte() < 220 {
            continue;
        }
        let value = root_value(source, name);
        let spelled = spell(source, name);
        members.push(format!("{spelled}:{value}"));
    }
    let at = source.choose(&[0, 1, 2]).min(members.len());
    members.rotate_left(at);
    let space = source.choose(&["", "", " ", "\n "]);
    let body = format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")));
    match source.byte() {
        250..=252 => body.as_bytes()[..body.len() - 1].to_vec(),
        253 => format!("[{body}]").into_bytes(),
        254 => format!("{body}x").into_bytes(),
        255 => [body.as_bytes(), b"\xff"].concat(),
        _ => body.into_bytes(),
    }
}

/// The names of members whose values are checked, or exempt.
const CHECKED_NAMES: &[&str] = &[
    "messages",
    "tools",
    "input",
    "stream_options",
    "stream",
    "text",
    "metadata",
    "functions",
    "response_format",
    "output_config",
    "tool_choice",
    "instructions",
    "prompt_cache_options",
];

/// The names of restricted and unknown members.
const OTHER_NAMES: &[&str] = &[
    "service_tier",
    "background",
    "previous_response_id",
    "container",
    "speed",
    "tools",
    "stream",
    "input",
    "stream_options",
    "new_member",
    "Model",
    "fallbacks",
    "prompt",
    "",
];

fn member(source: &mut Unstructured<'_>, name: &str, values: &[&'static str]) -> String {
    format!("{}:{}", spell(source, name), source.choose(values))
}

/// Returns a name in quotes, sometimes with an escape.
fn spell(source: &mut Unstructured<'_>, name: &str) -> String {
    match (source.byte(), name.chars().next_back()) {
        (240.., Some(last)) => {
            format!("\"{}\\u{:04x}\"", &name[..name.len() - last.len_utf8()], u32::from(last))
        }
        _ => format!("\"{name}\""),
    }
}

fn root_value(source: &mut Unstructured<'_>, name: &str) -> String {
    match name {
        "stream" => source.choose(&["true", "true", "true", "false", "null", "1", "\"true\""]).to_owned(),
        "stream_options" => stream_options(source),
        "tools" => list(source, tool),
        "input" => list(source, item),
        "tool_choice" => tool_choice(source),
        "prompt_cache_options" => {
            format!("{{\"ttl\":{}}}", source.choose(&["null", "\"30m\"", "\"24h\"", "1"]))
        }
        "messages" => list(source, |source| object_at(source, "messages[]")),
        "service_tier" => {
            source.choose(&["\"auto\"", "null", "\"default\"", "\"flex\"", "\"standard_only\""]).to_owned()
        }
        "background" => source.choose(&["false", "null", "true", "0"]).to_owned(),
        "speed" => source.choose(&["\"standard\"", "null", "\"fast\""]).to_owned(),
        "previous_response_id" | "container" | "fallbacks" => {
            source.choose(&["null", "\"a\"", "{}"]).to_owned()
        }
        _ if source.byte() % 4 == 3 => object_at(source, name),
        _ => source.choose(&["1", "\"a\"", "null", "[\"b\"]"]).to_owned(),
    }
}

fn stream_options(source: &mut Unstructured<'_>) -> String {
    let mut members = Vec::new();
    for _ in 0..source.byte() % 3 {
        let name = source.choose(&["include_usage", "include_obfuscation", "a"]);
        let value = source.choose(&["false", "true", "null", "{\"include_usage\":1}", "1"]);
        members.push(format!("{}:{value}", spell(source, name)));
    }
    match source.byte() {
        240..=249 => "null".to_owned(),
        250.. => source.choose(&["[]", "\"a\"", "true"]).to_owned(),
        _ => format!("{{{}}}", members.join(" , ")),
    }
}

fn tool_choice(source: &mut Unstructured<'_>) -> String {
    let types =
        ["\"auto\"", "\"function\"", "\"allowed_tools\"", "\"web_search\"", "\"shell\"", "\"mcp\"", "null"];
    let tools = list(source, |source| {
        format!("{{\"type\":\"{}\"}}", source.choose(&["function", "web_search", "mcp"]))
    });
    match source.byte() % 4 {
        0 => "\"auto\"".to_owned(),
        1 => format!("{{\"type\":{}}}", source.choose(&types)),
        2 => format!("{{\"type\":{},\"tools\":{tools}}}", source.choose(&types)),
        _ => format!("{{\"allowed_tools\":{{\"tools\":{tools}}},\"type\":{}}}", source.choose(&types)),
    }
}

/// Returns a list of up to two elements, and sometimes another value.
fn list(source: &mut Unstructured<'_>, element: fn(&mut Unstructured<'_>) -> String) -> String {
    let count = source.byte();
    let elements: Vec<String> = (0..count % 3).map(|_| element(source)).collect();
    match count {
        250..=251 => source.choose(&["null", "\"a\"", "{}", "[[]]", "[\"a\"]", "1"]).to_owned(),
        _ => format!("[{}]", elements.join(",")),
    }
}

fn tool(source: &mut Unstructured<'_>) -> String {
    let types =
        ["function", "custom", "web_search", "web_search_2025_08_26", "bash_1", "shell", "mcp", "new"];
    let mut members = Vec::new();
    if source.byte() < 230 {
        members.push(format!("{}:\"{}\"", spell(source, "type"), source.choose(&types)));
    }
    if source.byte() > 250 {
        members.push(source.choose(&["\"type\":null", "\"type\":\"function\"", "\"type\":[]"]).to_owned());
    }
    if source.boolean() {
        members.push(format!("\"function\":{}", object_at(source, "tools[].function")));
    }
    if source.boolean() {
        let name = source.choose(&["parameters", "input_schema", "input_examples", "output_schema", "x"]);
        members.push(format!("\"{name}\":{}", object_at(source, &format!("tools[].{name}"))));
    }
    format!("{{{}}}", members.join(","))
}

fn item(source: &mut Unstructured<'_>) -> String {
    const MEMBERS: &[&str] = &[
        "role",
        "content",
        "encrypted_content",
        "call_id",
        "output",
        "id",
        "arguments",
        "name",
        "action",
        "actions",
    ];
    let accepted = TABLE["items"]["accepted"].as_object().expect("an object");
    let types: Vec<(&String, &serde_json::Value)> = accepted.iter().collect();
    let (item_type, required) = source.choose(&types);
    let mut names: Vec<&str> = required
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_str()?.split(" or ").next())
        .collect();
    if source.byte() > 200 {
        names.pop();
    }
    if source.boolean() {
        names.push(source.choose(MEMBERS));
    }
    let mut members = Vec::new();
    match source.byte() {
        0..=199 => members.push(format!("\"type\":\"{item_type}\"")),
        200..=219 => {
            members.push(format!("\"type\":\"{}\"", source.choose(&["item_reference", "mcp_call", "new"])))
        }
        220..=229 => members.push("\"type\":null".to_owned()),
        230..=239 => members.push("\"type\":\"message\",\"type\":\"message\"".to_owned()),
        _ => names = vec!["role", "content"],
    }
    for name in names {
        let value = match source.byte() {
            0..=199 if name == "action" => "{\"a\":1}".to_owned(),
            0..=199 => "\"a\"".to_owned(),
            200..=214 => source.choose(&["[1]", "{\"b\":[]}", "\"\"", "{}"]).to_owned(),
            215..=229 => source.choose(&["null", "1", "[]"]).to_owned(),
            _ => object_at(source, "input[]"),
        };
        members.push(format!("{}:{value}", spell(source, name)));
    }
    format!("{{{}}}", members.join(","))
}

/// Writes an object at a path, with names that continue exempt paths and references.
fn object_at(source: &mut Unstructured<'_>, path: &str) -> String {
    let mut members = Vec::new();
    for _ in 0..source.byte() % 3 {
        let next_steps: Vec<&str> =
            EXEMPT.iter().filter_map(|exempt| exempt.strip_prefix(path)?.strip_prefix('.')).collect();
        let step = match source.byte() {
            0..=119 if !next_steps.is_empty() => {
                source.choose(&next_steps).split('.').next().unwrap_or_default()
            }
            0..=179 => {
                source.choose(&["a", "id", "type", "metadata", "File", "source", "voice", "tool", "audio"])
            }
            180..=189 => source.choose(&["function.parameters", "content[]", "\\ud800", "model", "FILE_ID"]),
            _ => source.choose(REFERENCES).rsplit('.').next().unwrap_or_default(),
        };
        let name = step.trim_end_matches("[]");
        let inner_path = format!("{path}.{step}");
        let value = match source.byte() {
            _ if path.len() > 60 => "null".to_owned(),
            0..=99 if step.ends_with("[]") => format!("[{}]", object_at(source, &inner_path)),
            0..=99 => object_at(source, &inner_path),
            100..=119 => format!("[[{}]]", object_at(source, &format!("{inner_path}[][]"))),
            120..=169 => source.choose(&["null", "1", "\"a\""]).to_owned(),
            _ => source
                .choose(&["null", "\"file\"", "\"url\"", "\"gpt-5\"", "\"f\\u0069le\"", "\"Item_reference\""])
                .to_owned(),
        };
        members.push(format!("{}:{value}", spell(source, name)));
    }
    format!("{{{}}}", members.join(","))
}
