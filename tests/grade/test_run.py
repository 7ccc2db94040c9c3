"""Running a class: resuming after a kill, workers that die, a second scheduler, regrading, the command line."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import KilledWorker
from typer.testing import CliRunner

from autograder.cli import app
from autograder.grade import runner, schedule, workers
from autograder.grade.jobs import Job
from autograder.grade.result import SubmissionResult
from autograder.grade.results.store import Store
from autograder.grade.sandbox import bubblewrap as sandbox
from autograder.grade.schedule import Plan
from helpers.parts import ROOT
from tests.grade.fake import judge_quickly
from tests.grade.samples import SECRET, notebook

STUB = "def token_log_probs(logits, ids): ..."


def make_class(folder: Path, size: int) -> Path:
    """A class in one folder, a notebook a student."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(size):
        (folder / f"student{number:03}.ipynb").write_bytes(notebook(STUB, f"# {number}"))
    return folder


def jobs(*students: str) -> list[Job]:
    """Jobs of these students."""
    return [Job(student, 2, (), SECRET) for student in students]


def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    source = make_class(tmp_path / "class", 40)
    line = [sys.executable, "-m", "tests.grade.killed_run", str(source)]
    subprocess.run([*line, str(tmp_path / "whole")], check=True, cwd=ROOT, capture_output=True)
    done: list[str] = []
    for after in (1, 15):
        with subprocess.Popen([*line, str(tmp_path / "cut")], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            done += [process.stdout.readline().strip() for _ in range(after)]
            process.send_signal(signal.SIGKILL)
    last = subprocess.run([*line, str(tmp_path / "cut")], check=True, cwd=ROOT, capture_output=True, text=True)
    finished = last.stdout.split()
    assert 0 < len(finished) <= 40 - len(done)
    assert not set(finished) & set(done), "a submission that was done was graded again"
    whole, cut = (tmp_path / name / "grades.csv" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


def test_a_worker_that_dies_and_one_that_dies_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)
    students = [f"s{n}" for n in range(12)]
    students.insert(4, "killer")
    results = {job.student: result for job, result in schedule.run(jobs(*students), Plan(workers=2))}
    assert set(results) == set(students)
    assert results["killer"].status == "error"
    assert results["killer"].points is None
    assert "two workers died" in results["killer"].failure.message
    assert all(results[s].status == "graded" for s in students if s != "killer")


def test_who_waited_on_a_killed_worker_is_tried_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask names everything that was on the dying worker; only who kills it while alone has done it."""

    tried_alone: list[str] = []

    def finished(client: object, some: list[Job], plan: Plan, *, ahead: int) -> Iterator[tuple[Job, Any, Any]]:
        for job in some:
            alone = len(some) == 1
            tried_alone.extend([job.student] * alone)
            dies = job.student == "killer" or (job.student == "unlucky" and not alone)
            dies |= job.student == "very unlucky" and tried_alone.count(job.student) < 2  # a worker was still dying
            yield (
                job,
                (workers.identity(), SimpleNamespace(status="graded", failure=None)),
                KilledWorker("t", None, 1) if dies else None,  # type: ignore[arg-type]
            )

    monkeypatch.setattr(schedule, "_finished", finished)
    found = [
        (j.student, r.status)
        for j, r in schedule._through(None, jobs("a", "killer", "unlucky", "very unlucky", "b"), Plan())
    ]
    assert found == [
        ("a", "graded"),
        ("b", "graded"),
        ("killer", "error"),
        ("unlucky", "graded"),
        ("very unlucky", "graded"),
    ]


def test_an_existing_scheduler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A scheduler and a worker as processes of their own, that share nothing with this one but the repository."""
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)
    file = tmp_path / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    common = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port", "0"]
    options: dict[str, Any] = {
        "cwd": tmp_path,
        "env": environment,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    scheduler = subprocess.Popen([*common, "--host", "127.0.0.1", "--no-dashboard"], **options)
    worker_line = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file)]
    worker = subprocess.Popen([*worker_line, "--nthreads", "1", "--no-dashboard"], **options)
    try:
        for _ in range(600):
            if file.exists() and file.read_text().strip():
                break
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        results = list(schedule.run(jobs("a", "b", "c"), Plan(scheduler=address)))
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait(timeout=60)
    assert sorted(job.student for job, _ in results) == ["a", "b", "c"]
    assert all(result.status == "graded" for _, result in results)


def test_no_scheduler_there() -> None:
    with pytest.raises(ConnectionError, match="no Dask scheduler answers"):
        list(schedule.run(jobs("a"), Plan(scheduler="tcp://127.0.0.1:9")))


