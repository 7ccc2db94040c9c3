from otter.test_files import test_case

OK_FORMAT = False

name = "q1_6"
points = 4

@test_case(points=1.5, hidden=False,
    success_message="Mean and half width of five values are right.")
def test_mean_values(mean_with_confidence):
    """Mean and half width of five values are right."""
    import torch
    from helpers.checks import check, is_float
    values = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    got = mean_with_confidence(values)
    check(got, (0.5, 0.277186), {'this is the biased standard deviation (divided by N); the definition divides by N - 1.': (0.5, 0.247923), 'you forgot to divide by √N: this is the spread of single values, not of their mean.': (0.5, 0.619806), 'the standard deviation is divided by N; the definition divides by √N.': (0.5, 0.123961), 'the standard deviation is divided by √(N - 1); the definition divides by √N.': (0.5, 0.309903), 'this is the variance where the standard deviation belongs: take its square root.': (0.5, 0.087654), 'this is 1.96·s²/N; the definition is 1.96·√(s²/N), which is 1.96·s/√N.': (0.5, 0.0392), 'this is the standard error; multiply it by 1.96.': (0.5, 0.141421), 'this is the full width of the interval; the half width is half of it.': (0.5, 0.554372), 'this is the factor of a t-distribution; the definition takes the normal one, 1.96.': (0.5, 0.392649), 'the factor is 1.645 (a 90 % interval); a 95 % interval has 1.96.': (0.5, 0.232638), 'the factor is 2; the definition says 1.96.': (0.5, 0.282843), 'the factor is 2.576 (a 99 % interval); a 95 % interval has 1.96.': (0.5, 0.364302), 'these are the two ends of the interval; return the mean and the half width.': (0.222814, 0.777186), 'this is the standard deviation itself; the half width is 1.96·s/√N.': (0.5, 0.316228), 'mean and half width are swapped.': (0.277186, 0.5), 'only the mean came back; return two numbers.': 0.5, 'this is the range of the middle 95 % of the values; the definition takes 1.96·s/√N.': (0.5, 0.38)}, name='mean_with_confidence')
    assert all((is_float(x) for x in got)), f'mean_with_confidence: return two plain Python floats, not {[type(x).__name__ for x in got]} (tensor.item() makes a float).'

@test_case(points=0.5, hidden=False,
    success_message="One value gives a half width of nan, and no value raises a ValueError.")
def test_mean_few_values(mean_with_confidence):
    """One value gives a half width of nan, and no value raises a ValueError."""
    import torch
    from helpers.checks import check, is_float, must_raise, trying
    with trying('mean_with_confidence: for one value the half width is nan'):
        got = mean_with_confidence(torch.tensor([0.25]))
    check(got, (0.25, float('nan')), {'the half width of one value is nan, not 0: nothing is known about the spread.': (0.25, 0.0), 'the half width of one value is nan, not infinite.': (0.25, float('inf')), 'for one value only the half width is nan, not the mean.': (float('nan'), float('nan'))}, name='mean_with_confidence (one value)')
    assert is_float(got[1]), f'mean_with_confidence: nan must be a Python float too, not a {type(got[1]).__name__}.'
    with must_raise(ValueError, 'mean_with_confidence: no values'):
        mean_with_confidence(torch.empty(0))

@test_case(points=0, hidden=False,
    success_message="Values below 0 keep their sign, and the values stay as they are.")
def test_mean_below_zero(mean_with_confidence):
    """Values below 0 keep their sign, and the values stay as they are."""
    import torch
    from helpers.checks import check, check_rules
    check(mean_with_confidence(torch.tensor([-1.0, -2.0, -6.0])), (-3.0, 2.994058), {'values below 0 keep their sign: the mean is below 0 as well.': (3.0, 2.994058)}, name='mean_with_confidence (values below 0)')
    check_rules(mean_with_confidence, torch.tensor([0.25, 0.5, 1.0]), gradients=None)
