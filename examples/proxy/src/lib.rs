//! The parts of the program `api-key-name-proxy`: a library for its `main` and its tests.
//!
//! ```text
//! client ─▶ server ─▶ log ─▶ route ─▶ compression ─▶ errors ─▶ ApiKeyName (the library) ─▶ decompression
//!                              │                                                              │
//!                            health                 API ◀─ upstream ◀─ forward ◀─ timeouts ◀──┘
//! ```
//!
//! - [`command`] parses the command line ([`flags`]), starts the log ([`output`]) and runs a subcommand. A failed start
//!   is a [`start_error`] with an exit code.
//! - [`serve`] is the default subcommand. It reads the names, opens the listener, and logs each reload. [`sync_command`]
//!   writes names from the API's own lists to a file, and [`sync`] learns them while the proxy serves. [`demo`] is an
//!   embedded API with fixed data.
//! - [`server`] accepts connections, limits them and their calls, and stops on signals.
//! - [`stack`] lists the Tower layers in order, built from [`settings`]: log, route, [`coding`], errors, the naming layer,
//!   and timeouts.
//! - [`upstream`] at the bottom of the stack forwards requests to the API, with retries. [`hop_by_hop`] removes headers
//!   of one connection.
// The library is not published. Its modules are public for the tests only.
#![allow(missing_docs, missing_debug_implementations)]

pub mod coding;
pub mod command;
pub mod demo;
pub mod flags;
pub mod hop_by_hop;
pub mod output;
pub mod serve;
pub mod server;
pub mod settings;
pub mod stack;
pub mod start_error;
pub mod sync;
pub mod sync_command;
pub mod upstream;
