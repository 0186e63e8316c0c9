use http::{HeaderMap, Request};

use super::*;
use crate::names::{LabelSet, Labels};
use crate::naming::settings::LayerSettings;
use crate::{KeyNames, SharedKeyNames};

fn unknown(name: &str) -> FilterErrorKind {
    FilterErrorKind::UnknownName { name: name.into(), has_comma: false }
}

fn checkout() -> SharedKeyNames {
    SharedKeyNames::new(
        KeyNames::new([("key_1", "checkout-production"), ("key_2", "Billing")])
            .and_then(|names| names.with_section("project_id", [("proj_1", "storefront")]))
            .unwrap(),
    )
}

/// Returns the response to a request for `path` whose filter of this label causes an error.
fn refuse(
    settings: LayerSettings,
    path: &str,
    label: u8,
    kind: FilterErrorKind,
) -> (Refusal, Response<Bytes>) {
    let labels = Labels::default().with("project_id", "project_name").unwrap();
    let labels = labels.with("workspace_id", "workspace_name").unwrap();
    let settings =
        LayerSettings { rules: crate::json::rules::Rules { labels, ..settings.rules.clone() }, ..settings };
    let request = Request::get(path).body(()).unwrap();
    let names = settings.names.snapshot();
    let report = Report::new(&settings.into(), names, LabelSet::KEYS, &request);
    respond(&FilterError { label, kind }, &report)
}

fn parse(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[test]
fn refusal_under_an_openai_path_has_openais_error_form() {
    let bad_request = "invalid_request_error";
    for (kind, refusal, status, code) in [
        (unknown("x"), Refusal::UnknownName, 400, "unknown_api_key_name"),
        (FilterErrorKind::EmptyName, Refusal::EmptyName, 400, "empty_api_key_name"),
        (FilterErrorKind::InvalidParameter, Refusal::InvalidParameter, 400, "invalid_parameter"),
        (FilterErrorKind::TooLong, Refusal::UriTooLong, 414, "uri_too_long"),
    ] {
        let settings = LayerSettings::new(checkout());
        let (actual, response) = refuse(settings, "/v1/organization/costs", 0, kind);
        assert_eq!((actual, response.status().as_u16()), (refusal, status));
        assert_eq!(refusal.code(), code);
        let body = parse(&response);
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.ends_with('.'), "{message}");
        let expected = serde_json::json!({
            "error": {"message": message, "type": bad_request, "param": "api_key_names", "code": code}
        });
        assert_eq!(body, expected);
        let headers: &HeaderMap = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(RETRY_AFTER));
    }
}

#[test]
fn refusal_about_another_label_contains_its_parameter_and_code() {
    for (kind, refusal, code) in [
        (unknown("x"), Refusal::UnknownName, "unknown_project_name"),
        (FilterErrorKind::EmptyName, Refusal::EmptyName, "empty_project_name"),
        (FilterErrorKind::InvalidParameter, Refusal::InvalidParameter, "invalid_parameter"),
        (FilterErrorKind::TooLong, Refusal::UriTooLong, "uri_too_long"),
    ] {
        let settings = LayerSettings::new(checkout());
        let (actual, response) = refuse(settings, "/v1/organization/costs", 1, kind);
        let error = &parse(&response)["error"];
        assert_eq!(
            (actual, &error["param"], &error["code"]),
            (refusal, &"project_names".into(), &code.into())
        );
    }
}

#[test]
fn refusal_under_an_anthropic_path_has_anthropics_error_form() {
    for (names, kind) in [(checkout(), "invalid_request_error"), (SharedKeyNames::default(), "api_error")] {
        for path in ["/v1/organizations/cost_report", "/anthropic/v1/organizations/usage_report/messages"] {
            let (refusal, response) = refuse(LayerSettings::new(names.clone()), path, 0, unknown("\"x\""));
            assert_eq!(response.status(), refusal.status());
            let body = parse(&response);
            assert!(body["error"]["message"].as_str().unwrap().contains("'\"x\"'"));
            let expected = serde_json::json!({
                "type": "error", "error": {"type": kind, "message": body["error"]["message"]}
            });
            assert_eq!(body, expected);
        }
    }
}

#[test]
fn error_form_setting_overrides_the_path() {
    for (form, path, has_type) in [
        (ErrorForm::Anthropic, "/v1/organization/costs", true),
        (ErrorForm::OpenAi, "/v1/organizations/cost_report", false),
    ] {
        let settings = LayerSettings { error_form: Some(form), ..LayerSettings::new(checkout()) };
        let (_, response) = refuse(settings, path, 0, unknown("x"));
        assert_eq!(parse(&response).get("type").is_some(), has_type, "{path}");
    }
}

#[test]
fn unknown_name_in_an_incomplete_map_is_a_503() {
    let names = SharedKeyNames::default();
    let partial = br#"{"data":[{"id":"key_1","name":"checkout"}],"has_more":true}"#;
    let partial = SharedKeyNames::new(KeyNames::from_json(partial).unwrap());
    let path = "/v1/organization/costs";
    for names in [&names, &partial] {
        let (refusal, response) = refuse(LayerSettings::new(names.clone()), path, 0, unknown("x"));
        assert_eq!(refusal, Refusal::NamesIncomplete);
        assert_eq!(
            (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
            (503, &"5".parse().unwrap())
        );
        let error = &parse(&response)["error"];
        assert!(error["message"].as_str().unwrap().contains("'x'"));
        assert_eq!([&error["type"], &error["code"]], ["server_error", "api_key_names_incomplete"]);
        // An error that no map can remove is permanent.
        let (refusal, _) = refuse(LayerSettings::new(names.clone()), path, 0, FilterErrorKind::EmptyName);
        assert_eq!(refusal, Refusal::EmptyName);
    }
    // A map that is empty on purpose is complete.
    names.replace(KeyNames::default());
    assert_eq!(refuse(LayerSettings::new(names), path, 0, unknown("x")).0, Refusal::UnknownName);
}

#[test]
fn unknown_name_of_a_label_without_a_section_is_a_503() {
    let path = "/v1/organizations/usage_report/messages";
    let (refusal, _) = refuse(LayerSettings::new(checkout()), path, 2, unknown("x"));
    assert_eq!(refusal, Refusal::NamesIncomplete);
    let path = "/v1/organization/costs";
    let (_, response) = refuse(LayerSettings::new(checkout()), path, 2, unknown("x"));
    assert_eq!(parse(&response)["error"]["code"], "workspace_names_incomplete");
    // An empty section, and the empty map of all labels, are complete.
    let empty = KeyNames::default().with_section("workspace_id", [("", ""); 0]).unwrap();
    for names in [empty, KeyNames::from_json(b"{}").unwrap()] {
        // An empty first map would be incomplete.
        let shared = SharedKeyNames::default();
        shared.replace(names);
        let settings = LayerSettings::new(shared);
        assert_eq!(refuse(settings, path, 2, unknown("x")).0, Refusal::UnknownName);
    }
}
