from otter.test_files import test_case

OK_FORMAT = False

name = "q3_4"
points = 3

@test_case(points=1, hidden=False,
    success_message="The expected maximum of two is right: over all choices, for each prompt by itself.")
def test_best_of_two(best_of_n):
    """The expected maximum of two is right: over all choices, for each prompt by itself."""
    import torch
    from helpers.checks import check, is_float
    rewards = torch.tensor([[0.1, 0.25, 0.75, 0.7], [0.0, 0.3, 0.8, 0.75]])
    got = best_of_n(rewards, 2)
    check(got, 0.675, {'only the first n completions are looked at; average over all choices of n': 0.275, 'a completion may be drawn twice here; draw without replacement': 0.620313, 'this is the maximum of all K; take n of them': 0.775, 'this is the mean reward, which is best-of-1': 0.45625, 'only neighbouring blocks of n are looked at; average over all choices of n': 0.525, 'this is the expected minimum: the sort goes the wrong way': 0.2375, 'this is the mean of the n largest; the maximum of n drawn ones is asked for': 0.75, 'the prompts are thrown together; take the best for each prompt by itself': 0.648214, 'this is the n-th largest; the maximum of n drawn ones is asked for': 0.725, "the best is taken among the prompts; take it among a prompt's completions, dim=1": 0.4875, 'one number is asked for: the mean over the prompts': [0.65, 0.7]}, name='best_of_n', rtol=1e-05)
    assert is_float(got), f'best_of_n: a Python float is asked for, got a {type(got).__name__}; use .item()'

@test_case(points=0.5, hidden=False,
    success_message="Best-of-1 is the mean, best-of-K the maximum, and an n outside raises a ValueError.")
def test_best_of_borders(best_of_n):
    """Best-of-1 is the mean, best-of-K the maximum, and an n outside raises a ValueError."""
    import torch
    from helpers.checks import check, must_raise
    rewards = torch.tensor([[-3.0, -1.0, -2.0]])
    check(best_of_n(rewards, 1), -2.0, {'best-of-1 is the mean of all K, not the first reward': -3.0, 'best-of-1 is the mean of all K, not their maximum': -1.0, 'rewards below 0 keep their sign': lambda got: bool(got >= 0)}, name='best_of_n with n = 1', ordinary=(best_of_n(torch.tensor([[0.0, 0.5, 1.0]]), 2), 0.833333))
    check(best_of_n(rewards, 3), -1.0, {'best-of-K is the maximum; rewards below 0 keep their sign': lambda got: bool(got >= 0)}, name='best_of_n with n = K', ordinary=(best_of_n(torch.tensor([[0.0, 0.5, 1.0]]), 2), 0.833333))
    for n in (0, 4):
        with must_raise(ValueError, f'best_of_n: n = {n} of 3 completions'):
            best_of_n(rewards, n)

@test_case(points=0, hidden=False,
    success_message="The sum is made in float64, and the rewards are not changed.")
def test_best_of_rules(best_of_n):
    """The sum is made in float64, and the rewards are not changed."""
    import torch
    from helpers.checks import check, check_rules
    close = torch.tensor([[1.0, 1.0 + 2 ** (-20)]])
    check(best_of_n(close, 2), 1.0 + 2 ** (-20), {'nearly equal rewards are thrown together or rounded: compute in float64': 1.0}, name='best_of_n of rewards that nearly tie', rtol=1e-08, atol=1e-08, ordinary=(best_of_n(torch.tensor([[0.0, 0.5]]), 2), 0.5))
    check_rules(best_of_n, torch.tensor([[1.0, 0.25, 0.5], [0.0, 2.0, 1.0]]), 2, gradients=None)
