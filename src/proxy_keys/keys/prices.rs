//! The prices of models.

use std::fmt;

use super::Pattern;

/// The prices of all models, by patterns of their names.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    /// Each pattern once. The first that matches a model has its prices: a whole name, or the longest prefix.
    list: Vec<(Pattern, ModelPrices)>,
}

/// The prices of one unit of each counter.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ModelPrices {
    /// In picodollars (10⁻¹² $) for a token or a request of a tool, in the order of [`PricedCounter::ALL`].
    picodollars: [Option<u64>; PricedCounter::ALL.len()],
}

/// A counter of the usage of a call that can have a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PricedCounter {
    Input,
    CachedInput,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    AudioInput,
    ImageInput,
    Output,
    AudioOutput,
    ImageOutput,
    WebSearch,
    WebFetch,
}

impl Prices {
    /// Creates the prices from pairs, in which no pattern occurs twice.
    pub(crate) fn new(mut list: Vec<(Pattern, ModelPrices)>) -> Self {
        list.sort_by_key(|(pattern, _)| pattern.rank());
        Self { list }
    }

    /// Returns the prices of a model, or `None` if it has none.
    pub(crate) fn find(&self, model: &str) -> Option<&ModelPrices> {
        let (_, prices) = self.list.iter().find(|(pattern, _)| pattern.matches(model))?;
        Some(prices)
    }

    /// True if each name that matches this pattern has a price.
    pub(crate) fn covers(&self, models: &Pattern) -> bool {
        self.list.iter().any(|(pattern, _)| pattern.covers(models))
    }
}

impl ModelPrices {
    /// Sets the price of one unit of this counter, in picodollars.
    pub(crate) fn set(&mut self, counter: PricedCounter, picodollars: u64) {
        self.picodollars[counter as usize] = Some(picodollars);
    }

    /// Returns the price of one unit of this counter, in picodollars.
    pub(crate) fn of(&self, counter: PricedCounter) -> Option<u64> {
        self.picodollars[counter as usize]
    }
}

impl PricedCounter {
    /// All counters, in the order of their values.
    pub(crate) const ALL: [PricedCounter; 12] = [
        PricedCounter::Input,
        PricedCounter::CachedInput,
        PricedCounter::CacheWrite,
        PricedCounter::CacheWrite5m,
        PricedCounter::CacheWrite1h,
        PricedCounter::AudioInput,
        PricedCounter::ImageInput,
        PricedCounter::Output,
        PricedCounter::AudioOutput,
        PricedCounter::ImageOutput,
        PricedCounter::WebSearch,
        PricedCounter::WebFetch,
    ];

    /// The name in the keys file.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            PricedCounter::Input => "input",
            PricedCounter::CachedInput => "cached_input",
            PricedCounter::CacheWrite => "cache_write",
            PricedCounter::CacheWrite5m => "cache_write_5m",
            PricedCounter::CacheWrite1h => "cache_write_1h",
            PricedCounter::AudioInput => "audio_input",
            PricedCounter::ImageInput => "image_input",
            PricedCounter::Output => "output",
            PricedCounter::AudioOutput => "audio_output",
            PricedCounter::ImageOutput => "image_output",
            PricedCounter::WebSearch => "web_search",
            PricedCounter::WebFetch => "web_fetch",
        }
    }

    /// The number of picodollars for one unit, if the price in the file is a millionth of a dollar.
    ///
    /// Providers publish prices per million tokens, and per thousand requests of a tool. A price with 6 decimal places is
    /// thus a whole number of picodollars for one unit.
    pub(crate) fn picodollars_per_microdollar(self) -> u64 {
        match self {
            PricedCounter::WebSearch | PricedCounter::WebFetch => 1_000,
            _ => 1,
        }
    }
}

/// Writes the prices that are set, in picodollars.
impl fmt::Debug for ModelPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (counter, price) in PricedCounter::ALL.iter().zip(self.picodollars) {
            if let Some(picodollars) = price {
                map.entry(&format_args!("{}", counter.as_str()), &picodollars);
            }
        }
        map.finish()
    }
}
