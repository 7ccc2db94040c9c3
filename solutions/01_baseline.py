# %% [markdown]
# # Part 1 · Baseline: what a language model writes, and how we judge it
#
# In this course you will take a language model and **steer it by reward**. You will score what it writes with a number,
# and change the model so that the number goes up. Before anything is changed, you must know where you start.
# This first part measures the untouched model. Everything in Parts 2 to 5 is compared with what you find here.
#
# **You need** Python, some PyTorch (tensors, shapes, `softmax`), and what a probability is.
# You do *not* need to know language models or reinforcement learning: each term is explained where it first occurs.
#
# **What you will do**
#
# 1. see how a language model turns a text into probabilities for the next piece of text;
# 2. write the code that draws this next piece, and mark which pieces the model has written itself;
# 3. score texts by a reward model, and evaluate the untouched model on all test prompts;
# 4. read what it writes, and fool the reward model by hand;
# 5. forecast what a real language model can do, and measure how good your forecasts are.
#
# **How to work.** Run the cells from top to bottom with Shift + Enter. Where a cell holds `...`, it is your turn.
# After each exercise, a line such as `grader.check("q1_2")` runs the public tests. If your function is wrong,
# they tell you which mistake it looks like. Hidden tests with other inputs run when your work is graded.
# Below each exercise there are hints to unfold: first a question, then the operation. Open one at a time.
# Questions with letters ask for letters or numbers, which are compared with the right ones when your work is graded,
# or for a few clear sentences, which people grade with a rubric. What is marked "no points" is for you alone.
#
# **What every function of yours keeps to.** It leaves its arguments as they are, and works for one row as for many.
# Unless the exercise says otherwise, it returns tensors of the precision (`dtype`)
# and on the device of what it was given.
# On a GPU a new tensor must be made where the arguments are:
# `torch.zeros_like(x)`, or `torch.arange(T, device=x.device)`.
#
# | section | what | computing on a 2-core laptop |
# | --- | --- | --- |
# | 1.1 | what a causal language model does (exercise 1.1) | seconds |
# | 1.2 | from scores to the next token (exercises 1.2 to 1.4) | seconds |
# | 1.3 | where the completion begins and ends (exercise 1.5) | seconds |
# | 1.4 | a number for a text: the reward model | seconds |
# | 1.5 | a mean, and how sure of it we are (exercise 1.6) | seconds |
# | 1.6 | the baseline: evaluating the untouched policy | a minute or less |
# | 1.7 | read what it writes | seconds |
# | 1.8 | the distribution of the rewards | seconds |
# | 1.9 | break the reward model by hand | seconds |
# | 1.10 | how good is a forecast? (exercise 1.7) | seconds |
# | 1.11 | the forecast quiz (exercise 1.8) | seconds |
# | 1.12 | what you take along | |
#
# The marks behind an exercise's title say how hard it is: ●○○ a few lines that follow the text,
# ●●○ some thought, ●●● the hardest of its part.
# Times are those of the small models on two CPU cores (preset `tiny`). For GPT-2 on a GPU (preset `gpt2`) there are
# estimates, no measurements: `docs/students.md`. Cells that take more than a few seconds say so.
# %% [markdown]
# ### Set-up
#
# Two cells set everything up. The first one finds the course's files. The second one imports what this notebook uses,
# and calls `choose_preset`, which decides between three sets of models: `gpt2` where there is a GPU and a network;
# `smollm2`, a larger model that needs no network, where you have fetched it and the computer is fast;
# and `tiny` everywhere else. All run through the same code. The cell prints which one you have, and why.
# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch

from helpers import plots
from helpers.baseline import quiz, token_bars, transformer_picture
from helpers.data import load_prompts, load_snippets
from helpers.devices import choose_device, memory_report, run_seed, seed_everything
from helpers.display import show_samples, show_tokens
from helpers.evaluation import evaluate, repetition
from helpers.generation import generate
from helpers.models import load_policy, load_reward_model
from helpers.notebook.claims import claim
from helpers.notebook.start import headline
from helpers.presets import choose_preset

preset = choose_preset("auto")  # or choose_preset("tiny"), choose_preset("smollm2"), choose_preset("gpt2")
sizes = preset.sizes("baseline")  # to change one: preset.sizes("baseline", test_prompts=200)
print(sizes)
device = choose_device()
plt.rcParams.update(plots.STYLE)  # how the figures look: colours that everybody can tell apart, a light grid
pd.set_option("display.max_colwidth", None)  # tables show whole sentences
seed_everything(run_seed(1))  # the same random numbers in every run
print(memory_report())
# %% [markdown]
# ## 1.1 What a causal language model does
#
# A **language model** is a function from a text to probabilities. Given the beginning `The film is`,
# it says how likely each possible continuation is: perhaps 30 % for `a`, 4 % for `not`, almost 0 for `cheese`.
# It is called **causal** because each prediction uses the text *before* it only, never the text after.
#
# Some terms that you will meet in every part:
#
# | term | meaning |
# | --- | --- |
# | **token** | a piece of text: a word, a part of a word, or a sign. A model knows a fixed list of them, its **vocabulary** of size $V$. Each token has a number, its **id**. |
# | **tokenizer** | the program that cuts a text into tokens and gives their ids, and that joins ids to a text again |
# | **logits** | the model's raw scores, one for each token of the vocabulary. They are any real numbers: the larger, the more likely. |
# | **softmax** | turns logits $z$ into probabilities: $p_i = e^{z_i} / \sum_j e^{z_j}$ |
# | **eos** | "end of sequence": a special token by which the model says that the text ends here |
# | **prompt** | the beginning of a text, given to the model |
# | **completion** | what the model writes after the prompt |
# | **policy** | the word of **reinforcement learning** for whatever chooses the next action. Here the action is the next token, so *the policy is the language model*. (Reinforcement learning is learning from rewards: one acts, and is told how good that was. Part 2 begins with it.) |
#
# The cell below loads the policy and its tokenizer. It takes a few seconds.
# %%
policy, tokenizer = load_policy(preset, device)  # a plain `transformers` model in evaluation mode, and its tokenizer
parameters = sum(weights.numel() for weights in policy.parameters())
print(f"{type(policy).__name__}: {parameters / 1e6:.1f} million parameters, vocabulary of {len(tokenizer):,} tokens")
print(f"The end of a text is token {tokenizer.eos_token_id}, written {tokenizer.eos_token!r}.")
# %% [markdown]
# **Look at one prediction.** The next cell cuts a prompt into tokens and asks the policy for its logits.
# Their shape is `[B, T, V]`: `B` texts in the batch (here 1), `T` tokens in each, and
# for each of these positions, counted from 0, one score for every token of the vocabulary.
# Position `t` holds the scores for the token at `t + 1`,
# so the *last* position holds those for the next token of the text.
#
# *Before you run it:* which words do you expect among the eight most likely ones?
# %%
prompt = "The film is"
ids = tokenizer(prompt, return_tensors="pt")["input_ids"].to(device)  # [1, T]
print("tokens:", [tokenizer.decode([number]) for number in ids[0].tolist()], " ids:", ids[0].tolist())

with torch.no_grad():  # no training here, so PyTorch need not remember how the numbers came about
    logits = policy(input_ids=ids).logits  # [1, T, V]
print("shape of the logits [B, T, V]:", list(logits.shape))

probabilities = logits[0, -1].float().softmax(dim=-1)  # [V], for the token after the prompt
likely = probabilities.topk(8)
pd.DataFrame(
    {
        "next token": [repr(tokenizer.decode([number])) for number in likely.indices.tolist()],
        "logit": [f"{logits[0, -1, number].item():.2f}" for number in likely.indices.tolist()],
        "probability": [f"{p:.3f}" for p in likely.values.tolist()],
    }
)
# %% [markdown]
# The blank in front of a word belongs to the token: `' a'` is not the same token as `'a'`.
#
# **What happens inside.** The models of this course are *transformers* of the GPT-2 family. The picture below shows the
# way of the numbers through such a model, from the token ids at the bottom to the probabilities at the top.
# Its middle part, a **block**, is repeated several times: what comes out of one block goes into the next.
# Two shapes help to read it. Between the blocks, the numbers have shape `[T, width]`: each token has one vector,
# of the same width everywhere. At the very top they have shape `[T, V]`.
#
# Ten boxes, A to J, are blank. Choose a word for each from this list.
# A word may be used more than once, and some words are not needed at all:
#
# > add · attention · dropout · feed-forward · layer norm · loss · output layer · pooling · position index · softmax ·
# > token embedding
#
# New words, in short. An **embedding** is a table with one learnt vector for each possible entry.
# **Attention** is the step in which a position looks at other positions.
# A **feed-forward** network is an ordinary small neural network. **Dropout** is a trick of training that sets some
# of the numbers, chosen at random, to 0. A **layer norm** brings the numbers of a vector to a common scale.
# A **loss** is the number that training makes small: here it says how badly the next tokens are predicted.
# **Pooling** makes one vector of the vectors of several positions.
# %%
plots.show(transformer_picture.draw())
# %% [markdown]
# **Exercise 1.1 · complete the picture** (without points). Put a word of the list in the place of each question mark.
#
# Try as often as you like. The cell draws your picture, and for each wrong word it says why it does not belong there.
# %%
picture_words = {
    "A": "?", "B": "?", "C": "?", "D": "?", "E": "?",
    "F": "?", "G": "?", "H": "?", "I": "?", "J": "?",
}  # fmt: skip
# BEGIN SOLUTION NO PROMPT
picture_words = {
    "A": "token embedding",
    "B": "position index",
    "C": "add",
    "D": "dropout",
    "E": "layer norm",
    "F": "attention",
    "G": "add",
    "H": "feed-forward",
    "I": "output layer",
    "J": "softmax",
}
# END SOLUTION
blanks_right = transformer_picture.check_words(picture_words)
# %% [markdown]
# The picture is simplified in two ways. GPT-2 also applies dropout inside the blocks, to what attention
# and the feed-forward network give. And its attention consists of several **heads** that work side by side, each
# with a view of its own. Part 5 looks at single heads.
# %% [markdown]
# **What attention computes.** A position compares its own vector with the vectors of all positions up to and including
# itself. Each comparison gives a weight; the weights are positive and sum to 1. The result is the mean, with these
# weights, of those vectors (each is first multiplied by a learnt matrix). Later positions get the weight 0:
# this is the **causal mask**. The weights are computed from the vectors, and from nothing else.
#
# All other boxes treat each position by itself, in the same way.
# %% [markdown] q="q1_A"
# **Question 1.A (three models with a part missing).** Predict. Each word below is one token.
# A public test looks at the form of your answers; whether they are right you learn when your work is graded.
#
# (a) Box F is taken out of every block, and only the copy that passes by goes on to G. Compare the probabilities
# of the next token after `The film is` with those after `My dog is`.
#
# * "A": They differ, as the words before `is` differ.
# * "B": They differ a little: with several blocks the words before come in through the positions.
# * "C": They are the same, as no other box brings anything from one position to another.
# * "D": They are the same, as without F all logits are 0.
#
# (b) The causal mask is taken out, and the model is trained anew to predict each next token of whole texts.
#
# * "A": Training loss and texts are as good as before: attention learns to look back only.
# * "B": The training loss becomes lower and the texts better, as each position knows more.
# * "C": The training loss becomes higher, as later tokens confuse the prediction.
# * "D": The training loss falls nearly to 0, and the texts that the model writes are nonsense.
#
# (c) Box B and its table are taken out of a model with a *single* block. Of the prompts `A dog bites man again`,
# `A man bites dog again` and `A dog bites dog again`, which are continued with the same probabilities?
#
# * "A": the first and the second
# * "B": the first and the third
# * "C": all three
# * "D": none
# %%
def three_models():
    """Answers to Question 1.A: a dict with the letters of (a), (b) and (c), such as {"a": "A", "b": "A", "c": "A"}."""
    # BEGIN SOLUTION
    return {"a": "C", "b": "D", "c": "A"}
    # END SOLUTION
# %% points=0 success="Question 1.A has three answers, each of them a letter from A to D."
def test_three_models_form(three_models):
    check_choices(three_models(), dict.fromkeys("abc", "ABCD"), name="three_models")
