//! What a watch logs. In a process of its own: a subscriber for all threads, and no other test
//! that could say something meanwhile.
#![cfg(all(feature = "watch", feature = "tracing"))]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower_api_key_name::{SharedKeyNames, Status};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic holds it").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn save(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("a new file");
    std::fs::rename(beside, path).expect("a rename");
}

#[tokio::test]
async fn one_event_for_each_thing_that_happens() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.json");
    save(&file, r#"{"a":"one"}"#);
    let names = SharedKeyNames::watch(&file).unwrap();

    let step = async |text: &str, until: &dyn Fn(&Status) -> bool| {
        save(&file, text);
        let reached = tokio::time::timeout(Duration::from_secs(60), names.wait_for(until)).await;
        reached.unwrap_or_else(|_| panic!("{text}: {:?}", names.status()));
    };
    let says = |status: &Status, words| status.last_error.as_ref().is_some_and(|e| e.contains(words));
    step("{", &|status| says(status, "1:2: the JSON ends")).await;
    step("[]", &|status| says(status, "an array")).await;
    step(r#"{"a":"one"}"#, &|status| status.last_error.is_none()).await;
    step(r#"{"a":"two"}"#, &|status| status.generation == 2).await;
    step(r#"{"data":[{}],"has_more":true}"#, &|status| status.generation == 3).await;
    step(r#"{"a":"sk-proj-abcdefgh"}"#, &|status| says(status, "secret")).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let log = log.replace(&folder.path().display().to_string(), "…");
    // On a machine without file events there is one line more, at the start.
    let lines = log.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.contains("only by looking")).collect();
    let expected = [
        "WARN …/names.json:1:2: the JSON ends too early",
        "INFO …/names.json: good again",
        "INFO key names reloaded generation=2 entries=1 left_out=0 source=\"…/names.json\"",
        "INFO key names reloaded generation=3 entries=0 left_out=1 source=\"…/names.json\"",
        "WARN …/names.json: this list says has_more: true",
        "WARN …/names.json:1:6: this name looks like a secret API key",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(!log.contains("abcdefgh"));
}
