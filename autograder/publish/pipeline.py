"""The build as a whole: all parts, all forms, in one go, and the check that the committed forms are current."""

from __future__ import annotations

import ast
import filecmp
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from autograder import masters
from autograder.masters import MasterError, label_of
from autograder.stamps import files_below
from helpers.notebook.places import HANDED_OUT
from helpers.parts import PARTS, ROOT

from .effort import minutes_of
from .exercises_page import PAGE, exercises_page
from .nbgrader_forms import add_helpers, build_nbgrader_forms
from .normalise import write_json, write_text
from .otter_forms import build_otter_forms
from .settings import Course, load_course

WORKERS = 2
SHARED = (
    Path("notebooks", "tests", "hidden.json"),
    PAGE,
    Path("helpers", "notebook", "exercises.json"),
    Path("helpers", "notebook", "questions.json"),
)
LONGEST_LINE = 120  # of a master's prose
UNBREAKABLE = ("# |", "# $$", "# \\")  # rows of tables, lines of display formulas


@dataclass
class BuildReport:
    """What a build wrote: paths relative to the destination."""

    parts: list[int]
    written: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)


def build(
    parts: Sequence[int] | None = None,
    destination: Path = ROOT,
    *,
    committed_only: bool = False,
    masters_at: dict[int, Path] | None = None,
    course: Course | None = None,
    progress: Callable[[int], None] = lambda part: None,
) -> BuildReport:
    """Build every form of the parts (all parts whose masters exist, if none are given) below `destination`.

    Everything is built in a temporary folder first, so a build that fails changes nothing.

    Args:
        parts: numbers of the parts.
        destination: where the forms go; the repository itself by default.
        committed_only: leave out what is not committed (the Gradescope zip, nbgrader's folders).
        masters_at: masters elsewhere than in `solutions/`, for tests.
        course: the settings; `course.toml` by default.
        progress: called with a part's number when it is done.

    Raises:
        MasterError: if a master does not follow the format.
        BuildError: if otter or nbgrader refuses it.
    """
    sources = masters_at or {part: masters.master_path(part) for part in parts or masters.existing_parts()}
    course = course or load_course()
    for part, path in sources.items():
        check_master(path, part)
    with tempfile.TemporaryDirectory(prefix="course-build-") as temporary:
        out = Path(temporary, "out")

        def build_part(part: int) -> None:
            work = Path(temporary, f"work-{part}")
            build_otter_forms(sources[part], part, course, work, out, archive=not committed_only)
            if not committed_only:
                build_nbgrader_forms(sources[part], part, course, work, out)
            shutil.rmtree(work)
            progress(part)

        with ThreadPoolExecutor(WORKERS) as executor:
            list(executor.map(build_part, sources))
        write_shared(out, {**(all_masters() if destination == ROOT else {}), **sources})
        report = install(out, destination, list(sources))
    if not committed_only:
        for part in sources:
            add_helpers(part, destination)
    return report


def all_masters() -> dict[int, Path]:
    """The path of every master that exists."""
    return {part: masters.master_path(part) for part in masters.existing_parts()}


def write_shared(out: Path, sources: dict[int, Path]) -> None:
    """Write what is made of the masters of all parts together, `SHARED`, below `out`."""
    counts, page, numbers, table = (out / path for path in SHARED)
    write_json(counts, hidden_counts(sources))
    write_text(page, exercises_page(sources))
    write_json(numbers, exercise_numbers(sources))
    write_json(table, question_table(sources))


def hidden_counts(sources: dict[int, Path]) -> dict[str, int]:
    """How many hidden tests each question has: what `submit` tells the student. No more than the number gets out."""
    questions = [q for part, path in sources.items() for q in masters.load_questions_from(path, part)]
    return {q.name: sum(test.hidden for test in q.tests) for q in questions if q.tests}


def exercise_numbers(sources: dict[int, Path]) -> dict[str, str]:
    """The number of each function's exercise, for the sentence that says that it is not written yet."""
    questions = [q for part, path in sources.items() for q in masters.load_questions_from(path, part)]
    return {q.function: q.name.removeprefix("q").replace("_", ".") for q in questions if q.function}


def question_table(sources: dict[int, Path]) -> dict[str, dict[str, object]]:
    """What the student's view of progress says of each question: the notebook's name for it, its points, its function."""
    questions = [q for part, path in sources.items() for q in masters.load_questions_from(path, part)]
    return {
        q.name: {
            "label": label_of(q), "points": q.points, "function": q.function or "", "minutes": 0 if q.optional else minutes_of(q),
        }
        for q in questions
    }  # fmt: skip


