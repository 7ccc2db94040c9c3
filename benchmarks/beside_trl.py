"""How fast are the training steps, beside TRL's? `python benchmarks/beside_trl.py`: JSON in `build/speed.json`, and a table.

The same model, batch, tokens and number format, prompts of one length (so nobody pads), completions of a fixed length. The
contenders take turns, A B A B …, so that other work on the machine slows all of them; what is given is the median. Peak memory
is that of a process of its own, above the libraries and the policy's weights. The share of the limit is the counted arithmetic
(2 · parameters · tokens for reading, 4 for a gradient) by the time, and by what a large matrix product reaches here.

Contenders: TRL's trainers; "simple", the course's solutions, which are what a student writes; "fast", `benchmarks/fast_steps.py`.
A second call adds to the JSON file: `--models gpt2 --what dpo` measures one row again, `--table` only prints.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig, TrainerCallback

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from autograder.grade.judging.trusted import trusted_env  # noqa: E402
from benchmarks import fast_steps, speed_table  # noqa: E402
from helpers.data import load_prompts  # noqa: E402
from helpers.dpo import trl_beside  # noqa: E402
from helpers.dpo.pairs import Pair, collate  # noqa: E402
from helpers.fast import fused_activations  # noqa: E402
from helpers.generation import generate  # noqa: E402
from helpers.models import RewardModel, load_policy, load_reward_model  # noqa: E402
from helpers.training import rollout_source  # noqa: E402

OUT = ROOT / "build" / "speed.json"
ROWS = {"tiny": 32, "smollm2": 8, "gpt2": 8}  # completions in a step; the larger models take seconds for eight
ROUNDS = {"tiny": 15, "smollm2": 5, "gpt2": 5}
NEW_TOKENS, REPEATS, RATE, BETA = 24, 4, 1e-6, 0.1
WHAT = ("sampling", "RLOO", "GRPO", "DPO", "DPO, reference kept", "memory")
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "max_position_embeddings": 2048, "rope_theta": 100000.0, "tie_word_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """What all contenders share: the policy to copy, its tokenizer, the reward, prompts of one length, sizes."""

    policy: Any
    tokenizer: Any
    reward_model: RewardModel
    prompts: list[str]
    prompt_length: int
    rows: int
    new_tokens: int = NEW_TOKENS

    def operations(self, passes: int, rows: int) -> float:
        """Counted arithmetic: 2 operations a parameter and token for each pass; a gradient counts as two passes."""
        places = sum(p.numel() for name, p in self.policy.named_parameters() if name.endswith("wpe.weight"))
        parameters = sum(p.numel() for p in self.policy.parameters()) - places
        return 2.0 * passes * parameters * rows * (self.prompt_length + self.new_tokens)


def world_of(name: str, smollm2: str | None, rows: int | None = None) -> World:
    """A model, and the prompts that have the most frequent number of tokens.

    A random model takes the tiny policy's tokenizer: what it samples from the rest of its vocabulary has no text.
    """
    policy, tokenizer = load_policy("tiny", "cpu")
    if name == "smollm2" and smollm2:
        policy, tokenizer = AutoModelForCausalLM.from_pretrained(smollm2), AutoTokenizer.from_pretrained(smollm2)
        tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.eos_token
    elif name != "tiny":
        end = {f"{kind}_token_id": tokenizer.eos_token_id for kind in ("bos", "eos", "pad")}
        policy = AutoModelForCausalLM.from_config(
            GPT2Config(**end) if name == "gpt2" else LlamaConfig(**SMOLLM2, **end)
        )
    return in_world(policy.float().eval(), tokenizer, rows or ROWS[name])


def in_world(policy: Any, tokenizer: Any, rows: int, new_tokens: int = NEW_TOKENS) -> World:
    """The world of a policy."""
    counted = [(prompt, len(tokenizer(prompt)["input_ids"])) for prompt in load_prompts("tiny", "train")]
    usual = Counter(length for _, length in counted).most_common(1)[0][0]
    prompts = [prompt for prompt, length in counted if length == usual]
    return World(policy, tokenizer, load_reward_model("tiny", device="cpu"), prompts, usual, rows, new_tokens)


# --- contenders -----------------------------------------------------------------------------------------------------


def samplers(world: World) -> dict[str, Callable[[], Any]]:
    """`generate` of transformers gives ids; ours notes log-probs and makes texts as well."""
    prompts = [world.prompts[number // REPEATS] for number in range(world.rows)]
    ids = torch.tensor(world.tokenizer(prompts)["input_ids"])  # [B, P]
    options = {
        "max_new_tokens": world.new_tokens, "min_new_tokens": world.new_tokens, "do_sample": True, "top_k": 0,
        "pad_token_id": world.tokenizer.pad_token_id,
    }  # fmt: skip

    def theirs() -> Any:
        with torch.no_grad():
            return world.policy.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)

    def ours() -> Any:
        return generate(world.policy, world.tokenizer, prompts, world.new_tokens, min_new_tokens=world.new_tokens)

    def fused() -> Any:
        with fused_activations(world.policy):
            return ours()

    return {"transformers": theirs, "simple": ours, "fast": fused}


def online_steps(world: World) -> dict[str, Callable[[], Any]]:
    """Our REINFORCE steps: sample a batch, score it, update; both contenders train one copy of the policy."""
    policy = copy.deepcopy(world.policy).requires_grad_(True)
    numbers = iter(range(10**9))
    draw = rollout_source(
        policy, world.tokenizer, world.prompts, world.new_tokens, world.rows,
        repeats=REPEATS, min_new_tokens=world.new_tokens,
    )  # fmt: skip

    def take(step: Callable[..., Any], optimizer: torch.optim.Optimizer) -> None:
        step(policy, optimizer, draw(next(numbers)), world.reward_model)

    return _two_ways(policy, take, trusted_env(2)["reinforce_step"], fast_steps.reinforce_step)


def offline_steps(world: World, pairs: list[Pair], kept: bool) -> dict[str, Callable[[], Any]]:
    """Our DPO steps, on the batch of all the pairs."""
    policy = copy.deepcopy(world.policy).requires_grad_(True)
    pad = world.tokenizer.pad_token_id
    reference = fast_steps.reference_log_probs(world.policy, pairs, pad) if kept else None
    batch = collate(pairs, pad, reference=reference)

    def take(step: Callable[..., Any], optimizer: torch.optim.Optimizer) -> None:
        step(policy, world.policy, optimizer, batch, BETA)

    return _two_ways(policy, take, trusted_env(4)["dpo_step"], fast_steps.dpo_step)


def _two_ways(policy: Any, take: Callable[..., None], simple: Any, fast: Any) -> dict[str, Callable[[], Any]]:
    """The student's step with the student's optimizer, and the fast one with the fused optimizer and activations."""

    @functools.cache  # made when first needed, so that a process alone has one
    def optimizer(fused: bool) -> torch.optim.Optimizer:
        return torch.optim.AdamW(policy.parameters(), lr=RATE, weight_decay=0.0, fused=fused or None)

    def slow_way() -> None:
        take(simple, optimizer(False))

    def fast_way() -> None:
        with fused_activations(policy):
            take(fast, optimizer(True))

    return {"simple": slow_way, "fast": fast_way}


def some_pairs(world: World) -> list[Pair]:
    """Pairs of sampled completions; which one is chosen does not matter to the time."""
    prompts = [world.prompts[number // 2] for number in range(world.rows)]
    rollout = generate(world.policy, world.tokenizer, prompts, world.new_tokens, min_new_tokens=world.new_tokens)
    ids = [tuple(row) for row in rollout.ids.tolist()]
    cut = rollout.prompt_length
    return [
        Pair(prompts[i], "chosen", "rejected", ids[i][:cut], ids[i][cut:], ids[i + 1][cut:], 1.0, 0.0)
        for i in range(0, world.rows, 2)
    ]


class Turns(TrainerCallback):
    """After each step of a trainer the others take theirs; every step is timed."""

    def __init__(self, others: dict[str, Callable[[], Any]]) -> None:
        self.others = others
        self.seconds: dict[str, list[float]] = {name: [] for name in ("TRL", *others)}

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.since = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds["TRL"].append(time.perf_counter() - self.since)
        for name, step in self.others.items():
            self.seconds[name].append(seconds_of(step))
        self.since = time.perf_counter()


def beside_trainer(
    world: World, what: str, rounds: int, others: dict[str, Callable[[], Any]], pairs: list[Pair]
) -> Turns:
    """Run one of TRL's trainers for so many steps and one to warm up, and the others between its steps."""
    import trl
    from datasets import Dataset

    turns, steps = Turns(others), rounds + 1
    plain = trl_beside.plain_arguments(world.rows, RATE, steps, torch.device("cpu")) | {"logging_steps": 10**6}
    common = {
        "model": copy.deepcopy(world.policy).requires_grad_(True),
        "processing_class": world.tokenizer,
        "callbacks": [turns],
    }
    if what in ("RLOO", "GRPO"):

        def rewards(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
            return world.reward_model([p + c for p, c in zip(prompts, completions, strict=True)]).tolist()

        configuration = getattr(trl, f"{what}Config")(
            num_generations=REPEATS, max_completion_length=world.new_tokens, beta=0.0, temperature=1.0, top_k=0,
            disable_dropout=True, generation_kwargs={"min_new_tokens": world.new_tokens},
            **plain | {"max_grad_norm": 1.0},  # as the course's step does
        )  # fmt: skip
        data = Dataset.from_dict({"prompt": world.prompts})
        trl_beside.trained(
            getattr(trl, f"{what}Trainer"), args=configuration, train_dataset=data, reward_funcs=rewards, **common
        )
        return turns
    kept = what.endswith("kept")
    pairs = pairs * steps  # one epoch: a new one would cost TRL a little time
    own = trl_beside.trl_collator(pairs, world.tokenizer.pad_token_id)

    def gather(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        names = [name for name in ("ref_chosen_logps", "ref_rejected_logps") if name in rows[0]]
        return own(rows) | {name: torch.tensor([row[name] for row in rows]) for name in names}

    configuration = trl.DPOConfig(
        beta=BETA, disable_dropout=True, remove_unused_columns=False, precompute_ref_log_probs=kept,
        train_sampling_strategy="sequential", **plain | {"per_device_train_batch_size": world.rows // 2},
    )  # fmt: skip
    trl_beside.trained(
        trl.DPOTrainer, args=configuration, train_dataset=trl_beside.pairs_for_trl(pairs), data_collator=gather,
        **common | ({} if kept else {"ref_model": copy.deepcopy(world.policy)}),
    )  # fmt: skip
    return turns


# --- measuring ------------------------------------------------------------------------------------------------------


def seconds_of(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def arithmetic_limit(size: int = 2048, repeats: int = 5) -> float:
    """Operations a second that a product of two large float32 matrices reaches with the present threads; the best of some."""
    a, b = torch.randn(2, size, size)
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
    limit = arithmetic_limit()
    seconds, operations = times_of(world, what, rounds)
    limit = max(limit, arithmetic_limit())  # other work may have slowed one of the two
    return {
        "limit": limit, "rows": world.rows, "prompt": world.prompt_length, "new_tokens": world.new_tokens, "seconds": seconds,
        "median": {name: statistics.median(found) for name, found in seconds.items()},
        "share": {name: operations[name] / statistics.median(found) / limit for name, found in seconds.items()},
        "load": os.getloadavg()[0],
    }  # fmt: skip


def memory(status: str = "VmHWM") -> float:
    """A number of `/proc/self/status` in MiB: the peak of the memory in use, or `VmRSS`, the memory in use (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(status))


def peak_alone(options: argparse.Namespace, name: str) -> dict[str, dict[str, float]]:
    """Peak memory of each contender in MiB, above libraries and weights, each in a process of its own."""
    found: dict[str, dict[str, float]] = {}
    for what in WHAT[1:-1]:
        for contender in ("TRL", "simple", "fast"):
            command = [sys.executable, __file__, "--models", name, "--alone", what, contender]
            command += ["--threads", str(options.threads)]
            command += ["--smollm2", options.smollm2] if options.smollm2 else []
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found.setdefault(what, {})[contender] = json.loads(done.stdout.splitlines()[-1])
    return found


def alone(world: World, what: str, contender: str) -> float:
    """The peak of two steps, in this process, above what it holds now: libraries, policy, reward model."""
    import trl  # noqa: F401

    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    times_of(world, what, 1, contender)
    return memory() - before


def growth(rounds: int) -> list[dict[str, Any]]:
    """Steps of RLOO on small models: with batch, length and size, one changed at a time."""
    policy, tokenizer = load_policy("tiny", "cpu")
    worlds = [("batch", rows, in_world(policy, tokenizer, rows)) for rows in (8, 16, 32, 64)]
    worlds += [("length", length, in_world(policy, tokenizer, 32, length)) for length in (12, 24, 48)]
    for layers, width in ((2, 128), (3, 256), (4, 384), (6, 512)):
        config = GPT2Config(**policy.config.to_dict() | {"n_layer": layers, "n_embd": width, "dtype": "float32"})
        larger = AutoModelForCausalLM.from_config(config).float().eval()
        worlds.append(("size", sum(p.numel() for p in larger.parameters()), in_world(larger, tokenizer, 32)))
    return [{"axis": axis, "value": value, **measure(world, "RLOO", rounds)} for axis, value, world in worlds]


def machine(threads: int) -> dict[str, Any]:
    """What was measured on, with what."""
    import transformers
    import trl

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    name = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
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
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only print what there is")
    parser.add_argument("--alone", nargs=2, metavar=("WHAT", "CONTENDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.alone:
        print(json.dumps(alone(world_of(options.models[0], options.smollm2), *options.alone)))
        return
    found = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    if not options.table:
        found["machine"] = machine(options.threads)
        for name in options.models:
            world = world_of(name, options.smollm2)
            for what in [what for what in options.what if what != "growth"]:
                rounds = options.rounds or ROUNDS[name]
                result = peak_alone(options, name) if what == "memory" else measure(world, what, rounds)
                found.setdefault(name, {})[what] = result
                speed_table.keep(OUT, found)
        if "growth" in options.what:
            found["growth"] = growth(options.rounds or 3)
            speed_table.keep(OUT, found)
            speed_table.draw(found["growth"], ROOT / "docs" / "speed.png")
    print(speed_table.table(found))


if __name__ == "__main__":
    main()
