"""Read a submitted notebook: bytes nobody may trust in, code cells and answers to written questions out."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import Any, TypeVar

import nbformat

from autograder import masters

Shape = TypeVar("Shape", dict[str, Any], list[Any])

LARGEST = 50 << 20  # bytes
MOST_CELLS = 5_000
LARGEST_SOURCE = 4 << 20  # characters of all code together


class UnreadableNotebookError(ValueError):
    """The file cannot be graded; the message tells the student and the instructor why."""


@dataclass(frozen=True)
class Notebook:
    """A submitted notebook, reduced to what grading needs.

    Attributes:
        part: which of the five it is.
        code: the code cells: `number` (counted from 1 over all cells), `source`, `tags`.
        markdown: the text cells: `number`, `source`, `metadata`, `id`.
        notes: what was odd about the file.
    """

    part: int
    code: tuple[dict[str, Any], ...]
    markdown: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = field(default=())


def read(data: bytes) -> Notebook:
    """Read a notebook.

    Raises:
        UnreadableNotebookError: it is empty, too large, no notebook, or none of this course's.
    """
    notes: list[str] = []
    cells = _cells(data, notes)
    code: list[dict[str, Any]] = []
    markdown: list[dict[str, Any]] = []
    for number, cell in enumerate(cells, start=1):
        source = _source(cell)
        metadata = _as(dict, cell.get("metadata"))
        tags = _as(list, metadata.get("tags"))
        if cell.get("cell_type") == "code":
            code.append({"number": number, "source": source, "tags": [str(tag)[:80] for tag in tags[:20]]})
        elif cell.get("cell_type") == "markdown":
            name = str(cell.get("id", ""))[:80]
            markdown.append({"number": number, "source": source, "metadata": metadata, "id": name})
    if sum(len(cell["source"]) for cell in code) > LARGEST_SOURCE:
        raise UnreadableNotebookError("the notebook holds more than 4 million characters of code")
    if not code:
        raise UnreadableNotebookError("the notebook has no code cell")
    return Notebook(find_part(code, markdown), tuple(code), tuple(markdown), tuple(notes))


def _cells(data: bytes, notes: list[str]) -> list[dict[str, Any]]:
    if not data.strip(b" \t\r\n\x00"):
        raise UnreadableNotebookError("the file is empty")
    if len(data) > LARGEST:
        raise UnreadableNotebookError(
            f"the file has {len(data) >> 20} MB; {LARGEST >> 20} MB are allowed (clear the outputs)"
        )
    content = _json(_text(data, notes))
    if not isinstance(content, dict):
        raise UnreadableNotebookError("the file is JSON, but no notebook")
    if "worksheets" in content or content.get("nbformat") in (1, 2, 3):
        content = _convert(content)
        notes.append("the notebook was in an old format and was converted")
    cells = content.get("cells")
    if not isinstance(cells, list):
        raise UnreadableNotebookError("the file is JSON, but no notebook: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise UnreadableNotebookError(f"the notebook has {len(cells)} cells; {MOST_CELLS} are allowed")
    return [cell for cell in cells if isinstance(cell, dict)]


def _text(data: bytes, notes: list[str]) -> str:
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if data[:4] in (b"PK\x03\x04", b"\x89PNG", b"%PDF") or b"\x00" in data[:1000]:
            raise UnreadableNotebookError("the file is binary, no notebook") from None
        notes.append("the file is not UTF-8; it was read as Latin-1")
        return data.decode("latin-1")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise UnreadableNotebookError("the file is nested too deep to be a notebook") from None
    except ValueError as error:
        kind = "cut off or damaged" if text.lstrip()[:1] == "{" else "no notebook"
        raise UnreadableNotebookError(f"the file is {kind}: {str(error)[:120]}") from None


def _convert(content: dict[str, Any]) -> dict[str, Any]:
    try:
        return nbformat.convert(nbformat.from_dict(content), 4)
    except Exception as error:  # the library raises many kinds for what is not a notebook
        raise UnreadableNotebookError(f"the notebook's format cannot be converted: {type(error).__name__}") from None


def _as(kind: type[Shape], value: object) -> Shape:
    """The value if it is of this kind, else an empty one: nothing in a hand-in is sure to have its usual form."""
    return value if isinstance(value, kind) else kind()


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def find_part(code: list[dict[str, Any]], markdown: list[dict[str, Any]]) -> int:
    """Tell the part by the graded functions that the notebook defines, then by the exercises its text names.

    Raises:
        UnreadableNotebookError: nothing of any part is in it.
    """
    text = "\n".join(cell["source"] for cell in code)
    defined = set(re.findall(r"^[ \t]*(?:async\s+)?def\s+(\w+)", text, re.MULTILINE))
    defined |= set(re.findall(r"^(\w+)\s*(?::[^=\n]+)?=", text, re.MULTILINE))
    prose = "\n".join(cell["source"] for cell in markdown)
    scores = {}
    for part in masters.existing_parts():
        functions = {q.function for q in masters.load_questions(part) if q.function}
        headings = len(set(re.findall(rf"(?:Exercise|Question)\s+{part}\.\d+", prose)))
        checks = len(set(re.findall(rf"grader\.check\(\s*[\"']q{part}_\d+", text)))
        scores[part] = (len(functions & defined), headings + checks)
    best = max(scores, key=lambda part: scores[part], default=0)
    if not scores or scores[best] == (0, 0):
        raise UnreadableNotebookError("the notebook is none of this course's: it defines no exercise and names none")
    return best
