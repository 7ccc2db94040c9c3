# %% [markdown]
# # Part 4 · Learning from preferences: DPO
#
# In Parts 2 and 3 the policy learned **online**: it wrote text, a reward model scored the text,
# and a policy gradient made well-scored text more likely. In this part it learns from a fixed list of **preferences**:
# pairs of completions of one prompt, of which somebody said "this one is better". There is no reward model in the
# training loop, and no sampling. The method is **direct preference optimisation**, DPO for short.
#
# You will
#
# 1. derive DPO's loss from the KL-regularised objective of Part 3, one step at a time, with numbers;
# 2. build preference pairs from the policy's own completions;
# 3. write the loss and check it **before** training, where you know what it must be;
# 4. train, and read the curves for what they say and for what they do not say;
# 5. look for DPO's own ways to fail: sinking log-probs, growing lengths, too many epochs, labels that are wrong;
# 6. compare several values of β, and DPO with REINFORCE at equal KL;
# 7. optionally, start a second round with fresh pairs, and lay the losses of the TRL library over yours.
#
# | section | what | computing on a 2-core laptop |
# | --- | --- | --- |
# | 4.1 | background: from the objective to the loss | seconds |
# | 4.2 | preference pairs (exercise 4.1) | 1 min of sampling |
# | 4.3 | the log-probability of a completion (exercise 4.2) | seconds |
# | 4.4 | the loss (exercises 4.3 to 4.5) | seconds |
# | 4.5 | training (exercise 4.6) | 1 min |
# | 4.6 | the role of β; length; one look after each epoch | 1.5 min |
# | 4.7 | what the pairs are worth: gap and noise | 1 min |
# | 4.8 | DPO beside REINFORCE | seconds |
# | 4.9 | optional: another loss, IPO (exercise 4.7), and a second round | 1 min |
# | 4.10 | optional: TRL beside your own | 1 min |
# | 4.11 | summary, reading list and submission | |
#
# The times are those of the small models (preset `tiny`); with larger ones the progress bars say how long it takes.
#
# Words used as in the earlier parts: the **policy** is the model we train,
# the **reference** is the frozen model it starts from, a **completion** is the text that follows a prompt,
# a **log-prob** is the natural logarithm of a probability. Two words are new.
# The completion that was judged better is the **chosen** one, the other the **rejected** one.
#
# As before, your functions leave their arguments as they are, and return tensors of their `dtype` and on their device
# (`torch.zeros_like(x)`, `device=x.device`), unless the exercise says otherwise.
# %%
# What this notebook uses. Each name is explained where it first occurs.
import copy
import functools
import itertools
import math
import time
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
import transformers

from helpers import plots, weights
from helpers.data import load_prompts
from helpers.devices import choose_device, run_seed, seed_everything
from helpers.display import show_samples
from helpers.dpo import figures, measures, recording
from helpers.dpo.pairs import collate, draw_labels, pair_batches, pair_log_probs, pairs_from, sample_completions
from helpers.dpo.pairs import mark as pairs_mark
from helpers.evaluation import NORMAL_975
from helpers.generation import generate
from helpers.kl import possible, sweep
from helpers.kl.figures import plot_frontier
from helpers.models import load_policy, load_reward_model, policy_logits, trainable_copy
from helpers.notebook.claims import claim
from helpers.notebook.start import headline
from helpers.presets import choose_preset
from helpers.runs import load_points, save_point, save_policy
from helpers.side_by_side import all_results, cores_for
from helpers.training import train

transformers.logging.set_verbosity_error()  # no notes about which loss it takes by default
preset = choose_preset("auto")
device = choose_device()
seed_everything(run_seed(0))
# %% [markdown]
# **Sizes.** All numbers that decide how long the notebook takes stand in the next cell.
# If you are in a hurry, make them smaller; the results get noisier.
# %%
recipe = preset.dpo  # learning rate, batch size and epochs of this preset
beta = recipe.beta  # the first one; section 4.6 tries others
kept_files = Path("runs/pairs")  # sampled completions are kept here, so that a second run takes no time
sizes = preset.sizes("dpo")  # to change one: preset.sizes("dpo", train_prompts=600)
print(sizes)
# %%
# The policy in its starting state is the reference: it is never changed. Policies to train are copies of it.
reference, tokenizer = load_policy(preset, device)
reference.requires_grad_(False)
reward_model = load_reward_model(preset, device=device)
pad_id = tokenizer.pad_token_id
workers = cores_for(reference, device)  # trainings that go side by side; 1: one after the other
print(f"{sum(p.numel() for p in reference.parameters()) / 1e6:.1f} million parameters, on {device}")
# %% [markdown]
# ## 4.1 Background: from the objective to the loss
#
# ### Why not simply REINFORCE?
#
# Parts 2 and 3 needed three things while training: a reward model that scores any text, a policy that keeps writing new
# text, and an estimate of a gradient from those samples, which is noisy. Very often nobody has a reward model.
# What people can give is a comparison: they read two answers and say which one they like better.
# The usual road from there is long: train a reward model on the comparisons, then run PPO or REINFORCE against it,
# with a KL penalty. DPO (Rafailov et al. 2023, [arXiv 2305.18290](https://arxiv.org/abs/2305.18290); optional reading,
# this section is enough) shows that the two stages can be folded into **one supervised loss on pairs**.
# %%
plots.show(figures.draw_two_roads())
# %% [markdown]
# ### Step 1: the objective, as in Part 3
#
# For a prompt $x$, a completion $y$, a reward $r(x, y)$ and a reference $\pi_\text{ref}$ we look for the policy $\pi$
# that maximises
#
# $$J(\pi) = \mathbb{E}_{y \sim \pi}\big[r(x, y)\big] - \beta\,\mathrm{KL}\big(\pi(\cdot|x)\,\|\,\pi_\text{ref}(\cdot|x)\big).$$
#
# It is the objective of Part 3. The weight of the KL was called α there; the literature on DPO calls it **β**, and
# so do we from here on. A large β keeps the policy close to the reference.
#
# ### Step 2: the best policy has a closed form
#
# The KL is an expectation of a log-ratio, so both terms can be put under one expectation:
#
# $$J(\pi) = \mathbb{E}_{y \sim \pi}\Big[r(x,y) - \beta \ln\frac{\pi(y|x)}{\pi_\text{ref}(y|x)}\Big]
# = -\beta\;\mathbb{E}_{y \sim \pi}\Big[\ln\frac{\pi(y|x)}{\pi_\text{ref}(y|x)\,e^{r(x,y)/\beta}}\Big].$$
#
# The denominator is almost a distribution over $y$; it only does not add up to 1. So divide it by its sum,
# the **partition function** $Z(x) = \sum_y \pi_\text{ref}(y|x)\,e^{r(x,y)/\beta}$, and call the result $\pi^*$:
#
# $$\pi^*(y|x) = \frac{1}{Z(x)}\;\pi_\text{ref}(y|x)\;e^{r(x,y)/\beta},
# \qquad J(\pi) = -\beta\,\mathrm{KL}(\pi\,\|\,\pi^*) + \beta \ln Z(x).$$
#
# The last term does not depend on $\pi$. A KL is never negative, and it is 0 only if the two distributions are equal.
# Hence **$\pi^*$ is the best policy**: take the reference, and multiply each completion's probability by $e^{r/\beta}$.
#
# *An example.* There are three completions, the reference gives them 0.5, 0.3 and 0.2, their rewards are 0, 1 and 2,
# and β = 0.5. The next cell computes $\pi^*$ by the formula.
# Then it lets plain gradient ascent on $J$ look for the best policy, without the formula. Both should agree.
# %%
world_reference = torch.tensor([0.5, 0.3, 0.2])  # probabilities of three completions
world_rewards = torch.tensor([0.0, 1.0, 2.0])
world_beta = 0.5

unnormalised = world_reference * torch.exp(world_rewards / world_beta)
partition = unnormalised.sum()  # Z
best = unnormalised / partition
print(f"reference × exp(r/β): {[round(v, 2) for v in unnormalised.tolist()]},   Z = {partition:.2f}")
print(f"π* by the formula:    {[round(v, 3) for v in best.tolist()]}")

scores = torch.zeros(3, requires_grad=True)  # logits of a policy over the three completions
for _ in range(400):
    found = scores.softmax(0)
    objective = (found * (world_rewards - world_beta * (found / world_reference).log())).sum()
    (gradient,) = torch.autograd.grad(objective, scores)
    scores = (scores + gradient).detach().requires_grad_(True)
print(f"π by gradient ascent: {[round(v, 3) for v in found.tolist()]}")
print(f"J at the end {objective:.4f},   β ln Z = {world_beta * partition.log():.4f}")
assert torch.allclose(found, best, atol=1e-3)
# %% [markdown]
# The formula is exact, yet nobody can use it directly: $Z(x)$ is a sum over **all texts**. How many are there?
# %%
digits = preset.new_tokens * math.log10(len(tokenizer))
print(f"{len(tokenizer):,} tokens, completions of {preset.new_tokens} tokens: about 10^{digits:.0f} texts")
# %% [markdown]
# ### Step 3: turn it round
#
# Solve the formula of $\pi^*$ for the reward. Take the logarithm and reorder:
#
# $$r(x, y) = \beta \ln\frac{\pi^*(y|x)}{\pi_\text{ref}(y|x)} + \beta \ln Z(x).$$
#
# Read it this way: if a policy is the best one for *some* reward, then we can read that reward off the policy.
# The first term is called the **implicit reward** of the policy. The second term we still cannot compute.
#
# ### Step 4: preferences only see differences
#
# The **Bradley–Terry model** (1952) is the simplest model of comparisons, the one behind chess ratings.
# It says how likely somebody is to prefer $y_c$ to $y_r$, given their rewards:
#
# $$P(y_c \succ y_r \mid x) = \sigma\big(r(x, y_c) - r(x, y_r)\big), \qquad \sigma(z) = \frac{1}{1 + e^{-z}}.$$
#
# Equal rewards give 0.5, a difference of 2 gives 0.88, a difference of −2 gives 0.12. Now put step 3 into it.
# Both completions answer the **same prompt**, so $\beta \ln Z(x)$ occurs in both rewards,
# and **it cancels in the difference**:
#
# $$r(x,y_c) - r(x,y_r) = \beta\Big[\ln\frac{\pi(y_c|x)}{\pi_\text{ref}(y_c|x)} - \ln\frac{\pi(y_r|x)}{\pi_\text{ref}(y_r|x)}\Big].$$
#
# We call the square bracket the **margin** of the pair. The quantity that nobody can compute is gone.
# The example world shows it in numbers: each implicit reward is off by β ln Z, and the differences are right.
# %%
implicit = world_beta * (best / world_reference).log()
print("true rewards:               ", [round(v, 3) for v in world_rewards.tolist()])
print("implicit rewards:           ", [round(v, 3) for v in implicit.tolist()])
print("each is too small by β ln Z:", [round(v, 3) for v in (world_rewards - implicit).tolist()])
print(
    f"difference between completions 3 and 1: true {world_rewards[2] - world_rewards[0]:.3f}, "
    f"implicit {implicit[2] - implicit[0]:.3f}"
)
# %% [markdown]
# ### Step 5: maximum likelihood
#
# We have a model of the probability of each label in our data. Training it is ordinary logistic regression:
# make the labels that were given as probable as possible. The loss is the mean negative log-probability of the labels:
#
# $$L(\pi) = -\frac{1}{B}\sum_{\text{pairs}} \ln \sigma\big(\beta \cdot \text{margin}\big).$$
#
# That is all of DPO. There is no reward model, no sampling, and no baseline.
# What is needed are four log-probs for each pair: chosen and rejected, under the policy and under the reference.
#
# ### What the logistic function does
#
# The difference of implicit rewards can be any number; $\sigma$ turns it into a probability, and its form is
# that of Bradley–Terry, not a choice of ours. It also decides **how much each pair still teaches**.
# The gradient of one pair's loss is
#
# $$\nabla L = -\beta\;\sigma(-\beta\,\text{margin})\;\big[\nabla\ln\pi(y_c|x) - \nabla\ln\pi(y_r|x)\big].$$
#
# The bracket says: make the chosen completion more probable, and the rejected one less.
# The factor in front is a **weight** between 0 and 1. For a pair that the policy orders wrongly
# with a large margin it is near 1; at margin 0 it is ½; for a pair that is already clearly right it is near 0,
# and the pair stops pulling. Without such a factor, if the loss were simply −margin, the pull would never end,
# and the policy could lower its loss for ever by making rejected texts less and less probable.
#
# ### On-policy and off-policy, online and offline
#
# These are two questions. *Who wrote the texts?* **On-policy** means: the policy as it is now; **off-policy**: another
# one. *When is feedback collected?* **Online** means: all through training; **offline**: once, beforehand. REINFORCE
# is online and on-policy: each gradient needs fresh samples. DPO as we use it is offline. Its pairs were written by
# the reference, so they are on-policy at the first step, where policy and reference are equal, and become more and
# more off-policy as the policy moves away. Keep this in mind for section 4.8.
# %% [markdown]
# ## 4.2 Preference pairs
#
# In practice people compare answers. Here our reward model plays the person: for each prompt we sample K completions
# from the reference and let it score them. From the scores you choose the pairs.
# %% [markdown] q="q4_1" level=2
# **Exercise 4.1 · `make_preference_pairs`**
#
# You get the rewards of K completions for each of P prompts, a tensor `[P, K]`. Return an int64 tensor `[M, 3]`,
# one row per pair: the prompt's index, the index of its best completion (chosen), the index of its worst (rejected).
#
# - A prompt makes one pair, or none: only if the gap between best and worst is **larger than** `min_gap`.
# - If several completions share the best or the worst reward, take the first of them.
# - Keep the prompts in order. If no prompt makes a pair, return a tensor of shape `[0, 3]`.
#
# *Example:* rewards `[[0.2, 0.9, 0.5], [0.4, 0.4, 0.4]]` give `[[0, 1, 0]]`:
# the second prompt's completions are equally good.
#
# <details><summary>Hint 1: how to begin</summary>
#
# Three tensors of shape `[P]` are needed: the prompts' own numbers, the place of the best completion of each,
# and the place of its worst. None of them needs a loop.
#
# </details>
# <details><summary>Hint 2: the places</summary>
#
# `argmax` and `argmin` with `dim=1` return the first index on the CPU. `torch.arange(len(rewards))` numbers the
# prompts.
#
# </details>
# <details><summary>Hint 3: the gap</summary>
#
# `rewards[prompts, best]` picks one reward from each row. Put the three tensors side by side with
# `torch.stack(…, dim=1)`, and keep the rows where the gap is large enough by indexing with a bool tensor.
# Such an index gives the shape `[0, 3]` by itself if no row is kept.
#
# </details>
# %%
def make_preference_pairs(rewards, min_gap=0.0):
    """Choose the best and the worst completion of each prompt.

    Args:
        rewards: [P, K] rewards of K completions for each of P prompts.
        min_gap: a pair is kept only if its rewards differ by more than this.

    Returns:
        int64 [M, 3]: rows (prompt, chosen completion, rejected completion), prompts in order.
    """
    # BEGIN SOLUTION
    best = rewards.argmax(dim=1)  # [P]
    worst = rewards.argmin(dim=1)  # [P]
    prompts = torch.arange(len(rewards), device=rewards.device)  # [P]
    wide_enough = rewards[prompts, best] - rewards[prompts, worst] > min_gap  # [P]
    return torch.stack([prompts, best, worst], dim=1)[wide_enough]  # [M, 3]
    # END SOLUTION
# %% points=1 success="Each prompt gives its best and its worst completion, in the order of the prompts."
def test_best_and_worst(make_preference_pairs):
    rewards = torch.tensor([[0.2, 0.9, 0.5], [0.4, 0.4, 0.4], [0.5, 0.3, 0.3], [0.1, 0.7, 0.7]])
    got = make_preference_pairs(rewards)
    if isinstance(got, torch.Tensor) and got.dim() == 2 and len(got) > len(rewards):
        raise AssertionError("make_preference_pairs: more than one pair for a prompt; take only its best and its worst completion")
    check(got, torch.tensor([[0, 1, 0], [2, 0, 1], [3, 1, 0]]), {
        "a prompt whose completions all score the same makes no pair: the gap must be larger than min_gap": [[0, 1, 0], [1, 0, 0], [2, 0, 1], [3, 1, 0]],
        "chosen and rejected are swapped: the chosen completion is the one with the higher reward": [[0, 0, 1], [2, 1, 0], [3, 0, 1]],
        "of equal completions the first must be taken, not the last": [[0, 1, 0], [2, 0, 2], [3, 2, 0]],
        "of equally good completions the first is the chosen one, not the last": [[0, 1, 0], [2, 0, 1], [3, 2, 0]],
        "of equally bad completions the first is the rejected one, not the last": [[0, 1, 0], [2, 0, 2], [3, 1, 0]],
        "the pairs must be in the order of the prompts, not sorted by gap": [[0, 1, 0], [3, 1, 0], [2, 0, 1]],
        "the first column is the prompt's index in `rewards`, not the pair's number": [[0, 1, 0], [1, 0, 1], [2, 1, 0]],
        "the columns must be (prompt, chosen, rejected), in this order": [[1, 0, 0], [0, 1, 2], [1, 0, 3]],
        "the prompt's index is missing; each row has three numbers": [[1, 0], [0, 1], [1, 0]],
        "the rejected completion must be the worst one, not the second best": [[0, 1, 2], [2, 0, 1], [3, 1, 2]],
        "the result is transposed: one pair a row, shape [M, 3]": [[0, 2, 3], [1, 0, 1], [0, 1, 0]],
        "only the first and the last completion of a prompt are compared": [[0, 2, 0], [2, 0, 2], [3, 2, 0]],
    }, name="make_preference_pairs", dtype=torch.int64)
