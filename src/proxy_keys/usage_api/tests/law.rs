//! Law 11: responses are a fold of the calls, joined pages are one page, and grouped results add up to ungrouped ones.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::Map;

use super::naive::{NaiveQuery, add_numbers};
use super::*;

fn test_call() -> impl Strategy<Value = TestCall> {
    let near = prop_oneof![
        4 => 0..7_200_i64,
        3 => 0..3 * 86_400_i64,
        2 => select(vec![-1, 0, 59, 60, 3_599, 3_600, 86_399, 86_400]),
    ];
    let key = select(vec!["key_own", "key_group", "key_all", "key_lone", "key_other", "key_gone"]);
    let group = select(vec![None, Some("g"), Some("h")]);
    let endpoint = select(vec![
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/images/generations",
        "/v1/new",
    ]);
    let model = select(vec!["gpt-5", "gpt-5, mini", "claude"]);
    let counts = (any::<bool>(), 0..1_000_u64, 0..1_000_u64, 0..1_000_u64, any::<bool>());
    let picodollars = 0..20_000_000_000_000_u64;
    (near, key, group, endpoint, model, counts, picodollars).prop_map(
        |(near, key, group, endpoint, model, counts, picodollars)| {
            let (has_usage, input, output, other, has_text) = counts;
            let mut usage = TokenUsage::default();
            if has_usage {
                usage.input_tokens = Some(input);
                usage.cached_input_tokens = Some(input / 3);
                usage.output_tokens = Some(output);
                usage.images = if endpoint.contains("images") { Some(output % 5) } else { None };
                usage.text_input_tokens = if has_text { Some(input / 2) } else { None };
            }
            let counted = if has_usage { input + output } else { 0 };
            let charge = Charge { tokens: counted + other, picodollars };
            TestCall { at: DAY + near, key, group, endpoint, model, charge, usage }
        },
    )
}

