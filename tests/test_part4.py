"""Part 4 against things that are not ours: TRL's loss, transformers' loss, autograd, and worlds solved by hand."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from autograder import masters
from autograder.reference import part4 as reference_part
from autograder.reference import steps_dpo as judge
from autograder.reference.steps import verify_step
from helpers import worlds
from helpers.dpo import pairs as preferences
from helpers.models import load_policy, policy_logits
from helpers.worlds import dpo as world
from helpers.worlds import small

SEEDS = range(4)


@pytest.fixture(scope="module")
def solution() -> SimpleNamespace:
    """The functions of the solution, as the notebook defines them."""
    space: dict[str, object] = {
        "torch": torch,
        "F": torch.nn.functional,
        "pair_log_probs": preferences.pair_log_probs,
    }
    for question in masters.load_questions(4):
        if question.function:
            exec(compile(question.solution, f"<{question.name}>", "exec"), space)
    return SimpleNamespace(**space)


def random_log_probs(seed: int, batch: int = 6) -> list[Tensor]:
    """Chosen and rejected under policy and reference, float64 `[B]` each."""
    draw = torch.Generator().manual_seed(seed)
    start = -30 + 5 * torch.randn(2, batch, generator=draw, dtype=torch.float64)
    moved = start + 3 * torch.randn(2, batch, generator=draw, dtype=torch.float64)
    return [moved[0], moved[1], start[0], start[1]]


# --- TRL ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trl_loss(tmp_path_factory):
    """TRL's own loss as a function of four log-probs: its code, fed with a "model" whose log-probs are given."""
    trl = pytest.importorskip("trl")
    from helpers.dpo.trl_beside import pairs_for_trl, plain_arguments, quietly, trl_collator

    policy, tokenizer = load_policy("tiny", "cpu")
    ids = tuple(tokenizer("A fine film", add_special_tokens=False)["input_ids"])
    pairs = [preferences.Pair("A", " fine film", " film", ids[:1], ids[1:], ids[2:], 1.0, 0.0)] * 2

    def compute(log_probs: list[Tensor], beta: float) -> Tensor:
        arguments = plain_arguments(2, 0.1, 1, torch.device("cpu"))
        with quietly():
            trainer = trl.DPOTrainer(
                model=copy.deepcopy(policy),
                ref_model=copy.deepcopy(policy),
                args=trl.DPOConfig(beta=beta, remove_unused_columns=False, **arguments),
                train_dataset=pairs_for_trl(pairs),
                processing_class=tokenizer,
                data_collator=trl_collator(pairs, tokenizer.pad_token_id),
            )
        trainer.precompute_ref_logps = True  # the reference's log-probs then come with the batch
        policy_log_probs = torch.cat(log_probs[:2])[:, None]  # [2B, 1]: a completion of one token
        rows = len(policy_log_probs)

        def model(**_: object) -> SimpleNamespace:
            still = torch.zeros(rows, 1)
            return SimpleNamespace(
                log_probs=policy_log_probs, entropy=still, mean_logits=still, is_top1=still.bool(), loss=None
            )

        inputs = {
            "input_ids": torch.ones(rows, 2, dtype=torch.long),
            "attention_mask": torch.ones(rows, 2, dtype=torch.long),
            "completion_mask": torch.tensor([[0, 1]]).expand(rows, 2),
            "ref_chosen_logps": log_probs[2],
            "ref_rejected_logps": log_probs[3],
        }
        return trainer._compute_loss(model, inputs, return_outputs=False)

    return compute


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "beta"), [(0, 0.1), (1, 0.25), (2, 0.5)])
def test_dpo_loss_agrees_with_trl(solution, trl_loss, seed: int, beta: float) -> None:
    ours = [value.clone().requires_grad_(True) for value in random_log_probs(seed)]
    theirs = [value.clone().requires_grad_(True) for value in random_log_probs(seed)]
    loss, _, _ = solution.compute_dpo_loss(*ours, beta)
    their_loss = trl_loss(theirs, beta)
    torch.testing.assert_close(loss, their_loss)
    loss.backward()
    their_loss.backward()
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        assert a.grad.abs().max() > 0
        torch.testing.assert_close(a.grad, b.grad)


