"""Nobody hands in as somebody else, and nothing is dropped in silence."""

from __future__ import annotations

import csv
import re
import tarfile
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.grade import runner, schedule
from autograder.grade.intake import collect as intake
from autograder.grade.intake.roster import Person
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import SubmissionResult
from tests.grade.fake import judge_quickly
from tests.grade.samples import notebook
from tests.hostile.uploads import (
    ANN_AND_ZOE,
    DAMAGED,
    METADATA,
    OTHER,
    TWO,
    found,
    grade,
    put,
    readable,
    zipped,
)

# ------------------------------------------------------------------------------------- nobody hands in as another


@pytest.mark.parametrize(
    ("honest", "hostile"),
    [
        pytest.param("ann/02.ipynb", "mallory/Zoe Zed_1_1_02_reinforce-99.ipynb", id="Canvas in a folder"),
        pytest.param("ann/02.ipynb", "mallory/ann/02.ipynb", id="a folder in a folder"),
        pytest.param("ann/02.ipynb", "mallory/a/b/c/d/e/f/g/h/ann/i/j/k/l/m/n/o/p/02.ipynb", id="deep"),
        pytest.param("77/02.ipynb", "99/Ann_77_assignsubmission_file_/02.ipynb", id="Moodle in a folder"),
        pytest.param("77/02.ipynb", "99/submission_77/02.ipynb", id="Gradescope in a folder"),
        pytest.param("ann/02.ipynb", "mallory/../ann/02.ipynb", id="dots"),
        pytest.param("ann/02.ipynb", "mallory/submitted/ann/02.ipynb", id="submitted in a folder"),
        pytest.param("A_77_assignsubmission_file_/02.ipynb", "M_99_assignsubmission_file_/A_77_assignsubmission_file_.ipynb", id="Moodle in Moodle"),
        pytest.param("A_77_assignsubmission_file_02.ipynb", "M_99_assignsubmission_file_A_77_assignsubmission_file_02.ipynb", id="Moodle's flat files"),
        pytest.param("ann_88_501_02.ipynb", "mmallory_99_503_work.zip/Zoe_88_assignsubmission_file_/02.ipynb", id="Moodle in Canvas"),
        pytest.param("ann_88_501_02.ipynb", "mmallory_99_503_Zoe_88_assignsubmission_file_02.ipynb", id="Moodle in a Canvas name"),
        pytest.param("ann_88_501_02.ipynb", "mmallory_99_503_zoe_88_999_02-9.ipynb", id="Canvas in a Canvas name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_zip", [True, False])
def test_nobody_is_anybody_else(honest: str, hostile: str, as_zip: bool, tmp_path: Path) -> None:
    outer, _, inner = hostile.partition(".zip/")
    files = [(honest, TWO), ("other/02.ipynb", TWO)] if "/" in honest else [(honest, TWO), ("o_1_2_02.ipynb", TWO)]
    files += [(f"{outer}.zip", zipped([(inner, OTHER)]))] if inner else [(hostile, OTHER)]
    if as_zip or ".." in hostile:  # there is no such name on a disk
        (tmp_path / "hw.zip").write_bytes(zipped(files))
        source = tmp_path / "hw.zip"
    else:
        source = tmp_path / "class"
        for name, data in files:
            put(source / name, data)
    people = [
        Person("ann", "Ann A"),
        Person("zoe", "Zoe Zed"),
        Person("77"),
        Person("88"),
        Person("99"),
        Person("mallory"),
    ]
    for roster in ([], people):
        result = found(source, *roster)
        assert len(result) == 3, result.keys()
        victim = next(s for key, s in result.items() if key[0] in ("ann", "77", "88"))
        assert victim.file == honest
        assert next(s for key, s in result.items() if key[0] in ("mallory", "99")).notebook


@pytest.mark.parametrize("place", ["mallory/{}", "mallory/deep/{}"])
def test_metadata_in_a_students_folder(place: str, tmp_path: Path) -> None:
    lie = b"ann:\n  :submitters:\n  - :sid: mallory\nmallory:\n  :submitters:\n  - :sid: ann\n"
    put(tmp_path / "ann" / "02.ipynb", TWO)
    put(tmp_path / "mallory" / "02.ipynb", OTHER)
    put(tmp_path / place.format(METADATA), lie)
    result = found(tmp_path)
    assert result["ann", 2].file == "ann/02.ipynb"
    assert result["mallory", 2].file == "mallory/02.ipynb"


def test_metadata_in_a_gradescope_export(tmp_path: Path) -> None:
    def people(first: str, second: str) -> bytes:
        return "".join(
            f"submission_{n}:\n  :submitters:\n  - :name: N\n    :sid: '{sid}'\n"
            for n, sid in ((1, first), (2, second))
        ).encode()

    files = [
        (f"assignment_9_export/{METADATA}", people("ann", "mallory")),
        ("assignment_9_export/submission_1/02.ipynb", TWO),
        ("assignment_9_export/submission_2/02.ipynb", OTHER),
        (f"assignment_9_export/submission_2/{METADATA}", people("mallory", "ann")),
    ]
    (tmp_path / "export.zip").write_bytes(zipped(files))
    result = found(tmp_path / "export.zip")
    assert {key: s.file for key, s in result.items()} == {
        ("ann", 2): "submission_1/02.ipynb", ("mallory", 2): "submission_2/02.ipynb",
    }  # fmt: skip


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("zoe/02.ipynb", "Zoe Zed/02.ipynb", "zoe/02.ipynb"),
        ("zoe/02.ipynb", "zoe@x.y/02.ipynb", "zoe/02.ipynb"),
        ("zoe/02.ipynb", "zoe /02.ipynb", "zoe/02.ipynb"),
        ("zoe/02.ipynb", "ZOE/02.ipynb", "zoe/02.ipynb"),
        ("Zed Zoe/02.ipynb", "Zoe Zed/02.ipynb", ""),
        ("zoe.ipynb", "02_reinforce_zoe.ipynb", "zoe.ipynb"),
        ("zoezed_7_501_02.ipynb", "zoezed_8_502_02.ipynb", ""),
        ("Zoe Zed_7_assignsubmission_file_/02.ipynb", "Zoe Zed_8_assignsubmission_file_/02.ipynb", ""),
    ],
)
def test_two_claims_to_one_identity(first: str, second: str, kept: str, tmp_path: Path) -> None:
    source, out = tmp_path / "class", tmp_path / "out"
    (tmp_path / "roster.csv").write_text("id,name,email\nzoe,Zoe Zed,zoe@x.y\nann,Ann A,a@x\n")
    put(source / "ann" / "02.ipynb")
    put(source / first, TWO)
    if kept:
        assert grade(source, "--out", out, "--roster", tmp_path / "roster.csv").exit_code == 0
    put(source / second, OTHER)
    result = grade(source, "--out", out, "--roster", tmp_path / "roster.csv")
    assert result.exit_code == 4, result.output
    assert "both claim to be zoe" in re.sub(r"\s+", " ", result.output)
    with runner.open_store(out) as store:
        rows = {kept.student: kept.file for kept in store.submissions()}
    assert rows.get("zoe", "") == kept
    assert {first, second} <= set(rows.values())


