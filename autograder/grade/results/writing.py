"""How the files of a run are written: safe in a spreadsheet, whatever the text, one failure costing one file."""

from __future__ import annotations

import contextlib
import csv
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from autograder.grade.text import encodable


def safe_cell(text: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if isinstance(text, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def write_rows(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV that no spreadsheet takes formulas from."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerows([[safe_cell(value) for value in row] for row in rows])


def write_text(path: Path, text: str) -> None:
    """Write a page; a character that UTF-8 cannot hold is spelled out, it stops nothing."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def one_by_one(what: str, problems: list[str] | None) -> Iterator[None]:
    """Let what fails inside cost this one output alone; its name and the reason are logged, and added to `problems`."""
    try:
        yield
    except Exception as error:  # whatever a student's text did to it: the others' pages must be written
        text = encodable(f"{what} could not be written: {type(error).__name__}: {error}")[:300]
        logging.getLogger(__name__).error(text)
        if problems is not None:
            problems.append(text)


@contextlib.contextmanager
def for_the_owner_alone(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Write marks so that nobody else on the machine can read them, from their first byte on.

    Args:
        folder: the folder of the run.
        names: of the files and folders in it that are a run's, which an older run may have left open to others.
    """
    umask = os.umask(0o077)
    try:
        for name in names:
            for path in (folder / name, *(folder / name).rglob("*")):
                if path.exists() and not path.is_symlink():
                    path.chmod(0o700 if path.is_dir() else 0o600)
        yield
    finally:
        os.umask(umask)
