//! The command `keys backup`: a copy of a ledger.
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use tower_api_key_name::proxy_keys::LedgerReader;

use super::flags::BackupFlags;
use crate::atomic_file::{FileDraft, resolve_links};
use crate::output::print_error_line;
use crate::start_error::StartError;

/// Copies the ledger to a draft beside the target, and moves the complete draft to the path of the target.
pub(super) fn copy_ledger(flags: &BackupFlags) -> Result<(), StartError> {
    let shown_target = flags.target.display();
    let target_error = |e: io::Error| StartError::CannotStart(format!("{shown_target}: {e}"));
    let reader = LedgerReader::open(&flags.ledger).map_err(StartError::cannot_start)?;
    let target = resolve_links(&flags.target).map_err(target_error)?;
    check_target(&flags.ledger, &target).map_err(target_error)?;

    let mut draft = FileDraft::create(&target).map_err(target_error)?;
    reader.backup(draft.path()).map_err(StartError::cannot_start)?;
    draft.keep_owner().map_err(target_error)?;
    draft.prepare().map_err(target_error)?;
    draft.commit().map_err(target_error)?;
    print_error_line(&format!("{} was copied to {shown_target}", flags.ledger.display()));
    Ok(())
}

/// Fails if the target cannot be replaced safely: if it is the ledger or no regular file, or if a database is open in it.
fn check_target(ledger: &Path, target: &Path) -> io::Result<()> {
    if fs::canonicalize(ledger)? == target {
        return Err(io::Error::other("this is the ledger itself: choose another file for the copy"));
    }
    match fs::metadata(target) {
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("this is not a regular file")),
        _ => {}
    }
    // SQLite would apply a log that is left beside the copy.
    for suffix in ["-wal", "-journal"] {
        let mut log = OsString::from(target);
        log.push(suffix);
        if Path::new(&log).try_exists()? {
            let log_path = log.display();
            return Err(io::Error::other(format!(
                "a program uses this database, because {log_path} exists: choose another file for the copy"
            )));
        }
    }
    Ok(())
}
