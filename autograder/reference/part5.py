"""Part 5 · Interpretability: references and cases, and how often a game is asked for the worth of a coalition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from autograder.reference.quoting import a_value, raised
from autograder.reference.spec import OWN_ASPECTS, Case, Spec, grading_seed, register

FUNCTIONS = (
    "exact_shapley_values",
    "logit_difference",
    "io_probability",
    "ablate_heads",
    "patching_effect",
    "faithfulness",
)
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
        if not all(player in players for player in coalition):  # 1 << player would fill the judge's memory
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
    cases = [Case(f"a random game of {n} players", {"value": draw(n), "players": n}) for n in (2, 3, 4, 5)]
    return [
        *cases,
        Case("a game of one player", {"value": draw(1), "players": 1}, "edges"),
        Case("a game whose empty coalition is worth a lot", {"value": draw(3, 25.0), "players": 3}, "edges"),
        Case("a game of eight players", {"value": draw(8), "players": 8}, "edges"),
        Case("a game in which every player adds the same amount each time",
             {"value": lambda coalition: sum(weights[player] for player in coalition), "players": 6}, "edges"),
        Case("a game of integers", {"value": lambda coalition: len(coalition) ** 2, "players": 4}, "edges"),
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
        elif not all(player in range(self.players) for player in coalition):
            self.strange = f"`value` was called with something that is no player; players are 0 to {self.players - 1}"
        if self.strange:  # not kept: there is no end of things that are no coalition
            raise ValueError(self.strange)
        self.asked[coalition] = self.asked.get(coalition, 0) + 1
        return self.value(coalition)


def verify_evaluations(function: Callable[..., Any]) -> None:
    """Each coalition is evaluated at most once, as a frozenset of player numbers; the result is float64."""
    generator = torch.Generator().manual_seed(500 + grading_seed())
    for players in (3, 5):
        worth = torch.randn(2**players, generator=generator, dtype=torch.float64)
        game = CountedGame(table_game(worth), players)
        try:
            result = function(game, players)
        except Exception as error:
            if game.strange:
                raise AssertionError(f"exact_shapley_values: {game.strange}") from error
            raise AssertionError(f"exact_shapley_values raised {raised(error)} for {players} players") from error
        if result is None or result is ...:
            raise AssertionError(
                f"exact_shapley_values returned {result!r}: it is not written yet, or `return` is missing."
            )
        if game.strange:
            raise AssertionError(f"exact_shapley_values: {game.strange}")
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


# --- logit_difference and io_probability


def logit_difference(logits: torch.Tensor, io_ids: torch.Tensor, s_ids: torch.Tensor) -> torch.Tensor:
    """Row by row."""
    return torch.stack([row[io] - row[s] for row, io, s in zip(logits, io_ids, s_ids, strict=True)])


def io_probability(logits: torch.Tensor, io_ids: torch.Tensor) -> torch.Tensor:
    """One over the sum of the exponentials of the differences to the IO logit."""
    own = torch.stack([row[io] for row, io in zip(logits, io_ids, strict=True)])
    return torch.exp(-torch.logsumexp(logits - own[:, None], dim=1))


def _ids(rows: int, entries: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    first = torch.randint(entries, (rows,), generator=generator)
    second = (first + torch.randint(1, entries, (rows,), generator=generator)) % entries
    return first, second


def name_cases(generator: torch.Generator, with_s: bool) -> list[Case]:
    """Logits at the last position and the names' ids."""

    def inputs(rows: int, entries: int, scale: float = 3.0) -> dict[str, torch.Tensor]:
        logits = scale * torch.randn(rows, entries, generator=generator, dtype=torch.float64)
        io, s = _ids(rows, entries, generator)
        return {"logits": logits, "io_ids": io} | ({"s_ids": s} if with_s else {})

    vast = inputs(5, 3_000)
    for name in ("io_ids", "s_ids") if with_s else ("io_ids",):
        vast[name] = 2_500 + vast[name] // 6  # beyond 2,048, the last whole number before bfloat16 leaves some out
    alone = {name: torch.zeros_like(value) for name, value in inputs(3, 2).items()}
    alone["logits"] = alone["logits"][:, :1] - 1.5
    equal = inputs(5, 5)
    equal["io_ids"] = torch.full((5,), 2)
    large = inputs(4, 9)
    large["logits"] = 1e4 * torch.tanh(large["logits"])
    large["logits"][0] = -2e3 - large["logits"][0].abs()  # far below the other rows
    large["logits"][1, 0] = 1.1e4
    large["io_ids"][1] = 0
    if with_s:
        large["s_ids"][1] = 1
    return [
        Case("random logits", inputs(6, 11)),
        Case("as many prompts as tokens", inputs(7, 7)),
        Case("a batch of 1", inputs(1, 8)),
        Case("two tokens", inputs(4, 2)),
        Case("a large vocabulary", vast),
        Case("the same name in every row", equal, "edges"),
        Case("a batch of 40", inputs(40, 5), "edges"),
        Case("logits that are all 0", inputs(3, 4, scale=0.0), "edges"),
        Case("a vocabulary of one token", alone, "edges"),
        Case("logits of size 1e4", large, "edges"),
    ]


