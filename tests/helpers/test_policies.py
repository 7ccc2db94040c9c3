"""The policies that Part 5 compares: a student's own before the shipped ones, and a byte a weight is enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

from helpers.hub import Source
from helpers.interpretability import policies
from helpers.presets import PRESETS
from helpers.runs import FOLDERS, save_policy

TINY = PRESETS["tiny"]


def moved(policy, seed=1):
    """A copy with every weight of its blocks changed at random; the embeddings stay."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if ".h." in name:
                weights += 0.01 * torch.randn_like(weights)
    return policy


def test_a_byte_a_weight_keeps_each_change_to_half_a_step(new_policy):
    """Of each row the largest change is 127 steps: no weight is off by more than half a step, and what stayed stays."""
    base, tuned = new_policy(), moved(new_policy())
    found = policies.differences(tuned, base)
    again = policies.changed(base, found)
    for (name, right), got, before in zip(tuned.named_parameters(), again.parameters(), base.parameters(), strict=True):
        largest = (right - before).abs().amax(-1, keepdim=True)
        assert ((got - right).abs() <= 0.5001 * largest / 127 + 1e-8).all(), name
        if ".h." not in name:
            assert torch.equal(got, before)
    assert {value.dtype for name, value in found.items() if not name.endswith(".scale")} == {torch.int8}


def test_a_students_own_policy_comes_first(new_policy, tmp_path, monkeypatch, capsys):
    """Own weights are used where there are some; else the shipped ones; and the output says which."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policies, "SHIPPED", tmp_path)
    base, own, shipped = new_policy(), moved(new_policy(), 1), moved(new_policy(), 2)
    for short in FOLDERS.values():
        save_file(policies.differences(shipped, base), tmp_path / f"{short}.safetensors")
    save_policy(own, "DPO")
    found = policies.all_policies(base, TINY)
    assert list(found) == ["base", *FOLDERS]
    ids = torch.arange(6)[None]
    assert torch.equal(found["DPO"](ids).logits, own(ids).logits)
    assert torch.allclose(found["REINFORCE"](ids).logits, shipped(ids).logits, atol=1e-2)
    assert not torch.allclose(found["REINFORCE"](ids).logits, own(ids).logits, atol=1e-2)
    told = capsys.readouterr().out
    assert "DPO: your own policy" in told
    assert "REINFORCE: the policy that comes with the course" in told


def test_larger_presets_have_none_to_ship(new_policy, tmp_path, monkeypatch, capsys):
    """With another preset than tiny a policy that was not trained is left out, with a sentence."""
    monkeypatch.chdir(tmp_path)
    larger = replace(TINY, name="tiny with another policy", policy=Source("someone/larger"))
    assert list(policies.all_policies(new_policy(), larger)) == ["base"]
    assert "DPO: left out" in capsys.readouterr().out


@pytest.mark.parametrize("name", FOLDERS)
def test_weights_of_another_model_are_refused(new_policy, tmp_path, monkeypatch, capsys, name):
    """A policy of another preset in `runs/` is not used, and nothing fails."""
    monkeypatch.chdir(tmp_path)
    other = GPT2LMHeadModel(GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2, n_positions=64))
    save_policy(other, name)
    assert policies.load_own(new_policy(), TINY, name) is None
    assert "are of another model" in capsys.readouterr().out
