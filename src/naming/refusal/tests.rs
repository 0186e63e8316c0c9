use super::*;
use crate::SharedKeyNames;

fn unknown(name: &str) -> FilterError {
    FilterError::UnknownName { name: name.into(), has_comma: false }
}

fn snapshot(names: &[(&str, &str)]) -> Snapshot {
    SharedKeyNames::new(KeyNames::new(names.iter().copied()).unwrap()).snapshot()
}

fn checkout() -> Snapshot {
    snapshot(&[("key_1", "checkout-production"), ("key_2", "Billing")])
}

fn parse(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn refusal_under_an_openai_path_has_openais_error_form() {
    let bad_request = "invalid_request_error";
    for (error, refusal, status, kind, code) in [
        (unknown("x"), Refusal::UnknownName, 400, bad_request, "unknown_api_key_name"),
        (FilterError::EmptyName, Refusal::EmptyName, 400, bad_request, "empty_api_key_name"),
        (FilterError::InvalidParameter, Refusal::InvalidParameter, 400, bad_request, "invalid_parameter"),
        (FilterError::TooLong, Refusal::UriTooLong, 414, bad_request, "uri_too_long"),
    ] {
        assert_eq!(classify(&error, &checkout()), refusal);
        let message = explain(&error, &checkout());
        assert!(message.ends_with('.'), "{message}");
        let response = default_response(refusal, &message, "/v1/organization/costs");
        assert_eq!(response.status().as_u16(), status);
        let expected = serde_json::json!({
            "error": {"message": message, "type": kind, "param": "api_key_names", "code": code}
        });
        assert_eq!(parse(&response), expected);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(RETRY_AFTER));
    }
}

#[test]
fn refusal_under_an_anthropic_path_has_anthropics_error_form() {
    for (refusal, kind) in
        [(Refusal::UnknownName, "invalid_request_error"), (Refusal::NamesIncomplete, "api_error")]
    {
        for path in ["/v1/organizations/cost_report", "/anthropic/v1/organizations/usage_report/messages"] {
            let response = default_response(refusal, "\"quoted\"", path);
            assert_eq!(response.status(), refusal.status());
            let expected = serde_json::json!({
                "type": "error", "error": {"type": kind, "message": "\"quoted\""}, "request_id": null
            });
            assert_eq!(parse(&response), expected);
        }
    }
}

#[test]
fn unknown_name_in_an_incomplete_map_is_a_503() {
    let names = SharedKeyNames::default();
    let partial = br#"{"data":[{"id":"key_1","name":"checkout"}],"has_more":true}"#;
    let partial = SharedKeyNames::new(KeyNames::from_json(partial).unwrap()).snapshot();
    for names in [names.snapshot(), partial] {
        let refusal = classify(&unknown("x"), &names);
        assert_eq!(refusal, Refusal::NamesIncomplete);
        assert!(explain(&unknown("x"), &names).contains("'x'"));
        let response = default_response(refusal, "", "/v1/organization/costs");
        assert_eq!(
            (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
            (503, &"5".parse().unwrap())
        );
        let error = &parse(&response)["error"];
        assert_eq!([&error["type"], &error["code"]], ["server_error", "api_key_names_incomplete"]);
        // An error that no map can remove is permanent.
        assert_eq!(classify(&FilterError::EmptyName, &names), Refusal::EmptyName);
    }
    // A map that is empty on purpose is complete.
    names.replace(KeyNames::default());
    assert_eq!(classify(&unknown("x"), &names.snapshot()), Refusal::UnknownName);
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
    let error = FilterError::UnknownName { name: "ops".into(), has_comma: true };
    assert!(explain(&error, &checkout()).contains("api_key_names[]=a&api_key_names[]=b"));
}

#[test]
fn suggestions_are_quoted() {
    let names = snapshot(&[("key_1", "billing"), ("key_2", "billings")]);
    assert_eq!(suggest("billin", &names), " Similar names: 'billing', 'billings'.");
    assert_eq!(suggest("search", &names), "");
}
