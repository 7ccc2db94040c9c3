"""Kill -9 at any moment: the same call goes on and ends with the same figures, weights and files, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from helpers.parts import ROOT


@pytest.mark.slow
def test_a_run_that_is_killed_before_any_of_its_writes_ends_as_an_unbroken_one(tmp_path):
    """Between all renames, in the middle of a checkpoint, of the best weights, of a line of figures: see `killed.py`."""
    command = [sys.executable, "-m", "tests.helpers.killed", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    whole = found["whole"]
    assert [json.loads(line)["step"] for line in whole["metrics"]] == list(range(8))
    assert len(found["killed"]) > 30, "some of the writes are no longer seen"
    assert sum(one["resumable"] for one in found["killed"]) > 20, "most kills come after the first checkpoint"
    for number, one in enumerate(found["killed"], start=1):
        assert one["again"] == whole, f"killed before write {number}"
