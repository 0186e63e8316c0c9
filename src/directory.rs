//! The key directory: the lists of the API itself → a map file.
//!
//! `api` knows which lists there are, `ask` sends one request, `page` reads its answer, `retry` decides when to ask
//! again, and `walk` does it for all of them. `listing` is what that has brought, `file` the map it is put into, and
//! `follow` decides when to walk again. No request that is being served ever waits for any of this.

mod api;
mod ask;
mod fault;
mod file;
mod follow;
mod key;
mod listing;
mod page;
mod retry;
mod walk;

pub use key::AdminKey;
pub use listing::{Changes, Listing, Missing};
pub use walk::Progress;

use crate::KeyNames;
use api::Api;
use ask::{Ask, BoxError};
use http::{Request, Response, Uri};
use http_body::Body;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tower_service::Service;

/// As long as any wait can be: ten years, which a clock can still count to.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Learns the name of every key of an organization from the lists of its admin API.
///
/// It works over any [`Service`] from requests to responses, so TLS, proxies and tests are the user's choice. That
/// service must not follow redirects, which would carry the key elsewhere, and must not retry.
///
/// - OpenAI: every project, archived ones too, every key of each, then the admin keys. It takes an admin key with the
///   scope `api.management.read`.
/// - Anthropic: the one list of keys.
///
/// A walk reads full pages, a few requests at a time. Answers of 429 and 5xx, errors of the connection and silence are
/// retried: after `Retry-After` where the API gives it, else after 0.5 s that double, with jitter. Whatever cannot
/// be read is [missing](Listing::missing), with the reason, and everything else is learned.
///
/// It needs a tokio runtime with its clock enabled, and starts no task of its own.
///
/// ```no_run
/// # async fn f<S, B, R>(client: S) -> Result<(), Box<dyn std::error::Error>>
/// # where S: tower_service::Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
/// # S::Error: Into<Box<dyn std::error::Error + Send + Sync>>, S::Future: Send, B: Default + Send + 'static,
/// # R: http_body::Body + Send + 'static, R::Data: Send, R::Error: Into<Box<dyn std::error::Error + Send + Sync>> {
/// use tower_api_key_name::directory::{AdminKey, Directory};
///
/// let directory = Directory::openai(client, AdminKey::from_env("OPENAI_ADMIN_KEY")?);
/// let synced = directory.sync("names.json").await?;
/// println!("{synced}");
/// for missing in synced.listing().missing() {
///     eprintln!("{missing}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Directory {
    api: Api,
    key: AdminKey,
    ask: Arc<Ask>,
    turns: Arc<Turns>,
    /// Without a slash at its end.
    base: String,
    by_account: bool,
    concurrency: usize,
    timeout: Duration,
    retry_timeout: Duration,
    deadline: Duration,
    page_limit: usize,
    interval: Duration,
    min_interval: Duration,
    on_progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// Why a walk could not begin, or what it brought could not be saved: a setting, the admin key or the file. One line,
/// with what to do; it never says what the key or the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryError(String);

/// What one [`Directory::sync`] did. As text: one line for people.
#[derive(Clone, Debug)]
pub struct Synced {
    listing: Arc<Listing>,
    names: Arc<KeyNames>,
    changes: Changes,
    written: bool,
}

/// One walk at a time.
#[derive(Default)]
struct Turns {
    begun: AtomicU64,
    /// The last walk, by number, and what it learned.
    last: Mutex<Option<(u64, Arc<Listing>)>>,
}

/// What is learned from one page of keys, and the file that is made of it.
#[cfg(any(test, feature = "_internal"))]
pub fn learned(json: &[u8]) -> Option<(Listing, String)> {
    let mut learned = listing::Learned::new(Api::OpenAi, true);
    page::Page::read(json).ok()?.items.into_iter().for_each(|item| learned.key(0, item));
    let listing = learned.into_listing(1, 0);
    let file = file::rendered(listing.names());
    Some((listing, file))
}

// === impl Directory ===

