# === right: a table of worths, then the formula
def exact_shapley_values(value, players):
    worth = {}
    for size in range(players + 1):
        for members in itertools.combinations(range(players), size):
            worth[frozenset(members)] = value(frozenset(members))
    result = torch.zeros(players, dtype=torch.float64)
    for i in range(players):
        others = [p for p in range(players) if p != i]
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for members in itertools.combinations(others, size):
                s = frozenset(members)
                result[i] += weight * (worth[s | {i}] - worth[s])
    return result


# === right: bit masks
def exact_shapley_values(value, players):
    worth = [value(frozenset(p for p in range(players) if mask >> p & 1)) for mask in range(2**players)]
    phi = [0.0] * players
    for mask in range(2**players):
        s = bin(mask).count("1")
        for i in range(players):
            if not mask >> i & 1:
                phi[i] += (worth[mask | 1 << i] - worth[mask]) / (players * math.comb(players - 1, s))
    return torch.tensor(phi, dtype=torch.float64)


# === right: the mean over all orders, with a cache
def exact_shapley_values(value, players):
    known = {}

    def worth(coalition):
        if coalition not in known:
            known[coalition] = value(coalition)
        return known[coalition]

    phi = torch.zeros(players, dtype=torch.float64)
    for order in itertools.permutations(range(players)):
        present = frozenset()
        for player in order:
            phi[player] += worth(present | {player}) - worth(present)
            present = present | frozenset([player])
    return phi / math.factorial(players)


# === right: functools.cache and numpy
def exact_shapley_values(value, players):
    import functools

    worth = functools.cache(value)
    phi = np.zeros(players)
    for i in range(players):
        rest = [p for p in range(players) if p != i]
        for s in range(players):
            gains = [worth(frozenset(c) | {i}) - worth(frozenset(c)) for c in itertools.combinations(rest, s)]
            phi[i] += np.mean(gains) / players
    return torch.from_numpy(phi)


# === wrong: all coalitions weigh the same | Banzhaf
def exact_shapley_values(value, players):
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += (worth[s | {i}] - v) / 2 ** (players - 1)
    return phi


# === wrong: no weights | without weights
def exact_shapley_values(value, players):
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += worth[s | {i}] - v
    return phi


# === wrong: (n-s)! in the weight | (n-s-1)!
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s)) / f(players) * (worth[s | {i}] - v)
    return phi


# === wrong: not divided by n! | divided by n!
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s) - 1) * (worth[s | {i}] - v)
    return phi


# === wrong: (s+1)! in the weight | (s+1)!
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s) + 1) * f(players - len(s) - 1) / f(players) * (worth[s | {i}] - v)
    return phi


# === wrong: leave one out | last arrival
def exact_shapley_values(value, players):
    everyone = frozenset(range(players))
    whole = value(everyone)
    return torch.tensor([whole - value(everyone - {i}) for i in range(players)], dtype=torch.float64)


# === wrong: first arrival only | first arrival
def exact_shapley_values(value, players):
    nothing = value(frozenset())
    return torch.tensor([value(frozenset({i})) - nothing for i in range(players)], dtype=torch.float64)


# === wrong: worth of each player alone | alone
def exact_shapley_values(value, players):
    return torch.tensor([value(frozenset({i})) for i in range(players)], dtype=torch.float64)


# === wrong: one order of arrival | one order
def exact_shapley_values(value, players):
    worth = [value(frozenset(range(n))) for n in range(players + 1)]
    return torch.tensor([worth[n + 1] - worth[n] for n in range(players)], dtype=torch.float64)


# === wrong: the empty coalition is left out | empty coalition
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c))
        for n in range(1, players + 1)
        for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s) - 1) / f(players) * (worth[s | {i}] - v)
    return phi


# === wrong: the empty coalition is taken as 0 | empty coalition was taken to be worth 0
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c))
        for n in range(1, players + 1)
        for c in itertools.combinations(range(players), n)
    }
    worth[frozenset()] = 0.0
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s) - 1) / f(players) * (worth[s | {i}] - v)
    return phi


