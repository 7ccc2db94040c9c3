# === wrong: not written | did not change
def reinforce_step(policy, optimizer, rollout, reward_model): ...


# === wrong: positions frozen | hidden: do not move
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if "wpe" in name:
        weight.grad = None


# === wrong: only the last layer moves | hidden: reinforce_step
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if ".h.0." in name or ".wte" in name:
        weight.grad = None


# === wrong: only the first half of the batch | what each completion counts is not
# for: loss = compute
half = len(rewards) // 2
loss = compute_reinforce_loss(log_probs[:half], advantages[:half], mask[:half])


# === wrong: two micro-batches, and only the last one's gradient | what each completion counts is not
# for: loss = compute
half = len(rewards) // 2
loss = compute_reinforce_loss(log_probs[half:], advantages[half:], mask[half:]) * (len(rewards) - half) / len(rewards)


# === wrong: a fixed batch size in the mean | times as long
# for: loss = compute
loss = -(advantages[:, None] * log_probs * mask).sum() / 16


# === wrong: scores the completions alone | hidden: rollout.texts
# for: rewards =
rewards = reward_model(rollout.completions)


# === wrong: scores the prompts alone | rollout.texts
# for: rewards =
rewards = reward_model(rollout.prompts)


# === wrong: positions that count the padding | the left-padding bug: the policy was not told the positions
# for: log_probs =
logits = policy(input_ids=rollout.ids, attention_mask=rollout.attention_mask.long()).logits
log_probs = token_log_probs(logits, rollout.ids)


# === wrong: no attention mask and no positions | the left-padding bug: the policy was not told what is padding
# for: log_probs =
log_probs = token_log_probs(policy(input_ids=rollout.ids).logits, rollout.ids)


# === wrong: positions without an attention mask | the left-padding bug: the policy was not told what is padding
# for: log_probs =
positions = (rollout.attention_mask.long().cumsum(1) - 1).clamp(min=0)
log_probs = token_log_probs(policy(input_ids=rollout.ids, position_ids=positions).logits, rollout.ids)


# === wrong: an attention mask of ones | the left-padding bug: the policy was not told what is padding
# for: log_probs =
log_probs = token_log_probs(policy_logits(policy, rollout.ids, torch.ones_like(rollout.attention_mask)), rollout.ids)


# === wrong: leaves the policy in train mode | leave the mode as it was
# for: rewards =
policy.train()
rewards = reward_model(rollout.texts)


# === wrong: leaves the policy in eval mode | leave the mode as it was
# for: rewards =
policy.eval()
rewards = reward_model(rollout.texts)


# === wrong: dropout switched on inside | run in train mode
# for: log_probs =
was = policy.training
policy.train()
log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
policy.train(was)


# === wrong: dropout left on in the layers | hidden: run in train mode
# for: log_probs =
for module in policy.children():
    module.train()
log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
policy.train()
policy.eval()


# === wrong: several epochs on one batch | once in each
# for: loss = compute
for _ in range(4):
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
loss = compute_reinforce_loss(
    token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids), advantages, mask
)


# === wrong: a step for each row | once in each
# for: loss = compute
for row in range(len(rewards)):
    part = slice(row, row + 1)
    logits = policy_logits(policy, rollout.ids[part], rollout.attention_mask[part])
    loss = compute_reinforce_loss(token_log_probs(logits, rollout.ids[part]), advantages[part], mask[part])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
loss = compute_reinforce_loss(token_log_probs(logits, rollout.ids), advantages, mask)


# === wrong: the advantage carries a gradient by way of the log-probs | what each completion counts is not
# for: loss = compute
summed = (log_probs * mask).sum(1)
loss = -(advantages * summed.exp() * summed).mean()


# === wrong: the batch's mask cleared in place | the batch was changed
# for: optimizer.step()
optimizer.step()
rollout.completion_mask.zero_()


# === wrong: the rollout's log-probs overwritten | the batch was changed
# for: optimizer.step()
optimizer.step()
rollout.log_probs.copy_(log_probs.detach())


# === wrong: a global seed set inside | a global seed
# for: rewards =
torch.manual_seed(0)
rewards = reward_model(rollout.texts)


# === wrong: NumPy's seed set inside | a global seed
# for: rewards =
np.random.seed(0)
rewards = reward_model(rollout.texts)


# === wrong: returns tensors | python float
# for: report =
report = {"loss": loss, "reward": rewards.mean().item()}


# === wrong: returns the loss alone | no entry 'reward'
# for: report =
report = {"loss": loss.item()}


# === wrong: returns the reward alone | no entry 'loss'
# for: report =
report = {"reward": rewards.mean().item()}


# === wrong: returns a number | return a dict
# for: report =
report = loss.item()


# === wrong: reports the sum of the rewards | mean reward
# for: report =
report = {"loss": loss.item(), "reward": rewards.sum().item()}


# === wrong: reports the mean advantage | mean reward
# for: report =
report = {"loss": loss.item(), "reward": advantages.mean().item()}


# === wrong: reports the best reward | mean reward
# for: report =
report = {"loss": loss.item(), "reward": rewards.max().item()}


# === wrong: reports a loss of 0 | it is 0
# for: report =
report = {"loss": 0.0, "reward": rewards.mean().item()}


# === wrong: reports the loss with its sign turned | sign is turned round
# for: report =
report = {"loss": -loss.item(), "reward": rewards.mean().item()}


# === wrong: reports the loss summed over the batch | sum over the batch
# for: report =
report = {"loss": loss.item() * len(rewards), "reward": rewards.mean().item()}


# === wrong: reports the loss a token | mean over tokens
# for: report =
report = {"loss": (loss * len(rewards) / mask.sum()).item(), "reward": rewards.mean().item()}


# === wrong: reports the loss after the update | hidden: after the update
# for: report =
with torch.no_grad():
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    loss = compute_reinforce_loss(log_probs, advantages, mask)
report = {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: the reward model is trained along | hidden: reward model
# for: optimizer.step()
optimizer.step()
inner = getattr(reward_model, "model", None)
if inner is not None:
    inner.requires_grad_(True)
    tokens = reward_model.tokenizer(rollout.texts, return_tensors="pt", padding=True)
    inner(**tokens).logits.sum().backward()
