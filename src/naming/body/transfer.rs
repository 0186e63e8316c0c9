//! The state of one body: buffered up to the limit, then streamed, passed on unchanged or drained.

#[cfg(test)]
mod tests;

use std::mem;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::TRAILER;
use http_body::Frame;

use crate::budget::Reservation;
use crate::json::amend::Amender;
use crate::json::rules::Rules;
use crate::naming::body::into_bytes;
#[cfg(feature = "tracing")]
use crate::naming::events;
use crate::naming::report::Report;
use crate::naming::response_headers;
use crate::outcome::{Outcome, ResponseState, Skip};

/// The smallest window for which an object may stay undecided, so that `limit(0)` inserts names too. It is longer than
/// any row, and shorter than one read of most connections.
const MIN_WINDOW: u64 = 16 * 1024;

/// One body with its amender.
pub(super) struct Transfer<E> {
    // In a box of its own, because larger blocks are slower to allocate.
    amender: Box<Amender>,
    reservation: Reservation,
    report: Box<Report>,
    pub(super) state: TransferState<E>,
}

pub(super) enum TransferState<E> {
    /// The headers wait for the end of the body, for an error in it, or for more bytes than the limit.
    Buffering(Option<BodyEnd<E>>),
    /// Amended output goes out while the body arrives.
    Streaming(Option<BodyEnd<E>>),
    /// The body is invalid and goes out unchanged while it arrives.
    Passing,
    /// The body has ended, and the rest of the output goes out.
    Draining {
        end: BodyEnd<E>,
        /// The length of the rest, if it is exact and may be sent.
        content_length: Option<u64>,
    },
    Done,
}

/// The end of the upstream body.
pub(super) enum BodyEnd<E> {
    Complete(Option<HeaderMap>),
    Failed(E),
}

impl<E> Transfer<E> {
    /// Creates the transfer of a body that is buffered first. If it is streamed later, only undecided objects stay
    /// buffered, so the window for them is the limit of the body.
    pub(super) fn new(report: Box<Report>) -> Self {
        let settings = &report.settings;
        let window = (settings.limit as u64).max(MIN_WINDOW);
        let rules = Rules { window, active: report.active, ..settings.rules.clone() };
        let amender = Amender::new(rules, report.names.clone(), settings.templates.clone());
        Self {
            amender: Box::new(amender),
            reservation: Reservation::new(settings.budget.clone()),
            report,
            state: TransferState::Buffering(None),
        }
    }

