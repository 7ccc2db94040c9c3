"""The prose of masters and pages, read by harper: spelling with the course's own words, and its rules of grammar."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import masters
from helpers.parts import ROOT

WORDS = Path(__file__).with_name("words.txt")  # names and terms that the dictionary lacks
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = ("exercises.md", "results.md")  # by commands, from what is read elsewhere
# rules that found nothing but right sentences: titles, lists, formulas, or a matter of style
MISFIRE = """
AnA CapitalizePersonalPronouns CommaFixes CompoundNouns CondenseAllThe DiscourseMarkers DisjointPrefixes
Excellent ExpandControl ExpandMemoryShorthands ExpandMinimum FindOut ItsContraction LongSentences MassNouns
MergeWords MissingDeterminer MissingPreposition MissingTo MultipleSequentialPronouns NumericRangeEnDash
OneOfTheSingular OrthographicConsistency OutOfDate Overall OxfordComma PhrasalVerbAsCompoundNoun
PronounContraction PronounInflectionBe QuantifierNumeralConflict RepeatedWords SentenceCapitalization SingleBe
Spaces SplitWords TheirToTheyre ThereIsAgreement ThereToTheir ToTwoToo UseTitleCase WayTooAdjective WereWhere
WrongNegative
""".split()
LEFT_OUT = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]*`|\[[^\]\n]*\]\([^)\n]*\)", re.DOTALL)
TAG = re.compile(r"</?\w+>")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def plain(text: str) -> str:
    """Prose without formulas, code, tables and links, line for line."""

    def blank(found: re.Match[str]) -> str:
        return "Paris" + "\n" * found[0].count("\n")

    text = LEFT_OUT.sub(blank, TAG.sub(" ", FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)))
    return "\n".join("" if line.startswith("|") else line for line in text.split("\n"))


def prose_of(path: Path) -> str:
    """The prose of a page, or of a master: there, all other lines are empty, so that a line keeps its number."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return plain(text)
    lines, prose = [], False
    for line in text.split("\n"):
        if line.startswith(masters.CELL):
            prose, line = line.startswith(f"{masters.CELL} [markdown]"), ""
        lines.append(line.removeprefix("#").removeprefix(" ") if prose else "")
    return plain("\n".join(lines))


def findings(folder: Path, texts: dict[str, str]) -> list[str]:
    """What harper says of these texts, by name."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    program = Path(sys.executable).with_name("harper")
    options = ["--no-color", "lint", "--dialect", "british", "--user-dict-path", str(WORDS), "--format", "compact"]
    options += ["--ignore", ",".join(MISFIRE)]
    done = subprocess.run([program, *options, *sorted(texts)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr[-500:]
    return [line for line in done.stdout.splitlines() if re.match(r"[\w.-]+:\d+:\d+: ", line)]


def test_harper_finds_nothing_in_the_prose(tmp_path: Path) -> None:
    sources = [*map(masters.master_path, masters.existing_parts()), *(p for p in PAGES if p.name not in MADE)]
    found = findings(tmp_path, {f"{path.stem}.md": prose_of(path) for path in sources})
    assert not found, "\n".join(found)


def test_harper_finds_a_slip_and_knows_the_words_of_the_course(tmp_path: Path) -> None:
    assert (
        findings(tmp_path, {"a.md": "REINFORCE raises the log-prob of what `earned_it`, and the KL in nats grows.\n"})
        == []
    )
    (line,) = findings(tmp_path, {"b.md": "Every completion has a rewward.\n"})
    assert "SpellCheck" in line


@pytest.mark.parametrize("text", ["One `x` two.\n\nA $$\na\n$$ b", "```\ncode\n```\nend"])
def test_lines_keep_their_numbers(text: str) -> None:
    assert plain(text).count("\n") == text.count("\n")