def test_unicode_forms_of_one_name_are_one(tmp_path: Path) -> None:
    person = Person("jm1", unicodedata.normalize("NFC", "Jörg Müller"))
    put(tmp_path / unicodedata.normalize("NFD", "Jörg Müller") / "02.ipynb")
    put(tmp_path / "ann" / "02.ipynb")
    assert set(found(tmp_path, person, Person("ann"))) == {("jm1", 2), ("ann", 2)}
    person = Person("jm1", unicodedata.normalize("NFD", "Jörg Müller"))
    assert ("jm1", 2) in found(tmp_path, person)
    put(tmp_path / unicodedata.normalize("NFC", "Jörg Müller") / "02.ipynb", OTHER)
    taken = intake.take(tmp_path)
    assert len(taken.submissions) == 3
    assert len(taken.warnings) == 1


# ------------------------------------------------------------------------------------- nothing is dropped in silence


@pytest.mark.usefixtures("quick")
def test_who_is_missing_is_said_loudly(tmp_path: Path) -> None:
    put(tmp_path / "class" / "ann" / "02.ipynb")
    put(tmp_path / "class" / "zoe" / "02.ipynb")
    (tmp_path / "class" / "bob").mkdir()
    (tmp_path / "roster.csv").write_text("id;name\nann;A\nzoe;Z\nbob;B\ncleo;C\n")
    result = grade(tmp_path / "class", "--out", tmp_path / "out", "--roster", tmp_path / "roster.csv")
    assert result.exit_code == 4
    assert "cleo" in result.output
    with (tmp_path / "out" / "grades.csv").open() as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"ann", "bob", "zoe"}
    assert "empty" in rows["bob"]["message"]
    (tmp_path / "roster.csv").write_text("id\nann\nzoe\nbob\n")
    assert grade(tmp_path / "class", "--out", tmp_path / "out", "--roster", tmp_path / "roster.csv").exit_code == 0


def test_a_classs_archive_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # a narrow terminal breaks no path in two
    for name, data in (("a.zip", b"PK\x03\x04"), ("b.tar.gz", b"x"), ("c.zip", b"")):
        (tmp_path / name).write_bytes(data)
        result = grade(tmp_path / name, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert str(tmp_path / name) in result.output


def test_a_regrade_sees_the_files_of_the_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, dict[str, str]]] = []

    def judge(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
        seen.append((job.part, job.files))
        return judge_quickly(job, limits, trust)

    monkeypatch.setattr(schedule, "on_worker", judge)
    four = notebook("def dpo_step(a): ...\ndef compute_dpo_loss(a): ...")
    put(tmp_path / "class" / "ann" / "4.zip", zipped([("04_dpo.ipynb", four), ("earlier/02_reinforce.ipynb", TWO)]))
    put(tmp_path / "class" / "zoe" / "04_dpo.ipynb", four)
    put(tmp_path / "class" / "zoe" / "02.ipynb", TWO)
    assert grade(tmp_path / "class", "--out", tmp_path / "out").exit_code == 0
    first = [job for job in seen if job[0] == 4]
    assert [list(files) for _, files in first] == [["02_reinforce.ipynb"]] * 2
    seen.clear()
    result = CliRunner().invoke(app, ["regrade", "-q", "q4_2", "-o", str(tmp_path / "out"), "-w", "0"])
    assert result.exit_code == 0, result.output
    assert seen == first


def test_a_tar_of_a_class(tmp_path: Path) -> None:
    for student in ("ann", "zoe", "mallory"):
        put(tmp_path / "a" / student / "02.ipynb")
    put(tmp_path / "a" / "mallory" / "bad.zip", DAMAGED["flipped deflate"]())
    with tarfile.open(tmp_path / "class.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a", "a")
    assert readable(tmp_path / "class.tar.gz") == {*ANN_AND_ZOE, ("mallory", 2)}
