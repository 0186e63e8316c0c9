//! Admission: the limits on connections and on calls in flight, and eviction to make room.
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};

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
    pub(super) in_flight: AtomicUsize,
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
    waits_since: fn(&ActivityState) -> Option<Instant>,
    longest_last: Vec<(Instant, Weak<Activity>)>,
    next_search: Instant,
}

/// A call in flight.
pub(super) struct InFlightGuard(Arc<Admission>);

/// A request extension: the limit on calls in flight is exceeded.
///
/// The router rejects the call unless it costs the upstream nothing.
#[derive(Clone)]
pub struct Overload(Arc<Admission>);

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        let idle = Candidates::new(ActivityState::idle_since);
        let stalled = Candidates::new(ActivityState::stalled_since);
        Self {
            limits,
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            connections: Mutex::new(Connections { all: Vec::new(), idle, stalled }),
            in_flight: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            shutdown: watch::Sender::new(false),
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit for one more connection. When full, it evicts idle connections, or else stalled ones.
    pub(super) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let evict = async {
            loop {
                self.connections().evict_idle_or_stalled();
                sleep(EVICTION_INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            permit = self.permits.clone().acquire_owned() => permit.ok(),
            never = evict => never,
        }
    }

    /// Adds a connection to those that may be evicted.
    pub(super) fn add(&self, activity: &Arc<Activity>) {
        let mut connections = self.connections();
        if connections.all.len() >= 2 * self.limits.max_connections {
            connections.all.retain(|activity| activity.strong_count() > 0);
        }
        connections.all.push(Arc::downgrade(activity));
    }

    /// Counts a call, with an [`Overload`] if it exceeds the limit.
    pub(super) fn begin_call(self: &Arc<Self>) -> (Arc<InFlightGuard>, Option<Overload>) {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let overload = (before >= self.limits.max_in_flight).then(|| Overload(self.clone()));
        (Arc::new(InFlightGuard(self.clone())), overload)
    }

    /// Starts a graceful shutdown of all connections, and waits until the last one has ended.
    pub(super) async fn shut_down(&self) {
        self.shutdown.send_replace(true);
        let all = self.limits.max_connections.try_into().unwrap_or(u32::MAX);
        // Fails only for a closed semaphore, which this one never is.
        let _ = self.permits.acquire_many(all).await;
    }
}

impl Connections {
    fn evict_idle_or_stalled(&mut self) -> bool {
        self.idle.evict_longest(&self.all) || self.stalled.evict_longest(&self.all)
    }
}

impl Candidates {
    fn new(waits_since: fn(&ActivityState) -> Option<Instant>) -> Self {
        Self { waits_since, longest_last: Vec::new(), next_search: Instant::now() }
    }

    /// Evicts the connection that has waited longest. Returns false if none has waited long enough.
    fn evict_longest(&mut self, all: &[Weak<Activity>]) -> bool {
        let now = Instant::now();
        // Waits that begin later are shorter, so that the order stays right until the list is empty.
        if self.longest_last.is_empty() && now >= self.next_search {
            self.next_search = now + EVICTION_INTERVAL;
            self.longest_last.extend(all.iter().filter_map(|activity| {
                let since = (self.waits_since)(&activity.upgrade()?.state())?;
                (since + MIN_WAIT <= now).then(|| (since, activity.clone()))
            }));
            self.longest_last.sort_by_key(|(since, _)| Reverse(*since));
        }
        while let Some((since, activity)) = self.longest_last.pop() {
            // Skips connections that have ended, or were used, since the search.
            if let Some(activity) = activity.upgrade()
                && (self.waits_since)(&activity.state()) == Some(since)
            {
                activity.evicted.notify_one();
                return true;
            }
        }
        false
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Overload {
    /// Evicts the connection that has been stalled longest, so that this call replaces one of its calls.
    ///
    /// Returns false if no connection is stalled. The call is then to be rejected.
    pub fn evict_stalled(&self) -> bool {
        let Connections { all, stalled, .. } = &mut *self.0.connections();
        stalled.evict_longest(all)
    }
}
