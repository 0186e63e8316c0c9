//! The main listener and the operator listener of the subcommand `serve`.
use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::BoxError;
use tower_api_key_name::SharedKeyNames;

use crate::by_provider::ByProvider;
use crate::flags::ServeFlags;
use crate::http_service::HttpService;
use crate::operator::{self, Operator};
use crate::output::print_line;
use crate::server::{Server, ShutdownSignal, listen};
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

    /// Prints the addresses and serves until a shutdown: the stack at the main address, and the operator's paths.
    /// Returns a task whose result is the number of cut calls of both.
    pub(super) fn serve<B>(
        self,
        stack: impl HttpService<Incoming, B, Infallible> + Sync,
        names: ByProvider<SharedKeyNames>,
        flags: &ServeFlags,
        stop: ShutdownSignal,
    ) -> JoinHandle<usize>
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        let Self { main, operator } = self;
        print_line(&format!("listening on http://{}", main.address));
        let Some(operator) = operator else {
            let all_paths = Operator::new(names, flags.operator.page_hosts(main.address));
            let main_service = operator::with_operator(stack, all_paths);
            return tokio::spawn(Server::new(main_service, flags.limits).serve(main.listener, stop));
        };
        print_line(&format!("operator listening on http://{}", operator.address));
        let main_service = operator::with_operator(stack, Operator::liveness());
        let main_server = Server::new(main_service, flags.limits).serve(main.listener, stop.clone());
        let all_paths = Operator::new(names, flags.operator.page_hosts(operator.address));
        let operator_limits = flags.limits.for_operators();
        let operator_server =
            Server::new(operator::service(all_paths), operator_limits).serve(operator.listener, stop);
        tokio::spawn(async move {
            let (main_cut_count, operator_cut_count) = tokio::join!(main_server, operator_server);
            main_cut_count + operator_cut_count
        })
    }
}

/// Listens at a host and port. The error of a failure ends with the flag.
async fn open(host: &str, port: u16, flag: &str) -> Result<BoundListener, StartError> {
    let listener = match listen(host, port).await {
        Ok(listener) => listener,
        Err(e) => return Err(StartError::CannotStart(format!("cannot listen on {host}:{port}{flag}: {e}"))),
    };
    let address = listener.local_addr().map_err(StartError::cannot_start)?;
    Ok(BoundListener { listener, address })
}
