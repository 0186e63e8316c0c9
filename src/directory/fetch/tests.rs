use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tower::service_fn;

use super::*;

/// Fetches a page from an API that responds with these statuses and `Retry-After` headers in turn, and then with a page.
/// Returns the result, the elapsed time and the number of retries.
async fn fetch(
    responses: &[(u16, Option<&'static str>)],
    seconds: u64,
) -> (Result<ListPage, ListError>, Duration, usize) {
    let responses = Arc::new(Mutex::new(VecDeque::from(responses.to_vec())));
    let client = ApiClient::new(service_fn(move |_: Request<Empty<Bytes>>| {
        let next = responses.lock().unwrap().pop_front();
        async move {
            let (status, retry_after) = next.unwrap_or((200, None));
            let mut response = Response::new(Full::new(Bytes::from_static(br#"{"data":[]}"#)));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some(delay) = retry_after {
                response.headers_mut().insert("retry-after", delay.parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        }
    }));
    let seconds = Duration::from_secs(seconds);
    let limits =
        FetchLimits { timeout: seconds, retry_timeout: seconds, deadline: seconds * 2, page_limit: 1 << 20 };
    let fetcher = PageFetcher::new(&client, &limits, HeaderMap::new());
    let start = Instant::now();
    let result = fetcher.fetch(&Uri::from_static("http://x/"), Paging::After).await;
    (result, start.elapsed(), fetcher.retry_count.into_inner())
}

#[tokio::test(start_paused = true)]
async fn requested_delay_is_honoured() {
    let (result, elapsed, retries) = fetch(&[(429, Some("7")), (503, Some("40"))], 60).await;
    assert!(result.is_ok() && retries == 2);
    assert!(elapsed >= Duration::from_secs(47) && elapsed < Duration::from_secs(48), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn requested_delay_of_zero_is_half_a_second() {
    assert!(fetch(&[(429, Some("0"))], 60).await.1 >= MIN_DELAY);
}

#[tokio::test(start_paused = true)]
async fn requested_delay_beyond_the_end_is_not_waited_for() {
    let (result, elapsed, retries) = fetch(&[(429, Some("61"))], 60).await;
    let delay = Some(Duration::from_secs(61));
    let error = ListError::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after: delay };
    assert_eq!((result, elapsed.as_secs(), retries), (Err(error), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn backoff_without_a_requested_delay_doubles() {
    let (result, elapsed, retries) = fetch(&[(500, None); 4], 60).await;
    assert!(result.is_ok() && retries == 4);
    assert!(elapsed >= MIN_DELAY * 15 && elapsed <= MIN_DELAY * 30, "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn transient_error_without_end_is_given_up_in_time() {
    let (result, elapsed, retries) = fetch(&[(502, None); 1000], 60).await;
    assert!(result.unwrap_err().is_transient());
    assert!(retries < 20 && elapsed <= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn permanent_error_is_not_retried() {
    for status in [204, 302, 400, 401, 403, 404] {
        let (result, _, retries) = fetch(&[(status, None)], 60).await;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!((result, retries), (Err(ListError::Status { status, retry_after: None }), 0));
    }
}
