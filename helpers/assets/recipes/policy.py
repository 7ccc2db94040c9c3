"""Stages ``targets`` and ``policy``: the small GPT-2, trained on real and synthetic reviews with SmolLM2 as its teacher.

Each token is learnt from two signals: the token that stands in the text, and the fine-tuned teacher's distribution for that
place (Hinton et al. 2015), mapped from SmolLM2's tokens to the small tokenizer's first pieces.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from . import reward, sources
from .synthetic import batches, synthetic_texts, training_texts
from .tokenizer import cut_down, decompositions, starting_embeddings

VOCABULARY, WIDTH, LAYERS, HEADS, CONTEXT = 6600, 192, 4, 6, 64
TOP = 24  # teacher probabilities kept for each token
EPOCHS = 13
SOFT = 0.6  # weight of the teacher's distribution against the text's own token


def make_tokenizer(cache: Path, out: Path, size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Cut SmolLM2's tokenizer down to the training text; real snippets count four times."""
    _, full = sources.smollm2(cache)
    extra = synthetic_texts(cache) if (cache / "synthetic.jsonl").exists() else []
    return cut_down(full, training_texts(out) * 4 + extra, size)


@torch.inference_mode()
def teacher_targets(cache: Path, texts: list[str], tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """Write, for every text, its ids and the teacher's ``TOP`` probabilities for each of them to ``path`` (npz)."""
    folder = cache / "teacher"
    teacher = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    full = AutoTokenizer.from_pretrained(folder)
    pieces = decompositions(full, tokenizer)
    first = torch.tensor([row[0] for row in pieces])  # [V_full]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows: dict[int, dict[str, np.ndarray]] = {}
    clock = time.time()
    for start in range(0, len(order), 64):
        chunk = order[start : start + 64]
        teacher_ids = [[1, *full(texts[i])["input_ids"][:60], 2] for i in chunk]
        longest = max(map(len, teacher_ids))
        ids = torch.tensor([row + [2] * (longest - len(row)) for row in teacher_ids])  # [B, T]
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in teacher_ids])  # [B, T]
        hidden = teacher.model(input_ids=ids, attention_mask=mask).last_hidden_state  # [B, T, D]
        for number, i in enumerate(chunk):
            row = teacher_ids[number]
            probabilities = teacher.lm_head(hidden[number, : len(row) - 1]).float().softmax(-1)  # [t, V_full]
            mapped = torch.zeros(len(row) - 1, len(tokenizer)).index_add_(1, first, probabilities)  # [t, V]
            values, indices = mapped.topk(TOP, dim=-1)
            small = tokenizer(texts[i])["input_ids"]
            rows[i] = align(row, small, pieces, indices, values)
        if start // 64 % 20 == 0:
            print(f"targets {start}/{len(order)} {time.time() - clock:.0f} s", flush=True)
    inside = [rows[i] for i in range(len(texts))]
    columns: dict[str, Any] = {key: np.concatenate([row[key] for row in inside]) for key in inside[0]}
    np.savez(path, lengths=np.array([len(row["ids"]) for row in inside]), **columns)


def align(
    teacher_row: list[int], small: list[int], pieces: list[list[int]], indices: torch.Tensor, values: torch.Tensor
) -> dict[str, np.ndarray]:
    """Place the teacher's targets at the first piece of each of its tokens; the other pieces keep none."""
    small = [*small[: CONTEXT - 2], 0] if len(small) > CONTEXT - 2 else [*small, 0]
    index = np.zeros((len(small), TOP), np.int16)
    value = np.zeros((len(small), TOP), np.float16)
    joined = [piece for token in teacher_row[1:] for piece in pieces[token]]
    if joined == small:
        position = 0
        for step, token in enumerate(teacher_row[1:]):
            index[position] = indices[step].numpy()
            value[position] = values[step].numpy()
            position += len(pieces[token])
    return {"ids": np.array(small, np.int16), "index": index, "value": value}


