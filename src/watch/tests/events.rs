//! Events, watched directories, and the end of the thread.

use notify::event::*;
use notify::{RecursiveMode, Watcher};

use super::*;
use crate::watch::events::event_handler;

/// Returns true for each signal of a removal that an event causes, and false for another signal.
fn signals_of(event: notify::Result<EventKind>) -> Vec<bool> {
    let (sender, signals) = channel();
    event_handler(sender)(event.map(|kind| Event::new(kind).add_path("/x".into())));
    signals.try_iter().map(|signal| matches!(signal, Signal::Removed(_))).collect()
}

#[test]
fn access_sends_no_signal() {
    for access in [AccessKind::Any, AccessKind::Read, AccessKind::Open(AccessMode::Any)] {
        assert!(signals_of(Ok(EventKind::Access(access))).is_empty());
    }
}

#[test]
fn change_or_lost_event_sends_a_signal() {
    for kind in [
        EventKind::Any,
        EventKind::Other,
        EventKind::Create(CreateKind::Any),
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        EventKind::Modify(ModifyKind::Data(DataChange::Any)),
    ] {
        assert_eq!(signals_of(Ok(kind)), [false], "{kind:?}");
    }
    assert_eq!(signals_of(Err(notify::Error::generic("lost"))), [false]);
}

#[test]
fn removal_or_rename_sends_the_path() {
    assert_eq!(signals_of(Ok(EventKind::Remove(RemoveKind::Any))), [true, false]);
    assert_eq!(signals_of(Ok(EventKind::Modify(ModifyKind::Name(RenameMode::To)))), [true, false]);
}

/// A watcher without events, as on a network file system. It calls a function for each directory.
struct SilentWatcher<F> {
    on_watch: F,
    _dropped: Option<tokio::sync::oneshot::Sender<()>>,
}

impl<F: FnMut(&Path) -> notify::Result<()>> Watcher for SilentWatcher<F> {
    fn new<E: notify::EventHandler>(_: E, _: notify::Config) -> notify::Result<Self> {
        unreachable!()
    }
    fn watch(&mut self, directory: &Path, recursive: RecursiveMode) -> notify::Result<()> {
        assert_eq!(recursive, RecursiveMode::NonRecursive);
        (self.on_watch)(directory)
    }
    fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
        Ok(())
    }
    fn kind() -> notify::WatcherKind {
        notify::WatcherKind::NullWatcher
    }
}

fn silent(
    on_watch: impl FnMut(&Path) -> notify::Result<()> + Send + 'static,
) -> impl FnOnce(Sender<Signal>) -> notify::Result<NativeWatcher> {
    |_| Ok(Box::new(SilentWatcher { on_watch, _dropped: None }))
}

#[test]
fn thread_ends_with_its_handle() {
    let (_folder, file) = one_file();
    let (sender, dropped) = tokio::sync::oneshot::channel();
    // The thread owns the watcher, so the watcher is dropped when the thread ends. The watcher owns
    // a sender, as the native one does, so the channel is not closed by the handle's end.
    let saved = file.clone();
    let watcher = |signals: Sender<Signal>| {
        let on_watch = move |_: &Path| {
            let _sender = &signals;
            fs::write(&saved, file_with("two")).unwrap();
            Ok(())
        };
        Ok(Box::new(SilentWatcher { on_watch, _dropped: Some(sender) }) as _)
    };
    let followed = watch(&[file], NEVER, watcher);
    followed.wait_for_text("two");
    drop(followed);
    assert!(within_deadline(dropped).is_err(), "the watcher's sender was dropped");
}

#[test]
fn watcher_without_events_is_replaced_by_polling() {
    let (_folder, file) = one_file();
    let followed = watch(std::slice::from_ref(&file), AT_ONCE, silent(|_| Ok(())));
    assert_eq!(followed.state().warning, None);
    for name in ["two", "three", "four"] {
        save_by_rename(&file, &file_with(name));
        followed.wait_for_text(name);
    }
}

/// The path stays the same and leads to another directory.
#[test]
fn directory_replaced_further_up_is_watched_again() {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    for (directory, name) in [("now/conf", "one"), ("next/conf", "two")] {
        fs::create_dir_all(at(directory)).unwrap();
        fs::write(at(directory).join("file.txt"), file_with(name)).unwrap();
    }
    let file = at("now/conf/file.txt");
    let followed = watch_with_events(std::slice::from_ref(&file));
    fs::rename(at("now"), at("before")).unwrap();
    fs::rename(at("next"), at("now")).unwrap();
    fs::write(at("before/conf/file.txt"), file_with("three")).unwrap();
    followed.wait_for_text("two");
    // An earlier event may still cause a reading of the first of these.
    for name in ["four", "five", "six"] {
        fs::write(&file, file_with(name)).unwrap();
        followed.wait_for_text(name);
    }
}

#[test]
fn watcher_that_cannot_start_is_a_warning() {
    let (_folder, file) = one_file();
    let followed = watch_with_polling(std::slice::from_ref(&file));
    let warning = followed.state().warning.unwrap();
    assert!(warning.starts_with("changes of the files are found only by polling, every few seconds"));
    fs::write(&file, file_with("two")).unwrap();
    followed.wait_for_text("two");
    followed.wait_for_no_error();
    assert!(followed.state().warning.is_some());
}

#[test]
fn watcher_that_panics_is_a_warning() {
    let (_folder, file) = one_file();
    let watcher = silent(|_| panic!("as notify does without its thread"));
    let followed = watch(std::slice::from_ref(&file), AT_ONCE, watcher);
    assert!(followed.state().warning.is_some());
    fs::write(&file, file_with("two")).unwrap();
    followed.wait_for_text("two");
    assert!(followed.state().warning.is_some());
}

#[test]
fn warning_ends_when_the_directory_can_be_watched() {
    let (_folder, file) = one_file();
    let (allow, allowed) = channel::<()>();
    let watcher = silent(move |_| match allowed.try_recv() {
        Ok(()) => Ok(()),
        Err(_) => Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)),
    });
    let followed = watch(&[file], AT_ONCE, watcher);
    assert!(followed.state().warning.is_some());
    allow.send(()).unwrap();
    followed.wait_for(|state| state.warning.is_none());
}

#[test]
fn change_before_the_first_watch_is_loaded() {
    let (_folder, file) = one_file();
    let saved = file.clone();
    let watcher = silent(move |_| {
        save_by_rename(&saved, &file_with("two"));
        Ok(())
    });
    let followed = watch(&[file], NEVER, watcher);
    followed.wait_for_text("two");
}

/// The link is changed each time its target is being watched.
#[cfg(unix)]
#[test]
fn link_that_changes_while_it_is_resolved_is_followed() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for n in 0..4 {
        fs::create_dir(root.join(n.to_string())).unwrap();
        fs::write(root.join(format!("{n}/file.txt")), file_with(&n.to_string())).unwrap();
    }
    link("0", &root.join("current"));
    let (sender, watched) = channel();
    let watched_root = root.clone();
    let watcher = silent(move |directory| {
        if let Ok(inner) = directory.strip_prefix(&watched_root)
            && let Some(n) = inner.to_str().and_then(|inner| inner.parse::<u32>().ok())
        {
            if n < 3 {
                link((n + 1).to_string(), &watched_root.join("current"));
            }
            sender.send(n).unwrap();
        }
        Ok(())
    });
    let followed = watch(&[root.join("current/file.txt")], NEVER, watcher);
    followed.wait_for_text("3");
    for n in 0..4 {
        assert_eq!(watched.recv_timeout(Duration::from_secs(60)), Ok(n));
    }
}
