"""The class's roster, and who on it is meant by what a platform wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from autograder.grade.tables import TableError, read_table
from autograder.grade.text import composed, folded

IDS = ("id", "student", "student id", "student_id", "sid", "username", "user", "email")


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
        FileNotFoundError: there is no such file.
        TableError: it is no CSV, there is no column with ids, nobody is in it, or an id stands in it twice.
    """
    rows = read_table(path)
    if not rows:
        raise TableError(f"{path}: the roster is empty")
    ids = next((name for name in IDS if name in rows[0]), None)
    if ids is None:
        raise TableError(f"{path}: the roster needs a column `id`; it has {', '.join(rows[0])}")
    people: dict[str, Person] = {}
    seen: dict[str, str] = {}
    for row in rows:
        student = composed(row[ids])
        if not student:
            continue
        if folded(student) in seen:
            raise TableError(f"{path}: the id {student} stands in the roster twice; take one of the lines out")
        seen[folded(student)] = student
        people[student] = Person(student, composed(row.get("name", "")), row.get("email", ""), row)
    if not people:
        raise TableError(f"{path}: nobody in the roster has an id in the column `{ids}`")
    return people


class Directory:
    """The roster, ready for finding people in it."""

    def __init__(self, people: dict[str, Person]) -> None:
        self.people = people
        self.by_id = {folded(student): student for student in people}
        self.by_value: dict[str, set[str]] = {}
        self.by_name: dict[str, set[str]] = {}
        for person in people.values():
            for value in (person.email, *person.other.values()):
                self.by_value.setdefault(folded(value), set()).add(person.student)
            words = re.findall(r"\w+", folded(person.name))
            for order in (words, words[::-1], words[-1:] + words[:-1]):
                self.by_name.setdefault("".join(order), set()).add(person.student)

    def find(self, student: str, name: str = "", email: str = "") -> tuple[str, bool]:
        """The roster's id for what a platform wrote, and whether it was the id itself (not an e-mail or a name).

        What fits nobody, or several people, comes back as it was.
        """
        if (found := self.by_id.get(folded(student))) is not None:
            return found, True
        squeezed = re.sub(r"\W", "", folded(name or student))
        for table, key in ((self.by_value, folded(student)), (self.by_value, folded(email)), (self.by_name, squeezed)):
            fitting = table.get(key, set()) if key else set()
            if len(fitting) == 1:
                return next(iter(fitting)), False
        return student, True


def missing(students: Iterable[str], roster: Iterable[str]) -> list[str]:
    """The people of the roster of whom there is nothing."""
    present = set(students)
    return [student for student in roster if student not in present]
