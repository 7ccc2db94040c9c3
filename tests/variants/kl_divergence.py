# === right: log_softmax, differences weighted by the policy's probabilities
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    difference = torch.where(torch.isneginf(log_p), torch.zeros_like(log_p), log_p - log_q)
    return (log_p.exp() * difference).sum(dim=-1)


# === right: normalised logits of torch.distributions
def kl_divergence(policy_logits, reference_logits):
    p = torch.distributions.Categorical(logits=policy_logits, validate_args=False)
    q = torch.distributions.Categorical(logits=reference_logits.detach(), validate_args=False)
    difference = torch.where(p.probs > 0, p.logits - q.logits, 0.0)
    return (p.probs * difference).sum(-1)


# === right: cross-entropy minus entropy
def kl_divergence(policy_logits, reference_logits):
    reference_logits = reference_logits.detach()
    log_p = policy_logits - torch.logsumexp(policy_logits, dim=-1, keepdim=True)
    log_q = reference_logits - torch.logsumexp(reference_logits, dim=-1, keepdim=True)
    p = torch.exp(log_p)
    possible = p > 0
    terms = p * torch.where(possible, log_p, 0.0) - p * torch.where(possible, log_q, 0.0)
    return torch.einsum("btv->bt", terms)


# === right: a loop over positions
def kl_divergence(policy_logits, reference_logits):
    columns = []
    for t in range(policy_logits.shape[1]):
        log_p = torch.log_softmax(policy_logits[:, t], -1)
        log_q = torch.log_softmax(reference_logits[:, t].detach(), -1)
        difference = (log_p - log_q).masked_fill(log_p == -math.inf, 0.0)
        columns.append((log_p.exp() * difference).sum(-1))
    return torch.stack(columns, dim=1)


# === wrong: the other direction | wrong way round
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_q.exp() * (log_q - log_p)).sum(-1)


# === wrong: F.kl_div with its arguments in the order they read | wrong way round
def kl_divergence(policy_logits, reference_logits):
    log_p = policy_logits.log_softmax(-1)
    q = reference_logits.detach().softmax(-1)
    return F.kl_div(log_p, q, reduction="none").sum(-1)


# === wrong: mean over the vocabulary | mean over the vocabulary
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).mean(-1)


# === wrong: one number instead of one per position | one number
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


# === wrong: F.kl_div batchmean | batch
def kl_divergence(policy_logits, reference_logits):
    return F.kl_div(reference_logits.detach().log_softmax(-1), policy_logits.softmax(-1), reduction="batchmean")


# === wrong: summed over batch and tokens as well | one number
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum()


# === wrong: the sign | sign
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_q - log_p)).sum(-1)


# === wrong: differences of raw logits | raw logits
def kl_divergence(policy_logits, reference_logits):
    p = policy_logits.softmax(-1)
    return (p * (policy_logits - reference_logits.detach())).sum(-1)


# === wrong: differences not weighted | weight
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p - log_q).sum(-1)


# === wrong: unweighted mean | weight
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p - log_q).mean(-1)


# === wrong: weighted by the reference | weighted by the reference
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_q.exp() * (log_p - log_q)).sum(-1)


# === wrong: in bits | bits
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1) / math.log(2)


# === wrong: cross-entropy only | cross-entropy
def kl_divergence(policy_logits, reference_logits):
    p = policy_logits.softmax(-1)
    return -(p * reference_logits.detach().log_softmax(-1)).sum(-1)


# === wrong: both directions added | both directions
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1)


# === wrong: softmax over the tokens | dimension
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=1)
    log_q = F.log_softmax(reference_logits.detach(), dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


# === wrong: not summed over the vocabulary | vocabulary
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return log_p.exp() * (log_p - log_q)


# === wrong: absolute differences | absolute
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q).abs()).sum(-1)


# === wrong: torch.distributions, infinite where the reference underflows | torch.distributions
def kl_divergence(policy_logits, reference_logits):
    p = torch.distributions.Categorical(logits=policy_logits, validate_args=False)
    q = torch.distributions.Categorical(logits=reference_logits.detach(), validate_args=False)
    return torch.distributions.kl_divergence(p, q)


# === wrong: gradient to the reference | reference carries a gradient
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits, dim=-1)
    difference = torch.where(torch.isneginf(log_p), torch.zeros_like(log_p), log_p - log_q)
    return (log_p.exp() * difference).sum(-1)


