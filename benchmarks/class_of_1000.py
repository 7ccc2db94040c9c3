"""A class of a thousand on two workers, two of which are killed on the way: `python benchmarks/class_of_1000.py`.

Submissions are of mixed kinds (right, wrong, blank, broken). While they are graded, a worker process is killed twice with
SIGKILL. At the end: is every submission there exactly once, do those with the same code have the same points, and did
the memory of the grading process stay flat?
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder.grade import runner  # noqa: E402
from autograder.grade.limits import Limits  # noqa: E402
from autograder.grade.results import outputs  # noqa: E402
from autograder.grade.schedule import Plan  # noqa: E402
from benchmarks.messy_class import make  # noqa: E402

QUICK = "q2_1"


def worker_processes() -> list[psutil.Process]:
    """The processes that Dask's nannies started to work."""
    below = psutil.Process().children(recursive=True)
    return [p for p in below if "spawn_main" in " ".join(p.cmdline()) and p.memory_info().rss > 200 << 20]


def main() -> None:
    """Make the class, grade it, kill, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--part", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="questions; all but the training steps when left out")
    options = parser.parse_args()
    from benchmarks.grading import split

    only = tuple(options.only) or split(options.part)[0]
    with tempfile.TemporaryDirectory(prefix="class-") as folder:
        source = make(Path(folder), options.size, options.part)
        with runner.open_store(Path(folder) / "out") as store:
            runner.take_roster(store, Path(folder) / "roster.csv")
            jobs = [type(job)(**{**vars(job), "only": only}) for job in runner.take_in(store, source)]
            print(f"{options.size} submissions, {len(jobs)} with a notebook to grade")
            plan = Plan(workers=options.workers, limits=Limits(call_seconds=2, statement_seconds=2))
            kills = {len(jobs) // 3, 2 * len(jobs) // 3}
            memory, began, killed = [], time.monotonic(), 0
            seen: collections.Counter[str] = collections.Counter()
            for number, (job, _result) in enumerate(runner.work(store, jobs, plan), start=1):
                seen[job.student] += 1
                if number in kills and (workers := worker_processes()):
                    os.kill(workers[0].pid, signal.SIGKILL)
                    killed += 1
                if number % max(1, len(jobs) // 20) == 0:
                    memory.append(psutil.Process().memory_info().rss >> 20)
                    rate = number / (time.monotonic() - began)
                    print(f"  {number:>5} graded, {rate:.2f}/s, this process {memory[-1]} MB", flush=True)
            seconds = time.monotonic() - began
            rows = outputs.sheet(store)
            runner.write_outputs(store, Path(folder) / "out")
        lost = {job.student for job in jobs} - set(seen)
        states = collections.Counter(row.state for row in rows)
        print(
            f"{len(jobs)} in {seconds:.0f} s ({len(jobs) / seconds:.2f}/s), {killed} workers killed, states {dict(states)}"
        )
        print(f"lost: {len(lost)}; graded more than once: {sum(n > 1 for n in seen.values())}; memory {memory} MB")
        assert not lost
        assert max(seen.values()) == 1
        assert states["not graded"] == 0
        assert states["error"] == 0
        assert not memory or memory[-1] < memory[len(memory) // 4] * 1.3 + 50, "the memory of the grading process grows"


if __name__ == "__main__":
    main()
