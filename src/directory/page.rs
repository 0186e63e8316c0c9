//! One page of a list → its items, and the cursor of the next.
//!
//! Every value stays raw until it is asked for, so that an item that makes no sense is one item, not a page.

use super::fault::Fault;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A JSON object, with its members as they stand in the text.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// A page of more items is none: a full one has 1,000 at most.
const MAX_ITEMS: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// How to ask for the next page, if there is one. `Some("")`: there is one, and no way to ask for it.
    pub(super) next: Option<String>,
}

/// What is read of an item. What is absent, or no text, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    /// The name of the service account that owns the key.
    pub(super) account: Option<String>,
}

impl Page {
    pub(super) fn read(json: &[u8]) -> Result<Self, Fault> {
        let page: Object<'_> = serde_json::from_slice(json).map_err(|_| Fault::NotAList)?;
        let data = page.get("data").ok_or(Fault::NotAList)?;
        let data: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(|_| Fault::NotAList)?;
        if data.len() > MAX_ITEMS {
            return Err(Fault::NotAList);
        }
        let items: Vec<Item> = data.into_iter().map(Item::read).collect();
        let has_more = page.get("has_more").is_some_and(|value| value.get() == "true");
        let next = has_more.then(|| {
            let last_item = || items.last().and_then(|item| item.id.clone());
            text(&page, "last_id").or_else(last_item).unwrap_or_default()
        });
        Ok(Self { items, next })
    }
}

impl Item {
    fn read(json: &RawValue) -> Self {
        let item = object(json);
        let account = item.get("owner").map(|owner| object(owner)).and_then(|owner| {
            let account = owner.get("service_account")?;
            text(&object(account), "name")
        });
        Self { id: text(&item, "id"), name: text(&item, "name"), account }
    }
}

/// Without members where it is no object.
fn object(json: &RawValue) -> Object<'_> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

fn text(object: &Object<'_>, member: &str) -> Option<String> {
    serde_json::from_str(object.get(member)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str) -> Item {
        Item { id: Some(id.into()), name: Some(name.into()), account: None }
    }

    #[test]
    fn a_page_as_the_api_writes_it() {
        let page = Page::read(
            br#"{"object":"list","data":[
                {"object":"organization.project.api_key","redacted_value":"abc","name":"Ana \u00fc","created_at":1,
                 "id":"key_a","owner":{"type":"user","user":{"name":"Ana","id":"user_a"}}},
                {"id":"key_b","name":"Secret Key",
                 "owner":{"type":"service_account","service_account":{"id":"svc_b","name":"indexer"}}}
            ],"first_id":"key_a","last_id":"key_b","has_more":true}"#,
        );
        let account = Item { account: Some("indexer".into()), ..item("key_b", "Secret Key") };
        assert_eq!(
            page,
            Ok(Page { items: vec![item("key_a", "Ana ü"), account], next: Some("key_b".into()) })
        );
    }

    #[test]
    fn one_odd_item_is_one_item() {
        let odd = r#"null, 7, [], {}, {"id":null,"name":"x"}, {"id":"\ud800","name":"x"}, {"\ud800":1,"id":"key_x"},
            {"id":{"deep":[1]},"name":["x"],"owner":7}, {"id":"key_n","name":null,"owner":{"service_account":null}}"#;
        let page =
            Page::read(format!(r#"{{"data":[{odd},{{"id":"key_a","name":"a"}}]}}"#).as_bytes()).unwrap();
        assert_eq!((page.items.len(), page.next), (10, None));
        assert_eq!(page.items[9], item("key_a", "a"));
        assert_eq!(page.items[8], Item { id: Some("key_n".into()), ..Item::default() });
        assert_eq!(page.items.iter().filter(|item| item.name.is_some() && item.id.is_some()).count(), 1);
    }

    #[test]
    fn the_next_cursor() {
        let next = |json: &str| Page::read(json.as_bytes()).unwrap().next;
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":false,"last_id":"a"}"#), None);
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"z"}"#).as_deref(), Some("z"));
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":null}"#).as_deref(), Some("a"));
        assert_eq!(next(r#"{"data":[],"has_more":true}"#).as_deref(), Some(""));
    }

    #[test]
    fn what_is_no_list_page() {
        for no in ["", "{", "[]", "null", "{}", r#"{"data":null}"#, r#"{"data":{}}"#, "\u{feff}{}", "<html>"]
        {
            assert_eq!(Page::read(no.as_bytes()), Err(Fault::NotAList), "{no}");
        }
        assert_eq!(Page::read(b"{\"data\":[\"\xff\"]}"), Err(Fault::NotAList));
    }
}
