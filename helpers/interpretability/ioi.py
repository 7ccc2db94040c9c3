"""The indirect object task of Part 5: prompts as tensors, the embedded model and its training, and knock-outs on them.

The prompts were made for this course (`assets/recipes/ioi.py`): two people are named, one of them is named again (the
*subject*, S), and the text stops where the other one's name (the *indirect object*, IO) is due.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from scipy import stats
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from helpers.devices import in_float64
from helpers.hub import ASSETS, Quiet

from .circuits import Edit, Head, anatomy, by_layer, record, run_with_heads

FOLDER = ASSETS / "ioi"
PROMPTS = ASSETS / "data" / "ioi_prompts.parquet"
POSITIONS = ("IO", "S1", "S1+1", "S2", "END")
Ablate = Callable[..., Tensor]  # the student's ablate_heads(head_outputs, heads, mean_outputs=None)


@dataclass(frozen=True)
class Batch:
    """`N` prompts of `T` tokens each (all the same length, so nothing is padded).

    Attributes:
        texts: the prompts.
        ids: int64 `[N, T]`, their tokens.
        swapped_ids: `[N, T]`, the same prompts with the other person in the place of the second mention: the right
            answer is then S.
        unrelated_ids: `[N, T]`, the same prompts with three other, different names: no answer is right.
        io_ids, s_ids: `[N]`, the tokens of the two names.
        orders: "ABBA" (IO is mentioned first) or "BABA" (S is); of counting sentences "S S IO", "S IO S" or "IO S S".
        template: `[N]`, the number of the sentence's pattern.
        positions: `[N]` for each of IO (its mention), S1 (S's first mention), S1+1 (the token after), S2 (its second
            mention) and END (the last token, where the answer is predicted).
    """

    texts: list[str]
    ids: Int[Tensor, "N T"]
    swapped_ids: Int[Tensor, "N T"]
    unrelated_ids: Int[Tensor, "N T"]
    io_ids: Int[Tensor, " N"]
    s_ids: Int[Tensor, " N"]
    orders: list[str]
    template: Int[Tensor, " N"]
    positions: dict[str, Int[Tensor, " N"]]

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Sequence[int] | Tensor) -> Batch:
        """The prompts with these numbers, or those where a bool tensor is True."""
        index = torch.as_tensor(rows)
        index = index.nonzero()[:, 0] if index.dtype == torch.bool else index
        chosen = index.tolist()

        def take(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value[index]
            if isinstance(value, dict):
                return {key: item[index] for key, item in value.items()}
            return [value[row] for row in chosen]

        return Batch(**{field.name: take(getattr(self, field.name)) for field in fields(self)})

    def in_order(self, order: str) -> Batch:
        """The prompts of one order of names (see `orders`)."""
        return self.select(torch.tensor([own == order for own in self.orders]))


def load_batch(tokenizer: PreTrainedTokenizerBase, split: str = "test", each: int = 10) -> Batch:
    """The first `each` prompts of every pattern and order (there are 12 patterns, 2 orders, at most 20 prompts each).

    Args:
        tokenizer: of the model that will read them. Every name must be one token of it, and every prompt as long as the
            others; that is so for the embedded model, SmolLM2 and GPT-2.
        split: "test" (pairs of names that the embedded model never saw in training), "validation", or "counting": sentences
            in which one of two people is named twice and the other once, in three orders, and the one named once is due.

    Raises:
        ValueError: the tokenizer cuts a name in pieces, or gives prompts of different lengths.
    """
    table = pd.read_parquet(PROMPTS)
    table = table[table["split"] == split].groupby(["template", "order"], sort=True).head(each)

    def encode(texts: Iterable[str]) -> Tensor:
        rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        if len({len(row) for row in rows}) > 1:
            raise ValueError("this tokenizer gives the prompts different lengths; nothing here pads them")
        return torch.tensor(rows)

    def name_ids(names: Iterable[str]) -> Tensor:
        rows = tokenizer([" " + name for name in names], add_special_tokens=False)["input_ids"]
        if any(len(row) != 1 for row in rows):
            raise ValueError("this tokenizer cuts some names in pieces")
        return torch.tensor(rows)[:, 0]

    ids = encode(table["text"])  # [N, T]
    io_ids, s_ids = name_ids(table["io"]), name_ids(table["s"])  # [N]
    last = ids.shape[1] - 1
    first_s = (ids == s_ids[:, None]).int().argmax(dim=1)
    second_s = last - (ids.flip(1) == s_ids[:, None]).int().argmax(dim=1)
    positions = {
        "IO": (ids == io_ids[:, None]).int().argmax(dim=1),
        "S1": first_s,
        "S1+1": first_s + 1,
        "S2": second_s,
        "END": torch.full_like(first_s, last),
    }
    return Batch(
        texts=list(table["text"]),
        ids=ids,
        swapped_ids=encode(table["swapped"]),
        unrelated_ids=encode(table["unrelated"]),
        io_ids=io_ids,
        s_ids=s_ids,
        orders=list(table["order"]),
        template=torch.tensor(table["template"].to_numpy()),
        positions=positions,
    )


def renamed(batch: Batch, positions: Sequence[str], seed: int = 0) -> tuple[Int[Tensor, "N T"], Int[Tensor, " N"]]:
    """The prompts with a third name, drawn for each, in the place of the names at some positions.

    With ("S1", "S2") another person is repeated; with ("S1",) S2 stays, and nobody is repeated.

    Returns:
        `[N, T]`, the prompts' tokens; `[N]`, the third names.
    """
    names, generator = batch.io_ids.unique(), torch.Generator().manual_seed(seed)
    ids, third = batch.ids.clone(), torch.empty_like(batch.io_ids)
    for row in range(len(batch)):
        others = names[(names != batch.io_ids[row]) & (names != batch.s_ids[row])]
        third[row] = others[torch.randint(len(others), (1,), generator=generator)]
        for name in positions:
            ids[row, batch.positions[name][row]] = third[row]
    return ids, third


def load_ioi_model() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The embedded GPT-2 of 3 layers with 4 heads (float32, evaluation mode, CPU) and its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    with Quiet():
        model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), tokenizer


def load_history() -> pd.DataFrame:
    """What was measured on the test prompts during the embedded model's training: one row every few steps."""
    return pd.DataFrame(json.loads((FOLDER / "history.json").read_text()))


