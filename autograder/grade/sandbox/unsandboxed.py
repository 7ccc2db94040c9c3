"""`--trust`: the same children without the sandbox, for code one trusts. Every result is stamped as unsandboxed.

The student's code still runs in a process of its own with limits on time and memory, so an endless loop or a crash does no
harm. It can read the instructor's files and use the network.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from autograder.grade.limits import Limits
from autograder.grade.result import Protection
from helpers.parts import ROOT

from .parent import SandboxBrokenError

START = (
    "import sys; sys.path[:] = [{package!r}, {root!r}, *filter(None, sys.path)]; "
    "from inside.bare import main; main(int(sys.argv[1]))"
)


class Unsandboxed:
    """Looks like `Sandbox` and protects nothing."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.protection = Protection(sandboxed=False)
        self.alive = True
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> socket.socket:
        """Start a fresh process; return the connection to it."""
        ours, theirs = socket.socketpair()
        start = START.format(package=str(Path(__file__).resolve().parent), root=str(ROOT))
        self.folder = tempfile.TemporaryDirectory(prefix="course-grade-")
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, str(theirs.fileno()), json.dumps(self.limits.for_child())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COURSE_FAST": "1", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,
        )
        theirs.close()
        return ours

    def reap(self, connection: socket.socket) -> dict[str, Any]:
        """Kill the process and its group; return how it ended."""
        connection.close()
        process, self.process = self.process, None
        if process is None:
            raise SandboxBrokenError("no process is running")
        deadline = time.monotonic() + 0.2
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, 0, None)
        code = process.returncode if process.returncode is not None else os.waitstatus_to_exitcode(status)
        self.folder.cleanup()
        outcome: dict[str, Any] = {"signal": -code} if code < 0 else {"exit": code}
        if usage is not None:
            outcome |= {"cpu_seconds": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
        return outcome

    def processor_seconds(self) -> float:
        """The processor time that the process has used so far."""
        with contextlib.suppress(psutil.Error):
            if self.process is not None:
                return sum(psutil.Process(self.process.pid).cpu_times()[:4])
        return 0.0

    def close(self) -> None:
        """Nothing to give up."""
        self.alive = False

    def __enter__(self) -> Unsandboxed:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
