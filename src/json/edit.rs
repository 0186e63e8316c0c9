//! Edits: what to insert or replace, in the order of the bytes they stand in.

use super::scan::Gaps;
use super::text::MAX_NAME;
use crate::KeyNames;
use crate::names::EntryRef;

/// What became of an id; each member that is an id leaves exactly one in its object's edits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tally {
    #[default]
    Nothing,
    Named,
    Unmatched,
    Null,
    Left,
}

/// The value that an edit writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// The edit changes nothing: it only counts.
    #[default]
    Nothing,
    /// The name of an entry of the map.
    Name(EntryRef),
    Unknown,
    Null,
}

const UNKNOWN: &[u8] = b"\"unknown\"";
const NULL: &[u8] = b"null";

impl Text {
    #[inline]
    fn json(self, names: &KeyNames) -> &[u8] {
        match self {
            Text::Nothing => b"",
            Text::Name(found) => names.json(found),
            Text::Unknown => UNKNOWN,
            Text::Null => NULL,
        }
    }

    #[inline]
    fn len(self) -> usize {
        match self {
            Text::Nothing => 0,
            Text::Name(found) => found.json_len(),
            Text::Unknown => UNKNOWN.len(),
            Text::Null => NULL.len(),
        }
    }
}

/// At offset `at` of the body, `cut` bytes make way for a lead and a text.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    pub at: u64,
    pub cut: u64,
    pub lead: Lead,
    pub text: Text,
    pub tally: Tally,
}

/// What an edit takes of memory, with the room that its queue keeps for more.
pub const WEIGHT: u64 = size_of::<Edit>() as u64 * 5 / 4;

/// What stands before an inserted value: comma, name and colon with their white space; see [`Leads`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead(u8);

impl Lead {
    /// Nothing: the edit replaces a value.
    pub const NONE: Lead = Lead(0);
    /// No white space.
    const COMPACT: Lead = Lead(1);
    /// The first of [`Leads::known`].
    const OTHERS: u8 = 2;
}

/// How many different leads with white space one body may have. One that is formatted by a program has a handful,
/// one for each depth; beyond this many, a member is inserted without white space.
const MAX_LEADS: usize = 62;

/// The leads of one body.
#[derive(Clone, Debug)]
struct Leads {
    name: &'static str,
    /// The one without white space: its text, and how long that is.
    compact: ([u8; MAX_NAME + 4], usize),
    /// The others.
    known: Vec<Box<[u8]>>,
    /// Where the next one is put together.
    next: Vec<u8>,
}

impl Leads {
    fn new(name: &'static str) -> Self {
        let (mut text, mut len) = ([0; MAX_NAME + 4], 0);
        for part in [",\"", name, "\":"] {
            text[len..len + part.len()].copy_from_slice(part.as_bytes());
            len += part.len();
        }
        Self { name, compact: (text, len), known: Vec::new(), next: Vec::new() }
    }

    fn find_or_add(&mut self, gaps: Gaps<'_>) -> Lead {
        self.next.clear();
        for part in [b",", gaps[0], b"\"", self.name.as_bytes(), b"\"", gaps[1], b":", gaps[2]] {
            self.next.extend_from_slice(part);
        }
        // The newest first: a row's white space is that of the row before.
        if let Some(nth) = self.known.iter().rposition(|lead| **lead == *self.next) {
            return Lead(Lead::OTHERS + nth as u8);
        }
        if self.known.len() == MAX_LEADS {
            return Lead::COMPACT;
        }
        self.known.push(self.next.as_slice().into());
        Lead(Lead::OTHERS + self.known.len() as u8 - 1)
    }

    fn bytes(&self, lead: Lead) -> &[u8] {
        match lead {
            Lead::NONE => b"",
            Lead::COMPACT => &self.compact.0[..self.compact.1],
            Lead(other) => &self.known[usize::from(other - Lead::OTHERS)],
        }
    }
}

/// The edits of one body that are not written yet, each known by how many came before it.
#[derive(Clone, Debug)]
pub struct Edits {
    /// Those that were written last, then the others.
    edits: Vec<Edit>,
    /// How many came before the first of `edits`.
    before: u64,
    leads: Leads,
    /// How many were written.
    written: u64,
    /// How many are settled.
    settled: u64,
    /// By how much those that are settled and not written make the body longer; the sum wraps.
    growth: u64,
    /// Up to where the last settled replacement reaches; edits before it went with what it cut.
    cut_to: u64,
}

impl Edits {
    /// No edits yet, for a body in which members called `name` are inserted.
    pub fn new(name: &'static str) -> Self {
        Self {
            edits: Vec::new(),
            before: 0,
            leads: Leads::new(name),
            written: 0,
            settled: 0,
            growth: 0,
            cut_to: 0,
        }
    }

