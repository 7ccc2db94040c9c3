# === right: view as groups
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    mean = groups.mean(dim=1, keepdim=True)
    std = groups.std(dim=1, keepdim=True, unbiased=False)
    return ((groups - mean) / (std + 1e-6)).flatten()


# === right: the standard deviation by hand
def group_advantages(rewards, group_size):
    with torch.no_grad():
        groups = rewards.reshape(-1, group_size)
        centred = groups - groups.mean(1, keepdim=True)
        spread = centred.square().mean(1, keepdim=True).sqrt()
        return (centred / (spread + 1e-6)).reshape(-1)


# === right: a loop over groups
def group_advantages(rewards, group_size):
    parts = []
    for group in rewards.detach().split(group_size):
        std = torch.sqrt(((group - group.mean()) ** 2).sum() / group.numel())
        parts.append((group - group.mean()) / (std + 1e-6))
    return torch.cat(parts)


# === wrong: the sample standard deviation | population
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-6)).flatten()


# === wrong: not divided | divide
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return (groups - groups.mean(1, keepdim=True)).flatten()


# === wrong: the whole batch as one group | treated as one group
def group_advantages(rewards, group_size):
    rewards = rewards.detach()
    return (rewards - rewards.mean()) / (rewards.std(unbiased=False) + 1e-6)


# === wrong: the whole batch, sample standard deviation | treated as one group
def group_advantages(rewards, group_size):
    rewards = rewards.detach()
    return (rewards - rewards.mean()) / (rewards.std() + 1e-6)


# === wrong: the batch's standard deviation | standard deviation
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return ((groups - groups.mean(1, keepdim=True)) / (groups.std(unbiased=False) + 1e-6)).flatten()


# === wrong: groups interleaved | consecutive
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(group_size, -1)
    std = groups.std(0, keepdim=True, unbiased=False)
    return ((groups - groups.mean(0, keepdim=True)) / (std + 1e-6)).flatten()


# === wrong: group_size taken for the number of groups | number of groups
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(group_size, -1)
    std = groups.std(1, keepdim=True, unbiased=False)
    return ((groups - groups.mean(1, keepdim=True)) / (std + 1e-6)).flatten()


# === wrong: divided by the variance | variance
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    variance = groups.var(1, keepdim=True, unbiased=False)
    return ((groups - groups.mean(1, keepdim=True)) / (variance + 1e-6)).flatten()


# === wrong: leave-one-out instead of the mean | leave-one-out
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    others = (groups.sum(1, keepdim=True) - groups) / max(group_size - 1, 1)
    return (groups - others).flatten()


# === wrong: leave-one-out, divided | leave-one-out
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    others = (groups.sum(1, keepdim=True) - groups) / max(group_size - 1, 1)
    return ((groups - others) / (groups.std(1, keepdim=True, unbiased=False) + 1e-6)).flatten()


# === wrong: no mean taken off | mean
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return (groups / (groups.std(1, keepdim=True, unbiased=False) + 1e-6)).flatten()


# === wrong: the sign | sign
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return ((groups.mean(1, keepdim=True) - groups) / (groups.std(1, keepdim=True, unbiased=False) + 1e-6)).flatten()


# === wrong: scaled to 0..1 | between 0 and 1
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
    return ((groups - low) / (high - low + 1e-6)).flatten()


# === wrong: NaN where a group is constant | equal
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return ((groups - groups.mean(1, keepdim=True)) / groups.std(1, keepdim=True, unbiased=False)).flatten()


# === wrong: a larger epsilon | millionth
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True, unbiased=False) + 1e-4)).flatten()


# === wrong: left as a table | [B]
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    return (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True, unbiased=False) + 1e-6)


# === wrong: carries a gradient | gradient
def group_advantages(rewards, group_size):
    groups = rewards.view(-1, group_size)
    std = groups.std(1, keepdim=True, unbiased=False).detach()
    return ((groups - groups.mean(1, keepdim=True)) / (std + 1e-6)).flatten()


# === wrong: changes its argument | in place
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    std = groups.std(1, keepdim=True, unbiased=False)
    groups -= groups.mean(1, keepdim=True)
    return (groups / (std + 1e-6)).flatten()


# === wrong: the median | median
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    std = groups.std(1, keepdim=True, unbiased=False)
    return ((groups - groups.median(1, keepdim=True).values) / (std + 1e-6)).flatten()


# === wrong: not written yet | not written yet
def group_advantages(rewards, group_size): ...


# === wrong: one group loses its axis | shape
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    std = groups.std(dim=1, keepdim=True, unbiased=False)
    return (
        ((groups - groups.mean(1, keepdim=True)) / (std + 1e-6)).squeeze().flatten()
        if rewards.numel() > 1
        else rewards.detach().squeeze() * 0
    )


# === wrong: the sign where all rewards are below 0 | rewards below 0
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    if (groups < 0).all():
        groups = groups.abs()
    std = groups.std(dim=1, keepdim=True, unbiased=False)
    return ((groups - groups.mean(1, keepdim=True)) / (std + 1e-6)).flatten()


# === wrong: the constant inside the root | inside the root
def group_advantages(rewards, group_size):
    groups = rewards.detach().view(-1, group_size)
    centred = groups - groups.mean(dim=1, keepdim=True)
    return (centred / (centred.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()).flatten()
