//! What was seen of the members so far: open objects, and the edits that they may come to.

use super::unknowns::Unknowns;
use crate::json::edit::{Edit, Edits, Lead, Tally, Text, WEIGHT};
use crate::json::rules::Rules;
use crate::json::scan::{MAX_DEPTH, Member};

/// How much the edits that wait may weigh before they count as bytes do. An edit weighs 40 bytes and a row of compact
/// completions has 355: so they count only in a page of almost 2 MiB, or one that is made for it.
const FREE: u64 = 224 * 1024;

/// As how many bytes so many edits count, where they wait with those of their body.
pub(super) fn surcharge(edits: u64) -> u64 {
    (edits * WEIGHT).saturating_sub(FREE)
}

/// As how many bytes the edits may count, at most, that are found in so many. Each is that of a member of its own, which
/// has no fewer than the fourteen of `{"api_key_id":`, or began before and has an object for its value: such edits
/// come with the brackets that end these, one byte each.
pub fn most_surcharge(bytes: u64) -> u64 {
    const SHORTEST: u64 = 14;
    WEIGHT.div_ceil(SHORTEST) * bytes + WEIGHT * MAX_DEPTH as u64
}

/// How often a member was seen in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    #[default]
    Never,
    Once,
    Twice,
}

impl Seen {
    pub(super) fn again(self) -> Self {
        if self == Seen::Never { Seen::Once } else { Seen::Twice }
    }
}

/// An open object that holds either member.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) depth: usize,
    pub(super) id: Seen,
    pub(super) name: Seen,
    /// The member whose value is being read.
    pub(super) reading: Option<Member>,
    /// Where the first byte is that may change, and how many edits came before it.
    pub(super) first: Option<(u64, u64)>,
    pub(super) id_edit: Option<u64>,
    pub(super) name_edit: Option<u64>,
    /// The white space of the id, while its value is being read.
    pub(super) lead: Lead,
    /// The depth that was awaited when it was opened.
    pub(super) outer: Option<usize>,
    /// Where in `natives` the value of a native name begins, where it is a string that could be a name.
    pub(super) native: Option<usize>,
    /// It was undecided for longer than the window.
    pub(super) given_up: bool,
}

impl Open {
    pub(super) fn new(depth: usize, outer: Option<usize>) -> Self {
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

/// What was seen of the members so far.
pub(super) struct Marks {
    pub(super) rules: Rules,
    pub(super) edits: Edits,
    /// The open objects that hold either member, outermost first.
    pub(super) open: Vec<Open>,
    /// How many of them, outermost first, hold nothing back: they were given up, or nothing in them may change yet.
    pub(super) passed: usize,
    /// The raw values of native names in them.
    pub(super) natives: Vec<u8>,
    /// The depth of the innermost object of which a member's value is being read.
    pub(super) awaited: Option<usize>,
    pub(super) unescaped: Vec<u8>,
    pub(super) unmatched: Unknowns,
}

impl Marks {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            edits: Edits::new(rules.members.name()),
            open: Vec::new(),
            passed: 0,
            natives: Vec::new(),
            awaited: None,
            unescaped: Vec::new(),
            unmatched: Unknowns::default(),
        }
    }

    /// Where the first byte is that may still change, given that `scanned` bytes are known. Gives up
    /// objects that have been undecided for too long.
    pub(super) fn first_undecided(&mut self, scanned: u64) -> u64 {
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
    pub(super) fn push(&mut self, edit: Edit, member: Member) {
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
pub(super) fn overdue(object: &Open, scanned: u64, edits: &Edits, rules: &Rules) -> bool {
    object.first.is_some_and(|(at, before)| scanned - at + surcharge(edits.pushed() - before) > rules.window)
}

/// Leaves an object as it came. Its edits may already be settled, which they are only where this was
/// done before.
pub(super) fn give_up(object: &mut Open, edits: &mut Edits) {
    object.given_up = true;
    for (which, tally) in [(object.id_edit, Tally::Left), (object.name_edit, Tally::Nothing)] {
        if let Some(edit) = which.and_then(|which| edits.unsettled(which)) {
            (edit.text, edit.tally) = (Text::Nothing, tally);
        }
    }
}
