//! The entry point: parses the command line, starts the log, runs a subcommand, and returns the exit code.
use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use super::flags::{Command, CommandLine, ServeFlags};
use super::output::{LogWriter, print_error_line};
use super::stack::log;
use super::{check_command, keys_command, manual_commands, serve, spend_command, sync_command};

/// Runs the subcommand of the command line, or `serve` without one. Returns the exit code of the process.
pub fn main() -> ExitCode {
    // clap ends the process itself: with 2 on bad use, with 0 on --help.
    let command_line = CommandLine::parse();
    match command_line.command {
        Some(Command::Serve(flags)) => serve_with_log(*flags),
        Some(Command::Sync(flags)) => sync_command::run(flags),
        Some(Command::Spend(flags)) => spend_command::run(flags),
        Some(Command::Check(flags)) => check_command::run(&flags),
        Some(Command::Keys(flags)) => keys_command::run(flags),
        Some(Command::Completions(flags)) => {
            manual_commands::print_completions(&flags, CommandLine::command())
        }
        Some(Command::Man(flags)) => manual_commands::write_man_pages(&flags, CommandLine::command()),
        None => serve_with_log(command_line.serve),
    }
}

/// Serves with a log on standard error. A failed start is the last line of the log.
fn serve_with_log(flags: ServeFlags) -> ExitCode {
    let writer = match LogWriter::new(stderr()) {
        Ok(writer) => writer,
        Err(e) => {
            print_error_line(&format!("error: cannot start a thread for the log: {e}"));
            return ExitCode::from(1);
        }
    };
    let make_writer = writer.clone();
    tracing_subscriber::fmt()
        .with_env_filter(log::filter(flags.access_log))
        .with_ansi(stderr().is_terminal())
        .with_writer(move || make_writer.clone())
        .init();

    let (code, last_line) = match serve::run(flags) {
        Ok(0) => (0, None),
        // Requests were cut, because the grace period was over.
        Ok(_cut) => (3, None),
        Err(e) => (e.exit_code(), Some(format!("error: {e}\n"))),
    };
    writer.finish(last_line);
    ExitCode::from(code)
}
