//! The listing: every page of every list, with bounded concurrency.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::StatusCode;

use super::admin_key::AdminKey;
use super::api::KeyList;
use super::client::ApiClient;
use super::collector::Collector;
use super::fetch::{FetchLimits, PageFetcher};
use super::list_error::{ListError, MAX_IDS, MAX_PAGES};
use super::listing::Listing;
use super::page::{Item, ListPage};
use crate::base_url::BaseUrl;
use crate::names::{KEY_ID, Labels, Provider};

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
    pub(super) provider: Provider,
    pub(super) labels: Labels,
    pub(super) key: AdminKey,
    pub(super) client: Arc<ApiClient>,
    pub(super) base: BaseUrl,
    /// True if the keys are listed.
    pub(super) lists_keys: bool,
    pub(super) name_by_account: bool,
    pub(super) concurrency: usize,
    pub(super) limits: FetchLimits,
    pub(super) on_progress: Arc<dyn Fn(ListingProgress) + Send + Sync>,
}

impl ListConfig {
    /// Returns the id members of the lists that are read.
    fn listed_members(&self) -> Vec<&'static str> {
        let mut members = self.provider.listed_members(&self.labels);
        members.retain(|member| self.lists_keys || *member != KEY_ID);
        members
    }
}

/// The lists that are not read to their ends, and the result so far.
struct ListQueue<'a> {
    config: &'a ListConfig,
    collector: Collector,
    waiting: VecDeque<ListJob>,
    /// The number of lists found so far.
    list_count: usize,
    /// The number of lists that ended, or failed.
    done_count: usize,
}

/// A list, and the position of the next page in it.
struct ListJob {
    list: KeyList,
    /// The precedence of the list's names: projects in their order, then the lists of the whole organization.
    rank: usize,
    cursor: Option<String>,
    used_cursors: HashSet<String>,
}

/// Reads all lists, with at most `config.concurrency` requests at a time. A list that cannot be read is missing in the
/// result.
pub(super) async fn read_lists(config: &ListConfig) -> Listing {
    let mut queue = ListQueue::new(config);
    let key = match config.key.read().await {
        Ok(key) => key,
        Err(error) => {
            queue.skip_waiting(&ListError::AdminKey(error.to_string()));
            return queue.collector.finish(0, 0);
        }
    };
    let fetcher = PageFetcher::new(&config.client, &config.limits, config.provider.headers(&key));
    let mut in_flight = FuturesUnordered::new();
    loop {
        while in_flight.len() < config.concurrency
            && let Some(job) = queue.waiting.pop_front()
        {
            in_flight.push(fetch_page(config, &fetcher, job));
        }
        let Some((job, result)) = in_flight.next().await else { break };
        queue.add_result(job, result);
        (config.on_progress)(queue.progress(&fetcher));
    }
    queue.collector.finish(fetcher.request_count.load(Relaxed), fetcher.retry_count.load(Relaxed))
}

/// Fetches the next page of a job's list. Returns the job too, because pages of several lists arrive in any order.
async fn fetch_page(
    config: &ListConfig,
    fetcher: &PageFetcher<'_>,
    job: ListJob,
) -> (ListJob, Result<ListPage, ListError>) {
    let target = job.list.target(job.cursor.as_deref());
    let uri = target.parse().ok().and_then(|target| config.base.join(&target));
    let result = match uri {
        Some(uri) => fetcher.fetch(&uri, job.list.paging()).await,
        None => Err(ListError::Transport("the URL is too long".into())),
    };
    (job, result)
}

impl<'a> ListQueue<'a> {
    /// Creates a queue of the lists that are known before the first page.
    fn new(config: &'a ListConfig) -> Self {
        let members = config.listed_members();
        // The names in a project's list have precedence over the names in these lists.
        let lowest_rank = |list| ListJob::new(list, usize::MAX);
        let waiting: VecDeque<_> =
            config.provider.first_lists(&members).into_iter().map(lowest_rank).collect();
        let list_count = waiting.len();
        let collector = Collector::new(config.name_by_account, &members);
        Self { config, collector, waiting, list_count, done_count: 0 }
    }

