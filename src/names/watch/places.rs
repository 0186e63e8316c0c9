//! Which directories decide what a path leads to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows in one path.
const MAX_LINKS: usize = 40;

/// The directories in which a change can show of the file that an absolute path leads to: the one
/// that holds the file, and each that holds a link on the way there, be it to the file or to a
/// directory above it. Where something is missing, the one in which it would have to appear.
///
/// Kubernetes mounts `names.json` → `..data/names.json`, with `..data` → `..2026_08_21`, and
/// swaps `..data`. Here that is the mount and `..2026_08_21`. The directories come out free
/// of links, so that none is watched under two names.
pub(super) fn places(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let (mut at, mut rest) = (PathBuf::new(), path.to_path_buf());
    let mut links = 0;
    loop {
        let mut parts = rest.components();
        let part = parts.next();
        let tail = parts.as_path().to_path_buf();
        match part {
            None => return found,
            Some(Component::CurDir) => {}
            Some(Component::ParentDir) => {
                at.pop();
            }
            // A root, absolute, takes the place of what came before.
            Some(root @ (Component::Prefix(_) | Component::RootDir)) => at.push(root),
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                if let Ok(target) = fs::read_link(&next)
                    && links < MAX_LINKS
                {
                    // Links in the root belong to the system (`/var` on macOS): nobody swaps them
                    // to deliver a file, and watching the root can mean watching the whole disk.
                    if at.parent().is_some() {
                        found.insert(at.clone());
                    }
                    links += 1;
                    rest = target.join(tail);
                    continue;
                }
                if tail.as_os_str().is_empty() || !next.is_dir() {
                    found.insert(at);
                    return found;
                }
                at = next;
            }
        }
        rest = tail;
    }
}