# --- transformers, autograd -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_sequence_log_prob_is_transformers_loss_times_tokens(solution, seed: int) -> None:
    model = small.small_policy(seed)
    batch = world.batches_for("single steps", seed)[0]
    logits = policy_logits(model, batch.chosen_ids, batch.chosen_attention)
    ours = solution.sequence_log_prob(logits, batch.chosen_ids, batch.chosen_mask)
    for row in range(len(batch)):
        mask = batch.chosen_mask[row : row + 1]
        labels = batch.chosen_ids[row : row + 1].masked_fill(~mask, -100)
        attention = batch.chosen_attention[row : row + 1].long()
        loss = model(input_ids=batch.chosen_ids[row : row + 1], attention_mask=attention, labels=labels).loss
        assert ours[row].item() == pytest.approx(-loss.item() * mask.sum().item(), rel=1e-5)


def test_padding_changes_nothing(solution) -> None:
    model = small.small_policy(1)
    pairs = world.small_pairs(1, 4)
    narrow, wide = (preferences.collate(pairs, pad, length=length) for pad, length in ((small.PAD_ID, None), (9, 30)))
    for first, second in zip(
        preferences.pair_log_probs(model, narrow, solution.sequence_log_prob),
        preferences.pair_log_probs(model, wide, solution.sequence_log_prob),
        strict=True,
    ):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_weight_is_what_autograd_finds(solution, seed: int, beta: float) -> None:
    inputs = random_log_probs(seed)
    variables = [value.clone().requires_grad_(True) for value in inputs]
    solution.compute_dpo_loss(*variables, beta)[0].backward()
    weight = solution.dpo_gradient_weight(*inputs, beta)
    torch.testing.assert_close(variables[0].grad, -beta * weight / len(weight))
    torch.testing.assert_close(variables[1].grad, beta * weight / len(weight))


# --- worlds solved by hand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wins", "beta"), [(8, 0.5), (6, 0.1), (3, 1.0)])
def test_two_completions(solution, wins: int, beta: float) -> None:
    """A wins `wins` of ten comparisons: the best margin is the log-odds of that share, divided by β."""
    reference = torch.tensor([0.7, 0.3], dtype=torch.float64).log()
    share = wins / 10
    best = math.log(share / (1 - share)) / beta

    def loss_at(margin: float) -> float:
        ratio = torch.tensor([margin, 0.0], dtype=torch.float64)
        policy = (reference + ratio).log_softmax(0)
        winner = torch.tensor([0] * wins + [1] * (10 - wins))
        return solution.compute_dpo_loss(
            policy[winner], policy[1 - winner], reference[winner], reference[1 - winner], beta
        )[0].item()

    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert loss_at(best) == pytest.approx(entropy)
    assert loss_at(best) < min(loss_at(best - 0.1), loss_at(best + 0.1))


def test_optimal_policy_of_the_objective_has_the_right_implicit_rewards(solution) -> None:
    """π* ∝ π_ref·exp(r/β): its implicit rewards differ from r by one constant, so all differences are those of r."""
    beta, rewards = 0.5, torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    reference = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    policy = (reference + rewards / beta).log_softmax(0)
    first, second = torch.tensor([1, 2, 2]), torch.tensor([0, 0, 1])
    _, chosen, rejected = solution.compute_dpo_loss(
        policy[first], policy[second], reference[first], reference[second], beta
    )
    torch.testing.assert_close(chosen - rejected, rewards[first] - rewards[second])


# --- the judge of dpo_step --------------------------------------------------------------------------------


QUICK = [name for name in judge.CHECKS if name != "training"]


