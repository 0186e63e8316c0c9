//! The program's two streams: [`print_line`] for standard output, [`LogWriter`] for the log on standard error, and
//! [`print_error_line`] for the subcommands that have no log.
//!
//! The log has a thread of its own, so that a reader that stopped reading (a full pipe, a collector that hangs) delays
//! neither a request nor the end of the program. The queue is bounded; lines that do not fit are dropped and counted.
//!
//! tracing-appender is not used: it has no report of dropped lines in the log itself and no bound for the length of a
//! line, and when its flush times out it prints to standard output, which may be the same blocked pipe.
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Longest line in bytes, which bounds the queue to 8 MiB. A request's path alone may have 64 KiB.
pub const MAX_LINE: usize = 2_048;

/// Prints one line and flushes, because the process that started the proxy reads its address from standard output.
pub fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason to stop.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints one line on standard error. A reader that is gone is ignored, because the work can still succeed.
pub fn print_error_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A non-blocking writer for log lines. Each call of `write` is one line.
#[derive(Clone)]
pub struct LogWriter {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// The last message. The thread replies when everything before it is written.
    Finish(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to `out`.
    pub fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        // The capacity is 8 lines for each request in flight (512 by default).
        let (queue, receiver) = sync_channel(4_096);
        let dropped = Arc::<AtomicU64>::default();
        let counter = dropped.clone();
        thread::Builder::new().name("log".into()).spawn(move || write_queue(out, &receiver, &counter))?;
        Ok(Self { queue, dropped })
    }

    /// Writes the queue and then `last_line`. Waits for one second at most.
    pub fn finish(self, last_line: Option<String>) {
        let (reply, finished) = sync_channel(1);
        // A thread sends, because `send` has no timeout and blocks while the queue is full.
        thread::spawn(move || {
            if let Some(line) = last_line {
                let _ = self.queue.send(Message::Line(line.into_bytes()));
            }
            let _ = self.queue.send(Message::Finish(reply));
        });
        let _ = finished.recv_timeout(Duration::from_secs(1));
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(truncate(line))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts a long line after its last whole character.
fn truncate(line: &[u8]) -> Vec<u8> {
    const CUT: &str = "…\n";
    if line.len() <= MAX_LINE {
        return line.to_vec();
    }
    let start = &line[..MAX_LINE - CUT.len()];
    let whole_characters = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    [whole_characters, CUT].concat().into_bytes()
}

/// Writes the lines of the queue, and the number of dropped lines, until the last sender is gone.
fn write_queue(mut out: impl Write, queue: &Receiver<Message>, dropped: &AtomicU64) {
    for message in queue {
        if let Message::Line(line) = &message {
            // After an error the next line may succeed.
            let _ = out.write_all(line);
        }
        // The report does not go through the queue: a full queue would drop the report too.
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(out, "WARN {count} log lines were dropped: the reader of the log is too slow");
        }
        if let Message::Finish(reply) = message {
            let _ = reply.send(());
        }
    }
}
