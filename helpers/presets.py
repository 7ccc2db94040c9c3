"""Presets: which models, which text and which hyper-parameters a notebook uses. One code path serves all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import torch

from . import smollm2
from .devices import arithmetic_rate
from .display import tell
from .hub import Source, hub_status, in_local_cache, source_of
from .sizes import Sizes, choose_sizes


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of one part's training run."""

    learning_rate: float
    batch_size: int
    steps: int
    alpha: float = 0.0  # weight of the KL penalty (Part 3)
    beta: float = 0.1  # DPO's inverse temperature (Part 4)
    epochs: int = 1  # passes over the pairs (Part 4)
    min_gap: float = 0.0  # least reward gap of a pair (Part 4)


@dataclass(frozen=True)
class Preset:
    """Models, text and hyper-parameters that belong together."""

    name: str
    description: str
    policy: Source
    reward_model: Source
    second_reward_model: Source  # never trained on; it reads texts, so it judges any policy's
    prompts: Source
    new_tokens: int  # tokens generated after each prompt
    batch_size: int  # prompts per training step
    learning_rate: float  # of AdamW, unless a recipe says otherwise
    evaluation_batch_size: int
    evaluation_prompts: int  # how many test prompts an evaluation takes; 0 means all of them
    pair_prompts: int  # prompts whose completions become DPO's training pairs (Part 4)
    reinforce: Recipe
    kl: Recipe
    dpo: Recipe
    tiny: bool  # True: small enough to train on one CPU thread, several runs side by side
    lora_rank: int = 0  # of the low-rank adapter that is trained in place of the weights; 0: the weights

    def sizes(self, part: str, *, quick: bool = False, **changes: Any) -> Sizes:
        """How many steps, prompts and repetitions a part's notebook takes; `print` shows what each number decides.

        Args:
            part: `"baseline"`, `"reinforce"`, `"kl"`, `"dpo"` or `"interpretability"`.
            quick: the classroom setting, in less time, for the part that has one (`"kl"`).
            changes: your own numbers, for example `training_steps=50`.

        Raises:
            ValueError: there is no such part, or it has no classroom setting.
            TypeError: a change names no size of this part.
        """
        return choose_sizes(part, self, fast=fast(), quick=quick, **changes)


_TINY = Preset(
    name="tiny",
    description="a small GPT-2 and small classifiers made for this course, stored with it: runs anywhere, offline",
    policy=Source("policy", embedded=True),
    reward_model=Source("reward", embedded=True),
    second_reward_model=Source("gold", embedded=True),
    prompts=Source("data", embedded=True, kind="dataset"),
    new_tokens=24,
    batch_size=32,
    learning_rate=4e-4,
    evaluation_batch_size=64,
    evaluation_prompts=0,
    pair_prompts=1200,
    reinforce=Recipe(learning_rate=4e-4, batch_size=32, steps=160),
    kl=Recipe(learning_rate=3e-4, batch_size=32, steps=75, alpha=0.03),
    dpo=Recipe(learning_rate=3e-4, batch_size=16, steps=250, beta=0.1, epochs=2, min_gap=0.3),
    tiny=True,
)

# SmolLM2 trains through a low-rank adapter: checkpoints of 30 MB, and one copy of the large weights for policy and reference.
# Rate and steps of Part 3 were chosen by J (docs/smollm2.md has the table); Part 2's rate is the same, in more steps.
_SMOLLM2 = Preset(
    name="smollm2",
    description="SmolLM2 (135 M parameters) that was taught to write movie reviews, and the embedded classifiers: runs offline",
    policy=Source(smollm2.REVIEWS, converted=True),
    reward_model=Source("reward", embedded=True),
    second_reward_model=Source("gold", embedded=True),
    prompts=Source("data", embedded=True, kind="dataset"),
    new_tokens=24,
    batch_size=16,
    learning_rate=1e-3,
    evaluation_batch_size=32,
    evaluation_prompts=128,
    pair_prompts=300,
    reinforce=Recipe(learning_rate=1e-3, batch_size=16, steps=100),
    kl=Recipe(learning_rate=1e-3, batch_size=16, steps=40, alpha=0.03),
    dpo=Recipe(learning_rate=5e-4, batch_size=16, steps=60, beta=0.1, epochs=2, min_gap=0.3),
    tiny=False,
    lora_rank=8,
)

