//! Every key's name, from the API's own lists into a map file.
//!
//! ```console
//! $ OPENAI_ADMIN_KEY=… cargo run --release --features directory --example sync_names -- names.json
//! 250 projects, 12002 keys: 12002 new, 0 renamed, 0 gone
//! ```
//!
//! The key is taken from `OPENAI_ADMIN_KEY`, or from the file that `OPENAI_ADMIN_KEY_FILE` names (for Anthropic,
//! `ANTHROPIC_ADMIN_KEY` and `…_FILE`); there is no flag for it, since every process may read command lines.
//!
//! It ends with 0 if the file says all that the lists say; 3 if some lists could not be read, and the file says what
//! the others do; 1 if nothing was learned or the file cannot be used; 2 if it was called wrongly.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http_body_util::Empty;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use indicatif::{ProgressBar, ProgressStyle};
use tower_api_key_name::directory::{AdminKey, Directory, DirectoryError, Progress, Synced};

const DONE: u8 = 0;
const FAILED: u8 = 1;
const INCOMPLETE: u8 = 3;

/// Of lists that could not be read, so many are told one by one.
const TOLD: usize = 10;

/// Writes a map of every key's id and name, from the lists of an organization's admin API
#[derive(Parser)]
#[command(name = "sync_names", version)]
struct Flags {
    /// The map: what stands there is kept, and what is new is added. Made if it is missing
    #[arg(default_value = "names.json")]
    file: PathBuf,

    /// Whose lists
    #[arg(long, value_enum, default_value_t = Api::Openai)]
    api: Api,

    /// Where the API is [default: its public address; OPENAI_BASE_URL or ANTHROPIC_BASE_URL]
    // Checked by the library, not by clap, which would print it: it may hold a password.
    #[arg(long)]
    base_url: Option<String>,

    /// Minutes from one walk to the next, also 0.5; without it, one walk
    #[arg(long, value_parser = minutes)]
    every: Option<Duration>,

    /// Most requests at once
    #[arg(long, default_value_t = 8)]
    concurrency: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Api {
    Openai,
    Anthropic,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let directory = match directory(&flags) {
        Ok(directory) => directory,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let Some(every) = flags.every else {
        return ExitCode::from(sync(&directory, &flags.file).await);
    };
    let walks = async {
        loop {
            sync(&directory, &flags.file).await;
            tokio::time::sleep(every).await;
        }
    };
    // At whatever point it is stopped, the file is whole.
    tokio::select! {
        () = walks => unreachable!("it goes on for ever"),
        () = told_to_stop() => ExitCode::from(DONE),
    }
}

fn directory(flags: &Flags) -> Result<Directory, DirectoryError> {
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let (directory, variable) = match flags.api {
        Api::Openai => {
            (Directory::openai(client, AdminKey::from_env("OPENAI_ADMIN_KEY")?), "OPENAI_BASE_URL")
        }
        Api::Anthropic => {
            (Directory::anthropic(client, AdminKey::from_env("ANTHROPIC_ADMIN_KEY")?), "ANTHROPIC_BASE_URL")
        }
    };
    let directory = directory.concurrency(flags.concurrency);
    match flags.base_url.clone().or_else(|| std::env::var(variable).ok()) {
        Some(url) => directory.base_url(&url),
        None => Ok(directory),
    }
}

/// One walk, told as it goes; the result is how a process that makes only this one should end.
async fn sync(directory: &Directory, file: &PathBuf) -> u8 {
    let shown = Shown::new();
    let bar = shown.clone();
    let went = directory.clone().on_progress(move |progress| bar.show(progress)).sync(file).await;
    shown.end();
    match went {
        Err(error) => {
            eprintln!("error: {error}");
            FAILED
        }
        Ok(synced) => report(&synced),
    }
}

fn report(synced: &Synced) -> u8 {
    println!("{synced}{}", if synced.written() { "" } else { " (the file is as it was)" });
    let missing = synced.listing().missing();
    for missing in missing.iter().take(TOLD) {
        eprintln!("missing: {missing}");
    }
    if missing.len() > TOLD {
        eprintln!("missing: {} more", missing.len() - TOLD);
    }
    match synced.listing().keys() {
        _ if missing.is_empty() => DONE,
        0 => FAILED,
        _ => INCOMPLETE,
    }
}

/// How far a walk has come: a bar on a terminal, a line now and then elsewhere.
#[derive(Clone)]
enum Shown {
    Bar(ProgressBar),
    Lines,
}

impl Shown {
    /// A log needs no more: a line for so many lists.
    const LINE: usize = 100;

    fn new() -> Self {
        if !stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::no_length().with_message("0 keys");
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} lists, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    fn show(&self, progress: Progress) {
        let Progress { lists, done, keys, retries, .. } = progress;
        let retried = if retries == 0 { String::new() } else { format!(", {retries} retries") };
        match self {
            Self::Bar(bar) => {
                bar.set_length(lists as u64);
                bar.set_position(done as u64);
                bar.set_message(format!("{keys} keys{retried}"));
            }
            Self::Lines if done > 0 && done.is_multiple_of(Self::LINE) => {
                eprintln!("{done} of {lists} lists, {keys} keys{retried}");
            }
            Self::Lines => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    // A week is longer than anyone waits, and far from where an instant overflows.
    const MOST: f64 = 7.0 * 24.0 * 60.0;
    match text.parse::<f64>() {
        // NaN is in no range.
        Ok(minutes) if (0.01..=MOST).contains(&minutes) => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => Err(format!("a number of minutes from 0.01 to {MOST}")),
    }
}

/// Ctrl-C, or what a container is stopped with.
async fn told_to_stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    interrupted.await;
}
