"""`course release DIR`: exactly what a student gets, ready to be pushed to the student repository."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder import masters
from helpers.parts import PARTS, ROOT

from .catch_up import catch_up_notebook, file_name, still_open
from .normalise import copy_tree, write_notebook, write_text
from .otter_forms import NOT_FOR_GRADING
from .placing import ASIDE, MARK, Placement, make_plan, place, read_mark
from .settings import Course, load_course, student_requirements
from .student_pages import PICTURE, hosting_files, solution_name, student_readme

FILES = ("constraints.txt", "requirements-colab.txt", "LICENSE", "LICENSE-PROSE", PICTURE.as_posix())
KEPT = {".git", ".github"}  # what may be in a new folder
MOST_NAMED = 15  # files in a message


class ReleaseError(RuntimeError):
    """The release was not written; the message says why and what to do."""


@dataclass(frozen=True)
class Released:
    """What a release did: its files, those it wrote anew and took away, those that stay though they are no longer part of it,
    and the folder that holds what stood in the way (None if nothing did)."""

    files: list[Path]
    written: list[str]
    removed: list[str]
    left: list[str]
    aside: Path | None


def write_release(
    folder: Path, *, force: bool = False, course: Course | None = None, catch_up: Sequence[int] = ()
) -> list[Path]:
    """`release_to`, for who wants only the list of files."""
    return release_to(folder, force=force, course=course, catch_up=catch_up).files


def release_to(
    folder: Path,
    *,
    force: bool = False,
    course: Course | None = None,
    catch_up: Sequence[int] = (),
    solutions: Sequence[int] = (),
) -> Released:
    """Write the student repository's content to a folder: notebooks, public tests, helpers, requirements, README.

    A folder that an earlier release filled is brought up to date: what it wrote and is no longer part of it goes, if it is
    as it was written. Everything else in the folder stays.

    Args:
        folder: where to write.
        force: write into a folder that holds other files, and over files that were changed. Those go to `before-release`.
        course: the settings; those of `course.toml` by default.
        catch_up: parts whose solved functions go out as well.
        solutions: parts whose solution notebook goes out as well.

    Raises:
        ReleaseError: if the folder holds something else, a file of the release was changed there, the notebooks are not
            built, or a part to be solved is not over. Nothing is written then.
    """
    course = course or load_course()
    check_folder(folder)
    for part, end in still_open([*catch_up, *solutions]).items():
        what = "its solution goes out" if part in solutions else "its functions go out"
        raise ReleaseError(f"Part {part} may be handed in until {end:%Y-%m-%d %H:%M %Z}: {what} after that")
    with tempfile.TemporaryDirectory(prefix="course-release-") as temporary:
        stage = Path(temporary)
        fill(stage, course, sorted(set(catch_up)), sorted(set(solutions)))
        plan = make_plan(stage, folder)
        if not force:
            check_plan(folder, plan)
        written, aside = place(stage, folder, plan, course.tag)
    files = sorted(Path(name) for name in (*plan.files, MARK))
    return Released(files, written, plan.remove, plan.left, aside)


def check_folder(folder: Path) -> None:
    """A release goes to a folder of its own.

    Raises:
        ReleaseError: it is a file, or the instructor's own repository or a part of it, or holds one.
    """
    place_of = folder.resolve()
    own = place_of.is_relative_to(ROOT) and not place_of.is_relative_to(ROOT / "build")
    if own or place_of in ROOT.parents or (place_of / "autograder" / "masters.py").exists():
        raise ReleaseError(f"{folder} is the instructor's own repository: choose another folder")
    if place_of.exists() and not place_of.is_dir():
        raise ReleaseError(f"{folder} is a file: choose a folder")


def check_plan(folder: Path, plan: Placement) -> None:
    """Nothing that is not known to be a release's own is in the way.

    Raises:
        ReleaseError: naming it, and what to do.
    """
    others = [path for path in folder.iterdir() if path.name not in KEPT] if folder.exists() else []
    marked = (folder / MARK).exists()
    if others and not marked:
        raise ReleaseError(
            f"{folder} is not empty, and no earlier release made it: choose another folder, or give --force"
        )
    if not plan.changed:
        return
    names = ", ".join(plan.changed[:MOST_NAMED])
    more = f" and {len(plan.changed) - MOST_NAMED} more" if len(plan.changed) > MOST_NAMED else ""
    why = (
        "are not as the last release left them"
        if read_mark(folder)
        else f"differ, and {MARK} does not say what an earlier release wrote"
    )
    raise ReleaseError(
        f"in {folder}, these {why}, and a new release would replace them: {names}{more}. Nothing was written. Keep your own "
        f"changes in files of your own, which a release leaves alone; or give --force: what is replaced goes to {ASIDE}/."
    )


def fill(stage: Path, course: Course, catch_up: Sequence[int], solutions: Sequence[int]) -> None:
    """Write all files of a release to an empty folder.

    Raises:
        ReleaseError: no student notebook is built.
    """
    parts = [part for part in masters.existing_parts() if (ROOT / "notebooks" / f"{PARTS[part]}.ipynb").exists()]
    if not parts:
        raise ReleaseError("no student notebook is built yet: run `course build` first")
    copy_tree(ROOT / "notebooks" / "tests", stage / "notebooks" / "tests")
    for part in parts:
        shutil.copyfile(ROOT / "notebooks" / f"{PARTS[part]}.ipynb", stage / "notebooks" / f"{PARTS[part]}.ipynb")
    for part in catch_up:
        write_notebook(catch_up_notebook(part), stage / "notebooks" / file_name(part))
    (stage / "docs").mkdir()
    for part in solutions:
        (stage / "solutions").mkdir(exist_ok=True)
        shutil.copyfile(masters.SOLUTIONS / f"{PARTS[part]}.ipynb", stage / solution_name(part))
    copy_tree(ROOT / "helpers", stage / "helpers", without=NOT_FOR_GRADING)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copyfile(ROOT / name, stage / name)
    write_text(stage / "requirements.txt", student_requirements())
    write_text(stage / "docs" / "students.md", (ROOT / "docs" / "students.md").read_text(encoding="utf-8"))
    write_text(stage / "README.md", student_readme(course, parts, catch_up, solutions))
    for name, text in hosting_files().items():
        write_text(stage / name, text)
