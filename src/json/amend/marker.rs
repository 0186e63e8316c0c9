//! Who listens to the scanner: it marks what may change, looks ids up, and decides each object at its end.

use std::ops::Range;

use super::marks::{Marks, Open, Seen, give_up, overdue};
use crate::KeyNames;
use crate::json::edit::{Edit, Edits, Lead, Tally, Text};
use crate::json::scan::{Member, MemberValue, Sink, WhiteSpace};
use crate::json::text::unescape;

/// The most that is kept of native names, to be compared. One beyond it is replaced by itself, if it is right.
const MAX_NATIVES: usize = 8 * 1024;

/// The sink: the marks, and the map to look ids up in.
pub(super) struct Marker<'a> {
    pub(super) marks: &'a mut Marks,
    pub(super) names: &'a KeyNames,
}

impl Marker<'_> {
    /// What stands beside an id, and how it counts.
    #[inline(always)]
    fn look_up(&mut self, at: u64, value: MemberValue<'_>) -> (Text, Tally) {
        // What by far the most are.
        if let MemberValue::String { raw: id, has_escapes: false } = value
            && let Some(found) = self.names.find(id)
        {
            return (Text::Name(found), Tally::Named);
        }
        self.look_closer(at, value)
    }

    /// The same, whatever it is but an id that stands in the map as it stands here.
    #[inline(never)]
    fn look_closer(&mut self, at: u64, value: MemberValue<'_>) -> (Text, Tally) {
        let Marks { rules, unescaped, unmatched, .. } = &mut *self.marks;
        let id = match value {
            MemberValue::Other if rules.null_as_unmatched => return (rules.unmatched.text(), Tally::Null),
            MemberValue::Other => return (Text::Null, Tally::Null),
            MemberValue::LongString => None,
            MemberValue::String { raw, has_escapes: false } => Some(raw),
            MemberValue::String { raw, has_escapes: true } => unescape(raw, unescaped),
        };
        if let Some(id) = id {
            if matches!(value, MemberValue::String { has_escapes: true, .. })
                && let Some(found) = self.names.find(id)
            {
                return (Text::Name(found), Tally::Named);
            }
            unmatched.add(at, id);
        }
        (rules.unmatched.text(), Tally::Unmatched)
    }
}

