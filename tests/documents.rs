//! What the documents say of the tree is true: every crate that `Cargo.toml` asks for has its reason in
//! `src/docs/design.md`, and is used; every test that `src/docs/reliability.md` names is there.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The names under a heading of `Cargo.toml`.
fn asked_for(section: &str) -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let lines = manifest.lines().skip_while(|line| *line != section).skip(1);
    let names = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    let names: BTreeSet<String> = names.map(|(name, _)| name.to_owned()).collect();
    assert!(names.len() > 5, "{section} was not read");
    names
}

/// The names in the first column of the tables about them.
fn justified() -> BTreeSet<String> {
    let design = read("src/docs/design.md");
    let (_, tables) = design.split_once("\n## Dependencies\n").expect("there is such a chapter");
    let rows = tables.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split(" | ").next().unwrap_or_default().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it can be read")
}

/// Every source file below these folders.
fn sources(folders: &[&str]) -> Vec<String> {
    let mut open: Vec<PathBuf> =
        folders.iter().map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path).expect("it can be listed").map(|entry| entry.expect("it is there").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(fs::read_to_string(path).expect("sources are UTF-8"));
        }
    }
    sources
}

#[test]
fn each_has_its_reason() {
    let asked: BTreeSet<String> = &asked_for("[dependencies]") | &asked_for("[dev-dependencies]");
    let mut justified = justified();
    // A feature of one that stands there.
    for feature in ["directory", "raw_value", "sync", "time", "tracing", "watch"] {
        if !asked.contains(feature) {
            justified.remove(feature);
        }
    }
    assert_eq!(asked, justified);
}

/// Of the library's own the compiler knows: `.ci/run supply`. Those of tests, benches and examples are looked for.
#[test]
fn each_is_used() {
    let sources = sources(&["src", "tests", "benches", "examples"]);
    for name in asked_for("[dev-dependencies]") {
        let path = format!("{}::", name.replace('-', "_"));
        assert!(sources.iter().any(|source| source.contains(&path)), "nothing uses {name}");
    }
}

/// What is named in the last column of the tables.
fn named(document: &str) -> Vec<&str> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn each_test_that_is_named_is_there() {
    let document = read("src/docs/reliability.md");
    let tests = sources(&["src", "tests"]).concat();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = named(&document);
    assert!(names.len() > 40, "the tables were not read");
    for name in names {
        let is_there = match (name.strip_prefix("laws::"), name.strip_prefix(".ci/run ")) {
            (Some(law), _) => root.join("src/internal/laws").join(law).with_extension("rs").is_file(),
            // The package has no CI.
            (_, Some(step)) => fs::read_to_string(root.join(".ci/run"))
                .map_or(true, |run| run.contains(&format!("\n{step}() {{"))),
            _ => tests.contains(&format!("fn {name}(")),
        };
        assert!(is_there, "{name} is not there");
    }
}
