"""Notebook files in every state that students' files are in: read where that is plain, else one sentence, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.notebook import carry, submission
from helpers.notebook.notebook_file import UnreadableError, read_notebook

CELL = {"cell_type": "code", "source": ["def wanted(x):\n", "    return 'é'"]}
GOOD = json.dumps({"cells": [CELL]}, ensure_ascii=False)
BROKEN = {
    "empty": (b"", "the file is empty"),
    "blank": (b" \n\n", "the file is empty"),
    "zeros": (b"\x00" * 4096, "the file is empty"),
    "cut off": (GOOD[:60].encode(), "the file is cut off in line 1"),
    "cut off in a character": (GOOD.encode()[: GOOD.encode().index("é".encode()) + 1], "cut off"),
    "cut off after a value": (b'{"cells": [{"cell_type": "code"', "the file is cut off"),
    "conflict": (
        b'{\n<<<<<<< HEAD\n "cells": []\n=======\n "cells": []\n>>>>>>> theirs\n}',
        "git left its conflict marks in it .line 2: <<<<<<<",
    ),
    "Latin-1": (GOOD.encode("latin-1"), "its text is not UTF-8"),
    "a list": (b"[]", "its JSON holds a list"),
    "a text": (b'"cells"', "its JSON holds a str"),
    "no cells": (b"{}", "it has no list of cells"),
    "cells that are none": (b'{"cells": {"a": 1}}', "it has no list of cells"),
    "an old format": (b'{"worksheets": []}', "before 2015"),
    "a damaged cell": (b'{"cells": [null]}', "its cell 1 is damaged"),
    "a damaged source": (b'{"cells": [{"source": [1]}]}', "its cell 1 is damaged"),
    "a web page": (b"<!DOCTYPE html><html>", "this is no notebook: it is a web page"),
    "Python": (b"def wanted(x):\n    return 1", "its JSON is damaged in line 1"),
    "too deep": (b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too deep"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\x00", "its text is not UTF-8"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_what_is_plain_is_read(tmp_path, monkeypatch, encoding):
    """A byte order mark or none, two bytes a character or one: editors on Windows save all of them."""
    monkeypatch.chdir(tmp_path)
    Path("02_reinforce.ipynb").write_bytes(GOOD.encode(encoding))
    assert carry.load_functions("02_reinforce", ["wanted"], tests=False).wanted(1) == "é"


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_read_is_said_when_functions_are_carried_and_when_it_is_handed_in(tmp_path, monkeypatch, kind):
    data, message = BROKEN[kind]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    path = Path("02_reinforce.ipynb")
    path.write_bytes(data)
    with pytest.raises(carry.MissingFunctionError, match=message) as caught:
        carry.load_functions("02_reinforce", ["wanted"])
    assert "paste your functions" in str(caught.value)
    for given in (None, path):
        with pytest.raises(submission.SubmissionError, match=message):
            submission.submit(2, given)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [tmp_path / path]


def test_a_folder_of_that_name_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    Path("02_reinforce.ipynb").mkdir()
    with pytest.raises(carry.MissingFunctionError, match="this is a folder"):
        carry.load_functions("02_reinforce", ["wanted"])
    for given in (None, "02_reinforce.ipynb"):
        with pytest.raises(submission.SubmissionError, match="this is a folder"):
            submission.submit(2, given)


def test_a_file_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    Path("02_reinforce.ipynb").write_text(GOOD, encoding="utf-8")
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.parent == tmp_path or not path.is_absolute():
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(carry.MissingFunctionError, match=r"may not be read \(Permission denied\)"):
        carry.load_functions("02_reinforce", ["wanted"])
    with pytest.raises(submission.SubmissionError, match="may not be read"):
        submission.submit(2)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UnreadableError, match="no such file"):
        read_notebook(tmp_path / "x.ipynb")


def test_cells_have_one_form(tmp_path):
    path = tmp_path / "x.ipynb"
    cells = [
        {"cell_type": "code", "source": ["a\n", "b"], "metadata": None},
        {"cell_type": "raw", "metadata": {"tags": 1}},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": []}))
    read = read_notebook(path)
    assert [cell["source"] for cell in read["cells"]] == ["a\nb", ""]
    assert [cell["metadata"] for cell in read["cells"]] == [{}, {"tags": []}]
    assert read["metadata"] == {}
