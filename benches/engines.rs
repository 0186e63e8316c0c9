//! The engine, and what others need to validate a page, or to parse it and print it again.
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::hint::black_box;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::de::IgnoredAny;
use serde_json::Value;
use tower_api_key_name::outcome::Counts;
use tower_api_key_name::{KeyNames, Snapshot};

use super::documents::{WHOLE, frames};

/// Makes the heap keep what is freed, as that of a program that has run for a while does. A fresh one may give
/// megabytes back to the system, and fault them in again for the next page: parsing then takes up to twice as
/// long. With glibc, freeing one large block ends that. How scattered the heap is still makes a difference to who
/// parses into many small pieces: up to a third.
pub fn keep_what_is_freed() {
    drop(black_box(vec![1_u8; 30 << 20]));
}

/// How a page comes in, and when it goes out.
#[derive(Clone, Copy)]
pub struct Feed {
    /// Bytes a frame.
    pub chunk: usize,
    /// Goes out as it comes, as a page longer than the limit does; else when all of it is there.
    pub streams: bool,
}

impl Feed {
    pub const WHOLE: Self = Self::held(WHOLE);

    pub const fn held(chunk: usize) -> Self {
        Self { chunk, streams: false }
    }

    pub const fn streamed(chunk: usize) -> Self {
        Self { chunk, streams: true }
    }
}

/// Amends a page, and lets go of what comes out.
pub fn amend(page: &Bytes, names: &Snapshot, feed: Feed) -> (Counts, bool) {
    test_support::amend(frames(page, feed.chunk), names, feed.streams, |piece| drop(black_box(piece)))
}

/// Amends a page, and gives what comes out, too.
pub fn amended(page: &Bytes, names: &Snapshot, feed: Feed) -> (Vec<u8>, Counts, bool) {
    let mut out = Vec::new();
    let write = |piece: Bytes| out.extend_from_slice(&piece);
    let (counts, valid) = test_support::amend(frames(page, feed.chunk), names, feed.streams, write);
    (out, counts, valid)
}

/// The least that a reader does who trusts nobody: is it UTF-8, and is it JSON?
pub fn validate(page: &[u8]) -> bool {
    std::str::from_utf8(page).is_ok() && serde_json::from_slice::<IgnoredAny>(page).is_ok()
}

/// What a proxy does that parses and prints, but for the naming.
pub fn parse_and_print(page: &[u8]) -> String {
    let value: Value = serde_json::from_slice(page).expect("a page is JSON");
    value.to_string()
}

/// All that it does.
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

/// The same with another parser, which does not print.
pub fn parse_with_jiter(page: &[u8]) -> jiter::JsonValue<'_> {
    jiter::JsonValue::parse(page, false).expect("a page is JSON")
}

/// A search through all of the page for what is not in it: as fast as bytes can be looked at.
pub fn miss(page: &[u8], finder: &Finder<'_>) -> bool {
    finder.find(page).is_none()
}

/// What is looked for in a page of keys, in vain.
pub const ABSENT: &str = "api_key_id";
