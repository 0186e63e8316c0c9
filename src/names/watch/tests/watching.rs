//! The bell, the eyes, the thread.

use super::*;

#[test]
fn every_event_rings_but_an_access() {
    use notify::event::*;
    let (bell, wakes) = channel();
    let mut ring = ringing(bell);
    let mut rung = |event: notify::Result<EventKind>| {
        ring(event.map(|kind| Event::new(kind).add_path("/x".into())));
        wakes.try_iter().map(|wake| matches!(wake, Wake::Gone(_))).collect::<Vec<_>>()
    };
    for access in [AccessKind::Any, AccessKind::Read, AccessKind::Open(AccessMode::Any)] {
        assert!(rung(Ok(EventKind::Access(access))).is_empty());
    }
    for kind in [
        EventKind::Any,
        EventKind::Other,
        EventKind::Create(CreateKind::Any),
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        EventKind::Modify(ModifyKind::Data(DataChange::Any)),
    ] {
        assert_eq!(rung(Ok(kind)), [false], "{kind:?}");
    }
    assert_eq!(rung(Ok(EventKind::Remove(RemoveKind::Any))), [true, false]);
    assert_eq!(rung(Ok(EventKind::Modify(ModifyKind::Name(RenameMode::To)))), [true, false]);
    assert_eq!(rung(Err(notify::Error::generic("lost"))), [false]);
}

/// A watcher that sees nothing, as on a network file system, and does what a test wants.
struct Blind<F> {
    on_watch: F,
    _gone: Option<tokio::sync::oneshot::Sender<()>>,
}

impl<F: FnMut(&Path) -> notify::Result<()>> Watcher for Blind<F> {
    fn new<E: notify::EventHandler>(_: E, _: notify::Config) -> notify::Result<Self> {
        unreachable!()
    }
    fn watch(&mut self, place: &Path, recursive: RecursiveMode) -> notify::Result<()> {
        assert_eq!(recursive, RecursiveMode::NonRecursive);
        (self.on_watch)(place)
    }
    fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
        Ok(())
    }
    fn kind() -> notify::WatcherKind {
        notify::WatcherKind::NullWatcher
    }
}

fn one_file() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, map("one")).unwrap();
    (folder, file)
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let (_folder, file) = one_file();
    let (sender, gone) = tokio::sync::oneshot::channel();
    // The thread owns the watcher: it is dropped when the thread ends, and not before. And the
    // watcher owns a bell, as any does, so that the thread must be told to stop.
    let saved = file.clone();
    let blind = |bell: Sender<Wake>| {
        let on_watch = move |_: &Path| {
            let _owned = &bell;
            fs::write(&saved, map("two")).unwrap();
            Ok(())
        };
        Ok(Box::new(Blind { on_watch, _gone: Some(sender) }) as _)
    };
    let names = begin(vec![file], NEVER, blind).unwrap();
    // From now on it waits, and would for ever.
    until_named(&names, "two");
    let clone = names.clone();
    drop(names);
    let snapshot = {
        clone.replace(crate::KeyNames::default());
        assert_eq!(clone.status().generation, 3);
        clone.snapshot()
    };
    drop(clone);
    assert!(soon(gone).is_err(), "the sender was dropped");
    assert!(snapshot.is_empty(), "a snapshot outlives everything, and keeps nothing running");
}

#[test]
fn a_watcher_that_sees_nothing_is_made_up_for() {
    let (_folder, file) = one_file();
    let blind = |_| Ok(Box::new(Blind { on_watch: |_: &Path| Ok(()), _gone: None }) as _);
    let names = begin(vec![file.clone()], AT_ONCE, blind).unwrap();
    assert_eq!(names.status().warning, None);
    for name in ["two", "three", "four"] {
        save_by_rename(&file, &map(name));
        until_named(&names, name);
    }
}

/// The path stays, and leads elsewhere. What was watched is in another place now, and would be watched for good.
#[test]
fn a_directory_that_was_swapped_further_up_is_watched_anew() {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| folder.path().join(path);
    for (place, name) in [("now/conf", "one"), ("next/conf", "two")] {
        fs::create_dir_all(at(place)).unwrap();
        fs::write(at(place).join("names.json"), map(name)).unwrap();
    }
    let file = at("now/conf/names.json");
    // Only events make it look.
    let names = begin(vec![file.clone()], NEVER, native).unwrap();
    fs::rename(at("now"), at("before")).unwrap();
    fs::rename(at("next"), at("now")).unwrap();
    fs::write(at("before/conf/names.json"), map("three")).unwrap();
    until_named(&names, "two");
    // What rang before may yet have it look at the first of them.
    for name in ["four", "five", "six"] {
        fs::write(&file, map(name)).unwrap();
        until_named(&names, name);
    }
}

