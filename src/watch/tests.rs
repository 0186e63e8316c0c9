use super::*;
use std::fs;
use std::future::Future;
use tempfile::TempDir;

/// Longer than any test: what comes at all came by the other way.
const NEVER: Duration = Duration::from_secs(3600);
const AT_ONCE: Duration = Duration::from_millis(2);

/// A deadline for what must come: generous, since the machine may be busy.
fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await })
        .expect("it never came")
}

/// Waits until the key `a` has this name.
fn until_named(names: &SharedKeyNames, name: &str) {
    soon(names.wait_for(|_| names.snapshot().name("a") == Some(name)));
}

fn until_error(names: &SharedKeyNames, words: &str) {
    let has = |error: &String| error.contains(words);
    soon(names.wait_for(|status| status.last_error.as_ref().is_some_and(has)));
}

fn until_no_error(names: &SharedKeyNames) {
    soon(names.wait_for(|status| status.last_error.is_none()));
}

fn map(name: &str) -> String {
    format!("{{\"a\":\"{name}\"}}")
}

fn begin(
    paths: Vec<PathBuf>,
    poll: Duration,
    native: impl FnOnce(Sender<Wake>) -> notify::Result<NativeWatcher>,
) -> Result<SharedKeyNames, WatchError> {
    super::begin(Files::open(paths, None)?, poll, native)
}

fn no_native(_: Sender<Wake>) -> notify::Result<NativeWatcher> {
    Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
}

fn by_events(paths: &[PathBuf]) -> SharedKeyNames {
    begin(paths.into(), NEVER, native).unwrap()
}

fn by_looking(paths: &[PathBuf]) -> SharedKeyNames {
    begin(paths.into(), AT_ONCE, no_native).unwrap()
}

/// Runs a scene twice: with events and no looking, and with looking and no events.
fn both_ways(scene: impl Fn(&Path, fn(&[PathBuf]) -> SharedKeyNames)) {
    for way in [by_events, by_looking] {
        let folder = TempDir::new().unwrap();
        scene(folder.path(), way);
    }
}

/// Saves as most editors and every careful script do.
fn save_by_rename(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[cfg(unix)]
fn link(target: impl AsRef<Path>, at: &Path) {
    let beside = at.with_file_name("beside");
    std::os::unix::fs::symlink(target, &beside).unwrap();
    fs::rename(beside, at).unwrap();
}

// === Saves, both ways ===

#[test]
fn saves_by_rename_and_in_place() {
    both_ways(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        let status = names.status();
        assert_eq!((status.generation, status.entries), (1, 1));
        assert_eq!(status.source, file.display().to_string());
        for n in 0..3 {
            save_by_rename(&file, &map(&format!("renamed {n}")));
            until_named(&names, &format!("renamed {n}"));
            fs::write(&file, map(&format!("written {n}"))).unwrap();
            until_named(&names, &format!("written {n}"));
        }
        assert_eq!(names.status().source, file.display().to_string());
    });
}

#[test]
fn three_hundred_saves_end_on_the_last() {
    both_ways(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("first")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        for n in 1..=300 {
            match n % 2 {
                0 => save_by_rename(&file, &map(&format!("save {n}"))),
                _ => fs::write(&file, map(&format!("save {n}"))).unwrap(),
            }
        }
        until_named(&names, "save 300");
        until_no_error(&names);
    });
}

#[test]
fn deleted_and_back() {
    both_ways(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        fs::remove_file(&file).unwrap();
        until_error(&names, "names.json: there is no such file");
        assert_eq!(names.snapshot().name("a"), Some("one"));
        fs::write(&file, map("one")).unwrap();
        until_no_error(&names);
        assert_eq!(names.status().generation, 1, "the same content is no news");
        fs::remove_file(&file).unwrap();
        until_error(&names, "no such file");
        save_by_rename(&file, &map("two"));
        until_named(&names, "two");
        until_no_error(&names);
    });
}

#[test]
fn what_is_not_good_leaves_the_last_good_map() {
    both_ways(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        for (bad, words) in [
            ("", "names.json: there is nothing here"),
            ("{\"a\":\"tw", "names.json:1:9: the JSON ends too early"),
            ("{\n\"a\": \"sk-proj-abcdefgh\"}", "names.json:2:6: this name looks like a secret"),
        ] {
            fs::write(&file, bad).unwrap();
            until_error(&names, words);
            assert!(!format!("{names:?}").contains("abcdefgh"));
            assert_eq!(names.snapshot().name("a"), Some("one"));
            fs::write(&file, map("one")).unwrap();
            until_no_error(&names);
        }
        assert_eq!(names.status().generation, 1);
        fs::write(&file, "{}").unwrap();
        let status = soon(names.wait_for(|status| status.generation == 2));
        assert_eq!((status.entries, status.last_error), (0, None), "{{}} is meant");
    });
}

