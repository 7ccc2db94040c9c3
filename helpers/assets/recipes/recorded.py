"""`python -m helpers.assets.recipes.recorded RUNS`: what readers see who skip a training, from a folder `runs`.

`kl_frontier.json` holds the sweep of Part 3 (from `RUNS/kl`), `reinforce.json` the history of Part 2's training, `dpo.json` Part
4's trainings with several β, `tuned/` what the trainings of Parts 2 to 4 changed in the policy; all with the preset `tiny`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.dpo import recording
from helpers.hub import ASSETS
from helpers.interpretability import policies
from helpers.kl.sweep import RECORDED, load_run
from helpers.models import load_policy, load_reward_model
from helpers.presets import PRESETS
from helpers.reinforce import finished
from helpers.runs import FOLDERS

CARD = """# Tuned policies

What three trainings of the course have changed in the embedded policy: differences of the weights, a byte each
(`helpers.interpretability.policies.changed` adds them). Part 5 takes them where a student has not trained those policies.

| name | file | trained in | mean reward | second opinion |
| --- | --- | --- | --- | --- |
{rows}

Means of the two reward models over one text to each of 256 test prompts.

**Source and licence.** The solutions of Parts 2 to 4 with the preset `tiny` and the seed 0; Apache-2.0, as the policy's.

**Recipe.** `course run`, then `python -m helpers.assets.recipes.recorded build/run/work/runs`.

**Known faults.** The first is what too much training makes of a policy; that is its purpose.
"""


def write(name: str, content: Any, **options: Any) -> Path:
    """Write a recorded file; `options` are those of `json.dumps`."""
    path = ASSETS / "recorded" / f"{name}.json"
    path.write_text(json.dumps(content, ensure_ascii=False, **options) + "\n", encoding="utf-8")
    return path


def record_sweep(folder: Path) -> Path:
    """Record all runs of a folder: histories thinned to every fifth step, numbers rounded."""
    found = (load_run(path) for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime))
    runs = [run for run in found if run is not None]
    for run in runs:
        run.records = [{key: round(value, 4) for key, value in row.items()} for row in run.records[::5]]
        run.seconds, run.mark = round(run.seconds), ""
    content = {"points": [run.point for run in runs], "runs": [asdict(run) for run in runs]}
    return write(RECORDED, content, separators=(",", ":"))


def record_training(folder: Path) -> Path:
    """Record the history of Part 2's training from its checkpoint in `folder`, numbers rounded to four digits.

    Raises:
        ValueError: the run was not finished.
    """
    found = json.loads((folder / "checkpoint" / "state.json").read_text(encoding="utf-8"))
    if not found["finished"]:
        raise ValueError(f"the run in {folder} was not finished: run Part 2 again")
    records = [{key: float(f"{value:.4g}") for key, value in row.items()} for row in found["records"]]
    return write(finished.RECORDED, {"records": records, "samples": found["samples"]}, separators=(",", ":"))


def record_dpo(folder: Path) -> Path:
    """Record Part 4's trainings from the file that its notebook has kept in `folder`, numbers rounded to four digits."""
    found = json.loads((folder / recording.KEPT.name).read_text(encoding="utf-8"))
    rounded = json.loads(json.dumps(found), parse_float=lambda digits: float(f"{float(digits):.4g}"))
    return write(recording.RECORDED, rounded, separators=(",", ":"))


def record_policies(folder: Path) -> Path:
    """Keep what the trainings in a `runs` folder have changed in the policy, a byte a weight, with a card.

    Raises:
        FileNotFoundError: one of the policies was not trained there.
    """
    preset = PRESETS["tiny"]
    base, tokenizer = load_policy(preset, "cpu")
    for name, short in FOLDERS.items():
        tuned = policies.load_own(base, preset, name, folder)
        if tuned is None:
            raise FileNotFoundError(f"{name}: there is no trained policy of the preset tiny in {folder / short}")
        policies.SHIPPED.mkdir(exist_ok=True)
        save_file(policies.differences(tuned, base), policies.SHIPPED / f"{short}.safetensors")
    return tuned_card(base, tokenizer)


def tuned_figures(
    base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, count: int = 256
) -> dict[str, list[float]]:
    """Mean reward and second opinion of the shipped policies' texts to the first test prompts."""
    preset = PRESETS["tiny"]
    judges = [load_reward_model(preset), load_reward_model(preset, second=True)]
    found = {}
    for name, short in FOLDERS.items():
        policy = policies.changed(base, load_file(policies.SHIPPED / f"{short}.safetensors"))
        texts = policies.sample_texts(policy, tokenizer, preset, count)
        found[name] = [judge(texts).mean().item() for judge in judges]
    return found


def tuned_card(base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Path:
    """Write the card of the shipped policies."""
    made = {
        "REINFORCE": "Part 2, at its end: without a leash, and hacked",
        "REINFORCE + KL": "Part 3, at the preset's α",
        "DPO": "Part 4",
    }
    rows = [
        f"| {name} | `{FOLDERS[name]}.safetensors` | {made[name]} | {reward:.3f} | {second:.3f} |"
        for name, (reward, second) in tuned_figures(base, tokenizer).items()
    ]
    path = policies.SHIPPED / "README.md"
    path.write_text(CARD.format(rows="\n".join(rows)), encoding="utf-8")
    return path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m helpers.assets.recipes.recorded RUNS")
    runs = Path(sys.argv[1])
    print(
        record_sweep(runs / "kl"), record_training(runs / FOLDERS["REINFORCE"]), record_dpo(runs), record_policies(runs)
    )
