# === right: sorted, with binomial weights
def best_of_n(rewards, n):
    K = rewards.size(1)
    if n < 1 or n > K:
        raise ValueError("n must be between 1 and K")
    ordered, _ = torch.sort(rewards.to(torch.float64), dim=1)
    total = 0.0
    for i in range(n - 1, K):
        total = total + ordered[:, i] * math.comb(i, n - 1)
    return float((total / math.comb(K, n)).mean())


# === right: every choice
def best_of_n(rewards, n):
    if not 0 < n <= rewards.shape[1]:
        raise ValueError(n)
    from itertools import combinations

    r = rewards.detach().double()
    maxima = [r[:, list(choice)].max(dim=1).values for choice in combinations(range(r.shape[1]), n)]
    return torch.stack(maxima).mean().item()


# === right: python numbers
def best_of_n(rewards, n):
    from itertools import combinations

    means = []
    for row in rewards.tolist():
        if not 1 <= n <= len(row):
            raise ValueError(f"{n} of {len(row)}")
        choices = list(combinations(row, n))
        means.append(sum(map(max, choices)) / len(choices))
    return sum(means) / len(means)


# === right: chances that all lie below
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if n < 1 or n > K:
        raise ValueError("no such n")
    below = np.array([math.comb(i, n) / math.comb(K, n) for i in range(K + 1)])
    ordered = np.sort(rewards.detach().double().numpy(force=True), axis=1)
    return float((ordered * np.diff(below)).sum(1).mean())


# === wrong: the first n | only the first n
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    return rewards.double()[:, :n].amax(1).mean().item()


# === wrong: with replacement | drawn twice
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    ordered = rewards.double().sort(1).values
    chance = torch.tensor([((i + 1) / K) ** n - (i / K) ** n for i in range(K)], dtype=torch.float64)
    return (ordered @ chance).mean().item()


# === wrong: the best of all K | maximum of all K
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    return rewards.double().amax(1).mean().item()


# === wrong: the mean | mean reward
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    return rewards.double().mean().item()


# === wrong: blocks of neighbours | neighbouring blocks
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    blocks = rewards.double()[:, : K // n * n].reshape(len(rewards), -1, n)
    return blocks.amax(2).mean().item()


# === wrong: sorted downwards | expected minimum
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    ordered = rewards.double().sort(1, descending=True).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways / math.comb(K, n)).mean().item()


# === wrong: the mean of the n largest | n largest
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    return rewards.double().topk(n, dim=1).values.mean().item()


# === wrong: the n-th largest | n-th largest
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    return rewards.double().topk(n, dim=1).values[:, -1].mean().item()


# === wrong: the prompts thrown together | thrown together
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    ordered = rewards.double().flatten().sort().values
    K = len(ordered)
    ways = torch.tensor([math.comb(i, n - 1) / math.comb(K, n) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways).item()


# === wrong: over the prompts | among the prompts
def best_of_n(rewards, n):
    if not 1 <= n <= rewards.shape[1]:
        raise ValueError
    ordered = rewards.double().sort(0).values
    P = len(ordered)
    ways = torch.tensor([math.comb(i, n - 1) for i in range(P)], dtype=torch.float64)
    return (ways @ ordered / max(math.comb(P, n), 1)).mean().item()


# === wrong: one number a prompt | one number is asked for
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    ordered = rewards.double().sort(1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return ordered @ ways / math.comb(K, n)


# === wrong: a tensor | a Python float is asked for
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    ordered = rewards.double().sort(1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways / math.comb(K, n)).mean()


# === wrong: nothing is refused | must raise a ValueError
def best_of_n(rewards, n):
    K = rewards.shape[1]
    ordered = rewards.double().sort(1).values
    ways = torch.tensor([math.comb(i, max(n, 1) - 1) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways / max(math.comb(K, n), 1)).mean().item()


# === wrong: n = 0 is the mean | must raise a ValueError
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if n > K:
        raise ValueError
    n = max(n, 1)
    ordered = rewards.double().sort(1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways / math.comb(K, n)).mean().item()


# === wrong: rewards rounded | compute in float64
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    ordered = rewards.double().round(decimals=4).sort(1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways / math.comb(K, n)).mean().item()


# === wrong: sorted in place | in place
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    rewards.data[:] = rewards.data.sort(1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return (rewards.double() @ ways / math.comb(K, n)).mean().item()


# === wrong: rewards below 0 count as 0 | below 0
def best_of_n(rewards, n):
    K = rewards.shape[1]
    if not 1 <= n <= K:
        raise ValueError
    ordered = rewards.double().clamp(min=0).sort(1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64)
    return (ordered @ ways / math.comb(K, n)).mean().item()
