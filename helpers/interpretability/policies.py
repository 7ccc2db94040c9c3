"""The policies of Parts 2 to 4 as Part 5 looks at them: a student's own from `runs/`, or those that come with the course."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import load_prompts
from helpers.generation import generate
from helpers.hub import ASSETS
from helpers.models import trainable_copy
from helpers.presets import Preset
from helpers.runs import FOLDERS, RUNS, load_weights
from helpers.weights import CheckpointError

SHIPPED = ASSETS / "tuned"  # of the preset tiny
LARGEST = 127  # of a signed byte


def load_own(base: PreTrainedModel, preset: Preset, name: str, folder: Path = RUNS) -> PreTrainedModel | None:
    """The policy that this student trained, from `runs/`; None where there is none, or it is damaged or of another preset.

    Args:
        base: the policy before training; it is copied, not changed.
        name: a name of `helpers.runs.FOLDERS`.
    """
    tuned = trainable_copy(base, preset)
    try:
        load_weights(tuned, folder / FOLDERS[name])
    except FileNotFoundError:
        return None
    except CheckpointError as error:
        print(f"{error} They are not used.")
        return None
    return tuned.eval()


@torch.no_grad()
def differences(tuned: PreTrainedModel, base: PreTrainedModel) -> dict[str, Tensor]:
    """What training has changed, in a byte a weight: for each parameter `[…, n]` int8, and float32 `[…, 1]` to multiply it by."""
    found = {}
    for (name, after), before in zip(tuned.named_parameters(), base.parameters(), strict=True):
        change = after - before  # […, n]
        scale = change.abs().amax(-1, keepdim=True) / LARGEST  # […, 1]
        found[name] = (change / scale.clamp(min=torch.finfo(torch.float32).tiny)).round().to(torch.int8)
        found[f"{name}.scale"] = scale
    return found


@torch.no_grad()
def changed(base: PreTrainedModel, found: Mapping[str, Tensor]) -> PreTrainedModel:
    """A copy of the base policy with such differences added.

    Raises:
        KeyError, RuntimeError: the differences are those of another model.
    """
    tuned = copy.deepcopy(base)
    for name, weights in tuned.named_parameters():
        weights += found[name] * found[f"{name}.scale"]
    return tuned.eval()


def shipped(base: PreTrainedModel, preset: Preset, name: str) -> PreTrainedModel:
    """The tuned policy of a name in `FOLDERS` that comes with the course; `base` is copied, not changed.

    Raises:
        ValueError: the preset is not `tiny`, and no other preset's trainings are recorded.
    """
    if preset.name != "tiny":
        raise ValueError(
            f"trainings are recorded for the preset tiny only, not for {preset.name}: choose_preset('tiny')"
        )
    return changed(base, load_file(SHIPPED / f"{FOLDERS[name]}.safetensors"))


def load_tuned(base: PreTrainedModel, preset: Preset, name: str) -> PreTrainedModel | None:
    """A tuned policy: the student's own from `runs/`, or with the preset `tiny` the one that comes with the course.

    What is used is printed. None where there is neither.
    """
    own = load_own(base, preset, name)
    if own is not None:
        print(f"{name}: your own policy from {RUNS / FOLDERS[name]}")
        return own
    if preset.name == "tiny":
        print(f"{name}: the policy that comes with the course (there is none of yours in {RUNS / FOLDERS[name]})")
        return shipped(base, preset, name)
    print(
        f"{name}: left out (there is none in {RUNS / FOLDERS[name]}, and the course has one for the preset tiny only)"
    )
    return None


def all_policies(base: PreTrainedModel, preset: Preset) -> dict[str, PreTrainedModel]:
    """The base policy and the tuned ones that there are, by name."""
    tuned = {name: load_tuned(base, preset, name) for name in FOLDERS}
    return {"base": base} | {name: policy for name, policy in tuned.items() if policy is not None}


def sample_texts(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, preset: Preset, count: int, seed: int = 0
) -> list[str]:
    """Texts (prompt and completion) that a policy writes to the first test prompts."""
    prompts = load_prompts(preset, "test")[:count]
    return generate(policy, tokenizer, prompts, preset.new_tokens, generator=seed).texts
