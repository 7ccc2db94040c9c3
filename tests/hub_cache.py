"""A local cache of the Hugging Face hub with stand-ins for the models and the reviews of the preset `gpt2`.

    python -m tests.hub_cache FOLDER                       # the true sizes: GPT-2 with 124 million weights
    HF_HOME=FOLDER HF_HUB_OFFLINE=1 course run --fast --preset gpt2

Folders, file formats, architectures and sizes of the vocabularies are those of the repositories. The weights are random, with
two corrections that let every cell have something to show. The language model prefers the tokens that are frequent in film
reviews, and never ends a text, as GPT-2 on long reviews hardly ever does. The classifier's scores are stretched over the range
from 0 to 1. The tokenizer is byte-level BPE, learned from the embedded reviews and filled up with unused tokens; `--vocabulary`
takes a folder with GPT-2's own `vocab.json` and `merges.txt`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import torch
from pyarrow import parquet
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
)

from helpers.data import SNIPPET_SPLITS, load_snippets
from helpers.hub import Source
from helpers.models import OBVIOUS, RewardModel
from helpers.presets import PRESETS

TOKENS, WORD_PIECES = 50257, 30522  # of GPT-2 and of DistilBERT
END = "<|endoftext|>"
NOISE = (
    0.05  # standard deviation of what the text before adds to a token's logit; to that of the last token it adds more
)
SCALE = 200.0  # keeps the logarithms of frequencies small in the stream
SPREAD = 2.0  # standard deviation of the classifier's log-odds on snippets
SENTENCES = 4  # snippets in a review


def write_hub_cache(
    hub: Path,
    *,
    layers: int = 12,
    width: int = 768,
    tokens: int = TOKENS,
    judge_layers: int = 6,
    reviews: int = 2000,
    vocabulary: Path | None = None,
) -> None:
    """Write all that the preset `gpt2` takes from the hub, as the hub's library lays it out.

    Args:
        hub: the folder `hub` of the cache, `$HF_HOME/hub`.
        layers, width: of the language model; a head has 64 dimensions, or half of a smaller width.
        tokens: how many the language model has, where no vocabulary is given.
        judge_layers: of the classifier, which has the same width.
        reviews: in the training split; the test split has a third of them.
        vocabulary: a folder with `vocab.json` and `merges.txt` of GPT-2.
    """
    torch.manual_seed(0)
    preset = PRESETS["gpt2"]
    snippets = [row for split in SNIPPET_SPLITS for row in load_snippets(split)]
    texts = [row["text"] for row in snippets]
    write_policy(snapshot(hub, preset.policy), texts, layers, width, tokens, vocabulary)
    write_judge(snapshot(hub, preset.reward_model), texts, judge_layers, width)
    write_reviews(snapshot(hub, preset.prompts), snippets, reviews)


def snapshot(hub: Path, source: Source) -> Path:
    """Make the folder of a repository's files at the revision that the course uses."""
    repository = hub / f"{source.kind}s--{source.name.replace('/', '--')}"
    commit = source.revision if source.pinned else "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    return folder


