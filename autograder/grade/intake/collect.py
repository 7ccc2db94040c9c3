"""Find submissions in whatever form they came: who handed in which part, and which file counts.

Known layouts: nbgrader's `submitted/<student>/<assignment>/`; one folder a student; one notebook a student; the
archives that Gradescope, Canvas and Moodle export; the course's own submission file (a zip with the notebook). The layout is
told from the names themselves, so a mixture is no trouble.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from helpers.parts import PARTS

from .archives import Entry, is_archive, walk
from .notebook import Notebook, UnreadableNotebookError, read

CANVAS = re.compile(r"^(?P<name>[^_]+?)(?:_(?P<late>LATE))?_(?P<user>\d+)_(?P<submission>\d+)_(?P<file>.+)$")
MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)$")
GRADESCOPE = re.compile(r"^submission_(?P<id>\d+)$")
ATTEMPT = re.compile(r"-(\d+)$")
METADATA = "submission_metadata.yml"
EARLIER = "earlier"  # the folder in the course's own submission file with the student's notebooks of earlier parts


@dataclass
class HandIn:
    """One student's hand-in of one part: the notebook, or why there is none.

    Attributes:
        student: the id that results are kept under.
        part: 1 to 5, or 0 if it could not be told.
        notebook: the notebook, if it could be read.
        problem: what is wrong, for the student and the instructor.
        notes: what was noticed and did no harm.
    """

    student: str
    part: int
    file: str
    digest: str
    notebook: Notebook | None = None
    problem: str = ""
    notes: list[str] = field(default_factory=list)
    name: str = ""
    email: str = ""
    modified: float = 0.0
    attempt: int = 0
    beside: bool = False  # handed in beside another part, not to be graded

    @property
    def key(self) -> tuple[str, int]:
        """What makes a submission the same as another: the student and the part."""
        return self.student, self.part


@dataclass(frozen=True)
class Person:
    """A line of the roster."""

    student: str
    name: str = ""
    email: str = ""
    other: dict[str, str] = field(default_factory=dict)


def load_roster(path: Path) -> dict[str, Person]:
    """Read a roster: a CSV with a column `id` (or `student`, `sid`, `username`), and perhaps `name` and `email`.

    Raises:
        ValueError: there is no column with ids, or an id stands in it twice.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: the roster is empty")
    columns = {name.strip().lower(): name for name in rows[0] if name}
    ids = next(
        (columns[c] for c in ("id", "student", "student id", "sid", "username", "user", "email") if c in columns), None
    )
    if ids is None:
        raise ValueError(f"{path}: the roster needs a column `id`; it has {', '.join(columns)}")
    people: dict[str, Person] = {}
    for row in rows:
        values = {key.lower().strip(): (value or "").strip() for key, value in row.items() if key}
        student = (row[ids] or "").strip()
        if not student:
            continue
        if student in people:
            raise ValueError(f"{path}: the id {student} stands in the roster twice")
        people[student] = Person(student, values.get("name", ""), values.get("email", ""), values)
    return people


def collect(source: Path, roster: dict[str, Person] | None = None) -> list[HandIn]:
    """Read all submissions under a folder, file or archive, one for each student and part.

    A notebook of an earlier part that came in the course's own submission file is marked as `beside`: it is there for
    the functions in it, and is graded only if it was handed in by itself as well.

    Raises:
        FileNotFoundError: there is no such path.
    """
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}")
    people = roster or {}
    files: list[_File] = []
    metadata: dict[str, dict[str, str]] = {}
    for entry in walk(source):  # one at a time: what is kept of a notebook is its cells
        if entry.path.name == METADATA:
            metadata |= _gradescope_metadata(entry)
        else:
            files.append(_parse(entry))
    strip = _common_prefix([file.path for file in files], source)
    found: dict[tuple[str, int], list[HandIn]] = {}
    empty: dict[str, HandIn] = {}
    for file in files:
        submission = _submission(file, strip, metadata, people)
        if submission.problem == "no notebook":
            empty.setdefault(submission.student, submission)
        else:
            found.setdefault(submission.key, []).append(submission)
    chosen = [_choose(versions) for versions in found.values()]
    complete = {s.student for s in chosen if s.notebook}
    chosen = [s for s in chosen if s.notebook or s.part or s.student not in complete]
    handed_in = {s.student for s in chosen}
    for student, submission in empty.items():
        if student not in handed_in:
            submission.problem = f"no notebook was handed in, only {submission.file}"
            chosen.append(submission)
    return sorted(chosen, key=lambda s: (s.student, s.part))


@dataclass(frozen=True)
class _File:
    """What is kept of a file that was handed in."""

    path: PurePosixPath
    digest: str
    modified: float
    notebook: Notebook | None
    problem: str


def _parse(entry: Entry) -> _File:
    notebook, problem = None, entry.problem
    if not problem and not entry.path.name.lower().endswith(".ipynb"):
        problem = "no notebook"
    if not problem:
        try:
            notebook = read(entry.data)
        except UnreadableNotebookError as error:
            problem = str(error)
    return _File(entry.path, hashlib.sha256(entry.data).hexdigest(), entry.modified, notebook, problem)


