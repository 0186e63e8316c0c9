//! The parts of the program `api-key-name-proxy`: a library for its `main` and its tests.
//!
//! ```text
//! client ─▶ server ─┬─▶ log ─▶ route ───────────────────────┬─▶ provider stack ─▶ API
//!                   └─▶ operator ─▶ spend_page ─┬─▶ spend ──┘
//!                                spend_command ─┘
//!
//! with --keys:
//! client ─▶ server ─▶ proxy_keys (log ─▶ errors ─▶ usage ─▶ ProxyKey (the library) ─▶ decompression ─▶ timeouts) ─▶ upstream
//!                                                   └─▶ ApiKeyName ─▶ Usage (the library) ─▶ ledger
//! operator ─▶ server ─▶ as a client without --keys, or with the operator token: usage as above
//!
//! provider stack: compression ─▶ errors ─▶ ApiKeyName (the library) ─▶ decompression ─▶ timeouts ─▶ upstream
//! upstream:       forward ─▶ replay ─▶ retry ─▶ upstream client
//! ```
//!
//! The subcommands:
//! - [`command`] is the entry point: it starts the log, runs a subcommand, and returns the exit code.
//! - [`serve`] is the default subcommand: it reads the names, opens the listeners, and logs each reload.
//! - [`sync_command`] is the subcommand `sync`: it writes names from the API's lists to a file.
//! - [`spend_command`] is the subcommand `spend`: it prints costs by name, or writes them to a file.
//! - [`check_command`] is the subcommand `check`: it checks the flags, files and keys of `serve`, and the upstreams.
//! - [`keys_command`] is the subcommand `keys`: it mints, lists and revokes the keys of a keys file, and reads their
//!   ledger.
//! - [`manual_commands`] are the subcommands `completions` and `man`.
//!
//! Flags and output:
//! - [`flags`] is the command line. [`base_url_flags`] and [`label_flags`] are the flags that subcommands share.
//! - [`settings`] are the settings of the stack. [`start_error`] is the reason of a failed start.
//! - [`output`] writes the log and standard output. A slow reader of the log delays no request.
//! - [`atomic_file`] replaces a file in one step. [`text_width`] measures and shortens text for a terminal.
//!
//! Requests and responses:
//! - [`server`] accepts connections, limits them and their calls, and stops on signals.
//! - [`operator`] has the operator's paths `/health`, `/ready`, `/metrics` and `/spend`. With `--operator-listen`, the last two
//!   are at that address only.
//! - [`metrics`] are the counters and gauges of `/metrics`. [`spend_metrics`] reads the spend for them.
//! - [`proxy_keys`] serves calls with proxy keys at the main address in place of organization paths (`--keys`).
//! - [`spend_page`] is the page `/spend` for browsers, and the endpoint that reads costs for it.
//! - [`stack`] lists the Tower layers in the order of the path, from the log to the timeouts.
//! - [`by_provider`] is a value for each provider, such as its stack. [`http_service`] is the bound of services in the stack.
//! - [`coding`] configures compression and decompression. [`hop_by_hop`] removes the headers of one connection.
//! - [`upstream`] contains the path from `forward` to the API, and retries requests that the API did not process.
//! - [`url_host`] parses the host of a request or a URL.
//!
//! Names and costs:
//! - [`sync`] reads names from the API's lists while the proxy serves. [`demo`] is an embedded API with fixed data.
//! - [`spend`] reads all pages of the costs through the provider stacks, or from the ledger of proxy keys, and sums them
//!   exactly by name.
// The library is not published. Its modules are public for the tests only.
#![allow(missing_docs, missing_debug_implementations)]

pub mod atomic_file;
pub mod base_url_flags;
pub mod by_provider;
pub mod check_command;
pub mod coding;
pub mod command;
pub mod demo;
pub mod flags;
pub mod hop_by_hop;
pub mod http_service;
pub mod keys_command;
pub mod label_flags;
pub mod manual_commands;
pub mod metrics;
pub mod operator;
pub mod output;
pub mod proxy_keys;
pub mod serve;
pub mod server;
pub mod settings;
pub mod spend;
pub mod spend_command;
pub mod spend_metrics;
pub mod spend_page;
pub mod stack;
pub mod start_error;
pub mod sync;
pub mod sync_command;
pub mod text_width;
pub mod upstream;
pub mod url_host;
