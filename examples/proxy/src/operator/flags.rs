//! The flags of the operator's paths.
use std::net::SocketAddr;

use super::hosts::PageHosts;
use crate::url_host::UrlHost;

#[derive(Clone, Debug, clap::Args)]
pub struct OperatorFlags {
    /// Second address to listen on, such as 127.0.0.1:18081, for /spend and the details of /health, which the main address
    /// then does not serve; port 0 selects a free one, which is printed [default: none]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub operator_listen: Option<SocketAddr>,

    /// Do not serve the page /spend
    #[arg(long)]
    pub no_spend_page: bool,

    /// Host for which /spend is served, besides loopback and the address that is listened on; may be repeated. A host name
    /// without a port, as in the address bar of the browser
    #[arg(long, value_name = "HOST")]
    pub allowed_host: Vec<UrlHost>,
}

impl OperatorFlags {
    /// Returns the hosts for which the listener at `bound` serves the page, or `None` with `--no-spend-page`.
    pub fn page_hosts(&self, bound: SocketAddr) -> Option<PageHosts> {
        if self.no_spend_page { None } else { Some(PageHosts::new(bound.ip(), &self.allowed_host)) }
    }
}

/// Parses an IP address with a port. A host name is an error, because its addresses may include a public one.
fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address with a port, such as 127.0.0.1:18081 or [::1]:18081")
}