register(Spec("logit_difference", logit_difference, lambda g: name_cases(g, with_s=True), differentiable=("logits",)))


def _probability_size(inputs: Any) -> float:
    """An error of a logit counts by the softmax's slope, p(1 − p)."""
    logits = inputs["logits"].double()
    own = io_probability(logits, inputs["io_ids"])
    return float((logits.abs().amax(dim=1) * own * (1 - own)).max())


register(
    Spec(
        "io_probability",
        io_probability,
        lambda g: name_cases(g, with_s=False),
        differentiable=("logits",),
        magnitude=_probability_size,
    )
)


# --- ablate_heads


def ablate_heads(
    head_outputs: torch.Tensor, heads: list[int], mean_outputs: torch.Tensor | None = None
) -> torch.Tensor:
    """Head by head, put together anew."""
    columns = []
    for head in range(head_outputs.shape[2]):
        own = head_outputs[:, :, head]
        if head in heads:
            own = torch.zeros_like(own) if mean_outputs is None else mean_outputs[:, head].expand_as(own)
        columns.append(own)
    return torch.stack(columns, dim=2)


def ablation_cases(generator: torch.Generator) -> list[Case]:
    """Shapes in which axes of equal length would hide a mix-up, and others."""

    def inputs(shape: tuple[int, int, int, int], heads: list[int], mean: bool) -> dict[str, object]:
        outputs = torch.randn(*shape, generator=generator, dtype=torch.float64)
        means = 1 + torch.randn(*shape[1:], generator=generator, dtype=torch.float64) if mean else None
        return {"head_outputs": outputs, "heads": heads, "mean_outputs": means}

    zeros = inputs((2, 3, 4, 2), [1], mean=True)
    zeros["head_outputs"] = torch.zeros(2, 3, 4, 2, dtype=torch.float64)
    large = inputs((2, 3, 4, 2), [1, 2], mean=False)
    far = inputs((2, 3, 4, 2), [1, 3], mean=True)
    far["mean_outputs"] = 3_000 * torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
    large["head_outputs"] = 3_000 * torch.randn(2, 3, 4, 2, generator=generator, dtype=torch.float64)
    return [
        Case("zero ablation of two heads", inputs((3, 5, 4, 2), [0, 2], mean=False)),
        Case("mean ablation of two heads", inputs((3, 5, 4, 2), [1, 3], mean=True)),
        Case("batch, positions and heads of the same number", inputs((4, 4, 4, 3), [2], mean=True)),
        Case("zero ablation, batch, positions and heads of the same number", inputs((3, 3, 3, 3), [1], mean=False)),
        Case("a batch of 1", inputs((1, 6, 3, 2), [1], mean=True)),
        Case("one position", inputs((5, 1, 3, 2), [0], mean=True)),
        Case("a batch of 1 with one position, one head and one number", inputs((1, 1, 1, 1), [0], mean=True), "edges"),
        Case("no head at all", inputs((2, 3, 4, 2), [], mean=True), "edges"),
        Case("no head at all, zero ablation", inputs((2, 3, 4, 2), [], mean=False), "edges"),
        Case("all heads, zero ablation", inputs((2, 3, 4, 2), [0, 1, 2, 3], mean=False), "edges"),
        Case("all heads, mean ablation", inputs((2, 3, 4, 2), [3, 1, 2, 0], mean=True), "edges"),
        Case("outputs that are all 0", zeros, "edges"),
        Case("no head at all in a batch of 1", inputs((1, 3, 4, 2), [], mean=False), "edges"),
        Case("no head at all, outputs in the thousands", large | {"heads": []}, "edges"),
        Case(
            "outputs and means in the thousands",
            {k: large[k] if k == "head_outputs" else v for k, v in far.items()},
            "edges",
        ),
        Case("a batch of 12", inputs((12, 2, 3, 2), [1], mean=True), "edges"),
        Case("one head", inputs((3, 2, 1, 4), [0], mean=True), "edges"),
        Case("heads of one number", inputs((2, 3, 4, 1), [1, 2], mean=True), "edges"),
        Case("outputs in the thousands", large, "edges"),
        Case("the last head", inputs((2, 5, 6, 3), [5], mean=True), "edges"),
    ]


