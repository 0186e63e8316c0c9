//! The law of bytes: requests and responses pass byte for byte, except one edit, one event, and the texts of errors.

use proptest::prelude::*;

use super::*;

/// Runs a future to its end.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Cuts bytes at these places.
fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut offsets: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    offsets.extend([0, bytes.len()]);
    offsets.sort_unstable();
    offsets.windows(2).map(|pair| Bytes::copy_from_slice(&bytes[pair[0]..pair[1]])).collect()
}

fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

/// A request body with spaces, numbers and escapes that a printer of JSON would change. The second text is that which the
/// upstream receives.
fn request_body() -> impl Strategy<Value = (String, String)> {
    let member = prop::sample::select(vec![
        r#""messages" : [ {"role":"user","content":"\u00e9\/ é"} ]"#,
        r#""temperature":1.0000000000000000001e0"#,
        r#""max_tokens" :5"#,
        r#""seed":  -0"#,
    ]);
    let options = prop::sample::select(vec![
        (r#""n":1"#, r#""n":1"#),
        (r#""stream" : false"#, r#""stream" : false"#),
        (r#""stream":true"#, r#""stream":true,"stream_options":{"include_usage":true}"#),
        (
            r#""stream":true,"stream_options":{ "include_usage" : false }"#,
            r#""stream":true,"stream_options":{ "include_usage" : true }"#,
        ),
        (
            r#""stream":true,"stream_options":{"include_usage":true}"#,
            r#""stream":true,"stream_options":{"include_usage":true}"#,
        ),
    ]);
    (member, options).prop_map(|(member, (sent, edited))| {
        let body = |options| format!(" {{ \"model\": \"gpt-5\" ,{member}, {options}\n}} ");
        (body(sent), body(edited))
    })
}

/// A stream of events. The second text is that without the first usage event and the texts of errors.
fn events() -> impl Strategy<Value = (String, String)> {
    let event = prop::sample::select(vec![
        (": keep-alive", true),
        ("data: {\"choices\":[{\"delta\":{}}],\"usage\":null}", true),
        ("data: {\"choices\":[],\"prompt_filter_results\":[]}", true),
        ("data: not JSON", true),
        ("event: x\ndata: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}", false),
        ("data: {\"choices\":[],\"usage\":{}}", false),
        ("data: {\"error\":{\"code\":1,\"message\":\"org-secret\"}}", true),
        ("event: error\ndata: {\"type\":\"error\",\"message\":\"org-secret\"}", true),
    ]);
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let end = prop::sample::select(vec![
        "",
        "data: [DONE]\n\n",
        "data: cut",
        "data: [DONE]\n\ndata: {\"choices\":[],\"usage\":{}}\n\n",
    ]);
    (prop::collection::vec((event, line_end), 0..6), end).prop_map(|(events, end)| {
        let mut stream = String::new();
        let mut expected = String::new();
        let mut is_removed = false;
        for ((text, passes), line_end) in events {
            let event = format!("{text}\n\n").replace('\n', line_end);
            stream.push_str(&event);
            if passes || is_removed {
                expected.push_str(&event);
            } else {
                is_removed = true;
            }
        }
        (stream + end, hide_errors(&expected) + end)
    })
}

/// Returns a body with the own text in place of that of its errors.
fn hide_errors(body: &str) -> String {
    body.replace("org-secret", "The provid")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn request_body_passes_with_one_edit((sent, edited) in request_body(), places in places()) {
        let gate = Gate::new(RecordedUpstream::json(200, "{}"));
        let request = gate.post(CHAT, TestBody::chunks(cut(sent.as_bytes(), &places)));
        let response = run(gate.send(request));
        prop_assert_eq!(response.status(), 200, "{:?}", response);
        let (parts, received) = gate.upstream.take_request();
        prop_assert_eq!(&received, &edited);
        prop_assert_eq!(&parts.headers["content-length"], &edited.len().to_string());
    }

    #[test]
    fn response_body_passes_without_an_event_that_the_client_did_not_request(
        (stream, without_usage) in events(),
        places in places(),
        requests_usage in any::<bool>(),
    ) {
        let chunks = cut(stream.as_bytes(), &places);
        let upstream = RecordedUpstream::new(move || {
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(TestBody::chunks(chunks.clone())).unwrap()
        });
        let gate = Gate::new(upstream);
        let options = format!(",\"stream_options\":{{\"include_usage\":{requests_usage}}}");
        let request = format!("{{\"model\":\"gpt-5\",\"messages\":[],\"stream\":true{options}}}");
        let response = run(gate.send(gate.post(CHAT, full(request))));
        let expected = if requests_usage { hide_errors(&stream) } else { without_usage };
        prop_assert_eq!(std::str::from_utf8(response.body()).unwrap(), expected);
    }

    #[test]
    fn json_response_passes_without_the_texts_of_its_errors(
        is_in_envelope in any::<bool>(),
        echo in "[a-z\"{}:,]{0,20}",
        places in places(),
    ) {
        let error = r#""error" : {"message":"org-secret" ,"code":1}"#;
        let echo = serde_json::Value::from(format!("{{\"error\":\"org-echo\"}} {echo}"));
        let envelope = if is_in_envelope { format!("\"response\":{{{error}}}") } else { error.to_owned() };
        let body = format!("{{\"metadata\":{{\"error\":{echo}}},{envelope},\"message\":null}}");
        let chunks = cut(body.as_bytes(), &places);
        let gate = Gate::new(RecordedUpstream::new(move || json_response(200, TestBody::chunks(chunks.clone()))));
        let response = run(gate.send(gate.post(CHAT, chat())));
        prop_assert_eq!(std::str::from_utf8(response.body()).unwrap(), hide_errors(&body));
    }

    #[test]
    fn json_response_passes_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..200), places in places()) {
        let chunks = cut(&bytes, &places);
        let gate = Gate::new(RecordedUpstream::new(move || json_response(200, TestBody::chunks(chunks.clone()))));
        let response = run(gate.send(gate.post(CHAT, chat())));
        prop_assert_eq!(&response.body()[..], &bytes[..]);
    }
}

#[tokio::test]
async fn stream_of_another_endpoint_keeps_an_event_with_usage() {
    let stream: &[&str] = &["data: {\"choices\":[],\"usage\":{}}\n\n"];
    let gate = Gate::new(RecordedUpstream::events(stream));
    let body = full(r#"{"model":"gpt-5","input":"x","stream":true}"#);
    assert_eq!(gate.send(gate.post("/v1/responses", body)).await.body(), stream[0]);
}

#[tokio::test]
async fn stream_passes_event_by_event() {
    let gate = Gate::new(RecordedUpstream::new(|| {
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(TestBody::stalled(": ping\n\ndata: 1\n\ndata: 2")).unwrap()
    }));
    let body = full(r#"{"model":"gpt-5","messages":[],"stream":true}"#);
    let response = gate.start(gate.post(CHAT, body)).await.unwrap();
    assert!(!response.headers().contains_key("content-length"));
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ": ping\n\ndata: 1\n\n");
    let mut next = Box::pin(body.frame());
    assert!(next.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
}
