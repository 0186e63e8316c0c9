//! Tests of the proxy over real sockets on loopback: forwarding, limits, failures, and the program itself.
// clippy.toml allows `unwrap` in tests, but not in their helper functions.
#![allow(clippy::unwrap_used)]

mod analytics;
mod binary;
mod bodies;
mod check_command;
mod coding;
mod connection_timeouts;
#[cfg(target_os = "linux")]
mod crowd;
mod demo;
mod error_form;
mod failures;
mod filter;
mod forwarding;
mod frames;
mod framing;
mod keys_command;
mod keys_usage;
mod limits;
mod log;
mod manual_commands;
mod maps;
mod metrics;
mod operator;
mod peer;
mod pool;
mod probes;
mod providers;
mod proxy_keys;
mod requested;
mod retries;
mod scope;
#[cfg(unix)]
mod secrets;
mod serving;
mod settings;
mod spend_command;
mod spend_page;
#[cfg(unix)]
mod stopping;
mod streaming;
mod sync;
mod tls;
mod uploads;
