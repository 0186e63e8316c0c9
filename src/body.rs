//! `ResponseBody`: the bytes of an answer, passed as they come or amended.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::report::Report;
use crate::rewrite::amend::{self, Amender, Rules};
use crate::rewrite::lookout::Lookout;
use crate::rewrite::scan::Fault;
use crate::rewrite::splice::Unsent;
use crate::settings::MEMBERS;
use crate::{Counts, Outcome, Skip, head};

/// An object may stay undecided for at least this long, whatever the limit: less than one read of a usual
/// connection, more than any row. So `limit(0)` names keys too.
const MIN_WINDOW: u64 = 16 * 1024;

pin_project! {
    /// The body of a response of [`ApiKeyName`](crate::ApiKeyName): `B`'s own, or amended.
    ///
    /// `Data` is [`Bytes`] and `Error` is `B::Error`: the layer adds no error.
    pub struct ResponseBody<B: Body> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B: Body> {
        // Frames pass as they come. A response in scope has a report, which tells when it is dropped.
        // Its length is hidden where it would be taken for that of amended bytes.
        Pass { #[pin] body: B, report: Option<Box<Report>>, hidden: bool },
        // The body was polled before it came here, and may not be one that can be moved since.
        Amend { amended: Pin<Box<Amended<B>>> },
    }
}

// === impl ResponseBody ===

impl<B: Body> ResponseBody<B> {
    /// The body of an answer out of scope.
    pub(crate) fn pass(body: B) -> Self {
        Self { kind: Kind::Pass { body, report: None, hidden: false } }
    }

    /// The body of an answer that is not looked into.
    pub(crate) fn skipped(body: B, report: Box<Report>) -> Self {
        Self { kind: Kind::Pass { body, report: Some(report), hidden: false } }
    }

    /// The body of an answer to `HEAD`, where one to `GET` would be amended. Servers that find no
    /// Content-Length write one from the hint, which is of the bytes before (RFC 9110 §8.6).
    pub(crate) fn unmeasured(body: B, report: Box<Report>) -> Self {
        Self { kind: Kind::Pass { body, report: Some(report), hidden: true } }
    }

    /// The body of an answer that was, and perhaps still is.
    pub(crate) fn amended(amended: Pin<Box<Amended<B>>>) -> Self {
        Self { kind: Kind::Amend { amended } }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Pass { body, report, .. } => {
                let frame = ready!(body.poll_frame(cx));
                if let (None, Some(report)) = (&frame, report) {
                    report.tell();
                }
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes))))
            }
            KindProj::Amend { amended } => amended.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Pass { body, .. } => body.is_end_stream(),
            Kind::Amend { amended } => amended.work.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass { hidden: true, .. } => SizeHint::default(),
            Kind::Pass { body, .. } => body.size_hint(),
            Kind::Amend { amended } => amended.size_hint(),
        }
    }
}

/// Layers above that answer in the service's place, as tower-http's `Timeout` does, ask for an empty body.
impl<B: Body + Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::pass(B::default())
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    // A body is never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

/// Without a copy where the data is `Bytes` already.
fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

pin_project! {
    /// A body, and the work on it.
    pub(crate) struct Amended<B: Body> {
        #[pin]
        below: B,
        work: Work<B::Error>,
    }
}

// === impl Amended ===

impl<B: Body> Amended<B> {
    pub(crate) fn new(below: B, report: Box<Report>) -> Self {
        Self { below, work: Work::new(report) }
    }

    /// Holds the body until it is all there, or longer than the limit, or hopeless.
    pub(crate) fn poll_decided(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        while !this.work.is_decided() {
            let frame = ready!(this.below.as_mut().poll_frame(cx));
            this.work.read(frame);
        }
        Poll::Ready(())
    }

