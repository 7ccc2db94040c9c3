"""Part 1's panel: the next token's probabilities under a temperature and a top-k."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers import plots
from helpers.plots import COLOURS, describe, figure
from helpers.widgets import number, panel, text

TopK = Callable[[Tensor, int], Tensor]  # the student's top_k_filter(logits [1, V], k)


@torch.no_grad()
def draw_next_token(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    top_k_filter: TopK,
    prompt: str,
    temperature: float,
    top_k: int,
) -> Figure:
    """Bars of the twelve likeliest next tokens: as the model has them, and as they are drawn."""
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"].to(policy.device)
    if ids.shape[1] == 0:
        ids = torch.tensor([[tokenizer.eos_token_id]], device=policy.device)
    logits = policy(ids, use_cache=False).logits[:, -1].float()  # [1, V]
    plain = logits.softmax(-1)[0].cpu()  # [V]
    changed = (top_k_filter(logits, top_k) / temperature).softmax(-1)[0].cpu()  # [V]
    likely = plain.topk(12)
    names = [repr(tokenizer.decode([number]))[1:-1] or "·" for number in likely.indices.tolist()]
    entropy = torch.special.entr(changed).sum().item()
    with figure(size=(9.0, 3.4)) as (fig, axes):
        places = torch.arange(12)
        axes.bar(
            places - 0.2, likely.values, 0.4, color="#BBBBBB", hatch="//", edgecolor="white", label="the model's own"
        )
        axes.bar(places + 0.2, changed[likely.indices], 0.4, color=COLOURS["blue"], label="as drawn")
        axes.set_xticks(places, names, rotation=35, ha="right")
        alive = int((changed > 0).sum())
        axes.set(
            title=f"temperature {temperature:g}, top-k {top_k or 'off'}: {alive} tokens possible, entropy {entropy:.2f} nats",
            xlabel="next token", ylabel="probability",
        )  # fmt: skip
        axes.legend()
    told = ", ".join(
        f"{name} {before:.2f} to {after:.2f}"
        for name, before, after in zip(names, likely.values.tolist(), changed[likely.indices].tolist(), strict=True)
    )
    return describe(
        fig, f"After {prompt!r}, probabilities of the next token before and after: {told}. Entropy {entropy:.2f} nats."
    )


def next_token_panel(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, top_k_filter: TopK) -> None:
    """A prompt, a temperature and a top-k to change; without widgets, three settings one below the other."""

    def draw(prompt: str, temperature: float, top_k: float) -> None:
        plots.show(draw_next_token(policy, tokenizer, top_k_filter, prompt, temperature, int(top_k)))

    controls = {"prompt": text("The film is"), "temperature": number(1.0, 0.1, 5.0, 0.1), "top k": number(0, 0, 50, 1)}
    panel(draw, controls, still=[{}, {"temperature": 0.5}, {"top_k": 3}])
