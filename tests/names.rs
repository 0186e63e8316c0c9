//! Maps of random pairs, compared with a plain ordered map.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tower_api_key_name::KeyNames;

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-c\"\\\\é]{1,3}", "[a-c\"\\\\é]{1,3}", 0..40)
}

proptest! {
    #[test]
    fn map_from_json_equals_the_map_from_pairs(pairs in pairs()) {
        let json = serde_json::to_vec(&pairs).unwrap();
        let parsed = KeyNames::from_json(&json).unwrap();
        let built = KeyNames::new(&pairs).unwrap();
        prop_assert!(parsed.iter().eq(built.iter()));
        prop_assert!(built.iter().eq(pairs.iter().map(|(id, name)| (&**id, &**name))));
    }

    #[test]
    fn look_ups_equal_those_in_an_ordered_map(
        pairs in pairs(),
        ids in prop::collection::vec("[a-d\"\\\\é]{0,4}", 10),
    ) {
        let names = KeyNames::new(&pairs).unwrap();
        for id in pairs.keys().chain(&ids) {
            prop_assert_eq!(names.name(id), pairs.get(id).map(|name| &**name));
        }
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        for (id, name) in &pairs {
            by_name.entry(name).or_default().push(&**id);
        }
        for (name, ids) in by_name {
            prop_assert!(names.ids(name).eq(ids));
        }
    }

    #[test]
    fn arbitrary_bytes_cause_no_panic(json in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = KeyNames::from_json(&json);
    }

    #[test]
    fn error_position_is_in_the_text(json in "([{}\\[\\]:,\" \nén1\\\\]|null|\"a\"|\"b\":){0,30}") {
        if let Err(error) = KeyNames::from_json(json.as_bytes())
            && let (Some(line), Some(column)) = (error.line(), error.column())
        {
            let text = json.split('\n').nth(line - 1);
            prop_assert!(text.is_some_and(|text| column <= text.chars().count() + 1), "{error}");
        }
    }
}
