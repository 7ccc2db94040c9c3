# === right: plain
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    report = {"loss": loss.item(), "reward": rewards.mean().item()}
    return report


# === right: clips the norm, clears at the end
# for: optimizer.zero_grad()
pass
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
# for: optimizer.step()
optimizer.step()
optimizer.zero_grad(set_to_none=True)


# === right: one function without the others
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    was_training = policy.training
    policy.eval()
    with torch.no_grad():
        r = reward_model(rollout.texts)
        A = (r - r.mean()) * len(r) / (len(r) - 1)
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)[:, :-1]
    losses = F.cross_entropy(logits.transpose(1, 2), rollout.ids[:, 1:], reduction="none")
    loss = (A.to(losses)[:, None] * losses * rollout.completion_mask[:, 1:]).sum(1).mean()
    policy.zero_grad()
    loss.backward()
    optimizer.step()
    policy.train(was_training)
    return {"loss": float(loss), "reward": float(r.mean()), "length": float(rollout.lengths.float().mean())}


# === right: the ratio of the new to the old policy, before the first step
# for: loss.backward()
ratio = torch.exp(torch.where(mask, log_probs - log_probs.detach(), 0.0))
surrogate = -(advantages[:, None] * ratio * mask).sum(1).mean()
surrogate.backward()


# === right: two micro-batches, gradients added up
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    optimizer.zero_grad()
    total = 0.0
    for rows in torch.arange(len(rewards)).chunk(2):
        logits = policy_logits(policy, rollout.ids[rows], rollout.attention_mask[rows])
        log_probs = token_log_probs(logits, rollout.ids[rows])
        loss = compute_reinforce_loss(log_probs, advantages[rows], rollout.completion_mask[rows, 1:])
        loss = loss * len(rows) / len(rewards)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return {"loss": total, "reward": rewards.mean().item()}


# === right: row by row, without padding
def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = torch.cat([reward_model([text]) for text in rollout.texts])
    advantages = leave_one_out_advantages(rewards)
    terms = []
    for row in range(len(rollout)):
        real = rollout.attention_mask[row]
        ids, chosen = rollout.ids[row][real], rollout.completion_mask[row][real]
        log_p = policy(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
        picked = log_p[torch.arange(len(ids) - 1), ids[1:]]
        terms.append(-advantages[row] * picked[chosen[1:]].sum())
    loss = torch.stack(terms).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === right: the last column is not computed
# for: log_probs =
logits = policy_logits(policy, rollout.ids[:, :-1], rollout.attention_mask[:, :-1])
log_probs = logits.log_softmax(-1).gather(-1, rollout.ids[:, 1:, None]).squeeze(-1)


# === right: only the columns that some text needs
# for: log_probs =
width = int(rollout.attention_mask.sum(dim=0).nonzero().max()) + 1
log_probs = token_log_probs(
    policy_logits(policy, rollout.ids[:, :width], rollout.attention_mask[:, :width]), rollout.ids[:, :width]
)
# for: mask =
mask = rollout.completion_mask[:, 1:width]


# === right: clipping written by hand
# for: optimizer.step()
with torch.no_grad():
    norm = sum((w.grad**2).sum() for w in policy.parameters() if w.grad is not None).sqrt()
    for w in policy.parameters():
        if w.grad is not None:
            w.grad *= (0.5 / (norm + 1e-6)).clamp(max=1.0)
optimizer.step()


# === right: eval mode inside try and finally
# for: log_probs =
was = policy.training
policy.eval()
try:
    logits = policy_logits(policy, rollout.ids, rollout.attention_mask)
finally:
    policy.train(was)
log_probs = token_log_probs(logits, rollout.ids)


# === right: the loss in float64, and more numbers returned
# for: log_probs =
log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask).double(), rollout.ids)
# for: report =
report = {"loss": loss.item(), "reward": rewards.mean().item(), "best": max(rewards.tolist())}
report["norm"] = float(sum((w.grad**2).sum() for w in policy.parameters() if w.grad is not None).sqrt())


# === right: gradients by torch.autograd.grad
# for: loss.backward()
weights = [w for group in optimizer.param_groups for w in group["params"]]
for w, gradient in zip(weights, torch.autograd.grad(loss, weights)):
    w.grad = gradient