def load_targets(path: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rows that ``teacher_targets`` wrote: ids, indices and probabilities of each text."""
    data = np.load(path)
    ends = np.cumsum(data["lengths"])[:-1]
    return list(zip(*(np.split(data[key], ends) for key in ("ids", "index", "value")), strict=True))


def liking(texts: list[str], out: Path) -> list[float]:
    """P(positive) of each text by the finished reward model."""
    model = AutoModelForSequenceClassification.from_pretrained(out / "reward", dtype=torch.float32).eval()
    return reward.predict(model, AutoTokenizer.from_pretrained(out / "reward"), texts, half=True)


def balanced(liked: list[float]) -> list[int]:
    """What stays when praise (above ½) is dropped at random until the mean is ½: the teacher praises more than critics do."""
    kept, total = dict.fromkeys(range(len(liked))), sum(liked)
    praise = [i for i, p in enumerate(liked) if p > 0.5]
    random.Random(0).shuffle(praise)
    for i in praise:
        if total <= 0.5 * len(kept):
            break
        del kept[i]
        total -= liked[i]
    return list(kept)


def split(out: Path, name: str) -> list[str]:
    """The snippets of one split: ``validation`` and ``test`` never enter training."""
    rows = Dataset.from_parquet(str(out / "data" / "snippets.parquet"))
    return [row["text"] for row in rows if row["split"] == name]


def collate(rows: list[tuple], lead: bool) -> tuple[torch.Tensor, ...]:
    """Inputs, labels (−100 on padding), teacher indices and probabilities; with ``lead`` the end token opens the row."""
    if not lead:
        rows = [(ids, index[1:], value[1:]) for ids, index, value in rows]
        inputs = [ids[:-1] for ids, _, _ in rows]
        labels = [ids[1:] for ids, _, _ in rows]
    else:
        inputs = [np.concatenate([[0], ids[:-1]]) for ids, _, _ in rows]
        labels = [ids for ids, _, _ in rows]
    length = max(map(len, inputs))
    batch = len(rows)
    x = torch.zeros(batch, length, dtype=torch.long)  # [B, T]
    y = torch.full((batch, length), -100)  # [B, T]
    index = torch.zeros(batch, length, TOP, dtype=torch.long)  # [B, T, K]
    value = torch.zeros(batch, length, TOP)  # [B, T, K]
    for i, row in enumerate(rows):
        n = len(inputs[i])
        x[i, :n] = torch.from_numpy(inputs[i].astype(np.int64))
        y[i, :n] = torch.from_numpy(labels[i].astype(np.int64))
        index[i, :n] = torch.from_numpy(row[1].astype(np.int64))
        value[i, :n] = torch.from_numpy(row[2].astype(np.float32))
    return x, y, index, value


def distillation_loss(
    logits: torch.Tensor, labels: torch.Tensor, index: torch.Tensor, value: torch.Tensor, soft: float = SOFT
) -> torch.Tensor:
    """Mean over tokens of (1 − soft)·cross-entropy with the text + soft·cross-entropy with the teacher, where there is one."""
    log_probs = logits.log_softmax(-1)  # [B, T, V]
    keep = labels >= 0
    hard = -log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]  # [B, T]
    mass = value.sum(-1)  # [B, T]
    taught = -(log_probs.gather(-1, index) * value).sum(-1) / mass.clamp(min=1e-6)  # [B, T]
    weight = torch.where(mass > 0.5, soft, 0.0)
    return ((1 - weight) * hard + weight * taught)[keep].mean()


def new_model(cache: Path, tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """The untrained policy with SmolLM2's embeddings, projected, as its start."""
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    smollm2, full = sources.smollm2(cache)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(
            starting_embeddings(smollm2.get_input_embeddings().weight, full, tokenizer, WIDTH)
        )
    return model


def train(
    model: GPT2LMHeadModel, rows: list[tuple], folder: Path, watch: Callable[[GPT2LMHeadModel], float], *,
    epochs: int = EPOCHS, rate: float = 2e-3, size: int = 64, soft: float = SOFT,
) -> GPT2LMHeadModel:  # fmt: skip
    """Train on ``rows``; one checkpoint an epoch below ``folder``, resumed from there. ``watch`` measures each epoch's end."""
    lengths = [list(row[0]) for row in rows]
    total = epochs * len(batches(lengths, size, random.Random(0)))
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1.0, (s + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, s / total))))
    )
    folder.mkdir(parents=True, exist_ok=True)
    state_file, first = folder / "state.pt", 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["epoch"]
    for epoch in range(first, epochs):
        model.train()
        torch.manual_seed(epoch)
        draw, clock, running = random.Random(epoch), time.time(), 0.0
        plan = batches(lengths, size, draw)
        for step, chosen in enumerate(plan):
            x, y, index, value = collate([rows[i] for i in chosen], lead=draw.random() < 0.5)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(input_ids=x).logits  # [B, T, V]
            loss = distillation_loss(logits.float(), y, index, value, soft)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            running += loss.item()
            if step % 200 == 199:
                print(
                    f"policy epoch {epoch} step {step + 1}/{len(plan)} loss {running / 200:.3f} {time.time() - clock:.0f} s",
                    flush=True,
                )
                running = 0.0
        print(f"policy epoch {epoch} done: {watch(model.eval()):.4f} bits per character on validation", flush=True)
        parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
        torch.save({k: v.state_dict() for k, v in parts.items()} | {"epoch": epoch + 1}, state_file)
    return model.eval()


