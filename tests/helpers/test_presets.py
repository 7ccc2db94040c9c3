"""Presets: one code path for embedded models and for those of the hub, and honest messages about which is used."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

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
from tests.hub_cache import write_hub_cache

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
    monkeypatch.setattr(presets.smollm2, "converted", lambda name: False)  # whatever this machine has
    monkeypatch.setattr(presets, "in_local_cache", lambda sources: cached)
    monkeypatch.setattr(
        presets, "hub_status", lambda repository: (reachable, "it answers" if reachable else "it does not answer")
    )
    assert choose_preset().name == expected
    assert told in " ".join(capsys.readouterr().out.split())  # lines are broken between words


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
    assert told in " ".join(capsys.readouterr().out.split())  # lines are broken between words


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
second = load_reward_model(preset, second=True, device="cpu")
prompts = {split: load_prompts(preset, split) for split in ("train", "validation", "test")}
result = evaluate(policy, tokenizer, reward_model, prompts["test"][:2], dataclasses.replace(preset, new_tokens=4), progress=False)
print(json.dumps({"preset": preset.name, "parameters": policy.num_parameters(), "type": str(policy.dtype),
    "eos": tokenizer.eos_token_id, "label": reward_model.positive_label, "layers": reward_model.model.config.n_layers,
    "mean": result.mean, "second": second(result.texts).tolist(),
    "counts": {split: len(group) for split, group in prompts.items()}, "first": prompts["test"][0]}))
"""


@pytest.mark.slow
def test_the_larger_preset_runs_from_a_local_hub_cache(tmp_path):
    write_hub_cache(tmp_path / "hub", reviews=450)
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
    assert all(0 < opinion < 1 for opinion in found["second"]), "the embedded second opinion reads what GPT-2 writes"
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
