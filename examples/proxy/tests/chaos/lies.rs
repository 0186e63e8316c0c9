//! Answers that stall, break, lie or make no sense.
use crate::coding;
use crate::documents::{Expected, LIMIT};
use crate::script::{Act, End, Script, Step, Teller, Usual, Whole};

/// How a name is looked at by the eye: `usual` is what nearly all clients get.
pub(crate) const LIES: &[Act] = &[
    // === silence and breaks ===
    Act { name: "stalls", weight: 1, usual: Usual::Varies, script: stalls },
    Act { name: "resets", weight: 8, usual: Usual::Varies, script: resets },
    Act { name: "closes before it speaks", weight: 2, usual: Usual::Error(502), script: closes_at_once },
    Act { name: "cuts a measured body", weight: 8, usual: Usual::Varies, script: cuts_measured },
    Act { name: "cuts a chunked body", weight: 8, usual: Usual::Varies, script: cuts_chunked },
    Act { name: "cuts a body that ends by closing", weight: 4, usual: Usual::Whole, script: cuts_unmeasured },
    Act { name: "cuts a head", weight: 3, usual: Usual::Error(502), script: cuts_head },
    // === lengths ===
    Act { name: "says too short a length", weight: 6, usual: Usual::Whole, script: too_short },
    Act { name: "answers twice", weight: 6, usual: Usual::Whole, script: twice },
    Act { name: "says several lengths", weight: 3, usual: Usual::Error(502), script: several_lengths },
    Act { name: "says one length twice", weight: 3, usual: Usual::Whole, script: same_length_twice },
    Act { name: "says no number for a length", weight: 3, usual: Usual::Error(502), script: no_number },
    Act { name: "says a length beside chunks", weight: 8, usual: Usual::Whole, script: length_and_chunks },
    Act {
        name: "says an unknown transfer coding",
        weight: 4,
        usual: Usual::Error(502),
        script: transfer_codings,
    },
    Act {
        name: "says content where there is none",
        weight: 6,
        usual: Usual::Whole,
        script: content_of_nothing,
    },
    Act { name: "sends content to HEAD", weight: 3, usual: Usual::Whole, script: content_to_head },
    // === no HTTP ===
    Act { name: "sends garbage", weight: 6, usual: Usual::Error(502), script: garbage },
    Act { name: "sends bad fields", weight: 6, usual: Usual::Error(502), script: bad_fields },
    Act { name: "sends bad chunks", weight: 8, usual: Usual::Varies, script: bad_chunks },
    Act { name: "switches protocols", weight: 3, usual: Usual::Error(502), script: switches },
    // === codings ===
    Act { name: "says gzip, is not", weight: 4, usual: Usual::Error(502), script: no_gzip },
    Act { name: "cuts what is coded", weight: 4, usual: Usual::Varies, script: cuts_coded },
    Act { name: "says an unknown coding", weight: 3, usual: Usual::Whole, script: unknown_coding },
    // === without end ===
    Act { name: "endless head", weight: 1, usual: Usual::Error(502), script: endless_head },
    Act { name: "endless chunk line", weight: 1, usual: Usual::Varies, script: endless_chunk_line },
    Act { name: "endless trailers", weight: 1, usual: Usual::Varies, script: endless_trailers },
    Act { name: "endless 1xx", weight: 1, usual: Usual::Error(504), script: endless_1xx },
    Act { name: "endless rows", weight: 1, usual: Usual::Varies, script: endless_rows },
    Act { name: "a bomb", weight: 1, usual: Usual::Varies, script: bomb },
];

impl Teller<'_> {
    fn cut(&mut self, mut message: Vec<u8>, least: usize) -> Vec<u8> {
        message.truncate(least + self.random.below(message.len() - least));
        message
    }
}

// === silence and breaks ===

