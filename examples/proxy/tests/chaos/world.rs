//! What both sides of the proxy know in common, and what has been found.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::coding;
use crate::documents::Document;
use crate::verdict::Outcome;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) documents: Vec<Document>,
    pub(crate) bombs: Vec<(&'static str, Vec<u8>)>,
    /// The generation of the map that was last begun to be written.
    newest: AtomicU32,
    /// Requests that were sent.
    asked: AtomicU64,
    fault: Mutex<Option<String>>,
    tally: Mutex<BTreeMap<&'static str, BTreeMap<Outcome, u64>>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            documents: Document::all(seed),
            bombs: coding::bombs(),
            newest: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            fault: Mutex::new(None),
            tally: Mutex::default(),
        }
    }

    pub(crate) fn newest(&self) -> u32 {
        self.newest.load(Ordering::SeqCst)
    }

    pub(crate) fn next_generation(&self) -> u32 {
        self.newest.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// The first is kept: what follows may come of it.
    pub(crate) fn found(&self, episode: u64, fault: impl Display) {
        let fault = format!("CHAOS_SEED={} CHAOS_EPISODE={episode}: {fault}", self.seed);
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self, act: &'static str, outcome: Outcome) {
        *self.tally.lock().unwrap().entry(act).or_default().entry(outcome).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> BTreeMap<&'static str, BTreeMap<Outcome, u64>> {
        self.tally.lock().unwrap().clone()
    }
}
