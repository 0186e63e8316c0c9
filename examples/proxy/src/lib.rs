//! The proxy as a library, so that its tests use it like any user.
//!
//! ```text
//! client ─▶ server ─▶ log ─▶ route ─▶ coding ─▶ errors ─▶ the naming layer ─▶ decoding (tail)
//!                              │                                                    │
//!                   health      upstream ◀─ forward ◀─ timeouts ◀───────────────────┘
//!
//! upstream: exchange (one call, one connection) ◀─▶ pool (the connections that wait)
//! ```
#![allow(missing_docs, missing_debug_implementations)]

pub mod base;
pub mod coding;
pub mod decoding;
pub mod demo;
pub mod exchange;
pub mod flags;
pub mod forward;
pub mod framing;
pub mod health;
pub mod lines;
pub mod log;
pub mod pool;
pub mod route;
pub mod server;
pub mod stack;
pub mod sync;
pub mod tail;
pub mod upstream;
pub mod validators;

// Short paths to modules that others name often.
pub use server::limits;
pub use stack::{errors, timeouts};

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use tower_api_key_name::{SharedKeyNames, Status};

use base::Base;
use flags::Flags;
use lines::Lines;
use stack::Settings;

/// A failed start says why, and how the process ends: 2 for what was asked, 1 for what was found.
pub enum Refusal {
    BadUse(String),
    CannotStart(String),
}

pub fn main() -> ExitCode {
    // clap itself ends the process: 2 on bad use, 0 on --help.
    let flags = Flags::parse();
    keep_what_is_freed();
    let lines = match Lines::to(std::io::stderr()) {
        Ok(lines) => lines,
        Err(e) => {
            eprintln!("error: no thread for the log: {e}");
            return ExitCode::from(1);
        }
    };
    let log = lines.clone();
    tracing_subscriber::fmt()
        .with_env_filter(log::filter(flags.access_log))
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(move || log.clone())
        .init();

    let (code, last_words) = match start(flags) {
        Ok(0) => (0, None),
        // The log has said how many.
        Ok(_cut) => (3, None),
        Err(Refusal::BadUse(why)) => (2, Some(why)),
        Err(Refusal::CannotStart(why)) => (1, Some(why)),
    };
    lines.end(last_words.map(|why| format!("error: {why}\n")));
    ExitCode::from(code)
}

/// Has glibc keep up to 16 MiB that are free in each of its arenas. Else it gives back to the system whatever is free
/// at an arena's end and more than 128 KiB, and faults it in again for the next answer: a twelfth of what a page of
/// 64 KiB costs. It learns to keep twice the size of the largest block that was ever freed, so it is shown one, which
/// is never touched.
fn keep_what_is_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(8 << 20)));
}

/// Gives the number of calls that were cut.
fn start(flags: Flags) -> Result<usize, Refusal> {
    // One core, one thread: work that is handed between threads wakes them, and that costs more than
    // it gains where they share a core. More cores: a page that is being compressed leaves the others free.
    let mut runtime = match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > 1 => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime =
        runtime.enable_all().build().map_err(|e| Refusal::CannotStart(format!("no runtime: {e}")))?;
    let outcome = runtime.block_on(run(flags));
    // Does not wait for a name look-up that hangs in a thread of its own.
    runtime.shutdown_background();
    outcome
}

