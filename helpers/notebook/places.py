"""Where a student's notebooks are, on every host: the one answer that handing in, carrying over and progress share."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

from .host import being_graded, host, in_colab, on_kaggle
from .notebook_file import UnreadableError, age, is_file, read_notebook
from .selection import FUNCTIONS, UNREADABLE, read
from .unwritten import is_stub, numbers

CATCH_UP = "_catch_up"  # ends the name of the notebook that `course release --catch-up` hands out after a deadline
HANDED_OUT = Path(__file__).with_name("handed_out")  # what each part's notebook holds; `course build` writes it
CONTENT, KAGGLE = Path("/content"), Path("/kaggle")  # where a session of Colab and of Kaggle begins
DRIVE = ("MyDrive/Colab Notebooks", "MyDrive", "My Drive/Colab Notebooks", "My Drive")  # below /content/drive
START = re.compile(r"\b(?:start|submit)\(\s*(?:part\s*=\s*)?(\d)\s*[,)]")
OURS = re.compile(  # the set-up, the hand-in, and the badge that Colab puts at the top
    r"COURSE_REPOSITORY = |^from helpers\.notebook\.submission import submit\b|^<a href=\"https://colab\.research"
)
MOST = 40  # files of other names that are opened: on Drive each takes a moment
FORMS = re.compile(r"(course-.*|[qw]\d+_\w+-(test-\d+|check|begin|end))$")  # ids of cells that no student writes
STEP = {
    "colab": "in Part {part}'s tab choose File > Download > Download .ipynb; then the folder symbol on the left > upload "
    "(or the Drive symbol there, if it is saved in your Drive)",
    "kaggle": "in Part {part}'s notebook choose File > Download notebook; then here, at the right, Input > Upload > "
    "New dataset, and choose the file that was downloaded",
    "": "put your {name}.ipynb beside this notebook",
}
SAVE = {
    "colab": "Choose File > Download > Download .ipynb, then the folder symbol on the left > upload (for a notebook on a mounted "
    "Drive Ctrl+S, or Cmd+S on a Mac, is enough), then run this cell again.",
    "kaggle": "Choose Save Version, then File > Download notebook, and upload that file at the right (Input > Upload > "
    "New dataset); then run submit({part}, notebook='/kaggle/input/…/{name}.ipynb') with its path.",
    "": "Save the notebook (Ctrl+S, or Cmd+S on a Mac), then run this cell again.",
}


@dataclass(frozen=True)
class Copy:
    """A notebook file of a part: where it is, what it holds, or what is wrong with it."""

    path: Path
    content: dict[str, Any]
    problem: str = ""

    @property
    def catch_up(self) -> bool:
        """Whether this is the notebook of functions that is handed out after a deadline."""
        return CATCH_UP in _plain(self.path.stem)


def how_to_save(part: int) -> str:
    """The sentence that helps on this host when the file is older than the work."""
    return SAVE[host()].format(part=part, name=PARTS[part])


def how_to_bring(part: int) -> str:
    """The step that brings another part's notebook to where this one runs."""
    return STEP[host()].format(part=part, name=PARTS[part])


def folders(name: str) -> list[Path]:
    """The folders in which a part's notebook may lie, nearest first, each once.

    Beside this notebook; in nbgrader's folder for each part, and in what was handed in where it grades; the course's own
    folder and the one in which the first cell fetched it; the session's root, Drive and uploads where a host has them.
    """
    here = Path.cwd()
    found = [here, here / "notebooks", here.parent / name, here.parent, here.parent / "notebooks", here / name]
    if len(here.parents) > 2 and here.parents[1].name in ("autograded", "submitted"):
        found += [here.parents[2] / kind / here.parent.name / name for kind in ("autograded", "submitted")]
    if being_graded():  # what else lies on the grader's machine is not this student's
        return list(dict.fromkeys(found))
    found += [ROOT / "notebooks", ROOT, ROOT.parent, ROOT.parent / "notebooks", ROOT.parent / name]
    if in_colab():
        found += [CONTENT, CONTENT / "notebooks", *(CONTENT / "drive" / place for place in DRIVE)]
    if on_kaggle():
        found += [KAGGLE / "working", *_below(KAGGLE / "input", 4)]
    return list(dict.fromkeys(found))


def copies(part: int) -> list[Copy]:
    """The files that may be the student's notebook of a part, an untouched one or one that is unreadable included.

    A file counts by its name, renamed copies too (`02_reinforce (1).ipynb`, `Copy of 02_reinforce.ipynb`); where no such file
    holds any work, by what it holds. First the file of the usual name beside this notebook, then the latest; at the end
    what was handed out to catch up.
    """
    name = PARTS[part]
    files = [file for folder in folders(name) for file in _notebooks(folder)]
    named = [file for file in files if _plain(name) in _plain(file.stem)]
    found = _opened(named)
    if not any(has_work(copy, part) for copy in found if not copy.catch_up):
        others = _opened(sorted((file for file in files if _other(file, part)), key=age, reverse=True)[:MOST])
        found += [copy for copy in others if copy.path not in named and part_of(copy.content) == part]
    usual = (Path.cwd() / f"{name}.ipynb").absolute()
    return sorted(found, key=lambda copy: (copy.catch_up, copy.path.absolute() != usual, -age(copy.path)))


