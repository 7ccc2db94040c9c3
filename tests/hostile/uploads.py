"""What students hand in to harm others or to be somebody else: files for the tests of taking in."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from autograder.cli import app
from autograder.grade.intake import collect as intake
from autograder.grade.intake.roster import Person
from tests.grade.samples import notebook

TWO = notebook("def token_log_probs(logits, ids): ...")
METADATA = "submission_metadata.yml"
OTHER = notebook("def token_log_probs(logits, ids): return 1")
ANN_AND_ZOE = {("ann", 2), ("zoe", 2)}


def found(source: Path, *people: Person) -> dict[tuple[str, int], intake.HandIn]:
    """The submissions by student and part."""
    return {s.key: s for s in intake.collect(source, {p.student: p for p in people})}


def readable(source: Path, *people: Person) -> set[tuple[str, int]]:
    """Whose notebooks of which part could be read."""
    return {key for key, s in found(source, *people).items() if s.notebook}


def grade(*arguments: object) -> Any:
    """Run `course grade` here."""
    return CliRunner().invoke(app, ["grade", "--workers", "0", *map(str, arguments)])


def put(path: Path, data: bytes = TWO) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def zipped(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def flipped(data: bytes, at: int, count: int = 40) -> bytes:
    """The bytes with some of them inverted: an upload that was damaged on the way."""
    return data[:at] + bytes(255 - byte for byte in data[at : at + count]) + data[at + count :]


def with_long_name(size: int, pax: bool = False) -> bytes:
    """A tar of little whose one name is long."""
    raw = io.BytesIO()
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = (tarfile.XHDTYPE if pax else tarfile.GNUTYPE_LONGNAME), size
    raw.write(info.tobuf(tarfile.GNU_FORMAT) + b"a" * size + b"\0" * (-size % 512))
    import gzip

    return gzip.compress(raw.getvalue(), 1)


def many_entries(count: int, declared: int | None = None) -> bytes:
    """A zip whose table names very many folders, and that may say that there are fewer."""
    name = b"d/"
    entry = (
        struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
    )
    table = entry * count
    said = min(declared or count, 65535)
    return table + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, said, said, len(table), 0, 0)


def lzma_bomb() -> bytes:
    """A zip whose member asks for a dictionary of 4 GB."""
    data = zipped([("02.ipynb", TWO)], zipfile.ZIP_LZMA)
    at = data.index(b"02.ipynb") + len(b"02.ipynb") + 4  # version and size of the properties, then the properties
    return data[: at + 1] + b"\xff\xff\xff\xff" + data[at + 5 :]


def aliases(depth: int) -> bytes:
    """YAML in which every line names the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    return ("\n".join(lines) + f"\nsubmission_1: {{':submitters': [{{':sid': *a{depth - 1}}}]}}\n").encode()


DAMAGED = {
    "flipped deflate": lambda: flipped(zipped([("02.ipynb", TWO * 50)]), 60),
    "flipped lzma": lambda: flipped(zipped([("02.ipynb", TWO * 50)], zipfile.ZIP_LZMA), 60),
    "flipped bzip2": lambda: flipped(zipped([("02.ipynb", TWO * 50)], zipfile.ZIP_BZIP2), 60),
    "flipped table": lambda: flipped(zipped([("02.ipynb", TWO)]), -60, 20),
    "cut off": lambda: zipped([("02.ipynb", TWO)])[:-30],
    "no zip at all": lambda: b"PK\x03\x04 nonsense",
    "empty": lambda: b"",
    "a lying table": lambda: many_entries(2_000_000, declared=1),
    "a long table": lambda: many_entries(400_000),
    "a long table inside": lambda: zipped([("inner.zip", many_entries(1_000_000))]),
    "a bomb": lambda: zipped([("02.ipynb", b"0" * (80 << 20))]),
    "a dictionary of 4 GB": lzma_bomb,
    "many empty lists": lambda: zipped([("02.ipynb", b'{"cells": [' + b"[]," * 12_000_000 + b"[]]}")]),
}
DAMAGED_TARS = {
    "a name of 300 MB": lambda: with_long_name(300 << 20),
    "a pax header of 100 MB": lambda: with_long_name(100 << 20, pax=True),
    "no tar": lambda: b"\x1f\x8b nonsense",
    "xz nonsense": lambda: lzma.compress(b"x" * 1000)[:50],
}