async fn run(mut flags: Flags) -> Result<usize, Refusal> {
    // What was asked is judged before anything is opened.
    let mut settings = flags.settings().map_err(Refusal::BadUse)?;
    flags.limits.fit_open_files().map_err(|e| Refusal::CannotStart(format!("no open files: {e}")))?;
    let stop = server::ShutdownSignal::from_system().map_err(|e| Refusal::CannotStart(e.to_string()))?;

    let demo = if flags.demo {
        let demo = demo::Demo::start(flags.limits)
            .await
            .map_err(|e| Refusal::CannotStart(format!("the demo upstream cannot listen: {e}")))?;
        settings.base = demo.base.clone();
        Some(demo)
    } else {
        None
    };
    let names = match &demo {
        Some(demo) => demo.names().map_err(cannot_start)?,
        None => names(&flags, &settings)?,
    };

    tokio::spawn(tell_of_reloads(names.clone()));

    let listener = server::listen(&flags.host, flags.port)
        .await
        .map_err(|e| Refusal::CannotStart(format!("cannot listen on {}:{}: {e}", flags.host, flags.port)))?;
    let bound = listener.local_addr().map_err(cannot_start)?;
    refuse_own_address(&settings.base, bound).await?;
    warn_of_what_is_open(&settings.base, bound);

    let service = stack::stack(names.clone(), &settings).map_err(|e| Refusal::CannotStart(e.to_string()))?;
    say(&format!("listening on http://{bound}"));
    let serving = tokio::spawn(server::serve(listener, service, flags.limits, stop));
    if let Some(demo) = &demo {
        sync::fill(&demo.map(), &settings, &names).await?;
        // A demo that cannot show itself still serves.
        match demo.show(bound).await {
            Ok(shown) => say(&shown),
            Err(e) => tracing::warn!("the demo's own call failed: {e}"),
        }
    }
    serving.await.map_err(cannot_start)
}

fn names(flags: &Flags, _settings: &Settings) -> Result<SharedKeyNames, Refusal> {
    if let Some(synced) = &flags.sync {
        return sync::begin(&flags.names, synced, _settings);
    }
    SharedKeyNames::watch_all(&flags.names).map_err(cannot_start)
}

/// The one mistake in `--openai-base-url` that would cost a flood of requests: the proxy itself.
/// What gets past this (another name, a tunnel) is found by `Via` (see forward.rs).
async fn refuse_own_address(base: &Base, bound: SocketAddr) -> Result<(), Refusal> {
    if base.port() != bound.port() {
        return Ok(());
    }
    // A name that cannot be resolved now may be resolved later; each call then says 502.
    let Ok(addresses) = tokio::net::lookup_host((base.host(), base.port())).await else {
        return Ok(());
    };
    for address in addresses {
        if base::is_own(bound, address) {
            return Err(Refusal::CannotStart(format!(
                "--openai-base-url {} is this proxy's own address ({bound}): it would call itself for ever. \
                 Give it the API's address, or leave OPENAI_BASE_URL unset for https://api.openai.com.",
                base.origin()
            )));
        }
    }
    Ok(())
}

fn warn_of_what_is_open(base: &Base, bound: SocketAddr) {
    if !bound.ip().is_loopback() {
        tracing::warn!(
            "{bound} is open to other machines: the proxy repeats calls without checking who asks. \
             Whoever reaches it can use whatever the upstream lets an unknown caller do, and sees the keys' names."
        );
    }
    if base.leaks_secrets() {
        tracing::warn!("{} is not encrypted: keys travel in the clear to another machine.", base.origin());
    }
}

/// What happens to the map while nobody asks /health.
async fn tell_of_reloads(names: SharedKeyNames) {
    let mut told: Option<Status> = None;
    loop {
        let now = names
            .wait_for(|now| {
                told.as_ref().is_none_or(|told| {
                    (told.generation, &told.last_error, &told.warning)
                        != (now.generation, &now.last_error, &now.warning)
                })
            })
            .await;
        if told.as_ref().is_none_or(|told| told.generation != now.generation) {
            tracing::info!("{} names from {} (generation {})", now.entries, now.source, now.generation);
            if now.partial {
                tracing::warn!(
                    "{}: names are missing; a file has not come yet, or is the first page of a list (has_more)",
                    now.source
                );
            }
            if now.left_out > 0 {
                tracing::warn!("{} items of {} were left out: no usable name", now.left_out, now.source);
            }
        }
        match (&now.last_error, told.as_ref().and_then(|told| told.last_error.as_ref())) {
            (Some(e), before) if before != Some(e) => tracing::warn!("the last good map stays: {e}"),
            (None, Some(_)) => tracing::info!("the map's files are good again"),
            _ => {}
        }
        if let Some(warning) =
            now.warning.as_ref().filter(|w| told.as_ref().is_none_or(|t| t.warning.as_ref() != Some(*w)))
        {
            tracing::warn!("{warning}");
        }
        told = Some(now);
    }
}

fn cannot_start(e: impl std::fmt::Display) -> Refusal {
    Refusal::CannotStart(e.to_string())
}

/// To standard output, at once: whoever started the proxy reads the address from there.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads: no reason to stop serving.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
