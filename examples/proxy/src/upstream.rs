//! The way of a request to the upstream and of its response back.
//!
//! ```text
//! request   timeouts ─▶ forward ─▶ replay (keeps content) ─▶ retry ─▶ client ─▶ connector (TCP, TLS, ALPN)
//! response  timeouts ◀─ forward ◀─────────────────────────── retry ◀─ client
//! ```
//!
//! `forward` uses `framing`, and `connector` uses `tls`. `upload` is the content of a request.

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

use http::{Request, Response};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use super::settings::ProxySettings;
use client::{UpstreamBody, UpstreamClients};
use failure::Failure;
use forward::Gateway;
use replay::ReplayBody;
use retry::RetryPolicy;
use upload::Upload;

/// Returns the service that forwards requests to the upstream. An error means that the TLS configuration cannot be made.
pub fn service(
    settings: &ProxySettings,
) -> io::Result<
    impl Service<Request<Upload>, Response = Response<UpstreamBody>, Error = Failure, Future: Send>
    + Clone
    + Send
    + use<>,
> {
    let gateway = Arc::new(Gateway::new(&settings.base));
    let clients = Arc::new(UpstreamClients::new(settings)?);
    let sender = ServiceBuilder::new()
        .retry(RetryPolicy::default())
        .service_fn(move |request: Request<ReplayBody>| clients.clone().send(request));
    Ok(service_fn(move |mut request: Request<Upload>| {
        let gateway = gateway.clone();
        let sender = sender.clone();
        async move {
            gateway.prepare_request(&mut request)?;
            let mut response = sender.oneshot(request.map(ReplayBody::new)).await?;
            gateway.prepare_response(&mut response)?;
            Ok(response)
        }
    }))
}
