//! The thread that reloads the files.

use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::events::{DirectoryWatcher, Signal};
use super::file::MapFile;
use super::links::directories_of;
use crate::names::store::Store;

/// The interval between readings if no event arrives. On file systems without events, a change is found this late;
/// the cost of reading is small beside that of serving requests.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The time without events after which reading starts, because a save causes several events.
const QUIET_PERIOD: Duration = Duration::from_millis(25);

/// The time after the first event at which reading starts even in a busy directory.
pub(super) const MAX_DELAY: Duration = Duration::from_millis(80);

/// The pauses make readings take at most one of this many parts of a core. 100,000 names take a core for 40 ms, and
/// a program that saves them without pause must not slow down the requests.
pub(super) const PARTS: u32 = 50;

/// Stops the thread when it is dropped, without waiting for its end.
pub(super) struct StopOnDrop(pub(super) Sender<Signal>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        // `send` fails only if the thread has ended.
        let _ = self.0.send(Signal::Stop);
    }
}

/// The state of the thread.
pub(super) struct Reloader {
    pub(super) files: Vec<MapFile>,
    pub(super) directories: DirectoryWatcher,
    pub(super) store: Weak<Store>,
    pub(super) signals: Receiver<Signal>,
}

impl Reloader {
    /// Reloads the files until the last handle is dropped.
    pub(super) fn run(mut self, poll_interval: Duration) {
        // The first reading is due at once: a file may have changed before it was watched.
        let mut timeout = Duration::ZERO;
        let mut not_before = Instant::now();
        while self.wait_for_change(timeout, not_before) {
            let start = Instant::now();
            let Some(store) = self.store.upgrade() else { return };
            // The directories are watched before the files are read, so that a change in between causes an event.
            let any_new_directory = self.watch_directories();
            self.reload(&store);
            // A link may have changed before its directory was watched, so a new directory causes another reading.
            timeout = if any_new_directory { Duration::ZERO } else { poll_interval };
            not_before = Instant::now() + pause_after(start.elapsed());
        }
    }

    /// Waits until the next reading is due. Returns false if the thread has to stop.
    ///
    /// A reading is due after the timeout, or after an event that no other follows for the quiet period, and at the
    /// latest [`MAX_DELAY`] after the first event. It is never due before `not_before`.
    pub(super) fn wait_for_change(&mut self, timeout: Duration, not_before: Instant) -> bool {
        let mut due = not_before.max(Instant::now() + timeout);
        let mut latest_due = None;
        loop {
            let wait = due.saturating_duration_since(Instant::now());
            match self.signals.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(Signal::Removed(path)) => self.directories.unwatch(&path),
                Ok(Signal::Changed) => {}
            }
            let now = Instant::now();
            let latest_after_first_event = *latest_due.get_or_insert(now + MAX_DELAY);
            due = latest_after_first_event.min(now + QUIET_PERIOD).max(not_before);
            if due <= now {
                return true;
            }
        }
    }

    /// Watches the directories in which changes of the files can appear. Returns true if some of them are new.
    pub(super) fn watch_directories(&mut self) -> bool {
        let directories = self.files.iter().flat_map(|file| directories_of(&file.absolute_path));
        self.directories.set_directories(directories.collect())
    }

    /// Reads the files again and publishes the result.
    pub(super) fn reload(&mut self, store: &Store) {
        let mut any_changed = false;
        for file in &mut self.files {
            any_changed |= file.reload();
        }
        self.publish(store, any_changed);
    }

    /// Publishes the maps if some of them have changed, and the error and the warning in any case: a file that becomes
    /// invalid and then has its old content again has no error left.
    pub(super) fn publish(&self, store: &Store, any_changed: bool) {
        let error = MapFile::joined_error(&self.files);
        let warning = self.directories.warning.clone();
        store.change_with_status(
            |sources| {
                if any_changed {
                    for file in &self.files {
                        sources.set(file.place, file.names.clone());
                    }
                }
                any_changed
            },
            |status| {
                let is_same = status.last_error == error && status.warning == warning;
                status.last_error = error;
                status.warning = warning;
                !is_same
            },
        );
        #[cfg(feature = "tracing")]
        if any_changed {
            let crate::Status { generation, entries, left_out, source, .. } = store.status.borrow().clone();
            tracing::info!(generation, entries, left_out, source, "key names reloaded");
            self.warn_if_partial();
        }
    }

    #[cfg(feature = "tracing")]
    pub(super) fn warn_if_partial(&self) {
        for file in self.files.iter().filter(|file| file.names.is_partial()) {
            let path = crate::secret::display_path(&file.path);
            tracing::warn!("{path}: this list page has has_more: true; the keys of later pages have no name");
        }
    }
}

/// The pause after a reading that took this long. It is limited to the poll interval: a reading also takes long if a
/// disk hangs or the process was suspended.
pub(super) fn pause_after(reading: Duration) -> Duration {
    reading.saturating_mul(PARTS - 1).min(POLL_INTERVAL)
}
