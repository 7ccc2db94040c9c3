"""Whatever one student uploads costs that student alone, and nobody hands in as somebody else."""

from __future__ import annotations

import csv
import json
import os
import re
import tarfile
import time
import unicodedata
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.grade import runner, schedule
from autograder.grade.intake import collect as intake
from autograder.grade.intake.roster import Person
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import CellError, LoadReport, SubmissionResult
from tests.grade.fake import judge_quickly
from tests.grade.samples import notebook
from tests.hostile.uploads import (
    DAMAGED,
    DAMAGED_TARS,
    METADATA,
    TWO,
    aliases,
    put,
    zipped,
)

OTHER = notebook("def token_log_probs(logits, ids): return 1")
ANN_AND_ZOE = {("ann", 2), ("zoe", 2)}


def found(source: Path, *people: Person) -> dict[tuple[str, int], intake.HandIn]:
    """The submissions by student and part."""
    return {s.key: s for s in intake.collect(source, {p.student: p for p in people})}


def readable(source: Path, *people: Person) -> set[tuple[str, int]]:
    """Whose notebooks of which part could be read."""
    return {key for key, s in found(source, *people).items() if s.notebook}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake judging in this process."""
    monkeypatch.setattr(schedule, "on_worker", judge_quickly)


def grade(*arguments: object) -> Any:
    """Run `course grade` here."""
    return CliRunner().invoke(app, ["grade", "--workers", "0", *map(str, arguments)])


# ------------------------------------------------------------------------------------- one upload harms nobody else


@pytest.mark.parametrize("kind", [*DAMAGED, *DAMAGED_TARS])
def test_a_bad_archive_costs_its_author_alone(kind: str, tmp_path: Path) -> None:
    make, ending = (DAMAGED[kind], ".zip") if kind in DAMAGED else (DAMAGED_TARS[kind], ".tar.gz")
    for student in ("ann", "zoe"):
        put(tmp_path / student / "02.ipynb")
    put(tmp_path / "mallory" / f"work{ending}", make())
    before, start = psutil.Process().memory_info().rss, time.monotonic()
    result = found(tmp_path)
    assert {key for key, s in result.items() if s.notebook} == ANN_AND_ZOE
    (mallory,) = [s for s in result.values() if s.student == "mallory"]
    assert mallory.problem
    assert psutil.Process().memory_info().rss - before < 100 << 20, "it was parsed in this process"
    assert time.monotonic() - start < 120


def test_a_damaged_file_in_the_classs_own_archive(tmp_path: Path) -> None:
    data = zipped((f"{name}/02.ipynb", TWO * 20) for name in ("ann", "mallory", "zoe"))
    at = data.index(b"mallory/02.ipynb") + 40
    (tmp_path / "hw.zip").write_bytes(data[:at] + bytes(60) + data[at + 60 :])
    with zipfile.ZipFile(tmp_path / "hw.zip") as archive, pytest.raises(zlib.error):
        archive.read("mallory/02.ipynb")
    result = found(tmp_path / "hw.zip")
    assert {student for student, _ in result} == {"ann", "mallory", "zoe"}


@pytest.mark.parametrize("as_zip", [True, False])
def test_too_many_files(as_zip: bool, tmp_path: Path) -> None:
    files = [("hw/ann/02.ipynb", TWO), ("hw/zoe/02.ipynb", TWO)]
    files += [(f"hw/mallory/{n}.txt", b"") for n in range(20_001)]
    if as_zip:
        (tmp_path / "hw.zip").write_bytes(zipped(files))
        source = tmp_path / "hw.zip"
    else:
        source = tmp_path / "class"
        for name, data in files:
            put(source / name, data)
    result = found(source)
    assert {key for key, s in result.items() if s.notebook} == ANN_AND_ZOE
    assert "20,000" in result["mallory", 0].problem


def test_too_much_to_unpack(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hw.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ann/02.ipynb", TWO)
        for number in range(8):
            archive.writestr(f"mallory/{number}.ipynb", b" " * (50 << 20))
        archive.writestr("zoe/02.ipynb", TWO)
    result = found(tmp_path / "hw.zip")
    assert {key for key, s in result.items() if s.notebook} == ANN_AND_ZOE
    assert "256 MB" in result["mallory", 0].problem


@pytest.mark.parametrize("stray", ["README.txt", "notes.pdf", ".DS_Store", "roster.csv"])
@pytest.mark.parametrize("as_zip", [True, False])
def test_a_stray_file_changes_nobodys_folder(stray: str, as_zip: bool, tmp_path: Path) -> None:
    files = [("hw2/ann/02.ipynb", TWO), ("hw2/zoe/02.ipynb", TWO), (f"hw2/{stray}", b"x"), (stray, b"x")]
    for name, data in files:
        put(tmp_path / "class" / name, data)
    (tmp_path / "hw2.zip").write_bytes(zipped(files))
    result = found(tmp_path / "hw2.zip" if as_zip else tmp_path / "class")
    assert set(result) == ANN_AND_ZOE


def test_a_stray_archive_is_its_own_students(tmp_path: Path) -> None:
    inner = zipped([("02.ipynb", TWO)])
    files = [("hw2/ann/02.ipynb", TWO), ("hw2/bob/02.ipynb", TWO), ("hw2/zoe.zip", inner)]
    (tmp_path / "hw2.zip").write_bytes(zipped(files))
    assert set(found(tmp_path / "hw2.zip")) == {*ANN_AND_ZOE, ("bob", 2)}


def test_names_in_no_encoding_and_odd_modes(tmp_path: Path) -> None:
    put(tmp_path / "ann" / "02.ipynb")
    put(tmp_path / os.fsdecode(b"M\xfcller") / os.fsdecode(b"02\xff.ipynb"))
    (tmp_path / os.fsdecode(b"\xed\xa0\x80")).mkdir()  # a half surrogate, as UTF-8 would write it
    result = found(tmp_path)
    assert result["Müller", 2].notebook
    assert result["ann", 2].notebook
    assert len(result) == 3
    for submission in result.values():
        (submission.student + submission.file + submission.problem).encode()


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so for root the file is one that nobody can read."""
    for student in ("ann", "mallory", "zoe"):
        put(tmp_path / student / "02.ipynb")
    (tmp_path / "mallory" / "02.ipynb").chmod(0)
    if os.geteuid() == 0:
        real = intake.list_source

        def closed(*arguments: Any) -> Any:
            listing = real(*arguments)
            listing.files = [replace(f, place="/proc/self/mem") if "mallory" in f.path else f for f in listing.files]
            return listing

        monkeypatch.setattr(intake, "list_source", closed)
    result = found(tmp_path)
    assert {key for key, s in result.items() if s.notebook} == ANN_AND_ZOE
    (mallory,) = [s for s in result.values() if s.student == "mallory"]
    assert "cannot be read" in mallory.problem


