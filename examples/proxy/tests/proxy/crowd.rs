//! Ten thousand connections that keep the proxy waiting, each in its own way, and one client that does not.
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
/// What they do to be waited for.
#[derive(Clone, Copy)]
enum Way {
    /// Keeps its connection alive.
    Idle,
    /// Sends a head, a byte at a time.
    Head,
    /// Takes a long answer, a byte at a time.
    Answer,
}

/// Answers `/big` without end, for as long as somebody takes it, and anything else with the rows.
async fn upstream() -> SocketAddr {
    scripted(|mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let rows = crate::peer::ROWS;
            let said = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{rows}",
                rows.len()
            );
            if !head.contains("/big") {
                if stream.write_all(said.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            // None of the layer's, which takes its time where it is built for tests.
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n";
            let rows = "key_a,1\n".repeat(2_000);
            let chunk = format!("{:x}\r\n{rows}\r\n", rows.len());
            if stream.write_all(head.as_bytes()).await.is_err() {
                return;
            }
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return;
        }
    })
    .await
}

struct Crowd {
    /// Those that the proxy has not closed.
    open: Arc<AtomicUsize>,
    /// Those whose big answer has begun.
    taking: Arc<AtomicUsize>,
    members: JoinSet<()>,
}

impl Crowd {
    /// Comes, and is waited for.
    async fn at(proxy: SocketAddr, way: impl Fn(usize) -> Way) -> Self {
        let mut crowd = Self { open: Arc::default(), taking: Arc::default(), members: JoinSet::new() };
        // No more at a time than fit in the queue of a listener.
        let door = Arc::new(Semaphore::new(500));
        let (arrived, mut arrivals) = tokio::sync::mpsc::channel::<()>(1);
        for nth in 0..CROWD {
            let (open, taking) = (crowd.open.clone(), crowd.taking.clone());
            let (door, arrived, way) = (door.clone(), arrived.clone(), way(nth));
            crowd.members.spawn(async move {
                let place = door.acquire_owned().await.unwrap();
                let socket = TcpSocket::new_v4().unwrap();
                // More addresses than one, so that ports do not run short.
                socket.bind((Ipv4Addr::new(127, 0, 0, 2 + (nth % 50) as u8), 0).into()).unwrap();
                // What lies in the kernel is not what is measured.
                socket.set_recv_buffer_size(4_096).unwrap();
                let mut stream = socket.connect(proxy).await.unwrap();
                open.fetch_add(1, Ordering::SeqCst);
                let begun = begin(&mut stream, way, &taking).await;
                drop((place, arrived));
                if let Ok(way) = begun {
                    let _ = go_on(&mut stream, way).await;
                }
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
        drop(arrived);
        // Nothing is sent: it ends with the last that holds the other side.
        soon(arrivals.recv()).await;
        crowd
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn begin(stream: &mut TcpStream, way: Way, taking: &AtomicUsize) -> std::io::Result<Way> {
    if let Way::Answer = way {
        stream.write_all(b"GET /v1/organization/big HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        if !status.ends_with(b"200") {
            return Ok(Way::Idle);
        }
        taking.fetch_add(1, Ordering::SeqCst);
        return Ok(way);
    }
    // Whoever has an answer was let in by the proxy, and not by the system alone.
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && stream.read_buf(&mut answer).await? > 0 {}
    if let Way::Head = way {
        stream.write_all(b"GET /v1/organization/costs HTTP/1.1\r\nhost: x\r\nx: ").await?;
    }
    Ok(way)
}

/// A byte a second, until the other side has had enough.
async fn go_on(stream: &mut TcpStream, way: Way) -> std::io::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let mut byte = [0];
    match way {
        Way::Idle => while stream.read(&mut [0; 512]).await? > 0 {},
        Way::Head => {
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
        Way::Answer => {
            while stream.read(&mut byte).await? > 0 {
                pace.tick().await;
            }
        }
    }
    Ok(())
}

/// On connections of its own, as one who has just come.
async fn answered(proxy: SocketAddr, tries_again: bool) {
    for h2 in [false, true] {
        let reply = soon(async {
            loop {
                let request = Request::get(format!("http://{proxy}{COSTS}")).body(full("")).unwrap();
                let reply = Reply::read(client(h2).request(request).await.unwrap()).await.unwrap();
                if !tries_again || reply.status != 503 || reply.headers["retry-after"] != "1" {
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

/// One crowd at a time: each needs nearly all the descriptors that this process may have.
static ROOM: Mutex<()> = Mutex::const_new(());

/// Proxy and crowd have a process each, so each needs this many.
fn raise_open_files() {
    let need = CROWD as u64 + 3_000;
    let have = rlimit::increase_nofile_limit(need).unwrap();
    assert!(
        have >= need,
        "{need} open files are needed, {have} are allowed: raise the hard limit (ulimit -Hn)"
    );
}

/// What connections take in a program that is built for tests, and more for those whose answers are under way: what is
/// read from the upstream, and written to the client, ahead of who takes it.
fn bounded(running: &Running, connections: usize) {
    let most = 32 * connections + 1_024 * 512 + 64 * 1_024;
    assert!(running.peak() < most as u64, "{} KiB, more than {most}", running.peak());
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
async fn ten_thousand_that_are_waited_for_do_not_keep_one_from_its_answer() {
    let _room = ROOM.lock().await;
    raise_open_files();
    let names = names();
    // They have all the time there is, so all of them stay.
    let patient = ["--max-connections", "10100", "--head-timeout", "3600", "--idle-timeout", "3600"];
    let running = start(upstream().await, names.path(), &patient);
    let way = |nth| match nth {
        ..500 => Way::Answer,
        500..5_000 => Way::Head,
        _ => Way::Idle,
    };
    let crowd = Crowd::at(running.address, way).await;
    for _ in 0..10 {
        answered(running.address, false).await;
    }
    assert_eq!((crowd.open(), crowd.taking.load(Ordering::SeqCst)), (CROWD, 500));
    bounded(&running, CROWD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_make_room_where_there_is_less() {
    let _room = ROOM.lock().await;
    raise_open_files();
    let names = names();
    let running = start(upstream().await, names.path(), &["--max-connections", "2000"]);
    let way = |nth| match nth % 3 {
        0 => Way::Answer,
        1 => Way::Head,
        _ => Way::Idle,
    };
    let _crowd = Crowd::at(running.address, way).await;
    // As many calls as may be in flight make room once they have been waited for a second. Until then one is told to
    // try again.
    for _ in 0..10 {
        answered(running.address, true).await;
    }
    // Clients, calls, and what it has open of its own.
    assert!(running.open_files() < 2_000 + 2 * 512 + 64);
    bounded(&running, 2_000);
}

#[tokio::test]
async fn where_few_files_may_be_open_the_limits_are_lowered_and_said() {
    let names = names();
    let program = program();
    // A soft limit that can be raised, to a hard one that is not enough.
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
