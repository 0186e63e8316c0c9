//! The limits of the server. Each is a flag; the reason for its default is in the comment above it.
use std::io;
use std::time::Duration;

use clap::{Args, FromArgMatches};

/// Bytes of request headers that are accepted at least; twice as many are rejected.
///
/// This is the longest target that can be forwarded (`http::Uri` accepts 65,534 bytes) and 32 KiB of header fields; the
/// requests of an SDK have about 1.5 KiB. Not a flag, like the number of fields (100, hyper's default).
pub const HEADER_LIMIT: usize = 96 * 1024;

/// The deadline of calls that have none: longer than any call, and far below the overflow of an `Instant`.
pub const NO_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Connections to the operator listener at most: a few people and the collectors of metrics. Half of the reserved files.
const MAX_OPERATOR_CONNECTIONS: usize = 32;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Limits {
    /// Client connections; when full, the longest-idle connection is closed for a new one
    // An idle one costs about 22 KiB: 88 MiB in all.
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = parse_count)]
    pub max_connections: usize,

    /// Calls in flight, each until its response is sent and its request received; above it the response is 503 with Retry-After
    // Each may buffer 2 MiB (--limit): 1 GiB in all. With responses of one second it is 512 calls a second.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = parse_count)]
    pub max_in_flight: usize,

    /// Seconds, also fractions: to connect and receive response headers, and between two frames of a body, on either side
    #[arg(long, env = "OPENAI_ORG_PROXY_TIMEOUT_SECONDS", default_value = "60", value_parser = parse_seconds)]
    pub timeout: Duration,

    /// Seconds for a whole call, from its headers to the last byte of its response
    // The SDKs' timeout for a call. The largest possible page, 88 MB, arrives in time at 150 KB/s.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = parse_seconds)]
    pub deadline: Duration,

    /// Seconds for a client to send request headers, from their first byte, or from the connection's start
    // Headers are one packet or two; this is time to lose one of them three times.
    #[arg(long = "head-timeout", value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub header_timeout: Duration,

    /// Seconds that a connection without a call is kept open
    // Longer than the idle timeout of load balancers (60 s): the side that sends should be the one that closes.
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = parse_seconds)]
    pub idle_timeout: Duration,

    /// Seconds for calls in flight to finish after SIGTERM
    // Kubernetes kills after 30 s: the number of cut calls should be logged before.
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = parse_seconds)]
    pub grace: Duration,
}

impl Limits {
    /// Returns the limits without flags: those of the environment, and otherwise the defaults.
    pub fn from_env() -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("limits").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from([""; 0])?)
    }

    /// Returns the shortest time in which a connection can exceed one of these limits.
    pub(super) fn shortest_timeout(&self) -> Duration {
        self.header_timeout.min(self.idle_timeout).min(self.timeout).min(self.deadline)
    }

    /// Returns the limits of the operator listener: with so few connections that the reserved open files suffice.
    pub fn for_operators(self) -> Self {
        let max_connections = self.max_connections.min(MAX_OPERATOR_CONNECTIONS);
        Self { max_connections, ..self }
    }

    /// Returns the limits of a listener whose calls may take any time. A client that stops reading is still disconnected.
    pub fn without_deadline(self) -> Self {
        Self { deadline: NO_DEADLINE, ..self }
    }

    /// Raises the system's limit on open files to what these limits need. If the system allows less, lowers these limits
    /// to that. Fails if the limit on open files cannot be read or set.
    pub fn fit_open_files(&mut self) -> io::Result<()> {
        const RESERVED: usize = 64;
        // A call has one connection to the upstream, and as many again may be idle in its pool.
        let needed = self.max_connections + 2 * self.max_in_flight + RESERVED;
        let allowed = usize::try_from(rlimit::increase_nofile_limit(needed as u64)?).unwrap_or(usize::MAX);
        if allowed < needed {
            // A quarter of the files is for calls, which need two each.
            self.max_in_flight = self.max_in_flight.min(allowed / 8).max(1);
            let rest = allowed.saturating_sub(2 * self.max_in_flight + RESERVED).max(1);
            self.max_connections = self.max_connections.min(rest);
            tracing::warn!(
                "only {allowed} open files are allowed (ulimit -n): --max-connections is {}, --max-in-flight is {}",
                self.max_connections,
                self.max_in_flight
            );
        }
        Ok(())
    }
}

/// Parses the value of a limit that counts. Zero is an error.
fn parse_count(text: &str) -> Result<usize, String> {
    // More than any system allows one process to open.
    const MAX: usize = 10_000_000;
    match text.parse() {
        Ok(count @ 1..=MAX) => Ok(count),
        _ => Err(format!("a number from 1 to {MAX}")),
    }
}

/// Parses a number of seconds, which may be a fraction. Less than a millisecond is an error.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    // One week: longer than any call, and far below the overflow of an `Instant`.
    const MAX: f64 = 7.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        // NaN is in no range.
        Ok(seconds) if (0.001..=MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("a number of seconds from 0.001 to {MAX}")),
    }
}
