"""The house rules that a tool can check: what the linters see, who imports whom, how large a file may grow.

A list in this file is a list of exceptions; each has its reason beside it.
"""

from __future__ import annotations

import ast
import fnmatch
import graphlib
import re
import shutil
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy.main import process_options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "baseline",
    "reinforce",
    "kl",
    "dpo",
    "interpretability",
}  # helpers' folders that one part alone needs, in order
LONGEST = 400  # lines of a module
LONG = ("solutions/",)  # a master is a chapter of a book
NAMESAKES = {  # file names that stand more than once, and why
    "__init__.py": "a package",
    "__main__.py": "`python -m` of a package",
    "conftest.py": "pytest's",
    "data.py": "a recipe is named for the asset that it makes",
    "ioi.py": "a recipe is named for the asset that it makes",
    "quiz.py": "a recipe is named for the asset that it makes",
    "right.py": "a training step's right answers",
    "wrong_loss.py": "answers of a training step whose loss is wrong",
    "wrong_conduct.py": "answers of a training step that do something else wrong",
    "figures.py": "the figures of one part each, in the part's folder",
}


def written_by_hand() -> list[str]:
    """Every Python file of the repository, new ones included, but those that `course build` writes."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in names if not name.startswith("notebooks/") and (ROOT / name).is_file())


FILES = written_by_hand()
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


# --- what the linters see -------------------------------------------------------------------------------------------


def test_ruff_sees_every_file() -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    command = [ruff, "check", "--show-files", "."]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shown = {Path(path).relative_to(ROOT).as_posix() for path in output.splitlines()}
    assert set(FILES) <= shown
    masters = {name for name in FILES if name.startswith("solutions/")}
    assert SETTINGS["ruff"]["format"]["exclude"] == ["*.md", "solutions/*.py"], "the reasons stand in pyproject.toml"
    assert {name.removesuffix(".py") + ".ipynb" for name in masters} <= shown, (
        "the formatter reads a master's cells there"
    )


def test_mypy_sees_every_file() -> None:
    sources, _ = process_options(["--config-file", str(ROOT / "pyproject.toml"), *SETTINGS["mypy"]["files"]])
    assert set(FILES) <= {Path(source.path).as_posix() for source in sources if source.path}


def test_codespell_sees_every_file() -> None:
    patterns = SETTINGS["codespell"]["skip"].split(",")
    names = {
        name: (name, *Path(name).parts) for name in FILES
    }  # codespell compares a pattern with paths and with names
    assert not [n for n, parts in names.items() if any(fnmatch.fnmatch(part, p) for part in parts for p in patterns)]


def test_no_file_excuses_itself() -> None:
    excuse = re.compile(r"^# (ruff: noqa|flake8: noqa|mypy: ignore-errors|type: ignore)", re.MULTILINE)
    assert not [name for name in FILES if excuse.search((ROOT / name).read_text(encoding="utf-8"))]


# --- who imports whom -----------------------------------------------------------------------------------------------


def module_of(file: str) -> str:
    """The name by which a file is imported."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(file): ROOT / file for file in FILES}


