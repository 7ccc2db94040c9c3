"""`course release DIR`: exactly what a student gets, ready to be pushed to the student repository."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from autograder import masters
from helpers.parts import PARTS, ROOT

from .catch_up import catch_up_notebook, file_name, still_open
from .normalise import copy_tree, write_notebook, write_text
from .otter_forms import NOT_FOR_GRADING
from .settings import Course, load_course, student_requirements

FILES = ("constraints.txt", "requirements-colab.txt", "LICENSE", "LICENSE-PROSE")
KEPT = {".git", ".github"}  # what a release leaves alone in its folder
MARK = ".course-release"

README = """\
# {name}

Five notebooks in which you steer a language model by reward. Start with `notebooks/{first}.ipynb`.

## In Colab

{colab}

Choose a GPU first: **Runtime > Change runtime type > T4 GPU**. Run the first cell of the notebook: it fetches the rest of
the course. Save a copy to your Drive (**File > Save a copy in Drive**), or your work is lost when the session ends.

## On your own machine

You need Python 3.10 to 3.13. No GPU and, after the installation, no network is needed.

```
git clone --branch {tag} {repository} course
cd course
python3 -m venv .venv
. .venv/bin/activate          # Windows: .venv\\Scripts\\activate
pip install -r requirements.txt -c constraints.txt
jupyter lab notebooks
```

On Linux without an NVIDIA card, add `--extra-index-url https://download.pytorch.org/whl/cpu` to the line with `pip`: it saves
several GB. PyTorch has no packages for Macs with an Intel processor any more: use Colab there.

## Working and handing in

Write your answers where the notebook says so, and run the check cell below each exercise: it runs the public tests and
says what is wrong. Hidden tests run at grading. The last cell of a notebook makes the file that you hand in. Keep the
notebooks of all parts in one folder: Part 3 uses functions that you wrote in Part 2.{catch_up}

More help: `docs/students.md`. The code is under the MIT licence, the text under CC BY 4.0.
"""


CATCH_UP = """

Where you could not finish an earlier part, go on with {files} in `notebooks/`: a later part takes from it
what your own notebook does not have. In Colab, upload it with the folder symbol on the left."""


class ReleaseError(RuntimeError):
    """The release was not written; the message says why and what to do."""


def write_release(
    folder: Path, *, force: bool = False, course: Course | None = None, catch_up: Sequence[int] = ()
) -> list[Path]:
    """Write the student repository's content to a folder: notebooks, public tests, helpers, requirements, README.

    A folder that an earlier release filled is brought up to date: files that are no longer part of it go.

    Args:
        folder: where to write.
        force: write into a folder that holds other files.
        course: the settings; those of `course.toml` by default.
        catch_up: parts whose solved functions go out as well.

    Returns:
        The files written, relative to the folder.

    Raises:
        ReleaseError: if the folder holds something else, the notebooks are not built, or a part to catch up with is not
            over.
    """
    course = course or load_course()
    parts = [part for part in masters.existing_parts() if (ROOT / "notebooks" / f"{PARTS[part]}.ipynb").exists()]
    if not parts:
        raise ReleaseError("no student notebook is built yet: run `course build` first")
    for part, end in still_open(catch_up).items():
        raise ReleaseError(
            f"Part {part} may be handed in until {end:%Y-%m-%d %H:%M %Z}: its functions go out after that"
        )
    solved = {part: catch_up_notebook(part) for part in sorted(set(catch_up))}
    kept_out = [ROOT, *(ROOT / name for name in ("solutions", "notebooks", "helpers", "autograder", "tests", "docs"))]
    if folder.resolve() in kept_out or folder.resolve() in ROOT.parents:
        raise ReleaseError(f"{folder} is the instructor's own repository: choose another folder")
    present = [path for path in folder.iterdir() if path.name not in KEPT] if folder.exists() else []
    if present and not (folder / MARK).exists() and not force:
        raise ReleaseError(
            f"{folder} is not empty, and no earlier release made it: choose another folder, or give --force"
        )
    for path in present if (folder / MARK).exists() else []:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    copy_tree(ROOT / "notebooks" / "tests", folder / "notebooks" / "tests")
    for part in parts:
        shutil.copyfile(ROOT / "notebooks" / f"{PARTS[part]}.ipynb", folder / "notebooks" / f"{PARTS[part]}.ipynb")
    for part, notebook in solved.items():
        write_notebook(notebook, folder / "notebooks" / file_name(part))
    copy_tree(ROOT / "helpers", folder / "helpers", without=NOT_FOR_GRADING)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copyfile(ROOT / name, folder / name)
    write_text(folder / "requirements.txt", student_requirements())
    students = ROOT / "docs" / "students.md"
    if students.exists():
        write_text(folder / "docs" / "students.md", students.read_text(encoding="utf-8"))
    write_text(folder / "README.md", student_readme(course, parts, list(solved)))
    write_text(
        folder / ".gitignore",
        ".venv/\n__pycache__/\n.ipynb_checkpoints/\n.OTTER_LOG\n*-submission.zip\nnotebooks/runs/\n",
    )
    write_text(folder / MARK, f"Written by `course release`. Tag: {course.tag}")
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts[:-1])


def student_readme(course: Course, parts: list[int], catch_up: Sequence[int] = ()) -> str:
    """The README of the student repository."""
    rows = ["| part | in Colab |", "| --- | --- |"]
    slug = course.repository.removeprefix("https://github.com/")
    for part in parts:
        title = masters.read_title(masters.master_path(part))
        address = f"https://colab.research.google.com/github/{slug}/blob/{course.tag}/notebooks/{PARTS[part]}.ipynb"
        rows.append(f"| {title} | [open]({address}) |")
    return README.format(
        name=course.name,
        first=PARTS[parts[0]],
        colab="\n".join(rows),
        tag=course.tag,
        repository=course.repository,
        catch_up=CATCH_UP.format(files=", ".join(f"`{file_name(part)}`" for part in catch_up)) if catch_up else "",
    )
