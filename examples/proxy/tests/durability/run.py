#!/usr/bin/env python3
"""The order of disk syncs and network writes of the service with proxy keys: python3 run.py PROGRAM

Runs the program under strace, and makes a plain and a streamed call. The reservation of a call must be synced to the disk
before the first byte to the upstream, its settlement before the end of the response, and nothing else in between.

Requires strace and the right to trace a process (ptrace).
"""

import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

# No files are written into the source tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

import model_api
from proxy import Proxy, environment
from tally import check, end, equal

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
DEADLINE = 60

# `-D`: the program is the child of this process, and strace is not. `-yy`: descriptors have their paths and addresses.
STRACE = ["strace", "-D", "-f", "-yy", "-s", "65536", "-e", "trace=accept4,fsync,fdatasync,sendto,sendmsg,write,writev"]

CONNECTION = r"\d+<TCP:\[[\d.]+:(\d+)->[\d.]+:(\d+)\]>"
ACCEPTED = re.compile(rf"accept4\b.*= {CONNECTION}$")
WRITE = re.compile(rf"(?:sendto|sendmsg|writev?)\({CONNECTION}(.*)")
SYNC_BEGIN = re.compile(r"(?:fsync|fdatasync)\(\d+<(.*?)>(.*)")
SYNC_END = re.compile(r"<\.\.\. (?:fsync|fdatasync) resumed>.*= 0$")

# One letter an event: A a connection is accepted, S a sync of the ledger ends, O a sync of another file ends, U a write to
# the upstream begins, C a write to the client begins, E that with the end of the response begins.
PLAIN_ORDER = re.compile("ASU+C*SE")
# Events before the last one are not held. The end of the chunks comes after `[DONE]`.
STREAM_ORDER = re.compile("ASU+C+SEC*")


def main():
    require_ptrace()
    with tempfile.TemporaryDirectory() as name, model_api.ModelApi() as api:
        folder = pathlib.Path(name).resolve()
        api.server.RequestHandlerClass = HeldHandler
        key = mint(folder / "keys.json")
        trace = folder / "trace"
        files = ["--keys", folder / "keys.json", "--ledger", folder / "ledger.sqlite"]
        command = [*STRACE, "-o", trace, PROGRAM, "--port", "0", "--openai-base-url", api.url, *files]
        with Proxy(command, variables={"OPENAI_API_KEY": model_api.REAL_KEY}) as proxy:
            check("a plain call has its usage", lambda: equal(plain_call(proxy.url, key)["usage"], model_api.USAGE))
            check("a streamed call has its end", lambda: equal(streamed_call(proxy.url, key)[-1], "data: [DONE]\n"))
        check("SIGTERM ends the service with exit code 0", lambda: equal(proxy.exit_code, 0))
        calls = split_calls(read_trace(trace), folder / "ledger.sqlite", api.server.server_port)
    check("each call has a connection", lambda: equal(len(calls), 2))
    plain, streamed = calls
    check("a plain call is synced at its begin and before its last byte", lambda: in_order(plain, PLAIN_ORDER))
    check("a streamed call is synced at its begin and before [DONE]", lambda: in_order(streamed, STREAM_ORDER))
    end()


def require_ptrace():
    try:
        done = subprocess.run(["strace", "-D", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit("strace is not installed")
    if done.returncode != 0 or done.stderr:
        sys.exit(f"strace cannot trace a process: {done.stderr.strip()}\nAllow ptrace (docker: --cap-add SYS_PTRACE).")


def mint(file):
    command = [PROGRAM, "keys", "new", file, "--name", "app", "--unlimited"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout.strip()


class HeldHandler(model_api.Handler):
    """Sends the rest of a stream when the client has received its first event."""

    is_first_received = threading.Event()

    def send_chunk(self, data):
        super().send_chunk(data)
        if not self.is_first_received.wait(DEADLINE):
            raise RuntimeError("the client has not received the first event")


def plain_call(url, key):
    return json.loads(post(url, key, stream=False).read())


def streamed_call(url, key):
    """Returns the lines of the stream that are not empty."""
    response = post(url, key, stream=True)
    lines = [response.readline().decode()]
    HeldHandler.is_first_received.set()
    lines += response.read().decode().splitlines(keepends=True)
    return [line for line in lines if line.strip()]


def post(url, key, stream):
    """Sends a call, which must succeed."""
    response = send(url, key, stream)
    equal(response.status, 200, "status")
    return response


def send(url, key, stream):
    """Sends a call on a connection of its own."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE)
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection.getresponse()


def read_trace(path):
    """Returns the lines of a trace whose program has ended. strace writes the last ones after the end of the program."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        lines = path.read_text().splitlines()
        if lines and lines[-1].endswith("+++ exited with 0 +++"):
            return lines
        time.sleep(0.05)
    raise RuntimeError(f"the trace has no end: {lines[-3:]}")


def split_calls(lines, ledger, upstream_port):
    """Returns the events of each accepted connection as pairs of their letter and text."""
    calls, syncing, client_port = [], {}, None
    for line in lines:
        process, call = line.split(maxsplit=1)
        if accepted := ACCEPTED.search(call):
            client_port = accepted[2]
            calls.append([("A", "")])
        elif begun := SYNC_BEGIN.match(call):
            syncing[process] = "S" if begun[1] in (str(ledger), f"{ledger}-wal") else "O"
            if begun[2].endswith("= 0") and calls:
                calls[-1].append((syncing[process], ""))
        elif SYNC_END.match(call) and calls:
            calls[-1].append((syncing[process], ""))
        elif (write := WRITE.match(call)) and calls and str(upstream_port) == write[2]:
            calls[-1].append(("U", write[3]))
        elif write and calls and write[2] == client_port:
            calls[-1].append(("C", write[3]))
    return calls


def in_order(events, expected):
    """Checks the order of the events of a call up to its last write. Syncs after it belong to the end of the program."""
    letters = [letter for letter, _ in events]
    while letters[-1] in "SO":
        letters.pop()
    done = [index for index, (letter, text) in enumerate(events) if letter == "C" and "[DONE]" in text]
    letters[done[0] if done else -1] = "E"
    order = "".join(letters)
    if not expected.fullmatch(order):
        raise AssertionError(f"the order is {order}, not {expected.pattern}")
    return order


if __name__ == "__main__":
    main()
