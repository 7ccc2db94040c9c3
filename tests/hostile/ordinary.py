"""Run a command as an ordinary user without control groups, as most instructors do: `python -m tests.hostile.ordinary …`.

Root becomes user 12345 with no group of its own. What that user has to read may lie where only root may go (Python in
/root, a checkout in a private folder): such a folder is covered by an empty one that holds the needed parts alone.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from helpers.parts import ROOT

USER = "12345"
SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # the way to the user's systemd


def closed_to_others(path: Path) -> Path | None:
    """The outermost folder on the way to `path` that others may not enter."""
    way = [*reversed(path.parents), path]
    return next((folder for folder in way if not folder.stat().st_mode & stat.S_IXOTH), None)


def as_ordinary_user(line: list[str]) -> list[str]:
    """The command line that runs `line` as an ordinary user without control groups."""
    without = [word for name in SESSION for word in ("-u", name)]
    line = ["env", *without, "HOME=/tmp", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", *line]
    if os.geteuid() != 0:
        return line
    outer = ["bwrap", "--dev-bind", "/", "/"]
    needed = dict.fromkeys([Path(sys.prefix), Path(sys.base_prefix), ROOT])
    closed = {path: folder for path in needed if (folder := closed_to_others(path)) is not None}
    for folder in dict.fromkeys(closed.values()):
        outer += ["--perms", "0755", "--tmpfs", str(folder)]
    for path, folder in closed.items():
        for parent in reversed(path.parents):
            if parent.is_relative_to(folder) and parent != folder:
                outer += ["--perms", "0755", "--dir", str(parent)]
        outer += ["--bind", str(path), str(path)]
    return [*outer, "--", "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--", *line]


if __name__ == "__main__":
    sys.exit(subprocess.run(as_ordinary_user(sys.argv[1:])).returncode)
