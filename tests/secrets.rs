//! The `Debug` output, and where there is one the `Display` output, of every public type, made where secrets are at
//! hand: none of them repeats what stands in a request, an answer, a map file or a key.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::fs;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_api_key_name::directory::{AdminKey, Directory};
use tower_api_key_name::outcome::{Refusal, ResponseState, Skip};
use tower_api_key_name::{ApiKeyNameLayer, KeyNames, SharedKeyNames, Unmatched};

const MARK: &str = "Marked7Qx";

/// Text by the type that it is of.
#[derive(Default)]
struct Told(BTreeMap<&'static str, Vec<String>>);

impl Told {
    fn debug(&mut self, name: &'static str, it: &dyn Debug) {
        self.0.entry(name).or_default().extend([format!("{it:?}"), format!("{it:#?}")]);
    }

    fn error(&mut self, name: &'static str, it: &dyn std::error::Error) {
        self.0.entry(name).or_default().extend([format!("{it:?}"), it.to_string()]);
    }
}

#[tokio::test]
async fn no_public_type_shows_a_secret() {
    let mut told = Told::default();
    maps(&mut told);
    answers(&mut told).await;
    directories(&mut told).await;

    for (name, texts) in &told.0 {
        for text in texts {
            assert!(!text.contains(MARK), "{name}: {text}");
        }
    }
    let names: BTreeSet<String> = told.0.keys().map(ToString::to_string).collect();
    assert_eq!(names, public_types(), "each public type has a line in this test");
}

/// The types at the root and in the public modules: those that a front file exports or declares.
fn public_types() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["lib.rs", "directory.rs", "naming/outcome.rs"] {
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
    names.into_iter().filter(|name| name.starts_with(char::is_uppercase)).collect()
}

fn maps(told: &mut Told) {
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
        told.error("KeyNamesError", &error);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("names.json"), bad).unwrap();
        told.error("WatchError", &SharedKeyNames::watch(folder.path().join("names.json")).unwrap_err());
    }
    told.debug("KeyNames", &names());
    let shared = SharedKeyNames::new(names());
    told.debug("SharedKeyNames", &shared);
    told.debug("Snapshot", &shared.snapshot());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, r#"{"key_a": "x"}"#).unwrap();
    let watched = SharedKeyNames::watch(&file).unwrap();
    told.debug("Status", &watched.status());
    told.debug("Status", &shared.status());
}

fn names() -> KeyNames {
    // No secret has any business here; who puts one in has it shown by no log.
    KeyNames::new([("key_a", MARK), (MARK, "x")]).unwrap()
}

/// A request, and an answer, of which everything is secret.
async fn answers(told: &mut Told) {
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let heard = outcomes.clone();
    let layer = ApiKeyNameLayer::new(SharedKeyNames::new(names()))
        .on_outcome(move |outcome, request| heard.lock().unwrap().push((*outcome, format!("{request:?}"))));
    told.debug("ApiKeyNameLayer", &layer);
    told.debug("Unmatched", &Unmatched::default());
    told.debug("Refusal", &Refusal::UnknownName);
    told.debug("Skip", &Skip::MediaType);
    for body in [r#"{"api_key_id":"Marked7Qx"}"#, "{\"Marked7Qx", "{\"api_key_id\":\"Marked7Qx"] {
        let mut service = layer.layer(service_fn(async |_: Request<Full<Bytes>>| {
            let answer =
                Response::builder().header("content-type", "application/json").header("set-cookie", MARK);
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
        }));
        for query in ["api_key_names=Marked7Qx", "key=Marked7Qx"] {
            let request = Request::get(format!("/v1/organization/costs?{query}"))
                .header("authorization", MARK)
                .body(Full::new(Bytes::from_static(MARK.as_bytes())))
                .unwrap();
            let future = service.ready().await.unwrap().call(request);
            told.debug("ResponseFuture", &future);
            let answer = future.await.unwrap();
            told.debug("ResponseState", answer.extensions().get::<ResponseState>().unwrap());
            told.debug("ResponseBody", answer.body());
        }
    }
    // What stands below is shown as it shows itself.
    told.debug("ApiKeyName", &layer.layer(()));
    for (outcome, request) in outcomes.lock().unwrap().iter() {
        told.debug("RequestContext", request);
        told.debug("Outcome", outcome);
        told.debug("Counts", &outcome.counts());
    }
}

/// Lists of an API that repeats the key, in items and in errors.
async fn directories(told: &mut Told) {
    let key = AdminKey::new(MARK.into()).unwrap();
    told.debug("AdminKey", &key);
    told.error("DirectoryError", &AdminKey::new(format!("{MARK}\n{MARK}")).unwrap_err());
    let progress = Arc::new(Mutex::new(Vec::new()));
    let seen = progress.clone();
    let directory = Directory::openai(
        service_fn(async |request: Request<Empty<Bytes>>| {
            assert_eq!(request.headers()["authorization"], format!("Bearer {MARK}"));
            let list = r#"{"object":"list","data":[{"id":"proj_a","name":"Marked7Qx","value":"Marked7Qx"}],"has_more":false}"#;
            let (status, body) = match request.uri().path() {
                path if path.ends_with("/projects") => (200, list),
                path if path.ends_with("/api_keys") => (401, r#"{"error":{"message":"Incorrect API key: Marked7Qx"}}"#),
                _ => (200, "{\"data\": Marked7Qx"),
            };
            let answer = Response::builder().status(status).header("www-authenticate", MARK);
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
        }),
        key.clone(),
    )
    .on_progress(move |it| seen.lock().unwrap().push(it));
    for url in ["https://user:Marked7Qx@x", "https://x/?key=Marked7Qx", "Marked7Qx"] {
        let with_url = Directory::openai(
            service_fn(async |_: Request<Empty<Bytes>>| {
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }),
            key.clone(),
        );
        told.error("DirectoryError", &with_url.base_url(url).unwrap_err());
    }
    told.debug("Directory", &directory);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("synced.json");
    let synced = directory.sync(&file).await.unwrap();
    assert_eq!(synced.listing().missing().len(), 2, "{:?}", synced.listing().missing());
    told.debug("Synced", &synced);
    told.debug("Synced", &synced.to_string());
    told.debug("Listing", synced.listing());
    for missing in synced.listing().missing() {
        told.debug("Missing", missing);
        told.debug("Missing", &missing.to_string());
    }
    told.debug("Changes", &synced.changes());
    for it in progress.lock().unwrap().iter() {
        told.debug("Progress", it);
    }
    fs::write(&file, "{\"Marked7Qx\": ").unwrap();
    told.error("DirectoryError", &directory.sync(&file).await.unwrap_err());
}
