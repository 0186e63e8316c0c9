//! The amender: fed a body chunk after chunk, it says which bytes to insert or replace, and how far the
//! output is settled.
//!
//! Two members matter to it: an id and the name that stands beside it. An object that holds either is
//! undecided until its closing brace, for the other may stand on either side; until then nothing from the
//! first byte that may change is settled. An object that stays undecided for more than the window is left
//! as it came, so that what waits for a decision is bounded. All of that hangs on offsets alone: where a
//! chunk ends makes no difference.

mod unknowns;

use std::ops::Range;

#[cfg(test)]
pub(crate) use self::unknowns::MAX_UNMATCHED;
use self::unknowns::Unknowns;
use super::edit::{Edit, Edits, Lead, Settled, Splice, Tally, Text, WEIGHT};
use super::rules::Rules;
use super::scan::{Fault, Gaps, Learnt, Member, Scanner, Sink, Value};
use super::text::unescape;
use crate::KeyNames;

/// How much the edits that wait may weigh before they count as bytes do. An edit is 40 bytes, a row of compact
/// completions 355: of a page that is held, those count if it is made for it, or almost 2 MiB long.
const FREE: u64 = 224 * 1024;

/// As how many bytes so many edits count, where they wait with those of their body.
pub(crate) fn surcharge(edits: u64) -> u64 {
    (edits * WEIGHT).saturating_sub(FREE)
}

/// The most that is kept of native names, to be compared. One beyond it is replaced by itself, if it is right.
const MAX_NATIVES: usize = 8 * 1024;

/// How often a member was seen in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Never,
    Once,
    Twice,
}

impl Seen {
    fn again(self) -> Self {
        if self == Seen::Never { Seen::Once } else { Seen::Twice }
    }
}

/// An open object that holds either member.
#[derive(Debug)]
struct Open {
    depth: usize,
    id: Seen,
    name: Seen,
    /// The member whose value is being read.
    reading: Option<Member>,
    /// Where the first byte is that may change, and how many edits came before it.
    first: Option<(u64, u64)>,
    id_edit: Option<u64>,
    name_edit: Option<u64>,
    /// The white space of the id, while its value is being read.
    lead: Lead,
    /// The depth that was awaited when it was opened.
    outer: Option<usize>,
    /// Where in `natives` the value of a native name begins, where it is a string that could be a name.
    native: Option<usize>,
    /// It was undecided for longer than the window.
    given_up: bool,
}

impl Open {
    fn new(depth: usize, outer: Option<usize>) -> Self {
        Self {
            depth,
            outer,
            id: Seen::Never,
            name: Seen::Never,
            reading: None,
            first: None,
            id_edit: None,
            name_edit: None,
            lead: Lead::NONE,
            native: None,
            given_up: false,
        }
    }
}

/// See the module's own words.
pub(crate) struct Amender {
    scanner: Scanner,
    marks: Marks,
    fault: Option<Fault>,
    settled: u64,
}

