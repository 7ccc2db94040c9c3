# %% [markdown]
# # Part 3 · Staying close to the reference: KL regularisation
#
# In Part 2 nothing but the reward counted. The reward model is only a stand-in for what we want, and a policy
# that is free to go anywhere finds, sooner or later, the places where the stand-in is wrong:
# texts that the reward model likes and no reader does. This is called **reward hacking**.
#
# The usual remedy is a leash. We measure how far the policy has moved from the language model it started from,
# and we take a fine off the reward for the distance.
# The measure is the **KL divergence**, and the size of the fine is a number called **α** (alpha). In this part you will
#
# 1. learn what the KL divergence is, compute it exactly, and estimate it from samples;
# 2. put it into the reward, and train with α = 0 first to see what happens without it;
# 3. sweep α from nothing to far too much, and draw reward against distance: the **reward–KL frontier**;
# 4. compare every policy with the best that is possible at its price and at its distance;
# 5. use each batch of samples twice, with PPO's clipped loss and GRPO's group advantages;
# 6. optionally, let α change during training, by a schedule and by a controller.
#
# | section | what | computing on 2 cores |
# | --- | --- | --- |
# | 3.1 | the KL divergence from zero (exercise 3.1) | seconds |
# | 3.2 | estimating it from samples (exercise 3.2) | seconds |
# | 3.3 | a reward with a fine, and the most that can be had (exercises 3.3 to 3.5) | 1 min |
# | 3.4 | α = 0 first | 1.5 min |
# | 3.5 | the sweep | 3 min |
# | 3.6 | does the fine shorten texts? | seconds |
# | 3.7 | two epochs per batch: PPO and GRPO (exercises 3.6 to 3.8) | 1 min |
# | 3.8 | optional: α that changes (exercises 3.9 and 3.10) | 1.5 to 2 min |
# | 3.9 | in practice, questions, summary | |
#
# The times are those of the small models (preset `tiny`); with larger ones the progress bars say how long it takes.
#
# Words used as in the earlier parts: the **policy** π is the model we train;
# a **completion** is the text it writes after a prompt; a **log-prob** is the natural logarithm of a probability;
# the **advantage** of a completion says how much better than the others it was;
# the **reference** π_ref is a frozen copy of the model from before training. In Part 2 it only measured
# how far the policy had moved; in this part it holds the policy back.
#
# You need your functions of Part 2. Put your finished notebook `02_reinforce.ipynb` beside this one.
#
# As before, your functions leave their arguments as they are, and return tensors of their `dtype` and on their device
# (`torch.zeros_like(x)`, `device=x.device`), unless the exercise says otherwise.
# %%
# What this notebook uses. Each name is explained where it first occurs.
import copy
import math

import torch
import torch.nn.functional as F
from IPython.display import display

from helpers import concepts, plots
from helpers.data import load_prompts
from helpers.devices import choose_device, in_float64, run_seed, seed_everything
from helpers.display import show_page
from helpers.generation import generate
from helpers.kl import figures, possible, sweep
from helpers.models import load_policy, load_reward_model, policy_logits, trainable_copy
from helpers.notebook.carry import load_functions
from helpers.notebook.claims import claim
from helpers.notebook.start import headline
from helpers.presets import choose_preset
from helpers.runs import load_points, save_point, save_policy
from helpers.side_by_side import cores_for
from helpers.training import rollout_source, train
from helpers.widgets import frontier_choice

seed_everything(run_seed(0))
preset = choose_preset("auto")
device = choose_device()
# %% [markdown]
# **Sizes.** All that decides how long this notebook takes stands in the next cell. `quick = True` is the classroom
# setting: fewer and shorter runs in less than half the time. With half the steps the policies go less far,
# above all that of α = 0.
# %%
quick = False  # True: the classroom setting, less than half the time
sizes = preset.sizes("kl", quick=quick)  # to change one yourself: preset.sizes("kl", steps=40)
print(sizes)
# %% [markdown]
# **Models and prompts.** We load the policy once. It is the reference: nothing in this notebook trains this copy,
# and every run starts from a fresh copy of it. There are two reward models. The policy is trained on the first.
# The second one learned from other data and is never trained on; it is our witness.
# %%
reference, tokenizer = load_policy(preset, device)  # the frozen reference π_ref
reference.requires_grad_(False)
reward_model = load_reward_model(preset, device=device)
second_reward_model = load_reward_model(preset, second=True, device=device)
train_prompts = load_prompts(preset, "train")
test_prompts = load_prompts(preset, "test")[: sizes.held_out]
more_prompts = load_prompts(preset, "test")[
    sizes.held_out : 2 * sizes.held_out
]  # completed too where repeated bigrams are counted: they are rare
print(
    f"{sum(p.numel() for p in reference.parameters()) / 1e6:.1f} million parameters, "
    f"vocabulary of {reference.config.vocab_size} tokens"
)
# %% [markdown]
# **Your functions of Part 2.** The next cell takes two functions out of your own notebook of Part 2, and runs
# that part's public tests on them. `token_log_probs(logits, ids)` gives the log-prob of each next token,
# `reinforce_step` does one update from one batch of rollouts. If something is missing, the cell says what to do.
# A `reinforce_step` that is missing, or that does not learn, need not stop you: sections 3.4 and 3.5 say how to go on
# with the runs recorded with the course, from which Questions 3.A to 3.C can be answered.
# %%
token_log_probs, reinforce_step = load_functions("02_reinforce", ["token_log_probs", "reinforce_step"])
# %% [markdown]
# ## 3.1 The KL divergence
#
# ### A number for "how different"
#
# After each piece of text a language model gives a probability to every token of its vocabulary. Two models give two
# such lists. How different are they? The **Kullback–Leibler divergence**, KL for short, answers with one number:
#
# $$\mathrm{KL}(\pi \,\|\, \pi_\text{ref}) = \sum_{v} \pi(v) \, \big[\ln \pi(v) - \ln \pi_\text{ref}(v)\big].$$
#
# Read it from the inside out. For one token $v$, the bracket is the **log-ratio**: how much more probable the policy
# finds this token than the reference does. It is 0 if both agree, ln 2 ≈ 0.69 if the policy finds it twice as probable,
# and −0.69 if half as probable. The sum is the *average* log-ratio, over tokens drawn **from the policy**.
# The unit is the **nat**, because we take the natural logarithm (with base 2 it would be the bit; 1 nat is 1.44 bits).
#
# **By hand.** Three tokens, *good*, *bad*, *odd*:
#
# | | good | bad | odd |
# | --- | --- | --- | --- |
# | policy π | 0.50 | 0.25 | 0.25 |
# | reference π_ref | 0.25 | 0.50 | 0.25 |
# | log-ratio | +0.693 | −0.693 | 0 |
# | π × log-ratio | +0.347 | −0.173 | 0 |
#
# The sum is **0.173 nats**. Three facts about the KL divergence that we will use:
#
# - **It is never negative**, and it is 0 only if the two are the same.
#   Single terms can be negative, as you see; their sum cannot. (The negative terms belong to tokens
#   that the policy makes rarer, and exactly because it makes them rarer they weigh less.)
# - **It is not symmetric.** KL(π‖π_ref) and KL(π_ref‖π) are two different numbers.
#   The first is averaged over what the policy writes, the second over what the reference writes.
# - **It adds up along a text.** The KL of whole completions is the expected sum of the KLs at their positions.
#   So a KL of 12 nats over 24 tokens means half a nat at each token.
# %% [markdown] q="q3_1" level=2
# **Exercise 3.1 · `kl_divergence`**
#
# Compute the exact KL(π‖π_ref) at each position, over the whole vocabulary.
# Both inputs are logits, `[B, T, V]`; the result has shape `[B, T]`, one number of nats per position.
#
# - Logits can be as large as ±10,000.
#   Stay in log space: a softmax rounds small probabilities to 0, and the logarithm of 0 is −∞.
# - Gradients go to the policy's logits only. The reference is a fixed point.
# - A token that is `-inf` in the policy's logits (excluded, for instance, by top-k) has probability 0
#   and contributes 0. Careful: in floating-point numbers, 0 · ∞ is NaN.
#
# *Example:* the logarithms of the table above are valid logits; with them the result is `[[0.1733]]`.
#
# <details><summary>Hint 1: where does it break?</summary>
#
# The formula wants probabilities (the weights) and logarithms of probabilities (the log-ratio). Which of the two
# can be computed from the other without loss at logits of 10,000? Begin with that one, along the vocabulary.
#
# </details>
#
# <details><summary>Hint 2: the excluded token</summary>
#
# A token of probability 0 has the log-prob −∞, and its weight is 0: their product is NaN, in the value and in the
# gradient. So do not repair the product afterwards; replace the *log-ratio* there (`masked_fill`) before you multiply.
#
# </details>
#
# <details><summary>Hint 3: the gradient</summary>
#
# Two things carry a gradient: the weights and the log-ratio. Only the reference's logits are cut off, with `.detach()`.
#
# </details>
# %%
def kl_divergence(policy_logits, reference_logits):
    """Exact KL divergence of the next-token distributions, KL(policy || reference).

    Args:
        policy_logits: [B, T, V] logits of the policy; -inf excludes a token.
        reference_logits: [B, T, V] logits of the reference; no gradient flows to them.

    Returns:
        [B, T] nats at each position.
    """
    # BEGIN SOLUTION
    log_policy = F.log_softmax(policy_logits, dim=-1)  # [B, T, V]
    log_reference = F.log_softmax(reference_logits.detach(), dim=-1)  # [B, T, V]
    log_ratio = log_policy - log_reference  # [B, T, V]
    log_ratio = log_ratio.masked_fill(torch.isneginf(log_policy), 0.0)  # probability 0: contributes 0, not 0 · ∞
    return (log_policy.exp() * log_ratio).sum(dim=-1)  # [B, T]
    # END SOLUTION
