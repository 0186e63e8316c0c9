//! The same test with the proxy in this process, on its own runtime, so that its tasks can be counted.
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower_api_key_name::SharedKeyNames;

use crate::documents::LIMIT;
use crate::fixtures::Fixtures;
use crate::names_file::NamesFile;
use crate::run::{TIMEOUT, send_requests, setting, start_upstream};
use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::flags::ServeFlags;
use api_key_name_proxy::{server, stack};

const REQUESTS: u64 = 1_500;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn in_process_proxy_under_chaos_keeps_no_task() {
    let fixtures = Arc::new(Fixtures::new(setting("CHAOS_SEED").unwrap_or(1)));
    let folder = tempfile::tempdir().unwrap();
    let names_file = NamesFile::new(fixtures.clone(), folder.path());
    let (peer_runtime, proxy_runtime) = (runtime(), runtime());

    let (_upstream, upstream_address) =
        peer_runtime.block_on(start_upstream(&fixtures, (Ipv4Addr::LOCALHOST, 0).into()));
    let base = format!("http://{upstream_address}/v1");
    let (limit, timeout) = (LIMIT.to_string(), TIMEOUT.as_secs().to_string());
    let bases = ["proxy", "--openai-base-url", &base, "--anthropic-base-url", &base];
    let flags = ServeFlags::parse_from([&bases[..], &["--limit", &limit, "--timeout", &timeout]].concat());
    let settings = flags.settings().unwrap();
    let names = SharedKeyNames::watch(names_file.file()).unwrap();
    let (_ask_to_stop, stop) = server::ShutdownSignal::channel();
    let address = proxy_runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = stack::stack(ByProvider::both(names), &settings).unwrap();
        tokio::spawn(server::Server::new(service, flags.limits).serve(listener, stop));
        address
    });
    let before = proxy_runtime.metrics().num_alive_tasks();

    peer_runtime.spawn(names_file.rewrite_until_dropped());
    peer_runtime.block_on(send_requests(&fixtures, address, &Arc::new(AtomicU64::new(0)), REQUESTS));
    if let Some(failure) = fixtures.failure() {
        panic!("{failure}");
    }
    // An idle client's connection is one task.
    let client = std::net::TcpStream::connect(address).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while proxy_runtime.metrics().num_alive_tasks() == before {
        assert!(Instant::now() < end, "the client's task does not appear");
        std::thread::sleep(Duration::from_millis(20));
    }
    let during = proxy_runtime.metrics().num_alive_tasks();
    drop(client);
    // This closes all connections to the upstream.
    drop(peer_runtime);
    let end = Instant::now() + Duration::from_secs(60);
    while proxy_runtime.metrics().num_alive_tasks() > before {
        let now = proxy_runtime.metrics().num_alive_tasks();
        assert!(Instant::now() < end, "{before} tasks before, {during} at its end, {now} now");
        std::thread::sleep(Duration::from_millis(20));
    }
}
