//! What `src/docs/reliability.md` says of its tests is true: they are there.
use std::fs;
use std::path::{Path, PathBuf};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// All that stands in the sources below this folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it is there").path();
        if path.is_dir() {
            all += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path).expect("sources are UTF-8");
        }
    }
    all
}

/// What is named in the last column of the tables.
fn named(document: &str) -> Vec<&str> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn each_test_that_is_named_is_there() {
    let document = fs::read_to_string(at("src/docs/reliability.md")).unwrap();
    let (tests, laws) = (sources(&at("src")) + &sources(&at("tests")), at("src/internal/laws"));
    let names = named(&document);
    assert!(names.len() > 40, "the tables were not read");
    for name in names {
        let is_there = match (name.strip_prefix("laws::"), name.strip_prefix(".ci/run ")) {
            (Some(law), _) => laws.join(law).with_extension("rs").is_file(),
            // The package has no CI.
            (_, Some(step)) => {
                fs::read_to_string(at(".ci/run")).map_or(true, |run| run.contains(&format!("\n{step}() {{")))
            }
            _ => tests.contains(&format!("fn {name}(")),
        };
        assert!(is_there, "{name} is not there");
    }
}