fn filters() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    let keys = subsequence(vec!["key_own", "key_group", "key_other", "key_gone", "absent"], 1..4);
    let projects = subsequence(vec!["", "g", "h", "absent"], 1..4);
    let models = subsequence(vec!["gpt-5", "gpt-5, mini", "absent"], 1..3);
    let filter = prop_oneof![
        3 => keys.prop_map(|values| ("api_key_ids", values)),
        3 => projects.prop_map(|values| ("project_ids", values)),
        3 => models.prop_map(|values| ("models", values)),
        1 => Just(("user_ids", vec!["user"])),
    ];
    // Each filter occurs once.
    vec(filter, 0..3)
        .prop_map(|filters| filters.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

fn query() -> impl Strategy<Value = NaiveQuery> {
    let caller = select(vec!["operator", "key_own", "key_group", "key_all", "key_lone"]);
    let kind = select(vec!["completions", "completions", "embeddings", "moderations", "images", "costs"]);
    let width = select(vec![60, 3_600, 86_400]);
    let group_by = subsequence(vec!["project_id", "api_key_id", "model", "user_id"], 0..5);
    (caller, kind, width, 0..7_200_i64, 1..100_i64, group_by, filters()).prop_map(
        |(caller, kind, width, start, length, mut group_by, mut filters)| {
            let (path, width) = match kind {
                "completions" => (COMPLETIONS, width),
                "embeddings" => ("/v1/organization/usage/embeddings", width),
                "moderations" => ("/v1/organization/usage/moderations", width),
                "images" => ("/v1/organization/usage/images", width),
                _ => (COSTS, 86_400),
            };
            if path == COSTS {
                group_by.iter_mut().filter(|name| **name == "model").for_each(|name| *name = "line_item");
                filters
                    .iter_mut()
                    .filter(|(name, _)| *name == "models")
                    .for_each(|(name, _)| *name = "line_items");
            }
            let start = DAY + start;
            // At most 100 minutes, 50 hours or 4 days.
            let end = start
                + 1
                + length
                    * match width {
                        60 => 60,
                        3_600 => 1_800,
                        _ => 3_456,
                    };
            NaiveQuery { caller, path, width, start, end, group_by, filters }
        },
    )
}

/// Reads all pages of a query through both layers. Checks and removes the names, and returns the buckets with amounts as text.
async fn read_pages(world: &World, query: &NaiveQuery, limit: usize) -> Vec<Value> {
    let first = format!("{}&limit={limit}", query.target());
    let mut target = first.clone();
    let mut buckets = Vec::new();
    loop {
        let response = world.send(query.caller, &target).await;
        assert_eq!(response.status(), 200, "{target}: {:?}", response.body());
        let page = parse(quote_amounts(response.body()).as_bytes());
        let page_buckets = page["data"].as_array().unwrap();
        assert!((1..=limit).contains(&page_buckets.len()));
        for bucket in page_buckets {
            buckets.push(without_names(bucket.clone(), query));
        }
        assert_eq!(page["has_more"], !page["next_page"].is_null());
        let Some(next_page) = page["next_page"].as_str() else { return buckets };
        target = format!("{first}&page={next_page}");
    }
}

/// Removes the names from the results of a bucket, which are those of the keys file.
fn without_names(mut bucket: Value, query: &NaiveQuery) -> Value {
    for result in bucket["results"].as_array_mut().unwrap() {
        let name = result.as_object_mut().unwrap().remove("api_key_name").unwrap();
        match result["api_key_id"].as_str() {
            Some(id) => assert_eq!(name, query.name_of(id), "{id}"),
            None => assert_eq!(name, Value::Null),
        }
    }
    bucket
}

/// Writes each amount as a text, so that it is compared with all its digits.
fn quote_amounts(body: &[u8]) -> String {
    const START: &str = r#""amount":{"value":"#;
    let text = String::from_utf8(body.to_vec()).unwrap();
    let mut parts = text.split(START);
    let mut quoted = parts.next().unwrap().to_owned();
    for part in parts {
        let (amount, rest) = part.split_once(',').unwrap();
        quoted += &format!(r#"{START}"{amount}",{rest}"#);
    }
    quoted
}

/// Returns the sums of all numbers in the results of each bucket, with the picodollars of the amounts.
fn totals(buckets: &[Value]) -> Vec<Map<String, Value>> {
    let mut totals = Vec::new();
    for bucket in buckets {
        let mut sums = Map::new();
        for result in bucket["results"].as_array().unwrap() {
            add_numbers(&mut sums, result);
            if let Some(amount) = result["amount"]["value"].as_str() {
                let (whole, decimals) = amount.split_once('.').unwrap();
                let picodollars: u64 = format!("{whole}{decimals:0<12}").parse().unwrap();
                add_numbers(&mut sums, &json!({"picodollars": picodollars}));
            }
        }
        totals.push(sums);
    }
    totals
}

/// Settles the calls, deletes the rows before an hour, and compares the responses with the naive ones.
async fn compare(
    fixture: Fixture,
    calls: Vec<TestCall>,
    deleted_hours: i64,
    query: NaiveQuery,
    limit: usize,
) {
    let world = World::new(fixture);
    for call in &calls {
        world.add(call).await;
    }
    let deleted_before = DAY + deleted_hours * 3_600;
    world.delete_rows(deleted_before).await;
    if query.width == 60 && query.start - query.start % 60 < deleted_before {
        let response = world.send(query.caller, &query.target()).await;
        assert_eq!(
            (response.status().as_u16(), &parse(response.body())["error"]["param"]),
            (400, &json!("start_time"))
        );
        return;
    }
    let expected = query.buckets(&calls);
    let joined = read_pages(&world, &query, limit.max(expected.len() / 5)).await;
    assert_eq!(joined, expected, "{}", query.target());
    assert_eq!(read_pages(&world, &query, expected.len()).await, joined);
    let ungrouped = NaiveQuery { group_by: Vec::new(), ..query };
    assert_eq!(totals(&joined), totals(&read_pages(&world, &ungrouped, expected.len()).await));
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn responses_from_memory_equal_a_fold_of_the_calls(
        calls in vec(test_call(), 0..24),
        deleted_hours in -1..30_i64,
        query in query(),
        limit in 1..4_usize,
    ) {
        run(compare(Fixture::memory(), calls, deleted_hours, query, limit));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn responses_from_a_file_equal_a_fold_of_the_calls(
        calls in vec(test_call(), 0..24),
        deleted_hours in -1..30_i64,
        query in query(),
        limit in 1..4_usize,
    ) {
        run(compare(Fixture::sqlite(), calls, deleted_hours, query, limit));
    }
}
