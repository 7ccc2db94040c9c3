"""Part 1 · Baseline: references and cases, and the judgement of random draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from autograder.reference.quoting import a_value, raised
from autograder.reference.spec import OWN_ASPECTS, Case, Spec, grading_seed, register

FUNCTIONS = (
    "top_k_filter",
    "sample_next_token",
    "continue_texts",
    "completion_mask",
    "mean_with_confidence",
    "forecast_log_loss",
)


# --- top_k_filter


def top_k_filter(logits: torch.Tensor, k: int) -> torch.Tensor:
    """By counting: an entry stays if fewer than `k` of its row are larger."""
    if k <= 0 or k >= logits.shape[1]:
        return logits.clone()
    larger = (logits.unsqueeze(1) > logits.unsqueeze(2)).sum(dim=2)  # [B, V]: how many of the row are larger
    return torch.where(larger < k, logits, torch.full_like(logits, -math.inf))


WIDE = (torch.float64,)


def top_k_cases(generator: torch.Generator) -> list[Case]:
    """Shapes, borders of `k` and ties."""

    def draw(rows: int, entries: int) -> torch.Tensor:
        """Different multiples of 1/8 around 0: no ties, in bfloat16 neither."""
        order = [torch.randperm(4 * entries, generator=generator)[:entries] for _ in range(rows)]
        return (torch.stack(order).double() - 2 * entries) / 8

    tied = torch.tensor([[1.0, 2.0, 2.0, 2.0, 3.0], [4.0, 4.0, 4.0, 4.0, 4.0]], dtype=torch.float64)
    return [
        Case("random logits", {"logits": draw(5, 17), "k": 4}),
        Case("a batch of 1", {"logits": draw(1, 9), "k": 3}),
        Case("k = 1", {"logits": draw(3, 8), "k": 1}),
        Case("k = V - 1", {"logits": draw(3, 8), "k": 7}),
        Case("negative logits only", {"logits": -8 - draw(4, 11), "k": 2}),
        Case("a batch of 1, k = 1", {"logits": draw(1, 9), "k": 1}, "edges"),
        Case("a vocabulary of one token", {"logits": draw(2, 1), "k": 1}, "edges"),
        Case("k = 0", {"logits": draw(2, 6), "k": 0}, "edges"),
        Case("k = 0 and a batch of 1", {"logits": draw(1, 6), "k": 0}, "edges"),
        Case("k = 1 and one token in a batch of 1", {"logits": draw(1, 1), "k": 1}, "edges"),
        Case("k = 0 and a vocabulary of one token", {"logits": draw(1, 1), "k": 0}, "edges"),
        Case("a batch of 12", {"logits": draw(12, 5), "k": 2}, "edges"),
        Case("logits of -1000 and less", {"logits": -1000 - 100 * draw(3, 6).abs(), "k": 5}, "edges"),
        Case("logits that are close in float64", {"logits": 1 + 1e-9 * draw(3, 6), "k": 2}, "edges", WIDE, short=False),
        Case("logits that are all 0", {"logits": torch.zeros(2, 5, dtype=torch.float64), "k": 2}, "edges"),
        Case("a negative k", {"logits": draw(2, 6), "k": -3}, "edges"),
        Case("k = V", {"logits": draw(2, 6), "k": 6}, "edges"),
        Case("k larger than V", {"logits": draw(2, 6), "k": 40}, "edges"),
        Case("ties at the border", {"logits": tied, "k": 2}, "edges"),
        Case("ties at the border in a batch of 1", {"logits": tied[:1] - 5, "k": 3}, "edges"),
        Case("ties of the largest, k = 1", {"logits": tied, "k": 1}, "edges"),
        Case("logits of size 1e4", {"logits": 1e4 * torch.tanh(draw(3, 7)), "k": 3}, "edges"),
    ]


def _kept(name: str, inputs: Mapping[str, Any]) -> torch.Tensor:
    """What a filtered entry's gradient is, no definition says."""
    return torch.isfinite(top_k_filter(inputs["logits"].detach(), inputs["k"]))


