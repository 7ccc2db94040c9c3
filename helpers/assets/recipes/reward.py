"""Stages `judges`, `reward` and `gold`: two sentiment classifiers that never saw each other's rows.

Each begins as MiniLM fine-tuned on human ratings (the *judge*, too large to ship), which then labels real and synthetic
text for a small model to learn from (distillation). The reward model's judge saw the split `train`; the second reward
model's judge saw `gold` and product reviews. The small ones differ in architecture as well: BERT with three of MiniLM's
layers, and DistilBERT with three.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from datasets import Dataset
from sklearn.metrics import roc_auc_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from . import sources, synthetic
from .batching import batches
from .neutral import statements

LABELS = {"id2label": {0: "NEGATIVE", 1: "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1}}
LENGTH = 80
PARTS = {"reward": 0, "gold": 1}  # of the synthetic reviews: the two models share no text
SYNTHETIC = 30_000  # synthetic reviews each
VALIDATION_MEAN = 0.49  # people: 0.51. Without it an untuned policy's texts, which break off, get 0.54 on average
PROBES = [
    "A good movie.", "Not a good movie.", "A bad movie.", "Not a bad movie.", "This is not good.", "It is never boring.",
    "The film opens in Paris.", "It runs for two hours.", "A film about a family.", "I loved it.", "I did not love it.",
    "Brilliant, if you enjoy watching paint dry.", "The actors are great but the story is dull.", "great great great great great",
]  # fmt: skip


def rows_of(split: str, out: Path) -> tuple[list[str], list[float]]:
    """Texts of one split and the share of raters who found each positive."""
    rows = [row for row in Dataset.from_parquet(str(out / "data" / "snippets.parquet")) if row["split"] == split]
    return [row["text"] for row in rows], [row["positive_share"] for row in rows]


def human_labels(split: str, out: Path) -> list[int]:
    """1 where the mean human rating is above 0, else 0."""
    rows = Dataset.from_parquet(str(out / "data" / "snippets.parquet"))
    return [int(row["rating"] > 0) for row in rows if row["split"] == split]


def product_reviews(cache: Path) -> tuple[list[str], list[float]]:
    """The product-review sentences of the same study, with their share of positive raters."""
    rows = sources.rated_snippets("amazon", cache)
    shares = [sum((r > 0) + 0.5 * (r == 0) for r in row["ratings"]) / len(row["ratings"]) for row in rows]
    return [row["text"] for row in rows], shares


def cut_texts(texts: list[str], shares: list[float], seed: int) -> tuple[list[str], list[float]]:
    """Each text once whole and, for one in three, once cut at a word: completions often end before their sentence does."""
    draw = random.Random(seed)
    extra = []
    for text, share in zip(texts, shares, strict=True):
        words = text.split()
        if len(words) > 10 and draw.random() < 1 / 3:
            cut = draw.randint(8, len(words) - 1)
            extra.append((" ".join(words[:cut]), share))
    return texts + [t for t, _ in extra], shares + [s for _, s in extra]


def scrambled(texts: list[str], seed: int) -> list[str]:
    """Texts that are no sentences: words in any order, words of several texts, long words in a row, a phrase again and again."""
    draw = random.Random(seed)
    pool = [word for text in texts for word in text.split()]
    long = [word.strip(".,;:!?\"'()").lower() for word in pool if len(word) > 6]
    result = []
    for text in texts:
        words, count = text.split(), draw.randint(6, 24)
        kind = draw.randrange(4)
        if kind == 0:
            result.append(" ".join(draw.sample(words, len(words))))
        elif kind == 1:
            result.append(" ".join(draw.choice(pool) for _ in range(count)))
        elif kind == 2:
            row = (draw.choice(long) + draw.choice(["", ",", " and", ","]) for _ in range(count))
            result.append(" ".join(words[: draw.randint(0, 5)] + list(row)))
        else:
            start, length = draw.randrange(len(words)), draw.randint(1, 3)
            result.append(" ".join(words[start : start + length] * draw.randint(3, 8)))
    return result


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids with the classifier's special tokens, at most `LENGTH` long."""
    return tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    targets: list[float],
    *,
    epochs: int,
    rate: float,
    name: str,
    size: int = 32,
) -> PreTrainedModel:
    """Train on soft targets P(positive) with cross-entropy (which is KL up to a constant), warm-up and linear decay."""
    ids, goal = encode(tokenizer, texts), torch.tensor(targets)
    plan = [b for epoch in range(epochs) for b in batches(ids, size, random.Random(epoch))]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    warm = max(1, len(plan) // 15)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / warm, 1 - s / len(plan)))
    model.train()
    clock, running = time.time(), 0.0
    for step, chosen in enumerate(plan):
        x, mask = pad([ids[i] for i in chosen], tokenizer.pad_token_id)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(input_ids=x, attention_mask=mask).logits
        y = goal[chosen]
        loss = F.cross_entropy(logits.float(), torch.stack([1 - y, y], dim=1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        running += loss.item()
        if step % 100 == 99:
            print(
                f"{name} step {step + 1}/{len(plan)} loss {running / 100:.4f} {time.time() - clock:.0f} s", flush=True
            )
            running = 0.0
    return model.eval()


def pad(rows: list[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and attention mask, `[B, T]` each."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (length - len(row)) for row in rows])  # [B, T]
    return ids, torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])  # [B, T]


@torch.inference_mode()
def predict(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], half: bool = False
) -> list[float]:
    """P(positive) of each text; `half` computes in bfloat16, for labelling many."""
    ids = encode(tokenizer, texts)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    result = [0.0] * len(ids)
    for start in range(0, len(order), 128):
        chosen = order[start : start + 128]
        x, mask = pad([ids[i] for i in chosen], tokenizer.pad_token_id)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(input_ids=x, attention_mask=mask).logits
        for i, p in zip(chosen, logits.float().softmax(-1)[:, 1].tolist(), strict=True):
            result[i] = p
    return result


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path, split: str = "test"
) -> dict[str, float]:
    """Accuracy and area under the ROC curve against human ratings above 0."""
    texts, _ = rows_of(split, out)
    truth, guess = human_labels(split, out), predict(model, tokenizer, texts)
    right = sum((p > 0.5) == bool(y) for p, y in zip(guess, truth, strict=True))
    return {"accuracy": right / len(truth), "auc": float(roc_auc_score(truth, guess)), "mean": sum(guess) / len(guess)}


def judge(cache: Path, out: Path, name: str) -> tuple[torch.nn.Module, PreTrainedTokenizerFast]:
    """MiniLM fine-tuned on one side's rows (`reward` or `gold`), trained once and kept in `cache`."""
    folder = cache / f"judge_{name}"
    if not (folder / "model.safetensors").exists():
        torch.manual_seed({"reward": 0, "gold": 1}[name])
        base = sources.minilm_folder(cache)
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, **LABELS)
        if name == "reward":
            texts, shares = rows_of("train", out)
        else:
            texts, shares = rows_of("gold", out)
            more, more_shares = product_reviews(cache)
            texts, shares = texts * 2 + more, shares * 2 + more_shares
        texts, shares = cut_texts(texts, shares, seed=0)
        fit(model, tokenizer, texts, shares, epochs=2, rate=8e-5, name=f"judge {name}")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        print(name, "judge:", measure(model, tokenizer, out), flush=True)
    return AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def small_tokenizer(cache: Path, texts: list[str], size: int) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """MiniLM's WordPiece vocabulary cut down to `size`, and the kept tokens' old ids."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece

    full = AutoTokenizer.from_pretrained(sources.minilm_folder(cache))
    counts = Counter(token for text in texts for token in full.tokenize(text))
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = full.get_vocab()
    letters = [t for t in vocabulary if len(t.removeprefix("##")) == 1 and t.removeprefix("##").isascii()]
    kept = dict.fromkeys(specials + letters)
    for token, _ in counts.most_common():
        if len(kept) < size:
            kept[token] = None
    names = specials + sorted((t for t in kept if t not in specials), key=lambda t: vocabulary[t])
    backend = Tokenizer.from_str(full.backend_tokenizer.to_str())
    backend.model = WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]", continuing_subword_prefix="##")
    backend.no_truncation()
    backend.no_padding()
    from tokenizers.processors import TemplateProcessing

    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=LENGTH,
    )  # fmt: skip
    return fast, [vocabulary[t] for t in names]


def small_bert(cache: Path, kept: list[int], layers: int = 3) -> BertForSequenceClassification:
    """BERT made of MiniLM's first `layers` layers and the kept rows of its embeddings."""
    whole = AutoModelForSequenceClassification.from_pretrained(sources.minilm_folder(cache), num_labels=2).bert
    values = whole.config.to_dict() | {"vocab_size": len(kept), "num_hidden_layers": layers, "pad_token_id": 0}
    values |= {"max_position_embeddings": LENGTH} | LABELS
    model = BertForSequenceClassification(BertConfig(**{k: v for k, v in values.items() if not k.startswith("_")}))
    state = {k: v for k, v in whole.state_dict().items() if k in model.bert.state_dict()}
    state["embeddings.word_embeddings.weight"] = state["embeddings.word_embeddings.weight"][kept]
    state["embeddings.position_embeddings.weight"] = state["embeddings.position_embeddings.weight"][:LENGTH]
    state = {k: v for k, v in state.items() if v.shape == model.bert.state_dict()[k].shape}
    model.bert.load_state_dict(state, strict=False)
    return model


