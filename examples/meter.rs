//! Meters a recorded response of each kind and prints its token counts.
//!
//! ```console
//! $ cargo run --features proxy-keys --example meter
//! chat, streamed       gpt-5-nano-2025-08-07       input    12 (    0 cached)  output  100
//! ```
//!
//! A proxy does the same with the chunks that it sends on: see `meter_chunks`.

use std::error::Error;

use tower_api_key_name::names::Provider;
use tower_api_key_name::proxy_keys::{BodyForm, UsageMeter};

/// A response: its `Content-Type` and its body.
struct Recording {
    name: &'static str,
    provider: Provider,
    content_type: &'static str,
    body: &'static str,
}

const RECORDINGS: [Recording; 7] = [
    Recording {
        name: "chat",
        provider: Provider::OpenAi,
        content_type: "application/json",
        body: r#"{"object":"chat.completion","model":"gpt-5-nano-2025-08-07","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":100,"total_tokens":112,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":90}}}"#,
    },
    // Without `"stream_options":{"include_usage":true}` in the request, such a stream has no usage.
    Recording {
        name: "chat, streamed",
        provider: Provider::OpenAi,
        content_type: "text/event-stream; charset=utf-8",
        body: r#"data: {"object":"chat.completion.chunk","model":"gpt-5-nano-2025-08-07","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}

data: {"object":"chat.completion.chunk","model":"gpt-5-nano-2025-08-07","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":100,"total_tokens":112,"prompt_tokens_details":{"cached_tokens":0}}}

data: [DONE]

"#,
    },
    Recording {
        name: "response, streamed",
        provider: Provider::OpenAi,
        content_type: "text/event-stream",
        body: r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","delta":"Hi"}

event: response.completed
data: {"type":"response.completed","response":{"model":"gpt-5-nano-2025-08-07","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":328,"input_tokens_details":{"cached_tokens":64},"output_tokens":52,"output_tokens_details":{"reasoning_tokens":7},"total_tokens":380}}}

"#,
    },
    Recording {
        name: "embeddings",
        provider: Provider::OpenAi,
        content_type: "application/json",
        body: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.0069,0.1]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    },
    Recording {
        name: "moderation",
        provider: Provider::OpenAi,
        content_type: "application/json",
        body: r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false}]}"#,
    },
    Recording {
        name: "image, streamed",
        provider: Provider::OpenAi,
        content_type: "text/event-stream",
        body: r#"event: image_generation.completed
data: {"type":"image_generation.completed","b64_json":"iVBORw0KGgo=","usage":{"total_tokens":1106,"input_tokens":50,"output_tokens":1056,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}

"#,
    },
    Recording {
        name: "message, streamed",
        provider: Provider::Anthropic,
        content_type: "text/event-stream",
        body: r#"event: message_start
data: {"type":"message_start","message":{"model":"claude-sonnet-4-5-20250929","usage":{"input_tokens":25,"cache_creation_input_tokens":188,"cache_read_input_tokens":2051,"output_tokens":1}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":503}}

"#,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    for Recording { name, provider, content_type, body } in RECORDINGS {
        let form = BodyForm::of_content_type(content_type).ok_or("the body has no form with usage")?;
        // Chunks of any length, as they arrive from a network.
        let meter = meter_chunks(UsageMeter::new(provider, form), body.as_bytes().chunks(100));
        let model = meter.model().unwrap_or("-");
        match meter.usage() {
            Some(usage) => {
                let input = show(usage.input_tokens);
                let cached = show(usage.cached_input_tokens);
                let output = show(usage.output_tokens);
                println!("{name:<20} {model:<27} input {input:>5} ({cached:>5} cached)  output {output:>4}");
            }
            None => println!("{name:<20} {model:<27} no usage"),
        }
    }
    Ok(())
}

/// Feeds the chunks of a body, which a proxy would also send on.
fn meter_chunks<'a>(mut meter: UsageMeter, chunks: impl Iterator<Item = &'a [u8]>) -> UsageMeter {
    for chunk in chunks {
        meter.feed(chunk);
    }
    meter
}

/// Shows a count. An absent count is not 0.
fn show(count: Option<u64>) -> String {
    match count {
        Some(count) => count.to_string(),
        None => "-".to_owned(),
    }
}