@torch.inference_mode()
def bits_per_character(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> float:
    """−log2 p(text | end token) summed over ``texts``, divided by their characters (the closing end token not counted)."""
    bits, characters = 0.0, 0
    for start in range(0, len(texts), 64):
        chunk = texts[start : start + 64]
        encoded = [tokenizer(text)["input_ids"][: CONTEXT - 1] for text in chunk]
        length = max(map(len, encoded))
        ids = torch.tensor([[0] + row + [0] * (length - len(row)) for row in encoded])  # [B, T+1]
        keep = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in encoded])  # [B, T]
        loss = F.cross_entropy(
            model(input_ids=ids[:, :-1]).logits.transpose(1, 2), ids[:, 1:], reduction="none"
        )  # [B, T]
        bits += (loss * keep).sum().item() / math.log(2)
        characters += sum(len(tokenizer.decode(row)) for row in encoded)
    return bits / characters


def words(text: str) -> list[str]:
    """Lower-case words: runs of letters, apostrophes inside allowed."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


@torch.inference_mode()
def samples(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 0) -> list[str]:
    """Unconditional samples at temperature 1, whole distribution."""
    torch.manual_seed(seed)
    start = torch.zeros(count, 1, dtype=torch.long)
    ids = model.generate(
        start,
        attention_mask=torch.ones_like(start),
        do_sample=True,
        top_k=0,
        max_new_tokens=CONTEXT - 4,
        pad_token_id=0,
    )
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids]


def share_of_known_words(texts: list[str], training: list[str]) -> float:
    """Share of the words in ``texts`` that occur in the training text."""
    known = {word for text in training for word in words(text)}
    found = [word in known for text in texts for word in words(text)]
    return sum(found) / len(found)


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the checkpoint in float16 (``from_pretrained(dtype=float32)`` widens it again) and the tokenizer."""
    half = GPT2LMHeadModel(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(out / "policy")
    tokenizer.save_pretrained(out / "policy")
    vocabulary = out / "policy" / "tokenizer.json"
    vocabulary.write_text(json.dumps(json.loads(vocabulary.read_text()), ensure_ascii=False, separators=(",", ":")))


def build(cache: Path, out: Path, epochs: int = EPOCHS) -> dict[str, float]:
    """Run the stage: tokenizer, targets, training, figures. Returns the figures of the card."""
    real, extra = training_texts(out / "data"), synthetic_texts(cache)
    work = cache / "policy"
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "tokenizer.json").exists():
        make_tokenizer(cache, out / "data").save_pretrained(work)
    tokenizer = AutoTokenizer.from_pretrained(work)
    for name, texts in (("real", real), ("extra", extra)):
        if not (work / f"{name}.npz").exists():
            teacher_targets(cache, texts, tokenizer, work / f"{name}.npz")
    taught = load_targets(work / "extra.npz")
    rows = load_targets(work / "real.npz") + [taught[i] for i in balanced(liking(extra, out))]
    held = split(out, "validation")
    torch.manual_seed(0)
    model = train(
        new_model(cache, tokenizer), rows, work, lambda m: bits_per_character(m, tokenizer, held), epochs=epochs
    )
    save(model, tokenizer, out)
    return figures(out, real + extra)


def figures(out: Path, training: list[str]) -> dict[str, float]:
    """The card's figures, measured on the saved checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(out / "policy")
    model = AutoModelForCausalLM.from_pretrained(out / "policy", dtype=torch.float32).eval()
    test = split(out, "test")
    drawn = samples(model, tokenizer, 300)
    return {
        "bits_per_character": bits_per_character(model, tokenizer, test),
        "known_words": share_of_known_words(drawn, training),
        "parameters": sum(p.numel() for p in model.parameters()),
    } | {"samples": drawn[:10]}


def report(result: dict) -> str:
    """The figures as JSON text."""
    return json.dumps(result, indent=2, ensure_ascii=False)
