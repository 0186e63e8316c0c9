//! Holds the table of who may import whom. Imports go downward, so there are no circles.
//!
//! What it reads is the code that ships: `#[cfg(test)]` items and files named `tests` are left out, and `lib.rs`
//! too, whose work is to show every room to the outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A room, and the rooms below that it may name. Only rooms that stand further up in this table can be named:
/// that is what makes a circle impossible. A file in the folder of a room belongs to that room.
const ROOMS: &str = "
    # Text only.
    docs:

    # A counter.
    total:

    # Ground floor: facts.
    names:
    shared: names
    # The shed beside it: what keeps a map current. It and HTTP meet only in the user's `main`.
    watch: names shared
    # It writes the file that `watch` reads. It asks HTTP of a service that the user gives it, and is no layer.
    directory: names shared watch

    # First floor: bytes.
    rewrite/wide:
    rewrite/text: names
    rewrite/scan: rewrite/text rewrite/wide
    rewrite/edit: names rewrite/scan rewrite/text
    rewrite/rules: rewrite/edit rewrite/text
    rewrite/amend: names rewrite/edit rewrite/rules rewrite/scan rewrite/text
    rewrite/lookout: rewrite/rules rewrite/wide
    rewrite/place:
    rewrite/query: names rewrite/rules
    rewrite/splice: names rewrite/amend rewrite/edit

    # Second floor: HTTP.
    outcome: rewrite/edit
    settings: outcome rewrite/rules rewrite/scan shared total
    head: names outcome rewrite/query settings
    refusal: names outcome rewrite/query shared
    report: names outcome rewrite/edit rewrite/place settings shared
    body: head outcome report rewrite/* settings total
    future: body head outcome report settings
    service: body future head names outcome refusal report settings
    layer: outcome rewrite/rules service settings shared total

    # For benches and fuzz targets: the first floor seen from outside, and the laws that every floor keeps.
    internal: names shared directory rewrite/* outcome settings layer
";

/// A folder that is a floor: each of its files is a room of its own, and its `mod.rs` only shows them.
const FLOOR: &str = "rewrite";

/// What a room must not name from outside. `rewrite/*` is every room in that folder.
const NOT_HERE: &str = "
    # Facts know no HTTP, runtime, clock or log.
    names: http http_body tower_layer tower_service tokio tracing std::time std::thread
    # The handle knows neither HTTP nor what feeds it.
    shared: http http_body tower_layer tower_service notify
    watch: http http_body tower_layer tower_service
    directory: tower_layer tracing notify
    # Work on bytes is pure.
    rewrite/*: http http_body tower_layer tower_service tokio tracing std::fs std::io std::net std::thread std::time
    # A decision about a head waits for nothing.
    head: tokio std::thread std::time
    refusal: tokio std::thread std::time
";

/// Crates with one home, and no other.
const ONE_HOME: &[(&str, &str)] = &[
    ("arc_swap", "shared"),
    ("notify", "watch"),
    ("backon", "directory"),
    ("futures_util", "directory"),
    ("httpdate", "directory"),
    ("secrecy", "directory"),
    ("tempfile", "directory"),
];

/// The one file that calls SIMD intrinsics, and says why that is sound.
const UNSAFE_HOME: &str = "rewrite/wide/x86";

/// Names that say nothing about what happens in a room.
const NO_ROOM: &[&str] =
    &["field", "property", "payload", "manager", "handler", "util", "common", "helper", "type", "prelude"];

#[test]
fn imports_go_downward() {
    let house = House::read();
    let mut faults = Vec::new();
    for (file, tokens) in house.files.iter().filter(|(file, _)| *file != FLOOR) {
        let room = room_of(file);
        for path in paths(tokens, &["crate", "self", "super"]) {
            let Some(target) = house.resolve(file, &path) else {
                faults.push(format!("{file}: `{}` names no room", path.join("::")));
                continue;
            };
            let target = room_of(&target);
            if target != room && !allowed(&room, &target) {
                faults.push(format!("{file}: `{}` reaches from `{room}` into `{target}`", path.join("::")));
            }
        }
    }
    assert!(faults.is_empty(), "not in the table of imports:\n{}", faults.join("\n"));
}

#[test]
fn the_table_only_names_what_stands_above() {
    let rooms = table(ROOMS);
    for (i, (room, below)) in rooms.iter().enumerate() {
        for other in below {
            let known = rooms[..i].iter().any(|(name, _)| matches(other, name));
            assert!(known, "`{room}` may name `{other}`, which does not stand above it");
        }
    }
}

#[test]
fn every_file_has_a_room() {
    let house = House::read();
    for file in house.files.keys().filter(|file| *file != FLOOR) {
        let room = room_of(file);
        assert!(table(ROOMS).iter().any(|(name, _)| *name == room), "src/{file}.rs has no line in the table");
        for word in file.split(['/', '_']) {
            let single = word.strip_suffix('s').unwrap_or(word);
            assert!(
                !NO_ROOM.contains(&single) && !NO_ROOM.contains(&word),
                "`{word}` in src/{file}.rs names no work"
            );
        }
    }
}

#[test]
fn outside_crates_stay_on_their_floor() {
    let mut faults = Vec::new();
    for (file, tokens) in &House::read().files {
        let room = room_of(file);
        for (_, outside) in table(NOT_HERE).iter().filter(|(rooms, _)| matches(rooms, &room)) {
            let starts: Vec<&str> = outside.iter().filter_map(|path| path.split("::").next()).collect();
            for path in paths(tokens, &starts) {
                let path = path.join("::");
                if outside.iter().any(|o| path == *o || path.starts_with(&format!("{o}::"))) {
                    faults.push(format!("{file}: `{path}`"));
                }
            }
        }
        for (name, home) in ONE_HOME {
            if room != *home && !paths(tokens, &[name]).is_empty() {
                faults.push(format!("{file}: `{name}`, whose home is `{home}`"));
            }
        }
        if room != "shared" && tokens.iter().any(|token| token.starts_with("ArcSwap")) {
            faults.push(format!("{file}: `ArcSwap`, which `shared` does not show"));
        }
        if file != UNSAFE_HOME && tokens.iter().any(|token| token == "unsafe") {
            faults.push(format!("{file}: `unsafe`"));
        }
    }
    assert!(faults.is_empty(), "out of place:\n{}", faults.join("\n"));
}

/// The reader of the source has to see what it is meant to see, or the tests above pass on anything.
#[test]
fn the_reader_sees_imports() {
    let source = r##"
        //! crate::comment
        use crate::{a::{B, c as d}, e};
        const S: &str = "crate::string"; const R: &str = r#"crate::"raw""#; const C: (char, &'static u8) = ('"', &0);
        #[cfg(test)] mod tests { use crate::test_only; }
        #[cfg(all(test, feature = "x"))] use crate::test_too;
        /* crate::block /* crate::nested */ */
        fn f<'a>(x: &'a ::http::Uri) { crate::g::h::<u8>(x); super::i!(); no::crate::path() }
    "##;
    let seen: BTreeSet<String> =
        paths(&tokens(source), &["crate", "super", "http"]).iter().map(|p| p.join("::")).collect();
    let want = ["crate::a::B", "crate::a::c", "crate::e", "crate::g::h", "super::i", "http::Uri"];
    assert_eq!(seen, want.map(String::from).into());
}

