from otter.test_files import test_case

OK_FORMAT = False

name = "q2_7"
points = 9

@test_case(points=2, hidden=False,
    success_message="A step makes good completions likelier, by the tokens that the policy chose, and has no left-padding bug.")
def test_reinforce_step_update(reinforce_step):
    """A step makes good completions likelier, by the tokens that the policy chose, and has no left-padding bug."""
    import torch
    from helpers.checks import check
    from helpers import worlds
    from helpers.worlds import conduct, table
    run = worlds.run('reinforce_table', reinforce_step, rewards=[[0.1, 0.0, 0.02], [0.0, 0.1, 0.02]])
    first, second = (change / 0.0225 for change in run['changes'])
    assert first.any() or run['results'][0] is not None, 'reinforce_step returned None and changed nothing: it is not written yet.'
    assert first.any(), 'reinforce_step: the policy did not change. Is there a loss.backward() and an optimizer.step(), in this order, and zero_grad() before both? Are the log-probs computed anew from policy_logits, with gradients?'
    assert all((set(texts) == set(run['expected_texts']) for texts in run['texts'])), 'reinforce_step: the reward model must read rollout.texts, the prompts with their completions.'
    assert not run['unseen'], f"reinforce_step: this is the left-padding bug: {table.UNSEEN[run['unseen'][0]]}."
    fault = conduct.told(run['conduct'], 'dropout', 'settings', 'outside')
    assert not fault, f'reinforce_step: {fault}.'
    assert run['optimizer_steps'] == 2, f"reinforce_step: optimizer.step() ran {run['optimizer_steps']} times in two calls; it must run once in each."
    shown = 'how the logits of the tokens that came next changed (1: what those of the best completion should gain)'
    third = 0.333333
    right = torch.tensor([[0.0, 1, 1, 1], [0, -2 * third, -2 * third, 0], [0, -third, 0, 0]])
    size = float((first * right).sum() / (right * right).sum())
    check(first, right, {'the sign is turned round: the best completion was made less likely.': -right, "the prompt's tokens and the padding are in the loss; use the completion mask.": [[1, 1, 1, 1], [-2 * third] * 4, [-third] * 4], "the prompt's tokens are in the loss; use the completion mask.": [[1, 1, 1, 1], [-2 * third] * 3 + [0], [0, -third, 0, 0]], "the prompt's tokens are in the loss; use the completion mask. ": [[1, 1, 1, 1], [-2 * third] * 3 + [0], [-third, -third, 0, 0]], "the mask is off by one: column t of the log-probs belongs to token t + 1, so cut the mask's first column.": [[0, 0, 1, 1], [0, 0, -2 * third, -2 * third], [0, 0, -third, 0]], 'the padding after the completion is in the loss; use the completion mask.': [[0, 1, 1, 1], [0] + [-2 * third] * 3, [0] + [-third] * 3], 'there is no baseline: use the leave-one-out advantages, not the rewards.': [[0, 1.1111, 1.1111, 1.1111], [0, 0, 0, 0], [0, 0.2222, 0, 0]], 'there is no baseline, and this is the sum over the batch.': [[0] + [3.3333] * 3, [0] * 4, [0, 0.6667, 0, 0]], 'there is no baseline, and the rewards are percentages.': [[0] + [111.11] * 3, [0] * 4, [0, 22.222, 0, 0]], 'this is the mean over the tokens of a completion; the definition sums over tokens.': [[0, third, third, third], [0, -third, -third, 0], [0, -third, 0, 0]], 'the end-of-text token is missing from the loss; the policy chose it, so it counts.': [[0, 1, 1, 0], [0, -2 * third, 0, 0], [0, 0, 0, 0]], 'this is the sum over the batch; the definition takes the mean over its texts.': 3 * right, 'this is the mean over all tokens of the batch; the definition sums over tokens.': right / 2, "this is the mean over all positions, or of probabilities; the definition sums the log-probs of the completion's tokens.": right / 4, "the baseline is the batch's mean, the completion's own reward included; leave it out.": 2 * third * right, "the advantages are divided by the rewards' standard deviation; take them as they are.": 18.898 * right, "the advantages are divided by the rewards' standard deviation; take them as they are. ": 23.146 * right, "the advantages are divided by the rewards' standard deviation (and the gradient is then cut); take them as they are.": 19.245 * right, 'the rewards are standardised; take the leave-one-out advantages as they are.': 12.599 * right, 'the rewards are standardised; take the leave-one-out advantages as they are. ': 15.43 * right, "the rollout's log-probs are in the loss (as a ratio); it needs those of the present policy alone.": 1.5124 * right, 'the log-probs lack the shift by one: those at t are of token t + 1.': [[0, 0, -third, -third], [0, 0, 0.2222, -2 * third], [0, 0, -third, 0]], f'the direction is right, but the update is {size:.3g} times as long as one step of this optimizer makes it.': lambda got: ((got - size * right).abs() < 0.005).all(), 'the tokens are right, what each completion counts is not: take leave_one_out_advantages(rewards), and all completions.': lambda got: ((got - got[:, 1:2] * (right != 0)).abs() < 0.005).all(), 'the advantages are right, but tokens of the completions are missing or others are in the loss; use completion_mask[:, 1:].': lambda got: (((got - right[:, 1:2]).abs() < 0.005) | (got.abs() < 0.005)).all()}, name=f'reinforce_step: {shown}', atol=0.005)
    check(second, torch.tensor([[0.0, -2 * third, -2 * third, -2 * third], [0, 1, 1, 0], [0, -third, 0, 0]]), {'the gradients of the batch before are still there; call optimizer.zero_grad() before loss.backward().': [[0, third, third, third], [0, third, third, 0], [0, -2 * third, 0, 0]]}, name=f'reinforce_step, second call: {shown}', atol=0.005)

@test_case(points=1, hidden=False,
    success_message="A step reports loss and mean reward as floats, and leaves the policy in its mode.")
def test_reinforce_step_report(reinforce_step):
    """A step reports loss and mean reward as floats, and leaves the policy in its mode."""
    from helpers.checks import check
    from helpers import worlds
    from helpers.worlds import conduct
    for training in (False, True):
        run = worlds.run('reinforce_table', reinforce_step, rewards=[[0.1, 0.0, 0.02]] * 2, training=training)
        result = run['results'][0]
        assert run['changes'][0].any(), 'reinforce_step: the policy did not change; the numbers count as the report of a step.'
        assert isinstance(result, dict), f'reinforce_step: return a dict of floats; you returned a {type(result).__name__}.'
        for key in ('loss', 'reward'):
            assert key in result, f'reinforce_step: the dict has no entry {key!r}.'
        for key, value in result.items():
            assert type(value) is float, f'reinforce_step: the entry {key!r} is a {type(value).__name__}; make it a Python float with .item().'
        assert abs(result['reward'] - 0.04) < 1e-05, "reinforce_step: 'reward' must be the mean reward of the batch."
        check(result['loss'], 0.055452, {'it is 0.': 0.0, 'its sign is turned round.': -0.055452, 'it is the sum over the batch.': 0.166355, 'it is the mean over tokens.': 0.027726, 'it is the mean over all positions.': 0.013863, 'it is the surrogate of a ratio, whose value is another.': -0.04}, name="reinforce_step, 'loss' (the batch's, before the update)", atol=0.0001)
        was, left = ('train', 'eval') if training else ('eval', 'train')
        assert run['training'] is training, f'reinforce_step: the policy came in {was} mode and was left in {left} mode. Leave the mode as it was.'
        fault = conduct.told(run['conduct'])
        assert not fault, f'reinforce_step: {fault}.'
