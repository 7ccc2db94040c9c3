"""The pages for people: marks entered in a page or its CSV, feedback in the notebook's own words, counts that are true."""

from __future__ import annotations

import csv
import re
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.formulas import mathml
from autograder.grade.intake.apart import to_html
from autograder.grade.results import class_report, outputs, written
from autograder.grade.results.pages import script_hash, templates
from autograder.grade.results.store import HandMark, Store, StoredSubmission
from autograder.testing import TestResult
from tests.grade.samples import SECRET
from tests.grade.test_similarity import LEAKED

FORMULA = r"The gradient is $\mathbb{E}[R\,\nabla\log\pi]$, and"
ANSWERS = {
    "ada": f"{FORMULA} 1 < 2.\n\n- a list\n- =1+1",
    "ben": f"{FORMULA}  1 < 2.\n- a list\n- =1+1".replace("\n-", "\n\n-", 1),
    "cem": "=HYPERLINK(0); =1+1\n\n@SUM(1)",
    "dee": f"{FORMULA} 2 < 1.",
    "abe": "",
    "zoe": "",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Six students; two wrote the same answer, two none. The folder's name has a blank and a quote in it."""
    made = Store(tmp_path / "ada's grades" / "results.db")
    made.set("secret", SECRET)
    cells = [{"number": 1, "source": "print(1)", "tags": []}]
    for name, text in ANSWERS.items():
        of = (name, 2, f"{name}.ipynb", name, f"{name.title()} Doe", "", [], "", cells, {"w2_1": text, "w2_2": text})
        made.register(StoredSubmission(*of))
    return made


def table(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a CSV as a spreadsheet does."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def code(store: Store, student: str) -> str:
    """A student's code name for the first written question."""
    return written.code_name(store.secret(), student, "w2_1")


# --- written answers ------------------------------------------------------------------------------------------------


def test_page_and_csv_have_one_order_and_the_same_answers_stand_together(store, tmp_path):
    page = written.write_pages(store, tmp_path / "w")[0].read_text(encoding="utf-8")
    rows = table(tmp_path / "w" / "w2_1.csv")
    assert [row["answer"] for row in rows] == re.findall(
        r"A-[0-9a-f]{8}", " ".join(re.findall(r'data-codes="(.*?)"', page))
    )
    assert {row["answer"] for row in rows[-2:]} == {code(store, "abe"), code(store, "zoe")}, (
        "who wrote nothing comes last"
    )
    firsts = [found.split()[0] for found in re.findall(r'data-codes="(.*?)"', page)][:-1]
    assert firsts == sorted(firsts), "the order tells nothing of the names"
    assert page.count("2 students wrote this") == page.count("2 students wrote nothing") == 1
    groups = {row["answer"]: row["group"] for row in rows}
    assert groups[code(store, "ada")] == groups[code(store, "ben")] != ""
    assert {groups[code(store, name)] for name in ("cem", "dee", "abe", "zoe")} == {""}


def test_the_csv_holds_the_answers_with_their_lines_and_no_formula(store, tmp_path):
    written.write_pages(store, tmp_path)
    texts = {row["answer"]: row["text"] for row in table(tmp_path / "w2_1.csv")}
    assert "1 < 2.\n\n" in texts[code(store, "ada")]
    assert FORMULA in texts[code(store, "ada")]
    for text in texts.values():  # read with any separator, no piece begins a formula
        assert not re.search(r"(^|[;\t|])[ \t]*[=+\-@]", text, re.MULTILINE)
    assert "HYPERLINK(0)" in texts[code(store, "cem")]


def test_a_mark_counts_for_the_group_unless_each_has_its_own(store, tmp_path):
    written.write_pages(store, tmp_path)
    path, rows = tmp_path / "w2_1.csv", table(tmp_path / "w2_1.csv")
    by_code = {row["answer"]: row for row in rows}
    ada, ben = by_code[code(store, "ada")], by_code[code(store, "ben")]
    ada["points"], ada["comment"] = "2,5", "- well put"
    save(path, rows)
    assert written.merge(store, path) == 2
    assert store.marks() == {(name, "w2_1"): HandMark(2.5, "- well put") for name in ("ada", "ben")}
    ben["points"], ben["comment"] = "1", ""
    save(path, rows)
    assert written.merge(store, path) == 2
    assert store.marks()["ben", "w2_1"] == (1.0, "")
    written.write_pages(store, tmp_path)
    assert {row["group"] for row in table(path)} == {""}, "who has another mark is in no group any more"
    assert "'- well put" in {row["comment"] for row in table(path)}
    written.merge(store, path)
    assert store.marks()["ada", "w2_1"] == (2.5, "- well put"), "the guard of the CSV is no part of the comment"


def test_two_marks_for_one_answer_are_refused(store, tmp_path):
    path = tmp_path / "w2_1.csv"
    path.write_text(f"answer,points\n{code(store, 'ada')},1\n{code(store, 'ada')},2\n")
    with pytest.raises(written.MarksFileError, match=r"line 3: .* has another mark"):
        written.merge(store, path)
    lines = [f"{code(store, name)},g,{points}\n" for name, points in (("ada", 1), ("ben", 2), ("cem", ""))]
    path.write_text("answer,group,points\n" + "".join(lines))
    with pytest.raises(written.MarksFileError, match="line 4: the group g has several marks"):
        written.merge(store, path)
    assert store.marks() == {}


def test_the_command_on_the_page_takes_the_marks_over(store, tmp_path):
    folder = store.path.parent / "written"
    written.write_pages(store, folder)
    rows = table(folder / "w2_1.csv")
    rows[0]["points"] = "1"
    save(folder / "w2_1.csv", rows)
    command = (
        templates("autograder.grade.results")
        .from_string("{{ x }}")
        .render(x=written.merge_command(store.path.parent, folder / "w2_1.csv"))
    )
    assert command in (folder / "w2_1.html").read_text(encoding="utf-8")
    said = shlex.split(written.merge_command(store.path.parent, folder / "w2_1.csv"))
    store.close()
    done = CliRunner().invoke(app, said[1:])
    assert re.search("[12] marks taken", done.output)
    with Store(store.path) as after:
        assert {mark.points for mark in after.marks().values()} == {1.0}


def test_the_marking_page_runs_one_script_of_ours_and_nothing_of_a_students(store, tmp_path):
    evil = "</script><script>alert(1)</script> <img src=x onerror=alert(1)> $\\text{<script>alert(1)</script>}$"
    found = store.submissions()[0]
    store.register(replace(found, written={"w2_1": evil}))
    page = written.write_pages(store, tmp_path)[0].read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    assert script_hash(script) in policy[1].replace("&#39;", "'")
    assert "unsafe-inline" not in policy[1].split("script-src")[1]
    assert "onerror" not in re.sub(r"&lt;img.*?&gt;", "", page)


# --- formulas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (FORMULA, "<mi>∇</mi>|<mo>∇</mo>"),
        ("$$\na_1 = b\n$$", 'display="block"'),
        (r"\begin{align}a&=b\\c&=d\end{align}", "<mtable"),
        ("`$x$` costs $5 and $6", r"<code>\$x\$</code> costs \$5 and \$6"),
        (r"broken $\frac{$ stays", r"<code>\\frac\{</code></span> stays"),
        ("# Mine", "<h4>Mine</h4>"),
    ],
)
def test_formulas_are_shown(text, wanted):
    assert re.search(wanted, to_html(text))


