"""The file that a student hands in: what it holds, what is said of it, where it is written, and its download in Colab."""

from __future__ import annotations

import html
import io
import json
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.parts import PARTS

from .host import host
from .places import CONTENT, KAGGLE, Copy


class SubmissionError(RuntimeError):
    """Nothing was written; the message says why and what to do."""


@dataclass
class Submission:
    """What `submit` made and found."""

    path: Path
    questions: dict[str, list[tuple[str, str]]]  # by question: (its title, message), the message empty where it passed
    errors: list[str]
    unanswered: list[str]
    warnings: list[str]
    hidden: int
    note: str = field(default="")

    @property
    def passed(self) -> bool:
        """True if every public test passed."""
        return not self.note and all(not message for tests in self.questions.values() for _, message in tests)

    @property
    def summary(self) -> str:
        """One sentence on the tests."""
        later = f"{self.hidden} hidden ones run at grading" if self.hidden else "there are no hidden ones"
        if self.note:
            return f"The public tests could not be run: {self.note}"
        if self.passed:
            return f"All *public* tests passed; {later}."
        good = sum(not message for tests in self.questions.values() for _, message in tests)
        return f"{good} of {sum(map(len, self.questions.values()))} *public* tests passed; {later}."

    def lines(self) -> list[str]:
        """What there is to say, line by line."""
        lines = [self.summary]
        for question, tests in self.questions.items():
            good = sum(not message for _, message in tests)
            lines.append(f"  {'✓' if good == len(tests) else '✗'} {question}: {good} of {len(tests)} public tests")
            lines += [f"      {name}: {message.splitlines()[0]}" for name, message in tests if message]
        lines += [f"  ! {error}" for error in self.errors]
        lines += [f"  ! {name}: no answer written yet" for name in self.unanswered]
        lines += [f"  ! {warning}" for warning in self.warnings]
        size = self.path.stat().st_size / 2**20
        lines.append(f"Hand in this file: {self.path} ({size:.2f} MiB)")
        return lines

    def __repr__(self) -> str:
        """The plain-text form."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """The form that notebooks show."""
        colour = "#16805c" if self.passed else "#c24a00"
        text = html.escape("\n".join(self.lines())).replace("*public*", "<i>public</i>")
        return f"<pre style='border-left:4px solid {colour};padding:.3em .8em;white-space:pre-wrap'>{text}</pre>"


def session_root() -> list[Path]:
    """Where the host shows a file to download: the session's root on Kaggle and in Colab."""
    roots = {"colab": [CONTENT], "kaggle": [KAGGLE / "working"], "": []}[host()]
    return [folder for folder in roots if folder.is_dir()]


def write_submission(
    places: Sequence[Path], content: dict[str, Any], found: Submission, part: int, earlier: dict[int, Copy]
) -> Path:
    """Write the zip: the notebook, what the public tests gave, and the notebooks of earlier parts in a folder.

    It goes to the first of the folders that can be written to; a file of before is replaced only by a whole one.

    Raises:
        SubmissionError: none of the folders can be written to.
    """
    summary = {
        "part": part,
        "notebook": f"{PARTS[part]}.ipynb",
        "public_tests": {name: [not message for _, message in tests] for name, tests in found.questions.items()},
        "note": found.note,
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": sys.version.split()[0],
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{PARTS[part]}.ipynb", json.dumps(content, indent=1))  # ASCII: half an emoji is no UTF-8
        archive.writestr("submission.json", json.dumps(summary, indent=1))
        for number, copy in earlier.items():
            archive.writestr(f"earlier/{PARTS[number]}.ipynb", json.dumps(copy.content, indent=1))
    problems = []
    for folder in places:
        path = folder / f"{PARTS[part]}-submission.zip"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part")
            half.write_bytes(packed.getvalue())
            half.replace(path)
            return path
        except OSError as error:
            problems.append(f"{folder} ({error.strerror or type(error).__name__})")
    raise SubmissionError(
        f"The file to hand in could not be written to {', '.join(problems)}. Is the disk full, or the folder read-only? "
        f"Choose another folder: submit({part}, folder='…')."
    )


def download(path: Path) -> None:
    """Offer the file in Colab; where the browser refuses, it stands in the list of files on the left."""
    try:
        from google.colab import files

        files.download(str(path))
    except Exception as error:  # Colab's own module: the file is there whatever it raises
        print(f"The download did not start ({type(error).__name__}). The file is in the list on the left: {path}")
