"""The static program and the image of the Dockerfile, built without a base image."""

import json
import os
import re
import shutil
import subprocess

from paths import DOCKERFILE, PROGRAM, ROOT, TARGET, image_root


def build_program():
    """Runs the command of the stage `build` on this machine, without optimization, and returns the static program."""
    command = build_command(DOCKERFILE.read_text())
    variables = {
        "CARGO_INSTALL_ROOT": str(TARGET / "program"),
        "CARGO_PROFILE_DEV_DEBUG": "0",
        "CARGO_INCREMENTAL": "0",
        "PROFILE": "dev",
    }
    # Without --force, cargo keeps a program of the same version.
    with_force = command.replace("cargo install", "cargo install --force", 1)
    subprocess.run(["sh", "-e", "-c", with_force], cwd=ROOT, check=True, env=os.environ | variables)
    return TARGET / "program/bin" / PROGRAM


def build_command(dockerfile):
    """The only RUN instruction, in one line."""
    joined = re.sub(r"\\\n\s*", "", dockerfile)
    (command,) = re.findall(r"^RUN (.*)$", joined, re.MULTILINE)
    return command


def build_image(program, folder):
    """Builds the final stage from the program, without network. Returns the configuration of the image, and copies its file
    system to a folder."""
    context = folder / "context"
    context.mkdir()
    shutil.copy(program, context)
    tag = f"localhost/{PROGRAM}:test"
    build = ["build", "--quiet", "--isolation", "chroot", "--pull-never"]
    buildah(folder, *build, "--build-arg", "PROGRAM=prebuilt", "--file", DOCKERFILE, "--tag", tag, context)
    container = buildah(folder, "from", "--pull-never", tag).strip()
    mounted = buildah(folder, "mount", container).strip()
    shutil.copytree(mounted, image_root(folder), symlinks=True)
    inspected = json.loads(buildah(folder, "inspect", "--type", "image", tag))
    buildah(folder, "rm", container)
    return inspected["OCIv1"]["config"]


def buildah(folder, *arguments):
    """Runs buildah with a storage of its own and without network, and returns its standard output."""
    storage = ["--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs"]
    command = list(map(str, ["unshare", "--net", "buildah", *storage, *arguments]))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def files_of(root):
    """The paths of all files of a file system."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def libraries_of(program):
    """The names of the shared libraries and the interpreter that a program requires."""
    done = subprocess.run(["readelf", "--dynamic", "--program-headers", program], capture_output=True, text=True, check=True)
    return re.findall(r"\(NEEDED\).*|Requesting program interpreter.*", done.stdout)