fn stalls(teller: &mut Teller<'_>) -> Script {
    let message = teller.whole();
    let end = *teller.random.pick(&[0, 20, message.len() - 1]);
    let script = Script::send(message[..end].to_vec()).step(Step::Stall).then(End::Close);
    script.begins(teller.amended())
}

fn resets(teller: &mut Teller<'_>) -> Script {
    let message = if teller.random.in_100(50) { teller.whole() } else { teller.unmeasured() };
    let mut script = Script::send(teller.cut(message, 0)).then(End::Reset).begins(teller.amended());
    if teller.random.in_100(50) {
        // What came before it is read, most often.
        script = script.step(Step::Pause);
    }
    script
}

fn closes_at_once(_: &mut Teller<'_>) -> Script {
    Script::new(Vec::new()).then(End::Close)
}

fn cuts_measured(teller: &mut Teller<'_>) -> Script {
    let message = teller.whole();
    let head = message.len() - teller.document.len();
    Script::send(teller.cut(message, head)).then(End::Close).begins(teller.amended())
}

fn cuts_chunked(teller: &mut Teller<'_>) -> Script {
    let message = teller.chunked("", "");
    let head = teller.ok().len();
    Script::send(teller.cut(message, head)).then(End::Close).begins(teller.amended())
}

/// Nobody can tell this end from another. What was said is passed on, and is no JSON.
fn cuts_unmeasured(teller: &mut Teller<'_>) -> Script {
    let cut = teller.random.below(teller.document.len());
    let mut message = teller.unmeasured();
    message.truncate(message.len() - teller.document.len() + cut);
    Script::send(message).then(End::Close).is(200, teller.document.amended_until(&teller.nonce, cut))
}

fn cuts_head(teller: &mut Teller<'_>) -> Script {
    let head = teller.ok();
    Script::send(teller.cut(head.into_bytes(), 1)).then(End::Close)
}

// === lengths ===

/// What follows is no answer to anything.
fn too_short(teller: &mut Teller<'_>) -> Script {
    let said = teller.random.below(teller.document.len());
    let head = format!("{}content-length: {said}\r\n", teller.ok());
    let script = Script::send(Teller::message(head, &teller.raw()));
    script.is(200, teller.document.amended_until(&teller.nonce, said))
}

/// The second is for nobody. It comes with the first: later, it could not be told from the answer to the next request.
fn twice(teller: &mut Teller<'_>) -> Script {
    let body = format!("{{\"api_key_id\":\"key_const\",\"nonce\":\"{}\"}}", teller.nonce);
    let message = Teller::measured(teller.ok(), body.as_bytes()).repeat(2);
    let named = body.replace("\"key_const\"", "\"key_const\",\"api_key_name\":\"constant\"");
    Script::send(message).is(200, Expected::bytes(named.into_bytes()))
}

fn several_lengths(teller: &mut Teller<'_>) -> Script {
    let (one, two) = (teller.document.len(), teller.random.below(teller.document.len()));
    let head = match teller.random.below(3) {
        0 => format!("{}content-length: {one}\r\ncontent-length: {two}\r\n", teller.ok()),
        1 => format!("{}content-length: {two}\r\ncontent-length: {one}\r\n", teller.ok()),
        _ => format!("{}content-length: {two}, {one}\r\n", teller.ok()),
    };
    Script::send(Teller::message(head, &teller.raw())).then(End::Close)
}

/// RFC 9112 §6.3: one length, or none.
fn same_length_twice(teller: &mut Teller<'_>) -> Script {
    let length = teller.document.len();
    let head = match teller.random.below(2) {
        0 => format!("{}content-length: {length}\r\ncontent-length: {length}\r\n", teller.ok()),
        _ => format!("{}content-length: {length}, {length}\r\n", teller.ok()),
    };
    Script::send(Teller::message(head, &teller.raw())).is(200, teller.amended())
}

