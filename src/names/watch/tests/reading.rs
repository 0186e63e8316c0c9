//! Reading, without a watcher.

use super::*;

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
    let mut files = Files::open(vec![file.clone()]).unwrap();
    assert_eq!(files.reload(), Reloaded::default());
    for bad in ["", "{", "[]", "gone"] {
        match bad {
            "gone" => fs::remove_file(&file).unwrap(),
            text => fs::write(&file, text).unwrap(),
        }
        let reloaded = files.reload();
        assert_eq!((reloaded.changed, &reloaded.broken[..]), (false, &[files.error().unwrap()][..]));
        assert_eq!(files.reload(), Reloaded::default(), "said once: {bad:?}");
        assert_eq!(files.maps()[0].name("a"), Some("one"));
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
    assert_eq!(files.maps()[0].name("a"), Some("two"));
    save_by_rename(&file, &map("two"));
    assert_eq!(files.reload(), Reloaded::default(), "touched is not changed");
}

#[test]
fn a_replaced_map_holds_until_the_content_changes() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("names.json");
    fs::write(&file, map("one")).unwrap();
    let (mut feed, store, names) = feed(&file);
    let mut reload = || {
        let reloaded = feed.files.reload();
        feed.tell(&store, &reloaded);
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
