//! The subcommand `check`: checks what `serve` needs with the same flags, and prints one line for each check.
//!
//! It changes no file, listens on no address, and prints no key. A line contains an origin, a path, a count or an error.
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::time::timeout;
use tower_api_key_name::directory::{AdminKey, BaseUrl, ListCheck};
use tower_api_key_name::names::{MapReader, Provider};
use tower_api_key_name::proxy_keys::{LedgerReader, OperatorToken, ProxyKeys};

use super::flags::ServeFlags;
use super::output::{print_error_line, print_line};
use super::proxy_keys::flags::ProxyKeySource;
use super::proxy_keys::upstreams_from_env;
use super::settings::ProxySettings;
use super::sync::{self, FoundAdminKey};

/// The longest time for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// All checks passed.
const PASSED: u8 = 0;
/// A check failed.
const FAILED: u8 = 1;
/// The flags are wrong.
const BAD_USE: u8 = 2;

/// The values of valid flags.
struct FlagValues {
    settings: ProxySettings,
    source: ProxyKeySource,
}

/// Prints the result of each check, and counts the failures.
#[derive(Default)]
struct Checks {
    failure_count: usize,
}

impl Checks {
    /// Prints a line. The result is what was found, or the reason of the failure.
    fn add(&mut self, subject: &str, result: Result<String, String>) {
        match result {
            Ok(found) => print_line(&format!("ok    {subject}: {found}")),
            Err(reason) => {
                self.failure_count += 1;
                print_line(&format!("FAIL  {subject}: {reason}"));
            }
        }
    }

    /// Prints a line about a part that is not used.
    fn skip(&mut self, subject: &str, reason: &str) {
        print_line(&format!("skip  {subject}: {reason}"));
    }

    /// Returns the exit code of the checks.
    fn exit_code(&self) -> u8 {
        if self.failure_count == 0 { PASSED } else { FAILED }
    }
}

/// Runs the subcommand.
pub fn run(flags: &ServeFlags) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            print_error_line(&format!("error: {e}"));
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(check_all(flags));
    // Does not wait for a blocking DNS look-up.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Runs all checks, and returns the exit code. Wrong flags end the checks, because their values cannot be used.
async fn check_all(flags: &ServeFlags) -> u8 {
    let mut checks = Checks::default();
    let FlagValues { settings, source } = match parse_flags(flags) {
        Ok(values) => values,
        Err(reason) => {
            checks.add("flags", Err(reason));
            return BAD_USE;
        }
    };
    checks.add("flags", Ok("valid".to_owned()));
    if let Some(token_file) = &flags.operator.operator_token_file {
        check_operator_token(&mut checks, token_file);
    }
    if flags.demo {
        checks.skip("demo", "it needs no names, real key or upstream");
    } else {
        check_parts(&mut checks, flags, &settings, &source).await;
    }
    checks.exit_code()
}

/// Checks the files, keys and upstreams of a service without `--demo`.
async fn check_parts(
    checks: &mut Checks,
    flags: &ServeFlags,
    settings: &ProxySettings,
    source: &ProxyKeySource,
) {
    check_names(checks, flags, settings);
    if let ProxyKeySource::Files { keys, ledger } = source {
        check_proxy_keys(checks, keys, ledger, settings);
    }
    for (provider, base) in settings.base.iter() {
        check_upstream(checks, provider, base, settings).await;
    }
    check_admin_keys(checks, flags, settings).await;
}

/// Converts the flags as `serve` does. Fails if a flag is wrong, or has no effect without another one.
fn parse_flags(flags: &ServeFlags) -> Result<FlagValues, String> {
    let settings = flags.settings()?;
    let source = flags.proxy_keys.source(flags.demo)?;
    flags.operator.check(source != ProxyKeySource::None)?;
    Ok(FlagValues { settings, source })
}

/// Reads the file with the operator token.
fn check_operator_token(checks: &mut Checks, file: &Path) {
    let result = match OperatorToken::from_file(file) {
        Ok(_) => Ok(format!("{} is valid", file.display())),
        Err(error) => Err(error.to_string()),
    };
    checks.add("operator token", result);
}

/// Reads each file of names for each provider. A file of --sync may be missing, because the proxy creates it.
fn check_names(checks: &mut Checks, flags: &ServeFlags, settings: &ProxySettings) {
    for file in &flags.names {
        let is_cache = flags.sync.as_ref() == Some(file);
        if !is_cache {
            checks.add("names", count_names(file, settings));
        }
    }
    let Some(cache) = &flags.sync else { return };
    let subject = "names (--sync)";
    match std::fs::metadata(cache) {
        Ok(metadata) if metadata.len() > 0 => checks.add(subject, count_names(cache, settings)),
        Ok(_) => checks.add(subject, Ok(format!("{} is empty; the first listing fills it", cache.display()))),
        Err(_) => checks.add(subject, check_new_file(cache)),
    }
}

