//! Names from the API's own lists, for `serve --sync` and for the demo. Requests never wait for a listing.
mod awaited_listings;

use std::path::{Path, PathBuf};
use std::{fs, io, path};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::directory::{
    AdminKey, BaseUrl, Directory, DirectoryError, DirectoryErrorKind, FollowerEvent, MissingList, Synced,
};
use tower_api_key_name::names::{MapReader, Provider};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use super::by_provider::ByProvider;
use super::metrics::listings::ListingMetrics;
use super::output::print_line;
use super::settings::{ProxySettings, Roots};
use super::start_error::StartError;
use super::upstream;

pub use awaited_listings::AwaitedListings;

/// The result of a search for a provider's admin key.
pub enum FoundAdminKey {
    /// The key, which may be sent.
    Usable(AdminKey),
    /// The reason why there is no key, or why the key must not be sent.
    NotUsable(String),
}

impl FoundAdminKey {
    /// Returns the key, or `None` if there is none that may be sent.
    pub fn key(self) -> Option<AdminKey> {
        match self {
            Self::Usable(key) => Some(key),
            Self::NotUsable(_) => None,
        }
    }
}

/// Returns the names of `files` and of each provider's lists, and keeps them current until the process ends.
/// `awaited` contains a provider until its lists were completely read once.
/// A provider without an admin key has the names of the files and of earlier runs. Fails if no provider has a key, if a
/// key is invalid, or if a file is unusable.
pub fn start(
    files: &[PathBuf],
    cache: &Path,
    settings: &ProxySettings,
    awaited: &AwaitedListings,
) -> Result<ByProvider<SharedKeyNames>, StartError> {
    let keys = admin_keys(&settings.base, "--sync")?;
    ByProvider::try_new(|provider| match keys.get(provider) {
        FoundAdminKey::Usable(key) => follow(provider, key.clone(), files, cache, settings, awaited),
        FoundAdminKey::NotUsable(reason) => {
            tracing::info!("{}: the lists are not read: {reason}", provider.as_str());
            let reader = MapReader::default().labels(settings.labels.clone()).provider(provider);
            watch_files(&reader, files, cache)
        }
    })
}

/// Returns the admin key of each provider from the environment. Fails if no key may be sent to its base URL, or if a
/// variable is set, but contains no key. The error contains `flag`, which requires the keys.
pub fn admin_keys(base: &ByProvider<BaseUrl>, flag: &str) -> Result<ByProvider<FoundAdminKey>, StartError> {
    let found = ByProvider::try_new(|provider| admin_key(provider, base.get(provider)))
        .map_err(|e| StartError::BadUse(format!("{flag}: {e}")))?;
    if let FoundAdminKey::NotUsable(openai_reason) = &found.openai
        && let FoundAdminKey::NotUsable(anthropic_reason) = &found.anthropic
    {
        return Err(StartError::BadUse(format!("{flag}: {openai_reason}; {anthropic_reason}")));
    }
    Ok(found)
}

/// Returns a provider's admin key from the environment, or the reason why the key is absent or must not be sent to `base`.
/// Fails if a variable is set, but contains no key.
pub fn admin_key(provider: Provider, base: &BaseUrl) -> Result<FoundAdminKey, DirectoryError> {
    let found = key_from_env(provider)?;
    if let FoundAdminKey::NotUsable(_) = found {
        return Ok(found);
    }
    match reason_to_withhold_key(provider, base) {
        Some(reason) => Ok(FoundAdminKey::NotUsable(reason)),
        None => Ok(found),
    }
}

/// Returns the reason why a provider's key must not be sent to `base`, or `None` if it may.
pub fn reason_to_withhold_key(provider: Provider, base: &BaseUrl) -> Option<String> {
    let other_api = match provider {
        Provider::Anthropic => BaseUrl::openai(),
        _ => BaseUrl::anthropic(),
    };
    if !base.host().eq_ignore_ascii_case(other_api.host()) {
        return None;
    }
    let variable = key_variable(provider);
    Some(format!("{variable} is not used, because {} is the address of another API", base.origin()))
}

/// Returns a provider's admin key from the environment, or the reason why the key is absent.
/// Fails if a variable is set, but contains no key.
pub fn key_from_env(provider: Provider) -> Result<FoundAdminKey, DirectoryError> {
    match AdminKey::from_env(key_variable(provider)) {
        Ok(key) => Ok(FoundAdminKey::Usable(key)),
        Err(error) if error.kind() == DirectoryErrorKind::AdminKeyNotSet => {
            Ok(FoundAdminKey::NotUsable(error.to_string()))
        }
        Err(invalid_key) => Err(invalid_key),
    }
}

/// Returns the environment variable with a provider's admin key.
fn key_variable(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "ANTHROPIC_ADMIN_KEY",
        _ => "OPENAI_ADMIN_KEY",
    }
}

/// Returns the directory of a provider's lists, with connections of its own.
pub fn directory(provider: Provider, key: AdminKey, base: &BaseUrl, roots: &Roots) -> io::Result<Directory> {
    let api = api_client(base, roots)?;
    let directory = match provider {
        Provider::Anthropic => Directory::anthropic(api, key),
        _ => Directory::openai(api, key),
    };
    Ok(directory.base_url(base.clone()).by_provider(true))
}

