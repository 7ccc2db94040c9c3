"""Feedback goes back in the form that a platform takes; what a run leaves is its owner's alone."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.grade import runner, schedule
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import SubmissionResult
from autograder.grade.results import exports
from autograder.grade.results.store import Store
from tests.grade.marking import STUB, WORTH, WRITTEN, class_of_three_in, enter, grade, judge_all, put
from tests.grade.samples import notebook


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging that takes no time."""
    monkeypatch.setattr(schedule, "on_worker", judge_all)


@pytest.fixture
def class_of_three(tmp_path: Path) -> Path:
    """Ann's written answer waits for a mark, Bob wrote none, of Cleo's file nothing can be read."""
    return class_of_three_in(tmp_path / "class")


# ------------------------------------------------------------------------------------------ feedback goes back


def unpacked(path: Path) -> dict[str, bytes]:
    """The files in a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_feedback_as_canvas_takes_it_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("02_reinforce.ipynb", notebook(STUB, "# zoe"))
    put(tmp_path / "class" / "leeann_77_503_02_reinforce.ipynb", notebook(STUB))
    put(tmp_path / "class" / "zedzoe_78_504_my_work-2.zip", packed.getvalue())
    assert grade(tmp_path / "class", "--out", out).exit_code == 0
    files = unpacked(out / "import" / "canvas-feedback-part2.zip")
    assert set(files) == {"leeann_77_503_02_reinforce.ipynb", "zedzoe_78_504_my_work-2.zip"}, "Canvas goes by the names"
    page = json.loads(files["leeann_77_503_02_reinforce.ipynb"])["cells"][0]["source"]
    assert f"of {WORTH:g} points" in page
    with zipfile.ZipFile(io.BytesIO(files["zedzoe_78_504_my_work-2.zip"])) as inner:
        assert b"</html>" in inner.read("feedback.html")


@pytest.mark.parametrize(
    ("handed_in", "returned"),
    [
        ("Ann Lee_77_assignsubmission_file_/02.ipynb", "Ann Lee_77_assignsubmission_file_/feedback.html"),
        ("Ann Lee_77_assignsubmission_file/02.ipynb", "Ann Lee_77_assignsubmission_file/feedback.html"),
        ("Ann Lee_77_assignsubmission_file_02.ipynb", "Ann Lee_77_assignsubmission_file_feedback.html"),
        ("Ann Lee_77_assignsubmission_file_a.zip", "Ann Lee_77_assignsubmission_file_feedback.html"),
        ("Ann Lee_77_assignsubmission_onlinetext_/02.ipynb", "Ann Lee_77_assignsubmission_file_/feedback.html"),
    ],
)
def test_feedback_as_moodle_takes_it_back(handed_in: str, returned: str, tmp_path: Path) -> None:
    data = notebook(STUB)
    if handed_in.endswith(".zip"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("02_reinforce.ipynb", data)
        data = packed.getvalue()
    put(tmp_path / "class" / handed_in, data)
    put(tmp_path / "class" / "Zoe Zed_78_assignsubmission_file_" / "02.ipynb", notebook(STUB))
    assert grade(tmp_path / "class", "--out", tmp_path / "out").exit_code == 0
    files = unpacked(tmp_path / "out" / "import" / "moodle-feedback-part2.zip")
    assert set(files) == {returned, "Zoe Zed_78_assignsubmission_file_/feedback.html"}
    assert b"</html>" in files[returned]


def test_a_page_that_cannot_be_packed_costs_that_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def form(name: str, page: str) -> bytes:
        if "77" in name:
            raise RuntimeError("tripped")
        return page.encode()

    monkeypatch.setattr(exports, "_in_form_of", form)
    for name in ("leeann_77_503_02_reinforce.ipynb", "zedzoe_78_504_02_reinforce.ipynb"):
        put(tmp_path / "class" / name, notebook(STUB))
    result = grade(tmp_path / "class", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "the feedback to 77 for import/ could not be written" in result.output
    assert set(unpacked(tmp_path / "out" / "import" / "canvas-feedback-part2.zip")) == {
        "zedzoe_78_504_02_reinforce.ipynb"
    }
    assert "canvas.csv" in result.output


def test_no_platform_no_feedback_to_upload(class_of_three: Path, tmp_path: Path) -> None:
    grade(class_of_three, "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "import").iterdir()} == {
        "canvas.csv",
        "moodle.csv",
        "nbgrader.csv",
    }


# ------------------------------------------------------------------------------------------ nobody else's eyes


def modes(folder: Path) -> dict[str, str]:
    """What may be read by others below a folder, the folder itself included."""
    return {
        path.name: oct(stat.S_IMODE(path.stat().st_mode))
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o077
    }


def test_all_that_a_run_leaves_is_its_owners_alone(
    class_of_three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    seen: list[dict[str, str]] = []

    def look(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
        seen.append(modes(out))
        return judge_all(job, limits, trust)

    monkeypatch.setattr(schedule, "on_worker", look)
    put(class_of_three / "leeann_77_503_02_reinforce.ipynb", notebook(STUB))
    before = os.umask(0o022)
    try:
        for arguments in (
            ["grade", str(class_of_three), "--nbgrader", str(out / "gradebook.db")],
            ["regrade", "-q", "q2_1"],
            ["grade", "--merge", str(enter(tmp_path / f"{WRITTEN[0]}.csv", ["student", "points"], ["ann", "1"]))],
        ):
            result = CliRunner().invoke(
                app, [*arguments, "-o", str(out), *([] if "--merge" in arguments else ["-w", "0"])]
            )
            assert result.exit_code == 0, result.output
            assert not modes(out), arguments
            for path in (out, *out.rglob("*")):  # as an older version left them, or a copy
                path.chmod(0o755 if path.is_dir() else 0o644)
            with runner.open_store(out) as store:
                made = runner.write_outputs(store, out)
            assert "report" in made
            assert set(modes(out)) <= {"gradebook.db"}, "what is not the run's own"
            (out / "gradebook.db").chmod(0o600)
    finally:
        os.umask(before)
    assert seen
    assert not any(seen), "while it runs"


def test_the_database_is_closed_to_others_by_itself(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with Store(tmp_path / "out" / "results.db") as store:
            store.secret()
            assert (tmp_path / "out" / "results.db-wal").exists()
            assert not modes(tmp_path / "out")
    finally:
        os.umask(before)


def test_a_folder_with_other_things_in_it_is_left_as_it_is(class_of_three: Path, tmp_path: Path) -> None:
    out = tmp_path / "home"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    out.chmod(0o755)
    result = grade(class_of_three, "--out", out)
    assert "Others on this machine may look into" in result.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert set(modes(out)) <= {"home", "mine.txt"}
