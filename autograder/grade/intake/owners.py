"""Whose a file is: told from the outermost name, which the platform or the instructor gave, and from nothing inside it.

What a student packs into an archive or a folder, however it is called, stays that student's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from autograder.grade.text import composed, folded
from helpers.parts import PARTS

from .archives import is_archive, stem
from .roster import Directory, Person

Path = tuple[str, ...]

CANVAS = re.compile(r"(?P<name>[^_]+?)(?:_(?P<late>LATE))?_(?P<user>\d+)_(?P<submission>\d+)_(?P<file>.+)")
MOODLE_FOLDER = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?")
MOODLE_FILE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.+)")
GRADESCOPE = re.compile(r"submission_(?P<id>\d+)")
EXPORT = re.compile(r"assignment_\d+_export|submitted|submissions", re.IGNORECASE)
STRAY = re.compile(r"(readme|roster|grades?|index|manifest|log)\b.*|.*\.(csv|log|xlsx?)", re.IGNORECASE)
ATTEMPT = re.compile(r"-(\d+)$")
EARLIER = "earlier"  # the folder in the course's own submission file with the student's notebooks of earlier parts


@dataclass(frozen=True)
class Owner:
    """Whose the outermost file or folder is.

    Attributes:
        student: the id.
        name: the name, if known.
        email: the address, if known.
        attempt: Canvas counts them.
        late: Canvas says so.
        platform: the platform's own number and the name beside it: all files with both are one person's.
        weight: how plainly the id stood there: 3 it is the whole name or the platform's number, 2 the name but for its
            ending, 1 it was cut out of the name, 0 the person was found by a name or an e-mail address.
    """

    student: str
    name: str = ""
    email: str = ""
    attempt: int = 0
    late: bool = False
    platform: str | None = None
    weight: int = 3


def class_folder(paths: Iterable[Path], archive: str, directory: Directory) -> Path:
    """The folder in which the students lie: below an archive's own name, a platform's wrapper, `submitted`.

    Args:
        paths: of all notebooks and archives; other files say nothing.
        archive: the name of the archive they come from, without its ending, if from one.
        directory: the roster.
    """
    inside: Path = ()
    below = list(paths)
    while True:
        folders = {path[0] for path in below if len(path) > 1}
        if len(folders) != 1:
            return inside
        (name,) = folders
        deeper = [path[1:] for path in below if len(path) > 1]
        if not _holds_a_class(name, deeper, len(below) - len(deeper), archive, directory):
            return inside
        inside, below = (*inside, name), deeper
        if name.lower() in ("submitted", "submissions"):
            return inside


def _holds_a_class(name: str, deeper: list[Path], beside: int, archive: str, directory: Directory) -> bool:
    """Whether the only folder there is holds students, or is one's own."""
    if _platform_owner((name, "")) or (directory.people and directory.find(name)[0] in directory.people):
        return False
    if beside and not EXPORT.fullmatch(name) and name != archive:
        return False  # people's files and one folder: the folder is somebody's too
    first = {path[0] for path in deeper}
    if EXPORT.fullmatch(name) or any(_platform_owner(path) for path in deeper):
        return True
    if all(is_titled(entry) or entry.lower() == EARLIER for entry in first):
        return False
    if directory.people and any(directory.find(_plain_stem(entry))[0] in directory.people for entry in first):
        return True
    folders = {path[0] for path in deeper if len(path) > 1}
    if name == archive:
        return len(first) > 1
    return len(folders) > 1 or all(len(path) > 1 for path in deeper)


def is_titled(entry: str) -> bool:
    """Whether a name says nothing but which part it is."""
    return (
        _plain_stem(entry) == "" or re.fullmatch(r"(?i)(part|ps|hw|assignment)?[\s_-]*0?[1-5]", stem(entry)) is not None
    )


def _plain_stem(entry: str) -> str:
    """A file's name without its ending, the part's title, and the word `submission`."""
    text = re.sub(r"\.ipynb$", "", stem(entry), flags=re.IGNORECASE)
    for title in PARTS.values():
        text = re.sub(re.escape(title), "", text, flags=re.IGNORECASE)
    return re.sub(r"(?i)[\s_-]*\(?submission\)?", "", text).strip(" _-.")


def owners(path: Path, folder: str, metadata: dict[str, dict[str, Any]], directory: Directory) -> dict[str, Owner]:
    """Whose a file is, by id: one's, or each member's of a group that Gradescope's list names.

    Args:
        path: below the class's folder.
        folder: the class's folder's own name, for a lone notebook that is called after its part.
        metadata: Gradescope's list, by folder.
        directory: the roster.
    """
    found = [_platform_owner(path) or _plain_owner(path, folder)]
    if len(path) > 1 and GRADESCOPE.fullmatch(path[0]) and (known := metadata.get(path[0])):
        found = [Owner(member["student"], member["name"], member["email"]) for member in known["members"]]
    return {one.student: one for one in (_on_the_roster(one, directory) for one in found)}


def _on_the_roster(found: Owner, directory: Directory) -> Owner:
    """The same with what the roster says of the person."""
    student, exact = directory.find(composed(found.student), composed(found.name), found.email)
    person = directory.people.get(student, Person(student))
    return replace(
        found,
        student=student,
        name=person.name or composed(found.name),
        email=person.email or found.email,
        weight=found.weight if exact else 0,
    )


def _platform_owner(path: Path) -> Owner | None:
    """Who the platform says it is, by the outermost name."""
    first = path[0]
    canvas = CANVAS.fullmatch(first)
    moodle = (MOODLE_FOLDER if len(path) > 1 else MOODLE_FILE).fullmatch(first)
    if moodle and canvas and len(path) > 1:
        return Owner(first)  # whose name in it is the platform's cannot be told
    if moodle and not canvas:  # in a file's name the student's part stands last, so the first pattern is the platform's
        return Owner(moodle["id"], moodle["name"], platform=f"{moodle['id']} {folded(moodle['name'])}")
    if len(path) > 1 and GRADESCOPE.fullmatch(first):
        return Owner(first)
    if canvas:
        number = ATTEMPT.search(re.sub(r"\.\w+$", "", canvas["file"]))
        attempt = int(number[1][:9]) if number else 0
        return Owner(
            canvas["user"],
            canvas["name"],
            "",
            attempt,
            bool(canvas["late"]),
            f"{canvas['user']} {folded(canvas['name'])}",
        )
    return None


def _plain_owner(path: Path, folder: str) -> Owner:
    """Whose it is where no platform wrote the name."""
    first = path[0]
    if len(path) > 1:
        whose = folder if first.lower() == EARLIER and folder else first
        return Owner(whose, weight=3 if composed(whose) == first else 1)
    plain = stem(first) if is_archive(first) else re.sub(r"\.ipynb$", "", first, flags=re.IGNORECASE)
    whose = plain if is_archive(first) else _plain_stem(first) or folder or plain
    return Owner(whose, weight=2 if composed(whose) == plain else 1)


def is_stray(path: Path, in_folders: bool, directory: Directory) -> bool:
    """Whether a file that is no notebook is nobody's: a README, or what lies beside the students' folders."""
    known = (
        _platform_owner(path) is not None
        or directory.find(_plain_stem(path[0]).rsplit(".", 1)[0])[0] in directory.people
    )
    return not known and (in_folders or STRAY.fullmatch(path[0]) is not None)


def part_in_name(name: str) -> int:
    """The part that a file's name speaks of; 0 if none."""
    for part, title in PARTS.items():
        if title.lower() in name.lower() or title.split("_", 1)[1].lower() in name.lower():
            return part
    return 0
