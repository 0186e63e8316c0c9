//! The way of a request to the upstream and of its response back.
//!
//! ```text
//! request   timeouts ─▶ forward (target, hop-by-hop, Via) ─▶ replay (keeps content) ─▶ retry ─▶ client ─▶ connector
//! response  timeouts ◀─ forward ◀──────────────────────────────────────────────────── retry ◀─ client
//! ```
//!
//! `forward` changes the headers of both messages, with `framing` for their length. `retry` sends a request again if
//! the upstream did not process it; `replay` keeps the content for that. `client` contains hyper-util's clients, and
//! `connector` opens their connections with the configuration of `tls`.

pub mod client;
pub mod connector;
pub mod forward;
pub mod framing;
pub mod replay;
pub mod retry;
pub mod tls;

use std::io;

use http::{Request, Response};
use tower::{Service, ServiceBuilder};

use super::errors::Failure;
use super::settings::ProxySettings;
use super::timeouts::Upload;
use client::{UpstreamBody, UpstreamClient};
use replay::ReplayBody;
use retry::RetryPolicy;

/// Returns the service that sends requests to the upstream, with retries.
///
/// # Errors
///
/// If the TLS configuration cannot be made.
pub fn service(
    settings: &ProxySettings,
) -> io::Result<
    impl Service<Request<Upload>, Response = Response<UpstreamBody>, Error = Failure, Future: Send>
    + Clone
    + Send
    + 'static
    + use<>,
> {
    Ok(ServiceBuilder::new()
        .map_request(|request: Request<Upload>| request.map(ReplayBody::new))
        .retry(RetryPolicy::default())
        .service(UpstreamClient::new(settings)?))
}
