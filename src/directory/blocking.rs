//! File access outside of the task that serves requests.

use super::error::{DirectoryError, DirectoryErrorKind};
use tokio::sync::oneshot;

/// Runs `work` on a thread of its own, so that a slow disk does not block the runtime.
///
/// If the future is dropped, the work still runs to its end.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, DirectoryError> {
    let error = |message: &str| DirectoryError::new(DirectoryErrorKind::Thread, message);
    let (sender, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("key directory".into())
        // Sending fails if the future was dropped.
        .spawn(move || drop(sender.send(work())))
        .map_err(|cause| error(&format!("no thread can be started for a file: {cause}")).caused_by(cause))?;
    result.await.unwrap_or_else(|_| Err(error("the thread for a file panicked")))
}
