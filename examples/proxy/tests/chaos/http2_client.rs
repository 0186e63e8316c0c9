//! The HTTP/2 client: concurrent requests on one connection, some of which are cancelled.
use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::client::{ClientKind, check_response};
use crate::fixtures::Fixtures;
use crate::plan::Plan;
use crate::random::Random;
use crate::verdict::{BodyEnd, Received};
use crate::wire::Headers;

pub(crate) async fn send_all(fixtures: &Fixtures, proxy: SocketAddr, random: &mut Random, plans: Vec<Plan>) {
    let stream = TcpStream::connect(proxy).await.expect("the proxy accepts connections");
    let _ = stream.set_zero_linger();
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut streams = tokio::task::JoinSet::new();
    for plan in plans {
        fixtures.count_request();
        let read_limit = if random.chance(15) { random.below(20_000) } else { usize::MAX };
        let read_limit = read_limit.min(plan.script.read_limit);
        let mut send = send.clone();
        streams.spawn(async move {
            let received = match send.ready().await {
                Ok(()) => read_response(send.send_request(request(&plan, proxy)), read_limit).await,
                Err(_) => None,
            };
            (plan, read_limit, received)
        });
    }
    while let Some(ended) = streams.join_next().await {
        let (plan, read_limit, received) = ended.unwrap();
        let client_kind = if read_limit < plan.script.read_limit {
            ClientKind::Disconnecting(read_limit)
        } else {
            ClientKind::Streams
        };
        check_response(fixtures, client_kind, &plan, Ok(received.as_ref()));
    }
    drop(send);
    connection.abort();
}

fn request(plan: &Plan, proxy: SocketAddr) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(plan.method)
        .uri(format!("http://{proxy}{}", plan.target()))
        .header("authorization", format!("Bearer {}", plan.nonce));
    if let Some(accept) = plan.accept {
        request = request.header("accept-encoding", accept);
    }
    request.body(Full::new(plan.content().into())).unwrap()
}

async fn read_response(
    read_response: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>,
    read_limit: usize,
) -> Option<Received> {
    let (headers, mut body) = read_response.await.ok()?.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = headers.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let mut received = Received {
        status: headers.status.as_u16(),
        headers: Headers { line: String::new(), fields },
        body: Vec::new(),
        end: BodyEnd::Clean,
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => received.body.extend(frame.into_data().unwrap_or_default()),
            Err(_) => {
                received.end = BodyEnd::Broken;
                break;
            }
        }
        if received.body.len() >= read_limit {
            received.end = BodyEnd::NotReached;
            break;
        }
    }
    Some(received)
}
