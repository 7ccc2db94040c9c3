"""One mutant's way: the public tests, then the hidden ones, then the oracle, in a child process that may hang or die."""

from __future__ import annotations

import functools
import itertools
import math
import multiprocessing
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autograder import testing
from autograder.masters import Question
from tests.mutation.mutator import Mutant, mutants_of
from tests.mutation.oracle import parameters_of, tensor_names, verdict
from tests.mutation.truths import ORACLES
from tests.test_variants import VARIANTS, exercises

BATCH = 250  # mutants a child
LEAST = 5.0  # seconds of computing, for one stage of one mutant;
TIMES = 20  # or so many times what all stages of the solution take, where that is more
PATIENCE = 240.0  # seconds on the clock, after which a child that neither computes nor answers is an error
ROOM = 4 << 30  # bytes that a child may take beyond what its parent has
STAGES = ("public", "hidden", "oracle")


@dataclass
class Verdict:
    """What became of one mutant.

    Attributes:
        public: the first public test that it fails, None if it passes them all.
        hidden: the same of the hidden tests; None, too, if a public test had failed.
        oracle: the rule of the contract that it breaks; None if the oracle agrees with it everywhere.
        faults: tests in which the judge itself failed.
    """

    public: str | None = None
    hidden: str | None = None
    oracle: str | None = None
    faults: str | None = None

    @property
    def kind(self) -> str:
        """Its column in the table."""
        if self.faults:
            return "fault"
        killed = "public" if self.public else "hidden" if self.hidden else None
        return killed or ("hole" if self.oracle else "equivalent")

    @property
    def too_strict(self) -> bool:
        """Whether the tests reject what the oracle accepts."""
        return self.kind in ("public", "hidden") and self.oracle is None


def seeds_of(function: str) -> list[tuple[str, str]]:
    """Title and source of each right answer: the master's solution and the right variants."""
    question, _ = exercises()[function]
    variants = [
        (variant.title, variant.source) for variant in VARIANTS if variant.function == function and variant.right
    ]
    return [("solution", question.solution), *variants]


def mutants(function: str, every: int = 1) -> tuple[Mutant, ...]:
    """The mutants of an exercise, or one in `every`; any first part of them is a fair sample."""
    found = mutants_of(function, seeds_of(function), tensor_names(ORACLES[function]), every)
    return tuple(sorted(found, key=lambda mutant: mutant.key))


@functools.cache
def surroundings(function: str) -> dict[str, object]:
    """The names that a notebook has defined when it comes to an exercise."""
    space: dict[str, object] = {
        "torch": torch, "math": math, "itertools": itertools, "np": np, "F": torch.nn.functional,
    }  # fmt: skip
    for number, solution in enumerate(exercises()[function][1]):
        exec(compile(solution, f"<solution {number}>", "exec"), space)
    return space


def defined(function: str, source: str) -> dict[str, object]:
    """The surroundings with an answer in them."""
    space = dict(surroundings(function))
    exec(compile(source, "<mutant>", "exec"), space)
    return space


@functools.cache
def parameters(function: str) -> frozenset[str]:
    """The arguments that an exercise's function takes in this course."""
    solution: Any = defined(function, exercises()[function][0].solution)[function]
    return parameters_of(solution)


def first_failure(question: Question, space: dict[str, object], hidden: bool) -> tuple[str | None, str | None]:
    """The first test that fails, and the first in which the judge fails."""
    for test in question.tests:
        if test.hidden == hidden:
            result = testing.run_test(question.name, test, space)
            if result.error:
                return None, f"{test.name}: {result.message}"
            if not result.passed:
                return test.name, None
    return None, None


def judge(function: str, source: str, report: Callable[[str], None] = lambda stage: None) -> Verdict:
    """The verdict on one answer; `report` is told each stage before it begins."""
    question, _ = exercises()[function]
    result = Verdict()
    report("public")
    try:
        space = defined(function, source)
    except Exception as error:
        return Verdict(public=f"not defined: {type(error).__name__}", oracle="not defined")
    result.public, result.faults = first_failure(question, space, hidden=False)
    if result.public is None:
        report("hidden")
        result.hidden, fault = first_failure(question, space, hidden=True)
        result.faults = result.faults or fault
    report("oracle")
    answer: Any = space.get(function)
    result.oracle = verdict(ORACLES[function], answer, parameters(function)) if callable(answer) else "no function"
    return result


def _work(sender: Connection, batch: Sequence[Mutant], seconds: float) -> None:
    """A child's life: each stage of each mutant is announced, each verdict sent. An endless stage ends it by a signal."""
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, resource.RLIM_INFINITY))
    warnings.simplefilter("ignore")

    def report(stage: str) -> None:
        sender.send(stage)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # by default, its signal ends a process

    for mutant in batch:
        sender.send(judge(mutant.function, mutant.source, report))
    sender.close()


def judge_all(waiting: Sequence[Mutant], seconds: float = LEAST) -> Iterator[tuple[Mutant, Verdict]]:
    """The verdicts on many mutants. One without end, or that ends its process, fails the stage it was in.

    Args:
        waiting: the mutants.
        seconds: of computing for one stage; more where `TIMES` as long as the solution takes for all of them is more.

    Raises:
        ValueError: the solution itself fails, so that a mutant's failure would say nothing.
        TimeoutError: a child waits, so that nothing is known of its mutant.
    """
    torch.set_num_threads(1)  # a child that is forked off threads would wait for them
    for function in sorted({mutant.function for mutant in waiting}):
        judge(function, exercises()[function][0].solution)  # fills the caches that the children share
        began = time.process_time()
        plain = judge(function, exercises()[function][0].solution)
        seconds = max(seconds, TIMES * (time.process_time() - began))
        if plain.kind != "equivalent" or plain.faults:
            raise ValueError(f"the solution of {function} fails: {plain}")
    fork: Any = multiprocessing.get_context("fork")
    rest = list(waiting)
    while rest:
        receiver, sender = fork.Pipe(duplex=False)
        child = fork.Process(target=_work, args=(sender, rest[:BATCH], seconds))
        child.start()
        sender.close()
        done = 0
        try:
            for found in _messages(receiver, min(BATCH, len(rest))):
                yield rest[done], found
                done += 1
        finally:
            receiver.close()
            child.kill()
            child.join()
        rest = rest[done:]


def _messages(receiver: Connection, expected: int) -> Iterator[Verdict]:
    """The verdicts of one child, up to the first mutant that ended it."""
    stage = "public"
    for _ in range(expected):
        while True:
            if not receiver.poll(PATIENCE):
                raise TimeoutError(f"a child neither computes nor answers: {PATIENCE:.0f} s in the stage {stage!r}")
            try:
                message = receiver.recv()
            except EOFError:
                message = None
            if isinstance(message, str):
                stage = message
                continue
            break
        if message is None:
            ended = {"oracle": "endless, or it ended the process"}
            yield Verdict(**(ended if stage == "oracle" else {stage: ended["oracle"], **ended}))
            return
        yield message
