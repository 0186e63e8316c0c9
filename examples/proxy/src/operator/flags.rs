//! The flags of the operator's paths.
use std::net::SocketAddr;

use super::hosts::PageHosts;
use super::spend_paths::PageWithHosts;
use crate::spend_page::PageRuns;
use crate::url_host::UrlHost;

#[derive(Clone, Debug, clap::Args)]
pub struct OperatorFlags {
    /// Second address for /spend and the details of /health, such as 127.0.0.1:18081. The main address then serves
    /// neither. Port 0 selects a free port [default: none]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub operator_listen: Option<SocketAddr>,

    /// Do not serve the page /spend
    #[arg(long)]
    pub no_spend_page: bool,

    /// Host in the address bar of the browser, without a port, for which /spend is served too; may be repeated.
    /// Loopback and the address of the listener are always allowed
    #[arg(long, value_name = "HOST")]
    pub allowed_host: Vec<UrlHost>,
}

impl OperatorFlags {
    /// Returns the page for the hosts of the listener at `bound`, or `None` with `--no-spend-page`.
    pub fn page_with_hosts(&self, bound: SocketAddr, runs: PageRuns) -> Option<PageWithHosts> {
        if self.no_spend_page {
            return None;
        }
        let hosts = PageHosts::new(bound.ip(), &self.allowed_host);
        Some(PageWithHosts { hosts, runs })
    }
}

/// Parses an IP address with a port. A host name is an error, because its addresses may include a public one.
fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address with a port, such as 127.0.0.1:18081 or [::1]:18081")
}
