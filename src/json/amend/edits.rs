//! The queue of edits: insertions and replacements in the order of their input offsets.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use super::prefixes::{Prefix, Prefixes};
use crate::KeyNames;
use crate::json::counts::{Counts, IdResult};
use crate::json::rules::Unmatched;
use crate::names::{EntryRef, Labels};

/// Bytes charged for one pending edit: its size and its part of the queue's spare capacity.
pub(super) const EDIT_CHARGE: u64 = size_of::<Edit>() as u64 * 5 / 4;

/// The value that an edit writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NewValue {
    /// The edit changes nothing.
    #[default]
    Unchanged,
    /// The name of an entry in the amender's snapshot.
    Name(EntryRef),
    /// The string `"unknown"`.
    Unknown,
    Null,
}

const UNKNOWN: &[u8] = b"\"unknown\"";
const NULL: &[u8] = b"null";

impl NewValue {
    /// The JSON text of the value. It is empty if the edit changes nothing.
    #[inline]
    fn json(self, names: &KeyNames) -> &[u8] {
        match self {
            NewValue::Unchanged => b"",
            NewValue::Name(entry) => names.entries.json(entry),
            NewValue::Unknown => UNKNOWN,
            NewValue::Null => NULL,
        }
    }

    /// The length of the JSON text, without an access to the map.
    #[inline]
    fn len(self) -> usize {
        match self {
            NewValue::Unchanged => 0,
            NewValue::Name(entry) => entry.json_len.into(),
            NewValue::Unknown => UNKNOWN.len(),
            NewValue::Null => NULL.len(),
        }
    }
}

impl From<Unmatched> for NewValue {
    fn from(unmatched: Unmatched) -> Self {
        match unmatched {
            Unmatched::Unknown => NewValue::Unknown,
            Unmatched::Null => NewValue::Null,
            Unmatched::Omit => NewValue::Unchanged,
        }
    }
}

/// An insertion after an id, or a replacement of a native name or of an id.
///
/// It is queued when its position is reached. Its value may change until its object is decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    /// The input offset of the change.
    pub(super) at: u64,
    /// The number of input bytes that are replaced.
    pub(super) replaced: u64,
    pub(super) prefix: Prefix,
    pub(super) value: NewValue,
    /// The result for the id, if the edit belongs to an id.
    pub(super) result: Option<IdResult>,
}

/// The number of an edit in its body, from 1.
pub(super) type EditNumber = NonZeroU64;

/// The edits of one body that are not written yet.
#[derive(Debug)]
pub(super) struct Edits {
    pending: VecDeque<Edit>,
    /// The number of edits before the first pending one.
    removed_count: u64,
    /// The number of settled edits, which are the first of `pending`.
    settled_count: usize,
    /// The number of bytes by which the settled pending edits change the length of the body.
    pub(super) growth: i64,
    /// The input offset after the last settled replacement. Edits before it are part of the replaced value.
    replaced_to: u64,
    /// The results of the settled ids.
    pub(super) counts: Counts,
    /// True if a settled edit changes the body.
    pub(super) is_changed: bool,
    pub(super) prefixes: Prefixes,
}

impl Edits {
    /// Creates an empty queue for the names of these labels.
    pub(super) fn new(labels: &Labels) -> Self {
        Self {
            pending: VecDeque::new(),
            removed_count: 0,
            settled_count: 0,
            growth: 0,
            replaced_to: 0,
            counts: Counts::default(),
            is_changed: false,
            prefixes: Prefixes::new(labels),
        }
    }

    /// Appends an edit and returns its number: 1 for the first edit of the body, 2 for the second.
    #[inline(always)]
    pub(super) fn push(&mut self, edit: Edit) -> EditNumber {
        if self.pending.len() == self.pending.capacity() {
            self.reserve();
        }
        let earlier_count = self.pushed();
        self.pending.push_back(edit);
        EditNumber::MIN.saturating_add(earlier_count)
    }

    /// Grows the queue by a quarter instead of doubling it, because [`EDIT_CHARGE`] covers only that.
    #[cold]
    fn reserve(&mut self) {
        self.pending.reserve_exact(self.pending.len() / 4 + 32);
    }

    /// The number of all edits so far.
    #[inline(always)]
    pub(super) fn pushed(&self) -> u64 {
        self.removed_count + self.pending.len() as u64
    }

    /// The bytes charged for the pending edits.
    pub(super) fn charge(&self) -> u64 {
        self.pending.len() as u64 * EDIT_CHARGE
    }

    /// The memory of the queue, in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> u64 {
        (self.pending.capacity() * size_of::<Edit>()) as u64
    }

    /// Returns the edit with this number. Returns `None` if there is no number, or if the edit is settled or removed.
    /// If 10 edits are removed, of which the last was number 10, number 13 is the pending edit with the index 2.
    #[inline]
    pub(super) fn unsettled(&mut self, number: Option<EditNumber>) -> Option<&mut Edit> {
        let earlier_count = number?.get() - 1;
        if earlier_count < self.removed_count + self.settled_count as u64 {
            return None;
        }
        self.pending.get_mut((earlier_count - self.removed_count) as usize)
    }

    /// Settles the edits before `offset`: their values are final from now on. Counts the results of their ids, and adds
    /// the number of bytes by which they change the length of the body to `growth`. An edit within a replaced value,
    /// which is not part of the output, becomes unchanged and is not counted.
    pub(super) fn settle(&mut self, offset: u64) {
        for edit in self.pending.range_mut(self.settled_count..) {
            if edit.at >= offset {
                break;
            }
            self.settled_count += 1;
            let is_in_replaced_value = edit.at < self.replaced_to;
            if is_in_replaced_value {
                edit.value = NewValue::Unchanged;
                continue;
            }
            if let Some(result) = edit.result {
                self.counts.add(result);
            }
            if edit.value != NewValue::Unchanged {
                let inserted_len = self.prefixes.bytes(edit.prefix).len() + edit.value.len();
                self.growth += inserted_len as i64 - edit.replaced as i64;
                self.replaced_to = edit.at + edit.replaced;
                self.is_changed = true;
            }
        }
    }

    /// Removes all pending edits and their counts. No edit may be written yet.
    pub(super) fn discard(&mut self) {
        self.removed_count = self.pushed();
        self.pending = VecDeque::new();
        self.settled_count = 0;
        self.growth = 0;
        self.is_changed = false;
        self.counts = Counts::default();
    }

    /// Returns the input offset of the first settled edit that changes the body, or `None` if there is none. Removes
    /// the edits before it, which change nothing.
    pub(super) fn next_change(&mut self) -> Option<u64> {
        let unchanged_count = self.settled().take_while(|edit| edit.value == NewValue::Unchanged).count();
        self.remove(unchanged_count, 0);
        self.settled().next().map(|edit| edit.at)
    }

    /// The settled edits that are not written yet.
    #[inline(always)]
    pub(super) fn settled(&self) -> impl Iterator<Item = &Edit> {
        self.pending.iter().take(self.settled_count)
    }

    /// The text that an edit writes: the start of the member and its value.
    #[inline(always)]
    pub(super) fn bytes<'a>(&'a self, edit: &Edit, names: &'a KeyNames) -> (&'a [u8], &'a [u8]) {
        (self.prefixes.bytes(edit.prefix), edit.value.json(names))
    }

    /// Removes the first `count` settled edits, which have changed the length of the body by `growth` bytes.
    pub(super) fn remove(&mut self, count: usize, growth: i64) {
        self.pending.drain(..count);
        self.removed_count += count as u64;
        self.settled_count -= count;
        self.growth -= growth;
    }
}
