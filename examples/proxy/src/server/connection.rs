//! The life of one connection: hyper serves it, and a timeout, an eviction or a shutdown ends it.
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

use super::activity::{Activity, ActivityState};
use super::admission::Admission;
use super::limits::Limits;

/// The time after a deadline in which the stack can still send a 504, and after a shutdown in which a client can close.
const LINGER: Duration = Duration::from_secs(1);

/// Reports received bytes to the connection's activity, and resets the socket after an incomplete response.
pub(super) struct ClientStream<I> {
    pub(super) inner: I,
    pub(super) activity: Arc<Activity>,
    /// Makes the system discard unsent bytes when the stream is dropped. By default, the system keeps them for minutes.
    pub(super) reset: fn(&I),
}

/// A change of a connection that its timeouts, an eviction or a shutdown require.
enum ConnectionStep {
    WaitUntil(Instant),
    ShutDown,
    Close,
}

/// Serves a connection until it ends, or until a timeout or an eviction closes it.
/// During a shutdown, the connection accepts no further call, and ends after those in flight.
pub(super) async fn drive<C>(connection: C, activity: &Activity, admission: &Admission)
where
    C: GracefulConnection<Error: fmt::Display>,
{
    let mut shutdown = admission.shutdown.subscribe();
    let mut shutdown_since = None;
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep(admission.limits.shortest_timeout()));
    loop {
        let step = tokio::select! {
            // The connection is polled first: a request that has arrived is served, also during a shutdown.
            biased;
            result = connection.as_mut() => {
                return result.unwrap_or_else(|e| tracing::debug!("a connection ended: {e}"));
            }
            _ = shutdown.wait_for(|is_stopping| *is_stopping), if shutdown_since.is_none() => ConnectionStep::ShutDown,
            () = activity.evicted.notified() => ConnectionStep::Close,
            () = timer.as_mut() => next_step(&activity.state(), &admission.limits, shutdown_since),
        };
        match step {
            ConnectionStep::WaitUntil(time) => timer.as_mut().reset(time),
            ConnectionStep::ShutDown => {
                shutdown_since = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
                timer.as_mut().reset(Instant::now());
            }
            ConnectionStep::Close => break,
        }
    }

    // In HTTP/2, one more poll sends GOAWAY, if the socket has room for that frame.
    connection.as_mut().graceful_shutdown();
    let _ = timeout(Duration::ZERO, connection).await;
    cut_calls(activity, admission);
}

/// Counts the calls that end with their connection. If there are some, the socket is reset when it is dropped.
fn cut_calls(activity: &Activity, admission: &Admission) {
    let mut state = activity.state();
    let cut_count = state.calls.len();
    if cut_count > 0 {
        tracing::debug!("a connection is cut with {cut_count} calls whose responses were not read");
        admission.cut.fetch_add(cut_count, Ordering::Relaxed);
        state.is_reset = true;
    }
}

/// Returns the step that is due, or `WaitUntil` the time of the next check. Depends on the first of these that is true:
/// there are calls, content is incomplete, the server shuts down, headers are incomplete, or else the connection is idle.
fn next_step(state: &ActivityState, limits: &Limits, shutdown_since: Option<Instant>) -> ConnectionStep {
    let now = Instant::now();
    let (due_time, step) = if !state.calls.is_empty() {
        step_with_calls(state, limits, shutdown_since.is_some())
    } else if state.upload_count > 0 {
        // The timeouts of the stack apply to the content.
        (state.since + limits.deadline, ConnectionStep::Close)
    } else if let Some(shutdown) = shutdown_since {
        (state.since.max(shutdown) + LINGER, ConnectionStep::Close)
    } else if state.is_reading_headers {
        (state.since + limits.header_timeout, ConnectionStep::Close)
    } else {
        (state.since + limits.idle_timeout, ConnectionStep::ShutDown)
    };
    if due_time <= now {
        return step;
    }
    // Nothing reports a change of the state. A check after each shortest timeout finds every change in time.
    let check_interval = if shutdown_since.is_some() { LINGER } else { limits.shortest_timeout() };
    ConnectionStep::WaitUntil(due_time.min(now + check_interval))
}

/// Returns the next step and its time: `ShutDown` when the time of the first call is over, and `Close` when the time of the
/// last call is over. During a shutdown, only the latter. Calls without a limit do not count, unless there are no others.
fn step_with_calls(state: &ActivityState, limits: &Limits, is_stopping: bool) -> (Instant, ConnectionStep) {
    let now = Instant::now();
    let call_ends = state.calls.iter().filter_map(|call| {
        let deadline = call.limited_since()? + limits.deadline + LINGER;
        Some(call.stalled_since.map_or(deadline, |since| deadline.min(since + limits.timeout)))
    });
    // Later than each check.
    let no_end = now + limits.deadline;
    let first_end = call_ends.clone().min().unwrap_or(no_end);
    let last_end = call_ends.max().unwrap_or(no_end);
    if is_stopping || last_end <= now {
        return (last_end, ConnectionStep::Close);
    }
    (first_end, ConnectionStep::ShutDown)
}

impl<I> Drop for ClientStream<I> {
    fn drop(&mut self) {
        if self.activity.state().is_reset {
            (self.reset)(&self.inner);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for ClientStream<I> {
    /// Reads bytes, and records that some have arrived.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled_before = buf.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(cx, buf);
        if buf.filled().len() > filled_before {
            this.activity.state().on_read();
        }
        result
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for ClientStream<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::NoTimeLimit;

    #[tokio::test(start_paused = true)]
    async fn calls_without_a_limit_do_not_keep_the_others_of_their_connection() {
        let limits = Limits::from_env().unwrap();
        let activity = Activity::new();
        let unlimited = activity.state().begin_call(true, false);
        let (extension, work) = NoTimeLimit::new();
        activity.state().set_unlimited_until(unlimited, extension.end());
        tokio::time::advance(2 * limits.deadline).await;
        assert!(matches!(next_step(&activity.state(), &limits, None), ConnectionStep::WaitUntil(_)));

        activity.state().begin_call(true, false);
        tokio::time::advance(limits.deadline + LINGER).await;
        assert!(matches!(next_step(&activity.state(), &limits, None), ConnectionStep::Close));

        let limited = 2;
        activity.state().end_call(limited);
        assert!(matches!(next_step(&activity.state(), &limits, None), ConnectionStep::WaitUntil(_)));
        drop(work);
        tokio::time::advance(limits.deadline + LINGER).await;
        assert!(matches!(next_step(&activity.state(), &limits, None), ConnectionStep::Close));
    }
}
