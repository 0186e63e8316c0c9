//! File access outside of the runtime's worker threads.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Runs `work` on a thread for blocking calls. If the future is dropped, `work` still runs to its end.
pub(super) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(result) => result,
        // The task is never aborted, so it has panicked.
        Err(error) => resume_unwind(error.into_panic()),
    }
}
