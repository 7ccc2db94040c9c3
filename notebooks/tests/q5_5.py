from otter.test_files import test_case

OK_FORMAT = False

name = "q5_5"
points = 5

@test_case(points=1, hidden=False,
    success_message="The named heads are replaced by 0, and the others stay.")
def test_zero(ablate_heads):
    """The named heads are replaced by 0, and the others stay."""
    import torch
    from helpers.checks import check
    square = torch.arange(1.0, 17.0).reshape(2, 2, 2, 2)
    got = ablate_heads(square.clone(), [1])
    check(got, torch.tensor([1.0, 2, 0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14, 0, 0]).reshape(2, 2, 2, 2), {'`heads` was used on the position axis; the heads are the third axis of [B, T, H, D].': torch.tensor([1.0, 2, 3, 4, 0, 0, 0, 0, 9, 10, 11, 12, 0, 0, 0, 0]).reshape(2, 2, 2, 2), '`heads` was used on the batch axis; the heads are the third axis of [B, T, H, D].': torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]).reshape(2, 2, 2, 2), '`heads` was used on the last axis, the head width; the heads are the third axis of [B, T, H, D].': torch.tensor([1.0, 0, 3, 0, 5, 0, 7, 0, 9, 0, 11, 0, 13, 0, 15, 0]).reshape(2, 2, 2, 2), 'the named heads were kept and the others knocked out; it is the other way round (or are heads counted from 1? They count from 0).': torch.tensor([0.0, 0, 3, 4, 0, 0, 7, 8, 0, 0, 11, 12, 0, 0, 15, 16]).reshape(2, 2, 2, 2), 'nothing was replaced.': square, 'all heads were knocked out.': torch.zeros(2, 2, 2, 2), "zero ablation puts 0 in the head's place, not 1.": torch.tensor([1.0, 2, 1, 1, 5, 6, 1, 1, 9, 10, 1, 1, 13, 14, 1, 1]).reshape(2, 2, 2, 2), 'the heads are knocked out at the last position only; replace them at every position.': torch.tensor([1.0, 2, 3, 4, 5, 6, 0, 0, 9, 10, 11, 12, 13, 14, 0, 0]).reshape(2, 2, 2, 2), 'the heads are knocked out in the first prompt only.': torch.tensor([1.0, 2, 0, 0, 5, 6, 0, 0, 9, 10, 11, 12, 13, 14, 15, 16]).reshape(2, 2, 2, 2), 'without `mean_outputs` a head is replaced by 0; this is its mean over this batch.': torch.tensor([1.0, 2, 7, 8, 5, 6, 11, 12, 9, 10, 7, 8, 13, 14, 11, 12]).reshape(2, 2, 2, 2), 'the knocked-out heads were taken out of the tensor; they stay, filled with 0.': square[:, :, [0]]}, name='ablate_heads')
    outputs = torch.arange(1.0, 25.0).reshape(2, 2, 3, 2)
    before = outputs.clone()
    got = ablate_heads(outputs, [0, 2])
    assert torch.equal(outputs, before), 'ablate_heads: your function changed its argument in place; work on a copy (`clone`).'

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float32).reshape(2, 2, 3, 2)
    check(got, tensor(0, 0, 3, 4, 0, 0, 0, 0, 9, 10, 0, 0, 0, 0, 15, 16, 0, 0, 0, 0, 21, 22, 0, 0), {'nothing was replaced.': before, 'the named heads were kept and the others knocked out; it is the other way round.': tensor(1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14, 0, 0, 17, 18, 19, 20, 0, 0, 23, 24), 'only the first of the named heads was knocked out.': tensor(0, 0, 3, 4, 5, 6, 0, 0, 9, 10, 11, 12, 0, 0, 15, 16, 17, 18, 0, 0, 21, 22, 23, 24), 'only the last of the named heads was knocked out.': tensor(1, 2, 3, 4, 0, 0, 7, 8, 9, 10, 0, 0, 13, 14, 15, 16, 0, 0, 19, 20, 21, 22, 0, 0), 'all heads were knocked out.': torch.zeros(2, 2, 3, 2), 'the heads are knocked out at the last position only; replace them at every position.': tensor(1, 2, 3, 4, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14, 15, 16, 17, 18, 0, 0, 21, 22, 0, 0), 'the heads are knocked out at the first position only; replace them at every position.': tensor(0, 0, 3, 4, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0, 15, 16, 0, 0, 19, 20, 21, 22, 23, 24), 'the heads are knocked out in the first prompt only.': tensor(0, 0, 3, 4, 0, 0, 0, 0, 9, 10, 0, 0, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24), "zero ablation puts 0 in the head's place, not 1.": tensor(1, 1, 3, 4, 1, 1, 1, 1, 9, 10, 1, 1, 1, 1, 15, 16, 1, 1, 1, 1, 21, 22, 1, 1), 'without `mean_outputs` a head is replaced by 0; this is its mean over this batch.': tensor(7, 8, 3, 4, 11, 12, 13, 14, 9, 10, 17, 18, 7, 8, 15, 16, 11, 12, 13, 14, 21, 22, 17, 18), 'the knocked-out heads were taken out of the tensor; they stay, filled with 0.': before[:, :, [1]], 'head numbers count from 0.': tensor(1, 2, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0, 13, 14, 0, 0, 0, 0, 19, 20, 0, 0, 0, 0)}, name='ablate_heads', dtype=torch.float32)
    check(ablate_heads(square.clone(), []), square, {'an empty list of heads knocks out nothing.': torch.zeros(2, 2, 2, 2)}, name='ablate_heads')