def load_checkpoints() -> dict[int, PreTrainedModel]:
    """The embedded model as it was at some steps of its training, from step number to model."""
    flat = load_file(str(FOLDER / "checkpoints.safetensors"))
    final, _ = load_ioi_model()
    models = {}
    for step in sorted({int(name.split("/")[0]) for name in flat}):
        model = copy.deepcopy(final)
        weights = {
            name.split("/", 1)[1]: weight.float() for name, weight in flat.items() if name.startswith(f"{step}/")
        }
        model.transformer.load_state_dict(weights)
        models[step] = model
    return models


@torch.no_grad()
def last_logits(model: nn.Module, ids: Int[Tensor, "N T"]) -> Float[Tensor, "N V"]:
    """The logits at the last position: the model's scores for the word that comes next."""
    return model(ids, use_cache=False).logits[:, -1]


def template_means(model: nn.Module, batch: Batch) -> dict[int, Float[Tensor, "L T H D"]]:
    """For each pattern of sentence, the mean head outputs over prompts with unrelated names.

    This is what a head says about such a sentence when it knows nothing of who is named in it: what a knocked-out head
    says under mean ablation.
    """
    run = record(model, batch.unrelated_ids, patterns=False)
    return {number: run.outputs[:, batch.template == number].mean(dim=1) for number in batch.template.unique().tolist()}


def ablation(
    batch: Batch, heads: Sequence[Head], ablate: Ablate, means: dict[int, Float[Tensor, "L T H D"]] | None = None
) -> Edit:
    """The edit of head outputs that knocks out some heads on a batch, for `circuits.run_with_heads` and `record`.

    Args:
        heads: (layer, head) pairs.
        ablate: `ablate_heads` of this part's exercise; it is called once for each layer and pattern.
        means: from `template_means`, for mean ablation; None for zero ablation.
    """
    chosen = by_layer(heads)
    groups = {number: (batch.template == number).nonzero()[:, 0] for number in batch.template.unique().tolist()}

    def edit(layer: int, outputs: Tensor) -> Tensor:
        if layer not in chosen:
            return outputs
        changed = outputs.clone()
        for number, rows in groups.items():  # each pattern of sentence has its own means
            changed[rows] = ablate(outputs[rows], chosen[layer], None if means is None else means[number][layer])
        return changed

    return edit


def ablated_logits(
    model: nn.Module,
    batch: Batch,
    heads: Sequence[Head],
    ablate: Ablate,
    means: dict[int, Float[Tensor, "L T H D"]] | None = None,
) -> Float[Tensor, "N V"]:
    """Run the model with some heads knocked out (see `ablation`); logits at the last position, in the batch's order."""
    return run_with_heads(model, batch.ids, ablation(batch, heads, ablate, means))[:, -1]


def outside(model: nn.Module, circuit: Sequence[Head]) -> list[Head]:
    """All heads of the model that are not in the circuit: those to knock out when the circuit is to work alone."""
    inside = set(circuit)
    every = anatomy(model).all_heads()
    unknown = sorted(inside - set(every))
    if unknown:
        raise ValueError(f"this model has no heads {unknown}: a head is (layer, head), both counted from 0")
    return [head for head in every if head not in inside]


def share_with_interval(part: Float[Tensor, " N"], whole: Float[Tensor, " N"]) -> tuple[float, float, float]:
    """The mean of `part` as a share of the mean of `whole`, and the ends of its 95 % interval over the prompts.

    The interval is a bootstrap's: the prompts are drawn anew, with replacement, 2,000 times (the same draws each time).
    """

    def ratio(x: np.ndarray, y: np.ndarray, axis: int) -> Any:
        return x.mean(axis) / y.mean(axis)

    pair = (in_float64(part).cpu().numpy(), in_float64(whole).cpu().numpy())
    settings: dict[str, Any] = {"paired": True, "vectorized": True, "n_resamples": 2000, "method": "percentile"}
    low, high = stats.bootstrap(pair, ratio, random_state=np.random.default_rng(0), **settings).confidence_interval
    return float(ratio(*pair, axis=0)), float(low), float(high)


def accuracy_with_interval(right: Tensor) -> tuple[float, float, float]:
    """The share of prompts that are right, `[N]` of 0 and 1, and the ends of its 95 % interval.

    The interval is Wilson's, which says something at 0 and at 1 as well.
    """
    found = stats.binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return float(right.double().mean()), float(found.low), float(found.high)


def in_words(share: tuple[float, float, float]) -> str:
    """A share with the ends of its interval as text: "0.42 (0.36 to 0.47)"."""
    value, low, high = (f"{end:.2f}".replace("-0.00", "0.00") for end in share)
    return f"{value} ({low} to {high})"
