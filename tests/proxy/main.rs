//! The proxy over real sockets on loopback: each line of its specification, and what it refuses.
// clippy.toml lets tests unwrap, and takes a helper of theirs for none; the proxy itself is checked where it
// is built as an example.
#![allow(clippy::unwrap_used)]

#[path = "../../examples/proxy/app.rs"]
#[allow(dead_code, unreachable_pub)]
mod app;

mod binary;
mod coding;
mod demo;
mod failures;
mod filter;
mod forwarding;
mod framing;
mod log;
mod maps;
mod peer;
mod scope;
#[cfg(unix)]
mod secrets;
mod serving;
mod settings;
mod streaming;
#[cfg(feature = "directory")]
mod sync;
mod tls;
mod uploads;
