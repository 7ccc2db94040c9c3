"""Where a student's notebook is found, on every host: what is handed in and carried from is the student's own work.

Hosts are simulated: a stand-in for `google.colab`, Kaggle's environment variable, folders laid out as they are there. The
notebooks are the real ones of Parts 2 and 3, with one answer written.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import types
import zipfile
from pathlib import Path

import pytest

from helpers.notebook import carry, places, submission
from helpers.notebook.notebook_file import read_notebook
from helpers.parts import PARTS, ROOT

NAME = PARTS[2]
MINE = "def token_log_probs(logits, ids):\n    return {value!r}"


def write(path: Path, value: str = "", *, part: int = 2) -> Path:
    """Write a part's notebook: as it was handed out, or with an answer to its first exercise that returns `value`."""
    content = read_notebook(ROOT / "notebooks" / f"{PARTS[part]}.ipynb")
    for cell in content["cells"] if value else ():
        if cell["id"] == f"q{part}_1-answer":
            cell["source"] = MINE.format(value=value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def later(path: Path, seconds: int) -> None:
    """Let a file look as if it was written some seconds later."""
    os.utime(path, (path.stat().st_mtime + seconds,) * 2)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with the course in `content/course`, as the first cell fetches it, all notebooks as handed out."""
    for name in ("JPY_SESSION_NAME", "KAGGLE_KERNEL_RUN_TYPE", "COURSE_GRADING", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    content = tmp_path / "content"
    for part in (1, 2, 3):
        write(content / "course" / "notebooks" / f"{PARTS[part]}.ipynb", part=part)
    for module in (places, submission):
        monkeypatch.setattr(module, "ROOT", content / "course")
    monkeypatch.setattr(places, "CONTENT", content)
    monkeypatch.setattr(places, "KAGGLE", tmp_path / "kaggle")
    monkeypatch.setattr(submission, "public_tests", lambda content, part: ({"questions": {}, "errors": []}, ""))
    monkeypatch.chdir(content / "course" / "notebooks")
    return content


@pytest.fixture
def colab(machine, monkeypatch):
    """A session of Colab whose page does not hand over the notebook."""
    module = types.ModuleType("google.colab")
    monkeypatch.setitem(sys.modules, "google.colab", module)
    return machine


@pytest.fixture
def kaggle(machine, monkeypatch, tmp_path):
    """A session of Kaggle: the course in /kaggle/working."""
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    working = tmp_path / "kaggle" / "working"
    working.mkdir(parents=True)
    shutil.move(machine / "course", working / "course")
    for module in (places, submission):
        monkeypatch.setattr(module, "ROOT", working / "course")
    monkeypatch.chdir(working / "course" / "notebooks")
    return working


@pytest.fixture
def hub(machine, monkeypatch, tmp_path):
    """nbgrader's layout: a folder a part, each with its own helpers; no notebook elsewhere."""
    folder = tmp_path / "course101"
    write(folder / PARTS[3] / f"{PARTS[3]}.ipynb", part=3)
    for module in (places, submission):
        monkeypatch.setattr(module, "ROOT", folder / PARTS[3])
    monkeypatch.chdir(folder / PARTS[3])
    return folder


def carried() -> str:
    return carry.load_functions(NAME, ["token_log_probs"], tests=False).token_log_probs(None, None)


def handed_in(made: submission.Submission | None) -> str:
    assert made is not None
    with zipfile.ZipFile(made.path) as archive:
        content = json.loads(archive.read(f"{NAME}.ipynb"))
    return next(cell["source"] for cell in content["cells"] if "token_log_probs(logits" in cell["source"])


COPIES = [f"{NAME}.ipynb", f"{NAME} (1).ipynb", f"Copy of {NAME}.ipynb", "02-reinforce.ipynb", "my work.ipynb"]


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("folder", [".", "drive/MyDrive", "drive/MyDrive/Colab Notebooks"])
def test_in_colab_what_was_uploaded_or_lies_on_drive_is_found(colab, name, folder):
    write(colab / folder / name, "mine")
    assert carried() == "mine"
    assert "mine" in handed_in(submission.submit(2))
    assert list(submission.earlier_notebooks(3)) == [2], "it is packed with Part 3"


@pytest.mark.parametrize("name", [*COPIES, "__notebook_source__.ipynb"])
@pytest.mark.parametrize("folder", ["", "../input/my-notebook", "../input/datasets/me/my-notebook"])
def test_on_kaggle_what_lies_in_the_session_or_was_uploaded_is_found(kaggle, name, folder):
    write(kaggle / folder / name, "mine")
    assert carried() == "mine"
    assert "mine" in handed_in(submission.submit(2))
    assert list(submission.earlier_notebooks(3)) == [2]


@pytest.mark.parametrize("name", COPIES)
def test_nbgraders_folder_of_an_earlier_part_is_found(hub, name):
    write(hub / NAME / name, "mine")
    assert carried() == "mine"
    assert list(submission.earlier_notebooks(3)) == [2]


def test_while_nbgrader_grades_the_same_students_earlier_part_is_found(hub, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    here = hub / "autograded" / "ann" / PARTS[3]
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    write(hub / "submitted" / "bob" / NAME / f"{NAME}.ipynb", "bob's")
    write(hub / NAME / f"{NAME}.ipynb", "the instructor's")
    with pytest.raises(carry.MissingFunctionError):
        carried()
    write(hub / "submitted" / "ann" / NAME / f"{NAME}.ipynb", "ann's")
    assert carried() == "ann's"


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("folder", ["", "..", "../.."])
def test_on_a_laptop_a_renamed_or_moved_notebook_is_found(machine, name, folder):
    write(machine / "course" / "notebooks" / folder / name, "mine")
    assert carried() == "mine"
    assert "mine" in handed_in(submission.submit(2))


@pytest.mark.parametrize("host", ["machine", "colab", "kaggle", "hub"])
def test_an_untouched_copy_is_never_handed_in_and_never_carried_from(host, request):
    """It may have been run, and numbers in the course's own cells changed."""
    folder = request.getfixturevalue(host)
    copy = write(Path.cwd() / f"{NAME}.ipynb")
    content = json.loads(copy.read_text())
    for number, cell in enumerate(content["cells"]):
        if cell["cell_type"] == "code":
            cell |= {"execution_count": number, "outputs": []}
            cell["source"] = (
                cell["source"].replace("run_seed(0)", "run_seed(7)").replace("COURSE_TAG = ", "COURSE_TAG =  ")
            )
    copy.write_text(json.dumps(content))
    write(folder / f"{NAME}.ipynb")
    for given in (None, f"{NAME}.ipynb"):
        with pytest.raises(submission.SubmissionError, match="as it was handed out"):
            submission.submit(2, given)
    with pytest.raises(carry.MissingFunctionError, match="as it was handed out"):
        carried()
    assert not list(folder.rglob("*.zip"))


@pytest.mark.parametrize(
    ("host", "step", "never"),
    [
        ("colab", "Download .ipynb, then the folder symbol", "Save Version"),
        ("kaggle", "Choose Save Version, then File > Download notebook", "Ctrl+S"),
        ("machine", "Ctrl+S", "Save Version"),
        ("hub", "Ctrl+S", "Save Version"),
    ],
)
def test_the_step_that_is_told_helps_there(host, step, never, request):
    request.getfixturevalue(host)
    for message in ("as it was handed out", "was not found"):
        with pytest.raises(submission.SubmissionError, match=message) as caught:
            submission.submit(3)
        assert step in str(caught.value)
        assert "submit(3, notebook=" in str(caught.value)
        assert never not in str(caught.value)
        for file in Path.cwd().glob("*.ipynb"):
            file.unlink()


@pytest.mark.parametrize(
    ("host", "step", "alone"), [("kaggle", "Save Version", "Ctrl"), ("colab", "> upload", "Save the")]
)
def test_unsaved_functions_are_told_with_the_step_that_helps_there(host, step, alone, request, monkeypatch):
    """Saving changes no file that was uploaded: neither on Kaggle nor in Colab (where its page hands over nothing)."""
    write(request.getfixturevalue(host) / f"{NAME}.ipynb", "old")
    shell = types.SimpleNamespace(user_ns={"In": ["", MINE.format(value="new")]})
    monkeypatch.setattr(submission, "_shell", lambda: shell)
    (warning,) = submission.submit(2).warnings
    assert "token_log_probs" in warning
    assert alone not in warning
    assert step in warning


def test_an_untouched_file_of_a_kernel_with_work_says_what_is_not_in_it(machine, monkeypatch):
    shell = types.SimpleNamespace(user_ns={"In": ["", MINE.format(value="new")]})
    monkeypatch.setattr(submission, "_shell", lambda: shell)
    with pytest.raises(submission.SubmissionError, match=r"What you ran \(token_log_probs\) is not in it"):
        submission.submit(2)


def test_a_notebook_that_was_renamed_while_its_kernel_ran_is_found(machine, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(Path.cwd() / "gone.ipynb"))
    write(Path.cwd() / "kept.ipynb", "mine")
    assert "mine" in handed_in(submission.submit(2))


def test_what_ran_here_decides_between_the_kernels_file_and_a_later_name(machine, monkeypatch):
    old = write(Path.cwd() / f"{NAME}.ipynb", "old")
    write(Path.cwd() / "saved as.ipynb", "new")
    write(Path.cwd() / f"{NAME} saved as.ipynb", "new")
    monkeypatch.setenv("JPY_SESSION_NAME", str(old))
    assert "old" in handed_in(submission.submit(2))
    shell = types.SimpleNamespace(user_ns={"In": ["", MINE.format(value="new")]})
    monkeypatch.setattr(submission, "_shell", lambda: shell)
    assert "new" in handed_in(submission.submit(2))


def test_of_several_the_student_says_which(colab):
    write(colab / f"{NAME}.ipynb", "one")
    later(write(colab / f"{NAME} (1).ipynb", "two"), 60)
    with pytest.raises(submission.SubmissionError, match="several notebooks of Part 2, the latest first") as caught:
        submission.submit(2)
    assert f"notebook='{colab / f'{NAME} (1).ipynb'}'" in str(caught.value)
    assert "one" in handed_in(submission.submit(2, colab / f"{NAME}.ipynb"))


def test_of_several_uploads_the_latest_is_carried_and_the_other_is_named(colab, capsys):
    write(colab / f"{NAME}.ipynb", "one")
    later(write(colab / f"{NAME} (1).ipynb", "two"), 60)
    assert carried() == "two"
    assert f"{NAME}.ipynb has another version of token_log_probs" in capsys.readouterr().out


def test_the_notebook_to_catch_up_is_not_handed_in(machine):
    write(Path.cwd() / f"{NAME}_catch_up.ipynb", "handed out")
    with pytest.raises(submission.SubmissionError, match="as it was handed out"):
        submission.submit(2)
    with pytest.raises(submission.SubmissionError, match="not a file to hand in"):
        submission.submit(2, f"{NAME}_catch_up.ipynb")
    assert carried() == "handed out"


@pytest.mark.parametrize(
    "change",
    [
        {"cell_type": "markdown", "source": "My answer stands in a cell of its own.", "metadata": {}},
        {"cell_type": "code", "source": "def helper(x):\n    return x", "metadata": {}, "outputs": []},
        {"cell_type": "code", "source": "this is not Python yet", "metadata": {}, "outputs": []},
    ],
)
def test_a_cell_more_is_work(machine, change):
    content = json.loads((Path.cwd() / f"{NAME}.ipynb").read_text())
    assert places.untouched(content, 2)
    content["cells"].append(change)
    assert not places.untouched(content, 2)


@pytest.mark.parametrize("part", PARTS)
def test_every_notebook_of_the_course_is_known_as_handed_out(part):
    """Also as Colab saves it: without the cells' ids, with its badge at the top. The solution is never taken for it."""
    content = read_notebook(ROOT / "notebooks" / f"{PARTS[part]}.ipynb")
    assert places.untouched(content, part)
    assert places.part_of(content) == part
    for cell in content["cells"]:
        del cell["id"]
    badge = '<a href="https://colab.research.google.com/github/x" target="_parent">Open</a>'
    content["cells"].insert(0, {"cell_type": "markdown", "source": badge, "metadata": {}})
    assert places.untouched(content, part)
    assert not places.untouched(read_notebook(ROOT / "solutions" / f"{PARTS[part]}.ipynb"), part)


def test_half_an_emoji_and_a_folder_that_cannot_be_written_to_lose_nothing(machine, monkeypatch):
    copy = write(Path.cwd() / f"{NAME}.ipynb", "mine")
    copy.write_text(copy.read_text().replace("mine", "mine \\ud83d"))
    blocked = Path.cwd() / "file"
    blocked.write_text("a file where a folder is wanted")
    with pytest.raises(submission.SubmissionError, match=r"could not be written .* submit\(2, folder="):
        submission.submit(2, folder=blocked)
    assert "mine" in handed_in(submission.submit(2))
