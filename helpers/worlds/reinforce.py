"""Worlds in which `reinforce_step` is run and recorded; whoever judges the record does so elsewhere.

Three of them: a random GPT-2 of a few thousand weights with made-up words, for single steps that are recorded weight by
weight and for a training that is long enough to tell right from wrong; and the course's embedded models, for a short
training. Nothing here knows what a right step does.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.data import batch_at, load_prompts
from helpers.evaluation import batch_seed
from helpers.generation import Rollout, evaluation_mode, generate
from helpers.models import load_policy, load_reward_model, policy_logits

from .conduct import mode_of, observed
from .small import (
    DISTANCE,
    EOS_ID,
    LIKED,
    OTHERS,
    PAD_ID,
    VOCABULARY,
    plain_answer,
    set_weights,
    small_policy,
    start_of,
    weights_of,
)

ROWS, PROMPT, NEW = (8, 5, 4), 5, 9  # completions in each single step's batch, columns of the prompts, and after them
SINGLE_STEPS = len(ROWS)
LEARNING_RATE = 0.8  # of the plain gradient descent in the small world
REWARD = 0.06  # how far rewards lie apart: gradients are so short that clipping their norm, as one may, cuts nothing
PRACTICE_STEPS, PRACTICE_BATCH, PRACTICE_RATE = 16, 32, 1e-2  # of AdamW's training in the small world
TRAINING_STEPS, TRAINING_BATCH, TRAINING_TOKENS, TRAINING_RATE = 8, 16, 16, 1e-3  # in the world of the embedded models
TRAINING_PLAIN_RATE = 0.05  # of the plain gradient descent at the probes there
WORDS = [f"{a}{b}" for a in string.ascii_lowercase[:7] for b in string.ascii_lowercase[:7]]  # word number i is token i
NUMBERS = {word: number for number, word in enumerate(WORDS)}


# --- the small world ------------------------------------------------------------------------------------------------


def small_reward_model(texts: Sequence[str]) -> Float[Tensor, " N"]:
    """Rewards of made-up texts, most below 0: liked words raise it, and so does, in a prompt, a word at the beginning."""
    liked = {WORDS[token] for token in LIKED}
    scores = []
    for text in texts:
        words = text.split()
        share = sum(word in liked for word in words) / max(1, len(words))
        first = NUMBERS.get(words[0], 0) / VOCABULARY if words else 0.0
        scores.append(REWARD * (0.5 * share + 0.4 * first - 0.6))
    return torch.tensor(scores)


def _prompts(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ids and attention mask `[rows, PROMPT + NEW]` of random prompts of all lengths, padded on the left."""
    ids = torch.full((rows, PROMPT + NEW), PAD_ID)
    attention = torch.zeros(rows, PROMPT + NEW, dtype=torch.bool)
    for row in range(rows):
        start = PROMPT - int(torch.randint(2, PROMPT + 1, (1,), generator=generator))
        ids[row, start:PROMPT] = torch.randint(OTHERS.start, OTHERS.stop, (PROMPT - start,), generator=generator)
        attention[row, start:PROMPT] = True
    return ids, attention


def _rollout(ids: Tensor, attention: Tensor, policy: nn.Module) -> Rollout:
    """The rollout of texts `[B, T]`, with the log-probs that `policy` gives them."""
    completion = attention.clone()
    completion[:, :PROMPT] = False
    with torch.no_grad():
        logits = policy_logits(policy, ids, attention)  # [B, T, V]
        surprise = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")  # [B, T-1]
    prompts = [
        " ".join(WORDS[i] for i in row[mask].tolist()) for row, mask in zip(ids, attention & ~completion, strict=True)
    ]
    completions = [
        "".join(f" {WORDS[i]}" for i in row[mask].tolist() if i != EOS_ID)
        for row, mask in zip(ids, completion, strict=True)
    ]
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


