from otter.test_files import test_case

OK_FORMAT = False

name = "q3_7"
points = 4

@test_case(points=1.5, hidden=False,
    success_message="The advantages of two groups of three are right.")
def test_group_values(group_advantages):
    """The advantages of two groups of three are right."""
    import torch
    from helpers.checks import check
    check(group_advantages(torch.tensor([1.0, 2.0, 6.0, 0.0, 0.0, 3.0]), 3), torch.tensor([-0.92582, -0.46291, 1.38873, -0.70711, -0.70711, 1.41421]), {"this divides by the sample standard deviation (n - 1); the population's (n) is asked for": [-0.75593, -0.37796, 1.13389, -0.57735, -0.57735, 1.1547], 'the mean is taken off, but the result is not divided by the standard deviation': [-2.0, -1.0, 3.0, -1.0, -1.0, 2.0], 'the whole batch is treated as one group': [-0.48038, 0.0, 1.92154, -0.96077, -0.96077, 0.48038], 'the whole batch is treated as one group, with the sample standard deviation': [-0.43853, 0.0, 1.75412, -0.87706, -0.87706, 0.43853], "the standard deviation is the batch's; each group has its own": [-0.96077, -0.48038, 1.44115, -0.48038, -0.48038, 0.96077], 'the groups are consecutive rewards, not every second one; or group_size was taken for the number of groups': [-1.0, 1.0, 1.0, -1.0, -1.0, 1.0], 'the groups are consecutive rewards: rows of the table, not columns': [-0.508, 0.26726, 1.397, -1.33631, -0.889, 1.06904], 'this divides by the variance; take its square root': [-0.42857, -0.21429, 0.64286, -0.5, -0.5, 1.0], 'these are leave-one-out advantages; GRPO takes off the mean of the whole group': [-3.0, -1.5, 4.5, -1.5, -1.5, 3.0], 'the leave-one-out mean is taken off; GRPO takes off the mean of the whole group': [-1.38873, -0.69436, 2.08309, -1.06066, -1.06066, 2.12132], 'the median is taken off; it is the mean': [-0.46291, 0.0, 1.85164, 0.0, 0.0, 2.12132], "the group's mean is not taken off": [0.46291, 0.92582, 2.77746, 0.0, 0.0, 2.12132], 'the sign is wrong: it is reward minus mean': [0.92582, 0.46291, -1.38873, 0.70711, 0.70711, -1.41421], 'this scales each group to between 0 and 1': [0.0, 0.2, 1.0, 0.0, 0.0, 1.0], 'this is a table of groups; return one flat tensor, [B]': [[-0.92582, -0.46291, 1.38873], [-0.70711, -0.70711, 1.41421]]}, name='group_advantages')

@test_case(points=0.5, hidden=False,
    success_message="A group of equal rewards gives 0, and no gradient flows.")
def test_group_equal_and_detached(group_advantages):
    """A group of equal rewards gives 0, and no gradient flows."""
    import torch
    from helpers.checks import check
    rewards = torch.tensor([0.5, 0.5, 0.25, 0.75], requires_grad=True)
    got = group_advantages(rewards, 2)
    check(got, torch.tensor([0.0, 0.0, -1.0, 1.0]), {'a group whose rewards are all equal gives NaN; add 0.000001 to the standard deviation': [float('nan'), float('nan'), -1.0, 1.0], "this divides by the sample standard deviation (n - 1); the population's (n) is asked for": [0.0, 0.0, -0.70711, 0.70711], 'the constant added to the standard deviation is too large: it is 0.000001, one millionth': [0.0, 0.0, -0.9996, 0.9996]}, name='group_advantages')
    assert not got.requires_grad, 'group_advantages: the result carries a gradient; detach it'

@test_case(points=0, hidden=False,
    success_message="Rewards below 0 keep their sign, one reward keeps its axis, and arguments and dtypes are kept.")
def test_group_rules(group_advantages):
    """Rewards below 0 keep their sign, one reward keeps its axis, and arguments and dtypes are kept."""
    import torch
    from helpers.checks import check, check_rules
    check(group_advantages(torch.tensor([-3.0, -1.0]), 2), torch.tensor([-1.0, 1.0]), {'rewards below 0 keep their sign: -1 is better than -3': [1.0, -1.0]}, name='group_advantages of rewards below 0', ordinary=(group_advantages(torch.tensor([1.0, 3.0]), 2), [-1.0, 1.0]))
    check(group_advantages(torch.tensor([0.0, 0.002]), 2), torch.tensor([-0.999001, 0.999001]), {'the constant stands inside the root; add it to the standard deviation, not to the variance': [-0.707107, 0.707107], 'the constant added to the standard deviation is not 0.000001': lambda got: bool((got.abs() > 0.9).all())}, name='group_advantages of rewards that are nearly equal')
    check(group_advantages(torch.tensor([0.5]), 1), torch.tensor([0.0]), {'a single reward keeps its axis, the shape is [1]: do not squeeze': 0.0}, name='group_advantages of one reward')
    check_rules(group_advantages, torch.tensor([1.0, 2.0, 6.0]), 3, gradients=())