# Batch 32 and sequences of 30 tokens are the first assignment's. The other numbers are reasoned from the runs of `tiny` and
# from published runs on the same models and reviews; none has been measured by us on this policy: see docs/gpt2.md.
_GPT2 = Preset(
    name="gpt2",
    description="GPT-2 (124 M parameters) fine-tuned on IMDb reviews, from the Hugging Face hub: needs a GPU",
    policy=Source("lvwerra/gpt2-imdb"),  # its commit is not known to us: see unpinned_revisions()
    reward_model=Source("lvwerra/distilbert-imdb", revision="0fc02cd68445b599a9cb2da2368050e7fb31d29a"),
    second_reward_model=Source("gold", embedded=True),
    prompts=Source("stanfordnlp/imdb", revision="e6281661ce1c48d982bc483cf8a173c1bbeb5d31", kind="dataset"),
    new_tokens=24,  # with a prompt of about six tokens: sequences of about 30
    batch_size=32,
    learning_rate=3e-5,
    evaluation_batch_size=64,
    evaluation_prompts=1024,
    pair_prompts=4000,
    reinforce=Recipe(learning_rate=3e-5, batch_size=32, steps=400),
    kl=Recipe(learning_rate=3e-5, batch_size=32, steps=150, alpha=0.03),
    dpo=Recipe(learning_rate=2e-5, batch_size=16, steps=500, beta=0.1, epochs=2, min_gap=0.3),
    tiny=False,
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (_TINY, _SMOLLM2, _GPT2)}
ENOUGH = 250.0  # GFLOP/s at which `auto` takes SmolLM2 on a CPU; at 175 a step takes 7 s, and Part 2 takes 25 minutes


def fast() -> bool:
    """True when `COURSE_FAST=1` is set: notebooks then take few steps, for tests of the course itself."""
    return os.environ.get("COURSE_FAST", "") == "1"


def choose_preset(
    name: str = "auto",
    *,
    policy: str = "",
    reward_model: str = "",
    learning_rate: float = 0.0,
    lora_rank: int = 0,
    quiet: bool = False,
) -> Preset:
    """Return a preset and print which one it is and why.

    Args:
        name: `"tiny"`, `"smollm2"`, `"gpt2"` or `"auto"`. `"auto"` takes `gpt2` on a CUDA GPU that reaches the Hugging
            Face hub (or has the files in its cache). Otherwise it takes `smollm2` where that was fetched
            (`python -m helpers.smollm2`) and there is a GPU or a fast CPU, which is measured, and `tiny` everywhere else.
            The environment variable `COURSE_PRESET` replaces `"auto"`.
        policy, reward_model: models of your own choice in place of the preset's, see `with_models`; while a grader runs the
            notebook they, and the name, are left aside for the embedded models.
        learning_rate: in place of the preset's, in all three trainings; an own policy nearly always needs another.
        lora_rank: train an adapter of this rank in place of all weights, as a large policy asks for (it needs the package peft).
        quiet: print nothing.

    Raises:
        ValueError: there is no such preset, or no such model.
    """
    asked = name
    reason = "you asked for it"
    if only := os.environ.get("COURSE_ONLY_PRESET"):
        name, policy, reward_model, learning_rate, lora_rank = only, "", "", 0.0, 0
        reason = "a grader runs this notebook"
    if name == "auto":
        name = os.environ.get("COURSE_PRESET", "auto")
        reason = "the environment variable COURSE_PRESET asks for it"
    if name == "auto":
        name, reason = _automatic()
    if name not in PRESETS:
        raise ValueError(
            f"There is no preset {name!r} (asked: {asked!r}). Choose one of {', '.join(PRESETS)} or 'auto'."
        )
    preset = with_models(
        PRESETS[name], policy=policy, reward_model=reward_model, learning_rate=learning_rate, lora_rank=lora_rank
    )
    if not quiet:
        tell(f"Preset {preset.name!r}: {preset.description}.")
        tell(f"Why this one: {reason}.")
    return preset


