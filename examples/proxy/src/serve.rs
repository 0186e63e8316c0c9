//! The subcommand `serve`: starts the proxy, logs reloads of its names, and serves until a signal.
mod listeners;

use std::net::{SocketAddr, UdpSocket};
use std::thread::available_parallelism;

use tokio::runtime;
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::{MapReader, Provider};
use tower_api_key_name::{SharedKeyNames, Status};

use super::by_provider::ByProvider;
use super::demo::Demo;
use super::flags::ServeFlags;
use super::output::print_line;
use super::settings::ProxySettings;
use super::spend_page::PageRuns;
use super::start_error::StartError;
use super::{server, stack, sync};
use listeners::Listeners;

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
    // Does not wait for a blocking DNS look-up.
    runtime.shutdown_background();
    result
}

/// Starts the proxy and serves until a signal. Returns the number of requests that were cut, or why the start failed.
async fn start_and_serve(mut flags: ServeFlags) -> Result<usize, StartError> {
    // Flags are checked before anything is opened.
    let mut settings = flags.settings().map_err(StartError::BadUse)?;
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
    let names = load_names(&flags, &settings)?;
    for (provider, names) in names.iter() {
        tokio::spawn(log_reloads(provider, names.clone()));
    }

    let listeners = Listeners::open(&flags).await?;
    let bound = listeners.main_address();
    for (provider, base) in settings.base.iter() {
        reject_own_address(provider, base, bound).await?;
    }
    warn_about_exposure(&settings.base, &listeners);

    let page_address =
        if flags.operator.no_spend_page { None } else { Some(listeners.operator_address().unwrap_or(bound)) };
    let service = stack::stack(names.clone(), &settings).map_err(StartError::cannot_start)?;
    let runs = PageRuns::new(names.clone(), settings.clone());
    let server = listeners.serve(service, names.clone(), runs, &flags, stop);
    if let Some(demo) = &demo {
        sync::fill_demo(&settings, &names).await?;
        match demo.show(bound, page_address).await {
            Ok(text) => print_line(&text),
            // The proxy itself works, so it goes on.
            Err(e) => tracing::warn!("the demo's own requests failed: {e}"),
        }
    }
    server.await.map_err(StartError::cannot_start)
}

/// Returns the names of each provider: of its lists with `--sync`, otherwise of the files. With `--demo` there are none yet.
fn load_names(
    flags: &ServeFlags,
    settings: &ProxySettings,
) -> Result<ByProvider<SharedKeyNames>, StartError> {
    if flags.demo {
        return ByProvider::try_new(|_| Ok(SharedKeyNames::default()));
    }
    if let Some(cache) = &flags.sync {
        return sync::start(&flags.names, cache, settings);
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
fn warn_about_exposure(base: &ByProvider<BaseUrl>, listeners: &Listeners) {
    let bound = listeners.main_address();
    if !bound.ip().is_loopback() {
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

/// Logs the first status of a provider's names and each change of it, without end.
async fn log_reloads(provider: Provider, names: SharedKeyNames) {
    let mut logged: Option<Status> = None;
    loop {
        let is_unlogged = |status: &Status| logged.as_ref().is_none_or(|old| is_news(old, status));
        let current = names.wait_for(is_unlogged).await;
        log_changes(provider.as_str(), logged.as_ref(), &current);
        logged = Some(current);
    }
}

/// True if the generation, the error or the warning has changed.
fn is_news(old: &Status, current: &Status) -> bool {
    let is_same_result = old.last_error == current.last_error && old.warning == current.warning;
    old.generation != current.generation || !is_same_result
}

/// Logs the generation, the error and the warning of a status, each if it differs from the status that was logged before.
fn log_changes(provider: &str, old: Option<&Status>, current: &Status) {
    if old.is_none_or(|old| old.generation != current.generation) {
        log_generation(provider, current);
    }
    let old_error = old.and_then(|old| old.last_error.as_ref());
    if old_error != current.last_error.as_ref() {
        match &current.last_error {
            Some(error) => tracing::warn!("{provider}: the last good names stay in use: {error}"),
            None => tracing::info!("{provider}: the files with names are valid again"),
        }
    }
    let old_warning = old.and_then(|old| old.warning.as_ref());
    if let Some(warning) = &current.warning
        && old_warning != Some(warning)
    {
        tracing::warn!("{provider}: {warning}");
    }
}

/// Logs the number of names and their source, and a warning about each kind of missing names.
fn log_generation(provider: &str, status: &Status) {
    let Status { entries, source, generation, left_out, .. } = status;
    tracing::info!("{provider}: {entries} names from {source} (generation {generation})");
    if status.partial {
        tracing::warn!(
            "{provider}: {source}: names are missing. A file is missing, or has one page of a list (has_more)."
        );
    }
    if *left_out > 0 {
        tracing::warn!(
            "{provider}: {left_out} items of {source} were left out, because they have no valid name"
        );
    }
}