# %% points=0.5 success="Only a gap above min_gap makes a pair, and no pair gives a tensor of shape [0, 3]."
def test_gap(make_preference_pairs):
    rewards = torch.tensor([[0.0, 0.5], [0.0, 0.75], [1.0, 0.5], [0.25, 0.125]])
    check(make_preference_pairs(rewards, 0.5), torch.tensor([[1, 1, 0]]), {
        "a gap equal to min_gap is not larger than min_gap": [[0, 1, 0], [1, 1, 0], [2, 0, 1]],
        "min_gap is ignored": [[0, 1, 0], [1, 1, 0], [2, 0, 1], [3, 0, 1]],
    }, name="make_preference_pairs with min_gap=0.5", dtype=torch.int64)
    none = make_preference_pairs(rewards, 2.0)
    assert isinstance(none, torch.Tensor) and tuple(none.shape) == (0, 3), (
        "make_preference_pairs: if no prompt makes a pair, the result must be a tensor of shape [0, 3]"
    )
    assert none.dtype == torch.int64, "make_preference_pairs: the result must be int64, also when there is no pair"
# %% points=0 success="Rewards below 0 are compared as they are, and the rewards are not changed."
def test_pairs_below_zero(make_preference_pairs):
    check(make_preference_pairs(torch.tensor([[-3.0, -1.0, -4.0, -2.0]])), torch.tensor([[0, 1, 2]]), {
        "rewards below 0 count as they are, not as 0": torch.empty(0, 3),
        "rewards below 0 keep their sign": [[0, 2, 1]],
    }, name="make_preference_pairs of rewards below 0", ordinary=(make_preference_pairs(torch.tensor([[2.0, 4.0, 1.0, 3.0]])), [[0, 1, 2]]))
    check_rules(make_preference_pairs, torch.tensor([[0.5, 1.0], [2.0, 0.0]]), gradients=None)
# %% hidden={"values": 1, "edges dtypes purity": 0.5}
# %% [markdown]
# **Sampling.** The next cell samples the completions and scores them; its bar says how long that takes.
# A second run reads them from the folder `runs/pairs`.
# The test pairs come from prompts of the test split, so **no prompt of a test pair is in any training pair**.
# Otherwise a policy that has only memorised its training prompts would look as if it had learned something.
# %% tags=["training"]
def completions_of(prompts, seed):
    """K completions of each prompt with their rewards."""
    models, lengths = (reference, tokenizer, reward_model), (sizes.completions_per_prompt, preset.new_tokens)
    return sample_completions(*models, prompts, *lengths, seed=seed, folder=kept_files)


train_completions = completions_of(load_prompts(preset, "train")[: sizes.train_prompts], seed=1)
test_completions = completions_of(load_prompts(preset, "test")[: sizes.test_prompts], seed=2)

min_gap = recipe.min_gap  # keep only pairs whose rewards differ by more than this
train_pairs = pairs_from(train_completions, make_preference_pairs(train_completions.rewards, min_gap))
test_pairs = pairs_from(test_completions, make_preference_pairs(test_completions.rewards, min_gap))
shared = {pair.prompt for pair in train_pairs} & {pair.prompt for pair in test_pairs}
assert not shared, f"prompts in training and in test pairs: {shared}"
print(
    f"{len(train_completions)} training prompts give {len(train_pairs)} pairs, "
    f"{len(test_completions)} test prompts give {len(test_pairs)}"
)
# %% [markdown]
# **Look at the data before you train on it.** Here are five pairs. Read them as a person who has to give the label:
# would you have chosen the same completion? The two scores are the reward model's P(positive).
# %% tags=["training"]
five = [(p.prompt, p.chosen, round(p.chosen_score, 2), p.rejected, round(p.rejected_score, 2)) for p in train_pairs[:5]]
with pd.option_context("display.max_colwidth", None):
    display(pd.DataFrame(five, columns=["prompt", "chosen", "score", "rejected", "score "]))
# %% [markdown]
# **The effect of the gap.** If people give the labels, a small gap means a doubtful label: the two completions are
# nearly equal, and raters disagree. Here the reward model gives them, and it always prefers what it scores higher, by
# however little: no label is doubtful. But a pair with a small gap shows less of what makes a text better. A large
# `min_gap` keeps the clearer pairs and leaves fewer of them, as the figure shows. Section 4.7 trains on wide and on
# narrow gaps, and with labels of both kinds.
# %% tags=["training"]
every_pair = pairs_from(train_completions, make_preference_pairs(train_completions.rewards))
plots.show(figures.plot_gaps([pair.gap for pair in every_pair], min_gap))
# %% [markdown]
# ## 4.3 The log-probability of a completion
#
# DPO needs $\ln \pi(y|x)$, the log-prob of a whole completion given its prompt.
# A language model writes one token after the other, so the probability of the completion is the product of the
# probabilities of its tokens, and its logarithm is a **sum**:
#
# $$\ln \pi(y|x) = \sum_{t \in \text{completion}} \ln p(\text{token}_t \mid \text{tokens}_{<t}).$$
#
# The batches of this part hold, for each side of the pair,
#
# | field | shape | meaning |
# | --- | --- | --- |
# | `chosen_ids`, `rejected_ids` | `[B, T]` int64 | prompt, completion, padding on the right |
# | `chosen_attention`, `rejected_attention` | `[B, T]` bool | True on prompt and completion |
# | `chosen_mask`, `rejected_mask` | `[B, T]` bool | True on the tokens of the **completion** only |
#
# Two points to watch. The logits at position t score the token at position t + 1 (you met this shift in Part 2). And
# only tokens of the completion count: the prompt was given, the policy did not write it; padding is not text at all.
# %%
three = load_prompts(preset, "validation")[:3]
three = sample_completions(reference, tokenizer, reward_model, three, 2, 8, seed=5, progress=False)
example = collate(pairs_from(three, torch.tensor([[0, 0, 1], [1, 0, 1], [2, 0, 1]])), pad_id)
for row in range(3):
    ids, seen, mask = example.chosen_ids[row], example.chosen_attention[row], example.chosen_mask[row]
    print("prompt:", repr(tokenizer.decode(ids[seen & ~mask])), "  completion:", repr(tokenizer.decode(ids[mask])))
print("completion mask:")
print(example.chosen_mask.int())
# %% [markdown] q="q4_2" level=2
# **Exercise 4.2 · `sequence_log_prob`**
#
# Return, for each row, the sum over t ≥ 1 of `mask[:, t]` times the log-probability of `ids[:, t]` given the tokens
# before it. The result has shape `[B]`. It is a sum, not a mean. Gradients must pass to `logits`.
#
# - Logits may be as large as ±10,000: use `log_softmax`, not the logarithm of `softmax`.
# - A masked position must contribute exactly nothing. A row whose mask is all False gives 0.
#
# <details><summary>Hint 1: what you have already</summary>
#
# `token_log_probs` of Part 2 does most of this. You may copy it into this cell, inside the function or above it.
#
# </details>
# <details><summary>Hint 2: the shift</summary>
#
# Drop the last position of the logits and the first column of `ids` and of `mask`.
# Then all three have T − 1 columns, and column t belongs to the token at t + 1.
#
# </details>
# <details><summary>Hint 3: pick and sum</summary>
#
# `gather(-1, ids[:, 1:, None])` picks the log-prob of each next token. Fill masked places with 0 (`masked_fill`)
# before you sum over the last axis: a product of 0 and −∞ would be NaN.
#
# </details>
# %%
def sequence_log_prob(logits, ids, mask):
    """Log-probability of each row's completion.

    Args:
        logits: [B, T, V]; those at position t score the token at t + 1.
        ids: [B, T] token ids.
        mask: [B, T] bool, True on the tokens to count (the completion).

    Returns:
        [B] sums of log-probabilities, with gradients to `logits`.
    """
    # BEGIN SOLUTION
    log_probs = logits[:, :-1].log_softmax(dim=-1)  # [B, T-1, V]
    of_next = log_probs.gather(-1, ids[:, 1:, None]).squeeze(-1)  # [B, T-1]
    return of_next.masked_fill(~mask[:, 1:].bool(), 0.0).sum(dim=-1)  # [B]
    # END SOLUTION
# %% points=1.5 success="The log-probabilities of two completions are right."
def test_sums(sequence_log_prob):
    logits = torch.tensor([
        [[1.0, 0, -1], [0, 2, 0], [-1, 0, 1], [0, 0, 3]],
        [[2.0, 1, 0], [0, 0, 1], [1, -1, 0], [1, 1, 0]],
    ])
    ids = torch.tensor([[0, 1, 2, 1], [2, 0, 1, 0]])
    mask = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]], dtype=torch.bool)
    check(sequence_log_prob(logits, ids, mask), torch.tensor([-3.6472, -1.9591]), {
        "you forgot the shift by one: logits at position t score the token at t + 1": [-3.5025, -3.9591],
        "the shift goes the wrong way: logits at position t score the token at t + 1, not at t - 1": [-1.5025, -0.9591],
        "this is the mean over tokens; the definition sums": [-1.8236, -0.9795],
        "the prompt is not masked: only tokens where `mask` is True count": [-5.0548, -2.3667],
        "the mask is off by one: `mask[:, t]` belongs to the token `ids[:, t]`": [-1.4076, -1.9591],
        "these are sums of probabilities; take logarithms": [0.3512, 0.8772],
        "this is the probability itself; its logarithm is asked for": [0.0261, 0.1410],
        "the sign is wrong: a log-probability is never positive": [3.6472, 1.9591],
        "these are sums of logits; a logit is no log-probability before log_softmax": [0.0, 2.0],
        "the softmax goes over the wrong dimension; it belongs over the vocabulary, dim=-1": [-5.5259, -2.5441],
        "the softmax goes over the positions (dim=1); it belongs over the vocabulary, dim=-1": [-3.6472, -1.8152],
        "one number per sequence is asked for, shape [B], not one for the whole batch": -5.6062,
        "one number per sequence is asked for, not the mean over the batch": -2.8031,
        "masked positions are filled with -inf; they must contribute 0": lambda got: bool(got.isneginf().all()),
    }, name="sequence_log_prob", rtol=1e-3)
# %% points=1 success="Large logits and empty masks do no harm, and gradients flow to what is not masked."
def test_large_and_gradient(sequence_log_prob):
    large = torch.tensor([[[1000.0, 0.0], [0.0, 1000.0], [0.0, 0.0]]])
    got = sequence_log_prob(large, torch.tensor([[0, 1, 1]]), torch.tensor([[False, True, True]]))
    ids, small = torch.tensor([[0, 1, 1]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]])
    check(got, torch.tensor([-1000.0]), {
        "log of softmax overflows for large logits: use log_softmax": float("-inf") * torch.ones(1),
        "this is log(softmax + ε): a small number inside the logarithm, or a clamp, cuts rare tokens off; use log_softmax":
            lambda got: bool((got > -999) & (got < 0)),
    }, name="sequence_log_prob with logits of 1000", ordinary=(sequence_log_prob(small, ids, ids > 0), [-1.440190]))

    logits = torch.zeros(2, 3, 2, requires_grad=True)
    mask = torch.tensor([[False, False, True], [False, False, False]])
    result = sequence_log_prob(logits, torch.tensor([[0, 1, 1], [0, 1, 1]]), mask)
    check(result[1], 0.0, name="sequence_log_prob of a row whose mask is all False")
    assert result.requires_grad, "sequence_log_prob: no gradient flows to the logits; do not detach, and leave out torch.no_grad()"
    result.sum().backward()
    check(logits.grad[0], torch.tensor([[0.0, 0.0], [-0.5, 0.5], [0.0, 0.0]]), {
        "a masked position has a gradient": torch.tensor([[-0.5, 0.5], [-0.5, 0.5], [0.0, 0.0]]),
    }, name="the gradient of sequence_log_prob")
