from otter.test_files import test_case

OK_FORMAT = False

name = "q2_1"
points = 4

@test_case(points=1, hidden=False,
    success_message="Each token has the log-probability that the logits before it give.")
def test_token_log_probs_values(token_log_probs):
    """Each token has the log-probability that the logits before it give."""
    import torch
    from helpers.checks import check
    halvings = torch.tensor([[[1.0, 2, 3, 3], [3, 1, 2, 3], [2, 3, 3, 1]], [[3.0, 3, 2, 1], [2, 3, 1, 3], [1, 3, 2, 3]]])
    logits = -0.6931472 * halvings + torch.tensor([0.0, 5.0, -3.0])[None, :, None]
    ids = torch.tensor([[2, 1, 3], [0, 3, 2]])
    no_shift = 'you forgot the shift by one: the logits at position t predict the token at position t + 1.'
    mistakes = {no_shift: [[-2.0794, -0.6931], [-2.0794, -2.0794]], no_shift + ' The result has T - 1 columns.': [[-2.0794, -0.6931, -0.6931], [-2.0794, -2.0794, -1.3863]], no_shift + ' Here both were cut at the same end.': [[-0.6931, -0.6931], [-2.0794, -1.3863]], 'the shift by one goes the wrong way: position t predicts the token at t + 1, not at t - 1.': [[-1.3863, -2.0794], [-1.3863, -2.0794]], 'the shift wraps around: after `roll`, the last column compares with the first token. Cut it off.': [[-1.3863, -2.0794, -2.0794], [-0.6931, -0.6931, -0.6931]], 'these are raw logits, not log-probabilities: take log_softmax over the vocabulary first.': [[-1.3863, 2.9206], [-0.6931, 4.3069]], 'these are probabilities; the definition asks for their logarithm.': [[0.25, 0.125], [0.5, 0.5]], 'the softmax runs over the positions; it must run over the vocabulary (the last axis).': [[-5.6966, -0.008], [-3.6406, -0.0035]], 'the softmax runs over the positions; it must run over the vocabulary, the last axis.': [[-5.6965, -0.0067], [-3.6403, -0.0034]], 'the softmax runs over the batch; it must run over the vocabulary (the last axis).': [[-0.4055, -0.6931], [-0.2231, -0.4055]], 'this is the sum over the tokens; the definition keeps one entry for each token.': [-3.4657, -1.3863], 'this is the mean over the tokens; the definition keeps one entry for each token.': [-1.7329, -0.6931], 'the sign is turned round: log-probabilities are never above 0.': [[1.3863, 2.0794], [0.6931, 0.6931]], 'this is the logarithm to base 2; the definition takes the natural logarithm.': [[-2.0, -3.0], [-1.0, -1.0]], 'these are the log-probs of the likeliest tokens, not of the tokens in `ids`.': [[-0.6931, -0.6931], [-0.6931, -0.6931]]}
    check(token_log_probs(logits, ids), torch.tensor([[-1.3863, -2.0794], [-0.6931, -0.6931]]), mistakes, name='token_log_probs', atol=0.0002, dtype=torch.float32)

@test_case(points=0.5, hidden=False,
    success_message="Large logits stay in log space, and a gradient flows to them.")
def test_token_log_probs_large_logits(token_log_probs):
    """Large logits stay in log space, and a gradient flows to them."""
    import torch
    from helpers.checks import check
    logits = torch.tensor([[[10000.0, 0.0], [3.0, 3.0]]], requires_grad=True)
    result = token_log_probs(logits, torch.tensor([[0, 1]]))
    small = token_log_probs(torch.tensor([[[2.0, 0.0], [3.0, 3.0]]]), torch.tensor([[0, 1]]))
    check(result, torch.tensor([[-10000.0]]), {'the log of softmax underflows to -inf for large logits: use log_softmax, which never leaves log space.': [[float('-inf')]], 'this is log(softmax + ε): a small number added inside the logarithm, or a clamp, is a floor for rare tokens; use log_softmax.': lambda got: bool((got > -1000) & (got < 0)), 'exp overflows for large logits (the result is NaN): use log_softmax.': [[float('nan')]]}, name='token_log_probs', ordinary=(small, [[-2.126928]]))
    assert result.requires_grad, 'token_log_probs: no gradient flows to the logits. Do not use .detach(), .item() or no_grad().'

@test_case(points=0, hidden=False,
    success_message="The logits stay as they are, a batch of one keeps its axis, and dtypes and gradients are kept.")
def test_token_log_probs_rules(token_log_probs):
    """The logits stay as they are, a batch of one keeps its axis, and dtypes and gradients are kept."""
    import torch
    from helpers.checks import check, check_rules
    logits, ids = (torch.tensor([[[2.0, 0.0, 1.0], [3.0, 1.0, 3.0], [0.0, 0.0, 0.0]]]), torch.tensor([[0, 1, 2]]))
    for size in (1.0, 4000.0):
        check_rules(token_log_probs, size * logits, ids)
    check(token_log_probs(logits, ids), torch.tensor([[-2.407606, -0.758644]]), {'a batch of 1 keeps its axis: squeeze one axis alone, squeeze(-1).': [-2.407606, -0.758644]}, name='token_log_probs of a batch of 1')
