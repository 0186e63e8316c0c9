//! Imports between the modules of the library and of the proxy have no cycles, and keep to the table in the design docs.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path};

type Segments = Vec<String>;
/// The code of each module, without comments and tests. The path of the crate root is empty.
type Modules = BTreeMap<Segments, String>;

/// For each path of modules: the modules that these may use, and the beginnings of external paths that they must not use.
/// A module keeps to the rows of all its parents.
///
/// The modules that insert names never use `proxy_keys`.
const TABLE: [(&str, &[&str], &[&str]); 17] = [
    ("api_key", &["secret"], &["http", "tokio"]),
    ("base_url", &[], &["tokio", "std::fs"]),
    ("budget", &[], &["http", "tokio", "std::fs"]),
    ("secret", &[], &["http", "tokio", "std::fs"]),
    ("json_text", &["secret"], &["http", "tokio", "std::fs"]),
    ("watch", &["secret"], &["http", "tokio"]),
    (
        "names",
        &["json_text", "secret", "watch"],
        &["http::Request", "http::Response", "http::Uri", "http_body", "tower"],
    ),
    ("json", &["names"], &["http", "tokio", "tracing", "std::fs", "std::time"]),
    ("query", &["names"], &["http", "tokio"]),
    ("naming", &["budget", "secret", "names", "json", "query"], &["std::fs", "std::thread", "notify"]),
    ("directory", &["api_key", "base_url", "secret", "watch", "names", "json", "query"], &["notify"]),
    (
        "proxy_keys",
        &["api_key", "base_url", "budget", "json_text", "secret", "watch", "names", "json", "query"],
        &["std::time::Instant", "notify"],
    ),
    ("proxy_keys/ledger", &[], &["http", "tokio::net", "tokio::spawn", "tokio::time", "tracing"]),
    ("proxy_keys/meter", &["names", "json"], &["http", "tokio"]),
    ("proxy_keys/sent_usage", &["names", "json"], &["http", "tokio"]),
    ("proxy_keys/token_usage", &["names", "json"], &["http", "tokio"]),
    ("proxy_keys/wire", &["names", "json"], &["http", "tokio"]),
];

fn read(dir: &Path, parent: &[String], modules: &mut Modules) {
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let (name, is_rust) = (path.file_stem().unwrap().to_str().unwrap(), path.extension().is_some());
        let module = if name == "lib" { parent.to_vec() } else { [parent, &[name.to_owned()]].concat() };
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            read(&path, &module, modules);
        } else if is_rust && name != "main" {
            let text = fs::read_to_string(path).unwrap();
            let code = text.lines().take_while(|line| *line != "mod tests {");
            modules.insert(module, code.filter_map(|line| line.split("//").next()).collect());
        }
    }
}

/// Returns the paths in a module that begin with a keyword or that a `use` declaration contains. Expands groups.
fn paths(code: &str) -> Vec<Segments> {
    let mut paths = Vec::new();
    for (at, _) in ["crate::", "super::", "use "].iter().flat_map(|start| code.match_indices(start)) {
        let (mut prefixes, mut path) = (Vec::new(), String::new());
        for c in code[at..].trim_start_matches("use ").chars().filter(|_| !code[..at].ends_with([':', '_'])) {
            match c {
                '{' if path.ends_with("::") => prefixes.push(std::mem::take(&mut path)),
                c if c.is_alphanumeric() || c == '_' || c == ':' => path.push(c),
                _ => {
                    paths.push(prefixes.concat() + &std::mem::take(&mut path));
                    if (c == '}' && prefixes.pop().is_none()) || prefixes.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    paths.iter().map(|path| path.split("::").map(str::to_owned).collect()).collect()
}

/// Returns a path in `module` from the crate root, or `None` if it begins with another crate.
fn absolute(modules: &Modules, module: &[String], path: &[String]) -> Option<Segments> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" if path.get(1)? == "super" => absolute(modules, module.split_last()?.1, &path[1..]),
        "super" => Some([module.split_last()?.1, &path[1..]].concat()),
        _ => Some([module, path].concat()).filter(|path| modules.contains_key(&path[..=module.len()])),
    }
}

/// Returns the module that declares the item at an absolute path. Follows re-exports.
fn locate(modules: &Modules, path: &[String]) -> Segments {
    let length = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length])).unwrap();
    let (module, rest) = path.split_at(length);
    // The item of a glob import is empty.
    let Some(item) = rest.first().filter(|item| !item.is_empty()) else { return module.to_vec() };
    let uses = paths(&modules[module]).into_iter().filter(|used| used.last() == Some(item));
    let mut uses = uses.filter_map(|used| absolute(modules, module, &used).filter(|used| used != path));
    uses.next().map_or(module.to_vec(), |used| locate(modules, &used))
}

#[test]
fn modules_have_no_cycle_and_keep_to_the_table() {
    for (crate_root, table) in [("src", &TABLE[..]), ("examples/proxy/src", &[])] {
        let (mut modules, mut edges) = (Modules::new(), BTreeSet::new());
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(crate_root), &[], &mut modules);
        for (from, code) in &modules {
            let rules = table.iter().filter(|rule| Path::new(&from.join("/")).starts_with(rule.0));
            for path in paths(code) {
                let to = absolute(&modules, from, &path).map_or(vec![], |path| locate(&modules, &path));
                for (_, permitted, forbidden) in rules.clone() {
                    let is_permitted = to.is_empty() || to[0] == from[0] || permitted.contains(&&*to[0]);
                    let is_forbidden = forbidden.iter().any(|it| path.join("::").starts_with(it));
                    assert!(is_permitted && !is_forbidden, "{from:?} uses {path:?}");
                }
                // An edge from `a::x` to `b::y` is one from `a` to `b`. Parents and children may use each other.
                let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if common < from.len().min(to.len()) {
                    edges.insert((from[..=common].to_vec(), to[..=common].to_vec()));
                }
            }
        }
        // Edges to modules without imports are removed until only cycles and their users remain.
        for _ in 0..modules.len() {
            let importers: BTreeSet<Segments> = edges.iter().map(|(from, _)| from.clone()).collect();
            edges.retain(|(_, to)| importers.contains(to));
        }
        assert!(edges.is_empty(), "{crate_root} has import cycles: {edges:#?}");
    }
}
