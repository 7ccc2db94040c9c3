# %% [markdown]
# # Part 2 · Learning from reward: REINFORCE
#
# In Part 1 you measured what the language model does by itself: it continues the beginning of a movie review, sometimes
# kindly and sometimes not. In this part you change it. A second model, the **reward model**, reads each text and says
# how positive it is. Your code will make the language model write more of what gets a high reward. No one shows it a
# correct answer: it tries, it is told how good the attempt was, and it shifts a little. That is **reinforcement
# learning**, and the oldest and simplest method for it that works on language models is called **REINFORCE**.
#
# You will
#
# 1. learn the words of reinforcement learning, each one for the case of text;
# 2. derive the gradient of an expected reward, first by hand on an example with two words;
# 3. write the log-probabilities, the loss and the baseline, and see by experiment what a baseline is good for;
# 4. write one training step, train the model in a few minutes, and look closely at what it has become;
# 5. optionally, use the same gradient on two small control problems: a pole to balance and a ship to land.
#
# Nothing about reinforcement learning is assumed. You need Python, PyTorch tensors, derivatives, and Part 1.
#
# | section | what | time on a 2-core laptop |
# | --- | --- | --- |
# | 2.1 | the words: state, action, policy, reward, trajectory | reading |
# | 2.2 | the gradient of an expected reward | reading, seconds to run |
# | 2.3 | log-probabilities of tokens (exercise 2.1) | seconds |
# | 2.4 | the loss (exercise 2.2) | seconds |
# | 2.5 | baselines (exercise 2.3) and an experiment | seconds |
# | 2.6 | continuous actions: the Gaussian policy (exercises 2.4 and 2.5) | seconds |
# | 2.7 | rewards that come over time (exercise 2.6) | seconds |
# | 2.8 | one training step (exercise 2.7), a dry run, the training | 2 to 3 min |
# | 2.9 | results: what was learned, and what else happened | 20 s |
# | 2.10 | looking back: written questions | writing |
# | 2.11 | optional: a pole and a ship | 2 min |
# | 2.12 | summary and submission | |
#
# **Words used throughout the course.** The **policy** is the model we train.
# The **reference** is a frozen copy of the model it starts from. A **prompt** is the beginning of a text,
# a **completion** is what the policy adds to it. A **log-prob** is the natural logarithm of a probability.
# The **advantage** of a completion says how much better it was than expected; section 2.5 makes that exact.
#
# As before, your functions leave their arguments as they are, and return tensors of their `dtype` and on their device
# (`torch.zeros_like(x)`, `device=x.device`), unless the exercise says otherwise.
# %%
# What this notebook uses. Each name is explained where it first occurs.
import copy
import importlib.util
import time

import pandas as pd
import torch
import torch.nn.functional as F
import transformers

from helpers import plots
from helpers.data import load_prompts
from helpers.devices import choose_device, seed_everything
from helpers.display import show_samples
from helpers.evaluation import evaluate
from helpers.generation import generate
from helpers.models import load_policy, load_reward_model, policy_logits
from helpers.notebook.start import headline
from helpers.presets import choose_preset
from helpers.reinforce import figures
from helpers.runs import save_point
from helpers.training import rollout_source, train

preset = choose_preset("auto")  # which models and which data; prints what it chose and why
# %%
seed = 0  # change it to see how much depends on chance
sizes = preset.sizes("reinforce")  # to change one: preset.sizes("reinforce", training_steps=50)
print(sizes)
# %% [markdown]
# ## 2.1 The words of reinforcement learning, for text
#
# Reinforcement learning describes an **agent** that acts, step by step, in an **environment**. At each step the agent
# sees a **state**, chooses an **action**, and may receive a **reward**, which is a number. The rule by which it chooses
# is its **policy**. A policy is a probability distribution: given the state, it says how likely each action is.
# It is written $\pi_\theta(a \mid s)$, where $\theta$ stands for all of the policy's parameters (here, the weights of
# the network). The whole sequence of states, actions and rewards, from the first to the last step, is a **trajectory**.
# The goal is to choose $\theta$ so that the rewards of a trajectory add up to as much as possible, on average.
#
# A language model fits these words exactly:
#
# | word | in general | here |
# | --- | --- | --- |
# | state | what the agent sees | the text so far: the prompt and the tokens generated up to now |
# | action | what it chooses | the next token, one of the $V$ tokens of the vocabulary |
# | policy $\pi_\theta(a \mid s)$ | probability of each action | the language model's softmax over the next token |
# | transition | how the state changes | the chosen token is added to the end of the text; no chance is involved |
# | trajectory | one run from start to end | one prompt with its completion |
# | reward | a number for what happened | P(positive) of the finished text; all steps before the last give 0 |
#
# The picture shows one trajectory.
# %%
# One trajectory of text. The policy acts four times; the reward comes once, at the end.
words = ["a", "quiet", "delight", "<eos>"]
plots.show(figures.draw_trajectory(prompt="The film is", completion=words, reward=0.94))
# %% [markdown]
# Three things differ from **supervised learning**, where a model is trained on pairs of an input
# and its correct answer:
#
# - **There are no labels.** Nobody knows "the right" completion. There is only a judgement of what was tried.
#   The policy can therefore only learn about completions that it produces.
# - **The data depend on the model.** As the policy changes, so do the completions that it learns from.
#   A policy that has stopped writing something will not find out whether it would be good by now.
# - **The judgement arrives late.** One number is given for the whole text.
#   Which of its twenty-four tokens earned it is not said.
#
# **On-policy and off-policy.** A method is *on-policy* if it learns from trajectories of the very policy
# that it is changing, as that policy is now. It is *off-policy* if the trajectories come from somewhere else:
# an older version of the policy, another model, people. REINFORCE is on-policy, and section 2.2 shows which line of its
# derivation needs that. The price is that each batch of completions is used for one step and then thrown away.
# The benefit is that the gradient is right without any correction. (Part 3 shows PPO, which uses a batch
# for several steps with a correction, and Part 4 shows DPO, which learns from a fixed list of pairs.)
# %% [markdown]
# ## 2.2 The gradient of an expected reward
#
# Write $x$ for a prompt, $y$ for a completion and $R(x, y)$ for its reward. The goal is the expected reward
#
# $$J(\theta) = \mathbb{E}_{y \sim \pi_\theta(\cdot \mid x)}\big[R(x, y)\big] = \sum_y \pi_\theta(y \mid x)\, R(x, y).$$
#
# The symbol $\mathbb{E}_{y \sim \pi}$ is read "the mean over completions drawn from $\pi$". To climb, we need the
# gradient $\nabla_\theta J$: the direction in which $J$ grows fastest. There seem to be two obstacles. First, $R$ is a
# black box: it sees words, and words are chosen by drawing at random, so no gradient passes back through them. Second,
# the sum runs over all possible completions, $V^{24}$ of them. One small step of algebra removes both obstacles.
#
# **Step 1.** Only $\pi_\theta$ depends on $\theta$, so the gradient goes inside the sum:
#
# $$\nabla J = \sum_y R(x, y)\, \nabla \pi_\theta(y \mid x).$$
#
# **Step 2, the log-derivative trick.** The derivative of a logarithm is $\nabla \log \pi = \nabla \pi / \pi$.
# Read the other way round, $\nabla \pi = \pi\, \nabla \log \pi$. Put that in:
#
# $$\nabla J = \sum_y \pi_\theta(y \mid x)\, R(x, y)\, \nabla \log \pi_\theta(y \mid x).$$
#
# **Step 3.**
# The factor $\pi_\theta(y \mid x)$ has come back, so this sum is again a mean over the policy's own completions:
#
# $$\nabla J = \mathbb{E}_{y \sim \pi_\theta}\big[R(x, y)\, \nabla \log \pi_\theta(y \mid x)\big].$$
#
# **Step 4.** A mean can be estimated from samples. Let the policy write $B$ completions, and average:
#
# $$\nabla J \approx \frac{1}{B} \sum_{b=1}^{B} R_b\, \nabla \log \pi_\theta(y_b \mid x_b).$$
#
# **Step 5.** A completion's probability is the product of its tokens' probabilities, so its log-prob is a sum, in
# which $y_{b,t}$ is the $t$-th token of the completion and $y_{b,<t}$ stands for all tokens of it before that one:
#
# $$\log \pi_\theta(y_b \mid x_b) = \sum_t \log \pi_\theta(y_{b,t} \mid x_b, y_{b,<t}).$$
#
# That is the whole of REINFORCE (Williams, 1992).
# In words: *make what you did more likely, in proportion to how well it went.* Note three things.
#
# - $R$ is never differentiated. It may be a classifier, a person or a coin.
# - Step 3 draws $y$ from the *current* $\pi_\theta$. With completions from another policy the mean would be over the
#   wrong distribution. This is the line that makes the method on-policy.
# - Only the policy's own log-probs are differentiated, and a language model gives those for free.
#
# ### An example to compute by hand
#
# The policy has two words, *good* and *bad*, and a single parameter $\theta$, with $p(\text{good}) = \sigma(\theta)$,
# where $\sigma(\theta) = 1/(1+e^{-\theta})$. It writes one word. *Good* has reward 1, *bad* has reward 0.
# At $\theta = 0$ both words have probability ½.
#
# *Directly:* $J = \sigma(\theta)$, and $J' = \sigma(\theta)(1 - \sigma(\theta)) = ¼$.
#
# *By the trick:* $\nabla \log p(\text{good}) = 1 - \sigma(\theta) = ½$
# and $\nabla \log p(\text{bad}) = -\sigma(\theta) = -½$.
# The mean is $½ \cdot (1 \cdot ½) + ½ \cdot (0 \cdot (-½)) = ¼$. The two agree.
#
# *By samples:* each time the policy says *good*, the estimate is ½; each time it says *bad*, it is 0.
# One sample is never right, the mean of many is.
#
# The next cell draws samples and lets the mean settle. The estimate is **unbiased**: its mean over many repetitions is
# the true gradient, however few samples each one takes. In the **limit of infinitely many samples** the estimate itself
# becomes the true gradient. Its error shrinks with $1/\sqrt{N}$: four times the samples for half the error.
# %%
# The two-word example: estimates of the gradient from more and more samples.
# What should come out: the line settles at 0.25, and the band (95 %) narrows as one over the square root of N.
draw = torch.Generator().manual_seed(seed)
says_good = torch.rand(10_000, generator=draw) < 0.5  # [N] True where the sample is "good"
reward = says_good.float()  # [N] 1 for "good", 0 for "bad"
score = torch.where(says_good, 0.5, -0.5)  # [N] derivative of the log-prob of the sample
label = "mean of reward · derivative of the log-prob"
plots.show(figures.plot_running_estimate(reward * score, truth=0.25, label=label))
# %% [markdown]
# **Predict, then look.** Suppose that *bad* had reward 100 and *good* had reward 101. The difference between the words
# is the same as before. Is the true gradient the same? Are the single estimates as good as before?
#
# <details><summary>Answer</summary>
#
# The true gradient is the same: ½ · 101 · ½ − ½ · 100 · ½ = ¼. But a single estimate is now +50.5 or −50.
# The mean is still ¼, yet it takes far more samples to see it. Adding a constant to all rewards changes nothing about
# the task and a great deal about the noise. Section 2.5 turns this around and subtracts a well-chosen constant.
#
# </details>
# %% [markdown] q="w2_1"
# **Question 2.A · The policy gradient in words** (4 points). Explain to somebody who knows supervised learning
# but no reinforcement learning: (i) how can a model be trained without labels, by a reward
# that cannot be differentiated? (ii) What do on-policy and off-policy mean, which is REINFORCE, and why? (iii) What
# happens to the gradient estimate in the limit of infinitely many samples, and what does that limit not promise?
# %% [markdown]
# (i) The model writes something, and a judge gives it a number. The gradient of the expected number is the mean of
# "reward times the gradient of the log-probability of what was written".
# So each sample is treated like a training example with itself as the label, and with the reward (or advantage)
# as its weight, which may be negative. Only the model's own log-probability is differentiated, never the reward.
#
# (ii) On-policy: the samples come from the very policy that is being changed. Off-policy:
# they come from another source. REINFORCE is on-policy, since the mean in the formula is over the present policy.
# With samples of another policy, the mean would be over the wrong distribution and would need a correction by the ratio
# of probabilities. The price is that samples cannot be used again after the policy has changed.
#
# (iii) The estimate is unbiased for any number of samples; its standard error falls as one over the square root of
# that number. With infinitely many it is the exact gradient.
# That promises one right step uphill, not the best policy: gradient ascent may still end in a local optimum,
# with a bad learning rate it may overshoot, and the reward itself may be the wrong one.
#
# **Rubric**
# - 1 point: no labels are needed: the policy is trained on its own samples, weighted by how well they did,
#   and the reward need not be differentiable.
# - 1 point: on-policy and off-policy are told apart: the data come from the present policy, or from elsewhere;
#   with one consequence of each.
# - 1 point: REINFORCE is called on-policy, with the reason: the expectation in step 3 is over the present policy,
#   so other data need a correction.
# - 1 point: in the limit of infinitely many samples the estimate is the exact gradient; with few it is unbiased but
#   noisy (error falls as one over the root of N). It is not said that infinitely many samples lead to the best policy.
# %% [markdown]
# ## 2.3 From logits to log-probs
#
# The policy gives **logits**: for each text, each position and each entry of the vocabulary one number,
# not yet a probability. Before you compute with them, be clear about the axes.
#
# **Predict, then look.**
# A batch of 32 texts, each padded to 30 tokens, goes through GPT-2, whose vocabulary has 50,257 entries.
# What is the shape of the logits? What is the shape of the log-probs *of the tokens that are really in the texts*?
#
# <details><summary>Answer</summary>
#
# The logits have shape <code>[32, 30, 50257]</code>: batch, position, vocabulary. Entry <code>[b, t,
# v]</code> belongs to the question "after the tokens 0 … t of text b, how likely is token v as the next one?".
# The log-probs of the real tokens have shape
# <code>[32, 29]</code>, and not 30.
# The first token has no token before it that could predict it, and the logits at the last position
# predict a token that is not there.
#
# </details>
#
# The logits at position $t$ predict the token at position $t + 1$.
# This **shift by one** is the most common source of errors in code of this kind: everything runs, the loss falls,
# and the model learns nonsense. The picture shows which logits belong to which token.
# %%
# The shift by one: each row of logits is about the token one place further to the right.
plots.show(figures.draw_shift(["The", "film", "is", "good"]))
# %% [markdown]
# **A small example.** A vocabulary of three tokens, a text of two tokens with the ids 2 and 0.
# The logits at position 0 are such that softmax gives the probabilities (½, ¼, ¼).
# The next token has id 0, so its log-prob is ln ½ = −0.693. The logits at position 1 would predict a third token;
# there is none, so they are not used. The result has one entry: $[-0.693]$.
# %% [markdown] q="q2_1"
# **Exercise 2.1 · `token_log_probs`.**
# Write the function that turns logits into the log-probs of the tokens that came next.
#
# - `logits` is a float tensor of shape `[B, T, V]`, `ids` an int64 tensor of shape `[B, T]`.
# - The result has shape `[B, T-1]`. Entry `[b, t]` is the log-softmax of `logits[b, t]` at the token `ids[b, t+1]`.
# - It has the dtype of `logits`, and gradients pass to `logits`.
# - Logits may be as large as ±10,000. Stay with logarithms: a probability that underflows to 0 has no logarithm.
#
# Useful: `F.log_softmax(x, dim=-1)`, and `x.gather(dim, index)`, which picks one entry along `dim` for each index.
# `index` must have as many axes as `x`; `unsqueeze` and `squeeze` add and remove an axis.
# %%
def token_log_probs(logits, ids):
    """Log-probability of the token that came next, at each position.

    Args:
        logits: [B, T, V] scores of the next token.
        ids: [B, T] token ids (int64).

    Returns:
        [B, T-1]: entry t belongs to the token at position t + 1.
    """
    # BEGIN SOLUTION
    log_probs = F.log_softmax(logits[:, :-1], dim=-1)  # [B, T-1, V]  the last position predicts nothing that is there
    following = ids[:, 1:].unsqueeze(-1)  # [B, T-1, 1]  the token that came next
    return log_probs.gather(-1, following).squeeze(-1)  # [B, T-1]
    # END SOLUTION