# %% points=1 hidden=true success="(a) is right." failure="(a) The same: without attention nothing passes from one position to another, and the last one holds what `is` gives at place 2."
def test_without_attention(three_models):
    check_answers(three_models(), {"a": "C"})
# %% points=1 hidden=true success="(b) is right." failure="(b) Each position can copy the token to be predicted from the next one, so the loss is nearly 0. When the model writes, that token is not there yet."
def test_without_mask(three_models):
    check_answers(three_models(), {"b": "D"})
# %% points=1 hidden=true success="(c) is right." failure="(c) Without positions the mean that attention takes does not depend on the order of its terms, but on which words there are: the first and the second."
def test_without_positions(three_models):
    check_answers(three_models(), {"c": "A"})
# %% [markdown]
# ## 1.2 From scores to the next token
#
# The policy gives probabilities. To write text, one token must be *chosen*.
# Then it is appended, and the policy is asked again. There are several ways to choose:
#
# * **greedy**: always take the most likely token. The same prompt always gives the same text.
#   Section 1.7 measures what such texts are like.
# * **sampling**: draw a token at random, with the probabilities that the policy gives. This is what the policy "means".
# * sampling with a **temperature** $\tau$: divide the logits by $\tau$ before the softmax. $\tau < 1$ makes likely
#   tokens even more likely, $\tau > 1$ makes the choice more even, and $\tau \to 0$ becomes greedy.
# * **top-k** sampling: forget all but the $k$ most likely tokens, and draw from the rest.
#   This avoids the long tail of unlikely tokens, which can spoil a text.
#
# To "forget" a token means to set its logit to $-\infty$, because $e^{-\infty} = 0$: its probability becomes exactly 0,
# and the softmax shares out the rest.
# %% [markdown] q="q1_2" level=1
# **Exercise 1.2 · `top_k_filter`.** Keep the `k` largest logits of each row and set the others to `-inf`.
#
# * `logits` has shape `[B, V]`. So has the result, with the same dtype. The input must not be changed.
# * `k <= 0` or `k >= V` keeps everything.
# * *Ties at the border:* all entries that equal the k-th largest stay, even if more than `k` remain.
#
# By hand: for `[1, 3, 2, 0]` and `k = 2` the result is `[-inf, 3, 2, -inf]`.
# For `[2, 2, 1]` and `k = 1` it is `[2, 2, -inf]`.
#
# Useful: `torch.topk(x, k, dim=-1).values` gives the `k` largest numbers of each row in falling order;
# `x.masked_fill(mask, value)` gives a copy of `x` in which `value` stands wherever `mask` is True.
#
# <details><summary>Hint 1: which number decides?</summary>
#
# Whether an entry stays is decided by comparing it with *one* number of its own row. Which number is that?
# Try `[2, 2, 1]` with `k = 1`: must an entry that equals this number stay or go?
#
# </details>
#
# <details><summary>Hint 2: where to find it</summary>
#
# It is the k-th largest logit: the last of those that `torch.topk` gives for the row.
# Cut it out so that the axis stays, with shape `[B, 1]`.
# Then a comparison with `logits`, `[B, V]`, sets each row against its own number.
#
# </details>
#
# <details><summary>Hint 3: the special cases</summary>
#
# `torch.topk` raises an error if `k` is larger than `V`, and finds nothing for `k = 0`. Both are known
# before anything is computed, so treat them first. `x.clone()` makes a copy.
#
# </details>
# %%
def top_k_filter(logits, k):
    """Keep the k largest logits of each row, set the others to -inf.

    Args:
        logits: float [B, V].
        k: how many to keep; k <= 0 or k >= V keeps all.

    Returns:
        float [B, V], a new tensor.
    """
    # BEGIN SOLUTION
    if k <= 0 or k >= logits.shape[-1]:
        return logits.clone()
    border = torch.topk(logits, k, dim=-1).values[:, -1:]  # [B, 1], the k-th largest logit of each row
    return logits.masked_fill(logits < border, float("-inf"))
    # END SOLUTION
# %% points=1.5 success="The two largest logits of each row stay, and the others become -inf."
def test_top_k_values(top_k_filter):
    n = float("-inf")
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, -1.0, 5.0, 4.0]])
    right = torch.tensor([[n, 3.0, 2.0, n], [n, n, 5.0, 4.0]])
    check(top_k_filter(logits.clone(), 2), right, {
        "nothing was removed. Compare each logit with the k-th largest of its own row (dim=-1).": logits,
        "you kept the smallest logits and removed the largest.": [[1.0, n, n, 0.0], [0.0, -1.0, n, n]],
        "one logit too few stays: the k-th largest itself belongs to the kept ones.": [[n, 3.0, n, n], [n, n, 5.0, n]],
        "one logit too many stays: the border is the k-th largest, not the one after it.": [[1.0, 3.0, 2.0, n], [0.0, n, 5.0, 4.0]],
        "the others are 0; a logit of 0 still has a probability. Set them to -inf.": [[0.0, 3.0, 2.0, 0.0], [0.0, 0.0, 5.0, 4.0]],
        "the largest logits of the whole batch were kept; each row has its own k largest.": [[n, n, n, n], [n, n, 5.0, 4.0]],
        "only the k largest numbers came back. The result has shape [B, V], each logit in its old place.": [[3.0, 2.0], [5.0, 4.0]],
        "the logits were sorted. Each must stay in its old place.": [[3.0, 2.0, n, n], [5.0, 4.0, n, n]],
        "these are token numbers, not logits (torch.topk gives values and indices).": [[1, 2], [2, 3]],
        "this is a mask. The result holds the kept logits themselves.": [[0, 1, 1, 0], [0, 0, 1, 1]],
        "these are probabilities; the filter returns logits.": [[0.0, 0.7310586, 0.2689414, 0.0], [0.0, 0.0, 0.7310586, 0.2689414]],
        "every logit is gone.": [[n, n, n, n], [n, n, n, n]],
    }, name="top_k_filter", dtype=torch.float32)
# %% points=0.5 success="All logits stay for k = 0 and for k of at least V, and all ties at the border stay."
def test_top_k_borders(top_k_filter):
    n = float("-inf")
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    for k, what in [(0, "k = 0"), (-1, "a negative k"), (3, "k = V"), (5, "k larger than V")]:
        with trying(f"top_k_filter: {what} keeps all logits"):
            got = top_k_filter(logits.clone(), k)
        check(got, logits, {
            f"{what} keeps all logits; yours removed every one.": [[n, n, n]],
            f"{what} keeps all logits; yours removed some.": [[n, 3.0, 2.0]],
            f"{what} keeps all logits; yours kept only the largest.": [[n, 3.0, n]],
        }, name=f"top_k_filter ({what})")
    check(top_k_filter(torch.tensor([[2.0, 2.0, 1.0], [0.0, 4.0, 4.0]]), 1), torch.tensor([[2.0, 2.0, n], [n, 4.0, 4.0]]), {
        "of two equal logits at the border only one was kept; all ties stay.": [[2.0, n, n], [n, 4.0, n]],
        "of two equal logits at the border only the second was kept; all ties stay.": [[n, 2.0, n], [n, n, 4.0]],
        "both logits at the border were removed; all ties stay.": [[n, n, n], [n, n, n]],
    }, name="top_k_filter (ties)")
    before = logits.clone()
    top_k_filter(logits, 1)
    assert torch.equal(logits, before), "top_k_filter changed its argument in place; work on a copy (clone, masked_fill, torch.where)."
    got = top_k_filter(torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.bfloat16), 2)
    check(got, torch.tensor([[n, 3.0, 2.0]]), name="top_k_filter (bfloat16)", dtype=torch.bfloat16)
# %% points=0 success="Gradients pass through the filter, and every dtype stays as it is, with and without a limit."
def test_top_k_rules(top_k_filter):
    check(top_k_filter(torch.tensor([[1.0, 3.0]]), 1), torch.tensor([[float("-inf"), 3.0]]), name="top_k_filter")
    for k in (2, 0):
        check_rules(top_k_filter, torch.tensor([[1.0, 3.0, 2.0]]), k)
# %% hidden={"values": 2, "edges dtypes purity": 0.5, "gradients values": 0.5}
# %% [markdown]
# **Sanity check.** The cell filters the policy's own logits for the token after `The film is`.
# Five probabilities must be left. They are larger than before, because together they sum to 1 again.
# %%
filtered = top_k_filter(logits[:, -1].float(), 5)  # [1, V]
after = filtered.softmax(dim=-1)[0]  # [V]
print("tokens left:", int((after > 0).sum()))
for number in after.topk(5).indices.tolist():
    print(
        f"{tokenizer.decode([number])!r:>12}  before {probabilities[number].item():.3f}  after {after[number].item():.3f}"
    )
# %% [markdown] q="q1_3" level=2
# **Exercise 1.3 · `sample_next_token`.** Draw one token for each row of `logits`,
# from $\mathrm{softmax}(\text{top\_k\_filter}(\text{logits}, \text{top\_k}) / \tau)$ with the temperature $\tau$.
#
# * `logits` has shape `[B, V]`, the result has shape `[B]` and dtype `int64`. Each row is drawn on its own.
# * `temperature == 0` means greedy: the most likely token of each row. (Dividing by 0 is not the way to get it.)
# * `top_k = 0` means no filter, see Exercise 1.2.
# * `generator` is PyTorch's way to repeat random numbers. Hand it on to the function that draws.
#   With `None`, PyTorch's global random numbers are used.
#
# By hand: the logits `[0, ln 2, ln 4]` stand for the weights 1, 2, 4. At temperature 1 the probabilities are 1/7, 2/7,
# 4/7. At temperature 2 the logits are halved, so the weights become their square roots: 1, 1.41, 2.
# With `top_k = 2` they are 0, 1/3, 2/3.
#
# Useful: `torch.multinomial(p, num_samples=1, generator=generator)` draws one index for each row of probabilities,
# as a tensor of shape `[B, 1]`.
#
# <details><summary>Hint 1: in which order?</summary>
#
# Four things happen: filter, divide, softmax, draw. The filter writes `-inf`. On which side of the softmax does
# `-inf` mean "never", and on which side is it nonsense?
#
# </details>
#
# <details><summary>Hint 2: along which axis?</summary>
#
# Each row has a distribution of its own. Which axis must the probabilities sum to 1 along, if there are `B` rows
# and `V` tokens? Give this axis to the softmax as `dim`.
#
# </details>
#
# <details><summary>Hint 3: greedy, and the shape</summary>
#
# Greedy needs no probabilities: `argmax` along the same axis gives each row's most likely token. Return it before
# anything is divided. After the draw, `squeeze` takes an axis of length 1 away. Name the axis:
# without one, a batch of a single row would lose both.
#
# </details>
# %%
def sample_next_token(logits, temperature=1.0, top_k=0, generator=None):
    """Draw the next token of each row.

    Args:
        logits: float [B, V].
        temperature: divides the logits; 0 means greedy.
        top_k: sample among the k largest logits only; 0 means all.
        generator: torch.Generator or None.

    Returns:
        int64 [B], token ids.
    """
    # BEGIN SOLUTION
    if temperature == 0:
        return logits.argmax(dim=-1)  # [B]
    filtered = top_k_filter(logits, top_k)  # [B, V]
    probabilities = torch.softmax(filtered / temperature, dim=-1)  # [B, V]
    return torch.multinomial(probabilities, num_samples=1, generator=generator).squeeze(1)  # [B]
    # END SOLUTION
# %% points=1 success="Temperature 0 takes the most likely token of each row."
def test_sample_greedy(sample_next_token):
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, -1.0, 4.0, 5.0], [9.0, 1.0, 1.5, 2.0]])
    before = logits.clone()
    with trying("sample_next_token: temperature 0 is greedy (argmax); handle it before you divide"):
        got = sample_next_token(logits, temperature=0)
    check(got, torch.tensor([1, 3, 0]), {
        "the shape is [B, 1]; it should be [B] (squeeze the last axis).": [[1], [3], [0]],
        "temperature 0 took the smallest logit; greedy takes the largest.": [3, 1, 1],
        "argmax ran over the batch (dim=0); each row has its own most likely token (dim=-1).": [2, 0, 1, 1],
        "one token came back for the whole batch; there is one for each row.": 8,
        "these are the largest logits themselves, not their token ids.": [3.0, 5.0, 9.0],
    }, name="sample_next_token (temperature 0)", dtype=torch.int64)
    check(sample_next_token(logits, temperature=0.0, top_k=2), torch.tensor([1, 3, 0]), name="sample_next_token (temperature 0, top_k 2)")
    with trying("sample_next_token: it must work at temperature 0.5"):
        sample_next_token(logits, temperature=0.5)
    assert torch.equal(logits, before), "sample_next_token changed its argument `logits` in place; work on a copy."
