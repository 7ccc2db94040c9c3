"""Part 3's solutions against code that is not ours: torch.distributions, SciPy, TRL, and sums over all sequences."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from autograder import masters


@pytest.fixture(scope="module")
def part3() -> dict[str, Callable[..., Any]]:
    """The functions of the solution notebook."""
    space: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    for question in masters.load_questions(3):
        if question.function:
            exec(compile(question.solution, f"<{question.name}>", "exec"), space)
    return space


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# KL ------------------------------------------------------------------------------------------------------------------


def test_exact_kl_agrees_with_torch_distributions(part3):
    policy, reference = draw(3, 5, 20), draw(3, 5, 20, seed=1)
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=policy), torch.distributions.Categorical(logits=reference)
    )
    torch.testing.assert_close(part3["kl_divergence"](policy, reference), theirs)


def test_exact_kl_agrees_with_scipy(part3):
    policy, reference = draw(1, 4, 9), draw(1, 4, 9, seed=1)
    theirs = stats.entropy(policy.softmax(-1).numpy(), reference.softmax(-1).numpy(), axis=-1)
    torch.testing.assert_close(part3["kl_divergence"](policy, reference), torch.from_numpy(theirs))


@pytest.mark.parametrize("distance", [0.1, 1.0, 3.0])
def test_k1_and_k3_are_unbiased_and_k2_is_not(part3, distance):
    reference = draw(1, 6, 30)
    policy = reference + draw(1, 6, 30, seed=1, scale=distance)
    log_policy, log_reference = policy.log_softmax(-1)[0], reference.log_softmax(-1)[0]
    every = part3["kl_estimates"](log_policy, log_reference)  # the estimate of every token of the vocabulary
    averages = {name: (log_policy.exp() * values).sum(-1) for name, values in every.items()}
    exact = part3["kl_divergence"](policy, reference)[0]
    torch.testing.assert_close(averages["k1"], exact)
    torch.testing.assert_close(averages["k3"], exact)
    assert (averages["k2"] - exact).abs().max() > 1e-4
    assert (every["k3"] >= 0).all()
    assert (every["k1"] < 0).any()


def test_sampled_k1_and_k3_come_close_to_the_exact_kl(part3):
    policy, reference = draw(1, 1, 12), draw(1, 1, 12, seed=1)
    tokens = torch.multinomial(
        policy.softmax(-1)[0, 0], 40_000, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    sampled = part3["kl_estimates"](policy.log_softmax(-1)[0, :, tokens], reference.log_softmax(-1)[0, :, tokens])
    exact = part3["kl_divergence"](policy, reference).item()
    for name in ("k1", "k3"):
        values = sampled[name][0]
        assert abs(values.mean().item() - exact) < 4 * values.std().item() / len(values) ** 0.5, name


def test_narrowing_down_costs_what_the_notebook_says(part3):
    even = torch.zeros(1, 1, 1000, dtype=torch.float64)
    for kept in (1000, 500, 100, 10, 1):
        narrowed = even.masked_fill(torch.arange(1000) >= kept, -torch.inf)
        assert part3["kl_divergence"](narrowed, even).item() == pytest.approx(
            torch.log(torch.tensor(1000 / kept)).item(), abs=1e-6
        )


def test_gradients_of_the_estimates_in_reward_and_in_loss(part3):
    """k1 in the reward and k2 in the loss have the gradient of KL(π‖ref), k3 in the loss that of KL(ref‖π), k1 none."""
    theta, log_reference = draw(7).requires_grad_(), draw(7, seed=1).log_softmax(-1)
    log_probs = theta.log_softmax(-1)
    chance = log_probs.exp().detach()
    estimates = part3["kl_estimates"](log_probs[None], log_reference[None])

    def gradient(scalar: Tensor) -> Tensor:
        return torch.autograd.grad(scalar, theta, retain_graph=True)[0]

    wanted = gradient(part3["kl_divergence"](theta[None, None], log_reference[None, None]).sum())
    forward = gradient((log_reference.exp() * (log_reference - log_probs)).sum())
    in_loss = {name: gradient((chance * k).sum()) for name, k in estimates.items()}
    in_reward = {name: gradient((chance * k.detach() * log_probs).sum()) for name, k in estimates.items()}
    torch.testing.assert_close(in_reward["k1"], wanted)
    torch.testing.assert_close(in_loss["k1"], torch.zeros_like(theta))
    torch.testing.assert_close(in_loss["k2"], wanted)
    torch.testing.assert_close(in_loss["k3"], forward)
    torch.testing.assert_close(in_loss["k3"] + in_reward["k3"], wanted)
    assert not torch.allclose(in_reward["k3"], wanted)
    assert not torch.allclose(in_reward["k3"], forward)


def test_the_formula_of_the_optimum(part3):
    """J(π) = α ln Z − α KL(π‖π*), for any policy."""
    log_reference, rewards, alpha = draw(6).log_softmax(-1), draw(6, seed=1), 0.3
    log_z = (log_reference + rewards / alpha).logsumexp(-1)
    best, policy = log_reference + rewards / alpha - log_z, draw(6, seed=2).log_softmax(-1)

    def kl(left: Tensor, right: Tensor) -> Tensor:
        return part3["kl_divergence"](left[None, None], right[None, None])[0, 0]

    objective = (policy.exp() * rewards).sum() - alpha * kl(policy, log_reference)
    torch.testing.assert_close(objective, alpha * log_z - alpha * kl(policy, best))


# The gradient of the penalised objective, summed over all sequences of two tokens from three --------------------------


class TwoTokenWorld:
    """A policy over all sequences of two tokens from a vocabulary of three, small enough to add up every one."""

    def __init__(self) -> None:
        self.first, self.second = draw(3, seed=2).requires_grad_(), draw(3, 3, seed=3).requires_grad_()
        self.reference = (draw(3, seed=4), draw(3, 3, seed=5))
        self.rewards = draw(9, seed=6)
        self.sequences = torch.tensor(list(itertools.product(range(3), repeat=2)))  # [9, 2]

    def log_probs(self, first: Tensor, second: Tensor) -> Tensor:
        """[9, 2]: the log-prob of each token of each sequence."""
        a, b = self.sequences.T
        return torch.stack([first.log_softmax(-1)[a], second.log_softmax(-1)[a, b]], dim=1)


def test_shaped_rewards_give_the_gradient_of_reward_minus_kl(part3):
    world, alpha = TwoTokenWorld(), 0.3
    log_probs = world.log_probs(world.first, world.second)
    reference = world.log_probs(*world.reference)
    probabilities = log_probs.sum(1).exp()
    objective = (probabilities * (world.rewards - alpha * (log_probs - reference).sum(1))).sum()
    wanted = torch.autograd.grad(objective, (world.first, world.second), retain_graph=True)
    shaped = part3["kl_shaped_rewards"](world.rewards, log_probs, reference, torch.ones(9, 2, dtype=torch.bool), alpha)
    surrogate = (probabilities.detach() * shaped * log_probs.sum(1)).sum()  # REINFORCE's expectation
    found = torch.autograd.grad(surrogate, (world.first, world.second))
    for got, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, expected)


def test_kl_adds_up_along_a_text(part3):
    world = TwoTokenWorld()
    log_probs, reference = world.log_probs(world.first, world.second), world.log_probs(*world.reference)
    whole = (log_probs.sum(1).exp() * (log_probs - reference).sum(1)).sum()
    at_first = part3["kl_divergence"](world.first[None, None], world.reference[0][None, None])[0, 0]
    at_second = part3["kl_divergence"](world.second[None], world.reference[1][None])[0]
    torch.testing.assert_close(at_first + (world.first.softmax(-1) * at_second).sum(), whole)


# TRL -----------------------------------------------------------------------------------------------------------------


def trl_grpo_loss(log_probs: Tensor, old: Tensor, reference: Tensor, advantages: Tensor, mask: Tensor, beta: float):
    """The loss that TRL's GRPO trainer computes for given log-probs, and the KL it logs.

    Its reduction "luspo" is ours: sum over a completion's tokens, mean over the batch.
    """
    from trl.trainer.grpo_trainer import GRPOTrainer

    class Trainer:
        """What `_compute_loss` asks of its trainer; everything else would raise an AttributeError."""

        args = SimpleNamespace(use_bias_correction_kl=False, delta=None)
        accelerator = SimpleNamespace(
            num_processes=1, gather=lambda x: x, reduce=lambda x, reduction=None: x, sync_gradients=True
        )
        model = SimpleNamespace(training=True)
        loss_type, importance_sampling_level = "luspo", "token"
        epsilon_low = epsilon_high = 0.2
        top_entropy_quantile, off_policy_mask_threshold = 1.0, None
        use_vllm = vllm_importance_sampling_correction = aux_loss_enabled = _entropy_bonus_enabled = False
        current_gradient_accumulation_steps = 1

        def __init__(self) -> None:
            self.beta = beta
            self._metrics = {"train": defaultdict(list), "eval": defaultdict(list)}

        def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any):
            return log_probs, torch.zeros_like(log_probs), None

    trainer = Trainer()
    ids = torch.zeros(mask.shape, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": torch.ones_like(ids[:, :1]),
        "completion_ids": ids,
        "completion_mask": mask.to(log_probs.dtype),
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }
    loss = GRPOTrainer._compute_loss(trainer, trainer.model, inputs)
    return loss, trainer._metrics["train"].get("kl", [None])[0]


@pytest.fixture
def log_prob_batch() -> SimpleNamespace:
    """Log-probs now, at sampling and under the reference, with a mask: what both implementations get."""
    old = -draw(4, 6).abs() - 0.2
    return SimpleNamespace(
        old=old,
        new=(old + draw(4, 6, seed=1, scale=0.4)).requires_grad_(),
        reference=old + draw(4, 6, seed=2, scale=0.5),
        advantages=torch.tensor([1.0, -0.5, 2.0, -1.5], dtype=torch.float64),
        mask=torch.arange(6) < torch.tensor([[6], [3], [5], [1]]),
    )


@pytest.mark.slow
def test_ppo_loss_and_gradient_agree_with_trl(part3, log_prob_batch):
    b = log_prob_batch
    theirs, _ = trl_grpo_loss(b.new, b.old, b.reference, b.advantages, b.mask, beta=0.0)
    ours = part3["ppo_clip_loss"](b.new, b.old, b.advantages, b.mask, 0.2)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, b.new)[0], torch.autograd.grad(theirs, b.new)[0])


@pytest.mark.slow
def test_k3_agrees_with_trl(part3, log_prob_batch):
    b = log_prob_batch
    without, _ = trl_grpo_loss(b.new, b.old, b.reference, b.advantages, b.mask, beta=0.0)
    with_kl, logged = trl_grpo_loss(b.new, b.old, b.reference, b.advantages, b.mask, beta=0.5)
    k3 = part3["kl_estimates"](b.new, b.reference)["k3"] * b.mask
    torch.testing.assert_close(with_kl - without, 0.5 * k3.sum(1).mean())
    assert logged == pytest.approx((k3.sum() / b.mask.sum()).item())


@pytest.mark.slow
def test_group_advantages_agree_with_trl(part3, tmp_path: Path):
    """One step of TRL's GRPO trainer on a random two-layer GPT-2: the advantages it logs for the rewards it got.

    TRL divides by the sample standard deviation (K − 1) and adds 1e-4; the course, as the GRPO paper, by the
    population's (K). The two therefore differ by the factor √(K/(K − 1)), and by what 1e-4 makes of it.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel
    from trl import GRPOConfig, GRPOTrainer

    from helpers.hub import ASSETS

    tokenizer = AutoTokenizer.from_pretrained(ASSETS / "policy", padding_side="left")
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=64))
    given: list[float] = []

    def reward(completions: list[str], **_: Any) -> list[float]:
        values = [float(number**2 % 7) for number in range(len(completions))]
        given.extend(values)
        return values

    settings = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=4,
        max_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        save_strategy="no",
    )
    data = Dataset.from_dict({"prompt": ["The film", "A story", "This is", "One of"]})
    trainer = GRPOTrainer(model, reward, args=settings, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    theirs = torch.tensor(list(trainer._logs["advantages"]), dtype=torch.float64)
    rewards = torch.tensor(given, dtype=torch.float64)
    assert len(theirs) == len(rewards) == 8
    ours = part3["group_advantages"](rewards, 4)
    torch.testing.assert_close(ours * (3 / 4) ** 0.5, theirs, rtol=1e-3, atol=1e-4)


def test_group_advantages_agree_with_scipy(part3):
    rewards = draw(12)
    theirs = stats.zscore(rewards.view(3, 4).numpy(), axis=1, ddof=0).ravel()
    torch.testing.assert_close(part3["group_advantages"](rewards, 4), torch.from_numpy(theirs), rtol=1e-4, atol=1e-5)


# PPO beside REINFORCE ------------------------------------------------------------------------------------------------


def test_ppo_on_fresh_samples_has_the_gradient_of_reinforce(part3, log_prob_batch):
    b = log_prob_batch
    fresh = b.old.clone().requires_grad_()
    (ppo,) = torch.autograd.grad(part3["ppo_clip_loss"](fresh, b.old, b.advantages, b.mask, 0.2), fresh)
    reinforce = -(b.advantages[:, None] * b.mask * fresh).sum(1).mean()
    torch.testing.assert_close(ppo, torch.autograd.grad(reinforce, fresh)[0])


def test_the_controller_reaches_its_target(part3):
    alpha = 0.1
    for _ in range(400):
        alpha = part3["adapt_alpha"](alpha, 0.1 / alpha, 8.0, 160, 32)  # a world whose KL settles at 0.1 / alpha
    assert 0.1 / alpha == pytest.approx(8.0, rel=1e-3)
