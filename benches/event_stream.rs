//! A streamed chat completion of 40 events, the last of which has the usage.

use bytes::Bytes;

const EVENTS: usize = 40;

/// The end of a body in chunks (RFC 9112 §7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The event with this number. All events but the last have the same length.
pub fn event(nth: usize) -> Bytes {
    let (choices, usage) = if nth + 1 < EVENTS {
        (r#"{"index":0,"delta":{"content":" word"},"finish_reason":null}"#, "null")
    } else {
        (
            "",
            r#"{"prompt_tokens":12,"completion_tokens":100,"total_tokens":112,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":100,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
        )
    };
    let event = format!(
        r#"data: {{"id":"chatcmpl-C4Qh1vJQ3mYx2sT9uKp5rE8wZ7aB","object":"chat.completion.chunk","created":1755137921,"model":"gpt-5-nano-2025-08-07","service_tier":"default","system_fingerprint":null,"choices":[{choices}],"usage":{usage},"obfuscation":""#
    );
    Bytes::from(event + "t9WuQNX\"}\n\n")
}

/// All events.
pub fn stream() -> Vec<Bytes> {
    (0..EVENTS).map(event).collect()
}

/// Returns data as a chunk of a body in chunks.
pub fn http_chunk(data: &[u8]) -> Bytes {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat().into()
}
