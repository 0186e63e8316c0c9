//! Shutdown signals: the first one starts a graceful shutdown, the second one forces the exit.
use std::io;

use tokio::sync::watch;

/// Receives the number of shutdown signals so far.
#[derive(Clone)]
pub struct ShutdownSignal {
    count: watch::Receiver<u8>,
}

impl ShutdownSignal {
    /// Returns a sender of the number of signals, and its receiver.
    pub fn channel() -> (watch::Sender<u8>, Self) {
        let (sender, count) = watch::channel(0);
        (sender, Self { count })
    }

    /// Counts SIGTERM and Ctrl-C from now on. Fails if the system does not let this process handle them.
    pub fn from_system() -> io::Result<Self> {
        #[cfg(unix)]
        let signals = {
            use tokio::signal::unix::{SignalKind, signal};
            [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]
        };
        #[cfg(windows)]
        let signals = [tokio::signal::windows::ctrl_c()?];
        let (sender, receiver) = Self::channel();
        for mut signal in signals {
            let sender = sender.clone();
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    sender.send_modify(|count| *count = count.saturating_add(1));
                }
            });
        }
        Ok(receiver)
    }

    /// True after the first signal.
    pub fn is_received(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Completes after that many signals; never, if the sender is dropped before.
    pub async fn received(&mut self, count: u8) {
        if self.count.wait_for(|n| *n >= count).await.is_err() {
            std::future::pending().await
        }
    }
}
