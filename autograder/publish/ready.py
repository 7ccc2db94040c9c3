"""What must hold before anything is handed out: a real address, and notebooks that say what `course.toml` and the masters say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat

from helpers.parts import PARTS, ROOT

from . import cache
from .cells import setup_cells
from .pipeline import check_committed
from .release import ReleaseError
from .settings import Course


def check_ready(course: Course, parts: Sequence[int]) -> None:
    """Refuse to hand out what students could not use. Parts that were built or checked here and not touched since take no
    time; the others are compared with a fresh build, which takes minutes.

    Raises:
        ReleaseError: what is wrong, and what to do.
    """
    if not course.has_repository:
        raise ReleaseError(
            f"course.toml still names the placeholder {course.repository}: in Colab the first cell would find nothing. Set "
            "student_repository.url to the address of your students' repository, then run `course build`."
        )
    if elsewhere := pinned_elsewhere(course, parts):
        raise ReleaseError(
            f"the notebooks of part {', '.join(map(str, elsewhere))} fetch the course from another place than course.toml says "
            f"({course.repository}, tag {course.tag}): run `course build`, and commit what it writes."
        )
    if lines := out_of_step(parts):
        raise ReleaseError(
            f"what is built is not what the masters give: {'; '.join(lines)}. Run `course build`, and commit what it writes."
        )


def pinned_elsewhere(course: Course, parts: Sequence[int], folder: Path = ROOT / "notebooks") -> list[int]:
    """The parts whose student notebook has another first cell than the settings give."""
    found = []
    for part in parts:
        setup = setup_cells(part, course)[-1].source.strip("\n")
        sources = [cell.source for cell in nbformat.read(folder / f"{PARTS[part]}.ipynb", as_version=4).cells]
        if setup not in sources:
            found.append(part)
    return found


def out_of_step(parts: Sequence[int]) -> list[str]:
    """What differs from a fresh build, a line a file; only parts that were touched since the last build or check are built."""
    unsure = cache.out_of_date(parts, cache.IN_STEP)
    lines = check_committed(unsure) if unsure else []
    if unsure and not lines:
        cache.remember(unsure, cache.IN_STEP)
    return lines
