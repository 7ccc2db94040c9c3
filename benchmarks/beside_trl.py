"""How fast are the training steps, beside TRL's? `python benchmarks/beside_trl.py`: JSON in `build/speed.json`, and a table.

The same model, batch, tokens and number format, prompts of one length (so nobody pads), completions of a fixed length. The
contenders take turns, A B A B …, so that other work on the machine slows all of them; what is given is the median: with one
thread of the processor's seconds, which are the clock's where nothing else runs. Peak memory is that of a process of its own,
above the libraries, the policy and the reward model. The share of the limit is the counted arithmetic (2 · parameters · tokens
for reading, 4 for a gradient) by the time, and by what a large matrix product reaches here.

Contenders: TRL's trainers; "simple", the course's solutions, which are what a student writes; "fast", `benchmarks/fast_steps.py`.
A second call adds to the JSON file: `--models gpt2 --what DPO` measures one row again, `--table` only prints.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, GPT2Config

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder.grade.judging.trusted import trusted_env  # noqa: E402
from benchmarks import speed_table  # noqa: E402
from benchmarks.contenders import (  # noqa: E402
    RATE,
    ROWS,
    World,
    beside_trainer,
    in_world,
    offline_steps,
    online_steps,
    rollouts_of,
    samplers,
    seconds_of,
    some_pairs,
    world_of,
)  # fmt: skip
from helpers.models import load_policy  # noqa: E402
from helpers.reinforce import stopwatch  # noqa: E402

OUT = ROOT / "build" / "speed.json"
ROUNDS = {"tiny": 15, "smollm2": 5, "gpt2": 5}  # steps of each contender, after one to warm up
WHAT = ("memory", *speed_table.STEPS, "parts")


# --- measuring ------------------------------------------------------------------------------------------------------


def arithmetic_limit(world: World, repeats: int = 5) -> float:
    """Operations a second that a product of two large matrices reaches where and in what the world computes; the best of some."""
    size = 8192 if world.device.type == "cuda" else 2048  # a GPU is not filled by less
    dtype = torch.bfloat16 if world.bfloat16 else torch.float32
    a, b = torch.randn(2, size, size, device=world.device, dtype=dtype)
    return 2.0 * size**3 / min(seconds_of(lambda: a @ b) for _ in range(repeats))


def times_of(world: World, what: str, rounds: int, only: str = "") -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of every step of every contender, the first one left out, and the counted operations of a step.

    Args:
        only: a contender that is to run alone.
    """
    wanted = lambda steps: {name: step for name, step in steps.items() if only in ("", name)}  # noqa: E731
    if what == "sampling":
        steps = wanted(samplers(world))
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds + 1):
            for name, step in steps.items():
                seconds[name].append(seconds_of(step))
        counted = dict.fromkeys(steps, world.operations(1, world.rows))
        return {name: found[1:] for name, found in seconds.items()}, counted
    online = what in ("RLOO", "GRPO")
    kept = what.endswith("kept")
    pairs = [] if online else some_pairs(world)
    steps = wanted(online_steps(world) if online else offline_steps(world, pairs, kept)) if only != "TRL" else {}
    if only in ("", "TRL"):
        seconds = beside_trainer(world, what, rounds, steps, pairs).seconds
    else:
        seconds = {name: [seconds_of(step) for _ in range(rounds + 1)] for name, step in steps.items()}
    # sampling counts as one pass, reading the reference too, the update as three
    counted = dict.fromkeys(seconds, world.operations(4 if online or not kept else 3, world.rows))
    return {name: found[1:] for name, found in seconds.items()}, counted


def measure(world: World, what: str, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    limit = arithmetic_limit(world)
    seconds, operations = times_of(world, what, rounds)
    limit = max(limit, arithmetic_limit(world))  # other work may have slowed one of the two
    return {
        "limit": limit, "rows": world.rows, "prompt": world.prompt_length, "new_tokens": world.new_tokens, "seconds": seconds,
        "median": {name: statistics.median(found) for name, found in seconds.items()},
        "share": {name: operations[name] / statistics.median(found) / limit for name, found in seconds.items()},
        "load": os.getloadavg()[0],
    }  # fmt: skip


def parts(world: World, rounds: int) -> dict[str, float]:
    """Seconds of each part of the solution's REINFORCE step, the median of some."""
    policy = copy.deepcopy(world.policy).requires_grad_(True)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=RATE, weight_decay=0.0)
    step, draw = trusted_env(2)["reinforce_step"], rollouts_of(world, policy)
    taken = [stopwatch.step_parts(step, policy, optimizer, draw, world.reward_model) for _ in range(rounds + 1)]
    return pd.DataFrame(taken[1:]).median().to_dict()


