"""How much reward there is to win at a given KL: from several completions of the reference for each prompt.

The best policy for a given α is known: π*(y) ∝ π_ref(y)·exp(r(y)/α). To draw from it, draw K completions of the
reference and take one of them with probability ∝ exp(r/α). For large K this is π* itself; for any K it is a policy that
one can have (soft best-of-K), with the reward computed here and a KL of at most the one computed here. So whatever is
drawn lies on the safe side: the best possible policy is as good as that, or better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batches
from helpers.evaluation import NORMAL_975, batch_seed
from helpers.generation import generate

OPTIMUM = "optimum π*"  # the method of a point that `optimum` gives
BEST_OF_N = "best of n"
BOUNDS = (OPTIMUM, BEST_OF_N)  # what trained policies are measured against
ALPHAS = (10.0, 3.0, 2.0, 1.0, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.06, 0.03, 0.01)  # where the optimum is computed


def draw(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    reward_models: Mapping[str, Callable[[Sequence[str]], Tensor]],
    *,
    each: int,
    new_tokens: int,
    batch_size: int,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Sample several completions for each prompt, and judge them.

    Args:
        reward_models: `"reward"` and, if there is one, `"second_reward"`.
        each: K, completions for each prompt.

    Returns:
        `[P, K]` tensors in float64: the opinion of each reward model, and `"length"` in tokens.
    """
    several = [prompt for prompt in prompts for _ in range(each)]
    found: dict[str, list[Tensor]] = {name: [] for name in (*reward_models, "length")}
    for number, group in enumerate(batches(several, batch_size)):
        rollout = generate(policy, tokenizer, group, new_tokens, generator=batch_seed(seed, number))
        for name, judge in reward_models.items():
            found[name].append(judge(rollout.texts).cpu())
        found["length"].append(rollout.lengths.cpu())
    return {name: torch.cat(values).double().reshape(-1, each) for name, values in found.items()}


def over_prompts(values: Tensor, name: str, half_width: str) -> dict[str, float]:
    """`[P]` values as two entries of a point: the mean over prompts and the half width of its 95 % interval."""
    return {name: values.mean().item(), half_width: NORMAL_975 * values.std().item() / len(values) ** 0.5}


def optimum(drawn: Mapping[str, Tensor], alpha: float) -> dict[str, Any]:
    """The best policy for a price α of one nat, as a point of the frontier.

    Args:
        drawn: what `draw` gave.
        alpha: above 0.

    Returns:
        A point: `kl` (an upper bound) and `reward` with half widths, `objective` (J, a lower bound), what the other
        columns of `drawn` are on average under the optimum, and `effective`, how many of the K completions count.
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}; without a price for a nat the optimum is the single best completion")
    log_weights = (drawn["reward"] / alpha).log_softmax(dim=1)  # [P, K]
    weights = log_weights.exp()  # [P, K]
    count = weights.shape[1]
    kl = (weights * (log_weights + np.log(count))).sum(dim=1)  # [P]: to the K completions with weights 1/K
    averages = {name: (weights * values).sum(dim=1) for name, values in drawn.items()}  # {name: [P]}
    point: dict[str, Any] = {"name": f"π*, α = {alpha:g}", "method": OPTIMUM, "alpha": alpha}
    point |= over_prompts(kl, "kl", "kl_half_width")
    point |= over_prompts(averages["reward"], "reward", "half_width")
    point |= over_prompts(averages["reward"] - alpha * kl, "objective", "objective_half_width")
    point |= {name: values.mean().item() for name, values in averages.items() if name != "reward"}
    point["effective"] = (1 / weights.square().sum(dim=1)).mean().item()
    return point


def optima(drawn: Mapping[str, Tensor], alphas: Iterable[float] = ALPHAS) -> list[dict[str, Any]]:
    """The optimum for each price, from the dearest (next to the reference) to the cheapest."""
    return [optimum(drawn, alpha) for alpha in sorted(set(alphas), reverse=True) if alpha > 0]


def reward_at(points: Sequence[Mapping[str, Any]], kl: float) -> float:
    """The reward that is possible at a KL, by these points (those of `optima`, best-of-n, the untuned policy).

    Between two policies lies their mixture: its reward is on the straight line between theirs, its KL is not above it.
    So the highest chain of straight lines is possible as well, and beyond its last point the reward stays possible.
    """
    chain: list[tuple[float, float]] = []
    for x, y in sorted((point["kl"], point["reward"]) for point in points):
        if chain and y <= chain[-1][1]:
            continue  # more KL for less reward
        while chain and (
            x == chain[-1][0] or (len(chain) > 1 and _slope(chain[-2], chain[-1]) <= _slope(chain[-1], (x, y)))
        ):
            chain.pop()
        chain.append((x, y))
    return float(np.interp(kl, [x for x, _ in chain], [y for _, y in chain]))


def _slope(left: tuple[float, float], right: tuple[float, float]) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])
