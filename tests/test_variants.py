"""Proof that the tests work: wrong answers lose points and are told their mistake, right ones keep every point.

Which points an answer gets depends on nothing but the answer: other hidden inputs give the same.

Each file `tests/variants/<function>.py` holds answers as students write them, each below a header line:
`# === right: in what style` or `# === wrong: which mistake | a piece of the message that names it`. The piece is in the
message of a public test; where it is in that of a hidden test alone, it stands after `hidden: `.
A training step has a folder in place of the file, and `both_steps.py` beside it.
An answer is a whole function, or differs from the file's first one in a few lines: below `# for: <how one of its lines begins>`
stands what takes that line's place.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import math
import re
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autograder import masters, testing
from autograder.masters import Question
from autograder.reference.spec import grading_seed, seeded
from helpers import checks

FOLDER = Path(__file__).parent / "variants"
BOTH_STEPS = FOLDER / "both_steps.py"  # lines changed that are right or wrong in either training step
HEADER = re.compile(r"^# === (right|wrong): (.+?)(?: \| (.+))?$", re.MULTILINE)
HIDDEN = "hidden: "
PLACE = re.compile(r"^# for: (.+)$", re.MULTILINE)
LEAST_WRONG, LEAST_RIGHT = 5, 2
LEAST_WRONG_STEPS, LEAST_RIGHT_STEPS = 60, 8  # of a training step, which can go wrong in more ways
LEAST_NAMED = 0.95  # of the wrong answers, by a public test
OTHER_SEEDS = (1, 2)  # of the hidden inputs; each variant is judged on one of them as well
TRAINING = ("reinforce_step", "dpo_step")  # their tests train a policy, which takes seconds a seed
TRAINED = re.compile(
    "plain|with the helper|clips|micro-batches|float64"
)  # the right ones that are; the rest make the same steps
UNNAMED = (checks.UNKNOWN, checks.ORDINARY)


@dataclass(frozen=True)
class Variant:
    """One student's answer to one exercise."""

    function: str
    right: bool
    title: str
    told: str | None  # a piece of the message that a wrong answer must get
    hidden: bool  # whether it is told by a hidden test alone
    source: str

    @property
    def name(self) -> str:
        """The test's name."""
        return f"{self.function}-{'right' if self.right else 'wrong'}: {self.title}"


def read_variants(path: Path) -> list[Variant]:
    """The answers in one file; or those of a training step, in the files of its folder and in `BOTH_STEPS`.

    Raises:
        ValueError: there is code before the first header, or a header line is not of the form above.
    """
    paths = [path]
    if path.is_dir():
        paths = [path / "right.py", *sorted(set(path.glob("*.py")) - {path / "right.py"}), BOTH_STEPS]
    answers = [answer for file in paths for answer in _answers(file)]
    first = answers[0][1]
    return [_variant(path.stem, h[1], h[2], h[3], with_lines_changed(first, body)) for h, body in answers]


def _answers(file: Path) -> list[tuple[re.Match[str], str]]:
    text = file.read_text(encoding="utf-8")
    headers = list(HEADER.finditer(text))
    if len(headers) != text.count("# ==="):
        raise ValueError(f"{file.name}: a line with `# ===` is not of the form `# === right|wrong: title | told`")
    before = text[: headers[0].start()] if headers else text
    if any(line.strip() and not line.startswith("#") for line in before.splitlines()):
        raise ValueError(f"{file.name}: there is code before the first header")
    ends = [header.start() for header in headers[1:]] + [len(text)]
    return [(header, text[header.end() : end].strip() + "\n") for header, end in zip(headers, ends, strict=True)]


def _variant(function: str, kind: str, title: str, told: str | None, source: str) -> Variant:
    hidden = bool(told and told.startswith(HIDDEN))
    return Variant(function, kind == "right", title.strip(), told and told.removeprefix(HIDDEN).strip(), hidden, source)


def with_lines_changed(first: str, body: str) -> str:
    """The file's first answer with some lines changed as the body says; the body itself where it is a whole answer.

    Raises:
        ValueError: what a line should begin with begins no line of the first answer, or several.
    """
    _, *parts = PLACE.split(body)
    lines = first.splitlines()
    for start, new in zip(parts[::2], parts[1::2], strict=True):
        places = [number for number, line in enumerate(lines) if line.strip().startswith(start.strip())]
        if len(places) != 1:
            raise ValueError(f"`# for: {start}` stands for {len(places)} lines of the file's first answer")
        indent = lines[places[0]][: -len(lines[places[0]].lstrip())]
        lines[places[0]] = textwrap.indent(new.strip("\n"), indent)
    return "\n".join(lines) + "\n" if parts else body


@functools.cache
def exercises() -> dict[str, tuple[Question, tuple[str, ...]]]:
    """Each exercise function's question, and the solutions of the exercises before it (earlier parts included)."""
    found: dict[str, tuple[Question, tuple[str, ...]]] = {}
    earlier: list[str] = []
    for part in masters.existing_parts():
        for question in masters.load_questions(part):
            if question.function:
                found[question.function] = (question, tuple(earlier))
                earlier.append(question.solution)
    return found


VARIANTS = [
    variant
    for path in sorted(FOLDER.iterdir())
    if path != BOTH_STEPS and path.name != "__pycache__"
    for variant in read_variants(path)
]


