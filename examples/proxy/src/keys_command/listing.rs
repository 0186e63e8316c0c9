//! The output of `keys list`.
use std::io::{self, BufWriter, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::columns::write_columns;
use super::entry::{KeyEntry, KeyState, KeysFileView};
use super::limits::KeyLimits;
use crate::text_width::escape;

/// The columns of the table. The last two have no limit of their width, and their values differ most.
const HEADER: [&str; 7] = ["id", "name", "group", "state", "digests", "limits", "models"];

#[derive(Serialize)]
struct JsonList<'a> {
    object: &'static str,
    data: Vec<JsonKey<'a>>,
}

/// A key in the output of --json. Null has the meaning of an absent member in the file.
#[derive(Serialize)]
struct JsonKey<'a> {
    id: &'a str,
    name: &'a str,
    group: Option<&'a str>,
    state: &'static str,
    expires_at: Option<String>,
    digests: usize,
    limits: &'a KeyLimits,
    models: Option<&'a [String]>,
    tools: Option<&'a [String]>,
}

/// Writes a table with one line for each key.
pub(super) fn write_table(view: &KeysFileView, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let mut rows = vec![HEADER.map(str::to_owned)];
    for key in &view.keys {
        rows.push(table_row(key, now));
    }
    let mut buffered = BufWriter::new(out);
    write_columns(&rows, &mut buffered)?;
    buffered.flush()
}

fn table_row(key: &KeyEntry, now: Timestamp) -> [String; HEADER.len()] {
    let group = key.group.as_deref().unwrap_or("-");
    [
        escape(&key.id),
        escape(&key.name),
        escape(group),
        state_text(key, now),
        key.digest_count.to_string(),
        key.limits.to_string(),
        models_text(key),
    ]
}

/// Returns the state of a key with its instant, such as `active until 2027-07-31T00:00:00Z`.
fn state_text(key: &KeyEntry, now: Timestamp) -> String {
    let state = key.state(now).name();
    match (key.state(now), key.expires_at) {
        (KeyState::Active, Some(instant)) => format!("{state} until {instant}"),
        (KeyState::Expired, Some(instant)) => format!("{state} since {instant}"),
        _ => state.to_owned(),
    }
}

/// Returns the patterns of the models, separated by commas, or a word if there are none.
fn models_text(key: &KeyEntry) -> String {
    match key.models.as_deref() {
        None => "all".to_owned(),
        Some([]) => "none".to_owned(),
        Some(patterns) => escape(&patterns.join(",")),
    }
}

/// Writes the keys as one JSON object in the form of the API's lists.
pub(super) fn write_json(view: &KeysFileView, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let mut data = Vec::new();
    for key in &view.keys {
        data.push(JsonKey {
            id: &key.id,
            name: &key.name,
            group: key.group.as_deref(),
            state: key.state(now).name(),
            expires_at: key.expires_at.map(|instant| instant.to_string()),
            digests: key.digest_count,
            limits: &key.limits,
            models: key.models.as_deref(),
            tools: key.tools.as_deref(),
        });
    }
    let mut buffered = BufWriter::new(out);
    serde_json::to_writer(&mut buffered, &JsonList { object: "list", data })?;
    buffered.write_all(b"\n")?;
    buffered.flush()
}
