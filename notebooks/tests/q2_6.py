from otter.test_files import test_case

OK_FORMAT = False

name = "q2_6"
points = 3

@test_case(points=1, hidden=False,
    success_message="The return of each of four steps is right.")
def test_discounted_returns_values(discounted_returns):
    """The return of each of four steps is right."""
    import torch
    from helpers.checks import check
    check(discounted_returns(torch.tensor([1.0, 0.0, 2.0, 4.0]), 0.5), torch.tensor([2.0, 2.0, 4.0, 4.0]), {'these are sums over the past; the return of a step adds up what comes at that step and after it.': [1.0, 0.5, 2.25, 5.125], 'these are discounted rewards; each return adds up the present and all later ones.': [1.0, 0.0, 0.5, 0.5], 'the present reward is missing: the sum begins at k = t.': [2.0, 4.0, 4.0, 0.0], 'the present reward is missing: the sum begins at k = t, and the present reward is not discounted.': [1.0, 2.0, 2.0, 0.0], 'the discount is not used.': [7.0, 6.0, 6.0, 4.0], 'the order is turned round: the first entry belongs to the first step.': [4.0, 4.0, 2.0, 2.0], 'the discounting begins at the start of the trajectory; G_t counts the waiting time from step t.': [2.0, 1.0, 1.0, 0.5], 'the present reward is discounted as well; its factor is 1.': [1.0, 1.0, 2.0, 2.0], 'this is the return of the whole trajectory at every step; a step counts only what comes at that step and after it.': [2.0, 2.0, 2.0, 2.0], 'one number for the whole trajectory; the definition gives one return for each step.': 2.0, 'only one later reward is added; all later rewards count.': [1.0, 1.0, 4.0, 4.0], 'the returns are standardised; the definition leaves them as they are.': [-0.866025, -0.866025, 0.866025, 0.866025]}, name='discounted_returns', dtype=torch.float32)

@test_case(points=0, hidden=False,
    success_message="A discount of 0, 250 steps, and all rules of arguments, dtypes and gradients are right.")
def test_discounted_returns_rules(discounted_returns):
    """A discount of 0, 250 steps, and all rules of arguments, dtypes and gradients are right."""
    import torch
    from helpers.checks import check, check_rules
    check(discounted_returns(torch.tensor([1.0, 2.0]), 0.0), torch.tensor([1.0, 2.0]), {'a discount of 0 gives NaN: do not divide by its powers, multiply.': lambda got: bool(got.isnan().any())}, name='discounted_returns with a discount of 0')
    check(discounted_returns(torch.ones(250), 1.0)[0], torch.tensor(250.0), {'in 250 steps not all later rewards are added.': lambda got: bool(got < 250)}, name='discounted_returns of 250 steps, the first', ordinary=(discounted_returns(torch.ones(3), 1.0), [3.0, 2.0, 1.0]))
    check_rules(discounted_returns, torch.tensor([1.0, 0.0, 2.0]), 0.5)
