from otter.test_files import test_case

OK_FORMAT = False

name = "q3_10"
points = 1

@test_case(points=0.25, hidden=False,
    success_message="A small error is corrected in proportion.")
def test_adapt_small_error(adapt_alpha):
    """A small error is corrected in proportion."""
    from helpers.checks import check, is_float
    got = adapt_alpha(0.1, 2.1, 2.0, 100, 40)
    check(got, 0.102, {'the wrong direction: a KL above the target must raise alpha': 0.098, 'the quotient is upside down: it is observed over target': 0.0980952, 'steps and horizon are not used: the error is multiplied by steps / horizon': 0.105, 'the error is a ratio minus 1, not a difference of the two KLs': 0.104, 'the minus 1 is missing: the error is observed / target - 1': 0.108, 'this is only the factor; multiply it by alpha': 1.02, 'the correction is added; it multiplies alpha': 0.12, 'this is only the change; alpha itself is missing': 0.002, 'steps and horizon are the wrong way round: it is steps / horizon': 0.1125, 'a KL above the target changes nothing': 0.1}, name='adapt_alpha(0.1, 2.1, 2.0, 100, 40)', atol=1e-06)
    assert is_float(got), f'adapt_alpha must return a Python float, not a {type(got).__name__}'

@test_case(points=0.25, hidden=False,
    success_message="Large errors are clipped, above and below.")
def test_adapt_clip(adapt_alpha):
    """Large errors are clipped, above and below."""
    from helpers.checks import check
    check(adapt_alpha(0.1, 8.0, 2.0, 100, 50), 0.11, {'a large error is not clipped from above': 0.25, 'clip the error before it is multiplied by steps / horizon': 0.12, 'the error is clipped at the wrong border: it is 0.2': 0.125}, name='adapt_alpha(0.1, 8.0, 2.0, 100, 50)', atol=1e-06)
    check(adapt_alpha(0.1, 0.5, 2.0, 100, 50), 0.09, {'an error far below 0 is not clipped from below': 0.0625, 'alpha must fall when the KL is below the target': 0.1}, name='adapt_alpha(0.1, 0.5, 2.0, 100, 50)', atol=1e-06)

@test_case(points=0, hidden=False,
    success_message="A negative estimate of the KL is an error far below 0.")
def test_adapt_negative(adapt_alpha):
    """A negative estimate of the KL is an error far below 0."""
    from helpers.checks import check, trying
    with trying('adapt_alpha: an estimate of the KL may be negative'):
        got = adapt_alpha(0.1, -0.5, 2.0, 100, 50)
    check(got, 0.09, {'a negative estimate is taken for a positive one': 0.1, 'a negative estimate raises alpha': 0.11}, name='adapt_alpha of a negative estimate', ordinary=(adapt_alpha(0.1, 0.5, 2.0, 100, 50), 0.09))
