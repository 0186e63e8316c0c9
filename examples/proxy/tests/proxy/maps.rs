//! The map while the proxy runs: a save is used, a bad one is told of and changes nothing.
use serde_json::Value;
use tower_api_key_name::SharedKeyNames;

use crate::peer::{COSTS, Proxy, Upstream, limits, settings, soon};

async fn health_until(proxy: &Proxy, is: impl Fn(&Value) -> bool) -> Value {
    soon(async {
        loop {
            let health: Value = serde_json::from_slice(&proxy.get("/health").await.body).unwrap();
            if is(&health) {
                return health;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_save_is_used_and_a_bad_one_is_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("names.json");
    let save = |text: &str| {
        // As editors do: never half a file under its name.
        let new = directory.path().join("names.json.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &file).unwrap();
    };
    save(r#"{"key_a":"Alpha"}"#);
    let upstream = Upstream::rows().await;
    let names = SharedKeyNames::watch(&file).unwrap();
    let proxy = Proxy::naming(names, settings(&upstream.base()), limits()).await;
    assert!(proxy.get(COSTS).await.text().contains(r#""api_key_name":"Alpha""#));

    save(r#"{"key_a":"Renamed","key_b":"Beta"}"#);
    let health = health_until(&proxy, |health| health["entries"] == 2).await;
    assert_eq!((&health["status"], &health["generation"]), (&"ok".into(), &2.into()));
    let reply = proxy.get(COSTS).await;
    assert!(reply.text().contains("Renamed") && reply.text().contains("Beta"), "{}", reply.text());

    save("{\"key_a\": 7}");
    let health = health_until(&proxy, |health| !health["last_error"].is_null()).await;
    assert_eq!((&health["status"], &health["entries"]), (&"ok".into(), &2.into()));
    let why = health["last_error"].as_str().unwrap();
    assert!(why.contains("names.json"), "{why}");
    assert_eq!(proxy.get(COSTS).await.text(), reply.text());

    save(r#"{"key_a":"Again"}"#);
    let health = health_until(&proxy, |health| health["last_error"].is_null()).await;
    assert_eq!(health["entries"], 1);
    assert!(proxy.get(COSTS).await.text().contains("Again"));
}
