"""Part 2's run that is recorded with the course: whoever has none of their own reads every figure of the results from it."""

from __future__ import annotations

import json

import pytest
import torch

from autograder import masters
from helpers.assets.recipes import recorded
from helpers.models import load_policy
from helpers.notebook import unwritten
from helpers.presets import PRESETS
from helpers.reinforce import finished
from helpers.runs import History

SHOWN = ("reward", "kl", "surprise", "advantage", "gradient", "step_length", "length", "repetition")


@pytest.fixture(scope="module")
def reference():
    return load_policy("tiny", "cpu")[0]


def test_the_recorded_run_has_what_the_results_of_part_2_show(reference, capsys):
    """Figures read these columns; the policy is another than the reference; samples tell their step; no kept weights."""
    space = {"finished": finished, "reference": reference, "preset": PRESETS["tiny"]}
    exec(finished.LINE, space)
    policy, history = space["policy"], space["history"]
    assert set(SHOWN) <= set(history.columns)
    assert history.mean("reward", last=10) > 0.9 > history["reward"][0]
    assert abs(history["kl"][0]) < 0.01
    steps = {sample["step"] for sample in history.samples}
    assert min(steps) == 0
    assert max(steps) == len(history)
    assert "best_step" not in history.state
    same = zip(policy.parameters(), reference.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in same)
    assert f"{len(history)} steps. It is not yours." in capsys.readouterr().out


def test_cells_that_wait_offer_the_line_of_the_text():
    assert unwritten.RECORDED["history"] == ("finished", finished.LINE)
    assert f"`{finished.LINE}`" in masters.master_path(2).read_text(encoding="utf-8")


def test_no_other_presets_run_is_recorded(reference):
    with pytest.raises(ValueError, match="for the preset tiny only, not for gpt2"):
        finished.recorded_run(reference, PRESETS["gpt2"])


def test_a_training_is_recorded_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "ASSETS", tmp_path)
    monkeypatch.setattr("helpers.data.ASSETS", tmp_path)
    (tmp_path / "recorded").mkdir()
    state = tmp_path / "checkpoint" / "state.json"
    state.parent.mkdir()
    samples = [{"step": 0, "prompt": "the", "completion": " film"}]
    run = {"finished": True, "records": [{"step": 0.0, "kl": 0.123456}], "samples": samples, "state": {"best_step": 0}}
    state.write_text(json.dumps(run), encoding="utf-8")
    recorded.record_training(tmp_path)
    assert History(**finished.load_recorded(finished.RECORDED)) == History([{"step": 0.0, "kl": 0.1235}], samples)
    state.write_text(json.dumps(run | {"finished": False}), encoding="utf-8")
    with pytest.raises(ValueError, match="was not finished"):
        recorded.record_training(tmp_path)


def test_a_run_is_offered_where_it_is_recorded():
    assert finished.LINE in finished.offer(PRESETS["tiny"])
    assert finished.LINE not in finished.offer(PRESETS["gpt2"])
    assert "choose_preset('tiny')" in finished.offer(PRESETS["gpt2"])
