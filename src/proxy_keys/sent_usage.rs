//! The usage objects of one body, as the providers send them, and their conversion to one form.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::token_usage::TokenUsage;
use super::wire::usage::{RawMembers, UsageObjects};
use crate::names::Provider;

/// The names under which the endpoints of OpenAI send the parts of the input tokens.
const INPUT_DETAILS: &[&str] = &["prompt_tokens_details", "input_tokens_details", "input_token_details"];

/// The names under which the endpoints of OpenAI send the parts of the output tokens.
const OUTPUT_DETAILS: &[&str] =
    &["completion_tokens_details", "output_tokens_details", "output_token_details"];

/// The usage objects of a body so far. Each object is cumulative: their counts are never added up.
#[derive(Clone, Debug, Default)]
pub(super) struct SentUsage {
    /// The counts as sent: the input tokens of Anthropic exclude those of the cache.
    counts: TokenUsage,
    /// The sum of the compactions in `usage.iterations` of Anthropic, which `counts` excludes.
    compactions: TokenUsage,
}

impl SentUsage {
    /// Adds the next usage object: one of OpenAI replaces all counts, one of Anthropic only those that it contains.
    pub(super) fn update(&mut self, provider: Provider, objects: &UsageObjects<'_>) {
        let usage = &objects.usage;
        match provider {
            Provider::OpenAi => {
                self.counts = read_openai(usage);
                if let Some(tool_usage) = &objects.tool_usage {
                    add_tools(&mut self.counts, tool_usage);
                }
            }
            Provider::Anthropic => {
                update_from_anthropic(&mut self.counts, usage);
                if let Some(iterations) = parse_member::<Vec<&RawValue>>(usage, "iterations") {
                    self.compactions = sum_compactions(&iterations);
                }
            }
        }
    }

    /// Converts the counts to those in which the input tokens include all others.
    pub(super) fn total(&self, provider: Provider) -> TokenUsage {
        match provider {
            Provider::OpenAi => self.counts.clone(),
            Provider::Anthropic => add_compaction(&with_cache_in_input(&self.counts), &self.compactions),
        }
    }
}

/// Reads a usage object of OpenAI. Endpoints differ in the names of its members: `prompt_tokens` and `input_tokens` are
/// the same count.
fn read_openai(usage: &RawMembers<'_>) -> TokenUsage {
    let input_details = parse_details(usage, INPUT_DETAILS);
    let input_part = |name| count_in(&input_details, name);
    let output_details = parse_details(usage, OUTPUT_DETAILS);
    let output_part = |name| count_in(&output_details, name);
    TokenUsage {
        input_tokens: parse_count(usage, "prompt_tokens").or(parse_count(usage, "input_tokens")),
        cached_input_tokens: input_part("cached_tokens"),
        cache_write_input_tokens: input_part("cache_write_tokens"),
        text_input_tokens: input_part("text_tokens"),
        audio_input_tokens: input_part("audio_tokens"),
        image_input_tokens: input_part("image_tokens"),
        output_tokens: parse_count(usage, "completion_tokens").or(parse_count(usage, "output_tokens")),
        reasoning_output_tokens: output_part("reasoning_tokens"),
        text_output_tokens: output_part("text_tokens"),
        audio_output_tokens: output_part("audio_tokens"),
        image_output_tokens: output_part("image_tokens"),
        accepted_prediction_tokens: output_part("accepted_prediction_tokens"),
        rejected_prediction_tokens: output_part("rejected_prediction_tokens"),
        audio_duration: duration(usage, "seconds"),
        ..TokenUsage::default()
    }
}

/// Adds the usage of the hosted tools of OpenAI, which its usage object excludes. The object has one member for each tool:
///
/// ```text
/// {"image_gen":{"input_tokens":9,"output_tokens":1056,"input_tokens_details":{"image_tokens":0}},"web_search":{"num_requests":2}}
/// ```
fn add_tools(counts: &mut TokenUsage, tool_usage: &RawMembers<'_>) {
    if let Some(images) = parse_member::<RawMembers<'_>>(tool_usage, "image_gen") {
        let image_usage = read_openai(&images);
        counts.input_tokens = add_counts(counts.input_tokens, image_usage.input_tokens);
        counts.image_input_tokens = add_counts(counts.image_input_tokens, image_usage.image_input_tokens);
        counts.output_tokens = add_counts(counts.output_tokens, image_usage.output_tokens);
        // The output of this tool is images, unless the object contains their part.
        let image_output = image_usage.image_output_tokens.or(image_usage.output_tokens);
        counts.image_output_tokens = add_counts(counts.image_output_tokens, image_output);
    }
    if let Some(search) = parse_member::<RawMembers<'_>>(tool_usage, "web_search") {
        counts.web_search_requests = parse_count(&search, "num_requests");
    }
}

/// Returns the sum of two counts, or the one that exists.
fn add_counts(count: Option<u64>, added: Option<u64>) -> Option<u64> {
    match (count, added) {
        (Some(count), Some(added)) => Some(count.saturating_add(added)),
        (count, added) => count.or(added),
    }
}

