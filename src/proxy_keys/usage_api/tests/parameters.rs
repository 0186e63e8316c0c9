//! The parameters of a query.

use super::*;

/// The calls of the day in two groups and two models.
async fn world() -> World {
    let mut embedding = TestCall::chat(DAY + 5, "key_own");
    embedding.endpoint = "/v1/embeddings";
    let mut other_model = TestCall::chat(DAY + 7_200, "key_all");
    other_model.model = "gpt-5, mini";
    let calls =
        [TestCall::chat(DAY, "key_own"), TestCall::chat(DAY + 60, "key_lone"), other_model, embedding];
    World::with_calls(&calls).await
}

/// Returns the keys of the results that a filter selects.
async fn keys(world: &World, filter: &str) -> Vec<Value> {
    members(&world.day(&format!("group_by=api_key_id&{filter}")).await, "api_key_id")
}

#[tokio::test]
async fn filter_in_each_list_form_selects_its_rows() {
    let world = world().await;
    for filter in [
        "api_key_ids=key_all,key_own",
        "api_key_ids=key_all&api_key_ids=key_own",
        "api_key_ids[]=key_all&api_key_ids[]=key_own",
        "api_key_ids%5B0%5D=key_all&api_key_ids[1]=key_own",
    ] {
        assert_eq!(keys(&world, filter).await, ["key_all", "key_own"], "{filter}");
    }
}

#[tokio::test]
async fn filters_of_each_member_select_their_rows() {
    let world = world().await;
    assert_eq!(keys(&world, "project_ids=g").await, ["key_own"]);
    assert_eq!(keys(&world, "project_ids[]=").await, ["key_lone"]);
    assert_eq!(keys(&world, "models[]=gpt-5,+mini").await, ["key_all"]);
    assert_eq!(keys(&world, "models=gpt-5&api_key_ids=key_all,key_own").await, ["key_own"]);
    assert_eq!(keys(&world, "batch=false").await.len(), 3);
}

#[tokio::test]
async fn filter_that_no_call_fulfils_selects_no_row() {
    let world = world().await;
    for filter in ["user_ids=u", "user_ids[]=", "batch=true", "api_key_ids=", "models=x"] {
        assert!(keys(&world, filter).await.is_empty(), "{filter}");
    }
}

#[tokio::test]
async fn line_item_with_a_comma_is_one_value() {
    let world = world().await;
    for form in ["line_items", "line_items[]"] {
        let target = format!("{COSTS}?start_time={DAY}&end_time={}&{form}=gpt-5,%20mini", DAY + 1);
        let results = world.results("operator", &format!("{target}&group_by=line_item")).await;
        assert_eq!(members(&results, "line_item"), ["gpt-5, mini"]);
    }
}

#[tokio::test]
async fn group_by_in_each_list_form_separates_results() {
    let world = world().await;
    for group_by in
        ["group_by=project_id,model", "group_by[]=project_id&group_by[]=model", "group_by[]=project_id,model"]
    {
        let results = world.day(group_by).await;
        assert_eq!(members(&results, "project_id"), [Value::Null, "g".into(), "h".into()], "{group_by}");
        assert_eq!(members(&results, "model"), ["gpt-5", "gpt-5", "gpt-5, mini"], "{group_by}");
        assert_eq!(members(&results, "api_key_id"), [Value::Null, Value::Null, Value::Null]);
    }
}

#[tokio::test]
async fn dimension_that_the_ledger_does_not_have_is_null() {
    let world = world().await;
    let results = world.day("group_by=user_id,service_tier,api_source,batch").await;
    assert_eq!(results.len(), 1);
    for member in ["user_id", "service_tier", "api_source", "model"] {
        assert_eq!(results[0][member], Value::Null, "{member}");
    }
    assert_eq!(results[0]["batch"], false);
}

#[tokio::test]
async fn beta_is_ignored() {
    assert_eq!(world().await.day("beta=true").await.len(), 1);
}

#[tokio::test]
async fn value_that_is_not_accepted_is_named_in_the_error() {
    let world = World::with_calls(&[]).await;
    for (query, parameter) in [
        ("", "start_time"),
        ("end_time=5", "start_time"),
        ("start_time=", "start_time"),
        ("start_time=-1", "start_time"),
        ("start_time=1.5", "start_time"),
        ("start_time=99999999999999", "start_time"),
        ("start_time=1&start_time=1", "start_time"),
        ("start_time[]=1", "start_time"),
        ("start_time=5&end_time=5", "end_time"),
        ("start_time=1&end_time=x", "end_time"),
        ("start_time=1&bucket_width=2h", "bucket_width"),
        ("start_time=1&limit=0", "limit"),
        ("start_time=1&limit=32", "limit"),
        ("start_time=1&bucket_width=1h&limit=169", "limit"),
        ("start_time=1&bucket_width=1m&limit=1441", "limit"),
        ("start_time=1&group_by=color", "group_by"),
        ("start_time=1&group_by=line_item", "group_by"),
        ("start_time=1&group_by=", "group_by"),
        ("start_time=1&batch=yes", "batch"),
        ("start_time=1&page=", "page"),
        ("start_time=1&page=x", "page"),
    ] {
        let error = world.error(&format!("{COMPLETIONS}?{query}")).await;
        assert_eq!(error, (parameter.to_owned(), "invalid_value".to_owned()), "{query}");
    }
    for (query, parameter) in [
        ("start_time=1&bucket_width=1h", "bucket_width"),
        ("start_time=1&limit=181", "limit"),
        ("start_time=1&group_by=model", "group_by"),
    ] {
        let error = world.error(&format!("{COSTS}?{query}")).await;
        assert_eq!(error, (parameter.to_owned(), "invalid_value".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn parameter_that_would_be_ignored_is_an_error() {
    let world = World::with_calls(&[]).await;
    for (path, query, parameter) in [
        (COMPLETIONS, "api_key_id=x", "api_key_id"),
        (COMPLETIONS, "apiKeyIds=x", "apiKeyIds"),
        (COMPLETIONS, "api_key_ids[x]=1", "api_key_ids[x]"),
        (COMPLETIONS, "line_items=x", "line_items"),
        (COSTS, "models=x", "models"),
        (COSTS, "batch=true", "batch"),
        ("/v1/organization/usage/images", "sizes=x", "sizes"),
        ("/v1/organization/usage/images", "sources=x", "sources"),
        ("/v1/organization/usage/embeddings", "batch=false", "batch"),
        ("/v1/organization/usage/moderations", "batch=false", "batch"),
    ] {
        let error = world.error(&format!("{path}?start_time=1&{query}")).await;
        assert_eq!(error, (parameter.to_owned(), "unsupported_parameter".to_owned()), "{path} {query}");
    }
}

#[tokio::test]
async fn parameter_that_looks_like_a_key_is_not_repeated() {
    let world = World::with_calls(&[]).await;
    let secret = world.minted[0].1.key().to_owned();
    let response = world.send("operator", &format!("{COMPLETIONS}?start_time=1&{secret}=1")).await;
    assert_eq!(response.status(), 400);
    assert!(!String::from_utf8_lossy(response.body()).contains(&secret));
}
