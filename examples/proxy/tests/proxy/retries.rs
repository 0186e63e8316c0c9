//! Requests that are sent again, and requests that are not (RFC 9113 §8.7, RFC 9110 §9.2.2).
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt;
use tokio::sync::Notify;

use crate::frames::{DATA, END_STREAM, Frames, HEADERS, PING, proxy_to_frames, proxy_with_timeout};
use crate::peer::{COSTS, Proxy, client, full, read_head, scripted, soon};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const MAX_STREAM: u32 = 0x7fff_ffff;
const MAX_CONCURRENT_STREAMS: u16 = 3;

fn request(proxy: &Proxy, method: Method, content: &[u8]) -> Request<crate::peer::AnyBody> {
    Request::builder().method(method).uri(proxy.url(COSTS)).body(full(content.to_vec())).unwrap()
}

/// Responds to each request with the length of its content.
async fn serve(mut frames: Frames) {
    while let Some((stream, content)) = frames.request().await {
        frames.respond_with(stream, &content.len().to_string()).await;
    }
}

/// The frame by which the upstream refuses a request that it did not process.
#[derive(Clone, Copy)]
enum Refusing {
    GoAway,
    Reset,
}

/// The first connection refuses its first request, once it has read all of it. All others are served.
async fn refusing(by: Refusing) -> Proxy {
    proxy_to_frames(move |nth, mut frames| async move {
        frames.begin(&[]).await;
        if nth == 0 {
            let (stream, _) = frames.request().await.unwrap();
            match by {
                Refusing::GoAway => frames.go_away(0, NO_ERROR).await,
                Refusing::Reset => frames.reset(stream, REFUSED_STREAM).await,
            }
        }
        serve(frames).await;
    })
    .await
}

#[tokio::test]
async fn request_that_was_not_processed_is_sent_again_with_any_method() {
    for by in [Refusing::GoAway, Refusing::Reset] {
        for (method, content) in [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "content")] {
            let proxy = refusing(by).await;
            let reply = proxy.send(request(&proxy, method, content.as_bytes())).await;
            assert_eq!((reply.status.as_u16(), reply.text()), (200, &*content.len().to_string()));
        }
    }
}

#[tokio::test]
async fn content_of_64_kib_is_replayed() {
    let proxy = refusing(Refusing::GoAway).await;
    let reply = proxy.send(request(&proxy, Method::POST, &[b'x'; 64 * 1024])).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "65536"));
}

#[tokio::test]
async fn content_over_64_kib_that_was_read_is_not_sent_again() {
    let proxy = refusing(Refusing::GoAway).await;
    let reply = proxy.send(request(&proxy, Method::POST, &[b'x'; 64 * 1024 + 1])).await;
    reply.is_error(502, "upstream_transport_error");
}

#[tokio::test]
async fn request_that_is_refused_several_times_is_sent_until_it_is_processed() {
    const REFUSALS: usize = 6;
    let proxy = proxy_to_frames(|nth, mut frames| async move {
        frames.begin(&[]).await;
        if nth < REFUSALS {
            frames.request().await.unwrap();
            frames.go_away(0, NO_ERROR).await;
        }
        serve(frames).await;
    })
    .await;
    assert_eq!(proxy.get(COSTS).await.status, 200);
}

