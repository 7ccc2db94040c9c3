"""Part 5 · Interpretability: references and cases; those of games are in `games`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from autograder.reference.spec import Case, Spec, register

FUNCTIONS = (
    "exact_shapley_values",
    "sampled_shapley_values",
    "logit_difference",
    "io_probability",
    "ablate_heads",
    "direct_logit_attribution",
    "patch_heads",
    "patching_effect",
    "faithfulness",
)


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
    # in whole hundreds: near ties of this size are decided by rounding
    large["logits"] = (100 * torch.tanh(large["logits"])).round() * 100
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


# --- direct_logit_attribution and patch_heads


def direct_logit_attribution(head_writes: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """One product of matrices for each prompt."""
    return torch.bmm(head_writes, direction[:, :, None])[:, :, 0]


def attribution_cases(generator: torch.Generator) -> list[Case]:
    """Shapes in which axes of equal length would hide a mix-up, and others."""

    def inputs(prompts: int, heads: int, width: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
        def draw(*shape: int) -> torch.Tensor:
            return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)

        return {"head_writes": draw(prompts, heads, width), "direction": draw(prompts, width)}

    silent = inputs(3, 4, 5)
    silent["head_writes"][:, 1] = 0.0
    thousands = {name: value + 4_000 * value.sign() for name, value in inputs(3, 4, 5).items()}
    return [
        Case("random writes", inputs(6, 4, 9)),
        Case("as many prompts as heads and entries", inputs(4, 4, 4)),
        Case("as many prompts as heads", inputs(3, 3, 7)),
        Case("a batch of 1", inputs(1, 3, 8)),
        Case("one head", inputs(5, 1, 6), "edges"),
        Case("one entry", inputs(4, 3, 1), "edges"),
        Case("one prompt, one head, one entry", inputs(1, 1, 1), "edges"),
        Case("a batch of 40", inputs(40, 2, 3), "edges"),
        Case("a head that writes nothing", silent, "edges"),
        Case("writes and directions that are all 0", inputs(2, 3, 4, scale=0.0), "edges"),
        Case("writes and directions of size 50", inputs(3, 4, 5, scale=50.0), "edges"),
        Case("writes and directions in the thousands", thousands, "edges"),
        Case("writes and directions of size 1e-3", inputs(3, 4, 5, scale=1e-3), "edges", short=False),
    ]


def _added_up(inputs: Mapping[str, Any]) -> float:
    """The sum of the absolute values of the products."""
    return float(direct_logit_attribution(*(value.double().abs() for value in inputs.values())).max())


register(
    Spec(
        "direct_logit_attribution",
        direct_logit_attribution,
        attribution_cases,
        differentiable=("head_writes", "direction"),
        magnitude=_added_up,
    )
)


def patch_heads(
    receiver: torch.Tensor, donor: torch.Tensor, heads: list[int], positions: list[int] | None = None
) -> torch.Tensor:
    """A mask of the named places, and a choice by it."""
    _, tokens, count, _ = receiver.shape
    here = torch.tensor([positions is None or position in positions for position in range(tokens)])
    named = torch.tensor([head in heads for head in range(count)])
    return torch.where((here[:, None] & named[None, :])[None, :, :, None], donor, receiver)


def patch_cases(generator: torch.Generator) -> list[Case]:
    """Shapes in which axes of equal length would hide a mix-up, and others."""

    def inputs(shape: tuple[int, int, int, int], heads: list[int], **positions: list[int] | None) -> dict[str, Any]:
        runs = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        return {"receiver": runs[0], "donor": runs[1], "heads": heads, **positions}

    large = inputs((2, 3, 4, 2), [1, 2], positions=[0, 2])
    large |= {name: 3_000 * large[name] for name in ("receiver", "donor")}
    silent = inputs((2, 3, 4, 2), [1, 2], positions=[0, 1])
    nothing = torch.zeros(2, 3, 4, 2, dtype=torch.float64)
    return [
        Case("two heads at two positions", inputs((3, 5, 4, 2), [0, 2], positions=[1, 4])),
        Case("two heads at three positions", inputs((2, 6, 4, 3), [3, 1], positions=[5, 0, 2])),
        Case("one head at two positions", inputs((3, 5, 4, 2), [3], positions=[0, 2])),
        Case("positions left out", inputs((3, 5, 4, 2), [1, 3])),
        Case("positions that are None", inputs((2, 4, 3, 2), [2], positions=None)),
        Case("batch, positions, heads and width of the same number", inputs((3, 3, 3, 3), [0, 2], positions=[1, 2])),
        Case("a batch of 1", inputs((1, 6, 3, 2), [1], positions=[3])),
        Case("one position", inputs((5, 1, 3, 2), [0, 2], positions=[0])),
        Case("one of each", inputs((1, 1, 1, 1), [0], positions=[0]), "edges"),
        Case("no head at all", inputs((2, 3, 4, 2), [], positions=[0, 1]), "edges"),
        Case("no head at all, at all positions", inputs((2, 3, 4, 2), []), "edges"),
        Case("no position at all", inputs((2, 3, 4, 2), [0, 3], positions=[]), "edges"),
        Case("no head at no position, in a batch of 1", inputs((1, 3, 4, 2), [], positions=[]), "edges"),
        Case("all heads at all positions", inputs((2, 3, 2, 2), [1, 0], positions=[2, 0, 1]), "edges"),
        Case("all heads, positions left out", inputs((2, 3, 4, 2), [0, 1, 2, 3]), "edges"),
        Case("the last head at the last position", inputs((2, 5, 6, 3), [5], positions=[4]), "edges"),
        Case("heads of one number", inputs((2, 3, 4, 1), [1, 2], positions=[0]), "edges"),
        Case("a batch of 12", inputs((12, 2, 3, 2), [1], positions=[1]), "edges"),
        Case("outputs in the thousands", large, "edges"),
        Case(
            "outputs in the thousands, positions left out",
            {k: large[k] for k in ("receiver", "donor", "heads")},
            "edges",
        ),
        Case("positions left out in a batch of 1", inputs((1, 4, 3, 2), [0, 2]), "edges"),
        Case("positions left out, one of each", inputs((1, 1, 1, 1), [0]), "edges"),
        Case("a donor that is all 0", silent | {"donor": nothing}, "edges"),
        Case("a receiver that is all 0", silent | {"receiver": nothing}, "edges"),
    ]


register(
    Spec("patch_heads", patch_heads, patch_cases, differentiable=("receiver", "donor"), looseness=4.0, copies=True)
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

    tiny = {name: 1e-10 * values for name, values in inputs(6, 4.0, -3.0, 1.2).items()}
    return [
        Case("a patch that restores a part", inputs(6, 4.0, -3.0, 1.2)),
        Case("a batch of 1", inputs(1, 3.5, 0.5, 2.0)),
        Case("a corrupted run above 0", inputs(9, 5.0, 2.0, 2.7)),
        Case("a small difference between the clean and the corrupted run", inputs(4, 2.0, 1.95, 1.96), "edges"),
        Case("logit differences of size 1e-4", {k: 1e-4 * v for k, v in inputs(6, 4.0, -3.0, 1.2).items()}, "edges"),
        Case("logit differences of size 1e-10", tiny, "edges", short=False),
        Case("a clean and a corrupted mean that are 1e-5 apart", inputs(4, 2.0, 1.99999, 5.0), "edges", short=False),
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
