"""`course new-version`: a version of the course itself, in every file that names it, as a commit with a tag."""

from __future__ import annotations

import re
import subprocess
from datetime import date
from pathlib import Path

from packaging.version import Version

from helpers.parts import ROOT

from .normalise import write_text

PLACES = {  # by file: what is replaced, and by what
    "pyproject.toml": (r'^version = "(.+)"$', 'version = "{version}"'),
    "CITATION.cff": (r"^version: (.+)\n(?:date-released: .+\n)?", "version: {version}\ndate-released: {day}\n"),
    "CHANGELOG.md": (r"^## (.*\(unreleased\))$", "## {version} ({day})"),
}


def release_version(version: str, root: Path = ROOT, day: date | None = None) -> str:
    """Write a version into the files of `PLACES`, commit them, and tag the commit.

    Args:
        version: three numbers, such as 1.0.0, above the present version.
        root: the repository.
        day: the day of the release; today by default.

    Returns:
        The tag.

    Raises:
        ValueError: the version is none or not above the present one, the tag is there, something is not committed, the changelog
            has no section "(unreleased)", or git refuses. Everything is as before then.
    """
    texts = {name: (root / name).read_text(encoding="utf-8") for name in PLACES}
    found = {name: re.search(pattern, texts[name], re.MULTILINE) for name, (pattern, _) in PLACES.items()}
    places = {name: match for name, match in found.items() if match}
    tag = f"v{version}"
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version} is no version: write three numbers, such as 1.0.0")
    if missing := sorted(PLACES.keys() - places.keys()):
        hint = (
            ': begin a section "## Next (unreleased)" that says what has changed' if "CHANGELOG.md" in missing else ""
        )
        raise ValueError(f"{', '.join(missing)} does not say where the version goes{hint}")
    if Version(version) < Version(present := places["pyproject.toml"][1]):
        raise ValueError(f"{version} is below the present version, {present}")
    if changed := git(root, "status", "--porcelain"):
        raise ValueError(f"not everything is committed:\n{changed}")
    if git(root, "tag", "--list", tag):
        raise ValueError(f"there is a tag {tag} already")
    words = {"version": version, "day": (day or date.today()).isoformat()}
    try:
        for name, match in places.items():
            new = PLACES[name][1].format(**words)
            write_text(root / name, texts[name][: match.start()] + new + texts[name][match.end() :])
        git(root, "commit", "--quiet", "--message", f"Version {version}", "--", *PLACES)
    except ValueError:
        for name, text in texts.items():
            write_text(root / name, text)
        raise
    git(root, "tag", "--annotate", tag, "--message", f"Version {version}")
    return tag


def git(root: Path, *words: str) -> str:
    """What git prints.

    Raises:
        ValueError: git refuses, or there is none.
    """
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise ValueError("git is not installed here") from error
    if done.returncode != 0:
        raise ValueError(f"git {words[0]} refuses: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()
