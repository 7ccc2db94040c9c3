"""A grading run from end to end: take submissions in, grade what is not done, write the outputs."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

from autograder import masters, stamps
from autograder.grade.results.store import Store, StoredSubmission
from autograder.publish.settings import load_deadlines
from helpers.parts import PARTS

from . import schedule
from .deadlines import FILES, parse_deadlines, read_extensions, read_times
from .intake.collect import HandIn, earlier_files, take
from .intake.roster import Person, load_roster, missing
from .jobs import Job, questions_of
from .limits import Limits
from .result import SubmissionResult
from .results import class_report as report
from .results import outputs, written
from .results.rows import number
from .results.writing import for_the_owner_alone, one_by_one, write_rows
from .schedule import Plan
from .text import folded

DATABASE = "results.db"
OUTPUTS = (  # what a run writes into its folder
    *("grades.csv", "to_look_at.csv", "report.html", "regrade.csv", "feedback", "gradescope", "import", "written"),
    *(DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal"),
)


def open_store(out: Path, *, must_exist: bool = False) -> Store:
    """Open a folder's results. A folder that is a run's own is closed to others.

    Raises:
        FileNotFoundError: nothing was graded there yet, but something must have been.
    """
    if must_exist and not (out / DATABASE).exists():
        raise FileNotFoundError(f"there are no results in {out}; run `course grade` first")
    if out.is_dir() and (
        (out / DATABASE).exists() or not any(out.iterdir())
    ):  # a folder that holds other things is left
        out.chmod(0o700)
    return Store(out / DATABASE)


def make_plan(*, workers: int, scheduler: str, trust: bool, limits: Limits | None = None) -> Plan:
    """How to run."""
    return Plan(workers=workers, scheduler=scheduler, trust=trust, limits=limits or Limits())


tests_digest = functools.cache(stamps.marks)  # by part: what the verdict depends on besides the submission


def take_catch_up(store: Store, parts: Sequence[int]) -> None:
    """Keep that the functions of these parts were handed out (`course release --catch-up`), and of those kept before."""
    store.set("catch up", json.dumps(sorted({*caught_up(store), *parts})))


def caught_up(store: Store) -> list[int]:
    """The parts whose functions were handed out after their deadlines."""
    return json.loads(store.setting("catch up", "[]"))


def handed_out(store: Store, part: int) -> dict[str, str]:
    """What lies beside a part's notebook when it is graded, as beside the student's own: earlier parts' functions."""
    return {name: text for n in caught_up(store) if n < part for name, text in [_catch_up_file(n)]}


@functools.cache
def _catch_up_file(part: int) -> tuple[str, str]:
    import nbformat

    from autograder.publish.catch_up import catch_up_notebook, file_name

    return file_name(part), nbformat.writes(catch_up_notebook(part))


def what_decides(store: Store, part: int) -> str:
    """What a verdict depends on besides the submission: a digest of the tests, and the functions handed out."""
    return tests_digest(part) + "".join(f"+{n}" for n in caught_up(store) if n < part)


def take_roster(store: Store, path: Path) -> None:
    """Read the roster and keep it."""
    store.set_roster(list(load_roster(path).values()))


def take_deadlines(
    store: Store, *, extensions: Path | None = None, times: str = "", course: Path | None = None
) -> list[str]:
    """Keep the deadlines of `course.toml`, and what tables say of extensions and of times; return what to look at.

    Args:
        store: where to keep them.
        extensions: a table of who has longer (see `deadlines.read_extensions`).
        times: a table of when things were handed in (see `deadlines.read_times`), or `files`: the files' own times count.
        course: `course.toml`.

    Raises:
        ValueError: a setting or a line is wrong; the message says which.
    """
    table = load_deadlines(course)
    parts, zone = parse_deadlines(table)
    changes = [] if extensions is None else read_extensions(extensions, zone)
    found = {} if times in ("", FILES) else read_times(Path(times), zone)
    store.set("deadlines", json.dumps(table))
    if extensions is not None:
        store.set("extensions", json.dumps([dataclasses.astuple(change) for change in changes]))
    if times:
        if times != FILES:  # an earlier table stays: it comes before the files' own times
            store.set("times", json.dumps([[*key, text] for key, text in found.items()]))
        store.set("trust files", "yes" if times == FILES else "")
    return ["course.toml has no [deadlines], so nothing is late"] if (extensions or times) and not parts else []


def strangers(store: Store) -> list[str]:
    """What to look at of extensions and times: ids that nobody has."""
    known = {folded(name) for name in (*store.roster(), *(found.student for found in store.submissions()))}
    look = []
    for table in ("extensions", "times"):
        names = dict.fromkeys(line[0] for line in json.loads(store.setting(table, "[]")))
        unknown = [name for name in names if folded(name) not in known]
        look += [f"In the {table}: nobody has the id {', '.join(unknown[:20])}"] if unknown else []
    return look


