from otter.test_files import test_case

OK_FORMAT = False

name = "q5_1"
points = 6

@test_case(points=1.5, hidden=False,
    success_message="The values of a game of three players are right.")
def test_three_players(exact_shapley_values):
    """The values of a game of three players are right."""
    import torch
    from helpers.checks import check
    worth = [2.0, 5.0, 3.0, 11.0, 2.0, 8.0, 1.0, 17.0]

    def value(coalition):
        assert isinstance(coalition, frozenset), f'exact_shapley_values: `value` takes a frozenset; it was called with a {type(coalition).__name__}.'
        assert coalition <= frozenset(range(3)), 'exact_shapley_values: `value` takes players from 0 to n - 1, as ints.'
        return worth[sum((2 ** player for player in coalition))]

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float64)
    got = exact_shapley_values(value, 3)
    check(got, tensor(8.6666667, 4.1666667, 2.1666667), {"every coalition got the same weight 1/2^(n-1) (these are Banzhaf's values); the weight depends on the size of S.": tensor(8.25, 3.75, 1.75), 'the gains are added up without weights.': tensor(33, 15, 7), 'the weight has (n-s)! where the definition has (n-s-1)!: player i is not among those who come later.': tensor(13, 5.6666667, 2.3333333), 'the weights are not divided by n!.': tensor(52, 25, 13), 'the weight has (s+1)!: s is the size of S without player i.': tensor(21.6666667, 11, 6.3333333), 'this is only what each player adds to all the others (the last arrival); the other coalitions are missing.': tensor(16, 9, 6), 'this is only what each player earns alone (the first arrival); the other coalitions are missing.': tensor(3, 1, 0), 'this is the value of each player alone.': tensor(5, 3, 2), 'this is the gain along one order of arrival only.': tensor(3, 6, 6), 'the empty coalition is missing from the sum.': tensor(7.6666667, 3.8333333, 2.1666667), 'the empty coalition was taken to be worth 0; ask `value` for it as well.': tensor(9.3333333, 4.8333333, 2.8333333), 'the coalition of all others is missing from the sum: sizes run from 0 to n-1.': tensor(3.3333333, 1.1666667, 0.1666667), 'v(S) is not subtracted: a player gets the change, not the value reached.': tensor(10.5, 8.6666667, 7.8333333), 'the sign is reversed: v(S with i) minus v(S without i).': tensor(-8.6666667, -4.1666667, -2.1666667), 'the weight has one n too many: this divides the mean over sizes by n once more, or counts coalitions of n instead of n-1 players.': tensor(4.3333333, 1.8888889, 0.7777778), 'the mean over the coalitions of each size is right, but then the mean over the n sizes is to be taken, not the sum.': tensor(26, 12.5, 6.5), 'the result was scaled to add up to 1; the values add up to v(N) - v(empty set).': tensor(0.5777778, 0.2777778, 0.1444444), 'the result was scaled to add up to v(N); the values add up to v(N) - v(empty set).': tensor(9.8222222, 4.7222222, 2.4555556), 'the sum is right, but it is shared wrongly: are all coalitions (or all orders) counted, each with its weight?': lambda got: bool(abs(got.sum() - 15) < 1e-06)}, name='exact_shapley_values', dtype=torch.float64)

@test_case(points=0.5, hidden=False,
    success_message="Each coalition is evaluated once.")
def test_evaluations(exact_shapley_values):
    """Each coalition is evaluated once."""
    from helpers.checks import check
    from collections import Counter
    asked = Counter()

    def value(coalition):
        assert frozenset(coalition) <= frozenset(range(4)), 'exact_shapley_values: `value` takes players from 0 to n - 1, as ints.'
        asked[frozenset(coalition)] += 1
        return float(len(coalition) ** 2)
    got = exact_shapley_values(value, 4)
    check(got, [4.0, 4.0, 4.0, 4.0], name='exact_shapley_values')
    most = max(asked.values(), default=0)
    assert most <= 1, f'exact_shapley_values: the values are right, but a coalition was evaluated {most} times. Each call of `value` will run a model: call it once for each coalition and keep the result.'
