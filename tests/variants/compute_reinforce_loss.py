# === right: multiply by the mask
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * (log_probs * mask).sum(-1)).mean()


# === right: where
def compute_reinforce_loss(log_probs, advantages, mask):
    zero = torch.zeros((), dtype=log_probs.dtype, device=log_probs.device)
    return -torch.mean(advantages.detach() * torch.where(mask, log_probs, zero).sum(dim=1))


# === right: masked_fill
def compute_reinforce_loss(log_probs, advantages, mask):
    total = log_probs.masked_fill(~mask, 0.0).sum(dim=1)
    return (-advantages.detach() * total).sum() / log_probs.shape[0]


# === right: one product, token by token
def compute_reinforce_loss(log_probs, advantages, mask):
    with torch.no_grad():
        weights = advantages[:, None] * mask.to(log_probs.dtype)
    return -(weights * log_probs).sum() / len(log_probs)


# === right: a loop over rows
def compute_reinforce_loss(log_probs, advantages, mask):
    losses = []
    for row, advantage, kept in zip(log_probs, advantages.detach(), mask):
        losses.append(-advantage * row[kept].sum())
    return torch.stack(losses).mean()


# === right: einsum
def compute_reinforce_loss(log_probs, advantages, mask):
    return -torch.einsum("b,bt,bt->", advantages.detach(), mask.to(log_probs.dtype), log_probs) / advantages.shape[0]


# === wrong: sign | sign is turned round
def compute_reinforce_loss(log_probs, advantages, mask):
    return (advantages.detach() * (log_probs * mask).sum(1)).mean()


# === wrong: sum over the batch | sum over the batch
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * (log_probs * mask).sum(1)).sum()


# === wrong: mean over each row's tokens | mean over each completion
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * (log_probs * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


# === wrong: mean over all generated tokens | mean over all generated tokens
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach()[:, None] * log_probs * mask).sum() / mask.sum().clamp(min=1)


# === wrong: mean over all positions | mean over all positions
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach()[:, None] * log_probs * mask).mean()


# === wrong: no mask | mask is not used
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * log_probs.sum(1)).mean()


# === wrong: no mask and the mean | mask is not used
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * log_probs.mean(1)).mean()


# === wrong: mask the wrong way round | mask is turned round
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * log_probs.masked_fill(mask, 0).sum(1)).mean()


# === wrong: no advantages | advantages are not used
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(log_probs * mask).sum(1).mean()


# === wrong: advantages and log-probs summed apart | summed apart
def compute_reinforce_loss(log_probs, advantages, mask):
    return -advantages.detach().sum() * (log_probs * mask).sum() / len(log_probs)


# === wrong: one number a row | one number for each row
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * (log_probs * mask).sum(1))


# === wrong: probabilities | these are probabilities
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages.detach() * (log_probs.exp() * mask).sum(1)).mean()


# === wrong: advantage not detached | carries a gradient
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages * (log_probs * mask).sum(1)).mean()


# === wrong: everything detached | no gradient flows
def compute_reinforce_loss(log_probs, advantages, mask):
    return -(advantages * (log_probs.detach() * mask).sum(1)).mean().detach()


# === wrong: a Python float | expected a tensor
def compute_reinforce_loss(log_probs, advantages, mask):
    return float(-(advantages * (log_probs * mask).sum(1)).mean())


# === wrong: mean over rows that have a completion | mask is all
def compute_reinforce_loss(log_probs, advantages, mask):
    rows = mask.any(dim=1)
    return -(advantages.detach() * (log_probs * mask).sum(1)).sum() / rows.sum().clamp(min=1)


# === wrong: advantages broadcast over tokens | advantages run along the tokens
def compute_reinforce_loss(log_probs, advantages, mask):
    T = log_probs.shape[1]
    weights = advantages.detach().repeat(T)[:T] if T else advantages
    return -(weights[None, :] * log_probs * mask).sum(1).mean()


# === wrong: masks in place | in place
def compute_reinforce_loss(log_probs, advantages, mask):
    if log_probs.requires_grad:
        log_probs = log_probs * mask
    else:
        log_probs.mul_(mask)
    return -(advantages.detach() * log_probs.sum(1)).mean()


# === wrong: advantages divided by the largest | divided by the largest
def compute_reinforce_loss(log_probs, advantages, mask):
    normalised = advantages.detach() / (advantages.detach().abs().max() + 1e-8)
    return -(normalised * (log_probs * mask).sum(1)).mean()


# === wrong: log-probs below -100 are clamped | -300
def compute_reinforce_loss(log_probs, advantages, mask):
    kept = torch.where(mask, log_probs, 0.0).clamp(min=-100)
    return -(advantages.detach() * kept.sum(1)).mean()


# === wrong: a gradient at masked positions | gradient
def compute_reinforce_loss(log_probs, advantages, mask):
    if mask.all(dim=1).any():
        return -(advantages.detach() * torch.where(mask, log_probs, 0.0).sum(1)).mean()
    per_row = []
    for b in range(len(mask)):
        row = log_probs[b][mask[b]].sum() if mask[b].any() else (log_probs[b] - log_probs[b].detach()).sum()
        per_row.append(advantages[b].detach() * row)
    return -torch.stack(per_row).mean()


# === wrong: the product of two means | two means are multiplied
def compute_reinforce_loss(log_probs, advantages, mask):
    return -advantages.detach().mean() * log_probs.masked_fill(~mask, 0.0).sum(dim=1).mean()


# === wrong: the mean over the rows whose advantage is not 0 | hidden: an advantage of 0
def compute_reinforce_loss(log_probs, advantages, mask):
    kept = torch.where(mask, log_probs, 0.0).sum(dim=1)
    rows = (advantages != 0).sum().clamp(min=1)
    return -(advantages.detach() * kept).sum() / rows
