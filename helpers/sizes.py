"""How much of everything a notebook does: training steps, prompts, repetitions. A row for each, in one table a part.

A full run takes the first number of a row. The course's own tests (`COURSE_FAST=1`) take the second: they ask whether a
notebook runs, not what it learns. A part may have a third, for a classroom with less time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable


@runtime_checkable
class Scale(Protocol):
    """What of a preset decides how much is done: how long its evaluations and training runs are meant to be."""

    @property
    def evaluation_prompts(self) -> int: ...
    @property
    def pair_prompts(self) -> int: ...
    @property
    def reinforce(self) -> Any: ...
    @property
    def kl(self) -> Any: ...
    @property
    def dpo(self) -> Any: ...


class SizeRow(NamedTuple):
    """One size in its settings, and what it decides. Where a number counts things, `None` takes all there are."""

    decides: str
    full: Any
    fast: Any
    classroom: Any = None


@dataclass(frozen=True)
class Sizes:
    """The sizes of one notebook, as read-only attributes. `print` shows them with what each decides."""

    if TYPE_CHECKING:  # each part has other names: `sizes_of` adds the fields

        def __getattr__(self, name: str) -> Any: ...

    def __str__(self) -> str:
        shown = {row.name: "all" if (value := getattr(self, row.name)) is None else str(value) for row in fields(self)}
        name_width, value_width = max(map(len, shown)), max(map(len, shown.values()))
        lines = (
            f"{row.name:{name_width}} = {shown[row.name]:{value_width}}  {row.metadata['decides']}"
            for row in fields(self)
        )
        return "\n".join(lines)


def table(part: str, preset: Scale) -> dict[str, SizeRow]:
    """The sizes of a part with a preset, in every setting.

    Args:
        part: `"baseline"`, `"reinforce"`, `"kl"`, `"dpo"` or `"interpretability"`.
        preset: its recipes hold the training steps, and it may ask for fewer evaluation prompts than there are.

    Raises:
        ValueError: there is no such part.
    """
    tables = {
        "baseline": _baseline,
        "reinforce": _reinforce,
        "kl": _kl,
        "dpo": _dpo,
        "interpretability": _interpretability,
    }
    if part not in tables:
        raise ValueError(f"There are no sizes for {part!r}. Choose one of {', '.join(tables)}.")
    return tables[part](preset)


def _baseline(preset: Scale) -> dict[str, SizeRow]:
    return {
        "rated_sentences": SizeRow("sentences rated by people on which the reward model is judged", None, 200),
        "test_prompts": SizeRow("test prompts of the evaluation", preset.evaluation_prompts or None, 96),
    }


def _reinforce(preset: Scale) -> dict[str, SizeRow]:
    prompts = preset.evaluation_prompts
    return {
        "training_steps": SizeRow("batches of completions in the training run", preset.reinforce.steps, 6),
        "dry_run_steps": SizeRow("batches in the dry run before it", 5, 2),
        "experiment_batches": SizeRow("repetitions in the baseline experiment", 2000, 200),
        "test_prompts": SizeRow("prompts of an evaluation", prompts or 512, 32),
        "watched_prompts": SizeRow("prompts completed now and then during training", 64, 8),
        "cartpole_iterations": SizeRow("updates on the pole, from 8 episodes each (optional section)", 40, 2),
        "lander_iterations": SizeRow("updates on the ship (optional section)", 150, 1),
        "lander_episodes": SizeRow("episodes for each of them", 10, 2),
    }


def _at_most(preset: Scale, count: int) -> int:
    """So many prompts, or as many as an evaluation of this preset takes, if those are fewer."""
    return min(count, preset.evaluation_prompts or count)


def _kl(preset: Scale) -> dict[str, SizeRow]:
    steps, alpha = preset.kl.steps, preset.kl.alpha
    low, middle, high = (float(f"{factor * alpha:.1g}") for factor in (1 / 3, 10 / 3, 100 / 3))
    some = (0.0, low, alpha, middle, high)
    return {
        "steps": SizeRow("training steps in each run", steps, 3, steps // 2),
        "alphas": SizeRow("strengths of the penalty, a run each", some, (0.0, alpha), some[:1] + some[2:]),
        "held_out": SizeRow("prompts on which each trained policy is examined", _at_most(preset, 256), 8, 128),
        "best_of_prompts": SizeRow("prompts with sixteen completions each: what is possible", 128, 4, 64),
    }  # fmt: skip


def _dpo(preset: Scale) -> dict[str, SizeRow]:
    return {
        "train_prompts": SizeRow("prompts whose completions become training pairs", preset.pair_prompts, 40),
        "test_prompts": SizeRow("prompts whose completions become test pairs", _at_most(preset, 250), 20),
        "completions_per_prompt": SizeRow("K, completions sampled for each prompt", 4, 4),
        "evaluation_prompts": SizeRow("prompts for the reward of a trained policy", _at_most(preset, 256), 16),
        "epochs": SizeRow("times that each training pair is seen", preset.dpo.epochs, 1),
        "betas": SizeRow("values of β in section 4.6, a run each", (0.1, 0.25, 0.5), (preset.dpo.beta, 0.5)),
        "experiment_pairs": SizeRow("pairs used in the side experiments of section 4.7", _at_most(preset, 256), 32),
        "trl_steps": SizeRow("steps of each of TRL's trainers (optional section)", 16, 2),
    }


def _interpretability(_preset: Scale) -> dict[str, SizeRow]:
    return {
        "shap_evaluations": SizeRow("masked versions of a text that shap may score", 250, 60),
        "longest_exact_sentence": SizeRow("words, in the measurement of what exact values cost", 11, 6),
        "sentences": SizeRow("sentences explained in section 5.3", None, 3),
        "samples_per_policy": SizeRow("texts of each policy in the bar plot of rewarded words", 24, 4),
        "prompts_each": SizeRow("IOI prompts for each of the 24 sentence patterns and orders of names", 10, 2),
        "subsets": SizeRow("subsets K in the picture of completeness", None, 4),
        "head_orders": SizeRow("random orders of the 12 heads in their Shapley values", 40, 2),
        "circuits_tried": SizeRow("circuits of three heads in the search for the best", None, 20),
        "reward_steps": SizeRow("training steps in section 5.11", 150, 5),
        "real_model": SizeRow("whether section 5.12 runs where its package is installed", True, False),
    }


def choose_sizes(part: str, preset: Scale, *, fast: bool, quick: bool = False, **changes: Any) -> Sizes:
    """The sizes of a part in one setting; see `Preset.sizes`, which notebooks call.

    Args:
        part, preset: as for `table`.
        fast: the setting of the course's own tests; it goes before `quick` and before all changes.
        quick: the classroom setting.
        changes: sizes by name that replace those of the table.

    Raises:
        ValueError: there is no such part, or it has no classroom setting.
        TypeError: a change names no size of this part.
    """
    rows = table(part, preset)
    if unknown := set(changes) - set(rows):
        raise TypeError(f"no size of {part!r} is called {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    if quick and any(row.classroom is None for row in rows.values()):
        raise ValueError(f"{part!r} has no classroom setting")
    column = "fast" if fast else "classroom" if quick else "full"
    values = {name: getattr(row, column) for name, row in rows.items()} | ({} if fast else changes)
    columns = [(name, Any, field(metadata={"decides": row.decides})) for name, row in rows.items()]
    return make_dataclass("Sizes", columns, bases=(Sizes,), frozen=True)(**values)
