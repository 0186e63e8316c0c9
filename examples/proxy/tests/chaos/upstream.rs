//! The upstream: follows the scripts, and checks the requests that arrive.
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::fixtures::Fixtures;
use crate::plan::{NONCE_LENGTH, Plan, episode_of, kind};
use crate::script::{End, Script, ScriptBuilder, Step};
use crate::wire::{Headers, Reached, Wire};

const MOMENT: Duration = Duration::from_millis(1);

/// The content of an unusual request, which has to arrive complete.
pub(crate) const ODD_CONTENT: &[u8] = b"0123456789";

/// Serves until the future is dropped, which closes all connections.
pub(crate) async fn serve(fixtures: Arc<Fixtures>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection can be accepted");
                connections.spawn(connection(fixtures.clone(), Wire::new(stream)));
            }
            Some(ended) = connections.join_next() => {
                if let Err(e) = ended {
                    fixtures.record_failure(0, format!("the upstream itself: {e}"));
                }
            }
        }
    }
}

async fn connection(fixtures: Arc<Fixtures>, mut wire: Wire) {
    while let Ok(headers) = wire.read_headers().await {
        let Some(nonce) = nonce_of(&headers) else {
            return fixtures.record_failure(0, format!("a request without a nonce arrived: {headers:?}"));
        };
        let plan = nonce.starts_with(kind::PLANNED).then(|| Plan::new(&fixtures, &nonce));
        if let Some(Err(error)) = plan.as_ref().map(|plan| check_headers(plan, &headers)) {
            return fixtures
                .record_failure(episode_of(&nonce), format!("{error}\n  of {nonce}: {headers:?}"));
        }
        let early = plan.as_ref().is_some_and(|plan| plan.script.early);
        if !early {
            let Some(content) = content(&mut wire, &headers).await else { return };
            if let Err(error) = check_content(plan.as_ref(), &nonce, &content) {
                return fixtures.record_failure(
                    episode_of(&nonce),
                    format!("{error}\n  of {nonce}: {headers:?} {}", content.escape_ascii()),
                );
            }
        }
        let script = plan.map_or_else(|| unusual_response(&nonce), |plan| plan.script);
        if !run_steps(&mut wire, script.steps).await {
            return;
        }
        match script.end {
            // The rest of the request's body would be read as the next request.
            End::Stay if early => return wire.discard_until_end().await,
            End::Stay => {}
            End::Close => return,
            End::Reset => return wire.reset(),
        }
    }
}

fn nonce_of(headers: &Headers) -> Option<String> {
    let (_, rest) = headers.line.split_once("nonce=")?;
    rest.get(..NONCE_LENGTH).map(str::to_owned)
}

fn check_headers(plan: &Plan, headers: &Headers) -> Result<(), String> {
    // After an HTTP/1.0 response the proxy uses HTTP/1.0 on that connection.
    let line = format!("{} {} HTTP/1.", plan.method, plan.target_at_upstream());
    if !matches!(headers.line.strip_prefix(&line), Some("0" | "1")) {
        return Err(format!("it did not arrive as {line}1"));
    }
    if headers.get("authorization") != Some(&format!("Bearer {}", plan.nonce)) {
        return Err("the Authorization is of another request".into());
    }
    if headers.all("host").count() != 1
        || headers.get("host") == Some("proxy")
        || headers.all("via").count() != 1
    {
        return Err("wrong Host or Via".into());
    }
    Ok(())
}

/// Returns `None` if the content breaks off, as the content of a malformed request has to.
async fn content(wire: &mut Wire, headers: &Headers) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    match headers.framing() {
        Ok(None) => Some(content),
        Ok(Some(framing)) => {
            let reached = wire.read_body(framing, &mut content, usize::MAX).await;
            matches!(reached, Ok(Reached::End)).then_some(content)
        }
        // Two lengths or an unknown coding: the end of the content is not defined.
        Err(_) => None,
    }
}

fn check_content(plan: Option<&Plan>, nonce: &str, content: &[u8]) -> Result<(), &'static str> {
    match (plan, nonce.chars().next()) {
        (Some(plan), _) if plan.content() == content => Ok(()),
        (Some(_), _) => Err("the content differs"),
        (None, Some(kind::ODD)) if content.is_empty() || content == ODD_CONTENT => Ok(()),
        (None, Some(kind::ODD)) => Err("its content is not what was sent"),
        (None, Some(kind::BROKEN)) => Err("a malformed request arrived complete"),
        (None, _) => Err("a smuggled request arrived"),
    }
}

/// The response to an unusual request.
fn unusual_response(nonce: &str) -> Script {
    let headers = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-nonce: {nonce}\r\n");
    Script::send(ScriptBuilder::with_content_length(headers, b"{}"))
}

/// Returns false if the peer closed the connection.
async fn run_steps(wire: &mut Wire, steps: Vec<Step>) -> bool {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if wire.write(&bytes).await.is_err() {
                    return false;
                }
            }
            Step::Pause => tokio::time::sleep(MOMENT).await,
            // Limits the rate, because at full speed a debug build would do nothing else.
            Step::Endless(bytes) => {
                while wire.write(&bytes).await.is_ok() {
                    tokio::time::sleep(MOMENT).await;
                }
            }
            Step::Stall => wire.discard_until_end().await,
        }
    }
    true
}
