//! The work on one body: held, amended, passed on.

use std::mem;
use std::ops::ControlFlow;
use std::task::Poll;

use bytes::{Buf, Bytes};
use http::{HeaderMap, response};
use http_body::{Frame, SizeHint};

use super::into_bytes;
use crate::json::amend::{Amender, most_surcharge};
use crate::json::edit::Text;
use crate::json::lookout::Lookout;
use crate::json::rules::Rules;
use crate::json::scan::Fault;
use crate::json::splice::Unsent;
use crate::naming::head;
use crate::naming::report::Report;
use crate::naming::settings::MEMBERS;
use crate::naming::total::Share;
use crate::outcome::{Counts, Outcome, ResponseState, Skip};

/// An object may stay undecided for at least this long, whatever the limit: less than one read of a usual
/// connection, more than any row. So `limit(0)` names keys too.
const MIN_WINDOW: u64 = 16 * 1024;

/// What has come of a body and was not sent, how it is to be amended, and how it ended.
pub(super) struct Work<E> {
    unsent: Unsent,
    /// What that takes of what all bodies together may.
    share: Share,
    /// In a box of its own: together they would be more than allocators keep at hand.
    amender: Box<Amender>,
    /// As long as nothing is spotted, the amender is fed nothing.
    lookout: Option<Lookout>,
    end: End<E>,
    /// The exact length of what is left to send, where it is known and may be said.
    length: Option<u64>,
    counts: Counts,
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
    pub(super) fn new(report: Box<Report>) -> Self {
        let settings = report.settings();
        let rules = Rules {
            members: MEMBERS,
            unmatched: settings.unmatched,
            null_as_unmatched: settings.null_as_unmatched,
            window: (settings.limit as u64).max(MIN_WINDOW),
        };
        Self {
            unsent: Unsent::default(),
            share: Share::new(settings.total.clone()),
            amender: Box::new(Amender::new(rules)),
            lookout: Some(Lookout::default()),
            end: End::Open,
            length: None,
            counts: Counts::default(),
            changed: false,
            streaming: false,
            report,
        }
    }