# %% points=0 success="A log-prob of -9000 counts in full and has a gradient, and all rules are kept."
def test_sequence_rules(sequence_log_prob):
    logits, ids, mask = torch.tensor([[[9000.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]), torch.tensor([[0, 1, 1]]), torch.tensor([[False, True, False]])
    check(sequence_log_prob(logits, ids, mask), torch.tensor([-9000.0]), {
        "a log-prob of -9000 is cut off; it counts as it is": lambda got: bool(got > -8999),
    }, name="sequence_log_prob with logits of 9000", ordinary=(sequence_log_prob(logits / 3000, ids, mask), [-3.048587]))
    for size in (1.0, 1 / 4096):
        check_rules(sequence_log_prob, size * logits, ids, mask)
# %% hidden={"values": 1.5, "gradients": 0.5, "edges dtypes purity": 0.5}
# %% [markdown]
# **Check it on the real model.** Three things must hold before you go on.
# (1) Padding changes nothing, neither the number of padding tokens nor the id that stands there.
# (2) The log-prob of a completion is minus the loss that `transformers` reports times the number of tokens.
# (3) The log-probs that `generate` noted while it sampled are the same ones.
#
# If (1) fails, the usual causes are padding on the left without explicit positions, or a mask that counts padding.
# A well-known case: a library scored GPT-2 sequences with left padding and no `position_ids`,
# and its log-probs were off by 34 nats.
# %%
with torch.no_grad():
    logits = policy_logits(reference, example.chosen_ids.to(device), example.chosen_attention.to(device))
    plain = sequence_log_prob(logits, example.chosen_ids.to(device), example.chosen_mask.to(device))

    def padded(tensor, value):
        """Seven more columns on the right, filled with `value`."""
        return F.pad(tensor.to(device), (0, 7), value=value)

    for junk in (pad_id, 17):
        logits = policy_logits(reference, padded(example.chosen_ids, junk), padded(example.chosen_attention, False))
        again = sequence_log_prob(logits, padded(example.chosen_ids, junk), padded(example.chosen_mask, False))
        print(f"7 more padding tokens with id {junk}: largest change {(again - plain).abs().max():.1e}")
        assert torch.allclose(again, plain, atol=1e-3), "padding changes the result: look at the mask"

    ids, mask = example.chosen_ids[:1].to(device), example.chosen_mask[:1].to(device)
    labels = ids.masked_fill(~mask, -100)  # transformers leaves labels of -100 out of its loss
    loss = reference(input_ids=ids, attention_mask=example.chosen_attention[:1].to(device).long(), labels=labels).loss
    print(f"minus transformers' loss × tokens: {-(loss * mask.sum()):.4f}; sequence_log_prob: {plain[0]:.4f}")
    assert torch.allclose(-(loss * mask.sum()), plain[0], atol=1e-3)

    rollout = generate(reference, tokenizer, load_prompts(preset, "validation")[:3], 8, generator=3)
    logits = policy_logits(reference, rollout.ids, rollout.attention_mask)
    scored = sequence_log_prob(logits, rollout.ids, rollout.completion_mask)
    print(
        "noted while sampling:",
        [round(v, 3) for v in rollout.log_probs.sum(1).tolist()],
        " scored again:",
        [round(v, 3) for v in scored.tolist()],
    )
    assert torch.allclose(rollout.log_probs.sum(1), scored, atol=1e-3)
# %% [markdown]
# ## 4.4 The loss
#
# Three small functions turn four log-probs per pair into a loss, a weight and a score.
# All of them work on tensors of shape `[B]`.
# %% [markdown] q="q4_3" level=2
# **Exercise 4.3 · `compute_dpo_loss`**
#
# Given the sequence log-probs of the chosen and rejected completions under policy and reference, four tensors `[B]`,
# return three things:
#
# 1. the loss, a scalar: $-\frac1B\sum \ln\sigma\big(\beta\,[(\pi_c - \text{ref}_c) - (\pi_r - \text{ref}_r)]\big)$,
#    where the letters stand for log-probs;
# 2. the implicit rewards of the chosen completions, β(π_c − ref_c), shape `[B]`, **detached**: they are for plots, not
#    for training;
# 3. the implicit rewards of the rejected completions, β(π_r − ref_r), likewise.
#
# No gradient may reach the reference's log-probs. The loss must stay finite and right for margins as large as ±10,000.
#
# **Labels that may be wrong.** Suppose that a share ε of the pairs has its labels exchanged, and nobody knows which.
# A pair's expected loss is then (1 − ε) times its loss as labelled, plus ε times the loss of the pair turned round.
# This is *conservative DPO* (Mitchell 2023). With the pair's margin $m$, the bracket above:
#
# $$-\frac1B\sum \big[(1 - \varepsilon)\,\ln\sigma(\beta m) + \varepsilon\,\ln\sigma(-\beta m)\big].$$
#
# `label_smoothing` is ε. It changes the loss alone, and at its default of 0 the loss is DPO's.
#
# <details><summary>Hint 1: the order</summary>
#
# Compute the two implicit rewards first; their difference is β times the margin. Everything else follows from it.
#
# </details>
# <details><summary>Hint 2: large margins</summary>
#
# $\ln\sigma(z)$ computed in two steps is −∞ for z = −1000, because σ is then 0 in floating point.
# PyTorch has it in one step: `F.logsigmoid`.
#
# </details>
# <details><summary>Hint 3: gradients</summary>
#
# `detach()` cuts a tensor off. Detach the reference's log-probs where they enter, and the implicit rewards only
# where they are *returned*: if they were detached before, the loss would have no gradient.
#
# </details>
# <details><summary>Hint 4: smoothing</summary>
#
# The pair turned round has the margin with the other sign. Weigh the two losses of each pair, then take the mean.
#
# </details>
# %%
def compute_dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    """The DPO loss of a batch of pairs, and the implicit rewards.

    Args:
        policy_chosen, policy_rejected: [B] log-probs of the completions under the policy.
        reference_chosen, reference_rejected: [B] the same under the reference.
        beta: weight of the KL in the objective.
        label_smoothing: the share of labels that is taken to be wrong.

    Returns:
        loss (scalar), chosen rewards [B], rejected rewards [B]; the rewards are detached.
    """
    # BEGIN SOLUTION
    chosen_rewards = beta * (policy_chosen - reference_chosen.detach())  # [B]
    rejected_rewards = beta * (policy_rejected - reference_rejected.detach())  # [B]
    margin = chosen_rewards - rejected_rewards  # [B]
    as_labelled, turned_round = -F.logsigmoid(margin), -F.logsigmoid(-margin)  # [B]
    loss = ((1 - label_smoothing) * as_labelled + label_smoothing * turned_round).mean()
    return loss, chosen_rewards.detach(), rejected_rewards.detach()
    # END SOLUTION
# %% points=1.5 success="The loss and the implicit rewards of three pairs are right."
def test_loss_and_rewards(compute_dpo_loss):
    result = compute_dpo_loss(
        torch.tensor([-12.0, -20.0, -9.0]), torch.tensor([-15.0, -18.0, -11.5]),
        torch.tensor([-13.0, -21.0, -10.0]), torch.tensor([-14.0, -22.0, -11.0]), 0.5,
    )
    if isinstance(result, torch.Tensor):
        raise AssertionError("compute_dpo_loss: return three things: the loss, the chosen rewards and the rejected rewards")
    assert result is not None and result is not ..., f"compute_dpo_loss returned {result!r}: it is not written yet, or a `return` is missing."
    loss, chosen, rejected = result
    check(loss, torch.tensor(0.8005), {
        "chosen and rejected are swapped": 0.8838,
        "the reference is missing from the margin": 0.5889,
        "the reference's log-probs enter with the wrong sign, or chosen and rejected of the reference are swapped": 0.4204,
        "β is applied twice": 0.7114,
        "β is missing from the loss": 1.1256,
        "this is the sum over the pairs; the definition takes the mean": 2.4015,
        "the mean must come last: average the losses, not the margins": 0.6523,
        "the minus sign is missing": -0.8005,
        "the logarithm is missing: −log σ, not −σ": -0.5309,
        "this is the hinge loss; DPO's is −log σ": 0.9167,
        "chosen and rejected each have a σ of their own here; take σ of their difference": 1.5331,
        "one number for the batch is asked for: take the mean over the pairs": [0.3133, 1.7014, 0.3869],
    }, name="the loss of compute_dpo_loss", rtol=5e-4)
    check((chosen, rejected), (torch.tensor([0.5, 0.5, 0.5]), torch.tensor([-0.5, 2.0, -0.25])), {
        "the implicit rewards lack the factor β": ([1.0, 1.0, 1.0], [-1.0, 4.0, -0.5]),
        "the implicit rewards of chosen and rejected are swapped": ([-0.5, 2.0, -0.25], [0.5, 0.5, 0.5]),
        "the implicit rewards must be differences to the reference": ([-6.0, -10.0, -4.5], [-7.5, -9.0, -5.75]),
        "the implicit rewards have the wrong sign: policy minus reference": ([-0.5, -0.5, -0.5], [0.5, -2.0, 0.25]),
        "one implicit reward per pair is asked for, shape [B], not their mean": (0.5, 0.4167),
    }, name="the rewards of compute_dpo_loss")
# %% points=0.5 success="With label smoothing the loss takes each label as right and as wrong, each with its weight."
def test_label_smoothing(compute_dpo_loss):
    four = [torch.tensor(values) for values in ([-12.0, -20.0, -9.0], [-15.0, -18.0, -11.5], [-13.0, -21.0, -10.0], [-14.0, -22.0, -11.0])]
    loss, chosen, rejected = compute_dpo_loss(*four, 0.5, label_smoothing=0.25)
    check(loss, torch.tensor(0.821349), {
        "label_smoothing has no effect": 0.800515,
        "the weights are exchanged: the label as it is has the weight 1 − ε": 0.863015,
        "the second term is missing: ε times the loss of the pair turned round": 0.600386,
        "the first term lacks its weight 1 − ε": 1.021477,
        "ε scales the margin here; it weighs two losses": 0.711357,
        "ln σ(−βm) is not 1 − ln σ(βm)": 0.150258,
        "this is robust DPO, which subtracts; the definition adds": 0.758849,
    }, name="the loss of compute_dpo_loss with label_smoothing=0.25", rtol=5e-5, ordinary=(compute_dpo_loss(*four, 0.5)[0], 0.800515))
    check((chosen, rejected), (torch.tensor([0.5, 0.5, 0.5]), torch.tensor([-0.5, 2.0, -0.25])), {
        "the implicit rewards are smoothed; only the loss is": ([0.25, 0.875, 0.3125], [-0.25, 1.625, -0.0625]),
    }, name="the rewards of compute_dpo_loss with label_smoothing=0.25", ordinary=(compute_dpo_loss(*four, 0.5)[1], [0.5, 0.5, 0.5]))
# %% points=1 success="Gradients go to the policy alone, and large margins do no harm."
def test_gradients_and_stability(compute_dpo_loss):
    tensors = [torch.tensor([value], requires_grad=True) for value in (-12.0, -15.0, -13.0, -14.0)]
    loss, chosen, rejected = compute_dpo_loss(*tensors, 0.5)
    assert isinstance(loss, torch.Tensor) and loss.requires_grad, "compute_dpo_loss: the loss carries no gradient; do not detach it or turn it into a float"
    assert not chosen.requires_grad and not rejected.requires_grad, "compute_dpo_loss: the implicit rewards must be detached"
    loss.backward()
    for reference in tensors[2:]:
        assert reference.grad is None or not reference.grad.any(), "compute_dpo_loss: the reference carries a gradient; detach its log-probs"
    assert tensors[0].grad is not None and tensors[1].grad is not None, "compute_dpo_loss: no gradient reaches the policy's log-probs"
    check(tensors[0].grad, torch.tensor([-0.1345]), {
        "the gradient has the wrong sign: it pushes the chosen completion down": [0.1345],
    }, name="the gradient of compute_dpo_loss", rtol=2e-3)

    zero = torch.zeros(1)
    wrong_way = compute_dpo_loss(torch.tensor([-10000.0]), zero, zero, zero, 1.0)[0]
    check(wrong_way, torch.tensor(10000.0), {
        "log of sigmoid overflows at a margin of -10000: use logsigmoid": float("inf"),
        "log of sigmoid gives NaN at a margin of -10000: use logsigmoid": float("nan"),
        "this is log(σ + ε), or the margin is clamped: the loss of a large margin is cut off; use logsigmoid": lambda got: bool(0 < got < 9999),
    }, name="compute_dpo_loss at a margin of -10000", ordinary=(loss, torch.tensor(0.313262)))
# %% points=0 success="Gradients flow at a margin of 0 and at a large one, and arguments and dtypes are kept."
def test_dpo_loss_rules(compute_dpo_loss):
    for chosen in (-2.0, -8192.0):
        check_rules(compute_dpo_loss, torch.tensor([chosen]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-3.0]), 0.5, gradients=(0, 1))
# %% hidden={"values": 2, "gradients": 1, "edges dtypes purity": 0.5}
# %% [markdown] q="q4_4" level=1
# **Exercise 4.4 · `dpo_gradient_weight`**
#
# Return σ(−β·margin) for each pair, shape `[B]`, detached. This is the weight of the pair in the gradient
# (end of section 4.1): near 1 for pairs that the policy gets clearly wrong, ½ at margin 0, near 0 for pairs
# that are clearly right. The factor β in front of it is not part of it.
#
# <details><summary>Hint 1: the margin</summary>
#
# It is the one of exercise 4.3: how much farther the chosen completion has risen above the reference than the rejected.
#
# </details>
# <details><summary>Hint 2: σ</summary>
#
# `torch.sigmoid` is safe for large arguments of either sign. σ written with `exp` is not.
#
# </details>
# %%
def dpo_gradient_weight(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    """How much each pair counts in the gradient of the DPO loss.

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected: [B] sequence log-probs.
        beta: weight of the KL in the objective.

    Returns:
        [B] weights between 0 and 1, detached.
    """
    # BEGIN SOLUTION
    margin = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)  # [B]
    return torch.sigmoid(-beta * margin).detach()  # [B]
    # END SOLUTION
# %% points=1.5 success="The weights of three pairs are right and detached."
def test_weights(dpo_gradient_weight):
    policy_chosen = torch.tensor([-12.0, -20.0, -9.0], requires_grad=True)
    got = dpo_gradient_weight(
        policy_chosen, torch.tensor([-15.0, -18.0, -11.5]), torch.tensor([-13.0, -21.0, -10.0]), torch.tensor([-14.0, -22.0, -11.0]), 0.5
    )
    check(got, torch.tensor([0.2689, 0.8176, 0.3208]), {
        "the sign is wrong: pairs that are already right must get the small weight": [0.7311, 0.1824, 0.6792],
        "the factor β in front is not part of the weight": [0.1345, 0.4088, 0.1604],
        "this is the slope of σ; the weight is σ itself, of minus β times the margin": [0.1966, 0.1491, 0.2179],
        "the reference is missing from the margin": [0.1824, 0.7311, 0.2227],
        "β is missing": [0.1192, 0.9526, 0.1824],
        "β is applied twice": [0.3775, 0.6792, 0.4073],
        "one weight per pair is asked for, shape [B], not their mean": 0.4691,
        "do not divide by the number of pairs": [0.0896, 0.2725, 0.1069],
        "this is the logarithm of the weight": [-1.3133, -0.2014, -1.1369],
        "this is the gradient, sign and β included; the weight alone is asked for": [-0.1345, -0.4088, -0.1604],
        "the reference's log-probs enter with the wrong sign": [0.1192, 0.6225, 0.1480],
        "only the chosen completion is used; the margin has the rejected one as well": [0.3775, 0.3775, 0.3775],
        "only the rejected completion is used; the margin has the chosen one as well": [0.3775, 0.8808, 0.4378],
        "the rejected completion's reward is added; the margin is a difference": [0.5, 0.1824, 0.4378],
        "σ is missing: this is minus β times the margin": [-1.0, 1.5, -0.75],
        "σ is missing: this is β times the margin": [1.0, -1.5, 0.75],
        "this is the margin; the weight is σ of minus β times it": [2.0, -3.0, 1.5],
        "this is exp of minus β times the margin; the weight is σ of it": [0.3679, 4.4817, 0.4724],
        "this is the loss of each pair; its weight is asked for": [0.3133, 1.7014, 0.3869],
        "the policy is missing from the margin": [0.6225, 0.6225, 0.6225],
        "the margin is divided by β; multiply by it": [0.0180, 0.9975, 0.0474],
        "the weights are divided by their sum; each pair has a weight of its own": [0.1911, 0.5810, 0.2280],
        "the weight of the mean margin came for every pair; each has its own": [0.4792, 0.4792, 0.4792],
    }, name="dpo_gradient_weight", rtol=1e-3)
    assert not got.requires_grad, "dpo_gradient_weight: the weight must be detached"
# %% points=0 success="Large log-ratios give no NaN, and the log-probs and their dtype are kept."
def test_weight_rules(dpo_gradient_weight):
    check_rules(dpo_gradient_weight, torch.tensor([-2.0]), torch.tensor([-3.0]), torch.tensor([-2.5]), torch.tensor([-3.0]), 0.5, gradients=())
    low, high = torch.tensor([-400.0]), torch.tensor([-100.0])
    check(dpo_gradient_weight(high, high, low, low, 1.0), torch.tensor([0.5]), {
        "large log-ratios give NaN: exp overflows; take σ of the margin": [float("nan")],
    }, name="dpo_gradient_weight of log-ratios of 300")
# %% hidden={"values": 1, "edges dtypes gradients purity": 0.5}
# %% [markdown] q="q4_5" level=1
# **Exercise 4.5 · `preference_accuracy`**
#
# Return the share of pairs whose chosen completion has the higher implicit reward, as a Python `float`.
# A tie counts one half: a policy that cannot tell the two apart is right half of the time.
#
# <details><summary>Hint 1: count</summary>
#
# A comparison of two tensors gives a bool for each pair. You need two of them, for wins and for ties.
#
# </details>
# <details><summary>Hint 2: the mean of bools</summary>
#
# Bools have no mean; turn them into numbers first (`.float()`). `.item()` makes a Python float at the end.
#
# </details>
# %%
def preference_accuracy(chosen_rewards, rejected_rewards):
    """Share of pairs that are ordered rightly.

    Args:
        chosen_rewards, rejected_rewards: [B] implicit rewards.

    Returns:
        A float from 0 to 1; a tie counts one half.
    """
    # BEGIN SOLUTION
    wins = (chosen_rewards > rejected_rewards).float()  # [B]
    ties = (chosen_rewards == rejected_rewards).float()  # [B]
    return (wins + ties / 2).mean().item()
    # END SOLUTION
# %% points=1 success="The share of pairs is right, and a tie counts one half."
def test_share(preference_accuracy):
    got = preference_accuracy(torch.tensor([1.0, -3.0, 0.5, 2.0, -0.25, -0.5]), torch.tensor([0.0, -2.0, 0.5, -1.0, -1.0, -0.6]))
    check(got, 0.75, {
        "a tie counts one half, not 0": 0.666667,
        "a tie counts one half, not 1": 0.833333,
        "chosen and rejected are swapped: count pairs with chosen > rejected": 0.25,
        "chosen and rejected are swapped, and a tie counts one half": 0.166667,
        "leave no pair out: a tie counts one half": 0.8,
        "a share from 0 to 1 is asked for, not a count": 4.5,
        "a share from 0 to 1 is asked for, not per cent": 75.0,
        "compare chosen with rejected, not with 0": 0.5,
        "one number is asked for, not one per pair": [1.0, 0.0, 0.5, 1.0, 1.0, 1.0],
        "this is the mean margin; count pairs instead": 0.641667,
        "it is a mean: divide by the number of pairs once": 0.125,
        "this is the mean of σ of the margins; count pairs instead": 0.609456,
        "the pairs are judged together, all or nothing; count those with chosen > rejected": 0.0,
        "the sums of the rewards are compared; compare pair by pair": 1.0,
    }, name="preference_accuracy", rtol=1e-5)
    assert is_float(got), f"preference_accuracy: a Python float is asked for, got a {type(got).__name__}; use .item()"
# %% points=0 success="Rewards that nearly tie are told apart, and they are not changed."
def test_near_ties(preference_accuracy):
    check(preference_accuracy(torch.tensor([1.0005, -1.9995]), torch.tensor([1.0, -2.0])), 1.0, {
        "rewards that nearly tie are taken for equal: compare them as they are, in their own dtype": 0.5,
    }, name="preference_accuracy of pairs that nearly tie", ordinary=(preference_accuracy(torch.tensor([1.0, -1.0]), torch.tensor([0.5, -2.0])), 1.0))
    check_rules(preference_accuracy, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), gradients=None)
# %% hidden={"values": 0.5, "edges dtypes purity": 0.5}
# %% [markdown]
# **See what you have written.** The figure draws your loss (left) and your weight (right) for one pair,
# over its margin.
#
# In a live notebook there is also a field for a β of yours. Look for three things: every loss curve passes
# through ln 2 at margin 0; for a pair that is clearly wrong (far left) the loss is nearly a straight line;
# and a larger β makes the change from "pulls fully" to "does not pull" happen within fewer nats.
# %%
def loss_at(margins, beta):
    """Your loss for single pairs with these margins."""
    zero = torch.zeros(1)
    return [compute_dpo_loss(torch.tensor([float(m)]), zero, zero, zero, beta)[0].item() for m in margins]


def weight_at(margins, beta):
    """Your gradient weight for pairs with these margins."""
    margins = torch.tensor([float(m) for m in margins])
    zeros = torch.zeros_like(margins)
    return dpo_gradient_weight(margins, zeros, zeros, zeros, beta).tolist()


figures.margin_explorer(loss_at, weight_at)
# %% [markdown]
# **Check the weight against autograd.** The formula at the end of section 4.1 says that the gradient of the loss
# with respect to the chosen log-probs is −β times the weight, divided by the number of pairs.
# Automatic differentiation of your loss must give the same numbers.
# %%
four = [
    torch.tensor(values, requires_grad=True)
    for values in ([-12.0, -20.0, -9.0], [-15.0, -18.0, -11.5], [-13.0, -21.0, -10.0], [-14.0, -22.0, -11.0])
]
compute_dpo_loss(*four, beta=0.5)[0].backward()
by_formula = -0.5 * dpo_gradient_weight(*four, beta=0.5) / 3
print(
    "autograd:",
    [round(v, 4) for v in four[0].grad.tolist()],
    "  by the weights:",
    [round(v, 4) for v in by_formula.tolist()],
)
torch.testing.assert_close(four[0].grad, by_formula, atol=1e-6, rtol=1e-5)
# %% [markdown]
# **A world small enough to solve.** A prompt has two completions, A and B. People prefer A in 80 % of comparisons.
# The loss is a mean over the labels, so at its minimum the model's probability must be the observed share:
# σ(β·margin) = 0.8. Hence the margin must become ln(0.8/0.2)/β = ln 4/β. For β = 0.5 that is 2.77 nats: **finite,
# because people disagree**. Had A won every time, no finite margin would be the best one, and the loss would go on
# pulling for ever, only ever more weakly. Real preference data has one label per pair, so DPO can always lower its
# *training* loss by larger margins; that is why it can overfit, and why you will watch the *test* loss.
# %%
def margin_in_the_world(wins, steps, beta=0.5):
    """The margin after some steps on your loss, when A won `wins` of ten comparisons with B."""
    scores = torch.zeros(2, requires_grad=True)  # logits of a policy over A and B; the reference gives each one half
    optimizer = torch.optim.SGD([scores], lr=4.0)
    half = torch.full((10,), math.log(0.5))
    for _ in range(steps):
        log_a, log_b = scores.log_softmax(0)
        chosen = torch.cat([log_a.expand(wins), log_b.expand(10 - wins)])
        rejected = torch.cat([log_b.expand(wins), log_a.expand(10 - wins)])
        optimizer.zero_grad()
        compute_dpo_loss(chosen, rejected, half, half, beta)[0].backward()
        optimizer.step()
    return (scores[0] - scores[1]).item()


