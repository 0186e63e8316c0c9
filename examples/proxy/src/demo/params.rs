//! Query parameters, with lists in each form that clients use.
use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::response::{DemoResponse, error};

/// The end of the year 9999 in seconds. Sums of smaller times do not overflow.
pub(super) const MAX_TIME: u64 = 253_402_300_800;

pub(super) struct QueryParams {
    pairs: Vec<(String, String)>,
}

impl QueryParams {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let mut name = decode(name);
                // `group_by[]` and `group_by[0]` mean `group_by`.
                name.truncate(name.find('[').unwrap_or(name.len()));
                (name, decode(value))
            })
            .collect();
        Self { pairs }
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a list: a repeated parameter, values between commas, or both.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.pairs
            .iter()
            .filter(|(n, _)| n == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, DemoResponse> {
        self.first(name)
            .map(|text| {
                let number = text.parse().ok().filter(|n| *n < MAX_TIME);
                number.ok_or_else(|| invalid(name, text, "an integer"))
            })
            .transpose()
    }

    /// Returns the page size, from 1 to `max`.
    pub(super) fn limit(&self, default: u64, max: u64) -> Result<usize, DemoResponse> {
        match self.number("limit")?.unwrap_or(default) {
            limit if (1..=max).contains(&limit) => Ok(limit as usize),
            limit => Err(invalid("limit", &limit.to_string(), &format!("an integer from 1 to {max}"))),
        }
    }
}

pub(super) fn invalid(param: &str, value: &str, expected: &str) -> DemoResponse {
    error(
        StatusCode::BAD_REQUEST,
        &format!("Invalid value: '{value}' for '{param}'. Expected {expected}."),
        Some(param),
        "invalid_value",
    )
}

/// Decodes `application/x-www-form-urlencoded` text. Broken escapes stay as they are.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
