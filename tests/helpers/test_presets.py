"""Presets: one code path for embedded models and for those of the hub, and honest messages about which is used."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from tokenizers import pre_tokenizers
from transformers import (
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

from helpers import hub as hub_module
from helpers import presets
from helpers.data import PROMPT_SPLITS, load_prompts, load_snippets
from helpers.hub import (
    ModelNotAvailableError,
    Source,
    dataset_folder,
    dataset_is_cached,
    from_hub_or_assets,
    hub_status,
    is_cached,
)
from helpers.presets import PRESETS, choose_preset, fast, sources, unpinned_revisions

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = PRESETS["gpt2"].policy.name


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Start every test without the course's environment variables."""
    for name in ("COURSE_PRESET", "COURSE_OFFLINE", "HF_HUB_OFFLINE", "COURSE_FAST", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_gpu_auto_is_tiny_and_the_hub_is_not_asked(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(presets, "hub_status", lambda *_: pytest.fail("the hub was asked"))
    assert choose_preset("auto").name == "tiny"
    assert "no CUDA GPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cached", "reachable", "expected", "told"),
    [
        (True, False, "gpt2", "local hub cache"),
        (False, True, "gpt2", "it answers"),
        (False, False, "tiny", "it does not answer"),
    ],
)
def test_with_a_gpu_auto_follows_the_hub(monkeypatch, capsys, cached, reachable, expected, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(presets, "in_local_cache", lambda sources: cached)
    monkeypatch.setattr(
        presets, "hub_status", lambda repository: (reachable, "it answers" if reachable else "it does not answer")
    )
    assert choose_preset().name == expected
    assert told in capsys.readouterr().out


def test_the_environment_can_choose(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_PRESET", "gpt2")
    assert choose_preset("auto").name == "gpt2"
    assert "COURSE_PRESET" in capsys.readouterr().out
    assert choose_preset("tiny", quiet=True).name == "tiny"
    assert capsys.readouterr().out == ""


def test_names_that_do_not_exist():
    with pytest.raises(ValueError, match="tiny, smollm2, gpt2"):
        choose_preset("huge")


@pytest.mark.parametrize(
    ("fetched", "gpu", "rate", "expected", "told"),
    [
        (False, True, 1e4, "tiny", "cannot be reached"),
        (True, True, 0.0, "smollm2", "there is a GPU"),
        (True, False, 300.0, "smollm2", "fast enough for it (300 GFLOP/s measured, 250 wanted)"),
        (True, False, 99.6, "tiny", "slow for it (100 GFLOP/s measured"),
    ],
)
def test_without_the_hub_auto_takes_smollm2_where_it_was_fetched_and_runs(
    monkeypatch, capsys, fetched, gpu, rate, expected, told
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(presets, "in_local_cache", lambda sources: False)
    monkeypatch.setattr(presets, "hub_status", lambda repository: (False, "the hub cannot be reached"))
    monkeypatch.setattr(presets.smollm2, "converted", lambda name: fetched)
    monkeypatch.setattr(presets, "arithmetic_rate", lambda: rate)
    assert choose_preset("auto").name == expected
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("name", ["COURSE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_settings_are_honoured(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(hub_module.urllib.request, "urlopen", lambda *a, **k: pytest.fail("the network was used"))
    reachable, why = hub_status(REPOSITORY)
    assert not reachable
    assert name in why


RELEASED = threading.Event()  # the slow hub answers


class Hub(BaseHTTPRequestHandler):
    """A hub that answers with the status in its path, or not at all."""

    def do_HEAD(self):
        if "/slow/" in self.path:
            RELEASED.wait(5)
        self.send_response(503 if "/down/" in self.path else 200)
        self.end_headers()

    def log_message(self, *arguments):
        """Be quiet."""


@pytest.fixture
def hub():
    server = HTTPServer(("127.0.0.1", 0), Hub)
    RELEASED.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    RELEASED.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "reachable", "told"),
    [("/up", True, "answers"), ("/down", False, "error (503)"), ("/slow", False, "0.3 s")],
)
def test_the_hub_is_asked_with_a_short_limit(monkeypatch, hub, path, reachable, told):
    monkeypatch.setenv("HF_ENDPOINT", hub + path)
    answer, why = hub_status(REPOSITORY, timeout=0.3)
    assert answer is reachable
    assert told in why


def test_no_hub_at_all(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub_status(REPOSITORY, timeout=1) == (False, hub_status(REPOSITORY, timeout=1)[1])
    assert "cannot be reached" in hub_status(REPOSITORY, timeout=1)[1]


def test_every_revision_is_pinned_or_reported():
    reported = {source.name for source in unpinned_revisions()}
    for preset in PRESETS.values():
        for source in sources(preset):
            assert source.pinned != (source.name in reported)
    assert all(
        set(s.revision) <= set("0123456789abcdef")
        for p in PRESETS.values()
        for s in sources(p)
        if len(s.revision) == 40
    )


def test_embedded_splits_do_not_overlap():
    prompts = {split: load_prompts("tiny", split) for split in PROMPT_SPLITS}
    assert all(len(group) >= 100 for group in prompts.values())
    lowered = [{prompt.lower() for prompt in group} for group in prompts.values()]
    assert len(set.union(*lowered)) == sum(map(len, lowered))
    snippets = load_snippets("validation")
    assert set(snippets["split"]) == {"validation"}
    assert set(snippets.column_names) == {"text", "rating", "positive_share", "split"}
    with pytest.raises(ValueError, match="split"):
        load_prompts("tiny", "gold")


def test_fast(monkeypatch):
    assert not fast()
    monkeypatch.setenv("COURSE_FAST", "1")
    assert fast()


def write_hub_cache(hub_folder: Path) -> None:
    """Build the hub's local cache as its library lays it out: true architectures, random weights, a few reviews."""

    def snapshot(kind: str, source: hub_module.Source) -> Path:
        repository = hub_folder / f"{kind}--{source.name.replace('/', '--')}"
        commit = source.revision if source.pinned else "0" * 40
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        folder = repository / "snapshots" / commit
        folder.mkdir(parents=True)
        return folder

    preset = PRESETS["gpt2"]
    torch.manual_seed(0)
    folder = snapshot("models", preset.policy)  # the format of that repository: vocabulary, merges, a .bin file
    policy = GPT2LMHeadModel(GPT2Config()).half()
    assert sum(p.numel() for p in policy.parameters()) == 124_439_808
    policy.config.save_pretrained(folder)
    weights = {name: value for name, value in policy.state_dict().items() if name != "lm_head.weight"}
    torch.save(weights, folder / "pytorch_model.bin")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"unused{number}" for number in range(50256 - len(letters))), "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024})
    )

    folder = snapshot("models", preset.reward_model)
    names = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(id2label=names, label2id={name: number for number, name in names.items()})
    reward = DistilBertForSequenceClassification(config)
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "wonderful",
        "terrible",
        "loved",
        "hated",
        "film",
        "a",
        "i",
        "it",
        ".",
    ]
    with torch.no_grad():  # make "loved" and "wonderful" score above "hated" and "terrible"
        encoded = torch.tensor([[2, 10, 5, 9, 13, 11, 7, 12, 13, 3], [2, 10, 6, 9, 13, 11, 8, 12, 13, 3]])
        good, bad = reward.eval()(encoded).logits.softmax(-1)[:, 1]
        if good < bad:
            reward.classifier.weight.neg_()
    reward.half().save_pretrained(folder)
    (folder / "vocab.txt").write_text(
        "\n".join([*vocabulary, *(f"[unused{n}]" for n in range(30522 - len(vocabulary)))])
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "DistilBertTokenizer", "do_lower_case": True})
    )

    folder = snapshot("datasets", preset.prompts) / "plain_text"
    folder.mkdir()
    for split, label in [("train", 1), ("test", 0), ("unsupervised", -1)]:
        texts = [f"{split} review number {n} of<br /><br />a film that goes on and on." for n in range(300)]
        table = pa.table({"text": texts, "label": [label] * 300})
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")


