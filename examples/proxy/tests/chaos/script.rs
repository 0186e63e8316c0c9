//! What the upstream does for one request, as steps, and what the client has to get of it. Both sides make the
//! script anew from the request's nonce, so nothing need be told between them.
use crate::documents::{Document, Expected};
use crate::honest::HONEST;
use crate::lies::LIES;
use crate::random::Random;
use crate::world::World;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// A moment of nothing.
    Pause,
    /// The same again and again, for as long as anybody takes it.
    Endless(Vec<u8>),
    /// Nothing more, until the other side has had enough.
    Stall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection serves the next request.
    Stay,
    /// FIN.
    Close,
    /// RST, and what was not read yet is lost.
    Reset,
}

/// What most of the clients that stay get. Some get a 502 or 504 that was made for another: a connection that was
/// good when it was taken from the pool, a machine that was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usual {
    Whole,
    Error(u16),
    /// One or another of these, by the document or by the moment.
    Varies,
}

/// The only answer with a clean end that is right.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) body: Expected,
    /// A content coding that the proxy leaves alone.
    pub(crate) coding: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    /// Without waiting for the request's body.
    pub(crate) early: bool,
    /// To `HEAD`.
    pub(crate) to_head: bool,
    /// None: there is no right one, and whatever ends cleanly but for an error is a lie that was passed on.
    pub(crate) whole: Option<Whole>,
    /// How the body of an answer begins that has no clean end.
    pub(crate) begins: Option<Expected>,
    /// The client goes after so many bytes.
    pub(crate) enough: usize,
}

/// A kind of answer.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) weight: usize,
    pub(crate) usual: Usual,
    pub(crate) script: fn(&mut Teller<'_>) -> Script,
}

/// Who writes the script for one request.
pub(crate) struct Teller<'a> {
    pub(crate) world: &'a World,
    pub(crate) random: Random,
    pub(crate) nonce: String,
    pub(crate) document: &'a Document,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(world: &'a World, mut random: Random, nonce: String) -> Self {
        let document = random.pick(&world.documents);
        Self { world, random, nonce, document }
    }

    /// Honest more often than not.
    pub(crate) fn act(&mut self) -> &'static Act {
        let acts = if self.random.in_100(60) { HONEST } else { LIES };
        self.random.weigh(acts, |act| act.weight)
    }

    pub(crate) fn raw(&self) -> Vec<u8> {
        self.document.raw(&self.nonce)
    }

    pub(crate) fn amended(&self) -> Expected {
        self.document.amended(&self.nonce)
    }

    /// A status line, and the fields that every answer has: the nonce, for an answer without content too.
    pub(crate) fn head(&self, status_line: &str) -> String {
        format!(
            "{status_line}\r\ncontent-type: application/json\r\nx-nonce: {nonce}\r\nx-request-id: {nonce}\r\n",
            nonce = self.nonce
        )
    }

    pub(crate) fn ok(&self) -> String {
        self.head("HTTP/1.1 200 OK")
    }

    /// In one piece or in a few.
    pub(crate) fn pieces(&mut self, bytes: Vec<u8>) -> Vec<Step> {
        if self.random.in_100(70) {
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

    /// In chunks, without the last one and what follows it.
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

    /// Head and body, with the line between them.
    pub(crate) fn message(mut head: String, body: &[u8]) -> Vec<u8> {
        head += "\r\n";
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        message
    }

    /// With the length that it has.
    pub(crate) fn measured(head: String, body: &[u8]) -> Vec<u8> {
        Self::message(format!("{head}content-length: {}\r\n", body.len()), body)
    }

    /// The usual answer, with its length.
    pub(crate) fn whole(&self) -> Vec<u8> {
        Self::measured(self.ok(), &self.raw())
    }

    /// The same, up to where the connection closes.
    pub(crate) fn unmeasured(&self) -> Vec<u8> {
        Self::message(format!("{}connection: close\r\n", self.ok()), &self.raw())
    }

    /// The same in chunks, with more fields before them and behind.
    pub(crate) fn chunked(&mut self, fields: &str, trailers: &str) -> Vec<u8> {
        let mut body = self.chunks(&self.raw());
        body.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        Self::message(format!("{}transfer-encoding: chunked\r\n{fields}", self.ok()), &body)
    }
}

impl Script {
    /// All of it, and the connection goes on.
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps,
            end: End::Stay,
            early: false,
            to_head: false,
            whole: None,
            begins: None,
            enough: usize::MAX,
        }
    }

    pub(crate) fn send(bytes: Vec<u8>) -> Self {
        Self::new(vec![Step::Send(bytes)])
    }

    pub(crate) fn then(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn is(mut self, status: u16, body: Expected) -> Self {
        self.whole = Some(Whole { status, body, coding: None });
        self
    }

    pub(crate) fn begins(mut self, body: Expected) -> Self {
        self.begins = Some(body);
        self
    }
}
