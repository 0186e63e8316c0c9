//! Reloads of the names file while the proxy runs.
use serde_json::Value;
use tower_api_key_name::SharedKeyNames;

use crate::peer::{COSTS, Proxy, Upstream, limits, settings, soon};

async fn health_until(proxy: &Proxy, condition: impl Fn(&Value) -> bool) -> Value {
    soon(async {
        loop {
            let health: Value = serde_json::from_slice(&proxy.get("/health").await.body).unwrap();
            if condition(&health) {
                return health;
            }
        }
    })
    .await
}

#[tokio::test]
async fn names_file_after_each_save_is_reloaded_or_its_error_reported() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("names.json");
    let save = |text: &str| {
        // Editors write a new file and rename it.
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
    let error = health["last_error"].as_str().unwrap();
    assert!(error.contains("names.json"), "{error}");
    assert_eq!(proxy.get(COSTS).await.text(), reply.text());

    save(r#"{"key_a":"Again"}"#);
    let health = health_until(&proxy, |health| health["last_error"].is_null()).await;
    assert_eq!(health["entries"], 1);
    assert!(proxy.get(COSTS).await.text().contains("Again"));
}