impl Sink for Marker<'_> {
    #[inline(always)]
    fn match_member(&mut self, raw: &[u8], escaped: bool) -> Option<Member> {
        let members = self.marks.rules.members;
        let text = if escaped { unescape(raw, &mut self.marks.unescaped)? } else { raw };
        match text {
            text if text == members.id().as_bytes() => Some(Member::Id),
            text if text == members.name().as_bytes() => Some(Member::Name),
            _ => None,
        }
    }

    #[inline(always)]
    fn member_start(&mut self, member: Member, depth: usize) {
        let Marks { open, awaited, .. } = self.marks;
        if open.last().is_none_or(|object| object.depth != depth) {
            open.push(Open::new(depth, *awaited));
        }
        if let Some(object) = open.last_mut() {
            let seen = match member {
                Member::Id => &mut object.id,
                Member::Name => &mut object.name,
            };
            *seen = seen.again();
            object.reading = Some(member);
        }
    }

    #[inline(always)]
    fn value_start(&mut self, at: u64, gaps: WhiteSpace<'_>) {
        let marks = &mut *self.marks;
        let Some(object) = marks.open.last_mut() else { return };
        marks.awaited = Some(object.depth);
        match object.reading {
            Some(Member::Id) => object.lead = marks.edits.lead(gaps),
            Some(Member::Name) if object.name == Seen::Once => {
                let edit = Edit { at, cut: 0, lead: Lead::NONE, text: Text::Nothing, tally: Tally::Nothing };
                marks.push(edit, Member::Name);
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn is_value_awaited(&self, depth: usize) -> bool {
        self.marks.awaited == Some(depth)
    }

    #[inline(always)]
    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        let Some(object) = self.marks.open.last_mut() else { return };
        self.marks.awaited = object.outer;
        match object.reading.take() {
            Some(Member::Id) if object.id == Seen::Once => {
                let (lead, given_up) = (object.lead, object.given_up);
                let (text, tally) = self.look_up(at, value);
                let (text, tally) = if given_up { (Text::Nothing, Tally::Left) } else { (text, tally) };
                self.marks.push(Edit { at, cut: 0, lead, text, tally }, Member::Id);
            }
            Some(Member::Name) if object.name == Seen::Once => {
                if let Some(edit) = object.name_edit.and_then(|which| self.marks.edits.unsettled(which)) {
                    edit.cut = at - edit.at;
                }
                if let MemberValue::String { raw, .. } = value
                    && raw.len() <= 2 * KeyNames::MAX_NAME
                    && self.marks.natives.len() + raw.len() <= MAX_NATIVES
                {
                    object.native = Some(self.marks.natives.len());
                    self.marks.natives.extend_from_slice(raw);
                }
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn whole_member(
        &mut self,
        member: Member,
        depth: usize,
        at: Range<u64>,
        gaps: WhiteSpace<'_>,
        value: MemberValue<'_>,
    ) {
        let is_first = self.marks.open.last().is_none_or(|object| object.depth != depth);
        if member == Member::Name || !is_first {
            self.member_start(member, depth);
            self.value_start(at.start, gaps);
            self.value_end(at.end, value);
            return;
        }
        // The same in one go, for what is by far the most frequent.
        let (at, lead) = (at.end, self.marks.edits.lead(gaps));
        let (text, tally) = self.look_up(at, value);
        let Marks { edits, open, awaited, .. } = &mut *self.marks;
        let which = edits.push(Edit { at, cut: 0, lead, text, tally });
        let (id_edit, first) = (Some(which), Some((at, which)));
        open.push(Open { id: Seen::Once, id_edit, first, ..Open::new(depth, *awaited) });
    }

    #[inline(always)]
    fn object_end(&mut self, at: u64, depth: usize) {
        if self.marks.open.last().is_some_and(|object| object.depth == depth) {
            self.decide(at);
        }
    }
}

impl Marker<'_> {
    /// Decides the innermost object, which ends before `at`.
    #[inline(always)]
    fn decide(&mut self, at: u64) {
        let Marks { rules, edits, open, passed, .. } = &mut *self.marks;
        let Some(object) = open.last() else { return };
        // What by far the most are: an id, and nothing beside it.
        let is_clear = object.id == Seen::Once && object.name == Seen::Never;
        if !is_clear || overdue(object, at, edits, rules) {
            self.weigh(at);
            return;
        }
        open.pop();
        *passed = (*passed).min(open.len());
    }

    /// The same, whatever it holds.
    #[inline(never)]
    fn weigh(&mut self, at: u64) {
        let Marks { rules, edits, open, natives, passed, .. } = &mut *self.marks;
        let Some(object) = open.last_mut() else { return };
        let is_unclear = object.id == Seen::Twice || object.id == Seen::Once && object.name == Seen::Twice;
        if !object.given_up && (is_unclear || overdue(object, at, edits, rules)) {
            give_up(object, edits);
        }
        if !object.given_up && object.name != Seen::Never {
            replace(object, natives, edits, self.names);
        }
        if let Some(from) = object.native {
            natives.truncate(from);
        }
        open.pop();
        *passed = (*passed).min(open.len());
    }
}

/// A native name stands beside the id: nothing is inserted. Its value is replaced by what the map says, unless
/// that says the same.
fn replace(object: &Open, natives: &[u8], edits: &mut Edits, names: &KeyNames) {
    let Some(id_edit) = object.id_edit.and_then(|which| edits.unsettled(which)) else { return };
    let text = std::mem::take(&mut id_edit.text);
    let Text::Name(found) = text else { return };
    let name = names.json(found);
    let same = object.native.is_some_and(|from| natives[from..] == name[1..name.len() - 1]);
    if let Some(name_edit) = object.name_edit.and_then(|which| edits.unsettled(which))
        && !same
    {
        name_edit.text = text;
    }
}
