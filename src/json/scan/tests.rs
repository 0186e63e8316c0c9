use super::*;

/// A sink that wants the member `id`, and records its events as text.
#[derive(Default)]
struct Recorder {
    events: Vec<String>,
    awaited: Vec<usize>,
}

impl Sink for Recorder {
    type Member = &'static str;

    fn match_member(&mut self, raw: &[u8], _has_escapes: bool) -> Option<&'static str> {
        (raw == b"id").then_some("id")
    }

    fn member_start(&mut self, member: &'static str, depth: usize) {
        self.awaited.push(depth);
        self.events.push(format!("{member} in {depth}"));
    }

    fn value_start(&mut self, at: u64, white_space: WhiteSpace<'_>) {
        let white_space = white_space.map(|bytes| bytes.escape_ascii().to_string());
        self.events.push(format!("start {at} {white_space:?}"));
    }

    fn is_value_awaited(&self, depth: usize) -> bool {
        self.awaited.last() == Some(&depth)
    }

    fn value_end(&mut self, at: u64, value: MemberValue<'_>) {
        self.awaited.pop();
        self.events.push(match value {
            MemberValue::String { raw, has_escapes } => {
                format!("end {at} {} {has_escapes}", raw.escape_ascii())
            }
            other => format!("end {at} {other:?}"),
        });
    }

    fn object_end(&mut self, _at: u64, _depth: usize) {}
}

fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), ScanError>) {
    let (mut scanner, mut recorder) = (Scanner::new(), Recorder::default());
    let result = chunks.into_iter().try_for_each(|chunk| scanner.feed(chunk, &mut recorder));
    (recorder.events, result.and_then(|()| scanner.finish()))
}

#[test]
fn wanted_members_are_reported_with_value_and_white_space() {
    let body = b"{\n \"id\" :\t\"a\\\"b\",\"x\":{\"id\":[1]}, \"id\":-1.5e3}";
    let expected = [
        r#"id in 1"#,
        r#"start 10 ["\\n ", " ", "\\t"]"#,
        r#"end 16 a\\\"b true"#,
        r#"id in 2"#,
        r#"start 27 ["", "", ""]"#,
        r#"end 30 Other"#,
        r#"id in 1"#,
        r#"start 38 [" ", "", ""]"#,
        r#"end 44 Other"#,
    ];
    for size in 1..=body.len() {
        let (events, result) = scan(body.chunks(size));
        assert_eq!(events, expected, "chunks of {size} bytes");
        assert_eq!(result, Ok(()));
    }
}

#[test]
fn error_offset_is_the_first_byte_that_no_document_has() {
    for (body, offset) in [
        (&b"[1,]"[..], 3),
        (b"{\"a\" 1}", 5),
        (b"{,}", 1),
        (b"[01]", 2),
        (b"[1.]", 3),
        (b"[-]", 2),
        (b"[nul ]", 4),
        (b"[\"\\x\"]", 3),
        (b"[\"\\u12G4\"]", 6),
        (b"[\"a\nb\"]", 3),
        (b"[\"\xC3(\"]", 3),
        (b"[\"\xED\xA0\x80\"]", 3),
        (b"[\"\xFF\"]", 2),
        (b"[1}", 2),
        (b"1 2", 2),
        (b"[1", 2),
        (b"[\"", 2),
        (b"", 0),
        (b"\xEF\xBB\xBF{}", 0),
    ] {
        for size in 1..=body.len().max(1) {
            let error = ScanError::NotJson { offset };
            assert_eq!(scan(body.chunks(size)).1, Err(error), "{}, chunks of {size}", body.escape_ascii());
        }
    }
}

#[test]
fn containers_deeper_than_the_limit_are_rejected() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(scan([&nested(MAX_DEPTH)[..]]).1, Ok(()));
    let error = ScanError::TooDeep { offset: MAX_DEPTH as u64 };
    assert_eq!(scan([&nested(MAX_DEPTH + 1)[..]]).1, Err(error));
    assert_eq!(scan(nested(MAX_DEPTH + 1).chunks(1)).1, Err(error));
}

#[test]
fn member_whose_value_cannot_start_is_not_reported() {
    let object = [&[b'['; MAX_DEPTH - 1][..], b"{\"id\":"].concat();
    for value in ["[]", "{}", "]", "x"] {
        let body = [&object, value.as_bytes()].concat();
        for size in [1, 100_000] {
            let (events, result) = scan(body.chunks(size));
            assert_eq!(events, [""; 0], "{value} in chunks of {size} bytes");
            assert_eq!(result.map_err(ScanError::offset), Err(object.len() as u64));
        }
    }
}

#[test]
fn long_value_is_reported_without_its_text() {
    let body = |len: usize| format!("{{\"id\":\"{}\"}}", "x".repeat(len));
    let end = |events: Vec<String>| events.last().cloned();
    for size in [1000, 100_000] {
        let (long, longer) = (body(MAX_RAW_TEXT), body(MAX_RAW_TEXT + 1));
        let expected = format!("end {} {} false", long.len() - 1, "x".repeat(MAX_RAW_TEXT));
        assert_eq!(end(scan(long.as_bytes().chunks(size)).0), Some(expected));
        let expected = format!("end {} LongString", longer.len() - 1);
        assert_eq!(end(scan(longer.as_bytes().chunks(size)).0), Some(expected));
    }
}

#[test]
fn long_white_space_is_reported_as_none() {
    for (len, start) in [(MAX_WHITE_SPACE, " ".repeat(MAX_WHITE_SPACE)), (MAX_WHITE_SPACE + 1, String::new())]
    {
        let body = format!("{{\"id\":{}1}}", " ".repeat(len));
        for size in [1, 100_000] {
            let (events, _) = scan(body.as_bytes().chunks(size));
            assert_eq!(events[1], format!("start {} [\"\", \"\", {start:?}]", 6 + len));
        }
    }
}
