from otter.test_files import test_case

OK_FORMAT = False

name = "q3_2"
points = 5

@test_case(points=1, hidden=False,
    success_message="The result is a dict with k1, k2 and k3, and k1 is right.")
def test_estimates_k1(kl_estimates):
    """The result is a dict with k1, k2 and k3, and k1 is right."""
    import torch
    from helpers.checks import check
    got = kl_estimates(torch.tensor([[-1.0, -2.0, -0.5]]), torch.tensor([[-1.5, -1.0, -0.5]]))
    assert got is not None and got is not ..., 'kl_estimates returned nothing: it is not written yet, or a `return` is missing'
    assert isinstance(got, dict), f'kl_estimates must return a dict with the keys k1, k2 and k3, not a {type(got).__name__}'
    missing = [key for key in ('k1', 'k2', 'k3') if key not in got]
    assert not missing, f"kl_estimates: the dict lacks {', '.join(missing)}; its keys must be k1, k2 and k3"
    check(got['k1'], torch.tensor([[0.5, -1.0, 0.0]]), {"the sign is wrong: k1 is the policy's log-prob minus the reference's": [[-0.5, 1.0, 0.0]], 'k1 must not be made absolute: a negative value is part of what makes it unbiased': [[0.5, 1.0, 0.0]], 'k1 must not be clamped at 0: a negative value is part of what makes it unbiased': [[0.5, 0.0, 0.0]], 'the inputs are log-probs, not probabilities: do not take logarithms or quotients of them': [[-0.40547, 0.69315, 0.0]], "do not weigh with the policy's probability: the tokens were sampled from it, so the sample itself does that": [[0.18394, -0.13534, 0.0]], 'this is summed; return one estimate per token, [B, T]': [-0.5], 'this is averaged; return one estimate per token, [B, T]': -0.16667}, name='kl_estimates, k1')

@test_case(points=1.5, hidden=False,
    success_message="The estimates k2 and k3 are right.")
def test_estimates_k2_k3(kl_estimates):
    """The estimates k2 and k3 are right."""
    import torch
    from helpers.checks import check
    got = kl_estimates(torch.tensor([[-1.0, -2.0, -0.5]]), torch.tensor([[-1.5, -1.0, -0.5]]))
    assert isinstance(got, dict) and 'k2' in got and ('k3' in got), 'kl_estimates must return a dict with the keys k1, k2 and k3'
    check(got['k2'], torch.tensor([[0.125, 0.5, 0.0]]), {'the half is missing: k2 is half the squared log-ratio': [[0.25, 1.0, 0.0]], 'k2 and k3 are swapped': [[0.10653, 0.71828, 0.0]], 'k2 is made of the log-ratio, not of the ratio': [[0.07741, 1.47625, 0.0]], 'this is half the log-ratio; k2 is half its square': [[0.25, -0.5, 0.0]], 'this is k1; k2 is half its square': [[0.5, -1.0, 0.0]], 'k2 is the square of the log-ratio times a half: the half is squared as well here': [[0.0625, 0.25, 0.0]], 'the log-probs are added; k2 is made of their difference': [[3.125, 4.5, 0.5]], 'this is half the difference of the squares; take the square of the difference': [[-0.625, 1.5, 0.0]], 'this is half the absolute log-ratio; k2 is half its square': [[0.25, 0.5, 0.0]]}, name='kl_estimates, k2')
    check(got['k3'], torch.tensor([[0.10653, 0.71828, 0.0]]), {"the ratio is upside down in k3: r is the reference's probability divided by the policy's": [[0.14872, 0.36788, 0.0]], 'the ratio is upside down in k3, r is reference over policy': [[1.14872, -1.63212, 0.0]], 'k3 lacks the minus 1: it is (r - 1) - ln r': [[1.10653, 1.71828, 1.0]], 'in k3 ln r is subtracted, not added: it is (r - 1) - ln r': [[-0.89347, 2.71828, 0.0]], 'k3 lacks the logarithm: it is (r - 1) - ln r': [[-0.39347, 1.71828, 0.0]], 'this is r, the ratio; k3 is (r - 1) - ln r': [[0.60653, 2.71828, 1.0]], 'this is r + 1 where r - 1 belongs: k3 is (r - 1) - ln r': [[2.10653, 2.71828, 2.0]], 'this is (1 - r) - ln r; k3 is (r - 1) - ln r': [[0.89347, -2.71828, 0.0]], 'this is k1; k3 is (r - 1) - ln r': [[0.5, -1.0, 0.0]], "this is r·ln r - (r - 1), with the ratio's own weight; k3 is (r - 1) - ln r": [[0.0902, 1.0, 0.0]], 'k2 and k3 are swapped': [[0.125, 0.5, 0.0]]}, name='kl_estimates, k3')

@test_case(points=0, hidden=False,
    success_message="Log-probs of -9000 stay in log space, and arguments, dtypes and gradients are kept.")
def test_estimates_rules(kl_estimates):
    """Log-probs of -9000 stay in log space, and arguments, dtypes and gradients are kept."""
    import torch
    from helpers.checks import check, check_rules
    check_rules(kl_estimates, torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]]))
    got, small = (kl_estimates(torch.tensor([[-1.0 - x]]), torch.tensor([[-2.0 - x]])) for x in (8999.0, 0.0))
    for key, right in {'k1': 1.0, 'k2': 0.5, 'k3': 0.36788}.items():
        check(got[key], torch.tensor([[right]]), {'log-probs of -9000 are clamped, or turned into probabilities, which are 0 there': lambda got: bool(got.isnan().any() or got.isinf().any() or (not got.any()))}, name=f'kl_estimates, {key}, of log-probs of -9000', ordinary=(small[key], [[right]]))
