"""Part 4's trainings with several β in a file: kept after a run, and recorded with the course for who has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from helpers.data import load_recorded
from helpers.interpretability import policies
from helpers.presets import Preset
from helpers.runs import RUNS, History, write_whole

RECORDED = "dpo"
KEPT = RUNS / "dpo_trainings.json"
Scores = dict[float, dict[str, float]]  # by β: what `reward_and_kl` measures
Rows = list[dict[str, Any]]  # the table of section 4.6, the reference first


def save_trainings(histories: Mapping[float, History], scores: Scores, rows: Rows, path: Path = KEPT) -> Path:
    """Keep the trainings' curves and what was measured of the trained policies, by β."""
    found = [
        {"beta": beta, "records": histories[beta].records, "samples": histories[beta].samples, "scores": scores[beta]}
        for beta in scores
    ]
    return write_whole(path, json.dumps({"trainings": found, "rows": rows}))


def recorded_trainings(
    reference: PreTrainedModel, preset: Preset
) -> tuple[dict[float, PreTrainedModel], dict[float, History], Scores, Rows]:
    """The trainings recorded with the course (seed 0): policies, histories, scores by β, and the table of section 4.6.

    Of the policies only that of the preset's β is there.

    Args:
        reference: the policy before training; it is copied, not changed.
        preset: must be `tiny`.

    Raises:
        ValueError: the preset is another one, whose trainings are not recorded.
    """
    policy = policies.shipped(reference, preset, "DPO")
    found = load_recorded(RECORDED)
    histories = {run["beta"]: History(run["records"], run["samples"]) for run in found["trainings"]}
    scores = {run["beta"]: run["scores"] for run in found["trainings"]}
    told = ", ".join(f"{beta:g}" for beta in histories)
    print(f"The trainings recorded with the course: preset tiny, seed 0, β = {told}. They are not yours.")
    return {preset.dpo.beta: policy}, histories, scores, found["rows"]
