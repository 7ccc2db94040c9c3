"""The IOI analysis of `docs/ioi-smollm2.md`: `python -m helpers.assets.recipes.ioi_smollm2 CHECKPOINT_FOLDER`.

Patching each of 270 heads at each position by itself would take an hour on a laptop. So all heads are screened by a first-order
estimate (the gradient of the logit difference with respect to a head's output in the corrupted run, times the change that
the patch would make; Nanda 2023 calls it attribution patching), and the strongest are then patched for real.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from helpers.interpretability import attribution, circuits, ioi


def difference(logits: Tensor, batch: ioi.Batch) -> Tensor:
    """Logit of IO minus logit of S, `[N]`."""
    rows = torch.arange(len(batch))
    return logits[rows, batch.io_ids] - logits[rows, batch.s_ids]


def estimate(model: torch.nn.Module, batch: ioi.Batch, clean: Tensor) -> dict[str, Tensor]:
    """First-order estimate of what patching each head at each named position adds to the logit difference, `[L, H]`."""
    parts = circuits.anatomy(model)
    kept: dict[int, Tensor] = {}

    def follow(layer: int, outputs: Tensor) -> Tensor:
        leaf = outputs.detach().requires_grad_() if layer == 0 else outputs
        leaf.retain_grad()
        kept[layer] = leaf
        return leaf

    with ExitStack() as hooks:
        for layer in range(len(parts.blocks)):
            hooks.enter_context(circuits.head_output_hook(parts, layer, follow))
        logits = model(batch.swapped_ids, use_cache=False).logits[:, -1]
    difference(logits, batch).mean().backward()
    result = {}
    rows = torch.arange(len(batch))
    for name, where in batch.positions.items():
        scores = []
        for layer, outputs in kept.items():
            assert outputs.grad is not None
            change = (clean[layer] - outputs.detach()) * outputs.grad  # [N, T, H, D]
            scores.append(change[rows, where].sum((0, 2)))
        result[name] = torch.stack(scores)
    return result


SINGLE: tuple[tuple[circuits.Head, str], ...] = (
    ((23, 3), "END"), ((20, 0), "END"), ((19, 2), "END"), ((17, 4), "S2"), ((14, 3), "S2"),
)  # fmt: skip
MOVERS = ((23, 0), (23, 1), (23, 2), (23, 7))
PATHS: tuple[tuple[circuits.Head, str, str, tuple[circuits.Head, ...], str], ...] = (
    ((20, 0), "END", "the logits", (), "query"),
    ((20, 0), "END", "queries of 23.0, 23.1, 23.2, 23.7", MOVERS, "query"),
    ((20, 0), "END", "query of 23.3", ((23, 3),), "query"),
    ((20, 0), "END", "query of 24.4", ((24, 4),), "query"),
    ((19, 2), "END", "queries of 23.0, 23.1, 23.2, 23.7", MOVERS, "query"),
    ((17, 4), "S2", "values of 20.0", ((20, 0),), "value"),
    ((17, 4), "S2", "keys of 20.0", ((20, 0),), "key"),
    ((14, 3), "S2", "values of 20.0", ((20, 0),), "value"),
)


def patch(outputs: Tensor, source: Tensor, heads: Sequence[int], positions: Sequence[int] | None = None) -> Tensor:
    """Some heads' outputs from another run, at some positions: what the notebook's exercise asks for."""
    chosen = list(heads)
    result = outputs.clone()
    if positions is None:
        result[:, :, chosen] = source[:, :, chosen]
    for position in positions or ():
        result[:, position, chosen] = source[:, position, chosen]
    return result


def follow_paths(model: PreTrainedModel, batch: ioi.Batch, run: circuits.Recording) -> dict[str, list[dict]]:
    """The two tests that could refute the heads' names: copying scores, and path patching with 95 % intervals."""
    swapped = circuits.record(model, batch.swapped_ids)
    corrupted = difference(swapped.logits[:, -1], batch)
    way = difference(run.logits[:, -1], batch) - corrupted

    def restored(logits: Tensor) -> list[float]:
        return list(ioi.share_with_interval(difference(logits, batch) - corrupted, way))

    single = []
    for head, at in SINGLE:
        logits = circuits.patched_logits(model, batch.swapped_ids, [head], run.outputs, patch, batch.positions[at])
        single.append({"head": f"{head[0]}.{head[1]}", "at": at, "restored": restored(logits)})
    paths = []
    for sender, at, name, receivers, through in PATHS:
        logits = circuits.path_patch(
            model, batch.swapped_ids, swapped, run, patch, [sender], receivers, through, batch.positions[at]
        )
        paths.append({"sender": f"{sender[0]}.{sender[1]}", "at": at, "to": name, "restored": restored(logits)})
    raises = attribution.copying_scores(model, batch.ids, batch.positions["IO"], batch.io_ids.unique())
    order = raises.flatten().sort(descending=True).indices.tolist()
    heads = circuits.anatomy(model).all_heads()
    ends = [*order[:8], *order[-4:]]
    copying = [{"head": "{}.{}".format(*heads[n]), "raises by": raises.flatten()[n].item()} for n in ends]
    copying.append({"head": "all heads, standard deviation", "raises by": raises.std().item()})
    return {"single heads": single, "paths": paths, "copying scores": copying}


