"""The cells that every notebook gets: set-up at the top, handing in at the end."""

from __future__ import annotations

from string import Template

import nbformat
from nbformat import NotebookNode

from .settings import Course

SETUP_TEXT = """\
**Set-up.** Run the next cell first, every time you open this notebook. It finds the course's files (in Colab and on
Kaggle it fetches them: about a minute the first time), checks the versions of the libraries, and prints which device
the notebook will compute on."""

SETUP_CODE = Template("""\
# Set-up: finds the course's files, or fetches them where only this notebook is there (Colab, Kaggle).
import os
import subprocess
import sys
from pathlib import Path

COURSE_REPOSITORY = "$repository"
COURSE_TAG = "$tag"  # the version of the course that this notebook belongs to

here = Path.cwd()
installed = os.environ.get("COURSE_HOME")  # where a JupyterHub has the course for all
folders = (here, *here.parents, here / "course", *([Path(installed)] if installed else []))
course = next((folder for folder in folders if (folder / "helpers" / "notebook" / "start.py").exists()), None)
if course is None:
    course = here / "course"
    command = ["git", "clone", "--quiet", "--depth", "1", "--branch", COURSE_TAG, COURSE_REPOSITORY, str(course)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            f"The course's files could not be fetched from {COURSE_REPOSITORY} ({COURSE_TAG}).\\n{done.stderr}\\n"
            "Is the network on? On Kaggle it is a switch in the settings at the right. Then run this cell again."
        )
if course == here / "course":
    os.chdir(course / "notebooks")
sys.path.insert(0, str(course))

from helpers.notebook.start import start

grader = start(part=$part)""")

SUBMIT_TEXT = """\
---
## Handing in

The next cell makes **one file** to hand in. It saves the notebook where it can, takes the functions you wrote into a
fresh Python process, and runs the public tests on them there: only your definitions, imports and plain values are taken
over, the training cells are not run again. It says what passes, and how many hidden tests will run at grading. Hidden
tests use other sizes, other number types and random numbers; a function that follows its definition passes them.

Where to hand the file in is on your course's page."""

SUBMIT_CODE = Template("""\
from helpers.notebook.submission import submit

submit(part=$part)""")

NBGRADER_SUBMIT_TEXT = """\
---
## Handing in

Save the notebook, then hand it in under **Nbgrader > Assignment List** (or the tab **Assignments**): press **Submit**
beside this assignment. **Validate** runs the public tests before. Hidden tests run at grading; they use other sizes,
other number types and random numbers, and a function that follows its definition passes them."""


def markdown(source: str, name: str) -> NotebookNode:
    """A read-only markdown cell with a fixed id."""
    return nbformat.v4.new_markdown_cell(
        source, metadata={"course_id": name, "editable": False, "deletable": False, "tags": ["course"]}
    )


def code(source: str, name: str, *tags: str) -> NotebookNode:
    """A read-only code cell with a fixed id."""
    return nbformat.v4.new_code_cell(
        source, metadata={"course_id": name, "editable": False, "deletable": False, "tags": ["course", *tags]}
    )


def setup_cells(part: int, course: Course) -> list[NotebookNode]:
    """The first cells: what the set-up does, and the set-up."""
    source = SETUP_CODE.substitute(repository=course.repository, tag=course.tag, part=part)
    return [markdown(SETUP_TEXT, "course-setup-text"), code(source, "course-setup")]


def submit_cells(part: int) -> list[NotebookNode]:
    """The last cells of the otter form. Graders leave the call out: its tag tells otter to ignore it."""
    return [
        markdown(SUBMIT_TEXT, "course-submit-text"),
        code(SUBMIT_CODE.substitute(part=part), "course-submit", "otter_ignore"),
    ]


def nbgrader_submit_cells() -> list[NotebookNode]:
    """The last cell of the nbgrader form."""
    return [markdown(NBGRADER_SUBMIT_TEXT, "course-submit-text")]
