//! The run: concurrent connections until enough requests are sent, then the checks.
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::client;
use crate::faults::FAULTS;
use crate::fixtures::Fixtures;
use crate::names_file::NamesFile;
use crate::process::{Process, Resources};
use crate::script::TypicalOutcome;
use crate::upstream;
use crate::verdict::Outcome;
use crate::well_behaved::WELL_BEHAVED;

/// Concurrent connections.
const CONCURRENT_CONNECTIONS: u64 = 96;

/// The proxy's `--timeout`: long for a slow machine, short for a run with many silent upstreams.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that takes longer is reported as hanging.
const HANG_TIMEOUT: Duration = Duration::from_secs(120);

/// Permitted growth of memory in KiB, for what an allocator keeps. It does not depend on the number of requests.
const MAX_GROWTH: u64 = 48 * 1024;

pub(crate) fn setting<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}: not a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_under_chaos_sends_no_wrong_response_and_keeps_no_resources() {
    let seed = setting("CHAOS_SEED").unwrap_or(1);
    let requests = setting("CHAOS_REQUESTS").unwrap_or(4_000);
    let fixtures = Arc::new(Fixtures::new(seed));
    let folder = tempfile::tempdir().unwrap();
    let names_file = NamesFile::new(fixtures.clone(), folder.path());

    let (upstream, address) = start_upstream(&fixtures, (Ipv4Addr::LOCALHOST, 0).into()).await;
    let proxy = Arc::new(Process::start(address, names_file.file(), TIMEOUT, folder.path()));
    let fresh = proxy.resources().descriptors;
    let rewriting = tokio::spawn(names_file.rewrite_until_dropped());
    let began = Instant::now();

    if let Some(episode) = setting::<u64>("CHAOS_EPISODE") {
        client::episode(&fixtures, proxy.address, episode).await;
        check_for_failure(&fixtures, &proxy);
        return;
    }

    // The first requests create all threads and lazily initialized data.
    let next = Arc::new(AtomicU64::new(0));
    send_requests(&fixtures, proxy.address, &next, requests / 10).await;
    check_for_failure(&fixtures, &proxy);
    let upstream = restart(upstream, &fixtures, address).await;
    let before = idle(&proxy, fresh).await;
    send_requests(&fixtures, proxy.address, &next, requests).await;
    check_for_failure(&fixtures, &proxy);
    let took = began.elapsed();
    rewriting.abort();
    drop(restart(upstream, &fixtures, address).await);
    // The first measurement may have included a names file that was being read, so `before` is the reference.
    let after = idle(&proxy, before.descriptors).await;

    let tally = fixtures.tally();
    let count = |is: fn(Outcome) -> bool| -> u64 {
        tally.values().flatten().filter(|(outcome, _)| is(**outcome)).map(|(_, count)| count).sum()
    };
    eprintln!(
        "seed {seed}: {} requests in {took:.0?}, {} generations: {} whole, {} errors, {} broken\n{before:?}\n{after:?}",
        fixtures.sent(),
        fixtures.newest(),
        count(|outcome| outcome == Outcome::Complete),
        count(|outcome| matches!(outcome, Outcome::Error(_))),
        count(|outcome| outcome == Outcome::Broken),
    );
    check_typical_outcomes(&tally, requests);
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    assert!(after.memory <= before.memory + MAX_GROWTH, "{before:?} {after:?}");
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
}

pub(crate) async fn start_upstream(
    fixtures: &Arc<Fixtures>,
    address: SocketAddr,
) -> (JoinHandle<()>, SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (tokio::spawn(upstream::serve(fixtures.clone(), listener)), address)
}

/// Restarts the upstream, which closes its connections.
async fn restart(upstream: JoinHandle<()>, fixtures: &Arc<Fixtures>, address: SocketAddr) -> JoinHandle<()> {
    upstream.abort();
    let _ = upstream.await;
    start_upstream(fixtures, address).await.0
}

/// Returns the resources of the idle proxy.
async fn idle(proxy: &Arc<Process>, descriptors: usize) -> Resources {
    let proxy = proxy.clone();
    tokio::task::spawn_blocking(move || proxy.wait_for_descriptors(descriptors)).await.unwrap()
}

/// Sends requests until their number is reached, or a failure is recorded.
pub(crate) async fn send_requests(
    fixtures: &Arc<Fixtures>,
    proxy: SocketAddr,
    next: &Arc<AtomicU64>,
    requests: u64,
) {
    let mut workers = JoinSet::new();
    for _ in 0..CONCURRENT_CONNECTIONS {
        let (fixtures, next) = (fixtures.clone(), next.clone());
        workers.spawn(async move {
            while fixtures.sent() < requests && fixtures.failure().is_none() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let episode = client::episode(&fixtures, proxy, number);
                if tokio::time::timeout(HANG_TIMEOUT, episode).await.is_err() {
                    fixtures.record_failure(number, "the connection hangs");
                }
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
}

fn check_for_failure(fixtures: &Fixtures, proxy: &Process) {
    if let Some(failure) = fixtures.failure() {
        panic!("{failure}\n--- the proxy's log:\n{}", proxy.log());
    }
    assert!(!proxy.panicked(), "{}", proxy.log());
}

/// Checks the typical outcome of each behavior. Otherwise a proxy that responds only with errors would pass.
fn check_typical_outcomes(tally: &BTreeMap<&'static str, BTreeMap<Outcome, u64>>, requests: u64) {
    let mut failures = Vec::new();
    for behavior in WELL_BEHAVED.iter().chain(FAULTS) {
        let of =
            |outcome| tally.get(behavior.name).and_then(|of| of.get(&outcome)).copied().unwrap_or_default();
        let all: u64 = tally.get(behavior.name).map_or(0, |of| of.values().sum());
        let typical = match behavior.typical {
            TypicalOutcome::Complete => of(Outcome::Complete),
            TypicalOutcome::Error(status) => of(Outcome::Error(status)),
            TypicalOutcome::Varies => all,
        };
        if typical * 10 < all * 8 || (all == 0 && requests >= 20_000) {
            failures.push(format!(
                "{}: {typical} of {all} are {:?}: {:?}",
                behavior.name,
                behavior.typical,
                tally.get(behavior.name)
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
