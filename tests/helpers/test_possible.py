"""What is possible at a KL: against the exact optimum of a small world, and against sampling."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pytest
import torch

from helpers.kl import figures, possible


def world(completions: int, prompts: int = 4000) -> dict[str, torch.Tensor]:
    """Completions of a reference that knows two texts: one of length 4 and reward 1 (a quarter), one of 8 and 0."""
    good = torch.rand(prompts, completions, generator=torch.Generator().manual_seed(0)) < 0.25
    return {"reward": good.double(), "length": torch.where(good, 4.0, 8.0).double()}


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_many_completions_give_the_exact_optimum(alpha):
    z = 0.25 * math.exp(1 / alpha) + 0.75
    share = 0.25 * math.exp(1 / alpha) / z  # of the good text under π*
    kl = share * math.log(share / 0.25) + (1 - share) * math.log((1 - share) / 0.75)
    point = possible.optimum(world(400, prompts=500), alpha)
    assert point["reward"] == pytest.approx(share, abs=0.01)
    assert point["kl"] == pytest.approx(kl, abs=0.02)
    assert point["objective"] == pytest.approx(alpha * math.log(z), rel=0.01)
    assert point["objective"] == pytest.approx(point["reward"] - alpha * point["kl"])
    assert point["length"] == pytest.approx(8 - 4 * share, abs=0.05)


def test_few_completions_are_on_the_safe_side():
    """What is drawn is the reward of a policy that exists (soft best-of-K), at no less than its KL."""
    alpha, drawn = 0.2, world(4)
    point = possible.optimum(drawn, alpha)
    z = 0.25 * math.exp(1 / alpha) + 0.75
    assert point["objective"] < alpha * math.log(z)
    chosen = point["reward"]  # how often soft best-of-4 writes the good text
    exact = chosen * math.log(chosen / 0.25) + (1 - chosen) * math.log((1 - chosen) / 0.75)
    assert exact < point["kl"] <= math.log(4)


def test_equal_rewards_keep_the_reference():
    drawn = {"reward": torch.full((3, 5), 0.5, dtype=torch.float64), "length": torch.arange(15.0).double().view(3, 5)}
    point = possible.optimum(drawn, 0.01)
    assert point["kl"] == pytest.approx(0.0, abs=1e-9)
    assert point["length"] == pytest.approx(7.0), "no text gains by being short"
    assert point["effective"] == pytest.approx(5.0)


def test_tiny_prices_are_finite_and_none_is_refused():
    point = possible.optimum(world(8), 1e-6)
    assert all(math.isfinite(value) for value in point.values() if isinstance(value, float))
    assert point["kl"] <= math.log(8) + 1e-9
    with pytest.raises(ValueError, match="without a price"):
        possible.optimum(world(8), 0.0)
    assert [p["alpha"] for p in possible.optima(world(2), (0.0, 0.1, 1.0, 0.1))] == [1.0, 0.1]


def test_mixtures_are_possible_and_worse_points_do_not_count():
    points = [
        {"kl": x, "reward": y} for x, y in ((0.0, 0.5), (1.0, 0.52), (2.0, 0.9), (2.0, 0.7), (3.0, 0.8), (4.0, 1.0))
    ]
    assert possible.reward_at(points, 1.0) == pytest.approx(0.7), "the mixture of 0 and 2 nats"
    assert possible.reward_at(points, 2.0) == pytest.approx(0.9)
    assert possible.reward_at(points, 3.0) == pytest.approx(0.95)
    assert possible.reward_at(points, 50.0) == pytest.approx(1.0)


def test_completions_stay_with_their_prompts(policy, tokenizer, reward_model):
    prompts = ["the film", "a story was", "it is not"]
    drawn = possible.draw(
        policy, tokenizer, prompts, {"reward": reward_model, "second_reward": lambda texts: torch.tensor(
            [float(next(n for n, prompt in enumerate(prompts) if text.startswith(prompt))) for text in texts]
        )}, each=3, new_tokens=4, batch_size=4,
    )  # fmt: skip
    assert drawn["reward"].shape == drawn["length"].shape == (3, 3)
    assert drawn["second_reward"].tolist() == [[0.0] * 3, [1.0] * 3, [2.0] * 3]


def test_the_frontier_shows_bounds_and_bars():
    trained = [
        {"name": "α = 1", "kl": 2.0, "reward": 0.5, "half_width": 0.1, "kl_half_width": 0.2, "method": "fixed α"}
    ]
    bounds = [*possible.optima(world(4)), {"name": "best of 4", "kl": 0.6, "reward": 0.7, "method": possible.BEST_OF_N}]
    figure = figures.plot_frontier([*trained, *bounds], bounds, highlight="α = 1")
    assert figure.alt.count("α = 1:") == 2, "the run and the optimum, and no bound drawn as a run"
    assert {text.get_text() for text in figure.axes[0].texts} == {"α = 1", "best of 4"}
    assert len(figure.axes[0].containers) == 1
    plt.close(figure)
