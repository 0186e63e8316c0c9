//! The amender: fed a body chunk after chunk, it says which bytes to insert or replace, and how far the
//! output is settled.
//!
//! Two members matter to it: an id and the name that stands beside it. An object that holds either is
//! undecided until its closing brace, for the other may stand on either side; until then nothing from the
//! first byte that may change is settled. An object that stays undecided for more than the window is left
//! as it came, so that what waits for a decision is bounded. All of that hangs on offsets alone: where a
//! chunk ends makes no difference.

mod marker;
mod marks;
mod unknowns;

use self::marker::Marker;
pub use self::marks::most_surcharge;
use self::marks::{Marks, surcharge};
#[cfg(test)]
pub use self::unknowns::MAX_UNMATCHED;
use super::edit::{Settled, Splice};
use super::rules::Rules;
use super::scan::{ScanError, Scanner, TemplateCache};
use crate::KeyNames;

/// See the module's own words.
pub struct Amender {
    scanner: Scanner,
    marks: Marks,
    fault: Option<ScanError>,
    settled: u64,
}

impl Amender {
    pub fn new(rules: Rules) -> Self {
        Self { scanner: Scanner::new(), marks: Marks::new(rules), fault: None, settled: 0 }
    }

    /// Begins with what an earlier body taught of the form of such bodies.
    pub fn take_templates(&mut self, cache: &TemplateCache) {
        self.scanner.take_templates(cache);
    }

    /// Leaves to the next body what this one taught, if it was JSON to its end.
    pub fn store_templates(&mut self, cache: &TemplateCache) {
        if self.fault.is_none() {
            self.scanner.store_templates(cache);
        }
    }

    /// Takes the next chunk. After a fault it takes no more: what follows passes as it came.
    pub fn feed(&mut self, chunk: &[u8], names: &KeyNames) {
        if self.fault.is_none() {
            let result = self.scanner.feed(chunk, &mut Marker { marks: &mut self.marks, names });
            self.fault = result.err();
        }
    }

    /// Says that the body is at its end.
    pub fn finish(&mut self) {
        if self.fault.is_none() {
            self.fault = self.scanner.finish().err();
        }
    }

    /// Says that the body breaks off here: what is not settled stays as it came.
    pub fn cut_off(&mut self) {
        self.fault.get_or_insert(ScanError::NotJson { offset: self.scanner.scanned() });
    }

    /// Why the body is not to be amended, from some byte on.
    pub fn fault(&self) -> Option<ScanError> {
        self.fault
    }

    /// Bytes scanned so far; no more after a fault.
    pub fn scanned(&self) -> u64 {
        self.scanner.scanned()
    }

    /// As how many bytes the edits count that were not written, unsettled ones too.
    pub fn surcharge(&self) -> u64 {
        surcharge(self.marks.edits.waiting())
    }

    /// Settles what can no longer change and tells of each edit in it. The output is settled up to
    /// [`settled`](Self::settled); after a fault all of it is.
    pub fn settle(&mut self, tell: impl FnMut(&Settled)) {
        if self.settled == u64::MAX {
            return;
        }
        let scanned = self.fault.map_or(self.scanner.scanned(), ScanError::offset);
        self.settled = self.marks.first_undecided(scanned);
        self.marks.edits.settle(self.settled, tell);
        if self.fault.is_some() {
            self.settled = u64::MAX;
        }
    }

    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Leaves the whole body as it came.
    pub fn abandon(&mut self) {
        self.marks.edits.clear();
        self.settled = u64::MAX;
    }

    /// Where the next settled edit is.
    pub fn next(&mut self) -> Option<u64> {
        self.marks.edits.next()
    }

    /// The settled edits, from the next on.
    #[inline(always)]
    pub fn ready<'a>(&'a self, names: &'a KeyNames) -> impl Iterator<Item = Splice<'a>> {
        self.marks.edits.ready(names)
    }

    /// Says that so many of the next edits were written, which made the body longer by `growth`; that wraps.
    pub fn wrote(&mut self, many: usize, growth: u64) {
        self.marks.edits.wrote(many, growth);
    }

    /// How long `len` unsent bytes become, which hold all that is settled.
    pub fn grown(&self, len: u64) -> u64 {
        self.marks.edits.grown(len)
    }

    /// The ids found since the last call that the map does not know, each once in a body and no more than
    /// `MAX_UNMATCHED` of them, with the offset after each.
    pub fn take_unmatched(&mut self) -> impl ExactSizeIterator<Item = (u64, &str)> {
        self.marks.unmatched.take()
    }
}
