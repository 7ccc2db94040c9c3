"""Otter and the grader of record agree: test by test on variants, and on whole notebooks under `otter run`.

`test_honest.py` holds the sandboxed grader to the notebook's own verdict for a sample of the variants. Here otter's engine,
with the test files of its zip, is held to the same verdict on another, smaller sample. All the wrong ones: `EVERY_VARIANT=1`,
and under `otter run` `benchmarks/otter_agreement.py`.
"""

from __future__ import annotations

import functools
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import otter
import pytest

from autograder import masters, testing
from autograder.grade.intake import notebook as submitted
from autograder.grade.intake.apart import course
from autograder.grade.result import SubmissionResult
from autograder.publish.otter_forms import build_otter_forms
from autograder.publish.settings import load_course
from helpers.parts import PARTS
from tests.grade import mixed
from tests.grade.test_honest import STEPS, chosen
from tests.test_variants import environment, exercises

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("otter agreement")]


@pytest.fixture(scope="module")
def archive() -> Iterator[Callable[[int], Path]]:
    """Otter's zip of a part, built when it is first asked for."""
    with tempfile.TemporaryDirectory() as folder:

        @functools.cache
        def made(part: int) -> Path:
            out = Path(folder) / str(part)
            build_otter_forms(masters.master_path(part), part, load_course(), out / "work", out)
            return out / "build" / "otter" / f"{part:02d}.zip"

        yield made


@pytest.fixture(scope="module")
def tests_folder(archive: Callable[[int], Path]) -> Callable[[int], Path]:
    """Otter's test files of a part, hidden tests included."""

    @functools.cache
    def unpacked(part: int) -> Path:
        with zipfile.ZipFile(archive(part)) as file:
            file.extractall(archive(part).parent / "tests", [n for n in file.namelist() if n.startswith("tests/")])
        return archive(part).parent / "tests" / "tests"

    return unpacked


@pytest.mark.parametrize("function", sorted(exercises()))
def test_otters_engine_gives_the_same_verdicts(
    tests_folder: Callable[[int], Path], function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # otter writes its log where it stands
    question, _ = exercises()[function]
    right = [variant for variant in chosen() if variant.function == function and variant.right]
    wrong = [variant for variant in chosen(first=1, sparser=2) if variant.function == function and not variant.right]
    for variant in right[: 1 if function in STEPS else 3] + wrong:  # a right step trains for half a minute
        space = environment(variant)
        ours = [result.passed for result in testing.run_tests(question, space)]
        grader = otter.Notebook(tests_dir=str(tests_folder(question.part)))
        theirs = [r.passed for r in grader.check(question.name, global_env=space).test_case_results]
        assert theirs == ours, variant.name


@pytest.mark.sandbox
@pytest.mark.parametrize("part", masters.existing_parts())
def test_otter_run_gives_the_same_points(
    archive: Callable[[int], Path], grade: Callable[..., SubmissionResult], part: int, tmp_path: Path
) -> None:
    """One wrong variant of every function, all in one notebook."""
    notebook = mixed.mixed_notebook(part, 3)
    theirs = mixed.by_otter(notebook, part, archive(part), tmp_path)
    cells = tuple(submitted.read((tmp_path / f"{PARTS[part]}.ipynb").read_bytes(), course())["code"])
    ours = {q.name: q.points for q in grade(cells, part).questions}
    # here a public test of a wrong step needs hidden cases that confirm it
    unconfirmed = {q.name: sum(t.points for t in q.tests if t.confirm) for q in masters.load_questions(part)}
    assert set(ours) == set(theirs)
    assert {
        name: 0 <= theirs[name] - (points or 0) <= unconfirmed[name] for name, points in ours.items()
    } == dict.fromkeys(ours, True)
