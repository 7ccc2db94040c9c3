from otter.test_files import test_case

OK_FORMAT = False

name = "q3_1"
points = 6

@test_case(points=1.5, hidden=False,
    success_message="The divergence of two positions is right.")
def test_kl_values(kl_divergence):
    """The divergence of two positions is right."""
    import torch
    from helpers.checks import check
    policy = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 0.0, 3.0]]])
    reference = torch.tensor([[[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    check(kl_divergence(policy, reference), torch.tensor([[0.69484, 0.73202]]), {"this is the KL the wrong way round, KL(reference || policy): average over the policy's probabilities": [[0.65721, 0.99631]], 'the sign is wrong: the log-ratio is policy minus reference': [[-0.69484, -0.73202]], "the log-ratios are weighted by the reference's probabilities; the policy's are asked for": [[-0.65721, -0.99631]], "the log-ratios are added without a weight; each counts with the policy's probability": [[-0.63683, -2.98893]], "the log-ratios are averaged without a weight; each counts with the policy's probability": [[-0.21228, -0.99631]], 'this is a mean over the vocabulary; the definition sums': [[0.23161, 0.24401]], 'this is one number for everything, summed over tokens (and divided by the batch, if at all); return one per position, [B, T]': 1.42686, 'this is one number, the mean over all positions; return one per position, [B, T]': 0.71343, 'differences of raw logits: they must be turned into log-probs first (log_softmax)': [[1.24045, 2.72833]], 'this is in bits (logarithm to base 2); the definition uses the natural logarithm': [[1.00244, 1.05608]], "this is the cross-entropy; the policy's own log-probs are missing": [[1.52724, 1.09861]], 'both directions are added up; only KL(policy || reference) is asked for': [[1.35205, 1.72833]], 'both directions are averaged; only KL(policy || reference) is asked for': [[0.67602, 0.86416]], 'the softmax runs over the tokens (dim 1); the vocabulary is the last dimension': [[0.09259, 1.18407]], 'this is not summed over the vocabulary; the result has the shape [B, T]': [[[0.96752, -0.13915, -0.13353], [-0.09039, -0.09039, 0.9128]]], 'absolute values of the log-ratios: terms may be negative, only their sum may not': [[1.2402, 1.09358]], 'this is the Jensen–Shannon divergence, a symmetric relative of KL': [[0.15575, 0.19321]]}, name='kl_divergence', dtype=torch.float32)
    even = torch.zeros(2, 3, 5)
    check(kl_divergence(even, even + 2.0), torch.zeros(2, 3), name='kl_divergence of two equal distributions')

@test_case(points=0.5, hidden=False,
    success_message="Large logits and excluded tokens do no harm.")
def test_kl_extremes(kl_divergence):
    """Large logits and excluded tokens do no harm."""
    import torch
    from helpers.checks import check
    ordinary = (kl_divergence(torch.tensor([[[2.0, 0.0, 0.5], [1.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]])), [[0.846139, 0.364175]])
    large = kl_divergence(torch.tensor([[[1000.0, 0.0]]]), torch.tensor([[[0.0, 1000.0]]]))
    check(large, torch.tensor([[1000.0]]), {'large logits give NaN: the log of a softmax overflows or meets log 0; use log_softmax': [[float('nan')]], 'large logits give infinity: a probability rounded to 0 meets a logarithm (torch.distributions does this too); use log_softmax': [[float('inf')]], 'large logits give 0: exp overflows, and the NaN was turned into 0; use log_softmax': [[0.0]], 'this is log(softmax + ε): a small constant inside the log, or a clamp, cuts large logits off; use log_softmax, which needs none': lambda got: bool((got > 0) & (got < 999))}, name='kl_divergence', ordinary=ordinary)
    excluded = kl_divergence(torch.tensor([[[0.0, 0.0, -torch.inf]]]), torch.zeros(1, 1, 3))
    check(excluded, torch.tensor([[0.40547]]), {'a policy logit of -inf gives NaN: that token has probability 0 and must contribute 0 (0 · ∞ is NaN)': [[float('nan')]]}, name='kl_divergence', ordinary=ordinary)

@test_case(points=1, hidden=False,
    success_message="A gradient goes to the policy, and none to the reference.")
def test_kl_gradient(kl_divergence):
    """A gradient goes to the policy, and none to the reference."""
    import torch
    from helpers.checks import check
    policy = torch.tensor([[[1.0, 0.0, -1.0]]], requires_grad=True)
    reference = torch.tensor([[[0.0, 0.0, 1.0]]], requires_grad=True)
    result = kl_divergence(policy, reference)
    assert isinstance(result, torch.Tensor), f'kl_divergence returned {result!r}: not written yet?'
    assert result.requires_grad, "kl_divergence: no gradient flows to the policy's logits (was the result detached?)"
    result.sum().backward()
    assert reference.grad is None or not reference.grad.any(), 'kl_divergence: the reference carries a gradient; detach its logits, it is a fixed point'
    check(policy.grad, torch.tensor([[[0.34248, -0.11874, -0.22374]]]), {"the gradient is not complete: the policy's probabilities must carry it too, do not detach them": [[[0.0, 0.0, 0.0]]]}, name='the gradient of kl_divergence', ordinary=(result, [[0.629019]]))

@test_case(points=0, hidden=False,
    success_message="A token that both exclude contributes 0 to value and gradient, and all rules are kept.")
def test_kl_rules(kl_divergence):
    """A token that both exclude contributes 0 to value and gradient, and all rules are kept."""
    import torch
    from helpers.checks import check, check_rules
    policy, reference = (torch.tensor([[[0.0, 1.0, -torch.inf]]]), torch.tensor([[[1.0, 0.0, -torch.inf]]]))
    check(kl_divergence(policy.clone(), reference.clone()), torch.tensor([[0.46212]]), {'a token that policy and reference both exclude (-inf) gives NaN; it must contribute 0': [[float('nan')]]}, name='kl_divergence where both exclude a token', ordinary=(kl_divergence(policy[..., :2].clone(), reference[..., :2].clone()), [[0.46212]]))
    check_rules(kl_divergence, policy, reference)