# %% points=2 success="Tokens are drawn as often as temperature and top_k say."
def test_sample_frequencies(sample_next_token):
    logits = torch.tensor([0.0, 0.693147, 1.386294]).repeat(20000, 1)
    before = logits.clone()
    two = torch.tensor([[0.0, 2.197225], [0.0, 0.0]]).repeat(10000, 1)  # the weights 1 : 9 and 1 : 1, in turn
    late = {"probability tensor": "filter the logits, before the softmax. After it they are probabilities, and -inf is no probability."}

    def frequencies(name, logits=logits, **arguments):
        torch.manual_seed(0)
        with trying(f"{name} must give 20,000 tokens", late if "top_k" in arguments else None):
            ids = sample_next_token(logits, **arguments)
        if ids is None or ids is ...:
            raise AssertionError(f"sample_next_token returned {ids!r}: it is not written yet, or a `return` is missing.")
        assert isinstance(ids, torch.Tensor), f"{name}: expected a tensor, got a {type(ids).__name__}."
        if tuple(ids.shape) == (20000, 1):
            raise AssertionError(f"{name}: the shape is [B, 1]; it should be [B] (squeeze the last axis).")
        assert tuple(ids.shape) == (20000,), f"{name}: the shape is {list(ids.shape)}; it should be [20000], one token for each row."
        assert ids.dtype == torch.int64, f"{name}: the dtype is {ids.dtype}; token ids are torch.int64."
        assert int(ids.min()) >= 0 and int(ids.max()) < 3, f"{name}: there are ids outside 0 … 2."
        assert ids.unique().numel() > 1, f"{name}: every row of the batch got the same token. At a temperature above 0 each row is drawn at random, on its own."
        return torch.bincount(ids, minlength=3) / 20000

    check(frequencies("sample_next_token"), torch.tensor([0.1429, 0.2857, 0.5714]), {
        "the softmax runs over the batch (dim=0); it must run over the vocabulary, the last axis (dim=-1).": lambda got: bool(got.max() < 0.36) and 0.57 < frequencies("sample_next_token", two)[0] < 0.62,
        "all tokens are equally frequent; the logits are not used.": [0.3333, 0.3333, 0.3333],
        "the logits themselves were used as weights; the softmax is missing.": [0.0, 0.3333, 0.6667],
        "the softmax was taken twice.": [0.2711, 0.3127, 0.4162],
        "the likely tokens are drawn least often: the sign of the logits is wrong.": [0.5714, 0.2857, 0.1429],
        "these frequencies belong to another temperature; without an argument it is 1.": lambda got: 0.9 < got[0] * got[2] / got[1] ** 2 < 1.1,
    }, name="sample_next_token (default arguments)", atol=0.02)
    check(frequencies("sample_next_token (temperature 0.5)", temperature=0.5), torch.tensor([0.0476, 0.1905, 0.7619]), {
        "the logits are multiplied by the temperature; they must be divided by it.": [0.2265, 0.3204, 0.4531],
        "the temperature has no effect. Divide the logits by it, before the softmax.": [0.1429, 0.2857, 0.5714],
        "the temperature was applied twice.": [0.0037, 0.0586, 0.9377],
    }, name="sample_next_token (temperature 0.5)", atol=0.02)
    check(frequencies("sample_next_token (top_k 2)", top_k=2), torch.tensor([0.0, 0.3333, 0.6667]), {
        "top_k has no effect. Filter the logits first (a removed logit is -inf, not 0).": [0.1429, 0.2857, 0.5714],
        "the filter kept the least likely tokens.": [0.3333, 0.6667, 0.0],
        "a removed token is drawn: filter the logits with -inf before the softmax, not the probabilities with 0.": [0.2438, 0.3244, 0.4317],
    }, name="sample_next_token (top_k 2)", atol=0.02)
    check(frequencies("sample_next_token (temperature 2, top_k 2)", temperature=2.0, top_k=2), torch.tensor([0.0, 0.4142, 0.5858]), {
        "the temperature has no effect when top_k is given.": [0.0, 0.3333, 0.6667],
        "top_k has no effect when a temperature is given.": [0.2265, 0.3204, 0.4531],
    }, name="sample_next_token (temperature 2, top_k 2)", atol=0.02)
    assert torch.equal(logits, before), "sample_next_token changed its argument `logits` in place; work on a copy."
# %% points=1 success="The generator alone decides the draws, and logits of ±10,000 do no harm."
def test_sample_generator(sample_next_token):
    logits = torch.zeros(500, 10)

    def draw(seed, seed_of_others):
        torch.manual_seed(seed_of_others)
        ids = sample_next_token(logits, generator=torch.Generator().manual_seed(seed))
        assert isinstance(ids, torch.Tensor), "sample_next_token returned no tensor: it is not written yet, or a `return` is missing."
        return ids

    assert torch.equal(draw(1, 5), draw(1, 6)), "sample_next_token: two generators with one seed gave different draws. Is `generator` handed on to the function that draws?"
    assert not torch.equal(draw(1, 5), draw(2, 5)), "sample_next_token: generators with different seeds gave the same draws. Is `generator` handed on to the function that draws?"
    generator = torch.Generator().manual_seed(3)
    first, second = (sample_next_token(logits, generator=generator) for _ in range(2))
    assert not torch.equal(first, second), "sample_next_token: two calls in a row gave the same draws. Do not seed inside the function."
    assert len(set(first.flatten().tolist())) > 5, "sample_next_token: all rows of the batch got nearly the same token; each row needs a random number of its own."
    large = torch.tensor([[1e4, 0.0, -1e4], [-1e4, 1e4 - 50, 1e4]]).repeat(20, 1)  # nobody draws 40 tokens right by chance
    with trying("sample_next_token: it must work for logits of size 1e4 (exp overflows there, torch.softmax does not)"):
        got = sample_next_token(large)
    differ = torch.tensor([[30.0, 0.0, -30.0], [-230.0, -200.0, -170.0]]).repeat(20, 1)
    with trying("sample_next_token: it must work for rows that differ by 200", {
        "sum of probabilities": "each row has a softmax of its own, over the vocabulary (dim=-1), and none over the batch.",
    }):
        apart = sample_next_token(differ)
    check(apart, torch.tensor([0, 2] * 20), {
        "every row was drawn from the first row's distribution; each row has its own.": [0] * 40,
    }, name="sample_next_token (rows that differ)")
    check(got, torch.tensor([0, 2] * 20), {
        "exp overflows for logits of this size: use torch.softmax.": lambda got: True,
    }, name="sample_next_token (logits of size 1e4)")
# %% points=0 success="A batch of one, ties at the border and neighbouring rows are drawn as they should be."
def test_sample_small_and_independent(sample_next_token):
    for arguments in ({"temperature": 0}, {"top_k": 1}):
        check(sample_next_token(torch.tensor([[1.0, 3.0, 2.0]]), **arguments), torch.tensor([1]), {
            "a batch of 1 keeps its axis: the shape is [1] (squeeze one axis alone, squeeze(1)).": 1,
        }, name=f"sample_next_token, a batch of 1, {arguments}")
    for way in ({}, {"temperature": 2.0, "top_k": 2}):
        first, second = (sample_next_token(torch.zeros(2000, 2), **way) for _ in range(2))
        assert not torch.equal(first, second), f"sample_next_token, {way}: two calls without a generator gave the same draws: is a seed set inside?"
        together = [(first[at:-1:2] == first[at + 1 :: 2]).float().mean() for at in (0, 1)]  # 0.5 ± 0.016 by chance
        assert all(0.4 < share < 0.6 for share in together), f"sample_next_token, {way}: neighbouring rows are not drawn independently; each needs a random number of its own."
        third, fourth = (sample_next_token(torch.zeros(2000, 2), generator=torch.Generator().manual_seed(4), **way) for _ in range(2))
        assert torch.equal(third, fourth), f"sample_next_token, {way}: two generators with one seed gave different draws. Is `generator` handed on wherever something is drawn?"
    drawn = {int(sample_next_token(torch.tensor([[2.0, 2.0, 1.0]]), top_k=1)) for _ in range(60)}
    assert drawn == {0, 1}, f"sample_next_token: with top_k 1, ties at the border all stay: 0 and 1 are drawn from the logits 2, 2, 1; yours drew {sorted(drawn)}."
# %% hidden={"values purity": 1, "frequencies defaults": 2, "edges dtypes": 0.5, "independence generator": 0.5}
# %% [markdown]
# **Sanity check, in two pictures.** The left one draws 4,000 tokens after `The film is` with your function,
# and compares how often each token came with its probability. The bars must nearly reach the dots.
# The right one shows what the temperature does to the probabilities of the eight most likely tokens.
#
# *Before you run it:* at which of the temperatures 0.5, 1 and 2 will the most likely token stand out most?
# %%
draws = sample_next_token(logits[:, -1].float().repeat(4000, 1))  # [4000]
frequencies = torch.bincount(draws.cpu(), minlength=logits.shape[-1]) / len(draws)  # [V]
names = [tokenizer.decode([number]) for number in likely.indices.tolist()]
places = torch.arange(len(names))

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
left.bar(places, frequencies[likely.indices.cpu()], color="#56B4E9", label="share of 4,000 draws")
left.plot(places, likely.values.cpu(), "o", color="#D55E00", label="probability")
left.set(title="Draws after “The film is”", ylabel="share")
for number, (temperature, colour) in enumerate([(0.5, "#0072B2"), (1.0, "#999999"), (2.0, "#E69F00")]):
    p = (logits[0, -1].float() / temperature).softmax(dim=-1)[likely.indices].cpu()  # [8]
    right.bar(places + 0.27 * (number - 1), p, width=0.27, color=colour, label=f"temperature {temperature:g}")
right.set(title="What the temperature does", ylabel="probability")
for axes in (left, right):
    axes.set_xticks(places, names, rotation=30)
    axes.set_xlabel("next token")
    axes.legend()
