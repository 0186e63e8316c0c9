//! The thread that reloads the files.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::WatchError;
use super::events::{DirectoryWatcher, Signal};
use super::file::WatchedFile;
use super::links::directories_of;
use super::parse::Parse;

/// The interval between readings if no event arrives. On file systems without events, a change is found this late;
/// the cost of reading is small beside that of serving requests.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The time without events after which reading starts, because a save causes several events.
const QUIET_PERIOD: Duration = Duration::from_millis(25);

/// The time after the first event at which reading starts even in a busy directory.
pub(super) const MAX_DELAY: Duration = Duration::from_millis(80);

/// The pauses make readings take at most one of this many parts of a core. A file of 100,000 names takes a core
/// for 40 ms, and a program that saves it without pause must not slow down the requests.
pub(super) const PARTS: u32 = 50;

/// Stops the thread when it is dropped, without waiting for its end.
pub(crate) struct StopOnDrop(pub(super) Sender<Signal>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        // `send` fails only if the thread has ended.
        let _ = self.0.send(Signal::Stop);
    }
}

/// The result of a reading of all files.
pub(crate) struct Reading<'a, P: Parse> {
    pub(crate) files: &'a [WatchedFile<P>],
    /// True if a file has a new valid content.
    pub(crate) any_changed: bool,
    /// The errors of all invalid files. `None` if all files are valid.
    pub(crate) error: Option<WatchError>,
    /// The reason why changes are found only by polling. `None` if there are file events.
    pub(crate) warning: Option<String>,
}

/// The state of the thread.
pub(super) struct Reloader<P: Parse, F> {
    pub(super) files: Vec<WatchedFile<P>>,
    pub(super) directories: DirectoryWatcher,
    pub(super) publish: F,
    pub(super) signals: Receiver<Signal>,
}

impl<P: Parse, F: FnMut(Reading<'_, P>)> Reloader<P, F> {
    /// Reloads the files until [`StopOnDrop`] is dropped.
    pub(super) fn run(mut self, poll_interval: Duration) {
        // The first reading is due at once: a file may have changed before it was watched.
        let mut timeout = Duration::ZERO;
        let mut not_before = Instant::now();
        while self.wait_for_change(timeout, not_before) {
            let start = Instant::now();
            // The directories are watched before the files are read, so that a change in between causes an event.
            let any_new_directory = self.watch_directories();
            self.reload();
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
    pub(super) fn reload(&mut self) {
        let mut any_changed = false;
        for file in &mut self.files {
            any_changed |= file.reload();
        }
        self.publish(any_changed);
    }

    /// Publishes the files with their error and the warning. This is necessary even if no content has changed: a file that
    /// becomes invalid and then has its old content again has no error left.
    pub(super) fn publish(&mut self, any_changed: bool) {
        let error = WatchError::join(self.files.iter().filter_map(|file| file.error.as_ref()));
        let warning = self.directories.warning.clone();
        (self.publish)(Reading { files: &self.files, any_changed, error, warning });
    }
}

/// The pause after a reading that took this long. It is limited to the poll interval: a reading also takes long if a
/// disk hangs or the process was suspended.
pub(super) fn pause_after(reading: Duration) -> Duration {
    reading.saturating_mul(PARTS - 1).min(POLL_INTERVAL)
}
