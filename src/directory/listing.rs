//! What one walk has learned, and what that changes in a map.

use super::api::{Api, List};
use super::fault::Fault;
use super::page::Item;
use crate::KeyNames;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// What one walk over the lists has learned.
#[derive(Clone, Debug)]
pub struct Listing {
    names: KeyNames,
    /// Ids that are listed without a usable name.
    unnamed: HashSet<String>,
    projects: usize,
    left_out: usize,
    requests: usize,
    retries: usize,
    missing: Vec<Missing>,
}

/// A list, or the rest of one, that a walk could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Which list: `the keys of proj_abc`.
    pub list: String,
    /// Why, and what to do. It repeats nothing of an answer, nor of a key.
    pub why: String,
    /// Whether the next walk would find the same: a missing right, say, but not an API that was down.
    pub lasting: bool,
}

/// What a walk changed in a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Keys that had no name there.
    pub new: usize,
    /// Keys that have another name than there.
    pub renamed: usize,
    /// Keys of the map that no list holds any more: deleted, most likely. Their names stay, since they are still in
    /// the usage of their days. `None` if lists are missing, for then nobody can say.
    pub gone: Option<usize>,
}

// === impl Listing ===

impl Listing {
    /// The names learned, in the order of their ids.
    pub fn names(&self) -> &KeyNames {
        &self.names
    }

    /// How many projects there are, archived ones included. 0 where an API's keys are all in one list.
    pub fn projects(&self) -> usize {
        self.projects
    }

    /// How many keys are listed, with or without a usable name.
    pub fn keys(&self) -> usize {
        self.names.len() + self.unnamed.len()
    }

    /// How many items could not be used: id or name is absent, null, blank, over 256 bytes long, holds a control
    /// character or looks like a secret.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// How many requests it took, retries included.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// How many of the requests were retries.
    pub fn retries(&self) -> usize {
        self.retries
    }

    /// What could not be read. Everything else was.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Whether every list was read to its end.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether another walk would learn no more, as far as one can know: what is missing is missing for good.
    pub(super) fn is_all_there_is(&self) -> bool {
        self.missing.iter().all(|missing| missing.lasting)
    }

    /// What was known, with what was learned put over it: a learned name replaces a known one, and no known name is
    /// dropped.
    pub fn merge_into(&self, known: &KeyNames) -> (KeyNames, Changes) {
        let mut changes = Changes::default();
        for (id, name) in self.names.iter() {
            match known.name(id) {
                None => changes.new += 1,
                Some(before) => changes.renamed += usize::from(before != name),
            }
        }
        changes.gone = self.is_complete().then(|| {
            let is_gone =
                |(id, _): &(&str, &str)| self.names.name(id).is_none() && !self.unnamed.contains(*id);
            known.iter().filter(is_gone).count()
        });
        (KeyNames::merged([&self.names, known]), changes)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.list, self.why)
    }
}

// === Learned ===

/// A listing that is still growing.
pub(super) struct Learned {
    api: Api,
    /// Whether a service account's key that nobody named is called by its account.
    by_account: bool,
    keys: BTreeMap<String, Key>,
    projects: HashSet<String>,
    left_out: usize,
    missing: Vec<Missing>,
}

/// A key, and the rank of the list that it stands in: lists come in any order, and the first by rank that has a name
/// counts.
struct Key {
    rank: usize,
    name: Option<String>,
}

impl Key {
    /// The least is the one to keep.
    fn worth(&self) -> (bool, usize) {
        (self.name.is_none(), self.rank)
    }
}

/// What the API calls a service account's key that was not given a name.
const UNNAMED: &str = "Secret Key";

