"""Inside Gradescope's container a results.json is always written, with the sandbox or without."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import gradescope
from autograder.grade.sandbox import NoSandbox, Sandbox
from tests.grade.samples import WRONG, notebook


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's /autograder with one submission in it."""
    (tmp_path / "submission").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "submission" / "02_reinforce.ipynb").write_bytes(notebook(WRONG))
    (tmp_path / "submission_metadata.json").write_text('{"users": [{"sid": "7", "name": "Ada", "email": "a@x"}]}')
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)
    return tmp_path


def result(root: Path, *fallback: str, seconds: int = 30) -> dict[str, Any]:
    """Run the grader as the container does; what it wrote."""
    assert gradescope.main(["--root", str(root), "--seconds", str(seconds), "--", *fallback]) == 0
    return json.loads((root / "results" / "results.json").read_text())


@pytest.mark.sandbox
def test_in_the_sandbox(root: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def shared(limits: object) -> Iterator[Sandbox]:
        yield sandbox

    monkeypatch.setattr(gradescope, "Sandbox", shared)
    answer = result(root)
    assert answer["score"] == 0
    names = [test["name"] for test in answer["tests"]]
    assert any(name.startswith("q2_1 ·") for name in names)
    assert "w2_1" in names
    assert {test["visibility"] for test in answer["tests"]} == {"visible", "after_published"}


def test_what_cannot_be_read_is_told(root: Path) -> None:
    (root / "submission" / "02_reinforce.ipynb").write_bytes(b"")
    assert "the file is empty" in result(root)["output"]
    (root / "submission" / "02_reinforce.ipynb").unlink()
    assert "nothing was handed in" in result(root)["output"]


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that allows no namespaces."""

    def refuse(limits: object) -> None:
        raise NoSandbox("not here")

    monkeypatch.setattr(gradescope, "Sandbox", refuse)


@pytest.mark.usefixtures("no_sandbox")
def test_the_fallback_is_stamped_and_unprivileged(root: Path) -> None:
    code = (
        "import json, os, sys; json.dump({'score': 3, 'output': str(os.geteuid()), 'tests': []}, "
        f"open({str(root / 'results' / 'results.json')!r}, 'w'))"
    )
    answer = result(root, "/usr/bin/env", "python3", "-c", code)
    assert answer["score"] == 3
    assert answer["output"].startswith(gradescope.UNSANDBOXED)
    assert answer["output"].endswith(str(gradescope.UNPRIVILEGED if os.geteuid() == 0 else os.geteuid()))


@pytest.mark.usefixtures("no_sandbox")
@pytest.mark.parametrize(
    ("fallback", "told"),
    [
        ([], "no other grader"),
        (["/bin/sh", "-c", "sleep 60"], "endless loop"),
        (["/bin/sh", "-c", "exit 0"], "ended the grader"),
        (["/bin/sh", "-c", "echo '[1]' > results/results.json"], "ended the grader"),
    ],
)
def test_the_fallback_always_has_a_result(
    root: Path, fallback: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    answer = result(root, *fallback, seconds=1)
    assert told in answer["output"]
    assert answer["score"] == 0


def test_a_judge_that_fails_gives_no_points(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(path: Path) -> None:
        raise RuntimeError("tripped")

    monkeypatch.setattr(gradescope, "grade_folder", trip)
    answer = result(root)
    assert answer["score"] == 0
    assert "instructor" in answer["output"]
