"""Part 4's trainings that are recorded with the course: whoever has none of their own answers every question from them."""

from __future__ import annotations

import json

import pytest
import torch

from helpers.assets.recipes import recorded
from helpers.dpo import recording
from helpers.models import load_policy
from helpers.presets import PRESETS
from helpers.runs import History

TINY = PRESETS["tiny"]
SHOWN = {"loss", "test_loss", "test_accuracy", "epoch_reward", "epoch_test loss"}
MEASURED = {"reward", "half_width", "second_reward", "kl", "length", "repetition"}


@pytest.fixture(scope="module")
def reference():
    return load_policy("tiny", "cpu")[0]


def test_the_recorded_trainings_have_what_part_4_shows(reference, capsys):
    """A row of the table for the reference and for each β of the sizes, all columns of the figures, and one policy."""
    policies, histories, scores, rows = recording.recorded_trainings(reference, TINY)
    assert tuple(histories) == tuple(scores) == TINY.sizes("dpo").betas
    for beta, row in zip(scores, rows[1:], strict=True):
        assert set(histories[beta].columns) >= SHOWN
        assert scores[beta].keys() >= MEASURED
        assert row["name"] == f"β = {beta:g}"
        assert row["kl"] == scores[beta]["kl"] > 1
    assert rows[0]["name"] == "reference"
    (policy,) = (policies[beta] for beta in [TINY.dpo.beta])
    assert not torch.equal(policy.lm_head.weight, reference.lm_head.weight)
    assert "They are not yours." in capsys.readouterr().out


def test_no_other_presets_trainings_are_recorded(reference):
    with pytest.raises(ValueError, match="for the preset tiny only, not for gpt2"):
        recording.recorded_trainings(reference, PRESETS["gpt2"])


def test_trainings_are_recorded_as_a_notebook_has_kept_them(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "ASSETS", tmp_path)
    monkeypatch.setattr("helpers.data.ASSETS", tmp_path)
    (tmp_path / "recorded").mkdir()
    rows = [{"name": "reference", "kl": 0.0}, {"name": "β = 0.1", "kl": 1.234567}]
    history = History([{"step": 0.0, "loss": 0.6931472}], [{"step": 0, "prompt": "the", "completion": " film"}])
    kept = recording.save_trainings({0.1: history}, {0.1: {"kl": 1.234567}}, rows, tmp_path / recording.KEPT.name)
    assert json.loads(kept.read_text(encoding="utf-8"))["rows"] == rows
    recorded.record_dpo(tmp_path)
    _, histories, scores, found = recording.recorded_trainings(reference, TINY)
    assert histories == {0.1: History([{"step": 0.0, "loss": 0.6931}], history.samples)}
    assert scores == {0.1: {"kl": 1.235}}
    assert found[1] == {"name": "β = 0.1", "kl": 1.235}
