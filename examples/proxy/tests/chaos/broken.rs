//! Requests that are none, that are two, or that are unusual.
use std::net::SocketAddr;

use crate::client::{answer, connect};
use crate::plan::{MOST, kind, nonce};
use crate::random::Random;
use crate::verdict::{is_bare, own_error};
use crate::world::World;

struct Breakage {
    name: &'static str,
    /// What the nonce says of it.
    kind: char,
    /// `NONCE` and `SMUGGLED` stand for such.
    text: &'static str,
    /// What is said to it, or the connection ends. 200 is of the upstream.
    said: &'static [u16],
}

macro_rules! breakages {
    ($($name:literal, $kind:ident, $said:expr, $text:expr;)*) => {
        &[$(Breakage { name: $name, kind: kind::$kind, said: &$said, text: $text }),*]
    };
}

macro_rules! get {
    ($rest:literal) => {
        concat!("GET /v1/organization/costs?nonce=NONCE HTTP/1.1\r\n", $rest)
    };
}

macro_rules! post {
    ($rest:literal) => {
        concat!("POST /v1/organization/costs?nonce=NONCE HTTP/1.1\r\nhost: x\r\n", $rest)
    };
}

macro_rules! smuggled {
    () => {
        "GET /v1/organization/costs?nonce=SMUGGLED HTTP/1.1\r\nhost: x\r\n\r\n"
    };
}

const BREAKAGES: &[Breakage] = breakages! {
    "no HTTP", BROKEN, [400], "\x16\x03\x01\x02\0\x01\0\x01\n\r\n\r\n";
    "a line of one word", BROKEN, [400], "GET\r\n\r\n";
    "no version", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE\r\nhost: x\r\n\r\n";
    "an unknown version", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE HTTP/1.7\r\nhost: x\r\n\r\n";
    "a space in the target", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE x HTTP/1.1\r\nhost: x\r\n\r\n";
    "a control in the target", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE\x07 HTTP/1.1\r\nhost: x\r\n\r\n";
    "HTTP/2 begun", BROKEN, [], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame, and more of that";
    // Fields.
    "a folded field", BROKEN, [400], get!("host: x\r\nx-a: b\r\n c\r\n\r\n");
    "a space before the colon", BROKEN, [400], get!("host : x\r\n\r\n");
    "a space before the first field", BROKEN, [400], get!(" host: x\r\n\r\n");
    "a field without a colon", BROKEN, [400], get!("host: x\r\nnothing\r\n\r\n");
    "a NUL in a field", BROKEN, [400], get!("host: x\r\nx-a: \0\r\n\r\n");
    "a bare CR in a field", BROKEN, [400], get!("host: x\r\nx-a: b\rx-c: d\r\n\r\n");
    "no Host", BROKEN, [400], get!("\r\n");
    "two Hosts", BROKEN, [400], get!("host: x\r\nhost: y\r\n\r\n");
    // Lengths.
    "two lengths", BROKEN, [400], concat!(post!("content-length: 5\r\ncontent-length: 90\r\n\r\n"), "01234", smuggled!());
    "two lengths in one", BROKEN, [400], concat!(post!("content-length: 5, 90\r\n\r\n"), "01234", smuggled!());
    "a length with a sign", BROKEN, [400], concat!(post!("content-length: +5\r\n\r\n"), "01234");
    "a length below 0", BROKEN, [400], concat!(post!("content-length: -1\r\n\r\n"), "01234");
    "a length past any", BROKEN, [400], post!("content-length: 18446744073709551616\r\n\r\n");
    "no length at all", BROKEN, [400], post!("content-length:\r\n\r\n");
    "a length, then chunks", ODD, [200, 400], concat!(post!("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"), "a\r\n0123456789\r\n0\r\n\r\n", smuggled!());
    "chunks, then a length", ODD, [200, 400], concat!(post!("transfer-encoding: chunked\r\ncontent-length: 200\r\n\r\n"), "a\r\n0123456789\r\n0\r\n\r\n", smuggled!());
    // Transfer codings.
    "xchunked", BROKEN, [400], concat!(post!("transfer-encoding: xchunked\r\n\r\n"), "0\r\n\r\n", smuggled!());
    "chunked, identity", BROKEN, [400], concat!(post!("transfer-encoding: chunked, identity\r\n\r\n"), "0\r\n\r\n", smuggled!());
    "chunked and identity", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n"), "0\r\n\r\n", smuggled!());
    "chunked after a tab", BROKEN, [400], concat!(post!("transfer-encoding: \x0bchunked\r\n\r\n"), "0\r\n\r\n", smuggled!());
    "gzip, chunked", BROKEN, [501], concat!(post!("transfer-encoding: gzip, chunked\r\n\r\n"), "a\r\n0123456789\r\n0\r\n\r\n");
    "chunked twice", BROKEN, [501], concat!(post!("transfer-encoding: chunked, chunked\r\n\r\n"), "a\r\n0123456789\r\n0\r\n\r\n");
    "chunks in HTTP/1.0", BROKEN, [400], "POST /v1/organization/costs?nonce=NONCE HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n";
    "CHUNKED", ODD, [200], concat!(post!("Transfer-Encoding: CHUNKED\r\n\r\n"), "a\r\n0123456789\r\n0\r\n\r\n");
    // Chunks.
    "a chunk of no size", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\r\n01234\r\nnot a size\r\n");
    "a chunk that is longer", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\r\n0123456789\r\n0\r\n\r\n", smuggled!());
    "a chunk of 0x5", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "0x5\r\n01234\r\n0\r\n\r\n");
    "a chunk below 0", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "-1\r\n01234\r\n0\r\n\r\n");
    "a chunk past any", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "fffffffffffffffff\r\n01234\r\n0\r\n\r\n");
    "a bare LF in chunks", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\n01234\n0\n\n", smuggled!());
    "a bad trailer", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\r\n01234\r\n0\r\nno colon\r\n\r\n");
    // Half of it.
    "half a head", BROKEN, [], get!("host: x\r\nx-a");
    "half a body", BROKEN, [], concat!(post!("content-length: 10\r\n\r\n"), "01234");
    "half of the chunks", BROKEN, [], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "a\r\n01234");
    // Targets.
    "the absolute form", ODD, [200], "GET http://evil.example/v1/organization/costs?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "an upgrade", ODD, [200], get!("host: x\r\nconnection: upgrade, x-a\r\nupgrade: websocket\r\nx-a: b\r\n\r\n");
    "bytes above ASCII", ODD, [200, 400], "GET /v1/organization/costs?nonce=NONCE&x=\u{fc} HTTP/1.1\r\nhost: x\r\n\r\n";
    "another place", BROKEN, [404], "GET /v1/elsewhere?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "a way out", BROKEN, [404], "GET /v1/organization/%2e%2e/files?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "the asterisk", BROKEN, [404, 405], "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n";
    "CONNECT", BROKEN, [400, 404, 405], "CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\n\r\n";
    "TRACE", BROKEN, [405], "TRACE /v1/organization/costs?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "a name that no key has", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE&api_key_names=nobody HTTP/1.1\r\nhost: x\r\n\r\n";
    "names in no form", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE&api_key_names[x]=constant HTTP/1.1\r\nhost: x\r\n\r\n";
};

