"""The files that are checked, and the folder for what is built from them."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
DEPLOY = ROOT / "examples/proxy/deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNIT = DEPLOY / "systemd/api-key-name-proxy.service"
DROP_IN = DEPLOY / "systemd/proxy-keys.conf"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "deploy"
PROGRAM = "api-key-name-proxy"


def image_root(folder):
    """The file system of the image, as a folder."""
    return folder / "root"
