"""Models of somebody's own choice: they work like the preset's, and whatever is wrong with one is said with what to do."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest.mock import MagicMock

import huggingface_hub
import pytest
import torch
import transformers.utils.hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BloomConfig,
    BloomForCausalLM,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
)

from helpers.devices import MemoryFullError
from helpers.fitting import WrongModelError
from helpers.generation import generate
from helpers.hub import ModelNotAvailableError, Source, dataset_folder, source_of
from helpers.interpretability import explain
from helpers.kl import sweep
from helpers.models import load_policy, load_reward_model
from helpers.presets import PRESETS, choose_preset, sources
from helpers.reinforce import finished

TINY = "choose_preset('tiny')"  # what every message offers


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("COURSE_PRESET", "COURSE_ONLY_PRESET", "COURSE_OFFLINE", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def llama(tokenizer, tmp_path_factory) -> Path:
    """A folder with a random Llama and a tokenizer of bytes."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=257, max_position_embeddings=64, bos_token_id=256, eos_token_id=256, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_llama_of_ones_own_writes_and_an_embedded_model_judges(llama, capsys):
    """The example of docs/instructors.md."""
    preset = choose_preset("tiny", policy=str(llama), reward_model="gold", learning_rate=3e-5)
    told = " ".join(capsys.readouterr().out.split())  # lines are broken between words
    assert f"policy {llama.resolve()}, reward model gold, learning rate 3e-05" in told
    assert (preset.kl.learning_rate, preset.dpo.learning_rate, preset.kl.alpha) == (3e-5, 3e-5, 0.03)
    assert not preset.tiny, "a policy of unknown size gets all threads, and no second run beside it"
    policy, tokenizer = load_policy(preset, device="cpu")
    assert isinstance(policy, LlamaForCausalLM)
    rollout = generate(policy, tokenizer, ["The film", "A story that"], 5, generator=0)
    rewards = load_reward_model(preset, device="cpu")(rollout.texts)
    assert rewards.shape == (2,)
    assert preset.reward_model == PRESETS["tiny"].second_reward_model


def test_what_is_recorded_for_tiny_is_not_shown_for_other_models(llama, new_policy, tmp_path):
    preset = choose_preset("tiny", policy=str(llama), quiet=True)
    judged = choose_preset("tiny", reward_model="gold", quiet=True)
    for other in (preset, judged):
        with pytest.raises(ValueError, match="for the preset tiny only"):
            finished.recorded_run(new_policy(), other)
        assert sweep.earlier_runs(other, tmp_path)[0] == []
    assert sweep.earlier_runs(PRESETS["tiny"], tmp_path)[0]


def test_names_of_models(llama, tmp_path):
    commit = "0" * 40
    assert source_of("owner/name") == Source("owner/name")
    assert source_of(f"owner/name@{commit}").pinned
    assert source_of(str(llama)).local
    assert source_of("reward").embedded
    for wrong in ("no-such-name", "a/b/c", "https://huggingface.co/owner/name", str(tmp_path / "nowhere")):
        with pytest.raises(ValueError, match="is no model: give"):
            source_of(wrong)
    with pytest.raises(ValueError, match=r"has no config\.json"):
        source_of(str(tmp_path))
    with pytest.raises(ValueError, match=r"a learning rate .*positive number"):
        choose_preset("tiny", learning_rate=-1.0)


def test_while_a_grader_runs_the_embedded_models_are_taken(monkeypatch):
    """A notebook that names a large preset, or models of the hub, must be graded in seconds and offline."""
    monkeypatch.setenv("COURSE_ONLY_PRESET", "tiny")
    assert choose_preset("gpt2", policy="owner/name", learning_rate=1.0, quiet=True) == PRESETS["tiny"]


def answer(status: int) -> MagicMock:
    """A response of the hub."""
    return MagicMock(status_code=status, headers={})


HUB_ERRORS = {
    "gated": (GatedRepoError("403", response=answer(403)), r"is gated(.|\n)*huggingface\.co/owner/name(.|\n)*HF_TOKEN"),
    "renamed": (RepositoryNotFoundError("404", response=answer(404)), "renamed, deleted or private"),
    "private": (RepositoryNotFoundError("401", response=answer(401)), "private and yours(.|\n)*HF_TOKEN"),
    "revision": (RevisionNotFoundError("404", response=answer(404)), "no revision 'v9'(.|\n)*commits"),
    "token": (HfHubHTTPError("401", response=answer(401)), r"refuses your token \(401\)"),
    "too often": (HfHubHTTPError("429", response=answer(429)), "wait some minutes"),
    "no network": (LocalEntryNotFoundError("no connection"), "cannot be reached"),
    "disk": (OSError(errno.ENOSPC, "No space left on device"), "disk is full(.|\n)*HF_HOME"),
    "folder": (PermissionError(errno.EACCES, "Permission denied"), "may not be written to(.|\n)*HF_HOME"),
    "another": (OSError("something else"), "something else(.|\n)*Check your connection"),
}


