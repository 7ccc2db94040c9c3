from otter.test_files import test_case

OK_FORMAT = False

name = "q2_7"
points = 9

@test_case(points=2, hidden=False,
    success_message="A step makes good completions likelier, by the tokens that the policy chose.")
def test_reinforce_step_update(reinforce_step):
    """A step makes good completions likelier, by the tokens that the policy chose."""
    import torch
    from helpers.checks import check
    from helpers import worlds
    run = worlds.run('reinforce_table', reinforce_step, rewards=[[1.0, 0.0, 0.2], [0.0, 1.0, 0.2]])
    first, second = run['changes']
    assert first.any() or run['results'][0] is not None, 'reinforce_step returned None and changed nothing: it is not written yet.'
    assert first.any(), 'reinforce_step: the policy did not change. Is there a loss.backward() and an optimizer.step(), in this order, and zero_grad() before both? Are the log-probs computed anew from policy_logits, with gradients?'
    assert all((texts == run['expected_texts'] for texts in run['texts'])), 'reinforce_step: the reward model must read rollout.texts, the prompts with their completions.'
    shown = 'how the logits of the tokens that came next changed (largest change = 1)'
    third = 0.333333
    check(first, torch.tensor([[0.0, 1, 1, 1], [0, -2 * third, -2 * third, 0], [0, -third, 0, 0]]), {'the sign is turned round: the best completion was made less likely.': [[0, -1, -1, -1], [0, 2 * third, 2 * third, 0], [0, third, 0, 0]], "the prompt's tokens and the padding are in the loss; use the completion mask.": [[1, 1, 1, 1], [-2 * third] * 4, [-third] * 4], "the prompt's tokens are in the loss; use the completion mask.": [[1, 1, 1, 1], [-2 * third] * 3 + [0], [0, -third, 0, 0]], "the prompt's tokens are in the loss; use the completion mask. ": [[1, 1, 1, 1], [-2 * third] * 3 + [0], [-third, -third, 0, 0]], "the mask is off by one: column t of the log-probs belongs to token t + 1, so cut the mask's first column.": [[0, 0, 1, 1], [0, 0, -2 * third, -2 * third], [0, 0, -third, 0]], 'the padding after the completion is in the loss; use the completion mask.': [[0, 1, 1, 1], [0] + [-2 * third] * 3, [0] + [-third] * 3], 'there is no baseline: use the leave-one-out advantages, not the rewards.': [[0, 1, 1, 1], [0, 0, 0, 0], [0, 0.2, 0, 0]], 'this is the mean over the tokens of a completion; the definition sums over tokens.': [[0, 1, 1, 1], [0, -1, -1, 0], [0, -1, 0, 0]], 'the end-of-text token is missing from the loss; the policy chose it, so it counts.': [[0, 1, 1, 0], [0, -2 * third, 0, 0], [0, 0, 0, 0]]}, name=f'reinforce_step: {shown}', atol=0.005)
    check(second, torch.tensor([[0.0, -2 * third, -2 * third, -2 * third], [0, 1, 1, 0], [0, -third, 0, 0]]), {'the gradients of the batch before are still there; call optimizer.zero_grad() before loss.backward().': [[0, 0.5, 0.5, 0.5], [0, 0.5, 0.5, 0], [0, -1, 0, 0]]}, name=f'reinforce_step, second call: {shown}', atol=0.005)
    assert run['optimizer_steps'] == 2, f"reinforce_step: optimizer.step() ran {run['optimizer_steps']} times in two calls; it must run once in each."

@test_case(points=1, hidden=False,
    success_message="A step reports loss and mean reward as floats, and leaves the policy in its mode.")
def test_reinforce_step_report(reinforce_step):
    """A step reports loss and mean reward as floats, and leaves the policy in its mode."""
    from helpers import worlds
    for training in (False, True):
        run = worlds.run('reinforce_table', reinforce_step, rewards=[[1.0, 0.0, 0.2]], training=training)
        result = run['results'][0]
        assert run['changes'][0].any(), 'reinforce_step: the policy did not change; the numbers count as the report of a step.'
        assert isinstance(result, dict), f'reinforce_step: return a dict of floats; you returned a {type(result).__name__}.'
        for key in ('loss', 'reward'):
            assert key in result, f'reinforce_step: the dict has no entry {key!r}.'
        for key, value in result.items():
            assert type(value) is float, f'reinforce_step: the entry {key!r} is a {type(value).__name__}; make it a Python float with .item().'
        assert abs(result['reward'] - 0.4) < 0.0001, "reinforce_step: 'reward' must be the mean reward of the batch."
        was, left = ('train', 'eval') if training else ('eval', 'train')
        assert run['training'] is training, f'reinforce_step: the policy came in {was} mode and was left in {left} mode. Leave the mode as it was.'
