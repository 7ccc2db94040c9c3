"""Loading the policy and the reward models, and the policy's logits with padding handled."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from .devices import choose_device, out_of_memory_help, set_threads
from .fitting import check_policy, check_policy_kind, check_reward_kind, find_positive_label
from .hub import Quiet, from_hub_or_assets
from .presets import PRESETS, Preset

LORA = ".lora_"  # in the names of an adapter's weights
OBVIOUS = ("A wonderful film. I loved it.", "A terrible film. I hated it.")  # positive, negative


@runtime_checkable
class Policy(Protocol):
    """A language model as `policy_logits` and the training steps use it: a `transformers` model, a table, a wrapper.

    Called with the four arguments that `policy_logits` gives, it returns an object whose `logits` are `[B, T, V]`.
    """

    def __call__(self, *, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, use_cache: bool) -> Any: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...


def load_policy(
    preset: Preset | str, device: torch.device | str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the language model to be steered.

    Returns:
        The model (float32, in evaluation mode, on `device`) and its tokenizer, which pads on the left with the
        end-of-text token.

    Raises:
        ModelNotAvailableError: it could not be had; the message says why and what to do.
        WrongModelError: it is no causal language model that the course can call.
        MemoryFullError: the memory was not enough.
    """
    preset = _as_preset(preset)
    device = torch.device(device) if device is not None else choose_device()
    if device.type == "cpu":
        set_threads(preset.tiny)
    # before the weights are fetched
    check_policy_kind(from_hub_or_assets(AutoConfig, preset.policy), preset.policy.name)
    tokenizer = from_hub_or_assets(AutoTokenizer, preset.policy)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    with Quiet(), out_of_memory_help():
        policy = from_hub_or_assets(AutoModelForCausalLM, preset.policy, dtype=torch.float32).to(device)
    check_policy(policy, tokenizer, preset.policy.name)
    return policy.eval(), tokenizer


def trainable_copy(reference: PreTrainedModel, preset: Preset | str) -> PreTrainedModel:
    """A policy to be trained that starts as the reference (or as another policy): a copy of it, all of whose weights learn.

    With a preset that has a `lora_rank` the weights stay as they are, and are shared with the reference. What learns are two
    narrow matrices beside each weight matrix W (LoRA, Hu et al. 2021, arXiv:2106.09685): the policy computes with W + s·B·A,
    where B starts at 0 and A at random. A is the same in every copy, so that two trainings can be compared.

    Args:
        reference: the frozen model; it is not changed.
        preset: the preset, or its name.

    Raises:
        ModuleNotFoundError: the preset trains an adapter, and the package `peft` is not installed.
    """
    rank = _as_preset(preset).lora_rank
    if not rank:
        return copy.deepcopy(reference).requires_grad_(True)
    try:
        from peft import LoraConfig
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the preset {_as_preset(preset).name!r} trains an adapter with the package peft: pip install peft"
        ) from error
    large = {id(weight): weight for name, weight in reference.named_parameters() if LORA not in name}
    twin = copy.deepcopy(reference, large)  # its own modules around the same large weights
    if any(LORA in name for name, _ in twin.named_parameters()):  # it has been trained before: its adapter goes on
        for name, weight in twin.named_parameters():
            weight.requires_grad_(LORA in name)
        return twin
    transposed = any(isinstance(module, Conv1D) for module in twin.modules())  # GPT-2 keeps its weights as [in, out]
    adapter = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM", fan_in_fan_out=transposed
    )
    cards = {weight.device for weight in reference.parameters() if weight.is_cuda}
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(0)
        twin.add_adapter(adapter)
    return twin.eval()


def policy_logits(
    policy: Policy, ids: Int[Tensor, "B T"], attention_mask: Bool[Tensor, "B T"]
) -> Float[Tensor, "B T V"]:
    """Run the policy on padded sequences; padding changes nothing.

    GPT-2 learns one vector per position, so each row's positions must count from its first real token. The positions
    are therefore given explicitly: row `[pad, pad, a, b]` has positions `[0, 0, 0, 1]`.

    Args:
        policy: a causal language model.
        ids: token ids, padded on the left, on the right, or both.
        attention_mask: True on real tokens, False on padding.

    Returns:
        Logits: entry `[b, t]` scores the token that comes after `ids[b, t]`. Padded positions hold no meaning.

    See `in_micro_batches` for a batch whose activations do not fit into memory.
    """
    inputs = (ids, attention_mask.long(), positions_of(attention_mask))  # [B, T] each

    def logits(ids: Tensor, attention_mask: Tensor, positions: Tensor) -> Tensor:  # [b, T] each -> [b, T, V]
        return policy(input_ids=ids, attention_mask=attention_mask, position_ids=positions, use_cache=False).logits

    return by_rows(policy, logits, *inputs)


