//! The destination of a report: a file that is replaced atomically, or a stream.
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::OutputFormat;
use crate::atomic_file::{FileDraft, descriptor_number, resolve_links};
use crate::spend::report::SpendReport;

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
        FileDraft::create(&target)?;
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
    let mut draft = FileDraft::create(target)?;
    super::write(report, format, false, draft.as_file_mut())?;
    draft.prepare()?;
    draft.commit()
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