/// Every file of `src` but `lib.rs`, as the module path it makes (`rewrite/scan`), and what `pub use` shows where.
struct House {
    files: BTreeMap<String, Vec<String>>,
    shown: BTreeMap<(String, String), Vec<String>>,
}

impl House {
    fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        read_dir(&src, "", &mut files);
        assert!(files.len() > 5, "src was not read");

        let mut shown = BTreeMap::new();
        for (file, tokens) in &files {
            for at in (0..tokens.len())
                .filter(|&i| tokens[i] == "use" && i > 0 && (tokens[i - 1] == "pub" || tokens[i - 1] == ")"))
            {
                let mut found = Vec::new();
                tree(tokens, at + 1, Vec::new(), &mut found);
                for (path, name) in found {
                    shown.insert((file.clone(), name), path);
                }
            }
        }
        files.remove("");
        Self { files, shown }
    }

    /// The module that `path`, as written in `file`, leads to, through what other modules show.
    fn resolve(&self, file: &str, path: &[String]) -> Option<String> {
        let mut at = match path.first()?.as_str() {
            "crate" => String::new(),
            _ => file.to_owned(),
        };
        for (i, segment) in path.iter().enumerate() {
            let below = if at.is_empty() { segment.clone() } else { format!("{at}/{segment}") };
            if segment == "super" {
                at = at.rsplit_once('/').map_or(String::new(), |(up, _)| up.to_owned());
            } else if segment == "crate" || segment == "self" {
                continue;
            } else if self.files.contains_key(&below) {
                at = below;
            } else if let Some(shown) = self.shown.get(&(at.clone(), segment.clone())) {
                return self.resolve(&at, shown);
            } else if i == 0 {
                return None; // A path into another crate: `pub use http::Uri`.
            } else {
                break;
            }
        }
        (!at.is_empty()).then_some(at)
    }
}

