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
    pub(super) ids: u8,
    /// The number of name members.
    pub(super) names: u8,
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
    pub(super) native_name: Option<usize>,
    /// The object stays unchanged.
    pub(super) is_skipped: bool,
}

impl OpenObject {
    /// True if the object is undecided for more than the window at the input offset `at`.
    #[inline(always)]
    pub(super) fn is_overdue(&self, at: u64, edits: &Edits, window: u64) -> bool {
        self.first_edit
            .is_some_and(|(start, number)| at - start + (edits.pushed() - number) * EDIT_CHARGE > window)
    }

    /// Leaves the object unchanged.
    fn skip(&mut self, edits: &mut Edits) {
        self.is_skipped = true;
        for (number, result) in [(self.id_edit, Some(IdResult::Skipped)), (self.name_edit, None)] {
            if let Some(edit) = edits.unsettled(number) {
                (edit.value, edit.result) = (NewValue::Unchanged, result);
            }
        }
    }

    /// Replaces the native name instead of inserting a second one, or leaves it if it is the same already.
    fn replace_native_name(&self, edits: &mut Edits, native_names: &[u8], names: &KeyNames) {
        let Some(id_edit) = edits.unsettled(self.id_edit) else { return };
        let value = std::mem::take(&mut id_edit.value);
        let NewValue::Name(entry) = value else { return };
        let json = names.entries.json(entry);
        // `json` has quotes, and the native name has none.
        let is_same = self.native_name.is_some_and(|start| native_names[start..] == json[1..json.len() - 1]);
        if !is_same && let Some(name_edit) = edits.unsettled(self.name_edit) {
            name_edit.value = value;
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
        let has_only_id = object.ids == 1 && object.names == 0;
        if !has_only_id || object.is_overdue(at, &self.edits, self.rules.window) {
            self.decide_in_full(at, names);
        }
        self.open.pop();
    }

    /// Decides an object that has a name or duplicates, or that is overdue. An ambiguous one stays unchanged.
    #[inline(never)]
    fn decide_in_full(&mut self, at: u64, names: &KeyNames) {
        let Self { rules, edits, open, native_names, .. } = self;
        let Some(object) = open.last_mut() else { return };
        let is_ambiguous = object.ids > 1 || (object.ids == 1 && object.names > 1);
        if !object.is_skipped && (is_ambiguous || object.is_overdue(at, edits, rules.window)) {
            object.skip(edits);
        }
        if !object.is_skipped && object.names > 0 {
            object.replace_native_name(edits, native_names, names);
        }
        // The native name of this object is the last one that is stored.
        if let Some(start) = object.native_name {
            native_names.truncate(start);
        }
    }

    /// Returns the offset of the first edit that may still change, after `scanned` bytes. Skips the objects
    /// that are overdue.
    pub(super) fn first_undecided(&mut self, scanned: u64) -> u64 {
        // The first edit of an inner object comes after that of an outer one, or the outer one has none yet.
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
