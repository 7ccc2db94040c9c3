from otter.test_files import test_case

OK_FORMAT = False

name = "q2_4"
points = 4

@test_case(points=1.5, hidden=False,
    success_message="The log-density of three actions is right, constants included.")
def test_gaussian_log_prob_values(gaussian_log_prob):
    """The log-density of three actions is right, constants included."""
    import torch
    from helpers.checks import check
    action = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-1.0, 1.0]])
    mean = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    covariance = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    check(gaussian_log_prob(action, mean, covariance), torch.tensor([-3.3426, -2.6426, -4.4426]), {'the constant -D/2 · ln 2π is missing.': [-1.5047, -0.8047, -2.6047], 'the term with ln det Σ is missing.': [-2.5379, -1.8379, -3.6379], 'both constants are missing; the definition includes them.': [-0.7, 0.0, -1.8], 'the factor ½ before the squared distance is missing.': [-4.0426, -2.6426, -6.2426], 'the sign of the ln det Σ term is wrong: a wider Gaussian has a lower density.': [-1.7332, -1.0332, -2.8332], 'the constant counts one number only; it is D/2 · ln 2π with D = 2 here.': [-2.4237, -1.7237, -3.5237], 'the covariance must be inverted before it stands between the vectors.': [-11.6426, -2.6426, -6.1426], 'only the diagonal of the covariance is used.': [-3.6504, -2.7338, -3.9004], 'only the diagonal of the covariance is used in the distance.': [-3.5593, -2.6426, -3.8093], 'this is the density; the definition asks for its logarithm.': [0.0353, 0.0712, 0.0118], 'the sign is turned round.': [3.3426, 2.6426, 4.4426], 'the factor ½ before ln det Σ is missing.': [-4.1473, -3.4473, -5.2473], 'the factor ½ before D · ln 2π is missing.': [-5.1805, -4.4805, -6.2805], 'det Σ stands where its logarithm belongs.': [-5.0379, -4.3379, -6.1379], '1 / Σ divides entry by entry; the formula needs the inverse matrix.': [-5.5593, -2.6426, -1.8093], 'the mean over the batch was taken; the definition gives one number for each action.': -3.4759, 'the sum over the batch was taken; the definition gives one number for each action.': -10.4278}, name='gaussian_log_prob', atol=0.0002, dtype=torch.float32)

@test_case(points=0.5, hidden=False,
    success_message="The covariance holds variances, and a gradient flows to the mean.")
def test_gaussian_log_prob_gradient(gaussian_log_prob):
    """The covariance holds variances, and a gradient flows to the mean."""
    import torch
    from helpers.checks import check
    mean = torch.tensor([[0.0]], requires_grad=True)
    result = gaussian_log_prob(torch.tensor([[2.0]]), mean, torch.tensor([[4.0]]))
    check(result, torch.tensor([-2.112086]), {'the covariance holds variances, not standard deviations: do not square it.': [-2.430233], 'the square root of the covariance was taken somewhere: the formula uses the covariance itself.': [-2.265512]}, name='gaussian_log_prob')
    assert result.requires_grad, 'gaussian_log_prob: no gradient flows to the mean. Do not use .detach(), .item() or numpy.'
    result.sum().backward()
    check(mean.grad, torch.tensor([[0.5]]), {'the gradient with respect to the mean has the wrong sign.': [[-0.5]]}, name='the gradient of gaussian_log_prob with respect to the mean')

@test_case(points=0, hidden=False,
    success_message="The arguments stay as they are, every dtype works, and gradients flow to action and mean.")
def test_gaussian_log_prob_rules(gaussian_log_prob):
    """The arguments stay as they are, every dtype works, and gradients flow to action and mean."""
    import torch
    from helpers.checks import check_rules
    check_rules(gaussian_log_prob, torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.5]]), torch.tensor([[2.0, 1.0], [1.0, 3.0]]), gradients=(0, 1))
