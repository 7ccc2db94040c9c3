"""`helpers` holds no exercise's answer: no function of it gets a point when it is handed in under an exercise's name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import helpers
from autograder import masters, testing
from helpers.parts import PARTS

# they start, keep and send things, change this process, or run a step: there is nothing in them to compute with
LEFT_ALONE = (
    "helpers.assets",
    "helpers.devices",
    "helpers.hub",
    "helpers.notebook",
    "helpers.smollm2",
    "helpers.worlds",
)
LOADING = ("load_", "choose_")  # names of functions that take seconds, and give models and data
STEPS = (
    "reinforce_step",
    "dpo_step",
)  # each try takes seconds; tests/hostile/forged_steps.py has what is tried on them
QUESTIONS = [q for part in PARTS for q in masters.load_questions(part) if q.function and q.function not in STEPS]


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function and method that is defined in `helpers`, public or private, and gives something back but figures."""
    for found in pkgutil.walk_packages(helpers.__path__, "helpers."):
        if found.name.startswith(LEFT_ALONE):
            continue
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if name.startswith(LOADING):
                continue
            methods = vars(value).items() if inspect.isclass(value) else [("", value)]
            for method, function in methods:
                given = getattr(function, "__annotations__", {}).get("return", "")
                if inspect.isfunction(function) and not method.startswith("__") and given not in ("None", "Figure"):
                    # without the checks of annotations that tests add: students have none
                    yield f"{module.__name__}.{name}.{method}".rstrip("."), inspect.unwrap(function)


CALLABLES = dict(callables())


def arguments_of(question: masters.Question) -> list[str]:
    """The names of an exercise's arguments."""
    space: dict[str, Any] = {}
    lines = [line for line in question.solution.splitlines() if line.startswith("def ")]
    exec(f"{lines[0]}\n    pass", space)
    return list(inspect.signature(space[question.function or ""]).parameters)


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def ways(function: Callable[..., Any], names: list[str]) -> Iterator[Callable[..., Any]]:
    """The function, called as one line would: with the exercise's first arguments, as many as it can take."""
    for count in range(len(names) + 1):
        if takes(function, count):

            def first(*given: Any, count: int = count, **named: Any) -> Any:
                by_name = dict(zip(names, given, strict=False)) | named
                return function(*[by_name[name] for name in names[:count] if name in by_name])

            yield first


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed of the CPU is known: measuring it takes a third of a second, and it would be measured a thousand times."""
    monkeypatch.setattr("helpers.presets.arithmetic_rate", lambda: 175.0)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_no_helper_is_an_answer(question: masters.Question, capsys: pytest.CaptureFixture[str]) -> None:
    names = arguments_of(question)
    for place, function in CALLABLES.items():
        for way in ways(function, names):
            results = testing.run_tests(question, {question.function or "": way})
            gained = [result.name for result in results if result.points]
            assert not gained, f"{place} in place of {question.function} gets points for {gained}"


def test_all_of_helpers_is_tried() -> None:
    assert len(CALLABLES) > 120
    for named in ("generation._drawn", "generation.generate", "dpo.pairs.pair_log_probs", "models.policy_logits"):
        assert f"helpers.{named}" in CALLABLES
