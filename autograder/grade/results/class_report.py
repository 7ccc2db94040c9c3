"""The class report: one page of HTML that works offline and in print."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autograder import masters
from autograder.grade.result import SubmissionResult
from autograder.testing import TestResult
from helpers.parts import PARTS, ROOT

from . import similarity
from .outputs import QuestionRow, SheetRow, sheet
from .pages import INK, render, svg
from .store import Store

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6e7781"  # told apart by colour-blind readers too


def write(store: Store, path: Path) -> Path:
    """Write the report."""
    path.write_text(render("report.html.j2", **content(store, sheet(store))), encoding="utf-8")
    return path


def content(store: Store, rows: Sequence[SheetRow]) -> dict[str, Any]:
    """Everything that the report says."""
    parts = sorted({row.part for row in rows if row.part in PARTS})
    present = {row.student for row in rows}
    results = [row.result for row in rows if row.result]
    return {
        "title": store.setting("title", "Class report"),
        "counts": Counter(row.state for row in rows),
        "submissions": len(rows),
        "students": len(present),
        "missing": [person for student, person in store.roster().items() if student not in present],
        "unsandboxed": sum(result.protection is not None and not result.protection.sandboxed for result in results),
        "protection": _protection(results),
        "parts": [_part(part, [row for row in rows if row.part == part], _further_members(store)) for part in parts],
        "broken": [
            row
            for row in rows
            if row.state in ("unreadable", "to look at", "error", "not graded") or _cells_failed(row)
        ],
        "usage": _usage(results),
        "trained": _trained(results),
    }


def _protection(results: Sequence[SubmissionResult]) -> list[tuple[str, int]]:
    """How submissions were confined, each way with how many."""
    ways: Counter[str] = Counter()
    kinds = {"v1": "control groups", "v2": "control groups", "systemd": "a scope of systemd"}
    for result in results:
        found = result.protection
        if found is not None and found.sandboxed:
            seccomp = "a seccomp filter" if found.seccomp else "no seccomp filter"
            groups = kinds.get(found.cgroup, "a memory watchdog")
            ways[f"bubblewrap, {seccomp}, {groups}"] += 1
    return ways.most_common()


def _cells_failed(row: SheetRow) -> bool:
    return row.result is not None and bool(row.result.cells.errors or row.result.cells.fault)


def _further_members(store: Store) -> set[tuple[str, int]]:
    """Who handed in a part with others, but for one of each group: what a group has in common is no copy."""
    return {(student, part) for part, group in json.loads(store.setting("groups", "[]")) for student in group[1:]}


def _part(part: int, rows: Sequence[SheetRow], further: set[tuple[str, int]]) -> dict[str, Any]:
    given = [row.total for row in rows if row.total is not None]
    worth = sum(q.points for q in masters.load_questions(part))
    return {
        "number": part,
        "title": PARTS[part],
        "count": len(rows),
        "possible": worth,
        "mean": sum(given) / len(given) if given else None,
        "median": sorted(given)[len(given) // 2] if given else None,
        "figure": _histogram(given, worth, part) if given else "",
        "questions": [_question(question, rows) for question in masters.load_questions(part)],
        "hardest": _hardest(rows),
        "mistakes": _mistakes(rows),
        "alike": _alike(part, [row for row in rows if (row.student, part) not in further]),
    }


def _alike(part: int, rows: Sequence[SheetRow]) -> dict[str, Any]:
    """What comparing the class's answers gave: `compared`, in words; the `groups` of code and of written answers; `names`."""
    questions = masters.load_questions(part)
    cells = masters.read_cells(masters.master_path(part))
    solution = "\n".join(masters.strip_markers(c.source) for c in cells if c.kind == "code" and c.role != "test")
    code = {row.student: row.submission.code for row in rows if row.submission.code}
    functions = {question.function: question.name for question in questions if question.function}
    made = similarity.compare_code(code, functions, handed_out(part), solution, len(rows))
    groups = [{"code": True, **vars(group)} for group in made.groups]
    compared = [f"the code of {made.compared} of {len(rows)} submissions"] if made.compared > 1 else []
    texts = 0
    for question in questions:
        if question.manual:
            answers = {row.student: row.submission.written.get(question.name, "") for row in rows}
            known = "\n".join([question.prompt, *question.rubric])
            made = similarity.compare_texts(question.name, answers, known, question.sample_answer, len(rows))
            groups += [{"code": False, **vars(group)} for group in made.groups]
            texts += made.compared if made.compared > 1 else 0
    compared += [f"{texts} written answers, each with the others to its question"] if texts else []
    names = {row.student: row.submission.name or row.student for row in rows}
    names |= {student: f"{name} ({student})" for student, name in names.items() if name != student}
    return {"compared": compared, "groups": groups, "names": names}


