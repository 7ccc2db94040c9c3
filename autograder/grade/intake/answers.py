"""The written answers in a notebook: where they stand, and what was typed. Runs in the reader.

An answer belongs in the cell that the build made for it. People also write above it, below it, in cells of their own, turn
the cell into code, or use programs that drop the cells' ids. What is found in such a place is shown to the marker, who is
told where it stood; an answer is empty only if nothing of the student's own is left that could be one.
"""

from __future__ import annotations

import ast
import base64
import binascii
import re
from typing import Any

from autograder.grade.text import printable, remembered

PLACEHOLDER = re.compile(
    r"[\s_*`#\"']*(type your answer here,? replacing this text|your answer here)[\s._*`\"']*", re.IGNORECASE
)
HANDING_IN = re.compile(r"\s*(---\s*)?#+ Handing in\b")
POINTS = re.compile(r"[\s_*]*points:?[\s_*]*\d+[\s_*]*", re.IGNORECASE)
HEADING = re.compile(r"\s*(#{1,6}\s|\*\*(Exercise|Question|Written)\b)")
ATTACHED = re.compile(r"!\[([^\]\n]{0,200})\]\(\s*attachment:([^)\s]{1,200})\s*\)")
PASTED = re.compile(r"!\[([^\]\n]{0,200})\]\(\s*data:(image/\w{1,20});base64,([A-Za-z0-9+/=\s]+)\)")
REPLACED = re.compile(r"!\[([^\]\n]{0,200})\]\(attachment:(\d+)\)")
PICTURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8", "image/webp": b"RIFF"}
LONGEST = 20_000  # characters of an answer
LARGEST_PICTURE = 1 << 20  # bytes
MOST_PICTURES = 5  # of an answer
WORTH_SHOWING = 20  # letters of a text that stands far from every question
MOST_FAR = 10  # such texts
CODE = re.compile(r"^[ \t]*(?:def|class|import|from|return|for|while|if|with)\b|^[ \t]*[@%!]", re.MULTILINE)


def find_answers(cells: list[dict[str, Any]], course: dict[str, Any]) -> dict[str, str]:
    """The answers to a notebook's written questions, by question; an empty text where nothing was written.

    Args:
        cells: all cells in order: `number`, `kind`, `source`, `names`, `locked`, `attachments`.
        course: the part's `written` (prompts by question), `given`, every paragraph that is not a student's, squeezed, and
            `code`, every code cell that is not.
    """
    given = set(course["given"])
    handed_out = set(course["code"])
    for cell in cells:
        cell["flat"] = squeeze(cell["source"]) if cell["kind"] != "code" else ""
        cell["known"] = cell["kind"] == "code" and (cell["locked"] or cell["source"].strip() in handed_out)
    own = [_own_text(cell, given) for cell in cells]
    places = {name: _places(cells, own, name, prompt, given) for name, prompt in course["written"].items()}
    taken = {index for found in places.values() for _, indices in found for index in indices}
    far = [i for i, text in enumerate(own) if i not in taken and text and not _is_code(cells[i])]
    long = [i for i in far if len(squeeze(own[i])) >= WORTH_SHOWING]
    short = [i for i in far if cells[i]["kind"] != "code"]  # shown where there is nothing better
    loose = [] if all(places.values()) else (long or short)[:MOST_FAR]
    return {
        name: _answer(cells, own, found or ([("not beside its question", loose)] if loose else []))
        for name, found in places.items()
    }


@remembered
def squeeze(text: str) -> str:
    """A text's letters and digits alone, for comparing what programs have reformatted."""
    return "".join(re.findall(r"\w+", text)).casefold()


def paragraphs(text: str) -> list[str]:
    """A text's paragraphs."""
    return re.split(r"\n[ \t]*\n", text)


def _own_text(cell: dict[str, Any], given: set[str]) -> str:
    """What of a cell's text neither the course nor a placeholder put there."""
    if cell["known"] or HANDING_IN.match(cell["source"]):
        return ""
    text = cell["source"].replace("\r\n", "\n").replace("\r", "\n")
    kept = [part for part in paragraphs(text) if squeeze(part) not in given and not _is_filler(part)]
    return "\n\n".join(kept).strip()


def _is_filler(paragraph: str) -> bool:
    return not paragraph.strip() or any(pattern.fullmatch(paragraph) for pattern in (PLACEHOLDER, POINTS))


