"""Every layout that submissions come in, and what may be wrong with files in them."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from autograder.grade.intake import archives
from autograder.grade.intake import collect as intake
from autograder.grade.intake.apart import course
from autograder.grade.intake.notebook import UnreadableNotebookError, find_part, read
from autograder.grade.intake.roster import Person, load_roster, missing
from tests.grade.samples import code, notebook

TWO = notebook("def token_log_probs(logits, ids): ...")
FOUR = notebook("def compute_dpo_loss(a): ...\ndef dpo_step(a): ...")


def put(path: Path, data: bytes = TWO) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def found(source: Path, roster: dict[str, Person] | None = None) -> dict[tuple[str, int], intake.HandIn]:
    """The submissions by student and part."""
    return {s.key: s for s in intake.collect(source, roster)}


def test_one_notebook_a_student(tmp_path: Path) -> None:
    put(tmp_path / "ada.ipynb")
    put(tmp_path / "02_reinforce_bob.ipynb")
    put(tmp_path / "02_reinforce - Cleo (submission).ipynb")
    assert set(found(tmp_path)) == {("ada", 2), ("bob", 2), ("Cleo", 2)}


def test_nbgraders_folders(tmp_path: Path) -> None:
    put(tmp_path / "submitted" / "ada" / "02_reinforce" / "02_reinforce.ipynb")
    put(tmp_path / "submitted" / "ada" / "04_dpo" / "renamed.ipynb", FOUR)
    put(tmp_path / "submitted" / "bob" / "02_reinforce" / "02_reinforce.ipynb", b"")
    put(tmp_path / "submitted" / "bob" / "02_reinforce" / ".ipynb_checkpoints" / "02_reinforce.ipynb")
    result = found(tmp_path)
    assert set(result) == {("ada", 2), ("ada", 4), ("bob", 2)}
    assert result["bob", 2].problem == "the file is empty"
    assert set(found(tmp_path / "submitted")) == set(result)


def test_a_folder_a_student(tmp_path: Path) -> None:
    put(tmp_path / "ada" / "a.ipynb")
    put(tmp_path / "bob" / "deep" / "er" / "a.ipynb")
    put(tmp_path / "cleo" / "essay.pdf")
    result = found(tmp_path)
    assert set(result) == {("ada", 2), ("bob", 2), ("cleo", 0)}
    assert "essay.pdf" in result["cleo", 0].problem


def test_canvas(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "submissions.zip", "w") as archive:
        archive.writestr("lovelaceada_101_5001_02_reinforce.ipynb", TWO)
        archive.writestr("lovelaceada_101_5002_02_reinforce-1.ipynb", TWO.replace(b"logits", b"later_"))
        archive.writestr("bobby_LATE_102_5003_02_reinforce.ipynb", TWO)
    result = found(tmp_path / "submissions.zip")
    assert set(result) == {("101", 2), ("102", 2)}
    assert result["101", 2].file.endswith("-1.ipynb")
    assert "late" in result["102", 2].notes[0]


def test_moodle(tmp_path: Path) -> None:
    put(tmp_path / "Ada Lovelace_77_assignsubmission_file_" / "02_reinforce.ipynb")
    put(tmp_path / "Bob_78_assignsubmission_file_02_reinforce.ipynb")
    result = found(tmp_path)
    assert set(result) == {("77", 2), ("78", 2)}
    assert result["77", 2].name == "Ada Lovelace"


def test_gradescope(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("assignment_9_export/submission_1/02.ipynb", TWO)
        archive.writestr("assignment_9_export/submission_2/02.ipynb", TWO)
        archive.writestr(
            "assignment_9_export/submission_metadata.yml",
            "submission_1:\n  :submitters:\n  - :name: Ada L\n    :sid: '11'\n    :email: ada@x.y\n",
        )
    result = found(tmp_path / "export.zip")
    assert set(result) == {("11", 2), ("submission_2", 2)}
    assert result["11", 2].email == "ada@x.y"


def test_our_own_submission_file(tmp_path: Path) -> None:
    def make(path: Path, main: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("04_dpo.ipynb", main)
            archive.writestr("submission.json", "{}")
            archive.writestr("earlier/02_reinforce.ipynb", TWO)

    make(tmp_path / "class" / "x.zip", FOUR) if (tmp_path / "class").mkdir() is None else None
    (tmp_path / "class" / "x.zip").rename(tmp_path / "class" / "ada.zip")
    result = found(tmp_path / "class")
    assert [key for key, s in result.items() if not s.beside] == [("ada", 4)]
    assert result["ada", 2].beside


def test_tar(tmp_path: Path) -> None:
    put(tmp_path / "a" / "ada" / "02.ipynb")
    (tmp_path / "a" / "ada" / "link.ipynb").symlink_to("/etc/passwd")
    with tarfile.open(tmp_path / "class.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a", "a")
    result = found(tmp_path / "class.tar.gz")
    assert result["ada", 2].notebook is not None


def test_roster(tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text(
        "\ufeffID,Name,Email\n11,Ada Lovelace,ada@x.y\n12,Bob Noyce,bob@x.y\n13,Nobody,\n"
    )
    people = load_roster(tmp_path / "roster.csv")
    put(tmp_path / "class" / "noycebob_5_6_02.ipynb")
    put(tmp_path / "class" / "ADA@X.Y.ipynb")
    put(tmp_path / "class" / "stranger.ipynb")
    result = found(tmp_path / "class", people)
    assert set(result) == {("11", 2), ("12", 2), ("stranger", 2)}
    assert result["stranger", 2].notes == ["not on the roster"]
    assert missing([s.student for s in result.values()], people) == ["13"]
    (tmp_path / "roster.csv").write_text("id\n1\n1\n")
    with pytest.raises(ValueError, match="twice"):
        load_roster(tmp_path / "roster.csv")


def test_labels_cannot_lead_anywhere() -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "C:\\x\\..\\y", "a/\x00/b", "..", "\u202egpj.exe"):
        path = PurePosixPath(archives.safe_path(name))
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert str(path).isprintable()


def test_the_part_is_told_from_the_notebook() -> None:
    def part(data: bytes) -> int:
        return read(data, course())["part"]

    assert part(TWO) == 2
    assert part(FOUR) == 4
    assert part(notebook("x = 1", markdown="**Exercise 3.2 · `kl_estimates`.** Write it.")) == 3
    assert part(notebook("x = 1\ngrader.check('q5_1')")) == 5
    with pytest.raises(UnreadableNotebookError, match="none of this course"):
        find_part(list(code("def other(): ...")), [], course())
