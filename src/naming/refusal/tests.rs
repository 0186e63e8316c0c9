use super::*;
use crate::SharedKeyNames;

fn unknown(name: &str) -> Fault {
    Fault::Unknown { name: name.into(), commas: false }
}

fn snapshot(names: &[(&str, &str)]) -> Snapshot {
    SharedKeyNames::new(KeyNames::new(names.iter().copied()).unwrap()).snapshot()
}

fn known() -> Snapshot {
    snapshot(&[
        ("key_1", "checkout-production"),
        ("key_2", "checkout-production"),
        ("key_3", "Billing"),
        ("key_4", "billings"),
        ("key_5", "bulling"),
        ("key_6", "Zürich"),
    ])
}

/// The four members, and nothing else.
#[track_caller]
fn error(response: &Response<Bytes>) -> [Value; 4] {
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let error = body["error"].as_object().unwrap();
    assert_eq!(error.len(), 4);
    ["message", "type", "param", "code"].map(|member| error[member].clone())
}

fn message(fault: &Fault, names: &Snapshot, suggest: bool) -> String {
    let [message, ..] = error(&answer(fault, &Method::GET, names, suggest).1);
    message.as_str().unwrap().to_owned()
}

#[test]
fn each_in_openais_form() {
    let bad = "invalid_request_error";
    for (fault, refusal, status, kind, code) in [
        (unknown("x"), Refusal::UnknownName, 400, bad, "unknown_api_key_name"),
        (Fault::Empty, Refusal::EmptyName, 400, bad, "empty_api_key_name"),
        (Fault::Form, Refusal::Form, 400, bad, "invalid_parameter"),
        (Fault::TooLong, Refusal::UriTooLong, 414, bad, "uri_too_long"),
    ] {
        let (called, response) = answer(&fault, &Method::GET, &known(), false);
        assert_eq!((called, response.status().as_u16()), (refusal, status));
        let [message, error_type, param, error_code] = error(&response);
        assert!(message.as_str().unwrap().ends_with('.'));
        assert_eq!([error_type, param, error_code], [kind, "api_key_names", code]);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers[CONTENT_LENGTH], response.body().len().to_string().as_str());
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert!(!headers.contains_key(RETRY_AFTER));

        let (_, head) = answer(&fault, &Method::HEAD, &known(), false);
        assert_eq!((head.status(), head.headers()), (response.status(), headers));
        assert!(head.body().is_empty());
    }
}

#[test]
fn a_name_that_may_still_come_is_a_503() {
    let part = br#"{"data":[{"id":"key_1","name":"checkout"}],"has_more":true}"#;
    let handle = SharedKeyNames::default();
    let part = SharedKeyNames::new(KeyNames::from_json(part).unwrap()).snapshot();
    for names in [handle.snapshot(), part] {
        let (refusal, response) = answer(&unknown("x"), &Method::GET, &names, true);
        assert_eq!((refusal, response.status().as_u16()), (Refusal::NamesIncomplete, 503));
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        let [message, kind, param, code] = error(&response);
        assert!(message.as_str().unwrap().contains("'x'"));
        assert_eq!([kind, param, code], ["server_error", "api_key_names", "api_key_names_incomplete"]);
        // What no map can make good is said at once.
        assert_eq!(answer(&Fault::Empty, &Method::GET, &names, false).0, Refusal::EmptyName);
    }
    // Empty on purpose.
    handle.replace(KeyNames::default());
    assert_eq!(answer(&unknown("x"), &Method::GET, &handle.snapshot(), false).0, Refusal::UnknownName);
}

#[test]
fn the_message_repeats_what_was_asked_and_no_more() {
    assert_eq!(message(&unknown("checkout"), &known(), false), "No API key is named 'checkout'.");
    let strange = "\"}\\ \n\u{0} é 🗝 </script>";
    assert_eq!(message(&unknown(strange), &known(), false), format!("No API key is named '{strange}'."));
    // Never cut within a character.
    for (letter, most) in [("x", 256), ("é", 128), ("–", 85), ("🗝", 64)] {
        let told = message(&unknown(&letter.repeat(most)), &known(), false);
        assert_eq!(told, format!("No API key is named '{}'.", letter.repeat(most)));
        for more in [most + 1, 60_000] {
            let told = message(&unknown(&letter.repeat(more)), &known(), true);
            assert_eq!(told, format!("No API key is named '{}…'.", letter.repeat(most)));
        }
    }
    let secret = "sk-proj-0123456789abcdef";
    assert!(!message(&unknown(secret), &known(), true).contains(secret));
    let beside_commas = Fault::Unknown { name: "ops".into(), commas: true };
    assert!(message(&beside_commas, &known(), false).contains("api_key_names[]=a&api_key_names[]=b"));
}

#[test]
fn near_names_are_said_where_that_is_wanted() {
    let said = |name: &str| {
        let told = message(&unknown(name), &known(), true);
        told.split_once(" Names like it: ").map(|(_, names)| names.to_owned())
    };
    assert_eq!(said("billing").as_deref(), Some("'Billing', 'billings', 'bulling'."), "the nearest first");
    assert_eq!(said("bilings").as_deref(), Some("'billings', 'Billing'."));
    assert_eq!(said("checkout").as_deref(), Some("'checkout-production'."), "once, though two keys have it");
    assert_eq!(said("CHECKOUT-PRODUCTOIN").as_deref(), Some("'checkout-production'."));
    assert_eq!(said("zürch").as_deref(), Some("'Zürich'."));
    for nothing in ["search", "c", "xx", " ", &"billing".repeat(40)] {
        assert_eq!(said(nothing), None, "{nothing}");
    }
    assert!(!message(&unknown("billing"), &known(), false).contains("Billing"));
}
