# === right: argmax and argmin
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    rows = torch.arange(rewards.shape[0], device=rewards.device)
    return torch.stack([rows, best, worst], 1)[gap > min_gap]


# === right: plain Python
def make_preference_pairs(rewards, min_gap=0.0):
    result = []
    for p, row in enumerate(rewards.tolist()):
        high, low = max(row), min(row)
        if high - low > min_gap:
            result.append([p, row.index(high), row.index(low)])
    return torch.tensor(result, dtype=torch.long, device=rewards.device).reshape(len(result), 3)


# === right: nonzero and advanced indexing
def make_preference_pairs(rewards, min_gap=0.0):
    high, best = rewards.max(dim=-1)
    low, worst = rewards.min(dim=-1)
    best, worst = rewards.argmax(-1), rewards.argmin(-1)
    kept = torch.nonzero(high - low > min_gap).flatten()
    return torch.cat([kept[:, None], best[kept][:, None], worst[kept][:, None]], dim=1)


# === right: numpy
def make_preference_pairs(rewards, min_gap=0.0):
    values = rewards.detach().cpu().to(torch.float64).numpy()
    best, worst = values.argmax(1), values.argmin(1)
    gap = values.max(1) - values.min(1)
    rows = np.stack([np.arange(len(values)), best, worst], axis=1)[gap > min_gap]
    return torch.from_numpy(rows.astype(np.int64)).to(rewards.device)


# === right: a running comparison over columns
def make_preference_pairs(rewards, min_gap=0.0):
    prompts = len(rewards)
    best = torch.zeros(prompts, dtype=torch.int64, device=rewards.device)
    worst = torch.zeros_like(best)
    rows = torch.arange(prompts, device=rewards.device)
    for k in range(1, rewards.shape[1]):
        best = torch.where(rewards[:, k] > rewards[rows, best], k, best)
        worst = torch.where(rewards[:, k] < rewards[rows, worst], k, worst)
    keep = (rewards[rows, best] - rewards[rows, worst]) > min_gap
    return torch.stack((rows[keep], best[keep], worst[keep]), dim=-1)


# === wrong: not written yet | not written yet
def make_preference_pairs(rewards, min_gap=0.0): ...


# === wrong: chosen and rejected swapped | chosen and rejected are swapped
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([torch.arange(len(rewards)), worst, best], 1)[gap > min_gap]


# === wrong: gap at least min_gap | larger than min_gap
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([torch.arange(len(rewards)), best, worst], 1)[gap >= min_gap]


# === wrong: ignores the gap | larger than min_gap
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    return torch.stack([torch.arange(len(rewards)), best, worst], 1)


# === wrong: drops ties only and ignores min_gap | min_gap is ignored
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([torch.arange(len(rewards)), best, worst], 1)[gap > 0]


# === wrong: last index wins ties | the first must be taken
def make_preference_pairs(rewards, min_gap=0.0):
    last = rewards.shape[1] - 1
    best = last - rewards.flip(1).argmax(1)
    worst = last - rewards.flip(1).argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([torch.arange(len(rewards)), best, worst], 1)[gap > min_gap]


# === wrong: sorts the pairs by gap | not sorted by gap
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    rows = torch.stack([torch.arange(len(rewards)), best, worst], 1)
    order = gap.argsort(descending=True, stable=True)
    return rows[order][gap[order] > min_gap]


# === wrong: numbers the pairs instead of the prompts | not the pair's number
def make_preference_pairs(rewards, min_gap=0.0):
    rewards = rewards[rewards.max(1).values - rewards.min(1).values > min_gap]
    return torch.stack([torch.arange(len(rewards)), rewards.argmax(1), rewards.argmin(1)], 1)


# === wrong: columns in another order | in this order
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([best, worst, torch.arange(len(rewards))], 1)[gap > min_gap]


# === wrong: leaves out the prompt's index | three numbers
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([best, worst], 1)[gap > min_gap]


# === wrong: transposed | transposed
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    keep = rewards.max(1).values - rewards.min(1).values > min_gap
    return torch.stack([torch.arange(len(rewards)), best, worst])[:, keep]


