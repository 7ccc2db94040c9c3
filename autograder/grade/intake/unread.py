"""Cells that JupyterLab may run and this grader cannot read: a person has to look at them. Runs in the reader.

What is no Python for JupyterLab either (a slip of the student's) is none of them: that cell fails there as it fails here.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import Any

from autograder.grade.text import remembered

NO_PYTHON = set(  # cell magics whose body binds nothing in the notebook
    "! bash cmd file HTML html javascript js latex markdown perl pypy python python2 python3 ruby script sh svg SVG sx system "
    "writefile bigquery sql sqlite R html5 shell mermaid configure_logging".split()
)
BINDING = re.compile(r"^[ \t]*%?(run|pylab|store[ \t]+-r|macro|rerun|edit)\b(?=[ \t]|$)", re.MULTILINE)
DEFINED = re.compile(
    r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)|^[ \t]*(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE
)
MODULE = re.compile(r"\s*%%(?:writefile|file)[ \t]+(?:(?:-a|--append)[ \t]+)?[\"']?(?:\./)?(\w+)\.py\b")
MAGIC = re.compile(r"^[ \t]*[%!]", re.MULTILINE)
LONGEST = 100_000  # characters of a cell that are looked at
MOST = 20


def find_unread(
    code: list[dict[str, Any]], functions: list[str], python: tuple[int, ...] = (0,)
) -> list[dict[str, Any]]:
    """The cells of a notebook that JupyterLab may run, that graded functions may need, and that cannot be read here.

    Args:
        code: the code cells (`number`, `source`).
        functions: the graded functions of its part.
        python: the version that the notebook was last run with, as it says itself.

    Returns:
        For each its `cell`, `line` and `why`, and those of the `functions` that it defines; none of them if it defines what
        the others may need.
    """
    found: list[dict[str, Any]] = []
    for cell in code:
        if len(found) == MOST:
            break
        source = cell["source"][:LONGEST]
        if (module := MODULE.match(source)) is not None and _is_imported(module[1], code):
            why = f"only Jupyter writes `{module[1]}.py`, which another cell imports"
            found.append({"cell": cell["number"], "line": 1, "why": why, "functions": []})
        problem = _problem(source, python)
        if problem is None:
            continue
        line, why, is_open = problem
        defined = {name for names in DEFINED.findall(source) for name in names if name}
        own = sorted(defined.intersection(functions))
        others = "\n".join(c["source"] for c in code if c is not cell)
        if own or is_open or any(re.search(rf"\b{name}\b", others) for name in sorted(defined)[:50]):
            found.append({"cell": cell["number"], "line": line, "why": why, "functions": own})
    return found


@remembered
def _parses(source: str) -> bool:
    """Whether a cell is Python as it stands."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _is_imported(name: str, code: list[dict[str, Any]]) -> bool:
    """Whether a cell imports a module that another cell writes as a file."""
    imports = re.compile(rf"^[ \t]*(?:from|import)\b.*\b{name}\b", re.MULTILINE)
    return any(imports.search(cell["source"]) for cell in code if MODULE.match(cell["source"]) is None)


def _problem(source: str, python: tuple[int, ...]) -> tuple[int, str, bool] | None:
    """Why a cell cannot be read though JupyterLab may run it: the line, the reason, and whether it may bind any name at all."""
    plain = source.replace("\r\n", "\n").replace("\r", "\n")
    if _parses(plain):
        return None
    from helpers.notebook import selection  # IPython comes with it, which most notebooks do not need

    if (match := BINDING.search(plain)) is not None and (
        "%" in match[0] or (match[1] == "run" and "\n" not in plain.strip())
    ):
        name = match[1].split()[0]
        return plain[: match.start()].count("\n") + 1, f"only Jupyter can run `%{name}`", True
    try:
        if selection.read(plain, "cell") is not None:
            return None
        name = re.split(r"\s", plain.lstrip()[2:], maxsplit=1)[0]
        return None if name in NO_PYTHON else (1, f"only Jupyter knows what `%%{name[:40]}` does", False)
    except SyntaxError as error:
        line = error.lineno or 1
        if python[:2] > sys.version_info[:2]:
            version = ".".join(map(str, python[:2]))
            return (
                line,
                f"this may be Python {version}, and the grader has {sys.version_info[0]}.{sys.version_info[1]}",
                False,
            )
        if selection.AS_JUPYTER is None and MAGIC.search(plain):
            return line, "only Jupyter can read this line, and the grader has no IPython", False
        return None
    except (ValueError, MemoryError, RuntimeError) as error:
        return 1, f"the grader cannot read this cell ({type(error).__name__})", False
