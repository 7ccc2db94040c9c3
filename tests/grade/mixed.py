"""Notebooks in which every function of a part has one of its variants: what `otter run` and our grader both take whole."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat

from autograder import masters
from autograder.rehearse.check import otter_score
from helpers.parts import PARTS
from tests.test_variants import VARIANTS, Variant, exercises

IMPORTS = "import itertools\nimport math\nimport numpy as np\nimport torch\nimport torch.nn.functional as F"


def functions(part: int) -> dict[str, str]:
    """The part's functions with their questions."""
    return {function: q.name for function, (q, _) in exercises().items() if q.part == part}


def chosen(part: int, number: int) -> list[Variant]:
    """Variant `number` of every function of a part, wrong ones first, counted round where a function has fewer."""
    ordered = sorted(VARIANTS, key=lambda variant: variant.right)
    mine = {name: [v for v in ordered if v.function == name] for name in functions(part)}
    return [variants[number % len(variants)] for variants in mine.values()]


def rounds(part: int) -> int:
    """How many notebooks it takes until every variant of a part was in one."""
    return max(sum(v.function == name for v in VARIANTS) for name in functions(part))


def mixed_notebook(part: int, number: int) -> nbformat.NotebookNode:
    """The solution notebook with the chosen variants at its end; otter's own checks on the way are taken out."""
    notebook = nbformat.read(masters.SOLUTIONS / f"{PARTS[part]}.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("grader.check(")]
    for source in (IMPORTS, *(variant.source for variant in chosen(part, number))):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    return notebook


def by_otter(notebook: nbformat.NotebookNode, part: int, archive: Path, folder: Path) -> dict[str, float]:
    """The points that `otter run` gives to each question."""
    path = folder / f"{PARTS[part]}.ipynb"
    nbformat.write(notebook, path)
    otter_score(path, archive, folder)
    tests = json.loads((folder / "results.json").read_text(encoding="utf-8"))["tests"]
    return {test["name"]: float(test["score"]) for test in tests if test.get("max_score") is not None}
