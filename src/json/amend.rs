//! The amender: receives the frames of a body and returns its output, in which each id has its name beside it.
//!
//! ```text
//! push ─▶ prefilter ─▶ frames ─▶ scanner ─▶ sink ─▶ objects ─▶ edits
//!                        │                                       │
//! next_chunk ◀─ output ◀─┴───────────────────────────────────────┘
//! ```
//!
//! `frames` buffers the body. The scanner sends the id and name members of each frame to `sink`, which looks the ids up
//! and queues `edits`; an edit is the insertion of a member, which starts with one of the `prefixes`, or the replacement
//! of a native name or of an id. `objects` decides each object at its closing brace, and each label in it for itself,
//! because the other member may come before or after. `unmatched` collects the ids without a name. `output` applies the edits to the frames.
//!
//! The output before the first undecided edit is *settled*: it can no longer change. A label that is undecided in an
//! object for more than the window stays unchanged there. All decisions depend on byte offsets, never on the ends of frames.

mod edits;
mod frames;
mod label_member;
mod objects;
mod output;
mod prefixes;
mod sink;
#[cfg(test)]
mod tests;
mod unmatched;

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

#[cfg(feature = "tracing")]
use self::edits::NewValue;
use self::frames::FrameBuffer;
use self::label_member::LabelMember;
pub use self::label_member::LabelTemplates;
use self::objects::Objects;
use self::sink::IdSink;
use super::counts::Counts;
use super::prefilter::Prefilter;
use super::rules::Rules;
use super::scan::{ScanError, Scanner};
use crate::Snapshot;
#[cfg(feature = "tracing")]
use crate::names::KEYS;

/// The amender of one body.
pub struct Amender {
    snapshot: Snapshot,
    templates: Arc<LabelTemplates>,
    /// Set as long as the body is not scanned, because it contains no id yet.
    prefilter: Option<Prefilter>,
    scanner: Scanner<LabelMember>,
    frames: FrameBuffer,
    objects: Objects,
    error: Option<ScanError>,
    /// The input offset before which the output is final. `None` if the whole output is.
    settled: Option<u64>,
}

impl Amender {
    /// Creates the amender of a body whose ids get their names from `snapshot`. `templates` are shared with the amenders
    /// of other bodies.
    pub fn new(rules: Rules, snapshot: Snapshot, templates: Arc<LabelTemplates>) -> Self {
        let prefilter = Some(Prefilter::new(&rules));
        let objects = Objects::new(rules, &snapshot);
        Self {
            snapshot,
            templates,
            prefilter,
            scanner: Scanner::new(),
            frames: FrameBuffer::default(),
            objects,
            error: None,
            settled: Some(0),
        }
    }

    /// Scans the body even if it contains no id.
    pub fn disable_prefilter(&mut self) {
        if self.prefilter.take().is_some() {
            self.scanner.take_templates(&self.templates);
        }
    }

    /// Buffers the next frame of the body.
    pub fn push(&mut self, frame: Bytes) {
        if self.prefilter.as_mut().is_some_and(|prefilter| prefilter.finds(&frame)) {
            self.disable_prefilter();
        }
        self.frames.push(frame);
    }

    /// True if enough bytes are buffered to scan them, although more may come.
    pub fn has_batch(&self) -> bool {
        self.frames.has_batch(self.scanner.scanned())
    }

    /// Scans the next batch. Returns false if there is none, or if the scan has not begun or has failed.
    pub fn scan_batch(&mut self) -> bool {
        if self.prefilter.is_some() || self.error.is_some() {
            return false;
        }
        let Some(batch) = self.frames.next_batch() else { return false };
        let mut sink = IdSink { objects: &mut self.objects, names: &self.snapshot };
        self.error = self.scanner.feed(batch, &mut sink).err();
        self.settle();
        true
    }

    /// Ends the body, of which all bytes are scanned. The whole output is final then.
    pub fn finish(&mut self) {
        if self.prefilter.is_none() && self.error.is_none() {
            match self.scanner.finish() {
                Ok(()) => self.scanner.store_templates(&self.templates),
                Err(error) => self.error = Some(error),
            }
            self.settle();
        }
        self.settled = None;
    }

    /// Ends a body that is incomplete. The bytes that are not settled stay unchanged.
    pub fn abort(&mut self) {
        self.settled = None;
    }

    /// Leaves the whole body unchanged.
    pub fn discard_edits(&mut self) {
        self.objects.edits.discard();
        self.settled = None;
    }

    /// Settles the edits before the first undecided one. After an error, the whole rest of the body stays unchanged.
    fn settle(&mut self) {
        let scanned = self.error.map_or(self.scanner.scanned(), ScanError::offset);
        let first_undecided = self.objects.first_undecided(scanned);
        self.objects.edits.settle(first_undecided);
        self.settled = if self.error.is_some() { None } else { Some(first_undecided) };
    }

    /// The error that ended the scan. The output after it is unchanged.
    pub fn error(&self) -> Option<ScanError> {
        self.error
    }

    /// True if a settled edit changes the body.
    pub fn is_changed(&self) -> bool {
        self.objects.edits.is_changed
    }

    /// The results of the settled ids.
    pub fn counts(&self) -> Counts {
        self.objects.edits.counts
    }

    /// The memory that counts against the limit: the buffered bytes and the charge for the pending edits.
    pub fn held(&self) -> u64 {
        self.frames.len + self.edit_charge()
    }

    /// The number of bytes that were scanned.
    pub fn scanned(&self) -> u64 {
        self.scanner.scanned()
    }

    /// The bytes charged for the pending edits.
    pub fn edit_charge(&self) -> u64 {
        self.objects.edits.charge()
    }

    /// The length of the rest of the output, after the end of the body.
    pub fn output_len(&self) -> u64 {
        self.frames.len.saturating_add_signed(self.objects.edits.growth)
    }

    /// Returns the next chunk of the settled output.
    pub fn next_chunk(&mut self) -> Option<Bytes> {
        output::next_chunk(&mut self.frames, &mut self.objects.edits, &self.snapshot, self.settled)
    }

    /// The buffered bytes, frame by frame.
    pub fn buffered(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter()
    }

    /// Takes the new ids without a name, with the offset after each. They are not returned again.
    pub fn take_unmatched(&mut self) -> Vec<(u64, Box<str>)> {
        mem::take(&mut self.objects.unmatched.new)
    }

    /// The settled ids of keys with a name that are not written yet: the offset of the edit, the id and the name.
    #[cfg(feature = "tracing")]
    pub fn named(&self) -> impl Iterator<Item = (u64, &str, &str)> {
        self.objects.edits.settled().filter_map(|edit| {
            let NewValue::Name(entry) = edit.value else { return None };
            // `None` for the names of other labels: those of users are personal data.
            let (id, name) = self.snapshot.entries.pair(KEYS, entry)?;
            Some((edit.at, id, name))
        })
    }
}
