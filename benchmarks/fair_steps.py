"""Are the tests of the training steps fair? Right and wrong steps on many seeds: `python benchmarks/fair_steps.py`.

The seed of a class decides what the hidden tests draw, and a class has one. So a right step must pass on every seed, and a
wrong one on none: this tries the answers of `tests/variants` on many seeds and prints the table of `docs/training-tests.md`.
It takes an hour on one core. What was tried is kept in `build/fair-steps.jsonl`, and a second run goes on from there.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder.reference import steps_dpo, steps_reinforce  # noqa: E402
from autograder.reference.steps import JUDGES, record_of, verify_step  # noqa: E402
from helpers.worlds.small import small_policy, weights_of  # noqa: E402
from tests import test_variants  # noqa: E402

LOG = ROOT / "build" / "fair-steps.jsonl"
MANY, NEAR, SOME = 200, 100, 3  # seeds
OFTEN = {  # answers that are tried on many seeds: the course's own, the wrong ones that are nearest to it, another style
    "reinforce_step": (
        "plain",
        "an entropy bonus",
        "positions without an attention mask",
        "two micro-batches, gradients added up",
    ),
    "dpo_step": (
        "with the helper",
        "a small supervised term in the loss",
        "labels smoothed in the gradient only",
        "two micro-batches, gradients added up",
    ),
}
LEAST = {"reinforce_step": steps_reinforce.LEAST_RISE, "dpo_step": steps_dpo.LEAST_ACCURACY}


def rise(run: Callable[..., Any], seed: int) -> float:
    """How far a step raises the small policy's reward on other prompts; the probes on the way are judged as well."""
    record = run("reinforce_practice", seed=seed, probes=steps_reinforce.practice_probes(seed))
    start = weights_of(small_policy(seed))
    return steps_reinforce.mean_reward(record["weights"], seed) - steps_reinforce.mean_reward(start, seed)


def accuracy(run: Callable[..., Any], seed: int) -> float:
    """The share of held-out pairs that the trained policy prefers rightly."""
    record = run("dpo_training", seed=seed, probes=steps_dpo.training_probes(seed))
    return steps_dpo.heldout_accuracy(seed, record["weights"])


MEASURES = {"reinforce_step": rise, "dpo_step": accuracy}


def try_out(variant: test_variants.Variant, number: int) -> dict[str, Any]:
    """One answer on one seed: the first of its single-step tests that fails, and the measure of its training."""
    step: Any = test_variants.environment(variant)[variant.function]
    checks, first_seed = JUDGES[variant.function]
    seed, failed = first_seed + number, None
    for aspect in checks:
        try:
            if aspect != "training":
                verify_step(step, variant.function, aspect, seed)
        except AssertionError:
            failed = aspect
            break
    found = {"function": variant.function, "title": variant.title, "right": variant.right, "seed": number}
    if not variant.right and number >= SOME:
        return found | {"failed": failed}
    if not variant.right and variant.title not in TRAINED_ANYWAY:
        return found | {"failed": failed}
    try:
        measure = MEASURES[variant.function](functools.partial(record_of, step, variant.function), seed)
    except AssertionError:  # its step raises an error, or leaves no numbers
        return found | {"failed": failed}
    return found | {"failed": failed, "measure": measure}


TRAINED_ANYWAY = (  # wrong steps that are trained with although single steps have told them, to see what training shows
    "sign",
    "no baseline",
    "loss on the prompt's tokens only",
    "advantages of the next row",
    "only the signs of the advantages",
    "uphill",
    "swapped pair",
    "only the chosen side is trained",
    "only the last layer moves",
    "the reference is the policy of before, without gradient",
)


def to_do() -> Iterator[tuple[test_variants.Variant, int]]:
    """What is to be tried, the most important first: some answers on many seeds, everything on some."""
    steps = [variant for variant in test_variants.VARIANTS if variant.function in JUDGES]
    often = [variant for variant in steps if variant.title in OFTEN[variant.function]]
    often.sort(key=lambda variant: OFTEN[variant.function].index(variant.title))
    yield from ((variant, number) for number in range(MANY) for variant in often[:2])
    yield from ((variant, number) for number in range(NEAR) for variant in often[2:])
    yield from ((variant, number) for number in range(SOME) for variant in steps)


def row(title: str, least: float, tries: list[dict[str, Any]]) -> str:
    """A line of the table."""
    passed = sum(one["failed"] is None for one in tries)
    measures = [one["measure"] for one in tries if "measure" in one]
    line = f"| {title} | {len(tries)} | {passed} |"
    if len(measures) < 2:
        return line + " | | | |"
    mean, spread = statistics.fmean(measures), statistics.stdev(measures)
    away = (mean - least) / spread if spread else float("inf")
    return line + f" {mean:.3f} | {spread:.3f} | {min(measures):.3f} to {max(measures):.3f} | {away:+.0f} |"


def table(done: list[dict[str, Any]]) -> Iterator[str]:
    """The tables of both steps, as Markdown."""
    for function, least in LEAST.items():
        yield f"\n`{function}`, {least} asked after the training\n"
        yield "| step | seeds | all single-step tests passed | mean after training | deviation | range | deviations above |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        mine = [one for one in done if one["function"] == function]
        for right in (True, False):
            titles = dict.fromkeys(one["title"] for one in mine if one["right"] is right)
            shown = [t for t in titles if t in OFTEN[function] or (t in TRAINED_ANYWAY and not right)]
            for title in shown:
                yield row(
                    f"{'right' if right else 'wrong'}: {title}", least, [one for one in mine if one["title"] == title]
                )
            others = [one for one in mine if one["right"] is right and one["title"] not in shown]
            kinds = len({one["title"] for one in others})
            yield row(f"{'right' if right else 'wrong'}: {kinds} others", least, others)


def main() -> None:
    """Try what is not tried yet, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="only print what there is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    LOG.parent.mkdir(exist_ok=True)
    done = [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []
    known = {(one["function"], one["title"], one["seed"]) for one in done}
    left = dict.fromkeys(
        (variant, number) for variant, number in to_do() if (variant.function, variant.title, number) not in known
    )
    with LOG.open("a") as log:
        for variant, number in tqdm([] if options.table else list(left)):
            done.append(try_out(variant, number))
            print(json.dumps(done[-1]), file=log, flush=True)
    print("\n".join(table(done)))


if __name__ == "__main__":
    main()