def memory(status: str = "VmHWM") -> float:
    """A number of `/proc/self/status` in MiB: the peak of the memory in use, or `VmRSS`, the memory in use (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(status))


def peaks(world: World) -> dict[str, dict[str, float]]:
    """Peak memory of each contender in MiB, above libraries, policy and reward model, each in a process of its own."""
    if world.device.type == "cuda":
        return {
            what: {name: alone_on_gpu(world, what, name) for name in ("TRL", "simple", "fast")}
            for what in ("RLOO", "DPO")
        }
    found: dict[str, dict[str, float]] = {}
    context = multiprocessing.get_context("fork")  # so that libraries and policy are there, and counted for nobody
    for what in ("RLOO", "DPO"):
        for contender in ("TRL", "simple", "fast"):
            answer = context.SimpleQueue()
            process = context.Process(target=lambda *given: answer.put(alone(*given)), args=(world, what, contender))  # noqa: B023
            process.start()
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(f"{contender} failed at {what}")
            found.setdefault(what, {})[contender] = answer.get()
    return found


def alone(world: World, what: str, contender: str) -> float:
    """The peak of two steps, in this process, above what it holds now: libraries, policy, reward model."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    times_of(world, what, 1, contender)
    return memory() - before


def alone_on_gpu(world: World, what: str, contender: str) -> float:
    """The same of the GPU's memory, as PyTorch counts it."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    times_of(world, what, 1, contender)
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def growth(rounds: int, device: str) -> list[dict[str, Any]]:
    """Steps of RLOO on small models: with batch, length and size, one changed at a time."""
    policy, tokenizer = load_policy("tiny", device)
    worlds = [("batch", rows, in_world(policy, tokenizer, rows)) for rows in (8, 16, 32)]
    worlds += [("length", length, in_world(policy, tokenizer, 32, length)) for length in (12, 24, 48)]
    for layers, width in ((2, 128), (3, 256), (5, 384)):
        config = GPT2Config(**policy.config.to_dict() | {"n_layer": layers, "n_embd": width, "dtype": "float32"})
        larger = AutoModelForCausalLM.from_config(config).float().eval().to(device)
        worlds.append(("size", sum(p.numel() for p in larger.parameters()), in_world(larger, tokenizer, 32)))
    return [{"axis": axis, "value": value, **measure(world, "RLOO", rounds)} for axis, value, world in worlds]


def machine(threads: int, device: str, bfloat16: bool) -> dict[str, Any]:
    """What was measured on, with what."""
    import transformers
    import trl

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    name = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    if device == "cuda":
        name = f"{torch.cuda.get_device_name()} in {'bfloat16' if bfloat16 else 'float32'}, with {name}"
    return {
        "processor": name, "cores": os.cpu_count(), "threads": threads, "code": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "trl": trl.__version__,
    }  # fmt: skip


def main() -> None:
    """Measure what is asked for, add it to the file, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--what", nargs="*", default=[*WHAT, "growth"], choices=[*WHAT, "growth"])
    parser.add_argument("--smollm2", help="a folder with SmolLM2; without it a random model of its shape is taken")
    parser.add_argument("--rounds", type=int, help="steps of each contender; without it by the model's size")
    parser.add_argument("--rows", type=int, help="completions in a step; without it by the model's size")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--bfloat16", action="store_true", help="products in bfloat16, for everybody")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    out = OUT.with_stem(
        "-".join([OUT.stem, *[options.device] * (options.device != "cpu"), *["bfloat16"] * options.bfloat16])
    )
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    if not options.table:
        found["machine"] = machine(options.threads, options.device, options.bfloat16)
        rows = [row for row in itertools.product(options.what, options.models) if row[0] != "growth"]
        # memory first, as it forks: what a step has freed would not be counted in a child that uses it again
        for what, name in sorted(rows, key=lambda row: row[0] != "memory"):
            world = world_of(name, options.smollm2, options.rows, options.device, options.bfloat16)
            rounds = options.rounds or ROUNDS[name]
            if what == "memory":
                result: dict[str, Any] = peaks(world)
            else:
                result = parts(world, rounds) if what == "parts" else measure(world, what, rounds)
            found.setdefault(name, {})[what] = result
            speed_table.keep(out, found)
        if "growth" in options.what:
            found["growth"] = growth(options.rounds or 4, options.device)
            speed_table.keep(out, found)
            figure = ROOT / "docs" / "speed.png" if options.device == "cpu" else out.with_suffix(".png")
            speed_table.draw(found["growth"], figure)
    print(speed_table.table(found))


if __name__ == "__main__":
    main()
