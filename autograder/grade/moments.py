"""Points in time as platforms and people write them; a time without a zone is taken as the course's, or refused."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?\s*(?P<zone>.*)"
ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})[T ]+" + CLOCK)
# as spreadsheets write it where days come first; with slashes nobody can tell
GERMAN = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4}),? +" + CLOCK)
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")
UTC_NAMES = ("Z", "UTC", "GMT")
FORM = "2026-10-01 23:59 or 2026-10-01T23:59:00+02:00"


def zone_of(name: str) -> tzinfo | None:
    """The time zone of this name (`Europe/Berlin`); None for an empty name.

    Raises:
        ValueError: there is none of this name.
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # also a name that is a path, or a folder of zones
        raise ValueError(f"{name!r} is no time zone; write it as in Europe/Berlin or UTC") from error


def moment(text: str, zone: tzinfo | None) -> datetime:
    """The point in time that a text names, in UTC.

    Raises:
        ValueError: it names none, or it has no time zone and the course has none either.
    """
    match = ISO.fullmatch(text.strip()) or GERMAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no date with a time; write it as {FORM}")
    fields = ("year", "month", "day", "hour", "minute", "second")
    try:
        found = datetime(*[int(match[field] or 0) for field in fields])  # type: ignore[arg-type]
        return found.replace(tzinfo=_zone_written(match["zone"].strip(), found, zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r}: {error}") from error


def _zone_written(text: str, found: datetime, zone: tzinfo | None) -> tzinfo:
    """The zone in which a time was written: what stands behind it, else the course's."""
    if text in UTC_NAMES:
        return timezone.utc
    if (offset := OFFSET.fullmatch(text)) is not None:
        size = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(size if offset[1] == "+" else -size)
    if zone is not None and text in ("", found.replace(tzinfo=zone).tzname()):
        return zone
    if text:
        raise ValueError(f"the time zone {text!r} is not known; write it as +02:00, or set `timezone` in course.toml")
    raise ValueError("it has no time zone; write one (+02:00), or set `timezone` under [deadlines] in course.toml")
