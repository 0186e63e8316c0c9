//! The responses of `/health`: the state of the names for operators, and liveness for load balancers.
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body_util::Full;
use serde::Serialize;
use tower_api_key_name::proxy_keys::ProxyKeys;
use tower_api_key_name::{SharedKeyNames, Status};

use crate::by_provider::ByProvider;

/// The state of the names. The first members are about both maps.
#[derive(Serialize)]
struct HealthDetails {
    status: &'static str,
    #[serde(flatten)]
    both: MapHealth,
    openai: MapHealth,
    anthropic: MapHealth,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_keys: Option<MapHealth>,
}

/// The state of a map of names, or of a keys file.
#[derive(Serialize)]
struct MapHealth {
    entries: usize,
    generation: u64,
    /// The error of the last reload.
    last_error: Option<String>,
}

impl From<Status> for MapHealth {
    fn from(status: Status) -> Self {
        let last_error = status.last_error.map(|error| error.to_string());
        Self { entries: status.entries, generation: status.generation, last_error }
    }
}

/// Returns a response that reports only that the process serves requests.
pub(super) fn respond_with_liveness() -> Response<Full<Bytes>> {
    json_response(r#"{"status":"ok"}"#.to_owned())
}

/// Returns a response with the state of both maps, of the map of each provider, and of the proxy keys if there are some.
pub(super) fn respond_with_details(
    names: &ByProvider<SharedKeyNames>,
    keys: Option<&ProxyKeys>,
) -> Response<Full<Bytes>> {
    let openai = MapHealth::from(names.openai.status());
    let anthropic = MapHealth::from(names.anthropic.status());
    let both = MapHealth {
        entries: openai.entries.max(anthropic.entries),
        // The generation that both maps have reached.
        generation: openai.generation.min(anthropic.generation),
        last_error: openai.last_error.clone().or_else(|| anthropic.last_error.clone()),
    };
    let proxy_keys = keys.map(|keys| MapHealth::from(keys.status()));
    // The status is "ok" after a failed reload too, because the last good names stay in use.
    let details = HealthDetails { status: "ok", both, openai, anthropic, proxy_keys };
    // Numbers and strings can always be serialized.
    json_response(serde_json::to_string(&details).unwrap_or_default())
}

/// Returns a response with this JSON, which no cache stores.
pub(super) fn json_response(body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