# %% points=1 success="Each token has the log-probability that the logits before it give."
def test_token_log_probs_values(token_log_probs):
    # All probabilities are 1/2, 1/4 and 1/8 (twice); each position's logits are shifted by a constant, which must not matter.
    halvings = torch.tensor(
        [[[1.0, 2, 3, 3], [3, 1, 2, 3], [2, 3, 3, 1]], [[3.0, 3, 2, 1], [2, 3, 1, 3], [1, 3, 2, 3]]]
    )
    logits = -0.6931472 * halvings + torch.tensor([0.0, 5.0, -3.0])[None, :, None]
    ids = torch.tensor([[2, 1, 3], [0, 3, 2]])
    no_shift = "you forgot the shift by one: the logits at position t predict the token at position t + 1."
    mistakes = {
        no_shift: [[-2.0794, -0.6931], [-2.0794, -2.0794]],
        no_shift + " The result has T - 1 columns.": [[-2.0794, -0.6931, -0.6931], [-2.0794, -2.0794, -1.3863]],
        no_shift + " Here both were cut at the same end.": [[-0.6931, -0.6931], [-2.0794, -1.3863]],
        "the shift by one goes the wrong way: position t predicts the token at t + 1, not at t - 1.": [[-1.3863, -2.0794], [-1.3863, -2.0794]],
        "the shift wraps around: after `roll`, the last column compares with the first token. Cut it off.": [[-1.3863, -2.0794, -2.0794], [-0.6931, -0.6931, -0.6931]],
        "these are raw logits, not log-probabilities: take log_softmax over the vocabulary first.": [[-1.3863, 2.9206], [-0.6931, 4.3069]],
        "these are probabilities; the definition asks for their logarithm.": [[0.25, 0.125], [0.5, 0.5]],
        "the softmax runs over the positions; it must run over the vocabulary (the last axis).": [[-5.6966, -0.0080], [-3.6406, -0.0035]],
        "the softmax runs over the positions; it must run over the vocabulary, the last axis.": [[-5.6965, -0.0067], [-3.6403, -0.0034]],
        "the softmax runs over the batch; it must run over the vocabulary (the last axis).": [[-0.4055, -0.6931], [-0.2231, -0.4055]],
        "this is the sum over the tokens; the definition keeps one entry for each token.": [-3.4657, -1.3863],
        "this is the mean over the tokens; the definition keeps one entry for each token.": [-1.7329, -0.6931],
        "the sign is turned round: log-probabilities are never above 0.": [[1.3863, 2.0794], [0.6931, 0.6931]],
        "this is the logarithm to base 2; the definition takes the natural logarithm.": [[-2.0, -3.0], [-1.0, -1.0]],
        "these are the log-probs of the likeliest tokens, not of the tokens in `ids`.": [[-0.6931, -0.6931], [-0.6931, -0.6931]],
    }
    check(token_log_probs(logits, ids), torch.tensor([[-1.3863, -2.0794], [-0.6931, -0.6931]]), mistakes,
          name="token_log_probs", atol=2e-4, dtype=torch.float32)
# %% points=0.5 success="Large logits stay in log space, and a gradient flows to them."
def test_token_log_probs_large_logits(token_log_probs):
    logits = torch.tensor([[[10000.0, 0.0], [3.0, 3.0]]], requires_grad=True)
    result = token_log_probs(logits, torch.tensor([[0, 1]]))
    small = token_log_probs(torch.tensor([[[2.0, 0.0], [3.0, 3.0]]]), torch.tensor([[0, 1]]))
    check(result, torch.tensor([[-10000.0]]), {
        "the log of softmax underflows to -inf for large logits: use log_softmax, which never leaves log space.": [[float("-inf")]],
        "this is log(softmax + ε): a small number added inside the logarithm, or a clamp, is a floor for rare tokens; use log_softmax.":
            lambda got: bool((got > -1000) & (got < 0)),
        "exp overflows for large logits (the result is NaN): use log_softmax.": [[float("nan")]],
    }, name="token_log_probs", ordinary=(small, [[-2.126928]]))
    assert result.requires_grad, "token_log_probs: no gradient flows to the logits. Do not use .detach(), .item() or no_grad()."
# %% points=0 success="The logits stay as they are, a batch of one keeps its axis, and dtypes and gradients are kept."
def test_token_log_probs_rules(token_log_probs):
    logits, ids = torch.tensor([[[2.0, 0.0, 1.0], [3.0, 1.0, 3.0], [0.0, 0.0, 0.0]]]), torch.tensor([[0, 1, 2]])
    for size in (1.0, 4000.0):
        check_rules(token_log_probs, size * logits, ids)
    check(token_log_probs(logits, ids), torch.tensor([[-2.407606, -0.758644]]), {
        "a batch of 1 keeps its axis: squeeze one axis alone, squeeze(-1).": [-2.407606, -0.758644],
    }, name="token_log_probs of a batch of 1")
# %% hidden={"values": 2, "edges dtypes gradients purity": 0.5}
# %% [markdown]
# **Sanity check.** Two things must hold for any language model, and need no reference solution. The probabilities of
# all possible next tokens add up to 1. And the mean of minus the log-probs over a text is the loss that `transformers`
# reports for that text, because both measure the same: how surprised the model is by each next token.
# %%
# Load the policy and its tokenizer, and compare your log-probs with the loss that transformers computes by itself.
device = choose_device()
seed_everything(seed)
transformers.logging.set_verbosity_error()  # no notes about which loss it takes by default
policy, tokenizer = load_policy(preset, device)
example = tokenizer("The film is a quiet delight from beginning to end.", return_tensors="pt").to(device)
with torch.no_grad():
    output = policy(**example, labels=example["input_ids"])  # .logits [1, T, V], .loss: a number
    yours = token_log_probs(output.logits, example["input_ids"])  # [1, T-1]
print(f"tokens in the text: {example['input_ids'].shape[1]}, log-probs: {yours.shape[1]}")
print(f"minus the mean of your log-probs: {-yours.mean():.4f}")
print(f"the loss of transformers:         {output.loss:.4f}")
assert torch.isclose(-yours.mean(), output.loss, atol=1e-4), "the two must agree; look at the shift by one again"
# %% [markdown] q="w2_2"
# **Question 2.B · Shapes** (3 points). GPT-2 reads a batch of 32 texts of 30 tokens; its vocabulary has 50,257 entries.
# What is the shape of the log-probs over the whole vocabulary, and what does each axis stand for?
# What is the shape of the result of `token_log_probs`, and why is it smaller on two axes?
# How much memory do the two take in float32 (4 bytes a number)?
# %% [markdown]
# The log-probs over the vocabulary have shape [32, 30, 50257]. Axis 0 is the text in the batch,
# axis 1 the position in the text, axis 2 the vocabulary entry: entry [b, t, v] is the log-probability that v comes
# after the tokens 0 … t of text b. `token_log_probs` gives [32, 29]. The vocabulary axis is gone since only the token
# that really came next is picked. One position is gone since the first token is predicted by nothing,
# and the last position predicts a token that is not there. Memory: 32 · 30 · 50257 · 4 bytes ≈ 193 MB,
# against 32 · 29 · 4 bytes ≈ 3.7 kB. The large tensor is why memory on a GPU runs out first here.
#
# **Rubric**
# - 1 point: the three axes of the logits (or full log-probs) named: text in the batch, position, vocabulary entry.
# - 1 point: token_log_probs gives [B, T-1] and why: the vocabulary axis is reduced to the token that came next;
#   the first token has no prediction, the last logits no target.
# - 1 point: the memory computed: 32 · 30 · 50257 · 4 bytes, about 193 MB (184 MiB), against a few kilobytes
#   (32 · 29 · 4 bytes) for the result.
# %% [markdown]
# ## 2.4 The loss
#
# PyTorch's optimizers *minimise* a number, the loss. We want to *increase* the expected reward, so the loss is written
# with a minus sign, in such a way that its gradient is minus the estimate of step 4:
#
# $$L = -\frac{1}{B} \sum_{b=1}^{B} A_b \sum_{t} m_{bt}\, \log \pi_\theta(y_{b,t} \mid x_b, y_{b,<t}).$$
#
# Two symbols are new.
#
# - $m_{bt}$ is the **mask**: 1 (True) on tokens that the policy generated, 0 (False) elsewhere.
#   The prompt was not the policy's choice, and padding is nobody's. Neither belongs in the sum. A completion ends
#   with its first end-of-text token. That token *was* the policy's choice (it chose to stop), so it belongs to the sum.
# - $A_b$ is the **advantage** of completion $b$. For now, take it to be the reward. Section 2.5 finds something better.
#
# **This loss is a device, not a measure.** Its *gradient* is meaningful, its *value* is not: it may rise or fall
# while the policy improves, and it may be negative. When you train, watch the reward and not the loss.
#
# **Why `detach`?** The advantage is a number that weighs each completion. If it were part of the graph,
# the optimizer could also lower the loss by changing the advantages. Here the reward comes from a frozen model,
# so nothing would flow; with the shaped rewards of Part 3 something would. The rule is to cut the graph there, always.
#
# **Sum or mean over tokens?** Step 5 has a sum, so we take the sum over tokens, and the mean over the batch.
# Some libraries divide by the number of tokens;
# then a token of a short completion counts more than a token of a long one, which is another objective.
#
# **A small example.** Two completions of two tokens each, all tokens generated.
# Log-probs $(-1, -1)$ and $(-2, -1)$, advantages $+1$ and $-1$. The sums are $-2$ and $-3$.
# The loss is $-\frac12 \left(1 \cdot (-2) + (-1) \cdot (-3)\right) = -\frac12$.
# %% [markdown] q="q2_2"
# **Exercise 2.2 · `compute_reinforce_loss`.** Write the loss above.
#
# - `log_probs` has shape `[B, T]`, `advantages` `[B]`, `mask` `[B, T]` (bool).
#   The result is a scalar: a tensor without axes.
# - Sum over tokens, then the mean over the batch.
#   The mean is over all `B` rows, also those whose mask is all False; these add 0.
# - `advantages` are detached inside. Gradients pass to `log_probs`, and only where the mask is True.
# %%
def compute_reinforce_loss(log_probs, advantages, mask):
    """The REINFORCE loss: minus the advantage times the completion's log-prob, averaged over the batch.

    Args:
        log_probs: [B, T] log-prob of each token.
        advantages: [B] weight of each completion; no gradient flows into it.
        mask: [B, T] bool, True on the tokens that the policy generated.

    Returns:
        A scalar tensor.
    """
    # BEGIN SOLUTION
    completion_log_probs = (log_probs * mask).sum(dim=1)  # [B]  log-prob of each whole completion
    return -(advantages.detach() * completion_log_probs).mean()  # scalar
    # END SOLUTION
