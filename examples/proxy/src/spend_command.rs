//! The subcommand `spend`: prints costs by the names of keys, or writes them to a file.
mod api_access;
pub mod flags;
mod ledger_run;
mod progress;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::{Labels, MapReader, Snapshot};
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer, Unmatched};

use super::by_provider::ByProvider;
use super::metrics::Metrics;
use super::output::print_error_line;
use super::server::limits::Limits;
use super::settings::{ProxySettings, Roots};
use super::spend::output::{self, OutputFile, OutputFormat};
use super::spend::{SpendQuery, SpendReport, periods, read_report};
use super::start_error::StartError;
use api_access::ApiAccess;
use flags::SpendFlags;
use ledger_run::LedgerRun;
use progress::ProgressReporter;

/// The exit code if all costs and names were read.
const EXIT_COMPLETE: u8 = 0;
/// The exit code if some costs or names are missing.
const EXIT_INCOMPLETE: u8 = 3;

/// A run whose flags were checked.
enum PreparedRun {
    Apis(Box<ApiRun>),
    Ledger(Box<LedgerRun>),
}

/// A run with the APIs of the providers, whose keys and names were checked.
struct ApiRun {
    access: ApiAccess,
    query: SpendQuery,
    known_names: ByProvider<Option<Snapshot>>,
    settings: ProxySettings,
    now: Timestamp,
}

/// Runs the subcommand.
pub fn run(flags: SpendFlags) -> ExitCode {
    let code = run_to_code(&flags).unwrap_or_else(|error| {
        print_error_line(&format!("error: {error}"));
        error.exit_code()
    });
    ExitCode::from(code)
}

/// Reads the costs and writes the result. Returns the exit code.
fn run_to_code(flags: &SpendFlags) -> Result<u8, StartError> {
    let runtime = tokio::runtime::Runtime::new().map_err(StartError::cannot_start)?;
    let prepared = runtime.block_on(prepare(flags))?;
    // An output that cannot be written is found before the costs are read, which can take minutes.
    let output = open_output(flags)?;
    let report = runtime.block_on(read_costs(prepared))?;
    // Does not wait for idle connections.
    runtime.shutdown_background();
    write_result(&report, flags, output)?;
    Ok(if report.is_complete() { EXIT_COMPLETE } else { EXIT_INCOMPLETE })
}

/// Prepares a run without a request to an API. Fails if the flags are wrong, if a selected provider has no key, or if the
/// files of the ledger cannot be used.
async fn prepare(flags: &SpendFlags) -> Result<PreparedRun, StartError> {
    match flags.ledger_files().map_err(StartError::BadUse)? {
        Some(files) => Ok(PreparedRun::Ledger(Box::new(LedgerRun::prepare(flags, files)?))),
        None => Ok(PreparedRun::Apis(Box::new(prepare_api_run(flags).await?))),
    }
}

/// Prepares a run with the APIs.
async fn prepare_api_run(flags: &SpendFlags) -> Result<ApiRun, StartError> {
    let limits = Limits::from_env().map_err(|e| StartError::BadUse(e.to_string()))?;
    let access = if flags.demo { ApiAccess::demo(limits).await? } else { ApiAccess::from_flags(flags)? };
    let now = Timestamp::now();
    let query = flags.query(access.providers(flags), periods::day_of(now)).map_err(StartError::BadUse)?;
    let known_names = read_names(flags, &query)?;
    let settings = stack_settings(access.base.clone(), limits);
    warn_about_plain_text(&query, &settings);
    Ok(ApiRun { access, query, known_names, settings, now })
}

/// Opens the destination of --output. Returns `None` without the flag.
fn open_output(flags: &SpendFlags) -> Result<Option<OutputFile>, StartError> {
    let Some(path) = &flags.output else { return Ok(None) };
    match OutputFile::open(path) {
        Ok(output) => Ok(Some(output)),
        Err(error) => Err(output_error(path, &error)),
    }
}

