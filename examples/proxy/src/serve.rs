//! The subcommand `serve`: starts the proxy, logs reloads of its names, and serves until a signal.
mod listeners;
mod reloads;

use std::net::{SocketAddr, UdpSocket};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime;
use tower_api_key_name::SharedKeyNames;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::{MapReader, Provider};
use tower_api_key_name::proxy_keys::{Ledger, ProxyKeyLayer};

use super::by_provider::ByProvider;
use super::demo::{Demo, DemoCustomers};
use super::flags::ServeFlags;
use super::metrics::{MetricSources, Metrics, MetricsExporter, ProxyKeyState};
use super::operator::Readiness;
use super::output::print_line;
use super::proxy_keys::ProxyKeyParts;
use super::proxy_keys::flags::ProxyKeySource;
use super::proxy_keys::stack::{CallSettings, key_stack};
use super::settings::ProxySettings;
use super::spend_page::PageRuns;
use super::start_error::StartError;
use super::sync::AwaitedListings;
use super::{server, spend_metrics, stack, sync};
use listeners::{Listeners, Monitoring, OperatorSide};
use reloads::log_reloads;

/// The time in which the tasks of cut calls may end.
const TASKS_END: Duration = Duration::from_secs(1);

/// The end of a service that was stopped.
struct Stopped {
    cut_count: usize,
    /// The ledger of proxy keys, which may have unwritten settlements.
    ledger: Option<Ledger>,
}