# %% points=1 success="The loss of two completions is right."
def test_reinforce_loss_value(compute_reinforce_loss):
    log_probs = torch.tensor([[-1.0, -2.0, -3.0, -4.0], [-0.5, -1.5, -2.5, -3.5]])
    advantages = torch.tensor([2.0, -0.6])
    mask = torch.tensor([[False, True, True, True], [False, True, True, False]])
    check(compute_reinforce_loss(log_probs, advantages, mask), torch.tensor(7.8), {
        "the sign is turned round: this loss makes bad completions likelier. It begins with a minus.": -7.8,
        "this is the sum over the batch, the definition takes the mean over the batch.": 15.6,
        "this is the mean over each completion's tokens, the definition sums over tokens.": 2.4,
        "this is the mean over all generated tokens, the definition sums over tokens and averages over the batch.": 3.12,
        "this is the mean over all positions, the definition sums over tokens and averages over the batch.": 1.95,
        "the mask is not used: prompt and padding are in the sum.": 7.6,
        "the mask is not used, and this is a mean over tokens; the definition sums the generated tokens.": 1.9,
        "the mask is turned round: True marks the tokens that count.": -0.2,
        "the advantages are not used.": 6.5,
        "advantages and log-probs were summed apart: each row's advantage multiplies that row's own log-probs.": 9.1,
        "one number for each row; the definition takes the mean over the batch.": [18.0, -2.4],
        "these are probabilities weighted by the advantage; the loss is made of log-probs.": -0.111872,
        "the advantages run along the tokens; each belongs to a row, advantages[:, None].": 3.25,
        "the advantages are divided by the largest of them; use them as they are.": 3.9,
    }, name="compute_reinforce_loss", dtype=torch.float32)
# %% points=1 success="Gradients go to the log-probs that count, and to nothing else."
def test_reinforce_loss_gradient(compute_reinforce_loss):
    log_probs = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, -2.0, -10000.0]], requires_grad=True)
    advantages = torch.tensor([1.0, -0.5], requires_grad=True)
    mask = torch.tensor([[False, True, True], [True, True, False]])
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    assert isinstance(loss, torch.Tensor) and loss.requires_grad, (
        "compute_reinforce_loss: no gradient flows to log_probs. Return a tensor, without .item() and without detaching log_probs."
    )
    loss.backward()
    assert advantages.grad is None or not advantages.grad.any(), (
        "compute_reinforce_loss: the advantage carries a gradient. Use advantages.detach()."
    )
    check(log_probs.grad, torch.tensor([[0.0, -0.5, -0.5], [0.25, 0.25, 0.0]]), {
        "the gradient has the wrong sign: it pushes good completions down.": [[0.0, 0.5, 0.5], [-0.25, -0.25, 0.0]],
        "masked positions receive a gradient; prompt and padding must get exactly 0.": [[-0.5, -0.5, -0.5], [0.25, 0.25, 0.25]],
    }, name="the gradient of compute_reinforce_loss with respect to log_probs")
# %% points=0 success="A row without tokens counts in the mean, log-probs of -300 count in full, and all rules are kept."
def test_reinforce_loss_rules(compute_reinforce_loss):
    log_probs = torch.tensor([[-1.0, -3.0, -2.0], [-1.0, -2.0, -4.0]], requires_grad=True)
    advantages, mask = torch.tensor([2.0, -1.0]), torch.tensor([[False, True, True], [False, False, False]])
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    check(loss, torch.tensor(5.0), {
        "a row whose mask is all False counts in the mean over the batch as well.": 10.0,
        "a row whose mask is all False gives NaN; it counts as 0.": float("nan"),
    }, name="compute_reinforce_loss with an empty row", ordinary=(compute_reinforce_loss(log_probs, advantages, ~mask), torch.tensor(-2.5)))
    check(compute_reinforce_loss(100 * log_probs, advantages, mask), torch.tensor(500.0), {
        "a log-prob of -300 is cut off; log-probs may be that small.": lambda got: bool(5 < got < 500),
    }, name="compute_reinforce_loss with log-probs of -300")
    loss.backward()
    check(log_probs.grad, torch.tensor([[0.0, -1.0, -1.0], [0.0, 0.0, 0.0]]), {
        "a masked position has a gradient; it must get exactly 0.": lambda got: bool(got[1].any() or got[0, 0]),
    }, name="the gradient of compute_reinforce_loss with an empty row")
    check_rules(compute_reinforce_loss, log_probs, advantages, ~mask)
# %% hidden={"values": 1.5, "gradients": 1, "edges dtypes purity": 0.5}
# %% [markdown]
# **Sanity check.** The example from the text, and the two-word policy of section 2.2:
# at $\theta = 0$ the gradient of the loss, averaged over both words (each has probability ½), must be minus ¼.
# %%
# 1. The example from the text: -1/2.
example_loss = compute_reinforce_loss(
    torch.tensor([[-1.0, -1.0], [-2.0, -1.0]]), torch.tensor([1.0, -1.0]), torch.ones(2, 2, dtype=torch.bool)
)
print(f"the example from the text: {example_loss.item():.3f}   (by hand: -0.500)")

# 2. The two-word policy. One row says "good" (reward 1), one says "bad" (reward 0), as they do on average.
theta = torch.zeros((), requires_grad=True)
log_probs_of_words = torch.stack([F.logsigmoid(theta), F.logsigmoid(-theta)])[:, None]  # [2, 1] of good, bad
loss = compute_reinforce_loss(log_probs_of_words, torch.tensor([1.0, 0.0]), torch.ones(2, 1, dtype=torch.bool))
loss.backward()
print(f"the two-word policy:       {theta.grad.item():.3f}   (by hand: -0.250)")
# %% [markdown]
# ## 2.5 Baselines: the same gradient with less noise
#
# In section 2.2 you saw that adding a constant to all rewards leaves the gradient as it is and adds noise.
# So one may also *subtract* a number $b$, called a **baseline**, and write $A = R - b$ for what is left,
# the **advantage**: how much better than expected. With a good baseline, completions
# that are better than expected become likelier, and those that are worse become less likely. Without one, and
# with rewards between 0 and 1, *every* completion that was tried is pushed up, good ones only a little harder.
#
# **Why it changes nothing on average.** The term that the baseline adds to the gradient is
# $-\mathbb{E}_{y \sim \pi}[\,b\, \nabla \log \pi(y)\,]$. If $b$ does not depend on $y$, then
#
# $$\mathbb{E}_{y \sim \pi}\big[b\, \nabla \log \pi(y)\big] = b \sum_y \pi(y)\, \frac{\nabla \pi(y)}{\pi(y)} = b \sum_y \nabla \pi(y)
# = b\, \nabla \sum_y \pi(y) = b\, \nabla 1 = 0.$$
#
# The first step writes the mean as a sum, with $\nabla\log\pi = \nabla\pi/\pi$. In the second $\pi(y)$ cancels.
# Then the sum of the gradients is the gradient of the sum.
# The probabilities add up to 1 whatever $\theta$ is, so that gradient is 0.
# The quantity $\nabla \log \pi(y)$ is called the **score**; the proof says that *the score is zero on average*.
#
# **Why it lowers the noise.** Go back to the two-word example with $b = ½$. *Good* gives $(1 - ½) \cdot ½ = ¼$.
# *Bad* gives $(0 - ½) \cdot (-½) = ¼$. Every single sample is now exactly right.
# It is seldom this good, but the direction holds.
#
# **Which baseline?** A good choice is close to the expected reward. We do not know it, but the other completions in the
# batch tell us. For completion $i$, take the mean reward of all the *others*. This is the **leave-one-out** baseline:
#
# $$A_i = r_i - \frac{1}{B - 1} \sum_{j \ne i} r_j.$$
#
# Why leave $i$ itself out? The proof needs a baseline that does not depend on $y_i$. The mean over the whole batch
# contains $r_i$, and so it does depend on $y_i$: the gradient shrinks by the factor $(B-1)/B$. That is harmless for
# $B = 32$; leaving one out is exact for every $B$. Many libraries also divide by the standard deviation of the rewards.
# Then the length of the gradient no longer says how much there is to gain. We do not divide.
#
# **A small example.** Rewards $(1, 0, ½)$. The others' means are $¼$, $¾$ and $½$. The advantages are $(¾, -¾, 0)$.
# They add up to 0, and they always do.
# %% [markdown] q="q2_3"
# **Exercise 2.3 · `leave_one_out_advantages`.** Write the formula above, for groups.
# Some prompts are easier to please with than others. If each prompt gets several completions,
# they can be compared with one another alone: with those that had the same start.
# That is how RLOO does it (Ahmadian et al. 2024).
# The completions of one prompt then stand side by side in the batch and are a **group**.
#
# - `rewards` has shape `[B]`; so has the result, with the same dtype.
# - `group_size` says how many neighbours are a group. `None` makes the whole batch one group, as in the formula above.
# - In a group of one there are no others, and the result is 0.
# - If the rewards cannot be cut into groups of this size, raise a `ValueError`.
# - The result is detached: it carries no gradient.
# %%
def leave_one_out_advantages(rewards, group_size=None):
    """Each reward minus the mean of the other rewards in its group.

    Args:
        rewards: [B].
        group_size: how many neighbours are a group; None: the whole batch is one.

    Returns:
        [B], detached. Zero in a group of one.

    Raises:
        ValueError: the number of rewards is no multiple of the group's size.
    """
    # BEGIN SOLUTION
    size = len(rewards) if group_size is None else group_size
    if len(rewards) % size != 0:
        raise ValueError(f"{len(rewards)} rewards cannot be cut into groups of {size}")
    groups = rewards.detach().reshape(-1, size)  # [B / size, size]
    if size == 1:
        return torch.zeros_like(rewards)  # there are no others, and 0 / 0 would be NaN
    others = (groups.sum(dim=1, keepdim=True) - groups) / (size - 1)  # mean of all rewards but one's own
    return (groups - others).flatten()
    # END SOLUTION
# %% points=1 success="Each of four rewards is compared with the mean of the other three."
def test_leave_one_out_values(leave_one_out_advantages):
    rewards = torch.tensor([1.0, 0.5, 0.0, 0.3], requires_grad=True)
    result = leave_one_out_advantages(rewards)
    check(result, torch.tensor([0.733333, 0.066667, -0.6, -0.2]), {
        "this subtracts the mean of the whole batch; leave the completion itself out of its baseline.": [0.55, 0.05, -0.45, -0.15],
        "this is the baseline; the advantage is the reward minus the baseline.": [0.266667, 0.433333, 0.6, 0.5],
        "the sign is turned round: better than the others must be positive.": [-0.733333, -0.066667, 0.6, 0.2],
        "this subtracts the sum of the others; take their mean.": [0.2, -0.8, -1.8, -1.2],
        "the sum of the others is divided by B; there are B - 1 of them.": [0.8, 0.175, -0.45, -0.075],
        "the sum of all rewards is divided by B - 1; the completion's own reward must not be in its baseline.": [0.4, -0.1, -0.6, -0.3],
        "this is divided by the standard deviation; the definition does not normalise.": [1.744714, 0.158610, -1.427493, -0.475831],
        "this is the batch's mean and standard deviation; the definition leaves one out and does not normalise.": [1.308535, 0.118958, -1.070620, -0.356873],
        "this is the batch's mean and standard deviation; the definition leaves one out, does not normalise.": [1.510966, 0.137361, -1.236245, -0.412082],
        "these are the rewards themselves: nothing was subtracted.": [1.0, 0.5, 0.0, 0.3],
        "all baselines are wrong by one factor: is something added to the number of the others, B - 1?":
            lambda got: bool(((rewards.detach() - got) * 3 / (1.8 - rewards.detach())).std() < 1e-4),
    }, name="leave_one_out_advantages", dtype=torch.float32)
    assert not result.requires_grad, "leave_one_out_advantages: the result carries a gradient. Use rewards.detach()."
