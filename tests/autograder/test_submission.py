"""Handing in: one file, public tests in a fresh process, in Jupyter and in a simulated Colab."""

from __future__ import annotations

import json
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.notebook import submission
from helpers.parts import ANSWER_PLACEHOLDER

pytestmark = pytest.mark.xdist_group("build")
NAME = "01_baseline"


@pytest.fixture
def folder(tmp_path, built, monkeypatch) -> Path:
    """A student's folder: the notebook, its public tests, and nothing else."""
    (tmp_path / "tests").mkdir()
    for file in (built / "notebooks" / "tests").iterdir():
        (tmp_path / "tests" / file.name).write_text(file.read_text())
    (tmp_path / f"{NAME}.ipynb").write_text((built / "notebooks" / f"{NAME}.ipynb").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def edit(path: Path, cell_id: str, source: str) -> None:
    notebook = nbformat.read(path, as_version=4)
    next(c for c in notebook.cells if c.id == cell_id).source = source
    nbformat.write(notebook, path)


def solve(folder: Path, body: str = "return values * 2") -> None:
    edit(folder / f"{NAME}.ipynb", "q1_1-answer", f"def double(values):\n    {body}")


def test_an_untouched_notebook_is_written_with_what_is_missing(folder):
    made = submission.submit(1)
    assert not made.passed
    assert made.summary == "0 of 1 *public* tests passed; 1 hidden ones run at grading."
    assert made.unanswered == ["w1_1"]
    assert "Two numbers: the function returned None" in repr(made), "the title that the check shows"
    assert made.path == folder / f"{NAME}-submission.zip"


def test_an_open_question_is_told_by_the_name_that_the_notebook_gives_it():
    cells = [
        {"cell_type": "markdown", "id": name, "source": [ANSWER_PLACEHOLDER]}
        for name in ("w2_1-answer", "3f", "w5_1-answer")
    ]
    told = ["Question 2.A", "the answer in cell 2", "Written question 5.1"]
    assert submission.unanswered({"cells": cells}) == told


def test_a_right_answer_passes_and_hidden_tests_are_announced(folder):
    solve(folder)
    edit(folder / f"{NAME}.ipynb", "w1_1-answer", "Because.")
    made = submission.submit(1)
    assert made.passed
    assert made.summary == "All *public* tests passed; 1 hidden ones run at grading."
    assert made.unanswered == []
    assert "All <i>public</i> tests passed" in made._repr_html_()
    with zipfile.ZipFile(made.path) as archive:
        assert sorted(archive.namelist()) == [f"{NAME}.ipynb", "submission.json"]
        inside = json.loads(archive.read(f"{NAME}.ipynb"))
        summary = json.loads(archive.read("submission.json"))
    assert summary["public_tests"] == {"q1_1": [True]}
    assert any("return values * 2" in "".join(c["source"]) for c in inside["cells"])


def test_the_fresh_process_runs_no_training_and_no_demonstration(folder):
    solve(folder)
    notebook = nbformat.read(folder / f"{NAME}.ipynb", as_version=4)
    notebook.cells.insert(4, nbformat.v4.new_code_cell("open('ran.txt', 'w').write('x')\nraise SystemExit"))
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    assert submission.submit(1).passed
    assert not (folder / "ran.txt").exists()


def test_what_a_function_needs_comes_along(folder):
    solve(folder, "return FACTOR * identity(values)")
    notebook = nbformat.read(folder / f"{NAME}.ipynb", as_version=4)
    notebook.cells.insert(3, nbformat.v4.new_code_cell("FACTOR = 2\ndef identity(x):\n    return x"))
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    assert submission.submit(1).passed


def test_a_syntax_error_is_told_and_the_file_is_written(folder):
    solve(folder, "return values *")
    made = submission.submit(1)
    assert not made.passed
    assert any("SyntaxError" in error for error in made.errors)
    assert made.path.exists()


def test_a_function_that_never_ends_is_stopped(folder, monkeypatch):
    monkeypatch.setattr(submission, "SECONDS", 8)
    solve(folder, "while True: pass")
    made = submission.submit(1)
    assert "never end" in made.summary
    assert made.path.exists()


def test_a_process_that_dies_is_told(folder):
    solve(folder, "import os; os._exit(3)")
    made = submission.submit(1)
    assert not made.passed
    assert "ended early (exit code 3)" in made.summary


def test_lost_metadata_is_put_back(folder):
    path = folder / f"{NAME}.ipynb"
    content = json.loads(path.read_text())
    del content["metadata"]["otter"]
    path.write_text(json.dumps(content))
    with zipfile.ZipFile(submission.submit(1).path) as archive:
        assert json.loads(archive.read(f"{NAME}.ipynb"))["metadata"]["otter"] == {"assignment_name": NAME}


def test_another_parts_notebook_is_refused(folder):
    path = folder / f"{NAME}.ipynb"
    path.write_text(path.read_text().replace('"assignment_name": "01_baseline"', '"assignment_name": "03_kl"'))
    with pytest.raises(submission.SubmissionError, match="This is the notebook 03_kl"):
        submission.submit(1)
    assert not list(folder.glob("*.zip"))


def test_a_notebook_that_is_nowhere_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(submission, "ROOT", tmp_path)
    with pytest.raises(submission.SubmissionError, match="Give its name"):
        submission.submit(1)


def test_earlier_notebooks_come_along(folder, built):
    (folder / "02_reinforce.ipynb").write_text((folder / f"{NAME}.ipynb").read_text().replace(NAME, "02_reinforce"))
    with zipfile.ZipFile(submission.submit(2).path) as archive:
        assert f"earlier/{NAME}.ipynb" in archive.namelist()


# --------------------------------------------------------------------------------------------------- Colab


@pytest.fixture
def colab(folder, monkeypatch):
    """A fake google.colab that hands over the notebook with unsaved changes, and records downloads."""
    solve(folder)
    content = json.loads((folder / f"{NAME}.ipynb").read_text())
    (folder / f"{NAME}.ipynb").unlink()  # in Colab there is no notebook file on the disk
    downloads: list[str] = []
    modules: dict[str, Any] = {
        name: types.ModuleType(name)
        for name in ("google", "google.colab", "google.colab._message", "google.colab.files")
    }
    modules["google.colab._message"].blocking_request = lambda kind, request, timeout_sec: {"ipynb": content}
    modules["google.colab.files"].download = downloads.append
    modules["google.colab"]._message = modules["google.colab._message"]
    modules["google.colab"].files = modules["google.colab.files"]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(submission, "in_colab", lambda: True)
    return folder, modules, downloads, content


def test_in_colab_the_page_hands_over_the_notebook_and_the_file_is_downloaded(colab):
    folder, _, downloads, _ = colab
    made = submission.submit(1)
    assert made.passed
    assert made.path.parent == folder
    assert downloads == [str(made.path)]


def test_when_colab_does_not_answer_an_uploaded_file_is_taken(colab, capsys):
    folder, modules, _, content = colab

    def refuse(kind, request, timeout_sec):
        raise TimeoutError("no answer")

    modules["google.colab._message"].blocking_request = refuse
    with pytest.raises(submission.SubmissionError, match=r"Download \.ipynb"):
        submission.submit(1)
    assert "Colab did not hand over the notebook (TimeoutError: no answer)" in capsys.readouterr().out
    (folder / f"{NAME}.ipynb").write_text(json.dumps(content))
    assert submission.submit(1).passed


def test_when_the_download_does_not_start_the_place_of_the_file_is_told(colab, capsys):
    _, modules, _, _ = colab

    def refuse(path):
        raise RuntimeError("blocked")

    modules["google.colab.files"].download = refuse
    made = submission.submit(1)
    assert made.path.exists()
    assert str(made.path) in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------- unsaved work


class Shell:
    """As much of IPython's shell as the check for unsaved work reads."""

    def __init__(self, *ran: str) -> None:
        self.user_ns = {"In": ["", *ran]}


def test_work_that_is_not_in_the_file_is_noticed(folder, monkeypatch):
    solve(folder, "return values")
    content = json.loads((folder / f"{NAME}.ipynb").read_text())
    monkeypatch.setattr(submission, "_shell", lambda: Shell("def double(values):\n    return values * 2"))
    (warning,) = submission.unsaved_changes(content, 1)
    assert warning.startswith("double: the file differs")
    monkeypatch.setattr(submission, "_shell", lambda: Shell("def double(values):\n    return values"))
    assert submission.unsaved_changes(content, 1) == []
