//! The open objects with an id or a name, and the decision about each label in them.

use std::ops::Range;

use super::edits::{EDIT_CHARGE, Edit, EditNumber, Edits, NewValue};
use super::label_member::LabelMember;
use super::prefixes::Prefix;
use super::unmatched::UnmatchedIds;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::rules::{NamePosition, Prefer, Rules};
use crate::names::MAX_LABELS;

/// The index of the label for keys.
pub(super) const KEY_LABEL: u8 = 0;

/// An open label: the members of one label so far, in an object whose end is not scanned yet.
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
    pub(super) member: LabelMember,
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

    /// Leaves the id and the native name unchanged, and counts the id as skipped. Edits that are settled stay.
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

    /// Replaces the native name with the name from the map, and inserts nothing after the id. Does nothing if the
    /// object has no id of the label. The native name stays if it is preferred, or if the map has no name for the id,
    /// or the same name.
    fn replace_native_name(&self, edits: &mut Edits, native_names: &[u8], names: &KeyNames, prefer: Prefer) {
        let Some(id_edit) = edits.unsettled(self.id_edit) else { return };
        let new_value = id_edit.value;
        id_edit.value = NewValue::Unchanged;
        let NewValue::Name(entry) = new_value else { return };
        if prefer == Prefer::Upstream || self.has_native_name(names.entries.json(entry), native_names) {
            return;
        }
        if let Some(name_edit) = edits.unsettled(self.name_edit) {
            name_edit.value = new_value;
        }
    }

    /// True if the native name is kept and is this JSON string.
    fn has_native_name(&self, json: &[u8], native_names: &[u8]) -> bool {
        let Some(range) = &self.native_name else { return false };
        native_names[usize::from(range.start)..usize::from(range.end)] == json[1..json.len() - 1]
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
    /// Creates the state at the start of a body, whose ids get their names from `names`.
    pub(super) fn new(rules: Rules, names: &KeyNames) -> Self {
        let mut sections = [None; MAX_LABELS];
        let mut member_lengths = 0;
        for (index, label) in rules.labels.list().iter().enumerate() {
            if rules.active.contains(index as u8) {
                sections[index] = names.entries.section(&label.id);
            }
            if index != usize::from(KEY_LABEL) {
                member_lengths |= length_bit(label.id.len()) | length_bit(label.name.len());
            }
        }
        let is_beside = rules.position == NamePosition::Beside;
        Self {
            sections,
            insertion_sections: if is_beside { sections } else { [None; MAX_LABELS] },
            member_lengths,
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
    pub(super) fn is_used(&self, member: LabelMember) -> bool {
        match member {
            LabelMember::Id(label) => self.rules.active.contains(label),
            LabelMember::Name(label) => {
                self.rules.active.contains(label) && self.rules.position == NamePosition::Beside
            }
        }
    }

    /// Returns the index in `open` of a label in the innermost object, which is at `depth`. Returns `None` if the object has
    /// no member of the label so far.
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

    /// Adds an open label to the innermost object, and returns its index.
    pub(super) fn open_label(&mut self, depth: usize, label: u8) -> usize {
        self.open.push(OpenLabel::new(depth, label, &self.native_names));
        self.open.len() - 1
    }

    /// Queues the replacement of a value that starts at the input offset `at`. Its length and its new value, which are not
    /// known yet, are set later.
    #[inline(always)]
    pub(super) fn push_replacement(&mut self, at: u64, member: LabelMember, open_index: usize) {
        let edit = Edit { at, replaced: 0, prefix: Prefix::NONE, value: NewValue::Unchanged, result: None };
        self.push(edit, member, open_index);
    }

    /// Queues the edit of a member, whose label has the index `open_index` in `open`.
    #[inline(always)]
    pub(super) fn push(&mut self, edit: Edit, member: LabelMember, open_index: usize) {
        let number = self.edits.push(edit);
        let open = &mut self.open[open_index];
        if open.first_edit.is_none() {
            open.first_edit = Some(number);
            open.first_edit_at = edit.at;
        }
        match member {
            LabelMember::Id(_) => open.id_edit = Some(number),
            LabelMember::Name(_) => open.name_edit = Some(number),
        }
    }

    /// Removes the open labels of the object at `depth`, which ends before `at`, and makes the last changes of their
    /// edits. The edit of a label with one id and no name stays as it is, unless the label is overdue.
    #[inline(always)]
    pub(super) fn decide(&mut self, at: u64, depth: usize, names: &KeyNames) {
        let mut outer_native_names_len = self.native_names.len();
        while let Some(open) = self.open.last()
            && usize::from(open.depth) == depth
        {
            // The label that is removed last was opened first, before all native names of the object.
            outer_native_names_len = open.native_names_start.into();
            let has_only_id = open.id_count == 1 && open.name_count == 0;
            let is_overdue = open.is_overdue(at, &self.edits, self.rules.window);
            if !has_only_id || is_overdue {
                self.skip_or_replace(is_overdue, names);
            }
            self.open.pop();
        }
        self.native_names.truncate(outer_native_names_len);
    }

    /// Leaves the last open label unchanged if it is ambiguous, overdue or skipped already. Replaces its native name
    /// otherwise. A label is ambiguous if the object has two of its ids, or one of its ids and two of its names.
    #[inline(never)]
    fn skip_or_replace(&mut self, is_overdue: bool, names: &KeyNames) {
        let Some(open) = self.open.last_mut() else { return };
        let has_duplicates = open.id_count > 1 || open.name_count > 1;
        let is_ambiguous = open.id_count > 0 && has_duplicates;
        if is_ambiguous || is_overdue {
            open.skip(&mut self.edits);
        }
        if !open.is_skipped {
            open.replace_native_name(&mut self.edits, &self.native_names, names, self.rules.prefer);
        }
    }

    /// Skips the overdue labels, and returns the input offset of the first edit that may still change. Returns
    /// `scanned`, the number of bytes scanned so far, if no such edit exists.
    pub(super) fn first_undecided(&mut self, scanned: u64) -> u64 {
        // A label is opened after the first edit of the labels before it in the same object. A label of an outer object
        // without an edit so far gets its first edit after those of the inner objects. So the first edits ascend.
        for open in &mut self.open {
            if open.is_skipped || open.first_edit.is_none() {
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
