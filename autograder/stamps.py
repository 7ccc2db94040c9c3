"""What makes a result out of date: for each kind of result, the files that decide it. These lists stand nowhere else.

A stamp is a hash of such files, by path and content. A result is current while its stamp is the one that it was made
under. The lists name folders and what in them does *not* matter, so a new file counts by itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from helpers.parts import PARTS, ROOT

from . import masters

CACHES = {"__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache"}
RECIPES = ("helpers/assets/recipes/*",)  # how the models were made: nothing reads it again
BUILT_FROM = ("course.toml", "requirements.txt", "constraints.txt", "autograder", "helpers")
JUDGED_BY = (
    "autograder/testing.py",
    "autograder/reference",
    "autograder/grade/limits.py",
    "autograder/grade/intake/notebook.py",  # which cells are code
    "autograder/grade/judging",
    "autograder/grade/sandbox",
    "helpers",  # the worlds, the rule of what is run, the models and data, and all that a student's function may call
)
WORKED_BY = (  # what a worker must have as the one who asks has it: what judges, and the form of jobs and results
    *JUDGED_BY,
    "autograder/masters.py",
    "autograder/grade/jobs.py",
    "autograder/grade/result.py",
    "autograder/grade/schedule.py",
    "autograder/grade/workers.py",
)
DECIDES_NO_MARK = (
    *RECIPES,
    "*.md",
    "autograder/reference/__main__.py",
    "autograder/reference/tensors/*",
    "helpers/plots.py",
    "helpers/diagrams.py",
    "helpers/display.py",
    "helpers/widgets.py",
    "helpers/*/figures.py",
    "helpers/notebook/start.py",
    "helpers/notebook/kept_runs.py",
    "helpers/notebook/versions.py",
    "helpers/notebook/grader.py",
    "helpers/notebook/submission.py",
    "helpers/notebook/submission_file.py",
    "helpers/notebook/unsaved.py",
    "helpers/notebook/exercises.json",
    "helpers/notebook/questions.json",
    "helpers/notebook/handed_out/*",
    "helpers/notebook/progress.py",
)


def files_below(folder: Path) -> list[Path]:
    """The files below a folder, sorted, caches left out."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in CACHES)
        found += [Path(base, name) for name in sorted(names) if not name.endswith((".pyc", ".log"))]
    return found


def digest(files: Iterable[Path], *words: object) -> str:
    """A hash of files' paths and contents, and of words; a file that is missing counts as well."""
    total = hashlib.sha256(repr(words).encode())
    for file in sorted(files):
        total.update(file.relative_to(ROOT).as_posix().encode())
        total.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"missing")
    return total.hexdigest()


def build(part: int) -> str:
    """Decides whether a part needs a new build: what it is made from, and the files that a build writes."""
    name, built = PARTS[part], ROOT / "build"
    files = [*_committed(part), built / "otter" / f"{part:02d}.zip"]
    files += [built / "nbgrader" / form / name / f"{name}.ipynb" for form in ("source", "release")]
    return digest(files)


def committed(part: int) -> str:
    """Decides whether a part's committed files must be compared with its master again: what they are made from, and they."""
    return digest(_committed(part))


def _committed(part: int) -> list[Path]:
    name = PARTS[part]
    tests = [q.name for q in masters.load_questions(part) if q.tests]
    files = [masters.master_path(part), *_files(BUILT_FROM, RECIPES)]
    files += [folder / f"{name}.ipynb" for folder in (ROOT / "notebooks", masters.SOLUTIONS)]
    files += [ROOT / "notebooks" / "tests" / file for file in ("hidden.json", *(f"{test}.py" for test in tests))]
    return [*files, ROOT / "docs" / "exercises.md"]


def executed(part: int, *, fast: bool, preset: str, seed: int | None = None) -> str:
    """Decides whether a solution must be executed again: this and earlier solutions, the helpers, the versions, the seed."""
    solutions = [masters.SOLUTIONS / f"{PARTS[n]}.ipynb" for n in PARTS if n <= part]
    return digest(
        [*solutions, *_files(("helpers", "constraints.txt"), (*RECIPES, "*.md", "helpers/notebook/handed_out/*"))],
        fast,
        preset,
        seed,
    )


def check(part: int) -> str:
    """Decides whether the graders must try the solution and the untouched notebook again."""
    notebooks = [folder / f"{PARTS[part]}.ipynb" for folder in (ROOT / "notebooks", masters.SOLUTIONS)]
    return digest([*notebooks, ROOT / "build" / "otter" / f"{part:02d}.zip"], marks(part))


def marks(part: int) -> str:
    """Decides whether marks still count: the part's questions with their tests, the judge, and what it loads.

    A master's prose, a figure and another part's references decide no mark.
    """
    others = [f"autograder/reference/part{n}.py" for n in PARTS if n != part]
    questions = [(q.name, q.points, q.tests) for q in masters.load_questions(part)]
    return digest(_files(JUDGED_BY, (*DECIDES_NO_MARK, *others)), questions)


def judge() -> str:
    """Decides whether two processes judge alike: the judge and what it loads, and every part's questions."""
    questions = [(q.name, q.points, q.tests) for part in masters.existing_parts() for q in masters.load_questions(part)]
    return digest(_files(WORKED_BY, DECIDES_NO_MARK), questions)


def _files(places: Iterable[str], without: Iterable[str] = ()) -> list[Path]:
    """The files at and below some places, but for those whose path fits a pattern of `without`."""
    every = [file for place in places for file in files_below(ROOT / place) or [ROOT / place]]
    return [f for f in every if not any(fnmatch(f.relative_to(ROOT).as_posix(), pattern) for pattern in without)]