@pytest.mark.parametrize(
    "formula",
    [
        r"\text{<script>}",
        r"\text{&lt;script&gt;}",
        r"\style{position:fixed}{x}",
        r"\href{javascript:alert(1)}{x}",
        r"\class{a}{b}",
    ],
)
def test_a_formula_holds_nothing_but_mathematics(formula):
    assert not re.search(r"<script|style=|href|class=", mathml(formula))


# --- feedback and report --------------------------------------------------------------------------------------------


def longest_words(text: str) -> str:
    """The longest piece of a text that looks the same on a page: words without marks and formulas."""
    return max(re.findall(r"[a-z ,]{20,}", text), key=len)


def test_feedback_speaks_as_the_notebook_does(store):
    store.set_mark("ada", "w2_1", 2.5, "Why two?", "x")
    row = next(row for row in outputs.sheet(store) if row.student == "ada")
    page = outputs.feedback(row)
    assert "Question 2.A: 2.5 of 4 points" in page
    assert "Exercise 2.1 · <code>token_log_probs</code>" in page
    (question,) = (q for q in written.written_questions(2) if q.name == "w2_1")
    assert longest_words(question.prompt) in page, "the question"
    assert "1 &lt; 2." in page, "the answer"
    assert "<math" in page
    assert "Why two?" in page
    rubrics = {q.name: q.rubric[0].split(":")[1][:20] for q in written.written_questions(2)}
    assert rubrics["w2_1"] in page
    assert rubrics["w2_2"] not in page, "a rubric is shown once there is a mark"
    assert longest_words(question.sample_answer) not in page, "no sample answer"


