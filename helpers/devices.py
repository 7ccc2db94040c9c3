"""Where the computation runs: device, threads, seeds, memory."""

from __future__ import annotations

import math
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch

# how PyTorch says that tensors of several devices meet
MIXED_DEVICES = re.compile(r"same device|expected device|tensor to numpy")


CGROUP = Path("/sys/fs/cgroup")  # where Linux says what a container may use


class MemoryFullError(RuntimeError):
    """The device's memory was not enough; the message says what to change."""


def choose_device(prefer: str | torch.device | None = None) -> torch.device:
    """Return the device to compute on: CUDA if there is one, else Apple's MPS, else the CPU.

    Args:
        prefer: a device to use instead, such as `"cpu"`. The environment variable `COURSE_DEVICE` does the same.

    Raises:
        ValueError: `prefer` names a device that this machine does not have.
    """
    wanted = prefer or os.environ.get("COURSE_DEVICE")
    if wanted:
        device = torch.device(wanted)
        present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if not present.get(device.type, False):
            raise ValueError(f"this machine has no {device.type!r} device; leave `prefer` out to let the course choose")
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def in_float64(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64, without its gradients: where it lies, or on the CPU if it lies on Apple's MPS, which has none."""
    tensor = tensor.detach()
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def set_threads(model_is_tiny: bool) -> int:
    """Set how many CPU threads PyTorch uses, and return that number.

    A tiny model takes one, so that a run has the same figures alone and beside other runs, which take the other cores.
    A larger one takes all cores that this process may use: in a container or on a Hub often fewer than there are, and as many
    as `OMP_NUM_THREADS` says where that is set, as it is in the processes of `side_by_side`.
    """
    import loky

    asked = os.environ.get("OMP_NUM_THREADS", "")
    most = int(asked) if asked.isdigit() and int(asked) else loky.cpu_count(only_physical_cores=True)
    count = 1 if model_is_tiny else most
    torch.set_num_threads(count)
    return count


def arithmetic_rate(seconds: float = 0.3) -> float:
    """Measure how fast the CPU multiplies matrices with all cores of this process, in GFLOP/s (10⁹ operations a second, float32).

    Args:
        seconds: how long to measure; the best of the products in that time counts.
    """
    before = torch.get_num_threads()
    set_threads(model_is_tiny=False)
    side = 1024
    left, right = torch.ones(side, side), torch.ones(side, side)
    left @ right  # the first product also starts the threads
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    torch.set_num_threads(before)
    return 2 * side**3 / best / 1e9


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's random numbers (all devices), so that a run can be repeated."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def run_seed(default: int = 0) -> int:
    """The seed of a notebook's run: `default`, or what the environment variable `COURSE_SEED` says (`course claims` sets it)."""
    return int(os.environ.get("COURSE_SEED") or default)


def device_memory(device: torch.device | None = None) -> tuple[float, float] | None:
    """Return `(free, total)` memory of the device in GiB, or None where it cannot be asked.

    What PyTorch holds and does not use counts as free, and so do files that Linux keeps in memory; a container's limit counts
    as its memory.
    """
    device = device or choose_device()
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free / 2**30, total / 2**30
    if device.type == "mps":
        total = torch.mps.recommended_max_memory()
        return (total - torch.mps.driver_allocated_memory()) / 2**30, total / 2**30
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        free, total = os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page
    except (AttributeError, ValueError, OSError):  # not on every system (Windows, some macOS)
        return None
    with suppress(OSError, StopIteration):
        free = _number(Path("/proc/meminfo"), "MemAvailable:") * 1024  # Linux; in kB
    with suppress(OSError, ValueError, StopIteration):  # a container of Linux; ValueError: its limit is the word "max"
        limit = _number(CGROUP / "memory.max")
        used = _number(CGROUP / "memory.current") - _number(CGROUP / "memory.stat", "inactive_file ")
        free, total = min(free, max(0, limit - used)), min(total, limit)
    return free / 2**30, total / 2**30


def _number(file: Path, name: str = "") -> int:
    """The number that stands behind a name at the beginning of a line of a file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).removeprefix(name).split()[0])


def memory_report() -> str:
    """Return one line that names the device and says how much of its memory is free."""
    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    memory = device_memory(device)
    if memory is None:
        return f"{name}: memory unknown"
    return f"{name}: {memory[0]:.1f} of {memory[1]:.1f} GiB of memory free"


@contextmanager
def out_of_memory_help() -> Iterator[None]:
    """Turn an out-of-memory error of any device inside the block into `MemoryFullError`, which says what to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not (isinstance(error, (torch.OutOfMemoryError, MemoryError)) or _mentions_memory(error)):
            raise
        steps = [
            "let fewer rows through the policy at once, which changes no gradient: helpers.models.in_micro_batches(policy, 8)",
            "use a smaller batch, for instance half of it",
            "use the smaller preset: choose_preset('tiny')",
            "restart the kernel: models of earlier runs may still be in memory",
        ]
        text = "\n".join(f"  - {step}" for step in steps)
        report = memory_report()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryFullError(f"The memory is full ({report}). What helps:\n{text}") from error


def _mentions_memory(error: BaseException) -> bool:
    """Tell whether the error is one of PyTorch's plain RuntimeErrors about memory (MPS and CPU raise these)."""
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
