"""Run all on an untouched notebook goes to the end: what waits for an exercise says so, and no cell raises anything."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from autograder.rehearse.run import CELL_SECONDS, environment_variables
from helpers.parts import PARTS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("untouched")]
SETTINGS = {
    "COURSE_FAST": "1",
    "COURSE_PRESET": "tiny",
    "COURSE_OFFLINE": "1",
    "COURSE_GRADING": "",
    "COURSE_WIDGETS": "0",
}


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, as text."""
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@pytest.mark.parametrize("part", [2])  # the quickest; the mechanism knows no parts
def test_run_all_on_an_untouched_notebook_goes_to_the_end(part, tmp_path):
    work = tmp_path / "course" / "notebooks"
    shutil.copytree(ROOT / "notebooks", work, ignore=shutil.ignore_patterns("runs", "*.zip", ".*"))
    (tmp_path / "course" / "helpers").symlink_to(ROOT / "helpers")
    notebook = nbformat.read(work / f"{PARTS[part]}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(work)}}
    with environment_variables(SETTINGS):
        NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=resources).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = {cell.id: printed(cell) for cell in code}
    assert not [name for name, text in shown.items() if re.search(r"NoneType|not defined|Traceback", text)]
    checks = [name for name in shown if name.endswith("-check")]
    assert checks
    for name in checks:
        number = name.removeprefix("q").removesuffix("-check").replace("_", ".")
        kind = "Question" if number[-1].isupper() else "Exercise"
        assert f"{kind} {number} is not written yet: `" in shown[name]
    assert sum("left out" in text for text in shown.values()) > len(checks)
    assert "is as it was handed out: nothing is written in it" in printed(code[-1])
    assert not list(work.glob("*-submission.zip"))
