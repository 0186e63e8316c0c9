//! The scanner, alone, and what it stands on.

use super::amend::is_judged_right;
use crate::choices::{Choices, crumbs, cut};
use crate::documents;
use tower_api_key_name::_internal::MEMBERS;
use tower_api_key_name::_internal::prefilter::Prefilter;
use tower_api_key_name::_internal::scan::{
    Member, MemberValue, ScanError, Scanner, Sink, TemplateCache, WhiteSpace,
};
use tower_api_key_name::_internal::wide;

/// The scanner takes JSON and nothing else, and tells a fault where it is. How a body is cut, and who judges its bytes,
/// changes nothing of what is heard. The prefilter finds what there is.
pub fn hold(input: &[u8]) {
    let mut choices = Choices::new(input);
    let cuts = choices.cuts(6);
    let body = documents::body(&mut choices);

    let whole = Listener::of(&[&body], |scanner, chunk, sink| scanner.feed(chunk, sink));
    is_judged_right(&body, whole.fault);
    if let Some(ScanError::NotJson { offset }) = whole.fault {
        is_where_it_is(&body, offset as usize);
    }
    is_the_same_anywhere(&body, [cuts.first(), cuts.last()].map(|pad| pad.map_or(0, |pad| pad % 131)));
    let cuts = cut(&body, &cuts);
    let crumbs = crumbs(&body);
    let may_hold_an_id = may_hold_an_id(&body);
    for chunks in [&[&*body][..], &cuts, &crumbs] {
        let widest = Listener::of(chunks, |scanner, chunk, sink| scanner.feed(chunk, sink));
        assert_eq!(widest, whole, "{chunks:?}");
        // The way through members in no order, on which a page with some order never comes, too.
        for is_swept in [false, true] {
            for (by, heard) in wide::each(|| Listen { chunks, is_swept }) {
                assert_eq!(heard, whole, "by {by}, in no order: {is_swept}: {chunks:?}");
            }
        }

        let mut prefilter = Prefilter::new(MEMBERS.id());
        let finds = chunks.iter().any(|chunk| prefilter.finds(chunk));
        assert_eq!(finds, may_hold_an_id, "{chunks:?}");
    }
    for block in body.as_chunks().0.iter().take(2) {
        wide::each(|| wide::Agrees(block));
    }
    if !body.is_empty() {
        let bytes = std::array::from_fn(|at| body[at % body.len()]);
        wide::each(|| wide::AgreesByBlocks { bytes: &bytes, hint: body[0] & 0x7F });
    }
}

/// Blocks of bytes are judged at once: wherever in one a text begins, and whatever follows it, it means the same.
fn is_the_same_anywhere(body: &[u8], pads: [usize; 2]) {
    let [before, behind] = pads.map(|pad| "x".repeat(pad).into_bytes());
    let text = [b"[0,\"", &*before, b"\",", body, b",\"", &behind, b"\"]"].concat();
    let stepped = Listener::of(&crumbs(&text), |scanner, chunk, sink| scanner.feed(chunk, sink));
    let chunks: &[&[u8]] = &[&text];
    for (by, swept) in wide::each(|| Listen { chunks, is_swept: true }) {
        assert_eq!(swept, stepped, "by {by}: {}", String::from_utf8_lossy(&text));
    }
}

fn may_hold_an_id(body: &[u8]) -> bool {
    let holds = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
    holds(b"api_key_id") || holds(b"\\u00")
}

