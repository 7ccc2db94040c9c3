"""What is said of a wrong setting in `course.toml`: its line, its name, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
KEY = re.compile(r"""\s*([\w.'"-]+)\s*=""")


class SettingError(ValueError):
    """Something in the course's settings is wrong; the message names the file, the line and the setting."""


def line_of(text: str, setting: str) -> int:
    """The line of a setting such as `student_repository.tag`; of its table where it is not there, else 0."""
    table, best = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = _plain(header[1])
            name = table
        elif key := KEY.match(line):
            name = ".".join(filter(None, [table, _plain(key[1])]))
        else:
            continue
        if name == setting or name.startswith(f"{setting}."):
            return number
        if setting.startswith(f"{name}."):
            best = number
    return best


def where(path: Path, text: str, setting: str) -> str:
    """The beginning of a message about a setting: file, line, setting."""
    line = line_of(text, setting)
    return f"{path.name}, line {line}: {setting}" if line else f"{path.name}: {setting}"


def check_names(path: Path, text: str, table: str, found: Iterable[str], known: Iterable[str]) -> None:
    """Refuse what is no setting, naming the nearest one.

    Args:
        path: the file.
        text: its text.
        table: the table that is looked at; empty for the tables themselves.
        found: the names in it.
        known: those there are.

    Raises:
        SettingError: for the first that is unknown.
    """
    names = list(known)
    for name in found:
        if name in names:
            continue
        near = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise SettingError(f"{where(path, text, '.'.join(filter(None, [table, name])))} is no setting; {advice}")


def take(path: Path, text: str, table: Any, setting: str, read: Callable[[str], str]) -> str:
    """One setting, a text, as `read` makes it.

    Raises:
        SettingError: it is missing, no text, empty, or `read` refuses it.
    """
    name = setting.rpartition(".")[2]
    if name not in table:
        raise SettingError(f'{where(path, text, setting)} is missing: write {name} = "…"')
    value = table[name]
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{where(path, text, setting)} must be a text in double quotes, not {value!r}")
    try:
        return read(value)
    except ValueError as error:
        raise SettingError(f"{where(path, text, setting)}: {error}") from error


def _plain(name: str) -> str:
    return re.sub(r"""\s*\.\s*""", ".", re.sub(r"""['"]""", "", name.strip()))