/// Returns the number of names of each provider in a file, or the reason why the file cannot be used. Both contain its path.
fn count_names(file: &Path, settings: &ProxySettings) -> Result<String, String> {
    let mut counts = Vec::new();
    for (provider, _) in settings.base.iter() {
        let reader = MapReader::default().labels(settings.labels.clone()).provider(provider);
        let names = reader.watch_all([file]).map_err(|e| e.to_string())?;
        counts.push(format!("{} keys of {}", names.status().entries, provider.as_str()));
    }
    Ok(format!("{} has {}", file.display(), counts.join(", ")))
}

/// Returns an error if the directory of a new file does not exist.
fn check_new_file(file: &Path) -> Result<String, String> {
    let parent = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if parent.is_dir() {
        return Ok(format!("{} is missing; the proxy creates it", file.display()));
    }
    Err(format!("the directory {} does not exist", parent.display()))
}

/// Checks the keys file, the real keys in the environment, and the ledger, which is opened read-only.
fn check_proxy_keys(checks: &mut Checks, keys: &Path, ledger: &Path, settings: &ProxySettings) {
    let opened = ProxyKeys::watch(keys);
    let has_upstreams = opened.as_ref().is_ok_and(ProxyKeys::has_upstreams);
    let found = match opened {
        Ok(opened_keys) => Ok(format!("{} has {} keys", keys.display(), opened_keys.status().entries)),
        Err(error) => Err(error.to_string()),
    };
    checks.add("keys file", found);
    let real_keys = match upstreams_from_env(&settings.base, has_upstreams) {
        Ok(_) => Ok("set".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    checks.add("real keys", real_keys);
    let found = if ledger.exists() {
        match LedgerReader::open(ledger) {
            Ok(_) => Ok(format!("{} is readable", ledger.display())),
            Err(error) => Err(error.to_string()),
        }
    } else {
        check_new_file(ledger)
    };
    checks.add("ledger", found);
}

/// Requests the root of an upstream without a credential. Each response shows that the upstream is reached, over TLS unless
/// the base URL is plain HTTP.
async fn check_upstream(checks: &mut Checks, provider: Provider, base: &BaseUrl, settings: &ProxySettings) {
    let subject = format!("{} upstream {}", provider.as_str(), base.origin());
    let result = match timeout(TIMEOUT, request_root(base, settings)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no response within {} s", TIMEOUT.as_secs())),
    };
    checks.add(&subject, result);
}

/// Sends the request, and returns the status of its response, or the error with its causes.
async fn request_root(base: &BaseUrl, settings: &ProxySettings) -> Result<String, String> {
    let client = sync::api_client(base, &settings.roots).map_err(|e| e.to_string())?;
    let request = Request::get(format!("{}/", base.origin())).body(Empty::<Bytes>::new());
    let request = request.map_err(|e| e.to_string())?;
    match client.request(request).await {
        Ok(response) => Ok(format!("reached (status {})", response.status().as_u16())),
        Err(error) => Err(with_causes(&error)),
    }
}

/// Returns an error and its causes in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next_cause = error.source();
    while let Some(cause) = next_cause {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next_cause = cause.source();
    }
    text
}

/// Reads one page of each list with each admin key that is set. A missing key is a failure only if a flag needs one and there
/// is none.
async fn check_admin_keys(checks: &mut Checks, flags: &ServeFlags, settings: &ProxySettings) {
    let mut any_key_is_set = false;
    let mut unusable = Vec::new();
    for (provider, base) in settings.base.iter() {
        let subject = format!("{} admin key", provider.as_str());
        match sync::admin_key(provider, base) {
            Ok(FoundAdminKey::Usable(key)) => {
                any_key_is_set = true;
                check_lists(checks, &subject, provider, key, settings).await;
            }
            Ok(FoundAdminKey::NotUsable(reason)) => unusable.push((subject, reason)),
            Err(error) => {
                any_key_is_set = true;
                checks.add(&subject, Err(error.to_string()));
            }
        }
    }
    let is_key_needed = flags.sync.is_some() || flags.operator.spend_metrics;
    let is_failure = is_key_needed && !any_key_is_set;
    for (subject, reason) in unusable {
        if is_failure {
            checks.add(&subject, Err(reason));
        } else {
            checks.skip(&subject, &reason);
        }
    }
}

/// Reads one page of each list of a provider, and adds the result of each one.
async fn check_lists(
    checks: &mut Checks,
    subject: &str,
    provider: Provider,
    key: AdminKey,
    settings: &ProxySettings,
) {
    let directory = match sync::directory(provider, key, settings.base.get(provider), &settings.roots) {
        Ok(directory) => directory,
        Err(error) => {
            checks.add(subject, Err(error.to_string()));
            return;
        }
    };
    let lists = directory.labels(settings.labels.clone()).timeout(TIMEOUT).retry_timeout(TIMEOUT);
    add_lists(checks, subject, lists.check_lists().await);
}

/// Adds the result of each list.
fn add_lists(checks: &mut Checks, subject: &str, lists: Vec<ListCheck>) {
    for ListCheck { list, result, .. } in lists {
        let line_subject = format!("{subject}: {list}");
        match result {
            Ok(count) => checks.add(&line_subject, Ok(format!("{count} on the first page"))),
            Err(error) => checks.add(&line_subject, Err(error.to_string())),
        }
    }
}
