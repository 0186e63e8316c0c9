//! Replays the corpora of the fuzz targets: each law of `test_support::laws` for each file of its corpus.
//!
//! `fuzz/README.md` describes how to extend a corpus.
#![cfg(all(feature = "directory", feature = "proxy-keys"))]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use test_support::laws::keys::{self, KeysFileDefect, ReadKeys};
use test_support::laws::page::{self, ParsedPage};
use test_support::laws::{LAWS, Law, events, gate};
use tower_api_key_name::_internal::{check_request, meter_body};
use tower_api_key_name::proxy_keys::{BodyForm, ProxyKeys};

fn laws() -> impl Iterator<Item = (&'static str, Law)> {
    LAWS.iter().copied().chain([
        ("events", check_events as Law),
        ("gate", check_gate),
        ("keys", check_keys),
        ("page", check_page),
    ])
}

fn check_events(input: &[u8]) {
    events::check(input, |provider, is_stream, chunks| {
        meter_body(provider, if is_stream { BodyForm::Events } else { BodyForm::Json }, chunks)
    });
}

fn check_gate(input: &[u8]) {
    gate::check(input, check_request);
}

fn check_keys(input: &[u8]) {
    keys::check(input, |text| match ProxyKeys::from_json(text) {
        Ok(keys) => Ok(ReadKeys { names: keys.names().snapshot(), debug: format!("{keys:?}") }),
        Err(error) => Err(KeysFileDefect {
            line: error.line(),
            column: error.column(),
            text: format!("{error} {error:?}"),
        }),
    });
}

fn check_page(input: &[u8]) {
    page::check(input, |text| {
        let (listing, file) = tower_api_key_name::_internal::read_page(text)?;
        Some(ParsedPage { keys: listing.keys(), names: listing.names, file })
    });
}

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = listed.map(|file| file.expect("a folder can be listed").path()).collect();
    files.sort();
    files
}

#[test]
fn every_law_holds_for_its_corpus() {
    let mut broken = Vec::new();
    for (name, law) in laws() {
        let corpus = files(&fuzz("corpus").join(name));
        assert!(corpus.len() > 20, "the corpus of {name} was not read");
        for file in corpus {
            let input = fs::read(&file).expect("a file can be read");
            if catch_unwind(|| law(&input)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "broken by {broken:#?}");
}

/// A law without a target is not fuzzed, and a target without a law is not replayed.
#[test]
fn every_law_has_a_target_and_a_corpus() {
    let stems = |folder: &str| -> BTreeSet<String> {
        let files = files(&fuzz(folder)).into_iter();
        files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
    };
    let laws: BTreeSet<_> = laws().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), laws);
    assert_eq!(stems("corpus"), laws);
}
