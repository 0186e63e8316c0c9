//! Chaos: the proxy between an upstream that lies and clients that misbehave, while its map is rewritten. Each answer
//! is exactly what the oracle says, an error in the agreed form, or broken so that nobody takes it for whole.
//!
//! ```text
//! CHAOS_REQUESTS=100000 cargo test --release --test chaos     # more than the few thousand of a plain run
//! CHAOS_SEED=7          cargo test --test chaos               # another run; the same number, the same run
//! CHAOS_EPISODE=4711    cargo test --test chaos               # one connection of it, as a failure names it
//! ```
#![cfg(target_os = "linux")] // What a process holds is read from /proc.
#![allow(clippy::unwrap_used)] // clippy.toml lets tests unwrap, and takes a helper of theirs for none.

mod broken;
mod client;
mod coding;
mod documents;
mod generations;
mod honest;
mod inside;
mod lies;
mod plan;
mod process;
mod random;
mod run;
mod script;
mod streams;
mod upstream;
mod verdict;
mod wire;
mod world;
