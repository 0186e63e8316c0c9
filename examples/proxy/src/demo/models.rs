//! The endpoints of models: chat completions and messages, plain and streamed, and the list of models.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::anthropic;
use super::response::{DemoResponse, error_response, now};

/// The only key that the models accept.
pub(super) const REAL_KEY: &str = "sk-demo-real-key";

/// The text of each response.
const REPLY: &str =
    "The real key stays in the proxy, each customer has a key of its own, and the bill has names.";

/// The pause before each event of a stream.
const PACE: Duration = Duration::from_millis(40);

pub(super) type DemoBody = UnsyncBoxBody<Bytes, Infallible>;

/// True for a request to an endpoint of models.
pub(super) fn has_endpoint<A>(request: &Request<A>) -> bool {
    let endpoint = (request.method(), request.uri().path());
    matches!(
        endpoint,
        (&Method::POST, "/v1/chat/completions" | "/v1/messages") | (&Method::GET, "/v1/models")
    )
}

/// Returns the response of an endpoint of models.
pub(super) async fn respond(request: Request<Incoming>) -> Response<DemoBody> {
    let (parts, body) = request.into_parts();
    let is_anthropic = parts.uri.path() == "/v1/messages";
    let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let x_api_key = parts.headers.get("x-api-key").map(HeaderValue::as_bytes);
    if bearer.or(x_api_key) != Some(REAL_KEY.as_bytes()) {
        return json_response(refuse(is_anthropic, StatusCode::UNAUTHORIZED, "The key is not the real one."));
    }
    if parts.method == Method::GET {
        return json_response(DemoResponse(StatusCode::OK, model_list().to_string()));
    }
    let content = body.collect().await.map(|content| content.to_bytes()).unwrap_or_default();
    let Ok(call) = serde_json::from_slice::<Value>(&content) else {
        return json_response(refuse(is_anthropic, StatusCode::BAD_REQUEST, "The body is not JSON."));
    };
    if call["stream"] != true {
        let page = if is_anthropic { message(&call) } else { chat(&call) };
        return json_response(DemoResponse(StatusCode::OK, page.to_string()));
    }
    stream_events(if is_anthropic { message_events(&call) } else { chat_events(&call) })
}

/// Returns an error in the form of a provider.
fn refuse(is_anthropic: bool, status: StatusCode, message: &str) -> DemoResponse {
    if is_anthropic {
        anthropic::error_response(status, "authentication_error", message)
    } else {
        error_response(status, message, None, "invalid_api_key")
    }
}

fn json_response(DemoResponse(status, body): DemoResponse) -> Response<DemoBody> {
    let mut response = Response::new(Full::from(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns a response that sends these events one after the other.
fn stream_events(events: Vec<String>) -> Response<DemoBody> {
    let frames = stream::iter(events).then(async |event| {
        tokio::time::sleep(PACE).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from(event)))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Returns the words of the reply, each with the space behind it.
fn words() -> impl Iterator<Item = &'static str> {
    REPLY.split_inclusive(' ')
}

/// Returns the numbers of input and output tokens: one for four bytes of the messages, and one for each word.
fn count_tokens(call: &Value) -> (usize, usize) {
    (call["messages"].to_string().len().div_ceil(4), words().count())
}

fn model_list() -> Value {
    let models = ["claude-opus-4-1", "gpt-5", "gpt-5-mini"];
    let items =
        models.map(|id| json!({"id": id, "object": "model", "created": 1_750_000_000, "owned_by": "demo"}));
    json!({"object": "list", "data": items})
}

fn chat_usage(call: &Value) -> Value {
    let (input, output) = count_tokens(call);
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn chat(call: &Value) -> Value {
    let message = json!({"role": "assistant", "content": REPLY, "refusal": null});
    json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": now(), "model": call["model"],
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": chat_usage(call),
    })
}

/// Returns the events of a streamed chat. The last one contains the usage if the request has `include_usage`.
fn chat_events(call: &Value) -> Vec<String> {
    let includes_usage = call["stream_options"]["include_usage"] == true;
    let event = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": now(), "model": call["model"],
            "choices": choices,
        });
        if includes_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish_reason: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    let mut events: Vec<String> =
        words().map(|word| event(choice(json!({"content": word}), Value::Null), Value::Null)).collect();
    events.push(event(choice(json!({}), json!("stop")), Value::Null));
    if includes_usage {
        events.push(event(json!([]), chat_usage(call)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn message(call: &Value) -> Value {
    let (input, output) = count_tokens(call);
    json!({
        "id": "msg_demo", "type": "message", "role": "assistant", "model": call["model"],
        "content": [{"type": "text", "text": REPLY}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": input, "output_tokens": output},
    })
}

/// Returns the events of a streamed message.
fn message_events(call: &Value) -> Vec<String> {
    let mut start = message(call);
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    let block = json!({"type": "text", "text": ""});
    let mut events = vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
    ];
    events.extend(words().map(|word| {
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    }));
    let (_, output) = count_tokens(call);
    let stop = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": output}}),
        json!({"type": "message_stop"}),
    ]);
    let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", name(event))).collect()
}
