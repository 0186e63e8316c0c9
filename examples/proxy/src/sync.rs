//! Names from the API's own lists (`--sync`): a walk beside the stack, never in it.
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::directory::{AdminKey, Directory, DirectoryError, Synced};

use super::stack::Settings;
use super::{Refusal, cannot_start, say, upstream};

/// Of lists that cannot be read, so many are told one by one.
const TOLD: usize = 10;

type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// The names of these files and of `synced`, which is kept current for as long as the process lives.
pub fn begin(files: &[PathBuf], synced: &Path, settings: &Settings) -> Result<SharedKeyNames, Refusal> {
    let key = AdminKey::from_env("OPENAI_ADMIN_KEY").map_err(|e| Refusal::BadUse(format!("--sync: {e}")))?;
    let directory = Directory::openai(client(settings)?, key)
        .base_url(&settings.base.to_string())
        .map_err(|e| Refusal::BadUse(format!("--sync: {e}")))?;
    let names = SharedKeyNames::watch_with_synced(files, synced).map_err(cannot_start)?;
    let (handle, synced) = (names.clone(), synced.to_path_buf());
    tokio::spawn(async move {
        let mut missing = Vec::new();
        directory.follow(synced, &handle, |went| tell(went, &mut missing)).await
    });
    Ok(names)
}

/// Fills this file from both lists of the demo's organization, and says how that goes, until the names are in use.
pub async fn fill(file: &Path, settings: &Settings, names: &SharedKeyNames) -> Result<(), Refusal> {
    let base = settings.base.to_string();
    let key = AdminKey::new("demo".into()).map_err(cannot_start)?;
    say(&format!("{} names; now from the demo's lists:", names.status().entries));
    for directory in [
        Directory::openai(client(settings)?, key.clone()),
        Directory::anthropic(client(settings)?, key.clone()),
    ] {
        let directory = directory.base_url(&base).map_err(cannot_start)?;
        let synced = directory.sync(file).await.map_err(cannot_start)?;
        // Not what is gone: neither list holds what stands in the other.
        say(&format!("  {} keys, {} new names", synced.listing().keys(), synced.changes().new));
        names.wait_for(|status| status.entries == synced.names().len()).await;
    }
    Ok(())
}

/// Each walk that brought something, and what is missing where that is news.
fn tell(went: Result<Synced, DirectoryError>, told: &mut Vec<String>) {
    let missing = match &went {
        Ok(synced) => {
            if synced.written() {
                tracing::info!("names from the API: {synced}");
            }
            synced.listing().missing().iter().map(|list| format!("{list}; the names known stay")).collect()
        }
        Err(e) => vec![e.to_string()],
    };
    if missing != *told {
        for line in missing.iter().take(TOLD) {
            tracing::warn!("names from the API: {line}");
        }
        if missing.len() > TOLD {
            tracing::warn!("names from the API: {} more lists are missing", missing.len() - TOLD);
        }
        if missing.is_empty() {
            tracing::info!("names from the API: every list can be read again");
        }
    }
    *told = missing;
}

/// Connections of its own: a walk takes none from those who are served.
fn client(settings: &Settings) -> Result<Client<Connector, Empty<Bytes>>, Refusal> {
    let tls = upstream::tls(settings).map_err(cannot_start)?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