found = margin_in_the_world(8, 300)
print(f"A won 8 of 10: margin found by training on your loss {found:.3f},   ln 4 / β = {math.log(4) / 0.5:.3f}")
assert abs(found - math.log(4) / 0.5) < 0.01
for steps in (10, 100, 1000):
    print(f"A won 10 of 10: margin after {steps:,} steps {margin_in_the_world(10, steps):.1f} nats")
# %% [markdown]
# **Is this β the α of Part 3?** In the derivation it is: one objective, one price of a nat of KL. But the reward in it
# is the one by which the *labels* were drawn, and Part 3's reward is P(positive). The two are not on one scale.
# P(positive) lies between 0 and 1. Raters who drew their labels by Bradley–Terry from it would prefer the better of
# two texts in at most σ(1) = 73 % of all comparisons. Our labels always name the better one, however small the gap.
# They would be the same if every reward were multiplied by ten or by a thousand. So they tell *which* text is better,
# and not by how much: they fit best to differences of reward without limit, like the world in which A won every time.
#
# Hence β is a price in a currency that such labels leave open: do not expect DPO at β = 0.1 to arrive where REINFORCE
# did at α = 0.1. What then holds the policy back is the number of steps, the learning rate, and that all pairs share
# one network. This is the argument of Azar and others (2023), and the reason for their loss in section 4.9. With
# labels drawn from σ(scale · gap) the reward *is* scale times P(positive), and β would correspond to α = β/scale;
# section 4.7 draws such labels.
# %% [markdown] q="w4_1"
# **Question 4.A.** (a) Why is the logistic function in DPO's loss?
# Give its role in the model of preferences, and its role in the gradient. (b) Why must both completions of a pair
# belong to the same prompt?
# %% [markdown]
# (a) DPO models the labels by Bradley–Terry: the probability that $y_c$ is preferred is σ of the difference of the two
# rewards. The difference can be any real number, and σ turns it into a probability between 0 and 1;
# so the given labels have a likelihood, and −ln σ(β·margin) is its negative logarithm.
# Training is then logistic regression, with the margin as its score. In the gradient, the same function appears
# as the weight σ(−β·margin): a pair that is ordered wrongly pulls with nearly full force, a pair
# that is clearly right hardly at all. With a loss that is linear in the margin all pairs would pull equally for ever,
# and pushing rejected texts to probability 0 would lower the loss without end.
#
# (b) The reward written by the policy is β ln(π/π_ref) + β ln Z(x), and Z(x) cannot be computed.
# It depends on the prompt alone. Two completions of one prompt share it, so it cancels in the difference.
# For completions of two prompts the term β(ln Z(x₁) − ln Z(x₂)) would remain.
#
# **Rubric**
# - 1 point: The difference of implicit rewards can be any real number; σ maps it to a probability, so that the labels
#   have a likelihood (Bradley–Terry), and −log σ is its negative logarithm: logistic regression on pairs.
# - 1 point: The gradient's weight σ(−β·margin): pairs ordered wrongly pull fully, pairs clearly right hardly;
#   without σ the pull would never end.
# - 1 point: Ln Z(x) depends on the prompt alone, so it cancels only if both completions belong to the same prompt;
#   with two prompts β(ln Z(x₁) − ln Z(x₂)) would be left, which cannot be computed.
# %% [markdown]
# ### Before training: what the loss must be
#
# Before the first step the policy **is** the reference. So every log-ratio is 0, every implicit reward is 0,
# every margin is 0, and the loss is −ln σ(0) = −ln ½ = **ln 2 = 0.6931**, whatever the pairs and whatever β.
# This is the best test there is of the whole chain from text to loss, and it costs one batch.
# The next cell computes the reference's log-probs of all pairs, once, and asserts it.
#
# When it is *not* ln 2, one of these is usually the cause:
#
# | what you see | usual cause |
# | --- | --- |
# | loss not ln 2 at the start | policy or reference in train mode: dropout gives each its own log-probs; or different padding for the two; or the reference was loaded in another precision |
# | loss far from ln 2, rewards of ±10 and more | the reference is missing, or chosen and rejected were exchanged on one side only |
# | loss stays at 0.693 for ever | policy and reference are the same object, so the ratio is always 0; or the log-probs were detached; or the learning rate is far too small |
# | rewards exactly 0 after many steps | as before: no gradient reaches the policy, or the reference is a view of it |
# | accuracy exactly ½ with loss ln 2 | right: all pairs are ties before the first step |
# %%
@torch.no_grad()
def completion_log_probs(model, pairs):
    """Log-probs of the chosen (column 0) and the rejected (column 1) completions of all pairs under a model: [N, 2].

    `pair_log_probs` of the helpers runs the model on both sides of a batch, and calls your `sequence_log_prob` on what
    comes out.
    """
    rows = [
        torch.stack(pair_log_probs(model, batch, sequence_log_prob), dim=1)
        for batch in pair_batches(pairs, pad_id, 64, device=device)
    ]
    return torch.cat(rows)


def measure(model, pairs, kept, beta):
    """Loss, accuracy, rewards and log-probs of a policy on pairs whose reference log-probs [N, 2] are `kept`."""
    scores = completion_log_probs(model, pairs)  # [N, 2]
    loss, chosen, rejected = compute_dpo_loss(scores[:, 0], scores[:, 1], kept[:, 0], kept[:, 1], beta)
    change = (scores - kept).mean(dim=0)
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen, rejected),
        "chosen_reward": chosen.mean().item(),
        "rejected_reward": rejected.mean().item(),
        "margin": (chosen - rejected).mean().item(),
        "chosen_change": change[0].item(),
        "rejected_change": change[1].item(),
    }
# %% tags=["training"]
kept_test = completion_log_probs(reference, test_pairs)  # [N, 2]
kept_train = completion_log_probs(reference, train_pairs)  # [N, 2]

policy = trainable_copy(reference, preset)  # a policy that has not been trained yet
for some_beta in (0.1, 0.5):
    before = measure(policy, test_pairs, kept_test, some_beta)
    print(
        f"β = {some_beta}: loss {before['loss']:.6f}, ln 2 = {math.log(2):.6f}, "
        f"rewards {before['chosen_reward']:.1e} and {before['rejected_reward']:.1e}, accuracy {before['accuracy']:.2f}"
    )
    assert abs(before["loss"] - math.log(2)) < 1e-3, (
        "the loss before training must be ln 2; see the table of causes above"
    )
    assert abs(before["chosen_reward"]) < 1e-3 and abs(before["rejected_reward"]) < 1e-3
# %% [markdown]
# ## 4.5 Training
#
# One step of training takes a batch of pairs and does what every supervised step does: compute the loss, its gradient,
# and one update. The batch is a `PairBatch` with the fields of section 4.3, and two more: `reference_chosen`
# and `reference_rejected`, shape `[B]`, the kept log-probs of the reference, or `None` if nobody has computed them.
# %% [markdown] q="q4_6" level=3
# **Exercise 4.6 · `dpo_step`**
#
# Do one update of `policy` from one batch of pairs:
#
# 1. Compute the log-probs of both sides under the policy:
#    `pair_log_probs(policy, pairs, sequence_log_prob)` gives `(chosen, rejected)`, `[B]` each.
# 2. Take the reference's log-probs from the batch if they are there (`pairs.reference_chosen is not None`).
#    If not, compute them with the reference, under `torch.no_grad()`.
# 3. Compute the loss with `compute_dpo_loss`.
# 4. Clear old gradients, call `backward`, and let the optimizer take **one** step.
#    (Gradient clipping is not needed. If you want it, cut the norm to 1 or more.)
#
# Return a dict of Python floats: `loss`, `accuracy`, and the batch means of the implicit rewards, `chosen_reward`
# and `rejected_reward`. They are those *before* the update.
#
# Leave the models in the mode (train or eval) in which you found them, and the reference as it is; and so the batch,
# the optimizer's settings and the seed of the random numbers.
#
# <details><summary>Hint 1: the plan</summary>
#
# Four log-probs, then your loss, then the three calls of every training step. The four steps above are the four
# paragraphs of the function, and each needs one to four lines.
#
# </details>
# <details><summary>Hint 2: the reference</summary>
#
# `with torch.no_grad():` goes round the reference's call only. Round the policy's it would cut the gradient off.
#
# </details>
# <details><summary>Hint 3: the numbers to return</summary>
#
# `compute_dpo_loss` returns the implicit rewards beside the loss: the accuracy and both means come from them.
# They belong to the policy before the update because they were computed before it. `.item()` makes floats.
#
# </details>
# %%
def dpo_step(policy, reference, optimizer, pairs, beta):
    """One DPO update from one batch of pairs.

    Args:
        policy: the model to train; its weights are in `optimizer`.
        reference: the frozen model it started from.
        optimizer: takes one step.
        pairs: a PairBatch of B pairs, with or without kept reference log-probs.
        beta: weight of the KL in the objective.

    Returns:
        dict of floats: loss, accuracy, chosen_reward, rejected_reward (before the update).
    """
    # BEGIN SOLUTION
    policy_chosen, policy_rejected = pair_log_probs(policy, pairs, sequence_log_prob)  # [B], [B]
    if pairs.reference_chosen is not None:
        reference_chosen, reference_rejected = pairs.reference_chosen, pairs.reference_rejected
    else:
        with torch.no_grad():
            reference_chosen, reference_rejected = pair_log_probs(reference, pairs, sequence_log_prob)
    loss, chosen_rewards, rejected_rewards = compute_dpo_loss(
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "accuracy": preference_accuracy(chosen_rewards, rejected_rewards),
        "chosen_reward": chosen_rewards.mean().item(),
        "rejected_reward": rejected_rewards.mean().item(),
    }
    # END SOLUTION
# %% points=1 confirm="first_step" success="The first step starts from a loss of ln 2, and changes the policy only."
def test_first_step(dpo_step):
    from helpers import worlds
    from helpers.worlds import conduct

    assert callable(dpo_step), "dpo_step is not written yet"
    record = worlds.run("dpo_single", dpo_step, seed=0, moved=False)
    answer = record["answers"][0]
    assert "__type__" not in answer, f"dpo_step returned a {answer.get('__type__')}; it should return a dict of floats"
    for key, wanted in (("loss", 0.6931), ("accuracy", 0.5), ("chosen_reward", 0.0), ("rejected_reward", 0.0)):
        value = answer.get(key, "missing")
        assert type(value) is float, f"dpo_step: the entry {key!r} should be a Python float (use .item()); it is {value}"
        assert abs(value - wanted) < 2e-3, f"dpo_step: with the policy equal to the reference, {key!r} must be {wanted}, got {value:.4f}"
    before, after = record["reference_before"], record["weights"][0]  # the policy begins as the reference
    moved = [bool((before[name] != after[name]).any()) for name in before]
    assert any(moved), "dpo_step: the policy's weights did not change (no optimizer.step(), or no gradient?)"
    fault = conduct.told(record["conduct"])
    assert not fault, f"dpo_step: {fault}"
    right = torch.tensor([0.654, 1.506, 0.390, 0.855, -0.415, 0.596])  # where a right update of 28,000 weights points, in short
    off, turned = ((record["bearings"] - sign * right).abs().max() for sign in (1, -1))
    assert turned > 0.05, "dpo_step: the update goes uphill (chosen and rejected swapped, or a sign)"
    assert off < 0.05, (
        "dpo_step: the update does not follow the gradient of the DPO loss (is it the loss of both sides, of all weights, "
        "and of the completions' tokens only?)"
    )
    assert all(moved), "dpo_step: some of the policy's parameters do not move; all of them are to be trained"
    reference = record["reference_before"]
    same = all((reference[name] == after[name]).all() for after in record["reference_after"] for name in reference)
    assert same, "dpo_step changed the reference's weights"
    assert record["reference_gradients"] == 0, "dpo_step: the reference carries a gradient; compute its log-probs under torch.no_grad()"
    assert record["optimizer_steps"] == len(record["answers"]), "dpo_step must call optimizer.step() exactly once"
    lengths, right = torch.tensor(record["lengths"]), torch.tensor([2.7498, 0.6403, 1.9725])
    if lengths.max() > 0.99:
        right = torch.minimum(right, lengths.max())  # whoever clips the gradient's norm, to 1 or more, gets these
    check(lengths, right, {
        "the gradients of earlier batches are still there; call optimizer.zero_grad()": [2.7498, 2.9443, 3.7614],
        "this is the sum over the batch; the loss is the mean": [21.9984, 3.2014, 1.9725],
        "the batch's size is fixed inside; this batch may be smaller": [2.7498, 0.4002, 0.2466],
        "short gradients are made longer, or the sum over the batch is clipped; the loss is the mean, and clipping only shortens": [1.0, 1.0, 1.0],
        "the gradient lacks the factor β": [9.166, 12.8054, 32.8756],
        "β is applied twice": [0.8249, 0.0320, 0.1184],
        "β is fixed inside; take the one that is given": [2.7498, 3.8416, 9.8627],
        "β is fixed inside; take the one that is given ": [0.9166, 1.2805, 3.2876],
        "the labels are smoothed": [2.1998, 0.5122, 1.5780],
    }, name="dpo_step: the lengths of three updates, divided by the learning rate", rtol=1e-2)
    kept = record["training_after"] == record["training_before"]
    assert kept, "dpo_step left the policy or the reference in another mode (train or eval) than it found it in"
# %% points=1 confirm="reported" success="Away from the reference, the numbers reported are right, and the modes are kept."
def test_moved_policy(dpo_step):
    from helpers import worlds
    from helpers.worlds import conduct

    assert callable(dpo_step), "dpo_step is not written yet"
    record = worlds.run("dpo_single", dpo_step, seed=3, moved=True)
    first = record["answers"][0]
    swapped = "chosen and rejected are swapped"
    lacking = "the reference is missing"
    check(first.get("loss"), 0.6123, {
        swapped: 0.8235,
        lacking + " from the loss": 0.9848,
        "β is applied twice": 0.6637,
        "β is missing": 0.5909,
        "β is another than the one that was given": 0.6607,
        "the padding is not masked": 0.6806,
        "the labels are smoothed": 0.6334,
        "the policy stands in for the reference": 0.6931,
        "it is the sum over the batch; the loss is the mean": 4.8984,
        "β divides the margin": 1.2223, "it takes means over tokens, not sums": 0.6760, "half of the batch is left out": 0.5858,
        "the first token of each completion is left out": 0.6250, "this is a hinge": 0.7888, "this is IPO's loss": 2.6573,
        "the policy is in train mode, with dropout": 0.7853, "the reference is in train mode, with dropout": 0.5566,
        "it is that after the update": 0.1516, "a term is added that is not DPO's": 0.6385,
    }, name="dpo_step, 'loss'", rtol=1e-3)
    check(first.get("accuracy"), 0.75, {
        swapped: 0.25,
        "compare the implicit rewards, not the log-probs": 0.625, "it is a percentage; return a share from 0 to 1": 75.0,
    }, name="dpo_step, 'accuracy'", rtol=1e-3)
    check((first.get("chosen_reward"), first.get("rejected_reward")), (-0.1182, -0.3294), {
        swapped: (-0.3294, -0.1182),
        "the prompt is not masked (the loss does not notice, the rewards do)": (-0.3304, -0.5416),
        "the implicit rewards lack the factor β": (-0.3941, -1.0981),
        lacking + " from the implicit rewards": (-7.8672, -8.5479),
        "their sign is turned round": (0.1182, 0.3294),
        "they are sums over the batch, not means": (-0.9457, -2.6353), "β is in them twice": (-0.0355, -0.0988),
    }, name="dpo_step, 'chosen_reward' and 'rejected_reward'", rtol=1e-3, atol=1e-4)
    fault = conduct.told(record["conduct"])
    assert not fault, f"dpo_step: {fault}"
    cached = [(torch.full((size,), -25.0), torch.full((size,), -26.0)) for size in (8, 5, 1)]  # of a reference of earlier
    given = worlds.run("dpo_single", dpo_step, seed=3, moved=True, cached=cached)
    check(given["answers"][0].get("loss"), 1.1135, {
        "the reference's log-probs in the batch are not used": 0.6123,
        "the reference's log-probs in the batch are swapped": 0.8659,
        "the reference's log-probs in the batch are replaced by 0": 0.9848,
    }, name="dpo_step, 'loss' of a batch that holds the reference's log-probs", rtol=1e-3)
    assert not given["reference_calls"], "dpo_step ran the reference although the batch holds its log-probs already"
    fault = conduct.told(given["conduct"])
    assert not fault, f"dpo_step: {fault}"
    trained = worlds.run("dpo_single", dpo_step, seed=3, moved=True, training=True)
    for run in (record, trained):
        kept = run["training_after"] == run["training_before"]
        assert kept, "dpo_step left the policy or the reference in another mode (train or eval) than it found it in"
# %% hidden={"reported": 1, "update": 1, "reference update": 1, "training": 1}
# %% [markdown]
# ### Six broken programs
#
# Code for DPO, too, seldom crashes when it is wrong. Six people have written a training loop, each with one mistake;
# here is what they report.
#
# 1. "My loss is 0.693 in the first step, and in the hundredth. All implicit rewards are exactly 0."
# 2. "My first loss is not 0.693, and it is another number in every run, although I fix the order of the pairs.
#    After that it falls."
# 3. "My loss starts at 0.693 and falls in training. On the test pairs, whose labels are right, the accuracy falls
#    as well, far below ½."
# 4. "A correct program on the same pairs has the same losses, accuracies and margins as mine, to the last digit.
#    The implicit rewards alone are different, of chosen and rejected alike."
# 5. "My loss starts at 0.693 and hardly falls. The margins are about twenty times smaller than those
#    of a correct program, and my completions have about twenty tokens."
# 6. "When the loss is small, it does not come to rest: the norm of the gradient has grown from step to step."
# %% [markdown] q="q4_B"
# **Question 4.B · Find the mistake.** Which mistake fits which report? Each of the six fits one.
#
# * "P": the prompt's tokens are not masked out
# * "Q": policy and reference are the same object
# * "R": chosen and rejected are exchanged in the training pairs
# * "S": the policy is in train mode, with dropout
# * "T": the log-probs of a completion are averaged over its tokens, not summed
# * "U": the gradients are never cleared
# %%
def broken_programs():
    """Answers to Question 4.B: a dict with a letter for each report, such as {"1": "P", "2": "P", …, "6": "P"}."""
    # BEGIN SOLUTION
    return {"1": "Q", "2": "S", "3": "R", "4": "P", "5": "T", "6": "U"}
    # END SOLUTION
