"""Whatever one student uploads costs that student alone."""

from __future__ import annotations

import json
import os
import tarfile
import time
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder.grade import schedule
from autograder.grade.intake import collect as intake
from autograder.grade.intake.apart import Reader
from autograder.grade.jobs import Job
from autograder.grade.limits import Limits
from autograder.grade.result import CellError, LoadReport, SubmissionResult
from tests.grade.fake import judge_quickly
from tests.grade.samples import notebook
from tests.hostile.uploads import (
    ANN_AND_ZOE,
    DAMAGED,
    DAMAGED_TARS,
    METADATA,
    TWO,
    aliases,
    found,
    grade,
    put,
    readable,
    zipped,
)

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


def test_a_class_that_is_taken_for_one_student_is_told(tmp_path: Path) -> None:
    """A notebook beside the class's folder may be anybody's, and then the folder may be one's own as well."""
    for name in ("hw2/ann/02.ipynb", "hw2/zoe/02.ipynb", "handed_out.ipynb"):
        put(tmp_path / name)
    (warning,) = intake.take(tmp_path).warnings
    assert "hw2 holds 2 notebooks of one part" in warning


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


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_in_no_encoding_in_a_classs_archive(kind: str, tmp_path: Path) -> None:
    source = tmp_path / f"hw.{kind}"
    source.write_bytes(zipped((f"{name}/02.ipynb", TWO) for name in ("ann", "M#ller", "zoe")))
    if kind == "zip":
        source.write_bytes(source.read_bytes().replace(b"M#ller", b"M\xfcller"))
    else:
        put(tmp_path / "02.ipynb")
        with tarfile.open(source, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
            for name in ("ann", "M\xfcller", "zoe"):
                archive.add(tmp_path / "02.ipynb", f"{name}/02.ipynb")
    result = found(source)
    assert len(result) == 3
    assert all(submission.notebook for submission in result.values())
    for student, _ in result:
        student.encode()


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so it is the reading that is refused."""
    for student in ("ann", "mallory", "zoe"):
        put(tmp_path / student / "02.ipynb")
    real = os.scandir

    def scandir(place: str) -> Any:
        if str(place).endswith("mallory"):
            raise PermissionError(13, "Permission denied")
        return real(place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        result = found(tmp_path)
    assert {key for key, s in result.items() if s.notebook} == ANN_AND_ZOE
    assert "cannot be read" in result["mallory", 0].problem


def test_several_files_of_one_person_share_a_budget(tmp_path: Path) -> None:
    """Canvas puts every file of a student's beside all others', so the outermost name is not the student."""
    many = zipped((f"{n}.txt", b"") for n in range(11_000))
    files = [("ann_1_501_02.ipynb", TWO), ("zoe_2_502_02.ipynb", TWO)]
    files += [(f"mallory_3_{n}_work.zip", many) for n in (503, 504)]
    (tmp_path / "submissions.zip").write_bytes(zipped([*files, ("mallory_3_506_02_reinforce.ipynb", TWO)]))
    result = found(tmp_path / "submissions.zip")
    assert {key for key, s in result.items() if s.notebook} == {("1", 2), ("2", 2)}
    assert "more than 8,998 files" in result["3", 2].problem, "what the first of them left"


def test_a_classs_archive_is_read_from_front_to_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar.gz would be unpacked from its start for every student, and a large file of one's would slow everybody."""
    asked: list[int] = []
    real = Reader.ask

    def ask(self: Reader, operation: str, *given: Any, **named: Any) -> Any:
        asked.extend([named["number"]] if operation == "read_member" else [])
        return real(self, operation, *given, **named)

    monkeypatch.setattr(Reader, "ask", ask)
    (tmp_path / "hw.zip").write_bytes(
        zipped((f"{name}/{n}.ipynb", TWO) for name in ("zoe", "bob", "ann") for n in "21")
    )
    assert len(found(tmp_path / "hw.zip")) == 3
    assert len(asked) == 6
    assert asked == sorted(asked)


def test_a_lost_file_beside_a_good_one_is_told(tmp_path: Path) -> None:
    put(tmp_path / "ann_1_501_02_reinforce.ipynb")
    put(tmp_path / "ann_1_502_more.zip", DAMAGED["cut off"]())
    put(tmp_path / "ann_1_503_essay.pdf", b"%PDF")
    put(tmp_path / "bob_2_504_essay.pdf", b"%PDF")
    result = found(tmp_path)
    assert set(result) == {("1", 2), ("2", 0)}
    (note,) = result["1", 2].notes
    assert "ann_1_502_more.zip" in note
    assert "damaged" in note
    assert result["2", 0].problem == "no notebook was handed in, only bob_2_504_essay.pdf"


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
