"""Part 5 · references and cases of Shapley values, and how often a game is asked for the worth of a coalition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from autograder.reference.quoting import a_value, raised
from autograder.reference.spec import OWN_ASPECTS, Case, Spec, grading_seed, register

Game = Callable[[frozenset[int]], float]


# --- exact_shapley_values


def exact_shapley_values(value: Game, players: int) -> torch.Tensor:
    """The mean gain over all orders of arrival; above 5 players by Harsanyi's dividends.

    A coalition's dividend is what it earns beyond its parts; its members share it equally.
    """
    everyone = range(players)
    worth = {
        frozenset(c): float(value(frozenset(c)))
        for n in range(players + 1)
        for c in itertools.combinations(everyone, n)
    }
    result = torch.zeros(players, dtype=torch.float64)
    if players <= 5:
        for order in itertools.permutations(everyone):
            present: frozenset[int] = frozenset()
            for player in order:
                result[player] += worth[present | {player}] - worth[present]
                present = present | {player}
        return result / math.factorial(players)
    dividends: dict[frozenset[int], float] = {}
    for size in range(players + 1):
        for members in itertools.combinations(everyone, size):
            group = frozenset(members)
            smaller = (frozenset(c) for n in range(size) for c in itertools.combinations(members, n))
            dividends[group] = worth[group] - sum(dividends[part] for part in smaller)
            for player in members:
                result[player] += dividends[group] / size
    return result


def table_game(worth: torch.Tensor) -> Game:
    """The game in which the coalition with bit pattern `k` is worth `worth[k]`."""
    numbers = worth.tolist()
    players = range(len(numbers).bit_length() - 1)

    def value(coalition: frozenset[int]) -> float:
        # 1 << player would fill the judge's memory, and so would a large tensor, entry by entry
        if isinstance(coalition, torch.Tensor) or not frozenset(coalition) <= frozenset(players):
            raise ValueError(f"players are 0 to {players.stop - 1}")
        return numbers[sum(1 << player for player in coalition)]

    return value


def shapley_cases(generator: torch.Generator) -> list[Case]:
    """Random games of one to eight players, and games in which a likely mistake shows."""

    def draw(players: int, empty: float | None = None) -> Game:
        worth = 2 * torch.randn(2**players, generator=generator, dtype=torch.float64)
        if empty is not None:
            worth[0] = empty
        return table_game(worth)

    weights = torch.randn(6, generator=generator, dtype=torch.float64).tolist()
    thousands = table_game(5_000 * torch.randn(8, generator=generator, dtype=torch.float64))
    cases = [Case(f"a random game of {n} players", {"value": draw(n), "players": n}) for n in (2, 3, 4, 5)]
    return [
        *cases,
        Case("a game of one player", {"value": draw(1), "players": 1}, "edges"),
        Case("a game whose empty coalition is worth a lot", {"value": draw(3, 25.0), "players": 3}, "edges"),
        Case("a game of eight players", {"value": draw(8), "players": 8}, "edges"),
        Case("a game in which every player adds the same amount each time",
             {"value": lambda coalition: sum(weights[player] for player in coalition), "players": 6}, "edges"),
        Case("a game of integers", {"value": lambda coalition: len(coalition) ** 2, "players": 4}, "edges"),
        Case("worths in the thousands", {"value": thousands, "players": 3}, "edges"),
    ]  # fmt: skip


register(
    Spec("exact_shapley_values", exact_shapley_values, shapley_cases, magnitude=lambda inputs: 10.0, exact_dtype=False)
)


class CountedGame:
    """A game that counts how often each coalition was asked for, and notes questions that are no coalition."""

    def __init__(self, value: Game, players: int) -> None:
        self.value = value
        self.players = players
        self.asked: dict[frozenset[int], int] = {}
        self.strange: str | None = None

    def __call__(self, coalition: Any) -> float:
        if not isinstance(coalition, frozenset):
            self.strange = f"`value` was called with {a_value(coalition)}; a coalition is a frozenset"
        elif not coalition <= frozenset(range(self.players)):  # a tensor with a player's number is no such number
            self.strange = (
                f"`value` was called with something that is no player; players are the ints 0 to {self.players - 1}"
            )
        if self.strange:  # not kept: there is no end of things that are no coalition
            raise ValueError(self.strange)
        self.asked[coalition] = self.asked.get(coalition, 0) + 1
        return self.value(coalition)


def _played(function: Callable[..., Any], name: str, where: str, game: CountedGame, *others: Any) -> Any:
    """What a function makes of a game; what it asked that is no coalition is told before anything else."""
    try:
        result = function(game, *others)
    except Exception as error:
        if game.strange:
            raise AssertionError(f"{name}: {game.strange}") from error
        raise AssertionError(f"{name} raised {raised(error)} for {where}") from error
    if game.strange:
        raise AssertionError(f"{name}: {game.strange}")
    if result is None or result is ...:
        raise AssertionError(f"{name} returned {result!r}: it is not written yet, or `return` is missing.")
    return result


def verify_evaluations(function: Callable[..., Any]) -> None:
    """Each coalition is evaluated at most once, as a frozenset of player numbers; the result is float64."""
    generator = torch.Generator().manual_seed(500 + grading_seed())
    for players in (3, 5):
        worth = torch.randn(2**players, generator=generator, dtype=torch.float64)
        game = CountedGame(table_game(worth), players)
        result = _played(function, "exact_shapley_values", f"{players} players", game, players)
        most = max(game.asked.values(), default=0)
        if most > 1:
            raise AssertionError(
                f"exact_shapley_values: a coalition was evaluated more than once with {players} players; keep each value "
                "and look it up, because evaluating a coalition means running a model"
            )
        if not isinstance(result, torch.Tensor) or result.dtype != torch.float64:
            raise AssertionError("exact_shapley_values: asked for a float64 tensor")
        wanted = exact_shapley_values(table_game(worth), players)
        if result.shape != wanted.shape or not torch.allclose(result, wanted, rtol=0, atol=1e-9):
            raise AssertionError(f"exact_shapley_values: wrong values for {players} players")


OWN_ASPECTS["exact_shapley_values"] = {"evaluations": verify_evaluations}


# --- sampled_shapley_values


def sampled_shapley_values(value: Game, players: int, permutations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Player by player: in each order, what it adds to those before it."""
    means, errors = [], []
    for player in range(players):
        gains = []
        for order in permutations.tolist():
            before = frozenset(order[: order.index(player)])
            gains.append(float(value(before | {player})) - float(value(before)))
        count, mean = len(gains), math.fsum(gains) / len(gains)
        means.append(mean)
        squares = math.fsum((gain - mean) ** 2 for gain in gains)
        errors.append(math.sqrt(squares / (count - 1) / count) if count > 1 else math.nan)
    return torch.tensor(means, dtype=torch.float64), torch.tensor(errors, dtype=torch.float64)


