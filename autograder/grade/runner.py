"""A grading run from end to end: take submissions in, grade what is not done, write the outputs."""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder import masters, stamps
from autograder.grade.intake.answers import answers as written_answers
from autograder.grade.intake.collect import HandIn
from autograder.grade.results.store import Store, StoredSubmission
from helpers.parts import PARTS

from . import schedule
from .intake import collect as intake
from .jobs import Job, questions_of
from .limits import Limits
from .result import SubmissionResult
from .results import class_report as report
from .results import outputs, written
from .schedule import Plan

DATABASE = "results.db"


def open_store(out: Path, *, must_exist: bool = False) -> Store:
    """Open a folder's results.

    Raises:
        FileNotFoundError: nothing was graded there yet, but something must have been.
    """
    if must_exist and not (out / DATABASE).exists():
        raise FileNotFoundError(f"there are no results in {out}; run `course grade` first")
    return Store(out / DATABASE)


def make_plan(*, workers: int, scheduler: str, trust: bool, limits: Limits | None = None) -> Plan:
    """How to run."""
    return Plan(workers=workers, scheduler=scheduler, trust=trust, limits=limits or Limits())


tests_digest = functools.cache(stamps.marks)  # by part: what the verdict depends on besides the submission


def take_roster(store: Store, path: Path) -> None:
    """Read the roster and keep it."""
    store.set_roster(list(intake.load_roster(path).values()))


def take_in(store: Store, source: Path, *, parts: Sequence[int] | None = None) -> list[Job]:
    """Register all submissions under a path; return the jobs that are not done yet.

    Raises:
        FileNotFoundError: there is no such path, or nothing in it.
    """
    everything = intake.collect(source, store.roster())
    found = [s for s in everything if not s.beside and (not parts or s.part in parts or not s.part)]
    if not found:
        raise FileNotFoundError(f"no submission was found in {source}")
    files: dict[str, dict[str, str]] = {}
    for submission in everything:
        if submission.notebook is not None:
            files.setdefault(submission.student, {})[f"{PARTS[submission.part]}.ipynb"] = _code_only(submission)
    jobs = []
    for submission in found:
        answers = written_answers(submission.notebook) if submission.notebook else {}
        if submission.part:
            store.forget_unreadable(submission.student)
        store.register(StoredSubmission.of(submission, answers))
        if submission.notebook is None:
            continue
        if not store.is_done(*submission.key, submission.digest, tests_digest(submission.part)):
            jobs.append(_job(store, submission, files[submission.student]))
    return jobs


def _code_only(submission: HandIn) -> str:
    """A notebook of a submission's code cells alone, for the student's other parts to take functions from."""
    assert submission.notebook is not None
    cells = [{"cell_type": "code", "metadata": {}, "source": cell["source"]} for cell in submission.notebook.code]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def _job(store: Store, submission: HandIn, files: dict[str, str]) -> Job:
    assert submission.notebook is not None
    own = f"{PARTS[submission.part]}.ipynb"
    others = {name: text for name, text in files.items() if name != own and len(text) < 5_000_000}
    seed = store.seed(submission.part)
    return Job(submission.student, submission.part, submission.notebook.code, seed, others)


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
            jobs.append(Job(found.student, found.part, tuple(found.code), store.seed(found.part), {}, only))
    return jobs


def work(store: Store, jobs: Sequence[Job], plan: Plan, *, why: str = "") -> Iterator[tuple[Job, SubmissionResult]]:
    """Grade the jobs; each result is committed before it is yielded."""
    digests = {(found.student, found.part): found.digest for found in store.submissions()}
    for job, result in schedule.run(jobs, plan):
        if job.only:
            result = _merged(store.result(job.student, job.part), result)
        tests = "" if result.broken else tests_digest(job.part)  # what is broken is not done: the next run tries again
        store.save(digests[job.student, job.part], tests, result, why)
        yield job, result


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
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "question", "old", "new", "changed"])
        for key in sorted(set(before) | set(after)):
            old, new = before.get(key), after.get(key)
            cells = ["" if value is None else f"{value:g}" for value in (old, new)]
            writer.writerow([outputs.safe_cell(key[0]), key[1], *cells, "yes" if old != new else ""])


def write_outputs(store: Store, out: Path) -> dict[str, Path]:
    """Write everything that is made from the results; return the paths by kind."""
    made = outputs.write_all(store, out)
    made["report"] = report.write(store, out / "report.html")
    if written.write_pages(store, out / "written"):
        made["written"] = out / "written"
    return made
