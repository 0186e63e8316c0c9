use super::*;
use crate::SharedKeyNames;
use crate::names::Labels;

fn unknown(name: &str) -> FilterErrorKind {
    FilterErrorKind::UnknownName { name: name.into(), has_comma: false }
}

fn snapshot(names: &[(&str, &str)]) -> Snapshot {
    SharedKeyNames::new(KeyNames::new(names.iter().copied()).unwrap()).snapshot()
}

fn checkout() -> Snapshot {
    snapshot(&[("key_1", "checkout-production"), ("key_2", "Billing")])
}

/// Returns the message about a filter by names of keys.
fn explain(kind: &FilterErrorKind, names: &Snapshot) -> String {
    let labels = Labels::default();
    RejectedFilter { kind, label: &labels.list()[0], names, provider: None }.explain()
}

#[test]
fn message_repeats_only_the_requested_name() {
    let message = |name: &str| explain(&unknown(name), &checkout());
    assert_eq!(message("checkout"), "No API key is named 'checkout'.");
    let special = "\"}\\ \n\u{0} é 🗝 </script>";
    assert_eq!(message(special), format!("No API key is named '{special}'."));
    let secret = "sk-proj-0123456789abcdef";
    assert!(!message(secret).contains(secret));
}

#[test]
fn message_shortens_long_names_between_characters() {
    for (character, count) in [("x", 256), ("é", 128), ("–", 85), ("🗝", 64)] {
        let longest = character.repeat(count);
        assert_eq!(explain(&unknown(&longest), &checkout()), format!("No API key is named '{longest}'."));
        for longer in [count + 1, 60_000] {
            let message = explain(&unknown(&character.repeat(longer)), &checkout());
            assert_eq!(message, format!("No API key is named '{longest}…'."));
        }
    }
}

#[test]
fn message_about_a_value_with_a_comma_explains_the_list_forms() {
    let kind = FilterErrorKind::UnknownName { name: "ops".into(), has_comma: true };
    assert!(explain(&kind, &checkout()).contains("api_key_names[]=a&api_key_names[]=b"));
}

#[test]
fn message_about_another_label_contains_its_parameters_and_its_noun() {
    let mut labels = Labels::default();
    for (id, name) in [
        ("service_account_id", "service_account_name"),
        ("apiKeyId", "apiKeyName"),
        ("_id", "x"),
        ("project_id", "project_name"),
    ] {
        labels = labels.with(id, name).unwrap();
    }
    let known = SharedKeyNames::new(
        KeyNames::default()
            .with_section("service_account_id", [("svac_1", "ci")])
            .and_then(|names| names.with_section("apiKeyId", [("1", "a")]))
            .and_then(|names| names.with_section("_id", [("1", "a")]))
            .unwrap(),
    )
    .snapshot();
    let explain = |label: usize, kind: &FilterErrorKind| {
        RejectedFilter { kind, label: &labels.list()[label], names: &known, provider: None }.explain()
    };
    assert_eq!(explain(1, &unknown("x")), "No service account is named 'x'.");
    assert_eq!(explain(2, &unknown("x")), "No id of apiKeyId is named 'x'.");
    assert_eq!(explain(3, &unknown("x")), "No id of _id is named 'x'.");
    assert_eq!(
        explain(4, &unknown("x")),
        "No known project is named 'x', but some names are not known yet. Retry later, or use project_ids."
    );
    assert_eq!(
        explain(1, &FilterErrorKind::InvalidParameter),
        "Write service_account_names[]=a, service_account_names[0]=a or service_account_names=a,b."
    );
    assert_eq!(
        explain(1, &FilterErrorKind::EmptyName),
        "A name in service_account_names is empty. To query all service accounts, omit the parameter."
    );
    assert_eq!(
        explain(2, &FilterErrorKind::TooLong),
        "These names belong to too many ids of apiKeyId for one request. Request fewer names at once."
    );
    let with_comma = FilterErrorKind::UnknownName { name: "b".into(), has_comma: true };
    assert!(explain(1, &with_comma).ends_with("service_account_names[]=a&service_account_names[]=b."));
}

/// Anthropic's reports select the usage without a key by an empty id.
#[test]
fn message_about_an_empty_key_name_explains_usage_without_a_key_for_anthropic_only() {
    let labels = Labels::default().with("workspace_id", "workspace_name").unwrap();
    for (provider, label, is_explained) in [
        (Some(Provider::Anthropic), 0, true),
        (Some(Provider::OpenAi), 0, false),
        (None, 0, false),
        (Some(Provider::Anthropic), 1, false),
    ] {
        let kind = &FilterErrorKind::EmptyName;
        let filter = RejectedFilter { kind, label: &labels.list()[label], names: &checkout(), provider };
        let message = filter.explain();
        let explanation = "To query usage without a key, send an empty api_key_ids[]=.";
        assert_eq!(message.contains(explanation), is_explained, "{message}");
    }
}

#[test]
fn suggestions_are_quoted_names_of_the_label_and_provider() {
    let map = KeyNames::new([("key_1", "billing"), ("key_2", "billings"), ("apikey_1", "billing2")]).unwrap();
    let map = map.with_section("project_id", [("proj_1", "billinx")]).unwrap();
    let names = SharedKeyNames::new(map).snapshot();
    let labels = Labels::default().with("project_id", "project_name").unwrap();
    let suggest = |name: &str, label: usize, provider| {
        let kind = &unknown(name);
        RejectedFilter { kind, label: &labels.list()[label], names: &names, provider }.suggest()
    };
    let openai = Some(Provider::OpenAi);
    assert_eq!(suggest("billin", 0, openai), " Similar names: 'billing', 'billings'.");
    assert_eq!(suggest("billin", 0, Some(Provider::Anthropic)), " Similar names: 'billing2'.");
    assert_eq!(suggest("billin", 0, None), " Similar names: 'billing', 'billing2', 'billings'.");
    assert_eq!(suggest("billin", 1, openai), " Similar names: 'billinx'.");
    assert_eq!(suggest("search", 0, openai), "");
}
