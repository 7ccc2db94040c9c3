"""Count the memory of everything a submission runs, for where no control group bounds it.

The keeper counts, from the process numbers of the sandbox's own namespace: whatever is there and is not the sandbox's is
the student's, however it is named and whoever its parent is. What cannot be seen in these figures (memory files, System V
segments, shared mappings without a file) the seccomp filter refuses; what is written to `/tmp` and `/dev/shm` has its own
bounds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection

TICK = 0.02  # seconds between two looks: a process can fill some 50 MB in that time
PATIENCE = 2.0  # seconds of processor time for one exact count; what takes longer was made to take longer
OWN = ("RssAnon", "RssShmem", "VmSwap", "VmPTE", "HugetlbPages")  # of /proc/PID/status
SHARED_OUT = ("Pss_Anon", "Pss_Shmem", "SwapPss")  # of smaps_rollup: each page divided by those who map it


def all_but(proc: int, trusted: Collection[int]) -> list[str]:
    """The processes of a `/proc` that lists the sandbox's and no others, but for the trusted ones."""
    return [name for name in os.listdir(proc) if name.isdigit() and int(name) not in trusted]


def exceeds(proc: int, processes: Collection[str], most: int) -> bool:
    """Whether processes take more than `most` bytes together.

    Pages that forks share count for each of them at first; only if that is too much are they counted exactly.

    Args:
        proc: a descriptor of `/proc`.
        processes: the student's.
        most: bytes.
    """
    sizes = {name: _at_most(proc, name) for name in processes}
    if sum(sizes.values()) <= most:
        return False
    began, total = time.process_time(), 0
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        total += _exactly(proc, name)
        if total > most or time.process_time() - began > PATIENCE:
            return True
    return False


def _at_most(proc: int, name: str) -> int:
    return sum(_figures(proc, f"{name}/status", OWN).values())


def _exactly(proc: int, name: str) -> int:
    own = _figures(proc, f"{name}/status", OWN)
    shared_out = _figures(proc, f"{name}/smaps_rollup", SHARED_OUT)
    if not {"Pss_Anon", "Pss_Shmem"} <= shared_out.keys():  # it made itself unreadable: all it maps is its own
        return sum(own.values())
    return sum(shared_out.values()) + own.get("VmPTE", 0) + own.get("HugetlbPages", 0)


def _figures(proc: int, path: str, names: Collection[str]) -> dict[str, int]:
    """Some of the figures in a file below `/proc`, in bytes; none if the process is gone or may not be looked at."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), encoding="utf-8") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return {}
    return {name: int(text.split()[0]) << 10 for name, _, text in lines if name in names}
