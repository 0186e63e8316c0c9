//! The access log: one line for each request, when its response is complete or broken off. It has method, path, status,
//! outcome of the naming layer, and milliseconds, and never a header, a query or a body.
//!
//! A line costs more than half of the CPU time of a small response. Successful requests therefore have a line only with
//! `--access-log`, at INFO; failed ones have one at WARN. Both use the target `access`.
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use tower::{BoxError, service_fn};
use tower_api_key_name::outcome::{Outcome, RequestContext};
use tracing_subscriber::EnvFilter;

use crate::http_service::HttpService;

const TARGET: &str = "access";

/// Returns the filter of the log: `RUST_LOG`, or the default, with access lines if they are requested.
pub fn filter(access_log: bool) -> EnvFilter {
    let mut directives = std::env::var("RUST_LOG").unwrap_or_else(|_| format!("info,{TARGET}=warn"));
    if access_log {
        // A later directive for a target replaces an earlier one.
        directives = format!("{directives},{TARGET}=info");
    }
    EnvFilter::builder().parse_lossy(directives)
}

/// Stores the outcome for the request's line. It is the naming layer's `on_outcome` callback.
pub fn store_outcome(outcome: &Outcome, request: &RequestContext) {
    if let Some(line) = request.extensions().get::<Arc<AccessLine>>() {
        let _ = line.outcome.set(*outcome);
    }
}

/// Returns the path of a request, without segments that look like a secret key.
/// The query is left out as a whole, because any parameter may contain a secret. A user may have pasted a key (`sk-…`)
/// into the path in place of its id.
pub fn masked_path(uri: &Uri) -> String {
    let mask = |segment| if str::starts_with(segment, "sk-") { "…" } else { segment };
    let segments: Vec<&str> = uri.path().split('/').map(mask).collect();
    segments.join("/")
}

/// A response body whose error hook owns the line. The hook is dropped after the inner body, which has reported its
/// outcome by then.
pub type LogBody<B> = MapErr<B, Box<dyn FnMut(BoxError) -> BoxError + Send>>;

/// The fields of a request's line. A request extension passes them to the naming layer's callback.
struct AccessLine {
    /// The time of the request, if lines at INFO are enabled.
    start: Option<Instant>,
    method: Method,
    uri: Uri,
    outcome: OnceLock<Outcome>,
}

/// The line of a response. It is logged when it is dropped.
struct LineOfResponse {
    request: Arc<AccessLine>,
    status: StatusCode,
    body_failed: bool,
}

impl Drop for LineOfResponse {
    /// Logs the line: at WARN if the call has failed, and otherwise at INFO if that level is enabled.
    fn drop(&mut self) {
        let has_failed = self.status.is_server_error() || self.body_failed;
        if has_failed {
            tracing::warn!(target: TARGET, "{self}");
        } else if self.request.start.is_some() {
            tracing::info!(target: TARGET, "{self}");
        }
    }
}

/// `GET /v1/organization/costs 200 amended named=12 unmatched=1 null=0 3 ms`
impl fmt::Display for LineOfResponse {
    /// Writes the line. The outcome and the duration are absent if they are not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = masked_path(&self.request.uri);
        write!(f, "{} {path} {}", self.request.method, self.status.as_u16())?;
        if let Some(outcome) = self.request.outcome.get() {
            write_outcome(f, outcome)?;
        }
        if self.body_failed {
            f.write_str(" broke off")?;
        }
        if let Some(start) = self.request.start {
            write!(f, " {} ms", start.elapsed().as_millis())?;
        }
        Ok(())
    }
}

/// Returns the fields of a request's line, or `None` if the log's filter excludes even the lines of failed requests.
fn begin_line<A>(request: &Request<A>) -> Option<Arc<AccessLine>> {
    let logs_failed_requests = tracing::enabled!(target: TARGET, tracing::Level::WARN);
    if !logs_failed_requests {
        return None;
    }
    let logs_all_requests = tracing::enabled!(target: TARGET, tracing::Level::INFO);
    Some(Arc::new(AccessLine {
        start: if logs_all_requests { Some(Instant::now()) } else { None },
        method: request.method().clone(),
        uri: request.uri().clone(),
        outcome: OnceLock::new(),
    }))
}

/// Writes the outcome of the naming layer, with the reason if there is one, and its counts.
fn write_outcome(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    match outcome {
        Outcome::Refused { refusal } => return write!(f, " refused {refusal:?}"),
        Outcome::Skipped { skip, .. } => write!(f, " skipped {skip:?}")?,
        other => write!(f, " {}", other.as_str())?,
    }
    let counts = outcome.counts();
    write!(f, " named={} unmatched={} null={}", counts.named, counts.unmatched, counts.not_a_string)
}

/// Returns a service that writes a line for each request, when its response is dropped.
pub fn with_log<A, B>(
    mut inner: impl HttpService<A, B, Infallible>,
) -> impl HttpService<A, LogBody<B>, Infallible>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    service_fn(move |mut request: Request<A>| {
        let line = begin_line(&request);
        if let Some(line) = &line {
            request.extensions_mut().insert(line.clone());
        }
        let future = inner.call(request);
        async move {
            let response = future.await?;
            let status = response.status();
            let mut response_line =
                line.map(|request| LineOfResponse { request, status, body_failed: false });
            // The hook owns the line, and the response body owns the hook.
            let hook = move |error| {
                if let Some(line) = &mut response_line {
                    line.body_failed = true;
                }
                error
            };
            Ok(response.map(|body| body.map_err(Box::new(hook) as _)))
        }
    })
}
