"""Inside Gradescope's container a results.json is always written, with the sandbox or without."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder import masters
from autograder.grade import gradescope
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import Protection, SubmissionResult
from autograder.grade.sandbox.bubblewrap import Sandbox
from autograder.grade.sandbox.parent import NoSandboxError
from autograder.publish.gradescope_zip import with_grader
from helpers.parts import ROOT
from tests.grade.fake import judge_quickly
from tests.grade.samples import WRONG, notebook

TOO_LARGE = f"""{{ echo '{{"score": 3, "tests": []'
    head -c {gradescope.LARGEST_RESULTS} /dev/zero | tr '\\0' ' '; echo '}}'; }} > results/results.json"""


@pytest.fixture
def root() -> Iterator[Path]:
    """A container's /autograder with one submission in it, where an unprivileged user can go."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        (path / "submission").mkdir()
        (path / "results").mkdir()
        (path / "submission" / "02_reinforce.ipynb").write_bytes(notebook(WRONG))
        (path / "submission_metadata.json").write_text('{"users": [{"sid": "7", "name": "Ada", "email": "a@x"}]}')
        yield path


def result(root: Path, *fallback: str, seconds: int = 30) -> dict[str, Any]:
    """Run the grader as the container does; what it wrote."""
    assert gradescope.main(["--root", str(root), "--seconds", str(seconds), "--", *fallback]) == 0
    return json.loads((root / "results" / "results.json").read_text())