# %% points=0.5 success="With groups, each reward is compared with the others of its group, and a rest raises a ValueError."
def test_leave_one_out_groups(leave_one_out_advantages):
    check(leave_one_out_advantages(torch.tensor([1.0, 0.0, 0.5, 0.25]), 2), torch.tensor([1.0, -1.0, 0.25, -0.25]), {
        "group_size has no effect: each reward is compared with the whole batch.": [0.75, -0.583333, 0.083333, -0.25],
        "the groups are runs of neighbours; here every second reward is a group. reshape(-1, group_size) has them in its rows.": [0.5, -0.25, -0.5, 0.25],
        "the mean of the whole group is subtracted; leave the completion itself out.": [0.5, -0.5, 0.125, -0.125],
        "the rewards of one group are compared with those of the others; compare within a group.": [0.625, -0.375, 0.0, -0.25],
        "one row for each group; the result is [B], like the rewards. Use flatten().": [[1.0, -1.0], [0.25, -0.25]],
    }, name="leave_one_out_advantages in groups of 2", ordinary=(leave_one_out_advantages(torch.tensor([1.0, 0.5, 0.0])), [0.75, 0.0, -0.75]))
    check(leave_one_out_advantages(torch.tensor([0.5, 0.25]), group_size=1), torch.zeros(2), {
        "in a group of one there are no others; the definition says 0.": lambda got: bool((got != 0).any()),
    }, name="leave_one_out_advantages in groups of 1")
    with must_raise(ValueError, "leave_one_out_advantages: 3 rewards in groups of 2"):
        leave_one_out_advantages(torch.tensor([0.5, 0.25, 0.0]), 2)
# %% points=0.5 success="A single reward has the advantage 0, and two rewards are compared with each other."
def test_leave_one_out_single(leave_one_out_advantages):
    check(leave_one_out_advantages(torch.tensor([0.7])), torch.tensor([0.0]), {
        "a batch of one gives 0 / 0, which is NaN. There are no others, and the definition says 0.": [float("nan")],
        "a batch of one has no others; the definition says 0, not the reward itself.": [0.7],
        "a batch of one divides by 0. There are no others, and the definition says 0.": [float("inf")],
        "a batch of one divides by 0. There are no others; the definition says 0.": [float("-inf")],
    }, name="leave_one_out_advantages of one reward")
    two = leave_one_out_advantages(torch.tensor([0.75, 0.25]))
    check(two, torch.tensor([0.5, -0.5]), name="leave_one_out_advantages of two rewards")
# %% points=0 success="Rewards below 0 keep their sign, and the rewards and their dtype are kept."
def test_leave_one_out_rules(leave_one_out_advantages):
    check(leave_one_out_advantages(torch.tensor([-1.0, -3.0])), torch.tensor([2.0, -2.0]), {
        "rewards below 0 keep their sign: -1 is better than -3.": [-2.0, 2.0],
    }, name="leave_one_out_advantages of rewards below 0", ordinary=(leave_one_out_advantages(torch.tensor([3.0, 1.0])), [2.0, -2.0]))
    check_rules(leave_one_out_advantages, torch.tensor([1.0, 0.5, 0.0]), gradients=())
# %% hidden={"values errors": 1, "edges dtypes gradients purity": 0.5}
# %% [markdown]
# **An experiment: what does a baseline do to the gradient?** The policy below has three words, three logits,
# and writes one word. The true gradient can be computed exactly, as a sum over three words.
# We estimate it many times from batches of 8 samples, in three ways:
#
# 1. without a baseline: the advantage is the reward;
# 2. with a constant baseline: the exact expected reward;
# 3. with the leave-one-out baseline, from the samples alone.
#
# **Predict first.** Which of the three have the right mean? Which has the smallest variance?
# Which two should lie close together?
#
# The experiment calls your `compute_reinforce_loss` and your `leave_one_out_advantages`. It takes a few seconds.
# %%
# 1. The policy, the rewards and the exact gradient of the expected reward.
word_logits = torch.tensor([0.5, 0.0, -0.5])  # [3] logits of the three words
word_rewards = torch.tensor([0.9, 0.7, 0.6])  # [3] all positive, as P(positive) is
logits = word_logits.clone().requires_grad_(True)
expected_reward = (logits.softmax(dim=0) * word_rewards).sum()  # J: a sum over all "completions"
(true_gradient,) = torch.autograd.grad(expected_reward, logits)  # [3]
print(f"expected reward: {expected_reward.item():.3f}")
print("exact gradient: ", [round(g, 4) for g in true_gradient.tolist()])

# 2. Many estimates, each from a fresh batch of 8 words.
draw = torch.Generator().manual_seed(seed)
batch_size = 8
no_mask = torch.ones(batch_size, 1, dtype=torch.bool)  # [8, 1] one token each, all generated
baselines = {
    "no baseline": lambda rewards: rewards,
    "expected reward": lambda rewards: rewards - expected_reward.item(),
    "leave one out": leave_one_out_advantages,
}
estimates = {name: [] for name in baselines}
for _ in range(sizes.experiment_batches):
    words = torch.multinomial(word_logits.softmax(dim=0), batch_size, replacement=True, generator=draw)  # [8]
    for name, advantage in baselines.items():
        logits = word_logits.clone().requires_grad_(True)
        log_probs = F.log_softmax(logits, dim=0)[words][:, None]  # [8, 1] log-prob of each sampled word
        loss = compute_reinforce_loss(log_probs, advantage(word_rewards[words]), no_mask)
        (gradient,) = torch.autograd.grad(loss, logits)
        estimates[name].append(-gradient)  # minus: the loss is minus what we maximise
estimates = {name: torch.stack(values) for name, values in estimates.items()}  # name -> [batches, 3]

# 3. Mean and variance. The means should lie within their error bars of the exact gradient (19 times in 20);
#    the variances should not be alike.
plots.show(figures.plot_baseline_experiment(estimates, true_gradient))
pd.DataFrame(
    {
        "largest error of the mean": {k: (v.mean(0) - true_gradient).abs().max().item() for k, v in estimates.items()},
        "variance (sum over entries)": {k: v.var(0).sum().item() for k, v in estimates.items()},
    }
).round(5)
# %% [markdown]
# All three means agree with the exact gradient: **none of the baselines makes the estimate wrong**.
# Without a baseline the variance is tens of times larger. As the error falls
# with the square root of the number of samples, a variance ten times smaller is worth ten times as many samples.
# The leave-one-out baseline comes close to the exact expected reward, which in practice nobody knows.
# %% [markdown]
# ## 2.6 Continuous actions: the Gaussian policy
#
# A token is one of finitely many actions. A robot's motor takes any number.
# For such actions the usual policy is a **Gaussian**: the network (or a table) gives a mean $\mu$,
# and the action is drawn around it. With $D$ numbers in an action and a covariance matrix $\Sigma$,
#
# $$\log \pi(a) = -\tfrac12 (a - \mu)^\top \Sigma^{-1} (a - \mu) - \tfrac12 \ln \det \Sigma - \tfrac{D}{2} \ln 2\pi.$$
#
# $\Sigma$ is a symmetric $D \times D$ matrix. Its diagonal holds the variance of each number in the action,
# its other entries say how they vary together. The first term is the squared distance to the mean, measured in units of
# that spread. The other two make the density integrate to 1.
# The density is not a probability: it may be above 1, and its logarithm above 0.
#
# **The score in closed form.** Only the first term contains $\mu$. The derivative of $-\frac12 z^\top \Sigma^{-1} z$
# with respect to $z$ is $-\Sigma^{-1} z$ (use that $\Sigma^{-1}$ is symmetric).
# With $z = a - \mu$ the inner derivative is $-1$, so
#
# $$\nabla_\mu \log \pi(a) = \Sigma^{-1} (a - \mu).$$
#
# Read it as an instruction. REINFORCE multiplies this vector by the advantage: if the action $a$ was good,
# move the mean towards it; if it was bad, move the mean away. The smaller the spread, the longer the vector.
#
# **A small example.** $D = 1$, $\mu = 0$, $\Sigma = 4$, $a = 2$.
# The first term is $-\frac12 \cdot 2 \cdot \frac14 \cdot 2 = -0.5$, the second $-\frac12 \ln 4 = -0.693$,
# the third $-\frac12 \ln 2\pi = -0.919$. Together $-2.112$. The score is $\frac14 \cdot 2 = 0.5$.
# %% [markdown] q="q2_4"
# **Exercise 2.4 · `gaussian_log_prob`.** Write the log-density, constants included.
#
# - `action` and `mean` have shape `[B, D]`, `covariance` has `[D, D]`. The result has shape `[B]`.
# - Gradients pass to `action` and `mean`.
#   Write the formula; do not call `torch.distributions` (the sanity check does, to compare).
#
# Useful: `torch.linalg.solve(M, x)` gives $M^{-1} x$, with the vectors in the *columns* of `x`;
# `torch.logdet(M)` gives $\ln \det M$. Solving is more exact than inverting. PyTorch has no solver for bfloat16:
# if the dtype is `torch.bfloat16` or `torch.float16`, compute in float32 and return to the input's dtype at the end.
# %%
def gaussian_log_prob(action, mean, covariance):
    """Log-density of a multivariate Gaussian.

    Args:
        action: [B, D] points at which the density is wanted.
        mean: [B, D] the mean for each of them.
        covariance: [D, D] symmetric, positive definite, the same for all.

    Returns:
        [B] log-densities in nats.
    """
    # BEGIN SOLUTION
    dtype = action.dtype
    if dtype in (torch.bfloat16, torch.float16):  # no linear solve in half precision
        action, mean, covariance = action.float(), mean.float(), covariance.float()
    offset = action - mean  # [B, D]
    scaled = torch.linalg.solve(covariance, offset.T).T  # [B, D]  Σ⁻¹(a − μ)
    distance = (offset * scaled).sum(dim=1)  # [B]
    constant = torch.logdet(covariance) + action.shape[1] * torch.log(torch.tensor(2 * torch.pi))  # scalar
    return (-0.5 * (distance + constant)).to(dtype)  # [B]
    # END SOLUTION
# %% points=1.5 success="The log-density of three actions is right, constants included."
def test_gaussian_log_prob_values(gaussian_log_prob):
    action = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]])
    mean = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    covariance = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    check(gaussian_log_prob(action, mean, covariance), torch.tensor([-3.3426, -2.6426, -4.4426]), {
        "the constant -D/2 · ln 2π is missing.": [-1.5047, -0.8047, -2.6047],
        "the term with ln det Σ is missing.": [-2.5379, -1.8379, -3.6379],
        "both constants are missing; the definition includes them.": [-0.7, 0.0, -1.8],
        "the factor ½ before the squared distance is missing.": [-4.0426, -2.6426, -6.2426],
        "the sign of the ln det Σ term is wrong: a wider Gaussian has a lower density.": [-1.7332, -1.0332, -2.8332],
        "the constant counts one number only; it is D/2 · ln 2π with D = 2 here.": [-2.4237, -1.7237, -3.5237],
        "the covariance must be inverted before it stands between the vectors.": [-11.6426, -2.6426, -6.1426],
        "only the diagonal of the covariance is used.": [-3.6504, -2.7338, -3.9004],
        "only the diagonal of the covariance is used in the distance.": [-3.5593, -2.6426, -3.8093],
        "this is the density; the definition asks for its logarithm.": [0.0353, 0.0712, 0.0118],
        "the sign is turned round.": [3.3426, 2.6426, 4.4426],
        "the factor ½ before ln det Σ is missing.": [-4.1473, -3.4473, -5.2473],
        "the factor ½ before D · ln 2π is missing.": [-5.1805, -4.4805, -6.2805],
        "det Σ stands where its logarithm belongs.": [-5.0379, -4.3379, -6.1379],
        "1 / Σ divides entry by entry; the formula needs the inverse matrix.": [-5.5593, -2.6426, -1.8093],
        "the mean over the batch was taken; the definition gives one number for each action.": -3.4759,
        "the sum over the batch was taken; the definition gives one number for each action.": -10.4278,
    }, name="gaussian_log_prob", atol=2e-4, dtype=torch.float32)
