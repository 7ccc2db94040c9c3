"""A student's view of all parts: what is written, passes, fails and is open, read from the files, and no training is run."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.notebook import places, progress
from helpers.notebook.notebook_file import read_notebook
from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

RIGHT = """def token_log_probs(logits, ids):
    return logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]"""
WRONG = "def discounted_returns(rewards, discount):\n    return rewards * 0"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A student's folder with Part 2: one exercise right, one wrong, one question answered, a training cell that must not run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    monkeypatch.setattr(places, "ROOT", tmp_path)
    content = read_notebook(ROOT / "notebooks" / f"{PARTS[2]}.ipynb")
    answers = {"q2_1-answer": RIGHT, "q2_6-answer": WRONG, "w2_1-answer": "Because."}
    for cell in content["cells"]:
        cell["source"] = answers.get(cell["id"], cell["source"])
    content["cells"].insert(5, {"cell_type": "code", "source": "open('ran', 'w')", "metadata": {"tags": ["training"]}})
    (tmp_path / f"{PARTS[2]}.ipynb").write_text(json.dumps(content))

    def in_this_process(command, **options):
        said = io.StringIO()
        monkeypatch.setattr(sys, "stdout", said)
        progress.main(command[3:])
        monkeypatch.undo()
        return subprocess.CompletedProcess(command, 0, said.getvalue().encode())

    monkeypatch.setattr(progress.subprocess, "run", in_this_process)
    tests = tmp_path / "tests"
    tests.mkdir()
    for question in ("q2_1", "q2_6"):
        shutil.copy(ROOT / "notebooks" / "tests" / f"{question}.py", tests)
    return tmp_path


def states(found: progress.Progress) -> dict[str, str]:
    return {item.label: item.state for item in found.items}


def test_each_question_is_told_with_its_points(here):
    found = progress.progress()
    told = states(found)
    assert told["Exercise 2.1"] == "passes"
    assert told["Exercise 2.6"] == "fails"
    assert told["Question 2.A"] == "answered"
    assert {told[label] for label in ("Exercise 2.2", "Question 2.B", "Exercise 1.2", "Written question 5.1")} == {
        "open"
    }
    assert not (here / "ran").exists()
    text = repr(found)
    assert f"Part 2, {here / PARTS[2]}.ipynb (saved 20" in text
    assert "Part 3, no notebook with work of yours was found" in text
    assert "✓ Exercise 2.1 (4 points): passes its public tests" in text
    assert "exercises with 4 points pass their public tests" in text
    assert found.points() == sum(question["points"] for question in progress.questions().values())
    assert "<pre" in found._repr_html_()


def test_what_is_open_or_fails_is_told_with_the_time_it_may_take(here):
    """A question that passes, or is answered, counts no more; an optional one never does."""
    found = progress.progress([2])
    left = sum(item.minutes for item in found.items if item.state in ("open", "fails"))
    assert f"is about {progress.hours(left)} of work" in found.summary
    done = 20 + 40  # Exercise 2.1 (●●○) and the four points of 2.A
    assert left == sum(item.minutes for item in found.items) - done
    optional = [item for item in progress.progress().items if item.label == "Exercise 4.7"]
    assert [item.minutes for item in optional] == [0]


@pytest.mark.parametrize(
    ("minutes", "told"), [(3, "5 minutes"), (72, "70 minutes"), (120, "2 hours"), (160, "2½ hours"), (1515, "25 hours")]
)
def test_time_is_told_no_finer_than_it_is_known(minutes, told):
    assert progress.hours(minutes) == told


def test_what_did_not_run_is_not_called_wrong(here, monkeypatch):
    """No tests beside the notebook (nbgrader), or a function that never ends."""
    monkeypatch.setattr(progress, "tests_folders", lambda part: [])
    assert states(progress.progress([2]))["Exercise 2.1"] == "written"


def test_every_question_of_the_notebooks_is_found_by_its_label():
    """A placeholder is seen as open, and nothing else, in every part."""
    for part in PARTS:
        cells = read_notebook(ROOT / "notebooks" / f"{PARTS[part]}.ipynb")["cells"]
        labels = [
            question["label"]
            for name, question in progress.questions().items()
            if progress.part_of_question(name) == part and not question["function"]
        ]
        assert len(labels) == sum(cell["source"].strip() == ANSWER_PLACEHOLDER for cell in cells)
        assert [label for label in labels if progress.answered(cells, label)] == []
        for cell in cells:
            if cell["source"].strip() == ANSWER_PLACEHOLDER:
                cell["source"] = "Because."
        assert [label for label in labels if not progress.answered(cells, label)] == []