plots.show(  # the text is what a reader who cannot see the figure gets
    figure,
    "Left: bars (the share of each token among 4,000 draws) nearly reach dots (its probability). "
    "Right: the probabilities of the eight likely tokens at the temperatures 0.5, 1 and 2.",
)
# %% [markdown]
# **Your turn.** Change the prompt, the temperature and the `k`, and watch the bars (they use your `top_k_filter`).
# Find a prompt after which the model is nearly sure of the next token, and one after which it is not sure at all.
# What does a temperature of 3 do to each? (Where fields do not appear, three settings are shown.)
# The title also gives the **entropy** $-\sum_i p_i \ln p_i$, which says how open the choice is: it is 0 if one token
# is certain, and $\ln n$ if $n$ tokens are equally likely. (Its unit, the *nat*, belongs to natural logarithms.)
# With the preset `tiny`, keep to words that occur in film reviews: it cuts words that it does not know
# into single letters, which it has never seen in training, and what follows means nothing.
# %%
token_bars.next_token_panel(policy, tokenizer, top_k_filter)
# %% [markdown]
# **From one token to a text.** To write a text, the model does the same again and again: score every entry of the
# vocabulary as the next token, choose one, put it at the end, and score again. Each new token depends on all before it.
# This loop is called **autoregressive generation**, and it is all there is to it.
#
# When the model chooses the **eos** token ("end of sequence"), it says that its text is complete.
# The other rows of the batch go on, so the finished row must be filled up with something: with more eos.
# %% [markdown] q="q1_4" level=2
# **Exercise 1.4 · `continue_texts`.** Write the loop. Two functions are given to you, as arguments:
#
# * `next_logits(ids)` is the model. It takes ids `[B, T]` and returns the logits `[B, V]` of the token that comes next.
# * `choose(logits)` is the choice. It takes logits `[B, V]` and returns one token for each row, int64 `[B]`.
#
# Return the prompts with `new_tokens` more columns, int64 `[B, P + new_tokens]`.
#
# * Each column is chosen, by one call of `choose` for all rows, from the `next_logits` of **all** columns so far.
# * A row that has been given `eos_id` among its *new* tokens is finished. It gets `eos_id` in every later column,
#   and `next_logits` sees it there. An eos in the prompt finishes nothing: short prompts are filled up with it.
# * Call `next_logits` exactly `new_tokens` times, even if all rows are finished.
#   With `new_tokens == 0` return a copy of `ids`.
#
# By hand: a "model" that always wants the number of tokens so far continues `[[7, 7]]` with 2, 3, 4.
# With `eos_id` 3 it is 2, 3, 3.
#
# <details><summary>Hint 1: what must be remembered?</summary>
#
# Play the example by hand, step by step, with `eos_id` 3. Which two things must you carry from one step to the next?
#
# </details>
#
# <details><summary>Hint 2: one step</summary>
#
# Carry the ids so far, and which rows are finished: a bool tensor `[B]` that is False everywhere at first.
# In a step: ask the model, choose, put `eos_id` in place of the choice where a row is finished
# (`torch.where(condition, a, b)`), and bring "finished" up to date.
# May a finished row ever become unfinished again? Which operation on bool tensors sees to that?
#
# </details>
#
# <details><summary>Hint 3: a new column</summary>
#
# `torch.cat([a, b], dim=1)` joins two tensors side by side, and both must have two axes.
# `x[:, None]` makes `[B, 1]` of `[B]`. The result is a new tensor, so the prompts stay as they are.
# Only without any step nothing new is made, and a copy is needed.
#
# </details>
# %%
def continue_texts(next_logits, ids, new_tokens, eos_id, choose):
    """Continue a batch of prompts, one token after the other.

    Args:
        next_logits: a function of ids [B, T] that returns the next token's logits [B, V].
        ids: int64 [B, P], the prompts.
        new_tokens: how many tokens to add.
        eos_id: the token that ends a text.
        choose: a function of logits [B, V] that returns a token for each row, int64 [B].

    Returns:
        int64 [B, P + new_tokens].
    """
    # BEGIN SOLUTION
    ids = ids.clone()
    finished = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)  # [B]
    for _ in range(new_tokens):
        token = choose(next_logits(ids))  # [B]
        token = torch.where(finished, eos_id, token)
        finished = finished | (token == eos_id)
        ids = torch.cat([ids, token[:, None]], dim=1)  # [B, T + 1]
    return ids
    # END SOLUTION
# %% points=1 success="Four new tokens are right in both rows, and the finished row is filled with eos."
def test_continue_texts(continue_texts):
    def next_logits(ids):
        return torch.nn.functional.one_hot(ids.long().sum(dim=1) % 7, 7).float()  # it wants the sum of all tokens, modulo 7

    got = continue_texts(next_logits, torch.tensor([[1, 2], [4, 0]]), 4, 6, lambda logits: logits.argmax(dim=1))
    check(got, torch.tensor([[1, 2, 3, 6, 6, 6], [4, 0, 4, 1, 2, 4]]), {
        "a finished row goes on; once it has its eos, every later token is eos.": [[1, 2, 3, 6, 5, 3], [4, 0, 4, 1, 2, 4]],
        "only the new tokens are returned; the prompt comes first.": [[3, 6, 6, 6], [4, 1, 2, 4]],
        "next_logits sees the last column only; give it all columns so far.": [[1, 2, 2, 2, 2, 2], [4, 0, 0, 0, 0, 0]],
        "next_logits sees the prompt only; give it the new tokens too.": [[1, 2, 3, 3, 3, 3], [4, 0, 4, 4, 4, 4]],
        "the row is filled with eos one token too late.": [[1, 2, 3, 6, 5, 6], [4, 0, 4, 1, 2, 4]],
        "a finished row is filled with 0; fill it with eos_id.": [[1, 2, 3, 6, 0, 0], [4, 0, 4, 1, 2, 4]],
        "all rows stop with the first that is finished; the others go on.": [[1, 2, 3, 6, 6, 6], [4, 0, 4, 1, 6, 6]],
        "the loop ends with the first finished row; it must run new_tokens times.": [[1, 2, 3, 6], [4, 0, 4, 1]],
        "one token is missing.": [[1, 2, 3, 6, 6], [4, 0, 4, 1, 2]],
    }, name="continue_texts")
    assert got.dtype == torch.int64, f"continue_texts: token ids are int64, these are {got.dtype}."
# %% points=0.5 success="An eos in the prompt finishes nothing, and no new token gives a copy of the prompt."
def test_continue_edges(continue_texts):
    def greedy(logits):
        return logits.argmax(dim=1)

    def next_logits(ids):
        return torch.nn.functional.one_hot(torch.full((len(ids),), ids.shape[1]), 9).float()  # it wants the number of tokens

    got = continue_texts(next_logits, torch.tensor([[3, 3, 1]]), 3, 3, greedy)
    check(got, torch.tensor([[3, 3, 1, 3, 3, 3]]), {
        "the loop ends when all rows are finished; it must run new_tokens times.": [[3, 3, 1, 3]],
    }, name="continue_texts, a batch of 1")
    got = continue_texts(next_logits, torch.tensor([[8, 1], [1, 8]]), 3, 8, greedy)
    check(got, torch.tensor([[8, 1, 2, 3, 4], [1, 8, 2, 3, 4]]), {
        "an eos in the prompt is filling; it finishes nothing.": [[8, 1, 8, 8, 8], [1, 8, 8, 8, 8]],
        "an eos at the end of the prompt is filling; it finishes nothing.": [[8, 1, 2, 3, 4], [1, 8, 8, 8, 8]],
    }, name="continue_texts of prompts with an eos")
    prompt = torch.tensor([[4, 1], [2, 2]])
    copy = continue_texts(next_logits, prompt, 0, 8, greedy)
    check(copy, prompt, name="continue_texts, new_tokens = 0")
    copy += 1
    assert prompt.tolist() == [[4, 1], [2, 2]], "continue_texts: with new_tokens = 0 a copy is asked for, not the argument itself."
# %% points=0.5 success="The model is asked once for each new token, and always for all rows and columns."
def test_continue_calls(continue_texts):
    seen, chosen = [], []

    def next_logits(ids):
        seen.append(ids.clone())
        return torch.nn.functional.one_hot(torch.tensor([2, 5]), 7).float()

    def choose(logits):
        chosen.append(tuple(logits.shape))
        return logits.argmax(dim=1)

    prompt = torch.tensor([[1, 2, 3], [3, 2, 1]])
    continue_texts(next_logits, prompt, 3, 2, choose)
    assert len(seen) == 3, f"continue_texts: 3 new tokens take 3 calls of next_logits; yours made {len(seen)}."
    assert chosen == [(2, 7)] * 3, f"continue_texts: choose gets the logits of all rows, [2, 7], once for each new token; yours called it with {chosen}."
    check(seen[-1], torch.tensor([[1, 2, 3, 2, 2], [3, 2, 1, 5, 5]]), name="continue_texts: what next_logits gets for the third token")
    assert prompt.tolist() == [[1, 2, 3], [3, 2, 1]], "continue_texts changed its argument `ids`; work on a copy."
# %% points=0 success="New tensors are made where the ids are, on a GPU as well."
def test_continue_rules(continue_texts):
    def next_logits(ids):
        return (torch.arange(7, device=ids.device) == ids.sum(dim=1, keepdim=True) % 7).float()

    arguments = next_logits, torch.tensor([[1, 2], [4, 0]]), 3, 6, lambda logits: logits.argmax(dim=1)
    check(continue_texts(*arguments), torch.tensor([[1, 2, 3, 6, 6], [4, 0, 4, 1, 2]]), name="continue_texts")
    check_rules(continue_texts, *arguments, gradients=None)
# %% hidden={"values purity": 1, "calls edges": 1}
# %% [markdown]
# **Sanity check.** Your loop with the real policy, greedily and with your sampler.
# The last line asks the course's own `generate` for the greedy continuation: it must be the same text.
# %%
def policy_next_logits(ids):
    """The policy's logits for the token that comes next."""
    with torch.no_grad():
        return policy(ids, attention_mask=torch.ones_like(ids)).logits[:, -1].float()  # nothing is filling


start = tokenizer("The film is", return_tensors="pt").input_ids.to(device)  # [1, P]
eos = tokenizer.eos_token_id
for name, way in {
    "greedy": lambda scores: sample_next_token(scores, temperature=0),
    "temperature 1": sample_next_token,
    "temperature 0.5": lambda scores: sample_next_token(scores, temperature=0.5),
}.items():
    text = tokenizer.decode(continue_texts(policy_next_logits, start, 12, eos, way)[0], skip_special_tokens=True)
    print(f"{name:>16}: {text}")
print(f"{'generate, greedy':>16}: {generate(policy, tokenizer, ['The film is'], 12, temperature=0).texts[0]}")
# %% [markdown]
# ## 1.3 Where the completion begins and ends
#
# In training, the policy is to be rewarded for what *it* wrote: not for the prompt, and not
# for what stands after its text has ended. So each token of a batch must be marked: written by the policy, or not.
# Such a tensor of True and False is a **mask**.
#
# Two details make this harder than it looks:
#
# * A batch is a rectangle, but its texts have different lengths.
#   Short prompts are filled up on the **left**, so that all completions begin in the same column, `prompt_length`.
#   Completions that end early are filled up on the **right**.
# * GPT-2 has no token for filling up, so the eos token is used for it.
#   An eos can thus mean "the text ends here" or "nothing here". The *first* eos after the prompt is the real one:
#   the policy chose it, so it belongs to the completion. All later ones, and all in the prompt, are filling.
#
# | column | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
# | --- | --- | --- | --- | --- | --- | --- | --- |
# | token | `eos` | `The` | ` film` | ` works` | `.` | `eos` | `eos` |
# | what it is | filling | prompt | prompt | written | written | written: "the end" | filling |
# | mask (`prompt_length` 3) | False | False | False | **True** | **True** | **True** | False |
# %% [markdown] q="q1_5" level=2
# **Exercise 1.5 · `completion_mask`.**
# Mark the generated tokens: those at positions `>= prompt_length`, up to and including the first `eos_id` among them.
#
# * `ids` is int64 of shape `[B, T]`, the result is bool of shape `[B, T]`, on the same device.
# * A row without a generated eos is True from `prompt_length` to its end. An eos inside the prompt counts for nothing.
#
# By hand, with `prompt_length = 2` and `eos_id = 0`:
# the row `[0, 5, 7, 0, 0]` gives `[False, False, True, True, False]`.
#
# Useful: `torch.arange(T, device=ids.device)` gives the columns' numbers; `x.cumsum(dim=1)` adds up along each row,
# so the cumulative sum of "is this an eos?" counts how many there have been so far. You can do without a loop.
#
# <details><summary>Hint 1: two conditions</summary>
#
# A token is marked if two things are true of it. One of them is the same for all rows. Which are they?
# Say both for the row `[0, 5, 7, 0, 0]` of the example, column by column.
#
# </details>
#
# <details><summary>Hint 2: count what stands before</summary>
#
# The second condition: no generated eos stands *before* this column. Which eos must not be counted at all?
# Why is it wrong to count up to *and including* the column?
#
# </details>
#
# <details><summary>Hint 3: the operations</summary>
#
# Join bool tensors with `&`. Turn "is a generated eos" into numbers (`.long()`) before you add up.
# A cumulative sum includes the column itself: take the column's own number away again, and compare the rest with 0.
#
# </details>
# %%
def completion_mask(ids, prompt_length, eos_id):
    """Mark the tokens that the policy has written.

    Args:
        ids: int64 [B, T], prompts and completions.
        prompt_length: number of columns that belong to the prompts.
        eos_id: id of the end-of-sequence token.

    Returns:
        bool [B, T].
    """
    # BEGIN SOLUTION
    generated = torch.arange(ids.shape[1], device=ids.device) >= prompt_length  # [T]
    ends = ((ids == eos_id) & generated).long()  # [B, T], 1 at each generated eos
    ends_before = ends.cumsum(dim=1) - ends  # [B, T], how many stand before this position
    return generated & (ends_before == 0)
    # END SOLUTION
