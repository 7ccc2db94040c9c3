# === right: total minus own
def leave_one_out_advantages(rewards, group_size=None):
    rewards = rewards.detach()
    G = group_size or rewards.shape[0]
    if rewards.shape[0] % G:
        raise ValueError("not a whole number of groups")
    if G == 1:
        return torch.zeros_like(rewards)
    rows = rewards.view(-1, G)
    return (rows - (rows.sum(1, keepdim=True) - rows) / (G - 1)).view(-1)


# === right: scaled distance from the mean
def leave_one_out_advantages(rewards, group_size=None):
    with torch.no_grad():
        B = rewards.numel()
        G = B if group_size is None else group_size
        if B % G != 0:
            raise ValueError
        if G < 2:
            return rewards * 0
        groups = rewards.reshape(B // G, G)
        return ((groups - groups.mean(dim=1, keepdim=True)) * G / (G - 1)).reshape(B)


# === right: matrix with a zero diagonal
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size if group_size is not None else len(rewards)
    if len(rewards) % G:
        raise ValueError("group_size does not divide the batch")
    r = rewards.detach().reshape(-1, G)
    others = (1 - torch.eye(G, dtype=r.dtype, device=r.device)) / max(G - 1, 1)
    return (r - r @ others).flatten() if G > 1 else torch.zeros_like(rewards)


# === right: a loop over groups
def leave_one_out_advantages(rewards, group_size=None):
    rewards = rewards.detach()
    size = len(rewards) if group_size is None else group_size
    if len(rewards) % size > 0:
        raise ValueError("rest")
    result = []
    for group in rewards.split(size):
        for i, r in enumerate(group):
            others = torch.cat([group[:i], group[i + 1 :]])
            result.append(r - others.mean() if size > 1 else torch.zeros_like(r))
    return torch.stack(result)


# === right: mean of differences
@torch.no_grad()
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError(f"{len(rewards)} is no multiple of {G}")
    groups = rewards.view(-1, G)
    differences = groups[:, :, None] - groups[:, None, :]
    return differences.sum(dim=2).flatten() / max(G - 1, 1)


# === wrong: batch mean | leave the completion itself out
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    return (groups - groups.mean(dim=1, keepdim=True)).flatten()


# === wrong: the baseline itself | this is the baseline
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    return ((groups.sum(1, keepdim=True) - groups) / max(G - 1, 1)).flatten()


# === wrong: sign | sign is turned round
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return rewards.detach() * 0
    return ((groups.sum(1, keepdim=True) - groups) / (G - 1) - groups).flatten()


# === wrong: sum of the others | take their mean
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    return (groups - (groups.sum(1, keepdim=True) - groups)).flatten()


# === wrong: divided by B | there are B - 1
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    return (groups - (groups.sum(1, keepdim=True) - groups) / G).flatten()


# === wrong: own reward in the sum | must not be in its baseline
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return rewards.detach() * 0
    return (groups - groups.sum(1, keepdim=True) / (G - 1)).flatten()


# === wrong: divided by the standard deviation | does not normalise
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return rewards.detach() * 0
    return ((groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)) / groups.std(1, keepdim=True)).flatten()


# === wrong: standardised | does not normalise
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return rewards.detach() * 0
    return ((groups - groups.mean(1, keepdim=True)) / groups.std(1, keepdim=True)).flatten()


# === wrong: standardised with numpy's deviation | does not normalise
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    spread = groups.std(1, keepdim=True, unbiased=False)
    return ((groups - groups.mean(1, keepdim=True)) / (spread + 1e-8)).flatten()


# === wrong: rewards themselves | nothing was subtracted
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    return rewards.detach().clone()


# === wrong: not detached | carries a gradient
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.view(-1, G)
    if G == 1:
        return torch.zeros_like(rewards)
    return (groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)).flatten()


# === wrong: NaN for a batch of one | 0 / 0
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    return (groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)).flatten()


# === wrong: a batch of one keeps its reward | not the reward itself
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    return (groups - (groups.sum(1, keepdim=True) - groups) / max(G - 1, 1)).flatten()


# === wrong: an epsilon in the denominator | something added
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return rewards.detach() * 0
    return (groups - (groups.sum(1, keepdim=True) - groups) / (G - 1 + 1e-2)).flatten()


# === wrong: subtracts in place | in place
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return torch.zeros_like(rewards)
    groups -= (groups.sum(1, keepdim=True) - groups) / (G - 1)
    return groups.flatten()


# === wrong: returns a list | expected a tensor
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    result = []
    for group in rewards.detach().split(G):
        values = group.tolist()
        result += [r - (sum(values) - r) / (G - 1) if G > 1 else 0.0 for r in values]
    return result


# === wrong: always float32 | dtype
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().float().view(-1, G)
    if G == 1:
        return torch.zeros(len(rewards))
    return (groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)).flatten()


# === wrong: the absolute values of the rewards | rewards below 0
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if (groups < 0).all():
        groups = groups.abs()
    return rewards.detach() * 0 if G == 1 else (groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)).flatten()


# === wrong: no groups | group_size has no effect
def leave_one_out_advantages(rewards, group_size=None):
    rewards = rewards.detach()
    B = len(rewards)
    if group_size and B % group_size:
        raise ValueError
    return rewards * 0 if B == 1 else rewards - (rewards.sum() - rewards) / (B - 1)


# === wrong: every second reward is a group | runs of neighbours
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(G, -1)
    if G == 1:
        return rewards.detach() * 0
    return (groups - (groups.sum(0, keepdim=True) - groups) / (G - 1)).flatten()


# === wrong: one row for each group | one row for each group
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return torch.zeros_like(rewards)
    result = groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)
    return result if group_size else result[0]


# === wrong: the mean of the group's rewards with groups | leave the completion itself out
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return torch.zeros_like(rewards)
    mean = groups.mean(1, keepdim=True) if group_size else (groups.sum(1, keepdim=True) - groups) / (G - 1)
    return (groups - mean).flatten()


# === wrong: the other groups are the baseline | compare within a group
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    rewards = rewards.detach()
    groups = rewards.view(-1, G)
    if len(groups) == 1:
        return rewards * 0 if G == 1 else rewards - (rewards.sum() - rewards) / (G - 1)
    return (groups - (rewards.sum() - groups.sum(1, keepdim=True)) / (len(rewards) - G)).flatten()


# === wrong: a rest is a smaller group | must raise a ValueError
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    result = []
    for group in rewards.detach().split(G):
        n = len(group)
        result.append(group * 0 if n == 1 else group - (group.sum() - group) / (n - 1))
    return torch.cat(result)


# === wrong: a rest fails in view | must raise a ValueError
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    groups = rewards.detach().view(-1, G)
    if G == 1:
        return torch.zeros_like(rewards)
    return (groups - (groups.sum(1, keepdim=True) - groups) / (G - 1)).flatten()
