"""Starts the proxy as a user does, and learns from what it prints where it listens."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BUILT = TARGET / "release/examples/proxy"


def environment():
    """This one, without what would send a client or the proxy anywhere but to loopback."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_") and not k.lower().endswith("_proxy")}
    return kept | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Proxy:
    """`with Proxy(command) as proxy:`; at the end it is asked to stop."""

    exit_code = None

    def __init__(self, command, deadline=30):
        self.command = list(map(str, command))
        self.deadline = deadline
        self.lines = []
        self.ended = False
        self.news = threading.Condition()

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.url = self.printed(r"listening on (http://127\.0\.0\.1:\d+)")
        except Exception:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.exit_code = self.process.wait(timeout=35)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.exit_code = "none within 35 s"

    def upstream(self):
        """Where the demo's own upstream listens."""
        return self.printed(r"upstream\b.*?(http://127\.0\.0\.1:\d+)")

    def output(self):
        with self.news:
            return "\n".join(self.lines)

    def printed(self, pattern):
        """The first group of `pattern` in the first line that has it, waited for."""
        until = time.monotonic() + self.deadline
        with self.news:
            while True:
                for line in self.lines:
                    found = re.search(pattern, line)
                    if found:
                        return found.group(1)
                left = until - time.monotonic()
                if self.ended or left <= 0:
                    told = "\n".join(self.lines[-40:])
                    raise RuntimeError(f"{' '.join(self.command)} did not print {pattern!r}; it printed:\n{told}")
                self.news.wait(left)

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()
