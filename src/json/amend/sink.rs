//! The sink of the scanner: finds the ids, looks them up and queues their edits.

use std::ops::Range;

use super::edits::{Edit, NewValue};
use super::label_member::LabelMember;
use super::objects::{KEY_LABEL, Objects, OpenLabel, OpenValue, length_bit};
use super::prefixes::Prefix;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::rules::{NamePosition, Rules};
use crate::json::scan::{MemberValue, Sink, WhiteSpace};
use crate::json::text::unescape;
use crate::names::{EntryRef, KEY_ID, KEY_NAME, Label};

/// The most bytes of native names that are kept for the comparison with the map. A further native name is replaced
/// even if it is the same.
const MAX_NATIVE_NAMES: usize = 8 * 1024;

/// The amender's state and the map, while a chunk is scanned.
pub(super) struct IdSink<'a> {
    pub(super) objects: &'a mut Objects,
    pub(super) names: &'a KeyNames,
}

impl IdSink<'_> {
    /// Returns the value that the edit of an id writes, and the result for the counts. `value` is the id, which ends
    /// before the offset `at`. An id without a name is added to the unmatched ids. An id that would be replaced by a
    /// name that is itself an id is skipped.
    #[inline(never)]
    fn look_up(&mut self, label: u8, at: u64, value: MemberValue<'_>) -> (NewValue, IdResult) {
        let entries = &self.names.entries;
        let section = self.objects.section(label);
        let Objects { rules, unescaped, unmatched, .. } = &mut *self.objects;
        let id = match value {
            MemberValue::Other => return (value_for_null(rules, label), IdResult::NotAString),
            MemberValue::LongString => None,
            MemberValue::String { raw, has_escapes: false } => Some(raw),
            MemberValue::String { raw, has_escapes: true } => unescape(raw, unescaped),
        };
        let is_replaced = rules.position == NamePosition::Replace;
        let unmatched_value = if is_replaced { NewValue::Unchanged } else { rules.unmatched.into() };
        let Some(id) = id else { return (unmatched_value, IdResult::Unmatched) };
        if let Some(section) = section
            && let Some(entry) = entries.find(section, id)
        {
            if is_replaced && is_name_an_id(entry, section, self.names) {
                return (NewValue::Unchanged, IdResult::Skipped);
            }
            return (NewValue::Name(entry), IdResult::Named);
        }
        unmatched.add(at, id);
        (unmatched_value, IdResult::Unmatched)
    }

    /// Receives a whole member in the three steps of its parts. Ignores a member that is not used.
    #[inline(never)]
    fn add_member_by_parts(
        &mut self,
        member: LabelMember,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        self.member_start(member, depth);
        let is_used = self.objects.started.is_some();
        if is_used {
            self.value_start(at.start, white_space);
            self.value_end(at.end, value);
        }
    }

    /// Sets the length of the edit for a native name, which ends before `at`, and keeps the name for the comparison with
    /// the map. A name that is not a string, is longer than any escaped name of a map, or has no room is not kept.
    fn end_native_name(&mut self, at: u64, name: &OpenValue, value: MemberValue<'_>) {
        let Objects { edits, open, native_names, .. } = &mut *self.objects;
        let open_label = &mut open[name.open_index];
        if let Some(edit) = edits.unsettled(open_label.name_edit) {
            edit.replaced = at - edit.at;
        }
        let MemberValue::String { raw, .. } = value else { return };
        let start = native_names.len();
        let has_room = start + raw.len() <= MAX_NATIVE_NAMES;
        if has_room && raw.len() <= 2 * KeyNames::MAX_LEN {
            native_names.extend_from_slice(raw);
            open_label.native_name = Some(start as u16..native_names.len() as u16);
        }
    }

    /// Looks up the first id of a label in its object, which ends before `at`, and sets the new value of its edit. An
    /// insertion beside the id is queued here. A replacement of the id was queued at the start of the value.
    #[inline(always)]
    fn end_id(&mut self, label: u8, at: u64, id: &OpenValue, value: MemberValue<'_>) {
        let found = self.look_up(label, at, value);
        let open = &self.objects.open[id.open_index];
        let (new_value, result) =
            if open.is_skipped { (NewValue::Unchanged, IdResult::Skipped) } else { found };
        if self.objects.rules.position == NamePosition::Beside {
            let prefix = id.prefix;
            let insertion = Edit { at, replaced: 0, prefix, value: new_value, result: Some(result) };
            self.objects.push(insertion, id.member, id.open_index);
            return;
        }
        if let Some(replacement) = self.objects.edits.unsettled(open.id_edit) {
            replacement.replaced = at - replacement.at;
            replacement.value = new_value;
            replacement.result = Some(result);
        }
    }
}

/// Returns the new value for an id that is null or not a string.
fn value_for_null(rules: &Rules, label: u8) -> NewValue {
    let is_inserted = label == KEY_LABEL || rules.insert_null;
    if !is_inserted || rules.position == NamePosition::Replace {
        NewValue::Unchanged
    } else if rules.null_as_unmatched {
        rules.unmatched.into()
    } else {
        NewValue::Null
    }
}

/// True if the name of an entry is itself an id of this section.
fn is_name_an_id(entry: EntryRef, section: usize, names: &KeyNames) -> bool {
    let json = names.entries.json(entry);
    let mut unescaped = Vec::new();
    let Some(name) = unescape(&json[1..json.len() - 1], &mut unescaped) else { return false };
    names.entries.find(section, name).is_some()
}

