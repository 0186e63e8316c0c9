//! The host of a URL, of a `Host` header, or of a flag.
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::Authority;

/// An IP address, or a host name in lower case without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlHost {
    Ip(IpAddr),
    Name(String),
}

impl UrlHost {
    /// Parses the host of `HOST` or `HOST:PORT`. Returns `None` for other text, and for text with user information, which
    /// could hide the host (RFC 9110 §4.2.4).
    pub fn parse_authority(text: &str) -> Option<Self> {
        if text.contains('@') {
            return None;
        }
        let authority: Authority = text.parse().ok()?;
        authority.host().parse().ok()
    }

    /// True for an address of this machine that other machines cannot reach.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Ip(ip) => ip.is_loopback(),
            // RFC 6761 §6.3: names under `localhost` are loopback.
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl FromStr for UrlHost {
    type Err = &'static str;

    /// Parses a host name or an IP address. An IPv6 address may have brackets. An IPv4 address that is mapped to IPv6 becomes
    /// an IPv4 address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = without_brackets(text).parse::<IpAddr>() {
            return Ok(Self::Ip(ip.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if !is_host_name(name) {
            return Err(
                "expected a host name or an IP address without scheme, port and path, such as proxy.example.com",
            );
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }
}

/// Returns the text between `[` and `]`, or the whole text if it is not in brackets.
fn without_brackets(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(text)
}

/// True if a text consists of labels of letters, digits, `-` and `_` with the lengths of RFC 1035 §2.3.4.
/// Browsers send a name with other letters as ASCII (`xn--…`).
fn is_host_name(name: &str) -> bool {
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_label_byte);
    name.len() <= 253 && name.split('.').all(is_label)
}