#[test]
fn the_folder_removed_and_made_again() {
    both_ways(|folder, watch| {
        let (inner, file) = (folder.join("inner"), folder.join("inner/names.json"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        for n in 0..3 {
            // At once, so that no reading may come between …
            fs::remove_dir_all(&inner).unwrap();
            fs::create_dir(&inner).unwrap();
            fs::write(&file, map(&format!("made {n}"))).unwrap();
            until_named(&names, &format!("made {n}"));
            // … and is watched as before.
            save_by_rename(&file, &map(&format!("saved {n}")));
            until_named(&names, &format!("saved {n}"));
        }
        fs::remove_dir_all(&inner).unwrap();
        until_error(&names, "no such file");
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("back")).unwrap();
        until_named(&names, "back");

        let aside = folder.join("aside");
        fs::rename(&inner, &aside).unwrap();
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("moved")).unwrap();
        until_named(&names, "moved");
        save_by_rename(&file, &map("saved"));
        until_named(&names, "saved");
    });
}

// === Links ===

/// As kubelet does it: a new directory, a new link beside, a rename over `..data`, the old one gone.
#[cfg(unix)]
#[test]
fn a_kubernetes_mount() {
    both_ways(|mount, watch| {
        let swap = |n: u32| {
            let data = format!("..2026_08_{n:02}");
            fs::create_dir(mount.join(&data)).unwrap();
            fs::write(mount.join(&data).join("names.json"), map(&format!("day {n}"))).unwrap();
            link(&data, &mount.join("..data"));
        };
        swap(1);
        link("..data/names.json", &mount.join("names.json"));
        let names = watch(&[mount.join("names.json")]);
        for n in 2..6 {
            swap(n);
            fs::remove_dir_all(mount.join(format!("..2026_08_{:02}", n - 1))).unwrap();
            until_named(&names, &format!("day {n}"));
        }
    });
}

#[cfg(unix)]
#[test]
fn a_link_to_elsewhere() {
    both_ways(|folder, watch| {
        for inner in ["here", "hop", "there", "yonder"] {
            fs::create_dir(folder.join(inner)).unwrap();
        }
        let (there, yonder) = (folder.join("there/a.json"), folder.join("yonder/b.json"));
        fs::write(&there, map("there")).unwrap();
        fs::write(&yonder, map("yonder")).unwrap();
        link("../hop/link.json", &folder.join("here/names.json"));
        link(&there, &folder.join("hop/link.json"));
        let names = watch(&[folder.join("here/names.json")]);
        fs::write(&there, map("there 2")).unwrap();
        until_named(&names, "there 2");
        // The link in the middle.
        link(&yonder, &folder.join("hop/link.json"));
        until_named(&names, "yonder");
        // Its new target is watched from now on.
        save_by_rename(&yonder, &map("yonder 2"));
        until_named(&names, "yonder 2");
        save_by_rename(&folder.join("here/names.json"), &map("no link"));
        until_named(&names, "no link");
    });
}

#[cfg(unix)]
#[test]
fn the_places_of_a_path() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let is = |path: &str, expected: &[&str]| {
        let all: BTreeSet<_> = places::places(&root.join(path));
        let inside: Vec<_> = all.iter().filter_map(|place| place.strip_prefix(&root).ok()).collect();
        assert_eq!(inside, expected.iter().map(Path::new).collect::<Vec<_>>(), "{path}");
    };
    for inner in ["plain", "v1", "v2", "v1/deep"] {
        fs::create_dir(root.join(inner)).unwrap();
    }
    for file in ["plain/file", "v1/file", "v2/file", "v1/deep/file"] {
        fs::write(root.join(file), "{}").unwrap();
    }
    link("v1", &root.join("current"));
    link("../current/deep/file", &root.join("plain/link"));
    link(root.join("v2/file"), &root.join("plain/away"));
    link("round", &root.join("plain/round"));
    link("gone/file", &root.join("plain/dangling"));

    is("plain/file", &["plain"]);
    is("plain/../v2/./file", &["v2"]);
    is("current/file", &["", "v1"]);
    is("plain/link", &["", "plain", "v1/deep"]);
    is("plain/away", &["plain", "v2"]);
    is("plain/missing", &["plain"]);
    is("missing/deep/file", &[""]);
    is("plain/dangling", &["plain"]);
    is("plain/round", &["plain"]);
    is("plain/file/beneath", &["plain"]);
    is("v1/deep", &["v1"]);
}

