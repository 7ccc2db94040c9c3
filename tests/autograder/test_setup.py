"""The first cell: on a laptop, in a simulated Colab and on a simulated Kaggle."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from autograder.publish.cells import setup_cells
from helpers.notebook import grader, start, versions

from .conftest import COURSE

FAKE_GIT = """#!/bin/sh
echo "$@" >> "$FAKE_LOG/git.txt"
if [ -n "$FAKE_GIT_FAILS" ]; then echo "fatal: could not resolve host" >&2; exit 128; fi
for last in "$@"; do :; done
mkdir -p "$last/notebooks/tests"
cp -r "$FAKE_COURSE/helpers" "$last/helpers"
cp "$FAKE_COURSE"/requirements*.txt "$last/"
cp "$FAKE_COURSE/tests_for_students/"* "$last/notebooks/tests/"
"""
FAKE_PIP = """
import json, os, sys
from pathlib import Path
arguments = sys.argv[1:]
constraint = Path(arguments[arguments.index("-c") + 1]).read_text()
with open(os.environ["FAKE_LOG"] + "/pip.txt", "a") as file:
    file.write(json.dumps({"arguments": arguments, "constraint": constraint}) + "\\n")
sys.exit(int(os.environ.get("FAKE_PIP_FAILS", "0")))
"""


@pytest.fixture
def hosted(tmp_path, root, built):
    """A machine that holds nothing but a notebook: fake git and pip, and a folder like Colab's /content."""
    course = tmp_path / "source"
    course.mkdir()
    helpers = course / "helpers"
    shutil.copytree(root / "helpers" / "notebook", helpers / "notebook", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__", "parts", "devices"):
        (helpers / f"{name}.py").write_text((root / "helpers" / f"{name}.py").read_text())
    for name in ("requirements.txt", "requirements-colab.txt"):
        (course / name).write_text((root / name).read_text())
    with (course / "requirements-colab.txt").open("a") as file:
        file.write("a-package-nobody-has==1.0\n")
    (course / "tests_for_students").mkdir()
    for test in (built / "notebooks" / "tests").iterdir():
        (course / "tests_for_students" / test.name).write_text(test.read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "git").write_text(FAKE_GIT)
    (tools / "git").chmod(0o755)
    modules = tmp_path / "modules"
    (modules / "pip").mkdir(parents=True)
    (modules / "pip" / "__init__.py").write_text("")
    (modules / "pip" / "__main__.py").write_text(FAKE_PIP)
    content = tmp_path / "content"
    content.mkdir()
    log = tmp_path / "log"
    log.mkdir()
    variables = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "COURSE_GRADING", "COURSE_FAST")},
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(modules),
        "FAKE_LOG": str(log),
        "FAKE_COURSE": str(course),
    }
    return content, log, modules, variables


def run_cell(folder: Path, variables: dict[str, str], extra: str = "") -> subprocess.CompletedProcess[str]:
    source = setup_cells(1, COURSE)[1].source + "\n" + extra
    return subprocess.run([sys.executable, "-c", source], cwd=folder, env=variables, capture_output=True, text=True)


def make_colab(modules: Path) -> None:
    (modules / "google" / "colab").mkdir(parents=True)
    (modules / "google" / "__init__.py").write_text("")
    (modules / "google" / "colab" / "__init__.py").write_text("")


def test_in_colab_the_course_is_fetched_at_the_tag_and_torch_is_left_alone(hosted):
    content, log, modules, variables = hosted
    make_colab(modules)
    extra = (
        "import os\nprint('CWD', os.getcwd())\nprint(type(grader).__name__)\n"
        "def double(values):\n    return values\nprint(repr(grader.check('q1_1')))"
    )
    done = run_cell(content, variables, extra)
    assert done.returncode == 0, done.stderr
    git = (log / "git.txt").read_text()
    assert git.startswith(f"clone --quiet --depth 1 --branch {COURSE.tag} {COURSE.repository} ")
    (call,) = [json.loads(line) for line in (log / "pip.txt").read_text().splitlines()]
    assert call["arguments"][:3] == ["install", "--quiet", "-r"]
    assert call["arguments"][3].endswith("requirements-colab.txt")
    assert call["constraint"].startswith("torch==")
    assert f"CWD {content / 'course' / 'notebooks'}" in done.stdout
    assert "Part 1 (01_baseline)" in done.stdout
    assert "q1_1: 0 of 1 public tests passed; 1 hidden test runs at grading." in done.stdout
    assert "not twice the values" in done.stdout


def test_a_second_session_in_colab_fetches_nothing_again(hosted):
    content, log, modules, variables = hosted
    make_colab(modules)
    assert run_cell(content, variables).returncode == 0
    assert run_cell(content, variables).returncode == 0
    assert len((log / "git.txt").read_text().splitlines()) == 1


