"""Starts the proxy and reads its address from its output."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def environment():
    """The environment without variables that configure the proxy, the SDKs, or an HTTP proxy."""
    is_kept = lambda name: not name.startswith(("OPENAI_", "ANTHROPIC_")) and not name.lower().endswith("_proxy")
    kept = {name: value for name, value in os.environ.items() if is_kept(name)}
    return kept | {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Proxy:
    """`with Proxy(command) as proxy:` runs the proxy and ends it with SIGTERM. `variables` are added to its environment."""

    exit_code = None

    def __init__(self, command, deadline=30, variables=None):
        self.command = list(map(str, command))
        self.deadline = deadline
        self.variables = variables or {}
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
            env=environment() | self.variables,
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
        """The address of the demo API."""
        return self.printed(r"upstream\b.*?(http://127\.0\.0\.1:\d+)")

    def output(self):
        with self.news:
            return "\n".join(self.lines)

    def printed(self, pattern):
        """Waits for a line that matches, and returns the first group of `pattern`."""
        until = time.monotonic() + self.deadline
        with self.news:
            while True:
                for line in self.lines:
                    found = re.search(pattern, line)
                    if found:
                        return found.group(1)
                left = until - time.monotonic()
                if self.ended or left <= 0:
                    printed = "\n".join(self.lines[-40:])
                    raise RuntimeError(f"{' '.join(self.command)} did not print {pattern!r}; it printed:\n{printed}")
                self.news.wait(left)

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()