def _question(question: masters.Question, rows: Sequence[SheetRow]) -> dict[str, Any]:
    values = [q.points for row in rows for q in row.questions if q.name == question.name]
    known = [value for value in values if value is not None]
    return {
        "name": question.name,
        "function": question.function or "written",
        "possible": question.points,
        "mean": sum(known) / len(known) if known else None,
        "full": sum(value >= question.points for value in known),
        "zero": sum(value == 0 for value in known),
        "marked": len(known),
        "bar": _bar(known, question.points),
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
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    cells = masters.read_cells(masters.master_path(part))
    return "\n".join(cell.source for cell in cells if cell.kind == "code" and cell.role != "answer")


def _tests(rows: Sequence[SheetRow]) -> Iterator[tuple[str, QuestionRow, TestResult]]:
    """Every test that was judged, with the student and the question."""
    for row in rows:
        for question in row.questions:
            yield from ((row.student, question, test) for test in question.tests if not test.error)


def _hardest(rows: Sequence[SheetRow], most: int = 10) -> list[dict[str, Any]]:
    tried: Counter[tuple[str, str, bool]] = Counter()
    failed: Counter[tuple[str, str, bool]] = Counter()
    for _, question, test in _tests(rows):
        key = (question.name, test.name, test.hidden)
        tried[key] += 1
        failed[key] += not test.passed
    ordered = sorted(tried, key=lambda key: (-failed[key] / tried[key], key))
    return [
        {"question": q, "test": t, "hidden": h, "failed": failed[q, t, h], "tried": tried[q, t, h]}
        for q, t, h in ordered[:most]
        if failed[q, t, h]
    ]


def _mistakes(rows: Sequence[SheetRow], most: int = 15) -> list[dict[str, Any]]:
    """The commonest messages, those that differ in numbers, dtypes, shapes and places alone taken as one.

    Returns:
        For each an `example`, how many `students` had it (whatever test saw it), and the `questions`.
    """
    told: dict[str, dict[str, tuple[str, str]]] = {}
    for student, question, test in _tests(rows):
        if not test.passed and test.message:
            first = test.message.strip().split("\n")[0]
            told.setdefault(mistake_of(first), {}).setdefault(student, (question.name, PLACE.sub("", first)[:220]))
    ordered = sorted(told, key=lambda kind: (-len(told[kind]), kind))
    return [
        {
            "example": min(told[kind].values())[1],
            "students": len(told[kind]),
            "questions": sorted({name for name, _ in told[kind].values()}),
        }
        for kind in ordered[:most]
    ]


PLACE = re.compile(r" \(line \d+ of code cell \d+\)")
# Students choose what an exception says, so each pattern takes linear time: two numbers never stand side by side in one.
VARYING = (  # what differs between two messages of one mistake, in the order in which it is taken out
    (PLACE, ""),
    (re.compile(r"\b(?:torch\.|np\.|numpy\.)?(?:(?:b?float|u?int|complex)\d+|half|double|bool)\b"), "dtype"),
    (re.compile(r"(?:torch\.Size\()?[\[(]\s*(?:-?\d+(?:\s*,\s*|\s+))*(?:-?\d+\s*)?[\])]\)?"), "shape"),
    (
        re.compile(r"(?<![A-Za-z_])[-−+]?(?:\d+(?:[.,]\d+)*(?:e[-+]?\d+)?|inf(?:inite|inity)?|nan)(?![A-Za-z_])", re.I),
        "…",
    ),
)


def mistake_of(message: str) -> str:
    """What stays of a message if numbers, dtypes, shapes, indices and the place in the notebook are left out."""
    for pattern, text in VARYING:
        message = pattern.sub(text, message)
    return message[:220]


def _usage(results: Sequence[SubmissionResult]) -> dict[str, Any]:
    used = [(result.usage, result) for result in results if result.usage]
    if not used:
        return {}
    seconds = sorted(usage.seconds for usage, _ in used)
    return {
        "total": sum(seconds),
        "median": seconds[len(seconds) // 2],
        "longest": [result for _, result in sorted(used, key=lambda pair: -pair[0].seconds)[:5]],
        "largest": [result for _, result in sorted(used, key=lambda pair: -pair[0].memory)[:5]],
    }


def _trained(results: Sequence[SubmissionResult]) -> dict[str, Any]:
    """The policies that were trained with a student's step, on the reward–KL plane."""
    points = [
        (result.student, measures["kl"], measures["reward"])
        for result in results
        for measures in result.measured.values()
    ]
    return {"count": len(points), "figure": _plane(points) if points else ""}


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    places = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with mpl.rc_context(dict.fromkeys(places, INK)):
        figure = Figure(figsize=(width, height))
        axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _histogram(values: Sequence[float], possible: float, part: int) -> Any:
    figure, axes = _figure(7.2, 2.4)
    bins = [possible * n / 20 for n in range(21)]
    counts, _, _ = axes.hist(values, bins=bins, color=BLUE, edgecolor="none", rwidth=0.94)
    mean = sum(values) / len(values)
    axes.axvline(mean, color=ORANGE, linewidth=2, linestyle="--", label=f"mean {mean:.1f}")
    axes.set(title=f"Points in Part {part}", xlabel=f"points of {possible:g}", ylabel="students", xlim=(0, possible))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, labelcolor=INK)
    text = f"Histogram of points in Part {part}: {len(values)} submissions, mean {mean:.1f} of {possible:g}; "
    return svg(figure, text + f"the fullest of 20 bins holds {int(max(counts))}.")


def _plane(points: Sequence[tuple[str, float, float]]) -> Any:
    """Policies by KL and reward; equal answers make equal policies, so a dot has the number of those that lie there."""
    figure, axes = _figure(6.4, 3.6)
    places = Counter((round(kl, 2), round(reward, 2)) for _, kl, reward in points)
    for (kl, reward), count in places.items():
        axes.scatter(kl, reward, s=40 * count**0.5, color=BLUE, alpha=0.7)
        axes.annotate(f"{count}", (kl, reward), (5, 5), textcoords="offset points", fontsize=8, color=INK)
    axes.set(
        title="Policies after the test training, with how many lie at a dot",
        xlabel="KL to the reference (nats per text)",
        ylabel="mean reward",
        xlim=(0, 1.1 * max(1.0, *(kl for kl, _ in places))),
        ylim=(0, 1.05),
    )
    best = max(points, key=lambda point: point[2])
    text = f"Scatter plot of {len(points)} policies at {len(places)} places; "
    return svg(figure, text + f"the highest reward is {best[2]:.2f} at a KL of {best[1]:.2f}.")