# %% points=0.5 success="The covariance holds variances, and a gradient flows to the mean."
def test_gaussian_log_prob_gradient(gaussian_log_prob):
    # One number an action: mean 0, variance 4, action 2, as in the text.
    mean = torch.tensor([[0.0]], requires_grad=True)
    result = gaussian_log_prob(torch.tensor([[2.0]]), mean, torch.tensor([[4.0]]))
    check(result, torch.tensor([-2.112086]), {
        "the covariance holds variances, not standard deviations: do not square it.": [-2.430233],
        "the square root of the covariance was taken somewhere: the formula uses the covariance itself.": [-2.265512],
    }, name="gaussian_log_prob")
    assert result.requires_grad, "gaussian_log_prob: no gradient flows to the mean. Do not use .detach(), .item() or numpy."
    result.sum().backward()
    check(mean.grad, torch.tensor([[0.5]]), {
        "the gradient with respect to the mean has the wrong sign.": [[-0.5]],
    }, name="the gradient of gaussian_log_prob with respect to the mean")
# %% points=0 success="The arguments stay as they are, every dtype works, and gradients flow to action and mean."
def test_gaussian_log_prob_rules(gaussian_log_prob):
    check_rules(gaussian_log_prob, torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.5]]), torch.tensor([[2.0, 1.0], [1.0, 3.0]]), gradients=(0, 1))
# %% hidden={"values": 1.5, "edges dtypes gradients purity": 0.5}
# %% [markdown] q="q2_5"
# **Exercise 2.5 · `gaussian_score`.** Write the score $\Sigma^{-1}(a - \mu)$ in closed form, without autograd.
#
# - Shapes as in exercise 2.4; the result has shape `[B, D]`. Gradients pass to `action` and `mean`.
# - For bfloat16 and float16 the same detour through float32 is allowed.
# %%
def gaussian_score(action, mean, covariance):
    """Gradient of the Gaussian's log-density with respect to its mean, in closed form.

    Args:
        action: [B, D].
        mean: [B, D].
        covariance: [D, D] symmetric, positive definite.

    Returns:
        [B, D].
    """
    # BEGIN SOLUTION
    dtype = action.dtype
    offset = action - mean  # [B, D]
    if dtype in (torch.bfloat16, torch.float16):  # no linear solve in half precision
        offset, covariance = action.float() - mean.float(), covariance.float()
    return torch.linalg.solve(covariance, offset.T).T.to(dtype)  # [B, D]
    # END SOLUTION
# %% points=1 success="The score of three actions is right."
def test_gaussian_score_values(gaussian_score):
    action = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]])
    mean = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    covariance = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    check(gaussian_score(action, mean, covariance), torch.tensor([[0.2, 0.6], [0.0, 0.0], [-1.4, 0.8]]), {
        "the sign is turned round: the score points from the mean to the action.": [[-0.2, -0.6], [0.0, 0.0], [1.4, -0.8]],
        "the covariance must be inverted.": [[4.0, 7.0], [0.0, 0.0], [-3.0, 1.0]],
        "this is a - μ; the inverse covariance is missing.": [[1.0, 2.0], [0.0, 0.0], [-2.0, 1.0]],
        "only the diagonal of the covariance is used.": [[0.5, 0.6667], [0.0, 0.0], [-1.0, 0.3333]],
        "1 / Σ divides entry by entry; the formula needs the inverse matrix.": [[2.5, 1.6667], [0.0, 0.0], [0.0, -1.6667]],
        "a factor ½ is left over: the derivative of the square gives a 2 that cancels it.": [[0.1, 0.3], [0.0, 0.0], [-0.7, 0.4]],
        "a factor 2 is left over: the ½ before the square cancels it.": [[0.4, 1.2], [0.0, 0.0], [-2.8, 1.6]],
        "the mean over the batch was taken; the definition has one row for each action.": [[0.0667, 0.2], [0.0, 0.0], [-0.4667, 0.2667]],
        "this is the score's sum over the numbers of an action; keep them apart.": [0.8, 0.0, -0.6],
        "this is the sum over the batch; keep one row for each action.": [-1.2, 1.4],
        "the Gaussian was standardised by the Cholesky factor once; the score needs the whole inverse.": [[0.7071, 0.9487], [0.0, 0.0], [-1.4142, 1.2649]],
        "action and mean are added; the score is Σ⁻¹ times their difference.": [[0.2, 0.6], [0.0, 0.0], [-0.2, 0.4]],
        "the mean is not subtracted from the action.": [[0.2, 0.6], [0.0, 0.0], [-0.8, 0.6]],
        "the action is missing: the score is Σ⁻¹(a - μ).": [[0.0, 0.0], [0.0, 0.0], [-0.6, 0.2]],
        "this is Σ⁻¹μ; the score is Σ⁻¹(a - μ).": [[0.0, 0.0], [0.0, 0.0], [0.6, -0.2]],
        "the inverse is applied twice.": [[0.0, 0.2], [0.0, 0.0], [-1.0, 0.6]],
        "the inverse of Σ is divided by det Σ once more, or the determinant is used in another way.": [[0.04, 0.12], [0.0, 0.0], [-0.28, 0.16]],
        "this is the adjugate of Σ times the difference; divide by det Σ.": [[1.0, 3.0], [0.0, 0.0], [-7.0, 4.0]],
        "the correlation has the wrong sign: the inverse of Σ has -1, not 1, beside its diagonal here.": [[1.0, 1.0], [0.0, 0.0], [-1.0, 0.0]],
        "this is the squared distance of each number, not the score.": [[0.2, 1.2], [0.0, 0.0], [2.8, 0.8]],
    }, name="gaussian_score", atol=2e-4, dtype=torch.float32)
# %% points=0 success="One action of one number keeps its axes, and arguments, dtypes and gradients are kept."
def test_gaussian_score_rules(gaussian_score):
    check(gaussian_score(torch.tensor([[2.0]]), torch.tensor([[0.0]]), torch.tensor([[4.0]])), torch.tensor([[0.5]]), {
        "a batch of 1 keeps its shape [B, D]: do not squeeze.": 0.5,
    }, name="gaussian_score of one number")
    check_rules(gaussian_score, torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.5]]), torch.tensor([[2.0, 1.0], [1.0, 3.0]]), gradients=(0, 1))
# %% hidden={"values": 1.5, "edges dtypes gradients purity": 0.5}
# %% [markdown]
# **Sanity check.** Three comparisons: your log-density with `torch.distributions`, your score with what autograd finds
# for your log-density, and the mean of the score over many actions with zero.
# The last one is the statement that the proof in section 2.5 rests on.
# %%
# Compare the two Gaussian functions with PyTorch, and draw the score as arrows.
covariance = torch.tensor([[1.5, 0.8], [0.8, 1.0]])  # [2, 2]
mean = torch.zeros(20_000, 2)  # [N, 2]
gaussian = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
seed_everything(seed)
action = gaussian.sample((20_000,))  # [N, 2]

difference = (gaussian_log_prob(action, mean, covariance) - gaussian.log_prob(action)).abs().max()
print(f"log-density, largest difference from torch.distributions: {difference:.1e}")

tracked_mean = mean.clone().requires_grad_(True)
(by_autograd,) = torch.autograd.grad(gaussian_log_prob(action, tracked_mean, covariance).sum(), tracked_mean)
difference = (gaussian_score(action, mean, covariance) - by_autograd).abs().max()
print(f"score, largest difference from autograd:                  {difference:.1e}")

score = gaussian_score(action, mean, covariance)  # [N, 2]
print(
    "mean of the score over 20,000 actions:", [round(x, 3) for x in score.mean(0).tolist()], "(zero, up to about ±0.03)"
)
plots.show(figures.plot_gaussian_score(covariance, action[:14], score[:14]))
# %% [markdown]
# ## 2.7 Rewards that come over time
#
# Our text gets one reward, at its end. In other problems rewards come at every step: a game gives points
# while it is played. The policy gradient then weighs each action by what came *after* it,
# since an action cannot change the past. That sum is called the **return**.
# Rewards that lie far ahead are often **discounted** by a factor $\gamma$ between 0 and 1 for each step of waiting:
#
# $$G_t = r_t + \gamma\, r_{t+1} + \gamma^2 r_{t+2} + \dots = \sum_{k \ge t} \gamma^{k-t} r_k.$$
#
# With $\gamma = 1$ all later rewards count fully; with $\gamma = 0$ only the present one does.
# A smaller $\gamma$ gives less noise, and a policy that looks less far ahead.
#
# **A small example.** Rewards $(1, 0, 2)$, $\gamma = ½$. From the back: $G_2 = 2$, $G_1 = 0 + ½ \cdot 2 = 1$,
# $G_0 = 1 + ½ \cdot 1 = 1.5$. Note how each return is made from the next one: $G_t = r_t + \gamma\, G_{t+1}$.
#
# For our text all rewards but the last are 0 and $\gamma = 1$, so $G_t$ is the same for all tokens,
# namely the reward of the text. That is why the loss of section 2.4 has one advantage for a whole completion.
# The optional section 2.11 needs the general form.
# %% [markdown] q="q2_6"
# **Exercise 2.6 · `discounted_returns`.** Write the returns of one trajectory.
#
# - `rewards` has shape `[T]` with `T ≥ 1`; so has the result, with the same dtype. `discount` is a number from 0 to 1.
# - Gradients pass to `rewards`. The input is not changed.
#
# Dividing by powers of the discount fails when it is 0 or when the trajectory is long: the powers underflow.
# %%
def discounted_returns(rewards, discount):
    """The discounted sum of the present and all later rewards, at each step.

    Args:
        rewards: [T].
        discount: γ, from 0 to 1.

    Returns:
        [T].
    """
    # BEGIN SOLUTION
    returns = []
    later = torch.zeros_like(rewards[0])
    for reward in reversed(rewards.unbind()):  # from the last step to the first
        later = reward + discount * later
        returns.append(later)
    return torch.stack(returns[::-1])  # [T]
    # END SOLUTION
# %% points=1 success="The return of each of four steps is right."
def test_discounted_returns_values(discounted_returns):
    check(discounted_returns(torch.tensor([1.0, 0.0, 2.0, 4.0]), 0.5), torch.tensor([2.0, 2.0, 4.0, 4.0]), {
        "these are sums over the past; the return of a step adds up what comes at that step and after it.": [1.0, 0.5, 2.25, 5.125],
        "these are discounted rewards; each return adds up the present and all later ones.": [1.0, 0.0, 0.5, 0.5],
        "the present reward is missing: the sum begins at k = t.": [2.0, 4.0, 4.0, 0.0],
        "the present reward is missing: the sum begins at k = t, and the present reward is not discounted.": [1.0, 2.0, 2.0, 0.0],
        "the discount is not used.": [7.0, 6.0, 6.0, 4.0],
        "the order is turned round: the first entry belongs to the first step.": [4.0, 4.0, 2.0, 2.0],
        "the discounting begins at the start of the trajectory; G_t counts the waiting time from step t.": [2.0, 1.0, 1.0, 0.5],
        "the present reward is discounted as well; its factor is 1.": [1.0, 1.0, 2.0, 2.0],
        "this is the return of the whole trajectory at every step; a step counts only what comes at that step and after it.": [2.0, 2.0, 2.0, 2.0],
        "one number for the whole trajectory; the definition gives one return for each step.": 2.0,
        "only one later reward is added; all later rewards count.": [1.0, 1.0, 4.0, 4.0],
        "the returns are standardised; the definition leaves them as they are.": [-0.866025, -0.866025, 0.866025, 0.866025],
    }, name="discounted_returns", dtype=torch.float32)
# %% points=0 success="A discount of 0, 250 steps, and all rules of arguments, dtypes and gradients are right."
def test_discounted_returns_rules(discounted_returns):
    check(discounted_returns(torch.tensor([1.0, 2.0]), 0.0), torch.tensor([1.0, 2.0]), {
        "a discount of 0 gives NaN: do not divide by its powers, multiply.": lambda got: bool(got.isnan().any()),
    }, name="discounted_returns with a discount of 0")
    check(discounted_returns(torch.ones(250), 1.0)[0], torch.tensor(250.0), {
        "in 250 steps not all later rewards are added.": lambda got: bool(got < 250),
    }, name="discounted_returns of 250 steps, the first", ordinary=(discounted_returns(torch.ones(3), 1.0), [3.0, 2.0, 1.0]))
    check_rules(discounted_returns, torch.tensor([1.0, 0.0, 2.0]), 0.5)