impl Amender {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            scanner: Scanner::new(),
            marks: Marks {
                rules,
                edits: Edits::new(rules.members.name()),
                open: Vec::new(),
                passed: 0,
                natives: Vec::new(),
                awaited: None,
                unescaped: Vec::new(),
                unmatched: Unknowns::default(),
            },
            fault: None,
            settled: 0,
        }
    }

    /// Begins with what an earlier body taught of the form of such bodies.
    pub(crate) fn recall(&mut self, learnt: &Learnt) {
        self.scanner.recall(learnt);
    }

    /// Leaves to the next body what this one taught, if it was JSON to its end.
    pub(crate) fn teach(&mut self, learnt: &Learnt) {
        if self.fault.is_none() {
            self.scanner.teach(learnt);
        }
    }

    /// Takes the next chunk. After a fault it takes no more: what follows passes as it came.
    pub(crate) fn feed(&mut self, chunk: &[u8], names: &KeyNames) {
        if self.fault.is_none() {
            let result = self.scanner.feed(chunk, &mut Marker { marks: &mut self.marks, names });
            self.fault = result.err();
        }
    }

    /// Says that the body is at its end.
    pub(crate) fn finish(&mut self) {
        if self.fault.is_none() {
            self.fault = self.scanner.finish().err();
        }
    }

    /// Says that the body breaks off here: what is not settled stays as it came.
    pub(crate) fn cut_off(&mut self) {
        self.fault.get_or_insert(Fault::NotJson { offset: self.scanner.scanned() });
    }

    /// Why the body is not to be amended, from some byte on.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Bytes scanned so far; no more after a fault.
    pub(crate) fn scanned(&self) -> u64 {
        self.scanner.scanned()
    }

    /// As how many bytes the edits count that were not written, unsettled ones too.
    pub(crate) fn surcharge(&self) -> u64 {
        surcharge(self.marks.edits.waiting())
    }

    /// Settles what can no longer change and tells of each edit in it. The output is settled up to
    /// [`settled`](Self::settled); after a fault all of it is.
    pub(crate) fn settle(&mut self, names: &KeyNames, tell: impl FnMut(&Settled)) {
        if self.settled == u64::MAX {
            return;
        }
        let scanned = self.fault.map_or(self.scanner.scanned(), Fault::offset);
        self.settled = self.marks.first_undecided(scanned);
        self.marks.edits.settle(self.settled, names, tell);
        if self.fault.is_some() {
            self.settled = u64::MAX;
        }
    }

    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Leaves the whole body as it came.
    pub(crate) fn abandon(&mut self) {
        self.marks.edits.clear();
        self.settled = u64::MAX;
    }

    /// Where the next settled edit is.
    pub(crate) fn next(&mut self) -> Option<u64> {
        self.marks.edits.next()
    }

    /// The settled edits, from the next on.
    #[inline(always)]
    pub(crate) fn ready<'a>(&'a self, names: &'a KeyNames) -> impl Iterator<Item = Splice<'a>> {
        self.marks.edits.ready(names)
    }

    /// Says that the next edits were written, up to the `nth`, which made the body longer by `growth`; that wraps.
    pub(crate) fn wrote(&mut self, nth: u64, growth: u64) {
        self.marks.edits.wrote(nth, growth);
    }

    /// How long `len` unsent bytes become, which hold all that is settled.
    pub(crate) fn grown(&self, len: u64) -> u64 {
        self.marks.edits.grown(len)
    }

    /// The ids found since the last call that the map does not know, each once in a body and no more than
    /// `MAX_UNMATCHED` of them, with the offset after each.
    pub(crate) fn take_unmatched(&mut self) -> &[(u64, Box<str>)] {
        self.marks.unmatched.take()
    }
}

/// What was seen of the members so far.
struct Marks {
    rules: Rules,
    edits: Edits,
    /// The open objects that hold either member, outermost first.
    open: Vec<Open>,
    /// How many of them, outermost first, hold nothing back: they were given up, or nothing in them may change yet.
    passed: usize,
    /// The raw values of native names in them.
    natives: Vec<u8>,
    /// The depth of the innermost object of which a member's value is being read.
    awaited: Option<usize>,
    unescaped: Vec<u8>,
    unmatched: Unknowns,
}

impl Marks {
    /// Where the first byte is that may still change, given that `scanned` bytes are known. Gives up
    /// objects that have been undecided for too long.
    fn first_undecided(&mut self, scanned: u64) -> u64 {
        let Self { rules, edits, open, passed, .. } = self;
        // An object in another has less that waits, and began to wait later: what changes in the outer one only
        // then is found behind the inner one's end.
        while let Some(object) = open.get_mut(*passed) {
            if let (Some((at, _)), false) = (object.first, object.given_up) {
                if !overdue(object, scanned, edits, rules) {
                    return at;
                }
                give_up(object, edits);
            }
            *passed += 1;
        }
        scanned
    }

