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
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === right: clips the norm, clears at the end
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"loss": loss.item(), "reward": rewards.mean().item()}


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
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    ratio = torch.exp(torch.where(mask, log_probs - log_probs.detach(), 0.0))
    loss = -(advantages[:, None] * ratio * mask).sum(1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: no optimizer step | did not change
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: no backward | did not change
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: gradients cleared after backward | did not change
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: sign | sign is turned round
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = -compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: gradients never cleared | zero_grad
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: no baseline | no baseline
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = rewards
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: no baseline and summed over the batch | no baseline
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = rewards * len(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: rewards as percentages without a baseline | no baseline
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = 100 * rewards
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: loss on all real tokens | prompt's tokens are in the loss
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.attention_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: loss on the prompt's tokens only | reinforce_step
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.attention_mask[:, 1:] & ~rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: loss on everything | padding
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = torch.ones_like(rollout.completion_mask[:, 1:])
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: loss on everything after the prompt | padding after the completion
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = torch.zeros_like(rollout.completion_mask[:, 1:])
    mask[:, rollout.prompt_length - 1 :] = True
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: mask cut at the wrong end | off by one
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, :-1]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: end-of-text left out | end-of-text
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:] & (rollout.ids[:, 1:] != (0 if rollout.prompt_length == 2 else 1))
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: mean over tokens | mean over
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = -(advantages * (log_probs * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: scores the completions alone | rollout.texts
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.completions)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: log-probs of the rollout | does not require grad
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = rollout.log_probs
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: log-probs under no_grad | does not require grad
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    with torch.no_grad():
        log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: leaves the policy in train mode | leave the mode as it was
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    policy.train()
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: leaves the policy in eval mode | leave the mode as it was
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    policy.eval()
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: two optimizer steps | once in each
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
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: several epochs on one batch | once in each
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    for _ in range(4):
        log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
        loss = compute_reinforce_loss(log_probs, advantages, rollout.completion_mask[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: the advantage carries a gradient by way of the log-probs | reinforce_step
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    weights = advantages * (log_probs * mask).sum(1).exp()
    loss = -(weights * (log_probs * mask).sum(1)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: returns tensors | python float
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
    return {"loss": loss, "reward": rewards.mean().item()}


# === wrong: returns only the loss | no entry 'reward'
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
    return {"loss": loss.item()}


# === wrong: returns nothing | return a dict
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


# === wrong: reports the sum of the rewards | mean reward
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
    return {"loss": loss.item(), "reward": rewards.sum().item()}


# === wrong: advantages divided by a small deviation | times as large
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model):
    rewards = reward_model(rollout.texts)
    advantages = leave_one_out_advantages(rewards) / (rewards.std() + 1e-6)
    log_probs = token_log_probs(policy_logits(policy, rollout.ids, rollout.attention_mask), rollout.ids)
    mask = rollout.completion_mask[:, 1:]
    loss = compute_reinforce_loss(log_probs, advantages, mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: the reward model is trained along | reward model
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
    inner = getattr(reward_model, "model", None)
    if inner is not None:
        inner.requires_grad_(True)
        tokens = reward_model.tokenizer(rollout.texts, return_tensors="pt", padding=True)
        inner(**tokens).logits.sum().backward()
    return {"loss": loss.item(), "reward": rewards.mean().item()}


# === wrong: not written | did not change
from helpers.models import policy_logits


def reinforce_step(policy, optimizer, rollout, reward_model): ...