# %% hidden={"values": 1.5, "edges dtypes gradients purity": 0.5}
# %% [markdown]
# **Sanity check.** With $\gamma = 1$ and one reward at the end, every step has the same return.
# With $\gamma = 0.9$ the early steps hear less of it.
# %%
# One reward of 1 at the end of six steps, as for a text: what each step is credited with.
one_at_the_end = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])  # [6]
print("γ = 1:  ", [round(g, 3) for g in discounted_returns(one_at_the_end, 1.0).tolist()])
print("γ = 0.9:", [round(g, 3) for g in discounted_returns(one_at_the_end, 0.9).tolist()])
# %% [markdown]
# ## 2.8 Training
#
# Everything is in place.
# This section loads the models, looks at one batch, asks you for the training step, tries it out, and trains.
#
# **The cast.** Four models take part. Only one of them changes.
#
# | name | what it does | changes? |
# | --- | --- | --- |
# | `policy` | writes completions | yes: it is what we train |
# | `reference` | a copy of the policy from before training, to measure how far the policy has moved | no |
# | `reward_model` | reads a text, gives P(positive): the reward | no |
# | `second_reward_model` | also reads texts; the policy is *never* trained on its opinion | no |
#
# The second reward model was trained on other reviews than the first, and it was also shown heaps of words
# that are no sentences, with the verdict "undecided". It plays the part of an independent judge.
# If the first finds that the texts become better, does the second? Section 2.9 finds out.
# %%
# Load the reward models and the prompts (the policy was loaded above).
# The reference is a frozen copy of the policy.
reference = copy.deepcopy(policy).requires_grad_(False)
reward_model = load_reward_model(preset, device=device)
has_second = preset.second_reward_model is not None  # the larger preset has only one reward model
second_reward_model = load_reward_model(preset, second=True, device=device) if has_second else None
train_prompts = load_prompts(preset, "train")
held_out_prompts = load_prompts(preset, "test")[: sizes.test_prompts]  # never used in training
print(f"{len(train_prompts)} prompts for training, {len(held_out_prompts)} for testing")
print("for example:", train_prompts[:3])
print("rewards:", reward_model(["A wonderful film. I loved it.", "A terrible film. I hated it."]).tolist())
# %% [markdown]
# ### One batch, looked at closely
#
# `generate` samples one completion for each prompt and returns a `Rollout`, which holds all that a training step needs:
#
# | field | shape | content |
# | --- | --- | --- |
# | `ids` | `[B, T]` | token ids: padding, prompt, completion, padding |
# | `attention_mask` | `[B, T]` | True on real tokens, False on padding |
# | `completion_mask` | `[B, T]` | True on generated tokens, the first end-of-text included |
# | `prompt_length` | number | columns that the prompts take; prompts are padded on the *left*, so all completions begin in one column |
# | `log_probs` | `[B, T-1]` | the log-probs at the time of sampling, as plain numbers: *no gradient flows through them* |
# | `prompts`, `completions`, `texts` | lists of `B` strings | a text is its prompt and its completion |
#
# Sampling runs without gradients, since it would be slow and useless to keep them. The training step therefore reads
# the texts *once more*, all tokens at the same time, to get log-probs that do carry a gradient:
# `policy_logits(policy, rollout.ids, rollout.attention_mask)` gives the logits, `[B, T, V]`, with padding handled.
#
# The next picture shows the four kinds of columns. Only the blue ones belong in the loss.
# %%
# Sample a small batch and draw which tokens are prompt, completion and padding.
rollout = generate(policy, tokenizer, train_prompts[:6], 16, generator=seed)  # 16 new tokens: a small picture
print("ids", list(rollout.ids.shape), " log_probs", list(rollout.log_probs.shape))
print("prompt_length", rollout.prompt_length)
plots.show(figures.draw_rollout(rollout, tokenizer))
# %%
# Two checks that tie the pieces together. They need your token_log_probs; they take a second.
with torch.no_grad():
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)  # [B, T, V]
    again = token_log_probs(logits, rollout.ids)  # [B, T-1]
mask = rollout.completion_mask[:, 1:]  # [B, T-1] column t belongs to token t + 1
difference = (again - rollout.log_probs)[mask].abs().max()
print(f"your log-probs against those noted while sampling: largest difference {difference:.1e} (rounding only)")
rewards = reward_model(rollout.texts)  # [B]
for text, r, a in zip(rollout.texts, rewards.tolist(), leave_one_out_advantages(rewards).tolist(), strict=True):
    print(f"reward {r:.2f}, advantage {a:+.2f}: {text!r}")
# %% [markdown] q="w2_3"
# **Question 2.C · Which tokens are in the loss?** (3 points) Look at the picture.
# Over which tokens is the loss computed, and why over these and no others?
# Say in particular what would happen if the prompt's tokens were in it, and why the first end-of-text token is.
# %% [markdown]
# The loss runs over the tokens that the policy generated, up to and including the first end-of-text token.
# The policy gradient is a sum over the policy's *actions*, and only these tokens are actions. The prompt was given. If
# its tokens were in the loss, the policy would be trained to write prompts like those that happened to be followed by a
# good completion. That is not the goal, since prompts are never generated, and it adds noise, since the same weights
# serve both. The end-of-text token was chosen by the policy as well: to stop here was an action, with consequences
# for the reward. Leaving it out would mean that the policy is never told whether stopping was good. What follows it is
# padding, put there by the program to make rows equally long; it depends on nothing and belongs to nobody.
#
# **Rubric**
# - 1 point: only the completion's tokens are in the loss, end-of-text included; prompt and padding are not.
# - 1 point: the reason for the prompt: it was given, not chosen by the policy (no action, so no score);
#   raising its log-prob would train the policy to write such prompts and add noise.
# - 1 point: the reason for the end-of-text token: stopping is an action of the policy;
#   without it the policy could not learn when to stop. Half a point for padding: these tokens carry no information.
# %% [markdown] q="q2_7"
# **Exercise 2.7 · `reinforce_step`.** Write one training step. It uses your three functions from above. In order:
#
# 1. the rewards of the batch: `reward_model(rollout.texts)` gives a float tensor `[B]` on the CPU, without gradient;
# 2. the leave-one-out advantages;
# 3. the logits of the texts under the policy, `policy_logits(policy, rollout.ids, rollout.attention_mask)`,
#    and from them the log-probs. `rollout.log_probs` stays out of the loss: it has no gradient, and sampling may have
#    computed it in another precision;
# 4. the loss over the completion's tokens. Log-probs have one column fewer than ids:
#    column $t$ belongs to token $t + 1$. Which columns of `rollout.completion_mask` go with them?
# 5. one step of `optimizer`. PyTorch *adds* new gradients to old ones, so the old ones must be cleared.
#    You may clip the gradient's norm before the step, with `torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)`;
#    it protects against one wild batch;
# 6. return a dict of Python floats with at least `"loss"` (the loss of step 4, before the update) and `"reward"`
#    (the mean reward of the batch).
#
# Take exactly one optimizer step, and leave the policy in the mode (train or eval) in which you found it.
# Leave everything else as it is: the batch, the optimizer's settings, the seed of the random numbers.
# It comes in eval mode, which switches dropout off: with dropout, the log-probs would not be those of the policy
# that wrote the texts. Gradients flow in eval mode as well.
# On a GPU, the rewards must go to the device of the log-probs: `rewards.to(logits.device)`.
# %%
def reinforce_step(policy, optimizer, rollout, reward_model):
    """One REINFORCE update from one batch of completions.

    Args:
        policy: the language model to train; it is left in the mode it is in.
        optimizer: a PyTorch optimizer of the policy's parameters.
        rollout: a helpers.generation.Rollout, sampled from this policy.
        reward_model: a function from a list of B texts to rewards [B].

    Returns:
        A dict of Python floats: "loss" (the batch's, before the update) and "reward" (the batch's mean), and whatever
        else you want to watch.
    """
    # BEGIN SOLUTION
    rewards = reward_model(rollout.texts)  # [B]  P(positive) of prompt and completion
    advantages = leave_one_out_advantages(rewards)  # [B]
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)  # [B, T, V]
    log_probs = token_log_probs(logits, rollout.ids)  # [B, T-1]
    mask = rollout.completion_mask[:, 1:]  # [B, T-1]  column t of log_probs belongs to token t + 1
    loss = compute_reinforce_loss(log_probs, advantages.to(log_probs.device), mask)  # scalar

    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}
    # END SOLUTION
# %% points=2 confirm="direction" success="A step makes good completions likelier, by the tokens that the policy chose."
def test_reinforce_step_update(reinforce_step):
    from helpers import worlds
    from helpers.worlds import conduct, table

    # The "policy" is a table of logits, all 0, so that every change can be read. Rewards 0.1, 0 and 0.02; then 0, 0.1 and 0.02.
    run = worlds.run("reinforce_table", reinforce_step, rewards=[[0.1, 0.0, 0.02], [0.0, 0.1, 0.02]])
    first, second = (change / 0.0225 for change in run["changes"])
    assert first.any() or run["results"][0] is not None, (
        "reinforce_step returned None and changed nothing: it is not written yet."
    )
    assert first.any(), (
        "reinforce_step: the policy did not change. Is there a loss.backward() and an optimizer.step(), in this order, and "
        "zero_grad() before both? Are the log-probs computed anew from policy_logits, with gradients?"
    )
    assert all(set(texts) == set(run["expected_texts"]) for texts in run["texts"]), (
        "reinforce_step: the reward model must read rollout.texts, the prompts with their completions."
    )
    assert not run["unseen"], f"reinforce_step: {table.UNSEEN[run['unseen'][0]]}."
    fault = conduct.told(run["conduct"], "dropout", "settings", "outside")
    assert not fault, f"reinforce_step: {fault}."
    assert run["optimizer_steps"] == 2, (
        f"reinforce_step: optimizer.step() ran {run['optimizer_steps']} times in two calls; it must run once in each."
    )
    shown = "how the logits of the tokens that came next changed (1: what those of the best completion should gain)"
    third = 0.333333
    right = torch.tensor([[0.0, 1, 1, 1], [0, -2 * third, -2 * third, 0], [0, -third, 0, 0]])
    size = float((first * right).sum() / (right * right).sum())
    check(first, right, {
        "the sign is turned round: the best completion was made less likely.": -right,
        "the prompt's tokens and the padding are in the loss; use the completion mask.":
            [[1, 1, 1, 1], [-2 * third] * 4, [-third] * 4],
        "the prompt's tokens are in the loss; use the completion mask.":
            [[1, 1, 1, 1], [-2 * third] * 3 + [0], [0, -third, 0, 0]],
        "the prompt's tokens are in the loss; use the completion mask. ":
            [[1, 1, 1, 1], [-2 * third] * 3 + [0], [-third, -third, 0, 0]],
        "the mask is off by one: column t of the log-probs belongs to token t + 1, so cut the mask's first column.":
            [[0, 0, 1, 1], [0, 0, -2 * third, -2 * third], [0, 0, -third, 0]],
        "the padding after the completion is in the loss; use the completion mask.":
            [[0, 1, 1, 1], [0] + [-2 * third] * 3, [0] + [-third] * 3],
        "there is no baseline: use the leave-one-out advantages, not the rewards.":
            [[0, 1.1111, 1.1111, 1.1111], [0, 0, 0, 0], [0, 0.2222, 0, 0]],
        "there is no baseline, and this is the sum over the batch.": [[0] + [3.3333] * 3, [0] * 4, [0, 0.6667, 0, 0]],
        "there is no baseline, and the rewards are percentages.": [[0] + [111.11] * 3, [0] * 4, [0, 22.222, 0, 0]],
        "this is the mean over the tokens of a completion; the definition sums over tokens.":
            [[0, third, third, third], [0, -third, -third, 0], [0, -third, 0, 0]],
        "the end-of-text token is missing from the loss; the policy chose it, so it counts.":
            [[0, 1, 1, 0], [0, -2 * third, 0, 0], [0, 0, 0, 0]],
        "this is the sum over the batch; the definition takes the mean over its texts.": 3 * right,
        "this is the mean over all tokens of the batch; the definition sums over tokens.": right / 2,
        "this is the mean over all positions, or of probabilities; the definition sums the log-probs of the completion's tokens.": right / 4,
        "the baseline is the batch's mean, the completion's own reward included; leave it out.": 2 * third * right,
        "the advantages are divided by the rewards' standard deviation; take them as they are.": 18.898 * right,
        "the advantages are divided by the rewards' standard deviation; take them as they are. ": 23.146 * right,
        "the advantages are divided by the rewards' standard deviation (and the gradient is then cut); take them as they are.":
            19.245 * right,
        "the rewards are standardised; take the leave-one-out advantages as they are.": 12.599 * right,
        "the rewards are standardised; take the leave-one-out advantages as they are. ": 15.430 * right,
        "the rollout's log-probs are in the loss (as a ratio); it needs those of the present policy alone.": 1.5124 * right,
        "the log-probs lack the shift by one: those at t are of token t + 1.":
            [[0, 0, -third, -third], [0, 0, 0.2222, -2 * third], [0, 0, -third, 0]],
        f"the direction is right, but the update is {size:.3g} times as long as one step of this optimizer makes it.":
            lambda got: ((got - size * right).abs() < 5e-3).all(),
        "the tokens are right, what each completion counts is not: take leave_one_out_advantages(rewards), and all completions.":
            lambda got: ((got - got[:, 1:2] * (right != 0)).abs() < 5e-3).all(),
        "the advantages are right, but tokens of the completions are missing or others are in the loss; use completion_mask[:, 1:].":
            lambda got: (((got - right[:, 1:2]).abs() < 5e-3) | (got.abs() < 5e-3)).all(),
    }, name=f"reinforce_step: {shown}", atol=5e-3)
    check(second, torch.tensor([[0.0, -2 * third, -2 * third, -2 * third], [0, 1, 1, 0], [0, -third, 0, 0]]), {
        "the gradients of the batch before are still there; call optimizer.zero_grad() before loss.backward().":
            [[0, third, third, third], [0, third, third, 0], [0, -2 * third, 0, 0]],
    }, name=f"reinforce_step, second call: {shown}", atol=5e-3)
