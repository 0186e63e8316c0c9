//! Correct responses in all forms of HTTP/1.1.
use crate::coding;
use crate::documents::Expected;
use crate::script::{Behavior, End, Script, ScriptBuilder, Step, TypicalOutcome};

pub(crate) const WELL_BEHAVED: &[Behavior] = &[
    Behavior { name: "with a length", weight: 40, typical: TypicalOutcome::Complete, script: with_a_length },
    Behavior { name: "in chunks", weight: 25, typical: TypicalOutcome::Complete, script: in_chunks },
    Behavior { name: "until close", weight: 5, typical: TypicalOutcome::Complete, script: until_close },
    Behavior { name: "as HTTP/1.0", weight: 4, typical: TypicalOutcome::Complete, script: as_1_0 },
    Behavior {
        name: "closes afterwards",
        weight: 5,
        typical: TypicalOutcome::Complete,
        script: closes_afterwards,
    },
    Behavior {
        name: "resets afterwards",
        weight: 2,
        typical: TypicalOutcome::Varies,
        script: resets_afterwards,
    },
    Behavior { name: "after 1xx", weight: 4, typical: TypicalOutcome::Complete, script: after_1xx },
    Behavior { name: "with trailers", weight: 4, typical: TypicalOutcome::Complete, script: with_trailers },
    Behavior { name: "compressed", weight: 6, typical: TypicalOutcome::Complete, script: coded },
    Behavior {
        name: "compressed in two members",
        weight: 1,
        typical: TypicalOutcome::Error(502),
        script: in_two_members,
    },
    Behavior { name: "error of the API", weight: 4, typical: TypicalOutcome::Complete, script: an_error },
    Behavior { name: "no content", weight: 3, typical: TypicalOutcome::Complete, script: no_content },
    Behavior { name: "to HEAD", weight: 3, typical: TypicalOutcome::Complete, script: to_head },
    Behavior {
        name: "before the end of the request",
        weight: 3,
        typical: TypicalOutcome::Varies,
        script: early,
    },
];

fn with_a_length(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = builder.response_with_length();
    Script::new(builder.pieces(message)).expect(200, builder.amended())
}

fn in_chunks(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = builder.chunked_response("", "");
    Script::new(builder.pieces(message)).expect(200, builder.amended())
}

fn until_close(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = builder.response_until_close();
    Script::new(builder.pieces(message)).end_with(End::Close).expect(200, builder.amended())
}

fn as_1_0(builder: &mut ScriptBuilder<'_>) -> Script {
    let headers = builder.read_headers("HTTP/1.0 200 OK");
    let script = match builder.random.below(3) {
        0 => Script::send(ScriptBuilder::message(headers, &builder.raw())).end_with(End::Close),
        1 => Script::send(ScriptBuilder::with_content_length(headers, &builder.raw())).end_with(End::Close),
        _ => {
            let headers = format!("{headers}connection: keep-alive\r\n");
            Script::send(ScriptBuilder::with_content_length(headers, &builder.raw()))
        }
    };
    script.expect(200, builder.amended())
}

fn closes_afterwards(builder: &mut ScriptBuilder<'_>) -> Script {
    with_a_length(builder).end_with(End::Close)
}

/// Bytes that the proxy has not read by then are lost.
fn resets_afterwards(builder: &mut ScriptBuilder<'_>) -> Script {
    in_chunks(builder).end_with(End::Reset).expect_prefix(builder.amended())
}

fn after_1xx(builder: &mut ScriptBuilder<'_>) -> Script {
    let mut interim = Vec::new();
    for _ in 0..1 + builder.random.below(5) {
        let line = *builder.random.pick(&[
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\nx-nonce: of-the-hints\r\n\r\n",
            "HTTP/1.1 199 Whatever\r\ncontent-length: 5\r\n\r\n",
        ]);
        interim.extend_from_slice(line.as_bytes());
    }
    let mut script = with_a_length(builder);
    script.steps.insert(0, Step::Send(interim));
    script
}

fn with_trailers(builder: &mut ScriptBuilder<'_>) -> Script {
    let fields = "trailer: x-trailer, content-digest\r\n";
    let message = builder.chunked_response(fields, "x-trailer: 1\r\ncontent-digest: sha-256=:AAAA:\r\n");
    Script::new(builder.pieces(message)).expect(200, builder.amended())
}

fn coded(builder: &mut ScriptBuilder<'_>) -> Script {
    let coding = *builder.random.pick(&["gzip", "br"]);
    let body = coding::encode(coding, &builder.raw());
    // Codings are case-insensitive (RFC 9110 §8.4.1).
    let declared = if builder.random.below(4) == 0 { coding.to_uppercase() } else { coding.into() };
    let headers = format!("{}content-encoding: {declared}\r\n", builder.ok());
    let message = ScriptBuilder::with_content_length(headers, &body);
    Script::new(builder.pieces(message)).expect(200, builder.amended())
}

/// RFC 1952 §2.2: several gzip members are one file. The proxy's decoder supports one, and must report an error.
fn in_two_members(builder: &mut ScriptBuilder<'_>) -> Script {
    let raw = builder.raw();
    let (first, second) = raw.split_at(builder.random.below(raw.len()));
    let body = [coding::encode("gzip", first), coding::encode("gzip", second)].concat();
    let headers = format!("{}content-encoding: gzip\r\n", builder.ok());
    Script::send(ScriptBuilder::with_content_length(headers, &body)).expect_prefix(builder.amended())
}

fn an_error(builder: &mut ScriptBuilder<'_>) -> Script {
    let (status, reason) = *builder.random.pick(&[
        (400, "Bad Request"),
        (401, ""),
        (429, "Too Many Requests"),
        (500, "Oh"),
        (503, "No"),
    ]);
    let headers = builder.read_headers(&format!("HTTP/1.1 {status} {reason}"));
    Script::send(ScriptBuilder::with_content_length(headers, &builder.raw()))
        .expect(status, builder.amended())
}

fn no_content(builder: &mut ScriptBuilder<'_>) -> Script {
    let status = *builder.random.pick(&[204, 304]);
    let headers = builder.read_headers(&format!("HTTP/1.1 {status} Nothing"));
    Script::send(ScriptBuilder::message(headers, b"")).expect(status, Expected::bytes(Vec::new()))
}

fn to_head(builder: &mut ScriptBuilder<'_>) -> Script {
    let headers = format!("{}content-length: {}\r\n", builder.ok(), builder.document.len());
    let mut script =
        Script::send(ScriptBuilder::message(headers, b"")).expect(200, Expected::bytes(Vec::new()));
    script.to_head = true;
    script
}

/// Responds before the rest of the request is read. The rest may be read or not.
fn early(builder: &mut ScriptBuilder<'_>) -> Script {
    let end = *builder.random.pick(&[End::Stay, End::Close, End::Reset]);
    let mut script = with_a_length(builder).end_with(end).expect_prefix(builder.amended());
    script.early = true;
    script
}
