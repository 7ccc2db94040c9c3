"""The embedded models and data are what their cards say: figures reproduced, splits apart, sizes kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from helpers.assets.recipes import cards, policy, recorded, reward, synthetic, whole_words
from helpers.models import load_policy

ASSETS = Path(policy.__file__).resolve().parents[1]
TYPED = ["Unbelievable, a qualifking zombie!", "naïve café", "two  blanks\n", "don't"]
FIGURES = json.loads((ASSETS / "figures.json").read_text())


@pytest.fixture(scope="module")
def snippets() -> Dataset:
    return Dataset.from_parquet(str(ASSETS / "data" / "snippets.parquet"))


@pytest.fixture(scope="module")
def embedded_policy():
    model = AutoModelForCausalLM.from_pretrained(ASSETS / "policy", dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(ASSETS / "policy")


def test_assets_fit_in_60_megabytes():
    """What students get stays small enough for a slow line: all but the recipes, which no release holds."""
    files = [path for path in ASSETS.rglob("*") if path.is_file() and not {"__pycache__", "recipes"} & set(path.parts)]
    total = sum(path.stat().st_size for path in files)
    assert total <= 60_000_000, f"{total / 1e6:.1f} MB"


def test_policy_reads_like_reviews(embedded_policy):
    """Bits per character on held-out text, the share of known words and the card's samples are those of the committed policy."""
    model, tokenizer = embedded_policy
    test = synthetic.fitting(tokenizer, policy.split(ASSETS, "test"))
    bits = policy.bits_per_character(model, tokenizer, test)
    assert bits == pytest.approx(FIGURES["policy"]["bits_per_character"], abs=0.005)
    drawn = policy.samples(model, tokenizer, 300)
    assert drawn[:3] == FIGURES["policy"]["samples"][:3]
    share = policy.share_of_known_words(drawn, sorted(cards.training_words(ASSETS)))
    assert share == pytest.approx(FIGURES["policy"]["known_words"], abs=0.0005)
    assert share >= 0.998


def test_every_word_of_the_policy_is_one_that_may_be_said(embedded_policy):
    """Its tokens are whole words and marks, none of them on the list; only what users type falls into single bytes."""
    _, tokenizer = embedded_policy
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert all(whole_words.clean(name) for name in names[1 + whole_words.BYTES :])
    assert [tokenizer.decode(tokenizer(text)["input_ids"]) for text in TYPED] == TYPED
    allowed = set(whole_words.spoken(tokenizer))
    model, _ = embedded_policy
    start = torch.zeros(64, 1, dtype=torch.long)
    torch.manual_seed(1)
    drawn = model.generate(
        start, attention_mask=torch.ones_like(start), do_sample=True, top_k=0, max_new_tokens=30, pad_token_id=0
    )
    assert sum(number not in allowed for number in drawn.flatten().tolist()) <= 2, "it has learnt to write whole words"


@pytest.mark.parametrize(("folder", "text"), [("policy", "embedded policy"), ("smollm2", "smollm2-reviews")])
def test_a_policy_writes_nearly_as_readably_as_people(folder, text):
    """The card's table of fluency, measured with SmolLM2: at most .05 of the way from real snippets to shuffled words."""
    rows = {row["text"]: row for row in json.loads((ASSETS / folder / "fluency.json").read_text(encoding="utf-8"))}
    assert rows["held-out snippets"]["place"] == 0
    assert rows["their words shuffled"]["place"] == 1
    assert rows[text]["place"] <= 0.05


def test_the_tuned_policies_are_those_of_their_card():
    """What Part 5 compares: both judges' means are the card's; only the policy without a leash has parted them."""
    card = (recorded.policies.SHIPPED / "README.md").read_text(encoding="utf-8")
    found = recorded.tuned_figures(*load_policy("tiny", "cpu"))
    for name, (mean, second) in found.items():
        told = next(line for line in card.splitlines() if line.startswith(f"| {name} |")).split(" | ")
        assert (mean, second) == pytest.approx((float(told[-2]), float(told[-1].strip(" |"))), abs=0.01), name
        assert mean > 0.8
    parted = {name for name, (mean, second) in found.items() if second < mean - 0.1}
    assert parted == {"REINFORCE"}


@pytest.mark.parametrize(("name", "accuracy", "auc"), [("reward", 0.83, 0.91), ("gold", 0.80, 0.88)])
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
    assert all(0.25 < p < 0.75 for p in neutral)


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


def test_prompts_are_beginnings_of_whole_words(snippets, embedded_policy):
    """Three to eight words of the vocabulary, from a snippet of their own side where they say so; no crude word in any."""
    _, tokenizer = embedded_policy
    prompts = Dataset.from_parquet(str(ASSETS / "data" / "prompts.parquet"))
    starts = {"test": set(), "validation": set(), "train": set()}
    for row in snippets:
        words = row["text"].split()
        side = "train" if row["split"] == "gold" else row["split"]
        starts[side].update(" ".join(words[:n]) for n in range(3, 9))
    assert all(row["prompt"] in starts[row["split"]] for row in prompts if row["source"] == "snippet")
    assert all(3 <= len(row["prompt"].split()) <= 8 for row in prompts)
    assert all(whole_words.fits(tokenizer, list(prompts["prompt"])))
    assert not [text for text in [*prompts["prompt"], *snippets["text"]] if whole_words.crude(text)]


def test_prompts_are_balanced():
    """The untuned policy's texts to the test prompts get a mean reward of about ½."""
    assert FIGURES["data"]["mean reward"] == pytest.approx(0.5, abs=0.03)


def test_cards_show_the_figures():
    """No card was written by hand or left behind when a model changed."""
    for folder, text in cards.texts(FIGURES, ASSETS).items():
        assert (ASSETS / folder / "README.md").read_text(encoding="utf-8") == text
