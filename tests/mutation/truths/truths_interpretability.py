"""Part 5 · Interpretability, by the definitions' sums over plain Python indices."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from tests.mutation.oracle import ContractError, Inputs, Oracle, of_logits

from .drawn import DOUBLE, full, normal, nought, uniform, whole

Named = Iterator[tuple[str, Inputs]]
Game = Callable[[frozenset[int]], float]


# --- exact_shapley_values


def exact_shapley_values(value: Game, players: int) -> Tensor:
    """The sum over all coalitions without the player, with binomials for the weights."""
    result = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        gains = []
        for size in range(players):
            for members in itertools.combinations(others, size):
                gain = value(frozenset([*members, player])) - value(frozenset(members))
                gains.append(gain / (players * math.comb(players - 1, size)))
        result.append(math.fsum(gains))
    return torch.tensor(result, dtype=DOUBLE)


def _table(worth: list[float]) -> Game:
    return lambda coalition: worth[sum(2**player for player in coalition)]


def _games(g: torch.Generator) -> Named:
    for players in range(1, 9):
        count = 2**players
        pull = uniform(g, players, low=-2, high=2).tolist()
        for kind, value in (
            ("normal", _table(normal(g, count).tolist())),
            ("worth a lot when empty", _table([30.0, *normal(g, count - 1).tolist()])),
            ("whole numbers", _table(whole(g, count, low=-9, high=10).tolist())),
            ("below 0", _table((-5 - uniform(g, count)).tolist())),
            ("added up", lambda c, pull=pull: math.fsum(pull[i] for i in c)),
            ("all or nothing", lambda c, players=players: float(len(c) == players)),
            ("one decides", lambda c: 1.0 if 0 in c else 0.0),
            ("nothing", lambda c: 0.0),
            ("thousands", _table((5e3 * normal(g, count)).tolist())),
        ):
            if players < 7 or kind == "normal":
                yield f"{players} players, {kind}", {"value": value, "players": players}


def asks_each_coalition_once(function: Callable[..., Any]) -> None:
    """The game is asked for frozensets of its players, for none twice."""
    for players in (1, 2, 4, 6):
        asked: list[Any] = []

        def value(coalition: Any, asked: list[Any] = asked) -> float:
            asked.append(coalition)
            return float(len(coalition))

        try:
            function(value, players)
        except (Exception, SystemExit) as error:
            raise ContractError(f"{type(error).__name__} for {players} players") from error
        if not all(isinstance(c, frozenset) and c <= set(range(players)) for c in asked):
            raise ContractError("asked for something that is no coalition")
        if len(set(asked)) != len(asked):
            raise ContractError("a coalition is evaluated twice")


# --- sampled_shapley_values


def sampled_shapley_values(value: Game, players: int, permutations: Tensor) -> tuple[Tensor, Tensor]:
    """What each player adds in each order, then the standard library's mean and standard deviation."""
    gains: list[list[float]] = [[] for _ in range(players)]
    for order in permutations.tolist():
        for place, player in enumerate(order):
            gains[player].append(value(frozenset(order[: place + 1])) - value(frozenset(order[:place])))
    count = len(permutations)
    errors = [statistics.stdev(own) / math.sqrt(count) if count > 1 else math.nan for own in gains]
    return torch.tensor([statistics.fmean(own) for own in gains], dtype=DOUBLE), torch.tensor(errors, dtype=DOUBLE)


def _drawn_orders(g: torch.Generator, count: int, players: int) -> Tensor:
    return torch.stack([torch.randperm(players, generator=g) for _ in range(count)])


def _sampled(g: torch.Generator) -> Named:
    for players in (1, 2, 3, 5, 8):
        for count in (1, 2, 3, players, 11):
            worths = 2**players
            for kind, value in (
                ("normal", _table(normal(g, worths).tolist())),
                ("worth a lot when empty", _table([30.0, *normal(g, worths - 1).tolist()])),
                ("whole numbers", _table(whole(g, worths, low=-9, high=10).tolist())),
                ("thousands", _table((5e3 * normal(g, worths)).tolist())),
                ("all or nothing", lambda c, players=players: float(len(c) == players)),
                ("nothing", lambda c: 0.0),
            ):
                orders = _drawn_orders(g, count, players)
                given = {"value": value, "players": players}
                yield f"{players} players, {count} orders, {kind}", {**given, "permutations": orders}
                if kind == "normal":
                    same = orders[:1].repeat(count, 1)
                    yield f"{players} players, {count} equal orders", {**given, "permutations": same}


