"""A container as Gradescope's may be, to run commands in: root with Docker's capabilities, no namespaces, its own /tmp.

It is made with bubblewrap, whose place in it is taken by a command that fails as the real one does where the kernel refuses.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder import masters
from autograder.publish.gradescope_zip import with_grader
from helpers.parts import ROOT
from tests.hostile.ordinary import closed_to_others

DOCKERS = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL"
)
COMMANDS = {
    "bwrap": "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
    "systemd-run": "exit 1",
    "mamba": "exit 0",
    "python": f'exec {sys.executable} "$@"',
}
OPEN_TO_ALL = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")  # places of the container where any user may write
AUTOGRADER = Path(OPEN_TO_ALL[0], "autograder")  # where this container has what Gradescope's has at the root
OTTER = f"""
import json, pathlib
for path in pathlib.Path("{AUTOGRADER}/submission").glob("*.ipynb"):
    for cell in json.loads(path.read_text())["cells"]:
        exec("".join(cell["source"]), {{"__name__": "__main__"}})
pathlib.Path("{AUTOGRADER}/results/results.json").write_text('{{"score": 3, "tests": [], "output": "otter"}}')
"""  # as otter does: in its own process


def in_container(line: list[str], folder: Path, *, without: Sequence[str] = (), **environment: str) -> list[str]:
    """The command line that runs `line` in a container with a folder at `AUTOGRADER`, without some capabilities."""
    commands = folder.parent / "commands"
    commands.mkdir(exist_ok=True)
    for name, text in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    outer = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--dev-bind", "/", "/", "--proc", "/proc"]
    outer += ["--ro-bind", "/sys", "/sys", "--cap-drop", "ALL"]
    for name in (name for name in DOCKERS.split() if name not in without):
        outer += ["--cap-add", f"CAP_{name}"]
    needed = dict.fromkeys([Path(sys.prefix), Path(sys.base_prefix), ROOT])
    closed = dict.fromkeys(str(found) for path in needed if (found := closed_to_others(path)) is not None)
    for place in OPEN_TO_ALL:
        outer += ["--perms", "1777", "--tmpfs", place] if Path(place).is_dir() else []
    for place in closed:
        outer += ["--perms", "0755", "--tmpfs", place]
    for path, target in [*((path, path) for path in needed), (commands, Path("/tmp/commands"))]:
        for parent in reversed(target.parents):
            if any(parent.is_relative_to(place) and str(parent) != place for place in (*OPEN_TO_ALL, *closed)):
                outer += ["--perms", "0755", "--dir", str(parent)]
        outer += ["--ro-bind", str(path), str(target)]
    outer += ["--bind", str(folder), str(AUTOGRADER), "--clearenv", "--chdir", "/tmp"]
    for name, value in {"PATH": f"/tmp/commands:{os.environ['PATH']}", "HOME": "/root", **environment}.items():
        outer += ["--setenv", name, value]
    return [*outer, "--", *line]


def unpack(folder: Path, part: int) -> Path:
    """Lay a part's zip out as Gradescope does; return the folder."""
    entries = {"environment.yml": b"", "setup.sh": b"", "run_otter.py": OTTER.encode()}
    made = with_grader(entries, masters.master_path(part), part, {"jupytext": "==1", "pyseccomp": "==1"})
    for name, data in made.items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.replace(b" /autograder", f" {AUTOGRADER}".encode()) if name == "run_autograder" else data)
    shutil.copytree(ROOT / "helpers", folder / "source" / "files" / "helpers", ignore=shutil.ignore_patterns("recipes"))
    for name in ("submission", "results"):
        (folder / name).mkdir()
    (folder / "submission_metadata.json").write_text('{"users": [{"sid": "7", "name": "Ada"}, {"name": "Bo"}]}')
    return folder
