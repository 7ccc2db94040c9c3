from otter.test_files import test_case

OK_FORMAT = False

name = "q5_4"
points = 3

@test_case(points=1, hidden=False,
    success_message="The probabilities of three prompts are right, and large logits do no harm.")
def test_three_prompts(io_probability):
    """The probabilities of three prompts are right, and large logits do no harm."""
    import torch
    from helpers.checks import check
    logits = torch.tensor([[1.0, 2.0, 4.0, 0.5], [0.0, -1.0, 3.0, 2.0], [5.0, 0.0, 1.0, 2.5]])
    ids = torch.tensor([2, 0, 3])
    check(io_probability(logits, ids), torch.tensor([0.8228, 0.0347, 0.0741]), {'the softmax runs over the batch; it should run over the vocabulary, the last axis.': torch.tensor([0.7054, 0.0066, 0.5741]), 'this is the log-probability; the probability is asked for.': torch.tensor([-0.195, -3.3618, -2.6018]), 'this is the logit; a softmax is missing.': torch.tensor([4.0, 0.0, 2.5]), 'this is exp(logit), not divided by the sum over the vocabulary.': torch.tensor([54.5981, 1.0, 12.1825]), 'this is the probability of the most likely word; take that of the IO name.': torch.tensor([0.8228, 0.6964, 0.9032]), 'every prompt has its own name: row b belongs with io_ids[b].': torch.tensor([[0.8228, 0.041, 0.0248], [0.6964, 0.0347, 0.2562], [0.0165, 0.9032, 0.0741]]), 'the first row was used for all prompts.': torch.tensor([0.8228, 0.041, 0.0248]), 'one number for each prompt is asked for; this is their mean.': torch.tensor(0.3105), 'the result has the shape [B, 1]; asked for is [B].': torch.tensor([[0.8228], [0.0347], [0.0741]]), 'this is a sigmoid of the logit; the softmax compares with all other words.': torch.tensor([0.982, 0.5, 0.9241]), 'this is 1 minus the probability.': torch.tensor([0.1772, 0.9653, 0.9259])}, name='io_probability', dtype=torch.float32, rtol=0.002, atol=0.0001)
    large = io_probability(torch.tensor([[1000.0, 999.0], [-1000.0, -998.0]]), torch.tensor([0, 0]))
    check(large, torch.tensor([0.7311, 0.1192]), {'logits of size 1000 give NaN or inf: exp overflows; use torch.softmax or log_softmax.': lambda got: not got.isfinite().all()}, name='io_probability with logits of size 1000', rtol=0.002, atol=0.0001)

@test_case(points=0, hidden=False,
    success_message="The logits stay as they are, and every dtype and gradients are kept.")
def test_probability_rules(io_probability):
    """The logits stay as they are, and every dtype and gradients are kept."""
    import torch
    from helpers.checks import check, check_rules
    check(io_probability(torch.zeros(1, 4), torch.tensor([1])), torch.tensor([0.25]), name='io_probability')
    check_rules(io_probability, torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([1]))
