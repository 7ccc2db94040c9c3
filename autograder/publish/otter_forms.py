"""Run `otter assign` on a master and take its results: student notebook, public tests, solution notebook, zip."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import masters
from autograder.masters import Question
from autograder.stamps import files_below
from helpers.notebook.places import HANDED_OUT, fingerprint
from helpers.parts import ANSWER_PLACEHOLDER, PARTS, ROOT

from .compose import nbgrader_source, otter_master, rubric_text
from .gradescope_zip import with_grader
from .normalise import clean_notebook, copy_tree, pack, write_json, write_notebook, write_text
from .settings import Course, pins

SOLUTION_TAG = "otter_assign_solution_cell"
ANSWER_TAG = "otter_answer_cell"
QUESTION = r"[qw]\d+_\w+"  # a question's name, with which the ids of its cells begin
NOT_FOR_GRADING = ("assets/recipes",)  # the recipe of the models: hours of training, of no use to a grader
STUDENTS_ONLY = (
    "notebook/exercises.json",
    "notebook/questions.json",
    "notebook/handed_out",
)  # built of the masters: no mark depends on them


class BuildError(RuntimeError):
    """A form could not be built; the message says which and why."""


def run_tool(command: list[str], folder: Path, what: str, *, project_on_path: bool = True) -> str:
    """Run another tool's command line in a folder; its output is part of the error if it fails."""
    environment = {**os.environ, "JUPYTER_NO_CONFIG": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    environment.pop("PYTHONPATH", None)
    if project_on_path:
        environment["PYTHONPATH"] = str(ROOT)
    # nbgrader calls `alembic` by name: it must be found even where the environment is not activated
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", env=environment)
    if done.returncode != 0:
        raise BuildError(f"{what} failed:\n{(done.stdout + done.stderr).strip()[-4000:]}")
    return done.stdout + done.stderr


def build_otter_forms(path: Path, part: int, course: Course, work: Path, out: Path, *, archive: bool = True) -> None:
    """Build a part's student notebook, public tests, solution and (with `archive`) Gradescope zip below `out`."""
    name = PARTS[part]
    questions = masters.load_questions_from(path, part)
    staged = work / "otter"
    write_notebook(otter_master(path, part, course), staged / f"{name}.ipynb")
    if archive:
        stage_grading_files(questions, staged)
    else:  # otter wants the folders it is told to pack
        for folder in ("helpers", "autograder"):
            (staged / folder).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "otter", "assign", f"{name}.ipynb", "dist", "--no-run-tests", "--no-pdfs"]
    run_tool(command, staged, f"otter assign for part {part}")
    student, instructor = staged / "dist" / "student", staged / "dist" / "autograder"
    handed_out = student_notebook(read(student / f"{name}.ipynb"))
    write_notebook(handed_out, out / "notebooks" / f"{name}.ipynb")
    known = fingerprints(handed_out, nbgrader_source(path, part, course))
    write_json(out / "helpers" / "notebook" / HANDED_OUT.name / f"{name}.json", known)
    for test in sorted((student / "tests").glob("*.py")):
        write_text(out / "notebooks" / "tests" / test.name, test.read_text(encoding="utf-8"))
    solution = solution_notebook(read(instructor / f"{name}.ipynb"), {q.name: q for q in questions})
    write_notebook(solution, out / "solutions" / f"{name}.ipynb")
    if archive:
        (made,) = instructor.glob("*.zip")
        normalise_archive(made, out / "build" / "otter" / f"{part:02d}.zip", path)


def read(path: Path) -> NotebookNode:
    """A notebook as otter wrote it."""
    return nbformat.read(path, as_version=4)


def name_generated_cells(notebook: NotebookNode) -> None:
    """Give the cells that otter adds (answer and check cells) ids that do not change from build to build."""
    question = ""
    for cell in notebook.cells:
        if match := re.match(rf"({QUESTION})-", cell.id):
            question = match.group(1)
        if cell.cell_type == "code" and (match := re.fullmatch(r'grader\.check\("(\w+)"\)', cell.source.strip())):
            cell["id"] = f"{match.group(1)}-check"
        elif cell.cell_type == "markdown" and cell.source.startswith(ANSWER_PLACEHOLDER):
            cell["id"] = f"{question}-answer"
        elif cell.cell_type == "markdown" and re.fullmatch(r"<!-- (BEGIN|END) QUESTION -->", cell.source.strip()):
            cell["id"] = f"{question}-{'begin' if 'BEGIN' in cell.source else 'end'}"


