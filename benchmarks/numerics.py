"""What "the same" can mean for a training run: `python benchmarks/numerics.py`.

One recipe, one seed, four builds of the numerics: one thread, the same again, two threads, and the code paths of an older
processor (without AVX-512 and AVX2 in PyTorch's own kernels, without AVX-512 in MKL and oneDNN). Sums are added up in another
order there, so logits differ in their last digits, until some token falls otherwise. Prints where the runs part and
how they end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import recipes  # noqa: E402

OLDER = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
BUILDS: dict[str, tuple[int, dict[str, str]]] = {
    "one thread": (1, {}),
    "one thread, again": (1, {}),
    "two threads": (2, {}),
    "one thread, an older processor's code": (1, OLDER),
}
CODE = "import json, sys; from benchmarks import recipes; print(json.dumps(recipes.train(json.loads(sys.argv[1]))))"


def run(setting: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """One training in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(setting)],
        cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def alike(first: dict[str, Any], other: dict[str, Any], every: int) -> int:
    """Up to which step two curves, means over `every` steps, have the same figures to four digits."""
    same = [a == b for a, b in zip(map(str, first["curve"]), map(str, other["curve"]), strict=True)]
    return every * (same.index(False) if False in same else len(same))


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alpha", type=float, default=0.03)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--steps", type=int, default=75)
    options = parser.parse_args()
    setting = {
        "alpha": options.alpha, "rate": options.rate, "steps": options.steps, "warmup": 0, "seed": 0, "batch": 32,
    }  # fmt: skip
    print("| build | same figures up to step | J | reward | KL | length |\n| --- | --- | --- | --- | --- | --- |")
    first = None
    for name, (threads, environment) in BUILDS.items():
        found = run(setting | {"threads": threads}, environment)
        first = first or found
        s = found["scores"]
        figures = [f"{s['objective']:.3f}", f"{s['reward']:.3f}", f"{s['kl']:.2f}", f"{s['length']:.1f}"]
        cells = [name, str(min(options.steps, alike(first, found, recipes.EVERY))), *figures]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
