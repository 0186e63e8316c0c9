//! `/metrics`: the text of all metrics, with a host check if it contains the names of keys.
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;

use super::hosts::{AllowedHosts, has_ip_host};
use crate::metrics::{MetricsExporter, exporter};
use crate::stack::errors::ErrorFormat;

/// The metrics, and the hosts for which those with names are served.
#[derive(Clone)]
pub struct MetricsWithHosts {
    pub exporter: MetricsExporter,
    pub hosts: AllowedHosts,
}

impl MetricsWithHosts {
    /// Returns the text, which no cache stores. With the names of keys, it is only for IP addresses and allowed hosts.
    pub(super) fn respond<A>(&self, request: &Request<A>) -> Response<Full<Bytes>> {
        let is_host_allowed = has_ip_host(request) || self.hosts.is_allowed(request);
        if self.exporter.has_spend() && !is_host_allowed {
            let message = "With --spend-metrics, /metrics is not served for the host of this request, which protects it \
                           from other websites (DNS rebinding). Scrape an IP address, or start the proxy with \
                           --allowed-host HOST.";
            let status = StatusCode::MISDIRECTED_REQUEST;
            return ErrorFormat::OpenAi.response(status, "host_not_allowed", message);
        }
        let mut response = Response::new(Full::from(self.exporter.text()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(exporter::CONTENT_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
