"""Read tables as people save them: CSV from any spreadsheet in any country, with any of the usual separators and encodings."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

from .text import printable

SEPARATORS = ",;\t|"
LARGEST = 64 << 20  # bytes
WORKBOOKS = {b"PK\x03\x04": "an Excel or LibreOffice workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class TableError(ValueError):
    """A file is no table that can be read; the message names it and says what to do."""


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV by its columns' names, which are lower-cased. Row `n` of the list is line `n + 2` of the file.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: it cannot be read, is a workbook, or has no header.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    try:
        if path.stat().st_size > LARGEST:
            raise TableError(f"{path}: it is larger than {LARGEST >> 20} MB; is it the right file?")
        data = path.read_bytes()
    except OSError as error:
        raise TableError(
            f"{path}: it cannot be opened ({error.strerror}); give a CSV file that you may read"
        ) from error
    for start, kind in WORKBOOKS.items():
        if data.startswith(start):
            raise TableError(f"{path}: this is {kind}; open it and save it as CSV")
    text = _decode(data).replace("\x00", "")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    separator = None
    if lines[:4].lower() == "sep=" and lines[5:6] in ("\n", ""):  # Excel's own first line
        separator, lines = lines[4], lines[6:]
    rows = _rows(path, lines, separator or _separator(lines))
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise TableError(f"{path}: it is empty; its first line must name the columns")
    names = [printable(name).strip().lower() for name in rows[0]]
    return [dict.fromkeys(names, "") | dict(zip(names, map(_clean, row), strict=False)) for row in rows[1:]]


def _clean(text: str) -> str:
    return printable(text).strip()


def _decode(data: bytes) -> str:
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "")
    if not encoding and b"\x00" in data[:200]:  # UTF-16 without its mark: every other byte of plain letters is zero
        encoding = "utf-16-be" if data[:1] == b"\x00" else "utf-16-le"
    for name in (encoding or "utf-8", "cp1252"):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _separator(text: str) -> str:
    """The character that divides the header into most columns; a comma if there is but one column."""
    header = next((line for line in text.split("\n") if line.strip()), "")
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _rows(path: Path, text: str, separator: str) -> list[list[str]]:
    csv.field_size_limit(LARGEST)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise TableError(
            f"{path}: it cannot be read as CSV ({error}); open it in a spreadsheet and save it as CSV"
        ) from error
