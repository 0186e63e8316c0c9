//! The JSON of a bucket.

use serde::Serialize;
use serde_json::value::RawValue;

use super::bucket::TimeBucket;
use super::endpoint::UsageEndpoint;
use super::grouping::ResultDimensions;
use super::result_sums::ResultSums;
use crate::proxy_keys::Picodollars;

/// A bucket with its results.
#[derive(Serialize)]
pub(super) struct ResultBucket<'a> {
    object: &'static str,
    start_time: i64,
    end_time: i64,
    results: Vec<UsageResult<'a>>,
}

/// A result of one endpoint.
#[derive(Serialize)]
#[serde(untagged)]
enum UsageResult<'a> {
    Completions(CompletionsResult<'a>),
    Embeddings(InputResult<'a>),
    Images(ImagesResult<'a>),
    Costs(CostsResult<'a>),
}

/// A member whose value the ledger does not have: null in JSON.
type UnknownValue = ();

#[derive(Serialize)]
struct CompletionsResult<'a> {
    object: &'static str,
    input_tokens: u64,
    output_tokens: u64,
    num_model_requests: u64,
    input_cached_tokens: u64,
    input_cache_write_tokens: u64,
    input_uncached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_text_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_text_tokens: Option<u64>,
    input_audio_tokens: u64,
    output_audio_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_image_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_image_tokens: Option<u64>,
    project_id: Option<&'a str>,
    user_id: UnknownValue,
    api_key_id: Option<&'a str>,
    model: Option<&'a str>,
    batch: Option<bool>,
    service_tier: UnknownValue,
    api_source: UnknownValue,
}

/// A result of embeddings or moderations.
#[derive(Serialize)]
struct InputResult<'a> {
    object: &'static str,
    input_tokens: u64,
    num_model_requests: u64,
    project_id: Option<&'a str>,
    user_id: UnknownValue,
    api_key_id: Option<&'a str>,
    model: Option<&'a str>,
}

#[derive(Serialize)]
struct ImagesResult<'a> {
    object: &'static str,
    images: u64,
    num_model_requests: u64,
    project_id: Option<&'a str>,
    user_id: UnknownValue,
    api_key_id: Option<&'a str>,
    model: Option<&'a str>,
    size: UnknownValue,
    source: UnknownValue,
}

#[derive(Serialize)]
struct CostsResult<'a> {
    object: &'static str,
    amount: CostAmount,
    line_item: Option<&'a str>,
    quantity: UnknownValue,
    quantity_unit: UnknownValue,
    project_id: Option<&'a str>,
    user_id: UnknownValue,
    api_key_id: Option<&'a str>,
    api_source: UnknownValue,
}

#[derive(Serialize)]
struct CostAmount {
    value: Box<RawValue>,
    currency: &'static str,
}

impl<'a> ResultBucket<'a> {
    /// Creates the bucket of an endpoint with these results.
    pub(super) fn new(
        endpoint: UsageEndpoint,
        bucket: TimeBucket,
        results: impl IntoIterator<Item = (&'a ResultDimensions, &'a ResultSums)>,
    ) -> Self {
        let results = results.into_iter();
        Self {
            object: "bucket",
            start_time: bucket.start,
            end_time: bucket.end,
            results: results.map(|(dimensions, sums)| create_result(endpoint, dimensions, sums)).collect(),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a bucket of numbers and texts has a JSON form")
    }
}

/// Creates a result. Undivided tokens are added to the output tokens, or to the input tokens if the endpoint has no output, so
/// the totals equal the tokens that limits count.
fn create_result<'a>(
    endpoint: UsageEndpoint,
    dimensions: &'a ResultDimensions,
    sums: &ResultSums,
) -> UsageResult<'a> {
    let project_id = dimensions.project_id.as_deref();
    let api_key_id = dimensions.key_id.as_deref();
    let model = dimensions.model.as_deref();
    let counts = &sums.calls.counts;
    let num_model_requests = sums.calls.amounts.requests;
    let input_tokens = counts.input_tokens.unwrap_or(0);
    let output_tokens = counts.output_tokens.unwrap_or(0);
    match endpoint {
        UsageEndpoint::Completions => UsageResult::Completions(CompletionsResult {
            object: "organization.usage.completions.result",
            input_tokens,
            output_tokens: output_tokens.saturating_add(sums.undivided_tokens),
            num_model_requests,
            input_cached_tokens: counts.cached_input_tokens.unwrap_or(0),
            input_cache_write_tokens: counts.cache_write_input_tokens.unwrap_or(0),
            input_uncached_tokens: sums.uncached_input_tokens,
            input_text_tokens: counts.text_input_tokens,
            output_text_tokens: counts.text_output_tokens,
            input_audio_tokens: counts.audio_input_tokens.unwrap_or(0),
            output_audio_tokens: counts.audio_output_tokens.unwrap_or(0),
            input_image_tokens: counts.image_input_tokens,
            output_image_tokens: counts.image_output_tokens,
            project_id,
            user_id: (),
            api_key_id,
            model,
            batch: dimensions.batch,
            service_tier: (),
            api_source: (),
        }),
        UsageEndpoint::Embeddings | UsageEndpoint::Moderations => UsageResult::Embeddings(InputResult {
            object: if endpoint == UsageEndpoint::Embeddings {
                "organization.usage.embeddings.result"
            } else {
                "organization.usage.moderations.result"
            },
            input_tokens: input_tokens.saturating_add(output_tokens).saturating_add(sums.undivided_tokens),
            num_model_requests,
            project_id,
            user_id: (),
            api_key_id,
            model,
        }),
        UsageEndpoint::Images => UsageResult::Images(ImagesResult {
            object: "organization.usage.images.result",
            images: counts.images.unwrap_or(0),
            num_model_requests,
            project_id,
            user_id: (),
            api_key_id,
            model,
            size: (),
            source: (),
        }),
        UsageEndpoint::Costs => UsageResult::Costs(CostsResult {
            object: "organization.costs.result",
            amount: CostAmount {
                value: decimal_number(Picodollars(sums.calls.amounts.picodollars)),
                currency: "usd",
            },
            line_item: model,
            quantity: (),
            quantity_unit: (),
            project_id,
            user_id: (),
            api_key_id,
            api_source: (),
        }),
    }
}

/// Returns dollars as a JSON number with all its digits. A float would be rounded.
fn decimal_number(picodollars: Picodollars) -> Box<RawValue> {
    RawValue::from_string(picodollars.to_string()).expect("dollars with decimal places are a JSON number")
}