def _orders(count: int, players: int, generator: torch.Generator) -> torch.Tensor:
    return torch.stack([torch.randperm(players, generator=generator) for _ in range(count)])


def sampling_cases(generator: torch.Generator) -> list[Case]:
    """Random games and orders, and games in which a likely mistake shows."""

    def inputs(players: int, count: int, empty: float | None = None) -> dict[str, Any]:
        worth = 2 * torch.randn(2**players, generator=generator, dtype=torch.float64)
        if empty is not None:
            worth[0] = empty
        orders = _orders(count, players, generator)
        return {"value": table_game(worth), "players": players, "permutations": orders}

    same = inputs(4, 5)
    same["permutations"] = same["permutations"][:1].repeat(5, 1)
    added = inputs(5, 6) | {"value": lambda coalition: float(sum(coalition))}
    thousands = inputs(4, 6) | {"value": table_game(5_000 * torch.randn(16, generator=generator, dtype=torch.float64))}
    return [
        Case("3 players, 5 orders", inputs(3, 5)),
        Case("4 players, 4 orders", inputs(4, 4)),
        Case("5 players, 12 orders", inputs(5, 12)),
        Case("6 players, 2 orders", inputs(6, 2)),
        Case("2 players, 7 orders", inputs(2, 7)),
        Case("one order", inputs(4, 1), "edges"),
        Case("one player", inputs(1, 3), "edges"),
        Case("one player, one order", inputs(1, 1), "edges"),
        Case("a game whose empty coalition is worth a lot", inputs(3, 6, empty=25.0), "edges"),
        Case("the same order five times", same, "edges"),
        Case("a game in which every player adds the same amount each time", added, "edges"),
        Case("a game of integers", inputs(4, 6) | {"value": lambda coalition: len(coalition) ** 2}, "edges"),
        Case("8 players, 20 orders", inputs(8, 20), "edges"),
        Case("worths in the thousands", thousands, "edges"),
    ]


register(
    Spec(
        "sampled_shapley_values",
        sampled_shapley_values,
        sampling_cases,
        magnitude=lambda inputs: 10.0,
        exact_dtype=False,
    )
)


class CountedCalls(CountedGame):
    """A game that counts how often it was asked, and how often for the empty coalition."""

    calls = 0

    def __call__(self, coalition: Any) -> float:
        self.calls += 1
        return super().__call__(coalition)


def verify_sampling(function: Callable[..., Any]) -> None:
    """No more evaluations than the orders need, for frozensets of player numbers; the results are float64."""
    generator = torch.Generator().manual_seed(501 + grading_seed())
    for players, count in ((3, 4), (5, 3)):
        worth = torch.randn(2**players, generator=generator, dtype=torch.float64)
        orders = _orders(count, players, generator)
        game = CountedCalls(table_game(worth), players)
        where = f"{players} players and {count} orders"
        result = _played(function, "sampled_shapley_values", where, game, players, orders.clone())
        if game.asked.get(frozenset(), 0) > 1:
            raise AssertionError(
                "sampled_shapley_values: the empty coalition was evaluated more than once; keep its worth"
            )
        if game.calls > count * players + 1:
            raise AssertionError(f"sampled_shapley_values: more evaluations than M · players + 1 with {where}")
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise AssertionError("sampled_shapley_values: asked for two tensors, the means and their standard errors")
        for got, wanted in zip(result, sampled_shapley_values(table_game(worth), players, orders), strict=True):
            if not isinstance(got, torch.Tensor) or got.dtype != torch.float64:
                raise AssertionError("sampled_shapley_values: asked for float64 tensors")
            if got.shape != wanted.shape or not torch.allclose(got, wanted, rtol=0, atol=1e-9):
                raise AssertionError(f"sampled_shapley_values: wrong values for {where}")


OWN_ASPECTS["sampled_shapley_values"] = {"evaluations": verify_sampling}
