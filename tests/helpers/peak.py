"""Train a GPT-2 of five million parameters for two steps and print the peak: `python -m tests.helpers.peak ROWS [AT_ONCE]`.

It prints as JSON by how many bytes the process grew at its peak, and what `helpers.memory` had estimated.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from helpers.memory import training_memory
from helpers.models import in_micro_batches, policy_logits

LENGTH = 48  # tokens
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of ru_maxrss


def peak() -> int:
    """The most memory, in bytes, that this process has had."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, whose ru_maxrss begins with what the process that started this one has had
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def new_policy(width: int, layers: int) -> GPT2LMHeadModel:
    """A random GPT-2."""
    config = GPT2Config(
        vocab_size=2000, n_embd=width, n_layer=layers, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config).eval()


def two_steps(policy: GPT2LMHeadModel, rows: int) -> None:
    """Train on a batch of random tokens, as in Part 2."""
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-4)
    ids = torch.randint(2000, (rows, LENGTH))  # [B, T]
    mask = torch.ones_like(ids, dtype=torch.bool)
    for _ in range(2):
        logits = policy_logits(policy, ids, mask)  # [B, T, V]
        log_probs = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])  # [B, T-1, 1]
        optimizer.zero_grad()
        log_probs.mean().backward()
        optimizer.step()
        del logits, log_probs


def main(rows: int, at_once: int | None) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    two_steps(in_micro_batches(new_policy(8, 1), 1), 2)  # what the libraries load when they are first used
    policy = in_micro_batches(new_policy(256, 6), at_once)
    before = peak()
    two_steps(policy, rows)
    need = training_memory(policy, rows, LENGTH)
    print(json.dumps({"grown": peak() - before, "estimate": need.to_come, "activations": need.activations}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
