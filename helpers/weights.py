"""A policy's weights in a file: what training can change, each tensor once; refused where the file does not fit the policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FROZEN = "frozen"  # of a file's metadata: the mark of the parameters that the file leaves out
SEEN = 4  # values of each such parameter that its mark depends on: two fine-tuned models differ in all of them


class CheckpointError(RuntimeError):
    """A checkpoint, or a file of weights, is damaged or of another model; the message says what to do."""


def kept(policy: nn.Module) -> dict[str, Tensor]:
    """By name, what a file of the policy's weights holds.

    All weights; but where some of them are frozen and others are not, as with an adapter (LoRA) on a frozen base, only
    those that are not: the base is loaded anew from where it came from. A tensor with two names, such as GPT-2's
    embedding, which is its output layer too, is there once.
    """
    parameters = dict(policy.named_parameters())  # a tied one under the first of its names
    learnt = {name: value for name, value in parameters.items() if value.requires_grad} or parameters
    return {name: value.detach() for name, value in (learnt | _buffers(policy)).items()}


def write(policy: nn.Module, path: Path) -> None:
    """Write what is `kept` of a policy to a safetensors file.

    Raises:
        OSError, SafetensorError: it could not be written; half of a file may be there.
    """
    tensors = kept(policy)
    left_out = {name: value for name, value in policy.named_parameters() if name not in tensors}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, {FROZEN: mark(left_out)})


def read(policy: nn.Module, path: Path) -> dict[str, Tensor]:
    """Read a file of weights and see that it fits the policy, which is not changed yet: `put` does that.

    Raises:
        CheckpointError: the file is damaged, or its weights are those of another model.
    """
    try:
        with safe_open(path, "pt") as file:
            frozen = (file.metadata() or {}).get(FROZEN, mark({}))
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}).") from error
    there = _every(policy)
    wrong = [name for name, value in found.items() if name not in there or there[name].shape != value.shape]
    if wrong:
        name = wrong[0]
        has = list(there[name].shape) if name in there else "no such weight"
        raise CheckpointError(
            f"The weights in {path} are of another model: {name} is {list(found[name].shape)} there, and the policy has {has}."
        )
    covered = {id(there[name]) for name in found}
    left_out = {name: value for name, value in policy.named_parameters() if id(value) not in covered}
    if mark(left_out) != frozen:
        why = f"{next(iter(left_out))} is missing there" if frozen == mark({}) else "their frozen base is another one"
        raise CheckpointError(f"The weights in {path} are of another model: {why}.")
    return found


@torch.no_grad()
def put(policy: nn.Module, found: Mapping[str, Tensor]) -> None:
    """Copy weights that `read` has found into the policy."""
    there = _every(policy)
    for name, value in found.items():
        there[name].copy_(value)


def mark(parameters: Mapping[str, Tensor]) -> str:
    """A short hash of the names, shapes and first values of some parameters, the same on every device and in every precision."""
    digest = hashlib.sha256()
    for name, value in sorted(parameters.items()):
        first = value.detach().flatten()[:SEEN].bfloat16().float().tolist()
        digest.update(f"{name} {tuple(value.shape)} {first}".encode())
    return digest.hexdigest()[:16]


def size(parameters: Iterable[Tensor]) -> int:
    """Bytes of some tensors."""
    return sum(value.numel() * value.element_size() for value in parameters)


def _buffers(policy: nn.Module) -> dict[str, Tensor]:
    """What a policy's state holds besides its parameters."""
    names = {name for name, _ in policy.named_parameters(remove_duplicate=False)}
    return {name: value for name, value in policy.state_dict().items() if name not in names}


def _every(policy: nn.Module) -> dict[str, Tensor]:
    """Parameters under each of their names, and buffers."""
    return dict(policy.named_parameters(remove_duplicate=False)) | _buffers(policy)
