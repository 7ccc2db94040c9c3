"""Bound the memory and the number of processes of a whole sandbox by the kernel, where it lets this user.

In this order: a scope that the user's systemd makes, a control group of either version that we make ourselves, nothing.
With nothing, and wherever it is not seen that the kernel keeps the limit, the keeper inside the sandbox counts
(`inside/counting.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from autograder.grade.limits import Limits

BASE = Path("/sys/fs/cgroup")
PREFIX = "course-grade-"  # then the number of the process that made it
PATIENCE = 10  # seconds for systemd to answer


def forget_the_dead(parent: Path, remove: Callable[[Path], object]) -> None:
    """Remove the folders that a run left in `parent` when it was killed: those whose process is no more.

    Args:
        parent: where runs make their folders, each with a name of `PREFIX` and the process number.
        remove: what removes one; what it cannot remove stays.
    """
    for folder in parent.glob(f"{PREFIX}*-*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if number.isdigit() and not Path("/proc", number).exists() and folder.lstat().st_uid == os.geteuid():
                remove(folder)


class Group:
    """What bounds one sandbox. Use `make`.

    Attributes:
        kind: `systemd`, `v1`, `v2` or `none`.
        folders: the control groups that were made here (two in version 1).
        sure: whether the kernel has confirmed that it bounds the memory.
    """

    def __init__(self, kind: str, folders: list[Path], prefix: list[str] | None = None, *, sure: bool) -> None:
        self.kind = kind
        self.folders = folders
        self.prefix = prefix or []
        self.sure = sure
        self.watched = list(folders)
        self.kills = self._kills()

    @classmethod
    def make(cls, limits: Limits) -> Group:
        """Make a group with the limits, or an empty one where that is not allowed."""
        processes = 3 * limits.processes
        scope = cls._scope(limits.group_memory, processes)
        if scope is not None:
            return scope
        name = f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
        attempts: list[tuple[str, dict[Path, dict[str, int]]]] = []
        if (BASE / "memory").is_dir() and (BASE / "pids").is_dir():
            memory = {"memory.limit_in_bytes": limits.group_memory}
            attempts.append(("v1", {BASE / "memory" / name: memory, BASE / "pids" / name: {"pids.max": processes}}))
        if (BASE / "cgroup.controllers").is_file():
            settings = {"memory.max": limits.group_memory, "pids.max": processes, "memory.swap.max": 0}
            own = BASE / own_group("").lstrip("/")
            attempts += [("v2", {parent / name: settings}) for parent in (BASE, own)]
        for kind, wanted in attempts:
            made: list[Path] = []
            try:
                for folder, settings in wanted.items():
                    forget_the_dead(folder.parent, Path.rmdir)
                    folder.mkdir()
                    made.append(folder)
                    for file, value in settings.items():
                        if (folder / file).exists() or file != "memory.swap.max":
                            (folder / file).write_text(str(value))
                return cls(kind, made, sure=True)
            except OSError:
                for folder in made:
                    folder.rmdir()
        return cls("none", [], sure=False)

    @classmethod
    def _scope(cls, memory: int, processes: int) -> Group | None:
        """A scope of the user's systemd, after one was tried; None where there is none to be had.

        Systemd takes limits that the kernel then does not keep (where the memory controller was not handed to the user), so
        the trial reads back what the kernel has.
        """
        run = shutil.which("systemd-run")
        if run is None:
            return None
        prefix = [run, "--user", "--scope", "--quiet", "--collect"]
        prefix += ["-p", f"MemoryMax={memory}", "-p", "MemorySwapMax=0", "-p", f"TasksMax={processes}"]
        look = f'cat "{BASE}$(sed -n s/^0:://p /proc/self/cgroup)/memory.max" || true'
        for more in (
            ["-p", "OOMPolicy=continue"],
            [],
        ):  # a killed student is no reason to end the scope; old ones know none
            line = [*prefix, *more, "--"]
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                tried = subprocess.run(
                    [*line, "sh", "-c", look], capture_output=True, encoding="utf-8", errors="replace", timeout=PATIENCE
                )
                if tried.returncode == 0:
                    return cls("systemd", [], line, sure=tried.stdout.strip() == str(memory))
        return None

    def wrap(self, line: list[str]) -> list[str]:
        """A command line that enters the group and then becomes `line`."""
        if not self.folders:
            return [*self.prefix, *line]
        enter = "".join(f'echo $$ > "{folder}/cgroup.procs" && ' for folder in self.folders)
        return ["/bin/sh", "-c", f'{enter}exec "$@"', "sh", *line]

    def find_events(self, pid: int) -> None:
        """Note where the kernel counts the kills in a scope, once a process runs in it."""
        if self.kind == "systemd":
            self.watched = [BASE / own_group("", pid).lstrip("/")]
            self.kills = self._kills()

    def _kills(self) -> int:
        for file in ("memory.oom_control", "memory.events"):
            for folder in self.watched:
                if (folder / file).is_file():
                    for line in (folder / file).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def new_kills(self) -> bool:
        """Whether the kernel has killed a process of the group for want of memory since the last question."""
        before, self.kills = self.kills, self._kills()
        return self.kills > before

    def remove(self) -> None:
        """Remove the group once its processes are gone."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.05)
        self.folders = []


def own_group(controller: str, pid: int | str = "self") -> str:
    """The path of a process's group for a controller of version 1, or with "" of version 2."""
    for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or controllers == controller:
            return path
    return "/"
