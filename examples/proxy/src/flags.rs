//! The command line: flags, then environment variables, then defaults.
use std::fmt;
use std::path::PathBuf;

use clap::builder::{ArgPredicate, PossibleValuesParser, TypedValueParser};
use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::settings::Unmatched;

use super::server::limits::Limits;
use super::settings::{ProxySettings, Roots};
use super::sync_command::SyncFlags;

/// Inserts `api_key_name` beside every `api_key_id` in the usage and cost responses of OpenAI and Anthropic
#[derive(Debug, clap::Parser)]
#[command(name = "api-key-name-proxy", version, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The flags without a subcommand, which means `serve`.
    #[command(flatten)]
    pub serve: ServeFlags,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Runs the proxy; the default, with the options below
    Serve(ServeFlags),
    /// Writes the names from the API's lists of keys to a map file, with the admin key in OPENAI_ADMIN_KEY or in the
    /// file OPENAI_ADMIN_KEY_FILE (ANTHROPIC_ADMIN_KEY, ANTHROPIC_ADMIN_KEY_FILE). Exit codes: 0 complete, 1 failed, 2
    /// bad use, 3 some lists are missing
    Sync(SyncFlags),
}

#[derive(Clone, clap::Parser)]
pub struct ServeFlags {
    /// Address to listen on; other machines can use any address but loopback, and the proxy does not authenticate them
    #[arg(long, env = "OPENAI_ORG_PROXY_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 selects a free one, which is printed
    #[arg(long, env = "OPENAI_ORG_PROXY_PORT", default_value_t = 18080)]
    pub port: u16,

    /// Base URL of the API; a trailing `/` or `/v1` is removed
    // Parsed in `settings`: clap would print an invalid value, which may contain a password.
    #[arg(long, env = "OPENAI_BASE_URL", hide_env_values = true, default_value = "https://api.openai.com")]
    pub openai_base_url: String,

    #[command(flatten)]
    pub limits: Limits,

    /// File with names: a map from id to name, or a list as the API returns it; reloaded when it changes. With several
    /// files, the first one that contains an id has priority. No default with --sync
    #[arg(long, env = "OPENAI_ORG_PROXY_NAMES", value_name = "FILE", default_value = "names.json")]
    #[arg(default_value_if("sync", ArgPredicate::IsPresent, None))]
    pub names: Vec<PathBuf>,

    /// Keep this file current from the API's lists of keys, with the admin key in OPENAI_ADMIN_KEY or in the file
    /// OPENAI_ADMIN_KEY_FILE. It comes after the files of --names, or at its position among them. It is created if it is
    /// missing
    #[arg(long, env = "OPENAI_ORG_PROXY_SYNC", value_name = "FILE", conflicts_with = "demo")]
    pub sync: Option<PathBuf>,

    /// Name for an id without an entry; `omit` inserts no member
    #[arg(long, default_value = "unknown", value_parser = unmatched())]
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

    /// Use an embedded demo API and its names in place of --openai-base-url and --names
    #[arg(long)]
    pub demo: bool,
}

impl ServeFlags {
    /// Converts the flags to settings. The error has no part of the base URL, which may contain a password.
    pub fn settings(&self) -> Result<ProxySettings, String> {
        let base = if self.demo {
            BaseUrl::openai()
        } else {
            self.openai_base_url
                .parse::<BaseUrl>()
                .map_err(|e| format!("--openai-base-url (OPENAI_BASE_URL): {e}"))?
        };
        Ok(ProxySettings {
            base,
            timeout: self.limits.timeout,
            deadline: self.limits.deadline,
            limit: self.limit,
            total_limit: self.total_limit,
            unmatched: self.unmatched,
            roots: Roots::Platform,
        })
    }
}

/// Leaves out the base URL, which is not yet parsed and may contain a password.
impl fmt::Debug for ServeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeFlags")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn unmatched() -> impl TypedValueParser<Value = Unmatched> {
    PossibleValuesParser::new(["unknown", "null", "omit"]).map(|value| match value.as_str() {
        "null" => Unmatched::Null,
        "omit" => Unmatched::Omit,
        _ => Unmatched::Unknown,
    })
}
