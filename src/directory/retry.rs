//! When to ask again: as the API says, or after a growing, jittered while; never beyond a given moment.

use super::fault::Fault;
use backon::{ExponentialBuilder, Retryable};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep};

/// The first wait. The next ones double, and up to as much again is added at random, so that requests that failed
/// together do not come back together. Not even `Retry-After: 0` makes it shorter.
const LEAST: Duration = Duration::from_millis(500);

/// The longest wait that nobody asked for.
const MOST: Duration = Duration::from_secs(20);

/// Asks until there is an answer, a fault that will not pass, or no time left to wait. `again` hears of each retry.
pub(super) async fn patiently<T, F>(
    ask: impl FnMut() -> F,
    give_up: Instant,
    mut again: impl FnMut(&Fault),
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let growing = ExponentialBuilder::new()
        .with_min_delay(LEAST)
        .with_max_delay(MOST)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times();
    ask.retry(growing)
        .sleep(sleep)
        .when(Fault::is_passing)
        .adjust(|fault, growing| {
            let wait = fault.retry_after().map(|asked| asked.max(LEAST)).or(growing)?;
            (Instant::now() + wait < give_up).then_some(wait)
        })
        .notify(|fault, _| again(fault))
        .await
}

/// How long the API asks to wait: seconds or a date (RFC 9110 §10.2.3), or OpenAI's milliseconds.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    // More than anyone would wait, and far from where an instant overflows.
    const A_DAY: u64 = 24 * 60 * 60;
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(milliseconds).min(Duration::from_secs(A_DAY)));
    }
    let text = text(RETRY_AFTER.as_str())?;
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are a long time too.
        Duration::from_secs(text.parse().unwrap_or(A_DAY))
    } else {
        // A date that has passed means now.
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(Duration::from_secs(A_DAY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(name: &'static str, value: &'static str) -> Option<Duration> {
        // 2026-11-21T13:00:00Z.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_266_000);
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_in_seconds_as_a_date_or_in_milliseconds() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(asked("retry-after", "7"), seconds(7));
        assert_eq!(asked("retry-after", " 0 "), seconds(0));
        assert_eq!(asked("retry-after", "99999999999999999999999"), seconds(86_400));
        assert_eq!(asked("retry-after", "Sat, 21 Nov 2026 13:00:30 GMT"), seconds(30));
        assert_eq!(asked("retry-after", "Saturday, 21-Nov-26 13:00:30 GMT"), seconds(30));
        assert_eq!(asked("retry-after", "Sat, 21 Nov 2026 12:00:00 GMT"), seconds(0));
        assert_eq!(asked("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT"), seconds(86_400));
        assert_eq!(asked("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        for odd in ["", "soon", "-1", "1.5", "2026-11-21T13:00:30Z"] {
            assert_eq!(asked("retry-after", odd), None, "{odd}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::now()), None);
    }

    /// Answers with these faults in turn and then with the time that has passed.
    async fn after(faults: Vec<Fault>, patience: u64) -> (Result<Duration, Fault>, usize) {
        let (start, mut retries) = (Instant::now(), 0);
        let mut faults = faults.into_iter();
        let ask = || {
            let fault = faults.next();
            async move { fault.map_or(Ok(start.elapsed()), Err) }
        };
        let answer = patiently(ask, start + Duration::from_secs(patience), |_| retries += 1).await;
        (answer, retries)
    }

    fn busy(seconds: Option<u64>) -> Fault {
        Fault::Busy { status: 429, retry_after: seconds.map(Duration::from_secs) }
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_as_long_as_it_is_asked_to() {
        let (answer, retries) = after(vec![busy(Some(7)), busy(Some(40))], 60).await;
        let took = answer.unwrap();
        assert!(took >= Duration::from_secs(47) && took < Duration::from_secs(48), "{took:?}");
        assert_eq!(retries, 2);
        // Asked for longer than there is: not waited for at all.
        assert_eq!(after(vec![busy(Some(61))], 60).await, (Err(busy(Some(61))), 0));
        assert!(after(vec![busy(Some(0))], 60).await.0.unwrap() >= LEAST);
    }

    #[tokio::test(start_paused = true)]
    async fn else_it_waits_longer_each_time_and_ends_in_time() {
        let (answer, retries) = after(vec![busy(None); 4], 60).await;
        let took = answer.unwrap();
        assert!(took >= LEAST * 15 && took <= LEAST * 30, "{took:?}");
        assert_eq!(retries, 4);
        let start = Instant::now();
        let (answer, retries) = after(vec![Fault::Slow(LEAST); 1000], 60).await;
        assert_eq!(answer, Err(Fault::Slow(LEAST)));
        assert!(retries < 20 && start.elapsed() <= Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_not_asked_again() {
        for fault in [Fault::Refused(403), Fault::Absent, Fault::NotAList, Fault::TooLong { limit: 1 }] {
            assert_eq!(after(vec![fault.clone()], 60).await, (Err(fault), 0));
        }
    }
}