# %% points=2 success="The mask marks the generated tokens up to and including the first eos."
def test_mask_rows(completion_mask):
    ids = torch.tensor([[9, 9, 5, 6, 2, 2, 2], [9, 5, 6, 7, 8, 7, 8], [2, 2, 5, 2, 7, 2, 8]])
    before = ids.clone()
    all_generated = [0, 0, 0, 1, 1, 1, 1]
    check(
        completion_mask(ids, 3, 2),
        torch.tensor([[0, 0, 0, 1, 1, 0, 0], all_generated, [0, 0, 0, 1, 0, 0, 0]]).bool(),
        {
            "the prompt is not masked: its tokens must be False.": [[1, 1, 1, 1, 1, 0, 0], [1] * 7, [1, 1, 1, 1, 0, 0, 0]],
            "the prompt is not masked, and an eos inside it counts as an end.": [[1, 1, 1, 1, 1, 0, 0], [1] * 7, [1, 0, 0, 0, 0, 0, 0]],
            "eos itself belongs to the completion: the first generated eos is True (and an eos inside the prompt is no end).": [[0, 0, 0, 1, 0, 0, 0], all_generated, [0] * 7],
            "an eos inside the prompt (it fills up on the left) was taken for the end. Only a generated eos ends the completion.": [[0, 0, 0, 1, 1, 0, 0], all_generated, [0, 0, 0, 0, 0, 0, 0]],
            "the mask runs on to the last eos; it ends with the first generated one.": [all_generated, all_generated, [0, 0, 0, 1, 1, 1, 0]],
            "the mask runs on to the second eos; it ends with the first, and what stands behind that is False.": [[0, 0, 0, 1, 1, 0, 0], all_generated, [0, 0, 0, 1, 1, 0, 0]],
            "the mask does not stop at the first generated eos.": [all_generated, all_generated, all_generated],
            "only the eos tokens were taken out. Everything after the first generated eos is False, and this eos itself is True.": [[0, 0, 0, 1, 0, 0, 0], all_generated, [0, 0, 0, 0, 1, 0, 1]],
            "the mask begins one position too early: the first generated token is at prompt_length.": [[0, 0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]],
            "the mask begins one position too late: the first generated token is at prompt_length.": [[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]],
            "the mask begins one position too late: the token at prompt_length is generated.": [[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 0]],
            "the mask goes one token beyond the first generated eos.": [[0, 0, 0, 1, 1, 1, 0], all_generated, [0, 0, 0, 1, 1, 0, 0]],
            "True and False are swapped.": [[1, 1, 1, 0, 0, 1, 1], [1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 1]],
            "every row got the end of the first row; each row has its own.": [[0, 0, 0, 1, 1, 0, 0]] * 3,
            "the mask marks the prompt instead of the completion.": [[1, 1, 1, 0, 0, 0, 0]] * 3,
            "a row without a generated eos is True to its end.": [[0, 0, 0, 1, 1, 0, 0], [0] * 7, [0, 0, 0, 1, 0, 0, 0]],
            "only the completion's columns came back; the mask has the shape of ids, [B, T].": [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]],
        },
        name="completion_mask",
        dtype=torch.bool,
    )
    assert torch.equal(ids, before), "completion_mask changed its argument `ids` in place; work on a copy."
# %% points=1 success="The mask is right for another eos, without an eos, and where nothing is generated."
def test_mask_other_eos(completion_mask):
    ids = torch.tensor([[0, 5, 7, 0, 0]])
    check(completion_mask(ids, 2, 0), torch.tensor([[False, False, True, True, False]]), {
        "the batch axis is missing: one row gives shape [1, T].": [0, 0, 1, 1, 0],
        "eos itself belongs to the completion: the first generated eos is True.": [[0, 0, 1, 0, 0]],
    }, name="completion_mask (eos_id 0)", dtype=torch.bool)
    check(completion_mask(ids, 2, 6), torch.tensor([[False, False, True, True, True]]), {
        "eos_id was not used: here the eos is 6, and it does not occur.": [[0, 0, 1, 1, 0]],
        "a row without a generated eos is True to its end.": [[0, 0, 0, 0, 0]],
    }, name="completion_mask (no eos)")
    check(completion_mask(ids, 5, 0), torch.zeros(1, 5).bool(), name="completion_mask (nothing generated)")
# %% points=0 success="The ids of a large vocabulary are told apart."
def test_mask_large_vocabulary(completion_mask):
    check(completion_mask(torch.tensor([[9, 50255, 50256, 7]]), 1, 50256), torch.tensor([[False, True, True, False]]), {
        "50255 was taken for the eos 50256: in a vocabulary of 50,257 compare ids as integers.": [[0, 1, 0, 0]],
    }, name="completion_mask (a large vocabulary)", ordinary=(completion_mask(torch.tensor([[9, 5, 6, 7]]), 1, 6), [[0, 1, 1, 0]]))
# %% hidden={"values": 1.5, "edges purity": 0.5}
# %% [markdown]
# **Sanity check.** The cell lets the policy complete three prompts of different lengths,
# *with your* `sample_next_token`, and marks the result with your `completion_mask`.
# Tokens that are True in your mask have a blue ground, the others an orange one. Blue must be exactly what the policy
# has written, together with the first end-of-sequence token after it (if one came).
#
# `generate` is given: it runs the loop "ask the policy, choose a token, append it" for a whole batch.
# It returns a `Rollout`, with the tokens in `rollout.ids`, the number of prompt columns in `rollout.prompt_length`,
# and the texts in `rollout.completions`.
# %%
rollout = generate(
    policy,
    tokenizer,
    ["The film is", "A", "This is one of the"],  # prompts
    preset.new_tokens,  # how many tokens to write at most
    generator=0,  # the seed
    sample_next_token=sample_next_token,  # your function
)
mask = completion_mask(rollout.ids, rollout.prompt_length, tokenizer.eos_token_id)  # [B, T]
for row, marks in zip(rollout.ids.tolist(), mask.tolist(), strict=True):  # one text at a time
    tokens = [tokenizer.decode([number]) for number in row]
    show_tokens(tokens, marks, low=0, high=1, label="your mask: 1 is True")
assert torch.equal(mask, rollout.completion_mask), "your mask and the one that generate has kept differ"
print("Your mask is the one that generate has kept while it sampled.")
# %% [markdown]
# ## 1.4 A number for a text: the reward model
#
# Is a review positive or negative? People can tell, but training needs thousands of answers.
# So we use a **reward model**: a second, fixed network that reads a text and returns one number.
# Ours is a sentiment classifier: it has learnt from film reviews whose sentiment people had marked
# (the embedded one also from reviews that a larger classifier had marked). Its number, the **reward**,
# is the probability that the text is positive: 0 for surely negative, 1 for surely positive.
#
# The goal of the course is a policy whose completions get a high reward.
# Keep in mind what this number is: another model's opinion, a *stand-in* for what people would say.
# %%
reward_model = load_reward_model(preset, device=device)  # called with a list of texts, it returns a tensor [N]
# %% [markdown]
# *Before you run the next cell*, write down your guess of the reward of each sentence. Which ones will be hard?
# And what should a judge say to the last but one, which states a fact and gives no opinion?
# %%
sentences = [
    "A wonderful film. I loved it.",
    "A terrible film. I hated it.",
    "The film is good.",
    "The film is not good.",
    "The film is not bad.",
    "The film is two hours long.",
    "I wanted to love this film, but it never comes to life.",
]
pd.DataFrame({"sentence": sentences, "reward": [f"{r:.2f}" for r in reward_model(sentences).tolist()]})
# %% [markdown]
# **How far can it be trusted?**
# The course comes with sentences from film reviews that people have rated from −4 (very negative) to 4 (very positive).
# Some of them, the test split, were never used to train any model of this course. The next cell scores those sentences
# (a few seconds), and counts how often the reward model is on the people's side, for clear and for mild ratings.
# Each line of its output that begins with ✓ or ✗ is a statement of the course that your run has just checked.
# %%
snippets = load_snippets("test")[: sizes.rated_sentences]
judged = pd.DataFrame({"rating": snippets["rating"], "reward": reward_model(snippets["text"]).tolist()})
judged = judged[judged["rating"] != 0]  # people were undecided there
judged["agrees"] = (judged["rating"] > 0) == (judged["reward"] > 0.5)
borders, names_of_groups = [-4, -2, -1, 0, 1, 2, 4], ["−4 to −2", "−2 to −1", "−1 to 0", "0 to 1", "1 to 2", "2 to 4"]
judged["people's rating"] = pd.cut(judged["rating"], borders, labels=names_of_groups, include_lowest=True)

print(f"The reward model agrees with people on {judged['agrees'].mean():.0%} of {len(judged)} sentences.")
claim(
    "1_agrees_with_people", "the reward model agrees with people on more than three sentences in four",
    judged["agrees"].mean() > 0.75, judged["agrees"].mean(),
)  # fmt: skip
clear, mild = (judged.loc[rows, "agrees"].mean() for rows in (judged["rating"].abs() > 2, judged["rating"].abs() <= 1))
claim(
    "1_mild_is_harder", "it agrees more often on ratings beyond 2 than on ratings of at most 1, by more than 0.05",
    clear > mild + 0.05, f"{clear:.2f} and {mild:.2f}",
)  # fmt: skip
groups = judged.groupby("people's rating", observed=True)
groups.agg(sentences=("reward", "size"), mean_reward=("reward", "mean"), agreement=("agrees", "mean")).round(2)
# %% [markdown]
# *What to look for:* compare the outer rows, where people were sure, with the two rows around 0. In which rows is the
# reward model wrong most often, and is its mean reward there near ½ as well?
#
# Where the agreement is below 100 %, the judge is imperfect.
# A policy that is trained to please it will also learn to please its errors.
# %% [markdown]
# ## 1.5 A mean, and how sure of it we are
#
# To evaluate the policy, you let it complete each test prompt once, and take the mean of the rewards.
# The completions are drawn at random, and the prompts are a selection,
# so another run would give a slightly different mean. How different? The **95 % confidence interval** answers this:
#
# $$\bar r \pm 1.96 \, \frac{s}{\sqrt N}, \qquad \bar r = \frac1N \sum_i r_i, \qquad s^2 = \frac{1}{N-1} \sum_i (r_i - \bar r)^2 .$$
#
# $N$ is the number of values and $s$ their standard deviation: how far a single reward typically lies from the mean.
# Dividing by $N-1$ makes $s^2$ **unbiased**: over many experiments it is right on average, where dividing by $N$ would
# give too small a number. Dividing $s$ by $\sqrt N$ gives the typical error of the *mean*.
# In about 95 % of all such experiments, an interval made in this way contains the true mean.
# (The 1.96 comes from the normal distribution.
# For few values, a t-distribution would be more exact; with hundreds of them there is no visible difference.)
# %% [markdown] q="q1_6" level=1
# **Exercise 1.6 · `mean_with_confidence`.**
# Return the mean of `values` and the half width of its 95 % interval: $1.96 \, s / \sqrt N$ with the unbiased $s$.
#
# * `values` is a float tensor of shape `[N]`. Return two plain Python floats (`tensor.item()` makes one).
# * For `N == 1` nothing is known about the spread: the half width is `nan` (`float("nan")`).
#   For `N == 0` raise a `ValueError`.
#
# By hand: for `[0, 1]` the mean is 0.5, $s^2 = 0.25 + 0.25 = 0.5$,
# and the half width is $1.96 \sqrt{0.5} / \sqrt 2 = 0.98$.
#
# <details><summary>Hint 1: which cases first?</summary>
#
# Put $N = 1$ and $N = 0$ into the formulas. Which divisions fail?
# What does that tell you about the order of your lines?
#
# </details>
#
# <details><summary>Hint 2: which deviation?</summary>
#
# `x.std()` divides by $N - 1$ unless it is told otherwise; NumPy's `std` divides by $N$. Which of them is $s$?
# And which of $s$ and $s / \sqrt N$ tells how sure the *mean* is?
#
# </details>
#
# <details><summary>Hint 3: plain numbers</summary>
#
# `x.numel()` is $N$. Compute in `x.double()`, as values that are far from 0 and close together lose digits in float32.
# `.item()` makes a Python number of a tensor with one entry.
#
# </details>
# %%
def mean_with_confidence(values):
    """Mean and half width of its 95 % confidence interval.

    Args:
        values: float [N].

    Returns:
        (mean, half_width), two Python floats; half_width is nan for N == 1.

    Raises:
        ValueError: there are no values.
    """
    # BEGIN SOLUTION
    count = values.numel()
    if count == 0:
        raise ValueError("a mean needs at least one value")
    mean = values.double().mean().item()
    if count == 1:
        return mean, float("nan")
    deviation = values.double().std(unbiased=True).item()
    return mean, 1.96 * deviation / count**0.5
    # END SOLUTION
