//! The flags for the addresses of the APIs.
use std::{env, fmt};

use tower_api_key_name::directory::BaseUrl;
use tower_api_key_name::names::Provider;

use super::by_provider::ByProvider;

/// The flags for the addresses of the APIs, which the subcommands share.
// Parsed in `parse`: clap would print an invalid value, which may contain a password.
#[derive(Clone, clap::Args)]
pub struct BaseUrlFlags {
    /// Base URL of OpenAI's API, for /v1/organization/*; a trailing `/` or `/v1` is removed
    #[arg(long, env = "OPENAI_BASE_URL", hide_env_values = true, default_value = "https://api.openai.com")]
    pub openai_base_url: String,

    /// Base URL of Anthropic's API, for /v1/organizations/*
    #[arg(long, env = "ANTHROPIC_BASE_URL", hide_env_values = true)]
    #[arg(default_value = "https://api.anthropic.com")]
    pub anthropic_base_url: String,
}

impl BaseUrlFlags {
    /// Parses the base URLs. The error has no part of a URL, which may contain a password.
    pub fn parse(&self) -> Result<ByProvider<BaseUrl>, String> {
        ByProvider::try_new(|provider| self.parse_one(provider))
    }

    /// Parses the base URL of a provider. The error has no part of the URL.
    pub fn parse_one(&self, provider: Provider) -> Result<BaseUrl, String> {
        let flag_value = match provider {
            Provider::Anthropic => &self.anthropic_base_url,
            _ => &self.openai_base_url,
        };
        let name = provider.as_str();
        let variable = format!("{}_BASE_URL", name.to_uppercase());
        // An empty variable counts as not set. An empty flag is an error.
        let is_variable_empty = env::var_os(&variable).is_some_and(|value| value.is_empty());
        if flag_value.is_empty() && is_variable_empty {
            return Ok(Self::public().get(provider).clone());
        }
        flag_value.parse().map_err(|e| format!("--{name}-base-url ({variable}): {e}"))
    }

    /// Returns the public addresses of the APIs.
    pub fn public() -> ByProvider<BaseUrl> {
        ByProvider { openai: BaseUrl::openai(), anthropic: BaseUrl::anthropic() }
    }
}

/// Leaves out the base URLs, which are not yet parsed and may contain a password.
impl fmt::Debug for BaseUrlFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BaseUrlFlags").finish_non_exhaustive()
    }
}