    /// Adds the result of a request for a page. Queues the list again if it has more pages; otherwise it is done.
    fn add_result(&mut self, mut job: ListJob, result: Result<ListPage, ListError>) {
        let has_next_page = result.and_then(|page| self.add_page(&mut job, page));
        match has_next_page {
            // At the front, so that few lists are partly read at a time.
            Ok(true) => self.waiting.push_front(job),
            Ok(false) => self.done_count += 1,
            Err(error) => self.end_with_error(job.list, error),
        }
    }

    /// Adds the items of a page, and moves the job to the next page. Returns false if this is the last page, and an error
    /// if there are too many ids of this label or the next page cannot be requested.
    fn add_page(&mut self, job: &mut ListJob, page: ListPage) -> Result<bool, ListError> {
        for item in page.items {
            self.add_item(job, item);
        }
        if self.collector.id_count(job.list.id_member()) > MAX_IDS {
            return Err(ListError::TooManyKeys);
        }
        let Some(cursor) = page.next_cursor else { return Ok(false) };
        job.advance(cursor)?;
        Ok(true)
    }

    /// Adds an item to the result. If the item is a new project, also queues its lists.
    fn add_item(&mut self, job: &ListJob, item: Item) {
        if job.list != KeyList::Projects {
            self.collector.add_item(job.list.id_member(), job.rank, item);
        } else if let Some(project) = self.collector.add_project(job.rank, item) {
            for list in self.config.provider.project_lists(&project, &self.config.listed_members()) {
                self.waiting.push_back(ListJob::new(list, self.list_count));
                self.list_count += 1;
            }
        }
    }

    /// Ends a list that failed. The list is missing in the result, unless the organization has no such keys. Also ends
    /// the waiting lists if their requests would fail too.
    fn end_with_error(&mut self, list: KeyList, error: ListError) {
        self.done_count += 1;
        let is_absent = error.is_status(StatusCode::NOT_FOUND) && list.may_be_absent();
        if is_absent {
            return;
        }
        // A key that may list keys may have no right to list users or service accounts.
        let ends_keys = list.is_required_for(KEY_ID) && error.ends_lists_of_keys();
        if ends_keys || error.ends_listing() {
            self.skip_waiting(&error);
        }
        self.collector.add_missing(list, error);
    }

    /// Ends the waiting lists, which are missing in the result for this reason.
    fn skip_waiting(&mut self, error: &ListError) {
        for job in self.waiting.drain(..) {
            self.collector.add_missing(job.list, error.clone());
            self.done_count += 1;
        }
    }

    /// Returns the counts for the progress callback.
    fn progress(&self, fetcher: &PageFetcher<'_>) -> ListingProgress {
        ListingProgress {
            lists: self.list_count,
            done: self.done_count,
            keys: self.collector.id_count(KEY_ID),
            requests: fetcher.request_count.load(Relaxed),
            retries: fetcher.retry_count.load(Relaxed),
        }
    }
}

impl ListJob {
    fn new(list: KeyList, rank: usize) -> Self {
        Self { list, rank, cursor: None, used_cursors: HashSet::new() }
    }

    /// Moves to the page after this cursor. Returns an error if the cursor is unusable or repeated, or if the list is too
    /// long.
    fn advance(&mut self, cursor: String) -> Result<(), ListError> {
        let has_valid_length = (1..=MAX_CURSOR).contains(&cursor.len());
        if !has_valid_length || self.used_cursors.contains(&cursor) {
            return Err(ListError::RepeatedCursor);
        }
        // The first page has no cursor.
        let page_count = 1 + self.used_cursors.len();
        if page_count == MAX_PAGES {
            return Err(ListError::TooManyPages);
        }
        self.used_cursors.insert(cursor.clone());
        self.cursor = Some(cursor);
        Ok(())
    }
}
