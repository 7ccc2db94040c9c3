from otter.test_files import test_case

OK_FORMAT = False

name = "q4_1"
points = 3

@test_case(points=1, hidden=False,
    success_message="Each prompt gives its best and its worst completion, in the order of the prompts.")
def test_best_and_worst(make_preference_pairs):
    """Each prompt gives its best and its worst completion, in the order of the prompts."""
    import torch
    from helpers.checks import check
    rewards = torch.tensor([[0.2, 0.9, 0.5], [0.4, 0.4, 0.4], [0.5, 0.3, 0.3], [0.1, 0.7, 0.7]])
    got = make_preference_pairs(rewards)
    if isinstance(got, torch.Tensor) and got.dim() == 2 and (len(got) > len(rewards)):
        raise AssertionError('make_preference_pairs: more than one pair for a prompt; take only its best and its worst completion')
    check(got, torch.tensor([[0, 1, 0], [2, 0, 1], [3, 1, 0]]), {'a prompt whose completions all score the same makes no pair: the gap must be larger than min_gap': [[0, 1, 0], [1, 0, 0], [2, 0, 1], [3, 1, 0]], 'chosen and rejected are swapped: the chosen completion is the one with the higher reward': [[0, 0, 1], [2, 1, 0], [3, 0, 1]], 'of equal completions the first must be taken, not the last': [[0, 1, 0], [2, 0, 2], [3, 2, 0]], 'of equally good completions the first is the chosen one, not the last': [[0, 1, 0], [2, 0, 1], [3, 2, 0]], 'of equally bad completions the first is the rejected one, not the last': [[0, 1, 0], [2, 0, 2], [3, 1, 0]], 'the pairs must be in the order of the prompts, not sorted by gap': [[0, 1, 0], [3, 1, 0], [2, 0, 1]], "the first column is the prompt's index in `rewards`, not the pair's number": [[0, 1, 0], [1, 0, 1], [2, 1, 0]], 'the columns must be (prompt, chosen, rejected), in this order': [[1, 0, 0], [0, 1, 2], [1, 0, 3]], "the prompt's index is missing; each row has three numbers": [[1, 0], [0, 1], [1, 0]], 'the rejected completion must be the worst one, not the second best': [[0, 1, 2], [2, 0, 1], [3, 1, 2]], 'the result is transposed: one pair a row, shape [M, 3]': [[0, 2, 3], [1, 0, 1], [0, 1, 0]], 'only the first and the last completion of a prompt are compared': [[0, 2, 0], [2, 0, 2], [3, 2, 0]]}, name='make_preference_pairs', dtype=torch.int64)

@test_case(points=0.5, hidden=False,
    success_message="Only a gap above min_gap makes a pair, and no pair gives a tensor of shape [0, 3].")
def test_gap(make_preference_pairs):
    """Only a gap above min_gap makes a pair, and no pair gives a tensor of shape [0, 3]."""
    import torch
    from helpers.checks import check
    rewards = torch.tensor([[0.0, 0.5], [0.0, 0.75], [1.0, 0.5], [0.25, 0.125]])
    check(make_preference_pairs(rewards, 0.5), torch.tensor([[1, 1, 0]]), {'a gap equal to min_gap is not larger than min_gap': [[0, 1, 0], [1, 1, 0], [2, 0, 1]], 'min_gap is ignored': [[0, 1, 0], [1, 1, 0], [2, 0, 1], [3, 0, 1]]}, name='make_preference_pairs with min_gap=0.5', dtype=torch.int64)
    none = make_preference_pairs(rewards, 2.0)
    assert isinstance(none, torch.Tensor) and tuple(none.shape) == (0, 3), 'make_preference_pairs: if no prompt makes a pair, the result must be a tensor of shape [0, 3]'
    assert none.dtype == torch.int64, 'make_preference_pairs: the result must be int64, also when there is no pair'

@test_case(points=0, hidden=False,
    success_message="Rewards below 0 are compared as they are, and the rewards are not changed.")
def test_pairs_below_zero(make_preference_pairs):
    """Rewards below 0 are compared as they are, and the rewards are not changed."""
    import torch
    from helpers.checks import check, check_rules
    check(make_preference_pairs(torch.tensor([[-3.0, -1.0, -4.0, -2.0]])), torch.tensor([[0, 1, 2]]), {'rewards below 0 count as they are, not as 0': torch.empty(0, 3), 'rewards below 0 keep their sign': [[0, 2, 1]]}, name='make_preference_pairs of rewards below 0', ordinary=(make_preference_pairs(torch.tensor([[2.0, 4.0, 1.0, 3.0]])), [[0, 1, 2]]))
    check_rules(make_preference_pairs, torch.tensor([[0.5, 1.0], [2.0, 0.0]]), gradients=None)
