//! The destination of a report: a file that is replaced atomically, or a stream.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::OutputFormat;
use crate::spend::report::SpendReport;

/// The largest number of symbolic links that a path may lead through, as in Linux.
const MAX_LINKS: usize = 40;

/// A destination that was checked before the costs are read.
pub struct OutputFile(Destination);

enum Destination {
    /// The path of a file that is created or replaced. It is absolute and leads through no link.
    Replaced(PathBuf),
    /// A device, a pipe, or a descriptor of this process, which cannot be replaced.
    Stream(File),
}

impl OutputFile {
    /// Opens a stream, or creates and removes a draft in the folder of a file. An error means that a report cannot be
    /// written to `path`.
    ///
    /// A symbolic link is kept, and its target is replaced.
    pub fn open(path: &Path) -> io::Result<Self> {
        let target = resolve_links(path)?;
        if let Some(number) = descriptor_number(&target) {
            let stream = open_descriptor(&number, &target)?;
            return Ok(Self(Destination::Stream(stream)));
        }
        let is_stream = fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file());
        if is_stream {
            let stream = OpenOptions::new().write(true).open(&target)?;
            return Ok(Self(Destination::Stream(stream)));
        }
        // Dropping the draft removes it.
        create_draft(&target)?;
        Ok(Self(Destination::Replaced(target)))
    }

    /// True if a file exists that a report would replace.
    pub fn has_old_content(&self) -> bool {
        match &self.0 {
            Destination::Replaced(target) => target.exists(),
            Destination::Stream(_) => false,
        }
    }

    /// Writes a report. A file is replaced in one step: after an error or a crash, it has its old content or the new one.
    ///
    /// A new file has mode 0600, because costs and names may be confidential. An existing file keeps its mode. A reader
    /// that closes a pipe early is no error.
    pub fn write(self, report: &SpendReport, format: OutputFormat) -> io::Result<()> {
        match self.0 {
            Destination::Replaced(target) => replace_file(&target, report, format),
            Destination::Stream(mut stream) => {
                super::ignore_broken_pipe(super::write(report, format, false, &mut stream))
            }
        }
    }
}

/// Replaces or creates the file at an absolute path.
fn replace_file(target: &Path, report: &SpendReport, format: OutputFormat) -> io::Result<()> {
    let mut draft = create_draft(target)?;
    super::write(report, format, false, draft.as_file_mut())?;
    if let Ok(existing) = fs::metadata(target) {
        draft.as_file().set_permissions(existing.permissions())?;
    }
    draft.as_file().sync_all()?;
    draft.persist(target).map_err(|error| error.error)?;
    match target.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Creates a temporary file beside a file, because a rename is atomic only within a file system. Dropping it removes it.
fn create_draft(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let Some(folder) = target.parent() else { return Err(io::Error::other("the path has no file name")) };
    tempfile::Builder::new().prefix(".spend.").suffix(".draft").tempfile_in(folder)
}

/// Returns the absolute path that a path leads to, which may be a file that does not exist. Stops at a descriptor of this
/// process, such as `/dev/stdout`, because the link of a descriptor leads to the file behind it.
fn resolve_links(path: &Path) -> io::Result<PathBuf> {
    let mut current = std::path::absolute(path)?;
    for _ in 0..=MAX_LINKS {
        let (Some(folder), Some(name)) = (current.parent(), current.file_name()) else {
            return Err(io::Error::other("the path has no file name"));
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

/// Returns the last part of a path in the folder of the descriptors of this process, or `None` for another path.
fn descriptor_number(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    for descriptor_folder in ["/proc/self/fd", "/dev/fd"] {
        if fs::canonicalize(descriptor_folder).is_ok_and(|resolved| resolved == folder) {
            return path.file_name()?.to_str().map(str::to_owned);
        }
    }
    None
}

/// Opens a descriptor of this process for writing, without truncation.
///
/// The position in a file is that of the shell for standard output and standard error. Other descriptors append, because
/// their position cannot be shared without unsafe code.
fn open_descriptor(number: &str, path: &Path) -> io::Result<File> {
    match duplicate_standard_stream(number)? {
        Some(stream) => Ok(stream),
        None => OpenOptions::new().append(true).open(path),
    }
}

/// Duplicates standard output or standard error, whose position the duplicate shares. Returns `None` for another number.
#[cfg(unix)]
fn duplicate_standard_stream(number: &str) -> io::Result<Option<File>> {
    use std::os::fd::AsFd;

    let duplicate = match number {
        "1" => io::stdout().as_fd().try_clone_to_owned()?,
        "2" => io::stderr().as_fd().try_clone_to_owned()?,
        _ => return Ok(None),
    };
    Ok(Some(File::from(duplicate)))
}

/// Returns `None`, because descriptors have no paths on this system.
#[cfg(not(unix))]
fn duplicate_standard_stream(_number: &str) -> io::Result<Option<File>> {
    Ok(None)
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
