//! The parts of the program `api-key-name-proxy`: a library for its `main` and its tests.
//!
//! ```text
//! client ─▶ server ─▶ log ─▶ route ─▶ compression ─▶ errors ─▶ ApiKeyName (the library) ─▶ decompression ─┐
//!             │                                                                                           │
//!          operator ─▶ spend_page    API ◀─ upstream client ◀─ retry ◀─ replay ◀─ forward ◀─ timeouts ◀───┘
//! ```
//!
//! - [`command`] is the entry point: it starts the log, runs a subcommand, and returns the exit code.
//! - [`flags`] is the command line, with [`settings`] for the stack. [`start_error`] is the reason of a failed start.
//! - [`output`] writes the log and standard output. A slow reader of the log delays no request.
//! - [`serve`] is the default subcommand: it reads the names, opens the listeners, and logs each reload.
//! - [`sync_command`] is the subcommand `sync`: it writes names from the API's lists to a file.
//! - [`sync`] reads names from the API's lists while the proxy serves. [`demo`] is an embedded API with fixed data.
//! - [`server`] accepts connections, limits them and their calls, and stops on signals.
//! - [`operator`] has the operator's paths, `/health` and `/spend`, on either listener. [`spend_page`] is the page.
//! - [`stack`] lists the Tower layers in the order of the path, from the log to the timeouts.
//! - [`url_host`] parses the host of a request or a URL.
//! - [`coding`] configures compression and decompression. [`hop_by_hop`] removes the headers of one connection.
//! - [`upstream`] contains the path from `forward` to the API, and retries requests that the API did not process.
// The library is not published. Its modules are public for the tests only.
#![allow(missing_docs, missing_debug_implementations)]

pub mod by_provider;
pub mod coding;
pub mod command;
pub mod demo;
pub mod flags;
pub mod hop_by_hop;
pub mod http_service;
pub mod label_flags;
pub mod operator;
pub mod output;
pub mod serve;
pub mod server;
pub mod settings;
pub mod spend_page;
pub mod spend;
pub mod stack;
pub mod start_error;
pub mod sync;
pub mod sync_command;
pub mod upstream;
pub mod url_host;
