//! Query parameters, with lists in each form that clients use, and cursors.
use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::response::{DemoResponse, error_response};

/// The end of the year 9999 in seconds. Sums of smaller times do not overflow.
const MAX_TIME: u64 = 253_402_300_800;

pub(super) struct QueryParams {
    pairs: Vec<(String, String)>,
}

impl QueryParams {
    /// Parses a query. `group_by[]` and `group_by[0]` mean `group_by`.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&') {
            if pair.is_empty() {
                continue;
            }
            let (encoded_name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut name = decode(encoded_name);
            if let Some(bracket) = name.find('[') {
                name.truncate(bracket);
            }
            pairs.push((name, decode(value)));
        }
        Self { pairs }
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(pair_name, _)| pair_name == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a list: a repeated parameter, values between commas, or both.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (pair_name, text) in &self.pairs {
            if pair_name == name {
                values.extend(text.split(',').filter(|value| !value.is_empty()));
            }
        }
        values
    }

    /// Returns the values of a repeated parameter, with empty ones.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.pairs.iter().filter(|(pair_name, _)| pair_name == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns a number below [`MAX_TIME`], or `None` if the parameter is absent. An error is the response to another value.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, DemoResponse> {
        let Some(text) = self.first(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number < MAX_TIME => Ok(Some(number)),
            _ => Err(invalid_parameter(name, text, "an integer")),
        }
    }

    /// Returns the page size of Anthropic's API, or `None` if it is not from 1 to `max`.
    pub(super) fn page_size(&self, default: usize, max: usize) -> Option<usize> {
        let Some(text) = self.first("limit") else { return Some(default) };
        let size = text.parse().ok()?;
        if (1..=max).contains(&size) { Some(size) } else { None }
    }

    /// Returns the page size of OpenAI's API. An error is the response to a size that is not from 1 to `max`.
    pub(super) fn limit(&self, default: u64, max: u64) -> Result<usize, DemoResponse> {
        let limit = self.number("limit")?.unwrap_or(default);
        if (1..=max).contains(&limit) {
            return Ok(limit as usize);
        }
        let expected = format!("an integer from 1 to {max}");
        Err(invalid_parameter("limit", &limit.to_string(), &expected))
    }
}

/// Returns OpenAI's response to an invalid value of a parameter.
pub(super) fn invalid_parameter(param: &str, value: &str, expected: &str) -> DemoResponse {
    let message = format!("Invalid value: '{value}' for '{param}'. Expected {expected}.");
    error_response(StatusCode::BAD_REQUEST, &message, Some(param), "invalid_value")
}

/// Returns a cursor that clients have to escape: `=` comes back as `%3D`.
pub(super) fn format_cursor(time: u64) -> String {
    format!("page_{time:016x}=")
}

/// Returns the time in a cursor, or `None` if the cursor is invalid.
pub(super) fn parse_cursor(cursor: &str) -> Option<u64> {
    let hex = cursor.strip_prefix("page_")?.strip_suffix('=')?;
    let time = u64::from_str_radix(hex, 16).ok()?;
    if time < MAX_TIME { Some(time) } else { None }
}

/// Decodes `application/x-www-form-urlencoded` text. Broken escapes stay as they are.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
