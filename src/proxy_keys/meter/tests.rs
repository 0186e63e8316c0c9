use super::*;

/// A body in the form of an endpoint, with its expected counts.
struct Recording {
    name: &'static str,
    provider: Provider,
    form: BodyForm,
    body: &'static str,
    usage: Option<TokenUsage>,
    model: Option<&'static str>,
}

/// Returns the usage and the model of a body in these chunks.
fn meter<'a>(
    provider: Provider,
    form: BodyForm,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Option<TokenUsage>, Option<String>) {
    let mut meter = UsageMeter::new(provider, form);
    for chunk in chunks {
        meter.feed(chunk);
    }
    (meter.usage(), meter.model().map(str::to_owned))
}

/// Returns the usage of an OpenAI body in one chunk.
fn openai(form: BodyForm, body: &str) -> Option<TokenUsage> {
    meter(Provider::OpenAi, form, [body.as_bytes()]).0
}

/// Returns the usage of an Anthropic body in one chunk.
fn anthropic(form: BodyForm, body: &str) -> Option<TokenUsage> {
    meter(Provider::Anthropic, form, [body.as_bytes()]).0
}

/// The usage with these input and output tokens.
fn tokens(input: u64, output: u64) -> Option<TokenUsage> {
    Some(TokenUsage { input_tokens: Some(input), output_tokens: Some(output), ..TokenUsage::default() })
}

fn chat_usage() -> Option<TokenUsage> {
    Some(TokenUsage {
        input_tokens: Some(12),
        cached_input_tokens: Some(0),
        audio_input_tokens: Some(0),
        output_tokens: Some(100),
        reasoning_output_tokens: Some(100),
        audio_output_tokens: Some(0),
        accepted_prediction_tokens: Some(0),
        rejected_prediction_tokens: Some(0),
        ..TokenUsage::default()
    })
}

fn responses_usage() -> Option<TokenUsage> {
    Some(TokenUsage {
        input_tokens: Some(328),
        cached_input_tokens: Some(64),
        cache_write_input_tokens: Some(16),
        output_tokens: Some(52),
        reasoning_output_tokens: Some(7),
        ..TokenUsage::default()
    })
}

fn image_usage() -> Option<TokenUsage> {
    Some(TokenUsage {
        input_tokens: Some(50),
        text_input_tokens: Some(10),
        image_input_tokens: Some(40),
        output_tokens: Some(1056),
        ..TokenUsage::default()
    })
}

fn messages_usage() -> Option<TokenUsage> {
    Some(TokenUsage {
        input_tokens: Some(25 + 188 + 2051),
        cached_input_tokens: Some(2051),
        cache_write_input_tokens: Some(188),
        cache_write_5m_input_tokens: Some(100),
        cache_write_1h_input_tokens: Some(88),
        output_tokens: Some(503),
        web_search_requests: Some(2),
        web_fetch_requests: Some(0),
        ..TokenUsage::default()
    })
}

