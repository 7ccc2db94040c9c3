"""How an exercise is judged by calls: its reference, its cases, and what the definition asks of results and gradients."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from helpers.parts import PARTS

_SEED: ContextVar[int] = ContextVar("grading seed", default=0)


class JudgeError(Exception):
    """Something failed on the judge's side: no verdict on the student's function."""


@dataclass(frozen=True)
class Case:
    """One call. Float tensors are written in float64; the engine casts them to the dtype under test."""

    label: str  # for the message: "a batch of 1", "rows whose mask is all zero"
    inputs: dict[str, Any]
    aspect: str = "values"  # values or edges
    dtypes: tuple[torch.dtype, ...] = (torch.float32,)
    short: bool = True  # whether it means something in bfloat16 and float16, too


@dataclass(frozen=True)
class Trial:
    """One call that an aspect makes, and what must come of it."""

    case: Case
    dtype: torch.dtype
    wanted: Any = None  # the reference's result, its gradients by input's name, or the exception; None for purity
    allowed: float = 0.0  # the error that counts as none
    on_meta: bool = False  # whether the inputs are on the device "meta"


@dataclass(frozen=True, eq=False)
class Spec:
    """How one exercise is judged.

    Attributes:
        reference: float64 implementation, called with the case's inputs by keyword.
        cases: `generator -> list[Case]`; random draws come from the generator only.
        differentiable: inputs that receive gradients.
        detached: float inputs that must receive none.
        detached_outputs: positions in a returned tuple that carry no gradient.
        magnitude: `inputs -> float`, the size of the numbers that are added up (for the tolerance); default the largest
            finite input, at least 1.
        looseness: multiples of eps·magnitude that count as equal.
        tested_gradient: `(input's name, inputs) -> mask`, the entries of a gradient that are compared; default all.
        entries: of a returned dict, those that the definition names; a student's may have more, and they are not looked at.
        exact_dtype: whether float tensor results have the inputs' dtype.
        copies: whether the result shares no memory with an input.
        raises: `(label, inputs, exception)`: errors the definition names.
    """

    name: str
    reference: Callable[..., Any]
    cases: Callable[[torch.Generator], list[Case]]
    differentiable: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    detached_outputs: tuple[int, ...] = ()
    magnitude: Callable[[Mapping[str, Any]], float] | None = None
    looseness: float = 8.0
    tested_gradient: Callable[[str, Mapping[str, Any]], torch.Tensor] | None = None
    entries: tuple[str, ...] = ()
    exact_dtype: bool = True
    copies: bool = False
    raises: tuple[tuple[str, dict[str, Any], type[Exception]], ...] = ()


REGISTRY: dict[str, Spec] = {}
# by exercise: aspects that no other has, such as the frequencies of draws; each takes the function under test
OWN_ASPECTS: dict[str, dict[str, Callable[[Any], None]]] = {}


def register(spec: Spec) -> Spec:
    """Add a spec to the registry (once)."""
    REGISTRY[spec.name] = spec
    return spec


def load_registry() -> dict[str, Spec]:
    """All specs of the five parts; the aspects that exercises have for themselves are registered with them."""
    for module in (
        "steps",
        "schedules",
        "best_of",
        "aggregation",
        "continuing",
        "games",
        "ipo",
        *(f"part{part}" for part in PARTS),
    ):
        importlib.import_module(f"autograder.reference.{module}")
    return REGISTRY


def find_spec(name: str) -> Spec:
    """The spec of one exercise; `JudgeError` if there is none."""
    if name not in REGISTRY:
        load_registry()
    if name not in REGISTRY:
        raise JudgeError(f"no reference is registered for {name}")
    return REGISTRY[name]


def grading_seed() -> int:
    """The seed of the random inputs: what a grading run has chosen with `seeded`, else 0."""
    return _SEED.get()


@contextlib.contextmanager
def seeded(seed: int) -> Generator[None]:
    """While it lasts, random inputs are drawn with this grading seed."""
    token = _SEED.set(seed)
    try:
        yield
    finally:
        _SEED.reset(token)
