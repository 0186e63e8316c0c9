//! Data that both sides of the proxy share, and the results so far.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::coding;
use crate::documents::Document;
use crate::verdict::Outcome;

pub(crate) struct Fixtures {
    pub(crate) seed: u64,
    pub(crate) documents: Vec<Document>,
    pub(crate) bombs: Vec<(&'static str, Vec<u8>)>,
    /// The generation of the names file that was begun last.
    newest: AtomicU32,
    /// The number of requests sent.
    sent: AtomicU64,
    failure: Mutex<Option<String>>,
    tally: Mutex<BTreeMap<&'static str, BTreeMap<Outcome, u64>>>,
}

impl Fixtures {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            documents: Document::all(seed),
            bombs: coding::bombs(),
            newest: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            failure: Mutex::new(None),
            tally: Mutex::default(),
        }
    }

    pub(crate) fn newest(&self) -> u32 {
        self.newest.load(Ordering::SeqCst)
    }

    pub(crate) fn next_generation(&self) -> u32 {
        self.newest.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn count_request(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Records a failure. The first one is kept, since later ones may be its consequence.
    pub(crate) fn record_failure(&self, episode: u64, failure: impl Display) {
        let failure = format!("CHAOS_SEED={} CHAOS_EPISODE={episode}: {failure}", self.seed);
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self, behavior: &'static str, outcome: Outcome) {
        *self.tally.lock().unwrap().entry(behavior).or_default().entry(outcome).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> BTreeMap<&'static str, BTreeMap<Outcome, u64>> {
        self.tally.lock().unwrap().clone()
    }
}