# %% points=0 success="Question 4.B has six answers, each of them a letter from P to U."
def test_broken_programs_form(broken_programs):
    check_choices(broken_programs(), dict.fromkeys("123456", "PQRSTU"), name="broken_programs")
# %% points=1 hidden=true success="Reports 1 and 2 are right." failure="1: policy and reference are one object, so every log-ratio stays 0 (Q). 2: dropout gives the policy other log-probs than the reference from the first step on, at random (S)."
def test_reports_at_the_start(broken_programs):
    check_answers(broken_programs(), {"1": "Q", "2": "S"})
# %% points=0.5 hidden=true success="Report 3 is right." failure="3: chosen and rejected are exchanged (R): the program learns what it is given, and that is the opposite."
def test_report_of_accuracy(broken_programs):
    check_answers(broken_programs(), {"3": "R"})
# %% points=0.5 hidden=true success="Report 4 is right." failure="4: both completions of a pair have the same prompt, so its log-probs cancel in the margin; each implicit reward has them (P)."
def test_report_of_rewards(broken_programs):
    check_answers(broken_programs(), {"4": "P"})
# %% points=0.5 hidden=true success="Report 5 is right." failure="5: with means over some twenty tokens the margins, and with them the steps of learning, are some twenty times smaller (T)."
def test_report_of_margins(broken_programs):
    check_answers(broken_programs(), {"5": "T"})
# %% points=0.5 hidden=true success="Report 6 is right." failure="6: the gradient is the sum of all gradients so far, which does not fade when those of single batches do (U)."
def test_report_of_norms(broken_programs):
    check_answers(broken_programs(), {"6": "U"})
# %% [markdown]
# **Keep the reference's log-probs.** The reference never changes, and neither do the pairs. So each of its log-probs is
# the same in every epoch and for every β. You computed them once, above (`kept_train`). The next cell shows that a step
# with kept log-probs gives the same numbers as a step that runs the reference, and how much time it saves.
# The larger gain comes with large models: the reference need not be in the GPU's memory at all while training.
# %% tags=["training"]
def new_policy(learning_rate=recipe.learning_rate, start=reference):
    """A fresh copy of the reference, or of another policy to start from, and its optimizer.

    The copy is in eval mode, as the reference is: no dropout, so that the two give equal log-probs at the start.
    """
    policy = trainable_copy(start, preset)
    return policy, torch.optim.AdamW(policy.parameters(), lr=learning_rate, weight_decay=0.0)


def timed(kept):
    """Six training steps from the reference: seconds per step, and what the steps reported."""
    policy, optimizer = new_policy()
    batches = pair_batches(train_pairs, pad_id, recipe.batch_size, seed=0, reference=kept, device=device, epochs=6)
    return measures.timed_steps(lambda batch: dpo_step(policy, reference, optimizer, batch, beta), batches)


slow, without = timed(None)
quicker, with_kept = timed(kept_train)
compared = [
    key for key in without[0] if key != "accuracy"
]  # at the first step all margins are 0 but for rounding: ties fall either way
difference = max(abs(a[key] - b[key]) for a, b in zip(without, with_kept, strict=True) for key in compared)
print(
    f"running the reference each time: {slow:.2f} s a step; kept log-probs: {quicker:.2f} s a step "
    f"({slow / quicker:.1f} times faster)"
)
print(f"largest difference of losses and rewards in six steps: {difference:.1e}")
assert difference < 1e-2, "kept log-probs must give the same training"
# %% [markdown]
# **What the policy writes.** The loss says how well a policy orders texts that are there already.
# We also want to know what it *writes*: the mean **reward** of fresh samples, and their **KL** to the reference,
# estimated as in Part 3 (the estimate `k1`): the mean over completions of log π − log π_ref. The log-probs under the
# policy were noted while sampling; those under the reference come from your `sequence_log_prob`.
# `half_width` is half of the 95 % interval of the reward: it shrinks with the number of prompts.
# The second reward model is a witness: it did not make the labels.
# %% tags=["training"]
evaluation_prompts = load_prompts(preset, "test")[: sizes.evaluation_prompts]
judges = {"reward": reward_model, "second_reward": load_reward_model(preset, second=True, device=device)}


def reward_and_kl(policy):
    """Mean reward with its interval, KL to the reference (nats, estimate k1), length, repetition of fresh samples."""
    return measures.reward_and_kl(
        policy, reference, tokenizer, evaluation_prompts, judges, sequence_log_prob, new_tokens=preset.new_tokens
    )


