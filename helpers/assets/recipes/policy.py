"""Stage `policy`: the small GPT-2, trained on real and synthetic reviews with the fine-tuned SmolLM2 as its teacher.

Each token is learnt from two signals: the token that stands in the text, and the teacher's distribution for that place
(Hinton et al. 2015). Teacher and policy share one vocabulary of whole words.
"""

from __future__ import annotations

import json
import math
import pickle
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

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

from . import reward, synthetic, whole_words
from .batching import batches, padded, training_texts
from .synthetic import TOP
from .whole_words import CONTEXT

WIDTH, LAYERS, HEADS = 256, 3, 8
EPOCHS, RATE, BATCH = 8, 3e-3, 128
UNJOIN, LAST_ROWS, LAST_RATE = 5.0, 40_000, 3e-4  # of the last pass, in which words are taught not to be joined
SOFT = 0.8  # weight of the teacher's distribution against the text's own token

Row = tuple[np.ndarray, np.ndarray, np.ndarray]  # ids [T] with the end token last, indices [T, K], probabilities [T, K]


@torch.inference_mode()
def taught(cache: Path, texts: list[str]) -> list[Row]:
    """Real snippets of whole words, with the teacher's `TOP` probabilities at the temperature of its sampling."""
    teacher = AutoModelForCausalLM.from_pretrained(cache / "teacher", dtype=torch.bfloat16).eval()
    tokenizer = AutoTokenizer.from_pretrained(cache / "teacher")
    rows: list[Row] = []
    for start in range(0, len(texts), 64):
        chunk = [[0, *tokenizer(text)["input_ids"][: CONTEXT - 2], 0] for text in texts[start : start + 64]]
        ids, mask, _ = padded(chunk, 0)
        logits = teacher(input_ids=ids, attention_mask=mask).logits.float()  # [B, T, V]
        value, index = (logits / synthetic.TEMPERATURE).softmax(-1).topk(TOP, dim=-1)  # [B, T, K]
        for i, row in enumerate(chunk):
            n = len(row) - 1
            rows.append((
                np.array(row[1:], np.int16), index[i, :n].numpy().astype(np.int16), value[i, :n].numpy().astype(np.float16)
            ))  # fmt: skip
    return rows


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
    """The snippets of one split: `validation` and `test` never enter training."""
    rows = Dataset.from_parquet(str(out / "data" / "snippets.parquet"))
    return [row["text"] for row in rows if row["split"] == name]


def collate(rows: list[tuple], lead: bool) -> tuple[torch.Tensor, ...]:
    """Inputs, labels (−100 on padding), teacher indices and probabilities; with `lead` the end token opens the row."""
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