@pytest.mark.parametrize("aspect", QUICK)
@pytest.mark.parametrize("seed", [11, 12])
def test_solution_passes_in_other_worlds(solution, aspect: str, seed: int) -> None:
    verify_step(solution.dpo_step, "dpo_step", aspect, seed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEARNING_RATE", 0.3),
        ("BATCH_SIZE", 10),
        ("SINGLE_SIZES", (4, 3, 2)),
        ("BETAS", (0.2, 0.4, 0.1)),
        ("DISTANCE", 0.1),
        ("BATCHES", {"single steps": (7, 3), "training": (8, 30), "held out": (9, 12)}),
    ],
)
def test_a_constant_of_the_world_is_written_once(solution, monkeypatch, name: str, value) -> None:
    """The judge reads it from the world: a right step stays right when the world changes."""

    def record() -> str:
        return str(worlds.run("dpo_single", solution.dpo_step, seed=100, moved=True))

    was = record()
    monkeypatch.setattr(world, name, value)
    assert record() != was
    for aspect in judge.CHECKS if name == "BATCHES" else QUICK:
        verify_step(lambda *inputs: solution.dpo_step(*inputs), "dpo_step", aspect)


def test_an_empty_record_passes_no_check() -> None:
    empty = {"weights": [], "answers": [], "conduct": []}
    for check in (judge.check_update, judge.check_reported):
        with pytest.raises(AssertionError, match="not complete"):
            check(empty, 0)


def test_the_prompt_cancels_in_the_loss_but_not_in_the_rewards(solution) -> None:
    """Why a forgotten prompt mask must be caught by the reported rewards: the loss cannot show it."""
    model, reference = small.small_policy(3, 0.05), small.small_policy(3)
    batch = world.batches_for("single steps", 3)[0]
    unmasked = judge.masked_by(batch, batch.chosen_attention, batch.rejected_attention)
    results = []
    for pairs in (batch, unmasked):
        with torch.no_grad():
            four = [
                *preferences.pair_log_probs(model, pairs, solution.sequence_log_prob),
                *preferences.pair_log_probs(reference, pairs, solution.sequence_log_prob),
            ]
        results.append(solution.compute_dpo_loss(*four, 0.3))
    assert results[0][0].item() == pytest.approx(results[1][0].item(), abs=1e-5)
    assert (results[0][1] - results[1][1]).abs().max() > 0.05


def test_some_batch_of_several_pairs_is_left_alone_by_clipping() -> None:
    """To cut the norm to 1 is allowed; a sum in place of a mean shows where nothing is cut, whatever the seed."""
    for seed in range(judge.FIRST_SEED, judge.FIRST_SEED + 6):
        norms = []
        for number, batch in enumerate(world.batches_for("single steps", seed)):
            start, beta = small.start_of(seed, number, world.DISTANCE), world.beta_of(seed, number)
            norms.append(float(judge.expected_step(seed, start, batch, beta)[1].norm()))
        several = [norm for norm, size in zip(norms, world.SINGLE_SIZES, strict=True) if size > 1]
        assert min(several) < 0.95
        assert max(norms) > 1.1


# --- the pairs ------------------------------------------------------------------------------------------------------


def some_pairs(count: int = 40) -> list[preferences.Pair]:
    return world.small_pairs(5, count)


def test_collate_places_prompt_completion_and_padding() -> None:
    pair = preferences.Pair("p", "c", "r", (5, 6), (7, 8, 1), (9,), 0.9, 0.2)
    other = preferences.Pair("p", "c", "r", (5,), (7,), (9, 9), 0.9, 0.2)
    batch = preferences.collate([pair, other], 0)
    assert batch.chosen_ids.tolist() == [[5, 6, 7, 8, 1], [5, 7, 0, 0, 0]]
    assert batch.chosen_attention.int().tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert batch.chosen_mask.int().tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 0, 0]]
    assert batch.rejected_ids.tolist() == [[5, 6, 9], [5, 9, 9]]
    assert pair.gap == pytest.approx(0.7)
    with pytest.raises(ValueError, match="does not fit"):
        preferences.collate([pair], 0, length=3)
    with pytest.raises(ValueError, match="no pairs"):
        preferences.collate([], 0)