def install(out: Path, destination: Path, parts: list[int]) -> BuildReport:
    """Move what was built to its place; remove built files of these parts that are no longer made."""
    report = BuildReport(parts)
    made = {file.relative_to(out) for file in files_below(out)}
    for stale in sorted(built_files(destination, parts) - made):
        (destination / stale).unlink()
        report.changed.append(stale)
    for relative in sorted(made):
        target = destination / relative
        report.written.append(relative)
        if target.exists() and filecmp.cmp(out / relative, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(out / relative, target)
        report.changed.append(relative)
    return report


def built_files(destination: Path, parts: Sequence[int]) -> set[Path]:
    """The committed files below `destination` that a build of these parts makes, or once made."""
    found: set[Path] = set()
    for part in parts:
        name = PARTS[part]
        patterns = [f"notebooks/{name}.ipynb", f"solutions/{name}.ipynb", f"notebooks/tests/[qw]{part}_*.py"]
        patterns += [f"helpers/notebook/{HANDED_OUT.name}/{name}.json"]
        found |= {path.relative_to(destination) for pattern in patterns for path in destination.glob(pattern)}
    return found


def difference(left: Path, right: Path, parts: Sequence[int]) -> list[str]:
    """What differs between the committed forms below two folders, one line a file."""
    lines = []
    names = built_files(left, parts) | built_files(right, parts) | set(SHARED)
    for relative in sorted(names):
        if not (left / relative).exists():
            lines.append(f"{relative}: no longer made by the masters")
        elif not (right / relative).exists():
            lines.append(f"{relative}: missing")
        elif not filecmp.cmp(left / relative, right / relative, shallow=False):
            lines.append(f"{relative}: differs from what the master gives")
    return lines


def check_committed(parts: Sequence[int] | None = None) -> list[str]:
    """Build the committed forms anew and compare: what differs, or an empty list.

    Notebooks whose masters do not exist count as a difference too.
    """
    chosen = list(parts or masters.existing_parts())
    with tempfile.TemporaryDirectory(prefix="course-check-") as temporary:
        fresh = Path(temporary)
        build(chosen, fresh, committed_only=True)
        write_shared(fresh, all_masters())
        lines = difference(fresh, ROOT, chosen)
    without = set(PARTS) - set(masters.existing_parts())
    return lines + [f"{path}: its master is missing" for path in sorted(built_files(ROOT, sorted(without)))]


def check_master(path: Path, part: int) -> None:
    """The rules that a master must keep for the build, beyond its format.

    Raises:
        MasterError: naming the question or the line, and the rule.
    """
    check_prose(path)
    for cell in masters.read_cells(path):
        if cell.kind == "code" and cell.role == "answer" and not masters.has_solution(cell.source):
            raise MasterError(f"{cell.where}: a solution's code needs # BEGIN/END SOLUTION in it")
    for question in masters.load_questions_from(path, part):
        where = f"{path.name}, question {question.name}"
        kind = "w" if question.manual else "q"
        if not question.name.startswith(f"{kind}{part}_"):
            raise MasterError(f"{where}: its name must begin with {kind}{part}_")
        if question.tests and all(test.hidden for test in question.tests):
            raise MasterError(f"{where}: the student gets no feedback: it needs a public test")
        for test in question.tests:
            if '"' in test.success_message + test.failure_message:
                raise MasterError(f"{where}, {test.name}: otter cannot write a message with double quotes")
        if question.function:
            check_alone(question, where)


def check_prose(path: Path) -> None:
    """A line of prose has at most `LONGEST_LINE` characters, so that a change can be read, unless it cannot be broken.

    Raises:
        MasterError: naming the first line that is too long.
    """
    prose = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith(masters.CELL):
            prose = line.startswith(f"{masters.CELL} [markdown]")
        elif prose and len(line) > LONGEST_LINE and not line.startswith(UNBREAKABLE):
            raise MasterError(
                f"{path.name}, line {number}: {len(line)} characters of prose; break it after a sentence or a clause, "
                f"at {LONGEST_LINE} at most"
            )


def check_alone(question: masters.Question, where: str) -> None:
    """An exercise's function stands in a code cell of its own: no second definition, no demonstration beside it."""
    extra = [
        node
        for node in ast.parse(question.solution).body
        if not (isinstance(node, ast.FunctionDef) and node.name == question.function)
        and not isinstance(node, ast.Import | ast.ImportFrom)
    ]
    if extra:
        raise MasterError(
            f"{where}: `{question.function}` must stand alone in its cell; found also line {extra[0].lineno}"
        )