def small_rollout(seed: int, number: int) -> Rollout:
    """The batch of the single step of this number: random texts, with prompts and completions of all lengths.

    Its log-probs are those of another policy than the step is given, as where sampling is done in another precision.
    """
    generator = torch.Generator().manual_seed(batch_seed(seed, number))
    rows = ROWS[number]
    ids, attention = _prompts(rows, generator)
    for row in range(rows):
        length = 1 + (row * NEW) // rows  # 1 to NEW tokens, so that lengths differ in every batch
        ids[row, PROMPT : PROMPT + length] = torch.randint(2, VOCABULARY, (length,), generator=generator)
        if length < NEW:
            ids[row, PROMPT + length - 1] = EOS_ID
        attention[row, PROMPT : PROMPT + length] = True
    return _rollout(ids, attention, small_policy(seed))


def practice_rollout(policy: nn.Module, seed: int, number: int, rows: int = PRACTICE_BATCH) -> Rollout:
    """Texts by the policy as it now is, to random prompts."""
    generator = torch.Generator().manual_seed(batch_seed(seed, number))
    ids, attention = _prompts(rows, generator)
    alive = torch.ones(rows, dtype=torch.bool)
    with torch.no_grad(), evaluation_mode(policy):
        for column in range(PROMPT, PROMPT + NEW):
            logits = policy_logits(policy, ids[:, :column], attention[:, :column])[:, -1]  # [B, V]
            drawn = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(1)
            ids[:, column] = torch.where(alive, drawn, PAD_ID)
            attention[:, column] = alive
            alive = alive & (drawn != EOS_ID)
        return _rollout(ids, attention, policy)


def run_reinforce_steps(step: Callable[..., Any], seed: int, *, training: bool = False) -> dict[str, Any]:
    """`SINGLE_STEPS` steps of plain gradient descent in the small world, each from weights of its own (`start_of`).

    Args:
        step: the student's `reinforce_step`.
        seed: decides the policies and the texts.
        training: the mode the policy is handed over in.

    Returns:
        `weights` (after each step), `answers` (what each step returned), `training` (the policy's mode after each),
        `conduct` (a note of `observed` for each).
    """
    policy = small_policy(seed)
    policy.train(training)
    optimizer = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    record: dict[str, Any] = {"weights": [], "answers": [], "training": [], "conduct": []}
    for number in range(SINGLE_STEPS):
        set_weights(policy, start_of(seed, number, DISTANCE))
        rollout = small_rollout(seed, number)
        call = partial(step, policy, optimizer, rollout, small_reward_model)
        answer, note = observed(number, call, optimizer, rollout, policy)
        record["answers"].append(plain_answer(answer))
        record["weights"].append(weights_of(policy))
        record["training"].append(mode_of(policy))
        record["conduct"].append(note)
    return record


def run_reinforce_practice(step: Callable[..., Any], seed: int, *, probes: Sequence[int] = ()) -> dict[str, Any]:
    """A training of the small policy with AdamW, on rollouts of the policy as it then is.

    Args:
        step: the student's `reinforce_step`.
        seed: decides the policy, prompts and rollouts.
        probes: numbers of steps at which plain gradient descent takes AdamW's place, which has no memory: such a step
            can be judged by itself.

    Returns:
        `weights` (the policy's, at the end) and `probes` (those before and after each of these steps).
    """
    policy = small_policy(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=PRACTICE_RATE, weight_decay=0.0)
    plain = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    record: dict[str, Any] = {"probes": []}
    for number in range(PRACTICE_STEPS):
        rollout = practice_rollout(policy, seed, number)
        before = weights_of(policy) if number in probes else {}
        step(policy, plain if number in probes else optimizer, rollout, small_reward_model)
        if number in probes:
            record["probes"].append([before, weights_of(policy)])
    return record | {"weights": weights_of(policy)}


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
    plain = torch.optim.SGD(policy.parameters(), lr=TRAINING_PLAIN_RATE)
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
