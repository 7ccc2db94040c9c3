"""What this machine cannot run of the tests, said loudly before they start: `python -m tests.machine`.

With CI=true anything that is missing is an error: continuous integration lets nothing be skipped.
"""

from __future__ import annotations

import os
import shutil
import sys

from autograder.rehearse.doctor import OK, find_chromium, look_at_bubblewrap


def missing() -> list[str]:
    """The tools that tests need and this machine lacks, each with what is not tested without it."""
    lacking = []
    if find_chromium() is None:
        lacking.append("no Chromium: notebooks and the grader's pages are not tried in a browser, and no PDF is made")
    if look_at_bubblewrap().state != OK:
        lacking.append("no working bubblewrap: the sandbox of the grader is not tested, nor the attacks on it")
    if shutil.which("pdftotext") is None:
        lacking.append("no pdftotext (poppler-utils): the PDF files are not read back")
    if sys.version_info < (3, 11):
        lacking.append("Python 3.10: the web site's generator needs 3.11, so the site is not built")
    if shutil.which("git") is None:
        lacking.append("no git: the set-up in Colab is not tried")
    return lacking


def main() -> int:
    """Print what is missing; returns the exit code."""
    lacking = missing()
    if not lacking:
        print("This machine can run every test.")
        return 0
    line = "!" * 100
    print(
        line,
        "NOT TESTED ON THIS MACHINE:",
        *(f"  - {text}" for text in lacking),
        "`course doctor` says what to install.",
        line,
        sep="\n",
    )
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
