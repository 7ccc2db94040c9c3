"""On a Mac's GPU there is no float64: what a notebook computes in float64 is brought to the CPU before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from helpers.devices import in_float64
from helpers.dpo import pairs
from helpers.interpretability import explain, ioi
from helpers.reinforce import gauges


class OnMps(torch.Tensor):
    """A stand-in for a tensor on Apple's MPS: it says that it lies there, and refuses float64 as MPS does."""

    device = property(lambda self: torch.device("mps"))

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if function is torch.Tensor.double or torch.float64 in [*args[1:], *kwargs.values()]:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return super().__torch_function__(function, types, args, kwargs)


def on_mps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).as_subclass(OnMps)


def test_the_stand_in_refuses_what_mps_refuses():
    for ask in (lambda x: x.double(), lambda x: x.to(torch.float64), lambda x: (x + 1).to(dtype=torch.float64)):
        with pytest.raises(TypeError, match="float64"):
            ask(on_mps(2))


def test_float64_is_had_on_the_cpu():
    value = on_mps(3)
    assert in_float64(value).dtype == torch.float64
    assert in_float64(value).device.type == "cpu"
    assert torch.equal(in_float64(value).float(), value.cpu())


def test_part_4_hashes_a_models_weights(monkeypatch):
    model = torch.nn.Linear(4, 4)
    monkeypatch.setattr(model, "state_dict", lambda: {"weight": on_mps(4, 4)})
    there = pairs._hash_of([model])
    monkeypatch.setattr(model, "state_dict", lambda: {"weight": on_mps(4, 4).cpu()})
    assert pairs._hash_of([model]) == there


def test_part_5_scores_prompts_and_texts(policy, tokenizer, reward_model, monkeypatch):
    monkeypatch.setattr(policy, "forward", lambda *_, **options: SimpleNamespace(logits=on_mps(1, 3, 257)))
    assert explain.next_word_preference(policy, tokenizer, "word", "other")(["a prompt"]).device.type == "cpu"
    monkeypatch.setattr(type(reward_model), "__call__", lambda self, texts: on_mps(len(texts)).sigmoid())
    assert explain.log_odds(reward_model)(["a", "b"]).shape == (2,)


def test_part_5_takes_shares_with_their_intervals():
    share, low, high = ioi.share_with_interval(on_mps(6) + 9, on_mps(6) + 9)
    assert (share, low, high) == pytest.approx((1, 1, 1))


def test_part_2_measures_a_step(monkeypatch):
    weight = torch.nn.Parameter(torch.ones(3))
    seen = []
    monkeypatch.setattr(gauges, "in_float64", lambda tensor: seen.append(tensor) or in_float64(tensor))
    policy = torch.nn.ParameterList([weight])
    with gauges.step_sizes(policy) as sizes:
        (2 * weight).sum().backward()
        weight.data -= 1
    assert sizes["gradient"] == pytest.approx(12**0.5)
    assert sizes["step_length"] == pytest.approx(3**0.5)
    assert len(seen) == 2


def test_part_4s_accuracy_has_no_float64():
    """The solution is what students with a Mac are shown."""
    from autograder import masters

    (question,) = [q for q in masters.load_questions(4) if q.function == "preference_accuracy"]
    space: dict = {"torch": torch}
    exec(question.solution, space)
    assert 0 <= space["preference_accuracy"](on_mps(5), on_mps(5) + 1) <= 1
