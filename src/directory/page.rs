//! Parsing of one page of a list: its items, and the cursor of the next page.
//!
//! The values of an item are kept as raw JSON until they are read, so that one malformed item does not invalidate the
//! page.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::api::Paging;
use super::list_error::ListError;

/// A JSON object with unparsed values.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The most items of a page. The APIs send at most 1,000.
const MAX_ITEMS: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListPage {
    pub(super) items: Vec<Item>,
    /// The cursor of the next page, if there is one. Empty if the page contains no cursor.
    pub(super) next_cursor: Option<String>,
}

/// The members of an item that are read. A member that is absent or not a string is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    /// The name of the service account that owns the key.
    pub(super) account: Option<String>,
    /// The email address of a user.
    pub(super) email: Option<String>,
}

impl ListPage {
    /// Parses a page: an object with an array `data` of at most [`MAX_ITEMS`]. Anything else is
    /// [`ListError::NotAPage`]. A malformed element of the array is an item without members.
    pub(super) fn parse(json: &[u8], paging: Paging) -> Result<Self, ListError> {
        let page: Object<'_> = serde_json::from_slice(json).map_err(|_| ListError::NotAPage)?;
        let data = page.get("data").ok_or(ListError::NotAPage)?;
        let elements: Vec<&RawValue> = serde_json::from_str(data.get()).map_err(|_| ListError::NotAPage)?;
        if elements.len() > MAX_ITEMS {
            return Err(ListError::NotAPage);
        }
        let items: Vec<Item> = elements.into_iter().map(Item::parse).collect();
        let next_cursor = find_cursor(&page, &items, paging);
        Ok(Self { items, next_cursor })
    }
}

impl Item {
    /// Parses the members of an item that are used. Returns an item without members if the value is not an object.
    fn parse(json: &RawValue) -> Self {
        let item = parse_object(json);
        let account = item.get("owner").and_then(|owner| find_account_name(&parse_object(owner)));
        let text = |member| parse_string(&item, member);
        Self { id: text("id"), name: text("name"), account, email: text("email") }
    }
}

/// Returns the cursor of the next page, or `None` after the last page. An unusable cursor is an empty string.
///
/// The cursor is the member `next_page`, unless it is absent or null. In the other forms of paging, a page with
/// `has_more` has the cursor `last_id`, otherwise the id of its last item.
fn find_cursor(page: &Object<'_>, items: &[Item], paging: Paging) -> Option<String> {
    if paging == Paging::NextPage {
        let next_page = page.get("next_page").filter(|value| value.get() != "null")?;
        return Some(serde_json::from_str(next_page.get()).unwrap_or_default());
    }
    let has_more = page.get("has_more").is_some_and(|value| value.get() == "true");
    if !has_more {
        return None;
    }
    let cursor = parse_string(page, "last_id").or_else(|| items.last()?.id.clone());
    Some(cursor.unwrap_or_default())
}

/// Returns the name of the service account that owns a key. `None` if the owner is no service account.
///
/// The owner of a project key contains the account in a member `service_account`. The owner of an admin key is the
/// account itself, if its `type` is `service_account`.
fn find_account_name(owner: &Object<'_>) -> Option<String> {
    if let Some(account) = owner.get("service_account") {
        return parse_string(&parse_object(account), "name");
    }
    let is_account = parse_string(owner, "type")? == "service_account";
    if is_account { parse_string(owner, "name") } else { None }
}

/// Parses the members of a JSON object. Returns no members if the value is not an object.
fn parse_object(json: &RawValue) -> Object<'_> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// Parses a member of an object. Returns `None` if it is absent or not a string.
fn parse_string(object: &Object<'_>, member: &str) -> Option<String> {
    serde_json::from_str(object.get(member)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, name: &str) -> Item {
        Item { id: Some(id.into()), name: Some(name.into()), ..Item::default() }
    }

    fn parse_page(json: &[u8]) -> Result<ListPage, ListError> {
        ListPage::parse(json, Paging::After)
    }

    #[test]
    fn page_of_project_keys_is_parsed() {
        let page = parse_page(
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
            Ok(ListPage { items: vec![item("key_a", "Ana ü"), account], next_cursor: Some("key_b".into()) })
        );
    }

    #[test]
    fn flat_owner_of_an_admin_key_is_read_if_it_is_a_service_account() {
        let page = parse_page(
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
        let page = parse_page(json.as_bytes()).unwrap();
        assert_eq!((page.items.len(), page.next_cursor), (10, None));
        assert_eq!(page.items[9], item("key_a", "a"));
        assert_eq!(page.items[8], Item { id: Some("key_n".into()), ..Item::default() });
        assert_eq!(page.items.iter().filter(|item| item.name.is_some() && item.id.is_some()).count(), 1);
    }

    #[test]
    fn cursor_is_the_last_id_or_the_id_of_the_last_item() {
        let next = |json: &str| parse_page(json.as_bytes()).unwrap().next_cursor;
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":false,"last_id":"a"}"#), None);
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"z"}"#).as_deref(), Some("z"));
        assert_eq!(next(r#"{"data":[{"id":"a"}],"has_more":true,"last_id":null}"#).as_deref(), Some("a"));
        assert_eq!(next(r#"{"data":[],"has_more":true}"#).as_deref(), Some(""));
    }

    #[test]
    fn next_page_that_is_not_null_is_the_cursor() {
        let next = |json: &str| ListPage::parse(json.as_bytes(), Paging::NextPage).unwrap().next_cursor;
        assert_eq!(next(r#"{"data":[{"id":"a"}],"next_page":null,"has_more":true}"#), None);
        assert_eq!(next(r#"{"data":[{"id":"a"}]}"#), None);
        assert_eq!(next(r#"{"data":[{"id":"a"}],"next_page":"page_2="}"#).as_deref(), Some("page_2="));
        assert_eq!(next(r#"{"data":[{"id":"a"}],"next_page":7}"#).as_deref(), Some(""));
    }

    #[test]
    fn text_that_is_no_page_is_rejected() {
        for text in
            ["", "{", "[]", "null", "{}", r#"{"data":null}"#, r#"{"data":{}}"#, "\u{feff}{}", "<html>"]
        {
            assert_eq!(parse_page(text.as_bytes()), Err(ListError::NotAPage), "{text}");
        }
        assert_eq!(parse_page(b"{\"data\":[\"\xff\"]}"), Err(ListError::NotAPage));
    }
}
