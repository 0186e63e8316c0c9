//! The log lines about reloads of names and keys.
use tower_api_key_name::{SharedKeyNames, Status};

/// Logs the first status of names and each change of it, without end. `subject` is the provider, or the keys.
pub(super) async fn log_reloads(subject: &'static str, names: SharedKeyNames) {
    let mut logged: Option<Status> = None;
    loop {
        let is_unlogged = |status: &Status| logged.as_ref().is_none_or(|old| is_news(old, status));
        let current = names.wait_for(is_unlogged).await;
        log_changes(subject, logged.as_ref(), &current);
        logged = Some(current);
    }
}

/// True if the generation, the error or the warning has changed.
fn is_news(old: &Status, current: &Status) -> bool {
    let is_same_result = old.last_error == current.last_error && old.warning == current.warning;
    old.generation != current.generation || !is_same_result
}

/// Logs the generation, the error and the warning of a status, each if it differs from the status that was logged before.
fn log_changes(subject: &str, old: Option<&Status>, current: &Status) {
    if old.is_none_or(|old| old.generation != current.generation) {
        log_generation(subject, current);
    }
    let old_error = old.and_then(|old| old.last_error.as_ref());
    if old_error != current.last_error.as_ref() {
        match &current.last_error {
            Some(error) => tracing::warn!("{subject}: the last good names stay in use: {error}"),
            None => tracing::info!("{subject}: the files with names are valid again"),
        }
    }
    let old_warning = old.and_then(|old| old.warning.as_ref());
    if let Some(warning) = &current.warning
        && old_warning != Some(warning)
    {
        tracing::warn!("{subject}: {warning}");
    }
}

/// Logs the number of names and their source, and a warning about each kind of missing names.
fn log_generation(subject: &str, status: &Status) {
    let Status { entries, source, generation, left_out, .. } = status;
    tracing::info!("{subject}: {entries} names from {source} (generation {generation})");
    if status.partial {
        tracing::warn!(
            "{subject}: {source}: names are missing. A file is missing, or has one page of a list (has_more)."
        );
    }
    if *left_out > 0 {
        tracing::warn!(
            "{subject}: {left_out} items of {source} were left out, because they have no valid name"
        );
    }
}