def with_models(
    preset: Preset, *, policy: str = "", reward_model: str = "", learning_rate: float = 0.0, lora_rank: int = 0
) -> Preset:
    """Return a preset with other models; its text, its sizes and all other numbers stay.

    Args:
        preset: what stays where nothing else is said.
        policy: a causal language model: a folder that `save_pretrained` wrote, `"owner/name"` on the hub, or
            `"owner/name@revision"`.
        reward_model: a classifier with a negative and a positive label, named in the same ways; or `"reward"` or `"gold"`,
            the embedded ones.
        learning_rate: of AdamW, in all trainings.
        lora_rank: of the adapter that is trained in place of all weights.

    Raises:
        ValueError: a name is no folder and no repository's name, or the learning rate or the rank is below 0.
    """
    if learning_rate < 0 or lora_rank < 0:
        raise ValueError(f"a learning rate and a rank are positive numbers, not {min(learning_rate, lora_rank)}")
    named = {part: source_of(text) for part, text in (("policy", policy), ("reward_model", reward_model)) if text}
    changes: dict[str, Any] = dict(named)
    told = [f"{part.replace('_', ' ')} {source.name}" for part, source in named.items()]
    if policy:
        changes["tiny"] = False  # nothing is known of its size
    if learning_rate:
        told.append(f"learning rate {learning_rate:g}")
        changes["learning_rate"] = learning_rate
        recipes = {part: getattr(preset, part) for part in ("reinforce", "kl", "dpo")}
        changes |= {part: replace(recipe, learning_rate=learning_rate) for part, recipe in recipes.items()}
    if lora_rank:
        told.append(f"an adapter of rank {lora_rank}")
        changes["lora_rank"] = lora_rank
    if not told:
        return preset
    chosen = ", ".join(told)
    return replace(
        preset, name=f"{preset.name} with {chosen}", description=f"{preset.description}; but {chosen}", **changes
    )


def _automatic() -> tuple[str, str]:
    """Return the preset that `auto` stands for on this machine, and the reason."""
    if not torch.cuda.is_available():
        return _without_the_hub("this machine has no CUDA GPU, and GPT-2 would be too slow without one")
    if in_local_cache(sources(PRESETS["gpt2"])):
        return "gpt2", "there is a CUDA GPU, and the models are in the local hub cache"
    reachable, why = hub_status(PRESETS["gpt2"].policy.name)
    if reachable:
        return "gpt2", f"there is a CUDA GPU, and {why}"
    return _without_the_hub(f"there is a CUDA GPU, but {why}; run the cell again when the hub can be reached for GPT-2")


def _without_the_hub(why: str) -> tuple[str, str]:
    """Return `smollm2` where it was fetched and this machine is fast enough for it, else `tiny`, and the reason."""
    if not smollm2.converted(smollm2.REVIEWS):
        return "tiny", why
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return "smollm2", f"{why}; SmolLM2 is on this machine, and there is a GPU for it"
    rate = arithmetic_rate()
    why = f"{why}; SmolLM2 is on this machine"
    measured = f"{rate:.0f} GFLOP/s measured, {ENOUGH:.0f} wanted"
    if rate >= ENOUGH:
        return "smollm2", f"{why}, and the CPU is fast enough for it ({measured})"
    return "tiny", f"{why}, but the CPU is slow for it ({measured}); choose_preset('smollm2') takes it all the same"


def sources(preset: Preset) -> list[Source]:
    """Return the models and the data set of a preset."""
    return [preset.policy, preset.reward_model, preset.second_reward_model, preset.prompts]


def unpinned_revisions() -> list[Source]:
    """Return the hub repositories that are used at `main` and not at a fixed commit, for `course doctor` to report.

    Look up the commit under "Files and versions" on the repository's page, and write it into this file.
    """
    return [source for preset in PRESETS.values() for source in sources(preset) if not source.pinned]
