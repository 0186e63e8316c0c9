//! The subcommand `sync`: writes the names from the API's own lists to a map file, once or regularly.
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{fmt, io};

use indicatif::{ProgressBar, ProgressStyle};
use tower_api_key_name::directory::{BaseUrl, Directory, ListingProgress, Synced};
use tower_api_key_name::names::Provider;

use super::label_flags::{LabelFlags, one_of};
use super::output::print_error_line;
use super::server::ShutdownSignal;
use super::settings::Roots;
use super::sync::{self, FoundAdminKey};

/// All lists were read, and the file contains their names.
const COMPLETE: u8 = 0;
/// Nothing was learned, or the file cannot be used.
const FAILED: u8 = 1;
/// Some lists are missing. The file contains the names of the others.
const INCOMPLETE: u8 = 3;

#[derive(Clone, clap::Args)]
pub struct SyncFlags {
    /// Map file: names in it are kept, and learned names are added. It is created if it is missing
    #[arg(default_value = "names.json")]
    pub file: PathBuf,

    /// API whose lists are read [default: each one whose admin key is set]
    #[arg(long, value_parser = one_of([("openai", Provider::OpenAi), ("anthropic", Provider::Anthropic)]))]
    pub api: Option<Provider>,

    #[command(flatten)]
    pub labels: LabelFlags,

    /// Base URL of the API, which --api names if both admin keys are set [default: OPENAI_BASE_URL or ANTHROPIC_BASE_URL, or the API's public address]
    // Parsed in `directory`: clap would print an invalid value, which may contain a password.
    #[arg(long)]
    pub base_url: Option<String>,

    /// Minutes between two listings, for example 0.5; without it, one listing
    #[arg(long, value_name = "MINUTES", value_parser = parse_minutes)]
    pub every: Option<Duration>,

    /// Maximum number of concurrent requests
    #[arg(long, default_value_t = 8)]
    pub concurrency: usize,
}

/// Leaves out the base URL, which is not yet parsed and may contain a password.
impl fmt::Debug for SyncFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncFlags").field("file", &self.file).field("api", &self.api).finish_non_exhaustive()
    }
}

/// Runs the subcommand. With `--every`, it ends at a signal.
pub fn run(flags: SyncFlags) -> ExitCode {
    let code = run_to_code(&flags).unwrap_or_else(|e| {
        print_error_line(&format!("error: {e}"));
        FAILED
    });
    ExitCode::from(code)
}

fn run_to_code(flags: &SyncFlags) -> Result<u8, Box<dyn Error>> {
    let directories = build_directories(flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(repeat_sync(&directories, flags))?)
}

/// Builds the [`Directory`] of each selected API whose admin key is set. Fails if there is none, or if a base URL is
/// invalid or would receive the keys of both APIs.
fn build_directories(flags: &SyncFlags) -> Result<Vec<(Provider, Directory)>, Box<dyn Error>> {
    let labels = flags.labels.parse()?;
    let mut directories = Vec::new();
    let mut reasons = Vec::new();
    for (provider, url_variable, public_url) in [
        (Provider::OpenAi, "OPENAI_BASE_URL", BaseUrl::openai()),
        (Provider::Anthropic, "ANTHROPIC_BASE_URL", BaseUrl::anthropic()),
    ] {
        if flags.api.is_some_and(|api| api != provider) {
            continue;
        }
        let variable = std::env::var(url_variable).ok().filter(|url| !url.is_empty());
        let configured_url = flags.base_url.clone().or(variable);
        let base = match configured_url {
            Some(url) => url.parse()?,
            None => public_url,
        };
        match sync::admin_key(provider, &base)? {
            FoundAdminKey::Usable(key) => {
                let directory = sync::directory(provider, key, &base, &Roots::Platform)?;
                let with_labels = directory.labels(labels.clone());
                directories.push((provider, with_labels.concurrency(flags.concurrency)));
            }
            FoundAdminKey::NotUsable(reason) => reasons.push(reason),
        }
    }
    if directories.len() > 1 && flags.base_url.is_some() {
        // One of the keys would be sent to the address of another API.
        return Err("--base-url is the address of one API: add --api openai or --api anthropic".into());
    }
    if directories.is_empty() { Err(reasons.join("; ").into()) } else { Ok(directories) }
}

