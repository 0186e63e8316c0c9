//! Chaos test: the proxy between a faulty upstream and faulty clients, while its names file is rewritten. Each response has
//! to be exactly the oracle's, or an error in OpenAI's form, or visibly broken off.
//!
//! ```text
//! CHAOS_REQUESTS=100000 cargo test --release --test chaos     # more than the default of 4,000
//! CHAOS_SEED=7          cargo test --test chaos               # another run; a seed always has the same run
//! CHAOS_EPISODE=4711    cargo test --test chaos               # one connection of a run, as a failure prints it
//! ```
#![cfg(target_os = "linux")] // Resources of a process are read from /proc.
#![allow(clippy::unwrap_used)] // clippy.toml allows `unwrap` in tests only.

mod client;
mod coding;
mod documents;
mod faults;
mod fixtures;
mod http2_client;
mod in_process;
mod malformed;
mod names_file;
mod plan;
mod process;
mod random;
mod run;
mod script;
mod upstream;
mod verdict;
mod well_behaved;
mod wire;
