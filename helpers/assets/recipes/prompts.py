"""Stage `prompts`: beginnings of three to eight whole words, ordinary ones, balanced by what the policy makes of them.

Snippets that begin with words of the policy's vocabulary are too few, so that reviews are added which the teacher wrote for
this alone: no policy was trained on them. The stage comes after the policy and the reward model, because a prompt is balanced
by the mean reward of its completions.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from . import reward, synthetic, whole_words

SIZES = {"test": 1000, "validation": 500, "train": 3000}
ROUNDS = {"test": range(4), "validation": range(4, 6), "train": range(6, 12)}  # of the teacher's reviews, by split
FOLDER, SEED = "beginnings", 9000
SHORTEST, LONGEST = 3, 8  # words
REST = 3  # words that the snippet has beyond the prompt, at least
NEW_TOKENS = 40
COMPLETIONS = {"test": 8, "validation": 8, "train": 2}  # of each prompt, for its mean reward
UNUSUAL = 0.25  # share of the prompts that is dropped, those that the policy itself would hardly write
PLAIN = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")  # words only: nothing that ends a sentence or opens a bracket


def beginning(text: str, tokenizer: PreTrainedTokenizerFast, draw: random.Random) -> str | None:
    """A prompt from a snippet: a number of words is drawn, and shortened until it is plain and of whole words."""
    words = text.split()
    for count in range(draw.randint(SHORTEST, LONGEST), SHORTEST - 1, -1):
        prompt = " ".join(words[:count])
        if len(words) >= count + REST and PLAIN.fullmatch(prompt) and whole_words.fits(tokenizer, [prompt])[0]:
            return prompt
    return None


def candidates(cache: Path, out: Path, tokenizer: PreTrainedTokenizerFast) -> list[dict]:
    """One prompt a text where there is one, snippets before the teacher's reviews; a prompt of two splits stays in the first."""
    snippets = list(Dataset.from_parquet(str(out / "data" / "snippets.parquet")))
    draw, taken, found = random.Random(1), set(), []
    for split in SIZES:
        own = [row["text"] for row in snippets if ("train" if row["split"] == "gold" else row["split"]) == split]
        more = [t for n in ROUNDS[split] for t in synthetic.decoded(cache / FOLDER / f"{n:04d}.npz", tokenizer)]
        for source, texts in (("snippet", own), ("teacher", more)):
            for text in texts:
                prompt = beginning(text, tokenizer, draw)
                if prompt and prompt.lower() not in taken:
                    taken.add(prompt.lower())
                    found.append({"prompt": prompt, "split": split, "source": source})
    return found


@torch.inference_mode()
def surprise(policy: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> list[float]:
    """−ln p of each prompt per token, as the beginning of a text."""
    result = []
    for start in range(0, len(prompts), 256):
        rows = [[0, *ids] for ids in tokenizer(prompts[start : start + 256])["input_ids"]]
        length = max(map(len, rows))
        ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])  # [B, T]
        keep = torch.tensor([[1.0] * (len(row) - 1) + [0.0] * (length - len(row)) for row in rows])  # [B, T-1]
        logits = policy(input_ids=ids[:, :-1]).logits.float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")  # [B, T-1]
        result += ((losses * keep).sum(1) / keep.sum(1)).tolist()
    return result


@torch.inference_mode()
def rewards(
    out: Path, policy: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str], each: int
) -> torch.Tensor:
    """Rewards of `each` sampled texts of every prompt, [P, each]."""
    judge = AutoModelForSequenceClassification.from_pretrained(out / "reward", dtype=torch.float32).eval()
    judges = AutoTokenizer.from_pretrained(out / "reward")
    torch.manual_seed(0)
    texts: list[str] = []
    for start in range(0, len(prompts), 128):
        batch = tokenizer(
            [p for p in prompts[start : start + 128] for _ in range(each)], return_tensors="pt", padding=True
        )
        ids = policy.generate(**batch, do_sample=True, top_k=0, max_new_tokens=NEW_TOKENS, pad_token_id=0)
        texts += tokenizer.batch_decode(ids, skip_special_tokens=True)
    return torch.tensor(reward.predict(judge, judges, texts, half=True)).reshape(-1, each)


def balanced(means: list[float], size: int, draw: random.Random) -> list[int]:
    """`size` places (or as many as there are) with a mean reward near ½, in order.

    Prompts above ½ (or below) are dropped at random until the mean of all is ½; of what stays, `size` are drawn.
    """
    sign = 1 if sum(means) > 0.5 * len(means) else -1
    kept, total = dict.fromkeys(range(len(means))), sum(means)
    spare = [i for i, mean in enumerate(means) if sign * (mean - 0.5) > 0]
    draw.shuffle(spare)
    for i in spare:
        if sign * (total - 0.5 * len(kept)) <= 0:
            break
        del kept[i]
        total -= means[i]
    return sorted(draw.sample(list(kept), min(size, len(kept))))


def share_of_prompt(found: torch.Tensor) -> float:
    """Share of the reward's variance that the prompt explains, from rewards [P, K] (analysis of variance)."""
    each = found.shape[1]
    within = found.var(dim=1).mean()
    between = (found.mean(dim=1).var() - within / each).clamp(min=0)
    return float(between / (between + within))


def figures(out: Path) -> dict[str, float]:
    """The card's figures, of what is committed: the test prompts' mean reward, and what of its variance is the prompts'."""
    rows = Dataset.from_parquet(str(out / "data" / "prompts.parquet"))
    prompts = [row["prompt"] for row in rows if row["split"] == "test"]
    tokenizer = AutoTokenizer.from_pretrained(out / "policy")
    policy = AutoModelForCausalLM.from_pretrained(out / "policy", dtype=torch.float32).eval()
    found = rewards(out, policy, tokenizer, prompts, COMPLETIONS["test"])  # [P, each]
    return {"mean reward": float(found.mean()), "share of variance": share_of_prompt(found)}


def build(cache: Path, out: Path) -> None:
    """Write `prompts.parquet`.

    Raises:
        ValueError: there are not enough prompts for a split.
    """
    synthetic.sample(cache, FOLDER, rounds=1 + max(max(rounds) for rounds in ROUNDS.values()), seed=SEED)
    tokenizer = AutoTokenizer.from_pretrained(out / "policy")
    policy = AutoModelForCausalLM.from_pretrained(out / "policy", dtype=torch.float32).eval()
    rows, kept = candidates(cache, out, tokenizer), []
    odd = surprise(policy, tokenizer, [row["prompt"] for row in rows])
    border = sorted(odd)[int(len(odd) * (1 - UNUSUAL))]
    rows = [row for row, own in zip(rows, odd, strict=True) if own < border]
    for split, each in COMPLETIONS.items():
        part = [row for row in rows if row["split"] == split]
        found = rewards(out, policy, tokenizer, [row["prompt"] for row in part], each)  # [P, each]
        means = found.mean(1).tolist()
        chosen = balanced(means, SIZES[split], random.Random(2))
        if len(chosen) < SIZES[split]:
            raise ValueError(
                f"{split}: {len(chosen)} balanced prompts of {len(part)}; {SIZES[split]} are needed: more rounds"
            )
        kept += [part[i] for i in chosen]
        print(f"{split}: {len(chosen)} of {len(part)}, mean reward {found[chosen].mean():.3f}", flush=True)
    pq.write_table(
        pa.Table.from_pylist(kept), out / "data" / "prompts.parquet", compression="zstd", compression_level=19
    )
