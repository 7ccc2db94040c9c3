"""Bound the memory and the number of processes of a whole sandbox, where control groups are writable.

Both versions of the kernel's interface are tried. Where neither is writable (a laptop without delegation, some clusters)
the limits of each process and of the number of processes still hold; :attr:`Group.kind` says which it was.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from autograder.grade.limits import Limits

BASE = Path("/sys/fs/cgroup")


class Group:
    """One control group (two folders in version 1). Use `make`."""

    def __init__(self, kind: str, folders: list[Path]) -> None:
        self.kind = kind
        self.folders = folders
        self.kills = self._kills()

    @classmethod
    def make(cls, limits: Limits) -> Group:
        """Make a group with the limits, or an empty one where that is not allowed."""
        name = f"course-grade-{os.getpid()}-{time.monotonic_ns()}"
        processes = 3 * limits.processes
        two = own_group("")
        attempts: list[tuple[str, dict[Path, dict[str, int]]]] = []
        if (BASE / "memory").is_dir() and (BASE / "pids").is_dir():
            memory = {"memory.limit_in_bytes": limits.group_memory}
            attempts.append(("v1", {BASE / "memory" / name: memory, BASE / "pids" / name: {"pids.max": processes}}))
        if (BASE / "cgroup.controllers").is_file():
            settings = {"memory.max": limits.group_memory, "pids.max": processes, "memory.swap.max": 0}
            attempts += [("v2", {parent / name: settings}) for parent in (BASE, BASE / two.lstrip("/"))]
        for kind, wanted in attempts:
            made: list[Path] = []
            try:
                for folder, settings in wanted.items():
                    folder.mkdir()
                    made.append(folder)
                    for file, value in settings.items():
                        if (folder / file).exists() or file != "memory.swap.max":
                            (folder / file).write_text(str(value))
                return cls(kind, made)
            except OSError:
                for folder in made:
                    folder.rmdir()
        return cls("none", [])

    def wrap(self, line: list[str]) -> list[str]:
        """A command line that enters the group and then becomes `line`."""
        if not self.folders:
            return line
        enter = "".join(f'echo $$ > "{folder}/cgroup.procs" && ' for folder in self.folders)
        return ["/bin/sh", "-c", f'{enter}exec "$@"', "sh", *line]

    def _kills(self) -> int:
        for file in ("memory.oom_control", "memory.events"):
            for folder in self.folders:
                if (folder / file).is_file():
                    for line in (folder / file).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def new_kills(self) -> bool:
        """Whether the kernel has killed a process of the group for want of memory since the last question."""
        before, self.kills = self.kills, self._kills()
        return self.kills > before

    def peak(self) -> int | None:
        """The most bytes the group has used at one time."""
        for file in ("memory.max_usage_in_bytes", "memory.peak"):
            for folder in self.folders:
                if (folder / file).is_file():
                    return int((folder / file).read_text())
        return None

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


def own_group(controller: str) -> str:
    """The path of this process's group for a controller of version 1, or with "" of version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or controllers == controller:
            return path
    return "/"
