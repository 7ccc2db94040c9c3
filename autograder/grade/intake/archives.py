"""Read archives of submissions without ever writing one of their files to disk. Runs in the reader, never in the grader.

Names inside an archive are labels only: nothing is extracted, so a path that leads out of the archive, a link or a device
file cannot reach anything. Sizes are checked while reading, whatever the archive's own table says.
"""

from __future__ import annotations

import functools
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from autograder.grade.text import label

LARGEST = 50 << 20  # bytes of a notebook
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
USEFUL = (".ipynb", *ARCHIVES)
USELESS = "no notebook"
METADATA = "submission_metadata.yml"  # Gradescope's list of who made which submission
MOST_TOLD = 2_000  # files of no use in a folder that may be a class's whose names are kept
MOST_ENTRIES = 20_000  # of one student
MOST_BYTES = 256 << 20  # of one student, unpacked
MOST_CLASS_ENTRIES = 1_000_000  # of a whole class's archive
DEEPEST = 2  # archives within archives
LONGEST_NAME = 64 << 10  # bytes of a name in a tar, which is read before anything else is known
CENTRAL_ENTRY = 300  # bytes that an entry of a zip's table may take on average


class OverBudgetError(ValueError):
    """One student handed in more than is read of one; the message says what."""


@dataclass
class Budget:
    """What may still be read of one student: files and unpacked bytes."""

    entries: int = MOST_ENTRIES
    bytes: int = MOST_BYTES

    def count(self, entries: int = 1) -> None:
        """Take files off.

        Raises:
            OverBudgetError: nothing is left.
        """
        self.entries -= entries
        if self.entries < 0:
            raise OverBudgetError(f"more than {MOST_ENTRIES:,} files were handed in")


@dataclass(frozen=True)
class Entry:
    """A file in an archive: its path as a label, its bytes; or why it is unreadable."""

    path: str
    data: bytes = b""
    problem: str = ""


@dataclass(frozen=True)
class Member:
    """A file of an open archive, not read yet; `problem` says why it never will be, `time` when it was last written."""

    path: str
    problem: str
    open: Callable[[], Any]
    time: str = ""


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive this module reads."""
    return name.lower().endswith(ARCHIVES)


def stem(name: str) -> str:
    """An archive's name without its ending."""
    return next((name[: -len(ending)] for ending in ARCHIVES if name.lower().endswith(ending)), name)


def safe_path(name: str) -> str:
    """An entry's name as a relative path: no root, no drive, no `..`, nothing unprintable. The first folder stays the first."""
    parts = label(name.replace("\\", "/")).split("/")
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":
        parts = parts[1:]
    kept = [part[:200] for part in parts if part.strip() not in ("", ".", "..")]
    return "/".join([*kept[:15], *kept[15:][-1:]]) or "unnamed"


def is_hidden(path: str) -> bool:
    """Whether a file is no student's work but a system's, by any part of its path."""
    return any(part.startswith(".") or part in ("__MACOSX", "__pycache__") for part in path.split("/"))


def is_told(path: Sequence[str], count: int) -> bool:
    """Whether the name of a folder's `count`-th file of no use is kept; of most folders one is enough."""
    return count <= (MOST_TOLD if len(path) <= 4 else 1) or path[-1] == METADATA


def describe(error: BaseException) -> str:
    """What went wrong, in few words."""
    if isinstance(error, MemoryError):
        return "it needs more memory than is given to one student's file"
    return label(f"{type(error).__name__}: {error}")[:200]


