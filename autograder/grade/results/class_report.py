"""The class report: one page of HTML that works offline and in print."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder import masters
from helpers.parts import PARTS, ROOT

from . import outputs, similarity
from .pages import render, svg
from .store import Store

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6e7781"  # told apart by colour-blind readers too


def write(store: Store, path: Path) -> Path:
    """Write the report."""
    rows = outputs.sheet(store)
    path.write_text(render("report.html.j2", **content(store, rows)), encoding="utf-8")
    return path


def content(store: Store, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything that the report says."""
    parts = sorted({row["part"] for row in rows if row["part"] in PARTS})
    present = {row["student"] for row in rows}
    unsandboxed = [r for r in rows if r["result"] and not r["result"].get("protection", {}).get("sandboxed", True)]
    return {
        "title": store.setting("title", "Class report"),
        "counts": Counter(row["state"] for row in rows),
        "submissions": len(rows),
        "students": len(present),
        "missing": [person for person in store.roster() if person["student"] not in present],
        "unsandboxed": len(unsandboxed),
        "protection": _protection(rows),
        "parts": [_part(part, [row for row in rows if row["part"] == part]) for part in parts],
        "broken": [row for row in rows if row["state"] in ("unreadable", "error", "not graded") or _cells_failed(row)],
        "usage": _usage(rows),
        "trained": _trained(rows),
    }


