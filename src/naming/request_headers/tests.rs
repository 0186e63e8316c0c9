use super::*;
use crate::SharedKeyNames;

/// Returns the settings of a layer with an empty map.
fn settings() -> LayerSettings {
    LayerSettings::new(SharedKeyNames::new(KeyNames::default()))
}

/// Rewrites the query of a request, and removes its headers.
fn rewrite(request: &mut Request<()>) {
    let rewritten = rewrite_uri(request.uri(), &settings(), LabelSet::KEYS, &KeyNames::default()).unwrap();
    if let Some(RewrittenUri { uri, .. }) = rewritten {
        *request.uri_mut() = uri;
    }
    remove_headers(request);
}

#[test]
fn request_headers_for_stored_responses_are_removed() {
    let rewritten = |method: Method| {
        let mut request = Request::builder()
            .method(method)
            .uri("http://h:1/v1/organization/costs?group_by=api_key_name&b=[]");
        for name in [
            "accept-encoding",
            "if-none-match",
            "if-modified-since",
            "range",
            "if-range",
            "if-match",
            "accept",
        ] {
            request = request.header(name, "x");
        }
        let mut request = request.body(()).unwrap();
        rewrite(&mut request);
        assert_eq!(request.uri(), "http://h:1/v1/organization/costs?group_by=api_key_id&b=[]");
        let mut remaining: Vec<_> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
        remaining.sort();
        remaining
    };
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(rewritten(method), ["accept", "if-match"]);
    }
    let all = ["accept", "if-match", "if-modified-since", "if-none-match", "if-range", "range"];
    assert_eq!(rewritten(Method::POST), all);
}

#[test]
fn targets_of_each_form_and_length_are_rewritten() {
    let becomes = |uri: &str, expected: &str| {
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        rewrite(&mut request);
        assert_eq!(request.uri().to_string(), expected);
    };
    becomes("/v1/organization/costs?group_by=api_key_name", "/v1/organization/costs?group_by=api_key_id");
    becomes("https://h/?group_by=api_key_name#f", "https://h/?group_by=api_key_id");
    becomes("//a//b?group_by=api_key_name", "//a//b?group_by=api_key_id");
    becomes("/a%2F..?x=%3D&&group_by=api_key_name&y", "/a%2F..?x=%3D&&group_by=api_key_id&y");
    becomes("/plain", "/plain");
    // The longest target that `http` accepts.
    let long = format!("/?group_by=api_key_name&x={}", "y".repeat(65_534 - 26));
    becomes(&long, &long.replace("api_key_name", "api_key_id"));
}

/// `http::Uri` limits the target of a URI that is built from parts, and not its whole length.
#[test]
fn uri_that_is_too_long_already_keeps_its_grouping() {
    let target = format!("/?group_by=api_key_name&x={}", "y".repeat(65_534 - 26));
    let uri = Uri::builder().scheme("https").authority("h").path_and_query(target).build().unwrap();
    let rewritten = rewrite_uri(&uri, &settings(), LabelSet::KEYS, &KeyNames::default()).unwrap().unwrap();
    assert!(rewritten.uri.query().unwrap().starts_with("group_by=api_key_id&"));
}
