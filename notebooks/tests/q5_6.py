from otter.test_files import test_case

OK_FORMAT = False

name = "q5_6"
points = 2.5

@test_case(points=1, hidden=False,
    success_message="The pushes of three heads in two prompts are right.")
def test_pushes(direct_logit_attribution):
    """The pushes of three heads in two prompts are right."""
    import torch
    from helpers.checks import check
    writes = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]], [[2.0, 0.0], [-1.0, 1.0], [3.0, 3.0]]])
    direction = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    check(direct_logit_attribution(writes, direction), torch.tensor([[0.0, 7.0, -3.0], [1.0, 2.5, 10.5]]), {'the direction is scaled to length 1; use it as it is, then the result is in logits': [[0.0, 3.130495, -1.341641], [0.328798, 0.821995, 3.452379]], 'this is the cosine of the angle; the dot product is asked for': [[0.0, 0.989949, -0.33282], [0.164399, 0.581238, 0.813733]], 'the writes are scaled to length 1; how much a head writes counts': [[0.0, 2.213594, -0.744208], [0.5, 1.767767, 2.474874]], "the first prompt's direction is used for all; each prompt has its own": [[0.0, 7.0, -3.0], [4.0, -3.0, 3.0]], 'the directions of all prompts are added up; each prompt has its own': [[6.5, 5.5, 9.25], [5.0, -0.5, 13.5]], 'the mean direction is used; each prompt has its own': [[3.25, 2.75, 4.625], [2.5, -0.25, 6.75]], 'the products are averaged over the entries; a dot product adds them up': [[0.0, 3.5, -1.5], [0.5, 1.25, 5.25]], 'the heads are added up; one number for each head is asked for': [4.0, 14.0], 'the prompts are averaged; one number for each prompt and head is asked for': [0.5, 4.75, 3.75], 'the products are not added up: a dot product is their sum over the last axis': [[[2.0, -2.0], [6.0, 1.0], [1.0, -4.0]], [[1.0, 0.0], [-0.5, 3.0], [1.5, 9.0]]], 'the direction has no effect': [[3.0, 2.0, 4.5], [2.0, 0.0, 6.0]], 'the sign is lost; a head may push the other way': [[0.0, 7.0, 3.0], [1.0, 2.5, 10.5]], 'the sign is reversed': [[0.0, -7.0, 3.0], [-1.0, -2.5, -10.5]], 'prompts and heads are exchanged: the shape is [B, H]': [[0.0, 1.0], [7.0, 2.5], [-3.0, 10.5]], "each prompt got the other one's direction": [[6.5, -1.5, 12.25], [4.0, -3.0, 3.0]]}, name='direct_logit_attribution', dtype=torch.float32)

@test_case(points=0, hidden=False,
    success_message="As many prompts as heads and entries are no trouble, and all rules are kept.")
def test_attribution_rules(direct_logit_attribution):
    """As many prompts as heads and entries are no trouble, and all rules are kept."""
    import torch
    from helpers.checks import check, check_rules
    square = torch.tensor([[[1.0, 2.0], [3.0, -1.0]], [[2.0, 0.0], [-1.0, 1.0]]])
    direction = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    check_rules(direct_logit_attribution, square, direction, gradients=(0, 1))
    check(direct_logit_attribution(square, direction), torch.tensor([[0.0, 7.0], [1.0, 2.5]]), {'the direction of prompt b was used for head b: it lacks an axis for the heads, `direction[:, None]`': [[0.0, -1.5], [4.0, 2.5]]}, name='direct_logit_attribution with two prompts, two heads and two entries')
    check(direct_logit_attribution(square[:1], direction[:1]), torch.tensor([[0.0, 7.0]]), name='direct_logit_attribution of one prompt')
