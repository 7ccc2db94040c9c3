"""How fast the graders are, side by side on the same submissions: `course build && python benchmarks/grading.py`.

Three graders take the same solution of one part: this course's (`course grade`), `otter run` with the zip of the build, and
`nbgrader autograde` with the build's source. None of them runs the notebook's training cells. The training steps, whose tests
train, take seconds by themselves under any grader, so they are measured apart: each grader is measured on the loss tests
alone (the training steps taken out of its tests), and ours on the training steps alone. Prints a table, and the
throughput by number of workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nbformat
from tqdm.auto import tqdm

from helpers.parts import PARTS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder import masters  # noqa: E402
from autograder.grade import schedule  # noqa: E402
from autograder.grade.intake.apart import Reader  # noqa: E402
from autograder.grade.jobs import Job  # noqa: E402
from autograder.grade.limits import Limits  # noqa: E402
from autograder.grade.schedule import Plan  # noqa: E402
from autograder.publish.otter_forms import run_tool  # noqa: E402

STEPS = ("reinforce_step", "dpo_step")
SECRET = "5e" * 32
PEERS_TAKE = 3  # submissions that otter and nbgrader get: they take many times longer


def split(part: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The questions judged by calls, and those judged by training."""
    questions = [q for q in masters.load_questions(part) if not q.manual]
    slow = tuple(q.name for q in questions if q.function in STEPS)
    return tuple(q.name for q in questions if q.name not in slow), slow


def solution_file(part: int) -> Path:
    """The solution notebook as students would hand it in."""
    return ROOT / "solutions" / f"{PARTS[part]}.ipynb"


def job(part: int, only: tuple[str, ...], name: str, reader: Reader) -> Job:
    """The solution as a submission, read as `course grade` reads it: in a process apart, which serves the whole class."""
    answer = reader.ask(
        "read_file", path=str(solution_file(part)), entries=10, size=solution_file(part).stat().st_size * 2
    )
    return Job(name, part, tuple(answer["files"][0]["notebook"]["code"]), SECRET, only=only)


