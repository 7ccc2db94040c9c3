"""Broken submissions of many kinds: what is handed in, and a piece of the message it must get."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

from tests.grade.samples import WRONG, master_cells, notebook, stubbed

FUNCTION = next(c["source"] for c in master_cells(2) if "def token_log_probs" in c["source"])
UNTELLABLE = """class Odd(Exception):
    def __str__(self):
        raise RuntimeError

def fail():
    raise Odd
"""
GOOD = f"import torch\nimport torch.nn.functional as F\n{FUNCTION}"


@dataclass(frozen=True)
class Broken:
    """One broken submission.

    Attributes:
        name: for the test.
        file: the name it is handed in under, below the student's folder.
        make: its bytes.
        told: a piece of what the student is told, in any case.
        points: what question q2_1 must get, where something survives.
    """

    name: str
    file: str
    make: Callable[[], bytes]
    told: str
    points: float = 0.0


def function(body: str) -> Callable[[], bytes]:
    """A notebook whose graded function has this body."""
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    return lambda: notebook(f"import torch\ndef token_log_probs(logits, ids):\n{lines}\n")


def cells(*sources: str) -> Callable[[], bytes]:
    """A notebook with these cells."""
    return lambda: notebook(*sources)


def zipped(*files: tuple[str, bytes], link: str = "") -> bytes:
    """A zip of these files, and perhaps a link in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
        if link:
            info = zipfile.ZipInfo("02_reinforce.ipynb")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, link)
    return buffer.getvalue()


