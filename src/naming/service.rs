//! `ApiKeyName`: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{head, refusal};
use crate::naming::report::Report;
use crate::naming::settings::Settings;
use crate::{ResponseBody, ResponseFuture};

/// Names the keys in the answers of `S`. Made by [`ApiKeyNameLayer`](crate::ApiKeyNameLayer).
#[derive(Clone)]
pub struct ApiKeyName<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> ApiKeyName<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to be changed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the names.
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

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        if !(self.settings.scope)(request.uri()) {
            #[cfg(feature = "tracing")]
            say_near_miss(request.uri().path());
            return ResponseFuture::pass(self.inner.call(request));
        }
        let report = Box::new(Report::new(&self.settings, &request));
        let method = request.method().clone();
        if let Err(fault) = head::amend_request(&mut request, report.names()) {
            // What is below stays ready: for the next call of this instance, or until that is dropped.
            let answer = refusal::answer(&fault, &method, report.names(), self.settings.suggest_names);
            return ResponseFuture::refuse(answer, report);
        }
        ResponseFuture::amend(self.inner.call(request), method, report)
    }
}

/// A prefix before the API's own path, or one that a router took off, puts every answer out of scope
/// without a word: so there is one.
#[cfg(feature = "tracing")]
fn say_near_miss(path: &str) {
    if path.split('/').any(|segment| matches!(segment, "organization" | "organizations")) {
        tracing::debug!(
            path = crate::names::mask(path),
            "out of scope: its names are not looked up; see ApiKeyNameLayer::scope"
        );
    }
}

impl<S: fmt::Debug> fmt::Debug for ApiKeyName<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyName").field("inner", &self.inner).finish_non_exhaustive()
    }
}