def utc(seconds: float) -> str:
    """A time stamp of a file as text; empty where it is none."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S Z")
    except (ValueError, OverflowError, OSError):
        return ""


def members(file: Any, name: str, most: int) -> Iterator[Member]:
    """All files of an open archive, and folders too if they are empty of anything useful (as a path that ends in `/`).

    Raises:
        OverBudgetError: its table names more than `most` files.
        Exception: it is damaged, in one of many ways.
    """
    return _zip(file, most) if name.lower().endswith(".zip") else _tar(file, most)


def read(file: Any, name: str, budget: Budget, depth: int = 1) -> Iterator[Entry]:
    """Yield the notebooks of a student's archive, and the names of its other files. A damaged archive is an entry as well.

    Raises:
        OverBudgetError: it holds more than is read of one student.
    """
    try:
        for member in members(file, name, budget.entries):
            budget.count()
            if is_hidden(member.path) or member.path.endswith("/"):
                continue
            if member.problem:
                yield Entry(member.path, problem=member.problem)
            elif not is_archive(member.path):
                yield load(member, budget)
            elif depth >= DEEPEST:
                yield Entry(member.path, problem="an archive in an archive in an archive")
            else:
                inner = load(member, budget)
                if inner.problem:
                    yield inner
                else:
                    for entry in read(io.BytesIO(inner.data), member.path, budget, depth + 1):
                        yield Entry(f"{member.path}/{entry.path}", entry.data, entry.problem)
    except OverBudgetError:
        raise
    except Exception as error:  # the libraries raise many kinds for what is damaged
        yield Entry(stem(name), problem=f"the archive is damaged ({describe(error)})")


def load(member: Member, budget: Budget) -> Entry:
    """Read one file up to what is allowed, whatever size it claims (a zip bomb stops here).

    Raises:
        OverBudgetError: the student's bytes are used up.
    """
    largest = MOST_BYTES if is_archive(member.path) else LARGEST
    try:
        with member.open() as file:
            data = file.read(min(largest, budget.bytes) + 1)
    except Exception as error:
        return Entry(member.path, problem=f"it cannot be read: damaged or closed ({describe(error)})")
    budget.bytes -= len(data)
    if budget.bytes < 0:
        raise OverBudgetError(f"what was handed in unpacks to more than {MOST_BYTES >> 20} MB")
    if len(data) > largest:
        return Entry(member.path, problem=f"the file unpacks to more than {largest >> 20} MB (clear the outputs)")
    return Entry(member.path, data)


def _zip(file: Any, most: int) -> Iterator[Member]:
    record = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # what ZipFile itself goes by, before it reads the table
    if record and record[zipfile._ECD_SIZE] > most * CENTRAL_ENTRY + 65_536:  # type: ignore[attr-defined]
        raise OverBudgetError(f"the archive's table names more than {most:,} files")
    file.seek(0)
    archive = zipfile.ZipFile(file)
    if len(archive.infolist()) > most:
        raise OverBudgetError(f"the archive holds more than {most:,} files")
    for info in archive.infolist():
        problem = ""
        if stat.S_ISLNK(info.external_attr >> 16):
            problem = "a link; links are not followed"
        elif not info.filename.lower().endswith(USEFUL):
            problem = USELESS
        elif info.flag_bits & 1:
            problem = "encrypted"
        end = "/" if info.is_dir() else ""
        time = "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*info.date_time)
        yield Member(safe_path(_zip_name(info)) + end, problem, functools.partial(archive.open, info), time)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: programs that do not say so write UTF-8 too, and zipfile reads it as DOS's code page."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


class _Header(tarfile.TarInfo):
    """A header that refuses names longer than any file system allows, before they are read."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        names = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if self.type in names and not 0 <= self.size <= LONGEST_NAME:
            raise tarfile.ReadError(f"a name of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar(file: Any, most: int) -> Iterator[Member]:
    archive = tarfile.open(fileobj=file, mode="r:*", tarinfo=_Header)  # noqa: SIM115 (members are read later)
    for count, info in enumerate(archive):
        if count >= most:
            raise OverBudgetError(f"the archive holds more than {most:,} files")
        problem = ""
        if not (info.isfile() or info.isdir()):
            problem = "a link or a device; only files are read"
        elif not info.name.lower().endswith(USEFUL):
            problem = USELESS
        end = "/" if info.isdir() else ""
        time = utc(info.mtime)
        yield Member(safe_path(info.name) + end, problem, functools.partial(archive.extractfile, info), time)
