//! `AmendedBody`: an upstream body that is buffered up to the limit and streamed beyond it, with names inserted.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::into_bytes;
use crate::json::amend::Amender;
use crate::json::rules::Rules;
use crate::json::scan::ScanError;
use crate::naming::budget::Reservation;
use crate::naming::head;
use crate::naming::report::Report;
use crate::naming::settings::MEMBERS;
use crate::outcome::{Counts, Outcome, ResponseState, Skip};

/// The shortest time that an object may stay undecided, in bytes, so that `limit(0)` inserts names too. It is longer
/// than any row, and shorter than one read of most connections.
const MIN_WINDOW: u64 = 16 * 1024;

pin_project! {
    /// An upstream body on its way through the amender.
    pub(crate) struct AmendedBody<B: Body> {
        #[pin]
        upstream: B,
        transfer: Transfer<B::Error>,
    }
}

/// The amender of one body, and the state of the body.
struct Transfer<E> {
    // In a box of its own, because a larger block is slower to allocate.
    amender: Box<Amender>,
    reservation: Reservation,
    report: Box<Report>,
    state: State<E>,
}

enum State<E> {
    /// The headers wait for the end of the body, for an error in it, or for more bytes than the limit.
    Buffering { end: Option<BodyEnd<E>> },
    /// Amended output goes out while the body arrives.
    Streaming { end: Option<BodyEnd<E>> },
    /// The body is invalid and stays unchanged. It goes out while the rest arrives.
    Passing,
    /// The body has ended, and the rest of the output goes out.
    Draining { end: BodyEnd<E>, content_length: Option<u64> },
    Done,
}

/// The end of the upstream body.
enum BodyEnd<E> {
    Complete(Option<HeaderMap>),
    Failed(E),
}

// === impl AmendedBody ===

impl<B: Body> AmendedBody<B> {
    pub(crate) fn new(upstream: B, report: Box<Report>) -> Self {
        Self { upstream, transfer: Transfer::new(report) }
    }

    /// Buffers the body until the headers can go out.
    pub(crate) fn poll_decided(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while !this.transfer.is_decided() {
            let frame = ready!(this.upstream.as_mut().poll_frame(cx));
            this.transfer.receive(frame);
            this.transfer.scan_to_limit();
        }
        Poll::Ready(())
    }

    /// Corrects the headers, and adds the state of the response to its extensions.
    pub(crate) fn decide(self: Pin<&mut Self>, parts: &mut response::Parts) {
        let state = self.project().transfer.decide(&mut parts.headers);
        parts.extensions.insert(state);
    }

    pub(super) fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let transfer = this.transfer;
        loop {
            if let Some(chunk) = transfer.next_chunk() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            match &mut transfer.state {
                State::Streaming { end } => match end.take() {
                    Some(end) => transfer.finish_streaming(end),
                    None => transfer.receive(ready!(this.upstream.as_mut().poll_frame(cx))),
                },
                State::Passing => {
                    let frame = ready!(this.upstream.as_mut().poll_frame(cx));
                    return Poll::Ready(transfer.pass(frame));
                }
                State::Buffering { .. } | State::Draining { .. } | State::Done => {
                    return Poll::Ready(transfer.take_end());
                }
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let is_last = matches!(
            self.transfer.state,
            State::Draining { end: BodyEnd::Complete(None), .. } | State::Done
        );
        is_last && self.transfer.amender.is_drained()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.transfer.state {
            State::Draining { content_length: Some(length), .. } => SizeHint::with_exact(length),
            State::Done => SizeHint::with_exact(0),
            State::Passing => {
                let (buffered, rest) = (self.transfer.amender.output_len(), self.upstream.size_hint());
                let mut hint = SizeHint::default();
                hint.set_lower(rest.lower().saturating_add(buffered));
                if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(buffered)) {
                    hint.set_upper(upper);
                }
                hint
            }
            State::Buffering { .. } | State::Streaming { .. } | State::Draining { .. } => SizeHint::default(),
        }
    }
}

// === impl Transfer ===

