"""`course check`: do the graders give the solution full marks, and the untouched notebook none?"""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograder import masters, stamps, testing
from autograder.publish.normalise import write_json
from autograder.publish.otter_forms import run_tool
from helpers.notebook.public_check import code_cells, define
from helpers.notebook.selection import select
from helpers.parts import PARTS, ROOT

from .check_nbgrader import FORMS, grade_two

CHECK_FOLDER = ROOT / "build" / "check"


@dataclass
class Marks:
    """What one grader gave to the solution and to the untouched notebook of a part."""

    part: int
    grader: str  # "in process", "otter" or "nbgrader"
    possible: float
    solution: float
    blank: float
    problems: list[str] = field(default_factory=list)
    cached: bool = False

    @property
    def ok(self) -> bool:
        """True if the solution got everything and the blank nothing."""
        return self.solution == self.possible and self.blank == 0 and not self.problems


def definitions(notebook: Path, questions: list[masters.Question]) -> tuple[dict[str, Any], list[str]]:
    """The names that a part's tests ask for, taken from a notebook by the grader's rule; and what failed."""
    wanted = {name for question in questions for test in question.tests for name in parameters(test)}
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return define(select(code_cells(content), sorted(wanted - {"env"})))


def parameters(test: masters.TestCase) -> list[str]:
    """The names that a test asks for."""
    return list(inspect.signature(testing.compile_test(test)).parameters)


def marks_in_process(part: int, solution: Path, blank: Path) -> Marks:
    """Run all tests, hidden ones too, on both notebooks in this process."""
    questions = [q for q in masters.load_questions(part) if not q.manual]
    marks = Marks(part, "in process", sum(q.points for q in questions), 0.0, 0.0)
    env, errors = definitions(solution, questions)
    marks.problems += [f"solution: {error}" for error in errors]
    for question in questions:
        for result in testing.run_tests(question, env):
            marks.solution += result.points or 0.0
            if not result.passed:
                marks.problems.append(f"{question.name}, {result.name} fails on the solution: {result.message}")
    env, _ = definitions(blank, questions)
    for question in questions:
        for result in testing.run_tests(question, env):
            marks.blank += result.points or 0.0
            if result.passed:
                marks.problems.append(f"{question.name}, {result.name} passes on the untouched notebook")
            if result.error:
                marks.problems.append(f"{question.name}, {result.name}: the judge's own error: {result.message}")
    return marks


def marks_by_otter(part: int, solution: Path, blank: Path, archive: Path, work: Path) -> Marks:
    """Run `otter run` with the Gradescope zip on both notebooks."""
    possible = sum(q.points for q in masters.load_questions(part) if not q.manual)
    marks = Marks(part, "otter", possible, 0.0, 0.0)
    marks.solution, problems = otter_score(solution, archive, work / "solution")
    marks.problems += [f"solution: {line}" for line in problems]
    marks.blank, _ = otter_score(blank, archive, work / "blank")
    return marks


def otter_score(notebook: Path, archive: Path, output: Path) -> tuple[float, list[str]]:
    """The points that `otter run` gives to a notebook, and the tests that failed."""
    output.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "otter", "run", str(notebook), "-a", str(archive), "-o", str(output), "--no-logo"]
    run_tool(command, output, f"otter run on {notebook.name}", project_on_path=False)
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    tests = [test for test in results["tests"] if test.get("max_score") is not None]
    failed = [
        f"{t['name']}: {t.get('score', 0)} of {t['max_score']}" for t in tests if t.get("score", 0) < t["max_score"]
    ]
    return float(sum(test.get("score", 0) for test in tests)), failed


def marks_by_nbgrader(part: int, built: Path, work: Path) -> Marks:
    """Let nbgrader generate, take in and grade both notebooks; a cell of the solution that ends in an error is a problem."""
    marks = Marks(part, "nbgrader", sum(q.points for q in masters.load_questions(part) if not q.manual), 0.0, 0.0)
    points, marks.problems = grade_two(part, built, work)
    marks.solution, marks.blank = points["solution"], points["untouched"]
    return marks


def check_part(part: int, *, otter: bool = True, nbgrader: bool = False, force: bool = False) -> list[Marks]:
    """Check a part with the graders; results of an earlier check of the very same files are taken from `build/check/`."""
    name = PARTS[part]
    solution, blank = masters.SOLUTIONS / f"{name}.ipynb", ROOT / "notebooks" / f"{name}.ipynb"
    archive, forms = ROOT / "build" / "otter" / f"{part:02d}.zip", ROOT / "build" / "nbgrader"
    by_grader = {
        "in process": ((), lambda: marks_in_process(part, solution, blank)),
        "otter": ((archive,), lambda: marks_by_otter(part, solution, blank, archive, CHECK_FOLDER / f"{name}-otter")),
        "nbgrader": (
            tuple(forms / form / name / f"{name}.ipynb" for form in FORMS.values()),
            lambda: marks_by_nbgrader(part, forms, CHECK_FOLDER / f"{name}-nbgrader"),
        ),
    }
    wanted = ["in process", *(["otter"] if otter else []), *(["nbgrader"] if nbgrader else [])]
    for path in (solution, blank, *(file for grader in wanted for file in by_grader[grader][0])):
        if not path.exists():
            raise FileNotFoundError(f"{path.relative_to(ROOT)} is not built yet: run `course build` first")
    marks = []
    for grader in wanted:
        key = stamps.digest(by_grader[grader][0], stamps.check(part)) if grader == "nbgrader" else stamps.check(part)
        record = CHECK_FOLDER / f"{name}-{grader.replace(' ', '-')}.json"
        known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        if known.get("key") == key and not force:
            found = Marks(**known["marks"])
            found.cached = True
        else:
            found = by_grader[grader][1]()
            if found.ok:
                write_json(record, {"key": key, "marks": asdict(found)})
        marks.append(found)
    return marks


def count_points(part: int) -> tuple[int, float, float]:
    """A part's number of questions, its automatic points and its points marked by hand."""
    questions = masters.load_questions(part)
    manual = sum(q.points for q in questions if q.manual)
    return len(questions), sum(q.points for q in questions) - manual, manual
