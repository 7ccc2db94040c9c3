"""Part 1 · a text is written one token after the other: the next column from all columns before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from tests.mutation.oracle import MIXED, ContractError, Inputs, Oracle

from .drawn import normal, whole

Named = Iterator[tuple[str, Inputs]]
Model = Callable[[Tensor], Tensor]


def continue_texts(next_logits: Model, ids: Tensor, new_tokens: int, eos_id: int, choose: Model) -> Tensor:
    """A table of the full size, filled from left to right."""
    rows, prompt = ids.shape
    table = [[*row, *([eos_id] * new_tokens)] for row in ids.tolist()]
    ended = [False] * rows
    for column in range(prompt, prompt + new_tokens):
        so_far = torch.tensor([row[:column] for row in table])
        for number, token in enumerate(choose(next_logits(so_far)).tolist()):
            table[number][column] = eos_id if ended[number] else token
            ended[number] |= table[number][column] == eos_id
    return torch.tensor(table)


def _model(g: torch.Generator, entries: int) -> Model:
    """Logits that depend on every token, its place, and its row's length."""
    table = normal(g, 97, entries)

    def logits(ids: Tensor) -> Tensor:
        places = 1 + torch.arange(ids.shape[1], device=ids.device)
        return table.to(ids.device)[(ids * places * places).sum(dim=1) % 97]

    return logits


def _first(logits: Tensor) -> Tensor:
    return logits.argmax(dim=1)


def _second(logits: Tensor) -> Tensor:
    return logits.topk(2, dim=1).indices[:, 1]


def _prompts(g: torch.Generator) -> Named:
    for rows, prompt in ((1, 1), (1, 4), (3, 1), (4, 4), (7, 3)):
        for new_tokens in (0, 1, 2, 9):
            for entries, eos in ((2, 0), (3, 2), (4, 0), (30, 5), (5, 50_256)):
                ids = whole(g, rows, prompt, high=entries)
                for kind, choose in (("first", _first), ("second", _second)):
                    given: Inputs = {"next_logits": _model(g, entries), "ids": ids, "new_tokens": new_tokens}
                    label = f"[{rows}, {prompt}], {new_tokens} new, {entries} entries, eos {eos}, {kind}"
                    yield label, {**given, "eos_id": eos, "choose": choose}
                far = {**given, "ids": ids + 70_000, "eos_id": eos, "choose": _first}
                yield f"[{rows}, {prompt}], {new_tokens} new, ids above 65,536, eos {eos}", far


def asks_once_a_column(function: Callable[..., Any]) -> None:
    """The model is asked `new_tokens` times, whatever ends; `choose` as often, with all rows."""
    for new_tokens in (0, 1, 6):
        asked: list[tuple[int, ...]] = []
        chosen: list[tuple[int, ...]] = []

        def model(ids: Tensor, asked: list[tuple[int, ...]] = asked) -> Tensor:
            asked.append(tuple(ids.shape))
            return torch.tensor([[0.0, 1.0], [1.0, 0.0]])

        def choose(logits: Tensor, chosen: list[tuple[int, ...]] = chosen) -> Tensor:
            chosen.append(tuple(logits.shape))
            return logits.argmax(dim=1)

        for eos in (0, 1, 5):
            asked.clear()
            chosen.clear()
            function(model, torch.tensor([[1, 1, 0], [0, 1, 1]]), new_tokens, eos, choose)
            if asked != [(2, 3 + n) for n in range(new_tokens)] or chosen != [(2, 2)] * new_tokens:
                raise ContractError(f"other questions than one a column: {asked}, {chosen}")


def stays_on_the_device(function: Callable[..., Any]) -> None:
    """Ids on the `meta` device are continued there."""
    ids = torch.ones(3, 2, dtype=torch.int64, device="meta")
    try:
        result = function(_model(torch.Generator().manual_seed(0), 4), ids, 3, 0, _first)
    except Exception as error:
        if any(words in str(error) for words in MIXED):
            raise ContractError("tensors of two devices meet") from error
        return  # a number is asked for, which is not there
    if result.device.type != "meta":
        raise ContractError("the result is on another device")


ORACLES = {
    "continue_texts": Oracle(
        continue_texts, _prompts, exact=True, floor=0.0, copies=True, rules=(asks_once_a_column, stays_on_the_device)
    ),
}