def take_in(store: Store, source: Path, *, parts: Sequence[int] | None = None) -> list[Job]:
    """Register all submissions under a path; return the jobs that are not done yet. `notices` says what to look at.

    Raises:
        FileNotFoundError: there is no such path, or nothing in it.
        ValueError: the class's archive cannot be read at all.
    """
    people = store.roster()
    taken = take(source, people)
    found = [s for s in taken.submissions if not s.beside and (not parts or s.part in parts or not s.part)]
    store.set("notices", json.dumps(_notices(taken.submissions, taken.warnings, people)))
    store.set("aside", json.dumps(taken.aside))
    store.set(
        "groups", json.dumps(sorted({(submission.part, submission.group) for submission in found if submission.group}))
    )
    if not found:
        raise FileNotFoundError(f"no submission was found in {source}")
    store.forget_disputed({submission.part for submission in found})
    files = earlier_files(taken.submissions)
    jobs = []
    for submission in found:
        own = f"{PARTS.get(submission.part)}.ipynb"
        others = {name: text for name, text in files.get(submission.student, {}).items() if name != own}
        if submission.part:
            store.forget_unreadable(submission.student)
        store.register(StoredSubmission.of(submission, others))
        if submission.notebook is None:
            continue
        if not store.is_done(*submission.key, submission.digest, what_decides(store, submission.part)):
            seed = store.seed(submission.part)
            beside = handed_out(store, submission.part) | others
            which = submission.student, submission.part, submission.notebook.code, seed, beside
            jobs.append(Job(*which, group=submission.group))
    return jobs


def _notices(submissions: Sequence[HandIn], warnings: Sequence[str], people: dict[str, Person]) -> list[str]:
    """What the instructor has to look at: disputed names, files this user may not open, people without a submission."""
    closed = [f"{s.student}: {s.file}: {s.problem}" for s in submissions if "PermissionError" in s.problem]
    absent = missing((s.student for s in submissions), people)
    shown = ", ".join(absent[:20]) + (f" and {len(absent) - 20} more" if len(absent) > 20 else "")
    nobody = [f"Nothing was handed in by {len(absent)} of {len(people)} on the roster: {shown}"] if absent else []
    return [*warnings, *closed, *nobody]


def notices(store: Store) -> list[str]:
    """What the last run found that the instructor has to look at."""
    return json.loads(store.setting("notices", "[]"))


def left_aside(store: Store) -> list[str]:
    """The files that the last run found and that are nobody's."""
    return json.loads(store.setting("aside", "[]"))


def jobs_for_questions(store: Store, names: Sequence[str]) -> list[Job]:
    """Jobs that grade only the named questions, for all submissions they belong to.

    Raises:
        KeyError: no part has such a question with tests.
    """
    by_part = {part: [q.name for q in questions_of(part)] for part in masters.existing_parts()}
    unknown = [name for name in names if not any(name in found for found in by_part.values())]
    if unknown:
        raise KeyError(f"no part has a question {', '.join(unknown)} with tests")
    jobs = []
    for found in store.submissions():
        only = tuple(name for name in names if name in by_part.get(found.part, ()))
        if only and not found.problem and store.current(found) is not None:
            beside = handed_out(store, found.part) | found.files
            jobs.append(Job(found.student, found.part, tuple(found.code), store.seed(found.part), beside, only))
    return jobs


def work(store: Store, jobs: Sequence[Job], plan: Plan, *, why: str = "") -> Iterator[tuple[Job, SubmissionResult]]:
    """Grade the jobs, a group's once for all its members; each result is committed before it is yielded."""
    digests = {(found.student, found.part): found.digest for found in store.submissions()}
    alike = _alike(jobs)
    for first, found in schedule.run([same[0] for same in alike.values()], plan):
        for job in alike[_what_is_judged(first)]:
            result = dataclasses.replace(found, student=job.student)
            if job.only:
                result = _merged(store.result(job.student, job.part), result)
            tests = (
                "" if result.broken else what_decides(store, job.part)
            )  # what is broken is not done: the next run tries again
            store.save(digests[job.student, job.part], tests, result, why)
            yield job, result


def _alike(jobs: Sequence[Job]) -> dict[Hashable, list[Job]]:
    """The jobs by what is judged."""
    found: dict[Hashable, list[Job]] = {}
    for job in jobs:
        found.setdefault(_what_is_judged(job), []).append(job)
    return found


def _what_is_judged(job: Job) -> Hashable:
    """What decides a job's result: alike for the members of a group, unless they differ in the parts that go along."""
    if not job.group:
        return job.student, job.part
    return job.group, job.part, job.only, json.dumps([job.cells, job.files])


def _merged(old: SubmissionResult | None, new: SubmissionResult) -> SubmissionResult:
    """An earlier result with some of its questions replaced."""
    if old is None or new.failure is not None:
        return new
    fresh = {question.name: question for question in new.questions}
    questions = [fresh.pop(question.name, question) for question in old.questions] + list(fresh.values())
    possible = sum(question.possible for question in questions)
    bare = new.protection is not None and not new.protection.sandboxed  # one question without the sandbox stamps it all
    protection = new.protection if bare else old.protection
    return dataclasses.replace(old, questions=tuple(questions), possible=possible, protection=protection)


def points_of(store: Store, names: Sequence[str]) -> dict[tuple[str, str], float | None]:
    """The points of some questions, by student and question."""
    return {
        (result.student, question.name): question.points
        for result in store.results()
        for question in result.questions
        if question.name in names
    }


def write_changes(
    path: Path, before: dict[tuple[str, str], float | None], after: dict[tuple[str, str], float | None]
) -> None:
    """Old and new marks side by side."""
    lines = [["student", "question", "old", "new", "changed"]]
    for key in sorted(set(before) | set(after)):
        old, new = before.get(key), after.get(key)
        lines.append([*key, number(old), number(new), "yes" if old != new else ""])
    write_rows(path, lines)


def write_outputs(store: Store, out: Path, problems: list[str] | None = None) -> dict[str, Path]:
    """Write everything that is made from the results, each thing by itself; return the paths by kind.

    What could not be written is added to `problems`.
    """
    with for_the_owner_alone(out, OUTPUTS):
        made = outputs.write_all(store, out, problems)
        with one_by_one("report.html", problems):
            made["report"] = report.write(store, out / "report.html")
        if written.write_pages(store, out / "written", problems):
            made["written"] = out / "written"
    return made
