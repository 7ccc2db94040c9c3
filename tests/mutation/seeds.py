"""`python -m tests.mutation.seeds`: does a right answer lose points on some seed of the hidden inputs?

A class has one seed. So every right answer of `tests/variants/` is judged by the hidden tests on many seeds, drawn as a
grading run draws its own. Training steps take seconds a seed; `benchmarks/fair_steps.py` has them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tqdm.auto import tqdm

from autograder import testing
from autograder.grade.judging.judge import question_seed
from autograder.reference.spec import seeded
from tests import test_variants as variants


def losses(function: str, seeds: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    """The seeds on which a right answer fails a hidden test: `(seed, the answer's title, the messages)`."""
    question, _ = variants.exercises()[function]
    hidden = replace(question, tests=tuple(test for test in question.tests if test.hidden))
    answers = [answer for answer in variants.VARIANTS if answer.function == function and answer.right]
    spaces = {answer.title: variants.environment(answer) for answer in answers}
    for seed in seeds:
        for title, space in spaces.items():
            with seeded(seed):
                results = testing.run_tests(hidden, space)
            if not all(result.passed for result in results):
                yield seed, title, variants.report(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is lost; the exit code is the number of exercises in which something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--function", nargs="+", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=60, metavar="N", help="how many (60: half an hour for all)")
    options = parser.parse_args(arguments)
    judged = sorted({answer.function for answer in variants.VARIANTS} - set(variants.TRAINING))
    unfair = 0
    for function in tqdm(options.function or judged, unit=" exercises"):
        found = list(losses(function, [question_seed(f"{n:032x}", function) for n in range(options.seeds)]))
        unfair += bool(found)
        for seed, title, messages in found:
            tqdm.write(f"{function}, {title}, seed {seed}:\n{messages}")
    print(f"{unfair} exercises in which a right answer loses points on one of {options.seeds} seeds")
    return unfair


if __name__ == "__main__":
    sys.exit(main())
