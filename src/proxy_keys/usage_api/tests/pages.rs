//! The buckets and pages of a response.

use super::*;

/// Returns the bounds of the buckets of a page.
fn bounds(page: &Value) -> Vec<(i64, i64)> {
    let bound = |bucket: &Value, name: &str| bucket[name].as_i64().unwrap();
    let buckets = page["data"].as_array().unwrap();
    buckets.iter().map(|bucket| (bound(bucket, "start_time"), bound(bucket, "end_time"))).collect()
}

#[tokio::test]
async fn times_within_a_bucket_are_rounded_outward() {
    let world = World::with_calls(&[]).await;
    for (width, seconds) in [("1m", 60), ("1h", 3_600), ("1d", 86_400)] {
        let (start, end) = (DAY + 1, DAY + seconds + 1);
        let target = format!("{COMPLETIONS}?bucket_width={width}&start_time={start}&end_time={end}");
        let page = world.page("operator", &target).await;
        assert_eq!(bounds(&page), [(DAY, DAY + seconds), (DAY + seconds, DAY + 2 * seconds)], "{width}");
    }
}

#[tokio::test]
async fn bucket_without_calls_has_no_results() {
    let world = World::with_calls(&[TestCall::chat(DAY + 86_400, "key_own")]).await;
    let target = format!("{COMPLETIONS}?start_time={DAY}&end_time={}", DAY + 3 * 86_400);
    let page = world.page("operator", &target).await;
    let buckets = page["data"].as_array().unwrap();
    let counts: Vec<_> = buckets.iter().map(|bucket| bucket["results"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [0, 1, 0]);
    let empty = json!({"object": "bucket", "start_time": DAY, "end_time": DAY + 86_400, "results": []});
    assert_eq!(buckets[0], empty);
    assert_eq!(
        (&page["object"], &page["has_more"], &page["next_page"]),
        (&json!("page"), &json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn page_without_a_limit_has_the_default_number_of_buckets() {
    let world = World::with_calls(&[]).await;
    for (path, width, count) in
        [(COMPLETIONS, "1d", 7), (COMPLETIONS, "1h", 24), (COMPLETIONS, "1m", 60), (COSTS, "1d", 7)]
    {
        let end = DAY + 200 * 86_400;
        let target = format!("{path}?bucket_width={width}&start_time={DAY}&end_time={end}");
        let page = world.page("operator", &target).await;
        assert_eq!(bounds(&page).len(), count, "{path} {width}");
        assert_eq!(page["has_more"], true);
    }
}

#[tokio::test]
async fn page_with_the_greatest_limit_is_whole() {
    let world = World::with_calls(&[]).await;
    for (path, width, limit) in
        [(COMPLETIONS, "1d", 31), (COMPLETIONS, "1h", 168), (COMPLETIONS, "1m", 1_440), (COSTS, "1d", 180)]
    {
        let end = DAY + 200 * 86_400;
        let target = format!("{path}?bucket_width={width}&limit={limit}&start_time={DAY}&end_time={end}");
        assert_eq!(bounds(&world.page("operator", &target).await).len(), limit, "{path} {width}");
    }
}

#[tokio::test]
async fn pages_continue_until_the_end_of_the_range() {
    let world = World::with_calls(&[]).await;
    let first = format!("{COMPLETIONS}?limit=2&start_time={DAY}&end_time={}", DAY + 5 * 86_400);
    let mut target = first.clone();
    let mut all_bounds = Vec::new();
    let mut page_count = 0;
    loop {
        let page = world.page("operator", &target).await;
        all_bounds.extend(bounds(&page));
        page_count += 1;
        let Some(next_page) = page["next_page"].as_str() else { break };
        assert_eq!(page["has_more"], true);
        target = format!("{first}&page={next_page}");
    }
    let expected: Vec<_> = (0..5).map(|day| (DAY + day * 86_400, DAY + (day + 1) * 86_400)).collect();
    assert_eq!((page_count, all_bounds), (3, expected));
}

#[tokio::test]
async fn range_without_an_end_ends_with_the_current_bucket() {
    let world = World::with_calls(&[]).await;
    let now = Timestamp::now().as_second();
    let page = world.page("operator", &format!("{COMPLETIONS}?start_time={}", now - 86_400)).await;
    let ends = bounds(&page);
    // The clock may pass midnight between its two readings.
    let last_end = ends.last().unwrap().1;
    assert!((now..now + 2 * 86_400).contains(&last_end), "{ends:?}");
    assert_eq!(page["has_more"], false);
}

#[tokio::test]
async fn range_that_starts_in_the_future_has_one_empty_bucket() {
    let world = World::with_calls(&[]).await;
    let start = 4_102_444_800_i64; // 2100-01-01
    let page = world.page("operator", &format!("{COMPLETIONS}?start_time={start}")).await;
    assert_eq!(bounds(&page), [(start, start + 86_400)]);
}

#[tokio::test]
async fn page_of_another_query_is_an_error() {
    let world = World::with_calls(&[]).await;
    let query = |start: i64, rest: &str| format!("{COMPLETIONS}?start_time={start}&{rest}");
    let end = DAY + 5 * 86_400;
    let first = world.page("operator", &query(DAY, &format!("limit=1&end_time={end}"))).await;
    let page = first["next_page"].as_str().unwrap();
    for target in [
        query(DAY, &format!("page={page}&end_time={}", end + 86_400)),
        query(DAY, &format!("page={page}&bucket_width=1h&end_time={end}")),
        query(DAY + 2 * 86_400, &format!("page={page}&end_time={end}")),
    ] {
        let error = world.error(&target).await;
        assert_eq!(error, ("page".to_owned(), "invalid_value".to_owned()), "{target}");
    }
}

#[tokio::test]
async fn minute_buckets_contain_the_calls_of_their_minute() {
    let calls = [TestCall::chat(DAY + 59, "key_own"), TestCall::chat(DAY + 60, "key_own")];
    let world = World::with_calls(&calls).await;
    let target = format!("{COMPLETIONS}?bucket_width=1m&start_time={DAY}&end_time={}", DAY + 120);
    let results = world.results("operator", &target).await;
    assert_eq!(members(&results, "num_model_requests"), [1, 1]);
}

#[tokio::test]
async fn minutes_before_the_oldest_row_are_an_error() {
    let calls = [
        TestCall::chat(DAY + 59, "key_own"),
        TestCall::chat(DAY + 7_200, "key_own"),
        TestCall::chat(DAY + 7_260, "key_own"),
    ];
    let world = World::with_calls(&calls).await;
    world.delete_rows(DAY + 3_600).await;
    let target =
        |start: i64| format!("{COMPLETIONS}?bucket_width=1m&start_time={start}&end_time={}", DAY + 7_320);
    let response = world.send("operator", &target(DAY + 3_599)).await;
    let error = parse(response.body())["error"].clone();
    assert_eq!((response.status().as_u16(), &error["param"]), (400, &json!("start_time")));
    let from = DAY + 3_600;
    let message = format!("The usage by minute exists from {from} (2026-07-15T01:00:00Z).");
    assert!(error["message"].as_str().unwrap().starts_with(&message), "{error}");
    assert_eq!(world.results("operator", &format!("{}&limit=1440", target(from))).await.len(), 2);
}

#[tokio::test]
async fn hours_and_days_keep_the_calls_whose_rows_are_deleted() {
    let calls = [TestCall::chat(DAY, "key_own"), TestCall::chat(DAY + 59, "key_own")];
    let world = World::with_calls(&calls).await;
    world.add(&TestCall::chat(DAY + 86_400, "key_own")).await;
    world.delete_rows(DAY + 3_600).await;
    for width in ["1h", "1d"] {
        let results = world.day(&format!("bucket_width={width}")).await;
        assert_eq!(members(&results, "num_model_requests"), [2], "{width}");
    }
}

#[tokio::test]
async fn response_is_json_that_is_not_stored() {
    let world = World::with_calls(&[]).await;
    for (days, has_length) in [(1, true), (2, false)] {
        let end = DAY + days * 86_400;
        let response =
            world.start("operator", &format!("{COMPLETIONS}?start_time={DAY}&end_time={end}")).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let length = response.headers().get("content-length").cloned();
        assert_eq!(length.is_some(), has_length);
        let size = response.body().size_hint().exact();
        assert_eq!(size.is_some(), has_length);
        let body = collect(response).await.into_body();
        assert!(length.is_none_or(|length| length == body.len().to_string().as_str()));
    }
}
