//! The flags of the operator's paths.
use std::net::SocketAddr;
use std::path::PathBuf;

use super::hosts::AllowedHosts;
use super::metrics_path::MetricsWithHosts;
use super::spend_paths::PageWithHosts;
use crate::metrics::MetricsExporter;
use crate::spend_page::PageRuns;
use crate::url_host::UrlHost;

#[derive(Clone, Debug, clap::Args)]
pub struct OperatorFlags {
    /// Second address for /spend, /metrics and the details of /health and /ready, such as 127.0.0.1:18081. The
    /// main address then serves none of them. Port 0 selects a free port [default: none]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub operator_listen: Option<SocketAddr>,

    /// File with the operator token, at least 32 characters, for the usage of all proxy keys at --operator-listen; reloaded
    /// when it changes. Requires --keys
    #[arg(long, env = "OPENAI_ORG_PROXY_OPERATOR_TOKEN_FILE", value_name = "FILE")]
    pub operator_token_file: Option<PathBuf>,

    /// Add the spend of today and of this month by the names of keys and projects to /metrics. It is read every 10 minutes
    /// with each admin key that is set, in OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY or in a file as for --sync
    #[arg(long, conflicts_with = "demo")]
    pub spend_metrics: bool,

    /// Do not serve the page /spend
    #[arg(long)]
    pub no_spend_page: bool,

    /// Host in the address bar of the browser, without a port, for which /spend, and /metrics with --spend-metrics, are
    /// served too; may be repeated. Loopback and the address of the listener are always allowed
    #[arg(long, value_name = "HOST")]
    pub allowed_host: Vec<UrlHost>,
}

impl OperatorFlags {
    /// Fails if there is a token, but no proxy keys, or no address for the operator.
    pub fn check(&self, has_proxy_keys: bool) -> Result<(), String> {
        if self.operator_token_file.is_none() {
            return Ok(());
        }
        if !has_proxy_keys {
            return Err("--operator-token-file requires --keys: it gives access to the usage of proxy keys"
                .to_owned());
        }
        if self.operator_listen.is_none() {
            return Err(
                "--operator-token-file requires --operator-listen, the address for the token".to_owned()
            );
        }
        Ok(())
    }

    /// Returns the metrics for the hosts of the listener at `bound`.
    pub fn metrics_with_hosts(&self, bound: SocketAddr, exporter: MetricsExporter) -> MetricsWithHosts {
        MetricsWithHosts { exporter, hosts: AllowedHosts::new(bound.ip(), &self.allowed_host) }
    }

    /// Returns the page for the hosts of the listener at `bound`, or `None` with `--no-spend-page`.
    pub fn page_with_hosts(&self, bound: SocketAddr, runs: PageRuns) -> Option<PageWithHosts> {
        if self.no_spend_page {
            return None;
        }
        let hosts = AllowedHosts::new(bound.ip(), &self.allowed_host);
        Some(PageWithHosts { hosts, runs })
    }
}

/// Parses an IP address with a port. A host name is an error, because its addresses may include a public one.
fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address with a port, such as 127.0.0.1:18081 or [::1]:18081")
}