def environment(variant: Variant) -> dict[str, object]:
    """The names that a notebook with this answer and the solutions of all earlier exercises defines."""
    _, earlier = exercises()[variant.function]
    modules = {"torch": torch, "math": math, "itertools": itertools, "np": np, "F": torch.nn.functional}
    space: dict[str, object] = dict(modules)
    for number, solution in enumerate(earlier):
        exec(compile(solution, f"<solution {number}>", "exec"), space)
    filename = f"<{variant.name}>"
    linecache.cache[filename] = (len(variant.source), None, variant.source.splitlines(True), filename)
    torch.manual_seed(0)
    exec(compile(variant.source, filename, "exec"), space)
    return space


def run_variant(variant: Variant) -> list[testing.TestResult]:
    """The results of the question's tests, public and hidden, for one answer.

    With a training step a policy is trained only if the step is one of `TRAINED`, or if it is wrong and its other tests
    find nothing, since that takes seconds.
    """
    question, space = exercises()[variant.function][0], environment(variant)
    quick = replace(question, tests=tuple(test for test in question.tests if "training" not in test.name))
    if variant.function not in TRAINING or (variant.right and TRAINED.search(variant.title)):
        quick = question
    results = testing.run_tests(quick, space)
    if quick is not question and not variant.right and all(result.passed for result in results):
        return testing.run_tests(question, space)
    return results


def report(results: list[testing.TestResult]) -> str:
    """The failing tests' messages."""
    return "\n".join(f"{result.name}: {result.message}" for result in results if not result.passed)


@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_variant(variant: Variant) -> None:
    if variant.function not in exercises():
        pytest.fail(f"tests/variants/{variant.function}.py belongs to no exercise of the masters")
    assert grading_seed() == 0, "an earlier test left its seed behind"
    results = run_variant(variant)
    faults = [result for result in results if result.error]
    assert not faults, f"the judge failed:\n{report(faults)}"
    if variant.function not in TRAINING:
        with seeded(OTHER_SEEDS[VARIANTS.index(variant) % len(OTHER_SEEDS)]):
            others = [result.name for result in run_variant(variant) if result.passed]
        assert others == [result.name for result in results if result.passed], "the points depend on the inputs' seed"
    if variant.right:
        assert all(result.passed for result in results), f"a right answer loses points:\n{report(results)}"
        return
    assert sum(r.points or 0 for r in results) < sum(r.possible for r in results), "a wrong answer keeps all points"
    failed = [result for result in results if not result.passed]
    assert any(names(r.message, variant) for r in failed if variant.hidden or not r.hidden), (
        f"{variant.told!r} is in no message of {'any' if variant.hidden else 'a public'} test:\n{report(results)}"
    )


def names(message: str, variant: Variant) -> bool:
    """Whether a message names the mistake: with the variant's own piece, which is more than the function's name."""
    piece = (variant.told or "").lower()
    empty = not variant.hidden and (piece in variant.function or any(text in message for text in UNNAMED))
    return not empty and piece in message.lower()


def test_most_mistakes_are_named_by_a_public_test() -> None:
    wrong = [variant for variant in VARIANTS if not variant.right]
    unnamed = [variant.name for variant in wrong if variant.hidden]
    assert len(unnamed) <= (1 - LEAST_NAMED) * len(wrong), f"{len(unnamed)} of {len(wrong)} are not: {unnamed}"


@pytest.mark.parametrize("function", sorted(exercises()))
def test_enough_variants(function: str) -> None:
    mine = [variant for variant in VARIANTS if variant.function == function]
    wrong = [variant for variant in mine if not variant.right]
    least, right = (LEAST_WRONG_STEPS, LEAST_RIGHT_STEPS) if function in TRAINING else (LEAST_WRONG, LEAST_RIGHT)
    assert len(wrong) >= least, f"{function}: {len(wrong)} wrong answers in tests/variants, {least} needed"
    assert len(mine) - len(wrong) >= right, f"{function}: fewer than {right} right answers in tests/variants"
    untold = [variant.title for variant in wrong if not variant.told]
    assert not untold, f"{function}: no `| message` for {untold}"
    titles = [variant.title for variant in mine]
    assert len(set(titles)) == len(titles), f"{function}: two variants have one title"


def test_headers_are_checked(tmp_path: Path) -> None:
    broken = tmp_path / "double.py"
    broken.write_text("# === wong: a slip\ndef double(x): return x\n")
    with pytest.raises(ValueError, match="not of the form"):
        read_variants(broken)
    broken.write_text("x = 1\n# === right: plain\ndef double(x): return 2 * x\n")
    with pytest.raises(ValueError, match="before the first header"):
        read_variants(broken)


def test_an_answer_may_change_lines_of_the_first(tmp_path: Path) -> None:
    file, first = tmp_path / "double.py", "# === right: plain\ndef double(x):\n    y = 2 * x\n    return y\n"
    file.write_text(f"{first}\n\n# === wrong: thrice | 3\n# for: y =\nif x:\n    y = 3 * x\n")
    assert read_variants(file)[1].source == "def double(x):\n    if x:\n        y = 3 * x\n    return y\n"
    for start, count in (("z =", 0), ("", 3)):
        file.write_text(f"{first}\n\n# === wrong: none | 3\n# for: {start or ' '}\npass\n")
        with pytest.raises(ValueError, match=f"stands for {count} lines"):
            read_variants(file)
