"""An API that behaves like both providers: a few endpoints for models, plain and streamed, for one real key."""

import http.server
import json
import threading

REAL_KEY = "sk-real-of-the-service"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-1",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 5},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "status": "completed",
    "model": "gpt-5-mini",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    },
}


class ModelApi:
    """`with ModelApi() as api:` serves on a free port. A stream of the model `endless` never ends."""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # The credentials that arrived, as the values of their headers.
        self.server.credentials = set()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def credentials(self):
        return self.server.credentials


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.accepts_credential():
            models = [{"id": id, "object": "model", "created": 0, "owned_by": "x"} for id in ["gpt-5", "gpt-5-mini"]]
            self.send_json(200, {"object": "list", "data": models})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.accepts_credential():
            return
        plain, streamed = {
            "/v1/chat/completions": (chat(), lambda: chat_events(body)),
            "/v1/responses": (RESPONSE, response_events),
            "/v1/messages": (MESSAGE, message_events),
        }[self.path]
        if body.get("stream"):
            self.send_events(streamed(), is_endless=body["model"] == "endless")
        else:
            self.send_json(200, plain)

    def accepts_credential(self):
        credential = self.headers["x-api-key"] or self.headers["authorization"].removeprefix("Bearer ")
        self.server.credentials.add(credential)
        if credential == REAL_KEY:
            return True
        self.send_json(401, {"error": {"message": "wrong key", "type": "x", "param": None, "code": "invalid_api_key"}})
        return False

    def send_json(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, events, is_endless):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            self.send_chunk(event.encode())
            if is_endless:
                # The thread ends with the process.
                threading.Event().wait()
        self.wfile.write(b"0\r\n\r\n")

    def send_chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


def chat():
    message = {"role": "assistant", "content": "Hello.", "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "chat_1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-5-mini",
        "choices": [choice],
        "usage": USAGE,
    }


def chat_events(body):
    has_usage = (body.get("stream_options") or {}).get("include_usage")
    base = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-5-mini"}
    if has_usage:
        base["usage"] = None
    for text in ["Hel", "lo."]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        yield f"data: {json.dumps(base | {'choices': [choice]})}\n\n"
    if has_usage:
        yield f"data: {json.dumps(base | {'choices': [], 'usage': USAGE})}\n\n"
    yield "data: [DONE]\n\n"


def typed_event(event):
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def response_events():
    started = RESPONSE | {"status": "in_progress", "output": [], "usage": None}
    yield typed_event({"type": "response.created", "sequence_number": 0, "response": started})
    for number, text in enumerate(["Hel", "lo."], 1):
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        yield typed_event({"type": "response.output_text.delta", "sequence_number": number, "delta": text} | place)
    yield typed_event({"type": "response.completed", "sequence_number": 3, "response": RESPONSE})


def message_events():
    started = MESSAGE | {"content": [], "stop_reason": None, "usage": {"input_tokens": 7, "output_tokens": 1}}
    yield typed_event({"type": "message_start", "message": started})
    yield typed_event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for text in ["Hel", "lo."]:
        delta = {"type": "text_delta", "text": text}
        yield typed_event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield typed_event({"type": "content_block_stop", "index": 0})
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    yield typed_event({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}})
    yield typed_event({"type": "message_stop"})