def _gradescope_metadata(entry: Entry) -> dict[str, dict[str, str]]:
    """Who made which submission of a Gradescope export: folder name → `student`, `name`, `email`."""
    people: dict[str, dict[str, str]] = {}
    try:
        content = yaml.safe_load(entry.data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return people
    for folder, values in content.items() if isinstance(content, dict) else ():
        submitters = values.get(":submitters") if isinstance(values, dict) else None
        first = submitters[0] if isinstance(submitters, list) and submitters else {}
        plain = {str(key).strip(":"): str(value) for key, value in first.items()} if isinstance(first, dict) else {}
        student = plain.get("sid") or plain.get("email") or plain.get("name") or str(folder)
        people[str(folder)] = {"student": student, "name": plain.get("name", ""), "email": plain.get("email", "")}
    return people


def _common_prefix(paths: list[PurePosixPath], source: Path) -> int:
    """How many leading folders are no student's: those of the archive, of Gradescope's export, `submitted`."""
    deep = [path.parts[:-1] for path in paths]
    strip = 1 if source.is_file() and is_archive(source.name) else 0
    while deep and all(len(parts) > strip + 1 for parts in deep) and len({parts[strip] for parts in deep}) == 1:
        name = deep[0][strip]
        if _folder_student(name) is not None:
            break
        strip += 1
    known = ("submitted", "submissions")
    if deep and all(len(parts) > strip and parts[strip].lower() in known for parts in deep):
        strip += 1
    return strip


def _folder_student(name: str) -> tuple[str, str] | None:
    """The id and name in a folder's name, for the layouts that write them there."""
    if match := MOODLE.match(name):
        return match["id"], match["name"]
    if GRADESCOPE.match(name):
        return name, ""
    return None


def _submission(file: _File, strip: int, metadata: dict[str, dict[str, str]], people: dict[str, Person]) -> HandIn:
    student, name, email, attempt, notes = _owner(file.path, strip, metadata)
    student = _match(student, name, email, people)
    made = HandIn(student, 0, str(file.path), file.digest, file.notebook, file.problem, notes, name, email)
    made.modified, made.attempt = file.modified, attempt
    made.beside = EARLIER in file.path.parts[:-1]
    if (person := people.get(student)) is not None:
        made.name, made.email = person.name or name, person.email or email
    elif people:
        made.notes.append("not on the roster")
    if file.notebook is not None:
        made.part = file.notebook.part
        made.notes += file.notebook.notes
    elif file.problem != "no notebook":
        made.part = _part_in_name(str(file.path))
    return made


def _part_in_name(name: str) -> int:
    for part, title in PARTS.items():
        if title.lower() in name.lower() or title.split("_", 1)[1].lower() in name.lower():
            return part
    return 0


def _owner(
    path: PurePosixPath, strip: int, metadata: dict[str, dict[str, str]]
) -> tuple[str, str, str, int, list[str]]:
    """Whose file this is: id, name, e-mail, attempt, notes."""
    parts = path.parts[strip:] or path.parts[-1:]
    for part in parts[:-1]:
        if part in metadata:
            known = metadata[part]
            return known["student"], known["name"], known["email"], 0, []
        if (folder := _folder_student(part)) is not None:
            return folder[0], folder[1], "", 0, []
    for part in parts:  # a file, or the archive that a student handed in
        if match := MOODLE.match(part):
            return match["id"], match["name"], "", 0, []
        if match := CANVAS.match(part):
            stem = re.sub(r"\.\w+$", "", match["file"])
            number = ATTEMPT.search(stem)
            notes = ["handed in late (Canvas)"] if match["late"] else []
            return match["user"], match["name"], "", int(number[1]) if number else 0, notes
    if len(parts) > 1:
        return parts[0].strip(), "", "", 0, []
    stem = re.sub(r"\.ipynb$", "", parts[0], flags=re.IGNORECASE)
    for title in PARTS.values():
        stem = re.sub(re.escape(title), "", stem, flags=re.IGNORECASE)
    stem = re.sub(r"(?i)[\s_-]*\(?submission\)?", "", stem).strip(" _-.")
    outer = path.parts[-2] if len(path.parts) > 1 else ""  # of an archive with one notebook in it
    return stem or outer or re.sub(r"\.ipynb$", "", parts[0]), "", "", 0, []


def _match(student: str, name: str, email: str, people: dict[str, Person]) -> str:
    """The roster's id for what the layout says, by id, e-mail, or a name that occurs once."""
    if student in people or not people:
        return student
    wanted = {text.casefold() for text in (student, email) if text}
    for person in people.values():
        if person.student.casefold() in wanted or (person.email and person.email.casefold() in wanted):
            return person.student
        if {value.casefold() for value in person.other.values() if value} & {student.casefold()}:
            return person.student
    squeezed = re.sub(r"\W", "", name or student).casefold()
    same = [p.student for p in people.values() if squeezed and _same_name(p.name, squeezed)]
    return same[0] if len(same) == 1 else student


def _same_name(name: str, squeezed: str) -> bool:
    words = re.findall(r"\w+", name.casefold())
    return bool(words) and squeezed in ("".join(words), "".join(reversed(words)), "".join(words[-1:] + words[:-1]))


def _choose(versions: list[HandIn]) -> HandIn:
    """The version that counts: readable before unreadable, the latest attempt, the latest written, the last by name."""
    versions.sort(key=lambda s: (not s.beside, s.notebook is not None, s.attempt, s.modified, s.file))
    chosen = versions[-1]
    rivals = [s for s in versions[:-1] if not s.beside]
    if rivals:
        others = ", ".join(s.file for s in rivals[:5])
        chosen.notes.append(f"{len(rivals) + 1} files of this part; the latest, {chosen.file}, counts, not {others}")
    return chosen
