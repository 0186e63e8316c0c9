//! Real sockets: a hyper server as upstream, hyper-util's client towards it, a hyper server in front, and
//! hyper-util's client asking. Over HTTP/1.1 and HTTP/2 on either side.
//!
//! No layer between them takes hop-by-hop headers off, and hyper panics here where `Content-Length` and
//! the body's own hint disagree, so what arrives is what the layer said.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use tower::{BoxError, ServiceBuilder, service_fn};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Http1,
    Http2,
}

use Wire::{Http1, Http2};

/// In front, and towards upstream.
const WIRES: [(Wire, Wire); 4] = [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)];

type Answer = Response<BoxBody<Bytes, BoxError>>;

/// A server on a free port of this machine.
async fn serve<S, B>(wire: Wire, service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let server = if wire == Http1 { server.http1_only() } else { server.http2_only() };
                // A body that breaks is an error here too.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn client<B>(wire: Wire) -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).http2_only(wire == Http2).build_http()
}

/// The layer between two sockets, as in a gateway that does nothing else.
async fn gateway(layer: ApiKeyNameLayer, wires: (Wire, Wire), upstream: SocketAddr) -> SocketAddr {
    gateway_that_says(layer, wires, upstream, || {}).await
}

/// One that says when a frame has come from upstream.
async fn gateway_that_says(
    layer: ApiKeyNameLayer,
    (front, back): (Wire, Wire),
    upstream: SocketAddr,
    say: impl Fn() + Clone + Send + 'static,
) -> SocketAddr {
    let heard = move |response: Response<Incoming>| {
        let say = say.clone();
        response.map(|body| {
            body.map_frame(move |frame| {
                say();
                frame
            })
        })
    };
    let onward = move |mut request: Request<Incoming>| {
        let path = request.uri().path_and_query().unwrap().clone();
        *request.uri_mut() = Uri::builder()
            .scheme("http")
            .authority(upstream.to_string())
            .path_and_query(path)
            .build()
            .unwrap();
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().remove(header::HOST);
        request
    };
    let service = ServiceBuilder::new()
        .layer(layer)
        .map_request(onward)
        .map_response(heard)
        .service(client::<Incoming>(back));
    serve(front, service).await
}

/// An upstream that answers every request like this.
async fn upstream(
    wire: Wire,
    answer: impl Fn(&Request<Incoming>) -> Answer + Clone + Send + 'static,
) -> SocketAddr {
    let service = service_fn(move |request: Request<Incoming>| ready(Ok::<_, Infallible>(answer(&request))));
    serve(wire, service).await
}

async fn ask(wire: Wire, address: SocketAddr, method: Method) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{COSTS}"))
        .header(header::TE, "trailers")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = tokio::time::timeout(DEADLINE, client(wire).request(request)).await.unwrap().unwrap();
    assert_eq!(response.version(), if wire == Http1 { Version::HTTP_11 } else { Version::HTTP_2 });
    response
}

/// All of the answer, the trailers too; it ends, and does so well.
async fn collect(response: Response<Incoming>) -> (http::response::Parts, Bytes, Option<HeaderMap>) {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
    let trailers = body.trailers().cloned();
    (head, body.to_bytes(), trailers)
}

fn json(body: impl Body<Data = Bytes, Error = BoxError> + Send + Sync + 'static) -> Answer {
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(BoxBody::new(body)).unwrap()
}

fn described(mut answer: Answer) -> Answer {
    answer.headers_mut().extend(page(()).headers().clone());
    answer
}

fn whole(text: &'static str) -> impl Body<Data = Bytes, Error = BoxError> + Send + Sync {
    Full::from(text).map_err(|never| match never {})
}

fn length(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap())
}

#[tokio::test]
async fn a_page_with_its_length_and_one_in_chunks() {
    for wires in WIRES {
        let in_chunks = upstream(wires.1, |_| json(Frames::of(PLAIN))).await;
        let with_length = upstream(wires.1, |_| described(json(whole(PLAIN)))).await;
        for upstream in [in_chunks, with_length] {
            let address = gateway(layer(), wires, upstream).await;
            let (head, body, _) = collect(ask(wires.0, address, Method::GET).await).await;
            assert_eq!(body, NAMED, "{wires:?}");
            assert_eq!(length(&head.headers), Some(&*NAMED.len().to_string()), "{wires:?}");
            assert!(!head.headers.contains_key(header::TRANSFER_ENCODING), "{wires:?}");
            assert!(!head.headers.contains_key(header::ETAG), "{wires:?}");

            let address = gateway(layer().limit(0), wires, upstream).await;
            let (head, body, _) = collect(ask(wires.0, address, Method::GET).await).await;
            assert_eq!(body, NAMED, "streamed, {wires:?}");
            assert_eq!(length(&head.headers), None, "streamed, {wires:?}");
            assert!(!head.headers.contains_key(header::ETAG), "streamed, {wires:?}");
        }
    }
}