def test_batches_see_every_pair_once_an_epoch_with_its_own_reference_log_probs() -> None:
    pairs = some_pairs(40)
    kept = torch.stack([torch.arange(40.0), -torch.arange(40.0)], dim=1)
    batches = list(preferences.pair_batches(pairs, 0, 8, seed=3, epochs=2, reference=kept))
    assert len(batches) == 10
    seen = [int(i) for batch in batches[:5] for i in batch.reference_chosen]
    assert sorted(seen) == list(range(40))
    assert seen != [int(i) for batch in batches[5:] for i in batch.reference_chosen]
    batch: Any
    for batch in batches:
        assert torch.equal(batch.reference_chosen, -batch.reference_rejected)
    again = list(preferences.pair_batches(pairs, 0, 8, seed=3, epochs=2, reference=kept))
    assert all(torch.equal(a.chosen_ids, b.chosen_ids) for a, b in zip(batches, again, strict=True))
    whole = list(preferences.pair_batches(pairs, 0, 16))
    assert [len(batch) for batch in whole] == [16, 16, 8]


def test_the_loss_of_one_policy_against_beta_turns_where_a_margin_is_negative(solution) -> None:
    """What question 4.C asks: ln 2 at first, falling for a positive mean margin, rising in the end for a negative one."""
    zero = torch.zeros(3, dtype=torch.float64)

    def losses(*margins: float) -> list[float]:
        moved = torch.tensor(margins, dtype=torch.float64)
        return [
            solution.compute_dpo_loss(moved, zero, zero, zero, beta)[0].item() for beta in (1e-6, 0.1, 1.0, 10.0, 100.0)
        ]

    mixed, right, mostly_wrong = losses(6.0, 4.0, -1.0), losses(6.0, 4.0, 1.0), losses(2.0, -1.0, -4.0)
    assert all(values[0] == pytest.approx(math.log(2), abs=1e-5) for values in (mixed, right, mostly_wrong))
    assert right == sorted(right, reverse=True)
    assert mostly_wrong == sorted(mostly_wrong)
    assert mixed[1] < mixed[0]
    assert mixed[-1] > mixed[0]


def test_sampled_completions_are_kept_and_belong_to_their_policy(tmp_path) -> None:
    policy, tokenizer = load_policy("tiny", "cpu")

    def reward(texts: list[str]) -> Tensor:
        return torch.tensor([len(text) / 100 for text in texts])

    def draw(seed: int = 0, model=policy) -> preferences.Completions:
        return preferences.sample_completions(
            model, tokenizer, reward, ["The film", "It is"], 2, 4, seed=seed, folder=tmp_path, progress=False
        )

    first = draw()
    assert draw() == first
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert first.rewards.shape == (2, 2)
    assert tokenizer.decode(first.ids[0][1], skip_special_tokens=True) == first.texts[0][1]
    assert first.scores[1][0] == pytest.approx(len("It is" + first.texts[1][0]) / 100)
    assert draw(seed=1) != first
    other = copy.deepcopy(policy)
    with torch.no_grad():
        other.transformer.ln_f.weight.mul_(1.5)
    assert draw(model=other) != first
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_reference_agrees_with_the_solution_on_pairs(solution) -> None:
    rewards = torch.rand(50, 5, generator=torch.Generator().manual_seed(0))
    ours = solution.make_preference_pairs(rewards, 0.4)
    assert torch.equal(ours, reference_part.make_preference_pairs(rewards, 0.4))
    gaps = rewards[ours[:, 0], ours[:, 1]] - rewards[ours[:, 0], ours[:, 2]]
    assert gaps.min() > 0.4
    assert len(ours) == int((rewards.amax(1) - rewards.amin(1) > 0.4).sum())