def test_on_kaggle_the_course_is_fetched_too(hosted):
    content, log, _, variables = hosted
    done = run_cell(content, {**variables, "KAGGLE_KERNEL_RUN_TYPE": "Interactive"})
    assert done.returncode == 0, done.stderr
    assert (log / "git.txt").exists()
    assert (log / "pip.txt").exists()


def test_without_a_network_the_message_says_what_to_do(hosted):
    content, _, modules, variables = hosted
    make_colab(modules)
    done = run_cell(content, {**variables, "FAKE_GIT_FAILS": "1"})
    assert done.returncode != 0
    assert "could not resolve host" in done.stderr
    assert "Is the network on?" in done.stderr


def test_when_pip_fails_the_message_says_what_to_do(hosted):
    content, _, modules, variables = hosted
    make_colab(modules)
    done = run_cell(content, {**variables, "FAKE_PIP_FAILS": "1"})
    assert done.returncode != 0
    assert "pip could not install" in done.stderr
    assert "Restart session" in done.stderr


def test_on_a_laptop_nothing_is_fetched_or_installed(hosted, root):
    _, log, _, variables = hosted
    done = run_cell(root / "tests", variables)
    assert done.returncode == 0, done.stderr
    assert list(log.iterdir()) == []


def test_while_a_grader_runs_sizes_are_small_and_nothing_is_printed(hosted, root):
    _, _, _, variables = hosted
    extra = "import os\nprint([os.environ[n] for n in ('COURSE_FAST', 'COURSE_ONLY_PRESET', 'COURSE_OFFLINE')])"
    done = run_cell(root / "tests", {**variables, "NBGRADER_EXECUTION": "autograde"}, extra)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['1', 'tiny', '1']"


# ------------------------------------------------------------------------------------------------ versions


def test_versions_out_of_range_are_named_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("torch>=99\nnumpy>=1\nnot-checked-at-all>=5\n")
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    (problem,) = versions.version_problems(tmp_path)
    assert problem.startswith("torch is version ")
    assert ">=99" in problem
    assert "pip install -r requirements.txt -c constraints.txt" in problem


def test_a_python_that_is_too_new_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "PYTHONS", ((3, 1), (3, 2)))
    (problem,) = versions.version_problems(tmp_path)
    assert "tested with Python 3.1 to 3.2" in problem


def test_installed_versions_of_this_project_are_in_range():
    assert versions.version_problems() == []


def test_what_is_pinned_for_the_oldest_python_can_be_installed_there(root):
    """README promises Python 3.10; a pin of a package that has left it behind needs a second one, with a marker."""
    oldest = {"python_version": "3.10", "python_full_version": "3.10.12"}
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    known = {package.name.lower(): package for package in importlib.metadata.distributions()}
    too_new = []
    for pin in pins:
        package = known.get(pin.name.lower())
        same = package is not None and str(pin.specifier) == f"=={package.version}"
        if package is None or not same or (pin.marker and not pin.marker.evaluate(oldest)):
            continue
        field = "Requires-Python"  # some packages have none, and the backport of this library raises a KeyError then
        if field in package.metadata and not SpecifierSet(package.metadata[field]).contains("3.10.12"):
            too_new.append(str(pin))
    assert len(pins) > 100
    assert too_new == []


def test_start_refuses_a_part_that_does_not_exist():
    with pytest.raises(ValueError, match="no part 6"):
        start.start(6)


# ------------------------------------------------------------------------------------------- check, headline


def test_a_check_says_what_is_public_and_escapes_html():
    checked = grader.Checked("q1_1", (("Two <b>", False, "got <nan> & more"), ("Three", True, "")), 2)
    assert not checked.passed
    assert checked.summary == "q1_1: 1 of 2 public tests passed; 2 hidden tests run at grading."
    assert "&lt;nan&gt; &amp; more" in checked._repr_html_()
    assert "<nan>" not in checked._repr_html_()
    assert "✗ Two <b>: got <nan>" in repr(checked)


def test_all_passed_says_public():
    checked = grader.Checked("q1_1", (("Two", True, ""),), 1)
    assert repr(checked) == "q1_1: all 1 public test passed; 1 hidden test runs at grading."


def test_headlines_are_written_only_where_a_run_asks_for_them(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_HEADLINES", raising=False)
    start.headline("reward", 0.5)
    monkeypatch.setenv("COURSE_HEADLINES", str(tmp_path / "h.json"))
    start.headline("reward", 0.123456)
    start.headline("steps", 7)
    start.headline("reward", 0.9)
    assert json.loads((tmp_path / "h.json").read_text()) == {"reward": 0.9, "steps": 7.0}