// === Several files ===

#[test]
fn the_first_file_that_knows_an_id_names_it() {
    both_ways(|folder, watch| {
        let (first, second) = (folder.join("first.json"), folder.join("second.json"));
        fs::write(&first, "{}").unwrap();
        fs::write(&second, r#"{"a":"second","b":"second"}"#).unwrap();
        let names = watch(&[first.clone(), second.clone()]);
        assert_eq!(names.status().source, format!("{}, {}", first.display(), second.display()));
        until_named(&names, "second");
        fs::write(&first, map("first")).unwrap();
        until_named(&names, "first");
        assert_eq!(names.snapshot().name("b"), Some("second"));

        // One that goes bad keeps its own part, and the other goes on.
        fs::write(&first, "{").unwrap();
        until_error(&names, "first.json:1:2");
        fs::write(&second, r#"{"a":"third","b":"third"}"#).unwrap();
        soon(names.wait_for(|_| names.snapshot().name("b") == Some("third")));
        assert_eq!(names.snapshot().name("a"), Some("first"));
        assert!(names.status().last_error.is_some());
        fs::remove_file(&second).unwrap();
        until_error(&names, "; ");
        fs::write(&first, "{}").unwrap();
        until_named(&names, "third");
        until_error(&names, "second.json: there is no such file");
    });
}

/// What is about to be written is no fault until it was there; what it then says counts in its place.
#[test]
fn a_file_that_is_awaited_may_be_missing_until_it_comes() {
    let folder = TempDir::new().unwrap();
    let [ours, synced, last] = ["ours.json", "synced.json", "last.json"].map(|name| folder.path().join(name));
    fs::write(&ours, r#"{"a":"ours"}"#).unwrap();
    fs::write(&last, r#"{"a":"last","b":"last"}"#).unwrap();
    let open =
        |paths: &[&PathBuf]| Files::open(paths.iter().map(|&path| path.into()).collect(), Some(&synced));
    let mut files = open(&[&ours, &folder.path().join("./synced.json"), &last]).unwrap();
    assert_eq!((files.error(), files.names().len()), (None, 2));
    assert!(files.names().is_partial(), "names are still to come");
    assert_eq!(files.reload(), Reloaded::default());
    fs::write(&synced, r#"{"a":"synced","b":"synced"}"#).unwrap();
    assert!(files.reload().changed);
    assert_eq!((files.names().name("a"), files.names().name("b")), (Some("ours"), Some("synced")));
    assert!(!files.names().is_partial());
    // It was there: now its absence is a fault, and its names stay.
    fs::remove_file(&synced).unwrap();
    assert_eq!(files.reload().broken.len(), 1);
    assert!(files.error().unwrap().ends_with("synced.json: there is no such file"));
    assert_eq!(files.names().name("b"), Some("synced"));

    let appended = open(&[&ours]).unwrap().source();
    assert_eq!(appended, format!("{}, {}", ours.display(), synced.display()));
    assert_eq!(open(&[]).unwrap().names().len(), 0);
    assert!(open(&[&folder.path().join("other.json")]).is_err());
    fs::write(&synced, "{").unwrap();
    assert!(open(&[]).is_err(), "it may be missing, not bad");
}

// === Reading, without a watcher ===

#[test]
fn refuses_to_start_with_what_is_not_good() {
    let folder = TempDir::new().unwrap();
    let refused = |paths: &[PathBuf]| {
        let error = SharedKeyNames::watch_all(paths).unwrap_err();
        error.to_string().replace(&folder.path().display().to_string(), "…")
    };
    let (file, good) = (folder.path().join("names.json"), folder.path().join("good.json"));
    fs::write(&good, "{}").unwrap();
    assert_eq!(refused(&[]), "no file to watch; name at least one");
    assert_eq!(refused(&[good.clone(), file.clone()]), "…/names.json: there is no such file");
    assert_eq!(refused(&[folder.path().into()]), "…: is not a file; a directory or a pipe cannot be watched");
    fs::write(&file, "").unwrap();
    assert!(refused(&[file.clone(), good]).starts_with("…/names.json: there is nothing here"));
    fs::write(&file, "{\n  \"a\": \"1\",\n  \"b\": \"sk-proj-abcdefgh\"\n}").unwrap();
    let error = refused(std::slice::from_ref(&file));
    assert!(error.starts_with("…/names.json:3:8: this name looks like a secret"), "{error}");
    assert!(!error.contains("abcdefgh"));
    fs::File::create(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    assert_eq!(refused(&[file]), "…/names.json: is over 64 MiB long, too long for a map of names");
    let error = refused(&["sk-proj-abcdefgh".into()]);
    assert_eq!(error, "(a path that looks like an API key): there is no such file");
    assert!(SharedKeyNames::watch("").is_err());
}

#[test]
fn reading_again_says_what_is_new_and_says_it_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, map("one")).unwrap();
    let mut files = Files::open(vec![file.clone()], None).unwrap();
    assert_eq!(files.reload(), Reloaded::default());
    for bad in ["", "{", "[]", "gone"] {
        match bad {
            "gone" => fs::remove_file(&file).unwrap(),
            text => fs::write(&file, text).unwrap(),
        }
        let reloaded = files.reload();
        assert_eq!((reloaded.changed, &reloaded.broken[..]), (false, &[files.error().unwrap()][..]));
        assert_eq!(files.reload(), Reloaded::default(), "said once: {bad:?}");
        assert_eq!(files.names().name("a"), Some("one"));
        assert!(files.error().is_some());
        // The same good again: nothing changed, and nothing is wrong any more.
        fs::write(&file, map("one")).unwrap();
        let reloaded = files.reload();
        assert_eq!((reloaded.changed, reloaded.broken.len(), reloaded.mended.len()), (false, 0, 1));
        assert_eq!(files.error(), None);
    }
    // Another content of the same length, at the same time.
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, map("two")).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    assert_eq!(files.reload(), Reloaded { changed: true, ..Reloaded::default() });
    assert_eq!(files.names().name("a"), Some("two"));
    save_by_rename(&file, &map("two"));
    assert_eq!(files.reload(), Reloaded::default(), "touched is not changed");
}

/// A feed without its thread.
fn feed(file: &Path) -> (Feed, Arc<Board>, SharedKeyNames) {
    let files = Files::open(vec![file.into()], None).unwrap();
    let board = Arc::new(Board::new(files.names(), &files.source()));
    let eyes = Eyes::new(no_native(channel().0), POLL);
    let names = SharedKeyNames::fed(board.clone(), Arc::new(()));
    (Feed { files, eyes, board: Arc::downgrade(&board) }, board, names)
}

#[test]
fn a_replaced_map_holds_until_the_content_changes() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, map("one")).unwrap();
    let (mut feed, board, names) = feed(&file);
    let mut reload = || {
        let reloaded = feed.files.reload();
        feed.tell(&board, &reloaded);
        (names.snapshot().name("a").map(str::to_owned), names.status())
    };
    names.replace(crate::KeyNames::new([("a", "ours")]).unwrap());
    assert_eq!(names.status().source, "memory");
    save_by_rename(&file, &map("one"));
    assert_eq!(reload().0.as_deref(), Some("ours"));
    fs::write(&file, "{").unwrap();
    let (name, status) = reload();
    assert_eq!((name.as_deref(), status.last_error.is_some()), (Some("ours"), true));
    fs::write(&file, map("one")).unwrap();
    let (name, status) = reload();
    assert_eq!((name.as_deref(), status.generation, status.last_error), (Some("ours"), 2, None));
    fs::write(&file, map("two")).unwrap();
    let (name, status) = reload();
    assert_eq!((name.as_deref(), status.generation), (Some("two"), 3));
    assert_eq!(status.source, file.display().to_string());
}

#[test]
fn a_replaced_map_of_a_running_watch_gives_way_to_new_content() {
    both_ways(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        names.replace(crate::KeyNames::new([("a", "ours")]).unwrap());
        save_by_rename(&file, &map("two"));
        until_named(&names, "two");
        assert_eq!(names.status().generation, 3);
    });
}

// === The bell, the eyes, the thread ===

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
    let ready = Instant::now() + CAP * 4;
    assert!(feed.rest(&wakes, NEVER, ready));
    assert!(Instant::now() >= ready, "not before it is ready for it, whatever happens");

    // Whoever drops the last handle ends it all the same.
    let (sender, rested) = tokio::sync::oneshot::channel();
    bell.send(Wake::Stop).unwrap();
    thread::spawn(move || sender.send(feed.rest(&wakes, Duration::ZERO, Instant::now() + NEVER)));
    assert_eq!(soon(rested), Ok(false));
    noise.join().unwrap();
}