impl Learned {
    pub(super) fn new(api: Api, by_account: bool) -> Self {
        let (keys, projects) = (BTreeMap::new(), HashSet::new());
        Self { api, by_account, keys, projects, left_out: 0, missing: Vec::new() }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The project's id, the first time that it is met. A list that grows between two pages repeats an item.
    pub(super) fn project(&mut self, item: Item) -> Option<String> {
        let Some(id) = item.id.filter(|id| super::api::is_project(id)) else {
            self.left_out += 1;
            return None;
        };
        self.projects.insert(id.clone()).then_some(id)
    }

    pub(super) fn key(&mut self, rank: usize, item: Item) {
        let Some(id) = item.id.filter(|id| KeyNames::is_id(id)) else {
            self.left_out += 1;
            return;
        };
        let account = item.account.filter(|name| self.by_account && KeyNames::is_name(name));
        let name = match account {
            Some(account) if item.name.as_deref() == Some(UNNAMED) => Some(account),
            _ => item.name.filter(|name| KeyNames::is_name(name)),
        };
        let key = Key { rank, name };
        if self.keys.get(&id).is_none_or(|known| key.worth() < known.worth()) {
            self.keys.insert(id, key);
        }
    }

    pub(super) fn miss(&mut self, list: &List, fault: &Fault) {
        let (list, why, lasting) = (list.to_string(), fault.words(self.api), fault.is_lasting());
        self.missing.push(Missing { list, why, lasting });
    }

    pub(super) fn into_listing(mut self, requests: usize, retries: usize) -> Listing {
        // Lists end in any order; whoever compares two walks should find what is the same the same.
        self.missing.sort_by(|one, other| one.list.cmp(&other.list));
        let (mut named, mut unnamed) = (Vec::new(), HashSet::new());
        for (id, key) in self.keys {
            match key.name {
                Some(name) => named.push((id, name)),
                None => drop(unnamed.insert(id)),
            }
        }
        Listing {
            left_out: self.left_out + unnamed.len(),
            // Every pair was looked at before, and no id can stand there twice.
            names: KeyNames::new(named).unwrap_or_default(),
            unnamed,
            projects: self.projects.len(),
            requests,
            retries,
            missing: self.missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str, account: &str) -> Item {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Item { id: text(id), name: text(name), account: text(account) }
    }

    fn listing(items: &[(usize, Item)]) -> Listing {
        let mut learned = Learned::new(Api::OpenAi, true);
        items.iter().for_each(|(rank, item)| learned.key(*rank, item.clone()));
        learned.into_listing(0, 0)
    }

    #[test]
    fn a_key_that_nobody_named_is_called_by_its_account() {
        let listing = listing(&[
            (1, item("key_a", "Secret Key", "indexer")),
            (1, item("key_b", "Secret Key", "indexer")),
            (1, item("key_c", "mine", "indexer")),
            (1, item("key_d", "Secret Key", "")),
            (1, item("key_e", "Secret Key", "\u{7}")),
        ]);
        let name = |id| listing.names().name(id).unwrap();
        assert_eq!((name("key_a"), name("key_b")), ("indexer", "indexer"), "two keys stay two");
        assert_eq!((name("key_c"), name("key_d"), name("key_e")), ("mine", "Secret Key", "Secret Key"));

        let mut learned = Learned::new(Api::OpenAi, false);
        learned.key(1, item("key_a", "Secret Key", "indexer"));
        assert_eq!(learned.into_listing(0, 0).names().name("key_a"), Some("Secret Key"));
    }

    #[test]
    fn one_odd_key_blocks_no_other() {
        let odd = ["", " ", "a\u{0}b", "sk-proj-abcdefgh", &"n".repeat(257)];
        let mut items: Vec<_> =
            odd.iter().enumerate().map(|(n, name)| (1, item(&format!("key_{n}"), name, ""))).collect();
        items.push((1, item("", "nobody", "")));
        items.push((1, item("key_good", "good", "")));
        let listing = listing(&items);
        assert_eq!((listing.names().len(), listing.keys(), listing.left_out()), (1, 6, 6));
    }

    #[test]
    fn the_first_list_by_rank_names_a_key_whenever_it_comes() {
        let (first, second) = ((1, item("key_a", "first", "")), (2, item("key_a", "second", "")));
        for items in [[first.clone(), second.clone()], [second, first]] {
            assert_eq!(listing(&items).names().name("key_a"), Some("first"));
        }
        let (nameless, named) = ((1, item("key_a", "", "")), (2, item("key_a", "named", "")));
        for items in [[nameless.clone(), named.clone()], [named, nameless]] {
            let listing = listing(&items);
            assert_eq!((listing.names().name("key_a"), listing.left_out()), (Some("named"), 0));
        }
    }

    #[test]
    fn what_is_missing_is_told_in_one_order() {
        let lists = [List::Projects, List::AdminKeys, List::ProjectKeys("proj_a".into())];
        let told = |lists: &mut dyn Iterator<Item = &List>| {
            let mut learned = Learned::new(Api::OpenAi, true);
            lists.for_each(|list| learned.miss(list, &Fault::Refused(403)));
            learned.into_listing(0, 0).missing().to_vec()
        };
        assert_eq!(told(&mut lists.iter()), told(&mut lists.iter().rev()));
    }

    #[test]
    fn nothing_known_is_forgotten() {
        let known = KeyNames::new([("a", "a"), ("b", "old"), ("gone", "gone"), ("null", "before")]).unwrap();
        let mut learned = listing(&[
            (1, item("a", "a", "")),
            (1, item("b", "new", "")),
            (1, item("c", "c", "")),
            (1, item("null", "", "")),
        ]);
        let (names, changes) = learned.merge_into(&known);
        assert_eq!(changes, Changes { new: 1, renamed: 1, gone: Some(1) });
        let name = |id| names.name(id);
        assert_eq!((name("b"), name("gone"), name("null")), (Some("new"), Some("gone"), Some("before")));
        assert_eq!(names.len(), 5);

        learned.missing.push(Missing { list: "x".into(), why: "y".into(), lasting: false });
        assert_eq!(learned.merge_into(&known).1.gone, None);
        assert_eq!(learned.missing[0].to_string(), "x: y");
        assert!(!learned.is_all_there_is());
    }
}
