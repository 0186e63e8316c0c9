//! The hosts for which `/spend`, and `/metrics` with names, are served: a protection against DNS rebinding.
//!
//! The owner of a website can direct its name to the address of this proxy. A browser then treats the proxy as a part of
//! that website, and lets its scripts read the responses. The `Host` of such a request is the website's name.
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::{HeaderValue, Request};

use crate::url_host::UrlHost;

/// The hosts for which one listener serves these paths, in addition to loopback.
#[derive(Clone, Debug)]
pub struct AllowedHosts {
    hosts: Arc<[UrlHost]>,
}

impl AllowedHosts {
    /// Allows loopback, the IP address of the listener unless it is unspecified, and the hosts of `--allowed-host`.
    pub fn new(bound: IpAddr, allowed: &[UrlHost]) -> Self {
        let mut hosts = allowed.to_vec();
        if !bound.is_unspecified() {
            hosts.push(UrlHost::Ip(bound.to_canonical()));
        }
        Self { hosts: hosts.into() }
    }

    /// True if the paths are served for the host of this request. Ports are not compared, because a tunnel changes them.
    pub(super) fn is_allowed<A>(&self, request: &Request<A>) -> bool {
        match request_host(request) {
            Some(host) => host.is_loopback() || self.hosts.contains(&host),
            None => false,
        }
    }
}

/// True if the host of the request is an IP address. A website with such a host cannot be directed to another address.
pub(super) fn has_ip_host<A>(request: &Request<A>) -> bool {
    matches!(request_host(request), Some(UrlHost::Ip(_)))
}

/// True if the request has an `Origin` whose host is not the request's host, or that is invalid (for example `null`).
/// A request without `Origin` was not sent by a script of another website.
pub(super) fn has_foreign_origin<A>(request: &Request<A>) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else { return false };
    let Some(origin_host) = parse_origin(origin) else { return true };
    request_host(request) != Some(origin_host)
}

/// Returns the host of an `Origin`, or `None` if it is invalid.
fn parse_origin(origin: &HeaderValue) -> Option<UrlHost> {
    let (_scheme, authority) = origin.to_str().ok()?.split_once("://")?;
    UrlHost::parse_authority(authority)
}

/// Returns the host that a request was sent to, or `None` if it is absent or invalid.
/// The host of an absolute target has priority over `Host` (RFC 9112 §3.2.2). `:authority` of HTTP/2 is part of the target.
fn request_host<A>(request: &Request<A>) -> Option<UrlHost> {
    if let Some(authority) = request.uri().authority() {
        return UrlHost::parse_authority(authority.as_str());
    }
    let host_header = request.headers().get(HOST)?;
    UrlHost::parse_authority(host_header.to_str().ok()?)
}
