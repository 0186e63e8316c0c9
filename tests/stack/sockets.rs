//! The layer between sockets: hyper-util's client, a hyper server with the layer, and a hyper server as upstream, with
//! HTTP/1.1 and HTTP/2 on either side.
//!
//! No other layer changes headers. hyper panics in debug builds if `Content-Length` and the size hint differ.

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
enum Protocol {
    Http1,
    Http2,
}

use Protocol::{Http1, Http2};

/// The protocols towards the client and towards the upstream.
const PROTOCOLS: [(Protocol, Protocol); 4] = [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)];

type BoxResponse = Response<BoxBody<Bytes, BoxError>>;

/// Starts a server on a free port of this machine.
async fn serve<S, B>(protocol: Protocol, service: S) -> SocketAddr
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
                let server = if protocol == Http1 { server.http1_only() } else { server.http2_only() };
                // A body that fails is an error of the connection too.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn client<B>(protocol: Protocol) -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).http2_only(protocol == Http2).build_http()
}

/// Starts a gateway with the layer.
async fn gateway(
    layer: ApiKeyNameLayer,
    protocols: (Protocol, Protocol),
    upstream: SocketAddr,
) -> SocketAddr {
    gateway_with_events(layer, protocols, upstream, || {}).await
}

/// Starts a gateway that calls `on_frame` for each frame of the upstream.
async fn gateway_with_events(
    layer: ApiKeyNameLayer,
    (front, back): (Protocol, Protocol),
    upstream: SocketAddr,
    on_frame: impl Fn() + Clone + Send + 'static,
) -> SocketAddr {
    let count_frames = move |response: Response<Incoming>| {
        let on_frame = on_frame.clone();
        response.map(|body| {
            body.map_frame(move |frame| {
                on_frame();
                frame
            })
        })
    };
    let to_upstream = move |mut request: Request<Incoming>| {
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
        .map_request(to_upstream)
        .map_response(count_frames)
        .service(client::<Incoming>(back));
    serve(front, service).await
}

/// Starts an upstream with this response to each request.
async fn upstream(
    protocol: Protocol,
    respond: impl Fn(&Request<Incoming>) -> BoxResponse + Clone + Send + 'static,
) -> SocketAddr {
    let service = service_fn(move |request: Request<Incoming>| ready(Ok::<_, Infallible>(respond(&request))));
    serve(protocol, service).await
}

async fn call(protocol: Protocol, address: SocketAddr, method: Method) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{COSTS}"))
        .header(header::TE, "trailers")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = tokio::time::timeout(DEADLINE, client(protocol).request(request)).await.unwrap().unwrap();
    assert_eq!(response.version(), if protocol == Http1 { Version::HTTP_11 } else { Version::HTTP_2 });
    response
}

/// Reads a response with its trailers.
async fn collect(response: Response<Incoming>) -> (http::response::Parts, Bytes, Option<HeaderMap>) {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
    let trailers = body.trailers().cloned();
    (head, body.to_bytes(), trailers)
}

fn json(body: impl Body<Data = Bytes, Error = BoxError> + Send + Sync + 'static) -> BoxResponse {
    Response::builder().header(header::CONTENT_TYPE, "application/json").body(BoxBody::new(body)).unwrap()
}

fn with_headers(mut response: BoxResponse) -> BoxResponse {
    response.headers_mut().extend(page(()).headers().clone());
    response
}

fn whole(text: &'static str) -> impl Body<Data = Bytes, Error = BoxError> + Send + Sync {
    Full::from(text).map_err(|never| match never {})
}

fn length(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap())
}

#[tokio::test]
async fn page_with_a_length_or_in_chunks_is_amended() {
    for protocols in PROTOCOLS {
        let in_chunks = upstream(protocols.1, |_| json(Frames::of(PLAIN))).await;
        let with_length = upstream(protocols.1, |_| with_headers(json(whole(PLAIN)))).await;
        for upstream in [in_chunks, with_length] {
            let address = gateway(layer(), protocols, upstream).await;
            let (head, body, _) = collect(call(protocols.0, address, Method::GET).await).await;
            assert_eq!(body, NAMED, "{protocols:?}");
            assert_eq!(length(&head.headers), Some(&*NAMED.len().to_string()), "{protocols:?}");
            assert!(!head.headers.contains_key(header::TRANSFER_ENCODING), "{protocols:?}");
            assert!(!head.headers.contains_key(header::ETAG), "{protocols:?}");

            let address = gateway(layer().limit(0), protocols, upstream).await;
            let (head, body, _) = collect(call(protocols.0, address, Method::GET).await).await;
            assert_eq!(body, NAMED, "streamed, {protocols:?}");
            assert_eq!(length(&head.headers), None, "streamed, {protocols:?}");
            assert!(!head.headers.contains_key(header::ETAG), "streamed, {protocols:?}");
        }
    }
}

