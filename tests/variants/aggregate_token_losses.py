# === right: all four
def aggregate_token_losses(token_losses, mask, how, constant=None):
    kept = torch.where(mask, token_losses, 0)
    divisor = len(kept) * (constant or 1)
    ways = {
        "sum": kept.sum(1).mean(),
        "sequence": (kept.sum(1) / mask.sum(1).clamp(min=1)).mean(),
        "token": kept.sum() / mask.sum().clamp(min=1),
        "constant": kept.sum() / divisor,
    }
    known = how in ways and (how != "constant" or constant is not None)
    if not known:
        raise ValueError(how)
    return ways[how]


# === right: masked_fill and a table
def aggregate_token_losses(token_losses, mask, how, constant=None):
    kept = token_losses.masked_fill(~mask, 0)
    B, T = kept.shape
    per_row = kept.sum(-1)
    if how not in ("sum", "sequence", "token", "constant") or (how == "constant" and constant is None):
        raise ValueError(f"cannot aggregate by {how}")
    divisors = {"sum": B, "sequence": B * mask.sum(-1).clamp(min=1), "token": max(int(mask.sum()), 1)}
    divisor = divisors[how] if how in divisors else B * constant
    return (per_row / divisor).sum()


# === right: a weight for each token
def aggregate_token_losses(token_losses, mask, how, constant=None):
    m = mask.to(token_losses.dtype)
    rows = token_losses.shape[0]
    match how:
        case "sum":
            weight = m / rows
        case "sequence":
            weight = m / m.sum(dim=1, keepdim=True).clamp_min(1) / rows
        case "token":
            weight = m / m.sum().clamp_min(1)
        case "constant" if constant is not None:
            weight = m / rows / constant
        case _:
            raise ValueError("unknown")
    return (weight * torch.where(mask, token_losses, torch.zeros_like(token_losses))).sum()


# === right: a loop over the rows
def aggregate_token_losses(token_losses, mask, how, constant=None):
    rows = [row.masked_fill(~m, 0.0) for row, m in zip(token_losses, mask)]
    if how == "token":
        return sum(row.sum() for row in rows) / max(mask.sum().item(), 1)
    if how == "sum":
        parts = [row.sum() for row in rows]
    elif how == "sequence":
        parts = [row.sum() / max(m.sum().item(), 1) for row, m in zip(rows, mask)]
    elif how == "constant" and constant is not None:
        parts = [row.sum() / constant for row in rows]
    else:
        raise ValueError(how, constant)
    return torch.stack(parts).mean()


# === wrong: sum not divided by the batch | not divided by their number
# for: known =
ways["sum"] = kept.sum()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: no mask | the mask has no effect
# for: kept =
kept = token_losses


# === wrong: sum is the mean over tokens | divides by the number of completions
# for: known =
ways["sum"] = kept.sum() / mask.sum().clamp(min=1)
known = how in ways and (how != "constant" or constant is not None)


# === wrong: one number a row | one number for the batch
# for: known =
ways["sum"] = kept.sum(1)
known = how in ways and (how != "constant" or constant is not None)


# === wrong: sequence divided by T | divided by T
# for: known =
ways["sequence"] = kept.mean(1).mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: sequence means added | means of the completions are added
# for: known =
ways["sequence"] = (kept.sum(1) / mask.sum(1).clamp(min=1)).sum()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: sequence as token | mean first
# for: known =
ways["sequence"] = kept.sum() / mask.sum().clamp(min=1)
known = how in ways and (how != "constant" or constant is not None)


# === wrong: sequence as sum | own number of tokens
# for: known =
ways["sequence"] = kept.sum(1).mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: token divided by B times T | masked positions count in the denominator
# for: known =
ways["token"] = kept.mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: token as sequence | one mean over all tokens
# for: known =
ways["token"] = (kept.sum(1) / mask.sum(1).clamp(min=1)).mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: token as sum | number of tokens that count
# for: known =
ways["token"] = kept.sum()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: constant without the batch | missing from the denominator
# for: divisor =
divisor = constant or 1


# === wrong: constant ignored | constant has no effect
# for: divisor =
divisor = len(kept)


# === wrong: constant multiplied | divide by it
# for: divisor =
divisor = len(kept) / (constant or 1)


# === wrong: rows without tokens left out | counts in the mean, as 0
# for: known =
ways["sequence"] = (kept.sum(1) / mask.sum(1))[mask.any(1)].mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: rows without tokens are NaN | 0 / 0
# for: known =
ways["sequence"] = (kept.sum(1) / mask.sum(1)).mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: no token at all is NaN | without any token
# for: known =
ways["token"] = kept.sum() / mask.sum()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: no token at all is a new zero | backward
# for: known =
ways["token"] = kept.sum() / mask.sum() if mask.any() else torch.zeros(())
known = how in ways and (how != "constant" or constant is not None)


# === wrong: another way is the sum | must raise a ValueError
# for: known =
ways.setdefault(how, ways["sum"])
known = how in ways and (how != "constant" or constant is not None)


# === wrong: a missing constant is 1 | must raise a ValueError
# for: known =
known = how in ways


# === wrong: multiplied by the mask after a division by it | NaN
# for: known =
ways["sequence"] = (kept / mask.sum(1, keepdim=True) * mask).sum(1).mean()
known = how in ways and (how != "constant" or constant is not None)


# === wrong: a logarithm of what is masked | masked
# for: kept =
kept = token_losses * mask + 0 * token_losses.exp()


# === wrong: filled in place | in place
# for: kept =
kept = token_losses.masked_fill_(~mask, 0.0)


# === wrong: detached | detached
# for: kept =
kept = torch.where(mask, token_losses, 0).detach().requires_grad_()


# === wrong: float32 | dtype
# for: kept =
kept = torch.where(mask, token_losses, 0).float()