@test_case(points=0, hidden=False,
    success_message="With and without heads, every dtype is kept and gradients pass.")
def test_ablation_rules(ablate_heads):
    """With and without heads, every dtype is kept and gradients pass."""
    import torch
    from helpers.checks import check, check_rules
    check(ablate_heads(torch.ones(1, 1, 2, 1), [1]), torch.tensor([[[[1.0], [0.0]]]]), name='ablate_heads')
    for heads in ([1], []):
        check_rules(ablate_heads, torch.arange(1.0, 9.0).reshape(1, 2, 2, 2), heads)

@test_case(points=1, hidden=False,
    success_message="The named heads are replaced by the means that are given.")
def test_mean(ablate_heads):
    """The named heads are replaced by the means that are given."""
    import torch
    from helpers.checks import check
    outputs = torch.arange(1.0, 17.0).reshape(2, 2, 2, 2)
    means = torch.tensor([[[-1.0, -2.0], [-3.0, -4.0]], [[-5.0, -6.0], [-7.0, -8.0]]])
    before, means_before = (outputs.clone(), means.clone())
    got = ablate_heads(outputs, [1], means)
    assert torch.equal(outputs, before) and torch.equal(means, means_before), 'ablate_heads: your function changed an argument in place; work on a copy (`clone`).'

    def tensor(*numbers):
        return torch.tensor(numbers, dtype=torch.float32).reshape(2, 2, 2, 2)
    check(got, tensor(1, 2, -3, -4, 5, 6, -7, -8, 9, 10, -3, -4, 13, 14, -7, -8), {'`mean_outputs` is not used: this is zero ablation.': tensor(1, 2, 0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14, 0, 0), 'the mean of another head was put in: head h is replaced by mean_outputs[:, h].': tensor(1, 2, -1, -2, 5, 6, -5, -6, 9, 10, -1, -2, 13, 14, -5, -6), '`mean_outputs` has the axes [T, H, D]; its position and head axes were exchanged.': tensor(1, 2, -5, -6, 5, 6, -7, -8, 9, 10, -5, -6, 13, 14, -7, -8), "every position has its own mean; the first position's was used for all.": tensor(1, 2, -3, -4, 5, 6, -3, -4, 9, 10, -3, -4, 13, 14, -3, -4), "every position has its own mean; the last position's was used for all.": tensor(1, 2, -7, -8, 5, 6, -7, -8, 9, 10, -7, -8, 13, 14, -7, -8), 'every position has its own mean; it was averaged over the positions.': tensor(1, 2, -5, -6, 5, 6, -5, -6, 9, 10, -5, -6, 13, 14, -5, -6), "the mean was subtracted from the head's output; it is to take its place.": tensor(1, 2, 6, 8, 5, 6, 14, 16, 9, 10, 14, 16, 13, 14, 22, 24), "the mean was added to the head's output; it is to take its place.": tensor(1, 2, 0, 0, 5, 6, 0, 0, 9, 10, 8, 8, 13, 14, 8, 8), 'the mean of this batch was used; it is given as `mean_outputs` (it was taken over other prompts).': tensor(1, 2, 7, 8, 5, 6, 11, 12, 9, 10, 7, 8, 13, 14, 11, 12), 'all heads were replaced by their means, not only the named ones.': tensor(-1, -2, -3, -4, -5, -6, -7, -8, -1, -2, -3, -4, -5, -6, -7, -8), 'the named heads were kept and the others replaced; it is the other way round.': tensor(-1, -2, 3, 4, -5, -6, 7, 8, -1, -2, 11, 12, -5, -6, 15, 16)}, name='ablate_heads', dtype=torch.float32)
