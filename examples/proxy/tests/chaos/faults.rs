//! Responses that stall, break off, contradict themselves, or are not HTTP.
use crate::coding;
use crate::documents::{Expected, LIMIT};
use crate::script::{Behavior, CompleteResponse, End, Script, ScriptBuilder, Step, TypicalOutcome};

/// The typical outcome is what nearly all clients receive.
pub(crate) const FAULTS: &[Behavior] = &[
    // === silence and interruption ===
    Behavior { name: "stalls", weight: 1, typical: TypicalOutcome::Varies, script: stalls },
    Behavior { name: "resets", weight: 8, typical: TypicalOutcome::Varies, script: resets },
    Behavior {
        name: "closes without a response",
        weight: 2,
        typical: TypicalOutcome::Error(502),
        script: closes_without_response,
    },
    Behavior {
        name: "truncates a body with a length",
        weight: 8,
        typical: TypicalOutcome::Varies,
        script: truncates_body_with_length,
    },
    Behavior {
        name: "truncates a chunked body",
        weight: 8,
        typical: TypicalOutcome::Varies,
        script: truncates_chunked,
    },
    Behavior {
        name: "truncates a body without a length",
        weight: 4,
        typical: TypicalOutcome::Complete,
        script: truncates_body_without_length,
    },
    Behavior {
        name: "truncates the headers",
        weight: 3,
        typical: TypicalOutcome::Error(502),
        script: truncates_head,
    },
    // === lengths ===
    Behavior {
        name: "declares a short length",
        weight: 6,
        typical: TypicalOutcome::Complete,
        script: too_short,
    },
    Behavior {
        name: "sends two responses",
        weight: 6,
        typical: TypicalOutcome::Complete,
        script: two_responses,
    },
    Behavior {
        name: "declares different lengths",
        weight: 3,
        typical: TypicalOutcome::Error(502),
        script: several_lengths,
    },
    Behavior {
        name: "declares a length twice",
        weight: 3,
        typical: TypicalOutcome::Complete,
        script: same_length_twice,
    },
    Behavior {
        name: "declares an invalid length",
        weight: 3,
        typical: TypicalOutcome::Error(502),
        script: invalid_length,
    },
    Behavior {
        name: "declares a length with chunks",
        weight: 8,
        typical: TypicalOutcome::Complete,
        script: length_and_chunks,
    },
    Behavior {
        name: "uses an unknown transfer coding",
        weight: 4,
        typical: TypicalOutcome::Error(502),
        script: transfer_codings,
    },
    Behavior {
        name: "sends content with 204 or 304",
        weight: 6,
        typical: TypicalOutcome::Complete,
        script: content_with_204_or_304,
    },
    Behavior {
        name: "sends content to HEAD",
        weight: 3,
        typical: TypicalOutcome::Complete,
        script: content_to_head,
    },
    // === invalid HTTP ===
    Behavior { name: "sends garbage", weight: 6, typical: TypicalOutcome::Error(502), script: garbage },
    Behavior {
        name: "sends invalid headers",
        weight: 6,
        typical: TypicalOutcome::Error(502),
        script: bad_fields,
    },
    Behavior { name: "sends invalid chunks", weight: 8, typical: TypicalOutcome::Varies, script: bad_chunks },
    Behavior { name: "switches protocols", weight: 3, typical: TypicalOutcome::Error(502), script: switches },
    // === codings ===
    Behavior {
        name: "declares a wrong coding",
        weight: 4,
        typical: TypicalOutcome::Error(502),
        script: wrong_coding,
    },
    Behavior {
        name: "truncates a compressed body",
        weight: 4,
        typical: TypicalOutcome::Varies,
        script: truncates_coded,
    },
    Behavior {
        name: "declares an unknown coding",
        weight: 3,
        typical: TypicalOutcome::Complete,
        script: unknown_coding,
    },
    // === endless responses ===
    Behavior {
        name: "endless headers",
        weight: 1,
        typical: TypicalOutcome::Error(502),
        script: endless_head,
    },
    Behavior {
        name: "endless chunk line",
        weight: 1,
        typical: TypicalOutcome::Varies,
        script: endless_chunk_line,
    },
    Behavior {
        name: "endless trailers",
        weight: 1,
        typical: TypicalOutcome::Varies,
        script: endless_trailers,
    },
    Behavior { name: "endless 1xx", weight: 1, typical: TypicalOutcome::Error(504), script: endless_1xx },
    Behavior { name: "endless rows", weight: 1, typical: TypicalOutcome::Varies, script: endless_rows },
    Behavior { name: "decompression bomb", weight: 1, typical: TypicalOutcome::Varies, script: bomb },
];

