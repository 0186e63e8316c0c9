//! A response that is read whole before it passes: an error, or the list of models.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Response, response};
use http_body::Body;

use super::call::UpstreamCall;
use super::gate::{Refusal, RefusalKind};
use super::log::log_and_respond;
use super::response::{
    BodyLength, BufferedKind, MAX_ERROR, MAX_MODEL_LIST, filter_models, is_encoded, may_describe_account,
    own_error, permitted_headers,
};

/// A response whose body is being read.
pub(super) struct BufferedResponse {
    pub(super) kind: BufferedKind,
    pub(super) parts: response::Parts,
    pub(super) call: Box<UpstreamCall>,
    bytes: Vec<u8>,
}

impl BufferedResponse {
    pub(super) fn new(kind: BufferedKind, parts: response::Parts, call: Box<UpstreamCall>) -> Self {
        Self { kind, parts, call, bytes: Vec::new() }
    }

    /// Reads the body up to its end. Returns false if it is too long, or if its connection fails.
    pub(super) fn poll_body<B: Body>(&mut self, mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<bool> {
        let max_len = match self.kind {
            BufferedKind::ModelList => MAX_MODEL_LIST,
            BufferedKind::Error => MAX_ERROR,
        };
        loop {
            let Some(result) = ready!(body.as_mut().poll_frame(cx)) else { return Poll::Ready(true) };
            let Ok(frame) = result else { return Poll::Ready(false) };
            let Ok(mut data) = frame.into_data() else { continue };
            if self.bytes.len().saturating_add(data.remaining()) > max_len {
                return Poll::Ready(false);
            }
            let chunk = data.copy_to_bytes(data.remaining());
            self.bytes.extend_from_slice(&chunk);
        }
    }

    /// Creates the response to the client. `is_whole` is the result of [`poll_body`](Self::poll_body).
    pub(super) fn finish(mut self, is_whole: bool) -> Response<Bytes> {
        let body = if is_whole { self.take_permitted_body() } else { None };
        let Some(body) = body else { return self.replacement() };
        let mut response = Response::new(body);
        *response.status_mut() = self.parts.status;
        let length = BodyLength::Exact(response.body().len());
        *response.headers_mut() = permitted_headers(&self.parts.headers, length);
        response
    }

    /// Removes and returns the body that passes. Returns `None` if it must not pass.
    fn take_permitted_body(&mut self) -> Option<Bytes> {
        let body = Bytes::from(mem::take(&mut self.bytes));
        match self.kind {
            BufferedKind::ModelList => filter_models(&body, &self.call.head.key.models),
            // A text cannot be found in a compressed body.
            BufferedKind::Error if is_encoded(&self.parts.headers) => None,
            BufferedKind::Error if self.call.real_key.is_echoed_in(&body) => None,
            BufferedKind::Error if may_describe_account(&body) => None,
            BufferedKind::Error => Some(body),
        }
    }

    /// Creates the response whose body does not pass.
    fn replacement(&self) -> Response<Bytes> {
        let provider = self.call.provider();
        match self.kind {
            BufferedKind::Error => own_error(&self.parts, provider),
            BufferedKind::ModelList => {
                let message = "The provider sent a list of models that this service cannot read.";
                let refusal = Refusal::new(RefusalKind::UpstreamFailed, message);
                log_and_respond(&refusal, provider, Some(&self.call.head.key.id))
            }
        }
    }
}