def main(arguments: Sequence[str]) -> None:
    """Analyse and print one JSON object."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(arguments[0])
    model = AutoModelForCausalLM.from_pretrained(arguments[0], dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    batch = ioi.load_batch(tokenizer, each=1)
    run = circuits.record(model, batch.ids)
    full = difference(run.logits[:, -1], batch)
    corrupted = difference(ioi.last_logits(model, batch.swapped_ids), batch)
    first = run.logits[:, -1].argmax(-1) == batch.io_ids
    probability = run.logits[:, -1].softmax(-1)[torch.arange(len(batch)), batch.io_ids]
    found: dict = {
        "prompts": len(batch),
        "logit_difference": full.mean().item(),
        "by_order": {o: full[[own == o for own in batch.orders]].mean().item() for o in ("ABBA", "BABA")},
        "io_before_s": (full > 0).float().mean().item(),
        "io_first": first.float().mean().item(),
        "io_probability": probability.mean().item(),
        "corrupted": corrupted.mean().item(),
    }
    direct = attribution.attribute_logits(model, run, batch.io_ids, batch.s_ids)
    found["sum_of_parts_error"] = (direct.total() - full).abs().max().item()
    found["mlps"] = direct.mlps.sum(1).mean().item()
    heads = direct.heads.mean(0)
    all_heads = circuits.anatomy(model).all_heads()
    rows = torch.arange(len(batch))

    assert run.patterns is not None
    patterns = run.patterns

    def describe(head: circuits.Head, origin: str) -> dict:
        look = patterns[head[0], rows, head[1], batch.positions[origin]]  # [N, T]
        to = {goal: look.gather(1, batch.positions[goal][:, None]).mean().item() for goal in ioi.POSITIONS}
        return {"head": f"{head[0]}.{head[1]}", "direct": heads[head].item(), "attention": to}

    found["direct"] = [describe(all_heads[index], "END") for index in heads.abs().flatten().topk(12).indices.tolist()]

    # Half of the prompts, one order for each pattern in turn, are enough for the patches.
    half = [row for row in range(len(batch)) if (row // 2 + row) % 2 == 0]
    part, outputs = batch.select(half), run.outputs[:, half]
    start = corrupted[half].mean()
    way = full[half].mean() - start
    screened = estimate(model, part, outputs)
    for position, count in (("END", 10), ("S2", 6)):
        lines = []
        for index in screened[position].abs().flatten().topk(count).indices.tolist():
            head = all_heads[index]
            where = part.positions[position]
            logits = circuits.patched_logits(model, part.swapped_ids, [head], outputs, patch, where)
            effect = ((difference(logits, part).mean() - start) / way).item()
            line = describe(head, position) | {"restored": effect, "estimated": (screened[position][head] / way).item()}
            lines.append(line)
        found[f"patched at {position}"] = sorted(lines, key=lambda line: -abs(line["restored"]))
    found |= follow_paths(model, batch, run)
    found["seconds"] = time.perf_counter() - begin
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main([str(Path(argument)) for argument in sys.argv[1:]])
