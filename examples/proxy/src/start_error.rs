//! The error of a start that failed, with its exit code.
use std::fmt::Display;

/// The reason why a subcommand could not begin its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The command line or the environment is wrong. Exit code 2, as for errors that clap finds.
    #[error("{0}")]
    BadUse(String),
    /// The machine, the network or a file is not as required. Exit code 1.
    #[error("{0}")]
    CannotStart(String),
}

impl StartError {
    /// Converts an error that the user cannot correct on the command line.
    pub fn cannot_start(error: impl Display) -> Self {
        Self::CannotStart(error.to_string())
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CannotStart(_) => 1,
            Self::BadUse(_) => 2,
        }
    }
}
