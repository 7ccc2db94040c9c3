"""Stages ``teacher`` and ``synthetic``: SmolLM2-135M fine-tuned on the training snippets, then sampled for more text.

Only rows of the splits train and gold are used: no held-out snippet reaches the teacher, so none reaches the policy.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from pathlib import Path

import torch
from datasets import Dataset

from . import sources

EPOCHS, BATCH, LEARNING_RATE = 1, 32, 1.5e-4
STOP_AFTER = 210  # steps; the learning rate's decay is laid out for the whole epoch of 272
BUCKET = 2048  # rows sorted by length inside a bucket, so that little of a batch is padding


def training_texts(out: Path) -> list[str]:
    """The snippets that generative models may see."""
    rows = Dataset.from_parquet(str(out / "snippets.parquet"))
    return [row["text"] for row in rows if row["split"] in ("train", "gold")]


def batches(sequences: list[list[int]], size: int, draw: random.Random) -> list[list[int]]:
    """Batches of index lists, shuffled, with rows of similar length together."""
    order = list(range(len(sequences)))
    draw.shuffle(order)
    result = []
    for start in range(0, len(order), BUCKET):
        bucket = sorted(order[start : start + BUCKET], key=lambda i: len(sequences[i]))
        result += [bucket[i : i + size] for i in range(0, len(bucket), size)]
    draw.shuffle(result)
    return result


def padded(rows: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right-padded ids, attention mask and labels (−100 on padding), each ``[B, T]``."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])  # [B, T]
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])  # [B, T]
    return ids, mask, ids.masked_fill(mask == 0, -100)


def train_teacher(cache: Path, out: Path, epochs: int = EPOCHS) -> None:
    """Fine-tune SmolLM2 on the training snippets; checkpoint each quarter epoch below ``cache/teacher``."""
    folder = cache / "teacher"
    if (folder / "done").exists():
        return
    torch.manual_seed(0)
    model, tokenizer = sources.smollm2(cache)
    bos, eos = 1, 2
    sequences = [[bos, *tokenizer(text)["input_ids"][:60], eos] for text in training_texts(out)]
    plan = [batch for epoch in range(epochs) for batch in batches(sequences, BATCH, random.Random(epoch))]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / 20) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * s / len(plan))))
    )
    start = 0
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        start = state["step"]
    folder.mkdir(parents=True, exist_ok=True)
    clock = time.time()
    for step in range(start, min(STOP_AFTER, len(plan))):
        ids, mask, labels = padded([sequences[i] for i in plan[step]], eos)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            print(f"teacher step {step}/{len(plan)} loss {loss.item():.3f} {time.time() - clock:.0f} s", flush=True)
        if (step + 1) % 70 == 0:
            parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
            torch.save({k: v.state_dict() for k, v in parts.items()} | {"step": step + 1}, state_file)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "done").write_text("done\n")
    state_file.unlink(missing_ok=True)


@torch.inference_mode()
def sample(cache: Path, out: Path, rounds: int = 90, size: int = 192, temperature: float = 0.85) -> None:
    """Append ``rounds`` × ``size`` synthetic reviews to ``cache/synthetic.jsonl``; a second run goes on where it was."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = cache / "teacher"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    path = cache / "synthetic.jsonl"
    done = len(path.read_text().splitlines()) if path.exists() else 0
    for number in range(done, rounds):
        torch.manual_seed(1000 + number)
        start = torch.full((size, 1), 1)
        ids = model.generate(
            start,
            attention_mask=torch.ones_like(start),
            do_sample=True,
            top_k=0,
            temperature=temperature,
            max_new_tokens=44,
            pad_token_id=2,
            eos_token_id=2,
        )
        finished = [row for row in ids[:, 1:].tolist() if 2 in row]  # an unfinished review would teach cut sentences
        texts = [tokenizer.decode(row[: row.index(2)]).strip() for row in finished]
        with path.open("a") as stream:
            stream.write(json.dumps(texts) + "\n")
        print(f"synthetic {number + 1}/{rounds}: {len(texts)} reviews", flush=True)


def synthetic_texts(cache: Path) -> list[str]:
    """The synthetic reviews, without doubles, non-ASCII scraps or copies of very few words."""
    lines = (cache / "synthetic.jsonl").read_text().splitlines()
    texts = dict.fromkeys(sources.tidy(text) for line in lines for text in json.loads(line))
    return [text for text in texts if len(text.split()) >= 4 and re.fullmatch(r"[\x20-\x7e]+", text)]
