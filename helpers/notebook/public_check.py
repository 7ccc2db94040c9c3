"""A notebook's public tests in a fresh process: `python -m helpers.notebook.public_check NOTEBOOK TESTS PART` prints JSON.

It takes from the notebook what the course's grader takes: the functions under test and everything they need, by the
same rule (`helpers.notebook.selection`). Training cells, plots and sanity checks are not run.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.parts import ROOT
from helpers.raised import described, students_assertion

from .selection import Selection, select


def tests_folders(part: int, *folders: Path) -> list[Path]:
    """Those of some folders, of `tests` beside this notebook and of the course's own that hold a part's public tests."""
    places = (*folders, Path.cwd() / "tests", ROOT / "notebooks" / "tests")
    return [folder for folder in dict.fromkeys(places) if any(folder.glob(f"q{part}_*.py"))]


def load_tests(folder: Path, part: int) -> dict[str, list[Any]]:
    """The public test cases of a part, by question; each has otter's `body` with the test function."""
    files = sorted(
        folder.glob(f"q{part}_*.py"),
        key=lambda path: [(0, int(n), "") if n.isdigit() else (1, 0, n) for n in path.stem.split("_")],
    )
    return {file.stem: load_cases(file) for file in files}


def load_cases(file: Path) -> list[Any]:
    """The public test cases of one question's file."""
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import create_test_file

    return list(create_test_file(str(file), NBMetadataConfig()).test_cases)


def title_of(case: Any) -> str:
    """A test's description: its docstring's first line, else its name in words."""
    function = case.body.test_func
    text = (function.__doc__ or "").strip()
    return text.splitlines()[0].rstrip(".") if text else function.__name__.replace("_", " ")


def parameters(case: Any) -> list[str]:
    """The names that a test asks for."""
    return list(inspect.signature(case.body.test_func).parameters)


def wanted_names(tests: dict[str, list[Any]]) -> list[str]:
    """The names that the tests ask for: the exercises' functions and answers."""
    names = dict.fromkeys(name for cases in tests.values() for case in cases for name in parameters(case))
    return [name for name in names if name != "env"]


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells of a notebook, numbered as in the notebook; the course's own cells are left out."""
    cells = []
    for number, cell in enumerate(notebook.get("cells", []), start=1):
        tags = cell.get("metadata", {}).get("tags", [])
        if cell.get("cell_type") == "code" and "course" not in tags:
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            cells.append({"number": number, "source": source, "tags": tags})
    return cells


def define(selection: Selection) -> tuple[dict[str, Any], list[str]]:
    """Run the chosen statements in a new namespace; returns it, and what failed."""
    space: dict[str, Any] = {"__name__": "__main__"}
    selection.keep_lines()
    errors = [f"cell {e['cell']}, line {e['line']}: {e['type']}: {e['message']}" for e in selection.errors]
    for statement in selection.statements:
        try:
            exec(selection.code_of(statement), space)
        except (Exception, SystemExit) as error:  # the student's own code may raise anything
            errors.append(
                f"cell {statement.cell}, line {statement.node.lineno}: {type(error).__name__}: {str(error)[:300]}"
            )
    return space, errors


def run_case(case: Any, space: dict[str, Any]) -> str:
    """Run one test on the names in `space`; returns what is wrong, or an empty string."""
    try:
        case.body.call_func(space)
    except AssertionError as failure:
        return described(failure) if students_assertion(failure) else str(failure) or "an assertion failed"
    except (Exception, SystemExit) as error:  # the student's own code may raise anything
        return described(error)
    return ""


def check_notebook(path: Path, folder: Path, part: int) -> dict[str, Any]:
    """Run a notebook's public tests in this process.

    Returns:
        `questions`: by name, a list of [the test's title, message], the message empty where it passed; `errors`: what
        failed while the definitions were taken over.
    """
    tests = load_tests(folder, part)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    space, errors = define(select(code_cells(notebook), wanted_names(tests)))
    questions = {}
    for name, cases in tests.items():
        questions[name] = [[title_of(case), run_case(case, space)] for case in cases]
    return {"questions": questions, "errors": errors}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: what the student's code prints is dropped, the result is the only output."""
    parser = argparse.ArgumentParser(description="Run a notebook's public tests in a fresh process.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("tests", type=Path)
    parser.add_argument("part", type=int)
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("COURSE_FAST", "1")
    sys.path.insert(0, str(ROOT))
    with contextlib.redirect_stdout(io.StringIO()):
        result = check_notebook(chosen.notebook, chosen.tests, chosen.part)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
