//! Names from the API's own lists, for `serve --sync` and for the demo. Requests never wait for a listing.
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::directory::{
    AdminKey, BaseUrl, Directory, DirectoryErrorKind, FollowerEvent, MissingList,
};
use tower_api_key_name::{KeyNames, SharedKeyNames};

use super::output::print_line;
use super::settings::{ProxySettings, Roots};
use super::start_error::StartError;
use super::upstream;

/// Returns the names of `files` and of the API's lists, and keeps them current until the process ends.
pub fn start(
    files: &[PathBuf],
    cache: &Path,
    settings: &ProxySettings,
) -> Result<SharedKeyNames, StartError> {
    let key =
        AdminKey::from_env("OPENAI_ADMIN_KEY").map_err(|e| StartError::BadUse(format!("--sync: {e}")))?;
    let api = api_client(&settings.base, &settings.roots).map_err(StartError::cannot_start)?;
    let directory = Directory::openai(api, key).base_url(settings.base.clone());
    let (names, follower) = directory.watch(files, cache).map_err(|e| match e.kind() {
        DirectoryErrorKind::ReadCache => StartError::CannotStart(format!("--sync: {e}")),
        _ => StartError::cannot_start(e),
    })?;
    let mut log = EventLog::default();
    tokio::spawn(follower.run(move |event| log.log(event)));
    Ok(names)
}

/// Reads both lists of the demo's organization into `names`, and prints the number of keys in each.
pub async fn fill_demo(settings: &ProxySettings, names: &SharedKeyNames) -> Result<(), StartError> {
    let key = AdminKey::new("demo".into()).map_err(StartError::cannot_start)?;
    let mut known = KeyNames::default();
    print_line("the names of the keys, from the demo's lists:");
    let api = api_client(&settings.base, &settings.roots).map_err(StartError::cannot_start)?;
    for directory in [Directory::openai(api.clone(), key.clone()), Directory::anthropic(api, key)] {
        let listing = directory.base_url(settings.base.clone()).list().await;
        let (merged, changes) = listing.merge_into(&known);
        print_line(&format!("  {} keys, {} new names", listing.keys(), changes.new));
        known = merged;
    }
    names.replace(known);
    Ok(())
}

/// The problems that were logged last, so that a problem is logged once.
#[derive(Default)]
struct EventLog {
    missing: Vec<String>,
    cache_error: Option<String>,
}

impl EventLog {
    /// Logs a listing that brought names, and problems that were not logged before.
    fn log(&mut self, event: FollowerEvent) {
        match event {
            FollowerEvent::Listed(synced) => {
                if synced.written || synced.changes.new + synced.changes.renamed > 0 {
                    tracing::info!("names from the API: {synced}");
                }
                if synced.written {
                    self.cache_error = None;
                }
                self.log_missing(missing_lines(&synced.listing.missing));
            }
            FollowerEvent::CacheFailed(error) => {
                let error = error.to_string();
                if self.cache_error.as_ref() != Some(&error) {
                    tracing::warn!("names from the API: {error}; the names are in use, but not saved");
                    self.cache_error = Some(error);
                }
            }
            other => tracing::warn!("names from the API: {other:?}"),
        }
    }

    /// Logs the missing lists if they have changed since the last listing.
    fn log_missing(&mut self, missing: Vec<String>) {
        if missing == self.missing {
            return;
        }
        for line in &missing {
            tracing::warn!("names from the API: {line}; the known names stay");
        }
        if missing.is_empty() {
            tracing::info!("names from the API: all lists can be read again");
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
