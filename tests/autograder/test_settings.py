"""`course.toml`: whatever is wrong in it is said with the line, the setting and what to write; nothing unknown is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.publish.setting_errors import line_of
from autograder.publish.settings import Course, load_course

GOOD = """\
# The course
[course]
name = "A course"

[student_repository]
url = "https://github.com/x/y"
tag = "v1"

[deadlines]
timezone = "Europe/Berlin"
[deadlines.2]
due = 2026-10-01T23:59:00
"""


def test_good_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "course.toml").write_text(GOOD, encoding="utf-8-sig")  # as Windows' editor saves it
    assert load_course(tmp_path / "course.toml") == Course("A course", "https://github.com/x/y", "v1")


def test_term_preset_and_sections_are_read(tmp_path: Path) -> None:
    models = 'preset = "tiny"\npolicy = "owner/name@v1"\nreward_model = "gold"\nlearning_rate = 3e-5\nlora_rank = 8'
    chosen = f'name = "A course"\nterm = "Spring"\n{models}\nleave_out = ["2.11", "4.9"]'
    (tmp_path / "course.toml").write_text(GOOD.replace('name = "A course"', chosen), encoding="utf-8")
    course = load_course(tmp_path / "course.toml")
    assert (course.term, course.title) == ("Spring", "A course, Spring")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "A course"', "", r"line 2: course.name is missing"),
        ('name = "A course"', "name = 3", r"line 3: course.name must be a text"),
        ('name = "A course"', 'name = " "', r"line 3: course.name must be a text"),
        ('name = "A course"', "name = A course", r"line 3: this is no TOML"),
        ('name = "A course"', 'name = "A\\nB"', r"line 3: course.name: it must be one line"),
        ("[course]", "[coures]", r"line 2: coures is no setting; did you mean course\?"),
        (
            "[student_repository]",
            "[student-repository]",
            r"line 5: student-repository .* did you mean student_repository\?",
        ),
        ("tag =", "tags =", r"line 7: student_repository.tags is no setting; did you mean tag\?"),
        ("url =", "URL =", r"line 6: student_repository.URL is no setting; did you mean url\?"),
        (
            'tag = "v1"',
            'tag = "v1"\ncolour = "red"',
            r"line 8: student_repository.colour is no setting; there are url, tag",
        ),
        ('tag = "v1"', 'tag = "v 1"', r"line 7: student_repository.tag: 'v 1' is no name of a tag"),
        ("https://github.com/x/y", "git.example.edu/x", r"line 6: student_repository.url: .* no https address"),
        (
            "[deadlines]",
            "[points]\nq2_33 = 1\n[deadlines]",
            r"line 10: points.q2_33 is no setting; did you mean q2_3\?",
        ),
        (
            "[deadlines]",
            "[points]\nq2_3 = -1\n[deadlines]",
            r"line 10: points.q2_3 must be a number from 0 to 999, not -1",
        ),
        ("[deadlines]", '[points]\nq2_3 = "4"\n[deadlines]', r"line 10: points.q2_3 must be a number .*, not '4'"),
        (
            '"A course"',
            '"A course"\nleave_out = "2.11"',
            r"line 4: course.leave_out must be a list .*\"2.11\", .*, not '2.11'",
        ),
        ('"A course"', '"A course"\nleave_out = ["2.11", "2.1"]', r"line 4: course.leave_out .* are there, not '2.1'"),
        ('"A course"', '"A course"\npreset = "gpt3"', r"line 4: course.preset: there is no preset gpt3; choose .*tiny"),
        ('"A course"', '"A course"\npolicy = "name"', r"line 4: course.policy: 'name' is no model: give"),
        ('"A course"', '"A course"\npolicy = "HERE"', r"line 4: course.policy: .* folder here, and students have none"),
        (
            '"A course"',
            '"A course"\nlearning_rate = "3e-5"',
            r"line 4: course.learning_rate must be .* 3e-5, not '3e-5'",
        ),
        ('"A course"', '"A course"\nlora_rank = true', r"line 4: course.lora_rank must be a whole number"),
        ('"A course"', '"A course"\nlearning_rate = 0.0', r"line 4: course.learning_rate must be a number above 0"),
        ('"A course"', '"A course"\nterm = 2026', r"line 4: course.term must be a text"),
        ("[deadlines]", "[deadline]", r"line 9: deadline is no setting; did you mean deadlines\?"),
        ("timezone =", "timezon =", r"line 10: deadlines.timezon: .* did you mean timezone\?"),
        ("due =", "dew =", r"line 12: deadlines.2.dew is no setting; did you mean due\?"),
        ("due = 2026-10-01T23:59:00", "", r"line 11: deadlines.2.due is missing"),
        ("[deadlines.2]", "[deadlines.9]", r"line 11: deadlines.9: there is no part"),
        ("[deadlines]", "[deadlines", r"line 9: this is no TOML"),
        ("[course]", "course = 1\n[x]", r"no setting"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    file = tmp_path / "course.toml"
    file.write_text(GOOD.replace(old, new, 1).replace("HERE", tmp_path.as_posix()), encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=told) as raised:
        load_course(file)
    assert str(raised.value).startswith("course.toml")


def test_another_encoding_and_a_missing_file_are_said(tmp_path: Path) -> None:
    file = tmp_path / "course.toml"
    with pytest.raises(ValueError, match=r"course.toml is missing"):
        load_course(file)
    file.write_bytes(GOOD.replace("A course", "Einführung").encode("cp1252"))
    with pytest.raises(ValueError, match=r"line 3: .* UTF-8"):
        load_course(file)


def test_the_line_of_a_setting_is_found_in_every_way_to_write_it() -> None:
    text = 'a.b = 1\n["c"]\n"d" = 2\n[c.2]\nx = {y = 1}\n'
    places = {"a.b": 1, "c.d": 3, "c.2": 4, "c.2.x": 5, "c.2.x.y": 5, "c.e": 2, "z": 0}
    assert {name: line_of(text, name) for name in places} == places
