//! The layer of proxy keys with a ledger file: streams over loopback, and the time of an admission.
//!
//! Each line compares two sides, which are measured in alternating turns. 1 is the speed of the baseline.
//!
//! All: `cargo bench --features sqlite --bench proxy_keys`. Some: behind `--`, parts of their names. Once each, without
//! measuring: `cargo test --features sqlite --bench proxy_keys`.
#![allow(missing_docs, unreachable_pub)]

mod admissions;
mod comparison;
mod event_stream;
mod streams;

use tempfile::TempDir;
use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{
    BaseUrl, Ledger, MintedKey, ProxyKeyLayer, ProxyKeys, Upstream, UpstreamKey, Upstreams, mint,
};

use self::comparison::{Comparisons, run};

fn main() {
    let comparisons: Comparisons = vec![
        (
            "32 streams of 40 events with the layer ÷ without".into(),
            Box::new(streams::compare_with_forwarding),
        ),
        ("admission of 1 caller ÷ fdatasync".into(), Box::new(admissions::compare_with_sync)),
        (
            "p99 of admissions of 32 callers ÷ fdatasync".into(),
            Box::new(admissions::compare_percentile_with_sync),
        ),
        ("calls of 32 callers ÷ calls of 1 caller".into(), Box::new(admissions::compare_callers)),
    ];
    run(comparisons);
}

/// A layer with a ledger file, and a key with limits that it accepts.
#[derive(Debug)]
pub struct KeyedLayer {
    pub layer: ProxyKeyLayer,
    pub key: MintedKey,
    /// The folder of the ledger file. Its removal ends with this value.
    _folder: TempDir,
}

impl KeyedLayer {
    /// Creates a layer whose upstream is at an address of this machine.
    pub fn new(base_url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder is created");
        let ledger = Ledger::open(folder.path().join("ledger.sqlite")).expect("the ledger is new");
        let key = mint().expect("the system has random bytes");
        let keys = ProxyKeys::from_json(keys_file(&key).as_bytes()).expect("a valid keys file");
        let base: BaseUrl = base_url.parse().expect("a valid URL");
        let real_key = UpstreamKey::new("sk-real-of-the-bench".to_owned()).expect("a valid key");
        let upstream = Upstream::new(Provider::OpenAi, base, real_key).expect("loopback is confidential");
        let upstreams = Upstreams::default().with(upstream);
        Self { layer: ProxyKeyLayer::new(keys, ledger, upstreams), key, _folder: folder }
    }
}

/// A key and its group, each with limits that no bench reaches.
fn keys_file(key: &MintedKey) -> String {
    let limits = r#"{"requests": {"month": 1000000000}, "tokens": {"month": 1000000000000}}"#;
    let digest = key.digest();
    format!(
        r#"{{"data": [{{"id": "key_bench", "name": "Bench", "group": "g", "hashes": ["{digest}"], "limits": {limits}}}],
            "groups": {{"g": {{"limits": {limits}}}}}}}"#
    )
}
