//! Files → `SharedKeyNames`, kept current for as long as a handle of it lives.
//!
//! `files` reads: plain functions, without a clock or a watcher. `places` knows the directories in
//! which a change can show. What stands here only decides *when* to read: whenever anything at all
//! happens in those directories, and every few seconds in any case, since network file systems and
//! some containers send no events. Reading again is cheap and, where nothing changed, silent; so
//! no event needs to be understood, and none is trusted.

pub(crate) mod files;
mod places;
#[cfg(test)]
mod tests;

use crate::SharedKeyNames;
use crate::names::shared::Board;
use files::{Files, Reloaded};
use notify::event::{EventKind, ModifyKind};
use notify::{RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often the files are read even if no event came: the longest that a change stays unseen on
/// file systems without events, and still nothing beside the work of serving requests.
const POLL: Duration = Duration::from_secs(5);

/// A save is several events. Reading starts once there was none for so long …
const QUIET: Duration = Duration::from_millis(25);

/// … but so long after the first at the latest: a busy directory must not hold a change back.
const CAP: Duration = Duration::from_millis(80);

/// … and for no more than this part of the time, as far as `pause` allows: 100,000 names take a core for 40 ms, and
/// whoever writes them without pause must not take it from those who are served.
const SHARE: u32 = 50;

/// Why watching could not begin: the file, with line and column where there is one, what is
/// wrong, and what to do. Never what stands in the file: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchError(String);

impl SharedKeyNames {
    /// A handle that follows this file: see [`watch_all`](Self::watch_all). It reads the file before it returns: call it
    /// at the start, or where blocking is allowed.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no valid map, in one line as a compiler would say it:
    ///
    /// ```
    /// # use tower_api_key_name::SharedKeyNames;
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("names.json");
    /// std::fs::write(&file, "{\n  \"key_abc\": null\n}")?;
    /// let error = SharedKeyNames::watch(&file).unwrap_err().to_string();
    /// assert!(error.contains("names.json:2:14: a name is text in quotes, not null"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch(path: impl AsRef<Path>) -> Result<Self, WatchError> {
        Self::watch_all([path.as_ref()])
    }

    /// A handle that follows these files, in either shape that [`KeyNames::from_json`] reads. The
    /// first file that knows an id names it, so put what was written by hand before what a script
    /// saves.
    ///
    /// The files are read now, before this returns, and again when they change: within about 100 ms
    /// after a save, a rename or a swapped link (as in a mounted Kubernetes ConfigMap) where the system
    /// tells of it, elsewhere within 5 s, by looking. A reading that took *t* is followed by none for
    /// 49 *t*, at most 5 s (two seconds for 100,000 names): so readings take a fiftieth of one core. A
    /// new generation begins only where the content of a file has changed.
    ///
    /// Once running, a file that is missing, empty (zero bytes: it is being written), cut off,
    /// invalid or over 64 MiB leaves its own last good map in use.
    /// [`Status::last_error`] says so until it is good again; with feature `tracing` there is one
    /// warning, and one line when it is good again. `{}` is a map without names.
    ///
    /// A thread of its own does this, so that no runtime is needed. It ends with the last clone of
    /// the handle, which does not wait for it.
    ///
    /// ```
    /// # use tower_api_key_name::SharedKeyNames;
    /// # let folder = tempfile::tempdir()?;
    /// # let (ours, saved) = (folder.path().join("names.json"), folder.path().join("keys.json"));
    /// std::fs::write(&ours, r#"{"key_a": "billing"}"#)?;
    /// std::fs::write(&saved, r#"{"data": [{"id": "key_a", "name": "Secret Key"}]}"#)?;
    /// let names = SharedKeyNames::watch_all([&ours, &saved])?;
    /// assert_eq!(names.snapshot().name("key_a"), Some("billing"));
    ///
    /// std::fs::write(&ours, r#"{"key_a": "search"}"#)?;
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// names.wait_for(|status| status.generation == 2).await;
    /// assert_eq!(names.snapshot().name("key_a"), Some("search"));
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the list is empty, any of the files cannot be read or is no valid map, or no thread can
    /// be started. It is no error if the system's file events cannot be had: then
    /// [`Status::warning`] says so, and changes are found by looking.
    ///
    /// [`KeyNames::from_json`]: crate::KeyNames::from_json
    /// [`Status::last_error`]: crate::Status::last_error
    /// [`Status::warning`]: crate::Status::warning
    pub fn watch_all<I>(paths: I) -> Result<Self, WatchError>
    where
        I: IntoIterator<Item: Into<PathBuf>>,
    {
        let paths = paths.into_iter().map(Into::into).collect();
        begin(Files::open(paths, None)?, POLL, native)
    }

    /// A handle that follows these files and `synced`, which somebody is about to write, such as
    /// [`Directory::follow`](crate::directory::Directory::follow): see [`watch_all`](Self::watch_all).
    ///
    /// `synced` may be missing, or empty: until it first comes it counts as a map without names, of which more
    /// is to come. All other files must be there. If it is among `paths` too, it counts in that place,
    /// else behind all of them: what was written by hand goes before what was synced.
    ///
    /// # Errors
    ///
    /// As [`watch_all`](Self::watch_all).
    ///
    /// ```
    /// # use tower_api_key_name::SharedKeyNames;
    /// # let folder = tempfile::tempdir()?;
    /// # let (overrides, synced) = (folder.path().join("overrides.json"), folder.path().join("synced.json"));
    /// std::fs::write(&overrides, r#"{"key_a": "billing"}"#)?;
    /// let names = SharedKeyNames::watch_with_synced([&overrides], &synced)?;
    /// assert_eq!(names.status().last_error, None);
    /// assert!(SharedKeyNames::watch_with_synced(["gone.json"], &synced).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "directory")]
    pub fn watch_with_synced<I>(paths: I, synced: impl AsRef<Path>) -> Result<Self, WatchError>
    where
        I: IntoIterator<Item: Into<PathBuf>>,
    {
        let paths = paths.into_iter().map(Into::into).collect();
        begin(Files::open(paths, Some(synced.as_ref()))?, POLL, native)
    }
}

