mod links;
mod reading;
mod watching;

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
    let files = Files::open(paths)?;
    let store = files.store();
    super::begin(files, store, poll, native)
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

/// A feed without its thread.
fn feed(file: &Path) -> (Feed, Arc<Store>, SharedKeyNames) {
    let files = Files::open(vec![file.into()]).unwrap();
    let store = files.store();
    let eyes = Eyes::new(no_native(channel().0), POLL);
    let names = SharedKeyNames::from_store(store.clone(), None);
    (Feed { files, eyes, store: Arc::downgrade(&store) }, store, names)
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
