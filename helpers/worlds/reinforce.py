"""Worlds in which `reinforce_step` is run and recorded; whoever judges the record does so elsewhere.

Three of them, from small to real: a table of logits instead of a model (for the public test, where every number can be read),
a random GPT-2 of a few thousand weights with made-up words (single steps, recorded weight by weight), and the course's
embedded models (a short training). Nothing here knows what a right step does.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batch_at, load_prompts
from helpers.evaluation import batch_seed
from helpers.generation import Rollout, generate
from helpers.models import load_policy, load_reward_model, policy_logits

from .small import (
    DISTANCE,
    EOS_ID,
    LIKED,
    OTHERS,
    PAD_ID,
    VOCABULARY,
    count_steps,
    plain_answer,
    set_weights,
    small_policy,
    start_of,
    weights_of,
)

ROWS, PROMPT, NEW = 8, 5, 9  # completions in a batch of the small world, columns of the prompts, columns after them
SINGLE_STEPS = 3
LEARNING_RATE = 0.05  # of the plain gradient descent in the small world
TRAINING_STEPS, TRAINING_BATCH, TRAINING_TOKENS, TRAINING_RATE = 16, 16, 16, 1e-3  # in the world of the embedded models
WORDS = [f"{a}{b}" for a in string.ascii_lowercase[:7] for b in string.ascii_lowercase[:7]]  # word number i is token i
NUMBERS = {word: number for number, word in enumerate(WORDS)}


# --- the table ------------------------------------------------------------------------------------------------------


class TablePolicy(nn.Module):
    """A "language model" that is a table of logits, one for each row, position and token, whatever the text is.

    Its gradient shows, entry by entry, what a loss does.
    """

    def __init__(self, logits: Float[Tensor, "B T V"]) -> None:
        super().__init__()
        self.table = nn.Parameter(logits.clone())

    @property
    def device(self) -> torch.device:
        return self.table.device

    def forward(self, input_ids: Tensor | None = None, *others: Any, **more: Any) -> SimpleNamespace:
        """Return the table as `.logits` (of as many positions as `input_ids` has)."""
        length = self.table.shape[1] if input_ids is None else input_ids.shape[1]
        return SimpleNamespace(logits=self.table[:, :length])


def table_rollout() -> Rollout:
    """Three rows: a prompt of two tokens (the third row's first is padding), completions of 3, 2 and 1 tokens, padding."""
    ids = torch.tensor([[1, 2, 2, 1, 0], [2, 1, 1, 0, 0], [0, 1, 0, 0, 0]])  # [3, 5]; id 0 ends a text and pads
    completion = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 0, 1, 0, 0]]).bool()
    attention = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [0, 1, 1, 0, 0]]).bool()
    prompts, completions = ["one two", "two one", "one"], [" two one", " one", ""]
    return Rollout(
        ids=ids,
        attention_mask=attention,
        prompt_length=2,
        completion_mask=completion,
        log_probs=torch.where(completion[:, 1:], -torch.log(torch.tensor(3.0)), 0.0),  # of logits that are all equal
        prompts=prompts,
        completions=completions,
        texts=[a + b for a, b in zip(prompts, completions, strict=True)],
    )


def run_on_table(
    step: Callable[..., Any], rewards: Sequence[Sequence[float]], training: bool = False
) -> dict[str, Any]:
    """Call a step once for each list of three rewards, on the same table, and note what it did.

    Returns:
        `changes`: a list of `[3, 4]` tensors, how much each call raised the logit of the token that came next
        (negative: lowered), divided by the largest change of the call. `results`: what the calls returned. `training`:
        the policy's mode after them. `texts`: what the reward model was called with. `optimizer_steps`: how many.
    """
    rollout = table_rollout()
    policy = TablePolicy(torch.zeros(3, 5, 3))
    policy.train(training)
    optimizer = torch.optim.SGD(policy.parameters(), lr=1e-3)
    optimizer_steps = count_steps(optimizer)
    texts: list[list[str]] = []
    changes, results = [], []
    for values in rewards:

        def reward_model(given: Sequence[str], values: Sequence[float] = values) -> Tensor:
            texts.append(list(given))
            return torch.tensor(values)[: len(given)]

        before = policy.table.detach().clone()
        results.append(step(policy, optimizer, rollout, reward_model))
        change = policy.table.detach() - before  # [3, 5, 3]
        raised = change[:, :-1].gather(-1, rollout.ids[:, 1:, None]).squeeze(-1)  # [3, 4]
        changes.append(raised / change.abs().max().clamp(min=1e-12))
    return {
        "changes": changes,
        "results": results,
        "training": policy.training,
        "texts": texts,
        "expected_texts": rollout.texts,
        "optimizer_steps": optimizer_steps[0],
    }


# --- the small world ------------------------------------------------------------------------------------------------


def small_reward_model(texts: Sequence[str]) -> Float[Tensor, " N"]:
    """Rewards of made-up texts, 0 to 1: liked words raise it, and so does, in a prompt, a word at the very beginning."""
    liked = {WORDS[token] for token in LIKED}
    scores = []
    for text in texts:
        words = text.split()
        share = sum(word in liked for word in words) / max(1, len(words))
        first = NUMBERS.get(words[0], 0) / VOCABULARY if words else 0.0
        scores.append(0.1 + 0.5 * share + 0.4 * first)
    return torch.tensor(scores)


