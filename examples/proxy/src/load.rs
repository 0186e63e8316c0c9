//! What is open at a time, and who makes room where that is too much: who has been waited for longest.
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connection::Activity;
use super::limits::Limits;

/// Nobody who has been waited for no longer than this makes room for anybody.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What is waited for on a connection, and since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wait {
    pub what: What,
    pub since: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// It has no call in flight: kept alive, or its head is not there.
    Call,
    /// It has some, and takes the answer of none.
    Taking,
}

pub struct Load {
    pub limits: Limits,
    places: Arc<Semaphore>,
    in_flight: AtomicUsize,
    cut: AtomicUsize,
    number: AtomicU64,
    roll: Mutex<Roll>,
    /// Somebody has come to wait.
    waits: Notify,
}

#[derive(Default)]
struct Roll {
    open: HashMap<u64, Arc<Activity>>,
    call: Row,
    taking: Row,
}

/// By since when, and by number where that is the same.
type Row = BTreeMap<(Instant, u64), Arc<Activity>>;

impl Roll {
    fn row(&mut self, what: What) -> &mut Row {
        match what {
            What::Call => &mut self.call,
            What::Taking => &mut self.taking,
        }
    }

    fn remove(&mut self, wait: Option<Wait>, number: u64) {
        if let Some(wait) = wait {
            self.row(wait.what).remove(&(wait.since, number));
        }
    }
}

/// For the calls that are too many, in their extensions: whether one is, is for those to say who know which
/// calls cost something.
#[derive(Clone)]
pub struct Overload(Arc<Load>);

impl Load {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            places: Arc::new(Semaphore::new(limits.max_connections)),
            in_flight: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            number: AtomicU64::new(0),
            roll: Mutex::default(),
            waits: Notify::new(),
        })
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // === connections ===

    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// A place for one more, from another: from the connection that has been waited for longest, first of those without a
    /// call, then of those whose client does not read. Waits until there is one, or somebody leaves.
    pub async fn place_of_another(&self) -> Option<OwnedSemaphorePermit> {
        let sent_away = async {
            // Who comes to wait after the look wakes all the same.
            while !self.send_away(|roll| roll.call.pop_first().or_else(|| roll.taking.pop_first())) {
                self.waits.notified().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            place = self.places.clone().acquire_owned() => place.ok(),
            never = sent_away => never,
        }
    }

    fn send_away(&self, longest: impl FnOnce(&mut Roll) -> Option<((Instant, u64), Arc<Activity>)>) -> bool {
        let longest = longest(&mut self.roll());
        if let Some((_, who)) = &longest {
            who.leave();
        }
        longest.is_some()
    }

    pub fn enter(self: &Arc<Self>) -> Arc<Activity> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let who = Arc::new(Activity::new(number, self.clone()));
        self.roll().open.insert(number, who.clone());
        who
    }

    pub fn exit(&self, number: u64, wait: Option<Wait>) {
        let mut roll = self.roll();
        roll.open.remove(&number);
        roll.remove(wait, number);
    }

    /// From one place in a row, or none, to another, or none.
    pub fn queue(&self, who: &Arc<Activity>, from: Option<Wait>, to: Option<Wait>) {
        let mut roll = self.roll();
        roll.remove(from, who.number());
        if let Some(wait) = to {
            roll.row(wait.what).insert((wait.since, who.number()), who.clone());
            self.waits.notify_one();
        }
    }

    // === calls ===

    /// One more, and whether it is one too many.
    pub fn begin(self: &Arc<Self>) -> Option<Overload> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        (before >= self.limits.max_in_flight).then(|| Overload(self.clone()))
    }

    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// So many are cut, with a connection.
    pub fn cut(&self, calls: usize) {
        self.cut.fetch_add(calls, Ordering::Relaxed);
    }

    pub fn all_cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }

    // === the end ===

    pub fn open(&self) -> usize {
        self.roll().open.len()
    }

    /// Everybody is asked to finish, and gone where that takes no time.
    pub async fn finish(&self) {
        self.roll().open.values().for_each(|who| who.finish());
        let all = self.limits.max_connections.try_into().unwrap_or(u32::MAX);
        // Never closed: all places are free, so nobody is left.
        let _ = self.places.acquire_many(all).await;
    }
}

impl Overload {
    /// A client that does not take its answer is cut, so that one that would gets its own.
    pub fn makes_room(&self) -> bool {
        self.0.send_away(|roll| roll.taking.pop_first())
    }
}
