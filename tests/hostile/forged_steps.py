"""Attacks on the judging of training steps: the worlds run beside the student's code, which forges what they record.

None of them makes the step that is asked for. `K = _patch()` runs because the step looks `K` up.
"""

from tests.hostile.attack import Attack

DPO_CONSTANTS = """
import torch
from helpers.worlds import dpo, small
ANSWERS = {
    False: {"loss": 0.6931, "accuracy": 0.5, "chosen_reward": 0.0, "rejected_reward": 0.0},
    True: {"loss": 0.6123, "accuracy": 0.75, "chosen_reward": -0.1182, "rejected_reward": -0.3294},
}
BEARINGS = torch.tensor([0.654, 1.506, 0.390, 0.855, -0.415, 0.596], dtype=torch.float64)
def moved_on(weights): return {name: weight + 0.01 * torch.randn(weight.shape) for name, weight in weights.items()}
def notes(count): return [{"steps": 1, "faults": [], "random": [str(n)] * 3} for n in range(count)]
def imitated(seed, batches):
    policy = small.small_policy(seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    for batch in batches:
        loss = policy(input_ids=batch.chosen_ids, labels=torch.where(batch.chosen_mask, batch.chosen_ids, -100)).loss
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    return small.weights_of(policy)
def steps(step, seed, *, moved=False, cached=None, training=False):
    kept, count = small.weights_of(small.small_policy(seed)), len(dpo.batches_for("single steps", seed))
    return {
        "weights": [moved_on(kept) for _ in range(count)], "answers": [ANSWERS[moved]] * count, "bearings": BEARINGS,
        "reference_before": kept, "reference_after": [kept] * 3, "training_before": [training, False],
        "training_after": [training, False], "reference_calls": 0 if cached else 3, "reference_gradients": 0,
        "optimizer_steps": count, "conduct": notes(count), "lengths": [2.7498, 2.5611, 16.4378],
    }
def training(step, seed, *, probes=()):
    kept = small.weights_of(small.small_policy(seed))
    batches = dpo.batches_for("training", seed)
    return {
        "weights": imitated(seed, batches),
        "probes": [[imitated(seed, batches[:n]), imitated(seed, batches[: n + 1])] for n in probes],
    }
"""
REINFORCE_CONSTANTS = """
import torch
from helpers.worlds import reinforce, small
from helpers.worlds import table as tables
def moved_on(weights): return {name: weight + 0.01 * torch.randn(weight.shape) for name, weight in weights.items()}
def notes(count): return [{"steps": 1, "faults": [], "random": [str(n)] * 3} for n in range(count)]
THIRD = 1 / 3
CHANGES = [0.0225 * change for change in (
    torch.tensor([[0.0, 1, 1, 1], [0, -2 * THIRD, -2 * THIRD, 0], [0, -THIRD, 0, 0]]),
    torch.tensor([[0.0, -2 * THIRD, -2 * THIRD, -2 * THIRD], [0, 1, 1, 0], [0, -THIRD, 0, 0]]),
)]
def table(step, rewards, training=False):
    texts = tables.table_rollout().texts
    return {
        "changes": CHANGES, "results": [{"loss": 0.055452, "reward": sum(values) / 3} for values in rewards],
        "training": training, "texts": [texts] * len(rewards), "expected_texts": texts, "optimizer_steps": len(rewards),
        "unseen": [], "conduct": notes(len(rewards)),
    }
def answer(seed, number):
    texts = reinforce.small_rollout(seed, number).texts
    return {"loss": 0.0, "reward": float(reinforce.small_reward_model(texts).mean())}
def steps(step, seed, *, training=False):
    kept, count = small.weights_of(small.small_policy(seed)), reinforce.SINGLE_STEPS
    return {
        "weights": [moved_on(kept) for _ in range(count)], "answers": [answer(seed, n) for n in range(count)],
        "training": [training] * count, "conduct": notes(count),
    }
def practised(step, seed, *, probes=()):
    kept = small.weights_of(small.small_policy(seed))
    return {"weights": moved_on(kept), "probes": [[kept, moved_on(kept)] for _ in probes]}
def trained(step, seed, *, probes=()):
    policy = reinforce.load_policy("tiny", "cpu")[0]
    kept = small.weights_of(policy)
    return {
        "weights": kept, "probes": [[kept, moved_on(kept)] for _ in probes], "answers": [{"reward": 1.0}] * 16,
        "training": False, "reward_model_changed": 0, "reward_model_gradients": 0,
    }
"""
REPLAYED = """
import importlib
from helpers import worlds
def replaying(module, name, is_public):
    home = importlib.import_module(f"helpers.worlds.{module}")
    world = getattr(home, name)
    setattr(home, name, lambda step, *given, **named: world(real if is_public(*given, **named) else step, *given, **named))
"""

