//! Bodies of unusual types, and responses out of scope.

use std::cell::RefCell;
use std::marker::PhantomPinned;
use std::pin::pin;

use bytes::buf::Chain;
use http::{HeaderMap, HeaderValue, Method};
use http_body::SizeHint;
use http_body_util::channel::Channel;
use tower::{ServiceBuilder, service_fn};
use tower_api_key_name::ResponseBody;

use super::*;

async fn costs<B: Body>(layer: ApiKeyNameLayer, response: Response<B>) -> Response<ResponseBody<B>> {
    call(layer, get(COSTS), response).await
}

/// Sends a request through the layer to a service with this response.
async fn call<A, B: Body>(
    layer: ApiKeyNameLayer,
    request: Request<A>,
    response: Response<B>,
) -> Response<ResponseBody<B>> {
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<A>| ready(Ok::<_, Infallible>(response.take().unwrap())));
    let response = ServiceBuilder::new().layer(layer).service(inner).oneshot(request);
    tokio::time::timeout(DEADLINE, response).await.unwrap().unwrap()
}

async fn text<B: Body<Error = Infallible>>(body: B) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

// === Unusual bodies ===

/// An error that is neither `Unpin` nor `Send` and implements no trait.
struct PinnedError {
    number: u32,
    _pin: PhantomPinned,
    _local: std::rc::Rc<()>,
}

/// A body that is not `Unpin`, with data other than `Bytes`.
struct PinnedBody {
    frames: RefCell<VecDeque<Result<VecDeque<u8>, PinnedError>>>,
    _pin: PhantomPinned,
}

impl PinnedBody {
    fn new(text: &str, error: Option<u32>) -> Self {
        let failed = |number| Err(PinnedError { number, _pin: PhantomPinned, _local: Default::default() });
        let frames = text.as_bytes().chunks(41).map(|chunk| Ok(in_two_parts(chunk)));
        Self { frames: RefCell::new(frames.chain(error.map(failed)).collect()), _pin: PhantomPinned }
    }
}

/// Copies bytes into a ring buffer so that they are in two parts.
fn in_two_parts(bytes: &[u8]) -> VecDeque<u8> {
    let mut ring = VecDeque::with_capacity(bytes.len());
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    ring.extend(tail);
    head.iter().rev().for_each(|byte| ring.push_front(*byte));
    ring
}

impl Body for PinnedBody {
    type Data = VecDeque<u8>;
    type Error = PinnedError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<VecDeque<u8>>, PinnedError>>> {
        let frame = self.as_ref().frames.borrow_mut().pop_front();
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }
}

/// Reads all data, and the number of the error.
async fn drain(body: ResponseBody<PinnedBody>) -> (String, Option<u32>) {
    let mut body = pin!(body);
    let (mut bytes, mut number) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap()),
            Err(error) => assert!(number.replace(error.number).is_none(), "two errors"),
        }
    }
    (String::from_utf8(bytes).unwrap(), number)
}

#[tokio::test]
async fn data_in_two_parts_is_amended() {
    assert!(in_two_parts(PLAIN.as_bytes()).as_slices().1.len() > 1);
    for limit in [1 << 20, 0] {
        let response = costs(layer().limit(limit), page(PinnedBody::new(PLAIN, None))).await;
        assert_eq!(drain(response.into_body()).await, (NAMED.into(), None), "{limit}");
    }
    let response = call(layer(), get("/v1/models"), page(PinnedBody::new(PLAIN, None))).await;
    assert_eq!(drain(response.into_body()).await, (PLAIN.into(), None), "out of scope");
    let response = costs(layer(), Response::new(PinnedBody::new(PLAIN, None))).await;
    assert_eq!(drain(response.into_body()).await, (PLAIN.into(), None), "skipped");

    let (head, tail) = PLAIN.split_at(100);
    let chain: Chain<&[u8], &[u8]> = Buf::chain(head.as_bytes(), tail.as_bytes());
    let response = costs(layer(), page(Full::new(chain))).await;
    assert_eq!(text(response.into_body()).await, NAMED);
}

