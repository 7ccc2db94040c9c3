"""What leaves the grader as a mark: nothing that waits for a person leaves it as a number."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import runner, schedule
from autograder.grade.jobs import written_questions
from autograder.grade.results import outputs
from autograder.grade.results.gradebook import write_gradebook
from helpers.notebook.selection import select
from helpers.parts import PARTS
from tests.grade.marking import (
    EASY,
    STUB,
    TESTED,
    WRITTEN,
    class_of_three_in,
    enter,
    grade,
    judge_all,
    put,
    rows_of,
    table,
)
from tests.grade.samples import notebook


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging that takes no time."""
    monkeypatch.setattr(schedule, "on_worker", judge_all)


@pytest.fixture
def class_of_three(tmp_path: Path) -> Path:
    """Ann's written answer waits for a mark, Bob wrote none, of Cleo's file nothing can be read."""
    return class_of_three_in(tmp_path / "class")


# ------------------------------------------------------------------------------------------ marks that wait


def test_by_default_what_waits_is_left_empty(class_of_three: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = grade(class_of_three, "--out", out)
    assert result.exit_code == 0, result.output
    assert "2 of 3 submissions have no mark yet" in result.output
    assert "left empty" in result.output
    title = PARTS[2]
    canvas = {name: row[title] for name, row in table(out / "import" / "canvas.csv", "ID").items() if name}
    assert canvas == {"ann": "", "bob": f"{TESTED:g}", "cleo": ""}
    moodle = table(out / "import" / "moodle.csv", "ID number")
    assert {name: row[f"{title} (points)"] for name, row in moodle.items()} == canvas
    nbgrader = table(out / "import" / "nbgrader.csv", "student_id")
    assert {name: row["score"] for name, row in nbgrader.items()} == canvas
    grades = table(out / "grades.csv")
    assert {name: row["points"] for name, row in grades.items()} == canvas
    assert {name: row["points_so_far"] for name, row in grades.items()} == canvas | {"ann": f"{TESTED:g}"}
    assert {name: row["state"] for name, row in grades.items()} == {
        "ann": "to mark", "bob": "complete", "cleo": "unreadable",
    }  # fmt: skip
    assert grades["cleo"]["q2_1"] == grades["cleo"][WRITTEN[0]] == grades["ann"][WRITTEN[0]] == ""
    assert "mark" not in grades["ann"], "without deadlines there is no penalty to show"


def test_held_back_until_nothing_waits(class_of_three: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert grade(class_of_three, "--out", out).exit_code == 0
    assert (out / "import" / "canvas.csv").exists()
    (out / "import" / "mine.txt").write_text("mine")
    result = grade(
        "--merge", enter(tmp_path / f"{WRITTEN[0]}.csv", ["student", "points"]), "--out", out, "--pending", "hold"
    )
    assert "nothing was written to import/" in result.output
    assert [path.name for path in (out / "import").iterdir()] == ["mine.txt"], "an old file would be uploaded as if new"
    assert grade(class_of_three, "--out", out, "--nbgrader", tmp_path / "book.db").output.count("--pending hold") == 2
    assert not (tmp_path / "book.db").exists()
    marks = [["student", "question", "points"], ["ann", WRITTEN[0], "1"]]
    marks += [["cleo", question.name, "0"] for question in EASY]
    assert grade("--merge", enter(tmp_path / "marks.csv", *marks), "--out", out).exit_code == 0
    canvas = table(out / "import" / "canvas.csv", "ID")
    assert [canvas[name][PARTS[2]] for name in ("ann", "cleo")] == [f"{TESTED + 1:g}", "0"]


def test_points_so_far_are_called_so(class_of_three: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(class_of_three / "bob" / "01_baseline.ipynb", notebook("def sample(logits): ..."))
    result = grade(class_of_three, "--out", out, "--pending", "partial")
    assert "points so far" in result.output
    canvas = table(out / "import" / "canvas.csv", "ID")
    so_far = f"{PARTS[2]} (points so far)"
    assert PARTS[2] not in canvas["ann"]
    assert {name: canvas[name][so_far] for name in ("ann", "bob", "cleo")} == {
        "ann": f"{TESTED:g}", "bob": f"{TESTED:g}", "cleo": "",
    }  # fmt: skip
    assert grade("--merge", tmp_path / "none.csv", "--out", out, "--pending", "zero").exit_code == 2


def test_gradescope_gets_no_score_for_what_waits(class_of_three: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    grade(class_of_three, "--out", out)
    rows = rows_of(out)
    ann = outputs.gradescope(rows["ann"])
    tests = {test["name"]: test for test in ann["tests"]}
    assert "score" not in tests[WRITTEN[0]]
    assert ann["score"] == TESTED
    assert f"not in the score: {WRITTEN[0]}" in ann["output"]
    cleo = outputs.gradescope(rows["cleo"])
    assert "score" not in cleo
    assert not [test for test in cleo["tests"] if "score" in test]


def test_a_judges_error_is_no_zero_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "on_worker", lambda job, limits, trust: schedule.broken(job, "the judge tripped"))
    put(tmp_path / "class" / "ann" / "02.ipynb", notebook(STUB))
    assert grade(tmp_path / "class", "--out", tmp_path / "out").exit_code == 1
    answer = outputs.gradescope(rows_of(tmp_path / "out")["ann"])
    assert "score" not in answer
    assert not [test for test in answer["tests"] if test.get("score") == 0 and test["name"] not in WRITTEN]


def test_nbgraders_gradebook_knows_what_waits(class_of_three: Path, tmp_path: Path) -> None:
    from nbgrader.api import Gradebook

    grade(class_of_three, "--out", tmp_path / "out")
    with runner.open_store(tmp_path / "out") as store:
        assert write_gradebook(store, tmp_path / "book.db").startswith("2 submissions")
    with Gradebook(f"sqlite:///{tmp_path}/book.db") as book:
        submission = book.find_submission(f"{PARTS[2]}-of-record", "ann")
        grades = {grade.name: grade for grade in submission.notebooks[0].grades}
        assert submission.needs_manual_grade
        assert grades[WRITTEN[0]].needs_manual_grade
        assert grades[WRITTEN[0]].manual_score is None
        assert submission.score == TESTED


# ------------------------------------------------------------------------------------------ to look at

RIGHT = "grader.check('q2_1')"
WRONG = f"# wrong: q2_1\n{RIGHT}"
PYTHON_4 = {"metadata": {"language_info": {"name": "python", "version": "4.2.1"}}}
# what JupyterLab may run and the grader cannot read: cells, the file, and a piece of what is said
LOST: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "a magic of the student's own": (("%%skip_if False\ndef token_log_probs(logits, ids): return 1",), {}, "%%skip_if"),
    "another notebook": (("%run ./mine.ipynb",), {}, "`%run`"),
    "without its sign": (("run mine.py",), {}, "`%run`"),
    "names from pylab": (("x = 1\n%pylab inline",), {}, "line 2"),
    "stored before": (("%store -r token_log_probs",), {}, "`%store`"),
    "a newer Python": (("x = 1\n\ndef token_log_probs[[T]](a): ...",), PYTHON_4, "line 3"),
    "a module that a cell writes": (("%%writefile -a ./mine.py\ndef f(a, b): ...", "import math, mine"), {}, "`mine.py`"),
    "a helper in such a cell": (
        ("%%cython\ndef helper(a): return a", "def token_log_probs(a, b): return helper(a)"), {}, "%%cython",
    ),
}  # fmt: skip
OWN_FAULT = {  # what fails in JupyterLab as well, and what nothing needs
    "a syntax error": ("def token_log_probs(logits, ids)\n    return 1",),
    "a magic that is no Python": ("%%bash\ndef token_log_probs(a, b)", STUB),
    "a magic that nothing needs": ("%%wandb\nplot = 1", STUB),
    "a file written": ("%%writefile a.py\ndef token_log_probs(a, b): ...", STUB),
    "one cell magic below another": ("%%time\n%%capture\ndef token_log_probs(logits, ids): ...",),
}


@pytest.mark.parametrize("case", LOST)
def test_a_cell_that_only_jupyter_can_read_waits_for_a_person(case: str, tmp_path: Path) -> None:
    sources, extra, told = LOST[case]
    out = tmp_path / "out"
    put(tmp_path / "class" / "ann" / "02.ipynb", notebook(WRONG, *sources, **extra))
    put(tmp_path / "class" / "zoe" / "02.ipynb", notebook(RIGHT, *sources, **extra))
    result = grade(tmp_path / "class", "--out", out)
    assert result.exit_code == 0
    assert "Look at this: ann (part 2): Cell 2" in result.output
    rows = rows_of(out)
    entry = next(q for q in rows["ann"].questions if q.name == "q2_1")
    assert (rows["ann"].state, entry.points, rows["ann"].mark) == ("to look at", None, None)
    assert told in entry.waiting
    assert rows["zoe"].state == "complete", "a function that passes its tests needs nobody"
    assert table(out / "import" / "canvas.csv", "ID")["ann"][PARTS[2]] == ""
    assert told.strip("`") in (out / "feedback" / "ann-part2.html").read_text().replace("&#39;", "'")
    assert told in table(out / "to_look_at.csv")["ann"]["why"]


@pytest.mark.parametrize("case", OWN_FAULT)
def test_a_fault_of_the_students_own_is_one(case: str, tmp_path: Path) -> None:
    put(tmp_path / "class" / "ann" / "02.ipynb", notebook("# wrong: q2_1", *OWN_FAULT[case]))
    assert grade(tmp_path / "class", "--out", tmp_path / "out").exit_code == 0
    row = rows_of(tmp_path / "out")["ann"]
    assert (row.state, row.questions[0].points) == ("complete", 0)
    assert not (tmp_path / "out" / "to_look_at.csv").exists()


def test_a_cell_magic_below_another_is_read_as_jupyter_reads_it() -> None:
    source = "%%time\n%%capture\nimport os\n\n%matplotlib inline\ndef token_log_probs(logits, ids): ..."
    chosen = select([{"number": 1, "source": source, "tags": []}], ["token_log_probs"])
    assert [statement.node.lineno for statement in chosen.statements] == [6], "its lines keep their numbers"


@pytest.mark.parametrize("lines", [[["student", "points"]], [["student", "points"], ["ann", ""]]])
def test_a_file_without_marks_is_told(class_of_three: Path, tmp_path: Path, lines: list[list[str]]) -> None:
    grade(class_of_three, "--out", tmp_path / "out")
    path = enter(tmp_path / f"{WRITTEN[0]}.csv", *lines)
    result = grade("--merge", path, "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert f"0 marks taken from {path}: no row" in result.output


def test_a_file_nobody_can_read_is_not_among_the_answers(class_of_three: Path, tmp_path: Path) -> None:
    grade(class_of_three, "--out", tmp_path / "out")
    with (tmp_path / "out" / "written" / f"{WRITTEN[0]}.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2, (
            "a mark entered for all that wrote nothing would be a zero for Cleo"
        )


def test_a_person_enters_the_points(tmp_path: Path) -> None:
    source, out = tmp_path / "class", tmp_path / "out"
    put(source / "ann" / "02.ipynb", notebook(WRONG, "%run ./mine.ipynb"))
    put(source / "bob" / "notes.ipynb", b"PK\x03\x04 no notebook")
    put(source / "zoe" / "02.ipynb", notebook("# wrong: q2_1", STUB))
    assert grade(source, "--out", out).exit_code == 0
    waiting = table(out / "to_look_at.csv")
    assert (waiting["ann"]["question"], waiting["ann"]["points"], waiting["bob"]["part"]) == ("q2_1", "", "")
    lines = list(csv.reader((out / "to_look_at.csv").read_text().splitlines()))
    filled = [[*line[:2], "2,5", line[3], "I ran it"] if line[0] == "ann" else line for line in lines]
    filled += [["bob", question.name, "1", "", "from paper"] for question in EASY]
    assert grade("--merge", enter(tmp_path / "to_look_at.csv", *filled), "--out", out).exit_code == 0
    rows = rows_of(out)
    entry = next(q for q in rows["ann"].questions if q.name == "q2_1")
    assert (entry.points, entry.by_hand, entry.comment, rows["ann"].state) == (2.5, True, "I ran it", "complete")
    assert (rows["bob"].part, rows["bob"].mark, rows["bob"].state) == (2, len(EASY), "complete")
    assert "Marked by a person: I ran it" in (out / "feedback" / "ann-part2.html").read_text()
    tests = {test["name"]: test for test in outputs.gradescope(rows["ann"])["tests"]}
    assert tests["q2_1"]["score"] == 2.5
    assert "score" not in tests["q2_1 · test_it"]
    refused = grade("--merge", enter(tmp_path / "q2_1.csv", ["student", "points"], ["zoe", "4"]), "--out", out)
    assert refused.exit_code == 2
    assert "its tests decided it" in refused.output
    put(source / "ann" / "02.ipynb", notebook(WRONG, "%run ./mine.ipynb", "# once more"))
    grade(source, "--out", out)
    assert rows_of(out)["ann"].state == "to look at", "a person's mark is for the file that the person saw"


def test_whose_it_is_nobody_knows(tmp_path: Path) -> None:
    source, out = tmp_path / "class", tmp_path / "out"
    (tmp_path / "roster.csv").write_text("id,name\nzoe,Zoe Zed\nann,Ann A\n")
    for folder in ("ann", "Zoe Zed", "Zed Zoe"):
        put(source / folder / "02.ipynb", notebook(STUB, f"# {folder}"))
    arguments = (source, "--out", out, "--roster", tmp_path / "roster.csv")
    assert grade(*arguments).exit_code == 4
    rows = [row for name, row in rows_of(out).items() if name.startswith("zoe")]
    assert [(row.state, row.mark) for row in rows] == [("to look at", None)] * 2
    canvas = table(out / "import" / "canvas.csv", "ID")
    assert set(canvas) == {"", "ann", "zoe"}
    assert canvas["zoe"][PARTS[2]] == ""
    (source / "Zed Zoe").rename(tmp_path / "another's")
    assert grade(*arguments).exit_code == 0
    assert table(out / "import" / "canvas.csv", "ID")["zoe"][PARTS[2]] == f"{TESTED:g}"
    assert set(rows_of(out)) == {"ann", "zoe"}, "what was settled stands there no longer"


def test_an_answer_that_stands_nowhere_near_waits(tmp_path: Path) -> None:
    content = json.loads(notebook(STUB))
    content["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "It grows."})
    put(tmp_path / "class" / "ann" / "02.ipynb", json.dumps(content).encode())
    put(tmp_path / "class" / "bob" / "02.ipynb", notebook(STUB, 'answer = """The estimate has a smaller variance."""'))
    grade(tmp_path / "class", "--out", tmp_path / "out")
    assert {row.state for row in rows_of(tmp_path / "out").values()} == {"to mark"}


def test_an_older_store_still_opens(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "results.db") as old:
        old.executescript(
            "CREATE TABLE submission (student TEXT, part INTEGER, file TEXT, digest TEXT, name TEXT, email TEXT, notes TEXT,"
            " problem TEXT, code TEXT, written TEXT, PRIMARY KEY (student, part));"
            "CREATE TABLE mark (student TEXT, question TEXT, points REAL, comment TEXT, source TEXT,"
            " PRIMARY KEY (student, question));"
            "INSERT INTO submission VALUES ('ann', 2, 'a', 'd', '', '', '[]', '', '[]', '{}');"
            f"INSERT INTO mark VALUES ('ann', '{written_questions(2)[0].name}', 1.0, 'good', 'old');"
        )
    row = rows_of(tmp_path)["ann"]
    assert (row.state, row.total, row.lateness) == ("not graded", None, None)
    assert [q.comment for q in row.questions if q.points] == ["good"]