@pytest.mark.parametrize("case", HUB_ERRORS)
def test_an_error_of_the_hub_says_what_to_do(monkeypatch, case):
    """Raised where the hub's library would raise it; transformers wraps some of these in an error that says less."""
    error, told = HUB_ERRORS[case]

    def refuse(*_, **__):
        raise error

    for module, name in (
        (transformers.utils.hub, "hf_hub_download"),
        (transformers.utils.hub, "snapshot_download"),
        (huggingface_hub, "snapshot_download"),
    ):
        monkeypatch.setattr(module, name, refuse)
    preset = choose_preset("tiny", policy="owner/name@v9", reward_model="owner/name@v9", quiet=True)
    for load in (load_policy, load_reward_model):
        with pytest.raises(ModelNotAvailableError, match=told) as raised:
            load(preset, device="cpu")
        assert TINY in str(raised.value)
        assert "owner/name (revision v9)" in str(raised.value)
    with pytest.raises(ModelNotAvailableError, match=told.replace("co/owner", "co/datasets/owner")):
        dataset_folder(Source("owner/name", revision="v9", kind="dataset"))


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), torch.OutOfMemoryError()],
)
def test_too_little_memory_is_said_so(monkeypatch, llama, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
    with pytest.raises(MemoryFullError, match=r"memory is full(.|\n)*choose_preset\('tiny'\)"):
        load_policy(choose_preset("tiny", policy=str(llama), quiet=True), device="cpu")


def save_config(config, folder: Path) -> str:
    config.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("config", [BertConfig(), T5Config()], ids=["encoder", "encoder-decoder"])
def test_what_does_not_write_is_no_policy_and_its_weights_are_not_fetched(tmp_path, config):
    preset = choose_preset("tiny", policy=save_config(config, tmp_path), quiet=True)
    with pytest.raises(WrongModelError, match=rf"\({config.model_type}\) does not write") as raised:
        load_policy(preset, device="cpu")
    assert TINY in str(raised.value)


def test_a_policy_that_the_course_cannot_call_is_refused(tmp_path, tokenizer):
    shapes = {
        "takes no position_ids": BloomForCausalLM(BloomConfig(vocab_size=257, hidden_size=16, n_layer=1, n_head=2)),
        "tokenizer has 257 tokens and the model 100": GPT2LMHeadModel(
            GPT2Config(vocab_size=100, n_embd=16, n_layer=1, n_head=2)
        ),
    }
    for number, (told, model) in enumerate(shapes.items()):
        folder = tmp_path / str(number)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        with pytest.raises(WrongModelError, match=told) as raised:
            load_policy(choose_preset("tiny", policy=str(folder), quiet=True), device="cpu")
        assert TINY in str(raised.value)


def test_a_folder_with_half_a_model_is_named(tmp_path):
    preset = choose_preset("tiny", policy=save_config(GPT2Config(n_embd=16, n_layer=1, n_head=2), tmp_path), quiet=True)
    with pytest.raises(ModelNotAvailableError, match=r"cannot be read(.|\n)*choose_preset\('tiny'\)"):
        load_policy(preset, device="cpu")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({n: f"{n + 1} stars" for n in range(5)}, "must have the two labels"),
        ({0: "LABEL_0", 1: "LABEL_1"}, "do not say which one is positive"),
    ],
)
def test_a_classifier_with_other_labels_is_no_reward_model(tmp_path, reward_parts, labels, told):
    model, words = reward_parts
    config = type(model.config)(
        **{**model.config.to_dict(), "id2label": labels, "label2id": {v: k for k, v in labels.items()}}
    )
    DistilBertForSequenceClassification(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    with pytest.raises(WrongModelError, match=told) as raised:
        load_reward_model(choose_preset("tiny", reward_model=str(tmp_path), quiet=True), device="cpu")
    assert str(tmp_path) in str(raised.value)
    assert TINY in str(raised.value)


def test_a_classifier_that_cannot_mask_words_is_named_in_part_5(tokenizer):
    with pytest.raises(ValueError, match=r"no mask token(.|\n)*choose_preset\('tiny'\)"):
        explain.explain(lambda texts: torch.zeros(len(texts)).numpy(), tokenizer, ["a film"])


def test_every_preset_names_models_that_are_there_or_on_the_hub():
    for preset in PRESETS.values():
        assert all(source.on_the_hub or Path(source.location).is_dir() for source in sources(preset))
