"""What `benchmarks/beside_trl.py` measured, as a Markdown table and as a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.plots import COLOURS, figure

AXES = {
    "batch": "completions in a step",
    "length": "new tokens of a completion",
    "size": "parameters",
}
LINES = {"TRL": ("vermilion", "s", "--"), "simple": ("orange", "^", ":"), "fast": ("blue", "o", "-")}
STEPS = ("sampling", "RLOO", "GRPO", "DPO", "DPO, reference kept")
MODELS = ("tiny", "smollm2", "gpt2")


def keep(path: Path, found: dict[str, Any]) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


def table(found: dict[str, Any]) -> str:
    """A row for each model and kind of step: steps a second, times TRL's, memory, share of the limit."""
    about = found["machine"]
    lines = [
        f"`{about['processor']}, {about['cores']} cores, {about['threads']} thread, {about['code']}; Python {about['python']}, "
        f"torch {about['torch']}, transformers {about['transformers']}, TRL {about['trl']}`",
        "",
        "| model | step | batch | theirs, steps/s | simple | fast | simple ÷ theirs | fast ÷ theirs "
        "| share of the limit: theirs, simple, fast | peak memory in MiB: theirs, simple, fast |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model in MODELS:
        rows = found.get(model, {})
        for what in (what for what in STEPS if what in rows):
            row = rows[what]
            names = ("transformers" if "transformers" in row["median"] else "TRL", "simple", "fast")
            rate = [1 / row["median"][name] for name in names]
            share = ", ".join(f"{row['share'][name]:.0%}" for name in names)
            peaks = rows.get("memory", {}).get(what, {})
            peak = ", ".join(f"{peaks[name]:.0f}" for name in names) if peaks else "–"
            batch = f"{row['rows']} × ({row['prompt']} + {row['new_tokens']})"
            cells = [model, what, batch, *(f"{r:.3g}" for r in rate)]
            cells += [f"**{rate[1] / rate[0]:.2f}**", f"**{rate[2] / rate[0]:.2f}**", share, peak]
            lines.append(f"| {' | '.join(cells)} |")
    profiles = {model: found[model]["parts"] for model in MODELS if "parts" in found.get(model, {})}
    if profiles:
        lines += ["", f"| the solution's step | {' | '.join(profiles)} |", f"| --- |{' --- |' * len(profiles)}"]
        for part in next(iter(profiles.values())):
            shares = [f"{parts[part]:.2f} s, {parts[part] / sum(parts.values()):.0%}" for parts in profiles.values()]
            lines.append(f"| {part} | {' | '.join(shares)} |")
    return "\n".join(lines)


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Seconds of a step against batch, length and size, a line for each contender."""
    with figure(1, 3, size=(11.0, 3.6), sharey=True) as (fig, panels):
        for panel, (axis, label) in zip(panels, AXES.items(), strict=True):
            mine = [point for point in points if point["axis"] == axis]
            for name, (colour, marker, line) in LINES.items():
                values = [point["median"][name] for point in mine]
                panel.plot(
                    [p["value"] for p in mine], values, marker=marker, linestyle=line, color=COLOURS[colour], label=name
                )
            panel.set(xscale="log", yscale="log", xlabel=label)
            ticks = [point["value"] for point in mine]
            panel.set_xticks(ticks, [f"{t / 1e6:.1f} M" if t > 1e5 else str(t) for t in ticks], minor=False)
            panel.set_xticks([], minor=True)
        panels[0].set_ylabel("seconds a step")
        panels[0].legend()
        fig.suptitle("A REINFORCE step: TRL's RLOO, the solution of Part 2 and the fast path")
        fig.savefig(path, metadata={"Software": None})
