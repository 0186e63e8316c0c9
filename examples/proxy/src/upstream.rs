//! The way of a request to the upstream and of its response back.
//!
//! ```text
//! request   timeouts ─▶ forward ─▶ replay (keeps content) ─▶ retry ─▶ client ─▶ connector (TCP, TLS, ALPN)
//! response  timeouts ◀─ forward ◀─────────────────────────── retry ◀─ client
//! ```
//!
//! `forward` uses `framing`, and `connector` uses `tls`. `upload` is the content of a request. `by_origin` is the path of
//! calls with proxy keys, from `retry` on.

mod by_origin;
pub mod client;
pub mod connector;
pub mod failure;
pub mod forward;
pub mod framing;
pub mod replay;
pub mod retry;
pub mod tls;
pub mod upload;

use std::io;
use std::sync::Arc;

use http::Request;
use tower::service_fn;

use super::http_service::HttpService;
use super::settings::UpstreamSettings;
pub use by_origin::service_by_origin;
use client::{UpstreamBody, UpstreamClients};
use failure::Failure;
use forward::Gateway;
use replay::ReplayBody;
use retry::send_with_retries;
use upload::Upload;

/// Returns the service that forwards requests to the upstream. An error means that the TLS configuration cannot be made.
pub fn service(
    settings: &UpstreamSettings,
) -> io::Result<impl HttpService<Upload, UpstreamBody, Failure> + use<>> {
    let gateway = Arc::new(Gateway::new(&settings.base));
    let clients = Arc::new(UpstreamClients::new(settings)?);
    Ok(service_fn(move |mut request: Request<Upload>| {
        let gateway = gateway.clone();
        let clients = clients.clone();
        let prepared = gateway.prepare_request(&mut request);
        let mut replayable = request.map(ReplayBody::new);
        // In a box, because the layers above move the future.
        Box::pin(async move {
            prepared?;
            let mut response = send_with_retries(&clients, &mut replayable).await?;
            gateway.prepare_response(&mut response)?;
            Ok(response)
        })
    }))
}