SCRIPT = """
import dataclasses, json, torch
torch.cuda.is_available = lambda: True
from helpers.presets import choose_preset
preset = choose_preset("auto")
torch.cuda.is_available = lambda: False
from helpers.data import load_prompts
from helpers.evaluation import evaluate
from helpers.models import load_policy, load_reward_model
policy, tokenizer = load_policy(preset, device="cpu")
reward_model = load_reward_model(preset, device="cpu")
prompts = {split: load_prompts(preset, split) for split in ("train", "validation", "test")}
result = evaluate(policy, tokenizer, reward_model, prompts["test"][:2], dataclasses.replace(preset, new_tokens=4), progress=False)
print(json.dumps({"preset": preset.name, "parameters": policy.num_parameters(), "type": str(policy.dtype),
    "eos": tokenizer.eos_token_id, "label": reward_model.positive_label, "layers": reward_model.model.config.n_layers,
    "mean": result.mean, "counts": {split: len(group) for split, group in prompts.items()}, "first": prompts["test"][0]}))
"""


@pytest.mark.slow
def test_the_larger_preset_runs_from_a_local_hub_cache(tmp_path):
    write_hub_cache(tmp_path / "hub")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path),
        "COURSE_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=900
    )
    assert run.returncode == 0, run.stderr[-3000:]
    message, found = run.stdout.splitlines()[:-1], json.loads(run.stdout.splitlines()[-1])
    assert any("local hub cache" in line for line in message)
    assert found["preset"] == "gpt2"
    assert found["parameters"] == 124_439_808
    assert found["type"] == "torch.float32"
    assert (found["eos"], found["label"], found["layers"]) == (50256, 1, 6)
    assert 0 < found["mean"] < 1
    assert found["counts"]["test"] + found["counts"]["train"] + found["counts"]["validation"] <= 600
    assert found["counts"]["test"] > 100
    assert found["counts"]["validation"] > 0
    assert "<br" not in found["first"]
    assert 2 <= len(found["first"].split()) <= 5


def test_without_cache_and_hub_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    nowhere = Source("nobody/a-model-that-does-not-exist")
    assert not is_cached(nowhere)
    with pytest.raises(
        ModelNotAvailableError, match=r"nobody/a-model(.|\n)*set to work offline(.|\n)*choose_preset\('tiny'\)"
    ):
        from_hub_or_assets(AutoTokenizer, nowhere)
    reviews = Source("nobody/reviews-that-do-not-exist", kind="dataset")
    assert not dataset_is_cached(reviews)
    with pytest.raises(ModelNotAvailableError, match="nobody/reviews"):
        dataset_folder(reviews)