# %% points=1.5 success="Mean and half width of five values are right."
def test_mean_values(mean_with_confidence):
    values = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    got = mean_with_confidence(values)
    check(got, (0.5, 0.277186), {
        "this is the biased standard deviation (divided by N); the definition divides by N - 1.": (0.5, 0.247923),
        "you forgot to divide by √N: this is the spread of single values, not of their mean.": (0.5, 0.619806),
        "the standard deviation is divided by N; the definition divides by √N.": (0.5, 0.123961),
        "the standard deviation is divided by √(N - 1); the definition divides by √N.": (0.5, 0.309903),
        "this is the variance where the standard deviation belongs: take its square root.": (0.5, 0.087654),
        "this is 1.96·s²/N; the definition is 1.96·√(s²/N), which is 1.96·s/√N.": (0.5, 0.0392),
        "this is the standard error; multiply it by 1.96.": (0.5, 0.141421),
        "this is the full width of the interval; the half width is half of it.": (0.5, 0.554372),
        "this is the factor of a t-distribution; the definition takes the normal one, 1.96.": (0.5, 0.392649),
        "the factor is 1.645 (a 90 % interval); a 95 % interval has 1.96.": (0.5, 0.232638),
        "the factor is 2; the definition says 1.96.": (0.5, 0.282843),
        "the factor is 2.576 (a 99 % interval); a 95 % interval has 1.96.": (0.5, 0.364302),
        "these are the two ends of the interval; return the mean and the half width.": (0.222814, 0.777186),
        "this is the standard deviation itself; the half width is 1.96·s/√N.": (0.5, 0.316228),
        "mean and half width are swapped.": (0.277186, 0.5),
        "only the mean came back; return two numbers.": 0.5,
        "this is the range of the middle 95 % of the values; the definition takes 1.96·s/√N.": (0.5, 0.38),
    }, name="mean_with_confidence")
    assert all(is_float(x) for x in got), f"mean_with_confidence: return two plain Python floats, not {[type(x).__name__ for x in got]} (tensor.item() makes a float)."
# %% points=0.5 success="One value gives a half width of nan, and no value raises a ValueError."
def test_mean_few_values(mean_with_confidence):
    with trying("mean_with_confidence: for one value the half width is nan"):
        got = mean_with_confidence(torch.tensor([0.25]))
    check(got, (0.25, float("nan")), {
        "the half width of one value is nan, not 0: nothing is known about the spread.": (0.25, 0.0),
        "the half width of one value is nan, not infinite.": (0.25, float("inf")),
        "for one value only the half width is nan, not the mean.": (float("nan"), float("nan")),
    }, name="mean_with_confidence (one value)")
    assert is_float(got[1]), f"mean_with_confidence: nan must be a Python float too, not a {type(got[1]).__name__}."
    with must_raise(ValueError, "mean_with_confidence: no values"):
        mean_with_confidence(torch.empty(0))
# %% points=0 success="Values below 0 keep their sign, and the values stay as they are."
def test_mean_below_zero(mean_with_confidence):
    check(mean_with_confidence(torch.tensor([-1.0, -2.0, -6.0])), (-3.0, 2.994058), {
        "values below 0 keep their sign: the mean is below 0 as well.": (3.0, 2.994058),
    }, name="mean_with_confidence (values below 0)")
    check_rules(mean_with_confidence, torch.tensor([0.25, 0.5, 1.0]), gradients=None)
# %% hidden={"values": 1.5, "edges dtypes purity errors": 0.5}
# %% [markdown]
# **Sanity check.** Here the truth is known: uniform random numbers between 0 and 1 have the mean 0.5.
# The cell repeats an experiment with 50 such numbers 2,000 times, and counts how often your interval contains 0.5.
# The share must be close to 95 %.
# %%
hits = 0
for _ in range(2000):
    mean, half_width = mean_with_confidence(torch.rand(50))
    hits += abs(mean - 0.5) <= half_width
print(f"The interval contained the true mean in {hits / 2000:.1%} of the experiments.")
# %% [markdown]
# ## 1.6 The baseline: evaluating the untouched policy
#
# Now everything is there. The function `evaluate` is given. For each test prompt it samples one completion from the
# policy (temperature 1, no top-k), scores prompt and completion together by the reward model, and collects the rewards.
# It works in batches, with fixed random numbers. While it runs, it shows a **progress bar** such as
#
# `evaluating:  47%|██████        | 7/15 [00:05<00:06,  1.33batch/s, reward=0.432]`
#
# From left to right: the share of the batches that are done, their number, the time gone and the time that is left
# (an estimate), the speed, and the mean reward of *all* completions so far.
#
# *Before you run it:* the prompts are beginnings of what people write about films, kind and unkind.
# Which mean reward do you expect?
#
# First the prompts. Where there are very many, as with the preset `gpt2`, the cell takes the first ones only,
# as many as `sizes.test_prompts` says. For the whole test set, leave out `[: sizes.test_prompts]`:
# the evaluation takes longer in proportion.
# %%
test_prompts = load_prompts(preset, "test")[: sizes.test_prompts]
print(f"{len(test_prompts)} test prompts, for example {test_prompts[:3]}")
# %% [markdown]
# Now the evaluation. It may take up to a minute on a laptop: the bar says how long.
# %% tags=["training"]
baseline = evaluate(policy, tokenizer, reward_model, test_prompts, preset, seed=run_seed(0))
mean, half_width = mean_with_confidence(baseline.rewards)
print(f"\nBaseline: mean reward {mean:.3f} ± {half_width:.3f} (95 % interval, N = {len(baseline)})")
print("evaluate itself says:", baseline)
headline("baseline reward", mean)  # for the report of a whole run; it does nothing in your notebook
# %% [markdown]
# This is the number to beat. Write it down: Part 2 begins with it.
#
# The next cell follows the mean and its interval while more and more completions come in. The progress bar showed the
# same running mean.
#
# *Before you run it:* how many times as many completions does an interval of half the width take?
# %% tags=["training"]
counts = list(range(10, len(baseline) + 1, 10))
intervals = [mean_with_confidence(baseline.rewards[:n]) for n in counts]
running = torch.tensor([m for m, _ in intervals])
widths = torch.tensor([h for _, h in intervals])

figure, axes = plt.subplots(figsize=(8, 3.6))
axes.fill_between(counts, running - widths, running + widths, color="#56B4E9", alpha=0.4, label="95 % interval")
axes.plot(counts, running, color="#0072B2", label="mean so far")
axes.axhline(mean, color="#D55E00", ls="--", lw=1, label="mean of all")
axes.set(
    title="The more completions, the surer the mean", xlabel="completions", ylabel="reward, P(positive)", ylim=(0, 1)
)
axes.legend()
plots.show(
    figure,
    "The mean reward so far against the number of completions, with a 95 % band that narrows. "
    f"It ends at {mean:.3f} ± {half_width:.3f}.",
)
# %% [markdown] q="q1_B"
# **Question 1.B (numbers from a progress bar).** Compute seven numbers, to three digits.
#
# (a) An evaluation has 16 batches of equal size. After 4 batches and 6 seconds its bar shows `reward=0.500`.
# Which share is done (from 0 to 1, as `"share"`), how many batches a second (`"speed"`), how many seconds are left
# (`"left"`)? The fifth batch has a mean reward of 0.9: what does the bar show as `reward` then (`"fifth"`)?
# What would it show if this batch came last, after 15 batches with the mean 0.5 (`"last"`)?
#
# (b) An evaluation of 320 completions took 12 seconds and gave a half width of 0.03. For a half width of 0.005,
# how many completions does it take (`"completions"`), and how many seconds (`"seconds"`)?
# (Should the prompts not suffice, some are completed several times.)
# %%
def bar_numbers():
    """Answers to Question 1.B: a dict of seven numbers, such as {"share": 0.1, "speed": 0.1, "left": 1, …}."""
    # BEGIN SOLUTION
    speed, factor = 4 / 6, (0.03 / 0.005) ** 2  # batches a second; how many times as many completions
    return {
        "share": 4 / 16,
        "speed": speed,
        "left": 12 / speed,
        "fifth": (4 * 0.5 + 0.9) / 5,
        "last": (15 * 0.5 + 0.9) / 16,
        "completions": 320 * factor,
        "seconds": 12 * factor,
    }
    # END SOLUTION
# %% points=0 success="Question 1.B has seven answers, and each of them is a plain number."
def test_bar_numbers_form(bar_numbers):
    entries = ("share", "speed", "left", "fifth", "last", "completions", "seconds")
    check_choices(bar_numbers(), dict.fromkeys(entries), name="bar_numbers")
# %% points=0.5 hidden=true success="Share, speed and time left are right." failure="4 of 16 batches are 0.25. The speed is 4/6 = 0.667 batches a second, so the other 12 take 18 seconds."
def test_bar_time(bar_numbers):
    check_answers(bar_numbers(), {"share": 0.25, "speed": 4 / 6, "left": 18.0})
# %% points=0.5 hidden=true success="The running means are right." failure="The bar shows the mean of all batches so far: (4 · 0.5 + 0.9)/5 = 0.58; as the last one the same batch moves it to 0.525 only."
def test_bar_mean(bar_numbers):
    check_answers(bar_numbers(), {"fifth": 0.58, "last": 0.525})
# %% points=1 hidden=true success="Completions and time for a narrower interval are right." failure="The half width falls with 1/√N: a sixth of it takes 36 times the completions, 11,520, and 36 times the time, 432 s."
def test_bar_precision(bar_numbers):
    check_answers(bar_numbers(), {"completions": 11520.0, "seconds": 432.0})
# %% [markdown]
# **To think about** (no points). How many completions would *your* evaluation need for a half width of 0.005?
# And in another evaluation the bar shows `reward=1.000` from the first batch to the last: what may be the cause,
# and what would you look at to find it?
#
# <details><summary>Answer</summary>
#
# Put your own half width and number of completions, from the output above, into the formula of (b).
#
# Perhaps the reward model says 1 to everything: it looks at the wrong output, or gets the wrong texts.
# Give it a sentence that is clearly negative. Or the policy writes the same praise every time:
# read ten completions, and count how many different ones there are.
#
# </details>
# %% [markdown]
# ## 1.7 Read what it writes
#
# A mean hides what it is the mean of. *Always read samples.*
# The next cell draws five completions with a fixed seed, so a second run gives the same texts on your machine.
# %%
samples = evaluate(policy, tokenizer, reward_model, test_prompts[:5], preset, seed=11, progress=False)
who = "the untouched policy"
show_samples({who: samples.completions}, prompts=samples.prompts, rewards={who: samples.rewards.tolist()})
# %% [markdown]
# **Greedy or sampled?** The same prompts, completed greedily: what changes? *Repetition* is the share of a completion's
# pairs of neighbouring words that came before in it. *Different words* are counted over all completions together.
#
# *Before you run it:* which way repeats itself more, and which has more words?
# %%
some = test_prompts[:128]
both_ways = {
    "greedy": generate(policy, tokenizer, some, preset.new_tokens, temperature=0).completions,
    "sampled": baseline.completions[: len(some)],
}
repeats = {way: repetition(texts) for way, texts in both_ways.items()}
words = {way: len({word for text in texts for word in text.lower().split()}) for way, texts in both_ways.items()}
claim(
    "1_greedy_repeats", "greedy completions repeat themselves more, and have less than two thirds of the different words",
    repeats["greedy"] > repeats["sampled"] and words["greedy"] < 2 / 3 * words["sampled"], words["greedy"] / words["sampled"],
)  # fmt: skip
for way, texts in both_ways.items():
    print(f"{way}: {texts[:3]}")
