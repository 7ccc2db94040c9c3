"""Copies of a case's inputs in the dtype under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def cast(value: Any, dtype: torch.dtype) -> Any:
    """A fresh copy of an input, float tensors in `dtype`."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype, copy=True) if value.is_floating_point() else value.clone()
    return list(value) if isinstance(value, list) else value


def cast_all(inputs: Mapping[str, Any], dtype: torch.dtype, with_gradients: Sequence[str] = ()) -> dict[str, Any]:
    """Fresh copies of a case's inputs, float tensors in `dtype`; those named collect gradients."""
    fresh = {key: cast(value, dtype) for key, value in inputs.items()}
    for name in with_gradients:
        fresh[name].requires_grad_(True)
    return fresh
