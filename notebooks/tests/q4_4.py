from otter.test_files import test_case

OK_FORMAT = False

name = "q4_4"
points = 3

@test_case(points=1.5, hidden=False,
    success_message="The weights of three pairs are right and detached.")
def test_weights(dpo_gradient_weight):
    """The weights of three pairs are right and detached."""
    import torch
    from helpers.checks import check
    policy_chosen = torch.tensor([-12.0, -20.0, -9.0], requires_grad=True)
    got = dpo_gradient_weight(policy_chosen, torch.tensor([-15.0, -18.0, -11.5]), torch.tensor([-13.0, -21.0, -10.0]), torch.tensor([-14.0, -22.0, -11.0]), 0.5)
    check(got, torch.tensor([0.2689, 0.8176, 0.3208]), {'the sign is wrong: pairs that are already right must get the small weight': [0.7311, 0.1824, 0.6792], 'the factor β in front is not part of the weight': [0.1345, 0.4088, 0.1604], 'this is the slope of σ; the weight is σ itself, of minus β times the margin': [0.1966, 0.1491, 0.2179], 'the reference is missing from the margin': [0.1824, 0.7311, 0.2227], 'β is missing': [0.1192, 0.9526, 0.1824], 'β is applied twice': [0.3775, 0.6792, 0.4073], 'one weight per pair is asked for, shape [B], not their mean': 0.4691, 'do not divide by the number of pairs': [0.0896, 0.2725, 0.1069], 'this is the logarithm of the weight': [-1.3133, -0.2014, -1.1369], 'this is the gradient, sign and β included; the weight alone is asked for': [-0.1345, -0.4088, -0.1604], "the reference's log-probs enter with the wrong sign": [0.1192, 0.6225, 0.148], 'only the chosen completion is used; the margin has the rejected one as well': [0.3775, 0.3775, 0.3775], 'only the rejected completion is used; the margin has the chosen one as well': [0.3775, 0.8808, 0.4378], "the rejected completion's reward is added; the margin is a difference": [0.5, 0.1824, 0.4378], 'σ is missing: this is minus β times the margin': [-1.0, 1.5, -0.75], 'σ is missing: this is β times the margin': [1.0, -1.5, 0.75], 'this is the margin; the weight is σ of minus β times it': [2.0, -3.0, 1.5], 'this is exp of minus β times the margin; the weight is σ of it': [0.3679, 4.4817, 0.4724], 'this is the loss of each pair; its weight is asked for': [0.3133, 1.7014, 0.3869], 'the policy is missing from the margin': [0.6225, 0.6225, 0.6225], 'the margin is divided by β; multiply by it': [0.018, 0.9975, 0.0474], 'the weights are divided by their sum; each pair has a weight of its own': [0.1911, 0.581, 0.228], 'the weight of the mean margin came for every pair; each has its own': [0.4792, 0.4792, 0.4792]}, name='dpo_gradient_weight', rtol=0.001)
    assert not got.requires_grad, 'dpo_gradient_weight: the weight must be detached'

@test_case(points=0, hidden=False,
    success_message="Large log-ratios give no NaN, and the log-probs and their dtype are kept.")
def test_weight_rules(dpo_gradient_weight):
    """Large log-ratios give no NaN, and the log-probs and their dtype are kept."""
    import torch
    from helpers.checks import check, check_rules
    check_rules(dpo_gradient_weight, torch.tensor([-2.0]), torch.tensor([-3.0]), torch.tensor([-2.5]), torch.tensor([-3.0]), 0.5, gradients=())
    low, high = (torch.tensor([-400.0]), torch.tensor([-100.0]))
    check(dpo_gradient_weight(high, high, low, low, 1.0), torch.tensor([0.5]), {'large log-ratios give NaN: exp overflows; take σ of the margin': [float('nan')]}, name='dpo_gradient_weight of log-ratios of 300')
