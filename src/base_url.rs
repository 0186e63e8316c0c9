//! Parsing of an API's base URL.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// The address of an API, before `/v1/…`: `http` or `https`, host, optional port and optional path prefix.
///
/// Parsing removes white space around the URL, and a `/` or `/v1` at its end, because SDKs expect a base URL with `/v1`
/// and each request path begins with it. `Display` writes the whole base URL; `Debug` writes the
/// [origin](Self::origin), since the path prefix of a gateway may contain a secret.
///
/// ```
/// # #[cfg(feature = "directory")]
/// use tower_api_key_name::directory::BaseUrl;
/// # #[cfg(not(feature = "directory"))]
/// # use tower_api_key_name::proxy_keys::BaseUrl;
///
/// let base: BaseUrl = "https://gateway.example/openai/v1/".parse()?;
/// assert_eq!(base.to_string(), "https://gateway.example/openai");
/// assert_eq!((base.host(), base.port()), ("gateway.example", 443));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or a path that begins with `/` and does not end with it.
    prefix: String,
}

/// The reason why a text is no [`BaseUrl`], with a remedy.
///
/// It never repeats the text, which may contain a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrlError {
    /// Continues a sentence that begins with "the base URL".
    reason: &'static str,
}

impl BaseUrl {
    /// The public address of OpenAI's API.
    pub fn openai() -> Self {
        Self::https("api.openai.com")
    }

    /// The public address of Anthropic's API.
    pub fn anthropic() -> Self {
        Self::https("api.anthropic.com")
    }

    fn https(host: &'static str) -> Self {
        Self { scheme: Scheme::HTTPS, authority: Authority::from_static(host), prefix: String::new() }
    }

    /// True if the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// True if no other machine can read the requests to this address: the scheme is `https`, or the host is this machine.
    ///
    /// A key must not be sent to another address.
    pub fn is_confidential(&self) -> bool {
        self.is_https() || is_this_machine(self.host())
    }

    /// The host: a name, or an IP address without the brackets of IPv6.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, or the default port of the scheme.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// The scheme, host and port, which may be logged.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Returns the URI of a request target below this address. `None` if it is longer than a [`Uri`] can be.
    pub fn join(&self, target: &PathAndQuery) -> Option<Uri> {
        let path = if self.prefix.is_empty() {
            target.clone()
        } else {
            let prefixed = Bytes::from(format!("{}{target}", self.prefix));
            PathAndQuery::from_maybe_shared(prefixed).ok()?
        };
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path).build().ok()
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    /// Parses a base URL. An error does not repeat it, since it may contain a secret.
    ///
    /// # Errors
    ///
    /// If the text is not an absolute `http` or `https` URL with a host and a port from 1 to 65535, or if it contains
    /// a user name, a password, a query or a fragment.
    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        parse(text).map_err(|reason| BaseUrlError { reason })
    }
}

/// Parses a base URL. The error continues a sentence that begins with "the base URL".
fn parse(text: &str) -> Result<BaseUrl, &'static str> {
    const NOT_A_URL: &str = "is not an http or https URL; write it as https://api.openai.com/v1";
    // `Uri` discards a fragment without an error.
    if text.contains('#') {
        return Err("has a fragment (#…); remove it");
    }
    let uri: Uri = text.trim().parse().map_err(|_| NOT_A_URL)?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(NOT_A_URL) };
    let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    if !is_http || authority.host().is_empty() {
        return Err(NOT_A_URL);
    }
    if authority.as_str().contains('@') {
        return Err("has a user name or a password; remove it: the key is sent in a header");
    }
    if !has_valid_port(authority) {
        return Err("has a port that is not a number from 1 to 65535");
    }
    if uri.query().is_some() {
        return Err("has a query (?…); remove it");
    }
    let path = uri.path().trim_end_matches('/');
    let prefix = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/').to_owned();
    Ok(BaseUrl { scheme: scheme.clone(), authority: authority.clone(), prefix })
}

