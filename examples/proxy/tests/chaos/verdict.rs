//! Whether what a client got is right: exactly what the oracle says, an error in the agreed form, or an answer that
//! nobody can take for whole.
use crate::coding;
use crate::plan::Plan;
use crate::wire::Head;
use crate::world::World;

/// What became of a request that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Exactly what the oracle says.
    Whole,
    /// An error of the proxy's own, with this status.
    Error(u16),
    /// The connection or the stream broke.
    Broken,
    /// The client went before the end.
    Gone,
}

/// An answer as far as it came.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) end: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Cleanly,
    Broken,
    /// It was not read to its end.
    Left,
}

/// None: not even a whole head.
pub(crate) fn judge(world: &World, plan: &Plan, got: Option<&Got>) -> Result<Outcome, String> {
    let Some(got) = got else { return Ok(Outcome::Broken) };
    let decoded = decoded(plan, got)?;
    let got = decoded.as_ref().unwrap_or(got);
    if let Some(status) = own_error(got) {
        return of_error(plan, got, status);
    }
    let incomplete = if got.end == Ended::Left { Outcome::Gone } else { Outcome::Broken };
    match got.head.get("x-nonce") {
        Some(nonce) if nonce == plan.nonce => {}
        // An error that was not read to its end.
        None if got.end != Ended::Cleanly && matches!(got.status, 400 | 408 | 502 | 504) => {
            return Ok(incomplete);
        }
        _ => return Err("the answer to another request".into()),
    }
    let newest = world.newest();
    match (&plan.script.whole, got.end) {
        (None, Ended::Cleanly) => Err(format!("a clean end to what has none: {}", excerpt(&got.body))),
        (Some(whole), Ended::Cleanly) => {
            let coding = if decoded.is_some() { None } else { got.head.get("content-encoding") };
            if (got.status, coding) != (whole.status, whole.coding) {
                return Err(format!(
                    "it is {} {coding:?}, not {} {:?}",
                    got.status, whole.status, whole.coding
                ));
            }
            whole.body.is(&got.body, newest).map(|()| Outcome::Whole)
        }
        (whole, _) => {
            let begins = [plan.script.begins.as_ref(), whole.as_ref().map(|whole| &whole.body)];
            for expected in begins.into_iter().flatten() {
                expected.begins(&got.body, newest)?;
            }
            Ok(incomplete)
        }
    }
}

/// The answer in plain bytes, where it came in a coding that the client takes.
fn decoded(plan: &Plan, got: &Got) -> Result<Option<Got>, String> {
    let Some(coding) = got.head.get("content-encoding") else { return Ok(None) };
    if !matches!(coding, "gzip" | "br") || !plan.accept.is_some_and(|accept| accept.contains(coding)) {
        // The upstream's own, which the proxy leaves alone: to be compared as it is.
        return Ok(None);
    }
    let (body, whole) = coding::decode(coding, &got.body);
    match (whole, got.end) {
        (Err(e), Ended::Cleanly) => Err(format!("a clean end in the midst of {coding}: {e}")),
        (_, end) => Ok(Some(Got { status: got.status, head: got.head.clone(), body, end })),
    }
}

fn of_error(plan: &Plan, got: &Got, status: u16) -> Result<Outcome, String> {
    // Of a body that did not come to its end, or late.
    let is_of_upload = plan.upload.is_some() && matches!(status, 400 | 408);
    if !matches!(status, 502 | 504) && !is_of_upload {
        return Err(format!("an error that says {status}: {}", excerpt(&got.body)));
    }
    match got.head.get("x-request-id") {
        Some(id) if id != plan.nonce => Err(format!("an error with the id of {id}")),
        _ => Ok(Outcome::Error(status)),
    }
}

/// The status of an answer that is an error of the proxy's own, in OpenAI's form: all four members, and nothing else.
pub(crate) fn own_error(got: &Got) -> Option<u16> {
    if got.end != Ended::Cleanly || got.head.get("x-nonce").is_some() {
        return None;
    }
    let is_json = got.head.get("content-type") == Some("application/json");
    if got.body.is_empty() {
        // To HEAD.
        return (is_json && got.status >= 400 && got.head.get("content-length") != Some("0"))
            .then_some(got.status);
    }
    let body: serde_json::Value = serde_json::from_slice(&got.body).ok()?;
    let error = body.get("error")?.as_object()?;
    let is_text = |name| error.get(name).is_some_and(|it| it.as_str().is_some_and(|it| !it.is_empty()));
    let is_form = body.as_object()?.len() == 1
        && error.len() == 4
        && error.contains_key("param")
        && ["message", "type", "code"].into_iter().all(is_text);
    (is_form && is_json && got.status >= 400).then_some(got.status)
}

/// hyper's own word to a head that it cannot read: a status, and no more.
pub(crate) fn is_bare(got: &Got) -> bool {
    got.end == Ended::Cleanly && got.body.is_empty() && matches!(got.status, 400 | 414 | 431)
}

pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let end = bytes.len().min(300);
    format!("{} bytes: {}", bytes.len(), bytes[..end].escape_ascii())
}
