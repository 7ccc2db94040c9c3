"""Put the grader of record into the zip that otter made for Gradescope.

The zip then holds, beside what otter needs, the judge (`autograder`), the part's master and a `run_autograder` that calls
`autograder.grade.gradescope`. Helpers are not packed twice. Where the container allows no namespaces, otter runs as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autograder.chosen import SETTINGS
from autograder.stamps import files_below
from helpers.parts import PARTS, ROOT

HOME = "course"  # below /autograder/source
NEEDED = ("jupytext", "pyseccomp")  # what the judge imports and students' environment lacks
LEFT_OUT = ("publish", "rehearse", "cli.py")  # what a grader has no use for

RUN = """#!/bin/bash
# The grader of record; otter alone where this container allows no sandbox. A results.json is written in any case.
export PATH=/root/miniforge3/bin:$PATH
eval "$(mamba shell hook --shell bash)"
mamba activate otter-env
cd /autograder/source/course
rm -rf helpers && cp -r ../files/helpers helpers
python -m autograder.grade.gradescope --root /autograder -- python /autograder/source/run_otter.py
"""
SETUP = """
# the sandbox of the grader of record, and a home that the user without rights may read programs from, where there is none
apt-get install -y bubblewrap libseccomp2
chmod a+rx /root
"""


def judge_files() -> dict[str, bytes]:
    """The files of `autograder` that judging needs, by their path in the zip."""
    package = ROOT / "autograder"
    found = {}
    for path in files_below(package):
        relative = path.relative_to(package)
        if relative.parts[0] not in LEFT_OUT:
            found[f"{HOME}/autograder/{relative.as_posix()}"] = path.read_bytes()
    return found


def with_grader(entries: Mapping[str, bytes], master: Path, part: int, pins: Mapping[str, str]) -> dict[str, bytes]:
    """The zip's entries with the grader of record among them.

    Args:
        entries: what otter packed, by path.
        master: the master of the part that the zip is for; no other goes in.
        part: its number.
        pins: exact versions, such as `{"jupytext": "==1.19.1"}`.

    Raises:
        KeyError: a package that the judge needs has no exact version.
    """
    environment = entries["environment.yml"].decode().rstrip("\n")
    lines = [f"      - {name}{pins[name]}" for name in NEEDED if f"- {name}=" not in environment]
    return {
        **entries,
        **judge_files(),
        f"{HOME}/solutions/{PARTS[part]}.py": master.read_bytes(),
        f"{HOME}/{SETTINGS.name}": SETTINGS.read_bytes(),  # what an instructor lets questions be worth, and leaves out
        "environment.yml": ("\n".join([environment, *lines]) + "\n").encode(),
        "run_autograder": RUN.encode(),
        "setup.sh": entries["setup.sh"].rstrip(b"\n") + SETUP.encode(),
    }