register(Spec("top_k_filter", top_k_filter, top_k_cases, differentiable=("logits",), tested_gradient=_kept))


# --- sample_next_token: what is certain by the registry, what is random by aspects of its own


def sample_next_token(
    logits: torch.Tensor, temperature: float = 1.0, top_k: int = 0, generator: torch.Generator | None = None
) -> torch.Tensor:
    """The most likely token: the only possible draw in all registered cases."""
    return logits.max(dim=1).indices


def sampling_cases(generator: torch.Generator) -> list[Case]:
    """Calls with one possible outcome: greedy, k = 1, or one logit far above the rest.

    Where chance could bring a wrong answer through, there are so many rows that it never does.
    """

    def spread(rows: int, entries: int, gap: float) -> torch.Tensor:
        order = [torch.randperm(entries, generator=generator) for _ in range(rows)]
        return gap * (torch.stack(order).double() - entries // 2)

    return [
        Case("temperature 0", {"logits": spread(6, 12, 0.5), "temperature": 0}),
        Case("temperature 0.0 in a batch of 1", {"logits": spread(1, 12, 0.5), "temperature": 0.0}),
        Case("temperature 0 and one token", {"logits": spread(3, 1, 1.0), "temperature": 0}, "edges"),
        Case("top_k = 1 in a batch of 1", {"logits": 400.0 * torch.arange(10.0)[None].double(), "top_k": 1}, "edges"),
        Case("a batch of 1 with one likely token", {"logits": spread(1, 9, 400.0)}, "edges"),
        Case("temperature 0 with top_k", {"logits": spread(4, 9, 0.5), "temperature": 0.0, "top_k": 3}),
        Case("top_k = 1", {"logits": spread(40, 10, 0.5), "temperature": 2.0, "top_k": 1}),
        Case("logits of size 1e4", {"logits": spread(40, 50, 400.0), "temperature": 1.0}, "edges"),
        Case("a low temperature", {"logits": spread(40, 20, 0.5), "temperature": 0.01}, "edges"),
        Case("top_k larger than V", {"logits": spread(40, 7, 400.0), "temperature": 1, "top_k": 100}, "edges"),
        Case("rows of different size", {"logits": spread(40, 9, 400.0) + 200.0 * torch.arange(40)[:, None]}, "edges"),
    ]


# a draw has one right outcome in each of these cases, so no error counts as none
register(Spec("sample_next_token", sample_next_token, sampling_cases, magnitude=lambda inputs: 0.0))

DRAWS = 20_000  # the standard error of a frequency is at most 0.0036
ALLOWED = 0.02  # more than five standard errors
WAYS = ({"temperature": 1.0, "top_k": 0}, {"temperature": 0.7, "top_k": 4})  # who filters may go another way


def _generator(offset: int) -> torch.Generator:
    return torch.Generator().manual_seed(9_000 + 31 * grading_seed() + offset)


def _draw(function: Callable[..., torch.Tensor], logits: torch.Tensor, label: str, **arguments: object) -> torch.Tensor:
    try:
        ids = function(logits, **arguments)
    except Exception as error:
        raise AssertionError(f"sample_next_token raised {raised(error)} for {label}") from error
    if not isinstance(ids, torch.Tensor):
        raise AssertionError(f"sample_next_token: {a_value(ids)} where a tensor is asked for ({label})")
    if tuple(ids.shape) != (logits.shape[0],) or ids.dtype != torch.int64:
        raise AssertionError(f"sample_next_token: asked for shape [{logits.shape[0]}] and dtype torch.int64 ({label})")
    if bool(((ids < 0) | (ids >= logits.shape[1])).any()):
        raise AssertionError(f"sample_next_token: an id outside the vocabulary ({label})")
    return ids


def _frequencies(ids: torch.Tensor, entries: int) -> torch.Tensor:
    return torch.bincount(ids, minlength=entries).double() / ids.numel()


def _target(logits: torch.Tensor, temperature: float, top_k: int) -> torch.Tensor:
    return torch.softmax(top_k_filter(logits.double()[None], top_k)[0] / temperature, dim=0)


def _verify_frequencies(function: Callable[..., torch.Tensor]) -> None:
    drawn = 2 * torch.randn(2, 6, generator=_generator(0), dtype=torch.float64)  # two different distributions
    tied = torch.tensor([[1.0, 0.5, 0.5, 0.5, -1.0, 0.0], [-3.0, 2.0, 2.0, 1.0, 2.0, 2.5]], dtype=torch.float64)
    settings = [(drawn, *setting) for setting in [(1.0, 0), (0.5, 0), (2.0, 0), (1.5, 3), (0.7, 2), (1, 6)]]
    level = torch.tensor([[2.0, 2.0, -1.0, 0.0, 2.0, 1.0], [0.0, 3.0, 3.0, -2.0, 1.0, 2.0]], dtype=torch.float64)
    settings += [(tied, 1.0, 2), (level, 1.0, 1), (drawn / 20, 0.05, 0)]
    for number, (rows, temperature, top_k) in enumerate(settings):
        label = f"temperature {temperature}, top_k {top_k}" + (
            ", ties at the border" if rows is tied or rows is level else ""
        )
        logits = rows.float().repeat(DRAWS // 2, 1)  # rows alternate
        ids = _draw(function, logits, label, temperature=temperature, top_k=top_k, generator=_generator(1 + number))
        for row in range(2):
            wanted = _target(rows[row], temperature, top_k)
            got = _frequencies(ids[row::2], 6)
            if bool((got[wanted == 0] > 0).any()):
                raise AssertionError(f"sample_next_token drew a token outside the top k ({label})")
            error = (got - wanted).abs().max().item()
            if error > ALLOWED:
                raise AssertionError(f"sample_next_token: the frequencies are not those of the distribution ({label})")


def _verify_defaults(function: Callable[..., torch.Tensor]) -> None:
    row = torch.randn(5, generator=_generator(20), dtype=torch.float64)
    logits = row.float().repeat(DRAWS, 1)
    torch.manual_seed(grading_seed() + 77)
    ids = _draw(function, logits, "default arguments")
    error = (_frequencies(ids, 5) - _target(row, 1.0, 0)).abs().max().item()
    if error > ALLOWED:
        raise AssertionError("sample_next_token: with default arguments the frequencies are not those of the softmax")
    many = 1 - torch.arange(300) / 600  # no two alike: whoever keeps the likeliest 50 or 100 never draws the others
    late = _draw(function, many.repeat(2_000, 1), "default arguments, 300 tokens") >= 150
    if abs(late.double().mean().item() - torch.softmax(many.double(), 0)[150:].sum().item()) > 4 * ALLOWED:
        raise AssertionError(
            "sample_next_token: with default arguments unlikely tokens are drawn too seldom or too often"
        )
    for way in WAYS:
        first, second = (_draw(function, logits[:200], "no generator", **way) for _ in range(2))
        if torch.equal(first, second):
            raise AssertionError(
                "sample_next_token: two calls without a generator gave equal draws; is a seed set inside the function?"
            )


def _verify_independence(function: Callable[..., torch.Tensor]) -> None:
    for way, draws in zip(WAYS, (DRAWS, DRAWS // 10), strict=True):
        ids = _draw(function, torch.zeros(draws, 4), "equal logits", **way, generator=_generator(30))
        together = (ids[0::2] == ids[1::2]).double().mean().item()  # 1/4 when rows are drawn independently
        if abs(together - 0.25) > ALLOWED * math.sqrt(DRAWS / draws):
            raise AssertionError("sample_next_token: the rows of a batch are not drawn independently")


def _verify_generator(function: Callable[..., torch.Tensor]) -> None:
    for way in WAYS:
        _verify_one_generator(function, way)


def _verify_one_generator(function: Callable[..., torch.Tensor], way: Mapping[str, Any]) -> None:
    logits = torch.zeros(200, 10)

    def draw(generator: torch.Generator, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return _draw(function, logits, "a given generator", **way, generator=generator)

    if not torch.equal(draw(_generator(40), 1), draw(_generator(40), 2)):
        raise AssertionError("sample_next_token: equal generators gave different draws; is `generator` passed on?")
    if torch.equal(draw(_generator(40), 1), draw(_generator(41), 1)):
        raise AssertionError("sample_next_token: different generators gave equal draws; is `generator` passed on?")
    one = _generator(42)
    if torch.equal(draw(one, 3), draw(one, 3)):
        raise AssertionError(
            "sample_next_token: two calls with one generator gave equal draws; is it seeded again inside?"
        )


OWN_ASPECTS["sample_next_token"] = {
    "frequencies": _verify_frequencies,
    "defaults": _verify_defaults,
    "independence": _verify_independence,
    "generator": _verify_generator,
}


# --- completion_mask


def completion_mask(ids: torch.Tensor, prompt_length: int, eos_id: int) -> torch.Tensor:
    """Token by token."""
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row, tokens in enumerate(ids.tolist()):
        for position in range(prompt_length, len(tokens)):
            mask[row, position] = True
            if tokens[position] == eos_id:
                break
    return mask


def mask_cases(generator: torch.Generator) -> list[Case]:
    """Random ids in which the eos is frequent, and the borders of the prompt's length."""

    def draw(rows: int, tokens: int, entries: int = 5) -> torch.Tensor:
        return torch.randint(0, entries, (rows, tokens), generator=generator)

    padded = draw(4, 9, 30) + 1
    padded[:, :3] = 0  # left padding with the eos
    padded[1, 6:] = 0
    unfinished = draw(3, 8, 30) + 1
    alike = draw(4, 10, 3) + 5
    alike[:, 4::3] += 65_536  # ids that 16 bits cannot tell from others
    alike[0] = torch.tensor([5, 7, 5, 65_542, 7, 5, 6, 5, 7, 5])  # the first of them is no eos, whatever was drawn
    long = draw(2, 300, 30)
    long[:, 9:] = 30  # the eos, again and again: a count of them that wraps at 256 begins anew
    return [
        Case("several eos in a row", {"ids": draw(12, 11), "prompt_length": 4, "eos_id": 3}),
        Case("eos_id = 0", {"ids": draw(8, 9, 4), "prompt_length": 2, "eos_id": 0}),
        Case("a batch of 1", {"ids": draw(1, 10, 4), "prompt_length": 3, "eos_id": 2}),
        Case("a vocabulary of 50,257", {"ids": 50_240 + draw(12, 20, 17), "prompt_length": 5, "eos_id": 50_256}),
        Case("an eos of 2,050", {"ids": 2_040 + draw(12, 14, 20), "prompt_length": 3, "eos_id": 2_050}),
        Case("ids above 65,536", {"ids": alike, "prompt_length": 2, "eos_id": 6}, "edges"),
        Case("a row padded with 290 eos", {"ids": long, "prompt_length": 3, "eos_id": 30}, "edges"),
        Case("a prompt padded on the left with eos", {"ids": padded, "prompt_length": 5, "eos_id": 0}, "edges"),
        Case("a batch of 1 and one token generated", {"ids": draw(1, 4), "prompt_length": 3, "eos_id": 1}, "edges"),
        Case("no eos", {"ids": unfinished, "prompt_length": 3, "eos_id": 0}, "edges"),
        Case(
            "eos as the first generated token", {"ids": torch.full((2, 6), 7), "prompt_length": 2, "eos_id": 7}, "edges"
        ),
        Case("an empty prompt", {"ids": draw(5, 7), "prompt_length": 0, "eos_id": 1}, "edges"),
        Case("one token in a batch of 1", {"ids": draw(1, 1), "prompt_length": 0, "eos_id": 1}, "edges"),
        Case("ids that are all 0", {"ids": torch.zeros(2, 5).long(), "prompt_length": 2, "eos_id": 1}, "edges"),
        Case("nothing generated", {"ids": draw(3, 6), "prompt_length": 6, "eos_id": 1}, "edges"),
        Case("one token generated", {"ids": draw(5, 6), "prompt_length": 5, "eos_id": 1}, "edges"),
    ]


register(Spec("completion_mask", completion_mask, mask_cases))


# --- mean_with_confidence


def mean_with_confidence(values: torch.Tensor) -> tuple[float, float]:
    """With plain Python numbers."""
    numbers = values.double().tolist()
    if not numbers:
        raise ValueError("no values")
    mean = math.fsum(numbers) / len(numbers)
    if len(numbers) == 1:
        return mean, math.nan
    variance = math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1)
    return mean, 1.96 * math.sqrt(variance / len(numbers))


def mean_cases(generator: torch.Generator) -> list[Case]:
    """Rewards between 0 and 1, any numbers, and very few of them."""

    def draw(count: int) -> torch.Tensor:
        return torch.randn(count, generator=generator, dtype=torch.float64)

    return [
        Case("900 rewards", {"values": torch.sigmoid(2 * draw(900))}),
        Case("numbers of any sign", {"values": 5 * draw(23) - 3}),
        Case("two values", {"values": draw(2)}),
        Case("values below 0 alone", {"values": -2 - torch.sigmoid(draw(12))}),
        Case("one value", {"values": draw(1)}, "edges"),
        Case("values far from 0 and close together", {"values": 1_000 + draw(40)}, "edges", short=False),
        Case("values in the thousands", {"values": 4_000 * draw(15)}, "edges"),
        Case("values of -2000 and less", {"values": -2_000 - 500 * draw(9).abs()}, "edges"),
        Case("values that are all 0", {"values": torch.zeros(4, dtype=torch.float64)}, "edges"),
        Case("equal values", {"values": torch.full((6,), 0.25, dtype=torch.float64)}, "edges"),
    ]


register(
    Spec(
        "mean_with_confidence",
        mean_with_confidence,
        mean_cases,
        raises=(("no values", {"values": torch.empty(0, dtype=torch.float64)}, ValueError),),
    )
)


# --- forecast_log_loss


def forecast_log_loss(probabilities: torch.Tensor, outcomes: torch.Tensor) -> float:
    """With plain Python numbers."""
    total = 0.0
    for p, y in zip(probabilities.double().tolist(), outcomes.tolist(), strict=True):
        p = min(max(p, 1e-4), 1 - 1e-4)
        total -= math.log(p) if y else math.log1p(-p)
    return total / probabilities.numel()


def forecast_cases(generator: torch.Generator) -> list[Case]:
    """Outcomes of every type, and forecasts of 0 and 1; only those meet the clipping."""

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        p = 0.03 + 0.94 * torch.rand(count, generator=generator, dtype=torch.float64)
        return p, torch.rand(count, generator=generator, dtype=torch.float64) < 0.5

    p1, y1 = draw(26)
    p2, y2 = draw(7)
    p3, y3 = draw(1)
    p4, y4 = draw(40)
    sure = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.5], dtype=torch.float64)
    return [
        Case("outcomes as int", {"probabilities": p1, "outcomes": y1.long()}),
        Case("outcomes as bool", {"probabilities": p2, "outcomes": y2}),
        Case("outcomes as float", {"probabilities": p4, "outcomes": y4.double()}),
        Case("one forecast", {"probabilities": p3, "outcomes": y3.long()}),
        Case("forecasts of 0 and 1", {"probabilities": sure, "outcomes": torch.tensor([1, 0, 1, 0, 1])}, "edges"),
        Case("all sure and right", {"probabilities": sure[:2], "outcomes": torch.tensor([0, 1])}, "edges"),
        Case("forecasts that are all 0", {"probabilities": torch.zeros(3).double(), "outcomes": y1[:3]}, "edges"),
        Case("all sure and wrong", {"probabilities": sure[:2], "outcomes": torch.tensor([1, 0])}, "edges"),
    ]


register(Spec("forecast_log_loss", forecast_log_loss, forecast_cases, magnitude=lambda inputs: 1.0))