def asks_no_more_than_needed(function: Callable[..., Any]) -> None:
    """At most M · players + 1 questions, all for frozensets of players, the empty one once."""
    g = torch.Generator().manual_seed(0)
    for players, count in ((1, 1), (2, 5), (4, 3), (6, 7)):
        asked: list[Any] = []

        def value(coalition: Any, asked: list[Any] = asked) -> float:
            asked.append(coalition)
            return float(len(coalition))

        try:
            function(value, players, _drawn_orders(g, count, players))
        except (Exception, SystemExit) as error:
            raise ContractError(f"{type(error).__name__} for {players} players") from error
        if not all(isinstance(c, frozenset) and c <= set(range(players)) for c in asked):
            raise ContractError("asked for something that is no coalition")
        if len(asked) > count * players + 1 or asked.count(frozenset()) > 1:
            raise ContractError("more evaluations than needed")


# --- logit_difference and io_probability


def logit_difference(logits: Tensor, io_ids: Tensor, s_ids: Tensor) -> Tensor:
    """Row by row."""
    rows = range(len(logits))
    return torch.stack([logits[b, int(io_ids[b])] - logits[b, int(s_ids[b])] for b in rows])


def io_probability(logits: Tensor, io_ids: Tensor) -> Tensor:
    """By the categorical distribution."""
    policy = torch.distributions.Categorical(logits=logits, validate_args=False)
    return torch.stack([policy.logits[b, int(io_ids[b])].exp() for b in range(len(logits))])


def _names(g: torch.Generator, with_s: bool) -> Named:
    for rows, entries in ((1, 1), (1, 2), (1, 7), (3, 2), (5, 5), (4, 11), (12, 4), (2, 3_000)):
        for kind, logits in (
            ("normal", normal(g, rows, entries, scale=3)), ("large", 1e4 * normal(g, rows, entries).clamp(-1, 1)),
            ("±1e4", 1e4 * normal(g, rows, entries).sign()), ("equal", full(-7.0, rows, entries)),
            ("far below 0", -9e3 + normal(g, rows, entries)), ("zeros", nought(rows, entries)),
            ("peaked", normal(g, rows, entries, scale=60)),
        ):  # fmt: skip
            for same in (False, True):
                io, s = (whole(g, rows, high=entries) for _ in range(2))
                given = {"logits": logits, "io_ids": torch.full_like(io, entries - 1) if same else io}
                yield f"[{rows}, {entries}], {kind}", given | ({"s_ids": s} if with_s else {})


# --- ablate_heads


def ablate_heads(head_outputs: Tensor, heads: list[int], mean_outputs: Tensor | None = None) -> Tensor:
    """Every head put together anew."""
    kept = []
    for head in range(head_outputs.shape[2]):
        other = torch.zeros_like(head_outputs[:, :, head])
        if mean_outputs is not None:
            other = torch.stack([mean_outputs[:, head].detach()] * len(head_outputs))
        kept.append(other if head in heads else head_outputs[:, :, head])
    return torch.stack(kept, 2)


def _heads(g: torch.Generator) -> Named:
    for rows, tokens, heads, width in (
        (1, 1, 1, 1),
        (11, 2, 3, 2),
        (1, 3, 2, 4),
        (4, 1, 3, 2),
        (3, 3, 3, 3),
        (2, 5, 4, 1),
        (3, 4, 6, 2),
    ):
        zeros = nought(rows, tokens, heads, width)
        yield f"[{rows}, {tokens}, {heads}, {width}], zeros", {"head_outputs": zeros, "heads": [0]}
        mean = nought(tokens, heads, width)
        yield (
            f"[{rows}, {tokens}, {heads}, {width}], means of 0",
            {"head_outputs": zeros + 1, "heads": [0], "mean_outputs": mean},
        )
        for chosen in (
            [],
            [0],
            [heads - 1],
            list(range(heads)),
            list(range(heads))[::-1],
            [heads - 1, 0][: min(2, heads)],
        ):
            for scale in (1.0, 5e3):
                outputs = normal(g, rows, tokens, heads, width, scale=scale)
                size = f"[{rows}, {tokens}, {heads}, {width}], {chosen}"
                yield f"{size}, left out", {"head_outputs": outputs, "heads": chosen}
                yield f"{size}, zero", {"head_outputs": outputs, "heads": chosen, "mean_outputs": None}
                mean = 2 + normal(g, tokens, heads, width, scale=scale)
                yield f"{size}, mean", {"head_outputs": outputs, "heads": chosen, "mean_outputs": mean}


