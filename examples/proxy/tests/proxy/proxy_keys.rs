//! The service with `--keys` and `--ledger` as a process, in front of an upstream that behaves like the providers.
mod calls;
mod demo;
mod ledger_costs;
mod monitoring;
mod quota;
mod secrets;
mod start;
#[cfg(unix)]
mod stopping;
mod timeouts;
mod usage;
mod usage_command;
mod world;
