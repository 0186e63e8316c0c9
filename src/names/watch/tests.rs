mod events;
mod files;
mod links;
mod reloader;
mod saves;

use std::fs;
use std::future::Future;

use tempfile::TempDir;

use super::*;

/// A poll interval longer than any test, so that only events cause a reading.
const NEVER: Duration = Duration::from_secs(3600);

/// A poll interval so short that no event is needed.
const AT_ONCE: Duration = Duration::from_millis(2);

/// A deadline for an event that must occur. It is long, because the machine may be busy.
fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await })
        .expect("no event within 60 s")
}

/// Waits until the key `a` has this name.
fn wait_for_name(names: &SharedKeyNames, name: &str) {
    within_deadline(names.wait_for(|_| names.snapshot().name("a") == Some(name)));
}

fn wait_for_error(names: &SharedKeyNames, text: &str) {
    let has_text = |error: &WatchError| error.to_string().contains(text);
    within_deadline(names.wait_for(|status| status.last_error.as_ref().is_some_and(has_text)));
}

fn wait_for_no_error(names: &SharedKeyNames) {
    within_deadline(names.wait_for(|status| status.last_error.is_none()));
}

fn map(name: &str) -> String {
    format!("{{\"a\":\"{name}\"}}")
}

fn watch(
    paths: &[PathBuf],
    poll_interval: Duration,
    native_watcher: impl FnOnce(Sender<Signal>) -> notify::Result<NativeWatcher>,
) -> SharedKeyNames {
    let files = MapFile::open_all(paths, &MapReader::default()).unwrap();
    let sources = sources_of(&files);
    start(files, sources, poll_interval, native_watcher).unwrap()
}

fn no_watcher(_: Sender<Signal>) -> notify::Result<NativeWatcher> {
    Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
}

fn watch_with_events(paths: &[PathBuf]) -> SharedKeyNames {
    watch(paths, NEVER, native_watcher)
}

fn watch_with_polling(paths: &[PathBuf]) -> SharedKeyNames {
    watch(paths, AT_ONCE, no_watcher)
}

/// Runs a test with events and without polling, and then with polling and without events.
fn with_events_and_with_polling(test: impl Fn(&Path, fn(&[PathBuf]) -> SharedKeyNames)) {
    for watch in [watch_with_events, watch_with_polling] {
        let folder = TempDir::new().unwrap();
        test(folder.path(), watch);
    }
}

/// A folder with one map file.
fn one_file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, map("one")).unwrap();
    (folder, file)
}

/// A reloader without its thread, with its store and a handle.
fn reloader(file: &Path) -> (Reloader, Arc<Store>, SharedKeyNames) {
    let files = MapFile::open_all(&[file.into()], &MapReader::default()).unwrap();
    let store = Store::new(sources_of(&files));
    let (sender, signals) = channel();
    let directories = DirectoryWatcher::new(no_watcher(sender));
    let names = SharedKeyNames { store: store.clone(), watcher: None };
    (Reloader { files, directories, store: Arc::downgrade(&store), signals }, store, names)
}

/// Saves a file as most editors do.
fn save_by_rename(path: &Path, text: &str) {
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
