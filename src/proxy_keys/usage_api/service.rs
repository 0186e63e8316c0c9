//! The service.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use jiff::Timestamp;
use tower_service::Service;

use super::body::UsageBody;
use super::endpoint::UsageEndpoint;
use super::future::UsageFuture;
use super::page::UsagePage;
use super::query::UsageQuery;
use super::slots::{UsageCaller, UsageSlots};
use crate::names::Provider;
use crate::proxy_keys::gate::{Refusal, RefusalKind};
use crate::proxy_keys::keys::ProxyKeys;
use crate::proxy_keys::ledger::UsageSource;
use crate::proxy_keys::log::log_and_respond;
use crate::proxy_keys::visibility::VisibleUsage;

/// The keys, the ledger and the slots that all services of a layer share.
pub(super) struct UsageShared {
    pub(super) keys: ProxyKeys,
    pub(super) source: UsageSource,
    pub(super) slots: Arc<UsageSlots>,
}

/// Serves the usage in a ledger, and sends other requests to `S`. Created by [`UsageLayer`](super::UsageLayer).
#[derive(Clone)]
pub struct UsageService<S> {
    inner: S,
    shared: Arc<UsageShared>,
}

impl<S> UsageService<S> {
    pub(super) fn new(inner: S, shared: Arc<UsageShared>) -> Self {
        Self { inner, shared }
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

impl<S, A, B> Service<Request<A>> for UsageService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<UsageBody<B>>;
    type Error = S::Error;
    type Future = UsageFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Reads the ledger if the request is for the usage, and its caller may see some. Otherwise calls the inner service.
    fn call(&mut self, request: Request<A>) -> Self::Future {
        let Some(endpoint) = UsageEndpoint::find(request.method(), request.uri()) else {
            return UsageFuture::inner(self.inner.call(request));
        };
        let Some(access) = self.shared.keys.usage_access(request.headers()) else {
            return UsageFuture::inner(self.inner.call(request));
        };
        let caller = UsageCaller::new(access.key_id);
        // The inner service is not called, so it stays ready for the next request.
        let query = request.uri().query().unwrap_or_default();
        match self.shared.start_page(endpoint, query, caller.clone(), access.visible) {
            Ok(page) => UsageFuture::page(page),
            Err(refusal) => UsageFuture::ready(log_and_respond(&refusal, Provider::OpenAi, caller.key_id())),
        }
    }
}

impl UsageShared {
    /// Returns the page of a query. Returns a refusal if the query is not accepted, or if the caller has too many responses in
    /// flight.
    fn start_page(
        &self,
        endpoint: UsageEndpoint,
        query: &str,
        caller: UsageCaller,
        visible: VisibleUsage,
    ) -> Result<UsagePage, Refusal> {
        let query = UsageQuery::parse(endpoint, query, visible, Timestamp::now())?;
        let Some(slot) = self.slots.take(caller) else {
            let message = "This caller has too many usage responses in flight: 4 for a key, or 16 for all operators. Read one \
                           to its end first.";
            return Err(Refusal::new(RefusalKind::UsageBusy, message).retry_after(1));
        };
        Ok(UsagePage::new(query, self.source.clone(), slot))
    }
}

impl<S: fmt::Debug> fmt::Debug for UsageService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