pd.DataFrame({"repetition": repeats, "different words": words}).round(3)
# %% [markdown]
# The likeliest token is often one that fits almost anywhere. Texts that are made of few such words resemble each other.
# Training by reward needs attempts that differ: all later parts sample.
# %% [markdown] q="w1_3"
# **Question 1.C.** Read the five samples. (a) How good are they as English, and as reviews?
# (b) For each one, is it positive, negative or neither *to you*, and does the reward agree? (c) What is odd in them?
# Quote it, and give a likely cause.
# %% [markdown]
# *(The texts depend on the preset and on the machine, so this answer says what there is to find.
# What counts is that each statement is backed by a quotation.)*
#
# (a) For each sample, two questions. Is it English: do the words agree, is it a sentence to its end? And does it say
# one thing about a film, or does the subject change on the way? The first is usually answered better than the second:
# a small model has learnt which words follow each other, and less well what a text is to say.
#
# (b) For each sample: what I make of it, its reward, and the words that may explain a difference.
# Look for two cases. A text says nothing clear and gets a reward near 0 or 1 all the same, for a single
# strong word. Or praise and blame stand in one text, and the reward follows one of them.
#
# (c) What may be found: a sudden break in topic, a statement that contradicts itself or means nothing, a repetition,
# a phrase that would fit any film, a text that is cut off. Likely causes: a small model continues what stands just
# before and has no plan for the whole. It is sampled from the full distribution, where one unlikely token leads the
# rest astray. A short prompt allows almost any continuation. And `new_tokens` cuts a text off, finished or not.
#
# **Rubric**
# - 1 point: Judges the English of the texts and the sentiment of each sample in own words, with examples,
#   and names an agreement or a disagreement with the reward.
# - 1 point: Names something odd with a quotation (repetition, a break in topic, a contradiction, an empty phrase,
#   a text that is cut off) and a plausible cause: model size, training text, sampling from the whole distribution,
#   the fixed number of new tokens, a prompt that allows any continuation.
# %% [markdown]
# ## 1.8 The distribution of the rewards
#
# *Before you run it:* sketch the histogram of all rewards. Is it a hill around the mean, or something else?
# %% tags=["training"]
figure = plots.plot_histogram(
    baseline.rewards.tolist(),
    title=f"Rewards of {len(baseline)} completions of the untouched policy",
    xlabel="reward, P(positive)",
    limits=(0, 1),
)
plots.show(figure)
sure = (baseline.rewards < 0.1) | (baseline.rewards > 0.9)
print(f"below 0.1 or above 0.9: {sure.float().mean():.0%} of the rewards (20 % if all rewards were equally frequent)")
claim(
    "1_peaks_at_the_ends", "rewards below 0.1 or above 0.9 are more frequent than if all were equally frequent",
    bool(sure.float().mean() > 0.2), sure.float().mean().item(),
)  # fmt: skip
print(f"standard deviation of single rewards: {baseline.rewards.std():.2f} (0.50 if half of them were 0 and half 1)")
print(f"half width of the mean's interval:    {half_width:.3f}")
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# Are there peaks at the ends? There the classifier is nearly sure, and the first printed lines say how often.
# A mean of 0.5 can come from texts that are neutral, or from as many that are called positive as negative:
# the mean alone cannot tell, the histogram can.
#
# Then compare the two spreads. A standard deviation of 0.50 is the largest that numbers between 0 and 1 can have.
# The half width is smaller than the deviation by the factor $\sqrt N / 1.96$: the mean of many wild numbers
# is a tame number. Part 2 learns from single rewards, and there their spread is a main difficulty.
#
# </details>
# %% [markdown]
# ## 1.9 Break the reward model by hand
#
# Soon an optimizer will search for texts with a high reward, and it does not care whether people would like them.
# Be the optimizer for five minutes.
#
# **Your turn.** Replace the sentences below by your own until you have at least one that is *clearly negative
# (or nonsense) to a person* but has a reward above 0.8, and one that is *clearly positive to a person*
# but has a reward below 0.3. Ideas: irony, negation, praise for something else than the film, lists of nice words,
# what one *expected*, capital letters, signs.
# %%
attempts = [
    "The film is boring and much too long.",  # negative to a person: is the reward model fooled?
    "The film is a joy from beginning to end.",
]
# BEGIN SOLUTION NO PROMPT
attempts = [
    "great great great great great",
    "A wonderful, moving, brilliant way to waste two hours.",
    "The best part of this film was leaving the cinema.",
    "Nothing about this film disappointed me.",
    "I was afraid that it would be dull and stupid, and I was wrong.",
]
# END SOLUTION
pd.DataFrame({"my sentence": attempts, "reward": [f"{r:.2f}" for r in reward_model(attempts).tolist()]})
# %% [markdown] q="w1_4"
# **Question 1.D.** Give your best sentence of each kind with its reward;
# if none passes the border, list your five best attempts. Why do they fool the reward model, or come close?
# What will happen when a policy is trained to maximise this reward for a long time?
# %% [markdown]
# *(The rewards stand in the table above. Other sentences are as good, and another reward model may need others.)*
#
# Tried as negative or nonsense, with a high reward hoped for: "great great great great great", "A wonderful, moving,
# brilliant way to waste two hours." and "The best part of this film was leaving the cinema."
# Tried as positive, with a low reward hoped for: "Nothing about this film disappointed me."
# and "I was afraid that it would be dull and stupid, and I was wrong."
#
# The model has learnt which words occur in positive and negative reviews, and a little about negation.
# It weighs up such evidence. It need not understand that praise for something else is no praise for the film,
# or that a double negation praises. And hardly any review that it has seen is a mere list of words,
# so it has not learnt that such a list is no review.
#
# Training a policy on this reward is a search for texts with a high reward. Whatever fools the reward model, such a
# search finds sooner or later, and then the policy moves towards it: the reward goes up while the texts get worse.
# This is called **reward hacking**.
#
# **Rubric**
# - 1 point: A sentence of each kind with its reward (or at least five serious attempts), and an explanation by how the
#   model works or what it was trained on: it reacts to single words, has seen little irony, knows no nonsense.
# - 1 point: Draws the consequence for training: a policy that maximises this reward will find such texts,
#   so a rising reward need not mean better texts.
# %% [markdown]
# ## 1.10 How good is a forecast?
#
# The last task is about *your* judgement. Before one relies on a model, one forms an opinion on what it can do.
# You will now put such opinions into numbers and check them.
# Forecasts are probabilities, so a score is needed that rewards honest ones.
#
# Let $p$ be your probability that something happens, and $y = 1$ if it does, else $y = 0$. Three scores:
#
# * **accuracy**: count a forecast above 0.5 as "yes" and one below as "no", and take the share of hits. A forecast of
#   exactly 0.5 is half a hit. Accuracy does not care whether you said 0.51 or 0.99.
# * **log loss**: the mean of $-[\,y \ln p + (1-y) \ln (1-p)\,]$.
#   Being sure and wrong is very expensive: $-\ln 0.01 = 4.6$.
#   (With the natural logarithm, the unit is called **nat**; with the logarithm to base 2 it would be the bit.)
# * **Brier score**: the mean of $(p - y)^2$. Being sure and wrong costs at most 1.
#
# Lower is better for the last two. Always saying 0.5 gives a log loss of $\ln 2 = 0.693$ and a Brier score of 0.25.
# Both are *proper* scores: in the long run you do best by stating what you really believe.
#
# A forecast of exactly 0 or 1 that turns out wrong would cost infinitely much,
# so $p$ is first **clipped** to $[10^{-4}, 1 - 10^{-4}]$.
# %% [markdown] q="q1_7" level=1
# **Exercise 1.7 · `forecast_log_loss`.** Return the mean of $-[\,y \ln p + (1-y) \ln(1-p)\,]$,
# with $p$ clipped to $[10^{-4}, 1 - 10^{-4}]$, as a plain Python float.
#
# * `probabilities` and `outcomes` have shape `[N]`. The outcomes are 0 or 1, and may come as int, float or bool.
# * Compute in `float64` (`tensor.double()`): in `float32` the number $1 - 10^{-4}$ is too coarse for the logarithm.
#
# By hand: the forecasts `[0.9, 0.8]`
# with the outcomes `[1, 0]` give $(-\ln 0.9 - \ln 0.2) / 2 = (0.105 + 1.609) / 2 = 0.857$.
#
# Useful: `x.clamp(low, high)` clips; `x.log()` is the natural logarithm.
#
# <details><summary>Hint 1: one term counts</summary>
#
# Write the loss of one forecast for $y = 1$, then for $y = 0$. How do the factors $y$ and $1 - y$ pick the right term
# for all forecasts at once?
#
# </details>
#
# <details><summary>Hint 2: in which order?</summary>
#
# Four things happen: convert to float64, clip, take logarithms, average. What is lost if the clipping comes
# before the conversion? Look at the number $1 - 10^{-4}$.
#
# </details>
#
# <details><summary>Hint 3: the types</summary>
#
# `1 - y` fails for a tensor of bools, so the outcomes must become numbers as well.
# A mean is still a tensor: `.item()` makes the float that is asked for.
#
# </details>
# %%
def forecast_log_loss(probabilities, outcomes):
    """Mean log loss of probability forecasts.

    Args:
        probabilities: float [N], the forecasts.
        outcomes: [N], 1 (or True) where it happened, else 0.

    Returns:
        The mean loss in nats, a Python float.
    """
    # BEGIN SOLUTION
    p = probabilities.double().clamp(1e-4, 1 - 1e-4)  # [N]
    y = outcomes.double()  # [N]
    losses = -(y * p.log() + (1 - y) * (1 - p).log())  # [N]
    return losses.mean().item()
    # END SOLUTION
# %% points=1.5 success="The loss of three forecasts is right, whatever type the outcomes have."
def test_log_loss_values(forecast_log_loss):
    p, y = torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0])
    mistakes = {
        "this is the sum over the forecasts; the definition takes the mean.": 2.071473,
        "the minus sign is missing: a loss is positive.": -0.690491,
        "this is the logarithm to base 2; the definition takes the natural one.": 0.996168,
        "this is the logarithm to base 10; the definition takes the natural one.": 0.299876,
        "p and 1 - p are swapped: ln p belongs to outcome 1.": 1.243234,
        "the term for outcome 0, (1 - y)·ln(1 - p), is missing.": 0.035120,
        "the term for outcome 1, y·ln p, is missing.": 0.655371,
        "this is the Brier score, the mean of (p - y)²; here the logarithm is asked for.": 0.246667,
        "this is the accuracy; here the log loss is asked for.": 0.666667,
        "this is the mean of |p - y|; here the logarithm is asked for.": 0.4,
        "this is the loss of each forecast; return their mean.": [0.1053605, 1.6094379, 0.3566749],
        "this is ln p whatever the outcome was.": 0.510826,
        "this is the exponential of the loss (the perplexity); return the loss.": 1.994695,
        "the forecasts were rounded to 0 or 1; use them as they are.": 3.070180,
        "a small number seems to be added inside the logarithm; clip p instead.": lambda got: bool(0.68 < got < 0.6904),
    }
    for outcomes, kind in [(y, "int"), (y.float(), "float"), (y.bool(), "bool")]:
        with trying(f"forecast_log_loss: outcomes of type {kind} must work (convert them first, outcomes.double())"):
            got = forecast_log_loss(p, outcomes)
        check(got, 0.690491, mistakes, name=f"forecast_log_loss (outcomes as {kind})")
        assert is_float(got), f"forecast_log_loss: return a plain Python float, not a {type(got).__name__} (tensor.item() makes one)."
