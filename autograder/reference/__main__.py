"""`python -m autograder.reference`: write the fixed reference tensors of every part (`tensors/partN.safetensors`)."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from helpers.parts import PARTS

from .checking import leaves
from .spec import REGISTRY, load_registry
from .verify import expected_for

FOLDER = Path(__file__).parent / "tensors"


def tensors_of(part: int) -> dict[str, torch.Tensor]:
    """Inputs and float64 results of every case of a part at seed 0, under `function/case/in|out/name`."""
    module = importlib.import_module(f"autograder.reference.part{part}")
    load_registry()
    result: dict[str, torch.Tensor] = {}
    for name in module.FUNCTIONS:
        if name not in REGISTRY:
            continue  # judged by calls or by training, not by tensors
        spec = REGISTRY[name]
        for number, case in enumerate(spec.cases(torch.Generator().manual_seed(0))):
            key = f"{name}/{number}"
            for field, value in case.inputs.items():
                if isinstance(value, torch.Tensor | int | float):
                    result[f"{key}/in/{field}"] = torch.as_tensor(value).contiguous().clone()
            for path, value in leaves(expected_for(spec, case.inputs)):
                result[f"{key}/out/{path}"] = torch.as_tensor(value).detach().contiguous().clone()
    return result


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors agree in names, shapes and values (to 1e-9)."""
    if left.keys() != right.keys():
        return False
    return all(
        left[k].shape == right[k].shape
        and torch.allclose(left[k].double(), right[k].double(), 1e-9, 1e-9, equal_nan=True)
        for k in left
    )


def main() -> int:
    """Write the files, or with `--check` compare them with what the references give now (exit code 1 if they differ)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for part in PARTS:
        path = FOLDER / f"part{part}.safetensors"
        tensors = tensors_of(part)
        if arguments.check:
            stale += [] if path.exists() and same(tensors, load_file(path)) else [path.name]
        else:
            save_file(tensors, path)
    if stale:
        print("out of step with the references: " + ", ".join(stale) + "; run python -m autograder.reference")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