# %% points=1.5 success="The divergence of two positions is right."
def test_kl_values(kl_divergence):
    policy = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 3.0]]])
    reference = torch.tensor([[[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    check(kl_divergence(policy, reference), torch.tensor([[0.69484, 0.73202]]), {
        "this is the KL the wrong way round, KL(reference || policy): average over the policy's probabilities": [[0.65721, 0.99631]],
        "the sign is wrong: the log-ratio is policy minus reference": [[-0.69484, -0.73202]],
        "the log-ratios are weighted by the reference's probabilities; the policy's are asked for": [[-0.65721, -0.99631]],
        "the log-ratios are added without a weight; each counts with the policy's probability": [[-0.63683, -2.98893]],
        "the log-ratios are averaged without a weight; each counts with the policy's probability": [[-0.21228, -0.99631]],
        "this is a mean over the vocabulary; the definition sums": [[0.23161, 0.24401]],
        "this is one number for everything, summed over tokens (and divided by the batch, if at all); return one per position, [B, T]": 1.42686,
        "this is one number, the mean over all positions; return one per position, [B, T]": 0.71343,
        "differences of raw logits: they must be turned into log-probs first (log_softmax)": [[1.24045, 2.72833]],
        "this is in bits (logarithm to base 2); the definition uses the natural logarithm": [[1.00244, 1.05608]],
        "this is the cross-entropy; the policy's own log-probs are missing": [[1.52724, 1.09861]],
        "both directions are added up; only KL(policy || reference) is asked for": [[1.35205, 1.72833]],
        "both directions are averaged; only KL(policy || reference) is asked for": [[0.67602, 0.86416]],
        "the softmax runs over the tokens (dim 1); the vocabulary is the last dimension": [[0.09259, 1.18407]],
        "this is not summed over the vocabulary; the result has the shape [B, T]": [[[0.96752, -0.13915, -0.13353], [-0.09039, -0.09039, 0.91280]]],
        "absolute values of the log-ratios: terms may be negative, only their sum may not": [[1.24020, 1.09358]],
        "this is the Jensen–Shannon divergence, a symmetric relative of KL": [[0.15575, 0.19321]],
    }, name="kl_divergence", dtype=torch.float32)
    even = torch.zeros(2, 3, 5)
    check(kl_divergence(even, even + 2.0), torch.zeros(2, 3), name="kl_divergence of two equal distributions")
# %% points=0.5 success="Large logits and excluded tokens do no harm."
def test_kl_extremes(kl_divergence):
    ordinary = (kl_divergence(torch.tensor([[[2.0, 0.0, 0.5], [1.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]])), [[0.846139, 0.364175]])
    large = kl_divergence(torch.tensor([[[1000.0, 0.0]]]), torch.tensor([[[0.0, 1000.0]]]))
    check(large, torch.tensor([[1000.0]]), {
        "large logits give NaN: the log of a softmax overflows or meets log 0; use log_softmax": [[float("nan")]],
        "large logits give infinity: a probability rounded to 0 meets a logarithm (torch.distributions does this too); use log_softmax": [[float("inf")]],
        "large logits give 0: exp overflows, and the NaN was turned into 0; use log_softmax": [[0.0]],
        "this is log(softmax + ε): a small constant inside the log, or a clamp, cuts large logits off; use log_softmax, which needs none":
            lambda got: bool((got > 0) & (got < 999)),
    }, name="kl_divergence", ordinary=ordinary)
    excluded = kl_divergence(torch.tensor([[[0.0, 0.0, -torch.inf]]]), torch.zeros(1, 1, 3))
    check(excluded, torch.tensor([[0.40547]]), {
        "a policy logit of -inf gives NaN: that token has probability 0 and must contribute 0 (0 · ∞ is NaN)": [[float("nan")]],
    }, name="kl_divergence", ordinary=ordinary)
# %% points=1 success="A gradient goes to the policy, and none to the reference."
def test_kl_gradient(kl_divergence):
    policy = torch.tensor([[[1.0, 0.0, -1.0]]], requires_grad=True)
    reference = torch.tensor([[[0.0, 0.0, 1.0]]], requires_grad=True)
    result = kl_divergence(policy, reference)
    assert isinstance(result, torch.Tensor), f"kl_divergence returned {result!r}: not written yet?"
    assert result.requires_grad, "kl_divergence: no gradient flows to the policy's logits (was the result detached?)"
    result.sum().backward()
    assert reference.grad is None or not reference.grad.any(), (
        "kl_divergence: the reference carries a gradient; detach its logits, it is a fixed point"
    )
    check(policy.grad, torch.tensor([[[0.34248, -0.11874, -0.22374]]]), {
        "the gradient is not complete: the policy's probabilities must carry it too, do not detach them": [[[0.0, 0.0, 0.0]]],
    }, name="the gradient of kl_divergence", ordinary=(result, [[0.629019]]))
# %% points=0 success="A token that both exclude contributes 0 to value and gradient, and all rules are kept."
def test_kl_rules(kl_divergence):
    policy, reference = torch.tensor([[[0.0, 1.0, -torch.inf]]]), torch.tensor([[[1.0, 0.0, -torch.inf]]])
    check(kl_divergence(policy.clone(), reference.clone()), torch.tensor([[0.46212]]), {
        "a token that policy and reference both exclude (-inf) gives NaN; it must contribute 0": [[float("nan")]],
    }, name="kl_divergence where both exclude a token", ordinary=(kl_divergence(policy[..., :2].clone(), reference[..., :2].clone()), [[0.46212]]))
    check_rules(kl_divergence, policy, reference)
# %% hidden={"values": 1.5, "gradients": 1, "edges dtypes purity": 0.5}
# %% [markdown]
# **Sanity check.** The first line is the table from above and must be 0.1733. The second and the third have another
# reference, and show the two directions: they must differ. (The table's own two directions happen to be equal,
# because its reference is its policy with two tokens exchanged.)
# %%
hand_policy = torch.tensor([[[0.50, 0.25, 0.25]]]).log()  # [1, 1, 3]; logarithms of probabilities are valid logits
hand_reference = torch.tensor([[[0.20, 0.55, 0.25]]]).log()
table_reference = torch.tensor([[[0.25, 0.50, 0.25]]]).log()
print("the table:              ", kl_divergence(hand_policy, table_reference))
print("another reference:      ", kl_divergence(hand_policy, hand_reference))
print("the other way round:    ", kl_divergence(hand_reference, hand_policy))
print("a model against itself: ", kl_divergence(hand_policy, hand_policy))
# %% [markdown]
# ### Forward and reverse, by picture
#
# The two directions do not only differ in number; they want different things.
# Suppose the reference knows two good ways to go on, two bumps. The policy can only make one bump (a bell curve).
# Which bell curve is closest? The next cell tries many bell curves and takes the best one for each direction.
# It uses **your** function: the "vocabulary" is a row of 401 points, and log-densities are the logits.
#
# <details><summary><b>Predict first:</b> one of the two directions sits on a single bump, the other spreads over both.
# Which is which? (click for the answer)</summary>
#
# KL(π‖π_ref) averages over what the *policy* does. It is expensive to go where the reference is nearly 0, and it costs
# little to leave out a bump. So this direction picks one bump: it is called **mode-seeking**, or the *reverse* KL.
# KL(π_ref‖π) averages over what the *reference* does. It is expensive to leave out anything the reference does,
# so the policy spreads over both bumps and over the valley between them: **mass-covering**, or the *forward* KL.
# </details>
# %%
points = torch.linspace(-5, 5, 401)  # [401] the "vocabulary"
two_bumps = torch.logaddexp(
    -((points + 2) ** 2) / (2 * 0.6**2), -((points - 2) ** 2) / (2 * 0.6**2)
)  # [401] log-density
centres, widths = torch.linspace(-3, 3, 61), torch.linspace(0.3, 3, 55)
bells = -((points - centres[:, None, None]) ** 2) / (
    2 * widths[None, :, None] ** 2
)  # [61, 55, 401]: every bell curve to try
best = {}
for name, distances in {
    "KL(π‖π_ref): seeks one bump": kl_divergence(bells, two_bumps.expand_as(bells)),  # [61, 55]
    "KL(π_ref‖π): covers both": kl_divergence(two_bumps.expand_as(bells), bells),
}.items():
    row, column = divmod(int(distances.argmin()), distances.shape[1])
    best[name] = bells[row, column].softmax(0).tolist()
plots.show(figures.plot_directions(points.tolist(), two_bumps.softmax(0).tolist(), best))
# %% [markdown]
# "Seeks one bump" is what the first direction does **if the policy cannot make two**, as a single bell curve cannot.
# A language model can make many bumps, and then this direction wants all of them: it is 0 only where the two are equal.
#
# We use the first direction, **KL(π‖π_ref)**, for two reasons. We can estimate it:
# it is an average over the policy's own samples, and those we have anyway.
# And it punishes what we want to punish. To see what that is, take the logarithm of the definition apart:
#
# $$\mathrm{KL}(\pi\|\pi_\text{ref}) = \underbrace{-H(\pi)}_{\text{too little variety}} \;+\; \underbrace{\mathbb{E}_{y\sim\pi}\big[-\ln\pi_\text{ref}(y)\big]}_{\text{too implausible}}, \qquad H(\pi) = -\sum_y \pi(y)\ln\pi(y).$$
#
# $H$ is the **entropy**, the variety of what the policy writes, in nats. So there are two ways to pay. A policy pays
# for texts that the reference finds implausible, and it pays **for narrowing down**: one that always writes the same
# sentence has entropy 0, and its KL is $-\ln\pi_\text{ref}$ of that sentence, however plausible the sentence is.
#
# **Predict first:** the reference knows 1,000 sentences, all equally probable. The policy keeps half of them,
# and writes those as before. How many nats does it pay? And if it keeps only one?
# %%
sentences = torch.zeros(1, 1, 1000)  # [1, 1, 1000] logits of a reference that finds 1,000 sentences equally probable
for kept in (1000, 500, 100, 10, 1):
    narrowed = sentences.masked_fill(torch.arange(1000) >= kept, -torch.inf)  # the policy writes the first ones only
    print(
        f"{kept:4d} of 1000 kept: KL {kl_divergence(narrowed, sentences).item():.2f} nats,"
        f" ln(1000 / {kept}) = {math.log(1000 / kept):.2f}"
    )
# %% [markdown]
# Every sentence that is left is exactly as plausible as before, and yet the policy pays: ln(1000/kept) nats.
# Half of the sentences cost ln 2 = 0.69, one sentence alone costs ln 1000 = 6.91.
# Keep this in mind when you look at samples later: a part of a large KL can be the price of lost variety.
# The entropy, which the tables show beside the KL, tells.
# %% [markdown]
# ## 3.2 Estimating the KL from samples
#
# The exact KL needs two tables of logits, `[B, T, V]`. For GPT-2 with 32 completions of 30 tokens each table has 32 ·
# 30 · 50,257 numbers, 193 MB. What training keeps anyway is far smaller: the log-prob of each *sampled* token under
# both models, `[B, T]`. Can we estimate the KL from those alone? Yes: the KL is an average over the policy's samples,
# so every sampled token is a small opinion poll. Write $d = \ln\pi(v) - \ln\pi_\text{ref}(v)$
# for the log-ratio of the sampled token, and $r = \pi_\text{ref}(v)/\pi(v) = e^{-d}$. Three estimates are in use:
#
# | name | formula | idea |
# | --- | --- | --- |
# | k1 | $d$ | the definition itself, one sample at a time |
# | k2 | $\tfrac12 d^2$ | never negative, and close to KL when the two models are close |
# | k3 | $(r - 1) - \ln r$ | k1 plus a correction whose average is exactly 0 |
#
# **Why k3 works.** $-\ln r$ is $d$, so k3 = k1 + (r − 1). The average of $r - 1$ over the policy's samples is
# $\sum_v \pi(v)\,\big(\pi_\text{ref}(v)/\pi(v) - 1\big) = \sum_v \pi_\text{ref}(v) - \sum_v \pi(v) = 1 - 1 = 0$.
# We have added something that is zero on average. So k3 has the right mean, as k1 has.
# It also swings in the opposite direction to k1: where $d$ is small or negative, $r - 1$ is large.
# So the sum swings less. This is the trick of the baseline in Part 2 once more;
# statisticians call it a **control variate**. And since $\ln r \le r - 1$ for all $r$, k3 is never negative.
# %% [markdown] q="q3_2" level=1
# **Exercise 3.2 · `kl_estimates`**
#
# Return a dict with the keys `"k1"`, `"k2"` and `"k3"`: the three estimates for each token, each of shape `[B, T]`,
# like the inputs. Nothing is summed or averaged here. Gradients may pass to both inputs.
#
# *Example:* for a token that the policy finds twice as probable as the reference, $d$ = 0.693 and $r$ = 0.5,
# so k1 = 0.693, k2 = 0.240 and k3 = −0.5 + 0.693 = 0.193.
#
# <details><summary>Hint 1: one difference</summary>
#
# All three are functions of one quantity, the log-ratio d. Compute it once. What is r in terms of d?
#
# </details>
#
# <details><summary>Hint 2: staying in log space</summary>
#
# The inputs are logarithms. Never take `exp` of one of them alone: at −9000 it is 0. Take `exp` of the difference only.
# `torch.expm1(x)` is exp(x) − 1, and exact for small x.
#
# </details>
# %%
def kl_estimates(log_probs, reference_log_probs):
    """Estimate KL(policy || reference) from tokens sampled from the policy, one estimate per token.

    Args:
        log_probs: [B, T] log-probs of the sampled tokens under the policy.
        reference_log_probs: [B, T] log-probs of the same tokens under the reference.

    Returns:
        dict of [B, T] tensors in nats: "k1" = log-ratio, "k2" = half its square, "k3" = (r - 1) - ln r.
    """
    # BEGIN SOLUTION
    log_ratio = log_probs - reference_log_probs  # [B, T]
    return {
        "k1": log_ratio,
        "k2": log_ratio.square() / 2,
        "k3": torch.expm1(-log_ratio) + log_ratio,  # expm1(x) is exp(x) - 1, precise for small x
    }
    # END SOLUTION
# %% points=1 success="The result is a dict with k1, k2 and k3, and k1 is right."
def test_estimates_k1(kl_estimates):
    got = kl_estimates(torch.tensor([[-1.0, -2.0, -0.5]]), torch.tensor([[-1.5, -1.0, -0.5]]))
    assert got is not None and got is not ..., "kl_estimates returned nothing: it is not written yet, or a `return` is missing"
    assert isinstance(got, dict), f"kl_estimates must return a dict with the keys k1, k2 and k3, not a {type(got).__name__}"
    missing = [key for key in ("k1", "k2", "k3") if key not in got]
    assert not missing, f"kl_estimates: the dict lacks {', '.join(missing)}; its keys must be k1, k2 and k3"
    check(got["k1"], torch.tensor([[0.5, -1.0, 0.0]]), {
        "the sign is wrong: k1 is the policy's log-prob minus the reference's": [[-0.5, 1.0, 0.0]],
        "k1 must not be made absolute: a negative value is part of what makes it unbiased": [[0.5, 1.0, 0.0]],
        "k1 must not be clamped at 0: a negative value is part of what makes it unbiased": [[0.5, 0.0, 0.0]],
        "the inputs are log-probs, not probabilities: do not take logarithms or quotients of them": [[-0.40547, 0.69315, 0.0]],
        "do not weigh with the policy's probability: the tokens were sampled from it, so the sample itself does that": [[0.18394, -0.13534, 0.0]],
        "this is summed; return one estimate per token, [B, T]": [-0.5],
        "this is averaged; return one estimate per token, [B, T]": -0.16667,
    }, name="kl_estimates, k1")
# %% points=1.5 success="The estimates k2 and k3 are right."
def test_estimates_k2_k3(kl_estimates):
    got = kl_estimates(torch.tensor([[-1.0, -2.0, -0.5]]), torch.tensor([[-1.5, -1.0, -0.5]]))
    assert isinstance(got, dict) and "k2" in got and "k3" in got, "kl_estimates must return a dict with the keys k1, k2 and k3"
    check(got["k2"], torch.tensor([[0.125, 0.5, 0.0]]), {
        "the half is missing: k2 is half the squared log-ratio": [[0.25, 1.0, 0.0]],
        "k2 and k3 are swapped": [[0.10653, 0.71828, 0.0]],
        "k2 is made of the log-ratio, not of the ratio": [[0.07741, 1.47625, 0.0]],
        "this is half the log-ratio; k2 is half its square": [[0.25, -0.5, 0.0]],
        "this is k1; k2 is half its square": [[0.5, -1.0, 0.0]],
        "k2 is the square of the log-ratio times a half: the half is squared as well here": [[0.0625, 0.25, 0.0]],
        "the log-probs are added; k2 is made of their difference": [[3.125, 4.5, 0.5]],
        "this is half the difference of the squares; take the square of the difference": [[-0.625, 1.5, 0.0]],
        "this is half the absolute log-ratio; k2 is half its square": [[0.25, 0.5, 0.0]],
    }, name="kl_estimates, k2")
    check(got["k3"], torch.tensor([[0.10653, 0.71828, 0.0]]), {
        "the ratio is upside down in k3: r is the reference's probability divided by the policy's": [[0.14872, 0.36788, 0.0]],
        "the ratio is upside down in k3, r is reference over policy": [[1.14872, -1.63212, 0.0]],
        "k3 lacks the minus 1: it is (r - 1) - ln r": [[1.10653, 1.71828, 1.0]],
        "in k3 ln r is subtracted, not added: it is (r - 1) - ln r": [[-0.89347, 2.71828, 0.0]],
        "k3 lacks the logarithm: it is (r - 1) - ln r": [[-0.39347, 1.71828, 0.0]],
        "this is r, the ratio; k3 is (r - 1) - ln r": [[0.60653, 2.71828, 1.0]],
        "this is r + 1 where r - 1 belongs: k3 is (r - 1) - ln r": [[2.10653, 2.71828, 2.0]],
        "this is (1 - r) - ln r; k3 is (r - 1) - ln r": [[0.89347, -2.71828, 0.0]],
        "this is k1; k3 is (r - 1) - ln r": [[0.5, -1.0, 0.0]],
        "this is r·ln r - (r - 1), with the ratio's own weight; k3 is (r - 1) - ln r": [[0.09020, 1.0, 0.0]],
        "k2 and k3 are swapped": [[0.125, 0.5, 0.0]],
    }, name="kl_estimates, k3")
# %% points=0 success="Log-probs of -9000 stay in log space, and arguments, dtypes and gradients are kept."
def test_estimates_rules(kl_estimates):
    check_rules(kl_estimates, torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]]))
    got, small = (kl_estimates(torch.tensor([[-1.0 - x]]), torch.tensor([[-2.0 - x]])) for x in (8999.0, 0.0))
    for key, right in {"k1": 1.0, "k2": 0.5, "k3": 0.36788}.items():
        check(got[key], torch.tensor([[right]]), {
            "log-probs of -9000 are clamped, or turned into probabilities, which are 0 there": lambda got: bool(got.isnan().any() or got.isinf().any() or not got.any()),
        }, name=f"kl_estimates, {key}, of log-probs of -9000", ordinary=(small[key], [[right]]))
# %% hidden={"values": 1.5, "gradients": 0.5, "edges dtypes purity": 0.5}
# %% [markdown]
# **Sanity check.** On the three-token table we can compute the *exact average* of each estimate, by weighing every
# token with its probability under the policy. k1 and k3 must give the exact KL, 0.1733. k2 is allowed to miss it.
# %%
every_token = kl_estimates(hand_policy[0], table_reference[0])  # {"k1": [1, 3], …}: all three tokens of the vocabulary
for name, values in every_token.items():
    print(
        f"{name}: values {[round(v, 3) for v in values[0].tolist()]}, average {(hand_policy[0].exp() * values).sum():.4f}"
    )
# %% [markdown]
# ### Bias and variance on real rollouts
#
# Now the same on real text. We need a policy that differs from the reference, before anything is trained. A simple one:
# the reference itself at another **temperature** τ. Dividing the logits by τ = 0.7 makes likely tokens likelier;
# dividing by 1.5 evens them out. Because we still have all the logits, we know the exact KL at each position, and,
# as in the sanity check, the exact mean and variance of each estimate.
#
# The **bias** of an estimate is its mean minus the truth.
# Its **standard deviation** says how far a single token's estimate typically lies from the mean.
# Averaging over $n$ tokens divides the standard deviation by $\sqrt n$, and leaves the bias as it is.
#
# The cell samples 64 completions at each of four temperatures, on both sides of 1. It takes some seconds.
#
# **Predict first:** which of k1 and k3 will spread less at τ = 0.9, near the reference? And at τ = 0.5, far from it?
# %%
def estimator_statistics(temperature, positions=300):
    """Bias and standard deviation of the estimates for the reference at another temperature, on its own rollouts.

    Returns: estimates on the sampled tokens {name: [N]}, exact KL [N], {name: (relative bias, relative std)}.
    """
    last = reference.get_output_embeddings()  # the layer that gives the logits
    divided = last.register_forward_hook(lambda layer, inputs, logits: logits / temperature)
    rollout = generate(reference, tokenizer, test_prompts[:64], preset.new_tokens, generator=0)
    divided.remove()  # from here on, the reference is itself again
    mask = rollout.completion_mask[:, 1:]  # [B, T-1]: the positions that were sampled
    with torch.no_grad():
        logits = policy_logits(reference, rollout.ids, rollout.attention_mask)  # [B, T, V]
    sampled = kl_estimates(
        token_log_probs(logits / temperature, rollout.ids)[mask][None],  # [1, N]
        token_log_probs(logits, rollout.ids)[mask][None],
    )
    some = in_float64(logits[:, :-1][mask][None, :positions])  # [1, n, V]: enough positions for the exact averages;
    # in float64, because the k3 of a word that the policy hardly ever draws can be too large for float32
    exact = kl_divergence(some / temperature, some)  # [1, n]
    log_policy, log_reference = (some / temperature).log_softmax(-1)[0], some.log_softmax(-1)[0]  # [n, V]
    weights = log_policy.exp()  # [n, V]
    statistics = {}
    for name, values in kl_estimates(log_policy, log_reference).items():  # [n, V]: the estimate of every token
        mean = (weights * values).sum(-1)  # [n]
        variance = (weights * values.square()).sum(-1) - mean.square()  # [n]
        statistics[name] = (
            ((mean - exact[0]).mean() / exact.mean()).item(),
            (variance.mean().clamp(min=0).sqrt() / exact.mean()).item(),
        )
    return {name: values[0] for name, values in sampled.items()}, exact[0], statistics
# %% tags=["training"]
results = {temperature: estimator_statistics(temperature) for temperature in (1.5, 0.9, 0.7, 0.5)}
sampled, exact, _ = results[0.7]
plots.show(
    figures.plot_estimators(
        {name: values.tolist() for name, values in sampled.items()},
        exact.mean().item(),
        {f"τ = {temperature}\nKL {kl.mean():.2f}": statistics for temperature, (_, kl, statistics) in results.items()},
    )
)
spread = {at: {name: std for name, (_, std) in found.items()} for at, (*_, found) in results.items()}
told = {at: f"k1 {std['k1']:.1f} and k3 {std['k3']:.1f} times the KL" for at, std in spread.items()}
near, far = spread[0.9], spread[0.5]
claim("3_k3_steady_near", "near the reference, at τ = 0.9, k3 spreads less than k1", near["k3"] < near["k1"], told[0.9])
claim("3_k3_wild_far", "far from it, at τ = 0.5, k3 spreads more than k1", far["k3"] > far["k1"], told[0.5])
bias = {at: abs(found["k2"][0]) for at, (*_, found) in results.items()}
told = ", ".join(f"{value:.2f} at τ = {at}" for at, value in bias.items())
claim(
    "3_k2_bias",
    "the bias of k2 is smallest where the models are nearest",
    min(bias, key=lambda at: bias[at]) == 0.9,
    told,
)
# %% [markdown]
# **What to look for.** Left (τ = 0.7): k1 lies on both sides of 0; k2 and k3 do not. Middle: k1 and k3 have no bias at
# any distance, as their proof says. k2 has one: compare it where the models are near (τ = 0.9) and where they are not.
# Right (note the logarithmic axis): compare k1 with k3 at τ = 0.9, where the spread of a single token's k1 is
# a large multiple of the KL itself, a small mean under a lot of noise. Then compare them at τ = 0.5.
# The lines below the plot say what it shows.
#
# **Why can k3 be wild far from the reference?** Because of the ratio $r$: for a token that the policy has made much
# rarer than the reference, $r$ is huge. Such a token is seldom sampled, but when it is, it alone moves the average.
#
# So k3 is a good *measure* near the reference, and a treacherous one far away. As a **fine on the reward** we will
# use k1: what we need there is the right average of its *gradient*, and section 3.3 shows that k1 gives it.
#
# ### When an estimate of the KL is negative
#
# Sooner or later a training log shows a negative KL, and somebody asks whether it is a bug. It depends:
#
# - **One token with negative k1** means only that the reference found this token more probable than the policy does.
#   It is normal.
# - **A batch whose mean k1 is a little below 0** is normal too when the true KL is small:
#   the mean of $n$ tokens has a standard error of std/$\sqrt n$. Compare the two before you worry.
# - **A mean k1 many standard errors below 0** is a bug.
#   The true KL cannot be negative, and k1 is unbiased, *if the samples come from the policy whose log-probs are used*.
#   So they did not. Common causes: sampling with top-k or a temperature and scoring without it,
#   dropout switched on in one of the two, padding that shifts positions, or rollouts that are some updates old.
#
# The next cell commits this bug on purpose: it takes tokens sampled from the *reference*, and scores them as
# if the policy (temperature 0.7) had written them. **Predict first:** what sign will the mean of k1 have then,
# and what sign the mean of k3?
# %% tags=["training"]
right, _, _ = results[0.7]
rollout = generate(reference, tokenizer, test_prompts[:64], preset.new_tokens, generator=0)  # not the policy's samples
mask = rollout.completion_mask[:, 1:]
with torch.no_grad():
    logits = policy_logits(reference, rollout.ids, rollout.attention_mask)
wrong = kl_estimates(token_log_probs(logits / 0.7, rollout.ids)[mask], token_log_probs(logits, rollout.ids)[mask])
away = []  # how many standard errors the mean k1 lies from 0
for name, values in {"samples of the policy": right, "samples of the wrong model": wrong}.items():
    k1, k3 = values["k1"], values["k3"]
    error = k1.std() / len(k1) ** 0.5
    away.append((k1.mean() / error).item())
    print(
        f"{name:27s} tokens with negative k1: {(k1 < 0).float().mean():.0%}   mean k1 {k1.mean():+.3f} ± {error:.3f}"
        f" ({away[-1]:+.1f} standard errors)   mean k3 {k3.mean():.3f}"
    )
claim(
    "3_wrong_samples_show", "the mean k1 lies at least 3 standard errors above 0 with the right samples, and below 0 with the wrong ones",
    away[0] > 3 and away[1] < -3, f"{away[0]:+.1f} and {away[1]:+.1f}",
)  # fmt: skip
# %% [markdown]
# Compare the first figure of each line, the share of tokens with a negative k1, with the mean. Single tokens below 0
# are no bug; a mean many standard errors below 0 is. Note that **k3 stays positive even then**: it cannot be negative,
# so it hides the bug, and its value is wrong. Log k1 beside k3.
# %% [markdown]
# ## 3.3 A reward with a fine
#
# ### The objective
#
# We now want two things at once: high reward, and a small distance from the reference.
# The objective weighs them against each other:
#
# $$J(\pi) = \mathbb{E}_{y\sim\pi}\big[\,r(y)\,\big] \;-\; \alpha\,\mathrm{KL}(\pi\|\pi_\text{ref}).$$
#
# **α is an exchange rate**: how much reward one nat of KL must buy.
# At α = 0.01, moving 10 nats away must raise the reward by at least 0.1, or it does not pay.
# Since our reward lies between 0 and 1, no policy can gain more than 1, so it never pays to go farther than 1/α nats.
#
# ### The fine is just another reward
#
# The KL is itself an average over the policy's completions:
# $\mathrm{KL}(\pi\|\pi_\text{ref}) = \mathbb{E}_{y\sim\pi}\big[\ln\pi(y) - \ln\pi_\text{ref}(y)\big]$.
# So both terms fit under one average,
#
# $$J(\pi) = \mathbb{E}_{y\sim\pi}\big[\underbrace{r(y) - \alpha\,(\ln\pi(y) - \ln\pi_\text{ref}(y))}_{R(y)}\big],$$
#
# and we get a **shaped reward** $R(y)$ for each completion.
# One thing is new: $R$ itself depends on the policy, through $\ln\pi(y)$. Must we take the gradient of that, too?
# Do it: the gradient of an average over π of something that depends on π has two parts,
#
# $$\nabla J = \mathbb{E}\big[R(y)\,\nabla\ln\pi(y)\big] + \mathbb{E}\big[\nabla R(y)\big], \qquad \mathbb{E}\big[\nabla R(y)\big] = -\alpha\,\mathbb{E}\big[\nabla\ln\pi(y)\big] = 0.$$
#
# The second part is zero, because the average of $\nabla\ln\pi$ is zero: that is the fact behind the baseline of
# Part 2. So **we treat R as a plain number, detached from the graph, and use REINFORCE as it is.**
# (What happens if one puts the fine into the loss instead, the cell after the next exercise shows.)
#
# The picture has the whole idea; its right half is your next exercise.
# %%
plots.show(concepts.draw_leash())
# %% [markdown]
# ### Which tokens count
#
# A rollout holds padding, the prompt, the completion, and more padding. Only the completion's tokens were chosen by the
# policy. The prompt was given; a policy cannot be praised or fined for it. So both sums, the one in the fine
# and the one in the loss, run over the completion's tokens only, and the mask says which they are.
# %% [markdown] q="q3_3" level=1
# **Exercise 3.3 · `kl_shaped_rewards`**
#
# Take the fine off the rewards: for each completion, the reward minus α times the **sum** of the log-ratios of its
# masked tokens. The result has shape `[B]` and carries no gradient.
#
# - `mask` is a bool tensor `[B, T]`, True on the tokens that count. What stands at the other positions must not matter.
# - Do not clamp or make anything absolute: a completion whose log-ratios sum to a negative number gets a bonus, and
#   that is right.
#
# *Example:* reward 1.0, α = 0.1, log-ratios (+1, −0.5, −2) with mask (1, 1, 0) give 1.0 − 0.1 · 0.5 = 0.95.
#
# <details><summary>Hint 1: the order of things</summary>
#
# Log-ratio of each token, then the mask, then the sum over the tokens of a completion, then α and the reward.
# Which of these has the shape `[B, T]`, which `[B]`?
#
# </details>
#
# <details><summary>Hint 2: masked positions</summary>
#
# What stands at a masked position may be anything. `masked_fill(~mask, 0.0)` puts a 0 there;
# a product with the mask does the same only as long as the number is finite.
#
# </details>
# %%
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    """Rewards minus a fine for moving away from the reference.

    Args:
        rewards: [B] one reward per completion.
        log_probs: [B, T] log-probs of the sampled tokens under the policy.
        reference_log_probs: [B, T] log-probs of the same tokens under the reference.
        mask: [B, T] bool, True on the completion's tokens.
        alpha: reward that one nat costs.

    Returns:
        [B] shaped rewards, detached.
    """
    # BEGIN SOLUTION
    log_ratio = (log_probs - reference_log_probs).masked_fill(~mask, 0.0)  # [B, T]
    return (rewards - alpha * log_ratio.sum(dim=1)).detach()  # [B]
    # END SOLUTION
# %% points=1.5 success="The fine of two completions is right."
def test_shaped_values(kl_shaped_rewards):
    rewards = torch.tensor([1.0, 0.5])
    log_probs = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, -3.0, -4.0]])
    reference_log_probs = torch.tensor([[-2.0, -1.5, -1.0], [-1.0, -1.0, -0.5]])
    mask = torch.tensor([[True, True, False], [False, True, False]])
    check(kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, 0.1), torch.tensor([0.95, 0.70]), {
        "the sign of the fine is wrong: moving away from the reference must cost reward": [1.05, 0.30],
        "the mask is ignored: only the tokens with mask True count": [1.15, 1.0],
        "the mask is the wrong way round: True marks the tokens that count": [1.2, 0.8],
        "this is a mean over the masked tokens; the definition sums": [0.975, 0.70],
        "this is a mean over all tokens; the definition sums": [0.98333, 0.56667],
        "this uses k3; the fine uses the log-ratio itself (k1)": [0.94834, 0.06109],
        "this uses k2; the fine uses the log-ratio itself (k1)": [0.9375, 0.30],
        "alpha is not used": [0.5, 2.5],
        "divided by alpha; the fine is alpha times the sum": [-4.0, 20.5],
        "the fine is the batch's mean; each completion pays its own": [1.075, 0.575],
        "the fine is the batch's sum; each completion pays its own": [1.15, 0.65],
        "only the fine is returned; the reward itself is missing": [-0.05, 0.20],
        "the reward must not be multiplied by (1 - alpha)": [0.85, 0.65],
        "absolute values: a negative log-ratio lowers the fine, and that is right": [0.85, 0.30],
        "the absolute value of the sum: a completion may earn a bonus": [0.95, 0.30],
        "negative sums are cut off at 0; a completion may earn a bonus": [0.95, 0.50],
        "negative log-ratios are cut off at 0; they must count": [0.90, 0.50],
        "the reference is missing: the fine is about log-prob minus the reference's log-prob": [1.3, 0.80],
        "the reward counts once for each completion, not once for each token": [1.95, 0.70],
        "probabilities instead of log-probs": [0.98553, 0.53181],
        "this has one number per token; return one per completion, [B]": [[0.9, 1.05, 1.0], [0.5, 0.7, 0.5]],
    }, name="kl_shaped_rewards", dtype=torch.float32)
