//! The response header with the text that was sent to the API in place of names.

use http::{HeaderName, HeaderValue};

/// The response header `api-key-name-sent`: the text that was sent in place of the names in a query.
///
/// The response to each request whose query was rewritten has this header. The value `group_by=api_key_id` means that
/// this dimension was sent in place of `api_key_name`. The value `api_key_ids=12 ids` means that the requested names
/// belong to 12 ids. Several such parts are separated by `, `. A value longer than 1 KiB ends with `, ...` in place of
/// the last parts.
///
/// An error message of the API about `api_key_id` can thus be understood by a user who has written `api_key_name`. A
/// [refusal](crate::outcome::Refusal) does not have the header, because nothing was sent.
pub static API_KEY_NAME_SENT: HeaderName = HeaderName::from_static("api-key-name-sent");

/// The maximum length of the value, in bytes.
const MAX_LEN: usize = 1024;

const SEPARATOR: &str = ", ";
const OMISSION: &str = ", ...";

/// Joins the parts to the value of the header. If that is longer than [`MAX_LEN`], the value has only the first parts that
/// fit, and ends with [`OMISSION`].
///
/// Returns `None` if a part contains a byte that no header value may have (RFC 9110 §5.5).
pub(crate) fn header_value(parts: &[String]) -> Option<HeaderValue> {
    let whole = parts.join(SEPARATOR);
    if whole.len() <= MAX_LEN {
        return HeaderValue::from_str(&whole).ok();
    }
    let mut value = String::new();
    for part in parts {
        let separator = if value.is_empty() { "" } else { SEPARATOR };
        if value.len() + separator.len() + part.len() + OMISSION.len() > MAX_LEN {
            break;
        }
        value += separator;
        value += part;
    }
    HeaderValue::from_str(&(value + OMISSION)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_value_lists_all_parts_up_to_its_maximum() {
        let parts =
            |lengths: &[usize]| -> Vec<String> { lengths.iter().map(|length| "x".repeat(*length)).collect() };
        assert_eq!(header_value(&["a=b".into(), "c=12 ids".into()]).unwrap(), "a=b, c=12 ids");
        for (lengths, expected) in [
            (&[1024][..], parts(&[1024]).join(", ")),
            (&[500, 522], parts(&[500, 522]).join(", ")),
            (&[500, 523], parts(&[500]).join(", ") + ", ..."),
            (&[500, 517, 1], parts(&[500, 517, 1]).join(", ")),
            (&[500, 517, 4], parts(&[500, 517]).join(", ") + ", ..."),
            (&[500, 518, 4], parts(&[500]).join(", ") + ", ..."),
        ] {
            let value = header_value(&parts(lengths)).unwrap();
            assert!(value.len() <= MAX_LEN);
            assert_eq!(value, expected, "{lengths:?}");
        }
    }
}
