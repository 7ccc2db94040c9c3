"""What a file of weights holds (no more than training can change, each tensor once), and that a foreign one is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_model

from helpers import weights
from helpers.runs import load_weights, save_weights
from helpers.training import train
from helpers.weights import CheckpointError


def moved(policy, seed=1):
    """The policy with whatever is trainable of it changed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in policy.parameters():
            if value.requires_grad:
                value += 0.1 * torch.randn_like(value)
    return policy


def same(first, second):
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(one, two) for one, two in pairs)


def held(folder):
    """The tensors that are in a run's file of weights."""
    return load_file(folder / "checkpoint" / "policy.safetensors")


def test_an_adapter_is_kept_without_its_frozen_base(new_adapted, tmp_path):
    tuned, again = moved(new_adapted()), new_adapted()
    save_weights(tuned, tmp_path)
    assert all("down" in name or "up" in name for name in held(tmp_path))
    assert len(held(tmp_path)) == 8
    assert not same(tuned, again)
    load_weights(again, tmp_path)
    assert same(tuned, again)


def test_the_adapter_can_be_loaded_for_use_where_all_is_frozen(new_adapted, tmp_path):
    """A policy that is looked at, as in Part 5, is not trainable: the file says what it leaves out, not the policy."""
    tuned, again = moved(new_adapted()), new_adapted().requires_grad_(False)
    save_weights(tuned, tmp_path)
    load_weights(again, tmp_path)
    assert same(tuned, again)
    save_weights(again, tmp_path)
    assert len(held(tmp_path)) == len(list(again.parameters())), "of a policy that is frozen as a whole, all is kept"


@pytest.mark.parametrize("kind", ["new_policy", "new_llama"])
def test_tied_weights_are_saved_once(request, kind, tmp_path):
    """GPT-2's and SmolLM2's output layer is their embedding; loaded again it still is."""
    make = request.getfixturevalue(kind)
    tuned, again = moved(make()), make()
    save_weights(tuned, tmp_path)
    assert sum(value.numel() for value in held(tmp_path).values()) == sum(p.numel() for p in tuned.parameters())
    load_weights(again, tmp_path)
    assert same(tuned, again)
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight


def test_files_from_before_can_still_be_loaded(new_policy, tmp_path):
    """They were written by `save_model`, which keeps another of a tied tensor's names and no mark."""
    tuned, again = moved(new_policy()), new_policy()
    (tmp_path / "checkpoint").mkdir()
    save_model(tuned, str(tmp_path / "checkpoint" / "policy.safetensors"))
    load_weights(again, tmp_path)
    assert same(tuned, again)


def refused(policy, folder):
    """What is said of a file that does not fit; the policy must stay as it is."""
    before = [value.clone() for value in policy.parameters()]
    with pytest.raises(CheckpointError) as caught:
        load_weights(policy, folder)
    assert all(torch.equal(one, two) for one, two in zip(before, policy.parameters(), strict=True))
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_weights_of_another_model_are_refused(new_policy, new_llama, new_adapted, tmp_path):
    save_weights(new_llama(), tmp_path / "llama")
    save_weights(new_adapted(), tmp_path / "adapter")
    save_weights(new_adapted(base=1), tmp_path / "other base")
    assert "are of another model: model.embed_tokens.weight is [257, 32]" in refused(new_policy(), tmp_path / "llama")
    assert "no such weight" in refused(new_llama(), tmp_path / "adapter")
    assert "no such weight" in refused(new_adapted(), tmp_path / "llama")
    assert "their frozen base is another one" in refused(new_adapted(), tmp_path / "other base")
    larger = new_policy()
    larger.resize_token_embeddings(300)
    save_weights(larger, tmp_path / "larger")
    assert "[300, 32] there, and the policy has [257, 32]" in refused(new_policy(), tmp_path / "larger")


@pytest.mark.parametrize("length", [0, 5, 3000])
def test_half_a_file_is_refused(new_policy, tmp_path, length):
    save_weights(moved(new_policy()), tmp_path)
    path = tmp_path / "checkpoint" / "policy.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert "is damaged" in refused(new_policy(), tmp_path)


def test_a_mark_depends_on_values_and_not_on_precision(new_llama):
    first, second = dict(new_llama(0).named_parameters()), dict(new_llama(1).named_parameters())
    assert weights.mark(first) != weights.mark(second)
    assert weights.mark(first) == weights.mark({name: value.bfloat16() for name, value in first.items()})


def test_a_run_with_an_adapter_has_small_checkpoints_and_goes_on_from_them(new_adapted, tmp_path):
    """Weights and moments of the adapter alone, a few per cent of the model; the resumed run equals the unbroken one."""

    def run(folder, stop_at):
        policy = new_adapted()
        optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)

        def step(ids, number):
            if number == stop_at:
                raise RuntimeError("the kernel died")
            loss = policy(ids).logits.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return {"loss": loss.item()}

        batches = [torch.arange(12).view(2, 6), torch.arange(12, 24).view(2, 6)]
        options = {"policy": policy, "optimizer": optimizer, "folder": folder, "checkpoint_every": 2, "progress": False}
        return policy, train(step, batches, steps=5, **options)

    whole, history = run(tmp_path / "whole", None)
    with pytest.raises(RuntimeError, match="died"):
        run(tmp_path / "broken", 3)
    model = weights.size(whole.parameters())
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "broken" / "checkpoint").iterdir()}
    assert weights.size(held(tmp_path / "broken").values()) < model / 20
    assert sizes["policy.safetensors"] + sizes["optimizer.pt"] < model / 2, sizes  # at this size mostly names
    resumed, again = run(tmp_path / "broken", None)
    assert same(whole, resumed)
    assert history.records == again.records
    assert not (tmp_path / "broken" / "checkpoint" / "optimizer.pt").exists(), "nobody goes on with a finished run"
