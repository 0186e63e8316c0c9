//! Names from the API's own lists, for `serve --sync` and for the demo. Requests never wait for a listing.
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::directory::{
    AdminKey, BaseUrl, Directory, DirectoryError, DirectoryErrorKind, FollowerEvent, MissingList,
};
use tower_api_key_name::names::{MapReader, Provider};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use super::by_provider::ByProvider;
use super::output::print_line;
use super::settings::{ProxySettings, Roots};
use super::start_error::StartError;
use super::upstream;

/// An admin key, or the reason why a provider's lists are not read.
pub type KeyOrReason = Result<AdminKey, String>;

/// Returns the names of `files` and of each provider's lists, and keeps them current until the process ends. A provider
/// without an admin key keeps the names of the files and of earlier runs.
pub fn start(
    files: &[PathBuf],
    cache: &Path,
    settings: &ProxySettings,
) -> Result<ByProvider<SharedKeyNames>, StartError> {
    let keys = ByProvider::try_new(|provider| admin_key(provider, settings.base.get(provider)))
        .map_err(|e| StartError::BadUse(format!("--sync: {e}")))?;
    if let (Err(openai), Err(anthropic)) = (&keys.openai, &keys.anthropic) {
        return Err(StartError::BadUse(format!("--sync: {openai}; {anthropic}")));
    }
    ByProvider::try_new(|provider| match keys.get(provider) {
        Ok(key) => follow(provider, key.clone(), files, cache, settings),
        Err(reason) => {
            tracing::info!("{}: the lists are not read: {reason}", provider.as_str());
            let reader = MapReader::default().labels(settings.labels.clone()).provider(provider);
            watch_files(&reader, files, cache)
        }
    })
}

/// Returns the admin key of a provider from the environment. Fails if a variable is set, but contains no key.
pub fn admin_key(provider: Provider, base: &BaseUrl) -> Result<KeyOrReason, DirectoryError> {
    let (variable, other) = match provider {
        Provider::Anthropic => ("ANTHROPIC_ADMIN_KEY", BaseUrl::openai()),
        _ => ("OPENAI_ADMIN_KEY", BaseUrl::anthropic()),
    };
    let is_set = env::var_os(variable).is_some() || env::var_os(format!("{variable}_FILE")).is_some();
    match AdminKey::from_env(variable) {
        Err(e) if !is_set => Ok(Err(e.to_string())),
        Err(e) => Err(e),
        Ok(_) if base.host().eq_ignore_ascii_case(other.host()) => Ok(Err(format!(
            "{variable} is not used, because {} is the address of another API",
            base.origin()
        ))),
        Ok(key) => Ok(Ok(key)),
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
) -> Result<SharedKeyNames, StartError> {
    let lists = directory(provider, key, settings.base.get(provider), &settings.roots)
        .map_err(StartError::cannot_start)?;
    let (names, follower) =
        lists.labels(settings.labels.clone()).watch(files, cache).map_err(|e| match e.kind() {
            DirectoryErrorKind::ReadCache => StartError::CannotStart(format!("--sync: {e}")),
            _ => StartError::cannot_start(e),
        })?;
    let mut log = EventLog::new(provider);
    tokio::spawn(follower.run(move |event| log.log(event)));
    Ok(names)
}

/// Returns the names of `files`, and of the cache if an earlier run has written it.
fn watch_files(reader: &MapReader, files: &[PathBuf], cache: &Path) -> Result<SharedKeyNames, StartError> {
    let is_cached = fs::metadata(cache).is_ok_and(|metadata| metadata.len() > 0);
    let mut paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    if !is_cached {
        paths.retain(|path| *path != cache);
    } else if !paths.contains(&cache) {
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

/// The problems of a provider's lists that were logged last, so that a problem is logged once.
struct EventLog {
    provider: &'static str,
    missing: Vec<String>,
    cache_error: Option<String>,
}

impl EventLog {
    fn new(provider: Provider) -> Self {
        Self { provider: provider.as_str(), missing: Vec::new(), cache_error: None }
    }

    /// Logs a listing that brought names, and problems that were not logged before.
    fn log(&mut self, event: FollowerEvent) {
        let provider = self.provider;
        match event {
            FollowerEvent::Listed(synced) => {
                if synced.written || synced.changes.new + synced.changes.renamed > 0 {
                    tracing::info!("{provider}: names from the API: {synced}");
                }
                if synced.written {
                    self.cache_error = None;
                }
                self.log_missing(missing_lines(&synced.listing.missing));
            }
            FollowerEvent::CacheFailed(error) => {
                let error = error.to_string();
                if self.cache_error.as_ref() != Some(&error) {
                    tracing::warn!(
                        "{provider}: names from the API: {error}; the names are in use, but not saved"
                    );
                    self.cache_error = Some(error);
                }
            }
            other => tracing::warn!("{provider}: names from the API: {other:?}"),
        }
    }

    /// Logs the missing lists if they have changed since the last listing.
    fn log_missing(&mut self, missing: Vec<String>) {
        let provider = self.provider;
        if missing == self.missing {
            return;
        }
        for line in &missing {
            tracing::warn!("{provider}: names from the API: {line}; the known names stay");
        }
        if missing.is_empty() {
            tracing::info!("{provider}: names from the API: all lists can be read again");
        }
        self.missing = missing;
    }
}

/// Returns a line for each missing list, or for ten and the number of the others.
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
