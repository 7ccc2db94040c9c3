"""The table of a run, for people and for `docs/mutation.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from helpers.parts import ROOT
from tests.mutation.truths import ORACLES

PAGE = ROOT / "docs" / "mutation.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
COLUMNS = ("mutants", "killed by public tests", "by hidden tests", "equivalent", "holes", "too strict")
KINDS = ("public", "hidden", "equivalent", "hole")


def counts(records: Iterable[dict]) -> dict[str, Counter]:
    """The numbers of each exercise, in the order of the course."""
    found: dict[str, Counter] = {}
    for record in records:
        numbers = found.setdefault(record["function"], Counter())
        numbers[record["kind"]] += 1
        numbers["too strict"] += record["too_strict"]
    return {function: found[function] for function in ORACLES if function in found}


def rows(records: Iterable[dict]) -> list[list[str]]:
    """Exercise and numbers; the last row is the sum."""
    by_function = counts(records)
    total = sum(by_function.values(), Counter())
    result = []
    for name, numbers in [*((f"`{name}`", numbers) for name, numbers in by_function.items()), ("all", total)]:
        values = [sum(numbers[kind] for kind in KINDS), *(numbers[kind] for kind in KINDS), numbers["too strict"]]
        result.append([name, *(f"{value:,}" for value in values)])
    return result


def text(records: Iterable[dict]) -> str:
    """The table in Markdown."""
    lines = [["exercise", *COLUMNS], ["---", *["---:"] * len(COLUMNS)], *rows(records)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(records: Iterable[dict]) -> None:
    """Put the table in its place in the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text(records)}\n{END}{after}", encoding="utf-8")
