"""The commands `course grade` and `course regrade`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from helpers.parts import PARTS

console = Console(soft_wrap=True)  # no line is broken here: a path stays in one piece, to be copied
errors = Console(stderr=True, soft_wrap=True)

OUT = Path("build/grades")
JUDGE_FAILED, MISUSE, NO_SANDBOX, LOOK = 1, 2, 3, 4
MOST_TOLD = 20  # submissions that a person has to look at, by name

Out = Annotated[Path, typer.Option("--out", "-o", help="The folder for results; a run goes on from what is in it.")]
Workers = Annotated[
    int, typer.Option("--workers", "-w", min=0, help="Worker processes here; 0 grades in this process.")
]
Scheduler = Annotated[str, typer.Option(help="The address of a Dask scheduler, e.g. tcp://10.0.0.1:8786.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Without the sandbox: only for code you trust. Results are stamped.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON a submission, for programs.")]
Live = Annotated[bool, typer.Option("--live/--no-live", help="A progress bar with rate, failures and time left.")]
PartOption = Annotated[
    list[int] | None, typer.Option("--part", "-p", min=min(PARTS), max=max(PARTS), help="Only this part; repeatable.")
]


def grade(
    submissions: Annotated[Path | None, typer.Argument(help="A folder, a zip or a notebook.")] = None,
    out: Out = OUT,
    roster: Annotated[
        Path | None, typer.Option(help="A CSV with a column `id`, and `name` and `email` if you like.")
    ] = None,
    part: PartOption = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    trust: Trust = False,
    live: Live = True,
    as_json: AsJson = False,
    merge: Annotated[list[Path] | None, typer.Option(help="Take over marks of written answers; repeatable.")] = None,
    nbgrader: Annotated[Path | None, typer.Option(help="Also write the results into this gradebook.db.")] = None,
    pending: Annotated[
        str,
        typer.Option(help="Marks that wait for a person, in files for learning platforms: empty, hold or partial."),
    ] = "",
    extensions: Annotated[Path | None, typer.Option(help="A CSV: id, part, and due (the new day) or days.")] = None,
    times: Annotated[
        str,
        typer.Option(help="A CSV of when things were handed in (id, part, time); or `files`: the files' own times."),
    ] = "",
    catch_up: Annotated[
        list[int] | None,
        typer.Option(help="This part's functions were handed out with --catch-up; repeatable.", min=1, max=len(PARTS)),
    ] = None,
) -> None:
    """Grade submissions in the sandbox: the marks of record.

    Run it again after an interruption: only what is not done yet is graded. Exit code 0: all judged; 1: the grader
    itself failed on some (they have no mark, or no page); 2: the call was wrong; 3: there is no sandbox here; 4: all that was
    found is judged, but there is something to look at: people of the roster without a submission, names claimed twice, files
    that you may not read, marks files without marks.

    With `--catch-up 2` the functions of Part 2 that `course release --catch-up 2` handed out stand in where a later part's
    graded function calls one that the student's own Part 2 lacks, as in the student's notebook. It is kept for later runs.
    """
    from . import runner

    if submissions is None and not merge and nbgrader is None:
        errors.print("Say what to grade, or what to merge: course grade SUBMISSIONS, course grade --merge marks.csv")
        raise typer.Exit(MISUSE)
    look: list[str] = []
    told: set[tuple[str, int]] = set()
    with _clear_errors(), runner.open_store(out) as store:
        if roster is not None:
            runner.take_roster(store, roster)
        if pending:
            store.set("pending", _choice(pending))
        if catch_up:
            runner.take_catch_up(store, catch_up)
        look += runner.take_deadlines(store, extensions=extensions, times=times)
        if submissions is not None:
            jobs = runner.take_in(store, submissions, parts=part)
            if trust and not as_json:
                errors.print("[bold]Without a sandbox:[/] the students' code can read your files and use the network.")
            plan = runner.make_plan(workers=workers, scheduler=scheduler, trust=trust)
            told = _work(store, jobs, plan, live=live, as_json=as_json)
            look += runner.notices(store)
            if aside := runner.left_aside(store):
                _say(f"Left aside, as nobody's: {', '.join(aside[:20])}", as_json)
        look += runner.strangers(store) if extensions or times else []
        for path in merge or []:
            from autograder.grade.results.written import merge as merge_marks

            count = merge_marks(store, path)
            _say(f"{count} marks taken from {path}", as_json)
            look += [] if count else [f"0 marks taken from {path}: no row has anything in its column `points`"]
        made, problems = _write(store, out)
        if nbgrader is not None:
            from autograder.grade.results.gradebook import write_gradebook

            _say(write_gradebook(store, nbgrader), as_json)
        if as_json:
            _tell_the_rest(store, told)
        failed = _summary(store, out, made, as_json)
    _tell(look, as_json)
    if failed or problems:
        raise typer.Exit(JUDGE_FAILED)
    if look:
        raise typer.Exit(LOOK)


def regrade(
    question: Annotated[list[str], typer.Option("--question", "-q", help="A question, e.g. q2_1; repeatable.")],
    out: Out = OUT,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    trust: Trust = False,
    live: Live = True,
    as_json: AsJson = False,
) -> None:
    """Grade single questions again after a test was fixed, with the same random inputs; old and new marks side by side."""
    from . import runner

    with _clear_errors(), runner.open_store(out, must_exist=True) as store:
        jobs = runner.jobs_for_questions(store, question)
        plan = runner.make_plan(workers=workers, scheduler=scheduler, trust=trust)
        runner.take_deadlines(store)
        before = runner.points_of(store, question)
        _work(store, jobs, plan, live=live, as_json=as_json, why="regrade " + ",".join(question))
        made, problems = _write(store, out)
        after = runner.points_of(store, question)
        changed = [(key, old, after.get(key)) for key, old in before.items() if old != after.get(key)]
        runner.write_changes(out / "regrade.csv", before, after)
        if as_json:
            for (student, name), old, new in changed:
                print(json.dumps({"student": student, "question": name, "old": old, "new": new}))
        else:
            table = Table("student", "question", "old", "new", title=f"{len(changed)} of {len(before)} marks changed")
            for (student, name), old, new in changed:
                table.add_row(escape(student), name, _points(old), _points(new))
            console.print(table if changed else f"None of {len(before)} marks changed.", soft_wrap=not changed)
            console.print(f"All of them, old and new: {out / 'regrade.csv'}")
        failed = _summary(store, out, made, as_json)
    if failed or problems:
        raise typer.Exit(JUDGE_FAILED)


def register(app: typer.Typer) -> None:
    """Add both commands to the console command `course`."""
    app.command()(grade)
    app.command()(regrade)


def _choice(text: str) -> str:
    """One of the ways to treat marks that wait.

    Raises:
        ValueError: it is none of them.
    """
    from autograder.grade.results.exports import Pending

    ways = [way.value for way in Pending]
    if text not in ways:
        raise ValueError(f"--pending {text}: it must be one of {', '.join(ways)}")
    return text


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _say(text: str, as_json: bool) -> None:
    if not as_json:
        console.print(escape(text))


def _write(store: Any, out: Path) -> tuple[dict[str, Path], list[str]]:
    """Write all outputs; say what could not be written."""
    from . import runner

    problems: list[str] = []
    made = runner.write_outputs(store, out, problems)
    for problem in problems:
        errors.print(f"[bold red]Error:[/] {escape(problem)}", highlight=False)
    return made, problems


def _tell(notices: list[str], as_json: bool) -> None:
    """Say what the instructor has to look at, where it is not overlooked: at the end, and on the other stream."""
    if as_json and notices:
        print(json.dumps({"look": notices}))
    for notice in notices:
        errors.print(f"[bold red]Look at this:[/] {escape(notice)}", highlight=False)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn what a user can do something about into one message and an exit code; keep what is written to its owner."""
    from autograder.grade.sandbox.parent import NoSandboxError

    umask = os.umask(0o077)  # marks, answers and the class's secret, from the first byte on
    try:
        yield
    except NoSandboxError as error:
        errors.print(f"[bold red]No sandbox, so nothing was graded.[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(NO_SANDBOX) from error
    except (OSError, ValueError, KeyError) as error:  # wrong marks and masters are ValueErrors
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        errors.print(f"[bold red]Error:[/] {escape(str(text))}", highlight=False)
        raise typer.Exit(MISUSE) from error
    finally:
        os.umask(umask)


def _work(store: Any, jobs: list[Any], plan: Any, *, live: bool, as_json: bool, why: str = "") -> set[tuple[str, int]]:
    """Grade the jobs, committing each result, and show how it goes; returns whose was told as JSON, and of which part."""
    from . import runner

    told: set[tuple[str, int]] = set()

    if as_json or not live or not console.is_terminal:
        for number, (_, result) in enumerate(runner.work(store, jobs, plan, why=why), start=1):
            if as_json:
                told.add((result.student, result.part))
                print(json.dumps(_line(result, new=True)), flush=True)
            elif number % 50 == 0 or number == len(jobs):
                console.print(f"{number} of {len(jobs)} graded")
        return told
    columns = (
        TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("{task.fields[rate]:.2f}/s, {task.fields[failures]} failed"),
    )  # fmt: skip
    began, failures = time.monotonic(), 0
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        task = progress.add_task("grading", total=len(jobs), rate=0.0, failures=0)
        for number, (_, result) in enumerate(runner.work(store, jobs, plan, why=why), start=1):
            failures += result.broken
            progress.update(task, advance=1, rate=number / (time.monotonic() - began), failures=failures)
    return told


def _line(result: Any, *, new: bool) -> dict[str, Any]:
    """A result as `--json` prints it; `new` says whether it was graded by this run."""
    line = {key: getattr(result, key) for key in ("student", "part", "status", "points", "possible")}
    return line | {"seconds": result.usage.seconds if result.usage else None, "new": new}


def _tell_the_rest(store: Any, told: set[tuple[str, int]]) -> None:
    """Print a line for each submission that needed no grading now: graded before, or not to be read."""
    from autograder.grade.results.rows import sheet

    for row in sheet(store):
        if (row.student, row.part) in told:
            continue
        unknown = {"points": None, "possible": None, "seconds": None, "new": False}
        nothing = {"student": row.student, "part": row.part, "status": row.state, **unknown}
        print(json.dumps(_line(row.result, new=False) if row.result else nothing), flush=True)


def _summary(store: Any, out: Path, made: dict[str, Path], as_json: bool) -> int:
    """Say what came out; return how many submissions the judge failed on."""
    from collections import Counter

    from autograder.grade.results import exports
    from autograder.grade.results.rows import sheet

    rows = sheet(store)
    states = Counter(row.state for row in rows)
    failed = states["error"] + states["not graded"]
    told = exports.told(store, rows)
    if as_json:
        wait = {"waiting": len(exports.waiting(rows)), "pending": exports.pending(store).value}
        print(json.dumps({"done": True, "states": dict(states), **wait, "out": str(out)}))
        return failed
    text = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no submissions"
    console.print(f"[bold]{sum(states.values())} submissions:[/] {text}")
    for kind, path in made.items():
        console.print(f"  {kind:<11} {escape(str(path))}", highlight=False)
    if told:
        console.print(escape(told))
    if out.stat().st_mode & 0o077:
        console.print(
            f"Others on this machine may look into {escape(str(out))}; the files of this run are yours alone."
        )
    for row in [row for row in rows if row.state in ("unreadable", "to look at")][:MOST_TOLD]:
        where, why = f"part {row.part}" if row.part else "part not known", row.submission.problem or " ".join(row.look)
        errors.print(f"[bold red]Look at this:[/] {escape(f'{row.student} ({where}): {why}')}", highlight=False)
    if (count := states["unreadable"] + states["to look at"]) > MOST_TOLD:
        errors.print(f"[bold red]Look at this:[/] {count - MOST_TOLD} more: see {escape(str(out / 'to_look_at.csv'))}")
    if failed:
        errors.print(
            f"[bold red]{failed} could not be judged because of an error on our side:[/] see {out / 'report.html'}"
        )
    return failed
