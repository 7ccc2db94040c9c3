"""What an instructor sets in `course.toml`, and the exact versions in `constraints.txt`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from autograder import masters
from autograder.chosen import MODELS, optional_sections
from autograder.grade.deadlines import DeadlineError, parse_deadlines
from helpers.notebook.versions import parse_requirements
from helpers.parts import ROOT

from .addresses import clean_address, clean_tag, is_placeholder
from .setting_errors import SettingError, check_names, take, where

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

COURSE = ROOT / "course.toml"
TABLES: dict[str, tuple[str, ...]] = {  # the tables of course.toml with their settings
    "course": ("name", "term", "preset", *MODELS, "leave_out"),
    "student_repository": ("url", "tag"),
    "points": (),  # read by `autograder.chosen`, refused where it is wrong by `check_points`
    "deadlines": (),  # read, and refused where it is wrong, by `parse_deadlines`
}
GRADING_PYTHON = "3.12"  # the Python of the Gradescope image; every pin has wheels for it
INSTRUCTORS_LINE = "# --- from here on for instructors"  # in requirements.txt
NOT_IN_THE_IMAGE = {"jupyterlab", "otter-grader"}  # no grader opens JupyterLab; otter pins itself
POSITION = re.compile(r"\s*\(at line (\d+), column \d+\)")  # in an error of tomllib


@dataclass(frozen=True)
class Course:
    """The settings of a course: its name, the repository that students get, and its term, if it has one."""

    name: str
    repository: str
    tag: str
    term: str = ""

    @property
    def title(self) -> str:
        """The name, and the term behind it."""
        return f"{self.name}, {self.term}" if self.term else self.name

    @property
    def has_repository(self) -> bool:
        """False while the repository's address is still the placeholder."""
        return not is_placeholder(self.repository)


def read_table(path: Path) -> tuple[dict[str, Any], str]:
    """A TOML file's content, and its text.

    Raises:
        SettingError: it is not there, no UTF-8, or no TOML.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # an editor on Windows may have put a mark before the text
        return tomllib.loads(text), text
    except FileNotFoundError as error:
        raise SettingError(f"{path.name} is missing: fetch it again (git checkout {path.name})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingError(
            f"{path.name}, line {line}: a letter is not written in UTF-8; save the file as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        found = POSITION.search(str(error))
        place = f"{path.name}, line {found[1]}" if found else f"{path.name}, last line"
        reason = POSITION.sub("", str(error)).replace(" (at end of document)", "")
        raise SettingError(f"{place}: this is no TOML: {reason}. A text stands between double quotes.") from error


def load_course(path: Path | None = None) -> Course:
    """Read `course.toml`.

    Raises:
        SettingError: a setting is missing, wrong or unknown; the message names its line.
    """
    path = path or COURSE
    content, text = read_table(path)
    check_names(path, text, "", content, TABLES)
    for name, known in TABLES.items():
        table = content.get(name, {})
        if not isinstance(table, dict):
            raise SettingError(f"{where(path, text, name)} must be a table: [{name}]")
        if known:
            check_names(path, text, name, table, known)
    course, students = content.get("course", {}), content.get("student_repository", {})
    check_points(path, text, content.get("points", {}))
    check_sections(path, text, course.get("leave_out", []))
    if "preset" in course:
        take(path, text, course, "course.preset", known_preset)
    for name in ("policy", "reward_model"):
        if name in course:
            take(path, text, course, f"course.{name}", hub_model)
    check_training(path, text, course)
    load_deadlines(path)
    return Course(
        take(path, text, course, "course.name", one_line),
        take(path, text, students, "student_repository.url", clean_address),
        take(path, text, students, "student_repository.tag", clean_tag),
        take(path, text, course, "course.term", one_line) if "term" in course else "",
    )


def check_training(path: Path, text: str, course: dict[str, Any]) -> None:
    """Refuse a learning rate or a rank of the adapter with which nothing can be trained.

    Raises:
        SettingError: it is no such number; the message has the line.
    """
    rate = course.get("learning_rate", 1.0)
    if type(rate) is not float or not 0 < rate <= 1:
        raise SettingError(
            f"{where(path, text, 'course.learning_rate')} must be a number above 0 such as 3e-5, not {rate!r}"
        )
    rank = course.get("lora_rank", 1)
    if type(rank) is not int or rank < 1:
        raise SettingError(f"{where(path, text, 'course.lora_rank')} must be a whole number such as 8, not {rank!r}")


def check_points(path: Path, text: str, table: dict[str, Any]) -> None:
    """Refuse a question that there is not, and points that are no number of at least 0.

    Raises:
        SettingError: for the first; the message names its line.
    """
    if not table:
        return
    cells = [cell for part in masters.existing_parts() for cell in masters.read_all_cells(masters.master_path(part))]
    names = list(dict.fromkeys(cell.question for cell in cells if cell.question))
    check_names(path, text, "points", table, names)
    for name, worth in table.items():
        if type(worth) not in (int, float) or not 0 <= worth < 1000:
            raise SettingError(f"{where(path, text, f'points.{name}')} must be a number from 0 to 999, not {worth!r}")


def check_sections(path: Path, text: str, sections: Any) -> None:
    """Refuse what is no list of optional sections.

    Raises:
        SettingError: the message names the line, and the sections that there are to choose from.
    """
    if not sections and isinstance(sections, list):
        return
    found = []
    for part in masters.existing_parts():
        cells = masters.read_all_cells(masters.master_path(part))
        found += optional_sections([cell.source for cell in cells if cell.kind == "markdown"])
    wrong = [name for name in sections if name not in found] if isinstance(sections, list) else [sections]
    if wrong:
        listed = ", ".join(f'"{name}"' for name in found)
        place = where(path, text, "course.leave_out")
        raise SettingError(
            f"{place} must be a list of optional sections, in quotes: [{listed}] are there, not {wrong[0]!r}"
        )


def known_preset(name: str) -> str:
    """A preset's name.

    Raises:
        ValueError: there is no such preset.
    """
    from helpers.presets import PRESETS  # imports torch, which takes seconds

    known = ["auto", *PRESETS]
    if name not in known:
        raise ValueError(f"there is no preset {name}; choose from {', '.join(known)}")
    return name


def hub_model(text: str) -> str:
    """A model that every student can get: a repository of the Hugging Face hub, or an embedded model.

    Raises:
        ValueError: it is neither; a folder of this machine is nothing to students.
    """
    from helpers.hub import REPOSITORY, source_of

    if not REPOSITORY.fullmatch(text) and not source_of(text).embedded:
        raise ValueError(
            f"{text} is a folder here, and students have none: write 'owner/name' or 'owner/name@revision'"
        )
    return text


def one_line(text: str) -> str:
    """A name as it can stand in a heading.

    Raises:
        ValueError: it has several lines.
    """
    if len(text.splitlines()) > 1:
        raise ValueError("it must be one line")
    return text.strip()


def load_deadlines(path: Path | None = None) -> dict[str, Any]:
    """Read the table `[deadlines]` of `course.toml`, dates as texts; without one there are no deadlines.

    Raises:
        SettingError: the file is no TOML, or the setting that is wrong, its line, and what it must be.
    """
    path = path or COURSE
    content, text = read_table(path)
    table = content.get("deadlines", {})
    try:
        if not isinstance(table, dict):
            raise DeadlineError("deadlines", " must be a table: [deadlines]")
        parse_deadlines(table)
    except DeadlineError as error:
        raise SettingError(f"{where(path, text, error.setting)}{error.reason}") from error
    return json.loads(json.dumps(table, default=str))


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
