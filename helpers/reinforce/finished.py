"""Part 2's training run as it was recorded with the course: for who reads the results without a run of their own."""

from __future__ import annotations

from transformers import PreTrainedModel

from helpers.data import load_recorded
from helpers.interpretability import policies
from helpers.presets import Preset
from helpers.runs import History

RECORDED = "reinforce"
TINY_ONLY = "A run is recorded for the preset tiny only: choose_preset('tiny')"
LINE = "policy, history = finished.recorded_run(reference, preset)"  # what a student runs


def offer(preset: Preset) -> str:
    """How to go on with the recorded run, or that there is none of this preset."""
    return f"With the recorded run: {LINE}" if preset.name == "tiny" else f"{TINY_ONLY}."


def recorded_run(reference: PreTrainedModel, preset: Preset) -> tuple[PreTrainedModel, History]:
    """The policy at the end of the recorded run (seed 0), and what `train` has noted on the way.

    The weights that early stopping kept are not recorded, so the history's state is empty.

    Args:
        reference: the policy before training; it is copied, not changed.
        preset: must be `tiny`.

    Raises:
        ValueError: the preset is another one, whose run is not recorded.
    """
    policy = policies.shipped(reference, preset, "REINFORCE")
    history = History(**load_recorded(RECORDED))
    print(f"The run recorded with the course: preset tiny, seed 0, {len(history)} steps. It is not yours.")
    return policy, history
