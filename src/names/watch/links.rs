//! The directories to watch for a path.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The number of links that are followed in one path, as on Linux.
const MAX_LINKS: usize = 40;

/// Returns the directories in which a change of the file at an absolute path can appear.
///
/// These are the directory of the file and that of each link on the path. If a part of the path is missing, the
/// directory in which it would be created is included. Kubernetes mounts `names.json` → `..data/names.json` with
/// `..data` → `..2026_08_21`, and replaces `..data`: the result is the mount and `..2026_08_21`. The returned paths
/// contain no links, so that no directory is watched twice.
pub(super) fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let (mut directory, mut rest) = (PathBuf::new(), path.to_path_buf());
    let mut links = 0;
    loop {
        let mut components = rest.components();
        let Some(component) = components.next() else { return found };
        let tail = components.as_path().to_path_buf();
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                directory.pop();
            }
            // `push` of an absolute path replaces the path.
            Component::Prefix(_) | Component::RootDir => directory.push(component),
            Component::Normal(name) => {
                let next = directory.join(name);
                if let Ok(target) = fs::read_link(&next)
                    && links < MAX_LINKS
                {
                    // The links in the root directory belong to the system (`/var` on macOS). They are not replaced,
                    // and watching the root can mean watching the whole disk.
                    if directory.parent().is_some() {
                        found.insert(directory.clone());
                    }
                    links += 1;
                    rest = target.join(tail);
                    continue;
                }
                if tail.as_os_str().is_empty() || !next.is_dir() {
                    found.insert(directory);
                    return found;
                }
                directory = next;
            }
        }
        rest = tail;
    }
}
