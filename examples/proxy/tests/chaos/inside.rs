//! The same chaos with the proxy in this process, on a runtime of its own, where its tasks can be counted.
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tower_api_key_name::SharedKeyNames;

use crate::documents::LIMIT;
use crate::generations::Generations;
use crate::run::{TIMEOUT, ask, setting, start_upstream};
use crate::world::World;
use api_key_name_proxy::flags::Flags;
use api_key_name_proxy::{server, stack};

const REQUESTS: u64 = 1_500;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn no_task_is_left_behind() {
    let world = Arc::new(World::new(setting("CHAOS_SEED").unwrap_or(1)));
    let folder = tempfile::tempdir().unwrap();
    let generations = Generations::new(world.clone(), folder.path());
    let (peers, proxys) = (runtime(), runtime());

    let (_upstream, up) = peers.block_on(start_upstream(&world, (Ipv4Addr::LOCALHOST, 0).into()));
    let base = format!("http://{up}/v1");
    let (limit, timeout) = (LIMIT.to_string(), TIMEOUT.as_secs().to_string());
    let arguments = ["proxy", "--openai-base-url", &base, "--limit", &limit, "--timeout", &timeout];
    let flags = Flags::parse_from(arguments);
    let settings = flags.settings().unwrap();
    let names = SharedKeyNames::watch(generations.file()).unwrap();
    let (_ask_to_stop, stop) = server::ShutdownSignal::channel();
    let address = proxys.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = stack::stack(names, &settings).unwrap();
        tokio::spawn(server::serve(listener, service, flags.limits, stop));
        address
    });
    let before = proxys.metrics().num_alive_tasks();

    peers.spawn(generations.go_on());
    peers.block_on(ask(&world, address, &Arc::new(AtomicU64::new(0)), REQUESTS));
    if let Some(fault) = world.fault() {
        panic!("{fault}");
    }
    // A client that stays: its connection is a task.
    let client = std::net::TcpStream::connect(address).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while proxys.metrics().num_alive_tasks() == before {
        assert!(Instant::now() < end, "no task is ever seen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let during = proxys.metrics().num_alive_tasks();
    drop(client);
    // With them go all connections to the upstream.
    drop(peers);
    let end = Instant::now() + Duration::from_secs(60);
    while proxys.metrics().num_alive_tasks() > before {
        let now = proxys.metrics().num_alive_tasks();
        assert!(Instant::now() < end, "{before} tasks before, {during} at its end, {now} now");
        std::thread::sleep(Duration::from_millis(20));
    }
}
