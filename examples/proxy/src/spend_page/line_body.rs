//! A response body of lines that a task writes. Dropping the body ends the task.
use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::BoxError;

use crate::server::UnlimitedWork;

/// The length of the chunks of a long line, in bytes.
const CHUNK_LEN: usize = 64 * 1024;

/// The most chunks that are buffered until the client reads them.
const MAX_CHUNKS: usize = 8;

/// The longest time in which the client reads no chunk. A task that waits longer ends, so that a client that never reads
/// does not prevent other runs.
const STALL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The body with the lines of a task. If the task panics, the body ends without its last line.
pub(super) struct LineBody {
    chunks: mpsc::Receiver<Bytes>,
    /// Aborts the task when it is dropped.
    _task: JoinSet<()>,
}

/// One of the allowed runs. It is returned with the last sender or writer of its lines, also if the body is not dropped.
pub(super) struct RunSlot {
    _permit: OwnedSemaphorePermit,
    _work: UnlimitedWork,
}

/// The sender of the lines.
#[derive(Clone)]
pub(super) struct LineSender {
    chunks: mpsc::Sender<Bytes>,
    _slot: Arc<RunSlot>,
}

/// A writer that sends each write as one chunk. It blocks the thread while too many chunks are buffered.
struct ChunkWriter {
    lines: LineSender,
    runtime: Handle,
}

impl RunSlot {
    pub(super) fn new(permit: OwnedSemaphorePermit, work: UnlimitedWork) -> Self {
        Self { _permit: permit, _work: work }
    }
}

impl LineBody {
    /// Starts a task that sends lines.
    pub(super) fn spawn<F>(slot: RunSlot, make_task: impl FnOnce(LineSender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, chunks) = mpsc::channel(MAX_CHUNKS);
        let mut task = JoinSet::new();
        task.spawn(make_task(LineSender { chunks: sender, _slot: Arc::new(slot) }));
        Self { chunks, _task: task }
    }
}

impl Body for LineBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.chunks.poll_recv(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl LineSender {
    /// Sends a line, or drops the line if the channel is full.
    pub(super) fn try_send(&self, line: String) {
        let _ = self.chunks.try_send(line.into());
    }

    /// Sends a line. Does nothing if the body is dropped, or if the client reads no chunk for [`STALL_TIMEOUT`].
    pub(super) async fn send(&self, line: String) {
        let _ = self.send_chunk(line.into()).await;
    }

    /// Sends a chunk, as [`send`](Self::send) does. Returns false if it was not sent.
    async fn send_chunk(&self, chunk: Bytes) -> bool {
        matches!(timeout(STALL_TIMEOUT, self.chunks.send(chunk)).await, Ok(Ok(())))
    }

    /// Returns a writer of one long line, for a thread that may block. Writing fails where [`send`](Self::send) does nothing.
    pub(super) fn into_writer(self) -> impl Write + Send {
        BufWriter::with_capacity(CHUNK_LEN, ChunkWriter { lines: self, runtime: Handle::current() })
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        let is_sent = self.runtime.block_on(self.lines.send_chunk(chunk));
        if is_sent { Ok(bytes.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::server::NoTimeLimit;

    fn slot(permits: &Arc<Semaphore>) -> RunSlot {
        let permit = permits.clone().try_acquire_owned().unwrap();
        RunSlot::new(permit, NoTimeLimit::new().1)
    }

    #[tokio::test(start_paused = true)]
    async fn slot_is_returned_at_the_end_of_a_run_whose_body_is_not_read() {
        let permits = Arc::new(Semaphore::new(1));
        let _body = LineBody::spawn(slot(&permits), |lines| async move { lines.send("error".into()).await });
        assert!(timeout(Duration::from_secs(1), permits.acquire()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn slot_is_returned_after_a_time_in_which_the_client_reads_nothing() {
        let permits = Arc::new(Semaphore::new(1));
        let _body = LineBody::spawn(slot(&permits), |lines| async move {
            while lines.send_chunk(Bytes::from_static(b"x")).await {}
        });
        assert!(timeout(STALL_TIMEOUT / 2, permits.acquire()).await.is_err());
        assert!(timeout(STALL_TIMEOUT, permits.acquire()).await.is_ok());
    }
}