impl<E> Transfer<E> {
    fn new(report: Box<Report>) -> Self {
        let settings = report.settings();
        let rules = Rules {
            members: MEMBERS,
            unmatched: settings.unmatched,
            null_as_unmatched: settings.null_as_unmatched,
            window: (settings.limit as u64).max(MIN_WINDOW),
        };
        let amender = Amender::new(rules, report.names().clone(), settings.learnt.clone());
        Self {
            amender: Box::new(amender),
            reservation: Reservation::new(settings.total.clone()),
            report,
            state: State::Buffering { end: None },
        }
    }

    /// Receives the next frame of the upstream body.
    fn receive<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        let received_end = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                self.amender.push(into_bytes(data));
                return;
            }
            Some(Ok(Err(frame))) => match frame.into_trailers() {
                Ok(trailers) => BodyEnd::Complete(Some(trailers)),
                Err(_) => return,
            },
            Some(Err(error)) => BodyEnd::Failed(error),
            None => BodyEnd::Complete(None),
        };
        if let State::Buffering { end } | State::Streaming { end } = &mut self.state {
            *end = Some(received_end);
        }
    }

    // --- Buffering ---

    /// Scans the buffered bytes, as long as they are within the limit. Small frames wait for more.
    fn scan_to_limit(&mut self) {
        self.reserve();
        let end = if let State::Buffering { end } = &self.state { end.as_ref() } else { None };
        if end.is_none() && !self.amender.has_batch() && !self.is_over_limit() {
            return;
        }
        let is_complete = matches!(end, Some(BodyEnd::Complete(_)));
        while self.amender.scanned() + self.amender.edit_charge() <= self.allowed() {
            if !self.amender.scan_batch() {
                break;
            }
            self.reserve();
        }
        if is_complete && !self.is_over_limit() {
            self.amender.finish();
        }
    }

    fn reserve(&mut self) {
        self.reservation.grow(self.amender.held().min(self.report.settings().limit as u64));
    }

    /// The most bytes that may be held. It is compared with input offsets as well.
    fn allowed(&self) -> u64 {
        self.reservation.allowed().min(self.report.settings().limit as u64)
    }

    fn is_over_limit(&self) -> bool {
        self.amender.held() > self.allowed()
    }

    /// True if the body is invalid, and would stay unchanged even if it were streamed.
    fn is_hopeless(&self) -> bool {
        self.amender.error().is_some() && !self.amender.is_changed()
    }

    /// True if the headers can go out.
    fn is_decided(&self) -> bool {
        !matches!(self.state, State::Buffering { end: None }) || self.is_over_limit() || self.is_hopeless()
    }

    /// True if the body exceeds the limit, unless it was hopeless at a byte within the limit. One large frame can
    /// contain both positions.
    fn must_stream(&self) -> bool {
        let held_at_error = self.amender.error().map(|error| error.offset() + self.amender.edit_charge());
        let is_over_limit_first = held_at_error.is_none_or(|held| held >= self.allowed());
        self.is_over_limit() && (is_over_limit_first || !self.is_hopeless())
    }

    fn decide(&mut self, headers: &mut HeaderMap) -> ResponseState {
        if self.is_over_limit() {
            self.amender.disable_prefilter();
            self.scan_to_limit();
        }
        let must_stream = self.must_stream();
        let State::Buffering { end } = mem::replace(&mut self.state, State::Done) else {
            return ResponseState::Streaming;
        };
        if must_stream {
            self.state = State::Streaming { end };
            head::amend_response(headers, None);
            self.report_progress(None);
            return ResponseState::Streaming;
        }
        let outcome = match self.skip(end.as_ref()) {
            Some(skip) => {
                self.amender.discard_edits();
                Outcome::Skipped { skip, counts: Counts::default() }
            }
            None => {
                self.report_ids();
                self.outcome()
            }
        };
        self.report.set(outcome);
        self.state = match end {
            Some(end) => self.start_draining(end, headers),
            None => State::Passing,
        };
        outcome.into()
    }

    /// The reason to leave a buffered body unchanged.
    fn skip(&self, end: Option<&BodyEnd<E>>) -> Option<Skip> {
        match (end, self.amender.error()) {
            // An error in the body comes first, because it does not wait for the end.
            (Some(BodyEnd::Failed(_)), _) if !self.is_hopeless() => Some(Skip::BodyFailed),
            (_, error) => error.map(Skip::from),
        }
    }

    fn outcome(&self) -> Outcome {
        let counts = self.amender.counts();
        if self.amender.is_changed() { Outcome::Amended { counts } } else { Outcome::Unchanged { counts } }
    }

    fn start_draining(&mut self, mut end: BodyEnd<E>, headers: &mut HeaderMap) -> State<E> {
        let is_changed = self.amender.is_changed();
        let content_length = match end {
            // A body with trailers has no Content-Length over HTTP/1.1 (RFC 9112 §6.3, §7.1.2).
            BodyEnd::Complete(None) if !head::announces_trailers(headers) => Some(self.amender.output_len()),
            _ => None,
        };
        // The headers of an unchanged body stay. A second length would contradict theirs (RFC 9110 §8.6).
        let content_length =
            content_length.filter(|length| is_changed || !head::denies(headers, *length));
        if is_changed {
            head::amend_response(headers, content_length);
            if let BodyEnd::Complete(Some(trailers)) = &mut end {
                head::amend_trailers(trailers);
            }
        }
        State::Draining { end, content_length }
    }

    // --- After the headers ---

    /// Returns the next chunk of the output. A body that is streamed is scanned batch by batch, because one frame of
    /// any size can contain many edits.
    fn next_chunk(&mut self) -> Option<Bytes> {
        let chunk = loop {
            let chunk = self.amender.next_chunk();
            let is_streaming = matches!(self.state, State::Streaming { .. });
            if chunk.is_some() || !is_streaming || !self.amender.scan_batch() {
                break chunk;
            }
            self.report_progress(None);
        };
        self.reservation.set(self.amender.held());
        if let (Some(chunk), State::Draining { content_length: Some(length), .. }) = (&chunk, &mut self.state)
        {
            *length -= chunk.len() as u64;
        }
        chunk
    }

    fn finish_streaming(&mut self, mut end: BodyEnd<E>) {
        match &mut end {
            BodyEnd::Failed(_) => self.amender.abort(),
            BodyEnd::Complete(trailers) => {
                self.amender.finish();
                trailers.iter_mut().for_each(head::amend_trailers);
            }
        }
        self.report_progress(Some(&end));
        self.state = State::Draining { end, content_length: None };
    }

    /// Passes a frame of a body that stays unchanged.
    fn pass<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) -> Option<Result<Frame<Bytes>, E>> {
        if !matches!(&frame, Some(Ok(frame)) if !frame.is_trailers()) {
            self.state = State::Done;
            self.report.tell();
        }
        frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes)))
    }

    /// Returns the last frame, after all data.
    fn take_end(&mut self) -> Option<Result<Frame<Bytes>, E>> {
        self.report.tell();
        match mem::replace(&mut self.state, State::Done) {
            State::Draining { end: BodyEnd::Failed(error), .. } => Some(Err(error)),
            State::Draining { end: BodyEnd::Complete(Some(trailers)), .. } => Some(Ok(Frame::trailers(trailers))),
            _ => None,
        }
    }

    // --- Reports ---

    /// Reports the new ids of a streamed body, and its outcome if it ended here. Without an `end`, that is a drop.
    fn report_progress(&mut self, end: Option<&BodyEnd<E>>) {
        self.report_ids();
        let skip = match (end, self.amender.error()) {
            (None, _) => Some(Skip::Dropped),
            (Some(BodyEnd::Failed(_)), _) => Some(Skip::BodyFailed),
            (Some(BodyEnd::Complete(_)), error) => error.map(Skip::from),
        };
        let outcome = match skip {
            Some(skip) => Outcome::Skipped { skip, counts: self.amender.counts() },
            None => self.outcome(),
        };
        self.report.set(outcome);
    }

    /// Logs the settled ids, and reports the unmatched ones.
    fn report_ids(&mut self) {
        #[cfg(feature = "tracing")]
        self.report.trace_named(self.amender.named());
        let unmatched = self.amender.unmatched();
        if unmatched.len() > 0 {
            let is_streaming = matches!(self.state, State::Streaming { .. });
            self.report.note_unmatched(unmatched, (!is_streaming).then(|| self.amender.buffered()));
            self.amender.clear_unmatched();
        }
    }
}

impl From<ScanError> for Skip {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::NotJson { offset } => Skip::NotJson { offset },
            ScanError::TooDeep { offset } => Skip::TooDeep { offset },
        }
    }
}
