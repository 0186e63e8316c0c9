//! The upstream's address, as a user writes it.
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

/// `scheme://authority/prefix`; what follows is `/v1/…`.
#[derive(Clone)]
pub struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or `/…` without a slash at its end.
    prefix: String,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static("api.openai.com"),
            prefix: String::new(),
        }
    }
}

impl Base {
    /// The words are ours: the text may hold a password, and is not repeated.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "an address such as https://api.openai.com/v1";
        if text.contains('#') {
            return Err("no fragment (#…) belongs here");
        }
        let uri: Uri = text.trim().parse().map_err(|_| FORM)?;
        let scheme = match uri.scheme_str() {
            Some(s) if s.eq_ignore_ascii_case("https") => Scheme::HTTPS,
            Some(s) if s.eq_ignore_ascii_case("http") => Scheme::HTTP,
            _ => return Err(FORM),
        };
        let authority = uri.authority().ok_or(FORM)?.clone();
        if authority.as_str().contains('@') {
            return Err("no user name or password belongs here: each call brings its own key");
        }
        if authority.host().is_empty() {
            return Err(FORM);
        }
        // `example.com:` and `example.com:99999` parse as authorities.
        let digits = authority.as_str()[authority.host().len()..].strip_prefix(':');
        if digits.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
            return Err("its port is no number from 1 to 65535");
        }
        if uri.query().is_some() {
            return Err("no query (?…) belongs here");
        }
        // The SDKs' OPENAI_BASE_URL ends in /v1, and every path that comes in begins with it.
        let path = uri.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/v1").unwrap_or(path);
        Ok(Self { scheme, authority, prefix: prefix.trim_end_matches('/').to_owned() })
    }

    /// The same path and query, as they are asked for there. `None`: longer than a URI can be.
    pub fn join(&self, target: &PathAndQuery) -> Option<PathAndQuery> {
        if self.prefix.is_empty() {
            return Some(target.clone());
        }
        PathAndQuery::from_maybe_shared(bytes::Bytes::from(format!("{}{target}", self.prefix))).ok()
    }

    /// The whole address of such a path.
    pub fn with_path(&self, path: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        // That one of them is missing is all that could fail.
        Uri::from_parts(parts).unwrap_or_default()
    }

    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.is_https() { 443 } else { 80 }
    }

    /// What Host says of it: without the scheme's own port (RFC 9110 §4.2.1).
    pub fn host_line(&self) -> HeaderValue {
        let is_default = self.port() == self.default_port();
        let host = if is_default { self.authority.host() } else { self.authority.as_str() };
        // An authority has no bytes that a header could not have.
        HeaderValue::from_str(host).unwrap_or(const { HeaderValue::from_static("") })
    }

    /// What may be told of it: gateways have secrets in their paths.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// In the clear, and off this machine.
    pub fn leaks_secrets(&self) -> bool {
        let host = self.host();
        let stays = match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
            Err(_) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                // RFC 6761 §6.3: names under `localhost` are loopback.
                host == "localhost" || host.ends_with(".localhost")
            }
        };
        !self.is_https() && !stays
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base({})", self.origin())
    }
}

/// All of it, for whoever calls it.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

/// Whether a call to `target` would arrive at the listener `bound`.
pub fn is_own(bound: SocketAddr, target: SocketAddr) -> bool {
    let (here, there) = (bound.ip().to_canonical(), target.ip().to_canonical());
    bound.port() == target.port()
        && (here == there
            // A call to 0.0.0.0 goes to loopback.
            || (there.is_unspecified() && (here.is_unspecified() || here.is_loopback()))
            || (here.is_unspecified() && is_this_machine(there)))
}

/// Only an address of this machine can be bound.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}