# %% points=0.5 success="No gradient flows, and alpha = 0 leaves the rewards as they are."
def test_shaped_detached(kl_shaped_rewards):
    log_probs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    reference_log_probs = torch.tensor([[-2.0, -1.5]], requires_grad=True)
    rewards = torch.tensor([0.25], requires_grad=True)
    mask = torch.tensor([[True, True]])
    shaped = kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, 1.0)
    got = kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, 0)
    check(shaped, torch.tensor([-0.25]), name="kl_shaped_rewards")
    check(got, torch.tensor([0.25]), {"alpha = 0 must leave the rewards as they are": [-0.25]}, name="kl_shaped_rewards")
    assert not got.requires_grad, (
        "kl_shaped_rewards: the result carries a gradient; detach it. REINFORCE treats the shaped reward as a plain number"
    )
# %% points=0 success="Rewards below 0 and log-probs of -9000 count in full, and arguments and dtypes are kept."
def test_shaped_rules(kl_shaped_rewards):
    mask = torch.tensor([[True, True]])
    small = kl_shaped_rewards(torch.tensor([1.0]), torch.tensor([[-3.0, -1.0]]), torch.tensor([[-4.0, -1.5]]), mask, 0.5)
    check(kl_shaped_rewards(torch.tensor([-1.0]), torch.tensor([[-9000.0, -1.0]]), torch.tensor([[-9001.0, -1.5]]), mask, 0.5), torch.tensor([-1.75]), {
        "rewards below 0 are taken for 0; they may be negative": [-0.75],
        "log-probs of -9000 are cut off; they count as they are": [-1.25],
    }, name="kl_shaped_rewards", ordinary=(small, [0.25]))
    check_rules(kl_shaped_rewards, torch.tensor([-1.0]), torch.tensor([[-2.0, -1.0]]), torch.tensor([[-3.0, -1.5]]), mask, 0.5, gradients=())
# %% hidden={"values": 2, "edges dtypes purity": 0.5, "gradients values": 0.5}
# %% [markdown]
# **Sanity check.** The same completion under a rising α.
# At α = 0 the reward is untouched; at α = 2 a log-ratio of 0.5 nats eats it up.
# %%
one_reward, one_mask = torch.tensor([1.0]), torch.tensor([[True, True, False]])
one_policy, one_reference = torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[-2.0, -1.5, -1.0]])
for alpha in (0.0, 0.1, 1.0, 2.0):
    print(f"α = {alpha}: {kl_shaped_rewards(one_reward, one_policy, one_reference, one_mask, alpha).item():.2f}")
# %% [markdown]
# ### The fine in the reward, and the fine in the loss
#
# Some programs do not touch the reward. They add an estimate of the KL to the *loss* and let the gradient flow
# through the log-probs in it. Is that the same? On the three-token table we need not sample: every average is a sum
# over three tokens, and autograd gives the exact mean gradient to the logits. For an estimate $k$ there are two
# recipes:
#
# - **in the reward**: $k$ is a plain number, as in exercise 3.3, and the mean gradient is
#   $\mathbb{E}\big[k\,\nabla\ln\pi(v)\big]$;
# - **in the loss**: one differentiates $k$ itself, at the sampled tokens, and the mean gradient is
#   $\mathbb{E}\big[\nabla k\big]$.
#
# **Predict first:** there are six combinations. Which of them give the gradient of KL(π‖π_ref), the leash that we want?
# %%
theta = hand_policy[0].clone().requires_grad_(True)  # [1, 3] logits of the policy
table_log_probs = theta.log_softmax(-1)  # [1, 3]
chance = table_log_probs.exp().detach()  # [1, 3] how often each token is sampled
table_k = kl_estimates(table_log_probs, table_reference[0])  # {"k1": [1, 3], …} with gradients


def mean_gradient(of_token):
    """The gradient to the logits of the mean over sampled tokens, exact; `of_token` is [1, 3]."""
    return torch.autograd.grad((chance * of_token).sum(), theta, retain_graph=True)[0][0]  # [3]


in_reward = {name: mean_gradient(k.detach() * table_log_probs) for name, k in table_k.items()}
in_loss = {name: mean_gradient(k) for name, k in table_k.items()}
both_ways = table_reference[0].exp() * (table_reference[0] - table_log_probs)  # [1, 3] the terms of KL(π_ref‖π)
wanted = {
    "KL(π‖π_ref)": torch.autograd.grad(kl_divergence(theta[None], table_reference).sum(), theta)[0][0],
    "KL(π_ref‖π)": torch.autograd.grad(both_ways.sum(), theta, retain_graph=True)[0][0],
    "nothing: it is 0": torch.zeros(3),
}
shown = {f"{k} in the reward": gradient for k, gradient in in_reward.items()}
shown |= {f"{k} in the loss": gradient for k, gradient in in_loss.items()}
shown["k3 in both"] = in_reward["k3"] + in_loss["k3"]
for name, gradient in shown.items():
    what = [of for of, right in wanted.items() if torch.allclose(gradient, right, atol=1e-5)]
    numbers = "  ".join(f"{value:+.4f}" for value in gradient)
    print(f"{name:17s} {numbers}   the gradient of {what[0] if what else 'neither KL'}")
# %% [markdown]
# - **k1 in the reward** is exact: that is exercise 3.3.
# - **k1 in the loss** has the mean gradient 0. One adds pure noise and no leash at all: $\nabla k_1 = \nabla\ln\pi$,
#   whose average is 0.
# - **k2 in the loss** is right, although k2 is a biased *estimate*: $\nabla k_2 = k_1\,\nabla\ln\pi$,
#   the very term that k1 in the reward gives.
# - **k3 in the loss** pulls towards the *other* KL, KL(π_ref‖π), although k3 is an unbiased estimate of this one.
#   Near the reference the two hardly differ; far from it they want different things, as the two bumps have shown.
# - **k2 and k3 in the reward** give the gradient of neither. But k3 in *both* is right again: the two wrong gradients
#   add up to the one that is wanted. (As one term of a loss this is ρ·k3, with the gradient of both factors;
#   ρ is the ratio that section 3.7 explains, equal to 1 in value here.)
#
# **An unbiased estimate need not have an unbiased gradient.** Names to look up: GRPO (section 3.7) as published
# (Shao et al. 2024) has k3 in the loss. DeepSeek-V3.2 (2025, arXiv 2512.02556) multiplies it by the ratio,
# and so does the library TRL, where the setting is called `use_bias_correction_kl`.
# *A Comedy of Estimators* (2025, arXiv 2512.21852) goes through all combinations.
# And several libraries have had k1 in the loss for a while, and nobody saw that the leash was missing.
# %% [markdown]
# **One fine for the text, or one for each token?** $R(y)$ is one number, so each token is held responsible for the
# log-ratios of *all* tokens of its completion. Those that came before it, it cannot have caused. Question 2.B proved
# that rewards of the past may be left out: it is enough to weigh a token by the log-ratios from its own place on.
# The mean gradient is the same, and as a rule less noisy. Programs for PPO with language models mostly do so: the fine
# is a reward at each token, and the reward model's verdict comes on top at the last one. We keep the sum, as RLOO does:
# then your `reinforce_step` serves as it is. The price is noise, and sections 3.5 and 3.6 come back to noise.
# %% [markdown]
# ### What is the most that can be had?
#
# Before we train, we ask what the *best* policy for a given α would earn. Its formula is known. Write
#
# $$\pi^*(y) = \frac1Z\,\pi_\text{ref}(y)\,e^{r(y)/\alpha}, \qquad Z = \mathbb{E}_{y\sim\pi_\text{ref}}\big[e^{r(y)/\alpha}\big].$$
#
# This is the reference, each text weighted by $e^{r/\alpha}$; Z makes the probabilities add up to 1. Solve for the
# reward, $r(y) = \alpha\ln Z + \alpha\,(\ln\pi^*(y) - \ln\pi_\text{ref}(y))$, and put it into the objective:
#
# $$J(\pi) = \alpha\ln Z \;-\; \alpha\,\mathrm{KL}(\pi\|\pi^*).$$
#
# The first term is the same for all policies, and the second is a fine for not being π\*.
# So **π\* is the optimum and earns α·ln Z**, and what another policy lacks is α times its KL to π\*.
# For every α, however large, π\* is at least as good as the reference, and better unless all texts earn the same:
# some change always pays.
# %% [markdown]
# **One sampling pass shows it for all α.** Let the reference write K completions for a prompt, judge them, and take
# one of them with probability $w_k = e^{r_k/\alpha} / \sum_j e^{r_j/\alpha}$. (Weights that are divided by their sum
# are called *self-normalised*.) For large K the text that one gets is a draw from π\*. Its mean reward is
# $\sum_k w_k r_k$, and its KL is at most $\sum_k w_k \ln(K w_k)$, the KL of the weights to equal weights.
#
# With a finite K it is still a policy that one could use (*soft best-of-n*, Verdun et al. 2025), with that
# reward and no more than that KL. So what we are going to draw is possible, and π\* is as good or better.
#
# The next cell takes K = 16 completions for each of some held-out prompts. It takes about a minute.
# %% tags=["training"]
judges = {"reward": reward_model, "second_reward": second_reward_model}
drawn = possible.draw(
    reference, tokenizer, test_prompts[: sizes.best_of_prompts], judges,
    each=16, new_tokens=preset.new_tokens, batch_size=preset.evaluation_batch_size,
)  # fmt: skip
optima = possible.optima(drawn, {*possible.ALPHAS, *sizes.alphas})
for point in optima:
    print(
        f"α = {point['alpha']:<5g} reward {point['reward']:.3f} ± {point['half_width']:.3f}   KL {point['kl']:.3f}   "
        f"J {point['objective']:.3f}   length {point['length']:.1f}   counts like {point['effective']:.1f} completions"
    )
# %% [markdown]
# The last column is $1/\sum_k w_k^2$, averaged over the prompts: where few of the 16 completions carry the weight,
# more of them would show that still more can be had.
#
# ### Best of n
#
# There is a still simpler way to more reward without any training: for each prompt let the reference write n
# completions and keep the one with the highest reward. This is **best-of-n sampling**, and it changes the distribution
# of the texts just as training does, so that it has a KL to the reference as well. It is at most
#
# $$\text{KL}_n \le \ln n - \frac{n-1}{n}$$
#
# (a proof is in Beirami et al. 2024, arXiv 2401.01879). It is the usual yardstick: Gao et al. (2022, arXiv 2210.10760)
# compare it with reinforcement learning at the same KL.
#
# **The same pass is enough for every n.** For n ≤ K, every choice of n out of
# the K is a fair sample of n completions. The mean of their maxima, over *all* such choices,
# estimates what best-of-n earns. There is no need to list the choices.
# Sort the K rewards of a prompt: $r_{(1)} \le r_{(2)} \le \dots \le r_{(K)}$.
# The maximum of a choice is $r_{(i)}$ if $i$ is in it and the other n − 1 come from the i − 1 below.
# That happens in $\binom{i-1}{n-1}$ of the $\binom{K}{n}$ choices.
#
# **A small example.** One prompt with the rewards (0, ½, 1) and n = 2. The three choices have the maxima ½, 1 and 1,
# so best-of-2 earns 5/6. By the formula:
# $\big(\binom01 \cdot 0 + \binom11 \cdot ½ + \binom21 \cdot 1\big) / \binom32 = (0 + ½ + 2)/3$.
# %% [markdown] q="q3_4" level=3
# **Exercise 3.4 · `best_of_n`**
#
# - `rewards` has shape `[P, K]`: for each of P prompts, the rewards of K completions.
# - Return the mean over the prompts of the expected maximum of n of a prompt's K rewards, drawn without replacement,
#   as a Python float. Compute it in float64.
# - If `n` is smaller than 1 or larger than K, raise a `ValueError`.
#
# `math.comb(i, j)` is the binomial coefficient, and it is 0 if j is larger than i.
#
# <details><summary>Hint 1: who is the maximum?</summary>
#
# Sort one prompt's rewards. For the i-th smallest to be the maximum of a choice, where must the other n − 1 come from?
# Count these choices for the example (0, ½, 1) and n = 2 by hand.
#
# </details>
#
# <details><summary>Hint 2: indices from 0</summary>
#
# In Python the sorted rewards have the places 0 to K − 1, and at place i there are i smaller ones below.
# So the weight is `math.comb(i, n - 1) / math.comb(K, n)`. The weights of a prompt add up to 1: check that.
#
# </details>
# %%
def best_of_n(rewards, n):
    """The reward that best-of-n sampling gets on average, from K completions of each prompt.

    Args:
        rewards: [P, K].
        n: how many completions the best is chosen from, 1 to K.

    Returns:
        float.

    Raises:
        ValueError: there are not that many completions.
    """
    # BEGIN SOLUTION
    completions = rewards.shape[1]
    if not 1 <= n <= completions:
        raise ValueError(f"n is {n}; it must lie between 1 and the {completions} completions of a prompt")
    ordered = rewards.double().sort(dim=1).values  # [P, K]
    ways = ordered.new_tensor([math.comb(i, n - 1) for i in range(completions)])  # [K]
    return (ordered @ ways / math.comb(completions, n)).mean().item()
    # END SOLUTION
# %% points=1 success="The expected maximum of two is right: over all choices, for each prompt by itself."
def test_best_of_two(best_of_n):
    rewards = torch.tensor([[0.1, 0.25, 0.75, 0.7], [0.0, 0.3, 0.8, 0.75]])
    got = best_of_n(rewards, 2)
    check(got, 0.675, {
        "only the first n completions are looked at; average over all choices of n": 0.275,
        "a completion may be drawn twice here; draw without replacement": 0.620313,
        "this is the maximum of all K; take n of them": 0.775,
        "this is the mean reward, which is best-of-1": 0.45625,
        "only neighbouring blocks of n are looked at; average over all choices of n": 0.525,
        "this is the expected minimum: the sort goes the wrong way": 0.2375,
        "this is the mean of the n largest; the maximum of n drawn ones is asked for": 0.75,
        "the prompts are thrown together; take the best for each prompt by itself": 0.648214,
        "this is the n-th largest; the maximum of n drawn ones is asked for": 0.725,
        "the best is taken among the prompts; take it among a prompt's completions, dim=1": 0.4875,
        "one number is asked for: the mean over the prompts": [0.65, 0.7],
    }, name="best_of_n", rtol=1e-5)
    assert is_float(got), f"best_of_n: a Python float is asked for, got a {type(got).__name__}; use .item()"