def has_work(copy: Copy, part: int) -> bool:
    """Whether a readable notebook holds anything that a student wrote."""
    return not copy.problem and not untouched(copy.content, part)


def part_of(content: dict[str, Any]) -> int | None:
    """The part that a notebook belongs to, by its metadata or its first cell; None if it does not say."""
    said = content.get("metadata", {}).get("otter", {})
    said = said.get("assignment_name") if isinstance(said, dict) else None
    if said in PARTS.values():
        return next(part for part, name in PARTS.items() if name == said)
    for cell in content.get("cells", []):
        source = text_of(cell)
        if cell.get("cell_type") == "code" and "helpers.notebook." in source and (found := START.search(source)):
            return int(found.group(1)) if int(found.group(1)) in PARTS else None
    return None


def untouched(content: dict[str, Any], part: int) -> bool:
    """Whether a notebook is as it was handed out, in every cell in which a student works, and has no cell more.

    What was run, and numbers changed in the course's own cells, count for nothing.
    """
    known = handed_out(PARTS[part])
    ids, texts = set(known), {text for several in known.values() for text in several}
    return bool(known) and not any(_is_work(cell, ids, texts, part) for cell in content.get("cells", []))


@functools.cache
def handed_out(name: str) -> dict[str, list[str]]:
    """What `course build` recorded of a part's notebooks: by cell id the fingerprints of its texts; empty without it."""
    file = HANDED_OUT / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def fingerprint(kind: str, source: str) -> str:
    """A short hash of a cell's text; blanks at line ends and around it do not count."""
    lines = "\n".join(line.rstrip() for line in source.strip().splitlines())
    return hashlib.sha256(f"{kind}\n{lines}".encode(errors="surrogatepass")).hexdigest()[:10]


def text_of(cell: dict[str, Any]) -> str:
    """A cell's source as one text."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def id_of(cell: dict[str, Any]) -> str:
    """A cell's id, which Colab keeps in the metadata."""
    return str(cell.get("id") or cell.get("metadata", {}).get("id") or "")


def _is_work(cell: dict[str, Any], ids: set[str], texts: set[str], part: int) -> bool:
    """Whether a student wrote in this cell."""
    source, kind, name = text_of(cell).strip(), str(cell.get("cell_type")), id_of(cell)
    plain = not source or source == ANSWER_PLACEHOLDER or fingerprint(kind, source) in texts
    if plain or "course" in cell.get("metadata", {}).get("tags", []) or OURS.search(source):
        return False
    if kind != "code":
        return not FORMS.match(name)
    if name.endswith("-answer") or (name not in ids and not FORMS.match(name)):
        return not _only_stubs(source)
    return bool(defines(source) & {function for function in numbers() if exercise_part(function) == part})


def exercise_part(function: str) -> int:
    """The part of an exercise's function."""
    return int(numbers()[function].split(".")[0])


def _tree(source: str) -> ast.Module | None:
    try:
        parsed = read(source, "<cell>")
    except UNREADABLE:
        return None
    return parsed[1] if parsed else ast.Module([], [])


def _only_stubs(source: str) -> bool:
    """Whether a cell holds nothing but imports and functions as they were handed out; what cannot be read is work."""
    tree = _tree(source)
    return tree is not None and all(
        is_stub(node) or isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body
    )


def defines(source: str) -> set[str]:
    """The names of the functions that a cell defines with a body of their own."""
    tree = _tree(source)
    nodes = ast.walk(tree) if tree else ()
    return {node.name for node in nodes if isinstance(node, FUNCTIONS) and not is_stub(node)}


def _plain(stem: str) -> str:
    """A file's name in one spelling: `02-Reinforce (1)` is `02_reinforce_1_`."""
    return re.sub(r"[^a-z0-9]+", "_", stem.lower())


def _notebooks(folder: Path) -> list[Path]:
    """The notebooks in a folder (a folder of such a name too), hidden ones left out; none where one may not look."""
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".ipynb" and not file.name.startswith("."))
    except OSError:
        return []


def _below(folder: Path, depth: int) -> list[Path]:
    """A folder and those in it, some floors deep."""
    try:
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir()] if depth else []
    except OSError:
        return []
    return [folder, *(found for path in inner for found in _below(path, depth - 1))]


def _other(file: Path, part: int) -> bool:
    """Whether a file of another name may be a part's notebook: a file, and not called as another part is."""
    called = _plain(file.stem)
    return is_file(file) and not any(_plain(name) in called for number, name in PARTS.items() if number != part)


def _opened(files: Iterable[Path]) -> list[Copy]:
    """The files with what they hold, each once."""
    found: dict[Path, Copy] = {}
    for file in files:
        try:
            real = file.resolve()
        except OSError:
            real = file
        if real in found:
            continue
        try:
            found[real] = Copy(file, read_notebook(file))
        except UnreadableError as error:
            found[real] = Copy(file, {}, str(error))
    return list(found.values())


def listed(found: Sequence[Copy]) -> str:
    """Files one below the other, for a message."""
    return "\n".join(f"  {copy.path}" for copy in found)
