from otter.test_files import test_case

OK_FORMAT = False

name = "q4_7"
points = 1

@test_case(points=0.25, hidden=False,
    success_message="The loss of three pairs is right.")
def test_ipo_loss(compute_ipo_loss):
    """The loss of three pairs is right."""
    import torch
    from helpers.checks import check
    four = [torch.tensor(values) for values in ([-12.0, -20.0, -9.0], [-15.0, -18.0, -11.5], [-13.0, -21.0, -10.0], [-14.0, -22.0, -11.0])]
    check(compute_ipo_loss(*four, 0.2), torch.tensor(10.5), {'the target is 1/(2τ), not 1/τ': 28.416667, 'the target is 1/(2τ), not τ/2': 5.06, 'the target is 1/(2τ), not 2τ': 5.11, 'the target is 1/(2τ), not τ': 5.056667, 'the target is missing: the margins themselves are squared': 5.083333, 'the reference is missing from the margin': 6.833333, 'chosen and rejected are swapped, or the target is added to the margin': 12.166667, "the reference's log-probs enter with the wrong sign, or chosen and rejected of the reference are swapped": 5.166667, 'the policy is missing from the margin': 12.25, 'the mean must come last: square the distances, not their mean': 5.444444, 'this is the sum over the pairs; the definition takes the mean': 31.5, 'one number for the batch is asked for: take the mean over the pairs': [0.25, 30.25, 1.0], 'these are distances; their squares are asked for': 2.333333, 'this is half the squared distance': 5.25, 'this is the root of the mean squared distance': 3.24037, 'the margin is scaled by τ: (τm − ½)² is another loss': 0.42, 'this is the mean distance, with its sign; square it': -2.333333, "this is −ln σ of the margin, DPO's loss": 1.125645, 'a margin above the target counts as well: the distance is squared on both sides': 10.333333}, name='compute_ipo_loss', rtol=5e-05)

@test_case(points=0.25, hidden=False,
    success_message="Gradients go to the policy alone, and the loss pulls back a margin that is too large.")
def test_ipo_gradients(compute_ipo_loss):
    """Gradients go to the policy alone, and the loss pulls back a margin that is too large."""
    import torch
    from helpers.checks import check
    tensors = [torch.tensor([value], requires_grad=True) for value in (-12.0, -15.0, -13.0, -14.0)]
    loss = compute_ipo_loss(*tensors, 0.5)
    assert isinstance(loss, torch.Tensor) and loss.requires_grad, 'compute_ipo_loss: the loss carries no gradient; do not detach it or turn it into a float'
    check(loss, torch.tensor(1.0), {'a margin above the target counts as well: the distance is squared on both sides': 0.0}, name='compute_ipo_loss of a margin above the target')
    loss.backward()
    for reference in tensors[2:]:
        assert reference.grad is None or not reference.grad.any(), 'compute_ipo_loss: the reference carries a gradient; detach its log-probs'
    assert tensors[0].grad is not None and tensors[1].grad is not None, "compute_ipo_loss: no gradient reaches the policy's log-probs"
    check(tensors[0].grad, torch.tensor([2.0]), {'the gradient has the wrong sign': [-2.0]}, name='the gradient of compute_ipo_loss')
    zero = torch.zeros(1)
    check(compute_ipo_loss(torch.tensor([-2000.0]), zero, zero, zero, 0.5), torch.tensor(2001.0 ** 2), {'the margin is clamped; it counts as it is': lambda got: bool(0 < got < 2000.0 ** 2)}, name='compute_ipo_loss at a margin of -2000', ordinary=(loss, torch.tensor(1.0)))

@test_case(points=0, hidden=False,
    success_message="Gradients flow on both sides of the target, and arguments and dtypes are kept.")
def test_ipo_rules(compute_ipo_loss):
    """Gradients flow on both sides of the target, and arguments and dtypes are kept."""
    import torch
    from helpers.checks import check_rules
    for chosen in (-2.0, -100.0):
        check_rules(compute_ipo_loss, torch.tensor([chosen]), torch.tensor([-3.0]), torch.tensor([-2.0]), torch.tensor([-3.0]), 0.5, gradients=(0, 1))
