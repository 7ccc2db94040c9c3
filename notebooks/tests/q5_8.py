from otter.test_files import test_case

OK_FORMAT = False

name = "q5_8"
points = 4

@test_case(points=1, hidden=False,
    success_message="The effect is right, below 0 and above 1 as well, and nothing to restore raises a ValueError.")
def test_small_example(patching_effect):
    """The effect is right, below 0 and above 1 as well, and nothing to restore raises a ValueError."""
    import torch
    from helpers.checks import check, is_float, must_raise
    clean, corrupted, patched = (torch.tensor([4.0, 6.0]), torch.tensor([-1.0, -2.0]), torch.tensor([2.0, -1.0]))
    got = patching_effect(clean, corrupted, patched)
    check(got, 0.3076923, {'this is the share still missing: 0 is to be the corrupted run and 1 the clean one (are the two exchanged?).': 0.6923077, 'this is mean patched / mean clean: the corrupted run is not subtracted.': 0.1, 'the corrupted run is not subtracted above the line.': 0.0769231, 'the corrupted run is not subtracted below the line.': 0.4, 'the corrupted mean is added below the line where it is to be subtracted.': 0.5714286, 'the share was taken prompt by prompt and then averaged; take the means first.': 0.3625, 'the fraction stands upside down.': 3.25, 'the sign is reversed.': -0.3076923, 'this is the number of logits restored, not the share: divide by the way from corrupted to clean.': 2.0, 'one number is asked for, the effect on the means; this is one for each prompt.': torch.tensor([0.6, 0.125]), 'the share is asked for, not per cent.': 30.76923, 'the medians are compared; take the means.': 0.1666667}, name='patching_effect', rtol=0.001)
    assert is_float(got), f'patching_effect: the number is right, but it is a {type(got).__name__}; return a Python float (`.item()`).'
    check(patching_effect(clean, corrupted, torch.tensor([6.0, 8.0])), 1.3076923, {'a patch may restore more than everything: do not cut the effect off at 1.': 1.0}, name='patching_effect', rtol=0.001)
    check(patching_effect(clean, corrupted, torch.tensor([-3.0, -4.0])), -0.3076923, {'a patch may make things worse: do not cut the effect off at 0.': 0.0, 'the effect has a sign: no absolute value.': 0.3076923}, name='patching_effect', rtol=0.001)
    with must_raise(ValueError, 'patching_effect: clean and corrupted with the same mean'):
        patching_effect(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]), torch.tensor([2.0, 2.5]))

@test_case(points=0, hidden=False,
    success_message="A small distance from corrupted to clean is divided by as it is, and the arguments stay as they are.")
def test_small_distance(patching_effect):
    """A small distance from corrupted to clean is divided by as it is, and the arguments stay as they are."""
    import torch
    from helpers.checks import check, check_rules, trying
    check(patching_effect(torch.tensor([1.0625]), torch.tensor([1.0]), torch.tensor([1.03125])), 0.5, {'the distance from corrupted to clean is small, not zero: divide by it as it is.': lambda got: bool(abs(got) < 0.49)}, name='patching_effect of a small distance', ordinary=(patching_effect(*torch.tensor([[4.0], [2.0], [3.0]])), 0.5))
    with trying('patching_effect: means that differ by little are not equal'):
        tiny = patching_effect(*torch.tensor([[2e-10], [1e-10], [1.5e-10]]))
    check(tiny, 0.5, name='patching_effect of a tiny distance', rtol=0.001)
    check_rules(patching_effect, torch.tensor([4.0]), torch.tensor([-1.0]), torch.tensor([2.0]), gradients=None)