def timed(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of each call."""
    times = []
    for call in calls:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def ours(part: int, only: tuple[str, ...], reader: Reader) -> Callable[[], None]:
    """What reads and grades one submission; the first call warms up."""

    def one() -> None:
        result = schedule.on_worker(job(part, only, "s", reader), Limits(), False)  # what Dask calls
        assert result.points == result.possible, result

    return one


@contextlib.contextmanager
def otter(part: int, only: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    """What grades one submission with `otter run`, with the other questions' tests taken out of the zip."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drop = {q.name for q in masters.load_questions(part) if not q.manual} - set(only)
        content = nbformat.read(solution_file(part), as_version=4)
        content.cells = [c for c in content.cells if c.source.strip() not in {f'grader.check("{q}")' for q in drop}]
        submission = folder / f"{PARTS[part]}.ipynb"
        nbformat.write(content, submission)
        archive = folder / "loss.zip"
        with zipfile.ZipFile(ROOT / "build" / "otter" / f"{part:02d}.zip") as old, zipfile.ZipFile(archive, "w") as new:
            for entry in old.infolist():
                if entry.filename not in {f"tests/{q}.py" for q in drop}:
                    new.writestr(entry, old.read(entry))
        line = [sys.executable, "-m", "otter", "run", str(submission), "-a", str(archive), "-o", name, "--no-logo"]
        wanted = sum(q.points for q in masters.load_questions(part) if q.name in only)

        def one() -> None:
            run_tool(line, folder, "otter run", project_on_path=False)
            tests = json.loads((folder / "results.json").read_text())["tests"]
            assert sum(t.get("score") or 0 for t in tests) == wanted, tests

        yield one


def nbgrader(part: int, size: int, only: tuple[str, ...]) -> float:
    """Seconds a submission for one `nbgrader autograde` of several, with the other questions' cells taken out."""
    title = PARTS[part]
    built = ROOT / "build" / "nbgrader"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(built / "nbgrader_config.py", folder)
        shutil.copytree(built / "source" / title, folder / "source" / title)
        source = folder / "source" / title / f"{title}.ipynb"
        content = nbformat.read(source, as_version=4)
        kept = tuple(f"{q}-" for q in only)
        content.cells = [c for c in content.cells if "-test-" not in c.id or c.id.startswith(kept)]
        nbformat.write(content, source)
        for number in range(size):
            shutil.copytree(source.parent, folder / "submitted" / f"s{number}" / title)
        run = [sys.executable, "-m", "nbgrader"]
        run_tool([*run, "generate_assignment", title, "--create", "--force"], folder, "nbgrader generate_assignment")
        began = time.perf_counter()
        run_tool([*run, "autograde", title, "--create", "--force"], folder, "nbgrader autograde")
        seconds = (time.perf_counter() - began) / size
        scores = nbgrader_scores(folder / "gradebook.db", title)
    wanted = sum(q.points for q in masters.load_questions(part) if q.name in only)
    assert scores == [wanted] * size, (scores, wanted)
    return seconds


def nbgrader_scores(gradebook: Path, title: str) -> list[float]:
    """The points of the tests of every submission in a gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{gradebook}") as book:
        return [
            sum(g.auto_score for n in s.notebooks for g in n.grades if "-test-" in g.name)
            for s in book.assignment_submissions(title)
        ]


def side_by_side(part: int, only: tuple[str, ...], mine: Callable[[], None], size: int) -> None:
    """Take turns with the peers, as the speed of a shared machine comes and goes, and print the medians and their ratios."""
    own: list[float] = []
    peers: dict[str, list[float]] = {"otter run": [], "nbgrader autograde": []}
    ratios: dict[str, list[float]] = {name: [] for name in peers}
    with otter(part, only) as theirs:
        takes = {"otter run": lambda: timed([theirs])[0], "nbgrader autograde": lambda: nbgrader(part, 1, only)}
        for name in tqdm([*peers] * PEERS_TAKE):
            before, seconds, after = timed([mine] * size), takes[name](), timed([mine] * size)
            own += before + after
            peers[name].append(seconds)
            ratios[name].append(seconds / statistics.median(before + after))
    show("course grade, loss tests", own)
    for name, times in peers.items():
        show(f"{name}, loss tests", times)
        print(f"  {name} takes {statistics.median(ratios[name]):.0f} times as long as ours (median of {PEERS_TAKE})")


def show(name: str, times: Sequence[float]) -> None:
    """Print a row of the table."""
    print(f"  {name:<40} median {statistics.median(times):.2f}, worst {max(times):.2f}", flush=True)


def throughput(part: int, size: int, only: tuple[str, ...], workers: int, reader: Reader) -> float:
    """Submissions a second with so many workers, warm-up left out."""
    jobs = [job(part, only, f"s{n}", reader) for n in range(size + 2 * workers)]
    ends = [time.perf_counter() for _ in schedule.run(jobs, Plan(workers=workers))]
    return (len(ends) - 2 * workers) / (ends[-1] - ends[2 * workers - 1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, default=2)
    parser.add_argument(
        "--size", type=int, default=10, help=f"submissions for our grader between the others, which take {PEERS_TAKE}"
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    quick, slow = split(options.part)
    print(f"Part {options.part}; seconds a submission; load of this machine before: {os.getloadavg()[0]:.1f}")
    with Reader() as reader:
        mine = ours(options.part, quick, reader)
        show("course grade, the first, with warm-up", timed([mine]))
        if options.only_ours:
            show("course grade, loss tests", timed([mine] * options.size))
        else:
            side_by_side(options.part, quick, mine, options.size)
        if slow:
            show("course grade, training steps alone", timed([ours(options.part, slow, reader)] * 2))
        for count in options.workers:
            rate = throughput(options.part, options.size, quick, count, reader)
            print(
                f"  {count} worker{'s' if count > 1 else ''}: {rate:.2f} submissions a second, loss tests", flush=True
            )


if __name__ == "__main__":
    main()
