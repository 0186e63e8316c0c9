//! A file that is created or replaced in one step: after an error or a crash, it has its old content or the new one.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The largest number of symbolic links that a path may lead through, as in Linux.
const MAX_LINKS: usize = 40;

/// The new content of a file, in a temporary file beside it. Dropping the draft removes the temporary file.
pub struct FileDraft {
    temporary: tempfile::NamedTempFile,
    target: PathBuf,
}

impl FileDraft {
    /// Creates an empty draft with mode 0600 for the file at a path without links. An error means that the folder of the
    /// file cannot be written.
    pub fn create(target: &Path) -> io::Result<Self> {
        let Some(folder) = target.parent() else { return Err(no_file_name()) };
        // The draft is in the folder of the file, because a rename is atomic only within a file system.
        let temporary =
            tempfile::Builder::new().prefix(".api-key-name-proxy.").suffix(".draft").tempfile_in(folder)?;
        Ok(Self { temporary, target: target.to_owned() })
    }

    /// The temporary file, to which the new content is written.
    pub fn as_file_mut(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// The path of the temporary file.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Gives the draft the owner and the group of the existing file. Fails if this process has no right to do so.
    pub fn keep_owner(&self) -> io::Result<()> {
        let Ok(existing) = fs::metadata(&self.target) else { return Ok(()) };
        copy_owner(&existing, self.temporary.as_file())
    }

    /// Sets the mode of the existing file, and writes the draft to its disk. A new file keeps mode 0600.
    pub fn prepare(&mut self) -> io::Result<()> {
        if let Ok(existing) = fs::metadata(&self.target) {
            self.temporary.as_file().set_permissions(existing.permissions())?;
        }
        self.temporary.as_file().sync_all()
    }

    /// Moves the prepared draft to the path of the file, which replaces an existing file.
    pub fn commit(self) -> io::Result<()> {
        let Self { temporary, target } = self;
        temporary.persist(&target).map_err(|error| error.error)?;
        match target.parent() {
            Some(folder) => sync_folder(folder),
            None => Ok(()),
        }
    }
}

/// Gives a file the owner and the group of another.
#[cfg(unix)]
fn copy_owner(from: &fs::Metadata, to: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let current = to.metadata()?;
    if current.uid() == from.uid() && current.gid() == from.gid() {
        return Ok(());
    }
    let result = fchown(to, Some(from.uid()), Some(from.gid()));
    result.map_err(|e| io::Error::new(e.kind(), format!("its owner and group cannot be kept: {e}")))
}

/// Does nothing, because a new file inherits its owner from the folder on this system.
#[cfg(not(unix))]
fn copy_owner(_from: &fs::Metadata, _to: &File) -> io::Result<()> {
    Ok(())
}

/// Returns the absolute path that a path leads to, which may be a file that does not exist. Stops at a descriptor of this
/// process, such as `/dev/stdout`, because the link of a descriptor leads to the file behind it.
pub fn resolve_links(path: &Path) -> io::Result<PathBuf> {
    let mut current = std::path::absolute(path)?;
    for _ in 0..=MAX_LINKS {
        let (Some(folder), Some(name)) = (current.parent(), current.file_name()) else {
            return Err(no_file_name());
        };
        let resolved = fs::canonicalize(folder)?.join(name);
        if descriptor_number(&resolved).is_some() {
            return Ok(resolved);
        }
        let Ok(link) = fs::read_link(&resolved) else { return Ok(resolved) };
        // A relative link begins at its own folder. An absolute link replaces the whole path.
        current = resolved.with_file_name(link);
    }
    Err(io::Error::other(format!("the path leads through more than {MAX_LINKS} symbolic links")))
}

fn no_file_name() -> io::Error {
    io::Error::other("the path has no file name")
}

/// Returns the last part of a path in the folder of the descriptors of this process, or `None` for another path.
pub fn descriptor_number(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    for descriptor_folder in ["/proc/self/fd", "/dev/fd"] {
        if fs::canonicalize(descriptor_folder).is_ok_and(|resolved| resolved == folder) {
            return path.file_name()?.to_str().map(str::to_owned);
        }
    }
    None
}

/// Writes the entries of a folder to its disk, so that a rename survives a loss of power.
///
/// Does nothing if the file system does not support this.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // A folder cannot be opened as a file on Windows.
    if cfg!(windows) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}