fn read_dir(dir: &Path, module: &str, files: &mut BTreeMap<String, Vec<String>>) {
    for entry in fs::read_dir(dir).expect("src is a folder") {
        let path = entry.expect("src can be listed").path();
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("module names are UTF-8");
        let name = match (module, stem) {
            (_, "tests") => continue,
            ("", "lib") => String::new(),
            (_, "mod") => module.to_owned(),
            ("", _) => stem.to_owned(),
            _ => format!("{module}/{stem}"),
        };
        if path.is_dir() {
            read_dir(&path, &name, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.insert(name, tokens(&fs::read_to_string(&path).expect("sources are UTF-8")));
        }
    }
}

/// `name: word word` on each line; `#` begins a comment.
fn table(text: &'static str) -> Vec<(&'static str, Vec<&'static str>)> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    lines
        .map(|line| {
            let (name, words) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
            (name.trim(), words.split_whitespace().collect())
        })
        .collect()
}

fn room_of(file: &str) -> String {
    let rooms = table(ROOMS);
    let mut room = file;
    while !rooms.iter().any(|(name, _)| *name == room) {
        match room.rsplit_once('/') {
            Some((up, _)) => room = up,
            None => return file.to_owned(),
        }
    }
    room.to_owned()
}

fn allowed(room: &str, target: &str) -> bool {
    let rooms = table(ROOMS);
    rooms.iter().any(|(name, below)| *name == room && below.iter().any(|b| matches(b, target)))
}

fn matches(pattern: &str, room: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(folder) => room == folder || room.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => pattern == room,
    }
}

/// Every path in `tokens` that begins with one of `starts`, with `use` trees spread out.
fn paths(tokens: &[String], starts: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let before = |n: usize| at.checked_sub(n).map_or("", |i| tokens[i].as_str());
        let from_outside =
            before(1) == "::" && !before(2).ends_with(|c: char| c.is_alphanumeric() || "_>".contains(c));
        let begins = from_outside || before(2) == "use" || !matches!(before(1), "::" | ".");
        let goes_on = tokens.get(at + 1).is_some_and(|next| next == "::");
        let is_use = before(1) == "use";
        if begins && (goes_on || is_use) && starts.contains(&tokens[at].as_str()) {
            tree(tokens, at, Vec::new(), &mut found);
        }
    }
    found.into_iter().map(|(path, _)| path).collect()
}

/// One path or `use` tree from `at` on; gives each path with the name it is known by, and where the tree ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    mut path: Vec<String>,
    found: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let is = |i: usize, what: &str| tokens.get(i).is_some_and(|token| token == what);
    if is(at, "::") {
        at += 1;
    }
    if is(at, "{") {
        at += 1;
        while at < tokens.len() && !is(at, "}") {
            at = tree(tokens, at, path.clone(), found);
            at += usize::from(is(at, ","));
        }
        return at + 1;
    }
    let Some(segment) = tokens.get(at) else {
        return at;
    };
    if segment != "*" && segment.starts_with(|c: char| !c.is_alphanumeric() && c != '_') {
        at += usize::from(path.is_empty());
    } else {
        path.push(segment.clone());
        at += 1;
        let deeper = is(at, "::") && tokens.get(at + 1).is_some_and(|t| t != "<" && t != "(");
        if deeper {
            return tree(tokens, at, path, found);
        }
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if is(at, "as") {
        name = tokens.get(at + 1).cloned().unwrap_or_default();
        at += 2;
    }
    found.push((path, name));
    at
}

/// Words and marks of Rust source, `::` as one; without comments, literals, life times and `#[cfg(test)]` items.
fn tokens(source: &str) -> Vec<String> {
    let mut all = Vec::new();
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            let begin = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = chars[begin..i].iter().collect();
            let hashes = (i..).take_while(|&k| at(k) == '#').count();
            if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                i += hashes + 1;
                while i < chars.len() && !(at(i) == '"' && (1..=hashes).all(|k| at(i + k) == '#')) {
                    i += 1;
                }
                i += 1 + hashes;
            } else {
                all.push(word);
            }
        } else if c == '"' || (c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'')) {
            i += 1;
            while i < chars.len() && at(i) != c {
                i += 1 + usize::from(at(i) == '\\');
            }
            i += 1;
        } else if c == '\'' {
            i += 1;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
        } else if c == ':' && at(i + 1) == ':' {
            all.push("::".into());
            i += 2;
        } else {
            if !c.is_whitespace() {
                all.push(c.into());
            }
            i += 1;
        }
    }
    without_tests(&all)
}

fn without_tests(all: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < all.len() {
        if all[i] == "#" && all.get(i + 1).is_some_and(|t| t == "[") {
            let end = closing(all, i + 1);
            let attribute = &all[i + 2..end.min(all.len())];
            let is_test = attribute.first().is_some_and(|t| t == "cfg")
                && attribute.iter().any(|t| t == "test")
                && !attribute.iter().any(|t| t == "not" || t == "any");
            i = end + 1;
            if is_test {
                // The item ends with its first `;` or its block.
                while i < all.len() && all[i] != ";" && all[i] != "{" {
                    i += 1;
                }
                let is_use_tree = i < all.len() && all[i] == "{" && i > 0 && all[i - 1] == "::";
                i = if i < all.len() && all[i] == "{" { closing(all, i) + 1 } else { i + 1 };
                i += usize::from(is_use_tree);
            }
        } else {
            kept.push(all[i].clone());
            i += 1;
        }
    }
    kept
}

/// Where the bracket that opens at `open` closes.
fn closing(all: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in all.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    all.len()
}
