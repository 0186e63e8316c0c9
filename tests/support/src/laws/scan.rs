//! The law of the scanner and of the prefilter.

use crate::cases::naive::is_json;
use crate::default_rules;
use crate::documents;
use crate::laws::amend::depth;
use crate::unstructured::{Unstructured, smallest_chunks, split_at_offsets};
use tower_api_key_name::_internal::prefilter::Prefilter;
use tower_api_key_name::_internal::scan::{
    MAX_DEPTH, MemberValue, ScanError, Scanner, Sink, TemplateCache, WhiteSpace,
};

/// Checks that the scanner accepts exactly the JSON that serde_json accepts, and reports the right offset of an error.
///
/// Neither the chunks nor the templates change the events. The prefilter finds exactly the two texts.
pub fn check(input: &[u8]) {
    let mut source = Unstructured::new(input);
    let offsets = source.offsets(6);
    let body = documents::body(&mut source);

    let plain = Recorder::scan(&[&body], &RecordedTemplates::disabled());
    check_verdict(&body, plain.error);
    let learned = RecordedTemplates::default();
    let split = split_at_offsets(&body, &offsets);
    let smallest = smallest_chunks(&body);
    for chunks in [&[&*body][..], &split, &smallest] {
        for templates in [&RecordedTemplates::disabled(), &RecordedTemplates::default(), &learned, &learned] {
            assert_eq!(Recorder::scan(chunks, templates), plain, "{chunks:?}");
        }
        let mut prefilter = Prefilter::new(&default_rules());
        let finds = chunks.iter().any(|chunk| prefilter.finds(chunk));
        assert_eq!(finds, may_contain_an_id(&body), "{chunks:?}");
    }
    check_long_chunk(&body, &learned);
}

/// Checks the body with white space behind it. Templates are not used near the end of a chunk, and the white space
/// allows them in the whole body.
fn check_long_chunk(body: &[u8], learned: &RecordedTemplates) {
    let long = [body, &[b' '; 256]].concat();
    let plain = Recorder::scan(&[&long], &RecordedTemplates::disabled());
    for templates in [&RecordedTemplates::default(), learned] {
        assert_eq!(Recorder::scan(&[&long], templates), plain, "{}", String::from_utf8_lossy(body));
    }
}

/// True if the body contains the name of the id's member, or an escape that may be a part of the name.
pub(super) fn may_contain_an_id(body: &[u8]) -> bool {
    let contains = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
    contains(b"api_key_id") || contains(b"\\u00")
}

/// Checks that the error, its kind and its offset are right.
fn check_verdict(body: &[u8], error: Option<ScanError>) {
    let text = String::from_utf8_lossy(body);
    match error {
        None => assert!(is_json(body) && depth(body) <= MAX_DEPTH, "accepted: {text}"),
        Some(ScanError::NotJson { offset }) => {
            assert!(!is_json(body), "rejected: {text}");
            check_error_offset(body, offset as usize);
        }
        Some(ScanError::TooDeep { offset }) => {
            let ends = [offset as usize, offset as usize + 1];
            assert_eq!(ends.map(|end| depth(&body[..end])), [MAX_DEPTH, MAX_DEPTH + 1], "{text}");
        }
    }
}

/// Checks that some document starts with the bytes before `offset`, and none with those and the next one.
fn check_error_offset(body: &[u8], offset: usize) {
    let may_continue = |text: &[u8]| match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => error.is_eof(),
    };
    // serde_json rejects a number that ends with its sign, so the text is also tried with a digit behind it.
    let is_start = |text: &[u8]| may_continue(text) || may_continue(&[text, b"0"].concat());
    let is_start_in_utf8 = |text: &[u8]| match std::str::from_utf8(text) {
        Ok(_) => is_start(text),
        // A truncated character is replaced by a complete one.
        Err(error) => {
            let complete = &text[..error.valid_up_to()];
            error.error_len().is_none() && is_start(&[complete, "\u{80}".as_bytes()].concat())
        }
    };
    let text = String::from_utf8_lossy(body);
    assert!(is_start_in_utf8(&body[..offset]), "{offset}: {text}");
    // serde_json reads all four digits of an escape before it checks one of them, and treats NUL as the end.
    let is_nul_or_end = body.get(offset).is_none_or(|byte| *byte == 0);
    if !is_nul_or_end && body.len() >= offset + 4 {
        assert!(!is_start_in_utf8(&body[..offset + 4]), "{offset}: {text}");
    }
}

/// A sink that matches ids, names and some other members, and records its events.
#[derive(Debug, Default, PartialEq)]
struct Recorder {
    events: Vec<Event>,
    error: Option<ScanError>,
    /// The depths of the open objects with a matched member, and of the open values of matched members.
    objects: Vec<usize>,
    values: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RecordedMember {
    Id,
    Name,
}

type RecordedTemplates = TemplateCache<RecordedMember>;

#[derive(Debug, PartialEq)]
enum Event {
    MemberStart(RecordedMember, usize),
    ValueStart(u64, [Vec<u8>; 3]),
    String(u64, Vec<u8>, bool),
    LongString(u64),
    OtherValue(u64),
    ObjectEnd(u64, usize),
}

impl Recorder {
    fn scan(chunks: &[&[u8]], cache: &RecordedTemplates) -> Self {
        let mut scanner = Scanner::new();
        let mut recorder = Self::default();
        scanner.take_templates(cache);
        let result = chunks.iter().try_for_each(|chunk| scanner.feed(chunk, &mut recorder));
        recorder.error = result.and_then(|()| scanner.finish()).err();
        scanner.store_templates(cache);
        recorder
    }
}

impl Sink for Recorder {
    type Member = RecordedMember;

    fn match_member(&mut self, raw: &[u8], has_escapes: bool) -> Option<RecordedMember> {
        let text;
        let name = if has_escapes {
            text = serde_json::from_slice::<String>(&[b"\"", raw, b"\""].concat()).ok()?;
            text.as_bytes()
        } else {
            raw
        };
        match name {
            b"api_key_id" | b"count" => Some(RecordedMember::Id),
            b"api_key_name" | b"" => Some(RecordedMember::Name),
            _ => None,
        }
    }

    fn member_start(&mut self, member: RecordedMember, depth: usize) {
        if self.objects.last() != Some(&depth) {
            self.objects.push(depth);
        }
        self.events.push(Event::MemberStart(member, depth));
    }

    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>) {
        self.values.extend(self.objects.last());
        self.events.push(Event::ValueStart(at, white_space.map(<[u8]>::to_vec)));
    }

    fn is_value_awaited(&self, depth: usize) -> bool {
        self.values.last() == Some(&depth)
    }

    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        self.values.pop();
        self.events.push(match value {
            MemberValue::String { raw, has_escapes } => Event::String(at, raw.to_vec(), has_escapes),
            MemberValue::LongString => Event::LongString(at),
            MemberValue::Other => Event::OtherValue(at),
        });
    }

    fn object_end(&mut self, at: u64, depth: usize) {
        // The scanner may leave out the ends of other containers.
        if self.objects.last() == Some(&depth) {
            self.objects.pop();
            self.events.push(Event::ObjectEnd(at, depth));
        }
    }
}