# %% points=1 confirm="report modes" success="A step reports loss and mean reward as floats, and leaves the policy in its mode."
def test_reinforce_step_report(reinforce_step):
    from helpers import worlds
    from helpers.worlds import conduct

    for training in (False, True):
        run = worlds.run("reinforce_table", reinforce_step, rewards=[[0.1, 0.0, 0.02]] * 2, training=training)
        result = run["results"][0]
        assert run["changes"][0].any(), "reinforce_step: the policy did not change; the numbers count as the report of a step."
        assert isinstance(result, dict), f"reinforce_step: return a dict of floats; you returned a {type(result).__name__}."
        for key in ("loss", "reward"):
            assert key in result, f"reinforce_step: the dict has no entry {key!r}."
        for key, value in result.items():
            assert type(value) is float, (
                f"reinforce_step: the entry {key!r} is a {type(value).__name__}; make it a Python float with .item()."
            )
        assert abs(result["reward"] - 0.04) < 1e-5, "reinforce_step: 'reward' must be the mean reward of the batch."
        check(result["loss"], 0.055452, {
            "it is 0.": 0.0,
            "its sign is turned round.": -0.055452,
            "it is the sum over the batch.": 0.166355,
            "it is the mean over tokens.": 0.027726,
            "it is the mean over all positions.": 0.013863,
            "it is the surrogate of a ratio, whose value is another.": -0.04,
        }, name="reinforce_step, 'loss' (the batch's, before the update)", atol=1e-4)
        was, left = ("train", "eval") if training else ("eval", "train")
        assert run["training"] is training, (
            f"reinforce_step: the policy came in {was} mode and was left in {left} mode. Leave the mode as it was."
        )
        fault = conduct.told(run["conduct"])
        assert not fault, f"reinforce_step: {fault}."
# %% hidden={"update": 3, "report modes": 1, "training": 2}
# %% [markdown]
# ### Starting afresh, and the optimizer's memory
#
# The optimizer is **AdamW**. For every weight it keeps two running averages, one of the gradients
# and one of their squares, and divides the first by the root of the second to choose the length of the step.
# So training has a state in *two* places: in the model's weights and in the optimizer.
# `fresh_start` below makes both anew. It is called before each run, so that every run begins at the same place,
# and the results of one cell do not depend on how often you ran another.
# %%
# A fresh policy (the weights from disk) and a fresh optimizer (no memory of earlier gradients).
def fresh_start():
    """Return (policy, optimizer) as they are before any training."""
    seed_everything(seed)
    policy, _ = load_policy(preset, device)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=preset.reinforce.learning_rate, weight_decay=0.0)
    return policy, optimizer
# %% [markdown] q="w2_4"
# **Question 2.D · Resetting** (3 points). What does it do to reset the model, and what does it do to reset the
# optimizer? Describe what would happen if you reset only one of the two: first only the model, then only the optimizer.
# %% [markdown]
# Resetting the model puts the weights back to those of the untuned policy.
# A new run then starts where the first one did, and the two can be compared. Resetting the optimizer throws away
# AdamW's running averages of gradients and squared gradients, and its count of steps.
#
# *Only the model:* the weights are fresh, but the averages still describe the gradients of a tuned policy.
# The first steps go partly in the old direction, and their length is divided by an old scale; also, the correction
# that makes Adam's first steps sound is missing, because the step count is not at its beginning.
# The run differs from a clean one, and depends on what was run before it.
#
# *Only the optimizer:* the policy is the tuned one, so training goes on from there: the reward starts high,
# and the second run cannot be compared with the first. With empty averages, Adam's first steps have nearly the full
# learning rate for every weight, whatever the gradient's size, which may show as a small jolt.
#
# **Rubric**
# - 1 point: resetting the model loads the weights from before training, so that the run starts from the untuned policy
#   and runs can be compared.
# - 1 point: resetting the optimizer clears Adam's running averages (and with them its step counter),
#   which belong to the gradients of the earlier run.
# - 1 point: a mixed reset described rightly: new model with old optimizer takes first steps of a wrong direction
#   and size; old model with new optimizer goes on training a tuned policy.
# %% [markdown]
# ### The loop around your step
#
# The function `train` from `helpers.training` calls your step again and again. It is worth knowing what it does:
#
# - before each step, `rollout_source` draws a batch of prompts and lets the policy *as it then is* complete them:
#   on-policy;
# - a **progress bar** shows the reward, the length of the completions in tokens, and the KL;
# - every few steps it completes some fixed prompts and keeps the texts as **samples**;
# - it saves **checkpoints** in `runs/reinforce`: weights, optimizer, random numbers and history. If the kernel dies,
#   run the cell again: the run goes on where it was, and the result is the same as that of an unbroken run;
# - press the **stop button** of the notebook to end early. The policy and the history are kept as they are then.
#
# **What is the KL?** A number for how far the policy has moved from the reference. For a completion $y$ of the policy
# it is $\log \pi(y \mid x) - \log \pi_\text{ref}(y \mid x)$: by how much more likely the policy finds its own text than
# the reference does. Its mean over many completions is the *Kullback–Leibler divergence*, in nats (natural units of
# information). At 0 the two models are alike. At 5 the policy's texts are on average $e^5 \approx 150$ times more
# likely under the policy than under the reference. Part 3 is about this number; here we only watch it.
# %%
# Your step, with two more numbers added to what it reports. Nothing here changes the training.
def compare_with_reference(rollout):
    """How the reference sees a batch.

    Returns "kl": mean of log-prob under the policy minus log-prob under the reference, in nats per completion,
    and "surprise": minus the mean log-prob under the reference, in nats per generated token.
    """
    with torch.no_grad():
        logits = policy_logits(reference, rollout.ids, rollout.attention_mask)  # [B, T, V]
        reference_log_probs = token_log_probs(logits, rollout.ids)  # [B, T-1]
    mask = rollout.completion_mask[:, 1:]  # [B, T-1]
    gap = (rollout.log_probs - reference_log_probs) * mask  # [B, T-1]
    return {"kl": gap.sum(dim=1).mean().item(), "surprise": -reference_log_probs[mask].mean().item()}


def watched_step(rollout):
    """One call of your reinforce_step; reports its floats, the KL and the reference's surprise."""
    seen_by_reference = compare_with_reference(rollout)  # the batch was written by the policy as it is now
    return {**reinforce_step(policy, optimizer, rollout, reward_model), **seen_by_reference}
