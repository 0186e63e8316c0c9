//! The flags of the subcommand `keys`.
use std::path::PathBuf;

use clap::ArgGroup;
use jiff::Timestamp;

use super::expiry::{Expiry, parse_expiry};
use super::limits::{KeyLimits, LimitFlag, parse_limit};

#[derive(Clone, Debug, clap::Args)]
pub struct KeysFlags {
    #[command(subcommand)]
    pub action: KeysAction,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum KeysAction {
    /// Mints a key: prints it once on standard output, and adds its SHA-256 digest to the file
    New(NewFlags),
    /// Prints the keys of a file without their digests: id, name, group, state, number of digests, limits and models
    List(ListFlags),
    /// Revokes a key: removes its digests from the file. Its entry stays, so that past usage has its name
    Revoke(RevokeFlags),
    /// Prints the use of each key and group from a ledger, also while the proxy writes it: each limit with its used,
    /// reserved and remaining amounts, or the use of the day and the month without limits. Windows are in UTC
    Usage(UsageFlags),
    /// Copies a ledger to a file, also while the proxy writes it. The copy is complete, and is itself a ledger
    Backup(BackupFlags),
}

#[derive(Clone, Debug, clap::Args)]
#[command(group(ArgGroup::new("limits").required(true).args(["limit", "unlimited"])))]
pub struct NewFlags {
    /// Keys file. It is created if it is missing, with mode 0600; an existing file keeps its mode and owner
    pub file: PathBuf,

    /// Name of the key in usage and costs, for example "St Mary's, tutor"
    #[arg(long)]
    pub name: String,

    /// Id of the key [default: key_ and the words of the name; if the id is taken, _2 or the next free number follows; if no
    /// word is left, key_1 or the next free number]
    #[arg(long)]
    pub id: Option<String>,

    /// Group whose limits count too. The file must contain the group
    #[arg(long)]
    pub group: Option<String>,

    /// Limit of requests, tokens or dollars per minute, hour, day, month or ever, in UTC, or of parallel requests, for
    /// example tokens/day=200000, dollars/month=25.00 or parallel=8; may be repeated
    #[arg(long, value_name = "METER/WINDOW=AMOUNT", value_parser = parse_limit)]
    pub limit: Vec<LimitFlag>,

    /// Mint a key without a limit of its own; those of its group count
    #[arg(long)]
    pub unlimited: bool,

    /// Model that the key may call, for example gpt-5-mini or gpt-5-mini*; may be repeated [default: all models]
    #[arg(long, value_name = "PATTERN")]
    pub model: Vec<String>,

    /// Tool type that the key may use beside functions, for example web_search; may be repeated [default: none]
    #[arg(long, value_name = "TYPE")]
    pub tool: Vec<String>,

    /// Instant from which the key is rejected, for example 2027-07-31T00:00:00Z, or days from now, for example 90d
    /// [default: never]
    #[arg(long, value_name = "INSTANT", value_parser = parse_expiry)]
    pub expires: Option<Expiry>,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ListFlags {
    /// Keys file
    pub file: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct RevokeFlags {
    /// Id of the key, as `keys list` prints it
    pub id: String,

    /// Keys file
    pub file: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub struct UsageFlags {
    /// Keys file
    pub file: PathBuf,

    /// Ledger, which is opened read-only
    #[arg(long, value_name = "FILE")]
    pub ledger: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub struct BackupFlags {
    /// File of the copy. A new file has mode 0600; an existing one is replaced in one step, and keeps its mode and owner
    pub target: PathBuf,

    /// Ledger, which is opened read-only
    #[arg(long, value_name = "FILE")]
    pub ledger: PathBuf,
}

impl NewFlags {
    /// Returns the limits of --limit. Fails if two of them have the same meter and window.
    pub fn limits(&self) -> Result<KeyLimits, String> {
        let mut limits = KeyLimits::default();
        for limit in &self.limit {
            limits.add(limit)?;
        }
        Ok(limits)
    }

    /// Returns the instant of --expires. Fails if it is not after `now`.
    pub fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>, String> {
        match &self.expires {
            Some(expiry) => expiry.instant(now).map(Some),
            None => Ok(None),
        }
    }
}
