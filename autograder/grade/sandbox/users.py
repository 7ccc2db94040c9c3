"""Walls without namespaces, for a root to whom the kernel gives none: the code runs as a user that nobody else is.

What that user may not read has to be closed to it by the modes of files. This is tried out before anything is graded; where
it does not hold, `NoSandboxError` is raised.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from autograder.grade.limits import Limits
from autograder.grade.result import Protection
from helpers.parts import ROOT

from .inside import other_user
from .inside.other_user import Account
from .parent import ENVIRONMENT, NoSandboxError, WarmParent

SMALL, LARGE = (20_000, 60_000), (1_000_000_000, 2_000_000_000)  # where to look for a number that no user has
REAL = ("tmpfs", "ext4", "xfs", "btrfs", "overlay", "zfs")  # kinds of file systems that keep what is written to them
DEPTH = "3"  # folders below a file system's root in which one may be that anybody may write to
START = "import sys; sys.path[:] = [{course!r}, *filter(None, sys.path)]; from inside.other_user import main; main()"


def spare_ids() -> tuple[int, int]:
    """Two user numbers that nobody has, drawn anew each time: other containers on the machine share the kernel's counts."""
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    low, high = LARGE if any(start <= LARGE[0] and start + count > LARGE[1] for start, _, count in ranges) else SMALL
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    while True:
        wanted = low + secrets.randbelow(high - low - 1)
        if not {wanted, wanted + 1} & taken:
            return wanted, wanted + 1


def writable_places() -> tuple[str, ...]:
    """The folders that anybody may write to."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1:4] for line in file]
    roots = [place for place, kind, options in mounts if kind in REAL and "rw" in options.split(",")]
    wanted = ["-xdev", "-maxdepth", DEPTH, "-type", "d", "-perm", "-0002", "-print0"]
    found = subprocess.run(["find", *dict.fromkeys(["/", *roots]), *wanted], capture_output=True)
    return tuple(sorted({os.fsdecode(name) for name in found.stdout.split(b"\0") if name}))


def new_account(home: Path) -> Account:
    """A user for what is not trusted.

    Args:
        home: the folder that will be the user's; it is made and removed by whoever starts the user's processes.
    """
    return Account(*spare_ids(), str(home), writable_places())


class OtherUser(WarmParent):
    """A warm parent that stays root, and whose children are a user without rights."""

    def __init__(
        self, limits: Limits | None, private: Iterable[Path], *, models: bool = True, patience: float = 900
    ) -> None:
        """Start the parent and wait until it is warm.

        Args:
            limits: what a submission may use.
            private: what the user must not be able to read; it is tried out.
            models: load the embedded models before the first fork.
            patience: seconds to wait for the parent.

        Raises:
            NoSandboxError: this is not root, or the walls do not hold.
        """
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            raise NoSandboxError("Only Linux's root can run code as another user.")
        super().__init__(limits)
        scratch = Path(self.scratch.name)
        scratch.chmod(0o711)
        self.account = new_account(scratch / "home")
        course = scratch / "course"
        for name, source in (("inside", Path(other_user.__file__).parent), ("helpers", ROOT / "helpers")):
            shutil.copytree(source, course / name, ignore=shutil.ignore_patterns("__pycache__", "recipes"))
        for path in [course, *course.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        told = {"account": dataclasses.asdict(self.account), "private": [str(path) for path in private]}
        environment = [f"{name}={value}" for name, value in (ENVIRONMENT | {"HOME": str(scratch)}).items()]
        line = ["env", "-i", *environment, sys.executable, "-s", "-c", START.format(course=str(course))]
        line += [str(self.theirs.fileno()), "0", "0", str(int(models)), json.dumps(told)]
        self._start(line, patience, Protection(sandboxed=False, users=True), cwd="/")

    def close(self) -> None:
        """End the parent and everything of the user's."""
        try:
            other_user.evict(self.account)
        finally:
            super().close()
