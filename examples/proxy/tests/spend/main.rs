//! Tests of a run over the real stack, with a fake organization as the upstream.
// clippy.toml allows `unwrap` in tests, but not in their helper functions.
#![allow(clippy::unwrap_used)]

mod amounts;
mod faults;
mod law;
#[cfg(target_os = "linux")]
mod load;
mod names;
mod organization;
mod pages;
