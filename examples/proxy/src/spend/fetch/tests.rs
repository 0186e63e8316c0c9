use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::civil::date;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};
use tower_api_key_name::names::Provider;

use super::*;
use crate::spend::cost_api::CostApi;
use crate::spend::cost_page::PageError;
use crate::spend::periods::Every;
use crate::spend::query::Dimension;
use crate::spend::report::SpendReport;

const PAGE: &str = r#"{"data":[],"has_more":false}"#;

/// The status, the headers and the body of a response.
type Reply<'a> = (u16, &'static [(&'static str, &'static str)], &'a str);

/// The result of a page, the seconds until then, and the number of retries.
struct Fetched {
    result: Result<CostPage, FetchError>,
    seconds: f64,
    retry_count: u64,
    /// The number of rows in each report of the progress.
    row_counts: Vec<u64>,
}

/// Fetches a page from an upstream that sends replies in order, and the last one for ever. Its retries end after 60 s.
async fn fetch(replies: &[Reply<'_>]) -> Fetched {
    let owned = replies.iter().map(|(status, headers, body)| (*status, *headers, body.to_string()));
    let remaining = Arc::new(Mutex::new(owned.collect::<VecDeque<_>>()));
    let service = service_fn(move |_: Request<Option<Incoming>>| {
        let mut remaining = remaining.lock().unwrap();
        let (status, headers, body) = remaining[0].clone();
        if remaining.len() > 1 {
            remaining.pop_front();
        }
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| -> BoxError { match never {} });
        let response = response.body(body.boxed_unsync()).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    let days = DayRange { first: date(2026, 11, 1), last: date(2026, 11, 1) };
    let query = SpendQuery::new(days, Every::Day, vec![Dimension::KeyId], vec![Provider::OpenAi]).unwrap();
    let progress = Mutex::new(Vec::<SpendProgress>::new());
    let report = SpendReport::new(query.clone(), date(2026, 12, 1));
    let state = RunState::new(report, 1, |now| progress.lock().unwrap().push(now));
    let upstream = CostUpstream {
        api: CostApi::of(Provider::OpenAi),
        service: BoxCloneSyncService::new(service),
        headers: HeaderMap::new(),
    };
    let retry_timeout = Duration::from_secs(60);
    let mut fetcher = CostFetcher { upstream, query: &query, state: &state, retry_timeout };
    let start = Instant::now();
    let result = fetcher.fetch("/v1/organization/costs?limit=1", days).await;
    let seconds = start.elapsed().as_secs_f64();
    let progress = progress.lock().unwrap();
    let retry_count = progress.last().map_or(0, |last| last.retries);
    Fetched { result, seconds, retry_count, row_counts: progress.iter().map(|now| now.rows).collect() }
}

#[tokio::test(start_paused = true)]
async fn requested_delay_precedes_the_retry() {
    for (headers, seconds) in [
        (&[("retry-after", "7")][..], 7.0),
        (&[("retry-after-ms", "1500")], 1.5),
        (&[("retry-after", "0")], 0.5),
        (&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], 0.5),
    ] {
        for status in [429, 500, 503] {
            let fetched = fetch(&[(status, headers, "{}"), (200, &[], PAGE)]).await;
            assert!(fetched.result.is_ok());
            assert_eq!(fetched.retry_count, 1);
            let difference = fetched.seconds - seconds;
            assert!((0.0..0.01).contains(&difference), "{headers:?}: {}", fetched.seconds);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn backoff_grows_and_ends_with_the_time_for_retries() {
    let fetched = fetch(&[(500, &[], r#"{"error":{"message":"internal"}}"#)]).await;
    assert_eq!(fetched.result.unwrap_err().to_string(), "500: internal");
    // 0.5 + 1 + 2 + 4 + 8 + 16 + 20 s without jitter, which at most doubles each delay.
    assert!((4..=7).contains(&fetched.retry_count), "{}", fetched.retry_count);
    assert!((20.0..=60.0).contains(&fetched.seconds), "{}", fetched.seconds);
}

#[tokio::test(start_paused = true)]
async fn upstream_without_a_connection_is_retried_for_half_a_minute() {
    let text = "The upstream cannot be reached: connection refused".to_owned();
    let error = FetchError::NoResponse { text, is_transient: true, is_unreachable: true };
    let mut budget = RetryBudget::new(Duration::from_secs(300));
    let mut waited = Duration::ZERO;
    while let Some(delay) = budget.next_delay(&error) {
        tokio::time::advance(delay).await;
        waited += delay;
    }
    assert!(waited > Duration::from_secs(5) && waited <= CONNECT_TIMEOUT, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn page_that_is_cut_each_time_is_given_up() {
    let fetched = fetch(&[(200, &[], r#"{"data":["#)]).await;
    assert_eq!(fetched.result.unwrap_err(), FetchError::Page(PageError::Truncated));
    assert_eq!(fetched.retry_count, u64::from(MAX_TRUNCATIONS));
}

#[tokio::test(start_paused = true)]
async fn delay_beyond_the_time_for_retries_is_not_waited_for() {
    let fetched = fetch(&[(429, &[("retry-after", "61")], "{}")]).await;
    assert_eq!(fetched.result.unwrap_err().to_string(), "429: Too Many Requests");
    assert_eq!((fetched.seconds, fetched.retry_count), (0.0, 0));
}

#[tokio::test(start_paused = true)]
async fn final_errors_are_not_retried() {
    for (reply, text) in [
        ((508, &[("x-should-retry", "false")][..], "{}"), "508: Loop Detected"),
        ((429, &[("x-should-retry", "false")], "{}"), "429: Too Many Requests"),
        ((404, &[], "<html>"), "404: Not Found"),
        ((501, &[], ""), "501: Not Implemented"),
        ((505, &[], ""), "505: HTTP Version Not Supported"),
        ((508, &[], ""), "508: Loop Detected"),
        ((301, &[], ""), "301: Moved Permanently"),
        ((200, &[], "{]"), "the response is not valid JSON"),
    ] {
        let fetched = fetch(&[reply]).await;
        assert_eq!(fetched.result.unwrap_err().to_string(), text);
        assert_eq!((fetched.seconds, fetched.retry_count), (0.0, 0), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn truncated_page_is_retried() {
    let fetched = fetch(&[(200, &[], r#"{"data":["#), (200, &[], ""), (200, &[], PAGE)]).await;
    assert!(fetched.result.is_ok());
    assert_eq!(fetched.retry_count, 2);
    let fetched = fetch(&[(200, &[], r#"{"data":["#)]).await;
    assert_eq!(fetched.result.unwrap_err(), FetchError::Page(PageError::Truncated));
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_failed_page_are_subtracted_from_the_progress() {
    let rows = vec!["{}"; 10_001].join(",");
    let page = format!(r#"{{"data":[{{"start_time":0,"results":[{rows}]}}]}}"#);
    let truncated = &page[..page.len() - 1];
    let fetched = fetch(&[(200, &[], truncated), (200, &[], &page)]).await;
    assert!(fetched.result.is_ok());
    // The rows of the first attempt, without them, the retry, and the rows of the second attempt.
    assert_eq!(fetched.row_counts, [10_001, 0, 0, 10_001, 10_001]);
}
