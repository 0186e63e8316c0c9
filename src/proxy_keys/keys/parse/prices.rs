//! The section `prices`.

use serde_json::value::RawValue;

use super::keys_text::KeysText;
use crate::proxy_keys::keys::decimal::parse_microdollars;
use crate::proxy_keys::keys::{ModelPrices, PricedCounter, Prices, ProxyKeysError, ProxyKeysErrorKind};

/// Reads the prices of all models. An absent section means that no model has a price.
pub(super) fn read_prices<'a>(
    text: KeysText<'a>,
    section: Option<&'a RawValue>,
) -> Result<Prices, ProxyKeysError> {
    let mut list = Vec::new();
    if let Some(object) = section {
        for member in text.named_members(object, "prices", "pattern")? {
            let pattern = text.pattern(member.raw_name)?;
            list.push((pattern, read_model_prices(text, member.value)?));
        }
    }
    Ok(Prices::new(list))
}

/// Reads the prices of the models that match one pattern, such as `{"input": "0.25", "output": "2.00"}`.
fn read_model_prices<'a>(text: KeysText<'a>, object: &'a RawValue) -> Result<ModelPrices, ProxyKeysError> {
    const SUBJECT: &str = "the prices of a model";
    let counters = PricedCounter::ALL;
    let amounts = text.fixed_members(object, SUBJECT, counters.map(PricedCounter::as_str))?;
    // Every call has input, and another counter without a price is charged at the highest price of the model.
    text.required(amounts[PricedCounter::Input as usize], object, SUBJECT, PricedCounter::Input.as_str())?;
    let mut prices = ModelPrices::default();
    for (counter, amount) in counters.into_iter().zip(amounts) {
        if let Some(amount) = amount {
            prices.set(counter, read_price(text, counter, amount)?);
        }
    }
    Ok(prices)
}

/// Reads the price of one counter, as picodollars for one unit.
fn read_price<'a>(
    text: KeysText<'a>,
    counter: PricedCounter,
    value: &'a RawValue,
) -> Result<u64, ProxyKeysError> {
    let amount = text.string(value, "a price")?;
    let microdollars = parse_microdollars(&amount);
    let picodollars = microdollars.and_then(|price| price.checked_mul(counter.picodollars_per_microdollar()));
    match picodollars {
        Some(price) if i64::try_from(price).is_ok() => Ok(price),
        _ => {
            let message = "a price must be dollars for a million tokens (for a thousand requests of a tool) with at most \
                           6 decimal places, such as \"0.25\"";
            Err(text.error(ProxyKeysErrorKind::InvalidValue, value, message))
        }
    }
}