    #[inline(always)]
    fn push(&mut self, edit: Edit, member: Member) {
        let inside = self.open.len().saturating_sub(1);
        let Some(object) = self.open.last_mut() else { return };
        let which = self.edits.push(edit);
        object.first.get_or_insert((edit.at, which));
        self.passed = self.passed.min(inside);
        match member {
            Member::Id => object.id_edit = Some(which),
            Member::Name => object.name_edit = Some(which),
        }
    }
}

/// Whether an object has been undecided for too long, `scanned` bytes being known.
fn overdue(object: &Open, scanned: u64, edits: &Edits, rules: &Rules) -> bool {
    object.first.is_some_and(|(at, before)| scanned - at + surcharge(edits.pushed() - before) > rules.window)
}

/// Leaves an object as it came. Its edits may already be settled, which they are only where this was
/// done before.
fn give_up(object: &mut Open, edits: &mut Edits) {
    object.given_up = true;
    for (which, tally) in [(object.id_edit, Tally::Left), (object.name_edit, Tally::Nothing)] {
        if let Some(edit) = which.and_then(|which| edits.unsettled(which)) {
            (edit.text, edit.tally) = (Text::Nothing, tally);
        }
    }
}

/// The sink: the marks, and the map to look ids up in.
struct Marker<'a> {
    marks: &'a mut Marks,
    names: &'a KeyNames,
}

impl Marker<'_> {
    /// What stands beside an id, and how it counts.
    fn look_up(&mut self, at: u64, value: Value<'_>) -> (Text, Tally) {
        let rules = &self.marks.rules;
        let id = match value {
            Value::Other if rules.null_as_unmatched => return (rules.unmatched.text(), Tally::Null),
            Value::Other => return (Text::Null, Tally::Null),
            Value::LongText => None,
            Value::Text(raw, false) => Some(raw),
            Value::Text(raw, true) => unescape(raw, &mut self.marks.unescaped),
        };
        if let Some(id) = id {
            if let Some(entry) = self.names.find(id) {
                return (Text::Name(entry), Tally::Named);
            }
            self.marks.unmatched.add(at, id);
        }
        (rules.unmatched.text(), Tally::Unmatched)
    }
}

impl Sink for Marker<'_> {
    #[inline(always)]
    fn hint(&self) -> (u32, u8) {
        self.marks.rules.members.hint()
    }

    #[inline(always)]
    fn watches(&self) -> bool {
        !self.marks.open.is_empty()
    }

    #[inline(always)]
    fn wants(&mut self, raw: &[u8], escaped: bool) -> Option<Member> {
        let members = self.marks.rules.members;
        let text = if escaped { unescape(raw, &mut self.marks.unescaped)? } else { raw };
        match text {
            text if text == members.id().as_bytes() => Some(Member::Id),
            text if text == members.name().as_bytes() => Some(Member::Name),
            _ => None,
        }
    }

    #[inline(always)]
    fn found(&mut self, member: Member, depth: usize) {
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
    fn begin(&mut self, at: u64, gaps: Gaps<'_>) {
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
    fn awaits(&self, depth: usize) -> bool {
        self.marks.awaited == Some(depth)
    }

    #[inline(always)]
    fn end(&mut self, at: u64, value: Value<'_>) {
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
                if let Value::Text(raw, _) = value
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
    fn whole(&mut self, member: Member, depth: usize, at: Range<u64>, gaps: Gaps<'_>, value: Value<'_>) {
        let is_first = self.marks.open.last().is_none_or(|object| object.depth != depth);
        if member == Member::Name || !is_first {
            self.found(member, depth);
            self.begin(at.start, gaps);
            self.end(at.end, value);
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
    fn close(&mut self, at: u64, depth: usize) {
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
    let Text::Name(entry) = text else { return };
    let name = names.json(entry);
    let same = object.native.is_some_and(|from| natives[from..] == name[1..name.len() - 1]);
    if let Some(name_edit) = object.name_edit.and_then(|which| edits.unsettled(which))
        && !same
    {
        name_edit.text = text;
    }
}
