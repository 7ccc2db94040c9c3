"""`course new-version`: every file that names the version says the new one, in a commit with a tag; refused, all is as before."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from autograder.publish import new_version
from helpers.parts import ROOT

DAY = date(2027, 1, 31)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the course's own files that name its version, and a section of what is not released."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b")
    for name in new_version.PLACES:
        shutil.copyfile(ROOT / name, tmp_path / name)
    log = tmp_path / "CHANGELOG.md"
    log.write_text("# Changelog\n\n## Next (unreleased)\n\n- New.\n\n## 0.0.1 (2020-01-01)\n", encoding="utf-8")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        new_version.git(tmp_path, *words)
    return tmp_path


def test_every_file_that_names_the_version_says_the_new_one(repository: Path) -> None:
    for version in ("98.0.0", "98.0.1"):
        assert new_version.release_version(version, repository, DAY) == f"v{version}"
        texts = {name: (repository / name).read_text(encoding="utf-8") for name in new_version.PLACES}
        assert f'\nversion = "{version}"\n' in texts["pyproject.toml"]
        assert f"\nversion: {version}\ndate-released: 2027-01-31\n" in texts["CITATION.cff"]
        assert texts["CITATION.cff"].count("date-released") == 1
        assert f"## {version} (2027-01-31)\n\n- New." in texts["CHANGELOG.md"]
        assert new_version.git(repository, "describe", "--exact-match") == f"v{version}"
        assert new_version.git(repository, "status", "--porcelain") == ""
        log = texts["CHANGELOG.md"].replace("# Changelog\n", "# Changelog\n\n## Next (unreleased)\n\n- New.\n")
        (repository / "CHANGELOG.md").write_text(log, encoding="utf-8")
        new_version.git(repository, "commit", "--quiet", "--all", "--message", "more")


@pytest.mark.parametrize(
    ("version", "before", "told"),
    [
        ("1.0", "", "no version"),
        ("0.0.0", "", "below the present version"),
        ("98.0.0", "tag v98.0.0", "a tag v98.0.0 already"),
        ("98.0.0", "touch", "not everything is committed"),
        ("98.0.0", "no section", "begin a section"),
        ("98.0.0", "hook", "git commit refuses"),
    ],
)
def test_what_cannot_be_released_changes_nothing(repository: Path, version: str, before: str, told: str) -> None:
    if before.startswith("tag"):
        new_version.git(repository, *before.split())
    elif before == "touch":
        (repository / "own.txt").write_text("mine", encoding="utf-8")
    elif before == "no section":
        log = repository / "CHANGELOG.md"
        log.write_text(log.read_text(encoding="utf-8").replace("unreleased", "2021-01-01"), encoding="utf-8")
        new_version.git(repository, "commit", "--quiet", "--all", "--message", "all is released")
    elif before == "hook":
        hook = repository / ".git" / "hooks" / "pre-commit"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n", encoding="utf-8")
        hook.chmod(0o755)
    texts = {path.name: path.read_bytes() for path in repository.iterdir() if path.is_file()}
    head = new_version.git(repository, "rev-parse", "HEAD")
    with pytest.raises(ValueError, match=re.escape(told)):
        new_version.release_version(version, repository, DAY)
    assert {path.name: path.read_bytes() for path in repository.iterdir() if path.is_file()} == texts
    assert new_version.git(repository, "rev-parse", "HEAD") == head