def test_very_deep_folders(tmp_path: Path) -> None:
    put(tmp_path / "ann" / "02.ipynb")
    put(tmp_path / "zoe" / "02.ipynb")
    at = os.open(tmp_path, os.O_RDONLY)
    os.mkdir("mallory", dir_fd=at)
    step = os.open("mallory", os.O_RDONLY, dir_fd=at)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=step)
        inner = os.open("deep", os.O_RDONLY, dir_fd=step)
        os.close(step)
        step = inner
    os.close(step)
    try:
        assert readable(tmp_path) == ANN_AND_ZOE
        assert "mallory" in {student for student, _ in found(tmp_path)}
    finally:
        os.system(f"rm -rf '{tmp_path}/mallory'")
        os.close(at)


@pytest.mark.parametrize(
    "content",
    [
        b"x: !!bool foo", b"x: !!int ''", b"x: !!timestamp foo", b"x: !!binary 1", b"- [", b"\xff\xfe\x00", b"&a [*a]",
        b"{" * 100_000, b"? {a: b}\n: c", b"submission_1: {':submitters': 5}", b"5", aliases(8), b"a: " + b"\xf0\x90\x80",
        b"!!python/object/apply:os.system ['touch /tmp/evil']",
    ],
)  # fmt: skip
def test_metadata_of_any_kind(content: bytes, tmp_path: Path) -> None:
    for number in (1, 2):
        put(tmp_path / f"submission_{number}" / "02.ipynb")
    put(tmp_path / METADATA, content)
    start = time.monotonic()
    taken = intake.take(tmp_path)
    assert {s.key for s in taken.submissions} == {("submission_1", 2), ("submission_2", 2)}
    assert time.monotonic() - start < 60
    put(tmp_path / "submission_2" / METADATA, content)
    put(tmp_path / METADATA, b"submission_1:\n  :submitters:\n  - :sid: '11'\n    :name: Ann\n")
    assert set(found(tmp_path)) == {("11", 2), ("submission_2", 2)}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00\x01\x1b[31m", "\u202e\u2028"])
def test_text_that_no_file_can_hold(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In answers, sources, ids, tags, names of files, and what the child says: everybody has all pages, on every run."""

    def judge(job: Job, limits: Limits, trust: bool) -> SubmissionResult:
        result = judge_quickly(job, limits, trust)
        if job.student != "mallory":
            return result
        (question,) = result.questions
        said = replace(question, tests=(replace(question.tests[0], message=text),))
        return replace(result, questions=(said,), cells=LoadReport(errors=(CellError(1, 1, text, text),)))

    monkeypatch.setattr(schedule, "on_worker", judge)
    for student in ("ann", "mallory", "zoe"):
        content = json.loads(notebook(f"def token_log_probs(logits, ids): return '''{text}'''"))
        cell = {"cell_type": "markdown", "id": "w2_1-answer", "metadata": {"tags": [text]}, "source": f"answer {text}"}
        content["cells"] += [cell, cell | {"id": text, "cell_type": text}] if student == "mallory" else []
        put(tmp_path / "class" / student / "02.ipynb", json.dumps(content).encode())
    for _ in range(2):
        result = grade(tmp_path / "class", "--out", tmp_path / "out")
        assert result.exit_code == 0, result.output
        assert sorted(p.name for p in (tmp_path / "out" / "feedback").iterdir()) == [
            f"{s}-part2.html" for s in ("ann", "mallory", "zoe")
        ]
        for name in ("report.html", "import/canvas.csv", "written/w2_1.html", "written/w2_6.csv", "grades.csv"):
            assert (tmp_path / "out" / name).read_bytes().decode()
    assert "answer" in (tmp_path / "out" / "written" / "w2_1.html").read_text()


@pytest.mark.usefixtures("quick")
def test_a_page_that_cannot_be_written_costs_that_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autograder.grade.results import outputs

    real = outputs.feedback

    def feedback(row: outputs.SheetRow) -> str:
        if row.student == "mallory":
            raise RuntimeError("tripped")
        return real(row)

    monkeypatch.setattr(outputs, "feedback", feedback)
    for student in ("ann", "mallory", "zoe"):
        put(tmp_path / "class" / student / "02.ipynb")
    result = grade(tmp_path / "class", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "mallory" in result.output
    assert len(list((tmp_path / "out" / "feedback").iterdir())) == 2
    assert (tmp_path / "out" / "report.html").exists()


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


def test_a_classs_archive_that_cannot_be_read(tmp_path: Path) -> None:
    for name, data in (("a.zip", b"PK\x03\x04"), ("b.tar.gz", b"x"), ("c.zip", b"")):
        (tmp_path / name).write_bytes(data)
        result = grade(tmp_path / name, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert name in result.output


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
