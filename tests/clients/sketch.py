"""What the original sketch of this proxy does (Python, parse and print), and what this one does: python3 sketch.py

One line a case. The words about the sketch were checked by running it; those about this proxy are checked here,
against an upstream on loopback that answers whatever a case says.
"""

import http.client
import json
import socket
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from proxy import BUILT, Proxy
from tally import check, end, equal

NAMES = {"key_known": "checkout"}
JSON = {"Content-Type": "application/json"}
NAMED = b',"api_key_name":"checkout"'


class Case:
    """An answer of upstream's, and what a client gets to see of it (the same bytes, where nothing else is said)."""

    def __init__(self, name, body, seen=None, *, status=200, headers=JSON, sketch, here):
        self.name, self.body, self.status, self.headers = name, body, status, headers
        self.seen = body if seen is None else seen
        self.sketch, self.here = sketch, here


def nested(depth, inside):
    return b'{"a":[' * depth + inside + b"]}" * depth


# Money as the costs endpoint gave it, and other numbers that a float, or a parser in Python, changes or refuses.
MONEY = b'{"api_key_id":"key_known"%s,"value":0.003627500000000000000000000000000000,"e":1E2,"big":12345678901234567890.0}'
SPACED = b'{\n  "api_key_id" : "key_known"%s,\n  "model": "caf\\u00e9 \\/"\n}\n'

