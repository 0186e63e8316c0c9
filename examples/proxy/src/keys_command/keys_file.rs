//! The keys file on the disk: its lock, its check before and after an edit, and its replacement.
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tower_api_key_name::proxy_keys::ProxyKeys;

use crate::atomic_file::{FileDraft, resolve_links};
use crate::output::print_error_line;
use crate::start_error::StartError;

/// The text of a file that does not exist.
const EMPTY_LIST: &str = "{\n  \"object\": \"list\",\n  \"data\": []\n}\n";

/// A valid keys file that no other run of this subcommand can edit. Dropping it unlocks the file.
pub(super) struct LockedKeysFile {
    /// The path of the command line, for messages.
    path: PathBuf,
    /// The absolute path of the file behind all links.
    target: PathBuf,
    text: String,
    is_new: bool,
    /// Locked until it is closed.
    _lock: File,
}

impl LockedKeysFile {
    /// Locks and reads a file. A missing file has the text of an empty list.
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        let target = resolve_links(path).map_err(|e| file_error(path, e))?;
        let is_other_kind = fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file());
        if is_other_kind {
            return Err(file_error(path, "this is not a regular file"));
        }
        let lock = lock_beside(path, &target)?;
        let is_new = !target.try_exists().map_err(|e| file_error(path, e))?;
        let text = if is_new { EMPTY_LIST.to_owned() } else { check(fs::read(&target), path)? };
        Ok(Self { path: path.to_owned(), target, text, is_new, _lock: lock })
    }

    /// Locks and reads a file. Fails if it does not exist.
    pub(super) fn open_existing(path: &Path) -> Result<Self, StartError> {
        // The lock of a missing file would leave the lock's file behind.
        fs::metadata(path).map_err(|e| file_error(path, e))?;
        Self::open(path)
    }

    /// The text of the file.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// True if the file did not exist.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Adds the path of the file to the reason of an error.
    pub(super) fn error(&self, reason: impl std::fmt::Display) -> StartError {
        file_error(&self.path, reason)
    }

    /// Checks the new text of the file, and writes it to a draft with the mode and the owner of the file.
    pub(super) fn prepare(&self, edited: &str) -> Result<FileDraft, StartError> {
        if let Err(error) = ProxyKeys::check(edited.as_bytes()) {
            let reason = "nothing was written, because the edited file would be invalid";
            return Err(self.error(format!("{reason}: {error}")));
        }
        self.write_draft(edited).map_err(|e| self.error(format!("nothing was written: {e}")))
    }

    fn write_draft(&self, edited: &str) -> io::Result<FileDraft> {
        let mut draft = FileDraft::create(&self.target)?;
        draft.as_file_mut().write_all(edited.as_bytes())?;
        draft.keep_owner()?;
        draft.prepare()?;
        Ok(draft)
    }
}

/// Reads a file without its lock, and checks it as the proxy does, but without the real keys.
pub(super) fn read_valid(path: &Path) -> Result<String, StartError> {
    check(fs::read(path), path)
}

/// Returns the text of a file that was read. Fails with the path if it could not be read, or is not a valid keys file.
fn check(content: io::Result<Vec<u8>>, path: &Path) -> Result<String, StartError> {
    let bytes = content.map_err(|e| file_error(path, e))?;
    ProxyKeys::check(&bytes).map_err(|e| file_error(path, e))?;
    String::from_utf8(bytes).map_err(|_| file_error(path, "this is not UTF-8; save it as UTF-8"))
}

/// Waits for the lock of a file, which is a file beside it with the suffix `.lock`.
///
/// The file itself cannot be the lock, because each edit replaces it. The lock's file is never removed: another run may
/// wait for its lock, and a third one would create and lock a new file.
fn lock_beside(path: &Path, target: &Path) -> Result<File, StartError> {
    let mut lock_path = OsString::from(target);
    lock_path.push(".lock");
    let lock_error = |e: io::Error| file_error(path, format!("the lock {}: {e}", lock_path.display()));
    let lock = open_lock(Path::new(&lock_path)).map_err(lock_error)?;
    match lock.try_lock() {
        Ok(()) => return Ok(lock),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(lock_error(error)),
    }
    print_error_line(&format!("waiting for another run of `keys`, which edits {}", path.display()));
    lock.lock().map_err(lock_error)?;
    Ok(lock)
}

/// Opens or creates the file of a lock, with mode 0600.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn file_error(path: &Path, reason: impl std::fmt::Display) -> StartError {
    StartError::CannotStart(format!("{}: {reason}", path.display()))
}
