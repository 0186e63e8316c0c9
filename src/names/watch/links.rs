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
    let (mut found, mut path) = (BTreeSet::new(), path.to_path_buf());
    for _ in 0..MAX_LINKS {
        let mut prefixes: Vec<_> = path.ancestors().collect();
        prefixes.reverse();
        let first_link = prefixes.into_iter().find_map(|prefix| Some((prefix, fs::read_link(prefix).ok()?)));
        let Some((link, target)) = first_link else { break };
        let (directory, rest) = (link.parent().unwrap_or(link), path.strip_prefix(link).unwrap_or(&path));
        // The links in the root directory belong to the system (`/var` on macOS). They are not replaced, and watching
        // the root can mean watching the whole disk.
        found.extend(directory.canonicalize().ok().filter(|directory| directory.parent().is_some()));
        // `join` of an absolute target replaces the directory, and `join` of an empty rest would add a slash.
        let resolved = directory.join(target);
        path = if rest.as_os_str().is_empty() { resolved } else { resolved.join(rest) };
    }
    let existing = path.ancestors().skip(1).find(|directory| directory.is_dir());
    found.extend(existing.and_then(|directory| directory.canonicalize().ok()));
    found
}