#[tokio::test]
async fn request_that_is_always_refused_fails_at_the_timeout() {
    let attempts = Arc::<AtomicUsize>::default();
    let count = attempts.clone();
    let proxy = proxy_with_timeout(Duration::from_millis(700), move |_, mut frames| {
        let count = count.clone();
        async move {
            frames.begin(&[]).await;
            while let Some((stream, _)) = frames.request().await {
                count.fetch_add(1, Ordering::SeqCst);
                frames.reset(stream, REFUSED_STREAM).await;
            }
        }
    })
    .await;
    proxy.get(COSTS).await.is_error(504, "upstream_timeout");
    // 10, 20, … 640 ms after each other.
    let attempts = attempts.load(Ordering::SeqCst);
    assert!((3..10).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn go_away_while_a_response_streams_fails_neither_it_nor_the_next_request() {
    let (more, is_sent) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (gate, sent) = (more.clone(), is_sent.clone());
    let proxy = proxy_to_frames(move |nth, mut frames| {
        let (gate, sent) = (gate.clone(), sent.clone());
        async move {
            frames.begin(&[]).await;
            if nth > 0 {
                return serve(frames).await;
            }
            let (stream, _) = frames.request().await.unwrap();
            frames.respond(stream).await;
            frames.send(DATA, 0, stream, b"first ").await;
            frames.go_away(MAX_STREAM, NO_ERROR).await;
            sent.notify_one();
            gate.notified().await;
            frames.go_away(stream, NO_ERROR).await;
            frames.send(DATA, END_STREAM, stream, b"second").await;
            serve(frames).await;
        }
    })
    .await;
    let streaming = soon(client(false).request(request(&proxy, Method::GET, b""))).await.unwrap();
    soon(is_sent.notified()).await;
    for _ in 0..4 {
        assert_eq!(proxy.get(COSTS).await.text(), "0");
    }
    more.notify_one();
    assert_eq!(soon(streaming.into_body().collect()).await.unwrap().to_bytes(), "first second");
    assert_eq!(proxy.get(COSTS).await.text(), "0");
}

#[tokio::test]
async fn calls_beyond_the_stream_limit_wait_and_do_not_fail() {
    let proxy = proxy_to_frames(|_, mut frames| async move {
        frames.begin(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
        while let Some((stream, _)) = frames.request().await {
            frames.send(PING, 0, 0, &[0; 8]).await;
            let next = frames.next().await.unwrap();
            if next.kind == HEADERS {
                // Sent before the settings arrived.
                frames.reset(next.stream, REFUSED_STREAM).await;
            }
            frames.respond_with(stream, "done").await;
        }
    })
    .await;
    let calls: Vec<_> =
        (0..24).map(|_| tokio::spawn(client(false).request(request(&proxy, Method::GET, b"")))).collect();
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn calls_that_wait_for_a_stream_survive_go_away() {
    const PER_CONNECTION: usize = 3;
    let proxy = proxy_to_frames(|_, mut frames| async move {
        frames.begin(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
        for _ in 0..PER_CONNECTION {
            let Some((stream, _)) = frames.request().await else { return };
            frames.respond_with(stream, "done").await;
        }
        let Some((stream, _)) = frames.request().await else { return };
        frames.go_away(stream - 1, NO_ERROR).await;
        // Closing at once could discard the frame.
        while frames.next().await.is_some() {}
    })
    .await;
    let calls: Vec<_> =
        (0..48).map(|_| tokio::spawn(client(false).request(request(&proxy, Method::GET, b"")))).collect();
    for call in calls {
        assert_eq!(soon(call).await.unwrap().unwrap().status(), 200);
    }
}

/// An upstream that closes the connection of a request with this method after it has read the headers. It counts them.
async fn breaking(method: Method) -> (Proxy, Arc<AtomicUsize>) {
    let attempts = Arc::<AtomicUsize>::default();
    let count = attempts.clone();
    let address = scripted(move |mut stream| {
        let (count, method) = (count.clone(), method.to_string());
        async move {
            assert!(read_head(&mut stream).await.starts_with(&method));
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (Proxy::to(&format!("http://{address}")).await, attempts)
}

#[tokio::test]
async fn get_and_head_are_sent_once_more_if_the_connection_breaks() {
    for method in [Method::GET, Method::HEAD] {
        let (proxy, attempts) = breaking(method.clone()).await;
        assert_eq!(proxy.send(request(&proxy, method.clone(), b"")).await.status, 502);
        assert_eq!(attempts.load(Ordering::SeqCst), 2, "{method}");
    }
}

#[tokio::test]
async fn unsafe_request_is_not_sent_again_if_the_connection_breaks() {
    for (method, content) in
        [(Method::POST, "{}"), (Method::POST, ""), (Method::DELETE, ""), (Method::PUT, "")]
    {
        let (proxy, attempts) = breaking(method.clone()).await;
        let reply = proxy.send(request(&proxy, method.clone(), content.as_bytes())).await;
        reply.is_error(502, "upstream_transport_error");
        assert_eq!(attempts.load(Ordering::SeqCst), 1, "{method}");
    }
}

#[tokio::test]
async fn go_away_with_an_error_is_retried_once_for_get_only() {
    for (method, status, expected) in [(Method::GET, 502, 2), (Method::POST, 502, 1)] {
        let attempts = Arc::<AtomicUsize>::default();
        let count = attempts.clone();
        let proxy = proxy_to_frames(move |_, mut frames| {
            let count = count.clone();
            async move {
                frames.begin(&[]).await;
                while frames.request().await.is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    frames.go_away(0, INTERNAL_ERROR).await;
                }
            }
        })
        .await;
        assert_eq!(proxy.send(request(&proxy, method.clone(), b"")).await.status, status);
        assert_eq!(attempts.load(Ordering::SeqCst), expected, "{method}");
    }
}

#[tokio::test]
async fn stream_reset_with_another_code_is_not_retried() {
    let proxy = proxy_to_frames(|nth, mut frames| async move {
        frames.begin(&[]).await;
        assert_eq!(nth, 0);
        let (stream, _) = frames.request().await.unwrap();
        frames.reset(stream, INTERNAL_ERROR).await;
        assert!(frames.request().await.is_none(), "sent again");
    })
    .await;
    proxy.get(COSTS).await.is_error(502, "upstream_transport_error");
}
