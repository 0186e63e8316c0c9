//! The walk itself: every list, page after page, a few requests at a time.

use super::api::List;
use super::fault::Fault;
use super::listing::{Learned, Listing};
use super::page::Page;
use super::retry::patiently;
use super::{Directory, DirectoryError, aside};
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderMap, Uri};
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use tokio::time::{Instant, sleep_until, timeout_at};

/// A list of more pages is none: with 100 items each, 100,000 keys of one project.
const MAX_PAGES: usize = 1_000;

/// A map file takes that many of almost any length.
const MAX_KEYS: usize = 250_000;

/// The longest cursor that is sent back: the ids that cursors are, are far shorter.
const MAX_CURSOR: usize = 1_024;

/// How far a walk has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Lists that are known of so far: it grows until the last project is known.
    pub lists: usize,
    /// Those of them that are done with.
    pub done: usize,
    /// Keys met so far.
    pub keys: usize,
    /// Requests sent so far.
    pub requests: usize,
    /// Those of them that were retries.
    pub retries: usize,
}

/// What every request of one walk needs.
struct Walk<'a> {
    directory: &'a Directory,
    headers: HeaderMap,
    /// When to stop, whatever has been learned.
    end: Instant,
    /// Until when the API asked to be left alone: one request was told, all of them wait.
    pause: Mutex<Instant>,
    requests: AtomicUsize,
    retries: AtomicUsize,
}

/// What is known, and what is left to ask.
struct Notes {
    learned: Learned,
    waiting: VecDeque<Job>,
    /// That of the last project. What is in a project counts before a list of the whole organization.
    rank: usize,
    lists: usize,
    done: usize,
}

/// A list, and where in it to go on.
struct Job {
    list: List,
    rank: usize,
    after: Option<String>,
    /// Every cursor that was followed.
    seen: HashSet<String>,
    pages: usize,
}

pub(super) async fn walk(directory: &Directory) -> Listing {
    let mut notes = Notes::new(directory);
    let (api, key) = (directory.api, directory.key.clone());
    let is_in_file = key.is_in_file();
    let headers = move || api.headers(&key).map_err(DirectoryError::new);
    let headers = if is_in_file { aside(headers).await } else { headers() };
    let headers = match headers {
        Ok(headers) => headers,
        Err(why) => {
            let why = Fault::Key(why.to_string());
            api.lists().iter().for_each(|list| notes.learned.miss(list, &why));
            return notes.learned.into_listing(0, 0);
        }
    };
    let now = Instant::now();
    let walk = Walk {
        directory,
        headers,
        end: now + directory.deadline,
        pause: Mutex::new(now),
        requests: AtomicUsize::new(0),
        retries: AtomicUsize::new(0),
    };
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < directory.concurrency
            && let Some(job) = notes.waiting.pop_front()
        {
            running.push(walk.page(job));
        }
        let Some((job, answer)) = running.next().await else {
            break;
        };
        notes.settle(job, answer);
        (directory.on_progress)(walk.progress(&notes));
    }
    drop(running);
    notes.learned.into_listing(walk.requests.into_inner(), walk.retries.into_inner())
}

// === impl Walk ===

impl Walk<'_> {
    /// The page at which this job stands, with all the patience there is.
    async fn page(&self, job: Job) -> (Job, Result<Page, Fault>) {
        let target = job.list.target(job.after.as_deref());
        let Ok(uri) = format!("{}{target}", self.directory.base).parse::<Uri>() else {
            return (job, Err(Fault::Transport("the URL is too long".into())));
        };
        let give_up = self.end.min(Instant::now() + self.directory.retry_timeout);
        let again = |fault: &Fault| {
            self.retries.fetch_add(1, Relaxed);
            if let Some(wait) = fault.retry_after() {
                let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
                *pause = (*pause).max(Instant::now() + wait);
            }
        };
        let page = patiently(|| self.attempt(&uri, give_up), give_up, again).await;
        (job, page)
    }

    async fn attempt(&self, uri: &Uri, give_up: Instant) -> Result<Page, Fault> {
        loop {
            let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if now >= self.end {
                return Err(Fault::Late);
            }
            if now >= pause {
                break;
            }
            if now >= give_up {
                return Err(Fault::Slow(self.directory.retry_timeout));
            }
            sleep_until(pause.min(give_up)).await;
        }
        self.requests.fetch_add(1, Relaxed);
        let directory = self.directory;
        let body = directory.ask.get(uri.clone(), self.headers.clone(), directory.page_limit);
        match timeout_at(give_up.min(Instant::now() + directory.timeout), body).await {
            Ok(body) => Page::read(&body?),
            Err(_) if Instant::now() >= self.end => Err(Fault::Late),
            Err(_) => Err(Fault::Slow(directory.timeout)),
        }
    }

    fn progress(&self, notes: &Notes) -> Progress {
        Progress {
            lists: notes.lists,
            done: notes.done,
            keys: notes.learned.keys(),
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }
}

// === impl Notes ===

impl Notes {
    fn new(directory: &Directory) -> Self {
        let waiting: VecDeque<_> =
            directory.api.lists().into_iter().map(|list| Job::new(list, usize::MAX)).collect();
        let learned = Learned::new(directory.api, directory.by_account);
        Self { learned, lists: waiting.len(), waiting, rank: 0, done: 0 }
    }

    fn settle(&mut self, mut job: Job, answer: Result<Page, Fault>) {
        match answer.and_then(|page| self.take(&mut job, page)) {
            // First in line, so that few lists are half read at a time.
            Ok(true) => return self.waiting.push_front(job),
            Ok(false) => {}
            Err(Fault::Absent) if job.list.may_be_absent() => {}
            Err(fault) => {
                self.learned.miss(&job.list, &fault);
                if fault.ends_the_walk() {
                    for job in self.waiting.drain(..) {
                        self.learned.miss(&job.list, &fault);
                        self.done += 1;
                    }
                }
            }
        }
        self.done += 1;
    }

    /// Whether there are more pages of this list, and the job stands at the next.
    fn take(&mut self, job: &mut Job, page: Page) -> Result<bool, Fault> {
        for item in page.items {
            if job.list != List::Projects {
                self.learned.key(job.rank, item);
            } else if let Some(project) = self.learned.project(item) {
                self.rank += 1;
                self.lists += 1;
                self.waiting.push_back(Job::new(List::ProjectKeys(project), self.rank));
            }
        }
        if self.learned.keys() > MAX_KEYS {
            return Err(Fault::TooMany { keys: MAX_KEYS });
        }
        page.next.map_or(Ok(false), |cursor| job.turn(cursor))
    }
}

// === impl Job ===

impl Job {
    fn new(list: List, rank: usize) -> Self {
        Self { list, rank, after: None, seen: HashSet::new(), pages: 1 }
    }

    /// Turns to the page behind this cursor.
    fn turn(&mut self, cursor: String) -> Result<bool, Fault> {
        if cursor.is_empty() || cursor.len() > MAX_CURSOR || !self.seen.insert(cursor.clone()) {
            return Err(Fault::Repeats);
        }
        if self.pages == MAX_PAGES {
            return Err(Fault::Endless { pages: MAX_PAGES });
        }
        self.pages += 1;
        self.after = Some(cursor);
        Ok(true)
    }
}