#[tokio::test]
async fn a_page_with_nothing_to_name() {
    const NOTHING: &str = r#"{"object":"page","data":[]}"#;
    for wires in WIRES {
        let in_chunks = upstream(wires.1, |_| json(Frames::of(NOTHING))).await;
        let with_length = upstream(wires.1, |_| json(whole(NOTHING))).await;
        let empty = upstream(wires.1, |_| json(whole(""))).await;
        for (upstream, text) in [(in_chunks, NOTHING), (with_length, NOTHING), (empty, "")] {
            for limit in [1 << 20, 0] {
                let address = gateway(layer().limit(limit), wires, upstream).await;
                let (_, body, _) = collect(ask(wires.0, address, Method::GET).await).await;
                assert_eq!(body, text, "{wires:?}");
            }
        }
    }
}

/// Larger than what any buffer on the way holds at once.
#[tokio::test]
async fn a_large_page() {
    const ROWS: usize = 5_000;
    let pad = "x".repeat(160);
    let row = |name| format!("{{\"line_item\":\"{pad}\",\"api_key_id\":\"key_a\"{name}}},").repeat(ROWS);
    let close = |rows: String| format!("[{}]", rows.trim_end_matches(','));
    let plain = Bytes::from(close(row("")));
    let named = close(row(",\"api_key_name\":\"checkout\""));
    for wires in WIRES {
        let sent = plain.clone();
        let upstream = upstream(wires.1, move |_| {
            let plain = sent.clone();
            let frames = (0..plain.len()).step_by(10_007);
            let frames = frames.map(move |at| plain.slice(at..plain.len().min(at + 10_007)));
            json(Frames::new(frames.map(|frame| Ok(Frame::data(frame)))))
        })
        .await;
        // The bytes of the page and the charge for its edits.
        let most = plain.len() + 40 * ROWS;
        for limit in [2 << 20, most, most - 1, 0] {
            let address = gateway(layer().limit(limit), wires, upstream).await;
            let (head, body, _) = collect(ask(wires.0, address, Method::GET).await).await;
            assert!(body == named, "{wires:?}, limit {limit}");
            let exact = (limit >= most).then(|| named.len().to_string());
            assert_eq!(length(&head.headers), exact.as_deref(), "{wires:?}, limit {limit}");
        }
    }
}

#[tokio::test]
async fn head_says_nothing_of_bytes_that_get_would_not_have() {
    for wires in WIRES {
        let upstream = upstream(wires.1, |request| {
            assert_eq!(request.method(), Method::HEAD);
            described(json(whole("")))
        })
        .await;
        let address = gateway(layer(), wires, upstream).await;
        let (head, body, _) = collect(ask(wires.0, address, Method::HEAD).await).await;
        assert_eq!((head.status, body.len()), (StatusCode::OK, 0), "{wires:?}");
        assert_eq!(length(&head.headers), None, "neither the unnamed page's nor 0, {wires:?}");
        assert!(!head.headers.contains_key(header::ETAG), "{wires:?}");
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/json", "{wires:?}");
    }
}

/// hyper panics where the head's length and the body's do not agree.
#[tokio::test]
async fn an_answer_of_the_layers_own() {
    for wires in WIRES {
        let upstream = upstream(wires.1, |_| panic!("nobody is asked")).await;
        let address = gateway(layer(), wires, upstream).await;
        let mut length_of_get = None;
        for method in [Method::GET, Method::HEAD] {
            let target = format!("http://{address}{COSTS}&api_key_names[]=nobody");
            let request = Request::builder().method(&method).uri(target).body(Full::default()).unwrap();
            let answer = client::<Full<Bytes>>(wires.0).request(request);
            let (head, body, _) =
                collect(tokio::time::timeout(DEADLINE, answer).await.unwrap().unwrap()).await;
            assert_eq!(head.status, StatusCode::BAD_REQUEST, "{wires:?}");
            let length = length(&head.headers).map(|length| length.parse::<usize>().unwrap());
            if method == Method::GET {
                assert_eq!(length, Some(body.len()), "{wires:?}");
                length_of_get = length;
            } else {
                assert!(body.is_empty() && length == length_of_get, "{wires:?}");
            }
        }
    }
}

/// A service on this side of the sockets gives a body for `HEAD` too, and leaves it to the server to drop it.
#[tokio::test]
async fn head_of_a_service_that_answers_as_to_get() {
    let inner =
        service_fn(|_: Request<Incoming>| ready(Ok::<_, Infallible>(page(Full::<Bytes>::from(PLAIN)))));
    let address = serve(Http1, ServiceBuilder::new().layer(layer()).service(inner)).await;
    let (head, body, _) = collect(ask(Http1, address, Method::HEAD).await).await;
    assert_eq!(length(&head.headers), None, "the server knows the body's length, and must not say it");
    assert!(body.is_empty());
}

