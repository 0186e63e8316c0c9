//! Pages of the API's lists, and the map files made of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::map::{assert_valid, defect_of, saved_page};
use crate::unstructured::Unstructured;
use tower_api_key_name::KeyNames;

/// The result of parsing a page of keys.
pub struct ParsedPage {
    pub names: KeyNames,
    /// The number of keys, with and without names.
    pub keys: usize,
    /// The map file with the names.
    pub file: String,
}

/// Checks that `parse` accepts a page exactly if it is a list, that a malformed item affects no other item, and that the
/// map file of the learned names parses to the same names.
pub fn check(input: &[u8], parse: impl Fn(&[u8]) -> Option<ParsedPage>) {
    let mut source = Unstructured::new(input);
    let text = match source.byte() % 3 {
        0 => source.take_rest().to_vec(),
        _ => saved_page(&mut source).0,
    };
    let parsed = serde_json::from_slice::<Value>(&text).ok();
    let Some(ParsedPage { names, keys, file }) = parse(&text) else {
        let is_list = parsed.is_some_and(|page| page["data"].is_array());
        assert!(!is_list, "{}", String::from_utf8_lossy(&text));
        return;
    };
    assert_valid(&names);
    match KeyNames::from_json(file.as_bytes()) {
        Ok(reparsed) => assert!(reparsed.iter().eq(names.iter()), "{file}"),
        Err(error) => panic!("{error}: {file}"),
    }
    // A page may contain numbers beyond the range of `Value`.
    if let Some(page) = parsed {
        let expected = expected(&page);
        let named = expected.iter().filter_map(|(id, name)| Some((id.as_str(), name.as_deref()?)));
        assert!(names.iter().eq(named), "{names:?}: {}", String::from_utf8_lossy(&text));
        assert_eq!(keys, expected.len(), "{}", String::from_utf8_lossy(&text));
    }
}

/// Each key of a page with its first usable name, ordered by id.
fn expected(page: &Value) -> BTreeMap<String, Option<String>> {
    let usable = |value: &Value| value.as_str().filter(|text| defect_of(text).is_none()).map(str::to_owned);
    let mut keys = BTreeMap::new();
    for item in page["data"].as_array().into_iter().flatten() {
        let Some(id) = usable(&item["id"]) else { continue };
        let owner = &item["owner"];
        let account = match owner.get("service_account") {
            Some(account) => usable(&account["name"]),
            None if owner["type"] == "service_account" => usable(&owner["name"]),
            None => None,
        };
        let name = match item["name"].as_str() {
            None | Some("Secret Key") => account.or(usable(&item["name"])),
            _ => usable(&item["name"]),
        };
        let known: &mut Option<String> = keys.entry(id).or_default();
        *known = known.take().or(name);
    }
    keys
}
