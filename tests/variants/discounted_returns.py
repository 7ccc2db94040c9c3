# === right: from the back
def discounted_returns(rewards, discount):
    out, later = [], torch.zeros((), dtype=rewards.dtype)
    for r in rewards.flip(0):
        later = r + discount * later
        out.append(later)
    return torch.stack(out).flip(0)


# === right: matrix of powers
def discounted_returns(rewards, discount):
    T = len(rewards)
    steps = torch.arange(T, device=rewards.device)
    gap = steps[None, :] - steps[:, None]
    weights = torch.where(gap >= 0, float(discount) ** gap.clamp(min=0).double(), 0.0)
    return (weights @ rewards.double()).to(rewards.dtype)


# === right: double sum
def discounted_returns(rewards, discount):
    T = rewards.shape[0]
    return torch.stack([sum(discount ** (k - t) * rewards[k] for k in range(t, T)) for t in range(T)])


# === right: fills a new tensor from the back
def discounted_returns(rewards, discount):
    returns = [None] * len(rewards)
    returns[-1] = rewards[-1]
    for t in range(len(rewards) - 2, -1, -1):
        returns[t] = rewards[t] + discount * returns[t + 1]
    return torch.stack(returns)


# === wrong: past rewards | sums over the past
def discounted_returns(rewards, discount):
    out, s = [], 0.0
    for r in rewards:
        s = r + discount * s
        out.append(s)
    return torch.stack(out)


# === wrong: discounted rewards, no sum | these are discounted rewards
def discounted_returns(rewards, discount):
    return rewards * discount ** torch.arange(len(rewards))


# === wrong: present reward missing | present reward is missing
def discounted_returns(rewards, discount):
    out, later = [], rewards.new_zeros(())
    for r in rewards.flip(0):
        out.append(later)
        later = r + discount * later
    return torch.stack(out).flip(0)


# === wrong: only what comes after, discounted | present reward is missing
def discounted_returns(rewards, discount):
    out, later = [], rewards.new_zeros(())
    for r in rewards.flip(0):
        out.append(discount * later)
        later = r + discount * later
    return torch.stack(out).flip(0)


# === wrong: no discount | discount is not used
def discounted_returns(rewards, discount):
    return rewards.flip(0).cumsum(0).flip(0)


# === wrong: forgot to turn back | order is turned round
def discounted_returns(rewards, discount):
    out, later = [], rewards.new_zeros(())
    for r in rewards.flip(0):
        later = r + discount * later
        out.append(later)
    return torch.stack(out)


# === wrong: discounts from the start | counts the waiting time
def discounted_returns(rewards, discount):
    weighted = rewards * float(discount) ** torch.arange(len(rewards))
    return weighted.flip(0).cumsum(0).flip(0)


# === wrong: discounts the present too | discounted as well
def discounted_returns(rewards, discount):
    out, later = [], rewards.new_zeros(())
    for r in rewards.flip(0):
        later = discount * (r + later)
        out.append(later)
    return torch.stack(out).flip(0)


# === wrong: whole return everywhere | whole trajectory
def discounted_returns(rewards, discount):
    total = (rewards * float(discount) ** torch.arange(len(rewards))).sum()
    return total.repeat(len(rewards))


# === wrong: one number | one number for the whole trajectory
def discounted_returns(rewards, discount):
    return (rewards * float(discount) ** torch.arange(len(rewards))).sum()


# === wrong: one step ahead only | only one later reward
def discounted_returns(rewards, discount):
    return rewards + discount * torch.cat([rewards[1:], rewards.new_zeros(1)])


# === wrong: divides by the powers | discount of 0
def discounted_returns(rewards, discount):
    powers = float(discount) ** torch.arange(len(rewards), dtype=rewards.dtype)
    return (rewards * powers).flip(0).cumsum(0).flip(0) / powers


# === wrong: standardised | the result is not the expected one
def discounted_returns(rewards, discount):
    out, later = [], rewards.new_zeros(())
    for r in rewards.flip(0):
        later = r + discount * later
        out.append(later)
    g = torch.stack(out).flip(0)
    return (g - g.mean()) / (g.std() + 1e-8)


# === wrong: in place | in place
def discounted_returns(rewards, discount):
    if rewards.requires_grad:
        rewards = rewards.clone()
    for t in range(len(rewards) - 2, -1, -1):
        rewards[t] = rewards[t] + discount * rewards[t + 1]
    return rewards


# === wrong: through Python floats | no gradient flows
def discounted_returns(rewards, discount):
    out, later = [], 0.0
    for r in reversed(rewards.tolist()):
        later = r + discount * later
        out.append(later)
    return torch.tensor(out[::-1], dtype=rewards.dtype)


# === wrong: fills a float32 tensor | dtype
def discounted_returns(rewards, discount):
    result = torch.zeros(len(rewards))
    later = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        later = rewards[t] + discount * later
        result[t] = later
    return result


# === wrong: the sum ends after 128 rewards | 250 steps
def discounted_returns(rewards, discount):
    T = len(rewards)
    returns = torch.zeros_like(rewards)
    for t in range(T):
        later = rewards[t : t + 128]
        powers = torch.tensor(float(discount), dtype=rewards.dtype) ** torch.arange(len(later))
        returns[t] = (powers * later).sum()
    return returns