#[tokio::test]
async fn page_without_ids_is_unchanged() {
    const NO_IDS: &str = r#"{"object":"page","data":[]}"#;
    for protocols in PROTOCOLS {
        let in_chunks = upstream(protocols.1, |_| json(Frames::of(NO_IDS))).await;
        let with_length = upstream(protocols.1, |_| json(whole(NO_IDS))).await;
        let empty = upstream(protocols.1, |_| json(whole(""))).await;
        for (upstream, text) in [(in_chunks, NO_IDS), (with_length, NO_IDS), (empty, "")] {
            for limit in [1 << 20, 0] {
                let address = gateway(layer().limit(limit), protocols, upstream).await;
                let (_, body, _) = collect(call(protocols.0, address, Method::GET).await).await;
                assert_eq!(body, text, "{protocols:?}");
            }
        }
    }
}

/// The page is larger than all buffers between the sockets.
#[tokio::test]
async fn page_larger_than_the_buffers_is_amended() {
    const ROWS: usize = 5_000;
    let pad = "x".repeat(160);
    let row = |name| format!("{{\"line_item\":\"{pad}\",\"api_key_id\":\"key_a\"{name}}},").repeat(ROWS);
    let close = |rows: String| format!("[{}]", rows.trim_end_matches(','));
    let plain = Bytes::from(close(row("")));
    let named = close(row(",\"api_key_name\":\"checkout\""));
    for protocols in PROTOCOLS {
        let sent = plain.clone();
        let upstream = upstream(protocols.1, move |_| {
            let plain = sent.clone();
            let frames = (0..plain.len()).step_by(10_007);
            let frames = frames.map(move |at| plain.slice(at..plain.len().min(at + 10_007)));
            json(Frames::new(frames.map(|frame| Ok(Frame::data(frame)))))
        })
        .await;
        // The bytes of the page and the charge for its edits.
        let max = plain.len() + 40 * ROWS;
        for limit in [2 << 20, max, max - 1, 0] {
            let address = gateway(layer().limit(limit), protocols, upstream).await;
            let (head, body, _) = collect(call(protocols.0, address, Method::GET).await).await;
            assert!(body == named, "{protocols:?}, limit {limit}");
            let exact = (limit >= max).then(|| named.len().to_string());
            assert_eq!(length(&head.headers), exact.as_deref(), "{protocols:?}, limit {limit}");
        }
    }
}

#[tokio::test]
async fn head_response_has_no_length_of_the_original_page() {
    for protocols in PROTOCOLS {
        let upstream = upstream(protocols.1, |request| {
            assert_eq!(request.method(), Method::HEAD);
            with_headers(json(whole("")))
        })
        .await;
        let address = gateway(layer(), protocols, upstream).await;
        let (head, body, _) = collect(call(protocols.0, address, Method::HEAD).await).await;
        assert_eq!((head.status, body.len()), (StatusCode::OK, 0), "{protocols:?}");
        assert_eq!(length(&head.headers), None, "{protocols:?}");
        assert!(!head.headers.contains_key(header::ETAG), "{protocols:?}");
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/json", "{protocols:?}");
    }
}

#[tokio::test]
async fn refusal_has_the_same_length_for_get_and_head() {
    for protocols in PROTOCOLS {
        let upstream = upstream(protocols.1, |_| panic!("the upstream was called")).await;
        let address = gateway(layer(), protocols, upstream).await;
        let mut length_of_get = None;
        for method in [Method::GET, Method::HEAD] {
            let target = format!("http://{address}{COSTS}&api_key_names[]=absent");
            let request = Request::builder().method(&method).uri(target).body(Full::default()).unwrap();
            let response = client::<Full<Bytes>>(protocols.0).request(request);
            let (head, body, _) =
                collect(tokio::time::timeout(DEADLINE, response).await.unwrap().unwrap()).await;
            assert_eq!(head.status, StatusCode::BAD_REQUEST, "{protocols:?}");
            let length = length(&head.headers).map(|length| length.parse::<usize>().unwrap());
            if method == Method::GET {
                assert_eq!(length, Some(body.len()), "{protocols:?}");
                length_of_get = length;
            } else {
                assert!(body.is_empty() && length == length_of_get, "{protocols:?}");
            }
        }
    }
}

/// A local service may return a body for `HEAD`, which the server drops.
#[tokio::test]
async fn head_response_with_a_body_has_no_length() {
    let inner =
        service_fn(|_: Request<Incoming>| ready(Ok::<_, Infallible>(page(Full::<Bytes>::from(PLAIN)))));
    let address = serve(Http1, ServiceBuilder::new().layer(layer()).service(inner)).await;
    let (head, body, _) = collect(call(Http1, address, Method::HEAD).await).await;
    assert_eq!(length(&head.headers), None, "the length of the original page");
    assert!(body.is_empty());
}

