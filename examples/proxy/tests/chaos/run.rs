//! The run: so many connections at once until so many requests were sent, and then the reckoning.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::client;
use crate::generations::Generations;
use crate::honest::HONEST;
use crate::lies::LIES;
use crate::process::{Held, Process};
use crate::script::Usual;
use crate::upstream;
use crate::verdict::Outcome;
use crate::world::World;

/// Connections at once.
const AT_ONCE: u64 = 96;

/// `--timeout`: long for whoever answers, short for a run that waits for those who do not.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// No connection takes that long; one that does hangs.
const HANGS: Duration = Duration::from_secs(120);

/// What may stay of a run in memory, in KiB: what an allocator keeps, and no more for more requests.
const KEPT: u64 = 48 * 1024;

pub(crate) fn setting<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_wrong_and_nothing_is_left_behind() {
    let seed = setting("CHAOS_SEED").unwrap_or(1);
    let requests = setting("CHAOS_REQUESTS").unwrap_or(4_000);
    let world = Arc::new(World::new(seed));
    let folder = tempfile::tempdir().unwrap();
    let generations = Generations::new(world.clone(), folder.path());

    let (upstream, address) = start_upstream(&world, (Ipv4Addr::LOCALHOST, 0).into()).await;
    let proxy = Arc::new(Process::start(address, generations.file(), TIMEOUT, folder.path()));
    let fresh = proxy.held().descriptors;
    let rewriting = tokio::spawn(generations.go_on());
    let began = Instant::now();

    if let Some(episode) = setting::<u64>("CHAOS_EPISODE") {
        client::episode(&world, proxy.address, episode).await;
        reckon_faults(&world, &proxy);
        return;
    }

    // Threads and what is made once are there after the first requests.
    let next = Arc::new(AtomicU64::new(0));
    ask(&world, proxy.address, &next, requests / 10).await;
    reckon_faults(&world, &proxy);
    let upstream = restart(upstream, &world, address).await;
    let before = idle(&proxy, fresh).await;
    ask(&world, proxy.address, &next, requests).await;
    reckon_faults(&world, &proxy);
    let took = began.elapsed();
    rewriting.abort();
    drop(restart(upstream, &world, address).await);
    // As few as before: what was there when it had just begun may have been a file that it was reading.
    let after = idle(&proxy, before.descriptors).await;

    let tally = world.tally();
    let count = |is: fn(Outcome) -> bool| -> u64 {
        tally.values().flatten().filter(|(outcome, _)| is(**outcome)).map(|(_, count)| count).sum()
    };
    eprintln!(
        "seed {seed}: {} requests in {took:.0?}, {} generations: {} whole, {} errors, {} broken\n{before:?}\n{after:?}",
        world.asked(),
        world.newest(),
        count(|outcome| outcome == Outcome::Whole),
        count(|outcome| matches!(outcome, Outcome::Error(_))),
        count(|outcome| outcome == Outcome::Broken),
    );
    reckon_acts(&tally, requests);
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(after.memory <= before.memory + KEPT, "{before:?} {after:?}");
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
}

pub(crate) async fn start_upstream(world: &Arc<World>, address: SocketAddr) -> (JoinHandle<()>, SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (tokio::spawn(upstream::serve(world.clone(), listener)), address)
}

/// The upstream goes, and with it every connection to it; and is there again.
async fn restart(upstream: JoinHandle<()>, world: &Arc<World>, address: SocketAddr) -> JoinHandle<()> {
    upstream.abort();
    let _ = upstream.await;
    start_upstream(world, address).await.0
}

/// What the proxy holds when nobody wants anything of it.
async fn idle(proxy: &Arc<Process>, descriptors: usize) -> Held {
    let proxy = proxy.clone();
    tokio::task::spawn_blocking(move || proxy.held_at_most(descriptors)).await.unwrap()
}

/// Sends until so many were sent, or one has a wrong answer.
pub(crate) async fn ask(world: &Arc<World>, proxy: SocketAddr, next: &Arc<AtomicU64>, requests: u64) {
    let mut lanes = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (world, next) = (world.clone(), next.clone());
        lanes.spawn(async move {
            while world.asked() < requests && world.fault().is_none() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let episode = client::episode(&world, proxy, number);
                if tokio::time::timeout(HANGS, episode).await.is_err() {
                    world.found(number, "it hangs");
                }
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
}

fn reckon_faults(world: &World, proxy: &Process) {
    if let Some(fault) = world.fault() {
        panic!("{fault}\n--- the proxy's last words:\n{}", proxy.log());
    }
    assert!(!proxy.panicked(), "{}", proxy.log());
}

/// What each act comes to, nearly always: a proxy that answers everything with an error would pass all else.
fn reckon_acts(tally: &BTreeMap<&'static str, BTreeMap<Outcome, u64>>, requests: u64) {
    let mut faults = Vec::new();
    for act in HONEST.iter().chain(LIES) {
        let of = |outcome| tally.get(act.name).and_then(|of| of.get(&outcome)).copied().unwrap_or_default();
        let all: u64 = tally.get(act.name).map_or(0, |of| of.values().sum());
        let usual = match act.usual {
            Usual::Whole => of(Outcome::Whole),
            Usual::Error(status) => of(Outcome::Error(status)),
            Usual::Varies => all,
        };
        if usual * 10 < all * 8 || (all == 0 && requests >= 20_000) {
            faults.push(format!(
                "{}: {usual} of {all} are {:?}: {:?}",
                act.name,
                act.usual,
                tally.get(act.name)
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
