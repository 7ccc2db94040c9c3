"""Several training runs in one call: each is saved as it ends, and an interrupted sweep goes on where it stopped.

The driver knows nothing of the method: the notebook hands it a function that trains one policy, and a function that
measures a policy's KL to its reference. What a run gave stands in `runs/<folder>/<name>.json`. Readers who skip the
sweep have the runs recorded with the course (see `helpers.assets.recipes.recorded`).
"""

from __future__ import annotations

import html
import itertools
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batches, load_recorded
from helpers.display import Page, tell, token_page
from helpers.evaluation import NORMAL_975, batch_seed, repetition
from helpers.generation import Rollout, generate
from helpers.presets import Preset
from helpers.runs import RUNS, History, fingerprint, save_point, write_whole
from helpers.side_by_side import all_results

from .possible import optimum, reward_at

RECORDED = "kl_frontier"
CHANGING = {"end", "target_kl"}  # settings of runs whose α changes
STRONGEST = 3.0  # the log-ratio (in nats) at which a token's colour is strongest
Settings = Mapping[str, Any]
# (policy, rollout) -> {"exact": [B, T-1] nats of each position, "k1": [B, T-1] log-ratio of each sampled token}, and
# possibly "entropy": [B, T-1] nats
Measure = Callable[[PreTrainedModel, Rollout], Mapping[str, Tensor]]


