//! One client's connection: what goes on there, and how long that may take. It has one timer, which is set
//! anew only where it would ring too late: a call that goes well does not touch it.
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::load::{Load, Overload, PATIENCE, Wait, What};

/// For the timeouts below to make a 504 of a deadline, where there is still somebody to tell, and for whoever
/// is asked to finish without a call in flight.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes a millisecond that whoever reads its answer takes at least: 8 KB a second.
const SLOWEST: u64 = 8;

/// What goes on, told by those who do it: the stream, the calls, the load.
pub struct Activity {
    number: u64,
    pub load: Arc<Load>,
    /// No call is in flight, no content is on its way: what comes is a head, or the beginning of HTTP/2.
    rests: AtomicBool,
    /// Bytes that have come while it rests.
    heard: AtomicUsize,
    /// It ends in the midst of a call.
    cut: AtomicBool,
    calls: Mutex<Calls>,
    order: AtomicU8,
    /// The connection's own, once it runs. A task keeps its waker.
    task: OnceLock<Waker>,
}

struct Calls {
    begun: usize,
    /// Many at a time on one connection: HTTP/2.
    many: bool,
    in_flight: Vec<InFlight>,
    /// Those that have content on its way, which may go on behind the answer.
    uploads: Vec<usize>,
    /// Or since when there is a connection.
    last_end: Instant,
    /// When the connection's present turn began.
    turn: Instant,
}

struct InFlight {
    number: usize,
    since: Instant,
    /// Since when the client has something to take. Not while it waits for the upstream.
    untaken: Option<Instant>,
}

// What a connection is asked to do.
const GO_ON: u8 = 0;
const FINISH: u8 = 1;
const LEAVE: u8 = 2;

pin_project! {
    /// hyper's, with an end to each wait.
    pub struct Connection<C> {
        #[pin]
        inner: C,
        #[pin]
        sleep: Sleep,
        watch: Watch,
    }
}

struct Watch {
    who: Arc<Activity>,
    /// Since when a head is on its way.
    head: Option<Instant>,
    /// Since when it has been asked to finish.
    finishing: Option<Instant>,
    /// As it stands in the load's rows.
    wait: Option<Wait>,
}

enum Verdict {
    Look(Instant),
    Finish,
    Cut,
}

// === impl Activity ===