# --- direct_logit_attribution and patch_heads


def direct_logit_attribution(head_writes: Tensor, direction: Tensor) -> Tensor:
    """Prompt by prompt, head by head, entry by entry."""
    prompts, heads, width = head_writes.shape
    rows = []
    for b in range(prompts):
        sums = [torch.stack([head_writes[b, h, m] * direction[b, m] for m in range(width)]).sum() for h in range(heads)]
        rows.append(torch.stack(sums))
    return torch.stack(rows)


def _writes(g: torch.Generator) -> Named:
    for prompts, heads, width in (
        (1, 1, 1),
        (1, 3, 4),
        (4, 1, 5),
        (3, 3, 3),
        (2, 4, 1),
        (11, 2, 9),
        (3, 3, 6),
        (2, 5, 2),
    ):
        for kind, size in (("normal", 1.0), ("tens", 20.0), ("thousands", 4e3), ("small", 1e-3), ("zeros", 0.0)):
            writes, direction = normal(g, prompts, heads, width, scale=size), normal(g, prompts, width, scale=size)
            name = f"[{prompts}, {heads}, {width}], {kind}"
            yield name, {"head_writes": writes, "direction": direction}
            yield f"{name}, no direction", {"head_writes": writes, "direction": nought(prompts, width)}
            yield f"{name}, positive", {"head_writes": writes.abs(), "direction": direction.abs()}


def patch_heads(receiver: Tensor, donor: Tensor, heads: list[int], positions: list[int] | None = None) -> Tensor:
    """Every place put together anew."""
    columns = []
    for t in range(receiver.shape[1]):
        here = positions is None or t in positions
        outputs = [(donor if here and h in heads else receiver)[:, t, h] for h in range(receiver.shape[2])]
        columns.append(torch.stack(outputs, 1))
    return torch.stack(columns, 1)


def _patches(g: torch.Generator) -> Named:
    for rows, tokens, heads, width in (
        (1, 1, 1, 1), (11, 2, 3, 2), (1, 3, 2, 4), (4, 1, 3, 2), (3, 3, 3, 3), (2, 5, 4, 1), (3, 4, 6, 2),
    ):  # fmt: skip
        for chosen in ([], [0], [heads - 1], list(range(heads))[::-1], [heads - 1, 0][: min(2, heads)]):
            for places in ([], [0], [tokens - 1], list(range(tokens))[::-1], [tokens - 1, 0][: min(2, tokens)], None):
                for scale in (1.0, 5e3):
                    receiver, donor = (normal(g, rows, tokens, heads, width, scale=scale) for _ in range(2))
                    size = f"[{rows}, {tokens}, {heads}, {width}], {chosen} at {places}, scale {scale}"
                    given = {"receiver": receiver, "donor": donor, "heads": chosen}
                    yield size, {**given, "positions": places}
                    if places is None:
                        yield f"{size}, left out", given
                        zeros = nought(rows, tokens, heads, width)
                        yield f"{size}, zeros received", {**given, "receiver": zeros}
                        yield f"{size}, zeros given", {**given, "donor": zeros}


# --- patching_effect and faithfulness


def patching_effect(clean: Tensor, corrupted: Tensor, patched: Tensor) -> float:
    """By the standard library's means."""
    start, goal, reached = (statistics.fmean(x.tolist()) for x in (corrupted, clean, patched))
    return (reached - start) / (goal - start)


