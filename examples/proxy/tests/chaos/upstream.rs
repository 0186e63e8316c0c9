//! The upstream: sockets that follow their scripts, and look at what arrives.
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::plan::{NONCE_LENGTH, Plan, episode_of, kind};
use crate::script::{End, Script, Step, Teller};
use crate::wire::{Head, Reached, Wire};
use crate::world::World;

const MOMENT: Duration = Duration::from_millis(1);

/// What is sent with an unusual request that may arrive, and has to arrive whole.
pub(crate) const ODD_CONTENT: &[u8] = b"0123456789";

/// Serves until it is dropped, and with it every connection.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection can be accepted");
                connections.spawn(connection(world.clone(), Wire::new(stream)));
            }
            Some(ended) = connections.join_next() => {
                if let Err(e) = ended {
                    world.found(0, format!("the upstream itself: {e}"));
                }
            }
        }
    }
}

async fn connection(world: Arc<World>, mut wire: Wire) {
    while let Ok(head) = wire.head().await {
        let Some(nonce) = nonce_of(&head) else {
            return world.found(0, format!("a request without a nonce arrived: {head:?}"));
        };
        let plan = nonce.starts_with(kind::PLANNED).then(|| Plan::new(&world, &nonce));
        if let Some(Err(why)) = plan.as_ref().map(|plan| arrives(plan, &head)) {
            return world.found(episode_of(&nonce), format!("{why}\n  of {nonce}: {head:?}"));
        }
        let early = plan.as_ref().is_some_and(|plan| plan.script.early);
        if !early {
            let Some(content) = content(&mut wire, &head).await else { return };
            if let Err(why) = is_whole(plan.as_ref(), &nonce, &content) {
                return world.found(
                    episode_of(&nonce),
                    format!("{why}\n  of {nonce}: {head:?} {}", content.escape_ascii()),
                );
            }
        }
        let script = plan.map_or_else(|| odd(&nonce), |plan| plan.script);
        if !follow(&mut wire, script.steps).await {
            return;
        }
        match script.end {
            // What is left of the request's body would be taken for a head.
            End::Stay if early => return wire.until_it_ends().await,
            End::Stay => {}
            End::Close => return,
            End::Reset => return wire.reset(),
        }
    }
}

fn nonce_of(head: &Head) -> Option<String> {
    let (_, rest) = head.line.split_once("nonce=")?;
    rest.get(..NONCE_LENGTH).map(str::to_owned)
}

fn arrives(plan: &Plan, head: &Head) -> Result<(), String> {
    // To an upstream that has spoken HTTP/1.0 the next request on that connection is HTTP/1.0 too.
    let line = format!("{} {} HTTP/1.", plan.method, plan.arrives_as());
    if !matches!(head.line.strip_prefix(&line), Some("0" | "1")) {
        return Err(format!("it did not arrive as {line}1"));
    }
    if head.get("authorization") != Some(&format!("Bearer {}", plan.nonce)) {
        return Err("with the key of another".into());
    }
    if head.all("host").count() != 1 || head.get("host") == Some("proxy") || head.all("via").count() != 1 {
        return Err("its Host or Via".into());
    }
    Ok(())
}

/// None: it broke off. That is how a broken request has to arrive, if it does.
async fn content(wire: &mut Wire, head: &Head) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    match head.framing() {
        Ok(None) => Some(content),
        Ok(Some(framing)) => {
            let reached = wire.body(framing, &mut content, usize::MAX).await;
            matches!(reached, Ok(Reached::End)).then_some(content)
        }
        // Two lengths, or a coding: nobody can tell what it is.
        Err(_) => None,
    }
}

fn is_whole(plan: Option<&Plan>, nonce: &str, content: &[u8]) -> Result<(), &'static str> {
    match (plan, nonce.chars().next()) {
        (Some(plan), _) if plan.content() == content => Ok(()),
        (Some(_), _) => Err("its content is another"),
        (None, Some(kind::ODD)) if content.is_empty() || content == ODD_CONTENT => Ok(()),
        (None, Some(kind::ODD)) => Err("its content is not what was sent"),
        (None, Some(kind::BROKEN)) => Err("a broken request arrived whole"),
        (None, _) => Err("a smuggled request arrived"),
    }
}

/// The answer to what is unusual.
fn odd(nonce: &str) -> Script {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-nonce: {nonce}\r\n");
    Script::send(Teller::measured(head, b"{}"))
}

/// Whether it could do all of it.
async fn follow(wire: &mut Wire, steps: Vec<Step>) -> bool {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if wire.write(&bytes).await.is_err() {
                    return false;
                }
            }
            Step::Pause => tokio::time::sleep(MOMENT).await,
            // Some megabytes a second: at full speed a debug build is busy with nothing else.
            Step::Endless(bytes) => {
                while wire.write(&bytes).await.is_ok() {
                    tokio::time::sleep(MOMENT).await;
                }
            }
            Step::Stall => wire.until_it_ends().await,
        }
    }
    true
}
