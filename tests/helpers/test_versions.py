"""What pip may replace on a hosted notebook, and what is said when it replaced something that this session has loaded."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from helpers.notebook import start, versions
from helpers.parts import ROOT


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host that lacks one package and has loaded pyarrow; returns the constraints of each call of pip."""
    requirements = tmp_path / "requirements-colab.txt"
    requirements.write_text("a-package-nobody-has==1.0\n")
    monkeypatch.setitem(sys.modules, "pyarrow", types.SimpleNamespace(__version__="18.1.0"))
    installed = {"torch": "2.9.0", "pyarrow": "18.1.0"}
    monkeypatch.setattr(versions, "installed_version", installed.get)
    monkeypatch.setattr(versions, "STATED", {"pyarrow": "pyarrow"})
    calls: list[list[str]] = []
    answers: list[int] = []

    def pip(requirements, constraints):
        calls.append(list(constraints))
        code = answers.pop(0) if answers else 0
        return subprocess.CompletedProcess([], code, "", "ResolutionImpossible" if code else "")

    monkeypatch.setattr(versions, "_pip", pip)
    return requirements, installed, calls, answers


def test_what_is_loaded_is_kept_where_pip_can(host):
    requirements, _, calls, _ = host
    versions.install_missing(requirements)
    (constraints,) = calls
    assert constraints[0] == "torch==2.9.0"
    assert "pyarrow==18.1.0" in constraints
    assert versions.restart_needed() == ""


def test_where_pip_finds_no_solution_only_torch_is_kept(host):
    requirements, _, calls, answers = host
    answers[:] = [1]
    versions.install_missing(requirements)
    assert calls[1] == ["torch==2.9.0"]
    answers[:] = [1, 1]
    with pytest.raises(RuntimeError, match="pip could not install"):
        versions.install_missing(requirements)


def test_a_loaded_package_that_has_to_change_is_no_constraint(host):
    requirements, _, calls, _ = host
    requirements.write_text("pyarrow>=20\n")
    versions.install_missing(requirements)
    assert not [line for line in calls[0] if line.startswith("pyarrow")]


@pytest.mark.parametrize(
    ("variable", "step"),
    [("KAGGLE_KERNEL_RUN_TYPE", "Run > Restart & clear"), ("", "Kernel > Restart"), ("colab", "Runtime > Restart")],
)
def test_what_was_replaced_while_it_was_loaded_asks_for_a_restart(host, monkeypatch, variable, step):
    """With pandas or pyarrow of two versions in one process, `from datasets import …` dies with a ValueError of C structures."""
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    if variable == "colab":
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    elif variable:
        monkeypatch.setenv(variable, "Interactive")
    _, installed, _, _ = host
    installed["pyarrow"] = "26.0.1"
    said = versions.restart_needed()
    assert "pyarrow 18.1.0 by 26.0.1" in said
    assert step in said
    assert "run this cell again" in said


def test_a_local_version_is_the_same_version(host):
    _, installed, _, _ = host
    installed["pyarrow"] = "18.1.0+cu128"
    assert versions.restart_needed() == ""


def test_on_a_host_the_first_cell_stops_there(host, monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setattr(start, "being_graded", lambda: False)
    monkeypatch.setattr(start, "install_missing", lambda path: None)
    host[1]["pyarrow"] = "26.0.1"
    with pytest.raises(RuntimeError, match="Restart & clear"):
        start.start(1)


def test_every_requirement_of_a_notebook_is_looked_at():
    """All that a notebook imports; what only serves the pages around it may be of any version."""
    wanted = versions.parse_requirements((ROOT / "requirements-colab.txt").read_text(encoding="utf-8"))
    assert {requirement.name for requirement in wanted} <= set(versions.CHECKED)


def test_lower_bounds_that_do_not_work_together_are_not_allowed(tmp_path, monkeypatch):
    """shap 0.46 dies while it is imported with numpy 2.4; 0.48 was tried with it."""
    real = versions.installed_version
    monkeypatch.setattr(versions, "installed_version", lambda name: "0.46.0" if name == "shap" else real(name))
    (problem,) = versions.version_problems()
    assert problem.startswith("shap is version 0.46.0")


@pytest.mark.parametrize("hosted", [True, False])
def test_a_hosts_own_widgets_are_left_alone(monkeypatch, hosted):
    """Colab has ipywidgets 7.7 and shows no other: told to install 8, all its students would lose the panels."""
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    if hosted:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    real = versions.installed_version
    monkeypatch.setattr(versions, "installed_version", lambda name: "7.7.1" if name == "ipywidgets" else real(name))
    assert [problem.split()[0] for problem in versions.version_problems()] == ([] if hosted else ["ipywidgets"])


@pytest.mark.parametrize("hosted", [True, False])
def test_the_line_that_repairs_it_is_given(tmp_path, monkeypatch, hosted):
    (tmp_path / "requirements.txt").write_text("torch>=99\n")
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    if hosted:
        monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    (problem,) = versions.version_problems(tmp_path)
    assert (
        '%pip install -q "torch>=99"' if hosted else "pip install -r requirements.txt -c constraints.txt"
    ) in problem
