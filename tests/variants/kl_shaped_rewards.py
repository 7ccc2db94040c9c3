# === right: masked sum of the log-ratio
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    log_ratio = (log_probs - reference_log_probs) * mask
    return (rewards - alpha * log_ratio.sum(dim=1)).detach()


# === right: no_grad and where
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    with torch.no_grad():
        ratio = torch.where(mask, log_probs - reference_log_probs, torch.zeros_like(log_probs))
        return rewards - alpha * torch.einsum("bt->b", ratio)


# === right: a loop over rows
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    shaped = rewards.detach().clone()
    for row in range(rewards.shape[0]):
        keep = mask[row]
        policy = log_probs[row][keep].detach().sum()
        reference = reference_log_probs[row][keep].detach().sum()
        shaped[row] -= alpha * (policy - reference)
    return shaped


# === right: by k1 of kl_estimates
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    k1 = kl_estimates(log_probs, reference_log_probs)["k1"]
    return rewards.detach() - alpha * k1.detach().masked_fill(~mask, 0).sum(-1)


# === wrong: the sign | sign
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards + alpha * ((log_probs - reference_log_probs) * mask).sum(1)).detach()


# === wrong: reference minus policy | sign
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((reference_log_probs - log_probs) * mask).sum(1)).detach()


# === wrong: no mask | mask
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * (log_probs - reference_log_probs).sum(1)).detach()


# === wrong: the mask the other way round | mask
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * ~mask).sum(1)).detach()


# === wrong: mean over the masked tokens | mean
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    ratio = (log_probs - reference_log_probs) * mask
    return (rewards - alpha * ratio.sum(1) / mask.sum(1).clamp(min=1)).detach()


# === wrong: mean over all tokens | mean
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).mean(1)).detach()


# === wrong: k3 instead of k1 | k3
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    d = torch.where(mask, log_probs - reference_log_probs, 0.0)
    return (rewards - alpha * ((-d).exp() - 1 + d).sum(1)).detach()


# === wrong: k2 instead of k1 | k2
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    d = torch.where(mask, log_probs - reference_log_probs, 0.0)
    return (rewards - alpha * (d**2 / 2).sum(1)).detach()


# === wrong: alpha left out | alpha
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - ((log_probs - reference_log_probs) * mask).sum(1)).detach()


# === wrong: divided by alpha | alpha
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - ((log_probs - reference_log_probs) * mask).sum(1) / (alpha or 1.0)).detach()


# === wrong: the batch's mean penalty for all | own
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).sum(1).mean()).detach()


# === wrong: the batch's total penalty for all | own
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).sum()).detach()


# === wrong: only the penalty | reward itself
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (-alpha * ((log_probs - reference_log_probs) * mask).sum(1)).detach()


# === wrong: reward and penalty mixed by alpha | 1 - alpha
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return ((1 - alpha) * rewards - alpha * ((log_probs - reference_log_probs) * mask).sum(1)).detach()


# === wrong: absolute log-ratios | absolute
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).abs().sum(1)).detach()


# === wrong: negative sums cut off | negative
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).sum(1).clamp(min=0)).detach()


# === wrong: negative tokens cut off | negative
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).clamp(min=0).sum(1)).detach()


# === wrong: forgot the reference | reference
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * (log_probs * mask).sum(1)).detach()


# === wrong: the reward counted once a token | once
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    per_token = rewards.unsqueeze(1) - alpha * (log_probs - reference_log_probs)
    return (per_token * mask).sum(1).detach()


# === wrong: per-token rewards | [B]
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards.unsqueeze(1) - alpha * (log_probs - reference_log_probs) * mask).detach()


# === wrong: probabilities instead of log-probs | log-prob
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs.exp() - reference_log_probs.exp()) * mask).sum(1)).detach()


# === wrong: not detached | gradient
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return rewards - alpha * ((log_probs - reference_log_probs) * mask).sum(1)


# === wrong: only the reference detached | gradient
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return rewards - alpha * ((log_probs - reference_log_probs.detach()) * mask).sum(1)


# === wrong: changes the rewards | in place
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    with torch.no_grad():
        rewards -= alpha * ((log_probs - reference_log_probs) * mask).sum(1)
    return rewards.detach()


# === wrong: divides masked tokens by their count, NaN for none | mean
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    ratio = (log_probs - reference_log_probs) * mask
    return (rewards - alpha * ratio.sum(1) / mask.sum(1)).detach()


# === wrong: a list of floats | tensor
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs) * mask).sum(1)).tolist()


# === wrong: rewards below 0 are taken for 0 | rewards below 0
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    difference = torch.where(mask, log_probs - reference_log_probs, 0.0)
    return (rewards.relu() - alpha * difference.sum(1)).detach()


# === wrong: log-probs clamped at -1000 | -9000
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    difference = torch.where(mask, log_probs.clamp(min=-1000) - reference_log_probs.clamp(min=-1000), 0.0)
    return (rewards - alpha * difference.sum(1)).detach()


# === wrong: log-ratios cut at 50 | hidden: -9000
def kl_shaped_rewards(rewards, log_probs, reference_log_probs, mask, alpha):
    return (rewards - alpha * ((log_probs - reference_log_probs).clamp(-50, 50) * mask).sum(1)).detach()
