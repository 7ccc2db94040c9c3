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
# 2. derive the gradient of an expected reward, first by hand on an example with two words, then in general;
# 3. write the log-probabilities, the loss and the baseline, and see by experiment what a baseline is good for;
# 4. write one training step, try it on a task that you can check yourself, find out what is wrong with broken ones,
#    train the model, and look closely at what it has become;
# 5. optionally, use the same gradient on two small control problems: a pole to balance and a ship to land;
#    and see where the time of a training step goes.
#
# Nothing about reinforcement learning is assumed. You need Python, PyTorch tensors, derivatives, and Part 1.
#
# | section | what | computing on a 2-core laptop |
# | --- | --- | --- |
# | 2.1 | the words: state, action, policy, reward, trajectory | seconds |
# | 2.2 | the gradient of an expected reward | seconds |
# | 2.3 | log-probabilities of tokens (exercise 2.1) | seconds |
# | 2.4 | the loss (exercise 2.2) | seconds |
# | 2.5 | baselines (exercise 2.3) and an experiment | seconds |
# | 2.6 | continuous actions: the Gaussian policy (exercises 2.4 and 2.5) | seconds |
# | 2.7 | rewards that come over time (exercise 2.6) | seconds |
# | 2.8 | one training step (exercise 2.7), broken steps, a dry run, the training | minutes; the dry run says how many |
# | 2.9 | results: what was learned, and what else happened | half a minute |
# | 2.10 | looking back: written questions | |
# | 2.11 | optional: a pole and a ship | half a minute for the pole; the ship is not measured |
# | 2.12 | optional: where the time of a step goes | a quarter of a minute |
# | 2.13 | summary and submission | |
#
# The times are those of the small models (preset `tiny`); with larger ones the progress bars say how long it takes.
#
# **Words used throughout the course.** The **policy** is the model we train.
# The **reference** is a frozen copy of the model it starts from. A **prompt** is the beginning of a text,
# a **completion** is what the policy adds to it. A **log-prob** is the natural logarithm of a probability;
# its unit is called **nat**, as in Part 1.
# The **advantage** of a completion says how much better it was than expected; section 2.5 makes that exact.
#
# As before, your functions leave their arguments as they are, and return tensors of their `dtype` and on their device
# (`torch.zeros_like(x)`, `device=x.device`), unless the exercise says otherwise.
# %%
# What this notebook uses. Each name is explained where it first occurs.
import copy
import functools
import importlib.util
import time

import pandas as pd
import torch
import torch.nn.functional as F
import transformers

from helpers import concepts, plots
from helpers.data import load_prompts
from helpers.devices import choose_device, run_seed, seed_everything
from helpers.display import show_samples
from helpers.evaluation import evaluate
from helpers.fast import completion_log_probs
from helpers.generation import generate
from helpers.models import load_policy, load_reward_model, policy_logits, trainable_copy
from helpers.notebook.claims import claim
from helpers.notebook.start import headline
from helpers.presets import choose_preset
from helpers.reinforce import figures, finished, gauges, letters, rewriting, stopwatch
from helpers.runs import load_weights, save_point
from helpers.training import rollout_source, train

