"""Copies of a case's inputs in the dtype under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


class Inputs(dict[str, Any]):
    """The inputs of a call by name; tensors made during the call that name no device are made on `new_tensors_on`."""

    new_tensors_on: str = "cpu"


def cast(value: Any, dtype: torch.dtype) -> Any:
    """A fresh copy of an input, float tensors in `dtype`."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype, copy=True) if value.is_floating_point() else value.clone()
    return list(value) if isinstance(value, list) else value


def cast_all(inputs: Mapping[str, Any], dtype: torch.dtype, with_gradients: Sequence[str] = ()) -> Inputs:
    """Fresh copies of a case's inputs, float tensors in `dtype`; those named collect gradients."""
    fresh = Inputs((key, cast(value, dtype)) for key, value in inputs.items())
    for name in with_gradients:
        fresh[name].requires_grad_(True)
    return fresh


def on_meta(inputs: Inputs) -> Inputs:
    """The inputs on the device "meta", whose tensors have no values: shapes alone are computed there, on any machine."""
    return Inputs(
        (key, value.to("meta") if isinstance(value, torch.Tensor) else value) for key, value in inputs.items()
    )


def new_on_meta(inputs: Inputs) -> Inputs:
    """The inputs where they are, for a call whose new tensors are on "meta" unless it says where it wants them."""
    result = Inputs(inputs)
    result.new_tensors_on = "meta"
    return result