    /// Makes the head say what is known of the body, and corrects it where the bytes change.
    pub(crate) fn decide(self: Pin<&mut Self>, head: &mut response::Parts) {
        self.project().work.decide(head);
    }

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(frame) = this.work.write() {
                return Poll::Ready(frame);
            }
            let frame = ready!(this.below.as_mut().poll_frame(cx));
            this.work.stream(frame);
        }
    }

    fn size_hint(&self) -> SizeHint {
        if let Some(length) = self.work.length {
            return SizeHint::with_exact(length);
        }
        if self.work.streaming || !matches!(self.work.end, End::Open) {
            return SizeHint::default();
        }
        // Left alone before its end: what was read of it, and the rest as it comes.
        let (read, rest) = (self.work.unsent.len(), self.below.size_hint());
        let mut hint = SizeHint::default();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// What has come of a body and was not sent, how it is to be amended, and how it ended.
struct Work<E> {
    unsent: Unsent,
    amender: Amender,
    /// As long as it spots nothing, the amender is fed nothing.
    lookout: Option<Lookout>,
    end: End<E>,
    /// The exact length of what is left to send, where it is known and may be said.
    length: Option<u64>,
    counts: Counts,
    /// Bytes brought and taken away by settled edits.
    put: u64,
    cut: u64,
    changed: bool,
    /// The head is out, and did not wait for the body's end.
    streaming: bool,
    report: Box<Report>,
}

/// How the body below ended.
enum End<E> {
    /// Not yet.
    Open,
    /// Well, with these trailers to pass on.
    Well(Option<HeaderMap>),
    /// With this error to pass on.
    Failed(E),
    /// All was passed on.
    Told,
}

// === impl Work ===

impl<E> Work<E> {
    fn new(report: Box<Report>) -> Self {
        let settings = report.settings();
        let rules = Rules {
            members: MEMBERS,
            unmatched: settings.unmatched,
            null_as_unmatched: settings.null_as_unmatched,
            window: (settings.limit as u64).max(MIN_WINDOW),
        };
        Self {
            unsent: Unsent::default(),
            amender: Amender::new(rules),
            lookout: Some(Lookout::new(MEMBERS)),
            end: End::Open,
            length: None,
            counts: Counts::default(),
            put: 0,
            cut: 0,
            changed: false,
            streaming: false,
            report,
        }
    }

    /// Takes what the body below gives next.
    fn read<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(into_bytes(data)),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.end_well(Some(trailers));
                    }
                }
            },
            Some(Err(error)) => self.end = End::Failed(error),
            None => self.end_well(None),
        }
    }

    fn take(&mut self, data: Bytes) {
        let names = self.report.names();
        match &mut self.lookout {
            None => {
                self.amender.feed(&data, names);
                self.unsent.push(data);
            }
            Some(lookout) => {
                let spotted = lookout.spots(&data);
                self.unsent.push(data);
                if spotted {
                    self.feed_held();
                }
            }
        }
    }

    /// Feeds all that is held, from its first byte.
    fn feed_held(&mut self) {
        if self.lookout.take().is_some() {
            for frame in self.unsent.frames() {
                self.amender.feed(frame, self.report.names());
            }
        }
    }

    fn end_well(&mut self, trailers: Option<HeaderMap>) {
        self.end = End::Well(trailers);
        if self.lookout.is_none() {
            self.amender.finish();
        }
    }

    /// Whether a held body may go out.
    fn is_decided(&mut self) -> bool {
        if self.is_long() || !matches!(self.end, End::Open) {
            return true;
        }
        // What was settled before a fault stands only in a body that turns out to be long.
        self.amender.fault().is_some() && {
            self.settle();
            !self.changed
        }
    }

    fn is_long(&self) -> bool {
        self.unsent.len() > self.report.settings().limit as u64 || self.is_crowded()
    }

    /// Whether the edits take more memory than the bytes may.
    fn is_crowded(&self) -> bool {
        self.amender.pushed() > amend::edits_allowed(self.report.settings().limit as u64)
    }

    fn decide(&mut self, head: &mut response::Parts) {
        if self.is_long() {
            self.begin_streaming();
        }
        let outcome = if self.streaming {
            self.say_so_far();
            head::amend_response(&mut head.headers, None);
            Outcome::Streaming
        } else if let Some(skip) = self.hopeless() {
            self.abandon();
            self.measure(&head.headers);
            let outcome = Outcome::Skipped(skip, Counts::default());
            self.report.set(outcome);
            outcome
        } else {
            let outcome = self.amend_whole(head);
            self.report.set(outcome);
            outcome
        };
        head.extensions.insert(outcome);
    }

    /// Begins to stream a body that is long, unless it was hopeless before: its frames may have been so
    /// large that both were found at once.
    fn begin_streaming(&mut self) {
        self.feed_held();
        let limit = self.report.settings().limit as u64;
        let faultless = self.amender.fault().is_none_or(|fault| fault.offset() >= limit);
        let crowded = self.is_crowded();
        self.streaming = true;
        self.settle();
        self.streaming = faultless || crowded || self.changed;
    }

    /// Why a held body is to go out as it came.
    fn hopeless(&self) -> Option<Skip> {
        match (&self.end, self.amender.fault()) {
            (End::Failed(_), _) => Some(Skip::BodyFailed),
            (_, Some(fault)) => Some(fault.into()),
            _ => None,
        }
    }

    /// Leaves the body as it came.
    fn abandon(&mut self) {
        self.amender.abandon();
        (self.counts, self.put, self.cut, self.changed) = (Counts::default(), 0, 0, false);
    }

    /// Amends a body that is all there.
    fn amend_whole(&mut self, head: &mut response::Parts) -> Outcome {
        if self.lookout.is_some() {
            self.abandon();
        } else {
            self.settle();
        }
        self.measure(&head.headers);
        if !self.changed {
            return Outcome::Unchanged(self.counts);
        }
        head::amend_response(&mut head.headers, self.length);
        if let End::Well(Some(trailers)) = &mut self.end {
            head::amend_trailers(trailers);
        }
        Outcome::Amended(self.counts)
    }

    /// Takes the length of what is to be sent, where it may be said: a body with trailers cannot say it
    /// over HTTP/1.1 (RFC 9112 §6.3, §7.1.2), and one that stays as it came must not say another than its
    /// head, for a server believes both (§8.6 of RFC 9110).
    fn measure(&mut self, headers: &HeaderMap) {
        if matches!(self.end, End::Well(None)) && !head::announces_trailers(headers) {
            let length = self.unsent.len() + self.put - self.cut;
            self.length = Some(length).filter(|length| self.changed || !head::denies(headers, *length));
        }
    }

    /// Settles what can be.
    fn settle(&mut self) {
        // What is held and has a fault may yet go out as it came: then nobody is told of its ids.
        let tells = self.streaming || self.amender.fault().is_none();
        let Self { amender, report, counts, put, cut, changed, .. } = self;
        amender.settle(report.names(), |edit| {
            counts.add(edit.tally);
            if tells {
                report.settled(edit);
            }
            if let Some((less, more)) = edit.changed {
                *changed = true;
                *cut += less;
                *put += more;
            }
        });
        if !tells {
            return;
        }
        let unmatched = amender.take_unmatched();
        if !unmatched.is_empty() {
            report.unmatched(unmatched, (!self.streaming).then(|| self.unsent.frames()));
        }
    }

    /// Takes what the body below gives next, the head being out.
    fn stream<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        self.read(frame);
        if !self.streaming {
            return;
        }
        if matches!(self.end, End::Failed(_)) {
            self.amender.cut_off();
        }
        if let End::Well(Some(trailers)) = &mut self.end {
            head::amend_trailers(trailers);
        }
        self.settle();
        self.say_so_far();
    }

    /// Says what a streamed body would come to if it were dropped here, or what it came to.
    fn say_so_far(&mut self) {
        let counts = self.counts;
        self.report.set(match (&self.end, self.amender.fault()) {
            (End::Failed(_), _) => Outcome::Skipped(Skip::BodyFailed, counts),
            (End::Open, _) => Outcome::Skipped(Skip::Dropped, counts),
            (_, Some(fault)) => Outcome::Skipped(fault.into(), counts),
            _ if self.changed => Outcome::Amended(counts),
            _ => Outcome::Unchanged(counts),
        });
    }

    /// What goes out next; pending where more has to be read first.
    fn write(&mut self) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        if let Some(piece) = self.unsent.next(&mut self.amender, self.report.names()) {
            if let Some(length) = &mut self.length {
                *length -= piece.len() as u64;
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if matches!(self.end, End::Open) {
            return Poll::Pending;
        }
        let end = mem::replace(&mut self.end, End::Told);
        self.report.tell();
        Poll::Ready(match end {
            End::Failed(error) => Some(Err(error)),
            End::Well(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
            End::Open | End::Well(None) | End::Told => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.unsent.len() == 0 && matches!(self.end, End::Well(None) | End::Told)
    }
}

impl From<Fault> for Skip {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotJson { offset } => Skip::NotJson { offset },
            Fault::TooDeep { offset } => Skip::TooDeep { offset },
        }
    }
}
