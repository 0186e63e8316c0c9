//! The page `/spend` for browsers: its files, and the runs whose results it shows.
//!
//! ```text
//! GET /spend, /spend.js, … ─▶ files
//! POST /spend.json ─▶ run_request ─▶ run ─▶ spend::read_report ─▶ result ─▶ line_body ─▶ lines of JSON
//! ```
//!
//! - `files` contains the page, its scripts, its styles and its icon.
//! - `run_request` parses the body of a request. `run` reads the costs, and sends lines with its progress.
//! - `result` writes the last line. `line_body` is the response body. When the client closes it, the run ends.
mod files;
mod line_body;
mod result;
mod run;
mod run_request;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tower::BoxError;
use tower_api_key_name::SharedKeyNames;

use crate::by_provider::ByProvider;
use crate::proxy_keys::usage::LedgerUsageApi;
use crate::server::NoTimeLimit;
use crate::settings::ProxySettings;
use crate::spend::LedgerCosts;
use crate::stack::errors::ErrorFormat;
use crate::stack::route::reject_overload;
use line_body::{LineBody, RunSlot};
use run::{PageRun, RunSource};
use run_request::{RunCredentials, RunRequest};

pub use files::{PageFile, file};

/// The longest body of a request for a run, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The longest time for the request body of a run.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The most runs at a time. A run may hold a row for each key of the organization and each day.
const MAX_RUNS: usize = 2;

/// The body of a response: a file or an error, or the lines of a run.
pub type PageBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BoxError>>;

/// The runs that the page starts. Their number at a time is limited.
#[derive(Clone)]
pub struct PageRuns {
    names: ByProvider<SharedKeyNames>,
    settings: Arc<ProxySettings>,
    /// The usage of proxy keys, for the holder of the operator token. `None`: the page has no ledger.
    ledger: Option<LedgerUsageApi>,
    permits: Arc<Semaphore>,
}

/// The reason why a run cannot read the ledger.
enum LedgerRefusal {
    /// The page has no ledger.
    NoLedger,
    /// The token of the run is not the operator token.
    OtherToken,
}

impl LedgerRefusal {
    fn into_response(self) -> Response<Full<Bytes>> {
        match self {
            Self::NoLedger => {
                invalid_run("This proxy has no ledger for the page (--keys with --operator-token-file).")
            }
            Self::OtherToken => {
                let message = "This is not the operator token (--operator-token-file).";
                error(StatusCode::UNAUTHORIZED, "invalid_operator_token", message)
            }
        }
    }
}

impl PageRuns {
    /// Creates the runs of one proxy. They use its names, and send requests with its settings.
    pub fn new(names: ByProvider<SharedKeyNames>, settings: ProxySettings) -> Self {
        Self { names, settings: settings.into(), ledger: None, permits: Arc::new(Semaphore::new(MAX_RUNS)) }
    }

    /// Adds the costs of proxy keys, for users with the operator token.
    pub fn with_ledger(self, ledger: Option<LedgerUsageApi>) -> Self {
        Self { ledger, ..self }
    }

    /// True if the page has the costs of proxy keys.
    pub fn has_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// Starts a run with the parameters in the body of the request. Each line of the response is a JSON value with the
    /// progress, the result or an error. Returns an error response if the parameters are invalid, or during other runs.
    pub async fn start(&self, request: Request<Incoming>) -> Response<PageBody> {
        if let Some(rejection) = reject_overload(&request, ErrorFormat::OpenAi) {
            return rejection.map(Either::Left);
        }
        let page_run = match self.read_run(request).await {
            Ok(page_run) => page_run,
            Err(rejection) => return rejection.map(Either::Left),
        };
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return too_many_runs().map(Either::Left);
        };
        let Self { names, settings, .. } = self.clone();
        // A run may take longer than other responses, and a browser reads slowly for a tab in the background.
        let (no_time_limit, work) = NoTimeLimit::new();
        let body = LineBody::spawn(RunSlot::new(permit, work), move |lines| {
            run::send_lines(page_run, names, settings, lines)
        });
        let mut response = Response::new(Either::Right(body.boxed_unsync()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        response.extensions_mut().insert(no_time_limit);
        response
    }

    /// Reads the parameters. An error is the response to a body that is invalid, too long or too slow, or has another token
    /// than the operator's.
    async fn read_run(&self, request: Request<Incoming>) -> Result<PageRun, Response<Full<Bytes>>> {
        let bytes = self.read_body(request.into_body()).await?;
        let run_request = RunRequest::parse(&bytes).map_err(|message| invalid_run(&message))?;
        let RunRequest { query, by, wants_focus_file, credentials } = run_request;
        let source = match credentials {
            RunCredentials::AdminKeys(keys) => RunSource::Apis(keys),
            RunCredentials::OperatorToken(token) => {
                let costs = self.open_ledger(&token).map_err(LedgerRefusal::into_response)?;
                RunSource::Ledger(costs)
            }
        };
        Ok(PageRun { query, by, wants_focus_file, source })
    }

    /// Returns the costs of proxy keys, which the holder of the operator token may read.
    fn open_ledger(&self, token: &str) -> Result<LedgerCosts, LedgerRefusal> {
        let Some(api) = &self.ledger else { return Err(LedgerRefusal::NoLedger) };
        LedgerCosts::with_token(api.clone(), token).ok_or(LedgerRefusal::OtherToken)
    }

    /// Reads a body of at most [`MAX_BODY`] bytes. An error is the response to a body that is too long or too slow.
    async fn read_body(&self, body: Incoming) -> Result<Bytes, Response<Full<Bytes>>> {
        // A body that states its length is rejected before it is read.
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(body_too_large());
        }
        let collecting = Limited::new(body, MAX_BODY).collect();
        match tokio::time::timeout(self.settings.timeout.min(BODY_TIMEOUT), collecting).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(e)) if e.is::<LengthLimitError>() => Err(body_too_large()),
            Ok(Err(_)) => {
                let message = "The body of the request is incomplete.";
                Err(error(StatusCode::BAD_REQUEST, "request_broken", message))
            }
            Err(_) => {
                let message = "The body of the request did not arrive in time (--timeout).";
                Err(error(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))
            }
        }
    }
}

/// Returns the response to a run with invalid parameters.
fn invalid_run(message: &str) -> Response<Full<Bytes>> {
    error(StatusCode::BAD_REQUEST, "invalid_run", message)
}

/// Returns the response to a body of more than [`MAX_BODY`] bytes.
fn body_too_large() -> Response<Full<Bytes>> {
    let message = format!("The body of a run has at most {MAX_BODY} bytes.");
    error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &message)
}

/// Returns an error response in OpenAI's form.
fn error(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    ErrorFormat::OpenAi.response(status, code, message)
}

/// Returns the response to a run above [`MAX_RUNS`].
fn too_many_runs() -> Response<Full<Bytes>> {
    let message = "Two runs are in progress. Try again when one has ended.";
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "too_many_runs", message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    response
}
