"""What lies in a class's folder or archive: the files worth reading, and how many others there are."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder.grade.text import label

from .apart import Reader
from .archives import USEFUL, USELESS, describe, is_archive, is_hidden, is_told, utc


@dataclass(frozen=True)
class File:
    """A file that was handed in.

    Attributes:
        path: its names from the outermost on; an empty last one stands for the folder itself.
        place: its path on disk, or its number in the class's archive; None if it cannot be read.
        problem: why it will not be read.
        modified: when it was last written, if known; of a file in an archive, the archive.
        time: when it was last written, as text; of a file in an archive, as the archive says.
    """

    path: tuple[str, ...]
    place: str | int | None
    problem: str = ""
    modified: float = 0.0
    time: str = ""

    @property
    def name(self) -> str:
        """The path as one text."""
        return "/".join(self.path)

    @property
    def is_useful(self) -> bool:
        """Whether its name is that of a notebook or an archive."""
        return self.path[-1].lower().endswith(USEFUL)


@dataclass
class Listing:
    """The files of a class, and for every folder the number of its files and folders that are of no use here."""

    files: list[File] = field(default_factory=list)
    others: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @functools.cached_property
    def useless(self) -> Counter[str]:
        """The number of files of no use by their outermost name, counted once: a student may have made very many folders."""
        counts: Counter[str] = Counter()
        for path, count in self.others.items():
            counts[path[0]] += count
        return counts

    def below(self, folder: tuple[str, ...]) -> Listing:
        """What lies below a folder, seen from there; what lies beside it is kept as it is."""
        size = len(folder)

        def cut(path: tuple[str, ...]) -> tuple[str, ...]:
            return path[size:] if path[:size] == folder else path

        files = [replace(file, path=cut(file.path)) for file in self.files]
        others: Counter[tuple[str, ...]] = Counter()
        for path, count in self.others.items():
            if path != folder[: len(path)]:
                others[cut(path)] += count
        return Listing([file for file in files if file.path and file.path != ("",)], others)


def list_source(source: Path, reader: Reader) -> Listing:
    """List a folder, a class's archive, or a single file.

    Raises:
        ReadingError: the archive cannot be read at all.
    """
    if source.is_dir():
        return _list_folder(source)
    if is_archive(source.name):
        found = reader.open_class(source)
        modified = source.stat().st_mtime
        files = [
            File(tuple(path.split("/")), number, problem, modified, time)
            for number, path, problem, time in found["files"]
        ]
        return Listing(
            files, Counter({tuple(path.split("/")): count for path, count in found["others"].items() if path})
        )
    useful = source.name.lower().endswith(USEFUL)
    modified = source.stat().st_mtime
    return Listing([File((label(source.name),), str(source), "" if useful else USELESS, modified, utc(modified))])


def _list_folder(source: Path) -> Listing:
    listing = Listing()
    waiting: list[tuple[str, tuple[str, ...]]] = [(str(source), ())]
    while waiting:
        place, path = waiting.pop()
        try:
            with os.scandir(place) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            listing.files.append(File((*path, ""), None, f"the folder cannot be read ({describe(error)})"))
            continue
        for name, entry in _labelled(entries):
            if is_hidden(name):
                continue
            where = (*path, name)
            if entry.is_dir(follow_symlinks=False):
                listing.others[where] += 0
                waiting.append((entry.path, where))
            else:
                file = _file(entry, where)
                listing.others[path] += file.problem == USELESS
                if file.problem != USELESS or is_told(where, listing.others[path]):
                    listing.files.append(file)
    return listing


def _file(entry: os.DirEntry[str], path: tuple[str, ...]) -> File:
    try:
        modified = entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        modified = 0.0
    if entry.is_symlink():
        return File(path, None, "a link to another place; links are not followed", modified)
    if not entry.is_file(follow_symlinks=False):
        return File(path, None, "a device or a pipe; only files are read", modified)
    problem = "" if entry.name.lower().endswith(USEFUL) else USELESS
    return File(path, entry.path, problem, modified, utc(modified))


def _labelled(entries: list[os.DirEntry[str]]) -> Iterable[tuple[str, os.DirEntry[str]]]:
    """The entries with names that can be read; two that read alike stay two."""
    seen: Counter[str] = Counter()
    for entry in entries:
        name = label(entry.name)
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), entry
