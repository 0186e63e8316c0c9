use super::*;
use http::HeaderValue;

fn requested(name: &'static str, value: &'static str) -> Option<Duration> {
    // 2026-11-21T13:00:00Z.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_266_000);
    let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
    retry_after(&headers, now)
}

#[test]
fn retry_after_in_each_form_is_parsed() {
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(requested("retry-after", "7"), seconds(7));
    assert_eq!(requested("retry-after", " 0 "), seconds(0));
    assert_eq!(requested("retry-after", "99999999999999999999999"), seconds(86_400));
    assert_eq!(requested("retry-after", "Sat, 21 Nov 2026 13:00:30 GMT"), seconds(30));
    assert_eq!(requested("retry-after", "Saturday, 21-Nov-26 13:00:30 GMT"), seconds(30));
    assert_eq!(requested("retry-after", "Sat, 21 Nov 2026 12:00:00 GMT"), seconds(0));
    assert_eq!(requested("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT"), seconds(86_400));
    assert_eq!(requested("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
    for invalid in ["", "soon", "-1", "1.5", "2026-11-21T13:00:30Z"] {
        assert_eq!(requested("retry-after", invalid), None, "{invalid}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
}

/// Retries with these errors in turn, and then success. Returns the elapsed time and the number of retries.
async fn elapsed(errors: Vec<ListError>, seconds: u64) -> (Result<Duration, ListError>, usize) {
    let (start, mut retries) = (Instant::now(), 0);
    let mut errors = errors.into_iter();
    let attempt = || {
        let error = errors.next();
        async move { error.map_or(Ok(start.elapsed()), Err) }
    };
    let result = retry(attempt, start + Duration::from_secs(seconds), |_| retries += 1).await;
    (result, retries)
}

fn unavailable(seconds: Option<u64>) -> ListError {
    ListError::Unavailable { status: 429, retry_after: seconds.map(Duration::from_secs) }
}

#[tokio::test(start_paused = true)]
async fn requested_delay_is_honoured() {
    let (result, retries) = elapsed(vec![unavailable(Some(7)), unavailable(Some(40))], 60).await;
    let elapsed_time = result.unwrap();
    assert!(
        elapsed_time >= Duration::from_secs(47) && elapsed_time < Duration::from_secs(48),
        "{elapsed_time:?}"
    );
    assert_eq!(retries, 2);
    assert!(elapsed(vec![unavailable(Some(0))], 60).await.0.unwrap() >= MIN_DELAY);
}

#[tokio::test(start_paused = true)]
async fn requested_delay_beyond_the_end_is_not_waited_for() {
    assert_eq!(elapsed(vec![unavailable(Some(61))], 60).await, (Err(unavailable(Some(61))), 0));
}

#[tokio::test(start_paused = true)]
async fn backoff_without_a_requested_delay_doubles() {
    let (result, retries) = elapsed(vec![unavailable(None); 4], 60).await;
    let elapsed_time = result.unwrap();
    assert!(elapsed_time >= MIN_DELAY * 15 && elapsed_time <= MIN_DELAY * 30, "{elapsed_time:?}");
    assert_eq!(retries, 4);
}

#[tokio::test(start_paused = true)]
async fn transient_error_without_end_is_given_up_in_time() {
    let start = Instant::now();
    let timeout = ListError::Timeout { after: MIN_DELAY };
    let (result, retries) = elapsed(vec![timeout.clone(); 1000], 60).await;
    assert_eq!(result, Err(timeout));
    assert!(retries < 20 && start.elapsed() <= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn permanent_error_is_not_retried() {
    for error in
        [ListError::Forbidden, ListError::NotFound, ListError::NotAPage, ListError::PageTooLong { limit: 1 }]
    {
        assert_eq!(elapsed(vec![error.clone()], 60).await, (Err(error), 0));
    }
}
