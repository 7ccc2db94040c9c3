"""Who is timed in `benchmarks/beside_trl.py`: TRL's trainers, the course's solutions, the fast path, in one world.

A world is a model with its tokenizer, a reward model, prompts of one length and the sizes of a batch.
"""

from __future__ import annotations

import copy
import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig, TrainerCallback

from autograder.grade.judging.trusted import trusted_env
from benchmarks import fast_steps
from helpers.data import load_prompts
from helpers.dpo import trl_beside
from helpers.dpo.pairs import Pair, collate
from helpers.fast import fused_activations
from helpers.generation import Rollout, generate
from helpers.models import RewardModel, load_policy, load_reward_model
from helpers.training import rollout_source

ROWS = {"tiny": 32, "smollm2": 8, "gpt2": 8}  # completions in a step; the larger models take seconds for eight
NEW_TOKENS, REPEATS, RATE, BETA = 24, 4, 1e-6, 0.1
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
    bfloat16: bool = False  # whether products are computed in bfloat16, by everybody

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self.policy.parameters()).device

    def products(self) -> torch.autocast:
        """Inside the block, products are computed in the world's number format."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def operations(self, passes: int, rows: int) -> float:
        """Counted arithmetic: 2 operations a parameter and token for each pass; a gradient counts as two passes."""
        places = sum(p.numel() for name, p in self.policy.named_parameters() if name.endswith("wpe.weight"))
        parameters = sum(p.numel() for p in self.policy.parameters()) - places
        return 2.0 * passes * parameters * rows * (self.prompt_length + self.new_tokens)


def world_of(
    name: str, smollm2: str | None, rows: int | None = None, device: str = "cpu", bfloat16: bool = False
) -> World:
    """A model on a device, and the prompts that have the most frequent number of tokens.

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
    return in_world(policy.float().eval().to(device), tokenizer, rows or ROWS[name], bfloat16=bfloat16)


def in_world(policy: Any, tokenizer: Any, rows: int, new_tokens: int = NEW_TOKENS, bfloat16: bool = False) -> World:
    """The world of a policy."""
    counted = [(prompt, len(tokenizer(prompt)["input_ids"])) for prompt in load_prompts("tiny", "train")]
    usual = Counter(length for _, length in counted).most_common(1)[0][0]
    prompts = [prompt for prompt, length in counted if length == usual]
    reward_model = load_reward_model("tiny", device=str(next(policy.parameters()).device))
    return World(policy, tokenizer, reward_model, prompts, usual, rows, new_tokens, bfloat16)


def samplers(world: World) -> dict[str, Callable[[], Any]]:
    """`generate` of transformers gives ids; ours notes log-probs and makes texts as well."""
    prompts = [world.prompts[number // REPEATS] for number in range(world.rows)]
    ids = torch.tensor(world.tokenizer(prompts)["input_ids"], device=world.device)  # [B, P]
    options = {
        "max_new_tokens": world.new_tokens, "min_new_tokens": world.new_tokens, "do_sample": True, "top_k": 0,
        "pad_token_id": world.tokenizer.pad_token_id,
    }  # fmt: skip

    def theirs() -> Any:
        with torch.no_grad(), world.products():
            return world.policy.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)

    def ours() -> Any:
        with world.products():
            return generate(world.policy, world.tokenizer, prompts, world.new_tokens, min_new_tokens=world.new_tokens)

    def fused() -> Any:
        with fused_activations(world.policy):
            return ours()

    return {"transformers": theirs, "simple": ours, "fast": fused}


def rollouts_of(world: World, policy: Any) -> Callable[[], Rollout]:
    """What samples the next batch from a policy."""
    numbers = itertools.count()
    draw = rollout_source(
        policy, world.tokenizer, world.prompts, world.new_tokens, world.rows,
        repeats=REPEATS, min_new_tokens=world.new_tokens,
    )  # fmt: skip
    return lambda: draw(next(numbers))


def online_steps(world: World) -> dict[str, Callable[[], Any]]:
    """Our REINFORCE steps: sample a batch, score it, update; both contenders train one copy of the policy."""
    policy = copy.deepcopy(world.policy).requires_grad_(True)
    draw = rollouts_of(world, policy)

    def take(step: Callable[..., Any], optimizer: torch.optim.Optimizer) -> None:
        with world.products():
            step(policy, optimizer, draw(), world.reward_model)

    return _two_ways(policy, take, trusted_env(2)["reinforce_step"], fast_steps.reinforce_step)


def offline_steps(world: World, pairs: list[Pair], kept: bool) -> dict[str, Callable[[], Any]]:
    """Our DPO steps, on the batch of all the pairs."""
    policy = copy.deepcopy(world.policy).requires_grad_(True)
    pad = world.tokenizer.pad_token_id
    reference = fast_steps.reference_log_probs(world.policy, pairs, pad) if kept else None
    batch = collate(pairs, pad, reference=None if reference is None else reference.cpu()).to(world.device)

    def take(step: Callable[..., Any], optimizer: torch.optim.Optimizer) -> None:
        with world.products():
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
        self.since = now()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds["TRL"].append(now() - self.since)
        for name, step in self.others.items():
            self.seconds[name].append(seconds_of(step))
        self.since = now()


def beside_trainer(
    world: World, what: str, rounds: int, others: dict[str, Callable[[], Any]], pairs: list[Pair]
) -> Turns:
    """Run one of TRL's trainers for so many steps and one to warm up, and the others between its steps."""
    import trl
    from datasets import Dataset

    turns, steps = Turns(others), rounds + 1
    plain = trl_beside.plain_arguments(world.rows, RATE, steps, world.device) | {
        "bf16": world.bfloat16,
        "logging_steps": 10**6,
    }
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


def now() -> float:
    """Seconds: of the processor where one thread computes, so that other work on the machine counts little, else of the clock.

    With a GPU those of the clock, once it has done what it was given.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def seconds_of(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    since = now()
    call()
    return now() - since
