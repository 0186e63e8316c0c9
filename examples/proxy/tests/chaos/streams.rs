//! HTTP/2: several requests at once on one connection, some of them given up.
use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::client::{Manner, settle};
use crate::plan::Plan;
use crate::random::Random;
use crate::verdict::{Ended, Got};
use crate::wire::Head;
use crate::world::World;

pub(crate) async fn ask(world: &World, proxy: SocketAddr, random: &mut Random, plans: Vec<Plan>) {
    let stream = TcpStream::connect(proxy).await.expect("the proxy takes connections");
    let _ = stream.set_zero_linger();
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut streams = tokio::task::JoinSet::new();
    for plan in plans {
        world.ask();
        let enough = if random.in_100(15) { random.below(20_000) } else { usize::MAX };
        let enough = enough.min(plan.script.enough);
        let mut send = send.clone();
        streams.spawn(async move {
            let got = match send.ready().await {
                Ok(()) => answer(send.send_request(request(&plan, proxy)), enough).await,
                Err(_) => None,
            };
            (plan, enough, got)
        });
    }
    while let Some(ended) = streams.join_next().await {
        let (plan, enough, got) = ended.unwrap();
        let manner = if enough < plan.script.enough { Manner::Vanishing(enough) } else { Manner::Streams };
        settle(world, manner, &plan, Ok(got.as_ref()));
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

async fn answer(
    answer: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>,
    enough: usize,
) -> Option<Got> {
    let (head, mut body) = answer.await.ok()?.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let mut got = Got {
        status: head.status.as_u16(),
        head: Head { line: String::new(), fields },
        body: Vec::new(),
        end: Ended::Cleanly,
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => got.body.extend(frame.into_data().unwrap_or_default()),
            Err(_) => {
                got.end = Ended::Broken;
                break;
            }
        }
        if got.body.len() >= enough {
            got.end = Ended::Left;
            break;
        }
    }
    Some(got)
}
