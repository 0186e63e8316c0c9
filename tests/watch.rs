//! Log lines of a watch. The subscriber is global, so this test needs a process of its own.
#![cfg(all(feature = "watch", feature = "tracing"))]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_api_key_name::{SharedKeyNames, Status};

#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics while it holds the lock").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn save(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    std::fs::write(&draft, text).expect("the draft can be written");
    std::fs::rename(draft, path).expect("the draft can be renamed");
}

#[tokio::test]
async fn watch_logs_one_line_per_change() {
    let log = CapturedLog::default();
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
    let has_error = |status: &Status, text| {
        status.last_error.as_ref().is_some_and(|error| error.to_string().contains(text))
    };
    step("{", &|status| has_error(status, "1:2: the JSON ends")).await;
    step("[]", &|status| has_error(status, "an array")).await;
    step(r#"{"a":"one"}"#, &|status| status.last_error.is_none()).await;
    step(r#"{"a":"two"}"#, &|status| status.generation == 2).await;
    step(r#"{"data":[{}],"has_more":true}"#, &|status| status.generation == 3).await;
    step(r#"{"a":"sk-proj-abcdefgh"}"#, &|status| has_error(status, "secret")).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let log = log.replace(&folder.path().display().to_string(), "…");
    // On a machine without file events there is one more line, at the start.
    let lines = log.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.contains("only by polling")).collect();
    let expected = [
        "WARN …/names.json:1:2: the JSON ends too early",
        "INFO …/names.json: valid again",
        "INFO key names reloaded generation=2 entries=1 left_out=0 source=\"…/names.json\"",
        "WARN …/names.json: this list page has has_more: true",
        "INFO key names reloaded generation=3 entries=0 left_out=1 source=\"…/names.json\"",
        "WARN …/names.json:1:6: this name looks like a secret API key",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(!log.contains("abcdefgh"));
}
