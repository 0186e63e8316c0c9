#!/usr/bin/env python3
"""Runs the published clients against the proxy in front of its embedded upstream: python3 tests/clients/run.py

Needs python3, node, npm and curl; the SDKs are installed under target/clients, at the versions pinned beside this file.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys

# The source tree stays as it was checked out.
sys.dont_write_bytecode = True

from proxy import ROOT, TARGET, Proxy, environment

HERE = ROOT / "tests/clients"
INSTALLED = TARGET / "clients"
DEMO = "cargo run --release --features directory --example proxy -- --demo"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--demo", default=DEMO, help="what starts the demo; --port 0 is added (%(default)s)")
    demo = shlex.split(options.parse_args().demo) + ["--port", "0"]

    python, node = install_python(), install_node()
    tally = Tally()
    # The first start may have to build.
    with Proxy(demo, deadline=1200) as proxy:
        addresses = [proxy.url, proxy.upstream()]
        tally.run("python", [python, HERE / "sdk.py", *addresses])
        tally.run("node", ["node", "sdk.mjs", *addresses], cwd=node)
        tally.run("curl", [sys.executable, HERE / "curl.py", *addresses])
    tally.one("demo", "asked to stop, it ends with exit code 0", proxy.exit_code == 0, f"exit code {proxy.exit_code}")
    filled = re.search(r"^0 names;.*^ +\d+ keys, [1-9]\d* new names$", proxy.output(), re.MULTILINE | re.DOTALL)
    tally.one("demo", "it began with no name and filled its map from its own lists", filled, proxy.output())
    tally.one("demo", "it printed nobody's key", "sk-admin-of-a-client" not in proxy.output(), proxy.output())
    tally.run("sketch", [sys.executable, HERE / "sketch.py"])

    print(f"{tally.passed} passed, {tally.failed} failed", flush=True)
    sys.exit(1 if tally.failed else 0)


def install_python():
    venv = INSTALLED / "python"
    python = venv / "bin/python"
    if not python.exists():
        call([sys.executable, "-m", "venv", venv])
    call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"])
    return python


def install_node():
    # Beside a copy of the script, because node looks for packages upward from the file that imports them.
    folder = INSTALLED / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "sdk.mjs"):
        shutil.copy(HERE / name, folder)
    # The SDK states a newer node than it needs for what is called here; a warning about that is no news.
    call(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder)
    return folder


def call(command, cwd=ROOT):
    subprocess.run(list(map(str, command)), cwd=cwd, stdin=subprocess.DEVNULL, check=True)


class Tally:
    passed = 0
    failed = 0

    def run(self, client, command, cwd=ROOT):
        """Runs one client; each of its lines that begins with a verdict is a check."""
        verdicts = []
        with subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        ) as process:
            for line in process.stdout:
                verdicts.append(line.split(" ", 1)[0])
                print(f"{client:7}{line}", end="", flush=True)
        passed, failed = verdicts.count("ok"), verdicts.count("FAIL")
        self.passed += passed
        self.failed += failed
        # A client that falls over says so by its exit code alone.
        whole = passed > 0 and process.returncode == (1 if failed else 0)
        self.one(client, "ran to its end", whole, f"exit code {process.returncode} after {passed + failed} checks")

    def one(self, client, name, good, why):
        self.passed += bool(good)
        self.failed += not good
        print(f"{client:7}ok   {name}" if good else f"{client:7}FAIL {name}: {why}", flush=True)


if __name__ == "__main__":
    main()
