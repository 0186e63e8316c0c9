//! The proxy over real sockets on loopback: each line of its specification, and what it refuses.
// clippy.toml lets tests unwrap, and takes a helper of theirs for none; the proxy itself is checked where it
// is built as an example.
#![allow(clippy::unwrap_used)]

mod binary;
mod coding;
mod connection_timeouts;
#[cfg(target_os = "linux")]
mod crowd;
mod demo;
mod error_form;
mod failures;
mod filter;
mod forwarding;
mod framing;
mod limits;
mod log;
mod maps;
mod peer;
mod pool;
mod scope;
#[cfg(unix)]
mod secrets;
mod serving;
mod settings;
#[cfg(unix)]
mod stopping;
mod streaming;
mod sync;
mod tls;
mod uploads;
