"""Which cells a grader must leave out beside those of training: the ones that need what a training cell would have made."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from nbformat import NotebookNode

from helpers.notebook.selection import FUNCTIONS, names_in, read


def needing_what_is_left_out(cells: Sequence[NotebookNode], tag: str) -> list[NotebookNode]:
    """The code cells that would find no value, or an older one, since cells with a tag are left out.

    A cell counts that looks up a name which a left-out cell was the last to bind, itself or by a function that it calls. A cell
    that nbgrader grades, or that a student writes, never counts: what happens there is for the student to see.

    Args:
        cells: the notebook's cells, in order.
        tag: the tag of the cells that are left out.
    """
    lost: set[str] = set()  # bound last by a cell that is left out
    found = []
    for cell in cells:
        parsed = read(cell.source, "cell") if cell.cell_type == "code" else None
        if parsed is None:
            continue
        binds, needs, leaning = _names(parsed[1], lost)
        tagged = tag in cell.metadata.get("tags", [])
        waits = bool(needs) and not tagged and "nbgrader" not in cell.metadata
        if waits:
            found.append(cell)
        if waits or tagged:
            lost |= binds
        else:
            lost = (lost - binds) | leaning
    return found


def _names(tree: ast.Module, lost: set[str]) -> tuple[set[str], set[str], set[str]]:
    """What a cell binds, which lost names it looks up when it runs, and which functions of its own need a lost name."""
    binds: set[str] = set()
    needs: set[str] = set()
    leaning: set[str] = set()
    for node in tree.body:
        code = compile(ast.Module([node], []), "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        made, looked_up = names_in(code)
        missing = (looked_up & (lost | leaning)) - binds - made
        if isinstance(node, FUNCTIONS):
            leaning |= made if missing else set()
        else:
            needs |= missing
        binds |= made
    return binds, needs, leaning
