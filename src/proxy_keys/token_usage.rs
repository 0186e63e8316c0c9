//! The token counts of one call, in one form for both providers.

use std::time::Duration;

/// The usage that a provider reports for one call.
///
/// `None` means that the response contains no such count: the member is absent, `null`, or not an integer from 0 to
/// `u64::MAX`, such as `-1`, `1.5` or `1e3`. It is not 0, which is a count. All other token counts are parts of
/// [`input_tokens`](Self::input_tokens) or [`output_tokens`](Self::output_tokens), and must not be added to them.
///
/// A call of Anthropic that compacts its context has further counts, in `usage.iterations`. They are added, because they
/// are charged and the other counts exclude them. Tokens of the advisor tool, which are in the same list, are not added:
/// they belong to another model.
///
/// The hosted tools of OpenAI have counts in `tool_usage`: the tokens of `image_gen` are added to the input and output tokens
/// and to their image parts, and the requests of `web_search` are counted. Other fees outside of tokens are in no response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenUsage {
    /// All input tokens, with those read from and written to a cache.
    ///
    /// OpenAI sends this total. Anthropic sends three parts: `input_tokens`, `cache_read_input_tokens` and
    /// `cache_creation_input_tokens`. This count is their sum, or `u64::MAX` if the sum is larger.
    pub input_tokens: Option<u64>,
    /// Input tokens that were read from a cache: `cached_tokens` or `cache_read_input_tokens`.
    pub cached_input_tokens: Option<u64>,
    /// Input tokens that were written to a cache: `cache_write_tokens` or `cache_creation_input_tokens`.
    pub cache_write_input_tokens: Option<u64>,
    /// The part of the cache writes that is stored for 5 minutes. Anthropic.
    pub cache_write_5m_input_tokens: Option<u64>,
    /// The part of the cache writes that is stored for an hour. Anthropic.
    pub cache_write_1h_input_tokens: Option<u64>,
    /// Input tokens of text. OpenAI.
    pub text_input_tokens: Option<u64>,
    /// Input tokens of audio. OpenAI.
    pub audio_input_tokens: Option<u64>,
    /// Input tokens of images. OpenAI.
    pub image_input_tokens: Option<u64>,
    /// All output tokens, with those of reasoning.
    pub output_tokens: Option<u64>,
    /// Output tokens of reasoning: `reasoning_tokens` or `thinking_tokens`.
    pub reasoning_output_tokens: Option<u64>,
    /// Output tokens of text. OpenAI.
    pub text_output_tokens: Option<u64>,
    /// Output tokens of audio. OpenAI.
    pub audio_output_tokens: Option<u64>,
    /// Output tokens of images. OpenAI.
    pub image_output_tokens: Option<u64>,
    /// Output tokens of a prediction that the model used. OpenAI.
    pub accepted_prediction_tokens: Option<u64>,
    /// Output tokens of a prediction that the model did not use, but that are charged. OpenAI.
    pub rejected_prediction_tokens: Option<u64>,
    /// Searches by the hosted tool `web_search`, which are charged beside the tokens.
    pub web_search_requests: Option<u64>,
    /// Pages read by the server tool `web_fetch`. Anthropic.
    pub web_fetch_requests: Option<u64>,
    /// The length of the transcribed audio, for a model that is charged by it instead of by tokens. OpenAI.
    pub audio_duration: Option<Duration>,
    /// Images of a complete, successful call of `/v1/images/generations`: the number that the request declares as `n`, or 1.
    /// A meter does not count them: the layer adds them at the end of the call.
    pub images: Option<u64>,
}

impl TokenUsage {
    /// Returns the existing counts by the names of their fields. The duration is in nanoseconds.
    #[cfg(feature = "_internal")]
    pub(crate) fn by_field(&self) -> std::collections::BTreeMap<&'static str, u64> {
        let nanoseconds = self.audio_duration.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
        let counts = [
            ("input_tokens", self.input_tokens),
            ("cached_input_tokens", self.cached_input_tokens),
            ("cache_write_input_tokens", self.cache_write_input_tokens),
            ("cache_write_5m_input_tokens", self.cache_write_5m_input_tokens),
            ("cache_write_1h_input_tokens", self.cache_write_1h_input_tokens),
            ("text_input_tokens", self.text_input_tokens),
            ("audio_input_tokens", self.audio_input_tokens),
            ("image_input_tokens", self.image_input_tokens),
            ("output_tokens", self.output_tokens),
            ("reasoning_output_tokens", self.reasoning_output_tokens),
            ("text_output_tokens", self.text_output_tokens),
            ("audio_output_tokens", self.audio_output_tokens),
            ("image_output_tokens", self.image_output_tokens),
            ("accepted_prediction_tokens", self.accepted_prediction_tokens),
            ("rejected_prediction_tokens", self.rejected_prediction_tokens),
            ("web_search_requests", self.web_search_requests),
            ("web_fetch_requests", self.web_fetch_requests),
            ("audio_duration", nanoseconds),
            ("images", self.images),
        ];
        counts.into_iter().filter_map(|(name, count)| Some((name, count?))).collect()
    }
}
