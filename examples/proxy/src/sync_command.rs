//! The subcommand `sync`: writes the names from the API's own lists to a map file, once or regularly.
use std::fmt;
use std::future::pending;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::{ProgressBar, ProgressStyle};
use tower_api_key_name::directory::{AdminKey, BaseUrl, Directory, DirectoryError, ListingProgress, Synced};

use super::sync::MAX_REPORTED;

/// All lists were read, and the file contains their names.
const COMPLETE: u8 = 0;
/// Nothing was learned, or the file cannot be used.
const FAILED: u8 = 1;
/// Some lists are missing. The file contains the names of the others.
const INCOMPLETE: u8 = 3;

/// The longest time between two listings, in minutes: one week.
const MAX_MINUTES: f64 = 7.0 * 24.0 * 60.0;

#[derive(Clone, clap::Args)]
pub struct SyncFlags {
    /// Map file: names in it are kept, and learned names are added. It is created if it is missing
    #[arg(default_value = "names.json")]
    pub file: PathBuf,

    /// API whose lists are read
    #[arg(long, value_enum, default_value_t = Provider::Openai)]
    pub api: Provider,

    /// Base URL of the API [default: OPENAI_BASE_URL or ANTHROPIC_BASE_URL, or the API's public address]
    // Parsed in `directory`: clap would print an invalid value, which may contain a password.
    #[arg(long)]
    pub base_url: Option<String>,

    /// Minutes between two listings, for example 0.5; without it, one listing
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub every: Option<Duration>,

    /// Maximum number of concurrent requests
    #[arg(long, default_value_t = 8)]
    pub concurrency: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    Openai,
    Anthropic,
}

/// Leaves out the base URL, which is not yet parsed and may contain a password.
impl fmt::Debug for SyncFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncFlags").field("file", &self.file).field("api", &self.api).finish_non_exhaustive()
    }
}

/// Runs the subcommand. With `--every`, it ends at a signal.
pub fn run(flags: SyncFlags) -> ExitCode {
    let code = directory(&flags).map_err(|e| e.to_string()).and_then(|directory| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().map_err(|e| format!("no runtime: {e}"))?;
        Ok(runtime.block_on(sync(&directory, &flags)))
    });
    ExitCode::from(code.unwrap_or_else(|e| {
        eprintln!("error: {e}");
        FAILED
    }))
}

fn directory(flags: &SyncFlags) -> Result<Directory, DirectoryError> {
    let (key_variable, url_variable, public) = match flags.api {
        Provider::Openai => ("OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", BaseUrl::openai()),
        Provider::Anthropic => ("ANTHROPIC_ADMIN_KEY", "ANTHROPIC_BASE_URL", BaseUrl::anthropic()),
    };
    let key = AdminKey::from_env(key_variable)?;
    let base = match flags.base_url.clone().or_else(|| std::env::var(url_variable).ok()) {
        Some(url) => url.parse()?,
        None => public,
    };
    let client = client(&base);
    let directory = match flags.api {
        Provider::Openai => Directory::openai(client, key),
        Provider::Anthropic => Directory::anthropic(client, key),
    };
    Ok(directory.base_url(base).concurrency(flags.concurrency))
}

fn client(base: &BaseUrl) -> Client<HttpsConnector<HttpConnector>, Empty<Bytes>> {
    let builder = HttpsConnectorBuilder::new();
    // Redirects are not followed, so an http:// base URL needs no certificates of the platform.
    let builder = match base.is_https() {
        // A platform without certificates uses Mozilla's.
        true => {
            builder.with_native_roots().unwrap_or_else(|_| HttpsConnectorBuilder::new().with_webpki_roots())
        }
        false => builder.with_webpki_roots(),
    };
    let connector = builder.https_or_http().enable_all_versions().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

async fn sync(directory: &Directory, flags: &SyncFlags) -> u8 {
    let Some(every) = flags.every else {
        return sync_once(directory, flags).await;
    };
    // A listing may be dropped at any time: the file is always complete.
    let repeated = async {
        loop {
            sync_once(directory, flags).await;
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        code = repeated => code,
        () = stop_signal() => COMPLETE,
    }
}

async fn sync_once(directory: &Directory, flags: &SyncFlags) -> u8 {
    let display = ProgressDisplay::new();
    let callback = display.clone();
    let directory = directory.clone().on_progress(move |progress| callback.show(progress));
    let result = directory.sync(&flags.file).await;
    display.finish();
    match result {
        Ok(synced) => report(&synced),
        Err(error) => {
            eprintln!("error: {error}");
            FAILED
        }
    }
}

/// Prints the result of a listing and its missing lists, and returns the exit code.
fn report(synced: &Synced) -> u8 {
    println!("{synced}{}", if synced.written { "" } else { " (the file is unchanged)" });
    let missing = &synced.listing.missing;
    for missing in missing.iter().take(MAX_REPORTED) {
        eprintln!("missing: {missing}");
    }
    if missing.len() > MAX_REPORTED {
        eprintln!("missing: {} more", missing.len() - MAX_REPORTED);
    }
    match synced.listing.keys() {
        _ if missing.is_empty() => COMPLETE,
        0 => FAILED,
        _ => INCOMPLETE,
    }
}

/// The progress of a listing: a bar on a terminal, otherwise a line per 100 lists.
#[derive(Clone)]
enum ProgressDisplay {
    Bar(ProgressBar),
    Lines,
}

impl ProgressDisplay {
    /// The number of lists per line.
    const LISTS_PER_LINE: usize = 100;

    fn new() -> Self {
        if !stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::no_length().with_message("0 keys");
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} lists, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    fn show(&self, progress: ListingProgress) {
        let ListingProgress { lists, done, keys, retries, .. } = progress;
        let retried = if retries == 0 { String::new() } else { format!(", {retries} retries") };
        match self {
            Self::Bar(bar) => {
                bar.set_length(lists as u64);
                bar.set_position(done as u64);
                bar.set_message(format!("{keys} keys{retried}"));
            }
            Self::Lines if done > 0 && done.is_multiple_of(Self::LISTS_PER_LINE) => {
                eprintln!("{done} of {lists} lists, {keys} keys{retried}");
            }
            Self::Lines => {}
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        // NaN is in no range.
        Ok(minutes) if (0.01..=MAX_MINUTES).contains(&minutes) => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => Err(format!("a number of minutes from 0.01 to {MAX_MINUTES}")),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    interrupt.await;
}