/// Runs the proxy until it is stopped, and returns the number of requests that were cut.
pub fn run(flags: ServeFlags) -> Result<usize, StartError> {
    // With one core, a second thread costs more for wake-ups than it gains. With more, a page that is being compressed
    // leaves the other cores free.
    let mut builder = match available_parallelism() {
        Ok(cores) if cores.get() > 1 => runtime::Builder::new_multi_thread(),
        _ => runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().map_err(StartError::cannot_start)?;
    let result = runtime.block_on(start_and_serve(flags));
    let Ok(Stopped { cut_count, ledger: Some(ledger) }) = result else {
        // Does not wait for a blocking DNS look-up.
        runtime.shutdown_background();
        return result.map(|stopped| stopped.cut_count);
    };
    // The end of a task drops its calls, which are then settled as estimates.
    runtime.shutdown_timeout(TASKS_END);
    ledger.flush();
    Ok(cut_count)
}

/// Starts the proxy and serves until a signal. Returns the end of the service, or why the start failed.
async fn start_and_serve(mut flags: ServeFlags) -> Result<Stopped, StartError> {
    // Flags are checked before anything is opened.
    let mut settings = flags.settings().map_err(StartError::BadUse)?;
    let key_source = flags.proxy_keys.source(flags.demo).map_err(StartError::BadUse)?;
    flags.operator.check(key_source != ProxyKeySource::None).map_err(StartError::BadUse)?;
    if let Err(e) = flags.limits.fit_open_files() {
        return Err(StartError::CannotStart(format!("cannot raise the limit of open files: {e}")));
    }
    let stop = server::ShutdownSignal::from_system().map_err(StartError::cannot_start)?;

    let mut demo = None;
    if flags.demo {
        let started = Demo::start(flags.limits).await;
        let api = started.map_err(|e| StartError::CannotStart(format!("the demo API cannot listen: {e}")))?;
        settings.base = ByProvider::both(api.base.clone());
        demo = Some(api);
    }
    let (proxy_keys, customers) = open_proxy_keys(&key_source, &flags, &settings)?;
    let key_naming_layer = stack::naming_layer(&settings);
    let operator_usage_api = match (&proxy_keys, &flags.operator.operator_token_file) {
        (Some(parts), Some(token_file)) => {
            Some(parts.operator_usage_api(token_file, key_naming_layer.clone())?)
        }
        _ => None,
    };
    let awaited_listings = AwaitedListings::default();
    let names = load_names(&flags, &settings, &awaited_listings)?;
    if flags.operator.spend_metrics {
        spend_metrics::start(names.clone(), settings.clone())?;
    }
    for (provider, names) in names.iter() {
        tokio::spawn(log_reloads(provider.as_str(), names.clone()));
    }
    if let Some(parts) = &proxy_keys {
        tokio::spawn(log_reloads("proxy keys", parts.keys.names()));
    }

    let listeners = Listeners::open(&flags).await?;
    let bound = listeners.main_address();
    for (provider, base) in settings.base.iter() {
        reject_own_address(provider, base, bound).await?;
    }
    warn_about_exposure(&settings.base, &listeners, proxy_keys.is_some(), operator_usage_api.is_some());

    let page_address =
        if flags.operator.no_spend_page { None } else { Some(listeners.operator_address().unwrap_or(bound)) };
    let naming_stack = stack::stack(names.clone(), &settings).map_err(StartError::cannot_start)?;
    let runs = PageRuns::new(names.clone(), settings.clone()).with_ledger(operator_usage_api.clone());
    let key_layer = proxy_keys.as_ref().map(ProxyKeyParts::layer);
    let key_state = key_state(proxy_keys.as_ref(), key_layer.as_ref());
    let monitoring = monitor(&names, awaited_listings, key_state, &settings.metrics, &flags, &stop);
    let server = match proxy_keys.as_ref().zip(key_layer) {
        None => listeners.serve(naming_stack, names.clone(), runs, monitoring, &flags, stop),
        Some((parts, layer)) => {
            let call_settings = CallSettings {
                connect_timeout: flags.limits.timeout,
                response_timeout: flags.proxy_keys.response_timeout,
                roots: settings.roots.clone(),
                cutting_keys: if flags.proxy_keys.cut_revoked { Some(parts.keys.clone()) } else { None },
                metrics: settings.metrics.clone(),
            };
            let side = OperatorSide {
                stack: naming_stack,
                names: names.clone(),
                keys: parts.keys.clone(),
                runs,
                usage_api: operator_usage_api,
                monitoring,
            };
            let usage_api = parts.usage_api(key_naming_layer);
            listeners.serve_keys(key_stack(layer, usage_api, call_settings), side, &flags, stop)
        }
    };
    if let Some(demo) = &demo {
        if customers.is_none() || flags.operator.operator_listen.is_some() {
            sync::fill_demo(&settings, &names).await?;
        }
        let shown = match &customers {
            Some(customers) => customers.show(bound).await,
            None => demo.show(bound, page_address).await,
        };
        match shown {
            Ok(text) => print_line(&text),
            // The proxy itself works, so it goes on.
            Err(e) => tracing::warn!("the demo's own requests failed: {e}"),
        }
    }
    let cut_count = server.await.map_err(StartError::cannot_start)?;
    Ok(Stopped { cut_count, ledger: proxy_keys.map(|parts| parts.ledger) })
}

/// Returns the state of the service with proxy keys for the metrics, or `None` without proxy keys.
fn key_state(parts: Option<&ProxyKeyParts>, layer: Option<&ProxyKeyLayer>) -> Option<ProxyKeyState> {
    let parts = parts?;
    Some(ProxyKeyState { keys: parts.keys.clone(), ledger: parts.ledger.clone(), layer: layer?.clone() })
}

/// Returns the readiness of the process and the exporter of its metrics.
fn monitor(
    names: &ByProvider<SharedKeyNames>,
    awaited_listings: AwaitedListings,
    proxy_keys: Option<ProxyKeyState>,
    metrics: &Metrics,
    flags: &ServeFlags,
    stop: &server::ShutdownSignal,
) -> Monitoring {
    let ledger = proxy_keys.as_ref().map(|state| state.ledger.clone());
    let readiness = Readiness { names: names.clone(), awaited_listings, ledger, shutdown: stop.clone() };
    let sources = MetricSources { names: names.clone(), proxy_keys };
    let exporter = MetricsExporter::new(metrics, sources, flags.operator.spend_metrics);
    Monitoring { exporter, readiness, calls_in_flight: metrics.calls_in_flight.clone() }
}

/// Opens the keys and the ledger of a source. Returns `None` without `--keys`, and the customers of the demo's keys. The
/// demo's ledger is in memory.
fn open_proxy_keys(
    source: &ProxyKeySource,
    flags: &ServeFlags,
    settings: &ProxySettings,
) -> Result<(Option<ProxyKeyParts>, Option<DemoCustomers>), StartError> {
    match source {
        ProxyKeySource::None => Ok((None, None)),
        ProxyKeySource::Files { keys, ledger } => {
            let parts = ProxyKeyParts::open(keys, ledger, &flags.proxy_keys, &settings.base)?;
            Ok((Some(parts), None))
        }
        ProxyKeySource::Demo => {
            let customers = DemoCustomers::mint().map_err(StartError::cannot_start)?;
            let keys = customers.keys().map_err(StartError::cannot_start)?;
            let upstreams = customers.upstreams(&settings.base.openai).map_err(StartError::cannot_start)?;
            let parts = ProxyKeyParts::new(keys, Ledger::memory(), upstreams, &flags.proxy_keys);
            Ok((Some(parts), Some(customers)))
        }
    }
}

/// Returns the names of each provider: of its lists with `--sync`, otherwise of the files. With `--demo` there are none yet,
/// and with `--keys` none without a file.
fn load_names(
    flags: &ServeFlags,
    settings: &ProxySettings,
    awaited_listings: &AwaitedListings,
) -> Result<ByProvider<SharedKeyNames>, StartError> {
    if flags.demo {
        return ByProvider::try_new(|_| Ok(SharedKeyNames::default()));
    }
    if let Some(cache) = &flags.sync {
        return sync::start(&flags.names, cache, settings, awaited_listings);
    }
    if flags.names.is_empty() {
        return ByProvider::try_new(|_| Ok(SharedKeyNames::default()));
    }
    ByProvider::try_new(|provider| {
        let reader = MapReader::default().labels(settings.labels.clone()).provider(provider);
        reader.watch_all(&flags.names).map_err(StartError::cannot_start)
    })
}

/// Rejects a base URL that is the proxy's own address, because each request would start an endless loop of requests.
/// A loop through another name or through a tunnel is found by `Via` (see `forward`).
async fn reject_own_address(provider: Provider, base: &BaseUrl, bound: SocketAddr) -> Result<(), StartError> {
    if base.port() != bound.port() {
        return Ok(());
    }
    // A name without an address may have one later. Until then requests receive a 502.
    let Ok(mut addresses) = tokio::net::lookup_host((base.host(), base.port())).await else {
        return Ok(());
    };
    if addresses.any(|address| is_own(bound, address)) {
        let name = provider.as_str();
        return Err(StartError::CannotStart(format!(
            "--{name}-base-url {} is this proxy's own address ({bound}): it would send requests to itself without \
             end. Set it to the API's address, or unset {}_BASE_URL for https://api.{name}.com.",
            base.origin(),
            name.to_uppercase(),
        )));
    }
    Ok(())
}

/// Logs a warning for each address that other machines can use, and one if keys are sent without encryption.
fn warn_about_exposure(
    base: &ByProvider<BaseUrl>,
    listeners: &Listeners,
    has_proxy_keys: bool,
    has_operator_token: bool,
) {
    let bound = listeners.main_address();
    let is_open = !bound.ip().is_loopback();
    if is_open && has_proxy_keys {
        tracing::warn!(
            "{bound} is open to other machines without TLS: the proxy keys of clients can be read on their way. Put a \
             load balancer with TLS in front of it."
        );
    } else if is_open {
        tracing::warn!(
            "{bound} is open to other machines: the proxy forwards requests without authentication. Each client that \
             reaches it can send requests to the upstream, and sees the names of the keys."
        );
    }
    if let Some(address) = listeners.operator_address()
        && !address.ip().is_loopback()
    {
        tracing::warn!(
            "{address} (--operator-listen) is open to other machines without authentication. Each client that reaches \
             it can use the spend page, and sees the names of the keys and the errors in /health."
        );
        if has_operator_token {
            tracing::warn!("The operator token can be read on its way to {address}, which has no TLS.");
        }
    }
    for (_, url) in base.iter() {
        if !url.is_confidential() {
            let origin = url.origin();
            tracing::warn!("{origin} is not encrypted: keys are sent in plain text to another machine.");
        }
    }
}

/// True if a connection to `target` reaches a listener at `bound`.
pub fn is_own(bound: SocketAddr, target: SocketAddr) -> bool {
    let bound_ip = bound.ip().to_canonical();
    let target_ip = target.ip().to_canonical();
    if bound.port() != target.port() {
        return false;
    }
    if target_ip.is_unspecified() {
        // A connection to 0.0.0.0 goes to loopback.
        return bound_ip.is_unspecified() || bound_ip.is_loopback();
    }
    if !bound_ip.is_unspecified() {
        return bound_ip == target_ip;
    }
    // Only an address of this machine can be bound.
    target_ip.is_loopback() || UdpSocket::bind((target_ip, 0)).is_ok()
}