base_scores = reward_and_kl(reference)
print("the reference:", {key: round(value, 3) for key, value in base_scores.items()})
# %% [markdown]
# **Train.** The sizes at the top say how many epochs, the recipe of the preset how many pairs a batch; AdamW updates.
# Every few steps the policy is measured on the test pairs, which it never trains on; and after each epoch it writes
# fresh samples, which section 4.6 looks at.
# The bar says how long this takes. The stop button of the notebook ends a run early and keeps what there is.
# Each run has a checkpoint in the folder `runs/dpo-trainings`: after a stop, or the end of a session, the same cell
# goes on from there, and a run that was finished is read and not made again. (Of a large policy, whose weights take
# more than 200 MB, only unfinished runs are kept.)
#
# *Predict first:* which of these will rise in training, and which will fall: the loss on the training pairs, the loss
# on the test pairs, the accuracy, the log-prob of the chosen completions, that of the rejected ones?
# %% tags=["training"]
def train_dpo(
    pairs, kept, beta, *, name, epochs=sizes.epochs, test_every=30, start=reference, look=False,
    learning_rate=recipe.learning_rate, update=dpo_step,
):  # fmt: skip
    """Train a copy of a policy on pairs. Gives the copy, and a history with measures of the test pairs in columns `test_...`.

    With `look` the policy also writes samples after each epoch but the last: columns `epoch_...`. `update` is the step.
    A run that was finished before with these pairs and numbers and this code is read from its checkpoint.
    """
    seed = run_seed(0)
    seed_everything(seed)
    policy, optimizer = new_policy(learning_rate, start)
    size = min(recipe.batch_size, len(pairs))
    batches = list(pair_batches(pairs, pad_id, size, seed=seed, reference=kept, epochs=epochs, device=device))

    def step(batch, number):
        last = number == len(batches) - 1
        due = number % test_every == 0 and test_every <= len(batches) and not last
        before = measure(policy, test_pairs, kept_test, beta) if due else {}
        report = update(policy, reference, optimizer, batch, beta)
        tests = (
            measure(policy, test_pairs, kept_test, beta) if last else before
        )  # the last one is taken after the update
        report |= {f"test_{key}": value for key, value in tests.items()}
        if look and not last and (number + 1) % (len(batches) // epochs) == 0:
            found = {"test loss": measure(policy, test_pairs, kept_test, beta)["loss"]} | reward_and_kl(policy)
            report |= {f"epoch_{key}": value for key, value in found.items()}
        return report

    depends_on = {"seed": seed, "beta": beta, "learning_rate": learning_rate, "epochs": epochs, "preset": preset.name}
    depends_on |= {"pairs": pairs_mark(pairs, kept), "start": weights.mark(weights.kept(start))}
    small = weights.size(weights.kept(policy).values()) < 200e6  # bytes: ten larger policies would fill a disk
    history = train(
        step, batches, steps=len(batches), description=name, policy=policy, optimizer=optimizer,
        folder=Path("runs/dpo-trainings") / sweep.slug(name), settings=depends_on, reuse=True, keep_finished=small,
    )  # fmt: skip
    return policy, history


started = time.perf_counter()
policies, histories = {}, {}
policies[beta], histories[beta] = train_dpo(train_pairs, kept_train, beta, name=f"DPO, β = {beta}", look=True)
final = measure(policies[beta], test_pairs, kept_test, beta)
print(f"{len(histories[beta])} steps in {time.perf_counter() - started:.0f} s")
print(
    f"test loss {math.log(2):.3f} → {final['loss']:.3f}, "
    f"pair accuracy {final['accuracy']:.3f} on {len(test_pairs)} test pairs"
)
half = NORMAL_975 * math.sqrt(final["accuracy"] * (1 - final["accuracy"]) / len(test_pairs))  # of its 95 % interval
told = f"{final['accuracy']:.2f} ± {half:.2f}"
sentence = "the policy orders more than half of the test pairs rightly"
claim("4_orders_new_pairs", sentence, final["accuracy"] - half > 0.5, told)
seen = measure(policies[beta], train_pairs, kept_train, beta)["loss"]
told = f"{seen:.3f} and {final['loss']:.3f}"
claim("4_overfits", "the loss ends lower on the training pairs than on the test pairs", seen < final["loss"], told)
headline(f"test loss, β = {beta}", final["loss"])  # for the report of a whole run; it does nothing in your notebook
headline("pair accuracy", final["accuracy"])

kept_in = save_policy(policies[beta], "DPO")  # Part 5 looks at what this policy writes
print(f"kept in {kept_in}")
# %% tags=["training"]
plots.show(figures.plot_dpo_training(histories[beta], title=f"DPO at β = {beta}"))
# %% [markdown]
# <details><summary><b>What to see (open after you have looked)</b></summary>
#
# *Loss.* Both curves start at ln 2. In the first epoch every training pair is new to the policy, so the two curves
# belong together. From the second epoch on each pair is seen again, and the training loss can fall further than the
# test loss. The gap between them is overfitting; the line above the figure has it at the end, with the same policy on
# all pairs. If the test loss *rises*, stop earlier.
#
# *Accuracy.* It starts at ½. How near does it come to 1 on test pairs? The pairs with the narrowest gaps are the ones
# to look for among those that stay wrong: their two texts hardly differ in what counts.
#
# *Implicit rewards.* DPO only sees the **difference** of the two. A loss below ln 2 is possible only if it is above 0
# on average.
#
# *Log-probs.* Look at the two curves apart. The chosen one may rise a little, or **fall as well**, only less than the
# rejected one. That is no bug. The loss depends on the difference alone, and the two completions of a pair share
# many tokens and habits: what pushes the rejected one down pulls the chosen one along. The next cell has the figures.
#
# </details>
# %% [markdown]
# ### Where the probability goes
#
# That the chosen log-prob can fall in DPO has a name, **likelihood displacement** (Razin and others 2024), and a simple
# reason. Both completions of a pair were sampled from the *reference*. On the reference's own samples the mean of the
# log-ratio is a KL, with a minus sign and the other way round than the one we usually measure:
#
# $$\mathbb{E}_{y \sim \pi_\text{ref}}\big[\ln\pi(y|x) - \ln\pi_\text{ref}(y|x)\big]
# = -\mathrm{KL}(\pi_\text{ref}\,\|\,\pi) \le 0.$$
#
# So on average over these samples **every** policy that differs from the reference loses, whatever it was trained on.
# A policy gains probability only where the reference seldom writes. The chosen completions can rise if they are singled
# out among the samples and the others pay for it; nothing in the loss asks for that.
# The next cell takes *all* completions of the test prompts, not only those of pairs, and measures the mean.
#
# *Predict first:* where will the mean over all of them lie: above that of the chosen completions, below that of the
# rejected ones, or between the two?
# %% tags=["training"]
numbers = [(p, k, k + 1) for p in range(len(test_completions)) for k in range(0, sizes.completions_per_prompt - 1, 2)]
reference_samples = pairs_from(test_completions, torch.tensor(numbers))  # two by two: here neither one is preferred
kept_samples = completion_log_probs(reference, reference_samples)  # [N, 2]
moved = (completion_log_probs(policies[beta], reference_samples) - kept_samples).flatten()
error = moved.std().item() / math.sqrt(len(moved))
print("mean change of the log-prob, in nats per completion:")
print(f"  all {len(moved)} samples of the reference: {moved.mean():+.2f} ± {error:.2f} (standard error); minus a KL")
print(f"  chosen completions of the test pairs:   {final['chosen_change']:+.2f}")
print(f"  rejected completions of the test pairs: {final['rejected_change']:+.2f}")
print(f"  share of the reference's samples that have become less probable: {(moved < 0).float().mean():.0%}")
sinking = final["rejected_change"] < final["chosen_change"] < 0
told = f"{final['chosen_change']:+.1f} and {final['rejected_change']:+.1f} nats"
sentence = "the chosen completions of the test pairs lose probability as well, and the rejected ones more"
claim("4_displacement", sentence, sinking, told)
# %% [markdown]
# The first number is below 0 but for chance, in every run and with every β. Compare it with the other two. If the
# chosen completions fall, too, they are texts that people (here: the reward model) *liked*, and the policy leaves them
# for texts that are in no pair and that nobody has judged. Those may be better or worse: Razin and others show cases
# where the probability goes to answers that mean the opposite, and find the effect strongest where chosen and rejected
# resemble each other in the eyes of the model. What helps: stop earlier, take a larger β, choose pairs that differ
# clearly, or add a term that holds the chosen log-prob up, such as a little of ordinary fine-tuning, −ln π(chosen).
# Whether the new texts are better is seen in samples alone, and in the opinion of a second judge.
# %% [markdown] q="q4_C"
# **Question 4.C (four numbers and a cause).** Numbers to three digits.
#
# (a) What is the test loss before training at β = 0.5 (`"start"`)?
#
# (b) In the second epoch of a run the training loss falls much further than the test loss. Why (`"gap"`)?
#
# * "A": The test pairs are harder, as their gaps are narrower.
# * "B": Each training pair is seen again, and the policy begins to remember it.
# * "C": The optimizer has found the right step size by then.
# * "D": β is smaller on the training pairs.
#
# (c) The chosen completion of a pair has lost 8 nats since the start, the rejected one 17. What is the pair's margin
# (`"margin"`), and what its loss at β = 0.1 (`"loss"`)?
#
# (d) The reference writes one of two texts, each with probability ½. The trained policy writes each of them with
# probability 0.2, and a third text otherwise. By how much, in nats, has the mean log-prob of the reference's samples
# changed (`"change"`)? Compare the sign with the output above.
# %%
def what_training_does():
    """Answers to Question 4.C: {"start": 1.0, "gap": "A", "margin": 1.0, "loss": 1.0, "change": 1.0}."""
    # BEGIN SOLUTION
    margin = -8 - (-17)
    return {
        "start": math.log(2),
        "gap": "B",
        "margin": margin,
        "loss": math.log(1 + math.exp(-0.1 * margin)),
        "change": math.log(0.2 / 0.5),
    }
    # END SOLUTION
# %% points=0 success="Question 4.C has a letter from A to D, and four plain numbers."
def test_what_training_does_form(what_training_does):
    choices = {"start": None, "gap": "ABCD", "margin": None, "loss": None, "change": None}
    check_choices(what_training_does(), choices, name="what_training_does")
# %% points=0.5 hidden=true success="Start and gap are right." failure="All margins are 0 at the start, so the loss is ln 2 = 0.693 whatever β is. From the second epoch on the policy sees its training pairs again, and remembers them: overfitting (B)."
def test_start_and_gap(what_training_does):
    check_answers(what_training_does(), {"start": 0.693147, "gap": "B"})
# %% points=0.5 hidden=true success="Margin and loss are right." failure="The margin is -8 + 17 = 9, and the loss -ln σ(0.1 · 9) = 0.341: it has fallen although the chosen completion lost probability."
def test_margin_and_loss(what_training_does):
    check_answers(what_training_does(), {"margin": 9.0, "loss": 0.341154})
# %% points=1 hidden=true success="The change on the reference's samples is right." failure="Both samples go from ln 0.5 to ln 0.2, so the mean changes by ln 0.4 = -0.916. It is -KL(π_ref‖π), never above 0: what these texts lose goes to a text that the reference does not write."
def test_change_of_samples(what_training_does):
    check_answers(what_training_does(), {"change": -0.916291})
# %% [markdown]
# **In your own run:** which way did the chosen log-prob go? Where it fell, the loss could fall all the same: it
# depends on the difference of the two log-ratios alone, and the two completions of a pair share words and style,
# so that gradients that lower one tend to lower the other.
# %% [markdown]
# ## 4.6 The role of β
#
# β came into the objective as the price of a nat of KL. In the loss it scales the margin.
# Let us train the same pairs with several values, and measure for each policy what we care about:
# the reward of what it writes, and its KL to the reference.
#
# The training runs are independent, so they go side by side, one on each core of the computer;
# `workers` is their number.
# *You may add other values:* `sizes = preset.sizes("dpo", betas=(0.1, 0.25, 0.5, 1.0))` in the cell of the sizes.
# Run that cell, then go on here. Each value takes as long as the training above.
#
# *Predict first:* which β will end farthest from the reference, and which with the most reward? And will the order of
# their test losses be the order of one of these?
# %% tags=["training"]
more = {f"DPO, β = {value}": value for value in sizes.betas if value not in policies}
trainings = {
    name: functools.partial(train_dpo, train_pairs, kept_train, value, name=name, look=True)
    for name, value in more.items()
}
for name, result in all_results(trainings, workers):
    policies[more[name]], histories[more[name]] = result
# %% tags=["training"]
scores_by_beta = {value: reward_and_kl(policies[value]) for value in sizes.betas}
rows = [{"name": "reference", "test loss": math.log(2), "accuracy": 0.5, **base_scores}]
for value in sizes.betas:
    tested = measure(policies[value], test_pairs, kept_test, value)
    row = {"name": f"β = {value:g}", "test loss": tested["loss"], "accuracy": tested["accuracy"]}
    row |= {"margin in nats": tested["margin"] / value, "chosen change": tested["chosen_change"]}
    rows.append(row | scores_by_beta[value])
recording.save_trainings(histories, scores_by_beta, rows)  # kept in runs/dpo_trainings.json
display(pd.DataFrame(rows).set_index("name").round(3))

of_betas = [scores_by_beta[value] for value in sizes.betas]
low, base_high = min(s["reward"] - s["half_width"] for s in of_betas), base_scores["reward"] + base_scores["half_width"]
told = f"lower end {low:.2f}, the reference's upper end {base_high:.2f}"
sentence = "at every β the policy's texts have more reward than the reference's, beyond both intervals"
claim("4_more_reward", sentence, low > base_high, told)
gains = [[s[key] - base_scores[key] for key in ("reward", "second_reward")] for s in of_betas]
told = ", ".join(f"{gain:+.2f} beside {first:+.2f}" for first, gain in gains)
sentence = "the second reward model, too, finds a gain at every β, of more than a third of the first's"
claim("4_witness_agrees", sentence, all(gain > first / 3 > 0 for first, gain in gains), told)
near, far = scores_by_beta[max(sizes.betas)]["kl"], scores_by_beta[min(sizes.betas)]["kl"]
told = f"{far:.1f} and {near:.1f} nats"
sentence = "the smallest β ends more than a fifth farther from the reference than the largest"
claim("4_small_beta_goes_far", sentence, far > 1.2 * near, told)
# %% [markdown]
# If your runs are missing or learn nothing, put this line into a new cell and run it; then go on with the next:
# `policies, histories, scores_by_beta, rows = recording.recorded_trainings(reference, preset)`. It has the runs
# that are recorded with the course, and the questions can be answered from them.
# %% tags=["training"]
named = {f"β = {value:g}": histories[value] for value in scores_by_beta}
plots.show(
    plots.plot_history(named, "loss", title="Training loss for several β, mean of 10 steps", ylabel="loss (nats)")
)
plots.show(
    figures.plot_test_measure(
        named, "test_loss", title="Test loss for several β", ylabel="loss (nats)", line=math.log(2)
    )
)
plots.show(
    figures.plot_panels(
        rows[1:],
        {
            "test loss": "test loss (nats)",
            "accuracy": "pair accuracy",
            "reward": "reward, P(positive)",
            "kl": "KL (nats per completion)",
        },
        title="The same pairs, several values of β",
        lines={"test loss": math.log(2), "accuracy": 0.5, "reward": base_scores["reward"], "kl": 0.0},
    )
)
# %% [markdown]
# **One policy, many rulers.** Are the test losses at different β comparable? Take one policy, leave it as it is, and
# compute its loss on the test pairs with one β after the other. The policy is the same each time, the margins are the
# same; only the ruler changes. The next cell has the four log-probs of each pair ready, in the order in which your
# `compute_dpo_loss` takes them: `four`. Write the line that fills `ruler_losses`.
#
# *Predict first:* as β grows from nearly 0 to 3, will the loss of this one policy fall, rise, or both?
# %% tags=["training"]
rulers = torch.logspace(-2, 0.5, 26).tolist()  # 26 values of β from 0.01 to about 3
scores = completion_log_probs(policies[beta], test_pairs)  # [N, 2]
four = [*scores.T, *kept_test.T]  # chosen, rejected under the policy; the same under the reference
ruler_losses = []  # yours: a list of floats, the test loss at each β of `rulers`
# BEGIN SOLUTION NO PROMPT
ruler_losses = [compute_dpo_loss(*four, beta=ruler)[0].item() for ruler in rulers]
# END SOLUTION
margins = (scores - kept_test) @ torch.tensor([1.0, -1.0], device=device)  # [N]
print(f"mean margin {margins.mean():+.1f} nats; margins below 0: {(margins < 0).sum()} of {len(margins)}")
if len(ruler_losses) == len(rulers):
    trained_with = f"trained with β = {beta:g}"
    plots.show(figures.plot_rulers(rulers, {trained_with: ruler_losses}, {trained_with: beta}))
    least = min(range(len(rulers)), key=ruler_losses.__getitem__)
    lower = compute_dpo_loss(*four, beta=beta)[0].item() - ruler_losses[least]
    told = f"{lower:.3f} lower at β = {rulers[least]:.2g}"
    sentence = "this policy's loss is more than 0.01 lower at another β than at that of its training"
    claim("4_other_ruler", sentence, lower > 0.01, told)
else:
    print("`ruler_losses` is not filled yet.")
# %% [markdown]
# <details><summary><b>Why it has this shape (open after you have looked)</b></summary>
#
# The loss of a pair with margin $m$ is −ln σ(βm). At β = 0 it is ln 2 for every pair, so every such curve starts
# there. Its slope in β is −m·σ(−βm): it falls for a positive margin and **rises for a negative one**. At β = 0 all
# weights σ are ½, so the mean loss first falls exactly if the *mean* margin is positive. As β grows, pairs with
# positive margins stop pulling, and each pair with a negative one goes on rising by nearly |m| for each unit of β. If
# all margins were positive, the loss would fall for ever. As soon as one is negative, it rises in the end without
# limit. The curve is convex, so between the two there is one lowest point.
#
# </details>
# %% [markdown]
# **A lower loss at another β is not a better policy.** One and the same policy has a whole curve of losses.
# Within one β, a smaller test loss is a better fit of the labels. Between two β it says nothing about quality.
# Even the course of a training curve depends on β: with a large β the same change of the policy changes the loss more,
# and pairs stop pulling earlier.
#
# What *can* be compared are things measured with one ruler: pair accuracy, the reward of fresh samples, the KL, and the
# samples themselves. The price of a nat of KL differs with β, so expect the small β to go farther from the reference;
# the lines below the table above say whether it did. Did it get more reward for it, by more than the half widths?
# Which policy is best then depends on how far you are willing to go.
# %% [markdown] q="w4_3"
# **Question 4.D.** Train with three values of β between 0.1 and 0.5, and show their loss plots.
# (a) Report the test losses. (b) Show the plot of one policy's loss against β. Explain its shape: where does it
# start, what decides whether it falls at first, and when does it rise? (c) A fellow student says: "The test loss is
# lowest at one of my three β, so this β gives the best model." What do you answer? (d) What does β do, and which of
# your policies is best? Defend your choice by numbers that can be compared, and name a limit of the comparison.
# %% [markdown]
# (a) The table above holds them. All start at ln 2.
#
# (b) For a pair with margin m the loss is −ln σ(βm), and its slope in β is −m·σ(−βm). At β → 0 the loss is ln 2
# whatever the margins. It falls at first if the mean margin is positive. A pair with a positive margin then adds ever
# less, one with a negative margin ever more, in the end β|m|. So the curve falls for ever if all margins are positive;
# if some are negative it turns at one point and rises without limit. The number of negative margins is printed above
# the plot.
#
# (c) The fellow student compares numbers on different rulers: the plot in (b) has different losses for *one* policy.
# Within one β a smaller test loss means a better fit to unseen labels; between different β it does not rank the
# policies. (To read it the other way round, "the larger test loss is better", is wrong as well.)
#
# (d) β is the price of a nat of KL in the objective, in the unit of the reward that the labels imply. With a small β,
# a margin of many nats is needed before a pair counts as settled (its weight falls), so the policy goes far from the
# reference. With a large β few nats are enough, and the policy stays near. I compare reward, second reward, KL,
# accuracy and samples in the tables. If natural text matters, I take the β whose KL is small for most of the reward;
# if only the reward counts, the one with the highest, as long as its samples are readable and the second reward model
# agrees. Limits: one seed for each run, a confidence interval (twice `half_width`) that may be as wide as the
# difference of two neighbours, and a reward model that both judges and made the labels.
#
# **Rubric**
# - 1 point: Shows the loss of one policy against β and explains it by the signs of the margins: ln 2 at β → 0, positive
#   margins make it fall, negative ones make it rise in the end.
# - 1 point: Reports the test losses, and says that within one β a smaller one is the better one, while losses of
#   different β cannot be compared as quality, with the reason (β scales the margin; one policy has a whole curve).
# - 1 point: Explains what β does (price of KL; pairs stop pulling at smaller margins), chooses one β, defends it by
#   reward against KL (or accuracy, samples), not by the loss, and names a limit (one seed, confidence intervals,
#   the reward model also made the labels).
# %% [markdown]
# ### Two more things to watch: length and the number of epochs
#
# **Length.** A log-prob is a sum over tokens, so a long text can change its log-ratio by more nats than a short one,
# and if the chosen completions are longer than the rejected ones, "write more" is an easy lesson. It is DPO's
# best-known bias. Park and others (2024) subtract a term for the difference in length in the margin (R-DPO); SimPO
# (Meng and others 2024) takes means over tokens in place of sums, and needs no reference. Are your policies' texts
# longer than the reference's, and by more than the pairs suggest?
# %% tags=["training"]
chosen_length = sum(len(pair.chosen_ids) for pair in train_pairs) / len(train_pairs)
rejected_length = sum(len(pair.rejected_ids) for pair in train_pairs) / len(train_pairs)
print(f"mean length of the training pairs: chosen {chosen_length:.1f} tokens, rejected {rejected_length:.1f}")
print(f"mean length of fresh samples: before {base_scores['length']:.1f} tokens; after, at most {preset.new_tokens}:")
for value in scores_by_beta:
    print(f"  β = {value:g}: {scores_by_beta[value]['length']:.1f}")
# %% [markdown]
# **Epochs.** Part 2 met over-optimisation of a reward model. DPO has no reward model, but the policy itself is one
# (step 3 of 4.1), fitted to few pairs, and it is optimised against its own errors just the same: Rafailov and others
# (2024) find that quality rises and then falls as the KL grows, often within the first epoch. So look at each epoch,
# and not at the end alone. In the table: does the reward still rise while the KL does? Does the second reward model
# agree? Does the test loss agree with either of them, or does it rise in a later epoch?
# %% tags=["training"]
epochs_seen = []
for value, row in zip(scores_by_beta, rows[1:], strict=True):  # the last look is the table's row
    last_look = {"test loss": row["test loss"]} | scores_by_beta[value]
    epochs_seen += measures.epoch_rows(f"β = {value:g}", histories[value], last_look)
epochs_seen = pd.DataFrame(epochs_seen).set_index(["run", "epoch"])
changes = epochs_seen.groupby("run")["test loss"].diff().dropna()  # from each epoch to the next
if len(changes):
    told = f"changes from {changes.min():+.3f} to {changes.max():+.3f}"
    sentence = "the test loss rises in no epoch by more than 0.01"
    claim("4_no_epoch_too_many", sentence, (changes < 0.01).all(), told)
display(epochs_seen.round(3))
# %% [markdown]
# If test loss and reward disagree about the best epoch, that is no contradiction: the loss is measured on texts of the
# reference, the reward on texts that the policy writes by now. With `preset.sizes("dpo", epochs=4)` in the cell of the
# sizes you can watch longer.
# %% [markdown]
# ## 4.7 What the pairs are worth: gap and noise
#
# A small experiment with five training runs on few pairs, all tested on the same clean test pairs. To compare sets of
# pairs, everything else must be equal. So all five use **the same prompts with the same best completion**, and
#
# * **wide gap**: the best completion against the worst; **narrow gap**: the best against the second best;
# * **the judge's labels**: the one that scores higher is chosen, always;
#   **drawn labels**: the one that scores higher is chosen with probability σ(scale · gap), as by a rater who follows
#   Bradley–Terry with the reward scale × P(positive). With a gap of 0 that is a coin toss.
#
# The fifth training meets the drawn labels with *conservative DPO*, your `label_smoothing`. Its ε is the share of
# wrong labels that is to be expected, the mean of 1 − σ(scale · gap). Here we know it, as we made the noise; in
# practice it is estimated from pairs that two people have labelled.
#
# *Predict first:* (1) The judge's labels are right for narrow and for wide gaps alike. Will the two sets teach equally
# much? (2) Which of the two sets suffers more from drawn labels, and why? (3) Conservative DPO has a finite best
# margin (exercise 4.3). Will it help more with the accuracy or with the loss?
# %% tags=["training"]
rater_scale = 2.0  # a larger scale makes a more careful rater; try 0.5 and 10

scores_given = train_completions.rewards  # [P, K]
ranked = scores_given.argsort(dim=1, descending=True, stable=True)  # [P, K], best first
sorted_scores = scores_given.gather(1, ranked)  # [P, K]
usable = (sorted_scores[:, 0] - sorted_scores[:, -1] > min_gap) & (sorted_scores[:, 0] > sorted_scores[:, 1])  # [P]
same_prompts = usable.nonzero().squeeze(1)[: sizes.experiment_pairs]  # [M]


def against(place):
    """Pairs of the best completion and the one at `place` of the ranking, for the same prompts each time."""
    return pairs_from(train_completions, torch.stack([same_prompts, *ranked[same_prompts][:, [0, place]].T], dim=1))


wide, narrow = against(-1), against(1)
sets = {
    "wide": wide,
    "narrow": narrow,
    "wide, drawn": draw_labels(wide, rater_scale, seed=3),
    "narrow, drawn": draw_labels(narrow, rater_scale, seed=3),
}
for name in ("wide", "narrow"):
    pairs = sets[name]
    gaps = torch.tensor([pair.gap for pair in pairs])
    wrong = sum(pair.gap < 0 for pair in sets[f"{name}, drawn"]) / len(pairs)
    expected = torch.sigmoid(-rater_scale * gaps).mean()
    print(
        f"{name:6}: {len(pairs)} pairs, mean gap {gaps.mean():.2f}; "
        f"wrong labels: expected {expected:.0%}, drawn {wrong:.0%}"
    )
epsilon = torch.sigmoid(-rater_scale * torch.tensor([pair.gap for pair in wide])).mean().item()
best_margin = math.log((1 - epsilon) / epsilon) / beta
print(f"conservative DPO with ε = {epsilon:.2f}: the margin of least loss is {best_margin:.1f} nats")
# %% [markdown]
# Your `dpo_step` calls `compute_dpo_loss` by its name. For the fifth training a copy of it is made in which this name
# stands for your loss with its `label_smoothing` set. The column *wrong labels learned* is the share of the wrongly
# labelled training pairs that the trained policy orders as the wrong label says: what it has learned by heart.
# %% tags=["training"]
smoothed = functools.partial(compute_dpo_loss, label_smoothing=epsilon)
conservative_step = measures.with_names(dpo_step, compute_dpo_loss=smoothed)

updates = {**dict.fromkeys(sets, dpo_step), "wide, drawn, conservative": conservative_step}
learned_from = {name: sets[name.removesuffix(", conservative")] for name in updates}
kept_by_name = {name: completion_log_probs(reference, pairs) for name, pairs in learned_from.items()}  # [N, 2] each
rarely = {"test_every": 10**6}  # tested at the end only
trainings = {
    name: functools.partial(train_dpo, learned_from[name], kept, beta, name=name, update=updates[name], **rarely)
    for name, kept in kept_by_name.items()
}
experiment_policies = {name: policy for name, (policy, _) in all_results(trainings, workers)}

experiment_rows = []
for name, pairs in learned_from.items():
    policy, kept = experiment_policies[name], kept_by_name[name]
    tested = measure(policy, test_pairs, kept_test, beta)
    shifts = completion_log_probs(policy, pairs) - kept  # [N, 2]
    wrong = torch.tensor([pair.gap < 0 for pair in pairs], device=shifts.device)  # [N]
    learned = preference_accuracy(*shifts[wrong].T) if wrong.any() else math.nan
    row = {"name": name, "test loss": tested["loss"], "accuracy": tested["accuracy"]}
    row |= {"mean |margin|": (shifts[:, 0] - shifts[:, 1]).abs().mean().item(), "wrong labels learned": learned}
    experiment_rows.append(row)
experiment = pd.DataFrame(experiment_rows).set_index("name")
display(experiment.round(3))
accuracy = experiment["accuracy"]
told = f"{accuracy['wide']:.2f} and {accuracy['narrow']:.2f}"
sentence = "with the judge's labels the wide pairs teach more: accuracy is higher by more than 0.03"
claim("4_wide_pairs_teach_more", sentence, accuracy["wide"] > accuracy["narrow"] + 0.03, told)
wrong = sum(pair.gap < 0 for pair in sets["wide, drawn"]) / len(wide)
told = f"{accuracy['wide'] - accuracy['wide, drawn']:.2f} lost, {wrong:.2f} of the labels wrong"
sentence = "drawn labels cost the wide pairs less accuracy than their share of wrong labels"
claim("4_noise_costs_less_than_its_share", sentence, accuracy["wide"] - accuracy["wide, drawn"] < wrong, told)
plain, careful = (experiment.loc[name] for name in ("wide, drawn", "wide, drawn, conservative"))
told = ", ".join(f"{key} {careful[key]:.3g} for {plain[key]:.3g}" for key in ("mean |margin|", "test loss"))
sentence = "conservative DPO ends with margins smaller by more than a tenth than DPO on the same labels"
claim("4_smoothing_holds_back", sentence, careful["mean |margin|"] < 0.9 * plain["mean |margin|"], told)
plots.show(
    figures.plot_panels(
        experiment_rows,
        {
            "test loss": "loss on clean test pairs",
            "accuracy": "accuracy on clean test pairs",
            "mean |margin|": "|margin| of training pairs (nats)",
        },
        title=f"What {len(same_prompts)} pairs of the same prompts teach",
        lines={"test loss": math.log(2), "accuracy": 0.5},
        joined=False,
    )
)
# %% [markdown]
# <details><summary><b>How to read it (open after you have looked)</b></summary>
#
# *Gap, with the judge's labels.* No label is wrong in either set, so a difference between them is not noise. In a
# narrow pair the rejected completion is the second best of its prompt, so often a good text itself; pushing it down
# pushes the policy away from what we want more of. And the two texts differ less in what counts and as much in
# everything else, so less of what the pair teaches can hold for new prompts.
#
# *Gap, with drawn labels.* Now a narrow gap brings doubtful labels as well: σ(scale · gap) is nearer to ½. The lines
# above the table print how many labels are wrong in each set. Which set loses more accuracy depends on a second thing,
# too: how much it had to lose. Right labels agree with each other and wrong ones pull in all directions, so accuracy
# on clean pairs can fall by less than the share of wrong labels; with a share of one half, nothing is left to learn.
#
# *Conservative DPO.* Plain DPO has no defence of its own: a wrong label that the policy contradicts with a large
# margin gets the *largest* weight, up to 1. Smoothing pulls margins back that grow beyond ln((1 − ε)/ε)/β, which is
# printed above the table. So look at the margins and at the loss on clean pairs first: a policy that is less sure pays
# less where it is wrong, and gains less where it is right. The order of two completions, and with it the accuracy, may
# hardly change. Other remedies are a larger β, fewer epochs, and IPO. How much of this is luck? Change the seed of
# `draw_labels`.
#
# </details>
# %% [markdown]
# ## 4.8 DPO beside REINFORCE
#
# In Part 3 you trained policies with REINFORCE for several strengths of the KL penalty, and drew their rewards against
# their KL: the **frontier**. Its points are read from the folder `runs` beside this notebook if you have trained them
# there. If not, points recorded with the course (preset `tiny`) are shown, and the cell says so.
#
# **Best-of-n** is drawn as well, at most at its KL, as in Part 3: the completions and their scores are there already,
# and nothing is trained. If you drew the optimum π\* in Part 3, its line is there too. Both lines are what is possible
# *at least*; with few completions for each prompt they end at a small KL, and the dotted line only keeps their reward.
#
# *Predict first:* will DPO's policies lie above the line through REINFORCE's, on it, or below? And how many completions
# must one choose from to have DPO's reward without training?
# %% tags=["training"]
for value in scores_by_beta:
    more = {key: number for key, number in scores_by_beta[value].items() if key not in ("kl", "reward")}
    save_point(f"DPO β = {value:g}", scores_by_beta[value]["kl"], scores_by_beta[value]["reward"], method="DPO", **more)

earlier, where_from = sweep.earlier_runs(preset)  # REINFORCE with a fixed α each
print(where_from)
points = [run.point | {"method": "REINFORCE + KL, fixed α"} for run in earlier]
points += [{"name": "reference", "kl": 0.0, "reward": base_scores["reward"], "method": "reference"}]
points += [point for point in load_points() if point.get("method") in ("DPO", "REINFORCE")]
bounds = [point for point in load_points() if point.get("method") == possible.OPTIMUM]  # if you drew it in Part 3
for n in range(1, sizes.completions_per_prompt + 1):  # nothing trained: the best of n completions, all choices of n
    choices = itertools.combinations(range(sizes.completions_per_prompt), n)
    best_of = torch.stack([scores_given[:, chosen].amax(dim=1) for chosen in map(list, choices)]).mean().item()
    bounds.append(
        {"name": f"best of {n}", "kl": math.log(n) - (n - 1) / n, "reward": best_of, "method": possible.BEST_OF_N}
    )
plots.show(plot_frontier(points, bounds, title="DPO on the frontier of Part 3"))
# %% [markdown]
# **At equal KL.** A policy that has moved farther can easily have more reward.
# A fairer question is: at the *same* distance from the reference, which method has more? The next cell draws straight
# lines between neighbouring points, the reference and Part 3's policies, and reads reward and length at each DPO
# policy's KL.
#
# Three more columns keep the comparison honest. **Length:** the KL of a completion is a sum over its tokens, so
# policies that write texts of different lengths are not alike at equal KL; look at the KL *per token* as well.
# **Feedback:** count the texts that were scored. DPO scored K texts for each training prompt, once; a run of REINFORCE
# scores a fresh batch at each step. **Best reward at this KL:** what the two lines of the figure have at this distance,
# at least; where the lines have ended, their last value. And `half_width` is half of the 95 % interval of a reward.
# %% tags=["training"]
by_name = {f"DPO, β = {value:g}": scores for value, scores in scores_by_beta.items()}
texts_for_pairs = len(train_completions) * sizes.completions_per_prompt
counted = {"scored": texts_for_pairs, "batch_size": preset.kl.batch_size}
beside = measures.beside_reinforce(by_name, earlier, base_scores, **counted)
beside["best reward at this KL (at least)"] = [possible.reward_at(bounds, kl) for kl in beside["KL"]]
display(beside.round(3))
cheap = (bounds[-1]["reward"] - scores_given[:, 0].mean().item()) / bounds[-1]["kl"]  # reward for a nat, at least
bought = {s["kl"]: s["reward"] - base_scores["reward"] for s in by_name.values()}
told = f"{cheap:.2f} a nat; DPO " + ", ".join(f"{gain:.2f} for {nats:.1f} nats" for nats, gain in bought.items())
sentence = "a nat of KL buys more reward from best-of-n than from any DPO policy"
claim("4_best_of_n_is_cheap", sentence, all(gain < cheap * nats for nats, gain in bought.items()), told)
free = [run for run in earlier if run.settings["alpha"] == 0]
if free:
    farthest, highest = (max(s[key] for s in by_name.values()) for key in ("kl", "reward"))
    reward, nats = (free[0].scores[key] for key in ("reward", "kl"))
    told = f"{reward:.2f} at {nats:.0f} nats; DPO at most {highest:.2f} and {farthest:.0f}"
    beyond = reward > highest and nats > farthest
    sentence = "REINFORCE without a fine has more reward than any DPO policy, at more KL"
    claim("4_no_fine_goes_farthest", sentence, beyond, told)
# %% [markdown]
# Before you say that one method is better, ask of each pair of rows: is the difference of the rewards larger than
# their half widths together? Are the lengths alike? Had one of them more feedback?
# And how many texts would best-of-n score to get there, for every answer that it gives?
# %% [markdown]
# **Five fixed prompts**, completed by up to four policies: the untouched reference, REINFORCE without a fine, REINFORCE
# with the fine whose KL is nearest to DPO's, and DPO at the first β. The number below each text is the reward.
# Read the texts before you look at the numbers.
# %% tags=["training"]
def five_samples(policy, prompts):
    """One completion for each prompt, drawn with a fixed seed, and its reward."""
    rollout = generate(policy, tokenizer, prompts, preset.new_tokens, generator=7)
    return rollout.completions, reward_model(rollout.texts).tolist()


fined = [run for run in earlier if run.settings["alpha"] > 0]
side_by_side = {}
if free:
    side_by_side["REINFORCE, α = 0"] = free[0]
if fined:
    nearest = min(fined, key=lambda run: abs(run.scores["kl"] - scores_by_beta[beta]["kl"]))
    side_by_side[f"REINFORCE + KL, {nearest.name}"] = nearest
some_run = next(iter(side_by_side.values()), None)
five_prompts = [sample["prompt"] for sample in some_run.samples[:5]] if some_run else evaluation_prompts[:5]
columns = {"reference": five_samples(reference, five_prompts)}
for name, run in side_by_side.items():
    columns[name] = (
        [sample["completion"] for sample in run.samples[:5]],
        [sample["reward"] for sample in run.samples[:5]],
    )
columns[f"DPO, β = {beta:g}"] = five_samples(policies[beta], five_prompts)
show_samples(
    {name: texts for name, (texts, _) in columns.items()},
    prompts=five_prompts,
    rewards={name: rewards for name, (_, rewards) in columns.items()},
)
# %% [markdown]
# ### DPO beside PPO, in words
#
# PPO (Schulman et al. 2017) is REINFORCE with more machinery: the clipped ratio of Part 3 that allows several updates
# on one batch, and mostly a **value function** as baseline, a network that learns to predict the reward still to come.
# For this comparison the two stand on the same side, the **online** side.
#
# | | online: PPO, REINFORCE, RLOO, GRPO | DPO |
# | --- | --- | --- |
# | signal while training | a reward for any text, at any time | fixed labels on fixed pairs |
# | data | fresh samples (online) of the policy as it is now (on-policy) | samples made once (offline), by the reference: off-policy after the first step |
# | models in memory | policy, reference, reward model, often a value function | policy; the reference's log-probs can be kept in a table |
# | cost of a step | dominated by sampling | one forward and backward pass, as in ordinary fine-tuning |
# | noise | a gradient estimated from samples; needs baselines, clipping, care | an ordinary supervised gradient |
# | can find | texts better than any in the data, and texts that fool the reward model | what the pairs show; little beyond |
# | KL control | the fine acts on what the policy really writes | β acts on the log-ratios of the pairs; texts in no pair are not watched |
# | known failures | reward hacking, collapse | overfitting to the pairs, chosen log-probs fall, labels' noise |
#
# In this notebook both had the same judge, so the comparison is about the *use* of its feedback.
#
# **Between the two columns** lies *online DPO* (Guo and others 2024): sample pairs from the policy as it is now, have
# them labelled, take a DPO step, and again. *Iterative DPO* does it in a few large rounds (section 4.9 runs one).
#
# **Rewards that can be checked.** A program passes its tests or not, a sum is right or wrong. Where a rule checks each
# answer exactly, there is no learned judge whose errors could be collected, and so the leash loses its main purpose:
# reinforcement learning with such *verifiable rewards* is often run with a KL weight of 0 (it is TRL's default for
# GRPO). Two purposes remain. A leash keeps variety and general abilities that the rule does not ask for. And a rule is
# exact only about what it checks: a policy that may edit the tests, or writes code for these test cases alone, has
# found a hole in a verifier as well.
# %% [markdown] q="w4_4"
# **Question 4.E.** (a) Compare the reward of your DPO policy (β = 0.1) with that of REINFORCE from
# Parts 2 and 3, at the end of training and at equal KL; look at KL per token, length and the texts scored, too.
# What explains the difference? (b) Describe the five completions of the DPO policy beside those of the reference and
# of REINFORCE without a fine.
# %% [markdown]
# (a) The tables hold the numbers. The line below the table says whether REINFORCE without a fine ends with the highest
# reward of all, and how much farther from the reference than DPO; in a usual run it does. At equal KL I compare the
# columns "reward" and "reward at equal KL"; a difference within the half widths says nothing. Where the lengths differ,
# equal KL per completion is not equal KL per token. The number of texts that were scored is not the same either: a
# lead may be bought with feedback.
# Three causes hold DPO back: it sees only pairs that the reference wrote, so it learns to prefer the better half of
# the reference's own texts and gets no feedback about texts it moves to; the weight of a pair falls as soon as the
# pair is settled, so training slows down by itself; and there are few pairs, seen again and again. REINFORCE samples
# anew all the time and follows the reward wherever it leads, also into the region where the reward model is wrong;
# whether it got there, the second reward model shows.
#
# (b) (As the five texts are in your run; what to look for:) Do the DPO completions keep the reference's style and
# variety? Are they more often kind than unkind, longer or shorter, do phrases come back? And REINFORCE without a fine:
# does it write praise whatever the prompt says, and do the same few words come back in every completion? I quote
# the words on which my answer rests.
#
# **Rubric**
# - 1 point: Reports the reward of the DPO policy beside REINFORCE's (own numbers or the recorded ones), at the end and
#   at equal KL, and says what equal KL leaves open (length, or texts scored).
# - 1 point: Explains the difference: fixed pairs of the reference's texts, weight falls as pairs are settled,
#   β keeps it near; REINFORCE keeps sampling and follows the reward wherever it leads.
# - 1 point: Describes the five DPO samples beside the reference's and REINFORCE's: style, tone, length, repetition.
# %% [markdown] q="w4_5"
# **Question 4.F.** Compare DPO with online methods such as PPO: what does each need,
# what are the advantages of each?
# Then choose one for each of these cases and give your reason: (i) you have 5,000 answers compared by people, one GPU
# and a week; (ii) you train a model to write programs that pass automatic tests. Would you use a KL fine in (ii)?
# %% [markdown]
# PPO is online and on-policy: it samples from the current policy at each step, scores the samples with a reward model,
# and estimates a policy gradient, usually with a value function as baseline and a KL penalty to the reference.
# It can use any reward, gets feedback on exactly the texts that it writes now,
# and can find texts better than any in the data. It is expensive (sampling dominates, several models are in memory),
# noisy, and has many settings that must be right; and it finds the holes of the reward model.
#
# DPO is offline: it does logistic regression on fixed pairs, which are off-policy once the policy has moved. It needs
# no reward model, no sampling and no value function, its gradient is an ordinary supervised one, and it runs like
# fine-tuning. It learns only from what is in the pairs, gets no feedback on texts to which it moves, can overfit, and
# depends on pairs that are near to what the policy writes.
#
# (i) DPO: the feedback consists of comparisons, it cannot be asked for more while training, and the means are small.
# (ii) An online method: the tests are a cheap and exact reward for any text, new texts must be found,
# and there is no need for preferences. There is no learned judge to fool, so the fine can be small or 0; I would keep a
# small one if variety matters, and look for programs that pass the tests without doing what is asked.
#
# **Rubric**
# - 1 point: Online against offline: what each needs (sampling, reward model, value function, memory), and the
#   advantages of each (simple, stable, cheap; feedback on new texts, any reward, KL on what is really written).
# - 1 point: A reasoned choice for each of the two cases.
# %% [markdown]
# ## 4.9 Optional: another loss, IPO, and a second round
#
# ### IPO
#
# DPO reads a pair as a vote that could have gone the other way: "chosen" wins with probability σ(βm), where $m$ is the
# pair's margin as in exercise 4.3. A pair that was labelled once has one vote. Its likelihood is the higher the larger
# the margin is, and highest at an **infinite** one. So on a fixed list of pairs DPO's loss has no minimum, and the KL
# in the objective it was derived from does not hold the policy back, however large β is.
#
# Azar and others (2023, [arXiv 2310.12036](https://arxiv.org/abs/2310.12036); optional reading) leave the logistic
# function out and ask for a **finite** margin. Their loss, *identity preference optimisation* or **IPO**, is
#
# $$\frac1B\sum \Big(m - \frac{1}{2\tau}\Big)^2.$$
#
# τ takes the place of β: the smaller it is, the farther the policy may move from the reference.
# Conservative DPO has a finite best margin as well. Set the derivative of its loss to 0:
# (1 − ε)·σ(−βm) = ε·σ(βm), so $m = \frac1\beta \ln\frac{1 - \varepsilon}{\varepsilon}$.
# %% [markdown] q="q4_7" level=1 optional=true
# **Exercise 4.7 · `compute_ipo_loss`**
#
# Given the same four tensors `[B]` of sequence log-probs as in exercise 4.3, return IPO's loss, a scalar: the mean over
# the pairs of the squared distance between the margin $m$ and the target 1/(2τ).
# No gradient may reach the reference's log-probs.
#
# <details><summary>Hint 1: what stays</summary>
#
# The margin is that of exercise 4.3, without β. The reference's log-probs are detached as there.
#
# </details>
# <details><summary>Hint 2: what is new</summary>
#
# Subtract the target from each pair's margin, square, and only then take the mean. A margin beyond the target costs as
# well.
#
# </details>
# %%
def compute_ipo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, tau):
    """The IPO loss of a batch of pairs (Azar et al. 2023, equation 17).

    Args:
        policy_chosen, policy_rejected: [B] log-probs of the completions under the policy.
        reference_chosen, reference_rejected: [B] the same under the reference.
        tau: above 0; the margin aimed at is 1 / (2 · tau).

    Returns:
        scalar.
    """
    # BEGIN SOLUTION
    margin = (policy_chosen - reference_chosen.detach()) - (policy_rejected - reference_rejected.detach())  # [B]
    return ((margin - 1 / (2 * tau)) ** 2).mean()
    # END SOLUTION
