//! The service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

#[cfg(feature = "tracing")]
use super::events;
use super::report::Report;
use super::request_headers::RewrittenUri;
use super::settings::LayerSettings;
use super::{refusal, request_headers};
use crate::names::LabelSet;
use crate::query::FilterError;
use crate::{ResponseBody, ResponseFuture};

/// Inserts key names into the responses of `S`. Created by [`ApiKeyNameLayer`](crate::ApiKeyNameLayer).
#[derive(Clone)]
pub struct ApiKeyName<S> {
    inner: S,
    settings: Arc<LayerSettings>,
}

impl<S> ApiKeyName<S> {
    pub(crate) fn new(inner: S, settings: Arc<LayerSettings>) -> Self {
        Self { inner, settings }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for ApiKeyName<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Calls the inner service with the rewritten request, or responds in its place if the filter cannot be translated.
    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        match prepare(&mut request, &self.settings) {
            Prepared::OutOfScope => ResponseFuture::pass_through(self.inner.call(request)),
            Prepared::InScope(report) => ResponseFuture::amend(self.inner.call(request), report),
            // The inner service is not called, so it stays ready for the next request.
            Prepared::Refused(error, report) => {
                let (refusal, response) = refusal::respond(&error, &report);
                ResponseFuture::refuse(refusal, response, report)
            }
        }
    }
}

/// A request before the call of the inner service.
enum Prepared {
    /// The request and its response stay unchanged.
    OutOfScope,
    /// The request is rewritten, and names are inserted into its response.
    InScope(Box<Report>),
    /// The filter of the request cannot be translated.
    Refused(FilterError, Box<Report>),
}

/// Rewrites a request if its response gets names, and creates the report about its response.
fn prepare<A>(request: &mut Request<A>, settings: &Arc<LayerSettings>) -> Prepared {
    if !(settings.scope)(request.uri()) {
        #[cfg(feature = "tracing")]
        events::out_of_scope(request.uri().path());
        return Prepared::OutOfScope;
    }
    let labels = settings.labels_of_path(request.uri().path());
    if labels.is_empty() {
        return Prepared::OutOfScope;
    }
    let names = settings.names.snapshot_for(request.headers());
    let rewritten = match request_headers::rewrite_uri(request.uri(), settings, labels, &names) {
        Ok(rewritten) => rewritten,
        Err(error) => {
            return Prepared::Refused(error, Box::new(Report::new(settings, names, labels, request)));
        }
    };
    let requested = rewritten.as_ref().map_or(LabelSet::default(), |uri| uri.labels);
    let active = settings.labels_of_response(labels, requested);
    if active.is_empty() {
        return Prepared::OutOfScope;
    }
    // The report contains the request as the client sent it.
    let mut report = Box::new(Report::new(settings, names, active, request));
    if let Some(RewrittenUri { uri, name_sent, .. }) = rewritten {
        *request.uri_mut() = uri;
        report.name_sent = name_sent;
    }
    request_headers::remove_headers(request);
    Prepared::InScope(report)
}

impl<S: fmt::Debug> fmt::Debug for ApiKeyName<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyName").field("inner", &self.inner).finish_non_exhaustive()
    }
}