preset = choose_preset("auto")  # which models and which data; prints what it chose and why
# %%
seed = run_seed(0)  # change the 0 to see how much depends on chance
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
plots.show(figures.draw_trajectory(prompt="The film is", completion=words, reward=0.98))
# %% [markdown]
# And this is what the whole part comes to. You will write every box but the reward model.
# %%
plots.show(concepts.draw_step())
# %% [markdown]
# Three things differ from **supervised learning**, where a model is trained on pairs of an input
# and its correct answer:
#
# - **There are no labels.** Nobody knows "the right" completion. There is only a judgement of what was tried.
#   The policy can therefore only learn about completions that it produces.
# - **The data depend on the model.** As the policy changes, so do the completions that it learns from.
#   A policy that has stopped writing something will not find out whether it would be good by now.
# - **The judgement arrives late.** One number is given for the whole text.
#   Which of its tokens earned it is not said.
#
# **On-policy and off-policy.** A method is *on-policy* if it learns from trajectories of the very policy
# that it is changing, as that policy is now. It is *off-policy* if the trajectories come from somewhere else:
# an older version of the policy, another model, people. REINFORCE is on-policy, and in Question 2.A you will find out
# which line of its derivation needs that. The price is that each batch of completions is used for one step only.
# The benefit is that the gradient is right without any correction. (Part 3 shows PPO, which uses a batch
# for several steps with a correction, and Part 4 shows DPO, which learns from a fixed list of pairs.)
# %% [markdown]
# ## 2.2 The gradient of an expected reward
#
# Write $x$ for a prompt, $y$ for a completion and $R(x, y)$ for its reward. Two things are drawn at random. A prompt
# comes from a fixed distribution $\rho$ (here: one of the training prompts, all equally likely). Then the policy
# draws the completion. The goal is the mean reward over both:
#
# $$J(\theta) = \mathbb{E}_{x \sim \rho}\, \mathbb{E}_{y \sim \pi_\theta(\cdot \mid x)}\big[R(x, y)\big] = \sum_x \rho(x) \sum_y \pi_\theta(y \mid x)\, R(x, y).$$
#
# The symbol $\mathbb{E}_{y \sim \pi}$ is read "the mean over completions drawn from $\pi$".
# The policy has no say in which prompts come: $\rho$ does not contain $\theta$. But prompts are not alike. After
# some, nearly every completion gets a high reward, after others hardly one does. Section 2.5 comes back to this.
#
# To climb, we need the gradient $\nabla_\theta J$: the direction in which $J$ grows fastest. There seem to be two
# obstacles. First, $R$ is a black box: it sees words, and words are chosen by drawing at random, so no gradient passes
# back through them. Second, the sum runs over all possible completions, and of $n$ tokens there are $V^n$.
#
# **The idea.** A sum over completions can be estimated by drawing some of them, if it is a *mean*: if each term has
# the factor $\pi_\theta(y \mid x)$, the probability with which it is drawn. Take the gradient of the sum, and that
# factor is gone: $\nabla \pi_\theta(y \mid x)$ stands in its place, from which nothing can be drawn, since it may be
# negative. The derivative of the logarithm brings the factor back: it holds both, $\nabla\pi$ and $\pi$. This is
# called the **log-derivative trick**. What comes out is
#
# $$\nabla J = \mathbb{E}_{x \sim \rho}\, \mathbb{E}_{y \sim \pi_\theta(\cdot \mid x)}\big[R(x, y)\, \nabla \log \pi_\theta(y \mid x)\big].$$
#
# The example below shows it for two words. The general derivation is short, and it is yours: Question 2.A.
#
# **From the formula to a program.** A mean can be estimated from samples.
# Draw $B$ prompts, let the policy write a completion for each, and average:
#
# $$\nabla J \approx \frac{1}{B} \sum_{b=1}^{B} R_b\, \nabla \log \pi_\theta(y_b \mid x_b).$$
#
# A completion's probability is the product of its tokens' probabilities, so its log-prob is a sum, in
# which $y_{b,t}$ is the $t$-th token of the completion and $y_{b,<t}$ stands for all tokens of it before that one:
#
# $$\log \pi_\theta(y_b \mid x_b) = \sum_t \log \pi_\theta(y_{b,t} \mid x_b, y_{b,<t}).$$
#
# That is the whole of REINFORCE (Williams, 1992).
# In words: *make what you did more likely, in proportion to how well it went.* Note two things.
#
# - $R$ is never differentiated. It may be a classifier, a person or a coin.
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
# *By the formula:* the derivative of $\log p(\text{good})$ is $1 - \sigma(\theta) = ½$,
# and that of $\log p(\text{bad})$ is $-\sigma(\theta) = -½$.
# The mean of reward times derivative is $½ \cdot (1 \cdot ½) + ½ \cdot (0 \cdot (-½)) = ¼$. The two agree.
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
# **Question 2.A · Derive the policy gradient.**
#
# (i) Start from $J(\theta) = \sum_x \rho(x) \sum_y \pi_\theta(y \mid x)\, R(x, y)$ and derive its gradient: first as
# a mean over prompts and over the policy's own completions, then with the log-probs of single tokens. One step a
# line; say what each step uses.
#
# (ii) Now the completions come from another policy $\mu$, say that of last week. Which of your lines fails? Find the
# factor by which each sample must be multiplied so that the mean is right again, and the condition on $\mu$ under
# which it exists. Say which of the two cases is called on-policy, and which off-policy.
#
# (iii) The estimate is the mean over $N$ independent samples. Derive its mean and its standard error from those of one
# sample. What becomes of it when $N$ grows without limit? Name one thing that this limit does *not* promise.
# %% [markdown]
# (i) The sums are finite, so the gradient goes inside. Neither $\rho$ nor $R$ contains $\theta$:
#
# $$\nabla J = \sum_x \rho(x) \sum_y R(x, y)\, \nabla \pi_\theta(y \mid x).$$
#
# By the chain rule $\nabla \log \pi = \nabla \pi / \pi$ wherever $\pi > 0$, and a softmax is nowhere 0.
# Put $\nabla \pi = \pi\, \nabla \log \pi$ in:
#
# $$\nabla J = \sum_x \rho(x) \sum_y \pi_\theta(y \mid x)\, R(x, y)\, \nabla \log \pi_\theta(y \mid x).$$
#
# Each term has the probability of its prompt and of its completion as a factor, so by the definition of a mean this is
# $\mathbb{E}_{x \sim \rho}\, \mathbb{E}_{y \sim \pi_\theta(\cdot \mid x)}[R(x, y)\, \nabla \log \pi_\theta(y \mid x)]$.
# The probability of a text is the product of what is drawn on the way: by the chain rule of probability
# $\pi_\theta(y \mid x) = \prod_t \pi_\theta(y_t \mid x, y_{<t})$. The logarithm makes it a sum, and the gradient of a
# sum is the sum of the gradients:
# $\nabla J = \mathbb{E}_x \mathbb{E}_y[R(x, y) \sum_t \nabla \log \pi_\theta(y_t \mid x, y_{<t})]$. (Appending a
# token involves no chance. Were the next state drawn by an environment, its probability would be one more factor; it
# does not contain $\theta$, so its gradient is 0, and the result would be the same.)
#
# (ii) The line that reads the sum as a mean over the policy's own completions: samples of $\mu$ come with the
# factor $\mu(y \mid x)$. Multiply and divide by it:
#
# $$\sum_y \pi_\theta\, R\, \nabla \log \pi_\theta = \sum_y \mu\, \frac{\pi_\theta}{\mu}\, R\, \nabla \log \pi_\theta = \mathbb{E}_{y \sim \mu}\Big[\frac{\pi_\theta(y \mid x)}{\mu(y \mid x)}\, R(x, y)\, \nabla \log \pi_\theta(y \mid x)\Big].$$
#
# The factor is the ratio $\pi_\theta / \mu$ (importance weighting). It exists if $\mu$ gives a positive probability
# to all that $\pi_\theta$ may write, and it varies wildly if the two are far apart. Samples of the very policy that
# is changed are on-policy, and REINFORCE needs them. Samples of any other are off-policy.
#
# (iii) The mean of a sum is the sum of the means: that of the estimate is $\frac1N \cdot N \cdot \nabla J = \nabla J$
# for every $N$, so it is unbiased. Variances of independent terms add up: with $s^2$ the variance of one sample's
# term, that of the estimate is $\frac{1}{N^2} \cdot N s^2$, and its standard error $s / \sqrt{N}$. As $N$ grows the
# estimate becomes the exact gradient. That promises one right direction uphill from here, not the best policy:
# gradient ascent may end in a local optimum, a step that is too long overshoots, and the reward may be the wrong one.
#
# **Rubric**
# - 1 point: the derivation in general: the gradient inside the sum, the log-derivative trick, read as a mean over
#   prompts and over completions of the policy; each step with its reason ($\rho$ and $R$ do not contain $\theta$).
# - 1 point: the log-prob of a completion as the sum over its tokens, from the product of conditional probabilities.
# - 1 point: names the line that needs samples of the present policy, derives the ratio of the two probabilities, says
#   when it exists, and uses on-policy and off-policy rightly.
# - 1 point: unbiased for every N, the error falls as one over the root of N, exact in the limit; and the limit does not
#   promise the best policy (local optimum, step size, wrong reward: one is enough).
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
# %% [markdown] q="q2_1" level=2
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
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: which positions count?</summary>
#
# Which positions of the logits predict a token that is in the text? Which tokens have something before them that
# predicts them? Count both for the text of two tokens above. The two numbers must agree.
#
# </details>
# <details><summary>Hint 2: cut first</summary>
#
# One end of `logits` and the other end of `ids` are of no use. Cut them off, and entry $t$ of the one belongs to entry
# $t$ of the other. From here on there is no shift to think of.
#
# </details>
# <details><summary>Hint 3: pick one entry</summary>
#
# After the log-softmax there is a number for each word of the vocabulary, and one of them is wanted: that whose number
# the id is. The index needs a third axis of length 1, and the result has that axis as well: take away this one alone.
#
# </details>
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
# %% [markdown]
# ## 2.4 The loss
#
# PyTorch's optimizers *minimise* a number, the loss. We want to *increase* the expected reward, so the loss is written
# with a minus sign, in such a way that its gradient is minus the estimate of section 2.2:
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
# **Sum or mean over tokens?** The log-prob of a completion is a sum over its tokens (section 2.2),
# so we take this sum, and the mean over the batch.
# Some libraries divide by the number of tokens;
# then a token of a short completion counts more than a token of a long one, which is another objective.
#
# **A small example.** Two completions of two tokens each, all tokens generated.
# Log-probs $(-1, -1)$ and $(-2, -1)$, advantages $+1$ and $-1$. The sums are $-2$ and $-3$.
# The loss is $-\frac12 \left(1 \cdot (-2) + (-1) \cdot (-3)\right) = -\frac12$.
# %% [markdown] q="q2_2" level=2
# **Exercise 2.2 · `compute_reinforce_loss`.** Write the loss above.
#
# - `log_probs` has shape `[B, T]`, `advantages` `[B]`, `mask` `[B, T]` (bool).
#   The result is a scalar: a tensor without axes.
# - Sum over tokens, then the mean over the batch.
#   The mean is over all `B` rows, also those whose mask is all False; these add 0.
# - `advantages` are detached inside. Gradients pass to `log_probs`, and only where the mask is True.
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: what does a row add?</summary>
#
# Do the small example with a pencil, the first row alone. Which numbers do you add up first? At which point does the
# advantage come in, and how often?
#
# </details>
# <details><summary>Hint 2: the mask</summary>
#
# In a product, True counts as 1 and False as 0. So multiply the log-probs by the mask, and add along the axis of the
# tokens. What is left has shape `[B]`: the log-prob of each completion.
#
# </details>
# <details><summary>Hint 3: the weights</summary>
#
# Advantages, cut off from the graph, times these sums: `[B]` again. Then one mean over the rows. Where does the minus
# go?
#
# </details>
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
        "two means are multiplied; each row's advantage multiplies that row's own log-probs before the mean.": 4.55,
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
# **Why it changes nothing on average.** A baseline adds the term $-b\, \nabla \log \pi(y)$ to each sample. In the
# two-word example *good* adds $-b \cdot ½$ and *bad* adds $-b \cdot (-½)$. Both are drawn equally often, so the mean
# is 0, whatever $b$ is. That is no luck of the example. All probabilities together are 1: what makes some completions
# likelier must make others less likely, and on average the two cancel. The quantity $\nabla \log \pi(y)$ is called
# the **score**; so *the score is zero on average*. You will prove it for every policy in Question 2.B. There is one
# condition: $b$ must be chosen without looking at $y$.
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
# Why leave $i$ itself out? The mean over the whole batch contains $r_i$, so that baseline has looked at $y_i$.
# What this costs is part of Question 2.B. Many libraries also divide by the standard deviation of the rewards.
# Then the length of the gradient no longer says how much there is to gain. We do not divide.
#
# **A small example.** Rewards $(1, 0, ½)$. The others' means are $¼$, $¾$ and $½$. The advantages are $(¾, -¾, 0)$.
# They add up to 0, and they always do.
# %% [markdown]
# **The others: of the batch, or of the same prompt?** In our training each prompt of a batch gets *one* completion.
# So "the others" have other prompts, and the advantage says how much better a text did than the *other texts of the
# batch*. Part of that is the prompt's doing: after a harsh beginning even a good completion may stay below the
# batch's mean. The gradient is right all the same, since a prompt does not depend on its completion. But the
# difference between prompts stays in the advantages as noise.
#
# If each prompt gets *several* completions, they can be compared with one another alone: with those that had the same
# start. The baseline is then an estimate of the expected reward *for this prompt*. That is how **RLOO** does it:
# "REINFORCE leave-one-out" (Ahmadian et al. 2024). The price: a batch of the same size holds fewer different prompts.
# The completions of one prompt then stand side by side in the batch and are a **group**. Your function will do both,
# and in section 2.8 you will measure how much of the reward's variance is the prompt's.
# %% [markdown] q="q2_3" level=2
# **Exercise 2.3 · `leave_one_out_advantages`.** Write the formula above, for groups of neighbours in the batch.
#
# - `rewards` has shape `[B]`; so has the result, with the same dtype.
# - `group_size` says how many neighbours are a group. `None` makes the whole batch one group, as in the formula above.
# - In a group of one there are no others, and the result is 0.
# - If the rewards cannot be cut into groups of this size, raise a `ValueError`.
# - The result is detached: it carries no gradient.
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: is a loop needed?</summary>
#
# You know the sum of all rewards of a group. How do you get from it the sum of all but one? And how many are these?
#
# </details>
# <details><summary>Hint 2: groups as rows</summary>
#
# Give the rewards the shape `[number of groups, group_size]`, so that each row is a group.
# A sum along a row that keeps its axis (`keepdim=True`) can be combined with every entry of the row.
#
# </details>
# <details><summary>Hint 3: the edges</summary>
#
# What does your formula divide by in a group of one? Settle that case apart. The remainder of a division, `%`, tells
# whether the groups fit. At the end the rows become one line again.
#
# </details>
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
# **Predict, then look.** Which of the three have the right mean? Which has the smallest variance?
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
errors = {name: (v.mean(0) - true_gradient).abs() for name, v in estimates.items()}  # name -> [3]
in_errors = {name: (errors[name] / v.std(0) * len(v) ** 0.5).max().item() for name, v in estimates.items()}
variance = {name: v.var(0).sum().item() for name, v in estimates.items()}  # summed over the entries
claim(
    "2_unbiased", "no mean is more than 3.5 standard errors away from the exact gradient",
    max(in_errors.values()) < 3.5, max(in_errors.values()),
)  # fmt: skip
ratio = variance["no baseline"] / variance["leave one out"]
claim("2_less_noise", "without a baseline the variance is more than ten times that of leave one out", ratio > 10, ratio)
pd.DataFrame(
    {
        "largest error of the mean": {name: error.max().item() for name, error in errors.items()},
        "in standard errors": in_errors,
        "variance (sum over entries)": variance,
    }
).round(5)
# %% [markdown]
# Where all three means agree with the exact gradient, **none of the baselines makes the estimate wrong**.
# The lines with ✓ or ✗ are statements of the course that your run has just checked. As the error falls
# with the square root of the number of samples, a variance ten times smaller is worth ten times as many samples.
# Compare also the last two rows: the exact expected reward is a good baseline, but in practice nobody knows it.
# %% [markdown]
# ## 2.6 Continuous actions: the Gaussian policy
#
# *This section and the next are about other problems than text, and the training in 2.8 needs neither. Whoever wants
# to see the language model learn first may read 2.8 and 2.9 now, and come back.* What they show is that the policy
# gradient asks one thing of a policy, its score: the formulas of 2.2 and 2.5 hold for motors as for words.
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
# **The score in closed form.** Derive it on paper first: which of the three terms contain $\mu$? What is the
# derivative of a squared distance, and what does the inner derivative do to its sign?
#
# <details><summary>The derivation (open after you have tried)</summary>
#
# Only the first term contains $\mu$. The derivative of $-\frac12 z^\top \Sigma^{-1} z$
# with respect to $z$ is $-\Sigma^{-1} z$ (use that $\Sigma^{-1}$ is symmetric).
# With $z = a - \mu$ the inner derivative is $-1$, and the two signs cancel.
#
# </details>
#
# The result, which exercise 2.5 will compute:
#
# $$\nabla_\mu \log \pi(a) = \Sigma^{-1} (a - \mu).$$
#
# Read it as an instruction. REINFORCE multiplies this vector by the advantage: if the action $a$ was good,
# move the mean towards it; if it was bad, move the mean away. The smaller the spread, the longer the vector.
#
# **A small example.** $D = 1$, $\mu = 0$, $\Sigma = 4$, $a = 2$.
# The first term is $-\frac12 \cdot 2 \cdot \frac14 \cdot 2 = -0.5$, the second $-\frac12 \ln 4 = -0.693$,
# the third $-\frac12 \ln 2\pi = -0.919$. Together $-2.112$. The score is $\frac14 \cdot 2 = 0.5$.
# %% [markdown] q="q2_4" level=2
# **Exercise 2.4 · `gaussian_log_prob`.** Write the log-density, constants included.
#
# - `action` and `mean` have shape `[B, D]`, `covariance` has `[D, D]`. The result has shape `[B]`.
# - Gradients pass to `action` and `mean`.
#   The formula is what you are to learn here: `torch.distributions` has it ready, and the sanity check compares.
#
# Useful: `torch.linalg.solve(M, x)` gives $M^{-1} x$, with the vectors in the *columns* of `x`;
# `torch.logdet(M)` gives $\ln \det M$. Solving is more exact than inverting. PyTorch has no solver for bfloat16:
# if the dtype is `torch.bfloat16` or `torch.float16`, compute in float32 and return to the input's dtype at the end.
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: which terms depend on the action?</summary>
#
# Only one of the three terms is different for each row. The other two are one number for the whole batch.
#
# </details>
# <details><summary>Hint 2: the squared distance</summary>
#
# Call the difference $z$, `[B, D]`. The solver wants the vectors in columns: transpose before, and back after.
# You then have $\Sigma^{-1} z$ for each row. Which operation makes of two vectors $z$ and $\Sigma^{-1} z$ the number
# $z^\top \Sigma^{-1} z$, row by row?
#
# </details>
# <details><summary>Hint 3: the constants</summary>
#
# All three terms have the factor $-\frac12$. $D$ is the last entry of a shape. For half precision, note the dtype
# before you convert, and convert all three arguments.
#
# </details>
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
# %% [markdown] q="q2_5" level=1
# **Exercise 2.5 · `gaussian_score`.** Write the score $\Sigma^{-1}(a - \mu)$ in closed form, without autograd.
#
# - Shapes as in exercise 2.4; the result has shape `[B, D]`. Gradients pass to `action` and `mean`.
# - For bfloat16 and float16 the same detour through float32 is allowed.
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: have you seen it before?</summary>
#
# Which part of Exercise 2.4 is this vector? Is it multiplied with anything here, or summed?
#
# </details>
# <details><summary>Hint 2: rows and columns</summary>
#
# One call of the solver does it. Check the shape it returns: the result has a row for each action, not a column.
#
# </details>
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
# The last one is what section 2.5 says of every policy: the score is zero on average.
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
# since an action cannot change the past. That sum is called the **return** (or *reward-to-go*).
#
# **Two words, two steps.** Let the policy of section 2.2 say two words, each *good* or *bad* with probability ½, and
# let the first word bring the reward $r_0$ before the second is drawn. What does $r_0$ add to the gradient by way of
# the second word? Its score is ½ or −½, and $r_0$ is fixed by then: the mean is
# $r_0 \cdot (½ \cdot ½ + ½ \cdot (-½)) = 0$. So the term may be left out: nothing is lost on average, and noise is.
# Question 2.B asks for the general proof.
#
# **Discounting.** Rewards that lie far ahead are often **discounted** by a factor $\gamma$ between 0 and 1 for each
# step of waiting:
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
# %% [markdown] q="q2_6" level=1
# **Exercise 2.6 · `discounted_returns`.** Write the returns of one trajectory.
#
# - `rewards` has shape `[T]` with `T ≥ 1`; so has the result, with the same dtype. `discount` is a number from 0 to 1.
# - Gradients pass to `rewards`. The input is not changed.
#
# Dividing by powers of the discount fails when it is 0 or when the trajectory is long: the powers underflow.
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: where to begin?</summary>
#
# At which step is the return known without any other return? And which one can you compute next?
#
# </details>
# <details><summary>Hint 2: one number to carry</summary>
#
# Go from the last step to the first and carry the latest return along. The new one is made of the present reward and
# of it.
#
# </details>
# <details><summary>Hint 3: keep the gradient</summary>
#
# Writing into a tensor in place is a trap. Collect the returns in a list and stack them; mind the order in which they
# came.
#
# </details>
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
# %% [markdown] q="w2_2"
# **Question 2.B · Three proofs from one fact.** Let $\pi_\theta(a \mid s)$ be any policy with finitely
# many actions.
#
# (i) Prove that the score is zero on average in every state:
# $\mathbb{E}_{a \sim \pi_\theta(\cdot \mid s)}[\nabla \log \pi_\theta(a \mid s)] = 0$.
#
# (ii) In a batch of $B$ independent completions, completion $i$ gets a baseline $b_i$. Prove that the expected
# gradient stays as it is if $b_i$ depends on the prompt $x_i$ and on the other completions, but not on $y_i$. Then
# let $b_i$ be the mean reward of the *whole* batch, $y_i$ included. By which factor does the expected gradient
# change?
#
# (iii) In a trajectory $s_0, a_0, r_0, s_1, a_1, r_1, \dots$ let $k < t$. Prove that
# $\mathbb{E}[\, r_k\, \nabla \log \pi_\theta(a_t \mid s_t)] = 0$, so that each action may be weighed by what comes
# after it alone. Say what you use of $r_k$.
# %% [markdown]
# (i) Write the mean as a sum and use $\pi\, \nabla \log \pi = \nabla \pi$. The sum is finite, so the gradient may be
# taken outside:
#
# $$\sum_a \pi_\theta(a \mid s)\, \nabla \log \pi_\theta(a \mid s) = \sum_a \nabla \pi_\theta(a \mid s) = \nabla \sum_a \pi_\theta(a \mid s) = \nabla 1 = 0.$$
#
# The probabilities add up to 1 whatever $\theta$ is, and the gradient of a constant is 0.
# Read a whole completion as one action $y$ in the state $x$: the same holds for it.
#
# (ii) Hold the prompts and all completions but $y_i$ fixed. Then $b_i$ is a number, and the mean over $y_i$ alone is
# $\mathbb{E}[b_i\, \nabla \log \pi(y_i \mid x_i)] = b_i\, \mathbb{E}[\nabla \log \pi(y_i \mid x_i)] = 0$ by (i). The
# mean over everything else leaves it at 0, so
# $\mathbb{E}[(r_i - b_i)\, \nabla \log \pi] = \mathbb{E}[r_i\, \nabla \log \pi]$. With the mean of the whole batch,
# $r_i - \frac1B \sum_j r_j = (1 - \frac1B)\, r_i - \frac1B \sum_{j \ne i} r_j$. The second part does not depend on
# $y_i$ and adds nothing. What remains is the gradient times $(B - 1)/B$: the right direction, a little shorter. The
# leave-one-out advantage is just $B/(B-1)$ times this one.
#
# (iii) Hold everything fixed up to the state $s_t$, just before $a_t$ is drawn. Since $k < t$, the reward $r_k$ was
# given by then: it is a part of what is held fixed, a plain number. So it may be taken out:
#
# $$\mathbb{E}\big[r_k\, \nabla \log \pi(a_t \mid s_t) \mid \text{past}\big] = r_k\, \mathbb{E}_{a_t \sim \pi(\cdot \mid s_t)}\big[\nabla \log \pi(a_t \mid s_t)\big] = 0 \quad\text{by (i)}.$$
#
# The mean over all pasts is then 0 as well. The gradient is
# $\mathbb{E}[\sum_t \nabla \log \pi(a_t \mid s_t) \sum_k r_k]$, and in it all terms with $k < t$ fall away. What
# remains of the inner sum is $\sum_{k \ge t} r_k$: the return. For $k \ge t$ the argument fails, since $a_t$ has a
# part in $r_k$.
#
# **Rubric**
# - 1 point: the score's mean as a sum, the probability cancelled, the gradient of the sum of all probabilities,
#   which is 1. (Checking it for two words alone: half a point.)
# - 1 point: conditions on all but the completion itself, takes the baseline out, uses (i); and the factor (B − 1)/B
#   for the mean of the whole batch (half a point each).
# - 1 point: conditions on the past up to the action, in which the earlier reward is a fixed number, and uses (i); says
#   that the reward was given before the action was drawn.
# %% [markdown]
# ## 2.8 Training
#
# ### The whole algorithm on one screen
#
# ```text
# REINFORCE with a leave-one-out baseline                       who wrote it
#
#  1  θ ← the weights of the reference                          fresh_start
#  2  for each training step:                                   train
#  3      draw prompts x_1 … x_B                                rollout_source
#  4      for b = 1 … B: draw y_b ~ π_θ(· | x_b), up to eos     generate (1.3, 1.4)
#  5      m_bt ← 1 on the tokens of y_b, first eos included     generate (1.5)
#  6      r_b ← R(x_b, y_b)                                     reward_model
#  7      A_b ← r_b − mean of the other rewards                 you, 2.3
#  8      ℓ_bt ← log π_θ(y_bt | x_b, y_b,<t)                    you, 2.1
#  9      L ← −(1/B) Σ_b A_b Σ_t m_bt ℓ_bt                      you, 2.2
# 10      g ← ∇_θ L, with A_b and m_bt as constants             you, 2.7
# 11      θ ← one step of the optimizer with g                  you, 2.7
# ```
#
# The numbers at the right are those of the exercises; 1.3 to 1.5 stand in Part 1. `fresh_start` follows below.
# Lines 6 to 11 are one call of `reinforce_step`, which you write in this section. Line 4 draws from $\pi_\theta$ as
# it is now: on-policy. Everything else is in place.
# %% [markdown]
# ### The cast
#
# Four models take part. Only one of them changes.
#
# | name | what it does | changes? |
# | --- | --- | --- |
# | `policy` | writes completions | yes: it is what we train |
# | `reference` | a copy of the policy from before training, to measure how far the policy has moved | no |
# | `reward_model` | reads a text, gives P(positive): the reward | no |
# | `second_reward_model` | also reads texts; the policy is *never* trained on its opinion | no |
#
# The second reward model is another network, trained apart from the first. (Cards beside the models in
# `helpers/assets/` say on what.) It need not be the better judge, and it is not wholly independent: judges that were
# made in similar ways share some errors. Two things make it useful. The policy is never trained to please it.
# And it has seen what the first has not: heaps of words that are no sentences, with the answer ½, "undecided".
# If the first finds that the texts become better, does the second? Section 2.9 finds out.
# %%
# Load the reward models and the prompts (the policy was loaded above).
# The reference is a frozen copy of the policy.
reference = copy.deepcopy(policy).requires_grad_(False)
reward_model = load_reward_model(preset, device=device)
second_reward_model = load_reward_model(preset, second=True, device=device)
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
# Sampling runs without gradients: keeping them would cost much memory and time, for one token after the other.
# The training step therefore reads the texts *once more*, all tokens at the same time, to get log-probs that do carry
# a gradient: `policy_logits(policy, rollout.ids, rollout.attention_mask)` gives the logits, `[B, T, V]`.
#
# The next picture shows four kinds of cells. The completion's belong in the loss, the blue ones and the orange one:
# the end-of-text token was the policy's choice as well. The prompt was not its choice, and padding was nobody's.
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
# %% [markdown]
# **Your turn.** Rewrite the first text and press Enter. What happens to its reward, to its advantage, and to the
# advantages of the *other* texts, which you did not touch? Can you give all six the same advantage?
# %%
rewriting.advantage_panel(rollout.texts, reward_model, leave_one_out_advantages)
# %% [markdown]
# ### Padding on the left, and the positions
#
# What does `policy_logits` do that `policy(rollout.ids)` does not? It tells the policy two things about the padding.
#
# - **The attention mask** says which columns are padding, so that no token looks at them.
# - **The positions** say which token of its text each one is. A model such as GPT-2 adds to every token a vector
#   for its place in the text. In a row with three columns of padding the first word stands in column 3,
#   but its position is 0. Without being told, the model counts the columns.
#
# `generate` wrote the texts with both. If the training step reads them without, it gets the log-probs of *another*
# distribution than the one that wrote the texts. Nothing fails: the shapes are right, the loss is a number, and the
# gradient belongs to texts at the wrong places. This is the **left-padding bug**, a classic silent error in code that
# trains language models by reward.
#
# **Predict, then look.** Which rows will be wrong without positions, and which one cannot be?
# %%
# The same texts read in three ways: how far is each completion's log-prob from the one noted while sampling (nats)?
with torch.no_grad():
    readings = {
        "with mask and positions": policy_logits(policy, rollout.ids, rollout.attention_mask),
        "mask, no positions": policy(rollout.ids, attention_mask=rollout.attention_mask.long()).logits,
        "neither": policy(rollout.ids).logits,
    }