/// A fault is told at the first byte that no JSON can have there, or at the end: what stands before it begins some
/// JSON text, and with it does not.
fn is_where_it_is(body: &[u8], offset: usize) {
    // All of it is missing its end, or, where a character is missing its end, it would be with another character in
    // its place. serde_json calls a sign at the end an invalid number: with a digit it is not.
    let at_end = |text: &[u8]| {
        serde_json::from_slice::<serde::de::IgnoredAny>(text).map_or_else(|fault| fault.is_eof(), |_| true)
    };
    let begins = |text: &[u8]| at_end(text) || at_end(&[text, b"0"].concat());
    let begins_some = |text: &[u8]| match std::str::from_utf8(text) {
        Ok(_) => begins(text),
        Err(fault) => {
            let whole = &text[..fault.valid_up_to()];
            fault.error_len().is_none() && begins(&[whole, "\u{80}".as_bytes()].concat())
        }
    };
    let shown = || format!("{offset}: {}", String::from_utf8_lossy(body));
    assert!(begins_some(&body[..offset]), "{}", shown());
    // serde_json reads the four digits of an escape before it judges one, and takes NUL for the end.
    if body.get(offset).is_some_and(|byte| *byte != 0) && body.len() >= offset + 4 {
        assert!(!begins_some(&body[..offset + 4]), "{}", shown());
    }
}

/// What is heard of a scanner by one that wants ids, names, and some other members.
#[derive(Debug, Default, PartialEq)]
struct Listener {
    heard: Vec<Heard>,
    fault: Option<ScanError>,
    /// The depths of objects that hold a wanted member, and those of values that are being read.
    open: Vec<usize>,
    awaited: Vec<usize>,
}

#[derive(Debug, PartialEq)]
enum Heard {
    Found(Member, usize),
    Begin(u64, [Vec<u8>; 3]),
    Text(u64, Vec<u8>, bool),
    LongText(u64),
    Other(u64),
    Close(u64, usize),
}

impl Listener {
    fn of(
        chunks: &[&[u8]],
        mut feed: impl FnMut(&mut Scanner, &[u8], &mut Self) -> Result<(), ScanError>,
    ) -> Self {
        let (mut scanner, mut this) = (Scanner::new(), Self::default());
        let fed = chunks.iter().try_for_each(|chunk| feed(&mut scanner, chunk, &mut this));
        this.fault = fed.and_then(|()| scanner.finish()).err();
        this
    }
}

/// Listens to what some `Wide` makes of a body, from the beginning as if it came in no order or not.
struct Listen<'a> {
    chunks: &'a [&'a [u8]],
    is_swept: bool,
}

impl wide::Task for Listen<'_> {
    type Output = Listener;

    fn run(self, wide: impl wide::Wide) -> Listener {
        Listener::of(self.chunks, |scanner, chunk, sink| {
            if self.is_swept {
                scanner.take_templates(&TemplateCache::disabled());
            }
            scanner.feed_by(wide, chunk, sink)
        })
    }
}

impl Sink for Listener {
    fn match_member(&mut self, raw: &[u8], escaped: bool) -> Option<Member> {
        let text;
        let name = match escaped {
            false => raw,
            true => {
                text = serde_json::from_slice::<String>(&[b"\"", raw, b"\""].concat()).ok()?;
                text.as_bytes()
            }
        };
        match name {
            b"api_key_id" | b"count" => Some(Member::Id),
            b"api_key_name" | b"" => Some(Member::Name),
            _ => None,
        }
    }

    fn member_start(&mut self, member: Member, depth: usize) {
        if self.open.last() != Some(&depth) {
            self.open.push(depth);
        }
        self.heard.push(Heard::Found(member, depth));
    }

    fn value_start(&mut self, at: u64, gaps: WhiteSpace<'_>) {
        self.awaited.extend(self.open.last());
        self.heard.push(Heard::Begin(at, gaps.map(<[u8]>::to_vec)));
    }

    fn is_value_awaited(&self, depth: usize) -> bool {
        self.awaited.last() == Some(&depth)
    }

    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        self.awaited.pop();
        self.heard.push(match value {
            MemberValue::String { raw, has_escapes } => Heard::Text(at, raw.to_vec(), has_escapes),
            MemberValue::LongString => Heard::LongText(at),
            MemberValue::Other => Heard::Other(at),
        });
    }

    fn object_end(&mut self, at: u64, depth: usize) {
        // Others are of no interest, and may close unheard.
        if self.open.last() == Some(&depth) {
            self.open.pop();
            self.heard.push(Heard::Close(at, depth));
        }
    }
}