register(
    Spec("ablate_heads", ablate_heads, ablation_cases, differentiable=("head_outputs",), looseness=4.0, copies=True)
)


# --- patching_effect and faithfulness


def patching_effect(clean: torch.Tensor, corrupted: torch.Tensor, patched: torch.Tensor) -> float:
    """Of the way from the corrupted mean to the clean one, the share that the patched mean has gone."""
    start, goal, reached = (math.fsum(x.tolist()) / len(x) for x in (corrupted, clean, patched))
    if goal == start:
        raise ValueError("clean and corrupted runs do not differ")
    return (reached - start) / (goal - start)


def faithfulness(circuit: torch.Tensor, full: torch.Tensor) -> float:
    """The distance of the two means."""
    return abs(math.fsum(full.tolist()) / len(full) - math.fsum(circuit.tolist()) / len(circuit))


def patching_cases(generator: torch.Generator) -> list[Case]:
    """Logit differences of `B` prompts in three runs."""

    def inputs(rows: int, goal: float, start: float, reached: float) -> dict[str, torch.Tensor]:
        noise = torch.randn(3, rows, generator=generator, dtype=torch.float64) * 0.5
        noise = noise - noise.mean(dim=1, keepdim=True)
        return {"clean": goal + noise[0], "corrupted": start + noise[1], "patched": reached + noise[2]}

    return [
        Case("a patch that restores a part", inputs(6, 4.0, -3.0, 1.2)),
        Case("a batch of 1", inputs(1, 3.5, 0.5, 2.0)),
        Case("a corrupted run above 0", inputs(9, 5.0, 2.0, 2.7)),
        Case("a small difference between the clean and the corrupted run", inputs(4, 2.0, 1.95, 1.96), "edges"),
        Case("logit differences of size 1e-4", {k: 1e-4 * v for k, v in inputs(6, 4.0, -3.0, 1.2).items()}, "edges"),
        Case("a small negative difference", inputs(5, -0.3, -0.28, 0.1), "edges"),
        Case("a patch that goes too far", inputs(5, 3.0, -2.0, 4.5), "edges"),
        Case("a patch that makes it worse", inputs(5, 3.0, -2.0, -3.1), "edges"),
        Case("a clean run below the corrupted one", inputs(4, -2.5, 1.5, 0.3), "edges"),
        Case("a patch that changes nothing", inputs(4, 2.5, -1.5, -1.5), "edges"),
        Case("a batch of 40", inputs(40, 3.0, -1.0, 0.5), "edges"),
        Case("logit differences of 5000 and more", inputs(5, 6_200.0, 5_000.0, 5_700.0), "edges"),
        Case("logit differences of -5000 and less", inputs(5, -5_000.0, -6_200.0, -5_700.0), "edges"),
        Case("logit differences in the thousands", inputs(5, 4_000.0, -3_000.0, 2_500.0), "edges"),
        *(
            Case(f"a {name} run that is all 0", inputs(4, 2.0, -1.0, 0.7) | {name: torch.zeros(4).double()}, "edges")
            for name in ("clean", "corrupted", "patched")
        ),
    ]