def test_without_bubblewrap_nothing_is_graded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    source = make_class(tmp_path / "class", 1)
    result = CliRunner().invoke(app, ["grade", str(source), "--out", str(tmp_path / "out"), "--workers", "0"])
    assert result.exit_code == 3
    assert "apt-get install bubblewrap" in re.sub(r"\s+", " ", result.output)
    assert "--trust" in result.output
    with Store(tmp_path / "out" / runner.DATABASE) as store:
        assert not list(store.results())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake judging in this process."""
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)


@pytest.mark.usefixtures("quick")
def test_the_command_line(tmp_path: Path) -> None:
    source, out = make_class(tmp_path / "class", 3), tmp_path / "out"
    (tmp_path / "roster.csv").write_text("id,name,email\nstudent000,Ada L,ada@x\nabsent,Bob,bob@x\n")
    call = [
        "grade",
        str(source),
        "--out",
        str(out),
        "--workers",
        "0",
        "--roster",
        str(tmp_path / "roster.csv"),
        "--json",
    ]
    first = CliRunner().invoke(app, call)
    assert first.exit_code == 4, "somebody of the roster is missing"
    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert "absent" in lines[-1]["look"][0]
    assert [line["student"] for line in lines[:-2]] == ["student000", "student001", "student002"]
    again = CliRunner().invoke(app, call)
    *told, done, _ = map(json.loads, again.stdout.splitlines())
    assert [line["student"] for line in told] == [line["student"] for line in lines[:-2]], "a line a submission, always"
    assert not any(line["new"] for line in told), "what was done is graded again"
    assert {**told[0], "new": True} == lines[0]
    assert done["done"]
    (source / "student001.ipynb").write_bytes(notebook(STUB, "# changed"))
    changed = CliRunner().invoke(app, call)
    assert json.loads(changed.stdout.splitlines()[0])["student"] == "student001"
    with (out / "grades.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows] == ["student000", "student001", "student002"]
    assert rows[0]["name"] == "Ada L"
    assert rows[0]["sandboxed"] == "yes"
    assert "absent" in (out / "report.html").read_text()
    for name in ("canvas", "moodle", "nbgrader"):
        assert "student002" in (out / "import" / f"{name}.csv").read_text()
    files = sorted(path.name for path in (out / "gradescope").glob("*.json"))
    assert files == [f"student{n:03}-part2.json" for n in range(3)]
    assert oct((out / "results.db").stat().st_mode)[-3:] == "600"


@pytest.mark.usefixtures("quick")
def test_regrade_touches_only_what_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = make_class(tmp_path / "class", 3), tmp_path / "out"
    assert CliRunner().invoke(app, ["grade", str(source), "-o", str(out), "-w", "0"]).exit_code == 0
    seeds: dict[str, str] = {}

    def better(job: Job, limits: Any, trust: bool) -> SubmissionResult:
        assert job.only == ("q2_1",)
        seeds[job.student] = job.seed
        return judge_quickly(job, limits, trust, passed=True)

    monkeypatch.setattr(schedule, "on_worker", functools.partial(judge_quickly, passed=False))
    assert CliRunner().invoke(app, ["regrade", "-q", "q2_1", "-o", str(out), "-w", "0"]).exit_code == 0
    monkeypatch.setattr(schedule, "on_worker", better)
    result = CliRunner().invoke(app, ["regrade", "-q", "q2_1", "-o", str(out), "-w", "0"])
    assert result.exit_code == 0, result.output
    with (out / "regrade.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all((row["old"], row["new"], row["changed"]) == ("0", "4", "yes") for row in rows)
    with Store(out / runner.DATABASE) as store:
        kept = store.connection.execute("SELECT content FROM earlier").fetchall()
        assert len(kept) == 6, "what a regrading replaces is kept"
        assert set(seeds.values()) == {store.seed(2)}, "other random inputs than before"
    assert CliRunner().invoke(app, ["regrade", "-q", "q9_9", "-o", str(out)]).exit_code == 2
    assert CliRunner().invoke(app, ["regrade", "-q", "q2_1", "-o", str(tmp_path / "none")]).exit_code == 2


@pytest.mark.usefixtures("quick")
def test_wrong_calls(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["grade"]).exit_code == 2
    assert CliRunner().invoke(app, ["grade", str(tmp_path / "none"), "-o", str(tmp_path / "out")]).exit_code == 2
    (tmp_path / "empty").mkdir()
    assert CliRunner().invoke(app, ["grade", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]).exit_code == 2


def test_a_judges_error_is_no_mark_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "on_worker", lambda job, limits, trust: schedule.broken(job, "the judge tripped"))
    source, out = make_class(tmp_path / "class", 2), tmp_path / "out"
    call = ["grade", str(source), "-o", str(out), "-w", "0"]
    assert CliRunner().invoke(app, call).exit_code == 1
    with (out / "grades.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["points"] for row in rows] == ["", ""]
    assert "the judge tripped" in (out / "report.html").read_text()
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)
    assert CliRunner().invoke(app, call).exit_code == 0, "an error is not done: the next run tries again"