def _protection(rows: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """How submissions were confined, each way with how many."""
    ways: Counter[str] = Counter()
    for row in rows:
        found = (row["result"] or {}).get("protection") or {}
        if found.get("sandboxed"):
            seccomp = "a seccomp filter" if found.get("seccomp") else "no seccomp filter"
            groups = {"v1": "control groups", "v2": "control groups"}.get(found.get("cgroup", ""), "a memory watchdog")
            ways[f"bubblewrap, {seccomp}, {groups}"] += 1
    return ways.most_common()


def _cells_failed(row: dict[str, Any]) -> bool:
    cells = (row["result"] or {}).get("cells", {})
    return bool(cells.get("errors") or cells.get("fault"))


def _part(part: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    sums = [outputs.total(row) for row in rows]
    given = [value for value in sums if value is not None]
    worth = sum(q.points for q in masters.load_questions(part))
    questions = []
    for question in masters.load_questions(part):
        values = [q["points"] for row in rows for q in row["questions"] if q["name"] == question.name]
        known = [value for value in values if value is not None]
        questions.append(
            {
                "name": question.name,
                "function": question.function or "written",
                "possible": question.points,
                "mean": sum(known) / len(known) if known else None,
                "full": sum(value >= question.points for value in known),
                "zero": sum(value == 0 for value in known),
                "marked": len(known),
                "bar": _bar(known, question.points),
            }
        )
    return {
        "number": part,
        "title": PARTS[part],
        "count": len(rows),
        "possible": worth,
        "mean": sum(given) / len(given) if given else None,
        "median": sorted(given)[len(given) // 2] if given else None,
        "figure": _histogram(given, worth, part) if given else "",
        "questions": questions,
        "hardest": _hardest(rows),
        "mistakes": _mistakes(rows),
        "alike": similarity.pairs([row for row in rows if row["code"]], part, handed_out(part)),
    }


def _bar(values: Sequence[float], possible: float) -> list[int]:
    """Shares in percent of no, some and all points."""
    if not values:
        return [0, 0, 0]
    none, full = sum(v == 0 for v in values), sum(v >= possible for v in values)
    return [round(100 * n / len(values)) for n in (none, len(values) - none - full, full)]


def handed_out(part: int) -> str:
    """The code of the student notebook, or of the master where it is not built."""
    path = ROOT / "notebooks" / f"{PARTS[part]}.ipynb"
    if path.exists():
        import json

        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    cells = masters.read_cells(masters.master_path(part))
    return "\n".join(cell.source for cell in cells if cell.kind == "code" and cell.role != "answer")


def _tests(rows: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(q["name"], test) for row in rows for q in row["questions"] for test in q["tests"] if not test["error"]]


def _hardest(rows: Sequence[dict[str, Any]], most: int = 10) -> list[dict[str, Any]]:
    tried: Counter[tuple[str, str, bool]] = Counter()
    failed: Counter[tuple[str, str, bool]] = Counter()
    for question, test in _tests(rows):
        key = (question, test["name"], test["hidden"])
        tried[key] += 1
        failed[key] += not test["passed"]
    ordered = sorted(tried, key=lambda key: (-failed[key] / tried[key], key))
    return [
        {"question": q, "test": t, "hidden": h, "failed": failed[q, t, h], "tried": tried[q, t, h]}
        for q, t, h in ordered[:most]
        if failed[q, t, h]
    ]


def _mistakes(rows: Sequence[dict[str, Any]], most: int = 15) -> list[tuple[str, int, str]]:
    """The commonest messages, numbers and places left out so that alike ones count together: text, students, question."""
    told: dict[str, set[str]] = {}
    where: dict[str, str] = {}
    for row in rows:
        for question in row["questions"]:
            for test in question["tests"]:
                if test["passed"] or test["error"] or not test["message"]:
                    continue
                text = test["message"].split("\n")[0]
                text = re.sub(r" \(line \d+ of code cell \d+\)", "", text)
                text = re.sub(r"(?<![\w.])-?\d+(\.\d+)?(e[-+]?\d+)?(?![\w])", "…", text)[:220]
                told.setdefault(text, set()).add(row["student"])
                where.setdefault(text, question["name"])
    ordered = sorted(told, key=lambda text: (-len(told[text]), text))
    return [(text, len(told[text]), where[text]) for text in ordered[:most]]


def _usage(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    usages = [
        row["result"]["usage"] | {"student": row["student"], "part": row["part"]} for row in rows if row["result"]
    ]
    usages = [usage for usage in usages if usage.get("seconds") is not None]
    seconds = sorted(usage["seconds"] for usage in usages)
    if not seconds:
        return {}
    return {
        "total": sum(seconds),
        "median": seconds[len(seconds) // 2],
        "longest": sorted(usages, key=lambda u: -u["seconds"])[:5],
        "largest": sorted(usages, key=lambda u: -(u["memory"] or 0))[:5],
    }


def _trained(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The policies that were trained with a student's step, on the reward–KL plane."""
    points = [
        (row["student"], m["kl"], m["reward"])
        for row in rows
        for m in ((row["result"] or {}).get("measured") or {}).values()
        if m.get("kl") is not None and m.get("reward") is not None
    ]
    return {"count": len(points), "figure": _plane(points) if points else ""}


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _histogram(values: Sequence[float], possible: float, part: int) -> Any:
    figure, axes = _figure(7.2, 2.4)
    bins = [possible * n / 20 for n in range(21)]
    counts, _, _ = axes.hist(values, bins=bins, color=BLUE, edgecolor="white")
    mean = sum(values) / len(values)
    axes.axvline(mean, color=ORANGE, linewidth=2, linestyle="--", label=f"mean {mean:.1f}")
    axes.set(title=f"Points in Part {part}", xlabel=f"points of {possible:g}", ylabel="students", xlim=(0, possible))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False)
    text = f"Histogram of points in Part {part}: {len(values)} submissions, mean {mean:.1f} of {possible:g}; "
    return svg(figure, text + f"the fullest of 20 bins holds {int(max(counts))}.")


def _plane(points: Sequence[tuple[str, float, float]]) -> Any:
    figure, axes = _figure(6.4, 3.6)
    axes.scatter([kl for _, kl, _ in points], [reward for _, _, reward in points], color=BLUE, alpha=0.7)
    axes.set(
        title="Policies after the test training", xlabel="KL to the reference (nats per text)", ylabel="mean reward"
    )
    best = max(points, key=lambda point: point[2])
    text = f"Scatter plot of {len(points)} policies; the highest reward is {best[2]:.2f} at a KL of {best[1]:.2f}."
    return svg(figure, text)
