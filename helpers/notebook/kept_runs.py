"""Where the folder `runs` of a notebook is kept: beside it, or where it outlives the session."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import places
from .host import in_colab

ON_DRIVE = "steering-course/runs"  # in the student's Drive


def place_runs() -> str:
    """Let the folder `runs` beside the notebook lead to where the end of a session does not delete it.

    That is the folder that the environment variable `COURSE_RUNS` names, or in Colab a mounted Drive; where there is
    neither, or `COURSE_RUNS` is `runs`, nothing is done. What `runs` held before is taken along.

    Returns:
        The sentence that the first cell prints, or an empty text.
    """
    here, target = Path("runs"), _target()
    if target is None or here.absolute() == target.absolute():
        return ""
    try:
        target.mkdir(parents=True, exist_ok=True)
        if here.exists() and here.resolve() == target.resolve():
            return f"The folder runs is kept in {target}."
        aside = _take_along(here, target)
        here.symlink_to(target.absolute(), target_is_directory=True)
    except OSError as error:
        return f"The folder runs is not kept in {target} ({error.strerror or error}); it stays beside the notebook."
    return f"The folder runs is kept in {target}: a run goes on from there after the session has ended.{aside}"


def _target() -> Path | None:
    """Where `runs` is wanted; None if nobody wants it elsewhere."""
    if wanted := os.environ.get("COURSE_RUNS"):
        return Path(wanted)
    drives = [places.CONTENT / "drive" / name for name in ("MyDrive", "My Drive")] if in_colab() else []
    return next((drive / ON_DRIVE for drive in drives if drive.is_dir()), None)


def _take_along(here: Path, target: Path) -> str:
    """Make room for the link: what a folder `runs` holds goes to the target, or is set aside where that has the same."""
    if here.is_symlink():
        here.unlink()  # to another target; what is there stays there
    if not here.exists():
        return ""
    for entry in sorted(here.iterdir()):
        if not (target / entry.name).exists():
            shutil.move(entry, target / entry.name)
    if not any(here.iterdir()):
        here.rmdir()
        return ""
    aside = next(path for n in range(1, 1000) if not (path := here.with_name(f"runs-{n}")).exists())
    here.rename(aside)
    return f" What both had is left in {aside}."
