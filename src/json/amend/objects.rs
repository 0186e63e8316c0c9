//! The open objects with an id or a name, and the decision about each of them.

use super::edits::{EDIT_CHARGE, Edit, Edits, NewValue};
use super::prefixes::Prefix;
use super::unmatched::UnmatchedIds;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::rules::Rules;
use crate::json::scan::Member;

/// An open object that contains an id or a name.
#[derive(Debug, Default)]
pub(super) struct OpenObject {
    pub(super) depth: usize,
    /// The number of id members. Two and more have the same meaning.
    pub(super) id_count: u8,
    /// The number of name members.
    pub(super) name_count: u8,
    /// The member whose value is being scanned.
    pub(super) current: Option<Member>,
    /// The offset and the number of the first edit.
    pub(super) first_edit: Option<(u64, u64)>,
    pub(super) id_edit: Option<u64>,
    pub(super) name_edit: Option<u64>,
    /// The prefix for the id's edit, while the id's value is being scanned.
    pub(super) prefix: Prefix,
    /// The awaited depth at the start of the object.
    pub(super) outer_awaited: Option<usize>,
    /// The start of the native name in [`Objects::native_names`], if it is a string of a possible length.
    pub(super) native_name_start: Option<usize>,
    /// The object stays unchanged.
    pub(super) is_skipped: bool,
}

impl OpenObject {
    /// True if the bytes and the edits from the object's first edit to the input offset `at` exceed the window.
    #[inline(always)]
    pub(super) fn is_overdue(&self, at: u64, edits: &Edits, window: u64) -> bool {
        let Some((first_offset, first_number)) = self.first_edit else { return false };
        let edit_count = edits.pushed() - first_number;
        at - first_offset + edit_count * EDIT_CHARGE > window
    }

    /// Leaves the object unchanged.
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
    /// The native name stays if the map has no name for the id, or the same name.
    fn replace_native_name(&self, edits: &mut Edits, native_names: &[u8], names: &KeyNames) {
        let Some(id_edit) = edits.unsettled(self.id_edit) else { return };
        let new_value = std::mem::take(&mut id_edit.value);
        let NewValue::Name(entry) = new_value else { return };
        let json = names.entries.json(entry);
        let json_without_quotes = &json[1..json.len() - 1];
        let is_same =
            self.native_name_start.is_some_and(|start| native_names[start..] == *json_without_quotes);
        if !is_same && let Some(name_edit) = edits.unsettled(self.name_edit) {
            name_edit.value = new_value;
        }
    }
}

/// The state of the amender between two chunks, apart from the scanner and the buffer.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) rules: Rules,
    pub(super) edits: Edits,
    /// The open objects with either member, from the outermost to the innermost.
    pub(super) open: Vec<OpenObject>,
    /// The depth of the innermost object with a member whose value is being scanned.
    pub(super) awaited: Option<usize>,
    /// The native names of the open objects, as raw JSON text between the quotes.
    pub(super) native_names: Vec<u8>,
    /// The buffer for texts without their escapes.
    pub(super) unescaped: Vec<u8>,
    pub(super) unmatched: UnmatchedIds,
}

impl Objects {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            edits: Edits::default(),
            open: Vec::new(),
            awaited: None,
            native_names: Vec::new(),
            unescaped: Vec::new(),
            unmatched: UnmatchedIds::default(),
        }
    }

    /// Queues an edit for the innermost object.
    #[inline(always)]
    pub(super) fn push(&mut self, edit: Edit, member: Member) {
        let Some(object) = self.open.last_mut() else { return };
        let number = self.edits.push(edit);
        object.first_edit.get_or_insert((edit.at, number));
        match member {
            Member::Id => object.id_edit = Some(number),
            Member::Name => object.name_edit = Some(number),
        }
    }

    /// Decides the innermost object, which ends before `at`. With one id and no name, its edit stays as it is.
    #[inline(always)]
    pub(super) fn decide(&mut self, at: u64, names: &KeyNames) {
        let Some(object) = self.open.last() else { return };
        let has_only_id = object.id_count == 1 && object.name_count == 0;
        if !has_only_id || object.is_overdue(at, &self.edits, self.rules.window) {
            self.skip_or_replace(at, names);
        }
        self.open.pop();
    }

    /// Leaves the innermost object unchanged if it is ambiguous or overdue. Replaces its native name if it is neither.
    ///
    /// An object is ambiguous if it has two ids, or an id and two names.
    #[inline(never)]
    fn skip_or_replace(&mut self, at: u64, names: &KeyNames) {
        let Some(object) = self.open.last_mut() else { return };
        let has_duplicates = object.id_count > 1 || object.name_count > 1;
        let is_ambiguous = object.id_count > 0 && has_duplicates;
        if is_ambiguous || object.is_overdue(at, &self.edits, self.rules.window) {
            object.skip(&mut self.edits);
        }
        if !object.is_skipped {
            object.replace_native_name(&mut self.edits, &self.native_names, names);
        }
        // The native name of this object is the last one in the buffer.
        if let Some(start) = object.native_name_start {
            self.native_names.truncate(start);
        }
    }

    /// Skips the overdue objects, and returns the offset of the first edit that may still change.
    ///
    /// Returns `scanned`, the number of bytes scanned so far, if no such edit exists.
    pub(super) fn first_undecided(&mut self, scanned: u64) -> u64 {
        // An outer object without an edit so far gets its first edit after those of the inner objects.
        for object in self.open.iter_mut().filter(|object| !object.is_skipped) {
            let Some((at, _)) = object.first_edit else { continue };
            if !object.is_overdue(scanned, &self.edits, self.rules.window) {
                return at;
            }
            object.skip(&mut self.edits);
        }
        scanned
    }
}
