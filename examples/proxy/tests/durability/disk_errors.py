#!/usr/bin/env python3
"""The service with proxy keys on a disk that fails: python3 disk_errors.py PROGRAM

strace lets the writes or syncs of the running program fail. Each new call must be refused before a request reaches the
upstream, and an open stream must end. After the fault, all calls are in the ledger with their exact charges. If the program
is killed during a fault, the calls that were settled before are in the ledger, and the open call is an estimate.

Requires strace and the right to trace a process (ptrace).
"""

import json
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time

from run import DEADLINE, PROGRAM, mint, plain_call, post, require_ptrace, send

import model_api
from proxy import Proxy
from tally import check, end, equal

FAULTS = [("fsync,fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC")]

# The tokens of a call in `model_api`, and 0 because the charge is exact.
EXACT = (model_api.USAGE["total_tokens"], 0)


def main():
    require_ptrace()
    with tempfile.TemporaryDirectory() as name, model_api.ModelApi() as api:
        api.server.RequestHandlerClass = Upstream
        service = Service(pathlib.Path(name).resolve(), api.url)
        with service.start() as proxy:
            for calls, error in FAULTS:
                check(f"{error} of {calls}: calls are refused, and succeed later", lambda: fail(service, proxy, calls, error))
        check("SIGTERM ends the service with exit code 0", lambda: equal(proxy.exit_code, 0))
        # For each fault a stream and the call after it.
        settled = [EXACT] * 2 * len(FAULTS)
        check("each call is in the ledger with its charge", lambda: equal(service.rows(), settled))
        check("a kill during EIO loses no settled call", lambda: kill_during_fault(service, settled))
    end()


class Upstream(model_api.Handler):
    """Counts the calls, and sends the rest of a stream when `released` is set."""

    call_count = 0
    released = threading.Event()

    def do_POST(self):
        Upstream.call_count += 1
        super().do_POST()

    def send_chunk(self, data):
        super().send_chunk(data)
        if not self.released.wait(DEADLINE):
            raise RuntimeError("the rest of the stream was not released")


class Service:
    """The files of the service."""

    def __init__(self, folder, upstream):
        self.ledger = folder / "ledger.sqlite"
        self.key = mint(folder / "keys.json")
        files = ["--keys", folder / "keys.json", "--ledger", self.ledger]
        self.command = [PROGRAM, "--port", "0", "--openai-base-url", upstream, *files]

    def start(self):
        return Proxy(self.command, variables={"OPENAI_API_KEY": model_api.REAL_KEY})

    def rows(self):
        """Returns the tokens of each settled call, and 1 if they are an estimate."""
        with sqlite3.connect(self.ledger) as ledger:
            equal(ledger.execute("SELECT count(*) FROM reservations").fetchone(), (0,), "open calls")
            return ledger.execute("SELECT tokens, estimated FROM usage ORDER BY id").fetchall()

    def open_stream(self, url):
        """Starts a streamed call, and returns the response behind its first event."""
        Upstream.released.clear()
        stream = post(url, self.key, stream=True)
        equal(stream.readline()[:6], b"data: ")
        return stream


class Fault:
    """`with Fault(process, calls, error):` lets these system calls of the process fail."""

    def __init__(self, process, calls, error):
        self.process = process
        rules = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
        self.command = ["strace", "-f", "-q", "-o", "/dev/null", *rules, "-p", str(process.pid)]

    def __enter__(self):
        self.strace = subprocess.Popen(self.command)
        until = time.monotonic() + DEADLINE
        while not self.is_attached():
            if self.strace.poll() is not None or time.monotonic() > until:
                self.strace.kill()
                raise RuntimeError("strace cannot attach to the program")
            time.sleep(0.01)
        return self

    def is_attached(self):
        """True if strace traces all threads of the process."""
        threads = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return all("TracerPid:\t0\n" not in (thread / "status").read_text() for thread in threads)

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(DEADLINE)


def fail(service, proxy, calls, error):
    """Lets system calls fail while a stream is open, and checks new calls during the fault and after it."""
    stream = service.open_stream(proxy.url)
    with Fault(proxy.process, calls, error):
        check_refusal(service, proxy)
        finish(stream)
        # The settlement of the stream is not written, so no call is admitted.
        check_refusal(service, proxy)
    equal(plain_call(proxy.url, service.key)["usage"], model_api.USAGE)


def check_refusal(service, proxy):
    """Sends a call, which must be refused without a request to the upstream."""
    count_before = Upstream.call_count
    response = send(proxy.url, service.key, stream=False)
    error = json.loads(response.read())["error"]
    equal((response.status, error["code"], response.headers["retry-after"]), (503, "ledger_unavailable", "1"))
    equal(Upstream.call_count, count_before, "calls of the upstream")


def finish(stream):
    """Reads the rest of a stream, which must be whole."""
    Upstream.released.set()
    equal(stream.read().split(b"\n\n")[-2:], [b"data: [DONE]", b""])


def kill_during_fault(service, settled):
    """Kills the program while the settlement of a call cannot be written, and opens the ledger again."""
    with service.start() as proxy:
        stream = service.open_stream(proxy.url)
        # After a failed sync, the settlement could be in the log nevertheless.
        with Fault(proxy.process, "pwrite64", "EIO"):
            finish(stream)
            check_refusal(service, proxy)
            proxy.process.kill()
            proxy.process.wait(DEADLINE)
    with service.start():
        pass
    rows = service.rows()
    equal(rows[:-1], settled)
    equal(rows[-1][1], 1, "mark of an estimate")


if __name__ == "__main__":
    main()