# === wrong: range stops one too early | coalition of all others
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for i in range(players):
        others = [p for p in range(players) if p != i]
        for s in range(players - 1):
            for c in itertools.combinations(others, s):
                phi[i] += f(s) * f(players - s - 1) / f(players) * (worth[frozenset(c) | {i}] - worth[frozenset(c)])
    return phi


# === wrong: v(S) is not subtracted | not subtracted
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s in worth:
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s) - 1) / f(players) * worth[s | {i}]
    return phi


# === wrong: sign reversed | sign is reversed
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s) - 1) / f(players) * (v - worth[s | {i}])
    return phi


# === wrong: scaled to add up to 1 | add up to 1
def exact_shapley_values(value, players):
    f = math.factorial
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += f(len(s)) * f(players - len(s) - 1) / f(players) * (worth[s | {i}] - v)
    return phi / phi.sum()


# === wrong: comb(n, s) instead of comb(n-1, s) | one n too many
def exact_shapley_values(value, players):
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += (worth[s | {i}] - v) / (players * math.comb(players, len(s)))
    return phi


# === wrong: sum over the sizes instead of their mean | mean over the n sizes
def exact_shapley_values(value, players):
    worth = {
        frozenset(c): value(frozenset(c)) for n in range(players + 1) for c in itertools.combinations(range(players), n)
    }
    phi = torch.zeros(players, dtype=torch.float64)
    for s, v in worth.items():
        for i in set(range(players)) - s:
            phi[i] += (worth[s | {i}] - v) / math.comb(players - 1, len(s))
    return phi


# === wrong: asks for coalitions again and again | evaluated
def exact_shapley_values(value, players):
    f = math.factorial
    phi = torch.zeros(players, dtype=torch.float64)
    for i in range(players):
        others = [p for p in range(players) if p != i]
        for s in range(players):
            for c in itertools.combinations(others, s):
                weight = f(s) * f(players - s - 1) / f(players)
                phi[i] += weight * (value(frozenset(c) | {i}) - value(frozenset(c)))
    return phi


# === wrong: calls value with a tuple | frozenset
def exact_shapley_values(value, players):
    worth = {c: value(c) for n in range(players + 1) for c in itertools.combinations(range(players), n)}
    return torch.zeros(players, dtype=torch.float64) + worth[()]


# === wrong: float32 | dtype
def exact_shapley_values(value, players):
    worth = [value(frozenset(p for p in range(players) if mask >> p & 1)) for mask in range(2**players)]
    phi = torch.zeros(players)
    for mask in range(2**players):
        s = bin(mask).count("1")
        for i in range(players):
            if not mask >> i & 1:
                phi[i] += (worth[mask | 1 << i] - worth[mask]) / (players * math.comb(players - 1, s))
    return phi


# === wrong: a list | tensor
def exact_shapley_values(value, players):
    worth = [value(frozenset(p for p in range(players) if mask >> p & 1)) for mask in range(2**players)]
    phi = [0.0] * players
    for mask in range(2**players):
        s = bin(mask).count("1")
        for i in range(players):
            if not mask >> i & 1:
                phi[i] += (worth[mask | 1 << i] - worth[mask]) / (players * math.comb(players - 1, s))
    return phi


# === wrong: a sample of orders | wrong
def exact_shapley_values(value, players):
    known = {}
    phi = torch.zeros(players, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        present = frozenset()
        for player in torch.randperm(players, generator=generator).tolist():
            for c in (present, present | {player}):
                if c not in known:
                    known[c] = value(c)
            phi[player] += (known[present | {player}] - known[present]) / 50
            present = present | {player}
    return phi


# === wrong: no return | return
def exact_shapley_values(value, players):
    phi = torch.zeros(players, dtype=torch.float64)
