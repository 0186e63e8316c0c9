//! Learning names from the lists of an admin API.
//!
//! ```text
//! the user's service ◀─ client ◀─ fetch ◀─ list ─▶ page ─▶ collector ─▶ Listing
//! follower ─▶ lister ─▶ list; then the names ─▶ SharedKeyNames in memory, and ─▶ cache ─▶ file
//! ```
//!
//! `api` contains the lists of each API and the requests for their pages. `client` sends one request over the user's
//! service, `fetch` retries it, `page` parses the response, and `list` reads all pages of all lists. `collector` merges
//! their items into a [`Listing`]. `lister` allows one listing at a time. `follower` decides when to list, and publishes
//! the names. `cache` reads and replaces the file. Requests in the layer never wait for any of this.

mod admin_key;
mod api;
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
mod list_check;
mod list_error;
mod lister;
mod listing;
mod page;

pub use crate::base_url::{BaseUrl, BaseUrlError};
pub use admin_key::AdminKey;
pub use api::KeyList;
pub use error::{DirectoryError, DirectoryErrorKind};
pub use follower::{Follower, FollowerEvent};
#[cfg(feature = "_internal")]
pub use internal::read_page;
pub use list::ListingProgress;
pub use list_error::ListError;
pub use listing::{Changes, ListCheck, Listing, MissingList, Synced};

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::SharedKeyNames;
use crate::names::{Labels, Provider};
use blocking::run_blocking;
use cache::CacheFile;
use client::{ApiClient, BoxError};
use fetch::FetchLimits;
use follower::Schedule;
use list::ListConfig;
use lister::Lister;

