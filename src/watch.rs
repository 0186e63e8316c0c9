//! Reloads files, as long as a handle exists.
//!
//! `parse` is the interface of the parsers. `file` reads a file. `links` finds the directories in which a change of it can
//! appear, and `events` watches them. The thread of `reloader` decides when to read: after any event in the directories,
//! and every few seconds, because network file systems and some containers send no events. A reading without a change has
//! no effect, so events need no interpretation.

mod error;
mod events;
mod file;
mod links;
mod parse;
mod reloader;
#[cfg(test)]
pub(crate) mod tests;

pub use error::{WatchError, WatchErrorKind};
pub(crate) use file::WatchedFile;
#[cfg(feature = "directory")]
pub(crate) use file::{MAX_FILE, read_file};
#[cfg(feature = "directory")]
pub(crate) use parse::parse_file;
pub(crate) use parse::{ContentError, Parse};
pub(crate) use reloader::{Reading, StopOnDrop};

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use events::{DirectoryWatcher, NativeWatcher, Signal, native_watcher};
use reloader::{POLL_INTERVAL, Reloader};

/// Starts a thread that reloads the files until the returned value is dropped.
///
/// `publish` receives the result of each reading. The first call is before this returns, with unchanged files, and may
/// contain a warning. Returns an error if the thread cannot be started.
pub(crate) fn follow<P: Parse>(
    files: Vec<WatchedFile<P>>,
    publish: impl FnMut(Reading<'_, P>) + Send + 'static,
) -> Result<StopOnDrop, WatchError> {
    start(files, publish, POLL_INTERVAL, native_watcher)
}

/// Starts the thread. `create_watcher` creates the system's watcher, which sends signals to the thread.
fn start<P: Parse>(
    files: Vec<WatchedFile<P>>,
    publish: impl FnMut(Reading<'_, P>) + Send + 'static,
    poll_interval: Duration,
    create_watcher: impl FnOnce(Sender<Signal>) -> notify::Result<NativeWatcher>,
) -> Result<StopOnDrop, WatchError> {
    let (sender, signals) = channel();
    let directories = DirectoryWatcher::new(create_watcher(sender.clone()));
    let mut reloader = Reloader { files, directories, publish, signals };
    reloader.watch_directories();
    // Publishes the warning if there are no file events.
    reloader.publish(false);
    let thread = thread::Builder::new().name(P::WHAT.into());
    if let Err(error) = thread.spawn(move || reloader.run(poll_interval)) {
        let message = format!("no thread can be started to watch files: {error}");
        return Err(WatchError::new(WatchErrorKind::Thread, message).caused_by(error));
    }
    Ok(StopOnDrop(sender))
}
