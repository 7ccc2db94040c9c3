"""Loading, and the reward model: the same text gets the same reward in whatever company it is scored."""

from __future__ import annotations

import copy
import inspect
import random
from contextlib import nullcontext

import pytest
import torch
from transformers import DistilBertConfig

from helpers import hub, models
from helpers.hub import ModelNotAvailableError, Source
from helpers.models import RewardModel, find_positive_label, load_policy, load_reward_model

TEXTS = [
    "a good film .",
    "the story was very dull and not fun , but i loved it !",
    "bad",
    "it is wonderful , wonderful , wonderful and very very good but terrible , dull , bad and not fun .",
    "i hated it",
    "the film",
]


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_rewards_do_not_depend_on_batch_order_or_padding(reward_parts, batch_size):
    model = RewardModel(*reward_parts, batch_size=batch_size, verify=False)
    alone = torch.cat([model([text]) for text in TEXTS])
    assert alone.max() - alone.min() > 0.01, "the texts must differ for this test to mean anything"
    torch.testing.assert_close(model(TEXTS), alone, rtol=1e-5, atol=1e-6)
    order = list(range(len(TEXTS)))
    random.Random(1).shuffle(order)
    torch.testing.assert_close(model([TEXTS[i] for i in order]), alone[order], rtol=1e-5, atol=1e-6)


def test_the_attention_mask_is_honoured(reward_parts):
    """Padding that is attended to would change the reward: shown by a model that is given no mask."""
    model = RewardModel(*reward_parts, verify=False)
    batch = model.tokenizer(["bad", TEXTS[3]], padding=True, return_tensors="pt")
    unmasked = model.model(input_ids=batch["input_ids"]).logits.softmax(-1)[0, model.positive_label]
    assert abs(unmasked.item() - model(["bad"]).item()) > 1e-3
    torch.testing.assert_close(model(["bad", TEXTS[3]])[0], model(["bad"])[0], rtol=1e-5, atol=1e-6)


def test_the_reward_is_the_probability_of_the_positive_label(reward_parts):
    model = RewardModel(*reward_parts, verify=False)
    inputs = model.tokenizer("i loved it", return_tensors="pt")
    expected = torch.softmax(model.model(**inputs).logits, -1)[0, 1]
    reward = model(["i loved it"])
    assert reward.shape == (1,)
    assert reward.dtype == torch.float32
    assert not reward.requires_grad
    torch.testing.assert_close(reward[0], expected)
    assert model([]).shape == (0,)
    with pytest.raises(TypeError, match="list of strings"):
        inspect.unwrap(RewardModel.__call__)(model, [1])  # a notebook enforces no annotation


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({0: "NEGATIVE", 1: "POSITIVE"}, 1),
        ({0: "positive", 1: "negative"}, 0),
        ({0: "neg", 1: "LABEL_1"}, 1),
        ({0: "pos", 1: "other"}, 0),
    ],
)
def test_the_label_order_is_read_from_the_configuration(names, expected):
    config = DistilBertConfig(id2label=names, label2id={name: number for number, name in names.items()})
    assert find_positive_label(config) == expected


@pytest.mark.parametrize("names", [{0: "LABEL_0", 1: "LABEL_1"}, {0: "a", 1: "b", 2: "positive"}, {0: "positive"}])
def test_labels_that_say_nothing_are_refused(names):
    config = DistilBertConfig(id2label=names, label2id={name: number for number, name in names.items()})
    with pytest.raises(ValueError, match="label"):
        find_positive_label(config)


def test_swapped_labels_are_found_on_two_obvious_sentences(reward_parts, monkeypatch):
    """Whichever of the two orders is right for this random model, the other one must be refused."""
    model, tokenizer = copy.deepcopy(reward_parts[0]), reward_parts[1]
    monkeypatch.setattr(models, "OBVIOUS", ("wonderful good loved", "terrible bad hated"))
    outcomes = []
    for names in ({0: "negative", 1: "positive"}, {0: "positive", 1: "negative"}):
        model.config.id2label = names
        model.config.label2id = {name: number for number, name in names.items()}
        refused = pytest.raises(ValueError, match="swapped")
        good, bad = RewardModel(model, tokenizer, verify=False)(models.OBVIOUS)
        with nullcontext() if good > bad else refused:
            RewardModel(model, tokenizer)
        outcomes.append(bool(good > bad))
    assert sorted(outcomes) == [False, True]


def test_the_reward_model_is_frozen(reward_model):
    assert not any(parameter.requires_grad for parameter in reward_model.model.parameters())
    assert not reward_model.model.training


def test_embedded_models_load():
    policy, tokenizer = load_policy("tiny", device="cpu")
    assert not policy.training
    assert policy.dtype == torch.float32
    assert tokenizer.padding_side == "left"
    assert tokenizer.eos_token_id is not None
    assert tokenizer.pad_token_id is not None
    good, bad = load_reward_model("tiny", device="cpu")(["A wonderful film.", "A dull, lifeless mess."])
    assert good > 0.5 > bad


def test_a_missing_embedded_model_is_named():
    with pytest.raises(ModelNotAvailableError, match="incomplete"):
        hub.from_hub_or_assets(models.AutoTokenizer, Source("nowhere", embedded=True))
