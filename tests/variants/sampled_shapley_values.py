# === right: along each order
def sampled_shapley_values(value, players, permutations):
    nobody = value(frozenset())
    orders = permutations.tolist()
    gains = torch.zeros(len(orders), players, dtype=torch.float64)
    for row, order in enumerate(orders):
        present, before = frozenset(), nobody
        for place, player in enumerate(order):
            present = frozenset(order[: place + 1])
            now = value(present)
            gains[row, player] = now - before
            before = now
    means = gains.mean(0)
    errors = gains.std(0) / math.sqrt(len(orders))
    both = means, errors
    return both


# === right: a cache and prefixes
def sampled_shapley_values(value, players, permutations):
    known = {}

    def worth(members):
        key = frozenset(members)
        if key not in known:
            known[key] = float(value(key))
        return known[key]

    rows = []
    for order in permutations.tolist():
        row = [0.0] * players
        for place, player in enumerate(order):
            row[player] = worth(order[: place + 1]) - worth(order[:place])
        rows.append(row)
    gains = torch.tensor(rows, dtype=torch.float64)
    return [gains.mean(dim=0), gains.std(dim=0, unbiased=True) / len(rows) ** 0.5]


# === right: numpy
def sampled_shapley_values(value, players, permutations):
    orders = permutations.numpy()
    gains = np.zeros(orders.shape)
    empty = value(frozenset())
    for m, order in enumerate(orders):
        worths = [empty] + [value(frozenset(order[:n].tolist())) for n in range(1, players + 1)]
        gains[m, order] = np.diff(worths)
    m = len(orders)
    with np.errstate(all="ignore"):
        spread = gains.std(axis=0, ddof=1) if m > 1 else np.full(players, np.nan)
    return torch.from_numpy(gains.mean(axis=0)), torch.from_numpy(spread / np.sqrt(m))


# === right: running sums
def sampled_shapley_values(value, players, permutations):
    total = torch.zeros(players, dtype=torch.float64)
    kept = [[] for _ in range(players)]
    start = value(frozenset())
    for m in range(permutations.shape[0]):
        seen = set()
        last = start
        for k in range(players):
            i = int(permutations[m, k])
            seen.add(i)
            new = value(frozenset(seen))
            kept[i].append(new - last)
            total[i] += new - last
            last = new
    count = permutations.shape[0]
    variance = torch.full((players,), math.nan, dtype=torch.float64)
    if count > 1:
        for i in range(players):
            center = total[i].item() / count
            variance[i] = sum((x - center) ** 2 for x in kept[i]) / (count - 1)
    return total / count, (variance / count).sqrt()


# === wrong: not written yet | not written yet
def sampled_shapley_values(value, players, permutations): ...


# === wrong: means alone | return two tensors
# for: both =
both = means


# === wrong: orders read from the end | read from the end
# for: orders =
orders = permutations.flip(1).tolist()


# === wrong: gains go to places | go to the place
# for: gains[row, player]
gains[row, place] = now - before


# === wrong: rows are places | read as places
# for: orders =
orders = permutations.argsort(1).tolist()


# === wrong: the empty coalition is worth 0 | worth 0
# for: nobody =
nobody = 0.0


# === wrong: worths in place of gains | not subtracted
# for: gains[row, player]
gains[row, player] = now


# === wrong: sign reversed | sign is reversed
# for: gains[row, player]
gains[row, player] = before - now


# === wrong: sum over the orders | take the mean
# for: means =
means = gains.sum(0)


# === wrong: the first order | only the first order
# for: means =
means = gains[0]


# === wrong: the last order | only the last order
# for: means =
means = gains[-1]


# === wrong: all orders | the orders that are given
# for: orders =
orders = list(itertools.permutations(range(players)))


# === wrong: each alone | those who are there before it
# for: now =
now = value(frozenset({player}))
# for: before =
before = nobody


# === wrong: the standard deviation | divide by √M
# for: errors =
errors = gains.std(0)


# === wrong: biased standard deviation | M - 1
# for: errors =
errors = gains.std(0, unbiased=False) / math.sqrt(len(orders))


# === wrong: divided by M | divide by √M
# for: errors =
errors = gains.std(0) / len(orders)


# === wrong: squared | take the root
# for: errors =
errors = gains.var(0) / len(orders)


# === wrong: the variance | its root over √M
# for: errors =
errors = gains.var(0)


# === wrong: a half width | half width
# for: errors =
errors = 1.96 * gains.std(0) / math.sqrt(len(orders))


# === wrong: the root of the players | number of players
# for: errors =
errors = gains.std(0) / math.sqrt(players)


# === wrong: zero for one order | nan, not 0
# for: errors =
errors = (gains.std(0) / math.sqrt(len(orders))).nan_to_num(0.0)


# === wrong: the empty coalition for each order | empty coalition was evaluated
# for: present, before
present, before = frozenset(), value(frozenset())


# === wrong: twice as many evaluations | evaluations
# for: before = now
before = value(present)


# === wrong: sets | takes a frozenset
# for: now =
now = value(set(present))


# === wrong: in float32 | float64
# for: means =
gains = gains.float()
means = gains.mean(0)


# === wrong: places counted from 1 | from 0 to n - 1
# for: orders =
orders = (permutations + 1).tolist()


# === wrong: the last player left out | hidden: wrong
# for: orders =
orders = permutations[:, :-1].tolist()
