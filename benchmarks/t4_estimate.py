"""How long the preset `gpt2` takes on a T4, estimated from counted operations: `python benchmarks/t4_estimate.py`.

Nothing here is measured. Counted are the multiplications and additions of all matrix products (a product of [n, k] and [k, m]
has 2·n·k·m), the steps that wait for one another when texts are sampled, and the bytes that AdamW moves. Three assumptions make
seconds of them; they stand in `Card` with their reasons. The sizes are those of the presets, so the table follows a change.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.presets import PRESETS, Preset  # noqa: E402

PROMPT = 6  # tokens of a prompt of two to five words, padding included
USABLE = 0.75  # share of the prompts that make a pair with a gap above the least: about that of `tiny`
SENTENCES, LONGEST = 10, 11  # of Part 5's exact explanations: texts, and tokens of the longest
PIECES = 30  # tokens of a text whose words are explained by permutations
RATED = 1500  # sentences rated by people, in Part 1


@dataclass(frozen=True)
class Card:
    """A GPU, and what is assumed of it.

    Attributes:
        name: what the table calls it.
        peak: float32 operations a second, from its data sheet.
        share: of the peak that these products reach. 30 %: at 70 W a T4 does not hold its highest clock, the products have
            about a thousand rows only, and the time between them (norms, softmax, 50,257 logits a token) counts as theirs.
        wait: seconds from one sampled token to the next, whatever the batch. 12 layers are some 250 small calls of the
            GPU, each some 50 to 100 µs of Python on Colab's processor.
        memory: bytes a second that AdamW reaches: 70 % of the data sheet's 320 GB/s.
    """

    name: str
    peak: float
    share: float = 0.3
    wait: float = 0.02
    memory: float = 0.7 * 320e9


T4 = Card("T4, float32", 8.1e12)
T4_HALF = Card("T4, float16", 65e12)


@dataclass(frozen=True)
class Shape:
    """A transformer: layers, width (the inner one is four times that), and the tokens that it scores, 0 for a classifier."""

    layers: int
    width: int
    scored: int = 0

    @property
    def weights(self) -> int:
        """Weights of the products that every token takes part in: attention 4·w², MLP 8·w²."""
        return 12 * self.layers * self.width**2

    @property
    def parameters(self) -> int:
        """All that is trained: those and the tokens' vectors."""
        return self.weights + self.scored * self.width


GPT2 = Shape(12, 768, 50257)
DISTILBERT = Shape(6, 768)
GOLD = Shape(3, 384)  # the embedded second opinion


@dataclass(frozen=True)
class Work:
    """What is to be done: operations, tokens sampled one after the other, bytes moved by the optimizer."""

    operations: float = 0.0
    waits: int = 0
    moved: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.waits + other.waits, self.moved + other.moved)

    def __mul__(self, times: float) -> Work:
        return Work(self.operations * times, round(self.waits * times), self.moved * times)

    def seconds(self, card: Card) -> float:
        """How long a card takes, by its assumptions."""
        return self.operations / (card.peak * card.share) + self.waits * card.wait + self.moved / card.memory


def forward(model: Shape, texts: float, length: int) -> Work:
    """Texts through a model once. Attention adds 2·T²·w for the scores and as many for the mixing, in each layer."""
    tokens = texts * length
    products = 2 * tokens * (model.weights + model.scored * model.width)
    return Work(products + 4 * texts * model.layers * length**2 * model.width)


def update(model: Shape, texts: float, length: int) -> Work:
    """A forward pass, a backward pass (twice its operations), and AdamW: it reads 4 numbers a weight and writes 3, of 4 bytes."""
    return forward(model, texts, length) * 3 + Work(moved=28 * model.parameters)


def sample(model: Shape, prompts: float, new: int, batch: int) -> Work:
    """Completions of `new` tokens each, in batches: as many operations as a forward pass, but token after token."""
    batches = max(1, round(prompts / batch))
    return Work(forward(model, prompts, PROMPT + new).operations, waits=new * batches)


