from otter.test_files import test_case

OK_FORMAT = False

name = "q5_9"
points = 3

@test_case(points=1, hidden=False,
    success_message="The gap is right, whichever of the two is larger.")
def test_small_example(faithfulness):
    """The gap is right, whichever of the two is larger."""
    import torch
    from helpers.checks import check, is_float
    circuit, full = (torch.tensor([6.0, 1.0, 2.6]), torch.tensor([2.0, 3.0, 2.5]))
    got = faithfulness(circuit, full)
    check(got, 0.7, {'the gap is an absolute value: it is never negative.': -0.7, 'the absolute value was taken prompt by prompt; take it of the difference of the means.': 2.0333333, 'this is the mean squared gap of the prompts; asked for is the absolute difference of the means.': 6.67, 'the gap was squared.': 0.49, 'this is the square root of the mean squared gap of the prompts.': 2.5826343, 'this is the ratio of the means (the share kept); asked for is their difference.': 1.28, 'this is the ratio of the means upside down; asked for is their difference.': 0.78125, "this is the gap as a share of the whole model's mean; asked for is the gap itself.": 0.28, 'the gaps are added up over the prompts; asked for is a difference of means.': 2.1, 'one number is asked for; this is one gap for each prompt.': torch.tensor([4.0, 2.0, 0.1]), 'the median was used; asked for are means.': 0.1, 'the means are added; asked for is their difference.': 5.7}, name='faithfulness', rtol=0.001)
    assert is_float(got), f'faithfulness: the number is right, but it is a {type(got).__name__}; return a Python float (`.item()`).'
    check(faithfulness(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])), 3.0, {'a circuit below the whole model has a gap as well; only its size counts.': 0.0, 'the gap is never negative.': -3.0}, name='faithfulness')

@test_case(points=0, hidden=False,
    success_message="Means below 0 keep their sign, and the arguments stay as they are.")
def test_means_below_zero(faithfulness):
    """Means below 0 keep their sign, and the arguments stay as they are."""
    import torch
    from helpers.checks import check, check_rules
    check(faithfulness(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 2.0])), 3.0, {'means below 0 keep their sign: the absolute value is that of the difference.': 0.0}, name='faithfulness of means below 0', ordinary=(faithfulness(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0])), 3.0))
    check_rules(faithfulness, torch.tensor([1.0, 2.0]), torch.tensor([4.0, 5.0]), gradients=None)