/// One of them, and what follows.
pub(crate) async fn ask(world: &World, proxy: SocketAddr, random: &mut Random, place: u64) {
    let breakage = random.pick(BREAKAGES);
    let own = nonce(breakage.kind, place);
    let text = breakage.text.replace("NONCE", &own).replace("SMUGGLED", &nonce(kind::SMUGGLED, place));
    if let Err(why) = send(world, proxy, breakage, &own, text.as_bytes()).await {
        world.found(place / MOST as u64, format!("{own}, a broken request `{}`: {why}", breakage.name));
    }
}

async fn send(
    world: &World,
    proxy: SocketAddr,
    breakage: &Breakage,
    nonce: &str,
    text: &[u8],
) -> Result<(), String> {
    world.ask();
    let mut wire = connect(proxy).await;
    // It may have had enough before the end.
    let _ = wire.write(text).await;
    if breakage.said.is_empty() {
        // There is nothing to wait for.
        wire.reset();
        return Ok(());
    }
    let Some(got) = answer(&mut wire, false, usize::MAX).await? else { return Ok(()) };
    let said = match own_error(&got) {
        Some(status) => status,
        None if is_bare(&got) => got.status,
        None if got.head.get("x-nonce") == Some(nonce) => got.status,
        None => return Err(format!("neither an error nor its answer: {got:?}")),
    };
    // 502 and 504: of a connection that was good when it was taken from the pool, and whose other side had gone or
    // was busy with another's request.
    if !breakage.said.contains(&said) && !matches!(said, 502 | 504) {
        return Err(format!("{said}: {got:?}"));
    }
    wire.reset();
    Ok(())
}
