from otter.test_files import test_case

OK_FORMAT = False

name = "q5_7"
points = 3.5

@test_case(points=1, hidden=False,
    success_message="Every named head is patched at every named position, and nothing else.")
def test_patch(patch_heads):
    """Every named head is patched at every named position, and nothing else."""
    import torch
    from helpers.checks import check
    receiver = torch.arange(1.0, 9.0).reshape(1, 4, 2, 1).repeat(2, 1, 1, 1)
    receiver[1] += 8
    donor = -10 * receiver
    before = (receiver.clone(), donor.clone())
    got = patch_heads(receiver, donor, [1], [0, 2])
    assert torch.equal(receiver, before[0]) and torch.equal(donor, before[1]), 'patch_heads: your function changed an argument in place; work on a copy (`clone`).'

    def tensor(*numbers):
        values = torch.tensor(numbers, dtype=torch.float32).reshape(2, 4, 2, 1)
        return torch.where(values < 0, 10 * values, values)
    check(got, tensor(1, -2, 3, 4, 5, -6, 7, 8, 9, -10, 11, 12, 13, -14, 15, 16), {'nothing was patched': before[0], 'receiver and donor are exchanged': tensor(-1, 2, -3, -4, -5, 6, -7, -8, -9, 10, -11, -12, -13, 14, -15, -16), 'this is the donor as it is': before[1], '`positions` has no effect: only the named positions are patched': tensor(1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16), '`heads` has no effect: only the named heads are patched': tensor(-1, -2, 3, 4, -5, -6, 7, 8, -9, -10, 11, 12, -13, -14, 15, 16), 'the other head was patched: heads count from 0 (or is the choice of heads the wrong way round?)': tensor(-1, 2, 3, 4, -5, 6, 7, 8, -9, 10, 11, 12, -13, 14, 15, 16), 'the named heads, or the named positions, are kept and the others patched: is a mask the wrong way round?': lambda got: bool(torch.equal(torch.where(got < 0, -got / 10, got), before[0]) and (got[:, [0, 2], 1] > 0).all() and (got < 0).any()), 'only the first of the named positions is patched': tensor(1, -2, 3, 4, 5, 6, 7, 8, 9, -10, 11, 12, 13, 14, 15, 16), 'only the last of the named positions is patched': tensor(1, 2, 3, 4, 5, -6, 7, 8, 9, 10, 11, 12, 13, -14, 15, 16), 'only the first prompt is patched': tensor(1, -2, 3, 4, 5, -6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), 'the named heads are filled with 0; they are to hold what the donor holds': tensor(1, 0, 3, 4, 5, 0, 7, 8, 9, 0, 11, 12, 13, 0, 15, 16), "the donor is added; it is to take the receiver's place": tensor(1, -1.8, 3, 4, 5, -5.4, 7, 8, 9, -9, 11, 12, 13, -12.6, 15, 16), "every prompt got the first prompt's donor": tensor(1, -2, 3, 4, 5, -6, 7, 8, 9, -2, 11, 12, 13, -6, 15, 16)}, name='patch_heads, one head at two positions')
    check(patch_heads(receiver, donor, [1]), tensor(1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16), {'without `positions` the heads are patched at all positions; here nothing was': before[0], 'without `positions` the heads are patched at all positions, not at the last one alone': tensor(1, 2, 3, 4, 5, 6, 7, -8, 9, 10, 11, 12, 13, 14, 15, -16)}, name='patch_heads without positions')

@test_case(points=0.5, hidden=False,
    success_message="Two heads at two positions make four places, and an empty list names nothing.")
def test_patch_places(patch_heads):
    """Two heads at two positions make four places, and an empty list names nothing."""
    import torch
    from helpers.checks import check, trying
    receiver = torch.arange(1.0, 9.0).reshape(1, 2, 2, 2)
    with trying('patch_heads: two heads and one position are one place each; heads and positions need not be equally many'):
        got = patch_heads(receiver, -receiver, [0, 1], [1])
    check(got, torch.tensor([1.0, 2, 3, 4, -5, -6, -7, -8]).reshape(1, 2, 2, 2), {'heads and positions are exchanged: the axes are [B, T, H, D]': torch.tensor([1.0, 2, -3, -4, 5, 6, -7, -8]).reshape(1, 2, 2, 2)}, name='patch_heads, two heads at one position')
    check(patch_heads(receiver, -receiver, [0, 1], [0, 1]), -receiver, {'heads and positions are paired off; every named head is patched at every named position': torch.tensor([-1.0, -2, 3, 4, 5, 6, -7, -8]).reshape(1, 2, 2, 2)}, name='patch_heads, two heads at two positions', ordinary=(patch_heads(receiver, -receiver, [0], [1])[0, 1, 0], [-5.0, -6.0]))
    check(patch_heads(receiver, -receiver, [1], []), receiver, {'an empty list names no position; only None means all': torch.tensor([1.0, 2, -3, -4, 5, 6, -7, -8]).reshape(1, 2, 2, 2)}, name='patch_heads with no position')
    check(patch_heads(receiver, -receiver, [], [0]), receiver, {'an empty list names no head': torch.tensor([-1.0, -2, -3, -4, 5, 6, 7, 8]).reshape(1, 2, 2, 2)}, name='patch_heads with no head')

@test_case(points=0, hidden=False,
    success_message="The result is a copy, gradients reach both runs, and arguments and dtypes are kept.")
def test_patch_rules(patch_heads):
    """The result is a copy, gradients reach both runs, and arguments and dtypes are kept."""
    import torch
    from helpers.checks import check, check_rules
    receiver = torch.arange(1.0, 9.0).reshape(1, 2, 2, 2)
    got = patch_heads(receiver, -receiver, [0], [1])
    check(got[0, 1, 0], torch.tensor([-5.0, -6.0]), name='patch_heads, one head at one position')
    assert patch_heads(receiver, -receiver, [], []).data_ptr() != receiver.data_ptr(), 'patch_heads: return a copy also when there is nothing to patch (`clone`).'
    check_rules(patch_heads, receiver, -receiver, [0], [1], gradients=(0, 1))
