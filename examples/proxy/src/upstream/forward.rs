//! The headers that a gateway changes in a forwarded message: target, Host, Via, hop-by-hop headers (RFC 9110 §7.6).

use std::hash::{BuildHasher, RandomState};
use std::mem;

use http::header::{AUTHORIZATION, COOKIE, HOST, SET_COOKIE, TE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use tower_api_key_name::directory::BaseUrl;

use super::failure::Failure;
use super::framing;
use crate::hop_by_hop;

static SECRETS: [HeaderName; 4] = [AUTHORIZATION, COOKIE, SET_COOKIE, HeaderName::from_static("x-api-key")];

/// Prepares requests for the upstream and its responses for the client.
pub struct Gateway {
    base: BaseUrl,
    /// Random for each process, so that two proxies in a row are not a loop. A pseudonym does not reveal the host name
    /// (RFC 9110 §7.6.3).
    pseudonym: String,
    /// The Via of a message that was received in HTTP/1.0, in HTTP/1.1, and in HTTP/2.
    via: [HeaderValue; 3],
}

impl Gateway {
    pub fn new(base: &BaseUrl) -> Self {
        let pseudonym = format!("api-key-name-{:016x}", RandomState::new().hash_one(0));
        let via = ["1.0", "1.1", "2.0"].map(|protocol| {
            HeaderValue::try_from(format!("{protocol} {pseudonym}")).expect("a pseudonym is a token")
        });
        Self { base: base.clone(), pseudonym, via }
    }

    /// Replaces the target by the upstream's, and changes the headers. An error means that the request has passed this
    /// proxy before, is too long, or has a length or a coding that is not supported.
    pub fn prepare_request<A>(&self, request: &mut Request<A>) -> Result<(), Failure> {
        let received_version = request.version();
        let target = request.uri().path_and_query().ok_or(Failure::TargetTooLong)?;
        *request.uri_mut() = self.base.join(target).ok_or(Failure::TargetTooLong)?;
        // hyper's client replaces this version by that of the connection.
        *request.version_mut() = Version::HTTP_11;
        // The extensions belong to the layers above. Each attempt would clone them.
        mem::take(request.extensions_mut());

        let headers = request.headers_mut();
        if self.has_forwarded(headers) {
            return Err(Failure::Loop);
        }
        if framing::has_unsupported_coding(headers) {
            return Err(Failure::UnsupportedCoding);
        }
        if !framing::merge_lengths(headers) {
            return Err(Failure::BrokenRequest);
        }
        hop_by_hop::strip(headers);
        // The upstream clients send the authority of the target.
        headers.remove(HOST);
        if received_version == Version::HTTP_2 {
            join_cookies(headers);
        }
        mark_secrets(headers);
        // RFC 9110 §10.1.4: the upstream may send trailers, because the proxy forwards them.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        self.append_via(headers, received_version);
        Ok(())
    }

    /// Changes the headers of a response. An error means that the response is informational, or has lengths that differ
    /// or a transfer coding other than `chunked`.
    pub fn prepare_response<B>(&self, response: &mut Response<B>) -> Result<(), Failure> {
        let received_version = response.version();
        end_connection(response)?;
        let headers = response.headers_mut();
        mark_secrets(headers);
        self.append_via(headers, received_version);
        Ok(())
    }

    /// Adds the version in which a message was received, and the name of this proxy (RFC 9110 §7.6.3).
    fn append_via(&self, headers: &mut HeaderMap, received_version: Version) {
        let [http_10, http_11, http_2] = &self.via;
        let via = match received_version {
            Version::HTTP_2 => http_2,
            Version::HTTP_11 => http_11,
            _ => http_10,
        };
        headers.append(VIA, via.clone());
    }

    /// True if this proxy has forwarded the request before, so that a Via header contains its pseudonym.
    fn has_forwarded(&self, headers: &HeaderMap) -> bool {
        // `1.1 pseudonym (comment), …`. The words of a comment are compared too, but none can be this pseudonym.
        let has_pseudonym = |via: &HeaderValue| {
            let mut words = via.as_bytes().split(|byte| matches!(byte, b' ' | b'\t' | b','));
            words.any(|word| word == self.pseudonym.as_bytes())
        };
        headers.get_all(VIA).iter().any(has_pseudonym)
    }
}

/// Removes from a response what belongs to the connection with the upstream: its version, framing and hop-by-hop headers.
/// Fails like [`Gateway::prepare_response`].
pub fn end_connection<B>(response: &mut Response<B>) -> Result<(), Failure> {
    if response.status().is_informational() {
        // The proxy requests no upgrade, so 101 is an error. hyper handles the other codes.
        return Err(Failure::InvalidResponse);
    }
    framing::correct_response_length(response.status(), response.headers_mut())?;
    // With HTTP/1.0 here, hyper's server would close the client's connection.
    *response.version_mut() = Version::HTTP_11;
    hop_by_hop::strip(response.headers_mut());
    Ok(())
}

/// Joins the cookies of an HTTP/2 request, since HTTP/1.1 allows one Cookie header (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Marks secrets, so that Debug omits them and HPACK never indexes them (RFC 7541 §7.1.3).
fn mark_secrets(headers: &mut HeaderMap) {
    for (name, value) in headers {
        if SECRETS.contains(name) {
            value.set_sensitive(true);
        }
    }
}
