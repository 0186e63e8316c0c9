//! Admission: the limits on connections and on calls in flight, and eviction to make room.
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::activity::{Activity, ActivityState};
use super::limits::Limits;

/// The time that a connection must have waited for its client before it may be evicted.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// The interval of evictions while there is no room, and of searches through all connections.
const EVICTION_INTERVAL: Duration = Duration::from_millis(50);

/// The connections and calls of a server.
pub(super) struct Admission {
    pub(super) limits: Limits,
    pub(super) permits: Arc<Semaphore>,
    connections: Mutex<Connections>,
    pub(super) in_flight: Arc<AtomicUsize>,
    /// The number of calls that ended with their connection.
    pub(super) cut: AtomicUsize,
    pub(super) shutdown: watch::Sender<bool>,
}

struct Connections {
    /// Including some that have ended.
    all: Vec<Weak<Activity>>,
    idle: Candidates,
    stalled: Candidates,
}

/// The connections that may be evicted for one reason.
struct Candidates {
    /// Returns the start of a connection's wait, or `None` if it does not wait for its client.
    waits_since: fn(&ActivityState) -> Option<Instant>,
    /// The connections that the last search found, in the order of their waits, and not evicted yet.
    longest_last: Vec<(Instant, Weak<Activity>)>,
    next_search: Instant,
}

/// A request extension of a call that exceeds the limit on calls in flight. The router rejects it or makes room.
#[derive(Clone)]
pub struct Overload(Arc<Admission>);

impl Admission {
    /// Creates the admission of a server without connections. `in_flight` is the counter of its calls.
    pub(super) fn new(limits: Limits, in_flight: Arc<AtomicUsize>) -> Self {
        let connections = Connections {
            all: Vec::new(),
            idle: Candidates::new(ActivityState::idle_since),
            stalled: Candidates::new(ActivityState::stalled_since),
        };
        Self {
            limits,
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            connections: Mutex::new(connections),
            in_flight,
            cut: AtomicUsize::new(0),
            shutdown: watch::Sender::new(false),
        }
    }

    /// Waits for a permit for one more connection, and returns it. `None` would mean a closed semaphore.
    /// As long as there is no permit, evicts one connection in each [`EVICTION_INTERVAL`].
    pub(super) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if self.permits.available_permits() == 0 {
                self.evict_one();
            }
            let permit = self.permits.clone().acquire_owned();
            if let Ok(result) = timeout(EVICTION_INTERVAL, permit).await {
                return result.ok();
            }
        }
    }

    /// Evicts the connection that has been idle longest. If none is idle, evicts the one that has been stalled longest.
    fn evict_one(&self) {
        let Connections { all, idle, stalled } = &mut *self.connections();
        if !idle.evict_longest(all) {
            stalled.evict_longest(all);
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection to those that may be evicted. Removes ended ones when the list is long.
    pub(super) fn add(&self, activity: &Arc<Activity>) {
        let mut connections = self.connections();
        if connections.all.len() >= 2 * self.limits.max_connections {
            connections.all.retain(|activity| activity.strong_count() > 0);
        }
        connections.all.push(Arc::downgrade(activity));
    }

    /// Counts a call. Returns an [`Overload`] if it exceeds the limit.
    pub(super) fn begin_call(self: &Arc<Self>) -> Option<Overload> {
        let count_before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        if count_before < self.limits.max_in_flight { None } else { Some(Overload(self.clone())) }
    }
}

impl Candidates {
    fn new(waits_since: fn(&ActivityState) -> Option<Instant>) -> Self {
        Self { waits_since, longest_last: Vec::new(), next_search: Instant::now() }
    }

    /// Evicts the connection that has waited longest, which is the last of the list. Returns false if none has waited long
    /// enough.
    fn evict_longest(&mut self, all: &[Weak<Activity>]) -> bool {
        // The list is used up before the next search: later waits are shorter than the listed ones.
        if self.longest_last.is_empty() && Instant::now() >= self.next_search {
            self.search(all);
        }
        while let Some((listed_since, weak)) = self.longest_last.pop() {
            let Some(activity) = weak.upgrade() else { continue };
            let current_since = (self.waits_since)(&activity.state());
            // The start of the wait has changed if the connection was used after the search.
            if current_since == Some(listed_since) {
                activity.evicted.notify_one();
                return true;
            }
        }
        false
    }

    /// Lists the connections that have waited long enough, in the order of their waits with the longest last.
    fn search(&mut self, all: &[Weak<Activity>]) {
        let now = Instant::now();
        self.next_search = now + EVICTION_INTERVAL;
        for weak in all {
            let Some(activity) = weak.upgrade() else { continue };
            let Some(since) = (self.waits_since)(&activity.state()) else { continue };
            if now >= since + MIN_WAIT {
                self.longest_last.push((since, weak.clone()));
            }
        }
        self.longest_last.sort_by_key(|(since, _)| Reverse(*since));
    }
}

impl Overload {
    /// Makes room by evicting the connection that has been stalled longest. Returns false if there is none.
    pub fn evict_stalled(&self) -> bool {
        let Connections { all, stalled, .. } = &mut *self.0.connections();
        stalled.evict_longest(all)
    }
}
