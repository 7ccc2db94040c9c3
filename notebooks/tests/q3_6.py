from otter.test_files import test_case

OK_FORMAT = False

name = "q3_6"
points = 5

@test_case(points=1.5, hidden=False,
    success_message="The clipped loss of two completions is right.")
def test_ppo_values(ppo_clip_loss):
    """The clipped loss of two completions is right."""
    import torch
    from helpers.checks import check, trying
    old = torch.tensor([[-1.0, -2.0, -1.5], [-2.0, -1.0, -3.0]])
    new = torch.tensor([[-0.594535, -2.510826, -1.40469], [-1.594535, -1.693147, -3.105361]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    with trying('ppo_clip_loss of two completions of three tokens', {'must match the size of tensor': 'the advantages run along the tokens; each belongs to a row, advantages[:, None].'}):
        got = ppo_clip_loss(new, old, torch.tensor([2.0, -1.0]), mask, 0.2)
    check(got, torch.tensor(-1.75), {'the larger of the two terms is taken; it is the min': -2.55, 'the sign is wrong: the loss is minus the gain': 1.75, 'nothing is clipped (or the minimum is missing)': -2.2, 'only the clipped term is there; take the minimum of it and the unclipped one': -2.1, 'the ratio is upside down: it is new over old': -1.37576, 'this is a mean over the tokens of the batch; the definition sums over tokens and divides by the batch': -0.7, 'this is a mean over the tokens of each completion; the definition sums over tokens': -0.39167, 'this is a mean over the tokens, masked ones included; the definition sums over tokens': -0.58333, 'the sum must be divided by the batch size': -3.5, 'the mask is ignored: only the tokens with mask True count': -1.3, 'the log-ratio is used as the ratio; exp is missing': 0.81005, 'the log-ratio is clipped; clip the ratio': -1.76204, 'the product of ratio and advantage is clipped; clip the ratio': -0.8, "one ratio for the whole completion; PPO's ratio is per token": -0.59, 'the advantages are made absolute; a bad completion must be pushed down': -3.75}, name='ppo_clip_loss')

@test_case(points=1, hidden=False,
    success_message="The mask comes before the exponential, and gradients go to the new log-probs alone.")
def test_ppo_mask_and_gradient(ppo_clip_loss):
    """The mask comes before the exponential, and gradients go to the new log-probs alone."""
    import torch
    new = torch.tensor([[-1.0, 9000.0]], requires_grad=True)
    old = torch.tensor([[-1.1, -9000.0]], requires_grad=True)
    advantages = torch.tensor([1.0], requires_grad=True)
    loss = ppo_clip_loss(new, old, advantages, torch.tensor([[True, False]]), 0.2)
    assert isinstance(loss, torch.Tensor), f'ppo_clip_loss returned {loss!r}: not written yet?'
    assert torch.isfinite(loss).all(), 'ppo_clip_loss: a masked position makes the loss infinite or NaN; mask the log-ratios before the exponential'
    assert loss.requires_grad, 'ppo_clip_loss: no gradient flows to the log-probs (was the ratio detached?)'
    loss.sum().backward()
    assert new.grad is not None and torch.isfinite(new.grad).all(), 'ppo_clip_loss: the gradient is NaN at a masked position; mask the log-ratios before the exponential'
    assert new.grad[0, 0] != 0, 'ppo_clip_loss: no gradient flows to the log-probs'
    assert new.grad[0, 1] == 0, 'ppo_clip_loss: a masked position gets a gradient'
    assert old.grad is None or not old.grad.any(), 'ppo_clip_loss: the old log-probs carry a gradient; detach them'
    assert advantages.grad is None or not advantages.grad.any(), 'ppo_clip_loss: the advantages carry a gradient; detach them'

@test_case(points=0, hidden=False,
    success_message="Another clip range, log-probs of -9000 and two rows of two tokens are right, and all rules are kept.")
def test_ppo_rules(ppo_clip_loss):
    """Another clip range, log-probs of -9000 and two rows of two tokens are right, and all rules are kept."""
    import torch
    from helpers.checks import check, check_rules
    new, old = (torch.tensor([[-9000.0, -1.0], [-1.0, -2.0]]), torch.tensor([[-9000.5, -1.0], [-1.0, -2.0]]))
    advantages, mask = (torch.tensor([1.0, -2.0]), torch.tensor([[True, True], [False, True]]))
    check(ppo_clip_loss(new, old, advantages, mask, 0.5), torch.tensor(-0.25), {'the clip range is 0.2 whatever `clip` says': -0.1, 'log-probs of -9000 are cut off; they count as they are': 0.0, 'the advantages run along the tokens; each belongs to a row, advantages[:, None]': 1.25}, name='ppo_clip_loss')
    check_rules(ppo_clip_loss, torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.0, -2.0]]), torch.tensor([2.0]), mask[:1], 0.5)
