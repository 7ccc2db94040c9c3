"""What Sphinx reads: the notebooks with their figures, the docs, a page for each command, and the pages that lead to them.

The folder is laid out like the repository, so that a link from one page to another holds here as it does there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import masters
from autograder.publish.settings import load_course
from autograder.rehearse.run import Execution, executed_path, load_execution
from helpers.parts import PARTS, ROOT

SITE = ROOT / "build" / "site"
SOLUTIONS_SITE = ROOT / "build" / "site-solutions"
MARK = ".course-site"  # in a folder that this command wrote: which of the two sites it holds
CONF = Path(__file__).parent
WARNING = "Instructor's build: these pages show the solutions. Do not publish them."
WELCOME = (
    "A course in five notebooks. You take a small language model, steer it by reward, watch it cheat, "
    "and look inside a transformer to see how it does what it does."
)
DRAWN = ("image/png", "image/svg+xml", "image/jpeg")
SHOWN = (*DRAWN, "text/html", "text/plain")
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)\s]*)?\)")
SECTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "parts": ("The five parts", "The notebooks, to read. To work on one, open it in JupyterLab or in Colab.", ()),
    "look-up": (
        "Look up",
        "What words and letters mean, what was cited, and what each exercise asks for.",
        ("docs/glossary", "docs/notation", "docs/formulas", "docs/bibliography", "docs/exercises"),
    ),
    "guides": (
        "Guides",
        "For students, for assistants, and for those who hand the course out and grade it.",
        ("docs/students", "docs/teaching-assistants", "docs/instructors", "docs/instructors-grading", "docs/cluster"),
    ),
    "commands": ("Commands", "The instructor's command line: what `course COMMAND --help` says.", ()),
    "contributing": (
        "Contributing",
        "How the course is made, and how to change it.",
        ("CONTRIBUTING", "docs/architecture", "CHANGELOG"),
    ),
}  # in the order of the site's head: title, a sentence, pages; a doc that stands nowhere here is a contributor's


class SiteError(ValueError):
    """The site cannot be built; the message says what to do."""


@dataclass(frozen=True)
class Site:
    """What was built: the folder, Sphinx's complaints, and the parts without figures because nothing has run them."""

    folder: Path
    warnings: list[str]
    without_figures: list[int]


def build_site(folder: Path | None = None, *, solutions: bool = False, parts: Sequence[int] | None = None) -> Site:
    """Build the site; nothing is executed and nothing fetched.

    Args:
        folder: where to write; `build/site` by default, `build/site-solutions` with solutions.
        solutions: the instructor's site, with the solutions and all they print.
        parts: the parts to show; all by default.

    Raises:
        SiteError: Sphinx is not installed or failed, or the folder holds something else.
        FileNotFoundError: a notebook is not built.
    """
    if not all(find_spec(name) for name in ("myst_nb", "pydata_sphinx_theme", "ziamath")):
        raise SiteError("the site needs Sphinx: pip install -e '.[site]' -c constraints.txt (Python 3.11 or newer)")
    folder = (folder or (SOLUTIONS_SITE if solutions else SITE)).resolve()
    claim(folder, "solutions" if solutions else "student")
    chosen = list(parts or masters.existing_parts())
    with tempfile.TemporaryDirectory() as work:
        source, complaints = Path(work, "source"), Path(work, "warnings.txt")
        stage(source, chosen, solutions=solutions)
        options = ["-q", "-c", str(CONF), "-d", str(Path(work, "doctrees")), "-w", str(complaints)]
        options += ["-D", f"html_theme_options.announcement={WARNING}"] if solutions else []
        done = run_python(["-m", "sphinx", *options, str(source), str(folder)])
        if done.returncode != 0:
            raise SiteError(f"Sphinx failed:\n{done.stderr.strip()[-2000:]}")
        lines = complaints.read_text(encoding="utf-8").replace(f"{source}/", "").splitlines()
    return Site(folder, [line for line in lines if line], [n for n in chosen if load_execution(n) is None])


