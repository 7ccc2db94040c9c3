from otter.test_files import test_case

OK_FORMAT = False

name = "q4_6"
points = 6

@test_case(points=1, hidden=False,
    success_message="The first step starts from a loss of ln 2, and changes the policy only.")
def test_first_step(dpo_step):
    """The first step starts from a loss of ln 2, and changes the policy only."""
    import torch
    from helpers.checks import check
    from helpers import worlds
    from helpers.worlds import conduct
    assert callable(dpo_step), 'dpo_step is not written yet'
    record = worlds.run('dpo_single', dpo_step, seed=0, moved=False)
    answer = record['answers'][0]
    assert '__type__' not in answer, f"dpo_step returned a {answer.get('__type__')}; it should return a dict of floats"
    for key, wanted in (('loss', 0.6931), ('accuracy', 0.5), ('chosen_reward', 0.0), ('rejected_reward', 0.0)):
        value = answer.get(key, 'missing')
        assert type(value) is float, f'dpo_step: the entry {key!r} should be a Python float (use .item()); it is {value}'
        assert abs(value - wanted) < 0.002, f'dpo_step: with the policy equal to the reference, {key!r} must be {wanted}, got {value:.4f}'
    before, after = (record['reference_before'], record['weights'][0])
    moved = [bool((before[name] != after[name]).any()) for name in before]
    assert any(moved), "dpo_step: the policy's weights did not change (no optimizer.step(), or no gradient?)"
    fault = conduct.told(record['conduct'])
    assert not fault, f'dpo_step: {fault}'
    right = torch.tensor([0.654, 1.506, 0.39, 0.855, -0.415, 0.596])
    off, turned = ((record['bearings'] - sign * right).abs().max() for sign in (1, -1))
    assert turned > 0.05, 'dpo_step: the update goes uphill (chosen and rejected swapped, or a sign)'
    assert off < 0.05, "dpo_step: the update does not follow the gradient of the DPO loss (is it the loss of both sides, of all weights, and of the completions' tokens only?)"
    assert all(moved), "dpo_step: some of the policy's parameters do not move; all of them are to be trained"
    reference = record['reference_before']
    same = all(((reference[name] == after[name]).all() for after in record['reference_after'] for name in reference))
    assert same, "dpo_step changed the reference's weights"
    assert record['reference_gradients'] == 0, 'dpo_step: the reference carries a gradient; compute its log-probs under torch.no_grad()'
    assert record['optimizer_steps'] == len(record['answers']), 'dpo_step must call optimizer.step() exactly once'
    lengths, right = (torch.tensor(record['lengths']), torch.tensor([2.7498, 0.6403, 1.9725]))
    if lengths.max() > 0.99:
        right = torch.minimum(right, lengths.max())
    check(lengths, right, {'the gradients of earlier batches are still there; call optimizer.zero_grad()': [2.7498, 2.9443, 3.7614], 'this is the sum over the batch; the loss is the mean': [21.9984, 3.2014, 1.9725], "the batch's size is fixed inside; this batch may be smaller": [2.7498, 0.4002, 0.2466], 'short gradients are made longer, or the sum over the batch is clipped; the loss is the mean, and clipping only shortens': [1.0, 1.0, 1.0], 'the gradient lacks the factor β': [9.166, 12.8054, 32.8756], 'β is applied twice': [0.8249, 0.032, 0.1184], 'β is fixed inside; take the one that is given': [2.7498, 3.8416, 9.8627], 'β is fixed inside; take the one that is given ': [0.9166, 1.2805, 3.2876], 'the labels are smoothed': [2.1998, 0.5122, 1.578]}, name='dpo_step: the lengths of three updates, divided by the learning rate', rtol=0.01)
    kept = record['training_after'] == record['training_before']
    assert kept, 'dpo_step left the policy or the reference in another mode (train or eval) than it found it in'

@test_case(points=1, hidden=False,
    success_message="Away from the reference, the numbers reported are right, and the modes are kept.")
def test_moved_policy(dpo_step):
    """Away from the reference, the numbers reported are right, and the modes are kept."""
    import torch
    from helpers.checks import check
    from helpers import worlds
    from helpers.worlds import conduct
    assert callable(dpo_step), 'dpo_step is not written yet'
    record = worlds.run('dpo_single', dpo_step, seed=3, moved=True)
    first = record['answers'][0]
    swapped = 'chosen and rejected are swapped'
    lacking = 'the reference is missing'
    check(first.get('loss'), 0.6123, {swapped: 0.8235, lacking + ' from the loss': 0.9848, 'β is applied twice': 0.6637, 'β is missing': 0.5909, 'β is another than the one that was given': 0.6607, 'the padding is not masked': 0.6806, 'the labels are smoothed': 0.6334, 'the policy stands in for the reference': 0.6931, 'it is the sum over the batch; the loss is the mean': 4.8984, 'β divides the margin': 1.2223, 'it takes means over tokens, not sums': 0.676, 'half of the batch is left out': 0.5858, 'the first token of each completion is left out': 0.625, 'this is a hinge': 0.7888, "this is IPO's loss": 2.6573, 'the policy is in train mode, with dropout': 0.7853, 'the reference is in train mode, with dropout': 0.5566, 'it is that after the update': 0.1516, "a term is added that is not DPO's": 0.6385}, name="dpo_step, 'loss'", rtol=0.001)
    check(first.get('accuracy'), 0.75, {swapped: 0.25, 'compare the implicit rewards, not the log-probs': 0.625, 'it is a percentage; return a share from 0 to 1': 75.0}, name="dpo_step, 'accuracy'", rtol=0.001)
    check((first.get('chosen_reward'), first.get('rejected_reward')), (-0.1182, -0.3294), {swapped: (-0.3294, -0.1182), 'the prompt is not masked (the loss does not notice, the rewards do)': (-0.3304, -0.5416), 'the implicit rewards lack the factor β': (-0.3941, -1.0981), lacking + ' from the implicit rewards': (-7.8672, -8.5479), 'their sign is turned round': (0.1182, 0.3294), 'they are sums over the batch, not means': (-0.9457, -2.6353), 'β is in them twice': (-0.0355, -0.0988)}, name="dpo_step, 'chosen_reward' and 'rejected_reward'", rtol=0.001, atol=0.0001)
    fault = conduct.told(record['conduct'])
    assert not fault, f'dpo_step: {fault}'
    cached = [(torch.full((size,), -25.0), torch.full((size,), -26.0)) for size in (8, 5, 1)]
    given = worlds.run('dpo_single', dpo_step, seed=3, moved=True, cached=cached)
    check(given['answers'][0].get('loss'), 1.1135, {"the reference's log-probs in the batch are not used": 0.6123, "the reference's log-probs in the batch are swapped": 0.8659, "the reference's log-probs in the batch are replaced by 0": 0.9848}, name="dpo_step, 'loss' of a batch that holds the reference's log-probs", rtol=0.001)
    assert not given['reference_calls'], 'dpo_step ran the reference although the batch holds its log-probs already'
    fault = conduct.told(given['conduct'])
    assert not fault, f'dpo_step: {fault}'
    trained = worlds.run('dpo_single', dpo_step, seed=3, moved=True, training=True)
    for run in (record, trained):
        kept = run['training_after'] == run['training_before']
        assert kept, 'dpo_step left the policy or the reference in another mode (train or eval) than it found it in'