def faithfulness_cases(generator: torch.Generator) -> list[Case]:
    """Logit differences of `B` prompts in the circuit and in the whole model."""

    def inputs(rows: int, circuit: float, full: float) -> dict[str, torch.Tensor]:
        noise = torch.randn(2, rows, generator=generator, dtype=torch.float64).clamp(-2, 2)
        gaps = full - circuit + 0.2 * noise[1]
        if rows > 1:
            gaps[0] = -gaps[1]  # so that the mean of the absolute gaps is another
        return {"circuit": circuit + noise[0], "full": circuit + noise[0] + gaps}

    mixed = inputs(8, 0.0, 0.0)
    mixed["full"] = torch.cat([mixed["circuit"][:4] + 3.0, mixed["circuit"][4:] - 3.0])
    below, above = inputs(6, -3.0, -1.0), inputs(6, 5.0, 3.0)
    return [
        Case("a circuit below the model", inputs(7, 2.0, 3.5)),
        Case("a circuit above the model", above),
        Case("a batch of 1", inputs(1, 3.0, 5.0)),
        Case("prompts whose gaps cancel in the mean", mixed, "edges"),
        Case("negative logit differences", below, "edges"),
        Case("a circuit below 0, a model above 0", inputs(6, -1.0, 3.0), "edges"),
        Case("logit differences in the thousands", inputs(5, 4_000.0, -3_000.0), "edges"),
        Case("logit differences of 5000 and more", inputs(5, 6_000.0, 5_000.0), "edges"),
        Case("logit differences of -5000 and less", inputs(5, -6_000.0, -5_000.0), "edges"),
        Case("a batch of 40", inputs(40, 3.0, 5.0), "edges"),
        Case("a circuit that is all 0", inputs(4, 0.0, 2.5) | {"circuit": torch.zeros(4).double()}, "edges"),
        Case("a model that is all 0", inputs(4, 1.5, 0.0) | {"full": torch.zeros(4).double()}, "edges"),
    ]


def _effect_size(inputs: Any) -> float:
    """An error of a mean counts by one over the distance of the clean and the corrupted mean."""
    means = {name: float(values.double().mean()) for name, values in inputs.items()}
    largest = max(float(values.double().abs().max()) for values in inputs.values())
    effect = abs(patching_effect(**{name: values.double() for name, values in inputs.items()}))
    return largest / abs(means["clean"] - means["corrupted"]) * (1 + effect)


_SAME = torch.tensor([1.0, 3.0], dtype=torch.float64)
_OTHER = torch.tensor([2.5, 0.5], dtype=torch.float64)
register(
    Spec(
        "patching_effect",
        patching_effect,
        patching_cases,
        magnitude=_effect_size,
        raises=(
            (
                "clean and corrupted runs that are the same",
                {"clean": _SAME, "corrupted": _SAME, "patched": _OTHER},
                ValueError,
            ),
            (
                "clean and corrupted runs with the same mean",
                {"clean": _SAME, "corrupted": _SAME.flip(0), "patched": _OTHER},
                ValueError,
            ),
        ),
    )
)
register(Spec("faithfulness", faithfulness, faithfulness_cases))