def write_policy(folder: Path, texts: list[str], layers: int, width: int, tokens: int, vocabulary: Path | None) -> None:
    """A random GPT-2 in the files of its repository: vocabulary, merges, weights as a `.bin` file without the tied ones."""
    if vocabulary is None:
        learn_tokens(folder, texts, tokens)
    else:
        for name in ("vocab.json", "merges.txt"):
            shutil.copyfile(vocabulary / name, folder / name)
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    known = {"vocab_size": len(tokenizer), "bos_token_id": len(tokenizer) - 1, "eos_token_id": len(tokenizer) - 1}
    policy = GPT2LMHeadModel(GPT2Config(**known, n_layer=layers, n_embd=width, n_head=max(2, width // 64)))
    prefer_frequent_tokens(policy, tokenizer, texts)
    policy = policy.half()
    policy.config.architectures = [type(policy).__name__]  # TRL loads its reference by this name
    policy.config.save_pretrained(folder)
    weights = {name: value for name, value in policy.state_dict().items() if name != "lm_head.weight"}
    torch.save(weights, folder / "pytorch_model.bin")


def learn_tokens(folder: Path, texts: list[str], tokens: int) -> None:
    """Byte-level BPE from some texts, filled up with unused tokens to their number; the last one ends a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=tokens - 1, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.model.save(str(folder))
    learned = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    unused = {f"unused{number}": number for number in range(len(learned), tokens - 1)}
    (folder / "vocab.json").write_text(json.dumps({**learned, **unused, END: tokens - 1}), encoding="utf-8")


@torch.no_grad()
def prefer_frequent_tokens(policy: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> None:
    """Give tokens the logits of their frequency in some texts, with noise that depends on what stands before.

    After the last norm the last dimension is the same at each position; there a token's vector has its logarithm.
    """
    counts = Counter(token for ids in tokenizer([f" {text}" for text in texts])["input_ids"] for token in ids)
    total = sum(counts.values())
    rare = math.log(0.01 / total)  # of a token that does not occur, the end of the text among them
    logarithms = torch.full((len(tokenizer),), rare)
    for token, count in counts.items():
        logarithms[token] = math.log(count / total)
    embeddings, last = policy.transformer.wte.weight, policy.transformer.ln_f
    policy.transformer.wpe.weight *= 0.1
    width = embeddings.shape[1]
    embeddings.normal_(std=NOISE / math.sqrt(width))
    embeddings[:, -1] = logarithms / SCALE
    last.weight[-1], last.bias[-1] = 0.0, SCALE


def write_judge(folder: Path, texts: list[str], layers: int, width: int) -> None:
    """A random DistilBERT classifier of whole words whose scores lie between 0 and 1, half of them above ½."""
    words = Counter(word for text in texts for word in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text.lower()))
    counted = Counter()
    for (word, _), count in words.items():
        counted[word] += count
    entries = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *(word for word, _ in counted.most_common(WORD_PIECES - 5)),
    ]
    entries += [f"[unused{number}]" for number in range(WORD_PIECES - len(entries))]
    (folder / "vocab.txt").write_text("\n".join(entries), encoding="utf-8")
    settings = {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    names = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(
        n_layers=layers, dim=width, hidden_dim=4 * width, n_heads=max(2, width // 64), initializer_range=0.1,
        id2label=names, label2id={name: number for number, name in names.items()},
    )  # fmt: skip
    judge = DistilBertForSequenceClassification(config).eval()
    stretch(judge, AutoTokenizer.from_pretrained(folder), texts[:64])
    judge.half().save_pretrained(folder)


@torch.no_grad()
def stretch(judge: DistilBertForSequenceClassification, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> None:
    """Scale and shift a classifier's last layer, so that its log-odds have the mean 0 and the spread `SPREAD` on some texts."""
    last = judge.classifier
    last.weight[0], last.bias[0] = 0.0, 0.0
    rewards = RewardModel(judge, tokenizer, verify=False)
    good, bad = rewards(OBVIOUS).tolist()
    last.weight *= 1 if good > bad else -1
    log_odds = torch.logit(rewards(texts).double())  # [N]
    last.weight[1] *= SPREAD / log_odds.std().item()
    last.bias[1] = -torch.logit(rewards(texts).double()).mean().item()
    judge.requires_grad_(True)


def write_reviews(folder: Path, snippets: list[dict[str, object]], reviews: int) -> None:
    """Parquet files as IMDb's: whole reviews with line breaks, their labels, and a split without labels."""
    (folder / "plain_text").mkdir()
    by_kindness = {1: [], 0: []}
    for row in snippets:
        by_kindness[int(float(str(row["rating"])) > 0)].append(str(row["text"]))
    taken = dict.fromkeys(by_kindness, 0)
    for split, count in (("train", reviews), ("test", reviews // 3), ("unsupervised", 10)):
        texts, labels = [], []
        for number in range(count):
            label = number % 2
            pool, start = by_kindness[label], taken[label]
            chosen = [pool[(start + place) % len(pool)] for place in range(SENTENCES)]
            taken[label] += SENTENCES
            texts.append("<br /><br />".join(chosen))
            labels.append(-1 if split == "unsupervised" else label)
        table = pa.table({"text": texts, "label": labels})
        parquet.write_table(table, folder / "plain_text" / f"{split}-00000-of-00001.parquet")


def main() -> None:
    """Write the cache into a folder, to be given as `HF_HOME`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--judge-layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=Path)
    options = parser.parse_args()
    write_hub_cache(
        options.folder / "hub",
        layers=options.layers,
        width=options.width,
        judge_layers=options.judge_layers,
        vocabulary=options.vocabulary,
    )
    print(f"written to {options.folder}; to use it: HF_HOME={options.folder} HF_HUB_OFFLINE=1")


if __name__ == "__main__":
    main()
