"""`course claims`: run the solutions over seeds and presets, and write which of their claims hold where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autograder.rehearse.run import Execution, run_part
from helpers.kl.possible import OPTIMUM
from helpers.parts import PARTS, ROOT
from helpers.presets import PRESETS
from helpers.runs import load_points

FOLDER = ROOT / "build" / "claims"
RESULTS = ROOT / "docs" / "results.md"
Place = tuple[str, int]  # preset, seed
# What is measured of a policy, as the frontier's points have it, and how it is written.
MEASURES = {"reward": ".3g", "kl": ".3g", "second_reward": ".3g", "length": ".1f", "repetition": ".3g"}
INTRODUCTION = """# What the runs show

Written by `course claims` ({command}). A claim is a sentence of a notebook about its run, which the run itself checks:
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


def page(found: dict[Place, dict[int, Execution]], command: str) -> str:
    """The tables of claims and of headline figures, part by part, one column for each preset and seed."""
    lines = [INTRODUCTION.format(command=f"`{command}`")]
    for part in sorted({part for runs in found.values() for part in runs}):
        runs = {place: parts[part] for place, parts in found.items() if part in parts}
        lines.append(f"\n## Part {part}: {PARTS[part]}\n")
        lines += [f"The run failed with {_named(place)}.\n" for place, run in runs.items() if not run.ok]
        sentences = {name: row["sentence"] for run in runs.values() for name, row in run.claims.items()}
        figures = dict.fromkeys(name for run in runs.values() for name in run.headlines)
        if sentences:
            lines += _table(
                "claim", runs, {sentences[n]: [_verdict(run, n) for run in runs.values()] for n in sentences}
            )
        if figures:
            lines += _table(
                "figure", runs, {n: [str(run.headlines.get(n, "")) for run in runs.values()] for n in figures}
            )
    for preset in dict.fromkeys(preset for preset, _ in found):
        points = {
            place: load_points(folder=folder_of(place) / "work" / "runs") for place in found if place[0] == preset
        }
        lines += recipes(preset, points)
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


def _verdict(run: Execution, name: str) -> str:
    row: dict[str, Any] | None = run.claims.get(name)
    return "" if row is None else f"{'✓' if row['holds'] else '✗'} {row['value']}".strip()


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
    """Write the page."""
    path.write_text(page(found, command), encoding="utf-8")
    return path
