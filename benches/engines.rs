//! The amender without HTTP, and other programs for the same page: a validator, parsers and a search.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::de::IgnoredAny;
use serde_json::Value;
use test_support::default_rules;
use tower_api_key_name::_internal::{self, LabelTemplates};
use tower_api_key_name::outcome::Counts;
use tower_api_key_name::{KeyNames, Snapshot};

use super::documents::{WHOLE, frames};

/// Makes the heap keep freed memory, like that of a program that runs for some time.
///
/// A new heap returns megabytes to the system and faults them in again for the next page, which doubles the time of a
/// parser. With glibc, freeing one large block ends this.
pub fn keep_freed_memory() {
    drop(black_box(vec![1_u8; 30 << 20]));
}

/// The size of the frames of a page, and the time at which its output is taken.
#[derive(Clone, Copy)]
pub struct FrameFeed {
    /// The bytes per frame.
    pub chunk: usize,
    /// True for output after each frame, as for a page longer than the limit; false for output at the end.
    pub streams: bool,
}

impl FrameFeed {
    pub const WHOLE: Self = Self::buffered(WHOLE);

    pub const fn buffered(chunk: usize) -> Self {
        Self { chunk, streams: false }
    }

    pub const fn streamed(chunk: usize) -> Self {
        Self { chunk, streams: true }
    }
}

/// Amends a page, and drops the output.
pub fn amend(page: &Bytes, names: &Snapshot, feed: FrameFeed) -> (Counts, bool) {
    test_support::amend(frames(page, feed.chunk), names, feed.streams, |piece| drop(black_box(piece)))
}

/// Amends a page, and returns the output too.
pub fn amended(page: &Bytes, names: &Snapshot, feed: FrameFeed) -> (Vec<u8>, Counts, bool) {
    let mut out = Vec::new();
    let write = |piece: Bytes| out.extend_from_slice(&piece);
    let (counts, valid) = test_support::amend(frames(page, feed.chunk), names, feed.streams, write);
    (out, counts, valid)
}

/// Amends a page with the plain scanner alone, as on a machine without SIMD.
pub fn amend_without_templates(page: &Bytes, names: &Snapshot) -> bool {
    static DISABLED: LazyLock<Arc<LabelTemplates>> = LazyLock::new(|| Arc::new(LabelTemplates::disabled()));
    let write = |piece| drop(black_box(piece));
    let (_, error) = _internal::amend(&default_rules(), names, &DISABLED, [page.clone()], false, write);
    error.is_none()
}

/// Checks that a page is UTF-8 and JSON.
pub fn validate(page: &[u8]) -> bool {
    std::str::from_utf8(page).is_ok() && serde_json::from_slice::<IgnoredAny>(page).is_ok()
}

/// Parses and prints a page, without names.
pub fn parse_and_print(page: &[u8]) -> String {
    let value: Value = serde_json::from_slice(page).expect("a page is JSON");
    value.to_string()
}

/// Parses a page, inserts the names, and prints it.
pub fn parse_name_and_print(page: &[u8], names: &KeyNames) -> String {
    fn name_each(value: &mut Value, names: &KeyNames) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| name_each(item, names)),
            Value::Object(members) => {
                members.values_mut().for_each(|value| name_each(value, names));
                if let Some(id) = members.get("api_key_id") {
                    let name = id.as_str().map(|id| names.name(id).unwrap_or("unknown").into());
                    members.insert("api_key_name".into(), name.unwrap_or(Value::Null));
                }
            }
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_slice(page).expect("a page is JSON");
    name_each(&mut value, names);
    value.to_string()
}

/// Parses a page with jiter, which does not print.
pub fn parse_with_jiter(page: &[u8]) -> jiter::JsonValue<'_> {
    jiter::JsonValue::parse(page, false).expect("a page is JSON")
}

/// Searches a page, and returns true if the text does not occur.
pub fn is_absent(page: &[u8], finder: &Finder<'_>) -> bool {
    finder.find(page).is_none()
}

/// A text that a page of keys does not contain.
pub const ABSENT: &str = "api_key_id";
