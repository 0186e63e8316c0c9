//! The refusals of calls that the ledger does not admit.

use super::gate::{Refusal, RefusalKind};
use super::keys::{Limit, Meter, Window};
use super::ledger::{AdmissionError, FailedLimit, LimitKind, Owner};
use super::picodollars::Picodollars;

/// The seconds after which a client may repeat a call that was refused because of others in flight, or of a full disk.
const RETRY_SECONDS: u64 = 1;

/// Creates the refusal of a call. It contains the limit that does not permit the call, but not the use by other keys.
pub(super) fn refuse_admission(error: &AdmissionError) -> Refusal {
    match error {
        AdmissionError::Exhausted { limit, retry_after } => refuse_exhausted(limit, *retry_after),
        AdmissionError::Busy { limit } => {
            let message = format!("{} Repeat the request when a call has ended.", describe_busy(limit));
            Refusal::new(RefusalKind::QuotaBusy, message).retry_after(RETRY_SECONDS)
        }
        // The error of the store contains the path of a file.
        AdmissionError::Unavailable(_) => {
            let message = "The ledger of this service cannot record the call. Repeat the request later.";
            Refusal::new(RefusalKind::LedgerUnavailable, message).retry_after(RETRY_SECONDS)
        }
    }
}

/// Creates the refusal by a limit that is used up. `retry_after` is `None` if no window follows.
fn refuse_exhausted(limit: &FailedLimit, retry_after: Option<u64>) -> Refusal {
    let owner = describe_owner(&limit.owner);
    let amount = describe_limit(&limit.kind);
    let (LimitKind::Amount(Limit { window, .. }), Some(seconds)) = (limit.kind, retry_after) else {
        let message = format!("{owner} has used up its {amount}. This limit has no next window.");
        return Refusal::new(RefusalKind::QuotaExhausted, message).forbid_retry();
    };
    let window = window.as_str();
    let wait = describe_seconds(seconds);
    let message = format!("{owner} has used up its {amount}. The next {window} starts in {wait}.");
    Refusal::new(RefusalKind::QuotaExhausted, message).retry_after(seconds).forbid_retry()
}

fn describe_busy(limit: &FailedLimit) -> String {
    let owner = describe_owner(&limit.owner);
    let amount = describe_limit(&limit.kind);
    match limit.kind {
        LimitKind::Amount(_) => format!("{owner} has calls in flight that may use up its {amount}."),
        LimitKind::Parallel(_) => format!("{owner} has its {amount}."),
    }
}

fn describe_owner(owner: &Owner) -> &'static str {
    match owner {
        Owner::Key(_) => "The key",
        Owner::Group(_) => "The group of the key",
    }
}

/// Returns a limit as text, such as `200000 tokens per day`.
fn describe_limit(limit: &LimitKind) -> String {
    let Limit { meter, window, amount } = match limit {
        LimitKind::Amount(limit) => *limit,
        LimitKind::Parallel(1) => return "1 call in flight".to_owned(),
        LimitKind::Parallel(count) => return format!("{count} calls in flight"),
    };
    let quantity = match (meter, amount) {
        (Meter::Requests, 1) => "1 request".to_owned(),
        (Meter::Requests, _) => format!("{amount} requests"),
        (Meter::Tokens, 1) => "1 token".to_owned(),
        (Meter::Tokens, _) => format!("{amount} tokens"),
        (Meter::Dollars, _) => format!("${}", Picodollars(amount)),
    };
    match window {
        Window::Ever => quantity,
        _ => format!("{quantity} per {}", window.as_str()),
    }
}

/// Returns a duration in its largest suitable unit, rounded up.
fn describe_seconds(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(MINUTE)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(HOUR)),
        _ => format!("{} days", seconds.div_ceil(DAY)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::names::Provider;

    fn amount(meter: Meter, window: Window, amount: u64) -> FailedLimit {
        FailedLimit {
            owner: Owner::Key("k".into()),
            kind: LimitKind::Amount(Limit { meter, window, amount }),
        }
    }

    /// Returns the message of an exhausted limit.
    fn exhausted(limit: FailedLimit, retry_after: Option<u64>) -> String {
        refuse_admission(&AdmissionError::Exhausted { limit, retry_after }).message().to_owned()
    }

    #[test]
    fn exhausted_limit_is_described_with_the_time_to_its_next_window() {
        let day = amount(Meter::Tokens, Window::Day, 200_000);
        let text = "The key has used up its 200000 tokens per day. The next day starts in 5 h.";
        assert_eq!(exhausted(day, Some(4 * 3_600 + 1)), text);
        let month = FailedLimit {
            owner: Owner::Group("g".into()),
            ..amount(Meter::Dollars, Window::Month, 25_000_000_000_000)
        };
        let text = "The group of the key has used up its $25.00 per month. The next month starts in 3 days.";
        assert_eq!(exhausted(month, Some(172_801)), text);
        let text = "The key has used up its 1 request per minute. The next minute starts in 45 s.";
        assert_eq!(exhausted(amount(Meter::Requests, Window::Minute, 1), Some(45)), text);
    }

    #[test]
    fn exhausted_limit_without_a_window_has_no_time() {
        let text = "The key has used up its $0.000001. This limit has no next window.";
        assert_eq!(exhausted(amount(Meter::Dollars, Window::Ever, 1_000_000), None), text);
    }

    #[test]
    fn busy_limit_is_described_without_the_use_of_others() {
        let limit = amount(Meter::Requests, Window::Hour, 60);
        let text = "The key has calls in flight that may use up its 60 requests per hour. \
                    Repeat the request when a call has ended.";
        assert_eq!(refuse_admission(&AdmissionError::Busy { limit }).message(), text);
        let limit = FailedLimit { owner: Owner::Key("k".into()), kind: LimitKind::Parallel(8) };
        let text = "The key has its 8 calls in flight. Repeat the request when a call has ended.";
        assert_eq!(refuse_admission(&AdmissionError::Busy { limit }).message(), text);
    }

    #[test]
    fn refusals_have_the_codes_and_headers_by_which_sdks_decide_to_repeat() {
        let limit = amount(Meter::Tokens, Window::Day, 5);
        let exhausted = AdmissionError::Exhausted { limit: limit.clone(), retry_after: Some(7) };
        let ever = AdmissionError::Exhausted { limit: limit.clone(), retry_after: None };
        let quota = ("insufficient_quota", "insufficient_quota");
        for (error, status, codes, retry_after, should_retry) in [
            (exhausted, 429, quota, Some("7"), Some("false")),
            (ever, 429, quota, None, Some("false")),
            (AdmissionError::Busy { limit }, 429, ("requests", "rate_limit_exceeded"), Some("1"), None),
        ] {
            let response = refuse_admission(&error).response(Provider::OpenAi);
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(
                (body["error"]["type"].as_str().unwrap(), body["error"]["code"].as_str().unwrap()),
                codes
            );
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!((header("retry-after"), header("x-should-retry")), (retry_after, should_retry));
            let response = refuse_admission(&error).response(Provider::Anthropic);
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["error"]["type"], "rate_limit_error");
        }
    }
}
