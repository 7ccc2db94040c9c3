# === right: total minus own
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    B = rewards.shape[0]
    if B == 1:
        return torch.zeros_like(rewards)
    return rewards - (rewards.sum() - rewards) / (B - 1)


# === right: scaled distance from the mean
def leave_one_out_advantages(rewards):
    with torch.no_grad():
        B = rewards.numel()
        if B < 2:
            return rewards * 0
        return (rewards - rewards.mean()) * B / (B - 1)


# === right: matrix with a zero diagonal
def leave_one_out_advantages(rewards):
    r = rewards.detach()
    B = len(r)
    others = (1 - torch.eye(B, dtype=r.dtype, device=r.device)) / max(B - 1, 1)
    return (r - others @ r) if B > 1 else torch.zeros_like(r)


# === right: a loop
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return torch.zeros_like(rewards)
    result = [r - torch.cat([rewards[:i], rewards[i + 1 :]]).mean() for i, r in enumerate(rewards)]
    return torch.stack(result)


# === right: mean of differences
@torch.no_grad()
def leave_one_out_advantages(rewards):
    differences = rewards[:, None] - rewards[None, :]
    return differences.sum(dim=1) / max(len(rewards) - 1, 1)


# === wrong: batch mean | leave the completion itself out
def leave_one_out_advantages(rewards):
    return (rewards - rewards.mean()).detach()


# === wrong: the baseline itself | this is the baseline
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    return (rewards.sum() - rewards) / max(len(rewards) - 1, 1)


# === wrong: sign | sign is turned round
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return rewards * 0
    return (rewards.sum() - rewards) / (len(rewards) - 1) - rewards


# === wrong: sum of the others | take their mean
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    return rewards - (rewards.sum() - rewards)


# === wrong: divided by B | there are B - 1
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    return rewards - (rewards.sum() - rewards) / len(rewards)


# === wrong: own reward in the sum | must not be in its baseline
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return rewards * 0
    return rewards - rewards.sum() / (len(rewards) - 1)


# === wrong: divided by the standard deviation | does not normalise
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return rewards * 0
    return (rewards - (rewards.sum() - rewards) / (len(rewards) - 1)) / rewards.std()


# === wrong: standardised | does not normalise
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return rewards * 0
    return (rewards - rewards.mean()) / rewards.std()


# === wrong: standardised with numpy's deviation | does not normalise
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    return (rewards - rewards.mean()) / (rewards.std(unbiased=False) + 1e-8)


# === wrong: rewards themselves | nothing was subtracted
def leave_one_out_advantages(rewards):
    return rewards.detach().clone()


# === wrong: not detached | carries a gradient
def leave_one_out_advantages(rewards):
    if len(rewards) == 1:
        return torch.zeros_like(rewards)
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1)


# === wrong: NaN for a batch of one | 0 / 0
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1)


# === wrong: a batch of one keeps its reward | not the reward itself
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    return rewards - (rewards.sum() - rewards) / max(len(rewards) - 1, 1)


# === wrong: an epsilon in the denominator | something added
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return rewards * 0
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1 + 1e-2)


# === wrong: subtracts in place | in place
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if len(rewards) == 1:
        return torch.zeros_like(rewards)
    baseline = (rewards.sum() - rewards) / (len(rewards) - 1)
    rewards -= baseline
    return rewards


# === wrong: returns a list | expected a tensor
def leave_one_out_advantages(rewards):
    values = rewards.tolist()
    n = max(len(values) - 1, 1)
    return [r - (sum(values) - r) / n for r in values] if len(values) > 1 else [0.0]


# === wrong: always float32 | dtype
def leave_one_out_advantages(rewards):
    r = rewards.detach().float()
    return torch.zeros_like(r) if len(r) == 1 else r - (r.sum() - r) / (len(r) - 1)


# === wrong: the absolute values of the rewards | rewards below 0
def leave_one_out_advantages(rewards):
    rewards = rewards.detach()
    if (rewards < 0).all():
        rewards = rewards.abs()
    B = rewards.shape[0]
    return rewards * 0 if B == 1 else rewards - (rewards.sum() - rewards) / (B - 1)
