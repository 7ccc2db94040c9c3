"""The policies of Parts 2 and 4 as Part 5 looks at them: a student's own from `runs/`, or recorded samples."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import load_prompts, load_recorded
from helpers.generation import generate
from helpers.presets import Preset
from helpers.runs import FOLDERS, RUNS, load_weights


def load_tuned(base: PreTrainedModel, name: str = "REINFORCE", folder: Path = RUNS) -> PreTrainedModel | None:
    """The policy that this student trained, from `runs/`; None where there is none or it is of another preset.

    Args:
        base: the policy before training; it is copied, not changed.
        name: "REINFORCE" (Part 2) or "DPO" (Part 4).
    """
    tuned = copy.deepcopy(base)
    try:
        load_weights(tuned, folder / FOLDERS[name])
    except FileNotFoundError:
        return None
    except (RuntimeError, ValueError, KeyError):
        print(f"The weights in {folder / FOLDERS[name]} are of another preset: they are not used.")
        return None
    return tuned.eval()


def sample_texts(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, preset: Preset, count: int, seed: int = 0
) -> list[str]:
    """Texts (prompt and completion) that a policy writes to the first test prompts."""
    prompts = load_prompts(preset, "test")[:count]
    return generate(policy, tokenizer, prompts, preset.new_tokens, generator=seed).texts


def policy_samples(
    base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, preset: Preset, count: int
) -> dict[str, list[str]]:
    """Texts of the base policy and of the two tuned ones, to the same prompts.

    The base policy writes anew. For the tuned ones the student's own weights in `runs/` are used; where there are none,
    samples that were recorded when the course was made (with the `tiny` preset). What is used is printed.
    """
    texts = {"base": sample_texts(base, tokenizer, preset, count)}
    try:
        recorded = load_recorded("policy_samples")
    except FileNotFoundError:
        recorded = {}
    for name in FOLDERS:
        with torch.no_grad():
            tuned = load_tuned(base, name)
        if tuned is not None:
            texts[name] = sample_texts(tuned, tokenizer, preset, count)
            print(f"{name}: your own policy from {RUNS / FOLDERS[name]}")
        elif name in recorded:
            texts[name] = recorded[name][:count]
            print(f"{name}: recorded samples (there is no trained policy in {RUNS / FOLDERS[name]})")
        else:
            print(f"{name}: left out (there is no trained policy in {RUNS / FOLDERS[name]}, and no recorded samples)")
    return texts
