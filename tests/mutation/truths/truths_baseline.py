"""Part 1 · Baseline, by plain Python on lists; draws are judged by their frequencies."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from tests.mutation.oracle import ContractError, Inputs, Oracle

from .drawn import DOUBLE, full, normal, nought, uniform, whole

Named = Iterator[tuple[str, Inputs]]


# --- top_k_filter


def top_k_filter(logits: Tensor, k: int) -> Tensor:
    """Row by row: everything below the k-th number of the sorted row goes."""
    rows = []
    for row in logits:
        numbers = sorted(row.tolist(), reverse=True)
        least = -math.inf if k <= 0 or k >= len(numbers) else numbers[k - 1]
        rows.append(torch.stack([x if float(x) >= least else torch.tensor(-math.inf, dtype=DOUBLE) for x in row]))
    return torch.stack(rows)


def _filtered(g: torch.Generator) -> Named:
    for rows, entries in ((1, 1), (1, 2), (1, 7), (2, 2), (3, 5), (4, 4), (5, 33), (12, 4)):
        for k in sorted({-1, 0, 1, 2, entries - 1, entries, entries + 1, entries // 2, 1000}):
            yield f"[{rows}, {entries}], k={k}", {"logits": normal(g, rows, entries, scale=3), "k": k}
            few = whole(g, rows, entries, low=-2, high=2).double()
            yield f"ties, [{rows}, {entries}], k={k}", {"logits": few, "k": k}
    for k in (1, 2, 5):
        yield f"large, k={k}", {"logits": 1e4 * normal(g, 3, 6).clamp(-1, 1), "k": k}
        yield f"below -100, k={k}", {"logits": -9000 - 50 * uniform(g, 3, 6).mul(8).round(), "k": k}
        yield f"all below 0, k={k}", {"logits": -1 - uniform(g, 1, 6), "k": k}
        yield f"all equal, k={k}", {"logits": full(-3.0, 2, 6), "k": k}
        yield f"zeros, k={k}", {"logits": nought(1, 6), "k": k}


def _kept(name: str, inputs: Inputs) -> Tensor:
    return torch.isfinite(top_k_filter(inputs["logits"].double(), inputs["k"]))


# --- sample_next_token: the draws that are certain here, the others by frequencies


def sample_next_token(
    logits: Tensor, temperature: float = 1.0, top_k: int = 0, generator: torch.Generator | None = None
) -> Tensor:
    """The only token that can be drawn, in all inputs below."""
    return torch.tensor([max(range(len(row)), key=row.__getitem__) for row in logits.tolist()])


def _certain(g: torch.Generator) -> Named:
    def apart(rows: int, entries: int, gap: float) -> Tensor:
        order = [torch.randperm(entries, generator=g) for _ in range(rows)]
        return gap * (torch.stack(order).double() - entries // 2)

    for rows, entries in ((1, 1), (1, 2), (1, 9), (4, 4), (30, 11)):
        for temperature in (0, 0.0):
            for top_k in (0, 1, 3, 100):
                given = {"logits": apart(rows, entries, 0.5), "temperature": temperature, "top_k": top_k}
                yield f"greedy, [{rows}, {entries}], top_k={top_k}", given
        yield f"top_k=1, [{rows}, {entries}]", {"logits": apart(rows, entries, 0.5), "temperature": 3.0, "top_k": 1}
        yield f"far apart, [{rows}, {entries}]", {"logits": apart(rows, entries, 300.0)}
        yield (
            f"far apart, int, [{rows}, {entries}]",
            {"logits": apart(rows, entries, 300.0), "temperature": 1, "top_k": 2},
        )
        yield f"cold, [{rows}, {entries}]", {"logits": apart(rows, entries, 0.5), "temperature": 0.005, "top_k": 5}
        drawing = {"logits": apart(rows, entries, 300.0), "generator": torch.Generator().manual_seed(3)}
        yield f"a generator, [{rows}, {entries}]", drawing
    yield "±1e4", {"logits": torch.tensor([[-1e4, 1e4, 0.0], [1e4, -1e4, 9e3]], dtype=DOUBLE)}
    yield "rows of different size", {"logits": apart(30, 9, 300.0) + 1e3 * torch.arange(30)[:, None]}


DRAWS = 4_000  # for each row: one answer draws them in a loop


def _shares(ids: Tensor, entries: int) -> Tensor:
    return torch.bincount(ids, minlength=entries).double() / len(ids)


def _drawn(function: Callable[..., Tensor], logits: Tensor, **arguments: object) -> Tensor:
    try:
        ids = function(logits, **arguments)
    except (Exception, SystemExit) as error:
        raise ContractError(f"{type(error).__name__} for draws") from error
    if not isinstance(ids, Tensor) or ids.shape != logits.shape[:1] or ids.dtype != torch.int64:
        raise ContractError("form of the draws")
    return ids


def follows_the_distribution(function: Callable[..., Tensor]) -> None:
    """The frequencies of 4,000 draws are those of the filtered and tempered distribution: off by .04 is five sigma."""
    rows = [[0.3, -1.0, 1.2, 0.0, 0.9], [2.0, 2.0, -1.0, 2.0, 0.5], [-30.0, -31.0, -30.5, -29.0, -30.2]]
    settings = [(1.0, 0), (1, 5), (2.5, 0), (0.4, 0), (1.0, 2), (1.7, 3), (0.6, 1), (1.0, 7), (1.0, -1), (0.03, 0)]
    for number, (temperature, top_k) in enumerate(settings):
        dtype = (torch.float32, torch.float64, torch.bfloat16)[number % 3]
        scale = 0.03 if temperature == 0.03 else 1.0
        logits = (scale * torch.tensor(rows, dtype=DOUBLE)).to(dtype).repeat(DRAWS, 1)
        generator = torch.Generator().manual_seed(600 + number)
        ids = _drawn(function, logits, temperature=temperature, top_k=top_k, generator=generator)
        for row in range(3):
            kept = top_k_filter(logits[row : row + 1].double(), top_k)[0]
            wanted = torch.distributions.Categorical(logits=kept / temperature).probs
            got = _shares(ids[row::3], 5)
            allowed = 0.04 + (0.02 if dtype == torch.bfloat16 else 0.0)
            if bool((got - wanted).abs().max() > allowed) or bool(((wanted == 0) & (got > 0)).any()):
                raise ContractError(f"frequencies at temperature {temperature}, top_k={top_k}, {dtype}")


def _draws_anew_with(function: Callable[..., Tensor]) -> None:
    """The part of `draws_anew` that must hold with any temperature and top-k."""
    even = torch.zeros(400, 10)

    def draw(seed: int, own: int, times: int = 1) -> Tensor:
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(own)
        return [_drawn(function, even, generator=generator) for _ in range(times)][-1]

    if not torch.equal(draw(1, 5), draw(2, 5)):
        raise ContractError("equal generators draw differently")
    if torch.equal(draw(1, 5), draw(1, 6)) or torch.equal(draw(1, 5), draw(1, 5, 2)):
        raise ContractError("the generator has no effect")
    torch.manual_seed(8)
    first, second = _drawn(function, even), _drawn(function, even)
    torch.manual_seed(9)
    third = _drawn(function, even)
    if torch.equal(first, second) or torch.equal(first, third) or torch.equal(third, torch.zeros_like(third)):
        raise ContractError("two calls without a generator draw the same")
    many = _drawn(function, torch.zeros(DRAWS, 4), generator=torch.Generator().manual_seed(2))
    if abs(float((many[::2] == many[1::2]).double().mean()) - 0.25) > 0.03:
        raise ContractError("the rows are not drawn each for itself")


def draws_anew(function: Callable[..., Tensor]) -> None:
    """A generator decides the draws, and goes on; without one every call draws anew, each row for itself."""
    _draws_anew_with(function)
    # the logits are equal, and ties are kept: nothing is filtered out
    for arguments in ({"top_k": 3}, {"temperature": 2.0}, {"temperature": 0.5, "top_k": 2}):
        _draws_anew_with(partial(function, **arguments))
    even = torch.zeros(400, 10)

    for rows in (even, even.double(), even.bfloat16()):
        share = float((_drawn(function, rows) == _drawn(function, rows)).double().mean())
        if not 0.03 < share < 0.2:
            raise ContractError("draws that should not depend on each other")
    row = torch.tensor([1.0, -1.0, 0.2, 2.0])
    shares = _shares(_drawn(function, row.repeat(DRAWS, 1), generator=torch.Generator().manual_seed(4)), 4)
    if bool((shares - row.double().softmax(0)).abs().max() > 0.025):
        raise ContractError("frequencies with the default arguments")
    wide = _drawn(function, torch.zeros(DRAWS, 400), generator=torch.Generator().manual_seed(6))
    if len(wide.unique()) < 390:
        raise ContractError("tokens that are never drawn")
    ladder = (1 - torch.arange(400.0) / 800).repeat(DRAWS, 1)
    if (
        not 0.38
        < float((_drawn(function, ladder, generator=torch.Generator().manual_seed(7)) >= 200).double().mean())
        < 0.5
    ):
        raise ContractError("unlikely tokens, drawn too seldom or too often")
    one = [int(_drawn(function, torch.zeros(1, 3))) for _ in range(60)]
    if set(one) != {0, 1, 2}:
        raise ContractError("draws in a batch of one")


# --- completion_mask


def completion_mask(ids: Tensor, prompt_length: int, eos_id: int) -> Tensor:
    """True from the prompt's end to the first eos behind it."""
    rows = []
    for row in ids.tolist():
        completion = row[prompt_length:]
        length = completion.index(eos_id) + 1 if eos_id in completion else len(completion)
        rows.append([False] * (len(row) - len(completion)) + [True] * length + [False] * (len(completion) - length))
    return torch.tensor(rows, dtype=torch.bool).reshape(ids.shape)


