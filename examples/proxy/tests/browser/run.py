#!/usr/bin/env python3
"""Tests the page /spend in Chromium: python3 examples/proxy/tests/browser/run.py

Needs python3, node, npm and Chromium (CHROMIUM, default /usr/bin/chromium). The packages are installed under
target/browser, in the versions pinned in this folder. With --screenshot, it only writes the picture for the README.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HERE = ROOT / "examples/proxy/tests/browser"
INSTALLED = TARGET / "browser"
PICTURE = ROOT / "examples/proxy/spend.png"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", help="the program; without it, a debug build is made")
    options.add_argument("--screenshot", action="store_true", help=f"write {PICTURE.relative_to(ROOT)}")
    options = options.parse_args()
    program = Path(options.program).resolve() if options.program else build()
    install()
    script = ["screenshot.mjs", program, PICTURE] if options.screenshot else ["run.mjs", program, INSTALLED]
    sys.exit(subprocess.run(["node", *map(str, script)], cwd=INSTALLED, stdin=subprocess.DEVNULL).returncode)


def build():
    call(["cargo", "build", "--quiet", "-p", "api-key-name-proxy"], ROOT)
    return TARGET / "debug/api-key-name-proxy"


def install():
    # The scripts are copied there, because node searches for packages in the folders above the importing file.
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for file in [*HERE.glob("*.json"), *HERE.glob("*.mjs")]:
        shutil.copy(file, INSTALLED)
    # --silent: a package requires a newer node than its functions that are used here, and npm would warn.
    call(["npm", "ci", "--silent", "--no-audit", "--no-fund"], INSTALLED)


def call(command, folder):
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
