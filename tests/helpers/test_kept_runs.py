"""The folder `runs` on a mounted Drive: found from the first cell on, with what was there before, in the next session too.

Colab is simulated: a stand-in for `google.colab`, and folders laid out as there.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from helpers.notebook import places, start
from helpers.notebook.kept_runs import place_runs
from helpers.runs import load_points, save_point


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session of Colab in which the notebook runs in `content/course/notebooks`; without Drive."""
    for name in ("COURSE_RUNS", "COURSE_GRADING", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setattr(places, "CONTENT", tmp_path / "content")
    here = tmp_path / "content" / "course" / "notebooks"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def drive(session):
    """The folder on a mounted Drive."""
    found = places.CONTENT / "drive" / "MyDrive"
    found.mkdir(parents=True)
    return found / "steering-course" / "runs"


def test_without_drive_nothing_changes(session):
    assert place_runs() == ""
    save_point("a", 1, 0.5)
    assert not Path("runs").is_symlink()


def test_the_first_cell_says_so(drive, monkeypatch, capsys):
    monkeypatch.setattr(start, "install_missing", lambda file: None)
    for name in ("restart_needed", "watch", "keep_time", "make_grader"):
        monkeypatch.setattr(start, name, lambda: None)
    start.start(1)
    assert f"The folder runs is kept in {drive}" in capsys.readouterr().out


def test_runs_are_kept_on_a_mounted_drive(drive, tmp_path, monkeypatch):
    """Also in a new session, whose own disk is empty."""
    assert str(drive) in place_runs()
    save_point("a", 1, 0.5)
    assert (drive / "frontier.json").is_file()
    assert place_runs() == f"The folder runs is kept in {drive}.", "the first cell is run again"
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    place_runs()
    assert [point["name"] for point in load_points()] == ["a"]


def test_what_a_session_has_already_is_taken_along(drive):
    """Drive is mounted in the middle of a session; what both have is not overwritten on either side."""
    save_point("here", 1, 0.5)
    (Path("runs") / "reinforce").mkdir()
    save_point("there", 2, 0.5, folder=drive)
    said = place_runs()
    assert (drive / "reinforce").is_dir()
    assert [point["name"] for point in load_points()] == ["there"]
    assert [point["name"] for point in load_points(folder="runs-1")] == ["here"]
    assert "What both had is left in runs-1." in said


def test_a_variable_names_the_folder_and_runs_itself_means_no_move(drive, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", "runs")
    assert place_runs() == ""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "scratch"))
    place_runs()
    save_point("a", 1, 0.5)
    assert (tmp_path / "scratch" / "frontier.json").is_file()
    monkeypatch.delenv("COURSE_RUNS")
    place_runs()
    assert Path("runs").resolve() == drive.resolve(), "the link follows what is wanted now"


def test_a_folder_that_cannot_be_made_is_no_obstacle(session, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "file" / "runs"))
    assert "it stays beside the notebook" in place_runs()
    save_point("a", 1, 0.5)