def _is_code(cell: dict[str, Any]) -> bool:
    """Whether a cell is code in earnest: it parses, and is more than comments and texts, given a name or printed."""
    if cell["kind"] != "code" or cell["known"]:
        return cell["known"]
    try:
        body = ast.parse(cell["source"]).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return CODE.search(cell["source"]) is not None
    return not all(_is_text(node) for node in body)


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text and no more: by itself, printed, or given a name."""
    value = node.value if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign) else None
    if isinstance(node, ast.Expr) and isinstance(value, ast.Call):
        is_print = isinstance(value.func, ast.Name) and value.func.id == "print"
        return is_print and bool(value.args) and all(_is_words(argument) for argument in value.args)
    return isinstance(value, ast.Constant | ast.Name) if isinstance(node, ast.Expr) else _is_words(value)


def _is_words(value: ast.expr | None) -> bool:
    """Whether an expression is a text of several words."""
    text = value.value if isinstance(value, ast.Constant) else None
    return isinstance(text, str) and " " in text.strip() and len(squeeze(text)) >= WORTH_SHOWING


def _is_named(cell: dict[str, Any], name: str, what: str) -> bool:
    """Whether the build named this cell (by its id, or for nbgrader by its `grade_id`)."""
    start = f"{name}-{what}"
    return any(
        found == start or re.fullmatch(rf"{start}-\d+", found) for found in cell["names"] if found.startswith(start)
    )


Place = tuple[str, list[int]]  # what to tell the marker of it ("" for the right place), and the cells


def _places(cells: list[dict[str, Any]], own: list[str], name: str, prompt: str, given: set[str]) -> list[Place]:
    """Where something stands that answers a question, the best places first."""
    marked = [i for i, cell in enumerate(cells) if _is_named(cell, name, "answer")]
    start = _prompt_cell(cells, name, prompt)
    around = _around(cells, own, given, marked, start)
    first = start if start is not None else (marked[0] if marked else None)
    below = [i for i in around if i not in marked and first is not None and i >= first]
    unmarked = not marked  # a program that drops ids: the first cell below the prompt is the answer's own
    found: list[Place] = [("", marked)]
    found.append(
        ("" if unmarked else "beside the cell for the answer", [i for i in below if cells[i]["kind"] == "markdown"])
    )
    found.append(("in a cell that is no text", [i for i in below if cells[i]["kind"] != "markdown"]))
    found = [(note, [i for i in indices if own[i]]) for note, indices in found]
    if not any(indices for _, indices in found):
        found = [("above the question", [i for i in around if first is not None and i < first and own[i]])]
    return [(note, indices) for note, indices in found if indices]


def _prompt_cell(cells: list[dict[str, Any]], name: str, prompt: str) -> int | None:
    """The cell that asks the question: by what it says, or by the name that the build gave it."""
    start = squeeze(prompt)[:60]
    for index, cell in enumerate(cells):
        if cell["kind"] != "code" and (_is_named(cell, name, "text") or (start and start in cell["flat"])):
            return index
    return None


def _around(
    cells: list[dict[str, Any]], own: list[str], given: set[str], marked: list[int], start: int | None
) -> list[int]:
    """The cells about a question that are no one else's: as far as the next cell of the course's in each direction."""

    def is_stop(index: int) -> bool:
        named = (
            any(re.search(r"-(answer|text)(-\d+)?$", found) for found in cells[index]["names"]) and index not in marked
        )
        return named or _is_code(cells[index]) or _is_courses(cells[index], own[index], given)

    fixed = sorted({*marked, *([] if start is None else [start])})
    if not fixed:
        return []
    found = list(fixed)
    for at in fixed:
        for step in (-1, 1):
            index = at + step
            while 0 <= index < len(cells) and index not in fixed and not is_stop(index):
                found.append(index)
                index += step
    return sorted(set(found))


def _is_courses(cell: dict[str, Any], own: str, given: set[str]) -> bool:
    """Whether a text cell is of the notebook as handed out, or begins a section of its own."""
    if cell["kind"] == "code":
        return bool(cell["source"].strip()) and not own
    parts = [part for part in paragraphs(cell["source"]) if not _is_filler(part)]
    return any(squeeze(part) in given for part in parts)


def _answer(cells: list[dict[str, Any]], own: list[str], places: list[Place]) -> str:
    """The text of all places, each but the right one under a line that says where it stood."""
    texts = []
    for note, indices in places:
        for index in indices:
            text = _with_pictures(own[index], cells[index]["attachments"])
            where = f"_(The grader found this {note}: cell {cells[index]['number']}.)_\n\n" if note else ""
            texts.append(where + text)
    return "\n\n".join(texts)


def _with_pictures(text: str, attachments: dict[str, Any]) -> str:
    """A cell's text within its bounds, with the pictures that were pasted into it written out (a few, of bounded size)."""
    pictures: list[tuple[str, str]] = []

    def keep(kind: str, content: Any, alternative: str) -> str:
        data = "".join(part for part in (content if isinstance(content, list) else [content]) if isinstance(part, str))
        problem = _picture_problem(kind, data, len(pictures))
        if problem:
            return f"[a picture, {problem}]"
        pictures.append((kind, re.sub(r"\s", "", data)))
        return f"![{alternative}](attachment:{len(pictures) - 1})"

    def attached(match: re.Match[str]) -> str:
        bundle = attachments.get(match[2])
        for kind, content in bundle.items() if isinstance(bundle, dict) else ():
            return keep(kind, content, match[1])
        return f"[a picture, {match[2]}, that is not in the file]"

    text = ATTACHED.sub(attached, text[: 40 << 20])
    text = PASTED.sub(lambda match: keep(match[2], match[3], match[1]), text)
    text = printable(text)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}\n\n[cut off here: the answer has {len(text):,} characters]"
    written = {number: f"data:{kind};base64,{data}" for number, (kind, data) in enumerate(pictures)}
    return REPLACED.sub(lambda m: f"![{m[1]}]({written[int(m[2])]})" if int(m[2]) in written else m[0], text)


def _picture_problem(kind: Any, data: str, before: int) -> str:
    """Why a picture is not shown, or an empty text."""
    if before >= MOST_PICTURES:
        return f"the {before + 1}th; {MOST_PICTURES} are shown"
    if kind not in PICTURES:
        return "of a kind that is not shown"
    if len(data) * 3 // 4 > LARGEST_PICTURE:
        return f"{len(data) * 3 // 4 >> 10} KB large; {LARGEST_PICTURE >> 10} KB are shown"
    try:
        start = base64.b64decode(re.sub(r"\s", "", data), validate=True)
    except (binascii.Error, ValueError):
        return "damaged"
    return "" if start.startswith(PICTURES[kind]) else "damaged"
