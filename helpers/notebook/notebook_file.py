"""Reading a notebook's file, whatever state it is in: its content, or one sentence that says what is wrong with it."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import Any

LARGEST = 200 * 2**20  # bytes; nothing that a student writes is larger
AGAIN = "Open it in Jupyter or Colab, save it, and put it here again"
UPLOAD = "It was not saved, or not wholly copied or uploaded. Put it here again"
BOMS = (  # the longer mark first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONFLICT = re.compile(r"^(<{7} |>{7} |\|{7} |={7}$)", re.MULTILINE)


class UnreadableError(ValueError):
    """A file that holds no notebook; the message says what it holds instead, and what to do."""


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's content: a dictionary whose `cells` are dictionaries with a type, a source and metadata.

    Files in UTF-8 and UTF-16 are read, with a byte order mark or without one.

    Raises:
        UnreadableError: the file holds no notebook, or cannot be read.
    """
    content = _parsed(_text(_bytes(path)))
    if not isinstance(content, dict):
        raise UnreadableError(
            f"this is no notebook: its JSON holds a {type(content).__name__}, not an object. {AGAIN}."
        )
    cells = content.get("cells")
    if not isinstance(cells, list):
        old = " It is in a format of before 2015." if "worksheets" in content else ""
        raise UnreadableError(f"this is no notebook: it has no list of cells.{old} {AGAIN}.")
    content["cells"] = [_cell(cell, number) for number, cell in enumerate(cells, start=1)]
    if not isinstance(content.get("metadata"), dict):
        content["metadata"] = {}
    return content


def is_file(path: Path) -> bool:
    """Whether there is a file of that name; False as well where one may not look."""
    try:
        return path.is_file()
    except OSError:
        return False


def age(path: Path) -> float:
    """When a file was last written, in seconds since 1970; 0 where one may not look."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableError("this is a folder, not a file: the notebook may lie in it.")
        if path.stat().st_size > LARGEST:
            raise UnreadableError(f"the file is larger than {LARGEST >> 20} MiB: clear its outputs and save it again.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableError("no such file") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableError(
            f"the file may not be read ({reason}): change its permissions, or copy it to another folder."
        ) from error


def _text(data: bytes) -> str:
    """The text of a file, by its byte order mark or by where its first bytes are zero."""
    if not data.strip(b" \t\r\n\x00"):
        raise UnreadableError(f"the file is empty. {UPLOAD}.")
    encoding = next((name for mark, name in BOMS if data.startswith(mark)), "utf-8")
    if encoding == "utf-8" and 0 in data[:2]:
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        cut = f"The file may be cut off. {UPLOAD}." if error.end >= len(data) - 4 else ""
        raise UnreadableError(
            f"this is no notebook: its text is not {encoding.upper()} (byte {error.start + 1}); another editor may have "
            f"saved it, or it is another kind of file. {cut or AGAIN + '.'}"
        ) from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UnreadableError(f"this is no notebook: it is nested too deep. {AGAIN}.") from error
    except ValueError as error:
        raise UnreadableError(f"this is no notebook: {_why(text, error)}") from error


def _why(text: str, error: ValueError) -> str:
    """What a text that is no JSON is instead."""
    if found := CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        return (
            f"git left its conflict marks in it (line {line}: {found.group().strip()}). Take one version as a whole: "
            "`git checkout --ours FILE` or `git checkout --theirs FILE`."
        )
    if text.lstrip().startswith("<"):
        return "it is a web page. Download the notebook itself (its raw form) and put it here."
    if isinstance(error, json.JSONDecodeError):
        unfinished = error.msg.startswith("Unterminated") or not text[error.pos :].strip()
        if unfinished and text.lstrip().startswith("{"):
            return f"the file is cut off in line {error.lineno}. {UPLOAD}."
        return f"its JSON is damaged in line {error.lineno} ({error.msg}). {AGAIN}."
    return f"its JSON is damaged ({error}). {AGAIN}."


def _cell(cell: Any, number: int) -> dict[str, Any]:
    """A cell as the format has it: `source` is one text, `metadata` a dictionary with a list of tags."""
    source = cell.get("source", "") if isinstance(cell, dict) else None
    lines = [line for line in (source if isinstance(source, list) else [source]) if isinstance(line, str)]
    if source is None or len(lines) < (len(source) if isinstance(source, list) else 1):
        raise UnreadableError(f"this is no notebook: its cell {number} is damaged. {AGAIN}.")
    metadata = cell.get("metadata") if isinstance(cell.get("metadata"), dict) else {}
    if not isinstance(metadata.get("tags", []), list):
        metadata = {**metadata, "tags": []}
    return {**cell, "source": "".join(lines), "metadata": metadata}