    #[inline(always)]
    pub fn lead(&mut self, gaps: Gaps<'_>) -> Lead {
        if gaps.iter().all(|gap| gap.is_empty()) {
            return Lead::COMPACT;
        }
        self.leads.find_or_add(gaps)
    }

    /// Adds an edit behind all others and says which one it is.
    #[inline(always)]
    pub fn push(&mut self, edit: Edit) -> u64 {
        if self.edits.len() == self.edits.capacity() {
            self.make_room();
        }
        self.edits.push(edit);
        self.pushed() - 1
    }

    #[cold]
    fn make_room(&mut self) {
        let written = self.index(self.written);
        if written > self.edits.len() / 2 {
            self.edits.drain(..written);
            self.before = self.written;
        } else {
            // By a quarter, not twofold: see `WEIGHT`. Most pages have few rows.
            let more = if self.edits.is_empty() { 24 } else { self.edits.len() / 4 + 64 };
            self.edits.reserve_exact(more);
        }
    }

    /// Where an edit is that was not written.
    #[inline(always)]
    fn index(&self, which: u64) -> usize {
        (which - self.before) as usize
    }

    /// How many edits were pushed so far.
    pub fn pushed(&self) -> u64 {
        self.before + self.edits.len() as u64
    }

    /// How many of them were not written.
    pub fn waiting(&self) -> u64 {
        self.pushed() - self.written
    }

    /// The memory that the queue takes.
    #[cfg(test)]
    pub fn weight(&self) -> usize {
        self.edits.capacity() * size_of::<Edit>()
    }

    /// An edit that is not settled yet.
    pub fn unsettled(&mut self, which: u64) -> Option<&mut Edit> {
        which.checked_sub(self.settled)?;
        let index = self.index(which);
        self.edits.get_mut(index)
    }

    /// Settles all edits before `offset`, and tells of each.
    pub fn settle(&mut self, offset: u64, mut tell: impl FnMut(&Settled)) {
        let from = self.index(self.settled);
        let Self { edits, leads, settled, growth, cut_to, .. } = self;
        let (mut many, mut more, mut behind) = (0, *growth, *cut_to);
        for edit in edits[from..].iter_mut().take_while(|edit| edit.at < offset) {
            many += 1;
            if edit.at < behind {
                edit.text = Text::Nothing;
                continue;
            }
            if edit.text != Text::Nothing {
                behind = edit.at + edit.cut;
                let put = leads.bytes(edit.lead).len() + edit.text.len();
                more = more.wrapping_add(put as u64).wrapping_sub(edit.cut);
            }
            tell(&Settled { at: edit.at, tally: edit.tally, text: edit.text });
        }
        (*settled, *growth, *cut_to) = (*settled + many, more, behind);
    }

    /// How long `len` bytes become that hold all settled edits that are not written.
    pub fn grown(&self, len: u64) -> u64 {
        len.wrapping_add(self.growth)
    }

    /// Forgets all edits that were not written.
    pub fn clear(&mut self) {
        self.edits.truncate(self.index(self.written));
        self.settled = self.written;
        self.growth = 0;
    }

    /// Where the next settled edit is that changes something.
    pub fn next(&mut self) -> Option<u64> {
        let idle = self.due().iter().take_while(|edit| edit.text == Text::Nothing).count();
        self.wrote(idle, 0);
        self.due().first().map(|edit| edit.at)
    }

    /// Those that are settled and not written.
    #[inline(always)]
    fn due(&self) -> &[Edit] {
        &self.edits[self.index(self.written)..self.index(self.settled)]
    }

    /// The settled edits from the next on. One that changes nothing has no text.
    #[inline(always)]
    pub fn ready<'a>(&'a self, names: &'a KeyNames) -> impl Iterator<Item = Splice<'a>> {
        self.due().iter().map(|edit| {
            let (lead, text) = (self.leads.bytes(edit.lead), edit.text.json(names));
            debug_assert_eq!(text.len(), edit.text.len(), "the length that was told");
            Splice { at: edit.at, cut: edit.cut, lead, text }
        })
    }

    /// Says that so many of the next edits were written, which made the body longer by `growth`; that wraps.
    pub fn wrote(&mut self, many: usize, growth: u64) {
        self.growth = self.growth.wrapping_sub(growth);
        self.written += many as u64;
        if self.written == self.pushed() {
            self.edits.clear();
            self.before = self.written;
        }
    }
}

/// What an edit comes to, once it is settled.
pub struct Settled {
    // Asked by the log only.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code))]
    pub at: u64,
    pub tally: Tally,
    pub text: Text,
}

/// A settled edit, as it is to be written.
pub struct Splice<'a> {
    pub at: u64,
    pub cut: u64,
    pub lead: &'a [u8],
    pub text: &'a [u8],
}
