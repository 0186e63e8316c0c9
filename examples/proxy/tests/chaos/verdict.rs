//! The check of a response: exactly the oracle's, or an error in OpenAI's form, or visibly broken off.
use crate::coding;
use crate::fixtures::Fixtures;
use crate::plan::Plan;
use crate::wire::Headers;

/// The result of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Exactly the expected response.
    Complete,
    /// An error of the proxy with this status.
    Error(u16),
    /// The connection or the stream broke off.
    Broken,
    /// The client disconnected before the end.
    Disconnected,
}

/// A response as far as it was received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) end: BodyEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Clean,
    Broken,
    /// The client stopped reading.
    NotReached,
}

/// Checks a response. `None` means that the connection ended before complete headers.
pub(crate) fn check(
    fixtures: &Fixtures,
    plan: &Plan,
    received: Option<&Received>,
) -> Result<Outcome, String> {
    let Some(received) = received else { return Ok(Outcome::Broken) };
    let decoded = decode_response(plan, received)?;
    let received = decoded.as_ref().unwrap_or(received);
    if let Some(status) = own_error(received) {
        return check_error(plan, received, status);
    }
    let incomplete =
        if received.end == BodyEnd::NotReached { Outcome::Disconnected } else { Outcome::Broken };
    match received.headers.get("x-nonce") {
        Some(nonce) if nonce == plan.nonce => {}
        // An error that the client did not read completely.
        None if received.end != BodyEnd::Clean && matches!(received.status, 400 | 408 | 502 | 504) => {
            return Ok(incomplete);
        }
        _ => return Err("the response to another request".into()),
    }
    let newest = fixtures.newest();
    match (&plan.script.expected, received.end) {
        (None, BodyEnd::Clean) => {
            Err(format!("a clean end of a response that has none: {}", excerpt(&received.body)))
        }
        (Some(whole), BodyEnd::Clean) => {
            let coding = if decoded.is_some() { None } else { received.headers.get("content-encoding") };
            if (received.status, coding) != (whole.status, whole.coding) {
                return Err(format!(
                    "it is {} {coding:?}, not {} {:?}",
                    received.status, whole.status, whole.coding
                ));
            }
            whole.body.check_complete(&received.body, newest).map(|()| Outcome::Complete)
        }
        (whole, _) => {
            let prefixes = [plan.script.expected_prefix.as_ref(), whole.as_ref().map(|whole| &whole.body)];
            for expected in prefixes.into_iter().flatten() {
                expected.check_prefix(&received.body, newest)?;
            }
            Ok(incomplete)
        }
    }
}

/// Decodes the response if the proxy compressed it for the client.
fn decode_response(plan: &Plan, received: &Received) -> Result<Option<Received>, String> {
    let Some(coding) = received.headers.get("content-encoding") else { return Ok(None) };
    if !matches!(coding, "gzip" | "br") || !plan.accept.is_some_and(|accept| accept.contains(coding)) {
        // The upstream's own coding, which the proxy does not change.
        return Ok(None);
    }
    let (body, whole) = coding::decode(coding, &received.body);
    match (whole, received.end) {
        (Err(e), BodyEnd::Clean) => Err(format!("a clean end inside of {coding}: {e}")),
        (_, end) => {
            Ok(Some(Received { status: received.status, headers: received.headers.clone(), body, end }))
        }
    }
}

fn check_error(plan: &Plan, received: &Received, status: u16) -> Result<Outcome, String> {
    // The proxy did not receive the whole request body in time.
    let is_of_upload = plan.upload.is_some() && matches!(status, 400 | 408);
    if !matches!(status, 502 | 504) && !is_of_upload {
        return Err(format!("an error with status {status}: {}", excerpt(&received.body)));
    }
    match received.headers.get("x-request-id") {
        Some(id) if id != plan.nonce => Err(format!("an error with the request id {id}")),
        _ => Ok(Outcome::Error(status)),
    }
}

/// Returns the status of an error that the proxy made: OpenAI's form with exactly four members.
pub(crate) fn own_error(received: &Received) -> Option<u16> {
    if received.end != BodyEnd::Clean || received.headers.get("x-nonce").is_some() {
        return None;
    }
    let is_json = received.headers.get("content-type") == Some("application/json");
    if received.body.is_empty() {
        // The response to HEAD has no body.
        return (is_json && received.status >= 400 && received.headers.get("content-length") != Some("0"))
            .then_some(received.status);
    }
    let body: serde_json::Value = serde_json::from_slice(&received.body).ok()?;
    let error = body.get("error")?.as_object()?;
    let is_text = |name| error.get(name).is_some_and(|it| it.as_str().is_some_and(|it| !it.is_empty()));
    let is_form = body.as_object()?.len() == 1
        && error.len() == 4
        && error.contains_key("param")
        && ["message", "type", "code"].into_iter().all(is_text);
    (is_form && is_json && received.status >= 400).then_some(received.status)
}

/// True for the response of hyper to unreadable headers, which is a status only.
pub(crate) fn is_bare_status(received: &Received) -> bool {
    received.end == BodyEnd::Clean && received.body.is_empty() && matches!(received.status, 400 | 414 | 431)
}

pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let end = bytes.len().min(300);
    format!("{} bytes: {}", bytes.len(), bytes[..end].escape_ascii())
}