#[tokio::test]
async fn error_without_traits_is_passed_on() {
    // While the body is buffered, the data before the error are unchanged.
    let response = costs(layer(), page(PinnedBody::new(&PLAIN[..150], Some(7)))).await;
    assert!(matches!(
        response.extensions().get().and_then(ResponseState::outcome),
        Some(Outcome::Skipped { skip: Skip::BodyFailed, .. })
    ));
    assert_eq!(response.headers()[header::ETAG], "\"plain\"");
    assert_eq!(drain(response.into_body()).await, (PLAIN[..150].into(), Some(7)));
    // While the body is streamed, settled edits remain.
    let response = costs(layer().limit(0), page(PinnedBody::new(&PLAIN[..150], Some(8)))).await;
    assert!(matches!(response.extensions().get(), Some(ResponseState::Streaming)));
    let (sent, error) = drain(response.into_body()).await;
    assert_eq!(
        (sent.as_str(), error),
        (&*PLAIN[..150].replace("\"key_a\"", "\"key_a\",\"api_key_name\":\"checkout\""), Some(8))
    );
    // Out of scope.
    let response = call(layer(), get("/v1/models"), page(PinnedBody::new("x", Some(9)))).await;
    assert_eq!(drain(response.into_body()).await, ("x".into(), Some(9)));
}

// === Out of scope ===

#[tokio::test]
async fn response_out_of_scope_is_unchanged() {
    let upstream = Upstream::costs();
    let request = || {
        Request::get("/openai/v1/organization/costs?group_by=api_key_name&x=%5B+")
            .header(header::ACCEPT_ENCODING, "zstd, br;q=0.5")
            .header(header::IF_NONE_MATCH, "\"plain\"")
            .header(header::IF_MODIFIED_SINCE, "Fri, 01 Nov 2024 00:00:00 GMT")
            .header(header::RANGE, "bytes=0-9")
            .header(header::IF_RANGE, "\"plain\"")
            .body(())
            .unwrap()
    };
    let outcomes = Arc::new(Mutex::new(0));
    let counter = outcomes.clone();
    let layer = layer().on_outcome(move |_, _| *counter.lock().unwrap() += 1);
    let response =
        ServiceBuilder::new().layer(layer).service(upstream.clone()).oneshot(request()).await.unwrap();
    let received = upstream.take_request();
    let sent = request().into_parts().0;
    assert_eq!((received.method, received.uri, received.headers), (Method::GET, sent.uri, sent.headers));

    let plain = page(());
    assert_eq!((response.status(), response.headers()), (plain.status(), plain.headers()));
    assert!(response.extensions().get::<ResponseState>().is_none());
    assert_eq!(response.body().size_hint().exact(), Some(PLAIN.len() as u64));
    assert!(!response.body().is_end_stream());
    let sent = text(response.into_body()).await;
    assert_eq!(sent, PLAIN);
    assert_eq!(sent.as_ptr(), PLAIN.as_ptr(), "the bytes were copied");
    assert_eq!(*outcomes.lock().unwrap(), 0);
}

/// In scope, server-sent events are skipped because of their media type.
#[tokio::test]
async fn event_stream_is_passed_on_without_buffering() {
    for (uri, in_scope) in [("/v1/responses", false), (COSTS, true)] {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        let events =
            Response::builder().header(header::CONTENT_TYPE, "text/event-stream").body(body).unwrap();
        // The headers do not wait for the first event.
        let response = call(layer(), get(uri), events).await;
        assert_eq!(response.extensions().get::<ResponseState>().is_some(), in_scope);
        let mut body = pin!(response.into_body());
        let (wakes, waker) = WakeCounter::new();
        let mut context = Context::from_waker(&waker);
        for number in 0..5 {
            assert!(body.as_mut().poll_frame(&mut context).is_pending());
            let event = Bytes::from(format!("data: {{\"api_key_id\":\"key_a\",\"n\":{number}}}\n\n"));
            sender.send_data(event.clone()).await.unwrap();
            assert_eq!(wakes.count(), number + 1);
            let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) else {
                panic!("event {number}")
            };
            assert_eq!(frame.into_data().unwrap(), event);
        }
        let trailers = HeaderMap::from_iter([(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"))]);
        sender.send_trailers(trailers.clone()).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_trailers().unwrap(), trailers);
        drop(sender);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn hints_of_an_unchanged_body_are_passed_on() {
    struct HintedBody;
    impl Body for HintedBody {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }
        fn is_end_stream(&self) -> bool {
            true
        }
        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(3);
            hint.set_upper(5);
            hint
        }
    }
    for uri in ["/v1/models", COSTS] {
        let body = call(layer(), get(uri), Response::new(HintedBody)).await.into_body();
        assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (3, Some(5)));
        assert!(body.is_end_stream());
    }
}
