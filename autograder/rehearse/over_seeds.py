"""`course claims`: run the solutions over seeds and presets, and write which of their claims hold where.

A preset may take hours, so what a run gave is kept in `docs/results.json`, beside the page: a later call that runs another
seed, preset or part adds its column, and the others stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.publish.normalise import write_json
from autograder.rehearse.run import Execution, run_part
from helpers.kl.possible import OPTIMUM
from helpers.parts import PARTS, ROOT
from helpers.presets import PRESETS
from helpers.runs import load_points

FOLDER = ROOT / "build" / "claims"
RESULTS = ROOT / "docs" / "results.md"
FAST = FOLDER / "results.md"  # of small sizes, which say nothing about what holds
Place = tuple[str, int]  # preset, seed
# What is measured of a policy, as the frontier's points have it, and how it is written.
MEASURES = {"reward": ".3g", "kl": ".3g", "second_reward": ".3g", "length": ".1f", "repetition": ".3g"}
INTRODUCTION = """# What the runs show

Written by `course claims`, last by `{command}`. A claim is a sentence of a notebook about its run, which the run itself checks:
✓ it holds, ✗ it does not, with the figure that decides.
"""


def run_everywhere(
    parts: Sequence[int],
    seeds: Iterable[int],
    presets: Iterable[str],
    *,
    fast: bool = False,
    progress: Callable[[int, int, int], None] = lambda part, done, total: None,
) -> dict[Place, dict[int, Execution]]:
    """Execute the parts once for each preset and seed, below `build/claims`; what is up to date there is not run again."""
    found: dict[Place, dict[int, Execution]] = {}
    for preset in presets:
        for seed in seeds:
            folder = folder_of((preset, seed))
            found[preset, seed] = {
                part: run_part(
                    part,
                    fast=fast,
                    preset=preset,
                    seed=seed,
                    folder=folder,
                    progress=lambda done, total, part=part: progress(part, done, total),  # type: ignore[misc]
                )
                for part in parts
            }
    return found


@dataclass
class Record:
    """What is kept of the runs of one preset and seed: by part, and the points of all their policies."""

    parts: dict[int, Execution] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)


def load(path: Path) -> dict[Place, Record]:
    """Read the records that earlier calls left; none if there is no file."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        (row["preset"], row["seed"]): Record(
            {run["part"]: Execution(**run, key="") for run in row["parts"]}, row["points"]
        )
        for row in rows
    }


def merge(records: dict[Place, Record], found: dict[Place, dict[int, Execution]]) -> dict[Place, Record]:
    """The records with what was found now in place of what was found before, by preset, seed and part; of points, by policy."""
    merged = dict(records)
    for place, runs in found.items():
        before = merged.get(place, Record())
        now = load_points(folder=folder_of(place) / "work" / "runs")
        names = {point["name"] for point in now}
        points = [point for point in before.points if point["name"] not in names] + now
        merged[place] = Record(dict(sorted((before.parts | runs).items())), points)
    order = {preset: number for number, preset in enumerate(PRESETS)}
    return dict(sorted(merged.items(), key=lambda item: (order.get(item[0][0], len(order)), item[0][1])))


def save(records: dict[Place, Record], path: Path) -> None:
    """Write the records, without what only says where and when a run was made."""
    kept = ("part", "ok", "seconds", "fast", "preset", "headlines", "claims", "error")
    rows = [
        {
            "preset": preset,
            "seed": seed,
            "parts": [{name: getattr(run, name) for name in kept} for run in record.parts.values()],
            "points": record.points,
        }
        for (preset, seed), record in records.items()
    ]
    write_json(path, rows)


