//! Links on the way to a map, as a Kubernetes mount has them.

use super::*;

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
