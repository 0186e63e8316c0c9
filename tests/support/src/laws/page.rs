//! Pages of the API's lists, and the map file that is made of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::map::{flaw, is_valid, saved};
use crate::choices::Choices;
use tower_api_key_name::{_internal::learned, KeyNames};

/// A page is a list or none; one odd item is one item; what is learned is what stands there, and the file that holds it
/// is read back as it was.
pub fn hold(input: &[u8]) {
    let mut choices = Choices::new(input);
    let text = match choices.byte() % 3 {
        0 => choices.rest().to_vec(),
        _ => saved(&mut choices).0,
    };
    let read = serde_json::from_slice::<Value>(&text).ok();
    let Some((listing, file)) = learned(&text) else {
        let is_list = read.is_some_and(|page| page["data"].is_array());
        assert!(!is_list, "{}", String::from_utf8_lossy(&text));
        return;
    };
    let names = listing.names();
    is_valid(names);
    match KeyNames::from_json(file.as_bytes()) {
        Ok(again) => assert!(again.iter().eq(names.iter()), "{file}"),
        Err(error) => panic!("{error}: {file}"),
    }
    // What serde_json's own values do not hold, numbers beyond their range say, is no fault of a page.
    if let Some(page) = read {
        let expected = expected(&page);
        let named = expected.iter().filter_map(|(id, name)| Some((id.as_str(), name.as_deref()?)));
        assert!(names.iter().eq(named), "{names:?}: {}", String::from_utf8_lossy(&text));
        assert_eq!(listing.keys(), expected.len(), "{}", String::from_utf8_lossy(&text));
    }
}

/// Every key of a page with its first usable name, in the order of the ids.
fn expected(page: &Value) -> BTreeMap<String, Option<String>> {
    let usable = |value: &Value| value.as_str().filter(|text| flaw(text).is_none()).map(str::to_owned);
    let mut keys = BTreeMap::new();
    for item in page["data"].as_array().into_iter().flatten() {
        let Some(id) = usable(&item["id"]) else { continue };
        let account = usable(&item["owner"]["service_account"]["name"]);
        let name = match item["name"].as_str() {
            Some("Secret Key") => account.or(usable(&item["name"])),
            _ => usable(&item["name"]),
        };
        let known: &mut Option<String> = keys.entry(id).or_default();
        *known = known.take().or(name);
    }
    keys
}
