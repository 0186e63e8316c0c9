//! The members of the results.

use super::*;

/// Returns the only result of one call at an endpoint, as the text of its JSON.
async fn result(path: &str, call: TestCall) -> String {
    let world = World::with_calls(&[call]).await;
    let target = format!("{path}?start_time={DAY}&end_time={}", DAY + 1);
    let response = world.start("operator", &target).await;
    let body = collect(response).await.into_body();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (_, results) = text.split_once(r#""results":["#).unwrap();
    results.strip_suffix(r#"]}],"has_more":false,"next_page":null}"#).unwrap().to_owned()
}

#[tokio::test]
async fn completions_result_has_all_counters_and_dimensions() {
    let mut call = TestCall::chat(DAY, "key_own");
    call.usage = TokenUsage {
        input_tokens: Some(100),
        cached_input_tokens: Some(60),
        cache_write_input_tokens: Some(15),
        audio_input_tokens: Some(5),
        output_tokens: Some(30),
        text_output_tokens: Some(20),
        ..TokenUsage::default()
    };
    call.charge.tokens = 130;
    let expected = concat!(
        r#"{"object":"organization.usage.completions.result","input_tokens":100,"output_tokens":30,"#,
        r#""num_model_requests":1,"input_cached_tokens":60,"input_cache_write_tokens":15,"#,
        r#""input_uncached_tokens":25,"output_text_tokens":20,"input_audio_tokens":5,"output_audio_tokens":0,"#,
        r#""project_id":null,"user_id":null,"api_key_id":null,"model":null,"batch":null,"service_tier":null,"#,
        r#""api_source":null}"#
    );
    assert_eq!(result(COMPLETIONS, call).await, expected);
}

#[tokio::test]
async fn tokens_of_a_call_without_counts_are_output() {
    let mut call = TestCall::chat(DAY, "key_own");
    call.usage = TokenUsage::default();
    let result: Value = result(COMPLETIONS, call).await.parse().unwrap();
    assert_eq!((&result["input_tokens"], &result["output_tokens"]), (&json!(0), &json!(15)));
}

#[tokio::test]
async fn call_that_the_upstream_refused_is_a_request() {
    let mut call = TestCall::chat(DAY, "key_own");
    call.usage = TokenUsage::default();
    call.charge = Charge::default();
    let result: Value = result(COMPLETIONS, call).await.parse().unwrap();
    assert_eq!((&result["num_model_requests"], &result["output_tokens"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn embeddings_and_moderations_results_have_input_tokens() {
    for kind in ["embeddings", "moderations"] {
        let mut call = TestCall::chat(DAY, "key_own");
        call.endpoint = if kind == "embeddings" { "/v1/embeddings" } else { "/v1/moderations" };
        let expected = format!(
            r#"{{"object":"organization.usage.{kind}.result","input_tokens":15,"num_model_requests":1,"#
        ) + r#""project_id":null,"user_id":null,"api_key_id":null,"model":null}"#;
        assert_eq!(result(&format!("/v1/organization/usage/{kind}"), call).await, expected);
    }
}

#[tokio::test]
async fn images_result_has_sizes_and_sources() {
    let mut call = TestCall::chat(DAY, "key_own");
    call.endpoint = "/v1/images/generations";
    call.usage.images = Some(3);
    let expected = concat!(
        r#"{"object":"organization.usage.images.result","images":3,"num_model_requests":1,"project_id":null,"#,
        r#""user_id":null,"api_key_id":null,"model":null,"size":null,"source":null}"#
    );
    assert_eq!(result("/v1/organization/usage/images", call).await, expected);
}

#[tokio::test]
async fn costs_result_has_an_exact_amount() {
    let expected = concat!(
        r#"{"object":"organization.costs.result","amount":{"value":9007199.254740993001,"currency":"usd"},"#,
        r#""line_item":null,"quantity":null,"quantity_unit":null,"project_id":null,"user_id":null,"#,
        r#""api_key_id":null,"api_source":null}"#
    );
    let mut call = TestCall::chat(DAY, "key_own");
    // A float cannot contain this number.
    call.charge.picodollars = 9_007_199_254_740_993_001;
    assert_eq!(result(COSTS, call).await, expected);
}

#[tokio::test]
async fn costs_contain_the_calls_of_all_endpoints() {
    let mut calls = Vec::new();
    for endpoint in ["/v1/messages", "/v1/embeddings", "/v1/images/generations", "/v1/new"] {
        calls.push(TestCall { endpoint, ..TestCall::chat(DAY, "key_own") });
    }
    let world = World::with_calls(&calls).await;
    let target = format!("{COSTS}?start_time={DAY}&end_time={}", DAY + 1);
    let response = world.start("operator", &target).await;
    let body = collect(response).await.into_body();
    assert!(String::from_utf8_lossy(&body).contains(r#""value":4.000000000004,"#));
}

#[tokio::test]
async fn completions_contain_the_calls_of_their_endpoints() {
    let mut calls = Vec::new();
    for endpoint in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/responses/compact",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/new",
    ] {
        calls.push(TestCall { endpoint, ..TestCall::chat(DAY, "key_own") });
    }
    let world = World::with_calls(&calls).await;
    assert_eq!(members(&world.day("").await, "num_model_requests"), [5]);
}
