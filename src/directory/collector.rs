//! Collection of the items of all lists into one listing.

use std::collections::{BTreeMap, HashSet};

use super::api::{KeyList, is_project_id};
use super::list_error::ListError;
use super::listing::{Listing, MissingList};
use super::page::Item;
use crate::KeyNames;
use crate::names::KEY_ID;

/// The name that the API gives to a service account's key that was created without a name.
const DEFAULT_NAME: &str = "Secret Key";

/// A listing in progress.
pub(super) struct Collector {
    name_by_account: bool,
    /// The items of each label by its id member, and by their ids.
    sections: BTreeMap<&'static str, BTreeMap<String, ListedItem>>,
    project_ids: HashSet<String>,
    left_out_count: usize,
    missing: Vec<MissingList>,
}

struct ListedItem {
    /// The rank of the list. See [`Collector::add_item`].
    rank: usize,
    name: Option<String>,
}

impl Collector {
    /// Creates a collector of names for the labels with these id members.
    pub(super) fn new(name_by_account: bool, id_members: &[&'static str]) -> Self {
        let sections = id_members.iter().map(|id_member| (*id_member, BTreeMap::new()));
        Self {
            name_by_account,
            sections: sections.collect(),
            project_ids: HashSet::new(),
            left_out_count: 0,
            missing: Vec::new(),
        }
    }

    /// The number of distinct ids of a label so far. 0 if its names are not collected.
    pub(super) fn id_count(&self, id_member: &str) -> usize {
        self.sections.get(id_member).map_or(0, BTreeMap::len)
    }

    /// Adds a project. Returns its id, or `None` if the id is unusable or known: a list that grows between two pages
    /// repeats an item.
    pub(super) fn add_project(&mut self, rank: usize, item: Item) -> Option<String> {
        let Some(id) = item.id.clone().filter(|id| is_project_id(id)) else {
            self.left_out_count += 1;
            return None;
        };
        if !self.project_ids.insert(id.clone()) {
            return None;
        }
        self.add_item("project_id", rank, item);
        Some(id)
    }

    /// Adds an item of the label with this id member, from the list with this rank. Ignores an item with an unusable id,
    /// and all items if the label's names are not collected.
    ///
    /// A key may be in several lists, which end in any order. Of its names, that in the list of the lowest rank is used.
    pub(super) fn add_item(&mut self, id_member: &'static str, rank: usize, mut item: Item) {
        let Some(id) = item.id.take().filter(|id| KeyNames::is_valid_text(id)) else {
            self.left_out_count += usize::from(id_member == KEY_ID);
            return;
        };
        let listed = ListedItem { rank, name: self.choose_name(item) };
        let Some(section) = self.sections.get_mut(id_member) else { return };
        let is_better = section.get(&id).is_none_or(|known| listed.precedence() < known.precedence());
        if is_better {
            section.insert(id, listed);
        }
    }

    /// Returns the item's own name, or a user's email address if there is no usable name. If the item has neither, or its
    /// name is [`DEFAULT_NAME`], returns the name of its account.
    ///
    /// `None` if no name is usable. The account's name is used only if the setting allows it.
    fn choose_name(&self, item: Item) -> Option<String> {
        let is_usable = |name: &String| KeyNames::is_valid_text(name);
        let own_name = item.name.filter(is_usable).or_else(|| item.email.filter(is_usable));
        let has_distinct_name = own_name.as_deref().is_some_and(|name| name != DEFAULT_NAME);
        if has_distinct_name || !self.name_by_account {
            return own_name;
        }
        item.account.filter(is_usable).or(own_name)
    }

    pub(super) fn add_missing(&mut self, list: KeyList, error: ListError) {
        self.missing.push(MissingList { list, error });
    }

    /// Returns the listing of the collected items and missing lists. `requests` and `retries` are counted by the fetcher.
    pub(super) fn finish(mut self, requests: usize, retries: usize) -> Listing {
        // Lists end in any order. Sorting makes two listings with the same errors equal.
        self.missing.sort_by(|left, right| left.list.cmp(&right.list));
        // A key without the right to list service accounts is rejected for each project.
        self.missing.dedup_by(|next, previous| next.is_rejected_like(previous));
        let mut names = KeyNames::default();
        let mut unnamed = HashSet::new();
        for (id_member, items) in self.sections {
            let mut named = Vec::new();
            for (id, item) in items {
                if let Some(name) = item.name {
                    named.push((id, name));
                } else if id_member == KEY_ID {
                    unnamed.insert(id);
                }
            }
            // Each id and name was checked, and ids are unique.
            names = names.with_section(id_member, named).unwrap_or_default();
            // For keys, the follower waits for a listing without transient errors instead.
            if id_member != KEY_ID {
                let is_partial = self.missing.iter().any(|missing| missing.list.is_required_for(id_member));
                names.set_partial(id_member, is_partial);
            }
        }
        Listing {
            left_out: self.left_out_count + unnamed.len(),
            names,
            unnamed,
            projects: self.project_ids.len(),
            requests,
            retries,
            missing: self.missing,
        }
    }
}

impl ListedItem {
    /// An item with a name precedes one without a name. Of two such items, the one of the lower rank precedes.
    fn precedence(&self) -> (bool, usize) {
        (self.name.is_none(), self.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str, account: &str) -> Item {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Item { id: text(id), name: text(name), account: text(account), email: None }
    }

    fn listing(items: impl IntoIterator<Item = (usize, Item)>) -> Listing {
        let mut collector = Collector::new(true, &[KEY_ID]);
        for (rank, item) in items {
            collector.add_item(KEY_ID, rank, item);
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
        let mut collector = Collector::new(false, &[KEY_ID]);
        collector.add_item(KEY_ID, 1, item("key_a", "Secret Key", "indexer"));
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
    fn user_without_a_name_is_named_by_the_email_address() {
        let mut collector = Collector::new(false, &[KEY_ID, "user_id"]);
        for (id, name) in [("user_a", "Ana"), ("user_b", ""), ("user_c", " ")] {
            let email = Some(format!("{id}@example.com"));
            collector.add_item("user_id", 1, Item { email, ..item(id, name, "") });
        }
        let names = collector.finish(0, 0).names;
        let users: Vec<_> = names.section("user_id").unwrap().iter().collect();
        let expected =
            [("user_a", "Ana"), ("user_b", "user_b@example.com"), ("user_c", "user_c@example.com")];
        assert_eq!((users, names.len()), (expected.to_vec(), 0));
    }

    #[test]
    fn section_without_one_of_its_lists_is_incomplete() {
        let id_members = [KEY_ID, "project_id", "user_id", "service_account_id"];
        let project = "proj_a".to_owned();
        for (list, incomplete) in [
            (KeyList::Projects, ["project_id", "service_account_id"].as_slice()),
            (KeyList::ProjectServiceAccounts { project }, &["service_account_id"]),
            (KeyList::Users, &["user_id"]),
            (KeyList::AdminKeys, &[]),
        ] {
            let mut collector = Collector::new(true, &id_members);
            collector.add_missing(list, ListError::NotAPage);
            let listing = collector.finish(0, 0);
            let is_incomplete = |id_member: &&str| !listing.names.is_section_complete(id_member);
            assert!(id_members.into_iter().filter(is_incomplete).eq(incomplete.iter().copied()));
            let (merged, _) = listing.merge_into(&KeyNames::default());
            assert_eq!(merged.is_section_complete("user_id"), !incomplete.contains(&"user_id"));
            let known = KeyNames::default().with_section("user_id", [("user_a", "Ana")]).unwrap();
            assert!(listing.merge_into(&known).0.is_section_complete("user_id"));
        }
    }

    #[test]
    fn missing_lists_are_sorted_in_any_order_of_errors() {
        let lists =
            [KeyList::Projects, KeyList::AdminKeys, KeyList::ProjectKeys { project: "proj_a".into() }];
        let missing = |lists: &mut dyn Iterator<Item = &KeyList>| {
            let mut collector = Collector::new(true, &[KEY_ID]);
            lists.for_each(|list| collector.add_missing(list.clone(), ListError::NotAPage));
            collector.finish(0, 0).missing.to_vec()
        };
        assert_eq!(missing(&mut lists.iter()), missing(&mut lists.iter().rev()));
    }
}
