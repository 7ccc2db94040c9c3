from otter.test_files import test_case

OK_FORMAT = False

name = "q3_5"
points = 1

@test_case(points=0.5, hidden=False,
    success_message="The bound is right for 1, 2 and 8 completions.")
def test_best_of_kl(best_of_n_kl):
    """The bound is right for 1, 2 and 8 completions."""
    from helpers.checks import check, is_float
    check(best_of_n_kl(8), 1.204442, {'the second term is missing: (n − 1)/n': 2.079442, 'the logarithm is to the base 2; nats need the natural one': 2.125, 'the logarithm is to the base 10; nats need the natural one': 0.02809, '1/n is subtracted; it is (n − 1)/n': 1.954442, 'the second term is added; subtract it': 2.954442, 'n − 1 is not divided by n': -4.920558, 'the second term is upside down: (n − 1)/n': 0.936584, 'the sign is turned round: a KL is not negative': -1.204442}, name='best_of_n_kl(8)', rtol=1e-05)
    check((best_of_n_kl(1), best_of_n_kl(2)), (0.0, 0.193147), name='best_of_n_kl of 1 and of 2', rtol=1e-05, atol=1e-06)
    got = best_of_n_kl(4)
    assert is_float(got), f'best_of_n_kl: a Python float is asked for, got a {type(got).__name__}'
