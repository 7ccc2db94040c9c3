"""Writing notebooks, text and zip files so that the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.stamps import files_below

NOTEBOOK_METADATA = {
    "accelerator": "GPU",
    "colab": {"gpuType": "T4", "provenance": []},
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file can hold
LARGE = 200_000  # bytes


def derive_id(*words: str) -> str:
    """A cell id from words that describe the cell: the same words give the same id."""
    text = "-".join(words)
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()
    if len(plain) <= 40 and re.fullmatch(r"[\w. -]+", text):
        return plain
    return f"c-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def assign_ids(cells: Iterable[NotebookNode], prefix: str) -> None:
    """Give every cell an id: its own `metadata.course_id` if it has one, else one derived from its content."""
    seen: dict[str, int] = {}
    for cell in cells:
        wanted = cell.metadata.pop("course_id", None)
        base = wanted or derive_id(prefix, hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10])
        seen[base] = seen.get(base, 0) + 1
        cell["id"] = base if seen[base] == 1 else f"{base}-{seen[base]}"


def clean_notebook(notebook: NotebookNode) -> NotebookNode:
    """Strip outputs, execution counts and passing metadata, in place; returns the notebook.

    Raises:
        nbformat.ValidationError: if the notebook is not valid, or two cells share an id.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    kept = {key: value for key, value in notebook.metadata.items() if key in ("otter", "celltoolbar")}
    notebook.metadata = nbformat.from_dict({**NOTEBOOK_METADATA, **kept})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
        cell.metadata.pop("lines_to_next_cell", None)
        cell.source = cell.source.strip("\n")
    ids = [cell.id for cell in notebook.cells]
    if len(set(ids)) != len(ids):
        raise nbformat.ValidationError(f"cell ids are used twice: {sorted({i for i in ids if ids.count(i) > 1})}")
    nbformat.validate(notebook)
    return notebook


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook with its sources as lists of lines, as Jupyter does, and a newline at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n", encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write text with Unix line ends, no blanks at line ends, one newline at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    path.write_text(body + "\n", encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False))


def pack(entries: dict[str, bytes], target: Path) -> None:
    """Write a zip file: sorted names, one date, one mode, one compression level."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, date_time=EPOCH)
            executable = name in ("setup.sh", "run_autograder")
            info.external_attr = ((0o755 if executable else 0o644) | 0o100000) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[name], compresslevel=6)


def copy_tree(source: Path, target: Path, *, without: Iterable[str] = (), link: bool = False) -> None:
    """Copy a folder's files but those below `without`.

    With `link`, large files become hard links where the disk allows. Small ones never do: an edit must stay a copy's own.
    """
    excluded = tuple(Path(entry) for entry in without)
    for file in files_below(source):
        relative = file.relative_to(source)
        if any(relative.is_relative_to(entry) for entry in excluded):
            continue
        destination = target / relative
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.unlink(missing_ok=True)
        if link and file.stat().st_size > LARGE:
            try:
                os.link(file, destination)
                continue
            except OSError:  # another disk, or a file system without links
                pass
        shutil.copyfile(file, destination)
