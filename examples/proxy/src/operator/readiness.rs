//! `/ready`: 200 if a load balancer may send requests to this process, otherwise 503.
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::proxy_keys::Ledger;

use super::health::json_response;
use crate::by_provider::ByProvider;
use crate::server::ShutdownSignal;
use crate::sync::AwaitedListings;

/// The state that decides if the process is ready.
#[derive(Clone)]
pub struct Readiness {
    pub names: ByProvider<SharedKeyNames>,
    /// The providers of `--sync` whose lists were not completely read yet.
    pub awaited_listings: AwaitedListings,
    /// The ledger of proxy keys, if there are some.
    pub ledger: Option<Ledger>,
    pub shutdown: ShutdownSignal,
}

impl Readiness {
    /// Returns a 200, or a 503 while the process is not ready. The response has the reasons only if `has_details`.
    pub(super) fn respond(&self, has_details: bool) -> Response<Full<Bytes>> {
        let reasons = self.reasons();
        if reasons.is_empty() {
            return json_response(r#"{"status":"ready"}"#.to_owned());
        }
        let body = if has_details {
            json!({ "status": "not_ready", "reasons": reasons })
        } else {
            json!({ "status": "not_ready" })
        };
        let mut response = json_response(body.to_string());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }

    /// Returns the reasons why the process is not ready.
    fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        if self.is_first_map_awaited() {
            reasons.push("names_not_loaded");
        }
        if self.ledger.as_ref().is_some_and(|ledger| !ledger.status().is_writable) {
            reasons.push("ledger_not_writable");
        }
        if self.shutdown.is_received() {
            reasons.push("stopping");
        }
        reasons
    }

    /// True if a provider of `--sync` has no name, and its lists were not completely read yet.
    fn is_first_map_awaited(&self) -> bool {
        for (provider, names) in self.names.iter() {
            if self.awaited_listings.contains(provider) && names.status().entries == 0 {
                return true;
            }
        }
        false
    }
}