#[tokio::test]
async fn answers_without_a_body() {
    for wires in WIRES {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let upstream = upstream(wires.1, move |_| {
                let mut answer = json(whole(""));
                *answer.status_mut() = status;
                answer.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"plain\""));
                answer
            })
            .await;
            let address = gateway(layer(), wires, upstream).await;
            let (head, body, _) = collect(ask(wires.0, address, Method::GET).await).await;
            assert_eq!((head.status, body.len()), (status, 0), "{wires:?}");
            assert_eq!(head.headers[header::ETAG], "\"plain\"", "{wires:?}");
            assert_eq!(length(&head.headers), None, "{wires:?}");
        }
    }
}

#[tokio::test]
async fn trailers_arrive() {
    for wires in WIRES {
        let upstream = upstream(wires.1, |_| {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checked", HeaderValue::from_static("yes"));
            trailers.insert("content-digest", HeaderValue::from_static("sha-256=:AAAA:"));
            let frames = Frames::of(PLAIN).0.into_iter().chain([Ok(Frame::trailers(trailers))]);
            let mut answer = json(Frames::new(frames));
            answer
                .headers_mut()
                .insert(header::TRAILER, HeaderValue::from_static("x-checked, content-digest"));
            answer
        })
        .await;
        for limit in [1 << 20, 0] {
            let address = gateway(layer().limit(limit), wires, upstream).await;
            let (head, body, trailers) = collect(ask(wires.0, address, Method::GET).await).await;
            assert_eq!(body, NAMED, "{wires:?}");
            assert_eq!(length(&head.headers), None, "{wires:?}");
            assert_eq!(head.headers[header::TRAILER], "x-checked", "{wires:?}");
            let trailers = trailers.unwrap();
            assert_eq!(trailers["x-checked"], "yes", "{wires:?}");
            assert!(!trailers.contains_key("content-digest"), "of other bytes, {wires:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_ends_no_answer_well() {
    for wires in WIRES {
        for (has_length, limit) in [(false, 1 << 20), (true, 1 << 20), (false, 0), (true, 0)] {
            let (sender, mut receiver) = unbounded_channel();
            let upstream = upstream(wires.1, move |_| {
                let (frames, body) = Channel::<Bytes, BoxError>::new(1);
                assert!(sender.send(frames).is_ok());
                if has_length { described(json(body)) } else { json(body) }
            })
            .await;
            let (say, mut heard) = unbounded_channel();
            let say = move || say.send(()).unwrap();
            let address = gateway_that_says(layer().limit(limit), wires, upstream, say).await;
            let request = Request::get(format!("http://{address}{COSTS}")).body(Full::<Bytes>::default());
            let asked = tokio::spawn(client(wires.0).request(request.unwrap()));

            let broken = async {
                let mut frames = receiver.recv().await.unwrap();
                frames.send_data(PLAIN[..150].into()).await.unwrap();
                heard.recv().await.unwrap();
                // It breaks when the layer has some of it.
                frames.abort(io::Error::other("on purpose").into());
            };
            tokio::time::timeout(DEADLINE, broken).await.unwrap();
            // The connection may break before the client has seen the head.
            if let Ok(response) = tokio::time::timeout(DEADLINE, asked).await.unwrap().unwrap() {
                let body = tokio::time::timeout(DEADLINE, response.into_body().collect()).await.unwrap();
                assert!(body.is_err(), "{wires:?}, length {has_length}, limit {limit}");
            }
        }
    }
}

/// Rows leave before the answer's end has come.
#[tokio::test]
async fn a_streamed_page_arrives_row_by_row() {
    for wires in WIRES {
        let (sender, mut receiver) = unbounded_channel();
        let upstream = upstream(wires.1, move |_| {
            let (frames, body) = Channel::<Bytes, BoxError>::new(1);
            assert!(sender.send(frames).is_ok());
            json(body)
        })
        .await;
        let address = gateway(layer().limit(0), wires, upstream).await;
        let asked = tokio::spawn(ask(wires.0, address, Method::GET));
        let mut frames = receiver.recv().await.unwrap();
        let row = "[{\"api_key_id\":\"key_a\"}";
        frames.send_data(row.into()).await.unwrap();
        let mut body = asked.await.unwrap().into_body();
        let mut arrived = Vec::new();
        while arrived.len() < "[{\"api_key_id\":\"key_a\",\"api_key_name\":\"checkout\"".len() {
            let frame = tokio::time::timeout(DEADLINE, body.frame()).await.unwrap().unwrap().unwrap();
            arrived.extend(frame.into_data().unwrap());
        }
        assert!(
            arrived.starts_with(b"[{\"api_key_id\":\"key_a\",\"api_key_name\":\"checkout\""),
            "{wires:?}"
        );
        frames.send_data("]".into()).await.unwrap();
        drop(frames);
        let rest = tokio::time::timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
        arrived.extend(rest.to_bytes());
        assert_eq!(arrived, b"[{\"api_key_id\":\"key_a\",\"api_key_name\":\"checkout\"}]", "{wires:?}");
    }
}
