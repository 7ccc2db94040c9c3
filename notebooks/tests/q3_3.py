from otter.test_files import test_case

OK_FORMAT = False

name = "q3_3"
points = 5

@test_case(points=1.5, hidden=False,
    success_message="The fine of two completions is right.")
def test_shaped_values(kl_shaped_rewards):
    """The fine of two completions is right."""
    import torch
    from helpers.checks import check
    rewards = torch.tensor([1.0, 0.5])
    log_probs = torch.tensor([[-1.0, -2.0, -3.0], [-0.5, -3.0, -4.0]])
    reference_log_probs = torch.tensor([[-2.0, -1.5, -1.0], [-1.0, -1.0, -0.5]])
    mask = torch.tensor([[True, True, False], [False, True, False]])
    check(kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, 0.1), torch.tensor([0.95, 0.7]), {'the sign of the fine is wrong: moving away from the reference must cost reward': [1.05, 0.3], 'the mask is ignored: only the tokens with mask True count': [1.15, 1.0], 'the mask is the wrong way round: True marks the tokens that count': [1.2, 0.8], 'this is a mean over the masked tokens; the definition sums': [0.975, 0.7], 'this is a mean over all tokens; the definition sums': [0.98333, 0.56667], 'this uses k3; the fine uses the log-ratio itself (k1)': [0.94834, 0.06109], 'this uses k2; the fine uses the log-ratio itself (k1)': [0.9375, 0.3], 'alpha is not used': [0.5, 2.5], 'divided by alpha; the fine is alpha times the sum': [-4.0, 20.5], "the fine is the batch's mean; each completion pays its own": [1.075, 0.575], "the fine is the batch's sum; each completion pays its own": [1.15, 0.65], 'only the fine is returned; the reward itself is missing': [-0.05, 0.2], 'the reward must not be multiplied by (1 - alpha)': [0.85, 0.65], 'absolute values: a negative log-ratio lowers the fine, and that is right': [0.85, 0.3], 'the absolute value of the sum: a completion may earn a bonus': [0.95, 0.3], 'negative sums are cut off at 0; a completion may earn a bonus': [0.95, 0.5], 'negative log-ratios are cut off at 0; they must count': [0.9, 0.5], "the reference is missing: the fine is about log-prob minus the reference's log-prob": [1.3, 0.8], 'the reward counts once for each completion, not once for each token': [1.95, 0.7], 'probabilities instead of log-probs': [0.98553, 0.53181], 'this has one number per token; return one per completion, [B]': [[0.9, 1.05, 1.0], [0.5, 0.7, 0.5]]}, name='kl_shaped_rewards', dtype=torch.float32)

@test_case(points=0.5, hidden=False,
    success_message="No gradient flows, and alpha = 0 leaves the rewards as they are.")
def test_shaped_detached(kl_shaped_rewards):
    """No gradient flows, and alpha = 0 leaves the rewards as they are."""
    import torch
    from helpers.checks import check
    log_probs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    reference_log_probs = torch.tensor([[-2.0, -1.5]], requires_grad=True)
    rewards = torch.tensor([0.25], requires_grad=True)
    mask = torch.tensor([[True, True]])
    shaped = kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, 1.0)
    got = kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, 0)
    check(shaped, torch.tensor([-0.25]), name='kl_shaped_rewards')
    check(got, torch.tensor([0.25]), {'alpha = 0 must leave the rewards as they are': [-0.25]}, name='kl_shaped_rewards')
    assert not got.requires_grad, 'kl_shaped_rewards: the result carries a gradient; detach it. REINFORCE treats the shaped reward as a plain number'

@test_case(points=0, hidden=False,
    success_message="Rewards below 0 and log-probs of -9000 count in full, and arguments and dtypes are kept.")
def test_shaped_rules(kl_shaped_rewards):
    """Rewards below 0 and log-probs of -9000 count in full, and arguments and dtypes are kept."""
    import torch
    from helpers.checks import check, check_rules
    mask = torch.tensor([[True, True]])
    small = kl_shaped_rewards(torch.tensor([1.0]), torch.tensor([[-3.0, -1.0]]), torch.tensor([[-4.0, -1.5]]), mask, 0.5)
    check(kl_shaped_rewards(torch.tensor([-1.0]), torch.tensor([[-9000.0, -1.0]]), torch.tensor([[-9001.0, -1.5]]), mask, 0.5), torch.tensor([-1.75]), {'rewards below 0 are taken for 0; they may be negative': [-0.75], 'log-probs of -9000 are cut off; they count as they are': [-1.25]}, name='kl_shaped_rewards', ordinary=(small, [0.25]))
    check_rules(kl_shaped_rewards, torch.tensor([-1.0]), torch.tensor([[-2.0, -1.0]]), torch.tensor([[-3.0, -1.5]]), mask, 0.5, gradients=())
