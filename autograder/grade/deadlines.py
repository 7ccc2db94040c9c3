"""When a part is due, who has longer, and what late work costs. Points stay as they are; the penalty stands beside them."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from helpers.parts import PARTS

from .intake.roster import IDS
from .moments import FORM, moment, zone_of
from .tables import TableError, read_table
from .text import folded

RULES = {"grace_minutes": math.inf, "penalty_per_day": 1.0, "most": 1.0}  # with the largest value of each
DATES = ("due", "closes")
FILES = "files"  # in place of a table of times: those of the files themselves
UNKNOWN = "when it was handed in is not known"
UNKNOWN_LATE = "handed in late, and by how much is not known"


class DeadlineError(ValueError):
    """A setting below `[deadlines]` is wrong.

    Attributes:
        setting: its name, such as `deadlines.2.due`.
        reason: what is wrong with it, to stand behind the name.
    """

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(setting + reason)
        self.setting, self.reason = setting, reason


@dataclass(frozen=True)
class Deadline:
    """A part's deadline and its rules.

    Attributes:
        due: until when it is on time.
        closes: after that nothing counts; None if there is no such day.
        grace_minutes: how much later it may be without being late.
        penalty_per_day: the share of the points that each day begun costs.
        most: the largest share that lateness costs.
    """

    due: datetime
    closes: datetime | None = None
    grace_minutes: float = 0.0
    penalty_per_day: float = 0.0
    most: float = 1.0

    def moved(self, by: timedelta) -> Deadline:
        """The same with a later day."""
        return dataclasses.replace(self, due=self.due + by, closes=self.closes and self.closes + by)

    def judge(self, submitted: datetime) -> Lateness:
        """How late something was, and what that costs."""
        late = submitted - self.due
        if late <= timedelta(minutes=self.grace_minutes):
            return Lateness(submitted, 0.0, 0.0)
        hours = late / timedelta(hours=1)
        if self.closes is not None and submitted > self.closes:
            return Lateness(submitted, hours, 1.0)
        return Lateness(submitted, hours, min(self.most, self.penalty_per_day * math.ceil(hours / 24)))


@dataclass(frozen=True)
class Lateness:
    """How late a submission was.

    Attributes:
        submitted: when it was handed in; None if nobody wrote that down.
        hours: after the day it was due; 0 within the grace.
        penalty: the share of the points that it costs; None if it cannot be told.
        why: why it cannot be told.
    """

    submitted: datetime | None
    hours: float | None
    penalty: float | None
    why: str = ""

    @property
    def text(self) -> str:
        """What is said of it beside the points; empty for what was on time."""
        if self.penalty is None:
            return self.why
        if not self.hours:
            return ""
        return f"handed in {_amount(self.hours)} late: {100 * self.penalty:.3g} % off"


def _amount(hours: float) -> str:
    return f"{hours:.0f} h" if hours >= 1 else f"{max(1, hours * 60):.0f} min"


@dataclass(frozen=True)
class Arrival:
    """What is known of when a submission came.

    Attributes:
        platform: `canvas`, `moodle`, `gradescope`, `nbgrader`, or empty.
        time: when it was handed in, as the platform wrote it.
        late: whether the platform says that it was late; None if it says nothing.
        file_time: when the file was last written, which copying changes.
    """

    platform: str = ""
    time: str = ""
    late: bool | None = None
    file_time: str = ""


@dataclass(frozen=True)
class Change:
    """A line of a table of extensions: a new day for one student, or so many days more. Part 0 is every part."""

    student: str
    part: int
    due: str = ""
    days: float = 0.0


@dataclass(frozen=True)
class Deadlines:
    """All that decides whether work was late: the parts' deadlines, extensions, and what tables say of times.

    Attributes:
        parts: the parts' deadlines; a part that is missing here has none.
        timezone: the course's, for times without one.
        extensions: whose day is another.
        times: when something was handed in, by student (folded) and part (0 for every part).
        trust_files: whether the time of a file counts where nothing better is known.
    """

    parts: Mapping[int, Deadline] = field(default_factory=dict)
    timezone: tzinfo | None = None
    extensions: Sequence[Change] = ()
    times: Mapping[tuple[str, int], str] = field(default_factory=dict)
    trust_files: bool = False

    def lateness(self, student: str, part: int, arrival: Arrival) -> Lateness | None:
        """How late a submission was; None if its part has no deadline."""
        if part not in self.parts:
            return None
        who = folded(student)
        text = self.times.get((who, part)) or self.times.get((who, 0)) or arrival.time
        text = text or (arrival.file_time if self.trust_files else "")
        if text:
            try:
                return self._deadline(who, part).judge(moment(text, self.timezone))
            except ValueError as error:
                return Lateness(None, None, None, f"{UNKNOWN} ({error})")
        if arrival.late is False:
            return Lateness(None, 0.0, 0.0)
        return Lateness(None, None, None, UNKNOWN_LATE if arrival.late else UNKNOWN)

    def _deadline(self, who: str, part: int) -> Deadline:
        found = self.parts[part]
        for change in self.extensions:
            if folded(change.student) == who and change.part in (0, part):
                new = moment(change.due, self.timezone) if change.due else found.due + timedelta(days=change.days)
                found = found.moved(new - found.due)
        return found


def part_named(name: str) -> int:
    """The part that a setting or a table names: `2`, `part 2` or `02_reinforce`.

    Raises:
        ValueError: there is no such part.
    """
    plain = name.strip().lower().removeprefix("part").strip(" _-")
    for part, title in PARTS.items():
        if plain in (str(part), f"{part:02}", title.lower()):
            return part
    raise ValueError(f"there is no part {name!r}; write 1 to {max(PARTS)}, or a name such as {PARTS[2]}")


def parse_deadlines(table: Mapping[str, Any]) -> tuple[dict[int, Deadline], tzinfo | None]:
    """Read the table `[deadlines]`: rules for every part, `timezone`, and a table for each part with a deadline.

    Raises:
        DeadlineError: the setting that is wrong, and what it must be.
    """
    zone = _named("timezone", lambda: zone_of(str(table.get("timezone", ""))))
    common = {name: _rule(f"deadlines.{name}", name, value) for name, value in table.items() if name in RULES}
    parts: dict[int, Deadline] = {}
    for name, values in table.items():
        if name in RULES or name == "timezone":
            continue
        where = f"deadlines.{name}"
        part = _named(name, lambda name=name: _part_or_hint(name))
        if not isinstance(values, Mapping):
            raise DeadlineError(where, f" must be a table: [deadlines.{part}] with due = {FORM.split()[-1]}")
        if part in parts:
            raise DeadlineError(where, f": part {part} has two tables")
        parts[part] = _deadline(where, values, common, zone)
    return parts, zone


def _named(name: str, read: Any) -> Any:
    try:
        return read()
    except ValueError as error:
        raise DeadlineError(f"deadlines.{name}", f": {error}") from error


def _part_or_hint(name: str) -> int:
    """The part that a table names; where there is none, the setting that may have been meant."""
    try:
        return part_named(name)
    except ValueError as error:
        raise ValueError(f"{error}{_nearest(name, ('timezone', *RULES))}") from error


def _nearest(name: str, known: Sequence[str]) -> str:
    """A question for the setting that is most like a name; empty if none is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _deadline(where: str, values: Mapping[str, Any], common: dict[str, float], zone: tzinfo | None) -> Deadline:
    known = (*DATES, *RULES)
    for name in values:
        if name not in known:
            hint = _nearest(name, known) or f"; there are {', '.join(known)}"
            raise DeadlineError(f"{where}.{name}", f" is no setting{hint}")
    if "due" not in values:
        raise DeadlineError(f"{where}.due", f" is missing; write due = {FORM.split()[-1]}")
    dates: dict[str, datetime] = {}
    for name in DATES:
        if name in values:
            value = values[name]
            text = value.isoformat() if hasattr(value, "isoformat") else str(value)
            dates[name] = _named(f"{where.partition('.')[2]}.{name}", lambda text=text: moment(text, zone))
    if "closes" in dates and dates["closes"] < dates["due"]:
        raise DeadlineError(f"{where}.closes", f" is before {where}.due")
    rules = common | {name: _rule(f"{where}.{name}", name, values[name]) for name in RULES if name in values}
    return Deadline(dates["due"], dates.get("closes"), **rules)


