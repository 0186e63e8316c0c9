//! The memory of the usage meter: bounded, however long an event is.
//!
//! The tests have a binary of their own because the counting allocator is global.
#![cfg(feature = "proxy-keys")]
#![allow(clippy::unwrap_used)]

use allocation_counter::{AllocationInfo, measure};
use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{BodyForm, UsageMeter};

const MB: usize = 1_000_000;

/// The memory bound in the documentation of the meter, for usage objects of at most 16 KiB.
const BOUND: u64 = 1024 * 1024;

/// The memory bound for longer usage objects.
const LONG_USAGE_BOUND: u64 = 16 * 1024 * 1024;

/// A body with a long middle.
struct LongBody<'a> {
    start: &'a str,
    middle: &'a str,
    middle_len: usize,
    end: &'a str,
}

impl LongBody<'_> {
    /// Meters the body in chunks of about 16 KB. Returns the input tokens, and the allocations of the meter.
    fn meter(&self, form: BodyForm) -> (Option<u64>, AllocationInfo) {
        let chunk = self.middle.repeat(1 + 16_000 / self.middle.len());
        let mut input_tokens = None;
        let allocations = measure(|| {
            let mut meter = UsageMeter::new(Provider::OpenAi, form);
            meter.feed(self.start.as_bytes());
            for _ in 0..self.middle_len / chunk.len() {
                meter.feed(chunk.as_bytes());
            }
            meter.feed(self.end.as_bytes());
            input_tokens = meter.usage().and_then(|usage| usage.input_tokens);
        });
        (input_tokens, allocations)
    }
}

/// A terminal event of the Responses API whose output is one image.
fn image_event(middle_len: usize) -> LongBody<'static> {
    LongBody {
        start: "data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"result\":\"",
        middle: "iVBORw0KGgoAAAANSUhEUgAA",
        middle_len,
        end: "\"}],\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n",
    }
}

#[test]
fn terminal_event_of_100_mb_takes_no_more_memory_than_a_short_one() {
    let (short_input, short) = image_event(100_000).meter(BodyForm::Events);
    let (long_input, long) = image_event(100 * MB).meter(BodyForm::Events);
    assert_eq!((short_input, long_input), (Some(7), Some(7)));
    assert_eq!((long.bytes_max, long.count_total), (short.bytes_max, short.count_total));
    assert_eq!(long.bytes_current, 0);
    assert!(long.bytes_max < 32 * 1024, "{} bytes", long.bytes_max);
}

#[test]
fn long_bodies_of_each_shape_stay_within_the_bound() {
    let usage_end = "0]}}\n\n";
    for (start, middle, end) in [
        // Values that become many nodes if they are parsed.
        ("{\"usage\":{\"x\":[", "[],", usage_end),
        ("{\"usage\":{\"x\":[", "{\"\":0},", usage_end),
        ("{\"usage\":\"", "x", "\"}"),
        ("{\"model\":\"", "m", "\"}"),
        ("{\"model\":\"", "\\u0061", "\"}"),
        ("{\"", "usage", "\":1}"),
        ("{\"usage\"", "    ", ":{}}"),
        ("{", "\"usage\":{\"input_tokens\":1},\"model\":\"gpt-5\",", "\"x\":0}"),
        ("{\"response\":{", "\"usage\":{\"input_tokens\":1},", "\"x\":0}}"),
        ("{\"x\":", "[", ""),
        ("", "{\"usage\":{}}\n\ndata: ", ""),
        ("", "\n", ""),
        ("", "}", ""),
    ] {
        for form in [BodyForm::Json, BodyForm::Events] {
            let prefix = if form == BodyForm::Events { "data: " } else { "" };
            let start = &format!("{prefix}{start}");
            let (_, allocations) = LongBody { start, middle, middle_len: MB, end }.meter(form);
            assert!(allocations.bytes_max < BOUND, "{} bytes for {start}{middle}", allocations.bytes_max);
            assert_eq!(allocations.bytes_current, 0, "{start}{middle}");
        }
    }
}

#[test]
fn longest_usage_object_stays_within_the_bound() {
    for middle in ["[],", "{\"\":0},", "{\"a\":{}},", "0,"] {
        let start = "data: {\"usage\":{\"input_tokens\":7,\"x\":[";
        let middle_len = 260_000;
        let body = LongBody { start, middle, middle_len, end: "0]}}\n\n" };
        let mut meter = UsageMeter::new(Provider::OpenAi, BodyForm::Events);
        let allocations = measure(|| {
            meter.feed(body.start.as_bytes());
            for _ in 0..middle_len / middle.len() {
                meter.feed(middle.as_bytes());
            }
            meter.feed(body.end.as_bytes());
        });
        assert_eq!(meter.usage().unwrap().input_tokens, Some(7), "{middle}");
        assert!(allocations.bytes_max < LONG_USAGE_BOUND, "{} bytes for {middle}", allocations.bytes_max);
    }
}