def parts(preset: Preset, policy: Shape = GPT2, judge: Shape = DISTILBERT) -> dict[int, Work]:
    """The work of each part's main runs with a preset's sizes; sanity checks and toy examples are left out.

    Args:
        preset: its sizes and recipes count.
        policy, judge: the models.
    """
    new, batch, wide = preset.new_tokens, preset.reinforce.batch_size, preset.evaluation_batch_size
    length = PROMPT + new
    first, second, third, fourth = (preset.sizes(name) for name in ("baseline", "reinforce", "kl", "dpo"))

    def judged(texts: float) -> Work:
        return forward(judge, texts, length) + forward(GOLD, texts, length)

    def written(texts: float) -> Work:
        return sample(policy, texts, new, wide) + judged(texts)

    def run_of(steps: float, size: int) -> Work:
        one = sample(policy, size, new, size) + forward(judge, size, length) + forward(policy, size, length)
        return (one + update(policy, size, length)) * steps

    prompts = first.test_prompts or 1000
    baseline = written(prompts) + forward(judge, RATED, length)

    reinforce = run_of(second.training_steps + second.dry_run_steps, batch)
    reinforce += written(second.watched_prompts) * 17 + written(second.test_prompts) * 3
    reinforce += (sample(policy, 256, new, wide) + forward(policy, 256, length)) * 3

    runs = len(third.alphas) + 5  # larger steps, PPO, GRPO, annealed, controlled
    exact = forward(policy, preset.kl.batch_size, length) * (2 / 5)  # the exact KL, at every fifth step
    examined = written(2 * third.held_out) + forward(policy, third.held_out, length) * 2
    kl = (run_of(third.steps, preset.kl.batch_size) + exact * third.steps + examined) * runs + examined
    kl += written(16 * third.best_of_prompts)

    sampled = fourth.completions_per_prompt * (fourth.train_prompts + fourth.test_prompts)
    pairs, tested = USABLE * fourth.train_prompts, USABLE * fourth.test_prompts
    size = preset.dpo.batch_size
    small = 5 + 2  # trainings on the pairs of the side experiments, and of a second round
    steps = fourth.epochs * (pairs * len(fourth.betas) + fourth.experiment_pairs * small) / size
    looks = steps / 30 + 2 * len(fourth.betas)  # measured on the test pairs
    dpo = sample(policy, sampled, new, wide) + forward(judge, sampled, length)
    dpo += update(policy, 2 * size, length) * steps + forward(policy, 2 * tested, length) * looks
    dpo += forward(policy, 2 * pairs, length) * 2 + written(fourth.evaluation_prompts) * (2 * len(fourth.betas) + 4)

    orders = 2 * (2 * PIECES + 1)
    explained = (
        SENTENCES * 2**LONGEST + 2**LONGEST + 2 * 4 * preset.sizes("interpretability").samples_per_policy * orders
    )
    return {1: baseline, 2: reinforce, 3: kl, 4: dpo, 5: forward(judge, explained, PIECES)}


def table(preset: Preset, cards: tuple[Card, ...]) -> str:
    """A Markdown table: a row for each part, a column for each card."""
    lines = [
        "| part | operations | " + " | ".join(card.name for card in cards) + " |",
        "| --- | --- |" + " --- |" * len(cards),
    ]
    found = parts(preset)
    for part, work in found.items():
        times = " | ".join(f"{work.seconds(card) / 60:.1f} min" for card in cards)
        lines.append(f"| {part} | {work.operations / 1e12:,.0f} · 10¹² | {times} |")
    total = sum(found.values(), Work())
    times = " | ".join(f"{total.seconds(card) / 60:.0f} min" for card in cards)
    lines.append(f"| all | {total.operations / 1e12:,.0f} · 10¹² | {times} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, for other assumptions too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=T4.share, help="of the peak that is reached")
    parser.add_argument("--wait", type=float, default=T4.wait, help="seconds from one sampled token to the next")
    options = parser.parse_args()
    print(
        table(PRESETS["gpt2"], tuple(replace(card, share=options.share, wait=options.wait) for card in (T4, T4_HALF)))
    )


if __name__ == "__main__":
    main()
