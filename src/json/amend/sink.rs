//! The sink of the scanner: finds the ids, looks them up and queues their edits.

use std::ops::Range;

use super::edits::{Edit, NewValue};
use super::objects::{Objects, OpenLabel, OpenValue, length_bit};
use super::prefixes::Prefix;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::rules::{NamePosition, Rules};
use crate::json::scan::{Member, MemberValue, Sink, WhiteSpace};
use crate::json::text::unescape;
use crate::names::{KEY_ID, KEY_NAME, Label};

/// The most bytes of native names that are kept for the comparison with the map. A further native name is replaced
/// even if it is the same.
const MAX_NATIVE_NAMES: usize = 8 * 1024;

/// The index of the label for keys.
const KEY_LABEL: u8 = 0;

/// The amender's state and the map, while a chunk is scanned.
pub(super) struct IdSink<'a> {
    pub(super) objects: &'a mut Objects,
    pub(super) names: &'a KeyNames,
}

impl IdSink<'_> {
    /// Returns the new value for an id that ends before `at`, and the result. Adds an id without a name to the unmatched
    /// ids.
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
        if let Some(id) = id {
            if let Some(section) = section
                && let Some(entry) = entries.find(section, id)
            {
                let json = entries.json(entry);
                if is_replaced && is_id_in_json(&json[1..json.len() - 1], section, self.names) {
                    return (NewValue::Unchanged, IdResult::Skipped);
                }
                return (NewValue::Name(entry), IdResult::Named);
            }
            unmatched.add(at, id);
        }
        let new_value = if is_replaced { NewValue::Unchanged } else { rules.unmatched.into() };
        (new_value, IdResult::Unmatched)
    }

    /// Receives a whole member in three steps. Ignores a member that is not used.
    #[inline(never)]
    fn add_unusual_member(
        &mut self,
        member: Member,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        self.member_start(member, depth);
        if self.objects.started.is_some() {
            self.value_start(at.start, white_space);
            self.value_end(at.end, value);
        }
    }

    /// Keeps a native name for the comparison with the map, unless it is not a string or is too long.
    fn keep_native_name(&mut self, value: MemberValue<'_>, open_index: usize) {
        let Objects { open, native_names, .. } = &mut *self.objects;
        let MemberValue::String { raw, .. } = value else { return };
        let start = native_names.len();
        let has_room = start + raw.len() <= MAX_NATIVE_NAMES;
        if has_room && raw.len() <= 2 * KeyNames::MAX_LEN {
            native_names.extend_from_slice(raw);
            open[open_index].native_name = Some(start as u16..native_names.len() as u16);
        }
    }

    /// Sets the result for the first id of an object. Its edit is queued here, or at the start of the value if the edit
    /// replaces the id.
    #[inline(always)]
    fn end_id(&mut self, label: u8, at: u64, id: &OpenValue, value: MemberValue<'_>) {
        let (mut new_value, mut result) = self.look_up(label, at, value);
        let open = &self.objects.open[id.open_index];
        if open.is_skipped {
            new_value = NewValue::Unchanged;
            result = IdResult::Skipped;
        }
        if self.objects.rules.position == NamePosition::Beside {
            let prefix = id.prefix;
            let edit = Edit { at, replaced: 0, prefix, value: new_value, result: Some(result) };
            self.objects.push(edit, id.member, id.open_index);
        } else if let Some(edit) = self.objects.edits.unsettled(open.id_edit) {
            edit.replaced = at - edit.at;
            edit.value = new_value;
            edit.result = Some(result);
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

/// True if the text of a name, as JSON without its quotes, is itself an id of this section.
fn is_id_in_json(json: &[u8], section: usize, names: &KeyNames) -> bool {
    let mut unescaped = Vec::new();
    let name = unescape(json, &mut unescaped);
    name.is_some_and(|name| names.entries.find(section, name).is_some())
}

/// Returns the member of a label with this name. The label for keys is compared before, as constants.
#[inline(never)]
fn match_other_label(labels: &[Label], name: &[u8]) -> Option<Member> {
    for (index, label) in labels.iter().enumerate().skip(1) {
        if label.id.as_bytes() == name {
            return Some(Member::Id(index as u8));
        }
        if label.name.as_bytes() == name {
            return Some(Member::Name(index as u8));
        }
    }
    None
}

impl Sink for IdSink<'_> {
    /// Returns the member of any label with this name. A label that is not active matches too, because the next body of
    /// the layer, which may have other active labels, gets the templates with the result.
    #[inline(always)]
    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<Member> {
        let Objects { rules, member_lengths, unescaped, .. } = &mut *self.objects;
        let name = if has_escapes { unescape(raw, unescaped)? } else { raw };
        if name == KEY_ID.as_bytes() {
            Some(Member::Id(KEY_LABEL))
        } else if name == KEY_NAME.as_bytes() {
            Some(Member::Name(KEY_LABEL))
        } else if *member_lengths & length_bit(name.len()) != 0 {
            match_other_label(rules.labels.list(), name)
        } else {
            None
        }
    }

    /// Counts the member in its object. The first id or name of a label adds the label to the open ones.
    #[inline(always)]
    fn member_start(&mut self, member: Member, depth: usize) {
        let objects = &mut *self.objects;
        if !objects.is_used(member) {
            objects.started = None;
            return;
        }
        let (Member::Id(label) | Member::Name(label)) = member;
        let known_index = objects.open_index(depth, label);
        let open_index = known_index.unwrap_or_else(|| objects.open_label(depth, label));
        let open = &mut objects.open[open_index];
        let count = match member {
            Member::Id(_) => &mut open.id_count,
            Member::Name(_) => &mut open.name_count,
        };
        *count = count.saturating_add(1);
        objects.started = Some(OpenValue { member, depth, open_index, prefix: Prefix::NONE });
    }

    /// Finds the prefix for the name of an id, or queues the edit of a replaced value, whose length is not known yet.
    ///
    /// The edit of a replaced value is queued before the edits inside of the value, which come later in the body.
    #[inline(always)]
    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>) {
        let objects = &mut *self.objects;
        let Some(mut started) = objects.started.take() else { return };
        let open = &objects.open[started.open_index];
        let is_replaced = match started.member {
            Member::Id(label) if objects.rules.position == NamePosition::Beside => {
                started.prefix = objects.edits.prefixes.find_or_add(label, white_space);
                false
            }
            Member::Id(_) => open.id_count == 1,
            Member::Name(_) => open.name_count == 1,
        };
        if is_replaced {
            let value = NewValue::Unchanged;
            let edit = Edit { at, replaced: 0, prefix: Prefix::NONE, value, result: None };
            objects.push(edit, started.member, started.open_index);
        }
        objects.values.push(started);
    }

    #[inline(always)]
    fn is_value_awaited(&self, depth: usize) -> bool {
        self.objects.values.last().is_some_and(|value| value.depth == depth)
    }

    /// Queues the edit of an id, or sets the length of a replaced value. Duplicates have no edits.
    #[inline(always)]
    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        let Some(ended) = self.objects.values.pop() else { return };
        let open = &self.objects.open[ended.open_index];
        match ended.member {
            Member::Id(label) if open.id_count == 1 => self.end_id(label, at, &ended, value),
            Member::Name(_) if open.name_count == 1 => {
                let name_edit = open.name_edit;
                if let Some(edit) = self.objects.edits.unsettled(name_edit) {
                    edit.replaced = at - edit.at;
                }
                self.keep_native_name(value, ended.open_index);
            }
            _ => {}
        }
    }

    /// Receives a whole member. In most rows it is the first of its label in the object, and an id with a name: then its
    /// edit is queued in one step.
    #[inline(always)]
    fn whole_member(
        &mut self,
        member: Member,
        depth: usize,
        at: Range<u64>,
        white_space: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        let objects = &mut *self.objects;
        if let Member::Id(label) = member
            && let MemberValue::String { raw: id, has_escapes: false } = value
            && let Some(section) = objects.insertion_section(label)
            && objects.open_index(depth, label).is_none()
            && let Some(entry) = self.names.entries.find(section, id)
        {
            let prefix = objects.edits.prefixes.find_or_add(label, white_space);
            let value = NewValue::Name(entry);
            let result = Some(IdResult::Named);
            let edit = Edit { at: at.end, replaced: 0, prefix, value, result };
            let number = objects.edits.push(edit);
            objects.open.push(OpenLabel {
                id_count: 1,
                id_edit: Some(number),
                first_edit: Some(number),
                first_edit_at: at.end,
                ..OpenLabel::new(depth, label, &objects.native_names)
            });
            return;
        }
        self.add_unusual_member(member, depth, at, white_space, value);
    }

    #[inline(always)]
    fn object_end(&mut self, at: u64, depth: usize) {
        if self.objects.open.last().is_some_and(|open| usize::from(open.depth) == depth) {
            self.objects.decide(at, depth, self.names);
        }
    }
}
