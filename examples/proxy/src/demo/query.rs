//! A query, with its lists in whatever style a client writes them.
use http::StatusCode;

use super::{Answer, error};

pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let name = decode(name);
                // group_by[] and group_by[0] are group_by.
                let end = name.find('[').unwrap_or(name.len());
                (name[..end].to_owned(), decode(value))
            })
            .collect();
        Self { pairs }
    }

    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Repeated, or with commas, or both.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.pairs
            .iter()
            .filter(|(n, _)| n == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Answer> {
        self.one(name)
            .map(|text| {
                // Up to the year 9999: no sum of times overflows.
                let number = text.parse().ok().filter(|n| *n < 253_402_300_800);
                number.ok_or_else(|| invalid(name, text, "an integer"))
            })
            .transpose()
    }

    /// Within 1 and `most`.
    pub(super) fn limit(&self, default: u64, most: u64) -> Result<usize, Answer> {
        match self.number("limit")?.unwrap_or(default) {
            limit if (1..=most).contains(&limit) => Ok(limit as usize),
            limit => Err(invalid("limit", &limit.to_string(), &format!("an integer from 1 to {most}"))),
        }
    }
}

pub(super) fn invalid(param: &str, value: &str, expected: &str) -> Answer {
    error(
        StatusCode::BAD_REQUEST,
        &format!("Invalid value: '{value}' for '{param}'. Expected {expected}."),
        Some(param),
        "invalid_value",
    )
}

/// `application/x-www-form-urlencoded`; what is broken stays as it is.
fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = (byte == b'%')
            .then(|| std::str::from_utf8(rest.get(..2)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (_, Some(byte)) => {
                decoded.push(byte);
                rest = &rest[2..];
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