@dataclass
class SweepRun:
    """What one training run gave.

    Attributes:
        name: what plots and tables call it.
        settings: what distinguishes it from the other runs, such as `{"alpha": 0.01}`.
        scores: measured after training on held-out prompts, see `examine`.
        records: one dict of floats per training step.
        samples: dicts with prompt, completion, reward, second_reward, and its tokens with the log-ratio of each.
        seconds: how long training and examination took.
    """

    name: str
    settings: dict[str, Any]
    scores: dict[str, float]
    records: list[dict[str, float]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    mark: str = ""

    @property
    def history(self) -> History:
        """The records, as plots take them."""
        return History(records=self.records)

    @property
    def point(self) -> dict[str, Any]:
        """The run as a point of the reward-KL frontier."""
        first = {"name": self.name, "kl": self.scores["kl"], "reward": self.scores["reward"]}
        return {**first, "method": self.settings.get("method", "fixed α"), **self.scores}

    def objective(self, alpha: float | None = None) -> float | None:
        """J = reward − α·KL on the held-out prompts: at the α given, else at the run's own; None if that one changed."""
        if alpha is None and ("alpha" not in self.settings or self.settings.keys() & CHANGING):
            return None
        price = self.settings["alpha"] if alpha is None else alpha
        return self.scores["reward"] - price * self.scores["kl"]


def sweep(
    plan: Mapping[str, Settings],
    train_one: Callable[[str, Settings, Path], tuple[PreTrainedModel, History]],
    examine_one: Callable[[PreTrainedModel], tuple[dict[str, float], list[dict[str, Any]]]],
    *,
    common: Settings,
    folder: str | Path = RUNS / "kl",
    workers: int = 1,
) -> dict[str, SweepRun]:
    """Train and examine one policy for each entry of the plan, and skip those that are already done.

    A finished run is used again as long as its settings, the common settings and the code of `train_one` (with the
    notebook's functions it calls) are the same. Stop the cell at any time; calling it again goes on.

    Args:
        plan: from a run's name to its settings, plain values.
        train_one: `(name, settings, checkpoint folder) -> (trained policy, history)`.
        examine_one: `policy -> (scores, samples)`, see `examine`.
        common: what all runs share (steps, learning rate …), plain values.
        folder: where the results are kept.
        workers: how many runs go side by side, in processes of their own; the results are the same.

    Returns:
        The runs by name, in the order of the plan; without those after an interruption.
    """
    folder = Path(folder)
    done: dict[str, SweepRun] = {}
    waiting: dict[str, Callable[[], SweepRun | None]] = {}
    for name, settings in plan.items():
        mark = fingerprint(train_one, {"settings": dict(settings), "common": dict(common), "name": name})
        path = folder / f"{slug(name)}.json"
        kept = load_run(path)
        if kept is not None and kept.mark == mark:
            done[name] = kept
            print(f"{name}: done before, read from {path}", flush=True)
        else:
            waiting[name] = partial(one_run, name, dict(settings), train_one, examine_one, folder / slug(name), mark)
    for name, run in all_results(waiting, workers):
        if run is None:
            continue
        save_run(run, folder / f"{slug(name)}.json")
        shutil.rmtree(
            folder / slug(name), ignore_errors=True
        )  # the result stands in the file; weights would fill the disk
        done[name] = run
        tell(f"{name}: {summary(run)}")
    if len(done) < len(plan):
        print("Interrupted. Run this cell again to go on from here.")
    return {name: done[name] for name in plan if name in done}


def one_run(
    name: str, settings: dict[str, Any], train_one: Callable, examine_one: Callable, checkpoints: Path, mark: str
) -> SweepRun | None:
    """Train and examine one policy; None if it was interrupted."""
    started = time.perf_counter()
    policy, history = train_one(name, settings, checkpoints)
    if history.stopped == "interrupted":
        return None
    scores, samples = examine_one(policy)
    return SweepRun(name, settings, scores, history.records, samples, time.perf_counter() - started, mark)


def summary(run: SweepRun) -> str:
    """Return one line with a run's scores."""
    s, objective = run.scores, run.objective()
    j = "" if objective is None else f", J = reward − α·KL {objective:.3f}"
    second = f", second reward model {s['second_reward']:.3f}" if "second_reward" in s else ""
    return (
        f"reward {s['reward']:.3f} ± {s['half_width']:.3f}{second}, KL {s['kl']:.1f} nats per completion{j}, "
        f"length {s['length']:.1f}, repetition {s['repetition']:.3f} ({run.seconds:.0f} s)"
    )


def slug(name: str) -> str:
    """Return a file name for a run's name: `"α = 0.01"` becomes `"alpha-0.01"`."""
    plain = name.replace("α", "alpha").replace("→", "to")
    return re.sub(r"[^A-Za-z0-9.]+", "-", plain).strip("-").lower()


def save_run(run: SweepRun, path: Path) -> None:
    """Write a run as JSON; the file appears whole or not at all."""
    write_whole(path, json.dumps(asdict(run), ensure_ascii=False))


def load_run(path: Path) -> SweepRun | None:
    """Return the run in a file; None if there is no such file."""
    return SweepRun(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def save_points(runs: Mapping[str, SweepRun], *, folder: str | Path | None = None) -> None:
    """Record the runs as points of the frontier, for this part's plots and Part 4's (`runs/frontier.json`)."""
    for run in runs.values():
        texts = [sample["prompt"] + sample["completion"] for sample in run.samples]
        save_point(**run.point, folder=folder, samples=texts)


def examine(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    reward_models: Mapping[str, Callable[[Sequence[str]], Tensor]],
    measure: Measure,
    *,
    new_tokens: int,
    batch_size: int = 64,
    samples: int = 5,
    more_prompts: Sequence[str] = (),
    seed: int = 0,
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Sample one completion for each prompt from a trained policy and measure it.

    The random numbers depend on `seed` alone, so that all runs are compared on the same prompts with the same draws.

    Args:
        reward_models: `"reward"` and, if there is one, `"second_reward"`.
        measure: gives the KL to the reference of each position (exact, and by the sampled token alone).
        samples: how many completions to keep, the first ones.
        more_prompts: completed as well, for `repetition` alone: an untuned policy repeats so few bigrams that the
            prompts above leave their share to chance.

    Returns:
        The scores: mean reward of each model, `half_width` of the first's 95 % interval, `kl` (exact, nats per
        completion) with `kl_half_width`, `kl_k1` (estimated from the samples), `kl_per_token`, `entropy` (nats per
        completion, if `measure` gives it), `length` (in tokens), `repetition`; and the samples kept.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in (*reward_models, "kl", "kl_k1", "length", "entropy")}
    completions: list[str] = []
    kept: list[dict[str, Any]] = []
    for number, group in enumerate(batches(list(prompts), batch_size)):
        rollout = generate(policy, tokenizer, group, new_tokens, generator=batch_seed(seed, number))
        mask = rollout.completion_mask[:, 1:]  # [B, T-1]
        measured = {name: torch.where(mask, value, 0.0) for name, value in measure(policy, rollout).items()}
        rewards = {name: model(rollout.texts) for name, model in reward_models.items()}
        for name, values in rewards.items():
            found[name].append(values)
        found["kl"].append(measured["exact"].sum(1).cpu())
        found["kl_k1"].append(measured["k1"].sum(1).cpu())
        if "entropy" in measured:
            found["entropy"].append(measured["entropy"].sum(1).cpu())
        found["length"].append(rollout.lengths.cpu().float())
        completions += rollout.completions
        for row in range(min(len(group), samples - len(kept))):
            ids = rollout.ids[row, 1:][mask[row]]
            kept.append(
                {
                    "prompt": rollout.prompts[row],
                    "completion": rollout.completions[row],
                    "tokens": [tokenizer.decode([token]) for token in ids.tolist()],
                    "log_ratios": [round(value, 4) for value in measured["k1"][row][mask[row]].tolist()],
                    **{name: round(float(values[row]), 4) for name, values in rewards.items()},
                }
            )
    columns = {name: torch.cat(values).double() for name, values in found.items() if values}
    count = len(completions)
    later = number + 1
    for number, group in enumerate(batches(list(more_prompts), batch_size), start=later):
        completions += generate(policy, tokenizer, group, new_tokens, generator=batch_seed(seed, number)).completions
    scores = {name: column.mean().item() for name, column in columns.items()}
    scores["half_width"] = NORMAL_975 * columns["reward"].std().item() / count**0.5
    scores["kl_half_width"] = NORMAL_975 * columns["kl"].std().item() / count**0.5
    scores["kl_per_token"] = (columns["kl"].sum() / columns["length"].sum()).item()
    scores["repetition"] = repetition(completions)
    return {name: round(value, 5) for name, value in scores.items()}, kept


# Tables and pages ----------------------------------------------------------------------------------------------------


def table(
    runs: Mapping[str, SweepRun],
    *,
    alpha: float | None = None,
    drawn: Mapping[str, Tensor] | None = None,
    possible: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Return one row per run with its scores, for reading: KL and entropy in nats per completion.

    Args:
        alpha: the price of a nat at which J is computed; without it each run's own.
        drawn: completions of the reference (`possible.draw`), for the best J that is possible at each row's α.
        possible: points that bound what is possible, for the best reward at each row's KL.
    """
    names = {
        "reward": "reward",
        "half_width": "± (95 %)",
        "second_reward": "second reward model",
        "kl": "KL (nats)",
        "kl_per_token": "KL per token",
        "entropy": "entropy (nats)",
        "length": "length (tokens)",
        "repetition": "repeated bigrams",
    }
    rows = {}
    for name, run in runs.items():
        row: dict[str, float] = {names[key]: run.scores[key] for key in ("reward", "half_width")}
        objective, price = run.objective(alpha), run.settings.get("alpha") if alpha is None else alpha
        if objective is not None:
            row["J = reward − α·KL"] = objective
            if drawn is not None:
                row["best J (at least)"] = optimum(drawn, price)["objective"] if price else math.nan
        row |= {title: run.scores[key] for key, title in names.items() if key in run.scores}
        if possible:
            row["best reward at this KL (at least)"] = reward_at(possible, run.scores["kl"])
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index").round(3)


def run_page(run: SweepRun) -> Page:
    """Return a run's scores and samples, each token coloured by its log-ratio: its part of the sample's KL estimate."""
    pages = []
    for sample in run.samples:
        second = f", second model {sample['second_reward']:.2f}" if "second_reward" in sample else ""
        total = sum(sample["log_ratios"])
        title = f"{sample['prompt']} …  [reward {sample['reward']:.2f}{second}; sum of log-ratios {total:+.1f} nats]"
        pages.append(
            token_page(
                sample["tokens"],
                sample["log_ratios"],
                title=title,
                label="log π − log π_ref of each token, in nats" if sample is run.samples[-1] else "",
                low=-STRONGEST,
                high=STRONGEST,
                centre=0.0,
            )
        )
    heading = f"{run.name}: {summary(run)}"
    return Page(
        f"<h4>{html.escape(heading)}</h4>"
        + "".join(f'<div style="margin: 0.6em 0">{page.html}</div>' for page in pages),
        "\n\n".join([heading, *(page.text for page in pages)]),
    )


# What a run was about ------------------------------------------------------------------------------------------------


def run_with(runs: Mapping[str, SweepRun], alpha: float) -> SweepRun:
    """Return the run of a sweep that was trained with this α from beginning to end, and with nothing else changed.

    Raises:
        ValueError: none was; the message names those that there are, or says what to do if the cell was stopped.
    """
    fixed = plain(runs.values())
    for run in fixed:
        if math.isclose(run.settings["alpha"], alpha, rel_tol=1e-9):
            return run
    there = ", ".join(f"{run.settings['alpha']:g}" for run in fixed)
    choose = f"there are {there}. Choose one of them, or add yours to the sweep" if fixed else "there are none yet"
    raise ValueError(
        f"no run of the sweep has α = {alpha:g}; {choose}. If the cell that trains was stopped, run it again (it goes on "
        "where it stopped), or take the runs recorded with the course: runs = sweep.recorded_runs()"
    )


def plain(runs: Iterable[SweepRun]) -> list[SweepRun]:
    """Return the runs with a fixed α, sorted by it: without schedules, PPO and the like, and the untrained policy."""
    chosen = [run for run in runs if "method" not in run.settings and "alpha" in run.settings]
    return sorted(chosen, key=lambda run: run.settings["alpha"])


def controller_told(alphas: Sequence[float], observed: Sequence[float], target: float) -> str:
    """Say in one or two sentences what a controller did, from the α and the estimated KL of each step.

    At first the policy is the reference and its KL is 0, so that the controller lowers α as fast as it may. It controls
    only from the step on at which it does something else.
    """
    factors = [after / before for before, after in itertools.pairwise(alphas)]
    first = next((n for n, factor in enumerate(factors) if not math.isclose(factor, factors[0], rel_tol=1e-6)), None)
    recent = observed[-10:]
    reached = (
        f"The KL of the last {len(recent)} steps is {sum(recent) / len(recent):.2g} nats; the target is {target:g}."
    )
    if first is None:
        return f"α never left its first clip: it changed by the same factor in every step, as any fixed plan would. {reached}"
    low, high = min(factors), max(factors)
    at_a_clip = sum(math.isclose(factor, side, rel_tol=1e-6) for factor in factors[first:] for side in {low, high})
    return (
        f"α left its first clip at step {first + 1} of {len(alphas)}, when it was {alphas[first] / alphas[0]:.2g} of its start. "
        f"From there on {at_a_clip} of {len(factors) - first} changes were the largest seen, up or down. {reached}"
    )


# Recorded runs -------------------------------------------------------------------------------------------------------


def recorded_runs() -> dict[str, SweepRun]:
    """Return the runs recorded with the course, for readers who skip the sweep, and say whose they are."""
    print("The runs recorded with the course: preset tiny, seed 0. They are not yours.")
    return _recorded()


def _recorded() -> dict[str, SweepRun]:
    return {run["name"]: SweepRun(**run) for run in load_recorded(RECORDED)["runs"]}


def earlier_runs(preset: Preset, folder: str | Path = RUNS / "kl") -> tuple[list[SweepRun], str]:
    """The runs of Part 3 with a fixed α, and a sentence that says where they come from.

    Those trained beside this notebook, else those recorded with the course (embedded preset only), else none.
    """
    files = sorted(Path(folder).glob("*.json"))
    own = plain(run for path in files if (run := load_run(path)) is not None)
    if own:
        return own, f"{len(own)} policies of Part 3 were read from {folder}, trained by you."
    if preset.name != "tiny":
        return [], f"There are no policies of Part 3 in {folder}; train them there to see them in the plot."
    try:
        recorded = plain(_recorded().values())
    except FileNotFoundError:
        return [], f"There are no policies of Part 3 in {folder}, and none are recorded with this copy of the course."
    told = f"There are no policies of Part 3 in {folder}; the {len(recorded)} recorded with the course are shown."
    return recorded, told