# === right: the optimizer is given a closure
# for: loss.backward()
pass


# for: optimizer.step()
def closure():
    loss.backward()
    return loss


optimizer.step(closure)


# === right: log-probs by a distribution, in a shuffled order
# for: log_probs =
order = torch.randperm(len(rewards))
advantages = advantages[order]
logits = policy_logits(policy, rollout.ids[order], rollout.attention_mask[order])
log_probs = torch.distributions.Categorical(logits=logits[:, :-1]).log_prob(rollout.ids[order][:, 1:])
# for: mask =
mask = rollout.completion_mask[order, 1:]


# === wrong: not written | did not change
def reinforce_step(policy, optimizer, rollout, reward_model): ...


# === wrong: no optimizer step | did not change
# for: optimizer.step()
pass


# === wrong: no backward | did not change
# for: loss.backward()
pass


# === wrong: gradients cleared after backward | did not change
# for: loss.backward()
loss.backward()
optimizer.zero_grad()


# === wrong: sign | sign is turned round
# for: loss = compute
loss = -compute_reinforce_loss(log_probs, advantages, mask)


# === wrong: the advantages' sign | sign is turned round
# for: advantages =
advantages = -leave_one_out_advantages(rewards)


# === wrong: gradients never cleared | zero_grad
# for: optimizer.zero_grad()
pass


# === wrong: gradients cleared at the first call only | zero_grad
# for: optimizer.zero_grad()
if all(weight.grad is None for weight in policy.parameters()):
    optimizer.zero_grad()


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


# === wrong: groups of one prompt each | takes; keep the names
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


# === wrong: a ten-thousandth of the gradient | times as long
# for: loss.backward()
(1e-4 * loss).backward()


# === wrong: cut to a norm of a thousandth | times as long
# for: loss.backward()
loss.backward()
torch.nn.utils.clip_grad_norm_(policy.parameters(), 1e-3)


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


# === wrong: a weight decay by hand | beside optimizer.step()
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight *= 1 - 1e-4


# === wrong: noise on the weights | beside optimizer.step()
# for: optimizer.step()
optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        weight += 1e-5 * torch.randn_like(weight)


# === wrong: gradient descent of its own beside an empty step | beside optimizer.step()
# for: optimizer.step()
with torch.no_grad():
    for weight in policy.parameters():
        if weight.grad is not None:
            weight -= optimizer.param_groups[0]["lr"] * weight.grad
optimizer.zero_grad()
optimizer.step()


# === wrong: an optimizer of its own | beside optimizer.step()
# for: optimizer.step()
torch.optim.SGD(policy.parameters(), lr=optimizer.param_groups[0]["lr"]).step()


# === wrong: a learning rate of its own | settings
# for: optimizer.step()
for group in optimizer.param_groups:
    group["lr"] = 1e-4
optimizer.step()


# === wrong: a learning rate that falls | settings
# for: optimizer.step()
optimizer.step()
for group in optimizer.param_groups:
    group["lr"] *= 0.999


# === wrong: layer norms frozen | hidden: do not move
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if ".ln_" in name:
        weight.grad = None


# === wrong: positions frozen | hidden: do not move
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if "wpe" in name:
        weight.grad = None


# === wrong: biases frozen | hidden: do not move
# for: loss.backward()
loss.backward()
for name, weight in policy.named_parameters():
    if name.endswith("bias"):
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


# === wrong: positions that count the padding | positions
# for: log_probs =
logits = policy(input_ids=rollout.ids, attention_mask=rollout.attention_mask.long()).logits
log_probs = token_log_probs(logits, rollout.ids)


# === wrong: no attention mask and no positions | padding
# for: log_probs =
log_probs = token_log_probs(policy(input_ids=rollout.ids).logits, rollout.ids)


# === wrong: positions without an attention mask | padding
# for: log_probs =
positions = (rollout.attention_mask.long().cumsum(1) - 1).clamp(min=0)
log_probs = token_log_probs(policy(input_ids=rollout.ids, position_ids=positions).logits, rollout.ids)


# === wrong: an attention mask of ones | padding
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


# === wrong: two optimizer steps | once in each
# for: optimizer.step()
optimizer.step()
optimizer.step()


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


# === wrong: returns nothing | return a dict
# for: return report
pass


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
