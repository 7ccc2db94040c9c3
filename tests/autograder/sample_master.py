# %% [markdown]
# # Part 1 · A sample master
#
# Used by the tests of the build.

# %%
import torch

# %% [markdown]
# ## 1.1 Doubling

# %% [markdown] q="q1_1"
# **Exercise 1.1 · `double`.** Return twice `values`, detached from nothing.

# %%
def double(values):
    """[N] -> [N]: twice each value."""
    # BEGIN SOLUTION
    return values * 2  # the secret of the sample
    # END SOLUTION

# %% points=1 success="Two numbers are doubled."
def test_small(double):
    """Two numbers."""
    import torch

    got = double(torch.tensor([1.0, 2.0]))
    assert got is not None, "the function returned None"
    assert got.tolist() == [2.0, 4.0], "not twice the values"

# %% points=2 hidden=true
def test_hidden_shape(double):
    import torch

    got = double(torch.full((7,), 1.5))
    assert got.shape == (7,) and float(got.sum()) == 21.0, "HIDDEN-CANARY wrong for seven values"

# %%
# Sanity check: doubling 3 gives 6.
print(double(torch.tensor(3.0)))

# %%
choice = 1  # replace it
# BEGIN SOLUTION NO PROMPT
choice = 2  # MARKED-CANARY
# END SOLUTION
print(double(torch.tensor(float(choice))))

# %% tags=["training"]
# A long run, skipped by graders.
history = [float(double(torch.tensor(float(step)))) for step in range(3)]
raise_if_graded = len(history)

# %% [markdown] q="w1_1"
# **Question 1.A.** Why two?

# %% [markdown]
# SAMPLE-ANSWER-CANARY: because doubling multiplies by two.
#
# **Rubric**
# - 1 point: RUBRIC-CANARY names the factor
# - 1 point: says why, in a line
#   that goes on below

# %% [markdown]
# The end.
