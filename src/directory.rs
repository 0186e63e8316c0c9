//! Learning names from the lists of an admin API.
//!
//! ```text
//! list ─▶ fetch ─▶ retry ─▶ client ─▶ the user's service        page ─▶ collector ─▶ Listing
//! follower: list, publish the names into SharedKeyNames in memory, write the cache file
//! ```
//!
//! `api` contains the lists of each API and the requests for their pages. `client` sends one request over the user's
//! service, `retry` and `fetch` repeat it, `page` parses the response, and `list` reads all pages of all lists.
//! `collector` merges their items into a [`Listing`]. `lister` allows one listing at a time. `follower` decides when
//! to list, and publishes the names. `cache` reads and replaces the file with learned names. Requests in the layer
//! never wait for any of this.

mod admin_key;
mod api;
mod base_url;
mod blocking;
mod cache;
mod client;
mod collector;
mod error;
mod fetch;
mod follower;
#[cfg(feature = "_internal")]
mod internal;
mod list;
mod list_error;
mod lister;
mod listing;
mod page;
mod retry;
mod synced;

pub use admin_key::AdminKey;
pub use api::KeyList;
pub use base_url::BaseUrl;
pub use error::{DirectoryError, DirectoryErrorKind};
pub use follower::{Follower, FollowerEvent};
#[cfg(feature = "_internal")]
pub use internal::read_page;
pub use list::ListingProgress;
pub use list_error::ListError;
pub use listing::{Changes, Listing, MissingList};
pub use synced::Synced;

use crate::SharedKeyNames;
use api::Api;
use blocking::run_blocking;
use client::{ApiClient, BoxError};
use fetch::FetchLimits;
use follower::Schedule;
use http::{Request, Response};
use http_body::Body;
use list::ListConfig;
use lister::Lister;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tower_service::Service;

/// The longest duration of a setting: ten years, which can be added to an instant without overflow.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Learns the name of each key of an organization from the lists of its admin API.
///
/// It works over any [`Service`] from requests to responses, so the user chooses TLS, proxies and test doubles. The
/// service must not follow redirects, which would send the key elsewhere, and should not retry.
///
/// - OpenAI: all projects, archived ones included, the keys of each project, and the admin keys. It needs an admin key
///   with the scope `api.management.read`.
/// - Anthropic: the list of keys. It needs an Admin API key.
///
/// Pages have the API's maximum size. Responses with 429 or 5xx, connection errors and timeouts are retried: after
/// `Retry-After` if the API sends it, otherwise with exponential back-off from 0.5 s, with jitter. A list that cannot be
/// read is [missing](Listing::missing) with its reason, and all others are read.
///
/// A tokio runtime with its clock enabled is required. No task is spawned.
///
/// ```no_run
/// # async fn f<S, B, R>(client: S) -> Result<(), Box<dyn std::error::Error>>
/// # where S: tower_service::Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
/// # S::Error: Into<Box<dyn std::error::Error + Send + Sync>>, S::Future: Send, B: Default + Send + 'static,
/// # R: http_body::Body + Send + 'static, R::Data: Send, R::Error: Into<Box<dyn std::error::Error + Send + Sync>> {
/// use tower_api_key_name::directory::{AdminKey, Directory};
///
/// let directory = Directory::openai(client, AdminKey::from_env("OPENAI_ADMIN_KEY")?);
/// let (names, follower) = directory.watch(["overrides.json"], "learned.json")?;
/// tokio::spawn(follower.run(|event| println!("{event:?}")));
/// // `names` is the handle for `ApiKeyNameLayer::new`.
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Directory {
    lister: Lister,
    schedule: Schedule,
}