/// Returns the member with this name of a label other than that for keys, or `None` if no label has it.
#[inline(never)]
fn match_other_label(labels: &[Label], name: &[u8]) -> Option<LabelMember> {
    for (index, label) in labels.iter().enumerate().skip(1) {
        if label.id.as_bytes() == name {
            return Some(LabelMember::Id(index as u8));
        }
        if label.name.as_bytes() == name {
            return Some(LabelMember::Name(index as u8));
        }
    }
    None
}

impl Sink for IdSink<'_> {
    type Member = LabelMember;

    /// Returns the member of any label with this name, or `None` if no label has such a member.
    ///
    /// The result does not depend on which labels are active in this body: templates store it, and the next body of the
    /// layer, which may have other active labels, uses the same templates.
    #[inline(always)]
    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<LabelMember> {
        let Objects { rules, member_lengths, unescaped, .. } = &mut *self.objects;
        let name = if has_escapes { unescape(raw, unescaped)? } else { raw };
        if name == KEY_ID.as_bytes() {
            Some(LabelMember::Id(KEY_LABEL))
        } else if name == KEY_NAME.as_bytes() {
            Some(LabelMember::Name(KEY_LABEL))
        } else if *member_lengths & length_bit(name.len()) != 0 {
            // Some member of another label has this length. Most names end before this comparison.
            match_other_label(rules.labels.list(), name)
        } else {
            None
        }
    }

    /// Counts the member in its object, and stores the member in [`Objects::started`] until its value starts. The first
    /// id or name of a label in an object opens the label. A member that is not used is ignored.
    #[inline(always)]
    fn member_start(&mut self, member: LabelMember, depth: usize) {
        let objects = &mut *self.objects;
        if !objects.is_used(member) {
            objects.started = None;
            return;
        }
        let (LabelMember::Id(label) | LabelMember::Name(label)) = member;
        let open_index = match objects.open_index(depth, label) {
            Some(known_index) => known_index,
            None => objects.open_label(depth, label),
        };
        let open = &mut objects.open[open_index];
        match member {
            LabelMember::Id(_) => open.id_count = open.id_count.saturating_add(1),
            LabelMember::Name(_) => open.name_count = open.name_count.saturating_add(1),
        }
        objects.started = Some(OpenValue { member, depth, open_index, prefix: Prefix::NONE });
    }

    /// Finds the prefix for the insertion beside an id, or queues the replacement of a value. A replacement is queued
    /// before the edits inside of its value, which come later in the body.
    #[inline(always)]
    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>) {
        let objects = &mut *self.objects;
        let Some(mut started) = objects.started.take() else { return };
        let OpenValue { member, open_index, .. } = started;
        let open = &objects.open[open_index];
        match member {
            LabelMember::Id(label) if objects.rules.position == NamePosition::Beside => {
                started.prefix = objects.edits.prefixes.find_or_add(label, white_space);
            }
            LabelMember::Id(_) if open.id_count == 1 => objects.push_replacement(at, member, open_index),
            LabelMember::Name(_) if open.name_count == 1 => objects.push_replacement(at, member, open_index),
            // Duplicates have no edits.
            LabelMember::Id(_) | LabelMember::Name(_) => {}
        }
        objects.values.push(started);
    }

    #[inline(always)]
    fn is_value_awaited(&self, depth: usize) -> bool {
        self.objects.values.last().is_some_and(|value| value.depth == depth)
    }

    /// Completes the edit of the innermost open value, which ends before `at`.
    #[inline(always)]
    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        let Some(ended) = self.objects.values.pop() else { return };
        let open = &self.objects.open[ended.open_index];
        match ended.member {
            LabelMember::Id(label) if open.id_count == 1 => self.end_id(label, at, &ended, value),
            LabelMember::Name(_) if open.name_count == 1 => self.end_native_name(at, &ended, value),
            // Duplicates have no edits.
            LabelMember::Id(_) | LabelMember::Name(_) => {}
        }
    }

    /// Receives a whole member, whose value has the offsets `at`. The fast path is for an id that has a name and opens
    /// its label in the object, as in most rows: the insertion is queued in one step. Other members are added by their
    /// parts.
    #[inline(always)]
    fn whole_member(
        &mut self,
        member: LabelMember,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        let objects = &mut *self.objects;
        if let LabelMember::Id(label) = member
            && let MemberValue::String { raw: id, has_escapes: false } = value
            && let Some(section) = objects.insertion_section(label)
            && objects.open_index(depth, label).is_none()
            && let Some(entry) = self.names.entries.find(section, id)
        {
            let prefix = objects.edits.prefixes.find_or_add(label, white_space);
            let name = NewValue::Name(entry);
            let result = Some(IdResult::Named);
            let insertion = Edit { at: at.end, replaced: 0, prefix, value: name, result };
            let number = objects.edits.push(insertion);
            objects.open.push(OpenLabel {
                id_count: 1,
                id_edit: Some(number),
                first_edit: Some(number),
                first_edit_at: at.end,
                ..OpenLabel::new(depth, label, &objects.native_names)
            });
            return;
        }
        self.add_member_by_parts(member, depth, at, white_space, value);
    }

    #[inline(always)]
    fn object_end(&mut self, at: u64, depth: usize) {
        if self.objects.open.last().is_some_and(|open| usize::from(open.depth) == depth) {
            self.objects.decide(at, depth, self.names);
        }
    }
}
