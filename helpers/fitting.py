"""Whether a model of somebody's own choice fits the course: a policy must write texts, a reward model judge them."""

from __future__ import annotations

import inspect
import json

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

POSITIVE_NAMES = ("positive", "pos", "good", "favourable", "favorable")
NEGATIVE_NAMES = ("negative", "neg", "bad", "unfavourable", "unfavorable")
OTHERWISE = "Or use the embedded models: choose_preset('tiny')."


class WrongModelError(ValueError):
    """A model cannot play its part; the message says why, and what to do."""


def check_policy_kind(config: object, name: str) -> None:
    """Refuse an encoder or an encoder-decoder before its weights are fetched.

    Args:
        config: the model's configuration.
        name: what the message calls the model.

    Raises:
        WrongModelError: it is no causal language model.
    """
    kind = getattr(config, "model_type", "")
    encoder = kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    if encoder or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or getattr(config, "is_encoder_decoder", False):
        raise WrongModelError(
            f"{name} cannot be the policy: its architecture ({kind or 'unknown'}) does not write a text from left to right. "
            f"A policy is a causal language model, such as GPT-2, Llama, Qwen or SmolLM2. {OTHERWISE}"
        )


def check_policy(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a policy that the course cannot call, or that does not belong to its tokenizer.

    Raises:
        WrongModelError: it takes no `position_ids`, has fewer tokens than the tokenizer, or no token that ends a text.
    """
    if "position_ids" not in inspect.signature(policy.forward).parameters:
        raise WrongModelError(
            f"{name} ({type(policy).__name__}) takes no position_ids, which padded texts need. Take a model of the kinds of "
            f"GPT-2, Llama or Qwen. {OTHERWISE}"
        )
    tokens = policy.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > tokens:
        raise WrongModelError(
            f"{name}: the tokenizer has {len(tokenizer)} tokens and the model {tokens}: they do not belong together. {OTHERWISE}"
        )
    if tokenizer.eos_token_id is None:
        raise WrongModelError(
            f"{name}: the tokenizer has no eos token, which ends a text; set one and save it. {OTHERWISE}"
        )


def check_reward_kind(config: object, name: str) -> None:
    """Refuse what is no classifier, or has other labels than a negative and a positive one.

    Raises:
        WrongModelError: the message says which.
    """
    kind = getattr(config, "model_type", "")
    if kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        raise WrongModelError(
            f"{name} cannot be the reward model: no text classifier has its architecture ({kind or 'unknown'}). {OTHERWISE}"
        )
    try:
        find_positive_label(config)
    except ValueError as error:
        raise WrongModelError(f"{name} cannot be the reward model: {error}. {OTHERWISE}") from error


def find_positive_label(config: object) -> int:
    """Return the number of the label that means "positive", from `id2label` or `label2id`.

    Raises:
        ValueError: there are not exactly two labels, or their names do not say which is which.
    """
    names = {int(number): str(name).lower() for number, name in (getattr(config, "id2label", None) or {}).items()}
    names |= {int(number): str(name).lower() for name, number in (getattr(config, "label2id", None) or {}).items()}
    if sorted(names) != [0, 1]:
        raise ValueError(f"the reward model must have the two labels 0 and 1, but its configuration has {names}")
    positive = [number for number, name in names.items() if name in POSITIVE_NAMES]
    negative = [number for number, name in names.items() if name in NEGATIVE_NAMES]
    if len(positive) == 1:
        return positive[0]
    if len(negative) == 1:
        return 1 - negative[0]
    raise ValueError(
        f"the labels' names {json.dumps(names)} do not say which one is positive; give id2label the names "
        "'negative' and 'positive' in the model's config.json"
    )