impl Directory {
    /// Creates a directory of an OpenAI organization.
    pub fn openai<S, B, R>(service: S, key: AdminKey) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Default + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        Self::new(Api::OpenAi, key, ApiClient::new(service))
    }

    /// Creates a directory of an Anthropic organization.
    pub fn anthropic<S, B, R>(service: S, key: AdminKey) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Default + Send + 'static,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        Self::new(Api::Anthropic, key, ApiClient::new(service))
    }

    fn new(api: Api, key: AdminKey, client: ApiClient) -> Self {
        let limits = FetchLimits {
            timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(5 * 60),
            page_limit: 4 << 20,
        };
        let lister = Lister::new(ListConfig {
            api,
            key,
            client: Arc::new(client),
            base: api.default_base_url(),
            name_by_account: true,
            concurrency: 8,
            limits,
            on_progress: Arc::new(|_| {}),
        });
        let schedule =
            Schedule { interval: Duration::from_secs(10 * 60), min_interval: Duration::from_secs(30) };
        Self { lister, schedule }
    }

    /// Sets the base URL of the API. Default: the API's public address.
    pub fn base_url(mut self, base: BaseUrl) -> Self {
        self.lister.config.base = base;
        self.lister.detach();
        self
    }

    /// Sets the naming of service account keys without a name of their own, which the API calls `Secret Key` or null.
    ///
    /// If true, such a key gets the name of its account. Default: true, since equal names do not identify a key.
    pub fn name_by_account(mut self, enabled: bool) -> Self {
        self.lister.config.name_by_account = enabled;
        self.lister.detach();
        self
    }

    /// Sets the maximum number of concurrent requests, at least 1.
    ///
    /// Default: 8, which lists 250 projects in seconds and stays below the API's rate limit.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.lister.config.concurrency = requests.max(1);
        self
    }

    /// Sets the longest time for one request, until the last byte of its response.
    ///
    /// Default: 30 s. A page usually takes less than 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.lister.config.limits.timeout = timeout.min(MAX_DURATION);
        self
    }

    /// Sets the longest time for one page, retries and their delays included.
    ///
    /// Default: 60 s, because the API's rate limits are per minute.
    pub fn retry_timeout(mut self, timeout: Duration) -> Self {
        self.lister.config.limits.retry_timeout = timeout.min(MAX_DURATION);
        self
    }

    /// Sets the longest time for a listing. Default: 5 min, half of the regular interval.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.lister.config.limits.deadline = deadline.min(MAX_DURATION);
        self
    }

    /// Sets the maximum length of a page in bytes.
    ///
    /// Default: 4 MiB; a full page has less than 1 MiB. A listing buffers up to one page per concurrent request.
    pub fn page_limit(mut self, bytes: usize) -> Self {
        self.lister.config.limits.page_limit = bytes;
        self
    }

    /// Sets the [`Follower`]'s regular time between two listings. A renamed key keeps its old name for this time.
    ///
    /// Default: 10 min.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.schedule.interval = interval.min(MAX_DURATION);
        self
    }

    /// Sets the [`Follower`]'s shortest time between two listings, for an id without a name.
    ///
    /// Default: 30 s, so that callers who invent ids cannot load the admin API.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.schedule.min_interval = interval.min(MAX_DURATION);
        self
    }

    /// Sets a callback for the progress of a listing, called after each page. It must not block.
    ///
    /// Default: no callback.
    pub fn on_progress(mut self, callback: impl Fn(ListingProgress) + Send + Sync + 'static) -> Self {
        self.lister.config.on_progress = Arc::new(callback);
        self
    }

    /// Reads all lists once. A list that cannot be read is [missing](Listing::missing) with its reason.
    ///
    /// Clones of a directory make one listing at a time. A call during a listing waits for the next one, and shares its
    /// result with the other waiting calls. The future may be dropped at any time.
    pub async fn list(&self) -> Arc<Listing> {
        self.lister.list().await
    }

    /// Reads all lists once, and merges the names into a map file, sorted, with one id per line.
    ///
    /// A learned name replaces the one in the file, and no name is removed. If the names are the same, the file is not
    /// touched. Otherwise it is replaced atomically, with mode 0600. A missing or empty file contains no names.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a map (it is not overwritten), or cannot be written. Missing lists are not an
    /// error: see [`Listing::missing`].
    pub async fn sync(&self, file: impl AsRef<Path>) -> Result<Synced, DirectoryError> {
        let path = file.as_ref().to_path_buf();
        // An unusable file is reported before the first request.
        let path = run_blocking(move || cache::load(&path).map(|_| path)).await?;
        let listing = self.list().await;
        run_blocking(move || {
            let saved = cache::save(&path, listing.names(), listing.is_complete())?;
            let changes = listing.changes(&saved.before);
            Ok(Synced { listing, names: Arc::new(saved.names), changes, written: saved.written })
        })
        .await
    }

    /// Creates a handle with the names of `files` and of the lists, and the follower that keeps it current.
    ///
    /// The files contain names written by hand. They are watched as by [`SharedKeyNames::watch_all`], and have
    /// precedence over learned names; there may be none. `cache` contains the names learned by earlier processes. It is
    /// read now, and the follower replaces it after a listing that changed it. It may be missing or empty. If it is
    /// among `files`, learned names take its place in the order of precedence. All files are read before this returns.
    ///
    /// Names are learned only while [`Follower::run`] is polled. Until a listing is complete, the layer responds with
    /// 503 instead of 400 to a filter by an unknown name, because the name may still be learned. The follower takes the
    /// handle's receiver of unmatched ids.
    ///
    /// # Errors
    ///
    /// If one of the files is missing, or if any file cannot be read or is not a map.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # let client = tower::service_fn(|_: http::Request<String>| async {
    /// #     Ok::<_, Infallible>(http::Response::new(String::new()))
    /// # });
    /// # let folder = tempfile::tempdir()?;
    /// # let (overrides, cache) = (folder.path().join("overrides.json"), folder.path().join("learned.json"));
    /// use tower_api_key_name::directory::{AdminKey, Directory};
    ///
    /// std::fs::write(&overrides, r#"{"key_a": "billing"}"#)?;
    /// std::fs::write(&cache, r#"{"key_a": "Secret Key", "key_b": "search"}"#)?;
    /// let directory = Directory::openai(client, AdminKey::new("secret".into())?);
    /// let (names, _follower) = directory.watch([&overrides], &cache)?;
    /// assert_eq!(names.snapshot().name("key_a"), Some("billing"));
    /// assert_eq!(names.snapshot().name("key_b"), Some("search"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch<I>(
        &self,
        files: I,
        cache: impl Into<PathBuf>,
    ) -> Result<(SharedKeyNames, Follower), DirectoryError>
    where
        I: IntoIterator<Item: Into<PathBuf>>,
    {
        let files: Vec<_> = files.into_iter().map(Into::into).collect();
        let cache = cache.into();
        let known = cache::load(&cache)?;
        let (names, learned) =
            SharedKeyNames::watch_with_learned(&files, &cache, known.clone()).map_err(|error| {
                DirectoryError::new(DirectoryErrorKind::Watch, error.to_string()).caused_by(error)
            })?;
        let unmatched = names.unmatched_ids().expect("the receiver of a new handle was not taken");
        let (lister, schedule, known) =
            (self.lister.clone(), self.schedule, Arc::new(known.unwrap_or_default()));
        Ok((names, Follower { lister, schedule, cache, known, learned, unmatched }))
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.lister.config;
        f.debug_struct("Directory")
            .field("api", &config.api)
            .field("base", &config.base)
            .field("key", &config.key)
            .finish_non_exhaustive()
    }
}
