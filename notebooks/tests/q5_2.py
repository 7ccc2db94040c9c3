from otter.test_files import test_case

OK_FORMAT = False

name = "q5_2"
points = 3.5

@test_case(points=1, hidden=False,
    success_message="The means and standard errors of four orders are right.")
def test_four_orders(sampled_shapley_values):
    """The means and standard errors of four orders are right."""
    import torch
    from helpers.checks import check
    worth = [2.0, 5.0, 3.0, 11.0, 2.0, 8.0, 1.0, 17.0]

    def value(coalition):
        assert isinstance(coalition, frozenset), f'sampled_shapley_values: `value` takes a frozenset; it was called with a {type(coalition).__name__}.'
        assert coalition <= frozenset(range(3)), 'sampled_shapley_values: `value` takes players from 0 to n - 1, as ints (`tolist()` makes them of a tensor).'
        return worth[sum((2 ** player for player in coalition))]

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float64)
    result = sampled_shapley_values(value, 3, torch.tensor([[0, 1, 2], [1, 2, 0], [2, 1, 0], [1, 2, 0]]))
    assert result is not None and result is not ..., f'sampled_shapley_values returned {result!r}: it is not written yet, or a `return` is missing.'
    assert isinstance(result, (tuple, list)) and len(result) == 2, 'sampled_shapley_values: return two tensors: the means and their standard errors.'
    check(result[0], tensor(12.75, 1.75, 0.5), {'the orders are read from the end: the first player to arrive stands in column 0.': tensor(6.25, 5.75, 3.0), 'gains go to the place in the order; they belong to the player who stands there.': tensor(1.25, 0.25, 13.5), 'the rows are read as places: `permutations[m, k]` is the player who arrives as number k.': tensor(7.75, 5.75, 1.5), 'the empty coalition was taken to be worth 0; ask `value` for it as well.': tensor(13.25, 2.75, 1.0), 'v(S) is not subtracted: a player adds the change, not the value reached.': tensor(14.0, 4.5, 5.25), 'the sign is reversed: v(S with i) minus v(S without i).': tensor(-12.75, -1.75, -0.5), 'this is the sum over the orders; take the mean.': tensor(51.0, 7.0, 2.0), 'only the first order is used.': tensor(3.0, 6.0, 6.0), 'only the last order is used.': tensor(16.0, 1.0, -2.0), 'these are the exact values, over all orders; use the orders that are given.': tensor(8.6666667, 4.1666667, 2.1666667), 'each player is compared with the empty coalition; compare with those who are there before it.': lambda got: bool((got - tensor(3.0, 1.0, 0.0)).abs().max() < 1e-06)}, name='the means of sampled_shapley_values', dtype=torch.float64)
    check(result[1], tensor(3.25, 1.4930394, 1.8929694), {"this is the standard deviation of one order's gain; divide by √M for that of the mean.": tensor(6.5, 2.9860788, 3.7859389), 'the standard deviation has M in the denominator; the definition has M - 1.': tensor(2.8145826, 1.2930101, 1.6393597), 'the standard deviation is divided by M; divide by √M.': tensor(1.625, 0.7465197, 0.9464847), 'this is the squared standard error; take the root.': tensor(10.5625, 2.2291667, 3.5833333), "this is the variance of one order's gain; the standard error is its root over √M.": tensor(42.25, 8.9166667, 14.3333333), 'this is the half width of a 95 % interval; the standard error itself is asked for.': tensor(6.37, 2.9263572, 3.7102201), 'the standard deviation is divided by the root of the number of players; divide by that of the number of orders.': tensor(3.7527768, 1.7240134, 2.1858128)}, name='the standard errors of sampled_shapley_values', dtype=torch.float64)

@test_case(points=0.5, hidden=False,
    success_message="The game is asked no more often than needed, and one order has no standard error.")
def test_questions(sampled_shapley_values):
    """The game is asked no more often than needed, and one order has no standard error."""
    import torch
    from helpers.checks import check
    import warnings
    asked = []

    def value(coalition):
        asked.append(frozenset(coalition))
        return float(len(coalition) ** 2)
    orders = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])
    means, _ = sampled_shapley_values(value, 4, orders)
    check(means, [11 / 3, 3.0, 5.0, 13 / 3], name='the means of sampled_shapley_values')
    assert asked.count(frozenset()) <= 1, f'sampled_shapley_values: the means are right, but the empty coalition was evaluated {asked.count(frozenset())} times; ask for it once, before the loop.'
    assert len(asked) <= 13, f'sampled_shapley_values: the means are right, but three orders of four players took {len(asked)} evaluations; 3 · 4 + 1 are enough, as the worth reached by one player is where the next one starts.'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        one_order = sampled_shapley_values(value, 4, orders[:1])
    check(one_order, ([1.0, 3.0, 5.0, 7.0], [float('nan')] * 4), {'one order says nothing about the error: the standard error is nan, not 0.': ([1.0, 3.0, 5.0, 7.0], [0.0] * 4)}, name='sampled_shapley_values with one order')
