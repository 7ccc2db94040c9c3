"""Which learning rate for DPO: `python benchmarks/recipes_dpo.py --rates 1.5e-4 3e-4 6e-4`.

Each rate is trained on the pairs of the preset's training prompts with the solutions of Part 4, as its notebook does, and judged
on validation prompts: the loss and the accuracy on their pairs after each epoch, and the objective J = mean reward − α · mean
KL with Part 3's α. Completions are kept in `--folder`, where a second call (or a notebook's `runs/pairs`) is read from.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder.grade.judging.trusted import trusted_env  # noqa: E402
from helpers.data import load_prompts  # noqa: E402
from helpers.dpo.measures import reward_and_kl  # noqa: E402
from helpers.dpo.pairs import Pair, pair_batches, pair_log_probs, pairs_from, sample_completions  # noqa: E402
from helpers.models import load_policy, load_reward_model, trainable_copy  # noqa: E402
from helpers.presets import PRESETS  # noqa: E402
from helpers.side_by_side import side_by_side, tell  # noqa: E402
from helpers.sizes import choose_sizes  # noqa: E402

PAIRS_AT_ONCE = 32


def train(rate: float, preset_name: str, seed: int, folder: Path) -> dict[str, Any] | None:
    """Train with one learning rate; what was measured of it. None if it was stopped."""
    preset, solved = PRESETS[preset_name], trusted_env(4)
    recipe, sizes = preset.dpo, choose_sizes("dpo", preset, fast=False)
    reference, tokenizer = load_policy(preset, "cpu")
    reference.requires_grad_(False)
    judges = {"reward": load_reward_model(preset), "second": load_reward_model(preset, second=True)}
    pad = tokenizer.pad_token_id

    def pairs_of(split: str, count: int, draw: int) -> list[Pair]:
        prompts, lengths = load_prompts(preset, split)[:count], (sizes.completions_per_prompt, preset.new_tokens)
        drawn = sample_completions(
            reference, tokenizer, judges["reward"], prompts, *lengths, seed=draw, folder=folder, progress=False
        )
        return pairs_from(drawn, solved["make_preference_pairs"](drawn.rewards, recipe.min_gap))

    @torch.no_grad()
    def log_probs(model: Any, pairs: list[Pair]) -> torch.Tensor:
        groups = pair_batches(pairs, pad, PAIRS_AT_ONCE)
        found = [torch.stack(pair_log_probs(model, group, solved["sequence_log_prob"]), dim=1) for group in groups]
        return torch.cat(found)  # [N, 2]

    trained, tested = pairs_of("train", sizes.train_prompts, 1), pairs_of("validation", sizes.test_prompts, 2)
    kept = log_probs(reference, tested)  # [N, 2]
    torch.manual_seed(seed)
    policy = trainable_copy(reference, preset)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=rate, weight_decay=0.0)
    steps = list(
        pair_batches(
            trained, pad, recipe.batch_size, seed=seed, reference=log_probs(reference, trained), epochs=sizes.epochs
        )
    )
    epochs = []
    for number, batch in enumerate(steps, 1):
        if not tell(number, len(steps)):
            return None
        solved["dpo_step"](policy, reference, optimizer, batch, recipe.beta)
        if number % (len(steps) // sizes.epochs) == 0:
            scores = log_probs(policy, tested)  # [N, 2]
            loss, chosen, rejected = solved["compute_dpo_loss"](*scores.T, *kept.T, recipe.beta)
            epochs.append((loss.item(), solved["preference_accuracy"](chosen, rejected)))
    prompts = load_prompts(preset, "validation")[: sizes.evaluation_prompts]
    found = reward_and_kl(
        policy, reference, tokenizer, prompts, judges, solved["sequence_log_prob"], new_tokens=preset.new_tokens
    )
    return {"rate": rate, "epochs": epochs, "J": found["reward"] - preset.kl.alpha * found["kl"], **found}


def main() -> None:
    """Train with every rate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", required=True)
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side, a thread each")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "pairs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    arguments = (options.preset, options.seed, options.folder.resolve())
    calls = {f"{rate:g}": partial(train, rate, *arguments) for rate in options.rates}
    rows = [row for _, row in side_by_side(calls, options.workers) if row is not None]
    print("| rate | loss and accuracy after each epoch | J | reward | ± | KL | second opinion | length |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in sorted(rows, key=lambda row: row["rate"]):
        tests = "; ".join(f"{loss:.3f}, {accuracy:.2f}" for loss, accuracy in row["epochs"])
        figures = [f"{row[name]:.3f}" for name in ("J", "reward", "half_width")]
        figures += [f"{row['kl']:.1f}", f"{row['second']:.3f}", f"{row['length']:.1f}"]
        print(f"| {row['rate']:g} | {tests} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main()
