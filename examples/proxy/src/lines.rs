//! The log's way to standard error, by a thread of its own: whoever takes it and reads no more (a collector that hangs,
//! a pipe that is full) holds no call, and not the end of the program. Lines that find the queue full are lost, and
//! counted: whoever reads again is told how many.
//!
//! tracing-appender does most of this. But what it lost, only its own queue could tell, which is full then; its lines
//! may be of any length; and at its end it writes to standard output, where perhaps nobody reads either.
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that wait to be written: 8 for each call that may go wrong at a time.
const QUEUE: usize = 4_096;

/// Bytes of a line, so that all that wait are 8 MiB at most: a path alone may have 64 KiB.
pub const LONGEST: usize = 2_048;

/// How long the end waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where to write lines: each with one call.
#[derive(Clone)]
pub struct Lines {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

enum Entry {
    Line(Vec<u8>),
    /// To be told when all before it is written.
    End(SyncSender<()>),
}

impl Lines {
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let lost = Arc::<AtomicU64>::default();
        let lines = Self { queue, lost: lost.clone() };
        thread::Builder::new().name("log".into()).spawn(move || write(out, &waiting, &lost))?;
        Ok(lines)
    }

    /// Adds these last words, and waits until all is written, or would be if somebody read it.
    pub fn end(self, last_words: Option<String>) {
        let (end, ended) = sync_channel(1);
        // Where the queue is full, this waits too.
        thread::spawn(move || {
            let last_words = last_words.map(|words| Entry::Line(words.into_bytes()));
            for entry in last_words.into_iter().chain([Entry::End(end)]) {
                let _ = self.queue.send(entry);
            }
        });
        let _ = ended.recv_timeout(PATIENCE);
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(shortened(line))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shortened(line: &[u8]) -> Vec<u8> {
    if line.len() <= LONGEST {
        return line.to_vec();
    }
    const CUT: &[u8] = "…\n".as_bytes();
    // Not in the midst of a character.
    let is_start = |at: &usize| line[*at] & 0xC0 != 0x80;
    let end = (0..=LONGEST - CUT.len()).rev().find(is_start).unwrap_or_default();
    [&line[..end], CUT].concat()
}

/// That nobody takes a line is no reason to end: somebody may take the next.
fn write(mut out: impl Write, waiting: &Receiver<Entry>, lost: &AtomicU64) {
    for entry in waiting {
        if let Entry::Line(line) = &entry {
            let _ = out.write_all(line);
        }
        // Only here, where there is no queue that it could be too late for.
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "WARN {lost} lines of this log are lost: nobody read it fast enough");
        }
        if let Entry::End(end) = entry {
            let _ = end.send(());
        }
    }
}
