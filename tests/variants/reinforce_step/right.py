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


# === right: log-probs by a distribution, in a shuffled order
# for: log_probs =
order = torch.randperm(len(rewards))
advantages = advantages[order]
logits = policy_logits(policy, rollout.ids[order], rollout.attention_mask[order])
log_probs = torch.distributions.Categorical(logits=logits[:, :-1]).log_prob(rollout.ids[order][:, 1:])
# for: mask =
mask = rollout.completion_mask[order, 1:]