def _rule(where: str, name: str, value: Any) -> float:
    """A number within its bounds."""
    largest = RULES[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        bound = "a number from 0 on" if math.isinf(largest) else "a share from 0 to 1 (10 % is 0.1)"
        raise DeadlineError(where, f" = {value!r}: it must be {bound}")
    return float(value)


def read_extensions(path: Path, zone: tzinfo | None) -> list[Change]:
    """Read who has longer: columns `id`, `part` (empty for every part), and `due` (the new day) or `days` (so many more).

    Raises:
        TableError: the line that is wrong, and why.
    """
    changes = []
    for line, student, part, row in _lines(path, ("due", "days")):
        due, days = row.get("due", ""), row.get("days", "").replace(",", ".")
        try:
            if bool(due) == bool(days):
                raise ValueError("give either `due`, the new day, or `days`, how many more")
            if due:
                moment(due, zone)
            elif not 0 <= float(days) <= 3660:
                raise ValueError("it must be from 0 on")
        except ValueError as error:
            raise TableError(f"{path}: line {line}: {due or days!r}: {error}") from error
        changes.append(Change(student, part, due, float(days or 0)))
    return changes


def read_times(path: Path, zone: tzinfo | None) -> dict[tuple[str, int], str]:
    """Read when things were handed in: columns `id`, `part` (empty for every part) and `time`.

    Raises:
        TableError: the line that is wrong, and why.
    """
    times = {}
    for line, student, part, row in _lines(path, ("time",)):
        try:
            moment(row["time"], zone)
        except ValueError as error:
            raise TableError(f"{path}: line {line}: {error}") from error
        times[folded(student), part] = row["time"]
    return times


def _lines(path: Path, needed: tuple[str, ...]) -> list[tuple[int, str, int, dict[str, str]]]:
    """The lines of a table of students and parts: number, student, part, all cells. Empty lines are left out.

    Raises:
        TableError: a column is missing, or a line names no student or no part there is.
    """
    rows = read_table(path)
    if not rows:
        return []
    ids = next((name for name in IDS if name in rows[0]), None)
    if ids is None or not set(needed) & set(rows[0]):
        wanted = " or ".join(f"`{name}`" for name in needed)
        raise TableError(f"{path}: it needs the columns `id` and {wanted}; it has {', '.join(rows[0])}")
    found = []
    for line, row in enumerate(rows, start=2):
        if not any(row.values()):
            continue
        try:
            if not row[ids]:
                raise ValueError(f"the column `{ids}` is empty")
            found.append((line, row[ids], part_named(row["part"]) if row.get("part") else 0, row))
        except ValueError as error:
            raise TableError(f"{path}: line {line}: {error}") from error
    return found