#[rustfmt::skip]
fn recordings() -> Vec<Recording> {
    use BodyForm::{Events, Json};
    use Provider::{Anthropic, OpenAi};
    let nano = Some("gpt-5-nano-2025-08-07");
    vec![
        Recording { name: "chat completion", provider: OpenAi, form: Json, body: include_str!("recordings/chat.json"), usage: chat_usage(), model: nano },
        Recording { name: "chat completion, streamed", provider: OpenAi, form: Events, body: include_str!("recordings/chat.sse"), usage: chat_usage(), model: nano },
        Recording { name: "chat completion, streamed without usage", provider: OpenAi, form: Events, body: include_str!("recordings/chat_without_usage.sse"), usage: None, model: nano },
        Recording { name: "completion", provider: OpenAi, form: Json, body: include_str!("recordings/completion.json"), usage: tokens(5, 7), model: Some("gpt-3.5-turbo-instruct:20230824-v2") },
        Recording { name: "completion, streamed", provider: OpenAi, form: Events, body: include_str!("recordings/completion.sse"), usage: tokens(5, 7), model: Some("gpt-3.5-turbo-instruct:20230824-v2") },
        Recording { name: "response", provider: OpenAi, form: Json, body: include_str!("recordings/response.json"), usage: responses_usage(), model: nano },
        Recording { name: "response, streamed", provider: OpenAi, form: Events, body: include_str!("recordings/response.sse"), usage: responses_usage(), model: nano },
        Recording { name: "response in progress", provider: OpenAi, form: Json, body: r#"{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-5-nano-2025-08-07","usage":null}"#, usage: None, model: nano },
        Recording { name: "embeddings", provider: OpenAi, form: Json, body: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.006929283495992422,1e-7,0]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#, usage: Some(TokenUsage { input_tokens: Some(8), ..TokenUsage::default() }), model: Some("text-embedding-3-small") },
        Recording { name: "moderation", provider: OpenAi, form: Json, body: r#"{"id":"modr-0d9740456c391e43c445bf0f010940c7","model":"omni-moderation-latest","results":[{"flagged":false,"categories":{"violence":false},"category_scores":{"violence":1.2e-05}}]}"#, usage: None, model: Some("omni-moderation-latest") },
        Recording { name: "image", provider: OpenAi, form: Json, body: r#"{"created":1713833628,"data":[{"b64_json":"iVBORw0KGgo="}],"background":"opaque","output_format":"png","usage":{"total_tokens":1106,"input_tokens":50,"output_tokens":1056,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#, usage: image_usage(), model: None },
        Recording { name: "image, streamed", provider: OpenAi, form: Events, body: include_str!("recordings/image.sse"), usage: image_usage(), model: None },
        Recording { name: "transcription by tokens", provider: OpenAi, form: Json, body: r#"{"text":"Hello.","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}}"#, usage: Some(TokenUsage { text_input_tokens: Some(0), audio_input_tokens: Some(14), ..tokens(14, 45).unwrap() }), model: None },
        Recording { name: "transcription by duration", provider: OpenAi, form: Json, body: r#"{"text":"Hello.","usage":{"type":"duration","seconds":9.5}}"#, usage: Some(TokenUsage { audio_duration: Some(std::time::Duration::from_millis(9500)), ..TokenUsage::default() }), model: None },
        Recording { name: "message", provider: Anthropic, form: Json, body: include_str!("recordings/message.json"), usage: messages_usage(), model: Some("claude-sonnet-4-5-20250929") },
        Recording { name: "message, streamed", provider: Anthropic, form: Events, body: include_str!("recordings/message.sse"), usage: messages_usage(), model: Some("claude-sonnet-4-5-20250929") },
        Recording { name: "error of OpenAI", provider: OpenAi, form: Json, body: r#"{"error":{"message":"Rate limit reached.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#, usage: None, model: None },
        Recording { name: "error of Anthropic", provider: Anthropic, form: Json, body: r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#, usage: None, model: None },
    ]
}

#[test]
fn recording_of_each_endpoint_has_its_counts_in_any_chunks() {
    for Recording { name, provider, form, body, usage, model } in recordings() {
        let expected = (usage, model.map(str::to_owned));
        let bytes = body.as_bytes();
        assert_eq!(meter(provider, form, [bytes]), expected, "{name}");
        assert_eq!(meter(provider, form, bytes.chunks(1)), expected, "{name} byte by byte");
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(meter(provider, form, [first, second]), expected, "{name} split at {at}");
        }
    }
}

#[test]
fn stream_with_other_line_ends_has_the_same_counts() {
    for Recording { name, provider, form, body, usage, .. } in recordings() {
        if form == BodyForm::Events {
            for line_end in ["\r\n", "\r"] {
                let stream = body.replace('\n', line_end);
                assert_eq!(
                    meter(provider, form, stream.as_bytes().chunks(7)).0,
                    usage,
                    "{name} {line_end:?}"
                );
            }
        }
    }
}

#[test]
fn usage_at_another_path_does_not_count() {
    for body in [
        r#"{"metadata":{"usage":{"input_tokens":9}}}"#,
        r#"{"choices":[{"message":{"usage":{"input_tokens":9}}}]}"#,
        r#"{"response":{"metadata":{"usage":{"input_tokens":9}},"tools":[{"usage":{"input_tokens":9}}]}}"#,
        r#"{"response":[{"usage":{"input_tokens":9}}]}"#,
        r#"{"response":{"response":{"usage":{"input_tokens":9}}}}"#,
        r#"{"text":{"format":{"schema":{"response":{"usage":{"input_tokens":9}}}}}}"#,
        r#"{"message":{"usage":{"input_tokens":9}}}"#,
        r#"[{"usage":{"input_tokens":9}}]"#,
        r#"[[{"usage":{"input_tokens":9}}],{"response":{"usage":{"input_tokens":9}}}]"#,
        r#"{"output":"\"usage\":{\"input_tokens\":9}"}"#,
        r#"{"usage":{"usage":{"input_tokens":9}},"a":{"usage":{"input_tokens":9}}}"#,
    ] {
        let usage = openai(BodyForm::Json, body).and_then(|usage| usage.input_tokens);
        assert_eq!(usage, None, "{body}");
    }
    let envelope_of_openai = r#"{"response":{"usage":{"input_tokens":9}}}"#;
    assert_eq!(anthropic(BodyForm::Json, envelope_of_openai), None);
}

#[test]
fn usage_that_is_not_an_object_does_not_count() {
    for value in ["null", "0", "\"{}\"", "[{\"input_tokens\":9}]", "true", "\"{\\\"input_tokens\\\":9}\""] {
        assert_eq!(openai(BodyForm::Json, &format!("{{\"usage\":{value}}}")), None, "{value}");
    }
}

#[test]
fn absent_null_and_zero_counts_differ() {
    assert_eq!(openai(BodyForm::Json, "{}"), None);
    let input = |value: &str| {
        let body = format!("{{\"usage\":{{\"input_tokens\":{value}}}}}");
        openai(BodyForm::Json, &body).expect("there is a usage object").input_tokens
    };
    assert_eq!(input("0"), Some(0));
    assert_eq!(input("18446744073709551615"), Some(u64::MAX));
    for not_a_count in ["null", "-1", "-0", "1.0", "1.5", "1e3", "18446744073709551616", "\"9\"", "[9]"] {
        assert_eq!(input(not_a_count), None, "{not_a_count}");
    }
}

#[test]
fn details_of_another_type_leave_the_other_counts() {
    let body = r#"{"usage":{"input_tokens":1,"input_tokens_details":null,"output_tokens":2,"output_tokens_details":[3]}}"#;
    assert_eq!(openai(BodyForm::Json, body), tokens(1, 2));
}

#[test]
fn last_member_of_a_name_counts() {
    for (body, usage) in [
        (r#"{"usage":{"input_tokens":1},"usage":{"output_tokens":2,"input_tokens":3}}"#, tokens(3, 2)),
        (r#"{"usage":{"input_tokens":1,"output_tokens":2},"usage":null}"#, None),
        (r#"{"response":{"usage":{"input_tokens":1}},"response":{}}"#, None),
        (r#"{"response":{"usage":{"input_tokens":1}},"response":[]}"#, None),
        (r#"{"usage":{"input_tokens":1,"input_tokens":3,"output_tokens":2}}"#, tokens(3, 2)),
        (
            r#"{"usage":{"input_tokens":3,"output_tokens":2},"response":{"usage":{"input_tokens":1}}}"#,
            tokens(3, 2),
        ),
    ] {
        for size in [1, 5, 1000] {
            let chunks = body.as_bytes().chunks(size);
            assert_eq!(
                meter(Provider::OpenAi, BodyForm::Json, chunks).0,
                usage,
                "{body} in chunks of {size}"
            );
        }
    }
}

#[test]
fn last_model_of_an_object_is_used() {
    let model = |body: &str| meter(Provider::OpenAi, BodyForm::Json, [body.as_bytes()]).1;
    assert_eq!(model(r#"{"model":"a","model":"b"}"#), Some("b".to_owned()));
    assert_eq!(model(r#"{"model":"a","model":null}"#), None);
    assert_eq!(model(r#"{"response":{"model":"a"},"response":{"model":"b"}}"#), Some("b".to_owned()));
    assert_eq!(model(r#"{"model":"a","response":{"model":"b"}}"#), Some("a".to_owned()));
}

#[test]
fn members_within_the_usage_are_not_members_at_a_path() {
    let body = r#"{"usage":{"model":"x","usage":{"input_tokens":9},"response":{"usage":{"input_tokens":9}},"input_tokens":3,"output_tokens":2}}"#;
    for size in [1, 7, 1000] {
        let counts = meter(Provider::OpenAi, BodyForm::Json, body.as_bytes().chunks(size));
        assert_eq!(counts, (tokens(3, 2), None), "chunks of {size}");
    }
}

#[test]
fn cut_event_changes_no_path_of_the_next_one() {
    for cut in
        ["{\"response\":{", "{\"response\":{\"usage\":{", "{\"usage\":{\"input_tokens\":9", "{\"response\""]
    {
        let echo = "{\"metadata\":{\"usage\":{\"input_tokens\":9}}}";
        let stream = format!("data: {cut}\n\ndata: {echo}\n\n");
        assert_eq!(openai(BodyForm::Events, &stream), None, "{cut}");
    }
}

#[test]
fn escaped_names_are_the_same_names() {
    let body = r#"{"r\u0065sponse":{"us\u0061ge":{"input\u005ftokens":3,"output_tokens":2},"\u006dodel":"gpt\u002d5"}}"#;
    let counts = meter(Provider::OpenAi, BodyForm::Json, [body.as_bytes()]);
    assert_eq!(counts, (tokens(3, 2), Some("gpt-5".to_owned())));
}

#[test]
fn body_that_is_not_whole_or_not_json_has_no_usage() {
    let usage = r#"{"usage":{"input_tokens":3,"output_tokens":2}"#;
    for rest in ["", ",", "]", "},", "}}", "} x", ",\"a\":\"\u{1}\"}"] {
        assert_eq!(openai(BodyForm::Json, &format!("{usage}{rest}")), None, "{rest:?}");
    }
    assert_eq!(openai(BodyForm::Json, &format!("{usage}}} \n")), tokens(3, 2));
}

#[test]
fn event_that_is_not_json_does_not_change_the_counts_of_the_others() {
    let usage = "data: {\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}\n\n";
    for event in [
        "{\"usage\":{\"input_tokens\":9}",
        "{\"usage\":{\"input_tokens\":9",
        "{\"usage\":{\"input_tokens\":9}}}",
        "{\"usage\":{\"input_tokens\":9},}",
        "x",
        "[DONE",
        "",
    ] {
        let event = format!("data: {event}\n\n");
        assert_eq!(openai(BodyForm::Events, &format!("{event}{usage}")), tokens(3, 2), "{event}");
        assert_eq!(openai(BodyForm::Events, &format!("{usage}{event}")), tokens(3, 2), "{event}");
    }
}

#[test]
fn event_without_its_empty_line_does_not_count() {
    let event = "data: {\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}\n";
    assert_eq!(openai(BodyForm::Events, event), None);
    assert_eq!(openai(BodyForm::Events, &format!("{event}\n")), tokens(3, 2));
}

#[test]
fn event_with_several_data_lines_is_one_document() {
    let stream =
        "event: a\ndata: {\"usage\":\ndata: {\"input_tokens\":3,\n: comment\ndata:\"output_tokens\":2}}\n\n";
    assert_eq!(openai(BodyForm::Events, stream), tokens(3, 2));
    let cut_number = "data: {\"usage\":{\"input_tokens\":3\ndata: 4}}\n\n";
    assert_eq!(openai(BodyForm::Events, cut_number), None);
}

#[test]
fn event_behind_done_does_not_count() {
    let stream = "data: {\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}\n\ndata: [DONE]\n\ndata: {\"usage\":{}}\n\n";
    assert_eq!(openai(BodyForm::Events, stream), tokens(3, 2));
}

#[test]
fn openai_stream_counts_only_its_last_object() {
    let stream = "data: {\"usage\":{\"input_tokens\":9,\"output_tokens\":1,\"input_tokens_details\":{\"cached_tokens\":4}}}\n\n\
                  data: {\"usage\":{\"input_tokens\":9,\"output_tokens\":2}}\n\ndata: {\"usage\":null}\n\ndata: {}\n\n";
    assert_eq!(openai(BodyForm::Events, stream), tokens(9, 2));
}

#[test]
fn anthropic_stream_counts_the_last_value_of_each_member() {
    let stream = "data: {\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1,\"cache_read_input_tokens\":4}}}\n\n\
                  data: {\"usage\":{\"output_tokens\":5,\"input_tokens\":null,\"server_tool_use\":{\"web_search_requests\":1}}}\n\n\
                  data: {\"usage\":{\"output_tokens\":8,\"cache_read_input_tokens\":0}}\n\n";
    let expected =
        TokenUsage { cached_input_tokens: Some(0), web_search_requests: Some(1), ..tokens(9, 8).unwrap() };
    assert_eq!(anthropic(BodyForm::Events, stream), Some(expected));
}

#[test]
fn anthropic_total_is_the_sum_of_three_counts() {
    let input =
        |usage: &str| anthropic(BodyForm::Json, &format!("{{\"usage\":{usage}}}")).unwrap().input_tokens;
    let three = r#"{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":4}"#;
    assert_eq!(input(three), Some(7));
    assert_eq!(input(r#"{"cache_read_input_tokens":2}"#), None);
    assert_eq!(input(r#"{"input_tokens":18446744073709551615,"cache_read_input_tokens":1}"#), Some(u64::MAX));
}

#[test]
fn anthropic_compactions_are_added_to_the_counts() {
    let compaction =
        r#"{"type":"compaction","input_tokens":180000,"cache_read_input_tokens":5,"output_tokens":3500}"#;
    let message = r#"{"type":"message","input_tokens":23000,"output_tokens":1000}"#;
    let usage = |iterations: &str| {
        let object = format!("{{\"input_tokens\":23000,\"output_tokens\":1000,\"iterations\":{iterations}}}");
        anthropic(BodyForm::Json, &format!("{{\"usage\":{object}}}"))
    };
    let expected = TokenUsage { cached_input_tokens: Some(5), ..tokens(203_005, 4500).unwrap() };
    assert_eq!(usage(&format!("[{compaction},{message}]")), Some(expected));
    assert_eq!(usage(&format!("[{message}]")), tokens(23_000, 1000));
    assert_eq!(usage("null"), tokens(23_000, 1000));
    // The list of the last event replaces that of an earlier one.
    let event = format!("data: {{\"usage\":{{\"input_tokens\":1,\"iterations\":[{compaction}]}}}}\n\n");
    let stream = event.repeat(2);
    assert_eq!(anthropic(BodyForm::Events, &stream).unwrap().input_tokens, Some(180_006));
}

/// Feeds a body in chunks and returns it as it passes, without the texts of its errors.
fn hide<'a>(provider: Provider, form: BodyForm, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut meter = UsageMeter::new(provider, form);
    let mut passed = Vec::new();
    for chunk in chunks {
        meter.feed(chunk);
        passed.extend_from_slice(&meter.hide_error_texts(Bytes::copy_from_slice(chunk)));
    }
    String::from_utf8(passed).unwrap()
}

/// Checks that these texts of a body are replaced by the own text, and nothing else: in one chunk, in any two, byte by byte.
fn check_hidden(provider: Provider, form: BodyForm, body: &str, hidden: &[&str]) {
    let own_text = format!("{:1000}", "The provider reported an error. Its text is not repeated.");
    let mut expected = body.to_owned();
    for text in hidden {
        assert!(expected.contains(text), "{text}");
        expected = expected.replace(text, &own_text[..text.len()]);
    }
    assert_eq!(hide(provider, form, [body.as_bytes()]), expected);
    assert_eq!(hide(provider, form, body.as_bytes().chunks(1)), expected);
    for at in 0..body.len() {
        let (first, second) = body.as_bytes().split_at(at);
        assert_eq!(hide(provider, form, [first, second]), expected, "split at {at}");
    }
}

#[test]
fn error_text_in_an_event_is_hidden() {
    for event in [
        "data: {\"error\":{\"type\":\"x\",\"message\":\"secret\",\"code\":\"y\"}}",
        "event: error\r\ndata: {\"type\":\"error\",\"message\" : \"secret\"}",
        "data: {\"error\":\"secret\"}",
        "data: {\"response\":{\"error\":{\"message\":\"secret\"},\"usage\":null}}",
        "data: {\"response\":{\"error\":\"secret\"}}",
        "data: {\"err\\u006fr\":\ndata: {\"mess\\u0061ge\":\"secret\"}}",
        "data: {\"error\":{\"message\":\"\\\"secret\"}}",
    ] {
        let text = if event.contains("\\\"secret") { "\\\"secret" } else { "secret" };
        let body = format!(": x\n\n{event}\n\ndata: {{\"message\":1}}\n\ndata: [DONE]\n\n");
        check_hidden(Provider::OpenAi, BodyForm::Events, &body, &[text]);
    }
    let body =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"secret\"}}\n\n";
    check_hidden(Provider::Anthropic, BodyForm::Events, body, &["secret"]);
}

#[test]
fn error_text_in_a_json_document_is_hidden() {
    let long_text = "x".repeat(100);
    let body = format!("{{\"status\":\"failed\",\"error\":{{\"message\":\"{long_text}\"}},\"usage\":{{}}}}");
    check_hidden(Provider::OpenAi, BodyForm::Json, &body, &[&long_text]);
    let twice = r#"{"error":{"message":"first","message":"second"},"error":{"message":"third"}}"#;
    check_hidden(Provider::OpenAi, BodyForm::Json, twice, &["first", "second", "third"]);
}

#[test]
fn text_that_is_no_error_is_not_hidden() {
    for body in [
        r#"{"error":null,"message":null,"choices":[{"message":{"content":"a","error":{"message":"b"}}}]}"#,
        r#"{"metadata":{"error":{"message":"a"}},"output":[{"error":"b"}]}"#,
        r#"{"error":{"code":"a","x":{"message":"b"}},"response":{"x":{"message":"c"},"message":"d"}}"#,
        r#"{"error":[{"message":"a"}],"response":[{"error":"b"}]}"#,
    ] {
        check_hidden(Provider::OpenAi, BodyForm::Json, body, &[]);
    }
    let body = r#"{"type":"message","message":{"content":[{"text":"a","message":"b"}],"message":"c"}}"#;
    check_hidden(Provider::Anthropic, BodyForm::Json, body, &[]);
}

#[test]
fn error_text_that_is_not_json_is_hidden_up_to_the_end_of_its_document() {
    check_hidden(Provider::OpenAi, BodyForm::Json, "{\"error\":\"se\tcret\"} x", &["se\tcret\"} x"]);
    let body = "data: {\"error\":\"se\ndata: cret\"}\n\ndata: {\"x\":\"y\"}\n\n";
    let passed = hide(Provider::OpenAi, BodyForm::Events, [body.as_bytes()]);
    assert!(
        !passed.contains("se\n") && !passed.contains("cret") && passed.ends_with("{\"x\":\"y\"}\n\n"),
        "{passed}"
    );
    assert_eq!(hide(Provider::OpenAi, BodyForm::Events, body.as_bytes().chunks(1)), passed);
}

#[test]
fn usage_of_hosted_tools_is_added() {
    let tool_usage = r#""tool_usage":{"image_gen":{"input_tokens":9,"output_tokens":1056,"input_tokens_details":{"image_tokens":4,"text_tokens":5}},"web_search":{"num_requests":2}}"#;
    let usage = r#""usage":{"input_tokens":3,"output_tokens":2}"#;
    let expected = TokenUsage {
        image_input_tokens: Some(4),
        image_output_tokens: Some(1056),
        web_search_requests: Some(2),
        ..tokens(12, 1058).unwrap()
    };
    for body in [format!("{{{tool_usage},{usage}}}"), format!("{{\"response\":{{{usage},{tool_usage}}}}}")] {
        assert_eq!(openai(BodyForm::Json, &body).as_ref(), Some(&expected), "{body}");
    }
    assert_eq!(openai(BodyForm::Json, &format!("{{{usage},\"x\":{{{tool_usage}}}}}")), tokens(3, 2));
    assert_eq!(openai(BodyForm::Json, &format!("{{{tool_usage}}}")), None);
}

#[test]
fn usage_longer_than_the_limit_is_not_final() {
    let long_text = "x".repeat(crate::proxy_keys::wire::usage::MAX_USAGE);
    let short = r#"{"input_tokens":1,"output_tokens":1}"#;
    let long = format!("{{\"input_tokens\":9,\"x\":\"{long_text}\"}}");
    let document = format!("{{\"response\":{{\"usage\":{short}}},\"usage\":{long}}}");
    let events = format!("data: {{\"usage\":{short}}}\n\ndata: {{\"usage\":{long}}}\n\n");
    for (form, body) in [(BodyForm::Json, document), (BodyForm::Events, events)] {
        let mut meter = UsageMeter::new(Provider::OpenAi, form);
        meter.feed(body.as_bytes());
        assert_eq!((meter.usage(), meter.has_final_usage()), (tokens(1, 1), false));
    }
}

#[test]
fn model_with_a_control_character_is_absent() {
    for model in ["a\\nb", "\\u001b[31m", "a\\u0085", "\u{85}"] {
        let body = format!("{{\"model\":\"{model}\"}}");
        assert_eq!(meter(Provider::OpenAi, BodyForm::Json, [body.as_bytes()]).1, None, "{model:?}");
    }
}

#[test]
fn usage_longer_than_the_limit_does_not_count() {
    let limit = crate::proxy_keys::wire::usage::MAX_USAGE;
    for (len, usage) in [(limit, tokens(3, 2)), (limit + 1, None)] {
        let start = r#"{"input_tokens":3,"output_tokens":2,"x":""#;
        let object = format!("{start}{}\"}}", "x".repeat(len - start.len() - 2));
        let body = format!("{{\"usage\":{object}}}");
        for size in [100, 1000, 100_000] {
            let chunks = body.as_bytes().chunks(size);
            assert_eq!(meter(Provider::OpenAi, BodyForm::Json, chunks).0, usage, "{len} in chunks of {size}");
        }
    }
}

#[test]
fn model_longer_than_the_limit_is_absent() {
    let model = |len: usize| {
        let body = format!("{{\"model\":\"{}\"}}", "m".repeat(len));
        meter(Provider::OpenAi, BodyForm::Json, body.as_bytes().chunks(100)).1
    };
    assert_eq!(model(256), Some("m".repeat(256)));
    assert_eq!(model(257), None);
    assert_eq!(model(100_000), None);
}

#[test]
fn content_type_gives_the_form() {
    for (content_type, form) in [
        ("application/json", Some(BodyForm::Json)),
        ("Application/JSON; charset=utf-8", Some(BodyForm::Json)),
        ("application/problem+json", Some(BodyForm::Json)),
        ("text/event-stream", Some(BodyForm::Events)),
        ("text/event-stream;charset=utf-8", Some(BodyForm::Events)),
        ("text/plain", None),
        ("application/jsonl", None),
        ("", None),
    ] {
        assert_eq!(BodyForm::of_content_type(content_type), form, "{content_type}");
    }
}

#[test]
fn debug_output_has_no_part_of_the_body_but_the_counts() {
    let mut meter = UsageMeter::new(Provider::OpenAi, BodyForm::Json);
    meter.feed(br#"{"output":"secret text","usage":{"input_tokens":3},"model":"gpt-5"}"#);
    let text = format!("{meter:?}");
    assert!(text.contains("input_tokens: Some(3)") && text.contains("gpt-5"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