def by_rows(policy: Policy, function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """What a function of tensors `[B, …]` returns, also `[B, …]`: computed for a few rows at a time where the policy asks for it.

    See `in_micro_batches`.
    """
    rows = getattr(policy, "rows_at_once", None)
    if rows is None or rows >= len(tensors[0]) or not torch.is_grad_enabled():
        return function(*tensors)
    groups = zip(*(tensor.split(rows) for tensor in tensors), strict=True)
    return torch.cat([checkpoint(function, *group, use_reentrant=False) for group in groups])


def in_micro_batches(policy: PreTrainedModel, rows: int | None) -> PreTrainedModel:
    """Let `policy_logits` (and `helpers.fast`) keep the activations of a few rows at a time: a large batch needs less memory.

    The rows go through the policy in groups. What a group's forward pass computes on the way is thrown away and computed
    anew when the backward pass reaches it (activation checkpointing, Chen et al. 2016), so a step takes about a third
    longer. Logits and gradients are those of the whole batch up to rounding, and so is any loss: a step needs no change.
    Only dropout, which the course's policies have switched off, draws other numbers than for the whole batch.

    Args:
        policy: the model that is trained; it gets the attribute `rows_at_once`, which copies of it keep.
        rows: at most so many rows at once; None takes them all together again.

    Returns:
        The policy.

    Raises:
        ValueError: `rows` is less than 1.
    """
    if rows is not None and rows < 1:
        raise ValueError(f"at least one row must go through the policy at once, not {rows}")
    policy.rows_at_once = rows
    return policy


def positions_of(attention_mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return each token's position counted from its row's first real token; padding gets a valid position as well."""
    return (attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)


class RewardModel:
    """A sentiment classifier as a reward: call it with texts, get the probability that each is positive.

    Attributes:
        model: the `transformers` classifier, in evaluation mode, its parameters frozen.
        tokenizer: its tokenizer.
        positive_label: the number of the label that means "positive", read from the model's configuration.
        batch_size: how many texts go through the model at once; it changes speed and memory, never the result.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int = 64,
        max_length: int = 256,
        verify: bool = True,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        limit = getattr(model.config, "max_position_embeddings", max_length)
        self.max_length = min(max_length, limit)
        self.positive_label = find_positive_label(model.config)
        if verify:
            self.verify()

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Float[Tensor, " N"]:
        """Return P(positive) of each text, float32 on the CPU, without gradient.

        Texts of like length are scored together, which saves time; the result comes in the order of `texts`.
        """
        texts = list(texts)
        if any(not isinstance(text, str) for text in texts):
            raise TypeError("a reward model scores a list of strings")
        rewards = torch.empty(len(texts))  # [N]
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch = self.tokenizer(
                [texts[index] for index in chosen],
                padding=True,
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
            ).to(self.model.device)
            logits = self.model(**batch).logits.float()  # [n, labels]
            rewards[chosen] = logits.softmax(dim=-1)[:, self.positive_label].cpu()
        return rewards

    def verify(self) -> None:
        """Check the label order on two obvious sentences.

        Raises:
            ValueError: the sentence in praise does not get the higher score, so the labels are probably swapped.
        """
        good, bad = self(OBVIOUS).tolist()
        if not good > bad:
            raise ValueError(
                f"The reward model seems to have its labels swapped: it gives {good:.3f} to {OBVIOUS[0]!r} and "
                f"{bad:.3f} to {OBVIOUS[1]!r}. Its configuration says that label {self.positive_label} is positive; "
                "correct id2label in its config.json."
            )


def load_reward_model(
    preset: Preset | str, second: bool = False, device: torch.device | str | None = None
) -> RewardModel:
    """Load the reward model, or with `second=True` the one that training never sees (it shows over-optimisation).

    Raises:
        ModelNotAvailableError, MemoryFullError: as for `load_policy`.
        ValueError: it is no classifier with a negative and a positive label (`WrongModelError`), or seems to have them swapped.
    """
    preset = _as_preset(preset)
    source = preset.second_reward_model if second else preset.reward_model
    device = torch.device(device) if device is not None else choose_device()
    check_reward_kind(from_hub_or_assets(AutoConfig, source), source.name)
    tokenizer = from_hub_or_assets(AutoTokenizer, source)
    with Quiet(), out_of_memory_help():
        model = from_hub_or_assets(AutoModelForSequenceClassification, source, dtype=torch.float32).to(device)
    return RewardModel(model, tokenizer)


def _as_preset(preset: Preset | str) -> Preset:
    """Allow a preset's name instead of the preset."""
    return PRESETS[preset] if isinstance(preset, str) else preset