    /// Buffers the next frame of the upstream body, or stores its end.
    pub(super) fn receive<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        let received_end = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return self.amender.push(into_bytes(data)),
                // A frame without data is the last one.
                Err(last_frame) => BodyEnd::Complete(last_frame.into_trailers().ok()),
            },
            Some(Err(error)) => BodyEnd::Failed(error),
            None => BodyEnd::Complete(None),
        };
        if let TransferState::Buffering(end) | TransferState::Streaming(end) = &mut self.state {
            *end = Some(received_end);
        }
    }

    // === Before the headers ===

    /// Scans the buffered bytes within the limit, and ends the scan with the body. Small frames wait for more.
    pub(super) fn scan_to_limit(&mut self) {
        self.reserve();
        let must_wait = !self.amender.has_batch() && !self.has_ended() && !self.is_over_limit();
        if must_wait {
            return;
        }
        while self.scan_allowed_batch() {
            self.reserve();
        }
        let has_whole_body = matches!(self.state, TransferState::Buffering(Some(BodyEnd::Complete(_))));
        if has_whole_body && !self.is_over_limit() {
            self.amender.finish();
        }
    }

    /// Scans the next batch, unless more bytes than allowed are scanned or charged. Returns false if none was scanned.
    fn scan_allowed_batch(&mut self) -> bool {
        let charged = self.amender.scanned() + self.amender.edit_charge();
        charged <= self.allowed() && self.amender.scan_batch()
    }

    fn reserve(&mut self) {
        self.reservation.grow(self.amender.held().min(self.report.settings.limit as u64));
    }

    /// The most bytes that may be held.
    fn allowed(&self) -> u64 {
        self.reservation.allowed().min(self.report.settings.limit as u64)
    }

    fn is_over_limit(&self) -> bool {
        self.amender.held() > self.allowed()
    }

    fn has_ended(&self) -> bool {
        !matches!(self.state, TransferState::Buffering(None))
    }

    /// True if the body is invalid and stays unchanged even if it is streamed.
    fn is_invalid_and_unchanged(&self) -> bool {
        self.amender.error().is_some() && !self.amender.is_changed()
    }

    /// True if the headers can go out.
    pub(super) fn is_decided(&self) -> bool {
        self.has_ended() || self.is_over_limit() || self.is_invalid_and_unchanged()
    }

    /// True if the body exceeds the limit, unless it is unchanged because of an error before the limit. One large frame
    /// can contain both.
    fn must_stream(&self) -> bool {
        if !self.is_over_limit() {
            return false;
        }
        let Some(error) = self.amender.error() else { return true };
        let held_at_error = error.offset() + self.amender.edit_charge();
        held_at_error >= self.allowed() || self.amender.is_changed()
    }

    /// Corrects the headers and sets the state in which the body goes out. Returns the state of the response. A body
    /// over the limit is streamed. Another one is drained if it has ended, and passed if it is invalid.
    pub(super) fn decide(&mut self, headers: &mut HeaderMap) -> ResponseState {
        if self.is_over_limit() {
            self.amender.disable_prefilter();
            // The reservation does not grow here: bytes that another response has just returned must not make this body
            // fit, because it may be incomplete.
            while self.scan_allowed_batch() {}
        }
        let must_stream = self.must_stream();
        let end = match &mut self.state {
            TransferState::Buffering(end) => end.take(),
            _ => None,
        };
        if must_stream {
            self.state = TransferState::Streaming(end);
            self.report_progress(None);
            response_headers::amend(headers, None);
            return ResponseState::Streaming;
        }
        let has_failed = matches!(end, Some(BodyEnd::Failed(_)));
        let outcome = self.decide_outcome(has_failed);
        self.report.set_outcome(outcome);
        self.state = match end {
            Some(end) => self.start_draining(end, headers),
            None => TransferState::Passing,
        };
        outcome.into()
    }

    /// Returns the outcome of a body that is not streamed. Discards the edits of a body that is invalid or has failed.
    fn decide_outcome(&mut self, has_failed: bool) -> Outcome {
        // After an error in its text, the body stays unchanged, and a later failure has no effect on the outcome.
        let is_failure = has_failed && !self.is_invalid_and_unchanged();
        let skip = if is_failure { Some(Skip::BodyFailed) } else { self.amender.error().map(Skip::from) };
        match skip {
            Some(_) => self.amender.discard_edits(),
            None => self.report_ids(),
        }
        self.outcome(skip)
    }

    /// Corrects the headers and the trailers of a body that has ended, and returns its state. The state contains the
    /// length of the output if `Content-Length` may be sent and does not contradict the headers.
    fn start_draining(&self, mut end: BodyEnd<E>, headers: &mut HeaderMap) -> TransferState<E> {
        let is_changed = self.amender.is_changed();
        // A body with trailers, which `Trailer` announces (RFC 9110 §6.6.2), has no Content-Length over HTTP/1.1 (RFC
        // 9112 §6.3, §7.1.2). The length of an unchanged body must not contradict its headers (RFC 9110 §8.6).
        let has_length = matches!(end, BodyEnd::Complete(None)) && !headers.contains_key(TRAILER);
        let length = self.amender.output_len();
        let has_right_headers = is_changed || !response_headers::contradicts_length(headers, length);
        let content_length = if has_length && has_right_headers { Some(length) } else { None };
        if is_changed {
            response_headers::amend(headers, content_length);
            if let BodyEnd::Complete(Some(trailers)) = &mut end {
                response_headers::amend_trailers(trailers);
            }
        }
        TransferState::Draining { end, content_length }
    }

    // === After the headers ===

    /// Returns the next chunk of the output, or `None` if no further byte is settled. A streamed body is scanned batch
    /// by batch, because one frame can contain any number of edits.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        let mut chunk = self.amender.next_chunk();
        while chunk.is_none() && self.is_streaming() && self.amender.scan_batch() {
            self.report_progress(None);
            chunk = self.amender.next_chunk();
        }
        self.reservation.set(self.amender.held());
        let chunk_len = chunk.as_ref().map_or(0, Bytes::len);
        if let TransferState::Draining { content_length: Some(remaining_len), .. } = &mut self.state {
            *remaining_len -= chunk_len as u64;
        }
        chunk
    }

    fn is_streaming(&self) -> bool {
        matches!(self.state, TransferState::Streaming(_))
    }

    /// The number of bytes of an unchanged body that were received and did not go out.
    pub(super) fn buffered_len(&self) -> u64 {
        self.amender.output_len()
    }

    /// Ends a streamed body, of which all bytes are scanned. After a failure, its unsettled bytes stay unchanged.
    pub(super) fn finish_streaming(&mut self, mut end: BodyEnd<E>) {
        match &mut end {
            BodyEnd::Failed(_) => self.amender.abort(),
            BodyEnd::Complete(trailers) => {
                self.amender.finish();
                if let Some(trailers) = trailers {
                    response_headers::amend_trailers(trailers);
                }
            }
        }
        self.report_progress(Some(&end));
        self.state = TransferState::Draining { end, content_length: None };
    }

    /// Returns the next frame of an invalid body as it is. Any frame without data is the last one, and sends the report.
    pub(super) fn pass<D: Buf>(
        &mut self,
        frame: Option<Result<Frame<D>, E>>,
    ) -> Option<Result<Frame<Bytes>, E>> {
        let is_data = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if !is_data {
            self.take_end();
        }
        frame.map(|result| result.map(|frame| frame.map_data(into_bytes)))
    }

    /// Sends the report, and returns the trailers or the error after all data, if there are any.
    pub(super) fn take_end(&mut self) -> Option<Result<Frame<Bytes>, E>> {
        self.report.send();
        match mem::replace(&mut self.state, TransferState::Done) {
            TransferState::Draining { end: BodyEnd::Failed(error), .. } => Some(Err(error)),
            TransferState::Draining { end: BodyEnd::Complete(Some(trailers)), .. } => {
                Some(Ok(Frame::trailers(trailers)))
            }
            _ => None,
        }
    }

    // === Reports ===

    /// Reports the new ids of a streamed body and sets its outcome. Without an `end`, the outcome is that of a body which
    /// is dropped now.
    fn report_progress(&mut self, end: Option<&BodyEnd<E>>) {
        self.report_ids();
        let skip = match end {
            None => Some(Skip::Dropped),
            Some(BodyEnd::Failed(_)) => Some(Skip::BodyFailed),
            Some(BodyEnd::Complete(_)) => self.amender.error().map(Skip::from),
        };
        self.report.set_outcome(self.outcome(skip));
    }

    /// The outcome of a body that was skipped for this reason, or was not skipped.
    fn outcome(&self, skip: Option<Skip>) -> Outcome {
        let counts = self.amender.counts();
        match skip {
            Some(skip) => Outcome::Skipped { skip, counts },
            None if self.amender.is_changed() => Outcome::Amended { counts },
            None => Outcome::Unchanged { counts },
        }
    }

    /// Logs the settled ids and reports the unmatched ones, with the whole body if it is still buffered.
    fn report_ids(&mut self) {
        #[cfg(feature = "tracing")]
        events::named(self.amender.named());
        let unmatched = self.amender.take_unmatched();
        if !unmatched.is_empty() {
            let whole_body = if self.is_streaming() { None } else { Some(self.amender.buffered()) };
            self.report.record_unmatched(unmatched, whole_body);
        }
    }
}
