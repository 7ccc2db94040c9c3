# === right: total minus own
def leave_one_out_advantages(rewards, group_size=None):
    G = group_size or len(rewards)
    if len(rewards) % G:
        raise ValueError("no whole number of groups")
    rows = rewards.detach().view(-1, G)
    others = (rows.sum(1, keepdim=True) - rows) / max(G - 1, 1)
    result = rows - others if G > 1 else torch.zeros_like(rows)
    return result.flatten()


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
# for: others =
others = rows.mean(dim=1, keepdim=True)


# === wrong: the baseline itself | this is the baseline
# for: result =
result = others


# === wrong: sign | sign is turned round
# for: result =
result = others - rows if G > 1 else torch.zeros_like(rows)


# === wrong: sum of the others | take their mean
# for: others =
others = rows.sum(1, keepdim=True) - rows


# === wrong: divided by B | there are B - 1
# for: others =
others = (rows.sum(1, keepdim=True) - rows) / G


# === wrong: own reward in the sum | must not be in its baseline
# for: others =
others = rows.sum(1, keepdim=True) / max(G - 1, 1)


# === wrong: divided by the standard deviation | does not normalise
# for: result =
result = (rows - others) / rows.std(1, keepdim=True) if G > 1 else torch.zeros_like(rows)


# === wrong: standardised | does not normalise
# for: others =
others = rows.mean(1, keepdim=True)
# for: result =
result = (rows - others) / rows.std(1, keepdim=True) if G > 1 else torch.zeros_like(rows)


# === wrong: standardised with numpy's deviation | does not normalise
# for: others =
others = rows.mean(1, keepdim=True)
# for: result =
result = (rows - others) / (rows.std(1, keepdim=True, unbiased=False) + 1e-8)


# === wrong: rewards themselves | nothing was subtracted
# for: result =
result = rows.clone()


# === wrong: not detached | carries a gradient
# for: rows = rewards
rows = rewards.view(-1, G)


# === wrong: NaN for a batch of one | 0 / 0
# for: others =
others = (rows.sum(1, keepdim=True) - rows) / (G - 1)
# for: result =
result = rows - others


# === wrong: a batch of one keeps its reward | not the reward itself
# for: result =
result = rows - others


# === wrong: an epsilon in the denominator | something added
# for: others =
others = (rows.sum(1, keepdim=True) - rows) / max(G - 1 + 1e-2, 1)


# === wrong: subtracts in place | in place
# for: result =
result = rows.sub_(others) if G > 1 else torch.zeros_like(rows)


# === wrong: always float32 | dtype
# for: rows = rewards
rows = rewards.detach().float().view(-1, G)


# === wrong: the absolute values of the rewards | rewards below 0
# for: rows = rewards
rows = rewards.detach().view(-1, G)
rows = rows.abs() if (rows < 0).all() else rows


# === wrong: every second reward is a group | runs of neighbours
# for: rows = rewards
rows = rewards.detach().view(G, -1).T
# for: result =
result = (rows - others if G > 1 else torch.zeros_like(rows)).T


# === wrong: the mean of the group's rewards with groups | leave the completion itself out
# for: others =
others = (rows.sum(1, keepdim=True) - rows) / max(G - 1, 1)
others = rows.mean(1, keepdim=True) if group_size else others


# === wrong: the other groups are the baseline | compare within a group
# for: others =
others = (rows.sum(1, keepdim=True) - rows) / max(G - 1, 1)
others = (rows.sum() - rows.sum(1, keepdim=True)) / (rows.numel() - G) if len(rows) > 1 else others


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


# === wrong: no groups | group_size has no effect
def leave_one_out_advantages(rewards, group_size=None):
    rewards = rewards.detach()
    B = len(rewards)
    if group_size and B % group_size:
        raise ValueError
    return rewards * 0 if B == 1 else rewards - (rewards.sum() - rewards) / (B - 1)


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
