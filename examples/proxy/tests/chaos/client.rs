//! Clients: those that wait their turn, that do not, that read slowly, and that go away.
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::plan::{MOST, Plan, episode_of, kind, nonce};
use crate::random::Random;
use crate::verdict::{Ended, Got, excerpt, judge};
use crate::wire::{Fault, Reached, Wire};
use crate::world::World;
use crate::{broken, streams};

/// How a client behaves on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One request after the other.
    Steady,
    /// All of them at once, and then the answers.
    Pipelined,
    /// Answers in pieces of a few bytes, with waits between them.
    Slow,
    /// Gone after so many bytes of an answer.
    Vanishing(usize),
    /// Its side of the connection is closed once it has asked.
    HalfClosed,
    /// Requests that are none.
    Broken,
    /// HTTP/2.
    Streams,
}

impl Manner {
    fn pick(random: &mut Random) -> Self {
        match random.below(100) {
            0..40 => Self::Steady,
            40..60 => Self::Pipelined,
            60..65 => Self::Slow,
            65..75 => Self::Vanishing(random.below(30_000)),
            75..78 => Self::HalfClosed,
            78..88 => Self::Broken,
            _ => Self::Streams,
        }
    }
}

/// One connection and all of its requests, as the seed and this number have it.
pub(crate) async fn episode(world: &World, proxy: SocketAddr, number: u64) {
    // Far from the places of requests.
    let mut random = Random::new(world.seed, number | 1 << 63);
    let manner = Manner::pick(&mut random);
    let places = (0..1 + random.below(MOST)).map(|i| number * MOST as u64 + i as u64);
    match manner {
        Manner::Broken => broken::ask(world, proxy, &mut random, number * MOST as u64).await,
        Manner::Streams => streams::ask(world, proxy, &mut random, plans(world, places)).await,
        _ => {
            let plans = plans(world, places);
            let wire = connect(proxy).await;
            Client { world, manner, wire }.ask(plans).await;
        }
    }
}

fn plans(world: &World, places: impl Iterator<Item = u64>) -> Vec<Plan> {
    places.map(|place| Plan::new(world, &nonce(kind::PLANNED, place))).collect()
}

pub(crate) async fn connect(proxy: SocketAddr) -> Wire {
    Wire::new(TcpStream::connect(proxy).await.expect("the proxy takes connections"))
}

/// Judges and counts an answer, or tells what is wrong with it.
pub(crate) fn settle(world: &World, manner: Manner, plan: &Plan, got: Result<Option<&Got>, String>) {
    let said = got.and_then(|got| match judge(world, plan, got) {
        Ok(outcome) => Ok(outcome),
        Err(why) => Err(format!("{why}\n  {:?}", got.map(|got| (got.status, &got.head.fields, got.end)))),
    });
    match said {
        Ok(outcome) => {
            // Who vanishes tells nothing about the act.
            if !matches!(manner, Manner::Vanishing(_) | Manner::HalfClosed) {
                world.count(plan.act.name, outcome);
            }
        }
        Err(why) => world.found(
            episode_of(&plan.nonce),
            format!(
                "{} ({}), client {manner:?}, upstream `{}`, end {:?}: {why}",
                plan.nonce,
                plan.target(),
                plan.act.name,
                plan.script.end
            ),
        ),
    }
}

struct Client<'a> {
    world: &'a World,
    manner: Manner,
    wire: Wire,
}

impl Client<'_> {
    async fn ask(mut self, plans: Vec<Plan>) {
        if self.manner == Manner::Slow {
            self.wire.slow_reads = 200;
        }
        let at_once = if self.manner == Manner::Pipelined { plans.len() } else { 1 };
        for plans in plans.chunks(at_once) {
            let mut said = Vec::new();
            let mut rest = Vec::new();
            for plan in plans {
                self.world.ask();
                let (mut request, content) = plan.request();
                if plan.script.early && at_once == 1 {
                    // The answer comes first.
                    rest = request.split_off(content + (request.len() - content) / 2);
                }
                said.extend(request);
            }
            // What it does not take any more it has an answer to, or has not.
            let _ = self.wire.write(&said).await;
            if self.manner == Manner::HalfClosed {
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.wire.stream).await;
            }
            for plan in plans {
                let got = self.answer(plan).await;
                let goes_on = matches!(&got, Ok(Some(got)) if got.end == Ended::Cleanly && !got.head.says("connection", "close"));
                settle(self.world, self.manner, plan, got.as_ref().map(Option::as_ref).map_err(Clone::clone));
                if goes_on && at_once == 1 && !self.wire.rest().is_empty() {
                    let rest = excerpt(self.wire.rest());
                    self.world
                        .found(episode_of(&plan.nonce), format!("{} and more came: {rest}", plan.act.name));
                }
                if !goes_on {
                    return self.wire.reset();
                }
                if !rest.is_empty() && self.wire.write(&rest).await.is_err() {
                    return self.wire.reset();
                }
            }
        }
        self.wire.reset();
    }

    /// None: it ended before a head. An error: what came is no HTTP.
    async fn answer(&mut self, plan: &Plan) -> Result<Option<Got>, String> {
        let enough = match self.manner {
            Manner::Vanishing(after) => after.min(plan.script.enough),
            _ => plan.script.enough,
        };
        answer(&mut self.wire, plan.method == "HEAD", enough).await
    }
}

/// Reads the next answer.
pub(crate) async fn answer(wire: &mut Wire, to_head: bool, enough: usize) -> Result<Option<Got>, String> {
    let (status, head) = loop {
        let head = match wire.head().await {
            Ok(head) => head,
            Err(Fault::Ended) => return Ok(None),
            Err(Fault::Bad(why)) => return Err(why),
        };
        let status = head.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        match status {
            Some(100) => {}
            Some(status) if status >= 200 => break (status, head),
            _ => return Err(format!("an answer that begins {:?}", head.line)),
        }
    };
    let mut got = Got { status, head, body: Vec::new(), end: Ended::Cleanly };
    let framing = match got.head.framing() {
        Ok(framing) => framing,
        Err(fault) => return Err(format!("{fault:?}: {got:?}")),
    };
    if to_head || matches!(status, 204 | 304) {
        return Ok(Some(got));
    }
    let Some(framing) = framing else {
        return Err(format!("no telling where it ends: {got:?}"));
    };
    got.end = match wire.body(framing, &mut got.body, enough).await {
        Ok(Reached::End) => Ended::Cleanly,
        Ok(Reached::Enough) => Ended::Left,
        Err(Fault::Ended) => Ended::Broken,
        Err(Fault::Bad(why)) => return Err(format!("{why}: {got:?}")),
    };
    Ok(Some(got))
}
