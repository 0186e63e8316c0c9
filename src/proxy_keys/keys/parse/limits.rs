//! The member `limits` of a key or a group.

use serde_json::value::RawValue;

use super::keys_text::KeysText;
use crate::proxy_keys::keys::decimal::parse_picodollars;
use crate::proxy_keys::keys::{Limit, Limits, Meter, ProxyKeysError, ProxyKeysErrorKind, Window};

/// Reads limits, such as `{"tokens": {"day": 200000}, "parallel": 8}`. An absent value means that there is no limit.
pub(super) fn read_limits<'a>(
    text: KeysText<'a>,
    value: Option<&'a RawValue>,
) -> Result<Limits, ProxyKeysError> {
    let mut limits = Limits::default();
    let Some(object) = value else { return Ok(limits) };
    let [requests, tokens, dollars, parallel] =
        text.fixed_members(object, "limits", ["requests", "tokens", "dollars", "parallel"])?;
    for (meter, windows) in [(Meter::Requests, requests), (Meter::Tokens, tokens), (Meter::Dollars, dollars)]
    {
        if let Some(windows) = windows {
            read_windows(text, meter, windows, &mut limits)?;
        }
    }
    if let Some(number) = parallel {
        limits.parallel = Some(text.positive_integer(number, "parallel")?);
    }
    Ok(limits)
}

/// Adds the limits of one meter, such as `{"minute": 60, "day": 5000}`.
fn read_windows<'a>(
    text: KeysText<'a>,
    meter: Meter,
    object: &'a RawValue,
    limits: &mut Limits,
) -> Result<(), ProxyKeysError> {
    let subject = format!("the limits of {}", meter.as_str());
    let amounts = text.fixed_members(object, &subject, Window::ALL.map(Window::as_str))?;
    for (window, raw_amount) in Window::ALL.into_iter().zip(amounts) {
        let Some(value) = raw_amount else { continue };
        let amount = match meter {
            Meter::Requests | Meter::Tokens => text.positive_integer(value, "a limit")?,
            Meter::Dollars => read_dollars(text, value)?,
        };
        limits.amounts.push(Limit { meter, window, amount });
    }
    Ok(())
}

/// Reads a positive amount of dollars as picodollars.
fn read_dollars<'a>(text: KeysText<'a>, value: &'a RawValue) -> Result<u64, ProxyKeysError> {
    let amount = text.string(value, "a dollar limit")?;
    match parse_picodollars(&amount) {
        Some(picodollars @ 1..) => Ok(picodollars),
        _ => {
            let message = "a dollar limit must be a positive amount with at most 6 decimal places, such as \"25.00\"; \
                           the greatest is 9223372";
            Err(text.error(ProxyKeysErrorKind::InvalidValue, value, message))
        }
    }
}
