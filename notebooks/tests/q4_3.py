from otter.test_files import test_case

OK_FORMAT = False

name = "q4_3"
points = 6.5

@test_case(points=1.5, hidden=False,
    success_message="The loss and the implicit rewards of three pairs are right.")
def test_loss_and_rewards(compute_dpo_loss):
    """The loss and the implicit rewards of three pairs are right."""
    import torch
    from helpers.checks import check
    result = compute_dpo_loss(torch.tensor([-12.0, -20.0, -9.0]), torch.tensor([-15.0, -18.0, -11.5]), torch.tensor([-13.0, -21.0, -10.0]), torch.tensor([-14.0, -22.0, -11.0]), 0.5)
    if isinstance(result, torch.Tensor):
        raise AssertionError('compute_dpo_loss: return three things: the loss, the chosen rewards and the rejected rewards')
    assert result is not None and result is not ..., f'compute_dpo_loss returned {result!r}: it is not written yet, or a `return` is missing.'
    loss, chosen, rejected = result
    check(loss, torch.tensor(0.8005), {'chosen and rejected are swapped': 0.8838, 'the reference is missing from the margin': 0.5889, "the reference's log-probs enter with the wrong sign, or chosen and rejected of the reference are swapped": 0.4204, 'β is applied twice': 0.7114, 'β is missing from the loss': 1.1256, 'this is the sum over the pairs; the definition takes the mean': 2.4015, 'the mean must come last: average the losses, not the margins': 0.6523, 'the minus sign is missing': -0.8005, 'the logarithm is missing: −log σ, not −σ': -0.5309, "this is the hinge loss; DPO's is −log σ": 0.9167, 'chosen and rejected each have a σ of their own here; take σ of their difference': 1.5331, 'one number for the batch is asked for: take the mean over the pairs': [0.3133, 1.7014, 0.3869]}, name='the loss of compute_dpo_loss', rtol=0.0005)
    check((chosen, rejected), (torch.tensor([0.5, 0.5, 0.5]), torch.tensor([-0.5, 2.0, -0.25])), {'the implicit rewards lack the factor β': ([1.0, 1.0, 1.0], [-1.0, 4.0, -0.5]), 'the implicit rewards of chosen and rejected are swapped': ([-0.5, 2.0, -0.25], [0.5, 0.5, 0.5]), 'the implicit rewards must be differences to the reference': ([-6.0, -10.0, -4.5], [-7.5, -9.0, -5.75]), 'the implicit rewards have the wrong sign: policy minus reference': ([-0.5, -0.5, -0.5], [0.5, -2.0, 0.25]), 'one implicit reward per pair is asked for, shape [B], not their mean': (0.5, 0.4167)}, name='the rewards of compute_dpo_loss')

@test_case(points=0.5, hidden=False,
    success_message="With label smoothing the loss takes each label as right and as wrong, each with its weight.")
def test_label_smoothing(compute_dpo_loss):
    """With label smoothing the loss takes each label as right and as wrong, each with its weight."""
    import torch
    from helpers.checks import check
    four = [torch.tensor(values) for values in ([-12.0, -20.0, -9.0], [-15.0, -18.0, -11.5], [-13.0, -21.0, -10.0], [-14.0, -22.0, -11.0])]
    loss, chosen, rejected = compute_dpo_loss(*four, 0.5, label_smoothing=0.25)
    check(loss, torch.tensor(0.821349), {'label_smoothing has no effect': 0.800515, 'the weights are exchanged: the label as it is has the weight 1 − ε': 0.863015, 'the second term is missing: ε times the loss of the pair turned round': 0.600386, 'the first term lacks its weight 1 − ε': 1.021477, 'ε scales the margin here; it weighs two losses': 0.711357, 'ln σ(−βm) is not 1 − ln σ(βm)': 0.150258, 'this is robust DPO, which subtracts; the definition adds': 0.758849}, name='the loss of compute_dpo_loss with label_smoothing=0.25', rtol=5e-05, ordinary=(compute_dpo_loss(*four, 0.5)[0], 0.800515))
    check((chosen, rejected), (torch.tensor([0.5, 0.5, 0.5]), torch.tensor([-0.5, 2.0, -0.25])), {'the implicit rewards are smoothed; only the loss is': ([0.25, 0.875, 0.3125], [-0.25, 1.625, -0.0625])}, name='the rewards of compute_dpo_loss with label_smoothing=0.25', ordinary=(compute_dpo_loss(*four, 0.5)[1], [0.5, 0.5, 0.5]))

@test_case(points=1, hidden=False,
    success_message="Gradients go to the policy alone, and large margins do no harm.")
def test_gradients_and_stability(compute_dpo_loss):
    """Gradients go to the policy alone, and large margins do no harm."""
    import torch
    from helpers.checks import check
    tensors = [torch.tensor([value], requires_grad=True) for value in (-12.0, -15.0, -13.0, -14.0)]
    loss, chosen, rejected = compute_dpo_loss(*tensors, 0.5)
    assert isinstance(loss, torch.Tensor) and loss.requires_grad, 'compute_dpo_loss: the loss carries no gradient; do not detach it or turn it into a float'
    assert not chosen.requires_grad and (not rejected.requires_grad), 'compute_dpo_loss: the implicit rewards must be detached'
    loss.backward()
    for reference in tensors[2:]:
        assert reference.grad is None or not reference.grad.any(), 'compute_dpo_loss: the reference carries a gradient; detach its log-probs'
    assert tensors[0].grad is not None and tensors[1].grad is not None, "compute_dpo_loss: no gradient reaches the policy's log-probs"
    check(tensors[0].grad, torch.tensor([-0.1345]), {'the gradient has the wrong sign: it pushes the chosen completion down': [0.1345]}, name='the gradient of compute_dpo_loss', rtol=0.002)
    zero = torch.zeros(1)
    wrong_way = compute_dpo_loss(torch.tensor([-10000.0]), zero, zero, zero, 1.0)[0]
    check(wrong_way, torch.tensor(10000.0), {'log of sigmoid overflows at a margin of -10000: use logsigmoid': float('inf'), 'log of sigmoid gives NaN at a margin of -10000: use logsigmoid': float('nan'), 'this is log(σ + ε), or the margin is clamped: the loss of a large margin is cut off; use logsigmoid': lambda got: bool(0 < got < 9999)}, name='compute_dpo_loss at a margin of -10000', ordinary=(loss, torch.tensor(0.313262)))

@test_case(points=0, hidden=False,
    success_message="Gradients flow at a margin of 0 and at a large one, and arguments and dtypes are kept.")
def test_dpo_loss_rules(compute_dpo_loss):
    """Gradients flow at a margin of 0 and at a large one, and arguments and dtypes are kept."""
    import torch
    from helpers.checks import check_rules
    for chosen in (-2.0, -8192.0):
        check_rules(compute_dpo_loss, torch.tensor([chosen]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-3.0]), 0.5, gradients=(0, 1))
