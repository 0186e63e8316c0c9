//! Changes of files, found by events and by polling.

use super::*;

#[test]
fn saves_by_rename_and_in_place_are_loaded() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        let status = names.status();
        assert_eq!((status.generation, status.entries), (1, 1));
        assert_eq!(status.source, file.display().to_string());
        for n in 0..3 {
            save_by_rename(&file, &map(&format!("renamed {n}")));
            wait_for_name(&names, &format!("renamed {n}"));
            fs::write(&file, map(&format!("written {n}"))).unwrap();
            wait_for_name(&names, &format!("written {n}"));
        }
        assert_eq!(names.status().source, file.display().to_string());
    });
}

#[test]
fn last_of_many_quick_saves_is_loaded() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("first")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        for n in 1..=300 {
            match n % 2 {
                0 => save_by_rename(&file, &map(&format!("save {n}"))),
                _ => fs::write(&file, map(&format!("save {n}"))).unwrap(),
            }
        }
        wait_for_name(&names, "save 300");
        wait_for_no_error(&names);
    });
}

#[test]
fn deleted_file_keeps_its_map_until_it_returns() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        fs::remove_file(&file).unwrap();
        wait_for_error(&names, "names.json: there is no such file");
        assert_eq!(names.snapshot().name("a"), Some("one"));
        fs::write(&file, map("one")).unwrap();
        wait_for_no_error(&names);
        assert_eq!(names.status().generation, 1, "the content has not changed");
        fs::remove_file(&file).unwrap();
        wait_for_error(&names, "no such file");
        save_by_rename(&file, &map("two"));
        wait_for_name(&names, "two");
        wait_for_no_error(&names);
    });
}

#[test]
fn invalid_file_keeps_its_last_valid_map() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        for (invalid, text) in [
            ("", "names.json: there is nothing here"),
            ("{\"a\":\"tw", "names.json:1:9: the JSON ends too early"),
            ("{\n\"a\": \"sk-proj-abcdefgh\"}", "names.json:2:6: this name looks like a secret"),
        ] {
            fs::write(&file, invalid).unwrap();
            wait_for_error(&names, text);
            assert!(!format!("{names:?}").contains("abcdefgh"));
            assert_eq!(names.snapshot().name("a"), Some("one"));
            fs::write(&file, map("one")).unwrap();
            wait_for_no_error(&names);
        }
        assert_eq!(names.status().generation, 1);
    });
}

#[test]
fn empty_object_is_a_map_without_names() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        fs::write(&file, "{}").unwrap();
        // Writing in place may be observed after the file was emptied and before it was filled.
        let is_second = |status: &crate::Status| status.generation == 2 && status.last_error.is_none();
        assert_eq!(within_deadline(names.wait_for(is_second)).entries, 0);
    });
}

#[test]
fn recreated_folder_is_watched_again() {
    with_events_and_with_polling(|folder, watch| {
        let (inner, file) = (folder.join("inner"), folder.join("inner/names.json"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        for n in 0..3 {
            // Without a pause, so that no reading may happen in between.
            fs::remove_dir_all(&inner).unwrap();
            fs::create_dir(&inner).unwrap();
            fs::write(&file, map(&format!("created {n}"))).unwrap();
            wait_for_name(&names, &format!("created {n}"));
            save_by_rename(&file, &map(&format!("saved {n}")));
            wait_for_name(&names, &format!("saved {n}"));
        }
        fs::remove_dir_all(&inner).unwrap();
        wait_for_error(&names, "no such file");
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("back")).unwrap();
        wait_for_name(&names, "back");
    });
}

#[test]
fn folder_that_takes_the_place_of_a_renamed_one_is_watched() {
    with_events_and_with_polling(|folder, watch| {
        let (inner, file) = (folder.join("inner"), folder.join("inner/names.json"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        fs::rename(&inner, folder.join("aside")).unwrap();
        fs::create_dir(&inner).unwrap();
        fs::write(&file, map("moved")).unwrap();
        wait_for_name(&names, "moved");
        save_by_rename(&file, &map("saved"));
        wait_for_name(&names, "saved");
    });
}

#[test]
fn first_file_with_an_id_names_it() {
    with_events_and_with_polling(|folder, watch| {
        let (first, second) = (folder.join("first.json"), folder.join("second.json"));
        fs::write(&first, "{}").unwrap();
        fs::write(&second, r#"{"a":"second","b":"second"}"#).unwrap();
        let names = watch(&[first.clone(), second.clone()]);
        assert_eq!(names.status().source, format!("{}, {}", first.display(), second.display()));
        wait_for_name(&names, "second");
        fs::write(&first, map("first")).unwrap();
        wait_for_name(&names, "first");
        assert_eq!(names.snapshot().name("b"), Some("second"));
    });
}

#[test]
fn invalid_file_does_not_stop_the_reload_of_another() {
    with_events_and_with_polling(|folder, watch| {
        let (first, second) = (folder.join("first.json"), folder.join("second.json"));
        fs::write(&first, map("first")).unwrap();
        fs::write(&second, r#"{"a":"second","b":"second"}"#).unwrap();
        let names = watch(&[first.clone(), second.clone()]);
        fs::write(&first, "{").unwrap();
        wait_for_error(&names, "first.json:1:2");
        fs::write(&second, r#"{"a":"third","b":"third"}"#).unwrap();
        within_deadline(names.wait_for(|_| names.snapshot().name("b") == Some("third")));
        assert_eq!(names.snapshot().name("a"), Some("first"));
        assert!(names.status().last_error.is_some());
        fs::remove_file(&second).unwrap();
        wait_for_error(&names, "; ");
        fs::write(&first, "{}").unwrap();
        wait_for_name(&names, "third");
        wait_for_error(&names, "second.json: there is no such file");
    });
}

#[test]
fn replaced_map_gives_way_to_a_new_content() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("names.json");
        fs::write(&file, map("one")).unwrap();
        let names = watch(std::slice::from_ref(&file));
        names.replace(crate::KeyNames::new([("a", "ours")]).unwrap());
        save_by_rename(&file, &map("two"));
        wait_for_name(&names, "two");
        assert_eq!(names.status().generation, 3);
    });
}
