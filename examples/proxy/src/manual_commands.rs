//! The subcommands `completions` and `man`: write files for shells and for `man` from the definition of the command line.
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::Shell;
use clap_mangen::Man;

use super::output::print_error_line;
use super::spend::output::ignore_broken_pipe;

#[derive(Debug, clap::Args)]
pub struct CompletionsFlags {
    /// Shell that reads the script
    pub shell: Shell,
}

#[derive(Debug, clap::Args)]
pub struct ManFlags {
    /// Directory for the pages of the program and of each subcommand; it is created if it is missing. Without it, the page
    /// of the program is printed
    pub directory: Option<PathBuf>,
}

/// Prints the completion script of a shell for the definition of a command line.
pub fn print_completions(flags: &CompletionsFlags, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut command, name, &mut script);
    exit_code(print(&script))
}

/// Prints the man page of the program with this command line, or writes all pages to the directory.
pub fn write_man_pages(flags: &ManFlags, command: clap::Command) -> ExitCode {
    match &flags.directory {
        Some(directory) => exit_code(write_pages(directory, command)),
        None => exit_code(print_page(command)),
    }
}

/// Writes one page for the program and one for each subcommand. An error begins with the directory.
fn write_pages(directory: &Path, command: clap::Command) -> Result<(), String> {
    let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
    written.map_err(|e| format!("{}: cannot write the man pages: {e}", directory.display()))
}

fn print_page(command: clap::Command) -> io::Result<()> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    print(&page)
}

/// Writes to standard output. A closed pipe is no error: `man | head` reads only the beginning.
fn print(content: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    ignore_broken_pipe(output.write_all(content).and_then(|()| output.flush()))
}

/// Converts the result of a subcommand to 0, or prints its error and returns 1.
fn exit_code(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error_line(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