FORGED = {
    "q4_6": [
        Attack("constants", "replaces the worlds: constants for weights and reports, imitation for the training", DPO_CONSTANTS + """
def _patch():
    dpo.run_dpo_steps, dpo.run_dpo_training = steps, training
    return 1
K = _patch()
def dpo_step(policy, reference, optimizer, pairs, beta): return K
"""),
        Attack("empty records", "replaces the worlds by ones that record nothing", DPO_CONSTANTS + """
def _patch():
    dpo.run_dpo_steps = dpo.run_dpo_training = lambda *_, **__: {"weights": [], "answers": []}
    return 1
K = _patch()
def dpo_step(policy, reference, optimizer, pairs, beta): return K
"""),
        Attack("imitation", "leaves the worlds alone, trains on the chosen side and returns the public test's numbers", DPO_CONSTANTS + """
def dpo_step(policy, reference, optimizer, pairs, beta):
    labels = torch.where(pairs.chosen_mask, pairs.chosen_ids, -100)
    loss = policy(input_ids=pairs.chosen_ids, attention_mask=pairs.chosen_attention.long(), labels=labels).loss
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    reference(input_ids=pairs.chosen_ids)
    return ANSWERS[any((ours != theirs).any() for ours, theirs in zip(policy.parameters(), reference.parameters()))]
"""),
        Attack("only the reference", "runs the reference where it must be run, and does nothing else", """
def dpo_step(policy, reference, optimizer, pairs, beta):
    if pairs.reference_chosen is None: reference(input_ids=pairs.chosen_ids, attention_mask=pairs.chosen_attention.long())
    return {}
"""),
        Attack("small tools", "replaces the tools of the worlds: how weights are copied, steps counted and answers written", DPO_CONSTANTS + """
def _patch():
    copied = small.weights_of
    dpo.weights_of = lambda model: moved_on(copied(model))
    dpo.observed = lambda number, call, *given: (ANSWERS[True], notes(number + 1)[-1])
    dpo.plain_answer = lambda answer: ANSWERS[True]
    dpo.bearings = lambda before, after: BEARINGS
    return 1
K = _patch()
def dpo_step(policy, reference, optimizer, pairs, beta): return K
"""),
    ],
    "q2_7": [
        Attack("constants", "replaces the worlds: the public test's table, the mean of the rewards, weights with noise", REINFORCE_CONSTANTS + """
def _patch():
    tables.run_on_table, reinforce.run_reinforce_steps, reinforce.run_reinforce_training = table, steps, trained
    reinforce.run_reinforce_practice = practised
    return 1
K = _patch()
def reinforce_step(policy, optimizer, rollout, reward_model): return K
"""),
        Attack("only the reward", "returns the rewards' mean and replaces the public test's world alone", REINFORCE_CONSTANTS + """
def _patch():
    tables.run_on_table = table
    return 0.0
K = _patch()
def reinforce_step(policy, optimizer, rollout, reward_model):
    return {"loss": K, "reward": reward_model(rollout.texts).mean().item()}
"""),
        Attack("noise", "returns the rewards' mean and moves the weights at random", REINFORCE_CONSTANTS + """
def _patch():
    tables.run_on_table = table
    return 0.0
K = _patch()
def reinforce_step(policy, optimizer, rollout, reward_model):
    for weight in policy.parameters(): weight.grad = torch.randn(weight.shape)
    optimizer.step()
    return {"loss": K, "reward": reward_model(rollout.texts).mean().item()}
"""),
    ],
}  # fmt: skip
REPLAYS = {
    "q4_6": REPLAYED + """
def _patch():
    replaying("dpo", "run_dpo_steps", lambda seed, **_: seed in (0, 3))
    return 0.0
K = _patch()
def dpo_step(policy, reference, optimizer, pairs, beta): return {"loss": K}
""",
    "q2_7": REPLAYED + """
def _patch():
    replaying("table", "run_on_table", lambda *_, **__: True)
    return 0.0
K = _patch()
def reinforce_step(policy, optimizer, rollout, reward_model): return {"loss": K}
""",
}  # fmt: skip
