"""What the build makes: complete, reproducible, and nothing in it that a student must not see."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest

from autograder import masters
from autograder.publish import build, difference
from autograder.publish.exercises_page import PAGE, exercises_page
from autograder.publish.pipeline import all_masters, check_master
from autograder.publish.settings import grading_requirements, load_course, pins, student_requirements

from .conftest import COURSE, SAMPLE

pytestmark = pytest.mark.xdist_group("build")
NAME = "01_baseline"
SECRETS = (
    "the secret of the sample",
    "HIDDEN-CANARY",
    "test_hidden_shape",
    "RUBRIC-CANARY",
    "SAMPLE-ANSWER-CANARY",
    "MARKED-CANARY",
)
FORMS = (
    f"notebooks/{NAME}.ipynb",
    f"solutions/{NAME}.ipynb",
    f"build/nbgrader/source/{NAME}/{NAME}.ipynb",
    f"build/nbgrader/release/{NAME}/{NAME}.ipynb",
)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def cell(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    return next(c for c in notebook.cells if c.id == name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_valid_notebook_without_outputs(built, form):
    notebook = read(built / form)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [c.id for c in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(
        not c.get("outputs") and c.get("execution_count") is None for c in notebook.cells if c.cell_type == "code"
    )
    assert "BEGIN QUESTION" not in str(notebook)
    assert "TEST CONFIG" not in str(notebook)


def test_an_exercise_has_the_same_id_in_every_form_and_a_cell_of_its_own(built):
    for form in FORMS:
        answer = cell(read(built / form), "q1_1-answer").source
        assert answer.startswith("def double(values):")
        assert answer.count("def ") == 1


def test_the_student_gets_a_stub(built):
    for form in (FORMS[0], FORMS[3]):
        source = cell(read(built / form), "q1_1-answer").source
        assert source == 'def double(values):\n    """[N] -> [N]: twice each value."""\n    ...'


def test_the_solution_notebook_has_solution_sample_answer_and_rubric_but_no_markers(built):
    notebook = read(built / FORMS[1])
    assert "return values * 2" in cell(notebook, "q1_1-answer").source
    assert "SOLUTION" not in cell(notebook, "q1_1-answer").source
    assert "SAMPLE-ANSWER-CANARY" in cell(notebook, "w1_1-sample").source
    assert "RUBRIC-CANARY" in cell(notebook, "w1_1-rubric").source


def test_a_marked_solution_outside_a_question_is_taken_out_too(built):
    (student,) = [c for c in read(built / FORMS[0]).cells if c.source.startswith("choice = 1")]
    assert student.source == "choice = 1  # replace it\nprint(double(torch.tensor(float(choice))))"
    solution = cell(read(built / FORMS[1]), student.id)
    assert "choice = 2" in solution.source
    assert "SOLUTION" not in solution.source


def test_nothing_a_student_gets_holds_a_secret(built):
    folders = [built / "notebooks", built / "build" / "nbgrader" / "release"]
    files = [
        f
        for folder in folders
        for f in folder.rglob("*")
        if f.is_file() and f.suffix in (".ipynb", ".py", ".json", ".md")
    ]
    assert len(files) > 3
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not [secret for secret in SECRETS if secret in text], file


def test_no_file_of_the_autograder_is_in_the_nbgrader_release(built):
    assert not list((built / "build" / "nbgrader" / "release").rglob("autograder*"))
    assert list((built / "build" / "nbgrader" / "release" / NAME / "helpers").rglob("start.py"))


def test_public_tests_are_written_and_hidden_ones_only_counted(built):
    text = (built / "notebooks" / "tests" / "q1_1.py").read_text()
    assert "test_small" in text
    assert "hidden=True" not in text
    assert json.loads((built / "notebooks" / "tests" / "hidden.json").read_text()) == {"q1_1": 1}


def test_the_number_of_every_function_is_written_for_its_sentence(built):
    numbers = json.loads((built / "helpers" / "notebook" / "exercises.json").read_text())
    assert numbers == {"double": "1.1"}


def test_the_first_code_cell_sets_up_and_the_last_hands_in(built):
    code = [c for c in read(built / FORMS[0]).cells if c.cell_type == "code"]
    assert code[0].id == "course-setup"
    assert f'COURSE_REPOSITORY = "{COURSE.repository}"' in code[0].source
    assert f'COURSE_TAG = "{COURSE.tag}"' in code[0].source
    assert code[0].source.endswith("grader = start(part=1)")
    assert code[-1].source == "from helpers.notebook.submission import submit\n\nsubmit(part=1)"


def test_training_cells_are_tagged_so_that_graders_leave_them_out(built):
    tags = {form: [c.metadata.get("tags", []) for c in read(built / form).cells] for form in FORMS}
    assert sum("otter_ignore" in t and "training" in t for t in tags[FORMS[0]]) == 1
    assert sum("skip-execution" in t and "training" in t for t in tags[FORMS[3]]) == 1


def test_nbgrader_cells(built):
    source, release = read(built / FORMS[2]), read(built / FORMS[3])
    graded = [c.metadata.nbgrader for c in release.cells if c.metadata.get("nbgrader", {}).get("grade")]
    assert [(m.grade_id, m.points, m.schema_version) for m in graded] == [
        ("q1_1-test-1", 1.0, 3),
        ("q1_1-test-2", 2.0, 3),
        ("w1_1-answer", 2.0, 3),
    ]
    assert "### BEGIN HIDDEN TESTS" in cell(source, "q1_1-test-2").source
    assert "RUBRIC-CANARY" in cell(source, "w1_1-answer").source
    assert cell(release, "w1_1-answer").source == "_Type your answer here, replacing this text._"
    assert not [c for c in release.cells if "grader.check" in c.source]


def test_the_gradescope_zip_is_pinned_complete_and_normalised(built):
    with zipfile.ZipFile(built / "build" / "otter" / "01.zip") as archive:
        names = archive.namelist()
        dates = {info.date_time for info in archive.infolist()}
        environment = archive.read("environment.yml").decode()
        test = archive.read("tests/q1_1.py").decode()
    assert names == sorted(names)
    assert dates == {(1980, 1, 1, 0, 0, 0)}
    assert "files/helpers/notebook/start.py" in names
    assert "files/autograder/reference/verify.py" in names
    assert "test_hidden_shape" in test
    packages = re.findall(r"^\s+- ([\w.\[\],-]+)(.*)$", environment.split("pip:")[1], re.MULTILINE)
    assert len(packages) > 8
    assert not [name for name, version in packages if not version.startswith("==")]
    assert re.search(r"- torch==\d", environment)


def test_outside_the_judges_folder_the_zip_holds_no_master_and_no_solution_notebook(built):
    """`course/` is the judge of Gradescope's container: it stays outside the sandbox, with the masters' tests."""
    with zipfile.ZipFile(built / "build" / "otter" / "01.zip") as archive:
        names = [n for n in archive.namelist() if not n.startswith("course/")]
    assert names
    assert not [n for n in names if "solutions" in n or n.endswith(("masters.py", ".ipynb"))]


@pytest.mark.slow
def test_building_twice_gives_the_same_bytes(built, tmp_path):
    build(masters_at={1: SAMPLE}, destination=tmp_path, course=COURSE)
    files = sorted(p.relative_to(built) for p in built.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    different = [str(f) for f in files if (built / f).read_bytes() != (tmp_path / f).read_bytes()]
    assert different == []


def test_a_changed_committed_file_is_named(built, tmp_path):
    shutil.copytree(built / "notebooks", tmp_path / "notebooks")
    shutil.copytree(built / "solutions", tmp_path / "solutions")
    shutil.copytree(built / "docs", tmp_path / "docs")
    shutil.copytree(built / "helpers", tmp_path / "helpers")
    assert difference(built, tmp_path, [1]) == []
    (tmp_path / PAGE).write_text("edited by hand")
    with (tmp_path / "notebooks" / "tests" / "q1_1.py").open("a") as file:
        file.write("# edited by hand\n")
    (tmp_path / "solutions" / f"{NAME}.ipynb").unlink()
    (tmp_path / "notebooks" / "tests" / "q1_9.py").write_text("stale")
    assert difference(built, tmp_path, [1]) == [
        "docs/exercises.md: differs from what the master gives",
        "notebooks/tests/q1_1.py: differs from what the master gives",
        "notebooks/tests/q1_9.py: no longer made by the masters",
        f"solutions/{NAME}.ipynb: missing",
    ]


def test_the_page_of_exercises_is_what_the_masters_give(built, root):
    """Each function once, with its points, signature and definition; no answer, no example, nothing of a hidden test."""
    assert (root / PAGE).read_text(encoding="utf-8") == exercises_page(all_masters()), "run `course build`"
    text = (built / PAGE).read_text(encoding="utf-8")
    assert text.count("### ") == 1
    assert "### q1_1 · `double` · 1 public, 2 hidden" in text
    assert 'def double(values):\n    """[N] -> [N]: twice each value."""\n```' in text
    assert not [secret for secret in SECRETS if secret in text]
    whole = exercises_page(all_masters())
    for question in (q for part in masters.existing_parts() for q in masters.load_questions(part) if q.function):
        (entry,) = re.findall(
            rf"^### {question.name} · `{question.function}`[^\n]*\n\n(.*?)^```python", whole, re.M | re.S
        )
        assert len(entry.split()) > 5, f"{question.name}: no definition before its first example"


def broken(tmp_path: Path, old: str, new: str) -> Path:
    text = SAMPLE.read_text()
    assert old in text
    path = tmp_path / "broken.py"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('q="q1_1"', 'q="q2_1"', "must begin with q1_"),
        ("# %% points=1", "# %% points=1 hidden=true", "needs a public test"),
        (
            "    # BEGIN SOLUTION\n    return values * 2  # the secret of the sample\n    # END SOLUTION\n",
            "    return 1\n",
            "in it",
        ),
        ("def double(values):\n", "limit = 3\ndef double(values):\n", "must stand alone"),
        ('success="Two numbers are doubled."', """success='Two "numbers".'""", "double quotes"),
        ("# **Exercise 1.1", f"# {'word ' * 30}\n# **Exercise 1.1", "characters of prose"),
    ],
)
def test_a_master_against_the_rules_is_refused(tmp_path, old, new, message):
    with pytest.raises(masters.MasterError, match=message):
        check_master(broken(tmp_path, old, new), 1)


def test_students_and_graders_install_no_instructors_tool():
    names = {line.split("=")[0] for line in grading_requirements()}
    assert "torch" in names
    assert not names & {"nbgrader", "jupytext", "typer", "distributed", "cryptography"}
    assert "nbgrader" not in student_requirements()
    assert "otter-grader==7.0.0" in student_requirements()


def test_the_hubs_image_installs_what_students_have(root):
    """Its Dockerfile cuts requirements.txt where `student_requirements` does: a reworded line would install all or nothing."""
    image = (root / "autograder" / "publish" / "hub_image.txt").read_text(encoding="utf-8")
    (words,) = re.findall(r"sed '/(.+)/,\$d' requirements\.txt", image)
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (cut,) = [number for number, line in enumerate(lines) if words in line]
    assert "".join(lines[:cut]).rstrip() + "\n" == student_requirements()


def test_pins_tell_patch_releases_apart():
    """Debian 12 has Python 3.11.2, for which soupsieve 4 does not exist."""
    assert pins("3.11.2")["soupsieve"] == pins("3.10")["soupsieve"] == "==2.10"
    assert pins("3.11.7")["soupsieve"] == pins("3.12")["soupsieve"] == "==4.1.2"


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_requirement_is_pinned_for_every_python(python, root):
    lines = [line.split(";")[0].strip() for line in (root / "requirements.txt").read_text().splitlines()]
    names = {re.split(r"[<>=]", line)[0].lower() for line in lines if line and not line.startswith("#")}
    missing = names - set(pins(python)) - {"tomli"}
    assert missing == set()


def test_colab_keeps_its_torch_and_otter_is_pinned(root):
    lines = [
        line for line in (root / "requirements-colab.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert not [line for line in lines if re.match(r"torch\b", line)]
    assert "otter-grader==7.0.0" in lines


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[course]\nname = "x"\n', "missing"),
        ('[course]\nname="x"\n[student_repository]\nurl="http://a b; rm"\ntag="v1"\n', "no https address"),
        (
            '[course]\nname="x"\n[student_repository]\nurl="https://example.org/a"\ntag="--upload-pack=x"\n',
            "no name of a tag",
        ),
    ],
)
def test_bad_course_settings_are_refused(tmp_path, text, message):
    path = tmp_path / "course.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_course(path)
