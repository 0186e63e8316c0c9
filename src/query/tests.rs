use super::*;

/// The longest URI that `http::Uri` accepts, in bytes.
const MAX_LENGTH: usize = 65_534;

/// The labels for keys and projects, and one whose parameters look like misspellings of those for keys.
fn labels() -> Labels {
    let labels = Labels::default().with("project_id", "project_name").unwrap();
    labels.with("apiKeyId", "apiKeyName").unwrap()
}

/// The name `checkout` belongs to an id of each label, and to keys of both providers.
fn map() -> KeyNames {
    let keys = [
        ("key_1", "checkout"),
        ("key_2", "billing"),
        ("key_s1", "Secret Key"),
        ("key_s2", "Secret Key"),
        ("key_s3", "Secret Key"),
        ("key_ab", "a,b"),
        ("key_id", "key_1"),
        ("apikey_1", "checkout"),
        ("apikey_2", "ci"),
    ];
    KeyNames::new(keys)
        .and_then(|map| map.with_section("project_id", [("proj_1", "checkout"), ("proj_2", "storefront")]))
        .and_then(|map| map.with_section("apiKeyId", [("7", "checkout")]))
        .unwrap()
}

/// Changes the settings of one rewriting.
type Change = fn(&mut QueryNames<'_>);

#[track_caller]
fn rewritten(query: &str, change: Change) -> Result<Option<RewrittenQuery>, FilterError> {
    let (labels, map) = (labels(), map());
    let mut names = QueryNames::new(&labels, &map, MAX_LENGTH);
    names.provider = Some(Provider::OpenAi);
    change(&mut names);
    rewrite(query, &names)
}

/// Checks that a query becomes another one, which is not changed again.
#[track_caller]
fn becomes_with(change: Change, query: &str, expected: &str) {
    let after = rewritten(query, change).unwrap().map(|after| after.query);
    assert_eq!(after.as_deref(), Some(expected), "{query}");
    assert_eq!(rewritten(expected, change), Ok(None), "applied twice to {query}");
}

#[track_caller]
fn becomes(query: &str, expected: &str) {
    becomes_with(|_| {}, query, expected);
}

#[track_caller]
fn fails(query: &str, label: u8, kind: FilterErrorKind) {
    assert_eq!(rewritten(query, |_| {}), Err(FilterError { label, kind }), "{query}");
}

fn unknown(name: &str) -> FilterErrorKind {
    FilterErrorKind::UnknownName { name: name.into(), has_comma: false }
}

// === Labels ===

#[test]
fn dimension_of_each_label_becomes_its_id() {
    becomes("group_by=project_name", "group_by=project_id");
    becomes("group_by[]=apiKeyName&group_by[]=project%5Fname", "group_by[]=apiKeyId&group_by[]=project_id");
    becomes(
        "group_by=project_name,api_key_name,model,apiKeyName",
        "group_by=project_id,api_key_id,model,apiKeyId",
    );
    // The id of one label does not replace the name of another.
    becomes("group_by=api_key_id,project_name", "group_by=api_key_id,project_id");
    becomes("group_by=project_id,project_name,api_key_name", "group_by=project_id,api_key_id");
    becomes(
        "group_by=project_name&group_by=api_key_name&group_by=project_id",
        "group_by=api_key_id&group_by=project_id",
    );
}

#[test]
fn filter_of_each_label_uses_its_own_section() {
    becomes("project_names[]=checkout", "project_ids[]=proj_1");
    becomes("api_key_names[]=checkout", "api_key_ids[]=key_1");
    becomes("apiKeyNames[]=checkout", "apiKeyIds[]=7");
    becomes("project_names=checkout,storefront&x", "project_ids=proj_1,proj_2&x");
    becomes(
        "api_key_names=checkout&project_ids[]=x&project_names[]=storefront&apiKeyNames[0]=checkout",
        "api_key_ids=key_1&project_ids[]=x&project_ids[]=proj_2&apiKeyIds[0]=7",
    );
    fails("project_names=billing", 1, unknown("billing"));
    fails("api_key_names=storefront", 0, unknown("storefront"));
}

#[test]
fn refusals_of_each_label_are_those_of_keys() {
    fails("project_names[]=", 1, FilterErrorKind::EmptyName);
    fails("project_names[x]=checkout", 1, FilterErrorKind::InvalidParameter);
    for misspelled in ["PROJECT_NAMES", "projectNames", "project-names[]", "project_name", "+project_names"] {
        fails(&format!("{misspelled}=checkout"), 1, FilterErrorKind::InvalidParameter);
    }
    let comma = FilterErrorKind::UnknownName { name: "b".into(), has_comma: true };
    fails("project_names=checkout,b", 1, comma);
}

#[test]
fn exact_parameter_of_a_label_is_no_misspelling_of_another() {
    becomes("apiKeyNames=checkout", "apiKeyIds=7");
    fails("api_keyNames=checkout", 0, FilterErrorKind::InvalidParameter);
    fails("apiKeyName=checkout", 0, FilterErrorKind::InvalidParameter);
    let keys_only: Change = |names| names.active = LabelSet::KEYS;
    let error = FilterError { label: 0, kind: FilterErrorKind::InvalidParameter };
    assert_eq!(rewritten("apiKeyNames=checkout", keys_only), Err(error));
    // `group_by` has the letters of this label's name.
    let labels = Labels::default().with("x", "Group-By").and_then(|labels| labels.with("y", "_")).unwrap();
    let map = KeyNames::default();
    for query in ["group_by=model", "group_by[]=model&&", "s=1&=&-"] {
        assert_eq!(rewrite(query, &QueryNames::new(&labels, &map, MAX_LENGTH)), Ok(None), "{query}");
    }
}

#[test]
fn parameters_of_a_label_that_is_not_active_are_unchanged() {
    let keys_only: Change = |names| names.active = LabelSet::KEYS;
    for query in ["group_by=project_name", "project_names[]=absent", "project_names[x]=", "projectNames=a"] {
        assert_eq!(rewritten(query, keys_only), Ok(None), "{query}");
    }
    becomes_with(
        keys_only,
        "group_by=project_name,api_key_name&project_names=checkout",
        "group_by=project_name,api_key_id&project_names=checkout",
    );
}

#[test]
fn name_in_an_absent_section_is_unknown() {
    let labels = Labels::default().with("workspace_id", "workspace_name").unwrap();
    let map = map();
    let result = rewrite("workspace_names=checkout", &QueryNames::new(&labels, &map, MAX_LENGTH));
    assert_eq!(result, Err(FilterError { label: 1, kind: unknown("checkout") }));
}

#[test]
fn query_longer_than_the_maximum_is_rejected_with_the_label_of_its_filter() {
    let short: Change = |names| names.max_length = "project_ids=proj_1".len() - 1;
    let error = FilterError { label: 1, kind: FilterErrorKind::TooLong };
    assert_eq!(rewritten("project_names=checkout", short), Err(error));
}

// === Providers ===

/// One name belongs to keys of both providers.
#[test]
fn name_of_two_providers_becomes_the_ids_of_the_path_provider() {
    let anthropic: Change = |names| names.provider = Some(Provider::Anthropic);
    let any: Change = |names| names.provider = None;
    becomes("api_key_names[]=checkout", "api_key_ids[]=key_1");
    becomes_with(anthropic, "api_key_names[]=checkout", "api_key_ids[]=apikey_1");
    becomes_with(any, "api_key_names[]=checkout", "api_key_ids[]=key_1&api_key_ids[]=apikey_1");
    // Ids of another form may belong to both.
    becomes_with(anthropic, "project_names[]=checkout", "project_ids[]=proj_1");
    fails("api_key_names[]=ci", 0, unknown("ci"));
    let error = FilterError { label: 0, kind: unknown("billing") };
    assert_eq!(rewritten("api_key_names[]=billing", anthropic), Err(error));
    // A name of the other provider does not prevent the splitting at commas.
    let error = FilterErrorKind::UnknownName { name: "a".into(), has_comma: true };
    assert_eq!(rewritten("api_key_names=a,b", anthropic), Err(FilterError { label: 0, kind: error }));
}

// === Names in place of ids ===

#[track_caller]
fn ids_become(query: &str, expected: &str) {
    becomes_with(|names| names.accepts_names_as_ids = true, query, expected);
}

#[test]
fn name_in_place_of_an_id_is_replaced_in_each_list_form() {
    ids_become("api_key_ids=checkout", "api_key_ids=key_1");
    ids_become("a&api%5Fkey_ids%5B%5D=checkout&b", "a&api%5Fkey_ids%5B%5D=key_1&b");
    ids_become("api_key_ids[]=checkout&project_ids[]=checkout", "api_key_ids[]=key_1&project_ids[]=proj_1");
    ids_become("api_key_ids=checkout,billing", "api_key_ids=key_1,key_2");
    ids_become("api_key_ids=x%2ccheckout,%2Cbilling", "api_key_ids=x%2ckey_1,%2Ckey_2");
    ids_become("api_key_ids=Secret+Key,x", "api_key_ids=key_s1,key_s2,key_s3,x");
    ids_become("api_key_ids=a,b", "api_key_ids=key_ab");
    ids_become("api_key_ids[]=a%2Cb", "api_key_ids[]=key_ab");
    ids_become("api_key_ids=Secret%20Key", "api_key_ids=key_s1&api_key_ids=key_s2&api_key_ids=key_s3");
    // The first id keeps the index, and the others get free ones.
    ids_become(
        "api_key_ids[3]=Secret+Key&api_key_ids[0]=x&api_key_names=billing",
        "api_key_ids[3]=key_s1&api_key_ids[1]=key_s2&api_key_ids[2]=key_s3&api_key_ids[0]=x&api_key_ids[4]=key_2",
    );
}

#[test]
fn ids_and_unknown_values_beside_names_stay_as_they_are() {
    ids_become(
        "api_key_ids[]=&api_key_ids[]=x&api_key_ids[]=checkout",
        "api_key_ids[]=&api_key_ids[]=x&api_key_ids[]=key_1",
    );
    ids_become("api_key_ids=key%5F2,,checkout,key%5F2", "api_key_ids=key%5F2,,key_1,key%5F2");
    ids_become("api_key_ids=ci,storefront,checkout", "api_key_ids=ci,storefront,key_1");
    // `key_1` is an id of the map and the name of `key_id`.
    ids_become("api_key_ids[]=key_1&api_key_ids[]=billing", "api_key_ids[]=key_1&api_key_ids[]=key_2");
    ids_become("api_key_names=key_1", "api_key_ids=key_id");
    let accepts: Change = |names| names.accepts_names_as_ids = true;
    for query in [
        "api_key_ids=key_1",
        "api_key_ids[]=x",
        "api_key_ids=",
        "api_key_ids",
        "api_key_ids=x,y",
        "models=checkout",
    ] {
        assert_eq!(rewritten(query, accepts), Ok(None), "{query}");
    }
    // Without the setting, names in place of ids stay.
    assert_eq!(rewritten("api_key_ids=checkout", |_| {}), Ok(None));
}

#[test]
fn id_of_a_name_is_not_repeated() {
    ids_become("api_key_ids=checkout,key_1", "api_key_ids=key_1");
    ids_become("api_key_ids[]=checkout&api_key_ids[]=checkout", "api_key_ids[]=key_1");
    ids_become("api_key_ids[]=checkout&x&api_key_names[]=checkout", "api_key_ids[]=key_1&x");
    ids_become("api_key_ids=checkout,x&api_key_names[]=billing", "api_key_ids=key_1,x,key_2");
}

/// A value with commas that is a name is one value, and none of its parts are ids of the query.
#[test]
fn parts_of_a_name_with_commas_are_no_ids_of_the_query() {
    let map = KeyNames::new([("a", "x"), ("c", "a,b")]).unwrap();
    let labels = Labels::default();
    let names = QueryNames { accepts_names_as_ids: true, ..QueryNames::new(&labels, &map, MAX_LENGTH) };
    let after = rewrite("api_key_ids=a,b&api_key_names=x", &names).unwrap().unwrap();
    assert_eq!(after.query, "api_key_ids=c&api_key_ids=a");
}

// === The sent text ===

#[test]
fn sent_text_contains_dimensions_and_counts_of_ids() {
    for (query, expected) in [
        ("group_by=api_key_name", &["group_by=api_key_id"][..]),
        ("group_by=api_key_id,api_key_name", &["group_by=api_key_id"]),
        ("api_key_names=Secret+Key,billing", &["api_key_ids=4 ids"]),
        ("api_key_names=billing,billing&api_key_ids=key_2", &["api_key_ids=1 ids"]),
        (
            "project_names=checkout&group_by=project_name,api_key_name&api_key_names=billing&group_by=model",
            &["group_by=api_key_id", "group_by=project_id", "api_key_ids=1 ids", "project_ids=1 ids"],
        ),
    ] {
        let after = rewritten(query, |_| {}).unwrap().unwrap();
        assert_eq!(after.sent, expected, "{query}");
    }
    let accepts: Change = |names| names.accepts_names_as_ids = true;
    let after = rewritten("api_key_ids=Secret+Key,x&api_key_names[]=Secret+Key&project_ids=x", accepts);
    assert_eq!(after.unwrap().unwrap().sent, ["api_key_ids=3 ids"]);
}

#[test]
fn labels_of_a_rewritten_query_are_those_of_its_names() {
    let set = |indexes: &[u8]| {
        let mut set = LabelSet::default();
        indexes.iter().for_each(|index| set.insert(*index));
        set
    };
    for (query, expected) in [
        ("group_by=api_key_name,project_id", set(&[0])),
        ("group_by=project_name,api_key_id", set(&[1])),
        ("group_by=project_name&apiKeyNames=checkout", set(&[1, 2])),
        ("api_key_names=checkout&project_ids=x", set(&[0])),
    ] {
        assert_eq!(rewritten(query, |_| {}).unwrap().unwrap().labels, expected, "{query}");
    }
}
