"""Read a submitted notebook: bytes nobody may trust in, code cells and answers to written questions out. Runs in the reader."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, TypeVar

from autograder.grade.text import encodable, printable

from .answers import find_answers
from .archives import LARGEST
from .unread import find_unread

Made = TypeVar("Made")

MOST_CELLS = 5_000
LARGEST_SOURCE = 4 << 20  # characters of all code together


class UnreadableNotebookError(ValueError):
    """The file cannot be graded; the message tells the student and the instructor why."""


def read(data: bytes, course: dict[str, Any]) -> dict[str, Any]:
    """Read a notebook.

    Args:
        data: the file.
        course: by part, as text: `functions`, `written` and `given` (see `apart.course`).

    Returns:
        `part`, which of the five it is; `code`, its code cells (`number`, counted from 1 over all cells, `source`, `tags`);
        `written`, the answers by question; `unread`, the cells that a person has to look at; `notes`, what was odd about
        the file.

    Raises:
        UnreadableNotebookError: it is empty, too large, no notebook, or none of this course's.
    """
    notes: list[str] = []
    content = _content(data, notes)
    cells = [_cell(number, cell) for number, cell in enumerate(_cells(content), start=1)]
    code = [cell for cell in cells if cell["kind"] == "code"]
    if sum(len(cell["source"]) for cell in code) > LARGEST_SOURCE:
        raise UnreadableNotebookError("the notebook holds more than 4 million characters of code")
    if not code:
        raise UnreadableNotebookError("the notebook has no code cell")
    part = find_part(code, [cell for cell in cells if cell["kind"] == "markdown"], course)
    return {
        "part": part,
        "code": [{key: cell[key] for key in ("number", "source", "tags")} for cell in code],
        "written": find_answers(cells, course[str(part)]),
        "unread": find_unread(code, course[str(part)]["functions"], _python(content)),
        "notes": notes,
    }


def _cell(number: int, cell: dict[str, Any]) -> dict[str, Any]:
    """A cell reduced to what is looked at, each field of the kind it must be."""
    metadata = _of(dict, cell.get("metadata"))
    tags = _of(list, metadata.get("tags"))
    grader = _of(dict, metadata.get("nbgrader"))
    return {
        "number": number,
        "kind": _of(str, cell.get("cell_type")),
        "source": encodable(_source(cell)),
        "tags": [printable(str(tag)[:80]) for tag in tags[:20]],
        "names": [str(cell.get("id", ""))[:80], str(grader.get("grade_id", ""))[:80]],
        "locked": grader.get("locked") is True,
        "attachments": _of(dict, cell.get("attachments")),
    }


def _of(kind: type[Made], value: Any) -> Made:
    """The value if it is of this kind, else an empty one."""
    return value if isinstance(value, kind) else kind()


def _python(content: dict[str, Any]) -> tuple[int, ...]:
    """The version of Python that the notebook says it was run with; (0,) if it says none."""
    version = _of(dict, _of(dict, content.get("metadata")).get("language_info")).get("version")
    numbers = re.match(r"(\d{1,3})\.(\d{1,3})", version) if isinstance(version, str) else None
    return (int(numbers[1]), int(numbers[2])) if numbers else (0,)


def _content(data: bytes, notes: list[str]) -> dict[str, Any]:
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
    return content


def _cells(content: dict[str, Any]) -> list[dict[str, Any]]:
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
    import nbformat  # only old notebooks need it, and importing it takes longer than reading ten others

    try:
        return nbformat.convert(nbformat.from_dict(content), 4)
    except Exception as error:  # the library raises many kinds for what is not a notebook
        raise UnreadableNotebookError(f"the notebook's format cannot be converted: {type(error).__name__}") from None


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def find_part(code: list[dict[str, Any]], markdown: list[dict[str, Any]], course: dict[str, Any]) -> int:
    """Tell the part by the graded functions that the notebook defines, then by the exercises its text names.

    Raises:
        UnreadableNotebookError: nothing of any part is in it.
    """
    text = "\n".join(cell["source"] for cell in code)
    defined = set(re.findall(r"^[ \t]*(?:async\s+)?def\s+(\w+)", text, re.MULTILINE))
    defined |= set(re.findall(r"^(\w+)\s*(?::[^=\n]+)?=", text, re.MULTILINE))
    prose = "\n".join(cell["source"] for cell in markdown)
    scores = {}
    for part, content in course.items():
        headings = len(set(re.findall(rf"(?:Exercise|Question)\s+{part}\.\d+", prose)))
        checks = len(set(re.findall(rf"grader\.check\(\s*[\"']q{part}_\d+", text)))
        scores[part] = (len(defined.intersection(content["functions"])), headings + checks)
    best = max(scores, key=lambda part: scores[part], default="")
    if not scores or scores[best] == (0, 0):
        raise UnreadableNotebookError("the notebook is none of this course's: it defines no exercise and names none")
    return int(best)
