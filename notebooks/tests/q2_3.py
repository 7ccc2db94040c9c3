from otter.test_files import test_case

OK_FORMAT = False

name = "q2_3"
points = 3.5

@test_case(points=1, hidden=False,
    success_message="Each of four rewards is compared with the mean of the other three.")
def test_leave_one_out_values(leave_one_out_advantages):
    """Each of four rewards is compared with the mean of the other three."""
    import torch
    from helpers.checks import check
    rewards = torch.tensor([1.0, 0.5, 0.0, 0.3], requires_grad=True)
    result = leave_one_out_advantages(rewards)
    check(result, torch.tensor([0.733333, 0.066667, -0.6, -0.2]), {'this subtracts the mean of the whole batch; leave the completion itself out of its baseline.': [0.55, 0.05, -0.45, -0.15], 'this is the baseline; the advantage is the reward minus the baseline.': [0.266667, 0.433333, 0.6, 0.5], 'the sign is turned round: better than the others must be positive.': [-0.733333, -0.066667, 0.6, 0.2], 'this subtracts the sum of the others; take their mean.': [0.2, -0.8, -1.8, -1.2], 'the sum of the others is divided by B; there are B - 1 of them.': [0.8, 0.175, -0.45, -0.075], "the sum of all rewards is divided by B - 1; the completion's own reward must not be in its baseline.": [0.4, -0.1, -0.6, -0.3], 'this is divided by the standard deviation; the definition does not normalise.': [1.744714, 0.15861, -1.427493, -0.475831], "this is the batch's mean and standard deviation; the definition leaves one out and does not normalise.": [1.308535, 0.118958, -1.07062, -0.356873], "this is the batch's mean and standard deviation; the definition leaves one out, does not normalise.": [1.510966, 0.137361, -1.236245, -0.412082], 'these are the rewards themselves: nothing was subtracted.': [1.0, 0.5, 0.0, 0.3], 'all baselines are wrong by one factor: is something added to the number of the others, B - 1?': lambda got: bool(((rewards.detach() - got) * 3 / (1.8 - rewards.detach())).std() < 0.0001)}, name='leave_one_out_advantages', dtype=torch.float32)
    assert not result.requires_grad, 'leave_one_out_advantages: the result carries a gradient. Use rewards.detach().'

@test_case(points=0.5, hidden=False,
    success_message="With groups, each reward is compared with the others of its group, and a rest raises a ValueError.")
def test_leave_one_out_groups(leave_one_out_advantages):
    """With groups, each reward is compared with the others of its group, and a rest raises a ValueError."""
    import torch
    from helpers.checks import check, must_raise
    check(leave_one_out_advantages(torch.tensor([1.0, 0.0, 0.5, 0.25]), 2), torch.tensor([1.0, -1.0, 0.25, -0.25]), {'group_size has no effect: each reward is compared with the whole batch.': [0.75, -0.583333, 0.083333, -0.25], 'the groups are runs of neighbours; here every second reward is a group. reshape(-1, group_size) has them in its rows.': [0.5, -0.25, -0.5, 0.25], 'the mean of the whole group is subtracted; leave the completion itself out.': [0.5, -0.5, 0.125, -0.125], 'the rewards of one group are compared with those of the others; compare within a group.': [0.625, -0.375, 0.0, -0.25], 'one row for each group; the result is [B], like the rewards. Use flatten().': [[1.0, -1.0], [0.25, -0.25]]}, name='leave_one_out_advantages in groups of 2', ordinary=(leave_one_out_advantages(torch.tensor([1.0, 0.5, 0.0])), [0.75, 0.0, -0.75]))
    check(leave_one_out_advantages(torch.tensor([0.5, 0.25]), group_size=1), torch.zeros(2), {'in a group of one there are no others; the definition says 0.': lambda got: bool((got != 0).any())}, name='leave_one_out_advantages in groups of 1')
    with must_raise(ValueError, 'leave_one_out_advantages: 3 rewards in groups of 2'):
        leave_one_out_advantages(torch.tensor([0.5, 0.25, 0.0]), 2)

@test_case(points=0.5, hidden=False,
    success_message="A single reward has the advantage 0, and two rewards are compared with each other.")
def test_leave_one_out_single(leave_one_out_advantages):
    """A single reward has the advantage 0, and two rewards are compared with each other."""
    import torch
    from helpers.checks import check
    check(leave_one_out_advantages(torch.tensor([0.7])), torch.tensor([0.0]), {'a batch of one gives 0 / 0, which is NaN. There are no others, and the definition says 0.': [float('nan')], 'a batch of one has no others; the definition says 0, not the reward itself.': [0.7], 'a batch of one divides by 0. There are no others, and the definition says 0.': [float('inf')], 'a batch of one divides by 0. There are no others; the definition says 0.': [float('-inf')]}, name='leave_one_out_advantages of one reward')
    two = leave_one_out_advantages(torch.tensor([0.75, 0.25]))
    check(two, torch.tensor([0.5, -0.5]), name='leave_one_out_advantages of two rewards')

@test_case(points=0, hidden=False,
    success_message="Rewards below 0 keep their sign, and the rewards and their dtype are kept.")
def test_leave_one_out_rules(leave_one_out_advantages):
    """Rewards below 0 keep their sign, and the rewards and their dtype are kept."""
    import torch
    from helpers.checks import check, check_rules
    check(leave_one_out_advantages(torch.tensor([-1.0, -3.0])), torch.tensor([2.0, -2.0]), {'rewards below 0 keep their sign: -1 is better than -3.': [-2.0, 2.0]}, name='leave_one_out_advantages of rewards below 0', ordinary=(leave_one_out_advantages(torch.tensor([3.0, 1.0])), [2.0, -2.0]))
    check_rules(leave_one_out_advantages, torch.tensor([1.0, 0.5, 0.0]), gradients=())
