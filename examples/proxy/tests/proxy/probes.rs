//! `/ready`: the reasons why the process is not ready, and the listener that has them.
use http::StatusCode;

use crate::binary::{Running, names, program};
use crate::operator::{get, start};
use crate::peer::{self, Reply, limits, listen, soon};
use api_key_name_proxy::by_provider::ByProvider;
use api_key_name_proxy::demo::Demo;
use api_key_name_proxy::operator::{self, OperatorPaths, Readiness};
use api_key_name_proxy::server::{Server, ShutdownSignal};
use api_key_name_proxy::sync::AwaitedListings;

/// Requests the readiness until it has this status.
pub(crate) async fn wait_for_status(address: std::net::SocketAddr, status: StatusCode) -> Reply {
    soon(async {
        loop {
            let reply = get(address, "/ready").await;
            if reply.status == status {
                return reply;
            }
        }
    })
    .await
}

#[tokio::test]
async fn process_with_names_is_ready_on_both_listeners() {
    let names = names();
    let (running, operator) = start("http://127.0.0.1:1", &names, &[]);
    for address in [running.address, operator] {
        let ready = get(address, "/ready").await;
        assert_eq!((ready.status, ready.text()), (StatusCode::OK, r#"{"status":"ready"}"#));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_without_a_first_map_is_not_ready_until_a_listing() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["--port", "0", "--operator-listen", "127.0.0.1:0", "--openai-base-url"]);
    // The demo rejects this key.
    command.arg(demo.base.to_string()).env("OPENAI_ADMIN_KEY", "sk-bad");
    command.arg("--sync").arg(folder.path().join("learned.json"));
    let mut running = Running::start(&mut command);
    let line = running.read_line();
    let operator = line.trim_end().strip_prefix("operator listening on http://").unwrap().parse().unwrap();
    running.logged("does not accept the admin key").await;
    let not_ready = get(operator, "/ready").await;
    assert_eq!(not_ready.status, 503);
    assert_eq!(not_ready.text(), r#"{"reasons":["names_not_loaded"],"status":"not_ready"}"#);
    // Without details for the customers of the main address.
    assert_eq!(get(running.address, "/ready").await.text(), r#"{"status":"not_ready"}"#);
    assert_eq!(get(running.address, "/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_is_ready_after_its_first_listing() {
    let demo = Demo::start(limits()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["--port", "0", "--openai-base-url", &demo.base.to_string()]);
    command.env("OPENAI_ADMIN_KEY", "secret1").arg("--sync").arg(folder.path().join("learned.json"));
    let running = Running::start(&mut command);
    wait_for_status(running.address, StatusCode::OK).await;
    assert!(get(running.address, "/health").await.text().contains(r#""openai":{"entries":12"#));
}

#[tokio::test]
async fn process_that_stops_is_not_ready() {
    let (stopping, shutdown) = ShutdownSignal::channel();
    let names = ByProvider::both(peer::names());
    let awaited_listings = AwaitedListings::default();
    let readiness = Readiness { names: names.clone(), awaited_listings, ledger: None, shutdown };
    let paths = OperatorPaths::with_details(names, None).with_readiness(readiness);
    let (listener, address) = listen().await;
    // The server itself goes on, as for a connection that arrived before the signal.
    let (_server_stop, server_shutdown) = ShutdownSignal::channel();
    let service = operator::service(paths);
    tokio::spawn(Server::new(service, limits()).serve(listener, server_shutdown));
    assert_eq!(get(address, "/ready").await.status, 200);
    stopping.send(1).unwrap();
    let reply = get(address, "/ready").await;
    assert_eq!((reply.status.as_u16(), reply.text().contains("stopping")), (503, true));
    assert_eq!(get(address, "/health").await.status, 200);
}