#[test]
fn a_watcher_that_cannot_start_is_a_warning() {
    let (_folder, file) = one_file();
    let names = begin(vec![file.clone()], AT_ONCE, no_native).unwrap();
    let warning = names.status().warning.unwrap();
    assert!(warning.starts_with("changes of the files are found only by looking, every 2ms"));
    fs::write(&file, map("two")).unwrap();
    until_named(&names, "two");
    assert!(names.status().warning.is_some() && names.status().last_error.is_none());
}

#[test]
fn a_watcher_that_panics_is_a_warning() {
    let (_folder, file) = one_file();
    let panicking = |_: &Path| -> notify::Result<()> { panic!("as notify does without its thread") };
    let blind = |_| Ok(Box::new(Blind { on_watch: panicking, _gone: None }) as _);
    let names = begin(vec![file.clone()], AT_ONCE, blind).unwrap();
    assert!(names.status().warning.is_some());
    fs::write(&file, map("two")).unwrap();
    until_named(&names, "two");
    assert!(names.status().warning.is_some());
}

#[test]
fn a_directory_that_cannot_be_watched_is_a_warning_while_that_is_so() {
    let (_folder, file) = one_file();
    let (allow, allowed) = std::sync::mpsc::channel::<()>();
    let on_watch = move |_: &Path| match allowed.try_recv() {
        Ok(()) => Ok(()),
        Err(_) => Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)),
    };
    let blind = |_| Ok(Box::new(Blind { on_watch, _gone: None }) as _);
    let names = begin(vec![file.clone()], AT_ONCE, blind).unwrap();
    assert!(names.status().warning.is_some());
    allow.send(()).unwrap();
    soon(names.wait_for(|status| status.warning.is_none()));
}

#[test]
fn a_change_between_the_first_reading_and_the_first_watch_is_seen() {
    let (_folder, file) = one_file();
    let save = {
        let file = file.clone();
        move |_: &Path| {
            save_by_rename(&file, &map("two"));
            Ok(())
        }
    };
    let blind = |_| Ok(Box::new(Blind { on_watch: save, _gone: None }) as _);
    let names = begin(vec![file], NEVER, blind).unwrap();
    until_named(&names, "two");
}

/// While the link's target is being found and watched, the link moves on, each time.
#[cfg(unix)]
#[test]
fn a_link_that_moves_while_it_is_followed_is_followed() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for n in 0..4 {
        fs::create_dir(root.join(n.to_string())).unwrap();
        fs::write(root.join(format!("{n}/names.json")), map(&n.to_string())).unwrap();
    }
    link("0", &root.join("current"));
    let (watched, places) = channel();
    let moving = {
        let root = root.clone();
        move |place: &Path| {
            if let Ok(inner) = place.strip_prefix(&root)
                && let Some(n) = inner.to_str().and_then(|inner| inner.parse::<u32>().ok())
            {
                if n < 3 {
                    link((n + 1).to_string(), &root.join("current"));
                }
                watched.send(n).unwrap();
            }
            Ok(())
        }
    };
    let blind = |_| Ok(Box::new(Blind { on_watch: moving, _gone: None }) as _);
    let names = begin(vec![root.join("current/names.json")], NEVER, blind).unwrap();
    until_named(&names, "3");
    for n in 0..4 {
        assert_eq!(places.recv_timeout(Duration::from_secs(60)), Ok(n));
    }
}

/// Never a quiet moment: the cap ends the waiting all the same.
#[test]
fn a_busy_directory_does_not_hold_a_change_back() {
    let (_folder, file) = one_file();
    let (mut feed, _board, _names) = feed(&file);
    let (bell, wakes) = channel();
    // It rings until nobody listens.
    let noise = thread::spawn(move || while bell.send(Wake::Touched).is_ok() {});
    let (sender, rested) = tokio::sync::oneshot::channel();
    thread::spawn(move || sender.send(feed.rest(&wakes, NEVER, Instant::now())));
    assert_eq!(soon(rested), Ok(true));
    noise.join().unwrap();
}

#[test]
fn files_that_take_long_to_read_are_not_read_without_pause() {
    let (_folder, file) = one_file();
    let (mut feed, _board, _names) = feed(&file);
    let (bell, wakes) = channel();
    let noise = bell.clone();
    let noise = thread::spawn(move || while noise.send(Wake::Touched).is_ok() {});
    let short = CAP / 10;
    assert_eq!(short + pause(short), short * SHARE, "a part of the time");
    assert!([POLL, Duration::MAX].iter().all(|long| pause(*long) == POLL), "not for longer than by looking");
    let ready = Instant::now() + pause(short);
    assert!(feed.rest(&wakes, NEVER, ready));
    assert!(Instant::now() >= ready, "not before it is ready for it, whatever happens");

    // Whoever drops the last handle ends it all the same.
    let (sender, rested) = tokio::sync::oneshot::channel();
    bell.send(Wake::Stop).unwrap();
    thread::spawn(move || sender.send(feed.rest(&wakes, Duration::ZERO, Instant::now() + NEVER)));
    assert_eq!(soon(rested), Ok(false));
    noise.join().unwrap();
}
