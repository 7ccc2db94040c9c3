"""The commands of who hands the course out: `course release`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from autograder.terminal import AsJson, chosen, clear_errors, console, errors, show_json
from helpers.parts import PARTS

Solved = Annotated[
    list[int] | None,
    typer.Option("--catch-up", help="Also hand out this part's functions, solved; repeatable.", min=1, max=len(PARTS)),
]
Solutions = Annotated[
    list[int] | None,
    typer.Option("--solutions", help="Also hand out this part's solution notebook; repeatable.", min=1, max=len(PARTS)),
]


def release(
    folder: Annotated[
        Path, typer.Argument(help="Where to write; a new folder, or one that an earlier release filled.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is in the way; it goes to before-release/ in the folder.")
    ] = False,
    catch_up: Solved = None,
    solutions: Solutions = None,
    as_json: AsJson = False,
) -> None:
    """Write the student repository: notebooks, public tests, helpers, requirements, README, and nothing else.

    Set the repository's address and tag in course.toml and run `course build` before: what is out of step with them is not
    released. A folder that an earlier release filled is brought up to date; of what is in it only files go or are replaced
    that the earlier release wrote and nobody changed. With `--catch-up 2` a notebook with the solved functions of Part 2 goes
    along, so that who has not written them can go on with Part 3; with `--solutions 2` the whole solution. Both are refused
    before the deadline that course.toml has for the part.
    """
    from autograder.publish.ready import check_ready
    from autograder.publish.release import check_folder, release_to
    from autograder.publish.settings import load_course

    with clear_errors():
        course = load_course()
        check_folder(folder)
        with errors.status("Comparing the notebooks with their masters (minutes, where they were not built here)"):
            check_ready(course, chosen(None))
        done = release_to(folder, force=force, course=course, catch_up=catch_up or [], solutions=solutions or [])
    if as_json:
        show_json({"files": done.files, "removed": done.removed, "left": done.left, "aside": done.aside})
    else:
        console.print(
            f"{len(done.files)} files in {folder}. Push them to {course.repository} and tag them {course.tag}."
        )
    for name in done.left:
        errors.print(f"[yellow]Note:[/] {escape(name)} is no longer part of the release; it was changed, so it stays.")
    if done.aside:
        errors.print(
            f"[yellow]Note:[/] what was replaced is kept in {escape(str(done.aside))}. Look at it before you push."
        )
    if done.written and tag_is_taken(folder, course.tag):
        errors.print(
            f"[yellow]Note:[/] {escape(str(folder))} has the tag {course.tag} already. Never move a tag: if a notebook or a "
            "helper has changed, choose a new tag in course.toml, build and release again."
        )


def tag_is_taken(folder: Path, tag: str) -> bool:
    """True if a folder is a git repository with such a tag."""
    if not (folder / ".git").exists():
        return False
    command = ["git", "-C", str(folder), "tag", "--list", tag]
    try:
        return bool(subprocess.run(command, capture_output=True, check=False).stdout.strip())
    except OSError:  # no git here: nobody can say
        return False


def register(app: typer.Typer) -> None:
    """Add the commands to the console command `course`."""
    app.command()(release)
