"""A small world in which ``dpo_step`` is run and recorded; whoever judges the record does so elsewhere.

The world is a random GPT-2 of a few thousand weights and pairs of made-up "sentences": completions with many tokens of
one group are chosen over completions with many tokens of another. This module runs the student's step and writes down
what happened (weights, returned numbers, modes, calls). It knows neither the loss nor what the numbers should be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from .preferences import Pair, PairBatch, collate

VOCABULARY, WIDTH, LAYERS, HEADS = 48, 32, 2, 2
PAD_ID, EOS_ID = 0, 1
LIKED, DISLIKED, OTHERS = range(2, 13), range(13, 24), range(24, 48)
BATCH, STEPS = 8, 25
BETA = 0.3


def small_policy(seed: int, noise: float = 0.0) -> PreTrainedModel:
    """A random GPT-2 in eval mode; ``noise`` moves its weights away from those of the same seed without noise.

    The weights are drawn here, name by name, so that no version of transformers gives others.
    """
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=32,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=EOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    with torch.random.fork_rng(devices=[]):
        policy = GPT2LMHeadModel(config).eval()
    first = torch.Generator().manual_seed(seed)
    second = torch.Generator().manual_seed(seed + 1_000_000)
    with torch.no_grad():
        for name, weight in sorted(policy.named_parameters()):
            if name.endswith("bias"):
                weight.zero_()
            elif ".ln_" in name:
                weight.fill_(1.0)
            else:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=first))
            weight.add_(noise * torch.randn(weight.shape, generator=second))
    return policy


def small_pairs(seed: int, count: int) -> list[Pair]:
    """``count`` pairs with prompts and completions of different lengths; no text, only token ids."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    def sentence(favoured: range) -> tuple[int, ...]:
        groups = [favoured if draw(0, 2) else OTHERS for _ in range(draw(3, 9))]
        return (*(group[draw(0, len(group))] for group in groups), EOS_ID)

    pairs = []
    for _ in range(count):
        prompt = tuple(OTHERS[draw(0, len(OTHERS))] for _ in range(draw(2, 6)))
        pairs.append(Pair("", "", "", prompt, sentence(LIKED), sentence(DISLIKED), 1.0, 0.0))
    return pairs


def small_batches(seed: int, count: int) -> list[PairBatch]:
    """``count`` batches of pairs, without kept reference log-probs."""
    pairs = small_pairs(seed, count * BATCH)
    return [collate(pairs[i : i + BATCH], PAD_ID) for i in range(0, len(pairs), BATCH)]


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def _numbers(answer: Any) -> dict[str, Any]:
    """What a step returned, as plain data: floats stay floats, anything else becomes the name of its type."""
    if not isinstance(answer, dict):
        return {"__type__": type(answer).__name__}
    return {str(key): value if type(value) is float else type(value).__name__ for key, value in answer.items()}


def run_single_steps(
    step: Callable[..., Any], seed: int, *, moved: bool, cached: tuple[Tensor, Tensor] | None = None
) -> dict:
    """Three steps of plain gradient descent, each recorded.

    Args:
        step: the student's ``dpo_step``.
        seed: decides the policy and the pairs.
        moved: start from a policy that differs from the reference.
        cached: ``([3, B], [3, B])`` reference log-probs to hand over inside the batches.

    Returns:
        ``weights`` (before, and after each step), ``answers`` (what each step returned), ``reference_before`` and
        ``reference_after``, ``training_before`` and ``training_after`` (the policy's and the reference's mode),
        ``reference_calls`` (forward passes of the reference), ``reference_gradients`` (how many of its weights have
        one), ``optimizer_steps`` (in all).
    """
    reference = small_policy(seed)
    policy = small_policy(seed, noise=0.05 if moved else 0.0)
    policy.train(moved)  # dropout is 0: the mode changes no number, it must only be left as it was
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.2)
    calls = {"reference": 0, "optimizer": 0}
    reference.register_forward_hook(lambda *_: calls.__setitem__("reference", calls["reference"] + 1))
    optimizer.register_step_post_hook(lambda *_: calls.__setitem__("optimizer", calls["optimizer"] + 1))
    batches = small_batches(seed + 1, 3)
    if cached is not None:
        batches = [
            PairBatch(**{**batch.__dict__, "reference_chosen": chosen.clone(), "reference_rejected": rejected.clone()})
            for batch, chosen, rejected in zip(batches, *cached, strict=True)
        ]
    record: dict[str, Any] = {
        "weights": [_weights(policy)],
        "answers": [],
        "reference_before": _weights(reference),
        "training_before": [policy.training, reference.training],
    }
    for batch in batches:
        record["answers"].append(_numbers(step(policy, reference, optimizer, batch, BETA)))
        record["weights"].append(_weights(policy))
    return record | {
        "reference_after": _weights(reference),
        "training_after": [policy.training, reference.training],
        "reference_calls": calls["reference"],
        "reference_gradients": sum(weight.grad is not None for weight in reference.parameters()),
        "optimizer_steps": calls["optimizer"],
    }


def run_training(step: Callable[..., Any], seed: int) -> dict[str, Tensor]:
    """``STEPS`` steps with AdamW on fresh pairs; returns the weights at the end."""
    reference, policy = small_policy(seed), small_policy(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    for batch in small_batches(seed + 2, STEPS):
        step(policy, reference, optimizer, batch, BETA)
    return _weights(policy)