def test_every_question_has_the_notebooks_label():
    for part in written.masters.existing_parts():
        for question in written.masters.load_questions(part):
            assert re.fullmatch(r"(Exercise|Question|Written question) \w+\.\w+", written.label_of(question)), (
                question.name
            )


def test_one_mistake_counts_once_whatever_dtype_shape_and_test():
    said = [
        "f: 12 of 30 numbers wrong for a batch of 1 (float32); largest error 0.3 (line 3 of code cell 7)",
        "f: 2 of 4 numbers wrong for a batch of 3 (bfloat16); largest error 1e-05",
        "f: 1 of 1 numbers wrong for a batch of 2 (float64); largest error infinite",
    ]
    others = ["f: shape [2, 3], asked for [2] (a batch)", "f: shape [], asked for [1, 2, 3] (a batch)"]
    rows = []
    for number, message in enumerate(said + others):
        found = StoredSubmission(f"s{number}", 2, "", "", "", "", [], "", [], {})
        test = TestResult(f"test_{number}", bool(number % 2), 1.0, False, message)
        question = outputs.QuestionRow("q2_1", "f", 4.0, False, 0.0, (test,))
        rows.append(outputs.SheetRow(found, None, (question,)))
    kinds = class_report._mistakes(rows)
    assert [kind["students"] for kind in kinds] == [3, 2]
    assert kinds[0]["example"] in {said[0].split(" (line")[0], *said[1:]}
    assert kinds[0]["questions"] == ["q2_1"]


@pytest.mark.parametrize(
    "said",
    ["[" + "1" * 900 + "x", "(" + "1 " * 400 + "x", "[" + "1, " * 300 + "x", "[" * 900, "1." * 450 + "x", "-1" * 450],
)
def test_no_exception_holds_the_report_up(said):
    """What it says is the student's choice: a pattern that tries all ways to divide a long number does not end."""
    begun = time.process_time()
    class_report.mistake_of(said)
    assert time.process_time() - begun < 0.5


def test_shapes_are_shapes_however_they_are_written():
    said = ["[2, 3]", "(2,)", "torch.Size([4, 1])", "[]", "[ 2  3 ]", "(-1, 2)", "(7)", "[\n1,\n 2]"]
    assert {class_report.mistake_of(f"asked for {shape} here") for shape in said} == {"asked for shape here"}


@pytest.mark.parametrize("piece", ["\t", "; ", "![", "![](data:", ";=", " ", "\n "])
def test_no_answer_holds_the_csv_up(piece, store):
    text = "x" + piece * (20_000 // len(piece)) + "x"
    (question,) = (q for q in written.written_questions(2) if q.name == "w2_1")
    begun = time.process_time()
    written.AnswerGroup(("A-1",), text, None).csv_rows(question)
    assert time.process_time() - begun < 0.5


def report(store: Store, sources: dict[str, str], text: str = "") -> str:
    """The class report where these students handed in this code."""
    for name, source in sources.items():
        cells = [{"number": 1, "source": source, "tags": []}]
        found = StoredSubmission(name, 2, "", name, "", "", [], "", cells, {"w2_1": text})
        store.register(found)
    return class_report.write(store, store.path.parent / "report.html").read_text(encoding="utf-8")


def test_the_report_names_everybody_of_a_group(store):
    page = report(store, {f"copy{n:02}": LEAKED for n in range(15)} | {f"own{n}": f"x = {n}" for n in range(39)})
    (names,) = re.findall(r"<td>(copy.*?)</td>", page)
    assert names == ", ".join(f"copy{n:02}" for n in range(15))
    assert "No two of these" not in page


def test_no_two_are_alike_is_said_only_of_what_was_compared(store):
    assert "No two of these" not in report(store, {"a": "x = 1", "b": "y = 2"})
    page = report(store, {"a": LEAKED, "b": "\n".join(f"z{n} = foo[{n}] @ bar({n}, {n}) - {n}" for n in range(40))})
    assert "the code of 2 of 8 submissions" in page
    assert "No two of these are alike" in page


def test_the_same_results_make_the_same_pages(store, tmp_path):
    first = [path.read_bytes() for path in written.write_pages(store, tmp_path / "one")]
    command = str((tmp_path / "one").resolve()).encode()
    second = [path.read_bytes() for path in written.write_pages(store, tmp_path / "two")]
    assert [page.replace(command, b"") for page in first] == [
        page.replace(command.replace(b"one", b"two"), b"") for page in second
    ]
