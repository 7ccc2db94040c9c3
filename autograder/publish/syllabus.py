"""`course syllabus`: a page with the term's dates, parts, points and times, and the deadlines for a calendar program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone, tzinfo
from pathlib import Path

import icalendar

from autograder import masters
from autograder.grade.deadlines import Deadline, parse_deadlines
from helpers.parts import PARTS, ROOT

from .normalise import write_text
from .settings import Course, load_course, load_deadlines
from .student_pages import parts_in_readme, points

FOLDER = ROOT / "build" / "syllabus"
PAGE = """\
# {name}

{table}

Points: by tests, and for written answers. Computing time: the solution once, from top to bottom, on the embedded models,
on two cores of a laptop.{late}
"""
LATE = """

Late work, in parts with a deadline: {rules}."""


def write_syllabus(folder: Path = FOLDER, parts: Sequence[int] | None = None) -> list[Path]:
    """Write `syllabus.md`, and with deadlines `deadlines.ics`, from `course.toml` and the masters.

    Raises:
        SettingError: something in `course.toml` is wrong.
    """
    course = load_course()
    deadlines, zone = parse_deadlines(load_deadlines())
    chosen = list(parts or masters.existing_parts())
    write_text(folder / "syllabus.md", page(course, chosen, deadlines, zone))
    dates = folder / "deadlines.ics"
    if not deadlines:
        dates.unlink(missing_ok=True)  # of a course that had some
        return [folder / "syllabus.md"]
    dates.write_bytes(calendar(course, deadlines))
    return [folder / "syllabus.md", dates]


def page(course: Course, parts: Sequence[int], deadlines: dict[int, Deadline], zone: tzinfo | None) -> str:
    """The page in Markdown: a line a part, in order; the columns of dates only where there are any."""
    known = parts_in_readme((ROOT / "README.md").read_text(encoding="utf-8"))
    head = ["part", "what you do", "points", "computing time", "due", "closes"]
    rows = []
    for part in parts:
        what, time = known.get(part, ("", ""))
        tests, written = points(part)
        found = deadlines.get(part)
        dates = [_local(found.due, zone), _local(found.closes, zone)] if found else ["", ""]
        rows.append([masters.read_title(masters.master_path(part)), what, f"{tests:g} + {written:g}", time, *dates])
    used = [column for column in range(len(head)) if column < 4 or any(row[column] for row in rows)]
    table = [[row[column] for column in used] for row in [head, ["---"] * len(head), *rows]]
    late = LATE.format(rules="; ".join(filter(None, map(_rule, parts, map(deadlines.get, parts))))) if deadlines else ""
    return PAGE.format(name=course.title, table="\n".join(f"| {' | '.join(row)} |" for row in table), late=late)


def calendar(course: Course, deadlines: dict[int, Deadline]) -> bytes:
    """The deadlines in the form of RFC 5545, an event each; the same settings give the same bytes."""
    made = icalendar.Calendar({"version": "2.0", "prodid": "-//course syllabus//EN"})
    for part, found in sorted(deadlines.items()):
        for word, moment in (("due", found.due), ("closes", found.closes)):
            if moment is not None:
                at = moment.astimezone(timezone.utc)
                event = icalendar.Event({"uid": f"{PARTS[part]}-{word}-{course.tag}@course"})
                event.add("dtstamp", at)
                event.add("dtstart", at)
                event.add("summary", f"{course.name}: Part {part} {word}")
                made.add_component(event)
    return made.to_ical()


def _rule(part: int, found: Deadline | None) -> str:
    """What late work of a part costs, in words."""
    if found is None:
        return ""
    grace = f"{found.grace_minutes:g} minutes of grace, then " if found.grace_minutes else ""
    most = f", {100 * found.most:g} % at most" if found.most < 1 else ""
    cost = (
        f"{100 * found.penalty_per_day:g} % of the points for each day begun{most}"
        if found.penalty_per_day
        else "nothing off"
    )
    return f"Part {part}: {grace}{cost}"


def _local(moment: datetime | None, zone: tzinfo | None) -> str:
    return moment.astimezone(zone or timezone.utc).strftime("%a %Y-%m-%d %H:%M %Z") if moment else ""