# %% points=0.5 success="Best-of-1 is the mean, best-of-K the maximum, and an n outside raises a ValueError."
def test_best_of_borders(best_of_n):
    rewards = torch.tensor([[-3.0, -1.0, -2.0]])
    check(best_of_n(rewards, 1), -2.0, {
        "best-of-1 is the mean of all K, not the first reward": -3.0,
        "best-of-1 is the mean of all K, not their maximum": -1.0,
        "rewards below 0 keep their sign": lambda got: bool(got >= 0),
    }, name="best_of_n with n = 1", ordinary=(best_of_n(torch.tensor([[0.0, 0.5, 1.0]]), 2), 0.833333))
    check(best_of_n(rewards, 3), -1.0, {
        "best-of-K is the maximum; rewards below 0 keep their sign": lambda got: bool(got >= 0),
    }, name="best_of_n with n = K", ordinary=(best_of_n(torch.tensor([[0.0, 0.5, 1.0]]), 2), 0.833333))
    for n in (0, 4):
        with must_raise(ValueError, f"best_of_n: n = {n} of 3 completions"):
            best_of_n(rewards, n)
# %% points=0 success="The sum is made in float64, and the rewards are not changed."
def test_best_of_rules(best_of_n):
    close = torch.tensor([[1.0, 1.0 + 2**-20]])
    check(best_of_n(close, 2), 1.0 + 2**-20, {
        "nearly equal rewards are thrown together or rounded: compute in float64": 1.0,
    }, name="best_of_n of rewards that nearly tie", rtol=1e-8, atol=1e-8, ordinary=(best_of_n(torch.tensor([[0.0, 0.5]]), 2), 0.5))
    check_rules(best_of_n, torch.tensor([[1.0, 0.25, 0.5], [0.0, 2.0, 1.0]]), 2, gradients=None)
# %% hidden={"values errors": 1, "edges dtypes purity": 0.5}
# %% [markdown] q="q3_5" level=1
# **Exercise 3.5 · `best_of_n_kl`.** Return the bound $\ln n - (n-1)/n$ as a Python float, in nats.
#
# <details><summary>Hint 1: which logarithm?</summary>
#
# Nats are counted with the natural logarithm, `math.log`. Check n = 1: choosing from one changes nothing,
# so the result must be 0.
#
# </details>
# %%
def best_of_n_kl(n):
    """An upper bound on the KL of best-of-n sampling to the policy that it samples from.

    Args:
        n: how many completions the best is chosen from, at least 1.

    Returns:
        float, in nats.
    """
    # BEGIN SOLUTION
    return math.log(n) - (n - 1) / n
    # END SOLUTION
# %% points=0.5 success="The bound is right for 1, 2 and 8 completions."
def test_best_of_kl(best_of_n_kl):
    check(best_of_n_kl(8), 1.204442, {
        "the second term is missing: (n − 1)/n": 2.079442,
        "the logarithm is to the base 2; nats need the natural one": 2.125000,
        "the logarithm is to the base 10; nats need the natural one": 0.028090,
        "1/n is subtracted; it is (n − 1)/n": 1.954442,
        "the second term is added; subtract it": 2.954442,
        "n − 1 is not divided by n": -4.920558,
        "the second term is upside down: (n − 1)/n": 0.936584,
        "the sign is turned round: a KL is not negative": -1.204442,
    }, name="best_of_n_kl(8)", rtol=1e-5)
    check((best_of_n_kl(1), best_of_n_kl(2)), (0.0, 0.193147), name="best_of_n_kl of 1 and of 2", rtol=1e-5, atol=1e-6)
    got = best_of_n_kl(4)
    assert is_float(got), f"best_of_n_kl: a Python float is asked for, got a {type(got).__name__}"
# %% hidden={"values edges": 0.5}
# %% [markdown]
# **What is possible.** The next plot has both curves: the optimum for many values of α, and best-of-n for n up to 16.
# The bands are 95 % intervals over the prompts. The axis is logarithmic from a tenth of a nat on.
# Every frontier of this part, and Part 4's, can be held against these curves.
#
# **Predict first:** from the list above take the reward of the untuned policy (about that of the largest α).
# How much of what it lacks to 1 will the best of two completions bring, and the best of sixteen?
# %% tags=["training"]
best_of = []
for n in (1, 2, 4, 8, 16):
    each_prompt = torch.tensor([best_of_n(rewards[None], n) for rewards in drawn["reward"]])  # [P]
    half_width = possible.over_prompts(each_prompt, "reward", "half_width")["half_width"]
    best_of.append(
        {
            "name": f"best of {n}",
            "kl": best_of_n_kl(n),
            "reward": best_of_n(drawn["reward"], n),
            "half_width": half_width,
            "method": possible.BEST_OF_N,
        }
    )
bounds = [*optima, *best_of]
for point in bounds:
    save_point(**point)  # kept in runs/frontier.json, for Part 4
plots.show(figures.plot_frontier([], bounds, title="What is possible without training"))
short = max(possible.reward_at(optima, point["kl"]) - point["reward"] for point in best_of)
claim("3_best_of_n_is_near", "best-of-n earns at most 0.1 less than the optimum's curve at its KL", short < 0.1, short)
# %% [markdown]
# **What to look for.** Read the nats off the axis: the first tenth of a nat buys more than any later one.
# On the optimum's curve one more nat buys exactly the α of that point: that is why one stops there.
# And best-of-n, which knows nothing of α: how close to the optimum does it lie?
# %% [markdown]
# ### The training step
#
# The step below needs no new update: **it hands the shaped rewards to your `reinforce_step` of Part 2**,
# in place of the reward model. To REINFORCE the fine is just another reward. You write it (without points; all runs
# of this notebook are made with it). In the order of the data:
#
# 1. the log-probs of the batch under the reference, without gradients: `policy_logits`, then your `token_log_probs`;
#    those of the policy at the time of sampling stand in `rollout.log_probs`. Column $t$ belongs to the token at $t+1$,
#    which is why the mask is `rollout.completion_mask[:, 1:]`;
# 2. the rewards of `rollout.texts`, moved to the mask's device with `.to`, and from them your `kl_shaped_rewards`;
# 3. one call of `reinforce_step`. Its fourth argument is a function from texts to rewards: hand in one that
#    gives the shaped rewards (on the CPU) whatever texts it is asked for.
#
# Return a dict of floats: `"loss"` from the update's report, `"reward"`, the mean of the rewards, `"objective"`,
# the mean of the shaped rewards (the batch's estimate of J, which training maximises), and `"k1"`, the mean over
# completions of k1's sum over their tokens.
# %%
def kl_update(policy, optimizer, rollout, alpha):
    """One REINFORCE update from one batch, with the KL fine in the reward.

    Args:
        policy: the model to train; its weights are in `optimizer`.
        optimizer: takes one step.
        rollout: the batch, sampled from `policy`.
        alpha: the price of a nat.

    Returns:
        dict of floats, all before the update: loss, reward, objective, k1.
    """
    # BEGIN SOLUTION
    mask = rollout.completion_mask[:, 1:]  # [B, T-1] True where column t belongs to a sampled token
    with torch.no_grad():
        reference_scores = policy_logits(reference, rollout.ids, rollout.attention_mask)  # [B, T, V]
        reference_log_probs = token_log_probs(reference_scores, rollout.ids)  # [B, T-1]
    rewards = reward_model(rollout.texts).to(mask.device)  # [B]
    shaped = kl_shaped_rewards(rewards, rollout.log_probs, reference_log_probs, mask, alpha)  # [B]
    k1 = kl_estimates(rollout.log_probs, reference_log_probs)["k1"]  # [B, T-1]
    update = reinforce_step(policy, optimizer, rollout, lambda texts: shaped.cpu())
    return {
        "loss": update["loss"],
        "reward": rewards.mean().item(),
        "objective": shaped.mean().item(),  # J of this batch
        "k1": k1.masked_fill(~mask, 0.0).sum(1).mean().item(),
    }
    # END SOLUTION
# %% [markdown]
# **Sanity check.** Two updates of a copy of the reference. In the first one the policy is the reference,
# so k1 is 0 and the objective is the reward.
# In the second k1 is no longer 0, and the objective must be the reward minus α times k1, whatever the texts are.
# Last, one batch goes through two copies of the policy, at two values of α: their losses must differ,
# or else the fine is computed and never used.
# %%
trial = trainable_copy(reference, preset)
trial_optimizer = torch.optim.AdamW(trial.parameters(), lr=preset.kl.learning_rate)
for number in range(2):
    trial_rollout = generate(trial, tokenizer, train_prompts[:8], preset.new_tokens, generator=number)
    report = kl_update(trial, trial_optimizer, trial_rollout, 0.5)
    print(f"update {number + 1}:", {name: round(value, 4) for name, value in report.items()})
    assert number or abs(report["k1"]) < 1e-2, "before the first update k1 must be 0: which log-probs are compared?"
    assert not number or abs(report["k1"]) > 1e-5, "after an update k1 is not 0: is it the reference that is compared?"
    assert abs(report["objective"] - (report["reward"] - 0.5 * report["k1"])) < 1e-3, "objective = reward − α · k1"
losses = []
for alpha in (0.0, 0.5):
    twin = copy.deepcopy(trial)
    still = torch.optim.SGD(twin.parameters(), lr=0.0)  # a learning rate of 0: the twin stays as it is
    losses.append(kl_update(twin, still, trial_rollout, alpha)["loss"])
print(f"one batch at two prices: loss {losses[0]:.4f} at α = 0, {losses[1]:.4f} at α = 0.5")
assert losses[0] != losses[1], "α changes nothing: does reinforce_step get the shaped rewards?"
# %% [markdown]
# **Four broken updates** (no points). Four people report on a `kl_update` with one mistake each.
# Which mistake is it, and which line of the sanity check finds it?
#
# 1. "The larger I make α, the farther the policy goes."
# 2. "k1 is 0 at every step, also after many updates. All values of α give the same run."
# 3. "All figures look right, and the objective is the reward minus α times k1. But at α = 1 the policy
#    becomes the same as at α = 0."
# 4. "k1 is not 0 before the first update. Only the texts with the longest prompt of the batch have a k1 of 0."
#
# <details><summary>Answer</summary>
#
# 1. The fine has the wrong sign: the two kinds of log-probs are exchanged, so that going away earns a bonus.
#    The objective is then not the reward minus α times k1. If k1 is made of the exchanged ones as well, that check is
#    content; then k1 falls far below 0 in training, which section 3.2 has shown to be a fault.
# 2. The policy stands in for the reference, so each log-ratio is 0. Before the first update nobody can tell,
#    after it the check of the second update can.
# 3. `reinforce_step` gets the plain rewards; the shaped ones are only reported. The last check finds it.
# 4. The reference reads the texts without their positions: the left-padding bug of Part 2. It is the first check.
#
# A wrong *mask* is found by none of them: before the first update every log-ratio is 0, in the mask or not,
# and afterwards objective and k1 have the same mistake. Print the mask of one row beside its tokens.
#
# </details>
# %% [markdown]
# **What is measured beside it.** The exact KL needs two tables of logits; to save time `kl_step` computes it in every
# fifth step only, and the policy's entropy with it. Otherwise it is your update.
# %%
def measure_kl(policy, rollout):
    """At each position of a rollout, [B, T-1] each: the KL to the reference, exact and by the sampled token alone (k1),
    and the policy's entropy."""
    with torch.no_grad():
        scores = policy_logits(policy, rollout.ids, rollout.attention_mask)  # [B, T, V]
        reference_scores = policy_logits(reference, rollout.ids, rollout.attention_mask)  # [B, T, V]
        log_probs = token_log_probs(scores, rollout.ids)  # [B, T-1]
        reference_log_probs = token_log_probs(reference_scores, rollout.ids)  # [B, T-1]
        exact = kl_divergence(scores[:, :-1], reference_scores[:, :-1])  # [B, T-1]
        every = scores[:, :-1].log_softmax(-1)  # [B, T-1, V]
        entropy = -(every.exp() * every).sum(-1)  # [B, T-1]
    return {"exact": exact, "k1": kl_estimates(log_probs, reference_log_probs)["k1"], "entropy": entropy}


def per_completion(values, mask):
    """Sum over the completion's tokens, mean over the batch, as a float."""
    return values.masked_fill(~mask, 0.0).sum(1).mean().item()


def kl_step(policy, optimizer, rollout, alpha, number):
    """Your update, with what to record of it, in floats."""
    exact = {}
    if number % 5 == 0:
        mask = rollout.completion_mask[:, 1:]  # [B, T-1] True where column t belongs to a sampled token
        measured = measure_kl(policy, rollout)
        exact = {"kl": per_completion(measured["exact"], mask), "entropy": per_completion(measured["entropy"], mask)}
    record = kl_update(policy, optimizer, rollout, alpha)
    return {**record, **exact, "alpha": float(alpha)}
# %% [markdown]
# `run_training` puts a run together: a fresh copy of the reference, a fresh optimizer, the same prompts and random
# numbers for every run, and the training loop you know from Part 2, with checkpoints. `alpha_at(number, state)` says
# which α step `number` uses; for now it is a constant. `examine` then samples one completion for each held-out prompt
# and measures everything on them: reward, the second reward model's opinion, KL, entropy, length, repetition.
# %%
def run_training(name, settings, folder, alpha_at, after_step=None):
    """Train one policy: it and its history. `alpha_at(number, state)` gives α, `after_step(record, state)` may change it."""
    seed_everything(run_seed(0))
    policy = trainable_copy(reference, preset)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=settings.get("learning_rate", preset.kl.learning_rate))
    state = {"alpha": settings["alpha"]}
    source = rollout_source(policy, tokenizer, train_prompts, preset.new_tokens, preset.kl.batch_size, seed=run_seed(0))

    def step(rollout, number):
        record = kl_step(policy, optimizer, rollout, alpha_at(number, state), number)
        if after_step is not None:
            after_step(record, state)
        return record

    history = train(
        step, source, steps=sizes.steps, policy=policy, optimizer=optimizer, state=state, folder=folder,
        settings={**settings, **common}, description=name,
    )  # fmt: skip
    return policy, history


def train_fixed(name, settings, folder):
    """Train with one α from beginning to end. The policy of the preset's α is kept in runs/leashed, for Part 5."""
    policy, history = run_training(name, settings, folder, lambda number, state: settings["alpha"])
    if settings == {"alpha": preset.kl.alpha} and history.stopped == "finished":
        save_policy(policy, "REINFORCE + KL")
    return policy, history


def examine(policy):
    """Scores and samples of a policy on the held-out prompts."""
    return sweep.examine(
        policy, tokenizer, test_prompts, judges, measure_kl,
        new_tokens=preset.new_tokens, batch_size=preset.evaluation_batch_size, more_prompts=more_prompts,
    )  # fmt: skip


workers = cores_for(reference, device)  # runs that go side by side; 1: one after the other
common = {
    "preset": preset.name,
    "steps": sizes.steps,
    "learning_rate": preset.kl.learning_rate,
    "held_out": sizes.held_out,
}  # shared by all runs
# %% [markdown]
# ## 3.4 α = 0 first
#
# Before we use the leash, we look at what happens without it. The next cell trains with α = 0.
# That is Part 2's training once more, with the number and the size of steps that all runs of this part have.
# The KL is **measured** at every step, and not used.
#
# <details><summary><b>Predict first:</b> what will the KL do over the training steps?
# Where does it start, does it level off, and why? (click for our expectation)</summary>
#
# It starts at exactly 0: the policy *is* the reference. Then it rises. Nothing in the objective holds it back: as long
# as any change of the text raises the reward a little, the policy makes it.
# We expect it to go on rising while the reward nears its ceiling of 1 and has less and less to gain,
# because REINFORCE keeps sharpening whatever scores best. And we expect it to end much further out than with a fine.
# </details>
#
# The run is the first entry of the sweep of section 3.5: it is saved in the folder `runs/kl`,
# and the sweep will not repeat it. Beside it, on the computer's second core, the cell trains a run that section 3.6
# will ask for: a fine, and steps three times as large. Together they take one to three minutes.
# %% tags=["training"]
usual = f"α = {preset.kl.alpha:g}"  # the preset's strength of the fine
larger_steps = {
    "alpha": preset.kl.alpha, "learning_rate": 3 * preset.kl.learning_rate, "method": "larger steps",
}  # fmt: skip
runs = sweep.sweep(
    {"α = 0": {"alpha": 0.0}, f"{usual}, larger steps": larger_steps},
    train_fixed, examine, common=common, workers=workers,
)  # fmt: skip
# %% [markdown]
# Now its two plots. (If your run is missing or learns nothing, write `runs = sweep.recorded_runs()` as a new first line
# of the next cell. Then it shows the run recorded with the course.)
# %% tags=["training"]
free = sweep.run_with(runs, 0)  # the run without a fine; an error that says what to do if there is none
plots.show(figures.plot_kl(free, title="α = 0: KL to the reference during training"))
plots.show(plots.plot_history(free.history, "reward", title="α = 0: reward during training (mean of 10 steps)"))
late = {}  # what the last third of the training has added, as a share of what was gained since the first third
for name in ("k1", "reward"):
    first, middle, last = (part.mean() for part in torch.tensor(free.history[name]).tensor_split(3))
    late[name] = ((last - middle) / (last - first)).item()
