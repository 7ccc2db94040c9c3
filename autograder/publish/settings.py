"""What an instructor sets in `course.toml`, and the exact versions in `constraints.txt`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from autograder.grade.deadlines import parse_deadlines
from helpers.notebook.versions import parse_requirements
from helpers.parts import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

COURSE = ROOT / "course.toml"
PLACEHOLDER = "https://github.com/YOUR-ORGANISATION/YOUR-STUDENT-REPOSITORY"
GRADING_PYTHON = "3.12"  # the Python of the Gradescope image; every pin has wheels for it
INSTRUCTORS_LINE = "# --- from here on for instructors"  # in requirements.txt
NOT_IN_THE_IMAGE = {"jupyterlab", "otter-grader"}  # no grader opens JupyterLab; otter pins itself


@dataclass(frozen=True)
class Course:
    """The settings of a course: its name, and the repository that students get."""

    name: str
    repository: str
    tag: str

    @property
    def has_repository(self) -> bool:
        """False while the repository's address is still the placeholder."""
        return self.repository != PLACEHOLDER


def load_course(path: Path = COURSE) -> Course:
    """Read `course.toml`.

    Raises:
        ValueError: if a setting is missing, or could not stand in a command line.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        course = Course(
            table["course"]["name"], table["student_repository"]["url"].rstrip("/"), table["student_repository"]["tag"]
        )
    except KeyError as error:
        raise ValueError(f"{path.name}: the setting {error} is missing") from error
    if not re.fullmatch(r"(https://|file:///)[\w./~:@%+-]+", course.repository):
        raise ValueError(f"{path.name}: student_repository.url is no https address: {course.repository!r}")
    if not re.fullmatch(r"[\w.][\w./-]*", course.tag):
        raise ValueError(f"{path.name}: student_repository.tag is no tag name: {course.tag!r}")
    return course


def load_deadlines(path: Path | None = None) -> dict[str, Any]:
    """Read the table `[deadlines]` of `course.toml`, dates as texts; without one there are no deadlines.

    Raises:
        ValueError: the file is no TOML, or the setting that is wrong and what it must be.
    """
    path = path or COURSE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("deadlines", {})
        if not isinstance(table, dict):
            raise ValueError("deadlines must be a table: [deadlines]")
        parse_deadlines(table)
        return json.loads(json.dumps(table, default=str))
    except ValueError as error:  # what is no TOML is one as well
        raise ValueError(f"{path.name}: {error}") from error


def pins(python: str = GRADING_PYTHON) -> dict[str, str]:
    """The exact versions of `constraints.txt` for a Python version (3.12 or 3.12.1), by lower-case name."""
    version = Version(python.rstrip("+"))  # a build between releases ends in +
    short = f"{version.major}.{version.minor}"
    environment = {"python_version": short, "python_full_version": f"{short}.{version.micro}"}
    found = {}
    for requirement in parse_requirements((ROOT / "constraints.txt").read_text(encoding="utf-8")):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found[requirement.name.lower()] = str(requirement.specifier)
    return found


def student_requirements() -> str:
    """The text of `requirements.txt` down to the line where the instructor's tools begin."""
    return (ROOT / "requirements.txt").read_text(encoding="utf-8").split(INSTRUCTORS_LINE)[0].rstrip() + "\n"


def grading_requirements() -> list[str]:
    """What the Gradescope image installs: what students have, each package at its exact version.

    Raises:
        ValueError: if `constraints.txt` lacks one.
    """
    exact = pins()
    names = [requirement.name.lower() for requirement in parse_requirements(student_requirements())]
    names = [name for name in names if name not in NOT_IN_THE_IMAGE]
    missing = [name for name in names if name not in exact]
    if missing:
        raise ValueError(f"constraints.txt lacks {', '.join(missing)}: an image must not install an unpinned package")
    return [f"{name}{exact[name]}" for name in names]
