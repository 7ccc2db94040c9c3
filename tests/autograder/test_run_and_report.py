"""Running solutions, the cache, the report page, the release and the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import typer
from typer.testing import CliRunner

from autograder import cli, masters, stamps
from autograder.rehearse import check, doctor, report, run
from helpers.parts import ROOT

from .conftest import COURSE

NAME = "01_baseline"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
runner = CliRunner()


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """A course of one part whose solution is two cells."""
    monkeypatch.setattr(masters, "SOLUTIONS", tmp_path / "solutions")
    monkeypatch.setattr(run, "RUN_FOLDER", tmp_path / "run")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(stamps, "ROOT", tmp_path)
    monkeypatch.setattr(report, "REPORT", tmp_path / "report.html")
    monkeypatch.setattr(run, "masters", masters)
    (tmp_path / "solutions").mkdir()
    (tmp_path / "helpers").mkdir()
    shutil.copyfile(Path(__file__).with_name("sample_master.py"), tmp_path / "solutions" / f"{NAME}.py")
    return tmp_path


def write(small: Path, *cells: str) -> None:
    nbformat.write(notebook(*cells), small / "solutions" / f"{NAME}.ipynb")


def test_a_run_is_recorded_and_not_repeated(small):
    write(
        small,
        "import json, os\njson.dump({'reward': 0.75}, open(os.environ['COURSE_HEADLINES'], 'w'))",
        "open('saved.txt', 'a').write('x')",
    )
    seen: list[tuple[int, int]] = []
    first = run.run_part(1, progress=lambda done, total: seen.append((done, total)))
    assert first.ok
    assert first.headlines == {"reward": 0.75}
    assert seen == [(1, 2), (2, 2)]
    second = run.run_part(1)
    assert second.cached
    assert second.seconds == first.seconds
    third = run.run_part(1, force=True)
    assert not third.cached
    assert (
        small / "run" / "work" / "saved.txt"
    ).read_text() == "x"  # what the first run left did not stand in for the work


def test_a_change_of_the_notebook_or_of_a_helper_runs_it_again(small):
    write(small, "1 + 1")
    keys = {run.run_part(1).key}
    (small / "helpers" / "new.py").write_text("x = 1\n")
    keys.add(stamps.executed(1, fast=False, preset="tiny"))
    write(small, "1 + 2")
    keys.add(stamps.executed(1, fast=False, preset="tiny"))
    keys.add(stamps.executed(1, fast=True, preset="tiny"))
    assert len(keys) == 4


def test_a_cell_that_fails_is_told_and_run_again_next_time(small):
    write(small, "1 / 0")
    found = run.run_part(1)
    assert not found.ok
    assert "ZeroDivisionError" in found.error
    write(small, "1 / 1")
    assert run.run_part(1).ok


def test_the_cell_that_hands_in_is_left_out_and_stays_in_the_notebook(small):
    made = notebook("1 + 1", "open('handed-in.txt', 'w')", "2 + 2")
    made.cells[1].id = "course-submit"
    nbformat.write(made, small / "solutions" / f"{NAME}.ipynb")
    seen: list[tuple[int, int]] = []
    assert run.run_part(1, progress=lambda done, total: seen.append((done, total))).ok
    assert seen == [(1, 2), (2, 2)]
    assert not (small / "run" / "work" / "handed-in.txt").exists()
    executed = nbformat.read(run.executed_path(1), as_version=4).cells
    assert [cell.source for cell in executed] == [cell.source for cell in made.cells]
    assert executed[1].execution_count is None


def test_a_solution_that_is_not_built_is_told(small):
    with pytest.raises(FileNotFoundError, match="course build"):
        run.run_part(1)


def test_the_report_page_shows_table_and_plots_and_needs_nothing_from_elsewhere(small):
    image = f'<img src="data:image/png;base64,{PIXEL}" alt="Reward over steps">'
    plot = f"from IPython.display import HTML, display\ndisplay(HTML({image!r}))"
    write(small, plot)
    found = run.run_part(1)
    found.headlines = {"test reward": 0.87}
    marks = [check.Marks(1, "in process", 3.0, 3.0, 0.0), check.Marks(1, "otter", 3.0, 2.0, 0.0, ["q1_1: lost <one>"])]
    rows = [report.Row(1, "A & B", 2, 3.0, 2.0, found, marks)]
    text = report.write_report(rows, small / "report.html").read_text()
    assert 'alt="Reward over steps"' in text
    assert PIXEL in text
    assert "A &amp; B" in text
    assert "test reward: 0.87" in text
    assert "otter: 2/3, blank 0" in text
    assert "lost &lt;one&gt;" in text
    assert not re.search(r"(src|href)=['\"]https?:", text)


def test_marks_are_good_only_if_nothing_is_lost_or_given_away():
    assert check.Marks(1, "otter", 3.0, 3.0, 0.0).ok
    assert not check.Marks(1, "otter", 3.0, 2.0, 0.0).ok
    assert not check.Marks(1, "otter", 3.0, 3.0, 1.0).ok


# ------------------------------------------------------------------------------------------- doctor and CLI


def test_the_command_line_starts_without_what_single_commands_need():
    """`course --version` is there at once; Jupytext alone takes seconds on a busy machine."""
    code = (
        "import sys, autograder.cli; print(sorted({'jupytext', 'nbformat', 'torch', 'playwright'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "line",
    [
        "site FILE",
        "syllabus --folder FILE",
        "print --no-pdf -p 1 --folder FILE",
        "release FILE",
        "grade FILE --out FILE",
    ],
)
def test_a_file_where_a_folder_must_be_is_one_sentence(line, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    result = runner.invoke(cli.app, line.replace("FILE", str(file)).split())
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert str(file) in result.stderr
    assert file.read_text() == "mine"


def test_doctor_as_json_has_a_state_and_advice_for_each_problem(monkeypatch):
    monkeypatch.setattr(doctor, "look_at_torch", lambda: 1 / 0)
    result = runner.invoke(cli.app, ["doctor", "--json", "--offline"])
    findings = {f["name"]: f for f in json.loads(result.stdout)}
    assert result.exit_code == 1
    assert findings["torch"]["state"] == "problem"
    assert "ZeroDivisionError" in findings["torch"]["found"]
    assert all(f["advice"] for f in findings.values() if f["state"] != "ok")


def test_doctor_names_a_python_that_is_out_of_range(monkeypatch):
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 1), (3, 2)))
    finding = doctor.look_at_python()
    assert finding.state == "problem"
    assert "make course PYTHON=" in finding.advice


def test_doctor_says_what_is_not_tested_without_a_browser(monkeypatch):
    monkeypatch.setattr(doctor, "find_chromium", lambda: None)
    assert doctor.look_at_chromium().state == "note"
    assert "apt install chromium" in doctor.look_at_chromium().advice


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself_and_has_a_result_for_programs(command):
    """docs/instructors.md promises `--json` of all commands."""
    result = runner.invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout) > 300
    assert "--json" in [option for parameter in COMMANDS[command].params for option in parameter.opts]


def test_a_part_that_does_not_exist_is_a_misuse(monkeypatch):
    assert runner.invoke(cli.app, ["build", "-p", "9"]).exit_code == 2
    monkeypatch.setattr(masters, "existing_parts", lambda: [1])
    assert runner.invoke(cli.app, ["run", "-p", "5"]).exit_code == 2


def test_the_course_of_the_tests_is_not_the_placeholder():
    assert COURSE.has_repository
