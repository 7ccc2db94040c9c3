from otter.test_files import test_case

OK_FORMAT = False

name = "q2_2"
points = 5

@test_case(points=1, hidden=False,
    success_message="The loss of two completions is right.")
def test_reinforce_loss_value(compute_reinforce_loss):
    """The loss of two completions is right."""
    import torch
    from helpers.checks import check
    log_probs = torch.tensor([[-1.0, -2.0, -3.0, -4.0], [-0.5, -1.5, -2.5, -3.5]])
    advantages = torch.tensor([2.0, -0.6])
    mask = torch.tensor([[False, True, True, True], [False, True, True, False]])
    check(compute_reinforce_loss(log_probs, advantages, mask), torch.tensor(7.8), {'the sign is turned round: this loss makes bad completions likelier. It begins with a minus.': -7.8, 'this is the sum over the batch, the definition takes the mean over the batch.': 15.6, "this is the mean over each completion's tokens, the definition sums over tokens.": 2.4, 'this is the mean over all generated tokens, the definition sums over tokens and averages over the batch.': 3.12, 'this is the mean over all positions, the definition sums over tokens and averages over the batch.': 1.95, 'the mask is not used: prompt and padding are in the sum.': 7.6, 'the mask is not used, and this is a mean over tokens; the definition sums the generated tokens.': 1.9, 'the mask is turned round: True marks the tokens that count.': -0.2, 'the advantages are not used.': 6.5, "advantages and log-probs were summed apart: each row's advantage multiplies that row's own log-probs.": 9.1, "two means are multiplied; each row's advantage multiplies that row's own log-probs before the mean.": 4.55, 'one number for each row; the definition takes the mean over the batch.': [18.0, -2.4], 'these are probabilities weighted by the advantage; the loss is made of log-probs.': -0.111872, 'the advantages run along the tokens; each belongs to a row, advantages[:, None].': 3.25, 'the advantages are divided by the largest of them; use them as they are.': 3.9}, name='compute_reinforce_loss', dtype=torch.float32)

@test_case(points=1, hidden=False,
    success_message="Gradients go to the log-probs that count, and to nothing else.")
def test_reinforce_loss_gradient(compute_reinforce_loss):
    """Gradients go to the log-probs that count, and to nothing else."""
    import torch
    from helpers.checks import check
    log_probs = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, -2.0, -10000.0]], requires_grad=True)
    advantages = torch.tensor([1.0, -0.5], requires_grad=True)
    mask = torch.tensor([[False, True, True], [True, True, False]])
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    assert isinstance(loss, torch.Tensor) and loss.requires_grad, 'compute_reinforce_loss: no gradient flows to log_probs. Return a tensor, without .item() and without detaching log_probs.'
    loss.backward()
    assert advantages.grad is None or not advantages.grad.any(), 'compute_reinforce_loss: the advantage carries a gradient. Use advantages.detach().'
    check(log_probs.grad, torch.tensor([[0.0, -0.5, -0.5], [0.25, 0.25, 0.0]]), {'the gradient has the wrong sign: it pushes good completions down.': [[0.0, 0.5, 0.5], [-0.25, -0.25, 0.0]], 'masked positions receive a gradient; prompt and padding must get exactly 0.': [[-0.5, -0.5, -0.5], [0.25, 0.25, 0.25]]}, name='the gradient of compute_reinforce_loss with respect to log_probs')

@test_case(points=0, hidden=False,
    success_message="A row without tokens counts in the mean, log-probs of -300 count in full, and all rules are kept.")
def test_reinforce_loss_rules(compute_reinforce_loss):
    """A row without tokens counts in the mean, log-probs of -300 count in full, and all rules are kept."""
    import torch
    from helpers.checks import check, check_rules
    log_probs = torch.tensor([[-1.0, -3.0, -2.0], [-1.0, -2.0, -4.0]], requires_grad=True)
    advantages, mask = (torch.tensor([2.0, -1.0]), torch.tensor([[False, True, True], [False, False, False]]))
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    check(loss, torch.tensor(5.0), {'a row whose mask is all False counts in the mean over the batch as well.': 10.0, 'a row whose mask is all False gives NaN; it counts as 0.': float('nan')}, name='compute_reinforce_loss with an empty row', ordinary=(compute_reinforce_loss(log_probs, advantages, ~mask), torch.tensor(-2.5)))
    check(compute_reinforce_loss(100 * log_probs, advantages, mask), torch.tensor(500.0), {'a log-prob of -300 is cut off; log-probs may be that small.': lambda got: bool(5 < got < 500)}, name='compute_reinforce_loss with log-probs of -300')
    loss.backward()
    check(log_probs.grad, torch.tensor([[0.0, -1.0, -1.0], [0.0, 0.0, 0.0]]), {'a masked position has a gradient; it must get exactly 0.': lambda got: bool(got[1].any() or got[0, 0])}, name='the gradient of compute_reinforce_loss with an empty row')
    check_rules(compute_reinforce_loss, log_probs, advantages, ~mask)
