#!/usr/bin/env python3
"""Checks the files of examples/proxy/deploy: python3 examples/proxy/tests/deploy/run.py

Builds the static program with the command of the Dockerfile, and the image from it. Validates the manifests and the unit.
Then runs each command line of them in containers, with a name server and an HTTPS server in place of the providers.

Requires root, buildah, openssl, iproute2, binutils, systemd, and the packages in requirements.txt.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# No files are written into the source tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients"))

import image
import manifests
import unit
from paths import DOCKERFILE, DROP_IN, MANIFESTS, PROGRAM, ROOT, image_root
from tally import check, end, equal

HERE = Path(__file__).resolve().parent
# The exposure that `systemd-analyze security` may find, in tenths. A unit without hardening has 9.6.
MAX_EXPOSURE = 20


def main():
    program = image.build_program()
    with tempfile.TemporaryDirectory(prefix="deploy-") as name:
        folder = Path(name)
        config = image.build_image(program, folder)
        (folder / "config.json").write_text(json.dumps(config))
        check_image(program, config, folder)
        for path in MANIFESTS:
            check(f"{path.name} is valid", lambda: manifests.validate(path) and None)
        check("a manifest with an unknown member is not valid", lambda: reject_unknown_member(folder))
        check_unit(program, folder)
        run_commands(folder)
    end()


def check_image(program, config, folder):
    check("the program needs no shared library", lambda: equal(image.libraries_of(program), []))
    check("the image contains one file", lambda: equal(image.files_of(image_root(folder)), [f"usr/local/bin/{PROGRAM}"]))
    check("the user of the image is a number", lambda: equal(config["User"], "65532:65532"))
    check("the Dockerfile has the oldest Rust that is supported", lambda: equal(rust_of_dockerfile(), rust_of_workspace()))
    check("the profile of the Dockerfile exists", expect_profile)


def rust_of_dockerfile():
    return re.search(r"^ARG RUST_IMAGE=rust:([\d.]+)", DOCKERFILE.read_text(), re.MULTILINE)[1]


def rust_of_workspace():
    return re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def expect_profile():
    profile = re.search(r"^ARG PROFILE=(\w+)$", DOCKERFILE.read_text(), re.MULTILINE)[1]
    is_known = profile == "release" or f"[profile.{profile}]" in (ROOT / "Cargo.toml").read_text().splitlines()
    equal(is_known, True, f"{profile} exists:")
    return profile


def reject_unknown_member(folder):
    damaged = folder / "damaged.yaml"
    damaged.write_text(MANIFESTS[0].read_text().replace("replicas: 2", "replicas: 2\n  replicsa: 2", 1))
    try:
        manifests.validate(damaged)
    except ValueError as error:
        equal("replicsa" in str(error), True, str(error))
        return
    raise AssertionError("it is valid")


def check_unit(program, folder):
    check("the unit is valid", lambda: equal(unit.verify(program, folder), ""))
    check("the unit with its drop-in is valid", lambda: equal(unit.verify(program, folder, DROP_IN), ""))
    limit = f"--threshold={MAX_EXPOSURE}"
    check("the unit is hardened", lambda: equal(unit.exposure(folder, limit), 0, "exit code"))
    check("a unit with an unknown setting has a message", lambda: expect_unknown_setting(program, folder))
    check("a unit without hardening is above the limit", lambda: expect_exposed(program, folder, limit))


def expect_unknown_setting(program, folder):
    output = unit.verify(program, folder, DROP_IN, added="ProtectSystme=yes")
    equal("Unknown key" in output and "ProtectSystme" in output, True, output)


def expect_exposed(program, folder, limit):
    unit.verify(program, folder, added="SystemCallFilter=\nProtectSystem=no\nCapabilityBoundingSet=~")
    equal(unit.exposure(folder, limit) != 0, True, "above the limit:")


def run_commands(folder):
    isolated = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run([*isolated, sys.executable, HERE / "commands.py", folder])
    check("each command line works", lambda: equal(done.returncode, 0, "exit code"))


if __name__ == "__main__":
    main()
