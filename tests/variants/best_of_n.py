# === right: sorted, with binomial weights
def best_of_n(rewards, n):
    K = rewards.size(1)
    refused = n < 1 or n > K
    if refused:
        raise ValueError("n must be between 1 and K")
    ordered = rewards.to(torch.float64).sort(dim=1).values
    ways = torch.tensor([math.comb(i, n - 1) for i in range(K)], dtype=torch.float64, device=rewards.device)
    best = ordered @ ways / math.comb(K, n)
    result = best.mean().item()
    return result


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
# for: best =
best = rewards.double()[:, :n].amax(1)


# === wrong: with replacement | drawn twice
# for: best =
best = ordered @ ordered.new_tensor([((i + 1) / K) ** n - (i / K) ** n for i in range(K)])


# === wrong: the best of all K | maximum of all K
# for: best =
best = ordered[:, -1]


# === wrong: the mean | mean reward
# for: best =
best = ordered.mean(1)


# === wrong: blocks of neighbours | neighbouring blocks
# for: best =
best = rewards.double()[:, : K // n * n].reshape(len(rewards), -1, n).amax(2).mean(1)


# === wrong: sorted downwards | expected minimum
# for: ordered =
ordered = rewards.double().sort(dim=1, descending=True).values


# === wrong: the mean of the n largest | n largest
# for: best =
best = ordered[:, -n:].mean(1)


# === wrong: the n-th largest | n-th largest
# for: best =
best = ordered[:, -n]


# === wrong: the prompts thrown together | thrown together
# for: ordered =
ordered = rewards.double().reshape(1, -1).sort(dim=1).values
K = ordered.numel()


# === wrong: over the prompts | among the prompts
# for: ordered =
ordered = rewards.double().T.sort(dim=1).values
K = ordered.size(1)
# for: best =
best = ordered @ ways / max(math.comb(K, n), 1)


# === wrong: one number a prompt | one number is asked for
# for: result =
result = best


# === wrong: a tensor | a Python float is asked for
# for: result =
result = best.mean()


# === wrong: nothing is refused | must raise a ValueError
# for: refused =
refused = False
# for: ways =
ways = ordered.new_tensor([math.comb(i, max(n, 1) - 1) for i in range(K)])
# for: best =
best = ordered @ ways / max(math.comb(K, max(n, 0)), 1)


# === wrong: n = 0 is the mean | must raise a ValueError
# for: refused =
n = max(n, 1)
refused = n > K


# === wrong: rewards rounded | compute in float64
# for: ordered =
ordered = rewards.double().round(decimals=4).sort(dim=1).values


# === wrong: sorted in place | in place
# for: ordered =
rewards.data[:] = rewards.data.sort(1).values
ordered = rewards.double()


# === wrong: rewards below 0 count as 0 | below 0
# for: ordered =
ordered = rewards.double().clamp(min=0).sort(dim=1).values
