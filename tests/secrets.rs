//! The `Debug` and `Display` output of each public type, created from secret input, repeats no part of a request, a
//! response, a map file or a key.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use test_support::shown::Shown;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_api_key_name::directory::{AdminKey, BaseUrl, Directory};
use tower_api_key_name::names::{Labels, MapReader, Provider};
use tower_api_key_name::outcome::{Refusal, ResponseState, Skip};
use tower_api_key_name::settings::{ErrorForm, InsertNames, NamePosition, Prefer, Unmatched};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames};

const MARK: &str = "Marked7Qx";

#[tokio::test]
async fn debug_and_display_of_public_types_show_no_secret() {
    let mut shown = Shown::default();
    maps(&mut shown);
    responses(&mut shown).await;
    #[cfg(feature = "proxy-keys")]
    selected_names(&mut shown);
    directories(&mut shown).await;

    for (name, texts) in &shown.0 {
        for text in texts {
            assert!(!text.contains(MARK), "{name}: {text}");
        }
    }
    let names: BTreeSet<String> = shown.0.keys().map(ToString::to_string).collect();
    assert_eq!(names, public_types(), "each public type has a line in this test");
}

/// The types that the crate root and the front files of the public modules export or declare.
fn public_types() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["lib.rs", "names.rs", "directory.rs", "naming/outcome.rs", "settings.rs"] {
        let source = fs::read_to_string(format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for line in source.lines() {
            if let Some(path) = line.strip_prefix("pub use ").and_then(|path| path.strip_suffix(';')) {
                let exported = path.rsplit("::").next().unwrap().trim_matches(['{', '}']);
                names.extend(exported.split(", ").map(str::to_owned));
            }
            let declared = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
            names.extend(declared.and_then(|rest| rest.split([' ', '<', '(']).next()).map(str::to_owned));
        }
    }
    // Modules and functions have no upper-case letter, and constants no lower-case one.
    let is_type = |name: &String| name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
    names.into_iter().filter(is_type).collect()
}

fn maps(shown: &mut Shown) {
    for bad in [
        r#"{"Marked7Qx": 7}"#,
        r#"{"key_a": "Marked7Qx", "key_a": "x"}"#,
        r#"{"Marked7Qx": "x", "Marked7Qx": "y"}"#,
        r#"{"data": [{"id": "key_a", "name": "x", "value": Marked7Qx}]}"#,
        r#"["Marked7Qx"]"#,
        "\"Marked7Qx\"",
        "Marked7Qx",
    ] {
        let error = KeyNames::from_json(bad.as_bytes()).unwrap_err();
        shown.error("KeyNamesError", &error);
        shown.debug("KeyNamesErrorKind", &error.kind());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("names.json"), bad).unwrap();
        let error = SharedKeyNames::watch(folder.path().join("names.json")).unwrap_err();
        shown.error("WatchError", &error);
        shown.debug("WatchErrorKind", &error.kind());
    }
    shown.debug("KeyNames", &names());
    let shared = SharedKeyNames::new(names());
    shown.debug("SharedKeyNames", &shared);
    shown.debug("Snapshot", &shared.snapshot());
    let sections = names().with_section("project_id", [("proj_a", MARK)]).unwrap();
    shown.debug("Section", &sections.section("project_id").unwrap());
    shown.debug("UnmatchedReceiver", &shared.unmatched_ids().unwrap());

    shown.debug("Labels", &Labels::default());
    shown.debug("MapReader", &MapReader::default());
    shown.debug("Provider", &Provider::OpenAi);
    shown.debug("LabelSet", &tower_api_key_name::names::LabelSet::default());
    shown.error("LabelError", &Labels::default().with("sk-proj-Marked7Qx", "name").unwrap_err());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, r#"{"key_a": "x"}"#).unwrap();
    let watched = SharedKeyNames::watch(&file).unwrap();
    shown.debug("Status", &watched.status());
    shown.debug("Status", &shared.status());
}

fn names() -> KeyNames {
    // A secret in a map is an error of the user, and still not shown.
    KeyNames::new([("key_a", MARK), (MARK, "x")]).unwrap()
}

