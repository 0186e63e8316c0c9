//! The flags of calls with proxy keys.
use std::path::PathBuf;
use std::time::Duration;

use crate::server::limits::parse_seconds;

#[derive(Clone, Debug, clap::Args)]
pub struct ProxyKeyFlags {
    /// Serve only calls with the proxy keys of this file (see `keys new`) at the main address, and send them on with the
    /// real key in OPENAI_API_KEY or ANTHROPIC_API_KEY, or in the file OPENAI_API_KEY_FILE or ANTHROPIC_API_KEY_FILE.
    /// Organization paths are then served only with --operator-listen. With --demo without a file
    #[arg(long, env = "OPENAI_ORG_PROXY_KEYS", value_name = "FILE", num_args = 0..=1)]
    pub keys: Option<Option<PathBuf>>,

    /// SQLite file with the use of each proxy key, which no other process may write; created if it is missing
    #[arg(long, env = "OPENAI_ORG_PROXY_LEDGER", value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// With --keys: days for which the ledger keeps a row for each call, as in `90d`. Sums for each hour are kept for ever,
    /// and no limit changes
    #[arg(long, value_name = "DAYS", default_value = "90d", value_parser = parse_days)]
    pub keep_rows: Duration,

    /// With --keys: bytes of the longest request body
    // A long document with images.
    #[arg(long, value_name = "BYTES", default_value_t = 32 * 1024 * 1024)]
    pub max_request_body: usize,

    /// With --keys: seconds for the first byte of a response, and between two chunks of it; replaces --timeout and
    /// --deadline for responses of the upstream
    // The SDKs' timeout: a call that is not streamed sends nothing before its end.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = parse_seconds)]
    pub response_timeout: Duration,

    /// With --keys: seconds to read the rest of a response whose client has disconnected, for the usage at its end
    // The providers end a call soon after its connection, so the rest is short.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    pub drain_timeout: Duration,

    /// With --keys: cut also the open streams of a key that is revoked or expires
    #[arg(long)]
    pub cut_revoked: bool,
}

/// The files of a service with proxy keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyKeySource {
    /// Without --keys: there are no proxy keys.
    None,
    /// The keys file and the ledger file.
    Files { keys: PathBuf, ledger: PathBuf },
    /// Keys and a ledger of the demo.
    Demo,
}

impl ProxyKeyFlags {
    /// Returns the files. Fails if one of them is missing, or if a flag has no effect without the others.
    pub fn source(&self, is_demo: bool) -> Result<ProxyKeySource, String> {
        match (&self.keys, &self.ledger, is_demo) {
            (None, None, _) => Ok(ProxyKeySource::None),
            (None, Some(_), _) => Err("--ledger requires --keys".to_owned()),
            (Some(None), None, true) => Ok(ProxyKeySource::Demo),
            (Some(_), _, true) => Err("--keys has no file with --demo, and --ledger is not used".to_owned()),
            (Some(None), _, false) => Err("--keys requires a file; `keys new FILE` creates it".to_owned()),
            (Some(Some(_)), None, false) => {
                Err("--keys requires --ledger, the file with the use of each key".to_owned())
            }
            (Some(Some(keys)), Some(ledger), false) => {
                Ok(ProxyKeySource::Files { keys: keys.clone(), ledger: ledger.clone() })
            }
        }
    }
}

/// Parses a number of days, such as `90d`. Zero is an error.
fn parse_days(text: &str) -> Result<Duration, String> {
    // A century.
    const MAX: u32 = 36_525;
    match text.strip_suffix('d').map(str::parse) {
        Some(Ok(days @ 1..=MAX)) => Ok(Duration::from_secs(u64::from(days) * 24 * 3600)),
        _ => Err(format!("a number of days from 1d to {MAX}d, such as 90d")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::flags::ServeFlags;

    fn source(arguments: &[&str]) -> Result<ProxyKeySource, String> {
        let flags = ServeFlags::parse_from([&["proxy"], arguments].concat());
        flags.proxy_keys.source(flags.demo)
    }

    #[test]
    fn keys_file_and_ledger_require_each_other() {
        assert_eq!(source(&[]), Ok(ProxyKeySource::None));
        assert!(source(&["--keys", "k"]).unwrap_err().contains("requires --ledger"));
        assert!(source(&["--ledger", "l"]).unwrap_err().contains("requires --keys"));
        assert!(source(&["--keys", "--ledger", "l"]).unwrap_err().contains("requires a file"));
        let files = ProxyKeySource::Files { keys: "k".into(), ledger: "l".into() };
        assert_eq!(source(&["--keys", "k", "--ledger", "l"]), Ok(files));
    }

    #[test]
    fn rows_are_kept_for_a_number_of_days() {
        const DAY: Duration = Duration::from_secs(86_400);
        let keep_rows = |arguments: &[&str]| {
            let flags = ServeFlags::try_parse_from([&["proxy"], arguments].concat());
            flags.map(|flags| flags.proxy_keys.keep_rows).ok()
        };
        assert_eq!(keep_rows(&[]), Some(90 * DAY));
        assert_eq!(keep_rows(&["--keep-rows", "7d"]), Some(7 * DAY));
        for invalid in ["7", "d", "0d", "-1d", "1.5d", "7h", "99999999999d"] {
            assert_eq!(keep_rows(&["--keep-rows", invalid]), None, "{invalid}");
        }
    }

    #[test]
    fn demo_has_no_keys_file() {
        assert_eq!(source(&["--demo"]), Ok(ProxyKeySource::None));
        assert_eq!(source(&["--demo", "--keys"]), Ok(ProxyKeySource::Demo));
        assert!(source(&["--demo", "--keys", "k"]).unwrap_err().contains("no file with --demo"));
        assert!(source(&["--demo", "--keys", "--ledger", "l"]).unwrap_err().contains("not used"));
    }
}
