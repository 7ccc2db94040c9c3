"""The commands of who hands the course out: `course release`, `site`, `syllabus`, `new-term` and `new-version`.

They stand apart from `publish`, whose imports the other commands need not wait for.
"""

from __future__ import annotations

import subprocess
from dataclasses import asdict
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


def syllabus(
    folder: Annotated[Path | None, typer.Option(help="Where to write; build/syllabus by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page with the parts, their points, times and deadlines, and the deadlines for a calendar program.

    Dates and rules come from [deadlines] in course.toml, points from the masters, times from the table in README.md.
    """
    from autograder.publish.syllabus import FOLDER, write_syllabus

    with clear_errors():
        files = write_syllabus(folder or FOLDER)
    if as_json:
        show_json(files)
        return
    for file in files:
        console.print(escape(str(file)), highlight=False)


def new_term(
    tag: Annotated[str, typer.Argument(help="The tag of the new term's first release, such as v2027.1.")],
    days: Annotated[
        int, typer.Option(help="Move all dates in [deadlines] by so many days; 364 keeps the weekday.")
    ] = 0,
    term: Annotated[
        str, typer.Option(help='The new term\'s name, such as "Spring 2027"; needed where there is one.')
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Begin a new term: write a new tag, its name, and moved deadlines, into course.toml, and say what to do next.

    Comments and everything else in the file stay as they are. Nothing is written if a date cannot be moved.
    """
    from autograder.publish.new_term import begin_term

    with clear_errors():
        dates = begin_term(tag, days, term=term)
    if as_json:
        show_json({"tag": tag, "dates": dates})
        return
    console.print(f"course.toml has the tag {tag}.")
    for name, date in dates.items():
        console.print(f"  {name:<20} {date}", highlight=False)
    console.print(
        "Next: course build, commit, course doctor, course release DIR, push, tag; course syllabus for the dates."
    )


def new_version(
    version: Annotated[str, typer.Argument(help="Three numbers, such as 1.0.0, above the present version.")],
    as_json: AsJson = False,
) -> None:
    """Release a version of the course itself: write it into the files that name it, commit them, and tag the commit.

    For who develops the course; a term of yours begins with `course new-term`. The section "(unreleased)" of CHANGELOG.md gets
    the version and the day. Refused, with nothing changed, while anything is not committed.
    """
    from autograder.publish.new_version import release_version

    with clear_errors():
        tag = release_version(version)
    if as_json:
        show_json({"tag": tag})
    else:
        console.print(f"Tagged {tag}. Next: git push --follow-tags; course --version says it after the next make.")


def site(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write; build/site or build/site-solutions by default.")
    ] = None,
    solutions: Annotated[
        bool, typer.Option("--solutions", help="The instructor's site: solutions, and all that they print.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the notebooks and the docs as a web site that needs no server and no network.

    Every part as students get it, with the figures of the last `course run`; glossary, notation, bibliography, guides, and a page
    for each command. Nothing is executed. Exit code 1 if a link or a formula is broken.
    """
    from autograder.publish.site.staging import build_site

    with clear_errors():
        made = build_site(folder, solutions=solutions)
    if as_json:
        show_json(asdict(made))
    else:
        console.print(f"Open {made.folder / 'index.html'}", highlight=False, soft_wrap=True)
        for number in made.without_figures:
            errors.print(f"[yellow]Note:[/] part {number} has no figures: `course run --part {number}` makes them.")
        for line in made.warnings:
            errors.print(line, markup=False, highlight=False)
    if made.warnings:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands to the console command `course`."""
    app.command()(release)
    app.command()(site)
    app.command()(syllabus)
    app.command("new-term")(new_term)
    app.command("new-version")(new_version)