impl ScriptBuilder<'_> {
    fn truncate(&mut self, mut message: Vec<u8>, least: usize) -> Vec<u8> {
        message.truncate(least + self.random.below(message.len() - least));
        message
    }
}

// === silence and interruption ===

fn stalls(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = builder.response_with_length();
    let end = *builder.random.pick(&[0, 20, message.len() - 1]);
    let script = Script::send(message[..end].to_vec()).step(Step::Stall).end_with(End::Close);
    script.expect_prefix(builder.amended())
}

fn resets(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = if builder.random.chance(50) {
        builder.response_with_length()
    } else {
        builder.response_until_close()
    };
    let mut script =
        Script::send(builder.truncate(message, 0)).end_with(End::Reset).expect_prefix(builder.amended());
    if builder.random.chance(50) {
        // Usually the proxy has read the earlier bytes by then.
        script = script.step(Step::Pause);
    }
    script
}

fn closes_without_response(_: &mut ScriptBuilder<'_>) -> Script {
    Script::new(Vec::new()).end_with(End::Close)
}

fn truncates_body_with_length(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = builder.response_with_length();
    let headers = message.len() - builder.document.len();
    Script::send(builder.truncate(message, headers)).end_with(End::Close).expect_prefix(builder.amended())
}

fn truncates_chunked(builder: &mut ScriptBuilder<'_>) -> Script {
    let message = builder.chunked_response("", "");
    let headers = builder.ok().len();
    Script::send(builder.truncate(message, headers)).end_with(End::Close).expect_prefix(builder.amended())
}

/// A body without a length ends with the connection. The truncated body is forwarded, and is not valid JSON.
fn truncates_body_without_length(builder: &mut ScriptBuilder<'_>) -> Script {
    let cut = builder.random.below(builder.document.len());
    let mut message = builder.response_until_close();
    message.truncate(message.len() - builder.document.len() + cut);
    Script::send(message)
        .end_with(End::Close)
        .expect(200, builder.document.amended_until(&builder.nonce, cut))
}

fn truncates_head(builder: &mut ScriptBuilder<'_>) -> Script {
    let headers = builder.ok();
    Script::send(builder.truncate(headers.into_bytes(), 1)).end_with(End::Close)
}

// === lengths ===

/// The bytes after the declared length belong to no response.
fn too_short(builder: &mut ScriptBuilder<'_>) -> Script {
    let length = builder.random.below(builder.document.len());
    let headers = format!("{}content-length: {length}\r\n", builder.ok());
    let script = Script::send(ScriptBuilder::message(headers, &builder.raw()));
    script.expect(200, builder.document.amended_until(&builder.nonce, length))
}

/// A second response without a request. It is sent with the first one, because later it would be the response to the next.
fn two_responses(builder: &mut ScriptBuilder<'_>) -> Script {
    let body = format!("{{\"api_key_id\":\"idx_const\",\"nonce\":\"{}\"}}", builder.nonce);
    let message = ScriptBuilder::with_content_length(builder.ok(), body.as_bytes()).repeat(2);
    let named = body.replace("\"idx_const\"", "\"idx_const\",\"api_key_name\":\"constant\"");
    Script::send(message).expect(200, Expected::bytes(named.into_bytes()))
}

fn several_lengths(builder: &mut ScriptBuilder<'_>) -> Script {
    let (one, two) = (builder.document.len(), builder.random.below(builder.document.len()));
    let headers = match builder.random.below(3) {
        0 => format!("{}content-length: {one}\r\ncontent-length: {two}\r\n", builder.ok()),
        1 => format!("{}content-length: {two}\r\ncontent-length: {one}\r\n", builder.ok()),
        _ => format!("{}content-length: {two}, {one}\r\n", builder.ok()),
    };
    Script::send(ScriptBuilder::message(headers, &builder.raw())).end_with(End::Close)
}

/// RFC 9112 §6.3: equal lengths count as one.
fn same_length_twice(builder: &mut ScriptBuilder<'_>) -> Script {
    let length = builder.document.len();
    let headers = match builder.random.below(2) {
        0 => format!("{}content-length: {length}\r\ncontent-length: {length}\r\n", builder.ok()),
        _ => format!("{}content-length: {length}, {length}\r\n", builder.ok()),
    };
    Script::send(ScriptBuilder::message(headers, &builder.raw())).expect(200, builder.amended())
}

fn invalid_length(builder: &mut ScriptBuilder<'_>) -> Script {
    let length = *builder.random.pick(&[
        "-1",
        "+5",
        "5x",
        "0x5",
        "",
        "1 2",
        "18446744073709551616",
        "99999999999999999999999",
        "5;",
        "\"5\"",
    ]);
    let headers = format!("{}content-length: {length}\r\n", builder.ok());
    Script::send(ScriptBuilder::message(headers, &builder.raw())).end_with(End::Close)
}