@pytest.mark.sandbox
def test_in_the_sandbox(root: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def shared(limits: object, private: object) -> Iterator[Sandbox]:
        yield sandbox

    monkeypatch.setattr(gradescope, "open_sandbox", shared)
    answer = result(root)
    assert answer["score"] == 0
    names = [test["name"] for test in answer["tests"]]
    assert any(name.startswith("q2_1 ·") for name in names)
    assert "w2_1" in names
    assert {test["visibility"] for test in answer["tests"]} == {"visible", "after_published"}


def test_the_judge_sees_the_earlier_parts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `course grade` does: functions may come from the student's own notebook of another part."""
    jobs: list[Job] = []

    def judge(sandbox: object, job: Job, limits: Limits) -> SubmissionResult:
        jobs.append(job)
        return judge_quickly(job, limits, False)

    monkeypatch.setattr(gradescope, "open_sandbox", lambda limits, private: contextlib.nullcontext())
    monkeypatch.setattr(gradescope.judge, "grade", judge)
    (root / "submission_metadata.json").write_text('{"users": [{"sid": "7", "name": "half \\ud83d"}, {"name": "Bo"}]}')
    (root / "submission" / "04_dpo.ipynb").write_bytes(notebook("def dpo_step(a): ...\ndef compute_dpo_loss(a): ..."))
    (root / "submission" / "earlier").mkdir()
    (root / "submission" / "02_reinforce.ipynb").rename(root / "submission" / "earlier" / "02_reinforce.ipynb")
    assert "Handed in by half ? and Bo." in result(root)["output"]
    (job,) = jobs
    assert job.part == 4
    assert "token_log_probs" in job.files["02_reinforce.ipynb"]


def test_what_cannot_be_read_is_told(root: Path) -> None:
    (root / "submission" / "02_reinforce.ipynb").write_bytes(b"")
    assert "the file is empty" in result(root)["output"]
    (root / "submission" / "02_reinforce.ipynb").unlink()
    assert "nothing was handed in" in result(root)["output"]


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that allows no walls."""

    def refuse(limits: object, private: object) -> None:
        raise NoSandboxError("not here")

    monkeypatch.setattr(gradescope, "open_sandbox", refuse)


@pytest.mark.usefixtures("no_sandbox")
def test_the_fallback_is_stamped_and_unprivileged(root: Path) -> None:
    """Otter writes its files beside the notebook and its results: the unprivileged user must be able to."""
    (root / "submission" / "sub").mkdir()
    (root / "source").mkdir()
    (root / "source" / "otter_config.json").write_text("{}")
    script = f"""cd {root} && mkdir submission/tests submission/sub/tests || exit 1
        : >> __init__.py && : > source/otter_config.json || exit 1
        echo '{{"score": 3, "tests": [], "output": "'$(id -u)'"}}' > {root}/results/results.json"""
    answer = result(root, "/bin/sh", "-c", script)
    assert answer["score"] == 3
    assert answer["output"].startswith(Protection(False).said)
    uid = int(answer["output"].split()[-1])
    assert uid >= 20_000 if os.geteuid() == 0 else uid == os.geteuid()


@pytest.mark.usefixtures("no_sandbox")
def test_what_the_fallback_leaves_running_writes_no_result(root: Path) -> None:
    script = root / "daemon.sh"
    forged = '{"score": 1000, "tests": []}'
    script.write_text(f"for n in $(seq 300); do echo '{forged}' > {root}/results/results.json; sleep 0.01; done")
    answer = result(root, "/bin/sh", "-c", f"setsid sh {script} & sleep 0.1")
    time.sleep(0.5)
    assert json.loads((root / "results" / "results.json").read_text()) == answer
    assert stat.S_IMODE((root / "results" / "results.json").stat().st_mode) == 0o600


@pytest.mark.usefixtures("no_sandbox")
@pytest.mark.parametrize(
    ("fallback", "told"),
    [
        ([], "no other grader"),
        (["/bin/sh", "-c", "sleep 60"], "endless loop"),
        (["/bin/sh", "-c", "exit 0"], "ended the grader"),
        (["/bin/sh", "-c", "echo '[1]' > results/results.json"], "ended the grader"),
        (["/bin/sh", "-c", TOO_LARGE], "ended the grader"),
        (["/bin/sh", "-c", "mkfifo results/results.json"], "ended the grader"),
        (["/bin/sh", "-c", "mkdir -p results/results.json/x"], "ended the grader"),
        (["/bin/sh", "-c", "ln -s ../submission_metadata.json results/results.json"], "ended the grader"),
    ],
)
def test_the_fallback_always_has_a_result(
    root: Path, fallback: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    answer = result(root, *fallback, seconds=1)
    assert told in answer["output"]
    assert answer["score"] == 0
    assert "users" in (root / "submission_metadata.json").read_text(), "written through a link"


def test_a_judge_that_fails_gives_no_points(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(path: Path) -> None:
        raise RuntimeError("tripped")

    monkeypatch.setattr(gradescope, "grade_folder", trip)
    answer = result(root)
    assert answer["score"] == 0
    assert "instructor" in answer["output"]


def test_the_zip_holds_the_judge_and_one_master() -> None:
    otters = {
        "environment.yml": b"dependencies:\n  - pip:\n      - torch==2\n",
        "setup.sh": b"#!/bin/bash\n",
        "x": b"1",
    }
    made = with_grader(otters, masters.master_path(2), 2, {"jupytext": "==1.2", "pyseccomp": "==0.1"})
    assert made["x"] == b"1"
    assert made["environment.yml"].decode().splitlines()[-2:] == ["      - jupytext==1.2", "      - pyseccomp==0.1"]
    assert "bubblewrap" in made["setup.sh"].decode()
    assert "autograder.grade.gradescope" in made["run_autograder"].decode()
    assert [name for name in made if name.startswith("course/solutions/")] == ["course/solutions/02_reinforce.py"]
    names = {"gradescope.py", "judging/judge.py", "results/templates/feedback.html.j2"}
    names |= {f"sandbox/inside/{name}.py" for name in ("child", "confine")}
    assert {f"course/autograder/grade/{name}" for name in names} <= set(made)
    assert "course/autograder/reference/verify.py" in made
    assert "course/course.toml" in made, (
        "without it the judge in the container gives the masters' points, not the instructor's"
    )
    assert not [name for name in made if "__pycache__" in name or "/build/" in name]


def test_the_judge_runs_from_the_zips_files_alone(tmp_path: Path) -> None:
    """Unpacked as in the container, the judge imports and reads the one part it has."""
    made = with_grader(
        {"environment.yml": b"", "setup.sh": b""}, masters.master_path(2), 2, {"jupytext": "==1", "pyseccomp": "==1"}
    )
    for name, data in made.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    shutil.copytree(ROOT / "helpers", tmp_path / "course" / "helpers", ignore=shutil.ignore_patterns("recipes"))
    for name in ("submission", "results"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root" / "submission" / "a.ipynb").write_bytes(b"")
    line = [sys.executable, "-m", "autograder.grade.gradescope", "--root", str(tmp_path / "root")]
    subprocess.run(line, cwd=tmp_path / "course", check=True, capture_output=True)
    assert "empty" in json.loads((tmp_path / "root" / "results" / "results.json").read_text())["output"]
