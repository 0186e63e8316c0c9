"""The systemd unit: its verification by systemd, and the command that it runs."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from paths import PROGRAM, UNIT

# The directories of the specifiers %d and %S.
CREDENTIALS = f"/run/credentials/{UNIT.name}"
STATE = "/var/lib"


class Service:
    """The section [Service] of a unit and its drop-ins."""

    def __init__(self, *paths):
        self.settings = {}
        for path in paths:
            self._add(path)

    def _add(self, path):
        section = None
        for line in path.read_text().splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and not line.startswith("#"):
                name, _, value = line.partition("=")
                # An empty value removes the values before it.
                self.settings[name] = [*self.settings.get(name, []), value] if value else []

    def values(self, name):
        """The values of a setting, with the specifiers replaced."""
        return [value.replace("%d", CREDENTIALS).replace("%S", STATE) for value in self.settings.get(name, [])]

    def command(self):
        (command,) = self.values("ExecStart")
        return shlex.split(command)

    def environment(self):
        return dict(value.split("=", 1) for value in self.values("Environment"))

    def credentials(self):
        """The path of each credential's source by its name."""
        return dict(value.split(":", 1) for value in self.values("LoadCredential"))


def verify(program, folder, *drop_ins, added=""):
    """Verifies a copy of the unit with drop-ins, to which a line may be added, and returns the messages. systemd sees the
    program at its path."""
    copy = Path(folder) / "units"
    shutil.rmtree(copy, ignore_errors=True)
    drop_in_folder = copy / f"{UNIT.name}.d"
    drop_in_folder.mkdir(parents=True)
    (copy / UNIT.name).write_text(UNIT.read_text().replace("[Install]", f"{added}\n[Install]"))
    for drop_in in drop_ins:
        shutil.copy(drop_in, drop_in_folder)
    # systemd reports unknown settings, but its exit code is 0.
    script = f'mount --bind "$1" /usr/local/bin && exec systemd-analyze verify "$2/{UNIT.name}"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", program.parent, copy]
    variables = os.environ | {"SYSTEMD_UNIT_PATH": f"{copy}:"}
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout + (f"exit code {done.returncode}" if done.returncode else "")


def exposure(folder, *arguments):
    """Rates the hardening of the copy of the last `verify`, and returns the exit code."""
    command = ["systemd-analyze", "security", "--offline=yes", *arguments, Path(folder) / "units" / UNIT.name]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