# === wrong: everything detached | no gradient
def kl_divergence(policy_logits, reference_logits):
    with torch.no_grad():
        log_p = F.log_softmax(policy_logits, dim=-1)
        log_q = F.log_softmax(reference_logits, dim=-1)
        difference = torch.where(torch.isneginf(log_p), torch.zeros_like(log_p), log_p - log_q)
        return (log_p.exp() * difference).sum(-1)


# === wrong: the policy's probabilities detached | gradient
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    difference = torch.where(torch.isneginf(log_p), torch.zeros_like(log_p), log_p - log_q)
    return (log_p.exp().detach() * difference).sum(-1)


# === wrong: log of softmax overflows | log_softmax
def kl_divergence(policy_logits, reference_logits):
    p = policy_logits.softmax(-1)
    q = reference_logits.detach().softmax(-1)
    return (p * (p.log() - q.log())).sum(-1)


# === wrong: exp and divide by hand | log_softmax
def kl_divergence(policy_logits, reference_logits):
    p = policy_logits.exp() / policy_logits.exp().sum(-1, keepdim=True)
    q = reference_logits.detach().exp() / reference_logits.detach().exp().sum(-1, keepdim=True)
    return torch.where(p > 0, p * (p / q).log(), torch.zeros_like(p)).sum(-1)


# === wrong: a small constant instead of log space | log_softmax
def kl_divergence(policy_logits, reference_logits):
    p = policy_logits.softmax(-1)
    q = reference_logits.detach().softmax(-1)
    return (p * ((p + 1e-10).log() - (q + 1e-10).log())).sum(-1)


# === wrong: NaN where the policy excludes a token | -inf
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


# === wrong: F.kl_div with log_target | -inf
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


# === wrong: changes its argument in place | in place
def kl_divergence(policy_logits, reference_logits):
    with torch.no_grad():
        policy_logits.sub_(policy_logits.amax(-1, keepdim=True))
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    difference = torch.where(torch.isneginf(log_p), torch.zeros_like(log_p), log_p - log_q)
    return (log_p.exp() * difference).sum(-1)


# === wrong: the last position dropped | shape
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits[:, :-1], dim=-1)
    log_q = F.log_softmax(reference_logits[:, :-1].detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


# === wrong: Jensen-Shannon | Jensen
def kl_divergence(policy_logits, reference_logits):
    p, q = policy_logits.softmax(-1), reference_logits.detach().softmax(-1)
    middle = ((p + q) / 2).log()
    return ((p * (p.log() - middle)).sum(-1) + (q * (q.log() - middle)).sum(-1)) / 2


# === wrong: not written yet | not written yet
def kl_divergence(policy_logits, reference_logits): ...


# === wrong: F.kl_div with probabilities as target, NaN where both exclude a token | nan
def kl_divergence(policy_logits, reference_logits):
    with torch.no_grad():
        log_q = reference_logits.log_softmax(-1)
    p = policy_logits.softmax(-1)
    return F.kl_div(log_q, p, reduction="none").sum(-1)


# === wrong: nan_to_num after the fact: the gradient is NaN at an excluded token | gradient
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return torch.nan_to_num(log_p.exp() * (log_p - log_q), nan=0.0).sum(-1)


# === wrong: nansum: the gradient is NaN at an excluded token | gradient
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p - log_q)).nansum(-1)


# === wrong: the reference is overwritten where it is -inf | in place
def kl_divergence(policy_logits, reference_logits):
    with torch.no_grad():
        reference_logits[torch.isneginf(reference_logits)] = torch.finfo(reference_logits.dtype).min
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    difference = torch.where(torch.isneginf(policy_logits), 0.0, log_p - log_q)
    return (log_p.exp() * difference).sum(-1)


# === wrong: in place in float64 alone | in place
def kl_divergence(policy_logits, reference_logits):
    with torch.no_grad():
        wide = reference_logits.double()
        wide -= wide.amax(-1, keepdim=True)
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(wide.to(policy_logits.dtype), dim=-1)
    difference = torch.where(torch.isneginf(policy_logits), 0.0, log_p - log_q)
    return (log_p.exp() * difference).sum(-1)


# === wrong: NaN where both exclude a token | nan
def kl_divergence(policy_logits, reference_logits):
    log_p = F.log_softmax(policy_logits, dim=-1)
    log_q = F.log_softmax(reference_logits.detach(), dim=-1)
    return (log_p.exp() * (log_p.clamp(min=-60_000.0) - log_q)).sum(-1)