# %% points=0.25 success="The loss of three pairs is right."
def test_ipo_loss(compute_ipo_loss):
    four = [torch.tensor(values) for values in ([-12.0, -20.0, -9.0], [-15.0, -18.0, -11.5], [-13.0, -21.0, -10.0], [-14.0, -22.0, -11.0])]
    check(compute_ipo_loss(*four, 0.2), torch.tensor(10.5), {
        "the target is 1/(2τ), not 1/τ": 28.416667,
        "the target is 1/(2τ), not τ/2": 5.06,
        "the target is 1/(2τ), not 2τ": 5.11,
        "the target is 1/(2τ), not τ": 5.056667,
        "the target is missing: the margins themselves are squared": 5.083333,
        "the reference is missing from the margin": 6.833333,
        "chosen and rejected are swapped, or the target is added to the margin": 12.166667,
        "the reference's log-probs enter with the wrong sign, or chosen and rejected of the reference are swapped": 5.166667,
        "the policy is missing from the margin": 12.25,
        "the mean must come last: square the distances, not their mean": 5.444444,
        "this is the sum over the pairs; the definition takes the mean": 31.5,
        "one number for the batch is asked for: take the mean over the pairs": [0.25, 30.25, 1.0],
        "these are distances; their squares are asked for": 2.333333,
        "this is half the squared distance": 5.25,
        "this is the root of the mean squared distance": 3.240370,
        "the margin is scaled by τ: (τm − ½)² is another loss": 0.42,
        "this is the mean distance, with its sign; square it": -2.333333,
        "this is −ln σ of the margin, DPO's loss": 1.125645,
        "a margin above the target counts as well: the distance is squared on both sides": 10.333333,
    }, name="compute_ipo_loss", rtol=5e-5)