def old_format() -> bytes:
    """A notebook as IPython 2 wrote it."""
    cell = {"cell_type": "code", "language": "python", "metadata": {}, "outputs": [], "input": GOOD, "collapsed": False}
    worksheet = {"cells": [cell], "metadata": {}}
    return json.dumps(
        {"worksheets": [worksheet], "metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0}
    ).encode()


LOOP = "while True: pass"
KINDS = [
    Broken("an error that cannot be told", "a.ipynb", cells(GOOD, UNTELLABLE, "compute_reinforce_loss = fail()"), "Odd", 4.0),
    Broken("an error in the function", "a.ipynb", function("return 1 / 0"), "ZeroDivisionError"),
    Broken("an error in a needed cell", "a.ipynb", cells("K = 1 / 0", "def token_log_probs(logits, ids): return K"), "NameError"),
    Broken("an error in another cell", "a.ipynb", cells("1 / 0", "raise SystemExit", GOOD), "", 4.0),
    Broken("a syntax error", "a.ipynb", cells("def token_log_probs(logits, ids)\n    return 1"), "SyntaxError"),
    Broken("a syntax error elsewhere", "a.ipynb", cells("def other(:", GOOD), "SyntaxError", 4.0),
    Broken("an endless loop in the function", "a.ipynb", function(LOOP), "come back"),
    Broken("an endless loop that catches everything", "a.ipynb", function(f"while True:\n    try:\n        {LOOP}\n    except BaseException: pass"), "come back"),
    Broken("an endless loop in a cell", "a.ipynb", cells(LOOP, "print(input('name?'))\n" + GOOD), "", 4.0),
    Broken("an endless loop in a needed cell", "a.ipynb", cells(f"def forever():\n    {LOOP}\nK = forever()", "def token_log_probs(a, b): return K"), "stopped after"),
    Broken("an endless loop in C", "a.ipynb", function("sum(iter(int, 1))"), "come back"),
    Broken("endless sleep", "a.ipynb", function("import time\ntime.sleep(1e6)"), "come back"),
    Broken("sys.exit", "a.ipynb", function("import sys\nsys.exit(0)"), "SystemExit"),
    Broken("os._exit", "a.ipynb", function("import os\nos._exit(0)"), "ended the whole process"),
    Broken("os._exit in a needed cell", "a.ipynb", cells("import os\nK = os._exit(3)", "def token_log_probs(a, b): return K"), "ended the whole process"),
    Broken("a segmentation fault", "a.ipynb", function("import ctypes\nctypes.string_at(0)"), "segmentation fault"),
    Broken("an abort", "a.ipynb", function("import os\nos.abort()"), "process"),
    Broken("a gigabyte of output", "a.ipynb", function("import sys\nfor _ in range(1000): print('x' * 1_000_000)\nreturn 1"), ""),
    Broken("a gigabyte of output past Python", "a.ipynb", function("import os\nfor _ in range(1000): os.write(1, b'x' * 1_000_000)\nreturn 1"), ""),
    Broken("deep recursion", "a.ipynb", function("return token_log_probs(logits, ids)"), "RecursionError"),
    Broken("deep recursion in C", "a.ipynb", function("import sys\nsys.setrecursionlimit(10**9)\nreturn token_log_probs(logits, ids)"), ""),
    Broken("too much memory", "a.ipynb", function("return torch.ones(2_000_000_000, dtype=torch.float64)"), "RuntimeError"),
    Broken("no graded function left", "a.ipynb", cells("x = 1\n# grader.check('q2_1')\ngrader.check('q2_1')"), "not defined"),
    Broken("a function that is none", "a.ipynb", cells("token_log_probs = 3"), "no function"),
    Broken("duplicate cells, the last one counts", "a.ipynb", cells(WRONG, GOOD, GOOD), "", 4.0),
    Broken("duplicate cells, the last one wrong", "a.ipynb", cells(GOOD, WRONG), "token_log_probs"),
    Broken("magics and shell lines", "a.ipynb", cells("%%time\n%matplotlib inline\n!pip install torch\nx = !ls\ntorch?\n" + GOOD, "%%bash\nrm -rf /"), "", 4.0),
    Broken("magics over several lines", "a.ipynb", cells("!pip install -q \\\n  torch\n%config A.b = \\\n  1\n%time K = 1\n" + GOOD), "", 4.0),
    Broken("an empty file", "a.ipynb", lambda: b"", "empty"),
    Broken("cut off", "a.ipynb", lambda: notebook(GOOD)[:-40], "cut off"),
    Broken("JSON, but no notebook", "a.ipynb", lambda: b'{"a": [1, 2]}', "no list of cells"),
    Broken("a list", "a.ipynb", lambda: b"[]", "no notebook"),
    Broken("no code", "a.ipynb", lambda: notebook(), "no code cell"),
    Broken("cells of nonsense", "a.ipynb", lambda: b'{"cells": [1, null, {"cell_type": "code", "source": 5}], "nbformat": 4}', "none of this course"),
    Broken("an old format", "a.ipynb", old_format, "", 4.0),
    Broken("a format from the future", "a.ipynb", lambda: notebook(GOOD, nbformat=9), "", 4.0),
    Broken("another course's notebook", "a.ipynb", lambda: notebook("def fizz_buzz(n): ..."), "none of this course"),
    Broken("binary junk", "a.ipynb", lambda: bytes(range(256)) * 50, "binary"),
    Broken("a PDF", "a.ipynb", lambda: b"%PDF-1.7\xff\xfe junk", "binary"),
    Broken("nested too deep", "a.ipynb", lambda: b"[" * 200_000, "nested too deep"),
    Broken("code nested too deep", "a.ipynb", cells("x = " + "(" * 5000 + ")" * 5000, GOOD), "", 4.0),
    Broken("a sum of 50,000 terms", "a.ipynb", cells("x = " + "+".join(["1"] * 50_000), GOOD), "", 4.0),
    Broken("UTF-16", "a.ipynb", lambda: notebook(GOOD).decode().encode("utf-16"), "", 4.0),
    Broken("UTF-8 with a mark", "a.ipynb", lambda: b"\xef\xbb\xbf" + notebook(GOOD), "", 4.0),
    Broken("Latin-1", "a.ipynb", lambda: notebook("# caf\xe9\n" + GOOD).replace(b"\\u00e9", b"\xe9"), "", 4.0),
    Broken("Windows line ends", "a.ipynb", cells(GOOD.replace("\n", "\r\n")), "", 4.0),
    Broken("an odd file name", "Übung (1) – final_FINAL!! 日本.IPYNB", cells(GOOD), "", 4.0),
    Broken("no notebook at all", "essay.docx", lambda: b"PK\x03\x04", "no notebook was handed in"),
    Broken("a damaged zip", "a.zip", lambda: zipped(("02.ipynb", notebook(GOOD)))[:-30], "damaged"),
    Broken("a zip bomb", "a.zip", lambda: zipped(("02.ipynb", b"0" * (80 << 20))), "more than"),
    Broken("a path out of the zip", "a.zip", lambda: zipped(("../../../../evil/02_reinforce.ipynb", notebook(GOOD))), "", 4.0),
    Broken("a link in the zip", "a.zip", lambda: zipped(link="/etc/passwd"), "link"),
    Broken("a zip in a zip in a zip", "a.zip", lambda: zipped(("b.zip", zipped(("c.zip", zipped(("02.ipynb", notebook(GOOD))))))), "archive in an archive"),
    Broken("all stubs", "a.ipynb", cells(*[stubbed(c["source"], {"token_log_probs"}) for c in master_cells(2)[:12]], "def token_log_probs(a, b): ..."), "not written yet"),
]  # fmt: skip
