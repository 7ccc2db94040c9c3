"""The estimate of a run's memory: its parts against what a model keeps, its sum against measured peaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from helpers import devices, memory
from helpers.memory import GIB, announce, batch_shape, memory_line, training_memory
from helpers.models import in_micro_batches, policy_logits
from helpers.parts import ROOT
from helpers.training import train

FACTOR = 1.5  # between an estimate and what it estimates, as the docstring of `training_memory` says


def kept_for_the_backward_pass(policy, rows, length):
    """Bytes that autograd keeps, besides the weights and the logits."""
    sizes = {}
    known = {value.untyped_storage().data_ptr() for value in policy.parameters()}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    ids = torch.zeros(rows, length, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = policy_logits(policy, ids, ids == 0)
    del logits
    return sum(size for place, size in sizes.items() if place not in known)


@pytest.mark.parametrize("kind", ["new_policy", "new_llama"])
@pytest.mark.parametrize("shape", [(4, 20), (8, 20), (4, 40)])
def test_activations_are_what_autograd_keeps(request, kind, shape):
    policy = request.getfixturevalue(kind)()
    kept = kept_for_the_backward_pass(policy, *shape)
    assert kept / FACTOR < training_memory(policy, *shape).activations < kept * FACTOR


def test_weights_gradients_and_moments_are_counted(new_policy, new_adapted, reward_model):
    policy, adapted = new_policy(), new_adapted()
    count = sum(value.numel() for value in policy.parameters())
    need = training_memory(policy, 8, 20, others=[policy, reward_model.model])
    assert (need.weights, need.gradients, need.moments) == (4 * count, 4 * count, 8 * count)
    assert need.others == 4 * count + 4 * sum(value.numel() for value in reward_model.model.parameters())
    assert need.logits == 4 * (8 * 20 * 257 * 4)
    assert need.total == need.weights + need.others + need.to_come
    trained = sum(value.numel() for value in adapted.parameters() if value.requires_grad)
    assert training_memory(adapted, 8, 20).moments == 8 * trained


def test_micro_batches_take_activations_of_some_rows(new_policy):
    policy = new_policy()
    whole = training_memory(policy, 8, 20)
    less = training_memory(policy, 8, 20, rows_at_once=2)
    assert (less.activations * 4, less.logits) == (whole.activations, whole.logits)
    assert training_memory(in_micro_batches(policy, 2), 8, 20) == less


def test_gpt2_of_the_true_size_without_its_weights():
    """124 million parameters, a batch of 32 sequences of 30 tokens: no memory is needed to say how much it takes."""
    with torch.device("meta"):
        policy = GPT2LMHeadModel(GPT2Config())
    need = training_memory(policy, 32, 30)
    assert need.weights == 4 * 124_439_808
    assert 2.5 * GIB < need.to_come < 4 * GIB


def test_the_line_says_what_does_not_fit_and_what_helps():
    with torch.device("meta"):
        policy = GPT2LMHeadModel(GPT2Config())
    need = training_memory(policy, 32, 30)
    assert memory_line(policy, 32, 30, None).endswith("beside the policy's 0.46.")
    assert "10.00 GiB are free." in memory_line(policy, 32, 30, 10.0)
    assert "may not fit" not in memory_line(policy, 32, 30, 10.0)
    less = training_memory(policy, 32, 30, rows_at_once=8).to_come / GIB
    tight = memory_line(policy, 32, 30, less + 0.001)
    assert "may not fit. With in_micro_batches(policy, 8) from helpers.models the gradients stay the same" in tight
    assert f"it needs {less:.2f} GiB" in tight
    assert "choose_preset('tiny')" in memory_line(policy, 32, 30, 0.5)
    assert "may not fit" not in memory_line(policy, 32, 30, 0.5, there=need.to_come), "moments are in memory already"


def test_train_says_it_once_and_only_of_large_policies(new_policy, monkeypatch, capsys):
    policy = new_policy()
    optimizer = torch.optim.AdamW(policy.parameters())
    batch = SimpleNamespace(ids=torch.zeros(4, 9, dtype=torch.long))

    def run(**options):
        train(lambda batch: {"loss": 1.0}, [batch], steps=2, policy=policy, optimizer=optimizer, **options)
        return capsys.readouterr().out.count("Memory of 4 rows of 9 tokens")

    assert run() == 0
    monkeypatch.setattr(memory, "LARGE", 1000)
    assert run() == 1
    assert run(progress=False) == 0
    assert announce(policy, None, "no batch of tokens") == ""


def test_both_sides_of_pairs_go_through_together():
    pairs = SimpleNamespace(chosen_ids=torch.zeros(4, 9), rejected_ids=torch.zeros(4, 12))
    assert batch_shape(pairs) == (8, 12)
    assert batch_shape(["text"]) is None


def test_a_containers_limit_is_its_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    known = devices.device_memory(torch.device("cpu"))
    assert known is not None
    free, total = known
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("0\n")
    assert devices.device_memory(torch.device("cpu"))[1] == total
    (tmp_path / "memory.max").write_text(f"{2**28}\n")
    (tmp_path / "memory.current").write_text(f"{2**27 + 2**26}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {2**26}\n")  # files that are read and can be let go
    assert devices.device_memory(torch.device("cpu")) == (0.125, 0.25)
    assert 0 < free <= total


@pytest.mark.slow
def test_measured_peaks_are_near_the_estimate_and_lower_with_micro_batches():
    """Two steps of a GPT-2 of five million parameters in a process of its own: by how much it grows.

    glibc is told to give every large tensor's memory back at once: else the peak has what it keeps, 110 MB here.
    """
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}

    def measured(*arguments):
        command = [sys.executable, "-m", "tests.helpers.peak", *arguments]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return json.loads(run.stdout.splitlines()[-1])

    whole, split = measured("32"), measured("32", "4")
    assert whole["estimate"] / FACTOR < whole["grown"] < whole["estimate"] * FACTOR, whole
    assert split["estimate"] / FACTOR < split["grown"] < split["estimate"] * FACTOR, split
    assert split["grown"] < whole["grown"] / 2, (whole, split)