/// Returns the names of `files` and of a provider's lists, and starts the task that keeps them current.
fn follow(
    provider: Provider,
    key: AdminKey,
    files: &[PathBuf],
    cache: &Path,
    settings: &ProxySettings,
    awaited: &AwaitedListings,
) -> Result<SharedKeyNames, StartError> {
    let lists = directory(provider, key, settings.base.get(provider), &settings.roots)
        .map_err(StartError::cannot_start)?;
    let (names, follower) =
        lists.labels(settings.labels.clone()).watch(files, cache).map_err(|e| match e.kind() {
            DirectoryErrorKind::ReadCache => StartError::CannotStart(format!("--sync: {e}")),
            _ => StartError::cannot_start(e),
        })?;
    let metrics = settings.metrics.listings.clone();
    metrics.begin(provider.as_str());
    awaited.insert(provider);
    let mut log = EventLog::new(provider, metrics, awaited.clone());
    tokio::spawn(follower.run(move |event| log.log(event)));
    Ok(names)
}

/// Returns the names of `files`, and of the cache if an earlier run has written it.
fn watch_files(reader: &MapReader, files: &[PathBuf], cache: &Path) -> Result<SharedKeyNames, StartError> {
    let is_cached = fs::metadata(cache).is_ok_and(|metadata| metadata.len() > 0);
    let absolute_cache = path::absolute(cache).ok();
    let is_cache = |file: &&Path| path::absolute(file).ok() == absolute_cache;
    let mut paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    if !is_cached {
        paths.retain(|file| !is_cache(file));
    } else if !paths.iter().any(is_cache) {
        paths.push(cache);
    }
    if paths.is_empty() {
        return Ok(SharedKeyNames::default());
    }
    reader.watch_all(paths).map_err(StartError::cannot_start)
}

/// Reads the lists of both demo organizations into `names`, and prints the number of keys in each.
pub async fn fill_demo(
    settings: &ProxySettings,
    names: &ByProvider<SharedKeyNames>,
) -> Result<(), StartError> {
    let key = AdminKey::new("demo".into()).map_err(StartError::cannot_start)?;
    print_line("the names of the keys, from the demo's lists:");
    for (provider, names) in names.iter() {
        let lists = directory(provider, key.clone(), settings.base.get(provider), &settings.roots)
            .map_err(StartError::cannot_start)?;
        let listing = lists.labels(settings.labels.clone()).list().await;
        let (learned, changes) = listing.merge_into(&KeyNames::default());
        print_line(&format!("  {} keys, {} new names", listing.keys(), changes.new));
        names.replace(learned);
    }
    Ok(())
}

/// A log of one provider's listings, which also counts them and records the first complete one. A problem that stays the
/// same is logged once.
struct EventLog {
    provider: Provider,
    metrics: ListingMetrics,
    awaited: AwaitedListings,
    /// The lines about the missing lists of the last listing.
    missing_lines: Vec<String>,
    /// The last error of the cache file, until the file is written.
    cache_error: Option<String>,
}

impl EventLog {
    fn new(provider: Provider, metrics: ListingMetrics, awaited: AwaitedListings) -> Self {
        Self { provider, metrics, awaited, missing_lines: Vec::new(), cache_error: None }
    }

    /// Logs an event, unless it reports neither a change nor a problem, or only a problem that was logged before.
    fn log(&mut self, event: FollowerEvent) {
        match event {
            FollowerEvent::Listed(synced) => {
                let is_complete = synced.listing.is_complete();
                self.metrics.record_listing(self.provider.as_str(), is_complete);
                if is_complete {
                    self.awaited.remove(self.provider);
                }
                self.log_listing(&synced);
            }
            FollowerEvent::CacheFailed(error) => {
                self.metrics.record_cache_failure(self.provider.as_str());
                self.log_cache_error(error.to_string());
            }
            unknown_event => {
                tracing::warn!("{}: names from the API: {unknown_event:?}", self.provider.as_str())
            }
        }
    }

    /// Logs a listing that changed a name or the cache file, and its missing lists if they differ from those before.
    fn log_listing(&mut self, synced: &Synced) {
        let any_name_changed = synced.changes.new > 0 || synced.changes.renamed > 0;
        if synced.written || any_name_changed {
            tracing::info!("{}: names from the API: {synced}", self.provider.as_str());
        }
        if synced.written {
            self.cache_error = None;
        }
        let lines = missing_lines(&synced.listing.missing);
        if lines != self.missing_lines {
            self.log_missing(&lines);
            self.missing_lines = lines;
        }
    }

    /// Logs an error of the cache file, unless the error before was the same.
    fn log_cache_error(&mut self, error: String) {
        if self.cache_error.as_ref() != Some(&error) {
            let provider = self.provider.as_str();
            tracing::warn!("{provider}: names from the API: {error}; the names are in use, but not saved");
            self.cache_error = Some(error);
        }
    }

    /// Logs the lines about missing lists, or one line if no list is missing any more.
    fn log_missing(&self, lines: &[String]) {
        let provider = self.provider.as_str();
        if lines.is_empty() {
            tracing::info!("{provider}: names from the API: all lists can be read again");
        }
        for line in lines {
            tracing::warn!("{provider}: names from the API: {line}; the known names stay");
        }
    }
}

/// Returns a line for each of the first ten missing lists, and one with the number of the others.
pub fn missing_lines(missing: &[MissingList]) -> Vec<String> {
    const MAX_LINES: usize = 10;
    let mut lines: Vec<_> = missing.iter().take(MAX_LINES).map(MissingList::to_string).collect();
    if missing.len() > MAX_LINES {
        lines.push(format!("{} more lists", missing.len() - MAX_LINES));
    }
    lines
}

/// Creates an HTTP client with connections of its own, so that a listing takes none from the proxy's requests.
pub fn api_client(
    base: &BaseUrl,
    roots: &Roots,
) -> io::Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>> {
    let tls = upstream::tls::config(base, roots)?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
