use http::Response;

use super::*;

/// Returns the plan for a response with this status and these headers.
fn plan(status: u16, headers: &[(&str, &str)], is_model_list: bool) -> ResponsePlan {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    plan_response(&response.body(()).unwrap().into_parts().0, is_model_list)
}

/// Returns the kind of the refusal that replaces a response.
fn replacement_kind(status: u16, headers: &[(&str, &str)]) -> RefusalKind {
    match plan(status, headers, false) {
        ResponsePlan::Replace(refusal) => refusal.kind,
        other => panic!("{status} is not replaced: {other:?}"),
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn success_is_streamed_in_the_form_of_its_media_type() {
    assert_eq!(plan(200, &[JSON], false), ResponsePlan::Stream(BodyForm::Json));
    let events = [("content-type", "text/event-stream; charset=utf-8"), ("content-encoding", "identity")];
    assert_eq!(plan(201, &events, false), ResponsePlan::Stream(BodyForm::Events));
}

#[test]
fn list_of_models_is_filtered_only_if_it_is_json() {
    assert_eq!(plan(200, &[JSON], true), ResponsePlan::Buffer(BufferedKind::ModelList));
    assert!(matches!(plan(200, &[("content-type", "text/event-stream")], true), ResponsePlan::Replace(_)));
}

#[test]
fn success_that_cannot_be_metered_is_refused() {
    for headers in [
        &[][..],
        &[("content-type", "text/html")],
        &[JSON, JSON],
        &[JSON, ("content-encoding", "gzip")],
        &[JSON, ("content-encoding", "identity, br")],
    ] {
        assert_eq!(replacement_kind(200, headers), RefusalKind::UpstreamFailed, "{headers:?}");
    }
}

#[test]
fn status_of_a_redirect_or_of_no_response_is_refused() {
    for status in [100, 101, 300, 302, 304, 308, 600, 999] {
        assert_eq!(replacement_kind(status, &[JSON]), RefusalKind::UpstreamFailed, "{status}");
    }
}

#[test]
fn status_that_concerns_the_real_key_is_refused() {
    assert_eq!(replacement_kind(401, &[JSON]), RefusalKind::UpstreamFailed);
    assert_eq!(replacement_kind(402, &[JSON]), RefusalKind::UpstreamUnpaid);
    assert_eq!(replacement_kind(403, &[JSON]), RefusalKind::UpstreamForbidden);
    assert_eq!(replacement_kind(429, &[JSON]), RefusalKind::UpstreamBusy);
}

#[test]
fn retry_after_of_the_upstream_is_limited_to_an_hour() {
    for (text, seconds) in [
        ("1", 1),
        (" 20 ", 20),
        ("3600", 3600),
        ("0", 1),
        ("3601", 3600),
        ("-5", 1),
        ("1.5", 1),
        ("", 1),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
        ("99999999999999999999", 3600),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers), seconds, "{text:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new()), 1);
}

#[test]
fn other_errors_are_checked() {
    for status in [400, 404, 407, 422, 499, 500, 503, 529, 599] {
        assert_eq!(plan(status, &[], false), ResponsePlan::Buffer(BufferedKind::Error), "{status}");
    }
}