/// Replaces the counts that a usage object of Anthropic contains, in the form of the object: the input tokens exclude
/// those of the cache.
fn update_from_anthropic(counts: &mut TokenUsage, usage: &RawMembers<'_>) {
    let cache_writes = parse_details(usage, &["cache_creation"]);
    let cache_write_part = |name| count_in(&cache_writes, name);
    let tools = parse_details(usage, &["server_tool_use"]);
    let tool_requests = |name| count_in(&tools, name);
    let output_details = parse_details(usage, &["output_tokens_details"]);
    for (field, sent) in [
        (&mut counts.input_tokens, parse_count(usage, "input_tokens")),
        (&mut counts.cached_input_tokens, parse_count(usage, "cache_read_input_tokens")),
        (&mut counts.cache_write_input_tokens, parse_count(usage, "cache_creation_input_tokens")),
        (&mut counts.cache_write_5m_input_tokens, cache_write_part("ephemeral_5m_input_tokens")),
        (&mut counts.cache_write_1h_input_tokens, cache_write_part("ephemeral_1h_input_tokens")),
        (&mut counts.output_tokens, parse_count(usage, "output_tokens")),
        (&mut counts.reasoning_output_tokens, count_in(&output_details, "thinking_tokens")),
        (&mut counts.web_search_requests, tool_requests("web_search_requests")),
        (&mut counts.web_fetch_requests, tool_requests("web_fetch_requests")),
    ] {
        if sent.is_some() {
            *field = sent;
        }
    }
}

/// Returns the sum of the iterations that compact the context. The other iterations are in the counts beside the list.
fn sum_compactions(iterations: &[&RawValue]) -> TokenUsage {
    let mut total = TokenUsage::default();
    for iteration in iterations {
        let Ok(usage) = serde_json::from_str::<RawMembers<'_>>(iteration.get()) else { continue };
        if parse_member::<String>(&usage, "type").is_some_and(|kind| kind == "compaction") {
            let mut counts = TokenUsage::default();
            update_from_anthropic(&mut counts, &usage);
            total = add_compaction(&total, &with_cache_in_input(&counts));
        }
    }
    total
}

/// Converts the input tokens of Anthropic, which exclude those of the cache, to the total. They stay absent if they are.
fn with_cache_in_input(counts: &TokenUsage) -> TokenUsage {
    let mut total = counts.clone();
    if let Some(input_tokens) = &mut total.input_tokens {
        let cached = counts.cached_input_tokens.unwrap_or(0);
        let cache_write = counts.cache_write_input_tokens.unwrap_or(0);
        *input_tokens = input_tokens.saturating_add(cached).saturating_add(cache_write);
    }
    total
}

/// Adds the token counts of a compaction to other counts.
fn add_compaction(counts: &TokenUsage, compaction: &TokenUsage) -> TokenUsage {
    TokenUsage {
        input_tokens: add_counts(counts.input_tokens, compaction.input_tokens),
        cached_input_tokens: add_counts(counts.cached_input_tokens, compaction.cached_input_tokens),
        cache_write_input_tokens: add_counts(
            counts.cache_write_input_tokens,
            compaction.cache_write_input_tokens,
        ),
        cache_write_5m_input_tokens: add_counts(
            counts.cache_write_5m_input_tokens,
            compaction.cache_write_5m_input_tokens,
        ),
        cache_write_1h_input_tokens: add_counts(
            counts.cache_write_1h_input_tokens,
            compaction.cache_write_1h_input_tokens,
        ),
        output_tokens: add_counts(counts.output_tokens, compaction.output_tokens),
        reasoning_output_tokens: add_counts(
            counts.reasoning_output_tokens,
            compaction.reasoning_output_tokens,
        ),
        ..counts.clone()
    }
}

/// Parses a member. Returns `None` if it is absent, or not a value of this type.
fn parse_member<'a, T: Deserialize<'a>>(object: &RawMembers<'a>, name: &str) -> Option<T> {
    serde_json::from_str(object.get(name)?.get()).ok()
}

/// Returns the count in a member, or `None` if it is not an integer from 0 to `u64::MAX`.
fn parse_count(object: &RawMembers<'_>, name: &str) -> Option<u64> {
    parse_member(object, name)
}

/// Returns the members of these names that are objects.
fn parse_details<'a>(object: &RawMembers<'a>, names: &[&str]) -> Vec<RawMembers<'a>> {
    names.iter().filter_map(|name| parse_member(object, name)).collect()
}

/// Returns the count `name` in the first of these objects that contains one.
fn count_in(details: &[RawMembers<'_>], name: &str) -> Option<u64> {
    details.iter().find_map(|parts| parse_count(parts, name))
}

/// Returns the seconds in a member, which may be a fraction. Returns `None` if it is not a number, negative or too large.
fn duration(object: &RawMembers<'_>, name: &str) -> Option<Duration> {
    let seconds: f64 = parse_member(object, name)?;
    Duration::try_from_secs_f64(seconds).ok()
}
