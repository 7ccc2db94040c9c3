"""A child without namespaces, for a root that may not make them: walls of users and file modes, and nothing outlives a run.

The child runs as a user that nobody else is, with the same limits and seccomp filter as in the sandbox. Its keeper stays root:
it counts what the user takes, and at the end it kills every process of the user's and removes every file.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import confine, counting, server

SMALLEST = 4096  # bytes that a file takes at least
PATIENCE = 10.0  # seconds in which what was killed must be gone
TOO_LARGE = int(signal.SIGXFSZ)  # how a child ends that has written too much
PR_SET_CHILD_SUBREAPER = 36


class NotEvictedError(RuntimeError):
    """Processes of the user's could not be ended."""


@dataclass(frozen=True)
class Account:
    """A user whom nobody else is.

    Attributes:
        uid: the user's number, and the group's.
        spare: another unused number, of whoever ends the user's processes.
        home: the one folder that is the user's.
        places: the folders that anybody may write to.
    """

    uid: int
    spare: int
    home: str
    places: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------------- confining


def lock_down(account: Account, limits: Mapping[str, int], rules: Any) -> None:
    """Confine a child of root's; what is called after this is a student's.

    Raises:
        OSError: a step failed; the caller must exit.
    """
    os.setsid()
    confine.first_to_be_killed()
    confine.set_limits(limits)
    os.chdir(account.home)
    os.environ["TMPDIR"] = tempfile.tempdir = account.home
    become(account.uid)
    confine.end_with_parent()  # only now: a change of user would undo it
    confine.drop_capabilities()
    if rules is not None:
        rules.load()


def become(uid: int) -> None:
    """Be this user and nobody else, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def filter_if_possible() -> Any:
    """The seccomp filter; None where there is no libseccomp."""
    try:
        return confine.build_filter()
    except OSError:
        return None


def try_out(account: Account, private: Sequence[str], rules: Any) -> str:
    """Confine a child that looks at what it may read: what is wrong, or nothing.

    Args:
        account: whose walls are tried.
        private: what the user must not be able to read.
        rules: the seccomp filter.
    """
    import torch

    limits = {"memory": 1 << 30, "cpu_seconds": 60, "file_size": 1 << 20, "open_files": 64, "processes": 8}
    needed = [os.__file__, torch.__file__, __file__]
    inbox, outbox = os.pipe()
    make_home(account)
    pid = os.fork()
    if pid == 0:
        try:
            lock_down(account, limits, rules)
            shut = [path for path in needed if not os.access(path, os.R_OK)]
            seen = [path for path in private if os.access(path, os.R_OK) or os.access(path, os.X_OK)]
            said = f"other users may not read {shut[0]}" if shut else f"other users may read {seen[0]}" if seen else ""
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(outbox, said.encode()[:4000])
        os._exit(0)
    os.close(outbox)
    with os.fdopen(inbox, "rb") as file:
        said = file.read().decode(errors="replace")
    os.waitpid(pid, 0)
    evict(account)
    return said


def make_home(account: Account) -> None:
    """Make the user's folder."""
    os.mkdir(account.home, 0o700)  # noqa: PTH102
    os.chown(account.home, account.uid, account.uid)


# --------------------------------------------------------------------------------------------------------------- keeping


def keep(
    account: Account, connection: socket.socket, limits: Mapping[str, int], rules: Any, leash: int, outbox: int
) -> None:
    """Run as the keeper: start the child, wait for its end or for the leash to be let go, and clear up after it."""
    os.setsid()
    confine.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a daemon's parent is this process, which reaps it
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    make_home(account)
    pid, failure = server.start_child(connection, lambda: lock_down(account, limits, rules))
    disk = Disk(account, limits["disk"])
    most = limits["together"]

    def exceeds() -> bool:
        return disk.exceeded() or (most > 0 and counting.exceeds(proc, list(processes_of(account.uid)), most))

    report = server.watch(pid, leash, exceeds, True)
    if disk.over:
        report = {"signal": TOO_LARGE, "starved": False}
    evict(account)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    server.tell(outbox, report, failure)


class Disk:
    """What the user has written, looked at now and then: at most a twentieth of the time goes into it."""

    def __init__(self, account: Account, most: int) -> None:
        self.account = account
        self.most = most
        self.over = False
        self.next = 0.0

    def exceeded(self) -> bool:
        """Whether it is more than allowed."""
        began = time.monotonic()
        if began >= self.next:
            self.over = sum(self.sizes()) > self.most
            took = time.monotonic() - began
            self.next = began + max(0.1, 20 * took)
        return self.over

    def sizes(self) -> Iterator[int]:
        """The bytes of each file and folder of the user's, in its home and wherever anybody may write."""
        uid = self.account.uid
        waiting = [self.account.home, *self.account.places]
        while waiting:
            with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        found = entry.stat(follow_symlinks=False)
                        if found.st_uid == uid:
                            yield max(found.st_blocks * 512, SMALLEST)
                        if stat.S_ISDIR(found.st_mode) and (found.st_uid == uid or found.st_mode & stat.S_IWOTH):
                            waiting.append(entry.path)


# -------------------------------------------------------------------------------------------------------------- evicting


def processes_of(uid: int) -> Iterator[str]:
    """The numbers of all processes that are this user by any of their ids, but for dead ones that wait for their parent."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - the names are what is wanted
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
                lines = dict(line.split(":", 1) for line in file if line.startswith(("Uid:", "State:")))
                if str(uid) in lines.get("Uid", "").split() and lines["State"].strip()[0] not in "ZX":
                    yield name


def evict(account: Account) -> None:
    """End every process of the user's, and remove every file of its where anybody may write.

    Raises:
        NotEvictedError: a process would not end.
    """
    end_processes(account)
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if places := [place for place in account.places if os.path.isdir(place)]:  # noqa: PTH112
        his = ["-xdev", "-uid", str(account.uid), "-prune", "-exec", "rm", "-rf", "--", "{}", "+"]
        subprocess.run(["find", *places, *his], **quiet)
    subprocess.run(["rm", "-rf", "--", account.home], **quiet)


def end_processes(account: Account) -> None:
    """End every process of the user's.

    Raises:
        NotEvictedError: one would not end.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        _kill_all(account)
        if next(processes_of(account.uid), None) is None:
            break
        if time.monotonic() > deadline:
            raise NotEvictedError(f"processes of user {account.uid} could not be ended")
        time.sleep(0.01)


def _kill_all(account: Account) -> None:
    """Kill the user's processes at once: the kernel lets none fork while it goes through them.

    The signal comes from a process that is the user only as a sender: were it the user altogether, it could be killed first.
    """
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(account.spare, account.uid, account.spare)
            os.kill(-1, signal.SIGKILL)
        finally:  # there may be nobody to kill
            os._exit(0)
    os.waitpid(pid, 0)


def main() -> None:
    """Warm up as root, try the walls, and serve. Besides the server's, the arguments are the account and what is private."""
    told = json.loads(sys.argv[5])
    account = Account(**{**told["account"], "places": tuple(told["account"]["places"])})

    def rules_that_hold() -> Any:
        rules = filter_if_possible()
        if wrong := try_out(account, told["private"], rules):
            raise confine.ConfinementError(wrong)
        return rules

    made: Callable[..., None] = functools.partial(keep, account)
    server.main(made, rules_that_hold)
