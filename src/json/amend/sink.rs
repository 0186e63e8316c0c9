//! The sink of the scanner: finds the ids, looks them up and queues their edits.

use std::ops::Range;

use super::edits::{Edit, NewValue};
use super::objects::{Objects, OpenObject};
use super::prefixes::Prefix;
use crate::KeyNames;
use crate::json::counts::IdResult;
use crate::json::scan::{Member, MemberValue, Sink, WhiteSpace};
use crate::json::text::unescape;
use crate::names::KEYS;
use crate::names::{KEY_ID as ID, KEY_NAME as NAME};

/// The most bytes of native names that are kept for the comparison with the map. A further native name is replaced
/// even if it is the same.
const MAX_NATIVE_NAMES: usize = 8 * 1024;

/// The amender's state and the map, while a chunk is scanned.
pub(super) struct IdSink<'a> {
    pub(super) objects: &'a mut Objects,
    pub(super) names: &'a KeyNames,
}

impl IdSink<'_> {
    /// Returns the value to insert beside an id that ends before `at`. Adds an id without a name to the unmatched ids.
    #[inline(never)]
    fn look_up(&mut self, at: u64, value: MemberValue<'_>) -> (NewValue, IdResult) {
        let Objects { rules, unescaped, unmatched, .. } = &mut *self.objects;
        let id = match value {
            MemberValue::Other if rules.null_as_unmatched => {
                return (rules.unmatched.into(), IdResult::NotAString);
            }
            MemberValue::Other => return (NewValue::Null, IdResult::NotAString),
            MemberValue::LongString => None,
            MemberValue::String { raw, has_escapes: false } => Some(raw),
            MemberValue::String { raw, has_escapes: true } => unescape(raw, unescaped),
        };
        if let Some(id) = id {
            if let Some(entry) = self.names.entries.find(KEYS, id) {
                return (NewValue::Name(entry), IdResult::Named);
            }
            unmatched.add(at, id);
        }
        (rules.unmatched.into(), IdResult::Unmatched)
    }

    /// Keeps a native name for the comparison with the map, unless it is not a string or is too long.
    fn keep_native_name(&mut self, value: MemberValue<'_>) {
        let Objects { open, native_names, .. } = &mut *self.objects;
        let Some(object) = open.last_mut() else { return };
        let MemberValue::String { raw, .. } = value else { return };
        let has_room = native_names.len() + raw.len() <= MAX_NATIVE_NAMES;
        if has_room && raw.len() <= 2 * KeyNames::MAX_LEN {
            object.native_name_start = Some(native_names.len());
            native_names.extend_from_slice(raw);
        }
    }
}

impl Sink for IdSink<'_> {
    /// Returns the member with this name, or `None` if it is neither the id nor the name.
    #[inline(always)]
    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<Member> {
        let name = if has_escapes { unescape(raw, &mut self.objects.unescaped)? } else { raw };
        if name == ID.as_bytes() {
            Some(Member::Id)
        } else if name == NAME.as_bytes() {
            Some(Member::Name)
        } else {
            None
        }
    }

    /// Counts the member in its object. The first id or name of an object adds the object to the open ones.
    #[inline(always)]
    fn member_start(&mut self, member: Member, depth: usize) {
        let Objects { open, awaited, .. } = &mut *self.objects;
        if open.last().is_none_or(|object| object.depth != depth) {
            open.push(OpenObject { depth, outer_awaited: *awaited, ..OpenObject::default() });
        }
        if let Some(object) = open.last_mut() {
            let count = match member {
                Member::Id => &mut object.id_count,
                Member::Name => &mut object.name_count,
            };
            *count = count.saturating_add(1);
            object.current = Some(member);
        }
    }

    /// Finds the prefix for the name of an id, or queues the edit of a native name, whose length is not known yet.
    #[inline(always)]
    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>) {
        let objects = &mut *self.objects;
        let Some(object) = objects.open.last_mut() else { return };
        objects.awaited = Some(object.depth);
        match object.current {
            Some(Member::Id) => object.prefix = objects.edits.prefixes.find_or_add(white_space),
            // The edit is queued before the edits inside of the value, which come later in the body.
            Some(Member::Name) if object.name_count == 1 => {
                let value = NewValue::Unchanged;
                let edit = Edit { at, replaced: 0, prefix: Prefix::NONE, value, result: None };
                objects.push(edit, Member::Name);
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn is_value_awaited(&self, depth: usize) -> bool {
        self.objects.awaited == Some(depth)
    }

    /// Queues the edit of an id, or sets the length of a native name. Duplicates have no edits.
    #[inline(always)]
    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        let Some(object) = self.objects.open.last_mut() else { return };
        self.objects.awaited = object.outer_awaited;
        match object.current.take() {
            Some(Member::Id) if object.id_count == 1 => {
                let prefix = object.prefix;
                let is_skipped = object.is_skipped;
                let (new_value, result) = self.look_up(at, value);
                let mut edit = Edit { at, replaced: 0, prefix, value: new_value, result: Some(result) };
                if is_skipped {
                    edit.value = NewValue::Unchanged;
                    edit.result = Some(IdResult::Skipped);
                }
                self.objects.push(edit, Member::Id);
            }
            Some(Member::Name) if object.name_count == 1 => {
                let name_edit = object.name_edit;
                if let Some(edit) = self.objects.edits.unsettled(name_edit) {
                    edit.replaced = at - edit.at;
                }
                self.keep_native_name(value);
            }
            _ => {}
        }
    }

    /// Receives a whole member. In most rows it is the first relevant one of its object, and an id with a name: then its
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
        let Objects { edits, open, awaited, .. } = &mut *self.objects;
        if member == Member::Id
            && open.last().is_none_or(|object| object.depth != depth)
            && let MemberValue::String { raw: id, has_escapes: false } = value
            && let Some(entry) = self.names.entries.find(KEYS, id)
        {
            let prefix = edits.prefixes.find_or_add(white_space);
            let value = NewValue::Name(entry);
            let result = Some(IdResult::Named);
            let number = edits.push(Edit { at: at.end, replaced: 0, prefix, value, result });
            open.push(OpenObject {
                depth,
                id_count: 1,
                id_edit: Some(number),
                first_edit: Some((at.end, number)),
                outer_awaited: *awaited,
                ..OpenObject::default()
            });
            return;
        }
        self.member_start(member, depth);
        self.value_start(at.start, white_space);
        self.value_end(at.end, value);
    }

    #[inline(always)]
    fn object_end(&mut self, at: u64, depth: usize) {
        if self.objects.open.last().is_some_and(|object| object.depth == depth) {
            self.objects.decide(at, self.names);
        }
    }
}
