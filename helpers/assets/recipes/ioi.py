"""Stage `ioi`: prompts for indirect object identification and a very small GPT-2 that learns it.

Every prompt names two people, then one of them again, and stops where the other one's name is due:
"When Mary and John went to the store …, John gave a ring to" is continued by "Mary". All templates have the same number
of tokens, but the names stand at different places in them, so that batches need no padding and positions alone do not
give the answer away. The names, places and objects are single tokens of SmolLM2's vocabulary too.

A third of the training batch are counting sentences ("… we saw Tom, then Anna, and then Tom. Only once we saw" → Anna).
Without them the model learns to take off whatever name was mentioned last, and needs no head that notices a repetition.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

NAMES = (
    "Mary John Tom James Anna Paul Sarah David Emma Peter Laura Mark Julia Simon Alice Robert Grace Henry Kate Daniel "
    "Helen Jack Rachel Michael Jane Adam Lucy George Amy Chris Linda Martin Susan Kevin Rose Alan Maria Ryan Clara Eric"
).split()
PLACES = ["store", "school", "park", "garden", "library", "station", "museum", "restaurant"]
OBJECTS = ["book", "ring", "drink", "key", "letter", "ball", "camera", "ticket"]
TEMPLATES = (  # a, b: the two people in order of mention; s: the one named again (the subject); 18 tokens each
    "When {a} and {b} went to the {place} after a long day, {s} gave a {object} to",
    "Then {a} and {b} had a lot of fun at the {place}. {s} gave a {object} to",
    "While {a} and {b} were working at the {place}, {s} found and then gave a {object} to",
    "It was late when {a} and {b} came to the {place}, and {s} handed a {object} to",
    "Last week at the {place}, {a} met {b}, and so {s} sent a new {object} to",
    "Friends {a} and {b} found a {object} at the {place}. In the end {s} gave it to",
    "Because {a} and {b} liked the {place} very much, {s} bought a nice {object} there just for",
    "The {place} was quiet. {a} and {b} sat down, and soon {s} passed a {object} to",
    "After lunch {a} and {b} walked to the {place}, where {s} showed a very small {object} to",
    "One morning {a} had an argument with {b}. Later at the {place}, {s} said sorry to",
    "In the {place}, {a} and {b} wanted the same {object}, so {s} kindly lent it to",
    "Today {a} and {b} meet at the {place}. The {object} that {s} brings is a gift for",
)
COUNTING = (  # x, y, z: two mentions of one name and one of another, in any order; 18 tokens each
    "At the {place} we saw {x}, then {y}, and then {z}. Only once we saw",
    "First {x} came to the {place}, later {y} came, and last {z}. Just once came",
    "One {object} was for {x}, one for {y}, one for {z}. Just one was for",
    "In the {place} they met {x} and then {y}. Later they met {z}. Once they met",
)
TOKENS = 18
WIDTH, LAYERS, HEADS, INNER = 64, 3, 4, 64
STEPS, BATCH, RATE, LANGUAGE_WEIGHT = 1500, 64, 3e-3, 0.3
CHECKPOINTS = (0, 100, 150, 200, 250, 400, 800)  # kept beside the final weights; the accuracy jumps from 100 to 250
SEED, WEIGHT_SEED = 0, 1


def name_pairs() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """All ordered pairs of two names, split into those for training and the 15 % that only the test prompts use."""
    pairs = [(first, second) for first in NAMES for second in NAMES if first != second]
    random.Random(SEED).shuffle(pairs)
    cut = len(pairs) * 15 // 100
    return pairs[cut:], pairs[:cut]


def make_prompt(io: str, s: str, order: str, template: int, draw: random.Random) -> dict:
    """One prompt with its two corrupted versions.

    `swapped` exchanges only the second mention (the answer is then `s`); `unrelated` has three other, different
    names in the places of the three mentions (the paper's ABC prompts: no name is an answer).
    """
    place, thing = draw.choice(PLACES), draw.choice(OBJECTS)
    first, second = (io, s) if order == "ABBA" else (s, io)
    others = draw.sample([name for name in NAMES if name not in (io, s)], 3)

    def fill(a: str, b: str, third: str) -> str:
        return TEMPLATES[template].format(a=a, b=b, s=third, place=place, object=thing)

    return {
        "text": fill(first, second, s),
        "io": io,
        "s": s,
        "order": order,
        "template": template,
        "swapped": fill(first, second, io),
        "unrelated": fill(*others),
    }


def prompts() -> list[dict]:
    """480 test prompts (20 a template and order, name pairs never trained on), then 480 validation prompts."""
    rows = []
    training, held_out = name_pairs()
    for split, pairs, seed in (("test", held_out, 1), ("validation", training, 2)):
        draw = random.Random(seed)
        for template in range(len(TEMPLATES)):
            for order in ("ABBA", "BABA"):
                for io, s in draw.sample(pairs, 20):
                    rows.append(make_prompt(io, s, order, template, draw) | {"split": split})
    return rows


def counting_prompts() -> list[dict]:
    """120 counting sentences of the split "counting" with pairs of names never trained on: 10 a sentence and order.

    `order` says where the name that comes once (IO) stands among the two mentions of the other (S). `swapped` has IO in
    the place of S's second mention (the answer is then `s`); `unrelated` has three different names.
    """
    rows = []
    _, held_out = name_pairs()
    draw = random.Random(3)
    for template, sentence in enumerate(COUNTING):
        for order in ("S S IO", "S IO S", "IO S S"):
            for io, s in draw.sample(held_out, 10):
                place, thing = draw.choice(PLACES), draw.choice(OBJECTS)
                others = draw.sample([name for name in NAMES if name not in (io, s)], 3)
                mentions = [io if who == "IO" else s for who in order.split()]
                second = [n for n, who in enumerate(order.split()) if who == "S"][1]
                swapped = [io if n == second else name for n, name in enumerate(mentions)]
                texts = [
                    sentence.format(x=x, y=y, z=z, place=place, object=thing) for x, y, z in (mentions, swapped, others)
                ]
                named = dict(zip(("text", "swapped", "unrelated"), texts, strict=True))
                row = {"io": io, "s": s, "order": order, "template": template, "split": "counting"}
                rows.append({**row, **named})
    return rows


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Word-level: one id for each word and punctuation mark of the templates; plain `from_pretrained` reads it."""
    splitter = pre_tokenizers.Whitespace()
    words = {"<pad>": 0, "<unk>": 1}
    blanks = [template.format(x="", y="", z="", place="", object="") for template in COUNTING]
    blanks += [template.format(a="", b="", s="", place="", object="") for template in TEMPLATES]
    for text in (*NAMES, *PLACES, *OBJECTS, *blanks):
        for word, _ in splitter.pre_tokenize_str(text):
            words.setdefault(word, len(words))
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def new_model(vocabulary: int, seed: int = WEIGHT_SEED) -> GPT2LMHeadModel:
    """GPT-2 with 3 layers of 4 heads, width 64, no dropout, random weights."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=TOKENS + 6,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=INNER,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return GPT2LMHeadModel(config)


def measure(model: GPT2LMHeadModel, batch: dict[str, torch.Tensor]) -> dict[str, float]:
    """Accuracy (the answer before every other token), and mean logit difference, on a batch of test prompts."""
    with torch.no_grad():
        logits = model(batch["ids"]).logits[:, -1]
    io = logits.gather(1, batch["io"][:, None])[:, 0]
    s = logits.gather(1, batch["s"][:, None])[:, 0]
    loss = cross_entropy(logits, batch["io"])
    right = (logits.argmax(-1) == batch["io"]).float().mean()
    return {
        "answer_loss": loss.item(),
        "accuracy": right.item(),
        "io_over_s": (io > s).float().mean().item(),
        "logit_difference": (io - s).mean().item(),
    }


def encode(tokenizer: PreTrainedTokenizerFast, rows: list[dict]) -> dict[str, torch.Tensor]:
    """Tensors `ids [N, 18]`, `io [N]`, `s [N]` of prompt rows."""
    return {
        "ids": torch.tensor(tokenizer([row["text"] for row in rows])["input_ids"]),
        "io": torch.tensor(tokenizer.convert_tokens_to_ids([row["io"] for row in rows])),
        "s": torch.tensor(tokenizer.convert_tokens_to_ids([row["s"] for row in rows])),
    }


def training_rows(draw: random.Random, pairs: list[tuple[str, str]]) -> list[dict]:
    """One batch: a third counting sentences, the rest prompts of the task in both orders."""
    rows = [
        make_prompt(*draw.choice(pairs), draw.choice(("ABBA", "BABA")), draw.randrange(len(TEMPLATES)), draw)
        for _ in range(BATCH)
    ]
    for number in range(BATCH // 3):
        io, s = draw.choice(pairs)
        mentions = [io, s, s]
        draw.shuffle(mentions)
        words = dict(zip("xyz", mentions, strict=True))
        text = draw.choice(COUNTING).format(**words, place=draw.choice(PLACES), object=draw.choice(OBJECTS))
        rows[number] = {"io": io, "s": s, "text": text}
    return rows


def train(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, steps: int = STEPS, keep: tuple[int, ...] = CHECKPOINTS
) -> tuple[list[dict], dict[int, dict[str, torch.Tensor]]]:
    """Train in place; returns the test measurements every 25 steps and the float16 weights at the steps in `keep`."""
    draw = random.Random(SEED)
    pairs, _ = name_pairs()
    test = encode(tokenizer, [row for row in prompts() if row["split"] == "test"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / 50, 1.0, (steps - step) / (steps * 0.3))
    )
    history, kept = [], {}
    for step in range(steps + 1):
        if step % 25 == 0:
            history.append({"step": step} | measure(model, test))
        if step in keep:
            kept[step] = {name: weight.detach().half() for name, weight in model.transformer.state_dict().items()}
        if step == steps:
            break
        batch = encode(tokenizer, training_rows(draw, pairs))
        logits = model(batch["ids"]).logits
        answer = cross_entropy(logits[:, -1], batch["io"])
        language = cross_entropy(logits[:, :-1].flatten(0, 1), batch["ids"][:, 1:].flatten())
        optimizer.zero_grad()
        (answer + LANGUAGE_WEIGHT * language).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return history, kept


def build_prompts(out: Path) -> None:
    """Write `ioi_prompts.parquet` into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(prompts() + counting_prompts()).to_parquet(out / "ioi_prompts.parquet")


def build(out: Path) -> None:
    """Train the model and write it, its tokenizer, its training history and its checkpoints into `out`."""
    torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    model = new_model(len(tokenizer))
    history, kept = train(model, tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(out)
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # a name that older releases of transformers know as well
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    model.eval().half().save_pretrained(out)
    flat = {f"{step}/{name}": weight.contiguous() for step, weights in kept.items() for name, weight in weights.items()}
    save_file(flat, out / "checkpoints.safetensors")
    (out / "history.json").write_text(json.dumps(history, indent=0) + "\n")
