"""What several people handed in together counts for each of them, and is judged once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.grade import runner, schedule
from autograder.grade.intake.collect import take
from autograder.grade.intake.reader import LARGEST_GROUP, people_of
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import SubmissionResult
from autograder.grade.results import similarity
from tests.grade.fake import judge_quickly
from tests.grade.samples import notebook

STUB = "def token_log_probs(logits, ids): ..."
PEOPLE = {"ann": "Ann A", "bob": "Bob B", "cat": "Cat C"}


def export(folder: Path, **submissions: list[str]) -> Path:
    """A Gradescope export; each submission with its submitters' ids."""
    lines = []
    for number, (name, ids) in enumerate(submissions.items()):
        (folder / name).mkdir(parents=True)
        (folder / name / "02_reinforce.ipynb").write_bytes(notebook(STUB, f"# {number}"))
        lines += [f"{name}:", "  :submitters:"]
        lines += [f'  - :name: {PEOPLE[i]}\n    :sid: "{i}"\n    :email: {i}@x.edu' for i in ids]
    (folder / "submission_metadata.yml").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that were judged."""
    jobs: list[Job] = []

    def judge(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
        jobs.append(job)
        return judge_quickly(job, limits, trust)

    monkeypatch.setattr(schedule, "on_worker", judge)
    return jobs


@pytest.mark.parametrize("roster", [True, False])
def test_every_member_gets_the_mark(judged: list[Job], roster: bool, tmp_path: Path) -> None:
    source = export(tmp_path / "assignment_1_export", submission_1=["ann", "bob"], submission_2=["cat"])
    (tmp_path / "roster.csv").write_text("id,name\nann,Ann A\nbob,Bob B\ncat,Cat C\n")
    out = tmp_path / "out"
    call = ["grade", str(source), "--out", str(out), "--workers", "0", "--json"]
    run = CliRunner().invoke(app, [*call, *(["--roster", str(tmp_path / "roster.csv")] if roster else [])])
    assert run.exit_code == 0, run.output
    assert [json.loads(line)["student"] for line in run.stdout.splitlines()[:-1]] == ["ann", "bob", "cat"]
    assert [job.student for job in judged] == ["ann", "cat"], "a group is judged once"
    with (out / "grades.csv").open() as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {student: row["name"] for student, row in rows.items()} == PEOPLE
    assert rows["ann"]["points_so_far"] == rows["bob"]["points_so_far"] != ""
    with runner.open_store(out) as store:
        notes = {found.student: found.notes for found in store.submissions()}
        assert json.loads(store.setting("groups")) == [[2, ["ann", "bob"]]]
    assert notes == {"ann": ["handed in with Bob B (bob)"], "bob": ["handed in with Ann A (ann)"], "cat": []}
    assert "handed in with Bob B" in (out / "feedback" / "ann-part2.html").read_text()
    assert CliRunner().invoke(app, call).exit_code == 0
    assert len(judged) == 2, "what was done is graded again"


def test_who_handed_in_alone_as_well_is_reported(judged: list[Job], tmp_path: Path) -> None:
    source = export(tmp_path / "assignment_1_export", submission_1=["ann", "bob"], submission_2=["bob"])
    run = CliRunner().invoke(app, ["grade", str(source), "-o", str(tmp_path / "out"), "-w", "0"])
    assert run.exit_code == 4
    assert "submission_1 and submission_2 both claim to be bob's" in run.output
    with runner.open_store(tmp_path / "out") as store:
        kept = {found.student for found in store.submissions()}
        assert {result.student for result in store.results()} == kept
    assert kept == {"ann", "bob [submission_1]", "bob [submission_2]"}


def test_two_groups_with_one_member(tmp_path: Path) -> None:
    found = take(export(tmp_path / "e", submission_1=["ann", "bob"], submission_2=["bob", "cat"]))
    assert {s.student for s in found.submissions} == {"ann", "bob [submission_1]", "bob [submission_2]", "cat"}
    assert len(found.warnings) == 1


def test_one_person_listed_twice_is_one(tmp_path: Path) -> None:
    found = take(export(tmp_path / "e", submission_1=["ann", "ann"]))
    assert [(s.student, s.group, s.notes) for s in found.submissions] == [("ann", (), [])]


def test_members_with_other_earlier_parts_are_judged_apart(judged: list[Job], tmp_path: Path) -> None:
    cells = ({"number": 1, "source": STUB, "tags": []},)
    members = [Job(name, 2, cells, "5e" * 32, {"01_baseline.ipynb": text}, group=("a", "b", "c")) for name, text in
               (("a", "x"), ("b", "y"), ("c", "x"))]  # fmt: skip
    assert [[job.student for job in same] for same in runner._alike(members).values()] == [["a", "c"], ["b"]]


def test_no_list_makes_a_crowd() -> None:
    lines = ["submission_1:", "  :submitters:", *[f"  - :sid: s{n}" for n in range(LARGEST_GROUP + 1)]]
    with pytest.raises(ValueError, match="share a submission"):
        people_of("\n".join(lines).encode())
    assert len(people_of("\n".join(lines[:-1]).encode())["submission_1"]["members"]) == LARGEST_GROUP


@pytest.mark.usefixtures("judged")
def test_what_a_group_has_in_common_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[set[str]] = []
    monkeypatch.setattr(similarity, "pairs", lambda code, part, given: compared.append(set(code)) or [])
    source = export(tmp_path / "e", submission_1=["ann", "bob"], submission_2=["cat"])
    run = CliRunner().invoke(app, ["grade", str(source), "-o", str(tmp_path / "out"), "-w", "0"])
    assert run.exit_code == 0, run.output
    assert compared == [{"ann", "cat"}]
