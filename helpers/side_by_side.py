"""Independent runs on the machine's cores: each in a process of its own, their progress on one line, one stop for all.

The functions of a notebook travel to the processes with the models they use (loky pickles them by value). A run that is told
to stop finishes its step and keeps its checkpoint, as it would alone.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from .devices import device_memory
from .display import WIDTH
from .memory import GIB
from .weights import size

LOOK = 0.5  # seconds between two looks at the progress
IDLE = 120  # seconds after which a process without work ends
MOST = 4  # processes: each holds its own copies of the models
# GiB that a process needs: for the libraries, and for policy, reference, gradients, moments and activations in multiples of the
# policy's weights. Measured: .6 GB with `tiny` (13 MB of weights), 2.7 GB with `smollm2` (538 MB, an adapter learns).
LIBRARIES, COPIES = 0.5, 6
_told: list[Path] = []  # in a run's process: the file in which it says how far it is


def cores_for(model: nn.Module, device: torch.device) -> int:
    """How many trainings of a model may go side by side: as the CPU's cores and the free memory allow, at most `MOST`.

    One thread each is faster than all threads for one run after the other: sampling leaves most of several threads idle. On a
    GPU one run fills the device; in the course's own tests nothing goes side by side.
    """
    import loky

    if device.type != "cpu" or os.environ.get("COURSE_FAST") == "1":
        return 1
    memory = device_memory(device)
    each = LIBRARIES + COPIES * size(model.parameters()) / GIB  # GiB
    fit = int(memory[0] / each) if memory else MOST if each < 1 else 1
    return max(1, min(MOST, fit, loky.cpu_count(only_physical_cores=True)))


def tell(done: int, steps: int) -> bool:
    """Say how far a run is, where somebody asks; return False when it is to stop. A training loop calls it each step."""
    if not _told:
        return True
    file = _told[0]
    with suppress(OSError):  # the one who asked has ended and taken the folder along
        file.write_text(f"{done} {steps}", encoding="utf-8")
    return file.parent.exists() and not (file.parent / "stop").exists()


def is_told() -> bool:
    """Whether this is a run's own process, which shows no progress bar."""
    return bool(_told)


def in_turn(calls: Mapping[str, Callable[[], Any]]) -> Iterator[tuple[str, Any]]:
    """Make the calls one after the other until one returns None (it was interrupted); say about how long the rest will take."""
    began = time.perf_counter()
    for number, (name, call) in enumerate(calls.items()):
        left = f", about {(time.perf_counter() - began) / number * (len(calls) - number):.0f} s left" if number else ""
        print(f"run {number + 1} of {len(calls)}, {name}{left}", flush=True)
        result = call()
        yield name, result
        if result is None:
            return


def all_results(calls: Mapping[str, Callable[[], Any]], workers: int) -> Iterator[tuple[str, Any]]:
    """Names and results of independent calls as they end: side by side if workers and calls are several, else in turn."""
    workers = min(workers, len(calls))
    return side_by_side(calls, workers) if workers > 1 else in_turn(calls)


def side_by_side(calls: Mapping[str, Callable[[], Any]], workers: int) -> Iterator[tuple[str, Any]]:
    """Make independent calls in `workers` processes, each on one thread.

    The stop button (or Ctrl-C) tells all calls to stop; what they return then is given too. A second one ends them at once.

    Args:
        calls: by name, what to call. Functions of a notebook may use what else is defined there.
        workers: processes.

    Yields:
        Name and result, in the order in which they end.

    Raises:
        RuntimeError: a process was ended from outside, which mostly means that memory was short.
    """
    import loky

    # loky takes a large policy for a leak, and replaces the worker that trained it: which is as well, and no news for a student
    warnings.filterwarnings("ignore", message="A worker was restarted while some jobs")
    executor = loky.get_reusable_executor(max_workers=workers, timeout=IDLE, env={"OMP_NUM_THREADS": "1"})
    with tempfile.TemporaryDirectory(prefix="runs-", ignore_cleanup_errors=True) as folder:
        files = {name: Path(folder) / str(number) for number, name in enumerate(calls)}
        names = {executor.submit(_call, call, files[name], Path.cwd()): name for name, call in calls.items()}
        bar = tqdm(desc=f"{len(names)} runs", unit="step", file=sys.stdout, ncols=WIDTH)
        finished = False
        try:
            for future in _as_they_end(list(names), files, bar, Path(folder) / "stop"):
                yield names[future], future.result()
            finished = True
        except loky.process_executor.TerminatedWorkerError as error:
            raise RuntimeError(
                "The process of a run was ended from outside; memory may be short. Close other programs, or set workers = 1, "
                "and run the cell again: finished runs are kept."
            ) from error
        finally:
            bar.close()
            if not finished:  # an error, a second stop, or nobody wants the rest
                (Path(folder) / "stop").touch()
                executor.shutdown(kill_workers=True)


def _as_they_end(waiting: list[Future], files: Mapping[str, Path], bar: tqdm, stop: Path) -> Iterator[Future]:
    """Futures as they end; the first Ctrl-C asks all runs to stop and goes on waiting."""
    while waiting:
        try:
            done, _ = wait(waiting, LOOK, FIRST_COMPLETED)
            _show(files, bar)
        except KeyboardInterrupt:
            if stop.exists():
                raise
            stop.touch()
            print("\nStopping after this step …", flush=True)
            continue
        for future in done:
            waiting.remove(future)
            yield future


def _show(files: Mapping[str, Path], bar: tqdm) -> None:
    """Draw the progress of all runs."""
    counts = {name: _read(file) for name, file in files.items()}
    bar.total = sum(steps for _, steps in counts.values()) or None
    bar.n = sum(done for done, _ in counts.values())
    running = {name: f"{done}/{steps}" for name, (done, steps) in counts.items() if 0 < done < steps}
    bar.set_postfix(running, refresh=True)


def _read(file: Path) -> tuple[int, int]:
    """Steps done and steps in all; 0 before the run has said so."""
    try:
        done, steps = file.read_text(encoding="utf-8").split()
    except (OSError, ValueError):  # not there yet, or just being written
        return 0, 0
    return int(done), int(steps)


def _call(call: Callable[[], Any], file: Path, folder: Path) -> Any:
    """In a run's process: call, on one thread, in the folder of the one who asked."""
    os.chdir(folder)
    torch.set_num_threads(1)
    _told[:] = [file]
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a notebook's stop reaches all its processes; the asking one passes it on
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return call()
