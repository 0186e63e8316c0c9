//! Clients with HTTP/1.1: patient ones, pipelining ones, slow readers, and ones that disconnect.
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::fixtures::Fixtures;
use crate::plan::{MAX_REQUESTS, Plan, episode_of, kind, nonce};
use crate::random::Random;
use crate::verdict::{BodyEnd, Received, check, excerpt};
use crate::wire::{Reached, Wire, WireError};
use crate::{http2_client, malformed};

/// The behavior of a client on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// Sends one request after the other.
    Sequential,
    /// Sends all requests at once, then reads the responses.
    Pipelined,
    /// Reads a few bytes at a time, with pauses.
    Slow,
    /// Disconnects after this number of body bytes.
    Disconnecting(usize),
    /// Closes its side of the connection after sending.
    HalfClosed,
    /// Sends a malformed request.
    Broken,
    /// Uses HTTP/2.
    Streams,
}

impl ClientKind {
    fn pick(random: &mut Random) -> Self {
        match random.below(100) {
            0..40 => Self::Sequential,
            40..60 => Self::Pipelined,
            60..65 => Self::Slow,
            65..75 => Self::Disconnecting(random.below(30_000)),
            75..78 => Self::HalfClosed,
            78..88 => Self::Broken,
            _ => Self::Streams,
        }
    }
}

/// One connection with all its requests. The seed and `number` determine everything.
pub(crate) async fn episode(fixtures: &Fixtures, proxy: SocketAddr, number: u64) {
    // Requests use the places below.
    let mut random = Random::new(fixtures.seed, number | 1 << 63);
    let client_kind = ClientKind::pick(&mut random);
    let places = (0..1 + random.below(MAX_REQUESTS)).map(|i| number * MAX_REQUESTS as u64 + i as u64);
    match client_kind {
        ClientKind::Broken => {
            malformed::send_one(fixtures, proxy, &mut random, number * MAX_REQUESTS as u64).await
        }
        ClientKind::Streams => {
            http2_client::send_all(fixtures, proxy, &mut random, plans(fixtures, places)).await
        }
        _ => {
            let plans = plans(fixtures, places);
            let wire = connect(proxy).await;
            Client { fixtures, client_kind, wire }.send_all(plans).await;
        }
    }
}

fn plans(fixtures: &Fixtures, places: impl Iterator<Item = u64>) -> Vec<Plan> {
    places.map(|place| Plan::new(fixtures, &nonce(kind::PLANNED, place))).collect()
}

pub(crate) async fn connect(proxy: SocketAddr) -> Wire {
    Wire::new(TcpStream::connect(proxy).await.expect("the proxy accepts connections"))
}

/// Checks and counts a response, or records the failure.
pub(crate) fn check_response(
    fixtures: &Fixtures,
    client_kind: ClientKind,
    plan: &Plan,
    received: Result<Option<&Received>, String>,
) {
    let result = received.and_then(|received| match check(fixtures, plan, received) {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(format!(
            "{error}\n  {:?}",
            received.map(|received| (received.status, &received.headers.fields, received.end))
        )),
    });
    match result {
        Ok(outcome) => {
            // A client that disconnects early does not show the result of the behavior.
            if !matches!(client_kind, ClientKind::Disconnecting(_) | ClientKind::HalfClosed) {
                fixtures.count(plan.behavior.name, outcome);
            }
        }
        Err(error) => fixtures.record_failure(
            episode_of(&plan.nonce),
            format!(
                "{} ({}), client {client_kind:?}, upstream `{}`, end {:?}: {error}",
                plan.nonce,
                plan.target(),
                plan.behavior.name,
                plan.script.end
            ),
        ),
    }
}

struct Client<'a> {
    fixtures: &'a Fixtures,
    client_kind: ClientKind,
    wire: Wire,
}

impl Client<'_> {
    async fn send_all(mut self, plans: Vec<Plan>) {
        if self.client_kind == ClientKind::Slow {
            self.wire.slow_reads = 200;
        }
        let at_once = if self.client_kind == ClientKind::Pipelined { plans.len() } else { 1 };
        for plans in plans.chunks(at_once) {
            let mut requests = Vec::new();
            let mut rest = Vec::new();
            for plan in plans {
                self.fixtures.count_request();
                let (mut request, content) = plan.request();
                if plan.script.early && at_once == 1 {
                    // The upstream responds before the rest of the request is sent.
                    rest = request.split_off(content + (request.len() - content) / 2);
                }
                requests.extend(request);
            }
            // A write fails if the proxy has closed the connection. The read below shows the reason.
            let _ = self.wire.write(&requests).await;
            if self.client_kind == ClientKind::HalfClosed {
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.wire.stream).await;
            }
            for plan in plans {
                let received = self.read_response(plan).await;
                let is_reusable = matches!(&received, Ok(Some(received)) if received.end == BodyEnd::Clean && !received.headers.has_token("connection", "close"));
                check_response(
                    self.fixtures,
                    self.client_kind,
                    plan,
                    received.as_ref().map(Option::as_ref).map_err(Clone::clone),
                );
                if is_reusable && at_once == 1 && !self.wire.unread().is_empty() {
                    let rest = excerpt(self.wire.unread());
                    self.fixtures.record_failure(
                        episode_of(&plan.nonce),
                        format!("{} more bytes followed: {rest}", plan.behavior.name),
                    );
                }
                if !is_reusable {
                    return self.wire.reset();
                }
                if !rest.is_empty() && self.wire.write(&rest).await.is_err() {
                    return self.wire.reset();
                }
            }
        }
        self.wire.reset();
    }

    /// Returns `None` if the connection ended before the headers, and an error if the response is not valid HTTP.
    async fn read_response(&mut self, plan: &Plan) -> Result<Option<Received>, String> {
        let read_limit = match self.client_kind {
            ClientKind::Disconnecting(after) => after.min(plan.script.read_limit),
            _ => plan.script.read_limit,
        };
        read_response(&mut self.wire, plan.method == "HEAD", read_limit).await
    }
}

/// Reads the next response.
pub(crate) async fn read_response(
    wire: &mut Wire,
    to_head: bool,
    read_limit: usize,
) -> Result<Option<Received>, String> {
    let (status, headers) = loop {
        let headers = match wire.read_headers().await {
            Ok(headers) => headers,
            Err(WireError::Ended) => return Ok(None),
            Err(WireError::Invalid(error)) => return Err(error),
        };
        let status =
            headers.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        match status {
            Some(100) => {}
            Some(status) if status >= 200 => break (status, headers),
            _ => return Err(format!("unexpected status line {:?}", headers.line)),
        }
    };
    let mut received = Received { status, headers, body: Vec::new(), end: BodyEnd::Clean };
    let framing = match received.headers.framing() {
        Ok(framing) => framing,
        Err(failure) => return Err(format!("{failure:?}: {received:?}")),
    };
    if to_head || matches!(status, 204 | 304) {
        return Ok(Some(received));
    }
    let Some(framing) = framing else {
        return Err(format!("the end of the body is not defined: {received:?}"));
    };
    received.end = match wire.read_body(framing, &mut received.body, read_limit).await {
        Ok(Reached::End) => BodyEnd::Clean,
        Ok(Reached::Enough) => BodyEnd::NotReached,
        Err(WireError::Ended) => BodyEnd::Broken,
        Err(WireError::Invalid(error)) => return Err(format!("{error}: {received:?}")),
    };
    Ok(Some(received))
}
