//! Malformed, ambiguous and unusual requests.
use std::net::SocketAddr;

use crate::client::{connect, read_response};
use crate::fixtures::Fixtures;
use crate::plan::{MAX_REQUESTS, kind, nonce};
use crate::random::Random;
use crate::verdict::{is_bare_status, own_error};

struct MalformedRequest {
    name: &'static str,
    /// The first character of the nonce, see `kind`.
    kind: char,
    /// `NONCE` and `SMUGGLED` are replaced by nonces.
    text: &'static str,
    /// The permitted statuses. 200 is the upstream's. Without any, the connection is not read.
    statuses: &'static [u16],
}

macro_rules! malformed_requests {
    ($($name:literal, $kind:ident, $statuses:expr, $text:expr;)*) => {
        &[$(MalformedRequest { name: $name, kind: kind::$kind, statuses: &$statuses, text: $text }),*]
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

const MALFORMED_REQUESTS: &[MalformedRequest] = malformed_requests! {
    "not HTTP", BROKEN, [400], "\x16\x03\x01\x02\0\x01\0\x01\n\r\n\r\n";
    "request line of one word", BROKEN, [400], "GET\r\n\r\n";
    "no version", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE\r\nhost: x\r\n\r\n";
    "unknown version", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE HTTP/1.7\r\nhost: x\r\n\r\n";
    "a space in the target", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE x HTTP/1.1\r\nhost: x\r\n\r\n";
    "a control in the target", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE\x07 HTTP/1.1\r\nhost: x\r\n\r\n";
    "HTTP/2 preface, then garbage", BROKEN, [], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame, and more of that";
    // Headers.
    "folded header", BROKEN, [400], get!("host: x\r\nx-a: b\r\n c\r\n\r\n");
    "a space before the colon", BROKEN, [400], get!("host : x\r\n\r\n");
    "space before the first header", BROKEN, [400], get!(" host: x\r\n\r\n");
    "header without a colon", BROKEN, [400], get!("host: x\r\nnothing\r\n\r\n");
    "NUL in a header", BROKEN, [400], get!("host: x\r\nx-a: \0\r\n\r\n");
    "bare CR in a header", BROKEN, [400], get!("host: x\r\nx-a: b\rx-c: d\r\n\r\n");
    "no Host", BROKEN, [400], get!("\r\n");
    "two Hosts", BROKEN, [400], get!("host: x\r\nhost: y\r\n\r\n");
    // Lengths.
    "two lengths", BROKEN, [400], concat!(post!("content-length: 5\r\ncontent-length: 90\r\n\r\n"), "01234", smuggled!());
    "two lengths in one", BROKEN, [400], concat!(post!("content-length: 5, 90\r\n\r\n"), "01234", smuggled!());
    "a length with a sign", BROKEN, [400], concat!(post!("content-length: +5\r\n\r\n"), "01234");
    "a length below 0", BROKEN, [400], concat!(post!("content-length: -1\r\n\r\n"), "01234");
    "length out of range", BROKEN, [400], post!("content-length: 18446744073709551616\r\n\r\n");
    "empty length", BROKEN, [400], post!("content-length:\r\n\r\n");
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
    "chunk without a size", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\r\n01234\r\nnot a size\r\n");
    "chunk longer than its size", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\r\n0123456789\r\n0\r\n\r\n", smuggled!());
    "a chunk of 0x5", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "0x5\r\n01234\r\n0\r\n\r\n");
    "a chunk below 0", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "-1\r\n01234\r\n0\r\n\r\n");
    "chunk size out of range", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "fffffffffffffffff\r\n01234\r\n0\r\n\r\n");
    "a bare LF in chunks", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\n01234\n0\n\n", smuggled!());
    "a bad trailer", BROKEN, [400], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "5\r\n01234\r\n0\r\nno colon\r\n\r\n");
    // Truncated requests.
    "truncated headers", BROKEN, [], get!("host: x\r\nx-a");
    "truncated body", BROKEN, [], concat!(post!("content-length: 10\r\n\r\n"), "01234");
    "truncated chunks", BROKEN, [], concat!(post!("transfer-encoding: chunked\r\n\r\n"), "a\r\n01234");
    // Targets.
    "absolute form", ODD, [200], "GET http://evil.example/v1/organization/costs?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "an upgrade", ODD, [200], get!("host: x\r\nconnection: upgrade, x-a\r\nupgrade: websocket\r\nx-a: b\r\n\r\n");
    "bytes above ASCII", ODD, [200, 400], "GET /v1/organization/costs?nonce=NONCE&x=\u{fc} HTTP/1.1\r\nhost: x\r\n\r\n";
    "path out of scope", BROKEN, [404], "GET /v1/elsewhere?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "path that leaves its tree", BROKEN, [404], "GET /v1/organization/%2e%2e/files?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "asterisk form", BROKEN, [404, 405], "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n";
    "CONNECT", BROKEN, [400, 404, 405], "CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\n\r\n";
    "TRACE", BROKEN, [405], "TRACE /v1/organization/costs?nonce=NONCE HTTP/1.1\r\nhost: x\r\n\r\n";
    "unknown name", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE&api_key_names=nobody HTTP/1.1\r\nhost: x\r\n\r\n";
    "names in an unknown list form", BROKEN, [400], "GET /v1/organization/costs?nonce=NONCE&api_key_names[x]=constant HTTP/1.1\r\nhost: x\r\n\r\n";
};

/// Sends one of the requests and checks the response.
pub(crate) async fn send_one(fixtures: &Fixtures, proxy: SocketAddr, random: &mut Random, place: u64) {
    let case = random.pick(MALFORMED_REQUESTS);
    let own = nonce(case.kind, place);
    let text = case.text.replace("NONCE", &own).replace("SMUGGLED", &nonce(kind::SMUGGLED, place));
    if let Err(error) = send(fixtures, proxy, case, &own, text.as_bytes()).await {
        fixtures.record_failure(
            place / MAX_REQUESTS as u64,
            format!("{own}, a malformed request `{}`: {error}", case.name),
        );
    }
}

async fn send(
    fixtures: &Fixtures,
    proxy: SocketAddr,
    case: &MalformedRequest,
    nonce: &str,
    text: &[u8],
) -> Result<(), String> {
    fixtures.count_request();
    let mut wire = connect(proxy).await;
    // The proxy may close the connection before the end.
    let _ = wire.write(text).await;
    if case.statuses.is_empty() {
        // The request is incomplete, so there is no response.
        wire.reset();
        return Ok(());
    }
    let Some(received) = read_response(&mut wire, false, usize::MAX).await? else { return Ok(()) };
    let status = match own_error(&received) {
        Some(status) => status,
        None if is_bare_status(&received) => received.status,
        None if received.headers.get("x-nonce") == Some(nonce) => received.status,
        None => return Err(format!("neither an error nor the response: {received:?}")),
    };
    // 502 and 504 are permitted: the upstream may have closed a pooled connection, or may be busy with another
    // request on it.
    if !case.statuses.contains(&status) && !matches!(status, 502 | 504) {
        return Err(format!("{status}: {received:?}"));
    }
    wire.reset();
    Ok(())
}
