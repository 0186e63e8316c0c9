//! The listener: whom it waits for, for how long, and how it ends.
use std::io;
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::peer::{
    COSTS, NAMED, Proxy, Reply, Upstream, client, full, gated, limits, read_answer, read_head, scripted,
    settings, soon,
};
use api_key_name_proxy::limits::Limits;
use api_key_name_proxy::server::back_off;

#[tokio::test]
async fn who_sends_no_head_is_not_waited_for() {
    let upstream = Upstream::rows().await;
    let limits = Limits { head_timeout: Duration::from_millis(200), ..limits() };
    let proxy = Proxy::limited(settings(&upstream.base()), limits).await;
    for begun in [
        "",
        "G",
        "P",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n",
    ] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn who_sent_one_is() {
    // Longer than a head may take, and that is nobody's head.
    let address = scripted(|mut stream| async move {
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(1_800)).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let limits = Limits { head_timeout: Duration::from_millis(800), ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{address}")), limits).await;
    assert_eq!(proxy.get(COSTS).await.text(), "ok");
}

#[tokio::test]
async fn a_second_head_is_not_waited_for_either() {
    let upstream = Upstream::rows().await;
    let limits = Limits {
        head_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        ..limits()
    };
    let proxy = Proxy::limited(settings(&upstream.base()), limits).await;
    for begun in ["", "GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_nothing_new_begun() {
    for h2 in [false, true] {
        let (address, mut told, go_on) = gated().await;
        let proxy = Proxy::to(&format!("http://{address}")).await;
        // One that waits for nothing.
        let mut idle = TcpStream::connect(proxy.address).await.unwrap();
        idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_answer(&mut idle).await;

        let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
        let call = tokio::spawn(client(h2).request(request));
        soon(told.recv()).await.unwrap();
        proxy.ask_to_stop.send(1).unwrap();
        // It listens no more.
        soon(async {
            while TcpStream::connect(proxy.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut rest = Vec::new();
        let _ = soon(idle.read_to_end(&mut rest)).await;
        assert!(!proxy.serving.is_finished());

        go_on.notify_one();
        let reply = Reply::read(soon(call).await.unwrap().unwrap()).await.unwrap();
        assert_eq!(reply.text(), "done");
        soon(proxy.serving).await.unwrap();
    }
}

#[tokio::test]
async fn what_does_not_finish_is_not_waited_for_for_ever() {
    let (address, mut told, _go_on) = gated().await;
    let limits = Limits { grace: Duration::from_millis(100), ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{address}")), limits).await;
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let _call = tokio::spawn(client(false).request(request));
    soon(told.recv()).await.unwrap();
    proxy.ask_to_stop.send(1).unwrap();
    soon(proxy.serving).await.unwrap();
}

#[tokio::test]
async fn a_second_wish_is_a_demand() {
    let (address, mut told, _go_on) = gated().await;
    let limits = Limits { grace: Duration::from_secs(3_600), ..limits() };
    let proxy = Proxy::limited(settings(&format!("http://{address}")), limits).await;
    let request = Request::get(proxy.url(COSTS)).body(full("")).unwrap();
    let _call = tokio::spawn(client(false).request(request));
    soon(told.recv()).await.unwrap();
    proxy.ask_to_stop.send(1).unwrap();
    proxy.ask_to_stop.send(2).unwrap();
    soon(proxy.serving).await.unwrap();
}

#[tokio::test]
async fn many_calls_on_one_connection() {
    let upstream = Upstream::answering(|_| {
        Response::builder().header("content-type", "application/json").body(full(crate::peer::ROWS)).unwrap()
    })
    .await;
    let proxy = Proxy::to(&upstream.base()).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    // Sent at once: pipelined.
    stream
        .write_all("GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20).as_bytes())
        .await
        .unwrap();
    let mut answers = Vec::new();
    while answers.windows(NAMED.len()).filter(|w| *w == NAMED.as_bytes()).count() < 20 {
        assert_ne!(soon(stream.read_buf(&mut answers)).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn accepting_backs_off_where_trying_again_frees_nothing() {
    let waited = async |e: io::Error, wait: &mut Duration| {
        let start = tokio::time::Instant::now();
        back_off(&e, wait).await;
        start.elapsed()
    };
    let out_of_descriptors = || io::Error::from(io::ErrorKind::OutOfMemory);
    let mut wait = Duration::ZERO;
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        let now = waited(out_of_descriptors(), &mut wait).await;
        assert!(now > Duration::from_millis(1) && now >= last, "{now:?}");
        last = now;
    }
    assert!(last >= Duration::from_secs(1) && last < Duration::from_secs(2), "{last:?}");
    // Somebody who went away while waiting concerns nobody else.
    for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset] {
        assert_eq!(waited(kind.into(), &mut wait).await, Duration::ZERO);
    }
}
