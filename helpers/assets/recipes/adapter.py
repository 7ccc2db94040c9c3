"""Stage `adapter`: SmolLM2-135M learns to write reviews through a low-rank adapter (Hu et al. 2021), in its own vocabulary.

Only rows of the splits train and gold are used: no held-out snippet reaches it, and so none reaches what is made with it.
"""

from __future__ import annotations

import math
import random
import time
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from . import sources
from .batching import batches, padded, training_texts

START, END = 1, 2  # <|im_start|> and <|im_end|>, which open and close a review
LONGEST = 60  # tokens of a snippet; 99 % are shorter
EPOCHS, BATCH, RATE = 2, 32, 1e-3
SHAPE: dict[str, Any] = {
    "r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "task_type": "CAUSAL_LM",
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}  # fmt: skip
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
KEPT_EVERY = 50  # steps between checkpoints


def train(cache: Path, out: Path) -> None:
    """Train the adapter on the training snippets, resuming from `cache/adapter.pt`; write it to `out/smollm2`."""
    from peft import LoraConfig, get_peft_model

    base, tokenizer = sources.smollm2(cache)
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(**SHAPE))
    rows = [[START, *tokenizer(text)["input_ids"][:LONGEST], END] for text in training_texts(out / "data")]
    plan = [batch for epoch in range(EPOCHS) for batch in batches(rows, BATCH, random.Random(epoch))]
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=RATE, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / 20) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * s / len(plan))))
    )
    kept, first = cache / "adapter.pt", 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["adapter"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    began = time.time()
    model.train()
    for step in range(first, len(plan)):
        torch.manual_seed(step)
        ids, mask, labels = padded([rows[i] for i in plan[step]], END)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            print(f"adapter step {step}/{len(plan)} loss {loss.item():.3f} {time.time() - began:.0f} s", flush=True)
        if step % KEPT_EVERY == KEPT_EVERY - 1:
            weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
            torch.save(
                {
                    "adapter": weights,
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "step": step + 1,
                },
                kept,
            )
    save(model, out / "smollm2")


def save(model: PreTrainedModel, folder: Path) -> None:
    """Write the adapter alone, in float16."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half()
    model.peft_config["default"].base_model_name_or_path = BASE  # and not a folder of the machine that trained it
    model.save_pretrained(folder)


def merged(cache: Path, out: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """SmolLM2 with the adapter's products added to its weights."""
    from peft import PeftModel

    base, tokenizer = sources.smollm2(cache)
    return PeftModel.from_pretrained(base, out / "smollm2").merge_and_unload(), tokenizer
