//! The body of the upstream, metered while it passes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::drain::start_drain;
use crate::proxy_keys::admitted_call::PendingSettlement;
use crate::proxy_keys::call::UpstreamCall;
use crate::proxy_keys::meter::BodyForm;
use crate::proxy_keys::wire::usage_event::UsageEventRemover;

/// A body that passes chunk by chunk. Its call is settled before the client can receive its end.
///
/// The chunk that ends a JSON document or the terminal event of a stream is held until the settlement is durable, because a
/// client may stop there and call again. A JSON body may also be cut, so each of its chunks is held until the next one. A
/// stream without a terminal event is ended only after the settlement.
pub(in super::super) struct MeteredBody<B: Body> {
    /// `None` after the drop of the body.
    body: Option<Pin<Box<B>>>,
    /// `None` after the drop of the body.
    call: Option<Box<UpstreamCall>>,
    form: BodyForm,
    /// The removal of the usage event, if the client did not request it.
    remover: Option<UsageEventRemover>,
    /// The chunks that pass next.
    output: VecDeque<Bytes>,
    /// The chunks that pass after the settlement.
    held: VecDeque<Bytes>,
    settlement: Option<PendingSettlement>,
    /// The error of the body, which is sent after the output.
    error: Option<B::Error>,
    has_ended: bool,
    /// [`start_drain`] for this body. The pointer needs no bounds on `B`, which an `impl Drop` cannot have.
    start_drain: fn(Pin<Box<B>>, Box<UpstreamCall>),
}

impl<B: Body + Send + 'static> MeteredBody<B> {
    pub(in super::super) fn new(
        body: B,
        call: Box<UpstreamCall>,
        form: BodyForm,
        remover: Option<UsageEventRemover>,
    ) -> Self {
        Self {
            body: Some(Box::pin(body)),
            call: Some(call),
            form,
            remover,
            output: VecDeque::new(),
            held: VecDeque::new(),
            settlement: None,
            error: None,
            has_ended: false,
            start_drain: start_drain::<B>,
        }
    }
}

impl<B: Body> MeteredBody<B> {
    /// Polls the next chunk. Trailers do not pass.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if let Some(chunk) = self.output.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if let Some(settlement) = &mut self.settlement {
                // If it cannot be written, the ledger keeps it and admits no call meanwhile, so the chunks may pass.
                let _ = ready!(settlement.as_mut().poll(cx));
                self.settlement = None;
                self.output.append(&mut self.held);
                continue;
            }
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            if self.has_ended {
                return Poll::Ready(self.error.take().map(Err));
            }
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(mut data) = frame.into_data() {
                        let chunk = data.copy_to_bytes(data.remaining());
                        self.receive(chunk);
                    }
                }
                Some(Err(error)) => {
                    self.error = Some(error);
                    self.finish();
                }
                None => self.finish(),
            }
        }
    }

    /// Meters a chunk of the body, and adds it to the output or to the held chunks. Settles the call if the response ends in
    /// it.
    fn receive(&mut self, chunk: Bytes) {
        let Some(call) = &mut self.call else { return };
        let is_open = call.is_open();
        call.meter_chunk(&chunk);
        let chunk = call.hide_error_texts(chunk);
        let ends_response = is_open && call.has_metered_end();
        // A JSON chunk that was held is not the last one.
        self.output.append(&mut self.held);
        let holds_chunk = is_open && (ends_response || self.form == BodyForm::Json);
        let passed = if holds_chunk { &mut self.held } else { &mut self.output };
        match &mut self.remover {
            Some(remover) => remover.push(chunk, passed),
            None if chunk.is_empty() => {}
            None => passed.push_back(chunk),
        }
        if ends_response {
            self.settlement = call.end();
        }
    }

    /// Ends the body, and settles the call if it is not settled.
    fn finish(&mut self) {
        self.has_ended = true;
        let unfinished_event = self.remover.as_mut().map(UsageEventRemover::finish).unwrap_or_default();
        if !unfinished_event.is_empty() {
            self.output.push_back(unfinished_event);
        }
        if let Some(call) = &mut self.call {
            self.settlement = call.end();
        }
    }

    /// True if no chunk follows, and the call is settled. False if a part of an event may be held.
    pub(super) fn is_end_stream(&self) -> bool {
        let has_output = !self.output.is_empty() || !self.held.is_empty() || self.error.is_some();
        let is_open = self.settlement.is_some() || self.call.as_ref().is_some_and(|call| call.is_open());
        if has_output || is_open {
            return false;
        }
        let body_has_ended = self.body.as_ref().is_none_or(|body| body.is_end_stream());
        self.has_ended || (self.remover.is_none() && body_has_ended)
    }

    /// The length of the rest of the body. It is unknown for a stream of events: a client that knows the length could stop
    /// before the settlement.
    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = match &self.body {
            Some(body) if self.form == BodyForm::Json => body.size_hint(),
            _ => return SizeHint::default(),
        };
        let waiting_len: u64 = self.output.iter().chain(&self.held).map(|chunk| chunk.len() as u64).sum();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(waiting_len));
        }
        hint.set_lower(hint.lower().saturating_add(waiting_len));
        hint
    }
}

/// No field is pinned in place: the body is in a box.
impl<B: Body> Unpin for MeteredBody<B> {}

/// Drains the body of a call that is not settled.
impl<B: Body> Drop for MeteredBody<B> {
    fn drop(&mut self) {
        let (Some(body), Some(call)) = (self.body.take(), self.call.take()) else { return };
        // A body that has panicked must not be polled.
        let may_drain = call.is_open() && !std::thread::panicking();
        if may_drain {
            (self.start_drain)(body, call);
        }
    }
}
