from otter.test_files import test_case

OK_FORMAT = False

name = "q4_5"
points = 2

@test_case(points=1, hidden=False,
    success_message="The share of pairs is right, and a tie counts one half.")
def test_share(preference_accuracy):
    """The share of pairs is right, and a tie counts one half."""
    import torch
    from helpers.checks import check, is_float
    got = preference_accuracy(torch.tensor([1.0, -3.0, 0.5, 2.0, -0.25, -0.5]), torch.tensor([0.0, -2.0, 0.5, -1.0, -1.0, -0.6]))
    check(got, 0.75, {'a tie counts one half, not 0': 0.666667, 'a tie counts one half, not 1': 0.833333, 'chosen and rejected are swapped: count pairs with chosen > rejected': 0.25, 'chosen and rejected are swapped, and a tie counts one half': 0.166667, 'leave no pair out: a tie counts one half': 0.8, 'a share from 0 to 1 is asked for, not a count': 4.5, 'a share from 0 to 1 is asked for, not per cent': 75.0, 'compare chosen with rejected, not with 0': 0.5, 'one number is asked for, not one per pair': [1.0, 0.0, 0.5, 1.0, 1.0, 1.0], 'this is the mean margin; count pairs instead': 0.641667, 'it is a mean: divide by the number of pairs once': 0.125, 'this is the mean of σ of the margins; count pairs instead': 0.609456, 'the pairs are judged together, all or nothing; count those with chosen > rejected': 0.0, 'the sums of the rewards are compared; compare pair by pair': 1.0}, name='preference_accuracy', rtol=1e-05)
    assert is_float(got), f'preference_accuracy: a Python float is asked for, got a {type(got).__name__}; use .item()'

@test_case(points=0, hidden=False,
    success_message="Rewards that nearly tie are told apart, and they are not changed.")
def test_near_ties(preference_accuracy):
    """Rewards that nearly tie are told apart, and they are not changed."""
    import torch
    from helpers.checks import check, check_rules
    check(preference_accuracy(torch.tensor([1.0005, -1.9995]), torch.tensor([1.0, -2.0])), 1.0, {'rewards that nearly tie are taken for equal: compare them as they are, in their own dtype': 0.5}, name='preference_accuracy of pairs that nearly tie', ordinary=(preference_accuracy(torch.tensor([1.0, -1.0]), torch.tensor([0.5, -2.0])), 1.0))
    check_rules(preference_accuracy, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), gradients=None)
