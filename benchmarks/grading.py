"""How fast the graders are, side by side on the same submissions: `python benchmarks/grading.py --size 8`.

Three graders take the same notebooks of one part: this course's (`course grade`), `otter run` with the zip of the build,
and `nbgrader autograde`. The functional training tests are measured apart, because they take seconds by themselves. Prints
a table, and the throughput by number of workers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder import masters  # noqa: E402
from autograder.grade import schedule  # noqa: E402
from autograder.grade.jobs import Job  # noqa: E402
from autograder.grade.limits import Limits  # noqa: E402
from autograder.grade.schedule import Plan, Worker  # noqa: E402
from tests.grade.samples import SECRET, solution  # noqa: E402

FUNCTIONAL = ("reinforce_step", "dpo_step")


def split(part: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The questions judged by calls, and those judged by training."""
    questions = [q for q in masters.load_questions(part) if not q.manual]
    slow = tuple(q.name for q in questions if q.function in FUNCTIONAL)
    return tuple(q.name for q in questions if q.name not in slow), slow


def ours(part: int, size: int, only: tuple[str, ...]) -> dict[str, float]:
    """Seconds to warm up, and seconds a submission once warm."""
    cells = solution(part)
    worker = Worker(Limits(), trust=False)
    began = time.perf_counter()
    worker.grade(Job("warm", part, cells, SECRET, only=only))
    warm = time.perf_counter() - began
    times = []
    for number in range(size):
        began = time.perf_counter()
        result = worker.grade(Job(f"s{number}", part, cells, SECRET, only=only))
        times.append(time.perf_counter() - began)
        assert result["points"] == result["possible"], result
    worker.close()
    return {"first": warm, "median": statistics.median(times), "worst": max(times)}


def otter(part: int, size: int) -> dict[str, float]:
    """Seconds for `otter run` on the solution notebook with the zip of the build."""
    archive = next(iter(sorted((ROOT / "build" / "otter").glob(f"{masters.PARTS[part]}*.zip"))), None)
    source = ROOT / "solutions" / f"{masters.PARTS[part]}.ipynb"
    if archive is None or not source.exists():
        return {}
    times = []
    for _ in range(size):
        with tempfile.TemporaryDirectory() as folder:
            line = [sys.executable, "-m", "otter", "run", str(source), "-a", str(archive), "-o", folder]
            began = time.perf_counter()
            done = subprocess.run(line, cwd=folder, capture_output=True, env=os.environ | {"COURSE_FAST": "1"})
            times.append(time.perf_counter() - began)
            if done.returncode:
                print(done.stderr.decode()[-2000:], file=sys.stderr)
                return {}
    return {"median": statistics.median(times), "worst": max(times)}


def nbgrader(part: int, size: int) -> dict[str, float]:
    """Seconds a submission for `nbgrader autograde` on the solution notebook."""
    source = ROOT / "build" / "nbgrader"
    if not (source / "source").exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        title = masters.PARTS[part]
        for number in range(size):
            submitted = Path(folder) / "submitted" / f"s{number}" / title
            submitted.mkdir(parents=True)
            shutil.copy(ROOT / "solutions" / f"{title}.ipynb", submitted / f"{title}.ipynb")
            shutil.copytree(ROOT / "helpers", submitted / "helpers")
        run = [sys.executable, "-m", "nbgrader"]
        quiet = {"cwd": folder, "capture_output": True, "env": os.environ | {"COURSE_FAST": "1"}}
        subprocess.run([*run, "generate_assignment", title, "--create", "--force"], **quiet)
        began = time.perf_counter()
        done = subprocess.run([*run, "autograde", title, "--create", "--force"], **quiet)
        seconds = (time.perf_counter() - began) / size
        if done.returncode:
            print(done.stderr.decode()[-2000:], file=sys.stderr)
            return {}
    return {"median": seconds, "worst": seconds}


def throughput(part: int, size: int, only: tuple[str, ...], workers: int) -> float:
    """Submissions a second with so many workers, warm-up left out."""
    jobs = [Job(f"s{n}", part, solution(part), SECRET, only=only) for n in range(size + 2 * workers)]
    ends = [time.perf_counter() for _ in schedule.run(jobs, Plan(workers=workers))]
    return (len(ends) - 2 * workers) / (ends[-1] - ends[2 * workers - 1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, default=2)
    parser.add_argument("--size", type=int, default=8, help="submissions for our grader; the others take two")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    quick, slow = split(options.part)
    table = {"course grade, without the functional tests": ours(options.part, options.size, quick)}
    if slow:
        table["course grade, functional tests alone"] = ours(options.part, 2, slow)
    if not options.only_ours:
        table["otter run, everything"] = otter(options.part, 2)
        table["nbgrader autograde, everything"] = nbgrader(options.part, 2)
    print(f"Part {options.part}; seconds a submission; load of this machine now: {os.getloadavg()[0]:.1f}")
    for name, row in table.items():
        print(f"  {name:<45} " + (", ".join(f"{k} {v:.2f}" for k, v in row.items()) or "not measured: build first"))
    for count in options.workers:
        print(f"  {count} workers: {throughput(options.part, options.size, quick, count):.2f} submissions a second")
    print(json.dumps(table))


if __name__ == "__main__":
    main()