/// Reads the names and the costs. Costs that cannot be read are missing in the report.
async fn read_costs(prepared: PreparedRun) -> Result<SpendReport, StartError> {
    let api_run = match prepared {
        PreparedRun::Ledger(ledger_run) => return Ok(ledger_run.read_costs().await),
        PreparedRun::Apis(api_run) => api_run,
    };
    let ApiRun { access, query, known_names, settings, now } = *api_run;
    let progress = ProgressReporter::new();
    let listing_progress = progress.clone();
    let on_listing = move |provider, listing| listing_progress.show_listing(provider, listing);
    let on_progress = |costs| progress.show_costs(costs);
    let report = read_report(query, access.keys, &known_names, &settings, now, on_listing, on_progress)
        .await
        .map_err(StartError::cannot_start)?;
    progress.finish();
    Ok(report)
}

/// Reads the files of --names for each provider. Returns `None` without the flag.
fn read_names(flags: &SpendFlags, query: &SpendQuery) -> Result<ByProvider<Option<Snapshot>>, StartError> {
    if flags.names.is_empty() {
        return Ok(ByProvider { openai: None, anthropic: None });
    }
    let labels = query.labels().map_err(StartError::cannot_start)?;
    ByProvider::try_new(|provider| {
        let reader = MapReader::default().labels(labels.clone()).provider(provider);
        let names = reader.watch_all(&flags.names).map_err(StartError::cannot_start)?;
        Ok(Some(names.snapshot()))
    })
}

/// Returns the settings of the stack, with the defaults of `serve`.
fn stack_settings(base: ByProvider<BaseUrl>, limits: Limits) -> ProxySettings {
    ProxySettings {
        base,
        timeout: limits.timeout,
        deadline: limits.deadline,
        limit: None,
        total_limit: None,
        labels: Labels::default(),
        insert_names: InsertNames::Always,
        name_position: NamePosition::Beside,
        prefer: Prefer::Map,
        unmatched: Unmatched::Null,
        roots: Roots::Platform,
        metrics: Metrics::default(),
    }
}

/// Prints a warning for each provider whose key leaves this machine without encryption.
fn warn_about_plain_text(query: &SpendQuery, settings: &ProxySettings) {
    for provider in &query.providers {
        let base = settings.base.get(*provider);
        if !base.is_confidential() {
            let origin = base.origin();
            print_error_line(&format!("warning: {origin} is not encrypted: the key is sent in plain text"));
        }
    }
}

/// Writes the result to the file of --output, or to standard output. Prints the missing parts and the notes on standard
/// error.
///
/// A file is not replaced by a result that is empty because its costs are missing.
fn write_result(
    report: &SpendReport,
    flags: &SpendFlags,
    output: Option<OutputFile>,
) -> Result<(), StartError> {
    // The text format already lists the missing parts and the notes.
    if flags.format != OutputFormat::Text || flags.output.is_some() {
        print_missing_and_notes(report);
    }
    let (Some(path), Some(file)) = (&flags.output, output) else {
        return write_to_stdout(report, flags.format);
    };
    let has_failed = report.is_empty() && !report.has_all_costs();
    if has_failed && file.has_old_content() {
        print_error_line(&format!("{} is unchanged, because no costs could be read", path.display()));
        return Ok(());
    }
    file.write(report, flags.format).map_err(|e| output_error(path, &e))
}

/// Prints each missing part and each note on standard error.
fn print_missing_and_notes(report: &SpendReport) {
    for sentence in report.missing_sentences() {
        print_error_line(&format!("missing: {sentence}"));
    }
    for note in report.notes() {
        print_error_line(&format!("note: {note}"));
    }
}

fn output_error(path: &Path, error: &io::Error) -> StartError {
    StartError::CannotStart(format!("--output {}: {error}", path.display()))
}

/// Writes the result to standard output. A reader that closes the pipe early is no error.
fn write_to_stdout(report: &SpendReport, format: OutputFormat) -> Result<(), StartError> {
    let stdout = io::stdout();
    let result = output::write(report, format, output::is_colored(&stdout), &mut stdout.lock());
    output::ignore_broken_pipe(result)
        .map_err(|e| StartError::CannotStart(format!("the result cannot be written: {e}")))
}
