"""The world of the public test of `reinforce_step`: a table of logits instead of a model, where every number can be read.

Nothing here knows what a right step does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helpers.generation import Rollout

from .conduct import mode_of, observed

LEARNING_RATE = 1e-3
TOKENS = 4
UNSEEN = {
    "attention": "the policy was not told what is padding: give it rollout.attention_mask, as policy_logits does",
    "positions": "the policy was not told the positions: they count from a row's first real token, as in policy_logits",
}


class TablePolicy(nn.Module):
    """A "language model" that is a table of logits, one for each text of a rollout, position and token.

    Its gradient shows, entry by entry, what a loss does. It finds the texts of a batch in the rollout by their real tokens,
    so that a batch may hold some rows only, or be cut on the right.
    """

    def __init__(self, logits: Float[Tensor, "B T V"], rollout: Rollout) -> None:
        super().__init__()
        self.table = nn.Parameter(logits.clone())
        self.rollout = rollout
        self.unseen: set[str] = set()  # keys of UNSEEN

    @property
    def device(self) -> torch.device:
        return self.table.device

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *others: Any,
        **more: Any,
    ) -> SimpleNamespace:
        """Return the table's entries for these texts as `.logits`; note in `unseen` what the policy was not told."""
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        places = torch.arange(input_ids.shape[1]).expand_as(input_ids) if position_ids is None else position_ids
        places = places.expand_as(input_ids)
        logits = []
        for number, (ids, mask, place) in enumerate(zip(input_ids, seen.bool(), places, strict=True)):
            row = self._row(ids[mask])
            if row is None:
                self.unseen.add("attention")
                logits.append(self.table[number % len(self.table), : len(ids)])
                continue
            if not torch.equal(place[mask], torch.arange(int(mask.sum()))):
                self.unseen.add("positions")
            logits.append(self._entries(row, mask))
        return SimpleNamespace(logits=torch.stack(logits))

    def _row(self, real: Tensor) -> int | None:
        """Which row of the rollout has these real tokens; padding after them changes nothing that comes before it."""
        texts = [row[mask].tolist() for row, mask in zip(self.rollout.ids, self.rollout.attention_mask, strict=True)]
        alike = (row for row, text in enumerate(texts) if len(real) and real.tolist()[: len(text)] == text[: len(real)])
        return next(alike, None)

    def _entries(self, row: int, mask: Tensor) -> Tensor:
        """The table's entries `[T, V]` for a row whose text begins at the column where the mask does."""
        first = int(mask.int().argmax())
        stored = int(self.rollout.attention_mask[row].int().argmax())
        columns = (torch.arange(len(mask)) - first + stored).clamp(0, self.table.shape[1] - 1)
        return self.table[row, columns]


def table_rollout() -> Rollout:
    """Three rows: a prompt of two tokens (the third row's first is padding), completions of 3, 2 and 1 tokens, padding.

    The rollout's log-probs are not those of a table of zeros: as if the texts came from a policy of earlier.
    """
    ids = torch.tensor([[1, 2, 2, 1, 0], [2, 1, 1, 0, 0], [0, 3, 0, 0, 0]])  # [3, 5]; id 0 ends a text and pads
    completion = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 0, 1, 0, 0]]).bool()
    attention = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 1, 0, 0]]).bool()
    prompts, completions = ["one two", "two one", "three"], [" two one", " one", ""]
    return Rollout(
        ids=ids,
        attention_mask=attention,
        prompt_length=2,
        completion_mask=completion,
        log_probs=torch.where(completion[:, 1:], -1.8, 0.0),
        prompts=prompts,
        completions=completions,
        texts=[a + b for a, b in zip(prompts, completions, strict=True)],
    )


def run_on_table(
    step: Callable[..., Any], rewards: Sequence[Sequence[float]], training: bool = False
) -> dict[str, Any]:
    """Call a step once for each list of three rewards, on the same table of zeros, and note what it did.

    Returns:
        `changes`: a list of `[3, 4]` tensors, how much each call raised the logit of the token that came next
        (negative: lowered), in steps of the optimizer, that is divided by its learning rate. `results`: what the calls
        returned. `training`: the policy's mode after them. `texts`: for each call, what the reward model was given.
        `unseen`: what the policy was not told, keys of `UNSEEN`. `conduct`: a note of `observed` for each call.
    """
    rollout = table_rollout()
    policy = TablePolicy(torch.zeros(*rollout.ids.shape, TOKENS), rollout)
    policy.train(training)
    optimizer = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    record: dict[str, Any] = {"changes": [], "results": [], "texts": [], "conduct": []}
    for number, values in enumerate(rewards):
        worth = dict(zip(rollout.texts, values, strict=True))
        texts: list[str] = []

        def reward_model(given: Sequence[str], worth: Any = worth, texts: list[str] = texts) -> Tensor:
            texts.extend(given)
            return torch.tensor([worth.get(text, 0.0) for text in given])

        with torch.no_grad():
            policy.table.zero_()
        call = partial(step, policy, optimizer, rollout, reward_model)
        answer, note = observed(number, call, optimizer, rollout, policy)
        moved = policy.table.detach()[:, :-1].gather(-1, rollout.ids[:, 1:, None]).squeeze(-1)  # [3, 4]
        record["changes"].append(moved / LEARNING_RATE)
        record["results"].append(answer)
        record["texts"].append(texts)
        record["conduct"].append(note)
    return record | {
        "training": mode_of(policy),
        "expected_texts": rollout.texts,
        "unseen": sorted(policy.unseen),
        "optimizer_steps": sum(note["steps"] for note in record["conduct"]),
    }