impl Directory {
    /// The keys of an OpenAI organization.
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
        Self::new(Api::OpenAi, key, Ask::new(service))
    }

    /// The keys of an Anthropic organization.
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
        Self::new(Api::Anthropic, key, Ask::new(service))
    }

    fn new(api: Api, key: AdminKey, ask: Ask) -> Self {
        Self {
            api,
            key,
            ask: Arc::new(ask),
            turns: Arc::default(),
            base: api.base().into(),
            by_account: true,
            concurrency: 8,
            timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(5 * 60),
            page_limit: 4 << 20,
            interval: Duration::from_secs(10 * 60),
            min_interval: Duration::from_secs(30),
            on_progress: Arc::new(|_| {}),
        }
    }

    /// Where the API is. Default: its own public address. A `/` or `/v1` at the end is taken off.
    ///
    /// # Errors
    ///
    /// If it is no absolute `http` or `https` address, or holds a user, a password, a query or a fragment.
    pub fn base_url(mut self, url: &str) -> Result<Self, DirectoryError> {
        let refused = |why: &str| Err(DirectoryError::new(format!("the base URL {why}; give https://host")));
        let Ok(uri) = url.trim().parse::<Uri>() else {
            return refused("is no URL");
        };
        let Some(authority) = uri.authority() else {
            return refused("names no host");
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return refused("is neither http nor https");
        }
        // `Uri` drops a fragment, which would swallow the paths that are put behind it here.
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return refused("holds a user, a password, a query or a fragment");
        }
        let url = url.trim().trim_end_matches('/');
        self.base = url.strip_suffix("/v1").unwrap_or(url).trim_end_matches('/').into();
        // A clone that asks elsewhere has nothing to share.
        self.turns = Arc::default();
        Ok(self)
    }

    /// Whether the key of a service account that has its default name, `Secret Key`, is called by its account
    /// instead. Default: yes, since a list of keys that are all called the same helps nobody.
    pub fn name_by_account(mut self, yes: bool) -> Self {
        self.by_account = yes;
        self.turns = Arc::default();
        self
    }

    /// Most requests in flight. Default 8, at least 1: 250 projects take seconds, and a rate limit is not felt.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// How long one request may take, to the last byte of its answer. Default 30 s: a page takes less than one.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(FOREVER);
        self
    }

    /// How long one page is tried for, waits included. Default 60 s: rate limits count by the minute.
    pub fn retry_timeout(mut self, timeout: Duration) -> Self {
        self.retry_timeout = timeout.min(FOREVER);
        self
    }

    /// How long a walk may take. Default 5 min: half of the regular interval.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(FOREVER);
        self
    }

    /// The longest page, in bytes. Default 4 MiB; a full one has less than 1 MiB. With `concurrency` it bounds what a
    /// walk holds beside what it has learned.
    pub fn page_limit(mut self, bytes: usize) -> Self {
        self.page_limit = bytes;
        self
    }

    /// For [`follow`](Self::follow): how long after one walk the next is made in any case. Default 10 min: how long a
    /// renamed key keeps its old name.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.min(FOREVER);
        self
    }

    /// For [`follow`](Self::follow): how long after one walk the next is made for a key without a name. Default 30 s:
    /// new keys come in bursts, and whoever makes up ids must not make the API's admin endpoints busy.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = interval.min(FOREVER);
        self
    }

    /// Called after each page, in the walk's own task: it must not block. Default: nothing.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Arc::new(callback);
        self
    }

    /// Reads all lists, and says what they hold. Lists that cannot be read are [missing](Listing::missing), with the
    /// reason.
    ///
    /// All clones together make one walk at a time. A call that comes during a walk waits for the next, and shares its
    /// result with all that wait: the one under way may be past the page on which a new key stands.
    ///
    /// The future may be dropped at any time.
    pub async fn walk(&self) -> Arc<Listing> {
        let begun = self.turns.begun.load(SeqCst);
        let mut last = self.turns.last.lock().await;
        if let Some((number, listing)) = &*last
            && *number > begun
        {
            return listing.clone();
        }
        let number = 1 + self.turns.begun.fetch_add(1, SeqCst);
        let listing = Arc::new(walk::walk(self).await);
        *last = Some((number, listing.clone()));
        listing
    }

    /// Walks, and puts what was learned into a map file, over what already stands there: sorted, one id a line.
    ///
    /// A file that would say the same is left untouched. Otherwise it is replaced in one step, with mode 0600, so that
    /// a crash at any point leaves the old one or the new one. One that is missing or empty knows no names yet.
    ///
    /// Give it a file of its own, and keep what you write by hand in another before it: see
    /// [`SharedKeyNames::watch_all`](crate::SharedKeyNames::watch_all).
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no valid map (it is somebody's work, and not written over) or cannot be written.
    /// That lists are missing is none: see [`Listing::missing`].
    pub async fn sync(&self, file: impl AsRef<Path>) -> Result<Synced, DirectoryError> {
        let path = file.as_ref().to_path_buf();
        // What is wrong with the file is found before anything is asked.
        let path = aside(move || file::known(&path).map(|_| path)).await?;
        let listing = self.walk().await;
        aside(move || file::save(&path, listing)).await
    }
}

/// Does what blocks in a thread of its own: whoever serves requests in this one must not wait for a disk.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, DirectoryError> {
    let (sender, done) = oneshot::channel();
    std::thread::Builder::new()
        .name("key directory".into())
        // Nobody waits any more? Then it is done all the same.
        .spawn(move || drop(sender.send(work())))
        .map_err(|error| DirectoryError::new(format!("no thread can be started for a file: {error}")))?;
    done.await.unwrap_or_else(|_| Err(DirectoryError::new("the work on a file ended early")))
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("api", &self.api)
            .field("base", &self.base)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

// === impl Synced ===

impl Synced {
    /// What the walk has learned, and what it could not.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// What stands in the file now.
    pub fn names(&self) -> &KeyNames {
        &self.names
    }

    /// What that changed in the file.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// Whether the file was written: false if it said the same already.
    pub fn written(&self) -> bool {
        self.written
    }
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changes { new, renamed, gone } = self.changes;
        let (projects, keys) = (self.listing.projects(), self.listing.keys());
        if projects > 0 {
            write!(f, "{projects} projects, ")?;
        }
        write!(f, "{keys} keys: {new} new, {renamed} renamed")?;
        if let Some(gone) = gone {
            write!(f, ", {gone} gone")?;
        }
        match self.listing.left_out() {
            0 => {}
            left_out => write!(f, ", {left_out} left out without a usable name")?,
        }
        match self.listing.missing().len() {
            0 => Ok(()),
            missing => write!(f, "; {missing} lists are missing"),
        }
    }
}

// === impl DirectoryError ===

impl DirectoryError {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DirectoryError {}
