//! Collection of the items of all lists into one listing.

use std::collections::{BTreeMap, HashSet};

use super::api::{KeyList, is_project_id};
use super::list_error::ListError;
use super::listing::{Listing, MissingList};
use super::page::Item;
use crate::KeyNames;

/// The name that the API gives to a service account's key that was created without a name.
const DEFAULT_NAME: &str = "Secret Key";

/// A listing in progress.
#[derive(Default)]
pub(super) struct Collector {
    name_by_account: bool,
    /// The keys by id.
    keys: BTreeMap<String, ListedKey>,
    project_ids: HashSet<String>,
    left_out_count: usize,
    missing: Vec<MissingList>,
}

struct ListedKey {
    /// The rank of the list. See [`Collector::add_key`].
    rank: usize,
    name: Option<String>,
}

impl Collector {
    pub(super) fn new(name_by_account: bool) -> Self {
        Self { name_by_account, ..Self::default() }
    }

    /// The number of distinct keys so far.
    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Adds a project. Returns its id, or `None` if the id is unusable or known: a list that grows between two pages
    /// repeats an item.
    pub(super) fn add_project(&mut self, item: Item) -> Option<String> {
        let Some(id) = item.id.filter(|id| is_project_id(id)) else {
            self.left_out_count += 1;
            return None;
        };
        let is_new = self.project_ids.insert(id.clone());
        if is_new { Some(id) } else { None }
    }

    /// Adds a key from the list with this rank. Ignores a key with an unusable id.
    ///
    /// A key may be in several lists, which end in any order. Of its names, that in the list of the lowest rank is used.
    pub(super) fn add_key(&mut self, rank: usize, item: Item) {
        let Some(id) = item.id.filter(|id| KeyNames::is_valid_text(id)) else {
            self.left_out_count += 1;
            return;
        };
        let key = ListedKey { rank, name: self.choose_name(item.name, item.account) };
        let is_better = self.keys.get(&id).is_none_or(|known| key.precedence() < known.precedence());
        if is_better {
            self.keys.insert(id, key);
        }
    }

    /// Returns the key's own name, or its account's name if the key has no usable name but [`DEFAULT_NAME`].
    ///
    /// `None` if neither name is usable. The account's name is used only if the setting allows it.
    fn choose_name(&self, key_name: Option<String>, account_name: Option<String>) -> Option<String> {
        let is_usable = |name: &String| KeyNames::is_valid_text(name);
        let own_name = key_name.filter(is_usable);
        let has_distinct_name = own_name.as_deref().is_some_and(|name| name != DEFAULT_NAME);
        if has_distinct_name || !self.name_by_account {
            return own_name;
        }
        account_name.filter(is_usable).or(own_name)
    }

    pub(super) fn add_missing(&mut self, list: KeyList, error: ListError) {
        self.missing.push(MissingList { list, error });
    }

    /// Returns the listing. `requests` and `retries` are counted by the fetcher.
    pub(super) fn finish(mut self, requests: usize, retries: usize) -> Listing {
        // Lists end in any order. Sorting makes two listings with the same errors equal.
        self.missing.sort_by(|left, right| left.list.cmp(&right.list));
        let mut named = Vec::new();
        let mut unnamed = HashSet::new();
        for (id, key) in self.keys {
            if let Some(name) = key.name {
                named.push((id, name));
            } else {
                unnamed.insert(id);
            }
        }
        Listing {
            left_out: self.left_out_count + unnamed.len(),
            // Each id and name was checked, and ids are unique.
            names: KeyNames::new(named).unwrap_or_default(),
            unnamed,
            projects: self.project_ids.len(),
            requests,
            retries,
            missing: self.missing,
        }
    }
}

impl ListedKey {
    /// A key with a name precedes one without a name. Of two such keys, the one of the lower rank precedes.
    fn precedence(&self) -> (bool, usize) {
        (self.name.is_none(), self.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str, account: &str) -> Item {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Item { id: text(id), name: text(name), account: text(account) }
    }

    fn listing(items: impl IntoIterator<Item = (usize, Item)>) -> Listing {
        let mut collector = Collector::new(true);
        for (rank, item) in items {
            collector.add_key(rank, item);
        }
        collector.finish(0, 0)
    }

    #[test]
    fn key_without_its_own_name_is_named_by_its_account() {
        let listing = listing([
            (1, item("key_a", "Secret Key", "indexer")),
            (1, item("key_b", "", "indexer")),
            (1, item("key_c", "mine", "indexer")),
            (1, item("key_d", "Secret Key", "")),
            (1, item("key_e", "Secret Key", "\u{7}")),
            (1, item("key_f", "sk-proj-abcdefgh", "indexer")),
            (1, item("key_g", "  ", "indexer")),
        ]);
        let name = |id| listing.names.name(id).unwrap();
        assert_eq!((name("key_a"), name("key_b"), name("key_c")), ("indexer", "indexer", "mine"));
        assert_eq!((name("key_d"), name("key_e")), ("Secret Key", "Secret Key"));
        assert_eq!((name("key_f"), name("key_g")), ("indexer", "indexer"));
    }

    #[test]
    fn account_name_that_is_switched_off_is_not_used() {
        let mut collector = Collector::new(false);
        collector.add_key(1, item("key_a", "Secret Key", "indexer"));
        assert_eq!(collector.finish(0, 0).names.name("key_a"), Some("Secret Key"));
    }

    #[test]
    fn unusable_item_is_left_out_alone() {
        let unusable = ["", " ", "a\u{0}b", "sk-proj-abcdefgh", &"n".repeat(257)];
        let mut items: Vec<_> =
            unusable.iter().enumerate().map(|(n, name)| (1, item(&format!("key_{n}"), name, ""))).collect();
        items.push((1, item("", "without an id", "")));
        items.push((1, item("key_good", "good", "")));
        let listing = listing(items);
        assert_eq!((listing.names.len(), listing.keys(), listing.left_out), (1, 6, 6));
    }

    #[test]
    fn key_in_two_lists_has_the_name_of_the_lower_rank_in_any_order() {
        let (first, second) = ((1, item("key_a", "first", "")), (2, item("key_a", "second", "")));
        for items in [[first.clone(), second.clone()], [second, first]] {
            assert_eq!(listing(items).names.name("key_a"), Some("first"));
        }
        let (unnamed, named) = ((1, item("key_a", "", "")), (2, item("key_a", "named", "")));
        for items in [[unnamed.clone(), named.clone()], [named, unnamed]] {
            let listing = listing(items);
            assert_eq!((listing.names.name("key_a"), listing.left_out), (Some("named"), 0));
        }
    }

    #[test]
    fn missing_lists_are_sorted_in_any_order_of_errors() {
        let lists =
            [KeyList::Projects, KeyList::AdminKeys, KeyList::ProjectKeys { project: "proj_a".into() }];
        let missing = |lists: &mut dyn Iterator<Item = &KeyList>| {
            let mut collector = Collector::new(true);
            lists.for_each(|list| collector.add_missing(list.clone(), ListError::NotAPage));
            collector.finish(0, 0).missing.to_vec()
        };
        assert_eq!(missing(&mut lists.iter()), missing(&mut lists.iter().rev()));
    }
}
