"""Part 1 · reference and cases of `continue_texts`: a text is written one token after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autograder.reference.casting import Inputs, on_meta
from autograder.reference.checking import check_device
from autograder.reference.quoting import a_value
from autograder.reference.spec import OWN_ASPECTS, Case, Spec, grading_seed, register

NextLogits = Callable[[Tensor], Tensor]
Choose = Callable[[Tensor], Tensor]


def continue_texts(next_logits: NextLogits, ids: Tensor, new_tokens: int, eos_id: int, choose: Choose) -> Tensor:
    """Row by row in Python lists, one column at a time."""
    rows = ids.tolist()
    prompt_length = ids.shape[1]
    for _ in range(new_tokens):
        chosen = choose(next_logits(torch.tensor(rows))).tolist()
        for row, token in zip(rows, chosen, strict=True):
            row.append(eos_id if eos_id in row[prompt_length:] else token)
    return torch.tensor(rows)


def machine(generator: torch.Generator, vocabulary: int) -> NextLogits:
    """A model whose next logits depend on every token so far and on its place."""
    table = torch.randn(64, vocabulary, generator=generator, dtype=torch.float64)

    def next_logits(ids: Tensor) -> Tensor:
        places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        return table.to(ids.device)[(ids * places).sum(dim=1) % len(table)]

    return next_logits


def likeliest(logits: Tensor) -> Tensor:
    return logits.argmax(dim=1)


def unlikeliest(logits: Tensor) -> Tensor:
    return logits.argmin(dim=1)


def _cases(generator: torch.Generator) -> list[Case]:
    def case(
        label: str, rows: int, prompt: int, new_tokens: int, entries: int, aspect: str = "values", **other: Any
    ) -> Case:
        ids = torch.randint(1, entries, (rows, prompt), generator=generator)  # the eos, 0, is in no prompt
        inputs = {"next_logits": machine(generator, entries), "ids": ids, "new_tokens": new_tokens}
        return Case(label, inputs | {"eos_id": 0, "choose": likeliest} | other, aspect)

    padded = torch.tensor([[0, 0, 3, 2], [0, 1, 2, 3], [4, 3, 2, 1]])
    always = torch.full((2, 5), -1.0, dtype=torch.float64).index_fill_(1, torch.tensor([3]), 1.0)
    return [
        case("6 rows, a small vocabulary", 6, 3, 12, 4),
        case("4 rows, a larger vocabulary", 4, 5, 8, 40),
        case("a batch of 1", 1, 4, 7, 5),
        case("another way to choose", 5, 2, 9, 4, choose=unlikeliest),
        case("another eos", 6, 3, 10, 4, eos_id=2),
        case("no new token", 3, 4, 0, 5, "edges"),
        case("a prompt of one token and no new token", 3, 1, 0, 5, "edges"),
        case("prompts that are all 0", 3, 2, 6, 5, "edges", ids=torch.zeros(3, 2).long()),
        case("a prompt that is 0, in a batch of 1", 1, 1, 6, 5, "edges", ids=torch.zeros(1, 1).long()),
        case("one new token", 3, 4, 1, 5, "edges"),
        case("a prompt of one token", 4, 1, 8, 4, "edges"),
        case("one row, a prompt of one token and one new token", 1, 1, 1, 4, "edges"),
        case("prompts padded with the eos", 3, 4, 8, 5, "edges", ids=padded),
        case("an eos that never comes", 3, 3, 6, 5, "edges", eos_id=77),
        case("every row ends at once", 2, 3, 5, 5, "edges", next_logits=lambda ids: always, eos_id=3),
        case("ids above 65,536", 3, 3, 6, 5, "edges", ids=70_000 + torch.arange(9).reshape(3, 3)),
    ]


def _verify_calls(function: Callable[..., Any]) -> None:
    """`next_logits` is asked once for each new column, with all columns so far; `choose` once, with all rows."""
    for rows, prompt, new_tokens in ((3, 2, 5), (1, 4, 3), (2, 3, 0)):
        generator = torch.Generator().manual_seed(1_000 * grading_seed() + rows)
        model, ids = machine(generator, 4), torch.randint(1, 4, (rows, prompt), generator=generator)
        seen: list[Tensor] = []
        chosen: list[tuple[int, ...]] = []

        def next_logits(
            given: Tensor, model: NextLogits = model, seen: list[Tensor] = seen, new_tokens: int = new_tokens
        ) -> Tensor:
            if len(seen) <= new_tokens:  # one too many tells enough: a hundred thousand fill the judge's memory
                seen.append(given.clone())
            return model(given)

        def choose(logits: Tensor, chosen: list[tuple[int, ...]] = chosen) -> Tensor:
            chosen.append(tuple(logits.shape))
            return logits.argmax(dim=1)

        result = function(next_logits, ids.clone(), new_tokens, 0, choose)
        if not isinstance(result, Tensor):
            raise AssertionError(f"continue_texts: {a_value(result)} where a tensor is asked for")
        if len(seen) != new_tokens:
            raise AssertionError("continue_texts: `next_logits` must be called exactly once for each new token")
        if chosen != [(rows, 4)] * new_tokens:
            raise AssertionError(
                "continue_texts: `choose` must be called once for each new token, for all rows together"
            )
        wanted = continue_texts(model, ids, new_tokens, 0, likeliest)
        for step, given in enumerate(seen):
            if not torch.equal(given, wanted[:, : prompt + step]):
                raise AssertionError("continue_texts: `next_logits` must get all columns so far, and nothing else")
    _verify_device(function)


def _verify_device(function: Callable[..., Any]) -> None:
    """New tensors are made where the ids are. The engine leaves this to calls that bring no model along."""
    generator = torch.Generator().manual_seed(grading_seed())
    inputs = {"next_logits": machine(generator, 4), "ids": torch.ones(3, 2).long(), "choose": likeliest}
    away = on_meta(Inputs(inputs, new_tokens=3, eos_id=0))
    check_device(functools.partial(function, **away), SPEC, "3 rows, on another device than the CPU", "meta")


SPEC = register(Spec("continue_texts", continue_texts, _cases, copies=True))
OWN_ASPECTS["continue_texts"] = {"calls": _verify_calls}
