#!/usr/bin/env python3
"""Runs published clients against the proxy and its demo API: python3 examples/proxy/tests/clients/run.py

Needs python3, node, npm and curl. The SDKs are installed under target/clients, in the versions pinned in this folder.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys

# No files are written into the source tree.
sys.dont_write_bytecode = True

from proxy import ROOT, TARGET, Proxy, environment

HERE = ROOT / "examples/proxy/tests/clients"
INSTALLED = TARGET / "clients"
DEMO = "cargo run -p api-key-name-proxy -- --demo"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--demo", default=DEMO, help="command that starts the demo; --port 0 is added (%(default)s)")
    demo = shlex.split(options.parse_args().demo) + ["--port", "0"]

    python, node = install_python(), install_node()
    tally = Tally()
    # The first start may include a build.
    with Proxy(demo, deadline=1200) as proxy:
        addresses = [proxy.url, proxy.upstream()]
        tally.run("python", [python, HERE / "sdk.py", *addresses])
        tally.run("anthropic", [python, HERE / "anthropic_sdk.py", *addresses])
        tally.run("node", ["node", "sdk.mjs", *addresses], cwd=node)
        tally.run("curl", [sys.executable, HERE / "curl.py", *addresses])
    tally.one("demo", "SIGTERM ends it with exit code 0", proxy.exit_code == 0, f"exit code {proxy.exit_code}")
    filled = re.search(r"^ +\d+ keys, [1-9]\d* new names$", proxy.output(), re.MULTILINE)
    tally.one("demo", "the names are read from the demo API's lists", filled, proxy.output())
    tally.one("demo", "no key is printed", "sk-admin-of-a-client" not in proxy.output(), proxy.output())

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
    # The script is copied there, because node searches for packages in the folders above the importing file.
    folder = INSTALLED / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "sdk.mjs"):
        shutil.copy(HERE / name, folder)
    # --silent: the SDK requires a newer node than these calls need, and npm would warn.
    call(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder)
    return folder


def call(command, cwd=ROOT):
    subprocess.run(list(map(str, command)), cwd=cwd, stdin=subprocess.DEVNULL, check=True)


class Tally:
    passed = 0
    failed = 0

    def run(self, client, command, cwd=ROOT):
        """Runs one client. Each line that begins with `ok` or `FAIL` is a check."""
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
                print(f"{client:10}{line}", end="", flush=True)
        passed, failed = verdicts.count("ok"), verdicts.count("FAIL")
        self.passed += passed
        self.failed += failed
        # A client that crashes is visible in the exit code only.
        completed = passed > 0 and process.returncode == (1 if failed else 0)
        self.one(client, "ran to its end", completed, f"exit code {process.returncode} after {passed + failed} checks")

    def one(self, client, name, good, details):
        self.passed += bool(good)
        self.failed += not good
        print(f"{client:10}ok   {name}" if good else f"{client:10}FAIL {name}: {details}", flush=True)


if __name__ == "__main__":
    main()
