"""A policy of eight letters with a reward that anybody can check, and what typical mistakes look like there.

No mistake is written into a step. The step is the student's own, and what it is given is changed so that it does exactly
what the step with the mistake would do. The policy is a table: for each of eight letters, the logits of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from helpers.evaluation import batch_seed
from helpers.generation import Rollout
from helpers.runs import History

LETTERS = "abcdefgh"
ROWS, NEW = 32, 8  # texts in a batch, letters that the policy adds to each
STEPS, LEARNING_RATE = 60, 0.1
MISTAKES = ("no zero_grad", "no shift", "sign")


class LetterPolicy(nn.Module):
    """A "language model" that looks at the last letter alone, and begins with all letters equally likely."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(len(LETTERS), len(LETTERS)))

    @property
    def device(self) -> torch.device:
        return self.table.device

    def forward(self, input_ids: Int[Tensor, "B T"], *others: Any, **more: Any) -> SimpleNamespace:
        """Return the logits `[B, T, 8]` of the letter after each one."""
        return SimpleNamespace(logits=self.table[input_ids])

    @torch.no_grad()
    def write(self, generator: torch.Generator) -> Rollout:
        """Texts of one random letter, the prompt, and `NEW` letters drawn from the policy."""
        ids = torch.randint(len(LETTERS), (ROWS, 1 + NEW), generator=generator)  # [B, T]
        log_probs = torch.zeros(ROWS, NEW)  # [B, T-1]
        for column in range(NEW):
            logs = self.table[ids[:, column]].log_softmax(dim=-1)  # [B, 8]
            ids[:, column + 1] = torch.multinomial(logs.exp(), 1, generator=generator)[:, 0]
            log_probs[:, column] = logs[torch.arange(ROWS), ids[:, column + 1]]
        texts = ["".join(LETTERS[token] for token in row) for row in ids.tolist()]
        return Rollout(
            ids=ids,
            attention_mask=torch.ones_like(ids, dtype=torch.bool),
            prompt_length=1,
            completion_mask=(torch.arange(1 + NEW) > 0).expand(ids.shape).clone(),
            log_probs=log_probs,
            prompts=[text[:1] for text in texts],
            completions=[text[1:] for text in texts],
            texts=texts,
        )


def in_order(texts: Sequence[str]) -> Float[Tensor, " N"]:
    """The reward of these runs: the share of letters that come next in the alphabet after the one before (a after h)."""
    following = dict(zip(LETTERS, LETTERS[1:] + LETTERS[:1], strict=True))
    pairs = [list(pairwise(text)) for text in texts]
    return torch.tensor([sum(following.get(a) == b for a, b in row) / max(1, len(row)) for row in pairs])


@contextmanager
def spoil(
    mistake: str | None, policy: nn.Module, optimizer: torch.optim.Optimizer, earlier: dict[Tensor, Tensor]
) -> Iterator[dict[str, float]]:
    """Spoil what surrounds the step that runs inside.

    Args:
        mistake: `"no zero_grad"`: the gradients of all earlier steps are added to each. `"no shift"`: the logits at a
            position are set against the token at that position. Any other: nothing.
        earlier: the sum of each parameter's gradients so far; it is kept up to date here.

    Yields:
        A dict, filled by the step: `gradient`, the norm of the gradient that the optimizer is given.
    """
    norms: dict[str, float] = {}

    def before_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None]
        for weight in weights:
            earlier[weight] = weight.grad + earlier.get(weight, 0)
            if mistake == "no zero_grad":
                weight.grad = earlier[weight].clone()
        norms["gradient"] = float(sum(weight.grad.square().sum() for weight in weights)) ** 0.5

    with ExitStack() as stack:
        stack.callback(optimizer.register_step_pre_hook(before_step).remove)
        if mistake == "no shift":
            hook: Any = policy.register_forward_hook(_one_place_early)
            stack.callback(hook.remove)
        yield norms


def _one_place_early(policy: nn.Module, given: Any, output: Any) -> Any:
    """A hook: put the logits of each position where those of the position before it stand."""
    output.logits = output.logits.roll(-1, dims=1)
    return output


def run(
    step: Callable[..., Any],
    *,
    mistake: str | None = None,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
) -> History:
    """Train the table of letters with a step; record the batch's `reward` and the `gradient`'s norm.

    Args:
        step: the student's `reinforce_step`.
        mistake: one of `MISTAKES`, or none; `"sign"` turns the rewards round, and with them the sign of the loss.
        steps: how many.
        learning_rate: of AdamW.
        seed: decides the texts.

    Returns:
        The history; its samples are the first text of each batch, as prompt and completion.

    Raises:
        ValueError: there is no such mistake.
    """
    if mistake not in (None, *MISTAKES):
        raise ValueError(f"there is no mistake {mistake!r}; choose one of {', '.join(MISTAKES)}")
    policy = LetterPolicy()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=learning_rate, weight_decay=0.0)
    history, earlier = History(), dict[Tensor, Tensor]()

    def reward_model(texts: Sequence[str]) -> Float[Tensor, " N"]:
        return 1 - in_order(texts) if mistake == "sign" else in_order(texts)

    for number in range(steps):
        rollout = policy.write(torch.Generator().manual_seed(batch_seed(seed, number)))
        with spoil(mistake, policy, optimizer, earlier) as norms:
            step(policy, optimizer, rollout, reward_model)
        history.records.append({"step": float(number), "reward": in_order(rollout.texts).mean().item(), **norms})
        history.samples.append({"step": number, "prompt": rollout.prompts[0], "completion": rollout.completions[0]})
    return history


def broken_runs(step: Callable[..., Any], *, seed: int = 0) -> dict[str, History]:
    """The runs of three broken steps, under names that do not say which is which."""
    return {f"run {n}": run(step, mistake=mistake, seed=seed) for n, mistake in enumerate(MISTAKES, start=1)}
