//! The credential of a request.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Refusal, RefusalKind};

/// The header of Anthropic's clients.
pub(super) const X_API_KEY: &str = "x-api-key";

/// Returns the only credential of a request.
///
/// The headers `Authorization` and `x-api-key` may both occur, also several times, if all have the same credential: a choice
/// between two would let one header be checked and another one be used. Returns an error if there is no credential, if
/// there are several, if one is empty, or if `Authorization` has another scheme than `Bearer`. No message contains a
/// credential.
pub(crate) fn read_credential(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut credentials = Vec::new();
    for value in headers.get_all(AUTHORIZATION) {
        let Some(credential) = strip_bearer(value.as_bytes()) else {
            return Err(refuse("The scheme of the Authorization header must be Bearer."));
        };
        credentials.push(credential);
    }
    for value in headers.get_all(X_API_KEY) {
        credentials.push(value.as_bytes().trim_ascii());
    }
    let Some(first) = credentials.first() else {
        return Err(refuse("Send a proxy key in the Authorization header (\"Bearer …\") or in x-api-key."));
    };
    if credentials.iter().any(|credential| credential.is_empty()) {
        return Err(refuse("The proxy key is empty."));
    }
    if credentials.iter().any(|credential| credential != first) {
        return Err(refuse("The request has two different keys. Send one."));
    }
    Ok(first)
}

/// Returns the credential behind the scheme `Bearer` (RFC 6750 §2.1), or `None` for another scheme. The scheme may be in any
/// case (RFC 9110 §11.1).
fn strip_bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let trimmed = value.trim_ascii();
    let (scheme, rest) = trimmed.split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && matches!(rest, [] | [b' ' | b'\t', ..]);
    if is_bearer { Some(rest.trim_ascii()) } else { None }
}

fn refuse(message: &'static str) -> Refusal {
    Refusal::new(RefusalKind::InvalidCredential, message)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// Reads the credential of these headers. Returns the message of a refusal.
    fn read(fields: &[(&'static str, &[u8])]) -> Result<Vec<u8>, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        match read_credential(&headers) {
            Ok(credential) => Ok(credential.to_vec()),
            Err(refusal) => Err(refusal.message().to_owned()),
        }
    }

    #[test]
    fn credential_in_either_header_is_read() {
        for fields in [
            &[("authorization", &b"Bearer k\xff1"[..])][..],
            &[("authorization", b"bEARER  k\xff1 ")],
            &[("x-api-key", b"k\xff1")],
            &[("x-api-key", b"k\xff1"), ("authorization", b"Bearer k\xff1"), ("x-api-key", b"k\xff1")],
        ] {
            assert_eq!(read(fields).unwrap(), b"k\xff1", "{fields:?}");
        }
    }

    #[test]
    fn request_without_one_credential_is_refused() {
        for (fields, expected) in [
            (&[][..], "Send a proxy key"),
            (&[("authorization", &b"Bearer"[..])][..], "empty"),
            (&[("authorization", b"Bearer ")], "empty"),
            (&[("x-api-key", b"")], "empty"),
            (&[("x-api-key", b""), ("authorization", b"Bearer k1")], "empty"),
            (&[("authorization", b"Basic azE6")], "must be Bearer"),
            (&[("authorization", b"Bearerk1")], "must be Bearer"),
            (&[("authorization", b"k1")], "must be Bearer"),
            (&[("authorization", b"Basic azE6"), ("x-api-key", b"k1")], "must be Bearer"),
            (&[("authorization", b"Bearer k1"), ("authorization", b"Bearer k2")], "two different"),
            (&[("authorization", b"Bearer k1"), ("x-api-key", b"k2")], "two different"),
            (&[("x-api-key", b"k1"), ("x-api-key", b"k2")], "two different"),
        ] {
            let message = read(fields).unwrap_err();
            assert!(message.contains(expected) && !message.contains("k1"), "{fields:?}: {message}");
        }
    }
}
