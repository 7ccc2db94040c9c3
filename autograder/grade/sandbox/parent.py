"""The judge's side of a warm parent: start it, get a fresh child a submission, kill it. `bubblewrap` and `users` say in
which walls it runs.

Fails closed: where the walls cannot be had, `NoSandboxError` is raised and nothing is graded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, TypeVar

import psutil

from autograder.grade.limits import Limits
from autograder.grade.result import Protection

from .cgroups import PREFIX, Group, forget_the_dead

Made = TypeVar("Made", bound="WarmParent")

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "USER": "student",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "COURSE_FAST": "1",
}
HOW_TO_INSTALL = (
    "Install bubblewrap: `apt-get install bubblewrap` (Debian, Ubuntu), `dnf install bubblewrap` (Fedora), or ask the "
    "cluster's administrators."
)
HOW_TO_ALLOW = (
    "The system forbids user namespaces to programs. In a container allow them (Docker: --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined, or --cap-add SYS_ADMIN); elsewhere see `sysctl user.max_user_namespaces "
    "kernel.unprivileged_userns_clone`."
)
HOW_TO_PROFILE = (
    "Ubuntu's AppArmor keeps programs without a profile from making user namespaces (since 23.10). Give bubblewrap a "
    "profile, as docs/instructors-grading.md shows, or until the next start: "
    "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0."
)
TRUSTED = "To grade code that you trust without a sandbox, add --trust: every result is then marked as unsandboxed."
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def advice() -> str:
    """What to do where bubblewrap is there and cannot start."""
    try:
        restricted = RESTRICTED.read_text(encoding="utf-8").strip() == "1" and os.geteuid() != 0
    except OSError:  # no such setting: no AppArmor, or an older one
        restricted = False
    return f"{HOW_TO_PROFILE if restricted else HOW_TO_ALLOW} {TRUSTED}"


class NoSandboxError(RuntimeError):
    """The sandbox cannot be had on this machine; nothing may be graded."""


class SandboxBrokenError(RuntimeError):
    """The warm parent died or does not answer: the judge's trouble, not a student's."""


class WarmParent:
    """A process that has imported everything and forks a child when told to. One child lives at a time."""

    def __init__(self, limits: Limits | None) -> None:
        """Prepare what belongs to a parent; `_start` starts it.

        Args:
            limits: what a submission may use.
        """
        self.limits = limits or Limits()
        self.control, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.group = Group.make(self.limits)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the parent
        forget_the_dead(Path(tempfile.gettempdir()), shutil.rmtree)
        self.scratch = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")
        self.busy = False

    def _start(self, line: list[str], patience: float, walls: Protection, **options: Any) -> None:
        """Start the parent and wait until it is warm.

        Args:
            line: the command line.
            patience: seconds to wait for the parent.
            walls: what confines its children.
            options: of `subprocess.Popen`.

        Raises:
            NoSandboxError: the kernel refuses the walls.
        """
        self.process = subprocess.Popen(
            self.group.wrap(line),
            pass_fds=[self.theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
            **options,
        )
        self.theirs.close()
        try:
            ready = self._hear(time.monotonic() + patience)
        except SandboxBrokenError as error:
            self.close()
            raise NoSandboxError(f"The sandbox did not start: {error}. {advice()}") from error
        if "ready" not in ready:
            self.close()
            raise NoSandboxError(f"The sandbox did not start: {ready.get('failed', ready)}")
        self.group.find_events(self.process.pid)
        found = {"seccomp": ready["seccomp"], "cgroup": self.group.kind, "versions": ready["ready"]}
        self.protection = dataclasses.replace(walls, **found)

    def _hear(self, deadline: float) -> dict[str, Any]:
        self.control.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self.control.recv(1 << 16)
        except TimeoutError as error:
            raise SandboxBrokenError("the parent does not answer") from error
        except OSError as error:
            raise SandboxBrokenError(str(error)) from error
        if not data:
            self.errors.seek(0)
            said = self.errors.read()[-2000:].decode(errors="replace").strip()
            raise SandboxBrokenError(said or "the parent in the sandbox ended without a word")
        return json.loads(data)

    def spawn(self) -> socket.socket:
        """Fork a fresh, confined child; return the connection to it.

        Raises:
            SandboxBrokenError: the parent is gone.
        """
        if self.busy:
            raise SandboxBrokenError("a child is still running")
        ours, theirs = socket.socketpair()
        limits = self.limits.for_child() | {"together": 0 if self.group.sure else self.limits.group_memory}
        try:
            socket.send_fds(
                self.control,
                [json.dumps({"do": "spawn", "limits": limits}).encode()],
                [theirs.fileno()],
            )
        except OSError as error:
            ours.close()
            raise SandboxBrokenError(str(error)) from error
        finally:
            theirs.close()
        self.busy = True
        if "spawned" not in self._hear(time.monotonic() + 30):
            raise SandboxBrokenError("the parent did not fork")
        return ours

    def reap(self, connection: socket.socket) -> dict[str, Any]:
        """Kill the child and all it started; return how it ended and what it used."""
        connection.close()
        if not self.busy:
            return {}
        try:
            self.control.send(b'{"do": "kill"}')
        except OSError as error:
            raise SandboxBrokenError(str(error)) from error
        outcome = self._hear(time.monotonic() + 30).get("ended")
        self.busy = False
        if outcome is None or "lost" in outcome:
            raise SandboxBrokenError("the parent lost count of its children")
        if "refused" in outcome:
            raise NoSandboxError(f"The sandbox could not be closed: {outcome['refused']}. {advice()}")
        return outcome | {"out_of_memory": self.group.new_kills() or outcome.get("starved", False)}

    def processor_seconds(self) -> float:
        """The processor time that everything in the sandbox has used so far, as far as it still runs or was waited for."""
        used = 0.0
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    used += sum(process.cpu_times()[:4])
        return used

    @property
    def alive(self) -> bool:
        """Whether the warm parent runs."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the parent and everything in the sandbox."""
        self.control.close()
        try:
            self.process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.errors.close()
        self.group.remove()
        self.scratch.cleanup()

    def __enter__(self: Made) -> Made:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
