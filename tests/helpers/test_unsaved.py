"""Work that ran and is not in the file is noticed, however its cell begins; what is only written otherwise is not."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from helpers.notebook import unsaved

FIRST = "def token_log_probs(logits, ids):\n    return 1"
BETTER = "def token_log_probs(logits, ids):\n    return 2"
STUB = 'def token_log_probs(logits, ids):\n    """Doc."""\n    ...'


def notebook(*cells: str, counts: tuple[int | None, ...] = ()) -> dict:
    counts = counts or (None,) * len(cells)
    return {
        "cells": [
            {"cell_type": "code", "source": cell, "execution_count": count}
            for cell, count in zip(cells, counts, strict=True)
        ]
    }


def typed(*ran: str) -> SimpleNamespace:
    """As much of IPython's shell as is read, with the cells that ran."""
    return SimpleNamespace(user_ns={"In": ["", *ran]})


UNSAVED = {
    "first version saved, improved, run, not saved": ([FIRST], [FIRST, BETTER]),
    "begins with an import": ([f"import torch\n{FIRST}"], [f"import torch\n{BETTER}"]),
    "begins with a decorator": ([f"@torch.no_grad()\n{FIRST}"], [f"@torch.no_grad()\n{BETTER}"]),
    "only a decorator more": ([FIRST], [f"@torch.no_grad()\n{FIRST}"]),
    "begins with %%time": ([f"%%time\n{FIRST}"], [f"%%time\n{BETTER}"]),
    "begins with a comment": ([f"# mine\n{FIRST}"], [f"# mine\n{BETTER}"]),
    "begins with a line magic": ([f"%matplotlib inline\n{FIRST}"], [f"%matplotlib inline\n{BETTER}"]),
    "begins with blank lines": ([f"\n\n{FIRST}"], [f"\n\n{BETTER}"]),
    "stands in an if": ([FIRST], [f"if True:\n    {BETTER.replace(chr(10), chr(10) + '    ')}"]),
    "is no def": ([FIRST], ["token_log_probs = lambda logits, ids: 2"]),
    "stands nowhere in the file": (["x = 1"], [BETTER]),
    "is the stub in the file": ([STUB], [BETTER]),
    "the file does not parse": (["def token_log_probs(logits"], [BETTER]),
    "the file is empty": ([], [BETTER]),
    "a value is another": ([FIRST.replace("1", "x"), "x = 1"], [FIRST.replace("1", "x"), "x = 2"]),
}


@pytest.mark.parametrize("case", UNSAVED)
def test_work_that_is_not_in_the_file_is_noticed(case):
    file, ran = UNSAVED[case]
    (warning,) = unsaved.unsaved_work(typed(*ran), notebook(*file), 2)
    assert "the file differs from the cell you ran" in warning
    assert warning.startswith("x:" if case == "a value is another" else "token_log_probs:")


SAVED = {
    "the same": ([FIRST], [FIRST]),
    "other comments, blanks and line breaks": (
        [FIRST],
        ["# why\ndef token_log_probs(logits,\n        ids):  # x\n\n    return (1)"],
    ),
    "an older version was run before": ([BETTER], [FIRST, BETTER]),
    "two versions stand in the file": ([FIRST, BETTER], [BETTER, FIRST]),
    "the stub was run, the file is ahead": ([FIRST], [STUB]),
    "something of no exercise": (["y = 1"], ["y = 2", "def scratch():\n    return 1"]),
    "a cell that failed to parse": ([FIRST], [FIRST, "def token_log_probs(logits"]),
    "nothing was run": ([FIRST], []),
}


@pytest.mark.parametrize("case", SAVED)
def test_what_is_in_the_file_is_not_warned_of(case):
    file, ran = SAVED[case]
    assert unsaved.unsaved_work(typed(*ran), notebook(*file), 2) == []


def test_a_helper_function_that_an_exercise_uses_counts():
    mine = FIRST.replace("1", "help_me(ids)")
    (warning,) = unsaved.unsaved_work(typed("def help_me(x):\n    return x", mine), notebook(mine), 2)
    assert warning.startswith("help_me:")


@pytest.mark.parametrize("magic", ["%%time\n", "%%capture\n", "%matplotlib inline\n", ""])
def test_cells_are_read_as_ipython_keeps_them(magic):
    """With IPython's own history of what was typed, and with the transformed cells in `In` alone."""
    shell = InteractiveShell()
    shell.run_cell(f"{magic}{BETTER}", store_history=True)
    transformed = SimpleNamespace(user_ns={"In": list(shell.user_ns["In"])})
    for running in (shell, transformed):
        running_names = unsaved.differing(running, notebook(f"{magic}{FIRST}"), 2)
        assert running_names == ["token_log_probs"]
        assert unsaved.differing(running, notebook(f"{magic}{BETTER}"), 2) == []


def test_a_file_older_than_the_last_cell_may_lack_written_answers(tmp_path):
    """By the clock that the first cell starts; where it does not run, by the numbers of the cells in the file."""
    path = tmp_path / "02_reinforce.ipynb"
    path.write_text("{}")
    running = SimpleNamespace(user_ns={"In": [FIRST]}, execution_count=9)
    setattr(running, unsaved.CLOCK, time.time())
    assert unsaved.unsaved_work(running, notebook(FIRST), 2, path) == []
    os.utime(path, (time.time() - 600,) * 2)
    (warning,) = unsaved.unsaved_work(running, notebook(FIRST), 2, path)
    assert "written answers too" in warning
    assert "Ctrl+S" in warning
    setattr(running, unsaved.CLOCK, 0.0)
    assert unsaved.unsaved_work(running, notebook(FIRST, counts=(8,)), 2, path) == []
    assert len(unsaved.unsaved_work(running, notebook(FIRST, counts=(7,)), 2, path)) == 1


def test_the_clock_runs_with_every_cell(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(unsaved, "shell", lambda: shell)
    unsaved.keep_time()
    unsaved.keep_time()
    before = time.time()
    shell.run_cell("x = 1", store_history=True)
    assert getattr(shell, unsaved.CLOCK) >= before