claim(
    "3_free_kl_goes_on", "with α = 0 the last third of the training adds a larger share of the KL than of the reward gained",
    late["k1"] > late["reward"], f"{late['k1']:.2f} of the KL and {late['reward']:.2f} of the reward",
)  # fmt: skip
k1, kl = free.scores["kl_k1"], free.scores["kl"]
told = f"{k1:.2f} and {kl:.2f} nats"
claim("3_k1_agrees", "held out, k1 is within a tenth of the exact KL", abs(k1 / kl - 1) < 0.1, told)
# %% [markdown]
# **What to look for.** The KL starts at 0. How far does it climb, and does it go on climbing while the reward has
# little left to gain? Compare the right halves of the two plots. In the first plot the dots are the exact KL,
# computed at every fifth step; the line is its estimate from the sampled tokens, k1.
#
# The next cell shows what the distance looks like as text. Each token is coloured by its log-ratio: **blue**
# where the policy finds the token more probable than the reference does, **orange** where less.
# The numbers of one text add up to that text's estimate of the KL. Point at a token to see its number.
# %% tags=["training"]
show_page(sweep.run_page(free))
# %% [markdown] q="w3_1"
# **Question 3.A.** Describe how the KL develops at α = 0 in your own run. Why does it rise? Why is that
# unwelcome, although the reward is high? Support your answer with something you see in the run: a sample, or a number.
# %% [markdown]
# *(How far and how fast: see the two plots and the sentence below them.)* The KL starts at 0, because the policy begins
# as a copy of the reference, and it rises, as a rule through the whole run. It rises because the objective contains
# only the reward: each update makes texts with a positive advantage more probable and others less, and no term asks
# what that does to the language. Even when the mean reward is nearly 1, small differences between completions remain,
# and the updates keep sharpening the distribution.
#
# It is unwelcome because the reward is only a stand-in. The reward model learned from human sentences,
# and its judgement means something for texts like those. Far from the reference the texts are unlike anything it was
# trained on, and there the policy finds inputs that score high for the wrong reasons.
# Signs of it, of which an answer names one that its own run shows: the same words of praise in many samples, or
# repeated in one; praise strung together where a sentence should be; more repeated bigrams than the untuned policy's;
# an entropy far from the untuned policy's (lower: the same texts again and again; higher: heaps of words that
# no sentence holds together); or an opinion of the second reward model that lies far below the first one's.
#
# **Rubric**
# - 1 point: describes the trend of the own run (from 0 upwards, as a rule also while the reward hardly rises any more)
#   and says why: nothing in the objective opposes it, and each update makes high-reward text more probable
# - 1 point: says why that is unwelcome: the reward model is trustworthy only near text it was trained on;
#   far from the reference it is exploited (reward hacking)
# - 1 point: points to evidence in the own run: unnatural samples, repetition, or an entropy that fell or rose far
#   (the second reward model counts too, if it disagrees; so does a number that shows how little of it there is, if
#   the run was too short)
# %% [markdown]
# ## 3.5 The sweep
#
# Now the leash. The next cell trains one policy for each α, from 0 to far too much, and examines each on the same
# held-out prompts. The values are multiples of the preset's α, which fits a reward from 0 to 1: a nat of KL then costs
# a few hundredths of the reward. With the small models on a CPU with several cores, the runs go **side by side**, each
# on a core of its own: the results are those of one after the other. The cell then takes three to four minutes
# on an idle machine with two cores, up to twice that on a busy one.
# **You may stop it at any time** (the square button):
# each finished run is in the folder `runs/kl`, a half-finished one has a checkpoint, and calling the cell again goes on
# from there. If you later change one of your functions, the runs that used it are trained anew.
#
# <details><summary><b>Predict first:</b> the untuned policy does nothing, so its KL is 0 and its J is its reward,
# whatever α is. Take the largest α of the sweep. Will the J of the trained policy be (a) above that, (b) the same, or
# (c) below? (click)</summary>
#
# The optimum is above it: section 3.3 has shown that some change pays at every α, if only a small one.
# Whether *training* ends above it is another matter. Every update is made from one batch, and the noise of the batches
# pushes the policy about. At a small α that is cheap; at a large one each nat of it costs as much as the whole range
# of the reward, or more, and a policy that learned something may end below one that did nothing, (c).
# The table will tell: compare the row's J with the untuned policy's reward and with the best J.
# </details>
# %% tags=["training"]
plan = {f"α = {alpha:g}": {"alpha": alpha} for alpha in sizes.alphas}
runs = sweep.sweep(plan, train_fixed, examine, common=common, workers=workers)
# %% [markdown]
# **The untuned policy** belongs into every comparison. It has KL 0 by definition.
#
# (If you skip the sweep, or if your runs learn nothing, write `runs = sweep.recorded_runs()` as a new first line of the
# next cell. It gives the runs recorded with the course, those of sections 3.6 to 3.8 among them.)
# %% tags=["training"]
scores, samples = examine(reference)
untuned = sweep.SweepRun("untuned", {"alpha": 0.0, "method": "untuned"}, scores, samples=samples)
everything = {"untuned": untuned, **runs}
display(sweep.table(everything, drawn=drawn, possible=bounds))
fixed = {run.settings["alpha"]: run for run in runs.values() if "method" not in run.settings}
middle = preset.kl.alpha
if {middle, *sizes.alphas} <= fixed.keys():  # else the sweep was stopped
    kls = [fixed[alpha].scores["kl"] for alpha in sorted(fixed)]
    told = ", ".join(f"{kl:.1f}" for kl in kls)
    claim("3_alpha_orders_kl", "the larger α, the smaller the KL", kls == sorted(kls, reverse=True), told)
    nothing = untuned.scores["reward"]  # also its J, since it pays no nats
    gains = {alpha: run.scores["reward"] - alpha * run.scores["kl"] - nothing for alpha, run in fixed.items()}
    margin = untuned.scores["half_width"] + fixed[middle].scores["half_width"]
    sentence = "at the preset's α the run's J lies above the untuned policy's, beyond both intervals"
    claim("3_leash_pays", sentence, gains[middle] > margin, gains[middle])
    dear = gains[max(gains)]
    claim("3_noise_is_dear", "at the largest α the run's J lies below the untuned policy's", dear < 0, dear)
    best_j = {alpha: possible.optimum(drawn, alpha)["objective"] for alpha in fixed if alpha >= middle}
    lacks = {alpha: j - fixed[alpha].objective() for alpha, j in best_j.items()}
    told = ", ".join(f"{lack:.2f} at α = {alpha:g}" for alpha, lack in lacks.items())
    sentence = "from the preset's α up, every run's J is below the best J"
    claim("3_best_is_not_reached", sentence, min(lacks.values()) > 0, told)
# %% [markdown]
# Each row is one policy, measured on the same held-out prompts. KL and entropy are those of a whole completion;
# "±" is the half width of the 95 % interval of the reward. It covers the choice of prompts, not the training:
# another seed or another machine gives another policy, and its numbers may differ by as much again.
#
# - **J** is the objective at the row's own α, what training tried to raise. **Best J** is what the optimum reaches
#   there (at least; computed on other samples, so a small negative gap means nothing).
# - **Best reward at this KL** is what is possible at the distance that the policy went.
#   A policy far below it has paid for nats that bought nothing.
# - **Entropy** is the variety of a completion: −H is one of the two parts of the KL.
# - **Repeated bigrams** is the share of neighbouring word pairs that already occurred in the same completion. It is
#   counted on twice as many prompts, because sentences that are not tuned hardly ever repeat a pair: even
#   so a small share rests on a few completions only, and a difference of one or two in a thousand means nothing.
# %% [markdown]
# ### How the runs went
#
# <details><summary><b>Before you look:</b> sketch on paper the KL curves you expect for the values of α,
# in one plot.</summary>
#
# Two things are worth checking in your sketch. The curves should be ordered by α: the smaller α, the higher the KL
# (the first sentence below the table says whether they are). And a curve with a fine should level off, where the pull
# of the reward, that of the fine and the noise of the batches balance, while nothing holds that of α = 0.
# (The optimum's own KL, at the same α, is in the list that section 3.3 printed.
# A curve that levels off far above it is held up there by the noise.)
# </details>
# %% tags=["training"]
plots.show(figures.plot_sweep(runs, ("reward", "objective", "kl", "entropy", "length", "repetition")))
# %% [markdown]
# ### The reward–KL frontier
#
# One point for each policy: how far it went, and what it got for it.
# A policy is better than another if it lies **higher and further to the left**: more reward at less distance.
# The points that no other point beats form the **frontier**. It is the fair way to compare methods: "my method reaches
# a higher reward" says little, if it also went ten times as far. The grey curves say what is possible at each distance.
# Part 4 will draw DPO into the same plot.
# %% tags=["training"]
sweep.save_points(everything)  # kept in runs/frontier.json, for Part 4
for name, run in everything.items():  # for the report of a whole run; it does nothing in your notebook
    headline(f"reward, {name}", run.scores["reward"])
plots.show(figures.plot_frontier(load_points(), bounds))  # all points recorded so far, Part 4's too once it is done
# %% [markdown]
# The horizontal axis is logarithmic from a tenth of a nat on, so that the near and the far policies both fit.
# **Look at the slope** from one policy to the next: what does a nat buy near the reference, and what far from it?
# And **look at the gap** between a policy and the grey lines. If the policy lies below them, so much more reward is
# possible at the same KL.
# The lines end where the completions give out; further to the right their last value is possible as well.
# The last column of the table has the same in numbers.
#
# A gap says that training has not found what there is to find. α is not to blame for it: for *every* α
# the optimum lies on the grey line. The steps are: each is made from one batch, whose noise moves the probabilities
# of tokens that have nothing to do with the reward. That distance buys nothing, and it has to be paid.
# (Best-of-n has a price of its own, which the plot does not show: each answer costs n completions
# and n judgements, for ever, while a trained policy writes one.)
# %% [markdown]
# And what do the last nats cost? The next plot asks the witness. **Predict first:** at which α will the first model,
# which the policy was trained on, stand furthest above the second?
# %% tags=["training"]
plots.show(figures.plot_opinions_by_kl(everything))
apart = {name: run.scores["reward"] - run.scores["second_reward"] for name, run in everything.items()}
told = ", ".join(f"{gap:+.2f} ({name})" for name, gap in apart.items())
if "α = 0" in apart:  # else the sweep was stopped
    sentence = "from the untuned policy to α = 0 the first model gains more than the second, by more than 0.02"
    claim("3_opinions_part", sentence, apart["α = 0"] - apart["untuned"] > 0.02, told)
# %% [markdown]
# Both models judge the same texts. Where the two lines rise together, the policy writes text that is better by both
# opinions. Where they part, and the first still rises while the second falls, the policy collects the *errors* of the
# first model: **over-optimisation** (Gao et al. 2022). The first model alone would never tell you;
# its own score only goes up.
#
# **Why can the witness see it?** It learned from other sentences, it has another architecture,
# and it was shown heaps of words that are no sentences, with the verdict "undecided". A witness made exactly like the
# first model would not help, as it would like the same heaps of praise.
# **Two judges with the same blind spot are not two witnesses.**
# That is why the table has more columns (the KL itself, repeated bigrams, length), and why the samples come next.
#
# ### Reading the samples along the frontier
#
# Go from the untuned policy (number 1) to the far end. Each number shows the point on the frontier and five
# samples, tokens coloured by their log-ratio as before. Where widgets do not run, the same is shown as one list.
# %% tags=["training"]
pages = {name: sweep.run_page(run) for name, run in everything.items()}
frontier_choice(
    [run.point for run in everything.values()],
    page=lambda point: pages[point["name"]],
    figure=lambda points, highlight=None: figures.plot_frontier(points, bounds, highlight=highlight),
)
# %% [markdown] q="w3_2"
# **Question 3.B.** Choose three values of α from your sweep: one that is **too high**
# (the reward stays near the untuned policy's), one that is **too low** (the text suffers, or would with more steps),
# and one in between that you would use (clearly more reward, mostly natural text).
# For each, give reward, KL, J, repetition and the second reward model's score, say what its KL and reward curves look
# like, and comment on its five samples: are they grammatical, varied, and really positive?
# %% [markdown]
# *The figures are in the table and the plots above; which value of α plays which part depends on the run.
# An answer is right if it fits the figures and samples of its own run.*
#
# **Too high: the largest α.** One nat costs as much as the whole range of the reward, or more, so little can pay, and
# the reward is as a rule hardly above the untuned policy's. Then the samples can hardly be told from the untuned
# policy's: some positive, some not, with the same faults. The KL is small but not 0. Compare J with the untuned
# policy's reward and with the best J (the sentences below the table do): the optimum gains a little at a small
# fraction of a nat, and what the run has wandered beyond that is noise that it has to pay for.
#
# **Too low: α = 0.** As a rule the reward is among the highest, and the KL has gone the furthest and still climbs when
# the reward hardly does. What to look for in the samples: praise where a sentence should be, the same words
# in every completion. What to look for in the table: a length, an entropy or a share of repeated bigrams far from the
# untuned policy's, and a second reward model that is less convinced than the first,
# by more than at any other α. If it likes these texts *less* than those of a moderate α, although the first
# likes them more, that is over-optimisation. (After few steps the text may still be sound; then the KL curve,
# which does not level off, and the gap between the two models say where it is going.)
#
# **In between.** The reward is clearly higher than the untuned policy's, and so is J, at a KL well below that of α = 0.
# The KL curve rises more slowly as it goes on. As a rule the samples keep the untuned policy's grammar (with
# its faults), differ from each other, and most are really positive; length and repeated bigrams are not far from
# the untuned policy's. The column "best reward at this KL" says how much of this distance was wasted.
#
# **Rubric**
# - 1 point: a high α whose reward stays near the untuned policy's, with reward and KL, and a comment on the samples
#   (as a rule, hardly to be told from the untuned policy's)
# - 1 point: a low α, with reward, KL, repetition and the second model's score, and a comment on the
#   samples that names what has suffered (grammar, variety, praise without content) or what shows that it would
# - 2 points: a middle α with clearly more reward and mostly natural text, with reward, KL and J; compares repetition
#   with the untuned policy's, comments on the samples; 1 point if the comment is only about the numbers
# %% [markdown]
# ## 3.6 Does the fine shorten texts?
#
# Go back to the *length* panel of the sweep, and to the column *length* of the table.
# Nobody asked for shorter or longer texts, and yet the lengths may differ from run to run.
# The fine is **summed** over the tokens of a completion. So a short completion has fewer places at which to pay,
# and it is often said that such a fine rewards brevity. Does it?
#
# <details><summary><b>Predict first:</b> two completions have the same reward. One is half as long as the other.
# Which of them does the optimum π* prefer, compared with the reference? (click after you have an answer)</summary>
#
# Neither. $\pi^*(y) \propto \pi_\text{ref}(y)\,e^{r(y)/\alpha}$: with equal rewards the factor is the same,
# and the two keep the odds that they have under the reference, however long they are.
# What costs is not a token, but a token *at which the policy differs*. Going on as the reference does costs 0.
# </details>
# %% [markdown]
# **Then who shortens?** A trained policy is not the optimum. Each update is made from one batch, and its noise moves
# the probabilities at all positions, in directions that have nothing to do with the reward. Such a policy differs
# from the reference at every token, and pays at every token. *It* can save by ending early.
# So if texts become shorter under a fine, suspect the size of the steps before you blame the objective.
#
# The experiment changes one thing: the same α, the same number of steps, **a learning rate three times as large**.
# The sweep's run stands beside it. Both are there already: the one with larger steps was trained in section 3.4.
# %% tags=["training"]
pair = sweep.sweep(
    {usual: {"alpha": preset.kl.alpha}, f"{usual}, larger steps": larger_steps}, train_fixed, examine, common=common
)
plots.show(figures.plot_sweep(pair, ("length", "reward", "kl", "objective"), title=f"{usual}: two sizes of steps"))
display(sweep.table({"untuned": untuned, **pair}, alpha=preset.kl.alpha, drawn=drawn, possible=bounds))
at_optimum = possible.optimum(drawn, preset.kl.alpha)
print(f"mean length: untuned {drawn['length'].mean():.1f}, optimum at {usual} {at_optimum['length']:.1f}", end="")
print("".join(f", {name} {run.scores['length']:.1f}" for name, run in pair.items()), "tokens")
if len(pair) == 2:  # else the sweep was stopped
    smaller, larger = (run.scores["reward"] - preset.kl.alpha * run.scores["kl"] for run in pair.values())
    claim("3_larger_steps_cost", "larger steps end at a lower J", larger < smaller, f"{larger:.3f} and {smaller:.3f}")
    off = [abs(run.scores["length"] - at_optimum["length"]) for run in pair.values()]
    told = f"{off[1]:.1f} and {off[0]:.1f} tokens away"
    claim("3_steps_change_length", "larger steps end further from the optimum's mean length", off[1] > off[0], told)
    show_page(sweep.run_page(pair[f"{usual}, larger steps"]))
# %% [markdown]
# Compare three lengths: the untuned policy's, the optimum's and each run's. The optimum's differs from the
# untuned policy's only as far as the reward itself goes with length. What a run has beyond that is its own doing.
# Then compare KL, J and the best J: which of the two runs has paid more for its reward?
# Look at the KL *per token* as well: it says how far the policy has moved at each place, whatever the length.
# (Where texts go on beyond the limit of new tokens, as with the preset `gpt2`, whose model writes long reviews, nearly
# all completions have the full length. Then the lengths tell nothing, and KL and J tell all.)
# And read the samples: reward and repetition alone would not have told you.
# %% [markdown]
# **To think about** (no points). A fellow student says: "The KL is summed over the tokens, so our objective rewards
# short texts." Is that so? Argue with the optimum, and compare with the lengths that you saw.
# How would you compare the KL of two policies whose texts differ in length?
#
# <details><summary>Answer</summary>
#
# No. The optimum is the reference with each text weighted by $e^{r/\alpha}$. The length does not occur in it:
# texts of equal reward keep their odds, long or short, and a policy that goes on as the reference does pays nothing
# for the further tokens. The weighted mean length that the cell prints for the optimum moves, for this reason,
# only as far as reward and length go together.
#
# Where a run's texts did become shorter, or longer, than the optimum's, it is training that did it: steps that are
# too large for the noise of a batch make the policy differ at every token, and then each token costs. J tells: such a
# run lies below the best J. The two sentences below the table say whether the larger steps did so in your runs:
# they compare J, and how far the length is from the optimum's.
#
# Two policies with the same KL per completion have moved equally far at each token only if their texts
# are equally long; one reports the length, or the KL per token, beside the sum, or fixes the length.
#
# </details>
# %% [markdown]
# ## 3.7 Two epochs per batch: PPO and GRPO
#
# With large models sampling is the expensive part of each step, and REINFORCE throws each batch away after one update.
# Could we take a second update from the same batch? After the first update the batch is **off-policy**:
# it was sampled by a policy that no longer exists. Two things repair this, up to a point.
#
# **The ratio.** Let $\rho_t = \pi(v_t)/\pi_\text{old}(v_t)$ be how much more probable the sampled token has become
# since it was sampled. Weighing each token's advantage with ρ makes up for the change (this is called importance
# sampling). In the first epoch ρ = 1 everywhere, and the gradient of ρ·A is exactly REINFORCE's.
#
# **The clip.** If ρ has grown far from 1, the batch says little about the new policy, and one should stop pulling.
# **PPO** (proximal policy optimisation, Schulman and others 2017) takes the smaller of two terms:
#
# $$L = -\frac1B \sum_b \sum_t \mathrm{mask}_{bt}\,\min\big(\rho_{bt} A_b,\; \mathrm{clip}(\rho_{bt},\,1-\varepsilon,\,1+\varepsilon)\,A_b\big).$$
#
# For a good completion (A > 0) nothing more is gained once ρ > 1 + ε: the term is constant there,
# and its gradient is 0. For a bad one (A < 0) the pull ends once ρ < 1 − ε.
# The minimum makes sure that a token that moved the *wrong* way still feels the full pull back.
# %% [markdown] q="q3_6" level=2
# **Exercise 3.6 · `ppo_clip_loss`**
#
# Write the loss: sum over the masked tokens, mean over the batch, with a minus sign.
# `old_log_probs` and `advantages` are detached inside. Apply the mask to the log-ratios **before** the exponential:
# what stands at a masked position may be as large as 10,000, exp of that is infinite, and 0 · ∞ is NaN.
#
# *Example:* one token, A = 2, ρ = 1.5, ε = 0.2: min(3.0, 2.4) = 2.4, so the loss is −2.4.
# With A = −1: min(−1.5, −1.2) = −1.5, so the loss is 1.5.
#
# <details><summary>Hint 1: shapes</summary>
#
# Ratios are `[B, T]`, advantages `[B]`. Which axis must the advantages get so that each row has its own?
#
# </details>
#
# <details><summary>Hint 2: the order of things</summary>
#
# Difference of log-probs, mask, exponential, two products, minimum, mask again, sum, mean, minus.
# Why is the mask needed a second time? Ask what ratio a masked position has after the first.
#
# </details>
# %%
def ppo_clip_loss(log_probs, old_log_probs, advantages, mask, clip):
    """PPO's clipped loss (Schulman et al. 2017, arXiv 1707.06347): sum over tokens, mean over the batch.

    Args:
        log_probs: [B, T] log-probs of the sampled tokens under the policy as it is now.
        old_log_probs: [B, T] the same at the time of sampling; detached inside.
        advantages: [B] one per completion; detached inside.
        mask: [B, T] bool, True on the completion's tokens.
        clip: ε, half width of the range in which the ratio may move.

    Returns:
        scalar loss.
    """
    # BEGIN SOLUTION
    log_ratio = (log_probs - old_log_probs.detach()).masked_fill(~mask, 0.0)  # [B, T]
    ratio = log_ratio.exp()  # [B, T]
    weight = advantages.detach().unsqueeze(1)  # [B, 1]
    gain = torch.minimum(ratio * weight, ratio.clamp(1.0 - clip, 1.0 + clip) * weight)  # [B, T]
    return -gain.masked_fill(~mask, 0.0).sum(dim=1).mean()
    # END SOLUTION