// === The feeder ===

type NativeWatcher = Box<dyn Watcher + Send>;

/// What wakes the feeder's thread.
enum Wake {
    /// Something happened in a watched directory.
    Touched,
    /// This path was removed or renamed. Was it a watched directory, it is watched no more, even
    /// if another stands in its place already.
    Gone(PathBuf),
    /// The last handle was dropped.
    Stop,
}

/// What a handle keeps alive. It says so when it is dropped, and does not wait.
struct Feeder(Sender<Wake>);

impl Drop for Feeder {
    fn drop(&mut self) {
        // Nobody listens any more? Then the thread has ended already.
        let _ = self.0.send(Wake::Stop);
    }
}

/// What the thread works with. It holds the handle's board weakly, and everything else alone.
struct Feed {
    files: Files,
    eyes: Eyes,
    board: Weak<Board>,
}

/// The system's own watcher, ringing this bell.
fn native(bell: Sender<Wake>) -> notify::Result<NativeWatcher> {
    Ok(Box::new(notify::recommended_watcher(ringing(bell))?))
}

/// Feeds a handle from files that were just read. `native` makes the watcher that rings the bell it is given.
fn begin(
    files: Files,
    poll: Duration,
    native: impl FnOnce(Sender<Wake>) -> notify::Result<NativeWatcher>,
) -> Result<SharedKeyNames, WatchError> {
    let names = files.names();
    #[cfg(feature = "tracing")]
    files.warn_if_partial();
    let board = Arc::new(Board::new(names, &files.source()));
    let (bell, wakes) = channel();
    let mut eyes = Eyes::new(native(bell.clone()), poll);
    eyes.turn_to(files.places());
    board.tell(None, eyes.trouble.clone());
    let feed = Feed { files, eyes, board: Arc::downgrade(&board) };
    thread::Builder::new()
        .name("key names".into())
        .spawn(move || feed.run(&wakes, poll))
        .map_err(|error| WatchError(format!("no thread can be started to watch files: {error}")))?;
    Ok(SharedKeyNames::fed(board, Arc::new(Feeder(bell))))
}

/// Rings for every event but an access: our own reading is one.
fn ringing(bell: Sender<Wake>) -> impl FnMut(notify::Result<notify::Event>) + Send + 'static {
    move |event| {
        // An error is news too: events may have been lost.
        let (kind, paths) = match event {
            Ok(event) => (event.kind, event.paths),
            Err(_) => (EventKind::Any, Vec::new()),
        };
        if kind.is_access() {
            return;
        }
        // A send fails only when the thread has ended; then nobody needs to know.
        if matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            for path in paths {
                let _ = bell.send(Wake::Gone(path));
            }
        }
        let _ = bell.send(Wake::Touched);
    }
}

// === impl Feed ===

impl Feed {
    fn run(mut self, wakes: &Receiver<Wake>, poll: Duration) {
        // At once: a file may have changed between the first reading and the first watch.
        let (mut patience, mut ready) = (Duration::ZERO, Instant::now());
        while self.rest(wakes, patience, ready) {
            let began = Instant::now();
            let Some(board) = self.board.upgrade() else {
                return;
            };
            // Watch, then read: what changes in between rings. Directories that were not watched
            // until now may have been swapped while they were found, so look once more.
            let moved = self.eyes.turn_to(self.files.places());
            let reloaded = self.files.reload();
            self.tell(&board, &reloaded);
            patience = if moved { Duration::ZERO } else { poll };
            ready = Instant::now() + pause(began.elapsed());
        }
    }

