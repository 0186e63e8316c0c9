//! Responses of the demo API, and its clock.
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;

/// Seconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60;

/// A response of the demo API: status and JSON.
pub(super) struct DemoResponse(pub(super) StatusCode, pub(super) String);

/// A page of the demo API, or the error response to an invalid request.
pub(super) type DemoResult = Result<DemoResponse, DemoResponse>;

/// Returns an error in OpenAI's form, which has all four members.
pub(super) fn error_response(
    status: StatusCode,
    message: &str,
    param: Option<&str>,
    code: &str,
) -> DemoResponse {
    let body = serde_json::json!({
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    });
    DemoResponse(status, body.to_string())
}

/// Returns the time in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

/// The output function of SplitMix64, which maps neighbours to distant numbers.
pub(super) fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