# %% points=0.5 success="Forecasts of 0 and 1 are clipped to [1e-4, 1 - 1e-4] in float64, and stay as they are."
def test_log_loss_clipping(forecast_log_loss):
    p = torch.tensor([0.0, 1.0])
    inf, nan = float("inf"), float("nan")
    check(forecast_log_loss(p, torch.tensor([1, 0])), 9.2103404, {
        "a forecast of 0 or 1 that is wrong costs infinitely much: clip p to [1e-4, 1 - 1e-4] first.": inf,
        "the loss is nan: clip p to [1e-4, 1 - 1e-4] before the logarithm.": nan,
        "the loss was computed in float32, where 1 - 1e-4 is too coarse: convert to float64 first.": 9.2102570,
        "the loss of each forecast is cut at 100, as torch's binary_cross_entropy does; clip p instead.": 100.0,
        "clipped at another border than 1e-4, or a small number is added inside the logarithm.": lambda got: bool(1 < got < 700),
    }, name="forecast_log_loss (sure and wrong)", ordinary=(forecast_log_loss(torch.tensor([0.9, 0.8]), torch.tensor([1, 0])), 0.857399), rtol=1e-6, atol=1e-6)
    check(forecast_log_loss(p, torch.tensor([0, 1])), 0.000100005, {
        "the loss is nan: 0·ln 0 is not a number. Clip p to [1e-4, 1 - 1e-4] first.": nan,
        "a forecast of exactly 1 is clipped to 1 - 1e-4, so even a right one costs a little.": 0.0,
        "a small number is added inside the logarithm, so a right forecast costs less than 0; clip p instead.": lambda got: bool(got < 0),
    }, name="forecast_log_loss (sure and right)", rtol=1e-3, atol=1e-8)
    assert p.tolist() == [0.0, 1.0], "forecast_log_loss changed its argument `probabilities` in place (clamp_ instead of clamp)."
# %% hidden={"values": 2.5, "edges dtypes purity": 0.5}
# %% [markdown]
# **Sanity check.** Suppose that something happens in 7 of 10 cases. Which constant forecast is best?
# The curve of your log loss must have its lowest point at 0.7: honesty pays.
# %%
outcomes = torch.tensor([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
constants = torch.linspace(0.02, 0.98, 97).double()
losses = [forecast_log_loss(torch.full((10,), p.item(), dtype=torch.float64), outcomes) for p in constants]
best = int(torch.tensor(losses).argmin())

figure, axes = plt.subplots(figsize=(6, 3.2))
axes.plot(constants, losses, color="#0072B2")
axes.plot(constants[best], losses[best], "o", color="#D55E00", label=f"lowest at p = {constants[best]:.2f}")
axes.set(title="Log loss of a constant forecast, 7 of 10 cases happen", xlabel="forecast p", ylabel="log loss (nats)")
axes.legend()
plots.show(figure, f"Log loss against a constant forecast: a valley with its lowest point at {constants[best]:.2f}.")
# %% [markdown]
# ## 1.11 The forecast quiz
#
# 26 tasks were put to a real language model: **SmolLM2-135M-Instruct**, a small model (135 million parameters,
# about the size of GPT-2) that was trained on a large amount of text and then on instructions.
# It answered greedily, with at most 40 tokens, and had one attempt. Its answers were recorded and judged mechanically:
# below each task you read the rule by which an answer counts as right.
#
# **State for each task the probability that the model does it right.**
# Do not look anything up, and use the whole range from 0 to 1. Your forecasts are not graded by how good they are.
# What counts is what you learn from them, in the questions below.
#
# The form has one field for each task, for a number from 0 to 1.
# When you are done, copy the text at its end over the next exercise's cell.
# %%
tasks = quiz.load_tasks()
quiz.forecast_form()  # quiz.forecast_form(plain=True) prints the tasks, without fields
# %% [markdown] q="q1_8" level=1
# **Exercise 1.8 · `my_forecasts`.** Return your 26 probabilities as a list, in the order of the tasks: copy the
# finished cell from the end of the form over the next cell. The point is for complete forecasts, not for good ones.
# %%
def my_forecasts():
    """My probability, for each task of the quiz, that the model does it right: a list of numbers from 0 to 1."""
    # BEGIN SOLUTION
    return [
        0.95,  # 1. What is the capital of France?
        0.80,  # 2. What is the capital of Australia?
        0.75,  # 3. What is the chemical symbol for gold?
        0.90,  # 4. Who wrote the play Romeo and Juliet?
        0.80,  # 5. How many legs does a spider have?
        0.85,  # 6. What is 7 + 5?
        0.25,  # 7. What is 17 * 23?
        0.55,  # 8. Tom and the apples
        0.85,  # 9. What number comes next? 2, 4, 6, 8
        0.15,  # 10. Spell the word garden backwards.
        0.35,  # 11. How many times does the letter r occur in strawberry?
        0.80,  # 12. Write the word hello in capital letters.
        0.75,  # 13. Which letter comes after P?
        0.90,  # 14. Positive or negative: tender, funny and beautifully acted
        0.60,  # 15. Positive or negative: at the dentist
        0.85,  # 16. Translate into French: Good morning.
        0.60,  # 17. Translate into German: the cat.
        0.90,  # 18. What is the opposite of hot?
        0.80,  # 19. What is the plural of mouse?
        0.85,  # 20. Does a robin have feathers?
        0.60,  # 21. Anna, Ben and Carl
        0.65,  # 22. Mary, John and the milk
        0.30,  # 23. A kilogram of feathers or of iron
        0.50,  # 24. Three days after Monday
        0.20,  # 25. Exactly three words
        0.35,  # 26. A JSON object
    ]
    # END SOLUTION
# %% points=1 success="There is one probability for each task, and they are not all the same."
def test_forecasts_complete(my_forecasts):
    from helpers.baseline import quiz
    try:
        p = quiz.read_forecasts(my_forecasts())
    except ValueError as reason:
        raise AssertionError(f"my_forecasts: {reason}") from None
    assert p.unique().numel() > 2, "my_forecasts: nearly all forecasts are the same number. Say what you believe about each task."
# %% [markdown]
# **Now the answers.** Run the next cell only when your forecasts stand: a forecast made afterwards is worth nothing.
# %%
result = quiz.reveal(my_forecasts(), forecast_log_loss)
# %% [markdown]
# **How to read the calibration plot.** The tasks are put into five groups by your forecast: 0 to 0.2, 0.2 to 0.4, and
# so on. Each point is one group: your mean forecast to the right, the share that the model really did upwards.
# A forecaster is **calibrated** if the points lie on the dotted line: of all things called "70 % likely",
# about 70 % happen. Points below the line mean that you thought too much of the model, points above it
# that you thought too little. The vertical lines are 95 % intervals.
# With a handful of tasks in a group they are wide, so only large deviations mean anything.
# %% [markdown]
# **To think about** (no points). Read your accuracy, log loss and Brier score above.
# Did you beat the forecaster who always says 0.5? Where were you too sure, where too cautious?
# Which two tasks cost you most (the last column of the table), and what would your log loss be without them?
#
# <details><summary>What to look for (the example: the forecasts of the course's solution)</summary>
#
# Accuracy about 71 %, log loss about 0.55, Brier score about 0.19. The forecaster who always says 0.5 gets 50 %, 0.693
# and 0.25, so these forecasts are better on all three scores, but not by much on the log loss.
# They are too hopeful: all points lie below the line. Of the tasks called 60 to 80 % likely, only half were done.
# But each point stands for one to twelve tasks and its interval is wide, so this is a hint and no proof.
#
# The two most expensive forecasts were sure and wrong. A forecast of 0.85 for what did not happen costs
# $-\ln 0.15 = 1.90$, one of 0.80 costs $-\ln 0.2 = 1.61$: two such tasks are about a quarter of the sum over all 26.
# Accuracy counts them like any other miss.
#
# </details>
# %% [markdown] q="w1_6"
# **Question 1.E (surprises and patterns of failure).** Which answer surprised you most, in either
# direction, and what had you assumed about the model that turned out to be wrong?
# In which kinds of task does the model fail, and how do the failures look? Offer a cause for at least one pattern.
# %% [markdown]
# It knew the capital of Australia, where many people say Sydney, and answered the riddle about Anna, Ben and Carl.
# But it said that a robin has no feathers, right after it was told that all birds have them. I had assumed an
# order of difficulty like that of a child: first simple logic, then geography. The model's order is another one: a fact
# that stands in many texts is easy, and using a sentence that stands right in front of it may be hard.
#
# *Letters:* it failed at all four tasks on letters (spelling backwards, counting r, capitals, the letter after P).
# It sees tokens, not letters: "garden" may be one number to it. *Exact instructions:* it was asked for three words and
# for one word, and wrote whole sentences; it was asked for JSON with one key, and added a second one.
# Such constraints are rare in text.
# *Several steps:* it found 3 + 4 = 7 and forgot that two apples were eaten; 17 · 23 came out as 381, nearly right,
# as one guesses from the look of it. *Form:* wrong answers are as fluent as right ones, and answers of both kinds run
# into loops ("of the balcony of the balcony", "Awesome, awesome, awesome"), which is typical of greedy decoding.
#
# **Rubric**
# - 1 point: Names a surprising success or failure, with the task and the model's answer, and the picture of the model
#   that led to the wrong expectation.
# - 1 point: Names at least two patterns of failure with examples, such as letters inside words, exact formats
#   and lengths, multi-step arithmetic, negative sentiment, repetition.
# - 1 point: Offers a cause for at least one of them: tokens hide letters, greedy decoding repeats,
#   training text rewards fluent answers, little capacity.
# %% [markdown] q="w1_8"
# **Question 1.F (trust).** For what would you rely on this model, and for what not?
# What would you have to know before you do? Look also at the *rules* by which the answers were judged: does any answer
# count as right although it is poor, or the other way round? What does this have in common with Section 1.9?
# %% [markdown]
# I would use it where each answer is checked anyway or where errors are cheap: a first guess at a well-known fact,
# ideas for words. I would not rely on it for arithmetic, for anything that a program must read, or for decisions.
# Before relying on it I would measure its error rate on many tasks *of the same kind*,
# because being right about capitals says nothing about spelling.
# How sure an answer sounds says nothing either: "a robin does not have feathers" is as fluent as "Paris".
#
# The rules are not perfect. "Je suis bonjour" contains "bonjour" and counts as right, although it means "I am good
# morning". The answer on Romeo and Juliet counts as right too, and then runs into nonsense.
# Someone who *trains* a model on these rules would get a model that satisfies the rules. It is the same as
# with the reward model: the measure is a stand-in for what we want, and it can be met without giving us that.
#
# **Rubric**
# - 1 point: Says for which uses the answers could be relied on, and for which not, and how trust should be earned:
#   measuring on tasks of the same kind, checking mechanically, knowing the error rate; fluent wording is no evidence.
# - 1 point: Discusses the judge: a mechanical rule can be wrong as well (an example such as 'Je suis bonjour',
#   which counts as right), and draws the parallel to the reward model.
# %% [markdown] q="w1_9"
# **Question 1.G (a future model).** What should a future model be able to do that this one cannot?
# What does that need?
# Write down a test by which one would recognise it, and a forecast: with which probability will a model
# that runs on your own computer pass it in three years?
# %% [markdown]
# It should say how sure it is, and be right about it: of the answers that it calls 90 % sure, 90 % should be right.
# Then one would know when to check. This needs training on feedback that rewards calibrated statements,
# for instance by a proper score such as the log loss of Exercise 1.7, on questions whose answers are known.
# A reward that only likes confident wording would do the opposite.
#
# Test: 1,000 new questions with known answers; the model states an answer and a probability.
# It passes if its log loss is below 0.5 and each group of the calibration plot lies within 5 points of the line.
# My forecast that a model on a laptop passes in three years: 0.6.
#
# **Rubric**
# - 1 point: Describes a concrete capability that a future model should have and what it needs (data, feedback, size,
#   tools, another training signal, safeguards), with a link to something seen in this part.
# - 1 point: Turns it into a test: a task with a rule by which success can be measured, and a forecast (a probability
#   and a year or a model size).
# %% [markdown]
# ## 1.12 What you take along
#
# * A causal language model turns a text into probabilities for the next token.
#   Sampling, again and again, makes a text of it.
# * The **policy** is the language model. Its **completion** begins after the prompt and ends with the first eos,
#   which belongs to it. The mask says so, and every loss of Parts 2 to 4 uses it.
# * The **reward** is a stand-in: one number, from another model with faults of its own.
#   Optimise it hard enough, and the faults are what you get.
# * A mean without an interval is half a result. And reading five samples shows what no mean shows.
# * Forecasts can be measured, and honest ones win in the long run.
#
# **Next:** in Part 2 the policy learns from its rewards. You will write REINFORCE, the simplest method that does this,
# and see the mean reward leave the baseline that you have measured here.
