//! A response body of lines that a task writes. Dropping the body ends the task.
use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tower::BoxError;

/// The length of the chunks of a long line, in bytes.
const CHUNK_LEN: usize = 64 * 1024;

/// The most chunks that are buffered until the client reads them.
const MAX_CHUNKS: usize = 8;

/// The body with the lines of a task. If the task panics, the body ends without its last line.
pub(super) struct LineBody {
    chunks: mpsc::Receiver<Bytes>,
    /// Aborts the task when it is dropped.
    _task: JoinSet<()>,
    /// Occupies one of the allowed runs until the body is dropped.
    _permit: OwnedSemaphorePermit,
}

/// The sender of the lines.
#[derive(Clone)]
pub(super) struct LineSender(mpsc::Sender<Bytes>);

/// A writer that sends each write as one chunk. It blocks the thread while too many chunks are buffered.
struct ChunkWriter(mpsc::Sender<Bytes>);

impl LineBody {
    /// Starts a task that sends lines. The permit is returned when the body is dropped.
    pub(super) fn spawn<F>(permit: OwnedSemaphorePermit, make_task: impl FnOnce(LineSender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, chunks) = mpsc::channel(MAX_CHUNKS);
        let mut task = JoinSet::new();
        task.spawn(make_task(LineSender(sender)));
        Self { chunks, _task: task, _permit: permit }
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
        let _ = self.0.try_send(line.into());
    }

    /// Sends a line. Does nothing if the body is dropped.
    pub(super) async fn send(&self, line: String) {
        let _ = self.0.send(line.into()).await;
    }

    /// Returns a writer of one long line, for a thread that may block. Writing fails if the body is dropped.
    pub(super) fn into_writer(self) -> impl Write + Send {
        BufWriter::with_capacity(CHUNK_LEN, ChunkWriter(self.0))
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.blocking_send(Bytes::copy_from_slice(bytes)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