/// RFC 9112 §6.3: the chunks have priority.
fn length_and_chunks(builder: &mut ScriptBuilder<'_>) -> Script {
    let length = builder.random.below(2 * builder.document.len());
    let message = builder.chunked_response(&format!("content-length: {length}\r\n"), "");
    Script::send(message).expect(200, builder.amended())
}

/// The proxy sends `TE: trailers` at most, so these codings are not permitted.
fn transfer_codings(builder: &mut ScriptBuilder<'_>) -> Script {
    let (coding, chunked) = *builder.random.pick(&[
        ("gzip, chunked", true),
        ("chunked, gzip", false),
        ("gzip", false),
        ("identity", false),
        ("xchunked", false),
    ]);
    let mut body = coding::encode("gzip", &builder.raw());
    if chunked {
        body = builder.chunks(&body);
        body.extend_from_slice(b"0\r\n\r\n");
    }
    let headers = format!("{}transfer-encoding: {coding}\r\n", builder.ok());
    Script::send(ScriptBuilder::message(headers, &body)).end_with(End::Close)
}

/// A 204 or 304 has no content, whatever follows its headers.
fn content_with_204_or_304(builder: &mut ScriptBuilder<'_>) -> Script {
    let status = *builder.random.pick(&[204, 304]);
    let headers = builder.read_headers(&format!("HTTP/1.1 {status} Nothing"));
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-nonce: of-nobody\r\n\r\n{}";
    Script::send(ScriptBuilder::with_content_length(headers, body))
        .expect(status, Expected::bytes(Vec::new()))
}

fn content_to_head(builder: &mut ScriptBuilder<'_>) -> Script {
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-nonce: of-nobody\r\n\r\n{}";
    let mut script = Script::send(ScriptBuilder::with_content_length(builder.ok(), body))
        .expect(200, Expected::bytes(Vec::new()));
    script.to_head = true;
    script
}

// === invalid HTTP ===

fn garbage(builder: &mut ScriptBuilder<'_>) -> Script {
    let bytes: &[u8] = builder.random.pick::<&[u8]>(&[
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"<html>502</html>\r\n\r\n",
        b"\r\n\r\n\r\n\r\n\0",
    ]);
    Script::send(bytes.to_vec()).end_with(End::Close)
}

fn bad_fields(builder: &mut ScriptBuilder<'_>) -> Script {
    let field: &[u8] = builder.random.pick::<&[u8]>(&[
        b"no colon here",
        b"x-folded: a\r\n b",
        b" x-first: leading space",
        b"x-space : before the colon",
        b"x-nul: a\0b",
        b"x-bell: a\x07b",
        b"x-cr: a\rb",
        b"x(y): bad name",
        b": no name",
        b"\xff\xfe: bytes",
    ]);
    let mut headers = builder.ok().into_bytes();
    headers.extend_from_slice(field);
    headers.extend_from_slice(b"\r\ncontent-length: 2\r\n\r\n{}");
    Script::send(headers).end_with(End::Close)
}

fn bad_chunks(builder: &mut ScriptBuilder<'_>) -> Script {
    let mut body = builder.chunks(&builder.raw());
    let next: &[u8] = builder.random.pick::<&[u8]>(&[
        b"not a chunk\r\n",
        b"-1\r\n",
        b"fffffffffffffffff\r\n",
        b"ffffffffffffffff\r\nx",
        b"5\r\nlonger than five\r\n",
        b"\r\n\r\n",
        b"0x5\r\n12345\r\n",
        b"5 5\r\n12345\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\n",
        b"0",
    ]);
    body.extend_from_slice(next);
    let headers = format!("{}transfer-encoding: chunked\r\n", builder.ok());
    Script::send(ScriptBuilder::message(headers, &body)).end_with(End::Close).expect_prefix(builder.amended())
}

fn switches(builder: &mut ScriptBuilder<'_>) -> Script {
    let headers = builder.read_headers("HTTP/1.1 101 Switching Protocols");
    let headers = format!("{headers}connection: upgrade\r\nupgrade: websocket\r\n");
    let end = *builder.random.pick(&[End::Stay, End::Close]);
    Script::send(ScriptBuilder::message(headers, &builder.raw())).end_with(end)
}

// === codings ===

