"""`course new-term`: a new tag and moved dates, every comment kept, and nothing written where a date cannot be moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder import cli
from autograder.publish import settings

TEXT = """\
[course]
name = "A course # 1"  # ours

[student_repository]
url = "https://github.com/x/y"
tag = "v2026.1"  # never move it

[deadlines]
timezone = "Europe/Berlin"
# [deadlines.1]
# due = 2026-10-01T23:59:00
[deadlines.2]
due = 2026-10-01T23:59:00     # a Thursday
closes = "2026-10-30 12:00"
[deadlines.3]
due = 2026-12-24T10:00:00+01:00
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "course.toml"
    path.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(settings, "COURSE", path)
    return path


def new_term(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["new-term", *words])
    return result.exit_code, result.output


def test_tag_and_dates_move_and_all_else_stays(file: Path) -> None:
    code, output = new_term("v2027.1", "--days", "182")  # summer time ends and begins between
    assert code == 0, output
    wanted = TEXT.replace("v2026.1", "v2027.1").replace(
        "due = 2026-10-01T23:59:00     ", "due = 2027-04-01T23:59:00     "
    )
    wanted = wanted.replace("2026-10-30", "2027-04-30").replace("2026-12-24", "2027-06-24")
    assert file.read_text(encoding="utf-8") == wanted
    assert "2027-04-30" in output
    assert "course build" in output
    assert [path.name for path in file.parent.iterdir()] == ["course.toml"]


@pytest.mark.parametrize("line", ["", 'term = "Autumn"  # of this year\n'])
def test_the_term_is_named_where_it_stood_or_behind_the_name(file: Path, line: str) -> None:
    file.write_text(TEXT.replace("# ours\n", f"# ours\n{line}"), encoding="utf-8")
    code, output = new_term("v2027.1", "--term", 'The "spring" of 2027')
    assert code == 0, output
    named = "term = \"The 'spring' of 2027\"" + ("  # of this year\n" if line else "\n")
    assert file.read_text(encoding="utf-8") == TEXT.replace("# ours\n", f"# ours\n{named}").replace(
        "v2026.1", "v2027.1"
    )


@pytest.mark.parametrize(
    ("words", "old", "new", "told"),
    [
        (["v2026.1"], "", "", "already"),
        (["main"], "", "", "a branch"),
        (["v2"], "# ours", '\nterm = "Autumn"', "give the new one"),
        (["v2", "--term", "Autumn"], "# ours", '\nterm = "Autumn"', "give the new one"),
        (
            ["v2", "--days", "7"],
            '"2026-10-30 12:00"',
            '"30.10.2026 12:00"',
            "line 14: deadlines.2.closes could not be moved",
        ),
        (["v2", "--days", "7"], "timezone", "timezon", "line 9: deadlines.timezon"),
    ],
)
def test_what_cannot_be_done_changes_nothing(file: Path, words: list[str], old: str, new: str, told: str) -> None:
    file.write_text(TEXT.replace(old, new, 1) if old else TEXT, encoding="utf-8")
    before = file.read_bytes()
    code, output = new_term(*words)
    assert code == 1
    assert told in output
    assert file.read_bytes() == before
