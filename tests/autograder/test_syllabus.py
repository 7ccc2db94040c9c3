"""`course syllabus`: dates, points and times as the settings and masters have them, and a calendar that programs read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder import cli
from autograder.publish import settings
from autograder.publish.student_pages import parts_in_readme, points
from helpers.parts import PARTS, ROOT

SETTINGS = """
[course]
name = "Steering, %s; a course"
[student_repository]
url = "https://github.com/x/y"
tag = "v1"
""" % ("very " * 20)
DEADLINES = """
[deadlines]
timezone = "Europe/Berlin"
penalty_per_day = 0.1
grace_minutes = 15
[deadlines.2]
due = 2026-12-01T23:59:00
closes = 2026-12-08T23:59:00
"""


@pytest.mark.parametrize("dated", [True, False])
def test_the_page_and_the_calendar(dated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = tmp_path / "course.toml", tmp_path / "out"
    file.write_text(SETTINGS + DEADLINES * dated, encoding="utf-8")
    monkeypatch.setattr(settings, "COURSE", file)
    result = CliRunner().invoke(cli.app, ["syllabus", "--folder", str(out), "--json"])
    assert result.exit_code == 0, result.output
    assert [Path(name).name for name in json.loads(result.stdout)] == ["syllabus.md", "deadlines.ics"][: 1 + dated]
    page = (out / "syllabus.md").read_text(encoding="utf-8")
    known = parts_in_readme((ROOT / "README.md").read_text(encoding="utf-8"))
    for part in PARTS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| Part {part}")]
        assert f"| {points(part)[0]:g} + {points(part)[1]:g} | {known[part][1]} |" in row
        assert ("Tue 2026-12-01 23:59 CET | Tue 2026-12-08 23:59 CET" in row) == (dated and part == 2)
    assert ("10 % of the points for each day begun" in page) == dated
    assert ("| due |" in page) == dated
    if dated:
        text = (out / "deadlines.ics").read_bytes()
        assert b"DTSTART:20261201T225900Z\r\n" in text
        assert text.count(b"BEGIN:VEVENT") == text.count(b"END:VEVENT") == 2
        assert max(len(line) for line in text.split(b"\r\n")) <= 75
        assert b"\n" not in text.replace(b"\r\n", b"")
        assert r"a course: Part 2 due" in text.decode().replace("\r\n ", "")
        assert r"Steering\, very" in text.decode().replace("\r\n ", "")
