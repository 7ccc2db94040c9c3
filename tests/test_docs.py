"""The pages for people who change the course: what they name is there, and the exercise they show works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from autograder import masters, testing
from autograder.publish.pipeline import check_master
from autograder.reference.spec import REGISTRY, Case, Spec, register
from helpers.parts import ROOT
from tests.test_variants import LEAST_RIGHT, LEAST_WRONG, read_variants

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = ("build/", "notebooks/runs")  # what a command makes: it need not be there
NAMED = re.compile(r"(?<![\w/.])(?:autograder|helpers|tests|docs|benchmarks|solutions|notebooks)/[\w./<>*-]*")
PLACEHOLDER = re.compile(r"NN_name|NN|partN|<\w+>|\.\.\.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    for path in NAMED.findall(page.read_text(encoding="utf-8")):
        pattern = PLACEHOLDER.sub("*", path.rstrip("./"))
        assert path.startswith(MADE) or list(ROOT.glob(pattern)), f"{page.name} names {path}"


def test_a_term_of_the_glossary_stands_in_the_sections_that_it_links_to() -> None:
    """Sections move; a link that still leads somewhere is found by no other test."""
    told: dict[str, str] = {}
    for part in masters.existing_parts():
        text = masters.master_path(part).read_text(encoding="utf-8").replace("\n# ", " ")
        pieces = re.split(r"## (\d+\.\d+) ", text)
        told |= dict(zip(pieces[1::2], pieces[2::2], strict=True))
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for name, explained in re.findall(r"^- \*\*(.+?)\*\*(.+)$", glossary, re.MULTILINE):
        terms = [term.lower() for term in re.split(r", | \(|\)", name) if term]
        for section in re.findall(r"ipynb#(\d+\.\d+)", explained):
            assert any(term in told[section].lower() for term in terms), f"{name} is not in section {section}"


def test_every_room_stands_in_the_table_of_rooms() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        path.parent.relative_to(ROOT) for name in ("autograder", "helpers") for path in (ROOT / name).rglob("*.py")
    }
    assert [f"{room}/" for room in sorted(rooms) if f"`{room.as_posix()}/`" not in text] == []


def test_the_citation_names_the_version_and_github_runs_what_ci_runs() -> None:
    """CITATION.cff goes out of date in silence otherwise, and a second list of test commands would too."""
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert version
    assert citation["version"] == version[1]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert steps[-1] == "bash .ci/run"
    assert not [step for step in steps[:-1] if "pytest" in step or "ruff" in step]
    for template in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"):
        head = yaml.safe_load(template.read_text(encoding="utf-8").split("---")[1])
        assert {"name", "about", "title"} == head.keys(), template.name


def test_the_exercise_that_contributing_shows_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    exercise, reference, answers = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    master, variants = tmp_path / "02_reinforce.py", tmp_path / "double.py"
    master.write_text(f"# %% [markdown]\n# # Part 2 · Shown\n\n{exercise}", encoding="utf-8")
    variants.write_text(answers, encoding="utf-8")
    check_master(master, 2)
    (question,) = masters.load_questions_from(master, 2)
    assert question.function
    monkeypatch.delitem(REGISTRY, question.function, raising=False)  # and so it is taken out again after
    exec(reference, {"torch": torch, "Case": Case, "Spec": Spec, "register": register})
    for variant in read_variants(variants):
        space: dict[str, object] = {"torch": torch}
        exec(variant.source, space)
        results = testing.run_tests(question, space)
        assert not any(result.error for result in results), results
        assert all(result.passed for result in results) == variant.right, results
        assert (variant.told or "") in " ".join(result.message for result in results)
    words = {2: "two", 5: "five"}
    assert f"At least {words[LEAST_RIGHT]} right ones" in text
    assert f"at least {words[LEAST_WRONG]} wrong ones" in text
