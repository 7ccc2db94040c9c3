"""`course new-term`: the tag and the dates of `course.toml` for the next term, all else as it was written."""

from __future__ import annotations

import re
import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path

from autograder.grade.deadlines import parse_deadlines, part_named

from . import settings
from .addresses import clean_tag
from .setting_errors import SettingError, line_of

TAG = re.compile(r"""(tag\s*=\s*)(["'])[^"']*\2""")
TERM = re.compile(r"""(term\s*=\s*)(["'])[^"']*\2""")
DATE = re.compile(r"""(\b(?:due|closes)\s*=\s*["']?)(\d{4}-\d\d-\d\d)""")


def begin_term(tag: str, days: int = 0, path: Path | None = None, term: str = "") -> dict[str, str]:
    """Write a new tag into `course.toml`, and move every deadline; what comes out is read before it is written.

    Args:
        tag: the new tag.
        days: how far the dates move.
        term: the new term's name; where the file has one, it must be given.
        path: the file; `course.toml` by default.

    Returns:
        The new dates, by setting, as the file has them.

    Raises:
        ValueError: the settings or the tag are wrong, the tag or the term is the old one, or a date is written in a way that
            cannot be moved; nothing is written then.
    """
    path = path or settings.COURSE
    present = settings.load_course(path)
    if present.term and term in ("", present.term):
        raise ValueError(f'{path.name} says that the term is {present.term}: give the new one, --term "…"')
    if present.tag == clean_tag(tag):
        raise ValueError(
            f"{path.name} has the tag {tag} already: students' notebooks of the last term are pinned to it"
        )
    _, text = settings.read_table(path)
    lines = text.splitlines(keepends=True)
    at = line_of(text, "student_repository.tag") - 1
    lines[at] = TAG.sub(rf'\g<1>"{tag}"', lines[at], count=1)
    if term:
        lines = _named(lines, text, settings.one_line(term).replace('"', "'"))
    lines = [DATE.sub(lambda found: found[1] + moved(found[2], days), _code(line)) + _comment(line) for line in lines]
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-term-") as folder:
        new = Path(folder, path.name)
        new.write_text("".join(lines), encoding="utf-8", newline="")
        made = settings.load_course(new)
        if term and made.term != settings.one_line(term).replace('"', "'"):
            raise SettingError(f'{path.name}: course.term could not be replaced: write term = "…" on a line of its own')
        if made.tag != tag:
            raise SettingError(
                f'{path.name}, line {at + 1}: student_repository.tag could not be replaced: write tag = "…" on one line'
            )
        before, after = _moments(path), _moments(new)
        for name, old in before.items():
            if abs(after[name] - old - timedelta(days=days)) > timedelta(hours=1):  # an hour: summer time
                where = f"{path.name}, line {line_of(text, name)}: {name}"
                raise SettingError(f"{where} could not be moved: write the date as 2026-10-01T23:59:00")
        table = settings.load_deadlines(new)
        Path(new).replace(path)
    return {name: str(table[name.split(".")[1]][name.split(".")[2]]) for name in after}


def _named(lines: list[str], text: str, term: str) -> list[str]:
    """The lines with the term's name: in its line, or in a new one behind the course's name."""
    at = line_of(text, "course.term") - 1
    if TERM.search(lines[at]):
        return [*lines[:at], TERM.sub(lambda found: f'{found[1]}"{term}"', lines[at], count=1), *lines[at + 1 :]]
    behind = line_of(text, "course.name")
    return [*lines[:behind], f'term = "{term}"\n', *lines[behind:]]


def moved(day: str, days: int) -> str:
    """A day, so many days later."""
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _moments(path: Path) -> dict[str, datetime]:
    """All dates of the deadlines, by setting."""
    table = settings.load_deadlines(path)
    parts, _ = parse_deadlines(table)
    found = {}
    for name, values in table.items():
        for key in ("due", "closes"):
            if isinstance(values, dict) and key in values:
                part = part_named(name)
                found[f"deadlines.{name}.{key}"] = getattr(parts[part], key)
    return found


def _code(line: str) -> str:
    """A line up to its comment. No text of these settings holds the sign but in a name, which has no date."""
    return line.partition("#")[0]


def _comment(line: str) -> str:
    _, sign, rest = line.partition("#")
    return sign + rest
