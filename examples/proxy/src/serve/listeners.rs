//! The main listener and the operator listener of the subcommand `serve`.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::BoxError;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::proxy_keys::ProxyKeys;

use crate::by_provider::ByProvider;
use crate::flags::ServeFlags;
use crate::http_service::HttpService;
use crate::metrics::MetricsExporter;
use crate::operator::{self, OperatorPaths, Readiness};
use crate::output::print_line;
use crate::proxy_keys::operator_usage::with_operator_usage;
use crate::proxy_keys::usage::LedgerUsageApi;
use crate::server::{Server, ShutdownSignal, listen};
use crate::spend_page::PageRuns;
use crate::start_error::StartError;

/// A listener and the address that it is bound to.
struct BoundListener {
    listener: TcpListener,
    address: SocketAddr,
}

/// The main listener, and the operator listener with `--operator-listen`.
pub(super) struct Listeners {
    main: BoundListener,
    operator: Option<BoundListener>,
}

/// The state of the process for load balancers and for Prometheus.
#[derive(Clone)]
pub(super) struct Monitoring {
    pub(super) exporter: MetricsExporter,
    pub(super) readiness: Readiness,
    /// The number of calls in flight at the main address.
    pub(super) calls_in_flight: Arc<AtomicUsize>,
}

/// The services of the operator listener beside proxy keys.
pub(super) struct OperatorSide<S> {
    /// The stack of the organization paths.
    pub(super) stack: S,
    pub(super) names: ByProvider<SharedKeyNames>,
    pub(super) keys: ProxyKeys,
    pub(super) runs: PageRuns,
    /// The usage of all keys. `None` without `--operator-token-file`.
    pub(super) usage_api: Option<LedgerUsageApi>,
    pub(super) monitoring: Monitoring,
}

impl Listeners {
    /// Opens the listeners. Fails if an address cannot be bound.
    pub(super) async fn open(flags: &ServeFlags) -> Result<Self, StartError> {
        let main = open(&flags.host, flags.port, "").await?;
        let mut operator = None;
        if let Some(address) = flags.operator.operator_listen {
            let host = address.ip().to_string();
            operator = Some(open(&host, address.port(), " (--operator-listen)").await?);
        }
        Ok(Self { main, operator })
    }

    pub(super) fn main_address(&self) -> SocketAddr {
        self.main.address
    }

    pub(super) fn operator_address(&self) -> Option<SocketAddr> {
        self.operator.as_ref().map(|operator| operator.address)
    }

    /// Prints the addresses, and serves until the shutdown. The main listener has the stack. The operator's paths are on the
    /// operator listener, or without one on the main listener. Returns a task whose result is the number of cut calls.
    pub(super) fn serve<B>(
        self,
        stack: impl HttpService<Incoming, B, Infallible> + Sync,
        names: ByProvider<SharedKeyNames>,
        runs: PageRuns,
        monitoring: Monitoring,
        flags: &ServeFlags,
        shutdown: ShutdownSignal,
    ) -> JoinHandle<usize>
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let Self { main, operator } = self;
        print_line(&format!("listening on http://{}", main.address));
        let page_address = operator.as_ref().unwrap_or(&main).address;
        let Monitoring { exporter, readiness, calls_in_flight } = monitoring;
        let metrics = flags.operator.metrics_with_hosts(page_address, exporter);
        let all_paths =
            OperatorPaths::with_details(names, flags.operator.page_with_hosts(page_address, runs))
                .with_metrics(metrics)
                .with_readiness(readiness.clone());
        let Some(operator) = operator else {
            let main_service = operator::with_operator(stack, all_paths);
            let server = Server::with_counter(main_service, flags.limits, calls_in_flight);
            return tokio::spawn(server.serve(main.listener, shutdown));
        };
        print_line(&format!("operator listening on http://{}", operator.address));
        let main_service =
            operator::with_operator(stack, OperatorPaths::liveness_only().with_readiness(readiness));
        let main_server = Server::with_counter(main_service, flags.limits, calls_in_flight)
            .serve(main.listener, shutdown.clone());
        let operator_limits = flags.limits.for_operators();
        let operator_server =
            Server::new(operator::service(all_paths), operator_limits).serve(operator.listener, shutdown);
        tokio::spawn(join_servers(main_server, operator_server))
    }

    /// Prints the addresses, and serves until the shutdown. The main listener has the stack of the proxy keys, and liveness
    /// without details. The operator listener has the operator's paths, the organization paths, and the usage of all keys; they
    /// are not served without that listener. Returns a task whose result is the number of cut calls.
    pub(super) fn serve_keys<K, B>(
        self,
        key_stack: impl HttpService<Incoming, K, Infallible> + Sync,
        side: OperatorSide<impl HttpService<Incoming, B, Infallible> + Sync>,
        flags: &ServeFlags,
        shutdown: ShutdownSignal,
    ) -> JoinHandle<usize>
    where
        K: Body<Data = Bytes, Error = BoxError> + Send + 'static,
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let Self { main, operator } = self;
        print_line(&format!("listening on http://{}", main.address));
        let Monitoring { exporter, readiness, calls_in_flight } = side.monitoring;
        let main_paths = OperatorPaths::liveness_only().with_readiness(readiness.clone());
        let main_service = operator::with_operator(key_stack, main_paths);
        // The calls of models have no common deadline.
        let main_limits = flags.limits.without_deadline();
        let main_server = Server::with_counter(main_service, main_limits, calls_in_flight)
            .serve(main.listener, shutdown.clone());
        let Some(operator) = operator else {
            return tokio::spawn(main_server);
        };
        print_line(&format!("operator listening on http://{}", operator.address));
        let page = flags.operator.page_with_hosts(operator.address, side.runs);
        let metrics = flags.operator.metrics_with_hosts(operator.address, exporter);
        let all_paths = OperatorPaths::with_details(side.names, page)
            .with_proxy_keys(side.keys)
            .with_metrics(metrics)
            .with_readiness(readiness);
        let operator_service =
            operator::with_operator(with_operator_usage(side.stack, side.usage_api), all_paths);
        let operator_limits = flags.limits.for_operators();
        let operator_server =
            Server::new(operator_service, operator_limits).serve(operator.listener, shutdown);
        tokio::spawn(join_servers(main_server, operator_server))
    }
}

/// Waits for both servers, and returns the number of cut calls.
async fn join_servers(main: impl Future<Output = usize>, operator: impl Future<Output = usize>) -> usize {
    let (main_cut_count, operator_cut_count) = tokio::join!(main, operator);
    main_cut_count + operator_cut_count
}

/// Listens at a host and port. The error contains the address and `flag`, the name of its flag or nothing.
async fn open(host: &str, port: u16, flag: &str) -> Result<BoundListener, StartError> {
    let listener = match listen(host, port).await {
        Ok(listener) => listener,
        Err(e) => return Err(StartError::CannotStart(format!("cannot listen on {host}:{port}{flag}: {e}"))),
    };
    let address = listener.local_addr().map_err(StartError::cannot_start)?;
    Ok(BoundListener { listener, address })
}