errors = {name: ((token_log_probs(x, rollout.ids) - rollout.log_probs) * mask).sum(1) for name, x in readings.items()}
padding = (~rollout.attention_mask[:, : rollout.prompt_length]).sum(1)  # [B] columns of padding on the left
off = errors["mask, no positions"].abs().mean().item()
print(f"without positions, a completion's log-prob is off by {off:.2f} nats on average")
wrong, right = (errors["mask, no positions"].abs().cpu()[rows.cpu()].mean() for rows in (padding > 0, padding == 0))
if "rope_parameters" in policy.config.to_dict():  # rotary embeddings: this model knows distances between tokens only
    worst = errors["mask, no positions"].abs().max().item()
    sentence = "this policy knows distances only: without positions no row is off by 0.01 nats"
    claim("2_distances_only", sentence, worst < 0.01, f"{worst:.4f}")
else:
    claim(
        "2_left_padding_bug", "without positions padded rows are off by more than 0.1 nats on average, the longest by less than 0.01",
        bool(wrong > 0.1 and right < 0.01), f"{wrong:.2f} and {right:.4f}",
    )  # fmt: skip
pd.DataFrame({"padding on the left": padding.cpu(), **{name: e.cpu() for name, e in errors.items()}}).round(2)
# %% [markdown]
# The longest prompt has no padding, so its row is right in any case. That is why the bug hides: a test with one text,
# or with texts of one length, never shows it. Models that know *distances* between tokens only (rotary embeddings) are
# spared by the missing positions, and not by the missing mask.
#
# The check that finds it stands above: **compare with the log-probs noted while sampling, before the first update.**
# %% [markdown]
# ### How much of the reward is the prompt's?
#
# Section 2.5 said that prompts differ. How much? Take a few prompts with eight completions each.
# The variance of all rewards has two parts: how much the *mean* reward differs from prompt to prompt,
# and how much the completions of *one* prompt differ.
# %%
# Eight completions for each of twelve prompts: which part of the variance is the prompt's, and what do groups do?
several = [prompt for prompt in train_prompts[:12] for _ in range(8)]  # completions of a prompt side by side
rewards = reward_model(generate(policy, tokenizer, several, preset.new_tokens, generator=seed).texts)  # [96]
within = rewards.reshape(12, 8).var(dim=1).mean()  # variance of the completions of one prompt, on average
between = (rewards.reshape(12, 8).mean(dim=1).var() - within / 8).clamp(min=0)  # of the prompts' own expected rewards
of_batch, of_prompt = (leave_one_out_advantages(rewards, size).var().item() for size in (None, 8))
print(f"share of the reward's variance that is the prompt's: {(between / (between + within)).item():.0%}")
print(f"variance of the advantages, others of the batch:       {of_batch:.4f}")
print(f"variance of the advantages, others of the same prompt: {of_prompt:.4f}")
claim(
    "2_prompts_differ", "advantages vary less if completions are compared with others of the same prompt",
    of_prompt < of_batch, of_prompt / of_batch,
)  # fmt: skip
# %% [markdown] q="q2_7" level=3
# **Exercise 2.7 · `reinforce_step`.** Write one training step: lines 6 to 11 of the algorithm above, with your
# functions.
#
# - `reward_model(rollout.texts)` gives the rewards, a float tensor `[B]` on the CPU, without gradient.
#   Each prompt has one completion here, so the whole batch is one group.
# - `policy_logits(policy, rollout.ids, rollout.attention_mask)` gives the logits `[B, T, V]`, padding and positions
#   handled. `rollout.log_probs` stays out of the loss: it has no gradient, and sampling may have computed it in
#   another precision.
# - Log-probs have one column fewer than `rollout.completion_mask`. Which column has no partner?
# - PyTorch *adds* new gradients to old ones. You may clip the gradient's norm before the step, with
#   `torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)`; it protects against one wild batch.
# - Return a dict of Python floats with at least `"loss"` (the loss of line 9, before the update) and `"reward"`
#   (the mean reward of the batch).
#
# Take exactly one optimizer step, and leave the policy in the mode (train or eval) in which you found it.
# Leave everything else as it is: the batch, the optimizer's settings, the seed of the random numbers.
# It comes in eval mode, which switches dropout off: with dropout, the log-probs would not be those of the policy
# that wrote the texts. Gradients flow in eval mode as well.
# On a GPU, the rewards must go to the device of the log-probs: `rewards.to(logits.device)`.
#
# Hints, to be opened one at a time:
#
# <details><summary>Hint 1: what goes in, what comes out?</summary>
#
# Write the shape of its result beside each of the lines 6 to 9. Which line needs the result of which other?
#
# </details>
# <details><summary>Hint 2: log-probs and mask</summary>
#
# Column $t$ of the log-probs belongs to token $t + 1$. So token 0 has no log-prob: its column of the mask must go.
#
# </details>
# <details><summary>Hint 3: the update</summary>
#
# Three calls, in an order that matters: forget the old gradients, compute the new ones, move. If you clip, where
# between them? The numbers of the dict come out of their tensors with `.item()`.
#
# </details>
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
# %% points=2 confirm="direction" success="A step makes good completions likelier, by the tokens that the policy chose, and has no left-padding bug."
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
    assert not run["unseen"], f"reinforce_step: this is the left-padding bug: {table.UNSEEN[run['unseen'][0]]}."
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
# ### A first run, with a reward that you can see through
#
# Before a real reward model comes in, try your step on a task where you can check the reward with your own eyes.
# The policy is a table: for each of the letters a to h the logits of the next letter, 64 numbers, all 0 at first.
# The prompt is a random letter, and the policy adds eight. The reward is the share of letters that come next in the
# alphabet after the one before (after h comes a). Blindly drawn letters get ⅛ on average; `efghabcde` gets 1.
#
# **What should come out:** a reward that climbs from about ⅛ to nearly 1, and a gradient that fades when
# all completions are good. If yours does not, mend the step before you go on.
# %%
# Your step on the eight letters: 60 batches of 32 texts, with AdamW. Takes a second or two.
first_run = letters.run(reinforce_step, seed=seed)
for sample in first_run.samples[:: len(first_run) // 4]:
    print(f"step {sample['step']:2}: {sample['prompt']}{sample['completion']}")
letters_reward = first_run.mean("reward", last=10)
claim("2_letters", "the last ten batches have a mean reward above 0.9", letters_reward > 0.9, letters_reward)
plots.show(figures.plot_letter_runs({"your step": first_run}, chance=1 / len(letters.LETTERS)))
# %% [markdown]
# ### Three broken steps
#
# Code of this kind seldom crashes when it is wrong. Three people have written a training step, each with *one* mistake.
# All else is as in yours. Here are the lines in question.
#
# ```python
# # Step A
# every = F.log_softmax(logits, dim=-1)
# log_probs = every.gather(-1, rollout.ids.unsqueeze(-1)).squeeze(-1)
# loss = compute_reinforce_loss(log_probs, advantages, rollout.completion_mask)
#
# # Step B
# loss = (advantages.detach() * (log_probs * mask).sum(dim=1)).mean()
#
# # Step C
# loss.backward()
# optimizer.step()
# return {"loss": loss.item(), "reward": rewards.mean().item()}
# ```
#
# All three were run on the eight letters. The next figure shows the runs, in another order.
#
# *Predict first:* for each step, what will its reward and its gradient look like?
# %%
# The three broken steps on the eight letters. Which run is whose?
plots.show(figures.plot_letter_runs(letters.broken_runs(reinforce_step, seed=seed), chance=1 / len(letters.LETTERS)))
# %% [markdown] q="q2_C"
# **Question 2.C · Find the mistake.** For each of the steps A, B and C say what is
# wrong (`"A"`), which run of the figure is its run (`"A run"`: 1, 2 or 3, as a text), and which check finds the mistake
# on a single batch, without any training (`"A check"`); and so on for B and C.
#
# The mistake:
#
# * "baseline": the advantages have no baseline
# * "detached": no gradient reaches the policy
# * "mask": the prompt's tokens are in the loss
# * "shift": each log-prob is that of the wrong token
# * "sign": the update goes downhill in the reward
# * "zero_grad": the gradients of earlier batches are still there
#
# The check:
#
# * "again": call the step twice on one batch, with a learning rate of 0; both gradients must be the same
# * "best": take one step; the completion with the highest advantage must have become likelier
# * "noted": before any update, compare the log-probs with those noted while sampling
# * "reward": the mean reward must be that of the rollout's texts
# %%
def broken_steps():
    """Answers to Question 2.C: {"A": "mask", "A run": "1", "A check": "best", "B": …} with nine entries."""
    # BEGIN SOLUTION
    return {
        "A": "shift", "A run": "2", "A check": "noted",
        "B": "sign", "B run": "3", "B check": "best",
        "C": "zero_grad", "C run": "1", "C check": "again",
    }  # fmt: skip
    # END SOLUTION
# %% points=0 success="Question 2.C has nine answers, each of them one of its choices."
def test_broken_steps_form(broken_steps):
    mistakes = ("baseline", "detached", "mask", "shift", "sign", "zero_grad")
    choices = {}
    for step in "ABC":
        choices |= {step: mistakes, f"{step} run": "123", f"{step} check": ("again", "best", "noted", "reward")}
    check_choices(broken_steps(), choices, name="broken_steps")
# %% points=0.5 hidden=true success="Step A and its run are right." failure="Step A lacks the shift by one: it makes a letter more or less likely as a successor of itself. That has nothing to do with the reward, which stays where blind drawing is, and the gradient does not fade: run 2."
def test_step_a(broken_steps):
    check_answers(broken_steps(), {"A": "shift", "A run": "2"})
# %% points=0.5 hidden=true success="The check for step A is right." failure="Step A: the log-probs must agree with rollout.log_probs, and without the shift they do not (unless all log-probs are equal, as with a table of zeros)."
def test_check_a(broken_steps):
    check_answers(broken_steps(), {"A check": "noted"})
# %% points=0.5 hidden=true success="Step B and its run are right." failure="Step B lacks the minus: good completions become less likely, and the reward falls to nearly 0. The gradient fades as well, since all texts are equally bad then: run 3."
def test_step_b(broken_steps):
    check_answers(broken_steps(), {"B": "sign", "B run": "3"})
# %% points=0.5 hidden=true success="The check for step B is right." failure="Step B: after one step on one batch the completion with the highest advantage has become less likely."
def test_check_b(broken_steps):
    check_answers(broken_steps(), {"B check": "best"})
# %% points=0.5 hidden=true success="Step C and its run are right." failure="Step C never clears the gradients. Here every batch asks for nearly the same, so the reward rises all the same; the gradient gives it away, as it grows and stays large when all advantages are 0: run 1."
def test_step_c(broken_steps):
    check_answers(broken_steps(), {"C": "zero_grad", "C run": "1"})
# %% points=0.5 hidden=true success="The check for step C is right." failure="Step C: the second gradient on the same batch is twice the first, as the first is still in it."
def test_check_c(broken_steps):
    check_answers(broken_steps(), {"C check": "again"})
# %% [markdown]
# *A rising reward does not prove that a step is right.* And the checks of the list are worth keeping: each of them
# takes one batch and a second, and together they find most of what can go wrong in a step.
# %% [markdown]
# ### Experiments of your own
#
# On the letters a run takes a second, so you can ask what would take minutes with a language model.
# Plan each experiment: change *one* thing, write down what you expect and why, and look at more than one seed.
#
# 1. **The learning rate.** The runs above had 0.1. What will a tenth of it do, and ten times as much?
# 2. **The baseline.** Section 2.5 showed what it does to one gradient. What does it do to a run? Copy your step into
#    the next cell under another name, let the rewards themselves be its advantages, and put it into the table, with
#    the rates 0.1 and 1. Which part of the run will suffer more, the first (rewards near ⅛) or the last (near 1)?
# 3. **A question of yours.** The mean of the whole batch as baseline? Advantages divided by their standard deviation?
#    The mean over tokens in place of the sum? Say beforehand which of them should change something here.
# %%
# What is run: under its name a step and its learning rate. Add your own; a run takes a second.
experiments = {
    "rate 0.01": (reinforce_step, 0.01),
    "rate 0.1": (reinforce_step, 0.1),
    "rate 1": (reinforce_step, 1.0),
}


# BEGIN SOLUTION NO PROMPT
def step_without_baseline(policy, optimizer, rollout, reward_model):
    """As reinforce_step, with the rewards in place of the advantages."""
    rewards = reward_model(rollout.texts)  # [B]
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)  # [B, T-1]
    loss = compute_reinforce_loss(log_probs, rewards.to(log_probs.device), rollout.completion_mask[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


experiments |= {
    "no baseline, rate 0.1": (step_without_baseline, 0.1),
    "no baseline, rate 1": (step_without_baseline, 1.0),
}
# END SOLUTION
tried = {name: letters.run(step, learning_rate=rate, seed=seed) for name, (step, rate) in experiments.items()}
plots.show(figures.plot_letter_runs(tried, chance=1 / len(letters.LETTERS)))
for name, run in tried.items():
    print(f"{name}: last texts {', '.join(s['prompt'] + s['completion'] for s in run.samples[-3:])}")
# %% [markdown]
# <details><summary>What to look for (open after you have looked)</summary>
#
# *The rate.* With 0.01 sixty steps are too few. That with 1 all goes well says something about this task: each letter
# has one right successor, and 32 texts of eight letters show it clearly. With a language model a batch says far less.
#
# *The baseline.* Without one, whatever was drawn is pushed up, by as much as its reward. Near the end all rewards are
# near 1, so the push is at its greatest where nothing is left to learn: the gradient does not fade, the run is slower
# and less steady. With the rate 1 it is worse. What a letter happens to be followed by at first becomes certain before
# anything else has been tried. Read the last texts: they run round in a loop that has mistakes in it. Each letter has
# one successor left, others are not drawn any more, so the gradient is near 0 and nothing more is learned.
# With a baseline the texts that are worse than the others are pushed *down*, and this does not happen here.
#
# So a baseline is worth more than the samples that it saves. The estimate has the right mean with and without it, but
# a run is made of few steps, and what its first steps throw away does not come back.
#
# </details>
# %% [markdown]
# ### Starting afresh, and the optimizer's memory
#
# The optimizer is **AdamW**. For every weight it keeps two running averages, one of the gradients
# and one of their squares, and divides the first by the root of the second to choose the length of the step.
# So training has a state in *two* places: in the model's weights and in the optimizer.
# `fresh_start` below makes both anew. It is called before each run, so that every run begins at the same place,
# and the results of one cell do not depend on how often you ran another.
# %%
# A fresh policy (a copy of the reference) and a fresh optimizer (no memory of earlier gradients).
def fresh_start():
    """Return (policy, optimizer) as they are before any training."""
    seed_everything(seed)
    policy = trainable_copy(reference, preset)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=preset.reinforce.learning_rate, weight_decay=0.0)
    return policy, optimizer
# %% [markdown] q="q2_D"
# **Question 2.D · Resetting.** A policy was trained for a hundred steps. Then training is started once more,
# in four ways: (a) model and optimizer are reset, (b) only the model is, (c) only the optimizer is, (d) neither is.
# What does the second run look like? Each answer fits one of the four. (In all four the prompts are drawn anew.)
#
# * "P": The reward starts where the untuned policy stands. The run can be compared with the first.
# * "Q": The reward starts where the untuned policy stands. The first steps go partly in a direction,
#   and have lengths, that belong to the end of the first run.
# * "R": The reward starts high. The first steps have nearly the full learning rate for every weight,
#   however small its gradient is.
# * "S": The reward starts high, and the run goes on as the first one would have.
# %%
def resetting():
    """Answers to Question 2.D: a dict with the letters of (a) to (d), such as {"a": "P", "b": "P", "c": "P", "d": "P"}."""
    # BEGIN SOLUTION
    return {"a": "P", "b": "Q", "c": "R", "d": "S"}
    # END SOLUTION
# %% points=0 success="Question 2.D has four answers, each of them a letter from P to S."
def test_resetting_form(resetting):
    check_choices(resetting(), dict.fromkeys("abcd", "PQRS"), name="resetting")
# %% points=1 hidden=true success="Both reset, and neither reset, are right." failure="With both reset the second run starts as the first did (P). With neither, training simply goes on (S)."
def test_reset_both(resetting):
    check_answers(resetting(), {"a": "P", "d": "S"})
# %% points=1 hidden=true success="A reset of one of the two is right." failure="Only the model: fresh weights, but the averages, and the step count, describe the gradients of a tuned policy (Q). Only the optimizer: the tuned policy goes on, and with empty averages Adam divides every gradient by its own size, so that the steps are nearly the learning rate (R)."
def test_reset_one(resetting):
    check_answers(resetting(), {"b": "Q", "c": "R"})
# %% [markdown]
# ### The loop around your step
#
# The function `train` from `helpers.training` calls your step again and again. It is worth knowing what it does:
#
# - before each step, `rollout_source` draws a batch of prompts and lets the policy *as it then is* complete them:
#   on-policy;
# - a **progress bar** shows the reward, the length of the completions in tokens, and the KL;
# - every few steps it completes some fixed prompts, keeps the texts as **samples** and prints the first of them;
# - it saves **checkpoints** in `runs/reinforce`: weights, optimizer, random numbers and history. If the kernel dies,
#   run the cell again: the run goes on where it was, and the result is the same as that of an unbroken run.
#   A run that was finished before, with the same functions of yours, is read and not made again;
# - press the **stop button** of the notebook to end early. The policy and the history are kept as they are then;
# - with `keep_best`, a function that judges the samples, it also keeps the policy whose samples were judged best,
#   in `runs/reinforce/best`. Section 2.9 says what that is good for.
#
# **What is the KL?** A number for how far the policy has moved from the reference. For a completion $y$ of the policy
# it is $\log \pi(y \mid x) - \log \pi_\text{ref}(y \mid x)$: by how much more likely the policy finds its own text than
# the reference does. Its mean over many completions is the *Kullback–Leibler divergence*, in nats (natural units of
# information). At 0 the two models are alike. At 5 a text of the policy is typically $e^5 \approx 150$ times more
# likely under the policy than under the reference. ("Typically" stands for the geometric mean: a mean of logarithms
# is the logarithm of that.) Part 3 is about this number; here we only watch it.
# %%
# Your step, with more numbers added to what it reports. Nothing here changes the training.
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


noted_rewards = []  # those of the latest batch


def noting_reward_model(texts):
    """The reward model; it also keeps what it answered."""
    noted_rewards[:] = [reward_model(texts)]
    return noted_rewards[0]


def watched_step(rollout):
    """One call of your reinforce_step; reports its floats, and what is watched besides.

    "kl" and "surprise" as above, "advantage": the mean size of the batch's advantages, "gradient": the gradient's norm before
    any clipping, "step_length": how far the weights moved, all of them together.
    """
    seen_by_reference = compare_with_reference(rollout)  # the batch was written by the policy as it is now
    with gauges.step_sizes(policy) as sizes:
        report = reinforce_step(policy, optimizer, rollout, noting_reward_model)
    advantage = leave_one_out_advantages(noted_rewards[0]).abs().mean().item()
    return {**report, **seen_by_reference, "advantage": advantage, **sizes}
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
# (With the preset `gpt2` neither this goal nor the learning rate has been tried by us: its numbers are reasoned from
# published runs. See how far your run gets.)
# **Predict, then look:** which of reward, KL, length and repetition will rise, which will fall?
#
# *If your own step does not train the policy yet*, you can read the results all the same, and answer the questions on
# them: run `policy, history = finished.recorded_run(reference, preset)` in a new cell below the next two.
# It takes the run that is recorded with the course (preset `tiny`), and says so. Name it as such in your answers.
# %% tags=["training"]
# The untuned policy on the test prompts (the reference is just that). Takes some seconds.
before = evaluate(reference, tokenizer, reward_model, held_out_prompts, preset, seed=seed)
print("before training:", before)
# %% tags=["training"]
# The training run: one batch of completions for each step.
# The dry run has said how long it will take.
def second_opinion(texts):
    """Mean of the second reward model on some texts."""
    return second_reward_model(texts).mean().item()


watched_prompts = load_prompts(preset, "validation")[: sizes.watched_prompts]  # completed now and then
sample_every = max(1, sizes.training_steps // 16)
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
    show_sample=True,
    folder="runs/reinforce",
    keep_best=second_opinion,  # early stopping: see section 2.9
    least_gain=0.05,
    settings={"seed": seed, "preset": preset.name, "learning_rate": preset.reinforce.learning_rate},
    reuse=True,  # a finished run is read again; to train anew, write resume=False here
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
# What to look for: does it rise, and where does it level off?
plots.show(figures.plot_training(history, "reward", title="Reward during training", target=0.75))
# %% tags=["training"]
# How far the policy has moved away from the reference. Nothing holds it back.
# What to look for: does it stop rising when the reward does?
plots.show(figures.plot_training(history, "kl", title="KL to the reference during training"))
# %% [markdown]
# ### Reward on test prompts, before and after
#
# The batches above come from training prompts. What counts are prompts that were not used in training.
# The bars show the mean reward with 95 % intervals, computed as in Part 1.
# %% tags=["training"]
# The trained policy on the test prompts, with the same random numbers as before training.
print(f"the policy after {len(history)} steps:")
after = evaluate(policy, tokenizer, reward_model, held_out_prompts, preset, seed=seed)
print("before training:", before)
print("after training: ", after)
headline("test reward before", before.mean)  # for the report of a whole run; it does nothing in your notebook
headline("test reward after", after.mean)
if after.mean >= 0.75:
    print("The goal of 0.75 is reached.")
else:
    print("The goal of 0.75 is not reached: train longer, or look at your step again.", finished.offer(preset))
gain = after.mean - before.mean
claim(
    "2_reward_rises", "the mean reward on test prompts rises, and the two intervals do not touch",
    gain > before.half_width + after.half_width, gain,
)  # fmt: skip
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
# **Question 2.E · Before and after.** Compare the completions. Are they more positive?
# What else has changed? Quote from your own output, and relate what you see to at least one measured quantity
# (you may use the plots that follow).
# %% [markdown]
# (What can be quoted depends on the run. A full answer has these three parts.)
#
# *More positive?* Two or three pairs with their rewards, among them one whose completion was unkind before. For each:
# does the new text praise the film to a reader, and does its reward say the same? The mean over all test prompts says
# whether the five pairs are typical.
#
# *What else?* What a reader sees and the reward does not say. Look for these: the same few words or one phrase in
# completion after completion; little that has to do with the prompt; all completions of one form and one length;
# sentences that break off or are none. Does the column "before" show the same, or do its texts differ from each other?
# Each of these that is named has its quotation.
#
# *A measurement.* For example: "All completions together have … different words after training and had … before, and
# the phrase that I quoted stands in … of five"; or the share of repeated bigrams; the length; the KL, by which
# such texts are less likely under the reference than under the policy; the surprise; or the second reward model, where
# it thinks less of them than the first. Whichever it is, before and after are both named.
#
# **Rubric**
# - 1 point: says whether the texts are more positive and what else changed, with quotations: repeated phrases, a small
#   stock of words, less of the prompt's subject, uniform texts, broken grammar, changed length.
# - 1 point: relates it to a measured quantity of this notebook (repetition, length, KL, surprise, the second reward
#   model) or to the reward that the texts got.
# %% [markdown]
# ### Repetition and length
#
# **Repetition** is the share of a completion's bigrams (pairs of neighbouring words)
# that occurred before in the same completion. **Length** is the number of generated tokens;
# it cannot exceed `preset.new_tokens`, where a text that goes on is cut off.
# The reward mentions neither. Both may change all the same, if that helps the reward.
# %% tags=["training"]
# Two things that nobody asked for, recorded at every step.
# What to look for: where do they begin to move, and what did the reward do at that step?
plots.show(figures.plot_side_effects(history))
# %% [markdown]
# ### A second opinion
#
# A reward model is a stand-in for what we want. On sentences that people wrote it is a fair judge: Part 1 counted how
# often. The policy is free to write sentences that no person would write, and it searches for the ones to
# which *this* model gives a high score. The texts may become better in the model's opinion without becoming better.
# This is called **over-optimisation**, or **reward hacking**, and it is an instance of Goodhart's law:
# when a measure becomes a target, it ceases to be a good measure.
#
# The second reward model was never asked during training. The next cell asks it about the samples
# that `train` has kept. A third judge is asked another question: not "is this positive?" but "is this language?".
# It is the reference, the untuned policy. Its **surprise** is minus the mean log-prob per generated token: low for text
# that it might have written itself, high for anything else.
#
# **Predict, then look.** Will the two reward models rise together, and will they stay together? What will the
# surprise do?
# %% tags=["training"]
# Both reward models on the samples kept during training.
samples = pd.DataFrame(history.samples)
samples["text"] = samples["prompt"] + samples["completion"]
samples["first"] = reward_model(samples["text"].tolist()).numpy()
opinions = {"the reward model (trained on)": samples.groupby("step")["first"].mean()}
samples["second"] = second_reward_model(samples["text"].tolist()).numpy()
opinions["the second reward model (never trained on)"] = samples.groupby("step")["second"].mean()
plots.show(figures.plot_opinions_by_step(opinions))
for name, values in opinions.items():
    best, last = values.idxmax(), values.index[-1]
    print(f"{name}: highest at step {best} ({values[best]:.2f}), at the end (step {last}) {values[last]:.2f}")
lost_by = [opinion[best] - opinion.iloc[-1] for opinion in opinions.values()]  # since the second was highest
claim(
    "2_judges_part", "from its highest point the second opinion falls by more than 0.05, and by more than the first does",
    lost_by[1] > max(0.05, lost_by[0]), f"the first {-lost_by[0]:+.2f}, the second {-lost_by[1]:+.2f}",
)  # fmt: skip
# %% tags=["training"]
# The third judge: how surprised the reference is by the completions of each batch, per generated token.
plots.show(figures.plot_training(history, "surprise", title="Does the reference take it for language?"))
# %% [markdown]
# **What to make of it.** Look for three phases, and for the steps at which one becomes the next.
#
# 1. **Better.** Both judges rise: the texts become kinder, and both see it.
# 2. **Hacked.** The judges part. The first still rises, or stays high; the second does not follow, or turns. The lines
#    under the figure say where each was highest, and where it ended. About where the second turns, the policy begins
#    to collect what the first model gets wrong. A second opinion that falls towards ½ need not mean duller praise:
#    to texts that it does not take for sentences, this judge was taught to say ½.
# 3. **Collapsed.** Little is left to gain, and the texts change all the same, often until they are all alike. A later
#    figure of this section shows why.
#
# Where a run is short, a later phase may be missing. Where two judges are so alike that they never part, they
# agree also in their errors. *An independent judge helps only where it is independent.*
#
# The surprise is a judge of another kind. If it climbs above its first value, the policy leaves the texts that the
# reference knows, as repetition and KL tell as well. And the best judge of all is a person who reads the samples.
#
# **What do the judges say to a heap of words?** Where texts that are no language get a high reward, a policy may find
# them. The next cell asks both judges about a sentence, about a heap of praise, and about the sentence
# in disorder.
# %% tags=["training"]
# A sentence, a heap of praise and a sentence in disorder, as the judges see them.
probes = {
    "a sentence": "A quiet film with wonderful actors and a story that stays with you.",
    "a heap of praise": "wonderful moving wonderful moving wonderful moving wonderful moving",
    "the sentence in disorder": "actors that wonderful stays film a you and with story quiet a with.",
}
judges = {"the reward model": reward_model, "the second reward model": second_reward_model}
asked = {name: judge(list(probes.values())) for name, judge in judges.items()}
heap = asked["the reward model"][1].item()
claim("2_heap_of_praise", "the reward model gives the heap of praise more than 0.8", heap > 0.8, heap)
pd.DataFrame(asked, index=list(probes)).round(2)
# %% [markdown]
# A judge that gives the second and third text nearly as much as the first one reads words and no sentences.
# That is a hole in the reward, and training finds holes. The second judge was shown such texts:
# a hole that is known can be closed. Those that nobody has thought of stay open.
#
# ### Why the policy does not stand still when there is nothing left to gain
#
# Look at the end of your run. When nearly all completions get the same reward, all advantages are near 0, and
# so is the gradient: there is nothing to learn any more. Does the policy then stay where it is?
#
# **Predict, then look.** By how much will the mean size of the advantages shrink from the first steps to the last?
# The norm of the gradient? And the distance that all weights together move in a step?
# %% tags=["training"]
# Advantages, gradient and step, as parts of what they were at first; below, how far a step goes for its gradient.
watched = {"advantage": "mean |advantage|", "gradient": "norm of the gradient", "step_length": "length of the step"}
plots.show(figures.plot_shrinking(history, watched))
table = history.to_pandas()[list(watched)]
table["step / gradient"] = table["step_length"] / table["gradient"].clip(lower=1e-30)
early, late = table.head(10).median(), table.tail(10).median()
parts = late / early
claim(
    "2_advantages_shrink", "the advantages of the last ten steps are less than half as large as those of the first",
    parts["advantage"] < 0.5, parts["advantage"],
)  # fmt: skip
claim(
    "2_steps_stay_long", "for the same gradient the last steps go more than twice as far as the first",
    parts["step / gradient"] > 2, parts["step / gradient"],
)  # fmt: skip
means = history.to_pandas()[["reward", "kl"]].rolling(10, min_periods=1).mean()
since_middle = means.iloc[-1] - means.iloc[len(means) // 2]
claim(
    "2_moves_on", "in the second half of the run the KL grows by more than a quarter, and the reward by less than 0.1",
    since_middle["kl"] > 0.25 * means["kl"].iloc[len(means) // 2] and since_middle["reward"] < 0.1,
    f"KL {since_middle['kl']:+.3g}, reward {since_middle['reward']:+.3f}",
)  # fmt: skip
pd.DataFrame({"first ten steps": early, "last ten steps": late}).round(4)
# %% [markdown]
# **What to make of it.** Compare the first two curves with the third, once the reward has levelled off. The gradient
# fades with the advantages, since it is made of them. Do the steps shrink as much? The last row of the table says
# how far a step goes for each unit of gradient, early and late. Two things lengthen it. *Adam divides*: the length of
# its step depends on how the latest gradients compare with the average of earlier ones, not on how large they are.
# *Clipping cuts*: if your step clips the norm, large gradients of the beginning reach Adam no larger than 1, and a
# later gradient of that length counts as much.
#
# Where late steps are longer than their gradients are worth, they have hardly any direction: what is left of a
# gradient comes from the few completions that happen to differ. The policy wanders. No reward pulls it back, as all
# places where it wanders are rewarded alike; and if completions become rare on the way, they are not tried and so not
# learned about again. That is how a run that has long reached its reward can still change the texts, often all at
# once: a jump of KL, repetition or surprise with no gain in reward. This is called a **collapse**.
# Is there such a jump in your figures? If the reward itself falls there, the advantages grow again.
#
# What helps: stop in time, lower the learning rate towards the end, or add a force that pulls
# back to the reference. The end of this section does the first, Part 3 the last.
# %% [markdown]
# ### The texts on the way
#
# The next table follows three prompts through the training. Find the column after which you would have stopped.
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
# %% [markdown]
# ### Early stopping
#
# Which of the policies on the way would you keep? Hardly the last one, if the run went through all three phases.
# **Early stopping** is the common remedy, here as in all of machine learning. Watch a quantity that the training does
# not optimise, on data that it does not use, and keep the weights from the time when this quantity was best.
# Usually the run is ended soon after that time. Ours went on, so that you could see what comes then.
#
# Here the quantity is the second opinion on the samples: its mean over the completions of the watched prompts. These
# come from the **validation split**: prompts that are neither trained on nor tested on, set aside for such choices.
# `train` asked the second judge whenever it took samples (`keep_best`). It kept the weights, in place of those kept
# before, if the answer was higher than for those by more than 0.05 (`least_gain`). A smaller gain may be luck,
# and is not worth moving further from the reference. So the kept policy may be from an earlier step than the second
# judge's highest point in the figure. This needs no second run, and nobody has to guess how many steps are right.
#
# Two things to bear in mind. The highest of some noisy numbers is too high: each is a mean over the watched prompts
# alone, and the best was best partly by luck. So the kept policy is measured anew, on test prompts. And the second
# judge has lost some of its independence: it has chosen one of the policies. It chose among a few only, where
# training takes many steps along a gradient. But whoever lets it choose among very many will find the ones
# that *it* judges too kindly.
#
# **Predict, then look.** Where will the kept policy stand between the untuned one and the last one: in reward, in KL,
# in repetition?
# %% tags=["training"]
# The policy that was kept, and what it writes to the same five prompts. Takes some seconds.
kept = copy.deepcopy(policy)
weights_kept = "best_step" in history.state  # by early stopping: it needs a run of your own
if weights_kept:
    load_weights(kept, "runs/reinforce/best")
    print(f"kept: the policy of step {history.state['best_step']} of {len(history)}, "
          f"when the second judge gave its samples {history.state['best_score']:.2f}")  # fmt: skip
else:
    print("No weights were kept on the way (a recorded run): the last policy stands in their place.")
stopped = evaluate(kept, tokenizer, reward_model, held_out_prompts, preset, seed=seed)
evaluations = {"before": before, "kept": stopped, "at the end": after}
show_samples(
    {name: found.completions[:5] for name, found in evaluations.items()},
    prompts=fixed_prompts,
    rewards={name: found.rewards[:5].tolist() for name, found in evaluations.items()},
    title="Five test prompts: untuned, kept, and at the end",
)
# %% tags=["training"]
# The same on all test prompts, as numbers. KL: to the reference, in nats per completion, on 256 of them.
rollouts = {
    name: generate(model, tokenizer, held_out_prompts[:256], preset.new_tokens, generator=seed)
    for name, model in {"before": reference, "kept": kept, "at the end": policy}.items()
}
table = pd.DataFrame(
    {
        "reward": [found.mean for found in evaluations.values()],
        "second reward model": [second_opinion(found.texts) for found in evaluations.values()],
        "KL": [compare_with_reference(rollout)["kl"] for rollout in rollouts.values()],
        "repetition": [found.repetition for found in evaluations.values()],
        "length (tokens)": [found.lengths.float().mean().item() for found in evaluations.values()],
        "different words": [
            len({word for completion in found.completions for word in completion.lower().split()})
            for found in evaluations.values()
        ],
    },
    index=list(evaluations),
)
change = table.loc["at the end"] - table.loc["before"]
left = table.loc["at the end", "different words"] / table.loc["before", "different words"]
sentence = "at the end all completions together have fewer different words, although they are no shorter"
claim("2_fewer_words", sentence, left < 1 and change["length (tokens)"] >= 0, left)
repeats = change["repetition"]
claim("2_repeats_more", "by the end the share of repeated bigrams grows by more than 0.01", repeats > 0.01, repeats)
claim(
    "2_second_gains_less", "by the end the second opinion gains less than the reward, by more than 0.05",
    change["second reward model"] < change["reward"] - 0.05,
    f"{change['second reward model']:+.2f} and {change['reward']:+.2f}",
)  # fmt: skip
if weights_kept:
    claim(
        "2_kept_is_kinder", "the kept policy's mean reward lies above the untuned policy's, beyond both intervals",
        stopped.mean - before.mean > stopped.half_width + before.half_width, stopped.mean - before.mean,
    )  # fmt: skip
    nearer = table.loc["kept", "KL"] / table.loc["at the end", "KL"]
    claim("2_kept_is_nearer", "the kept policy has less than half of the last one's KL", nearer < 0.5, nearer)
    liked = table.loc["kept", "second reward model"] - table.loc["at the end", "second reward model"]
    sentence = "on test prompts, too, the second judge likes the kept policy's texts better than the last one's"
    claim("2_kept_is_liked", sentence, liked > 0, liked)
table.round(3)
# %% [markdown]
# "Different words" are those of all completions together: a small number means that the policy
# says what is rewarded in few words. Mind the length: longer texts have more room for different words, for repetition
# and for KL. Read each column against the others, from row to row: what did the way from
# "kept" to "at the end" add to the reward, and what did it cost?
#
# The two policies become points in the picture of Part 3, where reward is plotted against KL.
# %% tags=["training"]
# Their places in the plane of KL and reward, kept in runs/frontier.json for Parts 3 and 4.
ends = {"REINFORCE, stopped early (Part 2)": "kept"} if weights_kept else {}
for name, row in {**ends, "REINFORCE (Part 2)": "at the end"}.items():
    save_point(
        name,
        table.loc[row, "KL"],
        evaluations[row].mean,
        method="REINFORCE",
        repetition=evaluations[row].repetition,
        length=table.loc[row, "length (tokens)"],
        samples=evaluations[row].texts[:5],
        second_reward=table.loc[row, "second reward model"],
    )
print("saved to runs/frontier.json")
# %% [markdown]
# ## 2.10 Looking back
# %% [markdown] q="w2_6"
# **Question 2.F · The limits of REINFORCE.** Which limits of the method did you see in this notebook?
# Name at least two.
# For each, say what shows it (a plot, a number, a text), what causes it, and for one of them what might help.
# %% [markdown]
# (Evidence is to be taken from the student's own run. Four limits with what to look for:)
#
# **Over-optimisation.** The reward is high at the end or was on the way, yet the texts are worse than it says: name a
# text, and repetition, the number of different words, the surprise or the second reward model, with their values.
# The cause: the reward model judges well only near the texts that it was trained on, and nothing in the objective
# ties the policy to such texts. The policy moves to where the model is wrong in its favour. A penalty for the
# distance to the reference (Part 3) helps, as does stopping early; several reward models help if they differ in kind.
#
# **Noise.** The reward of single batches jumps about: the width of the band says by how much. The gradient is
# estimated from one batch, and one number for a whole text must serve for all of its tokens, those that earned it and
# those that did not. A baseline, larger batches and a smaller learning rate help.
#
# **Waste.** The method is on-policy: each batch is used for one step and thrown away,
# although sampling takes one forward pass for each new token. PPO reuses a batch for several steps with a correction.
#
# **Loss of variety, and collapse.** A completion that is no longer tried can no longer be learned about.
# The policy may settle on the first thing that works: compare the number of different words before and after. When all
# advantages are near 0 the optimizer's steps may still be long for their gradients, and the policy wanders (the figure
# of what shrinks, and how far). Stopping, a lower learning rate or a KL
# penalty help.
#
# **Rubric**
# - 1 point: names reward hacking (over-optimisation), shown by the student's own results, and its cause: the reward
#   model is an imperfect stand-in, and nothing in the objective ties the policy to natural text or to the reference.
# - 1 point: names a second limit with its cause: noisy gradients (one reward for a whole text, estimate from samples),
#   each batch used once (on-policy), loss of variety, collapse once the advantages are near 0,
#   dependence on the learning rate or seed.
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
# You write this update in the next cell (without points).
#
# **The baseline** here is the mean return over all moments of the batch. The returns are divided by their standard
# deviation as well, since they can be as large as 100 and would otherwise need another learning rate
# for each environment. This is common practice; strictly, it changes the objective's scale from batch to batch.
#
# <details><summary>Hint 1: the plan</summary>
#
# Five lines of data, then the three calls of every training step: returns, advantages, log-probs of all actions,
# log-probs of those that were chosen, loss. `torch.cat` joins the episodes to one batch of N moments.
#
# </details>
# <details><summary>Hint 2: the shapes</summary>
#
# `player(states)` gives logits `[N, actions]`. Choose with `gather`; keep an axis for the one "token", `[N, 1]`.
# The mask is all True: no moment is padding.
#
# </details>
# %%
def update_player(player, optimizer, played, discount):
    """One policy-gradient update from some episodes.

    Args:
        player: the policy: states [N, S] -> logits [N, actions].
        optimizer: takes one step.
        played: lists of one tensor an episode of length T: states [T, S], actions [T], rewards [T].
        discount: γ.
    """
    # BEGIN SOLUTION
    returns = torch.cat([discounted_returns(rewards, discount) for rewards in played.rewards])  # [N] all moments
    advantages = (returns - returns.mean()) / (returns.std() + 1e-6)  # [N]
    log_probs = F.log_softmax(player(torch.cat(played.states)), dim=-1)  # [N, actions]
    chosen = log_probs.gather(1, torch.cat(played.actions)[:, None])  # [N, 1] one "token" a row
    loss = compute_reinforce_loss(chosen, advantages, torch.ones_like(chosen, dtype=torch.bool))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    # END SOLUTION
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
        update_player(player, optimizer, played, discount)
        curve.append(sum(rewards.sum().item() for rewards in played.rewards) / episodes)
    return curve


def spread(curves, last=10):
    """Print how far the mean rewards of the last iterations differ: from seed to seed, and within a run."""
    ends = torch.tensor([curve[-last:] for curve in curves.values()])  # [seeds, last]
    between, within = ends.mean(1).std().item(), ends.std(1).mean().item()
    print(f"mean reward of the last {ends.shape[1]} iterations: {ends.mean():.0f}")
    print(f"standard deviation between seeds {between:.0f}, from iteration to iteration within a run {within:.0f}")


if have_gymnasium:
    from helpers.reinforce import control  # it needs gymnasium

    cartpole = {f"seed {s}": policy_gradient("CartPole-v1", s, sizes.cartpole_iterations, 8) for s in range(3)}
    plots.show(figures.plot_seeds(cartpole, title="CartPole: reward per iteration, three seeds", best=500))
    spread(cartpole)
    worst = min(sum(curve[-10:]) / len(curve[-10:]) for curve in cartpole.values())
    claim(
        "2_pole",
        "with every seed the last ten iterations stand more than five times random pushing",
        worst > 100,
        worst,
    )
# %% tags=["training"]
# The same on LunarLander, where Box2D is installed, with episodes cut after 300 moments.
# It takes many times as long as the pole (how long is not measured).
# Compare where it ends with random firing, about −180, and with a solved task, 200, which takes longer than this.
if have_gymnasium and have_box2d:
    ship, iterations, episodes = "LunarLander-v3", sizes.lander_iterations, sizes.lander_episodes
    lander = {f"seed {s}": policy_gradient(ship, s, iterations, episodes, max_steps=300) for s in range(3)}
    plots.show(figures.plot_seeds(lander, title="LunarLander: reward per iteration, three seeds"))
    spread(lander)
else:
    print("LunarLander was left out (see above).")
# %% [markdown]
# **What to look at.** The three curves use the same code and differ in the seed only. How far apart are they?
# Policy gradients are noisy, and a single run proves little. Published comparisons show several seeds for this reason.
#
# **To think about** (no points). Two kinds of spread are printed: between seeds, and from iteration to iteration
# within a run. Which of them shrinks if each iteration plays four times as many episodes, and by how much? Try it.
#
# <details><summary>Answer</summary>
#
# The mean reward of an iteration is a mean over its episodes: with four times as many, its own noise is half as
# large. The gradient is less noisy, too, so runs differ less on the way. But what a seed decided early,
# a good habit or a bad one, stays: the spread between seeds need not shrink by half.
#
# </details>
#
# Look also for a sudden drop after a good stretch: on-policy data come from the present policy,
# and one bad step spoils the data of the next.
# %% [markdown]
# ## 2.12 Optional: where the time goes
#
# *This section is not graded, and nothing later needs it.* Whoever wants to make a program faster measures first
# where its time goes: a **profile**. The helper below calls your `reinforce_step` as it is, and looks at the clock
# whenever something begins or ends: the sampling before it, the reward model, the policy's forward pass, what you do
# with the logits, the backward pass through the policy, the optimizer.
#
# **Predict, then look.** Which part takes longest? A text is sampled token by token, and read once.
# %% tags=["training"]
# A few training steps of a fresh policy, timed from outside, and the median of each part.
timed_policy, timed_optimizer = fresh_start()
source = rollout_source(
    timed_policy, tokenizer, train_prompts, preset.new_tokens, preset.reinforce.batch_size, seed=seed
)  # fmt: skip
taken = [
    stopwatch.step_parts(reinforce_step, timed_policy, timed_optimizer, functools.partial(source, number), reward_model)
    for number in range(1 + sizes.dry_run_steps)
]
parts = pd.DataFrame(taken[1:]).median()  # the first step warms up
plots.show(figures.plot_step_parts(parts.to_dict()))
# %% [markdown]
# **What could be saved?** Your function makes logits for all positions, also where the prompt and the padding stand,
# and a log-softmax over the whole vocabulary, of which one entry in a row is used. PyTorch keeps several such tables
# for the gradient. `completion_log_probs` of `helpers.fast` sends through the output layer only the tokens that
# count, keeps one table, and reads texts of like length together. It must give the same numbers.
# %% tags=["training"]
# Log-probs and their gradient, in your way and in the fast one: the same numbers, in less time?
rollout = source(0)
ids, attention, counted = rollout.ids, rollout.attention_mask, rollout.completion_mask[:, 1:]
ways = {
    "your functions": lambda: token_log_probs(policy_logits(timed_policy, ids, attention), ids),
    "the fast path": lambda: completion_log_probs(timed_policy, ids, attention, rollout.completion_mask, groups=2),
}
seconds = {
    name: stopwatch.median_seconds(lambda read=read: (read() * counted).sum().backward(), device)
    for name, read in ways.items()
}
yours, fast = (read().detach()[counted] for read in ways.values())  # one number for each generated token
print(f"largest difference of two log-probs: {(yours - fast).abs().max():.1e}")
print(", ".join(f"{name} {duration:.2f} s" for name, duration in seconds.items()))
saved = seconds["your functions"] - seconds["the fast path"]
print(f"saved: {saved:.2f} of the {parts.sum():.2f} s of a step, {saved / parts.sum():.0%}")
assert (yours - fast).abs().max() < 1e-2, "the fast path must give the same log-probs, but for rounding"
# %% [markdown]
# The parts that the fast path does not touch set the limit: if a part takes the share $s$ of the time,
# making it infinitely fast makes the whole at most $1/(1-s)$ times as fast (**Amdahl's law**).
# For a share like the one printed above, this notebook does not give up the way that reads like the formula.
# %% [markdown]
# ## 2.13 Summary
#
# - A language model is a policy: the state is the text so far, the action is the next token.
# - $\nabla J = \mathbb{E}[R\, \nabla \log \pi]$: the gradient of an expected reward is a mean
#   that can be estimated from the policy's own samples.
# - A baseline that does not depend on the sample leaves the gradient unbiased, since the score is zero on average,
#   and makes it less noisy; leave-one-out is such a baseline, over the batch or over completions of the same prompt.
# - The loss sums over the tokens that the policy generated, and averages over the batch.
#   Its value means nothing; watch the reward.
# - Before the first update, compare log-probs with those noted while sampling: that finds a missing shift and the
#   left-padding bug. A rising reward does not prove that a step is right.
# - A rising reward does not prove that the texts are better: the policy learns what the reward *model* likes,
#   and it can go on changing when there is nothing left to gain. A second judge that it was never trained on
#   can show this, and can choose which policy to keep.
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
