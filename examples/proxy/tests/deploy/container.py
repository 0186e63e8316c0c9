"""A process with the file system of the image, as a container runtime starts it: read-only, with mounts, as a numeric user."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

DEADLINE = 30
DEVICES = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"]
# `"$@"` is the command. The process has the number 1 in its namespace, as in a container.
START = """
mount --bind {root} {root}
mount -t proc proc {root}/proc
{mounts}
mount -o remount,bind,ro {root}
exec setpriv --no-new-privs chroot --userspec={user}:{user} --groups={groups} {root} "$@"
"""


class Mount:
    """A folder of this machine at a path of the container."""

    def __init__(self, source, path, is_read_only):
        self.source, self.path, self.is_read_only = source, path, is_read_only


class Container:
    """`with Container(…) as container:` starts a command, and ends it with SIGTERM. A path in `files` has its text."""

    exit_code = None

    def __init__(self, image, folder, command, variables, mounts=(), user=65532, group=None, files=None):
        self.root = Path(folder)
        self.command = command
        self.variables = variables
        # The files of the image are shared, because no container can write them.
        shutil.copytree(image, self.root, copy_function=os.link)
        texts = {"/etc/resolv.conf": "nameserver 127.0.0.1\n"} | dict.fromkeys(DEVICES, "")
        for path, text in (texts | (files or {})).items():
            self._inside(path).parent.mkdir(parents=True, exist_ok=True)
            self._inside(path).write_text(text)
        for path in ["/proc", *(mount.path for mount in mounts)]:
            self._inside(path).mkdir(parents=True, exist_ok=True)
        lines = [f"mount --bind {device} {self._inside(device)}" for device in DEVICES]
        for mount in mounts:
            lines.append(f"mount --bind {mount.source} {self._inside(mount.path)}")
            if mount.is_read_only:
                lines.append(f"mount -o remount,bind,ro {self._inside(mount.path)}")
        groups = ",".join(map(str, [user, *([group] if group else [])]))
        self.script = START.format(root=self.root, mounts="\n".join(lines), user=user, groups=groups)

    def _inside(self, path):
        return self.root / path.lstrip("/")

    def __enter__(self):
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-e", "-c", self.script, "sh"]
        self.process = subprocess.Popen(
            [*isolated, *self.command],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} | self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        return self

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.kill(self._child(), signal.SIGTERM)
        self.wait()

    def _child(self):
        """The id of the process in the container, outside of its namespace."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def wait(self):
        """Waits for the end, and returns the exit code."""
        try:
            self.exit_code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.exit_code = f"none within {DEADLINE} s"
        self.reader.join(DEADLINE)
        return self.exit_code

    def output(self):
        return "".join(self.lines)

    def until(self, function):
        """Calls a function until it raises no OSError, and returns its result. Fails if the process ends."""
        last = time.monotonic() + DEADLINE
        while True:
            try:
                return function()
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > last:
                    raise RuntimeError(f"{error}; output: {self.output()}") from error
                time.sleep(0.02)