CASES = [
    Case(
        "depth",
        nested(50, b'{"api_key_id":"key_known"}'),
        nested(50, b'{"api_key_id":"key_known"%s}' % NAMED),
        sketch="names an id in any object of any list",
        here="so does this",
    ),
    Case(
        "depth without end",
        nested(20_000, b'{"api_key_id":"key_known"}'),
        sketch="its recursion ends in a 500",
        here="past a fixed depth the answer passes as it came",
    ),
    Case(
        "an id as an object",
        b'{"api_key_id":{"api_key_id":"key_known"}}',
        b'{"api_key_id":{"api_key_id":"key_known"%s},"api_key_name":null}' % NAMED,
        sketch='walks into it, and calls the outer one "unknown"',
        here="walks into it, and says null for the outer one",
    ),
    Case(
        "an unmatched id",
        b'{"api_key_id":"key_new"}',
        b'{"api_key_id":"key_new","api_key_name":"unknown"}',
        sketch='"unknown"',
        here='"unknown"; null or nothing by a setting',
    ),
    Case(
        "no id",
        b'{"api_key_id":null}',
        b'{"api_key_id":null,"api_key_name":null}',
        sketch='"unknown"',
        here="null: a row of no key is not a key that nobody knows; a setting says unknown here too",
    ),
    Case(
        "a name that upstream gives",
        b'[{"api_key_name":"theirs","api_key_id":"key_new"},{"api_key_name":"theirs","api_key_id":"key_known"}]',
        b'[{"api_key_name":"theirs","api_key_id":"key_new"},{"api_key_name":"checkout","api_key_id":"key_known"}]',
        sketch='the map\'s stands in its place, "unknown" too where the map has none',
        here="stays where the map has none",
    ),
    Case(
        "place",
        b'{"api_key_id":"key_known","n":1}',
        b'{"api_key_id":"key_known"%s,"n":1}' % NAMED,
        sketch="the name comes last in the object",
        here="right after the id",
    ),
    Case(
        "digits",
        MONEY % b"",
        MONEY % NAMED,
        sketch="a float's: 0.0036275, 100.0, 1.2345678901234567e+19",
        here="upstream's, every one",
    ),
    Case(
        "a number beyond floats",
        b'{"api_key_id":"key_known","n":1e400}',
        b'{"api_key_id":"key_known"%s,"n":1e400}' % NAMED,
        sketch="500: infinity cannot be printed",
        here="passes, and the id beside it is named",
    ),
    Case(
        "white space and escapes",
        SPACED % b"",
        SPACED % b',\n  "api_key_name" : "checkout"',
        sketch="printed anew, all on one line",
        here="as they came; the name takes the id's own white space",
    ),
    Case(
        "a member twice",
        b'{"api_key_id":"key_known","api_key_id":"key_new"}',
        sketch="the last one is left, and named",
        here="readers disagree on which counts: the object is left as it came",
    ),
    Case(
        "nothing to name",
        b'{ "users" : [ ] }',
        sketch="printed anew all the same",
        here="the same bytes",
    ),
    Case(
        "not JSON",
        b'api_key_id,cost\r\n"api_key_id": "key_known",1.50\r\n',
        headers={"Content-Type": "text/csv"},
        sketch="passes as it came",
        here="so it does here",
    ),
    Case(
        "JSON by another name",
        b'{"api_key_id":"key_known"}',
        b'{"api_key_id":"key_known"%s}' % NAMED,
        headers={"Content-Type": "Application/vnd.openai+JSON; charset=utf-8"},
        sketch="passes unnamed",
        here="is JSON, and named",
    ),
    Case(
        "invalid JSON",
        b'{"api_key_id":"key_known"},]',
        sketch="passes as it came",
        here="so it does here",
    ),
    Case(
        "NaN",
        b'{"api_key_id":"key_known","n":NaN}',
        sketch="500: read as JSON, which it is not, and then not printable",
        here="passes as it came",
    ),
    Case(
        "invalid UTF-8",
        b'{"api_key_id":"key_known","n":"\xff"}',
        sketch="500",
        here="passes as it came",
    ),
    Case(
        "an empty body",
        b"",
        sketch="passes as it came",
        here="so it does here",
    ),
    Case(
        "an error",
        b'{"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": "bad"}}\n',
        status=429,
        headers=JSON | {"Retry-After": "7", "x-request-id": "req_1"},
        sketch="its status and headers, the body printed anew",
        here="its status, its headers and its bytes",
    ),
    Case(
        "two cookies",
        b'{"api_key_id":"key_known"}',
        b'{"api_key_id":"key_known"%s}' % NAMED,
        headers=JSON | {"Set-Cookie": ["a=1", "b=2"]},
        sketch="one header with both",
        here="two headers",
    ),
]
BY_PATH = {f"/v1/organization/case/{number}": case for number, case in enumerate(CASES)}
# How a request came in here: (method, target, body).
heard = []


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        heard.append((self.command, self.path, body))
        path = urlsplit(self.path).path
        if path == "/v1/organization/silence":
            silence.wait(30)
            self.close_connection = True
            return
        case = BY_PATH.get(path, CASES[0])
        self.send_response(case.status)
        for name, values in case.headers.items():
            for value in values if isinstance(values, list) else [values]:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(case.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(case.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


silence = threading.Event()


def ask(url, target, method="GET", body=None, headers=None):
    """The answer to `target`, byte for byte as written here, and its body."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, target, body, {"Authorization": "Bearer sk-admin-of-a-client"} | (headers or {}))
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def as_it_should(proxy, path, case):
    answer, body = ask(proxy.url, path)
    equal(answer.status, case.status, "status")
    if body != case.seen:
        raise AssertionError(f"got {body[:300]!r}, not {case.seen[:300]!r}")
    if body:
        equal(answer.getheader("Content-Length"), str(len(body)), "content-length")
    for name, values in case.headers.items():
        equal(answer.headers.get_all(name), values if isinstance(values, list) else [values], name)


def target_heard(proxy, target, want):
    ask(proxy.url, target)
    equal(heard[-1][1], want, "what upstream heard:")


def sent_on(proxy):
    for method in ["POST", "PUT", "PATCH", "DELETE"]:
        ask(proxy.url, "/v1/organization/projects", method, b'{"name":"api_key_name"}', JSON)
        equal(heard[-1], (method, "/v1/organization/projects", b'{"name":"api_key_name"}'), "what upstream heard:")
    for method in ["HEAD", "OPTIONS"]:
        ask(proxy.url, "/v1/organization/projects", method)
        equal(heard[-1][:2], (method, "/v1/organization/projects"), "what upstream heard:")


def error(url, path, status, code=None):
    answer, body = ask(url, path)
    equal(answer.status, status, "status")
    told = json.loads(body)["error"]
    equal(sorted(told), ["code", "message", "param", "type"], "the error's members")
    if code:
        equal((told["type"], told["code"]), ("proxy_error", code), "type and code")


def health(proxy):
    answer, body = ask(proxy.url, "/health")
    told = json.loads(body)
    equal((answer.status, told["status"], told["entries"]), (200, "ok", len(NAMES)), "health")
    equal(told["generation"] >= 1, True, f"a generation in {told}:")


def differs(name, sketch, here, what):
    check(f"{name}: the sketch: {sketch}; here: {here}", what)


def main():
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "names.json"
        names.write_text(json.dumps(NAMES))
        command = [BUILT, "--port", "0", "--names", names, "--timeout", "1", "--openai-base-url"]
        with Proxy([*command, f"http://127.0.0.1:{upstream.server_port}"]) as proxy:
            for path, case in BY_PATH.items():
                differs(case.name, case.sketch, case.here, lambda: as_it_should(proxy, path, case))
            differs(
                "query",
                "written anew: a%20b becomes a+b, [] becomes %5B%5D",
                "every other byte stays",
                lambda: target_heard(
                    proxy,
                    "/v1/organization/costs?x=a%20b+c&group_by[]=api_key_name&y&z=%5b,%7E",
                    "/v1/organization/costs?x=a%20b+c&group_by[]=api_key_id&y&z=%5b,%7E",
                ),
            )
            differs(
                "group_by[0]",
                "not understood",
                "understood",
                lambda: target_heard(
                    proxy,
                    "/v1/organization/costs?group_by%5B0%5D=api_key_name",
                    "/v1/organization/costs?group_by%5B0%5D=api_key_id",
                ),
            )
            differs(
                "both asked for",
                "api_key_id is sent twice",
                "once",
                lambda: target_heard(
                    proxy,
                    "/v1/organization/costs?group_by=api_key_id,api_key_name,model",
                    "/v1/organization/costs?group_by=api_key_id,model",
                ),
            )
            differs("other methods", "sent on, with their bodies", "so they are here", lambda: sent_on(proxy))
            differs(
                "upstream is silent",
                "504 upstream_timeout in OpenAI's form",
                "the same",
                lambda: error(proxy.url, "/v1/organization/silence", 504, "upstream_timeout"),
            )
            differs(
                "a path that is not the organization's",
                "404 in its framework's form",
                "404 in OpenAI's form",
                lambda: error(proxy.url, "/v1/models", 404),
            )
            differs(
                "health",
                '{"status":"ok"}',
                "that, with entries, generation and the last reload's error",
                lambda: health(proxy),
            )
        silence.set()
        # Held and not listened to: whoever connects is refused, and nobody else gets the port meanwhile.
        nobody = socket.socket()
        nobody.bind(("127.0.0.1", 0))
        with nobody, Proxy([*command, f"http://127.0.0.1:{nobody.getsockname()[1]}"]) as proxy:
            differs(
                "upstream is away",
                "502 upstream_transport_error in OpenAI's form",
                "the same",
                lambda: error(proxy.url, "/v1/organization/costs", 502, "upstream_transport_error"),
            )


if __name__ == "__main__":
    main()
    end()