# %% points=1.5 success="The clipped loss of two completions is right."
def test_ppo_values(ppo_clip_loss):
    old = torch.tensor([[-1.0, -2.0, -1.5], [-2.0, -1.0, -3.0]])
    new = torch.tensor([[-0.594535, -2.510826, -1.404690], [-1.594535, -1.693147, -3.105361]])  # ratios 1.5 0.6 1.1 / 1.5 0.5 0.9
    mask = torch.tensor([[True, True, True], [True, True, False]])
    with trying("ppo_clip_loss of two completions of three tokens", {
        "must match the size of tensor": "the advantages run along the tokens; each belongs to a row, advantages[:, None].",
    }):
        got = ppo_clip_loss(new, old, torch.tensor([2.0, -1.0]), mask, 0.2)
    check(got, torch.tensor(-1.75), {
        "the larger of the two terms is taken; it is the min": -2.55,
        "the sign is wrong: the loss is minus the gain": 1.75,
        "nothing is clipped (or the minimum is missing)": -2.2,
        "only the clipped term is there; take the minimum of it and the unclipped one": -2.1,
        "the ratio is upside down: it is new over old": -1.37576,
        "this is a mean over the tokens of the batch; the definition sums over tokens and divides by the batch": -0.7,
        "this is a mean over the tokens of each completion; the definition sums over tokens": -0.39167,
        "this is a mean over the tokens, masked ones included; the definition sums over tokens": -0.58333,
        "the sum must be divided by the batch size": -3.5,
        "the mask is ignored: only the tokens with mask True count": -1.3,
        "the log-ratio is used as the ratio; exp is missing": 0.81005,
        "the log-ratio is clipped; clip the ratio": -1.76204,
        "the product of ratio and advantage is clipped; clip the ratio": -0.8,
        "one ratio for the whole completion; PPO's ratio is per token": -0.59,
        "the advantages are made absolute; a bad completion must be pushed down": -3.75,
    }, name="ppo_clip_loss")
# %% points=1 success="The mask comes before the exponential, and gradients go to the new log-probs alone."
def test_ppo_mask_and_gradient(ppo_clip_loss):
    new = torch.tensor([[-1.0, 9000.0]], requires_grad=True)
    old = torch.tensor([[-1.1, -9000.0]], requires_grad=True)
    advantages = torch.tensor([1.0], requires_grad=True)
    loss = ppo_clip_loss(new, old, advantages, torch.tensor([[True, False]]), 0.2)
    assert isinstance(loss, torch.Tensor), f"ppo_clip_loss returned {loss!r}: not written yet?"
    assert torch.isfinite(loss).all(), (
        "ppo_clip_loss: a masked position makes the loss infinite or NaN; mask the log-ratios before the exponential"
    )
    assert loss.requires_grad, "ppo_clip_loss: no gradient flows to the log-probs (was the ratio detached?)"
    loss.sum().backward()
    assert new.grad is not None and torch.isfinite(new.grad).all(), (
        "ppo_clip_loss: the gradient is NaN at a masked position; mask the log-ratios before the exponential"
    )
    assert new.grad[0, 0] != 0, "ppo_clip_loss: no gradient flows to the log-probs"
    assert new.grad[0, 1] == 0, "ppo_clip_loss: a masked position gets a gradient"
    assert old.grad is None or not old.grad.any(), "ppo_clip_loss: the old log-probs carry a gradient; detach them"
    assert advantages.grad is None or not advantages.grad.any(), "ppo_clip_loss: the advantages carry a gradient; detach them"
# %% points=0 success="Another clip range, log-probs of -9000 and two rows of two tokens are right, and all rules are kept."
def test_ppo_rules(ppo_clip_loss):
    new, old = torch.tensor([[-9000.0, -1.0], [-1.0, -2.0]]), torch.tensor([[-9000.5, -1.0], [-1.0, -2.0]])
    advantages, mask = torch.tensor([1.0, -2.0]), torch.tensor([[True, True], [False, True]])
    check(ppo_clip_loss(new, old, advantages, mask, 0.5), torch.tensor(-0.25), {
        "the clip range is 0.2 whatever `clip` says": -0.1,
        "log-probs of -9000 are cut off; they count as they are": 0.0,
        "the advantages run along the tokens; each belongs to a row, advantages[:, None]": 1.25,
    }, name="ppo_clip_loss")
    check_rules(ppo_clip_loss, torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.0, -2.0]]), torch.tensor([2.0]), mask[:1], 0.5)
# %% hidden={"values": 1.5, "gradients": 0.5, "edges dtypes purity": 0.5}
# %% [markdown]
# **Sanity check.** How the loss of one token depends on its ratio.
# The line is flat where PPO stops pulling: to the right for a good completion, to the left for a bad one.
# %%
ratios = torch.linspace(0.4, 1.8, 141)  # [141]
curves = {}
for label, advantage in {"good completion, A = +1": 1.0, "bad completion, A = −1": -1.0}.items():
    losses = [
        ppo_clip_loss(
            r.log().view(1, 1), torch.zeros(1, 1), torch.tensor([advantage]), torch.ones(1, 1, dtype=torch.bool), 0.2
        )
        for r in ratios
    ]
    curves[label] = [loss.item() for loss in losses]
plots.show(figures.plot_clip(ratios.tolist(), curves, 0.2))
# %% [markdown]
# **GRPO** (group relative policy optimisation, Shao and others 2024) changes the advantages.
# Each prompt gets a *group* of several completions, and each completion is compared with its own group: a prompt
# that begins with "The worst" makes all its completions score low, and this is not their fault.
# The advantage is the distance from the group's mean, measured in the group's standard deviations.
# %% [markdown] q="q3_7" level=1
# **Exercise 3.7 · `group_advantages`**
#
# `rewards` is `[B]`; each run of `group_size` consecutive rewards is one group (`B` is a multiple of it). Return `[B]`:
# (reward − mean of its group) / (standard deviation of its group + 0.000001), detached. Use the *population* standard
# deviation: divide by the number of rewards, not by one less. A group whose rewards are all equal gives 0.
#
# *Example:* the group (0, 0, 3) has mean 1 and standard deviation √2 = 1.414, so its advantages are (−0.707, −0.707,
# 1.414).
#
# <details><summary>Hint 1: a table of groups</summary>
#
# Consecutive rewards belong together. With `reshape` the batch becomes a table with one group per row;
# mean and deviation then run along the row, with `keepdim=True`.
#
# </details>
#
# <details><summary>Hint 2: which deviation?</summary>
#
# `std` divides by K − 1 unless it is told `correction=0`.
# The small constant is added to the deviation, outside the root.
#
# </details>
# %%
def group_advantages(rewards, group_size):
    """GRPO's advantages (Shao et al. 2024, arXiv 2402.03300): rewards standardised within each group.

    Args:
        rewards: [B] rewards; consecutive runs of `group_size` belong to one prompt.
        group_size: completions per prompt.

    Returns:
        [B] advantages, detached.
    """
    # BEGIN SOLUTION
    groups = rewards.detach().reshape(-1, group_size)  # [prompts, group_size]
    mean = groups.mean(dim=1, keepdim=True)  # [prompts, 1]
    deviation = groups.std(dim=1, keepdim=True, correction=0)  # [prompts, 1]
    return ((groups - mean) / (deviation + 1e-6)).flatten()  # [B]
    # END SOLUTION
# %% points=1.5 success="The advantages of two groups of three are right."
def test_group_values(group_advantages):
    check(
        group_advantages(torch.tensor([1.0, 2.0, 6.0, 0.0, 0.0, 3.0]), 3),
        torch.tensor([-0.92582, -0.46291, 1.38873, -0.70711, -0.70711, 1.41421]),
        {
            "this divides by the sample standard deviation (n - 1); the population's (n) is asked for": [-0.75593, -0.37796, 1.13389, -0.57735, -0.57735, 1.15470],
            "the mean is taken off, but the result is not divided by the standard deviation": [-2.0, -1.0, 3.0, -1.0, -1.0, 2.0],
            "the whole batch is treated as one group": [-0.48038, 0.0, 1.92154, -0.96077, -0.96077, 0.48038],
            "the whole batch is treated as one group, with the sample standard deviation": [-0.43853, 0.0, 1.75412, -0.87706, -0.87706, 0.43853],
            "the standard deviation is the batch's; each group has its own": [-0.96077, -0.48038, 1.44115, -0.48038, -0.48038, 0.96077],
            "the groups are consecutive rewards, not every second one; or group_size was taken for the number of groups": [-1.0, 1.0, 1.0, -1.0, -1.0, 1.0],
            "the groups are consecutive rewards: rows of the table, not columns": [-0.50800, 0.26726, 1.39700, -1.33631, -0.88900, 1.06904],
            "this divides by the variance; take its square root": [-0.42857, -0.21429, 0.64286, -0.5, -0.5, 1.0],
            "these are leave-one-out advantages; GRPO takes off the mean of the whole group": [-3.0, -1.5, 4.5, -1.5, -1.5, 3.0],
            "the leave-one-out mean is taken off; GRPO takes off the mean of the whole group": [-1.38873, -0.69436, 2.08309, -1.06066, -1.06066, 2.12132],
            "the median is taken off; it is the mean": [-0.46291, 0.0, 1.85164, 0.0, 0.0, 2.12132],
            "the group's mean is not taken off": [0.46291, 0.92582, 2.77746, 0.0, 0.0, 2.12132],
            "the sign is wrong: it is reward minus mean": [0.92582, 0.46291, -1.38873, 0.70711, 0.70711, -1.41421],
            "this scales each group to between 0 and 1": [0.0, 0.2, 1.0, 0.0, 0.0, 1.0],
            "this is a table of groups; return one flat tensor, [B]": [[-0.92582, -0.46291, 1.38873], [-0.70711, -0.70711, 1.41421]],
        },
        name="group_advantages",
    )
# %% points=0.5 success="A group of equal rewards gives 0, and no gradient flows."
def test_group_equal_and_detached(group_advantages):
    rewards = torch.tensor([0.5, 0.5, 0.25, 0.75], requires_grad=True)
    got = group_advantages(rewards, 2)
    check(got, torch.tensor([0.0, 0.0, -1.0, 1.0]), {
        "a group whose rewards are all equal gives NaN; add 0.000001 to the standard deviation": [float("nan"), float("nan"), -1.0, 1.0],
        "this divides by the sample standard deviation (n - 1); the population's (n) is asked for": [0.0, 0.0, -0.70711, 0.70711],
        "the constant added to the standard deviation is too large: it is 0.000001, one millionth": [0.0, 0.0, -0.99960, 0.99960],
    }, name="group_advantages")
    assert not got.requires_grad, "group_advantages: the result carries a gradient; detach it"
# %% points=0 success="Rewards below 0 keep their sign, one reward keeps its axis, and arguments and dtypes are kept."
def test_group_rules(group_advantages):
    check(group_advantages(torch.tensor([-3.0, -1.0]), 2), torch.tensor([-1.0, 1.0]), {
        "rewards below 0 keep their sign: -1 is better than -3": [1.0, -1.0],
    }, name="group_advantages of rewards below 0", ordinary=(group_advantages(torch.tensor([1.0, 3.0]), 2), [-1.0, 1.0]))
    check(group_advantages(torch.tensor([0.0, 0.002]), 2), torch.tensor([-0.999001, 0.999001]), {
        "the constant stands inside the root; add it to the standard deviation, not to the variance": [-0.707107, 0.707107],
        "the constant added to the standard deviation is not 0.000001": lambda got: bool((got.abs() > 0.9).all()),
    }, name="group_advantages of rewards that are nearly equal")
    check(group_advantages(torch.tensor([0.5]), 1), torch.tensor([0.0]), {"a single reward keeps its axis, the shape is [1]: do not squeeze": 0.0}, name="group_advantages of one reward")
    check_rules(group_advantages, torch.tensor([1.0, 2.0, 6.0]), 3, gradients=())