/// The longest duration of a setting: ten years, which can be added to an instant without overflow.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Learns the names of an organization's keys, and of the ids of other [labels](Self::labels), from the lists of its
/// admin API.
///
/// It works over any [`Service`] from requests to responses, so the user chooses TLS and test doubles. The service must
/// not follow redirects, which would send the key elsewhere, and should not retry.
///
/// - OpenAI: all projects, archived ones included, the keys of each project, and the admin keys. Labels add the users
///   and the service accounts of each project. It needs an admin key with the scope `api.management.read`.
/// - Anthropic: the list of keys. Labels add the workspaces, users and service accounts. It needs an Admin API key, which
///   is sent in `x-api-key`, or an OAuth token (`sk-ant-oat…`) with the scope `org:admin`, which is sent in
///   `Authorization`. Service accounts need the OAuth token.
///
/// Responses with 429 or 5xx, connection errors and timeouts are retried: after `Retry-After` if the API sends it,
/// otherwise with exponential back-off from 0.5 s, with jitter. A list that cannot be read is
/// [missing](Listing::missing) with its reason, and all others are read. If the key is rejected (401) for a list of keys
/// or projects, the listing ends.
///
/// A tokio runtime with its clock enabled is required. Only file access uses a thread of its own.
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
    by_provider: bool,
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
        Self::new(Provider::OpenAi, key, ApiClient::new(service))
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
        Self::new(Provider::Anthropic, key, ApiClient::new(service))
    }

    /// Creates a directory with the default settings. The docs of each setter give the reason of its default.
    fn new(provider: Provider, key: AdminKey, client: ApiClient) -> Self {
        let limits = FetchLimits {
            timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(5 * 60),
            page_limit: 4 << 20,
        };
        let config = ListConfig {
            provider,
            labels: Labels::default(),
            key,
            client: Arc::new(client),
            base: provider.default_base_url(),
            lists_keys: true,
            name_by_account: true,
            concurrency: 8,
            limits,
            on_progress: Arc::new(|_| {}),
        };
        let schedule =
            Schedule { interval: Duration::from_secs(10 * 60), min_interval: Duration::from_secs(30) };
        Self { lister: Lister::new(config), schedule, by_provider: false }
    }

    /// Returns the directory with a changed configuration. It shares no listing with earlier clones.
    fn with(self, change: impl FnOnce(&mut ListConfig)) -> Self {
        let mut config = self.lister.config;
        change(&mut config);
        Self { lister: Lister::new(config), ..self }
    }

    /// Sets the base URL of the API. Default: the API's public address.
    pub fn base_url(self, base: BaseUrl) -> Self {
        self.with(|config| config.base = base)
    }

    /// Sets the labels whose names are learned. Default: the label for keys, which needs the fewest rights and requests.
    ///
    /// A label whose ids the API does not list, such as `workspace_id` for OpenAI, causes no request. The names of users
    /// are personal data; a user without a name is named by the email address.
    pub fn labels(self, labels: Labels) -> Self {
        self.with(|config| config.labels = labels)
    }

    /// Sets whether the names are saved in the provider's section of the file, so that directories of both providers can
    /// share one file. Default: false; the file contains the names of one organization.
    ///
    /// A file that has sections for providers keeps them in any case. Of an older file without such sections, each
    /// provider takes the ids that may be its own. If true, only the provider's section of a file that was written by
    /// hand is used.
    pub fn by_provider(self, enabled: bool) -> Self {
        Self { by_provider: enabled, ..self }
    }

    /// Sets whether a service account's key without a usable name of its own, such as `Secret Key` or null, is named by
    /// its account. Default: true, since equal names do not identify a key.
    pub fn name_by_account(self, enabled: bool) -> Self {
        self.with(|config| config.name_by_account = enabled)
    }

    /// Sets the maximum number of concurrent requests, at least 1. Default: 8, which lists 250 projects in seconds.
    pub fn concurrency(self, requests: usize) -> Self {
        self.with(|config| config.concurrency = requests.max(1))
    }

    /// Sets the longest time for one request. Default: 30 s; a page usually takes less than 1 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.timeout = timeout.min(MAX_DURATION))
    }

    /// Sets the longest time for one page, retries and their delays included. Default: 60 s, because the API's rate limits
    /// are per minute.
    pub fn retry_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.retry_timeout = timeout.min(MAX_DURATION))
    }

    /// Sets the longest time for a listing. Default: 5 min, half of the regular interval.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with(|config| config.limits.deadline = deadline.min(MAX_DURATION))
    }

    /// Sets the maximum length of a page in bytes. Default: 4 MiB; a full page has less than 1 MiB. A listing buffers up to
    /// one page per concurrent request.
    pub fn page_limit(self, bytes: usize) -> Self {
        self.with(|config| config.limits.page_limit = bytes)
    }

    /// Sets a callback for the progress of a listing, called after each page. It must not block. Default: no callback.
    pub fn on_progress(self, callback: impl Fn(ListingProgress) + Send + Sync + 'static) -> Self {
        self.with(|config| config.on_progress = Arc::new(callback))
    }

    /// Sets the [`Follower`]'s time between two listings. A renamed key keeps its old name for it. Default: 10 min.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.schedule.interval = interval.min(MAX_DURATION);
        self
    }

    /// Sets the [`Follower`]'s shortest time between two listings, for an id without a name. Default: 30 s, so that callers
    /// who invent ids cannot load the admin API.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.schedule.min_interval = interval.min(MAX_DURATION);
        self
    }

    /// Reads all lists once. A list that cannot be read is [missing](Listing::missing) with its reason.
    ///
    /// Clones of a directory make one listing at a time. A call during a listing waits for the next one, and shares its
    /// result with the other waiting calls. The future may be dropped at any time.
    pub async fn list(&self) -> Arc<Listing> {
        self.lister.list().await
    }

    /// Reads the lists of the labels other than keys once. A project's keys cause most of the requests of [`list`](Self::list).
    pub async fn list_without_keys(&self) -> Arc<Listing> {
        self.clone().with(|config| config.lists_keys = false).list().await
    }

    /// Reads all lists once, and merges the names into a map file, sorted, with one id per line.
    ///
    /// A learned name replaces the one in the file, and no name is removed. If that changes the file, it is replaced
    /// atomically, with mode 0600. A missing or empty file contains no names. A file with names of keys only is flat;
    /// otherwise it has a section for each label.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a map (it is not overwritten), or cannot be written. Missing lists are not an
    /// error.
    pub async fn sync(&self, file: impl AsRef<Path>) -> Result<Synced, DirectoryError> {
        let cache = self.cache(file.as_ref());
        let checked_file = cache.clone();
        // An unusable file is reported before the first request.
        run_blocking(move || checked_file.load()).await?;
        let listing = self.list().await;
        let merge_into_file = move || {
            let saved = cache.save(&listing.names, listing.is_complete())?;
            let changes = listing.changes(&saved.before);
            Ok(Synced { listing, names: Arc::new(saved.names), changes, written: saved.written })
        };
        run_blocking(merge_into_file).await
    }

    /// Creates a handle with the names of `files` and of the lists, and the follower that keeps it current.
    ///
    /// The files contain names written by hand; there may be none. They are watched as by
    /// [`SharedKeyNames::watch_all`], and have precedence over learned names. `cache` contains the names learned
    /// earlier. It may be missing or empty, and the follower replaces it after a listing that changed it. If it is among
    /// `files`, learned names take its place in the order of precedence. All files are read before this returns.
    ///
    /// Until a listing is complete, the layer responds with 503 instead of 400 to a filter by an unknown name, because
    /// the name may still be learned. Each label other than keys waits for its own lists. The follower takes the handle's
    /// receiver of unmatched ids.
    ///
    /// # Errors
    ///
    /// If one of the files is missing, or if any file cannot be read or is not a map.
    pub fn watch<I>(
        &self,
        files: I,
        cache: impl Into<PathBuf>,
    ) -> Result<(SharedKeyNames, Follower), DirectoryError>
    where
        I: IntoIterator<Item: Into<PathBuf>>,
    {
        let files: Vec<PathBuf> = files.into_iter().map(Into::into).collect();
        Follower::start(self.lister.clone(), self.schedule, self.cache(cache), &files)
    }

    fn cache(&self, path: impl Into<PathBuf>) -> CacheFile {
        let ListConfig { provider, labels, .. } = &self.lister.config;
        let by_provider = self.by_provider;
        CacheFile { path: path.into(), labels: labels.clone(), provider: *provider, by_provider }
    }
}

impl fmt::Debug for Directory {
    /// Writes the provider, the origin of its base URL, and a placeholder for the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ListConfig { provider, key, base, .. } = &self.lister.config;
        f.debug_struct("Directory")
            .field("provider", provider)
            .field("base", base)
            .field("key", key)
            .finish_non_exhaustive()
    }
}
