"""What a student's repository has around the notebooks: its README, and the files that Binder and a dev container read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from autograder import masters
from helpers.parts import PARTS, ROOT

from .addresses import host_of, launch_links
from .catch_up import file_name
from .settings import Course

TEMPLATE = Path(__file__).with_name("student_readme.md")
PICTURE = Path("docs", "part1.png")
ROW = re.compile(r"^\|[^|]*\|\s*`(\w+)`\s*\|([^|]*)\|(?:[^|]*\|)*?([^|]*)\|\s*$", re.MULTILINE)
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu"
IGNORED = (
    ".venv/", "__pycache__/", ".ipynb_checkpoints/", ".OTTER_LOG", "*.pyc", "*-submission*", "runs/", "checkpoints/", "build/",
    "before-release*/",
)  # fmt: skip

IN_COLAB = """\
## In Colab

Open a notebook with its badge in the table. Choose a GPU first: **Runtime > Change runtime type > T4 GPU**. Run the first cell
of the notebook: it fetches the rest of the course. Save a copy to your Drive (**File > Save a copy in Drive**), or your work is
lost when the session ends. On Kaggle, switch the network on in the settings at the right, then go on as in Colab. Binder has
no GPU and little memory: it is enough for a look."""

BY_UPLOAD = """\
## In Colab or on Kaggle

They open no notebooks from {host} by a link. Download a notebook from the folder `notebooks/` of this page. In Colab, take
**File > Upload notebook**, on Kaggle **File > Import Notebook** (and switch the network on in the settings at the right). Run
the first cell of the notebook: it fetches the rest of the course. In Colab choose a GPU first (**Runtime > Change runtime
type > T4 GPU**), and save a copy to your Drive (**File > Save a copy in Drive**), or your work is lost when the session ends."""

SPACE = """

[![A codespace on GitHub](https://github.com/codespaces/badge.svg)](https://codespaces.new/{path}) or any other tool for
dev containers installs everything in a container: see `.devcontainer/`."""

MORE_CATCH_UP = """

Where you could not finish an earlier part, go on with {files} in `notebooks/`: a later part takes from it
what your own notebook does not have. In Colab, upload it with the folder symbol on the left."""

MORE_SOLUTIONS = """

Solutions of parts that are over: {files}."""


def student_readme(
    course: Course, parts: Sequence[int], catch_up: Sequence[int] = (), solutions: Sequence[int] = ()
) -> str:
    """The README of the student repository.

    Args:
        course: the settings.
        parts: the parts whose notebooks are in it.
        catch_up: those whose functions go along.
        solutions: those whose solution notebook goes along.
    """
    host = host_of(course.repository)
    on_github = host == "github.com"
    path = course.repository.partition(f"{host}/")[2].removesuffix(".git")
    hosted = IN_COLAB + SPACE.format(path=path) if on_github else BY_UPLOAD.format(host=host or "a local folder")
    more = MORE_CATCH_UP.format(files=", ".join(f"`{file_name(part)}`" for part in catch_up)) if catch_up else ""
    if solutions:
        more += MORE_SOLUTIONS.format(files=", ".join(f"[`{f}`]({f})" for f in map(solution_name, solutions)))
    picture = f"\n![Part 1 in JupyterLab: text, an exercise and its check]({PICTURE.as_posix()})\n"
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=course.title,
        first=PARTS[parts[0]],
        table="\n".join(part_rows(course, parts)),
        picture=picture if (ROOT / PICTURE).exists() else "",
        hosted=hosted,
        tag=course.tag,
        repository=course.repository,
        elsewhere="Colab, or in a codespace" if on_github else "Colab",
        more=more,
    )


def solution_name(part: int) -> str:
    """Where a part's solution lies in the student repository."""
    return f"solutions/{PARTS[part]}.ipynb"


def part_rows(course: Course, parts: Sequence[int]) -> list[str]:
    """The table of parts: notebook, what students do, computing time, points, and badges of what opens it."""
    known = parts_in_readme((ROOT / "README.md").read_text(encoding="utf-8"))
    rows, linked = [], False
    for part in parts:
        notebook = f"notebooks/{PARTS[part]}.ipynb"
        what, seconds = known.get(part, ("", ""))
        links = launch_links(course.repository, course.tag, notebook)
        badges = " ".join(f"[![Part {part} in {name}]({badge})]({link})" for name, badge, link in links)
        linked = linked or bool(badges)
        tests, written = points(part)
        title = masters.read_title(masters.master_path(part))
        rows.append([f"[{title}]({notebook})", what, seconds, f"{tests:g} + {written:g}", badges])
    head = ["part", "what you do", "computing time", "points", "open in"]
    width = len(head) if linked else len(head) - 1
    table = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(row[:width])} |" for row in table]


def parts_in_readme(text: str) -> dict[int, tuple[str, str]]:
    """What students do in each part, and the computing time of its solution, from the table in the course's README."""
    numbers = {name: part for part, name in PARTS.items()}
    return {numbers[name]: (what.strip(), time.strip()) for name, what, time in ROW.findall(text) if name in numbers}


def points(part: int) -> tuple[float, float]:
    """A part's points by tests, and those given by hand."""
    questions = masters.load_questions(part)
    return sum(q.points for q in questions if not q.manual), sum(q.points for q in questions if q.manual)


def hosting_files() -> dict[str, str]:
    """The files that Binder and dev containers read, by path: both install the pinned versions, with PyTorch for the CPU."""
    install = f"pip install -r requirements.txt -c constraints.txt {CPU_WHEELS}"
    container = {
        "name": "course",
        "image": "mcr.microsoft.com/devcontainers/python:3.12",
        "hostRequirements": {"cpus": 2, "memory": "8gb"},
        "postCreateCommand": install,
        "customizations": {"vscode": {"extensions": ["ms-toolsai.jupyter", "ms-python.python"]}},
    }
    return {
        ".devcontainer/devcontainer.json": json.dumps(container, indent=2),
        ".binder/requirements.txt": f"{CPU_WHEELS}\n-r ../requirements.txt\n-c ../constraints.txt",
        ".binder/runtime.txt": "python-3.12",
        ".gitignore": "\n".join(IGNORED),
    }
