"""Read archives of submissions without ever writing one of their files to disk.

Names inside an archive are labels only: nothing is extracted, so a path that leads out of the archive, a link or a device
file cannot reach anything. Sizes are checked while reading, whatever the archive's own table says.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .notebook import LARGEST

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
MOST_ENTRIES = 20_000
MOST_BYTES = 4 << 30  # of one archive, unpacked
MOST_STUDENT_BYTES = 256 << 20  # of an archive inside the archive
DEEPEST = 2  # archives within archives
USEFUL = (".ipynb", ".yml", ".yaml", *ARCHIVES)


@dataclass(frozen=True)
class Entry:
    """A file of a submission: its path as a label, its bytes, and when it was written, if known; or why it is unreadable."""

    path: PurePosixPath
    data: bytes
    modified: float = 0.0
    problem: str = ""


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive this module reads."""
    return name.lower().endswith(ARCHIVES)


def safe_path(name: str) -> PurePosixPath:
    """An entry's name as a relative path: no root, no drive, no `..`, no control characters."""
    text = "".join(c if c.isprintable() else "_" for c in name.replace("\\", "/"))
    parts = [part for part in text.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    return PurePosixPath(*[part[:200] for part in parts[-8:]]) if parts else PurePosixPath("unnamed")


def walk(source: Path) -> Iterator[Entry]:
    """Yield the notebooks, and what tells whose they are, of a file, a folder or an archive.

    Links are not followed. Of other files only the name is told when a student handed in nothing else.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            label = PurePosixPath(*path.relative_to(source).parts)
            if any(part.startswith(".") or part in ("__MACOSX", "__pycache__") for part in label.parts):
                continue
            if path.is_symlink():
                yield Entry(label, b"", problem="a link to another place; links are not followed")
            elif path.is_file():
                yield from _file(path, label)
    else:
        yield from _file(source, PurePosixPath(source.name))


def _file(path: Path, label: PurePosixPath) -> Iterator[Entry]:
    modified = path.stat().st_mtime
    name = path.name.lower()
    if not name.endswith(USEFUL):
        yield Entry(label, b"", modified, problem="no notebook")
    elif is_archive(name):
        with path.open("rb") as file:
            yield from _archive(file, label, modified, 1)
    elif path.stat().st_size > LARGEST:
        yield Entry(label, b"", modified, problem=_too_large(path.stat().st_size))
    else:
        yield Entry(label, path.read_bytes(), modified)


def _too_large(size: int) -> str:
    return f"the file has {size >> 20} MB; {LARGEST >> 20} MB are allowed (clear the outputs)"


def _archive(file: io.IOBase, label: PurePosixPath, modified: float, depth: int) -> Iterator[Entry]:
    budget = [MOST_BYTES if depth == 1 else MOST_STUDENT_BYTES]
    base = label.with_name(label.name[: -len(next(a for a in ARCHIVES if label.name.lower().endswith(a)))])
    try:
        members = _zip(file, budget) if label.name.lower().endswith(".zip") else _tar(file, budget)
        for count, (name, data, written, problem) in enumerate(members):
            if count >= MOST_ENTRIES:
                yield Entry(base, b"", modified, problem=f"an archive of more than {MOST_ENTRIES} files")
                return
            path = base / safe_path(name)
            if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
                continue
            if problem or not is_archive(name):
                yield Entry(path, data, written or modified, problem)
            elif depth >= DEEPEST:
                yield Entry(path, b"", modified, problem="an archive in an archive in an archive")
            else:
                yield from _archive(io.BytesIO(data), path, written or modified, depth + 1)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        yield Entry(base, b"", modified, problem=f"the archive is damaged ({type(error).__name__}: {error})"[:200])


Member = tuple[str, bytes, float, str]


def _zip(file: io.IOBase, budget: list[int]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                yield info.filename, b"", 0.0, "a link; links are not followed"
            elif not info.filename.lower().endswith(USEFUL):
                yield info.filename, b"", 0.0, "no notebook"
            elif info.flag_bits & 1:
                yield info.filename, b"", 0.0, "encrypted"
            else:
                with archive.open(info) as member:
                    yield info.filename, *_bounded(member, budget, is_archive(info.filename))


def _tar(file: io.IOBase, budget: list[int]) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for info in archive:
            if info.isdir():
                continue
            if not info.isfile():
                yield info.name, b"", 0.0, "a link or a device; only files are read"
            elif not info.name.lower().endswith(USEFUL):
                yield info.name, b"", 0.0, "no notebook"
            else:
                member = archive.extractfile(info)
                assert member is not None
                yield info.name, *_bounded(member, budget, is_archive(info.name))


def _bounded(member: object, budget: list[int], archive: bool) -> tuple[bytes, float, str]:
    """Read a member up to what is allowed, whatever size it claims (a zip bomb stops here)."""
    most = min(MOST_STUDENT_BYTES if archive else LARGEST, budget[0])
    data = member.read(most + 1)  # type: ignore[attr-defined]
    budget[0] -= len(data)
    if len(data) > most:
        if budget[0] <= 0:
            raise ValueError("the archive unpacks to far more than a class can hand in")
        return b"", 0.0, _too_large(len(data)).replace("has", "unpacks to more than")
    return data, 0.0, ""
