//! The activity of one connection: its calls, or the time since which it waits for its client.
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes per millisecond that a client must read of its response: 8 KB/s.
const MIN_READ_RATE: u64 = 8;

/// Shared by a connection's socket, its calls, and the future that applies its timeouts.
pub(super) struct Activity {
    state: Mutex<ActivityState>,
    pub(super) evicted: Notify,
}

pub(super) struct ActivityState {
    /// True if the socket is to be reset when it closes, which discards unsent bytes.
    pub(super) is_reset: bool,
    pub(super) calls: Vec<Call>,
    next_id: u64,
    is_http2: bool,
    /// The number of requests whose content is incomplete. It may arrive after the response.
    pub(super) upload_count: usize,
    /// True from the first byte of request headers, or the start of the connection, until they are complete.
    pub(super) is_reading_headers: bool,
    /// The latest start of the connection or of request headers, or end of a call or of an upload.
    pub(super) since: Instant,
}

/// A call whose response is not completely written.
pub(super) struct Call {
    id: u64,
    since: Instant,
    /// The time since which the client has not read what it could; `None` while it waits for the upstream.
    pub(super) stalled_since: Option<Instant>,
    /// The end of the work without a time limit, if the call has such work. Unset until then.
    unlimited_until: Option<Arc<OnceLock<Instant>>>,
}

impl Call {
    /// Returns the time from which the limits apply, or `None` if they do not apply now.
    pub(super) fn limited_since(&self) -> Option<Instant> {
        match &self.unlimited_until {
            None => Some(self.since),
            Some(end) => end.get().copied(),
        }
    }
}

impl Activity {
    /// Creates the activity of a new connection, which waits for its first request.
    pub(super) fn new() -> Self {
        let state = ActivityState {
            is_reset: false,
            calls: Vec::new(),
            next_id: 0,
            is_http2: false,
            upload_count: 0,
            is_reading_headers: true,
            since: Instant::now(),
        };
        Self { state: state.into(), evicted: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ActivityState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActivityState {
    /// Returns the time since which the connection has no call, or `None` if it has one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.calls.is_empty() { Some(self.since) } else { None }
    }

    /// Returns the oldest stall if every response is stalled, because a client may read one response before another.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        // `None` is less than any `Some`, so that one response without a stall makes the minimum `None`.
        self.calls.iter().map(|call| call.stalled_since).min().flatten()
    }

    /// Records that bytes have arrived. On an idle HTTP/1.1 connection, they begin request headers.
    pub(super) fn on_read(&mut self) {
        let is_idle = !self.is_reading_headers && self.calls.is_empty() && self.upload_count == 0;
        // In HTTP/2, the bytes may be a frame without headers.
        if is_idle && !self.is_http2 {
            self.is_reading_headers = true;
            self.since = Instant::now();
        }
    }

    /// Records a call, and returns its id.
    pub(super) fn begin_call(&mut self, is_http2: bool, has_content: bool) -> u64 {
        self.is_http2 = is_http2;
        self.is_reading_headers = false;
        self.upload_count += usize::from(has_content);
        self.next_id += 1;
        self.calls.push(Call {
            id: self.next_id,
            since: Instant::now(),
            stalled_since: None,
            unlimited_until: None,
        });
        self.next_id
    }

    /// Removes the time limits of a call until the end of its work.
    pub(super) fn set_unlimited_until(&mut self, id: u64, end: Arc<OnceLock<Instant>>) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            call.unlimited_until = Some(end);
        }
    }

    /// Records a chunk for the client, and moves the start of a stall forward by the time that reading it may take.
    pub(super) fn on_chunk(&mut self, id: u64, byte_count: usize) {
        let Some(call) = self.calls.iter_mut().find(|call| call.id == id) else { return };
        if call.limited_since().is_none() {
            return;
        }
        let now = Instant::now();
        let read_time = Duration::from_millis(byte_count as u64 / MIN_READ_RATE);
        let stall_start = call.stalled_since.map_or(now, |since| now.min(since + read_time));
        call.stalled_since = Some(stall_start);
    }

    /// Records that the client has read all chunks of a response, and that the call waits for the upstream.
    pub(super) fn on_drained(&mut self, id: u64) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            call.stalled_since = None;
        }
    }

    /// Records that the last byte of a response was written, or never will be.
    pub(super) fn end_call(&mut self, id: u64) {
        self.calls.retain(|call| call.id != id);
        self.since = Instant::now();
    }

    /// Records that the last byte of a request's content was received, or never will be.
    pub(super) fn end_upload(&mut self) {
        self.upload_count -= 1;
        self.since = Instant::now();
    }
}
