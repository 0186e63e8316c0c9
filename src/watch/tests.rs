mod events;
mod files;
mod links;
mod reloader;
mod saves;

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// A poll interval longer than any test, so that only events cause a reading.
const NEVER: Duration = Duration::from_secs(3600);

/// A poll interval so short that no event is needed.
const AT_ONCE: Duration = Duration::from_millis(2);

/// A deadline for an event that must occur. It is long, because the machine may be busy.
pub(crate) fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await })
        .expect("no event within 60 s")
}

/// A parser of the text after `=`.
#[derive(Clone)]
struct TextParser;

impl Parse for TextParser {
    type Parsed = String;

    const WHAT: &'static str = "texts";

    fn parse(&self, content: &[u8]) -> Result<String, ContentError> {
        let content = std::str::from_utf8(content).unwrap();
        let Some(text) = content.strip_prefix('=') else {
            let position = if content.is_empty() { None } else { Some((1, 1)) };
            return Err(ContentError { position, text: "= is missing".into(), source: "no text".into() });
        };
        Ok(text.to_owned())
    }
}

/// The content of a file with this text.
fn file_with(text: &str) -> String {
    format!("={text}")
}

/// The last published state.
#[derive(Clone, Debug, Default)]
struct PublishedState {
    texts: Vec<String>,
    /// The number of readings with changed files.
    change_count: usize,
    error: Option<WatchError>,
    warning: Option<String>,
}

/// A handle that follows files.
struct FollowedFiles {
    published: tokio::sync::watch::Receiver<PublishedState>,
    _thread: StopOnDrop,
}

impl FollowedFiles {
    fn state(&self) -> PublishedState {
        self.published.borrow().clone()
    }

    fn wait_for(&self, condition: impl FnMut(&PublishedState) -> bool) -> PublishedState {
        let mut published = self.published.clone();
        within_deadline(published.wait_for(condition)).expect("the thread runs").clone()
    }

    /// Waits until the first file has this text.
    fn wait_for_text(&self, text: &str) {
        self.wait_for(|state| state.texts[0] == text);
    }

    fn wait_for_error(&self, text: &str) {
        self.wait_for(|state| state.error.as_ref().is_some_and(|error| error.to_string().contains(text)));
    }

    fn wait_for_no_error(&self) {
        self.wait_for(|state| state.error.is_none());
    }
}

fn texts_of(files: &[WatchedFile<TextParser>]) -> Vec<String> {
    files.iter().map(|file| file.parsed.to_string()).collect()
}

fn watch(
    paths: &[PathBuf],
    poll_interval: Duration,
    native_watcher: impl FnOnce(Sender<Signal>) -> notify::Result<NativeWatcher>,
) -> FollowedFiles {
    let files = WatchedFile::open_all(paths, &TextParser).unwrap();
    let first_state = PublishedState { texts: texts_of(&files), ..PublishedState::default() };
    let (sender, published) = tokio::sync::watch::channel(first_state);
    let publish = move |reading: Reading<'_, TextParser>| {
        sender.send_modify(|state| {
            if reading.any_changed {
                state.texts = texts_of(reading.files);
                state.change_count += 1;
            }
            state.error = reading.error;
            state.warning = reading.warning;
        });
    };
    let thread = start(files, publish, poll_interval, native_watcher).unwrap();
    FollowedFiles { published, _thread: thread }
}

fn no_watcher(_: Sender<Signal>) -> notify::Result<NativeWatcher> {
    Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
}

fn watch_with_events(paths: &[PathBuf]) -> FollowedFiles {
    watch(paths, NEVER, native_watcher)
}

fn watch_with_polling(paths: &[PathBuf]) -> FollowedFiles {
    watch(paths, AT_ONCE, no_watcher)
}

/// Runs a test with events and without polling, and then with polling and without events.
fn with_events_and_with_polling(test: impl Fn(&Path, fn(&[PathBuf]) -> FollowedFiles)) {
    for watch in [watch_with_events, watch_with_polling] {
        let folder = TempDir::new().unwrap();
        test(folder.path(), watch);
    }
}

/// A folder with one file.
fn one_file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file.txt");
    fs::write(&file, file_with("one")).unwrap();
    (folder, file)
}

/// A reloader without its thread and without file events.
fn reloader<P: Parse, F: FnMut(Reading<'_, P>)>(files: Vec<WatchedFile<P>>, publish: F) -> Reloader<P, F> {
    let (sender, signals) = channel();
    let directories = DirectoryWatcher::new(no_watcher(sender));
    Reloader { files, directories, publish, signals }
}

/// Returns a function that reads the files again and publishes the result.
pub(crate) fn reload_without_thread<P: Parse>(
    files: Vec<WatchedFile<P>>,
    publish: impl FnMut(Reading<'_, P>),
) -> impl FnMut() {
    let mut reloader = reloader(files, publish);
    move || reloader.reload()
}

/// Saves a file as most editors do.
pub(crate) fn save_by_rename(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

/// Creates or replaces a symbolic link in one step.
#[cfg(unix)]
fn link(target: impl AsRef<Path>, path: &Path) {
    let draft = path.with_file_name("draft");
    std::os::unix::fs::symlink(target, &draft).unwrap();
    fs::rename(draft, path).unwrap();
}