def run_python(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run this Python in the repository, in UTF-8: typer writes pages in the machine's encoding, which may lack signs."""
    variables = {**os.environ, "PYTHONUTF8": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, encoding="utf-8", errors="replace")


def claim(folder: Path, kind: str) -> None:
    """Mark a folder as this site's, if it is empty or is this site's already.

    Raises:
        SiteError: it holds other files, or the site of the other kind, whose pages must not be mixed with these.
    """
    mark = folder / MARK
    held = mark.read_text(encoding="utf-8").strip() if mark.exists() else None
    present = [path.name for path in folder.iterdir() if path.name != ".git"] if folder.exists() else []
    if present and held != kind:
        what = f"the {held} site" if held else "files that are no site"
        raise SiteError(f"{folder} holds {what}: choose another folder, or empty this one")
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(kind + "\n", encoding="utf-8")


def stage(source: Path, parts: Sequence[int], *, solutions: bool) -> None:
    """Write everything that Sphinx reads to a folder."""
    pages = {name: list(listed) for name, (_, _, listed) in SECTIONS.items()}
    for part in parts:
        write(source / "notebooks" / f"{PARTS[part]}.ipynb", nbformat.writes(part_page(part, solutions=solutions)))
        pages["parts"].append(f"notebooks/{PARTS[part]}")
    docs = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
    listed = {name for names in pages.values() for name in names}
    for path in docs:
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        write(source / f"{name}.md", path.read_text(encoding="utf-8"))
        if name not in listed:
            pages["contributing"].insert(-1, name)
    for command, text in command_pages().items():
        write(source / "commands" / f"{command}.md", text)
        pages["commands"].append(f"commands/{command}")
    for name, (title, sentence, _) in SECTIONS.items():
        write(source / f"{name}.md", f"# {title}\n\n{sentence}\n\n{toctree(pages[name])}")
    write(source / "index.md", front_page(parts))
    copy_linked(source)


def write(path: Path, text: str) -> None:
    """Write a text file into a folder that need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def anchor(heading: str) -> str:
    """What a link to a heading ends in: as on GitHub, but for a notebook's numbered section, whose number is enough (`#2.5`)."""
    number = re.match(r"\d+\.\d+(?= )", heading)
    return number.group() if number else re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def toctree(names: Iterable[str], *, hidden: bool = False) -> str:
    """A list of pages as MyST writes it: shown here, in the navigation, and as previous and next."""
    options = ":hidden:\n" if hidden else ":maxdepth: 1\n"
    return f"```{{toctree}}\n{options}\n" + "\n".join(f"/{name}" for name in names) + "\n```\n"


def front_page(parts: Sequence[int]) -> str:
    """The first page: what the course is, its parts, and where to go."""
    course = load_course()
    rows = [f"1. [{masters.read_title(masters.master_path(n))}](notebooks/{PARTS[n]}.ipynb)" for n in parts]
    rest = [f"- [{title}]({name}.md): {text}" for name, (title, text, _) in SECTIONS.items() if name != "parts"]
    return "\n".join([f"# {course.title}", "", WELCOME, "", *rows, "", *rest, "", toctree(SECTIONS, hidden=True)])


def part_page(part: int, *, solutions: bool) -> NotebookNode:
    """A part's notebook as it is shown: the student's with the figures of the last run, or the solution with all it prints.

    Raises:
        FileNotFoundError: if the notebook is not built.
    """
    name, run = PARTS[part], load_execution(part)
    path = ROOT / ("solutions" if solutions else "notebooks") / f"{name}.ipynb"
    if not path.exists():
        raise FileNotFoundError(f"{path.relative_to(ROOT)} is not built yet: run `course build` first")
    notebook = nbformat.read(path, as_version=4)
    executed = nbformat.read(executed_path(part), as_version=4).cells if run else []
    outputs = {(cell.id, cell.source): cell.outputs for cell in executed if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code":  # one that differs in the student's notebook holds an answer, and shows nothing
            found = outputs.get((cell.id, cell.source), [])
            cell.outputs = found if solutions else figures(found)
        if cell.id == "course-setup":
            cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-input"]
    title, _, text = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n\n{origin(part, run, solutions=solutions)}\n{text}"
    return notebook


def figures(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """The outputs that are figures, with their alternative texts."""
    drawn = [output for output in outputs if any(kind in output.get("data", {}) for kind in DRAWN)]
    for output in drawn:
        output.data = {kind: data for kind, data in output.data.items() if kind in SHOWN}
    return drawn


def origin(part: int, run: Execution | None, *, solutions: bool) -> str:
    """The note at the head of a part: which notebook it is, and where its figures come from."""
    what = "the solution of" if solutions else "the notebook"
    told = "It has not been run yet, so it has no figures."
    if run:
        told = f"The figures come from a run of the solution with the preset `{run.preset}`"
        told += " and small sizes: they show what there is to see, not what is learnt." if run.fast else "."
    return f"```{{note}}\nThis page is {what} `{PARTS[part]}.ipynb`, to read. {told}\n```"


def command_pages() -> dict[str, str]:
    """A Markdown page for each command, by its name: typer's own documentation of the command line as it is now."""
    with tempfile.TemporaryDirectory() as work:
        page = Path(work, "commands.md")
        arguments = ["-m", "typer", "autograder.cli", "utils", "docs", "--name", "course", "--output", str(page)]
        done = run_python(arguments)
        if done.returncode != 0:
            raise SiteError(f"typer could not describe the commands:\n{done.stderr.strip()[-2000:]}")
        _, *sections = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {re.sub(r"`course (.+)`", r"\1", text.splitlines()[0]): text for text in sections}
    return {name: f"# {text}" for name, text in named.items()}


def copy_linked(source: Path) -> None:
    """Copy the files of the repository that a page links to and that are no pages: a picture, a setting."""
    for page in source.rglob("*.md"):
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            wanted = ROOT / page.parent.relative_to(source) / target
            copy = page.parent / target
            if wanted.is_file() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(wanted, copy)
