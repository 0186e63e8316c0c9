//! How much at once, and how long for whom. Each bound is a flag; its default's reason stands beside it.
use std::io;
use std::time::Duration;

/// What a head has room in at least; at twice that it is refused. The longest target that can be passed on
/// (`http::Uri` takes 65,534 bytes), and 32 KiB of fields: an SDK's whole head has about 1.5 KiB. Not a flag, as
/// little as the number of fields (hyper's 100).
pub const HEAD_BYTES: usize = 96 * 1024;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Limits {
    /// Clients' connections; past it, whoever has been waited for longest makes room for who comes
    // An idle one costs about 22 KiB: 88 MiB in all.
    #[arg(long, value_name = "N", default_value_t = 4_096, value_parser = count)]
    pub max_connections: usize,

    /// Calls at a time, until their answers are out and their content has come; past it the answer is 503 with Retry-After
    // Each may hold 2 MiB (--limit): 1 GiB in all. At a second for an answer it is 512 calls a second.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count)]
    pub max_in_flight: usize,

    /// Seconds, also 0.5: to connect and get the head of an answer, and for each silence in a body, on either side
    #[arg(long, env = "OPENAI_ORG_PROXY_TIMEOUT_SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,

    /// Seconds for a whole call, from its head to the last byte of its answer
    // What the SDKs give a call. The largest page there is, 88 MB, may come at 150 KB/s.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub deadline: Duration,

    /// Seconds for a client to send a head, from its first byte, or from when it connected
    // A head is a packet or two; this is time for one to be lost three times.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub head_timeout: Duration,

    /// Seconds that a connection without a call is kept
    // Longer than load balancers keep theirs (60 s): the side that sends should be the one that closes.
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub idle_timeout: Duration,

    /// Seconds that calls in flight have to finish after SIGTERM
    // Kubernetes kills after 30: what was cut should have been said by then.
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = seconds)]
    pub grace: Duration,
}

impl Limits {
    /// Has the system let this process open what its limits allow, or lowers the limits to what it lets.
    pub fn fit_open_files(&mut self) -> io::Result<()> {
        // A call has a connection to the upstream, and about as many may lie idle in the pool.
        const OWN: usize = 64;
        let need = self.max_connections + 2 * self.max_in_flight + OWN;
        let have = rlimit::increase_nofile_limit(need as u64)?;
        let have = usize::try_from(have).unwrap_or(usize::MAX);
        if have < need {
            self.max_in_flight = self.max_in_flight.min(have / 8).max(1);
            let rest = have.saturating_sub(2 * self.max_in_flight + OWN).max(1);
            self.max_connections = self.max_connections.min(rest);
            tracing::warn!(
                "only {have} open files are allowed (ulimit -n): --max-connections is {}, --max-in-flight is {}",
                self.max_connections,
                self.max_in_flight
            );
        }
        Ok(())
    }
}

fn count(text: &str) -> Result<usize, String> {
    // More than any system lets one process open.
    const MOST: usize = 10_000_000;
    match text.parse() {
        Ok(count @ 1..=MOST) => Ok(count),
        _ => Err(format!("a number from 1 to {MOST}")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    // A week is more than any call takes, and far from where an instant overflows.
    const MOST: f64 = 7.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        // NaN is in no range.
        Ok(seconds) if (0.001..=MOST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("a number of seconds from 0.001 to {MOST}")),
    }
}