/// A request and a response whose parts are all secret.
async fn responses(shown: &mut Shown) {
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let log = outcomes.clone();
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names()))
        .on_outcome(move |outcome, request| log.lock().unwrap().push((*outcome, format!("{request:?}"))));
    shown.debug("ApiKeyNameLayer", &layer);
    shown.debug("Unmatched", &Unmatched::default());
    shown.debug("NamePosition", &NamePosition::default());
    shown.debug("Prefer", &Prefer::default());
    shown.debug("InsertNames", &InsertNames::default());
    shown.debug("ErrorForm", &ErrorForm::OpenAi);
    shown.debug("Refusal", &Refusal::UnknownName);
    shown.debug("Skip", &Skip::MediaType);
    for body in [r#"{"api_key_id":"Marked7Qx"}"#, "{\"Marked7Qx", "{\"api_key_id\":\"Marked7Qx"] {
        let mut service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
            let response =
                Response::builder().header("content-type", "application/json").header("set-cookie", MARK);
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
        }));
        for query in ["api_key_names=Marked7Qx", "key=Marked7Qx"] {
            let request = Request::get(format!("/v1/organization/costs?{query}"))
                .header("authorization", MARK)
                .body(Full::new(Bytes::from_static(MARK.as_bytes())))
                .unwrap();
            let future = service.ready().await.unwrap().call(request);
            shown.debug("ResponseFuture", &future);
            let response = future.await.unwrap();
            shown.debug("ResponseState", response.extensions().get::<ResponseState>().unwrap());
            shown.debug("ResponseBody", response.body());
        }
    }
    // The inner service has its own `Debug` output.
    shown.debug("ApiKeyName", &layer.layer(()));
    for (outcome, request) in outcomes.lock().unwrap().iter() {
        shown.debug("RequestContext", request);
        shown.debug("Outcome", outcome);
        shown.debug("Counts", &outcome.counts());
    }
}

/// Names that each request sees in part, by a credential that may be an operator token.
#[cfg(feature = "proxy-keys")]
fn selected_names(shown: &mut Shown) {
    use tower_api_key_name::proxy_keys::{OperatorToken, ProxyKeys};

    let file = r#"{"data": [{"id": "key_Marked7Qx", "name": "Marked7Qx", "hashes": []}]}"#;
    let token = OperatorToken::new(MARK.repeat(4)).unwrap();
    let names = ProxyKeys::from_json(file.as_bytes()).unwrap().operator_token(token).names();
    shown.debug("SharedKeyNames", &names);
    shown.debug("ApiKeyNameLayer", &ApiKeyNameLayer::new(names));
}

/// A directory of an API that repeats the key in items and in errors.
async fn directories(shown: &mut Shown) {
    let key = AdminKey::new(MARK.into()).unwrap();
    shown.debug("AdminKey", &key);
    let malformed_key = AdminKey::new(format!("{MARK}\n{MARK}")).unwrap_err();
    shown.error("DirectoryError", &malformed_key);
    shown.debug("DirectoryErrorKind", &malformed_key.kind());
    shown.error("DirectoryError", &AdminKey::from_file(MARK).unwrap_err());
    for url in ["https://user:Marked7Qx@x", "https://x/?key=Marked7Qx", "Marked7Qx"] {
        shown.error("BaseUrlError", &url.parse::<BaseUrl>().unwrap_err());
    }
    let base: BaseUrl = "https://x/Marked7Qx".parse().unwrap();
    shown.debug("BaseUrl", &base);

    let progress = Arc::new(Mutex::new(Vec::new()));
    let log = progress.clone();
    let directory = Directory::openai(
        service_fn(async |request: Request<Empty<Bytes>>| {
            assert_eq!(request.headers()["authorization"], format!("Bearer {MARK}"));
            let list = r#"{"object":"list","data":[{"id":"proj_a","name":"Marked7Qx","value":"Marked7Qx"}],"has_more":false}"#;
            let (status, body) = match request.uri().path() {
                path if path.ends_with("/projects") => (200, list),
                path if path.ends_with("/api_keys") => (401, r#"{"error":{"message":"Incorrect API key: Marked7Qx"}}"#),
                _ => (200, "{\"data\": Marked7Qx"),
            };
            let response = Response::builder().status(status).header("www-authenticate", MARK);
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
        }),
        key,
    )
    .base_url(base)
    .on_progress(move |progress| log.lock().unwrap().push(progress));
    shown.debug("Directory", &directory);
    for check in directory.check_lists().await {
        shown.debug("ListCheck", &check);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("learned.json");
    let synced = directory.sync(&file).await.unwrap();
    assert_eq!(synced.listing.missing.len(), 2, "{:?}", synced.listing.missing);
    shown.debug("Synced", &synced);
    shown.debug("Synced", &synced.to_string());
    shown.debug("Listing", &synced.listing);
    for missing in &synced.listing.missing {
        shown.debug("MissingList", missing);
        shown.debug("MissingList", &missing.to_string());
        shown.debug("KeyList", &missing.list);
        shown.error("ListError", &missing.error);
    }
    shown.debug("Changes", &synced.changes);
    for progress in progress.lock().unwrap().iter() {
        shown.debug("ListingProgress", progress);
    }

    fs::write(&file, r#"{"key_a": "Marked7Qx"}"#).unwrap();
    let (_names, follower) = directory.watch([] as [&str; 0], &file).unwrap();
    shown.debug("Follower", &follower);
    fs::write(&file, "{\"Marked7Qx\": ").unwrap();
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(follower.run(move |event| sender.send(event).unwrap()));
    for _ in ["listed", "cache failed"] {
        shown.debug("FollowerEvent", &events.recv().await.unwrap());
    }
    task.abort();
    shown.error("DirectoryError", &directory.sync(&file).await.unwrap_err());
    shown.error("DirectoryError", &directory.watch([] as [&str; 0], &file).unwrap_err());
}