# %% hidden={"values": 1.5, "edges dtypes gradients purity": 0.5}
# %% [markdown]
# **How the losses of tokens are added up.** All losses of this course sum the terms of a completion's tokens
# and take the mean over the completions. Libraries differ here, and the difference is a weight on each token.
# With $l_{bt}$ for the loss of token t in completion b and $m_{bt}$ for the mask:
#
# | `how` | what is computed | who does so |
# | --- | --- | --- |
# | `"sum"` | $\frac1B \sum_b \sum_t m_{bt} l_{bt}$ | REINFORCE, as derived in Part 2 |
# | `"sequence"` | $\frac1B \sum_b \big(\sum_t m_{bt} l_{bt} / \sum_t m_{bt}\big)$: each completion's mean, then the mean of these | GRPO as published |
# | `"token"` | $\sum_{bt} m_{bt} l_{bt} / \sum_{bt} m_{bt}$: one mean over all tokens of the batch | DAPO (Yu et al. 2025) |
# | `"constant"` | $\sum_{bt} m_{bt} l_{bt} / (B \cdot c)$ with a number c that stays the same | Dr. GRPO (Liu et al. 2025) |
#
# **What is wrong with a mean over the completion's own length?** A good completion has a negative loss,
# a bad one a positive.
# Divided by the length, each token of a *long* bad completion is pushed down less than each token of a short bad one.
# So where the policy errs, it is better off if it errs at length. This argument is Dr. GRPO's
# ([arXiv 2503.20783](https://arxiv.org/abs/2503.20783)).
# The sum has no such preference: it is the gradient that was derived.
# Neither has a constant, which is the sum on another scale.
#
# **A small example.** Two completions of 2 and 4 tokens, each token with the loss 1. Sum: (2 + 4)/2 = 3.
# Sequence: (1 + 1)/2 = 1. Token: 6/6 = 1. Constant, with c = 4: 6/(2 · 4) = ¾.
# %% [markdown] q="q3_8" level=2
# **Exercise 3.8 · `aggregate_token_losses`**
#
# - A masked position contributes nothing, to the result and to the gradient, whatever number stands there.
# - `"sequence"`: a completion without any token counts as 0, and it counts in the mean.
# - `"token"`: if no token counts at all, the result is 0, and `backward()` on it works.
# - Any other `how`, or `"constant"` without a number, raises a `ValueError`.
#
# <details><summary>Hint 1: what they share</summary>
#
# All four begin alike: the losses with 0 at masked positions. They differ in what the sum is divided by.
# Write down that denominator for the example of 2 and 4 tokens.
#
# </details>
#
# <details><summary>Hint 2: empty completions</summary>
#
# A completion without any token has the sum 0 and the length 0. Let the *denominator* be at least 1 (`clamp(min=1)`):
# then 0/1 = 0, and the result stays in the graph.
#
# </details>
# %%
def aggregate_token_losses(token_losses, mask, how, constant=None):
    """One loss from those of the tokens.

    Args:
        token_losses: [B, T].
        mask: [B, T] bool, True on the tokens to count.
        how: "sum", "sequence", "token" or "constant".
        constant: what "constant" divides each completion's sum by.

    Returns:
        A scalar with gradients to `token_losses`.

    Raises:
        ValueError: there is no such way, or "constant" has no number.
    """
    # BEGIN SOLUTION
    kept = token_losses.masked_fill(~mask, 0.0)  # [B, T]
    if how == "sum":
        return kept.sum(dim=1).mean()
    if how == "sequence":
        return (kept.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()
    if how == "token":
        return kept.sum() / mask.sum().clamp(min=1)
    if how == "constant" and constant is not None:
        return kept.sum() / (len(kept) * constant)
    raise ValueError(f"how is {how!r} and constant {constant}: take sum, sequence, token, or constant with a number")
    # END SOLUTION
# %% points=1.5 success="All four ways give the right number."
def test_aggregate_ways(aggregate_token_losses):
    losses = torch.tensor([[1.0, 2.0, 8.0], [4.0, 5.0, 6.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    check(aggregate_token_losses(losses, mask, "sum"), torch.tensor(3.5), {
        "the sum over completions is not divided by their number": 7.0,
        "the mask has no effect": 13.0,
        "this is the mean over tokens; `sum` divides by the number of completions alone": 2.333333,
        "one number for the batch is asked for": [3.0, 4.0],
    }, name='aggregate_token_losses, "sum"')
    check(aggregate_token_losses(losses, mask, "sequence"), torch.tensor(2.75), {
        "each completion's sum is divided by T; divide by the number of its tokens that count": 1.166667,
        "the means of the completions are added; take their mean": 5.5,
        "this is the mean over all tokens of the batch; take each completion's mean first": 2.333333,
        "this is the sum: each completion is divided by its own number of tokens": 3.5,
        "the mask has no effect": 4.333333,
        "one number for the batch is asked for": [1.5, 4.0],
    }, name='aggregate_token_losses, "sequence"')
    check(aggregate_token_losses(losses, mask, "token"), torch.tensor(2.333333), {
        "masked positions count in the denominator: divide by the number of tokens that count": 1.166667,
        "this is the mean of the completions' means; take one mean over all tokens": 2.75,
        "this is the sum: divide by the number of tokens that count": 7.0,
    }, name='aggregate_token_losses, "token"', rtol=1e-5)
    check(aggregate_token_losses(losses, mask, "constant", 4), torch.tensor(0.875), {
        "the number of completions is missing from the denominator": 1.75,
        "the constant has no effect": 3.5,
        "the constant multiplies; divide by it": 14.0,
        "the number of tokens is divided by as well": 0.583333,
    }, name='aggregate_token_losses, "constant"', rtol=1e-5)
# %% points=0.5 success="Completions without tokens count as 0, and what cannot be computed raises a ValueError."
def test_aggregate_edges(aggregate_token_losses):
    losses = torch.tensor([[1.0, 3.0], [5.0, 5.0]], requires_grad=True)
    mask = torch.tensor([[True, True], [False, False]])
    check(aggregate_token_losses(losses, mask, "sequence"), torch.tensor(1.0), {
        "a completion without tokens counts in the mean, as 0": 2.0,
        "a completion without tokens gives 0 / 0, which is NaN; it counts as 0": float("nan"),
    }, name='aggregate_token_losses, "sequence", with a completion without tokens', ordinary=(aggregate_token_losses(losses, ~mask, "token"), 5.0))
    nothing = aggregate_token_losses(losses, mask & False, "token")
    check(nothing, torch.tensor(0.0), {
        "without any token this is 0 / 0, which is NaN; the result is 0": float("nan"),
    }, name='aggregate_token_losses, "token", without any token')
    assert isinstance(nothing, torch.Tensor) and nothing.requires_grad, 'aggregate_token_losses, "token", without any token: backward() must work; keep the result in the graph'
    for how, constant in (("mean", None), ("constant", None)):
        with must_raise(ValueError, f"aggregate_token_losses: {how!r} with constant={constant}"):
            aggregate_token_losses(losses, mask, how, constant)
# %% points=0 success="Masked positions contribute nothing, and gradients, arguments and dtypes are right."
def test_aggregate_rules(aggregate_token_losses):
    losses, mask = torch.tensor([[1.0, 2.0, 0.5], [0.25, -1.0, 4.0]]), torch.tensor([[True, True, False], [True, False, True]])
    for how in ("sum", "sequence", "token", "constant"):
        wild = aggregate_token_losses(losses.masked_fill(~mask, 1e4), mask, how, 2)
        check(wild, aggregate_token_losses(losses, mask, how, 2), {
            "a masked position contributes; it must count for nothing": lambda got: True,
        }, name=f"aggregate_token_losses, {how!r}, with 10000 at masked positions")
        check_rules(aggregate_token_losses, losses, mask, how, 2)
# %% hidden={"values errors": 1, "gradients edges dtypes purity": 1}
# %% [markdown]
# **What each way weighs.** The gradient of the result to a token's loss is that token's weight.
# The table shows it for two completions, one of 2 and one of 6 tokens. **Predict first:** in which of the four ways
# does a token of the long completion weigh less than one of the short completion?
# %%
weighed = torch.zeros(2, 6, requires_grad=True)
lengths = torch.tensor([2, 6])
of_length = torch.arange(6)[None, :] < lengths[:, None]  # [2, 6]
for how in ("sum", "sequence", "token", "constant"):
    (weight,) = torch.autograd.grad(aggregate_token_losses(weighed, of_length, how, 6), weighed)
    print(f"{how:10} a token of the short one: {weight[0, 0]:.3f}   of the long one: {weight[1, 0]:.3f}")
# %% [markdown]
# **What is called GRPO differs from program to program.** As published, it divides each completion's loss by its length
# (`"sequence"`), divides the advantage by the group's standard deviation, and has k3 in the loss. Here, to change one
# thing at a time, the loss is summed, k1 is in the reward, and 0.000001 is added to the population's deviation.
# The library TRL by default has `"token"` (there: `"dapo"`), the sample's deviation plus 0.0001, and no fine.
# **Dr. GRPO** drops both divisions: the length favours long errors, and the deviation weighs up prompts
# whose completions are nearly equal. What is left is reward minus the group's mean, which is (G − 1)/G times
# RLOO's leave-one-out advantage of Part 2, with G completions in a group.
# %% [markdown]
# ### Your turn: two updates from one batch
#
# The loop over the epochs is the heart of PPO, and it is yours to write (without points).
# The comparison below runs on it.
# Two gauges belong to every log of PPO. They are taken in the last epoch, where ρ is no longer 1, *before* its update:
# the **clip fraction**, the share of the completions' tokens whose ratio lies outside 1 ± ε,
# and the mean of **|ρ − 1|** over these tokens. A clip fraction of 0 means that the clip did nothing at all.
#
# Each epoch computes the log-probs of the same batch under the policy *as it is then*, the loss of Exercise 3.6 with
# `rollout.log_probs` as the old ones, and makes one update: clear the gradients, go backward, cut the gradient's norm
# to 1, step.
#
# <details><summary>Hint 1: the log-probs</summary>
#
# `policy_logits(policy, rollout.ids, rollout.attention_mask)` gives the logits,
# and your `token_log_probs` the log-probs, `[B, T-1]`. The mask is `rollout.completion_mask[:, 1:]`.
#
# </details>
# <details><summary>Hint 2: the gauges</summary>
#
# The ratio is the exponential of a difference of log-probs. Take it without gradients (`detach`), and at the masked
# tokens alone: `x[mask]` is a list of them.
#
# </details>
# %%
def ppo_update(policy, optimizer, rollout, advantages, clip=0.2, epochs=2):
    """`epochs` updates of the policy from one batch, with PPO's clipped loss.

    Args:
        policy: the model to train; its weights are in `optimizer`.
        optimizer: takes one step an epoch.
        rollout: the batch, with the log-probs noted while sampling, [B, T-1].
        advantages: [B].
        clip: ε.
        epochs: how many updates.

    Returns:
        dict of floats, all of the last epoch before its update: loss, clip_fraction, ratio_shift (the mean of |ρ − 1|).
    """
    # BEGIN SOLUTION
    mask = rollout.completion_mask[:, 1:]  # [B, T-1]
    for _ in range(epochs):
        logits = policy_logits(policy, rollout.ids, rollout.attention_mask)  # [B, T, V]
        log_probs = token_log_probs(logits, rollout.ids)  # [B, T-1]
        loss = ppo_clip_loss(log_probs, rollout.log_probs, advantages, mask, clip)
        shift = ((log_probs.detach() - rollout.log_probs)[mask].exp() - 1).abs()  # [N] |ρ − 1|
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    return {
        "loss": loss.item(),
        "clip_fraction": (shift > clip).float().mean().item(),
        "ratio_shift": shift.mean().item(),
    }
    # END SOLUTION
# %% [markdown]
# **Sanity check.** In the first epoch the policy still is the one that wrote the batch,
# so the ratio is 1 up to rounding. In the second it is not.
# And as each ratio is 1, the loss of the first epoch is minus the mean of advantage times length, whatever the texts.
# %%
trial = trainable_copy(reference, preset)
trial_optimizer = torch.optim.AdamW(trial.parameters(), lr=preset.kl.learning_rate)
trial_rollout = generate(reference, tokenizer, train_prompts[:8], preset.new_tokens, generator=0)
trial_advantages = torch.linspace(-1, 1, 8, device=trial_rollout.ids.device)  # [8]
lengths = trial_rollout.completion_mask.sum(1)  # [8]
first = ppo_update(trial, trial_optimizer, trial_rollout, trial_advantages, epochs=1)
print("first epoch:", {name: round(value, 4) for name, value in first.items()})
assert first["ratio_shift"] < 1e-3, "before any update the ratio is 1: which log-probs are the old ones?"
expected = -(trial_advantages * lengths).mean().item()
assert abs(first["loss"] - expected) < 1e-2, "the loss of ratios that are 1 is another"
later = ppo_update(trial, trial_optimizer, trial_rollout, trial_advantages, epochs=1)
print("second epoch:", {name: round(value, 4) for name, value in later.items()})
assert later["ratio_shift"] > first["ratio_shift"], "after an update the ratios are no longer 1: did the policy change?"
# %% [markdown]
# **The comparison.** Two more runs at the best fixed α, each with **half as many batches and two updates from each**:
# the same number of updates as REINFORCE, from half the samples. "PPO" uses the clipped loss with the batch's mean
# as baseline; "GRPO" uses it with groups of four completions per prompt. About one minute.
#
# **Predict first:** will PPO end above REINFORCE at half its training, which had seen as many samples? Above REINFORCE
# at its end, which had made as many updates? And what share of the tokens will lie outside the clip range?
#
# Put the α you found best in the sweep into the next cell; the rest of the notebook uses it. It must be one of the
# sweep's.
# %%
best_alpha = preset.kl.alpha  # yours: the α you would use, from Question 3.B
best = sweep.run_with(runs, best_alpha)  # the sweep's run at this α; an error if there is none


def train_two_epochs(name, settings, folder):
    """Train with PPO's clipped loss: half the batches, two updates from each."""
    seed_everything(run_seed(0))
    policy = trainable_copy(reference, preset)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=preset.kl.learning_rate)
    group = settings["group_size"]
    source = rollout_source(
        policy, tokenizer, train_prompts, preset.new_tokens, preset.kl.batch_size, repeats=group, seed=run_seed(0)
    )

    def step(rollout, number):
        mask = rollout.completion_mask[:, 1:]  # [B, T-1]
        with torch.no_grad():
            reference_log_probs = token_log_probs(
                policy_logits(reference, rollout.ids, rollout.attention_mask), rollout.ids
            )  # [B, T-1]
        rewards = reward_model(rollout.texts).to(mask.device)  # [B]
        shaped = kl_shaped_rewards(rewards, rollout.log_probs, reference_log_probs, mask, settings["alpha"])  # [B]
        advantages = group_advantages(shaped, group) if group > 1 else shaped - shaped.mean()  # [B]
        record = ppo_update(policy, optimizer, rollout, advantages)
        k1 = kl_estimates(rollout.log_probs, reference_log_probs)["k1"]  # [B, T-1]
        return {
            **record,
            "reward": rewards.mean().item(),
            "objective": shaped.mean().item(),
            "k1": per_completion(k1, mask),
            "alpha": settings["alpha"],
        }

    history = train(
        step, source, steps=max(1, sizes.steps // 2), policy=policy, optimizer=optimizer, folder=folder,
        settings={**settings, **common}, description=name,
    )  # fmt: skip
    return policy, history
# %% tags=["training"]
two_epoch_plan = {
    "PPO": {"alpha": best_alpha, "group_size": 1, "method": "PPO, 2 epochs"},
    "GRPO": {"alpha": best_alpha, "group_size": 4, "method": "GRPO, 2 epochs"},
}
two_epochs = sweep.sweep(two_epoch_plan, train_two_epochs, examine, common=common, workers=workers)
sweep.save_points(two_epochs)
plots.show(figures.plot_sweep(two_epochs, ("clip_fraction", "ratio_shift"), title="Two epochs: does the clip act?"))
plots.show(figures.plot_frontier([run.point for run in {**everything, **two_epochs}.values()], bounds))
display(sweep.table({best.name: best, **two_epochs}, alpha=best_alpha, drawn=drawn, possible=bounds))
half = max(1, (int(best.history["step"][-1]) + 1) // 2)  # a recorded run has every fifth step only
halfway = [r for step, r in zip(*best.history.measured("reward"), strict=True) if half - 10 <= step < half]
print(f"reward in training, mean of ten batches: {best.name} at half its samples {sum(halfway) / len(halfway):.3f}")
print("; ".join(f"{name} at its end {run.history.mean('reward', last=10):.3f}" for name, run in two_epochs.items()))
if "PPO" in two_epochs:  # else the runs were stopped
    ppo = two_epochs["PPO"]
    of_ppo, of_best = (run.scores["reward"] - best_alpha * run.scores["kl"] for run in (ppo, best))
    margin = ppo.scores["half_width"] + best.scores["half_width"]
    sentence = "from half the samples PPO gets no higher J than REINFORCE, to within the intervals"
    claim("3_half_the_samples", sentence, of_ppo - of_best < margin, of_ppo - of_best)
    clipped = ppo.history.mean("clip_fraction")
    sentence = "in PPO's second epoch more than 1 % of the tokens lie outside the clip range"
    claim("3_clip_acts", sentence, clipped > 0.01, clipped)
# %% [markdown]
# **What does the second epoch save?** It is said to save samples. The fair question is therefore: what had REINFORCE
# reached *with the same samples*, at half its training? The printed lines compare just that. Where the numbers
# are about equal, two epochs have saved nothing: the same samples, the same reward, twice the updates.
# If PPO is clearly ahead of REINFORCE's halfway mark, it has made more of its samples. Then look at the price:
# the second update of a batch follows the same noise once more. Compare KL and J with those of REINFORCE at its end,
# which had as many updates and twice the samples.
#
# Compare J and the two gauges, too. If the clip fraction is near 0 in all steps, the run would have been the same
# without the clip: what PPO is known for did not take part. If it is a large part of all tokens, a single update
# already carries the policy out of the range, and the second epoch pulls at few tokens only: the steps are large for
# this batch. Where sampling is the expensive part, as with large models, a gain in samples may be worth some KL.
# %% [markdown]
# ## 3.8 Optional: an α that changes
#
# *This section is optional: nothing later needs it. Its two exercises carry one point each.*
#
# A fixed α has two weaknesses. It must be found by trying, as you have just done: an α that is right for one reward is
# wrong for another, because it is an exchange rate between nats and that reward's units. And one value must serve the
# whole training, although the beginning and the end want different things. Two remedies are in use.
#
# **Annealing** changes α along a fixed plan, here a straight line from a start value to an end value.
# *Example:* from 0.4 to 0.1 in 20 steps, step 5 is a quarter of the way, so α = 0.4 − 0.25 · 0.3 = 0.325.
# %% [markdown] q="q3_9" level=1 optional=true
# **Exercise 3.9 · `anneal_alpha`**
#
# Return the α of a step: linear from `start` at step 0 to `end` at step `total_steps`, and `end` at every later step.
# With `total_steps == 0` we are at the end from the beginning. `start` may be larger or smaller than `end`.
# Return a Python float.
#
# <details><summary>Hint 1: a share of the way</summary>
#
# Which share of the way has been gone at this step? It is 0 at step 0 and 1 at `total_steps`, and never more than 1.
#
# </details>
#
# <details><summary>Hint 2: no way at all</summary>
#
# With `total_steps == 0` the share cannot be computed; it is 1. Go from `start` by this share of `end - start`:
# the sign of the difference makes the line rise or fall.
#
# </details>
# %%
def anneal_alpha(step, total_steps, start, end):
    """α on a straight line from `start` (step 0) to `end` (step `total_steps`), held at `end` after.

    Args:
        step: number of the step, from 0.
        total_steps: where the line ends; 0 means at once.
        start, end: α at the two ends.

    Returns:
        float
    """
    # BEGIN SOLUTION
    share = 1.0 if total_steps == 0 else min(step / total_steps, 1.0)
    return float(start + share * (end - start))
    # END SOLUTION
# %% points=0.25 success="The line is right, falling and rising."
def test_anneal_line(anneal_alpha):
    check(anneal_alpha(5, 20, 0.4, 0.1), 0.325, {
        "start and end are swapped": 0.175,
        "the end is reached one step early: the line ends at step total_steps": 0.3210526,
        "step 0 must give start: the line is one step ahead": 0.31,
        "the result stays at start: is there an integer division, or is the line not linear?": 0.4,
        "this is geometric (equal factors); the definition is linear (equal differences)": 0.2828427,
        "this is a cosine; the definition is linear": 0.3560660,
        "`end` is not used on the way: the line goes to 0": 0.3,
        "this is not linear: it is already at the end": 0.1,
    }, name="anneal_alpha(5, 20, 0.4, 0.1)")
    check(anneal_alpha(5, 20, 0.1, 0.5), 0.2, {
        "a schedule that should rise jumps to its end: start may be smaller than end": 0.5,
        "a schedule that should rise stays at its start": 0.1,
    }, name="anneal_alpha(5, 20, 0.1, 0.5)")
# %% points=0.25 success="The line begins at `start`, ends at `end`, and stays there."
def test_anneal_ends(anneal_alpha):
    check(anneal_alpha(0, 20, 0.4, 0.1), 0.4, name="anneal_alpha at step 0")
    check(anneal_alpha(20, 20, 0.4, 0.1), 0.1, name="anneal_alpha at step total_steps")
    check(anneal_alpha(30, 20, 0.4, 0.1), 0.1, {"after total_steps α must stay at end; here it goes on": -0.05}, name="anneal_alpha after the end")
    with trying("anneal_alpha: total_steps = 0 means at the end, so do not divide by zero"):
        got = anneal_alpha(0, 0, 0.4, 0.1)
    check(got, 0.1, {"total_steps = 0 means at the end, not at the start": 0.4}, name="anneal_alpha with total_steps = 0")
    got = anneal_alpha(9, 4, 3, 1)
    assert is_float(got), f"anneal_alpha must return a Python float, also when start and end are ints; got a {type(got).__name__}"
# %% points=0 success="A schedule may begin or end at 0, and its steps may be floats."
def test_anneal_zero_and_floats(anneal_alpha):
    for start, end in [(0.0, 1.0), (1.0, 0.0)]:
        check(anneal_alpha(5, 10, start, end), 0.5, {
            "the schedule stays at its start; 0 is a number like any other, and the line is straight": start,
            "the schedule jumps to its end; 0 is a number like any other, and the line is straight": end,
        }, name=f"anneal_alpha(5, 10, {start}, {end})", ordinary=(anneal_alpha(5, 20, start + 0.5, end + 0.5), 0.5 + 0.75 * start + 0.25 * end))
    check(anneal_alpha(2.5, 10, 0.0, 1.0), 0.25, {"steps that are floats are rounded": 0.2}, name="anneal_alpha(2.5, 10, 0.0, 1.0)")
# %% hidden={"values": 0.25, "edges": 0.25}
# %% [markdown]
# **The adaptive controller** turns the question round. It is easier to say how far the policy may go
# ("about 8 nats") than to say what a nat should cost. So state a **target KL** and let α find itself:
# if the policy is too far away, raise the price, if it is nearer than it needs to be, lower it.
# This is a **proportional controller**, like a thermostat, as used by Ziegler and others (2019):
#
# $$\alpha_\text{new} = \alpha \cdot \Big(1 + \mathrm{clip}\big(\tfrac{\text{observed KL}}{\text{target KL}} - 1,\; -0.2,\; 0.2\big) \cdot \tfrac{\text{steps}}{\text{horizon}}\Big).$$
#
# The bracket after clip is the relative error: +0.5 means "half as far again as wanted".
# **clip** keeps it between −0.2 and 0.2, so that one odd batch cannot throw α off.
# The last factor sets the pace: `steps` is how much training went by since the last adjustment,
# `horizon` how much should go by until a full correction is made. *Example:* α = 0.1, observed 8, target 2:
# the error of 3 is clipped to 0.2; with 50 steps of a horizon of 100, α becomes 0.1 · (1 + 0.2 · 0.5) = 0.11.
# %% [markdown] q="q3_10" level=1 optional=true
# **Exercise 3.10 · `adapt_alpha`**
#
# Return the new α by this formula, as a Python float. The observed KL may be an estimate, so it may be negative.
#
# <details><summary>Hint 1: one piece at a time</summary>
#
# Compute the relative error, clip it, scale it by the two step counts, and only then touch α. Do it by hand for the
# example above.
#
# </details>
#
# <details><summary>Hint 2: clipping a number</summary>
#
# For Python numbers `min(max(x, -0.2), 0.2)` is a clip. A negative observed KL needs no care of its own.
#
# </details>
# %%
def adapt_alpha(alpha, observed_kl, target_kl, horizon, steps):
    """One adjustment of the proportional controller of Ziegler et al. (2019), arXiv 1909.08593, section 2.2.

    Args:
        alpha: the present α.
        observed_kl: the KL just measured (an estimate: it may be negative).
        target_kl: the KL wanted, above 0.
        horizon: how much training a full correction takes, in the unit of `steps`.
        steps: how much training went by since the last adjustment.

    Returns:
        float, the new α.
    """
    # BEGIN SOLUTION
    error = min(max(observed_kl / target_kl - 1.0, -0.2), 0.2)
    return float(alpha * (1.0 + error * steps / horizon))
    # END SOLUTION
# %% points=0.25 success="A small error is corrected in proportion."
def test_adapt_small_error(adapt_alpha):
    got = adapt_alpha(0.1, 2.1, 2.0, 100, 40)
    check(got, 0.102, {
        "the wrong direction: a KL above the target must raise alpha": 0.098,
        "the quotient is upside down: it is observed over target": 0.0980952,
        "steps and horizon are not used: the error is multiplied by steps / horizon": 0.105,
        "the error is a ratio minus 1, not a difference of the two KLs": 0.104,
        "the minus 1 is missing: the error is observed / target - 1": 0.108,
        "this is only the factor; multiply it by alpha": 1.02,
        "the correction is added; it multiplies alpha": 0.12,
        "this is only the change; alpha itself is missing": 0.002,
        "steps and horizon are the wrong way round: it is steps / horizon": 0.1125,
        "a KL above the target changes nothing": 0.1,
    }, name="adapt_alpha(0.1, 2.1, 2.0, 100, 40)", atol=1e-6)
    assert is_float(got), f"adapt_alpha must return a Python float, not a {type(got).__name__}"
# %% points=0.25 success="Large errors are clipped, above and below."
def test_adapt_clip(adapt_alpha):
    check(adapt_alpha(0.1, 8.0, 2.0, 100, 50), 0.11, {
        "a large error is not clipped from above": 0.25,
        "clip the error before it is multiplied by steps / horizon": 0.12,
        "the error is clipped at the wrong border: it is 0.2": 0.125,
    }, name="adapt_alpha(0.1, 8.0, 2.0, 100, 50)", atol=1e-6)
    check(adapt_alpha(0.1, 0.5, 2.0, 100, 50), 0.09, {
        "an error far below 0 is not clipped from below": 0.0625,
        "alpha must fall when the KL is below the target": 0.1,
    }, name="adapt_alpha(0.1, 0.5, 2.0, 100, 50)", atol=1e-6)
# %% points=0 success="A negative estimate of the KL is an error far below 0."
def test_adapt_negative(adapt_alpha):
    with trying("adapt_alpha: an estimate of the KL may be negative"):
        got = adapt_alpha(0.1, -0.5, 2.0, 100, 50)
    check(got, 0.09, {"a negative estimate is taken for a positive one": 0.1, "a negative estimate raises alpha": 0.11}, name="adapt_alpha of a negative estimate", ordinary=(adapt_alpha(0.1, 0.5, 2.0, 100, 50), 0.09))
# %% hidden={"values": 0.25, "edges": 0.25}
# %% [markdown]
# **Sanity check.** A toy without any language model: suppose the KL that a policy settles at is 0.1/α.
# Starting far off, the controller must bring the KL to its target of 8, that is, α to 0.0125.
# %%
trial = 0.1
for number in range(120):
    if number % 20 == 0:
        print(f"step {number:3d}: α = {trial:.4f}, KL = {0.1 / trial:.2f}")
    trial = adapt_alpha(trial, 0.1 / trial, target_kl=8.0, horizon=160, steps=32)
# %% [markdown]
# ### Both beside the best fixed α
#
# Your best α stands in section 3.7. Put a target into the next cell: how many nats per completion may the policy go?
# Choose it by hand, from what you have read in the samples of the sweep, not from a formula.
#
# The next cell trains two more policies: one with α annealed, from ten times your α to a third of it,
# and one with the controller, which starts at your α and aims at your target.
# It counts in completions, as the paper does: one training step is one batch. One and a half minutes to three.
#
# **Predict first:** at step 0 the policy *is* the reference, and its KL is 0, far below any target.
# What will the controller do to α in the first steps?
# %%
target_kl = 3.0  # yours: how far the policy may go, in nats per completion


def train_scheduled(name, settings, folder):
    """Train with an annealed α ("end" in the settings) or with the controller ("target_kl" in the settings)."""
    if "end" in settings:
        return run_training(
            name,
            settings,
            folder,
            lambda number, state: anneal_alpha(number, sizes.steps, settings["alpha"], settings["end"]),
        )

    def adjust(record, state):
        state["alpha"] = adapt_alpha(
            state["alpha"], record["k1"], settings["target_kl"], settings["horizon"], preset.kl.batch_size
        )

    return run_training(name, settings, folder, lambda number, state: state["alpha"], adjust)
# %% tags=["training"]
schedule_plan = {
    "annealed": {"alpha": 10 * best_alpha, "end": best_alpha / 3, "method": "annealed α"},
    "controlled": {
        "alpha": best_alpha, "target_kl": target_kl, "horizon": 20 * preset.kl.batch_size, "method": "controlled α",
    },
}  # fmt: skip
scheduled = sweep.sweep(schedule_plan, train_scheduled, examine, common=common, workers=workers)
compared = {best.name: best, **scheduled}
plots.show(
    figures.plot_sweep(
        compared, ("alpha", "kl", "reward", "repetition"), title="A fixed α, an annealed one and a controlled one"
    )
)
sweep.save_points(scheduled)
plots.show(figures.plot_frontier([run.point for run in {**everything, **scheduled}.values()], bounds))
display(sweep.table({"untuned": untuned, **compared}, alpha=best_alpha, drawn=drawn, possible=bounds))
if "controlled" in scheduled:  # else the runs were stopped
    controlled = scheduled["controlled"].history
    print("The controller:", sweep.controller_told(controlled["alpha"], controlled["k1"], target_kl))
    start, *_, end = alphas = controlled["alpha"]
    told = f"{start:.2g}, {min(alphas):.2g}, {end:.2g}"
    turns = min(start, end) > 1.05 * min(alphas)
    claim("3_controller_turns", "the controller lowers α at first, and raises it later", turns, told)
    reached = controlled.mean("k1", last=10)
    sentence = "the controller's KL ends within a factor of two of its target"
    claim("3_controller_near", sentence, 0.5 < reached / target_kl < 2, reached)
# %% [markdown]
# The first panel shows α: a constant, a falling line, and the controller's path.
#
# The controller's path has a beginning of its own. The policy starts at KL 0, so the error is clipped at −0.2, and α
# falls by the same factor in every step until the KL comes near the target. Up to there the controller is a fixed plan;
# it *controls* only after α has left this first clip. The printed sentence says whether it did, and when.
# A horizon that is long beside the training never leaves it. A short one leaves it soon, but then α has fallen
# low by the time the KL arrives, and the KL may shoot past the target before α is up again. The plots of α and KL show
# which it was here.
#
# For J the table takes your fixed α in every row, since three policies need one price to be compared.
# On the frontier, see whether the new points lie above the points of the fixed values, among them, or below,
# and how far all of them are from the grey lines.
# With one run each, differences of the size of the intervals mean little.
# %% [markdown]
# ## 3.9 In practice, questions, summary
#
# ### Rewards that can be verified
#
# Our reward is a model's opinion. For mathematics and programs there is something better: the result can be checked,
# the unit tests can be run. Training on such rewards is called **RLVR**, reinforcement learning with verifiable
# rewards (Lambert et al. 2024, *Tülu 3*; DeepSeek-R1, 2025). There the KL term is often dropped: DAPO (Yu et al. 2025)
# and Dr. GRPO (Liu et al. 2025) do without it, and it is off by default in TRL (`beta = 0.0`).
# The reason follows from this notebook. The leash keeps the policy where the reward can be *trusted*.
# A verifier is right everywhere, so there is nothing to over-optimise, and the fine only holds learning back;
# without it, one model less has to be kept in memory. Two caveats: a verifier checks the result alone, so what else the
# model could do (style, other languages, variety) is no longer guarded by anything;
# and real verifiers have holes, such as tests that a program can satisfy without solving the task.
#
# ### When the engine that samples is not the model that learns
#
# Large models are sampled by a program built for speed (an *engine*, such as vLLM or SGLang), and trained by another.
# Both hold the same weights, and still give slightly different log-probs: other kernels, other rounding.
# So the samples are off-policy from the first update on, and over thousands of tokens the differences add up.
# The test is the one of section 3.2: at step 0, k1 between the two programs should be 0; its size is the mismatch.
# The remedy is an importance weight per token, π_train/π_engine, cut off above, $\min(w, c)$: **truncated importance
# sampling** (Ionides 2008; for language models Yao et al. 2025). Cutting off brings in a little bias and takes away
# the rare huge weights that would ruin the gradient. It is PPO's ratio with another purpose:
# there the two policies differ because one has learned, here because two programs compute the same thing.
# %% [markdown]
# ### Questions
# %% [markdown] q="w3_4"
# **Question 3.C.** Name a main limit of REINFORCE with a fixed KL fine, as you have seen it here,
# and explain it. Which remedy fits it, and what does it leave unsolved? Use a comparison of this notebook.
# (Annealing and the controller, in section 3.8, are remedies of one limit; smaller steps, larger batches,
# a better baseline or a second epoch are remedies of another.)
# %% [markdown]
# The main limit is α itself. It is an exchange rate between nats and units of this reward, so no value carries over to
# another reward model or another policy, and a wrong one fails either way: too high and hardly anything is learned,
# too low and the text is lost, at the latest after more steps. It must be found by a sweep, which costs as many
# training runs as there are values. Moreover,
# one value has to serve the whole training: the strong hold that protects the text late in training slows learning
# at the beginning.
#
# (Another limit would do as well: the noise. The fine is one number for all tokens of a completion, the gradient comes
# from one batch, and the policy pays for the nats that this noise has moved it. How far below the best J it ends
# stands in the table, and the remedy is smaller steps, larger batches, a better baseline. Section 3.6 compares
# two sizes of steps.)
#
# Remedies: annealing moves α along a plan, so that each phase of training gets its own exchange rate;
# the controller replaces the unknown α by a target KL, which means the same for every reward, and finds α on the way.
# Whether it did so in a run the sentences printed in section 3.8 say: as long as α stays in its first clip,
# the controller is a plan like any other. The frontier shows whether either of them lies nearer to what is possible.
#
# What stays unsolved: the reward model is as wrong as before, and at the same KL the same hacks are open.
# The annealing plan and the controller have settings of their own (start, end, target, horizon),
# and the target has to be chosen by reading texts, as α had.
#
# **Rubric**
# - 1 point: names a main limit of REINFORCE with a fixed KL fine and explains it from the objective (α is an exchange
#   rate between nats and reward units, must be tuned for each reward and model, and serves the whole training) or from
#   the runs (the gradient's noise costs nats that buy nothing: J below the best J).
#   *Not* a limit: that the KL allows narrowing; it contains the negative entropy
# - 1 point: names a remedy that fits it (annealing, the controller, early stopping at a KL, smaller steps or larger
#   batches, groups of completions, a better reward model, PPO's trust region …) and how it works
# - 1 point: says what the remedy does not solve or what it costs, with reference to a comparison of the notebook
# %% [markdown] q="q3_D"
# **Question 3.D (k3 in the loss).** A program adds α·k3 to the *loss*, summed over the completion's tokens,
# and samples each batch from the present policy. The cell of section 3.3 that compares gradients will help.
#
# (a) Which divergence does the mean gradient hold small (`"divergence"`)?
#
# * "A": KL(π‖π_ref), as k3 is an unbiased estimate of it
# * "B": KL(π_ref‖π)
# * "C": neither: the mean gradient is 0
# * "D": the mean of both
#
# (b) The reference writes sensible texts with probability 0.999 and nonsense with 0.001;
# the policy writes nonsense with probability 0.1. Compute KL(π‖π_ref) (`"reverse"`) and KL(π_ref‖π) (`"forward"`)
# in nats, to three digits, with these two outcomes. (Which of the two minds the nonsense? No entry asks for that.)
#
# (c) Which change gives the program the mean gradient of the fine of Exercise 3.3 (`"change"`)?
#
# * "A": k1 in place of k3
# * "B": k2 in place of k3
# * "C": k3 in the reward, detached, and not in the loss
# * "D": a larger α
# %%
def k3_in_the_loss():
    """Answers to Question 3.D: {"divergence": "A", "reverse": 1.0, "forward": 1.0, "change": "A"}."""
    # BEGIN SOLUTION
    policy, reference = (0.9, 0.1), (0.999, 0.001)

    def divergence(first, second):
        return sum(p * math.log(p / q) for p, q in zip(first, second, strict=True))

    return {
        "divergence": "B",
        "reverse": divergence(policy, reference),
        "forward": divergence(reference, policy),
        "change": "B",
    }
    # END SOLUTION
# %% points=0 success="Question 3.D has two letters from A to D, and two plain numbers."
def test_k3_in_the_loss_form(k3_in_the_loss):
    choices = {"divergence": "ABCD", "reverse": None, "forward": None, "change": "ABCD"}
    check_choices(k3_in_the_loss(), choices, name="k3_in_the_loss")
# %% points=0.5 hidden=true success="The divergence is right." failure="(a) KL(π_ref‖π): in the cell the row of k3 in the loss has the numbers of this one. That k3 is unbiased does not help, since the program leaves out that the samples depend on the policy as well."
def test_k3_divergence(k3_in_the_loss):
    check_answers(k3_in_the_loss(), {"divergence": "B"})
# %% points=1 hidden=true success="Both divergences are right." failure="(b) KL(π‖π_ref) = 0.9 ln(0.9/0.999) + 0.1 ln 100 = 0.367 nats, KL(π_ref‖π) = 0.999 ln(0.999/0.9) - 0.001 ln 100 = 0.0997. The fine averages over what the policy writes and minds the nonsense; the other one averages over what the reference writes."
def test_k3_numbers(k3_in_the_loss):
    check_answers(k3_in_the_loss(), {"reverse": 0.366589, "forward": 0.099649})
# %% points=0.5 hidden=true success="The change is right." failure="(c) k2 in the loss has the gradient of KL(π‖π_ref). k1 in the loss has none on average, k3 in the reward a wrong one, and α changes its size only."
def test_k3_change(k3_in_the_loss):
    check_answers(k3_in_the_loss(), {"change": "B"})
# %% [markdown] q="w3_6"
# **Question 3.E.** Language models are often fine-tuned with PPO, whose clip already limits how far a
# single update goes. Why does one still add a KL term to the reference? What does each of the two hold back?
# %% [markdown]
# The clip compares the policy with the policy that sampled *this batch*, a few updates ago. It makes each update safe,
# but a hundred small safe updates in the same direction still lead far away: the clip forgets where training began.
# The KL term compares with the fixed reference and remembers. It has two tasks. It keeps the policy in the region
# where the reward model was trained and can be trusted, so that reward hacking does not pay.
# And it keeps the abilities of the pretrained model, grammar, facts, variety, which the reward says nothing about and
# which could be lost otherwise. Too much of it and hardly anything is learned; too little,
# and the policy may collapse onto a few texts that the reward model overrates: compare the two ends of the sweep.
# The KL is also the best gauge to watch during training: a sudden rise often comes before the text breaks.
#
# **Rubric**
# - 1 point: keeps the policy where the reward model is valid (against reward hacking / over-optimisation)
# - 1 point: keeps what the pretrained model can do: fluent, varied language; prevents collapse onto a few texts
# - 1 point: distinguishes the KL to the fixed reference from PPO's clip,
#   which limits each update relative to the previous policy and does not stop a slow drift over many updates
# %% [markdown] q="q3_F"
# **Question 3.F (an estimate below 0).** A fellow student's log shows the mean of k1 over 600 tokens.
# Is there a fault in their program, or no cause for worry?
# Answer "fault" or "chance" for
#
# (a) a mean of −0.4 nats with a standard error of 0.05;
# (b) a mean of −0.02 nats with a standard error of 0.05;
# (c) a single token with k1 = −3.2 in a batch whose mean is 0.1, with a standard error of 0.03.
#
# (d) Which check finds such a fault at once?
#
# * "A": In training the loss must fall.
# * "B": Before the first update k1 must be 0 at every token.
# * "C": The mean of k3 must be positive.
# * "D": The gradient's norm must be below 1.
#
# (e) By mistake all texts were sampled from the reference, and not from the policy. What is the mean of k1 then?
#
# * "A": KL(π‖π_ref)
# * "B": KL(π_ref‖π)
# * "C": −KL(π_ref‖π)
# * "D": 0
# %%
def negative_estimates():
    """Answers to Question 3.F: {"a": "fault", "b": "fault", "c": "fault", "d": "A", "e": "A"}."""
    # BEGIN SOLUTION
    return {"a": "fault", "b": "chance", "c": "chance", "d": "B", "e": "C"}
    # END SOLUTION
# %% points=0 success="Question 3.F has three words and two letters, each one of its choices."
def test_negative_estimates_form(negative_estimates):
    check_choices(negative_estimates(), dict.fromkeys("abc", ("fault", "chance")) | dict.fromkeys("de", "ABCD"), name="negative_estimates")
# %% points=1 hidden=true success="Fault and chance are told apart." failure="(a) is eight standard errors below 0, and the true KL is never negative: the tokens were not sampled from the policy in the formula. (b) is within one standard error of 0. (c) A single token may well be more probable under the reference."
def test_fault_or_chance(negative_estimates):
    check_answers(negative_estimates(), {"a": "fault", "b": "chance", "c": "chance"})
# %% points=0.5 hidden=true success="The check is right." failure="(d) Before the first update policy and reference are the same, so every k1 must be 0. k3 is positive whatever is wrong, and hides the fault."
def test_check_of_estimates(negative_estimates):
    check_answers(negative_estimates(), {"d": "B"})
# %% points=0.5 hidden=true success="The mean over the reference's texts is right." failure="(e) k1 is ln π - ln π_ref, and its mean over what the reference writes is -KL(π_ref‖π): far below 0 once the policy has moved."
def test_wrong_sampler(negative_estimates):
    check_answers(negative_estimates(), {"e": "C"})
# %% [markdown]
# ### Summary
#
# - KL(π‖π_ref) is the mean log-ratio over the policy's own tokens: 0 for equal models, never negative, not symmetric.
#   It is made of two parts, −H(π) and the implausibility under the reference: narrowing down costs nats, too.
# - It can be computed exactly from logits, or estimated from sampled tokens.
#   k1 and k3 have no bias, k2 has one; k3 is steadier near the reference, wild far from it, and hides bugs.
# - The fine α·log-ratio is added to the reward and detached.
#   REINFORCE then maximises reward minus α·KL without any other change.
#   The same estimates in the *loss* have other gradients: k1 none, k2 the right one, k3 that of KL(π_ref‖π).
# - α = 0: nothing holds the KL, nor the text. α too high: hardly anything can be gained, and noise costs most.
#   Compare policies by J, on the reward–KL frontier, with a second opinion, and by reading samples.
# - The optimum is the reference with each text weighted by $e^{r/\alpha}$. One sampling pass of the reference gives its
#   reward and KL for every α, and best-of-n as well. What a run lacks to them, training has not found.
# - The objective does not reward brevity: at the optimum texts of equal reward keep the reference's odds.
#   Steps that are too large may shorten texts all the same; report the length beside the KL.
# - PPO takes several updates from one batch and corrects by the ratio; its clip limits each update, the KL term the
#   whole journey. GRPO compares each completion with the others of its prompt.
# - Optional: annealing and a controller replace one unknown α by a plan or by a target KL.
#
# ### Further reading (all optional; the notebook is complete without it)
#
# - Ziegler and others, *Fine-Tuning Language Models from Human Preferences*,
#   [arXiv 1909.08593](https://arxiv.org/abs/1909.08593). Section 2 has the objective of this part and the controller.
#   **Optional.**
# - Schulman, *Approximating KL Divergence*, [joschu.net/blog/kl-approx.html](http://joschu.net/blog/kl-approx.html).
#   The three estimators, in two pages. **Optional.**
# - Gao, Schulman and Hilton, *Scaling Laws for Reward Model Overoptimization*,
#   [arXiv 2210.10760](https://arxiv.org/abs/2210.10760). Best-of-n and RL over the KL, under two reward models.
#   **Optional.**
# - *A Comedy of Estimators*, [arXiv 2512.21852](https://arxiv.org/abs/2512.21852). k1, k2 and k3 in the reward
#   and in the loss. **Optional.**
# - Schulman and others, *Proximal Policy Optimization Algorithms*,
#   [arXiv 1707.06347](https://arxiv.org/abs/1707.06347), and Shao and others, *DeepSeekMath* (GRPO),
#   [arXiv 2402.03300](https://arxiv.org/abs/2402.03300). **Optional.**