fn wrong_coding(builder: &mut ScriptBuilder<'_>) -> Script {
    let (declared, body) = match builder.random.below(4) {
        0 => (*builder.random.pick(&["gzip", "GZIP", "x-gzip"]), builder.raw()),
        1 => ("br", coding::encode("gzip", &builder.raw())),
        2 => ("gzip", coding::encode("br", &builder.raw())),
        _ => {
            // Only the checksum at the end is wrong.
            let mut body = coding::encode("gzip", &builder.raw());
            let sum = body.len() - 8;
            body[sum] ^= 1;
            ("gzip", body)
        }
    };
    let headers = format!("{}content-encoding: {declared}\r\n", builder.ok());
    Script::send(ScriptBuilder::with_content_length(headers, &body)).expect_prefix(builder.amended())
}

/// The message is complete, but its compressed content is not.
fn truncates_coded(builder: &mut ScriptBuilder<'_>) -> Script {
    let coding = *builder.random.pick(&["gzip", "br"]);
    let body = coding::encode(coding, &builder.raw());
    let body = builder.truncate(body, 1);
    let headers = format!("{}content-encoding: {coding}\r\n", builder.ok());
    Script::send(ScriptBuilder::with_content_length(headers, &body)).expect_prefix(builder.amended())
}

/// Forwarded unchanged with its Content-Encoding.
fn unknown_coding(builder: &mut ScriptBuilder<'_>) -> Script {
    let coding = *builder.random.pick(&["zstd", "x-snappy", "gzip, gzip", "compress"]);
    let raw = builder.raw();
    let headers = format!("{}content-encoding: {coding}\r\n", builder.ok());
    let mut script = Script::send(ScriptBuilder::with_content_length(headers, &raw));
    script.expected =
        Some(CompleteResponse { status: 200, body: Expected::bytes(raw), coding: Some(coding) });
    script
}

// === endless responses ===

fn endless_head(builder: &mut ScriptBuilder<'_>) -> Script {
    let (begun, more) = match builder.random.below(3) {
        0 => ("HTTP/1.1 200 OK\r\n".to_owned(), "x-more: of the same\r\n"),
        1 => ("HTTP/1.1 200 OK\r\nx-long: ".to_owned(), "longer "),
        _ => ("HTTP/1.1 200 ".to_owned(), "O.K. "),
    };
    Script::send(begun.into_bytes()).step(Step::Endless(more.repeat(500).into_bytes())).end_with(End::Close)
}

fn endless_chunk_line(builder: &mut ScriptBuilder<'_>) -> Script {
    let headers = format!("{}transfer-encoding: chunked\r\n", builder.ok());
    let (begun, more) = *builder.random.pick(&[("5;x=", "extension"), ("0", "0"), ("1\r\n{\r\n1;", ";")]);
    let script = Script::send(ScriptBuilder::message(headers, begun.as_bytes()));
    script.step(Step::Endless(more.repeat(1_000).into_bytes())).end_with(End::Close)
}

fn endless_trailers(builder: &mut ScriptBuilder<'_>) -> Script {
    let mut body = builder.chunks(&builder.raw());
    body.extend_from_slice(b"0\r\n");
    let headers = format!("{}transfer-encoding: chunked\r\n", builder.ok());
    let script = Script::send(ScriptBuilder::message(headers, &body)).expect_prefix(builder.amended());
    script.step(Step::Endless(b"x-trailer: more\r\n".repeat(100))).end_with(End::Close)
}

fn endless_1xx(_: &mut ScriptBuilder<'_>) -> Script {
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(50);
    Script::new(vec![Step::Endless(hints)]).end_with(End::Close)
}

/// An endless page: of rows, or of one row.
fn endless_rows(builder: &mut ScriptBuilder<'_>) -> Script {
    let headers = format!("{}connection: close\r\n", builder.ok());
    let (begun, more) = *builder.random.pick(&[
        ("[0", ",{\"api_key_id\":\"idx_const\",\"n\":1.10}"),
        ("[{\"api_key_id\":\"idx_const\"", ",\"n\":1.10"),
        ("{\"api_key_id\":\"idx_const\",\"x\":\"", "xxxxxxxxxx"),
        ("", "                "),
        ("", "{\"api_key_id\":"),
    ]);
    let script = Script::send(ScriptBuilder::message(headers, begun.as_bytes()));
    let mut script = script.step(Step::Endless(more.repeat(500).into_bytes())).end_with(End::Close);
    script.read_limit = 4 * LIMIT;
    script
}

/// A decompression bomb of one gigabyte in one object.
fn bomb(builder: &mut ScriptBuilder<'_>) -> Script {
    let (coding, body) = builder.random.pick(&builder.fixtures.bombs);
    let headers = format!("{}content-encoding: {coding}\r\n", builder.ok());
    let mut script = Script::send(ScriptBuilder::with_content_length(headers, body)).end_with(End::Close);
    script.read_limit = 32 * LIMIT;
    script
}
