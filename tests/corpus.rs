//! Replays what the fuzz targets found worth keeping: every law of `test_support::laws` on every file of its corpus.
//!
//! How to find more, and how to keep it: see `fuzz/README.md`.
#![cfg(feature = "directory")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use test_support::laws::LAWS;

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
    for (name, law) in LAWS {
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

/// A law without a target would never meet hostile bytes, and a target without a law is not replayed.
#[test]
fn every_law_has_its_target_and_its_corpus() {
    let stems = |folder: &str| -> BTreeSet<String> {
        let files = files(&fuzz(folder)).into_iter();
        files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect()
    };
    let laws: BTreeSet<_> = LAWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), laws);
    assert_eq!(stems("corpus"), laws);
}