def _id_rows(g: torch.Generator) -> Named:
    for number in range(3):
        ended = torch.cat([whole(g, 2, 9, high=30), torch.full((2, 280), 30)], 1)
        yield f"280 eos, {number}", {"ids": ended, "prompt_length": 3, "eos_id": 30}
        alike = whole(g, 4, 40, low=5, high=9)
        alike[:, ::3] += 65_536
        yield f"ids of more than 16 bits, {number}", {"ids": alike, "prompt_length": 2, "eos_id": 6}
        yield f"ids of more than 16 bits, eos too, {number}", {"ids": alike, "prompt_length": 2, "eos_id": 65_542}
    for rows, tokens in ((1, 1), (1, 2), (1, 9), (5, 5), (12, 14)):
        for prompt in sorted({0, 1, tokens // 2, tokens - 1, tokens}):
            for low, high in ((0, 2), (0, 4), (50_250, 50_258)):
                for eos in (low, high - 1, high + 5):
                    ids = whole(g, rows, tokens, low=low, high=high)
                    yield f"[{rows}, {tokens}], prompt {prompt}, eos {eos}", {
                        "ids": ids, "prompt_length": prompt, "eos_id": eos,
                    }  # fmt: skip


# --- mean_with_confidence


def mean_with_confidence(values: Tensor) -> tuple[float, float]:
    """By the standard library's statistics."""
    numbers = values.tolist()
    spread = statistics.stdev(numbers) if len(numbers) > 1 else math.nan
    return statistics.fmean(numbers), 1.96 * spread / math.sqrt(len(numbers))


def _values(g: torch.Generator) -> Named:
    for count in (1, 2, 3, 7, 64, 500):
        yield f"{count} of either sign", {"values": normal(g, count, scale=4)}
        yield f"{count} below 0", {"values": -2 - uniform(g, count)}
        yield f"{count} probabilities", {"values": uniform(g, count)}
        yield f"{count} zeros and ones", {"values": whole(g, count).double()}
        yield f"{count} equal", {"values": full(-0.75, count)}
        yield f"{count} of thousands", {"values": 9_000 * normal(g, count).clamp(-1, 1)}


# --- forecast_log_loss


def forecast_log_loss(probabilities: Tensor, outcomes: Tensor) -> float:
    """Forecast by forecast."""
    losses = []
    for p, happened in zip(probabilities.tolist(), outcomes.tolist(), strict=True):
        clipped = min(max(p, 0.0001), 0.9999)
        losses.append(-math.log(clipped if happened else 1 - clipped))
    return statistics.fmean(losses)


def _forecasts(g: torch.Generator) -> Named:
    for count in (1, 2, 5, 26, 300):
        y = whole(g, count)
        for kind, outcomes in (("int", y), ("bool", y.bool()), ("float", y.double()), ("int32", y.int())):
            yield f"{count}, {kind}", {"probabilities": uniform(g, count), "outcomes": outcomes}
            sure = whole(g, count).double()
            yield f"{count} sure, {kind}", {"probabilities": sure, "outcomes": outcomes}
            yield f"{count} nearly sure, {kind}", {"probabilities": (sure - 5e-5).abs(), "outcomes": outcomes}
            yield f"{count} rather sure, {kind}", {"probabilities": (sure - 4e-4).abs(), "outcomes": outcomes}
        yield f"{count}, all happened", {"probabilities": uniform(g, count), "outcomes": torch.ones(count).long()}
        yield f"{count}, none happened", {"probabilities": uniform(g, count), "outcomes": torch.zeros(count).long()}


ORACLES = {
    "top_k_filter": Oracle(top_k_filter, _filtered, gradients=("logits",), exact=True, floor=0.0, counted=_kept),
    "sample_next_token": Oracle(
        sample_next_token, _certain, exact=True, floor=0.0, rules=(follows_the_distribution, draws_anew)
    ),
    "completion_mask": Oracle(completion_mask, _id_rows, exact=True, floor=0.0),
    "mean_with_confidence": Oracle(
        mean_with_confidence, _values, errors=(("no values", {"values": torch.empty(0)}, ValueError),)
    ),
    "forecast_log_loss": Oracle(forecast_log_loss, _forecasts),
}  # fmt: skip
