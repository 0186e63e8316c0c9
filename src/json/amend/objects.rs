//! The open objects with an id or a name, and the decision about each label in them.

use std::ops::Range;

use super::edits::{EDIT_CHARGE, Edit, EditNumber, Edits, NewValue};
use super::prefixes::Prefix;
use super::unmatched::UnmatchedIds;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::rules::{NamePosition, Prefer, Rules};
use crate::json::scan::Member;
use crate::names::MAX_LABELS;

/// The members of one label in an open object.
#[derive(Debug, Default)]
pub(super) struct OpenLabel {
    /// The depth of the object, at most `MAX_DEPTH`.
    pub(super) depth: u16,
    /// The index of the label.
    pub(super) label: u8,
    /// The number of id members. Two and more have the same meaning.
    pub(super) id_count: u8,
    /// The number of name members.
    pub(super) name_count: u8,
    /// The members stay unchanged.
    pub(super) is_skipped: bool,
    /// The native name in [`Objects::native_names`], if it is a string of a possible length.
    pub(super) native_name: Option<Range<u16>>,
    /// The length of [`Objects::native_names`] before the first member.
    pub(super) native_names_start: u16,
    pub(super) id_edit: Option<EditNumber>,
    pub(super) name_edit: Option<EditNumber>,
    pub(super) first_edit: Option<EditNumber>,
    /// The input offset of the first edit.
    pub(super) first_edit_at: u64,
}

/// The value of an id or a name that is being scanned.
#[derive(Debug)]
pub(super) struct OpenValue {
    pub(super) member: Member,
    /// The depth of the object with the member.
    pub(super) depth: usize,
    /// The index of the member's label in [`Objects::open`].
    pub(super) open_index: usize,
    /// The prefix for the edit of an id.
    pub(super) prefix: Prefix,
}

impl OpenLabel {
    /// A label without a member, in an object at `depth` that begins after these native names.
    #[inline(always)]
    pub(super) fn new(depth: usize, label: u8, native_names: &[u8]) -> Self {
        let native_names_start = native_names.len() as u16;
        Self { depth: depth as u16, label, native_names_start, ..Self::default() }
    }

    /// True if the bytes and the edits from the first edit to the input offset `at` exceed the window.
    #[inline(always)]
    pub(super) fn is_overdue(&self, at: u64, edits: &Edits, window: u64) -> bool {
        let Some(first_edit) = self.first_edit else { return false };
        let edit_count = edits.pushed() - (first_edit.get() - 1);
        at - self.first_edit_at + edit_count * EDIT_CHARGE > window
    }

    /// Leaves the members unchanged.
    fn skip(&mut self, edits: &mut Edits) {
        self.is_skipped = true;
        if let Some(id_edit) = edits.unsettled(self.id_edit) {
            id_edit.value = NewValue::Unchanged;
            id_edit.result = Some(IdResult::Skipped);
        }
        if let Some(name_edit) = edits.unsettled(self.name_edit) {
            name_edit.value = NewValue::Unchanged;
        }
    }

    /// Replaces the native name with the name from the map, which is no longer inserted after the id.
    ///
    /// The native name stays if it is preferred, or if the map has no name for the id, or the same name.
    fn replace_native_name(&self, edits: &mut Edits, native_names: &[u8], names: &KeyNames, prefer: Prefer) {
        let Some(id_edit) = edits.unsettled(self.id_edit) else { return };
        let new_value = std::mem::take(&mut id_edit.value);
        let NewValue::Name(entry) = new_value else { return };
        if prefer == Prefer::Upstream {
            return;
        }
        let json = names.entries.json(entry);
        let json_without_quotes = &json[1..json.len() - 1];
        let native_name = self.native_name.as_ref();
        let is_same = native_name.is_some_and(|Range { start, end }| {
            native_names[usize::from(*start)..usize::from(*end)] == *json_without_quotes
        });
        if !is_same && let Some(name_edit) = edits.unsettled(self.name_edit) {
            name_edit.value = new_value;
        }
    }
}

/// The state of the amender between two chunks, apart from the scanner and the buffer.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) rules: Rules,
    /// The section of the map for each label that is active, if the map has one.
    sections: [Option<usize>; MAX_LABELS],
    /// The same, or `None` for all labels if the names replace the ids.
    insertion_sections: [Option<usize>; MAX_LABELS],
    /// A bit for the length of each member name, except those of the label for keys.
    pub(super) member_lengths: u64,
    pub(super) edits: Edits,
    /// The labels with a member in an open object, from the outermost object to the innermost. Labels in one object have
    /// the order of their first members.
    pub(super) open: Vec<OpenLabel>,
    /// The member whose value starts next. `None` if the member is ignored.
    pub(super) started: Option<OpenValue>,
    /// The values of members that are being scanned, from the outermost to the innermost.
    pub(super) values: Vec<OpenValue>,
    /// The native names in the open objects, as raw JSON text between the quotes.
    pub(super) native_names: Vec<u8>,
    /// The buffer for texts without their escapes.
    pub(super) unescaped: Vec<u8>,
    pub(super) unmatched: UnmatchedIds,
}

/// Returns the bit for member names of this length. The lengths 0 and 64 share a bit.
#[inline(always)]
pub(super) fn length_bit(len: usize) -> u64 {
    1 << (len % 64)
}

