//! The directories to watch for a path.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The number of links that are followed in one path, as on Linux.
const MAX_LINKS: usize = 40;

/// Returns the directories in which a change of the file at an absolute path can appear.
///
/// These are the directory of the file and that of each link on the path. If a part of the path is missing, the
/// directory in which it would be created is included. Kubernetes mounts `names.json` → `..data/names.json` with
/// `..data` → `..2026_08_21`, and replaces `..data`: the result is the mount and `..2026_08_21`. The returned paths
/// contain no links, so that no directory is watched twice.
pub(super) fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::new();
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Some((link_directory, followed_path)) = follow_first_link(&path) else { break };
        if let Ok(directory) = link_directory.canonicalize() {
            // The links in the root directory belong to the system (`/var` on macOS). They are not replaced, and
            // watching the root can mean watching the whole disk.
            if directory.parent().is_some() {
                directories.insert(directory);
            }
        }
        path = followed_path;
    }
    let nearest_existing = path.ancestors().skip(1).find(|ancestor| ancestor.is_dir());
    if let Some(Ok(directory)) = nearest_existing.map(Path::canonicalize) {
        directories.insert(directory);
    }
    directories
}

/// Follows the first link on a path. Returns the link's directory, and the path with the link's target in its place.
///
/// For `/etc/app/names.json` with a link `app` → `app-2`, the result is `/etc` and `/etc/app-2/names.json`. Returns
/// `None` if the path contains no link.
fn follow_first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut prefix = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        prefix.push(component);
        if let Ok(target) = fs::read_link(&prefix) {
            let directory = prefix.parent()?.to_path_buf();
            // `join` returns the target alone if the target is absolute.
            let mut followed_path = directory.join(target);
            followed_path.extend(rest);
            return Some((directory, followed_path));
        }
    }
    None
}