def tidy_markers(notebook: NotebookNode) -> None:
    """Take out what otter leaves for its own PDF export: the comments around written questions and emptied cells."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            plain = re.sub(r"^(<!-- (BEGIN|END) QUESTION -->\s*)+", "", cell.source)
            if plain != cell.source and not re.match(rf"{QUESTION}-text|course-", cell.id):
                cell.metadata.pop("editable", None)  # locked by otter only because its comment stood there
                cell.metadata.pop("deletable", None)
            cell.source = plain
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]


def student_notebook(notebook: NotebookNode) -> NotebookNode:
    """The student's notebook, from otter's."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if SOLUTION_TAG in tags:
            cell.metadata.tags = [ANSWER_TAG if tag == SOLUTION_TAG else tag for tag in tags]
    name_generated_cells(notebook)
    tidy_markers(notebook)
    return clean_notebook(notebook)


def fingerprints(student: NotebookNode, nbgrader: NotebookNode) -> dict[str, list[str]]:
    """By cell id, what `helpers.notebook.places` knows an untouched notebook by; of nbgrader's source no solution."""
    known: dict[str, set[str]] = {}
    cells = [cell for cell in nbgrader.cells if "nbgrader" not in cell.metadata]
    for cell in [*student.cells, *cells]:
        known.setdefault(cell.id, set()).add(fingerprint(cell.cell_type, cell.source))
    return {name: sorted(texts) for name, texts in known.items() if not name.startswith("course-")}


def solution_notebook(notebook: NotebookNode, questions: dict[str, Question]) -> NotebookNode:
    """The solution notebook, from otter's: marker lines out, sample answers named, rubrics after them."""
    name_generated_cells(notebook)
    tidy_markers(notebook)
    cells = []
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag not in (SOLUTION_TAG, ANSWER_TAG)]
        is_solution = SOLUTION_TAG in cell.metadata.get("tags", [])
        cell.metadata.pop("tags", None)
        if tags:
            cell.metadata.tags = tags
        if cell.cell_type == "code" and (is_solution or masters.has_solution(cell.source)):
            cell.source = masters.strip_markers(cell.source)
        question = questions.get(cell.id.split("-")[0])
        if question and question.manual and cell.id == f"{question.name}-answer":
            continue  # the student's empty answer cell, beside the sample answer
        if question and question.manual and cell.id == f"{question.name}-sample":
            cell.source = f"**Sample answer**\n\n{cell.source}"
        cells.append(cell)
        if question and question.manual and cell.id == last_sample(notebook, question):
            cells.append(nbformat.v4.new_markdown_cell(rubric_text(question), id=f"{question.name}-rubric"))
    notebook.cells = cells
    return clean_notebook(notebook)


def last_sample(notebook: NotebookNode, question: Question) -> str:
    """The id of the last cell of a written question's sample answer."""
    return [cell.id for cell in notebook.cells if cell.id.startswith(f"{question.name}-sample")][-1]


# ------------------------------------------------------------------------------------- the Gradescope zip


def stage_grading_files(questions: list[Question], staged: Path) -> None:
    """Put beside the master what the hidden tests import: the helpers, and the judging half of `autograder`."""
    copy_tree(ROOT / "helpers", staged / "helpers", without=(*NOT_FOR_GRADING, *STUDENTS_ONLY))
    for module in judging_modules(questions):
        target = staged / "autograder" / module.relative_to(ROOT / "autograder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(module.read_bytes())


def judging_modules(questions: list[Question]) -> list[Path]:
    """The files of `autograder` that hidden tests need: what they import, what that imports, and the references."""
    package = ROOT / "autograder"
    found = {package / "__init__.py"} | set(files_below(package / "reference"))
    waiting = [test.source for question in questions for test in question.tests]
    waiting += [file.read_text(encoding="utf-8") for file in found if file.suffix == ".py"]
    while waiting:
        for module in imported_modules(waiting.pop()):
            if module not in found:
                found.add(module)
                waiting.append(module.read_text(encoding="utf-8"))
    return sorted(found)


def imported_modules(source: str) -> list[Path]:
    """The modules of `autograder` that a piece of code imports, at its top or inside a function."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    paths = []
    for name in names:
        if name.split(".")[0] == "autograder":
            base = ROOT.joinpath(*name.split("."))
            paths += [p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()]
    return paths


def normalise_archive(made: Path, target: Path, master: Path) -> None:
    """Write otter's zip again with the grader of record in it, and with fixed dates, order and modes.

    Every requirement in it must be pinned.
    """
    with zipfile.ZipFile(made) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    entries = with_grader(entries, master, int(target.stem), pins())
    loose = re.findall(
        r"^\s*- ([A-Za-z][\w.-]*)\s*$", entries["environment.yml"].decode().split("pip:")[-1], re.MULTILINE
    )
    if loose:
        raise BuildError(f"the Gradescope image would install unpinned packages: {', '.join(loose)}")
    pack(entries, target)
