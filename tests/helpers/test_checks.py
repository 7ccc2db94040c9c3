"""The comparison behind the public tests: what counts as equal to an expected result."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch

from helpers.checks import close

ROW = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (ROW.double(), ROW),
        (ROW + 1e-6, ROW),
        ([1.0, 2.0], ROW),
        (ROW.clone().requires_grad_(True), ROW),
        (math.nan, math.nan),
        ([ROW, 3.0], (ROW, 3.0)),
        ({"k1": ROW, "more": 0}, {"k1": ROW}),
    ],
    ids=["dtype", "rounding", "list", "gradient", "nan", "a list for a tuple", "more keys"],
)
def test_equal(got: Any, expected: Any) -> None:
    assert close(got, expected)


@pytest.mark.parametrize(
    "got",
    [ROW + 1e-3, ROW[None], ROW[0], ROW + 1j, "text", None, ..., [ROW, ROW], {"k1": ROW}],
    ids=["off", "shape", "scalar", "complex", "text", "none", "not written", "list of tensors", "mapping"],
)
def test_not_equal(got: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not close(got, ROW)


def test_structures_differ() -> None:
    assert not close((ROW,), (ROW, ROW))
    assert not close(ROW, {"k1": ROW})
    assert not close({"k2": ROW}, {"k1": ROW})
