"""`course doctor` names what is missing and what helps; and no output ends in an error because a stream lacks a sign."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.grade.sandbox import parent
from autograder.publish import cache, otter_forms, ready
from autograder.publish.settings import Course
from autograder.publish.site import staging
from autograder.rehearse import doctor
from helpers.parts import ROOT
from tests.test_house import FILES

REAL = Course("A", "https://github.com/x/y", "v1")


@pytest.mark.parametrize("missing", ["git", "nbgrader", "alembic", "bwrap"])
def test_a_missing_program_is_a_note_with_advice(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name, **_: None if name == missing else f"/usr/bin/{name}")
    look = {"git": doctor.look_at_git, "bwrap": doctor.look_at_bubblewrap}.get(missing, doctor.look_at_nbgrader)
    finding = look()
    assert finding.state == doctor.NOTE
    assert finding.advice
    assert missing in finding.found or missing in ("git", "bwrap")


def test_a_missing_libseccomp_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: None)
    finding = doctor.look_at_seccomp()
    assert (finding.state, "libseccomp2" in finding.advice or "Linux" in finding.advice) == (doctor.NOTE, True)
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: "libseccomp.so.2")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    assert "pip install pyseccomp" in doctor.look_at_seccomp().advice


@pytest.mark.parametrize(
    ("setting", "user", "told"),
    [
        ("1", 1000, "apparmor_restrict_unprivileged_userns=0"),
        ("1", 0, "Docker"),
        ("0", 1000, "Docker"),
        (None, 1000, "Docker"),
    ],
)
def test_what_forbids_namespaces_gets_the_right_advice(
    setting: str | None, user: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ubuntu 24.04, the commonest Linux desktop: bubblewrap is installed, so "install bubblewrap" helps nobody."""
    switch = tmp_path / "restricted"
    if setting is not None:
        switch.write_text(f"{setting}\n", encoding="utf-8")
    monkeypatch.setattr(parent, "RESTRICTED", switch)
    monkeypatch.setattr(parent.os, "geteuid", lambda: user)
    assert told in parent.advice()
    assert "Install bubblewrap" not in parent.advice()
    assert ("docs/instructors-grading.md" in parent.advice()) == (
        "apparmor" in parent.advice().lower().split("docker")[0]
    )
    failed = subprocess.CompletedProcess([], 1, "", "bwrap: setting up uid map: Permission denied")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(doctor.shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    assert doctor.look_at_bubblewrap().advice == parent.advice()


def test_notebooks_that_are_out_of_step_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "load_course", lambda: REAL)
    found = doctor.look_at_notebooks()
    assert (found.state, "course build" in found.advice) == (doctor.PROBLEM, True)
    monkeypatch.setattr(ready, "pinned_elsewhere", lambda course, parts: [])
    monkeypatch.setattr(cache, "out_of_date", lambda parts, kind: [3])
    assert doctor.look_at_notebooks().found.startswith("part 3: not compared")
    monkeypatch.setattr(cache, "out_of_date", lambda parts, kind: [])
    assert doctor.look_at_notebooks().state == doctor.OK


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
def test_output_into_a_file_of_another_encoding_does_not_end_in_an_error(encoding: str) -> None:
    """`course doctor > file` on Windows died at its first check mark; JSON keeps every letter, as escapes."""
    code = "from autograder.cli import console, write_anywhere; from autograder.terminal import show_json; "
    code += "write_anywhere(); console.print('\u2713 fine \u2192 next \u4e2d'); show_json({'a': '\u4e2d'})"
    settings = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=settings, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(encoding)
    first, _, rest = done.stdout.decode(encoding).partition("\n")
    assert first.rstrip() == "+ fine -> next ?"
    assert json.loads(rest) == {"a": "\u4e2d"}


def test_other_tools_run_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """otter opens notebooks, and typer writes pages, in the machine's encoding: `course build` died of it on Windows."""
    monkeypatch.delenv("PYTHONUTF8", raising=False)
    ask = "import sys; print('utf8' if sys.flags.utf8_mode else 'locale')"
    assert otter_forms.run_tool([sys.executable, "-c", ask], ROOT, "python").strip() == "utf8"
    assert staging.run_python(["-c", ask]).stdout.strip() == "utf8"


def test_what_a_process_says_is_read_in_a_named_encoding() -> None:
    """`text=True` reads as the machine's language has it: on Windows a student's letters would end the command."""
    wrong = []
    for name in FILES:
        if name.split("/")[0] not in ("helpers", "autograder"):
            continue
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            words = {word.arg: word.value for word in node.keywords}
            text = [words[name] for name in ("text", "universal_newlines") if name in words]
            if (
                any(isinstance(value, ast.Constant) and value.value is True for value in text)
                and "encoding" not in words
            ):
                wrong.append(f"{name}:{node.lineno}")
    assert wrong == []