#[tokio::test]
async fn response_without_a_body_is_unchanged() {
    for protocols in PROTOCOLS {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let upstream = upstream(protocols.1, move |_| {
                let mut response = json(whole(""));
                *response.status_mut() = status;
                response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"plain\""));
                response
            })
            .await;
            let address = gateway(layer(), protocols, upstream).await;
            let (head, body, _) = collect(call(protocols.0, address, Method::GET).await).await;
            assert_eq!((head.status, body.len()), (status, 0), "{protocols:?}");
            assert_eq!(head.headers[header::ETAG], "\"plain\"", "{protocols:?}");
            assert_eq!(length(&head.headers), None, "{protocols:?}");
        }
    }
}

#[tokio::test]
async fn trailers_arrive_without_digests() {
    for protocols in PROTOCOLS {
        let upstream = upstream(protocols.1, |_| {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checked", HeaderValue::from_static("yes"));
            trailers.insert("content-digest", HeaderValue::from_static("sha-256=:AAAA:"));
            let frames = Frames::of(PLAIN).0.into_iter().chain([Ok(Frame::trailers(trailers))]);
            let mut response = json(Frames::new(frames));
            response
                .headers_mut()
                .insert(header::TRAILER, HeaderValue::from_static("x-checked, content-digest"));
            response
        })
        .await;
        for limit in [1 << 20, 0] {
            let address = gateway(layer().limit(limit), protocols, upstream).await;
            let (head, body, trailers) = collect(call(protocols.0, address, Method::GET).await).await;
            assert_eq!(body, NAMED, "{protocols:?}");
            assert_eq!(length(&head.headers), None, "{protocols:?}");
            assert_eq!(head.headers[header::TRAILER], "x-checked", "{protocols:?}");
            let trailers = trailers.unwrap();
            assert_eq!(trailers["x-checked"], "yes", "{protocols:?}");
            assert!(!trailers.contains_key("content-digest"), "{protocols:?}");
        }
    }
}

#[tokio::test]
async fn body_that_fails_never_ends_without_an_error() {
    for protocols in PROTOCOLS {
        for (has_length, limit) in [(false, 1 << 20), (true, 1 << 20), (false, 0), (true, 0)] {
            let (sender, mut receiver) = unbounded_channel();
            let upstream = upstream(protocols.1, move |_| {
                let (frames, body) = Channel::<Bytes, BoxError>::new(1);
                assert!(sender.send(frames).is_ok());
                if has_length { with_headers(json(body)) } else { json(body) }
            })
            .await;
            let (events, mut frame_events) = unbounded_channel();
            let on_frame = move || events.send(()).unwrap();
            let address = gateway_with_events(layer().limit(limit), protocols, upstream, on_frame).await;
            let request = Request::get(format!("http://{address}{COSTS}")).body(Full::<Bytes>::default());
            let request = tokio::spawn(client(protocols.0).request(request.unwrap()));

            let failure = async {
                let mut frames = receiver.recv().await.unwrap();
                frames.send_data(PLAIN[..150].into()).await.unwrap();
                frame_events.recv().await.unwrap();
                // The layer has received the first frame.
                frames.abort(io::Error::other("on purpose").into());
            };
            tokio::time::timeout(DEADLINE, failure).await.unwrap();
            // The connection may fail before the client has received the headers.
            if let Ok(response) = tokio::time::timeout(DEADLINE, request).await.unwrap().unwrap() {
                let body = tokio::time::timeout(DEADLINE, response.into_body().collect()).await.unwrap();
                assert!(body.is_err(), "{protocols:?}, length {has_length}, limit {limit}");
            }
        }
    }
}

/// A row arrives before the upstream has sent the end.
#[tokio::test]
async fn streamed_page_arrives_row_by_row() {
    for protocols in PROTOCOLS {
        let (sender, mut receiver) = unbounded_channel();
        let upstream = upstream(protocols.1, move |_| {
            let (frames, body) = Channel::<Bytes, BoxError>::new(1);
            assert!(sender.send(frames).is_ok());
            json(body)
        })
        .await;
        let address = gateway(layer().limit(0), protocols, upstream).await;
        let request = tokio::spawn(call(protocols.0, address, Method::GET));
        let mut frames = receiver.recv().await.unwrap();
        let row = "[{\"api_key_id\":\"key_a\"}";
        frames.send_data(row.into()).await.unwrap();
        let mut body = request.await.unwrap().into_body();
        let mut arrived = Vec::new();
        while arrived.len() < "[{\"api_key_id\":\"key_a\",\"api_key_name\":\"checkout\"".len() {
            let frame = tokio::time::timeout(DEADLINE, body.frame()).await.unwrap().unwrap().unwrap();
            arrived.extend(frame.into_data().unwrap());
        }
        assert!(
            arrived.starts_with(b"[{\"api_key_id\":\"key_a\",\"api_key_name\":\"checkout\""),
            "{protocols:?}"
        );
        frames.send_data("]".into()).await.unwrap();
        drop(frames);
        let rest = tokio::time::timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
        arrived.extend(rest.to_bytes());
        assert_eq!(arrived, b"[{\"api_key_id\":\"key_a\",\"api_key_name\":\"checkout\"}]", "{protocols:?}");
    }
}
