//! Faults of the API: retries, missing parts, and their messages.
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_api_key_name::names::Provider;
use tower_api_key_name::{KeyNames, SharedKeyNames};

use api_key_name_proxy::spend::{DayRange, Dimension, Every, SpendQuery, run};

use crate::organization::{
    FakeApi, NOW, Organization, Received, Reply, SECRET, day, november, openai_row, query, rows,
};

/// Two days with costs of one key.
fn two_days() -> Organization {
    Organization::default()
        .openai_row(day("2026-11-01"), openai_row(Some("key_a"), "1", "usd"))
        .openai_row(day("2026-11-02"), openai_row(Some("key_a"), "2", "usd"))
}

/// The request target of the first page.
const FIRST_PAGE: &str =
    "/v1/organization/costs?start_time=1793491200&end_time=1793664000&bucket_width=1d&limit=1";

fn by_key() -> SpendQuery {
    query(november(1, 2), Every::Total, &[Dimension::KeyName], Provider::OpenAi)
}

/// Serves two days with a hook for their requests.
async fn serve_with(hook: impl Fn(&Received<'_>) -> Option<Reply> + Send + Sync + 'static) -> FakeApi {
    two_days().hook(hook).serve(&[("key_a", "Alpha")]).await
}

#[tokio::test]
async fn page_after_429_or_5xx_is_requested_again() {
    let api = serve_with(|received| match received.number {
        1 => Some(Reply::error(429, "slow down").header("retry-after", "0")),
        3 => Some(Reply::error(503, "overloaded")),
        _ => None,
    })
    .await;
    let progress = Mutex::default();
    let report = api.run_with_progress(&by_key(), |now| *progress.lock().unwrap() = now).await;
    assert_eq!(report.missing_costs, [""; 0]);
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 3"]);
    let last = *progress.lock().unwrap();
    assert_eq!((last.days_done, last.days, last.pages, last.rows, last.retries), (2, 2, 2, 2, 2));
}

#[tokio::test]
async fn page_that_breaks_off_is_read_again_and_counted_once() {
    for breaks_connection in [false, true] {
        let api = serve_with(move |received| {
            if received.number != 2 {
                return None;
            }
            let page = two_days().page(received);
            // After the row.
            let len = page.body.len() - 40;
            Some(if breaks_connection { page.broken_after(len) } else { page.truncated_to(len) })
        })
        .await;
        let report = api.run(&by_key()).await;
        assert_eq!(report.missing_costs, [""; 0]);
        assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 3"], "{breaks_connection}");
        assert_eq!(api.targets().len(), 3);
    }
}

#[tokio::test]
async fn page_that_always_breaks_off_is_missing_and_pages_before_it_are_kept() {
    let api = serve_with(|received| {
        let is_second_page = received.parameter("page").is_some();
        if is_second_page { Some(two_days().page(received).broken_after(100)) } else { None }
    })
    .await;
    let report = api.run(&by_key()).await;
    let start = "OpenAI: costs from 2026-11-02 to 2026-11-02: The upstream's response ended early";
    let sentence = &report.missing_costs[0];
    assert!(sentence.starts_with(start) && sentence.ends_with("; try later"), "{sentence}");
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 1"]);
    assert!(api.targets().len() > 2);
}

#[tokio::test]
async fn costs_by_key_that_are_refused_are_missing_with_a_hint() {
    let message = "Unsupported combination";
    let api = serve_with(move |_| Some(Reply::error(400, message))).await;
    let report = api.run(&by_key()).await;
    let sentence = format!(
        "OpenAI: costs from 2026-11-01 to 2026-11-02: 400: {message}; group by project_name instead (--by project_name)"
    );
    assert_eq!(report.missing_costs, [sentence]);
    assert_eq!(api.targets().len(), 1);

    let by_project = query(november(1, 2), Every::Total, &[Dimension::ProjectName], Provider::OpenAi);
    let report = api.run(&by_project).await;
    assert_eq!(
        report.missing_costs,
        [format!("OpenAI: costs from 2026-11-01 to 2026-11-02: 400: {message}")]
    );

    let focus = SpendQuery::focus(november(1, 2), vec![Provider::OpenAi]).unwrap();
    let report = api.run(&focus).await;
    assert!(
        report.missing_costs[0].contains("a FOCUS file needs costs by key"),
        "{:?}",
        report.missing_costs
    );
}

#[tokio::test]
async fn message_of_the_api_does_not_repeat_a_key() {
    let api = serve_with(|_| Some(Reply::error(401, &format!("Incorrect key {SECRET}, see docs")))).await;
    let report = api.run(&by_key()).await;
    assert_eq!(
        report.missing_costs,
        ["OpenAI: costs from 2026-11-01 to 2026-11-02: 401: Incorrect key (hidden) see docs"]
    );
}

#[tokio::test]
async fn error_that_must_not_be_retried_is_requested_once() {
    let api = serve_with(|_| Some(Reply::error(508, "loop").header("x-should-retry", "false"))).await;
    let report = api.run(&by_key()).await;
    assert_eq!(report.missing_costs, ["OpenAI: costs from 2026-11-01 to 2026-11-02: 508: loop"]);
    assert_eq!(api.targets().len(), 1);
}

#[tokio::test]
async fn repeated_cursor_ends_the_run() {
    let api = serve_with(|received| {
        let mut page = two_days().page(received);
        page.body = page.body.replace(
            r#""has_more":false,"next_page":null"#,
            r#""has_more":true,"next_page":"page+/1793577600=""#,
        );
        Some(page)
    })
    .await;
    let report = api.run(&by_key()).await;
    assert_eq!(
        report.missing_costs,
        ["OpenAI: costs from 2026-11-02 to 2026-11-02: page 2 has the cursor of an earlier page"]
    );
    assert_eq!(api.targets().len(), 2);
}

#[tokio::test]
async fn page_that_is_repeated_for_each_cursor_is_counted_once() {
    let api = serve_with(|received| {
        let is_first_page = received.parameter("page").is_none();
        if is_first_page { None } else { Some(two_days().page(&Received { number: 1, target: FIRST_PAGE })) }
    })
    .await;
    let report = api.run(&by_key()).await;
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 1"]);
    assert!(!report.has_all_costs());
}

#[tokio::test]
async fn costs_of_days_that_were_not_requested_are_left_out_and_reported() {
    let api = serve_with(|received| {
        let mut page = two_days().page(received);
        page.body = page.body.replace("1793491200", "1793318400").replace("1793577600", "1793404800");
        Some(page)
    })
    .await;
    let report = api.run(&query(november(1, 1), Every::Total, &[Dimension::KeyName], Provider::OpenAi)).await;
    assert!(report.is_empty());
    assert!(report.missing_costs[0].ends_with("left out (rows: 1)"), "{:?}", report.missing_costs);
}

#[tokio::test]
async fn page_that_gets_no_names_is_missing() {
    for content_type in ["text/plain", "application/octet-stream"] {
        let api = serve_with(move |received| Some(Reply { content_type, ..two_days().page(received) })).await;
        let report = api.run(&by_key()).await;
        assert!(report.is_empty(), "{content_type}");
        assert!(report.missing_costs[0].contains("check the base URL"), "{:?}", report.missing_costs);
        // A result without names does not need them.
        let by_id = query(november(1, 2), Every::Total, &[Dimension::KeyId], Provider::OpenAi);
        assert_eq!(rows(&api.run(&by_id).await), ["2026-11-01 key_a 1 USD 3"]);
    }
}

#[tokio::test]
async fn buckets_out_of_order_make_all_days_missing() {
    let api = serve_with(|received| match received.number {
        1 => {
            let mut page = two_days().page(received);
            page.body =
                page.body.replace("1793491200,\"end_time\":1793577600", "1793577600,\"end_time\":1793664000");
            Some(page)
        }
        _ => Some(Reply::error(403, "forbidden")),
    })
    .await;
    let report = api.run(&by_key()).await;
    assert_eq!(report.missing_costs, ["OpenAI: costs from 2026-11-01 to 2026-11-02: 403: forbidden"]);
}

#[tokio::test]
async fn response_that_is_no_page_is_missing() {
    let api = serve_with(|_| Some(Reply::ok("<html>"))).await;
    let report = api.run(&by_key()).await;
    let reason = "page 1: the response is not a page of costs; check the base URL";
    assert_eq!(report.missing_costs, [format!("OpenAI: costs from 2026-11-01 to 2026-11-02: {reason}")]);
}

#[tokio::test]
async fn rows_without_the_requested_key_are_reported() {
    let api = two_days()
        .openai_row(day("2026-11-01"), r#"{"amount":{"value":1,"currency":"usd"}}"#.to_owned())
        .serve(&[("key_a", "Alpha")])
        .await;
    let report = api.run(&by_key()).await;
    assert_eq!(report.missing_costs, ["OpenAI: the API did not group all rows as requested (rows: 1)"]);
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 3", "2026-11-01 absent 0 USD 1"]);
}

#[tokio::test]
async fn provider_that_fails_does_not_stop_the_other() {
    let api = two_days()
        .hook(|received| {
            let is_anthropic = received.target.starts_with("/v1/organizations/");
            if is_anthropic { Some(Reply::error(403, "forbidden")) } else { None }
        })
        .serve(&[("key_a", "Alpha")])
        .await;
    let providers = vec![Provider::Anthropic, Provider::OpenAi];
    let query = SpendQuery::new(november(1, 2), Every::Total, vec![Dimension::KeyName], providers).unwrap();
    let report = api.run(&query).await;
    assert_eq!(report.missing_costs, ["Anthropic: costs from 2026-11-01 to 2026-11-02: 403: forbidden"]);
    assert_eq!(rows(&report), ["2026-11-01 Alpha 1 USD 3"]);
}

#[tokio::test]
async fn range_that_is_rejected_does_not_stop_the_next_one() {
    let api = Organization::default()
        .anthropic_row(day("2026-10-01"), r#""api_key_id":"k""#, "100")
        .anthropic_row(day("2026-12-30"), r#""api_key_id":"k""#, "200")
        .hook(|received| match received.number {
            2 => Some(Reply::error(400, "too far")),
            _ => None,
        })
        .serve(&[])
        .await;
    let days = DayRange { first: day("2026-10-01"), last: day("2026-12-30") };
    let report = api.run(&query(days, Every::Total, &[Dimension::KeyName], Provider::Anthropic)).await;
    assert_eq!(report.missing_costs, ["Anthropic: costs from 2026-11-01 to 2026-12-01: 400: too far"]);
    assert_eq!(rows(&report), ["2026-10-01 (k) 1 USD 3"]);
}

#[tokio::test]
async fn dropped_run_ends_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let api = FakeApi::new(base, SharedKeyNames::new(KeyNames::default()));
    let upstream = api.upstream(&by_key(), Provider::OpenAi);
    // The future can run on another thread.
    let running = tokio::spawn(run(by_key(), vec![upstream], NOW.parse().unwrap(), |_| {}));

    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let start =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{\"data\":[";
    stream.write_all(start.as_bytes()).await.unwrap();
    running.abort();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok());
}
