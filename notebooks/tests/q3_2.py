from otter.test_files import test_case

OK_FORMAT = False

name = "q3_2"
points = 5

@test_case(points=1, hidden=False,
    success_message="A dict with k1, k2 and k3; k1 is right.")
def test_estimates_k1(kl_estimates):
    import torch
    from helpers.checks import check
    got = kl_estimates(torch.tensor([[-1.0, -2.0, -0.5]]), torch.tensor([[-1.5, -1.0, -0.5]]))
    assert got is not None and got is not ..., 'kl_estimates returned nothing: it is not written yet, or a `return` is missing'
    assert isinstance(got, dict), f'kl_estimates must return a dict with the keys k1, k2 and k3, not a {type(got).__name__}'
    missing = [key for key in ('k1', 'k2', 'k3') if key not in got]
    assert not missing, f"kl_estimates: the dict lacks {', '.join(missing)}; its keys must be k1, k2 and k3"
    check(got['k1'], torch.tensor([[0.5, -1.0, 0.0]]), {"the sign is wrong: k1 is the policy's log-prob minus the reference's": [[-0.5, 1.0, 0.0]], 'k1 must not be made absolute: a negative value is part of what makes it unbiased': [[0.5, 1.0, 0.0]], 'k1 must not be clamped at 0: a negative value is part of what makes it unbiased': [[0.5, 0.0, 0.0]], 'the inputs are log-probs, not probabilities: do not take logarithms or quotients of them': [[-0.40547, 0.69315, 0.0]], "do not weigh with the policy's probability: the tokens were sampled from it, so the sample itself does that": [[0.18394, -0.13534, 0.0]], 'this is summed; return one estimate per token, [B, T]': [-0.5], 'this is averaged; return one estimate per token, [B, T]': -0.16667}, name='kl_estimates, k1')

@test_case(points=1, hidden=False,
    success_message="k2 and k3 are right.")
def test_estimates_k2_k3(kl_estimates):
    import torch
    from helpers.checks import check
    got = kl_estimates(torch.tensor([[-1.0, -2.0, -0.5]]), torch.tensor([[-1.5, -1.0, -0.5]]))
    assert isinstance(got, dict) and 'k2' in got and ('k3' in got), 'kl_estimates must return a dict with the keys k1, k2 and k3'
    check(got['k2'], torch.tensor([[0.125, 0.5, 0.0]]), {'the half is missing: k2 is half the squared log-ratio': [[0.25, 1.0, 0.0]], 'k2 and k3 are swapped': [[0.10653, 0.71828, 0.0]], 'k2 is made of the log-ratio, not of the ratio': [[0.07741, 1.47625, 0.0]]}, name='kl_estimates, k2')
    check(got['k3'], torch.tensor([[0.10653, 0.71828, 0.0]]), {"the ratio is upside down in k3: r is the reference's probability divided by the policy's": [[0.14872, 0.36788, 0.0]], 'the ratio is upside down in k3, r is reference over policy': [[1.14872, -1.63212, 0.0]], 'k3 lacks the minus 1: it is (r - 1) - ln r': [[1.10653, 1.71828, 1.0]], 'in k3 ln r is subtracted, not added: it is (r - 1) - ln r': [[-0.89347, 2.71828, 0.0]], 'k3 lacks the logarithm: it is (r - 1) - ln r': [[-0.39347, 1.71828, 0.0]], 'k2 and k3 are swapped': [[0.125, 0.5, 0.0]]}, name='kl_estimates, k3')