/// True if the authority, which contains no user name, has no port or one from 1 to 65535.
fn has_valid_port(authority: &Authority) -> bool {
    // `Authority` accepts `example.com:` and `example.com:99999`.
    match authority.as_str()[authority.host().len()..].strip_prefix(':') {
        Some(port) => matches!(port.parse::<u16>(), Ok(1..)),
        None => true,
    }
}

/// True if connections to the host of a URL do not leave this machine.
fn is_this_machine(host: &str) -> bool {
    if let Ok(ip) = host.parse::<IpAddr>() {
        let canonical = ip.to_canonical();
        // The unspecified address, such as 0.0.0.0, leads to this machine.
        return canonical.is_loopback() || canonical.is_unspecified();
    }
    let lower_case = host.to_ascii_lowercase();
    let name = lower_case.strip_suffix('.').unwrap_or(&lower_case);
    // RFC 6761 §6.3: names under `localhost` are loopback.
    name == "localhost" || name.ends_with(".localhost")
}

impl fmt::Display for BaseUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the base URL {}", self.reason)
    }
}

impl Error for BaseUrlError {}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({})", self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_with_trailing_v1_is_normalized() {
        for (text, normalized) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://api.example.com/v1//", "https://api.example.com"),
            (" http://127.0.0.1:8080/v1/\n", "http://127.0.0.1:8080"),
            ("HTTPS://gateway/openai/v1", "https://gateway/openai"),
            ("https://gateway/v1beta", "https://gateway/v1beta"),
            ("http://[::1]:8080/v1", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().to_string(), normalized, "{text:?}");
        }
    }

    #[test]
    fn invalid_base_url_is_rejected_without_repeating_it() {
        for text in [
            "",
            "hunter2",
            "/v1",
            "ftp://hunter2",
            "https://",
            "https:///hunter2",
            "https://host:",
            "https://host:0",
            "https://host:99999",
            "https://user:hunter2@host",
            "https://hunter2@host/v1",
            "https://host?key=hunter2",
            "https://host/v1?",
            "https://host#",
            "https://host/v1#hunter2",
        ] {
            let error = text.parse::<BaseUrl>().expect_err(text);
            let shown = format!("{error} {error:?}");
            assert!(shown.starts_with("the base URL ") && !shown.contains("hunter2"), "{text}: {shown}");
        }
    }

    #[test]
    fn host_and_port_are_parsed_or_the_default() {
        for (text, host, port) in
            [("https://host", "host", 443), ("http://[::1]", "::1", 80), ("http://h:9", "h", 9)]
        {
            let base: BaseUrl = text.parse().unwrap();
            assert_eq!((base.host(), base.port()), (host, port));
        }
    }

    #[test]
    fn plain_http_to_another_machine_is_not_confidential() {
        for (text, is_confidential) in [
            ("http://api.example", false),
            ("http://192.0.2.1:80", false),
            ("http://localhost.example", false),
            ("http://notlocalhost", false),
            ("https://api.example", true),
            ("http://localhost:1", true),
            ("http://LOCALHOST.:1", true),
            ("http://up.localhost", true),
            ("http://127.0.0.9:1", true),
            ("http://0.0.0.0:1", true),
            ("http://[::1]:1", true),
            ("http://[::ffff:127.0.0.1]:1", true),
        ] {
            let base: BaseUrl = text.parse().unwrap();
            assert_eq!(base.is_confidential(), is_confidential, "{text}");
        }
    }

    #[test]
    fn joined_uri_has_the_prefix_unless_it_is_too_long() {
        let base = parse("https://gateway/secret/v1").unwrap();
        let joined = base.join(&PathAndQuery::from_static("/v1/a?b=c")).unwrap();
        assert_eq!(joined, "https://gateway/secret/v1/a?b=c");
        assert_eq!(base.join(&format!("/{}", "a".repeat(65_530)).parse().unwrap()), None);
        assert_eq!(format!("{base:?}"), "BaseUrl(https://gateway)");
    }
}