    /// Waits for a reason to read, that events came and then ceased, or that patience ended; and until it is
    /// `ready` for that. False if there is nobody left to read for.
    fn rest(&mut self, wakes: &Receiver<Wake>, patience: Duration, ready: Instant) -> bool {
        let left = || ready.saturating_duration_since(Instant::now());
        let (mut wait, mut latest) = (patience.max(left()), None);
        loop {
            match wakes.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(Wake::Gone(path)) => self.eyes.forget(&path),
                Ok(Wake::Touched) => {}
            }
            let latest = *latest.get_or_insert_with(|| Instant::now() + CAP);
            wait = QUIET.min(latest.saturating_duration_since(Instant::now())).max(left());
            if wait.is_zero() {
                return true;
            }
        }
    }

    /// Puts up what was read. The status is brought up to date even where the map stays: good, bad
    /// and the same good again must not leave the error standing.
    fn tell(&self, board: &Board, reloaded: &Reloaded) {
        let (error, warning) = (self.files.error(), self.eyes.trouble.clone());
        #[cfg(feature = "tracing")]
        for fault in &reloaded.broken {
            tracing::warn!("{fault}; the last good map stays in use");
        }
        #[cfg(feature = "tracing")]
        for file in &reloaded.mended {
            tracing::info!("{file}: good again");
        }
        if !reloaded.changed {
            return board.tell(error, warning);
        }
        let (names, source) = (self.files.names(), self.files.source());
        #[cfg(feature = "tracing")]
        let (entries, left_out) = (names.len(), names.left_out());
        let _generation = board.put(names, &source, |status| {
            status.last_error = error;
            status.warning = warning;
        });
        #[cfg(feature = "tracing")]
        tracing::info!(generation = _generation, entries, left_out, source, "key names reloaded");
        #[cfg(feature = "tracing")]
        self.files.warn_if_partial();
    }
}

/// How long nothing is read after a reading that took so long. No longer than a change may stay unseen anyway: a
/// reading takes its time where a disk hangs, too, or where the process stood still in the midst of it.
fn pause(reading: Duration) -> Duration {
    reading.saturating_mul(SHARE - 1).min(POLL)
}

// === Eyes ===

/// Which directory a path leads to, where the system says so.
type Identity = Option<(u64, u64)>;

#[cfg(unix)]
fn identity(place: &Path) -> Identity {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(place).ok().map(|about| (about.dev(), about.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Identity {
    None
}

/// The native watcher, and the directories that it looks at.
struct Eyes {
    watcher: Option<NativeWatcher>,
    /// Each with what stood there when it was turned to: a path whose directory was swapped further up leads to another.
    on: BTreeMap<PathBuf, Identity>,
    /// Why there are no events, or not of every directory.
    trouble: Option<String>,
    poll: Duration,
}

impl Eyes {
    fn new(watcher: notify::Result<NativeWatcher>, poll: Duration) -> Self {
        let mut eyes = Self { watcher: None, on: BTreeMap::new(), trouble: None, poll };
        match watcher {
            Ok(watcher) => eyes.watcher = Some(watcher),
            Err(error) => eyes.worry(Some(error)),
        }
        eyes
    }

    /// Looks at these directories and no others. True if some of them are new.
    fn turn_to(&mut self, places: BTreeSet<PathBuf>) -> bool {
        if self.watcher.is_none() {
            return false;
        }
        let is_here = |place: &Path, was: &Identity| places.contains(place) && identity(place) == *was;
        let gone = self.on.iter().filter(|(place, was)| !is_here(place, was));
        for place in gone.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            self.forget(&place);
        }
        let (mut moved, mut worry) = (false, None);
        for place in places {
            if self.on.contains_key(&place) {
                continue;
            }
            let identity = identity(&place);
            // Without recursion: a directory may hold a whole disk.
            match self.ask(|watcher| watcher.watch(&place, RecursiveMode::NonRecursive)) {
                Ok(()) => {
                    moved = true;
                    self.on.insert(place, identity);
                }
                Err(error) => worry = Some(error),
            }
        }
        self.worry(worry);
        moved
    }

    /// Stops looking at this directory, should it be one of those looked at.
    fn forget(&mut self, place: &Path) {
        if self.on.remove(place).is_some() {
            // It fails where the directory is gone, and the watch with it.
            let _ = self.ask(|watcher| watcher.unwatch(place));
        }
    }

    /// notify takes for granted that its own thread could be started, and panics later where it
    /// could not. That must not end ours: there is still looking.
    fn ask(&mut self, call: impl FnOnce(&mut NativeWatcher) -> notify::Result<()>) -> notify::Result<()> {
        let Some(mut watcher) = self.watcher.take() else {
            return Err(notify::Error::generic("its thread has ended"));
        };
        let Ok(answer) = catch_unwind(AssertUnwindSafe(|| call(&mut watcher))) else {
            // Dropping it would panic again.
            std::mem::forget(watcher);
            return Err(notify::Error::generic("its thread has ended"));
        };
        self.watcher = Some(watcher);
        answer
    }

    fn worry(&mut self, error: Option<notify::Error>) {
        let trouble = error.map(|error| {
            format!(
                "changes of the files are found only by looking, every {:?}, since the system's \
                 file events cannot be had: {error}",
                self.poll
            )
        });
        #[cfg(feature = "tracing")]
        if let (None, Some(trouble)) = (&self.trouble, &trouble) {
            tracing::warn!("{trouble}");
        }
        self.trouble = trouble;
    }
}

// === impl WatchError ===

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WatchError {}
