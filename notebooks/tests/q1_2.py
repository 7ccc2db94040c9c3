from otter.test_files import test_case

OK_FORMAT = False

name = "q1_2"
points = 5

@test_case(points=1.5, hidden=False,
    success_message="The two largest logits of each row stay, and the others become -inf.")
def test_top_k_values(top_k_filter):
    """The two largest logits of each row stay, and the others become -inf."""
    import torch
    from helpers.checks import check
    n = float('-inf')
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0], [0.0, -1.0, 5.0, 4.0]])
    right = torch.tensor([[n, 3.0, 2.0, n], [n, n, 5.0, 4.0]])
    check(top_k_filter(logits.clone(), 2), right, {'nothing was removed. Compare each logit with the k-th largest of its own row (dim=-1).': logits, 'you kept the smallest logits and removed the largest.': [[1.0, n, n, 0.0], [0.0, -1.0, n, n]], 'one logit too few stays: the k-th largest itself belongs to the kept ones.': [[n, 3.0, n, n], [n, n, 5.0, n]], 'one logit too many stays: the border is the k-th largest, not the one after it.': [[1.0, 3.0, 2.0, n], [0.0, n, 5.0, 4.0]], 'the others are 0; a logit of 0 still has a probability. Set them to -inf.': [[0.0, 3.0, 2.0, 0.0], [0.0, 0.0, 5.0, 4.0]], 'the largest logits of the whole batch were kept; each row has its own k largest.': [[n, n, n, n], [n, n, 5.0, 4.0]], 'only the k largest numbers came back. The result has shape [B, V], each logit in its old place.': [[3.0, 2.0], [5.0, 4.0]], 'the logits were sorted. Each must stay in its old place.': [[3.0, 2.0, n, n], [5.0, 4.0, n, n]], 'these are token numbers, not logits (torch.topk gives values and indices).': [[1, 2], [2, 3]], 'this is a mask. The result holds the kept logits themselves.': [[0, 1, 1, 0], [0, 0, 1, 1]], 'these are probabilities; the filter returns logits.': [[0.0, 0.7310586, 0.2689414, 0.0], [0.0, 0.0, 0.7310586, 0.2689414]], 'every logit is gone.': [[n, n, n, n], [n, n, n, n]]}, name='top_k_filter', dtype=torch.float32)

@test_case(points=0.5, hidden=False,
    success_message="All logits stay for k = 0 and for k of at least V, and all ties at the border stay.")
def test_top_k_borders(top_k_filter):
    """All logits stay for k = 0 and for k of at least V, and all ties at the border stay."""
    import torch
    from helpers.checks import check, trying
    n = float('-inf')
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    for k, what in [(0, 'k = 0'), (-1, 'a negative k'), (3, 'k = V'), (5, 'k larger than V')]:
        with trying(f'top_k_filter: {what} keeps all logits'):
            got = top_k_filter(logits.clone(), k)
        check(got, logits, {f'{what} keeps all logits; yours removed every one.': [[n, n, n]], f'{what} keeps all logits; yours removed some.': [[n, 3.0, 2.0]], f'{what} keeps all logits; yours kept only the largest.': [[n, 3.0, n]]}, name=f'top_k_filter ({what})')
    check(top_k_filter(torch.tensor([[2.0, 2.0, 1.0], [0.0, 4.0, 4.0]]), 1), torch.tensor([[2.0, 2.0, n], [n, 4.0, 4.0]]), {'of two equal logits at the border only one was kept; all ties stay.': [[2.0, n, n], [n, 4.0, n]], 'of two equal logits at the border only the second was kept; all ties stay.': [[n, 2.0, n], [n, n, 4.0]], 'both logits at the border were removed; all ties stay.': [[n, n, n], [n, n, n]]}, name='top_k_filter (ties)')
    before = logits.clone()
    top_k_filter(logits, 1)
    assert torch.equal(logits, before), 'top_k_filter changed its argument in place; work on a copy (clone, masked_fill, torch.where).'
    got = top_k_filter(torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.bfloat16), 2)
    check(got, torch.tensor([[n, 3.0, 2.0]]), name='top_k_filter (bfloat16)', dtype=torch.bfloat16)

@test_case(points=0, hidden=False,
    success_message="Gradients pass through the filter, and every dtype stays as it is, with and without a limit.")
def test_top_k_rules(top_k_filter):
    """Gradients pass through the filter, and every dtype stays as it is, with and without a limit."""
    import torch
    from helpers.checks import check, check_rules
    check(top_k_filter(torch.tensor([[1.0, 3.0]]), 1), torch.tensor([[float('-inf'), 3.0]]), name='top_k_filter')
    for k in (2, 0):
        check_rules(top_k_filter, torch.tensor([[1.0, 3.0, 2.0]]), k)
