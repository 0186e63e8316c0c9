//! The open objects with an id or a name, and the decision about each label in them.

use std::ops::Range;

use super::edits::{EDIT_CHARGE, Edit, Edits, NewValue};
use super::prefixes::Prefix;
use super::unmatched::UnmatchedIds;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::rules::{NamePosition, Prefer, Rules};
use crate::json::scan::Member;

/// The members of one label in an open object.
#[derive(Debug, Default)]
pub(super) struct OpenLabel {
    /// The depth of the object.
    pub(super) depth: usize,
    /// The index of the label.
    pub(super) label: u8,
    /// The number of id members. Two and more have the same meaning.
    pub(super) id_count: u8,
    /// The number of name members.
    pub(super) name_count: u8,
    /// The offset and the number of the first edit.
    pub(super) first_edit: Option<(u64, u64)>,
    pub(super) id_edit: Option<u64>,
    pub(super) name_edit: Option<u64>,
    /// The native name in [`Objects::native_names`], if it is a string of a possible length.
    pub(super) native_name: Option<Range<usize>>,
    /// The length of [`Objects::native_names`] before the first member.
    pub(super) native_names_start: usize,
    /// The members stay unchanged.
    pub(super) is_skipped: bool,
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
    /// True if the bytes and the edits from the first edit to the input offset `at` exceed the window.
    #[inline(always)]
    pub(super) fn is_overdue(&self, at: u64, edits: &Edits, window: u64) -> bool {
        let Some((first_offset, first_number)) = self.first_edit else { return false };
        let edit_count = edits.pushed() - first_number;
        at - first_offset + edit_count * EDIT_CHARGE > window
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
        let is_same = native_name.is_some_and(|range| native_names[range.clone()] == *json_without_quotes);
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
    sections: Vec<Option<usize>>,
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
        let mut sections = Vec::new();
        for (index, label) in rules.labels.list().iter().enumerate() {
            let is_active = rules.active.contains(index as u8);
            sections.push(if is_active { names.entries.section(&label.id) } else { None });
        }
        let other_labels = rules.labels.iter().skip(1);
        let member_lengths =
            other_labels.flat_map(|(id, name)| [length_bit(id.len()), length_bit(name.len())]);
        Self {
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
            if open.depth != depth {
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
        let native_names_start = self.native_names.len();
        self.open.push(OpenLabel { depth, label, native_names_start, ..OpenLabel::default() });
        self.open.len() - 1
    }

    /// Queues an edit for a label of the innermost object.
    #[inline(always)]
    pub(super) fn push(&mut self, edit: Edit, member: Member, open_index: usize) {
        let number = self.edits.push(edit);
        let open = &mut self.open[open_index];
        open.first_edit.get_or_insert((edit.at, number));
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
            && open.depth == depth
        {
            native_names_len = open.native_names_start;
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
            let Some((at, _)) = open.first_edit else { continue };
            if !open.is_overdue(scanned, &self.edits, self.rules.window) {
                return at;
            }
            open.skip(&mut self.edits);
        }
        scanned
    }
}
