"""The oracles: definitions written from `docs/exercises.md` alone, and inputs for them."""

from __future__ import annotations

from tests.mutation.oracle import Oracle

from . import (
    truths_baseline,
    truths_continuing,
    truths_dpo,
    truths_frontier,
    truths_interpretability,
    truths_kl,
    truths_reinforce,
)

ORACLES: dict[str, Oracle] = {
    **truths_baseline.ORACLES,
    **truths_continuing.ORACLES,
    **truths_reinforce.ORACLES,
    **truths_kl.ORACLES,
    **truths_frontier.ORACLES,
    **truths_dpo.ORACLES,
    **truths_interpretability.ORACLES,
}

CHOICES = (
    "a question with one right answer for each entry: it has no arguments, and its wrong answers are in tests/variants"
)
QUESTIONS = (
    "three_models", "bar_numbers", "broken_steps", "resetting", "k3_in_the_loss", "negative_estimates",
    "broken_programs", "what_training_does",
)  # fmt: skip

WITHOUT = dict.fromkeys(QUESTIONS, CHOICES) | {
    "my_forecasts": "asks for the student's own opinion: it has no arguments, and any 26 numbers between 0 and 1 are right",
    "reinforce_step": "trains for seconds; its right and wrong steps stand in tests/variants/reinforce_step/",
    "dpo_step": "trains for seconds; its right and wrong steps stand in tests/variants/dpo_step/",
}
