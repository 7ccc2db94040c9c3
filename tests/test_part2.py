"""Part 2's solutions against code that is not ours: transformers, SciPy, TRL, and sums over all sequences."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import signal, stats
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from autograder.reference import steps_reinforce as judge
from autograder.reference.spec import JudgeError
from autograder.reference.steps import verify_step
from autograder.reference.steps_weights import SAME_DIRECTION, cosine
from helpers import worlds
from helpers.models import policy_logits
from helpers.worlds import reinforce as world
from helpers.worlds.small import small_policy, start_of, weights_of


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# log-probs -----------------------------------------------------------------------------------------------------------


def test_token_log_probs_agree_with_the_loss_of_transformers(part2):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=37, n_embd=16, n_layer=1, n_head=2, n_positions=16)).eval()
    ids = torch.randint(37, (3, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = model(input_ids=ids, labels=ids)
        ours = part2["token_log_probs"](output.logits, ids)
    torch.testing.assert_close(-ours.mean(), output.loss)
    labels = ids.clone()
    labels[:, :4] = -100  # transformers' way to leave the prompt out
    with torch.no_grad():
        theirs = model(input_ids=ids, labels=labels).loss
    torch.testing.assert_close(-ours[:, 3:].mean(), theirs)


def test_token_log_probs_agree_with_torch_distributions(part2):
    logits, ids = draw(4, 6, 11, scale=3), torch.randint(11, (4, 6), generator=torch.Generator().manual_seed(2))
    theirs = torch.distributions.Categorical(logits=logits[:, :-1]).log_prob(ids[:, 1:])
    torch.testing.assert_close(part2["token_log_probs"](logits, ids), theirs)


# the gradient --------------------------------------------------------------------------------------------------------

TOKENS, LENGTH = 3, 3


def sequence_table() -> Tensor:
    """All sequences of `LENGTH` tokens: `[27, 3]`."""
    return torch.tensor(list(itertools.product(range(TOKENS), repeat=LENGTH)))


def tiny_logits(theta: Tensor, sequences: Tensor) -> Tensor:
    """A language model of three tokens: the next token's logits depend on the present one and the place, `[N, L+1, V]`.

    Column 0 is the prompt, one token that is always the same; `theta` is `[L, V+1, V]`.
    """
    before = torch.cat([torch.full((len(sequences), 1), TOKENS), sequences], dim=1)  # [N, L+1]
    rows = [theta[place, before[:, place]] for place in range(LENGTH)]
    return torch.stack([*rows, torch.zeros_like(rows[0])], dim=1)


def reward_of(sequences: Tensor) -> Tensor:
    """A reward that depends on the whole sequence, and is never differentiated."""
    return ((sequences == 2).sum(dim=1) + 2 * (sequences[:, 0] == sequences[:, -1])).double() / 5


def exact_gradient(theta: Tensor) -> Tensor:
    """The gradient of the expected reward: a sum over all 27 sequences, through their probabilities."""
    theta = theta.clone().requires_grad_(True)
    sequences = sequence_table()
    logits = tiny_logits(theta, sequences)[:, :-1]
    log_p = torch.distributions.Categorical(logits=logits).log_prob(sequences).sum(dim=1)
    return torch.autograd.grad((log_p.exp() * reward_of(sequences)).sum(), theta)[0]


def loss_gradient(part2: dict[str, Callable[..., Any]], theta: Tensor, sequences: Tensor, advantages: Tensor) -> Tensor:
    """Minus the gradient of the REINFORCE loss of some sequences."""
    theta = theta.clone().requires_grad_(True)
    ids = torch.cat([torch.zeros(len(sequences), 1, dtype=torch.long), sequences], dim=1)  # [N, L+1]
    log_probs = part2["token_log_probs"](tiny_logits(theta, sequences), ids)  # [N, L]
    loss = part2["compute_reinforce_loss"](log_probs, advantages, torch.ones(log_probs.shape, dtype=torch.bool))
    return -torch.autograd.grad(loss, theta)[0]


def test_the_expected_gradient_of_the_loss_is_the_gradient_of_the_expected_reward(part2):
    """No sampling: each sequence enters with its probability in its weight, with any baseline."""
    theta, sequences = draw(LENGTH, TOKENS + 1, TOKENS), sequence_table()
    probability = (
        torch.distributions.Categorical(logits=tiny_logits(theta, sequences)[:, :-1])
        .log_prob(sequences)
        .sum(dim=1)
        .exp()
    )
    for baseline in (0.0, 0.4, -3.0):
        weights = len(sequences) * probability * (reward_of(sequences) - baseline)
        torch.testing.assert_close(loss_gradient(part2, theta, sequences, weights), exact_gradient(theta))


def test_the_sampled_gradient_converges_to_the_exact_one(part2):
    theta, sequences = draw(LENGTH, TOKENS + 1, TOKENS), sequence_table()
    exact = exact_gradient(theta)
    log_p = torch.distributions.Categorical(logits=tiny_logits(theta, sequences)[:, :-1]).log_prob(sequences).sum(dim=1)
    generator = torch.Generator().manual_seed(0)
    errors = []
    for count in (200, 20_000):
        chosen = sequences[torch.multinomial(log_p.exp(), count, replacement=True, generator=generator)]
        advantages = part2["leave_one_out_advantages"](reward_of(chosen))
        errors.append((loss_gradient(part2, theta, chosen, advantages) - exact).norm().item() / exact.norm().item())
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 3  # a hundred times the samples: about a tenth of the error


def test_leave_one_out_is_unbiased_and_the_batch_mean_shrinks(part2):
    """The mean over all 27² batches of two sequences, each with its probability: exact, with no sampling."""
    theta, sequences = draw(LENGTH, TOKENS + 1, TOKENS), sequence_table()
    exact = exact_gradient(theta)
    logits = tiny_logits(theta, sequences)[:, :-1]
    probability = torch.distributions.Categorical(logits=logits).log_prob(sequences).sum(dim=1).exp()
    rewards = reward_of(sequences)
    left, right = torch.meshgrid(torch.arange(27), torch.arange(27), indexing="ij")
    pairs = torch.stack([rewards[left.flatten()], rewards[right.flatten()]], dim=1)  # [729, 2]
    weight = (probability[left] * probability[right]).flatten()  # [729]
    for advantages, factor in (
        (torch.stack([part2["leave_one_out_advantages"](pair) for pair in pairs]), 1.0),
        (pairs - pairs.mean(dim=1, keepdim=True), 0.5),
    ):
        per_sequence = torch.zeros(27).double()
        per_sequence.index_add_(0, left.flatten(), weight * advantages[:, 0] / 2)
        per_sequence.index_add_(0, right.flatten(), weight * advantages[:, 1] / 2)
        torch.testing.assert_close(loss_gradient(part2, theta, sequences, 27 * per_sequence), factor * exact)


# advantages ----------------------------------------------------------------------------------------------------------


def trl_leave_one_out() -> Callable[[Tensor, int], Tensor]:
    """The lines of TRL's RLOO trainer that compute the baselines, as a function of rewards and the group's size."""
    rloo = pytest.importorskip("trl.trainer.rloo_trainer")
    tree = ast.parse(textwrap.dedent(inspect.getsource(rloo.RLOOTrainer._generate_and_score_completions)))
    wanted = ("grouped_rewards", "scorable_counts", "grouped_sum", "baselines", "advantages")

    def names(node: ast.Assign) -> set[str]:
        return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}

    found = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and names(node) & set(wanted)]
    found.sort(key=lambda node: node.lineno)
    last = next((i for i, node in enumerate(found) if ast.unparse(node) == "advantages = rewards - baselines"), None)
    if last is None:
        pytest.skip("this version of TRL computes leave-one-out baselines in another place")
    code = compile(ast.Module(body=[*found[: last + 1]], type_ignores=[]), "<trl>", "exec")

    def advantages(rewards: Tensor, size: int) -> Tensor:
        space: dict[str, Any] = {"torch": torch, "rewards": rewards, "num_generations": size}
        exec(code, space)
        return space["advantages"]

    return advantages


@pytest.mark.parametrize("size", [2, 5, 32])
def test_leave_one_out_agrees_with_trl(part2, size):
    rewards = draw(size, seed=size)
    torch.testing.assert_close(part2["leave_one_out_advantages"](rewards), trl_leave_one_out()(rewards, size))


# Gaussian policies and returns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5])
def test_gaussian_agrees_with_torch_distributions_and_scipy(part2, size):
    root = draw(size, size, seed=size) + 2 * torch.eye(size).double()
    covariance, action, mean = root @ root.T, draw(4, size, seed=1), draw(4, size, seed=2).requires_grad_(True)
    theirs = torch.distributions.MultivariateNormal(mean, covariance).log_prob(action)
    ours = part2["gaussian_log_prob"](action, mean, covariance)
    torch.testing.assert_close(ours, theirs)
    for row in range(4):
        density = stats.multivariate_normal(mean[row].detach().numpy(), covariance.numpy()).logpdf(action[row].numpy())
        assert ours[row].item() == pytest.approx(density)
    (score,) = torch.autograd.grad(theirs.sum(), mean)
    torch.testing.assert_close(part2["gaussian_score"](action, mean, covariance), score)


def test_returns_agree_with_scipys_filter(part2):
    rewards = draw(50)
    theirs = signal.lfilter([1.0], [1.0, -0.9], rewards.flip(0).numpy())[::-1].copy()
    torch.testing.assert_close(part2["discounted_returns"](rewards, 0.9), torch.from_numpy(theirs))


# the judge of the training step -------------------------------------------------------------------------------------------------


def test_direction_of_a_step_is_minus_the_gradient_found_by_differences():
    """The judge's own direction, against finite differences of a loss written out by hand, for some weights."""
    policy = small_policy(1).double()
    rollout = world.small_rollout(1, 0)
    rewards = world.small_reward_model(rollout.texts).double()
    right = judge.known_directions(policy, rollout)[""]
    weights = torch.nn.utils.parameters_to_vector(policy.parameters()).detach()

    def loss(moved: Tensor) -> float:
        torch.nn.utils.vector_to_parameters(moved, policy.parameters())
        with torch.no_grad():
            p = policy_logits(policy, rollout.ids, rollout.attention_mask).softmax(-1)
        total = 0.0
        for row in range(len(rollout)):
            others = [r for i, r in enumerate(rewards.tolist()) if i != row]
            advantage = rewards[row].item() - sum(others) / len(others)
            for t in range(1, rollout.ids.shape[1]):
                if rollout.completion_mask[row, t]:
                    total -= advantage * p[row, t - 1, rollout.ids[row, t]].log().item()
        return total / len(rollout)

    for place in right.abs().topk(5).indices.tolist():
        step = torch.zeros_like(weights)
        step[place] = 1e-5
        slope = (loss(weights + step) - loss(weights - step)) / 2e-5
        assert -slope == pytest.approx(right[place].item(), rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_known_mistakes_are_far_from_the_right_direction(seed):
    for number in range(3):
        policy = small_policy(seed, world.DISTANCE, number)
        known = judge.known_directions(policy, world.small_rollout(seed, number))
        near = [
            message for message, wrong in known.items() if message and cosine(known[""], wrong) > SAME_DIRECTION - 0.01
        ]
        # padding and positions alone may hardly turn the direction: there each parameter's change is compared
        assert all(message.startswith("the policy is") or number for message in near)


def test_a_stand_in_is_run_remotely(part2):
    calls = []

    class StandIn:
        def run_remotely(self, world, **arguments):
            calls.append((world, arguments))
            return worlds.run(world, part2["reinforce_step"], **arguments)

        def __call__(self, *inputs):
            raise RuntimeError("the stand-in was called in the judge's process")

    stand_in = StandIn()
    for aspect in ("update", "report", "modes"):
        verify_step(stand_in, "reinforce_step", aspect)
    single = ("reinforce_single", {"seed": 200})  # the record of evaluation mode is used again
    assert calls == [single, ("reinforce_single", {"seed": 200, "training": True})]
    worlds.run("reinforce_table", stand_in, rewards=[[1.0, 0.0, 0.2]])
    assert calls[2:] == [("reinforce_table", {"rewards": [[1.0, 0.0, 0.2]]})]
    with pytest.raises(ValueError, match="no world 'run_remotely'"):
        worlds.run("run_remotely", stand_in)


def test_every_world_takes_a_step_and_the_rest_by_keyword():
    for name in worlds.WORLDS:
        assert next(iter(inspect.signature(worlds.find(name)).parameters)) == "step"


@pytest.mark.parametrize(
    ("name", "value"),
    [("LEARNING_RATE", 0.3), ("SINGLE_STEPS", 2), ("ROWS", (6, 5, 4)), ("PROMPT", 7), ("NEW", 6), ("REWARD", 0.1)],
)
def test_a_constant_of_the_world_is_written_once(part2, monkeypatch, name, value):
    """The judge reads it from the world: a right step stays right when the world changes."""
    step, was = part2["reinforce_step"], worlds.run("reinforce_single", part2["reinforce_step"], seed=200)
    monkeypatch.setattr(world, name, value)
    assert str(worlds.run("reinforce_single", step, seed=200)) != str(was)
    for aspect in ("update", "report", "modes"):
        verify_step(lambda *inputs: step(*inputs), "reinforce_step", aspect)


def test_the_judges_faults_are_told_apart():
    with pytest.raises(JudgeError):
        verify_step(len, "no_such_step", "update")
    with pytest.raises(JudgeError):
        verify_step(len, "reinforce_step", "no such aspect")
    with pytest.raises(AssertionError, match="raised TypeError"):
        verify_step(lambda a, b, c, d: a + 1, "reinforce_step", "update")
    with pytest.raises(AssertionError, match="not defined"):
        verify_step(None, "reinforce_step", "update")


def test_forged_records_fail():
    start = start_of(0, 0, world.DISTANCE)
    weights = weights_of(small_policy(0))
    broken = {name: torch.full_like(weight, torch.nan) for name, weight in weights.items()}
    for forged, message in (({"a": torch.zeros(1)}, "structure"), (broken, "NaN"), (start, "did not change")):
        with pytest.raises(AssertionError, match=message):
            judge.check_update({"weights": [forged] * 3, "answers": [], "conduct": []}, 0)
    empty = {"weights": [], "answers": [], "training": [], "conduct": []}
    for check in (
        lambda: judge.check_update(empty, 0),
        lambda: judge.check_report(empty, 0),
        lambda: judge.check_modes(empty, empty),
    ):
        with pytest.raises(AssertionError, match="not complete"):
            check()


@pytest.mark.parametrize("notes", [[{}] * 3, [3] * 3, [{"steps": 1, "faults": [3], "random": 5}] * 3, [], None, 7])
def test_forged_notes_of_conduct_are_the_students_fault(part2, notes):
    record = worlds.run("reinforce_single", part2["reinforce_step"], seed=200) | {"conduct": notes}
    with pytest.raises(AssertionError, match="not complete"):
        judge.check_update(record, 200)


def test_the_reward_rises_in_the_small_world_by_far_more_than_is_asked(part2):
    """On the seeds where a short training of the embedded policy raises the reward least; docs/training-tests.md has more."""
    for seed in (214, 220, 224):
        record = worlds.run(
            "reinforce_practice", part2["reinforce_step"], seed=seed, probes=judge.practice_probes(seed)
        )
        judge.check_practice(record, seed)
        risen = judge.mean_reward(record["weights"], seed) - judge.mean_reward(weights_of(small_policy(seed)), seed)
        assert risen > judge.LEAST_RISE + 0.07


def test_a_policy_that_does_not_learn_fails_the_training(part2):
    """The probed steps are right; between them nothing happens."""
    probes, calls = judge.practice_probes(200), []

    def lazy(*given):
        calls.append(given)
        return part2["reinforce_step"](*given) if len(calls) - 1 in probes else {}

    record = worlds.run("reinforce_practice", lazy, seed=200, probes=probes)
    with pytest.raises(AssertionError, match="has not risen enough"):
        judge.check_practice(record, 200)


@pytest.mark.slow
def test_the_short_training_tells_a_right_step_from_a_wrong_one(part2):
    def turned_round(policy, optimizer, rollout, reward_model):
        return part2["reinforce_step"](policy, optimizer, rollout, lambda texts: -reward_model(texts))

    verify_step(part2["reinforce_step"], "reinforce_step", "training")
    record = worlds.run("reinforce_training", turned_round, seed=200, probes=judge.training_probes(200))
    practised = worlds.run("reinforce_practice", turned_round, seed=200, probes=judge.practice_probes(200))
    for check, wrong in ((judge.check_training, record), (judge.check_practice, practised)):
        with pytest.raises(AssertionError, match="in the training, the update of step 1"):
            check(wrong, 200)
        with pytest.raises(AssertionError, match="not complete"):
            check(wrong | {"probes": []}, 200)
