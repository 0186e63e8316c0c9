//! Parsing of one page of a list: its items, and the cursor of the next page.
//!
//! The values of an item are kept as raw JSON until they are read, so that one malformed item does not invalidate the
//! page.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::list_error::ListError;

/// A JSON object with unparsed values.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The most items of a page. The APIs send at most 1,000.
const MAX_ITEMS: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListPage {
    pub(super) items: Vec<Item>,
    /// The cursor of the next page, if there is one. Empty if the page contains no cursor.
    pub(super) next: Option<String>,
}

/// The members of an item that are read. A member that is absent or not a string is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    /// The name of the service account that owns the key.
    pub(super) account: Option<String>,
}

impl ListPage {
    pub(super) fn parse(json: &[u8]) -> Result<Self, ListError> {
        let page: Object<'_> = serde_json::from_slice(json).map_err(|_| ListError::NotAPage)?;
        let data = page.get("data").ok_or(ListError::NotAPage)?;
        let data: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(|_| ListError::NotAPage)?;
        if data.len() > MAX_ITEMS {
            return Err(ListError::NotAPage);
        }
        let items: Vec<Item> = data.into_iter().map(Item::parse).collect();
        let has_more = page.get("has_more").is_some_and(|value| value.get() == "true");
        let next = has_more.then(|| {
            let last_item = || items.last().and_then(|item| item.id.clone());
            string(&page, "last_id").or_else(last_item).unwrap_or_default()
        });
        Ok(Self { items, next })
    }
}

impl Item {
    fn parse(json: &RawValue) -> Self {
        let item = object(json);
        let account = item.get("owner").and_then(|owner| account_name(&object(owner)));
        Self { id: string(&item, "id"), name: string(&item, "name"), account }
    }
}

/// The name of the service account in either form of an owner: nested in project keys, flat in admin keys.
fn account_name(owner: &Object<'_>) -> Option<String> {
    match owner.get("service_account") {
        Some(account) => string(&object(account), "name"),
        None if string(owner, "type").as_deref() == Some("service_account") => string(owner, "name"),
        None => None,
    }
}

/// The members of a JSON object. Empty if the value is not an object.
fn object(json: &RawValue) -> Object<'_> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

fn string(object: &Object<'_>, member: &str) -> Option<String> {
    serde_json::from_str(object.get(member)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str) -> Item {
        Item { id: Some(id.into()), name: Some(name.into()), account: None }
    }

    #[test]
    fn page_of_project_keys_is_parsed() {
        let page = ListPage::parse(
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
            Ok(ListPage { items: vec![item("key_a", "Ana ü"), account], next: Some("key_b".into()) })
        );
    }

    #[test]
    fn flat_owner_of_an_admin_key_is_read_if_it_is_a_service_account() {
        let page = ListPage::parse(
            br#"{"data":[{"id":"key_a","name":"a","owner":{"type":"service_account","id":"sa_1","name":"robot"}},
                {"id":"key_b","name":"b","owner":{"type":"user","id":"user_1","name":"First Last"}}]}"#,
        );
        let owned = Item { account: Some("robot".into()), ..item("key_a", "a") };
        assert_eq!(page.unwrap().items, [owned, item("key_b", "b")]);
    }

    #[test]
    fn malformed_item_does_not_invalidate_the_page() {
        let malformed = r#"null, 7, [], {}, {"id":null,"name":"x"}, {"id":"\ud800","name":"x"}, {"\ud800":1,"id":"key_x"},
            {"id":{"deep":[1]},"name":["x"],"owner":7}, {"id":"key_n","name":null,"owner":{"service_account":null}}"#;
        let json = format!(r#"{{"data":[{malformed},{{"id":"key_a","name":"a"}}]}}"#);
        let page = ListPage::parse(json.as_bytes()).unwrap();
        assert_eq!((page.items.len(), page.next), (10, None));
        assert_eq!(page.items[9], item("key_a", "a"));
        assert_eq!(page.items[8], Item { id: Some("key_n".into()), ..Item::default() });
        assert_eq!(page.items.iter().filter(|item| item.name.is_some() && item.id.is_some()).count(), 1);
    }

    #[test]
    fn cursor_is_the_last_id_or_the_id_of_the_last_item() {
        let next = |json: &str| ListPage::parse(json.as_bytes()).unwrap().next;
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":false,"last_id":"a"}"#), None);
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"z"}"#).as_deref(), Some("z"));
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":null}"#).as_deref(), Some("a"));
        assert_eq!(next(r#"{"data":[],"has_more":true}"#).as_deref(), Some(""));
    }

    #[test]
    fn text_that_is_no_page_is_rejected() {
        for text in
            ["", "{", "[]", "null", "{}", r#"{"data":null}"#, r#"{"data":{}}"#, "\u{feff}{}", "<html>"]
        {
            assert_eq!(ListPage::parse(text.as_bytes()), Err(ListError::NotAPage), "{text}");
        }
        assert_eq!(ListPage::parse(b"{\"data\":[\"\xff\"]}"), Err(ListError::NotAPage));
    }
}