    /// Takes what the body below gives next, the head being held back.
    pub(super) fn hold<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        self.read(frame);
        self.feed_held();
        if matches!(self.end, End::Well(_)) && self.lookout.is_none() {
            self.finish_feeding();
        }
    }

    fn read<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.take(into_bytes(data)),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.end = End::Well(Some(trailers));
                    }
                }
            },
            Some(Err(error)) => self.end = End::Failed(error),
            None => self.end = End::Well(None),
        }
    }

    fn take(&mut self, data: Bytes) {
        if self.lookout.as_mut().is_some_and(|lookout| lookout.spots(&data, MEMBERS)) {
            self.begin_feeding();
        }
        self.unsent.push(data);
    }

    fn begin_feeding(&mut self) {
        if self.lookout.take().is_some() {
            self.amender.recall(&self.report.settings().learnt);
        }
    }

    fn finish_feeding(&mut self) {
        self.amender.finish();
        self.amender.teach(&self.report.settings().learnt);
    }

    /// Feeds what is held, slice by slice, up to what is allowed: the edits of a frame of any size could be more. Asks
    /// for its share first. What is little waits for more, unless the edits that may be in it could make the body long:
    /// whether it is, is known of each frame before the next is read.
    fn feed_held(&mut self) {
        let limit = self.report.settings().limit as u64;
        self.share.grow(self.unsent.len().min(limit));
        if self.lookout.is_some() || self.amender.fault().is_some() {
            return;
        }
        let is_little = !self.unsent.has_batch(self.amender.scanned());
        let waiting = self.unsent.len() - self.amender.scanned();
        let may_be_long = self.weight() + most_surcharge(waiting) > self.allowed();
        if is_little && matches!(self.end, End::Open) && !may_be_long {
            return;
        }
        let Self { unsent, share, amender, report, .. } = self;
        unsent.batches(amender.scanned(), |slice| {
            let allowed = limit.min(share.allowed());
            if amender.scanned() + amender.surcharge() > allowed || amender.fault().is_some() {
                return ControlFlow::Break(());
            }
            amender.feed(slice, report.names());
            share.grow((unsent.len() + amender.surcharge()).min(limit));
            ControlFlow::Continue(())
        });
    }

    /// What is held, as it counts.
    fn weight(&self) -> u64 {
        self.unsent.len() + self.amender.surcharge()
    }

    /// The most that may be held; a body that needs more is long. It is an offset too, even where it depends on what
    /// others hold.
    fn allowed(&self) -> u64 {
        self.share.allowed().min(self.report.settings().limit as u64)
    }

    /// Whether a held body may go out.
    pub(super) fn is_decided(&mut self) -> bool {
        self.is_long() || !matches!(self.end, End::Open) || self.is_hopeless()
    }

    /// Whether it has a fault, and nothing before that would stand even if it turned out to be long.
    fn is_hopeless(&mut self) -> bool {
        self.amender.fault().is_some() && {
            self.settle();
            !self.changed
        }
    }

    fn is_long(&self) -> bool {
        self.weight() > self.allowed()
    }

    pub(super) fn decide(&mut self, head: &mut response::Parts) {
        if self.is_long() {
            self.begin_streaming();
        }
        let state = if self.streaming {
            self.say_so_far();
            head::amend_response(&mut head.headers, None);
            ResponseState::Streaming
        } else {
            let outcome = match self.skip() {
                Some(skip) => {
                    self.abandon();
                    self.measure(&head.headers);
                    Outcome::Skipped { skip, counts: Counts::default() }
                }
                None => self.amend_whole(head),
            };
            self.report.set(outcome);
            outcome.into()
        };
        head.extensions.insert(state);
    }

    /// Begins to stream a body that is long, unless it was hopeless before: its frames may have been so
    /// large that both were found at once.
    fn begin_streaming(&mut self) {
        self.begin_feeding();
        self.feed_held();
        let was_long = |fault: Fault| fault.offset() + self.amender.surcharge() >= self.allowed();
        self.streaming = self.amender.fault().is_none_or(was_long) || !self.is_hopeless();
        self.settle();
    }

    /// Why a held body is to go out as it came.
    fn skip(&mut self) -> Option<Skip> {
        // What was hopeless did not wait for its end, unless it waited to be fed.
        let is_hopeless = self.is_hopeless();
        match (&self.end, self.amender.fault()) {
            (End::Failed(_), _) if !is_hopeless => Some(Skip::BodyFailed),
            (_, Some(fault)) => Some(fault.into()),
            _ => None,
        }
    }

    /// Leaves the body as it came.
    fn abandon(&mut self) {
        self.amender.abandon();
        (self.counts, self.changed) = (Counts::default(), false);
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
            return Outcome::Unchanged { counts: self.counts };
        }
        head::amend_response(&mut head.headers, self.length);
        if let End::Well(Some(trailers)) = &mut self.end {
            head::amend_trailers(trailers);
        }
        Outcome::Amended { counts: self.counts }
    }

    /// Takes the length of what is to be sent, where it may be said: a body with trailers cannot say it
    /// over HTTP/1.1 (RFC 9112 §6.3, §7.1.2), and one that stays as it came must not say another than its
    /// head, for a server believes both (§8.6 of RFC 9110).
    fn measure(&mut self, headers: &HeaderMap) {
        if matches!(self.end, End::Well(None)) && !head::announces_trailers(headers) {
            let length = self.amender.grown(self.unsent.len());
            self.length = Some(length).filter(|length| self.changed || !head::denies(headers, *length));
        }
    }

    /// Settles what can be.
    fn settle(&mut self) {
        // What is held and has a fault may yet go out as it came: then nobody is told of its ids.
        let tells = self.streaming || self.amender.fault().is_none();
        let Self { amender, report, counts, changed, .. } = self;
        amender.settle(|edit| {
            counts.add(edit.tally);
            if tells {
                report.trace_named(edit);
            }
            *changed |= edit.text != Text::Nothing;
        });
        if !tells {
            return;
        }
        let unmatched = amender.take_unmatched();
        if unmatched.len() > 0 {
            report.note_unmatched(unmatched, (!self.streaming).then(|| self.unsent.frames()));
        }
    }

    /// Takes what the body below gives next, the head being out.
    pub(super) fn stream<D: Buf>(&mut self, frame: Option<Result<Frame<D>, E>>) {
        self.read(frame);
        if !self.streaming {
            return;
        }
        // All that came before was fed.
        match &mut self.end {
            End::Failed(_) => self.amender.cut_off(),
            End::Well(trailers) => {
                trailers.iter_mut().for_each(head::amend_trailers);
                self.finish_feeding();
            }
            End::Open | End::Told => return,
        }
        self.settle();
        self.say_so_far();
    }

    /// Feeds the next slice of a body that streams, where there is one.
    fn feed_next(&mut self) -> bool {
        if !self.streaming || self.amender.fault().is_some() {
            return false;
        }
        let Some(slice) = self.unsent.slices(self.amender.scanned()).next() else { return false };
        self.amender.feed(slice, self.report.names());
        self.settle();
        self.say_so_far();
        true
    }

    /// Says what a streamed body would come to if it were dropped here, or what it came to.
    fn say_so_far(&mut self) {
        let counts = self.counts;
        self.report.set(match (&self.end, self.amender.fault()) {
            (End::Failed(_), _) => Outcome::Skipped { skip: Skip::BodyFailed, counts },
            (End::Open, _) => Outcome::Skipped { skip: Skip::Dropped, counts },
            (_, Some(fault)) => Outcome::Skipped { skip: fault.into(), counts },
            _ if self.changed => Outcome::Amended { counts },
            _ => Outcome::Unchanged { counts },
        });
    }

    /// What goes out next; pending where more has to be read first.
    pub(super) fn write(&mut self) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let piece = loop {
            let piece = self.unsent.next(&mut self.amender, self.report.names());
            if piece.is_some() || !self.feed_next() {
                break piece;
            }
        };
        // What has gone out is given back; what waits to be settled counts, and is not asked for.
        self.share.set(self.weight());
        if let Some(piece) = piece {
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

    pub(super) fn is_end_stream(&self) -> bool {
        self.unsent.len() == 0 && matches!(self.end, End::Well(None) | End::Told)
    }

    /// `rest` is what the body below says of what was not read of it.
    pub(super) fn size_hint(&self, rest: impl FnOnce() -> SizeHint) -> SizeHint {
        if let Some(length) = self.length {
            return SizeHint::with_exact(length);
        }
        if self.streaming || !matches!(self.end, End::Open) {
            return SizeHint::default();
        }
        // Left alone before its end: what was read of it, and the rest as it comes.
        let (read, rest) = (self.unsent.len(), rest());
        let mut hint = SizeHint::default();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
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