# %% points=0.25 success="Gradients go to the policy alone, and the loss pulls back a margin that is too large."
def test_ipo_gradients(compute_ipo_loss):
    tensors = [torch.tensor([value], requires_grad=True) for value in (-12.0, -15.0, -13.0, -14.0)]
    loss = compute_ipo_loss(*tensors, 0.5)  # margin 2, target 1
    assert isinstance(loss, torch.Tensor) and loss.requires_grad, "compute_ipo_loss: the loss carries no gradient; do not detach it or turn it into a float"
    check(loss, torch.tensor(1.0), {
        "a margin above the target counts as well: the distance is squared on both sides": 0.0,
    }, name="compute_ipo_loss of a margin above the target")
    loss.backward()
    for reference in tensors[2:]:
        assert reference.grad is None or not reference.grad.any(), "compute_ipo_loss: the reference carries a gradient; detach its log-probs"
    assert tensors[0].grad is not None and tensors[1].grad is not None, "compute_ipo_loss: no gradient reaches the policy's log-probs"
    check(tensors[0].grad, torch.tensor([2.0]), {
        "the gradient has the wrong sign": [-2.0],
    }, name="the gradient of compute_ipo_loss")
    zero = torch.zeros(1)
    check(compute_ipo_loss(torch.tensor([-2000.0]), zero, zero, zero, 0.5), torch.tensor(2001.0**2), {
        "the margin is clamped; it counts as it is": lambda got: bool(0 < got < 2000.0**2),
    }, name="compute_ipo_loss at a margin of -2000", ordinary=(loss, torch.tensor(1.0)))
# %% points=0 success="Gradients flow on both sides of the target, and arguments and dtypes are kept."
def test_ipo_rules(compute_ipo_loss):
    for chosen in (-2.0, -100.0):
        check_rules(compute_ipo_loss, torch.tensor([chosen]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-3.0]), 0.5, gradients=(0, 1))
# %% hidden={"values": 0.25, "gradients edges dtypes purity": 0.25}
# %% [markdown]
# **Where do the losses stop?** The next cell takes one pair and treats its margin as a number that may be moved freely.
# It follows the gradient of each loss for 3,000 steps, a few seconds in all.
# (The step sizes differ, as the slopes do: IPO's grows with the distance, DPO's is never above β.)
#
# *Predict first:* which of the three margins will have come to rest by then, and where?
# %%
nothing = torch.zeros(1)


def margins_reached(loss_of, step_size, looks=(30, 300, 3000)):
    """The margin after some numbers of steps along the gradient, from 0."""
    margin, reached = torch.zeros(1, requires_grad=True), []
    for step in range(1, max(looks) + 1):
        (slope,) = torch.autograd.grad(loss_of(margin), margin)
        margin = (margin - step_size * slope).detach().requires_grad_()
        if step in looks:
            reached.append(margin.item())
    return reached


smoothing, tau = 0.1, 0.05
followed = {
    "DPO": margins_reached(lambda m: compute_dpo_loss(m, nothing, nothing, nothing, beta)[0], 10.0),
    f"conservative DPO, ε = {smoothing}": margins_reached(
        lambda m: compute_dpo_loss(m, nothing, nothing, nothing, beta, label_smoothing=smoothing)[0], 10.0
    ),
    f"IPO, τ = {tau}": margins_reached(lambda m: compute_ipo_loss(m, nothing, nothing, nothing, tau), 0.01),
}
table = pd.DataFrame(followed, index=["after 30 steps", "after 300 steps", "after 3,000 steps"]).T
table["best margin"] = [math.inf, math.log((1 - smoothing) / smoothing) / beta, 1 / (2 * tau)]
table.round(1)
# %% [markdown]
# DPO's margin goes on growing, by about as much for every tenfold number of steps; the other two stop at their best
# margins. In training with many pairs the parameters are shared, so no pair can move as freely as this one.
# But the direction is the same: with DPO, the number of steps decides how far the policy goes, and not β alone.
# %% [markdown]
# ### A second round: iterative DPO
#
# The pairs are texts of the reference, and your policy has left it. So let it write new completions, have them scored,
# make pairs, and go on training where you stopped: **sample, relabel, train**. Such rounds are called *iterative DPO*
# (Xu and others 2023; Yuan and others 2024, where the model itself is the judge).
# The reference stays the one of the first round, so the KL is still counted from there, and the first loss is not ln 2.
#
# An experiment needs a control: the same start, the same number of pairs and steps, but with *old* pairs. Only then
# does a difference tell something about the new texts. *Predict first:* which of the two gets more reward, and which
# more KL?
# %% tags=["training"]
round_gap = min_gap / 3  # a trained policy's completions may score more alike, so a smaller gap is asked for
again_prompts = load_prompts(preset, "train")[: sizes.experiment_pairs]
sampling = (again_prompts, sizes.completions_per_prompt, preset.new_tokens)
second = sample_completions(policies[beta], tokenizer, reward_model, *sampling, seed=8, folder=kept_files)
new_pairs = pairs_from(second, make_preference_pairs(second.rewards, round_gap))
rounds = {"new pairs": new_pairs, "old pairs": train_pairs[: len(new_pairs)]}
round_rows = [{"policy": "first round", **scores_by_beta[beta], "texts scored": texts_for_pairs}]
if not new_pairs:
    print("no completions of one prompt differ by more than the gap: there is nothing to learn from")
    rounds = {}
go_on = functools.partial(train_dpo, beta=beta, start=policies[beta], **rarely)
trainings = {
    name: functools.partial(go_on, pairs, completion_log_probs(reference, pairs), name=f"second round, {name}")
    for name, pairs in rounds.items()
}
round_policies = {name: policy for name, (policy, _) in all_results(trainings, workers)}
for name, pairs in rounds.items():
    policy = round_policies[name]
    scored = texts_for_pairs + (len(again_prompts) * sizes.completions_per_prompt if name == "new pairs" else 0)
    round_rows.append({"policy": f"second round, {len(pairs)} {name}", **reward_and_kl(policy), "texts scored": scored})
if len(round_rows) == 3:
    before, fresh, again = (row["reward"] for row in round_rows)
    told = f"{before:.3f}, then {fresh:.3f} with new pairs and {again:.3f} with old ones"
    sentence = "a second round with new pairs ends with more reward than the first, and than one with old pairs"
    claim("4_second_round_pays", sentence, fresh > max(before, again), told)
display(pd.DataFrame(round_rows).set_index("policy").round(3))
# %% [markdown]
# Judge by more than the reward: is the difference larger than the half widths, does the second reward model agree, and
# what did it cost in KL, in length and in texts scored? With more rounds DPO becomes an online method, with the
# strengths *and* the dangers of one: it can improve on texts that were in no pair before, and it can follow the reward
# model wherever that is wrong.
# %% [markdown]
# ## 4.10 Optional: TRL beside your own
#
# This section is optional: it needs the library [TRL](https://huggingface.co/docs/trl) (a link for later;
# you need not open it now). Where TRL is missing, the cells say how to install it and go on.
#
# **What TRL is.** *TRL* (Transformer Reinforcement Learning) is Hugging Face's library of ready-made trainers
# for steering language models: `SFTTrainer` for ordinary fine-tuning, `RewardTrainer` for reward models, `DPOTrainer`
# for preferences, `RLOOTrainer` and `GRPOTrainer` for online learning from a reward function.
# They all build on the `Trainer` of `transformers`. You hand over four things: a **model**, a **data set** with fixed
# column names, a **configuration** object with all hyper-parameters, and the **tokenizer** (called `processing_class`);
# then you call `trainer.train()`. The loop, the optimizer, logging and several GPUs are its business.
#
# **What must be equal to compare.** A library brings habits of its own. To lay its losses over yours,
# each of these has to be made the same: start weights, pairs and their order, tokens, β, learning rate, optimizer.
# And these habits have to be switched off: a learning rate that falls, clipping of gradients, dropout, weight decay,
# shuffling, bfloat16. `plain_arguments` of the helpers does most of it.
# There is one more trap: TRL makes tokens from *text*, and puts an end-of-text token behind every completion, also
# where sampling was cut off at the length limit. So our collator hands over the very tokens of the pairs.
# %% tags=["training"]
from helpers.dpo.trl_beside import (
    logged,
    pairs_for_trl,
    plain_arguments,
    quietly,
    trained,
    trl_collator,
    trl_problem,
)

problem = trl_problem()
trl_pairs = train_pairs[: sizes.trl_steps * recipe.batch_size]
trl_batch = min(recipe.batch_size, len(trl_pairs))
if problem:
    print(problem)
else:
    from trl import DPOConfig, DPOTrainer

    # Your own training, on these pairs in this order.
    policy, optimizer = new_policy()
    own_losses = [
        dpo_step(policy, reference, optimizer, batch, beta)["loss"]
        for batch in pair_batches(trl_pairs, pad_id, trl_batch, device=device)
        if len(batch) == trl_batch
    ]

    # The same with TRL.
    with quietly():  # without notices of settings that are to be renamed
        configuration = DPOConfig(
            beta=beta,
            train_sampling_strategy="sequential",  # keep the order of the pairs
            disable_dropout=True,
            remove_unused_columns=False,  # our collator reads the column `number`
            **plain_arguments(trl_batch, recipe.learning_rate, len(own_losses), device),
        )
    trainer = trained(
        DPOTrainer,
        model=trainable_copy(reference, preset),
        ref_model=copy.deepcopy(reference),
        args=configuration,
        train_dataset=pairs_for_trl(trl_pairs),
        processing_class=tokenizer,
        data_collator=trl_collator(trl_pairs, pad_id),
    )
    trl_losses = logged(trainer, "loss")[: len(own_losses)]
    largest = max(abs(a - b) for a, b in zip(own_losses, trl_losses, strict=True))
    print(f"{len(own_losses)} steps; largest difference of the two losses: {largest:.1e} nats")
    assert largest < 2e-3, "the two trainings should agree to 0.002 nats"
    plots.show(figures.plot_overlay(own_losses, trl_losses, label="trl.DPOTrainer"))
# %% [markdown]
# Rounding errors remain,
# as the two programs add the same numbers in different orders. A stated tolerance of 0.002 nats holds for all steps.
# Your `dpo_step` *is* DPO, to the last digits that can be expected.
#
# **An online trainer on a handful of feedback signals.** `RLOOTrainer` is your REINFORCE of Part 2
# with the leave-one-out baseline, and a KL term as in Part 3. It samples several completions for each prompt,
# asks a **reward function** of yours for a number each, and makes one update. A reward function in TRL gets the prompts
# and the completions as lists of strings and returns a list of floats; anything can stand behind it, also a person.
# Here each number counts as one *feedback signal*. How far do a few hundred of them get us?
# %% tags=["training"]
signals = []  # every reward that was asked for


def feedback(prompts, completions, **others):
    """The reward function that TRL calls: P(positive) of prompt and completion together."""
    values = reward_model([p + c for p, c in zip(prompts, completions, strict=True)]).tolist()
    signals.extend(values)
    return values


if not problem:
    from datasets import Dataset
    from trl import RLOOConfig, RLOOTrainer

    # Prompts of equal length need no padding; TRL scores padded GPT-2 prompts at shifted positions.
    counted = [(prompt, len(tokenizer(prompt)["input_ids"])) for prompt in load_prompts(preset, "train")]
    usual = max({n for _, n in counted}, key=[n for _, n in counted].count)
    online_prompts = [prompt for prompt, n in counted if n == usual][: 8 * sizes.trl_steps]

    with quietly():
        configuration = RLOOConfig(
            num_generations=4,  # completions for each prompt; the other three are a completion's baseline
            max_completion_length=preset.new_tokens,
            beta=0.02,  # RLOO's weight of the KL: the α of Part 3, not DPO's β
            temperature=1.0,
            top_k=0,
            disable_dropout=True,
            **plain_arguments(16, preset.reinforce.learning_rate, sizes.trl_steps, device),
        )
    trainer = trained(
        RLOOTrainer,
        model=trainable_copy(reference, preset),
        reward_funcs=feedback,
        args=configuration,
        train_dataset=Dataset.from_dict({"prompt": online_prompts}),
        processing_class=tokenizer,
    )
    online_scores = reward_and_kl(trainer.model.eval())
    print(
        f"{len(signals)} feedback signals; reward {base_scores['reward']:.3f} → {online_scores['reward']:.3f}, "
        f"KL {online_scores['kl']:.1f} nats per completion"
    )
    print(
        f"for comparison, DPO at β = {beta:g}: {len(train_completions) * sizes.completions_per_prompt} scored texts, "
        f"reward {scores_by_beta[beta]['reward']:.3f}, KL {scores_by_beta[beta]['kl']:.1f}"
    )
# %% tags=["training"]
if not problem:
    plots.show(
        plots.plot_history(
            {"TRL's RLOO": logged(trainer, "reward")}, "reward", title="Reward of each batch, TRL's RLOO", window=5
        )
    )
    show_samples(
        {
            "reference": five_samples(reference, five_prompts)[0],
            "TRL's RLOO": five_samples(trainer.model.eval(), five_prompts)[0],
        },
        prompts=five_prompts,
    )
# %% [markdown]
# **What is alike and what differs from ordinary fine-tuning?**
# Ordinary (supervised) fine-tuning shows the model texts and makes each of their tokens more likely.
# Alike: the same model, the same optimizer, the same `Trainer`, log-probs of completion tokens, the prompt masked;
# even the gradient has the same form, a weighted sum of gradients of log-probs. Different:
#
# | | ordinary fine-tuning | DPO | RLOO and other online methods |
# | --- | --- | --- | --- |
# | the texts come from | people | pairs made beforehand | the model itself, while training |
# | the signal | "write this" | "this rather than that" | a number for each text |
# | weight of a text's gradient | always 1 | ±β σ(−β·margin) | its advantage, of either sign |
# | can a text become *less* likely? | only indirectly | yes, the rejected one | yes, every text below its baseline |
# | held near the start by | few steps, small learning rate | the reference in the loss | the KL fine |
# | feedback needed | whole good answers | comparisons | numbers; how far a few hundred moved our model is printed above |
# %% [markdown]
# **To think about** (no points; it can be answered without running TRL). What is alike and what differs
# between fine-tuning with DPO or RLOO and ordinary supervised fine-tuning? Which habits of a library's trainer
# must be switched off before its losses can be compared with yours, and what would each of them change?
#
# <details><summary>Answer</summary>
#
# Alike: all of them sum log-probs of completion tokens with the prompt masked, and follow gradients of these sums
# with the same optimizer, in the same training loop.
# Different: in ordinary fine-tuning the texts are given by people and each one is pushed up with weight 1.
# DPO has pairs and pushes one completion up and the other down, with a weight that falls once the pair is settled,
# relative to a reference. RLOO samples the texts itself and weights each by its advantage, which may be negative;
# a KL term holds it near the reference. How far some numbers of feedback move the reward is printed in the output.
#
# Habits: dropout, since TRL's trainer puts the model into train mode. With dropout, policy
# and reference give different log-probs at the start, so the first loss is not ln 2, and every run differs.
# A linearly falling learning rate (later steps are smaller), clipping of gradients (large steps are cut),
# an end-of-text token added to completions that were cut off (other log-probs).
#
# </details>
# %% [markdown]
# ## 4.11 What you take along, and what to read
#
# * The best policy under a KL fine is the reference times $e^{r/\beta}$.
#   Solved for the reward, it lets a policy speak as a reward model.
# * In a pair, the partition function cancels.
#   What is left is logistic regression on the difference of two log-ratios: **four log-probs per pair**.
# * Before the first step the loss is ln 2 and all implicit rewards are 0. Check it every time.
# * The loss sees differences only. Watch chosen and rejected log-probs apart, the test loss, and the length.
# * On samples of the reference, every policy that moves loses probability: the mean change is −KL(π_ref‖π).
# * Losses at different β are different rulers. Compare policies by reward, KL and by reading samples.
# * β is the price of a nat in the unit of the reward that the *labels* imply, and labels without doubt imply none.
# * DPO is simple, cheap and stable; online methods can ask about the texts they are about to write.
#   Neither removes the question of who judges.
#
# ### DPO's relatives, a sentence each
#
# * **Conservative DPO** (Mitchell 2023) takes each label to be wrong with probability ε, and so has a finite best
#   margin.
# * **IPO** (Azar and others 2023) asks for one finite margin, and does not need Bradley–Terry.
# * **KTO** (Ethayarajh and others 2024) learns from single texts that are marked good or bad, without pairs.
# * **R-DPO** (Park and others 2024) subtracts the difference in length within the margin.
# * **SimPO** (Meng and others 2024) compares means over tokens, asks for a least margin, and has no reference.
# * **Online and iterative DPO** (Guo and others 2024; Xu and others 2023) label fresh samples of the policy itself.
#
# ### Reading list (all optional)
#
# * Rafailov and others 2023, *Direct Preference Optimization*, [arXiv 2305.18290](https://arxiv.org/abs/2305.18290):
#   the method.
# * Azar and others 2023, *A General Theoretical Paradigm to Understand Learning from Human Preferences*,
#   [arXiv 2310.12036](https://arxiv.org/abs/2310.12036): why hard labels undo the leash; IPO.
# * Mitchell 2023, *A note on DPO with noisy preferences and relationship to IPO*: conservative DPO, two pages.
# * Razin and others 2024, *Unintentional Unalignment: Likelihood Displacement in Direct Preference Optimization*,
#   [arXiv 2410.08847](https://arxiv.org/abs/2410.08847): where the probability goes.
# * Park and others 2024, *Disentangling Length from Quality in Direct Preference Optimization*,
#   [arXiv 2403.19159](https://arxiv.org/abs/2403.19159): length.
# * Rafailov and others 2024, *Scaling Laws for Reward Model Overoptimization in Direct Alignment Algorithms*,
#   [arXiv 2406.02900](https://arxiv.org/abs/2406.02900): too far, too soon.
# * Meng and others 2024, *SimPO*, [arXiv 2405.14734](https://arxiv.org/abs/2405.14734); Ethayarajh and others 2024,
#   *KTO*, [arXiv 2402.01306](https://arxiv.org/abs/2402.01306).
# * Xu and others 2023, *Some things are more CRINGE than others*, [arXiv
#   2312.16682](https://arxiv.org/abs/2312.16682); Yuan and others 2024, *Self-Rewarding Language Models*, [arXiv
#   2401.10020](https://arxiv.org/abs/2401.10020); Guo and others 2024, *Direct Language Model Alignment from Online AI
#   Feedback*, [arXiv 2402.04792](https://arxiv.org/abs/2402.04792): more rounds.
#
# **Next:** Part 5 opens the model: which of its heads do what, and how one can tell.
