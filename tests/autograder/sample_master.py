# %% [raw]
# # ASSIGNMENT CONFIG
# title: "Sample"
# part: 1
# minutes: {laptop: 1, t4: 1}

# %% [markdown]
# # A sample master
#
# Used by the tests of the build.

# %%
import torch

# %% [markdown]
# ## 1.1 Doubling

# %% [raw]
# # BEGIN QUESTION
# name: q1_1
# points: 3
# function: double

# %% [markdown]
# **Exercise 1.1 · `double`.** Return twice `values`, detached from nothing.

# %% [raw]
# # BEGIN SOLUTION


# %%
def double(values):
    """[N] -> [N]: twice each value."""
    # BEGIN SOLUTION
    return values * 2  # the secret of the sample
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
hidden: false
success_message: ""
failure_message: ""
"""  # END TEST CONFIG


def test_small(double):
    """Two numbers."""
    import torch

    got = double(torch.tensor([1.0, 2.0]))
    assert got is not None, "the function returned None"
    assert got.tolist() == [2.0, 4.0], "not twice the values"


test_small(double)  # IGNORE

# %%
""" # BEGIN TEST CONFIG
points: 2
hidden: true
success_message: ""
failure_message: ""
"""  # END TEST CONFIG


def test_hidden_shape(double):
    import torch

    got = double(torch.full((7,), 1.5))
    assert got.shape == (7,) and float(got.sum()) == 21.0, "HIDDEN-CANARY wrong for seven values"


test_hidden_shape(double)  # IGNORE

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

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

# %% [raw]
# # BEGIN QUESTION
# name: w1_1
# points: 2
# manual: true
# rubric:
#   - {points: 1, text: "RUBRIC-CANARY names the factor"}
#   - {points: 1, text: "says why"}

# %% [markdown]
# **Question 1.A.** Why two?

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# SAMPLE-ANSWER-CANARY: because doubling multiplies by two.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [markdown]
# The end.