/// Writes the file once, or with `--every` until a signal, and returns the exit code.
async fn repeat_sync(directories: &[(Provider, Directory)], flags: &SyncFlags) -> io::Result<u8> {
    let Some(every) = flags.every else {
        return Ok(sync_all(directories, flags).await);
    };
    let mut stop = ShutdownSignal::from_system()?;
    // Never ends by itself. It may be dropped at any time, because the file is replaced atomically.
    let repeated = async {
        loop {
            sync_all(directories, flags).await;
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        code = repeated => Ok(code),
        () = stop.received(1) => Ok(COMPLETE),
    }
}

/// Writes the names of each API to the file. An API that fails does not stop the others.
/// Returns the exit code that all APIs have in common, and [`INCOMPLETE`] if their codes differ.
async fn sync_all(directories: &[(Provider, Directory)], flags: &SyncFlags) -> u8 {
    let mut codes = Vec::new();
    for (provider, directory) in directories {
        if directories.len() > 1 {
            println!("{}:", provider.as_str());
        }
        codes.push(sync_once(directory, flags).await);
    }
    let are_codes_equal = codes.iter().all(|code| *code == codes[0]);
    if are_codes_equal { codes[0] } else { INCOMPLETE }
}

/// Writes the file after one listing, with a progress bar, and returns the exit code.
async fn sync_once(directory: &Directory, flags: &SyncFlags) -> u8 {
    let bar = ProgressBar::no_length().with_message("0 keys");
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} lists, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let shown = bar.clone();
    let directory = directory.clone().on_progress(move |progress| show_progress(&shown, progress));
    let result = directory.sync(&flags.file).await;
    bar.finish_and_clear();
    match result {
        Ok(synced) => print_result(&synced),
        Err(error) => {
            print_error_line(&format!("error: {error}"));
            FAILED
        }
    }
}

/// Shows the progress of a listing in a bar on a terminal, otherwise as a line per 100 lists.
fn show_progress(bar: &ProgressBar, progress: ListingProgress) {
    let ListingProgress { lists, done, keys, retries, .. } = progress;
    let retried = if retries == 0 { String::new() } else { format!(", {retries} retries") };
    bar.set_length(lists as u64);
    bar.set_position(done as u64);
    bar.set_message(format!("{keys} keys{retried}"));
    if bar.is_hidden() && done > 0 && done.is_multiple_of(100) {
        print_error_line(&format!("{done} of {lists} lists, {keys} keys{retried}"));
    }
}

/// Prints the result of a listing and its missing lists. Returns the exit code: [`COMPLETE`] if no list is missing,
/// [`FAILED`] if no key was found, and otherwise [`INCOMPLETE`].
fn print_result(synced: &Synced) -> u8 {
    println!("{synced}{}", if synced.written { "" } else { " (the file is unchanged)" });
    for line in sync::missing_lines(&synced.listing.missing) {
        print_error_line(&format!("missing: {line}"));
    }
    if synced.listing.missing.is_empty() {
        COMPLETE
    } else if synced.listing.keys() == 0 {
        FAILED
    } else {
        INCOMPLETE
    }
}

/// Parses a number of minutes. Fails for more than a week, and below 0.6 seconds.
fn parse_minutes(text: &str) -> Result<Duration, String> {
    const MAX_MINUTES: f64 = 7.0 * 24.0 * 60.0;
    match text.parse::<f64>() {
        // NaN is in no range.
        Ok(minutes) if (0.01..=MAX_MINUTES).contains(&minutes) => Ok(Duration::from_secs_f64(minutes * 60.0)),
        _ => Err(format!("a number of minutes from 0.01 to {MAX_MINUTES}")),
    }
}
