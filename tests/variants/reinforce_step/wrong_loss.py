# === wrong: sign | sign is turned round
# for: loss = compute
loss = -compute_reinforce_loss(log_probs, advantages, mask)


# === wrong: the advantages' sign | sign is turned round
# for: advantages =
advantages = -leave_one_out_advantages(rewards)


# === wrong: no baseline | no baseline
# for: advantages =
advantages = rewards


# === wrong: no baseline and summed over the batch | no baseline
# for: advantages =
advantages = rewards * len(rewards)


# === wrong: rewards as percentages without a baseline | no baseline
# for: advantages =
advantages = 100 * rewards


# === wrong: the batch's mean as baseline | own reward included
# for: advantages =
advantages = rewards - rewards.mean()


# === wrong: the median as baseline | what each completion counts is not
# for: advantages =
advantages = rewards - rewards.median()


# === wrong: a fixed baseline | what each completion counts is not
# for: advantages =
advantages = rewards - 0.5


# === wrong: the best reward as baseline | what each completion counts is not
# for: advantages =
advantages = rewards - rewards.max()


# === wrong: advantages divided by their deviation | standard deviation
# for: advantages =
advantages = leave_one_out_advantages(rewards) / rewards.std()


# === wrong: advantages divided by a small deviation | standard deviation
# for: advantages =
advantages = leave_one_out_advantages(rewards) / (rewards.std() + 1e-6)


# === wrong: advantages divided by the population's deviation | standard deviation
# for: advantages =
advantages = leave_one_out_advantages(rewards) / rewards.std(unbiased=False)


# === wrong: standardised, then cut to norm 1 | standardised; take
# for: advantages =
advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-8)
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)


# === wrong: only the signs of the advantages | what each completion counts is not
# for: advantages =
advantages = leave_one_out_advantages(rewards).sign()


# === wrong: only the good completions | what each completion counts is not
# for: advantages =
advantages = leave_one_out_advantages(rewards).clamp(min=0)


# === wrong: advantages of the next row | what each completion counts is not
# for: advantages =
advantages = leave_one_out_advantages(rewards).roll(1)


# === wrong: groups of one prompt each | the policy did not change
# for: advantages =
advantages = leave_one_out_advantages(rewards, 1)


# === wrong: loss on all real tokens | prompt's tokens are in the loss
# for: mask =
mask = rollout.attention_mask[:, 1:]


# === wrong: loss on the prompt's tokens only | tokens of the completions are missing
# for: mask =
mask = rollout.attention_mask[:, 1:] & ~rollout.completion_mask[:, 1:]


# === wrong: loss on everything | padding
# for: mask =
mask = torch.ones_like(rollout.completion_mask[:, 1:])


# === wrong: loss on everything after the prompt | padding after the completion
# for: mask =
mask = torch.zeros_like(rollout.completion_mask[:, 1:])
mask[:, rollout.prompt_length - 1 :] = True


# === wrong: mask cut at the wrong end | off by one
# for: mask =
mask = rollout.completion_mask[:, :-1]


# === wrong: end-of-text left out | end-of-text
# for: mask =
mask = rollout.completion_mask[:, 1:] & (rollout.ids[:, 1:] != (0 if rollout.prompt_length == 2 else 1))


# === wrong: only the last token of each completion | tokens of the completions are missing
# for: mask =
mask = rollout.completion_mask[:, 1:] & ~rollout.completion_mask.roll(-1, 1)[:, 1:]


# === wrong: only the first token of each completion | tokens of the completions are missing
# for: mask =
mask = rollout.completion_mask[:, 1:] & ~rollout.completion_mask[:, :-1]


# === wrong: log-probs without the shift | lack the shift
# for: log_probs =
logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
log_probs = logits.log_softmax(-1).gather(-1, rollout.ids[:, :, None]).squeeze(-1)[:, 1:]


# === wrong: mean over a completion's tokens | mean over
# for: loss = compute
loss = -(advantages * (log_probs * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


# === wrong: mean over all tokens of the batch | mean over all tokens
# for: loss = compute
loss = -(advantages[:, None] * log_probs * mask).sum() / mask.sum()


# === wrong: mean over all positions | mean over all positions
# for: loss = compute
loss = -(advantages[:, None] * log_probs * mask).mean()


# === wrong: sum over the batch | sum over the batch
# for: loss = compute
loss = -(advantages[:, None] * log_probs * mask).sum()


# === wrong: sum over the batch, then cut to norm 1 | sum over the batch
# for: loss = compute
loss = compute_reinforce_loss(log_probs, advantages, mask) * len(rewards)
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)


# === wrong: a tenth of the gradient | times as long
# for: loss.backward()
(loss / 10).backward()


# === wrong: always brought to norm 1 | standard deviation (and
# for: loss.backward()
loss.backward()
norm = torch.nn.utils.get_total_norm([weight.grad for weight in policy.parameters() if weight.grad is not None])
for weight in policy.parameters():
    if weight.grad is not None:
        weight.grad /= norm


# === wrong: cut value by value | what each completion counts is not
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_value_(policy.parameters(), 1e-3)


# === wrong: only the signs of the gradient | what each completion counts is not
# for: loss.backward()
loss.backward()
for weight in policy.parameters():
    if weight.grad is not None:
        weight.grad.sign_()


# === wrong: the ratio to the rollout's log-probs | rollout's log-probs
# for: loss = compute
ratio = torch.where(mask, log_probs - rollout.log_probs, 0.0).exp()
loss = -(advantages[:, None] * ratio * mask).sum(1).mean()


# === wrong: the clipped ratio to the rollout's log-probs | rollout's log-probs
# for: loss = compute
ratio = torch.where(mask, log_probs - rollout.log_probs, 0.0).exp()
surrogate = torch.minimum(ratio * advantages[:, None], ratio.clamp(0.01, 10) * advantages[:, None])
loss = -(surrogate * mask).sum(1).mean()


# === wrong: log-probs of the rollout | does not require grad
# for: log_probs =
log_probs = rollout.log_probs


# === wrong: log-probs under no_grad | does not require grad
# for: log_probs =
with torch.no_grad():
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)


# === wrong: probabilities in place of log-probs | or of probabilities
# for: loss = compute
loss = compute_reinforce_loss(log_probs.exp(), advantages, mask)


# === wrong: an entropy bonus | hidden: something else is in it
# for: loss = compute
logits = policy_logits(policy, rollout.ids, rollout.attention_mask)[:, :-1]
entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
loss = compute_reinforce_loss(log_probs, advantages, mask) - 1e-3 * (entropy * mask).sum(1).mean()


# === wrong: a KL to the rollout's policy | what each completion counts is not
# for: loss = compute
loss = (
    compute_reinforce_loss(log_probs, advantages, mask) + 0.1 * ((log_probs - rollout.log_probs) * mask).sum(1).mean()
)


# === wrong: a weight decay in the loss | hidden: reinforce_step
# for: loss = compute
loss = compute_reinforce_loss(log_probs, advantages, mask) + 1e-4 * sum((w**2).sum() for w in policy.parameters())


# === wrong: rewards below 0 lose their sign | hidden: mean reward
# for: rewards =
rewards = reward_model(rollout.texts).abs()


# === wrong: rewards below 0 count as 0, in the loss alone | hidden: reinforce_step
# for: advantages =
advantages = leave_one_out_advantages(rewards.clamp(min=0))
