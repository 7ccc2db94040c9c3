from otter.test_files import test_case

OK_FORMAT = False

name = "q3_8"
points = 4

@test_case(points=1.5, hidden=False,
    success_message="All four ways give the right number.")
def test_aggregate_ways(aggregate_token_losses):
    """All four ways give the right number."""
    import torch
    from helpers.checks import check
    losses = torch.tensor([[1.0, 2.0, 8.0], [4.0, 5.0, 6.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    check(aggregate_token_losses(losses, mask, 'sum'), torch.tensor(3.5), {'the sum over completions is not divided by their number': 7.0, 'the mask has no effect': 13.0, 'this is the mean over tokens; `sum` divides by the number of completions alone': 2.333333, 'one number for the batch is asked for': [3.0, 4.0]}, name='aggregate_token_losses, "sum"')
    check(aggregate_token_losses(losses, mask, 'sequence'), torch.tensor(2.75), {"each completion's sum is divided by T; divide by the number of its tokens that count": 1.166667, 'the means of the completions are added; take their mean': 5.5, "this is the mean over all tokens of the batch; take each completion's mean first": 2.333333, 'this is the sum: each completion is divided by its own number of tokens': 3.5, 'the mask has no effect': 4.333333, 'one number for the batch is asked for': [1.5, 4.0]}, name='aggregate_token_losses, "sequence"')
    check(aggregate_token_losses(losses, mask, 'token'), torch.tensor(2.333333), {'masked positions count in the denominator: divide by the number of tokens that count': 1.166667, "this is the mean of the completions' means; take one mean over all tokens": 2.75, 'this is the sum: divide by the number of tokens that count': 7.0}, name='aggregate_token_losses, "token"', rtol=1e-05)
    check(aggregate_token_losses(losses, mask, 'constant', 4), torch.tensor(0.875), {'the number of completions is missing from the denominator': 1.75, 'the constant has no effect': 3.5, 'the constant multiplies; divide by it': 14.0, 'the number of tokens is divided by as well': 0.583333}, name='aggregate_token_losses, "constant"', rtol=1e-05)

@test_case(points=0.5, hidden=False,
    success_message="Completions without tokens count as 0, and what cannot be computed raises a ValueError.")
def test_aggregate_edges(aggregate_token_losses):
    """Completions without tokens count as 0, and what cannot be computed raises a ValueError."""
    import torch
    from helpers.checks import check, must_raise
    losses = torch.tensor([[1.0, 3.0], [5.0, 5.0]], requires_grad=True)
    mask = torch.tensor([[True, True], [False, False]])
    check(aggregate_token_losses(losses, mask, 'sequence'), torch.tensor(1.0), {'a completion without tokens counts in the mean, as 0': 2.0, 'a completion without tokens gives 0 / 0, which is NaN; it counts as 0': float('nan')}, name='aggregate_token_losses, "sequence", with a completion without tokens', ordinary=(aggregate_token_losses(losses, ~mask, 'token'), 5.0))
    nothing = aggregate_token_losses(losses, mask & False, 'token')
    check(nothing, torch.tensor(0.0), {'without any token this is 0 / 0, which is NaN; the result is 0': float('nan')}, name='aggregate_token_losses, "token", without any token')
    assert isinstance(nothing, torch.Tensor) and nothing.requires_grad, 'aggregate_token_losses, "token", without any token: backward() must work; keep the result in the graph'
    for how, constant in (('mean', None), ('constant', None)):
        with must_raise(ValueError, f'aggregate_token_losses: {how!r} with constant={constant}'):
            aggregate_token_losses(losses, mask, how, constant)

@test_case(points=0, hidden=False,
    success_message="Masked positions contribute nothing, and gradients, arguments and dtypes are right.")
def test_aggregate_rules(aggregate_token_losses):
    """Masked positions contribute nothing, and gradients, arguments and dtypes are right."""
    import torch
    from helpers.checks import check, check_rules
    losses, mask = (torch.tensor([[1.0, 2.0, 0.5], [0.25, -1.0, 4.0]]), torch.tensor([[True, True, False], [True, False, True]]))
    for how in ('sum', 'sequence', 'token', 'constant'):
        wild = aggregate_token_losses(losses.masked_fill(~mask, 10000.0), mask, how, 2)
        check(wild, aggregate_token_losses(losses, mask, how, 2), {'a masked position contributes; it must count for nothing': lambda got: True}, name=f'aggregate_token_losses, {how!r}, with 10000 at masked positions')
        check_rules(aggregate_token_losses, losses, mask, how, 2)
