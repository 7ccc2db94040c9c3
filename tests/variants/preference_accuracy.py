# === right: wins and half of the ties
def preference_accuracy(chosen_rewards, rejected_rewards):
    wins = (chosen_rewards > rejected_rewards).float()
    ties = (chosen_rewards == rejected_rewards).float()
    return (wins + 0.5 * ties).mean().item()


# === right: plain Python
def preference_accuracy(chosen_rewards, rejected_rewards):
    points = 0.0
    for c, r in zip(chosen_rewards.tolist(), rejected_rewards.tolist()):
        points += 1.0 if c > r else 0.5 if c == r else 0.0
    return points / len(chosen_rewards)


# === right: the sign of the difference
def preference_accuracy(chosen_rewards, rejected_rewards):
    signs = torch.sign(chosen_rewards.double() - rejected_rewards.double())
    return float((signs.mean() + 1) / 2)


# === right: heaviside
def preference_accuracy(chosen_rewards, rejected_rewards):
    difference = (chosen_rewards - rejected_rewards).double()
    return torch.heaviside(difference, torch.tensor(0.5, dtype=torch.float64)).mean().item()


# === right: two counts
def preference_accuracy(chosen_rewards, rejected_rewards):
    at_least = (chosen_rewards >= rejected_rewards).sum().item()
    more = (chosen_rewards > rejected_rewards).sum().item()
    return (at_least + more) / (2 * chosen_rewards.numel())


# === wrong: not written yet | not written yet
def preference_accuracy(chosen_rewards, rejected_rewards): ...


# === wrong: ties count nothing | one half, not 0
def preference_accuracy(chosen_rewards, rejected_rewards):
    return (chosen_rewards > rejected_rewards).float().mean().item()


# === wrong: ties count as won | one half, not 1
def preference_accuracy(chosen_rewards, rejected_rewards):
    return (chosen_rewards >= rejected_rewards).float().mean().item()


# === wrong: swapped | chosen and rejected are swapped
def preference_accuracy(chosen_rewards, rejected_rewards):
    wins = (rejected_rewards > chosen_rewards).float() + 0.5 * (rejected_rewards == chosen_rewards).float()
    return wins.mean().item()


# === wrong: swapped, ties count nothing | chosen and rejected are swapped
def preference_accuracy(chosen_rewards, rejected_rewards):
    return (chosen_rewards < rejected_rewards).float().mean().item()


# === wrong: ties are left out | leave no pair out
def preference_accuracy(chosen_rewards, rejected_rewards):
    different = chosen_rewards != rejected_rewards
    return (chosen_rewards[different] > rejected_rewards[different]).float().mean().item()


# === wrong: a count | not a count
def preference_accuracy(chosen_rewards, rejected_rewards):
    ties = (chosen_rewards == rejected_rewards).float()
    return ((chosen_rewards > rejected_rewards).float() + ties / 2).sum().item()


# === wrong: per cent | per cent
def preference_accuracy(chosen_rewards, rejected_rewards):
    ties = (chosen_rewards == rejected_rewards).float()
    return 100 * ((chosen_rewards > rejected_rewards).float() + ties / 2).mean().item()


# === wrong: compared with zero | not with 0
def preference_accuracy(chosen_rewards, rejected_rewards):
    return ((chosen_rewards > 0).float() + (chosen_rewards == 0).float() / 2).mean().item()


# === wrong: one number per pair | not one per pair
def preference_accuracy(chosen_rewards, rejected_rewards):
    return (chosen_rewards > rejected_rewards).float() + 0.5 * (chosen_rewards == rejected_rewards).float()


# === wrong: the mean margin | mean margin
def preference_accuracy(chosen_rewards, rejected_rewards):
    return (chosen_rewards - rejected_rewards).mean().item()


# === wrong: a tensor | Python float
def preference_accuracy(chosen_rewards, rejected_rewards):
    ties = (chosen_rewards == rejected_rewards).float()
    return ((chosen_rewards > rejected_rewards).float() + ties / 2).mean()


# === wrong: divided twice | divide by the number of pairs once
def preference_accuracy(chosen_rewards, rejected_rewards):
    ties = (chosen_rewards == rejected_rewards).float()
    return ((chosen_rewards > rejected_rewards).float() + ties / 2).mean().item() / len(chosen_rewards)


# === wrong: a sigmoid of the margin | mean of σ
def preference_accuracy(chosen_rewards, rejected_rewards):
    return torch.sigmoid(chosen_rewards - rejected_rewards).mean().item()


# === wrong: all or nothing | all or nothing
def preference_accuracy(chosen_rewards, rejected_rewards):
    return float((chosen_rewards > rejected_rewards).all())


# === wrong: the sum of the rewards compared | sums of the rewards
def preference_accuracy(chosen_rewards, rejected_rewards):
    return float(chosen_rewards.sum() > rejected_rewards.sum())


# === wrong: decided in bfloat16 | nearly tie
def preference_accuracy(chosen_rewards, rejected_rewards):
    difference = chosen_rewards.bfloat16() - rejected_rewards.bfloat16()
    return (torch.sign(difference).double() / 2 + 0.5).mean().item()


# === wrong: differences below a thousandth are ties | nearly tie
def preference_accuracy(chosen_rewards, rejected_rewards):
    difference = chosen_rewards.double() - rejected_rewards.double()
    difference = torch.where(difference.abs() < 1e-3, 0.0, difference)
    return (torch.sign(difference) / 2 + 0.5).mean().item()


# === wrong: nearly equal rewards count as ties | hidden: apart
def preference_accuracy(chosen_rewards, rejected_rewards):
    t = torch.isclose(chosen_rewards, rejected_rewards)
    return float((torch.where(t, 0.5, (chosen_rewards > rejected_rewards).double())).mean())


# === wrong: differences below a hundred-millionth are ties | hidden: size 1e-10
def preference_accuracy(chosen_rewards, rejected_rewards):
    difference = chosen_rewards.double() - rejected_rewards.double()
    difference = torch.where(difference.abs() < 1e-8, 0.0, difference)
    return (torch.sign(difference) / 2 + 0.5).mean().item()