impl Activity {
    pub fn new(number: u64, load: Arc<Load>) -> Self {
        let now = Instant::now();
        let calls = Calls {
            begun: 0,
            many: false,
            in_flight: Vec::new(),
            uploads: Vec::new(),
            last_end: now,
            turn: now,
        };
        Self {
            number,
            load,
            rests: AtomicBool::new(true),
            heard: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            calls: Mutex::new(calls),
            order: AtomicU8::new(GO_ON),
            task: OnceLock::new(),
        }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head is there, which content may follow. Gives the call's number, and whether it is one too many.
    pub fn begin(&self, uploads: bool) -> (usize, Option<Overload>) {
        let mut calls = self.calls();
        let number = calls.begun;
        calls.begun += 1;
        if uploads {
            calls.uploads.push(number);
        }
        let since = calls.now();
        calls.in_flight.push(InFlight { number, since, untaken: None });
        self.rest(calls);
        (number, self.load.begin())
    }

    /// The client has been given so many bytes; it has taken, or soon will have, those given before.
    pub fn give(&self, number: usize, bytes: usize) {
        let mut calls = self.calls();
        let now = calls.now();
        if let Some(call) = calls.get(number) {
            // Who takes little at a time gets as little time for it.
            let earned = Duration::from_millis(bytes as u64 / SLOWEST);
            call.untaken = Some(call.untaken.map_or(now, |since| now.min(since + earned)));
        }
    }

    /// The client has taken what there was, and waits for more.
    pub fn wait_for_more(&self, number: usize) {
        if let Some(call) = self.calls().get(number) {
            call.untaken = None;
        }
    }

    /// The last byte is out, or never will be.
    pub fn end(&self, number: usize) {
        let mut calls = self.calls();
        calls.in_flight.retain(|call| call.number != number);
        calls.last_end = calls.now();
        let is_over = !calls.uploads.contains(&number);
        self.rest(calls);
        if is_over {
            self.load.end();
        }
    }

    /// The last byte of a request's content has come, or nobody waits for it. Until then the call counts, answered or
    /// not: it has a connection to the upstream.
    pub fn end_upload(&self, number: usize) {
        let mut calls = self.calls();
        calls.uploads.retain(|upload| *upload != number);
        // It is told from elsewhere, in no turn of this connection's.
        calls.last_end = Instant::now();
        let is_over = calls.get(number).is_none();
        let was_last = calls.in_flight.is_empty();
        self.rest(calls);
        if is_over {
            self.load.end();
        }
        if was_last {
            // From now on it has less time.
            self.wake();
        }
    }

    fn rest(&self, calls: MutexGuard<'_, Calls>) {
        let rests = !calls.many && calls.in_flight.is_empty() && calls.uploads.is_empty();
        self.rests.store(rests, Ordering::Relaxed);
        self.heard.store(0, Ordering::Relaxed);
    }

    /// What comes is a head, or the beginning of HTTP/2.
    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// How much has come meanwhile.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    pub fn hear(&self, bytes: usize) {
        self.heard.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It is HTTP/2: any number of heads come at once, and each is bounded there.
    pub fn hear_many(&self) {
        let mut calls = self.calls();
        calls.many = true;
        self.rest(calls);
    }

    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Whatever is written ends in a reset: what there is of an answer must not pass for all of it.
    pub fn break_off(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    pub fn finish(&self) {
        self.ask(FINISH);
    }

    pub fn leave(&self) {
        self.ask(LEAVE);
    }

    fn ask(&self, order: u8) {
        self.order.fetch_max(order, Ordering::Relaxed);
        self.wake();
    }

    /// One that does not run yet looks when it does.
    fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Calls {
    /// The clock is read once a turn, for all that goes on in it. Many calls have tasks of their own, and turns.
    fn now(&self) -> Instant {
        if self.many { Instant::now() } else { self.turn }
    }

    fn get(&mut self, number: usize) -> Option<&mut InFlight> {
        self.in_flight.iter_mut().find(|call| call.number == number)
    }
}

// === impl Connection ===

impl<C> Connection<C> {
    pub fn new(inner: C, who: Arc<Activity>) -> Self {
        let watch = Watch { who, head: None, finishing: None, wait: None };
        Self { inner, sleep: sleep(PATIENCE), watch }
    }
}

impl<C> Future for Connection<C>
where
    C: GracefulConnection,
    C::Error: fmt::Display,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        this.watch.who.task.get_or_init(|| cx.waker().clone());
        let order = this.watch.who.order.load(Ordering::Relaxed);
        if order == LEAVE {
            // It says so, where that takes no time.
            this.inner.as_mut().graceful_shutdown();
            let _ = this.inner.poll(cx);
            this.watch.cut();
            return Poll::Ready(());
        }
        loop {
            let now = Instant::now();
            this.watch.who.calls().turn = now;
            // Before it is asked to finish, too: a call that has come already is in flight.
            if let Poll::Ready(ended) = this.inner.as_mut().poll(cx) {
                if let Err(e) = ended {
                    tracing::debug!("a connection ended: {e}");
                }
                return Poll::Ready(());
            }
            let asked = order == FINISH && this.watch.finishing.is_none();
            match this.watch.judge(now, asked) {
                Verdict::Look(at) => {
                    if at < this.sleep.deadline() || this.sleep.is_elapsed() {
                        this.sleep.as_mut().reset(at);
                    }
                    if this.sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Verdict::Finish => this.inner.as_mut().graceful_shutdown(),
                Verdict::Cut => {
                    this.watch.cut();
                    return Poll::Ready(());
                }
            }
        }
    }
}

// === impl Watch ===

impl Watch {
    fn judge(&mut self, now: Instant, asked: bool) -> Verdict {
        if asked {
            return self.finish(now);
        }
        let who = self.who.clone();
        let calls = who.calls();
        match calls.in_flight.is_empty() {
            true => self.judge_rest(&calls, now),
            false => self.judge_calls(&calls, now),
        }
    }

    fn finish(&mut self, now: Instant) -> Verdict {
        self.finishing = Some(now);
        Verdict::Finish
    }

    /// Without a call.
    fn judge_rest(&mut self, calls: &Calls, now: Instant) -> Verdict {
        let limits = &self.who.load.limits;
        let a_head_comes = calls.begun > 0 && self.who.heard() > 0;
        self.head = a_head_comes.then(|| self.head.unwrap_or(now));
        let since = self.head.unwrap_or(calls.last_end);
        let kept_alive = calls.begun > 0 && self.head.is_none();
        let until = match self.finishing {
            // The answer is out before it. Who reads it minds its silences.
            _ if !calls.uploads.is_empty() => since + limits.deadline,
            Some(asked) => asked.max(since) + LINGER,
            None if kept_alive => since + limits.idle_timeout,
            None => since + limits.head_timeout,
        };
        if until > now {
            return Verdict::Look(self.queue(Some(Wait { what: What::Call, since }), now).min(until));
        }
        match kept_alive && self.finishing.is_none() {
            true => self.finish(now),
            false => Verdict::Cut,
        }
    }

    fn judge_calls(&mut self, calls: &Calls, now: Instant) -> Verdict {
        let limits = &self.who.load.limits;
        self.head = None;
        // Since when the first, if all are: who does not take one answer may wait for another.
        let untaken = calls.in_flight.iter().map(|call| call.untaken).min().flatten();
        let ends = calls.in_flight.iter().map(|call| {
            let end = call.since + limits.deadline + LINGER;
            call.untaken.map_or(end, |since| end.min(since + limits.timeout))
        });
        let (overdue, look) =
            ends.fold((0, None), |(overdue, look): (usize, Option<Instant>), end| match end <= now {
                true => (overdue + 1, look),
                false => (overdue, Some(look.map_or(end, |look| look.min(end)))),
            });
        let Some(mut look) = look else {
            return Verdict::Cut;
        };
        // Others go on beside it: no new ones then.
        if overdue > 0 && self.finishing.is_none() {
            return self.finish(now);
        }
        if calls.many {
            // They go on in tasks of their own, which need not wake this one.
            look = look.min(now + PATIENCE);
        }
        Verdict::Look(self.queue(untaken.map(|since| Wait { what: What::Taking, since }), now).min(look))
    }

    fn cut(&self) {
        let in_flight = self.who.calls().in_flight.len();
        if in_flight > 0 {
            tracing::debug!("a connection is cut with {in_flight} calls whose answers are not taken");
            self.who.load.cut(in_flight);
            self.who.break_off();
        }
    }

    /// Puts this connection where it belongs in the load's rows, and says when that may be somewhere else.
    fn queue(&mut self, wait: Option<Wait>, now: Instant) -> Instant {
        let from = wait.map(|wait| wait.since + PATIENCE);
        let wait = wait.filter(|_| from.is_some_and(|from| from <= now));
        if wait != self.wait {
            self.who.load.queue(&self.who, self.wait, wait);
            self.wait = wait;
        }
        from.filter(|from| *from > now).unwrap_or(now + self.who.load.limits.deadline)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.who.load.exit(self.who.number, self.wait);
    }
}
