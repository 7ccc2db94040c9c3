"""What makes a result out of date: every kind of file that decides it, and none that does not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autograder import masters, stamps
from helpers.parts import PARTS

PART = 4
NAME = PARTS[PART]
NOTEBOOK, SOLUTION, MASTER = f"notebooks/{NAME}.ipynb", f"solutions/{NAME}.ipynb", f"solutions/{NAME}.py"
ARCHIVE = f"build/otter/0{PART}.zip"
NEW = "helpers/new.py"  # a file that is not there yet

WORLD, SELECTION, ASSET = (
    "helpers/worlds/dpo.py",
    "helpers/notebook/selection.py",
    "helpers/assets/policy/model.safetensors",
)
FIGURES, CARD, RECIPE = "helpers/dpo/figures.py", "helpers/assets/policy/README.md", "helpers/assets/recipes/policy.py"

DECIDES = {
    "marks": [
        WORLD, SELECTION, ASSET, NEW, "helpers/assets/data/prompts.parquet", "helpers/models.py",
        "helpers/notebook/carry.py", "helpers/baseline/transformer_picture.py", "autograder/testing.py",
        "autograder/reference/verify.py", "autograder/reference/steps_dpo.py", f"autograder/reference/part{PART}.py",
        "autograder/grade/judging/judge.py", "autograder/grade/judging/standins.py", "autograder/grade/limits.py",
        "autograder/grade/sandbox/bubblewrap.py", "autograder/grade/sandbox/inside/child.py",
        "autograder/grade/intake/notebook.py",
    ],
    "check": [NOTEBOOK, SOLUTION, ARCHIVE, WORLD, SELECTION, ASSET, f"autograder/reference/part{PART}.py"],
    "executed": [SOLUTION, "solutions/01_baseline.ipynb", FIGURES, ASSET, NEW, "constraints.txt"],
    "build": [
        MASTER, NOTEBOOK, SOLUTION, ARCHIVE, "notebooks/tests/hidden.json", "notebooks/tests/q4_1.py",
        "docs/exercises.md",
        f"build/nbgrader/source/{NAME}/{NAME}.ipynb", f"build/nbgrader/release/{NAME}/{NAME}.ipynb", "course.toml",
        "requirements.txt", "constraints.txt", NEW, CARD, "autograder/publish/compose.py",
        "autograder/publish/nbgrader_config.py.txt", "autograder/grade/results/templates/base.html.j2",
        f"autograder/reference/tensors/part{PART}.safetensors",
    ],
}  # fmt: skip
DECIDES_NOT = {
    "marks": [
        "README.md", FIGURES, CARD, RECIPE, NOTEBOOK, "helpers/plots.py", "helpers/notebook/submission.py",
        "helpers/notebook/grader.py", "helpers/notebook/exercises.json", "helpers/__pycache__/data.pyc",
        "autograder/reference/part5.py",
        "autograder/publish/compose.py", "autograder/rehearse/check.py", "autograder/cli.py", "solutions/05_interpretability.py",
    ],
    "check": ["README.md", FIGURES, CARD, RECIPE, "autograder/publish/compose.py"],
    "executed": ["README.md", CARD, RECIPE, "solutions/05_interpretability.ipynb", "autograder/testing.py"],
    "build": ["README.md", RECIPE, "solutions/05_interpretability.py", "notebooks/05_interpretability.ipynb"],
}  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what stamps look at, with stand-ins for what a build makes."""
    folder = tmp_path_factory.mktemp("stamps")
    for name in ("helpers", "autograder", "solutions", "notebooks"):
        shutil.copytree(stamps.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("course.toml", "requirements.txt", "constraints.txt", "README.md"):
        shutil.copyfile(stamps.ROOT / name, folder / name)
    return folder


@pytest.fixture(autouse=True)
def there(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "ROOT", tree)
    monkeypatch.setattr(masters, "SOLUTIONS", tree / "solutions")


def stamp(kind: str) -> str:
    settings = {"fast": True, "preset": "tiny"} if kind == "executed" else {}
    return getattr(stamps, kind)(PART, **settings)


@contextmanager
def changed(tree: Path, name: str) -> Iterator[None]:
    """A file with one byte more, for a while."""
    file = tree / name
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes((before or b"") + b"\n")
    yield
    file.unlink() if before is None else file.write_bytes(before)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in DECIDES for name in DECIDES[kind]])
def test_a_byte_of_what_decides_counts(tree: Path, kind: str, name: str) -> None:
    before = stamp(kind)
    with changed(tree, name):
        assert stamp(kind) != before
    assert stamp(kind) == before


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in DECIDES_NOT for name in DECIDES_NOT[kind]])
def test_a_byte_of_anything_else_does_not(tree: Path, kind: str, name: str) -> None:
    before = stamp(kind)
    with changed(tree, name):
        assert stamp(kind) == before


def test_of_a_master_a_test_decides_marks_and_prose_does_not(tree: Path) -> None:
    master, before = tree / MASTER, stamp("marks")
    text = master.read_text(encoding="utf-8")
    master.write_text(text.replace("# %% [markdown]\n", "# %% [markdown]\n# More prose.\n", 1), encoding="utf-8")
    assert stamp("marks") == before
    master.write_text(text.replace("    assert ", "    assert True and ", 1), encoding="utf-8")
    assert stamp("marks") != before
    master.write_text(text, encoding="utf-8")


def test_size_and_preset_decide_an_executed_notebook() -> None:
    kinds = [(False, "tiny"), (True, "tiny"), (False, "smollm2")]
    assert len({stamps.executed(PART, fast=fast, preset=preset) for fast, preset in kinds}) == 3


def test_every_file_that_the_lists_name_is_there(tree: Path) -> None:
    """A file that was moved or renamed must not stay in a list, where it would protect nothing."""
    every = [path.relative_to(tree).as_posix() for path in stamps.files_below(tree)]
    for place in (*stamps.BUILT_FROM, *stamps.JUDGED_BY):
        assert (tree / place).exists(), place
    for pattern in stamps.DECIDES_NO_MARK:
        assert any(stamps.fnmatch(name, pattern) for name in every), pattern
