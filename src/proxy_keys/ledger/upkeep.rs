//! The times at which the writer deletes old usage rows.

use std::time::Duration;

use jiff::Timestamp;

use super::store::{LedgerStore, StoreError};
use crate::proxy_keys::keys::Window;

/// The time for which the row of a call is kept.
pub(crate) const DEFAULT_KEEP_ROWS: Duration = Duration::from_secs(90 * 86_400);

/// The shortest time for which rows are kept. A clock that goes back by less finds all its counters.
const MIN_KEEP_ROWS: Duration = Duration::from_secs(86_400);

/// The greatest number of rows in one commit. An admission waits for one such commit at most: some milliseconds.
const MAX_ROWS: usize = 256;

/// The time between two commits while old rows remain, so that most commits are those of calls.
const PAUSE: Duration = Duration::from_millis(50);

/// The pause after a run that found no further old rows.
const INTERVAL: Duration = Duration::from_secs(60);

/// The schedule of the upkeep of a store.
#[derive(Debug)]
pub(crate) struct Upkeep {
    keep_rows: Duration,
    due: Timestamp,
}

impl Upkeep {
    /// Returns a schedule that begins one interval after `now`.
    pub(crate) fn new(keep_rows: Duration, now: Timestamp) -> Self {
        Self { keep_rows: keep_rows.max(MIN_KEEP_ROWS), due: add(now, INTERVAL) }
    }

    /// Returns the time until the upkeep is due. A clock that has gone back delays the upkeep by one interval at most.
    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.due.duration_since(now)).unwrap_or_default().min(INTERVAL)
    }

    /// If it is due, deletes some rows that are old enough, and sets the next time.
    pub(crate) fn run_if_due(&mut self, store: &mut dyn LedgerStore, now: Timestamp) {
        let clock_has_gone_back = self.due > add(now, INTERVAL);
        if now < self.due && !clock_has_gone_back {
            return;
        }
        // A failure changes nothing. The store is tried again after the interval, or its operations fail too.
        let has_more_rows = matches!(self.delete_rows(store, now), Ok(MAX_ROWS));
        self.due = add(now, if has_more_rows { PAUSE } else { INTERVAL });
    }

    /// Deletes rows of hours that are old enough as a whole. Returns the number of rows.
    fn delete_rows(&self, store: &mut dyn LedgerStore, now: Timestamp) -> Result<usize, StoreError> {
        let Ok(oldest_kept) = now.checked_sub(self.keep_rows) else { return Ok(0) };
        let hour_start = Window::Hour.start_at(oldest_kept);
        let Ok(before) = Timestamp::from_second(hour_start) else { return Ok(0) };
        store.delete_old_rows(before, MAX_ROWS)
    }
}

/// Returns the instant after a duration, or the last instant of the calendar.
fn add(instant: Timestamp, duration: Duration) -> Timestamp {
    instant.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{DEFAULT_KEEP_ROWS, INTERVAL, Upkeep};
    use crate::proxy_keys::ledger::memory::MemoryStore;

    #[test]
    fn upkeep_without_old_rows_is_due_after_the_interval() {
        let now: Timestamp = "2026-07-15T13:45:45Z".parse().unwrap();
        let mut upkeep = Upkeep::new(DEFAULT_KEEP_ROWS, now);
        assert_eq!(upkeep.wait(now), INTERVAL);
        let due = now + INTERVAL;
        assert_eq!(upkeep.wait(due), Duration::ZERO);
        upkeep.run_if_due(&mut MemoryStore::default(), due);
        assert_eq!(upkeep.wait(due), INTERVAL);
    }

    #[test]
    fn clock_that_goes_back_by_a_year_does_not_stop_the_upkeep() {
        let now: Timestamp = "2026-07-15T13:45:45Z".parse().unwrap();
        let mut upkeep = Upkeep::new(DEFAULT_KEEP_ROWS, "2027-07-15T13:45:45Z".parse().unwrap());
        assert_eq!(upkeep.wait(now), INTERVAL);
        upkeep.run_if_due(&mut MemoryStore::default(), now);
        assert_eq!(upkeep.wait(now + Duration::from_secs(20)), Duration::from_secs(40));
    }
}
