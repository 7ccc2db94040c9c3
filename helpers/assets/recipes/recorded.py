"""`python -m helpers.assets.recipes.recorded RUNS`: what readers see who skip a training, from a folder `runs`.

`kl_frontier.json` holds the sweep of Part 3 (from `RUNS/kl`), `policy_samples.json` texts of the policies of Parts 2 and
4; both were trained with the `tiny` preset.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helpers.hub import ASSETS
from helpers.interpretability.policies import load_tuned, sample_texts
from helpers.kl.sweep import RECORDED, load_run
from helpers.models import load_policy
from helpers.presets import PRESETS
from helpers.runs import FOLDERS


def write(name: str, content: Any, **options: Any) -> Path:
    """Write a recorded file; `options` are those of `json.dumps`."""
    path = ASSETS / "recorded" / f"{name}.json"
    path.write_text(json.dumps(content, ensure_ascii=False, **options) + "\n", encoding="utf-8")
    return path


def record_sweep(folder: Path) -> Path:
    """Record all runs of a folder: histories thinned to every fifth step, numbers rounded."""
    runs = [load_run(path) for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)]
    for run in runs:
        run.records = [{key: round(value, 4) for key, value in row.items()} for row in run.records[::5]]
        run.seconds, run.mark = round(run.seconds), ""
    content = {"points": [run.point for run in runs], "runs": [asdict(run) for run in runs]}
    return write(RECORDED, content, separators=(",", ":"))


def record_samples(folder: Path, count: int = 60) -> Path:
    """Record texts of the tuned policies in a `runs` folder, to the first test prompts."""
    preset = PRESETS["tiny"]
    base, tokenizer = load_policy(preset, "cpu")
    tuned = {name: load_tuned(base, name, folder) for name in FOLDERS}
    texts = {name: sample_texts(policy, tokenizer, preset, count) for name, policy in tuned.items() if policy}
    return write("policy_samples", texts, indent=0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m helpers.assets.recipes.recorded RUNS")
    print(record_sweep(Path(sys.argv[1]) / "kl"), record_samples(Path(sys.argv[1])))
