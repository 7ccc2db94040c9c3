"""The embedded models and data are what their cards say: figures reproduced, splits apart, sizes kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from helpers.assets.recipes import cards, policy, reward

ASSETS = Path(policy.__file__).resolve().parents[1]
FIGURES = json.loads((ASSETS / "figures.json").read_text())


@pytest.fixture(scope="module")
def snippets() -> Dataset:
    return Dataset.from_parquet(str(ASSETS / "data" / "snippets.parquet"))


@pytest.fixture(scope="module")
def embedded_policy():
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "policy", dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(ASSETS / "policy")


def test_assets_fit_in_25_megabytes():
    """What students get stays small enough for a slow line: all but the recipes, which no release holds."""
    files = [path for path in ASSETS.rglob("*") if path.is_file() and not {"__pycache__", "recipes"} & set(path.parts)]
    total = sum(path.stat().st_size for path in files)
    assert total <= 25_000_000, f"{total / 1e6:.1f} MB"


def test_policy_reads_like_reviews(embedded_policy, snippets):
    """Bits per character on held-out text, the share of known words and the card's samples are those of the committed policy."""
    model, tokenizer = embedded_policy
    test = [row["text"] for row in snippets if row["split"] == "test"]
    bits = policy.bits_per_character(model, tokenizer, test)
    assert bits == pytest.approx(FIGURES["policy"]["bits_per_character"], abs=0.005)
    assert bits <= 1.75
    drawn = policy.samples(model, tokenizer, 300)
    assert drawn[:3] == FIGURES["policy"]["samples"][:3]
    share = policy.share_of_known_words(drawn, sorted(cards.training_words(ASSETS)))
    assert share == pytest.approx(FIGURES["policy"]["known_words"], abs=0.005)
    assert share >= 0.95


@pytest.mark.parametrize(("name", "accuracy", "auc"), [("reward", 0.82, 0.90), ("gold", 0.75, 0.81)])
def test_classifiers_reach_their_cards_figures(name, accuracy, auc):
    """Accuracy and AUC on held-out snippets are the card's, and good enough to be a reward (or a second opinion)."""
    found = reward.figures(ASSETS, name)
    assert found["accuracy"] == pytest.approx(FIGURES[name]["accuracy"], abs=0.004)
    assert found["auc"] == pytest.approx(FIGURES[name]["auc"], abs=0.004)
    assert found["accuracy"] >= accuracy
    assert found["auc"] >= auc


def test_reward_model_understands_negation_and_neutral_text():
    """'not good' counts as blame, and sentences without an opinion stay off both ends."""
    model = AutoModelForSequenceClassification.from_pretrained(ASSETS / "reward", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "reward")
    texts = [
        "A good movie.",
        "Not a good movie.",
        "This is not good.",
        "The film opens in Paris.",
        "It runs for two hours.",
    ]
    praise, blame, blame_too, *neutral = reward.predict(model, tokenizer, texts)
    assert praise > 0.8
    assert blame < 0.5
    assert blame_too < 0.5
    assert all(0.1 < p < 0.9 for p in neutral)


def test_the_second_reward_model_is_undecided_about_heaps_of_praise():
    """What makes over-optimisation visible: the reward model takes words in a row for praise, the second one does not."""
    heaps = [
        "great great great great great",
        "moving, fascinating, powerful and touching, fascinating and moving, powerful",
    ]
    opinions = {}
    for name in ("reward", "gold"):
        model = AutoModelForSequenceClassification.from_pretrained(ASSETS / name, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(ASSETS / name)
        opinions[name] = reward.predict(model, tokenizer, heaps)
    assert min(opinions["reward"]) > 0.9
    assert max(opinions["gold"]) < 0.7


def test_splits_share_no_snippet_and_no_prompt(snippets):
    """What is held out stays held out."""
    seen: dict[str, str] = {}
    for row in snippets:
        assert seen.setdefault(row["text"].lower(), row["split"]) == row["split"]
    prompts = Dataset.from_parquet(str(ASSETS / "data" / "prompts.parquet"))
    owner: dict[str, str] = {}
    for row in prompts:
        assert owner.setdefault(row["prompt"].lower(), row["split"]) == row["split"]
    assert set(owner.values()) == {"train", "validation", "test"}


def test_prompts_end_at_a_word_border_of_their_snippet(snippets):
    """A prompt is the beginning of a snippet of its own side, and the next character there is a blank."""
    prompts = Dataset.from_parquet(str(ASSETS / "data" / "prompts.parquet"))
    starts = {"test": set(), "validation": set(), "train": set()}
    for row in snippets:
        words = row["text"].split()
        side = "train" if row["split"] == "gold" else row["split"]
        starts[side].update(" ".join(words[:n]) for n in range(2, 6))
    assert all(row["prompt"] in starts[row["split"]] for row in prompts)


def test_cards_show_the_figures():
    """No card was written by hand or left behind when a model changed."""
    for name, writer in {"policy": cards.policy_card, "data": cards.data_card}.items():
        assert (ASSETS / name / "README.md").read_text() == writer(FIGURES[name])
    for name in ("reward", "gold"):
        assert (ASSETS / name / "README.md").read_text() == cards.classifier_card(name, FIGURES[name])
