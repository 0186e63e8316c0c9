//! The parts of the program `api-key-name-proxy`: a library for its `main` and its tests.
//!
//! ```text
//! client ─▶ server ─▶ log ─▶ route ─▶ coding ─▶ errors ─▶ ApiKeyName (the library) ─▶ decoding
//!                              │                                                        │
//!                            health         API ◀─ upstream ◀─ forward ◀─ timeouts ◀────┘
//! ```
//!
//! - [`command`] parses the command line ([`flags`]), starts the log ([`output`]) and runs a subcommand. A failed start
//!   is a [`start_error`] with an exit code.
//! - [`serve`] is the default subcommand. It reads the names, opens the listener, and logs each reload. [`sync_command`]
//!   writes names from the API's own lists to a file, and [`sync`] learns them while the proxy serves. [`demo`] is an embedded API with fixed data.
//! - [`server`] accepts connections and stops on signals. [`limits`] are its flags; [`load`] decides which connection is
//!   closed when there are too many; [`connection`] watches one connection, [`calls`] counts its requests, and [`heard`]
//!   limits the size of headers.
//! - [`stack`] lists the Tower layers in order, built from [`settings`]: log, route, [`coding`], [`errors`], the naming
//!   layer, [`decoding`] (with [`tail`]), [`timeouts`] and [`forward`] (with [`framing`] and [`validators`]).
//! - [`upstream`] is the client at the bottom of the stack: [`base`] is the API's address, [`exchange`] sends one
//!   request, and [`pool`] keeps idle connections.
// The library is not published. Its modules are public for the tests only.
#![allow(missing_docs, missing_debug_implementations)]

pub mod base;
pub mod calls;
pub mod coding;
pub mod command;
pub mod connection;
pub mod decoding;
pub mod demo;
pub mod errors;
pub mod exchange;
pub mod flags;
pub mod forward;
pub mod framing;
pub mod heard;
pub mod limits;
pub mod load;
pub mod output;
pub mod pool;
pub mod serve;
pub mod server;
pub mod settings;
pub mod stack;
pub mod start_error;
pub mod sync;
pub mod sync_command;
pub mod tail;
pub mod timeouts;
pub mod upstream;
pub mod validators;