def _runs(g: torch.Generator) -> Named:
    for rows in (1, 2, 6, 100):
        for start, goal, reached in (
            (-3, 4, 1), (2, 5, 2.5), (1, -2, 0.5), (-4, -1, -5), (0, 1, 3), (2.0, 2.25, 2.0), (0.0, 0.03, 0.01), (-1, 1e3, 7),
            (-0.5, -0.4, 0.2), (3, 0, 3), (5e3, 6e3, 5.5e3), (-5e3, -6e3, -5.5e3), (-5e3, 4e3, 2e3),
        ):  # fmt: skip
            noise = normal(g, 3, rows, scale=0.5 if abs(goal - start) >= 1 else 0.002)
            given = {"clean": goal + noise[0], "corrupted": start + noise[1], "patched": reached + noise[2]}
            yield f"{rows}, from {start} to {goal}", given
            for name in given if abs(goal) >= 1 <= abs(start) else ():
                yield f"{rows}, from {start} to {goal}, {name} 0", {**given, name: nought(rows)}
            small = {name: 1e-4 * value for name, value in given.items()}
            yield f"{rows}, from {start} to {goal}, in ten-thousandths", small
            if -10 < start < goal < 10:
                yield f"{rows}, all in one", {**given, "clean": given["patched"] + 1, "corrupted": given["patched"] - 1}


def divides_by_small_distances(function: Callable[..., Any]) -> None:
    """Means that differ are not equal, however little they differ."""
    for dtype in (torch.float32, DOUBLE):
        for start, goal, reached in ((1e-10, 2e-10, 1.5e-10), (2.0, 2.00001, 2.000005)):
            runs = [torch.tensor([number], dtype=dtype) for number in (goal, start, reached)]
            try:
                share = function(*runs)
            except ValueError as error:
                raise ContractError(f"means of {start} and {goal} are taken for equal") from error
            if not 0.4 < share < 0.6:
                raise ContractError(f"the distance from {start} to {goal} is not what is divided by")


def faithfulness(circuit: Tensor, full: Tensor) -> float:
    """The gap between two means."""
    return abs(statistics.fmean(full.tolist()) - statistics.fmean(circuit.tolist()))


def _circuits(g: torch.Generator) -> Named:
    for rows in (1, 2, 6, 100):
        for part, whole_model in (
            (2, 3.5),
            (5, 3),
            (-3, -1),
            (-1, -3),
            (0, 0),
            (-2, 2),
            (4e3, 5e3),
            (-4e3, -5e3),
            (4e3, -5e3),
            (1.0, 1.0),
        ):
            noise = normal(g, 2, rows)
            yield f"{rows}, {part} and {whole_model}", {"circuit": part + noise[0], "full": whole_model + noise[1]}
            zeros = nought(rows)
            yield f"{rows}, {part} and zeros", {"circuit": zeros, "full": part + noise[0]}
            yield f"{rows}, zeros and {part}", {"circuit": part + noise[0], "full": zeros}
            yield f"{rows}, {part} twice", {"circuit": part + noise[0], "full": part + noise[0]}


_TWO, _FOUR = torch.tensor([1.0, 3.0]), torch.tensor([4.0, -2.0, 8.0, 0.5])
_OTHER = torch.tensor([2.5, 0.25])
ORACLES = {
    "exact_shapley_values": Oracle(
        exact_shapley_values, _games, own_dtype=False, rules=(asks_each_coalition_once,)
    ),
    "sampled_shapley_values": Oracle(
        sampled_shapley_values, _sampled, own_dtype=False, rules=(asks_no_more_than_needed,)
    ),
    "direct_logit_attribution": Oracle(
        direct_logit_attribution, _writes, gradients=("head_writes", "direction")
    ),
    "patch_heads": Oracle(patch_heads, _patches, gradients=("receiver", "donor"), floor=0.0, copies=True),
    "logit_difference": Oracle(logit_difference, lambda g: _names(g, True), gradients=("logits",)),
    "io_probability": Oracle(io_probability, lambda g: _names(g, False), gradients=("logits",), rounding=of_logits),
    "ablate_heads": Oracle(ablate_heads, _heads, gradients=("head_outputs",), floor=0.0, copies=True),
    "patching_effect": Oracle(
        patching_effect, _runs,
        errors=(("clean equal to corrupted", {"clean": _TWO, "corrupted": _TWO, "patched": _OTHER}, ValueError),
                ("equal means", {"clean": _TWO, "corrupted": _TWO.flip(0), "patched": _OTHER}, ValueError),
                ("equal means of others", {"clean": _FOUR, "corrupted": _FOUR.flip(0), "patched": -_FOUR}, ValueError),
                ("all zero", {"clean": 0 * _TWO, "corrupted": 0 * _TWO, "patched": _OTHER}, ValueError)),
        rules=(divides_by_small_distances,),
    ),
    "faithfulness": Oracle(faithfulness, _circuits),
}  # fmt: skip