def imports_of(module: str) -> Iterator[str]:
    """What a module imports, anywhere in its text: project modules by their full name, others as they are written."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                submodule = f"{origin}.{alias.name}"
                yield submodule if submodule in MODULES else origin


PRODUCT = [module for module in MODULES if module.split(".")[0] in ("helpers", "autograder")]
IMPORTS = {module: set(imports_of(module)) for module in PRODUCT}


def arrows(source: str, target: str) -> list[str]:
    """The imports from modules whose name matches one pattern to those that match the other."""
    return [
        f"{module} imports {other}"
        for module in PRODUCT
        for other in sorted(IMPORTS[module])
        if re.match(source + r"(\.|$)", module) and re.match(target + r"(\.|$)", other)
    ]


def test_imports_are_found() -> None:
    assert "helpers.models" in IMPORTS["helpers.generation"]  # from .models import …
    assert "helpers.worlds.small" in IMPORTS["autograder.reference.steps_dpo"]  # from helpers.worlds import small
    assert "trl" in IMPORTS["helpers.dpo.trl_beside"]  # inside a function


def test_no_import_circle() -> None:
    graph = {module: {other for other in IMPORTS[module] if other in IMPORTS} for module in PRODUCT}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"an import circle: {' ← '.join(error.args[1])}")


def test_helpers_never_imports_the_instructors_side() -> None:
    assert not arrows("helpers", "(autograder|tests|solutions|benchmarks)")


def test_the_product_never_imports_its_tests() -> None:
    assert not arrows("autograder", "(tests|solutions|benchmarks)")


def test_what_is_general_never_imports_a_parts_folder() -> None:
    """A world and a recipe belong to a part, so `worlds` and `assets` may; everything else in helpers serves all parts."""
    folders = "|".join(PARTS)
    assert not arrows(rf"helpers\.(?!{folders}|worlds|assets)\w+", rf"helpers\.({folders})")


def test_what_lies_in_the_sandbox_imports_nothing_of_the_judge() -> None:
    assert not arrows(r"autograder\.grade\.sandbox\.inside", r"autograder(?!\.grade\.sandbox\.inside)[\w.]*")


# --- words ----------------------------------------------------------------------------------------------------------


def test_docstrings_speak_one_dialect() -> None:
    """Code in a docstring or a comment stands between single backticks, without Sphinx's roles."""
    other = re.compile(r"(?<!`)``(?!`)|:(func|class|mod|meth|attr):`")
    wrong = []
    for name in FILES:
        with (ROOT / name).open("rb") as file:
            tokens = [t for t in tokenize.tokenize(file.readline) if t.type in (tokenize.COMMENT, tokenize.STRING)]
        texts = [t for t in tokens if t.type == tokenize.COMMENT or t.string.startswith('"""')]
        wrong += [f"{name}:{t.start[0]}" for t in texts if other.search(t.string) and not name.startswith(LONG)]
    assert not wrong


# --- names and sizes ------------------------------------------------------------------------------------------------


def test_no_folder_has_a_name_that_tools_leave_out() -> None:
    assert not [name for name in FILES if {"build", "dist", "venv", "site-packages"} & set(Path(name).parts)]


def test_every_package_says_what_it_is_for() -> None:
    folders = {Path(name).parent for name in FILES if name.split("/")[0] in ("helpers", "autograder", "benchmarks")}
    for folder in folders:
        text = (ROOT / folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), f"{folder}/__init__.py has no docstring"


def test_every_module_says_what_it_is_for() -> None:
    for module in PRODUCT:
        assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8"))), f"{module} has no docstring"


def test_no_module_is_too_long() -> None:
    lengths = {name: (ROOT / name).read_text(encoding="utf-8").count("\n") for name in FILES}
    assert not {name: n for name, n in lengths.items() if n > LONGEST and not name.startswith(LONG)}


def test_one_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name in FILES:
        if not name.startswith(LONG):
            places[Path(name).name].append(name)
    assert not {name: found for name, found in places.items() if len(found) > 1 and name not in NAMESAKES}
    assert not [name for name in NAMESAKES if len(places[name]) < 2], "this exception is not needed any more"


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in PRODUCT:
        tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert not {name: found for name, found in places.items() if len(found) > 1}


@pytest.mark.parametrize("folder", ["", "notebooks/", "solutions/"])
def test_what_a_session_leaves_is_not_committed(folder: str) -> None:
    """`git add -A` after a run: weights, checkpoints and kept completions stay out, whichever folder it ran in."""
    left = [f"{folder}runs/{name}" for name in ("pairs/completions_1.json", "reinforce/x.safetensors", "frontier.json")]
    ignored = subprocess.run(["git", "check-ignore", "--no-index", *left], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.split() == left


def test_the_tests_of_a_group_are_run_by_one_worker(tmp_path: Path) -> None:
    """They share what is made once, which takes a minute; a pytest that xdist does not know yet spreads them in silence."""
    (tmp_path / "test_grouped.py").write_text(
        "import os, pathlib, pytest\n"
        "@pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('number', range(6))\n"
        "def test_grouped(number):\n"
        "    with open(pathlib.Path(__file__).with_name('workers'), 'a') as file:\n"
        "        print(os.environ['PYTEST_XDIST_WORKER'], file=file)\n"
    )
    line = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "."]
    run = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert len(set((tmp_path / "workers").read_text().split())) == 1
