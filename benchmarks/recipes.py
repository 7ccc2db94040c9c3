"""Which learning rate, how many steps: `python benchmarks/recipes.py --alphas 0.03 --rates 1e-4 2e-4 --steps 60 90`.

Every combination is trained with the solutions of Parts 2 and 3 and judged on the validation prompts by its own objective,
J = mean reward − α · mean KL: with the reward, the KL, the second reward model's opinion, length and repetition. Beside it stand
the optimum of the objective and best-of-n, from one pass of samples of the untuned policy, so that the table says how far from
the best possible a recipe ends. Runs are kept in `--out`, and a second call goes on from there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder.grade.judging.trusted import trusted_env  # noqa: E402
from helpers.data import load_prompts  # noqa: E402
from helpers.evaluation import repetition  # noqa: E402
from helpers.kl import possible, sweep  # noqa: E402
from helpers.models import load_policy, load_reward_model, policy_logits, trainable_copy  # noqa: E402
from helpers.presets import PRESETS, Preset  # noqa: E402
from helpers.side_by_side import side_by_side, tell  # noqa: E402
from helpers.training import rollout_source  # noqa: E402

PROMPTS, EACH = 256, 32
EVERY = 10  # steps that a row of the curve is the mean of


def train(setting: dict[str, Any]) -> dict[str, Any] | None:
    """Train one policy; its curve, its scores on the validation prompts, and some of its texts. None if it was stopped."""
    torch.manual_seed(setting["seed"])
    part2, part3, preset = trusted_env(2), trusted_env(3), PRESETS[setting.get("preset", "tiny")]
    reference, tokenizer = load_policy(preset, "cpu")  # it also sets the threads
    judges = {"reward": load_reward_model(preset), "second_reward": load_reward_model(preset, second=True)}
    reference.requires_grad_(False)
    policy = trainable_copy(reference, preset)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=setting["rate"], weight_decay=0.0)
    source = rollout_source(
        policy, tokenizer, load_prompts(preset, "train"), preset.new_tokens, setting["batch"], seed=setting["seed"]
    )

    def log_probs_of(model: Any, rollout: Any) -> torch.Tensor:
        return part2["token_log_probs"](policy_logits(model, rollout.ids, rollout.attention_mask), rollout.ids)

    rows: list[dict[str, float]] = []
    for step in range(setting["steps"]):
        if not tell(step, setting["steps"]):
            return None
        for group in optimizer.param_groups:
            group["lr"] = setting["rate"] * min(1.0, (step + 1) / max(1, setting["warmup"]))
        rollout = source(step)
        mask = rollout.completion_mask[:, 1:]  # [B, T-1]
        with torch.no_grad():
            reference_log_probs = log_probs_of(reference, rollout)  # [B, T-1]
        rewards = judges["reward"](rollout.texts)  # [B]
        shaped = part3["kl_shaped_rewards"](rewards, rollout.log_probs, reference_log_probs, mask, setting["alpha"])
        part2["reinforce_step"](policy, optimizer, rollout, lambda _texts, shaped=shaped: shaped)
        k1 = (rollout.log_probs - reference_log_probs).masked_fill(~mask, 0.0).sum(1)  # [B]
        rows.append({
            "reward": rewards.mean().item(), "kl": k1.mean().item(),
            "second": judges["second_reward"](rollout.texts).mean().item() if step % EVERY == EVERY - 1 else float("nan"),
            "length": rollout.lengths.float().mean().item(), "repetition": repetition(rollout.completions),
            "advantage": (shaped - shaped.mean()).abs().mean().item(),
        })  # fmt: skip

    tell(setting["steps"], setting["steps"])

    def measure(model: Any, rollout: Any) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            scores = policy_logits(model, rollout.ids, rollout.attention_mask)[:, :-1]
            base = policy_logits(reference, rollout.ids, rollout.attention_mask)[:, :-1]
            exact = part3["kl_divergence"](scores, base)  # [B, T-1]
            return {"exact": exact, "k1": log_probs_of(model, rollout) - log_probs_of(reference, rollout)}

    scores, samples = sweep.examine(
        policy.eval(), tokenizer, load_prompts(preset, "validation")[: setting.get("prompts", PROMPTS)], judges, measure,
        new_tokens=preset.new_tokens, samples=10,
    )  # fmt: skip
    scores["objective"] = scores["reward"] - setting["alpha"] * scores["kl"]
    texts = [sample["prompt"] + sample["completion"] for sample in samples]
    return {"setting": setting, "curve": thinned(rows), "scores": scores, "samples": texts}


def thinned(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Means over `EVERY` steps (of the second opinion the last step's value)."""
    groups = [rows[start : start + EVERY] for start in range(0, len(rows), EVERY)]
    return [
        {
            name: round(group[-1][name] if name == "second" else sum(row[name] for row in group) / len(group), 4)
            for name in group[0]
        }
        for group in groups
    ]


