"""A small policy for gymnasium's environments, and a way to play episodes with it. For Part 2's optional section."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

HIDDEN = 64  # units in the one hidden layer


@dataclass(frozen=True)
class Episodes:
    """Played episodes, one entry of each list an episode of `T` moments (`T` differs).

    Attributes:
        states: float32 `[T, S]`, what the policy saw.
        actions: int64 `[T]`, what it chose.
        rewards: float32 `[T]`, what it got.
    """

    states: list[Float[Tensor, "T S"]]
    actions: list[Int[Tensor, " T"]]
    rewards: list[Float[Tensor, " T"]]


def make_player(environment: str, seed: int, learning_rate: float) -> tuple[nn.Sequential, torch.optim.Optimizer]:
    """Return a fresh network from states to action logits, and its optimizer (Adam).

    Args:
        environment: the name of a gymnasium environment with discrete actions.
        seed: decides the network's first weights.

    Raises:
        ValueError: the states are not vectors, or the actions not discrete.
    """
    env = gymnasium.make(environment)
    states, choices = env.observation_space, env.action_space
    env.close()
    if not isinstance(states, gymnasium.spaces.Box) or not isinstance(choices, gymnasium.spaces.Discrete):
        raise ValueError(f"{environment} does not have vectors as states and a number of actions to choose from")
    inputs, actions = states.shape[0], int(choices.n)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        player = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, actions))
    return player, torch.optim.Adam(player.parameters(), lr=learning_rate)


@torch.no_grad()
def collect_episodes(
    environment: str, player: nn.Module, episodes: int, *, seed: int, max_steps: int = 500
) -> Episodes:
    """Play some episodes side by side, so that one pass of the network serves all that are still running.

    Args:
        player: a network from states `[N, S]` to action logits `[N, A]`.
        episodes: how many.
        seed: decides the environments' first states and the drawn actions.
        max_steps: an episode is cut after that many moments.
    """
    envs = [gymnasium.make(environment) for _ in range(episodes)]
    generator = torch.Generator().manual_seed(seed)
    latest = [env.reset(seed=seed * episodes + number)[0] for number, env in enumerate(envs)]
    states: list[list[np.ndarray]] = [[] for _ in envs]
    actions: list[list[int]] = [[] for _ in envs]
    rewards: list[list[float]] = [[] for _ in envs]
    running = list(range(episodes))
    for _ in range(max_steps):
        seen = torch.as_tensor(np.stack([latest[number] for number in running]), dtype=torch.float32)  # [N, S]
        chosen = torch.multinomial(player(seen).softmax(dim=-1), 1, generator=generator)[:, 0].tolist()  # [N]
        still = []
        for number, action in zip(running, chosen, strict=True):
            states[number].append(latest[number])
            actions[number].append(action)
            latest[number], reward, terminated, truncated, _ = envs[number].step(action)
            rewards[number].append(float(reward))
            if not (terminated or truncated):
                still.append(number)
        running = still
        if not running:
            break
    for env in envs:
        env.close()
    return Episodes(
        states=[torch.as_tensor(np.stack(rows), dtype=torch.float32) for rows in states],
        actions=[torch.tensor(row) for row in actions],
        rewards=[torch.tensor(row) for row in rewards],
    )
