//! The files of a ledger: the database, and the lock beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::proxy_keys::ledger::store::StoreError;

/// Returns options with which a new file can be read and written by its owner only.
fn private_options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates an empty file for a new ledger. SQLite gives its mode to the log beside it. An existing file is left unchanged.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    match private_options().write(true).create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes the lock of a ledger file, and fails at once if another writer has it. The lock ends with the process.
pub(super) fn lock_file(path: &Path) -> Result<File, StoreError> {
    let lock_path = lock_path(path)?;
    let lock = private_options().append(true).create(true).open(&lock_path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::new(&format_args!(
            "another process writes it and has locked {}: stop that process first",
            lock_path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Returns the path of the lock file: that of the ledger file without symbolic links, and `.lock`.
///
/// The ledger file is not opened here. If another connection of this process has it open, closing it here would end the
/// locks of that connection (POSIX `fcntl`).
fn lock_path(path: &Path) -> io::Result<PathBuf> {
    let mut lock_path = match path.canonicalize() {
        Ok(file) => file.into_os_string(),
        Err(_) => {
            // The file does not exist yet.
            let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
            let directory = path.parent().unwrap_or(Path::new(""));
            Path::new(".").join(directory).canonicalize()?.join(name).into_os_string()
        }
    };
    lock_path.push(".lock");
    Ok(lock_path.into())
}