# %% [markdown]
# ### A dry run
#
# Before a long run, always do a short one. It shows whether anything fails, and how long the long one will take.
# This one takes a few steps. **What should come out:** a reward near that of the untuned policy,
# a KL near 0 in the first step (the policy *is* the reference then), and an estimate of the time.
# %% tags=["training"]
# The dry run: a few steps with everything switched on, then an estimate for the whole training.
policy, optimizer = fresh_start()
batch_size = preset.reinforce.batch_size
source = rollout_source(policy, tokenizer, train_prompts, preset.new_tokens, batch_size, seed=seed)
start = time.perf_counter()
dry_run = train(watched_step, source, steps=sizes.dry_run_steps, description="dry run")
seconds = (time.perf_counter() - start) / sizes.dry_run_steps
minutes = seconds * sizes.training_steps / 60
print(f"{seconds:.2f} s a step; the {sizes.training_steps} steps of the training run will take about {minutes:.1f} min")
assert abs(dry_run["kl"][0]) < 0.01, "before the first update the policy is the reference, so the KL must be 0"
dry_run.to_pandas().round(3)
# %% [markdown]
# ### The training run
#
# First the state of affairs *before* training: reward on the test prompts. Then the run.
# The goal is a mean reward of at least 0.75 on the test prompts.
# **Predict first:** which of reward, KL, length and repetition will rise, which will fall?
# %% tags=["training"]
# The untuned policy on the test prompts (the reference is just that). Takes some seconds.
before = evaluate(reference, tokenizer, reward_model, held_out_prompts, preset, seed=seed)
print("before training:", before)
# %% tags=["training"]
# The training run: one batch of completions for each step.
# Takes one to three minutes on a laptop with the tiny preset.
watched_prompts = load_prompts(preset, "validation")[: sizes.watched_prompts]  # completed now and then
sample_every = max(1, sizes.training_steps // 10)
policy, optimizer = fresh_start()  # also when you run this cell a second time
batch_size = preset.reinforce.batch_size
source = rollout_source(policy, tokenizer, train_prompts, preset.new_tokens, batch_size, seed=seed)
history = train(
    watched_step,
    source,
    steps=sizes.training_steps,
    policy=policy,
    optimizer=optimizer,
    tokenizer=tokenizer,
    sample_prompts=watched_prompts,
    sample_every=sample_every,
    sample_tokens=preset.new_tokens,
    folder="runs/reinforce",
    settings={"seed": seed, "preset": preset.name},
    description="REINFORCE",
)
print(f"ended: {history.stopped}, mean reward of the last ten batches {history.mean('reward', last=10):.3f}")
# %% [markdown]
# ## 2.9 Results
#
# ### Reward and KL during training
#
# Each batch has its own prompts and its own luck, so the single values jump.
# The line is the mean of the last ten batches, the band one standard deviation to each side.
# %% tags=["training"]
# The reward of each batch (dots), its running mean (line) and its spread (band).
# It should rise fast, then level off below 1.
plots.show(figures.plot_training(history, "reward", title="Reward during training", target=0.75))
# %% tags=["training"]
# How far the policy has moved away from the reference. Nothing holds it back, so it should rise far.
plots.show(figures.plot_training(history, "kl", title="KL to the reference during training"))
# %% [markdown]
# ### Reward on test prompts, before and after
#
# The batches above come from training prompts. What counts are prompts that were not used in training.
# The bars show the mean reward with 95 % intervals, computed as in Part 1.
# %% tags=["training"]
# The trained policy on the test prompts, with the same random numbers as before training.
after = evaluate(policy, tokenizer, reward_model, held_out_prompts, preset, seed=seed)
print("before training:", before)
print("after training: ", after)
headline("test reward before", before.mean)  # for the report of a whole run; it does nothing in your notebook
headline("test reward after", after.mean)
reached = "reached." if after.mean >= 0.75 else "not reached: train longer, or look at your step again."
print("The goal of 0.75 is", reached)
plots.show(
    plots.plot_bars(
        {"before": before.mean, "after": after.mean},
        errors={"before": before.half_width, "after": after.half_width},
        title="Mean reward on test prompts (95 % intervals)",
        ylabel="reward, P(positive)",
        limits=(0, 1.05),
    )
)
# %% [markdown]
# ### The same prompts, before and after
#
# Numbers do not tell what the texts are like. Read them.
# %% tags=["training"]
# Five fixed prompts, completed by the untuned policy and by the trained one, with the reward of each text.
fixed_prompts = held_out_prompts[:5]
show_samples(
    {"before": before.completions[:5], "after": after.completions[:5]},
    prompts=fixed_prompts,
    rewards={"before": before.rewards[:5].tolist(), "after": after.rewards[:5].tolist()},
    title="Five test prompts before and after REINFORCE",
)
# %% [markdown] q="w2_5"
# **Question 2.E · Before and after** (3 points). Compare the completions. Are they more positive?
# What else has changed? Quote from your own output, and relate what you see to at least one measured quantity
# (you may use the plots that follow).
# %% [markdown]
# The completions after training are more positive in every word: they consist of words of praise.
# But they are no sentences any more. The same few words come again and again ("deeply", "compelling", "moving"),
# whatever the prompt is about; there is no verb and no point, and all completions look alike. Before training the texts
# were clumsy, but each in its own way, and some were negative. The measurements agree: the share of repeated bigrams
# has risen from almost nothing to about a half, all completions use the full length, and the KL says that such texts
# are extremely unlikely under the reference. The reward model gives nearly the highest reward to all of it.
#
# **Rubric**
# - 1 point: says that the texts are more positive, with at least one example from the student's own output.
# - 1 point: names what else changed: repeated phrases, a small stock of words of praise, less of the prompt's subject,
#   uniform texts, broken grammar, changed length.
# - 1 point: relates it to a measured quantity of this notebook (repetition, length, KL, surprise,
#   the second reward model) or to the reward that the texts got.
# %% [markdown]
# ### Repetition and length
#
# **Repetition** is the share of a completion's bigrams (pairs of neighbouring words)
# that occurred before in the same completion. **Length** is the number of generated tokens.
# The reward mentions neither. Both may change all the same, if that helps the reward.
# %% tags=["training"]
# Two things that nobody asked for, recorded at every step.
plots.show(figures.plot_side_effects(history))
# %% [markdown]
# ### A second opinion
#
# A reward model is a stand-in for what we want. It was trained on sentences that people wrote, and on those it is a
# fair judge. The policy now writes sentences that no person would write, and it searches for the ones to
# which *this* model gives a high score. The texts may become better in the model's opinion without becoming better.
# This is called **over-optimisation**, or **reward hacking**, and it is an instance of Goodhart's law:
# when a measure becomes a target, it ceases to be a good measure.
#
# The second reward model was never asked during training. The next cell asks it about the samples
# that `train` has kept. A third judge is asked another question: not "is this positive?" but "is this language?".
# It is the reference, the untuned policy. Its **surprise** is minus the mean log-prob per generated token: low for text
# that it might have written itself, high for anything else.
# **Predict first:** will the two reward models rise together, and will they stay together? What will the surprise do?
# %% tags=["training"]
# Both reward models on the samples kept during training.
samples = pd.DataFrame(history.samples)
samples["text"] = samples["prompt"] + samples["completion"]
samples["first"] = reward_model(samples["text"].tolist()).numpy()
opinions = {"the reward model (trained on)": samples.groupby("step")["first"].mean()}
if has_second:
    samples["second"] = second_reward_model(samples["text"].tolist()).numpy()
    opinions["the second reward model (never trained on)"] = samples.groupby("step")["second"].mean()
plots.show(figures.plot_opinions_by_step(opinions))
# %% tags=["training"]
# The third judge: how surprised the reference is by the completions of each batch, per generated token.
plots.show(figures.plot_training(history, "surprise", title="Does the reference take it for language?"))
# %% [markdown]
# **What to make of it.** With the `tiny` preset both rise at first: the texts become kinder, and both judges see it.
# Then they part. The first goes on to nearly 1; the second turns (after about 20 steps at seed 0), falls, and wavers
# not far above ½. From there on the policy collects the first model's *errors*. The second judge sees the difference
# because it was taught something that the first was not: that a heap of words is no opinion.
# *An independent judge helps only where it is independent*: two models made alike have the same blind spot,
# and agree in their error. The surprise tells the same story: it climbs well above that of ordinary text,
# as do repetition and KL. And so does the best judge of all, a person who reads the samples.
#
# The next table follows three prompts through the training. Find the column in which you would have stopped.
# %% tags=["training"]
# The same prompts at several steps of the training, with the reward of each text.
prompts_shown = watched_prompts[:3]
steps_shown = sorted(set(samples["step"]))
steps_shown = [
    steps_shown[i] for i in sorted({0, min(2, len(steps_shown) - 1), len(steps_shown) // 2, len(steps_shown) - 1})
]
columns, rewards_shown = {}, {}
for step in steps_shown:
    at_step = samples[samples["step"] == step].drop_duplicates("prompt").set_index("prompt")
    columns[f"step {step}"] = [at_step.loc[prompt, "completion"] for prompt in prompts_shown]
    rewards_shown[f"step {step}"] = [at_step.loc[prompt, "first"] for prompt in prompts_shown]
show_samples(columns, prompts=prompts_shown, rewards=rewards_shown, title="Three prompts during the training")
# %% tags=["training"]
# The same on all test prompts, before and after, as numbers.
def second_opinion(evaluation):
    """Mean of the second reward model on an evaluation's texts; not a number where there is none."""
    return second_reward_model(evaluation.texts).mean().item() if has_second else float("nan")


table = pd.DataFrame(
    {
        "reward": [before.mean, after.mean],
        "second reward model": [second_opinion(before), second_opinion(after)],
        "repetition": [before.repetition, after.repetition],
        "length (tokens)": [e.lengths.float().mean().item() for e in (before, after)],
        "different words": [len({w for c in e.completions for w in c.lower().split()}) for e in (before, after)],
    },
    index=["before", "after"],
)
table.round(3)
# %% [markdown]
# The last column counts the different words in all completions together.
# A policy that has found out what is rewarded says it in few words.
#
# Keep the trained policy as a point for the picture of Part 3, where reward is plotted against KL.
# %% tags=["training"]
# The trained policy's place in the plane of KL and reward, kept in runs/frontier.json for Parts 3 and 4.
test_rollout = generate(policy, tokenizer, held_out_prompts[:256], preset.new_tokens, generator=seed)
save_point(
    "REINFORCE (Part 2)",
    compare_with_reference(test_rollout)["kl"],
    after.mean,
    method="REINFORCE",
    repetition=after.repetition,
    length=after.lengths.float().mean().item(),
    samples=after.texts[:5],
)
print("saved to runs/frontier.json")
# %% [markdown]
# ## 2.10 Looking back
# %% [markdown] q="w2_6"
# **Question 2.F · The limits of REINFORCE** (4 points). Which limits of the method did you see in this notebook?
# Name at least two.
# For each, say what shows it (a plot, a number, a text), what causes it, and for one of them what might help.
# %% [markdown]
# **Over-optimisation.** The reward ends near 1, yet the texts are strings of praising words ("deeply deeply moving,
# compelling, deeply"); repetition rises, the number of different words falls, and the reference is far more surprised
# by the texts than by ordinary ones. The cause: the reward model judges well only near the texts
# that it was trained on, and nothing in the objective ties the policy to such texts.
# The policy moves to where the model is wrong in its favour. The second reward model warns: it rises with the first
# for a while, then it falls, while the first still rises. A penalty for the distance to the reference (Part 3) helps,
# as does stopping early; several reward models help if they differ in kind.
#
# **Noise.** The reward of single batches jumps about. The gradient is estimated from 32 texts, and one number
# for a whole text must serve for all of its tokens, those that earned it and those that did not.
# A baseline, larger batches and a smaller learning rate help.
#
# **Waste.** The method is on-policy: each batch is used for one step and thrown away,
# and most of the time is spent on sampling. PPO reuses a batch for several steps with a correction.
#
# **Loss of variety.** A completion that is no longer tried can no longer be learned about.
# The policy settles on the first thing that works.
#
# **Rubric**
# - 1 point: names reward hacking (over-optimisation): the reward rises while the text gets worse, shown by repetition,
#   variety, the reference's surprise or the texts in the student's own results.
# - 1 point: gives the cause: the reward model is an imperfect stand-in,
#   and nothing in the objective ties the policy to natural text or to the reference.
# - 1 point: names a second limit with its cause: noisy gradients (one reward for a whole text, estimate from samples),
#   each batch used once (on-policy), loss of variety, dependence on the learning rate or seed.
# - 1 point: names a fitting remedy for one of them: a KL penalty to the reference, stopping early,
#   several reward models, a better baseline or larger batches, importance-weighted reuse.
# %% [markdown]
# ## 2.11 Optional: a pole and a ship
#
# *This section is not graded, and nothing later needs it.* It shows that what you wrote is not about text.
# The same loss trains a policy to balance a pole and to land a ship.
# It needs the library **gymnasium**; without it, the cells say so and do nothing.
#
# **Gymnasium from zero.** Gymnasium is a collection of small simulated environments with one common interface.
# `env = gymnasium.make("CartPole-v1")` makes one. `env.reset(seed=0)` starts an **episode** (one trajectory)
# and returns the first observation, an array of numbers: the state. `env.step(action)` lets one moment pass
# and returns five things: the next observation, the reward of this moment, `terminated`
# (the episode has ended by the rules: the pole fell), `truncated` (the time is up), and a dict with details.
# An episode is over if `terminated` or `truncated` is True.
#
# - **CartPole-v1.** A pole stands on a cart. The state is four numbers: the cart's position and speed, the pole's angle
#   and its speed. Two actions: push left, push right.
#   Each moment that the pole has not fallen gives reward 1; the episode ends when it falls, or after 500 moments.
#   So the reward of an episode is its length, at most 500. Random pushing reaches about 20.
# - **LunarLander-v3.** A ship must land softly between two flags. The state is eight numbers: position, speed, angle,
#   turning speed, and whether each leg touches the ground. Four actions: do nothing, fire the left, the main
#   or the right engine. Landing well gives 100 to 140 points, a crash −100, and fuel costs a little.
#   Random firing reaches about −180; 200 counts as solved. It needs the physics library *Box2D*
#   (`pip install "gymnasium[box2d]"`), which cannot be installed everywhere; the cell checks.
#
# **The policy** is a small network: state in, one logit for each action out. `control.collect_episodes` plays some
# episodes with it and returns, for each, the states, the actions and the rewards.
# The rest is yours: the returns come from your `discounted_returns`, the loss from your `compute_reinforce_loss`,
# with each moment of each episode as a row of its own with one "token", the action.
#
# **The baseline** here is the mean return over all moments of the batch. The returns are divided by their standard
# deviation as well, since they can be as large as 100 and would otherwise need another learning rate
# for each environment. This is common practice; strictly, it changes the objective's scale from batch to batch.
# %% tags=["training"]
# Policy gradient on CartPole with three seeds. Takes less than a minute.
have_gymnasium = importlib.util.find_spec("gymnasium") is not None
have_box2d = all(importlib.util.find_spec(name) is not None for name in ("Box2D", "pygame"))
if not have_gymnasium:
    print('gymnasium is not installed, so this optional section is left out: pip install "gymnasium[box2d]"')
elif not have_box2d:
    print('Box2D or pygame is not installed, so LunarLander is left out: pip install "gymnasium[box2d]"')


def policy_gradient(environment, seed, iterations, episodes, discount=0.99, learning_rate=1e-2, max_steps=500):
    """Train a small policy on a gymnasium environment; return the mean episode reward of each iteration."""
    player, optimizer = control.make_player(environment, seed, learning_rate)
    curve = []
    for iteration in range(iterations):
        draw = 1000 * seed + iteration
        played = control.collect_episodes(environment, player, episodes, seed=draw, max_steps=max_steps)
        returns = torch.cat([discounted_returns(rewards, discount) for rewards in played.rewards])  # [N] all moments
        advantages = (returns - returns.mean()) / (returns.std() + 1e-6)  # [N]
        log_probs = F.log_softmax(player(torch.cat(played.states)), dim=-1)  # [N, actions]
        chosen = log_probs.gather(1, torch.cat(played.actions)[:, None])  # [N, 1] one "token" a row
        loss = compute_reinforce_loss(chosen, advantages, torch.ones_like(chosen, dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(sum(rewards.sum().item() for rewards in played.rewards) / episodes)
    return curve


if have_gymnasium:
    from helpers.reinforce import control  # it needs gymnasium

    cartpole = {f"seed {s}": policy_gradient("CartPole-v1", s, sizes.cartpole_iterations, 8) for s in range(3)}
    plots.show(figures.plot_seeds(cartpole, title="CartPole: reward per iteration, three seeds", best=500))
# %% tags=["training"]
# The same on LunarLander, where Box2D is installed. Takes about two minutes, episodes cut after 300 moments.
# It learns to come down without a crash; 200 takes longer than this.
if have_gymnasium and have_box2d:
    ship, iterations, episodes = "LunarLander-v3", sizes.lander_iterations, sizes.lander_episodes
    lander = {f"seed {s}": policy_gradient(ship, s, iterations, episodes, max_steps=300) for s in range(3)}
    plots.show(figures.plot_seeds(lander, title="LunarLander: reward per iteration, three seeds"))
else:
    print("LunarLander was left out (see above).")
# %% [markdown]
# **What to look at.** The three curves use the same code and differ in the seed only. How far apart are they?
# Policy gradients are noisy, and a single run proves little. Published comparisons show several seeds for this reason.
# Look also for a sudden drop after a good stretch: on-policy data come from the present policy,
# and one bad step spoils the data of the next.
# %% [markdown]
# ## 2.12 Summary
#
# - A language model is a policy: the state is the text so far, the action is the next token.
# - $\nabla J = \mathbb{E}[R\, \nabla \log \pi]$: the gradient of an expected reward is a mean
#   that can be estimated from the policy's own samples.
# - A baseline that does not depend on the sample leaves the gradient unbiased and makes it less noisy;
#   leave-one-out is such a baseline.
# - The loss sums over the tokens that the policy generated, and averages over the batch.
#   Its value means nothing; watch the reward.
# - The reward rises quickly.
#   The texts do not improve as much as the reward says: the policy learns what the reward *model* likes.
#
# In Part 3 a second term in the objective holds the policy near the reference,
# and the two goals are weighed against each other.
#
# **Further reading** (all of it optional; what you need is in this notebook).
#
# - R. J. Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement learning* (1992):
#   REINFORCE and the baseline.
# - A. Ahmadian and others, *Back to Basics* (2024, arXiv 2402.14740): REINFORCE
#   with the leave-one-out baseline is enough for language models, where PPO's extra machinery earns little.
# - L. Gao, J. Schulman and J. Hilton, *Scaling laws for reward model overoptimization* (2022, arXiv 2210.10760):
#   the second reward model's view, measured at scale.
