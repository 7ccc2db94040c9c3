"""Putting a release into a folder without losing anybody's work: a mark says what a release wrote, and only that is touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from autograder.stamps import files_below

from .normalise import write_json

MARK = ".course-release"
ASIDE = "before-release"  # where --force puts what stood in the way


@dataclass(frozen=True)
class Placement:
    """What is to do in a folder, each file by its path in it.

    Attributes:
        files: all files of the release, with their digests.
        write: those to write, as they are missing or as an earlier release left them.
        remove: what an earlier release wrote, which is no longer part of it.
        changed: files and folders in the way that nobody knows to be a release's own: changed since, or put there by hand.
        left: no longer part of the release, but changed since: they stay.
    """

    files: dict[str, str]
    write: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def digest(file: Path) -> str:
    """A hash of a file's content. Windows' line ends count as others, since git may write them on a checkout."""
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def read_mark(folder: Path) -> dict[str, str]:
    """The files that the last release wrote to a folder; empty without a mark, or with one that cannot be read."""
    try:
        files = json.loads((folder / MARK).read_text(encoding="utf-8"))["files"]
        return {name: text for name, text in files.items() if _inside(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # also a mark of a version that listed no files
        return {}


def make_plan(stage: Path, folder: Path) -> Placement:
    """Compare what a release holds with what is in a folder; changes nothing."""
    files = {path.relative_to(stage).as_posix(): digest(path) for path in files_below(stage)}
    plan, known = Placement(files), read_mark(folder)
    for name, wanted in files.items():
        blocking = _in_the_way(folder, name)
        if blocking:
            plan.changed.append(blocking)
        elif not (folder / name).exists():
            plan.write.append(name)
        elif (have := digest(folder / name)) != wanted:
            (plan.write if have == known.get(name) else plan.changed).append(name)
    for name in sorted(known.keys() - files.keys()):
        if not _in_the_way(folder, name) and (folder / name).exists():
            (plan.remove if digest(folder / name) == known[name] else plan.left).append(name)
    plan.changed[:] = dict.fromkeys(plan.changed)
    return plan


def place(stage: Path, folder: Path, plan: Placement, tag: str) -> tuple[list[str], Path | None]:
    """Carry a plan out.

    Returns:
        The files written, and the new folder `before-release` to which went what was in the way (None if nothing was).
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = _new_folder(folder) if plan.changed else None
    for name in plan.changed:
        assert aside is not None
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / name, aside / name)
    written = [name for name in plan.files if name in plan.write or not (folder / name).exists()]
    for name in written:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage / name, folder / name)
    for name in plan.remove:
        (folder / name).unlink()
        for parent in (folder / name).relative_to(folder).parents:
            if parent != Path() and not any((folder / parent).iterdir()):
                (folder / parent).rmdir()
    note = "Written by `course release`: its files, with a digest of each. The next release touches only these."
    write_json(folder / MARK, {"note": note, "tag": tag, "files": plan.files})
    return written, aside


def _inside(name: str) -> bool:
    """True for the path of a file below the folder: a mark may have been edited by hand."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and path.parts[0] != ".git"


def _in_the_way(folder: Path, name: str) -> str:
    """What keeps a file from being written as a plain file below the folder: a link, or a file where a folder must be."""
    for path in _downwards(name):
        there = folder / path
        if there.is_symlink() or (there.exists() and there.is_dir() != (path.as_posix() != name)):
            return path.as_posix()
    return ""


def _downwards(name: str) -> Iterator[PurePosixPath]:
    path = PurePosixPath(name)
    yield from [*reversed(path.parents)][1:]
    yield path


def _new_folder(folder: Path) -> Path:
    """A folder that is not there yet, for what is set aside."""
    number = 1
    while (aside := folder / (ASIDE if number == 1 else f"{ASIDE}-{number}")).exists():
        number += 1
    aside.mkdir()
    return aside
