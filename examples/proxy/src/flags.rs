//! The command line: flag, then environment, then default.
use std::fmt;
use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tower_api_key_name::Unmatched;
use tower_api_key_name::directory::BaseUrl;

use super::limits::Limits;
use super::stack::Settings;
use super::upstream::tls::Roots;

/// Puts `api_key_name` beside every `api_key_id` in organization usage and cost answers.
#[derive(Clone, clap::Parser)]
#[command(name = "proxy", version)]
pub struct Flags {
    /// Where to listen; anything but loopback lets other machines in, and nobody is asked who they are
    #[arg(long, env = "OPENAI_ORG_PROXY_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// 0 takes a free one; the address is printed
    #[arg(long, env = "OPENAI_ORG_PROXY_PORT", default_value_t = 18080)]
    pub port: u16,

    /// The API; a trailing `/` or `/v1` is understood
    // Checked in `settings`, not by clap, which would print it: it may hold a password.
    #[arg(long, env = "OPENAI_BASE_URL", hide_env_values = true, default_value = "https://api.openai.com")]
    pub openai_base_url: String,

    #[command(flatten)]
    pub limits: Limits,

    /// id → name, a map or a list as saved from the API; read again when it changes. Several, in order: the first
    /// that knows an id names it; none by default with --sync
    #[arg(long, env = "OPENAI_ORG_PROXY_NAMES", value_name = "FILE", default_value = "names.json")]
    #[arg(default_value_if("sync", ArgPredicate::IsPresent, None))]
    pub names: Vec<PathBuf>,

    /// Keep this map current from the API's own lists, with the admin key in OPENAI_ADMIN_KEY or in the file that
    /// OPENAI_ADMIN_KEY_FILE names. It stands behind --names, or in its place among them, and may be missing
    #[arg(long, env = "OPENAI_ORG_PROXY_SYNC", value_name = "FILE", conflicts_with = "demo")]
    pub sync: Option<PathBuf>,

    /// What stands beside an id that the map does not know
    #[arg(long, default_value = "unknown", value_parser = unmatched())]
    pub unmatched: Unmatched,

    /// Most bytes of one answer that are held before it is streamed [default: the layer's, 2 MiB]
    #[arg(long)]
    pub limit: Option<usize>,

    /// Most bytes that all answers together hold; past it they are streamed at once [default: no bound but --limit]
    #[arg(long)]
    pub total_limit: Option<usize>,

    /// One line a request, on standard error; without it, only for what went wrong
    #[arg(long)]
    pub access_log: bool,

    /// Show it: an embedded upstream and map stand in for --openai-base-url and --names
    #[arg(long)]
    pub demo: bool,
}

impl Flags {
    pub fn settings(&self) -> Result<Settings, String> {
        let base = if self.demo {
            BaseUrl::openai()
        } else {
            self.openai_base_url
                .parse::<BaseUrl>()
                .map_err(|why| format!("--openai-base-url (OPENAI_BASE_URL): {why}"))?
        };
        Ok(Settings {
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

impl fmt::Debug for Flags {
    // Until it is judged the base URL may be anything, and hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

fn unmatched() -> impl TypedValueParser<Value = Unmatched> {
    PossibleValuesParser::new(["unknown", "null", "omit"]).map(|word| match word.as_str() {
        "null" => Unmatched::Null,
        "omit" => Unmatched::Omit,
        _ => Unmatched::Unknown,
    })
}