def small_rollout(seed: int, number: int, policy: nn.Module) -> Rollout:
    """A batch of random texts, with the log-probs that `policy` gives them now; prompts and completions of all lengths."""
    generator = torch.Generator().manual_seed(batch_seed(seed, number))

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    ids = torch.full((ROWS, PROMPT + NEW), PAD_ID)  # [B, T]
    attention = torch.zeros(ROWS, PROMPT + NEW, dtype=torch.bool)
    completion = torch.zeros(ROWS, PROMPT + NEW, dtype=torch.bool)
    prompts, completions = [], []
    for row in range(ROWS):
        start = PROMPT - draw(2, PROMPT + 1)
        length = 1 + (row * NEW) // ROWS  # 1 to NEW tokens, so that lengths differ in every batch
        ids[row, start:PROMPT] = torch.randint(OTHERS.start, OTHERS.stop, (PROMPT - start,), generator=generator)
        ids[row, PROMPT : PROMPT + length] = torch.randint(2, VOCABULARY, (length,), generator=generator)
        if length < NEW:
            ids[row, PROMPT + length - 1] = EOS_ID
        attention[row, start : PROMPT + length] = True
        completion[row, PROMPT : PROMPT + length] = True
        prompts.append(" ".join(WORDS[i] for i in ids[row, start:PROMPT].tolist()))
        kept = [i for i in ids[row, PROMPT : PROMPT + length].tolist() if i != EOS_ID]
        completions.append("".join(f" {WORDS[i]}" for i in kept))
    with torch.no_grad():
        logits = policy_logits(policy, ids, attention)  # [B, T, V]
        surprise = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")  # [B, T-1]
    return Rollout(
        ids=ids,
        attention_mask=attention,
        prompt_length=PROMPT,
        completion_mask=completion,
        log_probs=torch.where(completion[:, 1:], -surprise, 0.0),
        prompts=prompts,
        completions=completions,
        texts=[a + b for a, b in zip(prompts, completions, strict=True)],
    )


def run_reinforce_steps(step: Callable[..., Any], seed: int, *, training: bool = False) -> dict[str, Any]:
    """`SINGLE_STEPS` steps of plain gradient descent in the small world, each from weights of its own (`start_of`).

    Args:
        step: the student's `reinforce_step`.
        seed: decides the policies and the texts.
        training: the mode the policy is handed over in (its dropout is 0, so that it changes no number).

    Returns:
        `weights` (after each step), `answers` (what each step returned), `training` (the policy's mode after each),
        `optimizer_steps` (in all).
    """
    policy = small_policy(seed)
    policy.train(training)
    optimizer = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    optimizer_steps = count_steps(optimizer)
    record: dict[str, Any] = {"weights": [], "answers": [], "training": []}
    for number in range(SINGLE_STEPS):
        set_weights(policy, start_of(seed, number, DISTANCE))
        rollout = small_rollout(seed, number, policy)
        record["answers"].append(plain_answer(step(policy, optimizer, rollout, small_reward_model)))
        record["weights"].append(weights_of(policy))
        record["training"].append(policy.training)
    return record | {"optimizer_steps": optimizer_steps[0]}


# --- the embedded models --------------------------------------------------------------------------------------------


def training_rollout(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int, number: int) -> Rollout:
    """The rollout of the training's step of this number, by the policy as it then is."""
    chosen = batch_at(load_prompts("tiny", "train"), TRAINING_BATCH, number, seed)
    return generate(policy, tokenizer, chosen, TRAINING_TOKENS, generator=batch_seed(seed, number))


def run_reinforce_training(step: Callable[..., Any], seed: int, *, probes: Sequence[int] = ()) -> dict[str, Any]:
    """A short training of the embedded policy with AdamW, on rollouts of the policy as it then is.

    Args:
        step: the student's `reinforce_step`.
        seed: decides prompts and rollouts.
        probes: numbers of steps at which plain gradient descent takes AdamW's place, which has no memory: such a step
            can be judged by itself.

    Returns:
        `weights` (the policy's, at the end), `probes` (those before and after each of these steps), `answers` (what each
        step returned), `training` (the policy's mode at the end; it is handed over in evaluation mode),
        `reward_model_changed` and `reward_model_gradients` (how many of the reward model's parameters were changed, and
        how many were given a gradient).
    """
    policy, tokenizer = load_policy("tiny", "cpu")
    reward_model = load_reward_model("tiny", device="cpu")
    reward_before = weights_of(reward_model.model)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=TRAINING_RATE, weight_decay=0.0)
    plain = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    record: dict[str, Any] = {"answers": [], "probes": []}
    for number in range(TRAINING_STEPS):
        rollout = training_rollout(policy, tokenizer, seed, number)
        before = weights_of(policy) if number in probes else {}
        taken = plain if number in probes else optimizer
        record["answers"].append(plain_answer(step(policy, taken, rollout, reward_model)))
        if number in probes:
            record["probes"].append([before, weights_of(policy)])
    after = reward_model.model.named_parameters()
    return record | {
        "weights": weights_of(policy),
        "training": policy.training,
        "reward_model_changed": sum(not torch.equal(reward_before[name], weight) for name, weight in after),
        "reward_model_gradients": sum(weight.grad is not None for weight in reward_model.model.parameters()),
    }
