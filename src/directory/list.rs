//! The listing: every page of every list, with bounded concurrency.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderMap, StatusCode};

use super::admin_key::AdminKey;
use super::api::{Api, KeyList};
use super::base_url::BaseUrl;
use super::blocking::run_blocking;
use super::client::ApiClient;
use super::collector::Collector;
use super::fetch::{FetchLimits, PageFetcher};
use super::list_error::{ListError, MAX_KEYS, MAX_PAGES};
use super::listing::Listing;
use super::page::{Item, ListPage};

/// The longest cursor that is sent back, in bytes. The APIs use ids, which are much shorter.
const MAX_CURSOR: usize = 1_024;

/// The progress of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListingProgress {
    /// The number of lists found so far. It grows until the last project is found.
    pub lists: usize,
    /// The number of lists that ended, or failed.
    pub done: usize,
    /// The number of keys found so far.
    pub keys: usize,
    /// The number of requests so far, retries included.
    pub requests: usize,
    /// The number of retries so far.
    pub retries: usize,
}

/// The settings of a listing.
#[derive(Clone)]
pub(super) struct ListConfig {
    pub(super) api: Api,
    pub(super) key: AdminKey,
    pub(super) client: Arc<ApiClient>,
    pub(super) base: BaseUrl,
    pub(super) name_by_account: bool,
    pub(super) concurrency: usize,
    pub(super) limits: FetchLimits,
    pub(super) on_progress: Arc<dyn Fn(ListingProgress) + Send + Sync>,
}

/// The lists that are not read to their ends, and the result so far.
struct ListQueue {
    collector: Collector,
    waiting: VecDeque<ListJob>,
    lists: usize,
    done: usize,
}

/// A list, and the position of the next page in it.
struct ListJob {
    list: KeyList,
    /// The precedence of the list's names: projects in their order, then the lists of the whole organization.
    rank: usize,
    cursor: Option<String>,
    used_cursors: HashSet<String>,
}

/// Reads all lists. A list that cannot be read is missing in the result.
pub(super) async fn list(config: &ListConfig) -> Listing {
    let mut queue = ListQueue::new(config);
    let headers = match headers(config).await {
        Ok(headers) => headers,
        Err(error) => {
            queue.skip_waiting(&error);
            return queue.collector.finish(0, 0);
        }
    };
    let fetcher = PageFetcher::new(&config.client, &config.limits, headers);
    let mut in_flight = FuturesUnordered::new();
    loop {
        while in_flight.len() < config.concurrency
            && let Some(job) = queue.waiting.pop_front()
        {
            in_flight.push(fetch_page(config, &fetcher, job));
        }
        let Some((job, page)) = in_flight.next().await else { break };
        queue.add_page(job, page);
        let ListQueue { lists, done, ref collector, .. } = queue;
        let (requests, retries) = (fetcher.requests.load(Relaxed), fetcher.retries.load(Relaxed));
        (config.on_progress)(ListingProgress { lists, done, keys: collector.keys(), requests, retries });
    }
    queue.collector.finish(fetcher.requests.load(Relaxed), fetcher.retries.load(Relaxed))
}

async fn headers(config: &ListConfig) -> Result<HeaderMap, ListError> {
    let (api, key) = (config.api, config.key.clone());
    let is_in_file = key.is_in_file();
    let read = move || api.headers(&key).map_err(|error| ListError::AdminKey(error.to_string()));
    if is_in_file { run_blocking(read).await } else { read() }
}

async fn fetch_page(
    config: &ListConfig,
    fetcher: &PageFetcher<'_>,
    job: ListJob,
) -> (ListJob, Result<ListPage, ListError>) {
    let target = job.list.target(job.cursor.as_deref()).parse();
    let page = match target.ok().and_then(|target| config.base.join(&target)) {
        Some(uri) => fetcher.fetch(&uri).await,
        None => Err(ListError::Transport("the URL is too long".into())),
    };
    (job, page)
}

impl ListQueue {
    fn new(config: &ListConfig) -> Self {
        let lists = config.api.first_lists().into_iter();
        let waiting: VecDeque<_> = lists.map(|list| ListJob::new(list, usize::MAX)).collect();
        Self { collector: Collector::new(config.name_by_account), lists: waiting.len(), waiting, done: 0 }
    }

    /// Adds the items of a page, and queues the next page of the list.
    fn add_page(&mut self, mut job: ListJob, page: Result<ListPage, ListError>) {
        let has_more = page.and_then(|page| {
            self.add_items(&job, page.items)?;
            page.next.map_or(Ok(false), |cursor| job.advance(cursor).map(|()| true))
        });
        match has_more {
            // At the front, so that few lists are partly read at a time.
            Ok(true) => return self.waiting.push_front(job),
            Ok(false) => {}
            Err(error) if error.is_status(StatusCode::NOT_FOUND) && job.list.may_be_absent() => {}
            Err(error) => {
                if error.ends_listing() {
                    self.skip_waiting(&error);
                }
                self.collector.add_missing(job.list, error);
            }
        }
        self.done += 1;
    }

    fn add_items(&mut self, job: &ListJob, items: Vec<Item>) -> Result<(), ListError> {
        for item in items {
            if job.list != KeyList::Projects {
                self.collector.add_key(job.rank, item);
            } else if let Some(project) = self.collector.add_project(item) {
                let rank = self.lists;
                self.lists += 1;
                self.waiting.push_back(ListJob::new(KeyList::ProjectKeys { project }, rank));
            }
        }
        if self.collector.keys() > MAX_KEYS { Err(ListError::TooManyKeys) } else { Ok(()) }
    }

    /// Marks the waiting lists as missing.
    fn skip_waiting(&mut self, error: &ListError) {
        for job in self.waiting.drain(..) {
            self.collector.add_missing(job.list, error.clone());
            self.done += 1;
        }
    }
}

impl ListJob {
    fn new(list: KeyList, rank: usize) -> Self {
        Self { list, rank, cursor: None, used_cursors: HashSet::new() }
    }

    /// Moves to the page after this cursor.
    fn advance(&mut self, cursor: String) -> Result<(), ListError> {
        // Each page but the first has a cursor.
        let pages = 1 + self.used_cursors.len();
        if cursor.is_empty() || cursor.len() > MAX_CURSOR || !self.used_cursors.insert(cursor.clone()) {
            Err(ListError::RepeatedCursor)
        } else if pages == MAX_PAGES {
            Err(ListError::TooManyPages)
        } else {
            self.cursor = Some(cursor);
            Ok(())
        }
    }
}
