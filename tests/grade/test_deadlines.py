"""Late work: when it came, by what the platform wrote; what that costs, beside the points."""

from __future__ import annotations

import json
import os
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from autograder.grade import runner, schedule
from autograder.grade.deadlines import UNKNOWN, UNKNOWN_LATE, Arrival, Deadlines, parse_deadlines
from autograder.grade.moments import moment, zone_of
from autograder.grade.results import outputs
from autograder.publish import settings
from helpers.parts import PARTS
from tests.grade.marking import STUB, TESTED, enter, grade, judge_all, put, table
from tests.grade.samples import notebook

DUE = "2026-10-01T23:59:00+02:00"
COURSE = f"""
[deadlines]
timezone = "Europe/Berlin"
grace_minutes = 15
penalty_per_day = 0.1
most = 0.5
[deadlines.2]
due = {DUE}
closes = 2026-10-09T00:00:00+02:00
"""


@pytest.fixture(autouse=True)
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of the course, with deadlines; judging takes no time."""
    monkeypatch.setattr(schedule, "on_worker", judge_all)
    path = tmp_path / "course.toml"
    path.write_text(COURSE)
    monkeypatch.setattr(settings, "COURSE", path)
    return path


def rules(text: str = COURSE, **more: Any) -> Deadlines:
    """Deadlines from settings."""
    return Deadlines(*parse_deadlines(settings.tomllib.loads(text)["deadlines"]), **more)


@pytest.mark.parametrize(
    ("submitted", "hours", "penalty"),
    [
        ("2026-10-01T21:00:00Z", 0, 0),
        ("2026-10-02 00:14:00 +0200", 0, 0),  # within the grace
        ("2026-10-02 00:15:00", 16 / 60, 0.1),  # a minute after it; in the course's time zone
        ("2026-10-03T01:59:00+02:00", 26, 0.2),
        ("02.10.2026 23:59", 24, 0.1),
        ("2026-10-08T23:59:00+02:00", 168, 0.5),  # the most that lateness costs
        ("2026-10-09T00:01:00+02:00", 168 + 2 / 60, 1),  # closed
    ],
)
def test_what_lateness_costs(submitted: str, hours: float, penalty: float) -> None:
    found = rules().lateness("ann", 2, Arrival("gradescope", submitted))
    assert found is not None
    assert found.hours == pytest.approx(hours)
    assert found.penalty == pytest.approx(penalty)
    assert rules().lateness("ann", 3, Arrival("gradescope", submitted)) is None


def test_what_is_not_known_is_not_guessed() -> None:
    naive = COURSE.replace('timezone = "Europe/Berlin"', "")
    for arrival, more, told in (
        (Arrival("canvas", late=True), {}, UNKNOWN_LATE),
        (Arrival("moodle"), {}, UNKNOWN),
        (Arrival(file_time="2026-10-05 10:00:00 Z"), {}, UNKNOWN),
        (Arrival("gradescope", "yesterday"), {}, "no date"),
        (Arrival("nbgrader", "2026-10-05 10:00:00.0 XYZ"), {}, "time zone 'XYZ'"),
        (Arrival("nbgrader", "2026-10-05 10:00:00"), {}, "`timezone`"),
    ):
        found = rules(naive, **more).lateness("ann", 2, arrival)
        assert found is not None
        assert (found.penalty, told in found.why) == (None, True), found
    assert rules().lateness("ann", 2, Arrival("canvas", late=False)).penalty == 0, "Canvas says that it was on time"
    trusting = rules(trust_files=True).lateness("ann", 2, Arrival(file_time="2026-10-05 10:00:00 Z"))
    assert trusting.penalty == pytest.approx(0.4)


def test_times_as_platforms_write_them() -> None:
    noon = datetime(2026, 10, 1, 12, tzinfo=timezone.utc)
    zone = zone_of("Europe/Berlin")
    for text in (
        "2026-10-01 12:00:00.123456789 Z", "2026-10-01 05:00:00.1 -07:00", "2026-10-01T14:00:00+0200",
        "2026-10-01 12:00:00.000000 UTC", "2026-10-01 14:00:00 CEST", "1.10.2026 14:00", "2026-10-01 14:00",
    ):  # fmt: skip
        assert moment(text, zone) == noon, text
    for text in (
        "10/1/2026 14:00",
        "2026-10-01",
        "2026-13-01 10:00",
        "2026-10-01 25:00",
        "",
        "now",
        "2026-10-01 1:00 EST",
    ):
        with pytest.raises(ValueError, match=r"2026-|'|no date"):
            moment(text, zone)
    with pytest.raises(ValueError, match="no time zone"):
        moment("2026-10-01 14:00", None)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("penalty_per_day = 0.1", "penalty_per_day = -0.1", "deadlines.penalty_per_day"),
        ("penalty_per_day = 0.1", "penalty_per_day = 10", r"10 % is 0\.1"),
        ("most = 0.5", 'most = "half"', "deadlines.most"),
        ("grace_minutes = 15", "grace_minutes = -1", "deadlines.grace_minutes"),
        ("grace_minutes = 15", "grace_minutes = true", "deadlines.grace_minutes"),
        ("[deadlines.2]", "[deadlines.7]", "there is no part '7'"),
        ("[deadlines.2]", "[deadlines.02_reinforced]", "there is no part"),
        ("[deadlines.2]", "[deadlines.2]\npenalty = 1", "deadlines.2.penalty is no setting"),
        ("[deadlines.2]", f"[deadlines.part2]\ndue = {DUE}\n[deadlines.2]", "two tables"),
        (f"due = {DUE}", "", "deadlines.2.due is missing"),
        (DUE, "2026-10-01", "2.due.*no date with a time"),
        (DUE, '"next week"', "2.due.*no date"),
        (DUE, "2026-13-01T10:00:00Z", "course.toml"),
        ("closes = 2026-10-09", "closes = 2025-10-09", "before"),
        ('"Europe/Berlin"', '"Berlin"', "'Berlin' is no time zone"),
        ('"Europe/Berlin"', '"../x"', "is no time zone"),
        ("[deadlines.2]", "[deadlines.2", "course.toml"),
        (COURSE, 'deadlines = "soon"', "must be a table"),
        (COURSE, "[deadlines]\nfoo = 1", "there is no part 'foo'"),
        (COURSE, "[deadlines]\n2 = 1", r"must be a table: \[deadlines.2\]"),
        (COURSE, "[deadlines.2]\ndue = 2026-10-01T10:00:00", "no time zone"),
    ],
)
def test_wrong_settings_are_named(old: str, new: str, told: str, course: Path, tmp_path: Path) -> None:
    assert old in COURSE
    course.write_text(COURSE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=told):
        settings.load_deadlines()
    put(tmp_path / "class" / "ann" / "02.ipynb", notebook(STUB))
    result = grade(tmp_path / "class", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "course.toml" in result.output


def test_without_deadlines_nothing_is_late(course: Path, tmp_path: Path) -> None:
    course.write_text("", encoding="utf-8")
    put(tmp_path / "class" / "ann" / "02.ipynb", notebook(STUB))
    assert grade(tmp_path / "class", "--out", tmp_path / "out").exit_code == 0
    row = table(tmp_path / "out" / "grades.csv")["ann"]
    assert row["points"] == f"{TESTED:g}"
    assert not {"mark", "penalty", "late_hours", "submitted"} & set(row)
    (tmp_path / "more.csv").write_text("id,part,days\nann,2,1\n")
    result = grade(tmp_path / "class", "--out", tmp_path / "out", "--extensions", tmp_path / "more.csv")
    assert result.exit_code == 4
    assert "no [deadlines]" in result.output


def export(folder: Path, times: dict[str, str]) -> Path:
    """A Gradescope export with one submission each."""
    lines = []
    for number, (student, time) in enumerate(times.items(), start=1):
        put(folder / f"submission_{number}" / "02.ipynb", notebook(STUB, f"# {student}"))
        lines.append(f"submission_{number}:\n  :submitters:\n  - :sid: {student}\n  :created_at: {time}\n")
    put(folder / "submission_metadata.yml", "".join(lines).encode())
    return folder


def test_the_penalty_stands_beside_the_points(tmp_path: Path) -> None:
    out = tmp_path / "out"
    times = {"ann": "2026-10-01 20:00:00.5 Z", "bob": "2026-10-03 01:59:00 +02:00"}
    assert grade(export(tmp_path / "class", times), "--out", out).exit_code == 0
    rows = table(out / "grades.csv")
    kept = round(TESTED * 0.8, 6)
    assert [rows["bob"][name] for name in ("points", "late_hours", "penalty", "mark")] == [
        f"{TESTED:g}", "26", "0.2", f"{kept:g}",
    ]  # fmt: skip
    assert rows["bob"]["submitted"] == "2026-10-02T23:59:00+00:00"
    assert [rows["ann"][name] for name in ("late_hours", "penalty", "mark")] == ["0", "0", f"{TESTED:g}"]
    canvas = table(out / "import" / "canvas.csv", "ID")
    assert [canvas[name][PARTS[2]] for name in ("ann", "bob")] == [f"{TESTED:g}", f"{kept:g}"]
    page = " ".join((out / "feedback" / "bob-part2.html").read_text().split())
    assert "; handed in 26 h late: 20 % off; mark <strong>" in page
    assert " h late" not in (out / "feedback" / "ann-part2.html").read_text()
    answer = json.loads((out / "gradescope" / "bob-part2.json").read_text())
    assert answer["score"] == kept
    assert "Handed in 26 h late: 20 % off" in answer["output"]


def test_nbgraders_gradebook_has_the_penalty(tmp_path: Path) -> None:
    from nbgrader.api import Gradebook

    source = export(tmp_path / "class", {"bob": "2026-10-03 01:59:00 +02:00"})
    assert grade(source, "--out", tmp_path / "out", "--nbgrader", tmp_path / "book.db").exit_code == 0
    with Gradebook(f"sqlite:///{tmp_path}/book.db") as book:
        submission = book.find_submission(f"{PARTS[2]}-of-record", "bob")
        assert submission.score == TESTED
        assert submission.late_submission_penalty == pytest.approx(TESTED * 0.2)


def states(out: Path) -> dict[str, tuple[str, float | None]]:
    """State and penalty of each student."""
    with runner.open_store(out) as store:
        return {
            row.student: (row.state, row.lateness.penalty if row.lateness else None) for row in outputs.sheet(store)
        }


def test_nbgraders_exchange_writes_the_time(tmp_path: Path) -> None:
    for student, time in (("ann", "2026-10-01 20:00:00.0 UTC"), ("bob", "2026-10-02 23:59:00.0 UTC")):
        put(tmp_path / "submitted" / student / "02_reinforce" / "02_reinforce.ipynb", notebook(STUB, f"# {student}"))
        put(tmp_path / "submitted" / student / "02_reinforce" / "timestamp.txt", time.encode())
    assert grade(tmp_path / "submitted", "--out", tmp_path / "out").exit_code == 0
    assert states(tmp_path / "out") == {"ann": ("complete", 0), "bob": ("complete", 0.2)}
    page = tmp_path / "out" / "import" / "nbgrader-feedback" / "ann" / "02_reinforce" / "02_reinforce.html"
    assert "</html>" in page.read_text()
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for path in sorted((tmp_path / "submitted").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path))
    assert grade(tmp_path / "class.zip", "--out", tmp_path / "zipped").exit_code == 0
    assert states(tmp_path / "zipped") == states(tmp_path / "out")


def test_no_time_comes_from_what_a_student_made(tmp_path: Path) -> None:
    on_time = b"2026-09-30 12:00:00.0 UTC"
    for folder in ("submitted", "class"):
        for student in ("ann", "mallory", "zoe"):
            put(tmp_path / folder / student / "02_reinforce" / "02.ipynb", notebook(STUB, f"# {student}"))
        put(tmp_path / folder / "mallory" / "02_reinforce" / "timestamp.txt", on_time)
        put(
            tmp_path / folder / "mallory" / "submission_metadata.yml",
            b"mallory:\n  :submitters:\n  - :sid: mallory\n  :created_at: 2026-09-30 12:00:00 Z\n",
        )
        grade(tmp_path / folder, "--out", tmp_path / f"{folder}-out")
        assert set(states(tmp_path / f"{folder}-out").values()) == {("to look at", None)}
    for student in ("ann", "mallory"):
        put(tmp_path / "pair" / student / "02_reinforce" / "02.ipynb", notebook(STUB, f"# {student}"))
        put(tmp_path / "pair" / student / "02_reinforce" / "timestamp.txt", on_time)
    grade(tmp_path / "pair", "--out", tmp_path / "pair-out")
    assert set(states(tmp_path / "pair-out").values()) == {("to look at", None)}, "no folder of nbgrader's exchange"
    put(tmp_path / "submitted" / "ann" / "02_reinforce" / "timestamp.txt", b"2026-10-09 12:00:00.0 UTC")
    put(tmp_path / "submitted" / "zoe" / "02_reinforce" / "timestamp.txt", b"x" * 100_000 + b"\x00\xff")
    grade(tmp_path / "submitted", "--out", tmp_path / "submitted-out")
    assert states(tmp_path / "submitted-out")["zoe"] == ("to look at", None)
    assert states(tmp_path / "submitted-out")["ann"] == ("complete", 1)


def test_canvas_says_late_and_not_how_late(tmp_path: Path) -> None:
    source, out = tmp_path / "class", tmp_path / "out"
    put(source / "leeann_LATE_77_503_02_reinforce.ipynb", notebook(STUB, "# ann"))
    put(source / "zedzoe_78_504_02_reinforce.ipynb", notebook(STUB, "# zoe"))
    result = grade(source, "--out", out, "--times", "files")
    assert result.exit_code == 0
    assert UNKNOWN_LATE in result.output
    assert states(out) == {"77": ("to look at", None), "78": ("complete", 0)}
    canvas = table(out / "import" / "canvas.csv", "ID")
    assert [canvas[name][PARTS[2]] for name in ("77", "78")] == ["", f"{TESTED:g}"]
    assert UNKNOWN_LATE in (out / "feedback" / "77-part2.html").read_text()
    (tmp_path / "times.csv").write_text("id;part;time\n77;2;02.10.2026 12:00\n")
    assert grade(source, "--out", out, "--times", tmp_path / "times.csv").exit_code == 0
    assert states(out)["77"] == ("complete", 0.1)


def test_the_files_own_times_only_when_asked_for(tmp_path: Path) -> None:
    source, out = tmp_path / "class", tmp_path / "out"
    for student, time in (("ann", "2026-10-01 20:00 Z"), ("bob", "2026-10-03 20:00 Z")):
        put(source / f"{student}.ipynb", notebook(STUB, f"# {student}"))
        stamp = moment(time, None).timestamp()
        os.utime(source / f"{student}.ipynb", (stamp, stamp))
    grade(source, "--out", out)
    assert set(states(out).values()) == {("to look at", None)}
    grade(source, "--out", out, "--times", "files")
    assert states(out) == {"ann": ("complete", 0), "bob": ("complete", pytest.approx(0.2))}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_who_has_longer(separator: str, encoding: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    late = "2026-10-03 01:59:00 +02:00"
    source = export(tmp_path / "class", {"ann": late, "bob": late, "jörg": late, "zoe": "2026-10-10 00:00:00 +02:00"})
    lines = [
        ["ID", "Part", "Due", "Days"], ["ann", "2", "03.10.2026 12:00", ""], ["BOB", "", "", '"1,5"'],
        ["jörg", "3", "", "9"], ["zoe", "02_reinforce", "", "9"], ["", "", "", ""],
    ]  # fmt: skip
    (tmp_path / "more.csv").write_bytes("\r\n".join(separator.join(line) for line in lines).encode(encoding))
    result = grade(source, "--out", out, "--extensions", tmp_path / "more.csv")
    assert result.exit_code == 0, result.output
    assert {name: penalty for name, (_, penalty) in states(out).items()} == {"ann": 0, "bob": 0, "jörg": 0.2, "zoe": 0}
    assert grade("--merge", enter(tmp_path / "w2_1.csv", ["student", "points"]), "--out", out).exit_code in (0, 4)
    assert states(out)["ann"][1] == 0, "extensions are kept"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,part,due\nann,2,2026-10-05 10:00\nbob,7,2026-10-05 10:00\n", "line 3: there is no part '7'"),
        ("id,part,due\nann,2,10/5/2026 10:00\n", "line 2: .*no date"),
        ("id,part,due,days\nann,2,2026-10-05 10:00,3\n", "line 2: .*either"),
        ("id,part,days\nann,2,-3\n", "line 2: .*from 0"),
        ("id,part,days\nann,2,many\n", "line 2: .*many"),
        ("id,part,days\n,2,1\n", "line 2: .*empty"),
        ("id,part\nann,2\n", "`due` or `days`"),
        ("who,due\nann,2\n", "`id`"),
    ],
)
def test_wrong_lines_are_named(text: str, told: str, tmp_path: Path) -> None:
    put(tmp_path / "class" / "ann" / "02.ipynb", notebook(STUB))
    (tmp_path / "more.csv").write_text(text)
    with runner.open_store(tmp_path / "out") as store:
        with pytest.raises(ValueError, match=told) as caught:
            runner.take_deadlines(store, extensions=tmp_path / "more.csv")
        assert "more.csv" in str(caught.value)
        times = tmp_path / "times.csv"
        times.write_text("id,time\nann,2026-10-01 10:00\nbob,soon\n")
        with pytest.raises(ValueError, match=r"times\.csv: line 3"):
            runner.take_deadlines(store, times=str(times))
        assert not store.setting("times"), "half of a wrong file was taken"


def test_somebody_nobody_knows_is_told(tmp_path: Path) -> None:
    source = export(tmp_path / "class", {"ann": "2026-10-01 20:00:00 Z"})
    result = grade(
        source, "--out", tmp_path / "out", "--extensions", enter(tmp_path / "m.csv", ["id", "days"], ["anm", "1"])
    )
    assert result.exit_code == 4
    assert "nobody has the id anm" in result.output