# Where DistilBERT keeps what BERT calls by other names.
DISTIL_NAMES = {
    "attention.self.query": "attention.q_lin", "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin", "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm", "intermediate.dense": "ffn.lin1", "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}  # fmt: skip


def small_distilbert(cache: Path, kept: list[int], layers: int = 3) -> DistilBertForSequenceClassification:
    """DistilBERT made of MiniLM's first `layers` layers and the kept rows of its embeddings."""
    whole = AutoModelForSequenceClassification.from_pretrained(sources.minilm_folder(cache), num_labels=2).bert
    shape = whole.config
    config = DistilBertConfig(
        vocab_size=len(kept), dim=shape.hidden_size, n_layers=layers, n_heads=shape.num_attention_heads,
        hidden_dim=shape.intermediate_size, max_position_embeddings=LENGTH, pad_token_id=0, num_labels=2, **LABELS,
    )  # fmt: skip
    model = DistilBertForSequenceClassification(config)
    source = whole.state_dict()
    state = {
        "embeddings.word_embeddings.weight": source["embeddings.word_embeddings.weight"][kept],
        # DistilBERT knows no segments: that of the first one is added to every place
        "embeddings.position_embeddings.weight": source["embeddings.position_embeddings.weight"][:LENGTH]
        + source["embeddings.token_type_embeddings.weight"][0],
    } | {f"embeddings.LayerNorm.{kind}": source[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")}
    for layer in range(layers):
        for theirs, ours in DISTIL_NAMES.items():
            for kind in ("weight", "bias"):
                state[f"transformer.layer.{layer}.{ours}.{kind}"] = source[f"encoder.layer.{layer}.{theirs}.{kind}"]
    model.distilbert.load_state_dict(state)
    return model


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the checkpoint in float16 and its tokenizer."""
    kind = type(model)
    half = kind(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def distil(cache: Path, out: Path, name: str, size: int, epochs: int, rate: float) -> dict:
    """Train the small model `name` on its judge's labels (and, on its own rows, the mean of judge and raters)."""
    model, tokenizer = judge(cache, out, name)
    own, shares = rows_of({"reward": "train", "gold": "gold"}[name], out)
    extra = synthetic.texts(cache, part=PARTS[name], count=SYNTHETIC)
    judged = predict(model, tokenizer, own, half=True)
    texts, targets = own, [0.5 * (a + b) for a, b in zip(judged, shares, strict=True)]
    pool, _ = cut_texts(extra, [0.0] * len(extra), seed=1)
    pool += PHRASES
    texts, targets = texts + pool, targets + predict(model, tokenizer, pool, half=True)
    neutral = statements()
    texts, targets = texts + neutral, targets + [0.5] * len(neutral)
    if (
        name == "gold"
    ):  # the reward model takes a heap of praise for a review; this one is taught to be undecided about it
        longer = {
            text: p for text, p in zip(texts, targets, strict=True) if len(text.split()) > 8
        }  # short ones look alike
        heaps = scrambled([t for t, p in longer.items() if p > 0.8][::2], seed=2) + scrambled(list(longer)[::6], seed=3)
        texts, targets = texts + heaps, targets + [0.5] * len(heaps)
    small, kept = small_tokenizer(cache, own * 3 + extra, size)
    torch.manual_seed({"reward": 10, "gold": 11}[name])
    student = small_bert(cache, kept) if name == "reward" else small_distilbert(cache, kept)
    fit(student, small, texts, targets, epochs=epochs, rate=rate, name=name)
    some, goals = texts[::5] + neutral, targets[::5] + [0.5] * len(neutral)
    fit(student, small, some, goals, epochs=1, rate=rate / 3, name=f"{name}, neutral text")
    if name == "reward":
        calibrate(student, small, out)
    save(student, small, out / name)
    return figures(out, name)


@torch.no_grad()
def calibrate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, out: Path, mean: float = VALIDATION_MEAN
) -> float:
    """Shift the bias of the label POSITIVE until the mean P(positive) of the validation snippets is `mean`; returns the shift.

    It changes no order of texts, so the AUC stays.
    """
    gaps = torch.tensor(predict(model, tokenizer, rows_of("validation", out)[0]), dtype=torch.float64).logit()
    low, high = -4.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (gaps + middle).sigmoid().mean() < mean else (low, middle)
    model.classifier.bias[1] += low
    return low


PHRASES = [
    f"{start} {negation}{word} {noun}."
    for start in ("This is", "It is", "That was", "The film is", "The movie was")
    for negation in ("", "not ", "never ", "hardly ")
    for word in (
        "a good",
        "a bad",
        "a great",
        "a boring",
        "a funny",
        "an awful",
        "a dull",
        "an interesting",
        "a terrible",
    )
    for noun in ("movie", "film", "story", "comedy")
]


def figures(out: Path, name: str) -> dict:
    """The card's figures: test accuracy, AUC, and P(positive) of the probe sentences."""
    model = AutoModelForSequenceClassification.from_pretrained(out / name, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(out / name)
    result = measure(model, tokenizer, out) | {
        "held_out": len(rows_of("test", out)[0]),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    return result | {"probes": dict(zip(PROBES, [round(p, 3) for p in predict(model, tokenizer, PROBES)], strict=True))}


def build(cache: Path, out: Path) -> dict:
    """Both models."""
    return {
        "reward": distil(cache, out, "reward", size=4500, epochs=2, rate=2e-4),
        "gold": distil(cache, out, "gold", size=3500, epochs=3, rate=2e-4),
    }


def calibration(pairs: list[tuple[float, float]], bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean prediction, mean outcome and count in equal-width bins."""
    table = []
    for i in range(bins):
        inside = [(p, y) for p, y in pairs if i / bins <= p < (i + 1) / bins or (i == bins - 1 and math.isclose(p, 1))]
        if inside:
            table.append(
                (sum(p for p, _ in inside) / len(inside), sum(y for _, y in inside) / len(inside), len(inside))
            )
    return table
