//! Links on the path to a file, as in a Kubernetes mount.
#![cfg(unix)]

use super::*;

/// Does what kubelet does: a new directory, a renamed link, and the removal of the old directory.
#[test]
fn kubernetes_mount_is_followed() {
    with_events_and_with_polling(|mount, watch| {
        let publish = |n: u32| {
            let data = format!("..2026_08_{n:02}");
            fs::create_dir(mount.join(&data)).unwrap();
            fs::write(mount.join(&data).join("file.txt"), file_with(&format!("day {n}"))).unwrap();
            link(&data, &mount.join("..data"));
        };
        publish(1);
        link("..data/file.txt", &mount.join("file.txt"));
        let followed = watch(&[mount.join("file.txt")]);
        for n in 2..6 {
            publish(n);
            fs::remove_dir_all(mount.join(format!("..2026_08_{:02}", n - 1))).unwrap();
            followed.wait_for_text(&format!("day {n}"));
        }
    });
}

#[test]
fn chain_of_links_is_followed() {
    with_events_and_with_polling(|folder, watch| {
        for inner in ["start", "middle", "first", "second"] {
            fs::create_dir(folder.join(inner)).unwrap();
        }
        let (first, second) = (folder.join("first/a.json"), folder.join("second/b.json"));
        fs::write(&first, file_with("first")).unwrap();
        fs::write(&second, file_with("second")).unwrap();
        link("../middle/link.json", &folder.join("start/file.txt"));
        link(&first, &folder.join("middle/link.json"));
        let followed = watch(&[folder.join("start/file.txt")]);
        fs::write(&first, file_with("first 2")).unwrap();
        followed.wait_for_text("first 2");
        // A changed link in the middle leads to another file, which is watched from then on.
        link(&second, &folder.join("middle/link.json"));
        followed.wait_for_text("second");
        save_by_rename(&second, &file_with("second 2"));
        followed.wait_for_text("second 2");
        save_by_rename(&folder.join("start/file.txt"), &file_with("no link"));
        followed.wait_for_text("no link");
    });
}

#[test]
fn directories_of_a_path_include_those_of_its_links() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for inner in ["plain", "v1", "v2", "v1/deep"] {
        fs::create_dir(root.join(inner)).unwrap();
    }
    for file in ["plain/file", "v1/file", "v2/file", "v1/deep/file"] {
        fs::write(root.join(file), "{}").unwrap();
    }
    link("v1", &root.join("current"));
    link("../current/deep/file", &root.join("plain/link"));
    link(root.join("v2/file"), &root.join("plain/away"));
    link("loop", &root.join("plain/loop"));
    link("gone/file", &root.join("plain/dangling"));

    for (path, expected) in [
        ("plain/file", &["plain"][..]),
        ("plain/../v2/./file", &["v2"]),
        ("current/file", &["", "v1"]),
        ("plain/link", &["", "plain", "v1/deep"]),
        ("plain/away", &["plain", "v2"]),
        ("plain/missing", &["plain"]),
        ("missing/deep/file", &[""]),
        ("plain/dangling", &["plain"]),
        ("plain/loop", &["plain"]),
        ("plain/file/beneath", &["plain"]),
        ("v1/deep", &["v1"]),
    ] {
        let all = crate::watch::links::directories_of(&root.join(path));
        let inside: Vec<_> = all.iter().filter_map(|directory| directory.strip_prefix(&root).ok()).collect();
        assert_eq!(inside, expected.iter().map(Path::new).collect::<Vec<_>>(), "{path}");
    }
}
