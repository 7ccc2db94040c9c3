"""Rosters and marks as spreadsheets save them anywhere."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from autograder.grade.intake.roster import load_roster
from autograder.grade.results.store import Store
from autograder.grade.results.written import MarksFileError, merge
from autograder.grade.tables import TableError, read_table

ROWS = [["ID", "Name", "E-Mail"], ["jm1", "Müller, Jörg", "j@x"], ["007", 'Ann "A" Ångström', ""]]


def saved(separator: str, encoding: str, quoted: bool, end: str = "\r\n", start: str = "") -> bytes:
    """The table as some program would write it."""

    def field(text: str) -> str:
        must = quoted or separator in text or '"' in text
        return '"' + text.replace('"', '""') + '"' if must else text

    return (start + end.join(separator.join(map(field, row)) for row in ROWS) + end).encode(encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("quoted", [True, False])
def test_as_saved_anywhere(separator: str, encoding: str, quoted: bool, tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    for end in ("\r\n", "\n", "\r"):
        path.write_bytes(saved(separator, encoding, quoted, end))
        people = load_roster(path)
        assert {p.student: p.name for p in people.values()} == {row[0]: row[1] for row in ROWS[1:]}
    path.write_bytes(saved(separator, encoding, quoted, start=f"sep={separator}\r\n"))
    assert set(load_roster(path)) == {"jm1", "007"}
    path.write_bytes(codecs.BOM_UTF16_BE + saved(separator, "utf-16-be", quoted))
    assert set(load_roster(path)) == {"jm1", "007"}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"), (b"\r\n\r\n", "empty"), (b"PK\x03\x04xxx", "save it as CSV"), (b"\xd0\xcf\x11\xe0xxx", "save it as CSV"),
        (b"name;mail\r\na;b\r\n", "column `id`"), (b"id\n1\n1\n", "twice"), (b"id,name\n,x\n", "nobody"), (b"id,name\n", "empty"),
        ("id\nJo\u0308rg\nJörg\n".encode(), "twice"), (b'id,name\n"1,x\n', "nobody"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_what_to_do(data: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(data)
    if told == "nobody" and data.startswith(b'id,name\n"'):
        assert set(load_roster(path)) == {"1,x"}, "an open quotation mark is closed at the end"
        return
    with pytest.raises(TableError, match=told) as caught:
        load_roster(path)
    assert "roster.csv" in str(caught.value)


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be opened"):
        read_table(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_table(tmp_path / "none.csv")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Results with one student in Part 2."""
    made = Store(tmp_path / "results.db")
    made.connection.execute(
        "INSERT INTO submission (student, part, file, digest, name, email, notes, problem, code, written)"
        " VALUES ('ann', 2, '', '', '', '', '[]', '', '[]', '{}')"
    )
    return made


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_marks_as_saved_anywhere(separator: str, encoding: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "w2_1.csv"
    lines = [["Student", "Points", "Comment"], ["ann", '"1,5"' if separator == "," else "1,5", "schön"]]
    path.write_bytes("\r\n".join(separator.join(line) for line in lines).encode(encoding))
    assert merge(store, path) == 1
    assert store.marks() == {("ann", "w2_1"): (1.5, "schön")}


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "empty"), ("a;b\n1;2\n", "`points`"), ("student\tpoint\nann\t1\n", "`points`"), ("points\n1\n", "`answer`")],
)
def test_marks_that_are_none(text: str, told: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "w2_1.csv"
    path.write_text(text)
    with pytest.raises(MarksFileError, match=told) as caught:
        merge(store, path)
    assert "w2_1.csv" in str(caught.value)
