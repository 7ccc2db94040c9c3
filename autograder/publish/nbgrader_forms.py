"""nbgrader's source and release, made by `nbgrader generate_assignment` in a folder that is thrown away after."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat

from helpers.parts import PARTS, ROOT

from .compose import nbgrader_source
from .normalise import clean_notebook, copy_tree, write_notebook, write_text
from .otter_forms import NOT_FOR_GRADING, run_tool
from .settings import Course, student_requirements

CONFIG = Path(__file__).with_name("nbgrader_config.py.txt")
HUB = Path(__file__).with_name("hub_image.txt")  # the Dockerfile of the students' image


def build_nbgrader_forms(path: Path, part: int, course: Course, work: Path, out: Path) -> None:
    """Build a part's source and release notebooks below `out/build/nbgrader`; `add_helpers` adds the helpers."""
    name = PARTS[part]
    course_folder = work / "nbgrader"
    source = clean_notebook(nbgrader_source(path, part, course))
    write_notebook(source, course_folder / "source" / name / f"{name}.ipynb")
    shutil.copyfile(CONFIG, course_folder / "nbgrader_config.py")
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", name, "--create", "--force"]
    run_tool(command, course_folder, f"nbgrader generate_assignment for part {part}")
    release = nbformat.read(course_folder / "release" / name / f"{name}.ipynb", as_version=4)
    target = out / "build" / "nbgrader"
    write_notebook(source, target / "source" / name / f"{name}.ipynb")
    write_notebook(clean_notebook(release), target / "release" / name / f"{name}.ipynb")
    write_text(target / "nbgrader_config.py", CONFIG.read_text(encoding="utf-8"))
    write_text(target / "hub" / "Dockerfile", HUB.read_text(encoding="utf-8"))
    write_text(target / "hub" / "nbgrader_config.py", f"c = get_config()\n{ignored()}")


def ignored() -> str:
    """The line of nbgrader's settings that names what is never copied: students' images need the same."""
    lines = CONFIG.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("c.CourseDirectory.ignore"))


def add_helpers(part: int, target: Path) -> None:
    """Put the helpers beside the source and the release notebook (as hard links where the disk allows)."""
    for form in ("source", "release"):
        folder = target / "build" / "nbgrader" / form / PARTS[part]
        copy_tree(ROOT / "helpers", folder / "helpers", without=NOT_FOR_GRADING, link=True)
        write_text(folder / "requirements.txt", student_requirements())
