from otter.test_files import test_case

OK_FORMAT = False

name = "q4_2"
points = 5

@test_case(points=1.5, hidden=False,
    success_message="The log-probabilities of two completions are right.")
def test_sums(sequence_log_prob):
    """The log-probabilities of two completions are right."""
    import torch
    from helpers.checks import check
    logits = torch.tensor([[[1.0, 0, -1], [0, 2, 0], [-1, 0, 1], [0, 0, 3]], [[2.0, 1, 0], [0, 0, 1], [1, -1, 0], [1, 1, 0]]])
    ids = torch.tensor([[0, 1, 2, 1], [2, 0, 1, 0]])
    mask = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]], dtype=torch.bool)
    check(sequence_log_prob(logits, ids, mask), torch.tensor([-3.6472, -1.9591]), {'you forgot the shift by one: logits at position t score the token at t + 1': [-3.5025, -3.9591], 'the shift goes the wrong way: logits at position t score the token at t + 1, not at t - 1': [-1.5025, -0.9591], 'this is the mean over tokens; the definition sums': [-1.8236, -0.9795], 'the prompt is not masked: only tokens where `mask` is True count': [-5.0548, -2.3667], 'the mask is off by one: `mask[:, t]` belongs to the token `ids[:, t]`': [-1.4076, -1.9591], 'these are sums of probabilities; take logarithms': [0.3512, 0.8772], 'this is the probability itself; its logarithm is asked for': [0.0261, 0.141], 'the sign is wrong: a log-probability is never positive': [3.6472, 1.9591], 'these are sums of logits; a logit is no log-probability before log_softmax': [0.0, 2.0], 'the softmax goes over the wrong dimension; it belongs over the vocabulary, dim=-1': [-5.5259, -2.5441], 'the softmax goes over the positions (dim=1); it belongs over the vocabulary, dim=-1': [-3.6472, -1.8152], 'one number per sequence is asked for, shape [B], not one for the whole batch': -5.6062, 'one number per sequence is asked for, not the mean over the batch': -2.8031, 'masked positions are filled with -inf; they must contribute 0': lambda got: bool(got.isneginf().all())}, name='sequence_log_prob', rtol=0.001)

@test_case(points=1, hidden=False,
    success_message="Large logits and empty masks do no harm, and gradients flow to what is not masked.")
def test_large_and_gradient(sequence_log_prob):
    """Large logits and empty masks do no harm, and gradients flow to what is not masked."""
    import torch
    from helpers.checks import check
    large = torch.tensor([[[1000.0, 0.0], [0.0, 1000.0], [0.0, 0.0]]])
    got = sequence_log_prob(large, torch.tensor([[0, 1, 1]]), torch.tensor([[False, True, True]]))
    ids, small = (torch.tensor([[0, 1, 1]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]]))
    check(got, torch.tensor([-1000.0]), {'log of softmax overflows for large logits: use log_softmax': float('-inf') * torch.ones(1), 'this is log(softmax + ε): a small number inside the logarithm, or a clamp, cuts rare tokens off; use log_softmax': lambda got: bool((got > -999) & (got < 0))}, name='sequence_log_prob with logits of 1000', ordinary=(sequence_log_prob(small, ids, ids > 0), [-1.44019]))
    logits = torch.zeros(2, 3, 2, requires_grad=True)
    mask = torch.tensor([[False, False, True], [False, False, False]])
    result = sequence_log_prob(logits, torch.tensor([[0, 1, 1], [0, 1, 1]]), mask)
    check(result[1], 0.0, name='sequence_log_prob of a row whose mask is all False')
    assert result.requires_grad, 'sequence_log_prob: no gradient flows to the logits; do not detach, and leave out torch.no_grad()'
    result.sum().backward()
    check(logits.grad[0], torch.tensor([[0.0, 0.0], [-0.5, 0.5], [0.0, 0.0]]), {'a masked position has a gradient': torch.tensor([[-0.5, 0.5], [-0.5, 0.5], [0.0, 0.0]])}, name='the gradient of sequence_log_prob')

@test_case(points=0, hidden=False,
    success_message="A log-prob of -9000 counts in full and has a gradient, and all rules are kept.")
def test_sequence_rules(sequence_log_prob):
    """A log-prob of -9000 counts in full and has a gradient, and all rules are kept."""
    import torch
    from helpers.checks import check, check_rules
    logits, ids, mask = (torch.tensor([[[9000.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]), torch.tensor([[0, 1, 1]]), torch.tensor([[False, True, False]]))
    check(sequence_log_prob(logits, ids, mask), torch.tensor([-9000.0]), {'a log-prob of -9000 is cut off; it counts as it is': lambda got: bool(got > -8999)}, name='sequence_log_prob with logits of 9000', ordinary=(sequence_log_prob(logits / 3000, ids, mask), [-3.048587]))
    for size in (1.0, 1 / 4096):
        check_rules(sequence_log_prob, size * logits, ids, mask)
