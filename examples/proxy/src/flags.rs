//! The command line: flags, then environment variables, then defaults.
use std::path::PathBuf;

use clap::builder::ArgPredicate;
use tower_api_key_name::settings::{InsertNames, NamePosition, Prefer, Unmatched};

use super::base_url_flags::BaseUrlFlags;
use super::demo;
use super::keys_command::flags::KeysFlags;
use super::label_flags::{LabelFlags, one_of};
use super::manual_commands::{CompletionsFlags, ManFlags};
use super::metrics::Metrics;
use super::operator::flags::OperatorFlags;
use super::proxy_keys::flags::ProxyKeyFlags;
use super::server::limits::Limits;
use super::settings::{ProxySettings, Roots};
use super::spend_command::flags::SpendFlags;
use super::sync_command::SyncFlags;

/// Inserts names beside the ids of API keys, projects and users in the usage and cost responses of OpenAI and Anthropic
#[derive(Debug, clap::Parser)]
#[command(name = "api-key-name-proxy", version, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The flags without a subcommand, which means `serve`.
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// The last part of `spend --help`.
const SPEND_ENVIRONMENT: &str = "\
Environment variables:
  OPENAI_ADMIN_KEY          OpenAI's admin key, with the scope api.usage.read for
                            costs and api.management.read for names
  OPENAI_ADMIN_KEY_FILE     file with this key
  ANTHROPIC_ADMIN_KEY       Anthropic's admin key
  ANTHROPIC_ADMIN_KEY_FILE  file with this key
  NO_COLOR                  if not empty, the text has no colours";

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Runs the proxy; the default, with the options below
    Serve(Box<ServeFlags>),
    /// Writes the names from the API's lists of keys to a map file, with the admin key in OPENAI_ADMIN_KEY or in the
    /// file OPENAI_ADMIN_KEY_FILE (ANTHROPIC_ADMIN_KEY, ANTHROPIC_ADMIN_KEY_FILE). Exit codes: 0 complete, 1 failed, 2
    /// bad use, 3 some lists are missing
    Sync(SyncFlags),
    /// Prints the costs of the last 30 days by the names of keys, with the admin keys of `sync`. Exit codes: 0 complete, 1
    /// failed, 2 bad use, 3 some costs or names are missing
    #[command(after_help = SPEND_ENVIRONMENT)]
    Spend(SpendFlags),
    /// Checks the flags, files and keys of `serve`, and reads one page of each list. Prints one line for each check. Exit
    /// codes: 0 passed, 1 failed, 2 bad use
    Check(Box<ServeFlags>),
    /// Mints, lists and revokes proxy keys in a keys file, and prints or copies their ledger. Exit codes: 0 done, 1 failed, 2 bad use
    Keys(KeysFlags),
    /// Prints the completion script of a shell
    Completions(CompletionsFlags),
    /// Prints the man page of the program, or writes the pages of all subcommands to a directory
    Man(ManFlags),
}

#[derive(Clone, Debug, clap::Parser)]
pub struct ServeFlags {
    /// Address to listen on; other machines can use any address but loopback, and the proxy does not authenticate them
    #[arg(long, env = "OPENAI_ORG_PROXY_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 selects a free one, which is printed
    #[arg(long, env = "OPENAI_ORG_PROXY_PORT", default_value_t = 18080)]
    pub port: u16,

    #[command(flatten)]
    pub base_urls: BaseUrlFlags,

    #[command(flatten)]
    pub operator: OperatorFlags,

    #[command(flatten)]
    pub proxy_keys: ProxyKeyFlags,

    #[command(flatten)]
    pub limits: Limits,

    /// File with names: a map from id to name, or a list as the API returns it; reloaded when it changes. With several
    /// files, the first one that contains an id has priority. No default with --sync or --keys
    #[arg(long, env = "OPENAI_ORG_PROXY_NAMES", value_name = "FILE", default_value = "names.json")]
    #[arg(default_value_ifs([("sync", ArgPredicate::IsPresent, None), ("keys", ArgPredicate::IsPresent, None)]))]
    pub names: Vec<PathBuf>,

    /// Keep this file current from the lists of each API whose admin key is set, in OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY
    /// or in the file OPENAI_ADMIN_KEY_FILE or ANTHROPIC_ADMIN_KEY_FILE. It comes after the files of --names, or at its
    /// position among them. It is created if it is missing
    #[arg(long, env = "OPENAI_ORG_PROXY_SYNC", value_name = "FILE", conflicts_with = "demo")]
    pub sync: Option<PathBuf>,

    #[command(flatten)]
    pub labels: LabelFlags,

    /// Insert names always, or only those that the request groups or filters by
    #[arg(long, default_value = "always", value_parser = one_of([
        ("always", InsertNames::Always), ("requested", InsertNames::Requested),
    ]))]
    pub insert_names: InsertNames,

    /// Insert the name beside the id, or replace the id by the name, in usage and cost responses only
    #[arg(long, default_value = "beside", value_parser = one_of([
        ("beside", NamePosition::Beside), ("replace", NamePosition::Replace),
    ]))]
    pub name_position: NamePosition,

    /// Name that is used if a response contains one already: that of the map, or that of the upstream
    #[arg(long, default_value = "map", value_parser = one_of([
        ("map", Prefer::Map), ("upstream", Prefer::Upstream),
    ]))]
    pub prefer: Prefer,

    /// Name for an id without an entry; `omit` inserts no member
    #[arg(long, default_value = "unknown", value_parser = one_of([
        ("unknown", Unmatched::Unknown), ("null", Unmatched::Null), ("omit", Unmatched::Omit),
    ]))]
    pub unmatched: Unmatched,

    /// Bytes of one response that are buffered; a longer one is streamed [default: 2097152]
    #[arg(long)]
    pub limit: Option<usize>,

    /// Bytes that all responses together may buffer; beyond it they are streamed [default: no limit]
    #[arg(long)]
    pub total_limit: Option<usize>,

    /// Log a line for each request on standard error; without it, only for failed ones
    #[arg(long)]
    pub access_log: bool,

    /// Use an embedded demo API and its names in place of the base URLs and --names, with the labels of projects and
    /// workspaces
    #[arg(long)]
    pub demo: bool,
}

impl ServeFlags {
    /// Converts the flags to settings. The error has no part of a base URL, which may contain a password.
    pub fn settings(&self) -> Result<ProxySettings, String> {
        let mut labels = self.labels.parse()?;
        if self.demo && self.labels.label.is_empty() {
            labels = demo::labels();
        }
        Ok(ProxySettings {
            // The demo's address replaces the public ones.
            base: if self.demo { BaseUrlFlags::public() } else { self.base_urls.parse()? },
            timeout: self.limits.timeout,
            deadline: self.limits.deadline,
            limit: self.limit,
            total_limit: self.total_limit,
            labels,
            insert_names: self.insert_names,
            name_position: self.name_position,
            prefer: self.prefer,
            unmatched: self.unmatched,
            roots: Roots::Platform,
            metrics: Metrics::default(),
        })
    }
}