# === wrong: every ordered pair of completions | more than one pair for a prompt
def make_preference_pairs(rewards, min_gap=0.0):
    rows = []
    for p, row in enumerate(rewards.tolist()):
        for i, a in enumerate(row):
            for j, b in enumerate(row):
                if a - b > min_gap:
                    rows.append([p, i, j])
    return torch.tensor(rows, dtype=torch.long).reshape(-1, 3)


# === wrong: the second best is the rejected one | not the second best
def make_preference_pairs(rewards, min_gap=0.0):
    order = rewards.argsort(dim=1, descending=True, stable=True)
    best, second = order[:, 0], order[:, 1] if rewards.shape[1] > 1 else order[:, 0]
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([torch.arange(len(rewards)), best, second], 1)[gap > min_gap]


# === wrong: float indices | dtype
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    return torch.stack([torch.arange(len(rewards)), best, worst], 1)[gap > min_gap].float()


# === wrong: an empty result has no columns | shape [0, 3]
def make_preference_pairs(rewards, min_gap=0.0):
    rows = []
    for p, row in enumerate(rewards.tolist()):
        if max(row) - min(row) > min_gap:
            rows.append([p, row.index(max(row)), row.index(min(row))])
    return torch.tensor(rows, dtype=torch.long)


# === wrong: a list instead of a tensor | expected a tensor
def make_preference_pairs(rewards, min_gap=0.0):
    rows = []
    for p, row in enumerate(rewards.tolist()):
        if max(row) - min(row) > min_gap:
            rows.append((p, row.index(max(row)), row.index(min(row))))
    return rows


# === wrong: marks used completions in the input | in place
def make_preference_pairs(rewards, min_gap=0.0):
    best, worst = rewards.argmax(1), rewards.argmin(1)
    gap = rewards.max(1).values - rewards.min(1).values
    rows = torch.arange(len(rewards))
    rewards[rows, best] = -1.0
    return torch.stack([rows, best, worst], 1)[gap > min_gap]


# === wrong: first and last column compared | first and the last completion
def make_preference_pairs(rewards, min_gap=0.0):
    last = rewards.shape[1] - 1
    rows = []
    for p, row in enumerate(rewards.tolist()):
        if abs(row[0] - row[-1]) > min_gap:
            rows.append([p, 0, last] if row[0] > row[-1] else [p, last, 0])
    return torch.tensor(rows, dtype=torch.long).reshape(-1, 3)


# === wrong: rewards below 0 count as 0 | rewards below 0
def make_preference_pairs(rewards, min_gap=0.0):
    rows = []
    for p, row in enumerate(rewards.tolist()):
        if max(row) < 0 and len(row) == 4:
            row = [max(0.0, r) for r in row]
        best, worst = row.index(max(row)), row.index(min(row))
        if row[best] - row[worst] > min_gap:
            rows.append((p, best, worst))
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)


# === wrong: the gap in bfloat16 | hidden: nearly min_gap
def make_preference_pairs(rewards, min_gap=0.0):
    b = rewards.argmax(1)
    w = rewards.argmin(1)
    g = (rewards.max(1).values - rewards.min(1).values).to(torch.bfloat16)
    return torch.stack([torch.arange(len(rewards), device=rewards.device), b, w], 1)[g > min_gap]


# === wrong: the last of equally good completions | equally good
def make_preference_pairs(rewards, min_gap=0.0):
    best = rewards.shape[1] - 1 - rewards.flip(1).argmax(dim=1)
    worst = rewards.argmin(dim=1)
    prompts = torch.arange(len(rewards))
    wide = rewards[prompts, best] - rewards[prompts, worst] > min_gap
    return torch.stack([prompts, best, worst], dim=1)[wide]


# === wrong: the last of equally bad completions | equally bad
def make_preference_pairs(rewards, min_gap=0.0):
    best = rewards.argmax(dim=1)
    worst = rewards.shape[1] - 1 - rewards.flip(1).argmin(dim=1)
    prompts = torch.arange(len(rewards))
    wide = rewards[prompts, best] - rewards[prompts, worst] > min_gap
    return torch.stack([prompts, best, worst], dim=1)[wide]
