from otter.test_files import test_case

OK_FORMAT = False

name = "q4_1"
points = 3

@test_case(points=1, hidden=False,
    success_message="Best and worst completion of each prompt: right.")
def test_best_and_worst(make_preference_pairs):
    import torch
    from helpers.checks import check
    rewards = torch.tensor([[0.2, 0.9, 0.5], [0.4, 0.4, 0.4], [0.5, 0.3, 0.3], [0.1, 0.7, 0.7]])
    got = make_preference_pairs(rewards)
    if isinstance(got, torch.Tensor) and got.dim() == 2 and (len(got) > len(rewards)):
        raise AssertionError('make_preference_pairs: more than one pair for a prompt; take only its best and its worst completion')
    check(got, torch.tensor([[0, 1, 0], [2, 0, 1], [3, 1, 0]]), {'a prompt whose completions all score the same makes no pair: the gap must be larger than min_gap': [[0, 1, 0], [1, 0, 0], [2, 0, 1], [3, 1, 0]], 'chosen and rejected are swapped: the chosen completion is the one with the higher reward': [[0, 0, 1], [2, 1, 0], [3, 0, 1]], 'of equal completions the first must be taken, not the last': [[0, 1, 0], [2, 0, 2], [3, 2, 0]], 'the pairs must be in the order of the prompts, not sorted by gap': [[0, 1, 0], [3, 1, 0], [2, 0, 1]], "the first column is the prompt's index in `rewards`, not the pair's number": [[0, 1, 0], [1, 0, 1], [2, 1, 0]], 'the columns must be (prompt, chosen, rejected), in this order': [[1, 0, 0], [0, 1, 2], [1, 0, 3]], "the prompt's index is missing; each row has three numbers": [[1, 0], [0, 1], [1, 0]], 'the rejected completion must be the worst one, not the second best': [[0, 1, 2], [2, 0, 1], [3, 1, 2]], 'the result is transposed: one pair a row, shape [M, 3]': [[0, 2, 3], [1, 0, 1], [0, 1, 0]]}, name='make_preference_pairs', dtype=torch.int64)

@test_case(points=0.5, hidden=False,
    success_message="The gap and the empty result: right.")
def test_gap(make_preference_pairs):
    import torch
    from helpers.checks import check
    rewards = torch.tensor([[0.0, 0.5], [0.0, 0.75], [1.0, 0.5], [0.25, 0.125]])
    check(make_preference_pairs(rewards, 0.5), torch.tensor([[1, 1, 0]]), {'a gap equal to min_gap is not larger than min_gap': [[0, 1, 0], [1, 1, 0], [2, 0, 1]], 'min_gap is ignored': [[0, 1, 0], [1, 1, 0], [2, 0, 1], [3, 0, 1]]}, name='make_preference_pairs with min_gap=0.5', dtype=torch.int64)
    none = make_preference_pairs(rewards, 2.0)
    assert isinstance(none, torch.Tensor) and tuple(none.shape) == (0, 3), 'make_preference_pairs: if no prompt makes a pair, the result must be a tensor of shape [0, 3]'
    assert none.dtype == torch.int64, 'make_preference_pairs: the result must be int64, also when there is no pair'
