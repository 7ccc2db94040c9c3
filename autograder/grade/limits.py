"""How much a submission may use. One set of numbers for the sandbox, the judge and the documentation."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one submission.

    The first three count processor time; on the clock twenty times as much may pass, because the machine may be busy.

    Attributes:
        statement_seconds: for one statement of the notebook that is run for grading.
        call_seconds: for one call of a student's function.
        run_seconds: for one world in which a student's training step is run.
        total_seconds: for the whole submission, on the clock.
        cpu_seconds: processor time of one process, enforced by the kernel.
        memory: bytes of address space of one process on top of the warm parent's.
        group_memory: bytes of all processes of a submission together (in a control group with the warm parent's).
        judge_memory: bytes that the judge's own process may take while it grades a submission, beyond what it has.
        processes: processes and threads at one time.
        open_files: descriptors of one process.
        file_size: bytes of one file.
        disk: bytes of all files together.
        strikes: times a function may run out of time or end its process before its other tests are given up.
    """

    statement_seconds: float = 20
    call_seconds: float = 6
    run_seconds: float = 120
    total_seconds: float = 900
    cpu_seconds: int = 600
    memory: int = 3072 * MEBIBYTE
    group_memory: int = 4096 * MEBIBYTE
    judge_memory: int = 2048 * MEBIBYTE
    processes: int = 48
    open_files: int = 128
    file_size: int = 32 * MEBIBYTE
    disk: int = 64 * MEBIBYTE
    strikes: int = 2

    def for_child(self) -> dict[str, int]:
        """The limits that the kernel enforces inside the sandbox."""
        names = ("memory", "cpu_seconds", "file_size", "open_files", "processes", "disk")
        values = asdict(self)
        return {name: int(values[name]) for name in names}


@contextlib.contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Let this process take at most so many bytes more; beyond it, what asks for them gets a `MemoryError`.

    It bounds the data a process can write (`RLIMIT_DATA`), not its address space, of which torch reserves far more than
    it uses. Only Linux counts it; elsewhere nothing is bounded.

    Args:
        most: bytes beyond what the process has now.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/status", encoding="utf-8") as file:
        (has,) = (int(line.split()[1]) << 10 for line in file if line.startswith("VmData:"))
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([has + most, *bounds]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
