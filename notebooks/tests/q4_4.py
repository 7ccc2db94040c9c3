from otter.test_files import test_case

OK_FORMAT = False

name = "q4_4"
points = 3

@test_case(points=1.5, hidden=False,
    success_message="The weights are right.")
def test_weights(dpo_gradient_weight):
    import torch
    from helpers.checks import check
    policy_chosen = torch.tensor([-12.0, -20.0, -9.0], requires_grad=True)
    got = dpo_gradient_weight(policy_chosen, torch.tensor([-15.0, -18.0, -11.5]), torch.tensor([-13.0, -21.0, -10.0]), torch.tensor([-14.0, -22.0, -11.0]), 0.5)
    check(got, torch.tensor([0.2689, 0.8176, 0.3208]), {'the sign is wrong: pairs that are already right must get the small weight': [0.7311, 0.1824, 0.6792], 'the factor β in front is not part of the weight': [0.1345, 0.4088, 0.1604], 'this is the slope of σ; the weight is σ itself, of minus β times the margin': [0.1966, 0.1491, 0.2179], 'the reference is missing from the margin': [0.1824, 0.7311, 0.2227], 'β is missing': [0.1192, 0.9526, 0.1824], 'β is applied twice': [0.3775, 0.6792, 0.4073], 'one weight per pair is asked for, shape [B], not their mean': 0.4691, 'do not divide by the number of pairs': [0.0896, 0.2725, 0.1069], 'this is the logarithm of the weight': [-1.3133, -0.2014, -1.1369], 'this is the gradient, sign and β included; the weight alone is asked for': [-0.1345, -0.4088, -0.1604]}, name='dpo_gradient_weight', rtol=0.001)
    assert not got.requires_grad, 'dpo_gradient_weight: the weight must be detached'
