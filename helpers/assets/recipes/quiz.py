"""Stage `quiz`: put the forecast quiz's tasks to SmolLM2-135M-Instruct and record its greedy answers (a minute).

The tasks and their rules were written down before the model was run. A rule is mechanical: a regular expression, a word
count or a JSON value, so that nobody has to judge an answer by taste.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from . import sources

NEW_TOKENS = 40
MODEL = "SmolLM2-135M-Instruct"

# (kind, task, how it is judged in words, rule). Rules: see `is_right`.
TASKS: list[tuple[str, str, str, dict]] = [
    ("fact", "What is the capital of France?", "The answer contains “Paris”.", {"has": r"\bParis\b"}),
    ("fact", "What is the capital of Australia?", "The answer contains “Canberra”.", {"has": r"\bCanberra\b"}),
    ("fact", "What is the chemical symbol for gold?", "The answer contains “Au”.", {"has": r"\bAu\b"}),
    ("fact", "Who wrote the play Romeo and Juliet?", "The answer contains “Shakespeare”.", {"has": "Shakespeare"}),
    ("fact", "How many legs does a spider have?", "The answer contains “8” or “eight”.", {"has": r"(?i)\b(8|eight)\b"}),
    ("arithmetic", "What is 7 + 5?", "The last number in the answer is 12.", {"last": ("number", "12")}),
    ("arithmetic", "What is 17 * 23?", "The last number in the answer is 391.", {"last": ("number", "391")}),
    (
        "arithmetic",
        "Tom has 3 apples and buys 4 more. Then he eats 2. How many apples does he have now? "
        "Answer with the number only.",
        "The last number in the answer is 5.",
        {"last": ("number", "5")},
    ),
    (
        "arithmetic",
        "What number comes next? 2, 4, 6, 8, ... Answer with the number only.",
        "The last number in the answer is 10.",
        {"last": ("number", "10")},
    ),
    (
        "letters",
        "Spell the word garden backwards.",
        "The answer contains “nedrag”, with or without signs between the letters.",
        {"has": r"(?i)n\W*e\W*d\W*r\W*a\W*g\b"},
    ),
    (
        "letters",
        "How many times does the letter r occur in the word strawberry? Answer with the number only.",
        "The answer contains “3” or “three”.",
        {"has": r"(?i)\b(3|three)\b"},
    ),
    ("letters", "Write the word hello in capital letters.", "The answer contains “HELLO”.", {"has": r"\bHELLO\b"}),
    ("letters", "Which letter comes after P in the alphabet?", "The answer contains a lone “Q”.", {"has": r"\bQ\b"}),
    (
        "sentiment",
        "Is this film review positive or negative? Answer with one word.\n\n"
        "A tender, funny and beautifully acted film.",
        "The answer contains “positive” and not “negative”.",
        {"has": r"(?i)\bpositive\b", "lacks": r"(?i)\bnegative\b"},
    ),
    (
        "sentiment",
        "Is this film review positive or negative? Answer with one word.\n\n"
        "Two hours that I would gladly have spent at the dentist.",
        "The answer contains “negative” and not “positive”.",
        {"has": r"(?i)\bnegative\b", "lacks": r"(?i)\bpositive\b"},
    ),
    ("language", "Translate into French: Good morning.", "The answer contains “bonjour”.", {"has": r"(?i)\bbonjour\b"}),
    ("language", "Translate into German: the cat.", "The answer contains “Katze”.", {"has": r"(?i)\bKatze\b"}),
    ("language", "What is the opposite of hot?", "The answer contains “cold”.", {"has": r"(?i)\bcold\b"}),
    ("language", "What is the plural of the word mouse?", "The answer contains “mice”.", {"has": r"(?i)\bmice\b"}),
    (
        "reasoning",
        "All birds have feathers. A robin is a bird. Does a robin have feathers? Answer yes or no.",
        "The answer begins with “yes”.",
        {"has": r"(?i)^\W*yes\b"},
    ),
    (
        "reasoning",
        "Anna is taller than Ben. Ben is taller than Carl. Who is the shortest? Answer with the name only.",
        "The first name in the answer is Carl.",
        {"first": (r"\b(?:Anna|Ben|Carl)\b", "Carl")},
    ),
    (
        "reasoning",
        "Mary and John went to the store. John gave a bottle of milk to her. Who has the milk now? "
        "Answer with the name only.",
        "The first name in the answer is Mary.",
        {"first": (r"\b(?:Mary|John)\b", "Mary")},
    ),
    (
        "reasoning",
        "Which is heavier, a kilogram of feathers or a kilogram of iron?",
        "The answer contains “same”, “equal”, “equally” or “neither”.",
        {"has": r"(?i)\b(same|equal|equally|neither)\b"},
    ),
    (
        "reasoning",
        "Today is Monday. Which day of the week is it in three days? Answer with one word.",
        "The last day of the week named in the answer is Thursday.",
        {"last": (r"\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b", "Thursday")},
    ),
    (
        "format",
        "What colour is the sky on a clear day? Answer with exactly three words.",
        "The answer has exactly three words.",
        {"words": 3},
    ),
    (
        "format",
        'Reply with a JSON object that has one key, "name", with the value "Ada". Write nothing else.',
        "The whole answer is that JSON object.",
        {"json": {"name": "Ada"}},
    ),
]


def is_right(answer: str, rule: dict) -> bool:
    """Whether `answer` meets every condition of `rule`.

    `has` / `lacks`: a regular expression that must / must not be found. `first` / `last`: a pattern (`number`
    for a whole number) and the text that its first / last match must be. `words`: the number of words. `json`: the
    value that the whole answer must be.
    """
    tests = []
    for name, wanted in rule.items():
        if name in ("has", "lacks"):
            tests.append(bool(re.search(wanted, answer)) == (name == "has"))
        elif name in ("first", "last"):
            pattern = r"\d+" if wanted[0] == "number" else wanted[0]
            found = re.findall(pattern, answer.replace(",", ""))
            tests.append(bool(found) and found[0 if name == "first" else -1] == wanted[1])
        elif name == "words":
            tests.append(len(re.findall(r"[\w'’-]+", answer)) == wanted)
        elif name == "json":
            try:
                tests.append(json.loads(answer) == wanted)
            except json.JSONDecodeError:
                tests.append(False)
        else:
            raise ValueError(f"unknown rule {name!r}")
    return all(tests)


@torch.inference_mode()
def answers(cache: Path) -> list[str]:
    """The model's greedy answer to each task, at most `NEW_TOKENS` tokens, through its own chat template."""
    model, tokenizer = sources.smollm2(cache)
    model.eval()
    result = []
    for _, task, _, _ in TASKS:
        chat = [{"role": "user", "content": task}]
        inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=2)
        result.append(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
    return result


def build(cache: Path, out: Path) -> None:
    """Write `quiz.json` below `out` (the folder `recorded`)."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"kind": kind, "task": task, "rule": rule_text, "answer": answer, "right": int(is_right(answer, rule))}
        for (kind, task, rule_text, rule), answer in zip(TASKS, answers(cache), strict=True)
    ]
    about = f"Greedy answers of {MODEL}, chat template, at most {NEW_TOKENS} new tokens (helpers.assets.recipes.quiz)"
    text = json.dumps({"model": MODEL, "about": about, "tasks": rows}, indent=1, ensure_ascii=False)
    (out / "quiz.json").write_text(text + "\n", encoding="utf-8")