def page(records: dict[Place, Record], command: str) -> str:
    """The tables of claims and of headline figures, part by part, one column for each preset and seed."""
    lines = [INTRODUCTION.format(command=command)]
    for part in sorted({part for record in records.values() for part in record.parts}):
        runs = {place: record.parts[part] for place, record in records.items() if part in record.parts}
        lines.append(f"\n## Part {part}: {PARTS[part]}\n")
        lines += [f"The run failed with {_named(place)}.\n" for place, run in runs.items() if not run.ok]
        # a sentence that was changed since a run has a row of its own
        sentences = dict.fromkeys((name, row["sentence"]) for run in runs.values() for name, row in run.claims.items())
        figures = dict.fromkeys(name for run in runs.values() for name in run.headlines)
        if sentences:
            lines += _table(
                "claim", runs, {claim[1]: [_verdict(run, *claim) for run in runs.values()] for claim in sentences}
            )
        minutes = {"minutes": [f"{run.seconds / 60:.0f}" if run.seconds else "" for run in runs.values()]}
        lines += _table(
            "figure", runs, {n: [str(run.headlines.get(n, "")) for run in runs.values()] for n in figures} | minutes
        )
    for preset in dict.fromkeys(preset for preset, _ in records):
        lines += recipes(preset, {place: record.points for place, record in records.items() if place[0] == preset})
    return "\n".join(lines)


def folder_of(place: Place) -> Path:
    """Where the runs of a preset and seed are kept."""
    preset, seed = place
    return FOLDER / f"{preset}-{seed}"


def recipes(preset: str, points: Mapping[Place, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A table of all policies, from the points of the frontier: each measure of one seed after the other.

    J = reward − α·KL takes the preset's α for every policy, also for those that were trained at another price. Of the
    optimum there is the row at this α: at least so much can be had.
    """
    alpha = PRESETS[preset].kl.alpha
    by_name: dict[str, dict[Place, Mapping[str, Any]]] = {}
    for place, of_seed in points.items():
        for point in of_seed:
            if point.get("method") != OPTIMUM or point["alpha"] == alpha:
                by_name.setdefault(point["name"], {})[place] = point
    if not by_name:
        return []
    head = ["policy", f"J at α = {alpha:g}", "reward", "KL", "second opinion", "length", "repetition"]
    lines = [
        f"\n## The recipes, {preset}\n",
        f"Held-out prompts, seeds {', '.join(str(seed) for _, seed in points)}. KL in nats per completion, length in tokens, "
        "repetition: share of bigrams. The rows π* and best of n are not trained: they are drawn from the untuned policy, "
        "and say what can be had at least.\n",
        f"| {' | '.join(head)} |",
        "|" + " --- |" * len(head),
    ]
    for name, found in by_name.items():
        rows = [found.get(place, {}) for place in points]
        measured = [[f"{row['reward'] - alpha * row['kl']:.3f}" if row else "–" for row in rows]]
        measured += [[f"{row[key]:{form}}" if key in row else "–" for row in rows] for key, form in MEASURES.items()]
        lines.append(f"| {' | '.join([_cell(name), *map(', '.join, measured)])} |")
    return [*lines, ""]


def _named(place: Place) -> str:
    preset, seed = place
    return f"{preset}, seed {seed}"


def _verdict(run: Execution, name: str, sentence: str) -> str:
    row: dict[str, Any] = run.claims.get(name, {})
    return f"{'✓' if row['holds'] else '✗'} {row['value']}".strip() if row.get("sentence") == sentence else ""


def _table(what: str, runs: dict[Place, Execution], rows: dict[str, list[str]]) -> list[str]:
    head = " | ".join([what, *map(_named, runs)])
    body = [f"| {' | '.join([_cell(name), *map(_cell, cells)])} |" for name, cells in rows.items()]
    return [f"| {head} |", f"|{' --- |' * (len(runs) + 1)}", *body, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def failures(found: dict[Place, dict[int, Execution]]) -> list[str]:
    """What does not hold: a line for each run that failed and for each claim that is wrong somewhere."""
    lines = []
    for place, runs in found.items():
        for part, run in runs.items():
            if not run.ok:
                lines.append(f"part {part}, {_named(place)}: the run failed: {run.error.splitlines()[-1]}")
            lines += [
                f"part {part}, {_named(place)}: {row['sentence']} (here: {row['value']})"
                for row in run.claims.values()
                if not row["holds"]
            ]
    return lines


def write(found: dict[Place, dict[int, Execution]], command: str, path: Path) -> Path:
    """Add what was found to the records beside the page, and write the page anew."""
    kept = path.with_suffix(".json")
    save(merge(load(kept), found), kept)
    path.write_text(page(load(kept), command), encoding="utf-8")  # as they are kept, in the order of the file
    return path
