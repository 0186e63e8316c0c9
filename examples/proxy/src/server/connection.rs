//! The life of one connection: hyper serves it, and a timeout, an eviction or a shutdown ends it.
use std::fmt;
use std::future::ready;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::time::{Instant, sleep};

use super::activity::{Activity, ActivityState, Phase};
use super::admission::Admission;
use super::limits::Limits;

/// The time after a deadline in which the stack can still send a 504, and after a shutdown in which a client can close.
const LINGER: Duration = Duration::from_secs(1);

enum ConnectionStep {
    WaitUntil(Instant),
    ShutDown,
    Close,
}

/// Serves a connection until it ends.
pub(super) async fn drive<C>(connection: C, activity: &Activity, admission: &Admission)
where
    C: GracefulConnection,
    C::Error: fmt::Display,
{
    let mut shutdown = admission.shutdown.subscribe();
    let mut shutdown_since = None;
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep(admission.limits.shortest_timeout()));
    loop {
        let step = tokio::select! {
            // The connection first: a request that has already arrived is served, also during a shutdown.
            biased;
            result = connection.as_mut() => {
                if let Err(e) = result {
                    tracing::debug!("a connection ended: {e}");
                }
                return;
            }
            _ = shutdown.wait_for(|is_ordered| *is_ordered), if shutdown_since.is_none() => ConnectionStep::ShutDown,
            () = activity.evicted.notified() => ConnectionStep::Close,
            () = timer.as_mut() => next_step(&activity.state(), &admission.limits, shutdown_since),
        };
        match step {
            ConnectionStep::WaitUntil(limit) => timer.as_mut().reset(limit),
            ConnectionStep::ShutDown => {
                let now = Instant::now();
                shutdown_since = Some(now);
                connection.as_mut().graceful_shutdown();
                timer.as_mut().reset(now);
            }
            ConnectionStep::Close => break,
        }
    }

    // In HTTP/2 this sends GOAWAY, if the socket has room for it.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = ready(()) => {}
    }
    let mut state = activity.state();
    let cut = state.calls.len();
    if cut > 0 {
        tracing::debug!("a connection is cut with {cut} calls whose responses were not read");
        admission.cut.fetch_add(cut, Ordering::Relaxed);
        state.is_reset = true;
    }
}

/// Returns the step that is due, or the time of the next check.
fn next_step(state: &ActivityState, limits: &Limits, shutdown_since: Option<Instant>) -> ConnectionStep {
    let now = Instant::now();
    let since = state.since;
    let (limit, step) = match (state.phase(), shutdown_since) {
        (Phase::InFlight, _) => {
            let ends = state.calls.iter().map(|call| {
                let deadline = call.since + limits.deadline + LINGER;
                call.stalled_since.map_or(deadline, |since| deadline.min(since + limits.timeout))
            });
            let (first, last) = (ends.clone().min().unwrap_or(now), ends.max().unwrap_or(now));
            // Without new calls as soon as one has reached its end, and closed when all have.
            match shutdown_since {
                None if now < last => (first, ConnectionStep::ShutDown),
                _ => (last, ConnectionStep::Close),
            }
        }
        // The timeouts of the stack apply to the content.
        (Phase::Upload, _) => (since + limits.deadline, ConnectionStep::Close),
        (Phase::Headers | Phase::Idle, Some(shutdown)) => {
            (since.max(shutdown) + LINGER, ConnectionStep::Close)
        }
        (Phase::Headers, None) => (since + limits.header_timeout, ConnectionStep::Close),
        (Phase::Idle, None) => (since + limits.idle_timeout, ConnectionStep::ShutDown),
    };
    if limit <= now {
        return step;
    }
    // Phases change without notice. A check in each shortest timeout applies every timeout in time.
    let interval = if shutdown_since.is_some() { LINGER } else { limits.shortest_timeout() };
    ConnectionStep::WaitUntil(limit.min(now + interval))
}
