"""Files for people and for other systems: complete, escaped, the same each time."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder import masters
from autograder.grade import runner
from autograder.grade.intake.roster import Person
from autograder.grade.jobs import written_questions
from autograder.grade.limits import Limits
from autograder.grade.results import outputs, written
from autograder.grade.results.gradebook import write_gradebook
from autograder.grade.results.store import Store
from tests.grade.fake import judge_quickly
from tests.grade.samples import notebook

EVIL = "<script>alert(1)</script>"
FORMULA = "=HYPERLINK(0)"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Results of four submissions, with names and messages that try to break out."""
    folder = tmp_path / "class"
    folder.mkdir()
    question = written_questions(2)[0]
    answer = {
        "cell_type": "markdown",
        "metadata": {},
        "id": f"{question.name}-answer",
        "source": f"My answer {EVIL} **bold**",
    }
    for name in ("ada", FORMULA, "b<i>o", "empty"):
        data = json.loads(notebook("def token_log_probs(logits, ids): ...", f"# {name}"))
        data["cells"] += [answer] if name != "empty" else []
        (folder / f"{name}.ipynb").write_text(json.dumps(data))
    (folder / "broken.ipynb").write_text("{")
    with runner.open_store(tmp_path / "out") as made:
        made.set_roster([Person("ada", f"Ada {EVIL}", "ada@x.y", {"section": "1"}), Person("absent", "Abs Ent")])
        jobs = runner.take_in(made, folder)
        digests = {found.student: found.digest for found in made.submissions()}
        for job in jobs:
            result = judge_quickly(job, Limits(), False)
            (judged,) = result.questions
            test = replace(judged.tests[0], message=f"wrong: {EVIL}", detail="the hidden input was 17")
            result = replace(result, questions=(replace(judged, tests=(test,)),))
            made.save(digests[job.student], "t", result)
        yield made


def test_pages_escape_what_students_wrote(store: Store, tmp_path: Path) -> None:
    made = runner.write_outputs(store, tmp_path / "out")
    files = [*made["feedback"].glob("*.html"), *made["gradescope"].glob("*.json")]
    assert not [path for path in files if "the hidden input" in path.read_text(encoding="utf-8")]
    pages = [made["report"], *made["feedback"].glob("*.html"), *made["written"].glob("*.html")]
    assert len(pages) > 6
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert EVIL not in text
        assert "b<i>o" not in text
        assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
            "http://creativecommons.org", ""
        )
        assert text.count("<script") == (page.parent.name == "written")
    assert any("&lt;script&gt;" in page.read_text(encoding="utf-8") for page in pages)


def test_spreadsheets_see_no_formula(store: Store, tmp_path: Path) -> None:
    runner.write_outputs(store, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.csv"):
        with path.open() as file:
            for row in csv.reader(file):
                assert not any(cell.startswith(("=", "+", "@")) for cell in row), path


def test_the_same_bytes_again(store: Store, tmp_path: Path) -> None:
    first = runner.write_outputs(store, tmp_path / "one")
    second = runner.write_outputs(store, tmp_path / "two")
    assert first["grades"].read_bytes() == second["grades"].read_bytes()
    assert first["report"].read_bytes() == second["report"].read_bytes()


def test_imports_name_everybody(store: Store, tmp_path: Path) -> None:
    runner.write_outputs(store, tmp_path / "out")
    with (tmp_path / "out" / "import" / "canvas.csv").open() as file:
        rows = list(csv.reader(file))
    worth = sum(q.points for q in masters.load_questions(2))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "02_reinforce"]
    assert rows[1][0].strip() == "Points Possible"
    assert float(rows[1][-1]) == worth
    assert {row[1] for row in rows[2:]} >= {"ada", "absent", "empty"}
    with (tmp_path / "out" / "import" / "moodle.csv").open() as file:
        moodle = {row["ID number"]: row for row in csv.DictReader(file)}
    assert moodle["ada"]["Email address"] == "ada@x.y"
    assert moodle["absent"]["02_reinforce (points)"] == ""


def test_gradescopes_form(store: Store) -> None:
    rows = {row.student: row for row in outputs.sheet(store)}
    answer = outputs.gradescope(rows["ada"])
    assert answer["score"] == rows["ada"].total
    tests = {test["name"]: test for test in answer["tests"]}
    assert tests["q2_1 · test_it"]["visibility"] == "visible"
    assert all(
        set(test) <= {"name", "score", "max_score", "status", "visibility", "output"} for test in answer["tests"]
    )
    assert "cut off" in outputs.gradescope(rows["broken"])["output"]


def test_written_answers_and_their_marks(store: Store, tmp_path: Path) -> None:
    question = written_questions(2)[0]
    rows = {row.student: row for row in outputs.sheet(store)}
    entries = {
        name: next(q for q in row.questions if q.name == question.name) for name, row in rows.items() if row.part
    }
    assert entries["ada"].points is None
    assert entries["empty"].points == 0
    written.write_pages(store, tmp_path / "written")
    page = (tmp_path / "written" / f"{question.name}.html").read_text()
    assert "<strong>bold</strong>" in page
    assert "ada" not in page.replace("ada@", "")
    path = tmp_path / "written" / f"{question.name}.csv"
    with path.open() as file:
        marks = list(csv.DictReader(file))
    code_of_ada = written.code_name(store.secret(), "ada", question.name)
    for row in marks:
        row["points"], row["comment"] = ("1.5", "good") if row["answer"] == code_of_ada else (row["points"], "")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, marks[0].keys())
        writer.writeheader()
        writer.writerows(marks)
    assert written.merge(store, path) >= 1
    of_ada = next(line for line in outputs.sheet(store) if line.student == "ada")
    entry = next(q for q in of_ada.questions if q.name == question.name)
    assert (entry.points, entry.comment) == (1.5, "good")
    path.write_text(f"answer,points\n{code_of_ada},1\nA-00000000,1\n{code_of_ada},99\n")
    with pytest.raises(written.MarksFileError, match=r"unknown answer.*99"):
        written.merge(store, path)
    assert store.marks()["ada", question.name] == (1.5, "good"), "half of a wrong file was taken"


def test_nbgraders_gradebook(store: Store, tmp_path: Path) -> None:
    from nbgrader.api import Gradebook

    count = write_gradebook(store, tmp_path / "gradebook.db")
    assert write_gradebook(store, tmp_path / "gradebook.db") == count
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        submission = book.find_submission("02_reinforce-of-record", "ada")
        row = next(row for row in outputs.sheet(store) if row.student == "ada")
        assert submission.score == row.total
