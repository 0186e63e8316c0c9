//! Standard output, on which a minted key is printed once.
use std::io::{self, Write};

/// Standard output, checked before a key is minted.
pub(super) struct SecretOutput(StandardOutput);

#[cfg(unix)]
type StandardOutput = std::fs::File;
#[cfg(not(unix))]
type StandardOutput = io::Stdout;

impl SecretOutput {
    /// Opens standard output. On Unix, fails if it is closed or `/dev/null`, where the key would be lost.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(open_standard_output()?))
    }

    /// Prints the key and a line feed.
    pub(super) fn print(mut self, secret: &str) -> io::Result<()> {
        self.0.write_all(secret.as_bytes())?;
        self.0.write_all(b"\n")?;
        self.0.flush()
    }
}

/// Duplicates standard output, because `io::stdout()` reports no error for a closed one.
#[cfg(unix)]
fn open_standard_output() -> io::Result<StandardOutput> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let output = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // The standard library opens /dev/null in place of a closed standard output.
    let null = std::fs::metadata("/dev/null")?;
    let metadata = output.metadata()?;
    let is_null = metadata.dev() == null.dev() && metadata.ino() == null.ino();
    if is_null {
        return Err(io::Error::other("standard output is closed, or is /dev/null"));
    }
    Ok(output)
}

#[cfg(not(unix))]
fn open_standard_output() -> io::Result<StandardOutput> {
    Ok(io::stdout())
}