def joining(tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens that would be joined to a word before them, and those behind which nothing may be joined, bool `[V]` each.

    A word that begins a text has no blank in front: behind another word it would make one word of two ("aYour"). Behind
    the start, an opening bracket, a quotation mark or a hyphen it is right.
    """
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    closed = torch.tensor([name[-1].isalpha() or name[-1] in ".,!?;:)" for name in names])
    closed[0] = False
    spoken = set(whole_words.spoken(tokenizer))
    bare = torch.tensor([(name.isalpha() and name[0] != "Ġ") or i not in spoken for i, name in enumerate(names)])
    return bare, closed


def joined_loss(logits: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor, joins: tuple) -> torch.Tensor:
    """Mean of −ln(1 − p) over the places where a joined token would be wrong, p being the probability of all such tokens.

    Unlikelihood training (Welleck et al. 2019, equation 4), for a set of tokens.

    Args:
        logits: [B, T, V].
        inputs: [B, T] the tokens read.
        labels: [B, T], −100 on padding.
        joins: what `joining` gives.
    """
    bare, closed = joins
    where = closed[inputs] & (labels >= 0) & ~bare[labels.clamp(min=0)]  # [B, T]
    mass = logits.softmax(-1)[..., bare].sum(-1)[where]  # [N]
    return -torch.log1p(-mass.clamp(max=1 - 1e-6)).mean()


def new_model(cache: Path, tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """The untrained policy; its embeddings start as a PCA of the teacher's, scaled to a standard deviation of .05."""
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    teacher = AutoModelForCausalLM.from_pretrained(cache / "teacher", dtype=torch.float32)
    rows = teacher.get_input_embeddings().weight.detach()  # [V, D]
    rows = rows - rows.mean(0)
    _, _, axes = torch.linalg.svd(rows, full_matrices=False)
    start = rows @ axes[:WIDTH].T  # [V, WIDTH]
    with torch.no_grad():
        model.transformer.wte.weight.copy_(start / start.std() * 0.05)
    return model


def train(
    model: GPT2LMHeadModel, rows: list[tuple], folder: Path, watch: Callable[[GPT2LMHeadModel], float], *,
    epochs: int = EPOCHS, rate: float = RATE, size: int = BATCH, soft: float = SOFT, joins: tuple | None = None,
) -> GPT2LMHeadModel:  # fmt: skip
    """Train on `rows`; one checkpoint an epoch below `folder`, resumed from there. `watch` measures each epoch's end.

    With `joins` the loss has `joined_loss` as well, times `UNJOIN`.
    """
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
            if joins is not None:
                loss = loss + UNJOIN * joined_loss(logits.float(), x, y, joins)
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
    """−log2 p(text | end token) summed over `texts`, divided by their characters (the closing end token not counted)."""
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
    """Share of the words in `texts` that occur in the training text."""
    known = {word for text in training for word in words(text)}
    found = [word in known for text in texts for word in words(text)]
    return sum(found) / len(found)


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the checkpoint in float16 (`from_pretrained(dtype=float32)` widens it again) and the tokenizer."""
    half = GPT2LMHeadModel(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(out / "policy")
    tokenizer.save_pretrained(out / "policy")
    vocabulary = out / "policy" / "tokenizer.json"
    vocabulary.write_text(json.dumps(json.loads(vocabulary.read_text()), ensure_ascii=False, separators=(",", ":")))


def reviews(cache: Path) -> list[Row]:
    """The teacher's reviews, doubles dropped."""
    rows = [row for path in sorted((cache / "synthetic").glob("*.npz")) for row in synthetic.load(path)]
    return list({row[0].tobytes(): row for row in rows}.values())


def kept_on_disk(path: Path, compute: Callable[[], list]) -> list:
    """What was computed before, or is now and is kept: a run that is cut off goes on without it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".new").open("wb") as file:
            pickle.dump(compute(), file)
        path.with_suffix(".new").rename(path)
    with path.open("rb") as file:
        return pickle.load(file)


def build(cache: Path, out: Path, epochs: int = EPOCHS) -> dict[str, float]:
    """Run the stage: targets of the real snippets, training, figures. Returns the figures of the card."""
    tokenizer = AutoTokenizer.from_pretrained(cache / "teacher")
    extra = reviews(cache)
    texts = tokenizer.batch_decode([row[0][:-1] for row in extra])
    liked = kept_on_disk(cache / "policy" / "liked.pickle", lambda: liking(texts, out))
    kept = [extra[i] for i in balanced(liked)]
    real = kept_on_disk(
        cache / "policy" / "taught.pickle",
        lambda: taught(cache, synthetic.fitting(tokenizer, training_texts(out / "data"))),
    )
    held = synthetic.fitting(tokenizer, split(out, "validation"))
    tokens = sum(len(row[0]) for row in kept)
    print(f"policy: {len(kept)} of {len(extra)} reviews, {tokens} tokens, and {len(real)} snippets", flush=True)
    torch.manual_seed(0)
    model = train(
        new_model(cache, tokenizer), real + kept, cache / "policy", lambda m: bits_per_character(m, tokenizer, held),
        epochs=epochs,
    )  # fmt: skip
    some = random.Random(0).sample(real + kept, LAST_ROWS)
    model = train(
        model, some, cache / "policy" / "last", lambda m: bits_per_character(m, tokenizer, held),
        epochs=1, rate=LAST_RATE, joins=joining(tokenizer),
    )  # fmt: skip
    save(model, tokenizer, out)
    return figures(out, texts)


def figures(out: Path, training: list[str]) -> dict[str, float]:
    """The card's figures, measured on the saved checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(out / "policy")
    model = AutoModelForCausalLM.from_pretrained(out / "policy", dtype=torch.float32).eval()
    test = synthetic.fitting(tokenizer, split(out, "test"))
    drawn = samples(model, tokenizer, 300)
    return {
        "bits_per_character": bits_per_character(model, tokenizer, test),
        "known_words": share_of_known_words(drawn, training),
        "held_out": len(test),
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": model.config.n_layer,
        "width": model.config.n_embd,
        "heads": model.config.n_head,
        "vocabulary": len(tokenizer),
    } | {"samples": drawn[:10]}


def report(result: dict) -> str:
    """The figures as JSON text."""
    return json.dumps(result, indent=2, ensure_ascii=False)
