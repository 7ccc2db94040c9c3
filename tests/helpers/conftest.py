"""Tiny random models, so that these tests need neither the embedded models nor a network."""

from __future__ import annotations

import dataclasses
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub: no test may reach for the network

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from helpers.models import RewardModel
from helpers.presets import PRESETS

END = "<|endoftext|>"
# fmt: off
WORDS = ["a", "the", "film", "story", "was", "is", "good", "bad", "very", "not", "fun", "dull", "and", "but", "it", "i", "loved",
         "hated", "wonderful", "terrible", ".", ",", "!"]
# fmt: on


@pytest.fixture(autouse=True)
def one_thread():
    """One thread for each of the processes that the tests are spread over; a test that loads a larger policy takes more."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, as in GPT-2 without any merges; the last id ends a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: number for number, character in enumerate([*alphabet, END])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END)


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


def make_policy(seed: int = 0, dropout: float = 0.0) -> GPT2LMHeadModel:
    """A GPT-2 of two thin layers with large random weights, so that its distributions are far from uniform."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=257,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        bos_token_id=256,
        eos_token_id=256,
        initializer_range=0.2,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
    )
    return GPT2LMHeadModel(config).eval()


def make_llama(seed: int = 0) -> LlamaForCausalLM:
    """A Llama of two thin layers whose output layer is its embedding, as in SmolLM2."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, bos_token_id=256, eos_token_id=256,
        initializer_range=0.2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


class LowRank(torch.nn.Module):
    """A frozen linear layer with a product of two thin matrices added to its weights (LoRA, Hu et al. 2021)."""

    def __init__(self, base: torch.nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base = base
        self.down = torch.nn.Linear(base.in_features, rank, bias=False)
        self.up = torch.nn.Linear(rank, base.out_features, bias=False)
        torch.nn.init.zeros_(self.up.weight)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.base(hidden) + self.up(self.down(hidden))


def with_adapter(model: LlamaForCausalLM, seed: int = 0) -> LlamaForCausalLM:
    """Freeze the model and give its queries and values an adapter, as the package peft does."""
    model.requires_grad_(False)
    torch.manual_seed(seed)
    for layer in model.model.layers:
        layer.self_attn.q_proj = LowRank(layer.self_attn.q_proj)
        layer.self_attn.v_proj = LowRank(layer.self_attn.v_proj)
    return model


@pytest.fixture(scope="session")
def new_policy():
    """The function that makes a policy."""
    return make_policy


@pytest.fixture
def policy():
    return make_policy()


@pytest.fixture(scope="session")
def reward_parts():
    """An untrained DistilBERT classifier and a word tokenizer for it."""
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(vocabulary),
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    )
    return DistilBertForSequenceClassification(config), words


@pytest.fixture
def reward_model(reward_parts):
    return RewardModel(*reward_parts, verify=False)


@pytest.fixture(scope="session")
def small_preset():
    return dataclasses.replace(PRESETS["tiny"], new_tokens=6, evaluation_batch_size=4)


@pytest.fixture(scope="session")
def new_llama():
    """The function that makes a Llama."""
    return make_llama


@pytest.fixture(scope="session")
def new_adapted():
    """The function that makes a frozen Llama with a trainable adapter."""
    return lambda seed=0, base=0: with_adapter(make_llama(base), seed)
