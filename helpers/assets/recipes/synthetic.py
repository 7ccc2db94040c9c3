"""Stages `teacher` and `synthetic`: a model that writes in whole words, and far more text than there are snippets.

Only rows of the splits train and gold are used: no held-out snippet reaches the teacher, so none reaches the policy. The
teacher is SmolLM2 with the adapter of the stage before, its embeddings cut down to whole words (`whole_words`): what it writes is
made of whole words by construction, and each token comes with the teacher's distribution at its place.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

from . import adapter, whole_words
from .adapter import END, START
from .batching import training_texts

TOP = 24  # teacher probabilities kept for each token
TEMPERATURE = 0.85  # of the sampling; the kept probabilities are those at this temperature
LONGEST = 44  # tokens of a review; one that has not ended by then is dropped
SENTENCE = 25  # words


def cut_down(model: PreTrainedModel, full: PreTrainedTokenizerFast, small: PreTrainedTokenizerFast) -> PreTrainedModel:
    """`model` with the embedding rows of `small`'s tokens only.

    `small` has one token for the start and the end of a review, where the model has two: so that token is read as `START`
    and written as `END`, and input and output no longer share their rows.
    """
    rows = torch.tensor(full.convert_tokens_to_ids(small.convert_ids_to_tokens(list(range(len(small))))))
    weight = model.get_input_embeddings().weight.detach()  # [V_full, D]
    read, written = rows.clone(), rows.clone()
    read[0], written[0] = START, END
    model.config.tie_word_embeddings = False
    model.config.vocab_size = len(rows)
    model.model.embed_tokens = torch.nn.Embedding.from_pretrained(weight[read].clone(), freeze=False)
    model.lm_head = torch.nn.Linear(weight.shape[1], len(rows), bias=False)
    with torch.no_grad():
        model.lm_head.weight.copy_(weight[written])
    model.config.bos_token_id = model.config.eos_token_id = model.config.pad_token_id = 0
    model.generation_config = type(model.generation_config).from_model_config(model.config)
    return model


def fitting(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[str]:
    """The snippets that consist of whole words; of the others those sentences that do."""
    whole = [text for text, fits in zip(texts, whole_words.fits(tokenizer, texts), strict=True) if fits]
    known = set(whole)
    pieces = [piece for text in texts if text not in known for piece in sentences(text) if ends(piece)]
    some = [piece for piece, fits in zip(pieces, whole_words.fits(tokenizer, pieces), strict=True) if fits]
    return list(dict.fromkeys(row for row in whole + some if len(row.split()) >= 4))


def sentences(text: str) -> list[str]:
    """A text cut behind its full stops, exclamation and question marks."""
    return re.split(r"(?<=[.!?])\s+", text)


def ends(text: str) -> bool:
    """Whether a sentence begins and ends as one."""
    return text[:1].isupper() and text[-1:] in ".!?"


def make_teacher(cache: Path, out: Path) -> None:
    """Cut SmolLM2 with its adapter down to whole words; the result below `cache/teacher`."""
    folder = cache / "teacher"
    if (folder / "done").exists():
        return
    model, full = adapter.merged(cache, out)
    small = whole_words.make(full, whole_words.vocabulary(full, training_texts(out / "data")))
    print(f"{len(small)} tokens", flush=True)
    cut_down(model, full, small).save_pretrained(folder)
    small.save_pretrained(folder)
    (folder / "done").write_text("done\n")


@torch.inference_mode()
def one_round(model: PreTrainedModel, allowed: torch.Tensor, size: int, seed: int) -> list[dict[str, np.ndarray]]:
    """`size` reviews from the start token on: of each that ends, ids and the `TOP` probabilities of each place."""
    generator = torch.Generator().manual_seed(seed)
    cache = DynamicCache()
    alive = torch.arange(size)
    current = torch.zeros(size, 1, dtype=torch.long)  # [B, 1]
    steps: list[tuple] = []
    for _ in range(LONGEST):
        logits = model(input_ids=current, past_key_values=cache, use_cache=True).logits[:, -1].float()  # [B, V]
        probabilities = (logits / TEMPERATURE + allowed).softmax(-1)  # [B, V]
        drawn = torch.multinomial(probabilities, 1, generator=generator)  # [B, 1]
        value, index = probabilities.topk(TOP, dim=-1)  # [B, K]
        steps.append(
            (alive.numpy(), drawn[:, 0].numpy(), index.numpy().astype(np.int16), value.numpy().astype(np.float16))
        )
        goes_on = (drawn[:, 0] != 0).nonzero()[:, 0]
        if not len(goes_on):
            break
        alive, current = alive[goes_on], drawn[goes_on]
        if len(goes_on) < len(drawn):
            cache.batch_select_indices(goes_on)
    open_ones = set(alive.tolist())
    rows: list[dict[str, list]] = [{"ids": [], "index": [], "value": []} for _ in range(size)]
    for numbers, ids, index, value in steps:
        for place, number in enumerate(numbers):
            rows[number]["ids"].append(ids[place])
            rows[number]["index"].append(index[place])
            rows[number]["value"].append(value[place])
    done = [row for number, row in enumerate(rows) if number not in open_ones]
    return [
        {"ids": np.array(r["ids"], np.int16), "index": np.stack(r["index"]), "value": np.stack(r["value"])}
        for r in done
    ]


def readable(text: str) -> bool:
    """At least four words, and no sentence of more than `SENTENCE` words."""
    return len(text.split()) >= 4 and all(len(sentence.split()) <= SENTENCE for sentence in sentences(text))


def sample(cache: Path, name: str = "synthetic", *, rounds: int = 400, size: int = 512, seed: int = 1000) -> None:
    """Write `rounds` rounds of reviews below `cache/name`, one file each; a second run goes on where it was."""
    model = AutoModelForCausalLM.from_pretrained(cache / "teacher", dtype=torch.bfloat16).eval()
    tokenizer = AutoTokenizer.from_pretrained(cache / "teacher")
    allowed = torch.full((len(tokenizer),), -torch.inf)
    allowed[whole_words.spoken(tokenizer)] = 0
    folder = cache / name
    folder.mkdir(exist_ok=True)
    clock, tokens = time.time(), 0
    for number in range(rounds):
        path = folder / f"{number:04d}.npz"
        if path.exists():
            continue
        rows = []
        for row in one_round(model, allowed, size, seed=seed + number):
            ids = row["ids"][:-1].tolist()
            text = tokenizer.decode(ids)
            if readable(text) and tokenizer(text)["input_ids"] == ids:
                rows.append(row)
        columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        columns["lengths"] = np.array([len(row["ids"]) for row in rows], np.int16)
        np.savez(path, allow_pickle=False, **columns)
        tokens += len(columns["ids"])
        print(
            f"{name} {number + 1}/{rounds}: {len(rows)} reviews, {tokens / (time.time() - clock):.0f} tokens/s",
            flush=True,
        )


def load(path: Path) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rows of one round: ids (the end token last), indices and probabilities of each review."""
    data = np.load(path)
    ends = np.cumsum(data["lengths"].astype(np.int64))[:-1]
    return list(zip(*(np.split(data[key], ends) for key in ("ids", "index", "value")), strict=True))


def texts(cache: Path, part: int, count: int) -> list[str]:
    """The first `count` different reviews of the even (`part` 0) or odd (1) rounds."""
    tokenizer = AutoTokenizer.from_pretrained(cache / "teacher")
    other = {text for path in rounds_of(cache, 1 - part) for text in decoded(path, tokenizer)} if part else set()
    found: dict[str, None] = {}
    for path in rounds_of(cache, part):
        found |= dict.fromkeys(text for text in decoded(path, tokenizer) if text not in other)
        if len(found) >= count:
            break
    return list(found)[:count]


def rounds_of(cache: Path, part: int) -> list[Path]:
    """The files of the even or odd rounds, in order."""
    return [path for path in sorted((cache / "synthetic").glob("*.npz")) if int(path.stem) % 2 == part]


def decoded(path: Path, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The texts of one round."""
    data = np.load(path)
    ends = np.cumsum(data["lengths"].astype(np.int64))[:-1]
    return tokenizer.batch_decode([row[:-1].tolist() for row in np.split(data["ids"], ends)])
