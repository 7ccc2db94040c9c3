"""The preset `gpt2` on stand-ins: Part 2 runs from its first cell to its last, and the estimates are what the docs say.

The other parts, and the true sizes: docs/gpt2.md has the two commands.
"""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from autograder.rehearse.run import executed_path, run_part
from benchmarks.t4_estimate import GPT2, T4, T4_HALF, Shape, Work, forward, parts, sample, table, update
from helpers.parts import ROOT
from helpers.presets import PRESETS
from tests.hub_cache import write_hub_cache


@pytest.fixture
def stand_ins(tmp_path, monkeypatch) -> Path:
    """A hub cache with small random models, and the settings of a machine without the hub."""
    write_hub_cache(tmp_path / "cache" / "hub", layers=2, width=64, tokens=2000, judge_layers=2, reviews=600)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("COURSE_ONLY_PRESET", raising=False)
    return tmp_path


@pytest.mark.slow
def test_part_2_runs_with_gpt2_and_asks_the_second_opinion(stand_ins):
    run = run_part(2, fast=True, preset="gpt2", folder=stand_ins / "run")
    assert run.ok, run.error
    cells = nbformat.read(executed_path(2, stand_ins / "run"), as_version=4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert "Preset 'gpt2'" in printed
    assert "the second reward model (never trained on): highest at step" in printed
    assert {"2_judges_part", "2_second_gains_less"} <= run.claims.keys(), (
        "claims on the second opinion are made here too"
    )
    points = json.loads((stand_ins / "run" / "work" / "runs" / "frontier.json").read_text(encoding="utf-8"))
    assert all(0 < point["second_reward"] < 1 for point in points)


def test_operations_are_counted_as_by_hand():
    small = Shape(layers=1, width=2, scored=3)
    assert small.weights == 4 * 4 + 2 * 2 * 8  # attention: four matrices of 2 × 2; MLP: 2 × 8 and 8 × 2
    assert forward(small, texts=5, length=7).operations == 2 * 35 * (48 + 6) + 4 * 5 * 49 * 2
    assert update(small, 5, 7).operations == 3 * forward(small, 5, 7).operations
    assert sample(small, prompts=8, new=3, batch=4).waits == 6
    assert abs(GPT2.parameters / 124e6 - 1) < 0.01
    assert Work(T4.peak * T4.share, 10, 0).seconds(T4) == 1 + 10 * T4.wait


def test_the_docs_have_the_estimates_of_todays_sizes(monkeypatch):
    """A changed step count or batch changes the times: print them anew with `python benchmarks/t4_estimate.py`."""
    monkeypatch.delenv("COURSE_FAST", raising=False)  # what ran before in this process may have asked for small sizes
    page = (ROOT / "docs" / "gpt2.md").read_text(encoding="utf-8")
    assert table(PRESETS["gpt2"], (T4, T4_HALF)) in page
    minutes = {part: work.seconds(T4) / 60 for part, work in parts(PRESETS["gpt2"]).items()}
    for part, (least, most) in {1: (0, 0.6), 2: (7, 9), 3: (25, 35), 4: (10, 17), 5: (0, 3)}.items():
        assert least < minutes[part] < most, f"docs/students.md says otherwise of part {part}"


def test_the_page_names_the_numbers_of_the_preset():
    page = (ROOT / "docs" / "gpt2.md").read_text(encoding="utf-8")
    preset = PRESETS["gpt2"]
    rate = f"{preset.kl.learning_rate:.0e}".replace("e-0", "e-")
    assert f"**{rate}** | 32, **{preset.reinforce.steps}** and **{preset.kl.steps}** steps" in page
    assert f"α = {preset.kl.alpha:g} in the middle" in page
    assert f"**{preset.dpo.learning_rate:.0e}".replace("e-0", "e-") in page
