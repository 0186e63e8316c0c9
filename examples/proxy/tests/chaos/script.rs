//! The upstream's behavior for one request as a list of steps, with the expected response. Both sides compute the script
//! from the request's nonce.
use crate::documents::{Document, Expected};
use crate::faults::FAULTS;
use crate::fixtures::Fixtures;
use crate::random::Random;
use crate::well_behaved::WELL_BEHAVED;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// A short pause.
    Pause,
    /// Sends the same bytes repeatedly until the peer closes.
    Endless(Vec<u8>),
    /// Sends nothing until the peer closes.
    Stall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Keeps the connection open for the next request.
    Stay,
    /// Closes with FIN.
    Close,
    /// Closes with RST. Bytes that the peer has not read are lost.
    Reset,
}

/// The outcome for most clients that do not disconnect. Others receive a 502 or 504, because a pooled connection was
/// closed, or because the machine was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypicalOutcome {
    Complete,
    Error(u16),
    /// Depends on the document or on timing.
    Varies,
}

/// The only valid response with a clean end.
#[derive(Clone, Debug)]
pub(crate) struct CompleteResponse {
    pub(crate) status: u16,
    pub(crate) body: Expected,
    /// A content coding that the proxy does not decode.
    pub(crate) coding: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    /// The response does not wait for the request's body.
    pub(crate) early: bool,
    /// The request's method is `HEAD`.
    pub(crate) to_head: bool,
    /// `None`: no response is valid. A clean end of anything but an error is a failure.
    pub(crate) expected: Option<CompleteResponse>,
    /// The beginning of the body of a response that breaks off.
    pub(crate) expected_prefix: Option<Expected>,
    /// The number of body bytes after which the client disconnects.
    pub(crate) read_limit: usize,
}

/// One way in which the upstream responds.
pub(crate) struct Behavior {
    pub(crate) name: &'static str,
    pub(crate) weight: usize,
    pub(crate) typical: TypicalOutcome,
    pub(crate) script: fn(&mut ScriptBuilder<'_>) -> Script,
}

/// Builds the script of one request.
pub(crate) struct ScriptBuilder<'a> {
    pub(crate) fixtures: &'a Fixtures,
    pub(crate) random: Random,
    pub(crate) nonce: String,
    pub(crate) document: &'a Document,
}

impl<'a> ScriptBuilder<'a> {
    pub(crate) fn new(fixtures: &'a Fixtures, mut random: Random, nonce: String) -> Self {
        let document = random.pick(&fixtures.documents);
        Self { fixtures, random, nonce, document }
    }

    /// Selects a behavior, in 60 % of the cases a correct one.
    pub(crate) fn behavior(&mut self) -> &'static Behavior {
        let behaviors = if self.random.chance(60) { WELL_BEHAVED } else { FAULTS };
        self.random.pick_weighted(behaviors, |behavior| behavior.weight)
    }

    pub(crate) fn raw(&self) -> Vec<u8> {
        self.document.raw(&self.nonce)
    }

    pub(crate) fn amended(&self) -> Expected {
        self.document.amended(&self.nonce)
    }

    /// Returns a status line and the headers that every response has. The nonce is a header for responses without content.
    pub(crate) fn read_headers(&self, status_line: &str) -> String {
        format!(
            "{status_line}\r\ncontent-type: application/json\r\nx-nonce: {nonce}\r\nx-request-id: {nonce}\r\n",
            nonce = self.nonce
        )
    }

    pub(crate) fn ok(&self) -> String {
        self.read_headers("HTTP/1.1 200 OK")
    }

    /// Sends the bytes at once, or in a few pieces.
    pub(crate) fn pieces(&mut self, bytes: Vec<u8>) -> Vec<Step> {
        if self.random.chance(70) {
            return vec![Step::Send(bytes)];
        }
        let mut steps = Vec::new();
        let mut rest = &bytes[..];
        for _ in 0..1 + self.random.below(3) {
            let (piece, after) = rest.split_at(self.random.below(rest.len() + 1));
            steps.extend([Step::Send(piece.to_vec()), Step::Pause]);
            rest = after;
        }
        steps.push(Step::Send(rest.to_vec()));
        steps
    }

    /// Splits the bytes into chunks, without the last chunk.
    pub(crate) fn chunks(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let most = *self.random.pick(&[1 << 20, 16 * 1024, 3_000]);
        let mut chunked = Vec::with_capacity(bytes.len() + 64);
        while !bytes.is_empty() {
            let (chunk, rest) = bytes.split_at((1 + self.random.below(most)).min(bytes.len()));
            let extension = *self.random.pick(&["", "", ";a=b", ";c=\"d;e\""]);
            chunked.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
            bytes = rest;
        }
        chunked
    }

    /// Joins headers and body.
    pub(crate) fn message(mut headers: String, body: &[u8]) -> Vec<u8> {
        headers += "\r\n";
        let mut message = headers.into_bytes();
        message.extend_from_slice(body);
        message
    }

    /// Joins headers and body, with a correct Content-Length.
    pub(crate) fn with_content_length(headers: String, body: &[u8]) -> Vec<u8> {
        Self::message(format!("{headers}content-length: {}\r\n", body.len()), body)
    }

    /// A response with the document and its length.
    pub(crate) fn response_with_length(&self) -> Vec<u8> {
        Self::with_content_length(self.ok(), &self.raw())
    }

    /// A response that ends with the connection.
    pub(crate) fn response_until_close(&self) -> Vec<u8> {
        Self::message(format!("{}connection: close\r\n", self.ok()), &self.raw())
    }

    /// A chunked response, with additional headers and trailers.
    pub(crate) fn chunked_response(&mut self, fields: &str, trailers: &str) -> Vec<u8> {
        let mut body = self.chunks(&self.raw());
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        Self::message(format!("{}transfer-encoding: chunked\r\n{fields}", self.ok()), &body)
    }
}

impl Script {
    /// Makes a script that keeps the connection open.
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps,
            end: End::Stay,
            early: false,
            to_head: false,
            expected: None,
            expected_prefix: None,
            read_limit: usize::MAX,
        }
    }

    pub(crate) fn send(bytes: Vec<u8>) -> Self {
        Self::new(vec![Step::Send(bytes)])
    }

    pub(crate) fn end_with(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn expect(mut self, status: u16, body: Expected) -> Self {
        self.expected = Some(CompleteResponse { status, body, coding: None });
        self
    }

    pub(crate) fn expect_prefix(mut self, body: Expected) -> Self {
        self.expected_prefix = Some(body);
        self
    }
}
