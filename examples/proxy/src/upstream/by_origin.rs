//! The path to several upstreams, for requests that have an absolute URI and content in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use tower::{BoxError, service_fn};
use tower_api_key_name::directory::BaseUrl;

use super::client::{UpstreamBody, UpstreamClients};
use super::failure::Failure;
use super::forward::end_connection;
use super::replay::ReplayBody;
use super::retry::send_with_retries;
use crate::http_service::HttpService;
use crate::settings::{Roots, UpstreamSettings};

/// The upstream clients of each origin. The origins are those of the flags and the keys file, so they are few.
struct OriginClients {
    timeout: Duration,
    roots: Roots,
    by_origin: Mutex<HashMap<String, Arc<UpstreamClients>>>,
}

impl OriginClients {
    /// Returns the clients of a URI's origin, and creates them with its first request. An error means that the URI is not
    /// absolute, or that the TLS configuration cannot be made.
    fn of(&self, uri: &Uri) -> Result<Arc<UpstreamClients>, BoxError> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err("the URI is not absolute".into());
        };
        let origin = format!("{scheme}://{authority}");
        let mut by_origin = self.by_origin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clients) = by_origin.get(&origin) {
            return Ok(clients.clone());
        }
        let base: BaseUrl = origin.parse()?;
        let settings = UpstreamSettings { base, timeout: self.timeout, roots: self.roots.clone() };
        let clients = Arc::new(UpstreamClients::new(&settings)?);
        by_origin.insert(origin, clients.clone());
        Ok(clients)
    }
}

/// Returns the service that sends each request to the origin of its URI, and again if the upstream did not process it.
/// The requests to one origin share connections. `timeout` limits the opening of a connection.
pub fn service_by_origin(
    timeout: Duration,
    roots: Roots,
) -> impl HttpService<Full<Bytes>, UpstreamBody, Failure> + Sync {
    let origins = Arc::new(OriginClients { timeout, roots, by_origin: Mutex::default() });
    service_fn(move |request: Request<Full<Bytes>>| {
        let clients = origins.of(request.uri()).map_err(Failure::Unreachable);
        // In a box, because the layers above move the future.
        Box::pin(async move {
            let clients = clients?;
            let (parts, body) = request.into_parts();
            let Ok(content) = body.collect().await;
            let mut replayable = Request::from_parts(parts, ReplayBody::whole(content.to_bytes()));
            let mut response = send_with_retries(&clients, &mut replayable).await?;
            end_connection(&mut response)?;
            Ok(response)
        })
    })
}