def bounds(preset: Preset, alphas: list[float], prompts: int, each: int) -> list[str]:
    """Lines on the untuned policy, the optimum at each α and best-of-n, from one pass of `prompts` × `each` samples."""
    reference, tokenizer = load_policy(preset, "cpu")
    judges = {"reward": load_reward_model(preset), "second_reward": load_reward_model(preset, second=True)}
    drawn = possible.draw(
        reference, tokenizer, load_prompts(preset, "validation")[:prompts], judges,
        each=each, new_tokens=preset.new_tokens, batch_size=128,
    )  # fmt: skip
    lines = [f"untuned: reward {drawn['reward'].mean():.3f}, second {drawn['second_reward'].mean():.3f}"]
    for alpha in filter(None, alphas):
        best = possible.optimum(drawn, alpha)
        lines.append(
            f"optimum at α = {alpha:g}: J {best['objective']:.3f}, reward {best['reward']:.3f}, KL {best['kl']:.2f}"
        )
    part3 = trusted_env(3)
    for n in (2, 4, 8, 16):
        reward = part3["best_of_n"](drawn["reward"], n).mean()
        lines.append(f"best of {n}: reward {reward:.3f}, KL {part3['best_of_n_kl'](n):.2f}")
    return lines


def show(runs: list[dict[str, Any]]) -> None:
    """Print a table, the best objective of each α first."""
    print("| α | rate | steps | warm-up | seed | J | reward | ± | KL | second | length | repetition |")
    for run in sorted(runs, key=lambda run: (run["setting"]["alpha"], -run["scores"]["objective"])):
        s, r = run["setting"], run["scores"]
        cells = [f"{s['alpha']:g}", f"{s['rate']:g}", str(s["steps"]), str(s["warmup"]), str(s["seed"])]
        cells += [f"{r[name]:.3f}" for name in ("objective", "reward", "half_width")]
        cells += [f"{r['kl']:.2f}", f"{r['second_reward']:.3f}", f"{r['length']:.1f}", f"{r['repetition']:.3f}"]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, given in (
        ("alphas", float, [0.03]), ("rates", float, [2e-4]), ("steps", int, [90]), ("warmups", int, [0]), ("seeds", int, [0]),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, nargs="*", default=given)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="validation prompts of an examination")
    parser.add_argument("--each", type=int, default=EACH, help="samples of each for the bounds")
    parser.add_argument("--workers", type=int, help="runs side by side; with tiny as many as there are cores, else one")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "recipes.jsonl")
    parser.add_argument("--bounds", action="store_true", help="also print the optimum and best-of-n")
    options = parser.parse_args()
    preset = PRESETS[options.preset]
    workers = options.workers or (max(1, os.cpu_count() or 2) if preset.tiny else 1)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    every = itertools.product(options.alphas, options.rates, options.steps, options.warmups, options.seeds)
    wanted = [
        {
            "alpha": a,
            "rate": r,
            "steps": n,
            "warmup": w,
            "seed": s,
            "batch": preset.kl.batch_size,
            "preset": preset.name,
            "prompts": options.prompts,
        }
        for a, r, n, w, s in every
    ]
    waiting = [setting for setting in wanted if setting not in [run["setting"] for run in done]]
    calls = {
        "α {alpha:g}, {rate:g}, {steps} steps, seed {seed}, {warmup}".format(**s): partial(train, s) for s in waiting
    }
    with options.out.open("a") as file:
        for _, run in side_by_side(calls, workers):
            if run is not None:
                done.append(run)
                file.write(json.dumps(run, ensure_ascii=False) + "\n")
                file.flush()
    show([run for run in done if run["setting"] in wanted])
    if options.bounds:
        print(*bounds(preset, options.alphas, options.prompts, options.each), sep="\n")


if __name__ == "__main__":
    main()
