//! Ten thousand connections that are idle or slow, and one client that is neither.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::binary::{Running, names, program};
use crate::peer::{COSTS, NAMED, Reply, client, full, read_answer, read_head, scripted, soon};

const CROWD: usize = 10_000;

/// The behaviour of a client in the crowd.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Sends nothing after its first request.
    Idle,
    /// Sends request headers, one byte per second.
    SlowHeaders,
    /// Reads a long response, one byte per second.
    SlowReader,
}

/// Responds to `/big` without end, and to other paths with the rows.
async fn upstream() -> SocketAddr {
    scripted(|mut stream| async move {
        loop {
            let request = read_head(&mut stream).await;
            if request.is_empty() {
                return;
            }
            let rows = crate::peer::ROWS;
            let response = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{rows}",
                rows.len()
            );
            if !request.contains("/big") {
                if stream.write_all(response.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            // Not JSON: the layer of a debug build is slow.
            let headers = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";
            let rows = "key_a,1\n".repeat(2_000);
            let chunk = format!("{:x}\r\n{rows}\r\n", rows.len());
            if stream.write_all(headers.as_bytes()).await.is_err() {
                return;
            }
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return;
        }
    })
    .await
}

struct Crowd {
    /// The number of connections that the proxy has not closed.
    open: Arc<AtomicUsize>,
    /// The number of long responses that have begun.
    reading: Arc<AtomicUsize>,
    members: JoinSet<()>,
}

impl Crowd {
    /// Connects all clients, and waits until each has begun its behaviour.
    async fn connect(proxy: SocketAddr, behaviour: impl Fn(usize) -> Behaviour) -> Self {
        let mut crowd = Self { open: Arc::default(), reading: Arc::default(), members: JoinSet::new() };
        // No more at a time than fit into the backlog of a listener.
        let connecting = Arc::new(Semaphore::new(500));
        let (started, mut all_started) = tokio::sync::mpsc::channel::<()>(1);
        for nth in 0..CROWD {
            let (open, reading) = (crowd.open.clone(), crowd.reading.clone());
            let (connecting, started, behaviour) = (connecting.clone(), started.clone(), behaviour(nth));
            crowd.members.spawn(async move {
                let permit = connecting.acquire_owned().await.unwrap();
                let socket = TcpSocket::new_v4().unwrap();
                // Several addresses, since one has too few ports.
                socket.bind((Ipv4Addr::new(127, 0, 0, 2 + (nth % 50) as u8), 0).into()).unwrap();
                // Small, so that the proxy and not the kernel buffers.
                socket.set_recv_buffer_size(4_096).unwrap();
                let mut stream = socket.connect(proxy).await.unwrap();
                open.fetch_add(1, Ordering::SeqCst);
                let begun = begin(&mut stream, behaviour, &reading).await;
                drop((permit, started));
                if let Ok(behaviour) = begun {
                    let _ = continue_slowly(&mut stream, behaviour).await;
                }
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
        drop(started);
        // Closed when the last sender is dropped.
        soon(all_started.recv()).await;
        crowd
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn begin(
    stream: &mut TcpStream,
    behaviour: Behaviour,
    reading: &AtomicUsize,
) -> std::io::Result<Behaviour> {
    if let Behaviour::SlowReader = behaviour {
        stream.write_all(b"GET /v1/organization/big HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        if !status.ends_with(b"200") {
            return Ok(Behaviour::Idle);
        }
        reading.fetch_add(1, Ordering::SeqCst);
        return Ok(behaviour);
    }
    // A response shows that the proxy has accepted the connection, not the kernel alone.
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && stream.read_buf(&mut answer).await? > 0 {}
    if let Behaviour::SlowHeaders = behaviour {
        stream.write_all(b"GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nx: ").await?;
    }
    Ok(behaviour)
}

/// Sends or reads a byte per second until the proxy closes the connection.
async fn continue_slowly(stream: &mut TcpStream, behaviour: Behaviour) -> std::io::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut byte = [0];
    match behaviour {
        Behaviour::Idle => while stream.read(&mut [0; 512]).await? > 0 {},
        Behaviour::SlowHeaders => {
            let (mut from, mut to) = stream.split();
            let sending = async {
                while to.write_all(b"x").await.is_ok() {
                    pace.tick().await;
                }
            };
            tokio::select! {
                _ = from.read(&mut byte) => {}
                () = sending => {}
            }
        }
        Behaviour::SlowReader => {
            while stream.read(&mut byte).await? > 0 {
                pace.tick().await;
            }
        }
    }
    Ok(())
}

/// Sends requests on new connections, and expects a response to each.
async fn requests_are_served(proxy: SocketAddr, retries_503: bool) {
    for h2 in [false, true] {
        let reply = soon(async {
            loop {
                let request = Request::get(format!("http://{proxy}{COSTS}")).body(full("")).unwrap();
                let reply = Reply::read(client(h2).request(request).await.unwrap()).await.unwrap();
                if !retries_503 || reply.status != 503 || reply.headers["retry-after"] != "1" {
                    return reply;
                }
            }
        });
        let reply = reply.await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, NAMED));
    }
    let mut stream = soon(TcpStream::connect(proxy)).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

/// One crowd at a time: each needs nearly all file descriptors of this process.
static CROWD_LOCK: Mutex<()> = Mutex::const_new(());

/// The proxy and the crowd are two processes, and each needs this number.
fn raise_open_files() {
    let need = CROWD as u64 + 3_000;
    let have = rlimit::increase_nofile_limit(need).unwrap();
    assert!(
        have >= need,
        "{need} open files are needed, {have} are allowed: raise the hard limit (ulimit -Hn)"
    );
}

/// Asserts the memory bound of a debug build: per connection, and for the buffers of each response.
fn assert_bounded_memory(running: &Running, connections: usize) {
    let limit = 32 * connections + 1_024 * 512 + 64 * 1_024;
    assert!(running.peak() < limit as u64, "{} KiB, more than {limit}", running.peak());
}

fn start(upstream: SocketAddr, names: &std::path::Path, more: &[&str]) -> Running {
    let base = format!("http://{upstream}");
    let mut command = program();
    command
        .args(["--port", "0", "--limit", "65536", "--openai-base-url", &base, "--names"])
        .arg(names)
        .args(more);
    Running::start(&mut command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_beside_ten_thousand_slow_connections_is_served() {
    let _lock = CROWD_LOCK.lock().await;
    raise_open_files();
    let names = names();
    // No timeout ends them.
    let timeouts = ["--max-connections", "10100", "--head-timeout", "3600", "--idle-timeout", "3600"];
    let running = start(upstream().await, names.path(), &timeouts);
    let behaviour = |nth| match nth {
        ..500 => Behaviour::SlowReader,
        500..5_000 => Behaviour::SlowHeaders,
        _ => Behaviour::Idle,
    };
    let crowd = Crowd::connect(running.address, behaviour).await;
    for _ in 0..10 {
        requests_are_served(running.address, false).await;
    }
    assert_eq!((crowd.open(), crowd.reading.load(Ordering::SeqCst)), (CROWD, 500));
    assert_bounded_memory(&running, CROWD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_slow_connections_are_evicted_above_the_limit() {
    let _lock = CROWD_LOCK.lock().await;
    raise_open_files();
    let names = names();
    let running = start(upstream().await, names.path(), &["--max-connections", "2000"]);
    let behaviour = |nth| match nth % 3 {
        0 => Behaviour::SlowReader,
        1 => Behaviour::SlowHeaders,
        _ => Behaviour::Idle,
    };
    let _crowd = Crowd::connect(running.address, behaviour).await;
    // Stalled responses are evicted after one second. Until then a call above the limit is a 503.
    for _ in 0..10 {
        requests_are_served(running.address, true).await;
    }
    // Clients, two connections per call, and the proxy's own files.
    assert!(running.open_files() < 2_000 + 2 * 512 + 64);
    assert_bounded_memory(&running, 2_000);
}

#[tokio::test]
async fn limits_above_the_open_files_are_lowered_with_a_warning() {
    let names = names();
    let program = program();
    // A soft limit that can be raised, and a hard limit that is too low.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"ulimit -Sn 128 && ulimit -Hn 512 && exec "$0" "$@""#]).arg(program.get_program());
    command.env_clear().args(["--port", "0", "--openai-base-url"]);
    let base = format!("http://{}", upstream().await);
    let running = Running::start(command.arg(base).arg("--names").arg(names.path()));
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = soon(TcpStream::connect(running.address)).await.unwrap();
        client.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_answer(&mut client).await.starts_with("HTTP/1.1 200 "));
        clients.push(client);
    }
    running.signal("-TERM");
    let (code, log) = running.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("only 512 open files") && log.contains("--max-connections is 320"), "{log}");
}