impl Objects {
    pub(super) fn new(rules: Rules, names: &KeyNames) -> Self {
        let mut sections = [None; MAX_LABELS];
        for (index, label) in rules.labels.list().iter().enumerate() {
            if rules.active.contains(index as u8) {
                sections[index] = names.entries.section(&label.id);
            }
        }
        let other_labels = rules.labels.iter().skip(1);
        let member_lengths =
            other_labels.flat_map(|(id, name)| [length_bit(id.len()), length_bit(name.len())]);
        let is_beside = rules.position == NamePosition::Beside;
        Self {
            insertion_sections: if is_beside { sections } else { [None; MAX_LABELS] },
            sections,
            member_lengths: member_lengths.fold(0, |bits, bit| bits | bit),
            edits: Edits::new(&rules.labels),
            rules,
            open: Vec::new(),
            started: None,
            values: Vec::new(),
            native_names: Vec::new(),
            unescaped: Vec::new(),
            unmatched: UnmatchedIds::default(),
        }
    }

    /// Returns the section of the map for an active label. Without a section, the ids of the label have no names.
    #[inline(always)]
    pub(super) fn section(&self, label: u8) -> Option<usize> {
        self.sections[usize::from(label)]
    }

    /// Returns the section of an active label whose names are inserted beside the ids.
    #[inline(always)]
    pub(super) fn insertion_section(&self, label: u8) -> Option<usize> {
        self.insertion_sections[usize::from(label)]
    }

    /// True if this member can cause an edit. Native names are never edited if the names replace the ids.
    #[inline(always)]
    pub(super) fn is_used(&self, member: Member) -> bool {
        match member {
            Member::Id(label) => self.rules.active.contains(label),
            Member::Name(label) => {
                self.rules.active.contains(label) && self.rules.position == NamePosition::Beside
            }
        }
    }

    /// Returns the index of a label in the open object at `depth`, or `None` if the object has no member of the label.
    #[inline(always)]
    pub(super) fn open_index(&self, depth: usize, label: u8) -> Option<usize> {
        for (index, open) in self.open.iter().enumerate().rev() {
            if usize::from(open.depth) != depth {
                return None;
            }
            if open.label == label {
                return Some(index);
            }
        }
        None
    }

    /// Adds a label to the innermost object, and returns its index.
    pub(super) fn open_label(&mut self, depth: usize, label: u8) -> usize {
        self.open.push(OpenLabel::new(depth, label, &self.native_names));
        self.open.len() - 1
    }

    /// Queues an edit for a label of the innermost object.
    #[inline(always)]
    pub(super) fn push(&mut self, edit: Edit, member: Member, open_index: usize) {
        let number = self.edits.push(edit);
        let open = &mut self.open[open_index];
        if open.first_edit.is_none() {
            open.first_edit = Some(number);
            open.first_edit_at = edit.at;
        }
        match member {
            Member::Id(_) => open.id_edit = Some(number),
            Member::Name(_) => open.name_edit = Some(number),
        }
    }

    /// Decides the labels of the object at `depth`, which ends before `at`. The edit of a label with one id and no name
    /// stays as it is.
    #[inline(always)]
    pub(super) fn decide(&mut self, at: u64, depth: usize, names: &KeyNames) {
        let mut native_names_len = self.native_names.len();
        while let Some(open) = self.open.last()
            && usize::from(open.depth) == depth
        {
            native_names_len = open.native_names_start.into();
            let has_only_id = open.id_count == 1 && open.name_count == 0;
            if !has_only_id || open.is_overdue(at, &self.edits, self.rules.window) {
                self.skip_or_replace(at, names);
            }
            self.open.pop();
        }
        // The label that was opened first is decided last. All native names of the object came after its first member.
        self.native_names.truncate(native_names_len);
    }

    /// Leaves the last open label unchanged if it is ambiguous or overdue. Replaces its native name if it is neither.
    ///
    /// A label is ambiguous if the object has two of its ids, or one of its ids and two of its names.
    #[inline(never)]
    fn skip_or_replace(&mut self, at: u64, names: &KeyNames) {
        let Some(open) = self.open.last_mut() else { return };
        let has_duplicates = open.id_count > 1 || open.name_count > 1;
        let is_ambiguous = open.id_count > 0 && has_duplicates;
        if is_ambiguous || open.is_overdue(at, &self.edits, self.rules.window) {
            open.skip(&mut self.edits);
        }
        if !open.is_skipped {
            open.replace_native_name(&mut self.edits, &self.native_names, names, self.rules.prefer);
        }
    }

    /// Skips the overdue labels, and returns the offset of the first edit that may still change.
    ///
    /// Returns `scanned`, the number of bytes scanned so far, if no such edit exists.
    pub(super) fn first_undecided(&mut self, scanned: u64) -> u64 {
        // A label is opened after the first edit of the labels before it in the same object. A label of an outer object
        // without an edit so far gets its first edit after those of the inner objects. So the first edits ascend.
        for open in self.open.iter_mut().filter(|open| !open.is_skipped) {
            if open.first_edit.is_none() {
                continue;
            }
            if !open.is_overdue(scanned, &self.edits, self.rules.window) {
                return open.first_edit_at;
            }
            open.skip(&mut self.edits);
        }
        scanned
    }
}