fn no_number(teller: &mut Teller<'_>) -> Script {
    let length = *teller.random.pick(&[
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
    let head = format!("{}content-length: {length}\r\n", teller.ok());
    Script::send(Teller::message(head, &teller.raw())).then(End::Close)
}

/// RFC 9112 §6.3: the chunks count.
fn length_and_chunks(teller: &mut Teller<'_>) -> Script {
    let length = teller.random.below(2 * teller.document.len());
    let message = teller.chunked(&format!("content-length: {length}\r\n"), "");
    Script::send(message).is(200, teller.amended())
}

/// Nobody asked for any (`TE: trailers`), and nobody here can take it off.
fn transfer_codings(teller: &mut Teller<'_>) -> Script {
    let (coding, chunked) = *teller.random.pick(&[
        ("gzip, chunked", true),
        ("chunked, gzip", false),
        ("gzip", false),
        ("identity", false),
        ("xchunked", false),
    ]);
    let mut body = coding::encode("gzip", &teller.raw());
    if chunked {
        body = teller.chunks(&body);
        body.extend_from_slice(b"0\r\n\r\n");
    }
    let head = format!("{}transfer-encoding: {coding}\r\n", teller.ok());
    Script::send(Teller::message(head, &body)).then(End::Close)
}

/// A 204 or 304 has no content, whatever follows it.
fn content_of_nothing(teller: &mut Teller<'_>) -> Script {
    let status = *teller.random.pick(&[204, 304]);
    let head = teller.head(&format!("HTTP/1.1 {status} Nothing"));
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-nonce: of-nobody\r\n\r\n{}";
    Script::send(Teller::measured(head, body)).is(status, Expected::bytes(Vec::new()))
}

fn content_to_head(teller: &mut Teller<'_>) -> Script {
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-nonce: of-nobody\r\n\r\n{}";
    let mut script = Script::send(Teller::measured(teller.ok(), body)).is(200, Expected::bytes(Vec::new()));
    script.to_head = true;
    script
}

// === no HTTP ===

fn garbage(teller: &mut Teller<'_>) -> Script {
    let said: &[u8] = teller.random.pick::<&[u8]>(&[
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
    Script::send(said.to_vec()).then(End::Close)
}

fn bad_fields(teller: &mut Teller<'_>) -> Script {
    let field: &[u8] = teller.random.pick::<&[u8]>(&[
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
    let mut head = teller.ok().into_bytes();
    head.extend_from_slice(field);
    head.extend_from_slice(b"\r\ncontent-length: 2\r\n\r\n{}");
    Script::send(head).then(End::Close)
}

fn bad_chunks(teller: &mut Teller<'_>) -> Script {
    let mut body = teller.chunks(&teller.raw());
    let next: &[u8] = teller.random.pick::<&[u8]>(&[
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
    let head = format!("{}transfer-encoding: chunked\r\n", teller.ok());
    Script::send(Teller::message(head, &body)).then(End::Close).begins(teller.amended())
}

fn switches(teller: &mut Teller<'_>) -> Script {
    let head = teller.head("HTTP/1.1 101 Switching Protocols");
    let head = format!("{head}connection: upgrade\r\nupgrade: websocket\r\n");
    let end = *teller.random.pick(&[End::Stay, End::Close]);
    Script::send(Teller::message(head, &teller.raw())).then(end)
}

// === codings ===

fn no_gzip(teller: &mut Teller<'_>) -> Script {
    let (said, body) = match teller.random.below(4) {
        0 => (*teller.random.pick(&["gzip", "GZIP", "x-gzip"]), teller.raw()),
        1 => ("br", coding::encode("gzip", &teller.raw())),
        2 => ("gzip", coding::encode("br", &teller.raw())),
        _ => {
            // Decodes to the end, and is not what was coded.
            let mut body = coding::encode("gzip", &teller.raw());
            let sum = body.len() - 8;
            body[sum] ^= 1;
            ("gzip", body)
        }
    };
    let head = format!("{}content-encoding: {said}\r\n", teller.ok());
    Script::send(Teller::measured(head, &body)).begins(teller.amended())
}

/// The message is whole, and what it carries is not.
fn cuts_coded(teller: &mut Teller<'_>) -> Script {
    let coding = *teller.random.pick(&["gzip", "br"]);
    let body = coding::encode(coding, &teller.raw());
    let body = teller.cut(body, 1);
    let head = format!("{}content-encoding: {coding}\r\n", teller.ok());
    Script::send(Teller::measured(head, &body)).begins(teller.amended())
}

/// Passed on as it came, with its label.
fn unknown_coding(teller: &mut Teller<'_>) -> Script {
    let coding = *teller.random.pick(&["zstd", "x-snappy", "gzip, gzip", "compress"]);
    let raw = teller.raw();
    let head = format!("{}content-encoding: {coding}\r\n", teller.ok());
    let mut script = Script::send(Teller::measured(head, &raw));
    script.whole = Some(Whole { status: 200, body: Expected::bytes(raw), coding: Some(coding) });
    script
}

// === without end ===

fn endless_head(teller: &mut Teller<'_>) -> Script {
    let (begun, more) = match teller.random.below(3) {
        0 => ("HTTP/1.1 200 OK\r\n".to_owned(), "x-more: of the same\r\n"),
        1 => ("HTTP/1.1 200 OK\r\nx-long: ".to_owned(), "longer "),
        _ => ("HTTP/1.1 200 ".to_owned(), "O.K. "),
    };
    Script::send(begun.into_bytes()).step(Step::Endless(more.repeat(500).into_bytes())).then(End::Close)
}

fn endless_chunk_line(teller: &mut Teller<'_>) -> Script {
    let head = format!("{}transfer-encoding: chunked\r\n", teller.ok());
    let (begun, more) = *teller.random.pick(&[("5;x=", "extension"), ("0", "0"), ("1\r\n{\r\n1;", ";")]);
    let script = Script::send(Teller::message(head, begun.as_bytes()));
    script.step(Step::Endless(more.repeat(1_000).into_bytes())).then(End::Close)
}

fn endless_trailers(teller: &mut Teller<'_>) -> Script {
    let mut body = teller.chunks(&teller.raw());
    body.extend_from_slice(b"0\r\n");
    let head = format!("{}transfer-encoding: chunked\r\n", teller.ok());
    let script = Script::send(Teller::message(head, &body)).begins(teller.amended());
    script.step(Step::Endless(b"x-trailer: more\r\n".repeat(100))).then(End::Close)
}

fn endless_1xx(_: &mut Teller<'_>) -> Script {
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(50);
    Script::new(vec![Step::Endless(hints)]).then(End::Close)
}

/// A page that never ends, of rows or of one row.
fn endless_rows(teller: &mut Teller<'_>) -> Script {
    let head = format!("{}connection: close\r\n", teller.ok());
    let (begun, more) = *teller.random.pick(&[
        ("[0", ",{\"api_key_id\":\"key_const\",\"n\":1.10}"),
        ("[{\"api_key_id\":\"key_const\"", ",\"n\":1.10"),
        ("{\"api_key_id\":\"key_const\",\"x\":\"", "xxxxxxxxxx"),
        ("", "                "),
        ("", "{\"api_key_id\":"),
    ]);
    let script = Script::send(Teller::message(head, begun.as_bytes()));
    let mut script = script.step(Step::Endless(more.repeat(500).into_bytes())).then(End::Close);
    script.enough = 4 * LIMIT;
    script
}

/// A gigabyte from little: in one undecided object.
fn bomb(teller: &mut Teller<'_>) -> Script {
    let (coding, body) = teller.random.pick(&teller.world.bombs);
    let head = format!("{}content-encoding: {coding}\r\n", teller.ok());
    let mut script = Script::send(Teller::measured(head, body)).then(End::Close);
    script.enough = 32 * LIMIT;
    script
}
