"""The sizes of the notebooks: every number of a full run and of a fast one, and how a student changes one."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from helpers.presets import PRESETS
from helpers.sizes import choose_sizes, table

ROOT = Path(__file__).parents[2]

FULL: dict[str, dict[str, Any]] = {
    "baseline": {"rated_sentences": None, "test_prompts": None},
    "reinforce": {
        "training_steps": 160,
        "dry_run_steps": 5,
        "experiment_batches": 2000,
        "test_prompts": 512,
        "watched_prompts": 64,
        "cartpole_iterations": 40,
        "lander_iterations": 150,
        "lander_episodes": 10,
    },
    "kl": {"steps": 75, "alphas": (0.0, 0.01, 0.03, 0.1, 1.0), "held_out": 256, "best_of_prompts": 128},
    "dpo": {
        "train_prompts": 1200,
        "test_prompts": 250,
        "completions_per_prompt": 4,
        "evaluation_prompts": 256,
        "epochs": 2,
        "betas": (0.1, 0.25, 0.5),
        "experiment_pairs": 256,
        "trl_steps": 16,
    },
    "interpretability": {
        "shap_evaluations": 250,
        "longest_exact_sentence": 11,
        "sentences": None,
        "samples_per_policy": 24,
        "prompts_each": 10,
        "subsets": None,
        "head_orders": 40,
        "circuits_tried": None,
        "reward_steps": 150,
        "real_model": True,
    },
}
FAST: dict[str, dict[str, Any]] = {
    "baseline": {"rated_sentences": 200, "test_prompts": 96},
    "reinforce": {
        "training_steps": 6,
        "dry_run_steps": 2,
        "experiment_batches": 200,
        "test_prompts": 32,
        "watched_prompts": 8,
        "cartpole_iterations": 2,
        "lander_iterations": 1,
        "lander_episodes": 2,
    },
    "kl": {"steps": 3, "alphas": (0.0, 0.03), "held_out": 8, "best_of_prompts": 4},
    "dpo": {
        "train_prompts": 40,
        "test_prompts": 20,
        "completions_per_prompt": 4,
        "evaluation_prompts": 16,
        "epochs": 1,
        "betas": (0.1, 0.5),
        "experiment_pairs": 32,
        "trl_steps": 2,
    },
    "interpretability": {
        "shap_evaluations": 60,
        "longest_exact_sentence": 6,
        "sentences": 3,
        "samples_per_policy": 4,
        "prompts_each": 2,
        "subsets": 4,
        "head_orders": 2,
        "circuits_tried": 20,
        "reward_steps": 5,
        "real_model": False,
    },
}
# What differs with the larger models.
GPT2_FULL: dict[str, dict[str, Any]] = {
    "baseline": {"test_prompts": 1024},
    "reinforce": {"training_steps": 400, "test_prompts": 1024},
    "kl": {"steps": 150},
    "dpo": {"train_prompts": 4000},
}


@pytest.mark.parametrize("part", FULL)
def test_values(part, monkeypatch):
    """The figures in the text and the times of the course's own tests hang on these numbers."""
    tiny, gpt2 = PRESETS["tiny"], PRESETS["gpt2"]
    monkeypatch.delenv("COURSE_FAST", raising=False)
    assert dataclasses.asdict(tiny.sizes(part)) == FULL[part]
    assert dataclasses.asdict(gpt2.sizes(part)) == FULL[part] | GPT2_FULL.get(part, {})
    monkeypatch.setenv("COURSE_FAST", "1")
    assert dataclasses.asdict(tiny.sizes(part)) == FAST[part]
    assert dataclasses.asdict(gpt2.sizes(part)) == FAST[part], "a test of the course takes few prompts of any model"


@pytest.mark.parametrize("name", PRESETS)
def test_the_strengths_of_the_penalty_go_from_none_to_too_much(name):
    """Rewards lie between 0 and 1 with every preset: at α = 1 a nat costs their whole range, at the preset's α little of it."""
    preset = PRESETS[name]
    alphas = choose_sizes("kl", preset, fast=False).alphas
    assert alphas[0] == 0
    assert preset.kl.alpha in alphas
    assert max(alphas) >= 1
    assert 0.01 <= preset.kl.alpha <= 0.1


def test_classroom(monkeypatch):
    tiny = PRESETS["tiny"]
    classroom = choose_sizes("kl", tiny, fast=False, quick=True)
    assert dataclasses.asdict(classroom) == {
        "steps": 37,
        "alphas": (0.0, 0.03, 0.1, 1.0),
        "held_out": 128,
        "best_of_prompts": 64,
    }
    assert choose_sizes("kl", PRESETS["gpt2"], fast=False, quick=True).steps == 75
    with pytest.raises(ValueError, match="no classroom setting"):
        choose_sizes("dpo", tiny, fast=False, quick=True)
    monkeypatch.setenv("COURSE_FAST", "1")
    assert dataclasses.asdict(tiny.sizes("kl", quick=True)) == FAST["kl"], "the tests' switch goes first"


def test_change():
    sizes = choose_sizes("reinforce", PRESETS["tiny"], fast=False, training_steps=7)
    assert sizes.training_steps == 7
    assert dataclasses.asdict(sizes) == FULL["reinforce"] | {"training_steps": 7}
    assert choose_sizes("reinforce", PRESETS["tiny"], fast=True, training_steps=7).training_steps == 6
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(sizes, "training_steps", 8)  # noqa: B010 (an assignment would not pass the type checker)
    with pytest.raises(TypeError, match=r"training_step\b.*training_steps"):
        choose_sizes("reinforce", PRESETS["tiny"], fast=False, training_step=7)
    with pytest.raises(ValueError, match="no sizes for 'part6'"):
        choose_sizes("part6", PRESETS["tiny"], fast=False)


@pytest.mark.parametrize("part", FULL)
def test_shown(part):
    """A student sees each name, its number and what it decides; no line is wider than a notebook's cell."""
    rows = table(part, PRESETS["tiny"])
    lines = str(choose_sizes(part, PRESETS["tiny"], fast=False)).splitlines()
    assert len(lines) == len(rows) == len(set(rows))
    for line, (name, row) in zip(lines, rows.items(), strict=True):
        assert re.fullmatch(
            rf"{name} += {'all' if row.full is None else re.escape(str(row.full))} +{re.escape(row.decides)}", line
        )
        assert len(line) <= 120


@pytest.mark.parametrize(("number", "part"), enumerate(FULL, start=1))
def test_masters(number, part):
    """A master takes all its sizes from here, uses each of them, and does not know the tests' switch."""
    text = next((ROOT / "solutions").glob(f"0{number}_*.py")).read_text(encoding="utf-8")
    assert f'sizes = preset.sizes("{part}"' in text
    assert set(re.findall(r"\bsizes\.(\w+)", text)) == set(FULL[part])
    assert len(re.findall(r"^sizes\b.*=|for .*\bsizes in\b", text, flags=re.MULTILINE)) == 1, (
        "another thing has their name"
    )
    assert "fast()" not in text
    assert "COURSE_FAST" not in text
