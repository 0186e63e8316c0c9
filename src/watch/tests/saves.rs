//! Changes of files, found by events and by polling.

use super::*;

#[test]
fn saves_by_rename_and_in_place_are_loaded() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("file.txt");
        fs::write(&file, file_with("one")).unwrap();
        let followed = watch(std::slice::from_ref(&file));
        assert_eq!(followed.state().texts, ["one"]);
        for n in 0..3 {
            save_by_rename(&file, &file_with(&format!("renamed {n}")));
            followed.wait_for_text(&format!("renamed {n}"));
            fs::write(&file, file_with(&format!("written {n}"))).unwrap();
            followed.wait_for_text(&format!("written {n}"));
        }
    });
}

#[test]
fn last_of_many_quick_saves_is_loaded() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("file.txt");
        fs::write(&file, file_with("first")).unwrap();
        let followed = watch(std::slice::from_ref(&file));
        for n in 1..=300 {
            match n % 2 {
                0 => save_by_rename(&file, &file_with(&format!("save {n}"))),
                _ => fs::write(&file, file_with(&format!("save {n}"))).unwrap(),
            }
        }
        followed.wait_for_text("save 300");
        followed.wait_for_no_error();
    });
}

#[test]
fn deleted_file_keeps_its_text_until_it_returns() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("file.txt");
        fs::write(&file, file_with("one")).unwrap();
        let followed = watch(std::slice::from_ref(&file));
        fs::remove_file(&file).unwrap();
        followed.wait_for_error("file.txt: there is no such file");
        assert_eq!(followed.state().texts, ["one"]);
        fs::write(&file, file_with("one")).unwrap();
        followed.wait_for_no_error();
        assert_eq!(followed.state().change_count, 0, "the content has not changed");
        fs::remove_file(&file).unwrap();
        followed.wait_for_error("no such file");
        save_by_rename(&file, &file_with("two"));
        followed.wait_for_text("two");
        followed.wait_for_no_error();
    });
}

#[test]
fn invalid_file_keeps_its_last_valid_text() {
    with_events_and_with_polling(|folder, watch| {
        let file = folder.join("file.txt");
        fs::write(&file, file_with("one")).unwrap();
        let followed = watch(std::slice::from_ref(&file));
        for (invalid, text) in [("", "file.txt: = is missing"), ("two", "file.txt:1:1: = is missing")] {
            fs::write(&file, invalid).unwrap();
            followed.wait_for_error(text);
            assert_eq!(followed.state().texts, ["one"]);
            fs::write(&file, file_with("one")).unwrap();
            followed.wait_for_no_error();
        }
        assert_eq!(followed.state().change_count, 0);
    });
}

#[test]
fn recreated_folder_is_watched_again() {
    with_events_and_with_polling(|folder, watch| {
        let (inner, file) = (folder.join("inner"), folder.join("inner/file.txt"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, file_with("one")).unwrap();
        let followed = watch(std::slice::from_ref(&file));
        for n in 0..3 {
            // Without a pause, so that no reading may happen in between.
            fs::remove_dir_all(&inner).unwrap();
            fs::create_dir(&inner).unwrap();
            fs::write(&file, file_with(&format!("created {n}"))).unwrap();
            followed.wait_for_text(&format!("created {n}"));
            save_by_rename(&file, &file_with(&format!("saved {n}")));
            followed.wait_for_text(&format!("saved {n}"));
        }
        fs::remove_dir_all(&inner).unwrap();
        followed.wait_for_error("no such file");
        fs::create_dir(&inner).unwrap();
        fs::write(&file, file_with("back")).unwrap();
        followed.wait_for_text("back");
    });
}

#[test]
fn folder_that_takes_the_place_of_a_renamed_one_is_watched() {
    with_events_and_with_polling(|folder, watch| {
        let (inner, file) = (folder.join("inner"), folder.join("inner/file.txt"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, file_with("one")).unwrap();
        let followed = watch(std::slice::from_ref(&file));
        fs::rename(&inner, folder.join("aside")).unwrap();
        fs::create_dir(&inner).unwrap();
        fs::write(&file, file_with("moved")).unwrap();
        followed.wait_for_text("moved");
        save_by_rename(&file, &file_with("saved"));
        followed.wait_for_text("saved");
    });
}

#[test]
fn invalid_file_does_not_stop_the_reload_of_another() {
    with_events_and_with_polling(|folder, watch| {
        let (first, second) = (folder.join("first.txt"), folder.join("second.txt"));
        fs::write(&first, file_with("first")).unwrap();
        fs::write(&second, file_with("second")).unwrap();
        let followed = watch(&[first.clone(), second.clone()]);
        fs::write(&first, "invalid").unwrap();
        followed.wait_for_error("first.txt:1:1");
        fs::write(&second, file_with("third")).unwrap();
        let state = followed.wait_for(|state| state.texts[1] == "third");
        assert_eq!(state.texts[0], "first");
        followed.wait_for_error("first.txt:1:1");
        fs::remove_file(&second).unwrap();
        followed.wait_for_error("; ");
        fs::write(&first, file_with("fourth")).unwrap();
        followed.wait_for_text("fourth");
        followed.wait_for_error("second.txt: there is no such file");
    });
}
